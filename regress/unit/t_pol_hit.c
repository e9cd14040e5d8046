#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/pol_hit.h"
#include "regress/lib/polkit.h"

static uint32_t
sel_of(const struct pol *p, uint8_t kind, const char *text)
{
	uint32_t i;

	for (i = 0; i < p->nsels; i++)
		if (p->sel[i].kind == kind && (text == NULL ||
		    slice_eqs(p->sel[i].text, text)))
			return i;
	fail_msg("no selector %s", text == NULL ? "" : text);
	return 0;
}

static void
compile(struct polkit *k, const char *text)
{
	if (polkit_compile(k, text, false) != 0)
		fail_msg("%s", polkit_why(k));
}

static bool
visible(struct polkit *k, size_t a, size_t b)
{
	struct pol_hits x, y;
	bool seen;

	polkit_hits(k, a, &x);
	polkit_hits(k, b, &y);
	if (x.wide)
		hits_widen(&x, k->pol, &k->node[a].facts, &k->node[b].facts,
		    &y);
	if (y.wide)
		hits_widen(&y, k->pol, &k->node[b].facts, &k->node[a].facts,
		    &x);
	seen = pol_visible(k->pol, &k->node[a].facts, &x, &k->node[b].facts,
	    &y);
	assert_true(seen == pol_visible(k->pol, &k->node[b].facts, &y,
	    &k->node[a].facts, &x));
	hits_free(&x);
	hits_free(&y);
	return seen;
}

/* An owner's node, another's, a server, a router, an exit node. */
static struct polkit *
five(void)
{
	struct polkit *k = polkit_new();

	(void)polkit_user(k, "a@example.com", 0);
	(void)polkit_user(k, "b@example.com", 0);
	(void)polkit_node(k, "a1", 1, "", "");
	(void)polkit_node(k, "b1", 2, "", "");
	(void)polkit_node(k, "srv", 0, "tag:srv", "");
	(void)polkit_node(k, "router", 0, "tag:router",
	    "10.33.0.0/16 fd00:33::/48");
	(void)polkit_node(k, "exit", 0, "tag:exit", "0.0.0.0/0 ::/0");
	(void)polkit_node(k, "a2", 1, "", "");
	return k;
}

#define OWNERS	"\"tagOwners\":{\"tag:srv\":[],\"tag:router\":[]," \
		"\"tag:exit\":[]},"

static void
what_is_hit(void **state)
{
	static const char text[] = "{" OWNERS "\"groups\":{\"group:g\":"
	    "[\"a@example.com\",\"b@example.com\"]},\"acls\":[{\"action\":"
	    "\"accept\",\"src\":[\"*\",\"a@example.com\",\"group:g\","
	    "\"tag:srv\",\"autogroup:member\",\"autogroup:tagged\","
	    "\"100.64.0.1\",\"10.33.1.0/24\",\"10.0.0.0/8\",\"10.34.0.0/16\","
	    "\"fd7a:115c:a1e0::2\"],\"dst\":[\"*:*\"]}]}";
	struct polkit *k = five();
	const struct pol *p;
	struct pol_hits h;

	(void)state;
	compile(k, text);
	p = k->pol;
	polkit_hits(k, 0, &h);
	assert_true(POL_HIT(h.at, sel_of(p, POL_ANY, NULL)));
	assert_true(POL_HIT(h.at, sel_of(p, POL_TAILNET, NULL)));
	assert_true(POL_HIT(h.at, sel_of(p, POL_MEMBER, NULL)));
	assert_false(POL_HIT(h.at, sel_of(p, POL_TAGGED, NULL)));
	assert_false(POL_HIT(h.at, sel_of(p, POL_TAG, "tag:srv")));
	assert_true(POL_HIT(h.at, sel_of(p, POL_USERS, NULL)));
	assert_true(POL_HIT(h.at, sel_of(p, POL_RANGE, "100.64.0.1")));
	assert_false(POL_HIT(h.at, sel_of(p, POL_RANGE, "fd7a:115c:a1e0::2")));
	assert_false(POL_HIT(h.by, sel_of(p, POL_ANY, NULL)));
	assert_false(h.exit || h.wide || h.tagged);
	hits_free(&h);
	polkit_hits(k, 1, &h);
	assert_true(POL_HIT(h.at, sel_of(p, POL_RANGE, "fd7a:115c:a1e0::2")));
	hits_free(&h);
	polkit_hits(k, 3, &h);
	assert_true(h.tagged && !h.exit && !h.wide);
	assert_true(POL_HIT(h.by, sel_of(p, POL_TAILNET, NULL)));
	assert_true(POL_HIT(h.by, sel_of(p, POL_RANGE, "10.33.1.0/24")));
	assert_true(POL_HIT(h.by, sel_of(p, POL_RANGE, "10.0.0.0/8")));
	assert_false(POL_HIT(h.by, sel_of(p, POL_RANGE, "10.34.0.0/16")));
	assert_false(POL_HIT(h.by, sel_of(p, POL_RANGE, "100.64.0.1")));
	hits_free(&h);
	polkit_hits(k, 4, &h);
	assert_true(h.exit);
	assert_false(POL_HIT(h.by, sel_of(p, POL_TAILNET, NULL)));
	hits_free(&h);
	polkit_free(k);
}

