#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "regress/lib/storekit.h"

/* Tests. */

static void
test_tailnets_and_policies(void **state)
{
	struct storekit *f = *state;
	struct tailnet_row t = sk_tailnet(1, "default");
	struct policy_row p;

	assert_int_equal(store_begin(f->s), 0);
	assert_int_equal(store_put_tailnet(f->s, &t), 0);
	t = sk_tailnet(2, "other");
	assert_int_equal(store_put_tailnet(f->s, &t), 0);
	/* No policy yet: deny-all. */
	assert_int_equal(store_load_tailnets(f->s, sk_on_tailnet, f), 0);
	assert_string_equal(sk_got(f), "1 default default 7 5e 0 1700000000;"
	    "2 other other 7 5e 0 1700000000;");
	memset(&p, 0, sizeof(p));
	p.tailnet = 1;
	p.kind = POLICY_ALLOW_ALL;
	p.uid = UINT32_MAX;
	p.at = 10;
	p.reason = slice_str("made with the tailnet");
	assert_int_equal(store_add_policy(f->s, &p), 0);
	p.kind = POLICY_DENY_ALL;
	p.uid = 1000;
	p.at = 20;
	p.reason = slice_str("");
	p.text = slice_str("{}");
	assert_int_equal(store_add_policy(f->s, &p), 0);
	p.kind = POLICY_ALLOW_ALL;
	p.uid = 0;
	assert_int_equal(store_add_policy(f->s, &p), 0);
	t.seq = 8;
	t.batch[0] = 0x11;
	assert_int_equal(store_put_tailnet(f->s, &t), 0);
	t.name = slice_str("renamed");
	assert_int_equal(store_put_tailnet(f->s, &t), 0);
	t.name = slice_str("default");
	assert_int_equal(store_put_tailnet(f->s, &t), -1);
	assert_non_null(strstr(f->logged, "UNIQUE"));
	assert_int_equal(store_commit(f->s), 0);
	sk_again(f);
	assert_int_equal(store_load_tailnets(f->s, sk_on_tailnet, f), 0);
	assert_string_equal(sk_got(f), "1 default default 7 5e 1 1700000000;"
	    "2 renamed other 8 11 0 1700000000;");
	assert_int_equal(store_load_policies(f->s, 1, 2, sk_on_policy, f), 0);
	assert_string_equal(sk_got(f), "1 3 1 0 20  {};1 2 0 1000 20  {};");
	assert_int_equal(store_load_policies(f->s, 1, 9, sk_on_policy, f), 0);
	assert_non_null(strstr(sk_got(f),
	    "1 1 1 4294967295 10 made with the tailnet ;"));
	assert_int_equal(store_load_policies(f->s, 2, 9, sk_on_policy, f), 0);
	assert_string_equal(sk_got(f), "");
}

static int
on_blob(const struct policy_row *r, void *arg)
{
	struct storekit *f = arg;

	buf_printf(&f->got, "%u %d %llu [%.*s] [%.*s];", r->version, r->kind,
	    (unsigned long long)r->size, SLICE_FMT(r->text),
	    SLICE_FMT(r->blob));
	return 0;
}

