/* Packet filters: reduction, order, merging, what is told of a change. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "regress/lib/plankit.h"
#include "worker/tailnet/tailnets_int.h"

#define ALL(ip)	"{\"IP\":\"" ip "\",\"Ports\":{\"First\":0,\"Last\":65535}}"

/* addr 1 is 100.64.0.1: so is the last part of the other one. */
#define N1_4	"100.64.0.1"
#define N1_6	"fd7a:115c:a1e0::40:1"
#define N2_4	"100.64.0.2"
#define N2_6	"fd7a:115c:a1e0::40:2"
#define N3_4	"100.64.0.3"
#define N3_6	"fd7a:115c:a1e0::40:3"

/* The chunks' rules, joined; names are left out. */
static const char *
rules(struct plankit *k, uint64_t id)
{
	static char t[20000];
	const char *s = plk_filters(k, NULL, id), *e;
	char *p = t;

	while ((s = strstr(s, "\":[")) != NULL) {
		s += 2;
		/* Names have 16 digits and stand before a list of objects. */
		if (s[1] != '{' || strncmp(s + 1, "{\"SrcIPs\"", 9) != 0)
			continue;
		for (e = s + 1; strncmp(e, "]}]", 3) != 0 &&
		    strncmp(e, "}]}]", 4) != 0; e++)
			*p++ = *e;
		for (; *e != '\0' && strncmp(e, "]", 2) != 0 &&
		    strncmp(e, "],\"", 3) != 0 && strcmp(e, "]}") != 0; e++)
			*p++ = *e;
		*p++ = '\n';
		s = e;
	}
	*p = '\0';
	return t;
}

static unsigned int
count(const char *t, const char *what)
{
	unsigned int n = 0;

	while ((t = strstr(t, what)) != NULL) {
		n++;
		t += strlen(what);
	}
	return n;
}

static void
t_reduce(void **state)
{
	struct plankit *k = plk_new();

	(void)state;
	plk_node(k, 1, 1, 0, 0);
	plk_node(k, 2, 2, 0, 0);
	plk_node(k, 3, 0, 0, 1);
	assert_string_equal(plk_filters(k, NULL, 1),
	    "{\"*\":null,\"base\":[]}");
	pk_row(&k->pol, pk_src(&k->pol, PK_MEMBER, -1), PK_T0, 0);
	pk_row(&k->pol, pk_src(&k->pol, PK_TAGGED, -1), PK_NODE1, 0);
	pk_dst(&k->pol, PK_ELSEWHERE);
	pk_dst(&k->pol, PK_NODES);
	plk_policy(k);
	assert_string_equal(rules(k, 3), "{\"SrcIPs\":[\"" N1_4 "\",\"" N2_4
	    "\",\"" N1_6 "\",\"" N2_6 "\"],\"DstPorts\":[" ALL(N3_4) ","
	    ALL(N3_6) "]}\n"
	    "{\"SrcIPs\":[\"" N3_4 "\",\"" N3_6 "\"],\"DstPorts\":["
	    ALL("100.64.0.0/27") "]}\n");
	assert_string_equal(rules(k, 1), "{\"SrcIPs\":[\"" N3_4 "\",\"" N3_6
	    "\"],\"DstPorts\":[" ALL(N1_4) "," ALL("100.64.0.0/27") "]}\n");
	assert_string_equal(rules(k, 2), "{\"SrcIPs\":[\"" N3_4 "\",\"" N3_6
	    "\"],\"DstPorts\":[" ALL("100.64.0.0/27") "]}\n");
	plk_free(k);
}

