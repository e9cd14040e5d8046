/* Lite updates, their budgets, and workers that do not read of them. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "regress/lib/dbdask.h"

static struct dbdworld *w;
static struct dbdworker *k, *k2;
static const char *key;

static int
setup(void **state)
{
	uint64_t alice;

	*state = w = ask_world(&k, &k2, &alice, &key);
	return 0;
}

/* Of its first endpoint. */
static unsigned int
port_of(const struct node *n)
{
	struct msg_list eps = n->r.endpoints;
	struct r_addr a;

	return msg_list_next(&eps, MR_ADDR, &a) ? a.v.port : 0;
}

static void
t_lite(void **state)
{
	struct ask_lite q = { .machine = 1, .key = 1, .disco = 4, .h2 = 3,
	    .port = 41641, .derp = 2, .host = "one" };
	const struct msg *m;
	uint64_t id, before;

	(void)state;
	id = ask_join(k, 1, 1, key, "one");
	ask_stream(k, 1, 1, 1, 1, id);
	m = ask_lite(k, &q);
	assert_int_equal(m->type, M_DB_LITE_OK);
	assert_true(m->u.db_lite_ok.changed);
	assert_int_equal(dw_node(k, id)->endpoints.count, 1);
	assert_true(dw_node(k, id)->published);
	assert_int_equal(dw_node(k, id)->home_derp, 2);
	/* The same again is no operation. */
	before = ask_seq(w);
	dw_forget(k);
	q.h2 = 5;
	m = ask_lite(k, &q);
	assert_false(m->u.db_lite_ok.changed);
	assert_int_equal(ask_seq(w), before);
	assert_int_equal(dw_count(k, M_DB_NODE_PUT), 0);
	/* Home DERP 0 keeps; no Hostinfo keeps; no endpoints clears. */
	q.h2 = 7;
	q.derp = 0;
	q.host = NULL;
	q.port = 0;
	m = ask_lite(k, &q);
	assert_true(m->u.db_lite_ok.changed);
	assert_int_equal(dw_find(w, id)->r.home_derp, 2);
	assert_int_equal(dw_find(w, id)->r.endpoints.count, 0);
	assert_true(slice_eqs(dw_find(w, id)->r.hostinfo.os, "linux"));
	/* Another disco key. */
	q.h2 = 9;
	q.disco = 5;
	assert_true(ask_lite(k, &q)->u.db_lite_ok.changed);
	assert_int_equal(dw_node(k, id)->disco_key[4], 5);
	assert_null(ask_differs(k, k2));
}

/* Trap 38: what comes late must not undo what is newer. */
static void
t_lite_late(void **state)
{
	struct ask_lite q = { .machine = 1, .serial = 5, .key = 1, .disco = 4,
	    .h2 = 9 };
	const struct msg *m;
	uint64_t id;

	(void)state;
	id = ask_join(k, 1, 1, key, "one");
	assert_true(ask_lite(k, &q)->u.db_lite_ok.changed);
	q.disco = 3;
	q.h2 = 7;
	m = ask_lite(k, &q);
	assert_false(m->u.db_lite_ok.changed);
	assert_true(m->u.db_lite_ok.replaced);
	q.serial = 4;
	q.h2 = 100;
	assert_true(ask_lite(k, &q)->u.db_lite_ok.replaced);
	assert_int_equal(dw_find(w, id)->r.disco_key[4], 4);
	q.serial = 6;
	q.h2 = 1;
	assert_true(ask_lite(k, &q)->u.db_lite_ok.changed);
	assert_int_equal(dw_find(w, id)->r.disco_key[4], 3);
}

static void
t_lite_refused(void **state)
{
	struct ask_lite q = { .machine = 1, .key = 2, .disco = 4 };
	const struct msg *m;
	uint64_t id;

	(void)state;
	id = ask_join(k, 1, 1, key, "one");
	m = ask_lite(k, &q);
	assert_int_equal(m->u.db_lite_no.status, 404);
	q.key = 1;
	q.machine = 2;
	m = ask_lite(k, &q);
	assert_int_equal(m->u.db_lite_no.status, 403);
	assert_true(ask_refused(m, "node not found"));
	assert_true(key_is_zero(dw_find(w, id)->r.disco_key));
	assert_true(dw_is_up(k));
}

