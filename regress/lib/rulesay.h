/*
 * Who is to see whom and which routes, said again as slowly as it is written
 * in policy.md 4 to 10: in addresses, by rules compiled for each node, without
 * anything that the server has for it.
 */

#ifndef REGRESS_LIB_RULESAY_H
#define REGRESS_LIB_RULESAY_H

#include "regress/lib/rulekit.h"

struct rulesay;

/*
 * Of so many nodes under the policy; both are borrowed and must not change.
 * Nodes are named by their place in the list.
 */
struct rulesay	*rulesay_new(struct rulekit *, const struct fnode *const *,
		    unsigned int n);
void		 rulesay_free(struct rulesay *);
/* policy.md 10.1, by the rules of both. */
bool		 rulesay_peers(struct rulesay *, unsigned int,
		    unsigned int);

/* A route that is advertised and approved. */
struct say_route {
	char		 text[24];
	bool		 exit;
	bool		 primary;	/* the node is elected for it */
};

/* The k-th of the node, in the order of its record; NULL: no more. */
const struct say_route *rulesay_route(const struct rulesay *, unsigned int,
		    unsigned int k);
/* policy.md 10.3: the viewer is shown the peer's k-th. */
bool		 rulesay_shows(struct rulesay *, unsigned int viewer,
		    unsigned int peer, unsigned int k);

#endif
