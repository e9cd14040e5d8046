/* Supervision: every rule of architecture.md 5 that concerns processes. */

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "regress/lib/superkit.h"

/* Nobody gets CFG_START before all are READY. */
static void
test_barrier(void **state)
{
	struct su_world *w = *state;
	unsigned int i;

	super_start(w->super, 1);
	assert_int_equal(w->spawns, WORKERS + 2);
	assert_int_equal(w->configured, 1);
	su_ready(w, w->worker[2]);
	su_ready(w, w->keyd);
	su_ready(w, w->worker[1]);
	su_ready(w, w->worker[3]);
	assert_int_equal(su_count(w, 0, NULL, M_CFG_START), 0);
	assert_false(super_is_serving(w->super));
	assert_int_equal(proc_state(w->keyd), PROC_READY);
	su_ready(w, w->dbd);
	assert_true(super_is_serving(w->super));
	assert_int_equal(w->serving, 1);
	assert_int_equal(su_count(w, 0, NULL, M_CFG_START), WORKERS + 2);
	for (i = 1; i <= WORKERS; i++)
		assert_int_equal(proc_state(w->worker[i]), PROC_RUN);
	/* Twice is once. */
	su_ready(w, w->dbd);
	assert_int_equal(su_count(w, 0, NULL, M_CFG_START), WORKERS + 2);
}

/* One who was READY and dies before the barrier comes back; it still holds. */
static void
test_barrier_death(void **state)
{
	struct su_world *w = *state;
	unsigned int i;

	super_start(w->super, 1);
	su_ready(w, w->keyd);
	for (i = 1; i <= WORKERS; i++)
		su_ready(w, w->worker[i]);
	su_died(w, w->worker[1]);
	su_ready(w, w->dbd);
	assert_false(super_is_serving(w->super));
	su_advance(w, 0);
	assert_int_equal(proc_state(w->worker[1]), PROC_STARTING);
	su_ready(w, w->worker[1]);
	assert_true(super_is_serving(w->super));
}

/* Each worker has one KEY and one DB link; the ends name each other. */
static void
test_links(void **state)
{
	struct su_world *w = *state;
	const struct su_sent *s, *t;
	unsigned int i, k, pairs = 0;

	super_start(w->super, 1);
	assert_int_equal(su_count(w, 0, w->keyd, M_CFG_LINK), WORKERS);
	assert_int_equal(su_count(w, 0, w->dbd, M_CFG_LINK), WORKERS);
	for (i = 1; i <= WORKERS; i++)
		assert_int_equal(su_count(w, 0, w->worker[i], M_CFG_LINK), 2);
	for (i = 0; i < w->nsent; i++) {
		s = &w->sent[i];
		if (s->type != M_CFG_LINK)
			continue;
		for (k = i + 1; k < w->nsent; k++) {
			t = &w->sent[k];
			if (t->type != M_CFG_LINK || t->fd / 2 != s->fd / 2)
				continue;
			pairs++;
			assert_int_equal(s->value >> 16, t->value >> 16);
			assert_int_equal(s->generation,
			    proc_generation(t->to));
			assert_int_equal(t->generation,
			    proc_generation(s->to));
			assert_int_equal((s->value >> 8) & 0xff,
			    proc_role(t->to));
			assert_int_equal(s->value & 0xff, proc_slot(t->to));
			assert_int_equal(s->value >> 16,
			    proc_role(s->to) == ROLE_KEYD ||
			    proc_role(t->to) == ROLE_KEYD ? LINK_KEY :
			    LINK_DB);
		}
	}
	assert_int_equal(pairs, 2 * WORKERS);
}

/* Links come before CFG_STAGE, so that READY means that all is there. */
static void
test_order(void **state)
{
	struct su_world *w = *state;
	unsigned int i, staged_at = 0;

	super_start(w->super, 1);
	for (i = 0; i < w->nsent; i++)
		if (w->sent[i].to == w->worker[3] &&
		    w->sent[i].type == M_CFG_STAGE) {
			assert_int_equal(w->sent[i].value, 1);
			staged_at = i;
		}
	assert_int_equal(su_count(w, staged_at, w->worker[3], M_CFG_LINK), 0);
}

static void
test_generations(void **state)
{
	struct su_world *w = su_serving(state);
	uint64_t first = (uint64_t)FAKEENV_WALL << 20, g, seen = 0;
	unsigned int i;

	assert_true(proc_generation(w->keyd) > first);
	for (i = 0; i < 50; i++) {
		g = proc_generation(w->worker[1]);
		assert_true(g > seen);
		assert_true(g != proc_generation(w->worker[2]));
		seen = g;
		su_died(w, w->worker[1]);
		su_advance(w, 20000);
		su_ready(w, w->worker[1]);
	}
}

