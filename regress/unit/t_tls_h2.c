/* HTTP/2 over TLS, outside Noise; and what all answers over TLS say. */

#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/ssl.h>

#include "common/enc.h"
#include "regress/lib/tlsh2.h"
#include "worker/net/layers_int.h"

#define F_DATA		0
#define F_HEADERS	1
#define F_RST		3
#define F_SETTINGS	4
#define F_PING		6
#define F_CONT		9
#define END_STREAM	1
#define END_HEADERS	4

#define HSTS		"strict-transport-security: max-age=31536000\n"
#define HSTS_1		"\r\nStrict-Transport-Security: max-age=31536000\r\n"

/* GET https://a/, after the table's size that RFC 7541 4.2 asks for. */
#define GET		"\x20\x82\x87\x84\x01\x01""a"

/* Who asks, for the answer; nobody here has a session. */
static void
on_req(struct req *r, struct networld *w)
{
	char text[IP_TEXT];

	(void)w;
	assert_null(req_session(r));
	assert_true(req_is_tls(r));
	ip_print(text, &req_peer(r)->addr);
	reply_status(r, 200, text);
}

static void
keep(struct req *r, struct networld *w)
{
	assert_null(req_session(r));
	assert_true(w->nreqs < NETWORLD_REQS);
	w->reqs[w->nreqs++] = r;
}

static int
setup(void **state)
{
	struct tlsworld *x;

	if (tw_setup(state) == -1)
		return -1;
	x = *state;
	x->w->on_req = on_req;
	return 0;
}

static int
teardown(void **state)
{
	(void)tw_teardown(state);
	return frame_bytes() == 0 ? 0 : -1;
}

static bool
is_body(const struct th_answer *a, const char *text)
{
	return slice_eqs(buf_slice_of(&a->body), text);
}

static void
closed(struct tlsh2 *h)
{
	assert_null(h->p.conn);
	assert_true(tlsclient_is_closed(h->p.c));
}

/* RFC 7301, and what we prefer. */
static void
t_alpn(void **state)
{
	static const struct {
		const char	*offer;
		const char	*want;	/* NULL: none */
	} v[] = {
		{ NULL, "" },
		{ "http/1.1", "http/1.1" },
		{ "h2", "h2" },
		{ "h2,http/1.1", "h2" },
		{ "http/1.1,h2", "h2" },
		{ "http/1.0,spdy/3,h2", "h2" },
		{ "http/1.0,spdy/3,http/1.1", "http/1.1" },
		{ "acme-tls/1,h2", "h2" },
		{ "spdy/3", NULL },
		{ "h2c", NULL },
		{ "h", NULL },
		{ "H2,HTTP/1.1", NULL },
		{ "http/1.11,h22", NULL }
	};
	struct tlsworld *x = *state;
	const struct edge_counters *count = net_edge_counters(x->w->net);
	struct tlsclient_conf conf = { 0 };
	const unsigned char *p;
	struct tlspeer peer;
	unsigned int n, h2 = 0;
	size_t i;

	for (i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		conf.alpn = v[i].offer;
		peer = tw_dial(x, &conf);
		if (v[i].want == NULL) {
			assert_false(tlsclient_is_ready(peer.c));
			assert_int_equal(tlsclient_alert(peer.c),
			    SSL_AD_NO_APPLICATION_PROTOCOL);
			tw_end(&peer);
			continue;
		}
		assert_true(tlsclient_is_ready(peer.c));
		SSL_get0_alpn_selected(tlsclient_ssl(peer.c), &p, &n);
		assert_int_equal(n, strlen(v[i].want));
		assert_true(n == 0 || memcmp(p, v[i].want, n) == 0);
		if (strcmp(v[i].want, "h2") == 0) {
			/* Its SETTINGS came at once. */
			h2++;
			assert_true(tlsclient_got(peer.c)->n >= 9);
			assert_int_equal(tlsclient_got(peer.c)->p[3], 4);
		} else {
			assert_int_equal(tlsclient_got(peer.c)->n, 0);
			tw_talk(x, &peer);
		}
		tw_end(&peer);
	}
	assert_int_equal(h2, 5);
	assert_int_equal(count->tls_h2, 5);
	assert_int_equal(count->tls_done, 8);
}

