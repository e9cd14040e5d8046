/*
 * Overload is answered, not suffered (state.md 10, protocol.md 3.18): clients
 * that understand it are told when to come back, each at a time of its own;
 * requests of older ones are held open, well below their watchdog of 120 s.
 * Registers, /key and /ts2021 are never refused for load.
 */

#include <stdlib.h>

#include "common/log.h"
#include "worker/control/control_int.h"

#define HOLD_US		(110 * US_PER_S)
#define TICK_US		(250 * US_PER_MS)
#define RETRY_MAX_S	300
#define JOIN_US		1500	/* what one admitted stream costs us */

static uint64_t
backlog(const struct control *c)
{
	return tailnets_backlog(c->tailnets) + tasks_backlog(c);
}

static bool
overloaded(const struct control *c)
{
	return backlog(c) > (uint64_t)c->overload_ms * US_PER_MS;
}

/* Others wait for it: routers and exit nodes come first (state.md 10). */
static bool
is_router(const struct mapreq *q)
{
	return q->hostinfo.routes.count != 0;
}

int
overload_verdict(struct control *c, const struct mapreq *q)
{
	uint64_t now, first;
	uint64_t s;

	if (!overloaded(c) && !tasks_full(c))
		return 0;
	now = env_now(c->env);
	first = now + backlog(c);
	if (is_router(q) && !tasks_full(c) &&
	    backlog(c) <= 2 * (uint64_t)c->overload_ms * US_PER_MS)
		return 0;
	if (q->version < CAPVER_RETRY_AFTER)
		return -1;
	/*
	 * The client adds no jitter (trap 74): slots follow one another at
	 * the rate at which we can serve, after what already waits.
	 */
	if (c->defer_at < first)
		c->defer_at = first;
	c->defer_at += JOIN_US;
	s = ((is_router(q) ? first : c->defer_at) - now) / US_PER_S + 1;
	s += env_uniform(c->env, (uint32_t)(s < RETRY_MAX_S ? 2 + s / 4 : 1));
	if (s > RETRY_MAX_S) {
		/* all slots are taken: once more from the first */
		c->defer_at = first;
		s = 1 + env_uniform(c->env, RETRY_MAX_S);
	}
	return (int)s;
}

void
overload_hold(struct control *c, struct req *r, const struct mapreq *q)
{
	struct held *h;

	h = xcalloc(1, sizeof(*h));
	h->tag = TAG_HELD;
	h->control = c;
	h->req = r;
	h->since = env_now(c->env);
	h->is_reg = q == NULL;
	req_set_tag(r, h);
	if (q != NULL && is_router(q))
		TAILQ_INSERT_HEAD(&c->held, h, entry);
	else
		TAILQ_INSERT_TAIL(q == NULL ? &c->held_regs : &c->held, h,
		    entry);
	if (!timer_pending(&c->held_timer))
		timer_in(&c->held_timer, TICK_US);
}

void
overload_gone(struct control *c, struct held *h)
{
	TAILQ_REMOVE(h->is_reg ? &c->held_regs : &c->held, h, entry);
	free(h);
}

/* It waits no more. */
static struct req *
release(struct control *c, struct held *h)
{
	struct req *r = h->req;

	overload_gone(c, h);
	req_set_tag(r, NULL);
	return r;
}

static void
release_map(struct control *c, struct req *r)
{
	struct mapreq q;
	const char *why;

	/* it parsed when it came */
	if (mapreq_parse(&q, req_body(r), &why) == -1)
		reply_text(r, 400, "%s", why);
	else
		map_admit(c, r, &q);
	mapreq_free(&q);
}

void
overload_tick(void *arg)
{
	struct control *c = arg;
	struct held *h, *next;
	uint64_t now = env_now(c->env);

	while ((h = TAILQ_FIRST(&c->held_regs)) != NULL && !tasks_full(c))
		register_admit(c, release(c, h));
	/* a client that waits longer gives up */
	for (h = TAILQ_FIRST(&c->held); h != NULL; h = next) {
		next = TAILQ_NEXT(h, entry);
		if (now - h->since >= HOLD_US)
			release_map(c, release(c, h));
	}
	while ((h = TAILQ_FIRST(&c->held)) != NULL && !overloaded(c) &&
	    !tasks_full(c))
		release_map(c, release(c, h));
	if (!TAILQ_EMPTY(&c->held) || !TAILQ_EMPTY(&c->held_regs))
		timer_in(&c->held_timer, TICK_US);
}
