#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/env.h"

#define NTIMERS	500

struct world {
	uint64_t	 now;
	int64_t		 wall;
	uint32_t	 draw[4];
	unsigned int	 ndraw;
	unsigned int	 ends;
	int		 code;
};

static uint64_t
w_now(void *arg)
{
	return ((struct world *)arg)->now;
}

static int64_t
w_wall(void *arg)
{
	return ((struct world *)arg)->wall;
}

static void
w_random(void *arg, void *p, size_t n)
{
	struct world *w = arg;

	assert_int_equal(n, 4);
	memcpy(p, &w->draw[w->ndraw++ % 4], 4);
}

static void
w_end(void *arg, int code, const char *why)
{
	struct world *w = arg;

	assert_non_null(why);
	w->ends++;
	w->code = code;
}

static const struct env_ops ops = { w_now, w_wall, w_random, w_end };

/* A timer that writes down that it ran. */
struct probe {
	struct timer	 t;
	struct probe	**order;
	size_t		*n;
	unsigned int	 runs;
	uint64_t	 again;		/* set itself for this long after */
	struct probe	*stop;		/* stops that one */
	struct probe	*set;		/* sets that one to set_at */
	uint64_t	 set_at;
	int		 end;
};

static void
ran(void *arg)
{
	struct probe *p = arg;

	assert_false(timer_pending(&p->t));
	if (p->order != NULL)
		p->order[(*p->n)++] = p;
	p->runs++;
	if (p->stop != NULL)
		timer_stop(&p->stop->t);
	if (p->set != NULL)
		timer_at(&p->set->t, p->set_at);
	if (p->again != UINT64_MAX)
		timer_in(&p->t, p->again);
	if (p->end != 0)
		env_end(p->t.env, p->end, "told to");
}

static void
probe_init(struct probe *p, struct env *env)
{
	memset(p, 0, sizeof(*p));
	p->again = UINT64_MAX;
	timer_init(&p->t, env, ran, p);
}

static void
one_shot(void **state)
{
	struct world w = { .now = 1000 };
	struct env *env = env_new(&ops, &w);
	struct probe p;

	(void)state;
	probe_init(&p, env);
	assert_false(timer_pending(&p.t));
	assert_true(env_next(env) == ENV_NEVER);
	timer_stop(&p.t);
	timer_in(&p.t, 500);
	assert_true(timer_pending(&p.t));
	assert_true(env_next(env) == 1500);
	assert_int_equal(env_timers(env), 1);
	w.now = 1499;
	env_run(env);
	assert_int_equal(p.runs, 0);
	w.now = 1500;
	env_run(env);
	env_run(env);
	assert_int_equal(p.runs, 1);
	assert_false(timer_pending(&p.t));
	assert_int_equal(env_timers(env), 0);
	timer_at(&p.t, 10);		/* in the past: now */
	env_run(env);
	assert_int_equal(p.runs, 2);
	timer_in(&p.t, ENV_NEVER);
	assert_true(env_next(env) < ENV_NEVER);
	timer_at(&p.t, 2000);		/* moved */
	assert_true(env_next(env) == 2000);
	timer_in_s(&p.t, 1);		/* whole ones */
	assert_true(env_next(env) == 1000000);
	w.now = 3999999;
	timer_in_s(&p.t, 2);
	assert_true(env_next(env) == 5000000);
	w.now = 4000000;
	timer_in_s(&p.t, 2);
	assert_true(env_next(env) == 6000000);
	timer_stop(&p.t);
	env_free(env);
}

/* All runs in order of time, equal times in the order set. */
static void
in_order(void **state)
{
	struct world w = { .now = 0 };
	struct env *env = env_new(&ops, &w);
	static struct probe p[NTIMERS], *order[NTIMERS];
	unsigned int seed = 7, i, live = 0;
	size_t n = 0;

	(void)state;
	for (i = 0; i < NTIMERS; i++) {
		probe_init(&p[i], env);
		p[i].order = order;
		p[i].n = &n;
		seed = seed * 1103515245 + 12345;
		timer_at(&p[i].t, seed >> 16 & 63);
	}
	for (i = 0; i < NTIMERS; i += 3)
		timer_stop(&p[i].t);
	for (i = 0; i < NTIMERS; i += 5) {	/* some move, some return */
		seed = seed * 1103515245 + 12345;
		timer_at(&p[i].t, seed >> 16 & 63);
	}
	for (i = 0; i < NTIMERS; i++)
		live += timer_pending(&p[i].t);
	assert_int_equal(env_timers(env), live);
	for (w.now = 0; w.now < 64; w.now += 9)
		env_run(env);
	env_run(env);
	assert_int_equal(n, live);
	for (i = 1; i < n; i++) {
		assert_true(order[i - 1]->t.at <= order[i]->t.at);
		if (order[i - 1]->t.at == order[i]->t.at)
			assert_true(order[i - 1]->t.seq < order[i]->t.seq);
	}
	env_free(env);
}

