/*
 * Policies that are taken, and the words with which the others are refused
 * (policy.md 17).
 */

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "regress/lib/polread.h"

#define nitems(x)	(sizeof(x) / sizeof((x)[0]))

/*
 * policy.md 17.1, but for what only nodes tell: each text once or more; here
 * those of acls and grants.
 */
static void
service_rules(void **state)
{
	static const struct polread_row t[] = {
		{ ACL_SRC("\"tag:gone\""), "src=tag not found: \"tag:gone\"" },
		{ GRANT("\"src\":[\"tag:gone\"],\"dst\":[\"*\"],"
		    "\"ip\":[\"*\"]"), "src=tag not found: \"tag:gone\"" },
		{ ACL_DST("\"tag:gone:22\""),
		    "dst=\"tag:gone\": tag not found: \"tag:gone\"" },
		{ GRANT("\"src\":[\"*\"],\"dst\":[\"*\"],\"ip\":[\"*\"],"
		    "\"via\":[\"tag:gone\"]"), "tag \"tag:gone\" not found" },
		{ TARGET("\"tag:gone\""), "tag not found: \"tag:gone\"" },
		{ ACL_SRC("\"autogroup:self\""),
		    "\"autogroup:self\" not valid on the src side of a rule" },
		{ GRANT("\"src\":[\"autogroup:self\"],\"dst\":[\"*\"],"
		    "\"ip\":[\"*\"]"),
		    "\"autogroup:self\" not valid on the src side of a rule" },
		{ ACL("\"src\":[\"ann@\",\"tag:db\"],"
		    "\"dst\":[\"autogroup:self:*\"]"),
		    "autogroup:self can only be used with users, groups, or "
		    "supported autogroups" },
		{ GRANT("\"src\":[\"*\"],\"dst\":[\"autogroup:self\"],"
		    "\"ip\":[\"*\"]"),
		    "autogroup:self can only be used with users, groups, or "
		    "supported autogroups" },
		{ "{\"acls\":[{\"action\":\"reject\",\"src\":[],\"dst\":[]}]}",
		    "action=\"reject\" is not supported" },
		{ ACL_DST("\"autogroup:self\""), "dst=\"autogroup:self\": "
		    "port range \"self\": invalid first integer" },
		{ ACL_DST("\"tag:db:http\""), "dst=\"tag:db:http\": "
		    "port range \"http\": invalid first integer" },
		{ GRANT_IP("\"tcp\""),
		    "port range \"tcp\": invalid first integer" },
		{ GRANT_IP("\"udp:0\""), "port range \"0\": first port must "
		    "be >0, or use '*' for wildcard" },
		{ GRANT("\"src\":[\"*\"],\"dst\":[\"*\"]"),
		    "ip and app can not both be empty" },
		{ GRANT("\"src\":[\"*\"],\"dst\":[\"*\"],\"ip\":[],"
		    "\"app\":{}"), "ip and app can not both be empty" },
		{ GRANT_APP("\"https://corp.example/x\":[]"), "capability "
		    "name must have the form {domain}/{path}" },
		{ GRANT_APP("\"tailscale.com/cap/relay-target\":[]"),
		    "capability name must not be in the tailscale.com "
		    "domain" },
		{ GRANT_APP("\"tailscale.com/x\":[]"), "capability name must "
		    "not be in the tailscale.com domain" },
		{ GRANT("\"src\":[\"*\"],\"dst\":[\"autogroup:internet\"],"
		    "\"app\":{\"corp.example/x\":[]}"),
		    "cannot use app grants with autogroup:internet" },
		{ GRANT_DST("\"autogroup:danger-all\""),
		    "cannot use autogroup:danger-all as a dst" },
		{ GRANT_DST("\"0.0.0.0/0\""), "dst \"0.0.0.0/0\": to allow "
		    "all IP addresses, use \"*\" or \"autogroup:internet\"" },
		{ GRANT_DST("\"::/0\",\"0.0.0.0/0\""), "dst \"::/0\": to "
		    "allow all IP addresses, use \"*\" or "
		    "\"autogroup:internet\"" },
		{ GRANT("\"src\":[\"*\"],\"dst\":[\"*\"],\"ip\":[\"*\"],"
		    "\"via\":[\"group:ops\"]"), "via can only be a tag" }
	};

	(void)state;
	polread_all(t, nitems(t));
}

static void
service_definitions(void **state)
{
	static const struct polread_row t[] = {
		{ TARGET("\"%none%\""), "\"%none%\": invalid address" },
		{ ATTR("\"target\":[\"*\"],\"ipPool\":"
		    "[\"100.100.100.0/26\"]"), "IPPool(100.100.100.0/26): "
		    "network within reserved range" },
		{ "{\"groups\":{\"group:a\":[\"group:b\"],"
		    "\"group:b\":[\"ann@\",\"group:a\"]}}",
		    "groups[\"group:b\"]: \"group:a\": group members cannot "
		    "be recursive" },
		{ "{\"tagOwners\":{\"tag:\303\244\":[]}}",
		    "tagOwners[\"tag:\303\244\"]: tag names must start with "
		    "a letter, after 'tag:'" }
	};

	(void)state;
	polread_all(t, nitems(t));
}

