#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "regress/lib/polkit.h"

static struct polkit *
world(void)
{
	struct polkit *k = polkit_new();

	(void)polkit_user(k, "a@example.com", 2);
	(void)polkit_user(k, "b@example.com", 1);
	(void)polkit_user(k, "c@example.org", 0);
	return k;
}

#define TAGS	"\"tagOwners\":{\"tag:x\":[],\"tag:y\":[]},"

static void
compile(struct polkit *k, const char *text)
{
	if (polkit_compile(k, text, false) != 0)
		fail_msg("%s", polkit_why(k));
}

static void
put_sel(struct buf *b, const struct pol_sel *s)
{
	static const char *const name[] = {
		"ANY", "TAILNET", "USERS", NULL, "MEMBER", "TAGGED", NULL
	};
	uint32_t i;

	if (name[s->kind] == NULL)
		buf_slice(b, s->text);
	else
		buf_str(b, name[s->kind]);
	for (i = 0; i < s->nusers; i++)
		buf_printf(b, ".%llu", (unsigned long long)s->user[i]);
}

/* Rows as text: a line each, without names. */
static void
shows(struct polkit *k, const char *want)
{
	const struct pol *p = k->pol;
	const struct pol_row *r;
	struct buf b = { NULL, 0, 0 };
	uint32_t i, n, m;

	for (i = 0; i < p->nrows; i++) {
		r = &p->row[i];
		buf_printf(&b, "%s%s%s%s%u:", r->flags & POL_ROW_SELF ? "S" :
		    "", r->flags & POL_ROW_VIA ? "V" : "",
		    r->flags & POL_ROW_INET ? "I" : "",
		    r->flags & POL_ROW_APP ? "A" : "", r->proto);
		for (n = 0; n < p->src[r->src].n; n++) {
			buf_u8(&b, ' ');
			put_sel(&b, &p->sel[p->src[r->src].sel[n]]);
		}
		buf_str(&b, " >");
		for (n = 0; n < r->ndst; n++) {
			buf_printf(&b, " %u=", r->dst[n].alias);
			if ((r->flags & POL_ROW_SELF) == 0)
				put_sel(&b, &p->sel[r->dst[n].sel]);
			for (m = 0; m < r->dst[n].nports; m++)
				buf_printf(&b, ",%u-%u",
				    r->dst[n].port[m].first,
				    r->dst[n].port[m].last);
		}
		for (n = 0; n < r->nvia; n++) {
			buf_str(&b, " via ");
			put_sel(&b, &p->sel[r->via[n]]);
		}
		buf_slice(&b, r->caps);
		buf_u8(&b, '\n');
	}
	buf_u8(&b, '\0');
	assert_string_equal((const char *)b.p, want);
	buf_free(&b);
}

static void
acl_order(void **state)
{
	struct polkit *k = world();

	(void)state;
	compile(k, "{" TAGS "\"groups\":{\"group:g\":[\"a@example.com\"]},"
	    "\"acls\":[{\"action\":\"accept\",\"src\":[\"a@example.com\"],"
	    "\"dst\":[\"group:g:1\",\"a@example.com:2\",\"tag:x:3\","
	    "\"autogroup:self:4\",\"10.0.0.1:5\",\"*:6\",\"tag:x:7,9-10\"]}]}");
	shows(k, "I0: USERS.1 > 0=ANY,6-6 1=tag:x,3-3,7-7,9-10 "
	    "2=10.0.0.1,5-5 3=USERS.1,2-2 4=USERS.1,1-1\n"
	    "S0: USERS.1 > 0=,4-4\n");
	/* Among autogroups alone, self stays where it is. */
	compile(k, "{\"acls\":[{\"action\":\"accept\",\"src\":[\"*\"],"
	    "\"dst\":[\"autogroup:self:1\",\"autogroup:member:2\","
	    "\"autogroup:self:3\"]}]}");
	shows(k, "S0: TAILNET > 0=,1-1,3-3\n0: TAILNET > 0=MEMBER,2-2\n");
	compile(k, "{\"acls\":[{\"action\":\"accept\",\"src\":[\"*\"],"
	    "\"dst\":[\"autogroup:member:2\",\"autogroup:self:1\"]}]}");
	shows(k, "0: TAILNET > 0=MEMBER,2-2\nS0: TAILNET > 0=,1-1\n");
	polkit_free(k);
}

