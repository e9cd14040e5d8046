#include <sys/socket.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/ip.h"

#define nitems(a)	(sizeof(a) / sizeof((a)[0]))

static struct ip
ip(const char *s)
{
	struct ip a;

	if (!ip_parse(&a, slice_str(s)))
		fail_msg("ip_parse %s", s);
	return a;
}

static struct prefix
prefix(const char *s)
{
	struct prefix p;

	if (!prefix_parse(&p, slice_str(s)))
		fail_msg("prefix_parse %s", s);
	return p;
}

static void
addresses(void **state)
{
	static const char *const same[] = { "0.0.0.0", "1.2.3.4",
	    "255.255.255.255", "100.64.0.1", "::", "::1", "1::",
	    "fd7a:115c:a1e0::53", "2001:db8::1:0:0:1", "2001:db8:0:1::",
	    "1:2:3:4:5:6:7:8", "2001:0:0:1::1", "1:0:2:0:3:0:4:0",
	    "::ffff:1.2.3.4", "::102:304", "fe80::1" };
	static const char *const other[][2] = {
		{ "2001:DB8::0001", "2001:db8::1" },
		{ "0:0:0:0:0:0:0:0", "::" },
		{ "1:2:3:4:5:6:0:8", "1:2:3:4:5:6:0:8" },
		{ "1:2:3:4:5:6::8", "1:2:3:4:5:6:0:8" },
		{ "::1.2.3.4", "::102:304" },
		{ "1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304" },
		{ "::ffff:0102:0304", "::ffff:1.2.3.4" },
		{ "1:0:0:2:0:0:0:3", "1:0:0:2::3" },
		{ "0:0:1:0:0:1:0:0", "::1:0:0:1:0:0" },
	};
	char text[IP_TEXT];
	struct ip a;
	size_t i;

	(void)state;
	for (i = 0; i < nitems(same); i++) {
		a = ip(same[i]);
		assert_int_equal(ip_print(text, &a), strlen(same[i]));
		assert_string_equal(text, same[i]);
	}
	for (i = 0; i < nitems(other); i++) {
		a = ip(other[i][0]);
		(void)ip_print(text, &a);
		assert_string_equal(text, other[i][1]);
	}
	memset(&a, 0, sizeof(a));
	assert_int_equal(ip_print(text, &a), 0);
	assert_string_equal(text, "");
}

static void
bad_addresses(void **state)
{
	static const char *const bad[] = { "", " ", "1", "1.2.3", "1.2.3.4.5",
	    "1.2.3.256", "01.2.3.4", "1.2.3.04", "1..2.3", "1.2.3.", ".1.2.3",
	    "1.2.3.4 ", "1.2.3.-4", "+1.2.3.4", "1.2.3.4/8", ":", ":::", "1:",
	    ":1", "1::2::3", "12345::", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9",
	    "1:2:3:4:5:6:7:8:", "1:2:3:4:5:6:7::8", "::1:2:3:4:5:6:7:8",
	    "1:2:3:4:5:6:7:8::", "fe80::1%eth0", "g::", "::1.2.3",
	    "::1.2.3.4:5", "1.2.3.4::", "1:2:3:4:5:6:7:1.2.3.4",
	    "1:2:3:4:5:1.2.3.4", "::01.2.3.4", "[::1]", "::ffff:1.2.3.4.5" };
	struct ip a;
	size_t i;

	(void)state;
	for (i = 0; i < nitems(bad); i++) {
		if (ip_parse(&a, slice_str(bad[i])))
			fail_msg("\"%s\" was taken", bad[i]);
		assert_int_equal(a.family, 0);
	}
	assert_true(ip_parse(&a, slice_str("1:2:3:4:5:6:7::")));
	assert_false(ip_parse(&a, slice_mem("1.2.3.4\0", 8)));
}

