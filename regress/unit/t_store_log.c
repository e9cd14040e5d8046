/* What the store keeps for a time: exposures, the change log, the audit. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "regress/lib/storekit.h"

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

int
main(void)
{
#define T(f)	cmocka_unit_test_setup_teardown(f, sk_setup, sk_teardown)
	const struct CMUnitTest tests[] = {
		T(test_exposures), T(test_exposures_gone), T(test_log),
		T(test_log_trim_is_bounded), T(test_log_trim_octets),
		T(test_audit), T(test_audit_trim),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
