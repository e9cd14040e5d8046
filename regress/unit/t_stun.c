/* STUN: what is answered, with which octets, and what is not (derp.md 6). */

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "common/enc.h"
#include "common/env.h"
#include "common/siphash.h"
#include "common/str.h"
#include "regress/lib/stunkit.h"
#include "worker/stun/bucket.h"
#include "worker/stun/stun.h"

#define REQUEST	"000100142112a442000102030405060708090a0b80220008" \
	"7461696c6e6f6465802800048aabad90"

static const uint8_t key[16] = {
	0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
};

static size_t
octets(uint8_t *dst, const char *hex)
{
	size_t n = strlen(hex) / 2;

	assert_true(hex_dec(dst, n, slice_str(hex)));
	return n;
}

static struct ipport
from(const char *text)
{
	struct ipport at;

	assert_true(ipport_parse(&at, slice_str(text)));
	return at;
}

static size_t
ask(struct stun *s, const char *source, const uint8_t *p, size_t n,
    uint8_t *reply)
{
	struct ipport at = from(source);

	return stun_answer(s, US_PER_S, &at, p, n, reply);
}

static int
setup(void **state)
{
	*state = stun_new(key);
	return 0;
}

static int
teardown(void **state)
{
	stun_free(*state);
	return 0;
}

/* derp.md 6.3 */
static void
test_vectors(void **state)
{
	static const struct {
		const char	*source;
		const char	*reply;
	} t[] = {
		{ "192.0.2.33:41641", "0101000c2112a442000102030405060708090a"
		    "0b00200008000183bbe112a663" },
		{ "[2001:db8::1234]:41641", "010100182112a44200010203040506070"
		    "8090a0b00200014000283bb0113a9fa00010203040506070809183f" },
		/* 6.4: older clients do not take such an address for one. */
		{ "[::ffff:192.0.2.33]:41641", "0101000c2112a4420001020304050"
		    "60708090a0b00200008000183bbe112a663" }
	};
	uint8_t request[64], want[64], got[STUN_REPLY_MAX];
	struct ipport at;
	size_t i, n, len;

	n = octets(request, REQUEST);
	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		memset(got, 0xee, sizeof(got));
		len = octets(want, t[i].reply);
		at = from("192.0.2.33:41641");
		if (i == 2) {	/* which has no text that is taken */
			memset(&at, 0, sizeof(at));
			at.addr.family = 6;
			at.addr.b[10] = at.addr.b[11] = 0xff;
			memcpy(at.addr.b + 12, "\xc0\0\2\x21", 4);
			at.port = 41641;
		} else
			at = from(t[i].source);
		assert_int_equal(stun_answer(*state, 0, &at, request, n, got),
		    len);
		assert_memory_equal(got, want, len);
		/* Never larger than it must be. */
		assert_true(len <= n + 4 && (at.addr.family == 6 || len <= n));
	}
	assert_int_equal(stun_counts(*state)->answered, 3);
}

/* More attributes, which RFC 8489 allows anybody to add. */
static void
test_taken(void **state)
{
	static const char *const t[] = {
		/* one more, with padding, in front */
		"0001001c2112a442000102030405060708090a0b"
		"7fff000361626300" "802200087461696c6e6f6465"
		"8028000400000000",
		/* two of the name, the first another's */
		"000100202112a442000102030405060708090a0b"
		"802200087461696c6e6f6478" "802200087461696c6e6f6465"
		"8028000400000000",
		/* one without a value */
		"000100182112a442000102030405060708090a0b"
		"802200087461696c6e6f6465" "80ff0000" "8028000400000000"
	};
	uint8_t p[128], reply[STUN_REPLY_MAX];
	size_t i, n;

	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		n = octets(p, t[i]);
		p[3] = (uint8_t)(n - 20);
		stunkit_seal(p, n);
		assert_int_equal(ask(*state, "192.0.2.1:1", p, n, reply), 32);
	}
}