/* Against the C library, on addresses with many zero groups. */
static void
agrees(void **state)
{
	char mine[IP_TEXT], theirs[INET6_ADDRSTRLEN];
	struct ip a, back;
	unsigned int seed = 1, i, k;

	(void)state;
	for (i = 0; i < 20000; i++) {
		memset(&a, 0, sizeof(a));
		a.family = 6;
		for (k = 0; k < 16; k++) {
			seed = seed * 1103515245 + 12345;
			a.b[k] = (seed >> 20 & 3) == 0 ? (uint8_t)(seed >> 24) :
			    0;
		}
		a.b[0] |= 1;	/* no form with a dotted end */
		(void)ip_print(mine, &a);
		assert_non_null(inet_ntop(AF_INET6, a.b, theirs,
		    sizeof(theirs)));
		assert_string_equal(mine, theirs);
		back = ip(mine);
		assert_true(ip_eq(&a, &back));
	}
}

static void
prefixes(void **state)
{
	static const char *const good[] = { "0.0.0.0/0", "10.0.0.0/8",
	    "1.2.3.4/32", "100.64.0.0/10", "::/0", "fd7a:115c:a1e0::/48",
	    "::1/128", "8000::/1" };
	static const char *const bad[] = { "", "1.2.3.4", "1.2.3.4/33",
	    "1.2.3.4/", "/8", "1.2.3.4/-1", "1.2.3.4/032", "1.2.3.4/+8",
	    "::/129", "::1/12 8", "1.2.3.4/8/8", "fe80::%e/10",
	    "1.2.3.4/4294967304" };
	char text[PREFIX_TEXT];
	struct prefix p;
	size_t i;

	(void)state;
	for (i = 0; i < nitems(good); i++) {
		p = prefix(good[i]);
		assert_int_equal(prefix_print(text, &p), strlen(good[i]));
		assert_string_equal(text, good[i]);
	}
	for (i = 0; i < nitems(bad); i++) {
		assert_false(prefix_parse(&p, slice_str(bad[i])));
		assert_false(prefix_parse_loose(&p, slice_str(bad[i])));
		assert_int_equal(p.addr.family, 0);
	}
	assert_false(prefix_parse(&p, slice_str("10.0.0.1/8")));
	assert_true(prefix_parse_loose(&p, slice_str("10.0.0.1/8")));
	(void)prefix_print(text, &p);
	assert_string_equal(text, "10.0.0.0/8");
	assert_true(prefix_parse_loose(&p, slice_str("ffff::ffff/13")));
	(void)prefix_print(text, &p);
	assert_string_equal(text, "fff8::/13");
}

static void
ports(void **state)
{
	static const char *const good[] = { "1.2.3.4:5", "0.0.0.0:65535",
	    "[fe80::1]:0", "[::ffff:1.2.3.4]:41641" };
	static const char *const bad[] = { "", ":", "1.2.3.4", "1.2.3.4:",
	    "1.2.3.4:65536", "1.2.3.4:05", "1.2.3.4:-1", "fe80::1:5",
	    "[1.2.3.4]:5", "[fe80::1%eth0]:7", "[fe80::1]", "[fe80::1]5",
	    "[]:5", "[:5", ":5", "]:5", "1.2.3.4:5 " };
	char text[IPPORT_TEXT];
	struct ipport a;
	size_t i;

	(void)state;
	for (i = 0; i < nitems(good); i++) {
		assert_true(ipport_parse(&a, slice_str(good[i])));
		assert_int_equal(ipport_print(text, &a), strlen(good[i]));
		assert_string_equal(text, good[i]);
	}
	for (i = 0; i < nitems(bad); i++) {
		assert_false(ipport_parse(&a, slice_str(bad[i])));
		assert_int_equal(a.addr.family, 0);
	}
	memset(&a, 0, sizeof(a));
	assert_int_equal(ipport_print(text, &a), 0);
}

static void
compares(void **state)
{
	struct ip a = ip("1.2.3.4"), b = ip("1.2.3.5"), c = ip("::"), d;
	struct ipport x, y;
	struct prefix p = prefix("10.0.0.0/8"), q = prefix("10.0.0.0/9");

	(void)state;
	assert_true(ip_cmp(&a, &b) < 0);
	assert_true(ip_cmp(&b, &a) > 0);
	assert_true(ip_cmp(&b, &c) < 0);
	d = a;
	d.b[9] = 77;		/* beyond an IPv4 address: not looked at */
	assert_true(ip_eq(&a, &d));
	x.addr = y.addr = a;
	x.port = 1;
	y.port = 2;
	assert_false(ipport_eq(&x, &y));
	y.port = 1;
	assert_true(ipport_eq(&x, &y));
	assert_false(prefix_eq(&p, &q));
	assert_true(prefix_eq(&p, &p));
}