static void
service_ssh_and_tests(void **state)
{
	static const struct polread_row t[] = {
		{ SSH("\"src\":[\"ann@\"],\"dst\":[\"tag:db\"],"
		    "\"users\":[\"root\"]"), "action must be specified" },
		{ SSH("\"action\":\" \",\"users\":[\"root\"]"),
		    "action must be specified" },
		{ SSH("\"action\":\"Check\",\"users\":[\"root\"]"),
		    "\"Check\" is not a valid action" },
		{ SSH("\"action\":\"accept\""), "users must be specified" },
		{ SSH("\"action\":\"accept\",\"users\":null"),
		    "users must be specified" },
		{ SSH_USERS("\"root\",\" \""), "user \"\" is not valid" },
		{ SSH_USERS("\"root\",\"*\""), "user \"*\" is not valid" },
		{ SSH("\"action\":\"accept\",\"users\":[\"root\"],"
		    "\"acceptEnv\":[\"LANG\",\"\"]"),
		    "acceptEnv values cannot be empty" },
		{ SSH_CHECK("\"soon\""), "time: invalid duration \"soon\"" },
		{ SSH_CHECK("\"-90s\""),
		    "checkPeriod -1m30s must be a positive duration" },
		{ SSH_CHECK("\"10081m\""),
		    "checkPeriod 168h1m0s is above the max (168h)" },
		{ SSH_DST("\"nas\""), "invalid dst \"nas\"" },
		{ SSH_SRC("\"user:*@else.example\""), "[ssh] else.example is "
		    "not associated with this Tailnet and cannot be used in "
		    "user:*@<domain> expressions" },
		{ SSH_USERS("\"localpart:*@else.example\""), "else.example "
		    "is not associated with this Tailnet and cannot be used "
		    "in user:*@<domain> expressions" },
		{ SSH_USERS("\"localpart:*@*\""), "* is not associated with "
		    "this Tailnet and cannot be used in user:*@<domain> "
		    "expressions" },
		{ SSHTEST("\"10.9.1.0/24\""), "SSH tests dst contains "
		    "disallowed element \"10.9.1.0/24\"" },
		{ SSHTEST("\"lan\""), "SSH tests dst contains disallowed "
		    "element \"lan\"" },
		{ SSHTEST("\"autogroup:internet\""), "SSH tests dst contains "
		    "disallowed element \"autogroup:internet\"" },
		{ SSHTEST("\"tag:db:22\""), "SSH tests dst contains unknown "
		    "tag \"tag:db:22\"" },
		{ TEST("\"src\":\"ann@\""), "test(s) failed" }
	};

	(void)state;
	polread_all(t, nitems(t));
}

/*
 * policy.md 17.2 and the texts of the sections before it, from here to
 * other_fields(); first the autogroups.
 */
static void
other_autogroups(void **state)
{
	static const struct polread_row t[] = {
		{ ACL_SRC("\"autogroup:internet\""), "autogroup:internet can "
		    "only be used in ACL destinations" },
		{ SSH_SRC("\"autogroup:internet\""), "autogroup:internet can "
		    "only be used in ACL destinations" },
		{ SSH_DST("\"autogroup:internet\""), "autogroup:internet can "
		    "only be used in ACL destinations" },
		{ ACL_SRC("\"autogroup:nonroot\""), "autogroup not supported "
		    "for ACL sources: \"autogroup:nonroot\", can be "
		    "[autogroup:member autogroup:tagged "
		    "autogroup:danger-all]" },
		{ ACL_DST("\"autogroup:nonroot:*\""), "autogroup not "
		    "supported for ACL destinations: \"autogroup:nonroot\", "
		    "can be [autogroup:internet autogroup:member "
		    "autogroup:tagged autogroup:self]" },
		{ GRANT_DST("\"autogroup:else\""), "autogroup not supported "
		    "for ACL destinations: \"autogroup:else\", can be "
		    "[autogroup:internet autogroup:member autogroup:tagged "
		    "autogroup:self]" },
		{ ACL_DST("\"autogroup:else:1\""), "invalid autogroup: got "
		    "\"autogroup:else\", must be one of [autogroup:internet "
		    "autogroup:member autogroup:nonroot autogroup:tagged "
		    "autogroup:self autogroup:danger-all]" },
		{ SSH_SRC("\"autogroup:danger-all\""), "autogroup not "
		    "supported for SSH sources: \"autogroup:danger-all\", "
		    "can be [autogroup:member autogroup:tagged]" },
		{ SSH_DST("\"autogroup:nonroot\""), "autogroup not supported "
		    "for SSH destinations: \"autogroup:nonroot\", can be "
		    "[autogroup:member autogroup:tagged autogroup:self]" },
		{ TARGET("\"autogroup:self\""), "nodeAttrs target does not "
		    "support this autogroup: \"autogroup:self\", can be "
		    "[autogroup:member autogroup:tagged]" }
	};

	(void)state;
	polread_all(t, nitems(t));
}

