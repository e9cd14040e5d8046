/* Reloads, which go to all or to none, and checks of a configuration. */

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "regress/lib/superkit.h"

/* The answers of a reload so far: the fresh worker and all but one. */
static void
reload_until(struct su_world *w, uint32_t epoch, const struct proc *but)
{
	char why[256];
	unsigned int i;

	assert_true(super_reload(w->super, epoch, why, sizeof(why)));
	assert_true(super_reloading(w->super));
	assert_non_null(w->check);
	assert_true(proc_is_check(w->check));
	assert_int_equal(su_count(w, 0, w->check, M_CFG_LINK), 0);
	su_staged(w, w->check, epoch, NULL);
	su_died(w, w->check);
	if (but != w->keyd)
		su_staged(w, w->keyd, epoch, NULL);
	if (but != w->dbd)
		su_staged(w, w->dbd, epoch, NULL);
	for (i = 1; i <= WORKERS; i++)
		if (but != w->worker[i])
			su_staged(w, w->worker[i], epoch, NULL);
}

static void
test_reload(void **state)
{
	struct su_world *w = su_serving(state);
	unsigned int mark = w->nsent;
	char why[256];

	assert_true(super_reload(w->super, 2, why, sizeof(why)));
	/* The others are asked when the fresh one has said yes. */
	assert_int_equal(su_count(w, mark, NULL, M_CFG_STAGE), 1);
	assert_false(super_reload(w->super, 3, why, sizeof(why)));
	assert_string_equal(why, "a reload is going on");
	su_staged(w, w->check, 2, NULL);
	assert_int_equal(w->kills, 1);
	assert_ptr_equal(w->killed, w->check);
	su_died(w, w->check);
	assert_int_equal(su_count(w, mark, NULL, M_CFG_STAGE), WORKERS + 3);
	su_staged(w, w->worker[1], 2, NULL);
	su_staged(w, w->worker[2], 2, NULL);
	su_staged(w, w->keyd, 2, NULL);
	su_staged(w, w->dbd, 2, NULL);
	assert_int_equal(su_count(w, mark, NULL, M_CFG_COMMIT), 0);
	assert_int_equal(w->outcomes, 0);
	su_staged(w, w->worker[3], 2, NULL);
	assert_int_equal(su_count(w, mark, NULL, M_CFG_COMMIT), WORKERS + 2);
	assert_int_equal(w->outcomes, 1);
	assert_true(w->outcome_ok);
	assert_int_equal(w->outcome_epoch, 2);
	assert_false(super_reloading(w->super));
	/* A later instance starts with it. */
	su_died(w, w->worker[1]);
	su_advance(w, 0);
	assert_int_equal(su_last(w, w->worker[1], M_CFG_STAGE)->value, 2);
	assert_int_equal(w->spawns, WORKERS + 4);
}

/* What a fresh worker refuses disturbs nobody. */
static void
test_reload_bad(void **state)
{
	struct su_world *w = su_serving(state);
	unsigned int mark = w->nsent, spawns;
	char why[256];

	assert_true(super_reload(w->super, 2, why, sizeof(why)));
	su_staged(w, w->check, 2, "map.json:7: bad");
	assert_int_equal(w->outcomes, 1);
	assert_false(w->outcome_ok);
	assert_string_equal(w->outcome_why, "map.json:7: bad");
	assert_int_equal(su_count(w, mark, w->dbd, M_CFG_STAGE), 0);
	assert_int_equal(su_count(w, mark, NULL, M_CFG_DISCARD), 0);
	/* Not before the last check process is gone. */
	spawns = w->spawns;
	assert_true(super_reload(w->super, 3, why, sizeof(why)));
	assert_true(super_reloading(w->super));
	assert_int_equal(w->spawns, spawns);
	su_died(w, w->check);
	assert_int_equal(w->spawns, spawns + 1);
	assert_int_equal(w->outcomes, 1);
	su_died(w, w->check);
	assert_int_equal(w->outcomes, 2);
	assert_string_equal(w->outcome_why, "the check process died");
	assert_true(super_reload(w->super, 4, why, sizeof(why)));
	su_advance(w, 10000);
	assert_int_equal(w->outcomes, 3);
	assert_string_equal(w->outcome_why,
	    "the check process did not answer");
	/* One that stays although it was killed: not for ever. */
	assert_true(super_reload(w->super, 5, why, sizeof(why)));
	su_advance(w, 10000);
	assert_int_equal(w->outcomes, 4);
	assert_string_equal(w->outcome_why,
	    "the last check process does not end");
	su_died(w, w->check);
	/* The configuration in force is still the first. */
	su_died(w, w->worker[1]);
	su_advance(w, 0);
	assert_int_equal(su_last(w, w->worker[1], M_CFG_STAGE)->value, 1);
}

