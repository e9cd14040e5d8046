/*
 * Bad input to a whole server, HTTP, upgrade and Noise: a clear error or a
 * silent close, nobody else notices, nothing stays behind.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "regress/lib/trapkit.h"

#define HANDSHAKE_US	(10 * US_PER_S)

static void
unmoved(struct witness *w)
{
	const char *why = witness_check(w);

	assert_string_equal(why == NULL ? "" : why, "");
}

/* Sends it all and waits for the end; what came is in t->from. */
static struct tcp *
send_and_wait(struct server *s, const void *p, size_t n)
{
	struct tcp *t = tcp_raw(s, 0);

	assert_non_null(t);
	tcp_send(t, p, n);
	server_pass(s, HANDSHAKE_US + 3 * US_PER_S);
	assert_true(t->closed);
	return t;
}

static bool
silent_or_error(const struct tcp *t)
{
	if (t->from.n == 0)
		return true;
	return t->from.n > 12 && (memcmp(t->from.p, "HTTP/1.1 4", 10) == 0 ||
	    memcmp(t->from.p, "HTTP/1.1 5", 10) == 0);
}

/* No HTTP at all, or broken. */
static void
t_http_garbage(void **state)
{
	static const char *const bad[] = {
	    "\r\n\r\n\r\n", "GET", "GET /", "GET / HTTP/1.1\r\n",
	    "GET / HTTP/9.9\r\n\r\n", "GET  /  HTTP/1.1\r\n\r\n",
	    "get / http/1.1\r\n\r\n", "G\001T / HTTP/1.1\r\n\r\n",
	    "GET /\x80\xff HTTP/1.1\r\nHost: h\r\n\r\n",
	    "GET / HTTP/1.1\r\nHost\r\n\r\n",
	    "GET / HTTP/1.1\r\n : x\r\n\r\n",
	    "GET / HTTP/1.1\r\nA: b\r\n folded\r\n\r\n",
	    "POST /key HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\n",
	    "POST /key HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n"
	    "Content-Length: 2\r\n\r\nab",
	    "POST /key HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n"
	    "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	    "POST /key HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n"
	    "\r\nzz\r\n",
	    "POST /key HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n"
	    "\r\nffffffffffffffffff\r\n",
	    "POST /key HTTP/1.1\r\nHost: h\r\nContent-Length: "
	    "99999999999999999999\r\n\r\n",
	    "POST /key HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc",
	    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
	    "CONNECT h:443 HTTP/1.1\r\nHost: h\r\n\r\n",
	    "GET http://h/key HTTP/1.1\r\nHost: h\r\n\r\n",
	    "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" };
	struct server *s = *state;
	struct witness w;
	uint8_t junk[8192];
	struct tcp *t;
	size_t i, k;

	witness_new(&w, s);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		t = send_and_wait(s, bad[i], strlen(bad[i]));
		assert_true(silent_or_error(t));
	}
	for (i = 0; i < 30; i++) {
		env_random(server_env(s), junk, sizeof(junk));
		t = send_and_wait(s, junk, sizeof(junk));
		assert_true(silent_or_error(t));
	}
	/* NUL in a head */
	memcpy(junk, "GET /key\0?v=1 HTTP/1.1\r\n\r\n", 27);
	t = send_and_wait(s, junk, 27);
	assert_true(silent_or_error(t));
	for (k = 0; k < 27; k++)	/* every cut of a head */
		(void)send_and_wait(s, "GET /key?v=1 HTTP/1.1\r\n\r\n", k % 24);
	unmoved(&w);
}

