/*
 * What a rogue worker or a client in a loop could make dbd do without an end,
 * and what clocks that jump could.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/log.h"
#include "dbd/dbd_int.h"
#include "regress/lib/dbdask.h"

static struct dbdworld *w;
static struct dbdworker *k, *k2;
static uint64_t alice;
static const char *key;
static unsigned int nlines;
static char line_more[200];

static void
on_log(int level, const char *line, void *arg)
{
	(void)level;
	(void)arg;
	if (strstr(line, "registration refused") != NULL)
		nlines++;
	if (strstr(line, "registrations refused") != NULL)
		(void)strlcpy(line_more, line, sizeof(line_more));
}

static int
setup(void **state)
{
	nlines = 0;
	line_more[0] = '\0';
	*state = w = ask_world(&k, &k2, &alice, &key);
	log_capture(on_log, NULL);
	return 0;
}

static void
jump(int64_t seconds)
{
	fakeenv_set_wall(dw_env(w), dw_now(w) + seconds);
}

static int
count_audit(const struct audit_row *row, void *arg)
{
	unsigned int *n = arg;

	(void)row;
	++*n;
	return 0;
}

static unsigned int
audits(void)
{
	unsigned int n = 0;

	assert_int_equal(store_load_audit(dw_store(w), 1, 999999, count_audit,
	    &n), 0);
	return n;
}

/* Every restart of every client: no operation, no row. */
static void
t_nothing_changes(void **state)
{
	struct ask_reg a = { .machine = 1, .key = 1, .auth = key };
	uint64_t seq;
	unsigned int i, rows;

	(void)state;
	(void)ask_join(k, 1, 1, key, "one");
	seq = dw_tailnet(w)->seq;
	rows = audits();
	for (i = 0; i < 100; i++) {
		a.auth = i % 2 == 0 ? key : NULL;
		assert_int_equal(ask_reg(k, &a)->type, M_DB_REG_OK);
		assert_false(dbd_dirty(dw_dbd(w)));
	}
	assert_int_equal(dw_tailnet(w)->seq, seq);
	assert_int_equal(audits(), rows);
}

static uint64_t
waiting(void)
{
	return dw_counts(w)->waiting;
}

/* It was let in at once; else it is refused, or waits. */
static bool
let_in(const struct ask_reg *a)
{
	const struct msg *m;
	uint32_t id;
	bool in;

	id = ask_reg_send(k, a);
	dw_run(w);
	m = dw_reply(k, id);
	in = m != NULL && m->type == M_DB_REG_OK;
	dw_forget(k);
	return in;
}

/* An expiry a second earlier each time: so many, then one each ten seconds. */
static void
t_expiry_loop(void **state)
{
	struct ask_reg a = { .machine = 1, .key = 1 };
	uint64_t seq;
	int i;

	(void)state;
	(void)ask_join(k, 1, 1, key, "one");
	seq = dw_tailnet(w)->seq;
	for (i = 0; i < 30; i++) {
		a.expiry = dw_now(w) + 100000 - i;
		assert_int_equal(let_in(&a), i < 8);
	}
	assert_int_equal(dw_tailnet(w)->seq, seq + 8);
	/* What waits is little. */
	assert_true(waiting() > 0 && waiting() <= 4);
	dw_pass(w, 70 * US_PER_S);
	assert_int_equal(waiting(), 0);
	assert_true(dw_tailnet(w)->seq > seq + 8 && dw_tailnet(w)->seq <= seq +
	    12);
}

/* A new node key each time, or logout and login in turn. */
static void
t_rekey_loop(void **state)
{
	struct ask_reg a = { .machine = 1, .key = 1, .auth = key };
	struct ask_reg out = { .machine = 1, .key = 1, .expiry = ASK_PAST };
	uint64_t id, seq;
	uint32_t i, last = 0;

	(void)state;
	id = ask_join(k, 1, 1, key, "one");
	seq = dw_tailnet(w)->seq;
	for (i = 2; i < 40; i++) {
		a.key = i;
		if (let_in(&a))
			last = i;
	}
	assert_int_equal(last, 9);
	assert_int_equal(dw_tailnet(w)->seq, seq + 8);
	assert_int_equal(dw_tailnet(w)->nnodes, 1);
	/* It may always log out: that is one change and no more. */
	out.key = last;
	for (i = 0; i < 20; i++)
		assert_int_equal(ask_reg(k, &out)->type, M_DB_REG_OK);
	assert_int_equal(dw_tailnet(w)->seq, seq + 9);
	/* Other nodes have their own. */
	(void)ask_join(k, 2, 60, key, "two");
	seq = dw_tailnet(w)->seq;
	dw_pass(w, 100 * US_PER_S);
	assert_int_equal(waiting(), 0);
	assert_true(dw_tailnet(w)->seq > seq && dw_tailnet(w)->seq <= seq + 4);
	assert_int_equal(dw_tailnet(w)->nnodes, 2);
	a.key = 70;
	assert_int_equal(ask_reg(k, &a)->u.db_reg_ok.node, id);
}

