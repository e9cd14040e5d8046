/* The store: transactions, ids, lives of dbd and master, other writers. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "regress/lib/storekit.h"

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
		T(test_ids), T(test_savepoints), T(test_abandon),
		T(test_same_boot), T(test_results), T(test_callback_stops),
		T(test_other_writer), T(test_many_commits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
