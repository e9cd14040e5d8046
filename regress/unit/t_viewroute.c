/*
 * Who is shown which routes: policy.md 10.3, said again as slowly as it is
 * written there, against what maps show; and cases of its own.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <json.h>

#include "regress/lib/rulekit.h"
#include "regress/lib/tnworld.h"

#define MANY	14
#define SEEDS	400

struct world {
	struct tnworld	*w;
	struct rulekit	 kit;
	struct fnode	 f[MANY];
	struct pk_node	 n[MANY];
	unsigned int	 nnodes;
	struct rule	*rule;		/* of each node, nrules */
	unsigned int	 nrules;
};

/* The record's order of routes is that of their bits: see tnfeed.c. */
static const struct {
	unsigned int	 bit;
	const char	*text;
	bool		 exit;
} routes[] = {
	{ 1, "0.0.0.0/0", true }, { 1, "::/0", true },
	{ 2, "10.1.0.0/16", false }, { 4, "fd00:1::/64", false },
	{ 8, "100.64.0.0/24", false }
};
#define ROUTES	(sizeof(routes) / sizeof(routes[0]))

/* Addresses, as policy.md 4 resolves aliases to them. */
struct span {
	struct ip	 lo, hi;
};

#define SPANS	300

struct set {
	struct span	 v[SPANS];
	unsigned int	 n;
	bool		 inet;		/* it covers the Internet */
};

/* A row as it is compiled for a node: without sources, it is none. */
struct rule {
	struct set	 src;
	struct set	 dst;
};

static bool
offers(const struct fnode *f, unsigned int k)
{
	return (f->approved & f->advertised & routes[k].bit) != 0;
}

static bool
carries(const struct fnode *f, unsigned int k)
{
	return offers(f, k) && !routes[k].exit &&
	    (f->primary & routes[k].bit) != 0;
}

static void
add_span(struct set *s, const struct ip *lo, const struct ip *hi)
{
	assert_true(s->n < SPANS);
	s->v[s->n].lo = *lo;
	s->v[s->n++].hi = *hi;
}