/* The longest ones that are looked at, and one that is longer. */
static void
test_long(void **state)
{
	uint8_t p[600], reply[STUN_REPLY_MAX];
	size_t n;

	for (n = 572; n <= 580; n += 4) {
		memset(p, 0, sizeof(p));
		assert_int_equal(octets(p, REQUEST), 40);
		p[2] = (uint8_t)((n - 20) >> 8);
		p[3] = (uint8_t)(n - 20);
		/* an attribute between the two that fills it */
		p[32] = 0x7f;
		p[34] = (uint8_t)((n - 44) >> 8);
		p[35] = (uint8_t)(n - 44);
		memcpy(p + n - 8, "\x80\x28\0\4", 4);
		stunkit_seal(p, n);
		assert_int_equal(ask(*state, "192.0.2.1:1", p, n, reply),
		    n <= STUN_REQUEST_MAX ? 32 : 0);
	}
}

static const struct {
	const char	*what;
	const char	*hex;
	int		 seal;		/* with a checksum that is right */
} bad[] = {
	{ "nothing", "", 0 },
	{ "a header alone", "000100002112a442000102030405060708090a0b", 0 },
	{ "no name", "000100082112a442000102030405060708090a0b"
	    "8028000400000000", 1 },
	{ "another's name", "000100142112a442000102030405060708090a0b"
	    "802200087461696c6e6f6466" "8028000400000000", 1 },
	{ "a longer name", "000100182112a442000102030405060708090a0b"
	    "802200097461696c6e6f646565000000" "8028000400000000", 1 },
	{ "the name elsewhere", "000100142112a442000102030405060708090a0b"
	    "802300087461696c6e6f6465" "8028000400000000", 1 },
	{ "no checksum", "0001000c2112a442000102030405060708090a0b"
	    "802200087461696c6e6f6465", 0 },
	{ "the checksum not last", "000100182112a442000102030405060708090a0b"
	    "802200087461696c6e6f6465" "8028000400000000" "80ff0000", 1 },
	{ "a longer checksum", "000100182112a442000102030405060708090a0b"
	    "802200087461696c6e6f6465" "802800080000000000000000", 1 },
	{ "a wrong checksum", "000100142112a442000102030405060708090a0b"
	    "802200087461696c6e6f6465" "802800048aabad91", 0 },
	{ "no cookie", "000100142112a443000102030405060708090a0b"
	    "802200087461696c6e6f6465" "8028000400000000", 1 },
	{ "not a request", "010100142112a442000102030405060708090a0b"
	    "802200087461696c6e6f6465" "8028000400000000", 1 },
	{ "an indication", "001100142112a442000102030405060708090a0b"
	    "802200087461696c6e6f6465" "8028000400000000", 1 },
	{ "not STUN", "800100142112a442000102030405060708090a0b"
	    "802200087461696c6e6f6465" "8028000400000000", 1 },
	{ "a length that is short", "000100102112a442000102030405060708090a0b"
	    "802200087461696c6e6f6465" "8028000400000000", 1 },
	{ "a length that is long", "000100182112a442000102030405060708090a0b"
	    "802200087461696c6e6f6465" "8028000400000000", 1 },
	{ "a value that is cut", "000100142112a442000102030405060708090a0b"
	    "8022000c7461696c6e6f6465" "80280004", 0 },
	{ "a value beyond the end", "000100142112a442000102030405060708090a0b"
	    "802200087461696c6e6f6465" "8028ffff00000000", 1 },
	{ "half a header", "000100162112a442000102030405060708090a0b"
	    "802200087461696c6e6f6465" "802800040000" "0000", 0 }
};

/* Nothing at all is said to them, and each is counted. */
static void
test_bad(void **state)
{
	uint8_t p[128], reply[STUN_REPLY_MAX];
	size_t i, n;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		n = octets(p, bad[i].hex);
		if (bad[i].seal)
			stunkit_seal(p, n);
		if (ask(*state, "192.0.2.1:1", p, n, reply) != 0)
			fail_msg("answered: %s", bad[i].what);
	}
	assert_int_equal(stun_counts(*state)->malformed, i);
	assert_int_equal(stun_counts(*state)->answered, 0);
}

