/* For whom a proxy speaks: PROXY header and X-Forwarded-For. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "regress/lib/networld.h"
#include "worker/net/proxyhdr.h"

#define ASK	"GET /a HTTP/1.1\r\nHost: a\r\n"
#define FORWARDED ASK "X-Forwarded-For: 192.0.2.9\r\n\r\n"
#define MAGIC	"\r\n\r\n\0\r\nQUIT\n"

/* Whole; every begin of it needs more; what follows does not matter. */
static void
good(const void *text, size_t n, const char *peer)
{
	uint8_t b[PROXYHDR_MAX + 64];
	char print[IPPORT_TEXT];
	struct proxyhdr h;
	size_t i;

	memset(b, 'x', sizeof(b));
	memcpy(b, text, n);
	for (i = 0; i < n; i++)
		assert_int_equal(proxyhdr_parse(&h, b, i), 0);
	assert_int_equal(proxyhdr_parse(&h, b, n), n);
	assert_int_equal(proxyhdr_parse(&h, b, n + 20), n);
	assert_int_equal(h.has_peer, peer != NULL);
	if (peer == NULL)
		return;
	ipport_print(print, &h.peer);
	assert_string_equal(print, peer);
}

static void
bad(const void *text, size_t n)
{
	struct proxyhdr h;

	assert_int_equal(proxyhdr_parse(&h, text, n), -1);
}

#define GOOD1(s, peer)	good(s "\r\n", sizeof(s) + 1, peer)
#define BAD1(s)		bad(s "\r\n", sizeof(s) + 1)

static void
test_v1(void **state)
{
	(void)state;
	GOOD1("PROXY TCP4 192.0.2.1 198.51.100.2 56324 443",
	    "192.0.2.1:56324");
	GOOD1("PROXY TCP6 2001:db8::1 2001:db8::2 1 65535", "[2001:db8::1]:1");
	GOOD1("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535",
	    "255.255.255.255:65535");
	GOOD1("PROXY UNKNOWN", NULL);
	GOOD1("PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535",
	    NULL);
	GOOD1("PROXY TCP6 ::ffff:192.0.2.1 ::ffff:192.0.2.2 1 2",
	    "192.0.2.1:1");
	BAD1("PROXY TCP4 192.0.2.1 198.51.100.2 56324");
	BAD1("PROXY TCP4 192.0.2.1 198.51.100.2 56324 443 1");
	BAD1("PROXY TCP4 192.0.2.1 198.51.100.2 56324 443 ");
	BAD1("PROXY TCP4  192.0.2.1 198.51.100.2 56324 443");
	BAD1("PROXY TCP4 192.0.2.1 198.51.100.2 65536 443");
	BAD1("PROXY TCP4 192.0.2.1 198.51.100.2 056 443");
	BAD1("PROXY TCP4 192.0.2.1 198.51.100.2 +56 443");
	BAD1("PROXY TCP4 192.0.2.1 198.51.100.2  443");
	BAD1("PROXY TCP4 2001:db8::1 2001:db8::2 1 2");
	BAD1("PROXY TCP6 192.0.2.1 198.51.100.2 1 2");
	BAD1("PROXY TCP6 2001:db8::1 198.51.100.2 1 2");
	BAD1("PROXY UDP4 192.0.2.1 198.51.100.2 1 2");
	BAD1("PROXY UNKNOWNS");
	BAD1("PROXY ");
	BAD1("GET / HTTP/1.1");
	bad("PROXY UNKNOWN\n", 14);
	bad("PROXY\t", 6);
	bad("PROXX", 5);
	bad("\x16\x03\x01", 3);
}

/* 107 octets with CRLF, and not one more. */
static void
test_v1_long(void **state)
{
	uint8_t b[200];

	(void)state;
	memset(b, 'y', sizeof(b));
	memcpy(b, "PROXY UNKNOWN ", 14);
	memcpy(b + 105, "\r\n", 2);
	good(b, 107, NULL);
	memset(b + 105, 'y', 2);
	memcpy(b + 106, "\r\n", 2);
	bad(b, 108);
	bad(b, 107);
}