static void
test_policies(void **state)
{
	struct storekit *f = *state;
	struct policy_row p;

	sk_base(f);
	assert_int_equal(store_find_policy(f->s, 1, 0, on_blob, f), 0);
	assert_int_equal(store_begin(f->s), 0);
	memset(&p, 0, sizeof(p));
	p.tailnet = 1;
	p.kind = POLICY_COMPILED;
	p.text = slice_str("{\"acls\": [\xc3\xa4]}");
	p.blob = slice_str("octets");
	assert_int_equal(store_add_policy(f->s, &p), 0);
	assert_int_equal(store_find_policy(f->s, 1, 1, on_blob, f), 1);
	assert_string_equal(sk_got(f), "1 2 14 [{\"acls\": [\xc3\xa4]}] "
	    "[octets];");
	p.text = slice_str("two");
	p.blob = slice_str("");
	assert_int_equal(store_add_policy(f->s, &p), 0);
	/* What could not be read back is not written. */
	p.text = slice_mem("a\0b", 3);
	assert_int_equal(store_add_policy(f->s, &p), -1);
	p.text = slice_str("\xff");
	assert_int_equal(store_add_policy(f->s, &p), -1);
	p.text = slice_str("");
	p.kind = (enum policy_kind)3;
	assert_int_equal(store_add_policy(f->s, &p), -1);
	assert_int_equal(store_commit(f->s), 0);
	sk_again(f);
	assert_int_equal(store_find_policy(f->s, 1, 0, on_blob, f), 1);
	assert_string_equal(sk_got(f), "2 2 3 [two] [];");
	assert_int_equal(store_find_policy(f->s, 1, 1, on_blob, f), 1);
	/* Only the newest is kept in its compiled form. */
	assert_string_equal(sk_got(f), "1 2 14 [{\"acls\": [\xc3\xa4]}] "
	    "[];");
	assert_int_equal(store_find_policy(f->s, 1, 3, on_blob, f), 0);
	assert_int_equal(store_find_policy(f->s, 2, 1, on_blob, f), 0);
	assert_int_equal(store_list_policies(f->s, 1, 9, on_blob, f), 0);
	assert_string_equal(sk_got(f), "2 2 3 [] [];1 2 14 [] [];");
	assert_int_equal(store_begin(f->s), 0);
	assert_int_equal(store_put_policy_blob(f->s, 1, 2,
	    slice_str("made")), 0);
	assert_int_equal(store_commit(f->s), 0);
	sk_again(f);
	assert_int_equal(store_find_policy(f->s, 1, 2, on_blob, f), 1);
	assert_string_equal(sk_got(f), "2 2 3 [two] [made];");
}

static void
test_users(void **state)
{
	struct storekit *f = *state;
	struct user_row u = sk_user(2, "bob");
	struct node_row n = sk_node(5, "laptop", NULL);
	struct authkey_row k = sk_authkey(3, 2);

	sk_base(f);
	assert_int_equal(store_begin(f->s), 0);
	assert_int_equal(store_put_user(f->s, &u), 0);
	assert_int_equal(store_put_authkey(f->s, &k), 0);
	u.user.id = 3;
	assert_int_equal(store_savepoint(f->s), 0);
	assert_int_equal(store_put_user(f->s, &u), -1);	/* the name */
	assert_int_equal(store_undo(f->s), 0);
	u.user.name = slice_str("carol");
	u.tailnet = 4;
	assert_int_equal(store_put_user(f->s, &u), -1);	/* no such tailnet */
	u.tailnet = 1;
	u.user.name = slice_str("");
	assert_int_equal(store_put_user(f->s, &u), -1);
	n.node.user = 2;
	assert_int_equal(store_put_node(f->s, &n), 0);
	assert_int_equal(store_del_user(f->s, 1, 2), -1);
	assert_int_equal(store_del_node(f->s, 1, 5), 0);
	assert_int_equal(store_del_user(f->s, 1, 2), 0);
	assert_int_equal(store_commit(f->s), 0);
	sk_again(f);
	assert_int_equal(store_load_users(f->s, sk_on_user, f), 0);
	assert_int_equal(f->rows, 1);
	assert_memory_equal(sk_got(f), "1/1 ", 4);
	assert_int_equal(store_load_authkeys(f->s, sk_on_key, f), 0);
	assert_int_equal(f->rows, 0);
}

static void
test_user_fields(void **state)
{
	struct storekit *f = *state;
	struct user_row u = sk_user(1, "alice");
	struct buf want = { 0 };

	sk_base(f);
	assert_int_equal(sk_on_user(&u, f), 0);
	buf_put(&want, f->got.p, f->got.n);
	buf_clear(&f->got);
	sk_again(f);
	assert_int_equal(store_load_users(f->s, sk_on_user, f), 0);
	assert_int_equal(want.n, f->got.n);
	assert_memory_equal(want.p, f->got.p, want.n);
	buf_free(&want);
}

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