static void
t_lite_link_local(void **state)
{
	static const char *const ep[] = { "[fe80::1]:1", "192.0.2.1:2",
	    "[2001:db8::1]:3", "169.254.1.1:4" };
	struct buf b = { NULL, 0, 0 };
	struct msg_list eps;
	struct r_addr a;
	struct msg m;
	uint64_t id;
	size_t i;

	(void)state;
	id = ask_join(k, 1, 1, key, "one");
	msg_init(&m, M_DB_MAP_LITE);
	dw_ticket(k, 1, 1, &m.u.db_map_lite.ticket);
	dw_key(m.u.db_map_lite.node_key, 'n', 1);
	for (i = 0; i < sizeof(ep) / sizeof(ep[0]); i++) {
		assert_true(ipport_parse(&a.v, slice_str(ep[i])));
		msg_list_add(&m.u.db_map_lite.endpoints, &b, MR_ADDR, &a);
	}
	msg_list_close(&m.u.db_map_lite.endpoints, &b);
	(void)dw_send(k, &m);
	dw_run(w);
	buf_free(&b);
	eps = dw_find(w, id)->r.endpoints;
	assert_int_equal(eps.count, 3);
	assert_true(msg_list_next(&eps, MR_ADDR, &a));
	assert_int_equal(a.v.port, 2);
	/* No disco key yet: peers hear nothing of it. */
	assert_false(dw_find(w, id)->r.published);
}

static void
t_lite_rename(void **state)
{
	struct ask_lite q = { .machine = 1, .key = 1, .host = "two" };
	char why[128];
	uint64_t one, two;

	(void)state;
	one = ask_join(k, 1, 1, key, "one");
	two = ask_join(k, 2, 2, key, "two");
	assert_true(ask_lite(k, &q)->u.db_lite_ok.changed);
	assert_true(slice_eqs(dw_find(w, one)->r.name, "two-1"));
	/* Other text, same label: the name stays. */
	q.h2 = 2;
	q.host = "TWO";
	assert_true(ask_lite(k, &q)->u.db_lite_ok.changed);
	assert_true(slice_eqs(dw_find(w, one)->r.name, "two-1"));
	/* An administrator's name stays. */
	assert_int_equal(op_node_rename(dw_dbd(w), two, slice_str("boss"), 0,
	    why, sizeof(why)), 0);
	q.machine = q.key = 2;
	q.host = "three";
	assert_true(ask_lite(k, &q)->u.db_lite_ok.changed);
	assert_true(slice_eqs(dw_find(w, two)->r.name, "boss"));
	dw_restart(w, true);
	assert_true(dw_find(w, two)->renamed);
}