/* dbd says no: all have it discarded. */
static void
test_reload_discard(void **state)
{
	struct su_world *w = su_serving(state);
	unsigned int mark = w->nsent;

	reload_until(w, 2, w->dbd);
	su_staged(w, w->dbd, 2, "prefix in use");
	assert_int_equal(w->outcomes, 1);
	assert_false(w->outcome_ok);
	assert_string_equal(w->outcome_why, "prefix in use");
	assert_int_equal(su_count(w, mark, NULL, M_CFG_COMMIT), 0);
	assert_int_equal(su_count(w, mark, NULL, M_CFG_DISCARD), WORKERS + 2);
	assert_int_equal(su_last(w, w->keyd, M_CFG_DISCARD)->value, 2);
	/* keyd does not answer: 5 s, then likewise; nobody is killed. */
	mark = w->nsent;
	w->kills = 0;
	reload_until(w, 3, w->keyd);
	su_advance(w, 4999);
	assert_int_equal(w->outcomes, 1);
	su_advance(w, 1);
	assert_int_equal(w->outcomes, 2);
	assert_false(w->outcome_ok);
	assert_string_equal(w->outcome_why, "keyd did not answer in time");
	assert_int_equal(su_count(w, mark, NULL, M_CFG_DISCARD), WORKERS + 2);
	assert_int_equal(w->kills, 1);
	assert_ptr_equal(w->killed, w->check);
	/* Its late answer means nothing for the next one. */
	su_staged(w, w->keyd, 3, NULL);
	mark = w->nsent;
	reload_until(w, 4, w->keyd);
	su_staged(w, w->keyd, 3, NULL);
	assert_int_equal(su_count(w, mark, NULL, M_CFG_COMMIT), 0);
	su_staged(w, w->keyd, 4, NULL);
	assert_int_equal(su_count(w, mark, NULL, M_CFG_COMMIT), WORKERS + 2);
	/* dbd dies in the middle. */
	mark = w->nsent;
	reload_until(w, 5, w->dbd);
	su_died(w, w->dbd);
	assert_int_equal(w->outcomes, 4);
	assert_string_equal(w->outcome_why, "dbd died meanwhile");
	assert_int_equal(su_count(w, mark, NULL, M_CFG_DISCARD), WORKERS + 1);
	assert_int_equal(su_count(w, mark, NULL, M_CFG_COMMIT), 0);
}

/* A worker that refuses or misses a reload is replaced, not obeyed. */
static void
test_reload_replaces(void **state)
{
	struct su_world *w = su_serving(state);
	unsigned int mark = w->nsent;

	reload_until(w, 2, w->worker[2]);
	su_staged(w, w->worker[2], 2, "no, thanks");
	assert_ptr_equal(w->killed, w->worker[2]);
	assert_int_equal(w->outcomes, 1);
	assert_true(w->outcome_ok);
	assert_int_equal(su_count(w, mark, NULL, M_CFG_COMMIT), WORKERS + 1);
	assert_int_equal(su_count(w, mark, w->worker[2], M_CFG_COMMIT), 0);
	su_died(w, w->worker[2]);
	su_advance(w, 0);
	assert_int_equal(su_last(w, w->worker[2], M_CFG_STAGE)->value, 2);
	su_ready(w, w->worker[2]);
	mark = w->nsent;
	reload_until(w, 3, w->worker[1]);
	assert_int_equal(w->outcomes, 1);
	su_advance(w, 5000);
	assert_ptr_equal(w->killed, w->worker[1]);
	assert_int_equal(w->outcomes, 2);
	assert_true(w->outcome_ok);
	assert_int_equal(su_count(w, mark, NULL, M_CFG_COMMIT), WORKERS + 1);
	su_died(w, w->worker[1]);
	su_advance(w, 0);
	assert_int_equal(su_last(w, w->worker[1], M_CFG_STAGE)->value, 3);
}

