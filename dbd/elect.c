#include "dbd/elect.h"

bool
route_effective(const struct r_node *r, const struct prefix *p)
{
	return msg_routes_have(&r->approved, p) &&
	    msg_routes_have(&r->hostinfo.routes, p);
}

bool
elect_concerns(const struct r_node *r, const struct prefix *p)
{
	return r->published && p->addr.family != 0 && p->bits != 0;
}

bool
elect_may(const struct r_node *r, const struct prefix *p)
{
	return elect_concerns(r, p) && route_effective(r, p);
}

bool
elect_usable(const struct r_node *r, int64_t now)
{
	return r->online && (r->expiry == 0 || r->expiry > now);
}

const struct r_node *
elect_better(const struct r_node *best, const struct r_node *r, int64_t now)
{
	if (!elect_usable(r, now) || (best != NULL && best->id < r->id))
		return best;
	return r;
}