static void
empty(void **state)
{
	struct polkit *k = world();

	(void)state;
	compile(k, "{}");
	shows(k, "I0: TAILNET > 0=ANY,0-65535\n");
	compile(k, "{\"acls\":[]}");
	shows(k, "");
	compile(k, "{\"grants\":[]}");
	shows(k, "");
	compile(k, "{\"acls\":[{\"action\":\"accept\",\"src\":[],\"dst\":"
	    "[\"*:*\"]},{\"action\":\"accept\",\"src\":[\"*\"],\"dst\":[]}],"
	    "\"grants\":[{\"src\":[],\"dst\":[\"*\"],\"ip\":[\"*\"]},"
	    "{\"src\":[\"*\"],\"dst\":[],\"ip\":[\"*\"]}]}");
	shows(k, "");
	/* Nobody is a source all the same. */
	compile(k, "{\"groups\":{\"group:e\":[]},\"acls\":[{\"action\":"
	    "\"accept\",\"src\":[\"group:e\",\"z@example.com\"],\"dst\":"
	    "[\"*:*\"]}]}");
	shows(k, "I0: USERS > 0=ANY,0-65535\n");
	polkit_free(k);
}

static void
grants(void **state)
{
	struct polkit *k = world();

	(void)state;
	compile(k, "{" TAGS "\"acls\":[{\"action\":\"accept\",\"src\":[\"*\"],"
	    "\"dst\":[\"tag:y:1\"]}],\"grants\":[{\"src\":[\"tag:x\"],"
	    "\"dst\":[\"tag:y\",\"*\"],\"ip\":[\"udp:1\",\"2\",\"udp:3-4\"],"
	    "\"app\":{\"z.com/b\":[],\"tailscale.com/cap/relay\":[1],"
	    "\"tailscale.com/cap/drive\":[{}]}}]}");
	shows(k, "I17: tag:x > 0=tag:y,1-1,3-4 1=ANY,1-1,3-4\n"
	    "I0: tag:x > 0=tag:y,2-2 1=ANY,2-2\n"
	    "A0: tag:x > 0=tag:y 1=TAILNET"
	    "{\"tailscale.com/cap/drive\":[{}],"
	    "\"tailscale.com/cap/relay\":[1],\"z.com/b\":[]}\n"
	    "A0: tag:y TAILNET > 0=tag:x"
	    "{\"tailscale.com/cap/drive-sharer\":null}\n"
	    "A0: tag:y TAILNET > 0=tag:x"
	    "{\"tailscale.com/cap/relay-target\":null}\n"
	    "0: TAILNET > 0=tag:y,1-1\n");
	compile(k, "{\"grants\":[{\"src\":[\"autogroup:member\"],\"dst\":"
	    "[\"autogroup:self\"],\"ip\":[\"*\"],\"app\":{"
	    "\"tailscale.com/cap/drive\":[]}}]}");
	shows(k, "S0: MEMBER > 0=,0-65535\n"
	    "SA0: MEMBER > 0={\"tailscale.com/cap/drive\":[]}\n"
	    "SA0: MEMBER > 0={\"tailscale.com/cap/drive-sharer\":null}\n");
	polkit_free(k);
}

