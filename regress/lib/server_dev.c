/* Requests and devices of a test server. */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json_read.h"
#include "regress/lib/gojson.h"
#include "regress/lib/server_int.h"

#define WAIT_US		(20 * US_PER_S)
#define STEP_US		(2 * US_PER_MS)

/* Requests. */

struct ask *
ask_send(struct tcp *t, const char *method, const char *path,
    const char *const *fields, const void *body, size_t n)
{
	struct ask *a;

	a = xcalloc(1, sizeof(*a));
	a->tcp = t;
	a->next = t->asks;
	t->asks = a;
	a->id = h2_client_request(t->client, method, path, fields, body, n);
	tcp_kick(t);
	return a;
}

bool
ask_wait(struct ask *a, uint64_t us)
{
	struct server *s = a->tcp->s;
	uint64_t end = server_now(s) + us;

	while (!a->ended && !a->tcp->closed && server_now(s) < end)
		server_pass(s, STEP_US);
	return a->ended;
}

unsigned int
ask_status(struct tcp *t, const char *method, const char *path,
    const void *body, size_t n)
{
	struct ask *a = ask_send(t, method, path, NULL, body, n);

	return ask_wait(a, WAIT_US) ? a->status : 0;
}

const char *
ask_text(const struct ask *a)
{
	static char text[4][4096];
	static unsigned int turn;
	char *dst = text[turn++ % 4];

	snprintf(dst, sizeof(text[0]), "%.*s",
	    SLICE_FMT(buf_slice_of(&a->body)));
	return dst;
}

bool
ask_field(const struct ask *a, const char *line)
{
	char want[256];

	snprintf(want, sizeof(want), "%s\n", line);
	return a->fields.n != 0 && memmem(a->fields.p, a->fields.n, want,
	    strlen(want)) != NULL;
}

void
ask_free(struct ask *a)
{
	size_t i;

	for (i = 0; i < a->nmsg; i++)
		free(a->msg[i]);
	free(a->msg);
	free(a->msg_at);
	mapview_free(a->view);
	buf_free(&a->fields);
	buf_free(&a->body);
	buf_free(&a->in);
	free(a);
}

/* Map streams. */

void
ask_map(struct ask *a, uint64_t self)
{
	a->view = mapview_new(self, true);
}

static void
fault(struct ask *a, const char *why)
{
	if (why != NULL && a->fault[0] == '\0')
		snprintf(a->fault, sizeof(a->fault), "message %zu: %s",
		    a->nmsg, why);
}

static void
message(struct ask *a, const uint8_t *p, size_t n)
{
	const char *text;

	fault(a, mapview_input(a->view, p, n));
	text = mapview_text(a->view);
	fault(a, gojson_check("MapResponse", slice_str(text)));
	a->msg = xrealloc(a->msg, a->nmsg + 1, sizeof(*a->msg));
	a->msg_at = xrealloc(a->msg_at, a->nmsg + 1, sizeof(*a->msg_at));
	a->msg[a->nmsg] = xstrdup(text);
	a->msg_at[a->nmsg++] = server_now(a->tcp->s);
}

void
ask_map_input(struct ask *a, const void *p, size_t n)
{
	const uint8_t *b;
	size_t len;

	buf_put(&a->in, p, n);
	while (a->in.n >= 4) {
		b = a->in.p;
		len = (size_t)b[0] | (size_t)b[1] << 8 | (size_t)b[2] << 16 |
		    (size_t)b[3] << 24;
		if (len == 0 || len > 256u << 20) {
			fault(a, "a message of no size, or of too much");
			buf_clear(&a->in);
			return;
		}
		if (a->in.n < 4 + len)
			return;
		message(a, b, 4 + len);
		buf_drain(&a->in, 4 + len);
	}
}

size_t
ask_count(const struct ask *a, size_t first, const char *text)
{
	size_t i, n = 0;

	for (i = first; i < a->nmsg; i++)
		n += strstr(a->msg[i], text) != NULL;
	return n;
}

