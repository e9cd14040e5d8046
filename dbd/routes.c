#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/routeset.h"
#include "dbd/batch_int.h"
#include "dbd/objects_int.h"
#include "dbd/routes_int.h"

#define PIECE_OCTETS	(1024 * 1024)	/* of nodes that are looked at */
#define PIECE_US	US_PER_MS	/* until the next piece, */
#define PACE_US		(20 * US_PER_MS) /* or until who is behind has read, */
#define WAIT_US		(30 * US_PER_S)	/* but all in all no longer, */
#define LATE_US		US_PER_S	/* and then for each no longer */

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
	TAILQ_HEAD(carriers, carrier) carriers;
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

static void
refused_set(struct node *n, struct msg_list *list, struct buf *enc)
{
	msg_list_close(list, enc);
	buf_free(&n->refused_enc);
	n->refused = *list;
	n->refused_enc = *enc;
}

/* Appends those of the list that are in the one and not in the other. */
static void
refused_add(struct msg_list *to, struct buf *b, const struct msg_list *list,
    const struct msg_list *in, const struct msg_list *not)
{
	struct routeset these, others;
	struct msg_list it = *list;
	struct r_route r;

	routeset_of(&these, in);
	routeset_of(&others, not);
	while (msg_list_next(&it, MR_ROUTE, &r))
		if (routeset_has(&these, &r.v) && !routeset_has(&others, &r.v))
			msg_list_add(to, b, MR_ROUTE, &r);
	routeset_free(&these);
	routeset_free(&others);
}

static void
refused_clear(struct node *n)
{
	memset(&n->refused, 0, sizeof(n->refused));
	buf_free(&n->refused_enc);
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
	struct buf b = { NULL, 0, 0 };
	struct msg_list list = { 0 };

	if (n->refused.count == 0)
		return;
	refused_add(&list, &b, &n->refused, &n->r.hostinfo.routes,
	    &n->r.approved);
	refused_set(n, &list, &b);
}

void
routes_recall(struct node *n, const struct msg_list *refused)
{
	struct buf b = { NULL, 0, 0 };
	struct msg_list list = *refused;

	buf_put(&b, refused->p, refused->n);
	refused_set(n, &list, &b);
}

void
routes_refuse(struct node *n, const struct msg_list *routes)
{
	struct buf b = { NULL, 0, 0 };
	struct msg_list list = n->refused;

	buf_put(&b, n->refused.p, n->refused.n);
	refused_add(&list, &b, routes, &n->r.hostinfo.routes, &n->refused);
	refused_set(n, &list, &b);
}

/* The node carried nothing when the first of its routes was given. */
static void
carry(struct node *n, const struct prefix *p, const struct routeset *primary)
{
	struct carrier *c;
	struct route *rt;

	rt = route_get(n->tn, p);
	c = TAILQ_LAST(&rt->carriers, carriers);
	if (c != NULL && c->node == n)
		return;		/* it was there twice */
	c = xcalloc(1, sizeof(*c));
	c->node = n;
	c->route = rt;
	TAILQ_INSERT_TAIL(&rt->carriers, c, of_route);
	TAILQ_INSERT_TAIL(&n->carries, c, of_node);
	if (rt->primary == NULL && routeset_has(primary, p))
		rt->primary = n;
	set_state(rt, ROUTE_DUE);
}

