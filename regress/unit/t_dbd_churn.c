/* Nodes that are made and deleted in a loop: by a machine, with an auth key. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "dbd/dbd_int.h"
#include "regress/lib/dbdask.h"

static struct dbdworld *w;
static struct dbdworker *k, *k2;
static const char *key, *fleeting;

static int
setup(void **state)
{
	uint64_t alice;

	*state = w = ask_world(&k, &k2, &alice, &key);
	fleeting = ask_key(w, alice, true, true, 0, NULL);
	return 0;
}

/* A registration of the machine with a node key of its own. */
static uint32_t
join(struct dbdworker *x, uint32_t machine, const char *auth)
{
	struct ask_reg a = { .machine = machine, .key = machine,
	    .auth = auth };
	uint32_t id;

	id = ask_reg_send(x, &a);
	dw_run(w);
	return id;
}

static void
leave(struct dbdworker *x, uint32_t machine)
{
	struct ask_reg a = { .machine = machine, .key = machine,
	    .expiry = ASK_PAST };

	assert_int_equal(ask_reg(x, &a)->type, M_DB_REG_OK);
}

static bool
let_in(struct dbdworker *x, uint32_t id)
{
	const struct msg *m = dw_reply(x, id);

	if (m == NULL)
		return false;
	assert_int_equal(m->type, M_DB_REG_OK);
	assert_false(m->u.db_reg_ok.key_expired);
	return true;
}

/* One machine: eight at once, then one in ten seconds; each comes in. */
static void
t_machine(void **state)
{
	uint64_t seq;
	uint32_t id, i;

	(void)state;
	for (i = 0; i < 8; i++) {
		assert_true(let_in(k, join(k, 1, fleeting)));
		leave(k, 1);
	}
	assert_int_equal(dw_counts(w)->delayed, 0);
	for (i = 0; i < 3; i++) {
		seq = ask_seq(w);
		id = join(k, 1, fleeting);
		assert_null(dw_reply(k, id));
		assert_int_equal(dw_counts(w)->waiting, 1);
		/* on no session, and with no key, is there a way round it */
		assert_null(dw_reply(k2, join(k2, 1, key)));
		assert_int_equal(ask_seq(w), seq);
		/* other machines are not affected */
		assert_true(let_in(k, join(k, 100 + i, fleeting)));
		dw_pass(w, 5 * US_PER_S);
		assert_null(dw_reply(k, id));
		dw_pass(w, 6 * US_PER_S);
		assert_true(let_in(k, id));
		/* the other one finds the node and needs no token */
		dw_pass(w, 10 * US_PER_S);
		assert_int_equal(dw_counts(w)->waiting, 0);
		leave(k, 1);
		assert_true(let_in(k, join(k, 1, fleeting)));
		leave(k, 1);
	}
	assert_int_equal(dw_counts(w)->refused, 0);
	assert_non_null(strstr(ask_logged(), "over the budget of its machine "
	    "waits"));
	/* time gives it all back */
	dw_pass(w, 81 * US_PER_S);
	for (i = 0; i < 8; i++) {
		assert_true(let_in(k, join(k, 1, fleeting)));
		leave(k, 1);
	}
	assert_null(dw_reply(k, join(k, 1, fleeting)));
}

/* No budget is no bound: tests and imports set it so. */
static void
t_unlimited(void **state)
{
	uint32_t i;

	(void)state;
	dw_conf(w)->budget_refill_ms = 0;
	dw_reconf(w);
	for (i = 0; i < 50; i++) {
		assert_true(let_in(k, join(k, 1, fleeting)));
		leave(k, 1);
	}
	assert_int_equal(dw_counts(w)->delayed, 0);
}

/*
 * One key and ever new machines: as many nodes as there is room for, at once;
 * but what clients delete is made anew at a thousand, then ten a second.
 */
