#include <stdlib.h>
#include <string.h>

#include "worker/tailnet/filter_int.h"
#include "worker/tailnet/mapjson_int.h"
#include "worker/tailnet/tailnets_int.h"
#include "worker/tailnet/view_int.h"

/* Whose owner matters to what its nodes see; 0: nobody's. */
static uint64_t
owner_of(const struct class *c, const struct node *n)
{
	return c->self ? n->user->id : 0;
}

/*
 * Such a viewer and a wide router are peers by rows of autogroup:self, as
 * compiled for either, and for what one carries of the other's owner; h: what
 * the viewer carries.
 */
static bool
sees_wide(uint64_t owner, const struct holding *h, const struct node *router)
{
	uint64_t other = owner_of(router->class, router);

	return (owner != 0 && holding_has(class_holding(router), owner)) ||
	    (other != 0 && holding_has(h, other));
}

/* The wide routers that it sees so; the caller frees the list. */
static uint64_t *
wide_of(const struct replica *r, const struct ruleset *rs, uint64_t owner,
    const struct holding *h, uint32_t *count)
{
	const struct node *n;
	uint64_t *v = NULL;
	uint32_t k = 0;

	*count = 0;
	if (!rs->has_wide || (owner == 0 && h == NULL))
		return NULL;
	TAILQ_FOREACH(n, &r->routers, router) {
		if (class_holding(n) == NULL || !sees_wide(owner, h, n))
			continue;
		v = xrealloc(v, (size_t)k + 1, sizeof(*v));
		v[k++] = n->id;
	}
	*count = k;
	return v;
}

/* What wide routers hold is what it was made of. */
static bool
is_held(struct view *v, const struct replica *r, const struct node *n)
{
	uint64_t *wide;
	uint32_t k;
	bool same;

	if (v->hold_ver == r->hold_ver)
		return true;
	if (v->load != NULL && v->holding != class_holding(n))
		return false;
	wide = wide_of(r, v->rules, v->owner, v->holding, &k);
	same = k == v->nwide && (k == 0 ||
	    memcmp(wide, v->wide, k * sizeof(*wide)) == 0);
	free(wide);
	if (same)
		v->hold_ver = r->hold_ver;
	return same;
}

/* router: whose load it is; or NULL. */
static struct view *
view_new(struct replica *r, struct class *c, uint64_t owner,
    const struct node *router)
{
	struct view *v;

	v = xcalloc(1, sizeof(*v));
	v->class = c;
	v->rules = ruleset_ref(c->rules);
	v->owner = owner;
	v->no_ip4 = class_no_ip4(c);
	v->base = v;
	if (router != NULL) {
		v->load = load_ref(router->load);
		v->holding = holding_ref(class_holding(router));
	}
	v->wide = wide_of(r, c->rules, owner, v->holding, &v->nwide);
	v->hold_ver = r->hold_ver;
	TAILQ_INIT(&v->deltas);
	return v;
}

/* Of nodes without subnet routes. */
static struct view *
plain_view(struct replica *r, struct class *c, uint64_t owner)
{
	struct view *v;

	v = idmap_get(&c->views[0], owner + 1);
	/* One of before is left to those who stand at it. */
	if (v != NULL && is_held(v, r, NULL))
		return view_ref(v);
	v = view_ref(view_new(r, c, owner, NULL));
	idmap_put(&c->views[0], owner + 1, v);
	if (owner != 0)
		v->base = plain_view(r, c, 0);
	return v;
}

static uint64_t
router_key(uint64_t owner, const struct load *l)
{
	uint64_t key = load_hash(l) ^ owner * UINT64_C(0x9e3779b97f4a7c15);

	return key != 0 ? key : 1;
}

static struct view *
router_view(struct replica *r, struct class *c, uint64_t owner,
    const struct node *n)
{
	uint64_t key = router_key(owner, n->load);
	struct view *first = idmap_get(&c->views[1], key), *v;

	for (v = first; v != NULL; v = v->same_key)
		if (v->owner == owner && v->load == n->load &&
		    is_held(v, r, n))
			return view_ref(v);
	v = view_ref(view_new(r, c, owner, n));
	v->same_key = first;
	idmap_put(&c->views[1], key, v);
	v->base = plain_view(r, c, 0);
	return v;
}

struct view *
view_of(struct replica *r, struct node *n, bool alone)
{
	struct class *c = n->class;

	if (alone) {
		if (c->alone == NULL) {
			c->alone = view_new(r, c, 0, NULL);
			c->alone->alone = true;
		}
		return view_ref(c->alone);
	}
	return n->load == NULL ? plain_view(r, c, owner_of(c, n)) :
	    router_view(r, c, owner_of(c, n), n);
}

bool
view_is(struct view *v, const struct replica *r, const struct node *n,
    bool alone)
{
	if (v->rules != r->rules || v->class != n->class || v->alone != alone)
		return false;
	if (alone)
		return true;
	return v->load == n->load && v->owner == owner_of(v->class, n) &&
	    is_held(v, r, n);
}

struct view *
view_base(struct view *v)
{
	/* In the routes of a wide router its owner's nodes may lie. */
	return v->holding != NULL ||
	    (v->class->covered && v->rules->has_wide) ? v : v->base;
}

struct view *
view_ref(struct view *v)
{
	v->refs++;
	return v;
}

static void
forget_router(struct view *v)
{
	uint64_t key = router_key(v->owner, v->load);
	struct view *first = idmap_get(&v->class->views[1], key), **at;

	for (at = &first; *at != v; at = &(*at)->same_key)
		;
	*at = v->same_key;
	if (first == NULL)
		idmap_del(&v->class->views[1], key);
	else
		idmap_put(&v->class->views[1], key, first);
}

