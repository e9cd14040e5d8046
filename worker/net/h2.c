/*
 * HTTP/2 sessions.  The only file that knows nghttp2, which does all of it but
 * the octets of answers: h2flow.h.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <nghttp2/nghttp2.h>

#include "common/compat/compat.h"
#include "common/log.h"
#include "worker/net/h2_int.h"

#define STREAMS_MAX	250	/* protocol.md 1.7: at least 100 */
#define RESET_BURST	200	/* RST_STREAM of a client: rapid reset */
#define RESET_RATE	20	/* ... a second */
#define CONTINUATIONS	8
#define ACKS_MAX	100	/* of PING and SETTINGS that wait */
#define FRAMES_MAX	512	/* that wait: do not read on */
#define FRAME_MIN	512	/* room that is worth asking for a frame */
#define PREFACE		24	/* RFC 9113 3.4 */
#define NV_MAX		8

/* The library's own buffer for a frame: see h2_malloc() below. */
#define LIBBUF_MIN	16384
#define LIBBUF_MAX	17408

struct h2_env {
	nghttp2_session_callbacks *callbacks;
	nghttp2_option	*option;
	uint8_t		 libbuf[LIBBUF_MAX];
};

/*
 * Memory.  Each session of the library keeps a buffer of 16 KB for the frame
 * that it is writing.  As output is copied out before another session runs,
 * all sessions of a worker can have the same one.
 */

static bool
is_libbuf(const struct h2 *h, const void *p)
{
	return p == h->conn->net->h2->libbuf;
}

static void *
h2_malloc(size_t n, void *arg)
{
	struct h2 *h = arg;

	if (h->making && !h->has_libbuf && n >= LIBBUF_MIN &&
	    n <= LIBBUF_MAX) {
		h->has_libbuf = true;
		return h->conn->net->h2->libbuf;
	}
	return xmalloc(n);
}

static void
h2_mfree(void *p, void *arg)
{
	struct h2 *h = arg;

	if (is_libbuf(h, p))
		h->has_libbuf = false;
	else
		free(p);
}

static void *
h2_calloc(size_t n, size_t size, void *arg)
{
	(void)arg;
	return xcalloc(n, size);
}

static void *
h2_realloc(void *p, size_t n, void *arg)
{
	struct h2 *h = arg;
	void *to;

	if (p == NULL)
		return h2_malloc(n, arg);
	if (!is_libbuf(h, p))
		return xrealloc(p, n, 1);
	if (n <= LIBBUF_MAX)
		return p;
	to = xmalloc(n);
	memcpy(to, p, LIBBUF_MAX);
	h->has_libbuf = false;
	return to;
}

/* Something is asked of the library: it may have something to say. */
static void
stir(struct h2 *h)
{
	h->lib_still = h->still = false;
}

/* What a client asks. */

static int
on_begin_headers(nghttp2_session *ng, const nghttp2_frame *f, void *arg)
{
	struct h2 *h = arg;
	struct req *r;

	if (f->headers.cat == NGHTTP2_HCAT_REQUEST) {
		r = req_new(h->conn, f->hd.stream_id);
		h2_flow_begin(&h->flow, r);
		nghttp2_session_set_stream_user_data(ng, f->hd.stream_id, r);
	}
	return 0;
}

static int
on_header(nghttp2_session *ng, const nghttp2_frame *f, const uint8_t *name,
    size_t nname, const uint8_t *value, size_t nvalue, uint8_t flags, void *arg)
{
	struct h2 *h = arg;
	struct req *r;
	size_t before;

	(void)flags;
	r = nghttp2_session_get_stream_user_data(ng, f->hd.stream_id);
	if (r == NULL || r->ended || f->headers.cat != NGHTTP2_HCAT_REQUEST)
		return 0;	/* trailers mean nothing to us */
	before = r->fields.n;
	if (r->nfields == REQ_FIELDS_MAX ||
	    before + nname + nvalue + 8 > h->conn->net->conf.header_max ||
	    room_is_spent(h->conn, nname + nvalue + 8)) {
		h->conn->net->count.head_large++;
		conn_log(h->conn, "http/2", "request header too large");
		req_refuse(r, 431, "request header too large");
		return 0;
	}
	req_field(r, name, nname, value, nvalue);
	return room_check(h->conn) ? 0 : NGHTTP2_ERR_PAUSE;
}

