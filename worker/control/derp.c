#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/enc.h"
#include "common/log.h"
#include "worker/control/derp_int.h"
#include "worker/net/ws.h"

#define STALL_MS	2000		/* derp.md 4.3 */
#define HALF_OPEN	1024		/* logins under way */
#define BURST_MIN	65568		/* a packet and its key */
#define CHALLENGE_MAX	64
#define HEAD_MAX	256
#define OFF_SPREAD_MS	10000	/* in which clients go when it is turned off */

/* A connection of the relay's: its pipe, and its rclient's tag. */
struct derp_pipe {
	struct control	*control;
	struct rclient	*client;
	struct conn	*conn;		/* NULL until it is taken over */
};

static size_t
pipe_input(void *arg, const void *p, size_t n)
{
	return relay_input(((struct derp_pipe *)arg)->client, p, n);
}

static bool
pipe_wants_input(const void *arg)
{
	return relay_wants_input(((const struct derp_pipe *)arg)->client);
}

static size_t
pipe_output(void *arg, uint8_t *dst, size_t max)
{
	return relay_output(((struct derp_pipe *)arg)->client, dst, max);
}

static bool
pipe_wants_output(const void *arg)
{
	return relay_wants_output(((const struct derp_pipe *)arg)->client);
}

static bool
pipe_is_done(const void *arg)
{
	return relay_is_done(((const struct derp_pipe *)arg)->client);
}

static void
pipe_gone(void *arg)
{
	struct derp_pipe *p = arg;

	relay_client_gone(p->client);
	free(p);
}

static void
pipe_progress(void *arg)
{
	relay_progress(((struct derp_pipe *)arg)->client);
}

static const struct pipe_ops pipe_ops = {
	.input = pipe_input,
	.wants_input = pipe_wants_input,
	.output = pipe_output,
	.wants_output = pipe_wants_output,
	.is_done = pipe_is_done,
	.gone = pipe_gone,
	.progress = pipe_progress
};

static void
on_relay_kick(struct rclient *rc, void *arg)
{
	struct derp_pipe *p = relay_client_tag(rc);

	(void)arg;
	if (p->conn != NULL)
		conn_pipe_kick(p->conn);
}

void
derphttp_make(struct control *c)
{
	struct relay_conf conf = { .burst = BURST_MIN, .stall_ms = STALL_MS,
	    .half_open = HALF_OPEN };
	struct relay_ops ops = { on_relay_kick, c };

	if (c->relay != NULL)
		return;
	c->relay = relay_new(c->env, c->slot, &conf, &ops);
	relay_key_link(c->relay, c->key);
	if (c->key_said.type == M_KEY_SERVER)
		relay_key_msg(c->relay, &c->key_said, NULL);
	relay_db_link(c->relay, c->db);
}

void
derphttp_conf(struct control *c, const struct r_relay *r)
{
	struct relay_conf conf = { 0 };

	conf.rate = r->rate;
	conf.burst = r->burst < BURST_MIN ? BURST_MIN : r->burst;
	conf.stall_ms = STALL_MS;
	conf.half_open = HALF_OPEN;
	derphttp_make(c);
	relay_reconf(c->relay, &conf);
	if (c->derp_on && !r->enabled)
		relay_shutdown(c->relay, OFF_SPREAD_MS);
	else if (!c->derp_on && r->enabled)
		relay_resume(c->relay);
	c->derp_on = r->enabled;
	c->derp_plain = r->plain;
}

void
derphttp_free(struct control *c)
{
	relay_free(c->relay);
	c->relay = NULL;
	buf_free(&c->bootstrap);
	verify_end(c);
}

/* Which of the upgrades the client asks for. */
enum upgrade { UP_NONE, UP_RAW, UP_FAST, UP_WS };

static bool
is_nocase(struct slice s, const char *text)
{
	return s.n == strlen(text) && strncasecmp(s.p, text, s.n) == 0;
}

static bool
contains(struct slice s, const char *text)
{
	return memmem(s.p, s.n, text, strlen(text)) != NULL;
}

/* RFC 9110 7.8: who wants one names it among the connection's options. */
static bool
asks_upgrade(const struct req *r)
{
	struct slice s = req_header(r, "connection"), item;
	const char *comma;

	while (s.n != 0) {
		comma = memchr(s.p, ',', s.n);
		item = slice_mem(s.p, comma == NULL ? s.n :
		    (size_t)(comma - s.p));
		s.p += item.n + (comma != NULL);
		s.n -= item.n + (comma != NULL);
		while (item.n != 0 && (*item.p == ' ' || *item.p == '\t')) {
			item.p++;
			item.n--;
		}
		while (item.n != 0 && (item.p[item.n - 1] == ' ' ||
		    item.p[item.n - 1] == '\t'))
			item.n--;
		if (is_nocase(item, "upgrade"))
			return true;
	}
	return false;
}

