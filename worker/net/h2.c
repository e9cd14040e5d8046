/* HTTP/2 sessions.  The only file that knows nghttp2. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <nghttp2/nghttp2.h>

#include "common/compat/compat.h"
#include "common/log.h"
#include "worker/net/layers_int.h"

#define STREAMS_MAX	250	/* protocol.md 1.7: at least 100 */
#define RESET_BURST	200	/* RST_STREAM of a client: rapid reset */
#define RESET_RATE	20	/* ... a second */
#define CONTINUATIONS	8
#define ACKS_MAX	100	/* of PING and SETTINGS that wait */
#define FRAMES_MAX	512	/* that wait: do not read on */
#define DATA_MAX	16384	/* of one DATA frame, for all clients */
#define FRAME_HEAD	9
#define FRAME_MIN	512	/* room that is worth asking for a frame */
#define DATA_WORTH	1024	/* smaller pieces wait for more room */
#define NV_MAX		8
#define GOODBYE_US	(300 * US_PER_MS)	/* between the two GOAWAYs */

/* The library's own buffer for a frame: see alloc() below. */
#define LIBBUF_MIN	16384
#define LIBBUF_MAX	17408

struct h2_env {
	nghttp2_session_callbacks *callbacks;
	nghttp2_option	*option;
	uint8_t		 libbuf[LIBBUF_MAX];
};

enum goodbye { STAYS, SAID, FINAL };

struct h2 {
	nghttp2_session	*ng;
	struct conn	*conn;
	struct buf	 spill;		/* frames that did not fit */
	struct req_list	 blocked;	/* wait for room, in turn */
	uint8_t		*dst;		/* of the output under way */
	size_t		 n;
	size_t		 max;
	uint64_t	 now;
	uint64_t	 idle_since;
	uint64_t	 goodbye_at;	/* when its last step was made */
	struct buf	 rest;		/* input, while there is no room */
	enum goodbye	 goodbye;
	bool		 making;
	bool		 has_libbuf;
	/* Nothing to write and not over, when it was last looked at. */
	bool		 still;
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

/*
 * Time.  Whoever is known by a session has its own; all others have what they
 * have with HTTP/1.1.
 */

static uint64_t
idle_us(const struct conn *c)
{
	const struct net_conf *conf = &c->net->conf;

	return (c->confirmed ? conf->idle_s : conf->handshake_s) * US_PER_S;
}

/* For all of a request. */
static uint64_t
ask_us(const struct conn *c)
{
	const struct net_conf *conf = &c->net->conf;

	return (c->confirmed ? conf->stall_s : conf->handshake_s) * US_PER_S;
}

/* What a client asks. */

void
h2_last_req(struct conn *c)
{
	struct h2 *h = c->h2;

	h->still = false;
	h->idle_since = env_now(c->net->env);
	conn_due(c, h->idle_since + idle_us(c));
	if (h->goodbye == FINAL)
		conn_kick(c);
}

static int
on_begin_headers(nghttp2_session *ng, const nghttp2_frame *f, void *arg)
{
	struct h2 *h = arg;

	if (f->headers.cat == NGHTTP2_HCAT_REQUEST)
		nghttp2_session_set_stream_user_data(ng, f->hd.stream_id,
		    req_new(h->conn, f->hd.stream_id));
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
		conn_due(h->conn, h->now + ask_us(h->conn));
		return;
	}
	if (req_session(r) == NULL)
		edge_forwarded(h->conn, r, &r->peer);
	room_whole(r);
	if (!r->ended && !r->aborted)
		req_event(r, REQ_E_ASK);
}

static int
on_frame(nghttp2_session *ng, const nghttp2_frame *f, void *arg)
{
	struct h2 *h = arg;
	struct req *r;

	if (f->hd.type == NGHTTP2_RST_STREAM)
		h->conn->net->count.resets++;
	if (f->hd.type != NGHTTP2_HEADERS && f->hd.type != NGHTTP2_DATA)
		return 0;
	r = nghttp2_session_get_stream_user_data(ng, f->hd.stream_id);
	if (r != NULL)
		asked(h, r, f);
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
	if (r->blocked) {
		r->blocked = false;
		TAILQ_REMOVE(&h->blocked, r, stop);
	}
	req_detach(r);
	return 0;
}

