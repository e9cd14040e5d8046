/* Clocks that wait, registrations that wait, and what peers must carry. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "dbd/state_int.h"
#include "regress/lib/dbdask.h"

static struct dbdworld *w;
static struct dbdworker *k, *k2;
static uint64_t alice;
static const char *key, *fleeting;

static int
setup(void **state)
{
	*state = w = ask_world(&k, &k2, &alice, &key);
	fleeting = ask_key(w, alice, true, true, 0, NULL);
	return 0;
}

static void
defer(struct dbdworker *x, uint32_t n, uint32_t seconds)
{
	struct msg m;

	msg_init(&m, M_DB_MAP_DEFER);
	dw_ticket(x, n, 2, &m.u.db_map_defer.ticket);
	dw_key(m.u.db_map_defer.node_key, 'n', n);
	m.u.db_map_defer.seconds = seconds;
	(void)dw_send(x, &m);
	dw_run(w);
}

/* An ephemeral node, machine and key 1, with a stream: its id. */
static uint64_t
fleet(void)
{
	uint64_t id = ask_join(k, 1, 1, fleeting, "one");

	ask_stream(k, 1, 1, 1, 7, id);
	return id;
}

/* Online up to that second, then there for another two minutes. */
static void
goes_at(uint64_t id, uint32_t seconds)
{
	dw_pass(w, (seconds - 1) * US_PER_S);
	assert_non_null(dw_find(w, id));
	assert_true(dw_find(w, id)->r.online);
	dw_pass(w, 2 * US_PER_S);
	assert_false(dw_find(w, id)->r.online);
	dw_pass(w, 118 * US_PER_S);
	assert_non_null(dw_find(w, id));
	dw_pass(w, 2 * US_PER_S);
	assert_null(dw_find(w, id));
}

/* It was told to wait while its old stream was still half open. */
static void
t_defer_before_close(void **state)
{
	uint64_t id = fleet();

	(void)state;
	defer(k2, 1, 300);
	dw_pass(w, US_PER_S);
	ask_close(k, id, 7);
	goes_at(id, 299 + 10);
}

/* ... or while it was taken to be online still, after a start. */
static void
t_defer_presumed(void **state)
{
	uint64_t id = fleet();

	(void)state;
	dw_pass(w, 31 * US_PER_S);
	dw_restart_with(k2, true);
	dw_pass(w, US_PER_S);
	defer(k2, 1, 300);
	goes_at(id, 300 + 10);
}

/* It keeps the longest word that it was given, until it is back. */
static void
t_defer_over(void **state)
{
	uint64_t id = fleet();

	(void)state;
	defer(k2, 1, 4000);
	defer(k2, 1, 5);
	assert_int_equal(ask_open(k2, 1, 3, 1, 8)->type, M_DB_MAP_OK);
	dw_pass(w, US_PER_S);
	ask_close(k2, id, 8);
	goes_at(id, 10);
}

/* A defer in the time until it is deleted. */
static void
t_defer_offline(void **state)
{
	uint64_t id = fleet();

	(void)state;
	ask_close(k, id, 7);
	dw_pass(w, 100 * US_PER_S);
	assert_false(dw_find(w, id)->r.online);
	defer(k2, 1, 300);
	dw_pass(w, 419 * US_PER_S);
	assert_non_null(dw_find(w, id));
	dw_pass(w, 2 * US_PER_S);
	assert_null(dw_find(w, id));
}

/*
 * A start forgets who was told to wait, so that what it finds is kept for
 * longer; not so a node that has been back since.
 */
