#include <stdlib.h>
#include <string.h>

#include <nghttp2/nghttp2.h>

#include "common/compat/compat.h"
#include "common/enc.h"
#include "common/log.h"
#include "regress/lib/h2_client.h"
#include "regress/lib/noise_client.h"

#define NV_MAX	128	/* fields of a request */
#define HEAD_MAX	8192
#define EARLY_MAX	(64 * 1024)

struct body {
	TAILQ_ENTRY(body)	 entry;
	struct buf		 b;
	size_t			 at;
};

struct h2_client {
	struct env		*env;
	struct h2_client_conf	 conf;
	enum h2_client_state	 state;
	struct noise		*noise;
	struct noise_client	 nc;
	nghttp2_session		*ng;
	struct buf		 in;		/* from the server */
	struct buf		 records;	/* the same without WebSocket */
	struct buf		 out;
	struct buf		 early;
	bool			 early_done;
	bool			 early_there;
	unsigned int		 status;
	char			 why[256];
	unsigned int		 goaways;
	int32_t			 last_stream;
	TAILQ_HEAD(, body)	 bodies;
};

static void
die(struct h2_client *c, const char *why, size_t n)
{
	if (c->state == H2C_DEAD)
		return;
	c->state = H2C_DEAD;
	if (n > sizeof(c->why) - 1)
		n = sizeof(c->why) - 1;
	memcpy(c->why, why, n);
	c->why[n] = '\0';
}

static void
dies(struct h2_client *c, const char *why)
{
	die(c, why, strlen(why));
}

/* Output. */

static void
send_raw(struct h2_client *c, const void *p, size_t n)
{
	const uint8_t *from = p;
	uint8_t mask[4];
	size_t i;

	if (!c->conf.websocket || c->state == H2C_HTTP) {
		buf_put(&c->out, p, n);
		return;
	}
	env_random(c->env, mask, sizeof(mask));
	buf_u8(&c->out, 0x82);
	if (n < 126)
		buf_u8(&c->out, (uint8_t)(0x80 | n));
	else {
		buf_u8(&c->out, 0x80 | 126);
		buf_u16(&c->out, (uint16_t)n);
	}
	buf_put(&c->out, mask, sizeof(mask));
	for (i = 0; i < n; i++)
		buf_u8(&c->out, from[i] ^ mask[i & 3]);
}

void
h2_client_record(struct h2_client *c, const void *p, size_t n)
{
	uint8_t rec[NOISE_RECORD];

	if (c->conf.bare) {
		send_raw(c, p, n);
		return;
	}
	send_raw(c, rec, noise_seal(c->noise, &c->nc.tx, rec, p, n));
}

void
h2_client_raw(struct h2_client *c, const void *p, size_t n)
{
	send_raw(c, p, n);
}

void
h2_client_flush(struct h2_client *c)
{
	struct buf plain = { 0 };
	const uint8_t *p;
	size_t at, part;
	ssize_t n;

	if (c->ng == NULL || c->state != H2C_OPEN)
		return;
	while ((n = nghttp2_session_mem_send(c->ng, &p)) > 0)
		buf_put(&plain, p, (size_t)n);
	for (at = 0; at < plain.n; at += part) {
		part = plain.n - at;
		if (part > NOISE_PLAIN)
			part = NOISE_PLAIN;
		h2_client_record(c, plain.p + at, part);
	}
	buf_free(&plain);
}

size_t
h2_client_output(struct h2_client *c, uint8_t *dst, size_t max)
{
	size_t n;

	h2_client_flush(c);
	n = c->out.n < max ? c->out.n : max;
	if (n != 0)
		memcpy(dst, c->out.p, n);
	buf_drain(&c->out, n);
	return n;
}

static void
url_escape(struct buf *b, const char *s)
{
	for (; *s != '\0'; s++)
		if (*s == '+' || *s == '/' || *s == '=')
			buf_printf(b, "%%%02X", (unsigned int)*s);
		else
			buf_u8(b, (uint8_t)*s);
}

static void
say_hello(struct h2_client *c, const uint8_t init[NOISE_INIT])
{
	char text[B64_LEN(NOISE_INIT) + 1], key[B64_LEN(16) + 1];
	uint8_t nonce[16];

	b64_enc(text, init, NOISE_INIT);
	if (!c->conf.websocket) {
		buf_printf(&c->out, "POST /ts2021 HTTP/1.1\r\n"
		    "Host: control.example:80\r\n"
		    "User-Agent: Go-http-client/1.1\r\n"
		    "Content-Length: 0\r\n"
		    "Connection: upgrade\r\n"
		    "Upgrade: tailscale-control-protocol\r\n"
		    "X-Tailscale-Handshake: %s\r\n\r\n", text);
		return;
	}
	env_random(c->env, nonce, sizeof(nonce));
	b64_enc(key, nonce, sizeof(nonce));
	buf_str(&c->out, "GET /ts2021?X-Tailscale-Handshake=");
	url_escape(&c->out, text);
	buf_printf(&c->out, " HTTP/1.1\r\nHost: control.example\r\n"
	    "Origin: https://elsewhere.example\r\n"
	    "Connection: Upgrade\r\nUpgrade: websocket\r\n"
	    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n"
	    "Sec-WebSocket-Protocol: tailscale-control-protocol\r\n\r\n", key);
}

