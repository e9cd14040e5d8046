/*
 * Who is shown which routes (policy.md 10.3).  What the rows of the policy say
 * of each route is worked out once, as sets of rows; a viewer's share of it
 * is then a matter of a few words.
 */

#include <stdlib.h>
#include <string.h>

#include "worker/tailnet/filter_int.h"
#include "worker/tailnet/replica_int.h"
#include "worker/tailnet/view_int.h"

struct rows {
	uint64_t	*src;		/* the route overlaps a source */
	uint64_t	*dst;		/* or a destination; of exit routes:
					 * it covers the Internet */
	uint64_t	*win;		/* via: it is this node's */
};

struct route_rows {
	const struct ruleset *rules;
	struct rows	*row;		/* of each route */
	uint64_t	*words;
};

void
route_rows_free(struct node *n)
{
	if (n->rows == NULL)
		return;
	free(n->rows->row);
	free(n->rows->words);
	free(n->rows);
	n->rows = NULL;
}

/* Registered earlier. */
static bool
before(const struct node *a, const struct node *b)
{
	return a->created != b->created ? a->created < b->created :
	    a->id < b->id;
}

/*
 * Of all nodes that carry one of the row's tags and have exactly this route,
 * the node registered first.
 */
static bool
wins(const struct replica *r, const struct pol_row *row,
    const struct node *n, const struct prefix *p)
{
	const struct carriers *list = carried_by(r, p);
	const struct carrier *c;

	if (!hits_via(row, &n->class->hits))
		return false;
	LIST_FOREACH(c, list, of_route)
		if (c->node != n && c->node->class != NULL &&
		    before(c->node, n) &&
		    hits_via(row, &c->node->class->hits))
			return false;
	return true;
}

static bool
by_src(const struct pol *p, const struct pol_row *row,
    const struct pol_hits *h)
{
	const struct pol_src *s = &p->src[row->src];
	uint32_t i;

	for (i = 0; i < s->n; i++)
		if (POL_HIT(h->by, s->sel[i]))
			return true;
	return false;
}

/* The route, which hits h, leads to a destination of the row. */
static bool
leads_to(const struct pol *p, const struct pol_row *row, bool exit,
    const struct pol_hits *h)
{
	bool via = (row->flags & POL_ROW_VIA) != 0;
	const struct pol_sel *s;
	uint32_t i;

	if (exit && !via)
		return (row->flags & POL_ROW_INET) != 0;
	for (i = 0; i < row->ndst; i++) {
		s = &p->sel[row->dst[i].sel];
		if (exit ? s->inet || s->kind == POL_ANY :
		    (!via || (sel_is_addr(s) && !s->inet)) &&
		    POL_HIT(h->by, row->dst[i].sel))
			return true;
	}
	return false;
}

static void
look_at(struct replica *r, const struct node *n, unsigned int k,
    struct rows *w)
{
	const struct node_route *route = &n->routes[k];
	const struct pol *p = r->rules->pol;
	const struct pol_row *row;
	struct pol_hits h;
	uint32_t i;

	class_route(r, n, k, &h);
	for (i = 0; i < p->nrows; i++) {
		row = &p->row[i];
		if (row->flags & POL_ROW_SELF)
			continue;
		if (leads_to(p, row, route->exit, &h)) {
			ROW_SET(w->dst, i);
			if ((row->flags & POL_ROW_VIA) &&
			    wins(r, row, n, &route->p))
				ROW_SET(w->win, i);
		}
		if (!route->exit && by_src(p, row, &h))
			ROW_SET(w->src, i);
	}
	hits_free(&h);
}

static const struct rows *
rows_of(struct replica *r, struct node *n)
{
	uint32_t words = r->rules->words;
	struct route_rows *x = n->rows;
	unsigned int i;

	if (x != NULL && x->rules == r->rules &&
	    n->rows_ver >= r->vary_ver && n->rows_ver >= n->vary_ver)
		return x->row;
	route_rows_free(n);
	n->rows = x = xcalloc(1, sizeof(*x));
	n->rows_ver = r->ver;
	x->rules = r->rules;
	x->row = xcalloc((size_t)n->nroutes + 1, sizeof(*x->row));
	x->words = xcalloc((size_t)n->nroutes * 3 * words + 1,
	    sizeof(*x->words));
	for (i = 0; i < n->nroutes; i++) {
		x->row[i].src = x->words + (size_t)i * 3 * words;
		x->row[i].dst = x->row[i].src + words;
		x->row[i].win = x->row[i].dst + words;
		look_at(r, n, i, &x->row[i]);
	}
	return x->row;
}

/* What the rows say of a route to the viewer. */
struct say {
	bool		 include;	/* by way of this node */
	bool		 exclude;	/* by way of others */
	bool		 regular;	/* without a way: the primary's */
	bool		 use;
};

/*
 * The viewer has one of the row's tags: what it carries itself leads to the
 * route, which hits h; NULL: to the Internet.
 */
