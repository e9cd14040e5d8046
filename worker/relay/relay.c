/* All clients of a worker: what they share, and their end. */

#include <stdlib.h>
#include <string.h>

#include "common/compat/compat.h"
#include "common/secret.h"
#include "worker/relay/calls_int.h"

#define MEMORY		(128UL * 1024 * 1024)
#define END_TICK	(US_PER_S / 50)

static void
on_stall(void *arg)
{
	struct relay *r = arg;
	uint64_t now = env_now(r->env), most = r->conf.stall_ms * US_PER_MS;
	struct rclient *c;

	/* It was us who stood still. */
	if (now - r->stall_due > LATE_US)
		TAILQ_FOREACH(c, &r->stall, stall)
			c->asked = now;
	while ((c = TAILQ_FIRST(&r->stall)) != NULL) {
		if (now - c->asked < most) {
			stall_at(r, c->asked + most);
			return;
		}
		r->count.stalled++;
		client_end(c, "its writer stalls");
	}
}

/* How many should still be there, if they go evenly. */
static uint32_t
due_left(const struct relay *r, uint64_t now)
{
	uint64_t whole = r->end_at - r->end_from;

	if (now >= r->end_at)
		return 0;
	return (uint32_t)(r->end_n * (r->end_at - now) / whole);
}

static void
on_end(void *arg)
{
	struct relay *r = arg;
	uint32_t left = due_left(r, env_now(r->env));
	struct rclient *c;

	while (r->count.clients > left &&
	    (c = TAILQ_FIRST(&r->clients)) != NULL)
		client_end(c, "shutting down");
	if (r->count.clients != 0)
		timer_in(&r->end_timer, END_TICK);
}

static void
on_ask(void *arg)
{
	logins_ask(arg);
}

static void
set_conf(struct relay *r, const struct relay_conf *conf)
{
	r->conf = *conf;
	/* Below it the largest frame would wait for ever (derp.md 4.8). */
	if (r->conf.burst < DERP_FRAME_MAX)
		r->conf.burst = DERP_FRAME_MAX;
	r->pool.max = conf->memory != 0 ? conf->memory : MEMORY;
}

struct relay *
relay_new(struct env *env, uint16_t slot, const struct relay_conf *conf,
    const struct relay_ops *ops)
{
	struct relay *r;

	r = xcalloc(1, sizeof(*r));
	r->env = env;
	r->slot = slot;
	r->ops = *ops;
	set_conf(r, conf);
	env_random(env, r->seed, sizeof(r->seed));
	LIST_INIT(&r->all);
	TAILQ_INIT(&r->infos);
	TAILQ_INIT(&r->logins);
	TAILQ_INIT(&r->refusals);
	TAILQ_INIT(&r->clients);
	TAILQ_INIT(&r->others);
	TAILQ_INIT(&r->stall);
	wheel_init(r);
	timer_init(&r->stall_timer, env, on_stall, r);
	timer_init(&r->end_timer, env, on_end, r);
	timer_init(&r->ask_timer, env, on_ask, r);
	return r;
}

static void
no_kick(struct rclient *c, void *arg)
{
	(void)c;
	(void)arg;
}

void
relay_free(struct relay *r)
{
	struct rclient *c;
	struct peer *k;

	if (r == NULL)
		return;
	r->ops.kick = no_kick;
	r->key = r->db = NULL;
	while ((c = TAILQ_FIRST(&r->clients)) != NULL)
		relay_client_gone(c);
	while ((c = TAILQ_FIRST(&r->others)) != NULL)
		relay_client_gone(c);
	while ((k = LIST_FIRST(&r->all)) != NULL)
		peer_free(r, k);
	timer_stop(&r->wheel_timer);
	timer_stop(&r->stall_timer);
	timer_stop(&r->end_timer);
	timer_stop(&r->ask_timer);
	ptab_free(&r->peers);
	ptab_free(&r->serials);
	ptab_free(&r->seens);
	sources_free(r);
	pool_end(&r->pool);
	free(r->mesh);
	wipe(r, sizeof(*r));
	free(r);
}

void
relay_reconf(struct relay *r, const struct relay_conf *conf)
{
	struct rclient *c;

	set_conf(r, conf);
	TAILQ_FOREACH(c, &r->clients, entry)
		limit_reset(c);
	/* A shorter stall_ms holds from now on, not when the old one ends. */
	timer_stop(&r->stall_timer);
	if (!TAILQ_EMPTY(&r->stall))
		stall_at(r, env_now(r->env));
}

bool
relay_is_ready(const struct relay *r)
{
	return r->has_key && !r->ending;
}

const uint8_t *
relay_key(const struct relay *r)
{
	return r->public;
}

const struct relay_counters *
relay_counters(const struct relay *r)
{
	return &r->count;
}

void
relay_shutdown(struct relay *r, uint32_t spread_ms)
{
	struct login *g;

	r->ending = true;
	while ((g = TAILQ_FIRST(&r->infos)) != NULL ||
	    (g = TAILQ_FIRST(&r->logins)) != NULL)
		login_refuse(g->c, "shutting down");
	r->end_from = env_now(r->env);
	r->end_at = r->end_from + spread_ms * US_PER_MS;
	r->end_n = r->count.clients;
	on_end(r);
}

void
relay_resume(struct relay *r)
{
	r->ending = false;
	timer_stop(&r->end_timer);
}
