#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "worker/tailnet/filter_int.h"
#include "worker/tailnet/holding_int.h"
#include "worker/tailnet/tailnets_int.h"

#define BUCKETS_MIN	64
/* Classes without members that may stay: so many, and so many a class. */
#define DEAD_MIN	256
#define DEAD_CLASS	2
#define DEAD_HURRY	4	/* times that, and it cannot wait */

static void
mark_rows(struct ruleset *rs)
{
	const struct pol *p = rs->pol;
	uint32_t i;

	rs->words = (p->nrows + 63) / 64;
	rs->plain = xcalloc(2 * (size_t)rs->words + 1, sizeof(*rs->plain));
	rs->inet = rs->plain + rs->words;
	for (i = 0; i < p->nrows; i++) {
		if (p->row[i].flags & POL_ROW_SELF)
			rs->has_self = rs->self_rows = true;
		if (p->row[i].flags & POL_ROW_VIA)
			rs->has_via = true;
		if (p->row[i].flags & (POL_ROW_SELF | POL_ROW_VIA))
			continue;
		ROW_SET(rs->plain, i);
		if (p->row[i].flags & POL_ROW_INET)
			ROW_SET(rs->inet, i);
	}
	for (i = 0; i < p->nsshs; i++)
		rs->has_self |= p->ssh[i].self;
}

static struct ruleset *
make(struct pol *p, uint32_t *refs)
{
	struct ruleset *rs;

	rs = xcalloc(1, sizeof(*rs));
	rs->pol = p;
	rs->pol_refs = refs;
	++*refs;
	rs->refs = 1;
	rs->nbuckets = BUCKETS_MIN;
	rs->bucket = xcalloc(rs->nbuckets, sizeof(*rs->bucket));
	mark_rows(rs);
	return rs;
}

struct ruleset *
ruleset_new(struct pol *p)
{
	return make(p, xcalloc(1, sizeof(uint32_t)));
}

struct ruleset *
ruleset_again(const struct ruleset *rs)
{
	return make(rs->pol, rs->pol_refs);
}

bool
ruleset_is_stale(const struct ruleset *rs, bool wait)
{
	uint32_t dead = rs->nclasses - rs->nlive, max = DEAD_CLASS * rs->nlive;

	if (max < DEAD_MIN)
		max = DEAD_MIN;
	return dead > (wait ? DEAD_HURRY * max : max);
}

struct ruleset *
ruleset_ref(struct ruleset *rs)
{
	rs->refs++;
	return rs;
}

static void
class_free(struct class *c)
{
	idmap_free(&c->views[0]);
	idmap_free(&c->views[1]);
	hits_free(&c->hits);
	free(c->at);
	free(c);
}

void
ruleset_unref(struct ruleset *rs)
{
	uint32_t i;

	if (rs == NULL || --rs->refs != 0)
		return;
	for (i = 0; i < rs->ngroups; i++)
		group_free(rs->group[i]);
	for (i = 0; i < rs->nclasses; i++)
		class_free(rs->class[i]);
	if (--*rs->pol_refs == 0) {
		pol_free(rs->pol);
		free(rs->pol_refs);
	}
	free(rs->group);
	free(rs->class);
	free(rs->bucket);
	free(rs->plain);
	free(rs);
}

void
class_facts(const struct node *n, struct pol_node *pn, struct slice *tags,
    struct prefix *routes)
{
	unsigned int i;

	memset(pn, 0, sizeof(*pn));
	for (i = 0; i < n->ntags; i++)
		tags[i] = n->tags[i];
	for (i = 0; i < n->nroutes; i++)
		routes[i] = n->routes[i].p;
	pn->user = n->user->id == USER_TAGGED ? 0 : n->user->id;
	pn->tag = tags;
	pn->ntags = n->ntags;
	pn->ip4 = n->ip4;
	pn->ip6 = n->ip6;
	pn->route = routes;
	pn->nroutes = n->nroutes;
}

static unsigned int
flags_of(const struct pol_hits *h)
{
	return (unsigned int)h->ip4 | (unsigned int)h->ip6 << 1 |
	    (unsigned int)h->exit << 2 | (unsigned int)h->tagged << 3 |
	    (unsigned int)h->wide << 4;
}

/* Clients choose the routes that make these bits; nobody chooses ids. */
static uint64_t
hash(const struct replica *r, const struct pol_hits *h, size_t words,
    uint64_t router)
{
	return siphash(r->tn->seed, h->at, 2 * words * sizeof(*h->at)) ^
	    (router << 8 | flags_of(h)) * UINT64_C(0x9e3779b97f4a7c15);
}

