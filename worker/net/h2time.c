/* HTTP/2: what waits too long for a client, idle sessions, their end. */

#include "common/compat/compat.h"
#include "common/log.h"
#include "worker/net/h2_int.h"

/*
 * Whoever is known by a session has its own times; all others have what they
 * have with HTTP/1.1.
 */
static uint64_t
idle_us(const struct conn *c)
{
	const struct net_conf *conf = &c->net->conf;

	return (c->confirmed ? conf->idle_s : conf->handshake_s) * US_PER_S;
}

uint64_t
h2_ask_us(const struct conn *c)
{
	const struct net_conf *conf = &c->net->conf;

	return (c->confirmed ? conf->stall_s : conf->handshake_s) * US_PER_S;
}

void
h2_last_req(struct conn *c)
{
	struct h2 *h = c->h2;

	h->still = false;
	h->idle_since = env_now(c->net->env);
	conn_due(c, h->idle_since + idle_us(c));
	if (h->goodbye == H2_FINAL)
		conn_kick(c);
}

void
h2_start(struct conn *c)
{
	uint64_t now = env_now(c->net->env);

	c->h2->idle_since = now;
	timer_at(&c->timer, now + idle_us(c));
	if (c->net->ending)
		h2_shutdown(c);
}

static void
stall(struct req *r, uint64_t now)
{
	conn_log(r->conn, "http/2", "stream without progress");
	r->conn->net->count.stalled++;
	r->ended = r->aborted = true;
	r->progress = now;
	req_forget(r);
	h2_abort(r);
	req_event(r, REQ_E_GONE);
}

void
h2_give_up(struct conn *c)
{
	uint64_t now = env_now(c->net->env);
	struct req *r;

	TAILQ_FOREACH(r, &c->reqs, entry)
		if (!r->complete && !r->ended)
			stall(r, now);
	conn_due(c, now + c->net->conf.stall_s * US_PER_S);
	conn_kick(c);
}

/*
 * Ends what waits too long for the client: to ask, to take what is queued, or
 * to take our RST_STREAM.  When to look again; 0: the connection is stuck.
 */
static uint64_t
check_request(struct req *r, uint64_t now)
{
	uint64_t stall_us = r->conn->net->conf.stall_s * US_PER_S;
	uint64_t may_us = r->complete || r->ended ? stall_us :
	    h2_ask_us(r->conn);

	if (r->complete && r->queue.octets == 0 && !r->aborted)
		return ENV_NEVER;
	/* We do not read what it sends. */
	if (!r->complete && !r->ended && r->conn->room != ROOM_FREE)
		return now + stall_us;
	if (now < r->progress + may_us)
		return r->progress + may_us;
	if (r->aborted)
		return 0;
	stall(r, now);
	return now + stall_us;
}

static uint64_t
check_requests(struct conn *c, uint64_t now)
{
	uint64_t due, next = ENV_NEVER;
	struct req *r;

	for (r = TAILQ_FIRST(&c->reqs); r != NULL; r = TAILQ_NEXT(r, entry))
		if ((due = check_request(r, now)) < next)
			next = due;
	return next;
}

/* When a session without requests is to go on its way; now: it does. */
static uint64_t
check_idle(struct conn *c, uint64_t now)
{
	struct h2 *h = c->h2;
	uint64_t due;

	due = h->idle_since + idle_us(c);
	if (now < due)
		return due;
	c->net->count.idle++;
	conn_log(c, "http/2", "idle");
	h2_shutdown(c);
	return h->goodbye_at + H2_GOODBYE_US;
}

/* Likewise for one that said goodbye; 0: its last words are not taken. */
static uint64_t
check_goodbye(struct conn *c, uint64_t now)
{
	struct h2 *h = c->h2;
	uint64_t from, stall_us = c->net->conf.stall_s * US_PER_S;

	if (h->goodbye == H2_SAID) {
		if (now < h->goodbye_at + H2_GOODBYE_US)
			return h->goodbye_at + H2_GOODBYE_US;
		h2_say_final(c);
	}
	if (!TAILQ_EMPTY(&c->reqs))
		return ENV_NEVER;
	from = h->idle_since > h->goodbye_at ? h->idle_since : h->goodbye_at;
	return now < from + stall_us ? from + stall_us : 0;
}

void
h2_tick(struct conn *c)
{
	uint64_t now = env_now(c->net->env), next, other;

	next = check_requests(c, now);
	if (c->h2->goodbye != H2_STAYS)
		other = check_goodbye(c, now);
	else
		other = TAILQ_EMPTY(&c->reqs) ? check_idle(c, now) : ENV_NEVER;
	if (other < next)
		next = other;
	if (next == 0) {
		conn_fail(c, &c->net->count.stalled, "takes nothing");
		return;
	}
	if (next != ENV_NEVER)
		conn_due(c, next);
	conn_kick(c);
}
