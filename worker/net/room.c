/*
 * Memory for what is asked.  A connection has some of its own, enough for what
 * clients ask; what is beyond that is one amount for all of a worker.  When
 * that is used up whoever wants more of it is not read from, in the order in
 * which they came, until there is room: nothing is refused.
 */

#include <stdlib.h>

#include "common/compat/compat.h"
#include "common/log.h"
#include "worker/net/layers_int.h"

#define REQ_COST	1024	/* of a request beside its octets */
#define OWN_REQS	4	/* requests that fit into a connection's own */
#define ALL_BODIES	64	/* largest bodies that fit into that for all */
#define PATIENCE_US	(10 * US_PER_S)
#define SAY_US		(60 * US_PER_S)

/* A connection's own. */
static size_t
own(const struct net *net)
{
	return net->conf.header_max + OWN_REQS * REQ_COST;
}

/* What one connection may hold altogether. */
static size_t
most(const struct net *net)
{
	return 2 * ((size_t)net->conf.body_max + net->conf.header_max);
}

static bool
is_full(const struct net *net)
{
	return net->shared >= ALL_BODIES * (size_t)net->conf.body_max;
}

static void
account(struct conn *c)
{
	struct net *net = c->net;
	size_t max = own(net), n = c->held > max ? c->held - max : 0;

	net->shared = net->shared - c->shared + n;
	c->shared = n;
}

/* Not at once: we may be in the middle of a library's call. */
static void
wake(struct net *net)
{
	if (!timer_pending(&net->room))
		timer_in(&net->room, 0);
}

void
room_take(struct req *r, size_t n)
{
	r->held += n;
	r->conn->held += n;
	account(r->conn);
}

void
room_begin(struct req *r)
{
	room_take(r, REQ_COST);
}

void
room_whole(struct req *r)
{
	r->complete = true;
	r->conn->whole += r->held;
}

/* The one that could go on beyond the bound needs that no more. */
static void
pass_on(struct net *net)
{
	net->first = NULL;
	timer_stop(&net->patience);
	wake(net);
}

static bool
may_resume(const struct conn *c)
{
	switch (c->room) {
	case ROOM_OWN:
		return c->whole == 0 || c->held <= most(c->net);
	case ROOM_DRAIN:
		return c->whole == 0 || c->held <= own(c->net);
	case ROOM_LINE:
		return c->held <= own(c->net);
	default:
		return false;
	}
}

void
room_give(struct req *r)
{
	struct conn *c = r->conn;
	struct net *net = c->net;

	c->held -= r->held;
	if (r->complete)
		c->whole -= r->held;
	r->held = 0;
	account(c);
	if (may_resume(c)) {
		if (c->room == ROOM_LINE)
			TAILQ_REMOVE(&net->line, c, wait);
		c->room = ROOM_SOON;
		TAILQ_INSERT_TAIL(&net->soon, c, wait);
		wake(net);
	}
	if (net->first == c && c->held <= own(net))
		pass_on(net);
	if (!TAILQ_EMPTY(&net->line) && !is_full(net))
		wake(net);
}

bool
room_is_spent(const struct conn *c, size_t n)
{
	return c->whole == 0 && c->held + n > most(c->net);
}

static void
say(struct net *net)
{
	uint64_t now = env_now(net->env);

	if (net->said_at != 0 && now < net->said_at + SAY_US)
		return;
	net->said_at = now;
	log_info("requests wait for room octets=%zu", net->shared);
}

bool
room_check(struct conn *c)
{
	struct net *net = c->net;

	if (c->room != ROOM_FREE)
		return false;
	if (c->held > most(net) && c->whole != 0)
		c->room = ROOM_OWN;
	else if (c->held > own(net) && is_full(net) && net->first != c) {
		c->room = ROOM_LINE;
		TAILQ_INSERT_TAIL(&net->line, c, wait);
		if (net->first == NULL)
			wake(net);
		say(net);
	} else
		return true;
	c->stopped = env_now(net->env);
	net->count.stopped++;
	conn_log(c, "connection", "waits for room");
	return false;
}

/* The time to send a body does not run while we do not read it. */
static void
put_off(struct conn *c)
{
	uint64_t waited = env_now(c->net->env) - c->stopped;
	struct req *r;

	TAILQ_FOREACH(r, &c->reqs, entry)
		if (!r->complete && !r->ended)
			r->progress += waited;
}

static void
resume(struct conn *c)
{
	c->room = ROOM_FREE;
	put_off(c);
	if (conn_is_h2(c) && h2_go_on(c) == -1)
		conn_fail(c, &c->net->count.h2_bad, "http/2 broken");
	conn_process(c);
	conn_kick(c);
}

/*
 * Whoever has room now goes on.  If all is taken the first in line may take
 * more than that all the same: else it might be taken by requests of which
 * none can be finished.
 */
static void
on_room(void *arg)
{
	struct net *net = arg;
	struct conn *c;

	while ((c = TAILQ_FIRST(&net->soon)) != NULL) {
		TAILQ_REMOVE(&net->soon, c, wait);
		resume(c);
	}
	while ((c = TAILQ_FIRST(&net->line)) != NULL) {
		if (is_full(net)) {
			if (net->first != NULL)
				break;
			net->first = c;
			timer_in(&net->patience, PATIENCE_US);
		}
		TAILQ_REMOVE(&net->line, c, wait);
		resume(c);
	}
	net_settle(net);
}

/*
 * It had its time, and others wait: what it has not sent by now is not waited
 * for, and it is read on when what it did send is answered.
 */
static void
on_patience(void *arg)
{
	struct net *net = arg;
	struct conn *c = net->first;

	if (TAILQ_EMPTY(&net->line)) {
		pass_on(net);
		return;
	}
	if (conn_is_h2(c))
		h2_give_up(c);
	else
		conn_fail(c, &net->count.late, "no request in time");
	if (net->first == c && c->room == ROOM_FREE)
		c->stopped = env_now(net->env);
	if (net->first == c && c->room != ROOM_SOON)
		c->room = ROOM_DRAIN;
	net_settle(net);
	/* It may be about to be read on, and then has to be stopped again. */
	if (net->first != NULL && !timer_pending(&net->patience))
		timer_in(&net->patience, PATIENCE_US);
}

void
room_leave(struct conn *c)
{
	if (c->room == ROOM_LINE)
		TAILQ_REMOVE(&c->net->line, c, wait);
	else if (c->room == ROOM_SOON)
		TAILQ_REMOVE(&c->net->soon, c, wait);
	c->room = ROOM_FREE;
	if (c->net->first == c)
		pass_on(c->net);
}

void
room_init(struct net *net)
{
	TAILQ_INIT(&net->line);
	TAILQ_INIT(&net->soon);
	timer_init(&net->room, net->env, on_room, net);
	timer_init(&net->patience, net->env, on_patience, net);
}

void
room_end(struct net *net)
{
	timer_stop(&net->room);
	timer_stop(&net->patience);
}