/* A request with any octet changed, cut anywhere, or with more behind it. */
static void
test_mangled(void **state)
{
	uint8_t p[64], *cut, reply[STUN_REPLY_MAX];
	size_t i, n;
	int bit;

	n = octets(p, REQUEST);
	for (i = 0; i < n; i++) {
		/* by itself, so that a look beyond its end is seen */
		cut = malloc(i == 0 ? 1 : i);
		assert_non_null(cut);
		memcpy(cut, p, i);
		assert_int_equal(ask(*state, "192.0.2.1:1", cut, i, reply), 0);
		free(cut);
		for (bit = 0; bit < 8; bit++) {
			p[i] ^= (uint8_t)(1 << bit);
			assert_int_equal(ask(*state, "192.0.2.1:1", p, n,
			    reply), 0);
			p[i] ^= (uint8_t)(1 << bit);
		}
	}
	memset(p + n, 0, 4);
	assert_int_equal(ask(*state, "192.0.2.1:1", p, n + 4, reply), 0);
	assert_int_equal(ask(*state, "192.0.2.1:1", p, n, reply), 32);
}

/* derp.md 14, S9 */
static void
test_sources(void **state)
{
	static const char *const t[] = {
		"0.0.0.0:1", "0.1.2.3:1", "224.0.0.1:1", "239.255.255.250:1900",
		"255.255.255.255:1", "240.0.0.1:1", "192.0.2.1:0", "[::]:1",
		"[ff02::1]:1", "[2001:db8::1]:0"
	};
	uint8_t p[64], reply[STUN_REPLY_MAX];
	struct ipport none = { { 0, { 0 } }, 1 };
	size_t i, n = octets(p, REQUEST);

	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++)
		if (ask(*state, t[i], p, n, reply) != 0)
			fail_msg("answered: %s", t[i]);
	assert_int_equal(stun_answer(*state, 0, &none, p, n, reply), 0);
	/* ... and what only looks like another family's. */
	none.addr.family = 6;
	none.addr.b[10] = none.addr.b[11] = 0xff;
	none.addr.b[12] = 224;
	assert_int_equal(stun_answer(*state, 0, &none, p, n, reply), 0);
	assert_int_equal(stun_counts(*state)->sources, i + 2);
}

static void
test_rate(void **state)
{
	struct stun *s = *state;
	struct ipport a = from("192.0.2.1:5"), b = from("192.0.2.2:5");
	struct ipport c = from("[2001:db8:0:1::1]:5");
	struct ipport d = from("[2001:db8:0:1:ffff::2]:6");
	uint8_t p[64], reply[STUN_REPLY_MAX];
	size_t i, n = octets(p, REQUEST);
	uint64_t now = 50 * US_PER_S;

	stun_limit(s, 10, 3);
	for (i = 0; i < 5; i++)
		assert_int_equal(stun_answer(s, now, &a, p, n, reply),
		    i < 3 ? 32 : 0);
	assert_int_equal(stun_counts(s)->limited, 2);
	/* Another port is the same source, another address is not. */
	a.port = 6;
	assert_int_equal(stun_answer(s, now, &a, p, n, reply), 0);
	assert_int_equal(stun_answer(s, now, &b, p, n, reply), 32);
	/* One more each 100 ms. */
	now += 99999;
	assert_int_equal(stun_answer(s, now, &a, p, n, reply), 0);
	now += 1;
	assert_int_equal(stun_answer(s, now, &a, p, n, reply), 32);
	assert_int_equal(stun_answer(s, now, &a, p, n, reply), 0);
	/* Never more than the burst. */
	now += 1000 * US_PER_S;
	for (i = 0; i < 5; i++)
		assert_int_equal(stun_answer(s, now, &a, p, n, reply),
		    i < 3 ? 32 : 0);
	/* A /64 is one source. */
	for (i = 0; i < 4; i++)
		assert_int_equal(stun_answer(s, now, i % 2 ? &c : &d, p, n,
		    reply), i < 3 ? 44 : 0);
	/* A clock that stands or goes back gives nothing away. */
	assert_int_equal(stun_answer(s, now - 1, &c, p, n, reply), 0);
	stun_limit(s, 0, 1);
	for (i = 0; i < 1000; i++)
		assert_int_equal(stun_answer(s, now, &a, p, n, reply), 32);
}