/* Version and command, family, announced length, octets that are there. */
static size_t
v2(uint8_t *b, unsigned int cmd, unsigned int family, size_t len)
{
	size_t i;

	memcpy(b, MAGIC, 12);
	b[12] = (uint8_t)cmd;
	b[13] = (uint8_t)family;
	b[14] = (uint8_t)(len >> 8);
	b[15] = (uint8_t)len;
	for (i = 0; i < len && i < 600; i++)
		b[16 + i] = (uint8_t)(i + 1);
	return 16 + len;
}

static void
test_v2(void **state)
{
	uint8_t b[700];

	(void)state;
	good(b, v2(b, 0x21, 0x11, 12), "1.2.3.4:2314");
	good(b, v2(b, 0x21, 0x11, 12 + 100), "1.2.3.4:2314");	/* TLVs */
	good(b, v2(b, 0x21, 0x11, 520), "1.2.3.4:2314");
	good(b, v2(b, 0x21, 0x21, 36),
	    "[102:304:506:708:90a:b0c:d0e:f10]:8482");
	good(b, v2(b, 0x20, 0x11, 12), NULL);
	good(b, v2(b, 0x20, 0x00, 0), NULL);
	good(b, v2(b, 0x20, 0xff, 77), NULL);
	good(b, v2(b, 0x21, 0x00, 0), NULL);
	bad(b, v2(b, 0x21, 0x11, 11));
	bad(b, v2(b, 0x21, 0x21, 35));
	bad(b, v2(b, 0x21, 0x12, 12));		/* UDP */
	bad(b, v2(b, 0x21, 0x31, 216));		/* UNIX */
	bad(b, v2(b, 0x22, 0x11, 12));
	bad(b, v2(b, 0x11, 0x11, 12));
	bad(b, v2(b, 0x21, 0x11, 521));
	(void)v2(b, 0x21, 0x11, 65535);
	bad(b, 16);
}

/* X-Forwarded-For. */

static void
forwarded(const char *value, const char *want)
{
	struct prefix proxies[2];
	char text[IP_TEXT];
	struct ip ip;

	assert_true(prefix_parse(&proxies[0], slice_str("10.0.0.0/8")));
	assert_true(prefix_parse(&proxies[1], slice_str("fd00::/64")));
	if (want == NULL) {
		assert_false(forwarded_parse(&ip, slice_str(value), proxies,
		    2));
		return;
	}
	assert_true(forwarded_parse(&ip, slice_str(value), proxies, 2));
	ip_print(text, &ip);
	assert_string_equal(text, want);
}

static void
test_forwarded(void **state)
{
	(void)state;
	forwarded("192.0.2.1", "192.0.2.1");
	forwarded(" 192.0.2.1 ", "192.0.2.1");
	forwarded("192.0.2.1:99", "192.0.2.1");
	forwarded("2001:db8::1", "2001:db8::1");
	forwarded("[2001:db8::1]", "2001:db8::1");
	forwarded("[2001:db8::1]:99", "2001:db8::1");
	/* Whatever the client wrote itself stands first. */
	forwarded("::ffff:192.0.2.1", "192.0.2.1");
	forwarded("192.0.2.1, ::ffff:10.1.1.1", "192.0.2.1");
	forwarded("6.6.6.6, 192.0.2.1", "192.0.2.1");
	forwarded("6.6.6.6, 192.0.2.1,10.1.1.1 , fd00::2", "192.0.2.1");
	forwarded("10.2.2.2, 10.1.1.1", "10.2.2.2");
	forwarded("junk, 192.0.2.1, 10.1.1.1", "192.0.2.1");
	forwarded("192.0.2.1, junk", NULL);
	forwarded("192.0.2.1, junk, 10.1.1.1", "10.1.1.1");
	forwarded("192.0.2.1,", NULL);
	forwarded("unknown", NULL);
	forwarded("[192.0.2.1]", NULL);
	forwarded("", NULL);
}

/* Of connections. */

static void
on_req(struct req *r, struct networld *w)
{
	char text[IPPORT_TEXT];

	(void)w;
	ipport_print(text, req_peer(r));
	reply_status(r, 200, text);
}

static int
setup(void **state)
{
	struct prefix proxies[2];
	struct networld *w;

	if (noise_init() == -1)
		return -1;
	w = networld_new(NULL);
	w->on_req = on_req;
	if (!prefix_parse(&proxies[0], slice_str("10.0.0.0/8")) ||
	    !prefix_parse(&proxies[1], slice_str("fd00::/64")))
		return -1;
	net_proxies(w->net, proxies, 2);
	*state = w;
	return 0;
}