/* What the kernel and the libraries say of a socket's end. */
static void
from_system(void **state)
{
	struct sockaddr_storage ss;
	struct sockaddr_in in = { .sin_family = AF_INET,
	    .sin_port = htons(41641) };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6,
	    .sin6_port = htons(1) };
	struct ipport p;
	char text[IPPORT_TEXT];

	(void)state;
	assert_int_equal(inet_pton(AF_INET, "192.0.2.33", &in.sin_addr), 1);
	assert_int_equal(inet_pton(AF_INET6, "fe80::1", &in6.sin6_addr), 1);
	memset(&ss, 0xff, sizeof(ss));
	memset(&p, 0xff, sizeof(p));
	memcpy(&ss, &in, sizeof(in));
	ipport_from(&p, (const struct sockaddr *)&ss);
	(void)ipport_print(text, &p);
	assert_string_equal(text, "192.0.2.33:41641");
	memcpy(&ss, &in6, sizeof(in6));
	ipport_from(&p, (const struct sockaddr *)&ss);
	(void)ipport_print(text, &p);
	assert_string_equal(text, "[fe80::1]:1");
	ss.ss_family = AF_UNIX;
	ipport_from(&p, (const struct sockaddr *)&ss);
	assert_int_equal(p.addr.family, 0);
	assert_int_equal(p.port, 0);
}

static void
ranges(void **state)
{
	struct prefix p = prefix("10.1.0.0/30"), all = prefix("::/0");
	struct prefix one = prefix("1.2.3.4/32"), none;
	struct ip a = ip("10.1.0.3"), b = ip("10.1.0.4"), c = ip("::a01:3");
	char text[IP_TEXT];

	(void)state;
	memset(&none, 0, sizeof(none));
	assert_true(prefix_has(&p, &a));
	assert_false(prefix_has(&p, &b));
	assert_false(prefix_has(&p, &c));
	assert_true(prefix_has(&all, &c));
	assert_false(prefix_has(&none, &a));
	assert_true(prefix_size(&p) == 4);
	assert_true(prefix_size(&one) == 1);
	assert_true(prefix_size(&all) == UINT64_MAX);
	assert_true(prefix_size(&none) == 0);
	assert_true(prefix_nth(&p, 3, &a));
	(void)ip_print(text, &a);
	assert_string_equal(text, "10.1.0.3");
	assert_false(prefix_nth(&p, 4, &a));
	assert_false(prefix_nth(&p, UINT64_MAX, &a));
	assert_true(prefix_nth(&one, 0, &a));
	assert_false(prefix_nth(&one, 1, &a));
	assert_false(prefix_nth(&none, 0, &a));
	assert_true(prefix_nth(&all, 0x1ff, &a));
	(void)ip_print(text, &a);
	assert_string_equal(text, "::1ff");
	p = prefix("fd7a:115c:a1e0::/48");
	assert_true(prefix_nth(&p, UINT64_MAX, &a));
	(void)ip_print(text, &a);
	assert_string_equal(text, "fd7a:115c:a1e0:0:ffff:ffff:ffff:ffff");
	p = prefix("255.255.255.0/24");
	assert_true(prefix_nth(&p, 255, &a));
	assert_false(prefix_nth(&p, 256, &a));
}

