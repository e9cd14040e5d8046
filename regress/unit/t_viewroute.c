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
};

/* The record's order of routes is that of their bits: see tnfeed.c. */
static const struct {
	unsigned int	 bit;
	const char	*text;
	bool		 exit;
} routes[] = {
	{ 1, "0.0.0.0/0", true }, { 1, "::/0", true },
	{ 2, "10.1.0.0/16", false }, { 4, "fd00:1::/64", false }
};
#define ROUTES	(sizeof(routes) / sizeof(routes[0]))

static bool
overlaps(const struct pol_sel *s, const char *text)
{
	struct prefix p;
	struct ip lo, hi;
	unsigned int i;

	if (s->kind == POL_ANY || s->kind == POL_TAILNET)
		return true;
	if (s->kind != POL_RANGE)
		return false;
	assert_true(prefix_parse(&p, slice_str(text)));
	if (p.addr.family != s->lo.family)
		return false;
	lo = hi = p.addr;
	for (i = p.bits; i < (p.addr.family == 4 ? 32u : 128u); i++)
		hi.b[i / 8] |= (uint8_t)(0x80 >> i % 8);
	return ip_cmp(&lo, &s->hi) <= 0 && ip_cmp(&s->lo, &hi) <= 0;
}

static bool
src_overlaps(const struct pol *p, const struct pol_row *r, const char *text)
{
	uint32_t i;

	for (i = 0; i < p->src[r->src].n; i++)
		if (overlaps(&p->sel[p->src[r->src].sel[i]], text))
			return true;
	return false;
}

static bool
dst_overlaps(const struct pol *p, const struct pol_row *r, const char *text)
{
	uint32_t i;

	for (i = 0; i < r->ndst; i++)
		if (overlaps(&p->sel[r->dst[i].sel], text))
			return true;
	return false;
}

/* Addresses and identity are a destination. */
static bool
dst_at(const struct pol_row *r, const struct pk_node *n)
{
	uint32_t i;

	for (i = 0; i < r->ndst; i++)
		if (POL_HIT(n->hits.at, r->dst[i].sel))
			return true;
	return false;
}

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

/* The viewer's addresses, or approved subnet routes, are a source. */
static bool
is_src(struct world *w, const struct pol_row *r, unsigned int v)
{
	const struct pol *p = pk_pol(&w->kit);
	unsigned int k;

	if (hits_src_at(p, r->src, &w->n[v].hits))
		return true;
	for (k = 0; k < ROUTES; k++)
		if (!routes[k].exit && offers(&w->f[v], k) &&
		    src_overlaps(p, r, routes[k].text))
			return true;
	return false;
}

static bool
is_dst(struct world *w, const struct pol_row *r, unsigned int v)
{
	unsigned int k;

	if (dst_at(r, &w->n[v]))
		return true;
	if (offers(&w->f[v], 0) && (r->flags & POL_ROW_INET) != 0)
		return true;
	for (k = 0; k < ROUTES; k++)
		if (!routes[k].exit && offers(&w->f[v], k) &&
		    dst_overlaps(pk_pol(&w->kit), r, routes[k].text))
			return true;
	return false;
}

/*
 * The route leads to a destination of the row.  Through a way the Internet is
 * autogroup:internet or all, and no subnet's.
 */
static bool
touches(struct world *w, const struct pol_row *r, unsigned int k)
{
	bool via = (r->flags & POL_ROW_VIA) != 0;
	const struct pol_sel *s;
	uint32_t i;

	if (routes[k].exit && !via)
		return (r->flags & POL_ROW_INET) != 0;
	for (i = 0; i < r->ndst; i++) {
		s = &pk_pol(&w->kit)->sel[r->dst[i].sel];
		if (routes[k].exit ? s->inet || s->kind == POL_ANY :
		    (!via || !s->inet) && overlaps(s, routes[k].text))
			return true;
	}
	return false;
}

/* The destination is one that the node itself carries. */
static bool
is_carried(struct world *w, const struct pol_sel *s, unsigned int n)
{
	unsigned int k;

	if (s->inet)
		return offers(&w->f[n], 0);
	for (k = 0; k < ROUTES; k++)
		if (!routes[k].exit && offers(&w->f[n], k) &&
		    overlaps(s, routes[k].text))
			return true;
	return false;
}

/* A via row as it is compiled for the viewer: 8. */
static bool
may_use_way(struct world *w, const struct pol_row *r, unsigned int v,
    unsigned int k)
{
	const struct pol *pol = pk_pol(&w->kit);
	const struct pol_sel *s;
	bool some = false, leads = false;
	uint32_t i;

	if (!hits_via(r, &w->n[v].hits))
		return false;
	for (i = 0; i < r->ndst; i++) {
		s = &pol->sel[r->dst[i].sel];
		if (!is_carried(w, s, v))
			continue;
		some = true;
		if (routes[k].exit ? s->inet || s->kind == POL_ANY :
		    overlaps(s, routes[k].text))
			leads = true;
	}
	if (routes[k].exit)
		return leads && hits_src_at(pol, r->src, &w->n[v].hits);
	/* Its own routes are destinations. */
	return some && (src_overlaps(pol, r, routes[k].text) ||
	    (leads && is_src(w, r, v)));
}

/* Step 3: the viewer may use the route. */
static bool
may_use(struct world *w, unsigned int v, unsigned int k)
{
	const struct pol *pol = pk_pol(&w->kit);
	const struct pol_row *r;
	uint32_t i;

	for (i = 0; i < pol->nrows; i++) {
		r = &pol->row[i];
		if (r->flags & POL_ROW_SELF)
			continue;
		if (r->flags & POL_ROW_VIA) {
			if (may_use_way(w, r, v, k))
				return true;
			continue;
		}
		/* The Internet is for who is named. */
		if ((routes[k].exit ? hits_src_at(pol, r->src,
		    &w->n[v].hits) : is_src(w, r, v)) && touches(w, r, k))
			return true;
		if (!routes[k].exit && is_dst(w, r, v) &&
		    src_overlaps(pol, r, routes[k].text))
			return true;
	}
	return false;
}

/* "*" of a CapGrant, which means exit routes, too. */
static bool
all_caps(struct world *w, const struct pol_row *r, unsigned int k)
{
	uint32_t i;

	for (i = 0; i < r->ndst && routes[k].exit &&
	    (r->flags & POL_ROW_VIA) == 0; i++)
		if (pk_pol(&w->kit)->sel[r->dst[i].sel].kind == POL_TAILNET)
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
		    hits_via(r, &w->n[i].hits))
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
	uint32_t i;

	if (!offers(&w->f[p], k))
		return false;
	for (i = 0; i < pol->nrows; i++) {
		r = &pol->row[i];
		if ((r->flags & POL_ROW_SELF) || !(touches(w, r, k) ||
		    all_caps(w, r, k)) ||
		    !hits_src_at(pol, r->src, &w->n[v].hits))
			continue;
		if ((r->flags & POL_ROW_VIA) == 0)
			regular = true;
		else if (hits_via(r, &w->n[p].hits) &&
		    is_earliest(w, r, p, k))
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
}

static void
unload(struct world *w)
{
	unsigned int i;

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
			want = p != v && pol_visible(pk_pol(&w->kit),
			    &w->n[v].node, &w->n[v].hits, &w->n[p].node,
			    &w->n[p].hits);
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
	unsigned int i, seen = 0;
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
			f->advertised = env_uniform(w.w->env, 8);
			f->approved = env_uniform(w.w->env, 8);
			f->primary = env_uniform(w.w->env, 8);
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