/* A head, a body, and headers without end. */
static void
t_http_endless(void **state)
{
	struct server *s = *state;
	struct witness w;
	struct buf b = { 0 };
	struct tcp *t;
	unsigned int i;
	size_t before;

	witness_new(&w, s);
	server_pass(s, HANDSHAKE_US);
	before = memory_used();
	buf_str(&b, "GET /key?v=");
	for (i = 0; i < 20000; i++)
		buf_u8(&b, '1');
	t = send_and_wait(s, b.p, b.n);
	assert_true(tcp_has(t, "HTTP/1.1 431 "));
	buf_clear(&b);
	buf_str(&b, "GET /key?v=1 HTTP/1.1\r\nHost: h\r\n");
	for (i = 0; i < 5000; i++)
		buf_printf(&b, "X-%u: y\r\n", i);
	t = send_and_wait(s, b.p, b.n);
	assert_true(tcp_has(t, "HTTP/1.1 431 "));
	buf_clear(&b);
	buf_str(&b, "POST /key HTTP/1.1\r\nHost: h\r\n"
	    "Content-Length: 3000000\r\n\r\n");
	for (i = 0; i < 300000; i++)
		buf_str(&b, "0123456789");
	t = send_and_wait(s, b.p, b.n);
	assert_true(tcp_has(t, "HTTP/1.1 413 "));
	buf_clear(&b);
	buf_str(&b, "POST /key HTTP/1.1\r\nHost: h\r\n"
	    "Transfer-Encoding: chunked\r\n\r\n");
	for (i = 0; i < 200000; i++)
		buf_str(&b, "a\r\n0123456789\r\n");
	t = send_and_wait(s, b.p, b.n);
	assert_true(tcp_has(t, "HTTP/1.1 501 "));
	buf_free(&b);
	unmoved(&w);
	/* what the clients hold is still there, the server's part is not */
	if (before != 0)
		assert_true(memory_used() < before + (12u << 20));
}

/* Many who never finish what they began. */
static void
t_slow(void **state)
{
	struct server *s = *state;
	struct witness w;
	struct tcp *t[300];
	unsigned int i;

	witness_new(&w, s);
	for (i = 0; i < 300; i++) {
		t[i] = tcp_raw(s, 0);
		assert_non_null(t[i]);
		tcp_str(t[i], i % 3 == 0 ? "" : i % 3 == 1 ? "GET /ke" :
		    "POST /key HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n"
		    "\r\n1234");
	}
	server_pass(s, 5 * US_PER_S);
	unmoved(&w);
	for (i = 0; i < 300; i++)
		if (t[i]->conn != NULL)
			tcp_str(t[i], i % 3 == 2 ? "5" : "y");
	server_pass(s, HANDSHAKE_US);
	for (i = 0; i < 300; i++)
		assert_true(t[i]->closed);
	unmoved(&w);
}

static void
upgrade_is(struct server *s, const char *head, const char *want)
{
	struct tcp *t = tcp_raw(s, 0);

	assert_non_null(t);
	tcp_str(t, head);
	server_pass(s, US_PER_S);
	assert_true(tcp_has(t, "HTTP/1.1 400 "));
	assert_true(tcp_has(t, want));
	tcp_close(t);
}

/* protocol.md 1.2: the words of the reference server. */
static void
t_upgrade(void **state)
{
	static const char ok64[] = "AJQBAGAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
	static const struct { const char *head, *want; } v[] = {
	    { "POST /ts2021 HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n",
	    "missing next protocol" },
	    { "POST /ts2021 HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\n"
	    "Upgrade: h2c\r\n\r\n", "unknown next protocol" },
	    { "POST /ts2021 HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\n"
	    "Upgrade: tailscale-control-protocol\r\n\r\n",
	    "missing Tailscale handshake header" },
	    { "POST /ts2021 HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\n"
	    "Upgrade: tailscale-control-protocol\r\n"
	    "X-Tailscale-Handshake: !!!!\r\n\r\n",
	    "invalid tailscale handshake header" },
	    { "POST /ts2021 HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\n"
	    "Upgrade: tailscale-control-protocol\r\n"
	    "X-Tailscale-Handshake: AAAA\r\n\r\n",
	    "invalid tailscale handshake header" },
	    { "POST /ts2021 HTTP/1.0\r\nHost: h\r\nConnection: upgrade\r\n"
	    "Upgrade: tailscale-control-protocol\r\n"
	    "X-Tailscale-Handshake: AAAA\r\n\r\n", "make request over HTTP/1" },
	    { "GET /ts2021 HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\n"
	    "Upgrade: websocket\r\n\r\n", "websocket" } };
	struct server *s = *state;
	struct witness w;
	char head[600];
	size_t i;

	witness_new(&w, s);
	for (i = 0; i < sizeof(v) / sizeof(v[0]); i++)
		upgrade_is(s, v[i].head, v[i].want);
	/* one octet too few, one too many: of base64, and of the message */
	for (i = 0; i < 3; i++) {
		snprintf(head, sizeof(head), "POST /ts2021 HTTP/1.1\r\nHost: "
		    "h\r\nConnection: upgrade\r\nUpgrade: "
		    "tailscale-control-protocol\r\nX-Tailscale-Handshake: "
		    "%s%s\r\n\r\n", i == 0 ? "" : ok64 + (i == 1 ? 4 : 1),
		    i == 0 ? "=" : i == 2 ? "A" : "");
		upgrade_is(s, head, "invalid tailscale handshake header");
	}
	unmoved(&w);
}

