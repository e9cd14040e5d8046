/* Nodes in the store: every field, updates, rules, and rows gone bad. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "regress/lib/storekit.h"

/* A node with everything in it comes back octet by octet. */
static void
test_node_fields(void **state)
{
	struct storekit *f = *state;
	struct node_row n = sk_node(5, "laptop", "100.64.0.9");
	struct buf tags = { 0 }, ends = { 0 }, routes = { 0 }, adv = { 0 };
	struct buf svc = { 0 }, req = { 0 }, elected = { 0 };
	struct r_service service;

	sk_base(f);
	assert_true(ip_parse(&n.node.ip6, slice_str("fd7a:115c:a1e0::9")));
	n.node.online = n.node.ephemeral = n.node.published = true;
	n.mapped = true;
	n.renamed = true;
	sk_add_text(&n.node.tags, &tags, slice_str("tag:web"));
	sk_add_text(&n.node.tags, &tags, slice_str(""));
	sk_add_text(&n.node.tags, &tags, slice_str("a,b %\xc3\xbc\n"));
	sk_add_endpoint(&n.node.endpoints, &ends, "192.0.2.1:41641");
	sk_add_endpoint(&n.node.endpoints, &ends, "[2001:db8::1]:1");
	sk_add_endpoint(&n.node.endpoints, &ends, "[::ffff:192.0.2.1]:65535");
	sk_add_route(&n.node.approved, &routes, "10.9.0.0/16");
	sk_add_route(&n.node.approved, &routes, "0.0.0.0/0");
	sk_add_route(&n.node.approved, &routes, "::/0");
	sk_add_route(&n.node.approved, &routes, "::ffff:10.0.0.0/104");
	sk_add_route(&n.node.primary, &elected, "10.9.0.0/16");
	sk_add_route(&n.node.primary, &elected, "::ffff:10.0.0.0/104");
	sk_add_route(&n.node.hostinfo.routes, &adv, "192.168.7.0/24");
	sk_add_route(&n.node.hostinfo.routes, &adv, "10.9.0.0/16");
	sk_add_route(&n.node.hostinfo.routes, &adv, "192.168.7.0/24");
	n.node.hostinfo.hostname = slice_str("Laptop");
	n.node.hostinfo.desktop = 2;
	n.node.hostinfo.shields_up = true;
	service.proto = slice_str("tcp");
	service.port = 22;
	msg_list_add(&n.node.hostinfo.services, &svc, MR_SERVICE, &service);
	msg_list_close(&n.node.hostinfo.services, &svc);
	sk_add_text(&n.node.hostinfo.request_tags, &req, slice_str("tag:x"));
	assert_int_equal(store_begin(f->s), 0);
	assert_int_equal(store_put_node(f->s, &n), 0);
	assert_int_equal(store_commit(f->s), 0);
	assert_true(sk_same_node(f, &n));
	sk_again(f);
	assert_true(sk_same_node(f, &n));
	assert_int_equal(sk_ask(f, "SELECT count(*) FROM routes"), 5);
	assert_int_equal(sk_ask(f, "SELECT elected * 100 + advertised * 10 +"
	    " approved FROM routes WHERE prefix = '10.9.0.0/16'"), 111);
	assert_int_equal(sk_ask(f, "SELECT ip4 = '100.64.0.9' AND"
	    " ip6 = 'fd7a:115c:a1e0::9' AND tags ="
	    " 'tag:web,%,a%2cb%20%25%c3%bc%0a' FROM nodes"), 1);
	buf_free(&tags);
	buf_free(&ends);
	buf_free(&routes);
	buf_free(&adv);
	buf_free(&svc);
	buf_free(&req);
	buf_free(&elected);
}