/* HTTP/2. */

static int
on_header(nghttp2_session *ng, const nghttp2_frame *f, const uint8_t *name,
    size_t nname, const uint8_t *value, size_t nvalue, uint8_t flags, void *arg)
{
	struct h2_client *c = arg;
	struct slice k = slice_mem(name, nname), v = slice_mem(value, nvalue);
	unsigned int status = 0;
	size_t i;

	(void)ng;
	(void)flags;
	if (slice_eqs(k, ":status") && c->conf.on_head != NULL) {
		for (i = 0; i < nvalue; i++)
			status = status * 10 + (unsigned int)(value[i] - '0');
		c->conf.on_head(c, f->hd.stream_id, status, c->conf.arg);
	} else if (c->conf.on_header != NULL)
		c->conf.on_header(c, f->hd.stream_id, k, v, c->conf.arg);
	return 0;
}

static int
on_chunk(nghttp2_session *ng, uint8_t flags, int32_t id, const uint8_t *p,
    size_t n, void *arg)
{
	struct h2_client *c = arg;

	(void)ng;
	(void)flags;
	if (c->conf.on_data != NULL)
		c->conf.on_data(c, id, p, n, c->conf.arg);
	return 0;
}

static int
on_frame(nghttp2_session *ng, const nghttp2_frame *f, void *arg)
{
	struct h2_client *c = arg;

	(void)ng;
	if (f->hd.type == NGHTTP2_GOAWAY) {
		c->goaways++;
		c->last_stream = f->goaway.last_stream_id;
	}
	return 0;
}

static int
on_close(nghttp2_session *ng, int32_t id, uint32_t code, void *arg)
{
	struct h2_client *c = arg;
	struct body *b;

	if ((b = nghttp2_session_get_stream_user_data(ng, id)) != NULL) {
		TAILQ_REMOVE(&c->bodies, b, entry);
		buf_free(&b->b);
		free(b);
	}
	if (c->conf.on_end != NULL)
		c->conf.on_end(c, id, code, c->conf.arg);
	return 0;
}

static ssize_t
read_body(nghttp2_session *ng, int32_t id, uint8_t *dst, size_t max,
    uint32_t *flags, nghttp2_data_source *source, void *arg)
{
	struct body *b = source->ptr;
	size_t n = b->b.n - b->at;

	(void)ng;
	(void)id;
	(void)arg;
	if (n > max)
		n = max;
	if (n != 0)
		memcpy(dst, b->b.p + b->at, n);
	b->at += n;
	if (b->at == b->b.n)
		*flags |= NGHTTP2_DATA_FLAG_EOF;
	return (ssize_t)n;
}

static void
h2_begin(struct h2_client *c)
{
	const nghttp2_settings_entry iv[] = {
		{ NGHTTP2_SETTINGS_ENABLE_PUSH, 0 },
		{ NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE,
		    c->conf.window != 0 ? c->conf.window : 4194304 },
		{ NGHTTP2_SETTINGS_MAX_FRAME_SIZE, 1048576 },
		{ NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, 10485760 }
	};
	nghttp2_session_callbacks *cb;
	nghttp2_option *opt;

	if (nghttp2_session_callbacks_new(&cb) != 0 ||
	    nghttp2_option_new(&opt) != 0)
		fatalx("no memory for nghttp2");
	nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb,
	    on_chunk);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_close);
	nghttp2_option_set_no_auto_window_update(opt, c->conf.window != 0);
	if (nghttp2_session_client_new2(&c->ng, cb, c, opt) != 0 ||
	    nghttp2_submit_settings(c->ng, NGHTTP2_FLAG_NONE, iv,
	    sizeof(iv) / sizeof(iv[0])) != 0 ||
	    nghttp2_session_set_local_window_size(c->ng, NGHTTP2_FLAG_NONE, 0,
	    1 << 30) != 0)
		fatalx("nghttp2 client");
	nghttp2_session_callbacks_del(cb);
	nghttp2_option_del(opt);
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

