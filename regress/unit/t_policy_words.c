/*
 * Words of policies that are easily read in more than one way: white space
 * around them, roles, names of one user, durations (policy.md 3, 4, 7, 11).
 */

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "dbd/policy/lex.h"
#include "regress/lib/polkit.h"
#include "regress/lib/polread.h"

#define nitems(x)	(sizeof(x) / sizeof((x)[0]))
#define ALONE	"autogroup:self can only be used with users, groups, or " \
		"supported autogroups"

static void
spaces(void **state)
{
	static const char *const yes[] = {
		" ", "\t", "\n", "\v", "\f", "\r", "\302\205", "\302\240",
		"\341\232\200", "\342\200\200", "\342\200\212",
		"\342\200\250", "\342\200\251", "\342\200\257",
		"\342\201\237", "\343\200\200", " \302\240\n\343\200\200"
	};
	static const char *const no[] = {
		"\001", "\034", "\302\204", "\302\241", "\302", "\205",
		"\240", "\341\240\216", "\342\200\213", "\342\200\252",
		"\342\201\240", "\357\273\277"
	};
	struct buf b = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < nitems(yes); i++) {
		buf_clear(&b);
		buf_printf(&b, "%sx y%s", yes[i], yes[i]);
		assert_true(slice_eqs(lex_trim(buf_slice_of(&b)), "x y"));
		assert_int_equal(lex_trim(slice_str(yes[i])).n, 0);
	}
	for (i = 0; i < nitems(no); i++) {
		buf_clear(&b);
		buf_printf(&b, "%sx%s", no[i], no[i]);
		assert_int_equal(lex_trim(buf_slice_of(&b)).n, b.n);
	}
	assert_int_equal(lex_trim(slice_mem(NULL, 0)).n, 0);
	buf_free(&b);
}

/* Where white space goes, and where it stays (policy.md 3.1, 11.1). */
static void
trimmed(void **state)
{
	static const struct polread_row t[] = {
		{ ACL_SRC("\"\\u00a0tag:db\\u2003\""), NULL },
		{ GRANT_DST("\"\\u0085tag:db\""), NULL },
		{ SSH_BOTH("\"\\u3000ann@\"", "\"tag:db\\u1680\""), NULL },
		{ TARGET("\"ann@\\u2028\""), NULL },
		{ SSH("\"action\":\"accept\\u00a0\",\"users\":[\"root\"]"),
		    NULL },
		{ SSH("\"action\":\"\\u00a0\",\"users\":[\"root\"]"),
		    "action must be specified" },
		{ SSH_USERS("\"\\u2028\""), "user \"\" is not valid" },
		{ SSH_USERS("\"\\u00a0*\\u202f\""),
		    "user \"*\" is not valid" },
		{ ACL_SRC("\"tag:db\\u200b\""),
		    "src=tag not found: \"tag:db\\u200b\"" },
		{ ACL_DST("\"\\u00a0tag:db:22\""),
		    "invalid alias format: \"\\u00a0tag:db\"" },
		{ "{\"tagOwners\":{\"tag:a\":[\" tag:a\"]}}",
		    "invalid owner format: \" tag:a\"" }
	};

	(void)state;
	polread_all(t, nitems(t));
}

#define EVERYWHERE(role) \
	{ ACL_SRC("\"" role "\""), NULL }, \
	{ ACL_DST("\"" role ":22\""), NULL }, \
	{ GRANT_DST("\"" role "\""), NULL }, \
	{ SSH_SRC("\"" role "\""), NULL }, \
	{ SSH_BOTH("\"autogroup:member\"", "\"" role "\""), NULL }, \
	{ TARGET("\"" role "\""), NULL }, \
	{ SSHTEST("\"" role "\""), NULL }, \
	{ "{\"tagOwners\":{\"tag:a\":[\"" role "\"]}}", NULL }, \
	{ "{\"autoApprovers\":{\"exitNode\":[\"" role "\"]}}", NULL }, \
	{ SSH_BOTH("\"tag:db\"", "\"" role "\""), "tags in SSH source " \
	    "cannot access " role " (user-owned devices)" }
#define NO_SELF(x) \
	{ ACL("\"src\":[\"ann@\",\"" x "\"]," \
	    "\"dst\":[\"autogroup:self:*\"]"), ALONE }, \
	{ GRANT("\"src\":[\"" x "\"],\"dst\":[\"autogroup:self\"]," \
	    "\"ip\":[\"*\"]"), ALONE }