/* Subnets, the Internet, "*" on both sides. */
static void
t_routes(void **state)
{
	struct plankit *k = plk_new();
	const char *all = "{\"SrcIPs\":[\"10.1.0.0/16\","
	    "\"100.115.94.0-100.127.255.255\",\"100.64.0.0-100.115.91.255\","
	    "\"fd00:1::/64\",\"fd7a:115c:a1e0::/48\"],\"DstPorts\":[";
	char want[2000];

	(void)state;
	plk_router(k, 1, 1, 0, 0, 2 | 4);
	plk_router(k, 2, 1, 0, 0, 1);
	plk_node(k, 3, 1, 0, 0);
	pk_row(&k->pol, pk_src(&k->pol, PK_TAILNET, -1), PK_WITHIN, 0);
	pk_dst(&k->pol, PK_AROUND);
	pk_dst(&k->pol, PK_INET);
	pk_row(&k->pol, pk_src(&k->pol, PK_ANY, -1), PK_ANY, 0);
	plk_policy(k);
	(void)snprintf(want, sizeof(want), "%s%s]}\n%s", all,
	    ALL("10.1.2.0/24") "," ALL("10.0.0.0/8"),
	    "{\"SrcIPs\":[\"*\"],\"DstPorts\":[" ALL("*") "]}\n");
	assert_string_equal(rules(k, 1), want);
	(void)snprintf(want, sizeof(want), "%s%s]}\n%s", all,
	    ALL("11.0.0.0-100.63.255.255"),
	    "{\"SrcIPs\":[\"*\"],\"DstPorts\":[" ALL("*") "]}\n");
	assert_string_equal(rules(k, 2), want);
	assert_string_equal(rules(k, 3),
	    "{\"SrcIPs\":[\"*\"],\"DstPorts\":[" ALL("*") "]}\n");
	/* A route that is no longer approved is no source. */
	plk_router(k, 1, 1, 0, 0, 2);
	assert_null(strstr(rules(k, 1), "fd00:1::/64"));
	assert_non_null(strstr(rules(k, 1), "\"10.1.0.0/16\","));
	plk_free(k);
}

/* policy.md 5.5: by content of the sources, at the first one's place. */
static void
t_merge(void **state)
{
	struct plankit *k = plk_new();
	const char *t;

	(void)state;
	plk_node(k, 1, 1, 0, 0);
	plk_node(k, 2, 2, 0, 0);
	plk_node(k, 3, 0, 0, 1);
	/* t0 and tagged are the same node; the first row is not told to 1. */
	pk_row(&k->pol, pk_src(&k->pol, PK_T0, -1), PK_T0, 0);
	pk_row(&k->pol, pk_src(&k->pol, PK_U2, -1), PK_U1, 0);
	pk_row(&k->pol, pk_src(&k->pol, PK_TAGGED, -1), PK_MEMBER, 0);
	pk_row(&k->pol, pk_src(&k->pol, PK_TAGGED, PK_T0, -1), PK_ANY, 0);
	/* Sources without a node: no rule. */
	pk_row(&k->pol, pk_src(&k->pol, PK_T5, -1), PK_ANY, 0);
	plk_policy(k);
	t = rules(k, 1);
	assert_string_equal(t, "{\"SrcIPs\":[\"" N3_4 "\",\"" N3_6
	    "\"],\"DstPorts\":[" ALL(N1_4) "," ALL(N1_6) "," ALL("*") "]}\n"
	    "{\"SrcIPs\":[\"" N2_4 "\",\"" N2_6 "\"],\"DstPorts\":[" ALL(N1_4)
	    "," ALL(N1_6) "]}\n");
	/* With another tagged node the first row is none of them. */
	plk_node(k, 4, 0, 1, 1);
	t = rules(k, 1);
	assert_int_equal(strncmp(t, "{\"SrcIPs\":[\"" N2_4, 22), 0);
	assert_int_equal(count(t, "SrcIPs"), 2);
	plk_gone(k, 4);
	t = rules(k, 1);
	assert_int_equal(strncmp(t, "{\"SrcIPs\":[\"" N3_4, 22), 0);
	plk_free(k);
}

static void
t_self(void **state)
{
	struct plankit *k = plk_new();

	(void)state;
	plk_node(k, 1, 1, 0, 0);
	plk_node(k, 2, 2, 0, 0);
	plk_node(k, 3, 1, 0, 0);
	plk_node(k, 4, 0, 0, 1);
	pk_row(&k->pol, pk_src(&k->pol, PK_U12, -1), 0, POL_ROW_SELF);
	plk_policy(k);
	assert_string_equal(rules(k, 1), "{\"SrcIPs\":[\"" N1_4 "\",\"" N3_4
	    "\",\"" N1_6 "\",\"" N3_6 "\"],\"DstPorts\":[" ALL(N1_4) ","
	    ALL(N1_6) "]}\n");
	assert_string_equal(rules(k, 2), "{\"SrcIPs\":[\"" N2_4 "\",\"" N2_6
	    "\"],\"DstPorts\":[" ALL(N2_4) "," ALL(N2_6) "]}\n");
	assert_string_equal(rules(k, 4), "");
	/* A source that is no owner's is none: tagged, an address. */
	pk_row(&k->pol, pk_src(&k->pol, PK_TAGGED, PK_U2, PK_NODES, -1), 0,
	    POL_ROW_SELF);
	plk_policy(k);
	assert_string_equal(rules(k, 1), "");
	assert_string_equal(rules(k, 4), "");
	assert_int_equal(count(rules(k, 2), "SrcIPs"), 1);
	plk_free(k);
}