/* What we answer. */

/* Answered before all was read: the client need not send the rest. */
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
	if ((f->hd.type != NGHTTP2_HEADERS && f->hd.type != NGHTTP2_DATA) ||
	    (f->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0)
		return 0;
	r = nghttp2_session_get_stream_user_data(ng, f->hd.stream_id);
	if (r != NULL && !r->complete)
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

static ssize_t
on_read(nghttp2_session *ng, int32_t id, uint8_t *dst, size_t length,
    uint32_t *flags, nghttp2_data_source *source, void *arg)
{
	struct h2 *h = arg;
	struct req *r = source->ptr;
	size_t n = r->queue.octets, room = h->max - h->n;

	(void)ng;
	(void)id;
	(void)dst;
	if (r->aborted)
		return NGHTTP2_ERR_DEFERRED;
	if (n == 0) {
		if (r->ended) {
			*flags |= NGHTTP2_DATA_FLAG_EOF;
			return 0;
		}
		r->starved = true;
		return NGHTTP2_ERR_DEFERRED;
	}
	room = room < FRAME_HEAD || h->spill.n != 0 ? 0 : room - FRAME_HEAD;
	if (room < n && room < DATA_WORTH) {
		r->blocked = true;
		TAILQ_INSERT_TAIL(&h->blocked, r, stop);
		return NGHTTP2_ERR_DEFERRED;
	}
	if (n > length)
		n = length;
	if (n > DATA_MAX)
		n = DATA_MAX;
	if (n > room)
		n = room;
	*flags |= NGHTTP2_DATA_FLAG_NO_COPY;
	if (r->ended && n == r->queue.octets)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)n;
}

static int
on_send_data(nghttp2_session *ng, nghttp2_frame *f, const uint8_t *head,
    size_t length, nghttp2_data_source *source, void *arg)
{
	struct h2 *h = arg;
	struct req *r = source->ptr;

	(void)ng;
	(void)f;
	memcpy(h->dst + h->n, head, FRAME_HEAD);
	req_take(r, h->dst + h->n + FRAME_HEAD, length);
	h->n += FRAME_HEAD + length;
	r->progress = h->now;
	if (r->queue.octets == 0 && !r->ended)
		req_event(r, REQ_E_DRAINED);
	return 0;
}

static void
resume_blocked(struct h2 *h)
{
	struct req_list turn;
	struct req *r;

	TAILQ_INIT(&turn);
	TAILQ_CONCAT(&turn, &h->blocked, stop);
	while ((r = TAILQ_FIRST(&turn)) != NULL) {
		TAILQ_REMOVE(&turn, r, stop);
		r->blocked = false;
		(void)nghttp2_session_resume_data(h->ng, r->stream);
	}
}

/* Once all is written it is over. */
static bool
is_ending(const struct conn *c)
{
	return nghttp2_session_want_read(c->h2->ng) == 0 ||
	    (c->h2->goodbye == FINAL && TAILQ_EMPTY(&c->reqs));
}

static bool
is_over(const struct conn *c)
{
	const struct h2 *h = c->h2;

	return h->spill.n == 0 && nghttp2_session_want_write(h->ng) == 0 &&
	    is_ending(c);
}

long
h2_output(struct conn *c, uint8_t *dst, size_t max)
{
	struct h2 *h = c->h2;
	struct buf old = h->spill;
	const uint8_t *p;
	ssize_t n = 0;

	h->dst = dst;
	h->n = 0;
	h->max = max;
	h->now = env_now(c->net->env);
	h->still = false;
	memset(&h->spill, 0, sizeof(h->spill));
	if (old.n > max) {
		memcpy(dst, old.p, max);
		buf_put(&h->spill, old.p + max, old.n - max);
		h->n = max;
	} else
		put(h, old.p, old.n);
	buf_free(&old);
	resume_blocked(h);
	while (h->spill.n == 0 && h->max - h->n >= FRAME_MIN &&
	    (n = nghttp2_session_mem_send(h->ng, &p)) > 0)
		put(h, p, (size_t)n);
	if (n < 0)
		return -1;
	/* With room left it ended because there is nothing more. */
	h->still = h->spill.n == 0 && h->max - h->n >= FRAME_MIN &&
	    TAILQ_EMPTY(&h->blocked) && !is_ending(c);
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
	h->still = false;
	(void)nghttp2_submit_response(h->ng, r->stream, nv, n,
	    none ? NULL : &data);
}

