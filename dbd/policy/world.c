#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dbd/policy/read_int.h"
#include "dbd/policy/world_int.h"

#define HITS_MAX	(8u * 1024 * 1024)	/* words kept for nodes */
#define FINDINGS_MAX	62

static int
cmp_place(const void *a, const void *b)
{
	const struct seat *x = a, *y = b;
	int c;

	if ((c = ip_cmp(&x->ip, &y->ip)) != 0)
		return c;
	return x->node < y->node ? -1 : x->node > y->node;
}

static void
put_place(struct world *w, const struct ip *ip, uint32_t node)
{
	if (ip->family == 0)
		return;
	w->place[w->nplaces].ip = *ip;
	w->place[w->nplaces++].node = node;
}

static int
cmp_route(const void *a, const void *b)
{
	const struct prefix *x = a, *y = b;
	int c;

	if ((c = ip_cmp(&x->addr, &y->addr)) != 0)
		return c;
	return (int)x->bits - (int)y->bits;
}

static void
collect_routes(struct world *w)
{
	const struct pol_node *f;
	size_t i, k, n = 0;

	for (i = 0; i < w->topo->nnodes; i++)
		n += w->topo->node[i].facts.nroutes;
	w->route = xcalloc(n + 1, sizeof(*w->route));
	for (i = n = 0; i < w->topo->nnodes; i++) {
		f = &w->topo->node[i].facts;
		for (k = 0; k < f->nroutes; k++)
			if (f->route[k].bits != 0)
				w->route[n++] = f->route[k];
	}
	if (n > 1)
		qsort(w->route, n, sizeof(*w->route), cmp_route);
	for (i = 0; i < n; i++)
		if (i == 0 || !prefix_eq(&w->route[i], &w->route[i - 1]))
			w->route[w->nroutes++] = w->route[i];
}

static void
keep_hits(struct world *w)
{
	size_t i;

	if (POL_WORDS(w->pol) * 2 * w->topo->nnodes > HITS_MAX)
		return;
	w->hits = xcalloc(w->topo->nnodes + 1, sizeof(*w->hits));
	for (i = 0; i < w->topo->nnodes; i++) {
		hits_init(&w->hits[i], w->pol);
		hits_of(&w->hits[i], w->pol, &w->topo->node[i].facts,
		    w->topo->range);
	}
}

void
world_init(struct world *w, struct arena *a, const struct policy *p,
    const struct pol *pol, const struct tailnet_info *info,
    const struct topology *topo)
{
	uint32_t i;

	memset(w, 0, sizeof(*w));
	w->e.a = a;
	w->e.p = p;
	w->e.info = info;
	emit_sels_init(&w->e);
	w->pol = pol;
	w->topo = topo;
	hits_init(&w->scratch, pol);
	hits_init(&w->found, pol);
	w->ident = arena_array(a, POL_WORDS(pol), sizeof(*w->ident));
	w->tailnet = NOBODY;
	for (i = 0; i < pol->nsels; i++)
		switch (pol->sel[i].kind) {
		case POL_USERS:
		case POL_TAG:
		case POL_MEMBER:
		case POL_TAGGED:
			w->ident[i / 64] |= UINT64_C(1) << i % 64;
			break;
		case POL_TAILNET:
			w->tailnet = i;
			break;
		default:
			break;
		}
	w->place = xcalloc(2 * topo->nnodes + 1, sizeof(*w->place));
	for (i = 0; i < topo->nnodes; i++) {
		put_place(w, &topo->node[i].facts.ip4, i);
		put_place(w, &topo->node[i].facts.ip6, i);
	}
	if (w->nplaces > 1)
		qsort(w->place, w->nplaces, sizeof(*w->place), cmp_place);
	collect_routes(w);
	keep_hits(w);
}

void
world_free(struct world *w)
{
	size_t i;

	for (i = 0; w->hits != NULL && i < w->topo->nnodes; i++)
		hits_free(&w->hits[i]);
	free(w->hits);
	free(w->place);
	free(w->route);
	hits_free(&w->scratch);
	hits_free(&w->found);
}

const struct pol_hits *
world_hits(struct world *w, uint32_t node)
{
	if (w->hits != NULL)
		return &w->hits[node];
	hits_of(&w->scratch, w->pol, &w->topo->node[node].facts,
	    w->topo->range);
	return &w->scratch;
}