static void
other_definitions(void **state)
{
	static const struct polread_row t[] = {
		{ ATTR("\"target\":[\"*\"],\"ipPool\":[\"10.0.0.0/24\"]"),
		    "nodeAttrs ipPool must be within 100.64.0.0/10: "
		    "\"10.0.0.0/24\"" },
		{ ATTR("\"target\":[\"*\"],\"ipPool\":[\"100.115.0.0/16\"]"),
		    "nodeAttrs ipPool must not overlap reserved Tailscale "
		    "ranges: \"100.115.0.0/16\" overlaps "
		    "\"100.115.92.0/23\"" },
		{ ATTR("\"target\":[\"*\"],\"ipPool\":[\"pool\"]"),
		    "IPPool(pool): invalid prefix" },
		{ TARGET("\"mia@\""), "nodeAttrs target \"mia@\": user not "
		    "found: token \"mia@\"" },
		{ SSH_SRC("\"tag:gone\""), "tag not found: \"tag:gone\"" },
		{ SSH_DST("\"tag:gone\""), "tag not found: \"tag:gone\"" },
		{ GRANT_DST("\"tag:gone\""), "tag not found: \"tag:gone\"" },
		{ "{\"tagOwners\":{\"tag:a\":[\"tag:b\"]}}",
		    "tag not found: \"tag:b\"" },
		{ "{\"autoApprovers\":{\"exitNode\":[\"tag:b\"]}}",
		    "tag not found: \"tag:b\"" },
		{ "{\"autoApprovers\":{\"routes\":{\"10.0.0.0/8\":"
		    "[\"group:b\"]}}}",
		    "group not defined in policy: \"group:b\"" },
		{ "{\"autoApprovers\":{\"exitNode\":[\"*\"]}}",
		    "invalid auto approver format: \"*\"" },
		{ "{\"autoApprovers\":{\"routes\":{\"10.0.0.1\":[]}}}",
		    "autoApprovers.routes: invalid prefix \"10.0.0.1\"" },
		{ "{\"tagOwners\":{\"tag:a\":[\"10.1.1.1\"]}}",
		    "invalid owner format: \"10.1.1.1\"" },
		{ "{\"tagOwners\":{\"a\":[]}}",
		    "tag must start with 'tag:', got: \"a\"" },
		{ "{\"groups\":{\"ops\":[]}}",
		    "group must start with 'group:', got: \"ops\"" },
		{ "{\"groups\":{\"group:a\":\"ann@\"}}", "group value must "
		    "be an array of users: group \"group:a\" got string: "
		    "\"ann@\"" },
		{ "{\"groups\":{\"group:a\":{}}}", "group value must be an "
		    "array of users: group \"group:a\" got an object" },
		{ "{\"groups\":{\"group:a\":[3]}}", "invalid group member "
		    "type: group \"group:a\" expected string but got a "
		    "number" },
		{ "{\"groups\":{\"group:a\":[\"ann\"]}}",
		    "username must contain @, got: \"ann\"" },
		{ "{\"hosts\":{\"a:b\":\"10.0.0.1\"}}",
		    "invalid hostname: \"a:b\"" },
		{ "{\"hosts\":{\"a\":\"10.0.0\"}}", "hostname contains "
		    "invalid IP address: hostname \"a\" address "
		    "\"10.0.0\"" }
	};

	(void)state;
	polread_all(t, nitems(t));
}