static struct rawc *
fresh(struct server *s, struct dev **d)
{
	*d = dev_new(s, "bad", NULL);
	return rawc_new(s, (*d)->machine, 148);
}

/* The server says why what has the wrong shape, nothing else. */
static void
t_initiation(void **state)
{
	struct server *s = *state;
	struct witness w;
	struct rawc *c;
	struct dev *d;
	unsigned int i;

	witness_new(&w, s);
	c = fresh(s, &d);
	c->init[2] = 2;
	rawc_hello(c, "");
	rawc_run(c, 3 * US_PER_S);
	assert_true(tcp_has(c->tcp, "\r\n\r\n\x03"));
	assert_true(tcp_has(c->tcp, "unexpected handshake message type"));
	assert_true(c->tcp->closed);
	rawc_free(c);
	c = fresh(s, &d);
	c->init[4] = 95;
	rawc_hello(c, "");
	rawc_run(c, 3 * US_PER_S);
	assert_true(tcp_has(c->tcp, "wrong handshake initiation length"));
	assert_true(c->tcp->closed);
	rawc_free(c);
	/* any octet of what is encrypted: silence */
	for (i = 5; i < NOISE_INIT; i += 7) {
		c = fresh(s, &d);
		c->init[i] ^= 0x20;
		rawc_hello(c, "");
		rawc_run(c, 3 * US_PER_S);
		assert_false(c->open);
		assert_true(c->tcp->closed);
		assert_int_equal(c->tcp->from.n, c->at);
		rawc_free(c);
	}
	/* low order: an ephemeral key of zero */
	c = fresh(s, &d);
	memset(c->init + 5, 0, 32);
	rawc_hello(c, "");
	rawc_run(c, 3 * US_PER_S);
	assert_false(c->open);
	assert_true(c->tcp->closed);
	rawc_free(c);
	unmoved(&w);
}

/* A recorded initiation, replayed: never a session, nothing changed. */
static void
t_replayed_initiation(void **state)
{
	struct server *s = *state;
	struct witness w;
	struct rawc *c, *r;
	struct dev *d;
	uint32_t sessions, streams, conns, now;

	witness_new(&w, s);
	c = fresh(s, &d);
	assert_true(rawc_open(c));
	r = fresh(s, &d);
	memcpy(r->init, c->init, sizeof(r->init));
	net_count(control_net(server_control(s, r->tcp->slot)), &sessions,
	    &streams, &conns);
	rawc_hello(r, "");
	rawc_run(r, US_PER_S);
	assert_true(r->upgraded);
	assert_false(r->tcp->closed);
	net_count(control_net(server_control(s, r->tcp->slot)), &now,
	    &streams, &conns);
	assert_int_equal(now, sessions);
	/* without the key nothing that it says is a record */
	tcp_send(r->tcp, "\4\0\x20" "0123456789abcdef0123456789abcdef", 35);
	rawc_run(r, US_PER_S);
	assert_true(r->tcp->closed);
	rawc_free(r);
	/* silence ends with the time for handshakes */
	r = fresh(s, &d);
	memcpy(r->init, c->init, sizeof(r->init));
	rawc_hello(r, "");
	rawc_run(r, HANDSHAKE_US - US_PER_S);
	assert_false(r->tcp->closed);
	rawc_run(r, 2 * US_PER_S);
	assert_true(r->tcp->closed);
	rawc_free(r);
	/* who recorded it lives on */
	rawc_request(c, 1, "GET", "/machine/whoami", "x", NULL);
	rawc_run(c, US_PER_S);
	assert_false(c->tcp->closed);
	rawc_free(c);
	unmoved(&w);
}

