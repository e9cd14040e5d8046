/*
 * From a request for /ts2021 to a confirmed session (protocol.md 1.2, 1.4 to
 * 1.6).  The handshake itself is keyd's.
 */

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/compat/compat.h"
#include "common/enc.h"
#include "common/log.h"
#include "common/secret.h"
#include "worker/net/layers_int.h"

#define PROTOCOL	"tailscale-control-protocol"
#define HANDSHAKE	"X-Tailscale-Handshake"
#define RETRY_US	(200 * US_PER_MS)

static bool
same_nocase(struct slice s, const char *text)
{
	return s.n == strlen(text) && strncasecmp(s.p, text, s.n) == 0;
}

/* One of a comma-separated list of tokens. */
static bool
lists(struct slice s, const char *token)
{
	struct slice item;
	const char *comma;

	while (s.n != 0) {
		comma = memchr(s.p, ',', s.n);
		item = s;
		if (comma != NULL)
			item.n = (size_t)(comma - s.p);
		s.p += item.n;
		s.n -= item.n;
		if (s.n != 0) {
			s.p++;
			s.n--;
		}
		while (item.n != 0 && (*item.p == ' ' || *item.p == '\t')) {
			item.p++;
			item.n--;
		}
		while (item.n != 0 && (item.p[item.n - 1] == ' ' ||
		    item.p[item.n - 1] == '\t'))
			item.n--;
		if (slice_eqs(item, token))
			return true;
	}
	return false;
}

/* The initiation, which is the conn's from now on; false if it is none. */
static bool
take_init(struct conn *c, struct slice text)
{
	uint8_t init[NOISE_INIT];

	if (b64_dec(init, sizeof(init), text) != NOISE_INIT)
		return false;
	c->init = xmalloc(NOISE_INIT);
	memcpy(c->init, init, NOISE_INIT);
	c->session.capver = (uint16_t)(init[0] << 8 | init[1]);
	return true;
}

/* Unauthenticated: only for what has the wrong shape. */
static void
put_error(struct conn *c, const char *text)
{
	struct buf b = { 0 };
	uint8_t head[WS_HEAD_MAX];

	buf_u8(&b, NOISE_T_ERROR);
	buf_u16(&b, (uint16_t)strlen(text));
	buf_str(&b, text);
	if (c->ws != NULL)
		buf_put(&c->out, head, ws_head(head, WS_OP_BINARY, b.n));
	buf_put(&c->out, b.p, b.n);
	buf_free(&b);
}

static void
put_101(struct conn *c)
{
	if (c->ws_head != NULL)
		buf_str(&c->out, c->ws_head);
	else
		buf_str(&c->out, "HTTP/1.1 101 Switching Protocols\r\n"
		    "Upgrade: " PROTOCOL "\r\n"
		    "Connection: upgrade\r\n\r\n");
	free(c->ws_head);
	c->ws_head = NULL;
}

/* NULL, or what the reference server says of it. */
static const char *
malformed(const uint8_t init[NOISE_INIT])
{
	if (init[2] != NOISE_T_INIT)
		return "unexpected handshake message type";
	if (init[3] != 0 || init[4] != NOISE_INIT - 5)
		return "wrong handshake initiation length";
	return NULL;
}

/* The request is over, and HTTP with it. */
static void
begin(struct conn *c, struct req *r)
{
	const char *text;

	http1_free(c);
	req_free(r);
	c->net->count.upgrades++;
	c->state = CONN_WAIT;
	TAILQ_INSERT_TAIL(&c->net->waiting, c, wait);
	if ((text = malformed(c->init)) != NULL) {
		conn_log(c, "upgrade", text);
		put_101(c);
		put_error(c, text);
		c->net->count.noise_no++;
		conn_finish(c, true);
		return;
	}
	ts2021_ask(c->net);
}

static void
refuse(struct conn *c, struct req *r, const char *why)
{
	c->net->count.upgrade_bad++;
	conn_log(c, "upgrade", why);
	req_refuse(r, 400, why);
}

/* The value of a query's key, %-decoded to dst; its length, or -1. */
static long
query_value(struct slice q, const char *key, char *dst, size_t max)
{
	const char *end, *amp, *p;
	size_t n = strlen(key), len = 0;
	uint8_t octet;

	for (p = q.p, end = q.p + q.n; q.n != 0 && p < end; p = amp + 1) {
		if ((amp = memchr(p, '&', (size_t)(end - p))) == NULL)
			amp = end;
		if ((size_t)(amp - p) <= n || strncmp(p, key, n) != 0 ||
		    p[n] != '=')
			continue;
		for (p += n + 1; p < amp && len < max; p++) {
			if (*p != '%') {
				dst[len++] = *p;
				continue;
			}
			if (amp - p < 3 || !hex_dec(&octet, 1,
			    slice_mem(p + 1, 2)))
				return -1;
			dst[len++] = (char)octet;
			p += 2;
		}
		return p < amp ? -1 : (long)len;
	}
	return -1;
}

