/* HTTP/1.1, one request at a time.  The only file that knows llhttp. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <llhttp.h>

#include "common/compat/compat.h"
#include "common/log.h"
#include "worker/net/layers_int.h"

struct http1 {
	llhttp_t	 parser;
	struct conn	*conn;
	struct req	*req;		/* read, with control, or answered */
	struct buf	 url;
	struct buf	 name;
	struct buf	 value;
	size_t		 head;		/* octets of the head so far */
	unsigned int	 hosts;
	bool		 has_head;	/* the head is whole */
	bool		 busy;		/* the request is whole, or refused */
	bool		 complete;
	bool		 upgrade;
	bool		 keep;		/* the connection, after the answer */
	bool		 early;		/* answered before all was read */
	bool		 bodiless;	/* the answer has no body */
	unsigned int	 refuse;	/* status, set by a callback */
	const char	*why;
};

static struct http1 *
of(llhttp_t *p)
{
	return p->data;
}

static int
refuse(struct http1 *h, unsigned int status, const char *why)
{
	h->refuse = status;
	h->why = why;
	return -1;
}

static int
on_url(llhttp_t *p, const char *at, size_t n)
{
	buf_put(&of(p)->url, at, n);
	return 0;
}

static int
on_name(llhttp_t *p, const char *at, size_t n)
{
	buf_put(&of(p)->name, at, n);
	return 0;
}

static int
on_value(llhttp_t *p, const char *at, size_t n)
{
	buf_put(&of(p)->value, at, n);
	return 0;
}

static int
on_value_end(llhttp_t *p)
{
	struct http1 *h = of(p);
	struct slice name = buf_slice_of(&h->name);

	if (h->req->nfields == REQ_FIELDS_MAX)
		return refuse(h, 431, "too many header fields");
	if (name.n == 4 && strncasecmp(name.p, "host", 4) == 0)
		h->hosts++;
	req_field(h->req, h->name.p, h->name.n, h->value.p, h->value.n);
	buf_clear(&h->name);
	buf_clear(&h->value);
	return 0;
}

/* A proxy's form, http://host/path, means the same as /path. */
static struct slice
target_of(const struct buf *url)
{
	struct slice s = buf_slice_of(url);
	size_t skip = 0;
	const char *path;

	if (slice_prefix(s, "http://"))
		skip = 7;
	else if (slice_prefix(s, "https://"))
		skip = 8;
	if (skip == 0)
		return s;
	if ((path = memchr(s.p + skip, '/', s.n - skip)) == NULL)
		return slice_str("/");
	return slice_mem(path, s.n - (size_t)(path - s.p));
}

static int
on_head(llhttp_t *p)
{
	struct http1 *h = of(p);
	struct conn *c = h->conn;
	struct slice target = target_of(&h->url);
	const char *method = llhttp_method_name(llhttp_get_method(p));

	h->has_head = true;
	req_field(h->req, ":method", 7, method, strlen(method));
	req_field(h->req, ":path", 5, target.p, target.n);
	buf_free(&h->url);
	buf_free(&h->name);
	buf_free(&h->value);
	if (p->http_major != 1)
		return refuse(h, 400, "make request over HTTP/1");
	if (h->hosts > 1 || (h->hosts == 0 && p->http_minor != 0))
		return refuse(h, 400, "exactly one Host header is needed");
	if (req_header(h->req, "transfer-encoding").n != 0)
		return refuse(h, 501, "transfer codings are not supported");
	if (llhttp_get_method(p) == HTTP_CONNECT)
		return refuse(h, 501, "this is no proxy");
	if (!req_understand(h->req))
		return refuse(h, 400, "bad request target");
	if (p->content_length > c->net->conf.body_max)
		return refuse(h, 413, "request body too large");
	if (p->content_length != 0 && p->http_minor != 0 &&
	    slice_eqs(req_header(h->req, "expect"), "100-continue")) {
		buf_str(&c->out, "HTTP/1.1 100 Continue\r\n\r\n");
		conn_kick(c);
	}
	return 0;
}

