#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/json.h"
#include "common/json_read.h"

#define nitems(x)	(sizeof(x) / sizeof((x)[0]))
#define MAX		(1024 * 1024)

static struct jdoc *
read_ok(const char *text)
{
	const char *why = "unset";
	struct jdoc *d;
	size_t at;

	if ((d = json_read(text, strlen(text), MAX, &why, &at)) == NULL)
		fail_msg("%.60s: %s at %zu", text, why, at);
	assert_null(why);
	return d;
}

/* Writer. */

static void
writes(void **state)
{
	struct buf b = { 0 };
	struct json j;

	(void)state;
	buf_str(&b, "x");
	json_init(&j, &b);
	json_obj(&j);
	json_key(&j, "a");
	json_u64(&j, 0);
	json_key(&j, "b");
	json_arr(&j);
	json_i64(&j, -1);
	json_bool(&j, true);
	json_bool(&j, false);
	json_null(&j);
	json_arr(&j);
	json_end(&j);
	json_obj(&j);
	json_end(&j);
	json_obj(&j);
	json_keys(&j, slice_str("k\"\n"));
	json_cstr(&j, "v");
	json_end(&j);
	json_raw(&j, slice_str("[1]"));
	json_str(&j, slice_mem(NULL, 0));
	json_end(&j);
	json_key(&j, "c");
	json_str(&j, slice_str("</>&"));
	json_end(&j);
	buf_u8(&b, 0);
	assert_string_equal((char *)b.p, "x{\"a\":0,\"b\":[-1,true,false,null,"
	    "[],{},{\"k\\\"\\n\":\"v\"},[1],\"\"],\"c\":\"</>&\"}");
	assert_int_equal(j.depth, 0);
	buf_clear(&b);
	json_init(&j, &b);
	json_arr(&j);
	buf_str(&b, "1");
	json_comma(&j, true);
	json_u64(&j, 2);
	json_comma(&j, false);
	json_end(&j);
	buf_u8(&b, 0);
	assert_string_equal((char *)b.p, "[1,2]");
	buf_free(&b);
}

static void
check_u64(uint64_t v)
{
	struct buf b = { 0 };
	struct json j;
	char want[32];

	json_init(&j, &b);
	json_arr(&j);
	json_u64(&j, v);
	json_i64(&j, (int64_t)v);
	json_end(&j);
	(void)snprintf(want, sizeof(want), "[%llu,", (unsigned long long)v);
	assert_memory_equal(b.p, want, strlen(want));
	(void)snprintf(want, sizeof(want), ",%lld]", (long long)v);
	assert_memory_equal(b.p + b.n - strlen(want), want, strlen(want));
	buf_free(&b);
}

static void
integers(void **state)
{
	uint64_t v = 1;
	unsigned int i;

	(void)state;
	for (i = 0; i < 20; i++, v *= 10) {
		check_u64(v - 1);
		check_u64(v);
		check_u64(v + 1);
		check_u64(-v);
	}
	for (i = 0; i < 64; i++)
		check_u64((uint64_t)1 << i);
	check_u64(UINT64_MAX);
	check_u64((uint64_t)INT64_MIN);
	for (i = 0; i < 2000; i++)
		check_u64(i);
}

/* Any octets: what was written reads back, with U+FFFD for what is none. */
static void
check_string(const uint8_t *in, size_t n)
{
	struct buf b = { 0 }, want = { 0 };
	struct slice s = slice_mem(in, n), got;
	struct json j;
	struct jdoc *d;
	uint8_t *copy;
	size_t i, len;

	assert_non_null(copy = malloc(n + 1));
	memcpy(copy, in, n);
	json_init(&j, &b);
	json_str(&j, slice_mem(copy, n));
	json_comma(&j, false);
	for (i = 0; i < n; i += len) {
		len = utf8_len(s.p + i, n - i);
		if (len == 0) {
			len = 1;
			buf_str(&want, "\xef\xbf\xbd");
		} else
			buf_put(&want, in + i, len);
	}
	d = json_read(b.p, b.n, MAX, NULL, NULL);
	assert_non_null(d);
	assert_true(jval_str(jdoc_root(d), &got));
	assert_true(slice_eq(got, buf_slice_of(&want)));
	jdoc_free(d, true);
	free(copy);
	buf_free(&b);
	buf_free(&want);
}

