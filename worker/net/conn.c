/* A connection: which layer its octets belong to, its time, its end. */

#include <stdlib.h>
#include <string.h>

#include "common/compat/compat.h"
#include "common/log.h"
#include "common/secret.h"
#include "worker/net/layers_int.h"


static void
on_timer(void *arg)
{
	struct conn *c = arg;
	struct net *net = c->net;

	switch (c->state) {
	case CONN_HTTP:
		if (edge_is_early(c))
			conn_fail(c, &net->count.late,
			    "handshake took too long");
		else
			http1_tick(c);
		break;
	case CONN_WAIT:
	case CONN_ASKED:
	case CONN_READY:
	case CONN_CONFIRM:
		conn_fail(c, &net->count.late, "handshake took too long");
		break;
	case CONN_H2:
	case CONN_OPEN:
		h2_tick(c);
		break;
	case CONN_PIPE:
		break;		/* its times are the pipe's */
	case CONN_DONE:
		c->lingers = false;
		buf_free(&c->out);
		edge_leave(c, true);
		conn_kick(c);
		break;
	}
	net_settle(net);
}

struct conn *
conn_new(struct net *net, const struct ipport *peer, enum conn_kind kind,
    bool proxy, void *tag)
{
	struct conn *c;

	if (net_is_full(net)) {
		net->count.refused++;
		log_debug("connection refused: max_conns");
		return NULL;
	}
	c = xcalloc(1, sizeof(*c));
	c->net = net;
	c->peer = *peer;
	c->tag = tag;
	c->state = CONN_HTTP;
	if (!edge_new(c, kind, proxy)) {
		free(c);
		return NULL;
	}
	TAILQ_INIT(&c->reqs);
	TAILQ_INSERT_TAIL(&net->conns, c, entry);
	net->nconns++;
	net->count.conns++;
	timer_init(&c->timer, net->env, on_timer, c);
	timer_in(&c->timer, net->conf.handshake_s * US_PER_S);
	http1_new(c);
	return c;
}

void *
conn_tag(const struct conn *c)
{
	return c->tag;
}

void
conn_kick(struct conn *c)
{
	c->net->ops.kick(c, c->net->ops.arg);
}

void
conn_log(const struct conn *c, const char *layer, const char *what)
{
	char peer[IPPORT_TEXT];

	if (!log_is_verbose())
		return;
	ipport_print(peer, &c->peer);
	log_debug("%s peer=%s what=\"%s\"", layer, peer, what);
}

void
conn_due(struct conn *c, uint64_t at)
{
	if (!timer_pending(&c->timer) || c->timer.at > at)
		timer_at(&c->timer, at);
}

bool
conn_is_h2(const struct conn *c)
{
	return c->state == CONN_OPEN || c->state == CONN_H2;
}

void
conn_speak_h2(struct conn *c)
{
	struct buf none = { 0 };

	http1_free(c);
	c->state = CONN_H2;
	h2_new(c, &none);
	h2_start(c);
	conn_kick(c);
}

/* Lets go of all layers; its requests will hear of it. */
static void
leave(struct conn *c)
{
	struct req *r;

	switch (c->state) {
	case CONN_WAIT:
		TAILQ_REMOVE(&c->net->waiting, c, wait);
		break;
	case CONN_ASKED:
	case CONN_READY:
	case CONN_CONFIRM:
		ts2021_drop(c);
		break;
	case CONN_OPEN:
		c->net->nsessions--;
		break;
	default:
		break;
	}
	c->state = CONN_DONE;
	room_leave(c);
	h2_free(c);
	http1_free(c);
	pipe_free(c);
	TAILQ_FOREACH(r, &c->reqs, entry) {
		if (r->attached)
			req_detach(r);
	}
	free(c->init);
	c->init = NULL;
	free(c->ws);
	c->ws = NULL;
	free(c->ws_head);
	c->ws_head = NULL;
	record_in_clear(&c->rx);
	noise_key_wipe(&c->tx);
	buf_wipe(&c->in);
}

void
conn_fail(struct conn *c, uint64_t *counter, const char *why)
{
	if (c->state == CONN_DONE)
		return;
	conn_log(c, "connection", why);
	if (counter != NULL)
		(*counter)++;
	leave(c);
	edge_leave(c, true);
	timer_stop(&c->timer);
	buf_free(&c->out);
	conn_kick(c);
}

void
conn_finish(struct conn *c, bool linger)
{
	if (c->state == CONN_DONE)
		return;
	if (c->ws != NULL)
		ws_close(&c->out, WS_NORMAL, "");
	leave(c);
	edge_leave(c, false);
	c->lingers = linger;
	timer_in(&c->timer, LINGER_US);
	if (!linger && c->out.n == 0 && c->edge.phase != EDGE_TLS)
		timer_stop(&c->timer);
	conn_kick(c);
}