/* Whoever agreed on one and speaks the other. */
static void
t_other(void **state)
{
	struct tlsworld *x = *state;
	struct tlsclient_conf conf = { .alpn = "h2" };
	struct tlspeer p = tw_dial(x, &conf);

	tlsclient_write(p.c, TW_ASK, strlen(TW_ASK));
	tw_move(x, &p);
	assert_null(p.conn);
	assert_int_equal(net_counters(x->w->net)->h2_bad, 1);
	tw_end(&p);
	conf.alpn = "http/1.1";
	p = tw_dial(x, &conf);
	tlsclient_write(p.c, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24);
	tw_move(x, &p);
	assert_true(tw_has(tlsclient_got(p.c), "HTTP/1.1 400 "));
	tw_end(&p);
	assert_int_equal(x->w->asked, 0);
}

static void
t_ask(void **state)
{
	struct tlsworld *x = *state;
	struct tlsh2 *h = th_dial(x, 0);
	struct th_answer *a;
	uint8_t *p = calloc(1, 300000);
	uint32_t sessions, streams, conns;
	int i;

	a = th_ask(h, "GET", "/key?v=1", NULL, NULL, 0);
	assert_int_equal(a->status, 200);
	assert_true(a->ended && a->error == 0);
	assert_true(is_body(a, "192.0.2.7"));
	assert_true(th_has(a, "content-type: text/plain\n"));
	assert_true(th_has(a, "content-length: 9\n"));
	assert_true(th_has(a, "date: "));
	a = th_ask(h, "HEAD", "/key?v=1", NULL, NULL, 0);
	assert_int_equal(a->status, 200);
	assert_int_equal(a->body.n, 0);
	assert_true(th_has(a, "content-length: 9\n"));
	a = th_ask(h, "POST", "/verify", NULL, p, 300000);
	assert_int_equal(a->status, 200);
	for (i = 0; i < 300; i++)
		(void)h2_client_request(h->c, "GET", "/a", NULL, NULL, 0);
	th_run(h);
	for (i = 0; i < 303; i++)
		assert_true(h->a[i].ended && h->a[i].status == 200);
	assert_int_equal(net_counters(x->w->net)->plain, 303);
	assert_int_equal(net_counters(x->w->net)->noise, 0);
	net_count(x->w->net, &sessions, &streams, &conns);
	assert_int_equal(sessions, 0);
	assert_int_equal(conns, 1);
	free(p);
	/* The client goes as it should. */
	tlsclient_close(h->p.c);
	th_run(h);
	closed(h);
	th_free(h);
}

/* Nothing of a path decides what a request may do. */
static void
t_no_session(void **state)
{
	static const char *const path[] = { "/machine/map", "/ts2021",
	    "/machine/register", "/derp" };
	struct tlsworld *x = *state;
	struct tlsh2 *h = th_dial(x, 0);
	struct req_head begin = { 200, NULL, -1, NULL, NULL, NULL, NULL };
	uint32_t sessions, streams, conns;
	size_t i;

	x->w->on_req = keep;
	for (i = 0; i < 4; i++) {
		(void)th_ask(h, "POST", path[i], NULL, "{}", 2);
		assert_int_equal(x->w->nreqs, i + 1);
		assert_false(req_can_pipe(x->w->reqs[i]));
		assert_null(req_pipe(x->w->reqs[i], "", 0, false, NULL,
		    NULL));
	}
	assert_int_equal(net_counters(x->w->net)->noise, 0);
	assert_int_equal(net_counters(x->w->net)->plain, 4);
	/* Streamed answers are not map streams either. */
	req_begin(x->w->reqs[0], &begin);
	send_octets(x->w->reqs[0], 100000, 'x');
	net_count(x->w->net, &sessions, &streams, &conns);
	assert_int_equal(streams, 0);
	req_end(x->w->reqs[0]);
	th_run(h);
	assert_true(h->a[0].ended);
	assert_int_equal(h->a[0].body.n, 100000);
	/* The others hear that the client is gone. */
	th_free(h);
	assert_int_equal(x->w->gone, 3);
}

