/*
 * Who carries which subnet route: for each prefix the online router of lowest
 * id, or the lowest of all if none is online.  Never two: clients would give
 * it to the last one (protocol.md 8.4).
 */

#include <stdlib.h>

#include "worker/tailnet/replica_int.h"

struct bid {
	struct node	*node;
	struct node_route *route;
	bool		 wins;
};

static int
bid_cmp(const void *va, const void *vb)
{
	const struct bid *a = va, *b = vb;
	int c;

	if ((c = ip_cmp(&a->route->p.addr, &b->route->p.addr)) != 0)
		return c;
	if (a->route->p.bits != b->route->p.bits)
		return a->route->p.bits < b->route->p.bits ? -1 : 1;
	if (a->node->online != b->node->online)
		return a->node->online ? -1 : 1;
	return a->node->id < b->node->id ? -1 : a->node->id > b->node->id;
}

static struct bid *
collect(const struct replica *r, size_t *count)
{
	struct bid *bid;
	struct node *n;
	size_t k = 0, all = 0;
	unsigned int i;

	TAILQ_FOREACH(n, &r->routers, router)
		all += n->nroutes;
	bid = xcalloc(all + 1, sizeof(*bid));
	TAILQ_FOREACH(n, &r->routers, router) {
		for (i = 0; i < n->nroutes; i++) {
			if (n->routes[i].exit || !n->published)
				continue;
			bid[k].node = n;
			bid[k++].route = &n->routes[i];
		}
	}
	*count = k;
	return bid;
}

void
replica_routes(struct replica *r)
{
	struct bid *bid;
	size_t i, n;

	bid = collect(r, &n);
	if (n != 0)
		qsort(bid, n, sizeof(*bid), bid_cmp);
	for (i = 0; i < n; i++)
		bid[i].wins = i == 0 || !prefix_eq(&bid[i].route->p,
		    &bid[i - 1].route->p);
	for (i = 0; i < n; i++) {
		if (bid[i].route->primary == bid[i].wins)
			continue;
		bid[i].route->primary = bid[i].wins;
		replica_note(r, bid[i].node, NC_WHOLE | NC_SELF);
	}
	free(bid);
}