void
conn_free(struct conn *c)
{
	struct req *r;
	struct net *net = c->net;

	if (c->state != CONN_DONE)
		leave(c);
	timer_stop(&c->timer);
	while ((r = TAILQ_FIRST(&c->reqs)) != NULL) {
		if (r->given) {
			r->given = false;
			net->ops.gone(r, net->ops.arg);
		}
		req_free(r);
	}
	buf_free(&c->out);
	edge_free(c);
	TAILQ_REMOVE(&net->conns, c, entry);
	net->nconns--;
	wipe(c, sizeof(*c));
	free(c);
}

/* Input. */

static bool
takes_records(const struct conn *c)
{
	return (c->state == CONN_READY || c->state == CONN_OPEN) &&
	    c->room == ROOM_FREE;
}

/* Octets of Noise records; how many were taken. */
static size_t
eat_records(struct conn *c, const uint8_t *p, size_t n)
{
	const uint8_t *rec;
	size_t at = 0, used, len;
	int rc;

	while (at < n && takes_records(c)) {
		rc = record_put(&c->rx, p + at, n - at, &used, &rec, &len);
		at += used;
		if (rc == 0)
			break;
		if (rc == -1) {
			conn_fail(c, &c->net->count.record_bad,
			    "not a record");
			break;
		}
		ts2021_record(c, rec, len);
		record_next(&c->rx);
	}
	return at;
}

static void
ws_fail(struct conn *c, uint16_t code)
{
	conn_log(c, "websocket", "bad frame");
	c->net->count.ws_bad++;
	ws_close(&c->out, code, "");
	free(c->ws);		/* the close frame is there */
	c->ws = NULL;
	conn_finish(c, true);
}

void
conn_ws_event(struct conn *c, enum ws_event e, uint16_t code)
{
	switch (e) {
	case WS_E_MORE:
	case WS_E_DATA:
		break;
	case WS_E_PING:
		if (c->out.n - c->out_at > OUT_CONTROL_MAX) {
			conn_fail(c, &c->net->count.flooded,
			    "pings without end");
			break;
		}
		ws_control(&c->out, WS_OP_PONG, c->ws->control,
		    c->ws->ncontrol);
		conn_kick(c);
		break;
	case WS_E_CLOSE:
		ws_close(&c->out, code, "");
		free(c->ws);
		c->ws = NULL;
		conn_finish(c, false);
		break;
	case WS_E_BAD:
		ws_fail(c, code);
		break;
	}
}

static size_t
eat_ws(struct conn *c, const uint8_t *p, size_t n)
{
	uint8_t data[NOISE_RECORD];
	size_t at = 0, used, got;
	enum ws_event e;
	uint16_t code;

	while (at < n && takes_records(c)) {
		/* No more than the record takes: the rest waits masked. */
		got = record_need(&c->rx);
		e = ws_read(c->ws, p + at, n - at, &used, data, &got, &code);
		at += used;
		if (e == WS_E_DATA)
			(void)eat_records(c, data, got);
		else
			conn_ws_event(c, e, code);
	}
	return at;
}

static size_t
eat(struct conn *c, const uint8_t *p, size_t n)
{
	if (c->room != ROOM_FREE)
		return 0;
	switch (c->state) {
	case CONN_HTTP:
		return http1_input(c, p, n);
	case CONN_H2:
		if (h2_input(c, p, n) == -1)
			conn_fail(c, &c->net->count.h2_bad, "http/2 broken");
		break;
	case CONN_READY:
	case CONN_OPEN:
		if (c->ws != NULL)
			return eat_ws(c, p, n);
		return eat_records(c, p, n);
	case CONN_PIPE:
		return pipe_input(c, p, n);
	case CONN_WAIT:
	case CONN_ASKED:
	case CONN_CONFIRM:
		return 0;
	case CONN_DONE:
		break;
	}
	return n;
}

/*
 * Eats as long as it can: the end of a request, or of the first record, stops
 * each layer in the middle.
 */
static size_t
eat_all(struct conn *c, const uint8_t *p, size_t n)
{
	size_t at = 0, used;

	while (at < n) {
		used = eat(c, p + at, n - at);
		if (used == 0)
			break;
		at += used;
	}
	return at;
}

void
conn_process(struct conn *c)
{
	struct buf b = c->in;
	size_t used;

	if (b.n == 0)
		return;
	memset(&c->in, 0, sizeof(c->in));	/* a failure frees it */
	used = eat_all(c, b.p, b.n);
	if (used == b.n || c->state == CONN_DONE)
		buf_wipe(&b);	/* plain HTTP may be in it */
	else {
		buf_drain(&b, used);
		c->in = b;
	}
}