static void
test_authkeys(void **state)
{
	struct storekit *f = *state;
	struct authkey_row k = sk_authkey(3, 1);
	struct buf tags = { 0 };

	sk_base(f);
	assert_int_equal(store_begin(f->s), 0);
	assert_int_equal(store_put_authkey(f->s, &k), 0);
	k.id = 4;
	assert_int_equal(store_put_authkey(f->s, &k), -1);	/* the hash */
	k = sk_authkey(4, 0);
	sk_add_text(&k.tags, &tags, slice_str("tag:a"));
	sk_add_text(&k.tags, &tags, slice_str("tag:b"));
	k.reusable = k.ephemeral = true;
	k.expiry = 0;
	assert_int_equal(store_put_authkey(f->s, &k), 0);
	k = sk_authkey(3, 1);
	k.revoked = true;
	k.used = 4000000000U;
	k.used_node = 77;
	memset(k.used_machine, 0xee, KEY_LEN);
	assert_int_equal(store_put_authkey(f->s, &k), 0);
	assert_int_equal(store_commit(f->s), 0);
	sk_again(f);
	assert_int_equal(store_load_authkeys(f->s, sk_on_key, f), 0);
	assert_string_equal(sk_got(f),
	    "1 3 37 hskey-0a1b2c3d4e5f 1 001 4000000000 77 ee "
	    "1700000004 1700003604;"
	    "1 4 56 hskey-0a1b2c3d4e5f 0 110 0 0 00 1700000004 0"
	    " [tag:a] [tag:b];");
	assert_int_equal(store_begin(f->s), 0);
	assert_int_equal(store_del_authkey(f->s, 2, 4), 0);	/* not there */
	assert_int_equal(store_del_authkey(f->s, 1, 3), 0);
	assert_int_equal(store_commit(f->s), 0);
	assert_int_equal(store_load_authkeys(f->s, sk_on_key, f), 0);
	assert_int_equal(f->rows, 1);
	buf_free(&tags);
}

static void
test_rests(void **state)
{
	struct storekit *f = *state;
	struct rest_row r;

	sk_base(f);
	memset(&r, 0, sizeof(r));
	r.tailnet = 1;
	r.until = 200;
	assert_true(ip_parse(&r.ip4, slice_str("100.64.0.9")));
	assert_int_equal(store_begin(f->s), 0);
	assert_int_equal(store_put_rest(f->s, &r), 0);
	r.until = 100;
	assert_true(ip_parse(&r.ip6, slice_str("fd7a:115c:a1e0::9")));
	assert_int_equal(store_put_rest(f->s, &r), 0);
	assert_int_equal(store_commit(f->s), 0);
	sk_again(f);
	assert_int_equal(store_load_rests(f->s, sk_on_rest, f), 0);
	assert_string_equal(sk_got(f), "1 100.64.0.9 fd7a:115c:a1e0::9 100;"
	    "1 100.64.0.9  200;");
	assert_int_equal(store_begin(f->s), 0);
	assert_int_equal(store_del_rests(f->s, 100), 0);
	assert_int_equal(store_commit(f->s), 0);
	assert_int_equal(store_load_rests(f->s, sk_on_rest, f), 0);
	assert_string_equal(sk_got(f), "1 100.64.0.9  200;");
}