static void
forget(struct view *v)
{
	if (v->alone)
		v->class->alone = NULL;
	else if (v->load != NULL)
		forget_router(v);
	else if (idmap_get(&v->class->views[0], v->owner + 1) == v)
		idmap_del(&v->class->views[0], v->owner + 1);
}

void
view_unref(struct view *v)
{
	if (v == NULL || --v->refs != 0)
		return;
	forget(v);
	if (v->base != v)
		view_unref(v->base);
	varied_free(v);
	load_unref(v->load);
	ruleset_unref(v->rules);
	free(v->all);
	free(v->own);
	holding_unref(v->holding);
	free(v->wide);
	free(v->sight.v);
	free(v->more.v);
	free(v);
}

static void
set(uint64_t *words, uint32_t k)
{
	words[k / 64] |= UINT64_C(1) << k % 64;
}

static uint64_t *
grow(uint64_t *words, uint32_t from, uint32_t to)
{
	words = xrealloc(words, to, sizeof(*words));
	memset(words + from, 0, (to - from) * sizeof(*words));
	return words;
}

/* Looks at groups that have been made since: a base. */
static void
extend(struct view *v)
{
	const struct ruleset *rs = v->rules;
	uint32_t k, words = (rs->ngroups + 63) / 64, cap;

	if (words > v->cap) {
		cap = words + words / 2;
		v->all = grow(v->all, v->cap, cap);
		if (v->class->self)
			v->own = grow(v->own, v->cap, cap);
		v->cap = cap;
	}
	for (k = v->known; k < rs->ngroups; k++) {
		if (class_sees(v->class, rs->group[k]->class, false))
			set(v->all, k);
		else if (v->class->self && rs->group[k]->class->self &&
		    class_sees(v->class, rs->group[k]->class, true))
			set(v->own, k);
	}
	v->known = rs->ngroups;
}

/* What all views of the class have in common. */
static bool
has(struct view *v, const struct group *g, bool own)
{
	const uint64_t *words;

	if (g == NULL || v->alone || g->class->rules != v->rules)
		return false;
	v = v->base;
	if (g->index >= v->known)
		extend(v);
	words = own ? v->own : v->all;
	return words != NULL && (words[g->index / 64] >> g->index % 64 & 1);
}

static bool
is_wide(const struct view *v, const struct group *g)
{
	uint32_t i;

	if (g == NULL || g->class->router == 0 || g->class->rules != v->rules)
		return false;
	for (i = 0; i < v->nwide; i++)
		if (v->wide[i] == g->class->router)
			return true;
	return false;
}

bool
view_all(struct view *v, const struct group *g)
{
	return has(v, g, false) || is_wide(v, g);
}

bool
view_some(struct view *v, const struct group *g, uint64_t owner)
{
	const struct class *c;

	if (v->owner != 0 && owner == v->owner && has(v, g, true))
		return true;
	if (v->holding == NULL || g == NULL || g->class->rules != v->rules)
		return false;
	/* Whether it sees another wide router is known of all. */
	c = g->class;
	return c->self && c->only == NULL && holding_has(v->holding, owner);
}

uint64_t *
view_owners(const struct view *v, size_t *count)
{
	const uint64_t *held;
	size_t i, k = 0, n = holding_owners(v->holding, &held);
	uint64_t *list;

	list = xcalloc(n + 1, sizeof(*list));
	for (i = 0; i < n && held[i] < v->owner; i++)
		list[k++] = held[i];
	if (v->owner != 0 && (i == n || held[i] != v->owner))
		list[k++] = v->owner;
	for (; i < n; i++)
		list[k++] = held[i];
	*count = k;
	return list;
}

bool
view_sees(struct view *v, const struct spot *s)
{
	return view_all(v, s->group) || view_some(v, s->group, s->user);
}

bool
view_sees_node(struct view *v, const struct node *n)
{
	struct spot s = { n->group, n->user->id };

	return view_sees(v, &s);
}

/* Nodes of the group that are neither the viewer nor unseen. */
static bool
has_peer(struct view *v, const struct group *g, const struct node *self)
{
	const struct node *n;
	uint32_t i;

	if (view_all(v, g))
		return g->nodes.n > (self->group == g);
	if (v->holding == NULL && (v->owner == 0 ||
	    idmap_get(&g->by_user, v->owner) == NULL))
		return false;
	for (i = 0; i < g->nodes.n; i++) {
		n = g->nodes.member[i];
		if (n != self && view_some(v, g, n->user->id))
			return true;
	}
	return false;
}

bool
view_has_peers(struct replica *r, struct view *v, const struct node *self)
{
	uint32_t i;

	for (i = 0; i < r->rules->ngroups; i++)
		if (has_peer(v, r->rules->group[i], self))
			return true;
	return false;
}

bool
view_has_user(struct view *v, const struct user *u)
{
	const struct node *n;

	TAILQ_FOREACH(n, &u->owned, owned)
		if (view_sees_node(v, n))
			return true;
	return false;
}

void
view_put(struct replica *r, struct view *v, const struct node *n,
    struct buf *b)
{
	uint64_t shown[SHOWN_WORDS];
	struct look look = { NULL, v->no_ip4 };

	if (n->nroutes != 0) {
		route_shown(r, v, idmap_get(&r->nodes, n->id), shown);
		look.shown = shown;
	}
	mapjson_peer(b, n, buf_slice_of(&r->domain), &look);
}