/* The tree of ranges says what looking at each of them says. */
static void
tree(void **state)
{
	struct polkit *k = polkit_new();
	struct buf b = { NULL, 0, 0 };
	struct pol_node n;
	struct pol_hits h;
	uint32_t seed = 1, i, r;
	char ip[32];

	(void)state;
	buf_str(&b, "{\"acls\":[{\"action\":\"accept\",\"src\":[\"*\"");
	for (i = 0; i < 300; i++) {
		seed = seed * 1664525 + 1013904223;
		buf_printf(&b, ",\"10.%u.%u.0/%u\"", seed >> 29,
		    seed >> 13 & 255, 10 + (seed >> 7 & 15));
	}
	buf_str(&b, "],\"dst\":[\"*:*\"]}]}");
	buf_u8(&b, 0);
	compile(k, (const char *)b.p);
	memset(&n, 0, sizeof(n));
	hits_init(&h, k->pol);
	for (r = 0; r < 2000; r++) {
		seed = seed * 1664525 + 1013904223;
		(void)snprintf(ip, sizeof(ip), "10.%u.%u.%u", seed >> 29,
		    seed >> 13 & 255, seed >> 3 & 255);
		assert_true(ip_parse(&n.ip4, slice_str(ip)));
		hits_of(&h, k->pol, &n, k->topo.range);
		for (i = 0; i < k->pol->nsels; i++)
			if (k->pol->sel[i].kind == POL_RANGE)
				assert_true(POL_HIT(h.at, i) ==
				    (ip_cmp(&k->pol->sel[i].lo, &n.ip4) <= 0 &&
				    ip_cmp(&n.ip4, &k->pol->sel[i].hi) <= 0));
	}
	hits_free(&h);
	buf_free(&b);
	polkit_free(k);
}

static void
who_sees_whom(void **state)
{
	struct polkit *k = five();

	(void)state;
	compile(k, "{" OWNERS "\"acls\":[{\"action\":\"accept\",\"src\":"
	    "[\"a@example.com\"],\"dst\":[\"tag:srv:22\"]}]}");
	assert_true(visible(k, 0, 2));
	assert_false(visible(k, 1, 2));
	assert_false(visible(k, 0, 1));
	/* By a route, from either end. */
	compile(k, "{\"acls\":[{\"action\":\"accept\",\"src\":"
	    "[\"b@example.com\"],\"dst\":[\"10.33.7.0/24:22\"]}]}");
	assert_true(visible(k, 1, 3));
	assert_false(visible(k, 0, 3));
	compile(k, "{\"acls\":[{\"action\":\"accept\",\"src\":"
	    "[\"10.0.0.0/8\"],\"dst\":[\"b@example.com:22\"]}]}");
	assert_true(visible(k, 1, 3));
	/* The Internet, whole or nearly. */
	compile(k, "{\"acls\":[{\"action\":\"accept\",\"src\":"
	    "[\"a@example.com\"],\"dst\":[\"autogroup:internet:*\"]}]}");
	assert_true(visible(k, 0, 4));
	assert_false(visible(k, 1, 4));
	assert_false(visible(k, 0, 3));
	compile(k, "{\"grants\":[{\"src\":[\"a@example.com\"],\"ip\":[\"*\"],"
	    "\"dst\":[\"0.0.0.0/1\",\"128.0.0.0/1\"]}]}");
	assert_true(visible(k, 0, 4));
	compile(k, "{\"grants\":[{\"src\":[\"a@example.com\"],\"ip\":[\"*\"],"
	    "\"dst\":[\"0.0.0.0/2\",\"128.0.0.0/1\"]}]}");
	assert_false(visible(k, 0, 4));
	/* Nobody, and all. */
	compile(k, "{\"acls\":[]}");
	assert_false(visible(k, 0, 5));
	compile(k, "{}");
	assert_true(visible(k, 0, 5));
	polkit_free(k);
}

