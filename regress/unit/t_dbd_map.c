/* Map streams, the clocks of nodes, and workers that lie about them. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "regress/lib/dbdask.h"

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

/* The snapshot, then changes, then the reply. */
static void
t_open(void **state)
{
	const struct msg *m;
	uint64_t one, two;

	(void)state;
	one = ask_join(k, 1, 1, key, "one");
	m = ask_open(k, 1, 1, 1, 7);
	assert_int_equal(m->type, M_DB_MAP_OK);
	assert_int_equal(m->u.db_map_ok.node, one);
	assert_int_equal(m->u.db_map_ok.generation, 7);
	assert_int_equal(m->u.db_map_ok.seq, ask_seq(w));
	assert_true(dw_place(k, M_DB_SNAPSHOT, 0) <
	    dw_place(k, M_DB_MAP_OK, 0));
	assert_int_equal(dw_seq(k), ask_seq(w));
	assert_false(dw_node(k, one)->online);
	/* A change reaches holders before its asker has the answer. */
	dw_forget(k);
	two = ask_join(k, 2, 2, key, "two");
	assert_true(dw_place(k, M_DB_NODE_PUT, 0) <
	    dw_place(k, M_DB_BATCH, 0));
	assert_true(dw_place(k, M_DB_BATCH, 0) <
	    dw_place(k, M_DB_REG_OK, 0));
	assert_non_null(dw_node(k, two));
	assert_int_equal(dw_count(k, M_DB_SNAPSHOT), 0);
	assert_int_equal(dw_count(k2, M_DB_NODE_PUT), 0);
	assert_null(ask_differs(k, k2));
}

/* A snapshot in the turn of a change holds it already. */
static void
t_open_in_batch(void **state)
{
	struct ask_lite q = { .machine = 1, .key = 1, .disco = 4, .h2 = 1 };
	struct msg m;

	(void)state;
	(void)ask_join(k, 1, 1, key, "one");
	(void)ask_lite_send(k, &q);
	msg_init(&m, M_DB_MAP_OPEN);
	dw_ticket(k2, 1, 2, &m.u.db_map_open.ticket);
	dw_key(m.u.db_map_open.node_key, 'n', 1);
	m.u.db_map_open.stream = 1;
	m.u.db_map_open.capver = 131;
	(void)dw_send(k2, &m);
	dw_run(w);
	assert_int_equal(dw_count(k2, M_DB_SNAPSHOT), 1);
	assert_int_equal(dw_count(k2, M_DB_NODE_PUT), 0);
	assert_null(ask_differs(k, k2));
}

static void
t_no_memfd(void **state)
{
	const struct m_db_snapshot_part *p;
	uint32_t i;

	(void)state;
	dw_no_memfd(w);
	(void)ask_join(k, 1, 1, key, "one");
	(void)ask_join(k, 2, 2, key, "two");
	(void)ask_open(k, 1, 1, 1, 7);
	assert_int_equal(dw_count(k, M_DB_SNAPSHOT), 0);
	assert_int_equal(dw_count(k, M_DB_NODE_PUT), 0);
	assert_int_equal(dw_count(k, M_DB_SNAPSHOT_PART), 1);
	assert_true(dw_place(k, M_DB_SNAPSHOT_PART, 0) <
	    dw_place(k, M_DB_MAP_OK, 0));
	assert_null(ask_differs(k, k2));
	/* More than one message can hold. */
	for (i = 3; i < 203; i++)
		(void)ask_join(k, i, i, key, "one-with-a-name-that-is-long");
	(void)ask_open(k2, 2, 1, 2, 7);
	p = &dw_got(k2, M_DB_SNAPSHOT_PART, 0)->u.db_snapshot_part;
	assert_true(p->size > 60000);
	assert_int_equal(p->octets.n, 60000);
	assert_int_equal(dw_count(k2, M_DB_SNAPSHOT_PART),
	    (p->size + 59999) / 60000);
	assert_null(ask_differs(k, k2));
}

static void
t_open_refused(void **state)
{
	const struct msg *m;

	(void)state;
	(void)ask_join(k, 1, 1, key, "one");
	m = ask_open(k, 1, 1, 2, 7);
	assert_int_equal(m->u.db_map_no.status, 404);
	assert_true(ask_refused(m, "node not found"));
	m = ask_open(k, 2, 1, 1, 7);
	assert_int_equal(m->u.db_map_no.status, 403);
	assert_true(ask_refused(m, "node not found"));
	assert_false(dw_holds(k));
	assert_true(dw_is_up(k));
}