void
plain_input(struct conn *c, const void *p, size_t n)
{
	size_t used;

	if (c->state == CONN_DONE)
		return;
	if (c->in.n != 0) {
		buf_put(&c->in, p, n);
		conn_process(c);
	} else {
		used = eat_all(c, p, n);
		if (used < n && c->state != CONN_DONE)
			buf_put(&c->in, (const uint8_t *)p + used, n - used);
	}
	if (c->in.n > IN_MAX)
		conn_fail(c, &c->net->count.flooded, "input beyond all bounds");
}

void
plain_eof(struct conn *c, bool clean)
{
	c->eof = true;
	c->lingers = false;
	if (c->state == CONN_DONE)
		conn_kick(c);
	else if (c->state == CONN_HTTP && http1_close(c))
		return;
	else if (clean)
		conn_finish(c, false);
	else
		conn_fail(c, NULL, "closed by the client");
}

void
conn_eof(struct conn *c)
{
	struct net *net = c->net;

	plain_eof(c, false);
	net_settle(net);
}

bool
plain_wants_input(const struct conn *c)
{
	if (c->state == CONN_DONE)
		return c->lingers;
	if (c->eof || c->in.n >= IN_ENOUGH || c->room != ROOM_FREE)
		return false;
	if (c->state == CONN_PIPE)
		return pipe_wants_input(c);
	return !conn_is_h2(c) || h2_wants_input(c);
}

/* Output. */

static size_t
put_out(struct conn *c, uint8_t *dst, size_t max)
{
	size_t n = c->out.n - c->out_at;

	if (n > max)
		n = max;
	if (n != 0)
		memcpy(dst, c->out.p + c->out_at, n);
	c->out_at += n;
	if (c->out_at == c->out.n) {
		buf_free(&c->out);
		c->out_at = 0;
		if (c->state == CONN_DONE && !c->lingers &&
		    c->edge.phase != EDGE_TLS)
			timer_stop(&c->timer);
	}
	return n;
}

/* What HTTP/2 has to say, up to max octets. */
static size_t
put_h2(struct conn *c, uint8_t *dst, size_t max)
{
	long n;

	if ((n = h2_output(c, dst, max)) == -1) {
		conn_fail(c, &c->net->count.h2_bad, "http/2 output failed");
		return 0;
	}
	return (size_t)n;
}

/* The same in Noise, in records that fit into max octets. */
static size_t
put_records(struct conn *c, uint8_t *dst, size_t max)
{
	struct net *net = c->net;
	size_t extra = c->ws == NULL ? 0 : WS_HEAD_MAX;
	size_t room, part, len, at = 0;
	const uint8_t *p = net->stage;
	size_t n;

	room = record_room(max, extra);
	if (room > STAGE)
		room = STAGE;
	for (n = put_h2(c, net->stage, room); n != 0; n -= part, p += part) {
		part = record_cut(n);
		if (c->ws != NULL)
			at += ws_head(dst + at, WS_OP_BINARY,
			    part + NOISE_HEAD + NOISE_TAG);
		len = noise_seal(net->noise, &c->tx, dst + at, p, part);
		if (len == 0) {
			conn_fail(c, NULL, "no nonces left");
			return 0;
		}
		at += len;
	}
	return at;
}

static bool
has_session(const struct conn *c)
{
	return c->state == CONN_READY || c->state == CONN_CONFIRM ||
	    c->state == CONN_OPEN;
}

size_t
plain_output(struct conn *c, uint8_t *dst, size_t max)
{
	struct net *net = c->net;
	size_t n;

	if (c->state == CONN_PIPE)
		pipe_go_on(c);
	n = put_out(c, dst, max);
	if (c->out.n == 0 && max - n >= PLAIN_OUTPUT_MIN) {
		if (c->state == CONN_HTTP) {
			n += http1_output(c, dst + n, max - n);
			if (c->state == CONN_HTTP && !http1_is_busy(c))
				conn_process(c);
		} else if (c->state == CONN_PIPE)
			n += pipe_output(c, dst + n, max - n);
		else if (c->state == CONN_H2)
			n += put_h2(c, dst + n, max - n);
		else if (has_session(c))
			n += put_records(c, dst + n, max - n);
	}
	net_settle(net);
	if (conn_is_h2(c) && h2_is_over(c)) {
		conn_finish(c, false);
		net_settle(net);
	}
	return n;
}

bool
plain_wants_output(const struct conn *c)
{
	if (c->out.n != 0)
		return true;
	if (c->state == CONN_HTTP)
		return http1_wants_output(c);
	if (c->state == CONN_PIPE)
		return pipe_wants_output(c);
	return (c->state == CONN_H2 || has_session(c)) && h2_wants_output(c);
}

bool
plain_is_empty(const struct conn *c)
{
	return c->state == CONN_DONE && c->out.n == 0;
}

bool
plain_is_done(const struct conn *c)
{
	return plain_is_empty(c) && !c->lingers;
}