static void
roles(void **state)
{
	static const struct polread_row t[] = {
		EVERYWHERE("autogroup:owner"), EVERYWHERE("autogroup:admin"),
		EVERYWHERE("autogroup:it-admin"),
		EVERYWHERE("autogroup:network-admin"),
		EVERYWHERE("autogroup:billing-admin"),
		EVERYWHERE("autogroup:auditor"),
		EVERYWHERE("autogroup:shared"),
		NO_SELF("autogroup:owner"), NO_SELF("autogroup:admin"),
		NO_SELF("autogroup:auditor"), NO_SELF("user:*@corp.example"),
		{ "{\"tagOwners\":{\"tag:a\":[\"autogroup:tagged\"]}}",
		    NULL },
		{ "{\"tagOwners\":{\"tag:a\":[\"autogroup:internet\"]}}",
		    "invalid owner format: \"autogroup:internet\"" },
		{ "{\"autoApprovers\":{\"exitNode\":[\"autogroup:self\"]}}",
		    "invalid auto approver format: \"autogroup:self\"" }
	};

	(void)state;
	polread_all(t, nitems(t));
}

/* One user's names, and who is not one user (policy.md 11.2). */
static void
same_user(void **state)
{
	static const struct polread_row t[] = {
		{ SSH_BOTH("\"ann@\"", "\"ann@corp.example\""), NULL },
		{ SSH_BOTH("\"ann@corp.example\",\"ann@\"", "\"ann@\""),
		    NULL },
		{ SSH_BOTH("\"idp-77@\"", "\"eve@\""), NULL },
		{ SSH_BOTH("\"gone@\"", "\"gone@\""), NULL },
		{ SSH_BOTH("\"gone@\"", "\"lost@\""), "user destination "
		    "requires source to contain only that same user "
		    "\"lost@\"; use autogroup:self instead for same-user "
		    "SSH access" },
		{ SSH_BOTH("\"ann@\",\"ben@\"", "\"ann@corp.example\""),
		    "user destination requires source to contain only that "
		    "same user \"ann@corp.example\"; use autogroup:self "
		    "instead for same-user SSH access" },
		{ SSH_BOTH("\"twin@\"", "\"twin@one.example\""), "user "
		    "destination requires source to contain only that same "
		    "user \"twin@one.example\"; use autogroup:self instead "
		    "for same-user SSH access" }
	};

	(void)state;
	polread_all(t, nitems(t));
}

#define STORED	"{\"acls\":[],\"ssh\":[{\"action\":\"accept\"," \
		"\"src\":[\"a@\"],\"dst\":[\"a@example.com\"]," \
		"\"users\":[\"root\"]}]}"

/* The names of a stored rule have come to mean two users. */
static void
no_longer_same(void **state)
{
	struct polkit *k = polkit_five("10.33.0.0/16");

	(void)state;
	k->user[0].name = slice_str("a");
	if (polkit_compile(k, STORED, false) != 0)
		fail_msg("%s", polkit_why(k));
	assert_int_equal(k->pol->nsshs, 1);
	assert_int_equal(k->pol->ssh[0].ndst, 1);
	k->user[0].name = k->user[0].email;
	k->user[1].name = slice_str("a");
	assert_int_equal(polkit_compile(k, STORED, false), -1);
	k->info.stored = true;
	if (polkit_compile(k, STORED, false) != 0)
		fail_msg("%s", polkit_why(k));
	assert_int_equal(k->pol->nsshs, 1);
	assert_int_equal(k->pol->ssh[0].ndst, 0);
	polkit_free(k);
}

static void
periods(void **state)
{
	static const struct polread_row t[] = {
		{ SSH_CHECK("\"5\""), "time: missing unit in duration "
		    "\"5\"" },
		{ SSH_CHECK("\"1d\""), "time: unknown unit \"d\" in duration "
		    "\"1d\"" },
		{ SSH_CHECK("\"1h 2m\""), "time: unknown unit \"h \" in "
		    "duration \"1h 2m\"" },
		{ SSH_CHECK("\"\""), "time: invalid duration \"\"" },
		/* With accept, what is wrong in itself comes first. */
		{ SSH("\"action\":\"accept\",\"users\":[\"root\"],"
		    "\"checkPeriod\":\"-1m\""),
		    "checkPeriod -1m0s must be a positive duration" },
		{ SSH("\"action\":\"accept\",\"users\":[\"root\"],"
		    "\"checkPeriod\":\"200h\""),
		    "checkPeriod 200h0m0s is above the max (168h)" },
		{ SSH("\"action\":\"accept\",\"users\":[\"root\"],"
		    "\"checkPeriod\":\"always\""),
		    "checkPeriod is only valid with action \"check\"" }
	};

	(void)state;
	polread_all(t, nitems(t));
}

