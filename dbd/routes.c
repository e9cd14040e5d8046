#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "dbd/batch_int.h"
#include "dbd/objects_int.h"
#include "dbd/routes_int.h"

/* A node that may carry a route. */
struct carrier {
	TAILQ_ENTRY(carrier)	 of_route;
	TAILQ_ENTRY(carrier)	 of_node;
	struct route		*route;
	struct node		*node;
};

enum route_state {
	ROUTE_IDLE,
	ROUTE_DUE,		/* to be looked at by routes_settle() */
	ROUTE_KEPT		/* the same once the window is over */
};

/* A subnet route that some node advertises and that is approved for it. */
struct route {
	struct ixlink		 by_prefix;	/* tailnet */
	struct tailnet		*tn;
	struct prefix		 prefix;
	TAILQ_HEAD(, carrier)	 carriers;
	struct node		*primary;	/* one of these, or NULL */
	enum route_state	 state;
	TAILQ_ENTRY(route)	 due;		/* unless idle */
};

static struct route_list *
list_of(struct tailnet *tn, enum route_state state)
{
	return state == ROUTE_DUE ? &tn->routes_due : &tn->routes_kept;
}

static void
set_state(struct route *rt, enum route_state state)
{
	if (rt->state == state)
		return;
	if (rt->state != ROUTE_IDLE)
		TAILQ_REMOVE(list_of(rt->tn, rt->state), rt, due);
	rt->state = state;
	if (state != ROUTE_IDLE)
		TAILQ_INSERT_TAIL(list_of(rt->tn, state), rt, due);
}

static void
unsettle(struct node *n)
{
	if (n->unsettled)
		return;
	n->unsettled = true;
	TAILQ_INSERT_TAIL(&n->tn->unsettled, n, settle);
}

void
routes_init(struct tailnet *tn)
{
	ix_init(&tn->routes, tn->d->env);
	TAILQ_INIT(&tn->routes_due);
	TAILQ_INIT(&tn->routes_kept);
	TAILQ_INIT(&tn->unsettled);
}

void
routes_free(struct tailnet *tn)
{
	ix_free(&tn->routes);
}

/* The prefix as a key: family, length and address. */
static void
prefix_key(uint8_t key[18], const struct prefix *p)
{
	key[0] = p->addr.family;
	key[1] = p->bits;
	memcpy(key + 2, p->addr.b, 16);
}

static struct route *
route_get(struct tailnet *tn, const struct prefix *p)
{
	struct ixlink *l;
	struct route *rt;
	uint8_t key[18];

	prefix_key(key, p);
	for (l = ix_find(&tn->routes, key, sizeof(key)); l != NULL;
	    l = ix_more(l)) {
		rt = l->obj;
		if (prefix_eq(&rt->prefix, p))
			return rt;
	}
	rt = xcalloc(1, sizeof(*rt));
	rt->tn = tn;
	rt->prefix = *p;
	TAILQ_INIT(&rt->carriers);
	ix_add(&tn->routes, &rt->by_prefix, key, sizeof(key), rt);
	return rt;
}

static void
carrier_free(struct carrier *c)
{
	struct route *rt = c->route;

	if (rt->primary == c->node)
		rt->primary = NULL;
	TAILQ_REMOVE(&rt->carriers, c, of_route);
	TAILQ_REMOVE(&c->node->carries, c, of_node);
	free(c);
	if (!TAILQ_EMPTY(&rt->carriers)) {
		set_state(rt, ROUTE_DUE);
		return;
	}
	set_state(rt, ROUTE_IDLE);
	ix_del(&rt->tn->routes, &rt->by_prefix);
	free(rt);
}

static bool
in_list(const struct msg_list *list, const struct prefix *p)
{
	struct msg_list it = *list;
	struct r_route r;

	while (msg_list_next(&it, MR_ROUTE, &r))
		if (prefix_eq(&r.v, p))
			return true;
	return false;
}