void
routes_update(struct node *n)
{
	struct routeset there, primary;
	struct msg_list it = n->r.approved;
	struct carrier *c;
	struct r_route r;

	while ((c = TAILQ_FIRST(&n->carries)) != NULL)
		carrier_free(c);
	routeset_of(&there, &n->r.hostinfo.routes);
	routeset_of(&primary, &n->r.primary);
	while (msg_list_next(&it, MR_ROUTE, &r))
		if (elect_concerns(&n->r, &r.v) && routeset_has(&there, &r.v))
			carry(n, &r.v, &primary);
	routeset_free(&there);
	routeset_free(&primary);
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
	refused_clear(n);
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
	const struct carrier *c;
	const struct r_node *best = NULL;
	char text[PREFIX_TEXT];

	set_state(rt, ROUTE_IDLE);
	if (was != NULL && elect_usable(&was->r, now))
		return;
	if (was != NULL && may_be_back(was, now)) {
		set_state(rt, ROUTE_KEPT);
		return;
	}
	TAILQ_FOREACH(c, &rt->carriers, of_route)
		best = elect_better(best, &c->node->r, now);
	/* With nobody else it stays where it was, if that is anywhere. */
	if (best == NULL)
		return;
	next = node_find(rt->tn->d, best->id);
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

/* There is more to do, and what was sent is to be written first. */
static void
goes_on(struct dbd *d, uint64_t us)
{
	if (!timer_pending(&d->pieces))
		timer_in(&d->pieces, us);
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
		if (tn->d->octets >= TURN_CHANGES) {
			goes_on(tn->d, PIECE_US);
			break;
		}
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

static bool
approves(const struct tailnet *tn, const struct node *n,
    const struct r_node *r, struct msg_list *list, struct buf *b)
{
	static const struct msg_list none;
	struct routeset approved, refused;
	struct msg_list it = r->hostinfo.routes;
	struct pol_hits h;
	struct r_route route;
	bool more = false;

	node_hits(tn, r, &h);
	routeset_of(&approved, &r->approved);
	routeset_of(&refused, n != NULL ? &n->refused : &none);
	while (list->count < ROUTES_MAX &&
	    msg_list_next(&it, MR_ROUTE, &route)) {
		if (route.v.addr.family == 0 ||
		    !pol_approves(tn->pol, &h, &route.v) ||
		    routeset_has(&approved, &route.v) ||
		    routeset_has(&refused, &route.v))
			continue;
		msg_list_add(list, b, MR_ROUTE, &route);
		more = true;
	}
	hits_free(&h);
	routeset_free(&approved);
	routeset_free(&refused);
	return more;
}

bool
routes_auto(struct tailnet *tn, const struct node *n, struct r_node *r,
    struct buf *b)
{
	struct msg_list list;

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
	struct node *n;

	tn->auto_next = 1;
	tn->auto_wait = 0;
	tn->auto_said = false;
	if (tn->auto_version == tn->version)
		return;
	tn->auto_version = tn->version;
	TAILQ_FOREACH(n, &tn->nodes, all)
		if (n->refused.count != 0) {
			refused_clear(n);
			store_node(n);
		}
}

static void
auto_node(struct node *n, struct buf *b)
{
	struct dbd *d = n->tn->d;
	struct r_node r = n->r;

	if (!routes_auto(n->tn, n, &r, b))
		return;
	op_begin(d);
	node_set(n, &r);
	put_node(n);
	op_end(d);
}

/* What a node says is a measure of the work that it makes. */
static void
auto_piece(struct tailnet *tn)
{
	struct buf b = { NULL, 0, 0 };
	struct node *n;
	size_t octets = 0;

	TAILQ_FOREACH(n, &tn->nodes, all) {
		if (n->r.id < tn->auto_next)
			continue;
		if (octets >= PIECE_OCTETS)
			break;
		octets += n->enc.n;
		auto_node(n, &b);
	}
	tn->auto_next = n == NULL ? 0 : n->r.id;
	buf_free(&b);
}

/* Some worker has yet to take what it was told. */
static bool
is_behind(const struct tailnet *tn)
{
	const struct held *h;

	TAILQ_FOREACH(h, &tn->holders, of_tailnet)
		if (link_queued(h->worker->link) >= PIECE_OCTETS)
			return true;
	return false;
}

/*
 * Those who are behind are waited for, but a worker that sees to it that it
 * always is has no say in what others may do.
 */
static bool
is_waiting(struct tailnet *tn)
{
	uint64_t now = env_now(tn->d->env);

	if (!is_behind(tn))
		return false;
	if (tn->auto_wait == 0)
		tn->auto_wait = now + WAIT_US;
	if (now < tn->auto_wait)
		return true;
	if (!tn->auto_said)
		log_warnx("routes tailnet=%s: workers are behind: approval by "
		    "policy waits no longer", tn->name);
	tn->auto_said = true;
	tn->auto_wait = now + LATE_US;
	return false;
}

void
routes_pieces(void *arg)
{
	struct dbd *d = arg;
	struct tailnet *tn;

	if (env_ended(d->env))
		return;
	TAILQ_FOREACH(tn, &d->tailnets, all) {
		if (tn->auto_next == 0)
			continue;
		if (is_waiting(tn)) {
			goes_on(d, PACE_US);
			continue;
		}
		auto_piece(tn);
		if (tn->auto_next != 0)
			goes_on(d, PIECE_US);
	}
}

/* The end of a turn. */

void
routes_settle(struct dbd *d)
{
	struct tailnet *tn;

	if (env_ended(d->env))
		return;
	TAILQ_FOREACH(tn, &d->tailnets, all)
		settle(tn);
}
