/* DNSConfig and extra records (protocol.md 5.10; traps 63 and 77). */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/log.h"
#include "worker/tailnet/dns_int.h"
#include "worker/tailnet/jsonpos.h"

struct made {
	struct tn_conf	 c;
	struct buf	 b[8];
	unsigned int	 n;
};

static void
add_text(struct made *m, struct msg_list *l, struct buf *b, const char *s)
{
	struct r_text t = { slice_str(s) };

	(void)m;
	msg_list_add(l, b, MR_TEXT, &t);
	msg_list_close(l, b);
}

static void
add_resolver(struct msg_list *l, struct buf *b, const char *s)
{
	struct r_resolver r = { slice_str(s) };

	msg_list_add(l, b, MR_RESOLVER, &r);
	msg_list_close(l, b);
}

static void
add_split(struct made *m, const char *suffix, const char *resolver)
{
	struct r_split s;
	struct buf *b = &m->b[3 + m->n++];

	memset(&s, 0, sizeof(s));
	s.suffix = slice_str(suffix);
	if (resolver != NULL)
		add_resolver(&s.resolvers, b, resolver);
	msg_list_add(&m->c.split, &m->b[2], MR_SPLIT, &s);
	msg_list_close(&m->c.split, &m->b[2]);
}

static void
done(struct made *m)
{
	unsigned int i;

	for (i = 0; i < 8; i++)
		buf_free(&m->b[i]);
}

static void
expect(const struct tn_conf *c, const char *domain, const struct records *r,
    const char *want)
{
	struct buf b = { 0 };

	dns_json(&b, c, slice_str(domain), r);
	buf_u8(&b, 0);
	assert_string_equal((const char *)b.p, want);
	buf_free(&b);
}

static unsigned int warned;

static void
count(int level, const char *line, void *arg)
{
	(void)level;
	(void)line;
	(void)arg;
	warned++;
}

static void
t_off(void **state)
{
	struct tn_conf c = { 0 };

	(void)state;
	expect(&c, "ts.example", NULL, "{\"Routes\":{},"
	    "\"Domains\":[\"ts.example\"],\"Proxied\":false}");
	expect(&c, "", NULL, "{\"Routes\":{},\"Domains\":[],"
	    "\"Proxied\":false}");
}

static void
t_all(void **state)
{
	static const char rec[] = "[{\"name\":\"a.example.\",\"type\":\"A\","
	    "\"value\":\"192.0.2.1\"},{\"name\":\"b.example\",\"type\":"
	    "\"AAAA\",\"value\":\"2001:db8::1\"},{\"name\":\"c.example\","
	    "\"value\":\"192.0.2.2\"}]";
	struct made m = { 0 };
	struct records *r;
	char why[100];

	(void)state;
	m.c.magic_dns = true;
	m.c.override_local = true;
	add_resolver(&m.c.resolvers, &m.b[0], "192.0.2.53");
	add_resolver(&m.c.resolvers, &m.b[0], "[2001:db8::53]:5353");
	add_resolver(&m.c.resolvers, &m.b[0], "https://dns.example/q");
	add_text(&m, &m.c.search, &m.b[1], "corp.example.");
	add_text(&m, &m.c.search, &m.b[1], "ts.example");
	add_split(&m, "lan.example.", "192.0.2.54");
	add_split(&m, "ts.example", "192.0.2.55");
	add_split(&m, "void.example", NULL);
	r = records_parse(rec, strlen(rec), "rec", why, sizeof(why));
	assert_non_null(r);
	assert_int_equal(records_count(r), 3);
	expect(&m.c, "ts.example", r, "{\"Resolvers\":["
	    "{\"Addr\":\"192.0.2.53\"},{\"Addr\":\"[2001:db8::53]:5353\"},"
	    "{\"Addr\":\"https://dns.example/q\"}],"
	    "\"Routes\":{\"lan.example\":[{\"Addr\":\"192.0.2.54\"}],"
	    "\"void.example\":[],\"ts.example\":[]},"
	    "\"Domains\":[\"ts.example\",\"corp.example\"],\"Proxied\":true,"
	    "\"ExtraRecords\":[{\"Name\":\"a.example\",\"Type\":\"A\","
	    "\"Value\":\"192.0.2.1\"},{\"Name\":\"b.example\",\"Type\":"
	    "\"AAAA\",\"Value\":\"2001:db8::1\"},{\"Name\":\"c.example\","
	    "\"Type\":\"A\",\"Value\":\"192.0.2.2\"}]}");
	/* Without override they serve while an exit node is in use only. */
	m.c.override_local = false;
	m.c.magic_dns = false;
	memset(&m.c.split, 0, sizeof(m.c.split));
	memset(&m.c.search, 0, sizeof(m.c.search));
	expect(&m.c, "ts.example", NULL, "{\"FallbackResolvers\":["
	    "{\"Addr\":\"192.0.2.53\"},{\"Addr\":\"[2001:db8::53]:5353\"},"
	    "{\"Addr\":\"https://dns.example/q\"}],\"Routes\":{},"
	    "\"Domains\":[\"ts.example\"],\"Proxied\":false}");
	records_free(r);
	done(&m);
}

