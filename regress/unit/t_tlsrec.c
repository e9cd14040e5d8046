/* TLS 1.3 records against the library's client, and RFC 8448's. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/ssl.h>

#include "common/enc.h"
#include "regress/lib/certkit.h"
#include "worker/net/tlsrec.h"

/* A finished handshake: the library at one end, records at the other. */
struct world {
	struct certkit	*kit;
	struct tls	*tls;
	struct tlsclient *c;
	struct tlsrec_env *e;
	struct tlsrec	*r;
	struct buf	 out;		/* to the client */
};

static const char *const suites[] = { "TLS_AES_128_GCM_SHA256",
    "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256" };

/* One record of the client's, NULL if there is none. */
static uint8_t *
record(struct world *w, size_t *n)
{
	static uint8_t b[TLSREC_MAX];
	enum tlsrec_alert a;
	size_t len;

	if (tlsclient_output(w->c, b, TLSREC_HEAD) != TLSREC_HEAD)
		return NULL;
	len = tlsrec_len(b, &a);
	assert_int_not_equal(len, 0);
	assert_int_equal(tlsclient_output(w->c, b + TLSREC_HEAD,
	    len - TLSREC_HEAD), len - TLSREC_HEAD);
	*n = len;
	return b;
}

static void
to_client(struct world *w)
{
	tlsclient_input(w->c, w->out.p, w->out.n);
	buf_clear(&w->out);
}

static struct world *
world_new(const char *suite)
{
	struct world *w = calloc(1, sizeof(*w));
	struct tlsclient_conf conf = { .suite = suite };
	struct tls_signer s;
	struct tls_secrets secrets;
	struct tls_hs *h;
	enum tls_event e = TLS_E_MORE;
	uint8_t *p;
	size_t n;

	w->kit = certkit_new();
	s = certkit_signer(w->kit);
	w->tls = tls_new(&s);
	certkit_add(w->kit, w->tls, CK_P256, "DNS:a.example");
	w->c = tlsclient_new(&conf);
	w->e = tlsrec_env_new();
	h = tls_hs_new(w->tls, NULL, NULL);
	while (e == TLS_E_MORE && (p = record(w, &n)) != NULL) {
		e = tls_hs_record(h, p, n, &w->out, &secrets);
		to_client(w);
	}
	assert_int_equal(e, TLS_E_DONE);
	tls_hs_free(h);
	w->r = tlsrec_new(w->e, &secrets);
	return w;
}

static void
world_free(struct world *w)
{
	tlsrec_free(w->e, w->r);
	tlsrec_env_free(w->e);
	tlsclient_free(w->c);
	tls_free(w->tls);
	certkit_free(w->kit);
	buf_free(&w->out);
	free(w);
}

static enum tlsrec_event
take(struct world *w, struct buf *got)
{
	const uint8_t *plain;
	enum tlsrec_event e;
	uint8_t *p;
	size_t n, len;

	p = record(w, &n);
	assert_non_null(p);
	e = tlsrec_open(w->e, w->r, p, n, &plain, &len, &w->out);
	if (e == TLSREC_E_DATA && got != NULL)
		buf_put(got, plain, len);
	return e;
}

static void
give(struct world *w, enum tlsrec_type type, const void *p, size_t n)
{
	uint8_t *dst = buf_room(&w->out, n + TLSREC_COST);
	size_t len;

	if (n != 0)
		memcpy(dst + TLSREC_HEAD, p, n);
	len = tlsrec_seal(w->e, w->r, type, dst, n);
	assert_int_equal(len, n + TLSREC_COST);
	w->out.n += len;
}

/* One record of n octets each way. */
static void
both_ways(struct world *w, size_t n, uint8_t what)
{
	static uint8_t data[TLSREC_PLAIN];
	struct buf got = { 0 };

	memset(data, what, n);
	tlsclient_write(w->c, data, n);
	if (n != 0) {
		assert_int_equal(take(w, &got), TLSREC_E_DATA);
		assert_int_equal(got.n, n);
		assert_memory_equal(got.p, data, n);
	}
	buf_free(&got);
	give(w, TLSREC_DATA, data, n);
	to_client(w);
	assert_int_equal(tlsclient_got(w->c)->n, n);
	if (n != 0)
		assert_memory_equal(tlsclient_got(w->c)->p, data, n);
	buf_clear(tlsclient_got(w->c));
}

