#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "regress/lib/rulesay.h"

#define ROUTES	6

/* Addresses, as policy.md 4 resolves aliases to them. */
struct span {
	struct ip	 lo, hi;
};

struct set {
	struct span	*v;
	unsigned int	 n, cap;
	bool		 inet;		/* it covers the Internet */
};

enum known { UNKNOWN, NO, YES };

/* A row as it is compiled for a node: without sources, it is none. */
struct rule {
	struct set	 src;
	struct set	 dst;
	uint8_t		*is_src;	/* of each node: enum known */
	uint8_t		*is_dst;
};

struct say_node {
	struct pk_node	 pk;
	struct say_route route[ROUTES];
	struct span	 span[ROUTES];
	unsigned int	 nroutes;
};

struct rulesay {
	const struct pol *pol;
	const struct fnode *const *f;
	struct say_node	*node;
	unsigned int	 n;
	struct rule	***rule;	/* by row and node; NULL: not made */
	struct set	*from;		/* sources by row, */
	bool		*has_from;	/* when they are made */
};

static void
add_span(struct set *s, const struct ip *lo, const struct ip *hi)
{
	if (lo->family == 0)
		return;
	if (s->n == s->cap) {
		s->cap = 2 * s->cap + 8;
		s->v = xrealloc(s->v, s->cap, sizeof(s->v[0]));
	}
	s->v[s->n].lo = *lo;
	s->v[s->n++].hi = *hi;
}

static struct span
span_of(const char *text)
{
	struct prefix p;
	struct span s;
	unsigned int i;

	if (!prefix_parse(&p, slice_str(text)))
		fatalx("rulesay: %s", text);
	s.lo = s.hi = p.addr;
	for (i = p.bits; i < (p.addr.family == 4 ? 32u : 128u); i++)
		s.hi.b[i / 8] |= (uint8_t)(0x80 >> i % 8);
	return s;
}

static void
add_text(struct set *s, const char *text)
{
	struct span p = span_of(text);

	add_span(s, &p.lo, &p.hi);
}

static bool
overlap(const struct set *s, const struct span *p)
{
	unsigned int i;

	for (i = 0; i < s->n; i++)
		if (s->v[i].lo.family == p->lo.family &&
		    ip_cmp(&s->v[i].lo, &p->hi) <= 0 &&
		    ip_cmp(&p->lo, &s->v[i].hi) <= 0)
			return true;
	return false;
}

static void
add_node(struct rulesay *w, struct set *s, unsigned int n)
{
	const struct pol_node *f = &w->node[n].pk.node;

	add_span(s, &f->ip4, &f->ip4);
	add_span(s, &f->ip6, &f->ip6);
}

/* The set contains an address of the node. */
static bool
hits(const struct rulesay *w, const struct set *s, unsigned int n)
{
	const struct pol_node *f = &w->node[n].pk.node;
	struct span v4 = { f->ip4, f->ip4 }, v6 = { f->ip6, f->ip6 };

	return overlap(s, &v4) || overlap(s, &v6);
}

/* The set overlaps an approved subnet route of the node. */
static bool
routes_hit(const struct rulesay *w, const struct set *s, unsigned int n)
{
	const struct say_node *f = &w->node[n];
	unsigned int k;

	for (k = 0; k < f->nroutes; k++)
		if (!f->route[k].exit && overlap(s, &f->span[k]))
			return true;
	return false;
}

static bool
is_exit(const struct rulesay *w, unsigned int n)
{
	unsigned int k;

	for (k = 0; k < w->node[n].nroutes; k++)
		if (w->node[n].route[k].exit)
			return true;
	return false;
}

static bool
is_identity(const struct pol_sel *s)
{
	return s->kind != POL_ANY && s->kind != POL_TAILNET &&
	    s->kind != POL_RANGE;
}

static bool
has_tag(const struct pol_node *f, struct slice tag)
{
	size_t i;

	for (i = 0; i < f->ntags; i++)
		if (slice_eq(f->tag[i], tag))
			return true;
	return false;
}

static bool
is_named(const struct pol_sel *s, const struct pol_node *f)
{
	uint32_t i;

	switch (s->kind) {
	case POL_TAG:
		return has_tag(f, s->text);
	case POL_TAGGED:
		return f->ntags != 0;
	case POL_MEMBER:
		return f->ntags == 0;
	default:
		for (i = 0; i < s->nusers && f->ntags == 0; i++)
			if (s->user[i] == f->user)
				return true;
		return false;
	}
}

