#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/enc.h"
#include "common/log.h"
#include "regress/lib/networld.h"
#include "regress/lib/vectors.h"

#define SLICE		16384
#define SLOT		1
#define GENERATION	100

/* As control. */

static void
keep(struct req *r, void *arg)
{
	struct networld *w = arg;

	w->asked++;
	if (w->on_req != NULL) {
		w->on_req(r, w);
		return;
	}
	if (w->nreqs == NETWORLD_REQS)
		fatalx("too many requests");
	w->reqs[w->nreqs++] = r;
}

static void
on_gone(struct req *r, void *arg)
{
	struct networld *w = arg;
	size_t i;

	w->gone++;
	for (i = 0; i < w->nreqs && w->reqs[i] != r; i++)
		;
	if (i < w->nreqs)
		w->reqs[i] = w->reqs[--w->nreqs];
}

static void
on_drained(struct req *r, void *arg)
{
	struct networld *w = arg;

	(void)r;
	w->drained++;
}

static void
on_kick(struct conn *c, void *arg)
{
	struct networld *w = arg;

	(void)c;
	w->kicks++;
}

void
reply_status(struct req *r, unsigned int status, const char *text)
{
	struct req_head h = { status, "text/plain", -1, NULL, NULL, NULL,
	    NULL };

	req_reply(r, &h, text, strlen(text));
}

void
begin_stream(struct req *r)
{
	struct req_head h = { 200, "application/json", -1, NULL, NULL, NULL,
	    NULL };

	req_begin(r, &h);
}

void
send_octets(struct req *r, size_t n, uint8_t what)
{
	struct frame *f;
	uint8_t *p;

	p = xmalloc(n);
	memset(p, what, n);
	f = frame_new(p, n);
	req_send(r, f);
	frame_unref(f);
	free(p);
}

/* The KEY link. */

static void
worker_msg(struct link *l, const struct msg *m, void *tag, void *arg)
{
	struct networld *w = arg;

	(void)l;
	if (m->type != M_KEY_CERT)	/* not net's business */
		net_key_msg(w->net, m, tag);
}

static void
worker_down(struct link *l, enum link_why why, void *arg)
{
	struct networld *w = arg;

	if (why != LINK_EOF)
		w->nonsense = true;
	net_key_link(w->net, NULL);
	link_free(l);
}

static void
keyd_gets(struct link *l, const struct msg *m, void *tag, void *arg)
{
	struct networld *w = arg;

	(void)tag;
	if (w->keyd == NULL || keyd_msg(w->keyd, l, m) == -1)
		link_violation(l, LINK_BAD_ID);
}

static void
keyd_lost(struct link *l, enum link_why why, void *arg)
{
	struct networld *w = arg;

	(void)why;
	if (w->keyd != NULL)
		keyd_down(w->keyd, l);
	link_free(l);
}

static void
keyd_start(struct networld *w)
{
	struct keyd_conf kc = { 1024, 10000 };
	struct link_conf a, b;
	struct secret *key, *boot;

	key = secret_new(NOISE_KEY);
	(void)hex_dec(secret_data(key), NOISE_KEY, slice_str(VEC_SERVER_PRIV));
	boot = secret_new(32);
	memset(secret_data(boot), 7, 32);
	w->keyd = keyd_new(w->env, &kc, key, boot, ++w->keyd_gen);
	if (w->keyd == NULL)
		fatalx("no keyd");
	pair_confs(&a, &b, LINK_KEY, ROLE_WORKER, ROLE_KEYD, w);
	a.on_msg = worker_msg;
	a.on_down = worker_down;
	b.slot = SLOT;
	b.generation = GENERATION;
	b.on_msg = keyd_gets;
	b.on_down = keyd_lost;
	w->pair = pair_new(w->env, &a, &b);
	keyd_up(w->keyd, pair_link(w->pair, PAIR_B));
	net_key_link(w->net, pair_link(w->pair, PAIR_A));
}

void
networld_keyd(struct networld *w, bool up)
{
	if (w->keyd != NULL) {
		net_key_link(w->net, NULL);
		if (pair_link(w->pair, PAIR_B) != NULL)
			keyd_down(w->keyd, pair_link(w->pair, PAIR_B));
		pair_free(w->pair);
		w->pair = NULL;
		keyd_free(w->keyd);
		w->keyd = NULL;
	}
	if (up)
		keyd_start(w);
}

