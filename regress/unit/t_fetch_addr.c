/* Which addresses may be asked, and the small texts around them. */

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "worker/fetch/addr.h"
#include "worker/fetch/hosts.h"
#include "worker/fetch/text.h"

static struct ip
ip(const char *text)
{
	struct ip a;

	if (!ip_parse(&a, slice_str(text)))
		fail_msg("%s", text);
	return a;
}

static void
table(void **state)
{
	static const struct {
		const char	*text;
		bool		 ok;
	} all[] = {
		/* the first and the last of each range, and their neighbours */
		{ "0.0.0.0", false }, { "0.255.255.255", false },
		{ "1.0.0.0", true }, { "9.255.255.255", true },
		{ "10.0.0.0", false }, { "10.255.255.255", false },
		{ "11.0.0.0", true }, { "100.63.255.255", true },
		{ "100.64.0.0", false }, { "100.127.255.255", false },
		{ "100.128.0.0", true }, { "126.255.255.255", true },
		{ "127.0.0.1", false }, { "127.255.255.255", false },
		{ "128.0.0.0", true }, { "169.253.255.255", true },
		{ "169.254.169.254", false }, { "169.255.0.0", true },
		{ "172.15.255.255", true }, { "172.16.0.0", false },
		{ "172.31.255.255", false }, { "172.32.0.0", true },
		{ "191.255.255.255", true }, { "192.0.0.0", false },
		{ "192.0.0.255", false }, { "192.0.1.0", true },
		{ "192.0.2.1", false }, { "192.0.3.0", true },
		{ "192.88.98.255", true }, { "192.88.99.1", false },
		{ "192.88.100.0", true }, { "192.167.255.255", true },
		{ "192.168.0.0", false }, { "192.168.255.255", false },
		{ "192.169.0.0", true }, { "198.17.255.255", true },
		{ "198.18.0.0", false }, { "198.19.255.255", false },
		{ "198.20.0.0", true }, { "198.51.100.7", false },
		{ "203.0.113.7", false }, { "203.0.114.0", true },
		{ "223.255.255.255", true }, { "224.0.0.1", false },
		{ "239.255.255.255", false }, { "240.0.0.1", false },
		{ "255.255.255.255", false },
		{ "::", false }, { "::1", false }, { "::8.8.8.8", false },
		{ "::ffff:8.8.8.8", false }, { "::ffff:127.0.0.1", false },
		{ "::ffff:0:8.8.8.8", false }, { "64:ff9b::8.8.8.8", false },
		{ "64:ff9b::7f00:1", false }, { "64:ff9b:1::1", false },
		{ "100::1", false }, { "1fff::1", false },
		{ "2000::1", true }, { "2001::1", false },
		{ "2001:1ff::1", false }, { "2001:200::1", true },
		{ "2001:db7::1", true }, { "2001:db8::1", false },
		{ "2001:db9::1", true }, { "2001:4860:4860::8888", true },
		{ "2002:7f00:1::1", false }, { "2003::1", true },
		{ "2606:4700::1111", true }, { "3ffe::1", true },
		{ "3fff::1", false }, { "3fff:fff::1", false },
		{ "3fff:1000::1", true }, { "4000::1", false },
		{ "5f00::1", false }, { "fc00::1", false },
		{ "fd7a:115c:a1e0::1", false }, { "fe80::1", false },
		{ "fec0::1", false }, { "ff02::1", false }
	};
	struct ip a, none;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		a = ip(all[i].text);
		if (addr_public(&a) != all[i].ok)
			fail_msg("%s", all[i].text);
		assert_true(addr_ok(&a, NULL, 0) == all[i].ok);
	}
	memset(&none, 0, sizeof(none));
	assert_false(addr_public(&none));
}

static void
allowed(void **state)
{
	struct prefix p[2];
	struct ip a;

	(void)state;
	assert_true(prefix_parse(&p[0], slice_str("10.1.0.0/16")));
	assert_true(prefix_parse(&p[1], slice_str("::1/128")));
	a = ip("10.1.2.3");
	assert_true(addr_ok(&a, p, 2));
	a = ip("10.2.2.3");
	assert_false(addr_ok(&a, p, 2));
	a = ip("::1");
	assert_true(addr_ok(&a, p, 2));
	assert_false(addr_ok(&a, p, 1));
	/* another way to write what is allowed is not allowed by that */
	a = ip("::ffff:10.1.2.3");
	assert_false(addr_ok(&a, p, 2));
	a = ip("64:ff9b::10.1.2.3");
	assert_false(addr_ok(&a, p, 2));
	a = ip("8.8.8.8");
	assert_true(addr_ok(&a, p, 2));
}

static void
urls(void **state)
{
	static const char *const bad[] = {
		"", "https://", "http://a", "https:/a", "HTTPS", "ftp://a",
		"https:///x", "https://?x", "https://#", "https://@a",
		"https://:1", "https://a b", "https://a\n", "https://a\x7f",
		"https://\xc3\xa4.example", " https://a"
	};
	char text[1100];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (text_url_ok(slice_str(bad[i])))
			fail_msg("\"%s\"", bad[i]);
	assert_true(text_url_ok(slice_str("https://a")));
	assert_true(text_url_ok(slice_str("https://[::1]:80/x?y")));
	memset(text, 'a', sizeof(text));
	memcpy(text, "https://", 8);
	assert_true(text_url_ok(slice_mem(text, 1024)));
	assert_false(text_url_ok(slice_mem(text, 1025)));
}

