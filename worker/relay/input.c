/* What a live client sends. */

#include <string.h>

#include "common/compat/compat.h"
#include "worker/relay/calls_int.h"

#define MOVE_US		(5 * US_PER_S)	/* derp.md 4.7 */
#define PART_MIN	1500		/* octets of a packet's first piece */

static void
bad(struct rclient *c, const char *why)
{
	c->relay->count.bad_frames++;
	client_end(c, why);
}

static void
preferred(struct rclient *c, bool home)
{
	struct relay *r = c->relay;
	bool late = env_now(r->env) - c->since > MOVE_US;

	if (home == c->home)
		return;
	c->home = home;
	if (home) {
		r->count.home++;
		r->count.home_in += late;
	} else {
		r->count.home--;
		r->count.home_out += late;
	}
}

static void
ping(struct rclient *c, const uint8_t *p)
{
	c->relay->count.pings++;
	if (c->pong_due)
		return;
	memcpy(c->pong, p, DERP_PING);
	c->pong_due = true;
	out_pending(c);
}

/* The whole header is in head[]: what follows it? */
static void
begin(struct rclient *c)
{
	uint32_t n = derp_len(c->head);

	switch (derp_rule(c->head[0], n)) {
	case DERP_FATAL:
		bad(c, "bad frame");
		return;
	case DERP_SKIP:
		c->relay->count.unknown_frames++;
		break;
	case DERP_TAKE:
		break;
	}
	peer_spoke(c);
	c->in = n == 0 ? IN_HEAD : IN_BODY;
	c->nhead = n == 0 ? 0 : DERP_HEAD;
	c->skip = n;
	(void)limit_take(c, n);
}

static size_t
read_head(struct rclient *c, const uint8_t *p, size_t n)
{
	size_t part = DERP_HEAD - c->nhead;

	if (part > n)
		part = n;
	memcpy(c->head + c->nhead, p, part);
	c->nhead += (uint8_t)part;
	if (c->nhead == DERP_HEAD)
		begin(c);
	return part;
}

static void
next_frame(struct rclient *c)
{
	c->in = IN_HEAD;
	c->nhead = 0;
}

static size_t
read_skip(struct rclient *c, size_t n)
{
	size_t part = n < c->skip ? n : c->skip;

	c->skip -= (uint32_t)part;
	if (c->skip == 0)
		next_frame(c);
	return part;
}

static size_t
no_room(struct rclient *c, size_t n)
{
	struct relay *r = c->relay;

	r->count.dropped_memory++;
	pkt_free(&r->pool, c->part);
	c->part = NULL;
	c->in = IN_SKIP;
	return read_skip(c, n);
}

/*
 * The frame did not come in one piece: it is put together where it stays, and
 * what has not come takes no memory but for small ones.
 */
static size_t
read_packet(struct rclient *c, const uint8_t *p, size_t n)
{
	size_t part = n < c->skip ? n : c->skip;
	size_t used = c->part->n - c->skip;
	struct pkt *whole = c->part;

	if (used + part > pkt_room(whole)) {
		if ((whole = mem_grow(c->relay, whole, used, part)) == NULL)
			return no_room(c, n);
		c->part = whole;
	}
	memcpy(whole->frame + used, p, part);
	c->skip -= (uint32_t)part;
	if (c->skip == 0) {
		c->part = NULL;
		next_frame(c);
		route(c, whole->frame + DERP_HEAD, whole->n - DERP_HEAD,
		    whole);
	}
	return part;
}

static size_t
begin_packet(struct rclient *c, const uint8_t *p, size_t n)
{
	uint32_t len = c->skip;
	size_t first;

	if (n >= len) {
		next_frame(c);
		route(c, p, len, NULL);
		return len;
	}
	first = DERP_HEAD + (n > PART_MIN ? n : PART_MIN);
	if (first > DERP_HEAD + (size_t)len)
		first = DERP_HEAD + (size_t)len;
	if ((c->part = mem_pkt(c->relay, first)) == NULL)
		return no_room(c, n);
	c->part->n = DERP_HEAD + len;
	c->in = IN_PACKET;
	return read_packet(c, p, n);
}

/* The first octets of a ping or all of a NotePreferred. */
static size_t
read_small(struct rclient *c, const uint8_t *p, size_t n)
{
	size_t want = c->head[0] == DERP_PINGS ? DERP_PING : 1;
	size_t part = want - (c->nhead - DERP_HEAD);

	if (part > n)
		part = n;
	memcpy(c->head + c->nhead, p, part);
	c->nhead += (uint8_t)part;
	c->skip -= (uint32_t)part;
	if (c->nhead < DERP_HEAD + want)
		return part;
	if (c->skip == 0)
		next_frame(c);
	else
		c->in = IN_SKIP;
	if (c->head[0] == DERP_PINGS)
		ping(c, c->head + DERP_HEAD);
	else
		preferred(c, c->head[DERP_HEAD] != 0);
	return part;
}

static size_t
begin_body(struct rclient *c, const uint8_t *p, size_t n)
{
	switch (c->head[0]) {
	case DERP_SEND:
		return begin_packet(c, p, n);
	case DERP_PREFERRED:
	case DERP_PINGS:
		c->in = IN_SMALL;
		return read_small(c, p, n);
	default:
		c->in = IN_SKIP;
		return read_skip(c, n);
	}
}

size_t
live_input(struct rclient *c, const uint8_t *p, size_t n)
{
	switch (c->in) {
	case IN_HEAD:
		return read_head(c, p, n);
	case IN_BODY:
		return begin_body(c, p, n);
	case IN_SMALL:
		return read_small(c, p, n);
	case IN_PACKET:
		return read_packet(c, p, n);
	default:
		return read_skip(c, n);
	}
}
