/*
 * What happened between two versions of a replica, as messages (state.md 4).
 * Each is encoded once for all streams with the same view and cursor; only a
 * stream whose own node is in it gets its own encoding of the part where it
 * is.
 */

#ifndef WORKER_TAILNET_DELTA_INT_H
#define WORKER_TAILNET_DELTA_INT_H

#include <sys/queue.h>

#include "worker/tailnet/compose_int.h"

struct node;
struct replica;
struct user;
struct view;

/* Lists of a message, in their order in it. */
enum section {
	SEC_REMOVED,
	SEC_CHANGED,
	SEC_PATCH,
	SEC_MAX
};

/* Other members of a message. */
#define REST_DNS	1u
#define REST_DERP	2u
#define REST_DEBUG	4u
#define REST_DOMAIN	8u
#define REST_TIME	16u
#define REST_USERS	32u		/* profiles changed by themselves */

struct item {
	uint64_t	 id;
	const struct node *node;	/* of a tombstone: NULL */
	unsigned int	 fields;	/* of a patch */
};

struct seg {
	enum section	 sec;		/* SEC_MAX: the rest */
	uint32_t	 from;
	uint32_t	 to;
	struct frame	*frame;
};

struct note {
	struct item	*item[SEC_MAX];
	uint32_t	 n[SEC_MAX];
	uint32_t	 cap[SEC_MAX];
	const struct user **user;	/* whose profiles are in it */
	uint32_t	 nusers;
	uint32_t	 user_cap;
	unsigned int	 rest;		/* REST_ */
	struct frame	*whole;		/* a short message, when made */
	struct seg	*seg;		/* a long one */
	uint32_t	 nsegs;
	/* What goes after members of the recipient's own, when made. */
	bool		 followed;	/* more is made */
	struct buf	 more;		/* of a short message */
	struct frame	*more_frame;	/* of it, or a long one's first part */
};

struct delta {
	TAILQ_ENTRY(delta) link;	/* of its replica, newest first */
	TAILQ_ENTRY(delta) same;	/* of its view */
	struct view	*was;		/* both counted */
	struct view	*view;
	uint64_t	 from;
	bool		 compress;
	bool		 drop;
	struct note	 gone;		/* goes first */
	struct note	 news;
};

/*
 * A policy shows an owner's view so many nodes that were not seen before that
 * a full map, whose chunks are shared, costs less than what is new: that could
 * be shared with nobody.
 */
bool		 delta_is_dear(const struct replica *, struct view *was,
		    struct view *);
/*
 * What a viewer that stands at from, where it had the view was, has not seen,
 * up to the replica's version, with the view that it has now.  drop: all peers
 * that it may know are removed, and the rest is said anew.  Borrowed until the
 * replica changes or the next call.
 */
struct delta	*delta_get(struct replica *, struct view *was, struct view *,
		    uint64_t from, bool compress, bool drop);
/*
 * Adds the frames of a message to parts, which is empty: the shared ones, or
 * with self (may be NULL) those of the message without that node.  Nothing is
 * added if there is nothing to say.
 */
void		 note_parts(struct replica *, const struct delta *,
		    struct note *, const struct node *self, struct parts *);
/*
 * The same of a message that has begun with members of the recipient's own:
 * appends the others, if there are any, and its end.
 */
void		 note_more(struct replica *, const struct delta *,
		    struct note *, const struct node *self, struct compose *);
/* The whole node is in it, as the delta's view sees it. */
bool		 note_says(const struct note *, const struct node *);
/* Forgets what is kept: nodes may go. */
void		 deltas_clear(struct replica *);

#endif