static void
strings(void **state)
{
	uint8_t in[96];
	unsigned int c, at, n, i, seed = 1;

	(void)state;
	/* Each octet at each place within the words that are looked at. */
	for (c = 1; c < 256; c++)
		for (at = 0; at < 20; at++) {
			memset(in, 'a' + (int)(at % 3), 20);
			in[at] = (uint8_t)c;
			check_string(in, 20);
		}
	for (i = 0; i < 20000; i++) {
		n = 0;
		seed = seed * 1103515245 + 12345;
		while (n < (seed >> 8) % sizeof(in)) {
			seed = seed * 1103515245 + 12345;
			c = seed >> 16 & 0xff;
			in[n++] = (uint8_t)(c == 0 ? '"' :
			    (seed >> 28) < 12 ? c & 0x7f : c);
			if (in[n - 1] == 0)
				in[n - 1] = '\\';
		}
		check_string(in, n);
	}
}

static void
escapes(void **state)
{
	struct buf b = { 0 };
	struct json j;

	(void)state;
	json_init(&j, &b);
	json_str(&j, slice_mem("\"\\/\b\f\n\r\t\0\x01\x1f\x7f"
	    "\xc3\xa4\xff", 15));
	buf_u8(&b, 0);
	assert_string_equal((char *)b.p, "\"\\\"\\\\/\\b\\f\\n\\r\\t\\u0000"
	    "\\u0001\\u001f\x7f\xc3\xa4\xef\xbf\xbd\"");
	buf_free(&b);
}

/* Reader. */

static void
reads(void **state)
{
	struct jdoc *d;
	const struct jval *r, *v;
	struct slice s;
	uint64_t u = 9;
	int64_t i = 9;
	double f = 9;
	bool t = false;

	(void)state;
	d = read_ok(" {\"Str\":\"a\\u00e4\\n\\ud83d\\ude00\",\"N\":42,"
	    "\"neg\":-42,\"f\":1.5,\"e\":1e3,\"one\":1.0,\"T\":true,"
	    "\"nul\":null,\"arr\":[1,null,\"x\"],\"obj\":{\"in\":{}},"
	    "\"\":0,\"strnum\":\"1\"}\r\n\t ");
	r = jdoc_root(d);
	assert_true(jval_is_obj(r));
	assert_false(jval_is_arr(r));
	assert_int_equal(jval_count(r), 12);
	assert_true(jval_str(jval_get(r, "Str"), &s));
	assert_true(slice_eqs(s, "a\xc3\xa4\n\xf0\x9f\x98\x80"));
	assert_true(jval_u64(jval_get(r, "N"), &u) && u == 42);
	assert_true(jval_i64(jval_get(r, "neg"), &i) && i == -42);
	assert_false(jval_u64(jval_get(r, "neg"), &u));
	assert_true(jval_i64(jval_get(r, "N"), &i) && i == 42);
	assert_true(jval_double(jval_get(r, "f"), &f) && f == 1.5);
	assert_true(jval_double(jval_get(r, "N"), &f) && f == 42);
	u = 9;
	i = 9;
	assert_false(jval_u64(jval_get(r, "f"), &u));
	assert_false(jval_u64(jval_get(r, "one"), &u));
	assert_false(jval_u64(jval_get(r, "e"), &u));
	assert_false(jval_u64(jval_get(r, "strnum"), &u));
	assert_false(jval_i64(jval_get(r, "one"), &i));
	assert_false(jval_i64(jval_get(r, "T"), &i));
	assert_true(u == 9 && i == 9);
	assert_true(jval_bool(jval_get(r, "t"), &t) && t);
	assert_false(jval_bool(jval_get(r, "N"), &t));
	assert_false(jval_str(jval_get(r, "N"), &s));
	assert_false(jval_double(jval_get(r, "Str"), &f));
	assert_null(jval_get(r, "nul"));
	assert_null(jval_get(r, "absent"));
	assert_non_null(jval_get(r, ""));
	assert_true(jval_is_obj(jval_get(jval_get(r, "obj"), "in")));
	v = jval_get(r, "arr");
	assert_true(jval_is_arr(v));
	assert_int_equal(jval_count(v), 3);
	assert_true(jval_u64(jval_at(v, 0), &u) && u == 1);
	assert_null(jval_at(v, 1));
	assert_non_null(jval_at(v, 2));
	assert_null(jval_at(v, 3));
	assert_null(jval_at(r, 0));
	assert_null(jval_get(v, "x"));
	jdoc_free(d, false);
	jdoc_free(NULL, true);
}