/* READY once: at once, at once, and from the third death in 10 s after 1 s. */
static void
test_restart_ready(void **state)
{
	struct su_world *w = su_serving(state);
	unsigned int n = w->spawns, i;

	for (i = 0; i < 2; i++) {
		su_died(w, w->worker[2]);
		su_advance(w, 0);
		assert_int_equal(w->spawns, ++n);
		su_ready(w, w->worker[2]);
		assert_int_equal(proc_state(w->worker[2]), PROC_RUN);
		su_advance(w, 1000);
	}
	for (i = 0; i < 5; i++) {
		su_died(w, w->worker[2]);
		su_advance(w, 999);
		assert_int_equal(w->spawns, n);
		su_advance(w, 1);
		assert_int_equal(w->spawns, ++n);
		su_ready(w, w->worker[2]);
	}
	su_advance(w, 11000);
	su_died(w, w->worker[2]);
	su_advance(w, 0);
	assert_int_equal(w->spawns, ++n);
}

/* Only deaths before READY back off, and READY forgives them. */
static void
test_backoff(void **state)
{
	static const unsigned int steps[] = {
		200, 1000, 5000, 30000, 60000, 60000
	};
	struct su_world *w = su_serving(state);
	unsigned int n, i, round;

	su_died(w, w->dbd);
	su_advance(w, 0);
	n = w->spawns;
	for (round = 0; round < 2; round++) {
		for (i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
			assert_int_equal(proc_state(w->dbd), PROC_STARTING);
			su_died(w, w->dbd);
			su_advance(w, steps[i] - 1);
			assert_int_equal(w->spawns, n);
			su_advance(w, 1);
			assert_int_equal(w->spawns, ++n);
		}
		su_ready(w, w->dbd);
		su_died(w, w->dbd);
		su_advance(w, 0);
		assert_int_equal(w->spawns, ++n);
	}
	assert_int_equal(w->stops, 0);
}

/* At the first start there is nothing to keep up: three failures end it. */
static void
test_first_start_fails(void **state)
{
	struct su_world *w = *state;
	unsigned int i;

	super_start(w->super, 1);
	su_died(w, w->keyd);
	su_advance(w, 200);
	su_died(w, w->keyd);
	su_advance(w, 1000);
	assert_int_equal(w->stops, 0);
	super_died(w->super, w->keyd, "exit 1");
	assert_int_equal(su_count(w, 0, w->worker[1], M_CFG_STOP), 1);
	for (i = 1; i <= WORKERS; i++)
		su_died(w, w->worker[i]);
	su_died(w, w->dbd);
	su_advance(w, 0);
	assert_int_equal(w->stops, 1);
	assert_int_equal(w->stop_code, 1);
	assert_string_equal(w->stop_why, "keyd does not start (exit 1)");
}

static void
test_first_start_refused(void **state)
{
	struct su_world *w = *state;

	super_start(w->super, 1);
	su_staged(w, w->worker[2], 1, "map.json:3: no comma");
	su_advance(w, 1500);
	assert_int_equal(w->kills, WORKERS + 2);
	su_advance(w, 500);
	assert_int_equal(w->stops, 1);
	assert_int_equal(w->stop_code, 1);
	assert_string_equal(w->stop_why, "map.json:3: no comma");
}

static void
test_spawn_fails(void **state)
{
	struct su_world *w = su_serving(state);
	unsigned int n;

	w->fail = w->worker[1];
	su_died(w, w->worker[1]);
	su_advance(w, 0);
	n = w->spawns;
	assert_int_equal(proc_state(w->worker[1]), PROC_DOWN);
	su_advance(w, 200);
	assert_int_equal(w->spawns, n + 1);
	w->fail = NULL;
	su_advance(w, 1000);
	assert_int_equal(proc_state(w->worker[1]), PROC_STARTING);
}

/* Not READY after 60 s; dbd, which may migrate, is not hurried. */
static void
test_slow_start(void **state)
{
	struct su_world *w = *state;

	super_start(w->super, 1);
	su_advance(w, 59000);
	assert_int_equal(w->kills, 0);
	su_advance(w, 1000);
	assert_int_equal(w->kills, WORKERS + 1);
	assert_int_equal(proc_state(w->dbd), PROC_STARTING);
}