static void
test_exposures(void **state)
{
	struct storekit *f = *state;
	struct exposure_row r;

	sk_base(f);
	memset(&r, 0, sizeof(r));
	r.tailnet = 1;
	r.node = 5;
	r.slot = 2;
	r.generation = 3;
	r.first = 10;
	r.last = 20;
	assert_int_equal(store_begin(f->s), 0);
	assert_int_equal(store_put_exposure(f->s, &r), 0);
	r.last = 30;
	r.node_key[0] = 0x44;
	assert_int_equal(store_put_exposure(f->s, &r), 0);
	assert_int_equal(store_commit(f->s), 0);
	store_close(f->s);
	/* Another life of master counts generations from 1 again. */
	sk_open_as(f, 1);
	r.first = 40;
	r.last = 50;
	assert_int_equal(store_begin(f->s), 0);
	assert_int_equal(store_put_exposure(f->s, &r), 0);
	memset(r.boot, 0, sizeof(r.boot));
	r.boot[0] = 0xa1;
	r.first = 10;
	r.last = 30;
	r.revoked = true;
	assert_int_equal(store_put_exposure(f->s, &r), 0);
	assert_int_equal(store_commit(f->s), 0);
	assert_int_equal(store_load_exposures(f->s, sk_on_exposure, f), 0);
	assert_string_equal(sk_got(f), "a1 2 3 1 5 44 10 30 1;"
	    "b2 2 3 1 5 44 40 50 0;");
	assert_int_equal(store_begin(f->s), 0);
	assert_int_equal(store_del_exposures(f->s, 50, 50), 0);
	assert_int_equal(store_commit(f->s), 0);
	assert_int_equal(store_load_exposures(f->s, sk_on_exposure, f), 0);
	assert_string_equal(sk_got(f), "b2 2 3 1 5 44 40 50 0;");
}

/* Those of nodes that are gone are kept for a shorter time. */
static void
test_exposures_gone(void **state)
{
	struct storekit *f = *state;
	struct node_row n = sk_node(5, "five", "100.64.0.5");
	struct exposure_row r;

	sk_base(f);
	memset(&r, 0, sizeof(r));
	r.tailnet = 1;
	r.slot = 2;
	r.generation = 3;
	r.first = 10;
	r.last = 50;
	assert_int_equal(store_begin(f->s), 0);
	assert_int_equal(store_put_node(f->s, &n), 0);
	for (r.node = 4; r.node <= 6; r.node++)
		assert_int_equal(store_put_exposure(f->s, &r), 0);
	assert_int_equal(store_del_exposures(f->s, 20, 50), 0);
	assert_int_equal(sk_ask(f, "SELECT 0"), 0);
	assert_int_equal(store_load_exposures(f->s, sk_on_exposure, f), 0);
	assert_int_equal(f->rows, 3);
	(void)sk_got(f);
	assert_int_equal(store_del_exposures(f->s, 20, 51), 0);
	assert_int_equal(store_commit(f->s), 0);
	assert_int_equal(sk_ask(f, "SELECT count(*) * 10 + min(node_id)"
	    " FROM exposures"), 15);
}

static void
test_log(void **state)
{
	struct storekit *f = *state;
	struct log_row r;
	uint64_t seq;

	sk_base(f);
	memset(&r, 0, sizeof(r));
	r.tailnet = 1;
	r.changes = slice_str("x");
	assert_int_equal(store_begin(f->s), 0);
	for (seq = 10; seq <= 50; seq += 10) {
		r.seq = seq;
		r.at = (int64_t)seq + 1000;
		r.batch[15] = (uint8_t)seq;
		assert_int_equal(store_add_log(f->s, &r), 0);
	}
	assert_int_equal(store_add_log(f->s, &r), -1);	/* seq again */
	assert_int_equal(store_commit(f->s), 0);
	assert_int_equal(store_load_log(f->s, 1, 20, sk_on_row, f), 0);
	assert_string_equal(sk_got(f), "1 30 1e 1030 x;1 40 28 1040 x;"
	    "1 50 32 1050 x;");
	assert_int_equal(store_load_log(f->s, 2, 0, sk_on_row, f), 0);
	assert_int_equal(f->rows, 0);
	r.batch[15] = 30;
	assert_true(store_log_has(f->s, 1, 30, r.batch));
	assert_false(store_log_has(f->s, 1, 40, r.batch));
	assert_false(store_log_has(f->s, 2, 30, r.batch));
	assert_false(store_log_has(f->s, 1, UINT64_MAX, r.batch));
	assert_int_equal(store_begin(f->s), 0);
	assert_int_equal(store_trim_log(f->s, 1, 5, 9999), 0);
	assert_true(store_log_has(f->s, 1, 30, r.batch));
	assert_int_equal(store_trim_log(f->s, 2, 0, 9999), 0);
	assert_int_equal(store_trim_log(f->s, 1, 2, 9999), 0);
	assert_int_equal(store_commit(f->s), 0);
	assert_false(store_log_has(f->s, 1, 30, r.batch));
	assert_int_equal(store_load_log(f->s, 1, 0, sk_on_row, f), 0);
	assert_string_equal(sk_got(f), "1 40 28 1040 x;1 50 32 1050 x;");
}