static void
other_names_and_ports(void **state)
{
	static const struct polread_row t[] = {
		{ ACL_SRC("\"printer\""),
		    "host not defined in policy: \"printer\"" },
		{ ACL_SRC("\"group:b\""),
		    "group not defined in policy: \"group:b\"" },
		{ ACL_SRC("\"a:b\""), "invalid alias format: \"a:b\"" },
		{ ACL_SRC("\"\""), "host not defined in policy: \"\"" },
		{ ACL_SRC("\"10.0.0.0/33:1\""),
		    "invalid alias format: \"10.0.0.0/33:1\"" },
		{ ACL_SRC("\"user:*@else.example\""), "else.example is not "
		    "associated with this Tailnet and cannot be used in "
		    "user:*@<domain> expressions" },
		{ ACL_SRC("\"ann@\"],\"proto\":\"*\",\"x\":[\"\""),
		    "unknown field: \"x\"" },
		{ ACL_DST("\"10.9.0.7\""), "hostport must contain a colon" },
		{ ACL_DST("\":22\""),
		    "input cannot start with a colon character" },
		{ ACL_DST("\"nas:\""),
		    "input cannot end with a colon character" },
		{ ACL_DST("\"[10.9.0.7]:22\""), "square brackets are only "
		    "valid around IPv6 addresses" },
		{ ACL_DST("\"[fd00::1\""), "square brackets are only "
		    "valid around IPv6 addresses" },
		{ ACL_DST("\"[fd00::1]x:22\""), "square brackets are only "
		    "valid around IPv6 addresses" },
		{ ACL_DST("\"[fd00::1]\""), "hostport must contain a colon" },
		{ ACL_DST("\"[fd00::1]:\""),
		    "input cannot end with a colon character" },
		{ ACL_DST("\"fd00::1\""), "invalid alias format: \"fd00:\"" },
		{ ACL_DST("\"[fd00::1]/129:22\""),
		    "invalid alias format: \"fd00::1/129\"" },
		{ ACL_DST("\"[fd00::1]:*:\""), "dst=\"[fd00::1]:*:\": "
		    "port range \"*:\": invalid first integer" },
		{ ACL_DST("\"nas:70000\""), "dst=\"nas:70000\": port range "
		    "\"70000\": port number out of range" },
		{ ACL_DST("\"nas:9-8\""), "dst=\"nas:9-8\": port range "
		    "\"9-8\": invalid port range: first port is greater "
		    "than last port" },
		{ ACL_DST("\"nas:-1\""), "dst=\"nas:-1\": port range \"-1\": "
		    "invalid port range format" },
		{ ACL_DST("\"nas:1-2-3\""), "dst=\"nas:1-2-3\": port range "
		    "\"1-2-3\": invalid port range format" },
		{ ACL_DST("\"nas:80, 81\""), "dst=\"nas:80, 81\": port range "
		    "\"80, 81\": invalid first integer" },
		{ ACL_DST("\"nas:80,\""), "dst=\"nas:80,\": port range "
		    "\"80,\": invalid first integer" }
	};

	(void)state;
	polread_all(t, nitems(t));
}

static void
other_protocols_and_actions(void **state)
{
	static const struct polread_row t[] = {
		{ GRANT_IP("\"tcp:80:81\""), "expected only one colon in "
		    "Internet protocol and port type, got: [tcp 80 81](3)" },
		{ GRANT_IP("\"TCP:80\""), "invalid protocol number: \"TCP\" "
		    "must be a known protocol name or valid protocol number "
		    "0-255" },
		{ ACL("\"proto\":\"*\",\"src\":[],\"dst\":[]"), "proto name "
		    "\"*\" not known; use protocol number 0-255 or protocol "
		    "name (icmp, tcp, udp, etc.)" },
		{ ACL("\"proto\":\"06\",\"src\":[],\"dst\":[]"),
		    "leading 0 not permitted in protocol number: \"06\"" },
		{ ACL("\"proto\":\"0\",\"src\":[],\"dst\":[]"),
		    "leading 0 not permitted in protocol number: \"0\"" },
		{ ACL("\"proto\":\"tpc\",\"src\":[],\"dst\":[]"), "invalid "
		    "protocol number: \"tpc\" must be a known protocol name "
		    "or valid protocol number 0-255" },
		{ ACL("\"proto\":\"256\",\"src\":[],\"dst\":[]"),
		    "protocol number out of range (0-255): 256" },
		{ ACL("\"proto\":\"ICMP\",\"src\":[\"*\"],"
		    "\"dst\":[\"nas:22\"]"), "protocol does not support "
		    "specific ports: \"icmp\", only \"*\" is allowed" },
		{ ACL("\"proto\":\"99\",\"src\":[\"*\"],"
		    "\"dst\":[\"nas:*,22\"]"), "dst=\"nas:*,22\": port range "
		    "\"*,22\": invalid first integer" },
		{ ACL("\"proto\":\"99\",\"src\":[\"*\"],"
		    "\"dst\":[\"nas:*\",\"nas:1-9\"]"), "protocol does not "
		    "support specific ports: \"99\", only \"*\" is allowed" },
		{ "{\"acls\":[{\"src\":[],\"dst\":[]}]}",
		    "action=\"\" is not supported" },
		{ "{\"acls\":[{\"action\":\"accepted\"}]}",
		    "action=\"accepted\" is not supported" },
		{ "{\"acls\":[{\"action\":\" accept\"}]}",
		    "action=\" accept\" is not supported" },
		{ GRANT_APP("\"nothing\":[]"), "capability name must have "
		    "the form {domain}/{path}" },
		{ GRANT_DST("\"all\""), "dst \"all\": to allow all IP "
		    "addresses, use \"*\" or \"autogroup:internet\"" }
	};

	(void)state;
	polread_all(t, nitems(t));
}

