/* HTTP/1.1: what is answered, what is refused, and the upgrade's errors. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/enc.h"
#include "regress/lib/networld.h"

#define HOST	"Host: a.example\r\n"

static int
setup(void **state)
{
	static const struct net_conf conf = { 10, 300, 60, 1024, 2000, 50 };

	if (noise_init() == -1)
		return -1;
	*state = networld_new(&conf);
	return 0;
}

/* Answers with what was asked. */
static void
echo(struct req *r, struct networld *w)
{
	struct req_head h = { 200, "text/plain", -1, NULL, NULL, NULL, NULL };
	struct buf b = { 0 };
	char n[24];

	(void)w;
	(void)snprintf(n, sizeof(n), "%zu", req_body(r).n);
	buf_slice(&b, req_method(r));
	buf_str(&b, " ");
	buf_slice(&b, req_path(r));
	buf_str(&b, " ");
	buf_slice(&b, req_query(r));
	buf_str(&b, " ");
	buf_str(&b, n);
	buf_str(&b, "|");
	req_reply(r, &h, b.p, b.n);
	buf_free(&b);
}

static bool
has(const struct wire *x, const char *text)
{
	return memmem(x->from.p, x->from.n, text, strlen(text)) != NULL;
}

/* Sends it whole and octet by octet: status and whether it is closed. */
static void
expect(struct networld *w, const char *text, unsigned int status, bool closed,
    const char *body)
{
	char line[32];
	struct wire *x;
	int i;

	w->on_req = echo;
	for (i = 0; i < 2; i++) {
		x = wire_raw(w);
		x->piece = i == 0 ? 0 : 1;
		wire_send(x, text);
		networld_pass(w, 2 * US_PER_S);
		(void)snprintf(line, sizeof(line), "HTTP/1.1 %u ", status);
		if (x->from.n < strlen(line) ||
		    memcmp(x->from.p, line, strlen(line)) != 0 ||
		    (body != NULL && !has(x, body)) || x->done != closed)
			fail_msg("asked \"%s\" answer \"%.*s\" closed %d",
			    text, (int)x->from.n, (char *)x->from.p, x->done);
		wire_close(x);
	}
}

static void
t_plain(void **state)
{
	struct networld *w = *state;

	expect(w, "GET /key?v=148 HTTP/1.1\r\n" HOST "\r\n", 200, false,
	    "\r\n\r\nGET /key v=148 0|");
	expect(w, "GET / HTTP/1.1\r\nhOsT: a\r\n\r\n", 200, false, "GET /  0|");
	expect(w, "GET /a HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n", 200,
	    true, "\r\nConnection: close\r\n");
	expect(w, "GET /a HTTP/1.0\r\n\r\n", 200, true, "GET /a  0|");
	expect(w, "GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", 200,
	    false, "\r\nConnection: keep-alive\r\n");
	expect(w, "GET http://b:1/x?y HTTP/1.1\r\n" HOST "\r\n", 200, false,
	    "GET /x y 0|");
	expect(w, "GET http://b HTTP/1.1\r\n" HOST "\r\n", 200, false,
	    "GET /  0|");
	expect(w, "POST /p HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello",
	    200, false, "POST /p  5|");
	expect(w, "PATCH /p HTTP/1.1\r\n" HOST "\r\n", 200, false, "PATCH");
	/* an upgrade that we do not have is not one */
	expect(w, "GET /key HTTP/1.1\r\n" HOST "Connection: Upgrade\r\n"
	    "Upgrade: h2c\r\n\r\n", 200, false, "GET /key");
	expect(w, "\r\nGET /key HTTP/1.1\r\n" HOST "\r\n", 200, false,
	    "GET /key");
}

static void
t_head(void **state)
{
	struct networld *w = *state;
	struct wire *x = wire_raw(w);

	w->on_req = echo;
	wire_send(x, "HEAD /key HTTP/1.1\r\n" HOST "\r\n");
	assert_true(has(x, "Content-Length: 13\r\n"));
	assert_memory_equal(x->from.p + x->from.n - 4, "\r\n\r\n", 4);
	assert_true(has(x, "\r\nContent-Type: text/plain\r\n"));
	assert_true(has(x, "\r\nDate: Mon, 21 Sep 2026 14:13:20 GMT\r\n"));
}