static void
t_via(void **state)
{
	struct plankit *k = plk_new();

	(void)state;
	plk_router(k, 1, 0, 0, 1, 2);
	plk_router(k, 2, 0, 1, 1, 2);
	plk_router(k, 3, 0, 0, 1, 1);
	plk_node(k, 4, 1, 0, 0);
	pk_row(&k->pol, pk_src(&k->pol, PK_MEMBER, -1), PK_AROUND,
	    POL_ROW_VIA);
	pk_dst(&k->pol, PK_T0);
	pk_dst(&k->pol, PK_INET);
	pk_via(&k->pol, PK_T0);
	pk_row(&k->pol, pk_src(&k->pol, PK_MEMBER, -1), PK_SUBNET,
	    POL_ROW_VIA | POL_ROW_APP);
	pk_via(&k->pol, PK_T1);
	plk_policy(k);
	assert_non_null(strstr(rules(k, 1), "\"DstPorts\":["
	    ALL("10.0.0.0/8") "]}\n"));
	assert_int_equal(count(rules(k, 1), "SrcIPs"), 1);
	assert_string_equal(rules(k, 2), "");
	assert_non_null(strstr(rules(k, 3), "\"DstPorts\":["
	    ALL("11.0.0.0-100.63.255.255") "]}\n"));
	assert_string_equal(rules(k, 4), "");
	plk_free(k);
}

static void
t_caps(void **state)
{
	const char *map = "\"CapMap\":{\"example.com/cap/x\":[{\"a\":1}]}}";
	struct plankit *k = plk_new();
	char want[1000];

	(void)state;
	plk_router(k, 1, 1, 0, 0, 2);
	plk_node(k, 2, 2, 0, 0);
	/* Without sources it is told all the same. */
	pk_row(&k->pol, pk_src(&k->pol, PK_T5, -1), PK_AROUND, POL_ROW_APP);
	pk_dst(&k->pol, PK_MEMBER);
	pk_dst(&k->pol, PK_NODES);
	pk_dst(&k->pol, PK_ELSEWHERE);
	plk_policy(k);
	(void)snprintf(want, sizeof(want), "{\"SrcIPs\":[],\"CapGrant\":["
	    "{\"Dsts\":[\"10.0.0.0/8\"],%s,"
	    "{\"Dsts\":[\"" N1_4 "/32\",\"" N1_6 "/128\"],%s,"
	    "{\"Dsts\":[\"" N1_4 "/32\"],%s]}", map, map, map);
	assert_non_null(strstr(plk_filters(k, NULL, 1), want));
	(void)snprintf(want, sizeof(want), "{\"SrcIPs\":[],\"CapGrant\":["
	    "{\"Dsts\":[\"" N2_4 "/32\",\"" N2_6 "/128\"],%s,"
	    "{\"Dsts\":[\"" N2_4 "/32\"],%s]}", map, map);
	assert_non_null(strstr(plk_filters(k, NULL, 2), want));
	plk_free(k);
}