static void
t_bad_names(void **state)
{
	char label[70];
	struct made m = { 0 };

	(void)state;
	memset(label, 'a', 64);
	label[64] = '\0';
	m.c.base_domain = slice_str("a..b");
	add_text(&m, &m.c.search, &m.b[1], "a..b");
	add_text(&m, &m.c.search, &m.b[1], label);
	add_text(&m, &m.c.search, &m.b[1], ".");
	add_text(&m, &m.c.search, &m.b[1], "two words");
	add_text(&m, &m.c.search, &m.b[1], "good.example");
	add_split(&m, "-bad.example", "192.0.2.54");
	add_split(&m, "ok.example", "nonsense");
	add_resolver(&m.c.resolvers, &m.b[0], "tls://192.0.2.1");
	add_resolver(&m.c.resolvers, &m.b[0], "192.0.2.1:99999");
	add_resolver(&m.c.resolvers, &m.b[0], "https://");
	expect(&m.c, "a..b", NULL, "{\"FallbackResolvers\":[],"
	    "\"Routes\":{\"ok.example\":[]},\"Domains\":[\"good.example\"],"
	    "\"Proxied\":false}");
	log_capture(count, NULL);
	dns_check(&m.c);
	log_capture(NULL, NULL);
	assert_int_equal(warned, 1 + 4 + 1 + 1 + 3);
	done(&m);
}

static void
bad(const char *text, const char *want)
{
	struct records *r;
	char why[200] = "";

	r = records_parse(text, strlen(text), "extra.json", why, sizeof(why));
	assert_null(r);
	assert_string_equal(why, want);
}

static void
t_bad_records(void **state)
{
	(void)state;
	bad("", "extra.json:1: unfinished");
	bad("{}", "extra.json:1: not an array of records");
	bad("[\n{\"name\":\"a\",\"value\":\"192.0.2.1\"},\n 7]",
	    "extra.json:3: record is no object");
	bad("[\n\n{\"value\":\"192.0.2.1\"}]",
	    "extra.json:3: record without name");
	bad("[{\"name\":\"a..b\",\"value\":\"192.0.2.1\"}]",
	    "extra.json:1: name is not a DNS name");
	bad("[{\"name\":\"a\",\"type\":\"A\",\"value\":\"192.0.2.1\"},\n"
	    "{\"name\":\"b\",\"type\":\"A\",\"value\":\"x\"},\n"
	    "{\"name\":\"c\",\"type\":\"A\",\"value\":\"192.0.2.3\"}]",
	    "extra.json:2: value is not an IPv4 address");
	bad("[{\"name\":\"a\",\"type\":\"AAAA\",\"value\":\"192.0.2.1\"}]",
	    "extra.json:1: value is not an IPv6 address");
	bad("[{\"name\":\"a\",\"type\":\"CNAME\",\"value\":\"b\"}]",
	    "extra.json:1: type must be A or AAAA");
	bad("[{\"name\":\"a\",\"type\":1,\"value\":\"b\"}]",
	    "extra.json:1: type is not a string");
	bad("[{\"name\":\"a\"}]", "extra.json:1: record without value");
	bad("[{\"name\":\"a\",\n\"value\" \"b\"}]",
	    "extra.json:2: a colon was expected");
	bad("[]\n\nx", "extra.json:3: something follows the value");
}

static void
t_empty(void **state)
{
	struct tn_conf c = { 0 };
	struct records *r;
	char why[100];

	(void)state;
	r = records_parse(" [ ] ", 5, "x", why, sizeof(why));
	assert_non_null(r);
	assert_int_equal(records_count(r), 0);
	assert_int_equal(records_json(r).n, 0);
	expect(&c, "a", r, "{\"Routes\":{},\"Domains\":[\"a\"],"
	    "\"Proxied\":false}");
	records_free(r);
	records_free(NULL);
}

static void
t_jsonpos(void **state)
{
	static const char text[] = "\n{ \"a\" : [1, -2.5e3, \"]\\\"\", {\"x\":"
	    "[]}, true],\n \"B\": {\"c\": {}},\n \"b\": null, \"e\":[] }";
	struct slice t = slice_str(text);
	size_t root, a, b;

	(void)state;
	root = jsonpos_root(t);
	assert_int_equal(text[root], '{');
	a = jsonpos_member(t, root, slice_str("a"));
	assert_int_equal(text[a], '[');
	assert_int_equal(text[jsonpos_elem(t, a, 0)], '1');
	assert_int_equal(text[jsonpos_elem(t, a, 1)], '-');
	assert_int_equal(text[jsonpos_elem(t, a, 2)], '"');
	assert_int_equal(text[jsonpos_elem(t, a, 3)], '{');
	assert_int_equal(text[jsonpos_elem(t, a, 4)], 't');
	assert_int_equal(jsonpos_elem(t, a, 5), a);
	/* The last of a name counts, in any case. */
	b = jsonpos_member(t, root, slice_str("b"));
	assert_int_equal(text[b], 'n');
	assert_int_equal(jsonpos_line(t, b), 4);
	b = jsonpos_member(t, root, slice_str("e"));
	assert_int_equal(jsonpos_elem(t, b, 0), b);
	assert_int_equal(jsonpos_member(t, root, slice_str("zz")), root);
	assert_int_equal(jsonpos_member(t, a, slice_str("zz")), a);
	assert_int_equal(jsonpos_elem(t, root, 0), root);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_off), cmocka_unit_test(t_all),
		cmocka_unit_test(t_bad_names),
		cmocka_unit_test(t_bad_records), cmocka_unit_test(t_empty),
		cmocka_unit_test(t_jsonpos)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