/* Protocols that h2 can't be changed to, and headers that it does not have. */
static void
t_refused(void **state)
{
	const char *upgrade[] = { "upgrade", "websocket", NULL };
	const char *big[] = { "x-a", NULL, "x-b", NULL, NULL };
	struct tlsworld *x = *state;
	struct tlsh2 *h = th_dial(x, 0);
	char *text = calloc(1, 9000);
	uint8_t *body = calloc(1, 2 << 20);
	struct th_answer *a;

	a = th_ask(h, "GET", "/derp", upgrade, NULL, 0);
	assert_true(a->ended && a->status == 0 && a->error == 1);
	a = th_ask(h, "GET", "/a#b", NULL, NULL, 0);
	assert_int_equal(a->status, 400);
	memset(text, 'a', 8999);
	big[1] = big[3] = text;
	a = th_ask(h, "GET", "/a", big, NULL, 0);
	assert_int_equal(a->status, 431);
	a = th_ask(h, "POST", "/a", NULL, body, 2 << 20);
	assert_int_equal(a->status, 413);
	assert_int_equal(x->w->asked, 0);
	a = th_ask(h, "GET", "/a", NULL, NULL, 0);
	assert_int_equal(a->status, 200);
	free(text);
	free(body);
	th_free(h);
}

/* Each request of a proxy's connection is somebody else's. */
static void
t_proxied(void **state)
{
	const char *from[] = { "x-forwarded-for", NULL, NULL };
	struct tlsworld *x = *state;
	struct prefix proxy = { .addr.family = 4, .addr.b = { 192, 0, 2, 7 },
	    .bits = 32 };
	struct tlsh2 *h = th_dial(x, 0);
	char text[IP_TEXT];
	size_t i;

	from[1] = "198.51.100.1";
	assert_true(is_body(th_ask(h, "GET", "/", from, NULL, 0),
	    "192.0.2.7"));		/* a stranger's word */
	net_proxies(x->w->net, &proxy, 1);
	x->w->on_req = keep;
	(void)th_ask(h, "GET", "/", from, NULL, 0);
	from[1] = "198.51.100.2, 192.0.2.7";
	(void)th_ask(h, "GET", "/", from, NULL, 0);
	(void)th_ask(h, "GET", "/", NULL, NULL, 0);
	from[1] = "nobody";
	(void)th_ask(h, "GET", "/", from, NULL, 0);
	assert_int_equal(x->w->nreqs, 4);
	for (i = 0; i < 4; i++) {
		ip_print(text, &req_peer(x->w->reqs[i])->addr);
		assert_string_equal(text, i == 0 ? "198.51.100.1" :
		    i == 1 ? "198.51.100.2" : "192.0.2.7");
		reply_status(x->w->reqs[i], 200, "");
	}
	x->w->nreqs = 0;
	th_free(h);
}

/* Who does not ask, or not all, has as long as with HTTP/1.1. */
static void
t_time(void **state)
{
	struct tlsworld *x = *state;
	const struct net_counters *n = net_counters(x->w->net);
	struct tlsclient_conf conf = { .alpn = "h2" };
	struct tlspeer p = tw_dial(x, &conf);
	struct tlsh2 *h;
	int i;

	/* Not even the preface. */
	fakeenv_advance(x->w->fake, 9 * US_PER_S);
	tw_move(x, &p);
	assert_non_null(p.conn);
	for (i = 0; i < 20; i++) {
		fakeenv_advance(x->w->fake, 100 * US_PER_MS);
		tw_move(x, &p);
	}
	assert_null(p.conn);
	tw_end(&p);
	/* No request, whatever else it says; then none after one. */
	h = th_dial(x, 0);
	for (i = 0; i < 9; i++) {
		th_frame(h, F_PING, 0, 0, "12345678", 8);
		th_pass(h, US_PER_S);
	}
	assert_non_null(h->p.conn);
	assert_int_equal(th_ask(h, "GET", "/", NULL, NULL, 0)->status, 200);
	th_pass(h, 9 * US_PER_S);
	assert_int_equal(h2_client_goaways(h->c), 0);
	th_pass(h, 2 * US_PER_S);
	assert_int_equal(h2_client_goaways(h->c), 1);
	closed(h);
	th_free(h);
	assert_int_equal(n->idle, 2);
	/* A part of one. */
	h = th_dial(x, 0);
	th_frame(h, F_HEADERS, END_HEADERS, 1, GET, 7);
	th_pass(h, 8 * US_PER_S);
	th_frame(h, F_DATA, 0, 1, "part", 4);
	assert_int_equal(n->stalled, 0);
	th_pass(h, 3 * US_PER_S);
	assert_int_equal(n->stalled, 1);
	th_free(h);
	/* And of its header. */
	h = th_dial(x, 0);
	th_frame(h, F_HEADERS, 0, 1, GET, 7);
	th_pass(h, 25 * US_PER_S);
	assert_null(h->p.conn);
	th_free(h);
	assert_int_equal(x->w->asked, 1);
}