const char *
ask_until(struct ask *a, size_t first, const char *text, uint64_t us)
{
	struct server *s = a->tcp->s;
	uint64_t end = server_now(s) + us;
	size_t i;

	for (i = first;;) {
		for (; i < a->nmsg; i++)
			if (strstr(a->msg[i], text) != NULL)
				return a->msg[i];
		if (server_now(s) >= end || a->ended || a->tcp->closed)
			return NULL;
		server_pass(s, STEP_US);
	}
}

/* Devices. */

static void
random_key(struct server *s, char *dst, enum key_kind kind)
{
	uint8_t k[KEY_LEN];

	env_random(server_env(s), k, sizeof(k));
	key_print(dst, kind, k);
}

struct dev *
dev_new(struct server *s, const char *host, const char *auth)
{
	struct dev *d;

	d = xcalloc(1, sizeof(*d));
	d->s = s;
	env_random(server_env(s), d->machine, sizeof(d->machine));
	noise_clamp(d->machine);
	random_key(s, d->node_key, KEY_NODE);
	dev_new_disco(d);
	strlcpy(d->host, host, sizeof(d->host));
	if (auth != NULL)
		strlcpy(d->auth, auth, sizeof(d->auth));
	d->endpoints = "\"198.51.100.7:41641\",\"192.168.0.7:41641\"";
	d->expiry = "0001-01-01T00:00:00Z";
	d->derp = 900;
	d->capver = 148;
	d->next = s->devs;
	s->devs = d;
	return d;
}

void
dev_rotate(struct dev *d)
{
	memcpy(d->old_key, d->node_key, sizeof(d->old_key));
	random_key(d->s, d->node_key, KEY_NODE);
}

void
dev_new_disco(struct dev *d)
{
	random_key(d->s, d->disco, KEY_DISCO);
}

static void
put_hostinfo(const struct dev *d, struct buf *b)
{
	buf_printf(b, "{\"IPNVersion\":\"1.104.5-t0\",\"BackendLogID\":"
	    "\"00aa\",\"OS\":\"linux\",\"Hostname\":\"%s\",\"Services\":[{"
	    "\"Proto\":\"peerapi4\",\"Port\":4321}]", d->host);
	if (d->derp != 0)
		buf_printf(b, ",\"NetInfo\":{\"PreferredDERP\":%u,"
		    "\"WorkingUDP\":true,\"DERPLatency\":{\"900-v4\":0.01}}",
		    d->derp);
	if (d->extra != NULL)
		buf_printf(b, ",%s", d->extra);
	buf_str(b, "}");
}

void
dev_reg_body(const struct dev *d, struct buf *b)
{
	static const uint8_t zero[KEY_LEN];
	char none[KEY_TEXT];

	key_print(none, KEY_NODE, zero);
	buf_printf(b, "{\"Version\":%u,\"NodeKey\":\"%s\",\"OldNodeKey\":"
	    "\"%s\",", d->capver, d->node_key, d->old_key[0] != '\0' ?
	    d->old_key : none);
	key_print(none, KEY_NL, zero);
	buf_printf(b, "\"NLKey\":\"%s\",", none);
	if (d->auth[0] != '\0')
		buf_printf(b, "\"Auth\":{\"AuthKey\":\"%s\"},", d->auth);
	buf_printf(b, "\"Expiry\":\"%s\",\"Followup\":\"\",\"Hostinfo\":",
	    d->expiry);
	put_hostinfo(d, b);
	if (d->ephemeral)
		buf_str(b, ",\"Ephemeral\":true");
	buf_str(b, ",\"NodeKeySignature\":null}");
}

void
dev_map_body(const struct dev *d, struct buf *b, bool stream, bool omit)
{
	buf_printf(b, "{\"Version\":%u,\"Compress\":\"zstd\",\"KeepAlive\":"
	    "true,\"NodeKey\":\"%s\",\"DiscoKey\":\"%s\",\"Stream\":%s,"
	    "\"OmitPeers\":%s,\"Hostinfo\":", d->capver, d->node_key,
	    d->disco, stream ? "true" : "false", omit ? "true" : "false");
	put_hostinfo(d, b);
	if (d->endpoints != NULL)
		buf_printf(b, ",\"Endpoints\":[%s]", d->endpoints);
	buf_str(b, "}");
}

