/* Policies as text: what they become, places and bounds of messages. */

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/pol.h"
#include "dbd/policy/lex.h"
#include "dbd/policy/who.h"
#include "regress/lib/polread.h"

#define nitems(x)	(sizeof(x) / sizeof((x)[0]))

#define ARENA		((size_t)256 * 1024 * 1024)

/* Places, and what else was found. */
static void
details(void **state)
{
	struct outcome o;

	(void)state;
	polread(&o, slice_str("{\n \"acls\": [\n  {\"action\":\"accept\", "
	    "\"src\": [\"tag:a\",\n   \"tag:b\"], \"dst\": [\"x:1\"]}]}"));
	assert_null(o.p);
	assert_string_equal(o.text.p, "src=tag not found: \"tag:a\"");
	assert_int_equal(o.err.pos.line, 3);
	assert_int_equal(o.err.pos.column, 31);
	assert_string_equal(o.detail.p,
	    "line 4, column 4: src=tag not found: \"tag:b\"\n"
	    "line 4, column 22: host not defined in policy: \"x\"\n");
	polread_done(&o);
	/* What makes no sense is not looked for in what cannot be read. */
	polread(&o, slice_str("{\"acls\":[1,\n2],"
	    "\"ssh\":[{\"action\":\"no\"}]}"));
	assert_string_equal(o.detail.p, "line 2, column 1: /acls/1 must be "
	    "an object, not a number\n");
	polread_done(&o);
	polread(&o, slice_str(TEST("\"src\":\"ann@\",\"proto\":\"icmp\","
	    "\"accept\":[\"10.9.0.0/24:22\",\"lan:1\",\"nas:*\","
	    "\"10.9.0.7/32:1\",\"autogroup:internet:443\"],"
	    "\"deny\":[\"nas:1-2\",\"nas\",\"a:b:1\",\"autogroup:x:1\"]")));
	assert_string_equal(o.text.p, "test(s) failed");
	assert_string_equal(o.detail.p,
	    "test 0: test protocol must be tcp, udp, sctp, or empty: "
	    "\"icmp\"\n"
	    "test 0, accept \"10.9.0.0/24:22\": test destination must be a "
	    "single host, not a CIDR range\n"
	    "test 0, accept \"lan:1\": test destination must be a single "
	    "host, not a CIDR range\n"
	    "test 0, accept \"nas:*\": test destination port must be a "
	    "single port\n"
	    "test 0, accept \"10.9.0.7/32:1\": test destination must be a "
	    "single host, not a CIDR range\n"
	    "test 0, accept \"autogroup:internet:443\": autogroup:internet "
	    "not valid as a test destination\n"
	    "test 0, deny \"nas:1-2\": test destination port must be a "
	    "single port\n"
	    "ann@ (icmp): error testing \"nas\": invalid destination "
	    "\"nas\": hostport must contain a colon\n"
	    "ann@ (icmp): error testing \"a:b:1\": invalid destination "
	    "\"a:b:1\": invalid alias format: \"a:b\"\n"
	    "ann@ (icmp): error testing \"autogroup:x:1\": invalid "
	    "destination \"autogroup:x:1\": invalid autogroup: got "
	    "\"autogroup:x\"\n");
	polread_done(&o);
	polread(&o, slice_str("{\"tests\":[{\"src\":\"ann@\"}],"
	    "\"sshTests\":[{},{\"src\":\"ann@\"}]}"));
	assert_string_equal(o.text.p, "test(s) failed");
	assert_string_equal(o.detail.p,
	    "test 0: test entry must have at least one of \"accept\" or "
	    "\"deny\"\n"
	    "sshTest 0: SSH tests entry must have a non-empty src\n"
	    "sshTest 0: SSH tests entry must have at least one dst\n"
	    "sshTest 1: SSH tests entry must have at least one dst\n");
	polread_done(&o);
}

static size_t
lines(const struct outcome *o)
{
	size_t i, n = 0;

	for (i = 0; i < o->detail.n; i++)
		n += o->detail.p[i] == '\n';
	return n;
}