/* Worker restarted: new links at both ends, nobody else is touched. */
static void
test_relink(void **state)
{
	struct su_world *w = su_serving(state);
	unsigned int mark = w->nsent;

	su_died(w, w->worker[2]);
	su_advance(w, 0);
	assert_int_equal(su_count(w, mark, w->keyd, M_CFG_LINK), 1);
	assert_int_equal(su_count(w, mark, w->dbd, M_CFG_LINK), 1);
	assert_int_equal(su_count(w, mark, w->worker[2], M_CFG_LINK), 2);
	assert_int_equal(su_count(w, mark, w->worker[1], M_CFG_LINK), 0);
	assert_int_equal(su_last(w, w->dbd, M_CFG_LINK)->generation,
	    proc_generation(w->worker[2]));
	su_ready(w, w->worker[2]);
	mark = w->nsent;
	su_died(w, w->keyd);
	su_advance(w, 0);
	assert_int_equal(su_count(w, mark, w->keyd, M_CFG_LINK), WORKERS);
	assert_int_equal(su_count(w, mark, w->worker[1], M_CFG_LINK), 1);
	assert_int_equal(su_count(w, mark, w->dbd, M_CFG_LINK), 0);
	mark = w->nsent;
	su_died(w, w->dbd);
	su_advance(w, 0);
	assert_int_equal(su_count(w, mark, w->dbd, M_CFG_LINK), WORKERS);
	/* keyd is not READY again yet, and already linked. */
	assert_int_equal(su_count(w, mark, w->keyd, M_CFG_LINK), 0);
	/* A worker that waits for its restart is linked when it is there. */
	su_died(w, w->worker[1]);
	mark = w->nsent;
	su_advance(w, 0);
	assert_int_equal(su_count(w, mark, w->worker[1], M_CFG_LINK), 2);
}

static void
blame(struct su_world *w, struct proc *from, struct proc *bad,
    uint64_t generation)
{
	struct msg m;

	msg_init(&m, M_CFG_BLAME);
	m.u.cfg_blame.role = (uint8_t)proc_role(bad);
	m.u.cfg_blame.slot = proc_slot(bad);
	m.u.cfg_blame.generation = generation;
	m.u.cfg_blame.why = LINK_FORGED;
	super_msg(w->super, from, &m);
}

static void
test_blame(void **state)
{
	struct su_world *w = su_serving(state);
	struct msg m;
	uint64_t old = proc_generation(w->worker[1]);

	blame(w, w->dbd, w->worker[1], old);
	assert_int_equal(w->kills, 1);
	assert_ptr_equal(w->killed, w->worker[1]);
	/* Twice kills once; what it still says counts for nothing. */
	blame(w, w->keyd, w->worker[1], old);
	blame(w, w->worker[1], w->dbd, proc_generation(w->dbd));
	assert_int_equal(w->kills, 1);
	su_died(w, w->worker[1]);
	su_advance(w, 0);
	su_ready(w, w->worker[1]);
	/* The instance is gone: its successor is not to blame. */
	blame(w, w->dbd, w->worker[1], old);
	assert_int_equal(w->kills, 1);
	/* Upwards, sideways: it is the accuser who goes. */
	blame(w, w->worker[2], w->keyd, proc_generation(w->keyd));
	assert_int_equal(w->kills, 2);
	assert_ptr_equal(w->killed, w->worker[2]);
	blame(w, w->worker[3], w->worker[1], proc_generation(w->worker[1]));
	assert_int_equal(w->kills, 3);
	assert_ptr_equal(w->killed, w->worker[3]);
	blame(w, w->keyd, w->dbd, proc_generation(w->dbd));
	assert_int_equal(w->kills, 4);
	assert_ptr_equal(w->killed, w->keyd);
	assert_int_equal(proc_state(w->dbd), PROC_RUN);
	/* Nonsense. */
	msg_init(&m, M_CFG_BLAME);
	m.u.cfg_blame.role = 200;
	super_msg(w->super, w->worker[1], &m);
	assert_ptr_equal(w->killed, w->worker[1]);
	assert_int_equal(proc_state(w->dbd), PROC_RUN);
}