static int
on_body(llhttp_t *p, const char *at, size_t n)
{
	struct http1 *h = of(p);

	if (h->req->body.n + n > h->conn->net->conf.body_max)
		return refuse(h, 413, "request body too large");
	req_body_put(h->req, at, n);
	return 0;
}

/* Stops the parser: what follows waits until this one is answered. */
static int
on_end(llhttp_t *p)
{
	struct http1 *h = of(p);

	h->complete = true;
	h->upgrade = llhttp_get_upgrade(p) != 0;
	h->keep = llhttp_should_keep_alive(p) != 0;
	return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
	.on_url = on_url,
	.on_header_field = on_name,
	.on_header_value = on_value,
	.on_header_value_complete = on_value_end,
	.on_headers_complete = on_head,
	.on_body = on_body,
	.on_message_complete = on_end
};

static void
reset(struct http1 *h)
{
	struct conn *c = h->conn;

	buf_free(&h->url);
	buf_free(&h->name);
	buf_free(&h->value);
	memset(h, 0, sizeof(*h));
	h->conn = c;
	llhttp_init(&h->parser, HTTP_REQUEST, &settings);
	h->parser.data = h;
}

void
http1_new(struct conn *c)
{
	c->http = xcalloc(1, sizeof(*c->http));
	c->http->conn = c;
	reset(c->http);
}

void
http1_free(struct conn *c)
{
	struct http1 *h = c->http;

	if (h == NULL)
		return;
	buf_free(&h->url);
	buf_free(&h->name);
	buf_free(&h->value);
	free(h);
	c->http = NULL;
}

static void
answer_bad(struct http1 *h, unsigned int status, const char *why)
{
	struct net_counters *count = &h->conn->net->count;

	if (status == 413)
		count->body_large++;
	else if (status == 431)
		count->head_large++;
	else
		count->http_bad++;
	conn_log(h->conn, "http", why);
	h->busy = h->early = true;
	h->keep = false;
	req_refuse(h->req, status, why);
}

static void
hand_over(struct conn *c)
{
	struct http1 *h = c->http;
	struct req *r = h->req;

	h->busy = true;
	edge_forwarded(c, r, &r->peer);
	c->peer = r->peer;
	room_whole(r);
	if (slice_eqs(r->path, "/ts2021")) {
		ts2021_upgrade(c, r, h->upgrade);	/* may free h */
		return;
	}
	timer_stop(&c->timer);
	req_event(r, REQ_E_ASK);
}

size_t
http1_input(struct conn *c, const uint8_t *p, size_t n)
{
	struct http1 *h = c->http;
	size_t left;
	llhttp_errno_t err;
	const char *pos;

	if (h->busy)
		return 0;
	if (h->req == NULL)
		h->req = req_new(c, 0);
	if (!h->has_head) {
		left = c->net->conf.header_max > h->head ?
		    c->net->conf.header_max - h->head : 0;
		if (n > left)
			n = left;
	}
	err = llhttp_execute(&h->parser, (const char *)p, n);
	if (err != HPE_OK) {
		pos = llhttp_get_error_pos(&h->parser);
		if (pos != NULL)
			n = (size_t)(pos - (const char *)p);
	}
	if (h->complete)
		hand_over(c);
	else if (h->refuse != 0)
		answer_bad(h, h->refuse, h->why);
	else if (err != HPE_OK)
		answer_bad(h, 400, "malformed request");
	else if (!h->has_head && (h->head += n) >= c->net->conf.header_max)
		answer_bad(h, 431, "request header too large");
	else
		(void)room_check(c);
	return n;
}

/* Answering. */

