/* Supervision: the policy compiler, for one job of dbd each. */

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "regress/lib/superkit.h"

#define LIMIT_MS	(SUPER_POLICYC_US / US_PER_MS)

static void
want(struct su_world *w, uint32_t id)
{
	struct msg m;

	msg_init(&m, M_CFG_POLICYC_START);
	m.id = id;
	super_msg(w->super, w->dbd, &m);
}

static bool
answered(struct su_world *w, uint32_t id, bool ok)
{
	const struct su_sent *s = su_last(w, w->dbd, M_CFG_CTL_DONE);

	return s != NULL && s->id == id && s->flag == ok;
}

static unsigned int
seats(struct su_world *w)
{
	return w->policyc == NULL || proc_state(w->policyc) == PROC_DOWN ? 0 :
	    1;
}

static void
see(struct proc *p, void *arg)
{
	if (proc_role(p) == ROLE_POLICYC)
		++*(unsigned int *)arg;
}

/* Never by itself; the link comes before the answer, and names it. */
static void
test_start(void **state)
{
	struct su_world *w = su_serving(state);
	const struct su_sent *s;
	unsigned int seen = 0;

	assert_null(w->policyc);
	super_each(w->super, see, &seen);
	assert_int_equal(seen, 0);
	want(w, 7);
	assert_non_null(w->policyc);
	assert_true(answered(w, 7, true));
	s = su_last(w, w->dbd, M_CFG_LINK);
	assert_int_equal(s->value, LINK_POL << 16 | ROLE_POLICYC << 8);
	assert_int_equal(s->generation, proc_generation(w->policyc));
	assert_true(s < su_last(w, w->dbd, M_CFG_CTL_DONE));
	super_each(w->super, see, &seen);
	assert_int_equal(seen, 1);
	/* Its end is nobody's business, and it is not started again. */
	w->log[0] = '\0';
	super_died(w->super, w->policyc, "exit 0");
	su_advance(w, 100000);
	assert_int_equal(w->kills, 0);
	assert_int_equal(seats(w), 0);
	assert_null(strstr(w->log, "died"));
	want(w, 8);
	assert_true(answered(w, 8, true));
	assert_true(proc_generation(w->policyc) > s->generation);
	super_died(w->super, w->policyc, "signal 11");
	assert_non_null(strstr(w->log, "policyc died"));
	assert_int_equal(proc_state(w->dbd), PROC_RUN);
}

static void
test_fails(void **state)
{
	struct su_world *w = su_serving(state);

	want(w, 1);
	super_died(w->super, w->policyc, "exit 0");
	w->fail = w->policyc;
	want(w, 2);
	assert_true(answered(w, 2, false));
	assert_int_equal(seats(w), 0);
	w->fail = NULL;
	want(w, 3);
	assert_true(answered(w, 3, true));
}

/* One at a time: the next one waits for the end of the last. */
static void
test_one(void **state)
{
	struct su_world *w = su_serving(state);
	unsigned int spawns;

	want(w, 1);
	spawns = w->spawns;
	want(w, 2);
	assert_int_equal(w->kills, 1);
	assert_ptr_equal(w->killed, w->policyc);
	assert_int_equal(w->spawns, spawns);
	assert_false(answered(w, 2, true));
	su_died(w, w->policyc);
	assert_int_equal(w->spawns, spawns + 1);
	assert_true(answered(w, 2, true));
}

static void
test_too_long(void **state)
{
	struct su_world *w = su_serving(state);

	want(w, 1);
	su_advance(w, LIMIT_MS - 1);
	assert_int_equal(w->kills, 0);
	su_advance(w, 1);
	assert_int_equal(w->kills, 1);
	assert_non_null(strstr(w->log, "policyc is killed"));
	su_died(w, w->policyc);
	su_advance(w, 100000);
	assert_int_equal(w->kills, 1);
	assert_int_equal(seats(w), 0);
}

static void
test_blamed(void **state)
{
	struct su_world *w = su_serving(state);
	struct msg m;

	want(w, 1);
	msg_init(&m, M_CFG_BLAME);
	m.u.cfg_blame.role = ROLE_POLICYC;
	m.u.cfg_blame.generation = proc_generation(w->policyc) - 1;
	m.u.cfg_blame.why = LINK_BAD_BODY;
	super_msg(w->super, w->dbd, &m);
	assert_int_equal(w->kills, 0);
	m.u.cfg_blame.generation++;
	super_msg(w->super, w->dbd, &m);
	assert_int_equal(w->kills, 1);
	assert_ptr_equal(w->killed, w->policyc);
	/* A worker that says so accuses its equal. */
	super_msg(w->super, w->worker[1], &m);
	assert_ptr_equal(w->killed, w->worker[1]);
}

/* It goes with the dbd that wanted it, who is not answered any more. */
static void
test_dbd_dies(void **state)
{
	struct su_world *w = su_serving(state);
	unsigned int mark;

	want(w, 1);
	want(w, 2);
	mark = w->nsent;
	su_died(w, w->dbd);
	assert_ptr_equal(w->killed, w->policyc);
	su_died(w, w->policyc);
	assert_int_equal(seats(w), 0);
	assert_int_equal(su_count(w, mark, w->dbd, M_CFG_CTL_DONE), 0);
	su_advance(w, 1);
	su_ready(w, w->dbd);
	want(w, 3);
	assert_true(answered(w, 3, true));
}

static void
test_stop(void **state)
{
	struct su_world *w = su_serving(state);
	unsigned int i;

	want(w, 1);
	super_stop(w->super);
	assert_ptr_equal(w->killed, w->policyc);
	su_died(w, w->policyc);
	for (i = 1; i <= WORKERS; i++)
		su_died(w, w->worker[i]);
	su_died(w, w->keyd);
	su_died(w, w->dbd);
	su_advance(w, 10);
	assert_int_equal(w->stops, 1);
	assert_int_equal(w->stop_code, 0);
}

int
main(void)
{
#define T(f)	cmocka_unit_test_setup_teardown(f, su_setup, su_teardown)
	const struct CMUnitTest tests[] = {
		T(test_start), T(test_fails), T(test_one), T(test_too_long),
		T(test_blamed), T(test_dbd_dies), T(test_stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
