/*
 * Lite updates of thousands that are over their budgets hold half of a
 * worker's credit at most: dbd refuses the others for now (t_lane.c is the
 * worker's side).
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/ids.h"
#include "regress/lib/dbdask.h"

#define NODES	1100
#define HALF	1024		/* of the credit that msg.tbl gives */

struct many {
	struct dbdworld	*w;
	struct dbdworker *k;
	const char	*key;
	uint32_t	 id[NODES + 1];	/* of their last request */
};

static uint32_t
say(struct many *t, uint32_t n, uint32_t h2)
{
	struct ask_lite q = { .machine = n, .key = n, .disco = n, .h2 = h2,
	    .port = (uint16_t)(1000 + h2) };

	return t->id[n] = ask_lite_send(t->k, &q);
}

static enum msg_type
reply(struct many *t, uint32_t n)
{
	const struct msg *m = dw_reply(t->k, t->id[n]);

	return m == NULL ? M_NONE : m->type;
}

static int
many_setup(void **state)
{
	struct dbdworker *k2;
	struct many *t;
	uint64_t alice;
	uint32_t n;

	*state = t = calloc(1, sizeof(*t));
	assert_non_null(t);
	t->w = ask_world(&t->k, &k2, &alice, &t->key);
	dw_conf(t->w)->budget_burst = 1;
	dw_reconf(t->w);
	for (n = 1; n <= NODES; n++) {
		(void)ask_join(t->k, n, n, t->key, "many");
		(void)say(t, n, 1);
		dw_run(t->w);
		assert_int_equal(reply(t, n), M_DB_LITE_OK);
		dw_forget(t->k);
	}
	return 0;
}

static int
many_teardown(void **state)
{
	struct many *t = *state;
	void *w = t->w;

	free(t);
	return ask_teardown(&w);
}

static void
t_half(void **state)
{
	struct many *t = *state;
	const struct msg *m;
	uint32_t n;

	assert_int_equal(msg_credit(M_DB_MAP_LITE), 2 * HALF);
	for (n = 1; n <= NODES; n++)
		(void)say(t, n, 3);
	dw_run(t->w);
	assert_int_equal(dw_counts(t->w)->waiting, HALF);
	for (n = 1; n <= NODES; n++) {
		if (n <= HALF) {
			assert_int_equal(reply(t, n), M_NONE);
			continue;
		}
		assert_int_equal(reply(t, n), M_DB_LITE_NO);
		m = dw_reply(t->k, t->id[n]);
		assert_int_equal(m->u.db_lite_no.status, LITE_LATER);
	}
	/* A newer one of a node that waits waits in its stead. */
	(void)say(t, 5, 5);
	/* Nobody else does: who is within the budget, who opens, registers. */
	(void)ask_join(t->k, NODES + 1, NODES + 1, t->key, "other");
	assert_int_equal(ask_lite(t->k, &(struct ask_lite){
	    .machine = NODES + 1, .key = NODES + 1, .disco = 1, .h2 = 1,
	    .port = 7 })->type, M_DB_LITE_OK);
	assert_int_equal(ask_open(t->k, NODES, 1, NODES, 1)->type,
	    M_DB_MAP_OK);
	assert_int_equal(dw_counts(t->w)->waiting, HALF);
	/* The round is over: the same is asked again, and taken. */
	dw_pass(t->w, 11 * US_PER_S);
	assert_int_equal(dw_counts(t->w)->waiting, 0);
	for (n = 1; n <= HALF; n++)
		assert_int_equal(reply(t, n), M_DB_LITE_OK);
	for (n = HALF + 1; n <= NODES; n++)
		(void)say(t, n, 3);
	dw_run(t->w);
	for (n = HALF + 1; n <= NODES; n++) {
		m = dw_reply(t->k, t->id[n]);
		assert_non_null(m);
		assert_int_equal(m->type, M_DB_LITE_OK);
		assert_true(m->u.db_lite_ok.changed);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(t_half, many_setup,
		    many_teardown)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