struct tcp *
dev_tcp(struct dev *d)
{
	if (d->tcp == NULL || d->tcp->closed || d->tcp->conn == NULL) {
		d->stream = NULL;
		d->tcp = tcp_open(d->s, d->slot, d->machine, d->capver);
	}
	return d->tcp;
}

void
dev_drop(struct dev *d)
{
	if (d->tcp != NULL)
		tcp_close(d->tcp);
	d->tcp = NULL;
	d->stream = NULL;
}

static struct ask *
send_body(struct dev *d, const char *path, struct buf *b)
{
	struct ask *a = NULL;

	if (dev_tcp(d) != NULL)
		a = ask_send(d->tcp, "POST", path, NULL, b->p, b->n);
	buf_free(b);
	if (a == NULL)
		world_fail(d->s->w, "%s has no connection", d->host);
	return a;
}

struct ask *
dev_register(struct dev *d)
{
	struct buf b = { 0 };
	struct ask *a;

	dev_reg_body(d, &b);
	if ((a = send_body(d, "/machine/register", &b)) != NULL)
		(void)ask_wait(a, WAIT_US);
	return a;
}

const char *
dev_refusal(const struct ask *a)
{
	static char text[512];
	struct slice s = { NULL, 0 };
	struct jdoc *doc;
	const char *why;

	text[0] = '\0';
	if ((why = gojson_check("RegisterResponse",
	    buf_slice_of(&a->body))) != NULL) {
		snprintf(text, sizeof(text), "the answer is nonsense: %s",
		    why);
		return text;
	}
	doc = json_read(a->body.p, a->body.n, 1 << 20, NULL, NULL);
	if (jval_str(jval_get(jdoc_root(doc), "Error"), &s))
		slice_copy(text, sizeof(text), s);
	jdoc_free(doc, false);
	return text;
}

bool
dev_login(struct dev *d)
{
	struct ask *a = dev_register(d);
	struct truth t;

	if (a == NULL || !a->ended || a->status != 200 ||
	    dev_refusal(a)[0] != '\0' || !server_node(d->s, d->node_key, &t))
		return false;
	d->id = t.id;
	return true;
}

struct ask *
dev_lite(struct dev *d)
{
	struct buf b = { 0 };
	struct ask *a;

	dev_map_body(d, &b, false, true);
	if ((a = send_body(d, "/machine/map", &b)) != NULL)
		(void)ask_wait(a, WAIT_US);
	return a;
}

bool
dev_stream(struct dev *d)
{
	struct buf b = { 0 };

	dev_map_body(d, &b, true, false);
	if ((d->stream = send_body(d, "/machine/map", &b)) == NULL)
		return false;
	ask_map(d->stream, d->id);
	return ask_until(d->stream, 0, "\"Node\":", WAIT_US) != NULL;
}

bool
dev_join(struct dev *d)
{
	struct ask *a;

	if (!dev_login(d) || !dev_stream(d))
		return false;
	a = dev_lite(d);
	return a != NULL && a->ended && a->status == 200;
}

const char *
server_fault(const struct server *s)
{
	const struct tcp *t;
	const struct ask *a;

	for (t = s->tcps; t != NULL; t = t->next)
		for (a = t->asks; a != NULL; a = a->next)
			if (a->fault[0] != '\0' && a->view != NULL)
				return a->fault;
	return "";
}

void
body_change(struct buf *b, const char *from, const char *to)
{
	struct buf old = *b;
	uint8_t *at = NULL;
	size_t head;

	if (old.n != 0)
		at = memmem(old.p, old.n, from, strlen(from));
	if (at == NULL) {
		printf("body has no %s\n", from);
		abort();
	}
	head = (size_t)(at - old.p);
	memset(b, 0, sizeof(*b));
	buf_put(b, old.p, head);
	buf_str(b, to);
	buf_put(b, at + strlen(from), old.n - head - strlen(from));
	buf_free(&old);
}