static enum upgrade
upgrade_of(const struct req *r)
{
	struct slice up = req_header(r, "upgrade");

	if (!asks_upgrade(r))
		return UP_NONE;
	if (is_nocase(up, "websocket"))
		return contains(req_header(r, "sec-websocket-protocol"),
		    "derp") ? UP_WS : UP_RAW;
	if (!is_nocase(up, "derp"))
		return UP_NONE;
	return slice_eqs(req_header(r, "derp-fast-start"), "1") ? UP_FAST :
	    UP_RAW;
}

/* The 101, or nothing (derp.md 1.3 to 1.5); false: no WebSocket key. */
static bool
upgrade_head(const struct control *c, const struct req *r, enum upgrade up,
    char head[HEAD_MAX])
{
	char key[2 * KEY_LEN + 1], accept[WS_ACCEPT];

	head[0] = '\0';
	if (up == UP_FAST)
		return true;
	if (up == UP_WS) {
		if (!ws_accept(accept, req_header(r, "sec-websocket-key")))
			return false;
		(void)snprintf(head, HEAD_MAX,
		    "HTTP/1.1 101 Switching Protocols\r\n"
		    "Upgrade: websocket\r\nConnection: Upgrade\r\n"
		    "Sec-WebSocket-Accept: %s\r\n"
		    "Sec-WebSocket-Protocol: derp\r\n\r\n", accept);
		return true;
	}
	hex_enc(key, relay_key(c->relay), KEY_LEN);
	key[2 * KEY_LEN] = '\0';
	(void)snprintf(head, HEAD_MAX,
	    "HTTP/1.1 101 Switching Protocols\r\n"
	    "Upgrade: DERP\r\nConnection: Upgrade\r\nDerp-Version: 2\r\n"
	    "Derp-Public-Key: %s\r\n\r\n", key);
	return true;
}

static void
take_over(struct control *c, struct req *r, const char *head, bool ws)
{
	const struct ipport *from = req_peer(r);
	struct derp_pipe *p;

	if (net_is_exempt(c->net, &from->addr))
		from = NULL;
	p = xcalloc(1, sizeof(*p));
	p->control = c;
	p->client = relay_client_new(c->relay, from, p);
	if (p->client == NULL) {
		free(p);
		reply_text(r, 503, "too many logins are under way");
		return;
	}
	p->conn = req_pipe(r, head, strlen(head), ws, &pipe_ops, p);
	if (p->conn == NULL) {
		relay_client_gone(p->client);
		free(p);
		reply_text(r, 400, "this connection cannot be upgraded");
		return;
	}
	conn_pipe_kick(p->conn);
}

void
get_derp(struct control *c, struct req *r)
{
	enum upgrade up = upgrade_of(r);
	char head[HEAD_MAX];

	if (c->relay == NULL || !c->derp_on) {
		reply_text(r, 404, "no relay is served here");
		return;
	}
	if (up == UP_NONE || !req_can_pipe(r)) {
		reply_text(r, 426, "DERP requires a connection upgrade, in "
		    "HTTP/1.1");
		return;
	}
	if (!req_is_tls(r) && !c->derp_plain) {
		reply_text(r, 403, "DERP is served over TLS only");
		return;
	}
	if (!relay_is_ready(c->relay)) {
		reply_text(r, 503, "no key yet");
		return;
	}
	if (!upgrade_head(c, r, up, head)) {
		reply_text(r, 400, "Sec-WebSocket-Key is missing or bad");
		return;
	}
	take_over(c, r, head, up == UP_WS);
}

void
get_probe(struct control *c, struct req *r)
{
	struct req_head h = { 200, NULL, -1, "access-control-allow-origin",
	    "*", NULL, NULL };

	if (!c->derp_on) {
		reply_text(r, 404, "no relay is served here");
		return;
	}
	req_reply(r, &h, NULL, 0);
}

/* derp.md 5.2: only what can do no harm in a header comes back. */
static bool
challenge_ok(struct slice s)
{
	static const char good[] = "abcdefghijklmnopqrstuvwxyz"
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:";
	size_t i;

	if (s.n == 0 || s.n > CHALLENGE_MAX)
		return false;
	for (i = 0; i < s.n; i++)
		if (memchr(good, s.p[i], sizeof(good) - 1) == NULL)
			return false;
	return true;
}

void
get_generate_204(struct control *c, struct req *r)
{
	struct req_head h = { 204, NULL, -1, NULL, NULL, "cache-control",
	    "no-cache, no-store, must-revalidate, no-transform, max-age=0" };
	struct slice s = req_header(r, "x-tailscale-challenge");
	char text[CHALLENGE_MAX + sizeof("response ")];

	(void)c;
	if (challenge_ok(s)) {
		(void)snprintf(text, sizeof(text), "response %.*s", (int)s.n,
		    s.p);
		h.extra_name = "x-tailscale-response";
		h.extra_value = text;
	}
	req_reply(r, &h, NULL, 0);
}

void
get_bootstrap_dns(struct control *c, struct req *r)
{
	struct req_head h = { 200, "application/json", -1, NULL, NULL, NULL,
	    NULL };

	req_reply(r, &h, c->bootstrap.p, c->bootstrap.n);
}
