/* Supervision: workers that hang are noticed, stood in for and replaced. */

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "regress/lib/superkit.h"

#define PERIOD_MS	(SUPER_ASK_US / US_PER_MS)
#define LIMIT_MS	(SUPER_ASK_MAX * PERIOD_MS)

static unsigned int
asks(const struct su_world *w, unsigned int mark, const struct proc *p)
{
	return su_count(w, mark, p, M_CFG_ALIVE_ASK);
}

/* What the constants say is what the manual says. */
static void
test_constants(void **state)
{
	(void)state;
	assert_int_equal(PERIOD_MS, 2000);
	assert_int_equal(LIMIT_MS, 30000);
}

/* Workers that run, and nobody else; for ever, and nothing comes of it. */
static void
test_asks(void **state)
{
	struct su_world *w = *state;
	unsigned int mark, i;

	super_start(w->super, 1);
	su_ready(w, w->keyd);
	for (i = 1; i <= WORKERS; i++)
		su_ready(w, w->worker[i]);
	su_advance(w, 10 * PERIOD_MS);
	assert_int_equal(asks(w, 0, NULL), 0);	/* dbd is not ready */
	su_ready(w, w->dbd);
	mark = w->nsent;
	su_advance(w, PERIOD_MS - 1);
	assert_int_equal(asks(w, mark, NULL), 0);
	su_advance(w, 1);
	for (i = 1; i <= WORKERS; i++)
		assert_int_equal(asks(w, mark, w->worker[i]), 1);
	for (i = 0; i < 100; i++)
		su_advance(w, PERIOD_MS);
	for (i = 1; i <= WORKERS; i++)
		assert_int_equal(asks(w, mark, w->worker[i]), 101);
	assert_int_equal(asks(w, mark, w->keyd), 0);
	assert_int_equal(asks(w, mark, w->dbd), 0);
	assert_int_equal(w->kills, 0);
	assert_int_equal(su_count(w, mark, NULL, M_CFG_SLOT), 0);
}

/* 30 s after the question: killed once, restarted at once, asked again. */
static void
test_hangs(void **state)
{
	struct su_world *w = su_serving(state);
	struct proc *p = w->worker[2];
	unsigned int mark = w->nsent, n = w->spawns, i;
	uint64_t generation = proc_generation(p);

	w->hangs = p;
	su_advance(w, PERIOD_MS);
	assert_int_equal(asks(w, mark, p), 1);
	for (i = 0; i < LIMIT_MS / PERIOD_MS - 1; i++)
		su_advance(w, PERIOD_MS);
	su_advance(w, PERIOD_MS - 1);
	assert_int_equal(w->kills, 0);
	assert_int_equal(proc_state(p), PROC_RUN);
	/* One question is open, not a heap of them. */
	assert_int_equal(asks(w, mark, p), 1);
	su_advance(w, 1);
	assert_int_equal(w->kills, 1);
	assert_ptr_equal(w->killed, p);
	assert_int_equal(proc_state(p), PROC_KILLED);
	assert_non_null(strstr(w->log, "worker 2 is killed"));
	assert_non_null(strstr(w->log, "it has not answered for 30 s"));
	/* Not twice, and not asked while it dies. */
	for (i = 0; i < 40; i++)
		su_advance(w, PERIOD_MS);
	assert_int_equal(w->kills, 1);
	assert_int_equal(asks(w, mark, p), 1);
	su_died(w, p);
	su_advance(w, 0);
	assert_int_equal(w->spawns, n + 1);
	assert_true(proc_generation(p) > generation);
	/* Its successor has a clean sheet. */
	w->hangs = NULL;
	su_advance(w, 10 * PERIOD_MS);
	assert_int_equal(asks(w, mark, p), 1);
	su_ready(w, p);
	for (i = 0; i < 40; i++)
		su_advance(w, PERIOD_MS);
	assert_int_equal(asks(w, mark, p), 41);
	assert_int_equal(w->kills, 1);
	assert_int_equal(proc_state(w->worker[1]), PROC_RUN);
	assert_int_equal(proc_state(w->worker[3]), PROC_RUN);
}

