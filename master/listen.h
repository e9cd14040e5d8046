/*
 * The listening sockets: one for each address and worker slot, opened by
 * master and kept for ever, so that a dead worker's backlog waits for its
 * successor (state.md 11).  And those of STUN, one for each address.
 */

#ifndef MASTER_LISTEN_H
#define MASTER_LISTEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "master/conf.h"

struct listeners;

enum listen_set {
	LISTEN_NOW,		/* all that are in force */
	LISTEN_ADDED,		/* what the last commit brought ... */
	LISTEN_REMOVED		/* ... and took away; its sockets are closed */
};

/* An address, as listen_each() shows it. */
struct listening {
	uint16_t	 number;
	enum conf_kind	 kind;
	bool		 proxy;
	const char	*text;		/* host:port */
	/* One for each slot, of CONF_UDP one; NULL of LISTEN_REMOVED. */
	const int	*fds;
	unsigned int	 nfds;
};

/* Never NULL. */
struct listeners *listen_new(unsigned int slots);
/* Closes everything; NULL is fine. */
void	 listen_free(struct listeners *);
/*
 * Opens what the addresses have more than what is in force, and keeps it
 * aside.  first: at our start, when children of a master that just died may
 * still hold the sockets for up to 2 s.  False with "file:line: reason".
 */
bool	 listen_stage(struct listeners *, const struct conf *, bool first,
	    char *why, size_t whylen);
/* What was staged comes into force: the rest is closed. */
void	 listen_commit(struct listeners *);
void	 listen_discard(struct listeners *);
/*
 * Calls fn for each address of the set; the descriptors stay ours.  An
 * address of which only the kind has changed is removed, and added with
 * another number, but its sockets are the same.
 */
void	 listen_each(const struct listeners *, enum listen_set,
	    void (*fn)(const struct listening *, void *arg), void *arg);
/*
 * "127.0.0.1:8080, [::1]:8080" of what is in force, of UDP or of the others;
 * at most n octets.
 */
void	 listen_print(const struct listeners *, bool udp, char *dst, size_t n);

#endif
