/* Command lines to messages or error texts. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "ctl/ask.h"
#include "ctl/grammar.h"

#define NOW	1790000000LL	/* 2026-09-21T14:13:20Z */
#define WORDS	16

/* Splits at spaces; '' is an empty word, _ within a word a space. */
static int
split(char *line, char *word[WORDS])
{
	char *p;
	int n = 0;

	while ((p = strsep(&line, " ")) != NULL && n < WORDS) {
		if (*p == '\0')
			continue;
		if (strcmp(p, "''") == 0)
			*p = '\0';
		word[n++] = p;
		for (; *p != '\0'; p++)
			if (*p == '_')
				*p = ' ';
	}
	return n;
}

/* What a line comes to: the message printed, or the error. */
static const char *
result(const char *text)
{
	static const struct target target = { 11, 12, 13 };
	static char out[2048], line[512];
	struct buf list = { 0 }, b = { 0 };
	struct command cmd;
	struct msg m;
	char *word[WORDS], why[512] = "";
	int n;

	(void)strlcpy(line, text, sizeof(line));
	n = split(line, word);
	if (grammar_parse(&cmd, n, word, why, sizeof(why)) == -1 ||
	    ask_build(&m, &list, &cmd, &target, NOW, why, sizeof(why)) ==
	    -1) {
		(void)snprintf(out, sizeof(out), "error: %s", why);
		buf_free(&list);
		return out;
	}
	assert_true(msg_ok(&m));
	assert_int_equal(ask_check(&cmd, NOW, why, sizeof(why)), 0);
	msg_print(&b, &m);
	buf_printf(&b, " flags=%x%s", cmd.flags, ask_destroys(&cmd, NOW) ?
	    " destroys" : "");
	buf_u8(&b, 0);
	(void)strlcpy(out, (const char *)b.p, sizeof(out));
	buf_free(&b);
	buf_free(&list);
	return out;
}

