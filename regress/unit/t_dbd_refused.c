/* What an administrator took back of a node's routes outlives dbd. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "dbd/elect.h"
#include "dbd/policy_int.h"
#include "regress/lib/dbdask.h"

#define S(x)	slice_str(x)
#define POLICY	"allow\nown tag:r alice\nown tag:s alice\n" \
	"approve 10.0.0.0/8 tag:r"

static struct dbdworld *w;
static struct dbdworker *k;
static uint64_t alice;
static const char *key;
static char why[256];
static uint32_t h2;

static struct dbd *
d(void)
{
	return dw_dbd(w);
}

static void
advertise(const char *prefix)
{
	ask_advertise(k, 1, h2++, prefix);
}

static void
tag(const char *name)
{
	struct buf b = { NULL, 0, 0 };
	struct msg_list list = ask_tag(&b, name);

	assert_int_equal(op_node_tag(d(), 1, &list, 0, why, sizeof(why)), 0);
	dw_run(w);
	buf_free(&b);
}

static void
change(const char *prefix, bool approve)
{
	struct buf b = { NULL, 0, 0 };
	struct msg_list list = ask_prefixes(&b, prefix);

	assert_int_equal(op_node_routes(d(), 1, &list, approve, 0, why,
	    sizeof(why)), 0);
	dw_run(w);
	buf_free(&b);
}

static void
on_set(const struct job_result *r, void *arg)
{
	if (r != NULL)
		*(bool *)arg = r->ok;
}

static const char *
approved(void)
{
	return ask_print(node_find(d(), 1)->r.approved);
}

static const char *
refused(void)
{
	return ask_print(node_find(d(), 1)->refused);
}

static void
restart(bool full)
{
	dw_restart(w, full);
	dw_reconnect(k);
	dw_hello(k);
	ask_stream(k, 1, h2++, 1, 1, 1);
}

/* Node 1 advertises a route that the policy approved and somebody refused. */
static int
setup(void **state)
{
	*state = w = ask_world(&k, NULL, &alice, &key);
	assert_int_equal(ask_join(k, 1, 1, key, "router"), 1);
	ask_stream(k, 1, 1, 1, 1, 1);
	h2 = 10;
	ask_policy(w, POLICY);
	tag("tag:r");
	advertise("10.1.0.0/16");
	assert_string_equal(approved(), "10.1.0.0/16 ");
	change("10.1.0.0/16", false);
	assert_string_equal(approved(), "");
	return 0;
}

/*
 * At our start the policy does not approve it, so that nothing but the store
 * can tell that it was refused.
 */
static void
t_restart(void **state)
{
	(void)state;
	assert_string_equal(refused(), "10.1.0.0/16 ");
	tag("tag:s");
	restart(true);
	assert_string_equal(refused(), "10.1.0.0/16 ");
	tag("tag:r");
	assert_string_equal(approved(), "");
	restart(false);
	/* Users change, and it is compiled again. */
	assert_int_equal(op_user_rename(d(), alice, S("eve"), 0, why,
	    sizeof(why)), 0);
	dw_pass(w, 20 * US_PER_S);
	assert_int_equal(op_user_rename(d(), alice, S("alice"), 0, why,
	    sizeof(why)), 0);
	dw_pass(w, 20 * US_PER_S);
	assert_string_equal(approved(), "");
	assert_string_equal(refused(), "10.1.0.0/16 ");
	assert_null(dw_differs(k));
}

/* What frees it is as durable. */
static void
t_free_again(void **state)
{
	(void)state;
	/* Another version that does not approve it. */
	ask_policy(w, "allow\nown tag:r alice\nown tag:s alice");
	assert_string_equal(refused(), "");
	restart(true);
	assert_string_equal(refused(), "");
	ask_policy(w, POLICY);
	assert_string_equal(approved(), "10.1.0.0/16 ");
	/* Approved by an administrator. */
	change("10.1.0.0/16", false);
	restart(true);
	change("10.1.0.0/16", true);
	assert_string_equal(refused(), "");
	restart(true);
	assert_string_equal(refused(), "");
	/* Advertised anew. */
	change("10.1.0.0/16", false);
	restart(true);
	advertise("");
	restart(true);
	advertise("10.1.0.0/16");
	assert_string_equal(approved(), "10.1.0.0/16 ");
	assert_null(dw_differs(k));
}

/* A version that came into force while dbd was about to go. */
static void
t_no_policy_between(void **state)
{
	bool ok = false;

	(void)state;
	assert_int_equal(op_policy_rollback(tailnet_default(d()), 1, S(""), 0,
	    on_set, &ok, why, sizeof(why)), 0);
	dw_run(w);
	assert_true(ok);
	restart(true);
	ask_policy(w, POLICY);
	assert_string_equal(approved(), "10.1.0.0/16 ");
}

/* The election by itself. */
static void
t_elect(void **state)
{
	struct buf b = { NULL, 0, 0 };
	struct r_node r[3];
	struct prefix net, exit;
	const struct r_node *best;
	uint32_t i;

	(void)state;
	assert_true(prefix_parse(&net, S("10.1.0.0/16")));
	assert_true(prefix_parse(&exit, S("0.0.0.0/0")));
	memset(r, 0, sizeof(r));
	r[0].approved = ask_prefixes(&b, "10.1.0.0/16");
	r[0].hostinfo.routes = r[0].approved;
	assert_false(elect_may(&r[0], &net));	/* nobody has heard of it */
	r[0].published = true;
	assert_true(elect_may(&r[0], &net));
	assert_false(elect_may(&r[0], &exit));
	memset(&r[0].approved, 0, sizeof(r[0].approved));
	assert_false(elect_may(&r[0], &net));
	for (i = 0; i < 3; i++) {
		r[i].id = i + 1;
		assert_null(elect_better(NULL, &r[i], 100));
		r[i].online = true;
	}
	r[0].expiry = 100;
	for (best = NULL, i = 3; i-- > 0;)
		best = elect_better(best, &r[i], 100);
	assert_ptr_equal(best, &r[1]);
	best = elect_better(best, &r[2], 100);
	assert_ptr_equal(best, &r[1]);
	assert_ptr_equal(elect_better(best, &r[0], 99), &r[0]);
	buf_free(&b);
}

int
main(void)
{
#define T(f)	cmocka_unit_test_setup_teardown(f, setup, ask_teardown)
	const struct CMUnitTest tests[] = {
		T(t_restart), T(t_free_again), T(t_no_policy_between),
		cmocka_unit_test(t_elect),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