static void
websocket(struct conn *c, struct req *r)
{
	struct buf b = { 0 };
	char accept[WS_ACCEPT], text[B64_LEN(NOISE_INIT) + 1];
	const char *why = NULL;
	bool offered;
	long n;

	if (!slice_eqs(r->method, "GET") ||
	    !slice_eqs(req_header(r, "sec-websocket-version"), "13") ||
	    !ws_accept(accept, req_header(r, "sec-websocket-key"))) {
		refuse(c, r, "not a websocket handshake");
		return;
	}
	offered = lists(req_header(r, "sec-websocket-protocol"), PROTOCOL);
	buf_printf(&b, "HTTP/1.1 101 Switching Protocols\r\n"
	    "Upgrade: websocket\r\nConnection: Upgrade\r\n"
	    "Sec-WebSocket-Accept: %s\r\n%s\r\n", accept, offered ?
	    "Sec-WebSocket-Protocol: " PROTOCOL "\r\n" : "");
	buf_u8(&b, '\0');
	c->ws_head = (char *)b.p;
	c->ws = xcalloc(1, sizeof(*c->ws));
	c->net->count.websockets++;
	n = query_value(r->query, HANDSHAKE, text, sizeof(text) - 1);
	if (!offered)
		why = "client must speak " PROTOCOL;
	else if (n == -1 || !take_init(c, slice_mem(text, (size_t)n)))
		why = "invalid tailscale handshake parameter";
	if (why == NULL) {
		begin(c, r);
		return;
	}
	c->net->count.upgrade_bad++;
	conn_log(c, "upgrade", why);
	put_101(c);
	ws_close(&c->out, WS_POLICY, why);
	free(c->ws);		/* the close frame is there */
	c->ws = NULL;
	req_free(r);
	conn_finish(c, true);
}

void
ts2021_upgrade(struct conn *c, struct req *r, bool may_upgrade)
{
	struct slice upgrade = req_header(r, "upgrade");
	struct slice init = req_header(r, "x-tailscale-handshake");

	if (c->net->ending)
		refuse(c, r, "server is shutting down");
	else if (upgrade.n == 0 || !may_upgrade)
		refuse(c, r, "missing next protocol");
	else if (http1_minor(c) == 0)
		refuse(c, r, "make request over HTTP/1");
	else if (r->body.n != 0)
		refuse(c, r, "an upgrade has no body");
	else if (same_nocase(upgrade, "websocket"))
		websocket(c, r);
	else if (!same_nocase(upgrade, PROTOCOL) ||
	    !slice_eqs(r->method, "POST"))
		refuse(c, r, "unknown next protocol");
	else if (init.n == 0)
		refuse(c, r, "missing Tailscale handshake header");
	else if (!take_init(c, init))
		refuse(c, r, "invalid tailscale handshake header");
	else
		begin(c, r);
}

/* With keyd. */

static struct conn_list *
numbered(struct net *net, uint32_t number)
{
	return &net->numbered[number % NUMBERED];
}

/* keyd knows it no more, or is not to. */
static void
unnumber(struct conn *c)
{
	TAILQ_REMOVE(numbered(c->net, c->number), c, wait);
}

void
ts2021_ask(struct net *net)
{
	struct conn *c;
	struct msg m;

	while (net->key != NULL && !net->hold &&
	    (c = TAILQ_FIRST(&net->waiting)) != NULL) {
		TAILQ_REMOVE(&net->waiting, c, wait);
		c->state = CONN_ASKED;
		if (++net->number == 0)
			net->number = 1;
		c->number = net->number;
		TAILQ_INSERT_TAIL(numbered(net, c->number), c, wait);
		msg_init(&m, M_KEY_NOISE_ACCEPT);
		m.u.key_noise_accept.conn = c->number;
		memcpy(m.u.key_noise_accept.init, c->init, NOISE_INIT);
		c->key_request = link_request(net->key, &m, c, 0);
	}
}

/* protocol.md 1.6: nobody keeps the private half of the challenge. */
static void
early_payload(struct net *net, struct buf *b)
{
	static const uint8_t magic[] = { 0xff, 0xff, 0xff, 'T', 'S' };
	uint8_t priv[NOISE_KEY], pub[NOISE_KEY];
	char text[KEY_TEXT];
	struct buf json = { 0 };

	env_random(net->env, priv, sizeof(priv));
	noise_clamp(priv);
	noise_public(pub, priv);
	wipe(priv, sizeof(priv));
	key_print(text, KEY_CHALLENGE, pub);
	buf_printf(&json, "{\"nodeKeyChallenge\":\"%s\"}", text);
	buf_put(b, magic, sizeof(magic));
	buf_u32(b, (uint32_t)json.n);
	buf_put(b, json.p, json.n);
	buf_free(&json);
}