/* Messages are bounded however much is wrong, and well formed. */
static void
bounded(void **state)
{
	struct buf b = { 0 };
	struct outcome o;
	size_t i;

	(void)state;
	buf_str(&b, "{\"acls\":[{\"action\":\"");
	for (i = 0; i < 100000; i++)
		buf_str(&b, "\303\244\342\200\250");
	buf_str(&b, "\",\"src\":[");
	for (i = 0; i < 50000; i++)
		buf_str(&b, "\"a:b\",");
	buf_str(&b, "]}]}");
	polread(&o, buf_slice_of(&b));
	assert_null(o.p);
	assert_true(o.text.n < 600);
	assert_true(utf8_ok((char *)o.text.p, o.text.n - 1));
	assert_true(lines(&o) == 63);
	polread_done(&o);
	buf_clear(&b);
	(void)memset(buf_room(&b, POLICY_TEXT_MAX + 1), ' ',
	    POLICY_TEXT_MAX + 1);
	b.n = POLICY_TEXT_MAX + 1;
	b.p[0] = '{';
	b.p[1] = '}';
	polread(&o, buf_slice_of(&b));
	assert_string_equal(o.text.p, "the policy is longer than 1 MB "
	    "(1048576 octets)");
	polread_done(&o);
	b.n--;
	polread(&o, buf_slice_of(&b));
	assert_non_null(o.p);
	polread_done(&o);
	buf_free(&b);
}

static void
same_prefix(const struct alias *al, const char *want)
{
	char text[PREFIX_TEXT];

	(void)prefix_print(text, &al->prefix);
	assert_string_equal(text, want);
}

static void
tree_of_rules(const struct policy *p)
{
	const struct acl *acl = &p->acl[0];
	const struct grant *g = &p->grant[0];

	assert_true(p->has_acls && p->has_grants);
	assert_int_equal(p->nacls, 1);
	assert_int_equal(acl->proto, 6);
	assert_int_equal(acl->pos.line, 6);
	assert_int_equal(acl->src.n, 3);
	assert_int_equal(acl->src.v[0].kind, AL_HOST);
	same_prefix(&acl->src.v[0], "10.9.0.0/16");
	assert_true(acl->src.v[1].slash);
	same_prefix(&acl->src.v[1], "192.168.0.0/24");
	assert_int_equal(acl->src.v[2].ag, AG_MEMBER);
	assert_int_equal(acl->ndst, 2);
	same_prefix(&acl->dst[0].alias, "fd00::/16");
	assert_int_equal(acl->dst[0].ports.n, 2);
	assert_int_equal(acl->dst[0].ports.v[1].first, 80);
	assert_int_equal(acl->dst[0].ports.v[1].last, 90);
	assert_int_equal(acl->dst[1].alias.kind, AL_USER);
	assert_true(slice_eqs(acl->dst[1].alias.text, "ben@"));
	assert_int_equal(acl->dst[1].ports.v[0].last, 65535);
	assert_int_equal(g->nip, 2);
	assert_int_equal(g->ip[0].proto, 17);
	assert_int_equal(g->ip[1].proto, 0);
	assert_int_equal(g->ip[1].ports.v[0].first, 47);
	assert_int_equal(g->napp, 1);
	assert_true(slice_eqs(g->app[0].name, "corp.example/cap"));
	assert_true(slice_eqs(g->app[0].json, "[{\"z\":1.0,\"a\":[]}]"));
	assert_int_equal(g->via.n, 1);
	assert_int_equal(g->src.v[0].kind, AL_DOMAIN);
	assert_int_equal(g->dst.v[0].kind, AL_STAR);
}

static void
tree_of_rest(const struct policy *p)
{
	assert_int_equal(p->nsshs, 2);
	assert_true(p->ssh[0].check);
	assert_int_equal(p->ssh[0].period, 5400);
	assert_true(slice_eqs(p->ssh[0].users.v[0], "root"));
	assert_true(slice_eqs(p->ssh[0].env.v[0], "LC_*"));
	assert_false(p->ssh[1].check);
	assert_int_equal(p->ssh[1].period, 12 * 3600);
	assert_int_equal(p->nattrs, 2);
	assert_true(slice_eqs(p->attr[0].attr.v[0], "funnel"));
	assert_int_equal(p->attr[1].target.v[0].kind, AL_STAR);
	assert_true(slice_eqs(p->attr[1].attr.v[0], "disable-ipv4"));
	assert_true(p->random_port);
	assert_int_equal(p->napprovers, 2);
	assert_false(p->approver[0].exit);
	assert_int_equal(p->approver[0].route.bits, 8);
	assert_true(p->approver[1].exit);
	assert_int_equal(p->approver[1].who.v[0].kind, AL_TAG);
	assert_int_equal(p->ngroups, 1);
	assert_true(slice_eqs(p->group[0].name, "group:ops"));
	assert_int_equal(p->group[0].member.v[0].kind, AL_USER);
	assert_int_equal(p->nowners, 1);
	assert_int_equal(p->ntests, 1);
	assert_int_equal(p->test[0].proto, 17);
	assert_true(p->test[0].src_bad);
	assert_int_equal(p->test[0].accept[0].port, 53);
	assert_int_equal(p->test[0].accept[0].alias.prefix.addr.family, 0);
	assert_int_equal(p->test[0].deny[0].alias.prefix.bits, 32);
	assert_int_equal(p->nssh_tests, 1);
	assert_true(slice_eqs(p->ssh_test[0].check.v[0], "root"));
}