static void
other_ssh(void **state)
{
	static const struct polread_row t[] = {
		{ SSH_DST("\"*\""), "wildcard (*) is not supported as SSH "
		    "destination; use 'autogroup:member' for user-owned "
		    "devices, 'autogroup:tagged' for tagged devices, or "
		    "specific tags/users" },
		{ SSH_DST("\"group:ops\""), "invalid dst \"group:ops\"" },
		{ SSH_DST("\"10.9.0.7\""), "invalid dst \"10.9.0.7\"" },
		{ SSH_SRC("\"*\""), "alias not supported for SSH source: the "
		    "wildcard *, \"*\"" },
		{ SSH_SRC("\"10.9.0.7\""), "alias not supported for SSH "
		    "source: an address or prefix, \"10.9.0.7\"" },
		{ SSH_SRC("\"nas\""), "alias not supported for SSH source: a "
		    "host, \"nas\"" },
		{ SSH_BOTH("\"ann@\",\"ben@\"", "\"ann@\""), "user "
		    "destination requires source to contain only that same "
		    "user \"ann@\"; use autogroup:self instead for "
		    "same-user SSH access" },
		{ SSH_BOTH("\"autogroup:member\"", "\"ann@\""), "user "
		    "destination requires source to contain only that same "
		    "user \"ann@\"; use autogroup:self instead for "
		    "same-user SSH access" },
		{ SSH_BOTH("\"tag:db\"", "\"ann@\""), "tags in SSH source "
		    "cannot access user-owned devices (ann@); use "
		    "autogroup:tagged or specific tags as destinations "
		    "instead" },
		{ SSH_BOTH("\"autogroup:tagged\"", "\"autogroup:self\""),
		    "autogroup:self destination requires source to contain "
		    "only users or groups, not tags or autogroup:tagged" },
		{ SSH_BOTH("\"tag:db\"", "\"autogroup:member\""), "tags in "
		    "SSH source cannot access autogroup:member (user-owned "
		    "devices)" },
		{ SSH("\"action\":\"accept\",\"users\":[\"root\"],"
		    "\"checkPeriod\":\"1h\""), "checkPeriod is only valid "
		    "with action \"check\"" }
	};

	(void)state;
	polread_all(t, nitems(t));
}

static void
other_fields(void **state)
{
	static const struct polread_row t[] = {
		{ "{\"groups\":{\"group:a\":[\"twin@\"]}}", "multiple users "
		    "found: token \"twin@\" found: 4 twin, 5 twin" },
		{ ACL_SRC("\"twin@\""), "multiple users found: token "
		    "\"twin@\" found: 4 twin, 5 twin" },
		{ "{\"hots\":{}}", "unknown field: \"hots\"" },
		{ GRANT("\"ports\":[]"), "unknown field: \"ports\"" },
		{ "{\"ssh\":[{\"#x\":1}]}", "unknown field: \"#x\"" },
		{ "{\"acls\":[],\"A_C_L_S\":[]}",
		    "duplicate field: \"A_C_L_S\"" },
		{ "{\"acls\":[{\"action\":\"accept\",\"src\":[],"
		    "\"users\":[]}]}", "duplicate field: \"users\"" },
		{ "{\"tests\":[{\"accept\":[],\"allow\":[]}]}",
		    "duplicate field: \"allow\"" }
	};

	(void)state;
	polread_all(t, nitems(t));
}

/* What cannot be done here and would narrow a rule is refused aloud. */
static void
no_silent_widening(void **state)
{
	static const struct polread_row t[] = {
		{ GRANT_IP("\"*\"],\"srcPosture\":[\"posture:a\""),
		    "srcPosture is not supported" },
		{ ACL_SRC("\"*\"],\"srcPosture\":[\"posture:a\""),
		    "srcPosture is not supported" },
		{ SSH_SRC("\"ann@\"],\"srcPosture\":[\"posture:a\""),
		    "srcPosture is not supported" },
		{ "{\"defaultSrcPosture\":[\"posture:a\"]}",
		    "defaultSrcPosture is not supported" },
		{ SSH_SRC("\"ann@\"],\"recorder\":[\"tag:db\""),
		    "recorder is not supported" },
		{ SSH("\"action\":\"accept\",\"users\":[\"root\"],"
		    "\"enforceRecorder\":true"),
		    "enforceRecorder is not supported" },
		{ ACL_SRC("\"ipset:a\""), "invalid alias format: "
		    "\"ipset:a\"" },
		{ ACL_DST("\"svc:a:443\""), "invalid alias format: "
		    "\"svc:a\"" },
		{ "{\"OneCGNATRoute\":\"always\"}", "OneCGNATRoute must be "
		    "\"\", \"mac-always\" or \"mac-never\", got: "
		    "\"always\"" },
		{ "{\"postures\":{\"a\":[]}}", "a name must start with "
		    "'posture:', got: \"a\"" },
		{ "{\"ipsets\":{\"a\":[]}}", "a name must start with "
		    "'ipset:', got: \"a\"" }
	};

	(void)state;
	polread_all(t, nitems(t));
}