/* Whoever answers in time, however late, lives and is asked on. */
static void
test_slow(void **state)
{
	struct su_world *w = su_serving(state);
	struct proc *p = w->worker[1];
	unsigned int i, k;

	w->hangs = p;
	for (i = 0; i < 5; i++) {
		for (k = 0; k < LIMIT_MS / PERIOD_MS; k++)
			su_advance(w, PERIOD_MS);
		assert_int_equal(asks(w, 0, p), i + 1);
		su_alive(w, p, su_last(w, p, M_CFG_ALIVE_ASK)->value);
	}
	assert_int_equal(w->kills, 0);
	/* And then no more. */
	for (k = 0; k < LIMIT_MS / PERIOD_MS; k++)
		su_advance(w, PERIOD_MS);
	assert_int_equal(w->kills, 0);
	su_advance(w, PERIOD_MS);
	assert_int_equal(w->kills, 1);
}

/* Only the answer to the open question counts. */
static void
test_wrong_answer(void **state)
{
	struct su_world *w = su_serving(state);
	struct proc *p = w->worker[1];
	uint32_t old;
	unsigned int k;

	su_alive(w, p, 0);
	su_alive(w, p, 1);
	su_advance(w, PERIOD_MS);
	old = su_last(w, p, M_CFG_ALIVE_ASK)->value;
	w->hangs = p;
	su_advance(w, PERIOD_MS);
	for (k = 0; k < LIMIT_MS / PERIOD_MS; k++) {
		su_alive(w, p, old);
		su_alive(w, p, 0);
		su_alive(w, w->worker[2],
		    su_last(w, p, M_CFG_ALIVE_ASK)->value);
		su_alive(w, w->dbd, su_last(w, p, M_CFG_ALIVE_ASK)->value);
		su_advance(w, PERIOD_MS);
	}
	assert_int_equal(w->kills, 1);
	assert_ptr_equal(w->killed, p);
}

/*
 * A machine that stood still, or a master that did: the clock has leapt over
 * the limit, but nobody had the time to answer.
 */
static void
test_leap(void **state)
{
	struct su_world *w = su_serving(state);
	struct proc *p = w->worker[1];

	w->hangs = p;
	su_advance(w, PERIOD_MS);
	fakeenv_leap(w->fake, MS(10 * LIMIT_MS));
	assert_int_equal(w->kills, 0);
	su_alive(w, p, su_last(w, p, M_CFG_ALIVE_ASK)->value);
	w->hangs = NULL;
	su_advance(w, 5 * LIMIT_MS);
	assert_int_equal(w->kills, 0);
}

/* Between 2 and 5 s after it hangs its siblings accept for it. */
static void
test_siblings(void **state)
{
	struct su_world *w = su_serving(state);
	struct proc *p = w->worker[2];
	const struct su_sent *s;
	unsigned int mark = w->nsent;

	w->hangs = p;
	su_advance(w, PERIOD_MS);	/* asked */
	su_advance(w, PERIOD_MS);	/* owes the answer */
	su_advance(w, 999);
	assert_int_equal(su_count(w, mark, NULL, M_CFG_SLOT), 0);
	su_advance(w, 1);
	assert_int_equal(su_count(w, mark, NULL, M_CFG_SLOT), WORKERS - 1);
	assert_int_equal(su_count(w, mark, p, M_CFG_SLOT), 0);
	s = su_last(w, w->worker[3], M_CFG_SLOT);
	assert_int_equal(s->value, 2);
	assert_true(s->flag);
	assert_string_equal(w->log, "worker 2 does not answer, and accepts "
	    "nothing: its siblings do it");
	/* It is there again: they stop. */
	su_alive(w, p, su_last(w, p, M_CFG_ALIVE_ASK)->value);
	assert_int_equal(su_count(w, mark, NULL, M_CFG_SLOT),
	    2 * (WORKERS - 1));
	s = su_last(w, w->worker[1], M_CFG_SLOT);
	assert_int_equal(s->value, 2);
	assert_false(s->flag);
	assert_string_equal(w->log, "worker 2 answers again");
	/* An answer within the second: nobody hears of it. */
	mark = w->nsent;
	su_advance(w, 1000);
	assert_int_equal(asks(w, mark, p), 1);
	su_advance(w, PERIOD_MS);
	su_advance(w, 500);
	su_alive(w, p, su_last(w, p, M_CFG_ALIVE_ASK)->value);
	w->hangs = NULL;
	su_advance(w, 10 * PERIOD_MS);
	assert_int_equal(su_count(w, mark, NULL, M_CFG_SLOT), 0);
}