static void
test_log_trim_is_bounded(void **state)
{
	struct storekit *f = *state;
	struct log_row r;

	sk_base(f);
	memset(&r, 0, sizeof(r));
	r.tailnet = 1;
	assert_int_equal(store_begin(f->s), 0);
	for (r.seq = 1; r.seq <= 1500; r.seq++)
		assert_int_equal(store_add_log(f->s, &r), 0);
	assert_int_equal(store_trim_log(f->s, 1, 10, 9999), 0);
	assert_int_equal(store_commit(f->s), 0);
	assert_int_equal(sk_ask(f, "SELECT min(seq) FROM change_log"), 1001);
	assert_int_equal(store_begin(f->s), 0);
	assert_int_equal(store_trim_log(f->s, 1, 10, 9999), 0);
	assert_int_equal(store_trim_log(f->s, 1, 10, 9999), 0);
	assert_int_equal(store_commit(f->s), 0);
	assert_int_equal(sk_ask(f, "SELECT count(*) * 10000 + min(seq)"
	    " FROM change_log"), 101491);
}

/* However few they are: their octets are bounded, too. */
static void
test_log_trim_octets(void **state)
{
	struct storekit *f = *state;
	struct log_row r;

	sk_base(f);
	memset(&r, 0, sizeof(r));
	r.tailnet = 1;
	r.changes = slice_str("ten octets");
	assert_int_equal(store_begin(f->s), 0);
	for (r.seq = 1; r.seq <= 9; r.seq++)
		assert_int_equal(store_add_log(f->s, &r), 0);
	assert_int_equal(store_trim_log(f->s, 1, 100, 90), 0);
	assert_int_equal(store_trim_log(f->s, 1, 8, 39), 0);
	assert_int_equal(store_commit(f->s), 0);
	assert_int_equal(sk_ask(f, "SELECT count(*) * 10 + min(seq)"
	    " FROM change_log"), 37);
}

static void
test_audit_trim(void **state)
{
	struct storekit *f = *state;
	struct audit_row r;
	unsigned int i;

	sk_base(f);
	memset(&r, 0, sizeof(r));
	r.what = "x";
	assert_int_equal(store_begin(f->s), 0);
	for (i = 0; i < 30; i++) {
		r.tailnet = i % 3 == 0 ? 0 : 1;	/* 10 and 20 */
		r.at = 100 + (int64_t)i;
		assert_int_equal(store_add_audit(f->s, &r), 0);
	}
	assert_int_equal(store_trim_audit(f->s, 1, 20, INT64_MAX), 0);
	assert_int_equal(store_trim_audit(f->s, 1, 15, 102), 0);
	assert_int_equal(store_load_audit(f->s, 1, 99, sk_on_audit, f), 0);
	assert_int_equal(f->rows, 19);
	(void)sk_got(f);
	assert_int_equal(store_trim_audit(f->s, 1, 15, 999), 0);
	assert_int_equal(store_trim_audit(f->s, 0, 9, INT64_MAX), 0);
	assert_int_equal(store_commit(f->s), 0);
	assert_int_equal(sk_ask(f, "SELECT count(*) * 1000 + min(at)"
	    " FROM audit WHERE tailnet_id = 1"), 15108);
	assert_int_equal(sk_ask(f, "SELECT count(*) * 1000 + min(at)"
	    " FROM audit WHERE tailnet_id IS NULL"), 9103);
	/* At most two thousand at a time. */
	r.tailnet = 1;
	assert_int_equal(store_begin(f->s), 0);
	for (i = 0; i < 3000; i++)
		assert_int_equal(store_add_audit(f->s, &r), 0);
	assert_int_equal(store_trim_audit(f->s, 1, 10, INT64_MAX), 0);
	assert_int_equal(store_commit(f->s), 0);
	assert_int_equal(sk_ask(f, "SELECT count(*) FROM audit"
	    " WHERE tailnet_id = 1"), 1015);
}