static void
resolve(struct rulesay *w, const struct pol_sel *s, struct set *set)
{
	unsigned int i, k;

	if (s->kind == POL_ANY) {
		add_text(set, "0.0.0.0/0");
		add_text(set, "::/0");
	} else if (s->kind == POL_TAILNET) {
		add_text(set, "100.64.0.0/10");
		add_text(set, "fd7a:115c:a1e0::/48");
	} else if (s->kind == POL_RANGE)
		add_span(set, &s->lo, &s->hi);
	set->inet |= s->kind == POL_ANY || s->inet;
	for (i = 0; i < w->n; i++) {
		if (is_identity(s) && is_named(s, &w->node[i].pk.node))
			add_node(w, set, i);
		for (k = 0; s->kind == POL_TAILNET &&
		    k < w->node[i].nroutes; k++)
			if (!w->node[i].route[k].exit)
				add_text(set, w->node[i].route[k].text);
	}
}

static const struct set *
sources(struct rulesay *w, uint32_t row)
{
	const struct pol_row *r = &w->pol->row[row];
	struct set *set = &w->from[row];
	uint32_t i;

	if (w->has_from[row])
		return set;
	w->has_from[row] = true;
	for (i = 0; i < w->pol->src[r->src].n; i++)
		resolve(w, &w->pol->sel[w->pol->src[r->src].sel[i]], set);
	return set;
}

static void
copy(struct set *to, const struct set *from)
{
	unsigned int i;

	for (i = 0; i < from->n; i++)
		add_span(to, &from->v[i].lo, &from->v[i].hi);
	to->inet = from->inet;
}

/* autogroup:self: 7. */
static void
compile_self(struct rulesay *w, uint32_t row, unsigned int n,
    struct rule *out)
{
	const struct pol_node *f = &w->node[n].pk.node, *o;
	const struct set *all = sources(w, row);
	unsigned int i;

	for (i = 0; i < w->n && f->ntags == 0; i++) {
		o = &w->node[i].pk.node;
		if (o->ntags != 0 || o->user != f->user)
			continue;
		add_node(w, &out->dst, i);
		if (hits(w, all, i))
			add_node(w, &out->src, i);
	}
}

static bool
is_on_way(struct rulesay *w, const struct pol_row *r, unsigned int n)
{
	uint32_t i;

	for (i = 0; i < r->nvia; i++)
		if (has_tag(&w->node[n].pk.node, w->pol->sel[r->via[i]].text))
			return true;
	return false;
}

/* A via grant is for nodes with the tag, and what these carry: 8. */
static void
compile_via(struct rulesay *w, uint32_t row, unsigned int n,
    struct rule *out)
{
	const struct pol_row *r = &w->pol->row[row];
	const struct pol_sel *s;
	struct set one;
	uint32_t i;

	if (!is_on_way(w, r, n))
		return;
	for (i = 0; i < r->ndst; i++) {
		s = &w->pol->sel[r->dst[i].sel];
		memset(&one, 0, sizeof(one));
		resolve(w, s, &one);
		if (!is_identity(s) && (s->inet ? is_exit(w, n) :
		    routes_hit(w, &one, n))) {
			/* "*" with caps is not sent: it is the node's own. */
			if (s->kind == POL_TAILNET)
				add_node(w, &out->dst, n);
			else
				resolve(w, s, &out->dst);
		}
		free(one.v);
	}
	if (out->dst.n != 0)
		copy(&out->src, sources(w, row));
}

static void
compile(struct rulesay *w, uint32_t row, struct rule *out)
{
	const struct pol_row *r = &w->pol->row[row];
	uint32_t i;

	copy(&out->src, sources(w, row));
	for (i = 0; i < r->ndst; i++)
		resolve(w, &w->pol->sel[r->dst[i].sel], &out->dst);
}

/* What is compiled alike for all, for an owner's nodes, is made once. */
static struct rule *
twin(const struct rulesay *w, uint32_t row, unsigned int n)
{
	uint8_t flags = w->pol->row[row].flags;
	const struct pol_node *f = &w->node[n].pk.node, *o;
	unsigned int i;

	for (i = 0; i < w->n && (flags & POL_ROW_VIA) == 0; i++) {
		o = &w->node[i].pk.node;
		if (w->rule[row][i] != NULL && ((flags & POL_ROW_SELF) == 0 ||
		    (o->user == f->user && (o->ntags == 0) ==
		    (f->ntags == 0))))
			return w->rule[row][i];
	}
	return NULL;
}