#define VIA(src, dst, what, tag)	"{" OWNERS "\"grants\":[{\"src\":[" \
	src "],\"dst\":[\"" dst "\"]," what ",\"via\":[\"" tag "\"]}]}"
#define PORTS	"\"ip\":[\"*\"]"
#define CAPS	"\"app\":{\"example.com/cap/x\":[]}"

static void
self_and_via(void **state)
{
	struct polkit *k = five();

	(void)state;
	compile(k, "{\"acls\":[{\"action\":\"accept\",\"src\":"
	    "[\"autogroup:member\"],\"dst\":[\"autogroup:self:*\"]}]}");
	assert_true(visible(k, 0, 5));
	assert_false(visible(k, 0, 1));
	assert_false(visible(k, 2, 3));
	compile(k, VIA("\"a@example.com\"", "10.33.0.0/24", PORTS,
	    "tag:router"));
	assert_true(visible(k, 0, 3));
	assert_false(visible(k, 1, 3));
	/* Another tag: its node has no such route. */
	compile(k, VIA("\"a@example.com\"", "10.33.0.0/24", PORTS, "tag:srv"));
	assert_false(visible(k, 0, 3));
	assert_false(visible(k, 0, 2));
	compile(k, VIA("\"a@example.com\"", "autogroup:internet", PORTS,
	    "tag:exit"));
	assert_true(visible(k, 0, 4));
	assert_false(visible(k, 1, 4));
	/* What is sent to who carries it reaches him; caps are not sent. */
	compile(k, VIA("\"a@example.com\",\"tag:router\"", "*", PORTS,
	    "tag:router"));
	assert_true(visible(k, 0, 3));
	assert_true(visible(k, 1, 3));
	compile(k, VIA("\"a@example.com\",\"tag:router\"", "*", CAPS,
	    "tag:router"));
	assert_true(visible(k, 0, 3));
	assert_false(visible(k, 1, 3));
	assert_false(visible(k, 0, 1));
	polkit_free(k);
}

static void
wide(void **state)
{
	struct polkit *k = five();
	struct pol_hits h;

	(void)state;
	(void)polkit_node(k, "wide", 0, "tag:router", "100.64.0.0/24");
	compile(k, "{" OWNERS "\"acls\":[{\"action\":\"accept\",\"src\":"
	    "[\"b@example.com\"],\"dst\":[\"tag:srv:22\"]}]}");
	polkit_hits(k, 6, &h);
	assert_true(h.wide);
	hits_free(&h);
	/* The server's address is in its route. */
	{
		struct pol_hits w, s, b;

		polkit_hits(k, 6, &w);
		polkit_hits(k, 2, &s);
		polkit_hits(k, 1, &b);
		assert_false(pol_visible(k->pol, &k->node[6].facts, &w,
		    &k->node[1].facts, &b));
		hits_widen(&w, k->pol, &k->node[6].facts, &k->node[2].facts,
		    &s);
		assert_true(pol_visible(k->pol, &k->node[6].facts, &w,
		    &k->node[1].facts, &b));
		hits_free(&w);
		hits_free(&s);
		hits_free(&b);
	}
	polkit_free(k);
}

static void
approval(void **state)
{
	struct polkit *k = five();
	struct pol_hits r, a;
	struct prefix p;

	(void)state;
	compile(k, "{" OWNERS "\"autoApprovers\":{\"routes\":{\"10.0.0.0/8\":"
	    "[\"tag:router\"],\"0.0.0.0/0\":[\"a@example.com\"]},"
	    "\"exitNode\":[\"tag:exit\"]}}");
	polkit_hits(k, 3, &r);
	polkit_hits(k, 0, &a);
	(void)prefix_parse(&p, slice_str("10.1.0.0/16"));
	assert_true(pol_approves(k->pol, &r, &p));
	assert_true(pol_approves(k->pol, &a, &p));
	(void)prefix_parse(&p, slice_str("10.0.0.0/7"));
	assert_false(pol_approves(k->pol, &r, &p));
	assert_true(pol_approves(k->pol, &a, &p));
	(void)prefix_parse(&p, slice_str("fd00::/8"));
	assert_false(pol_approves(k->pol, &a, &p));
	(void)prefix_parse(&p, slice_str("0.0.0.0/0"));
	assert_false(pol_approves(k->pol, &a, &p));
	hits_free(&r);
	polkit_hits(k, 4, &r);
	assert_true(pol_approves(k->pol, &r, &p));
	(void)prefix_parse(&p, slice_str("::/0"));
	assert_true(pol_approves(k->pol, &r, &p));
	hits_free(&r);
	hits_free(&a);
	polkit_free(k);
}

