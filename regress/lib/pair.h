/*
 * Two ends of a link joined by queues in memory: what the socket and imsg are
 * in daemons.  Messages move only when they are told to.
 */

#ifndef REGRESS_LIB_PAIR_H
#define REGRESS_LIB_PAIR_H

#include "common/link.h"

struct pair;

enum pair_end {
	PAIR_A,
	PAIR_B
};

/*
 * Fills what both ends of a link of the kind have in common, a's role and
 * b's, and arg for both; handlers and all else are the caller's.
 */
void		 pair_confs(struct link_conf *a, struct link_conf *b,
		    enum msg_link kind, enum role a_role, enum role b_role,
		    void *arg);
/*
 * Makes both ends, of one kind.  The links are freed by whoever gets their
 * on_down, or by link_free(), or with the pair.  Never NULL.
 */
struct pair	*pair_new(struct env *, const struct link_conf *a,
		    const struct link_conf *b);
/*
 * The same with no link at end A, but one that keeps no rules: what comes to
 * it goes to fn as it is, with its descriptor; what it sends is injected.
 */
typedef void	(*pair_raw)(uint32_t type, uint32_t id, const void *, size_t,
		    int fd, void *arg);
struct pair	*pair_new_raw(struct env *, const struct link_conf *b,
		    pair_raw fn, void *arg);
/* Frees also links that are still up, and descriptors on the way. */
void		 pair_free(struct pair *);
/* NULL once it has closed its transport, and for a raw end. */
struct link	*pair_link(struct pair *, enum pair_end);
/*
 * Hands the oldest message on the way to this end to it; after the last one
 * the end of file, if the other end has closed.  False if there was nothing.
 */
bool		 pair_step(struct pair *, enum pair_end to);
/* Steps both ways until nothing is on the way; how many steps it took. */
unsigned int	 pair_run(struct pair *);
/* How many messages are on the way to this end. */
unsigned int	 pair_waiting(const struct pair *, enum pair_end to);
/* Puts raw octets on the way to this end, past all checks; takes over fd. */
void		 pair_inject(struct pair *, enum pair_end to, uint32_t type,
		    uint32_t id, const void *, size_t, int fd);
/*
 * Puts a message on the way as a process would that keeps no rules but those
 * of the encoding.
 */
void		 pair_forge(struct pair *, enum pair_end to,
		    const struct msg *);
/* This end's process dies: its link is freed, the other sees the end. */
void		 pair_kill(struct pair *, enum pair_end);

#endif
