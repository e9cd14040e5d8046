/* TCP options that only some systems have. */

#ifndef COMMON_COMPAT_TCP_H
#define COMMON_COMPAT_TCP_H

struct compat_tcp {
	int	idle_s;		/* silence before the first keep-alive probe */
	int	probe_s;	/* between two */
	int	probes;		/* unanswered: the peer is gone */
	int	user_ms;	/* how long octets may stay unacknowledged */
	int	notsent;	/* octets not yet sent before it is writable */
};

/*
 * Sets what the system has of them on a TCP socket; on a listening one they
 * are inherited by what it accepts.  0, or -1 with errno set if it refuses
 * one that it has.
 */
int	compat_tcp_tune(int fd, const struct compat_tcp *);
/* Sets user_ms alone, likewise. */
int	compat_tcp_user(int fd, int ms);

#endif