int32_t
h2_client_request(struct h2_client *c, const char *method, const char *path,
    const char *const *fields, const void *p, size_t n)
{
	nghttp2_data_provider data = { .read_callback = read_body };
	struct body *b;
	nghttp2_nv nv[NV_MAX];
	size_t i, k = 0;
	int32_t id;

	nv_set(&nv[k++], ":method", method);
	nv_set(&nv[k++], ":scheme", "https");
	nv_set(&nv[k++], ":authority", "unused");
	nv_set(&nv[k++], ":path", path);
	nv_set(&nv[k++], "accept-encoding", "gzip");
	for (i = 0; fields != NULL && fields[i] != NULL && k < NV_MAX; i += 2)
		nv_set(&nv[k++], fields[i], fields[i + 1]);
	b = xcalloc(1, sizeof(*b));
	buf_put(&b->b, p, n);
	TAILQ_INSERT_TAIL(&c->bodies, b, entry);
	data.source.ptr = b;
	id = nghttp2_submit_request(c->ng, NULL, nv, k, n == 0 ? NULL : &data,
	    b);
	if (id < 0)
		fatalx("nghttp2_submit_request: %s", nghttp2_strerror(id));
	return id;
}

void
h2_client_cancel(struct h2_client *c, int32_t id)
{
	(void)nghttp2_submit_rst_stream(c->ng, NGHTTP2_FLAG_NONE, id,
	    NGHTTP2_CANCEL);
}

void
h2_client_read(struct h2_client *c, int32_t id, size_t n)
{
	(void)nghttp2_session_consume(c->ng, id, n);
}

/* Input. */

/* The first line's status and the end of the head; false: more is needed. */
static bool
http_head(struct h2_client *c)
{
	static const char begin[] = "HTTP/1.1 ";
	struct slice s = buf_slice_of(&c->in);
	const char *end;
	size_t n;

	end = s.n == 0 ? NULL : memmem(s.p, s.n, "\r\n\r\n", 4);
	if (end == NULL) {
		if (s.n > HEAD_MAX)
			dies(c, "endless head");
		return false;
	}
	if (!slice_prefix(s, begin) || s.n < sizeof(begin) + 3) {
		dies(c, "not HTTP/1.1");
		return false;
	}
	n = sizeof(begin) - 1;
	c->status = (unsigned int)((s.p[n] - '0') * 100 +
	    (s.p[n + 1] - '0') * 10 + s.p[n + 2] - '0');
	n = (size_t)(end - s.p) + 4;
	if (c->status != 101) {
		die(c, s.p + n, s.n - n);
		return false;
	}
	if (memmem(s.p, n, c->conf.websocket ?
	    "\r\nSec-WebSocket-Protocol: tailscale-control-protocol\r\n" :
	    "\r\nUpgrade: tailscale-control-protocol\r\n",
	    c->conf.websocket ? 54 : 39) == NULL) {
		dies(c, "upgraded to something else");
		return false;
	}
	buf_drain(&c->in, n);
	c->state = H2C_RESPONSE;
	return true;
}

/* Takes the server's WebSocket frames apart. */
static void
unframe(struct h2_client *c)
{
	const uint8_t *p = c->in.p;
	size_t n, head;

	while (c->state != H2C_DEAD && c->in.n >= 2) {
		n = p[1];
		head = 2;
		if (n == 126) {
			if (c->in.n < 4)
				return;
			n = (size_t)p[2] << 8 | p[3];
			head = 4;
		}
		if (n > 65535 || (p[0] != 0x82 && p[0] != 0x88 &&
		    p[0] != 0x8a)) {
			dies(c, "bad websocket frame");
			return;
		}
		if (c->in.n < head + n)
			return;
		if (p[0] == 0x88)
			die(c, "websocket closed", 16);
		else if (p[0] == 0x82)
			buf_put(&c->records, p + head, n);
		buf_drain(&c->in, head + n);
	}
}

static bool
response(struct h2_client *c)
{
	const uint8_t *p = c->records.p;
	size_t n;

	if (c->records.n < NOISE_HEAD)
		return false;
	n = NOISE_HEAD + ((size_t)p[1] << 8 | p[2]);
	if (c->records.n < n)
		return false;
	if (p[0] == NOISE_T_ERROR) {
		die(c, (const char *)p + NOISE_HEAD, n - NOISE_HEAD);
		return false;
	}
	if (n != NOISE_RESP || !noise_client_finish(&c->nc, p)) {
		dies(c, "bad noise response");
		return false;
	}
	buf_drain(&c->records, n);
	c->state = H2C_OPEN;
	h2_begin(c);
	return true;
}