/* Trap 36: a stream fills in what is unknown, and overwrites nothing. */
static void
t_open_fills(void **state)
{
	struct msg m;
	uint64_t id, before;
	int i;

	(void)state;
	id = ask_join(k, 1, 1, key, "one");
	for (i = 1; i < 3; i++) {
		msg_init(&m, M_DB_MAP_OPEN);
		dw_ticket(k, 1, 1, &m.u.db_map_open.ticket);
		dw_key(m.u.db_map_open.node_key, 'n', 1);
		dw_key(m.u.db_map_open.disco_key, 'd', (uint32_t)i);
		m.u.db_map_open.stream = (uint64_t)i;
		m.u.db_map_open.h2 = (uint32_t)i;
		m.u.db_map_open.capver = 131;
		m.u.db_map_open.home_derp = (uint16_t)i;
		m.u.db_map_open.has_hostinfo = true;
		m.u.db_map_open.hostinfo.hostname = slice_str("other");
		before = ask_seq(w);
		(void)dw_send(k, &m);
		dw_run(w);
		assert_int_equal(ask_seq(w) - before, i == 1);
		assert_int_equal(dw_find(w, id)->r.disco_key[4], 1);
		assert_int_equal(dw_find(w, id)->r.home_derp, 1);
		assert_true(slice_eqs(dw_find(w, id)->r.hostinfo.hostname,
		    "one"));
		assert_true(dw_find(w, id)->r.published);
	}
	assert_null(ask_differs(k, k2));
}

/* One map, no session; read-only changes nothing at all. */
static void
t_once(void **state)
{
	struct msg m;
	uint64_t id;
	int i;

	(void)state;
	id = ask_join(k, 1, 1, key, "one");
	for (i = 0; i < 2; i++) {
		msg_init(&m, M_DB_MAP_OPEN);
		dw_ticket(k, 1, 1, &m.u.db_map_open.ticket);
		dw_key(m.u.db_map_open.node_key, 'n', 1);
		dw_key(m.u.db_map_open.disco_key, 'd', 1);
		m.u.db_map_open.stream = 3;
		m.u.db_map_open.capver = 131;
		m.u.db_map_open.read_only = i == 0;
		m.u.db_map_open.once = true;
		(void)dw_send(k, &m);
		dw_run(w);
		assert_int_equal(dw_count(k, M_DB_MAP_OK), i + 1);
		assert_int_equal(dw_got(k, M_DB_MAP_OK,
		    (unsigned int)i)->u.db_map_ok.generation, 0);
		assert_null(dw_find(w, id)->session);
		assert_int_equal(dw_find(w, id)->r.published, i);
	}
	assert_true(dw_holds(k));
	/* Without a session it hears no more after a while. */
	dw_pass(w, 90 * US_PER_S);
	dw_forget(k);
	(void)ask_join(k2, 2, 2, key, "two");
	assert_int_equal(dw_count(k, M_DB_NODE_PUT), 0);
	/* And gets all again when it has one. */
	(void)ask_open(k, 1, 2, 1, 9);
	assert_int_equal(dw_count(k, M_DB_SNAPSHOT), 1);
	assert_null(ask_differs(k, k2));
}

/* Trap 39, and newer is the higher serial, not the later arrival. */
static void
t_two_streams(void **state)
{
	const struct msg *m;
	uint64_t id;

	(void)state;
	id = ask_join(k, 1, 1, key, "one");
	ask_stream(k, 1, 5, 1, 7, id);
	assert_true(dw_find(w, id)->r.online);
	m = ask_open(k2, 1, 4, 1, 1);
	assert_int_equal(m->type, M_DB_MAP_NO);
	assert_int_equal(m->u.db_map_no.status, 409);
	assert_int_equal(node_slot(dw_find(w, id)), 1);

	m = ask_open(k2, 1, 6, 1, 2);
	assert_int_equal(m->type, M_DB_MAP_OK);
	m = dw_got(k, M_DB_STREAM_END, 0);
	assert_int_equal(m->u.db_stream_end.generation, 7);
	assert_int_equal(m->u.db_stream_end.why, 1);
	assert_int_equal(node_slot(dw_find(w, id)), 2);
	/* The old one's end counts for nothing, and is no crime. */
	ask_close(k, id, 7);
	assert_true(dw_is_up(k));
	dw_pass(w, 60 * US_PER_S);
	assert_true(dw_find(w, id)->r.online);
	assert_int_equal(node_slot(dw_find(w, id)), 2);
	/* The same stream asked again is itself. */
	m = ask_open(k2, 1, 6, 1, 2);
	assert_int_equal(m->type, M_DB_MAP_OK);
	assert_int_equal(dw_count(k2, M_DB_STREAM_END), 0);
	/* The higher stream id on one connection. */
	assert_null(ask_differs(k, k2));
}

