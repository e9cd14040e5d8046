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

/*
 * Refused routes: advertised, and taken back by an administrator.  That holds
 * against the policy in force, which would approve them again.
 */

static bool
is_refused(const struct node *n, const struct prefix *p)
{
	struct prefix other;
	size_t at;

	for (at = 0; at < n->refused.n; at += sizeof(other)) {
		memcpy(&other, n->refused.p + at, sizeof(other));
		if (prefix_eq(&other, p))
			return true;
	}
	return false;
}

static void
refuse(struct node *n, const struct prefix *p)
{
	if (!is_refused(n, p))
		buf_put(&n->refused, p, sizeof(*p));
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

bool
route_effective(const struct r_node *r, const struct prefix *p)
{
	return msg_routes_have(&r->approved, p) &&
	    msg_routes_have(&r->hostinfo.routes, p);
}

bool
routes_same(const struct r_node *a, const struct r_node *b)
{
	return a->published == b->published &&
	    msg_list_eq(&a->approved, &b->approved) &&
	    msg_list_eq(&a->hostinfo.routes, &b->hostinfo.routes);
}

/* Withdrawn, it may be advertised anew; approved, it is not refused. */
static void
refused_prune(struct node *n)
{
	struct prefix p;
	size_t at, kept = 0;

	for (at = 0; at < n->refused.n; at += sizeof(p)) {
		memcpy(&p, n->refused.p + at, sizeof(p));
		if (!msg_routes_have(&n->r.hostinfo.routes, &p) ||
		    msg_routes_have(&n->r.approved, &p))
			continue;
		memcpy(n->refused.p + kept, &p, sizeof(p));
		kept += sizeof(p);
	}
	n->refused.n = kept;
}

void
routes_refuse(struct node *n, const struct msg_list *routes)
{
	struct msg_list it = *routes;
	struct r_route r;

	while (msg_list_next(&it, MR_ROUTE, &r))
		if (msg_routes_have(&n->r.hostinfo.routes, &r.v) &&
		    !msg_routes_have(&n->r.approved, &r.v))
			refuse(n, &r.v);
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
	if (rt->primary == NULL && msg_routes_have(&n->r.primary, p))
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
			    msg_routes_have(&n->r.hostinfo.routes, &r.v))
				carry(n, &r.v);
	if (n->r.primary.count != 0 || !TAILQ_EMPTY(&n->carries))
		unsettle(n);
	refused_prune(n);
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
	buf_free(&n->refused);
}

void
routes_look(struct node *n)
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

/* Nobody speaks to a node whose key has expired, online or not. */
static bool
is_usable(const struct node *n, int64_t now)
{
	return n->r.online && !node_expired(n, now);
}

static struct node *
lowest(const struct route *rt, bool usable, int64_t now)
{
	const struct carrier *c;
	struct node *best = NULL;

	TAILQ_FOREACH(c, &rt->carriers, of_route)
		if ((!usable || is_usable(c->node, now)) &&
		    (best == NULL || c->node->r.id < best->r.id))
			best = c->node;
	return best;
}

/*
 * It may have been online until now, and nobody has heard of it yet.  After a
 * full start those that were are presumed to be so still, and no others.
 */
static bool
may_be_back(const struct node *n, int64_t now)
{
	const struct dbd *d = n->tn->d;

	return d->in_window && !d->full_start && n->sessions == 0 &&
	    !node_expired(n, now);
}