/* What is no request costs its source nothing. */
static void
test_rate_garbage(void **state)
{
	uint8_t p[64], reply[STUN_REPLY_MAX];
	size_t i, n = octets(p, REQUEST);

	stun_limit(*state, 1, 1);
	for (i = 0; i < 100; i++)
		assert_int_equal(ask(*state, "192.0.2.1:1", p, n - 4, reply),
		    0);
	assert_int_equal(ask(*state, "192.0.2.1:1", p, n, reply), 32);
	assert_int_equal(ask(*state, "192.0.2.1:1", p, n, reply), 0);
}

/* A flood from everywhere: no memory, and who is known is not let off. */
static void
test_flood(void **state)
{
	struct buckets *b = buckets_new(key);
	struct ip ip = { 4, { 10 } };
	unsigned int i, first = 0;
	uint64_t now = US_PER_S;

	(void)state;
	buckets_limit(b, 1, 1);
	for (i = 0; i < 200000; i++) {
		ip.b[1] = (uint8_t)(i >> 16);
		ip.b[2] = (uint8_t)(i >> 8);
		ip.b[3] = (uint8_t)i;
		first += buckets_take(b, now++, &ip);
	}
	assert_int_equal(first, 200000);	/* each is new */
	/* The last ones are still there. */
	assert_false(buckets_take(b, now, &ip));
	buckets_free(b);
}

/* Few enough sources keep apart, whatever their addresses. */
static void
test_buckets_apart(void **state)
{
	struct buckets *b = buckets_new(key);
	struct ip ip = { 4, { 10 } };
	unsigned int i, again = 0;

	(void)state;
	buckets_limit(b, 1, 1);
	for (i = 0; i < 2000; i++) {
		ip.b[2] = (uint8_t)(i >> 8);
		ip.b[3] = (uint8_t)i;
		assert_true(buckets_take(b, US_PER_S, &ip));
	}
	for (i = 0; i < 2000; i++) {
		ip.b[2] = (uint8_t)(i >> 8);
		ip.b[3] = (uint8_t)i;
		again += buckets_take(b, US_PER_S, &ip);
	}
	assert_true(again < 20);
	buckets_free(b);
}

/* Appendix A of the paper, and lengths around its words. */
static void
test_siphash(void **state)
{
	static const uint64_t want[] = {
		0x726fdb47dd0e0e31ULL, 0x74f839c593dc67fdULL,
		0x0d6c8009d9a94f5aULL, 0x85676696d7fb7e2dULL,
		0xcf2794e0277187b7ULL, 0x18765564cd99a68dULL,
		0xcbc9466e58fee3ceULL, 0xab0200f58b01d137ULL,
		0x93f5f5799a932462ULL, 0x9e0082df0ba9e4b0ULL
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(want) / sizeof(want[0]); i++)
		assert_true(siphash(key, key, i) == want[i]);
	assert_true(siphash(key, key, 15) == 0xa129ca6149be45e5ULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_vectors, setup, teardown),
		cmocka_unit_test_setup_teardown(test_taken, setup, teardown),
		cmocka_unit_test_setup_teardown(test_long, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad, setup, teardown),
		cmocka_unit_test_setup_teardown(test_mangled, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sources, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rate, setup, teardown),
		cmocka_unit_test_setup_teardown(test_rate_garbage, setup,
		    teardown),
		cmocka_unit_test(test_flood),
		cmocka_unit_test(test_buckets_apart),
		cmocka_unit_test(test_siphash)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