/* Who takes nothing of the answer. */
static void
t_slow(void **state)
{
	struct tlsworld *x = *state;
	struct tlsh2 *h = th_dial(x, 1000);
	struct req_head head = { 200, NULL, -1, NULL, NULL, NULL, NULL };
	struct th_answer *a;

	x->w->on_req = keep;
	a = th_ask(h, "GET", "/", NULL, NULL, 0);
	req_begin(x->w->reqs[0], &head);
	send_octets(x->w->reqs[0], 5000, 'x');
	th_pass(h, 59 * US_PER_S);
	assert_int_equal(a->body.n, 1000);
	assert_false(a->ended);
	th_pass(h, 2 * US_PER_S);
	assert_true(a->ended);
	assert_int_equal(a->error, 8);
	assert_int_equal(net_counters(x->w->net)->stalled, 1);
	assert_int_equal(x->w->gone, 1);
	th_free(h);
}

static size_t
used(void)
{
	return mallinfo2().uordblks;
}

/* As inside Noise: bounds of what is not worth an answer. */
static void
t_floods(void **state)
{
	struct tlsworld *x = *state;
	const struct net_counters *n = net_counters(x->w->net);
	struct tlsh2 *h = th_dial(x, 0);
	uint32_t i;

	x->w->on_req = keep;
	for (i = 0; i < 1000 && h->p.conn != NULL; i++) {
		th_frame(h, F_HEADERS, END_HEADERS, 1 + 2 * i, GET, 7);
		th_frame(h, F_RST, 0, 1 + 2 * i, "\0\0\0\x8", 4);
	}
	assert_in_range(i, 200, 230);
	assert_int_equal(x->w->asked, 0);
	th_free(h);
	h = th_dial(x, 0);
	th_frame(h, F_HEADERS, 0, 1, GET, 7);
	for (i = 0; i < 1000 && h->p.conn != NULL; i++)
		th_frame(h, F_CONT, 0, 1, "", 0);
	assert_in_range(i, 8, 12);
	th_free(h);
	assert_int_equal(n->h2_bad, 2);
	/* Refused ones of too many at once, and an honest client beside it. */
	h = th_dial(x, 0);
	for (i = 0; i < 400 && h->p.conn != NULL; i++)
		th_frame(h, F_HEADERS, END_HEADERS | END_STREAM, 1 + 2 * i,
		    GET, 7);
	assert_int_equal(x->w->asked, 250);
	th_free(h);
	assert_int_equal(x->w->gone, 250);
}

/* It asks for answers and takes none. */
static void
t_unread(void **state)
{
	struct tlsworld *x = *state;
	struct tlsh2 *h;
	size_t before, i, k;

	for (k = 0; k < 2; k++) {
		h = th_dial(x, 0);
		h->stuck = true;
		before = used();
		for (i = 0; i < 3000 && conn_wants_input(h->p.conn); i++)
			th_frame(h, k == 0 ? F_PING : F_SETTINGS, 0, 0,
			    "12345678", k == 0 ? 8 : 0);
		assert_true(i < 3000);
		assert_true(used() < before + 300000);
		th_free(h);
	}
}

static void
ask_raw(struct tlsh2 *h, unsigned int from, unsigned int n)
{
	for (; n-- != 0; from++)
		th_frame(h, F_HEADERS, END_HEADERS | END_STREAM, 1 + 2 * from,
		    GET, 7);
}

