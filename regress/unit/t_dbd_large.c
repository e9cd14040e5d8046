/* Many large nodes at once: no turn, row of the log or queue is too small. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "dbd/batch_int.h"
#include "dbd/objects_int.h"
#include "dbd/routes_int.h"
#include "dbd/worker_int.h"
#include "regress/lib/dbdask.h"

#define MB	(1024UL * 1024)
#define POLICY	"allow\nown tag:r alice\napprove fd00::/8 tag:r"
#define OTHER	"allow\nown tag:r alice\napprove fd00::/8 tag:x"
#define LATE	"approval by policy waits no longer"

static struct dbdworld *w;
static struct dbdworker *k, *k2;
static uint64_t alice;
static const char *key;

static int
setup(void **state)
{
	*state = w = ask_world(&k, &k2, &alice, &key);
	return 0;
}

/* Routes that only this node has. */
static struct msg_list
routes_of(uint32_t n, struct buf *b)
{
	struct msg_list list = { 0 };
	struct r_route r;
	char text[64];
	uint32_t i;

	for (i = 0; i < ROUTES_MAX; i++) {
		(void)snprintf(text, sizeof(text), "fd00:%x:%x::/64", n,
		    i + 1);
		assert_true(prefix_parse(&r.v, slice_str(text)));
		msg_list_add(&list, b, MR_ROUTE, &r);
	}
	msg_list_close(&list, b);
	return list;
}

/* Nodes 1 to n, each with all the routes that one can have. */
static void
large(uint32_t n)
{
	struct ask_lite a = { .disco = 1, .h2 = 3, .host = "large" };
	struct buf b = { NULL, 0, 0 }, routes = { NULL, 0, 0 };
	char tagged[128];
	struct msg m;
	uint32_t i;

	(void)strlcpy(tagged, ask_key(w, 0, true, false, 0, "tag:r"),
	    sizeof(tagged));
	for (i = 1; i <= n; i++) {
		assert_int_equal(ask_join(k, i, i, tagged, "large"), i);
		a.machine = a.key = i;
		ask_lite_msg(k, &a, &m, &b);
		m.u.db_map_lite.hostinfo.routes = routes_of(i, &routes);
		(void)dw_send(k, &m);
		dw_run(w);
		assert_int_equal(dw_find(w, i)->r.hostinfo.routes.count,
		    ROUTES_MAX);
		buf_free(&b);
		buf_free(&routes);
	}
	/* Both hold the tailnet. */
	ask_stream(k, 1, 9, 1, 7, 1);
	ask_stream(k2, 2, 9, 2, 7, 2);
	dw_forget(k);
	dw_forget(k2);
}

static uint32_t
approved(void)
{
	const struct node *n;
	uint32_t all = 0;

	TAILQ_FOREACH(n, &dw_tailnet(w)->nodes, all) {
		assert_true(n->r.approved.count == 0 ||
		    n->r.approved.count == ROUTES_MAX);
		all += n->r.approved.count != 0;
	}
	return all;
}

static bool
ended(void)
{
	return env_ended(fakeenv_env(dw_env(w)));
}

static int
on_row(const struct log_row *row, void *arg)
{
	size_t *most = arg;

	if (row->changes.n > *most)
		*most = row->changes.n;
	return 0;
}

/* The largest row of the log after a place. */
static size_t
most_logged(uint64_t seq)
{
	size_t most = 0;

	assert_int_equal(store_load_log(dw_store(w), dw_tailnet(w)->id, seq,
	    on_row, &most), 0);
	return most;
}

