/* Requests, whichever protocol brought them. */

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/compat/compat.h"
#include "common/log.h"
#include "worker/net/layers_int.h"

#define QUEUE_KEEP	16	/* slots of an empty queue that stay */

struct req *
req_new(struct conn *c, int32_t stream)
{
	struct req *r;

	r = xcalloc(1, sizeof(*r));
	r->conn = c;
	r->stream = stream;
	r->peer = c->peer;
	r->attached = true;
	r->progress = env_now(c->net->env);
	TAILQ_INSERT_TAIL(&c->reqs, r, entry);
	room_begin(r);
	return r;
}

static void
stop_streaming(struct req *r)
{
	if (!r->streaming)
		return;
	r->streaming = false;
	r->conn->net->nstreams--;
}

void
req_free(struct req *r)
{
	struct conn *c = r->conn;

	if (r->events != 0)
		TAILQ_REMOVE(&c->net->events, r, event);
	stop_streaming(r);
	req_drop_queue(r);
	free(r->queue.v);
	req_forget(r);
	TAILQ_REMOVE(&c->reqs, r, entry);
	if (conn_is_h2(c) && TAILQ_EMPTY(&c->reqs))
		h2_last_req(c);
	free(r);
}

void
req_event(struct req *r, uint8_t event)
{
	if (r->events == 0)
		TAILQ_INSERT_TAIL(&r->conn->net->events, r, event);
	r->events |= event;
}

void
req_detach(struct req *r)
{
	r->attached = false;
	req_event(r, REQ_E_GONE);
}

/* One event of one request; what is called may end it. */
static void
settle(struct net *net, struct req *r)
{
	uint8_t events = r->events;

	TAILQ_REMOVE(&net->events, r, event);
	r->events = 0;
	if ((events & REQ_E_GONE) != 0) {
		stop_streaming(r);
		req_drop_queue(r);
		if (r->given) {
			net->ops.gone(r, net->ops.arg);
			r->given = false;
		}
		if (!r->attached)
			req_free(r);
	} else if ((events & REQ_E_ASK) != 0) {
		r->given = true;
		if (req_session(r) != NULL) {
			net->count.noise++;
			net->ops.noise(r, net->ops.arg);
		} else {
			net->count.plain++;
			net->ops.plain(r, net->ops.arg);
		}
	} else if (r->given)
		net->ops.drained(r, net->ops.arg);
}

void
net_settle(struct net *net)
{
	struct req *r;

	if (net->settling)
		return;
	net->settling = true;
	while ((r = TAILQ_FIRST(&net->events)) != NULL)
		settle(net, r);
	net->settling = false;
}

/* What was asked. */

static void
lower(uint8_t *p, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (p[i] >= 'A' && p[i] <= 'Z')
			p[i] = (uint8_t)(p[i] - 'A' + 'a');
}

void
req_field(struct req *r, const void *name, size_t nname, const void *value,
    size_t nvalue)
{
	struct buf *b = &r->fields;

	if (nname == 0 || *(const char *)name != ':')
		r->nfields++;
	room_take(r, nname + nvalue + 8);
	buf_u32(b, (uint32_t)nname);
	buf_u32(b, (uint32_t)nvalue);
	buf_put(b, name, nname);
	lower(b->p + b->n - nname, nname);
	buf_put(b, value, nvalue);
}

/* As buf_put(), but what it grows out of is wiped. */
void
req_body_put(struct req *r, const void *p, size_t n)
{
	struct buf b = { 0 };

	room_take(r, n);
	if (r->body.cap - r->body.n < n) {
		(void)buf_room(&b, 2 * r->body.n + n);
		buf_put(&b, r->body.p, r->body.n);
		buf_wipe(&r->body);
		r->body = b;
	}
	buf_put(&r->body, p, n);
}

/* The first of this name from at on; at is behind it then. */
static bool
next_header(const struct req *r, size_t *at, const char *name,
    struct slice *value)
{
	struct slice key;
	struct rd rd;
	uint32_t nkey, nvalue;
	bool found = false;

