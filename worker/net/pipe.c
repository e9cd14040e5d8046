#include <stdlib.h>
#include <string.h>

#include "common/compat/compat.h"
#include "worker/net/layers_int.h"

#define WS_OUT_MAX	16384	/* a message: peers take 32,768 */
#define WS_PIECE	4096

struct pipe {
	struct pipe_ops	 ops;
	void		*arg;
	struct buf	 wait;	/* of a WebSocket, unmasked and not taken */
};

bool
req_can_pipe(const struct req *r)
{
	const struct conn *c = r->conn;

	return r->stream == 0 && r->attached && !r->begun &&
	    c->state == CONN_HTTP && !c->net->ending && r->body.n == 0 &&
	    http1_minor(c) != 0;
}

struct conn *
req_pipe(struct req *r, const void *head, size_t n, bool websocket,
    const struct pipe_ops *ops, void *pipe)
{
	struct conn *c = r->conn;

	if (!req_can_pipe(r))
		return NULL;
	timer_stop(&c->timer);
	http1_free(c);
	req_free(r);
	c->state = CONN_PIPE;
	c->pipe = xcalloc(1, sizeof(*c->pipe));
	c->pipe->ops = *ops;
	c->pipe->arg = pipe;
	if (websocket) {
		c->ws = xcalloc(1, sizeof(*c->ws));
		c->net->count.websockets++;
	}
	buf_put(&c->out, head, n);
	c->net->count.pipes++;
	conn_kick(c);
	return c;
}

void
conn_pipe_kick(struct conn *c)
{
	conn_kick(c);
}

void
pipe_free(struct conn *c)
{
	struct pipe *q = c->pipe;

	if (q == NULL)
		return;
	c->pipe = NULL;
	buf_wipe(&q->wait);
	q->ops.gone(q->arg);
	free(q);
}

bool
conn_is_pipe(const struct conn *c)
{
	return c->state == CONN_PIPE;
}

void
conn_pipe_progress(struct conn *c)
{
	if (c->state == CONN_PIPE && c->pipe->ops.progress != NULL)
		c->pipe->ops.progress(c->pipe->arg);
}

bool
conn_is_cut(const struct conn *c)
{
	return c->state == CONN_PIPE && c->pipe->ops.is_done(c->pipe->arg);
}

/* Input. */

/* True: nothing waits from before. */
static bool
take_waiting(struct pipe *q)
{
	if (q->wait.n == 0)
		return true;
	buf_drain(&q->wait, q->ops.input(q->arg, q->wait.p, q->wait.n));
	if (q->wait.n != 0)
		return false;
	buf_wipe(&q->wait);
	return true;
}

static size_t
from_ws(struct conn *c, const uint8_t *p, size_t n)
{
	struct pipe *q = c->pipe;
	uint8_t data[WS_PIECE];
	size_t at = 0, used, got, took;
	enum ws_event e;
	uint16_t code;

	while (at < n && c->state == CONN_PIPE && q->wait.n == 0 &&
	    q->ops.wants_input(q->arg)) {
		got = sizeof(data);
		e = ws_read(c->ws, p + at, n - at, &used, data, &got, &code);
		at += used;
		if (e == WS_E_DATA) {
			took = q->ops.input(q->arg, data, got);
			buf_put(&q->wait, data + took, got - took);
		} else
			conn_ws_event(c, e, code);	/* may free q */
	}
	return at;
}

size_t
pipe_input(struct conn *c, const uint8_t *p, size_t n)
{
	struct pipe *q = c->pipe;

	if (!q->ops.wants_input(q->arg) || !take_waiting(q))
		return 0;
	if (c->ws != NULL)
		return from_ws(c, p, n);
	return q->ops.input(q->arg, p, n);
}

bool
pipe_wants_input(const struct conn *c)
{
	const struct pipe *q = c->pipe;

	return q->wait.n == 0 && q->ops.wants_input(q->arg);
}

/* Output. */

/* As one message; how long it is. */
static size_t
to_ws(struct pipe *q, uint8_t *dst, size_t max)
{
	uint8_t head[WS_HEAD_MAX];
	size_t n, nhead;

	max -= WS_HEAD_MAX;
	if (max > WS_OUT_MAX)
		max = WS_OUT_MAX;
	if ((n = q->ops.output(q->arg, dst + WS_HEAD_MAX, max)) == 0)
		return 0;
	nhead = ws_head(head, WS_OP_BINARY, n);
	if (nhead != WS_HEAD_MAX)
		memmove(dst + nhead, dst + WS_HEAD_MAX, n);
	memcpy(dst, head, nhead);
	return nhead + n;
}

void
pipe_go_on(struct conn *c)
{
	struct pipe *q = c->pipe;

	if (q->ops.wants_input(q->arg) && take_waiting(q))
		conn_process(c);
	if (conn_is_cut(c))
		conn_finish(c, false);
}

size_t
pipe_output(struct conn *c, uint8_t *dst, size_t max)
{
	struct pipe *q = c->pipe;

	if (c->ws != NULL)
		return to_ws(q, dst, max);
	return q->ops.output(q->arg, dst, max);
}

bool
pipe_wants_output(const struct conn *c)
{
	const struct pipe *q = c->pipe;

	return q->ops.wants_output(q->arg) || q->ops.is_done(q->arg) ||
	    ((q->wait.n != 0 || c->in.n != 0) && q->ops.wants_input(q->arg));
}