/* What comes before HTTP/2: magic, length, JSON (protocol.md 1.6). */
static void
early(struct h2_client *c, const uint8_t *p, size_t n)
{
	static const uint8_t magic[] = { 0xff, 0xff, 0xff, 'T', 'S' };
	struct buf all;
	size_t len;

	buf_put(&c->early, p, n);
	if (c->early.n < 9)
		return;
	p = c->early.p;
	len = 0;
	if (memcmp(p, magic, sizeof(magic)) == 0) {
		len = (size_t)p[5] << 24 | (size_t)p[6] << 16 |
		    (size_t)p[7] << 8 | p[8];
		if (len > EARLY_MAX) {
			dies(c, "early payload too long");
			return;
		}
		len += 9;
		c->early_there = true;
	}
	if (c->early.n < len)
		return;
	c->early_done = true;
	all = c->early;
	memset(&c->early, 0, sizeof(c->early));
	buf_put(&c->early, all.p, len);
	if (all.n > len && nghttp2_session_mem_recv(c->ng, all.p + len,
	    all.n - len) < 0)
		dies(c, "http/2 broken by the server");
	buf_free(&all);
}

static void
plain(struct h2_client *c, const uint8_t *p, size_t n)
{
	if (!c->early_done)
		early(c, p, n);
	else if (nghttp2_session_mem_recv(c->ng, p, n) < 0)
		dies(c, "http/2 broken by the server");
	else if (nghttp2_session_want_read(c->ng) == 0 && c->goaways == 0)
		dies(c, "the server broke HTTP/2's rules");
}

static void
open_records(struct h2_client *c)
{
	uint8_t clear[NOISE_PLAIN];
	size_t len, at = 0;
	int n;

	while (c->state == H2C_OPEN && c->records.n - at >= NOISE_HEAD) {
		if ((len = noise_record_len(c->records.p + at)) == 0) {
			dies(c, "bad record");
			break;
		}
		if (c->records.n - at < len)
			break;
		n = noise_open(c->noise, &c->nc.rx, clear, c->records.p + at,
		    len);
		at += len;
		if (n == -1)
			dies(c, "record does not open");
		else
			plain(c, clear, (size_t)n);
	}
	buf_drain(&c->records, at);
}

void
h2_client_input(struct h2_client *c, const void *p, size_t n)
{
	if (c->state == H2C_DEAD)
		return;
	if (c->conf.bare) {
		plain(c, p, n);
		return;
	}
	buf_put(&c->in, p, n);
	if (c->state == H2C_HTTP && !http_head(c))
		return;
	if (c->conf.websocket)
		unframe(c);
	else {
		buf_put(&c->records, c->in.p, c->in.n);
		buf_clear(&c->in);
	}
	if (c->state == H2C_RESPONSE && !response(c))
		return;
	open_records(c);
}

struct h2_client *
h2_client_new(struct env *env, const struct h2_client_conf *conf)
{
	struct h2_client *c;
	uint8_t init[NOISE_INIT], eph[NOISE_KEY];

	c = xcalloc(1, sizeof(*c));
	c->env = env;
	c->conf = *conf;
	TAILQ_INIT(&c->bodies);
	if (conf->bare) {
		c->state = H2C_OPEN;
		c->early_done = true;
		h2_begin(c);
		return c;
	}
	c->noise = noise_new();
	env_random(env, eph, sizeof(eph));
	noise_clamp(eph);
	if (!noise_client_start(&c->nc, c->noise, conf->capver, conf->server,
	    conf->machine, eph, init))
		fatalx("server key of low order");
	say_hello(c, init);
	return c;
}

void
h2_client_free(struct h2_client *c)
{
	struct body *b;

	if (c == NULL)
		return;
	nghttp2_session_del(c->ng);
	while ((b = TAILQ_FIRST(&c->bodies)) != NULL) {
		TAILQ_REMOVE(&c->bodies, b, entry);
		buf_free(&b->b);
		free(b);
	}
	noise_client_wipe(&c->nc);
	noise_free(c->noise);
	buf_free(&c->in);
	buf_free(&c->records);
	buf_free(&c->out);
	buf_free(&c->early);
	free(c);
}

enum h2_client_state
h2_client_state(const struct h2_client *c)
{
	return c->state;
}

const char *
h2_client_why(const struct h2_client *c)
{
	return c->why;
}

unsigned int
h2_client_status(const struct h2_client *c)
{
	return c->status;
}

struct slice
h2_client_early(const struct h2_client *c)
{
	if (!c->early_done || !c->early_there)
		return slice_mem(NULL, 0);
	return slice_mem(c->early.p + 9, c->early.n - 9);
}

unsigned int
h2_client_goaways(const struct h2_client *c)
{
	return c->goaways;
}

int32_t
h2_client_last_stream(const struct h2_client *c)
{
	return c->last_stream;
}