/* Online with the first map; offline after the grace, with its last seen. */
static void
t_online(void **state)
{
	uint64_t one, two;
	int64_t at;

	(void)state;
	one = ask_join(k, 1, 1, key, "one");
	two = ask_join(k2, 2, 2, key, "two");
	ask_stream(k2, 2, 1, 2, 1, two);
	(void)ask_open(k, 1, 1, 1, 7);
	assert_false(dw_node(k2, one)->online);
	ask_stream(k, 1, 1, 1, 7, one);
	assert_true(dw_node(k2, one)->online);
	assert_true(dw_find(w, one)->mapped);
	assert_int_equal(dw_tailnet(w)->nonline, 2);

	ask_close(k, one, 7);
	dw_pass(w, 9 * US_PER_S);
	assert_true(dw_node(k2, one)->online);
	/* Back within the grace: nobody noticed. */
	dw_forget(k2);
	ask_stream(k, 1, 2, 1, 8, one);
	dw_pass(w, 30 * US_PER_S);
	assert_int_equal(dw_count(k2, M_DB_ONLINE), 0);

	ask_close(k, one, 8);
	dw_pass(w, 10 * US_PER_S);
	at = dw_now(w);
	assert_false(dw_node(k2, one)->online);
	assert_int_equal(dw_node(k2, one)->last_seen, at);
	assert_int_equal(dw_count(k2, M_DB_ONLINE), 1);
	assert_int_equal(dw_tailnet(w)->nonline, 1);
	assert_null(ask_differs(k, k2));
	/* No number was spent on it. */
	assert_int_equal(dw_count(k2, M_DB_BATCH), 0);
}

/* A dead worker's nodes have their grace, too. */
static void
t_worker_dies(void **state)
{
	uint64_t one, two;

	(void)state;
	one = ask_join(k, 1, 1, key, "one");
	two = ask_join(k2, 2, 2, key, "two");
	ask_stream(k, 1, 1, 1, 1, one);
	ask_stream(k2, 2, 1, 2, 1, two);
	dw_kill(k);
	assert_null(dw_find(w, one)->session);
	dw_pass(w, 5 * US_PER_S);
	assert_true(dw_node(k2, one)->online);
	ask_stream(k2, 1, 2, 1, 2, one);
	dw_pass(w, 60 * US_PER_S);
	assert_true(dw_node(k2, one)->online);
	ask_close(k2, one, 2);
	dw_pass(w, 11 * US_PER_S);
	assert_false(dw_node(k2, one)->online);
}

static void
t_ephemeral(void **state)
{
	const char *ek = ask_key(w, alice, true, true, 0, NULL);
	uint64_t one, two, three;

	(void)state;
	one = ask_join(k, 1, 1, ek, "one");
	two = ask_join(k, 2, 2, ek, "two");
	three = ask_join(k2, 3, 3, key, "three");
	ask_stream(k2, 3, 1, 3, 1, three);
	ask_stream(k, 1, 1, 1, 1, one);
	ask_close(k, one, 1);
	/* Grace 10 s, then 120 s. */
	dw_pass(w, 128 * US_PER_S);
	assert_non_null(dw_find(w, one));
	dw_pass(w, 3 * US_PER_S);
	assert_null(dw_find(w, one));
	assert_null(dw_node(k2, one));
	/* Never mapped: 30 min after registration. */
	dw_pass(w, (1800 - 140) * US_PER_S);
	assert_non_null(dw_find(w, two));
	dw_pass(w, 15 * US_PER_S);
	assert_null(dw_find(w, two));
	assert_null(dw_differs(k2));
}