void
ts2021_ready(struct conn *c, const struct m_key_noise_ready *m)
{
	struct buf first = { 0 };
	uint8_t head[WS_HEAD_MAX];

	c->key_request = 0;
	c->state = CONN_READY;
	free(c->init);
	c->init = NULL;
	put_101(c);
	if (c->ws != NULL)
		buf_put(&c->out, head, ws_head(head, WS_OP_BINARY,
		    sizeof(m->response)));
	buf_put(&c->out, m->response, sizeof(m->response));
	noise_key_set(&c->tx, m->key_s2c, 0);
	early_payload(c->net, &first);
	h2_new(c, &first);
	conn_process(c);
	conn_kick(c);
}

static void
confirm(struct conn *c, const uint8_t *p, size_t n)
{
	struct msg m;

	c->state = CONN_CONFIRM;
	msg_init(&m, M_KEY_NOISE_CONFIRM);
	m.u.key_noise_confirm.conn = c->number;
	m.u.key_noise_confirm.record = slice_mem(p, n);
	c->key_request = link_request(c->net->key, &m, c, 0);
}

void
ts2021_record(struct conn *c, const uint8_t *p, size_t n)
{
	struct net *net = c->net;
	int len;

	if (c->state == CONN_READY) {
		confirm(c, p, n);
		return;
	}
	len = noise_open(net->noise, &c->rx.key, net->plain, p, n);
	if (len == -1)
		conn_fail(c, &net->count.record_bad, "record does not open");
	else if (len != 0 && h2_input(c, net->plain, (size_t)len) == -1)
		conn_fail(c, &net->count.h2_bad, "http/2 broken");
	if (len > 0)
		wipe(net->plain, (size_t)len);
}

void
ts2021_ok(struct conn *c, const struct m_key_noise_ok *m)
{
	struct net *net = c->net;

	c->key_request = 0;
	unnumber(c);
	c->state = CONN_OPEN;
	c->session.ticket = m->ticket;
	c->confirmed = true;
	noise_key_set(&c->rx.key, m->key_c2s, 1);
	net->nsessions++;
	net->count.sessions++;
	h2_start(c);
	if (m->plain.n != 0 && h2_input(c, (const uint8_t *)m->plain.p,
	    m->plain.n) == -1)
		conn_fail(c, &net->count.h2_bad, "http/2 broken");
	conn_process(c);
	conn_kick(c);
}

void
ts2021_no(struct conn *c, uint8_t why)
{
	struct net *net = c->net;

	c->key_request = 0;
	if (c->state == CONN_ASKED && why == 4) {
		unnumber(c);
		c->state = CONN_WAIT;
		TAILQ_INSERT_TAIL(&net->waiting, c, wait);
		if (!timer_pending(&net->retry))
			timer_in(&net->retry, RETRY_US);
		return;
	}
	net->count.noise_no++;
	if (c->state == CONN_ASKED && why == 1) {
		c->forgotten = true;
		conn_log(c, "upgrade", "keyd: malformed initiation");
		put_101(c);
		put_error(c, "invalid handshake initiation");
		conn_finish(c, true);
		return;
	}
	c->forgotten = true;
	conn_fail(c, NULL, "handshake refused");
}

void
ts2021_gone(struct net *net, uint32_t number)
{
	struct conn *c;

	TAILQ_FOREACH(c, numbered(net, number), wait)
		if (c->number == number)
			break;
	/* Its record may be on the way: the answer to that ends it. */
	if (c == NULL || c->state != CONN_READY)
		return;
	c->forgotten = true;
	conn_fail(c, &net->count.late, "too many silent handshakes");
}

void
ts2021_drop(struct conn *c)
{
	struct net *net = c->net;
	struct msg m;

	unnumber(c);
	if (net->key == NULL || c->forgotten)
		return;
	if (c->key_request != 0)
		link_forget(net->key, c->key_request);
	c->key_request = 0;
	msg_init(&m, M_KEY_NOISE_DROP);
	m.u.key_noise_drop.conn = c->number;
	link_send(net->key, &m);
}

void
ts2021_key_lost(struct conn *c)
{
	struct net *net = c->net;

	c->key_request = 0;
	if (c->state == CONN_ASKED) {
		unnumber(c);
		c->state = CONN_WAIT;
		TAILQ_INSERT_TAIL(&net->waiting, c, wait);
	} else if (c->state == CONN_READY || c->state == CONN_CONFIRM)
		conn_fail(c, &net->count.key_lost, "keyd is away");
}