/* Burst, then one each refill; a newer request replaces the waiting one. */
static void
t_budget(void **state)
{
	struct ask_lite q = { .machine = 1, .key = 1, .disco = 1 };
	uint32_t first, second;
	uint64_t id;
	uint16_t i;

	(void)state;
	dw_conf(w)->budget_burst = 3;
	dw_reconf(w);
	id = ask_join(k, 1, 1, key, "one");
	for (i = 1; i <= 3; i++) {
		q.h2 = q.port = i;
		assert_true(ask_lite(k, &q)->u.db_lite_ok.changed);
	}
	q.h2 = q.port = 4;
	first = ask_lite_send(k, &q);
	dw_pass(w, US_PER_S);
	assert_null(dw_reply(k, first));
	assert_int_equal(dw_counts(w)->waiting, 1);
	assert_int_equal(dw_counts(w)->replaced, 0);
	q.h2 = q.port = 5;
	second = ask_lite_send(k, &q);
	dw_pass(w, US_PER_S);
	assert_int_equal(dw_counts(w)->replaced, 1);
	assert_true(dw_reply(k, first)->u.db_lite_ok.replaced);
	assert_false(dw_reply(k, first)->u.db_lite_ok.changed);
	assert_null(dw_reply(k, second));
	dw_pass(w, 9 * US_PER_S);
	assert_true(dw_reply(k, second)->u.db_lite_ok.changed);
	assert_int_equal(port_of(dw_find(w, id)), 5);
	assert_int_equal(dw_counts(w)->lites, 5);
	assert_int_equal(dw_counts(w)->delayed, 2);
	assert_int_equal(dw_counts(w)->waiting, 0);

	/* Back to what is stored: the waiting one has no purpose left. */
	q.h2 = q.port = 6;
	first = ask_lite_send(k, &q);
	dw_run(w);
	q.h2 = 7;
	q.port = 5;
	assert_false(ask_lite(k, &q)->u.db_lite_ok.changed);
	assert_true(dw_reply(k, first)->u.db_lite_ok.replaced);
	/* Tokens come back, up to the burst. */
	dw_pass(w, 200 * US_PER_S);
	for (i = 10; i <= 12; i++) {
		q.h2 = q.port = i;
		assert_true(ask_lite(k, &q)->u.db_lite_ok.changed);
	}
	q.h2 = q.port = 13;
	first = ask_lite_send(k, &q);
	dw_run(w);
	assert_null(dw_reply(k, first));
	/* Its worker dies: nobody waits any more. */
	assert_int_equal(dw_counts(w)->waiting, 1);
	dw_kill(k);
	assert_int_equal(dw_counts(w)->waiting, 0);
	dw_pass(w, 60 * US_PER_S);
	assert_int_equal(port_of(dw_find(w, id)), 12);
}

/* A node that is deleted while its update waits. */
static void
t_budget_deleted(void **state)
{
	struct ask_lite q = { .machine = 1, .key = 1, .disco = 1, .port = 1 };
	char why[128];
	uint32_t first;
	uint64_t id;

	(void)state;
	dw_conf(w)->budget_burst = 1;
	dw_reconf(w);
	id = ask_join(k, 1, 1, key, "one");
	assert_true(ask_lite(k, &q)->u.db_lite_ok.changed);
	q.h2 = q.port = 2;
	first = ask_lite_send(k, &q);
	dw_run(w);
	assert_null(dw_reply(k, first));
	assert_int_equal(op_node_delete(dw_dbd(w), id, 0, why, sizeof(why)),
	    0);
	dw_run(w);
	assert_non_null(dw_reply(k, first));
	dw_pass(w, 60 * US_PER_S);
	assert_null(dw_find(w, id));
}

static void
many(struct msg_list *list, struct buf *b, enum msg_rec rec, unsigned int n)
{
	static const char long_text[] = "ssh-ed25519 "
	    "AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	    "AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	    "AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
	struct r_service s = { slice_str("peerapi-dns-proxy-and-more"), 1 };
	struct r_text t = { slice_str(long_text) };

	while (n-- > 0)
		msg_list_add(list, b, rec, rec == MR_TEXT ? (const void *)&t :
		    (const void *)&s);
	msg_list_close(list, b);
}