/* A stream that comes in time stops the clock; a refused one winds it up. */
static void
t_ephemeral_back(void **state)
{
	const char *ek = ask_key(w, alice, true, true, 0, NULL);
	struct msg m;
	uint64_t one;

	(void)state;
	one = ask_join(k, 1, 1, ek, "one");
	ask_stream(k, 1, 1, 1, 1, one);
	ask_close(k, one, 1);
	dw_pass(w, 120 * US_PER_S);
	assert_false(dw_find(w, one)->r.online);
	msg_init(&m, M_DB_MAP_DEFER);
	dw_ticket(k, 1, 2, &m.u.db_map_defer.ticket);
	dw_key(m.u.db_map_defer.node_key, 'n', 1);
	m.u.db_map_defer.seconds = 200;
	(void)dw_send(k, &m);
	dw_pass(w, 300 * US_PER_S);
	assert_non_null(dw_find(w, one));
	ask_stream(k, 1, 2, 1, 2, one);
	dw_pass(w, 1000 * US_PER_S);
	assert_non_null(dw_find(w, one));
	/* Grace waits, too. */
	ask_close(k, one, 2);
	m.u.db_map_defer.seconds = 30;
	(void)dw_send(k, &m);
	dw_pass(w, 39 * US_PER_S);
	assert_true(dw_find(w, one)->r.online);
	dw_pass(w, 2 * US_PER_S);
	assert_false(dw_find(w, one)->r.online);
	dw_pass(w, 121 * US_PER_S);
	assert_null(dw_find(w, one));
}

/* Peers are told when a key's time is over. */
static void
t_expiry(void **state)
{
	struct ask_reg a = { .machine = 1, .key = 1, .auth = key };
	uint64_t id, before;

	(void)state;
	a.expiry = dw_now(w) + 7200;
	id = ask_reg(k, &a)->u.db_reg_ok.node;
	ask_stream(k, 1, 1, 1, 1, id);
	before = ask_seq(w);
	dw_forget(k);
	dw_pass(w, 7190 * US_PER_S);
	assert_int_equal(dw_count(k, M_DB_NODE_PUT), 0);
	dw_pass(w, 11 * US_PER_S);
	assert_int_equal(dw_count(k, M_DB_NODE_PUT), 1);
	assert_int_equal(ask_seq(w), before + 1);
	assert_non_null(strstr(ask_logged(), "node key expired"));
	/* It is still served, so that it learns of an extension. */
	assert_int_equal(ask_open(k, 1, 2, 1, 2)->type, M_DB_MAP_OK);
	dw_pass(w, 7200 * US_PER_S);
	assert_int_equal(ask_seq(w), before + 1);
	assert_null(ask_differs(k, k2));
}

static void
forged(struct r_ticket *t, int how)
{
	switch (how) {
	case 0:
		t->mac[7] ^= 1;
		break;
	case 1:
		t->serial++;
		break;
	case 2:
		t->key[4]++;
		break;
	case 3:
		t->slot = 2;
		break;
	case 4:
		t->generation = 2;
		break;
	}
}

static void
t_forged(void **state)
{
	struct msg m;
	struct r_ticket good;
	uint64_t id;
	int how, type;

	(void)state;
	id = ask_join(k2, 1, 1, key, "one");
	ask_stream(k2, 1, 1, 1, 1, id);
	for (how = 0; how < 5; how++)
		for (type = 0; type < 4; type++) {
			struct dbdworker *bad = dw_worker(w, 1, 10);

			dw_ticket(bad, 1, 9, &good);
			forged(&good, how);
			if (type == 0) {
				msg_init(&m, M_DB_MAP_OPEN);
				m.u.db_map_open.ticket = good;
				dw_key(m.u.db_map_open.node_key, 'n', 1);
				m.u.db_map_open.stream = 1;
			} else if (type == 1) {
				msg_init(&m, M_DB_MAP_LITE);
				m.u.db_map_lite.ticket = good;
				dw_key(m.u.db_map_lite.node_key, 'n', 1);
				dw_key(m.u.db_map_lite.disco_key, 'd', 66);
			} else if (type == 2) {
				msg_init(&m, M_DB_REG);
				m.u.db_reg.ticket = good;
				dw_key(m.u.db_reg.node_key, 'n', 1);
			} else {
				msg_init(&m, M_DB_MAP_DEFER);
				m.u.db_map_defer.ticket = good;
				dw_key(m.u.db_map_defer.node_key, 'n', 1);
			}
			(void)dw_send(bad, &m);
			dw_run(w);
			assert_true(dw_blamed(bad, LINK_FORGED));
		}
	/* Another worker's ticket, word for word. */
	dw_ticket(k2, 1, 9, &good);
	msg_init(&m, M_DB_MAP_OPEN);
	m.u.db_map_open.ticket = good;
	dw_key(m.u.db_map_open.node_key, 'n', 1);
	(void)dw_send(k, &m);
	dw_run(w);
	assert_true(dw_blamed(k, LINK_FORGED));
	/* Nobody else was harmed. */
	assert_true(dw_is_up(k2));
	assert_int_equal(node_slot(dw_find(w, id)), 2);
	assert_true(dw_find(w, id)->r.online);
	assert_true(key_is_zero(dw_find(w, id)->r.disco_key));
}