static void
open_as(uint16_t capver)
{
	struct msg m;

	msg_init(&m, M_DB_MAP_OPEN);
	dw_ticket(k, 1, 1, &m.u.db_map_open.ticket);
	dw_key(m.u.db_map_open.node_key, 'n', 1);
	m.u.db_map_open.stream = 3;
	m.u.db_map_open.capver = capver;
	m.u.db_map_open.once = true;
	(void)dw_send(k, &m);
	dw_run(w);
}

/* What a stream says counts always, so that it must not cost always. */
static void
t_capver_loop(void **state)
{
	uint64_t id, seq;
	unsigned int i;

	(void)state;
	id = ask_join(k, 1, 1, key, "one");
	seq = dw_tailnet(w)->seq;
	for (i = 0; i < 50; i++)
		open_as((uint16_t)(200 + i % 2));
	assert_int_equal(dw_count(k, M_DB_MAP_OK), 50);
	assert_true(dw_tailnet(w)->seq <= seq + 8);
	dw_pass(w, 10 * US_PER_S);
	open_as(204);
	assert_int_equal(dw_find(w, id)->r.capver, 204);
}

static unsigned int
held_by(const struct dbdworker *x)
{
	struct worker *wk;
	struct exposed *e;
	unsigned int n = 0;

	TAILQ_FOREACH(wk, &dw_dbd(w)->workers, all)
		if (wk->link == dw_link(x))
			TAILQ_FOREACH(e, &wk->exposed, all)
				n++;
	return n;
}

/* Nodes that come and go leave little in memory, and that is bounded. */
static void
t_ephemeral_loop(void **state)
{
	const char *eph = ask_key(w, alice, true, true, 0, NULL);
	struct ask_reg a = { .auth = eph };
	uint64_t id;
	uint32_t i;

	(void)state;
	for (i = 1; i <= 60; i++) {
		a.machine = i;		/* one alone would have to wait */
		a.key = i;
		a.expiry = 0;
		id = ask_reg(k, &a)->u.db_reg_ok.node;
		ask_stream(k, i, i, i, i, id);
		assert_int_equal(held_by(k), 1);
		a.expiry = ASK_PAST;
		assert_int_equal(ask_reg(k, &a)->type, M_DB_REG_OK);
		assert_null(dw_find(w, id));
		dw_forget(k);
	}
	assert_int_equal(held_by(k), 0);
	assert_int_equal(dw_tailnet(w)->nnodes, 0);
	assert_int_equal(dw_tailnet(w)->nrests, 60);
	/* No more than that within an hour. */
	dw_tailnet(w)->nrests += dw_conf(w)->max_nodes + 65536 - 60;
	a.expiry = 0;
	a.key = 99;
	assert_int_equal(ask_reg(k, &a)->type, M_DB_REG_NO);
	dw_tailnet(w)->nrests -= dw_conf(w)->max_nodes + 65536 - 60;
	dw_pass(w, 3601 * US_PER_S);
	assert_int_equal(ask_reg(k, &a)->type, M_DB_REG_OK);
	assert_int_equal(dw_tailnet(w)->nrests, 0);
}

/* Request ids that count down do not keep all answers. */
static void
t_ids_down(void **state)
{
	struct ask_lite q = { .machine = 1, .key = 1, .disco = 1 };
	struct buf b = { NULL, 0, 0 };
	struct msg m;
	uint32_t i, top = UINT32_MAX;

	(void)state;
	dw_conf(w)->budget_refill_ms = 0;
	dw_reconf(w);
	(void)ask_join(k, 1, 1, key, "one");
	for (i = 1; i < 21000; i++) {
		q.h2 = i;
		q.port = (uint16_t)i;
		ask_lite_msg(k, &q, &m, &b);
		dw_send_again(k, &m, i < 100 ? top - i : 3000000 - i);
		buf_clear(&b);
		if (i % 256 == 0) {
			dw_run(w);
			dw_forget(k);
		}
	}
	dw_run(w);
	assert_true(dw_is_up(k));
	assert_int_equal(ask_result(w, 1, 1, top - 50), 1);
	assert_int_equal(ask_result(w, 1, 1, 3000000 - 200), 0);
	buf_free(&b);
}