/* From the hanging to the successor they do so without a break. */
static void
test_siblings_until(void **state)
{
	struct su_world *w = su_serving(state);
	struct proc *p = w->worker[2];
	unsigned int mark = w->nsent, k;

	w->hangs = p;
	for (k = 0; k < 16; k++)
		su_advance(w, PERIOD_MS);
	assert_int_equal(w->kills, 1);
	su_died(w, p);
	su_advance(w, 0);
	assert_int_equal(proc_state(p), PROC_STARTING);
	su_advance(w, 100);
	assert_int_equal(su_count(w, mark, NULL, M_CFG_SLOT), WORKERS - 1);
	w->hangs = NULL;
	su_ready(w, p);
	assert_int_equal(su_count(w, mark, NULL, M_CFG_SLOT),
	    2 * (WORKERS - 1));
	assert_false(su_last(w, w->worker[1], M_CFG_SLOT)->flag);
}

/* One that pauses, too, is back only when it does neither. */
static void
test_paused(void **state)
{
	struct su_world *w = su_serving(state);
	struct proc *p = w->worker[2];
	unsigned int mark = w->nsent;
	struct msg m;

	w->hangs = p;
	su_advance(w, PERIOD_MS);
	su_advance(w, PERIOD_MS);
	su_advance(w, 1000);
	msg_init(&m, M_CFG_STAT);
	m.u.cfg_stat.paused = true;
	super_msg(w->super, p, &m);
	su_alive(w, p, su_last(w, p, M_CFG_ALIVE_ASK)->value);
	assert_int_equal(su_count(w, mark, NULL, M_CFG_SLOT), WORKERS - 1);
	m.u.cfg_stat.paused = false;
	super_msg(w->super, p, &m);
	assert_int_equal(su_count(w, mark, NULL, M_CFG_SLOT),
	    2 * (WORKERS - 1));
}

/* Who dies, closes its link or is to stop is asked nothing more. */
static void
test_quiet(void **state)
{
	struct su_world *w = su_serving(state);
	unsigned int mark;

	w->hangs = w->worker[1];
	su_advance(w, PERIOD_MS);
	su_advance(w, PERIOD_MS);
	super_link_down(w->super, w->worker[1], LINK_EOF);
	su_died(w, w->worker[2]);
	mark = w->nsent;
	su_advance(w, 500);
	assert_int_equal(proc_state(w->worker[2]), PROC_STARTING);
	su_advance(w, PERIOD_MS);
	assert_int_equal(asks(w, mark, w->worker[1]), 0);
	assert_int_equal(asks(w, mark, w->worker[2]), 0);
	assert_int_equal(asks(w, mark, w->worker[3]), 1);
	super_stop(w->super);
	mark = w->nsent;
	su_advance(w, 1400);
	assert_int_equal(asks(w, mark, NULL), 0);
}

/* What status says of workers. */
static void
test_health(void **state)
{
	struct su_world *w = su_serving(state);
	unsigned int mark;
	struct msg m;

	msg_init(&m, M_CFG_STAT);
	m.u.cfg_stat.paused = true;
	super_msg(w->super, w->worker[1], &m);
	w->hangs = w->worker[2];
	su_advance(w, PERIOD_MS);
	su_advance(w, PERIOD_MS);
	su_died(w, w->worker[3]);
	mark = w->nsent;
	msg_init(&m, M_CFG_CTL_STATUS);
	super_msg(w->super, w->dbd, &m);
	/* Behind master, keyd and dbd. */
	assert_int_equal(w->sent[mark + 2].health, HEALTH_READY);
	assert_int_equal(w->sent[mark + 3].health, HEALTH_FULL);
	assert_int_equal(w->sent[mark + 4].health, HEALTH_SILENT);
	assert_int_equal(w->sent[mark + 5].health, HEALTH_DOWN);
	su_alive(w, w->worker[2],
	    su_last(w, w->worker[2], M_CFG_ALIVE_ASK)->value);
	mark = w->nsent;
	super_msg(w->super, w->dbd, &m);
	assert_int_equal(w->sent[mark + 4].health, HEALTH_READY);
}

#define T(f)	cmocka_unit_test_setup_teardown(f, su_setup, su_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_constants), T(test_asks), T(test_hangs), T(test_slow),
		T(test_wrong_answer), T(test_leap), T(test_siblings),
		T(test_siblings_until), T(test_paused), T(test_quiet),
		T(test_health)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