struct networld *
networld_new(const struct net_conf *conf)
{
	static const struct net_conf usual = { 10, 300, 60, 16384, 1 << 20,
	    10000 };
	struct net_ops ops = { keep, keep, on_gone, on_drained, on_kick,
	    NULL };
	struct networld *w;

	w = xcalloc(1, sizeof(*w));
	ops.arg = w;
	w->fake = fakeenv_new(1);
	w->env = fakeenv_env(w->fake);
	w->net = net_new(w->env, conf != NULL ? conf : &usual, &ops);
	networld_keyd(w, true);
	networld_run(w);
	return w;
}

struct networld *
networld_around(struct fakeenv *fake, struct net *net)
{
	struct networld *w;

	w = xcalloc(1, sizeof(*w));
	w->fake = fake;
	w->env = fakeenv_env(fake);
	w->net = net;
	w->borrowed = true;
	networld_keyd(w, true);
	networld_run(w);
	return w;
}

static void
wire_free(struct wire *x)
{
	if (x->conn != NULL)
		conn_free(x->conn);
	h2_client_free(x->client);
	buf_free(&x->to);
	buf_free(&x->from);
	buf_free(&x->data);
	buf_free(&x->fields);
	free(x);
}

void
networld_free(struct networld *w)
{
	struct wire *x;

	while ((x = w->wires) != NULL) {
		w->wires = x->next;
		wire_free(x);
	}
	networld_keyd(w, false);
	if (!w->borrowed) {
		net_free(w->net);
		fakeenv_free(w->fake);
	}
	free(w);
}

int
networld_setup(void **state)
{
	if (noise_init() == -1)
		return -1;
	*state = networld_new(NULL);
	return 0;
}

int
networld_teardown(void **state)
{
	networld_free(*state);
	return frame_bytes() == 0 ? 0 : -1;
}

struct networld *
networld_fuzz(networld_req *on_req)
{
	static const struct net_conf small = { 10, 300, 60, 1024, 4096, 10 };
	static struct networld *w;

	if (w == NULL && noise_init() == 0) {
		w = networld_new(&small);
		w->on_req = on_req;
	}
	return w;
}

void
networld_pieces(struct networld *w, enum conn_kind kind, const uint8_t *p,
    size_t n)
{
	static const struct ipport peer;
	uint8_t out[20000];
	struct conn *c;
	size_t piece, part, at;

	piece = p[0] == 0 ? n : p[0];
	c = conn_new(w->net, &peer, kind, false, NULL);
	for (at = 1; at < n; at += part) {
		part = n - at < piece ? n - at : piece;
		if (conn_wants_input(c))
			conn_input(c, p + at, part);
		while (conn_wants_output(c) &&
		    conn_output(c, out, sizeof(out)) != 0)
			;
	}
	conn_eof(c);
	conn_free(c);
}

/* Moving. */

static bool
to_server(struct wire *x)
{
	uint8_t b[SLICE];
	size_t max = x->piece != 0 ? x->piece : sizeof(b), n;

	if (x->conn == NULL || x->mute || !conn_wants_input(x->conn))
		return false;
	if (x->client != NULL)
		n = h2_client_output(x->client, b, max);
	else {
		n = x->to.n < max ? x->to.n : max;
		if (n != 0)
			memcpy(b, x->to.p, n);
		buf_drain(&x->to, n);
	}
	if (n == 0)
		return false;
	conn_input(x->conn, b, n);
	return true;
}

static bool
from_server(struct wire *x)
{
	uint8_t b[SLICE];
	size_t n, at, part;
	bool wanted;

	if (x->conn == NULL || x->stuck)
		return false;
	wanted = conn_wants_input(x->conn);
	n = conn_output(x->conn, b, sizeof(b));
	for (at = 0; at < n; at += part) {
		part = x->piece != 0 && x->piece < n - at ? x->piece : n - at;
		if (x->client != NULL)
			h2_client_input(x->client, b + at, part);
		else
			buf_put(&x->from, b + at, part);
	}
	if (conn_is_done(x->conn) && !conn_wants_output(x->conn)) {
		conn_free(x->conn);
		x->conn = NULL;
		x->done = true;
		return true;
	}
	return n != 0 || conn_wants_input(x->conn) != wanted;
}

