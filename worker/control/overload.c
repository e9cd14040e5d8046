/*
 * Overload is answered, not suffered (state.md 10, protocol.md 3.18): clients
 * that understand it are told when to come back, each at a time of its own;
 * requests of older ones are held open, well below their watchdog of 120 s,
 * as far as there is memory for it.  Registers wait, and when they have taken
 * what memory there is their connections do; /key and /ts2021 go on.
 */

#include <stdlib.h>

#include "common/log.h"
#include "worker/control/control_int.h"

#define HOLD_S		110
#define HOLD_US		(HOLD_S * US_PER_S)
#define TICK_US		(250 * US_PER_MS)
/*
 * Octets that held map requests may cost: in all, in one session, and of a
 * request beside its body.
 */
#define HELD_ALL	(48UL * 1024 * 1024)
#define HELD_SESSION	(2UL * 1024 * 1024)
#define HELD_COST	1024
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
is_router(const struct control *c, const struct mapreq *q)
{
	return tailnets_is_router(c->tailnets, q->node_key);
}

static void
begin(struct control *c)
{
	if (c->overload)
		return;
	c->overload = true;
	c->count.overloads++;
	c->before = c->count;
	log_info("overload begins backlog_ms=%llu requests=%u streams=%u",
	    (unsigned long long)(backlog(c) / US_PER_MS), c->ntasks,
	    c->nstreams);
	if (!timer_pending(&c->held_timer))
		timer_in(&c->held_timer, TICK_US);
}

/* Not at once below the bound: it would be over and over again. */
static void
end(struct control *c)
{
	unsigned int i;

	for (i = 0; i < HELD_KINDS; i++)
		if (!TAILQ_EMPTY(&c->held[i]))
			return;
	if (!c->overload || tasks_full(c) ||
	    backlog(c) > (uint64_t)c->overload_ms * US_PER_MS / 2)
		return;
	c->overload = false;
	log_info("overload ends refused=%llu held=%llu",
	    (unsigned long long)(c->count.refused - c->before.refused),
	    (unsigned long long)(c->count.held - c->before.held));
}

/*
 * The client adds no jitter (trap 74): slots follow one another at the rate
 * at which we can serve, after what already waits.
 */
static int
slot(struct control *c, bool router)
{
	uint64_t now = env_now(c->env), first = now + backlog(c), s;

	if (c->defer_at < first)
		c->defer_at = first;
	c->defer_at += JOIN_US;
	s = ((router ? first : c->defer_at) - now) / US_PER_S + 1;
	s += env_uniform(c->env, (uint32_t)(s < RETRY_MAX_S ? 2 + s / 4 : 1));
	if (s > RETRY_MAX_S) {
		/* all slots are taken: once more from the first */
		c->defer_at = first;
		s = 1 + env_uniform(c->env, RETRY_MAX_S);
	}
	return (int)s;
}

int
overload_verdict(struct control *c, const struct mapreq *q)
{
	bool router;

	if (!overloaded(c) && !tasks_full(c))
		return 0;
	begin(c);
	router = is_router(c, q);
	if (router && !tasks_full(c) &&
	    backlog(c) <= 2 * (uint64_t)c->overload_ms * US_PER_MS)
		return 0;
	if (q->version < CAPVER_RETRY_AFTER)
		return -1;
	return slot(c, router);
}

static void
hold(struct control *c, struct lane *l, struct req *r, struct held_list *list,
    size_t octets)
{
	struct held *h;

	h = xcalloc(1, sizeof(*h));
	h->tag = TAG_HELD;
	h->control = c;
	h->req = r;
	h->lane = l;
	h->list = list;
	h->octets = octets;
	h->since = env_now(c->env);
	TAILQ_INSERT_TAIL(list, h, entry);
	l->nheld++;
	l->held += octets;
	c->held_octets += octets;
	c->count.held++;
	req_set_tag(r, h);
}

void
overload_hold(struct control *c, struct req *r, const struct mapreq *q)
{
	size_t n = req_body(r).n + HELD_COST;
	struct lane *l = lane_of(c, r);

	begin(c);
	if (c->held_octets + n > HELD_ALL || l->held + n > HELD_SESSION) {
		lane_put(l);
		refuse_busy(c, r, q, slot(c, false));
		return;
	}
	hold(c, l, r, &c->held[is_router(c, q) ? HELD_ROUTER : HELD_MAP], n);
	/* its grace period does not run while we let it wait */
	map_defer(c, r, q, HOLD_S);
}

void
overload_hold_reg(struct control *c, struct req *r)
{
	begin(c);
	hold(c, lane_of(c, r), r, &c->held[HELD_REG], 0);
}

void
lane_hold_reg(struct control *c, struct lane *l, struct req *r)
{
	hold(c, l, r, &l->regs, 0);
}

void
overload_gone(struct control *c, struct held *h)
{
	TAILQ_REMOVE(h->list, h, entry);
	c->held_octets -= h->octets;
	h->lane->held -= h->octets;
	h->lane->nheld--;
	lane_put(h->lane);
	free(h);
}

struct req *
overload_release(struct control *c, struct held *h)
{
	struct req *r = h->req;

	overload_gone(c, h);
	req_set_tag(r, NULL);
	return r;
}

static void
release_map(struct control *c, struct held *h)
{
	struct req *r = overload_release(c, h);
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
	struct held *h;
	uint64_t now = env_now(c->env);
	unsigned int k;

	while ((h = TAILQ_FIRST(&c->held[HELD_REG])) != NULL &&
	    !tasks_full(c))
		register_go(c, overload_release(c, h));
	for (k = HELD_ROUTER; k <= HELD_MAP; k++) {
		/* a client that waits longer gives up */
		while ((h = TAILQ_FIRST(&c->held[k])) != NULL &&
		    now - h->since >= HOLD_US)
			release_map(c, h);
	}
	for (k = HELD_ROUTER; k <= HELD_MAP; k++)
		while ((h = TAILQ_FIRST(&c->held[k])) != NULL &&
		    !overloaded(c) && !tasks_full(c))
			release_map(c, h);
	end(c);
	if (c->overload)
		timer_in(&c->held_timer, TICK_US);
}
