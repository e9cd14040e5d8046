/*
 * What views were told of nodes with routes, so that they are told again only
 * of those whose routes are others to them.
 */

#include <stdlib.h>
#include <string.h>

#include "worker/tailnet/replica_int.h"

#define SPARE	64	/* entries of those who went that may stay */
#define NO_ROUTES	1	/* the hash of none */

static int
sight_cmp(const void *va, const void *vb)
{
	const struct sight *a = va, *b = vb;

	return a->id < b->id ? -1 : a->id > b->id;
}

/* Where it is, or belongs. */
static uint32_t
place(const struct sights *s, uint64_t id)
{
	uint32_t lo = 0, hi = s->n, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (s->v[mid].id < id)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static const struct sight *
get(const struct sights *s, uint64_t id)
{
	uint32_t k = place(s, id);

	return k < s->n && s->v[k].id == id ? &s->v[k] : NULL;
}

static void
put(struct sights *s, uint64_t id, uint64_t shown, uint64_t ver)
{
	uint32_t k = place(s, id);

	if (k < s->n && s->v[k].id == id) {
		if (s->v[k].shown == shown)
			return;
	} else {
		if (s->n == s->cap) {
			s->cap = s->cap + s->cap / 2 + 4;
			s->v = xrealloc(s->v, s->cap, sizeof(s->v[0]));
		}
		memmove(&s->v[k + 1], &s->v[k],
		    (s->n - k) * sizeof(s->v[0]));
		s->n++;
	}
	s->v[k].id = id;
	s->v[k].shown = shown;
	s->v[k].ver = ver;
	s->newest = ver;
}

/* The routes themselves, for their order in the record may change. */
static uint64_t
shown_hash(struct replica *r, const struct view *v, struct node *n)
{
	uint64_t h = NO_ROUTES, shown[SHOWN_WORDS];
	unsigned int i;

	route_shown(r, v, n, shown);
	for (i = 0; i < n->nroutes; i++)
		if (shown[i / 64] >> i % 64 & 1)
			h = route_mix(h, carrier_hash(&n->carrier[i]));
	return h;
}

/* All of them anew; who is no router any more is forgotten. */
static void
look_at_all(struct replica *r, const struct view *v, struct sights *s)
{
	const struct sight *old;
	struct sights all = { 0 };
	struct node *n;
	struct sight *x;

	all.newest = s->newest;
	all.cap = r->nrouters;
	all.v = xcalloc((size_t)all.cap + 1, sizeof(all.v[0]));
	TAILQ_FOREACH(n, &r->routers, router) {
		x = &all.v[all.n++];
		x->id = n->id;
		x->shown = shown_hash(r, v, n);
		old = get(s, n->id);
		x->ver = old != NULL && old->shown == x->shown ? old->ver :
		    r->ver;
		if (all.newest < x->ver)
			all.newest = x->ver;
	}
	qsort(all.v, all.n, sizeof(all.v[0]), sight_cmp);
	free(s->v);
	*s = all;
}

static void
look(struct replica *r, struct view *v)
{
	struct sights *s = &v->sight;
	struct node *n;

	if (s->ver != 0 && s->ver >= r->vary_ver && s->ver >= r->route_ver)
		return;
	if (s->ver == 0 || s->ver < r->vary_ver ||
	    s->n > 2 * r->nrouters + SPARE)
		look_at_all(r, v, s);
	else
		TAILQ_FOREACH_REVERSE(n, &r->routers, router_list, router) {
			if (n->vary_ver <= s->ver)
				break;
			put(s, n->id, shown_hash(r, v, n), r->ver);
		}
	s->ver = r->ver;
}

/* Some route of the load has another primary since then. */
static bool
is_elected(const struct load *l, uint64_t since)
{
	uint64_t hash, ver;
	uint32_t i;

	for (i = 0; load_at(l, i, &hash, &ver) != NULL; i++)
		if (ver > since)
			return true;
	return false;
}

/* Who carries these routes, and a hash of which. */
static void
gather(const struct load *l, struct sights *now)
{
	const struct carriers *list;
	const struct carrier *c;
	const struct sight *old;
	uint64_t hash, ver, h;
	uint32_t i;

	for (i = 0; (list = load_at(l, i, &hash, &ver)) != NULL; i++)
		LIST_FOREACH(c, list, of_route) {
			if (!c->primary)
				continue;
			old = get(now, c->node->id);
			h = old == NULL ? NO_ROUTES : old->shown;
			put(now, c->node->id, route_mix(h, hash), 0);
		}
}

/* Those who add nothing any more, once they are too many. */
static void
prune(struct sights *s, uint32_t live, uint64_t ver)
{
	uint32_t i, k = 0;

	if (s->n <= 2 * live + SPARE)
		return;
	for (i = 0; i < s->n; i++)
		if (s->v[i].shown != 0)
			s->v[k++] = s->v[i];
	s->n = k;
	s->floor = ver;
}

static void
look_at_own(struct replica *r, struct view *v)
{
	struct sights *s = &v->more, now = { 0 };
	uint32_t i;

	if (s->ver != 0 && (s->ver >= r->prime_ver ||
	    !is_elected(v->load, s->ver))) {
		s->ver = r->ver;
		return;
	}
	gather(v->load, &now);
	for (i = 0; i < s->n; i++)
		if (get(&now, s->v[i].id) == NULL)
			put(s, s->v[i].id, 0, r->ver);
	for (i = 0; i < now.n; i++)
		put(s, now.v[i].id, now.v[i].shown, r->ver);
	prune(s, now.n, r->ver);
	s->ver = r->ver;
	free(now.v);
}

void
view_look(struct replica *r, struct view *v)
{
	struct view *base = view_base(v);

	if (v->alone || v->rules != r->rules)
		return;
	look(r, base);
	if (base != v && v->load != NULL)
		look_at_own(r, v);
}

/* Of one node. */
static bool
adds_other(const struct view *was, const struct view *now, uint64_t id,
    uint64_t from)
{
	const struct sight *a, *b;

	if (from < was->more.floor)
		return true;
	a = get(&was->more, id);
	b = get(&now->more, id);
	return (a == NULL ? 0 : a->shown) != (b == NULL ? 0 : b->shown) ||
	    (a != NULL && a->ver > from);
}

bool
view_adds_other(struct view *was, struct view *now, uint64_t from)
{
	uint32_t i;

	for (i = 0; i < was->more.n; i++)
		if (adds_other(was, now, was->more.v[i].id, from))
			return true;
	for (i = 0; i < now->more.n; i++)
		if (adds_other(was, now, now->more.v[i].id, from))
			return true;
	return from < was->more.floor;
}

bool
view_adds(const struct view *v, const struct node *n)
{
	const struct sight *s = get(&v->more, n->id);

	return s != NULL && s->shown != 0;
}

uint32_t
view_nadded(const struct view *v)
{
	return v->more.n;
}

uint64_t
view_added(const struct view *v, uint32_t i)
{
	return v->more.v[i].id;
}

bool
view_differs(struct view *was, struct view *now, const struct node *n,
    uint64_t from)
{
	const struct sight *a = get(&view_base(was)->sight, n->id);
	const struct sight *b = get(&view_base(now)->sight, n->id);

	return a == NULL || b == NULL || a->shown != b->shown ||
	    a->ver > from || adds_other(was, now, n->id, from);
}