static void
test_results(void **state)
{
	struct storekit *f = *state;
	struct result_row r;
	uint32_t i;

	memset(&r, 0, sizeof(r));
	r.slot = 2;
	r.generation = 5;
	r.type = 70;
	assert_int_equal(store_begin(f->s), 0);
	for (i = 1; i <= 4; i++) {
		r.request = i;
		r.secret = i == 2;
		r.body = slice_mem("abcd", i);
		assert_int_equal(store_put_result(f->s, &r), 0);
	}
	r.generation = 6;
	assert_int_equal(store_put_result(f->s, &r), 0);
	assert_int_equal(store_commit(f->s), 0);
	sk_again(f);		/* dbd restarts within one life of master */
	assert_int_equal(store_find_result(f->s, 2, 5, 2, sk_on_result, f), 1);
	assert_string_equal(sk_got(f), "2 5 2 70 1 ab;");
	assert_int_equal(store_find_result(f->s, 2, 5, 9, sk_on_result, f), 0);
	assert_int_equal(store_find_result(f->s, 1, 5, 2, sk_on_result, f), 0);
	assert_int_equal(store_find_result(f->s, 2, 7, 2, sk_on_result, f), 0);
	f->rows = 0;
	f->stop_at = 1;
	assert_int_equal(store_find_result(f->s, 2, 5, 2, sk_on_result, f), -1);
	f->stop_at = 0;
	assert_int_equal(store_begin(f->s), 0);
	assert_int_equal(store_trim_results(f->s, 2, 5, 3), 0);
	assert_int_equal(store_commit(f->s), 0);
	assert_int_equal(store_find_result(f->s, 2, 5, 2, sk_on_result, f), 0);
	assert_int_equal(store_find_result(f->s, 2, 5, 3, sk_on_result, f), 1);
	assert_int_equal(store_begin(f->s), 0);
	assert_int_equal(store_del_results(f->s, 2, 5), 0);
	assert_int_equal(store_commit(f->s), 0);
	assert_int_equal(store_find_result(f->s, 2, 5, 3, sk_on_result, f), 0);
	assert_int_equal(store_find_result(f->s, 2, 6, 4, sk_on_result, f), 1);
	store_close(f->s);
	sk_open_as(f, 1);
	assert_int_equal(store_find_result(f->s, 2, 6, 4, sk_on_result, f), 0);
	assert_int_equal(sk_ask(f, "SELECT count(*) FROM results"), 0);
}

/* Was dbd alone started again?  Also if it died before it had any work. */
static void
test_same_boot(void **state)
{
	struct storekit *f = *state;

	assert_false(store_same_boot(f->s));
	store_abandon(f->s);
	sk_open_as(f, 0);
	assert_true(store_same_boot(f->s));
	assert_int_equal(sk_ask(f, "SELECT count(*) FROM boot"), 1);
	store_abandon(f->s);
	sk_open_as(f, 1);
	assert_false(store_same_boot(f->s));
	store_abandon(f->s);
	sk_open_as(f, 1);
	assert_true(store_same_boot(f->s));
	sk_again(f);
	assert_false(store_same_boot(f->s));
	assert_int_equal(sk_ask(f, "SELECT count(*) FROM boot"), 1);
}

