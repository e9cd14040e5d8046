/* dbd dies and comes back; so does everything. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "regress/lib/dbdask.h"

static struct dbdworld *w;
static struct dbdworker *k, *k2;
static const char *key;
static uint64_t one, two;

/* Two workers with a stream each. */
static int
setup(void **state)
{
	uint64_t alice;

	*state = w = ask_world(&k, &k2, &alice, &key);
	one = ask_join(k, 1, 1, key, "one");
	two = ask_join(k2, 2, 2, key, "two");
	ask_stream(k, 1, 1, 1, 1, one);
	ask_stream(k2, 2, 2, 2, 1, two);
	return 0;
}

static void
resume(struct dbdworker *who, uint32_t machine, uint64_t serial, uint64_t id,
    uint64_t stream, bool mapped)
{
	struct msg m;

	msg_init(&m, M_DB_RESUME);
	m.u.db_resume.tailnet = 1;
	m.u.db_resume.node = id;
	m.u.db_resume.stream = stream;
	m.u.db_resume.generation = stream;
	m.u.db_resume.h2 = 5;
	m.u.db_resume.mapped = mapped;
	dw_key(m.u.db_resume.node_key, 'n', machine);
	dw_ticket(who, machine, serial, &m.u.db_resume.ticket);
	(void)dw_send(who, &m);
}

static void
come_back(void)
{
	dw_forget(k);
	dw_forget(k2);
	dw_reconnect(k);
	dw_reconnect(k2);
	resume(k, 1, 1, one, 1, true);
	resume(k2, 2, 2, two, 1, true);
	dw_hello(k);
	dw_hello(k2);
}

/* Nothing happened meanwhile: nothing is sent but the bitmap at the end. */
static void
t_nothing_lost(void **state)
{
	(void)state;
	dw_pass(w, 31 * US_PER_S);	/* "was online" is written by now */
	dw_restart(w, false);
	assert_true(dw_find(w, one)->r.online);
	come_back();
	assert_int_equal(dw_count(k, M_DB_SNAPSHOT), 0);
	assert_int_equal(dw_count(k, M_DB_BATCH), 0);
	assert_int_equal(node_slot(dw_find(w, one)), 1);
	assert_int_equal(node_slot(dw_find(w, two)), 2);
	dw_pass(w, 5 * US_PER_S);
	assert_int_equal(dw_count(k, M_DB_ONLINE_MAP), 1);
	assert_int_equal(dw_count(k, M_DB_ONLINE), 0);
	assert_true(dw_node(k, two)->online);
	assert_null(dw_differs(k));
	assert_null(dw_differs(k2));
	/* The session is closed under the name that it always had. */
	ask_close(k, one, 1);
	assert_null(dw_find(w, one)->session);
	assert_true(dw_is_up(k));
}

/* The flag was not even written: the worker's word brings it back. */
static void
t_not_written(void **state)
{
	(void)state;
	dw_restart(w, false);
	come_back();
	assert_true(dw_find(w, one)->r.online);
	dw_pass(w, 6 * US_PER_S);
	assert_true(dw_node(k, two)->online);
	assert_null(dw_differs(k));
}

/* One does not come back: offline for all, in one message. */
static void
t_one_lost(void **state)
{
	int64_t at;

	(void)state;
	dw_pass(w, 31 * US_PER_S);
	dw_restart(w, false);
	dw_forget(k);
	dw_reconnect(k);
	resume(k, 1, 1, one, 1, true);
	dw_hello(k);
	dw_pass(w, 4 * US_PER_S);
	assert_true(dw_node(k, two)->online);
	dw_pass(w, US_PER_S);
	at = dw_now(w);
	assert_false(dw_node(k, two)->online);
	assert_int_equal(dw_node(k, two)->last_seen, at);
	assert_true(dw_node(k, one)->online);
	assert_null(dw_differs(k));
	/* Late, but welcome. */
	dw_reconnect(k2);
	resume(k2, 2, 2, two, 1, true);
	dw_hello(k2);
	assert_true(dw_node(k, two)->online);
	assert_null(dw_differs(k));
	assert_null(dw_differs(k2));
}

/* Changes that a worker did not get are played back to it, and only those. */
static void
t_replay(void **state)
{
	struct ask_lite q = { .machine = 1, .key = 1, .disco = 4, .h2 = 3 };
	char why[128];
	uint64_t three;

	(void)state;
	dw_deaf(k2, true);
	assert_true(ask_lite(k, &q)->u.db_lite_ok.changed);
	three = ask_join(k, 3, 3, key, "three");
	assert_int_equal(op_node_rename(dw_dbd(w), three, slice_str("trois"),
	    0, why, sizeof(why)), 0);
	dw_run(w);
	assert_null(dw_node(k2, three));
	dw_restart(w, false);
	dw_deaf(k2, false);
	come_back();
	assert_int_equal(dw_count(k, M_DB_NODE_PUT), 0);
	assert_int_equal(dw_count(k2, M_DB_NODE_PUT), 3);
	assert_int_equal(dw_count(k2, M_DB_BATCH), 3);
	assert_int_equal(dw_count(k2, M_DB_SNAPSHOT), 0);
	dw_pass(w, 6 * US_PER_S);
	assert_null(dw_differs(k2));
}