static int
teardown(void **state)
{
	networld_free(*state);
	return 0;
}

static struct conn *
dial(struct networld *w, const char *from, bool proxy)
{
	struct ipport peer = { .port = 4711 };

	assert_true(ip_parse(&peer.addr, slice_str(from)));
	return conn_new(w->net, &peer, CONN_K_PLAIN, proxy, NULL);
}

/* Sends in pieces; true if the answer (to the last) has this text. */
static bool
says(struct conn *c, const void *text, size_t n, size_t piece,
    const char *want)
{
	const uint8_t *p = text;
	uint8_t b[4096];
	size_t at, part, got = 0;

	for (at = 0; at < n; at += part) {
		part = n - at < piece ? n - at : piece;
		conn_input(c, p + at, part);
		if (conn_wants_output(c))
			got = conn_output(c, b, sizeof(b));
	}
	return memmem(b, got, want, strlen(want)) != NULL;
}

static void
test_conn(void **state)
{
	static const char v1[] = "PROXY TCP4 192.0.2.9 192.0.2.1 777 443\r\n"
	    ASK "\r\n";
	struct networld *w = *state;
	const struct edge_counters *n = net_edge_counters(w->net);
	uint8_t b[700];
	struct conn *c;
	size_t piece, len;

	for (piece = 1; piece < 100; piece += 7) {
		c = dial(w, "10.0.0.1", true);
		assert_true(says(c, v1, strlen(v1), piece, "192.0.2.9:777"));
		assert_false(conn_is_done(c));
		conn_free(c);
	}
	len = v2(b, 0x21, 0x11, 520);
	memcpy(b + len, ASK "\r\n", strlen(ASK "\r\n"));
	c = dial(w, "fd00::1", true);
	assert_true(says(c, b, len + strlen(ASK "\r\n"), 1000,
	    "1.2.3.4:2314"));
	conn_free(c);
	len = v2(b, 0x20, 0, 0);
	memcpy(b + len, ASK "\r\n", strlen(ASK "\r\n"));
	c = dial(w, "10.0.0.1", true);
	assert_true(says(c, b, len + strlen(ASK "\r\n"), 3, "10.0.0.1:4711"));
	conn_free(c);
	/* Then nobody else speaks for it, either. */
	len = v2(b, 0x20, 0, 0);
	memcpy(b + len, FORWARDED, strlen(FORWARDED));
	c = dial(w, "10.0.0.1", true);
	assert_true(says(c, b, len + strlen(FORWARDED), 1000,
	    "10.0.0.1:4711"));
	conn_free(c);
	assert_int_equal(n->proxy_bad, 0);
	/* Strangers, and who has no header. */
	assert_null(dial(w, "192.0.2.5", true));
	assert_int_equal(n->proxy_bad, 1);
	c = dial(w, "10.0.0.1", true);
	assert_false(says(c, ASK "\r\n", strlen(ASK "\r\n"), 1000, "HTTP"));
	assert_true(conn_is_done(c));
	assert_int_equal(n->proxy_bad, 2);
	conn_free(c);
	/* Without the flag a header is no request. */
	c = dial(w, "10.0.0.1", false);
	assert_true(says(c, v1, strlen(v1), 1000, " 400 "));
	conn_free(c);
}

static void
test_slow(void **state)
{
	struct networld *w = *state;
	struct conn *c = dial(w, "10.0.0.1", true);

	conn_input(c, "PROXY", 5);
	fakeenv_advance(w->fake, 11 * US_PER_S);
	assert_true(conn_is_done(c));
	assert_int_equal(net_counters(w->net)->late, 1);
	conn_free(c);
}

static void
ask(struct networld *w, const char *from, const char *lines, const char *want)
{
	struct conn *c = dial(w, from, false);
	struct buf b = { 0 };
	int i;

	for (i = 0; i < 2; i++) {	/* and on a connection that is kept */
		buf_clear(&b);
		buf_str(&b, ASK);
		buf_str(&b, lines);
		buf_str(&b, "\r\n");
		assert_true(says(c, b.p, b.n, 1000, want));
	}
	buf_clear(&b);
	buf_str(&b, ASK "\r\n");
	assert_true(says(c, b.p, b.n, 1000, from));
	buf_free(&b);
	conn_free(c);
}