static void
too_large(struct h2 *h, struct req *r)
{
	h->conn->net->count.body_large++;
	conn_log(h->conn, "http/2", "request body too large");
	req_refuse(r, 413, "request body too large");
}

static int
on_chunk(nghttp2_session *ng, uint8_t flags, int32_t id, const uint8_t *p,
    size_t n, void *arg)
{
	struct h2 *h = arg;
	struct req *r;

	(void)flags;
	r = nghttp2_session_get_stream_user_data(ng, id);
	if (r == NULL || r->ended || r->aborted)
		return 0;
	if (r->body.n + n > h->conn->net->conf.body_max ||
	    room_is_spent(h->conn, n)) {
		too_large(h, r);
		return 0;
	}
	req_body_put(r, p, n);
	return room_check(h->conn) ? 0 : NGHTTP2_ERR_PAUSE;
}

/* Longer than what may come, by its own words: answered at once. */
static bool
announces_too_much(const struct h2 *h, const struct req *r)
{
	struct slice s = req_header(r, "content-length");
	uint64_t n = 0;
	size_t i;

	for (i = 0; i < s.n && n <= h->conn->net->conf.body_max; i++)
		n = n * 10 + (uint64_t)(s.p[i] - '0');
	return n > h->conn->net->conf.body_max;
}