/* The log does not reach back so far, or was not ours: a snapshot. */
static void
t_replay_too_old(void **state)
{
	struct ask_lite q = { .machine = 1, .key = 1, .disco = 4 };
	unsigned int i;

	(void)state;
	dw_conf(w)->log_keep = 1;
	dw_conf(w)->budget_refill_ms = 0;
	dw_reconf(w);
	dw_deaf(k2, true);
	for (i = 1; i < 140; i++) {
		q.h2 = q.port = (uint16_t)i;
		assert_true(ask_lite(k, &q)->u.db_lite_ok.changed);
	}
	dw_restart(w, false);
	dw_deaf(k2, false);
	come_back();
	assert_int_equal(dw_count(k2, M_DB_NODE_PUT), 0);
	assert_int_equal(dw_count(k2, M_DB_SNAPSHOT), 1);
	dw_pass(w, 6 * US_PER_S);
	assert_null(dw_differs(k2));
	assert_null(dw_differs(k));
}

static void
t_replay_false_place(void **state)
{
	struct msg m;

	(void)state;
	dw_restart(w, false);
	dw_reconnect(k);
	dw_forget(k);
	resume(k, 1, 1, one, 1, true);
	msg_init(&m, M_DB_HAVE);
	m.u.db_have.tailnet = 1;
	m.u.db_have.seq = 1000000;
	(void)dw_send(k, &m);
	m.u.db_have.tailnet = 77;
	(void)dw_send(k, &m);
	dw_hello(k);
	assert_int_equal(dw_count(k, M_DB_SNAPSHOT), 1);
	dw_pass(w, 6 * US_PER_S);
	assert_null(dw_differs(k));
}

/* Rows of the log are input: a broken one means a snapshot, not trouble. */
static void
t_replay_broken(void **state)
{
	struct tailnet *tn;
	struct tailnet_row row;
	struct log_row log;

	(void)state;
	dw_restart(w, false);
	tn = dw_tailnet(w);
	memset(&log, 0, sizeof(log));
	log.tailnet = tn->id;
	log.seq = tn->seq + 1;
	memset(log.batch, 7, BATCH_LEN);
	log.changes = slice_mem("\0\1\0\0", 4);
	memset(&row, 0, sizeof(row));
	row.id = tn->id;
	row.name = slice_str(tn->name);
	row.stable_id = slice_str(tn->stable_id);
	row.seq = log.seq;
	memset(row.batch, 7, BATCH_LEN);
	row.policy = tn->policy;
	assert_int_equal(store_begin(dw_store(w)), 0);
	assert_int_equal(store_add_log(dw_store(w), &log), 0);
	assert_int_equal(store_put_tailnet(dw_store(w), &row), 0);
	assert_int_equal(store_commit(dw_store(w)), 0);
	dw_restart(w, false);
	come_back();
	assert_int_equal(dw_count(k, M_DB_SNAPSHOT), 1);
	assert_int_equal(dw_count(k, M_DB_BATCH), 0);
	dw_pass(w, 6 * US_PER_S);
	assert_null(dw_differs(k));
	assert_int_equal(dw_seq(k), log.seq);
}

/* A hello cannot make us keep more than there is. */
static void
t_hello_too_long(void **state)
{
	struct dbdworker *bad;
	struct msg m;
	int i, type;

	(void)state;
	for (type = 0; type < 2; type++) {
		bad = dw_worker_quiet(w, 3, (uint64_t)type + 1);
		for (i = 0; i < 5000 && dw_is_up(bad); i++) {
			if (type == 0) {
				msg_init(&m, M_DB_HAVE);
				m.u.db_have.tailnet = (uint64_t)i;
				(void)dw_send(bad, &m);
			} else
				resume(bad, 1, (uint64_t)i + 2, one,
				    (uint64_t)i, true);
			if (i % 100 == 0)
				dw_run(w);
		}
		dw_run(w);
		assert_true(dw_blamed(bad, LINK_OVERFLOW));
	}
	assert_true(dw_is_up(k2));
}