static bool
carries_to(const struct class *v, const struct pol_row *row,
    const struct pol_hits *h)
{
	const struct pol *p = v->rules->pol;
	const struct pol_sel *s;
	uint32_t i, sel;

	for (i = 0; i < row->ndst; i++) {
		sel = row->dst[i].sel;
		s = &p->sel[sel];
		if (!sel_is_addr(s) || !(s->inet ? v->hits.exit :
		    POL_HIT(v->hits.by, sel)))
			continue;
		if (h != NULL ? POL_HIT(h->by, sel) :
		    s->inet || s->kind == POL_ANY)
			return true;
	}
	return false;
}

/* A node of the viewer's owner, which may reach these, lies in the route. */
static bool
own_in(struct replica *r, const struct view *v, const struct node *peer,
    const struct node_route *route)
{
	const struct user *u;
	const struct node *n;

	if (v->owner == 0 || !v->class->covered || !peer->class->hits.wide ||
	    route->exit || (u = idmap_get(&r->users, v->owner)) == NULL)
		return false;
	TAILQ_FOREACH(n, &u->owned, owned)
		if (prefix_has(&route->p, &n->ip4) ||
		    prefix_has(&route->p, &n->ip6))
			return true;
	return false;
}

/* By rows whose way the viewer itself is. */
static bool
use_by_way(struct replica *r, const struct class *v, const struct node *peer,
    unsigned int k, const struct rows *w)
{
	const struct node_route *route = &peer->routes[k];
	const struct pol *p = v->rules->pol;
	struct pol_hits h;
	bool use = false;
	uint32_t i;

	class_route(r, peer, k, &h);
	for (i = 0; i < p->nrows && !use; i++) {
		if (!ROW_HAS(v->via, i))
			continue;
		if (route->exit)
			use = ROW_HAS(v->at, i) && carries_to(v, &p->row[i],
			    NULL);
		else
			use = ROW_HAS(w->src, i) || (ROW_HAS(v->src, i) &&
			    carries_to(v, &p->row[i], &h));
	}
	hits_free(&h);
	return use;
}

/* A grant or ACL without a way gives the route to the viewer. */
static bool
is_regular(const struct class *v, const struct rows *w, bool exit)
{
	const struct pol *p = v->rules->pol;
	const struct pol_row *row;
	uint32_t i, k;

	for (i = 0; i < p->nrows; i++) {
		row = &p->row[i];
		if (!ROW_HAS(v->rules->plain, i) || !ROW_HAS(v->at, i) ||
		    row_points_back(row))
			continue;
		if (ROW_HAS(w->dst, i))
			return true;
		/* "*" in a CapGrant names the tailnet, but means all. */
		for (k = 0; exit && k < row->ndst; k++)
			if (p->sel[row->dst[k].sel].kind == POL_TAILNET)
				return true;
	}
	return false;
}

static void
ask(struct replica *r, const struct view *view, const struct node *peer,
    unsigned int k, const struct rows *w, struct say *say)
{
	const struct class *v = view->class;
	uint64_t plain, way, src, any = 0;
	uint32_t i;

	memset(say, 0, sizeof(*say));
	say->use = say->regular = own_in(r, view, peer, &peer->routes[k]);
	for (i = 0; i < v->rules->words; i++) {
		plain = v->rules->plain[i];
		way = v->at[i] & w->dst[i] & ~plain;
		say->include |= (way & w->win[i]) != 0;
		say->exclude |= (way & ~w->win[i]) != 0;
		/* The Internet is for who is named, not for its routes. */
		src = peer->routes[k].exit ? v->at[i] : v->src[i];
		say->use |= (((src & w->dst[i]) | (v->dst[i] & w->src[i])) &
		    plain) != 0;
		any |= v->via[i];
	}
	if (!say->use && any != 0)
		say->use = use_by_way(r, v, peer, k, w);
	if ((say->include || say->exclude) && !say->regular)
		say->regular = is_regular(v, w, peer->routes[k].exit);
}

static bool
is_shown(struct replica *r, const struct view *v, const struct node *peer,
    unsigned int k, const struct rows *w)
{
	const struct node_route *route = &peer->routes[k];
	struct say say;

	ask(r, v, peer, k, w, &say);
	if ((route->primary || route->exit) && say.use &&
	    (!say.exclude || say.regular))
		return true;
	if (say.include && (!say.regular || route->primary || route->exit))
		return true;
	/* Two routers of one route know of each other. */
	return route->primary && load_has(v->load, &route->p);
}

void
route_shown(struct replica *r, const struct view *v, struct node *peer,
    uint64_t shown[SHOWN_WORDS])
{
	const struct rows *w = rows_of(r, peer);
	unsigned int i;

	memset(shown, 0, SHOWN_WORDS * sizeof(shown[0]));
	for (i = 0; i < peer->nroutes; i++)
		if (is_shown(r, v, peer, i, &w[i]))
			shown[i / 64] |= UINT64_C(1) << i % 64;
}