static void
t_bad(void **state)
{
	struct networld *w = *state;
	char large[1200];

	expect(w, "GET /a HTTP/1.1\r\n\r\n", 400, true, "Host");
	expect(w, "GET /a HTTP/1.1\r\n" HOST HOST "\r\n", 400, true, "Host");
	expect(w, "GET /a HTTP/1.1\r\nHost : a\r\n\r\n", 400, true, NULL);
	expect(w, "GET /a HTTP/1.1\r\n Host: a\r\n\r\n", 400, true, NULL);
	expect(w, "GET a HTTP/1.1\r\n" HOST "\r\n", 400, true, NULL);
	expect(w, "OPTIONS * HTTP/1.1\r\n" HOST "\r\n", 400, true, "target");
	expect(w, "GET /\x01 HTTP/1.1\r\n" HOST "\r\n", 400, true, NULL);
	expect(w, "GET /a#b HTTP/1.1\r\n" HOST "\r\n", 400, true, NULL);
	expect(w, "GET /\xc3\xa4 HTTP/1.1\r\n" HOST "\r\n", 400, true, NULL);
	expect(w, "FROB /a HTTP/1.1\r\n" HOST "\r\n", 400, true, NULL);
	expect(w, "GET /a HTTP/2.0\r\n" HOST "\r\n", 400, true, NULL);
	expect(w, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, true, NULL);
	expect(w, "CONNECT a:1 HTTP/1.1\r\n" HOST "\r\n", 501, true, NULL);
	expect(w, "\x16\x03\x01\x02\x01\x01", 400, true, NULL);
	/* smuggling */
	expect(w, "POST /a HTTP/1.1\r\n" HOST "Content-Length: 1\r\n"
	    "Content-Length: 2\r\n\r\nab", 400, true, NULL);
	expect(w, "POST /a HTTP/1.1\r\n" HOST "Content-Length: 1\r\n"
	    "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, true, NULL);
	expect(w, "POST /a HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n"
	    "\r\n0\r\n\r\n", 501, true, NULL);
	expect(w, "POST /a HTTP/1.1\r\n" HOST "Transfer-Encoding: x\r\n"
	    "\r\nabc", 501, true, NULL);
	expect(w, "POST /a HTTP/1.1\r\n" HOST "Content-Length: -1\r\n\r\n",
	    400, true, NULL);
	expect(w, "POST /a HTTP/1.1\r\n" HOST "Content-Length: 1 2\r\n\r\n",
	    400, true, NULL);
	expect(w, "POST /a HTTP/1.1\r\n" HOST
	    "Content-Length: 99999999999999999999\r\n\r\n", 400, true, NULL);
	expect(w, "GET /a HTTP/1.1\r\n" HOST "A: b\rC: d\r\n\r\n", 400, true,
	    NULL);
	expect(w, "GET /a HTTP/1.1\r\n" HOST "A: b\001c\r\n\r\n", 400, true,
	    NULL);
	assert_int_equal(net_counters(w->net)->http_bad, 2 * 23);
	/* too large */
	expect(w, "POST /a HTTP/1.1\r\n" HOST "Content-Length: 2001\r\n\r\n",
	    413, true, "too large");
	memset(large, 'a', sizeof(large));
	memcpy(large, "GET /", 5);
	large[sizeof(large) - 1] = '\0';
	expect(w, large, 431, true, "header too large");
	memcpy(large, "GET /a HTTP/1.1\r\nB: ", 20);
	expect(w, large, 431, true, "header too large");
	assert_int_equal(net_counters(w->net)->head_large, 4);
	assert_int_equal(net_counters(w->net)->body_large, 2);
}

/* A hundred fields, Host among them, and no more. */
static void
t_fields(void **state)
{
	struct networld *w = *state;
	struct buf b = { 0 };
	int i;

	w->on_req = echo;
	buf_str(&b, "GET /a HTTP/1.1\r\n" HOST);
	for (i = 1; i < 100; i++)
		buf_str(&b, "a:\r\n");
	buf_put(&b, "\r\n", 3);
	expect(w, (char *)b.p, 200, false, "GET /a  0|");
	assert_int_equal(net_counters(w->net)->head_large, 0);
	b.n -= 3;
	buf_put(&b, "b:\r\n\r\n", 7);
	expect(w, (char *)b.p, 431, true, "too many header fields");
	assert_int_equal(net_counters(w->net)->head_large, 2);
	buf_free(&b);
}

/* The largest that is allowed passes. */
static void
t_limits(void **state)
{
	struct networld *w = *state;
	struct wire *x = wire_raw(w);
	struct buf b = { 0 };

	w->on_req = echo;
	buf_str(&b, "POST /a HTTP/1.1\r\n" HOST "Content-Length: 2000\r\nX: ");
	while (b.n < 1024 - 4)
		buf_u8(&b, 'x');
	buf_str(&b, "\r\n\r\n");
	while (b.n < 1024 + 2000)
		buf_u8(&b, 'y');
	buf_u8(&b, '\0');
	wire_send(x, (char *)b.p);
	assert_true(has(x, "POST /a  2000|"));
	buf_free(&b);
}

static void
t_pipelined(void **state)
{
	struct networld *w = *state;
	struct wire *x = wire_raw(w);
	const char *at;
	int i;

	wire_send(x, "GET /1 HTTP/1.1\r\n" HOST "\r\n"
	    "POST /2 HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc"
	    "GET /3 HTTP/1.1\r\n" HOST "\r\n");
	/* one at a time */
	assert_int_equal(w->nreqs, 1);
	for (i = 0; i < 3; i++) {
		assert_int_equal(w->nreqs, 1);
		w->nreqs = 0;
		echo(w->reqs[0], w);
		networld_run(w);
	}
	assert_int_equal(w->nreqs, 0);
	buf_u8(&x->from, '\0');
	at = strstr((char *)x->from.p, "GET /1  0|");
	assert_non_null(at);
	at = strstr(at, "POST /2  3|");
	assert_non_null(at);
	assert_non_null(strstr(at, "GET /3  0|"));
	assert_false(x->done);
}

/* A flood of pipelined requests waits outside. */
static void
t_back_pressure(void **state)
{
	struct networld *w = *state;
	struct wire *x = wire_raw(w);
	struct buf b = { 0 };
	int i;

	for (i = 0; i < 5000; i++)
		buf_str(&b, "GET /1 HTTP/1.1\r\n" HOST "\r\n");
	buf_u8(&b, '\0');
	wire_send(x, (char *)b.p);
	assert_int_equal(w->nreqs, 1);
	assert_true(x->to.n > b.n - 100000);
	assert_false(conn_wants_input(x->conn));
	w->on_req = echo;
	echo(w->reqs[0], w);
	w->nreqs = 0;
	networld_run(w);
	assert_int_equal(w->asked, 5000);
	assert_int_equal(x->to.n, 0);
	buf_free(&b);
}

static void
t_continue(void **state)
{
	struct networld *w = *state;
	struct wire *x = wire_raw(w);

	w->on_req = echo;
	wire_send(x, "POST /a HTTP/1.1\r\n" HOST "Content-Length: 3\r\n"
	    "Expect: 100-continue\r\n\r\n");
	assert_true(has(x, "HTTP/1.1 100 Continue\r\n\r\n"));
	assert_false(has(x, "200 OK"));
	wire_send(x, "abc");
	assert_true(has(x, "HTTP/1.1 200 OK\r\n"));
}

static void
t_late(void **state)
{
	struct networld *w = *state;
	struct wire *x = wire_raw(w), *y = wire_raw(w), *z = wire_raw(w);

	w->on_req = echo;
	wire_send(x, "GET /1 HTTP/1.1\r\nHost:");
	networld_pass(w, 9 * US_PER_S);
	wire_send(z, "GET /1 HTTP/1.1\r\n" HOST "\r\n");
	assert_false(x->done || y->done);
	networld_pass(w, 2 * US_PER_S);
	assert_true(x->done);
	assert_int_equal(x->from.n, 0);
	assert_true(y->done);
	assert_int_equal(net_counters(w->net)->late, 1);
	assert_false(z->done);		/* its time began anew */
	networld_pass(w, 9 * US_PER_S);
	assert_true(z->done);
}

/* A request that control holds has no time limit; its client may leave. */
static void
t_waits(void **state)
{
	struct networld *w = *state;
	struct wire *x = wire_raw(w), *y = wire_raw(w);

	wire_send(x, "GET /1 HTTP/1.1\r\n" HOST "\r\n");
	wire_send(y, "GET /2 HTTP/1.1\r\n" HOST "\r\n");
	networld_pass(w, 1000 * US_PER_S);
	assert_int_equal(w->nreqs, 2);
	wire_close(x);
	assert_int_equal(w->gone, 1);
	assert_int_equal(w->nreqs, 1);
	assert_true(slice_eqs(req_path(w->reqs[0]), "/2"));
	assert_null(req_session(w->reqs[0]));
	assert_int_equal(req_stream_id(w->reqs[0]), 0);
	echo(w->reqs[0], w);
	w->nreqs = 0;
	networld_run(w);
	assert_true(has(y, "GET /2  0|"));
}

/* Half-closed after the request: the answer still goes out. */
static void
t_half_close(void **state)
{
	struct networld *w = *state;
	struct wire *x = wire_raw(w);

	w->on_req = echo;
	x->stuck = true;
	wire_send(x, "GET /1 HTTP/1.1\r\n" HOST "\r\n");
	wire_close(x);
	assert_false(conn_wants_input(x->conn));
	x->stuck = false;
	networld_run(w);
	assert_true(has(x, "GET /1  0|"));
	assert_true(x->done);
}

static void
t_streamed(void **state)
{
	struct networld *w = *state;
	struct wire *x = wire_raw(w);
	struct req *r;

	wire_send(x, "GET /1 HTTP/1.1\r\n" HOST "\r\n");
	r = w->reqs[0];
	begin_stream(r);
	send_octets(r, 3000, 'a');
	networld_run(w);
	assert_int_equal(w->drained, 1);
	assert_int_equal(req_queued(r), 0);
	send_octets(r, 100000, 'b');
	assert_int_equal(req_queued(r), 100000);
	req_end(r);
	w->nreqs = 0;
	networld_run(w);
	assert_true(x->done);
	assert_true(has(x, "Connection: close\r\n\r\naaa"));
	assert_int_equal(x->from.p[x->from.n - 100001], 'a');
	assert_int_equal(x->from.p[x->from.n - 100000], 'b');
	assert_int_equal(x->from.p[x->from.n - 1], 'b');
}

static void
t_slow_reader(void **state)
{
	struct networld *w = *state;
	struct wire *x = wire_raw(w);

	x->stuck = true;
	wire_send(x, "GET /1 HTTP/1.1\r\n" HOST "\r\n");
	begin_stream(w->reqs[0]);
	send_octets(w->reqs[0], 100000, 'a');
	networld_pass(w, 59 * US_PER_S);
	assert_int_equal(w->gone, 0);
	x->stuck = false;		/* takes a little: its time is new */
	(void)conn_output(x->conn, (uint8_t[4096]){ 0 }, 4096);
	x->stuck = true;
	networld_pass(w, 59 * US_PER_S);
	assert_int_equal(w->gone, 0);
	networld_pass(w, 2 * US_PER_S);
	assert_int_equal(w->gone, 1);
	assert_int_equal(net_counters(w->net)->stalled, 1);
	assert_true(conn_is_done(x->conn));
}

static void
t_abort(void **state)
{
	struct networld *w = *state;
	struct wire *x = wire_raw(w);

	wire_send(x, "GET /1 HTTP/1.1\r\n" HOST "\r\n");
	req_abort(w->reqs[0]);
	w->nreqs = 0;
	networld_run(w);
	assert_true(x->done);
	assert_int_equal(x->from.n, 0);
	assert_int_equal(w->gone, 0);
}

#define UPGRADE "Connection: upgrade\r\nUpgrade: tailscale-control-protocol\r\n"
#define POST	"POST /ts2021 HTTP/1.1\r\n" HOST "Content-Length: 0\r\n"

static void
t_upgrade_errors(void **state)
{
	struct networld *w = *state;
	char init[NOISE_INIT + 1] = { 0 }, b64[B64_LEN(NOISE_INIT + 1) + 1];
	char text[600];

	expect(w, POST "\r\n", 400, false, "\r\n\r\nmissing next protocol\n");
	expect(w, POST "Upgrade: tailscale-control-protocol\r\n\r\n", 400,
	    false, "missing next protocol");
	expect(w, POST "Connection: upgrade\r\nUpgrade: h2c\r\n\r\n", 400,
	    false, "unknown next protocol");
	expect(w, "GET /ts2021 HTTP/1.1\r\n" HOST UPGRADE "\r\n", 400, false,
	    "unknown next protocol");
	expect(w, "GET /ts2021 HTTP/1.1\r\n" HOST "\r\n", 400, false,
	    "missing next protocol");
	expect(w, POST UPGRADE "\r\n", 400, false,
	    "missing Tailscale handshake header");
	expect(w, POST UPGRADE "X-Tailscale-Handshake: !\r\n\r\n", 400, false,
	    "invalid tailscale handshake header");
	expect(w, "POST /ts2021 HTTP/1.0\r\n" HOST UPGRADE
	    "X-Tailscale-Handshake: !\r\n\r\n", 400, true,
	    "make request over HTTP/1");
	b64_enc(b64, init, NOISE_INIT - 1);
	(void)snprintf(text, sizeof(text), POST UPGRADE
	    "X-Tailscale-Handshake: %s\r\n\r\n", b64);
	expect(w, text, 400, false, "invalid tailscale handshake header");
	b64_enc(b64, init, NOISE_INIT + 1);
	(void)snprintf(text, sizeof(text), POST UPGRADE
	    "X-Tailscale-Handshake: %s\r\n\r\n", b64);
	expect(w, text, 400, false, "invalid tailscale handshake header");
	/* the shape inside: 101 and a word of the handshake's own */
	b64_enc(b64, init, NOISE_INIT);
	(void)snprintf(text, sizeof(text), POST UPGRADE
	    "X-Tailscale-Handshake: %s\r\n\r\n", b64);
	expect(w, text, 101, true, "unexpected handshake message type");
	init[2] = 1;
	b64_enc(b64, init, NOISE_INIT);
	(void)snprintf(text, sizeof(text), POST UPGRADE
	    "X-Tailscale-Handshake: %s\r\n\r\n", b64);
	expect(w, text, 101, true, "wrong handshake initiation length");
	/* and what only keyd can see: silence */
	init[4] = 96;
	b64_enc(b64, init, NOISE_INIT);
	{
		struct wire *x = wire_raw(w);

		(void)snprintf(text, sizeof(text), POST UPGRADE
		    "X-Tailscale-Handshake: %s\r\n\r\n", b64);
		wire_send(x, text);
		assert_true(x->done);
		assert_int_equal(x->from.n, 0);
	}
	assert_int_equal(net_counters(w->net)->upgrade_bad, 20);
	assert_int_equal(net_counters(w->net)->noise_no, 5);
}

static void
t_websocket_errors(void **state)
{
	struct networld *w = *state;
	struct wire *x;
	static const char head[] = "GET /ts2021?X-Tailscale-Handshake=AA%3D "
	    "HTTP/1.1\r\n" HOST "Connection: keep-alive, Upgrade\r\n"
	    "Upgrade: WebSocket\r\nSec-WebSocket-Version: 13\r\n";
	char text[600];

	(void)snprintf(text, sizeof(text), "%s\r\n", head);
	expect(w, text, 400, false, "not a websocket handshake");
	(void)snprintf(text, sizeof(text), "%s"
	    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", head);
	expect(w, text, 101, true, "client must speak tailscale-control-");
	(void)snprintf(text, sizeof(text), "%s"
	    "Sec-WebSocket-Protocol: chat, tailscale-control-protocol\r\n"
	    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", head);
	expect(w, text, 101, true, "Sec-WebSocket-Accept: "
	    "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n");
	x = wire_raw(w);
	wire_send(x, text);
	assert_true(has(x, "Sec-WebSocket-Protocol: "
	    "tailscale-control-protocol\r\n\r\n\x88"));
	assert_true(has(x, "\x03\xf0invalid tailscale handshake"));
}

static void
t_full(void **state)
{
	struct networld *w = *state;
	struct ipport peer = { 0 };
	struct wire *x = NULL;
	int i;

	for (i = 0; i < 50; i++) {
		assert_false(net_is_full(w->net));
		x = wire_raw(w);
	}
	assert_true(net_is_full(w->net));
	assert_null(conn_new(w->net, &peer, CONN_K_PLAIN, false, NULL));
	assert_int_equal(net_counters(w->net)->refused, 1);
	wire_close(x);
	assert_false(net_is_full(w->net));
}

#define T(f)	cmocka_unit_test_setup_teardown(f, setup, networld_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(t_plain), T(t_head), T(t_bad), T(t_limits),
		T(t_fields), T(t_pipelined),
		T(t_back_pressure), T(t_continue), T(t_late), T(t_waits),
		T(t_half_close), T(t_streamed), T(t_slow_reader), T(t_abort),
		T(t_upgrade_errors), T(t_websocket_errors), T(t_full)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
