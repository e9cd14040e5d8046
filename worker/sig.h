/*
 * The SIG link's client: asks keyd for TLS signatures, and says so when they
 * don't come in time (trust.md 3).  Part of the outer loop.
 */

#ifndef WORKER_SIG_H
#define WORKER_SIG_H

#include "common/ev.h"
#include "worker/net/tls.h"

#define SIG_LATE_MS	100	/* for a signature: then nobody is let in */
#define SIG_LOST_MS	5000	/* then it will not come any more */

struct sig;

/*
 * No link yet.  on_change(arg) is called when keyd is late, when it answers
 * again after that, and when the link is lost (keyd closed it, or said nothing
 * for SIG_LOST_MS, or for SIG_LATE_MS to the signer's wait()), before those who
 * wait are told that there is no signature.
 * What makes no sense ends the process: keyd is more trusted than we are.
 */
struct sig	*sig_new(struct ev *, void (*on_change)(void *arg), void *arg);
void		 sig_free(struct sig *);
/*
 * A new link to keyd, in place of one that is there: whoever waits for that is
 * told that there is no signature.  Owns fd; of conf only slot and generation
 * count.
 */
void		 sig_set_fd(struct sig *, const struct link_conf *, int fd);
/* There is a link. */
bool		 sig_is_up(const struct sig *);
/* keyd owes an answer for too long already: handshakes are to wait. */
bool		 sig_is_late(const struct sig *);
/* tls_new()'s: good as long as this lives. */
struct tls_signer sig_signer(struct sig *);

#endif