/* More than a queue may hold is approved by a policy, and carried. */
static void
t_pieces(void **state)
{
	const struct node *n;
	uint64_t seq;
	uint32_t i;

	(void)state;
	dw_conf(w)->queue_max = 8 * MB;
	dw_reconf(w);
	large(110);
	for (i = 3; i <= 110; i++)
		ask_stream(k2, i, 9, i, i, i);
	seq = dw_tailnet(w)->seq;
	ask_policy(w, POLICY);
	dw_pass(w, US_PER_S);
	assert_false(ended());
	assert_int_equal(approved(), 110);
	TAILQ_FOREACH(n, &dw_tailnet(w)->nodes, all)
		assert_int_equal(n->r.primary.count, ROUTES_MAX);
	assert_true(dw_is_up(k) && dw_is_up(k2));
	assert_null(ask_differs(k, k2));
	assert_in_range(most_logged(seq), 1 * MB, 5 * MB);
}

/* Death in the middle: the policy is in force, the rest is done by the next. */
static void
t_pieces_death(void **state)
{
	uint32_t n, version;

	(void)state;
	large(70);
	ask_policy(w, POLICY);
	version = dw_tailnet(w)->version;
	n = approved();
	assert_in_range(n, 1, 69);
	dw_restart_with(k2, false);
	ask_stream(k2, 2, 10, 2, 8, 2);
	assert_int_equal(approved(), n);
	assert_int_equal(dw_tailnet(w)->version, version);
	dw_pass(w, US_PER_S);
	assert_int_equal(approved(), 70);
	assert_null(dw_differs(k2));
	/* At rest a start changes nothing. */
	n = (uint32_t)ask_seq(w);
	dw_restart(w, false);
	dw_pass(w, US_PER_S);
	assert_int_equal(ask_seq(w), n);
}

/* A policy that comes while the pass is under way begins it anew. */
static void
t_pieces_again(void **state)
{
	(void)state;
	large(70);
	ask_policy(w, OTHER);
	assert_in_range(dw_tailnet(w)->auto_next, 2, 70);
	ask_policy(w, POLICY);
	dw_pass(w, US_PER_S);
	assert_int_equal(approved(), 70);
	assert_null(ask_differs(k, k2));
}

/* One that approves nothing ends it. */
static void
t_pieces_end(void **state)
{
	uint32_t n;

	(void)state;
	large(70);
	ask_policy(w, POLICY);
	n = approved();
	assert_in_range(n, 1, 69);
	ask_policy(w, "allow\nown tag:r alice");
	dw_pass(w, US_PER_S);
	assert_int_equal(approved(), n);
	assert_null(ask_differs(k, k2));
}

/* The pass waits for who has a lot to read yet. */
static void
t_pieces_wait(void **state)
{
	uint32_t n;

	(void)state;
	large(90);
	dw_deaf(k2, true);
	ask_policy(w, POLICY);
	dw_pass(w, US_PER_S);
	n = approved();
	assert_in_range(n, 1, 89);
	dw_pass(w, 10 * US_PER_S);
	assert_int_equal(approved(), n);
	assert_true(dw_is_up(k2));
	dw_deaf(k2, false);
	dw_pass(w, US_PER_S);
	assert_int_equal(approved(), 90);
	assert_null(ask_differs(k, k2));
}

/* Node 1 changes, and says so again until that is as much as n octets. */
static void
change_much(size_t n)
{
	struct tailnet *tn = dw_tailnet(w);
	struct dbd *d = dw_dbd(w);
	struct r_node r;
	struct msg m;
	size_t before;

	op_begin(d);
	before = tn->changes.n;
	r = dw_find(w, 1)->r;
	r.home_derp++;
	node_set(dw_find(w, 1), &r);
	put_node(dw_find(w, 1));
	msg_init(&m, M_DB_NODE_PUT);
	m.u.db_node_put.tailnet = tn->id;
	m.u.db_node_put.seq = tn->seq;
	m.u.db_node_put.node = dw_find(w, 1)->r;
	while (tn->changes.n - before < n)
		change_add(&tn->changes, &m);
	d->octets += n;
	op_end(d);
}

/* The next operation finds the batch full. */
static void
fill_batch(void)
{
	dw_dbd(w)->nops = BATCH_MAX;
}