static void
wrong_types(void **state)
{
	static const struct polread_row t[] = {
		{ "[]", "line 1, column 1: the policy must be an object, "
		    "not a list" },
		{ "null", "line 1, column 1: the policy must be an object, "
		    "not null" },
		{ "{\"acls\":\n  {}}", "line 2, column 3: /acls must be a "
		    "list, not an object" },
		{ "{\"acls\":[null]}", "line 1, column 10: /acls/0 must be "
		    "an object, not null" },
		{ "{\"acls\":[{\"action\":\"accept\",\n\"src\":[\"*\"],\n"
		    "\"dst\":[\"*:*\",\n 5]}]}", "line 4, column 2: "
		    "/acls/0/dst/1 must be a string, not a number" },
		{ "{\"acls\":[{\"action\":true}]}", "line 1, column 20: "
		    "/acls/0/action must be a string, not true or false" },
		{ "{\"hosts\":{\"a\":1}}", "line 1, column 15: /hosts/a "
		    "must be a string, not a number" },
		{ "{\"hosts\":{\"a\":null}}", "line 1, column 15: /hosts/a "
		    "must be a string, not null" },
		{ "{\"tagOwners\":{\"tag:a\":\"b@\"}}", "line 1, column 23: "
		    "/tagOwners/tag:a must be a list, not a string" },
		{ "{\"grants\":[{\"app\":{\"a.b/c\":\"x\"}}]}", "line 1, "
		    "column 28: /grants/0/app/a.b/c must be a list, not a "
		    "string" },
		{ "{\"randomizeClientPort\":1}", "line 1, column 24: "
		    "/randomizeClientPort must be true or false, not a "
		    "number" },
		{ "{\"tests\":[7]}", "line 1, column 11: /tests/0 must be "
		    "an object, not a number" },
		{ "{\"nodeAttrs\":[{\"app\":{\"x\":1}}]}", "line 1, column "
		    "27: /nodeAttrs/0/app/x must be a list, not a number" },
		{ "{\"acls\":[],}x", "hujson: line 1, column 13: something "
		    "follows the value" }
	};

	(void)state;
	polread_all(t, nitems(t));
}

/* Odd, and fine. */
static void
accepted(void **state)
{
	static const struct polread_row t[] = {
		{ "", NULL }, { "{}", NULL },
		{ "// all\n{/* x */}\n", NULL },
		{ "{\"acls\":null,\"ssh\":null,\"hosts\":null,"
		    "\"randomizeClientPort\":null}", NULL },
		{ "{\"Tag_Owners\":{},\"AUTO-APPROVERS\":{\"Exit_Node\":[]},"
		    "\"SSHTESTS\":[]}", NULL },
		{ ACL("\"#note\":{\"a\":[1]},\"src\":[],\"dst\":[]"), NULL },
		{ ACL("\"users\":[\"*\"],\"ports\":[\"*:*\"]"), NULL },
		{ ACL("\"proto\":null"), NULL },
		{ ACL("\"proto\":\"\",\"src\":[\"*\"],\"dst\":[\"nas:22\"]"),
		    NULL },
		{ ACL("\"proto\":\"sctp\",\"src\":[\"*\"],"
		    "\"dst\":[\"nas:22\"]"), NULL },
		{ ACL("\"src\":[\"*\",\"ann@\"],"
		    "\"dst\":[\"autogroup:self:0-9\"]"), NULL },
		{ ACL("\"src\":[\"autogroup:members\",\"group:ops\"],"
		    "\"dst\":[\"autogroup:self:*\"]"), NULL },
		{ ACL_SRC("\"autogroup:danger-all\",\" tag:db\\t\\n\","
		    "\"10.9.0.7/8\",\"fe80::1%eth0\",\"nobody@\""), NULL },
		{ ACL_DST("\"fd00::1:80\",\"[fd00::1]:80\",\"[FD00::]/8:*\","
		    "\"lan:1,2-3,0-4\",\"10.9.1.1/16:080\",\"group:ops:*\","
		    "\"ann@:22\",\"autogroup:internet:*\",\"*:*\""), NULL },
		{ GRANT_IP("\"*\",\"47\",\"gre:*\",\"icmp:1-2\",\"255:9\","
		    "\"tcp:*\""), NULL },
		{ GRANT_APP("\"tailscale.com/cap/drive\":[{\"a\":1}],"
		    "\"tailscale.com/cap/secrets\":null,"
		    "\"corp.example/a/b/c\":[]"), NULL },
		{ GRANT("\"ip\":[\"*\"]"), NULL },
		{ GRANT("\"ip\":[\"*\"],\"srcPosture\":[],\"src\":[],"
		    "\"dst\":[]"), NULL },
		{ SSH("\"action\":\" accept\\n\",\"users\":[\" root \"],"
		    "\"acceptEnv\":null,\"checkPeriod\":null"), NULL },
		{ SSH_USERS("\"localpart:\",\"localpart:x\",\"group:ops\","
		    "\"localpart:*@\",\"autogroup:self\",\"\360\237\246\212\","
		    "\"localpart:*@corp.example\""), NULL },
		{ SSH_CHECK("\"always\""), NULL },
		{ SSH_CHECK("\"0s\""), NULL },
		{ SSH_CHECK("\"168h\""), NULL }, { SSH_CHECK("\"0\""), NULL },
		{ SSH_BOTH("\"ann@\",\" ann@ \"", "\"ann@\",\"tag:db\""),
		    NULL },
		{ SSH_BOTH("", "\"ann@\""), NULL },
		{ SSH_BOTH("\"tag:db\"", "\"autogroup:tagged\""), NULL },
		{ TARGET("\"*\",\"nas\",\"10.0.0.0/8\",\"ann@\",\"group:ops\","
		    "\"autogroup:admin\",\"user:*@corp.example\""), NULL },
		{ ATTR("\"target\":[],\"attr\":[\"https://a?b\",\"\"]"), NULL },
		{ ATTR("\"target\":[\"*\"],\"ipPool\":[\"100.64.8.0/24\"],"
		    "\"app\":{\"a\":[{}]}"), NULL },
		{ "{\"tagOwners\":{\"tag:a\":[\"tag:b\",\"tag:a\"],"
		    "\"tag:b\":[\"tag:a\",\"autogroup:member\"],"
		    "\"tag:c\":null}}", NULL },
		{ "{\"autoApprovers\":{\"routes\":{\"0.0.0.0/0\":[\"ann@\"],"
		    "\"10.1.2.3/8\":[\"autogroup:tagged\"],\"::/0\":null},"
		    "\"services\":{\"svc:a\":[\"ann@\"]}}}", NULL },
		{ "{\"groups\":{\"group:a\":[],\"group:b\":null,"
		    "\"group:c\":[\"x@y\"]}}", NULL },
		{ "{\"postures\":{\"posture:a\":[\"node:os == 'linux'\"]},"
		    "\"defaultSrcPosture\":[],\"ipsets\":{\"ipset:a\":[\"*\"]"
		    "},\"disableIPv4\":false,\"OneCGNATRoute\":\"mac-never\","
		    "\"derpMap\":{\"Regions\":{\"1\":null}}}", NULL },
		{ TEST("\"src\":\"nobody\",\"accept\":[\"nas:22\"],"
		    "\"proto\":\"6\",\"srcPostureAttrs\":{\"a\":1}"), NULL },
		{ TEST("\"allow\":[\"[fd00::1]:22\",\"phantom:1\","
		    "\"tag:gone:2\",\"autogroup:self:22\"]"), NULL },
		{ SSHTEST("\"nas\",\"10.9.0.7\",\"ben@\",\"autogroup:self\""),
		    NULL },
		{ "{\"ssh\":[],\"acls\":[{\"action\":\"accept\",\"src\":"
		    "[\"idp-77@\",\"twin@two.example\",\"ben@one.example\"],"
		    "\"dst\":[]}]}", NULL }
	};

	(void)state;
	polread_all(t, nitems(t));
}

