/* Addresses of nodes. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "dbd/alloc_int.h"
#include "regress/lib/dbdask.h"

static struct dbdworld *w;
static struct dbdworker *k;
static const char *key;
static char why[256];

static int
setup(void **state)
{
	uint64_t alice;

	*state = w = ask_world(&k, NULL, &alice, &key);
	return 0;
}

static void
prefixes(const char *p4, const char *p6)
{
	struct dbd_conf *c = dw_conf(w);

	memset(&c->prefix4, 0, sizeof(c->prefix4));
	memset(&c->prefix6, 0, sizeof(c->prefix6));
	if (p4 != NULL)
		assert_true(prefix_parse(&c->prefix4, slice_str(p4)));
	if (p6 != NULL)
		assert_true(prefix_parse(&c->prefix6, slice_str(p6)));
	dw_reconf(w);
}

static const struct r_node *
join(uint32_t n)
{
	uint64_t id;

	id = ask_join(k, n, n, key, "host");
	return &node_find(dw_dbd(w), id)->r;
}

static bool
is(const struct ip *ip, const char *text)
{
	char is_text[IP_TEXT];

	(void)ip_print(is_text, ip);
	if (strcmp(is_text, text) == 0)
		return true;
	fprintf(stderr, "%s, not %s\n", is_text, text);
	return false;
}

static bool
full(uint32_t n)
{
	struct ask_reg a = { .machine = n, .key = n, .auth = key };
	const struct msg *m = ask_reg(k, &a);

	return m->type == M_DB_REG_NO && slice_prefix(m->u.db_reg_no.text,
	    "no free address is left in ");
}

static void
delete(uint64_t id)
{
	assert_int_equal(op_node_delete(dw_dbd(w), id, 0, why, sizeof(why)),
	    0);
	dw_run(w);
}

/* Not the network's own address, not broadcast; each family by itself. */
static void
t_sequence(void **state)
{
	const struct r_node *r;

	(void)state;
	prefixes("100.64.0.0/29", "fd7a:115c:a1e0::/48");
	r = join(1);
	assert_true(is(&r->ip4, "100.64.0.1"));
	assert_true(is(&r->ip6, "fd7a:115c:a1e0::1"));
	r = join(2);
	assert_true(is(&r->ip4, "100.64.0.2"));
	(void)join(3);
	(void)join(4);
	(void)join(5);
	r = join(6);
	assert_true(is(&r->ip4, "100.64.0.6"));
	assert_true(full(7));
	assert_true(full(7));
	/* The IPv6 counter did not stand still: no matter. */
	prefixes("100.64.1.0/29", "fd7a:115c:a1e0::/48");
	r = join(8);
	assert_true(is(&r->ip4, "100.64.1.1"));
	assert_true(is(&r->ip6, "fd7a:115c:a1e0::7"));
}

static void
t_one_family(void **state)
{
	const struct r_node *r;

	(void)state;
	prefixes(NULL, "fd7a:115c:a1e0::/48");
	r = join(1);
	assert_int_equal(r->ip4.family, 0);
	assert_int_equal(r->ip6.family, 6);
	prefixes("10.9.0.0/16", NULL);
	r = join(2);
	assert_int_equal(r->ip6.family, 0);
	assert_true(is(&r->ip4, "10.9.0.1"));
}

/* protocol.md 5.6: ranges with another meaning are stepped over. */
static void
t_excluded(void **state)
{
	const struct r_node *r;
	uint32_t n;

	(void)state;
	prefixes("100.115.91.252/30", NULL);
	assert_true(is(&join(1)->ip4, "100.115.91.253"));
	prefixes("100.115.88.0/21", NULL);
	for (n = 2; n < 1100; n++) {
		r = join(n);
		assert_true(ip_node_ok(&r->ip4));
	}
	prefixes("100.100.100.96/29", NULL);
	for (n = 2000; n < 2005; n++)
		assert_true(ip_node_ok(&join(n)->ip4));
	assert_true(full(2005));
	prefixes(NULL, "fd7a:115c:a1e0::50/125");
	for (n = 3000; n < 3006; n++)
		assert_true(ip_node_ok(&join(n)->ip6));
}