static void
via(void **state)
{
	struct polkit *k = world();

	(void)state;
	compile(k, "{" TAGS "\"grants\":[{\"src\":[\"*\"],\"dst\":"
	    "[\"10.0.0.0/8\"],\"ip\":[\"*\"],\"app\":{\"a.b/c\":[]},"
	    "\"via\":[\"tag:y\",\"tag:x\",\"tag:y\"]},"
	    "{\"src\":[\"*\"],\"dst\":[\"10.0.0.0/8\"],\"app\":"
	    "{\"a.b/c\":[]},\"via\":[\"tag:x\"]}]}");
	shows(k, "V0: TAILNET > 0=10.0.0.0/8,0-65535 via tag:y via tag:x\n"
	    "VA0: TAILNET > 0=10.0.0.0/8 via tag:x{\"a.b/c\":[]}\n");
	polkit_free(k);
}

static void
internet(void **state)
{
	struct polkit *k = world();

	(void)state;
	compile(k, "{\"acls\":[{\"action\":\"accept\",\"src\":[\"*\"],\"dst\":"
	    "[\"autogroup:internet:443\"]}]}");
	shows(k, "I0: TAILNET > 0=0.0.0.0-9.255.255.255,443-443 "
	    "0=11.0.0.0-100.63.255.255,443-443 "
	    "0=100.128.0.0-169.253.255.255,443-443 "
	    "0=169.255.0.0-172.15.255.255,443-443 "
	    "0=172.32.0.0-192.167.255.255,443-443 "
	    "0=192.169.0.0-255.255.255.255,443-443 "
	    "0=2000::-3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff,443-443\n");
	assert_true(k->pol->sel[k->pol->row[0].dst[3].sel].inet);
	/* Each destination of an ACL is a rule of its own, of a grant not. */
	compile(k, "{\"acls\":[{\"action\":\"accept\",\"src\":[\"*\"],\"dst\":"
	    "[\"0.0.0.0/1:*\",\"128.0.0.0/1:*\"]}]}");
	assert_int_equal(k->pol->row[0].flags, 0);
	compile(k, "{\"grants\":[{\"src\":[\"*\"],\"dst\":[\"::/1\","
	    "\"8000::/1\"],\"ip\":[\"*\"]}]}");
	assert_int_equal(k->pol->row[0].flags, POL_ROW_INET);
	polkit_free(k);
}

static void
sources(void **state)
{
	struct polkit *k = world();

	(void)state;
	compile(k, "{" TAGS "\"groups\":{\"group:1\":[\"b@example.com\","
	    "\"a@example.com\"],\"group:2\":[\"a@example.com\","
	    "\"b@example.com\"]},\"hosts\":{\"h\":\"10.0.0.7\"},\"acls\":["
	    "{\"action\":\"accept\",\"src\":[\"group:1\",\"tag:x\",\"group:2\","
	    "\"h\",\"10.0.0.7/32\",\"autogroup:danger-all\"],\"dst\":"
	    "[\"tag:x:1\"]},{\"action\":\"accept\",\"src\":[\"tag:x\",\"h\","
	    "\"autogroup:danger-all\",\"group:2\"],\"dst\":[\"tag:x:1\"]},"
	    "{\"action\":\"accept\",\"src\":[\"user:*@example.com\","
	    "\"autogroup:owner\",\"autogroup:admin\"],\"dst\":[\"tag:x:1\"]}"
	    "]}");
	/* One set for two rules that say the same in another order. */
	assert_int_equal(k->pol->row[0].src, k->pol->row[1].src);
	assert_true(k->pol->row[0].name == k->pol->row[1].name);
	shows(k, "0: USERS.1.2 tag:x 10.0.0.7 ANY > 0=tag:x,1-1\n"
	    "0: USERS.1.2 tag:x 10.0.0.7 ANY > 0=tag:x,1-1\n"
	    "0: USERS.1.2 USERS.1 > 0=tag:x,1-1\n");
	polkit_free(k);
}

static uint64_t
name_of(struct polkit *k, uint32_t line)
{
	uint32_t i;

	for (i = 0; i < k->pol->nrows; i++)
		if (k->pol->row[i].prov.line == line)
			return k->pol->row[i].name;
	fail_msg("no row of line %u", line);
	return 0;
}