static struct span
span_of(const char *text)
{
	struct prefix p;
	struct span s;
	unsigned int i;

	assert_true(prefix_parse(&p, slice_str(text)));
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
add_node(struct world *w, struct set *s, unsigned int n)
{
	const struct pol_node *f = &w->n[n].node;

	add_span(s, &f->ip4, &f->ip4);
	add_span(s, &f->ip6, &f->ip6);
}

/* The set contains an address of the node. */
static bool
hits(struct world *w, const struct set *s, unsigned int n)
{
	const struct pol_node *f = &w->n[n].node;
	struct span v4 = { f->ip4, f->ip4 }, v6 = { f->ip6, f->ip6 };

	return overlap(s, &v4) || overlap(s, &v6);
}

/* The set overlaps an approved subnet route of the node. */
static bool
routes_hit(struct world *w, const struct set *s, unsigned int n)
{
	struct span p;
	unsigned int k;

	for (k = 0; k < ROUTES; k++) {
		if (routes[k].exit || !offers(&w->f[n], k))
			continue;
		p = span_of(routes[k].text);
		if (overlap(s, &p))
			return true;
	}
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
resolve(struct world *w, const struct pol_sel *s, struct set *set)
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
	for (k = 0; s->kind == POL_TAILNET && k < ROUTES; k++)
		for (i = 0; !routes[k].exit && i < w->nnodes; i++)
			if (offers(&w->f[i], k)) {
				add_text(set, routes[k].text);
				break;
			}
	for (i = 0; is_identity(s) && i < w->nnodes; i++)
		if (is_named(s, &w->n[i].node))
			add_node(w, set, i);
}

static void
sources(struct world *w, const struct pol_row *r, struct set *set)
{
	const struct pol *p = pk_pol(&w->kit);
	uint32_t i;

	for (i = 0; i < p->src[r->src].n; i++)
		resolve(w, &p->sel[p->src[r->src].sel[i]], set);
}

/* autogroup:self: 7. */
static void
compile_self(struct world *w, const struct pol_row *r, unsigned int n,
    struct rule *out)
{
	const struct pol_node *f = &w->n[n].node, *o;
	struct set all = { .n = 0 };
	unsigned int i;

	if (f->ntags != 0)
		return;
	sources(w, r, &all);
	for (i = 0; i < w->nnodes; i++) {
		o = &w->n[i].node;
		if (o->ntags != 0 || o->user != f->user)
			continue;
		add_node(w, &out->dst, i);
		if (hits(w, &all, i))
			add_node(w, &out->src, i);
	}
}

/* A via grant is for nodes with the tag, and what these carry: 8. */
static void
compile_via(struct world *w, const struct pol_row *r, unsigned int n,
    struct rule *out)
{
	const struct pol *p = pk_pol(&w->kit);
	const struct pol_sel *s;
	struct set one;
	uint32_t i;

	for (i = 0; i < r->nvia; i++)
		if (has_tag(&w->n[n].node, p->sel[r->via[i]].text))
			break;
	if (i == r->nvia)
		return;
	for (i = 0; i < r->ndst; i++) {
		s = &p->sel[r->dst[i].sel];
		memset(&one, 0, sizeof(one));
		resolve(w, s, &one);
		if (!is_identity(s) && (s->inet ? offers(&w->f[n], 0) :
		    routes_hit(w, &one, n)))
			resolve(w, s, &out->dst);
	}
	if (out->dst.n != 0)
		sources(w, r, &out->src);
}

static void
compile(struct world *w, const struct pol_row *r, unsigned int n,
    struct rule *out)
{
	uint32_t i;

	memset(out, 0, sizeof(*out));
	if (r->flags & POL_ROW_SELF) {
		compile_self(w, r, n, out);
		return;
	}
	if (r->flags & POL_ROW_VIA) {
		compile_via(w, r, n, out);
		return;
	}
	sources(w, r, &out->src);
	for (i = 0; i < r->ndst; i++)
		resolve(w, &pk_pol(&w->kit)->sel[r->dst[i].sel], &out->dst);
}

static bool
is_src(struct world *w, const struct rule *r, unsigned int n)
{
	return hits(w, &r->src, n) || routes_hit(w, &r->src, n);
}

static bool
is_dst(struct world *w, const struct rule *r, unsigned int n)
{
	return hits(w, &r->dst, n) || routes_hit(w, &r->dst, n) ||
	    (r->dst.inet && offers(&w->f[n], 0));
}

static const struct rule *
rules_of(const struct world *w, unsigned int n)
{
	return &w->rule[n * w->nrules];
}

/* 10.1, by the rules of both. */
static bool
are_peers(struct world *w, unsigned int a, unsigned int b)
{
	const struct rule *r;
	unsigned int i, k;

	for (k = 0; k < 2 && a != b; k++)
		for (i = 0; i < w->nrules; i++) {
			r = &rules_of(w, k == 0 ? a : b)[i];
			if ((is_src(w, r, a) && is_dst(w, r, b)) ||
			    (is_src(w, r, b) && is_dst(w, r, a)))
				return true;
		}
	return false;
}

/* Step 3: the viewer, by its rules, may use the route. */
static bool
may_use(struct world *w, unsigned int v, unsigned int k)
{
	struct span p = span_of(routes[k].text);
	const struct rule *r;
	unsigned int i;

	for (i = 0; i < w->nrules; i++) {
		r = &rules_of(w, v)[i];
		if (routes[k].exit) {
			/* Only whom a rule gives the Internet. */
			if (hits(w, &r->src, v) && r->dst.inet)
				return true;
			continue;
		}
		if (is_src(w, r, v) && overlap(&r->dst, &p))
			return true;
		if (overlap(&r->src, &p) && is_dst(w, r, v))
			return true;
	}
	return false;
}

/*
 * Step 2: some destination of a grant or ACL is the route.  Of a via grant,
 * the Internet is no subnet's, and identities are nobody's.
 */
static bool
touches(struct world *w, const struct pol_row *r, unsigned int k)
{
	bool via = (r->flags & POL_ROW_VIA) != 0;
	struct span p = span_of(routes[k].text);
	const struct pol_sel *s;
	struct set one;
	uint32_t i;

	for (i = 0; i < r->ndst; i++) {
		s = &pk_pol(&w->kit)->sel[r->dst[i].sel];
		if (routes[k].exit) {
			/* "*" of a CapGrant means exit routes, too. */
			if (s->inet || s->kind == POL_ANY ||
			    (!via && s->kind == POL_TAILNET))
				return true;
			continue;
		}
		if (via && (is_identity(s) || s->inet))
			continue;
		memset(&one, 0, sizeof(one));
		resolve(w, s, &one);
		if (overlap(&one, &p))
			return true;
	}
	return false;
}

/* Of autogroup:self: one of the viewer's owner's nodes lies in the route. */
static bool
touches_own(struct world *w, unsigned int v, unsigned int k)
{
	struct span p = span_of(routes[k].text);
	struct set own = { .n = 0 };
	unsigned int i;

	for (i = 0; i < w->nnodes; i++)
		if (w->n[v].node.ntags == 0 && w->n[i].node.ntags == 0 &&
		    w->n[i].node.user == w->n[v].node.user)
			add_node(w, &own, i);
	return !routes[k].exit && overlap(&own, &p);
}

static bool
is_on_way(struct world *w, const struct pol_row *r, unsigned int n)
{
	uint32_t i;

	for (i = 0; i < r->nvia; i++)
		if (has_tag(&w->n[n].node,
		    pk_pol(&w->kit)->sel[r->via[i]].text))
			return true;
	return false;
}

/* The earliest with one of the tags and this route. */
static bool
is_earliest(struct world *w, const struct pol_row *r, unsigned int p,
    unsigned int k)
{
	unsigned int i;

	for (i = 0; i < w->nnodes; i++)
		if (w->f[i].id < w->f[p].id && offers(&w->f[i], k) &&
		    is_on_way(w, r, i))
			return false;
	return true;
}

/* All five steps. */
static bool
shows(struct world *w, unsigned int v, unsigned int p, unsigned int k)
{
	const struct pol *pol = pk_pol(&w->kit);
	const struct pol_row *r;
	bool include = false, exclude = false, regular = false;
	struct set from;
	uint32_t i;

	if (!offers(&w->f[p], k))
		return false;
	for (i = 0; i < pol->nrows; i++) {
		r = &pol->row[i];
		memset(&from, 0, sizeof(from));
		sources(w, r, &from);
		if (!hits(w, &from, v) || !(r->flags & POL_ROW_SELF ?
		    touches_own(w, v, k) : touches(w, r, k)))
			continue;
		if ((r->flags & POL_ROW_VIA) == 0)
			regular = true;
		else if (is_on_way(w, r, p) && is_earliest(w, r, p, k))
			include = true;
		else
			exclude = true;
	}
	if (regular)
		exclude = false;
	if ((carries(&w->f[p], k) || routes[k].exit) && !exclude &&
	    may_use(w, v, k))
		return true;
	if (include && (!regular || carries(&w->f[p], k) || routes[k].exit))
		return true;
	return carries(&w->f[p], k) && offers(&w->f[v], k);
}

static void
start(struct world *w, uint64_t seed)
{
	memset(w, 0, sizeof(*w));
	w->w = tnw_new(seed);
	pk_init(&w->kit);
}

static struct fnode *
add(struct world *w, uint64_t user, unsigned int route)
{
	struct fnode *f = &w->f[w->nnodes++];

	fnode_init(f, w->nnodes, user);
	f->advertised = f->approved = route;
	f->online = true;
	return f;
}

static void
compile_all(struct world *w)
{
	const struct pol *p = pk_pol(&w->kit);
	unsigned int i, k;

	w->nrules = p->nrows;
	w->rule = calloc((size_t)w->nnodes * p->nrows + 1, sizeof(w->rule[0]));
	assert_non_null(w->rule);
	for (i = 0; i < w->nnodes; i++)
		for (k = 0; k < p->nrows; k++)
			compile(w, &p->row[k], i,
			    &w->rule[i * w->nrules + k]);
}

/* The nodes as they are now, under the policy as it is now. */
static void
load(struct world *w)
{
	struct fuser u = { 0 };
	struct buf b = { 0 };
	unsigned int i;

	snap_tailnet(&b, "default", 2);
	snap_policy(&b, &w->kit.pol, 60000);
	for (i = 1; i <= 4; i++) {
		u.id = i;
		(void)snprintf(u.name, sizeof(u.name), "u%u", i);
		snap_user(&b, &u);
	}
	for (i = 0; i < w->nnodes; i++) {
		snap_node(&b, &w->f[i]);
		pk_node(&w->n[i], &w->kit, &w->f[i]);
	}
	snap_batch(&b, ++w->w->seq);
	assert_int_equal(tailnets_snapshot(w->w->tn, FEED_TAILNET, b.p, b.n),
	    0);
	buf_free(&b);
	compile_all(w);
}

static void
unload(struct world *w)
{
	unsigned int i;

	free(w->rule);
	w->rule = NULL;

	for (i = 0; i < w->nnodes; i++)
		pk_node_free(&w->n[i]);
}

static void
stop(struct world *w)
{
	unload(w);
	pk_free(&w->kit);
	tnw_free(w->w);
}

/* A fresh map of the node. */
static struct mapview *
map_of(struct world *w, unsigned int v)
{
	struct stream_conf sc = { 0 };
	struct frame *f[16];
	struct mapview *m;
	const char *why = NULL;
	size_t i, n;

	sc.tailnet = FEED_TAILNET;
	sc.node = w->f[v].id;
	sc.capver = 148;
	sc.compress = true;
	n = map_once(w->w->tn, &sc, f, 16);
	assert_int_not_equal(n, 0);
	m = mapview_new(sc.node, true);
	for (i = 0; i < n; i++) {
		if (why == NULL)
			why = mapview_input(m, f[i]->data, f[i]->len);
		frame_unref(f[i]);
	}
	if (why != NULL)
		fail_msg("%s", why);
	return m;
}

static bool
lists(struct json_object *n, const char *name, const char *text)
{
	struct json_object *l = json_object_object_get(n, name);
	size_t i;

	for (i = 0; l != NULL && i < json_object_array_length(l); i++)
		if (strcmp(json_object_get_string(json_object_array_get_idx(
		    l, i)), text) == 0)
			return true;
	return false;
}

static void
check_peer(struct world *w, unsigned int v, unsigned int p,
    struct json_object *n, uint64_t seed)
{
	unsigned int k;
	bool want;

	for (k = 0; k < ROUTES; k++) {
		want = shows(w, v, p, k);
		if (lists(n, "AllowedIPs", routes[k].text) != want)
			fail_msg("seed %u: viewer %u, peer %u, %s: %s",
			    (unsigned int)seed, v + 1, p + 1, routes[k].text,
			    want ? "missing" : "too many");
	}
}

/* The node's own entry: 10.4. */
static void
check_self(struct world *w, unsigned int v, struct json_object *n)
{
	unsigned int k;

	for (k = 0; k < ROUTES; k++) {
		assert_int_equal(lists(n, "AllowedIPs", routes[k].text),
		    offers(&w->f[v], k));
		assert_int_equal(lists(n, "PrimaryRoutes", routes[k].text),
		    carries(&w->f[v], k));
	}
}

static unsigned int
check_all(struct world *w, uint64_t seed)
{
	struct json_object *n;
	struct mapview *m;
	unsigned int v, p, seen = 0;
	bool want;

	for (v = 0; v < w->nnodes; v++) {
		m = map_of(w, v);
		check_self(w, v, mapview_self(m));
		for (p = 0; p < w->nnodes; p++) {
			n = mapview_peer(m, w->f[p].id);
			want = are_peers(w, v, p);
			if (want != (n != NULL))
				fail_msg("seed %u: viewer %u, peer %u: %s",
				    (unsigned int)seed, v + 1, p + 1,
				    want ? "missing" : "too many");
			if (n != NULL)
				check_peer(w, v, p, n, seed);
			seen += n != NULL;
		}
		mapview_free(m);
	}
	return seen;
}

static void
t_random(void **state)
{
	unsigned int i, k, seen = 0;
	struct fnode *f;
	struct world w;
	uint64_t seed;

	(void)state;
	for (seed = 1; seed <= SEEDS; seed++) {
		start(&w, seed);
		pk_random(&w.kit, w.w->env);
		for (i = 0; i < MANY; i++) {
			f = add(&w, env_uniform(w.w->env, 4), 0);
			if (f->user == 0)
				f->tags = 1 + env_uniform(w.w->env, 3);
			f->tag_from = env_uniform(w.w->env, 4);
			if (env_uniform(w.w->env, 2) == 0)
				continue;
			/* In some worlds, of the tailnet's own, too. */
			k = seed % 4 == 0 ? 16 : 8;
			f->advertised = env_uniform(w.w->env, k);
			f->approved = env_uniform(w.w->env, k);
			f->primary = env_uniform(w.w->env, k);
		}
		load(&w);
		seen += check_all(&w, seed);
		stop(&w);
	}
	assert_true(seen > 10 * SEEDS);
}

static bool
shown(struct world *w, unsigned int v, unsigned int p, const char *text)
{
	struct mapview *m = map_of(w, v - 1);
	struct json_object *n = mapview_peer(m, p);
	bool yes;

	assert_non_null(n);
	yes = lists(n, "AllowedIPs", text);
	mapview_free(m);
	return yes;
}

/* Sources may use the subnet through the earliest of the tagged only. */
static void
t_via(void **state)
{
	uint32_t all;
	struct world w;

	(void)state;
	start(&w, 1);
	all = pk_src(&w.kit, PK_MEMBER, -1);
	(void)add(&w, 1, 0);
	(void)add(&w, 0, 2);		/* 2: untagged way, the primary */
	w.f[1].tags = 1;
	w.f[1].tag_from = 5;
	w.f[1].primary = 2;
	(void)add(&w, 0, 2);		/* 3 and 4: on the way */
	(void)add(&w, 0, 2);
	w.f[2].tags = w.f[3].tags = 1;
	pk_row(&w.kit, all, PK_WITHIN, POL_ROW_VIA);
	pk_via(&w.kit, PK_T0);
	pk_row(&w.kit, all, PK_TAGGED, 0);
	load(&w);
	(void)check_all(&w, 0);
	assert_false(shown(&w, 1, 2, "10.1.0.0/16"));
	assert_true(shown(&w, 1, 3, "10.1.0.0/16"));
	assert_false(shown(&w, 1, 4, "10.1.0.0/16"));
	/* A rule without a way: the primary's it is again. */
	unload(&w);
	pk_free(&w.kit);
	pk_row(&w.kit, all, PK_AROUND, 0);
	load(&w);
	(void)check_all(&w, 0);
	assert_true(shown(&w, 1, 2, "10.1.0.0/16"));
	assert_false(shown(&w, 1, 3, "10.1.0.0/16"));
	stop(&w);
}

/* An exit node for those who may reach the Internet. */
static void
t_exit(void **state)
{
	struct world w;

	(void)state;
	start(&w, 1);
	(void)add(&w, 1, 0);
	(void)add(&w, 2, 0);
	(void)add(&w, 3, 1);
	pk_row(&w.kit, pk_src(&w.kit, PK_U1, -1), PK_INET, 0);
	pk_row(&w.kit, pk_src(&w.kit, PK_U2, -1), PK_U3, 0);
	load(&w);
	(void)check_all(&w, 0);
	assert_true(shown(&w, 1, 3, "0.0.0.0/0"));
	assert_true(shown(&w, 1, 3, "::/0"));
	assert_false(shown(&w, 2, 3, "0.0.0.0/0"));
	stop(&w);
}

/* Two routers of a subnet know of each other what the policy hides. */
static void
t_co_routers(void **state)
{
	struct world w;

	(void)state;
	start(&w, 1);
	(void)add(&w, 1, 2);
	(void)add(&w, 2, 2);
	w.f[0].primary = 2;
	pk_row(&w.kit, pk_src(&w.kit, PK_U2, -1), PK_U1, 0);
	load(&w);
	(void)check_all(&w, 0);
	assert_true(shown(&w, 2, 1, "10.1.0.0/16"));
	assert_false(shown(&w, 1, 2, "10.1.0.0/16"));
	stop(&w);
}

/* A node without IPv4 by policy, and what it sees of others (12.5). */
static void
t_no_ip4(void **state)
{
	struct mapview *m;
	struct world w;

	(void)state;
	start(&w, 1);
	(void)add(&w, 1, 0);
	(void)add(&w, 2, 2);
	(void)add(&w, 3, 0);
	w.f[1].primary = 2;
	pk_row(&w.kit, pk_src(&w.kit, PK_TAILNET, -1), PK_ANY, 0);
	pk_attr(&w.kit, pk_src(&w.kit, PK_U1, -1), true);
	load(&w);
	m = map_of(&w, 0);
	assert_false(lists(mapview_self(m), "Addresses", "100.64.0.1/32"));
	assert_true(lists(mapview_self(m), "Addresses",
	    "fd7a:115c:a1e0::40:1/128") || json_object_array_length(
	    json_object_object_get(mapview_self(m), "Addresses")) == 1);
	assert_false(lists(mapview_peer(m, 2), "Addresses", "100.64.0.2/32"));
	assert_false(lists(mapview_peer(m, 2), "AllowedIPs",
	    "100.64.0.2/32"));
	assert_true(lists(mapview_peer(m, 2), "AllowedIPs", "10.1.0.0/16"));
	mapview_free(m);
	m = map_of(&w, 2);
	assert_false(lists(mapview_peer(m, 1), "Addresses", "100.64.0.1/32"));
	assert_true(lists(mapview_peer(m, 2), "Addresses", "100.64.0.2/32"));
	mapview_free(m);
	stop(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_random),
		cmocka_unit_test(t_via),
		cmocka_unit_test(t_exit),
		cmocka_unit_test(t_co_routers),
		cmocka_unit_test(t_no_ip4)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