static void
test_sizes(void **state)
{
	struct world *w;
	size_t n, i;

	(void)state;
	for (i = 0; i < 3; i++) {
		w = world_new(suites[i]);
		for (n = 0; n <= TLSREC_PLAIN; n += n < 300 ? 1 : 677)
			both_ways(w, n, (uint8_t)n);
		both_ways(w, TLSREC_PLAIN - 1, 1);
		both_ways(w, TLSREC_PLAIN, 2);
		world_free(w);
	}
}

/* More directions than there are contexts that keep their keys. */
static void
test_many(void **state)
{
	enum { N = 700, ROUNDS = 3 };
	static struct tlsrec *server[N], *client[N];
	struct tlsrec_env *e = tlsrec_env_new();
	struct tls_secrets s = { 0x1301, 32, { 0 }, { 0 } }, t;
	struct buf none = { 0 };
	uint8_t rec[100];
	const uint8_t *plain;
	size_t i, k, n, len;

	(void)state;
	for (i = 0; i < N; i++) {
		memcpy(s.client, &i, sizeof(i));
		memcpy(s.server + 8, &i, sizeof(i));
		t = s;
		memcpy(t.client, s.server, sizeof(t.client));
		memcpy(t.server, s.client, sizeof(t.server));
		server[i] = tlsrec_new(e, &s);
		client[i] = tlsrec_new(e, &t);
	}
	for (k = 0; k < ROUNDS * N; k++) {
		i = k % N;
		memcpy(rec + TLSREC_HEAD, &k, sizeof(k));
		n = tlsrec_seal(e, server[i], TLSREC_DATA, rec, sizeof(k));
		assert_int_equal(tlsrec_open(e, client[i], rec, n, &plain, &len,
		    &none), TLSREC_E_DATA);
		assert_int_equal(len, sizeof(k));
		assert_memory_equal(plain, &k, sizeof(k));
		/* Nobody else's key opens it. */
		assert_int_equal(tlsrec_open(e, server[(i + 1) % N], rec, n,
		    &plain, &len, &none), TLSREC_E_BAD);
	}
	for (i = 0; i < N; i++) {
		tlsrec_free(e, server[i]);
		tlsrec_free(e, client[i]);
	}
	tlsrec_env_free(e);
	buf_free(&none);
}

/* KeyUpdate from either side, asked for or not, many times. */
static void
test_update(void **state)
{
	struct world *w;
	size_t i;
	int k;

	(void)state;
	for (i = 0; i < 3; i++) {
		w = world_new(suites[i]);
		for (k = 0; k < 20; k++) {
			tlsclient_update(w->c, k % 2 == 0);
			assert_int_equal(take(w, NULL), TLSREC_E_NOTHING);
			assert_int_equal(tlsrec_updates(w->r), k + 1);
			assert_int_equal(w->out.n, k % 2 == 0 ? 5 +
			    TLSREC_COST : 0);
			both_ways(w, 100 + (size_t)k, (uint8_t)k);
		}
		tlsrec_update(w->e, w->r, false, &w->out);
		both_ways(w, 100, 1);
		tlsrec_update(w->e, w->r, true, &w->out);
		to_client(w);
		/* The library answers when it writes next. */
		tlsclient_write(w->c, "x", 1);
		assert_int_equal(take(w, NULL), TLSREC_E_NOTHING);
		assert_int_equal(take(w, NULL), TLSREC_E_DATA);
		both_ways(w, 100, 2);
		world_free(w);
	}
}

/* Keys are used for so many records, and no more. */
static void
test_wear(void **state)
{
	struct world *w = world_new(NULL);

	(void)state;
	assert_false(tlsrec_is_worn(w->r));
	tlsrec_wear(w->r, 0, (1 << 23) - 1);
	assert_false(tlsrec_is_worn(w->r));
	tlsrec_wear(w->r, 0, 1 << 23);
	assert_true(tlsrec_is_worn(w->r));
	tlsrec_wear(w->r, 0, 0);
	tlsrec_update(w->e, w->r, true, &w->out);
	assert_false(tlsrec_is_worn(w->r));
	/* It was asked, and has not answered: not again. */
	tlsrec_wear(w->r, 1 << 23, 0);
	assert_false(tlsrec_is_worn(w->r));
	tlsrec_wear(w->r, 0, 0);
	to_client(w);
	tlsclient_write(w->c, "x", 1);
	assert_int_equal(take(w, NULL), TLSREC_E_NOTHING);
	tlsrec_wear(w->r, 1 << 23, 0);
	assert_true(tlsrec_is_worn(w->r));
	world_free(w);
}