/* One that reads as much as it must, and no more, does not hold it up. */
static void
t_pieces_behind(void **state)
{
	uint32_t n;
	int i;

	(void)state;
	large(120);
	dw_deaf(k2, true);
	ask_policy(w, POLICY);
	n = approved();
	for (i = 0; i < 35; i++) {
		change_much(MB);
		dw_run(w);
		while (link_queued(dw_link(k2)) > 5 * MB / 4)
			assert_true(dw_take(k2));
		dw_forget(k);
		dw_forget(k2);
		dw_pass(w, US_PER_S);
		if (i == 28) {
			assert_int_equal(approved(), n);
			assert_null(strstr(ask_logged(), LATE));
		}
	}
	assert_int_equal(approved(), 120);
	assert_non_null(strstr(ask_logged(), LATE));
	/* Once is enough. */
	assert_null(strstr(strstr(ask_logged(), LATE) + 1, LATE));
	assert_true(dw_is_up(k2));
	dw_deaf(k2, false);
	dw_run(w);
	assert_null(ask_differs(k, k2));
}

/* What no row can hold is no reason to die: who was away gets a snapshot. */
static void
t_log_cut(void **state)
{
	struct tailnet *tn = dw_tailnet(w);
	uint8_t batch[BATCH_LEN];
	uint64_t seq;

	(void)state;
	large(2);
	seq = tn->seq;
	memcpy(batch, tn->batch, BATCH_LEN);
	change_much(STORE_LOG_MAX + 1);
	dw_run(w);
	assert_false(ended());
	assert_non_null(strstr(ask_logged(), "it is cut there"));
	assert_true(dw_is_up(k) && dw_is_up(k2));
	assert_null(ask_differs(k, k2));
	assert_true(most_logged(seq) < 1024);
	assert_false(replay_send(dw_dbd(w), dw_link(k), tn, seq, batch));
	/* From behind it on all is as ever. */
	seq = tn->seq;
	memcpy(batch, tn->batch, BATCH_LEN);
	change_much(1);
	dw_run(w);
	assert_true(replay_send(dw_dbd(w), dw_link(k), tn, seq, batch));
}

/* The log may hold more than a queue does. */
static void
t_log_long(void **state)
{
	struct tailnet *tn = dw_tailnet(w);
	uint8_t batch[BATCH_LEN];
	uint64_t seq;
	int i;

	(void)state;
	large(2);
	dw_conf(w)->queue_max = 16 * MB;
	dw_reconf(w);
	seq = tn->seq;
	memcpy(batch, tn->batch, BATCH_LEN);
	for (i = 0; i < 3; i++) {
		change_much(3 * MB);
		dw_run(w);
	}
	dw_forget(k);
	assert_false(replay_send(dw_dbd(w), dw_link(k), tn, seq, batch));
	dw_run(w);
	assert_int_equal(dw_count(k, M_DB_NODE_PUT), 0);
	assert_true(dw_is_up(k));
}

/* A turn's changes that a queue cannot hold are no fault of a worker's. */
static void
t_relief(void **state)
{
	(void)state;
	large(2);
	dw_conf(w)->queue_max = 2 * MB;
	dw_reconf(w);
	change_much(3 * MB);
	dw_run(w);
	assert_true(dw_is_up(k) && dw_is_up(k2));
	assert_int_equal(dw_count(k, M_DB_SNAPSHOT), 1);
	assert_int_equal(dw_count(k, M_DB_NODE_PUT), 0);
	assert_null(ask_differs(k, k2));
	/* The next change finds it where it is. */
	dw_forget(k);
	change_much(1);
	dw_run(w);
	assert_int_equal(dw_count(k, M_DB_SNAPSHOT), 0);
	assert_int_equal(dw_count(k, M_DB_NODE_PUT), 1);
	assert_null(ask_differs(k, k2));
	/* What it has taken it may be relieved of once more. */
	dw_forget(k);
	change_much(3 * MB);
	dw_run(w);
	assert_int_equal(dw_count(k, M_DB_SNAPSHOT), 1);
	assert_null(ask_differs(k, k2));
}