static void
kinds(void **state)
{
	static const char *const private[] = { "127.0.0.1", "127.255.255.255",
	    "10.0.0.0", "172.16.0.1", "172.31.255.255", "192.168.1.1",
	    "169.254.9.9", "::1", "fe80::1", "febf::1", "fc00::1", "fd00::1" };
	static const char *const public[] = { "126.255.255.255", "128.0.0.0",
	    "172.15.255.255", "172.32.0.0", "192.167.0.1", "100.64.0.1", "::2",
	    "fec0::1", "2001:db8::1" };
	/* Every other one is outside. */
	static const char *const nodes[] = { "100.64.0.0", "100.63.255.255",
	    "100.127.255.255", "100.128.0.0", "fd7a:115c:a1e0::",
	    "fd7a:115c:a1df:ffff::", "fd7a:115c:a1e0:ffff::1",
	    "fd7a:115c:a1e1::" };
	static const char *const good[] = { "100.64.0.1", "100.127.255.254",
	    "100.115.91.255", "100.115.94.0", "100.100.100.99", "10.0.0.1",
	    "fd7a:115c:a1e0::1", "fd7a:115c:a1e0::54",
	    "fd7a:115c:a1e0:ab12:4843:cd96:6240:1",
	    "fd7a:115c:a1e0:ab12:4843:cd96:6140:1", "fd00::53" };
	static const char *const bad[] = { "100.115.92.0", "100.115.93.255",
	    "100.100.100.100", "fd7a:115c:a1e0::53", "fd7a:115c:a1e0:b1a::",
	    "fd7a:115c:a1e0:b1a:ffff::1", "fd7a:115c:a1e0:efe3::9",
	    "fd7a:115c:a1e0:ab12:4843:cd96:6280:1",
	    "fd7a:115c:a1e0:ab12:4843:cd96:6264:6464",
	    "fd7a:115c:a1e0:ab12:4843:cd96:6273:5c01" };
	struct ip a;
	size_t i;

	(void)state;
	for (i = 0; i < nitems(private); i++) {
		a = ip(private[i]);
		assert_true(ip_is_private(&a));
	}
	for (i = 0; i < nitems(public); i++) {
		a = ip(public[i]);
		assert_false(ip_is_private(&a));
		assert_false(ip_is_linklocal(&a));
	}
	for (i = 0; i < nitems(nodes); i++) {
		a = ip(nodes[i]);
		if (ip_is_tailnet(&a) != (i % 2 == 0))
			fail_msg("%s", nodes[i]);
	}
	a = ip("169.254.0.1");
	assert_true(ip_is_linklocal(&a));
	a = ip("fe80::1");
	assert_true(ip_is_linklocal(&a));
	for (i = 0; i < nitems(good); i++) {
		a = ip(good[i]);
		if (!ip_node_ok(&a))
			fail_msg("%s", good[i]);
	}
	for (i = 0; i < nitems(bad); i++) {
		a = ip(bad[i]);
		if (ip_node_ok(&a))
			fail_msg("%s", bad[i]);
	}
}

static void
test_source(void **state)
{
	static const char *const same[][2] = {
		{ "192.0.2.1", "::ffff:192.0.2.1" },
		{ "2001:db8::1", "2001:db8::ffff:0:0:1" },
	};
	static const char *const others[][2] = {
		{ "192.0.2.1", "192.0.2.2" },
		{ "2001:db8::1", "2001:db8:0:1::1" },
		/* As octets they begin alike. */
		{ "32.1.13.184", "2001:db8::" },
		{ "192.0.2.1", "::fffe:192.0.2.1" },
		{ "192.0.2.1", "::1:ffff:192.0.2.1" },
	};
	uint8_t a[IP_SOURCE], b[IP_SOURCE];
	struct ip x, y;
	size_t i;

	(void)state;
	for (i = 0; i < nitems(same) + nitems(others); i++) {
		bool is = i < nitems(same);
		const char *const *v = is ? same[i] : others[i - nitems(same)];

		x = ip(v[0]);
		y = ip(v[1]);
		ip_unmap(&x);
		ip_unmap(&y);
		ip_source(a, &x);
		ip_source(b, &y);
		if ((memcmp(a, b, sizeof(a)) == 0) != is)
			fail_msg("%s and %s", v[0], v[1]);
	}
	y = ip("::ffff:192.0.2.1");
	ip_unmap(&y);
	assert_true(ip_eq(&y, &(struct ip){ 4, { 192, 0, 2, 1 } }));
	assert_int_equal(y.b[12], 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_source),
		cmocka_unit_test(addresses),
		cmocka_unit_test(bad_addresses),
		cmocka_unit_test(agrees),
		cmocka_unit_test(prefixes),
		cmocka_unit_test(ports),
		cmocka_unit_test(compares),
		cmocka_unit_test(from_system),
		cmocka_unit_test(ranges),
		cmocka_unit_test(kinds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