/* A freed address rests for an hour, also over a restart. */
static void
t_rest(void **state)
{
	uint64_t first;

	(void)state;
	prefixes("100.64.0.0/30", NULL);
	first = join(1)->id;
	(void)join(2);
	assert_true(full(3));
	delete(first);
	assert_true(full(3));
	dw_pass(w, 3500 * US_PER_S);
	assert_true(full(3));
	dw_restart(w, true);
	k = dw_worker(w, 1, 2);
	assert_true(full(3));
	dw_pass(w, 101 * US_PER_S);
	assert_true(is(&join(3)->ip4, "100.64.0.1"));
	assert_true(full(4));
	/* The ended rest has left the store, too. */
	dw_restart(w, true);
	assert_true(TAILQ_EMPTY(&tailnet_default(dw_dbd(w))->rests));
}

/* The sequence goes on where it was; it wraps when it must. */
static void
t_goes_on(void **state)
{
	uint64_t id;

	(void)state;
	prefixes("100.64.0.0/29", NULL);
	(void)join(1);
	id = join(2)->id;
	dw_restart(w, true);
	k = dw_worker(w, 1, 2);
	assert_true(is(&join(3)->ip4, "100.64.0.3"));
	delete(id);
	dw_pass(w, 3601 * US_PER_S);
	assert_true(is(&join(4)->ip4, "100.64.0.4"));
	assert_true(is(&join(5)->ip4, "100.64.0.5"));
	assert_true(is(&join(6)->ip4, "100.64.0.6"));
	assert_true(is(&join(7)->ip4, "100.64.0.2"));
	assert_true(full(8));
}

static void
t_random(void **state)
{
	const struct r_node *r;
	struct prefix p;
	uint32_t n, ordered = 0;
	struct ip last;

	(void)state;
	dw_conf(w)->random = true;
	prefixes("100.64.0.0/16", "fd7a:115c:a1e0::/48");
	assert_true(prefix_parse(&p, slice_str("100.64.0.0/16")));
	memset(&last, 0, sizeof(last));
	for (n = 1; n <= 50; n++) {
		r = join(n);
		assert_true(prefix_has(&p, &r->ip4));
		assert_true(ip_node_ok(&r->ip6));
		assert_false(r->ip6.b[15] == n && r->ip6.b[14] == 0);
		if (ip_cmp(&last, &r->ip4) < 0)
			ordered++;
		last = r->ip4;
	}
	assert_true(ordered > 5 && ordered < 45);
	/* Down to the last one. */
	prefixes("100.64.77.0/27", NULL);
	for (n = 100; n < 130; n++)
		(void)join(n);
	assert_true(full(131));
}

static void
t_usable(void **state)
{
	static const struct {
		const char	*prefix;
		bool		 ok;
	} row[] = {
		{ "100.64.0.0/10", true },
		{ "100.64.0.7/32", true },
		{ "100.100.100.100/32", false },
		{ "100.115.92.0/23", false },
		{ "100.115.93.128/25", false },
		{ "10.0.0.0/8", true },
		{ "10.0.0.0/31", true },
		{ "fd7a:115c:a1e0::/48", true },
		{ "fd7a:115c:a1e0::53/128", false },
		{ "fd7a:115c:a1e0:b1a::/64", false },
		{ "fd7a:115c:a1e0:efe3::/64", false }
	};
	struct prefix p;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		assert_true(prefix_parse(&p, slice_str(row[i].prefix)));
		if (alloc_usable(&p) != row[i].ok)
			fail_msg("%s", row[i].prefix);
	}
}

int
main(void)
{
#define T(f)	cmocka_unit_test_setup_teardown(f, setup, ask_teardown)
	const struct CMUnitTest tests[] = {
		T(t_sequence),
		T(t_one_family),
		T(t_excluded),
		T(t_rest),
		T(t_goes_on),
		T(t_random),
		T(t_usable)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