static struct rule *
rule_of(struct rulesay *w, uint32_t row, unsigned int n)
{
	uint8_t flags = w->pol->row[row].flags;
	struct rule *r = w->rule[row][n];

	if (r != NULL || (r = twin(w, row, n)) != NULL)
		return w->rule[row][n] = r;
	r = w->rule[row][n] = xcalloc(1, sizeof(*r));
	r->is_src = xcalloc(w->n, 1);
	r->is_dst = xcalloc(w->n, 1);
	if (flags & POL_ROW_SELF)
		compile_self(w, row, n, r);
	else if (flags & POL_ROW_VIA)
		compile_via(w, row, n, r);
	else
		compile(w, row, r);
	return r;
}

static bool
is_src(const struct rulesay *w, struct rule *r, unsigned int n)
{
	if (r->is_src[n] == UNKNOWN)
		r->is_src[n] = hits(w, &r->src, n) ||
		    routes_hit(w, &r->src, n) ? YES : NO;
	return r->is_src[n] == YES;
}

static bool
is_dst(const struct rulesay *w, struct rule *r, unsigned int n)
{
	if (r->is_dst[n] == UNKNOWN)
		r->is_dst[n] = hits(w, &r->dst, n) ||
		    routes_hit(w, &r->dst, n) ||
		    (r->dst.inet && is_exit(w, n)) ? YES : NO;
	return r->is_dst[n] == YES;
}

bool
rulesay_peers(struct rulesay *w, unsigned int a, unsigned int b)
{
	struct rule *r;
	unsigned int k;
	uint32_t i;

	for (k = 0; k < 2 && a != b; k++)
		for (i = 0; i < w->pol->nrows; i++) {
			r = rule_of(w, i, k == 0 ? a : b);
			if ((is_src(w, r, a) && is_dst(w, r, b)) ||
			    (is_src(w, r, b) && is_dst(w, r, a)))
				return true;
		}
	return false;
}

/* Step 3: the viewer, by its rules, may use the route. */
static bool
may_use(struct rulesay *w, unsigned int v, const struct say_route *route,
    const struct span *p)
{
	struct rule *r;
	uint32_t i;

	for (i = 0; i < w->pol->nrows; i++) {
		r = rule_of(w, i, v);
		if (route->exit) {
			/* Only whom a rule gives the Internet. */
			if (hits(w, &r->src, v) && r->dst.inet)
				return true;
			continue;
		}
		if (is_src(w, r, v) && overlap(&r->dst, p))
			return true;
		if (overlap(&r->src, p) && is_dst(w, r, v))
			return true;
	}
	return false;
}

/*
 * Step 2: some destination of a grant or ACL is the route.  Of a via grant,
 * the Internet is no subnet's, and identities are nobody's.
 */
static bool
touches(struct rulesay *w, const struct pol_row *r, bool exit,
    const struct span *p)
{
	bool via = (r->flags & POL_ROW_VIA) != 0, yes = false;
	const struct pol_sel *s;
	struct set one;
	uint32_t i;

	for (i = 0; i < r->ndst && !yes; i++) {
		s = &w->pol->sel[r->dst[i].sel];
		if (exit) {
			/* "*" of a CapGrant means exit routes, too. */
			yes = s->inet || s->kind == POL_ANY ||
			    (!via && s->kind == POL_TAILNET);
			continue;
		}
		if (via && (is_identity(s) || s->inet))
			continue;
		memset(&one, 0, sizeof(one));
		resolve(w, s, &one);
		yes = overlap(&one, p);
		free(one.v);
	}
	return yes;
}

/* Of autogroup:self: one of the viewer's owner's nodes lies in the route. */
static bool
touches_own(struct rulesay *w, unsigned int v, bool exit,
    const struct span *p)
{
	const struct pol_node *me = &w->node[v].pk.node, *o;
	struct set own = { 0 };
	unsigned int i;
	bool yes;

	for (i = 0; i < w->n; i++) {
		o = &w->node[i].pk.node;
		if (me->ntags == 0 && o->ntags == 0 && o->user == me->user)
			add_node(w, &own, i);
	}
	yes = !exit && overlap(&own, p);
	free(own.v);
	return yes;
}

static const struct say_route *
offers(const struct rulesay *w, unsigned int n, const char *text)
{
	unsigned int k;

	for (k = 0; k < w->node[n].nroutes; k++)
		if (strcmp(w->node[n].route[k].text, text) == 0)
			return &w->node[n].route[k];
	return NULL;
}

/* The earliest with one of the tags and this route. */
static bool
is_earliest(struct rulesay *w, const struct pol_row *r, unsigned int p,
    const char *route)
{
	unsigned int i;

	for (i = 0; i < w->n; i++)
		if (w->f[i]->id < w->f[p]->id && offers(w, i, route) != NULL &&
		    is_on_way(w, r, i))
			return false;
	return true;
}