static void
t_defer_forgotten(void **state)
{
	uint64_t one, two;

	(void)state;
	one = ask_join(k, 1, 1, fleeting, "one");
	two = ask_join(k, 2, 2, fleeting, "two");
	ask_stream(k, 1, 1, 1, 7, one);
	ask_stream(k, 2, 1, 2, 8, two);
	ask_close(k, one, 7);
	ask_close(k, two, 8);
	dw_pass(w, 60 * US_PER_S);
	defer(k, 1, 300);
	dw_restart_with(k, false);
	ask_stream(k, 2, 1, 2, 9, two);
	ask_close(k, two, 9);
	dw_pass(w, 131 * US_PER_S);
	assert_null(dw_find(w, two));
	dw_pass(w, 169 * US_PER_S);
	assert_int_equal(ask_open(k, 1, 3, 1, 10)->type, M_DB_MAP_OK);
}

/* Acknowledged again at the last moment: its map comes after that. */
static void
t_again_then_map(void **state)
{
	struct ask_reg a = { .machine = 1, .key = 1 };
	uint64_t id = fleet();

	(void)state;
	ask_close(k, id, 7);
	dw_pass(w, 129 * US_PER_S);
	assert_int_equal(ask_reg(k, &a)->u.db_reg_ok.node, id);
	dw_pass(w, 118 * US_PER_S);
	assert_int_equal(ask_open(k, 1, 2, 1, 8)->type, M_DB_MAP_OK);
	ask_close(k, id, 8);
	dw_pass(w, 132 * US_PER_S);
	assert_null(dw_find(w, id));
}

/* Over its budget a registration has to wait, and is not refused. */
static void
t_reg_waits(void **state)
{
	struct ask_reg a = { .machine = 1, .key = 1, .auth = key };
	uint32_t first, second, other;
	uint64_t id;

	(void)state;
	dw_conf(w)->budget_burst = 1;
	dw_conf(w)->budget_refill_ms = 10000;
	dw_reconf(w);
	id = ask_join(k, 1, 1, key, "one");
	a.key = 2;
	assert_int_equal(ask_reg(k, &a)->u.db_reg_ok.node, id);
	dw_pass(w, 3 * US_PER_S);
	a.key = 3;
	first = ask_reg_send(k, &a);
	dw_run(w);
	a.key = 4;
	second = ask_reg_send(k2, &a);
	dw_run(w);
	other = ask_reg_send(k, &(struct ask_reg){ .machine = 2, .key = 60,
	    .auth = key });
	dw_run(w);
	assert_non_null(dw_reply(k, other));
	assert_int_equal(dw_counts(w)->waiting, 2);
	dw_pass(w, 6 * US_PER_S);
	assert_null(dw_reply(k, first));
	dw_pass(w, 2 * US_PER_S);
	assert_int_equal(dw_reply(k, first)->u.db_reg_ok.node, id);
	assert_int_equal(dw_find(w, id)->r.node_key[4], 3);
	assert_null(dw_reply(k2, second));
	dw_pass(w, 10 * US_PER_S);
	assert_int_equal(dw_reply(k2, second)->u.db_reg_ok.node, id);
	assert_int_equal(dw_find(w, id)->r.node_key[4], 4);
	assert_int_equal(dw_counts(w)->waiting, 0);
	assert_int_equal(dw_counts(w)->delayed, 2);
}

/* What waits is judged by what is true when its turn comes. */
static void
t_reg_waits_deleted(void **state)
{
	struct ask_reg a = { .machine = 1, .key = 1, .auth = key };
	char why[128];
	uint64_t id;
	uint32_t one;

	(void)state;
	dw_conf(w)->budget_burst = 1;
	dw_reconf(w);
	id = ask_join(k, 1, 1, key, "one");
	a.key = 2;
	(void)ask_reg(k, &a);
	a.key = 3;
	one = ask_reg_send(k, &a);
	(void)ask_reg_send(k2, &a);
	dw_run(w);
	assert_int_equal(dw_counts(w)->waiting, 2);
	dw_kill(k2);
	assert_int_equal(dw_counts(w)->waiting, 1);
	assert_int_equal(op_node_delete(dw_dbd(w), id, 0, why, sizeof(why)), 0);
	dw_run(w);
	dw_pass(w, 31 * US_PER_S);
	assert_int_equal(dw_reply(k, one)->type, M_DB_REG_OK);
	assert_true(dw_reply(k, one)->u.db_reg_ok.node > id);
	assert_int_equal(dw_counts(w)->waiting, 0);
}