void
h2_resume(struct req *r)
{
	if (!r->starved)
		return;
	r->starved = false;
	r->conn->h2->still = false;
	(void)nghttp2_session_resume_data(r->conn->h2->ng, r->stream);
}

void
h2_abort(struct req *r)
{
	r->conn->h2->still = false;
	(void)nghttp2_submit_rst_stream(r->conn->h2->ng, NGHTTP2_FLAG_NONE,
	    r->stream, NGHTTP2_CANCEL);
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
	nghttp2_session_callbacks_set_send_data_callback(cb, on_send_data);
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
	TAILQ_INIT(&h->blocked);
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
	while ((r = TAILQ_FIRST(&h->blocked)) != NULL) {
		TAILQ_REMOVE(&h->blocked, r, stop);
		r->blocked = false;
	}
	nghttp2_session_del(h->ng);
	buf_free(&h->spill);
	buf_wipe(&h->rest);
	free(h);
	c->h2 = NULL;
}

int
h2_input(struct conn *c, const uint8_t *p, size_t n)
{
	struct h2 *h = c->h2;
	ssize_t used;

	h->now = env_now(c->net->env);
	h->still = false;
	used = nghttp2_session_mem_recv(h->ng, p, n);
	if (used < 0 || (used != (ssize_t)n && c->room == ROOM_FREE))
		return -1;
	buf_put(&h->rest, p + used, n - (size_t)used);
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
	/* Also with nothing: the library ends the frame it stopped in. */
	rc = h2_input(c, b.p != NULL ? b.p : &nothing, b.n);
	buf_wipe(&b);
	return rc;
}

bool
h2_wants_output(const struct conn *c)
{
	const struct h2 *h = c->h2;

	if (h->still)
		return false;
	return h->spill.n != 0 || !TAILQ_EMPTY(&h->blocked) ||
	    nghttp2_session_want_write(h->ng) != 0 || is_over(c);
}

bool
h2_wants_input(const struct conn *c)
{
	return nghttp2_session_get_outbound_queue_size(c->h2->ng) < FRAMES_MAX;
}

bool
h2_is_over(const struct conn *c)
{
	return !c->h2->still && is_over(c);
}

/* Time and goodbye. */

void
h2_start(struct conn *c)
{
	uint64_t now = env_now(c->net->env);

	c->h2->idle_since = now;
	timer_at(&c->timer, now + idle_us(c));
	if (c->net->ending)
		h2_shutdown(c);
}

void
h2_shutdown(struct conn *c)
{
	struct h2 *h = c->h2;

	if (h->goodbye != STAYS)
		return;
	h->still = false;
	h->goodbye = SAID;
	h->goodbye_at = env_now(c->net->env);
	(void)nghttp2_submit_shutdown_notice(h->ng);
	conn_due(c, h->goodbye_at + GOODBYE_US);
	conn_kick(c);
}

static void
say_final(struct conn *c, uint64_t now)
{
	struct h2 *h = c->h2;

	h->still = false;
	h->goodbye = FINAL;
	h->goodbye_at = now;
	(void)nghttp2_submit_goaway(h->ng, NGHTTP2_FLAG_NONE,
	    nghttp2_session_get_last_proc_stream_id(h->ng), NGHTTP2_NO_ERROR,
	    NULL, 0);
	conn_kick(c);
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
	uint64_t may_us = r->complete || r->ended ? stall_us : ask_us(r->conn);

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
	return h->goodbye_at + GOODBYE_US;
}

/* Likewise for one that said goodbye; 0: its last words are not taken. */
static uint64_t
check_goodbye(struct conn *c, uint64_t now)
{
	struct h2 *h = c->h2;
	uint64_t from, stall_us = c->net->conf.stall_s * US_PER_S;

	if (h->goodbye == SAID) {
		if (now < h->goodbye_at + GOODBYE_US)
			return h->goodbye_at + GOODBYE_US;
		say_final(c, now);
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
	if (c->h2->goodbye != STAYS)
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