bool
world_is_src(struct world *w, uint32_t src, uint32_t node)
{
	return hits_src_at(w->pol, src, world_hits(w, node));
}

static void
put_item(struct items *v, const struct ip *lo, const struct ip *hi)
{
	struct item *it;

	if (lo->family == 0)
		return;
	if (v->n == v->cap) {
		v->cap = v->cap == 0 ? 16 : v->cap * 2;
		v->v = xrealloc(v->v, v->cap, sizeof(*v->v));
	}
	it = &v->v[v->n++];
	it->lo = *lo;
	it->hi = *hi;
}

static void
put_text(struct items *v, const char *lo, const char *hi)
{
	struct ip a, b;

	(void)ip_parse(&a, slice_str(lo));
	(void)ip_parse(&b, slice_str(hi));
	put_item(v, &a, &b);
}

static void
put_prefix(struct items *v, const struct prefix *p)
{
	struct ip hi = p->addr;
	unsigned int bit, all = p->addr.family == 4 ? 32 : 128;

	for (bit = p->bits; bit < all; bit++)
		hi.b[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
	put_item(v, &p->addr, &hi);
}

void
world_node(struct world *w, struct items *v, uint32_t node)
{
	const struct pol_node *f = &w->topo->node[node].facts;

	put_item(v, &f->ip4, &f->ip4);
	put_item(v, &f->ip6, &f->ip6);
}

static void
put_star(struct world *w, struct items *v)
{
	size_t i;

	put_text(v, "100.64.0.0", "100.115.91.255");
	put_text(v, "100.115.94.0", "100.127.255.255");
	put_text(v, "fd7a:115c:a1e0::",
	    "fd7a:115c:a1e0:ffff:ffff:ffff:ffff:ffff");
	for (i = 0; i < w->nroutes; i++)
		put_prefix(v, &w->route[i]);
}

bool
users_have(const struct users *u, uint64_t id)
{
	uint32_t lo = 0, hi = u->n, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (u->v[mid] == id)
			return true;
		if (u->v[mid] < id)
			lo = mid + 1;
		else
			hi = mid;
	}
	return false;
}

void
users_free(struct users *u)
{
	/* Made by world_users(), which gave up the right to write. */
	free((void *)(uintptr_t)u->v);
	u->v = NULL;
}

void
items_free(struct items *v)
{
	free(v->v);
	memset(v, 0, sizeof(*v));
}

bool
world_names(struct world *w, const struct alias *al, uint32_t node,
    const struct users *u)
{
	const struct pol_node *f = &w->topo->node[node].facts;
	size_t i;

	if (al->kind == AL_TAG) {
		for (i = 0; i < f->ntags; i++)
			if (slice_eq(f->tag[i], al->text))
				return true;
		return false;
	}
	if (al->kind == AL_AUTO && al->ag == AG_TAGGED)
		return f->ntags != 0;
	if (f->ntags != 0)
		return false;
	if (al->kind == AL_AUTO && al->ag == AG_MEMBER)
		return true;
	return users_have(u, f->user);
}

/* NULL: the alias names something. */
static const char *
unknown(struct world *w, const struct alias *al)
{
	const struct policy *p = w->e.p;
	const struct pol_user *u;
	size_t i, n;

	switch (al->kind) {
	case AL_HOST:
		return al->prefix.addr.family == 0 ? "error resolving host:" :
		    NULL;
	case AL_USER:
		n = who_find(w->e.who, al->text, &u);
		return n == 0 ? "user not found: token" : n > 1 ?
		    "multiple users found: token" : NULL;
	case AL_GROUP:
		for (i = 0; i < p->ngroups; i++)
			if (slice_eq(p->group[i].name, al->text))
				return NULL;
		return "group not found";
	case AL_TAG:
		for (i = 0; i < p->nowners; i++)
			if (slice_eq(p->owner[i].name, al->text))
				return NULL;
		return "tag not found";
	case AL_AUTO:
		return al->ag == AG_NONE || al->ag == AG_NONROOT ?
		    "invalid autogroup" : NULL;
	default:
		return NULL;
	}
}