static void
test_audit(void **state)
{
	struct storekit *f = *state;
	struct audit_row r;

	sk_base(f);
	memset(&r, 0, sizeof(r));
	r.tailnet = 1;
	r.at = 5;
	r.uid = 0;
	r.what = "node.rename";
	r.target = 3;
	r.detail = slice_str("a to b");
	assert_int_equal(store_begin(f->s), 0);
	assert_int_equal(store_add_audit(f->s, &r), 0);
	r.uid = UINT32_MAX;
	r.what = "node.reap";
	r.detail = slice_str("");
	assert_int_equal(store_add_audit(f->s, &r), 0);
	r.tailnet = 0;
	r.what = "reload";
	assert_int_equal(store_add_audit(f->s, &r), 0);
	r.what = "";
	assert_int_equal(store_add_audit(f->s, &r), -1);
	assert_int_equal(store_commit(f->s), 0);
	assert_int_equal(store_load_audit(f->s, 1, 9, sk_on_audit, f), 0);
	assert_string_equal(sk_got(f), "1 5 4294967295 node.reap 3 ;"
	    "1 5 0 node.rename 3 a to b;");
	assert_int_equal(store_load_audit(f->s, 1, 1, sk_on_audit, f), 0);
	assert_int_equal(f->rows, 1);
	(void)sk_got(f);
	assert_int_equal(store_load_audit(f->s, 0, 9, sk_on_audit, f), 0);
	assert_string_equal(sk_got(f), "0 5 4294967295 reload 3 ;");
}

static void
test_ids(void **state)
{
	struct storekit *f = *state;
	uint64_t id;

	assert_int_equal(store_next_id(f->s, STORE_ID_NODE), 0);
	assert_int_equal(store_begin(f->s), 0);
	assert_int_equal(store_next_id(f->s, STORE_ID_NODE), 1);
	assert_int_equal(store_next_id(f->s, STORE_ID_NODE), 2);
	assert_int_equal(store_next_id(f->s, STORE_ID_USER), 1);
	/* What was undone is not given to another operation. */
	assert_int_equal(store_savepoint(f->s), 0);
	assert_int_equal(store_next_id(f->s, STORE_ID_NODE), 3);
	assert_int_equal(store_undo(f->s), 0);
	assert_int_equal(store_next_id(f->s, STORE_ID_NODE), 4);
	assert_int_equal(store_commit(f->s), 0);
	sk_again(f);
	assert_int_equal(store_begin(f->s), 0);
	assert_int_equal(store_next_id(f->s, STORE_ID_NODE), 5);
	assert_int_equal(store_rollback(f->s), 0);
	assert_int_equal(store_begin(f->s), 0);
	id = store_next_id(f->s, STORE_ID_NODE);
	assert_true(id > 5);
	assert_int_equal(store_next_id(f->s, STORE_ID_AUTHKEY), 1);
	assert_int_equal(store_next_id(f->s, STORE_ID_TAILNET), 1);
	assert_int_equal(store_commit(f->s), 0);
}

static void
test_savepoints(void **state)
{
	struct storekit *f = *state;
	struct node_row a = sk_node(5, "a", NULL), b = sk_node(6, "b", NULL);

	sk_base(f);
	assert_int_equal(store_savepoint(f->s), -1);	/* no transaction */
	assert_int_equal(store_begin(f->s), 0);
	assert_int_equal(store_begin(f->s), -1);	/* one already */
	assert_int_equal(store_savepoint(f->s), 0);
	assert_int_equal(store_put_node(f->s, &a), 0);
	assert_int_equal(store_release(f->s), 0);
	assert_int_equal(store_savepoint(f->s), 0);
	assert_int_equal(store_put_node(f->s, &b), 0);
	assert_int_equal(sk_nodes_left(f), 2);
	assert_int_equal(store_undo(f->s), 0);
	assert_int_equal(sk_nodes_left(f), 1);
	assert_int_equal(store_undo(f->s), -1);	/* nothing to undo */
	assert_int_equal(store_commit(f->s), 0);
	assert_int_equal(sk_nodes_left(f), 1);
	assert_int_equal(store_begin(f->s), 0);
	assert_int_equal(store_put_node(f->s, &b), 0);
	assert_int_equal(store_rollback(f->s), 0);
	assert_int_equal(sk_nodes_left(f), 1);
	assert_int_equal(store_put_node(f->s, &b), -1);
	assert_int_equal(sk_nodes_left(f), 1);
	/* A commit of nothing ends the store: see store.h. */
	assert_int_equal(store_commit(f->s), -1);
	assert_int_equal(store_begin(f->s), -1);
}