/* Updates, with and without something that stands in an index. */
static void
test_node_update(void **state)
{
	struct storekit *f = *state;
	struct node_row n = sk_node(5, "laptop", "100.64.0.9");
	struct buf ends = { 0 }, routes = { 0 };

	sk_base(f);
	assert_int_equal(store_begin(f->s), 0);
	assert_int_equal(store_put_node(f->s, &n), 0);
	assert_true(sk_same_node(f, &n));
	sk_add_endpoint(&n.node.endpoints, &ends, "192.0.2.1:41641");
	n.node.expiry = 1800000000;
	n.node.capver++;
	n.mapped = true;
	n.key_id = 0;
	n.node.machine_key[4] ^= 1;
	assert_int_equal(store_put_node(f->s, &n), 0);
	assert_true(sk_same_node(f, &n));
	n.node.name = slice_str("desktop");
	n.node.node_key[0] ^= 1;
	assert_true(ip_parse(&n.node.ip4, slice_str("100.64.0.10")));
	n.node.user = 0;
	assert_int_equal(store_put_node(f->s, &n), 0);
	assert_true(sk_same_node(f, &n));
	sk_add_route(&n.node.approved, &routes, "10.9.0.0/16");
	assert_int_equal(store_put_node(f->s, &n), 0);
	assert_true(sk_same_node(f, &n));
	sk_add_route(&n.node.approved, &routes, "10.1.0.0/16");
	assert_int_equal(store_put_node(f->s, &n), 0);
	assert_true(sk_same_node(f, &n));
	/* Only the election changes. */
	n.node.primary = n.node.approved;
	assert_int_equal(store_put_node(f->s, &n), 0);
	assert_true(sk_same_node(f, &n));
	memset(&n.node.primary, 0, sizeof(n.node.primary));
	assert_int_equal(store_put_node(f->s, &n), 0);
	assert_true(sk_same_node(f, &n));
	memset(&n.node.approved, 0, sizeof(n.node.approved));
	memset(&n.node.ip4, 0, sizeof(n.node.ip4));
	assert_int_equal(store_put_node(f->s, &n), 0);
	assert_true(sk_same_node(f, &n));
	assert_int_equal(store_put_seen(f->s, 1, 5, true, 1900000000), 0);
	n.node.online = true;
	n.node.last_seen = 1900000000;
	assert_true(sk_same_node(f, &n));
	assert_int_equal(store_commit(f->s), 0);
	sk_again(f);
	assert_true(sk_same_node(f, &n));
	buf_free(&ends);
	buf_free(&routes);
}

/* Rules that hold even if the core forgets them. */
static void
test_node_rules(void **state)
{
	struct storekit *f = *state;
	struct node_row a = sk_node(5, "laptop", "100.64.0.9"), b;
	struct tailnet_row t = sk_tailnet(2, "other");

	sk_base(f);
	assert_int_equal(store_begin(f->s), 0);
	assert_int_equal(store_put_tailnet(f->s, &t), 0);
	assert_int_equal(store_put_node(f->s, &a), 0);
	b = sk_node(6, "laptop", "100.64.0.10");
	assert_int_equal(store_put_node(f->s, &b), -1);
	b = sk_node(6, "phone", "100.64.0.9");
	assert_int_equal(store_put_node(f->s, &b), -1);
	b = sk_node(6, "phone", "100.64.0.10");
	memcpy(b.node.node_key, a.node.node_key, KEY_LEN);
	assert_int_equal(store_put_node(f->s, &b), -1);
	b.tailnet = 2;		/* keys are unique on the server */
	b.node.user = 0;
	assert_int_equal(store_put_node(f->s, &b), -1);
	b.node.node_key[0] ^= 1;
	b.node.user = 1;	/* a user of the other tailnet */
	assert_int_equal(store_put_node(f->s, &b), -1);
	b.node.user = 0;	/* name and address are free there */
	b.node.name = slice_str("laptop");
	b.node.ip4 = a.node.ip4;
	assert_int_equal(store_put_node(f->s, &b), 0);
	b = sk_node(7, "", NULL);
	assert_int_equal(store_put_node(f->s, &b), -1);
	b = sk_node(7, "\xff", NULL);
	assert_int_equal(store_put_node(f->s, &b), -1);
	b = sk_node(UINT64_MAX, "seven", NULL);
	assert_int_equal(store_put_node(f->s, &b), -1);
	b = sk_node(7, "seven", NULL);
	b.node.ip4.family = 6;
	assert_int_equal(store_put_node(f->s, &b), -1);
	assert_int_equal(store_commit(f->s), 0);
	assert_int_equal(sk_nodes_left(f), 2);
}