/* Only what is different, null for what is gone. */
static void
t_diff(void **state)
{
	static const struct pol_port web = { 443, 443 };
	struct plankit *k = plk_new();
	struct plan *was = NULL, *now;
	const char *t;
	unsigned int i;

	(void)state;
	plk_node(k, 1, 1, 0, 0);
	plk_node(k, 2, 0, 0, 1);
	for (i = 0; i < 3; i++) {
		pk_row(&k->pol, pk_src(&k->pol, PK_T0, -1), PK_U1, 0);
		pk_row(&k->pol, pk_src(&k->pol, PK_MEMBER, -1), PK_U1, 0);
		pk_row(&k->pol, pk_src(&k->pol, PK_NODES, -1), PK_U1, 0);
		if (i == 1)
			k->pol.dst[1][0].port = &web;
		if (i == 2)
			k->pol.pol.nrows = 1;
		plk_policy(k);
		now = plk_plan(k, 1);
		if (i == 0) {
			assert_int_equal(plan_diff(NULL, now), PLAN_FILTER |
			    PLAN_SSH | PLAN_CAPS);
			assert_int_equal(plan_diff(now, now), 0);
		} else {
			assert_int_equal(plan_diff(was, now), PLAN_FILTER);
			t = plk_filters(k, was, 1);
			assert_int_equal(count(t, "\"SrcIPs\""), i == 1);
			assert_int_equal(count(t, ":443"), i == 1 ? 4 : 0);
			assert_int_equal(count(t, ":null"), i == 1 ? 0 : 2);
			assert_null(strstr(t, "\"base\""));
			plan_unref(was);
		}
		was = now;
	}
	plk_policy(k);
	now = plk_plan(k, 1);
	t = plk_filters(k, was, 1);
	assert_int_equal(strncmp(t, "{\"base\":[],\"", 12), 0);
	assert_int_equal(count(t, ":null"), 1);
	plan_unref(was);
	pk_row(&k->pol, pk_src(&k->pol, PK_T0, -1), PK_U1, 0);
	plk_policy(k);
	t = plk_filters(k, now, 1);
	assert_int_equal(strncmp(t, "{\"base\":null,\"", 14), 0);
	assert_int_equal(count(t, "\"SrcIPs\""), 1);
	plan_unref(now);
	plk_free(k);
}

/* The same policy again, and one in another order: nothing to tell. */
static void
t_same(void **state)
{
	struct plankit *k = plk_new();
	struct plan *was = NULL, *now;
	unsigned int i;

	(void)state;
	plk_node(k, 1, 1, 0, 0);
	plk_node(k, 2, 0, 0, 1);
	for (i = 0; i < 2; i++) {
		if (i == 0)
			pk_row(&k->pol, pk_src(&k->pol, PK_T0, -1), PK_U1, 0);
		pk_row(&k->pol, pk_src(&k->pol, PK_U1, -1), PK_U1, 0);
		if (i == 1)
			pk_row(&k->pol, pk_src(&k->pol, PK_T0, -1), PK_U1, 0);
		plk_policy(k);
		now = plk_plan(k, 1);
		if (i == 1)
			assert_int_equal(plan_diff(was, now), 0);
		plan_unref(was);
		was = now;
	}
	plan_unref(was);
	plk_free(k);
}

static void
t_attrs(void **state)
{
	struct plankit *k = plk_new();
	struct plan *p;

	(void)state;
	plk_node(k, 1, 1, 0, 0);
	plk_node(k, 2, 0, 0, 1);
	pk_attr(&k->pol, pk_src(&k->pol, PK_MEMBER, -1), false);
	pk_attr(&k->pol, pk_src(&k->pol, PK_TAILNET, -1), false);
	pk_attr(&k->pol, pk_src(&k->pol, PK_T0, -1), true);
	plk_policy(k);
	p = plk_plan(k, 1);
	assert_true(slice_eqs(plan_caps(p), ",\"funnel\":null,"
	    "\"https://tailscale.com/cap/is-admin\":null"));
	plan_unref(p);
	p = plk_plan(k, 2);
	assert_true(slice_eqs(plan_caps(p), ",\"funnel\":null,"
	    "\"https://tailscale.com/cap/is-admin\":null,"
	    "\"disable-ipv4\":null"));
	plan_unref(p);
	assert_false(class_no_ip4(((struct node *)idmap_get(&k->r->nodes,
	    1))->class));
	assert_true(class_no_ip4(((struct node *)idmap_get(&k->r->nodes,
	    2))->class));
	plk_free(k);
}

/*
 * 10,000 nodes of few kinds: plans and lists are counted, not timed.  One
 * plan a class, one list a rule, and for a new node only what names it.
 */