static void
test_header(void **state)
{
	struct networld *w = *state;

	ask(w, "10.0.0.1", "X-Forwarded-For: 192.0.2.9\r\n", "\r\n192.0.2.9:0");
	ask(w, "10.0.0.1", "x-forwarded-for: 6.6.6.6\r\n"
	    "X-Forwarded-For: 192.0.2.9, 10.3.3.3\r\n", "\r\n192.0.2.9:0");
	ask(w, "192.0.2.5", "X-Forwarded-For: 6.6.6.6\r\n",
	    "\r\n192.0.2.5:4711");
	ask(w, "10.0.0.1", "X-Forwarded-For: nonsense\r\n",
	    "\r\n10.0.0.1:4711");
	ask(w, "10.0.0.1", "", "\r\n10.0.0.1:4711");
}

/* So many of one source and no more; each /64 is one. */
static void
fill(struct networld *w, const char *from, const char *other, bool counted)
{
	struct conn *c[5];
	size_t i;

	for (i = 0; i < 4; i++)
		c[i] = dial(w, i % 2 == 0 ? from : other, false);
	for (i = 0; i < 3; i++)
		assert_non_null(c[i]);
	assert_int_equal(c[3] == NULL, counted);
	conn_free(c[0]);
	c[0] = dial(w, from, false);
	assert_non_null(c[0]);
	c[4] = dial(w, from, false);
	assert_int_equal(c[4] == NULL, counted);
	for (i = 0; i < 5; i++)
		if (c[i] != NULL)
			conn_free(c[i]);
}

static void
test_crowd(void **state)
{
	static const char line[] = "PROXY TCP4 192.0.2.9 192.0.2.1 1 2\r\n";
	struct networld *w = *state;
	const struct edge_counters *n = net_edge_counters(w->net);
	struct conn *c[4];
	size_t i;

	net_per_source(w->net, 3);
	fill(w, "192.0.2.7", "192.0.2.7", true);
	fill(w, "2001:db8::1", "2001:db8::2:2:2:2", true);
	assert_int_equal(n->crowded, 4);
	fill(w, "192.0.2.7", "192.0.2.8", false);
	fill(w, "2001:db8::1", "2001:db8:0:1::1", false);
	fill(w, "127.0.0.1", "127.0.0.1", false);
	fill(w, "::1", "::1", false);
	fill(w, "10.0.0.1", "10.0.0.1", false);		/* a proxy */
	/* Whole sites behind one address; but not where nodes have theirs. */
	fill(w, "10.9.9.9", "10.9.9.9", false);
	fill(w, "192.168.1.1", "192.168.1.1", false);
	fill(w, "172.31.0.1", "172.31.0.1", false);
	fill(w, "169.254.0.1", "169.254.0.1", false);
	fill(w, "fe80::1", "fe80::2", false);
	fill(w, "fd00::1", "fd00::2", false);
	assert_int_equal(n->crowded, 4);
	fill(w, "172.32.0.1", "172.32.0.1", true);
	fill(w, "100.64.0.1", "100.64.0.1", true);
	fill(w, "fd7a:115c:a1e0::1", "fd7a:115c:a1e0::2", true);
	assert_int_equal(n->crowded, 10);
	assert_int_equal(n->crowded, 10);
	/* Behind it those are counted whom it names. */
	for (i = 0; i < 4; i++) {
		c[i] = dial(w, "10.0.0.1", true);
		conn_input(c[i], line, strlen(line));
		assert_int_equal(conn_is_done(c[i]), i == 3);
	}
	assert_int_equal(n->crowded, 11);
	assert_null(dial(w, "192.0.2.9", false));
	for (i = 0; i < 4; i++)
		conn_free(c[i]);
	fill(w, "192.0.2.9", "192.0.2.9", true);
	/* 0 is any number, from now on. */
	net_per_source(w->net, 0);
	fill(w, "192.0.2.9", "192.0.2.9", false);
}

#define T(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_v1), cmocka_unit_test(test_v1_long),
		cmocka_unit_test(test_v2), cmocka_unit_test(test_forwarded),
		T(test_conn), T(test_slow), T(test_header),
		T(test_crowd)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
