/* Lists of addresses: order, repetition, hashes. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "worker/tailnet/srcset_int.h"

static const uint8_t key[SIPHASH_KEY] = { 1 };
static uint64_t seed;

static uint32_t
draw(uint32_t n)
{
	seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return (uint32_t)(seed >> 33) % n;
}

static void
add(struct srcset *s, const char *text)
{
	struct ip ip;

	if (ip_parse(&ip, slice_str(text)))
		srcset_ip(s, &ip);
	else
		srcset_text(s, slice_str(text));
}

static void
expect(struct srcset *s, bool distinct, uint32_t n, const char *want)
{
	struct buf b = { 0 };

	assert_int_equal(srcset_put(s, distinct, slice_str("<"),
	    slice_str(">"), &b), n);
	buf_u8(&b, 0);
	assert_string_equal((char *)b.p, want);
	buf_free(&b);
}

static void
t_order(void **state)
{
	struct srcset s = { 0 };

	(void)state;
	expect(&s, true, 0, "");
	add(&s, "100.64.0.10");
	add(&s, "fd7a:115c:a1e0::a");
	add(&s, "100.64.0.9");
	add(&s, "100.64.0.1");
	add(&s, "100.64.0.0-100.115.91.255");
	add(&s, "fd7a:115c:a1e0::/48");
	add(&s, "100.115.94.0-100.127.255.255");
	add(&s, "10.33.0.0/16");
	add(&s, "fd7a:115c:a1e0:ab12::1");
	expect(&s, true, 9, "<10.33.0.0/16>,<100.115.94.0-100.127.255.255>,"
	    "<100.64.0.0-100.115.91.255>,<100.64.0.1>,<100.64.0.10>,"
	    "<100.64.0.9>,<fd7a:115c:a1e0::/48>,<fd7a:115c:a1e0::a>,"
	    "<fd7a:115c:a1e0:ab12::1>");
	srcset_clear(&s);
	add(&s, "1.2.3.4");
	expect(&s, true, 1, "<1.2.3.4>");
	srcset_free(&s);
}

static void
t_distinct(void **state)
{
	struct srcset s = { 0 };
	struct slice same = slice_str("100.64.0.2");
	struct ip none = { 0, { 0 } };

	(void)state;
	add(&s, "100.64.0.2");
	add(&s, "100.64.0.3");
	add(&s, "100.64.0.2");
	srcset_text(&s, same);
	srcset_ip(&s, &none);
	add(&s, "fd00::1");
	add(&s, "fd00::1");
	expect(&s, true, 3, "<100.64.0.2>,<100.64.0.3>,<fd00::1>");
	expect(&s, false, 6, "<100.64.0.2>,<100.64.0.2>,<100.64.0.2>,"
	    "<100.64.0.3>,<fd00::1>,<fd00::1>");
	srcset_free(&s);
}

static int
cmp(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Each of n addresses, made up by kind, is where sorting texts puts it. */
static void
against_sort(unsigned int kind, uint32_t n)
{
	struct srcset s = { 0 };
	struct buf got = { 0 }, want = { 0 };
	struct ip ip = { 0, { 0 } };
	char **text, t[IP_TEXT];
	uint32_t i, k, put = 0;

	text = xcalloc(n + 1, sizeof(*text));
	for (i = 0; i < n; i++) {
		ip.family = kind == 0 ? 4 : 6;
		if (kind == 1)
			(void)ip_parse(&ip, slice_str("fd7a:115c:a1e0::"));
		for (k = kind == 1 ? 13 : 0; k < (ip.family == 4 ? 4 : 16);
		    k++)
			ip.b[k] = (uint8_t)(draw(3) == 0 ? draw(3) :
			    draw(256));
		srcset_ip(&s, &ip);
		(void)ip_print(t, &ip);
		text[i] = xstrdup(t);
	}
	qsort(text, n, sizeof(*text), cmp);
	for (i = 0; i < n; i++) {
		if (i == 0 || strcmp(text[i], text[i - 1]) != 0)
			buf_printf(&want, "%s\"%s\"", put++ == 0 ? "" : ",",
			    text[i]);
	}
	assert_int_equal(srcset_put(&s, true, slice_str("\""),
	    slice_str("\""), &got), put);
	assert_true(slice_eq(buf_slice_of(&got), buf_slice_of(&want)));
	for (i = 0; i < n; i++)
		free(text[i]);
	free(text);
	buf_free(&got);
	buf_free(&want);
	srcset_free(&s);
}

