#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "regress/lib/polkit.h"

#define HEAD	"{\"groups\":{\"group:g\":[\"a@example.com\"]," \
		"\"group:none\":[]}," \
		"\"hosts\":{\"h\":\"10.33.0.9\",\"far\":\"10.99.0.1\"}," \
		"\"tagOwners\":{\"tag:srv\":[],\"tag:none\":[]," \
		"\"tag:router\":[]},"

static void
run(struct polkit *k, const char *rules, const char *tests,
    const char *detail)
{
	struct buf b = { NULL, 0, 0 };
	int rc;

	buf_printf(&b, "%s%s,%s}", HEAD, rules, tests);
	buf_u8(&b, 0);
	rc = polkit_compile(k, (const char *)b.p, true);
	if (detail == NULL) {
		if (rc != 0)
			fail_msg("%s: %s%s", tests, polkit_why(k),
			    polkit_detail(k));
	} else {
		assert_int_equal(rc, -1);
		assert_true(k->tests_failed);
		assert_true(k->blob.n != 0);
		assert_string_equal(polkit_why(k), "test(s) failed");
		assert_string_equal(polkit_detail(k), detail);
	}
	buf_free(&b);
}

#define ACL(src, dst)	"\"acls\":[{\"action\":\"accept\",\"src\":[" src \
			"],\"dst\":[" dst "]}]"
#define TESTS(t)	"\"tests\":[" t "]"
#define SSH(t)		"\"sshTests\":[" t "]"

static void
network(void **state)
{
	struct polkit *k = polkit_five("10.33.0.0/16");
	const char *rules = ACL("\"a@example.com\"", "\"tag:srv:22,80-90\","
	    "\"10.33.0.0/24:443\"");

	(void)state;
	run(k, rules, TESTS("{\"src\":\"a@example.com\",\"accept\":"
	    "[\"tag:srv:22\",\"tag:srv:85\",\"h:443\",\"100.64.0.4:22\","
	    "\"10.33.0.1:443\"],\"deny\":[\"tag:srv:23\",\"h:22\","
	    "\"10.34.0.1:443\",\"b@example.com:22\",\"far:443\"]},"
	    "{\"src\":\"group:g\",\"accept\":[\"tag:srv:22\"]},"
	    "{\"src\":\"100.64.0.1\",\"accept\":[\"tag:srv:22\"]},"
	    "{\"src\":\"b@example.com\",\"deny\":[\"tag:srv:22\"]}"), NULL);
	/* All of a source's addresses must get there. */
	run(k, rules, TESTS("{\"src\":\"autogroup:member\",\"accept\":"
	    "[\"tag:srv:22\"]}"), "autogroup:member -> tag:srv:22: expected "
	    "ALLOWED, got DENIED\n");
	run(k, rules, TESTS("{\"src\":\"a@example.com\",\"proto\":\"tcp\","
	    "\"deny\":[\"tag:srv:22\"],\"accept\":[\"tag:srv:21\"]}"),
	    "a@example.com -> tag:srv:21 (tcp): expected ALLOWED, got DENIED\n"
	    "a@example.com -> tag:srv:22 (tcp): expected DENIED, got "
	    "ALLOWED\n");
	polkit_free(k);
}

static void
protocols(void **state)
{
	struct polkit *k = polkit_five("10.33.0.0/16");
	const char *rules = "\"grants\":[{\"src\":[\"*\"],\"dst\":[\"*\"],"
	    "\"ip\":[\"udp:53\",\"sctp:9\"]}]";

	(void)state;
	run(k, rules, TESTS("{\"src\":\"*\",\"accept\":[\"tag:srv:53\"],"
	    "\"deny\":[\"tag:srv:9\"]},{\"src\":\"*\",\"proto\":\"udp\","
	    "\"accept\":[\"tag:srv:53\"]},{\"src\":\"*\",\"proto\":\"tcp\","
	    "\"deny\":[\"tag:srv:53\"]},{\"src\":\"*\",\"proto\":\"sctp\","
	    "\"accept\":[\"tag:srv:9\"]}"), NULL);
	polkit_free(k);
}

static void
unresolved(void **state)
{
	struct polkit *k = polkit_five("10.33.0.0/16");
	const char *rules = ACL("\"*\"", "\"*:*\"");

	(void)state;
	run(k, rules, TESTS("{\"src\":\"x@example.com\",\"accept\":"
	    "[\"tag:srv:22\"]}"), "x@example.com: failed to resolve source "
	    "\"x@example.com\": resolving: user not found: token "
	    "\"x@example.com\"\n");
	/* White space counts here (policy.md 3.1). */
	run(k, rules, TESTS("{\"src\":\"a@example.com \",\"accept\":"
	    "[\"tag:srv:22\"]}"), "a@example.com : failed to resolve source "
	    "\"a@example.com \": resolving: user not found: token "
	    "\"a@example.com \"\n");
	run(k, rules, TESTS("{\"src\":\"nohost\",\"accept\":[\"tag:srv:22\"]}"),
	    "nohost: failed to resolve source \"nohost\": resolving: error "
	    "resolving host: \"nohost\"\n");
	run(k, rules, TESTS("{\"src\":\"group:none\",\"accept\":"
	    "[\"tag:srv:22\"]}"), "group:none: source \"group:none\" resolved "
	    "to no IP addresses\n");
	run(k, rules, TESTS("{\"src\":\"*\",\"deny\":[\"tag:none:22\"]}"),
	    "*: error testing \"tag:none:22\": destination resolved to no IP "
	    "addresses: \"tag:none\"\n");
	polkit_free(k);
}

