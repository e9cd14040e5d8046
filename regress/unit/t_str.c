#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "common/str.h"

#define nitems(a)	(sizeof(a) / sizeof((a)[0]))

static void
slices(void **state)
{
	struct slice a = slice_str("abc"), b = slice_mem("abcd", 4);
	char dst[4], *dup;

	(void)state;
	assert_int_equal(slice_str(NULL).n, 0);
	assert_true(slice_eq(slice_str(""), slice_mem(NULL, 0)));
	assert_false(slice_eq(a, b));
	assert_true(slice_eqs(a, "abc"));
	assert_true(slice_prefix(b, "abc"));
	assert_true(slice_prefix(b, ""));
	assert_true(slice_prefix(slice_mem(NULL, 0), ""));
	assert_false(slice_prefix(a, "abcd"));
	assert_true(slice_cmp(a, b) < 0);
	assert_true(slice_cmp(b, a) > 0);
	assert_true(slice_cmp(slice_str("b"), b) > 0);
	assert_int_equal(slice_cmp(a, slice_str("abc")), 0);
	assert_int_equal(slice_cmp(slice_mem(NULL, 0), slice_str("")), 0);
	dup = slice_dup(a);
	assert_string_equal(dup, "abc");
	free(dup);
	dup = slice_dup(slice_mem(NULL, 0));
	assert_string_equal(dup, "");
	free(dup);

	assert_true(slice_copy(dst, sizeof(dst), a));
	assert_string_equal(dst, "abc");
	assert_false(slice_copy(dst, sizeof(dst), b));
	assert_string_equal(dst, "");
	assert_false(slice_copy(dst, sizeof(dst), slice_mem("a\0b", 3)));
	assert_string_equal(dst, "");
	assert_true(slice_copy(dst, sizeof(dst), slice_mem(NULL, 0)));
	assert_false(slice_copy(dst, 0, a));
}

static void
utf8(void **state)
{
	static const char *const good[] = { "", "a", "\x7f", "\xc2\x80",
	    "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80",
	    "\xef\xbf\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf",
	    "x\xc3\xa4y" };
	static const char *const bad[] = { "\x80", "\xbf", "\xc0\x80",
	    "\xc1\xbf", "\xc2", "\xc2\x41", "\xe0\x9f\xbf", "\xe1\x80",
	    "\xed\xa0\x80", "\xed\xbf\xbf", "\xf0\x8f\xbf\xbf",
	    "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff", "a\xfe",
	    "\xf1\x80\x80", "\xf1\x80\x80\x41" };
	size_t i;

	(void)state;
	for (i = 0; i < nitems(good); i++)
		assert_true(utf8_ok(good[i], strlen(good[i])));
	for (i = 0; i < nitems(bad); i++)
		assert_false(utf8_ok(bad[i], strlen(bad[i])));
	assert_false(utf8_ok("a\0b", 3));
	assert_true(utf8_ok(NULL, 0));
	assert_int_equal(utf8_len("\xe2\x82\xac!", 4), 3);
	assert_int_equal(utf8_len("\xe2\x82\xac", 2), 0);
	assert_int_equal(utf8_len("\0", 1), 0);
}

static bool
name_ok(const char *s)
{
	return dns_name_ok(slice_str(s));
}

static void
dns_names(void **state)
{
	char label[80], name[300];
	size_t i;

	(void)state;
	assert_true(name_ok("a"));
	assert_true(name_ok("tailnet.internal"));
	assert_true(name_ok("tailnet.internal."));
	assert_true(name_ok("_srv._tcp.x-y.Z9"));
	assert_false(name_ok(""));
	assert_false(name_ok("."));
	assert_false(name_ok(".a"));
	assert_false(name_ok("a..b"));
	assert_false(name_ok("a.b.."));
	assert_false(name_ok("-a.b"));
	assert_false(name_ok("a-.b"));
	assert_false(name_ok("a.b-"));
	assert_false(name_ok("a b"));
	assert_false(name_ok("a.b\n"));
	assert_false(name_ok("\xc3\xa4.b"));
	assert_false(dns_name_ok(slice_mem("a\0b", 3)));
	memset(label, 'a', sizeof(label));
	assert_true(dns_name_ok(slice_mem(label, 63)));
	assert_false(dns_name_ok(slice_mem(label, 64)));
	for (i = 0; i < sizeof(name); i++)
		name[i] = i % 50 == 49 ? '.' : 'a';
	assert_true(dns_name_ok(slice_mem(name, 253)));
	assert_false(dns_name_ok(slice_mem(name, 254)));
	name[253] = '.';
	assert_true(dns_name_ok(slice_mem(name, 254)));
}

static void
labels(void **state)
{
	static const struct {
		const char	*in;
		const char	*out;
	} t[] = {
		{ "", "node" }, { "---", "node" }, { "\xff\xfe", "node" },
		{ "Laptop", "laptop" }, { "My  PC_2", "my-pc-2" },
		{ "--a--b--", "a-b" }, { "Anna's iPhone", "anna-s-iphone" },
		{ "host.example.com", "host-example-com" },
		{ "b\xc3\xbcro", "b-ro" }, { "9", "9" },
	};
	char dst[64], in[200];
	size_t i;

	(void)state;
	for (i = 0; i < nitems(t); i++) {
		dns_label(dst, slice_str(t[i].in));
		assert_string_equal(dst, t[i].out);
	}
	memset(in, 'x', sizeof(in));
	for (i = 1; i < sizeof(in); i++) {
		dns_label(dst, slice_mem(in, i));
		assert_int_equal(strlen(dst), i < 63 ? i : 63);
	}
	/* A hyphen that would stand at the end is not written. */
	in[62] = ' ';
	dns_label(dst, slice_mem(in, 100));
	assert_int_equal(strlen(dst), 62);
	in[61] = ' ';
	in[62] = 'y';
	dns_label(dst, slice_mem(in, 100));
	assert_int_equal(strlen(dst), 63);
	assert_string_equal(dst + 61, "-y");
}