/* All five steps. */
bool
rulesay_shows(struct rulesay *w, unsigned int v, unsigned int peer,
    unsigned int k)
{
	const struct say_route *route = &w->node[peer].route[k];
	const struct span *p = &w->node[peer].span[k];
	bool include = false, exclude = false, regular = false;
	const struct pol_row *r;
	uint32_t i;

	for (i = 0; i < w->pol->nrows; i++) {
		r = &w->pol->row[i];
		if (!hits(w, sources(w, i), v) || !(r->flags & POL_ROW_SELF ?
		    touches_own(w, v, route->exit, p) :
		    touches(w, r, route->exit, p)))
			continue;
		if ((r->flags & POL_ROW_VIA) == 0)
			regular = true;
		else if (is_on_way(w, r, peer) &&
		    is_earliest(w, r, peer, route->text))
			include = true;
		else
			exclude = true;
	}
	if (regular)
		exclude = false;
	if ((route->primary || route->exit) && !exclude &&
	    may_use(w, v, route, p))
		return true;
	if (include && (!regular || route->primary || route->exit))
		return true;
	return route->primary && offers(w, v, route->text) != NULL;
}

const struct say_route *
rulesay_route(const struct rulesay *w, unsigned int n, unsigned int k)
{
	return k < w->node[n].nroutes ? &w->node[n].route[k] : NULL;
}

static void
add_route(struct say_node *n, bool there, const char *text, bool exit,
    bool primary)
{
	struct say_route *r = &n->route[n->nroutes];

	if (!there)
		return;
	(void)snprintf(r->text, sizeof(r->text), "%s", text);
	r->exit = exit;
	r->primary = primary && !exit;
	n->span[n->nroutes++] = span_of(text);
}

/* As tnfeed.c has them. */
static void
add_routes(struct say_node *n, const struct fnode *f)
{
	unsigned int bits = f->advertised & f->approved;
	char text[24];

	add_route(n, bits & 1, "0.0.0.0/0", true, false);
	add_route(n, bits & 1, "::/0", true, false);
	add_route(n, bits & 2, "10.1.0.0/16", false, f->primary & 2);
	add_route(n, bits & 4, "fd00:1::/64", false, f->primary & 4);
	add_route(n, bits & 8, "100.64.0.0/24", false, f->primary & 8);
	(void)snprintf(text, sizeof(text), "10.%u.%u.0/24",
	    128 + f->subnet / 256 % 128, f->subnet % 256);
	add_route(n, f->subnet != 0, text, false, !f->standby);
}

struct rulesay *
rulesay_new(struct rulekit *k, const struct fnode *const *f, unsigned int n)
{
	struct rulesay *w;
	uint32_t i;

	w = xcalloc(1, sizeof(*w));
	w->pol = pk_pol(k);
	w->f = f;
	w->n = n;
	w->node = xcalloc((size_t)n + 1, sizeof(w->node[0]));
	for (i = 0; i < n; i++) {
		pk_node(&w->node[i].pk, k, f[i]);
		add_routes(&w->node[i], f[i]);
	}
	w->rule = xcalloc((size_t)w->pol->nrows + 1, sizeof(w->rule[0]));
	w->from = xcalloc((size_t)w->pol->nrows + 1, sizeof(w->from[0]));
	w->has_from = xcalloc((size_t)w->pol->nrows + 1,
	    sizeof(w->has_from[0]));
	for (i = 0; i < w->pol->nrows; i++)
		w->rule[i] = xcalloc((size_t)n + 1, sizeof(w->rule[i][0]));
	return w;
}

static void
rules_free(struct rule **rule, unsigned int n)
{
	struct rule *r;
	unsigned int i, k;

	for (i = 0; i < n; i++) {
		if ((r = rule[i]) == NULL)
			continue;
		for (k = i; k < n; k++)
			if (rule[k] == r)
				rule[k] = NULL;
		free(r->src.v);
		free(r->dst.v);
		free(r->is_src);
		free(r->is_dst);
		free(r);
	}
	free(rule);
}

void
rulesay_free(struct rulesay *w)
{
	uint32_t i;

	for (i = 0; i < w->pol->nrows; i++) {
		rules_free(w->rule[i], w->n);
		free(w->from[i].v);
	}
	for (i = 0; i < w->n; i++)
		pk_node_free(&w->node[i].pk);
	free(w->rule);
	free(w->from);
	free(w->has_from);
	free(w->node);
	free(w);
}
