/*
 * Keep-alives: one timer for all, which sleeps until the next slot in which
 * somebody is.
 */

#include "common/compat/compat.h"
#include "worker/relay/calls_int.h"

/* 60 to 65 seconds, in ticks: the part of one that has passed is lost. */
#define WAIT_MIN	241
#define WAIT_VARY	19

static struct rclients *
slot_of(struct relay *r, uint64_t tick)
{
	return &r->wheel[tick % WHEEL_SLOTS];
}

static void
arm(struct relay *r)
{
	uint64_t i;

	for (i = 1; i <= WHEEL_SLOTS; i++)
		if (!TAILQ_EMPTY(slot_of(r, r->tick + i))) {
			timer_at(&r->wheel_timer, (r->tick + i) * WHEEL_TICK);
			return;
		}
}

static void
on_wheel(void *arg)
{
	struct rclients due = TAILQ_HEAD_INITIALIZER(due);
	struct relay *r = arg;
	struct rclient *c;
	uint64_t now = env_now(r->env) / WHEEL_TICK, i, n;

	n = now - r->tick < WHEEL_SLOTS ? now - r->tick : WHEEL_SLOTS;
	for (i = 1; i <= n; i++)
		TAILQ_CONCAT(&due, slot_of(r, r->tick + i), wheel);
	r->tick = now;
	while ((c = TAILQ_FIRST(&due)) != NULL) {
		TAILQ_REMOVE(&due, c, wheel);
		wheel_add(c);
		peer_calm(c);
		c->keepalive_due = true;
		out_pending(c);
	}
	arm(r);
}

void
wheel_init(struct relay *r)
{
	size_t i;

	for (i = 0; i < WHEEL_SLOTS; i++)
		TAILQ_INIT(&r->wheel[i]);
	timer_init(&r->wheel_timer, r->env, on_wheel, r);
}

void
wheel_add(struct rclient *c)
{
	struct relay *r = c->relay;
	uint64_t now = env_now(r->env) / WHEEL_TICK, done = now, tick;

	/* It slept: the slots up to now, or to the first in use, are empty. */
	if (timer_pending(&r->wheel_timer) &&
	    r->wheel_timer.at / WHEEL_TICK <= now)
		done = r->wheel_timer.at / WHEEL_TICK - 1;
	if (r->tick < done)
		r->tick = done;
	tick = now + WAIT_MIN + env_uniform(r->env, WAIT_VARY);
	c->slot = (uint16_t)(tick % WHEEL_SLOTS);
	TAILQ_INSERT_TAIL(&r->wheel[c->slot], c, wheel);
	if (!timer_pending(&r->wheel_timer) ||
	    r->wheel_timer.at > tick * WHEEL_TICK)
		timer_at(&r->wheel_timer, tick * WHEEL_TICK);
}

void
wheel_del(struct rclient *c)
{
	TAILQ_REMOVE(&c->relay->wheel[c->slot], c, wheel);
}