	rd_init(&rd, r->fields.p + *at, r->fields.n - *at);
	while (rd_left(&rd) != 0 && !found) {
		nkey = rd_u32(&rd);
		nvalue = rd_u32(&rd);
		key = slice_mem(rd_take(&rd, nkey), nkey);
		*value = slice_mem(rd_take(&rd, nvalue), nvalue);
		found = slice_eqs(key, name);
	}
	*at = r->fields.n - rd_left(&rd);
	return found;
}

struct slice
req_header(const struct req *r, const char *name)
{
	struct slice value;
	size_t at = 0;

	if (r->fields.n != 0 && next_header(r, &at, name, &value))
		return value;
	return slice_mem(NULL, 0);
}

struct slice
req_header_last(const struct req *r, const char *name)
{
	struct slice next, value = { NULL, 0 };
	size_t at = 0;

	while (at < r->fields.n && next_header(r, &at, name, &next))
		value = next;
	return value;
}

bool
req_understand(struct req *r)
{
	struct slice target = req_header(r, ":path");
	const char *q;
	size_t i;

	r->method = req_header(r, ":method");
	r->is_head = slice_eqs(r->method, "HEAD");
	if (target.n == 0 || target.p[0] != '/')
		return false;
	for (i = 0; i < target.n; i++)
		if (target.p[i] <= ' ' || target.p[i] > '~' ||
		    target.p[i] == '#')
			return false;
	r->path = target;
	if ((q = memchr(target.p, '?', target.n)) != NULL) {
		r->path.n = (size_t)(q - target.p);
		r->query = slice_mem(q + 1, target.n - r->path.n - 1);
	}
	return true;
}

struct slice
req_method(const struct req *r)
{
	return r->method;
}

struct slice
req_path(const struct req *r)
{
	return r->path;
}

struct slice
req_query(const struct req *r)
{
	return r->query;
}

struct slice
req_body(const struct req *r)
{
	return buf_slice_of(&r->body);
}

void
req_forget(struct req *r)
{
	static const struct slice none;

	room_give(r);
	buf_free(&r->fields);
	buf_wipe(&r->body);	/* it may hold an auth key */
	r->method = r->path = r->query = none;
}

const struct session *
req_session(const struct req *r)
{
	return r->conn->confirmed ? &r->conn->session : NULL;
}

uint32_t
req_stream_id(const struct req *r)
{
	return (uint32_t)r->stream;
}

const struct ipport *
req_peer(const struct req *r)
{
	return &r->peer;
}

void
req_set_tag(struct req *r, void *tag)
{
	r->tag = tag;
}

void *
req_tag(const struct req *r)
{
	return r->tag;
}

/* What is answered. */

bool
req_date(const struct req *r, char text[REQ_DATE])
{
	time_t now = (time_t)env_wall(r->conn->net->env);
	struct tm tm;

	return gmtime_r(&now, &tm) != NULL && strftime(text, REQ_DATE,
	    "%a, %d %b %Y %H:%M:%S GMT", &tm) != 0;
}

static void
queue_put(struct fqueue *q, struct frame *f)
{
	struct frame **v;
	uint32_t i;

	if (q->n == q->cap) {
		v = xcalloc(q->cap == 0 ? 4 : q->cap * 2, sizeof(*v));
		for (i = 0; i < q->n; i++)
			v[i] = q->v[(q->first + i) & (q->cap - 1)];
		free(q->v);
		q->v = v;
		q->first = 0;
		q->cap = q->cap == 0 ? 4 : q->cap * 2;
	}
	q->v[(q->first + q->n++) & (q->cap - 1)] = frame_ref(f);
	q->octets += f->len;
}