/* What a run sets for now, or for the past, belongs to the next run. */
static void
not_for_now(void **state)
{
	struct world w = { .now = 100 };
	struct env *env = env_new(&ops, &w);
	struct probe a, b, c;

	(void)state;
	probe_init(&a, env);
	probe_init(&b, env);
	probe_init(&c, env);
	a.again = 0;
	a.set = &b;
	a.set_at = 1;
	timer_at(&a.t, 50);
	timer_at(&c.t, 60);
	env_run(env);
	assert_int_equal(a.runs, 1);
	assert_int_equal(b.runs, 0);
	assert_int_equal(c.runs, 1);	/* not held up by them */
	assert_true(env_next(env) <= 100);
	a.again = UINT64_MAX;
	a.set = NULL;
	env_run(env);
	assert_int_equal(a.runs, 2);
	assert_int_equal(b.runs, 1);
	env_free(env);
}

/* A timer that was due but is stopped, or moved on, by an earlier one. */
static void
stopped_in_run(void **state)
{
	struct world w = { .now = 100 };
	struct env *env = env_new(&ops, &w);
	struct probe a, b, c;

	(void)state;
	probe_init(&a, env);
	probe_init(&b, env);
	probe_init(&c, env);
	timer_at(&a.t, 1);
	timer_at(&b.t, 2);
	timer_at(&c.t, 3);
	a.stop = &b;
	a.set = &c;
	a.set_at = 200;
	env_run(env);
	assert_int_equal(b.runs, 0);
	assert_int_equal(c.runs, 0);
	assert_true(env_next(env) == 200);
	w.now = 200;
	env_run(env);
	assert_int_equal(c.runs, 1);
	env_free(env);
}

static void
ends(void **state)
{
	struct world w = { .now = 100 };
	struct env *env = env_new(&ops, &w);
	struct probe a, b;

	(void)state;
	probe_init(&a, env);
	probe_init(&b, env);
	a.end = 3;
	timer_at(&a.t, 1);
	timer_at(&b.t, 2);
	assert_false(env_ended(env));
	env_run(env);
	assert_true(env_ended(env));
	assert_int_equal(w.ends, 1);
	assert_int_equal(w.code, 3);
	assert_int_equal(b.runs, 0);	/* nothing runs after the end */
	timer_stop(&b.t);
	env_free(env);
}

static void
world(void **state)
{
	struct world w = { .now = 5 };
	struct env *env = env_new(&ops, &w);

	(void)state;
	w.wall = 1785924000999999LL;
	assert_true(env_wall(env) == 1785924000);
	w.wall = -1;
	assert_true(env_wall(env) == -1);
	w.wall = -1000000;
	assert_true(env_wall(env) == -1);
	w.wall = 0;
	assert_true(env_wall(env) == 0);
	assert_true(env_now(env) == 5);
	env_free(env);
	env_free(NULL);
}

/* Draws below 2^32 mod n are thrown away, so that no value is favoured. */
static void
uniform(void **state)
{
	struct world w = { .draw = { 0, 3, 4, 1000 } };
	struct env *env = env_new(&ops, &w);

	(void)state;
	assert_int_equal(env_uniform(env, 1), 0);
	assert_int_equal(w.ndraw, 0);
	/* 2^32 mod 6 is 4 */
	assert_int_equal(env_uniform(env, 6), 4);
	assert_int_equal(w.ndraw, 3);
	assert_int_equal(env_uniform(env, 6), 1000 % 6);
	/* a power of two takes any draw */
	assert_int_equal(env_uniform(env, 8), 0);
	assert_int_equal(w.ndraw, 5);
	env_free(env);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_shot),
		cmocka_unit_test(in_order),
		cmocka_unit_test(not_for_now),
		cmocka_unit_test(stopped_in_run),
		cmocka_unit_test(ends),
		cmocka_unit_test(world),
		cmocka_unit_test(uniform),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