/* Four of a node wait; the oldest is told when there are more. */
static void
t_reg_waits_bounded(void **state)
{
	struct ask_reg a = { .machine = 1, .key = 1, .auth = key };
	uint32_t id[6], i;

	(void)state;
	dw_conf(w)->budget_burst = 1;
	dw_reconf(w);
	(void)ask_join(k, 1, 1, key, "one");
	a.key = 2;
	(void)ask_reg(k, &a);
	for (i = 0; i < 6; i++) {
		a.key = 3 + i;
		id[i] = ask_reg_send(k, &a);
		dw_run(w);
	}
	assert_int_equal(dw_counts(w)->waiting, 4);
	assert_int_equal(dw_reply(k, id[0])->type, M_DB_REG_NO);
	assert_int_equal(dw_reply(k, id[1])->type, M_DB_REG_NO);
	assert_null(dw_reply(k, id[2]));
	dw_pass(w, 100 * US_PER_S);
	for (i = 2; i < 6; i++)
		assert_int_equal(dw_reply(k, id[i])->type, M_DB_REG_OK);
}

/* A stream that was opened with a key that its node has no more. */
static void
t_resume_rekeyed(void **state)
{
	const struct msg *m;
	struct msg r;
	uint64_t id;
	unsigned int i;

	(void)state;
	id = ask_join(k, 1, 1, key, "one");
	ask_stream(k, 1, 1, 1, 7, id);
	for (i = 0; i < 2; i++) {
		dw_restart(w, false);
		dw_forget(k);
		dw_reconnect(k);
		msg_init(&r, M_DB_RESUME);
		r.u.db_resume.tailnet = 1;
		r.u.db_resume.node = id;
		r.u.db_resume.stream = r.u.db_resume.generation = 7;
		r.u.db_resume.mapped = true;
		dw_key(r.u.db_resume.node_key, 'n', 2 - i);
		dw_ticket(k, 1, 1, &r.u.db_resume.ticket);
		(void)dw_send(k, &r);
		dw_hello(k);
		m = dw_got(k, M_DB_STREAM_END, 0);
		assert_int_equal(m == NULL ? 0 : m->u.db_stream_end.why,
		    i == 0 ? 3 : 0);
		assert_int_equal(dw_find(w, id)->session != NULL, i == 1);
		/* It says what it meant to say before it heard that. */
		msg_init(&r, M_DB_MAP_CLOSE);
		r.u.db_map_close.tailnet = 1;
		r.u.db_map_close.node = id;
		r.u.db_map_close.generation = 7;
		(void)dw_send(k, &r);
		dw_run(w);
		assert_true(dw_is_up(k));
		assert_null(dw_find(w, id)->session);
	}
}

/* From tags to a user: its key is to end like those of users. */
static void
t_move_expires(void **state)
{
	const char *tagged = ask_key(w, 0, true, false, 0, "tag:a");
	struct dbd *d = dw_dbd(w);
	char why[128];
	uint64_t one, two, bob;
	int64_t now;

	(void)state;
	bob = ask_user(w, "bob");
	one = ask_join(k, 1, 1, tagged, "one");
	two = ask_join(k, 2, 2, key, "two");
	dw_conf(w)->node_expiry_s = 1000;
	dw_reconf(w);
	now = dw_now(w);
	assert_int_equal(op_node_move(d, one, bob, 0, why, sizeof(why)), 0);
	assert_int_equal(op_node_move(d, two, bob, 0, why, sizeof(why)), 0);
	dw_run(w);
	assert_int_equal(dw_find(w, one)->r.expiry, now + 1000);
	assert_int_equal(dw_find(w, two)->r.expiry, 0);
	assert_true(timer_pending(&dw_find(w, one)->expiry));
	/* An end that it has stays. */
	assert_int_equal(op_node_expire(d, two, now + 50, 0, why,
	    sizeof(why)), 0);
	assert_int_equal(op_node_move(d, two, alice, 0, why, sizeof(why)), 0);
	assert_int_equal(dw_find(w, two)->r.expiry, now + 50);
	dw_run(w);
}