static void
self(void **state)
{
	struct polkit *k = polkit_five("10.33.0.0/16");
	const char *rules = ACL("\"autogroup:member\"",
	    "\"autogroup:self:22\"");

	(void)state;
	run(k, rules, TESTS("{\"src\":\"a@example.com\",\"accept\":"
	    "[\"a@example.com:22\",\"100.64.0.2:22\"],\"deny\":"
	    "[\"b@example.com:22\",\"tag:srv:22\"]}"), NULL);
	/* b1 is another's. */
	run(k, rules, TESTS("{\"src\":\"autogroup:member\",\"accept\":"
	    "[\"a@example.com:22\"]}"), "autogroup:member -> "
	    "a@example.com:22: expected ALLOWED, got DENIED\n");
	polkit_free(k);
}

static void
many_findings(void **state)
{
	struct polkit *k = polkit_five("10.33.0.0/16");
	struct buf b = { NULL, 0, 0 };
	unsigned int i, lines = 0;
	const char *s;

	(void)state;
	buf_str(&b, HEAD "\"acls\":[],\"tests\":[{\"src\":\"*\",\"accept\":["
	    "\"tag:srv:1\"");
	for (i = 2; i < 500; i++)
		buf_printf(&b, ",\"tag:srv:%u\"", i);
	buf_str(&b, "]}]}");
	buf_u8(&b, 0);
	assert_int_equal(polkit_compile(k, (const char *)b.p, true), -1);
	for (s = polkit_detail(k); *s != '\0'; s++)
		lines += *s == '\n';
	assert_int_equal(lines, 63);
	assert_non_null(strstr(polkit_detail(k), "and 437 more\n"));
	buf_free(&b);
	polkit_free(k);
}

#define RULES	"\"ssh\":[" \
	"{\"action\":\"accept\",\"src\":[\"a@example.com\"],\"dst\":" \
	"[\"tag:srv\"],\"users\":[\"root\",\"ubuntu\"]}," \
	"{\"action\":\"check\",\"src\":[\"autogroup:member\"],\"dst\":" \
	"[\"autogroup:self\"],\"users\":[\"autogroup:nonroot\"]}," \
	"{\"action\":\"accept\",\"src\":[\"b@example.com\"],\"dst\":" \
	"[\"tag:router\"],\"users\":[\"localpart:*@example.com\"]}]"

static void
ssh(void **state)
{
	struct polkit *k = polkit_five("10.33.0.0/16");

	(void)state;
	run(k, RULES, SSH("{\"src\":\"a@example.com\",\"dst\":[\"tag:srv\"],"
	    "\"accept\":[\"root\",\"ubuntu\"],\"deny\":[\"amy\",\"\"]},"
	    "{\"src\":\"b@example.com\",\"dst\":[\"tag:srv\"],\"deny\":"
	    "[\"root\"]},"
	    "{\"src\":\"a@example.com\",\"dst\":[\"autogroup:self\"],"
	    "\"check\":[\"amy\"],\"accept\":[\"amy\"],\"deny\":[\"root\"]},"
	    "{\"src\":\"b@example.com\",\"dst\":[\"tag:router\"],\"accept\":"
	    "[\"b\"],\"deny\":[\"a\",\"root\"]},"
	    "{\"src\":\"a@example.com\",\"dst\":[\"b@example.com\"],\"deny\":"
	    "[\"amy\"]},"
	    /* A rule with local parts lets its sources into themselves. */
	    "{\"src\":\"b@example.com\",\"dst\":[\"100.64.0.3\"],\"accept\":"
	    "[\"b\"]}"), NULL);
	run(k, RULES, SSH("{\"src\":\"autogroup:member\",\"dst\":"
	    "[\"tag:srv\"],\"accept\":[\"root\"]}"), "autogroup:member/root -> "
	    "srv: expected ALLOWED, got DENIED\n");
	run(k, RULES, SSH("{\"src\":\"a@example.com\",\"dst\":[\"tag:srv\"],"
	    "\"check\":[\"root\"],\"deny\":[\"ubuntu\"],\"accept\":[\"\"]}"),
	    "a@example.com/\"\" -> srv: expected ALLOWED, got DENIED\n"
	    "a@example.com/ubuntu -> srv: expected DENIED, got ALLOWED\n"
	    "a@example.com/root -> srv: expected ALLOWED via check, got "
	    "ALLOWED via accept\n");
	run(k, RULES, SSH("{\"src\":\"a@example.com\",\"dst\":[\"tag:srv\"]}"),
	    "a@example.com: no accept, deny, or check assertions "
	    "specified\n");
	run(k, RULES, SSH("{\"src\":\"a@example.com\",\"dst\":[\"tag:none\"],"
	    "\"deny\":[\"root\"]}"), "a@example.com: dst alias \"tag:none\" "
	    "resolved to no nodes\n");
	polkit_free(k);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(network),
		cmocka_unit_test(protocols),
		cmocka_unit_test(unresolved),
		cmocka_unit_test(self),
		cmocka_unit_test(many_findings),
		cmocka_unit_test(ssh),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