/* Who holds no node of a tailnet hears nothing of it. */
static void
t_have_without_session(void **state)
{
	(void)state;
	dw_restart(w, false);
	dw_reconnect(k);
	dw_reconnect(k2);
	dw_forget(k);
	dw_hello(k);			/* a replica, no stream */
	resume(k2, 2, 2, two, 1, true);
	dw_hello(k2);
	(void)ask_join(k2, 3, 3, key, "three");
	assert_int_equal(dw_count(k, M_DB_NODE_PUT), 0);
	assert_int_equal(dw_count(k, M_DB_SNAPSHOT), 0);
	/* Until it has one again. */
	ask_stream(k, 1, 9, 1, 2, one);
	assert_int_equal(dw_count(k, M_DB_SNAPSHOT), 1);
	assert_null(dw_differs(k));
}

/* Tickets are checked here, too. */
static void
t_resume_forged(void **state)
{
	struct msg m;

	(void)state;
	dw_restart(w, false);
	dw_reconnect(k);
	msg_init(&m, M_DB_RESUME);
	m.u.db_resume.tailnet = 1;
	m.u.db_resume.node = two;
	m.u.db_resume.stream = m.u.db_resume.generation = 1;
	dw_ticket(k2, 2, 2, &m.u.db_resume.ticket);
	(void)dw_send(k, &m);
	dw_run(w);
	assert_true(dw_blamed(k, LINK_FORGED));
	assert_null(dw_find(w, two)->session);
}

/* A node that is another machine's, or gone: that stream has ended. */
static void
t_resume_refused(void **state)
{
	const struct msg *m;

	(void)state;
	dw_restart(w, false);
	dw_reconnect(k);
	dw_forget(k);
	resume(k, 1, 1, two, 1, true);
	resume(k, 1, 1, 555, 2, true);
	/* Its end is told when it can hear it. */
	dw_run(w);
	assert_int_equal(dw_count(k, M_DB_STREAM_END), 0);
	dw_hello(k);
	assert_int_equal(dw_count(k, M_DB_STREAM_END), 2);
	m = dw_got(k, M_DB_STREAM_END, 0);
	assert_int_equal(m->u.db_stream_end.node, two);
	assert_int_equal(m->u.db_stream_end.why, 2);
	assert_true(dw_is_up(k));
	assert_null(dw_find(w, two)->session);
}

/* Two workers name one node: the newer ticket has it, whoever is first. */
static void
t_resume_twice(void **state)
{
	(void)state;
	dw_restart(w, false);
	dw_reconnect(k);
	dw_reconnect(k2);
	dw_forget(k);
	dw_forget(k2);
	resume(k2, 1, 9, one, 4, true);
	dw_hello(k2);
	resume(k, 1, 1, one, 1, true);
	dw_hello(k);
	assert_int_equal(node_slot(dw_find(w, one)), 2);
	assert_int_equal(dw_count(k, M_DB_STREAM_END), 1);
	assert_int_equal(dw_got(k, M_DB_STREAM_END,
	    0)->u.db_stream_end.why, 1);
	/* It may not have heard of it when it says that it is over. */
	ask_close(k, one, 1);
	assert_true(dw_is_up(k));
	assert_int_equal(node_slot(dw_find(w, one)), 2);
}

static void
t_resume_older_second(void **state)
{
	(void)state;
	dw_restart(w, false);
	dw_reconnect(k);
	dw_reconnect(k2);
	dw_forget(k);
	resume(k, 1, 1, one, 1, true);
	dw_hello(k);
	resume(k2, 1, 9, one, 4, false);
	dw_hello(k2);
	assert_int_equal(node_slot(dw_find(w, one)), 2);
	assert_int_equal(dw_count(k, M_DB_STREAM_END), 1);
}

/* Everything starts: nobody goes offline and online in a wave. */
static void
t_full_start(void **state)
{
	struct dbdworker *n;

	(void)state;
	dw_pass(w, 31 * US_PER_S);
	dw_restart(w, true);
	n = dw_worker(w, 1, 7);
	assert_true(dw_find(w, one)->r.online);
	assert_true(dw_find(w, two)->r.online);
	ask_stream(n, 1, 100, 1, 1, one);
	dw_pass(w, 30 * US_PER_S);
	assert_true(dw_node(n, two)->online);
	assert_int_equal(dw_count(n, M_DB_ONLINE), 0);
	/* Its stream opens and closes: grace, not the window, is its clock. */
	ask_close(n, one, 1);
	dw_pass(w, 11 * US_PER_S);
	assert_false(dw_find(w, one)->r.online);
	assert_true(dw_find(w, two)->r.online);
	ask_stream(n, 1, 101, 1, 2, one);
	dw_pass(w, 20 * US_PER_S);
	assert_false(dw_node(n, two)->online);
	assert_int_equal(dw_count(n, M_DB_ONLINE_MAP), 1);
	assert_null(dw_differs(n));
}

