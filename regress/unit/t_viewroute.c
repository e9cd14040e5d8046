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

#include "regress/lib/rulesay.h"
#include "regress/lib/tnworld.h"

#define MANY	14
#define SEEDS	400

struct world {
	struct tnworld	*w;
	struct rulekit	 kit;
	struct fnode	 f[MANY];
	const struct fnode *at[MANY];
	unsigned int	 nnodes;
	struct rulesay	*say;
};

/* Routes that tests give their nodes: see tnfeed.c. */
static const char *const routes[] = { "0.0.0.0/0", "::/0", "10.1.0.0/16",
    "fd00:1::/64", "100.64.0.0/24" };
#define ROUTES	(sizeof(routes) / sizeof(routes[0]))

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
		w->at[i] = &w->f[i];
	}
	snap_batch(&b, ++w->w->seq);
	assert_int_equal(tailnets_snapshot(w->w->tn, FEED_TAILNET, b.p, b.n),
	    0);
	buf_free(&b);
	w->say = rulesay_new(&w->kit, w->at, w->nnodes);
}

static void
unload(struct world *w)
{
	rulesay_free(w->say);
	w->say = NULL;
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

/* The node's k-th route, or NULL if that is not among them. */
static const struct say_route *
offers(struct world *w, unsigned int n, const char *text, unsigned int *k)
{
	const struct say_route *r;

	for (*k = 0; (r = rulesay_route(w->say, n, *k)) != NULL; ++*k)
		if (strcmp(r->text, text) == 0)
			break;
	return r;
}

static void
check_peer(struct world *w, unsigned int v, unsigned int p,
    struct json_object *n, uint64_t seed)
{
	const struct say_route *r;
	unsigned int i, k;
	bool want;

	for (i = 0; i < ROUTES; i++) {
		r = offers(w, p, routes[i], &k);
		want = r != NULL && rulesay_shows(w->say, v, p, k);
		if (mapview_lists(n, "AllowedIPs", routes[i]) != want ||
		    mapview_lists(n, "PrimaryRoutes", routes[i]) !=
		    (want && !r->exit))
			fail_msg("seed %u: viewer %u, peer %u, %s: %s",
			    (unsigned int)seed, v + 1, p + 1, routes[i],
			    want ? "missing" : "too many");
	}
}

/* The node's own entry: 10.4. */
static void
check_self(struct world *w, unsigned int v, struct json_object *n)
{
	const struct say_route *r;
	unsigned int i, k;

	for (i = 0; i < ROUTES; i++) {
		r = offers(w, v, routes[i], &k);
		assert_int_equal(mapview_lists(n, "AllowedIPs", routes[i]),
		    r != NULL);
		assert_int_equal(mapview_lists(n, "PrimaryRoutes", routes[i]),
		    r != NULL && r->primary);
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
			want = rulesay_peers(w->say, v, p);
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

/* What pol_visible() asks of a node beside its facts. */
static void
widen(struct world *w, struct pk_node n[MANY], uint64_t held[MANY][MANY])
{
	const struct prefix *r;
	struct pol_node *f;
	unsigned int a, b;
	size_t i;

	for (a = 0; a < w->nnodes; a++) {
		f = &n[a].node;
		f->held = held[a];
		for (b = 0; b < w->nnodes; b++) {
			for (i = 0; i < f->nroutes; i++) {
				r = &f->route[i];
				if (r->bits != 0 && n[b].node.ntags == 0 &&
				    prefix_has(r, &n[b].node.ip4))
					held[a][f->nheld++] = n[b].node.user;
			}
			if (a != b && n[a].hits.wide)
				hits_widen(&n[a].hits, pk_pol(&w->kit), f,
				    &n[b].node, &n[b].hits);
		}
	}
}

/* pol_visible() explains it so. */
static void
t_explained(void **state)
{
	uint64_t held[MANY][MANY], seed;
	unsigned int i, a, b, wide = 0;
	struct pk_node n[MANY];
	struct fnode *f;
	struct world w;
	bool want;

	(void)state;
	for (seed = 1; seed <= SEEDS; seed++) {
		start(&w, seed);
		pk_random(&w.kit, w.w->env);
		for (i = 0; i < MANY; i++) {
			f = add(&w, env_uniform(w.w->env, 4), 0);
			f->tags = f->user == 0;
			f->tag_from = env_uniform(w.w->env, 4);
			/* Some of all that its route covers are not. */
			if (env_uniform(w.w->env, 3) == 0)
				f->addr += 256;
			if (env_uniform(w.w->env, 3) == 0)
				f->advertised = f->approved =
				    env_uniform(w.w->env, 16);
		}
		load(&w);
		for (i = 0; i < MANY; i++)
			pk_node(&n[i], &w.kit, &w.f[i]);
		widen(&w, n, held);
		for (a = 0; a < MANY; a++)
			for (b = 0; b < MANY; b++) {
				want = rulesay_peers(w.say, a, b);
				if (a == b || pol_visible(pk_pol(&w.kit),
				    &n[a].node, &n[a].hits, &n[b].node,
				    &n[b].hits) == want) {
					wide += want && n[a].hits.wide;
					continue;
				}
				fail_msg("seed %u: nodes %u and %u: %s",
				    (unsigned int)seed, a + 1, b + 1,
				    want ? "missing" : "too many");
			}
		for (i = 0; i < MANY; i++)
			pk_node_free(&n[i]);
		stop(&w);
	}
	assert_true(wide > SEEDS);
}

/*
 * A router of addresses of the tailnet, by a row of autogroup:self alone: the
 * nodes that lie in its route, and the others of their owners, are its peers.
 */
static void
t_wide_self(void **state)
{
	struct world w;

	(void)state;
	start(&w, 1);
	(void)add(&w, 1, 0);
	add(&w, 1, 0)->addr += 256;
	add(&w, 2, 0)->addr += 256;
	(void)add(&w, 0, 8);
	w.f[3].tags = 1;
	pk_row(&w.kit, pk_src(&w.kit, PK_MEMBER, -1), PK_ANY, POL_ROW_SELF);
	load(&w);
	(void)check_all(&w, 0);
	assert_true(rulesay_peers(w.say, 3, 0));
	assert_true(rulesay_peers(w.say, 3, 1));
	assert_false(rulesay_peers(w.say, 3, 2));
	stop(&w);
}

static bool
shown(struct world *w, unsigned int v, unsigned int p, const char *text)
{
	struct mapview *m = map_of(w, v - 1);
	struct json_object *n = mapview_peer(m, p);
	bool yes;

	assert_non_null(n);
	yes = mapview_lists(n, "AllowedIPs", text);
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
	assert_false(mapview_lists(mapview_self(m), "Addresses",
	    "100.64.0.1/32"));
	assert_true(mapview_lists(mapview_self(m), "Addresses",
	    "fd7a:115c:a1e0::40:1/128") || json_object_array_length(
	    json_object_object_get(mapview_self(m), "Addresses")) == 1);
	assert_false(mapview_lists(mapview_peer(m, 2), "Addresses",
	    "100.64.0.2/32"));
	assert_false(mapview_lists(mapview_peer(m, 2), "AllowedIPs",
	    "100.64.0.2/32"));
	assert_true(mapview_lists(mapview_peer(m, 2), "AllowedIPs",
	    "10.1.0.0/16"));
	mapview_free(m);
	m = map_of(&w, 2);
	assert_false(mapview_lists(mapview_peer(m, 1), "Addresses",
	    "100.64.0.1/32"));
	assert_true(mapview_lists(mapview_peer(m, 2), "Addresses",
	    "100.64.0.2/32"));
	mapview_free(m);
	stop(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_random),
		cmocka_unit_test(t_explained),
		cmocka_unit_test(t_wide_self),
		cmocka_unit_test(t_via),
		cmocka_unit_test(t_exit),
		cmocka_unit_test(t_co_routers),
		cmocka_unit_test(t_no_ip4)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
