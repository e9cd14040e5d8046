/*
 * Where nodes were at earlier versions: what a stream that has not been
 * served since then may know of them (state.md 4, 8).
 */

#ifndef WORKER_TAILNET_TRAIL_INT_H
#define WORKER_TAILNET_TRAIL_INT_H

#include "worker/tailnet/node_int.h"

struct replica;
struct ruleset;

/* Moves are kept: at least so many, and so many a node. */
#define MOVES_MIN	4096
#define MOVES_NODE	4

/* Nodes that a policy put from one group into another, and are still there. */
struct transit {
	struct group	*from;
	struct group	*to;
	TAILQ_HEAD(, node) nodes;
	uint32_t	 n;
};

/* The node is about to leave its spot: node->group, of this owner. */
void	 trail_leave(struct replica *, struct node *, uint64_t user);
/* A policy put it from a group (not NULL) into node->group (not NULL). */
void	 trail_switch(struct replica *, struct node *, struct group *from);
/* It is deleted, or has moved again since the policy. */
void	 transit_leave(struct node *);
/* A new policy: forgets the transits of the last. */
void	 transits_clear(struct replica *);
/* What came of the policy before this one is of no more use. */
void	 trails_settle(struct replica *);
/* Frees a trail. */
void	 trail_free(struct replica *, struct trail *);

#endif