static void
queue_drop_first(struct fqueue *q)
{
	frame_unref(q->v[q->first]);
	q->first = (q->first + 1) & (q->cap - 1);
	q->n--;
	q->at = 0;
	if (q->n == 0 && q->cap > QUEUE_KEEP) {
		free(q->v);
		q->v = NULL;
		q->cap = q->first = 0;
	}
}

void
req_take(struct req *r, uint8_t *dst, size_t n)
{
	struct fqueue *q = &r->queue;
	const struct frame *f;
	size_t part;

	q->octets -= n;
	while (n != 0 && q->n != 0) {
		f = q->v[q->first];
		part = f->len - q->at < n ? f->len - q->at : n;
		memcpy(dst, f->data + q->at, part);
		dst += part;
		n -= part;
		q->at += (uint32_t)part;
		if (q->at == f->len)
			queue_drop_first(q);
	}
}

void
req_drop_queue(struct req *r)
{
	while (r->queue.n != 0)
		queue_drop_first(&r->queue);
	r->queue.octets = 0;
}

/* False: the transport is gone, control has not heard of it yet. */
static bool
is_open(const struct req *r)
{
	return r->attached && !r->aborted;
}

/* Something was queued after nothing: its time to move runs from now. */
static void
touch(struct req *r)
{
	struct net *net = r->conn->net;

	r->progress = env_now(net->env);
	conn_due(r->conn, r->progress + net->conf.stall_s * US_PER_S);
}

static void
respond(struct req *r, const struct req_head *head, bool whole, size_t length)
{
	r->begun = true;
	touch(r);
	if (r->stream != 0)
		h2_respond(r, head, whole, length);
	else
		http1_respond(r, head, whole, length);
	conn_kick(r->conn);
}

void
req_reply(struct req *r, const struct req_head *head, const void *p, size_t n)
{
	struct frame *f;

	if (r->begun)
		fatalx("req_reply after the answer has begun");
	r->given = false;
	r->ended = true;
	if (!is_open(r))
		return;		/* freed when its end is settled */
	if (n != 0 && !r->is_head) {
		f = frame_new(p, n);
		queue_put(&r->queue, f);
		frame_unref(f);
	}
	respond(r, head, true, n);
	req_forget(r);
}

void
req_refuse(struct req *r, unsigned int status, const char *text)
{
	struct req_head head = { status, "text/plain; charset=utf-8", -1, NULL,
	    NULL, NULL, NULL };
	struct buf b = { 0 };

	buf_printf(&b, "%s\n", text);
	req_reply(r, &head, b.p, b.n);
	buf_free(&b);
}

void
req_begin(struct req *r, const struct req_head *head)
{
	if (r->begun)
		fatalx("req_begin after the answer has begun");
	if (!is_open(r)) {
		r->begun = true;
		return;
	}
	if (req_session(r) != NULL) {
		r->streaming = true;
		r->conn->net->nstreams++;
	}
	respond(r, head, false, 0);
}

void
req_send(struct req *r, struct frame *f)
{
	if (!r->begun)
		fatalx("req_send before the answer has begun");
	if (!is_open(r) || r->is_head || f->len == 0)
		return;
	if (r->queue.n == 0)
		touch(r);
	queue_put(&r->queue, f);
	if (r->stream != 0)
		h2_resume(r);
	conn_kick(r->conn);
}

size_t
req_queued(const struct req *r)
{
	return r->queue.octets;
}

void
req_end(struct req *r)
{
	r->given = false;
	r->ended = true;
	stop_streaming(r);
	if (!is_open(r))
		return;
	if (!r->begun)
		fatalx("req_end before the answer has begun");
	touch(r);
	if (r->stream != 0)
		h2_resume(r);
	conn_kick(r->conn);
}

void
req_abort(struct req *r)
{
	r->given = false;
	r->ended = true;
	stop_streaming(r);
	req_drop_queue(r);
	if (!is_open(r))
		return;
	r->aborted = true;
	touch(r);
	if (r->stream != 0)
		h2_abort(r);
	else
		conn_finish(r->conn, false);
	conn_kick(r->conn);
}
