/*
 * Who sees whom (state.md 6).  The published nodes of a class are a group;
 * those with approved routes are another, because what is said of them
 * depends on the viewer.  Every viewer sees all of a group, or those of its
 * own owner, or nobody.
 */

#ifndef WORKER_TAILNET_GROUP_INT_H
#define WORKER_TAILNET_GROUP_INT_H

#include "worker/tailnet/chunk_int.h"
#include "worker/tailnet/class_int.h"
#include "worker/tailnet/node_int.h"

struct replica;

struct group {
	struct class	*class;
	uint32_t	 index;		/* dense within its ruleset */
	bool		 varied;	/* its nodes' JSON is never shared */
	struct chunkset	 nodes;		/* of struct node */
	struct chunkset	 users;		/* of those who own them */
	struct idmap	 by_user;	/* the same by the user's id */
};

/* The group where a published node belongs under the policy in force. */
struct group	*group_of(struct replica *, const struct node *);
/* For ruleset_unref(). */
void		 group_free(struct group *);
/* The node is told of to those who see the group; node->group is NULL. */
void		 group_join(struct group *, struct node *);
void		 group_leave(struct node *);
/* The node's owner is another; node->user is the new one. */
void		 group_reown(struct node *, struct user *old);
/*
 * What peers see of a node of a group changed.  lazy: chunks may lag for a
 * while; before: version of its change before this one.
 */
void		 group_changed(struct node *, bool lazy, uint64_t before);
/* The profile changed. */
void		 groups_user_changed(struct replica *, const struct user *);
/* All that is kept of members' JSON is of no more use. */
void		 groups_spoil(struct replica *);
/* Makes one lagging chunk afresh; true if another one lags. */
bool		 groups_freshen(struct replica *);

#endif