/* Peers are not made to carry more than 4 KB: services go, then host keys. */
static void
t_fit(void **state)
{
	static const struct {
		unsigned int	 services, keys, left_services, left_keys;
	} row[] = {
		{ 40, 4, 40, 4 },
		{ 64, 14, 0, 14 },
		{ 64, 16, 0, 16 },
		{ 1, 16, 1, 16 }
	};
	struct buf b = { NULL, 0, 0 }, c = { NULL, 0, 0 };
	struct r_hostinfo *h;
	struct msg m;
	uint64_t id;
	size_t i;

	(void)state;
	id = ask_join(k, 1, 1, key, "one");
	for (i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		buf_clear(&b);
		buf_clear(&c);
		msg_init(&m, M_DB_MAP_LITE);
		dw_ticket(k, 1, i + 1, &m.u.db_map_lite.ticket);
		dw_key(m.u.db_map_lite.node_key, 'n', 1);
		m.u.db_map_lite.has_hostinfo = true;
		h = &m.u.db_map_lite.hostinfo;
		h->hostname = slice_str("one");
		many(&h->services, &b, MR_SERVICE, row[i].services);
		many(&h->ssh_host_keys, &c, MR_TEXT, row[i].keys);
		(void)dw_send(k, &m);
		dw_run(w);
		h = &dw_find(w, id)->r.hostinfo;
		assert_int_equal(h->services.count, row[i].left_services);
		assert_int_equal(h->ssh_host_keys.count, row[i].left_keys);
		assert_int_equal(strstr(ask_logged(),
		    "left_out=services") != NULL, i > 0);
	}
	/* The longest texts of all fields: host keys have to go, too. */
	{
		static char text[256];

		memset(text, '"', 255);	/* two octets each in JSON */
		msg_init(&m, M_DB_MAP_LITE);
		dw_ticket(k, 1, 100, &m.u.db_map_lite.ticket);
		dw_key(m.u.db_map_lite.node_key, 'n', 1);
		m.u.db_map_lite.has_hostinfo = true;
		h = &m.u.db_map_lite.hostinfo;
		h->hostname = slice_mem(text, 255);
		h->os_version = slice_mem(text, 128);
		h->ipn_version = h->exit_node_id = h->app =
		    slice_mem(text, 64);
		h->device_model = slice_mem(text, 128);
		h->services_hash = slice_mem(text, 128);
		buf_clear(&b);
		many(&h->ssh_host_keys, &b, MR_TEXT, 16);
		(void)dw_send(k, &m);
		dw_run(w);
		h = &dw_find(w, id)->r.hostinfo;
		assert_int_equal(h->ssh_host_keys.count, 0);
		assert_int_equal(h->device_model.n, 128);
		assert_non_null(strstr(ask_logged(),
		    "left_out=services,ssh_host_keys"));
	}
	buf_free(&b);
	buf_free(&c);
}

/* A node with a stream at each worker, and no budget; the first one's id. */
static uint64_t
two_streams(void)
{
	uint64_t one, two;

	dw_conf(w)->budget_refill_ms = 0;
	dw_reconf(w);
	one = ask_join(k, 1, 1, key, "one");
	two = ask_join(k2, 2, 2, key, "two");
	ask_stream(k, 1, 1, 1, 1, one);
	ask_stream(k2, 2, 1, 2, 1, two);
	return one;
}

/* A worker that does not read is replaced; others do not notice. */
static void
t_overflow(void **state)
{
	struct ask_lite q = { .machine = 2, .key = 2, .disco = 1 };
	struct node *n;
	uint64_t one;
	unsigned int i;

	(void)state;
	/* Links that are up take the new bound, too. */
	dw_conf(w)->queue_max = 20000;
	one = two_streams();
	dw_deaf(k, true);
	for (i = 1; i < 200; i++) {
		q.h2 = i;
		q.port = (uint16_t)i;
		assert_true(ask_lite(k2, &q)->u.db_lite_ok.changed);
	}
	assert_true(dw_blamed(k, LINK_OVERFLOW));
	assert_int_equal(dw_counts(w)->behind, 1);
	n = dw_find(w, one);
	assert_null(n->session);
	assert_true(dw_is_up(k2));
	assert_null(dw_differs(k2));
}

/* Nor one that takes all the time in the world. */
static void
t_slow(void **state)
{
	struct ask_lite q = { .machine = 2, .key = 2, .disco = 1 };
	unsigned int i;

	(void)state;
	(void)two_streams();
	dw_deaf(k, true);
	for (i = 1; i < 5000; i++) {
		q.h2 = i;
		q.port = (uint16_t)i;
		(void)ask_lite_send(k2, &q);
		if (i % 100 == 0)
			dw_run(w);
	}
	dw_run(w);
	dw_pass(w, 29 * US_PER_S);
	assert_true(dw_is_up(k));
	dw_pass(w, 20 * US_PER_S);
	assert_true(dw_blamed(k, LINK_OVERFLOW));
	assert_true(dw_is_up(k2));
}