static void
test_close(void **state)
{
	struct world *w = world_new(NULL);

	(void)state;
	tlsclient_close(w->c);
	assert_int_equal(take(w, NULL), TLSREC_E_CLOSE);
	tlsrec_alert(w->e, w->r, TLSREC_A_CLOSE, &w->out);
	to_client(w);
	assert_true(tlsclient_is_closed(w->c));
	world_free(w);
	w = world_new(NULL);
	tlsrec_alert(w->e, w->r, TLSREC_A_BAD_MAC, &w->out);
	to_client(w);
	assert_int_equal(tlsclient_alert(w->c), SSL_AD_BAD_RECORD_MAC);
	world_free(w);
}

/* A record that was changed or cut at any octet opens to nothing. */
static void
test_tamper(void **state)
{
	struct world *w;
	const uint8_t *plain;
	uint8_t copy[100], *p;
	enum tlsrec_alert a;
	size_t n, len, at, i;

	(void)state;
	for (i = 0; i < 3; i++) {
		w = world_new(suites[i]);
		tlsclient_write(w->c, "attack at dawn", 14);
		p = record(w, &n);
		for (at = 0; at < n; at++) {
			memcpy(copy, p, n);
			copy[at] ^= at == 1 ? 1 : 0x80;
			if (tlsrec_len(copy, &a) != n)
				continue;	/* not even a whole record */
			assert_int_equal(tlsrec_open(w->e, w->r, copy, n,
			    &plain, &len, &w->out), TLSREC_E_BAD);
			tlsrec_wear(w->r, 0, 0);
		}
		for (at = TLSREC_HEAD; at < n; at++) {
			memcpy(copy, p, n);
			copy[3] = 0;
			copy[4] = (uint8_t)(at - TLSREC_HEAD);
			assert_int_equal(tlsrec_open(w->e, w->r, copy, at,
			    &plain, &len, &w->out), TLSREC_E_BAD);
			assert_int_equal(tlsrec_why(w->r), TLSREC_A_BAD_MAC);
			tlsrec_wear(w->r, 0, 0);
		}
		assert_int_equal(tlsrec_open(w->e, w->r, p, n, &plain, &len,
		    &w->out), TLSREC_E_DATA);
		/* Nor does the same one twice, or out of its order. */
		assert_int_equal(tlsrec_open(w->e, w->r, p, n, &plain, &len,
		    &w->out), TLSREC_E_BAD);
		assert_int_equal(w->out.n, 0);
		world_free(w);
	}
}

/*
 * What a client can't be made to send: two ends of ours, the server's secret
 * in place of the client's.
 */
struct pair {
	struct tlsrec_env *e;
	struct tlsrec	*from;
	struct tlsrec	*to;
	struct buf	 out;
};

static struct pair *
pair_new_(void)
{
	struct pair *p = calloc(1, sizeof(*p));
	struct tls_secrets a = { .suite = 0x1301, .n = 32 }, b = a;

	memset(a.server, 1, 32);
	memset(a.client, 2, 32);
	memset(b.client, 1, 32);
	memset(b.server, 2, 32);
	p->e = tlsrec_env_new();
	p->from = tlsrec_new(p->e, &a);
	p->to = tlsrec_new(p->e, &b);
	return p;
}

static void
pair_free_(struct pair *p)
{
	tlsrec_free(p->e, p->from);
	tlsrec_free(p->e, p->to);
	tlsrec_env_free(p->e);
	buf_free(&p->out);
	free(p);
}

static enum tlsrec_event
pass(struct pair *p, unsigned int type, const void *data, size_t n)
{
	uint8_t rec[TLSREC_MAX + 100];
	const uint8_t *plain;
	size_t len;

	if (n != 0)
		memcpy(rec + TLSREC_HEAD, data, n);
	len = tlsrec_seal(p->e, p->from, (enum tlsrec_type)type, rec, n);
	return tlsrec_open(p->e, p->to, rec, len, &plain, &len, &p->out);
}

/* One record on its own: BAD with this alert. */
static void
bad(unsigned int type, const void *data, size_t n, enum tlsrec_alert want)
{
	struct pair *p = pair_new_();

	assert_int_equal(pass(p, type, data, n), TLSREC_E_BAD);
	assert_int_equal(tlsrec_why(p->to), want);
	pair_free_(p);
}