static void
test_link_down(void **state)
{
	struct su_world *w = su_serving(state);

	super_link_down(w->super, w->worker[1], LINK_BAD_TYPE);
	assert_int_equal(w->kills, 1);
	assert_ptr_equal(w->killed, w->worker[1]);
	assert_non_null(strstr(w->log, "message not permitted"));
	super_link_down(w->super, w->worker[1], LINK_EOF);
	assert_int_equal(w->kills, 1);
	assert_int_equal(proc_state(w->worker[1]), PROC_KILLED);
	/* Who ends by itself has a second for it, and is asked nothing. */
	super_link_down(w->super, w->worker[2], LINK_EOF);
	su_advance(w, 999);
	assert_int_equal(w->kills, 1);
	su_advance(w, 1);
	assert_int_equal(w->kills, 2);
	assert_ptr_equal(w->killed, w->worker[2]);
	su_died(w, w->worker[2]);
	su_advance(w, 0);
	assert_int_equal(proc_state(w->worker[2]), PROC_STARTING);
	super_link_down(w->super, w->worker[3], LINK_EOF);
	su_died(w, w->worker[3]);
	su_advance(w, 2000);
	assert_int_equal(w->kills, 2);
	assert_int_equal(proc_state(w->worker[3]), PROC_STARTING);
}

static void
pause_slot(struct su_world *w, unsigned int slot, bool paused)
{
	struct msg m;

	msg_init(&m, M_CFG_STAT);
	m.u.cfg_stat.streams = 5 * slot;
	m.u.cfg_stat.paused = paused;
	super_msg(w->super, w->worker[slot], &m);
}

/* Siblings take over a slot that is down or paused for a second. */
static void
test_slots(void **state)
{
	struct su_world *w = su_serving(state);
	const struct su_sent *s;
	unsigned int mark = w->nsent;

	pause_slot(w, 2, true);
	su_advance(w, 999);
	assert_int_equal(su_count(w, mark, NULL, M_CFG_SLOT), 0);
	su_advance(w, 1);
	assert_int_equal(su_count(w, mark, NULL, M_CFG_SLOT), 2);
	assert_int_equal(su_count(w, mark, w->worker[2], M_CFG_SLOT), 0);
	s = su_last(w, w->worker[3], M_CFG_SLOT);
	assert_int_equal(s->value, 2);
	assert_true(s->flag);
	/* A new instance hears of it too. */
	su_died(w, w->worker[1]);
	su_advance(w, 0);
	mark = w->nsent;
	su_ready(w, w->worker[1]);
	assert_int_equal(su_count(w, mark, w->worker[1], M_CFG_SLOT), 1);
	assert_true(su_last(w, w->worker[1], M_CFG_SLOT)->flag);
	pause_slot(w, 2, false);
	assert_int_equal(su_count(w, mark, w->worker[1], M_CFG_SLOT), 2);
	assert_false(su_last(w, w->worker[1], M_CFG_SLOT)->flag);
	/* Back within the second: nobody hears of it. */
	mark = w->nsent;
	su_died(w, w->worker[3]);
	su_advance(w, 500);
	su_ready(w, w->worker[3]);
	su_advance(w, 5000);
	assert_int_equal(su_count(w, mark, NULL, M_CFG_SLOT), 0);
	/* Down: so is what hangs in its start. */
	su_died(w, w->worker[3]);
	su_advance(w, 1000);
	assert_int_equal(su_count(w, mark, NULL, M_CFG_SLOT), 2);
	su_ready(w, w->worker[3]);
	assert_int_equal(su_count(w, mark, NULL, M_CFG_SLOT), 4);
	assert_false(su_last(w, w->worker[1], M_CFG_SLOT)->flag);
}

static void
test_stop(void **state)
{
	struct su_world *w = su_serving(state);
	unsigned int i, mark = w->nsent, n = w->spawns;

	super_stop(w->super);
	super_stop(w->super);
	assert_int_equal(su_count(w, mark, NULL, M_CFG_STOP), WORKERS + 2);
	for (i = 1; i <= WORKERS; i++)
		su_died(w, w->worker[i]);
	su_died(w, w->keyd);
	su_advance(w, 1000);
	assert_int_equal(w->stops, 0);
	su_died(w, w->dbd);
	su_advance(w, 0);
	assert_int_equal(w->stops, 1);
	assert_int_equal(w->stop_code, 0);
	assert_int_equal(w->kills, 0);
	assert_int_equal(w->spawns, n);
}

/* Who does not stop is killed after 1.5 s; 2 s are all that it takes. */
static void
test_stop_slow(void **state)
{
	struct su_world *w = su_serving(state);

	super_stop(w->super);
	su_died(w, w->keyd);
	super_link_down(w->super, w->worker[1], LINK_EOF);
	su_advance(w, 1499);
	assert_int_equal(w->kills, 0);
	su_advance(w, 1);
	assert_int_equal(w->kills, WORKERS + 1);
	su_advance(w, 499);
	assert_int_equal(w->stops, 0);
	su_advance(w, 1);
	assert_int_equal(w->stops, 1);
	su_died(w, w->dbd);
	su_advance(w, 5000);
	assert_int_equal(w->stops, 1);
}

