/*
 * What waits for a client's writer: control frames, then packets of two
 * queues, whose oldest make room for the newest (derp.md 4.2).
 */

#include <string.h>

#include "common/compat/compat.h"
#include "worker/relay/calls_int.h"

#define GONE_LEN	(DERP_KEY + 1)

static void
queue_init(struct queue *q)
{
	q->first = NULL;
	q->last = &q->first;
	q->n = q->octets = 0;
}

static struct pkt *
queue_take(struct queue *q)
{
	struct pkt *p;

	if ((p = q->first) == NULL)
		return NULL;
	if ((q->first = p->next) == NULL)
		q->last = &q->first;
	q->n--;
	q->octets -= p->n;
	return p;
}

static void
queue_put(struct queue *q, struct pkt *p)
{
	p->next = NULL;
	*q->last = p;
	q->last = &p->next;
	q->n++;
	q->octets += p->n;
}

static void
put_frame(struct rclient *c, enum derp_type type, const void *p, size_t n)
{
	uint8_t *to;

	to = buf_room(&c->ctl, DERP_HEAD + n);
	derp_head(to, type, (uint32_t)n);
	if (n != 0)
		memcpy(to + DERP_HEAD, p, n);
	c->ctl.n += DERP_HEAD + n;
}

void
stall_at(struct relay *r, uint64_t at)
{
	uint64_t soon = env_now(r->env) + LATE_US;

	/* Often enough that it sees when the process stood still. */
	if (at > soon)
		at = soon;
	r->stall_due = at;
	timer_at(&r->stall_timer, at);
}

/* The writer has a while from now on, or from when it last took something. */
static void
enlist(struct rclient *c)
{
	struct relay *r = c->relay;

	c->pending = true;
	c->asked = env_now(r->env);
	TAILQ_INSERT_TAIL(&r->stall, c, stall);
	if (!timer_pending(&r->stall_timer))
		stall_at(r, c->asked + r->conf.stall_ms * US_PER_MS);
}

void
out_init(struct rclient *c)
{
	uint8_t b[DERP_MAGIC_LEN + DERP_KEY];

	queue_init(&c->disco);
	queue_init(&c->data);
	memcpy(b, DERP_MAGIC, DERP_MAGIC_LEN);
	memcpy(b + DERP_MAGIC_LEN, c->relay->public, DERP_KEY);
	put_frame(c, DERP_SERVER_KEY, b, sizeof(b));
	enlist(c);
}

void
out_pending(struct rclient *c)
{
	if (c->pending)
		return;
	enlist(c);
	client_kick(c);
}

void
out_packet(struct rclient *c, struct pkt *p)
{
	struct queue *q = p->disco ? &c->disco : &c->data;
	struct relay *r = c->relay;

	queue_put(q, p);
	while (q->n > QUEUE_PKTS || q->octets > QUEUE_OCTETS) {
		pkt_free(&r->pool, queue_take(q));
		r->count.dropped_head++;
	}
	out_pending(c);
}

void
out_frame(struct rclient *c, enum derp_type type, const void *p, size_t n)
{
	put_frame(c, type, p, n);
	out_pending(c);
}

void
out_gone(struct rclient *c, const uint8_t key[DERP_KEY], enum derp_gone why)
{
	const uint32_t n = DERP_HEAD + GONE_LEN;
	struct relay *r = c->relay;
	uint8_t b[GONE_LEN];

	if (c->charged >= NOTICES_MAX * n || !pool_charge(&r->pool, n)) {
		r->count.dropped_notices++;
		return;
	}
	c->charged += n;
	memcpy(b, key, DERP_KEY);
	b[DERP_KEY] = (uint8_t)why;
	out_frame(c, DERP_GONE, b, sizeof(b));
	if (why == DERP_NOT_HERE)
		r->count.gone_not_here++;
	else
		r->count.gone_disconnected++;
}

static void
ctl_end(struct rclient *c)
{
	buf_free(&c->ctl);
	c->ctl_at = 0;
	pool_refund(&c->relay->pool, c->charged);
	c->charged = 0;
}

static uint32_t
queue_drop(struct relay *r, struct queue *q)
{
	struct pkt *p;
	uint32_t n = 0;

	while ((p = queue_take(q)) != NULL) {
		pkt_free(&r->pool, p);
		n++;
	}
	return n;
}

