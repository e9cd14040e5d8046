/*
 * Which node carries a subnet route (policy.md 14).  Pure: no store, no clock.
 */

#ifndef DBD_ELECT_H
#define DBD_ELECT_H

#include "common/msg.h"

/* The node advertises it and it is approved. */
bool	route_effective(const struct r_node *, const struct prefix *);
/*
 * The node may be elected for it, if it is effective: it is no exit route, and
 * peers have heard of the node.
 */
bool	elect_concerns(const struct r_node *, const struct prefix *);
/* The same, and it is effective. */
bool	elect_may(const struct r_node *, const struct prefix *);
/*
 * It is online and its key has not expired at now (seconds of Unix time):
 * nobody speaks to a node whose key has.
 */
bool	elect_usable(const struct r_node *, int64_t now);
/*
 * An election among the nodes of elect_may(), given one by one in any order:
 * the better of best (NULL: none so far) and r, which is the usable one of
 * lowest id.  NULL if neither is usable.
 */
const struct r_node *elect_better(const struct r_node *best,
	    const struct r_node *r, int64_t now);

#endif