static void
lite_host(uint64_t serial, const struct r_hostinfo *h)
{
	struct msg m;

	msg_init(&m, M_DB_MAP_LITE);
	dw_ticket(k, 1, serial, &m.u.db_map_lite.ticket);
	dw_key(m.u.db_map_lite.node_key, 'n', 1);
	m.u.db_map_lite.has_hostinfo = true;
	m.u.db_map_lite.hostinfo = *h;
	(void)dw_send(k, &m);
	dw_run(w);
}

/* An octet of a text may be six for those who read it. */
static void
t_fit_escaped(void **state)
{
	struct buf b = { NULL, 0, 0 };
	struct r_hostinfo h;
	const struct r_hostinfo *got;
	struct r_text t;
	char bad[255];
	uint64_t id;
	unsigned int i;

	(void)state;
	id = ask_join(k, 1, 1, key, "one");
	memset(bad, 1, sizeof(bad));
	t.v = slice_mem(bad, 200);
	memset(&h, 0, sizeof(h));
	h.hostname = slice_str("one");
	for (i = 0; i < 4; i++)
		msg_list_add(&h.ssh_host_keys, &b, MR_TEXT, &t);
	msg_list_close(&h.ssh_host_keys, &b);
	/* 800 octets here are 4,800 there. */
	lite_host(2, &h);
	got = &dw_find(w, id)->r.hostinfo;
	assert_int_equal(got->ssh_host_keys.count, 0);
	h.ssh_host_keys.count = 0;
	h.ssh_host_keys.n = 0;
	h.hostname = slice_mem(bad, 255);
	h.ipn_version = slice_mem(bad, 64);
	h.os = slice_mem(bad, 32);
	h.os_version = h.device_model = slice_mem(bad, 128);
	lite_host(3, &h);
	got = &dw_find(w, id)->r.hostinfo;
	/* 4,000 and more without host keys: then what matters least. */
	assert_int_equal(got->hostname.n, 255);
	assert_int_equal(got->os.n, 32);
	assert_int_equal(got->os_version.n, 128);
	h.package = slice_mem(bad, 64);
	h.cloud = slice_mem(bad, 32);
	lite_host(4, &h);
	got = &dw_find(w, id)->r.hostinfo;
	assert_int_equal(got->hostname.n, 255);
	assert_int_equal(got->ipn_version.n, 64);
	assert_int_equal(got->os_version.n + got->device_model.n +
	    got->package.n + got->cloud.n, 0);
	buf_free(&b);
}

/* A smaller bound counts at once, on links that stand, too. */
static void
t_queue_max(void **state)
{
	uint64_t id;
	uint32_t i;

	(void)state;
	id = ask_join(k, 1, 1, key, "one");
	ask_stream(k, 1, 1, 1, 7, id);
	dw_deaf(k, true);
	for (i = 0; i < 40; i++)
		(void)ask_join(k2, 10 + i, 10 + i, key, "peer");
	assert_true(dw_is_up(k));
	dw_conf(w)->queue_max = 1000;
	dw_reconf(w);
	(void)ask_join(k2, 90, 90, key, "peer");
	assert_true(dw_blamed(k, LINK_OVERFLOW));
}

int
main(void)
{
#define T(f)	cmocka_unit_test_setup_teardown(f, setup, ask_teardown)
	const struct CMUnitTest tests[] = {
		T(t_defer_before_close),
		T(t_defer_presumed),
		T(t_defer_over),
		T(t_defer_offline),
		T(t_defer_forgotten),
		T(t_again_then_map),
		T(t_reg_waits),
		T(t_reg_waits_deleted),
		T(t_reg_waits_bounded),
		T(t_resume_rekeyed),
		T(t_move_expires),
		T(t_fit_escaped),
		T(t_queue_max)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