#define MANY	10000
static void
t_many(void **state)
{
	struct plankit *k = plk_new();
	uint64_t made, planned, id;
	struct plan *p, *first = NULL;
	struct fnode f;

	(void)state;
	for (id = 1; id <= MANY; id++) {
		fnode_init(&f, id, 1 + id % 4);
		f.tags = id % 8 == 0;
		f.tag_from = id / 8 % 4;
		assert_int_equal(feed_node(k->tn, &f), 0);
	}
	pk_row(&k->pol, pk_src(&k->pol, PK_MEMBER, -1), PK_TAGGED, 0);
	pk_row(&k->pol, pk_src(&k->pol, PK_T0, PK_T1, -1), PK_MEMBER, 0);
	pk_row(&k->pol, pk_src(&k->pol, PK_U1, -1), PK_U2, 0);
	plk_policy(k);
	for (id = 1; id <= MANY; id++) {
		p = plk_plan(k, id);
		if (id == 1)
			first = plan_ref(p);
		plan_unref(p);
	}
	/* Tags and users that rows name tell classes apart: none is idle. */
	planned = k->r->filters->planned;
	made = k->r->filters->made;
	assert_in_range(planned, 1, k->r->rules->nclasses);
	assert_int_equal(made, 3);
	assert_in_range(k->r->rules->nclasses, 2, 32);
	/* Nothing changes: nothing is made. */
	for (id = 1; id <= MANY; id++)
		plan_unref(plk_plan(k, id));
	assert_int_equal(k->r->filters->planned, planned);
	/* A tagged node more: t0's list alone, plans where it stands. */
	plk_node(k, MANY + 1, 0, 0, 1);
	for (id = 1; id <= MANY + 1; id++)
		plan_unref(plk_plan(k, id));
	assert_int_equal(k->r->filters->made, made + 1);
	assert_in_range(k->r->filters->planned - planned, 1,
	    k->r->rules->nclasses);
	/* One whose owner is no source of any rule: no list. */
	p = plk_plan(k, 1);
	assert_int_equal(plan_diff(first, p), PLAN_FILTER);
	plan_unref(p);
	plan_unref(first);
	plk_free(k);
}

/* Lists of nobody's rules are not made; another's plan stays as it is. */
static void
t_idle(void **state)
{
	struct plankit *k = plk_new();
	struct plan *was, *now;

	(void)state;
	plk_node(k, 1, 1, 0, 0);
	plk_node(k, 2, 2, 0, 0);
	pk_row(&k->pol, pk_src(&k->pol, PK_T0, -1), PK_U1, 0);
	pk_row(&k->pol, pk_src(&k->pol, PK_U1, -1), PK_U2, 0);
	plk_policy(k);
	was = plk_plan(k, 2);
	assert_int_equal(k->r->filters->made, 1);
	plk_node(k, 3, 0, 0, 1);
	now = plk_plan(k, 2);
	assert_ptr_equal(was, now);
	assert_int_equal(k->r->filters->made, 1);
	plan_unref(now);
	/* Its source comes and goes: what was, but not in between. */
	plk_node(k, 4, 1, 0, 0);
	now = plk_plan(k, 2);
	assert_int_equal(plan_diff(was, now), PLAN_FILTER);
	plan_unref(now);
	plk_gone(k, 4);
	now = plk_plan(k, 2);
	assert_int_equal(plan_diff(was, now), 0);
	plan_unref(now);
	plan_unref(was);
	plk_free(k);
}

/* Owners who are gone are forgotten in the end. */
static void
t_trim(void **state)
{
	struct plankit *k = plk_new();
	struct fuser u;
	uint64_t id;

	(void)state;
	pk_row(&k->pol, pk_src(&k->pol, PK_MEMBER, -1), 0, POL_ROW_SELF);
	plk_policy(k);
	memset(&u, 0, sizeof(u));
	for (id = 10; id < 3000; id++) {
		u.id = id;
		(void)snprintf(u.name, sizeof(u.name), "u%u@example.com",
		    (unsigned int)id);
		assert_int_equal(feed_user(k->tn, &u), 0);
		plk_node(k, id, id, 0, 0);
		plan_unref(plk_plan(k, id));
		plk_gone(k, id);
		assert_int_equal(feed_user_del(k->tn, id), 0);
	}
	assert_in_range(k->r->filters->nslots, 1, 300);
	assert_in_range(k->r->filters->owner.n, 1, 300);
	plk_free(k);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_reduce),
		cmocka_unit_test(t_routes),
		cmocka_unit_test(t_merge),
		cmocka_unit_test(t_self),
		cmocka_unit_test(t_via),
		cmocka_unit_test(t_caps),
		cmocka_unit_test(t_diff),
		cmocka_unit_test(t_same),
		cmocka_unit_test(t_attrs),
		cmocka_unit_test(t_many),
		cmocka_unit_test(t_idle),
		cmocka_unit_test(t_trim),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