bool
route_effective(const struct r_node *r, const struct prefix *p)
{
	return in_list(&r->approved, p) && in_list(&r->hostinfo.routes, p);
}

bool
routes_same(const struct r_node *a, const struct r_node *b)
{
	return a->published == b->published &&
	    msg_list_eq(&a->approved, &b->approved) &&
	    msg_list_eq(&a->hostinfo.routes, &b->hostinfo.routes);
}

static bool
carries(const struct node *n, const struct route *rt)
{
	const struct carrier *c;

	TAILQ_FOREACH(c, &n->carries, of_node)
		if (c->route == rt)
			return true;
	return false;
}

static void
carry(struct node *n, const struct prefix *p)
{
	struct carrier *c;
	struct route *rt;

	rt = route_get(n->tn, p);
	if (carries(n, rt))
		return;
	c = xcalloc(1, sizeof(*c));
	c->node = n;
	c->route = rt;
	TAILQ_INSERT_TAIL(&rt->carriers, c, of_route);
	TAILQ_INSERT_TAIL(&n->carries, c, of_node);
	if (rt->primary == NULL && in_list(&n->r.primary, p))
		rt->primary = n;
	set_state(rt, ROUTE_DUE);
}

void
routes_update(struct node *n)
{
	struct msg_list it = n->r.approved;
	struct carrier *c;
	struct r_route r;

	while ((c = TAILQ_FIRST(&n->carries)) != NULL)
		carrier_free(c);
	if (n->r.published)
		while (msg_list_next(&it, MR_ROUTE, &r))
			if (r.v.addr.family != 0 && r.v.bits != 0 &&
			    in_list(&n->r.hostinfo.routes, &r.v))
				carry(n, &r.v);
	if (n->r.primary.count != 0 || !TAILQ_EMPTY(&n->carries))
		unsettle(n);
}

void
routes_drop(struct node *n)
{
	struct carrier *c;

	while ((c = TAILQ_FIRST(&n->carries)) != NULL)
		carrier_free(c);
	if (n->unsettled)
		TAILQ_REMOVE(&n->tn->unsettled, n, settle);
	n->unsettled = false;
}

void
routes_online(struct node *n)
{
	struct carrier *c;

	TAILQ_FOREACH(c, &n->carries, of_node)
		set_state(c->route, ROUTE_DUE);
}

void
routes_window_over(struct dbd *d)
{
	struct tailnet *tn;
	struct route *rt;

	TAILQ_FOREACH(tn, &d->tailnets, all)
		while ((rt = TAILQ_FIRST(&tn->routes_kept)) != NULL)
			set_state(rt, ROUTE_DUE);
}

/* Election. */

static struct node *
lowest(const struct route *rt, bool online)
{
	const struct carrier *c;
	struct node *best = NULL;

	TAILQ_FOREACH(c, &rt->carriers, of_route)
		if ((!online || c->node->r.online) &&
		    (best == NULL || c->node->r.id < best->r.id))
			best = c->node;
	return best;
}

/* It may have been online until now, and nobody has heard of it yet. */
static bool
may_be_back(const struct node *n)
{
	return n->tn->d->in_window && n->sessions == 0;
}

static void
elect(struct route *rt)
{
	struct node *was = rt->primary, *now;
	char text[PREFIX_TEXT];

	set_state(rt, ROUTE_IDLE);
	if (was != NULL && was->r.online)
		return;
	if (was != NULL && may_be_back(was)) {
		set_state(rt, ROUTE_KEPT);
		return;
	}
	if ((now = lowest(rt, true)) == NULL)
		now = was != NULL ? was : lowest(rt, false);
	if (now == was)
		return;
	rt->primary = now;
	if (was != NULL)
		unsettle(was);
	unsettle(now);
	(void)prefix_print(text, &rt->prefix);
	batch_log(rt->tn->d, "route tailnet=%s prefix=%s node=%llu name=%s",
	    rt->tn->name, text, (unsigned long long)now->r.id,
	    log_vis(now->r.name));
}