static void
tree(void **state)
{
	static const char text[] = "{\n"
	    "\"disableIPv4\": true, \"randomizeClientPort\": true,\n"
	    "\"groups\": {\"group:ops\": [\"ann@\"]},\n"
	    "\"tagOwners\": {\"tag:gw\": [\"group:ops\"]},\n"
	    "\"acls\": [\n"
	    "{\"action\": \"accept\", \"proto\": \"TCP\",\n"
	    " \"src\": [\"lan\", \"192.168.0.9/24\", \"autogroup:member\"],\n"
	    " \"dst\": [\"[fd00:0:0::7]/16:22,80-90\", \"ben@:*\"]}],\n"
	    "\"hosts\": {\"lan\": \"10.9.8.7/16\", \"dns\": \"10.9.0.1\"},\n"
	    "\"grants\": [{\"src\": [\"user:*@corp.example\"],\n"
	    " \"dst\": [\"*\"], \"ip\": [\"udp:53\", \"47\"],\n"
	    " \"via\": [\"tag:gw\"], \"app\": {\"corp.example/cap\":\n"
	    " [ { \"z\": 1.0, /* kept */ \"a\": [], }, ]}}],\n"
	    "\"ssh\": [{\"action\": \"check\", \"src\": [\"ann@\"],\n"
	    " \"dst\": [\"tag:gw\"], \"users\": [\" root\"],\n"
	    " \"checkPeriod\": \"1h30m\", \"acceptEnv\": [\"LC_*\"]},\n"
	    " {\"action\": \"accept\", \"users\": [\"x\"]}],\n"
	    "\"nodeAttrs\": [{\"target\": [\"tag:gw\"],\n"
	    " \"attr\": [\"funnel\"]}],\n"
	    "\"autoApprovers\": {\"exitNode\": [\"tag:gw\"],\n"
	    " \"routes\": {\"10.0.0.0/8\": [\"ann@\"]}},\n"
	    "\"tests\": [{\"src\": \"a:b\", \"proto\": \"17\",\n"
	    " \"accept\": [\"ghost:53\"], \"deny\": [\"dns:53\"]}],\n"
	    "\"sshTests\": [{\"src\": \"ann@\", \"dst\": [\"tag:gw\"],\n"
	    " \"check\": [\"root\"]}],\n"
	    "}\n";
	struct outcome o;

	(void)state;
	polread(&o, slice_str(text));
	if (o.p == NULL)
		fail_msg("%s", (char *)o.text.p);
	tree_of_rules(o.p);
	tree_of_rest(o.p);
	polread_done(&o);
	polread(&o, slice_str("{\"acls\":[]}"));
	assert_true(o.p->has_acls && !o.p->has_grants);
	polread_done(&o);
	polread(&o, slice_str("{\"acls\":null}"));
	assert_true(!o.p->has_acls && !o.p->has_grants);
	polread_done(&o);
}

static void
durations(void **state)
{
	static const char *const t[][2] = {
		{ "200h", "200h0m0s" }, { "-1m", "-1m0s" }, { "0s", "0s" },
		{ "0", "0s" }, { "+5s", "5s" }, { "168h0m1s", "168h0m1s" },
		{ "90m", "1h30m0s" }, { "1.5h", "1h30m0s" },
		{ "1m1.5s", "1m1.5s" }, { "1500ms", "1.5s" },
		{ "1ms", "1ms" }, { "2.5us", "2.5\302\265s" },
		{ "3\302\265s", "3\302\265s" }, { "3\316\274s", "3\302\265s" },
		{ "7ns", "7ns" }, { ".5m", "30s" }, { "1.s", "1s" },
		{ "0.000000001s", "1ns" }, { "1h1h", "2h0m0s" },
		{ "2562047h47m16.854775807s",
		    "2562047h47m16.854775807s" },
		{ "-9223372036854775808ns", "-2562047h47m16.854775808s" }
	};
	struct slice unit;
	char text[40];
	int64_t ns;
	size_t i;

	(void)state;
	for (i = 0; i < nitems(t); i++) {
		if (lex_duration(slice_str(t[i][0]), &ns, &unit) !=
		    DURATION_OK)
			fail_msg("%s", t[i][0]);
		lex_duration_print(text, ns);
		assert_string_equal(text, t[i][1]);
	}
}