static const struct {
	const char	*line;
	const char	*want;
} lines[] = {
	/* Every command. */
	{ "users add alice", "CTL_USER_ADD id=0 name=\"alice\" display=\"\""
	    " flags=0" },
	{ "users add --display Alice_A alice", "CTL_USER_ADD id=0 "
	    "name=\"alice\" display=\"Alice A\" flags=0" },
	{ "users list", "CTL_USER_LIST id=0 flags=0" },
	{ "users rename alice bob", "CTL_USER_RENAME id=0 id=11 "
	    "name=\"bob\" flags=0" },
	{ "users delete alice", "CTL_USER_DELETE id=0 id=11 flags=0"
	    " destroys" },
	{ "keys create -u alice", "CTL_KEY_CREATE id=0 user=11 "
	    "reusable=false ephemeral=false expires_s=3600 tags=[0] "
	    "flags=0" },
	{ "keys create --user alice --reusable --ephemeral --expires 24h "
	    "--tags a,tag:b", "CTL_KEY_CREATE id=0 user=11 reusable=true "
	    "ephemeral=true expires_s=86400 tags=[2 { v=\"tag:a\" } "
	    "{ v=\"tag:b\" }] flags=18" },
	{ "keys create --tags a --expires never", "CTL_KEY_CREATE id=0 "
	    "user=11 reusable=false ephemeral=false expires_s=0 tags=[1 "
	    "{ v=\"tag:a\" }] flags=0" },
	{ "keys list", "CTL_KEY_LIST id=0 flags=0" },
	{ "keys expire 3", "CTL_KEY_EXPIRE id=0 id=13 flags=0 destroys" },
	{ "keys delete 3", "CTL_KEY_DELETE id=0 id=13 flags=0 destroys" },
	{ "nodes list", "CTL_NODE_LIST id=0 flags=0" },
	{ "nodes show laptop", "CTL_NODE_LIST id=0 flags=0" },
	{ "nodes rename laptop desk", "CTL_NODE_RENAME id=0 id=12 "
	    "name=\"desk\" flags=0" },
	{ "nodes tag laptop web,tag:db", "CTL_NODE_TAG id=0 id=12 tags=[2 "
	    "{ v=\"tag:web\" } { v=\"tag:db\" }] flags=0" },
	{ "nodes move laptop alice", "CTL_NODE_MOVE id=0 id=12 user=11 "
	    "flags=0" },
	{ "nodes expire laptop", "CTL_NODE_EXPIRE id=0 id=12 at=1790000000 "
	    "flags=0 destroys" },
	{ "nodes expire laptop now", "CTL_NODE_EXPIRE id=0 id=12 "
	    "at=1790000000 flags=0 destroys" },
	{ "nodes expire laptop never", "CTL_NODE_EXPIRE id=0 id=12 at=0 "
	    "flags=0" },
	{ "nodes expire laptop 2h", "CTL_NODE_EXPIRE id=0 id=12 "
	    "at=1790007200 flags=0" },
	{ "nodes expire laptop 2027-01-02T03:04:05Z", "CTL_NODE_EXPIRE id=0 "
	    "id=12 at=1798859045 flags=0" },
	{ "nodes expire laptop 2020-01-02T03:04:05+01:00", "CTL_NODE_EXPIRE "
	    "id=0 id=12 at=1577930645 flags=0 destroys" },
	{ "nodes logout laptop", "CTL_NODE_LOGOUT id=0 id=12 flags=0"
	    " destroys" },
	{ "nodes delete laptop", "CTL_NODE_DELETE id=0 id=12 flags=0"
	    " destroys" },
	{ "users role alice admin", "CTL_USER_ROLE id=0 id=11 role=1 flags=0" },
	{ "users role alice owner", "CTL_USER_ROLE id=0 id=11 role=2 flags=0" },
	{ "users role alice member", "CTL_USER_ROLE id=0 id=11 role=0 "
	    "flags=0" },
	{ "routes list", "CTL_NODE_LIST id=0 flags=0" },
	{ "routes list laptop", "CTL_NODE_LIST id=0 flags=0" },
	{ "routes approve laptop 10.0.0.0/8", "CTL_NODE_ROUTES id=0 id=12 "
	    "approve=true routes=[1 { v=10.0.0.0/8 }] flags=0" },
	{ "routes unapprove laptop ::/0 -j 10.0.0.0/8", "CTL_NODE_ROUTES id=0 "
	    "id=12 approve=false routes=[2 { v=::/0 } { v=10.0.0.0/8 }] "
	    "flags=1" },
	{ "policy set f", "CTL_POLICY_SET id=0 reason=\"\" flags=0" },
	{ "policy set - -r why", "CTL_POLICY_SET id=0 reason=\"why\" "
	    "flags=0" },
	{ "policy check f", "CTL_POLICY_CHECK id=0 tests=false flags=0" },
	{ "policy test f", "CTL_POLICY_CHECK id=0 tests=true flags=0" },
	{ "policy diff f", "CTL_POLICY_DIFF id=0 lines=1000 flags=0" },
	{ "policy diff -n 5 f", "CTL_POLICY_DIFF id=0 lines=5 flags=0" },
	{ "policy get", "CTL_POLICY_GET id=0 version=0 flags=0" },
	{ "policy get 7", "CTL_POLICY_GET id=0 version=7 flags=0" },
	{ "policy history", "CTL_POLICY_HISTORY id=0 flags=0" },
	{ "policy rollback 3 --reason x", "CTL_POLICY_ROLLBACK id=0 version=3 "
	    "reason=\"x\" flags=0" },
	{ "policy why a b", "CTL_POLICY_WHY id=0 src=\"a\" dst=\"b\" port=0 "
	    "flags=0" },
	{ "policy why a b:22", "CTL_POLICY_WHY id=0 src=\"a\" dst=\"b\" "
	    "port=22 flags=0" },
	{ "policy why a tag:web", "CTL_POLICY_WHY id=0 src=\"a\" "
	    "dst=\"tag:web\" port=0 flags=0" },
	{ "policy why a tag:web:80", "CTL_POLICY_WHY id=0 src=\"a\" "
	    "dst=\"tag:web\" port=80 flags=0" },
	{ "policy why a fd7a::1", "CTL_POLICY_WHY id=0 src=\"a\" "
	    "dst=\"fd7a::1\" port=0 flags=0" },
	{ "policy why a [fd7a::1]:5", "CTL_POLICY_WHY id=0 src=\"a\" "
	    "dst=\"fd7a::1\" port=5 flags=0" },
	{ "users role alice king", "error: users role: \"king\" is no role: "
	    "owner, admin or member" },
	{ "routes approve laptop", "error: routes approve: must be followed "
	    "by PREFIX..." },
	{ "routes approve laptop 10.0.0.1/8", "error: routes approve: "
	    "\"10.0.0.1/8\" is no prefix like 10.0.0.0/8" },
	{ "policy get 0", "error: policy get: \"0\" is no such number" },
	{ "policy why a b:70000", "error: policy why: \"70000\" is no such "
	    "number" },
	{ "policy why a :80", "error: policy why: \":80\" names nothing" },
	{ "policy set", "error: policy set: must be followed by FILE" },
	{ "status", "CTL_STATUS id=0 flags=0" },
	{ "status -v", "CTL_STATUS id=0 flags=40" },
	{ "-j status --verb", "CTL_STATUS id=0 flags=41" },
	{ "metrics", "CTL_STATUS id=0 flags=0" },
	{ "m", "CTL_STATUS id=0 flags=0" },
	{ "metrics all", "error: metrics: nothing more is expected: all" },
	{ "metrics -v", "error: metrics: no such option: -v" },
	{ "nodes list -v", "error: nodes list: no such option: -v" },
	{ "worker exposure", "CTL_EXPOSURE id=0 slot=0 generation=0 "
	    "revoke=false flags=0" },
	{ "worker exposure --slot 2 --generation 5 --revoke",
	    "CTL_EXPOSURE id=0 slot=2 generation=5 revoke=true flags=20"
	    " destroys" },
	{ "derp list", "CTL_DERP_LIST id=0 flags=0" },
	{ "cert list -j", "CTL_CERT_LIST id=0 flags=1" },
	{ "cert renew", "CTL_CERT_RENEW id=0 revoke=false flags=0" },
	{ "cert renew --revoke", "CTL_CERT_RENEW id=0 revoke=true flags=20"
	    " destroys" },
	{ "cert renew now",
	    "error: cert renew: nothing more is expected: now" },
	{ "reload", "CTL_RELOAD id=0 flags=0" },
	{ "log verbose", "CTL_VERBOSE id=0 verbose=1 flags=0" },
	{ "log brief", "CTL_VERBOSE id=0 verbose=0 flags=0" },
	/* Cut short, and options anywhere and in every form. */
	{ "n li", "CTL_NODE_LIST id=0 flags=0" },
	{ "k c --eph --us=alice", "CTL_KEY_CREATE id=0 user=11 "
	    "reusable=false ephemeral=true expires_s=3600 tags=[0] "
	    "flags=10" },
	{ "key cr -ualice -e 7d", "CTL_KEY_CREATE id=0 user=11 "
	    "reusable=false ephemeral=false expires_s=604800 tags=[0] "
	    "flags=0" },
	{ "-j -y users -s /x list", "CTL_USER_LIST id=0 flags=3" },
	{ "-jy st", "CTL_STATUS id=0 flags=3" },
	{ "st --json --yes --socket=/x", "CTL_STATUS id=0 flags=3" },
	{ "users add -- -j", "CTL_USER_ADD id=0 name=\"-j\" display=\"\" "
	    "flags=0" },
	{ "users add -", "CTL_USER_ADD id=0 name=\"-\" display=\"\" "
	    "flags=0" },
	/* What is wrong. */
	{ "", "error: a command is missing: users, keys, nodes, routes, "
	    "policy, derp, cert, status, metrics, worker, reload, log, "
	    "version or "
	    "help" },
	{ "noeds list", "error: no such command: noeds; did you mean "
	    "nodes?" },
	{ "frobnicate", "error: no such command: frobnicate; there is users,"
	    " keys, nodes, routes, policy, derp, cert, status, metrics, "
	    "worker, "
	    "reload, log, version or help" },
	{ "nodes lsit", "error: nodes: no such command: lsit; did you mean "
	    "list?" },
	{ "nodes x", "error: nodes: no such command: x; there is list, show,"
	    " rename, tag, move, expire, logout or delete" },
	{ "nodes l", "error: nodes: l may be list or logout" },
	{ "nodes ''", "error: nodes: no such command: ; there is list, show,"
	    " rename, tag, move, expire, logout or delete" },
	{ "nodes", "error: nodes: must be followed by list, show, rename, "
	    "tag, move, expire, logout or delete" },
	{ "nodes rename laptop", "error: nodes rename: must be followed by "
	    "NAME" },
	{ "nodes list all", "error: nodes list: nothing more is expected: "
	    "all" },
	{ "users list --reusable", "error: users list: no such option: "
	    "--reusable" },
	{ "keys create --usre alice", "error: keys create: no such option: "
	    "--usre; did you mean --user?" },
	{ "keys create --user", "error: keys create: a value must follow: "
	    "--user" },
	{ "keys create -u", "error: keys create: a value must follow: -u" },
	{ "keys create --reusable=1 -u a", "error: keys create: takes no "
	    "value: --reusable" },
	{ "worker exposure --s 1", "error: worker exposure: may be several "
	    "options: --s" },
	{ "status -q", "error: status: no such option: -q" },
	{ "keys create", "error: keys create: whose nodes will they be? "
	    "--user or --tags is needed" },
	{ "keys create -u a -e soon", "error: keys create: \"soon\" is no "
	    "duration: 30m, 24h, 7d or never" },
	{ "keys create -u a -e 0", "error: keys create: \"0\" is no "
	    "duration: 30m, 24h, 7d or never" },
	{ "keys create -t a,,b", "error: keys create: \",b\" has an empty "
	    "tag" },
	{ "keys create -t a,", "error: keys create: \"\" has an empty tag" },
	{ "nodes tag laptop ''", "error: nodes tag: \"\" has an empty tag" },
	{ "nodes expire laptop tomorrow", "error: nodes expire: \"tomorrow\""
	    " is no time: 24h, 2027-01-31T12:00:00Z, now or never" },
	{ "nodes expire laptop 0", "error: nodes expire: \"0\" may mean now "
	    "or never: say \"now\" or \"never\"" },
	{ "nodes expire laptop 0h", "error: nodes expire: \"0h\" may mean now"
	    " or never: say \"now\" or \"never\"" },
	{ "nodes expire laptop 2027-13-01T00:00:00Z", "error: nodes expire: "
	    "\"2027-13-01T00:00:00Z\" is no time: 24h, 2027-01-31T12:00:00Z,"
	    " now or never" },
	{ "nodes expire laptop 9223372036854775807", "error: nodes expire: "
	    "\"9223372036854775807\" is no time: 24h, 2027-01-31T12:00:00Z, "
	    "now or never" },
	{ "nodes rename laptop ''", "error: nodes rename: a name has 1 to 63"
	    " octets of UTF-8" },
	{ "users add \xff", "error: users add: a name has 1 to 255 octets of"
	    " UTF-8" },
	{ "worker exposure --slot 0", "error: worker exposure: \"0\" is no "
	    "such number" },
	{ "worker exposure --slot 70000", "error: worker exposure: \"70000\""
	    " is no such number" },
	{ "worker exposure --generation 4", "error: worker exposure: \"4\" "
	    "is of which worker? --slot is needed" },
};