bool
world_items(struct world *w, const struct alias *al, struct items *v,
    const char **why)
{
	struct users u;
	uint32_t i, sel[7];

	if ((*why = unknown(w, al)) != NULL)
		return false;
	switch (al->kind) {
	case AL_PREFIX:
	case AL_HOST:
		put_prefix(v, &al->prefix);
		return true;
	case AL_STAR:
		put_star(w, v);
		return true;
	case AL_AUTO:
		if (al->ag == AG_DANGER_ALL) {
			put_text(v, "0.0.0.0", "255.255.255.255");
			put_text(v, "::",
			    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
			return true;
		}
		if (al->ag == AG_INTERNET) {
			emit_internet(&w->e, sel);
			for (i = 0; i < 7; i++)
				put_item(v, &w->e.sel[sel[i]].lo,
				    &w->e.sel[sel[i]].hi);
			return true;
		}
		break;
	default:
		break;
	}
	u = emit_users(&w->e, al);
	for (i = 0; i < w->topo->nnodes; i++)
		if (!(al->kind == AL_AUTO && al->ag == AG_SELF) &&
		    world_names(w, al, i, &u))
			world_node(w, v, i);
	return true;
}

void
world_places(const struct world *w, const struct item *it, size_t *from,
    size_t *to)
{
	size_t lo = 0, hi = w->nplaces, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (ip_cmp(&w->place[mid].ip, &it->lo) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	*from = lo;
	hi = w->nplaces;
	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (ip_cmp(&w->place[mid].ip, &it->hi) <= 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	*to = lo;
}

void
world_users(struct world *w, const struct items *of, struct users *u)
{
	const struct pol_node *f;
	uint64_t *ids = NULL;
	uint32_t i, n = 0, cap = 0;
	size_t k, to;

	for (i = 0; i < of->n; i++) {
		world_places(w, &of->v[i], &k, &to);
		for (; k < to; k++) {
			f = &w->topo->node[w->place[k].node].facts;
			if (f->ntags != 0 || f->user == 0)
				continue;
			if (n == cap) {
				cap = cap == 0 ? 16 : cap * 2;
				ids = xrealloc(ids, cap, sizeof(*ids));
			}
			ids[n++] = f->user;
		}
	}
	u->n = emit_uniq(ids, n);
	u->v = ids;
	u->known = true;
}

void
world_own(struct world *w, const struct items *of, struct items *v)
{
	const struct pol_node *f;
	struct users u;
	uint32_t i;

	world_users(w, of, &u);
	for (i = 0; i < w->topo->nnodes; i++) {
		f = &w->topo->node[i].facts;
		if (f->ntags == 0 && users_have(&u, f->user))
			world_node(w, v, i);
	}
	users_free(&u);
}

/* lo..hi as prefixes: at most 2 * 128 of them. */
static size_t
split(const struct item *it, struct prefix v[256])
{
	unsigned int all = it->lo.family == 4 ? 32 : 128, bits, bit;
	struct ip at = it->lo, last;
	size_t n = 0, i;
	bool more = true;

	while (more && n < 256) {
		/* The widest that begins here and ends within. */
		for (bits = all;; bits--) {
			if (bits == 0 || (at.b[(bits - 1) / 8] &
			    0x80 >> (bits - 1) % 8) != 0)
				break;
			last = at;
			for (bit = bits - 1; bit < all; bit++)
				last.b[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
			if (ip_cmp(&last, &it->hi) > 0)
				break;
		}
		v[n].addr = at;
		v[n].bits = (uint8_t)bits;
		last = at;
		for (bit = bits; bit < all; bit++)
			last.b[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
		n++;
		more = ip_cmp(&last, &it->hi) < 0;
		at = last;
		for (i = all / 8; more && i > 0 && ++at.b[i - 1] == 0; i--)
			continue;
	}
	return n;
}

/* A part of the tailnet's own ranges, or of a route in it. */
static bool
in_tailnet(const struct world *w, const struct item *it)
{
	struct ip hi, lo;
	unsigned int bit, all;
	size_t i;

	(void)ip_parse(&lo, slice_str(it->lo.family == 4 ? "100.64.0.0" :
	    "fd7a:115c:a1e0::"));
	(void)ip_parse(&hi, slice_str(it->lo.family == 4 ? "100.127.255.255" :
	    "fd7a:115c:a1e0:ffff:ffff:ffff:ffff:ffff"));
	if (ip_cmp(&it->lo, &hi) <= 0 && ip_cmp(&it->hi, &lo) >= 0) {
		if (it->lo.family == 6)
			return true;
		(void)ip_parse(&lo, slice_str("100.115.92.0"));
		(void)ip_parse(&hi, slice_str("100.115.93.255"));
		if (ip_cmp(&it->lo, &lo) < 0 || ip_cmp(&it->hi, &hi) > 0)
			return true;
	}
	for (i = 0; i < w->nroutes; i++) {
		lo = hi = w->route[i].addr;
		all = lo.family == 4 ? 32 : 128;
		for (bit = w->route[i].bits; bit < all; bit++)
			hi.b[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
		if (lo.family == it->lo.family && ip_cmp(&it->lo, &hi) <= 0 &&
		    ip_cmp(&it->hi, &lo) >= 0)
			return true;
	}
	return false;
}

const uint64_t *
world_sels(struct world *w, const struct item *it)
{
	static const struct prefix none[2];
	struct prefix v[257];
	struct pol_node fake;
	const struct pol_hits *h;
	uint64_t *found = w->found.by;
	size_t i, k, from, to;

	memset(&fake, 0, sizeof(fake));
	fake.nroutes = split(it, v);
	if (fake.nroutes == 1 && v[0].bits == 0) {
		/* As a route that would be an exit's. */
		v[0].bits = 1;
		v[1] = v[0];
		v[1].addr.b[0] = 0x80;
		fake.nroutes = 2;
	}
	fake.route = v;
	hits_of(&w->found, w->pol, &fake, none);
	if (w->tailnet != NOBODY && !in_tailnet(w, it))
		found[w->tailnet / 64] &= ~(UINT64_C(1) << w->tailnet % 64);
	world_places(w, it, &from, &to);
	for (k = from; k < to; k++) {
		h = world_hits(w, w->place[k].node);
		for (i = 0; i < POL_WORDS(w->pol); i++)
			found[i] |= h->at[i] & w->ident[i];
	}
	return found;
}

const char *
world_quote(struct world *w, struct slice s)
{
	struct reading r;

	memset(&r, 0, sizeof(r));
	r.a = w->e.a;
	return quote(&r, s);
}

void
findings_add(struct findings *f, const char *fmt, ...)
{
	char line[1024];
	va_list ap;
	int n;

	if (++f->n > FINDINGS_MAX)
		return;
	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	buf_str(f->detail, line);
	buf_u8(f->detail, '\n');
}

void
findings_end(struct findings *f)
{
	char line[64];

	if (f->n <= FINDINGS_MAX)
		return;
	(void)snprintf(line, sizeof(line), "and %zu more\n",
	    f->n - FINDINGS_MAX);
	buf_str(f->detail, line);
}

struct class_of {
	const uint64_t	*at;
	size_t		 words;
	uint32_t	 node;
};

static int
cmp_class(const void *a, const void *b)
{
	const struct class_of *x = a, *y = b;
	int c;

	c = x->words == 0 ? 0 : memcmp(x->at, y->at,
	    x->words * sizeof(*x->at));
	if (c != 0)
		return c;
	return x->node < y->node ? -1 : x->node > y->node;
}

uint32_t *
world_classes(struct world *w)
{
	size_t n = w->topo->nnodes, words = POL_WORDS(w->pol);
	struct class_of *v;
	uint32_t *class, i, at = 0;

	class = arena_array(w->e.a, n, sizeof(*class));
	if (w->hits == NULL) {
		for (i = 0; i < n; i++)
			class[i] = i;
		return class;
	}
	v = xcalloc(n + 1, sizeof(*v));
	for (i = 0; i < n; i++) {
		v[i].at = w->hits[i].at;
		v[i].words = words;
		v[i].node = i;
	}
	if (n > 1)
		qsort(v, n, sizeof(*v), cmp_class);
	for (i = 0; i < n; i++) {
		if (i > 0 && words != 0 && memcmp(v[i].at, v[i - 1].at,
		    words * sizeof(*v[i].at)) != 0)
			at++;
		class[v[i].node] = at;
	}
	free(v);
	return class;
}
