/*
 * The listening sockets: one for each address and worker slot, opened by
 * master and kept for ever, so that a dead worker's backlog waits for its
 * successor (state.md 11).
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
 * Calls fn for each address of the set: its number, its text and, but for
 * LISTEN_REMOVED, one descriptor for each slot (which stay ours).
 */
void	 listen_each(const struct listeners *, enum listen_set,
	    void (*fn)(uint16_t listener, const char *text, const int *fds,
	    unsigned int slots, void *arg), void *arg);
/* "127.0.0.1:8080, [::1]:8080" of what is in force; at most n octets. */
void	 listen_print(const struct listeners *, char *dst, size_t n);

#endif