/* Within all bounds of the library's: it is not read from for a while. */
static void
t_unread_kept(void **state)
{
	struct tlsworld *x = *state;
	struct tlsh2 *h = th_dial(x, 0);
	unsigned int i;

	h->stuck = true;
	ask_raw(h, 0, 250);
	for (i = 0; i < 190; i++)
		th_frame(h, F_RST, 0, 1 + 2 * i, "\0\0\0\x8", 4);
	ask_raw(h, 250, 190);
	assert_true(conn_wants_input(h->p.conn));
	for (i = 0; i < 90; i++)
		th_frame(h, F_PING, 0, 0, "12345678", 8);
	assert_int_equal(h->p.conn->state, CONN_H2);
	assert_false(conn_wants_input(h->p.conn));
	assert_int_equal(x->w->asked, 440);
	h->stuck = false;
	tw_move(x, &h->p);
	assert_true(conn_wants_input(h->p.conn));
	th_free(h);
}

static void
t_shutdown(void **state)
{
	struct tlsworld *x = *state;
	struct tlsh2 *h = th_dial(x, 0), *idle = th_dial(x, 0), *late;
	struct th_answer *a;

	x->w->on_req = keep;
	a = th_ask(h, "GET", "/", NULL, NULL, 0);
	net_shutdown(x->w->net);
	th_pass(h, US_PER_S);
	th_run(idle);
	closed(idle);
	assert_non_null(h->p.conn);
	assert_int_equal(h2_client_goaways(h->c), 2);
	reply_status(x->w->reqs[0], 200, "");
	x->w->nreqs = 0;
	th_run(h);
	assert_int_equal(a->status, 200);
	closed(h);
	/* One whose handshake was on its way. */
	late = th_dial(x, 0);
	th_pass(late, US_PER_S);
	closed(late);
	th_free(late);
	th_free(idle);
	th_free(h);
}

/* derp.md wants 24 KB at most of an idle client over TLS. */
static void
t_memory(void **state)
{
	struct tlsworld *x = *state;
	enum { N = 200 };
	struct conn *conn[N];
	struct tlsh2 *h;
	size_t with, i;

	for (i = 0; i < N; i++) {
		h = th_dial(x, 0);
		assert_int_equal(th_ask(h, "GET", "/", NULL, NULL, 0)->status,
		    200);
		conn[i] = th_leave(h);
	}
	with = used();
	for (i = 0; i < N; i++)
		conn_free(conn[i]);
	if (with == 0)
		return;		/* the sanitizer's malloc does not say */
	with = (with - used()) / N;
	printf("# %zu octets of an idle client\n", with);
	assert_in_range(with, 1000, 24 * 1024);
}

/* When there is no room for more, they wait their turn. */
static void
t_room(void **state)
{
	struct tlsworld *x = *state;
	struct tlsh2 *first = th_dial(x, 0), *h = th_dial(x, 0);
	const size_t all = 64 << 20;
	struct th_answer *a;
	uint8_t p[16000] = { 0 };

	x->w->net->shared += all;
	/* The one that may go beyond the bound, and does not end. */
	th_frame(first, F_HEADERS, END_HEADERS, 1, GET, 7);
	th_frame(first, F_DATA, 0, 1, p, sizeof(p));
	th_frame(first, F_DATA, 0, 1, p, sizeof(p));
	a = th_ask(h, "POST", "/", NULL, p, sizeof(p));
	assert_int_equal(a->status, 200);	/* it has some of its own */
	x->w->on_req = keep;
	(void)th_ask(h, "POST", "/", NULL, p, sizeof(p));
	a = th_ask(h, "POST", "/", NULL, p, sizeof(p));
	assert_int_equal(x->w->nreqs, 1);
	assert_false(conn_wants_input(h->p.conn));
	th_pass(h, US_PER_S);
	assert_int_equal(x->w->nreqs, 1);
	assert_int_equal(net_counters(x->w->net)->stopped, 2);
	x->w->on_req = on_req;
	th_frame(first, F_DATA, END_STREAM, 1, p, 1);
	th_pass(h, 100 * US_PER_MS);
	assert_int_equal(a->status, 200);
	assert_true(conn_wants_input(h->p.conn));
	x->w->net->shared -= all;
	th_free(first);
	th_free(h);
}

