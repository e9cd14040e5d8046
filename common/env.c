#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/env.h"
#include "common/log.h"
#include "common/str.h"

/* A binary heap ordered by (at, seq): equal times run in the order set. */
struct env {
	const struct env_ops	*ops;
	void			*arg;
	struct timer		**heap;
	size_t			 n;
	size_t			 cap;
	uint64_t		 seq;
	uint64_t		 run_at;	/* now of the run; 0: none */
	bool			 running;
	bool			 ended;
};

static uint64_t
clock_us(clockid_t id)
{
	struct timespec ts;

	if (clock_gettime(id, &ts) == -1)
		fatal("clock_gettime");
	return (uint64_t)ts.tv_sec * US_PER_S + (uint64_t)ts.tv_nsec / 1000;
}

uint64_t
env_real_now(void *arg)
{
	(void)arg;
	return clock_us(CLOCK_MONOTONIC);
}

int64_t
env_real_wall(void *arg)
{
	(void)arg;
	return (int64_t)clock_us(CLOCK_REALTIME);
}

struct env *
env_new(const struct env_ops *ops, void *arg)
{
	struct env *env;

	env = xcalloc(1, sizeof(*env));
	env->ops = ops;
	env->arg = arg;
	return env;
}

void
env_free(struct env *env)
{
	if (env == NULL)
		return;
	if (env->n != 0)
		fatalx("env_free: timers are pending");
	free(env->heap);
	free(env);
}

uint64_t
env_now(struct env *env)
{
	return env->ops->now(env->arg);
}

int64_t
env_wall(struct env *env)
{
	int64_t us;

	us = env->ops->wall(env->arg);
	if (us < 0)
		return -((-us + (int64_t)US_PER_S - 1) / (int64_t)US_PER_S);
	return us / (int64_t)US_PER_S;
}

void
env_random(struct env *env, void *p, size_t n)
{
	env->ops->random(env->arg, p, n);
}

uint32_t
env_uniform(struct env *env, uint32_t n)
{
	uint32_t v, least;

	if (n < 2)
		return 0;
	least = -n % n;		/* 2^32 mod n: below it the draw is biased */
	do {
		env_random(env, &v, sizeof(v));
	} while (v < least);
	return v % n;
}

void
env_end(struct env *env, int code, const char *why)
{
	env->ended = true;
	env->ops->end(env->arg, code, why);
}

bool
env_ended(const struct env *env)
{
	return env->ended;
}

static bool
before(const struct timer *a, const struct timer *b)
{
	if (a->at != b->at)
		return a->at < b->at;
	return a->seq < b->seq;
}

static void
place(struct env *env, size_t i, struct timer *t)
{
	env->heap[i] = t;
	t->slot = i + 1;
}

static void
sift_up(struct env *env, size_t i, struct timer *t)
{
	size_t up;

	while (i > 0) {
		up = (i - 1) / 2;
		if (!before(t, env->heap[up]))
			break;
		place(env, i, env->heap[up]);
		i = up;
	}
	place(env, i, t);
}

static void
sift_down(struct env *env, size_t i, struct timer *t)
{
	size_t kid;

	while ((kid = 2 * i + 1) < env->n) {
		if (kid + 1 < env->n &&
		    before(env->heap[kid + 1], env->heap[kid]))
			kid++;
		if (!before(env->heap[kid], t))
			break;
		place(env, i, env->heap[kid]);
		i = kid;
	}
	place(env, i, t);
}

static void
settle(struct env *env, size_t i, struct timer *t)
{
	if (i > 0 && before(t, env->heap[(i - 1) / 2]))
		sift_up(env, i, t);
	else
		sift_down(env, i, t);
}

void
timer_init(struct timer *t, struct env *env, void (*fn)(void *), void *arg)
{
	memset(t, 0, sizeof(*t));
	t->env = env;
	t->fn = fn;
	t->arg = arg;
}

void
timer_at(struct timer *t, uint64_t at)
{
	struct env *env = t->env;

	/* Behind all that this run has still to do: see env_run(). */
	if (env->running && at < env->run_at)
		at = env->run_at;
	t->at = at;
	t->seq = env->seq++;
	if (t->slot != 0) {
		settle(env, t->slot - 1, t);
		return;
	}
	if (env->n == env->cap) {
		env->cap = env->cap == 0 ? 64 : env->cap * 2;
		env->heap = xrealloc(env->heap, env->cap,
		    sizeof(env->heap[0]));
	}
	sift_up(env, env->n++, t);
}

void
timer_in(struct timer *t, uint64_t after)
{
	uint64_t now = env_now(t->env);

	timer_at(t, after > ENV_NEVER - 1 - now ? ENV_NEVER - 1 : now + after);
}

void
timer_in_s(struct timer *t, unsigned int s)
{
	timer_at(t, (env_now(t->env) / US_PER_S + s) * US_PER_S);
}

void
timer_stop(struct timer *t)
{
	struct env *env = t->env;
	struct timer *last;
	size_t i;

	if (t->slot == 0)
		return;
	i = t->slot - 1;
	t->slot = 0;
	last = env->heap[--env->n];
	if (last != t)
		settle(env, i, last);
}

bool
timer_pending(const struct timer *t)
{
	return t->slot != 0;
}

uint64_t
env_next(const struct env *env)
{
	return env->n == 0 ? ENV_NEVER : env->heap[0]->at;
}

void
env_run(struct env *env)
{
	struct timer *t;
	uint64_t limit;

	if (env->running)
		fatalx("env_run called from a timer");
	env->running = true;
	env->run_at = env_now(env);
	limit = env->seq;
	while (env->n > 0 && !env->ended) {
		t = env->heap[0];
		if (t->at > env->run_at || t->seq >= limit)
			break;
		timer_stop(t);
		t->fn(t->arg);
	}
	env->running = false;
}

size_t
env_timers(const struct env *env)
{
	return env->n;
}
