/*
 * The program headscaled-keyd itself, started as master starts it and with its
 * rights taken away, for who wants signatures of it.
 */

#ifndef REGRESS_LIB_KEYDKIT_H
#define REGRESS_LIB_KEYDKIT_H

#include <sys/types.h>

#include <stddef.h>

#define KEYDKIT_NOBODY	65534	/* user and group where we are root */
#define KEYDKIT_EPOCH	1	/* of the configuration with the pairs */

struct keydkit;

/* A TLS key and its certificate, both in PEM; the number is its place + 1. */
struct keydkit_pair {
	char	*key;
	char	*cert;
};

/*
 * Runs the program with n pairs, staged and started, and one worker's SIG link
 * to it; what it logs goes to stderr.  folder is the chroot where we are root
 * (root's own, nobody else writes to it); else nobody looks at it.  After
 * noise_init().  NULL if there is no such program; any other failure is fatal.
 */
struct keydkit	*keydkit_start(const char *program, const char *folder,
		    const struct keydkit_pair *, size_t n);
/* The worker's end of the SIG link; the caller closes it. */
int		 keydkit_sig(const struct keydkit *);
pid_t		 keydkit_pid(const struct keydkit *);
/* Asks it to stop and waits; fatal if it does not end with status 0. */
void		 keydkit_stop(struct keydkit *);

#endif