/* The routes that it is elected for, in the order of the approved ones. */
static void
primaries(struct node *n, struct msg_list *list, struct buf *b)
{
	const struct carrier *c;
	struct r_route r;

	memset(list, 0, sizeof(*list));
	TAILQ_FOREACH(c, &n->carries, of_node)
		if (c->route->primary == n) {
			r.v = c->route->prefix;
			msg_list_add(list, b, MR_ROUTE, &r);
		}
	msg_list_close(list, b);
}

static void
settle(struct tailnet *tn)
{
	struct buf b = { NULL, 0, 0 };
	struct msg_list list;
	struct route *rt;
	struct r_node r;
	struct node *n;
	bool open = false;

	while ((rt = TAILQ_FIRST(&tn->routes_due)) != NULL)
		elect(rt);
	while ((n = TAILQ_FIRST(&tn->unsettled)) != NULL) {
		TAILQ_REMOVE(&tn->unsettled, n, settle);
		n->unsettled = false;
		buf_clear(&b);
		primaries(n, &list, &b);
		if (msg_list_eq(&list, &n->r.primary))
			continue;
		if (!open)
			op_begin(tn->d);
		open = true;
		r = n->r;
		r.primary = list;
		node_set(n, &r);
		put_node(n);
	}
	if (open)
		op_end(tn->d);
	buf_free(&b);
}

void
routes_settle(struct dbd *d)
{
	struct tailnet *tn;

	/* op_begin() may end a turn itself. */
	if (d->settling || env_ended(d->env))
		return;
	d->settling = true;
	TAILQ_FOREACH(tn, &d->tailnets, all)
		settle(tn);
	d->settling = false;
}

/* Approval by policy. */

static bool
approves(const struct tailnet *tn, const struct pol_hits *h,
    const struct r_node *r, struct msg_list *list, struct buf *b)
{
	struct msg_list it = r->hostinfo.routes;
	struct r_route route;
	bool more = false;

	while (list->count < ROUTES_MAX &&
	    msg_list_next(&it, MR_ROUTE, &route)) {
		if (route.v.addr.family == 0 ||
		    !pol_approves(tn->pol, h, &route.v) ||
		    in_list(&r->approved, &route.v))
			continue;
		msg_list_add(list, b, MR_ROUTE, &route);
		more = true;
	}
	return more;
}

bool
routes_auto(const struct tailnet *tn, struct r_node *r, struct buf *b)
{
	const struct prefix range[2] = { tn->d->conf.prefix4,
	    tn->d->conf.prefix6 };
	struct msg_list it = r->tags, list;
	struct slice tag[64];
	struct pol_node facts;
	struct pol_hits h;
	struct r_text t;
	bool more;

	if (r->hostinfo.routes.count == 0 || tn->pol->napprovers == 0)
		return false;
	memset(&facts, 0, sizeof(facts));
	facts.user = r->tags.count == 0 ? r->user : 0;
	while (facts.ntags < 64 && msg_list_next(&it, MR_TEXT, &t))
		tag[facts.ntags++] = t.v;
	facts.tag = tag;
	facts.ip4 = r->ip4;
	facts.ip6 = r->ip6;
	hits_init(&h, tn->pol);
	hits_of(&h, tn->pol, &facts, range);
	list = r->approved;
	buf_clear(b);
	buf_put(b, r->approved.p, r->approved.n);
	more = approves(tn, &h, r, &list, b);
	hits_free(&h);
	if (!more)
		return false;
	msg_list_close(&list, b);
	r->approved = list;
	return true;
}

void
routes_auto_all(struct tailnet *tn)
{
	struct buf b = { NULL, 0, 0 };
	struct r_node r;
	struct node *n;

	TAILQ_FOREACH(n, &tn->nodes, all) {
		r = n->r;
		if (!routes_auto(tn, &r, &b))
			continue;
		node_set(n, &r);
		put_node(n);
	}
	buf_free(&b);
}