/* Dying without commit or close loses what was not committed, only that. */
static void
test_abandon(void **state)
{
	struct storekit *f = *state;
	struct node_row a = sk_node(5, "a", NULL), b = sk_node(6, "b", NULL);

	sk_base(f);
	assert_int_equal(store_begin(f->s), 0);
	assert_int_equal(store_put_node(f->s, &a), 0);
	assert_int_equal(store_commit(f->s), 0);
	assert_int_equal(store_begin(f->s), 0);
	assert_int_equal(store_put_node(f->s, &b), 0);
	store_abandon(f->s);
	sk_open_as(f, 0);
	assert_true(sk_same_node(f, &a));
}

static void
test_callback_stops(void **state)
{
	struct storekit *f = *state;
	struct user_row u = sk_user(2, "bob");

	sk_base(f);
	assert_int_equal(store_begin(f->s), 0);
	assert_int_equal(store_put_user(f->s, &u), 0);
	assert_int_equal(store_commit(f->s), 0);
	f->rows = 0;
	f->stop_at = 1;
	assert_int_equal(store_load_users(f->s, sk_on_user, f), -1);
	assert_int_equal(f->rows, 1);
	f->stop_at = f->rows = 0;
	assert_int_equal(store_load_users(f->s, sk_on_user, f), 0);
	assert_int_equal(f->rows, 2);
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
		"INSERT INTO routes VALUES (1, 5, '10.0.0.1/8', 0, 1, 0)",
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

/* An administrator may look at any time; when he writes we start again. */
static void
test_other_writer(void **state)
{
	struct storekit *f = *state;

	sk_base(f);
	assert_int_equal(sk_ask(f, "SELECT count(*) FROM users"), 1);
	assert_int_equal(store_begin(f->s), 0);
	assert_int_equal(store_commit(f->s), 0);
	sk_poke(f, "UPDATE users SET display = 'x'");
	assert_int_equal(store_begin(f->s), -1);
	assert_non_null(strstr(f->logged, "another program"));
	assert_int_equal(store_begin(f->s), -1);
	assert_int_equal(store_commit(f->s), -1);
	sk_again(f);
	assert_int_equal(store_begin(f->s), 0);
	assert_int_equal(store_commit(f->s), 0);
}

/* Checkpoints on the way are our own doing, and nothing grows for ever. */
static void
test_many_commits(void **state)
{
	struct storekit *f = *state;
	struct node_row n = sk_node(5, "laptop", "100.64.0.9");
	int i;

	sk_base(f);
	for (i = 0; i < 1500; i++) {
		n.node.last_seen = i;
		assert_int_equal(store_begin(f->s), 0);
		assert_int_equal(store_put_node(f->s, &n), 0);
		assert_int_equal(store_commit(f->s), 0);
	}
	assert_true(sk_same_node(f, &n));
	assert_int_equal(sk_ask(f, "SELECT page_count < 100 FROM"
	    " pragma_page_count"), 1);
}

int
main(void)
{
#define T(f)	cmocka_unit_test_setup_teardown(f, sk_setup, sk_teardown)
	const struct CMUnitTest tests[] = {
		T(test_tailnets_and_policies), T(test_policies),
		T(test_users),
		T(test_user_fields), T(test_node_fields), T(test_node_update),
		T(test_node_rules), T(test_zero_keys), T(test_authkeys),
		T(test_rests), T(test_exposures), T(test_exposures_gone),
		T(test_log), T(test_log_trim_octets), T(test_audit_trim),
		T(test_log_trim_is_bounded), T(test_results), T(test_same_boot),
		T(test_audit),
		T(test_ids), T(test_savepoints), T(test_abandon),
		T(test_callback_stops), T(test_bad_rows),
		T(test_other_writer), T(test_many_commits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