void
networld_run(struct networld *w)
{
	struct wire *x;
	unsigned int rounds = 0;
	bool any;

	do {
		any = false;
		fakeenv_advance(w->fake, 0);
		if (w->pair != NULL && pair_run(w->pair) != 0)
			any = true;
		if (w->keyd != NULL && keyd_turn(w->keyd))
			any = true;
		for (x = w->wires; x != NULL; x = x->next) {
			any |= to_server(x);
			any |= from_server(x);
		}
		if (++rounds > 10000000)
			fatalx("networld does not come to rest");
	} while (any);
}

void
networld_pass(struct networld *w, uint64_t us)
{
	uint64_t step;

	for (networld_run(w); us != 0; us -= step) {
		step = us < 100 * US_PER_MS ? us : 100 * US_PER_MS;
		fakeenv_advance(w->fake, step);
		networld_run(w);
	}
}

/* Wires. */

static struct wire *
wire_new(struct networld *w)
{
	struct ipport peer = { .addr.family = 4, .addr.b = { 192, 0, 2, 1 },
	    .port = 4711 };
	struct wire *x;

	x = xcalloc(1, sizeof(*x));
	x->world = w;
	x->conn = conn_new(w->net, &peer, CONN_K_PLAIN, false, x);
	x->next = w->wires;
	w->wires = x;
	return x;
}

struct wire *
wire_raw(struct networld *w)
{
	return wire_new(w);
}

void
wire_send(struct wire *x, const char *s)
{
	buf_str(&x->to, s);
	networld_run(x->world);
}

void
wire_close(struct wire *x)
{
	if (x->conn != NULL)
		conn_eof(x->conn);
	networld_run(x->world);
}

static void
on_head(struct h2_client *c, int32_t id, unsigned int status, void *arg)
{
	struct wire *x = arg;

	(void)c;
	(void)id;
	x->heads++;
	x->status = status;
	buf_clear(&x->fields);
}

static void
on_field(struct h2_client *c, int32_t id, struct slice k, struct slice v,
    void *arg)
{
	struct wire *x = arg;

	(void)c;
	(void)id;
	buf_slice(&x->fields, k);
	buf_str(&x->fields, ": ");
	buf_slice(&x->fields, v);
	buf_str(&x->fields, "\n");
}

static void
on_data(struct h2_client *c, int32_t id, const void *p, size_t n, void *arg)
{
	struct wire *x = arg;

	(void)c;
	(void)id;
	buf_put(&x->data, p, n);
}

static void
on_end(struct h2_client *c, int32_t id, uint32_t error, void *arg)
{
	struct wire *x = arg;

	(void)c;
	x->ends++;
	x->last_end = id;
	x->error = error;
}

struct wire *
wire_client(struct networld *w, uint8_t who, const struct h2_client_conf *conf)
{
	struct h2_client_conf hc;
	struct wire *x = wire_new(w);

	memset(&hc, 0, sizeof(hc));
	if (conf != NULL)
		hc = *conf;
	memcpy(hc.server, keyd_public(w->keyd), NOISE_KEY);
	memset(hc.machine, who, NOISE_KEY);
	noise_clamp(hc.machine);
	if (hc.capver == 0)
		hc.capver = 148;
	if (hc.on_head == NULL)
		hc.on_head = on_head;
	if (hc.on_header == NULL)
		hc.on_header = on_field;
	if (hc.on_data == NULL)
		hc.on_data = on_data;
	if (hc.on_end == NULL)
		hc.on_end = on_end;
	hc.arg = x;
	x->client = h2_client_new(w->env, &hc);
	return x;
}

struct wire *
wire_open(struct networld *w, uint8_t who)
{
	struct wire *x = wire_client(w, who, NULL);

	networld_run(w);
	if (h2_client_state(x->client) != H2C_OPEN)
		fatalx("client not open: %s", h2_client_why(x->client));
	return x;
}

unsigned int
wire_ask(struct wire *x, const char *method, const char *path,
    const void *body, size_t n)
{
	unsigned int ends = x->ends;

	buf_clear(&x->data);
	x->status = 0;
	(void)h2_client_request(x->client, method, path, NULL, body, n);
	networld_run(x->world);
	return x->ends == ends ? 0 : x->status;
}