/* A worker that starts while the others stage gets the new one afterwards. */
static void
test_reload_meanwhile(void **state)
{
	struct su_world *w = su_serving(state);
	unsigned int mark;

	reload_until(w, 2, w->dbd);
	su_died(w, w->worker[1]);
	su_advance(w, 0);
	assert_int_equal(su_last(w, w->worker[1], M_CFG_STAGE)->value, 1);
	su_staged(w, w->worker[1], 1, NULL);	/* of its start, not of 2 */
	mark = w->nsent;
	su_staged(w, w->dbd, 2, NULL);
	assert_true(w->outcome_ok);
	assert_int_equal(su_count(w, mark, w->worker[1], M_CFG_COMMIT), 0);
	assert_ptr_equal(w->killed, w->worker[1]);
	su_died(w, w->worker[1]);
	su_advance(w, 0);		/* not its fault: no back-off */
	assert_int_equal(proc_state(w->worker[1]), PROC_STARTING);
	assert_int_equal(su_last(w, w->worker[1], M_CFG_STAGE)->value, 2);
}

/* One that is down, or starts, has no part in it. */
static void
test_reload_without(void **state)
{
	struct su_world *w = su_serving(state);
	unsigned int mark;

	su_died(w, w->worker[1]);
	su_advance(w, 0);
	su_died(w, w->worker[1]);		/* before READY: waits 200 ms */
	su_died(w, w->worker[2]);
	su_advance(w, 0);
	mark = w->nsent;
	reload_until(w, 2, w->dbd);
	su_staged(w, w->dbd, 2, NULL);
	assert_int_equal(w->outcomes, 1);
	assert_true(w->outcome_ok);
	assert_int_equal(su_count(w, mark, w->worker[1], M_CFG_STAGE), 0);
	assert_int_equal(su_count(w, mark, w->worker[2], M_CFG_STAGE), 0);
	assert_int_equal(su_count(w, mark, NULL, M_CFG_COMMIT), WORKERS);
	assert_ptr_equal(w->killed, w->worker[2]);
	su_advance(w, 200);
	assert_int_equal(su_last(w, w->worker[1], M_CFG_STAGE)->value, 2);
}

static void
test_reload_refused(void **state)
{
	struct su_world *w = *state;
	char why[256];

	assert_false(super_reload(w->super, 2, why, sizeof(why)));
	assert_string_equal(why, "the server is not ready yet");
	su_serving(state);
	su_died(w, w->dbd);
	assert_false(super_reload(w->super, 2, why, sizeof(why)));
	assert_string_equal(why, "dbd is not running, try again");
}

/* A later instance refuses: it is tried again, and says how often. */
static void
test_refusals(void **state)
{
	struct su_world *w = su_serving(state);

	su_died(w, w->worker[1]);
	su_advance(w, 0);
	assert_int_equal(proc_refusals(w->worker[1]), 0);
	su_staged(w, w->worker[1], 1, "the file is bad now");
	assert_int_equal(w->stops, 0);
	assert_ptr_equal(w->killed, w->worker[1]);
	su_died(w, w->worker[1]);
	su_advance(w, 200);
	assert_int_equal(proc_refusals(w->worker[1]), 1);
	su_staged(w, w->worker[1], 1, "still");
	su_died(w, w->worker[1]);
	su_advance(w, 1000);
	assert_int_equal(proc_refusals(w->worker[1]), 2);
	su_staged(w, w->worker[1], 1, NULL);
	su_ready(w, w->worker[1]);
	assert_int_equal(proc_refusals(w->worker[1]), 0);
}

static void
test_check(void **state)
{
	struct su_world *w = *state;

	super_check(w->super, 1);
	assert_int_equal(w->spawns, 1);
	assert_int_equal(su_count(w, 0, w->check, M_CFG_STAGE), 1);
	su_staged(w, w->check, 1, NULL);
	su_ready(w, w->check);
	assert_int_equal(w->outcomes, 1);
	assert_true(w->outcome_ok);
	assert_int_equal(w->serving, 0);
	assert_int_equal(w->spawns, 1);
	su_died(w, w->check);
	super_check(w->super, 2);
	su_staged(w, w->check, 2, "records.json:1: not JSON");
	assert_int_equal(w->outcomes, 2);
	assert_false(w->outcome_ok);
	assert_string_equal(w->outcome_why, "records.json:1: not JSON");
}

static void
test_stop_in_reload(void **state)
{
	struct su_world *w = su_serving(state);

	reload_until(w, 2, w->dbd);
	super_stop(w->super);
	assert_int_equal(w->outcomes, 1);
	assert_false(w->outcome_ok);
	assert_string_equal(w->outcome_why, "the server stops");
}

#define T(f)	cmocka_unit_test_setup_teardown(f, su_setup, su_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_reload), T(test_reload_bad), T(test_reload_discard),
		T(test_reload_replaces), T(test_reload_meanwhile),
		T(test_reload_without), T(test_reload_refused),
		T(test_refusals), T(test_check), T(test_stop_in_reload)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