/* The order of policy.md 16: what is reported of several faults. */
static void
first_fault(void **state)
{
	static const struct polread_row t[] = {
		/* What cannot be read comes before what makes no sense. */
		{ "{\"acls\":[{\"action\":\"accept\",\"src\":[\"tag:x\"],"
		    "\"dst\":[]}],\"grants\":[{\"ip\":[\"x\"]}]}",
		    "port range \"x\": invalid first integer" },
		/* acls, ssh, grants, nodeAttrs, tagOwners, approvers */
		{ "{\"autoApprovers\":{\"exitNode\":[\"tag:6\"]},"
		    "\"tagOwners\":{\"tag:a\":[\"tag:5\"]},"
		    "\"nodeAttrs\":[{\"target\":[\"tag:4\"]}],"
		    "\"grants\":[{\"ip\":[\"*\"],\"src\":[\"tag:3\"]}],"
		    "\"ssh\":[{\"action\":\"no\"}],"
		    "\"acls\":[{\"action\":\"accept\",\"src\":[\"tag:1\"]}]}",
		    "src=tag not found: \"tag:1\"" },
		{ "{\"autoApprovers\":{\"exitNode\":[\"tag:6\"]},"
		    "\"tagOwners\":{\"tag:a\":[\"tag:5\"]},"
		    "\"nodeAttrs\":[{\"target\":[\"tag:4\"]}],"
		    "\"grants\":[{\"ip\":[\"*\"],\"src\":[\"tag:3\"]}],"
		    "\"ssh\":[{\"action\":\"no\"}]}",
		    "\"no\" is not a valid action" },
		{ "{\"autoApprovers\":{\"exitNode\":[\"tag:6\"]},"
		    "\"tagOwners\":{\"tag:a\":[\"tag:5\"]},"
		    "\"nodeAttrs\":[{\"target\":[\"tag:4\"]}],"
		    "\"grants\":[{\"ip\":[\"*\"],\"src\":[\"tag:3\"]}]}",
		    "src=tag not found: \"tag:3\"" },
		{ "{\"autoApprovers\":{\"exitNode\":[\"tag:6\"]},"
		    "\"tagOwners\":{\"tag:a\":[\"tag:5\"]},"
		    "\"nodeAttrs\":[{\"target\":[\"tag:4\"]}]}",
		    "tag not found: \"tag:4\"" },
		{ "{\"autoApprovers\":{\"exitNode\":[\"tag:6\"]},"
		    "\"tagOwners\":{\"tag:a\":[\"tag:5\"]}}",
		    "tag not found: \"tag:5\"" },
		{ "{\"tests\":[{}],\"groups\":{\"group:a\":[\"twin@\"]},"
		    "\"sshTests\":[{}],"
		    "\"autoApprovers\":{\"exitNode\":[\"tag:6\"]}}",
		    "tag not found: \"tag:6\"" },
		{ "{\"tests\":[{}],\"groups\":{\"group:a\":[\"twin@\"]}}",
		    "test(s) failed" },
		/* Within a rule. */
		{ ACL("\"src\":[\"group:x\"],\"dst\":[\"tag:x:22\","
		    "\"autogroup:self:1\"],\"proto\":\"icmp\""),
		    "group not defined in policy: \"group:x\"" },
		{ ACL("\"src\":[\"tag:db\"],\"dst\":[\"tag:x:22\","
		    "\"autogroup:self:1\"],\"proto\":\"icmp\""),
		    "dst=\"tag:x\": tag not found: \"tag:x\"" },
		{ ACL("\"src\":[\"tag:db\"],\"dst\":[\"autogroup:self:1\"],"
		    "\"proto\":\"icmp\""), "protocol does not support "
		    "specific ports: \"icmp\", only \"*\" is allowed" },
		{ GRANT("\"src\":[\"tag:x\"],\"dst\":[\"::/0\","
		    "\"autogroup:internet\"],\"app\":{\"x\":[]}"), "capability "
		    "name must have the form {domain}/{path}" },
		{ GRANT("\"src\":[\"tag:x\"],\"dst\":[\"tag:y\",\"::/0\"],"
		    "\"ip\":[\"*\"]"), "dst \"::/0\": to allow all IP "
		    "addresses, use \"*\" or \"autogroup:internet\"" },
		{ GRANT("\"src\":[\"tag:db\"],\"dst\":[\"autogroup:self\"],"
		    "\"ip\":[\"*\"],\"via\":[\"*\"]"),
		    "via can only be a tag" },
		{ SSH("\"action\":\"accept\",\"users\":[\"*\"],"
		    "\"acceptEnv\":[\"\"],\"src\":[\"*\"],\"dst\":[\"*\"],"
		    "\"checkPeriod\":\"x\""), "user \"*\" is not valid" },
		{ SSH("\"action\":\"accept\",\"users\":[\"u\"],"
		    "\"acceptEnv\":[\"\"],\"src\":[\"*\"],\"dst\":[\"*\"],"
		    "\"checkPeriod\":\"x\""),
		    "acceptEnv values cannot be empty" },
		{ SSH("\"action\":\"accept\",\"users\":[\"u\"],"
		    "\"src\":[\"tag:db\"],\"dst\":[\"autogroup:self\"],"
		    "\"checkPeriod\":\"x\""), "autogroup:self destination "
		    "requires source to contain only users or groups, not "
		    "tags or autogroup:tagged" },
		{ SSH("\"action\":\"accept\",\"users\":[\"u\"],"
		    "\"checkPeriod\":\"x\""),
		    "time: invalid duration \"x\"" }
	};

	(void)state;
	polread_all(t, nitems(t));
}

