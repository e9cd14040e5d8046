/*
 * The SIG link's client: asks keyd for one TLS signature and waits for it, at
 * most SIG_DEADLINE_MS (trust.md 3).  Part of the outer loop.
 */

#ifndef WORKER_SIG_H
#define WORKER_SIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SIG_DEADLINE_MS	100

struct sig;

/*
 * No link yet.  on_down(arg) is called, also from within sig_sign(), when it
 * is lost: keyd closed it, was late, or said what makes no sense (bad, and the
 * caller then ends the process: keyd is more trusted than we are).  Never
 * NULL.
 */
struct sig	*sig_new(void (*on_down)(bool bad, void *arg), void *arg);
void		 sig_free(struct sig *);
/* A new link to keyd, in place of one that is there; -1: none.  Owns fd. */
void		 sig_set_fd(struct sig *, int fd);
bool		 sig_is_up(const struct sig *);
/*
 * fd is readable though nothing was asked: its end, or a violation.  For the
 * loop, which otherwise would learn of keyd's end from the next client.
 */
void		 sig_check(struct sig *);
/* tls_signer's sign(); arg is the struct sig.  Length, or -1. */
int		 sig_sign(unsigned int key, unsigned int scheme,
		    const uint8_t *octets, size_t n, uint8_t *sig, size_t max,
		    void *arg);

#endif