static void
test_status(void **state)
{
	struct su_world *w = su_serving(state);
	struct msg m;
	unsigned int mark = w->nsent;

	pause_slot(w, 2, false);
	su_died(w, w->worker[3]);
	msg_init(&m, M_CFG_CTL_STATUS);
	m.id = 42;
	super_msg(w->super, w->dbd, &m);
	assert_int_equal(su_count(w, mark, w->dbd, M_CFG_CTL_ROW), WORKERS + 3);
	assert_int_equal(su_count(w, mark, w->dbd, M_CFG_CTL_DONE), 1);
	assert_int_equal(w->sent[mark].id, 42);
	assert_int_equal(w->sent[mark].value, 77);
	assert_int_equal(w->sent[mark].health, HEALTH_READY);
	assert_int_equal(w->sent[mark + 1].value, proc_pid(w->keyd));
	assert_int_equal(w->sent[mark + 4].generation, 10);
	assert_int_equal(w->sent[mark + 5].value, 0);	/* it is down */
	assert_int_equal(w->sent[mark + 5].health, HEALTH_DOWN);
	assert_int_equal(w->sent[w->nsent - 1].id, 42);
}

static void
counts(struct su_world *w, struct proc *p, uint64_t n)
{
	struct msg m;

	msg_init(&m, M_CFG_STAT);
	m.u.cfg_stat.counts.handshakes = n;
	m.u.cfg_stat.counts.behind = n + 1;
	m.u.cfg_stat.conns = (uint32_t)n;
	super_msg(w->super, p, &m);
}

/* What each has counted last, of this instance alone. */
static void
test_counters(void **state)
{
	struct su_world *w = su_serving(state);
	unsigned int mark = w->nsent, i;
	struct msg m;

	counts(w, w->keyd, 10);
	counts(w, w->dbd, 20);
	counts(w, w->worker[1], 30);
	counts(w, w->worker[1], UINT64_MAX - 1);
	counts(w, w->worker[3], 40);
	su_died(w, w->worker[3]);
	msg_init(&m, M_CFG_CTL_STATUS);
	super_msg(w->super, w->dbd, &m);
	for (i = 0; i < WORKERS + 3; i++)
		assert_int_equal(w->sent[mark + i].type, M_CFG_CTL_ROW);
	assert_int_equal(w->sent[mark].counts.handshakes, 0);	/* master */
	assert_int_equal(w->sent[mark + 1].counts.handshakes, 10);
	assert_int_equal(w->sent[mark + 1].counts.behind, 11);
	assert_int_equal(w->sent[mark + 2].counts.handshakes, 20);
	assert_true(w->sent[mark + 3].counts.handshakes == UINT64_MAX - 1);
	assert_true(w->sent[mark + 3].counts.behind == UINT64_MAX);
	assert_int_equal(w->sent[mark + 3].conns, UINT32_MAX - 1);
	assert_int_equal(w->sent[mark + 4].counts.handshakes, 0);
	assert_int_equal(w->sent[mark + 5].counts.handshakes, 0);
	assert_int_equal(w->sent[mark + 5].counts.behind, 0);
	assert_int_equal(w->sent[mark + 5].conns, 0);
	/* keyd is not one whose slot others stand in for. */
	msg_init(&m, M_CFG_STAT);
	m.u.cfg_stat.paused = true;
	super_msg(w->super, w->keyd, &m);
	mark = w->nsent;
	su_advance(w, 2000);
	assert_int_equal(su_count(w, mark, NULL, M_CFG_SLOT), 2);
	assert_int_equal(su_last(w, w->worker[1], M_CFG_SLOT)->value, 3);
}

static void
test_verbose(void **state)
{
	struct su_world *w = su_serving(state);
	unsigned int mark = w->nsent;

	su_died(w, w->worker[1]);
	super_verbose(w->super, 1);
	assert_int_equal(su_count(w, mark, NULL, M_CFG_VERBOSE), WORKERS + 1);
}

#define T(f)	cmocka_unit_test_setup_teardown(f, su_setup, su_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_barrier), T(test_barrier_death), T(test_links),
		T(test_order), T(test_generations), T(test_restart_ready),
		T(test_backoff), T(test_first_start_fails),
		T(test_first_start_refused), T(test_spawn_fails),
		T(test_slow_start), T(test_relink), T(test_blame),
		T(test_link_down), T(test_slots), T(test_stop),
		T(test_stop_slow), T(test_status), T(test_counters),
		T(test_verbose)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