static void
quoting(void **state)
{
	static const struct polread_row t[] = {
		{ SSH("\"action\":\"a\\\"\\\\\\t\\n\\r\\b\\f\","
		    "\"users\":[\"u\"]"),
		    "\"a\\\"\\\\\\t\\n\\r\\b\" is not a valid action" },
		{ SSH("\"action\":\"\\u0007\\u000b\\u0001\\u007fx\","
		    "\"users\":[\"u\"]"),
		    "\"\\a\\v\\x01\\x7fx\" is not a valid action" },
		{ SSH("\"action\":\"\303\251\\u00a0\\u2028\\u200b"
		    "\\ud83d\\ude00\\udbff\\udfff\",\"users\":[\"u\"]"),
		    "\"\303\251\\u00a0\\u2028\\u200b\360\237\230\200"
		    "\\U0010ffff\" is not a valid action" }
	};

	(void)state;
	polread_all(t, nitems(t));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(service_rules),
		cmocka_unit_test(service_definitions),
		cmocka_unit_test(service_ssh_and_tests),
		cmocka_unit_test(other_autogroups),
		cmocka_unit_test(other_definitions),
		cmocka_unit_test(other_names_and_ports),
		cmocka_unit_test(other_protocols_and_actions),
		cmocka_unit_test(other_ssh),
		cmocka_unit_test(other_fields),
		cmocka_unit_test(no_silent_widening),
		cmocka_unit_test(wrong_types),
		cmocka_unit_test(accepted),
		cmocka_unit_test(first_fault),
		cmocka_unit_test(quoting)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