static void
test_bad(void **state)
{
	(void)state;
	bad(TLSREC_CHANGE, "\x01", 1, TLSREC_A_UNEXPECTED);
	bad(99, "x", 1, TLSREC_A_UNEXPECTED);
	bad(0, NULL, 0, TLSREC_A_UNEXPECTED);		/* only zeros */
	bad(0, "\0\0\0", 3, TLSREC_A_UNEXPECTED);
	bad(TLSREC_ALERT, "\x01", 1, TLSREC_A_DECODE);
	bad(TLSREC_ALERT, NULL, 0, TLSREC_A_DECODE);
	bad(TLSREC_ALERT, "\1\0\1", 3, TLSREC_A_DECODE);
	bad(TLSREC_HANDSHAKE, NULL, 0, TLSREC_A_UNEXPECTED);
	bad(TLSREC_HANDSHAKE, "\x01\0\0\0", 4, TLSREC_A_UNEXPECTED);
	bad(TLSREC_HANDSHAKE, "\x04\0\0\0", 4, TLSREC_A_UNEXPECTED);
	bad(TLSREC_HANDSHAKE, "\x0b\0\0\0", 4, TLSREC_A_UNEXPECTED);
	bad(TLSREC_HANDSHAKE, "\x18\0\0\2\0\0", 6, TLSREC_A_DECODE);
	bad(TLSREC_HANDSHAKE, "\x18\0\0\1\2", 5, TLSREC_A_ILLEGAL);
	bad(TLSREC_HANDSHAKE, "\x18\0\0\1\0\x18\0\0\1\0", 10,
	    TLSREC_A_UNEXPECTED);
}

/* A message in pieces is one; nothing may come between them. */
static void
test_pieces(void **state)
{
	struct pair *p = pair_new_();
	int i;

	(void)state;
	for (i = 0; i < 5; i++)
		assert_int_equal(pass(p, TLSREC_HANDSHAKE,
		    &"\x18\0\0\1\0"[i], 1), TLSREC_E_NOTHING);
	assert_int_equal(tlsrec_updates(p->to), 1);
	pair_free_(p);
	p = pair_new_();
	assert_int_equal(pass(p, TLSREC_HANDSHAKE, "\x18\0", 2),
	    TLSREC_E_NOTHING);
	assert_int_equal(pass(p, TLSREC_DATA, "x", 1), TLSREC_E_BAD);
	assert_int_equal(tlsrec_why(p->to), TLSREC_A_UNEXPECTED);
	pair_free_(p);
}

static void
test_alerts(void **state)
{
	struct pair *p = pair_new_();

	(void)state;
	assert_int_equal(pass(p, TLSREC_ALERT, "\1\x5a", 2),
	    TLSREC_E_NOTHING);		/* user_canceled */
	assert_int_equal(pass(p, TLSREC_DATA, "x\0\0\0", 4), TLSREC_E_DATA);
	assert_int_equal(pass(p, TLSREC_ALERT, "\1\0", 2), TLSREC_E_CLOSE);
	assert_int_equal(pass(p, TLSREC_ALERT, "\2\x28", 2), TLSREC_E_ENDED);
	/* Not even a warning is ignored (RFC 8446 6). */
	assert_int_equal(pass(p, TLSREC_ALERT, "\1\x28", 2), TLSREC_E_ENDED);
	pair_free_(p);
}

/* Padding is allowed, up to the length of a record. */
static void
test_padding(void **state)
{
	struct pair *p = pair_new_();
	uint8_t data[TLSREC_PLAIN + 1] = { 'h', 'i', TLSREC_DATA };
	uint8_t rec[TLSREC_MAX];
	const uint8_t *plain;
	size_t len;

	(void)state;
	memcpy(rec + TLSREC_HEAD, data, TLSREC_PLAIN);
	len = tlsrec_seal(p->e, p->from, (enum tlsrec_type)0, rec,
	    TLSREC_PLAIN);
	assert_int_equal(tlsrec_open(p->e, p->to, rec, len, &plain, &len,
	    &p->out), TLSREC_E_DATA);
	assert_int_equal(len, 2);
	assert_memory_equal(plain, "hi", 2);
	pair_free_(p);
}