/* Anybody can be refused, as often as he likes. */
static void
t_log_lines(void **state)
{
	struct ask_reg a = { .machine = 1, .auth = "hskey-auth-none" };
	uint32_t i;

	(void)state;
	for (i = 1; i <= 100; i++) {
		a.key = i;
		assert_true(ask_refused(ask_reg(k, &a), "invalid auth key"));
	}
	assert_int_equal(nlines, 20);
	dw_pass(w, 11 * US_PER_S);
	assert_int_equal(ask_reg(k, &a)->type, M_DB_REG_NO);
	assert_string_equal(line_more, "registrations refused more=80");
	assert_int_equal(nlines, 21);
}

/* The second DB_HAVE of a tailnet says nothing any more. */
static void
t_have_twice(void **state)
{
	uint64_t id, seq;
	struct msg m, r;
	int i;

	(void)state;
	id = ask_join(k, 1, 1, key, "one");
	ask_stream(k, 1, 1, 1, 1, id);
	seq = dw_seq(k);
	msg_init(&m, M_DB_HAVE);
	m.u.db_have.tailnet = 1;
	m.u.db_have.seq = seq;
	memcpy(m.u.db_have.batch, dw_tailnet(w)->batch, BATCH_LEN);
	(void)ask_join(k2, 2, 2, key, "two");
	dw_restart(w, false);
	dw_reconnect(k);
	dw_forget(k);
	msg_init(&r, M_DB_RESUME);
	r.u.db_resume.tailnet = 1;
	r.u.db_resume.node = id;
	r.u.db_resume.stream = r.u.db_resume.generation = 1;
	r.u.db_resume.mapped = true;
	dw_key(r.u.db_resume.node_key, 'n', 1);
	dw_ticket(k, 1, 1, &r.u.db_resume.ticket);
	(void)dw_send(k, &r);
	for (i = 0; i < 50; i++)
		(void)dw_send(k, &m);
	dw_hello(k);
	assert_int_equal(dw_count(k, M_DB_NODE_PUT), 1);
	assert_int_equal(dw_count(k, M_DB_SNAPSHOT), 0);
	assert_null(dw_differs(k));
}

/* Audit rows: the newest hundred thousand, and not older than a year. */
static void
t_audit_trim(void **state)
{
	struct audit_row row;
	char name[32], why[128];
	uint64_t one;
	unsigned int i;

	(void)state;
	one = ask_join(k, 1, 1, key, "one");
	memset(&row, 0, sizeof(row));
	row.tailnet = 1;
	row.at = dw_now(w);
	row.what = "test";
	assert_int_equal(store_begin(dw_store(w)), 0);
	for (i = 0; i < 100500; i++)
		assert_int_equal(store_add_audit(dw_store(w), &row), 0);
	assert_int_equal(store_commit(dw_store(w)), 0);
	for (i = 0; i < 1200; i++) {
		(void)snprintf(name, sizeof(name), "n%u", i);
		assert_int_equal(op_node_rename(dw_dbd(w), one,
		    slice_str(name), 0, why, sizeof(why)), 0);
	}
	dw_run(w);
	assert_true(audits() <= 101000);
	assert_true(audits() >= 100000);
	/* The sweep does it, too, and what is old goes in time. */
	dw_pass(w, 3700 * US_PER_S);
	assert_int_equal(audits(), 100000);
	jump(400 * 86400LL);
	dw_pass(w, 3700 * US_PER_S);
	assert_int_equal(audits(), 98000);
	for (i = 0; i < 60; i++)
		dw_pass(w, 3601 * US_PER_S);
	/* Not all: who knows whether the clock is right. */
	assert_int_equal(audits(), 1000);
}

/* Clocks. */

static void
small_prefix(void)
{
	assert_true(prefix_parse(&dw_conf(w)->prefix4,
	    slice_str("100.64.0.0/30")));	/* two nodes */
	dw_reconf(w);
}

static void
forget_node(uint64_t id)
{
	char why[128];

	assert_int_equal(op_node_delete(dw_dbd(w), id, 0, why, sizeof(why)),
	    0);
	dw_run(w);
}