static void
rules(void **state)
{
	static const struct polread_row t[] = {
		{ GRANT("\"ip\":[\"*\"],\"via\":[\"\"]"),
		    "via can only be a tag" },
		{ GRANT("\"ip\":[\"*\"],\"via\":[\"a:b\"]"),
		    "via can only be a tag" },
		{ GRANT("\"ip\":[\"*\"],\"via\":[\" tag:db\"]"),
		    "via can only be a tag" },
		{ ATTR("\"target\":[\"*\"],\"ipPool\":[\"100.64.0.0/9\"]"),
		    "nodeAttrs ipPool must be within 100.64.0.0/10: "
		    "\"100.64.0.0/9\"" },
		{ ATTR("\"target\":[\"*\"],\"ipPool\":[\"100.64.0.0/10\"]"),
		    "nodeAttrs ipPool must not overlap reserved Tailscale "
		    "ranges: \"100.64.0.0/10\" overlaps "
		    "\"100.100.100.0/24\"" },
		{ ATTR("\"target\":[\"*\"],\"ipPool\":[\"100.81.0.1\"]"),
		    "IPPool(100.81.0.1): invalid prefix" },
		{ TARGET("\"\""), "\"\": invalid address" },
		{ GRANT_DST("\"\""), "host not defined in policy: \"\"" },
		{ "{\"groups\":{\"foo\":[],\"group:a\":[\"group:foo\"]}}",
		    "groups[\"group:a\"]: \"group:foo\": group members "
		    "cannot be recursive" }
	};

	(void)state;
	polread_all(t, nitems(t));
}

static void
tests(void **state)
{
	static const struct polread_row t[] = {
		{ TEST("\"src\":\"ann@\",\"accept\":[\"*:22\"]"),
		    "test(s) failed" },
		{ TEST("\"src\":\"ann@\",\"deny\":[\"*:22\"]"),
		    "test(s) failed" },
		{ TEST("\"accept\":[\"nas:22\"]"), NULL },
		{ SSHTEST("\"a:b:c\""), "test(s) failed" },
		{ SSHTEST("\"a:b:c\",\"autogroup:internet\""),
		    "test(s) failed" },
		{ SSHTEST("\"autogroup:internet\",\"a:b:c\""), "SSH tests dst "
		    "contains disallowed element \"autogroup:internet\"" },
		/* Names nothing: the test fails when it is run. */
		{ SSHTEST("\"\""), NULL },
		{ SSHTEST("\"autogroup:nonroot\""), NULL },
		{ SSHTEST("\"autogroup:else\""), NULL },
		{ SSHTEST("\"autogroup:danger-all\",\"*\""), NULL }
	};
	struct polkit *k = polkit_five("10.33.0.0/16");

	(void)state;
	polread_all(t, nitems(t));
	assert_int_equal(polkit_compile(k, "{\"sshTests\":[{\"src\":"
	    "\"a@example.com\",\"deny\":[\"root\"],\"dst\":[\"\","
	    "\"autogroup:nonroot\",\"autogroup:else\",\"autogroup:auditor\","
	    "\"autogroup:danger-all\",\"*\"]}]}", true), -1);
	assert_true(k->tests_failed);
	assert_string_equal(polkit_detail(k),
	    "a@example.com: dst alias \"\" resolved to no nodes\n"
	    "a@example.com: dst alias \"autogroup:nonroot\" resolved to no "
	    "nodes\n"
	    "a@example.com: dst alias \"autogroup:else\" resolved to no "
	    "nodes\n"
	    "a@example.com: dst alias \"autogroup:auditor\" resolved to no "
	    "nodes\n");
	polkit_free(k);
}

/* A role that nobody has opens nothing, wherever it stands. */
static void
nobody(void **state)
{
	struct polkit *k = polkit_five("10.33.0.0/16");

	(void)state;
	k->user[0].role = 2;
	assert_int_equal(polkit_compile(k, "{\"tagOwners\":{\"tag:srv\":"
	    "[\"autogroup:it-admin\",\"autogroup:tagged\"],\"tag:own\":"
	    "[\"autogroup:admin\"]},\"acls\":[{\"action\":\"accept\",\"src\":"
	    "[\"autogroup:network-admin\"],\"dst\":[\"*:*\"]},{\"action\":"
	    "\"accept\",\"src\":[\"*\"],\"dst\":[\"autogroup:shared:*\"]}],"
	    "\"tests\":[{\"src\":\"b@example.com\",\"deny\":"
	    "[\"tag:srv:22\",\"100.64.0.1:22\"]},{\"src\":\"a@example.com\","
	    "\"deny\":[\"tag:srv:22\"]}]}", true), 0);
	assert_int_equal(k->pol->nowners, 2);
	assert_int_equal(k->pol->owner[0].nusers, 1);
	assert_int_equal(k->pol->owner[1].nusers, 0);
	assert_false(k->pol->owner[1].anyone);
	polkit_free(k);
}

int
main(void)
{
	const struct CMUnitTest all[] = {
		cmocka_unit_test(spaces),
		cmocka_unit_test(trimmed),
		cmocka_unit_test(roles),
		cmocka_unit_test(same_user),
		cmocka_unit_test(no_longer_same),
		cmocka_unit_test(periods),
		cmocka_unit_test(rules),
		cmocka_unit_test(tests),
		cmocka_unit_test(nobody)
	};

	return cmocka_run_group_tests(all, NULL, NULL);
}