/* Node two has new endpoints: its peers' workers are told. */
static void
move_two(uint32_t h2)
{
	struct ask_lite q = { .machine = 2, .key = 2, .disco = 1 };

	q.h2 = h2;
	q.port = (uint16_t)h2;
	assert_true(ask_lite(k2, &q)->u.db_lite_ok.changed);
}

/* One that takes nothing at all, of however little. */
static void
t_stuck(void **state)
{
	(void)state;
	(void)two_streams();
	/* Silence is no offence. */
	dw_pass(w, 100 * US_PER_S);
	assert_true(dw_is_up(k));
	dw_deaf(k, true);
	dw_pass(w, 100 * US_PER_S);
	assert_true(dw_is_up(k));
	move_two(1);
	assert_true(link_queued(dw_link(k)) > 0);
	assert_true(link_queued(dw_link(k)) < 1024);
	dw_pass(w, 29 * US_PER_S);
	assert_true(dw_is_up(k));
	dw_pass(w, 7 * US_PER_S);
	assert_true(dw_blamed(k, LINK_OVERFLOW));
	assert_non_null(strstr(ask_logged(), "worker 1 does not read"));
	assert_int_equal(dw_counts(w)->behind, 1);
	assert_true(dw_is_up(k2));
	assert_null(dw_differs(k2));
}

/* One that takes a little now and then, though its queue only grows. */
static void
t_not_stuck(void **state)
{
	uint32_t i, h2 = 0;
	size_t before;

	(void)state;
	(void)two_streams();
	dw_deaf(k, true);
	for (i = 0; i < 10; i++) {
		before = link_queued(dw_link(k));
		move_two(++h2);
		move_two(++h2);
		move_two(++h2);
		dw_pass(w, 14 * US_PER_S);
		move_two(++h2);
		assert_true(dw_take(k));
		dw_pass(w, 14 * US_PER_S);
		assert_true(link_queued(dw_link(k)) > before);
		assert_true(dw_is_up(k));
	}
	assert_true(link_queued(dw_link(k)) < 1024 * 1024);
	dw_deaf(k, false);
	dw_pass(w, 60 * US_PER_S);
	assert_true(dw_is_up(k));
	assert_null(dw_differs(k));
}

/* dbd stood still itself: nobody is to blame for that. */
static void
t_stuck_leap(void **state)
{
	(void)state;
	(void)two_streams();
	dw_deaf(k, true);
	move_two(1);
	dw_pass(w, 6 * US_PER_S);
	fakeenv_leap(dw_env(w), 300 * US_PER_S);
	dw_run(w);
	assert_true(dw_is_up(k));
	dw_deaf(k, false);
	dw_pass(w, 100 * US_PER_S);
	assert_true(dw_is_up(k));
	assert_null(dw_differs(k));
}

/* Answers are kept while they may be asked for, and no longer. */
static void
t_results(void **state)
{
	struct ask_lite q = { .machine = 1, .key = 1, .disco = 1 };
	uint32_t i, first = 0, last = 0;

	(void)state;
	dw_conf(w)->budget_refill_ms = 0;
	dw_reconf(w);
	(void)ask_join(k, 1, 1, key, "one");
	for (i = 1; i < 21000; i++) {
		q.h2 = i;
		q.port = (uint16_t)i;
		last = ask_lite_send(k, &q);
		if (i == 1)
			first = last;
		if (i % 256 == 0) {
			dw_run(w);
			dw_forget(k);
		}
	}
	dw_run(w);
	assert_int_equal(ask_result(w, 1, 1, last), 1);
	assert_int_equal(ask_result(w, 1, 1, first), 0);
	/* The next instance of the slot has come. */
	dw_kill(k);
	(void)dw_worker(w, 1, 5);
	assert_int_equal(ask_result(w, 1, 1, last), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f)	cmocka_unit_test_setup_teardown(f, setup, ask_teardown)
		T(t_lite), T(t_lite_late), T(t_lite_refused),
		T(t_lite_link_local), T(t_lite_rename), T(t_budget),
		T(t_budget_deleted), T(t_fit), T(t_overflow), T(t_slow),
		T(t_stuck), T(t_not_stuck), T(t_stuck_leap),
		T(t_results)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
