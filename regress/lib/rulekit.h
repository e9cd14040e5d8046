/* Compiled policies made by tests without text: at random, or row by row. */

#ifndef REGRESS_LIB_RULEKIT_H
#define REGRESS_LIB_RULEKIT_H

#include "common/env.h"
#include "common/pol_hit.h"
#include "regress/lib/tnfeed.h"

/* Selectors that every rulekit has; tags are tag:t0 to tag:t5. */
enum pk_sel {
	PK_ANY, PK_TAILNET, PK_MEMBER, PK_TAGGED,
	PK_T0, PK_T1, PK_T2, PK_T3, PK_T4, PK_T5,
	PK_U1, PK_U2, PK_U3, PK_U12,	/* users 1, 2, 3; 1 and 2 */
	PK_SUBNET,			/* 10.1.0.0/16: what bit 2 routes */
	PK_WITHIN,			/* 10.1.2.0/24 */
	PK_AROUND,			/* 10.0.0.0/8 */
	PK_ELSEWHERE,			/* 192.0.2.0/24 */
	PK_SUBNET6,			/* fd00:1::/64: what bit 4 routes */
	PK_NODE1, PK_NODE2, PK_NODE3,	/* 100.64.0.1 to 3 */
	PK_NODES,			/* 100.64.0.0/27 */
	PK_INET,			/* some of autogroup:internet */
	PK_SELS
};

#define PK_ROWS		24
#define PK_LISTS	96

struct rulekit {
	struct pol	 pol;
	struct pol_sel	 sel[PK_SELS];
	struct pol_src	 src[PK_LISTS];
	struct pol_row	 row[PK_ROWS];
	struct pol_ssh	 ssh[2];
	struct pol_attr	 attr[3];
	uint32_t	 num[PK_LISTS][8];	/* lists of selectors */
	uint32_t	 nlists;
	struct pol_dst	 dst[PK_ROWS][4];
	struct pol	*loaded;
};

/* Without rows. */
void	 pk_init(struct rulekit *);
void	 pk_free(struct rulekit *);
/* A set of sources; ends with -1.  Ascending. */
uint32_t pk_src(struct rulekit *, int sel, ...);
/*
 * A row from a set of sources to one selector, all ports; flags: POL_ROW_.
 * Later calls of pk_dst() add to it, of pk_via() a tag.
 */
void	 pk_row(struct rulekit *, uint32_t src, enum pk_sel dst,
	    unsigned int flags);
void	 pk_dst(struct rulekit *, enum pk_sel dst);
void	 pk_via(struct rulekit *, enum pk_sel tag);
/* An attribute, or disable-ipv4. */
void	 pk_attr(struct rulekit *, uint32_t src, bool no_ip4);
/* Any policy. */
void	 pk_random(struct rulekit *, struct env *);
/* The same as it comes out of its blob, for questions; borrowed. */
const struct pol *pk_pol(struct rulekit *);

/* What the policy looks at of a node of the test; all is in here. */
struct pk_node {
	struct pol_node	 node;
	struct pol_hits	 hits;
	struct slice	 tag[8];
	char		 text[8][16];
	struct prefix	 route[8];
};

/* pk_node_free() frees it. */
void	 pk_node(struct pk_node *, struct rulekit *, const struct fnode *);
void	 pk_node_free(struct pk_node *);

#endif