static void
no_durations(void **state)
{
	static const struct {
		const char	*in;
		enum lex_duration what;
		const char	*unit;
	} t[] = {
		{ "", DURATION_BAD, "" }, { "-", DURATION_BAD, "" },
		{ "5", DURATION_BARE, "" }, { "00", DURATION_BARE, "" },
		{ "1h5", DURATION_BARE, "" }, { "s", DURATION_BAD, "" },
		{ ".s", DURATION_BAD, "" }, { "1d", DURATION_UNIT, "d" },
		{ "1h ", DURATION_UNIT, "h " }, { " 1h", DURATION_BAD, "" },
		{ "1h-1m", DURATION_UNIT, "h-" },
		{ "1 h", DURATION_UNIT, " h" },
		{ "1ms2mss", DURATION_UNIT, "mss" },
		{ "1H", DURATION_UNIT, "H" }, { "0x1s", DURATION_UNIT, "x" },
		{ "2562048h", DURATION_BAD, "" },
		{ "9223372036854775808ns", DURATION_BAD, "" },
		{ "2562047h2562047h", DURATION_BAD, "" },
		{ "99999999999999999999d", DURATION_BAD, "" },
		{ "always", DURATION_BAD, "" }
	};
	struct slice unit;
	int64_t ns;
	size_t i;

	(void)state;
	for (i = 0; i < nitems(t); i++)
		if (lex_duration(slice_str(t[i].in), &ns, &unit) !=
		    t[i].what || (t[i].what == DURATION_UNIT &&
		    !slice_eqs(unit, t[i].unit)))
			fail_msg("%s", t[i].in);
}

static void
protocols(void **state)
{
	static const char *const name[] = { "icmp", "igmp", "ipv4", "tcp",
	    "egp", "igp", "udp", "gre", "esp", "ah", "ipv6-icmp", "sctp",
	    "fc" };
	static const uint8_t number[] = { 1, 2, 4, 6, 8, 9, 17, 47, 50, 51,
	    58, 132, 133 };
	char buf[4];
	uint8_t p;
	size_t i;

	(void)state;
	for (i = 0; i < nitems(name); i++) {
		assert_int_equal(lex_proto(slice_str(name[i]), false, &p),
		    PROTO_OK);
		assert_int_equal(p, number[i]);
		assert_string_equal(lex_proto_name(p, buf), name[i]);
	}
	assert_int_equal(lex_proto(slice_str("IP-in-IP"), true, &p), PROTO_OK);
	assert_int_equal(p, 4);
	assert_string_equal(lex_proto_name(200, buf), "200");
	assert_int_equal(lex_proto(slice_str("255"), true, &p), PROTO_OK);
	assert_int_equal(lex_proto(slice_str("-1"), true, &p), PROTO_UNKNOWN);
	assert_int_equal(lex_proto(slice_str(""), true, &p), PROTO_UNKNOWN);
}

static void
people(void **state)
{
	static const struct {
		const char *token;
		size_t n;
		uint64_t id;
	} t[] = {
		{ "ann@", 1, 1 }, { "ann@corp.example", 1, 1 },
		{ "ann", 1, 1 }, { "ANN@", 0, 0 }, { "mia@", 0, 0 },
		{ "twin@", 2, 4 }, { "idp-77@", 1, 3 }, { "@", 0, 0 },
		{ "", 0, 0 }, { "twin@two.example", 1, 6 },
		{ "ben@one.example", 1, 6 }, { "eve@@", 0, 0 }
	};
	struct arena *a = arena_new(ARENA);
	struct who *w = who_new(a, &polread_info);
	const struct pol_user *u;
	size_t i;

	(void)state;
	for (i = 0; i < nitems(t); i++) {
		assert_int_equal(who_find(w, slice_str(t[i].token), &u),
		    t[i].n);
		if (t[i].n > 0)
			assert_int_equal(u->id, t[i].id);
		else
			assert_null(u);
	}
	arena_free(a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(details),
		cmocka_unit_test(bounded),
		cmocka_unit_test(tree),
		cmocka_unit_test(durations),
		cmocka_unit_test(no_durations),
		cmocka_unit_test(protocols),
		cmocka_unit_test(people)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