/* A row keeps its name whatever comes before and behind it. */
static void
names(void **state)
{
	static const char rule[] = "{\"action\":\"accept\",\"src\":"
	    "[\"tag:x\",\"10.0.0.0/8\"],\"dst\":[\"tag:y:22\"]}";
	static const char app[] = "{\"src\":[\"tag:x\"],\"dst\":[\"tag:y\"],"
	    "\"app\":{\"a.b/c\":[]}}";
	struct polkit *k = world();
	struct buf b = { NULL, 0, 0 };
	uint64_t was, cap;

	(void)state;
	buf_printf(&b, "{" TAGS "\"grants\":[\n%s],\"acls\":[\n%s]}", app,
	    rule);
	buf_u8(&b, 0);
	compile(k, (const char *)b.p);
	cap = name_of(k, 2);
	was = name_of(k, 3);
	assert_true(was != cap);
	buf_clear(&b);
	buf_printf(&b, "{" TAGS "\"grants\":[{\"src\":[\"10.0.0.0/8\"],"
	    "\"dst\":[\"tag:x\"],\"ip\":[\"*\"]},\n%s,\n%s],\"acls\":["
	    "{\"action\":\"accept\",\"src\":[\"10.0.0.0/8\"],\"dst\":"
	    "[\"*:*\"]},\n%s]}", app, app, rule);
	buf_u8(&b, 0);
	compile(k, (const char *)b.p);
	assert_true(name_of(k, 2) == cap);
	assert_true(name_of(k, 3) != cap);
	assert_true(name_of(k, 4) == was);
	buf_free(&b);
	polkit_free(k);
}

static void
ssh(void **state)
{
	struct polkit *k = world();
	const struct pol_ssh *s;

	(void)state;
	compile(k, "{" TAGS "\"ssh\":["
	    "{\"action\":\"accept\",\"src\":[\"autogroup:member\"],\"dst\":"
	    "[\"tag:x\",\"autogroup:self\"],\"users\":[\"zoe\",\"root\","
	    "\"amy\",\"zoe\",\"localpart:x\"]},"
	    "{\"action\":\"accept\",\"src\":[],\"dst\":[\"tag:x\"],\"users\":"
	    "[\"root\"]},"
	    "{\"action\":\"check\",\"src\":[\"tag:y\"],\"dst\":[\"tag:x\"],"
	    "\"users\":[\"localpart:*@example.com\",\"q\\\"\"]}]}");
	assert_int_equal(k->pol->nsshs, 2);
	s = &k->pol->ssh[0];
	assert_true(s->self && !s->check && !s->locals);
	assert_int_equal(s->ndst, 1);
	assert_true(slice_eqs(s->users, "{\"amy\":\"amy\",\"localpart:x\":"
	    "\"localpart:x\",\"root\":\"root\",\"zoe\":\"zoe\"}"));
	s = &k->pol->ssh[1];
	assert_true(s->check && s->locals && !s->self);
	assert_int_equal(s->period, 43200);
	assert_int_equal(s->prov.index, 2);
	assert_true(slice_eqs(s->users, "{\"q\\\"\":\"q\\\"\",\"root\":\"\"}"));
	assert_int_equal(s->nlocals, 2);
	assert_true(slice_eqs(s->local[0].name, "\"a\""));
	assert_int_equal(s->local[1].user, 2);
	polkit_free(k);
}

static void
attrs(void **state)
{
	struct polkit *k = world();

	(void)state;
	compile(k, "{" TAGS "\"nodeAttrs\":[{\"target\":[\"tag:x\"],\"attr\":"
	    "[\"z\",\"funnel\",\"z\"]},{\"target\":[],\"attr\":[\"y\"]}],"
	    "\"randomizeClientPort\":true}");
	assert_int_equal(k->pol->nattrs, 2);
	assert_true(slice_eqs(k->pol->attr[0].keys, "\"funnel\":null,"
	    "\"https://tailscale.com/cap/funnel-ports?ports=443,8443,10000\":"
	    "null,\"https://tailscale.com/cap/warn-funnel-no-https\":null,"
	    "\"z\":null"));
	assert_false(k->pol->attr[0].no_ip4);
	assert_true(slice_eqs(k->pol->attr[1].keys,
	    "\"randomize-client-port\":null"));
	polkit_free(k);
}

