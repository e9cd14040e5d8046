/* The relay's parts by themselves: frames, ClientInfo, the table, the pool. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "worker/relay/frame.h"
#include "worker/relay/info.h"
#include "worker/relay/pool.h"
#include "worker/relay/ptab.h"

static void
t_head(void **state)
{
	static const uint8_t want[5] = { 4, 0x01, 0x02, 0x03, 0x04 };
	uint8_t b[5];

	(void)state;
	derp_head(b, DERP_SEND, 0x01020304);
	assert_memory_equal(b, want, 5);
	assert_int_equal(derp_len(want), 0x01020304);
}

static const struct {
	uint8_t		 type;
	uint32_t	 n;
	enum derp_rule	 want;
} rules[] = {
	/* every bound of derp.md 2.2 from both sides */
	{ 0x04, 0, DERP_FATAL }, { 0x04, 31, DERP_FATAL },
	{ 0x04, 32, DERP_TAKE }, { 0x04, 65568, DERP_TAKE },
	{ 0x04, 65569, DERP_FATAL }, { 0x04, UINT32_MAX, DERP_FATAL },
	{ 0x07, 0, DERP_FATAL }, { 0x07, 1, DERP_TAKE },
	{ 0x07, 2, DERP_FATAL },
	{ 0x12, 7, DERP_FATAL }, { 0x12, 8, DERP_TAKE },
	{ 0x12, 1000, DERP_TAKE }, { 0x12, 1001, DERP_FATAL },
	/* privileged, whatever their size */
	{ 0x0a, 0, DERP_FATAL }, { 0x0a, 64, DERP_FATAL },
	{ 0x0a, 1500, DERP_FATAL }, { 0x10, 0, DERP_FATAL },
	{ 0x10, 1, DERP_FATAL }, { 0x11, 32, DERP_FATAL },
	{ 0x11, 0, DERP_FATAL },
	/* what is no client's to send is skipped */
	{ 0x01, 40, DERP_SKIP }, { 0x02, 100, DERP_SKIP },
	{ 0x03, 0, DERP_SKIP }, { 0x05, 32, DERP_SKIP },
	{ 0x06, 0, DERP_SKIP }, { 0x08, 33, DERP_SKIP },
	{ 0x09, 52, DERP_SKIP }, { 0x13, 8, DERP_SKIP },
	{ 0x14, 65568, DERP_SKIP }, { 0x15, 65569, DERP_FATAL },
	{ 0x00, 0, DERP_SKIP }, { 0xff, 65568, DERP_SKIP },
	{ 0xff, 65569, DERP_FATAL }, { 0x2a, UINT32_MAX, DERP_FATAL }
};

static void
t_rules(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
		if (derp_rule(rules[i].type, rules[i].n) != rules[i].want)
			fail_msg("type %#x, %u octets", rules[i].type,
			    rules[i].n);
}

/* Every type and every length (derp.md 16), by the table of 2.2. */
static enum derp_rule
oracle(unsigned int type, uint32_t n)
{
	switch (type) {
	case 0x04:
		return n >= 32 && n <= 32 + 65536 ? DERP_TAKE : DERP_FATAL;
	case 0x07:
		return n == 1 ? DERP_TAKE : DERP_FATAL;
	case 0x12:
		return n >= 8 && n <= 1000 ? DERP_TAKE : DERP_FATAL;
	case 0x0a:
	case 0x10:
	case 0x11:
		return DERP_FATAL;
	default:
		return n <= 32 + 65536 ? DERP_SKIP : DERP_FATAL;
	}
}

static void
t_every(void **state)
{
	unsigned int type;
	uint32_t n;

	(void)state;
	for (type = 0; type < 256; type++)
		for (n = 0; n <= 70000; n++)
			if (derp_rule((uint8_t)type, n) != oracle(type, n))
				fail_msg("type %#x, %u octets", type, n);
}

static void
t_login_size(void **state)
{
	(void)state;
	assert_false(derp_login_ok(2, 0));
	assert_false(derp_login_ok(2, 56));
	assert_false(derp_login_ok(2, 71));
	assert_true(derp_login_ok(2, 72));
	assert_true(derp_login_ok(2, 8248));
	assert_false(derp_login_ok(2, 8249));
	assert_false(derp_login_ok(2, UINT32_MAX));
	assert_false(derp_login_ok(4, 104));
	assert_false(derp_login_ok(1, 104));
}

/* Trap 9: 62 octets, and not the magic alone. */
static void
t_trap_9_disco(void **state)
{
	uint8_t b[80] = { 0x54, 0x53, 0xf0, 0x9f, 0x92, 0xac };

	(void)state;
	assert_false(derp_is_disco(b, 6));
	assert_false(derp_is_disco(b, 61));
	assert_true(derp_is_disco(b, 62));
	assert_true(derp_is_disco(b, 80));
	b[5]++;
	assert_false(derp_is_disco(b, 80));
}