static bool
same_hits(const struct pol_hits *a, const struct pol_hits *b, size_t words)
{
	return flags_of(a) == flags_of(b) &&
	    memcmp(a->at, b->at, words * sizeof(*a->at)) == 0 &&
	    memcmp(a->by, b->by, words * sizeof(*a->by)) == 0;
}

static void
class_rows(struct class *c)
{
	const struct pol *p = c->rules->pol;
	const struct pol_row *row;
	uint32_t i, words = c->rules->words;

	c->at = xcalloc(4 * (size_t)words + 1, sizeof(*c->at));
	c->src = c->at + words;
	c->dst = c->src + words;
	c->via = c->dst + words;
	for (i = 0; i < p->nrows; i++) {
		row = &p->row[i];
		if (hits_src_at(p, row->src, &c->hits))
			ROW_SET(c->at, i);
		if (row->flags & POL_ROW_SELF) {
			c->covered |= !c->hits.tagged && ROW_HAS(c->at, i);
			continue;
		}
		if (hits_src(p, row->src, &c->hits))
			ROW_SET(c->src, i);
		if (hits_dst(row, &c->hits))
			ROW_SET(c->dst, i);
		if ((row->flags & POL_ROW_VIA) && hits_via(row, &c->hits) &&
		    hits_way(p, row, &c->hits, &c->hits))
			ROW_SET(c->via, i);
	}
}

static void
rehash(struct ruleset *rs)
{
	struct class *c;
	uint32_t i, n = 2 * rs->nbuckets;

	free(rs->bucket);
	rs->bucket = xcalloc(n, sizeof(*rs->bucket));
	rs->nbuckets = n;
	for (i = 0; i < rs->nclasses; i++) {
		c = rs->class[i];
		c->next = rs->bucket[c->hash & (n - 1)];
		rs->bucket[c->hash & (n - 1)] = c;
	}
}

/* Takes over the hits. */
static struct class *
class_new(struct ruleset *rs, struct pol_hits *h, uint64_t v,
    struct node *only)
{
	struct class *c;

	c = xcalloc(1, sizeof(*c));
	c->rules = rs;
	c->hits = *h;
	c->hash = v;
	c->only = only;
	c->router = only == NULL ? 0 : only->id;
	rs->has_wide |= only != NULL && rs->self_rows;
	c->self = rs->has_self && !h->tagged;
	TAILQ_INIT(&c->members);
	class_rows(c);
	if (rs->nclasses == rs->class_cap) {
		rs->class_cap = rs->class_cap == 0 ? 16 : 2 * rs->class_cap;
		rs->class = xrealloc(rs->class, rs->class_cap,
		    sizeof(rs->class[0]));
	}
	c->index = rs->nclasses;
	rs->class[rs->nclasses++] = c;
	c->next = rs->bucket[v & (rs->nbuckets - 1)];
	rs->bucket[v & (rs->nbuckets - 1)] = c;
	if (rs->nclasses > rs->nbuckets)
		rehash(rs);
	return c;
}

/* The class with these hits; they are freed or taken over. */
static struct class *
intern(struct replica *r, struct pol_hits *h, struct node *n)
{
	struct ruleset *rs = r->rules;
	size_t words = POL_WORDS(rs->pol);
	uint64_t v, router = h->wide ? n->id : 0;
	struct class *c;

	v = hash(r, h, words, router);
	for (c = rs->bucket[v & (rs->nbuckets - 1)]; c != NULL; c = c->next)
		if (c->hash == v && c->router == router &&
		    same_hits(&c->hits, h, words)) {
			hits_free(h);
			/* Once it was another node of this id, maybe. */
			c->only = router != 0 ? n : NULL;
			return c;
		}
	return class_new(rs, h, v, router != 0 ? n : NULL);
}

/* Another node's facts and hits, for hits_widen(). */
struct facts {
	struct pol_node	 node;
	struct slice	 tag[FACTS_TAGS];
	struct prefix	 route[FACTS_ROUTES];
};

/* Adds what the nodes hit that the router carries. */
static void
widen(struct replica *r, struct pol_hits *h, const struct facts *f,
    const struct node *router)
{
	const struct ruleset *rs = r->rules;
	struct pol_node m = { 0 };
	const struct class *c;
	const struct node *n;
	uint32_t i;

	/* Only addresses are looked at. */
	for (i = 0; i < rs->nclasses; i++) {
		c = rs->class[i];
		TAILQ_FOREACH(n, &c->members, member) {
			if (n == router)
				continue;
			m.ip4 = n->ip4;
			m.ip6 = n->ip6;
			hits_widen(h, rs->pol, &f->node, &m, &c->hits);
		}
	}
}