static void
asked(struct h2 *h, struct req *r, const nghttp2_frame *f)
{
	if (f->hd.type == NGHTTP2_HEADERS &&
	    f->headers.cat == NGHTTP2_HCAT_REQUEST && !r->ended) {
		if (!req_understand(r)) {
			h->conn->net->count.http_bad++;
			conn_log(h->conn, "http/2", "bad request target");
			req_refuse(r, 400, "bad request target");
		} else if (announces_too_much(h, r))
			too_large(h, r);
	}
	if ((f->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0) {
		/* The rest must come in time. */
		conn_due(h->conn, h->now + h2_ask_us(h->conn));
		return;
	}
	if (req_session(r) == NULL)
		edge_forwarded(h->conn, r, &r->peer);
	room_whole(r);
	if (!r->ended && !r->aborted)
		req_event(r, REQ_E_ASK);
}

/*
 * The client takes more, of a request or (NULL) of the connection.  Beyond all
 * bounds the one or the other ends (RFC 9113 6.9.1).
 */
static void
take_more(struct h2 *h, struct req *r, uint32_t more)
{
	if (h2_flow_more(&h->flow, r, more))
		return;
	conn_log(h->conn, "http/2", "window beyond all bounds");
	stir(h);
	if (r == NULL)
		(void)nghttp2_session_terminate_session(h->ng,
		    NGHTTP2_FLOW_CONTROL_ERROR);
	else
		(void)nghttp2_submit_rst_stream(h->ng, NGHTTP2_FLAG_NONE,
		    r->stream, NGHTTP2_FLOW_CONTROL_ERROR);
}

static int
on_frame(nghttp2_session *ng, const nghttp2_frame *f, void *arg)
{
	struct h2 *h = arg;
	struct req *r;

	r = nghttp2_session_get_stream_user_data(ng, f->hd.stream_id);
	switch (f->hd.type) {
	case NGHTTP2_HEADERS:
	case NGHTTP2_DATA:
		if (r != NULL)
			asked(h, r, f);
		break;
	case NGHTTP2_RST_STREAM:
		h->conn->net->count.resets++;
		break;
	case NGHTTP2_SETTINGS:
		h2_flow_initial(&h->flow, &h->conn->reqs,
		    nghttp2_session_get_remote_settings(ng,
		    NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE));
		break;
	case NGHTTP2_WINDOW_UPDATE:
		if (f->hd.stream_id == 0 || r != NULL)
			take_more(h, r,
			    (uint32_t)f->window_update.window_size_increment);
		break;
	default:
		break;
	}
	return 0;
}

static int
on_invalid_frame(nghttp2_session *ng, const nghttp2_frame *f, int code,
    void *arg)
{
	struct h2 *h = arg;

	(void)ng;
	(void)f;
	conn_log(h->conn, "http/2", nghttp2_strerror(code));
	return 0;
}

static int
on_stream_close(nghttp2_session *ng, int32_t id, uint32_t code, void *arg)
{
	struct h2 *h = arg;
	struct req *r;

	(void)code;
	r = nghttp2_session_get_stream_user_data(ng, id);
	if (r == NULL)
		return 0;
	h2_flow_drop(&h->flow, r);
	r->headed = false;
	req_detach(r);
	return 0;
}

/* What we answer. */

/*
 * After the head the octets may go.  Answered before all was read: the client
 * need not send the rest.
 */
static int
on_sent(nghttp2_session *ng, const nghttp2_frame *f, void *arg)
{
	struct h2 *h = arg;
	struct req *r;

	if (f->hd.type == NGHTTP2_GOAWAY &&
	    f->goaway.error_code != NGHTTP2_NO_ERROR) {
		h->conn->net->count.h2_bad++;
		conn_log(h->conn, "http/2", "told to go away");
	}
	if (f->hd.type != NGHTTP2_HEADERS && f->hd.type != NGHTTP2_DATA)
		return 0;
	r = nghttp2_session_get_stream_user_data(ng, f->hd.stream_id);
	if (r == NULL)
		return 0;
	if ((f->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0) {
		r->headed = true;
		h2_flow_offer(&h->flow, r);
	} else if (!r->complete)
		(void)nghttp2_submit_rst_stream(ng, NGHTTP2_FLAG_NONE,
		    f->hd.stream_id, NGHTTP2_NO_ERROR);
	return 0;
}

static void
put(struct h2 *h, const uint8_t *p, size_t n)
{
	if (n == 0)
		return;
	if (h->spill.n != 0 || n > h->max - h->n) {
		buf_put(&h->spill, p, n);
		return;
	}
	memcpy(h->dst + h->n, p, n);
	h->n += n;
}

/* The library sends the end of an answer alone. */
static ssize_t
on_read(nghttp2_session *ng, int32_t id, uint8_t *dst, size_t length,
    uint32_t *flags, nghttp2_data_source *source, void *arg)
{
	struct req *r = source->ptr;

	(void)ng;
	(void)id;
	(void)dst;
	(void)length;
	(void)arg;
	if (!r->ended || r->aborted || r->queue.octets != 0) {
		r->waits_end = true;
		return NGHTTP2_ERR_DEFERRED;
	}
	*flags |= NGHTTP2_DATA_FLAG_EOF;
	return 0;
}

/* Its octets are gone. */
static void
send_end(struct h2 *h, struct req *r)
{
	if (!r->waits_end)
		return;
	r->waits_end = false;
	stir(h);
	(void)nghttp2_session_resume_data(h->ng, r->stream);
}

/* Frames of the library; false: the session is beyond help. */
static bool
put_frames(struct h2 *h)
{
	const uint8_t *p;
	ssize_t n;

	while (!h->lib_still && h->spill.n == 0 && h->max - h->n >= FRAME_MIN) {
		if ((n = nghttp2_session_mem_send(h->ng, &p)) < 0)
			return false;
		h->lib_still = n == 0;
		put(h, p, (size_t)n);
	}
	h->lib_ends = nghttp2_session_want_read(h->ng) == 0;
	return true;
}

static void
put_data(struct h2 *h)
{
	struct req *r;
	size_t n;

	while (h->spill.n == 0 && (n = h2_flow_frame(&h->flow, h->dst + h->n,
	    h->max - h->n, &r)) != 0) {
		h->n += n;
		r->progress = h->now;
		if (r->queue.octets != 0)
			continue;
		if (r->ended)
			send_end(h, r);
		else
			req_event(r, REQ_E_DRAINED);
	}
}

static bool
lib_is_still(const struct h2 *h)
{
	return h->lib_still || nghttp2_session_want_write(h->ng) == 0;
}

/* Once all is written it is over. */
static bool
is_ending(const struct conn *c)
{
	const struct h2 *h = c->h2;

	if (h->goodbye == H2_FINAL && TAILQ_EMPTY(&c->reqs))
		return true;
	return h->lib_still ? h->lib_ends :
	    nghttp2_session_want_read(h->ng) == 0;
}

static bool
is_over(const struct conn *c)
{
	const struct h2 *h = c->h2;

	return h->spill.n == 0 && lib_is_still(h) && is_ending(c);
}

long
h2_output(struct conn *c, uint8_t *dst, size_t max)
{
	struct h2 *h = c->h2;
	struct buf old = h->spill;

	h->dst = dst;
	h->n = 0;
	h->max = max;
	h->now = env_now(c->net->env);
	memset(&h->spill, 0, sizeof(h->spill));
	if (old.n > max) {
		memcpy(dst, old.p, max);
		buf_put(&h->spill, old.p + max, old.n - max);
		h->n = max;
	} else
		put(h, old.p, old.n);
	buf_free(&old);
	do {
		if (!h->lib_still && !put_frames(h))
			return -1;
		put_data(h);
	} while (!h->lib_still && h->spill.n == 0 &&
	    h->max - h->n >= FRAME_MIN);
	h->still = h->spill.n == 0 && h->lib_still &&
	    !h2_flow_can_send(&h->flow) && !is_ending(c);
	return (long)h->n;
}

static void
nv_set(nghttp2_nv *nv, const char *name, const char *value)
{
	nv->name = (uint8_t *)(uintptr_t)name;
	nv->namelen = strlen(name);
	nv->value = (uint8_t *)(uintptr_t)value;
	nv->valuelen = strlen(value);
	nv->flags = NGHTTP2_NV_FLAG_NONE;
}

/* Of answers outside Noise; how many.  date is used until they are sent. */
static size_t
nv_outside(const struct req *r, nghttp2_nv *nv, char date[REQ_DATE])
{
	size_t n = 0;

	if (req_date(r, date))
		nv_set(&nv[n++], "date", date);
	if (edge_hsts(r->conn))
		nv_set(&nv[n++], "strict-transport-security", EDGE_HSTS);
	return n;
}

void
h2_respond(struct req *r, const struct req_head *head, bool whole,
    size_t length)
{
	nghttp2_data_provider data = { .source.ptr = r, .read_callback =
	    on_read };
	struct h2 *h = r->conn->h2;
	nghttp2_nv nv[NV_MAX];
	char status[16], size[24], after[16], date[REQ_DATE];
	bool none = whole && r->queue.octets == 0;
	size_t n = 0;

	(void)snprintf(status, sizeof(status), "%u", head->status);
	nv_set(&nv[n++], ":status", status);
	if (req_session(r) == NULL)
		n += nv_outside(r, &nv[n], date);
	if (head->type != NULL)
		nv_set(&nv[n++], "content-type", head->type);
	if (whole && head->status != 204 && head->status != 304) {
		(void)snprintf(size, sizeof(size), "%zu", length);
		nv_set(&nv[n++], "content-length", size);
	}
	if (head->retry_after >= 0) {
		(void)snprintf(after, sizeof(after), "%d", head->retry_after);
		nv_set(&nv[n++], "retry-after", after);
	}
	if (head->other_name != NULL)
		nv_set(&nv[n++], head->other_name, head->other_value);
	if (head->extra_name != NULL)
		nv_set(&nv[n++], head->extra_name, head->extra_value);
	stir(h);
	(void)nghttp2_submit_response(h->ng, r->stream, nv, n,
	    none ? NULL : &data);
}

void
h2_resume(struct req *r)
{
	struct h2 *h = r->conn->h2;

	if (r->queue.octets == 0 && r->ended)
		send_end(h, r);
	h2_flow_offer(&h->flow, r);
	h->still = false;
}

void
h2_abort(struct req *r)
{
	struct h2 *h = r->conn->h2;

	h2_flow_drop(&h->flow, r);
	stir(h);
	(void)nghttp2_submit_rst_stream(h->ng, NGHTTP2_FLAG_NONE, r->stream,
	    NGHTTP2_CANCEL);
}

/* Sessions. */

struct h2_env *
h2_env_new(void)
{
	struct h2_env *e;
	nghttp2_session_callbacks *cb;

	e = xcalloc(1, sizeof(*e));
	if (nghttp2_session_callbacks_new(&e->callbacks) != 0 ||
	    nghttp2_option_new(&e->option) != 0)
		fatalx("no memory for nghttp2");
	cb = e->callbacks;
	nghttp2_session_callbacks_set_on_begin_headers_callback(cb,
	    on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb,
	    on_chunk);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
	nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(cb,
	    on_invalid_frame);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb,
	    on_stream_close);
	nghttp2_session_callbacks_set_on_frame_send_callback(cb, on_sent);
	nghttp2_option_set_max_deflate_dynamic_table_size(e->option, 0);
	nghttp2_option_set_no_closed_streams(e->option, 1);
	nghttp2_option_set_max_outbound_ack(e->option, ACKS_MAX);
	nghttp2_option_set_stream_reset_rate_limit(e->option, RESET_BURST,
	    RESET_RATE);
	nghttp2_option_set_max_continuations(e->option, CONTINUATIONS);
	return e;
}

void
h2_env_free(struct h2_env *e)
{
	if (e == NULL)
		return;
	nghttp2_session_callbacks_del(e->callbacks);
	nghttp2_option_del(e->option);
	free(e);
}

void
h2_new(struct conn *c, struct buf *first)
{
	const nghttp2_settings_entry settings[] = {
		{ NGHTTP2_SETTINGS_HEADER_TABLE_SIZE, 0 },
		{ NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, STREAMS_MAX },
		{ NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE,
		    c->net->conf.header_max }
	};
	struct h2 *h;
	nghttp2_mem mem = { NULL, h2_malloc, h2_mfree, h2_calloc, h2_realloc };

	h = xcalloc(1, sizeof(*h));
	h->conn = c;
	h->spill = *first;
	memset(first, 0, sizeof(*first));
	h2_cut_init(&h->cut, PREFACE);
	h2_flow_init(&h->flow);
	c->h2 = h;
	mem.mem_user_data = h;
	h->making = true;
	if (nghttp2_session_server_new3(&h->ng, c->net->h2->callbacks, h,
	    c->net->h2->option, &mem) != 0)
		fatalx("nghttp2_session_server_new3");
	h->making = false;
	if (nghttp2_submit_settings(h->ng, NGHTTP2_FLAG_NONE, settings,
	    sizeof(settings) / sizeof(settings[0])) != 0)
		fatalx("nghttp2_submit_settings");
}

void
h2_free(struct conn *c)
{
	struct h2 *h = c->h2;
	struct req *r;

	if (h == NULL)
		return;
	while ((r = TAILQ_FIRST(&h->flow.ready)) != NULL)
		h2_flow_drop(&h->flow, r);
	nghttp2_session_del(h->ng);
	buf_free(&h->spill);
	buf_wipe(&h->rest);
	free(h);
	c->h2 = NULL;
}

/* To the library; what it does not want now is kept.  0 or -1. */
static int
feed(struct conn *c, const uint8_t *p, size_t n)
{
	struct h2 *h = c->h2;
	ssize_t used;

	stir(h);
	used = nghttp2_session_mem_recv(h->ng, p, n);
	if (used < 0 || (used != (ssize_t)n && c->room == ROOM_FREE))
		return -1;
	buf_put(&h->rest, p + used, n - (size_t)used);
	return 0;
}

/*
 * A WINDOW_UPDATE that the library need not see: it has a window left of which
 * it uses nothing, and all before this frame was read.
 */
static bool
is_ours(const struct conn *c, const struct h2_piece *o, struct req **r)
{
	nghttp2_session *ng = c->h2->ng;

	*r = NULL;
	if (o->more == 0 || c->room != ROOM_FREE || c->h2->rest.n != 0)
		return false;
	if (o->stream == 0)
		return nghttp2_session_get_remote_window_size(ng) > 0;
	*r = nghttp2_session_get_stream_user_data(ng, (int32_t)o->stream);
	return *r != NULL && nghttp2_session_get_stream_remote_window_size(ng,
	    (int32_t)o->stream) > 0;
}

int
h2_input(struct conn *c, const uint8_t *p, size_t n)
{
	struct h2 *h = c->h2;
	struct h2_piece o;
	struct req *r;
	size_t used;

	h->now = env_now(c->net->env);
	h->still = false;
	while (n != 0) {
		used = h2_cut_next(&h->cut, p, n, &o);
		p += used;
		n -= used;
		if (o.is_window && is_ours(c, &o, &r))
			take_more(h, r, o.more);
		else if (c->room != ROOM_FREE || h->rest.n != 0)
			buf_put(&h->rest, o.p, o.n);
		else if (o.n != 0 && feed(c, o.p, o.n) == -1)
			return -1;
	}
	if (h2_wants_output(c))
		conn_kick(c);
	return 0;
}

int
h2_go_on(struct conn *c)
{
	static const uint8_t nothing;
	struct buf b = c->h2->rest;
	int rc;

	memset(&c->h2->rest, 0, sizeof(c->h2->rest));
	c->h2->now = env_now(c->net->env);
	/* Also with nothing: the library ends the frame it stopped in. */
	rc = feed(c, b.p != NULL ? b.p : &nothing, b.n);
	buf_wipe(&b);
	if (rc == 0 && h2_wants_output(c))
		conn_kick(c);
	return rc;
}

bool
h2_wants_output(const struct conn *c)
{
	const struct h2 *h = c->h2;

	if (h->still)
		return false;
	return h->spill.n != 0 || h2_flow_can_send(&h->flow) ||
	    !lib_is_still(h) || is_over(c);
}

bool
h2_wants_input(const struct conn *c)
{
	return c->h2->lib_still ||
	    nghttp2_session_get_outbound_queue_size(c->h2->ng) < FRAMES_MAX;
}

bool
h2_is_over(const struct conn *c)
{
	return !c->h2->still && is_over(c);
}

/* Goodbye. */

void
h2_shutdown(struct conn *c)
{
	struct h2 *h = c->h2;

	if (h->goodbye != H2_STAYS)
		return;
	stir(h);
	h->goodbye = H2_SAID;
	h->goodbye_at = env_now(c->net->env);
	(void)nghttp2_submit_shutdown_notice(h->ng);
	conn_due(c, h->goodbye_at + H2_GOODBYE_US);
	conn_kick(c);
}

void
h2_say_final(struct conn *c)
{
	struct h2 *h = c->h2;

	stir(h);
	h->goodbye = H2_FINAL;
	h->goodbye_at = env_now(c->net->env);
	(void)nghttp2_submit_goaway(h->ng, NGHTTP2_FLAG_NONE,
	    nghttp2_session_get_last_proc_stream_id(h->ng), NGHTTP2_NO_ERROR,
	    NULL, 0);
	conn_kick(c);
}