/* Small texts that would blow up are refused, not compiled. */
static void
too_big(void **state)
{
	struct polkit *k = world();
	struct buf b = { NULL, 0, 0 };
	unsigned int i;

	(void)state;
	buf_str(&b, "{\"grants\":[{\"src\":[\"*\"],\"ip\":[\"1\"");
	for (i = 2; i < 5000; i++)
		buf_printf(&b, ",\"%u\"", i);
	buf_str(&b, "],\"dst\":[\"*\"");
	for (i = 2; i < 5000; i++)
		buf_printf(&b, ",\"10.%u.%u.1\"", i >> 8, i & 255);
	buf_str(&b, "]}]}");
	buf_u8(&b, 0);
	assert_int_equal(polkit_compile(k, (const char *)b.p, false), -1);
	assert_non_null(strstr(polkit_why(k), "too big"));
	buf_free(&b);
	polkit_free(k);
}

/* Rows that share long sources count each; pol_load() would refuse them. */
static void
too_many_sources(void **state)
{
	struct polkit *k = world();
	struct buf b = { NULL, 0, 0 };
	unsigned int i, protos;
	int rc;

	(void)state;
	for (protos = 209; protos <= 210; protos++) {
		buf_clear(&b);
		buf_str(&b, "{\"grants\":[{\"dst\":[\"*\"],\"ip\":[\"1:*\"");
		for (i = 2; i <= protos; i++)
			buf_printf(&b, ",\"%u:*\"", i);
		buf_str(&b, "],\"src\":[\"10.200.0.0\"");
		for (i = 1; i < 20000; i++)
			buf_printf(&b, ",\"10.200.%u.%u\"", i >> 8, i & 255);
		buf_str(&b, "]}]}");
		buf_u8(&b, 0);
		rc = polkit_compile(k, (const char *)b.p, false);
		if (protos * 20000 <= POL_MAX_SOURCES) {
			if (rc != 0)
				fail_msg("%s", polkit_why(k));
			continue;
		}
		assert_int_equal(rc, -1);
		assert_string_equal(polkit_why(k), "the policy is too big: "
		    "its rules have more sources, ports or users in all than "
		    "can be compiled");
	}
	buf_free(&b);
	polkit_free(k);
}

/* What was taken once is compiled though users and domains are gone since. */
static void
stored(void **state)
{
	const char *text = "{\"nodeAttrs\":[{\"target\":[\"gone@example.com\"],"
	    "\"attr\":[\"a\"]}],\"acls\":[{\"action\":\"accept\",\"src\":["
	    "\"two@example.com\",\"user:*@example.net\",\"a@example.com\"],"
	    "\"dst\":[\"*:1\"]}]}";
	struct polkit *k = world();

	(void)state;
	(void)polkit_user(k, "two@example.com", 0);
	(void)polkit_user(k, "two@example.com", 0);
	(void)polkit_user(k, "d@example.net", 0);
	assert_int_equal(polkit_compile(k, text, false), -1);
	k->info.stored = true;
	compile(k, text);
	shows(k, "I0: USERS USERS.1 > 0=ANY,1-1\n");
	polkit_free(k);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stored),
		cmocka_unit_test(acl_order),
		cmocka_unit_test(empty),
		cmocka_unit_test(grants),
		cmocka_unit_test(via),
		cmocka_unit_test(internet),
		cmocka_unit_test(sources),
		cmocka_unit_test(names),
		cmocka_unit_test(ssh),
		cmocka_unit_test(attrs),
		cmocka_unit_test(too_big),
		cmocka_unit_test(too_many_sources),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