static void
test_zero_keys(void **state)
{
	struct storekit *f = *state;
	struct node_row a = sk_node(5, "a", NULL), b = sk_node(6, "b", NULL);

	sk_base(f);
	memset(a.node.node_key, 0, KEY_LEN);
	memset(b.node.node_key, 0, KEY_LEN);
	assert_int_equal(store_begin(f->s), 0);
	assert_int_equal(store_put_node(f->s, &a), 0);
	assert_int_equal(store_put_node(f->s, &b), 0);
	assert_int_equal(store_commit(f->s), 0);
	assert_int_equal(sk_nodes_left(f), 2);
}

/* Rows are input: what somebody wrote there is checked like a message. */
static void
test_bad_rows(void **state)
{
	static const char *const bad[] = {
		"UPDATE nodes SET name = ''",
		"UPDATE nodes SET name = CAST(x'ff41' AS TEXT)",
		"UPDATE nodes SET name = CAST(x'410041' AS TEXT)",
		"UPDATE nodes SET name = printf('%.64c', 'x')",
		"UPDATE nodes SET capver = 70000",
		"UPDATE nodes SET capver = -1",
		"UPDATE nodes SET online = 2",
		"UPDATE nodes SET ip4 = '100.64.0.300'",
		"UPDATE nodes SET ip4 = 'fd7a::1'",
		"UPDATE nodes SET key_id = 0",
		"UPDATE nodes SET tags = 'a,'",
		"UPDATE nodes SET tags = ',a'",
		"UPDATE nodes SET tags = 'a%2'",
		"UPDATE nodes SET tags = 'a%00'",
		"UPDATE nodes SET tags = printf('%.65c', ',')",
		"UPDATE nodes SET endpoints = '1.2.3.4'",
		"UPDATE nodes SET endpoints = '1.2.3.4:1  1.2.3.4:2'",
		"UPDATE nodes SET hostinfo = x''",
		("UPDATE nodes SET hostinfo = CAST(x'0002' ||"
		    " substr(hostinfo, 3) AS BLOB)"),
		"UPDATE nodes SET hostinfo = substr(hostinfo, 1, 40)",
		"UPDATE nodes SET hostinfo = CAST(hostinfo || x'00' AS BLOB)",
		"INSERT INTO routes VALUES (1, 5, '10.0.0.1/8', 0, 1, 0, 0)",
		"INSERT INTO routes VALUES (1, 5, '10.0.0.1/8', 1, 0, 0, 1)",
		"INSERT INTO routes VALUES (1, 5, '10.0.0.0/8', 1, 0, 0, 2)",
	};
	struct storekit *f = *state;
	struct node_row n = sk_node(5, "laptop", "100.64.0.9");
	size_t i;

	sk_base(f);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(store_begin(f->s), 0);
		assert_int_equal(store_put_node(f->s, &n), 0);
		assert_int_equal(store_commit(f->s), 0);
		store_close(f->s);
		sk_poke(f, bad[i]);
		sk_open_as(f, 0);
		f->rows = 0;
		f->logged[0] = '\0';
		if (store_load_nodes(f->s, sk_on_node, f) != -1 || f->rows != 0)
			fail_msg("taken: %s", bad[i]);
		assert_non_null(strstr(f->logged, "node 5"));
		assert_int_equal(store_begin(f->s), 0);
		assert_int_equal(store_del_node(f->s, 1, 5), 0);
		assert_int_equal(store_commit(f->s), 0);
		assert_int_equal(sk_nodes_left(f), 0);
	}
}

int
main(void)
{
#define T(f)	cmocka_unit_test_setup_teardown(f, sk_setup, sk_teardown)
	const struct CMUnitTest tests[] = {
		T(test_node_fields), T(test_node_update), T(test_node_rules),
		T(test_zero_keys), T(test_bad_rows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