static void
tags(void **state)
{
	struct polkit *k = five();

	(void)state;
	(void)polkit_user(k, "root@example.com", 2);
	compile(k, "{\"groups\":{\"group:g\":[\"b@example.com\"]},"
	    "\"tagOwners\":{\"tag:a\":[\"a@example.com\"],"
	    "\"tag:b\":[\"tag:a\",\"group:g\"],\"tag:c\":[\"tag:d\"],"
	    "\"tag:d\":[\"tag:c\",\"tag:b\"],\"tag:e\":[\"tag:e\"],"
	    "\"tag:f\":[]}}");
	assert_true(pol_tag_defined(k->pol, slice_str("tag:a")));
	assert_false(pol_tag_defined(k->pol, slice_str("tag:x")));
	assert_true(pol_tag_owner(k->pol, slice_str("tag:a"), 1));
	assert_false(pol_tag_owner(k->pol, slice_str("tag:a"), 2));
	assert_true(pol_tag_owner(k->pol, slice_str("tag:b"), 1));
	assert_true(pol_tag_owner(k->pol, slice_str("tag:b"), 2));
	assert_true(pol_tag_owner(k->pol, slice_str("tag:c"), 1));
	assert_true(pol_tag_owner(k->pol, slice_str("tag:d"), 2));
	assert_false(pol_tag_owner(k->pol, slice_str("tag:e"), 1));
	assert_true(pol_tag_owner(k->pol, slice_str("tag:f"), 3));
	assert_false(pol_tag_owner(k->pol, slice_str("tag:f"), 1));
	assert_false(pol_tag_owner(k->pol, slice_str("tag:x"), 1));
	assert_false(pol_tag_owner(k->pol, slice_str("tag:a"), 0));
	polkit_free(k);
}

static void
checks(void **state)
{
	struct polkit *k = five();
	struct pol_hits a, b, s;

	(void)state;
	compile(k, "{" OWNERS "\"ssh\":["
	    "{\"action\":\"accept\",\"src\":[\"a@example.com\"],\"dst\":"
	    "[\"tag:exit\"],\"users\":[\"root\"]},"
	    "{\"action\":\"check\",\"src\":[\"a@example.com\"],\"dst\":"
	    "[\"tag:srv\"],\"users\":[\"root\"],\"checkPeriod\":\"2h\"},"
	    "{\"action\":\"check\",\"src\":[\"autogroup:member\"],\"dst\":"
	    "[\"tag:srv\"],\"users\":[\"root\"],\"checkPeriod\":\"always\"},"
	    "{\"action\":\"check\",\"src\":[\"autogroup:member\"],\"dst\":"
	    "[\"autogroup:self\"],\"users\":[\"root\"]}]}");
	polkit_hits(k, 0, &a);
	polkit_hits(k, 1, &b);
	polkit_hits(k, 2, &s);
	assert_int_equal(pol_check_period(k->pol, &a, &s, false), 7200);
	assert_int_equal(pol_check_period(k->pol, &b, &s, false), 0);
	assert_int_equal(pol_check_period(k->pol, &s, &s, false), -1);
	assert_int_equal(pol_check_period(k->pol, &a, &b, false), -1);
	assert_int_equal(pol_check_period(k->pol, &a, &a, true), 43200);
	hits_free(&s);
	polkit_hits(k, 4, &s);
	assert_int_equal(pol_check_period(k->pol, &a, &s, false), -1);
	hits_free(&a);
	hits_free(&b);
	hits_free(&s);
	polkit_free(k);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_hit),
		cmocka_unit_test(tree),
		cmocka_unit_test(who_sees_whom),
		cmocka_unit_test(self_and_via),
		cmocka_unit_test(wide),
		cmocka_unit_test(approval),
		cmocka_unit_test(tags),
		cmocka_unit_test(checks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
