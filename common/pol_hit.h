/*
 * A compiled policy asked about nodes.  What a policy can tell of a node is
 * its hits: two nodes with equal hits are treated alike but for their own
 * addresses, their owner (rows of autogroup:self) and the routes that they
 * carry.
 */

#ifndef COMMON_POL_HIT_H
#define COMMON_POL_HIT_H

#include "common/pol.h"

/* What a policy looks at.  All is borrowed. */
struct pol_node {
	uint64_t	 user;		/* 0: tagged */
	const struct slice *tag;
	size_t		 ntags;
	struct ip	 ip4, ip6;	/* family 0: none */
	const struct prefix *route;	/* approved, exit routes too */
	size_t		 nroutes;
	const uint64_t	*held;		/* pol_visible() alone: owners of whom
					 * an untagged node lies in one of its
					 * subnet routes */
	size_t		 nheld;
};

/* Of one node; as octets equal if and only if the hits are. */
struct pol_hits {
	uint32_t	 nsels;
	bool		 ip4, ip6;	/* it has such an address */
	bool		 exit;		/* an approved exit node */
	bool		 tagged;
	bool		 wide;		/* an approved subnet route of it
					 * overlaps the tailnet's own range:
					 * hits_widen() */
	/*
	 * nsels bits each.  at: the node's address or identity is selected
	 * (identities count whatever the address).  by: an approved subnet
	 * route of it overlaps a POL_RANGE; POL_ANY and POL_TAILNET if it has
	 * any.
	 */
	uint64_t	*at;
	uint64_t	*by;
};

#define POL_HIT(words, sel) \
	(((words)[(sel) / 64] >> ((sel) % 64) & 1) != 0)
#define POL_WORDS(p)	(((size_t)(p)->nsels + 63) / 64)

/* Two arrays of POL_WORDS() each; hits_free() frees them. */
void	 hits_init(struct pol_hits *, const struct pol *);
void	 hits_free(struct pol_hits *);
/*
 * Fills h; range: the tailnet's own prefixes (v4, v6), for wide; family 0
 * where it has none.  Costs a look-up per tag and user and one comparison per
 * distinct range and address or route.
 */
void	 hits_of(struct pol_hits *h, const struct pol *,
	    const struct pol_node *, const struct prefix range[2]);
/*
 * A wide router carries the addresses of nodes, so identities too can lie in
 * its routes: adds to by what the node m hits, if an approved subnet route of
 * the router covers an address of m.  To be done for every other node.
 */
void	 hits_widen(struct pol_hits *router, const struct pol *,
	    const struct pol_node *, const struct pol_node *m,
	    const struct pol_hits *mh);

/* An identity or address of the node, or a route of it, is in the set. */
bool	 hits_src(const struct pol *, uint32_t src, const struct pol_hits *);
/*
 * The same of address and identity alone: what puts its addresses into
 * SrcIPs by way of an identity, or lets it speak under autogroup:self.
 */
bool	 hits_src_at(const struct pol *, uint32_t src, const struct pol_hits *);
/*
 * A destination of a row (neither self nor via) is the node, its routes, or
 * the Internet behind it (policy.md 10.1).
 */
bool	 hits_dst(const struct pol_row *, const struct pol_hits *);
/* It carries one of the row's via tags. */
bool	 hits_via(const struct pol_row *, const struct pol_hits *);
/*
 * What a via row sends to b by way of v, who has one of its tags: of the
 * destinations only what v carries counts, and of these only addresses
 * (policy.md 8).  With b = v: to v itself, whom alone what is not sent
 * reaches: "*" of a row with caps (POL_TAILNET).
 */
bool	 hits_way(const struct pol *, const struct pol_row *,
	    const struct pol_hits *v, const struct pol_hits *b);
/* It selects addresses, and not who has them. */
bool	 sel_is_addr(const struct pol_sel *);

/*
 * policy.md 10.1 for two nodes under all rows, self and via included.  Hits of
 * wide routers are widened, and it is said of whom they hold nodes: rows of
 * autogroup:self name addresses, too (policy.md 7).  O(rows): for explanations
 * and tests.
 */
bool	 pol_visible(const struct pol *, const struct pol_node *,
	    const struct pol_hits *, const struct pol_node *,
	    const struct pol_hits *);

/* policy.md 14: the policy approves the advertised route for the node. */
bool	 pol_approves(const struct pol *, const struct pol_hits *,
	    const struct prefix *);
/* policy.md 15: the tag is defined; the user may put it on a node. */
bool	 pol_tag_defined(const struct pol *, struct slice tag);
bool	 pol_tag_owner(const struct pol *, struct slice tag, uint64_t user);
/*
 * policy.md 11.5: the period of the first check rule that lets src reach dst,
 * as seconds (0: each time); -1 if there is none.  same: one untagged owner.
 */
int64_t	 pol_check_period(const struct pol *, const struct pol_hits *src,
	    const struct pol_hits *dst, bool same);

#endif