/* Sessions of others can be neither started nor closed. */
static void
t_foreign_session(void **state)
{
	struct dbdworker *bad;
	struct msg m;
	uint64_t id;
	int i;

	(void)state;
	id = ask_join(k2, 1, 1, key, "one");
	ask_stream(k2, 1, 1, 1, 1, id);
	for (i = 0; i < 3; i++) {
		bad = dw_worker(w, 1, (uint64_t)(i + 2));
		msg_init(&m, i == 0 ? M_DB_MAP_STARTED : M_DB_MAP_CLOSE);
		if (i == 0) {
			m.u.db_map_started.tailnet = 1;
			m.u.db_map_started.node = id;
			m.u.db_map_started.generation = 1;
		} else {
			m.u.db_map_close.tailnet = 1;
			m.u.db_map_close.node = i == 1 ? id : 12345;
			m.u.db_map_close.generation = 1;
		}
		(void)dw_send(bad, &m);
		dw_run(w);
		/* Of a node that is gone nobody can do anything. */
		assert_int_equal(dw_blamed(bad, LINK_FORGED), i < 2);
	}
	assert_int_equal(node_slot(dw_find(w, id)), 2);
	dw_pass(w, 30 * US_PER_S);
	assert_true(dw_find(w, id)->r.online);
}

/* A close that crosses with a deletion is no crime. */
static void
t_close_after_delete(void **state)
{
	char why[128];
	const struct msg *m;
	uint64_t id;

	(void)state;
	id = ask_join(k, 1, 1, key, "one");
	ask_stream(k, 1, 1, 1, 1, id);
	assert_int_equal(op_node_delete(dw_dbd(w), id, 0, why, sizeof(why)),
	    0);
	dw_run(w);
	m = dw_got(k, M_DB_STREAM_END, 0);
	assert_int_equal(m->u.db_stream_end.why, 2);
	assert_true(dw_place(k, M_DB_NODE_DEL, 0) <
	    dw_place(k, M_DB_STREAM_END, 0));
	ask_close(k, id, 1);
	assert_true(dw_is_up(k));
	assert_null(ask_differs(k, k2));
}

static void
leave_msg(struct msg *m)
{
	msg_init(m, M_DB_LEAVE);
	m->u.db_leave.tailnet = 1;
}

/* k had a stream of a node, whose id is returned, and may leave. */
static uint64_t
visit(void)
{
	uint64_t id = ask_join(k, 1, 1, key, "one");

	ask_stream(k, 1, 1, 1, 1, id);
	ask_close(k, id, 1);
	return id;
}

/* It left, and the next stream brings all again; also if they crossed. */
static void
t_leave(void **state)
{
	struct msg m;
	uint64_t id;

	(void)state;
	id = visit();
	leave_msg(&m);
	(void)dw_send(k, &m);
	dw_run(w);
	dw_forget(k);
	(void)ask_join(k2, 2, 2, key, "two");
	assert_int_equal(dw_count(k, M_DB_NODE_PUT), 0);
	/* Twice, and a tailnet that it never had: nothing to it. */
	(void)dw_send(k, &m);
	m.u.db_leave.tailnet = 99;
	(void)dw_send(k, &m);
	dw_run(w);
	assert_true(dw_is_up(k));
	(void)ask_open(k, 1, 2, 1, 2);
	assert_int_equal(dw_count(k, M_DB_SNAPSHOT), 1);
	assert_null(ask_differs(k, k2));
	dw_pass(w, 61 * US_PER_S);
	ask_close(k, id, 2);
	m.u.db_leave.tailnet = 1;
	(void)dw_send(k, &m);
	dw_run(w);
	assert_true(dw_is_up(k));
	/* What left is forgotten, and is known again. */
	dw_pass(w, 90 * US_PER_S);
	(void)ask_open(k, 1, 3, 1, 3);
	assert_int_equal(dw_count(k, M_DB_SNAPSHOT), 2);
	assert_null(ask_differs(k, k2));
}

