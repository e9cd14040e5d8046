/*
 * What one kind of viewer is given: which groups, and of nodes with routes
 * which of these (policy.md 10).
 */

#ifndef WORKER_TAILNET_VIEW_INT_H
#define WORKER_TAILNET_VIEW_INT_H

#include "worker/tailnet/group_int.h"
#include "worker/tailnet/holding_int.h"

struct delta;
struct replica;

TAILQ_HEAD(delta_list, delta);

/* What a view was last told of a node with routes. */
struct sight {
	uint64_t	 id;
	uint64_t	 shown;		/* a hash of the routes */
	uint64_t	 ver;		/* not older than their last change */
};

/* Ascending by id. */
struct sights {
	struct sight	*v;
	uint32_t	 n;
	uint32_t	 cap;
	uint64_t	 ver;		/* for which they are right; 0: none */
	uint64_t	 newest;	/* the newest in it */
	uint64_t	 floor;		/* before it something is forgotten */
};

/*
 * A kind of viewer: nodes of a class, of one owner if that matters, and that
 * carry the same subnet routes.  Counted.  Streams that were not served since
 * a policy was replaced stand at views of the old one.
 */
struct view {
	struct class	*class;
	struct ruleset	*rules;		/* the class's, counted */
	uint64_t	 owner;		/* 0: no matter */
	struct load	*load;		/* that they carry, counted; or NULL */
	struct view	*same_key;	/* next of the class's views[1] */
	bool		 alone;		/* sees nobody */
	bool		 no_ip4;	/* it is shown no IPv4 addresses */
	uint32_t	 refs;
	struct delta_list deltas;	/* kept for it (delta.c) */
	struct view	*base;		/* without owner and load; itself */
	/* Of a base. */
	uint32_t	 known;		/* groups that are looked at */
	uint32_t	 cap;
	uint64_t	*all;		/* groups that it sees */
	uint64_t	*own;		/* of which one sees one's owner's;
					 * NULL: of none */
	/* By rows of autogroup:self, for what wide routers carry. */
	struct holding	*holding;	/* its own; or NULL */
	uint64_t	*wide;		/* such routers, by id, that it sees */
	uint32_t	 nwide;
	uint64_t	 hold_ver;	/* for which these are right */
	struct sights	 sight;		/* of all routers: if view_base() is
					 * itself */
	struct sights	 more;		/* else: routes that it is shown since
					 * it carries them, too */
	struct idmap	 varied;	/* struct vframe: see varied.c */
};

/*
 * The view of a node's streams; alone: without peers whatever it may see.
 * The reference is the caller's.
 */
struct view	*view_of(struct replica *, struct node *, bool alone);
/* That is the view which it would get. */
bool		 view_is(struct view *, const struct replica *,
		    const struct node *, bool alone);
/*
 * The view that has what this one is told of nodes with routes, but for
 * view_adds(): that without owner and load, or itself.
 */
struct view	*view_base(struct view *);
/*
 * As of view_look(), it is shown routes of the node because it carries them,
 * too; and how many nodes these are, of which view_added() is the i-th.
 */
bool		 view_adds(const struct view *, const struct node *);
uint64_t	 view_added(const struct view *, uint32_t i);
uint32_t	 view_nadded(const struct view *);
struct view	*view_ref(struct view *);
/* NULL is fine. */
void		 view_unref(struct view *);

/* The viewer's policy knows the group, and it sees all of it. */
bool		 view_all(struct view *, const struct group *);
/* It sees those of this owner, if not all. */
bool		 view_some(struct view *, const struct group *,
		    uint64_t owner);
/*
 * Owners, ascending, for whom view_some() may be true of some group; the
 * caller frees the list.
 */
uint64_t	*view_owners(const struct view *, size_t *);
/* It sees a node that is there, of the owner. */
bool		 view_sees(struct view *, const struct spot *);
/* The same of where the node is now. */
bool		 view_sees_node(struct view *, const struct node *);
/* True if the viewer sees a node besides itself. */
bool		 view_has_peers(struct replica *, struct view *,
		    const struct node *self);
/* It sees a node of the user. */
bool		 view_has_user(struct view *, const struct user *);

/* Makes what the view is told of nodes with routes right for now. */
void		 view_look(struct replica *, struct view *);
/*
 * What it was told of a node with routes is other than what is the other view
 * is told of it now, or has become so after from.
 */
bool		 view_differs(struct view *was, struct view *now,
		    const struct node *, uint64_t from);
/*
 * The routes that either is shown since it carries them are other than they
 * were then; so the messages of their bases are not theirs.
 */
bool		 view_adds_other(struct view *was, struct view *now,
		    uint64_t from);
/* The node as JSON, as the viewer sees it. */
void		 view_put(struct replica *, struct view *,
		    const struct node *, struct buf *);

/*
 * The nodes of a group with routes, of slots k * CHUNK_NODES and on, each
 * after a comma, as a base sees them; borrowed.
 */
struct frame	*varied_frame(struct replica *, struct view *,
		    const struct group *, uint32_t k);
void		 varied_free(struct view *);

/*
 * Which of the peer's routes the viewer is shown (policy.md 10.3): bit by bit
 * in the order of its routes.
 */
#define SHOWN_WORDS	(FACTS_ROUTES / 64)
void		 route_shown(struct replica *, const struct view *,
		    struct node *peer, uint64_t shown[SHOWN_WORDS]);
/* The routes of some node, or their rows, are others. */
void		 route_rows_free(struct node *);

#endif