/* One that takes nothing is relieved once and no more. */
static void
t_relief_deaf(void **state)
{
	(void)state;
	large(2);
	dw_conf(w)->queue_max = 2 * MB;
	dw_reconf(w);
	dw_deaf(k, true);
	change_much(3 * MB);
	dw_run(w);
	assert_true(dw_is_up(k));
	change_much(3 * MB);
	dw_run(w);
	assert_true(dw_blamed(k, LINK_OVERFLOW));
	assert_true(dw_is_up(k2));
	assert_null(dw_differs(k2));
}

/* Nothing can be sealed: what goes into the queue goes there as it is. */
static void
t_relief_parts(void **state)
{
	(void)state;
	large(2);
	dw_conf(w)->queue_max = 2 * MB;
	dw_reconf(w);
	dw_no_memfd(w);
	change_much(3 * MB / 2);
	dw_run(w);
	assert_true(dw_is_up(k));
	assert_int_equal(dw_count(k, M_DB_SNAPSHOT_PART), 0);
	assert_true(dw_count(k, M_DB_NODE_PUT) > 1);
	assert_null(ask_differs(k, k2));
}

/* Always behind, and always at it. */
static void
t_reads_much(void **state)
{
	int i;

	(void)state;
	large(2);
	dw_deaf(k, true);
	change_much(2 * MB);
	dw_run(w);
	for (i = 0; i < 15; i++) {
		change_much(4 * MB);
		dw_run(w);
		while (link_queued(dw_link(k)) > 2 * MB)
			assert_true(dw_take(k));
		dw_forget(k);
		dw_pass(w, 5 * US_PER_S);
		assert_true(dw_is_up(k));
	}
	/* No more. */
	dw_pass(w, 50 * US_PER_S);
	assert_true(dw_blamed(k, LINK_OVERFLOW));
}

/* One that is long enough for many turns is relieved at half of it, too. */
static void
t_relief_long(void **state)
{
	int i;

	(void)state;
	large(2);
	dw_conf(w)->queue_max = 132 * MB;
	dw_reconf(w);
	dw_deaf(k, true);
	for (i = 0; i < 23; i++) {
		change_much(3 * MB);
		dw_run(w);
		dw_forget(k2);
	}
	assert_in_range(link_queued(dw_link(k)), 60 * MB, 67 * MB);
	dw_deaf(k, false);
	dw_run(w);
	assert_int_equal(dw_count(k, M_DB_SNAPSHOT), 1);
	assert_null(ask_differs(k, k2));
}

/* Batches of one turn: each is a place of its own, answers follow the last. */
static void
t_batches(void **state)
{
	struct ask_lite a = { .machine = 1, .key = 1, .port = 9, .h2 = 9 };
	const struct m_db_batch *first;

	(void)state;
	large(2);
	(void)ask_lite_send(k, &a);
	dw_deliver(w);
	fill_batch();
	change_much(1);
	fill_batch();
	change_much(1);
	dw_run(w);
	assert_int_equal(dw_count(k, M_DB_NODE_PUT), 3);
	assert_int_equal(dw_count(k, M_DB_BATCH), 3);
	assert_true(dw_place(k, M_DB_BATCH, 0) <
	    dw_place(k, M_DB_NODE_PUT, 1));
	assert_true(dw_place(k, M_DB_BATCH, 2) <
	    dw_place(k, M_DB_LITE_OK, 0));
	assert_null(ask_differs(k, k2));
	first = &dw_got(k, M_DB_BATCH, 0)->u.db_batch;
	assert_true(replay_send(dw_dbd(w), dw_link(k), dw_tailnet(w),
	    first->seq, first->batch));
}