static void
test_floods(void **state)
{
	struct pair *p = pair_new_();
	int i;

	(void)state;
	for (i = 0; i < 32; i++)
		assert_int_equal(pass(p, TLSREC_DATA, NULL, 0),
		    TLSREC_E_NOTHING);
	assert_int_equal(pass(p, TLSREC_DATA, "x", 1), TLSREC_E_DATA);
	for (i = 0; i < 32; i++)
		assert_int_equal(pass(p, TLSREC_DATA, NULL, 0),
		    TLSREC_E_NOTHING);
	assert_int_equal(pass(p, TLSREC_DATA, NULL, 0), TLSREC_E_BAD);
	pair_free_(p);
	/* New keys without end, and warnings, though answers are read. */
	p = pair_new_();
	for (i = 0; i < 100; i++) {
		struct buf b = { 0 };
		const uint8_t *plain;
		enum tlsrec_event e;
		size_t len;

		buf_clear(&p->out);
		if (i % 2 == 0)
			e = pass(p, TLSREC_ALERT, "\1\x5a", 2);
		else {
			tlsrec_update(p->e, p->from, false, &b);
			e = tlsrec_open(p->e, p->to, b.p, b.n, &plain, &len,
			    &p->out);
			buf_free(&b);
		}
		if (e == TLSREC_E_BAD)
			break;
	}
	assert_int_equal(i, 32);
	assert_int_equal(tlsrec_why(p->to), TLSREC_A_UNEXPECTED);
	pair_free_(p);
	/* Asks for new keys and reads none of the answers. */
	p = pair_new_();
	for (i = 0; i < 1000; i++) {
		struct buf b = { 0 };
		const uint8_t *plain;
		enum tlsrec_event e;
		size_t len;

		tlsrec_update(p->e, p->from, true, &b);
		e = tlsrec_open(p->e, p->to, b.p, b.n, &plain, &len, &p->out);
		buf_free(&b);
		if (e == TLSREC_E_BAD)
			break;
	}
	assert_true(i > 10 && i < 1000);
	assert_true(p->out.n < 2048);
	pair_free_(p);
}

static void
test_heads(void **state)
{
	enum tlsrec_alert a;

	(void)state;
	assert_int_equal(tlsrec_len((const uint8_t *)"\x17\3\3\x41\0", &a),
	    16640 + 5);
	assert_int_equal(tlsrec_len((const uint8_t *)"\x17\3\3\x41\1", &a), 0);
	assert_int_equal(a, TLSREC_A_OVERFLOW);
	assert_int_equal(tlsrec_len((const uint8_t *)"GET /", &a), 0);
	assert_int_equal(a, TLSREC_A_UNEXPECTED);
	assert_int_equal(tlsrec_len((const uint8_t *)"\x16\2\0\0\1", &a), 0);
	assert_int_equal(tlsrec_len((const uint8_t *)"\x18\3\0\0\1", &a), 0);
	assert_int_equal(tlsrec_len((const uint8_t *)"\x16\3\1\0\1", &a), 6);
}

/*
 * RFC 8448 3, simple 1-RTT: the client's application traffic secret, and its
 * records of 50 octets and of close_notify.
 */
static void
test_rfc8448(void **state)
{
	static const char secret[] =
	    "9e40646ce79a7f9dc05af8889bce6552"
	    "875afa0b06df0087f792ebb7c17504a5";
	static const char data[] = "1703030043"
	    "a23f7054b62c94d0affafe8228ba55cbefacea42f914aa66bcab3f2b9819a8a5"
	    "b46b395bd54a9a20441e2b62974e1f5a6292a2977014bd1e3deae63aeebb2169"
	    "4915e4";
	static const char close[] = "1703030013"
	    "c9872760655666b74d7ff1153efd6db6d0b0e3";
	struct tls_secrets s = { .suite = 0x1301, .n = 32 };
	struct tlsrec_env *e = tlsrec_env_new();
	struct tlsrec *r;
	struct buf out = { 0 };
	const uint8_t *plain;
	uint8_t rec[72], last[24];
	size_t n, i;

	(void)state;
	assert_true(hex_dec(s.client, 32, slice_str(secret)));
	assert_true(hex_dec(rec, sizeof(rec), slice_str(data)));
	assert_true(hex_dec(last, sizeof(last), slice_str(close)));
	r = tlsrec_new(e, &s);
	assert_int_equal(tlsrec_open(e, r, rec, sizeof(rec), &plain, &n, &out),
	    TLSREC_E_DATA);
	assert_int_equal(n, 50);
	for (i = 0; i < 50; i++)
		assert_int_equal(plain[i], i);
	assert_int_equal(tlsrec_open(e, r, last, sizeof(last), &plain, &n,
	    &out), TLSREC_E_CLOSE);
	tlsrec_free(e, r);
	tlsrec_env_free(e);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_update),
		cmocka_unit_test(test_wear),
		cmocka_unit_test(test_close),
		cmocka_unit_test(test_tamper),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_pieces),
		cmocka_unit_test(test_alerts),
		cmocka_unit_test(test_padding),
		cmocka_unit_test(test_floods),
		cmocka_unit_test(test_heads),
		cmocka_unit_test(test_rfc8448)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