/* An hour is an hour, whatever the wall clock says. */
static void
t_rest_clock(void **state)
{
	struct ask_reg a = { .machine = 3, .key = 3, .auth = key };
	uint64_t one, two;

	(void)state;
	small_prefix();
	one = ask_join(k, 1, 1, key, "one");
	two = ask_join(k, 2, 2, key, "two");
	forget_node(one);
	jump(7200);
	assert_true(ask_refused(ask_reg(k, &a),
	    "no free address is left in 100.64.0.0/30"));
	dw_pass(w, 1800 * US_PER_S);
	forget_node(two);
	dw_pass(w, 1801 * US_PER_S);
	/* The first one's is over, the second one's is half over. */
	one = ask_reg(k, &a)->u.db_reg_ok.node;
	assert_int_equal(dw_find(w, one)->r.ip4.b[3], 1);
	assert_int_equal(dw_tailnet(w)->nrests, 1);
	/* That is still known when dbd starts again. */
	dw_restart(w, false);
	assert_int_equal(dw_tailnet(w)->nrests, 1);
	k = dw_worker(w, 1, 2);
	a.machine = a.key = 4;
	assert_int_equal(ask_reg(k, &a)->type, M_DB_REG_NO);
	jump(-86400);
	dw_pass(w, 1801 * US_PER_S);
	assert_int_equal(ask_reg(k, &a)->type, M_DB_REG_OK);
	/* Backwards, and longer than an hour to come: an hour. */
	forget_node(one);
	jump(-86400);
	dw_restart(w, false);
	k = dw_worker(w, 1, 3);
	a.machine = a.key = 5;
	assert_int_equal(ask_reg(k, &a)->type, M_DB_REG_NO);
	dw_pass(w, 3601 * US_PER_S);
	assert_int_equal(ask_reg(k, &a)->type, M_DB_REG_OK);
}

/* Grace, the ephemeral clock and the budget go by the other clock. */
static void
t_node_clocks(void **state)
{
	const char *eph = ask_key(w, alice, true, true, 0, NULL);
	struct ask_lite q = { .machine = 1, .key = 1, .disco = 1 };
	int64_t by[2] = { -3600, 7200 };
	uint64_t id, young;
	uint32_t i, n, h2 = 0;

	(void)state;
	for (i = 0; i < 2; i++) {
		id = ask_join(k, 1, 1, eph, "one");
		young = ask_join(k, 2, 2, eph, "two");
		ask_stream(k, 1, i + 1, 1, 1, id);
		q.serial = i + 1;
		for (n = 0; n < 9; n++) {
			q.h2 = ++h2;
			q.port++;
			(void)ask_lite_send(k, &q);
		}
		dw_run(w);
		assert_non_null(dw_find(w, id)->wait);
		ask_close(k, id, 1);
		jump(by[i]);
		dw_pass(w, 9 * US_PER_S);
		assert_true(dw_find(w, id)->r.online);
		assert_non_null(dw_find(w, id)->wait);
		dw_pass(w, 2 * US_PER_S);
		assert_false(dw_find(w, id)->r.online);
		assert_null(dw_find(w, id)->wait);
		dw_pass(w, 118 * US_PER_S);
		assert_non_null(dw_find(w, id));
		dw_pass(w, 3 * US_PER_S);
		assert_null(dw_find(w, id));
		/* The one that never came has half an hour. */
		assert_non_null(dw_find(w, young));
		dw_pass(w, 1700 * US_PER_S);
		assert_null(dw_find(w, young));
	}
}

/* A key's end is a time of day: told once when it is reached. */
static void
t_expiry_clock(void **state)
{
	struct ask_reg a = { .machine = 1, .key = 1, .auth = key };
	uint64_t id;

	(void)state;
	a.expiry = dw_now(w) + 100;
	id = ask_reg(k, &a)->u.db_reg_ok.node;
	ask_stream(k, 1, 1, 1, 1, id);
	dw_forget(k);
	jump(-3600);
	dw_pass(w, 3600 * US_PER_S);
	assert_int_equal(dw_count(k, M_DB_NODE_PUT), 0);
	dw_pass(w, 101 * US_PER_S);
	assert_int_equal(dw_count(k, M_DB_NODE_PUT), 1);
	/* Forwards: as soon as the clock is looked at. */
	dw_pass(w, 20 * US_PER_S);
	a.expiry = dw_now(w) + 10000;
	assert_int_equal(ask_reg(k, &a)->type, M_DB_REG_OK);
	dw_forget(k);
	jump(20000);
	dw_pass(w, 3601 * US_PER_S);
	assert_int_equal(dw_count(k, M_DB_NODE_PUT), 1);
	assert_null(dw_differs(k));
}

int
main(void)
{
#define T(f)	cmocka_unit_test_setup_teardown(f, setup, ask_teardown)
	const struct CMUnitTest tests[] = {
		T(t_nothing_changes),
		T(t_expiry_loop),
		T(t_rekey_loop),
		T(t_capver_loop),
		T(t_ephemeral_loop),
		T(t_ids_down),
		T(t_log_lines),
		T(t_have_twice),
		T(t_audit_trim),
		T(t_rest_clock),
		T(t_node_clocks),
		T(t_expiry_clock)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