static void
durations(void **state)
{
	static const char *const bad[] = { "", "s", "-1", "1x", "1ss", "1 s",
	    " 1", "1.5h", "+1", "9223372036854775808", "92233720368547758080",
	    "9223372036854775807m", "300000000000y" };
	size_t i;

	(void)state;
	assert_int_equal(duration_parse("0"), 0);
	assert_int_equal(duration_parse("90"), 90);
	assert_int_equal(duration_parse("90s"), 90);
	assert_int_equal(duration_parse("30m"), 1800);
	assert_int_equal(duration_parse("24h"), 86400);
	assert_int_equal(duration_parse("7d"), 604800);
	assert_int_equal(duration_parse("1w"), 604800);
	assert_int_equal(duration_parse("1y"), 31536000);
	assert_true(duration_parse("9223372036854775807") == INT64_MAX);
	for (i = 0; i < nitems(bad); i++)
		assert_int_equal(duration_parse(bad[i]), -1);
}

static void
check_time(const char *text, int64_t want)
{
	int64_t t = 12345;

	assert_true(time_parse(&t, slice_str(text)));
	assert_true(t == want);
}

static void
times(void **state)
{
	static const char *const bad[] = { "", "2026-08-05", "2026-08-05T10:00",
	    "2026-08-05 10:00:00Z", "2026-08-05T10:00:00",
	    "2026-02-29T00:00:00Z",
	    "2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z",
	    "2026-01-00T00:00:00Z", "2026-01-01T24:00:00Z",
	    "2026-01-01T00:60:00Z", "2026-01-01T00:00:60Z",
	    "2026-01-01T00:00:00.Z", "2026-01-01T00:00:00z",
	    "2026-01-01T00:00:00+24:00", "2026-01-01T00:00:00+0100",
	    "2026-01-01T00:00:00Z ", "1900-02-29T00:00:00Z",
	    "+026-01-01T00:00:00Z", "2026-1-01T00:00:00Z" };
	char text[32];
	int64_t t;
	size_t i;

	(void)state;
	check_time("1970-01-01T00:02:03Z", 123);
	check_time("1970-01-01T01:02:03+01:00", 123);
	check_time("1969-12-31T20:32:03-03:30", 123);
	check_time("1969-12-31T23:59:59.999999999Z", -1);
	check_time("2026-08-05T10:00:00.5Z", 1785924000);
	check_time("2000-02-29T00:00:00Z", 951782400);
	check_time("0001-01-01T00:00:00Z", 0);
	check_time("9999-12-31T23:59:59Z", 253402300799LL);
	for (i = 0; i < nitems(bad); i++)
		assert_false(time_parse(&t, slice_str(bad[i])));

	assert_int_equal(time_rfc3339(text, 0), 20);
	assert_string_equal(text, "0001-01-01T00:00:00Z");
	assert_int_equal(time_rfc3339(text, 123), 20);
	assert_string_equal(text, "1970-01-01T00:02:03Z");
	(void)time_rfc3339(text, -1);
	assert_string_equal(text, "1969-12-31T23:59:59Z");
	(void)time_rfc3339(text, INT64_MAX);
	assert_string_equal(text, "9999-12-31T23:59:59Z");
	(void)time_rfc3339(text, INT64_MIN);
	assert_string_equal(text, "0001-01-01T00:00:00Z");
}

/* Against the C library, over all of the calendar's shapes. */
static void
times_agree(void **state)
{
	char mine[32], theirs[32];
	struct tm tm;
	int64_t t, back;
	time_t tt;

	(void)state;
	for (t = -2208988800LL; t < 7258118400LL; t += 86399 * 7 + 3) {
		if (t == 0)
			continue;
		tt = (time_t)t;
		assert_non_null(gmtime_r(&tt, &tm));
		(void)strftime(theirs, sizeof(theirs), "%Y-%m-%dT%H:%M:%SZ",
		    &tm);
		(void)time_rfc3339(mine, t);
		assert_string_equal(mine, theirs);
		assert_true(time_parse(&back, slice_str(mine)));
		assert_true(back == t);
	}
}

static void
memory(void **state)
{
	uint8_t *p;
	char *s;

	(void)state;
	p = xcalloc(3, 5);
	assert_int_equal(p[14], 0);
	p = xrealloc(p, 100, 10);
	assert_int_equal(p[14], 0);
	p[999] = 1;
	free(p);
	p = xmalloc(0);
	assert_non_null(p);
	free(p);
	s = xstrdup("abc");
	assert_string_equal(s, "abc");
	free(s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(slices),
		cmocka_unit_test(utf8),
		cmocka_unit_test(dns_names),
		cmocka_unit_test(labels),
		cmocka_unit_test(durations),
		cmocka_unit_test(times),
		cmocka_unit_test(times_agree),
		cmocka_unit_test(memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