void
out_free(struct rclient *c)
{
	struct relay *r = c->relay;

	r->count.dropped_gone += queue_drop(r, &c->disco);
	r->count.dropped_gone += queue_drop(r, &c->data);
	pkt_free(&r->pool, c->cur);
	c->cur = NULL;
	ctl_end(c);
	c->pong_due = c->keepalive_due = false;
	if (c->pending)
		TAILQ_REMOVE(&r->stall, c, stall);
	c->pending = false;
}

/* Disco goes first, but not for ever. */
static struct pkt *
next_packet(struct rclient *c)
{
	struct relay *r = c->relay;
	struct pkt *p;

	if (c->disco.n != 0 && (c->data.n == 0 || c->run < DISCO_RUN)) {
		p = queue_take(&c->disco);
		if (c->run < DISCO_RUN)
			c->run++;
	} else {
		p = queue_take(&c->data);
		c->run = 0;
	}
	if (p == NULL)
		return NULL;
	r->count.packets_out++;
	r->count.bytes_out += p->n - DERP_HEAD - DERP_KEY;
	return p;
}

static size_t
put_packet(struct rclient *c, uint8_t *dst, size_t max)
{
	struct pkt *p = c->cur;
	size_t n = p->n - c->cur_at;

	if (n > max)
		n = max;
	memcpy(dst, p->frame + c->cur_at, n);
	c->cur_at += (uint32_t)n;
	if (c->cur_at == p->n) {
		pkt_free(&c->relay->pool, p);
		c->cur = NULL;
		c->cur_at = 0;
	}
	return n;
}

static size_t
put_ctl(struct rclient *c, uint8_t *dst, size_t max)
{
	size_t n = c->ctl.n - c->ctl_at;

	if (n > max)
		n = max;
	memcpy(dst, c->ctl.p + c->ctl_at, n);
	c->ctl_at += (uint32_t)n;
	if (c->ctl_at == c->ctl.n)
		ctl_end(c);
	return n;
}

/* True if there is a control frame to be written. */
static bool
has_ctl(struct rclient *c)
{
	if (c->ctl.n != 0)
		return true;
	if (c->pong_due) {
		c->pong_due = false;
		c->relay->count.pongs++;
		out_frame(c, DERP_PONG, c->pong, sizeof(c->pong));
	}
	if (c->keepalive_due) {
		c->keepalive_due = false;
		out_frame(c, DERP_KEEPALIVE, NULL, 0);
	}
	return c->ctl.n != 0;
}

/* The next piece; 0: there is none. */
static size_t
put(struct rclient *c, uint8_t *dst, size_t max)
{
	if (c->cur == NULL && has_ctl(c))
		return put_ctl(c, dst, max);
	if (c->cur == NULL)
		c->cur = next_packet(c);
	return c->cur == NULL ? 0 : put_packet(c, dst, max);
}

static bool
has_output(const struct rclient *c)
{
	return c->cur != NULL || c->ctl.n != 0 || c->disco.n != 0 ||
	    c->data.n != 0 || c->pong_due || c->keepalive_due;
}

static void
delist(struct rclient *c)
{
	TAILQ_REMOVE(&c->relay->stall, c, stall);
	c->pending = false;
}

uint32_t
out_drop(struct rclient *c, size_t n)
{
	/* Disco is small, and what else goes through depends on it. */
	struct queue *q = c->data.n != 0 ? &c->data : &c->disco;
	struct relay *r = c->relay;
	size_t was = r->pool.used;
	uint32_t k = 0;
	struct pkt *p;

	while (was - r->pool.used < n && (p = queue_take(q)) != NULL) {
		pkt_free(&r->pool, p);
		k++;
	}
	if (c->pending && !has_output(c))
		delist(c);
	return k;
}

size_t
relay_output(struct rclient *c, uint8_t *dst, size_t max)
{
	struct relay *r = c->relay;
	size_t n = 0, part;

	if (!c->pending || max == 0)
		return 0;
	while (n < max && (part = put(c, dst + n, max - n)) != 0)
		n += part;
	TAILQ_REMOVE(&r->stall, c, stall);
	if (has_output(c)) {
		c->asked = env_now(r->env);
		TAILQ_INSERT_TAIL(&r->stall, c, stall);
	} else
		c->pending = false;
	return n;
}

void
relay_progress(struct rclient *c)
{
	struct relay *r = c->relay;

	if (!c->pending)
		return;
	c->asked = env_now(r->env);
	TAILQ_REMOVE(&r->stall, c, stall);
	TAILQ_INSERT_TAIL(&r->stall, c, stall);
}

bool
relay_wants_output(const struct rclient *c)
{
	return c->pending;
}