/* RFC 6797 7.2: over TLS that ends here, and there alone. */
static void
t_hsts(void **state)
{
	struct tlsworld *x = *state;
	struct tlsh2 *h = th_dial(x, 0);
	struct tlspeer p = tw_dial(x, NULL);
	struct buf *got = tlsclient_got(p.c);
	struct wire *plain;
	int on;

	for (on = 0; on < 2; on++) {
		net_hsts(x->w->net, on == 1);
		assert_true(on == th_has(th_ask(h, "GET", "/", NULL, NULL, 0),
		    HSTS));
		assert_true(on == th_has(th_ask(h, "GET", "/a#b", NULL, NULL,
		    0), HSTS));
		tw_talk(x, &p);
		assert_true(on == tw_has(got, HSTS_1));
		tlsclient_write(p.c, "GET a HTTP/1.1\r\nHost: a\r\n\r\n", 27);
		buf_clear(got);
		tw_move(x, &p);
		assert_true(tw_has(got, "HTTP/1.1 400 "));
		assert_true(on == tw_has(got, HSTS_1));
		tw_end(&p);
		p = tw_dial(x, NULL);
		got = tlsclient_got(p.c);
	}
	x->w->on_req = NULL;
	plain = wire_raw(x->w);
	wire_send(plain, TW_ASK);
	reply_status(x->w->reqs[0], 200, "");
	networld_run(x->w);
	assert_true(tw_has(&plain->from, "HTTP/1.1 200 "));
	assert_false(tw_has(&plain->from, "Strict"));
	x->w->nreqs = 0;
	tw_end(&p);
	th_free(h);
}

static void
on_head(struct h2_client *c, int32_t id, unsigned int status, void *arg)
{
	(void)c;
	(void)id;
	*(unsigned int *)arg = status;
}

static void
on_field(struct h2_client *c, int32_t id, struct slice k, struct slice v,
    void *arg)
{
	(void)c;
	(void)id;
	(void)v;
	(void)arg;
	assert_false(slice_eqs(k, "strict-transport-security"));
	assert_false(slice_eqs(k, "date"));
}

/* A stock client over TLS, without ALPN: the 101 and Noise are as ever. */
static void
t_ts2021(void **state)
{
	struct tlsworld *x = *state;
	struct tlspeer p = tw_dial(x, NULL);
	struct buf *got = tlsclient_got(p.c);
	struct h2_client_conf hc = { .capver = 148, .on_head = on_head,
	    .on_header = on_field };
	struct h2_client *c;
	unsigned int status = 0;
	uint8_t b[16384];
	size_t n;
	int i;

	net_hsts(x->w->net, true);
	x->w->on_req = NULL;
	memcpy(hc.server, keyd_public(x->w->keyd), NOISE_KEY);
	memset(hc.machine, 9, NOISE_KEY);
	noise_clamp(hc.machine);
	hc.arg = &status;
	c = h2_client_new(x->w->env, &hc);
	for (i = 0; i < 12; i++) {
		while ((n = h2_client_output(c, b, sizeof(b))) != 0)
			tlsclient_write(p.c, b, n);
		tw_move(x, &p);
		networld_run(x->w);
		tw_move(x, &p);
		if (i == 0) {
			assert_true(tw_has(got, "HTTP/1.1 101 "));
			assert_false(tw_has(got, "Strict"));
		}
		if (got->n != 0)
			h2_client_input(c, got->p, got->n);
		buf_clear(got);
		if (i == 6)
			(void)h2_client_request(c, "GET", "/a", NULL, NULL, 0);
		if (x->w->nreqs != 0) {
			assert_non_null(req_session(x->w->reqs[0]));
			reply_status(x->w->reqs[0], 204, "");
			x->w->nreqs = 0;
		}
	}
	assert_int_equal(h2_client_state(c), H2C_OPEN);
	assert_int_equal(status, 204);
	assert_int_equal(net_counters(x->w->net)->noise, 1);
	h2_client_free(c);
	tw_end(&p);
}

#define T(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(t_alpn), T(t_other), T(t_ask), T(t_no_session),
		T(t_refused), T(t_proxied), T(t_time), T(t_slow),
		T(t_floods), T(t_unread), T(t_unread_kept),
		T(t_shutdown), T(t_memory), T(t_room), T(t_hsts), T(t_ts2021)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