/* Not with a stream open, and not to have a snapshot made each time. */
static void
t_leave_forged(void **state)
{
	struct msg m;
	uint64_t id;
	unsigned int i;

	(void)state;
	id = ask_join(k, 1, 1, key, "one");
	(void)ask_open(k, 1, 1, 1, 1);
	leave_msg(&m);
	(void)dw_send(k, &m);
	dw_run(w);
	assert_true(dw_blamed(k, LINK_FORGED));
	dw_kill(k);
	k = dw_worker(w, 1, 2);
	for (i = 0; i < 4; i++) {
		(void)ask_open(k, 1, 2 + i, 1, 1 + i);
		assert_int_equal(dw_count(k, M_DB_SNAPSHOT), 1 + i);
		ask_close(k, id, 1 + i);
		assert_true(dw_is_up(k));
		(void)dw_send(k, &m);
		dw_run(w);
	}
	assert_true(dw_blamed(k, LINK_OVERFLOW));
	/* Nor a little slower, for long. */
	dw_kill(k);
	k = dw_worker(w, 1, 3);
	for (i = 0; i < 12 && dw_is_up(k); i++) {
		(void)ask_open(k, 1, 20 + i, 1, 20 + i);
		ask_close(k, id, 20 + i);
		dw_pass(w, 8 * US_PER_S);
		(void)dw_send(k, &m);
		dw_run(w);
	}
	assert_true(dw_blamed(k, LINK_OVERFLOW));
}

/* dbd stood still: what was sent a minute apart comes together. */
static void
t_leave_held_up(void **state)
{
	struct msg m;
	uint64_t id;
	unsigned int i;

	(void)state;
	id = visit();
	leave_msg(&m);
	for (i = 2; i < 5; i++) {
		(void)dw_send(k, &m);
		(void)ask_open(k, 1, i, 1, i);
		ask_close(k, id, i);
		dw_pass(w, 5 * US_PER_S);
	}
	assert_true(dw_is_up(k));
	/* So it may go on for ever, as long as the sweep finds it there. */
	for (i = 5; i < 20; i++) {
		dw_pass(w, 50 * US_PER_S);
		(void)dw_send(k, &m);
		(void)ask_open(k, 1, i, 1, i);
		ask_close(k, id, i);
	}
	assert_true(dw_is_up(k));
	assert_null(ask_differs(k, k2));
}

/* It leaves what a reload has made due in the same turn. */
static void
t_leave_reload(void **state)
{
	struct msg m;

	(void)state;
	(void)visit();
	dw_forget(k);
	leave_msg(&m);
	(void)dw_send(k, &m);
	assert_true(prefix_parse(&dw_conf(w)->prefix4,
	    slice_str("100.64.0.0/16")));
	dbd_reconf(dw_dbd(w), dw_conf(w));
	dw_deliver(w);
	dw_run(w);
	assert_true(dw_is_up(k));
	assert_int_equal(dw_count(k, M_DB_SNAPSHOT), 1);
	/* What it has all the same it leaves like any other. */
	dw_forget(k);
	(void)dw_send(k, &m);
	dw_run(w);
	(void)ask_join(k2, 2, 2, key, "two");
	assert_true(dw_is_up(k));
	assert_int_equal(dw_count(k, M_DB_NODE_PUT), 0);
	(void)ask_open(k, 1, 2, 1, 2);
	assert_int_equal(dw_count(k, M_DB_SNAPSHOT), 1);
	assert_null(ask_differs(k, k2));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f)	cmocka_unit_test_setup_teardown(f, setup, ask_teardown)
		T(t_open), T(t_open_in_batch), T(t_no_memfd),
		T(t_open_refused), T(t_open_fills), T(t_once),
		T(t_two_streams), T(t_online), T(t_worker_dies),
		T(t_ephemeral), T(t_ephemeral_back), T(t_expiry), T(t_forged),
		T(t_foreign_session), T(t_close_after_delete), T(t_leave),
		T(t_leave_forged), T(t_leave_held_up), T(t_leave_reload)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
