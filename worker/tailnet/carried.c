#include <stdlib.h>
#include <string.h>

#include "worker/tailnet/tailnets_int.h"

struct carried {
	struct carried	*next;		/* with the same hash */
	struct replica	*replica;
	struct prefix	 p;
	uint64_t	 hash;
	struct carriers	 carriers;
	uint64_t	 ver;		/* a primary came or went */
	uint32_t	 refs;		/* carriers and loads */
};

struct load {
	struct load	*next;		/* with the same hash */
	struct replica	*replica;
	uint64_t	 hash;
	uint32_t	 refs;
	uint32_t	 n;
	struct carried	*route[];	/* ascending by prefix */
};

/* Clients choose their routes.  Not 0, which idmap does not take. */
static uint64_t
prefix_hash(const struct replica *r, const struct prefix *p)
{
	uint8_t b[2 + sizeof(p->addr.b)] = { p->addr.family, p->bits };
	size_t n = p->addr.family == 4 ? 4 : 16;
	uint64_t h;

	memcpy(b + 2, p->addr.b, n);
	h = siphash(r->tn->seed, b, 2 + n);
	return h != 0 ? h : 1;
}

uint64_t
route_mix(uint64_t h, uint64_t v)
{
	h = (h ^ v) * UINT64_C(0x9e3779b97f4a7c15);
	h ^= h >> 32;
	return h != 0 ? h : 1;
}

static struct carried *
find(const struct replica *r, const struct prefix *p, uint64_t h)
{
	struct carried *c;

	for (c = idmap_get(&r->carried, h); c != NULL; c = c->next)
		if (prefix_eq(&c->p, p))
			return c;
	return NULL;
}

/* The route, with one reference more. */
static struct carried *
get(struct replica *r, const struct prefix *p)
{
	uint64_t h = prefix_hash(r, p);
	struct carried *c = find(r, p, h);

	if (c == NULL) {
		c = xcalloc(1, sizeof(*c));
		c->replica = r;
		c->p = *p;
		c->hash = h;
		c->next = idmap_get(&r->carried, h);
		LIST_INIT(&c->carriers);
		idmap_put(&r->carried, h, c);
	}
	c->refs++;
	return c;
}

static void
put(struct carried *c)
{
	struct replica *r = c->replica;
	struct carried *first, **at;

	if (--c->refs != 0)
		return;
	first = idmap_get(&r->carried, c->hash);
	for (at = &first; *at != c; at = &(*at)->next)
		;
	*at = c->next;
	if (first == NULL)
		idmap_del(&r->carried, c->hash);
	else
		idmap_put(&r->carried, c->hash, first);
	free(c);
}

static int
by_prefix(const void *va, const void *vb)
{
	const struct carried *const *a = va, *const *b = vb;
	int c = ip_cmp(&(*a)->p.addr, &(*b)->p.addr);

	return c != 0 ? c : (int)(*a)->p.bits - (int)(*b)->p.bits;
}

/* That object which says the same, if there is one. */
static struct load *
intern(struct load *l)
{
	struct replica *r = l->replica;
	struct load *x;

	for (x = idmap_get(&r->loads, l->hash); x != NULL; x = x->next)
		if (x->n == l->n && memcmp(x->route, l->route,
		    l->n * sizeof(l->route[0])) == 0) {
			x->refs++;
			free(l);
			return x;
		}
	for (x = l, l->refs = 0; l->refs < l->n; l->refs++)
		l->route[l->refs]->refs++;
	l->refs = 1;
	l->next = idmap_get(&r->loads, l->hash);
	idmap_put(&r->loads, l->hash, l);
	return x;
}

/* Of what the node carries now; NULL: no subnet. */
static struct load *
load_of(struct replica *r, const struct node *n)
{
	struct load *l;
	uint32_t i;

	l = xcalloc(1, sizeof(*l) + n->nroutes * sizeof(l->route[0]));
	l->replica = r;
	for (i = 0; i < n->nroutes; i++)
		if (!n->routes[i].exit)
			l->route[l->n++] = n->carrier[i].route;
	if (l->n == 0) {
		free(l);
		return NULL;
	}
	qsort(l->route, l->n, sizeof(l->route[0]), by_prefix);
	for (i = 0, l->hash = 1; i < l->n; i++)
		l->hash = route_mix(l->hash, l->route[i]->hash);
	return intern(l);
}

struct load *
load_ref(struct load *l)
{
	if (l != NULL)
		l->refs++;
	return l;
}

void
load_unref(struct load *l)
{
	struct load *first, **at;
	uint32_t i;

	if (l == NULL || --l->refs != 0)
		return;
	first = idmap_get(&l->replica->loads, l->hash);
	for (at = &first; *at != l; at = &(*at)->next)
		;
	*at = l->next;
	if (first == NULL)
		idmap_del(&l->replica->loads, l->hash);
	else
		idmap_put(&l->replica->loads, l->hash, first);
	for (i = 0; i < l->n; i++)
		put(l->route[i]);
	free(l);
}

bool
load_has(const struct load *l, const struct prefix *p)
{
	struct carried key, *k = &key;

	if (l == NULL)
		return false;
	key.p = *p;
	return bsearch(&k, l->route, l->n, sizeof(l->route[0]), by_prefix) !=
	    NULL;
}

uint64_t
load_hash(const struct load *l)
{
	return l == NULL ? 0 : l->hash;
}

const struct carriers *
load_at(const struct load *l, uint32_t i, uint64_t *hash, uint64_t *ver)
{
	if (l == NULL || i >= l->n)
		return NULL;
	*hash = l->route[i]->hash;
	*ver = l->route[i]->ver;
	return &l->route[i]->carriers;
}

const struct carriers *
carried_by(const struct replica *r, const struct prefix *p)
{
	const struct carried *c = find(r, p, prefix_hash(r, p));

	return c == NULL ? NULL : &c->carriers;
}

const struct prefix *
carrier_route(const struct carrier *c)
{
	return &c->route->p;
}

uint64_t
carrier_hash(const struct carrier *c)
{
	return c->route->hash;
}

/* Who is elected for the route is another. */
static void
elected(struct carried *c)
{
	c->ver = c->replica->prime_ver = c->replica->ver + 1;
}

static void
drop(struct carrier *list, uint16_t n)
{
	uint16_t i;

	for (i = 0; i < n; i++) {
		LIST_REMOVE(&list[i], of_route);
		if (list[i].primary)
			elected(list[i].route);
		put(list[i].route);
	}
	free(list);
}

void
carried_set(struct replica *r, struct node *n)
{
	struct carrier *old = n->carrier, *c;
	struct load *load = n->load;
	uint16_t i, had = n->ncarriers;

	n->carrier = xcalloc((size_t)n->nroutes + 1, sizeof(*n->carrier));
	n->ncarriers = n->nroutes;
	for (i = 0; i < n->nroutes; i++) {
		c = &n->carrier[i];
		c->node = n;
		c->route = get(r, &n->routes[i].p);
		c->primary = n->routes[i].primary;
		LIST_INSERT_HEAD(&c->route->carriers, c, of_route);
		if (c->primary)
			elected(c->route);
	}
	n->load = load_of(r, n);
	load_unref(load);
	drop(old, had);
}

void
carried_clear(struct replica *r, struct node *n)
{
	(void)r;
	load_unref(n->load);
	n->load = NULL;
	drop(n->carrier, n->ncarriers);
	n->carrier = NULL;
	n->ncarriers = 0;
}

void
carried_end(struct replica *r)
{
	idmap_free(&r->carried);
	idmap_free(&r->loads);
}