static void
t_many(void **state)
{
	unsigned int kind, i;

	(void)state;
	seed = 1;
	for (kind = 0; kind < 3; kind++) {
		for (i = 0; i < 60; i++)
			against_sort(kind, i * 5);
		against_sort(kind, 10000);
	}
}

/* Alike up to far within: keys of eight octets do not tell them apart. */
static void
t_deep(void **state)
{
	struct srcset s = { 0 };
	struct buf b = { 0 };
	char t[IP_TEXT];
	unsigned int i;

	(void)state;
	for (i = 0; i < 200; i++) {
		(void)snprintf(t, sizeof(t), "fd7a:115c:a1e0:ab12:4843:cd96:"
		    "62%02x:%x", i % 2, 0xb000 + 199 - i);
		add(&s, t);
	}
	add(&s, "2001:db8::1");
	assert_int_equal(srcset_put(&s, true, slice_str(""), slice_str(""),
	    &b), 201);
	assert_true(slice_prefix(buf_slice_of(&b), "2001:db8::1,"
	    "fd7a:115c:a1e0:ab12:4843:cd96:6200:b001,"
	    "fd7a:115c:a1e0:ab12:4843:cd96:6200:b003,"));
	assert_memory_equal(b.p + b.n - 4, "b0c6", 4);
	buf_free(&b);
	srcset_free(&s);
}

static void
t_hash(void **state)
{
	uint8_t text[200];
	struct src_hash h[200], other;
	unsigned int i, k;

	(void)state;
	memset(text, 0, sizeof(text));
	for (i = 0; i < 200; i++) {
		h[i] = src_hash(key, text, i);
		for (k = 0; k < i; k++)
			assert_false(src_hash_eq(h[i], h[k]));
	}
	/* Every octet and bit counts. */
	for (i = 0; i < 199 * 8; i++) {
		text[i / 8] ^= (uint8_t)(1 << i % 8);
		other = src_hash(key, text, 199);
		assert_false(src_hash_eq(other, h[199]));
		text[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	assert_true(src_hash_eq(src_hash(key, text, 199), h[199]));
}

/* Lists that are others are not taken for the same, whoever made them. */
static void
t_secret(void **state)
{
	static const uint8_t other[SIPHASH_KEY] = { 2 };
	uint8_t a[64] = { 0 }, b[64] = { 0 };
	unsigned int turn;

	(void)state;
	assert_false(src_hash_eq(src_hash(key, a, 64),
	    src_hash(other, a, 64)));
	/*
	 * Words that are multiplied by any odd number and turned: the highest
	 * bit of one is undone by a bit of the next.
	 */
	for (turn = 0; turn < 64; turn++) {
		b[7] = 0x80;
		b[32 + turn / 8] = (uint8_t)(1 << turn % 8);
		assert_false(src_hash_eq(src_hash(key, a, 64),
		    src_hash(key, b, 64)));
		b[32 + turn / 8] = 0;
	}
}

static void
t_text(void **state)
{
	struct buf b = { 0 };
	struct srctext *t, *u;
	struct pack *pack = pack_new();
	size_t before = frame_bytes();
	struct frame *f;

	(void)state;
	buf_str(&b, "[\"*\"]");
	t = srctext_new(key, &b, 1);
	assert_int_equal(b.n, 0);
	buf_str(&b, "[\"*\"]");
	u = srctext_new(key, &b, 1);
	assert_true(srctext_eq(t, u));
	srctext_unref(u);
	buf_str(&b, "[\"+\"]");
	u = srctext_new(key, &b, 1);
	assert_false(srctext_eq(t, u));
	f = srctext_frame(t, pack);
	assert_ptr_equal(srctext_frame(t, pack), f);
	assert_true(frame_bytes() > before);
	srctext_unref(srctext_ref(t));
	srctext_unref(t);
	srctext_unref(u);
	assert_int_equal(frame_bytes(), before);
	buf_free(&b);
	pack_free(pack);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_order),
		cmocka_unit_test(t_distinct),
		cmocka_unit_test(t_many),
		cmocka_unit_test(t_deep),
		cmocka_unit_test(t_hash),
		cmocka_unit_test(t_secret),
		cmocka_unit_test(t_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