static void
elect(struct route *rt)
{
	struct node *was = rt->primary, *next;
	int64_t now = env_wall(rt->tn->d->env);
	char text[PREFIX_TEXT];

	set_state(rt, ROUTE_IDLE);
	if (was != NULL && is_usable(was, now))
		return;
	if (was != NULL && may_be_back(was, now)) {
		set_state(rt, ROUTE_KEPT);
		return;
	}
	if ((next = lowest(rt, true, now)) == NULL)
		next = was != NULL ? was : lowest(rt, false, now);
	if (next == was)
		return;
	rt->primary = next;
	if (was != NULL)
		unsettle(was);
	unsettle(next);
	(void)prefix_print(text, &rt->prefix);
	batch_log(rt->tn->d, "route tailnet=%s prefix=%s node=%llu name=%s",
	    rt->tn->name, text, (unsigned long long)next->r.id,
	    log_vis(next->r.name));
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

/* Approval by policy. */

static void
node_hits(const struct tailnet *tn, const struct r_node *r,
    struct pol_hits *h)
{
	const struct prefix range[2] = { tn->d->conf.prefix4,
	    tn->d->conf.prefix6 };
	struct msg_list it = r->tags;
	struct slice tag[64];
	struct pol_node facts;
	struct r_text t;

	memset(&facts, 0, sizeof(facts));
	facts.user = r->tags.count == 0 ? r->user : 0;
	while (facts.ntags < 64 && msg_list_next(&it, MR_TEXT, &t))
		tag[facts.ntags++] = t.v;
	facts.tag = tag;
	facts.ip4 = r->ip4;
	facts.ip6 = r->ip6;
	hits_init(h, tn->pol);
	hits_of(h, tn->pol, &facts, range);
}

/*
 * What the policy in force approves and is not approved was taken back before
 * our start.  In an alarm nobody knows: then all that waits goes on waiting.
 */
static void
recall_node(struct node *n)
{
	const struct tailnet *tn = n->tn;
	struct msg_list it = n->r.hostinfo.routes;
	struct pol_hits h;
	struct r_route r;

	if (it.count == 0 || (!tn->alarm && tn->pol->napprovers == 0))
		return;
	node_hits(tn, &n->r, &h);
	while (msg_list_next(&it, MR_ROUTE, &r))
		if (r.v.addr.family != 0 &&
		    !msg_routes_have(&n->r.approved, &r.v) &&
		    (tn->alarm || pol_approves(tn->pol, &h, &r.v)))
			refuse(n, &r.v);
	hits_free(&h);
}

/* Once, before anything is approved and while the policy is still the old. */
static void
recall(struct tailnet *tn)
{
	struct node *n;

	if (tn->recalled)
		return;
	tn->recalled = true;
	tn->auto_version = tn->version;
	TAILQ_FOREACH(n, &tn->nodes, all)
		recall_node(n);
}

static bool
approves(const struct tailnet *tn, const struct node *n,
    const struct r_node *r, struct msg_list *list, struct buf *b)
{
	struct msg_list it = r->hostinfo.routes;
	struct pol_hits h;
	struct r_route route;
	bool more = false;

	node_hits(tn, r, &h);
	while (list->count < ROUTES_MAX &&
	    msg_list_next(&it, MR_ROUTE, &route)) {
		if (route.v.addr.family == 0 ||
		    !pol_approves(tn->pol, &h, &route.v) ||
		    msg_routes_have(&r->approved, &route.v) ||
		    (n != NULL && is_refused(n, &route.v)))
			continue;
		msg_list_add(list, b, MR_ROUTE, &route);
		more = true;
	}
	hits_free(&h);
	return more;
}

bool
routes_auto(struct tailnet *tn, const struct node *n, struct r_node *r,
    struct buf *b)
{
	struct msg_list list;

	recall(tn);
	if (r->hostinfo.routes.count == 0 || tn->pol->napprovers == 0)
		return false;
	list = r->approved;
	buf_clear(b);
	buf_put(b, r->approved.p, r->approved.n);
	if (!approves(tn, n, r, &list, b))
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
	bool fresh = tn->auto_version != tn->version;

	tn->recalled = true;
	tn->auto_version = tn->version;
	TAILQ_FOREACH(n, &tn->nodes, all) {
		if (fresh)
			buf_clear(&n->refused);
		r = n->r;
		if (!routes_auto(tn, n, &r, &b))
			continue;
		node_set(n, &r);
		put_node(n);
	}
	buf_free(&b);
}

/* The end of a turn. */

void
routes_settle(struct dbd *d)
{
	struct tailnet *tn;

	/* op_begin() may end a turn itself. */
	if (d->settling || env_ended(d->env))
		return;
	d->settling = true;
	TAILQ_FOREACH(tn, &d->tailnets, all) {
		recall(tn);
		settle(tn);
	}
	d->settling = false;
}
