/* Clients of TLS that begin in numbers, in parts, or while they must wait. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "regress/lib/tlsworld.h"

/* Whoever begins and does not go on makes room for others. */
static void
test_half_open(void **state)
{
	struct tlsworld *x = *state;
	const size_t n = 1024 + 5;
	struct tlspeer *p = calloc(n, sizeof(*p)), last;
	size_t i;

	for (i = 0; i < n; i++) {
		uint8_t b[4096];
		size_t len;

		p[i] = tw_raw(x, CONN_K_TLS);
		p[i].c = tlsclient_new(NULL);
		len = tlsclient_output(p[i].c, b, sizeof(b));
		conn_input(p[i].conn, b, len);
	}
	assert_int_equal(net_edge_counters(x->w->net)->tls_pushed, 5);
	for (i = 0; i < 5; i++)
		assert_true(conn_is_done(p[i].conn));
	assert_false(conn_is_done(p[5].conn));
	last = tw_dial(x, NULL);
	tw_talk(x, &last);
	tw_end(&last);
	for (i = 0; i < n; i++)
		tw_end(&p[i]);
	free(p);
}

/* A part of a ClientHello costs us its octets, and pushes nobody out. */
static void
test_part(void **state)
{
	struct tlsworld *x = *state;
	struct tlspeer p = tw_raw(x, CONN_K_TLS);
	uint8_t b[4096], cut[4096];
	size_t n, half, len;

	p.c = tlsclient_new(NULL);
	n = tlsclient_output(p.c, b, sizeof(b));
	/* The same message in two records. */
	len = n - 5;
	half = len / 2;
	memcpy(cut, b, 5);
	cut[3] = (uint8_t)(half >> 8);
	cut[4] = (uint8_t)half;
	memcpy(cut + 5, b + 5, half);
	memcpy(cut + 5 + half, b, 5);
	cut[5 + half + 3] = (uint8_t)((len - half) >> 8);
	cut[5 + half + 4] = (uint8_t)(len - half);
	memcpy(cut + 10 + half, b + 5 + half, len - half);
	conn_input(p.conn, cut, 5 + half);
	assert_int_equal(net_edge_counters(x->w->net)->tls, 0);
	assert_false(conn_wants_output(p.conn));
	assert_true(conn_wants_input(p.conn));
	conn_input(p.conn, cut + 5 + half, n + 5 - (5 + half) - 1);
	assert_int_equal(net_edge_counters(x->w->net)->tls, 0);
	conn_input(p.conn, cut + n + 4, 1);
	assert_int_equal(net_edge_counters(x->w->net)->tls, 1);
	tw_move(x, &p);
	tw_talk(x, &p);
	tw_end(&p);
	/* Too long a one, or in too many pieces, is none. */
	tw_garbage(x, "\x16\x03\x01\x00\x04\x01\x00\x40\x01", 9, 47);
	for (len = 0; len < 17; len++)
		memcpy(cut + 6 * len, "\x16\x03\x01\x00\x01", 6);
	cut[5] = 1;
	cut[6 * 3 + 5] = 64;
	tw_garbage(x, (char *)cut, 6 * 16, 47);
}

/* A signature takes this long. */
static struct {
	struct tls_signer of;
	struct fakeenv	*fake;
} slow;

static int
sign_slowly(struct tls_hs *h, unsigned int key, unsigned int scheme,
    const uint8_t *octets, size_t n, uint8_t *sig, size_t max, void *arg)
{
	(void)arg;
	fakeenv_drift(slow.fake, 3 * US_PER_MS);
	return slow.of.sign(h, key, scheme, octets, n, sig, max, slow.of.arg);
}

static void
use_slow(struct tlsworld *x)
{
	struct tls_signer s = { .sign = sign_slowly };

	slow.of = certkit_signer(x->kit);
	slow.fake = x->w->fake;
	tls_free(x->tls);
	x->tls = tls_new(&s);
	certkit_add(x->kit, x->tls, CK_P256, "DNS:a.example");
	net_tls(x->w->net, x->tls);
}