/* The window closes when the last one is back. */
static void
t_full_start_all_back(void **state)
{
	struct dbdworker *n;

	(void)state;
	dw_pass(w, 31 * US_PER_S);
	dw_restart(w, true);
	n = dw_worker(w, 1, 7);
	ask_stream(n, 1, 100, 1, 1, one);
	assert_int_equal(dw_count(n, M_DB_ONLINE_MAP), 0);
	ask_stream(n, 2, 101, 2, 2, two);
	assert_int_equal(dw_count(n, M_DB_ONLINE_MAP), 1);
	ask_close(n, two, 2);
	dw_pass(w, 11 * US_PER_S);
	assert_false(dw_node(n, two)->online);
	assert_null(dw_differs(n));
}

static void
on_exposure(const struct exposure_row *row, void *arg)
{
	*(struct exposure_row *)arg = *row;
}

/* What is known of exposures survives that dbd does not know it. */
static void
t_exposure(void **state)
{
	struct exposure_row row;
	char why[128];
	int64_t first = dw_now(w);
	uint32_t n;

	(void)state;
	assert_int_equal(op_exposure_revoke(dw_dbd(w), 1, 1, &n, 0, why,
	    sizeof(why)), 0);
	dw_pass(w, 10 * US_PER_S);
	dw_restart(w, false);
	come_back();
	dw_pass(w, 10 * US_PER_S);
	ask_close(k, one, 1);
	assert_int_equal(op_exposure_list(dw_dbd(w), 1, 1, on_exposure, &row),
	    0);
	assert_int_equal(row.node, one);
	assert_int_equal(row.first, first);
	assert_int_equal(row.last, first + 20);
	assert_true(row.revoked);
}

/* A clean end leaves the last word in the store. */
static void
t_finish(void **state)
{
	int64_t at;

	(void)state;
	ask_close(k, one, 1);
	dw_pass(w, 11 * US_PER_S);
	at = dw_find(w, one)->r.last_seen;
	dbd_finish(dw_dbd(w));
	assert_false(dbd_dirty(dw_dbd(w)));
	dw_restart(w, true);
	assert_false(dw_find(w, one)->r.online);
	assert_int_equal(dw_find(w, one)->r.last_seen, at);
	assert_true(dw_find(w, two)->r.online);
}

/* Ephemeral nodes whose worker never came back are reaped in time. */
static void
t_ephemeral(void **state)
{
	struct ask_reg a = { .machine = 9, .key = 9, .ephemeral = true,
	    .auth = key };
	uint64_t id;

	(void)state;
	id = ask_reg(k, &a)->u.db_reg_ok.node;
	ask_stream(k, 9, 1, 9, 9, id);
	dw_pass(w, 31 * US_PER_S);
	dw_restart(w, false);
	/* It may have been told to wait for five minutes. */
	dw_pass(w, (300 + 119) * US_PER_S);
	assert_non_null(dw_find(w, id));
	assert_false(dw_find(w, id)->r.online);
	dw_pass(w, 2 * US_PER_S);
	assert_null(dw_find(w, id));
}

/* Pieces of more than 65,536 ids each. */
static void
t_online_map_far(void **state)
{
	uint64_t id;

	(void)state;
	/* Ids are never given twice, so a gap is made by the store alone. */
	assert_int_equal(store_begin(dw_store(w)), 0);
	do {
		id = store_next_id(dw_store(w), STORE_ID_NODE);
	} while (id < 66000);
	assert_int_equal(store_commit(dw_store(w)), 0);
	id = ask_join(k, 5, 5, key, "far");
	assert_true(id > 66000);
	ask_stream(k, 5, 1, 5, 5, id);
	dw_pass(w, 31 * US_PER_S);
	dw_restart(w, false);
	come_back();
	dw_pass(w, 6 * US_PER_S);
	assert_int_equal(dw_count(k, M_DB_ONLINE_MAP), 2);
	assert_false(dw_node(k, id)->online);
	assert_true(dw_node(k, two)->online);
	assert_null(dw_differs(k));
}

int
main(void)
{
#define T(f)	cmocka_unit_test_setup_teardown(f, setup, ask_teardown)
	const struct CMUnitTest tests[] = {
		T(t_nothing_lost),
		T(t_not_written),
		T(t_one_lost),
		T(t_replay),
		T(t_replay_too_old),
		T(t_replay_false_place),
		T(t_replay_broken),
		T(t_hello_too_long),
		T(t_have_without_session),
		T(t_resume_forged),
		T(t_resume_refused),
		T(t_resume_twice),
		T(t_resume_older_second),
		T(t_full_start),
		T(t_full_start_all_back),
		T(t_exposure),
		T(t_finish),
		T(t_ephemeral),
		T(t_online_map_far)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