static void
test_lines(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		if (strcmp(result(lines[i].line), lines[i].want) != 0)
			fail_msg("%s\n\tgives\t%s\n\tnot\t%s", lines[i].line,
			    result(lines[i].line), lines[i].want);
}

/* 65 tags are one too many, and a long one too long. */
static void
test_tag_bounds(void **state)
{
	char line[512] = "nodes tag laptop a", *end;
	int i;

	(void)state;
	end = line + strlen(line);
	for (i = 0; i < 63; i++)
		(void)strlcat(line, ",a", sizeof(line));
	assert_non_null(strstr(result(line), "tags=[64 "));
	(void)strlcat(line, ",a", sizeof(line));
	assert_non_null(strstr(result(line), "is a tag too many"));
	memset(end, 'a', 250);
	end[250] = '\0';
	assert_non_null(strstr(result(line), "is no tag"));
	end[249] = '\0';
	assert_non_null(strstr(result(line), "tags=[1 "));
}

static void
test_help_and_names(void **state)
{
	char *words[] = { "keys", "create", "-h" };
	char *none[] = { "frob" };
	struct buf b = { 0 };
	struct command cmd;
	char why[64], *line, *next;

	(void)state;
	assert_int_equal(grammar_parse(&cmd, 3, words, why, sizeof(why)), 0);
	assert_int_equal(cmd.flags, F_HELP);
	assert_true(grammar_usage(&b, cmd.restc, cmd.rest));
	buf_u8(&b, 0);
	assert_non_null(strstr((char *)b.p, "  keys create [options] "));
	assert_non_null(strstr((char *)b.p, "  -u, --user USER "));
	assert_null(strstr((char *)b.p, "keys list"));
	buf_clear(&b);
	assert_false(grammar_usage(&b, 1, none));
	buf_clear(&b);
	assert_true(grammar_usage(&b, 0, NULL));
	buf_u8(&b, 0);
	assert_null(strstr((char *)b.p, "complete"));
	for (line = (char *)b.p; (next = strchr(line, '\n')) != NULL;
	    line = next + 1)
		assert_true(next - line <= 80);
	buf_free(&b);
	assert_string_equal(grammar_name(A_NODE_DELETE), "nodes delete");
	assert_string_equal(grammar_name(A_STATUS), "status");
	assert_string_equal(grammar_name(A_METRICS), "metrics");
	assert_string_equal(grammar_name(A_LOG_BRIEF), "log brief");
	assert_string_equal(grammar_name(A_NONE), "?");
}

