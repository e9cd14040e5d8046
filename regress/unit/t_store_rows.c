/* What is put into the store comes back: all but nodes and logs. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "regress/lib/storekit.h"

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

int
main(void)
{
#define T(f)	cmocka_unit_test_setup_teardown(f, sk_setup, sk_teardown)
	const struct CMUnitTest tests[] = {
		T(test_tailnets_and_policies), T(test_policies), T(test_users),
		T(test_user_fields), T(test_authkeys), T(test_rests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
