/*
 * The policy in force, and the classes that it tells nodes apart by
 * (state.md 6).  Two nodes of one class are treated alike but for their own
 * addresses, their owner and the routes that they carry.
 */

#ifndef WORKER_TAILNET_CLASS_INT_H
#define WORKER_TAILNET_CLASS_INT_H

#include <sys/queue.h>

#include "common/pol_hit.h"
#include "worker/tailnet/idmap.h"

struct group;
struct holding;
struct node;
struct pack;
struct replica;
struct user;
struct view;

TAILQ_HEAD(member_list, node);

struct class {
	struct class	*next;		/* with the same hash */
	struct ruleset	*rules;
	struct pol_hits	 hits;
	uint64_t	 hash;
	uint32_t	 index;		/* dense within its ruleset */
	struct node	*only;		/* a wide router: a class of its own */
	uint64_t	 router;	/* its id; or 0 */
	struct member_list members;	/* all nodes, published or not */
	uint32_t	 nmembers;
	bool		 self;		/* untagged, and rows or SSH rules of
					 * autogroup:self may apply: the owner
					 * matters too */
	bool		 covered;	/* sources of a self row select it */
	/* Rows, as bits; rows of autogroup:self are in at alone. */
	uint64_t	*at;		/* a source is its address, identity */
	uint64_t	*src;		/* or a route of it */
	uint64_t	*dst;		/* a destination is one of these, or
					 * the Internet behind it */
	uint64_t	*via;		/* it carries a via tag, and a route to
					 * some destination */
	struct group	*group[2];	/* without and with routes; or NULL */
	struct idmap	 views[2];	/* by owner; by that and load */
	struct view	*alone;
};

/*
 * A policy in force, or one that was, while streams stand at its views.
 * Counted; classes live as long as their ruleset.
 */
struct ruleset {
	struct pol	*pol;
	uint32_t	*pol_refs;	/* rulesets of it */
	struct class	**bucket;
	uint32_t	 nbuckets;
	struct class	**class;	/* by index */
	uint32_t	 nclasses;
	uint32_t	 nlive;		/* of these: have members */
	uint32_t	 class_cap;
	struct group	**group;	/* by index */
	uint32_t	 ngroups;
	uint32_t	 group_cap;
	uint32_t	 refs;
	bool		 has_self;	/* some row or SSH rule is self */
	bool		 self_rows;	/* some row is */
	bool		 has_wide;	/* of these: some router is or was
					 * wide */
	bool		 has_via;	/* some row has a way */
	uint32_t	 words;		/* of a set of rows */
	uint64_t	*plain;		/* rows that are neither self nor via */
	uint64_t	*inet;		/* of these: cover the Internet */
};

#define ROW_HAS(words, row) \
	(((words)[(row) / 64] >> ((row) % 64) & 1) != 0)
#define ROW_SET(words, row) \
	((words)[(row) / 64] |= UINT64_C(1) << (row) % 64)

/* Takes over the policy; the caller has one reference. */
struct ruleset	*ruleset_new(struct pol *);
/* The same policy without any class; the caller has one reference. */
struct ruleset	*ruleset_again(const struct ruleset *);
/*
 * Classes come with what nodes are and stay when nobody is that any more: so
 * many are without members that it is time for ruleset_again().  wait: a later
 * time will do, too.
 */
bool		 ruleset_is_stale(const struct ruleset *, bool wait);
struct ruleset	*ruleset_ref(struct ruleset *);
void		 ruleset_unref(struct ruleset *);

/* Bounds of what a node has (msg.tbl, record node). */
#define FACTS_TAGS	64
#define FACTS_ROUTES	1024

/*
 * What a policy looks at of a node, borrowed from it.  There is room for
 * FACTS_TAGS and FACTS_ROUTES.
 */
void		 class_facts(const struct node *, struct pol_node *,
		    struct slice *tags, struct prefix *routes);
/*
 * Puts the node into its class under the replica's ruleset, making the class
 * if it is the first of its kind; true if it is another than before.  To be
 * called after each change of owner, tags, addresses or approved routes.
 */
bool		 class_place(struct replica *, struct node *);
/*
 * What route k of the node alone hits, in by: initialized here, to be freed
 * with hits_free().
 */
void		 class_route(struct replica *, const struct node *,
		    unsigned int k, struct pol_hits *);
/* Out of its class: it is deleted, or the policy is another. */
void		 class_leave(struct replica *, struct node *);
/*
 * Wide routers hit what nodes hit that they carry: to be called when nodes
 * are others, before anybody is told of it.  fn: the router's class is
 * another now.
 */
void		 class_widen(struct replica *, void (*fn)(struct replica *,
		    struct node *));
/*
 * What a wide router carries, if rows of autogroup:self ask for it; or NULL.
 * Right once class_widen() has been called.
 */
struct holding	*class_holding(const struct node *);
/*
 * Nodes of one class see those of the other (policy.md 10.1), whoever their
 * owners are; same: they are untagged nodes of one owner.
 */
bool		 class_sees(const struct class *, const struct class *,
		    bool same);

#endif