/* Records of the wrong type, length, key, or twice: closed in silence. */
static void
t_records(void **state)
{
	struct server *s = *state;
	struct witness w;
	struct rawc *c;
	struct dev *d;
	uint8_t b[4100];
	unsigned int i;
	size_t had;

	witness_new(&w, s);
	for (i = 0; i < 8; i++) {
		c = fresh(s, &d);
		assert_true(rawc_open(c));
		had = c->tcp->from.n;
		env_random(server_env(s), b, sizeof(b));
		b[0] = 4;
		b[1] = 0;
		b[2] = 64;
		switch (i) {
		case 0:				/* forged */
			tcp_send(c->tcp, b, 67);
			break;
		case 1:				/* another type */
			b[0] = 5;
			tcp_send(c->tcp, b, 67);
			break;
		case 2:				/* too long by one */
			b[1] = 0x0f;
			b[2] = 0xfe;
			tcp_send(c->tcp, b, 10);
			break;
		case 3:				/* the longest, forged */
			b[1] = 0x0f;
			b[2] = 0xfd;
			tcp_send(c->tcp, b, 4096);
			break;
		case 4:				/* shorter than a tag */
			b[2] = 15;
			tcp_send(c->tcp, b, 18);
			break;
		case 5:				/* sent twice */
			rawc_record(c, "", 0);
			c->tx--;
			rawc_record(c, "", 0);
			break;
		case 6:				/* one left out */
			c->tx++;
			rawc_record(c, "", 0);
			break;
		default:			/* an initiation again */
			tcp_send(c->tcp, c->init, sizeof(c->init));
			break;
		}
		rawc_run(c, 2 * US_PER_S);
		assert_true(c->tcp->closed);
		assert_int_equal(c->tcp->from.n, had);
		rawc_free(c);
	}
	/* empty records mean nothing and do no harm */
	c = fresh(s, &d);
	assert_true(rawc_open(c));
	for (i = 0; i < 200; i++)
		rawc_record(c, "", 0);
	rawc_request(c, 1, "GET", "/machine/whoami", "x", NULL);
	rawc_run(c, US_PER_S);
	assert_false(c->tcp->closed);
	assert_string_equal(c->why, "");
	rawc_free(c);
	/* half a record, and then nothing: idle as any other */
	c = fresh(s, &d);
	assert_true(rawc_open(c));
	b[0] = 4;
	b[1] = 0x0f;
	b[2] = 0xfd;
	tcp_send(c->tcp, b, 2000);
	rawc_run(c, 310 * US_PER_S);
	assert_true(c->tcp->closed);
	rawc_free(c);
	unmoved(&w);
}

/*
 * Handshakes that nobody goes on with: they end with their time, others get
 * in beside them, or after them when keyd keeps no more open (64 a worker
 * here).
 */
static void
t_handshake_flood(void **state)
{
	static const unsigned int many[] = { 100, 400 };
	struct server *s = *state;
	struct witness w;
	struct rawc *c[400];
	struct dev *d, *late;
	unsigned int i, k;

	witness_new(&w, s);
	for (k = 0; k < 2; k++) {
		for (i = 0; i < many[k]; i++) {
			c[i] = fresh(s, &d);
			rawc_hello(c[i], "");
		}
		server_pass(s, k == 0 ? US_PER_S :
		    HANDSHAKE_US + 100 * US_PER_MS);
		late = dev_new(s, "late", server_key(s, true, false));
		assert_true(dev_join(late));
		server_pass(s, HANDSHAKE_US + US_PER_S);
		for (i = 0; i < many[k]; i++) {
			assert_true(c[i]->tcp->closed);
			rawc_free(c[i]);
		}
		assert_false(late->stream->ended);
		unmoved(&w);
	}
}

int
main(void)
{
#define T(t)	cmocka_unit_test_setup_teardown(t, trap_setup, trap_teardown)
	const struct CMUnitTest tests[] = {
		T(t_http_garbage), T(t_http_endless), T(t_slow),
		T(t_upgrade), T(t_initiation), T(t_replayed_initiation),
		T(t_records), T(t_handshake_flood)
	};
#undef T

	return cmocka_run_group_tests(tests, NULL, NULL);
}