/* Getters on NULL and on what is of another type. */
static void
nothing(void **state)
{
	struct jdoc *d = read_ok("null");
	struct slice s;
	uint64_t u;
	void *it = NULL;
	const struct jval *v;
	double f;
	int64_t i;
	bool t;

	(void)state;
	assert_null(jdoc_root(d));
	assert_null(jval_get(NULL, "x"));
	assert_null(jval_at(NULL, 0));
	assert_int_equal(jval_count(NULL), 0);
	assert_false(jval_is_obj(NULL));
	assert_false(jval_is_arr(NULL));
	assert_false(jval_str(NULL, &s));
	assert_false(jval_u64(NULL, &u));
	assert_false(jval_i64(NULL, &i));
	assert_false(jval_bool(NULL, &t));
	assert_false(jval_double(NULL, &f));
	assert_false(jval_each(NULL, &it, &s, &v));
	jdoc_free(d, true);
	d = read_ok("12");
	assert_int_equal(jval_count(jdoc_root(d)), 0);
	assert_true(jval_u64(jdoc_root(d), &u) && u == 12);
	jdoc_free(d, true);
}

static void
names(void **state)
{
	struct jdoc *d;
	uint64_t u;

	(void)state;
	d = read_ok("{\"NodeKey\":1,\"nodekey\":2,\"x\":3,\"x\":4}");
	assert_true(jval_u64(jval_get(jdoc_root(d), "NODEKEY"), &u));
	assert_int_equal(u, 2);
	assert_true(jval_u64(jval_get(jdoc_root(d), "X"), &u));
	assert_int_equal(u, 4);
	assert_null(jval_get(jdoc_root(d), "nodeke"));
	jdoc_free(d, false);
}

static void
walks(void **state)
{
	struct jdoc *d;
	struct slice name;
	const struct jval *v;
	void *it = NULL;
	uint64_t u;
	unsigned int n = 0;

	(void)state;
	d = read_ok("{\"b\":0,\"a\":1,\"c\":2,\"n\":null}");
	while (jval_each(jdoc_root(d), &it, &name, &v)) {
		assert_true(slice_eq(name, slice_mem(&"bacn"[n], 1)));
		if (n < 3)
			assert_true(jval_u64(v, &u) && u == n);
		else
			assert_null(v);
		n++;
	}
	assert_int_equal(n, 4);
	jdoc_free(d, false);
}

static void
out_of_range(void **state)
{
	static const struct {
		const char	*text;
		bool		 u, i;
	} t[] = {
		{ "18446744073709551614", true, false },
		{ "9223372036854775808", true, false },
		{ "9223372036854775806", true, true },
		{ "-9223372036854775807", false, true },
		{ "0", true, true }, { "-0", true, true },
	};
	static const char *const big[] = { "18446744073709551616",
	    "99999999999999999999999999", "-9223372036854775809",
	    "-99999999999999999999999999" };
	struct jdoc *d;
	uint64_t u;
	int64_t i;
	size_t k;

	(void)state;
	for (k = 0; k < nitems(t); k++) {
		d = read_ok(t[k].text);
		assert_int_equal(jval_u64(jdoc_root(d), &u), t[k].u);
		assert_int_equal(jval_i64(jdoc_root(d), &i), t[k].i);
		jdoc_free(d, false);
	}
	for (k = 0; k < nitems(big); k++) {
		d = read_ok(big[k]);
		assert_false(jval_u64(jdoc_root(d), &u));
		assert_false(jval_i64(jdoc_root(d), &i));
		jdoc_free(d, false);
	}
}