#define BURST	10

/* How many of them have an answer. */
static size_t
answered(struct tlspeer *p)
{
	size_t i, n = 0;

	for (i = 0; i < BURST; i++)
		n += conn_wants_output(p[i].conn);
	return n;
}

/* Many at once: a few a turn, in their order, and nothing is lost. */
static void
test_burst(void **state)
{
	struct tlsworld *x = *state;
	struct tlspeer p[BURST];
	uint8_t b[4096];
	size_t i, n;
	bool held;

	use_slow(x);
	for (held = false;; held = true) {
		net_tls_hold(x->w->net, held);
		for (i = 0; i < BURST; i++) {
			p[i] = tw_raw(x, CONN_K_TLS);
			p[i].c = tlsclient_new(NULL);
			n = tlsclient_output(p[i].c, b, sizeof(b));
			conn_input(p[i].conn, b, n);
		}
		if (held) {
			assert_int_equal(answered(p), 0);
			net_tls_hold(x->w->net, false);
		}
		n = held ? 0 : 2;
		assert_int_equal(answered(p), n);
		assert_false(conn_wants_input(p[BURST - 1].conn));
		for (; n < BURST; n += 2) {
			assert_int_equal(answered(p), n);
			assert_true(n == 0 || conn_wants_output(p[n - 1].conn));
			fakeenv_advance(x->w->fake, 0);
		}
		assert_int_equal(answered(p), BURST);
		for (i = 0; i < BURST; i++) {
			tw_move(x, &p[i]);
			tw_talk(x, &p[i]);
			tw_end(&p[i]);
		}
		fakeenv_advance(x->w->fake, 0);
		if (held)
			break;
	}
}

/* The hold comes between a client's two ClientHellos. */
static void
test_retry_hold(void **state)
{
	struct tlsworld *x = *state;
	struct tlsclient_conf conf = { .groups = "P-521:P-256" };
	struct tlspeer p = tw_raw(x, CONN_K_TLS);
	uint8_t b[4096];
	size_t n;

	p.c = tlsclient_new(&conf);
	n = tlsclient_output(p.c, b, sizeof(b));
	conn_input(p.conn, b, n);
	assert_true(conn_wants_output(p.conn));
	certkit_fail(x->kit, true);
	net_tls_hold(x->w->net, true);
	tw_move(x, &p);
	assert_false(tlsclient_is_ready(p.c));
	assert_int_equal(certkit_asked(x->kit), 0);
	certkit_fail(x->kit, false);
	net_tls_hold(x->w->net, false);
	tw_move(x, &p);
	tw_talk(x, &p);
	tw_end(&p);
}

/* Room is made by who has least: no answer yet but to try again. */
static void
test_push(void **state)
{
	struct tlsworld *x = *state;
	struct tlsclient_conf conf = { .groups = "P-521:P-256" };
	const size_t n = 1024 + 1;
	struct tlspeer *p = calloc(n, sizeof(*p));
	uint8_t b[4096];
	size_t i, len;

	for (i = 0; i < n; i++) {
		p[i] = tw_raw(x, CONN_K_TLS);
		p[i].c = tlsclient_new(i == 700 ? &conf : NULL);
		len = tlsclient_output(p[i].c, b, sizeof(b));
		conn_input(p[i].conn, b, len);
	}
	assert_int_equal(net_edge_counters(x->w->net)->tls_pushed, 1);
	assert_true(conn_is_done(p[700].conn));
	assert_false(conn_is_done(p[0].conn));
	for (i = 0; i < n; i++)
		tw_end(&p[i]);
	free(p);
}

#define T(f)	cmocka_unit_test_setup_teardown(f, tw_setup, tw_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_half_open), T(test_part), T(test_burst),
		T(test_retry_hold), T(test_push)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