static const char *
reason(unsigned int status)
{
	static const struct {
		unsigned int	 status;
		const char	*text;
	} t[] = {
		{ 200, "OK" }, { 201, "Created" }, { 204, "No Content" },
		{ 301, "Moved Permanently" }, { 302, "Found" },
		{ 304, "Not Modified" }, { 400, "Bad Request" },
		{ 401, "Unauthorized" }, { 403, "Forbidden" },
		{ 404, "Not Found" }, { 405, "Method Not Allowed" },
		{ 413, "Content Too Large" }, { 426, "Upgrade Required" },
		{ 429, "Too Many Requests" },
		{ 431, "Request Header Fields Too Large" },
		{ 500, "Internal Server Error" }, { 501, "Not Implemented" },
		{ 503, "Service Unavailable" }
	};
	size_t i;

	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++)
		if (t[i].status == status)
			return t[i].text;
	return "";
}

void
http1_respond(struct req *r, const struct req_head *head, bool whole,
    size_t length)
{
	struct conn *c = r->conn;
	struct http1 *h = c->http;
	struct buf *b = &c->out;
	char date[REQ_DATE];

	h->bodiless = head->status == 204 || head->status == 304;
	if (!whole || c->net->ending)
		h->keep = false;
	buf_printf(b, "HTTP/1.1 %u %s\r\n", head->status,
	    reason(head->status));
	if (req_date(r, date))
		buf_printf(b, "Date: %s\r\n", date);
	if (edge_hsts(c))
		buf_str(b, "Strict-Transport-Security: " EDGE_HSTS "\r\n");
	if (head->type != NULL)
		buf_printf(b, "Content-Type: %s\r\n", head->type);
	if (whole && !h->bodiless)
		buf_printf(b, "Content-Length: %zu\r\n", length);
	if (head->retry_after >= 0)
		buf_printf(b, "Retry-After: %d\r\n", head->retry_after);
	if (head->other_name != NULL)
		buf_printf(b, "%s: %s\r\n", head->other_name,
		    head->other_value);
	if (head->extra_name != NULL)
		buf_printf(b, "%s: %s\r\n", head->extra_name,
		    head->extra_value);
	if (!h->keep)
		buf_str(b, "Connection: close\r\n");
	else if (http1_minor(c) == 0)
		buf_str(b, "Connection: keep-alive\r\n");
	buf_str(b, "\r\n");
	if (h->bodiless)
		req_drop_queue(r);
}

static void
answered(struct conn *c)
{
	struct http1 *h = c->http;

	req_free(h->req);
	h->req = NULL;
	if (!h->keep) {
		conn_finish(c, h->early);	/* frees h */
		return;
	}
	reset(h);
	timer_in(&c->timer, c->net->conf.handshake_s * US_PER_S);
}

size_t
http1_output(struct conn *c, uint8_t *dst, size_t max)
{
	struct req *r = c->http->req;
	size_t n;

	if (r == NULL || !r->begun)
		return 0;
	n = r->queue.octets < max ? r->queue.octets : max;
	req_take(r, dst, n);
	r->progress = env_now(c->net->env);
	if (r->queue.octets != 0)
		return n;
	if (r->ended)
		answered(c);
	else if (n != 0)
		req_event(r, REQ_E_DRAINED);
	return n;
}

bool
http1_wants_output(const struct conn *c)
{
	const struct req *r = c->http->req;

	if (!c->http->busy)
		return c->in.n != 0;
	return r != NULL && r->begun && (r->ended || r->queue.octets != 0);
}

bool
http1_is_busy(const struct conn *c)
{
	return c->http->busy;
}

bool
http1_close(struct conn *c)
{
	struct http1 *h = c->http;

	h->keep = false;
	return h->busy && (h->req->ended || h->req->begun);
}

void
http1_tick(struct conn *c)
{
	const struct req *r = c->http->req;
	struct net *net = c->net;
	uint64_t due;

	if (!c->http->busy) {
		conn_fail(c, r == NULL ? NULL : &net->count.late,
		    "no request in time");
		return;
	}
	if (r == NULL || !r->begun || (c->out.n == 0 && r->queue.octets == 0))
		return;
	due = r->progress + net->conf.stall_s * US_PER_S;
	if (env_now(net->env) >= due)
		conn_fail(c, &net->count.stalled, "answer not taken");
	else
		timer_at(&c->timer, due);
}

unsigned int
http1_minor(const struct conn *c)
{
	return c->http->parser.http_minor;
}