static void
strict(void **state)
{
	static const char *const good[] = { "{}", "[]", "\"\"", "0", "-0",
	    "-1.5E+10", "1e-3", "true", "[1,2]", "{\"a\":{\"b\":[{}]}}",
	    " \t\r\n[ ] ", "\"\\ud800\"", "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"",
	    "\"\x7f\"", "0.0", "[[[[]]]]" };
	static const char *const bad[] = { "", " ", "{", "[", "]", "}", "\"",
	    "{]", "[}", "[1,]", "[,1]", "[1 2]", "{\"a\"}", "{\"a\":}",
	    "{\"a\":1,}", "{,}", "{a:1}", "{'a':1}", "'a'", "[1]x", "[1][2]",
	    "nul", "nulll", "True", "TRUE", "NaN", "Infinity", "-Infinity",
	    "[NaN]", "+1", "01", "-", "-01", "1.", ".5", "1e", "1e+", "0x10",
	    "1.e1", "--1", "\"\n\"", "\"\t\"", "\"\x01\"", "\"\\x\"",
	    "\"\\u12\"", "\"\\u12g4\"", "\"\\u0000\"", "\"\\", "\"\\\"",
	    "\"\xff\"", "\"\xc3\"", "\"\xed\xa0\x80\"", "\"\xc0\x80\"",
	    "{\"a\":1 \"b\":2}", "{1:2}", "{\"\xff\":1}", "/* */ 1", "1 // x",
	    "\xef\xbb\xbf{}", "[1,\v2]", "{\"a\":1}}", "[1]\x01" };
	const char *why;
	struct jdoc *d;
	size_t i, n, at;
	char *copy;

	(void)state;
	for (i = 0; i < nitems(good); i++)
		jdoc_free(read_ok(good[i]), true);
	for (i = 0; i < nitems(bad); i++) {
		n = strlen(bad[i]);
		assert_non_null(copy = malloc(n + 1));
		memcpy(copy, bad[i], n);
		why = NULL;
		at = SIZE_MAX;
		if ((d = json_read(copy, n, MAX, &why, &at)) != NULL)
			fail_msg("taken: %s", bad[i]);
		assert_non_null(why);
		assert_true(at <= n);
		free(copy);
	}
	/* An embedded NUL is not an end. */
	assert_null(json_read("[1]\0", 4, MAX, NULL, NULL));
	assert_null(json_read("\"a\0b\"", 5, MAX, NULL, NULL));
	assert_null(json_read(NULL, 0, MAX, &why, &at));
}

static struct jdoc *
repeat(const char *head, const char *one, unsigned int times, const char *tail,
    const char **why)
{
	struct buf b = { 0 };
	struct jdoc *d;

	buf_str(&b, head);
	while (times-- > 0)
		buf_str(&b, one);
	buf_str(&b, tail);
	d = json_read(b.p, b.n, MAX, why, NULL);
	buf_free(&b);
	return d;
}

static void
bounds(void **state)
{
	char deep[2 * 64 + 4];
	const char *why;
	struct jdoc *d;

	(void)state;
	memset(deep, '[', 64);
	memset(deep + 64, ']', 64);
	assert_non_null(d = json_read(deep, 128, MAX, &why, NULL));
	jdoc_free(d, false);
	memset(deep, '[', 65);
	memset(deep + 65, ']', 65);
	assert_null(json_read(deep, 130, MAX, &why, NULL));
	assert_string_equal(why, "too deep");
	assert_null(repeat("", "[", 500000, "", &why));
	assert_string_equal(why, "too deep");
	assert_null(repeat("", "{\"a\":", 100000, "", &why));
	assert_string_equal(why, "too deep");

	assert_null(json_read("[1]", 3, 2, &why, NULL));
	assert_string_equal(why, "too long");
	assert_non_null(d = json_read("[1]", 3, 3, &why, NULL));
	jdoc_free(d, false);

	assert_non_null(d = repeat("[", "{},", 4094, "{}]", &why));
	jdoc_free(d, false);
	assert_null(repeat("[", "{},", 4095, "{}]", &why));
	assert_string_equal(why, "too many objects");
	assert_non_null(d = repeat("[", "0,", 65534, "0]", &why));
	assert_int_equal(jval_count(jdoc_root(d)), 65535);
	jdoc_free(d, true);
	assert_null(repeat("[", "0,", 65535, "0]", &why));
	assert_string_equal(why, "too many values");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(writes),
		cmocka_unit_test(integers),
		cmocka_unit_test(strings),
		cmocka_unit_test(escapes),
		cmocka_unit_test(reads),
		cmocka_unit_test(nothing),
		cmocka_unit_test(names),
		cmocka_unit_test(walks),
		cmocka_unit_test(out_of_range),
		cmocka_unit_test(strict),
		cmocka_unit_test(bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
