/*
 * Who sees whom (state.md 6).  A class is what a policy tells apart; the
 * nodes of a class are a group, and every viewer sees a group alike or not at
 * all.  A view is what one kind of viewer is given: a set of groups and a
 * filter.  With the policies allow-all and deny-all there is one class.
 */

#ifndef WORKER_TAILNET_GROUP_INT_H
#define WORKER_TAILNET_GROUP_INT_H

#include "worker/tailnet/chunk_int.h"
#include "worker/tailnet/idmap.h"
#include "worker/tailnet/node_int.h"

struct replica;

struct group {
	TAILQ_ENTRY(group) link;
	uint32_t	 class;
	struct chunkset	 nodes;		/* of struct node */
	struct chunkset	 users;		/* of those who own them */
	struct idmap	 by_user;	/* the same by the user's id */
};
TAILQ_HEAD(group_list, group);

struct view {
	bool		 sees;		/* the groups; else none */
	bool		 allow;		/* the filter: allow-all or deny-all */
	/* What all with this view are given first; NULL: to be made. */
	struct frame	*head;
};

#define VIEWS		4		/* combinations of sees and allow */

/* The group where a published node belongs under the policy in force. */
struct group	*group_of(struct replica *, const struct node *);
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
void		 groups_free(struct replica *);
/* Makes one lagging chunk afresh; true if another one lags. */
bool		 groups_freshen(struct replica *);
bool		 group_has_user(const struct group *, const struct user *);

/* The view of a node's streams; alone: without peers whatever it may see. */
struct view	*view_of(struct replica *, const struct node *, bool alone);
/* NULL, which is nobody's group, is never seen. */
bool		 view_sees(const struct view *, const struct group *);
/* True if the viewer sees a node besides itself. */
bool		 view_has_peers(const struct replica *, const struct view *,
		    const struct node *self);
/* What is in front of full maps has changed. */
void		 views_spoil(struct replica *);

#endif