static void
facts_hits(struct replica *r, const struct node *n, struct facts *f,
    struct pol_hits *h)
{
	class_facts(n, &f->node, f->tag, f->route);
	hits_init(h, r->rules->pol);
	hits_of(h, r->rules->pol, &f->node, r->range);
	if (h->wide)
		widen(r, h, f, n);
}

/* Its owner as filters know it. */
static const struct user *
owner(const struct replica *r, const struct user *u)
{
	return u == r->tagged ? NULL : u;
}

static void
join(struct replica *r, struct node *n, struct class *c)
{
	n->class = c;
	n->placed = n->user;
	TAILQ_INSERT_TAIL(&c->members, n, member);
	if (c->nmembers++ == 0)
		c->rules->nlive++;
	filters_member(r, c, owner(r, n->user));
}

bool
class_place(struct replica *r, struct node *n)
{
	struct class *c, *old = n->class;
	struct facts f;
	struct pol_hits h;

	facts_hits(r, n, &f, &h);
	c = intern(r, &h, n);
	r->widen = true;
	if (c == old && n->placed == n->user) {
		filters_member(r, c, owner(r, n->user));
		return false;
	}
	if (old != NULL)
		class_leave(r, n);
	join(r, n, c);
	return c != old;
}

void
class_route(struct replica *r, const struct node *n, unsigned int k,
    struct pol_hits *h)
{
	struct pol_node own = { 0 };
	struct facts f;

	memset(&f.node, 0, sizeof(f.node));
	f.route[0] = n->routes[k].p;
	f.node.route = f.route;
	f.node.nroutes = 1;
	hits_init(h, r->rules->pol);
	hits_of(h, r->rules->pol, &f.node, r->range);
	if (!h->wide)
		return;
	widen(r, h, &f, n);
	/* It may cover the router itself. */
	own.ip4 = n->ip4;
	own.ip6 = n->ip6;
	hits_widen(h, r->rules->pol, &f.node, &own, &n->class->hits);
}

void
class_leave(struct replica *r, struct node *n)
{
	struct class *c = n->class;

	if (c == NULL)
		return;
	TAILQ_REMOVE(&c->members, n, member);
	if (--c->nmembers == 0)
		c->rules->nlive--;
	filters_member(r, c, owner(r, n->placed));
	n->class = NULL;
	n->placed = NULL;
	r->widen = true;
}

struct holding *
class_holding(const struct node *n)
{
	const struct class *c = n->class;

	return c != NULL && c->only == n && c->rules->self_rows ?
	    n->holding : NULL;
}

/* Views made of what it was must be looked at again. */
static void
hold(struct replica *r, struct node *n)
{
	struct holding *h;

	if (!r->rules->self_rows)
		return;
	h = holding_new(r, n);
	if (holding_eq(h, n->holding)) {
		holding_unref(h);
		return;
	}
	holding_unref(n->holding);
	n->holding = h;
	r->changed = true;
}

void
class_widen(struct replica *r, void (*fn)(struct replica *, struct node *))
{
	struct class *c;
	struct facts f;
	struct node *n;
	struct pol_hits h;

	if (!r->widen)
		return;
	r->widen = false;
	r->hold_ver++;
	TAILQ_FOREACH(n, &r->routers, router) {
		if (n->class == NULL || n->class->only == NULL)
			continue;
		/* What it carries may be somebody's own. */
		r->vary_ver = r->ver + 1;
		hold(r, n);
		facts_hits(r, n, &f, &h);
		c = intern(r, &h, n);
		if (c == n->class)
			continue;
		class_leave(r, n);
		join(r, n, c);
		fn(r, n);
	}
	r->widen = false;
}

/* Rows that a carries and of which it is a source. */
static bool
sees_via(const struct class *a, const struct class *b, uint32_t w)
{
	const struct pol *p = a->rules->pol;
	uint64_t rows = a->via[w] & a->src[w] & b->dst[w];
	uint32_t i;

	for (i = 0; rows != 0; i++, rows >>= 1)
		if ((rows & 1) != 0 && hits_way(p, &p->row[64 * w + i],
		    &a->hits, &b->hits))
			return true;
	return false;
}

bool
class_sees(const struct class *a, const struct class *b, bool same)
{
	const struct ruleset *rs = a->rules;
	uint32_t w;

	if (same && (a->covered || b->covered))
		return true;
	for (w = 0; w < rs->words; w++) {
		if ((((a->src[w] & b->dst[w]) | (a->dst[w] & b->src[w])) &
		    rs->plain[w]) != 0)
			return true;
		if (((a->via[w] & b->src[w]) | (b->via[w] & a->src[w])) != 0)
			return true;
		if (sees_via(a, b, w) || sees_via(b, a, w))
			return true;
	}
	return false;
}