static const struct {
	const char	*text;
	bool		 ok;
} infos[] = {
	{ "{\"version\":2,\"CanAckPings\":true}", true },
	{ "{}", true },
	/* trap 17: names in any case */
	{ "{\"VERSION\":2,\"canackpings\":false,\"ISPROBER\":true}", true },
	{ "{\"VERSION\":\"2\"}", false },
	{ "{\"aPPnAME\":\"\\u0007\"}", false },
	{ "{\"version\":2,\"more\":[1,{\"a\":null}],\"x\":\"y\"}", true },
	{ "{\"version\":2.5}", false },
	{ "{\"CanAckPings\":1}", false },
	{ "{\"IsProber\":\"yes\"}", false },
	/* trap 16: a meshKey has a form and no effect */
	{ "{\"meshKey\":\"\"}", false },
	{ "{\"meshKey\":\"12\"}", false },
	{ "{\"MeshKey\":\"00112233445566778899aabbccddeeff"
	  "00112233445566778899aabbccddeeff\"}", true },
	{ "{\"meshKey\":\"0011223344556677889gaabbccddeeff"
	  "00112233445566778899aabbccddeeff\"}", false },
	{ "{\"meshKey\":5}", false },
	/* trap 46: a bad AppName is a refused login */
	{ "{\"AppName\":\"0123456789 ~0123456789abcdefghij\"}", true },
	{ "{\"AppName\":\"0123456789 ~0123456789abcdefghijk\"}", false },
	{ "{\"AppName\":\"caf\xc3\xa9\"}", false },
	{ "{\"AppName\":\"a\\tb\"}", false },
	{ "{\"AppName\":7}", false },
	{ "{\"AppName\":\"\"}", true },
	/* nesting */
	{ "{\"a\":[[[1]]]}", true },
	{ "{\"a\":[[[[1]]]]}", false },
	{ "{\"a\":\"[[[[[[[[\\\"[[[[\"}", true },
	/* no objects */
	{ "", false }, { "[]", false }, { "null", false }, { "2", false },
	{ "{\"version\":2", false }, { "{\"version\":2}x", false },
	{ "{version:2}", false }
};

static void
t_info(void **state)
{
	const char *why;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(infos) / sizeof(infos[0]); i++) {
		why = NULL;
		if (info_ok(infos[i].text, strlen(infos[i].text), &why) !=
		    infos[i].ok)
			fail_msg("%s", infos[i].text);
		if (!infos[i].ok)
			assert_non_null(why);
	}
}

/* The table against one that is searched from end to end. */

struct elem {
	uint64_t	 hash;
	unsigned int	 v;
	bool		 in;
};

static bool
is_v(const void *p, const void *key)
{
	return ((const struct elem *)p)->v == *(const unsigned int *)key;
}

static void
t_table(void **state)
{
	struct elem e[300];
	struct ptab t = { 0 };
	unsigned int i, round, x = 12345, n = 0;

	(void)state;
	for (i = 0; i < 300; i++) {
		e[i].v = i;
		e[i].in = false;
		/* many collide, and at the table's end, too */
		e[i].hash = i % 3 == 0 ? 63 : i % 3 == 1 ? 64 * i : i;
	}
	for (round = 0; round < 20000; round++) {
		x = x * 1103515245 + 12345;
		i = x / 65536 % 300;
		if (e[i].in)
			ptab_del(&t, e[i].hash, &e[i]);
		else
			ptab_add(&t, e[i].hash, &e[i]);
		e[i].in = !e[i].in;
		n += e[i].in ? 1 : UINT32_MAX;
		assert_int_equal(t.n, n);
		i = x / 1024 % 300;
		assert_ptr_equal(ptab_find(&t, e[i].hash, is_v, &e[i].v),
		    e[i].in ? &e[i] : NULL);
	}
	for (i = 0; i < 300; i++) {
		assert_ptr_equal(ptab_find(&t, e[i].hash, is_v, &i),
		    e[i].in ? &e[i] : NULL);
		ptab_del(&t, e[i].hash, &e[i]);
	}
	assert_int_equal(t.n, 0);
	assert_int_equal(t.mask, 63);
	ptab_free(&t);
}

static void
t_pool(void **state)
{
	struct pool pool = { .max = 1 << 20 };
	struct pkt *p, *q, *all[64];
	unsigned int i, n = 0;

	(void)state;
	p = pkt_new(&pool, 1237);
	assert_int_equal(p->n, 1237);
	assert_true(pool.used >= 1237);
	memset(p->frame, 1, 1237);
	pkt_free(&pool, p);
	assert_int_equal(pool.used, 0);
	q = pkt_new(&pool, 1300);
	assert_ptr_equal(p, q);
	assert_int_equal(pool.mallocs, 1);
	pkt_free(&pool, q);
	/* All of one size that fit, and all of each octet may be written. */
	while ((p = pkt_new(&pool, 65573)) != NULL) {
		memset(p->frame, 2, 65573);
		all[n++] = p;
		assert_true(n < 64);
	}
	assert_int_equal(n, 13);
	/* What is left is for small ones. */
	while ((p = pkt_new(&pool, POOL_SMALL + 1)) != NULL)
		all[n++] = p;
	assert_in_range(pool.used, (7 << 17) - 4400, 7 << 17);
	assert_non_null(p = pkt_new(&pool, POOL_SMALL));
	pkt_free(&pool, p);
	assert_true(pool.used <= 1 << 20);
	assert_true(pool_charge(&pool, 100));
	assert_false(pool_charge(&pool, 1 << 20));
	pool_refund(&pool, 100);
	for (i = 0; i < n; i++)
		pkt_free(&pool, all[i]);
	assert_int_equal(pool.used, 0);
	pool_end(&pool);
	assert_int_equal(pool.kept, 0);
}

/* What is kept for the next has a bound, too. */
static void
t_pool_kept(void **state)
{
	struct pool pool = { .max = 64 << 20 };
	struct pkt *all[500];
	unsigned int i;

	(void)state;
	for (i = 0; i < 500; i++)
		all[i] = pkt_new(&pool, 65573);
	for (i = 0; i < 500; i++)
		pkt_free(&pool, all[i]);
	assert_in_range(pool.kept, 1, 4 << 20);
	pool_end(&pool);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_head),
		cmocka_unit_test(t_rules), cmocka_unit_test(t_every),
		cmocka_unit_test(t_login_size),
		cmocka_unit_test(t_trap_9_disco),
		cmocka_unit_test(t_info),
		cmocka_unit_test(t_table),
		cmocka_unit_test(t_pool),
		cmocka_unit_test(t_pool_kept)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