/* None of them is too much for a queue, and all of them are. */
static void
t_batches_relief(void **state)
{
	struct ask_lite a = { .machine = 1, .key = 1, .port = 9, .h2 = 9 };
	int i;

	(void)state;
	large(2);
	dw_conf(w)->queue_max = 16 * MB;
	dw_reconf(w);
	dw_run(w);
	(void)ask_lite_send(k, &a);
	dw_deliver(w);
	for (i = 0; i < 45; i++) {
		fill_batch();
		change_much(400 * 1024);
	}
	dw_run(w);
	assert_true(dw_is_up(k) && dw_is_up(k2));
	assert_int_equal(dw_count(k, M_DB_NODE_PUT), 0);
	assert_int_equal(dw_count(k, M_DB_SNAPSHOT), 1);
	assert_true(dw_place(k, M_DB_SNAPSHOT, 0) <
	    dw_place(k, M_DB_LITE_OK, 0));
	assert_null(ask_differs(k, k2));
}

/* One order that changes more than queues hold throws nobody off. */
static void
t_revoke(void **state)
{
	const struct node *n;
	uint32_t i, count;
	char why[128];

	(void)state;
	large(400);
	for (i = 3; i <= 400; i++)
		ask_stream(k, i, 9, i, i, i);
	dw_conf(w)->queue_max = 3 * MB;
	dw_reconf(w);
	dw_run(w);
	dw_forget(k);
	assert_int_equal(op_exposure_revoke(dw_dbd(w), 1, 0, &count, 0, why,
	    sizeof(why)), 0);
	assert_int_equal(count, 399);
	dw_run(w);
	assert_true(dw_is_up(k) && dw_is_up(k2));
	assert_int_equal(dw_count(k, M_DB_SNAPSHOT), 1);
	TAILQ_FOREACH(n, &dw_tailnet(w)->nodes, all)
		assert_int_equal(n->r.expiry, n->r.id == 2 ? 0 : dw_now(w));
	assert_null(ask_differs(k, k2));
}

/* A batch that ends where an operation begins: neither loses the other's. */
static void
t_turn_within(void **state)
{
	struct ask_lite a = { .machine = 1, .key = 1, .disco = 1, .h2 = 4,
	    .host = "router" };
	struct buf b = { NULL, 0, 0 }, routes = { NULL, 0, 0 };
	struct msg m;

	(void)state;
	ask_policy(w, POLICY);
	assert_int_equal(ask_join(k, 1, 1, ask_key(w, 0, true, false, 0,
	    "tag:r"), "router"), 1);
	ask_stream(k, 1, 9, 1, 7, 1);
	ask_lite_msg(k, &a, &m, &b);
	m.u.db_map_lite.hostinfo.routes = ask_prefixes(&routes, "fd00:9::/64");
	(void)dw_send(k, &m);
	dw_deliver(w);
	assert_int_equal(dw_find(w, 1)->r.approved.count, 1);
	assert_int_equal(dw_find(w, 1)->r.primary.count, 0);
	fill_batch();
	a.h2 = 5;
	a.port = 9;
	a.host = NULL;
	(void)ask_lite_send(k, &a);
	dw_run(w);
	assert_true(slice_eqs(dw_find(w, 1)->r.hostinfo.hostname, "router"));
	assert_int_equal(dw_find(w, 1)->r.endpoints.count, 1);
	assert_int_equal(dw_find(w, 1)->r.primary.count, 1);
	assert_null(dw_differs(k));
	buf_free(&b);
	buf_free(&routes);
}

int
main(void)
{
#define T(f)	cmocka_unit_test_setup_teardown(f, setup, ask_teardown)
	const struct CMUnitTest tests[] = {
		T(t_pieces),
		T(t_pieces_death),
		T(t_pieces_again),
		T(t_pieces_end),
		T(t_pieces_wait),
		T(t_pieces_behind),
		T(t_log_cut),
		T(t_log_long),
		T(t_relief),
		T(t_relief_deaf),
		T(t_relief_parts),
		T(t_reads_much),
		T(t_relief_long),
		T(t_batches),
		T(t_batches_relief),
		T(t_revoke),
		T(t_turn_within)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
