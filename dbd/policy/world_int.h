/*
 * A compiled policy and the nodes as they are, for questions about both:
 * between test*.c, why.c, diff*.c and compile.c.
 */

#ifndef DBD_POLICY_WORLD_INT_H
#define DBD_POLICY_WORLD_INT_H

#include "dbd/policy/emit_int.h"
#include "dbd/policy/policy.h"

#define NOBODY	UINT32_MAX
#define POLICY_ARENA	((size_t)192 * 1024 * 1024)	/* of a compile */

/* A text made ready for questions. */
struct compiled {
	struct arena	*arena;
	struct policy	*policy;
	struct pol	*pol;		/* as workers have it */
};

/*
 * Reads, emits, saves (appended to blob) and loads again.  False with the
 * error; compiled_free() is due in either case.
 */
bool	 compiled_make(struct compiled *, struct slice text,
	    const struct tailnet_info *, struct buf *blob, struct pol_error *);
/* The error of what ran over POLICY_ARENA, instead of any other. */
void	 compiled_no_room(struct pol_error *);
/* Fine after compiled_make() failed, too. */
void	 compiled_free(struct compiled *);

/* Addresses lo to hi; of an identity: those of its nodes, one at a time. */
struct item {
	struct ip	 lo, hi;
};

struct items {			/* zeroed is empty; items_free() */
	struct item	*v;
	uint32_t	 n;
	uint32_t	 cap;
};

struct seat {			/* an address and the node that has it */
	struct ip	 ip;
	uint32_t	 node;
};

struct world {
	struct emit	 e;		/* means what aliases mean */
	const struct pol *pol;
	const struct topology *topo;
	struct seat	*place;		/* ascending */
	size_t		 nplaces;
	struct prefix	*route;		/* all approved subnet routes */
	size_t		 nroutes;
	struct pol_hits	*hits;		/* of each node; NULL: too many */
	struct pol_hits	 scratch;	/* of one node */
	struct pol_hits	 found;		/* of one item */
	uint32_t	 tailnet;	/* POL_TAILNET's number, or NOBODY */
	uint64_t	*ident;		/* selectors that are identities */
};

/* All in the arena, but for what world_free() frees.  pol: loaded. */
void	 world_init(struct world *, struct arena *, const struct policy *,
	    const struct pol *, const struct tailnet_info *,
	    const struct topology *);
void	 world_free(struct world *);
/* Lives until the next call. */
const struct pol_hits *world_hits(struct world *, uint32_t node);
/* hits_src_at() of a node. */
bool	 world_is_src(struct world *, uint32_t src, uint32_t node);
/* Empties them. */
void	 items_free(struct items *);
/*
 * What an alias stands for, added; false if it means nothing at all: then
 * *why says what is missing, for messages.
 */
bool	 world_items(struct world *, const struct alias *, struct items *,
	    const char **why);
/* Adds the addresses of a node. */
void	 world_node(struct world *, struct items *, uint32_t node);
/* Owners of untagged nodes among the items; users_free(). */
void	 world_users(struct world *, const struct items *, struct users *);
/* Only of those that world_users() made. */
void	 users_free(struct users *);
/* The id is among them. */
bool	 users_have(const struct users *, uint64_t id);
/* Adds the devices of the users who have a node among the items. */
void	 world_own(struct world *, const struct items *of, struct items *);
/* The node is one of those that an identity alias names. */
bool	 world_names(struct world *, const struct alias *, uint32_t node,
	    const struct users *);
/* Selectors of the policy that overlap the item; lives until the next call. */
const uint64_t *world_sels(struct world *, const struct item *);
/* The nodes with an address from lo to hi: places *from to *to. */
void	 world_places(const struct world *, const struct item *, size_t *from,
	    size_t *to);
/* A text as Go's %q, in the arena. */
const char *world_quote(struct world *, struct slice);
/* A finding: a line of detail; those beyond a bound are only counted. */
struct findings {
	struct buf	*detail;
	size_t		 n;
};
void	 findings_add(struct findings *, const char *, ...)
	    __attribute__((__format__(printf, 2, 3)));
/* The line that tells of those that were only counted. */
void	 findings_end(struct findings *);
/* Numbers, in the arena: nodes with equal numbers have equal hits. */
uint32_t *world_classes(struct world *);
/* policy.md 13.3. */
void	 ssh_tests_run(struct world *, struct findings *);

#endif
