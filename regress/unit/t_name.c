/* Names of nodes. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "dbd/name_int.h"
#include "regress/lib/dbdask.h"

static struct dbdworld *w;
static struct dbdworker *k;
static const char *key;

static int
setup(void **state)
{
	uint64_t alice;

	*state = w = ask_world(&k, NULL, &alice, &key);
	return 0;
}

static const struct r_node *
join(uint32_t n, const char *host)
{
	return &node_find(dw_dbd(w), ask_join(k, n, n, key, host))->r;
}

static void
t_sanitised(void **state)
{
	static const struct {
		const char	*host;
		const char	*name;
	} row[] = {
		{ "Simple", "simple" },
		{ "alice's  MacBook", "alice-s-macbook" },
		{ "--x--", "x" },
		{ "", "node" },
		{ "\303\244\303\266", "node-1" },
		{ "a.b.c", "a-b-c" },
		{ "under_score", "under-score" }
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(row) / sizeof(row[0]); i++)
		assert_true(slice_eqs(join((uint32_t)i + 1,
		    row[i].host)->name, row[i].name));
}

static void
t_collision(void **state)
{
	char name[LABEL_LEN], want[LABEL_LEN];
	char why[128];
	uint32_t n;

	(void)state;
	assert_true(slice_eqs(join(1, "pi")->name, "pi"));
	for (n = 1; n <= 40; n++) {
		(void)snprintf(want, sizeof(want), "pi-%u", n);
		assert_true(slice_eqs(join(n + 1, "PI")->name, want));
	}
	/* A name that was left is given again. */
	assert_int_equal(op_node_delete(dw_dbd(w), 1, 0, why, sizeof(why)),
	    0);
	name_make(tailnet_default(dw_dbd(w)), slice_str("pi"), NULL, name);
	assert_string_equal(name, "pi");
	/* Its own name is no obstacle. */
	name_make(tailnet_default(dw_dbd(w)), slice_str("pi-7"),
	    node_find(dw_dbd(w), 8), name);
	assert_string_equal(name, "pi-7");
}

/* The suffix fits into the 63 octets of a label. */
static void
t_long(void **state)
{
	char host[300];
	const struct r_node *r;
	uint32_t n;

	(void)state;
	memset(host, 'a', sizeof(host));
	host[255] = '\0';
	r = join(1, host);
	assert_int_equal(r->name.n, 63);
	for (n = 2; n <= 12; n++) {
		r = join(n, host);
		assert_int_equal(r->name.n, 63);
		assert_true(r->name.p[60] == '-' || r->name.p[61] == '-');
	}
	/* No hyphen before the hyphen of the suffix. */
	memset(host, 'b', 61);
	(void)strlcpy(host + 60, "-cc", sizeof(host) - 60);
	assert_int_equal(join(20, host)->name.n, 63);
	r = join(21, host);
	assert_int_equal(r->name.n, 62);
	assert_memory_equal(r->name.p + 59, "b-1", 3);
}

static void
t_ok(void **state)
{
	char label[66];

	(void)state;
	assert_true(name_ok(slice_str("a")));
	assert_true(name_ok(slice_str("a-1")));
	assert_false(name_ok(slice_str("")));
	assert_false(name_ok(slice_str("-a")));
	assert_false(name_ok(slice_str("a-")));
	assert_false(name_ok(slice_str("a--b")));
	assert_false(name_ok(slice_str("A")));
	assert_false(name_ok(slice_str("a.b")));
	memset(label, 'x', sizeof(label));
	assert_true(name_ok(slice_mem(label, 63)));
	assert_false(name_ok(slice_mem(label, 64)));
}

int
main(void)
{
#define T(f)	cmocka_unit_test_setup_teardown(f, setup, ask_teardown)
	const struct CMUnitTest tests[] = {
		T(t_sanitised),
		T(t_collision),
		T(t_long),
		T(t_ok)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