static void
completes(const char *text, const char *want, enum arg arg)
{
	struct buf b = { 0 };
	char line[256], *word[WORDS], *p, *tab;
	struct buf got = { 0 };
	int n;

	(void)strlcpy(line, text, sizeof(line));
	n = split(line, word);
	assert_int_equal(grammar_complete(&b, n, word), arg);
	buf_u8(&b, 0);
	for (p = (char *)b.p; *p != '\0'; p = strchr(p, '\n') + 1) {
		assert_non_null(tab = strchr(p, '\t'));
		buf_put(&got, p, (size_t)(tab - p));
		buf_u8(&got, ' ');
	}
	buf_u8(&got, 0);
	assert_string_equal((char *)got.p, want);
	buf_free(&got);
	buf_free(&b);
}

static void
test_completion(void **state)
{
	(void)state;
	completes("''", "users keys nodes routes policy derp cert "
	    "status metrics worker reload "
	    "log version help ", ARG_NONE);
	completes("policy ''", "set get check test diff why history "
	    "rollback ", ARG_NONE);
	completes("routes approve ''", "", ARG_NODE);
	completes("routes approve n ''", "", ARG_NONE);
	completes("policy set --r", "--reason ", ARG_NONE);
	completes("n", "nodes ", ARG_NONE);
	completes("met", "metrics ", ARG_NONE);
	completes("metrics ''", "", ARG_NONE);
	completes("nodes ''", "list show rename tag move expire logout "
	    "delete ", ARG_NONE);
	completes("nodes l", "list logout ", ARG_NONE);
	completes("-j nodes show ''", "", ARG_NODE);
	completes("nodes move x ''", "", ARG_USER);
	completes("keys create --", "--user --reusable --ephemeral --expires "
	    "--tags --socket --json --yes --help ", ARG_NONE);
	completes("keys create --e", "--ephemeral --expires ", ARG_NONE);
	completes("keys create --user ''", "", ARG_USER);
	completes("keys create -u a", "", ARG_USER);
	completes("keys create --user alice -e ''", "", ARG_EXPIRES);
	completes("keys create --reusable --t", "--tags ", ARG_NONE);
	completes("nosuch ''", "", ARG_NONE);
	completes("keys delete ''", "", ARG_KEY);
}

static void
test_distance(void **state)
{
	(void)state;
	assert_int_equal(word_distance("", ""), 0);
	assert_int_equal(word_distance("", "abc"), 3);
	assert_int_equal(word_distance("kitten", "sitting"), 3);
	assert_int_equal(word_distance("ab", "ba"), 1);
	assert_int_equal(word_distance("noeds", "nodes"), 1);
	assert_int_equal(word_distance("abc", "abc"), 0);
	assert_true(word_near("stauts", "status"));
	assert_false(word_near("x", "y"));
	assert_false(word_near("reload", "rename"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_tag_bounds),
		cmocka_unit_test(test_help_and_names),
		cmocka_unit_test(test_completion),
		cmocka_unit_test(test_distance),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