static void
tokens(void **state)
{
	(void)state;
	assert_true(text_b64url_ok(slice_str("azAZ09-_")));
	assert_false(text_b64url_ok(slice_str("")));
	assert_false(text_b64url_ok(slice_str("a=")));
	assert_false(text_b64url_ok(slice_str("a+b")));
	assert_false(text_b64url_ok(slice_str("a/b")));
	assert_false(text_b64url_ok(slice_str("a.b")));
	assert_false(text_b64url_ok(slice_mem("a\0b", 3)));
}

static void
clean_is(const char *from, size_t n, const char *want)
{
	char dst[8];

	text_clean(dst, sizeof(dst), slice_mem(from, n));
	assert_string_equal(dst, want);
}

static void
clean(void **state)
{
	(void)state;
	clean_is("abc", 3, "abc");
	clean_is("a\nb\x7f", 4, "a b ");
	clean_is("a\xff" "b", 3, "a?b");
	clean_is("a\0b", 3, "a?b");
	clean_is("1234567", 7, "1234567");
	clean_is("12345678", 8, "1234567");
	clean_is("12345\xc3\xa4", 7, "12345\xc3\xa4");
	clean_is("123456\xc3\xa4", 8, "123456");	/* it does not fit */
	clean_is("", 0, "");
}

#define NOW	784111777	/* Sun, 06 Nov 1994 08:49:37 GMT */

static void
retry_after(void **state)
{
	static const char date[] = "Sun, 06 Nov 1994 08:49:37 GMT";

	(void)state;
	assert_int_equal(text_retry_after("", NOW), 0);
	assert_int_equal(text_retry_after("0", NOW), 0);
	assert_int_equal(text_retry_after("120", NOW), 120);
	assert_int_equal(text_retry_after("-1", NOW), 0);
	assert_int_equal(text_retry_after("1x", NOW), 0);
	assert_int_equal(text_retry_after("99999999999999999999", NOW),
	    30 * 24 * 3600);
	assert_int_equal(text_retry_after(date, NOW), 0);
	assert_int_equal(text_retry_after(date, NOW - 90), 90);
	assert_int_equal(text_retry_after(date, NOW + 90), 0);
	assert_int_equal(text_retry_after(date, 0), 30 * 24 * 3600);
	assert_int_equal(text_retry_after("Sun, 06 Foo 1994 08:49:37 GMT", 0),
	    0);
	assert_int_equal(text_retry_after("Sun, 06 anF 1994 08:49:37 GMT", 0),
	    0);
	assert_int_equal(text_retry_after("Sun, 06 Nov 1994 08:49:37 CET", 0),
	    0);
	assert_int_equal(text_retry_after("Sun, 36 Nov 1994 08:49:37 GMT", 0),
	    0);
	assert_int_equal(text_retry_after("Sunday, 06-Nov-94 08:49:37 GMT", 0),
	    0);
}

static void
hosts(void **state)
{
	const struct slice text = slice_str(
	    "# comment\n"
	    "127.0.0.1\tlocalhost  Loop # name\n"
	    "::1 localhost\r\n"
	    "bad localhost\n"
	    "10.0.0.1 a.example b.example\n"
	    "10.0.0.2 b.example;c.example\n"
	    "10.0.0.3 d.example");
	struct ip got[4], want;

	(void)state;
	assert_int_equal(hosts_find(text, "LOCALHOST", got, 4), 2);
	want = ip("127.0.0.1");
	assert_true(ip_eq(&got[0], &want));
	want = ip("::1");
	assert_true(ip_eq(&got[1], &want));
	assert_int_equal(hosts_find(text, "localhost", got, 1), 1);
	assert_int_equal(hosts_find(text, "b.example", got, 4), 2);
	assert_int_equal(hosts_find(text, "c.example", got, 4), 0);
	assert_int_equal(hosts_find(text, "d.example", got, 4), 1);
	assert_int_equal(hosts_find(text, "name", got, 4), 0);
	assert_int_equal(hosts_find(text, "10.0.0.3", got, 4), 0);
	assert_int_equal(hosts_find(slice_str(NULL), "a", got, 4), 0);
}

static void
nameservers(void **state)
{
	struct ip got[HOSTS_SERVERS], want;

	(void)state;
	assert_int_equal(hosts_servers(slice_str("search x\n"
	    "nameserver 10.0.0.1\n#nameserver 10.0.0.2\nnameserver\n"
	    "nameserver fe80::1%eth0\nnameserver\t2001:db8::53 # x\n"
	    "options edns0\n"), got), 2);
	want = ip("10.0.0.1");
	assert_true(ip_eq(&got[0], &want));
	want = ip("2001:db8::53");
	assert_true(ip_eq(&got[1], &want));
	assert_int_equal(hosts_servers(slice_str("nameserver 1.1.1.1\n"
	    "nameserver 1.1.1.2\nnameserver 1.1.1.3\nnameserver 1.1.1.4"),
	    got), 3);
	assert_int_equal(hosts_servers(slice_str(NULL), got), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(table),
		cmocka_unit_test(allowed),
		cmocka_unit_test(urls),
		cmocka_unit_test(tokens),
		cmocka_unit_test(clean),
		cmocka_unit_test(retry_after),
		cmocka_unit_test(hosts),
		cmocka_unit_test(nameservers)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