static void
t_key(void **state)
{
	uint32_t id, other, i, n = 0;

	(void)state;
	for (i = 1; i <= 3000; i++)
		assert_true(let_in(k, join(k, i, fleeting)));
	assert_int_equal(dw_counts(w)->delayed, 0);
	for (i = 1; i <= 1100; i++)
		leave(k, i);
	for (i = 1; i <= 1000; i++)
		assert_true(let_in(k, join(k, 10000 + i, fleeting)));
	assert_int_equal(dw_counts(w)->delayed, 0);
	id = join(k, 20001, fleeting);
	other = join(k, 20002, fleeting);
	assert_null(dw_reply(k, id));
	assert_null(dw_reply(k, other));
	/* other keys are not affected */
	assert_true(let_in(k, join(k, 30000, key)));
	dw_pass(w, 100 * US_PER_MS);
	assert_true(let_in(k, id));
	assert_null(dw_reply(k, other));
	dw_pass(w, 100 * US_PER_MS);
	assert_true(let_in(k, other));
	assert_non_null(strstr(ask_logged(), "over the budget of its auth key "
	    "waits"));
	/* a loop by ever new machines for ten seconds */
	for (i = 0; i < 100; i++) {
		id = join(k, 40000 + i, fleeting);
		for (; dw_reply(k, id) == NULL; n++)
			dw_pass(w, 100 * US_PER_MS);
		assert_true(let_in(k, id));
		leave(k, 40000 + i);
	}
	assert_in_range(n, 95, 101);
	assert_int_equal(dw_counts(w)->refused, 0);
	/* what is not made anew owes nothing: 98 were, all have been */
	dw_pass(w, 101 * US_PER_S);
	assert_true(let_in(k, join(k, 50000, fleeting)));
}

/* What is remembered of machines is forgotten when it says nothing. */
static void
t_makers(void **state)
{
	uint32_t i;

	(void)state;
	for (i = 1; i <= 2000; i++)
		assert_true(let_in(k, join(k, i, fleeting)));
	assert_int_equal(dw_dbd(w)->nmakers, 2000);
	dw_pass(w, 9 * US_PER_S);
	assert_true(let_in(k, join(k, 3000, fleeting)));
	assert_int_equal(dw_dbd(w)->nmakers, 2001);
	dw_pass(w, 2 * US_PER_S);
	for (i = 1; i <= 1000; i++)
		assert_true(let_in(k, join(k, 4000 + i, fleeting)));
	/* two go for each that comes */
	assert_int_equal(dw_dbd(w)->nmakers, 2001 - 1000);
	for (i = 1; i <= 100; i++)
		assert_true(let_in(k, join(k, 6000 + i, fleeting)));
	assert_in_range(dw_dbd(w)->nmakers, 1000, 1101);
}

/* The waiting leave room on the link: the oldest give up. */
static void
t_bounded(void **state)
{
	uint32_t id[390], i, n = 0;

	(void)state;
	for (i = 1; i <= 1500; i++)
		assert_true(let_in(k, join(k, i, fleeting)));
	for (i = 1; i <= 1500; i++)
		leave(k, i);
	for (i = 1; i <= 1000; i++)
		assert_true(let_in(k, join(k, 10000 + i, fleeting)));
	for (i = 0; i < 390; i++) {
		id[i] = join(k, 20000 + i, fleeting);
		if (i < 6)
			assert_null(dw_reply(k, id[i]));
	}
	assert_int_equal(dw_counts(w)->waiting, 384);
	for (i = 0; i < 6; i++)
		assert_int_equal(dw_reply(k, id[i])->type, M_DB_REG_NO);
	assert_true(let_in(k, join(k, 30000, key)));
	dw_pass(w, 39 * US_PER_S);
	for (i = 6; i < 390; i++)
		n += dw_reply(k, id[i]) != NULL && let_in(k, id[i]);
	assert_int_equal(n, 384);
	assert_int_equal(dw_counts(w)->waiting, 0);
	/* a worker that dies takes its own along */
	for (i = 0; i < 2; i++)
		(void)join(k, 50000 + i, fleeting);
	dw_kill(k);
	assert_int_equal(dw_counts(w)->waiting, 0);
}

int
main(void)
{
#define T(t)	cmocka_unit_test_setup_teardown(t, setup, ask_teardown)
	const struct CMUnitTest tests[] = {
		T(t_machine), T(t_unlimited), T(t_key), T(t_makers),
		T(t_bounded)
	};
#undef T

	return cmocka_run_group_tests(tests, NULL, NULL);
}
