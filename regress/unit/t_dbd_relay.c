/* The relay's clients in dbd: admission, who has whom, revocation. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "regress/lib/dbdask.h"

static struct dbdworld *w;
static struct dbdworker *k, *k2;
static const char *key;
static uint64_t one, two;

static int
setup(void **state)
{
	uint64_t alice;

	*state = w = ask_world(&k, &k2, &alice, &key);
	dw_conf(w)->verify_clients = true;
	dw_reconf(w);
	one = ask_join(k, 1, 1, key, "one");
	two = ask_join(k2, 2, 2, key, "two");
	dw_forget(k);
	dw_forget(k2);
	return 0;
}

static const struct msg *
log_in(struct dbdworker *who, uint32_t n, uint64_t serial)
{
	struct msg m;
	uint32_t id;

	msg_init(&m, M_DB_RELAY_OPEN);
	dw_relay_ticket(who, n, serial, &m.u.db_relay_open.ticket);
	id = dw_send(who, &m);
	dw_run(w);
	return dw_reply(who, id);
}

static void
refused(struct dbdworker *who, uint32_t n, uint64_t serial, unsigned int why)
{
	const struct msg *m = log_in(who, n, serial);

	assert_int_equal(m->type, M_DB_RELAY_NO);
	assert_int_equal(m->u.db_relay_no.why, why);
}

static void
hold(struct dbdworker *who, uint32_t n, uint64_t serial)
{
	struct msg m;

	msg_init(&m, M_DB_RELAY_HOLD);
	dw_relay_ticket(who, n, serial, &m.u.db_relay_hold.ticket);
	(void)dw_send(who, &m);
}

/* About a connection of keyd's generation that dw_ticket() uses. */
static void
about(struct dbdworker *who, enum msg_type type, uint64_t serial)
{
	struct r_ticket t;
	struct msg m;

	dw_relay_ticket(who, 1, serial, &t);
	msg_init(&m, type);
	m.u.db_relay_close.serial_gen = t.serial_gen;
	m.u.db_relay_close.serial = serial;
	(void)dw_send(who, &m);
	dw_run(w);
}

/* The newest word on a key: the slot that has it; 0: nobody; -1: no word. */
static int
at(struct dbdworker *who, uint32_t n)
{
	const struct m_db_relay_at *a;
	const struct msg *m;
	size_t place, best = 0;
	unsigned int i;
	uint8_t want[KEY_LEN];
	int slot = -1;

	dw_key(want, 'n', n);
	for (i = 0; (m = dw_got(who, M_DB_RELAY_AT, i)) != NULL; i++) {
		a = &m->u.db_relay_at;
		if (memcmp(a->key, want, KEY_LEN) != 0)
			continue;
		best = dw_place(who, M_DB_RELAY_AT, i) + 1;
		slot = a->slot;
	}
	for (i = 0; (m = dw_got(who, M_DB_RELAY_GONE, i)) != NULL; i++) {
		place = dw_place(who, M_DB_RELAY_GONE, i) + 1;
		if (memcmp(m->u.db_relay_gone.key, want, KEY_LEN) == 0 &&
		    place > best)
			slot = 0;
	}
	return slot;
}

static void
t_admission(void **state)
{
	const struct msg *m;

	(void)state;
	m = log_in(k, 1, 10);
	assert_int_equal(m->type, M_DB_RELAY_OK);
	assert_int_equal(m->u.db_relay_ok.tailnet, 1);
	assert_int_equal(m->u.db_relay_ok.node, one);
	/* Both know it, the asker before its answer. */
	assert_int_equal(at(k, 1), 1);
	assert_int_equal(at(k2, 1), 1);
	assert_true(dw_place(k, M_DB_RELAY_AT, 0) <
	    dw_place(k, M_DB_RELAY_OK, 0));
	m = log_in(k, 99, 11);
	assert_int_equal(m->type, M_DB_RELAY_NO);
	assert_int_equal(m->u.db_relay_no.why, 1);
	assert_int_equal(at(k, 99), -1);
}

static void
t_guests(void **state)
{
	const struct msg *m;

	(void)state;
	dw_conf(w)->verify_clients = false;
	dw_reconf(w);
	m = log_in(k, 99, 10);
	assert_int_equal(m->type, M_DB_RELAY_OK);
	assert_int_equal(m->u.db_relay_ok.tailnet, 0);
	assert_int_equal(m->u.db_relay_ok.node, 0);
	m = log_in(k, 1, 11);
	assert_int_equal(m->u.db_relay_ok.node, one);
	/* Guests go when they are wanted no more, nodes stay. */
	dw_conf(w)->verify_clients = true;
	dw_reconf(w);
	dw_run(w);
	assert_int_equal(dw_count(k, M_DB_RELAY_END), 1);
	assert_int_equal(dw_got(k, M_DB_RELAY_END, 0)->u.db_relay_end.serial,
	    10);
	assert_int_equal(at(k2, 99), 0);
	assert_int_equal(at(k2, 1), 1);
}

static void
t_newest_has_it(void **state)
{
	(void)state;
	(void)log_in(k, 1, 10);
	(void)log_in(k2, 1, 11);
	assert_int_equal(at(k, 1), 2);
	/* An older one that comes late changes nothing. */
	(void)log_in(k, 1, 9);
	assert_int_equal(at(k, 1), 2);
	about(k, M_DB_RELAY_ACTIVE, 10);
	assert_int_equal(at(k2, 1), 1);
	about(k, M_DB_RELAY_CLOSE, 10);
	assert_int_equal(at(k2, 1), 2);
	about(k2, M_DB_RELAY_CLOSE, 11);
	assert_int_equal(at(k2, 1), 1);
	about(k, M_DB_RELAY_CLOSE, 9);
	assert_int_equal(at(k2, 1), 0);
	/* Once more is no fault: it may have been ended by us. */
	about(k, M_DB_RELAY_CLOSE, 9);
	assert_true(dw_is_up(k));
}

static void
t_worker_dies(void **state)
{
	(void)state;
	(void)log_in(k, 1, 10);
	(void)log_in(k2, 1, 11);
	(void)log_in(k2, 2, 12);
	dw_kill(k2);
	dw_run(w);
	assert_int_equal(at(k, 1), 1);
	assert_int_equal(at(k, 2), 0);
}

static void
expect_end(struct dbdworker *who, uint64_t serial)
{
	assert_int_equal(dw_count(who, M_DB_RELAY_END), 1);
	assert_int_equal(dw_got(who, M_DB_RELAY_END, 0)->u.db_relay_end.serial,
	    serial);
}

static void
t_deleted(void **state)
{
	char why[128];

	(void)state;
	(void)log_in(k, 1, 10);
	assert_int_equal(op_node_delete(dw_dbd(w), one, 0, why,
	    sizeof(why)), 0);
	dw_run(w);
	expect_end(k, 10);
	assert_int_equal(at(k2, 1), 0);
	assert_int_equal(log_in(k, 1, 12)->type, M_DB_RELAY_NO);
}

static void
t_expired(void **state)
{
	char why[128];

	(void)state;
	(void)log_in(k, 1, 10);
	(void)log_in(k, 2, 11);
	assert_int_equal(op_node_expire(dw_dbd(w), one, dw_now(w) + 60, 0, why,
	    sizeof(why)), 0);
	dw_pass(w, 30 * US_PER_S);
	assert_int_equal(dw_count(k, M_DB_RELAY_END), 0);
	dw_pass(w, 40 * US_PER_S);
	expect_end(k, 10);
	refused(k, 1, 12, 2);
	/* At once: a logout. */
	dw_forget(k);
	assert_int_equal(op_node_expire(dw_dbd(w), two, dw_now(w), 0, why,
	    sizeof(why)), 0);
	dw_run(w);
	expect_end(k, 11);
}

static void
rekey(uint32_t machine, uint64_t serial, uint32_t now, uint32_t old)
{
	struct ask_reg r = { 0 };

	r.machine = machine;
	r.serial = serial;
	r.key = now;
	r.old = old;
	r.auth = key;
	assert_int_equal(ask_reg(k, &r)->type, M_DB_REG_OK);
	dw_run(w);
}

/* The key that it had before is good for five minutes more (derp.md 8). */
static void
t_rekeyed(void **state)
{
	struct msg m;
	uint32_t id;

	(void)state;
	(void)log_in(k, 1, 10);
	rekey(1, 20, 7, 1);
	assert_int_equal(log_in(k, 7, 21)->type, M_DB_RELAY_OK);
	assert_int_equal(log_in(k2, 1, 22)->u.db_relay_ok.node, one);
	msg_init(&m, M_DB_NODE_KEY);
	dw_key(m.u.db_node_key.key, 'n', 1);
	id = dw_send(k, &m);
	dw_pass(w, 299 * US_PER_S);
	assert_true(dw_reply(k, id)->u.db_node_key_ok.allow);
	assert_int_equal(dw_count(k, M_DB_RELAY_END), 0);
	assert_int_equal(dw_count(k2, M_DB_RELAY_END), 0);
	dw_pass(w, 2 * US_PER_S);
	expect_end(k, 10);
	expect_end(k2, 22);
	refused(k, 1, 23, 1);
	id = dw_send(k, &m);
	dw_run(w);
	assert_false(dw_reply(k, id)->u.db_node_key_ok.allow);
	assert_int_equal(log_in(k, 7, 24)->type, M_DB_RELAY_OK);
}

/* ... but not longer than the node itself may use the relay. */
static void
t_rekeyed_gone(void **state)
{
	char why[128];

	(void)state;
	(void)log_in(k, 1, 10);
	(void)log_in(k, 2, 11);
	rekey(1, 20, 7, 1);
	rekey(2, 21, 8, 2);
	assert_int_equal(dw_count(k, M_DB_RELAY_END), 0);
	assert_int_equal(op_node_delete(dw_dbd(w), one, 0, why,
	    sizeof(why)), 0);
	dw_run(w);
	expect_end(k, 10);
	refused(k, 1, 12, 1);
	dw_forget(k);
	assert_int_equal(op_node_expire(dw_dbd(w), two, dw_now(w), 0, why,
	    sizeof(why)), 0);
	dw_run(w);
	expect_end(k, 11);
	refused(k, 2, 13, 1);
	/* It had expired: that key comes to no new life with the next. */
	rekey(2, 22, 9, 8);
	refused(k, 8, 14, 1);
	assert_int_equal(log_in(k, 9, 15)->type, M_DB_RELAY_OK);
}

/* Two old ones at most, and none that is somebody's key now. */
static void
t_rekeyed_often(void **state)
{
	struct ask_reg r = { 0 };

	(void)state;
	(void)log_in(k, 1, 10);
	rekey(1, 20, 7, 1);
	(void)log_in(k, 7, 11);
	rekey(1, 21, 8, 7);
	assert_int_equal(dw_count(k, M_DB_RELAY_END), 0);
	rekey(1, 22, 9, 8);
	expect_end(k, 10);
	assert_int_equal(log_in(k, 8, 12)->u.db_relay_ok.node, one);
	dw_forget(k);
	r.machine = 5;
	r.serial = 23;
	r.key = 7;
	r.auth = key;
	assert_int_equal(ask_reg(k, &r)->type, M_DB_REG_OK);
	dw_run(w);
	expect_end(k, 11);
	assert_int_not_equal(log_in(k, 7, 13)->u.db_relay_ok.node, one);
}

static void
t_dbd_dies(void **state)
{
	char why[128];

	(void)state;
	(void)log_in(k, 1, 10);
	(void)log_in(k2, 2, 11);
	assert_int_equal(op_node_delete(dw_dbd(w), two, 0, why,
	    sizeof(why)), 0);
	dw_run(w);
	dw_restart(w, false);
	dw_forget(k);
	dw_forget(k2);
	dw_reconnect(k);
	dw_reconnect(k2);
	hold(k, 1, 10);
	hold(k2, 2, 11);
	dw_hello(k);
	dw_hello(k2);
	assert_int_equal(at(k2, 1), 1);
	assert_int_equal(dw_count(k2, M_DB_RELAY_TOLD), 0);
	expect_end(k2, 11);
	dw_pass(w, 6 * US_PER_S);
	assert_int_equal(dw_count(k2, M_DB_RELAY_TOLD), 1);
	assert_int_equal(dw_count(k, M_DB_RELAY_TOLD), 1);
}

/* A worker that starts hears of all that there are. */
static void
t_new_worker(void **state)
{
	struct dbdworker *k3;

	(void)state;
	dw_pass(w, 61 * US_PER_S);
	(void)log_in(k, 1, 10);
	(void)log_in(k2, 1, 11);
	(void)log_in(k2, 2, 12);
	k3 = dw_worker(w, 3, 33);
	assert_int_equal(at(k3, 1), 2);
	assert_int_equal(at(k3, 2), 2);
	assert_int_equal(dw_count(k3, M_DB_RELAY_AT), 2);
	assert_int_equal(dw_count(k3, M_DB_RELAY_TOLD), 1);
}

static void
t_forged(void **state)
{
	struct msg m;

	(void)state;
	msg_init(&m, M_DB_RELAY_OPEN);
	dw_relay_ticket(k, 1, 10, &m.u.db_relay_open.ticket);
	m.u.db_relay_open.ticket.key[5] ^= 1;
	(void)dw_send(k, &m);
	dw_run(w);
	assert_true(dw_blamed(k, LINK_FORGED));
	/* A sibling's. */
	dw_relay_ticket(k, 1, 10, &m.u.db_relay_open.ticket);
	(void)dw_send(k2, &m);
	dw_run(w);
	assert_true(dw_blamed(k2, LINK_FORGED));
}

static void
t_machine_ticket(void **state)
{
	struct msg m;

	(void)state;
	msg_init(&m, M_DB_RELAY_OPEN);
	dw_ticket(k, 1, 10, &m.u.db_relay_open.ticket);
	(void)dw_send(k, &m);
	dw_run(w);
	assert_true(dw_blamed(k, LINK_FORGED));
	assert_true(dw_is_up(k2));
}

static void
t_ticket_twice(void **state)
{
	struct msg m;

	(void)state;
	(void)log_in(k, 1, 10);
	msg_init(&m, M_DB_RELAY_OPEN);
	dw_relay_ticket(k, 1, 10, &m.u.db_relay_open.ticket);
	(void)dw_send(k, &m);
	dw_run(w);
	assert_true(dw_blamed(k, LINK_FORGED));
}

static void
t_verify(void **state)
{
	char why[128];
	struct msg m;
	uint32_t id;

	(void)state;
	msg_init(&m, M_DB_NODE_KEY);
	dw_key(m.u.db_node_key.key, 'n', 1);
	id = dw_send(k, &m);
	dw_run(w);
	assert_true(dw_reply(k, id)->u.db_node_key_ok.allow);
	assert_int_equal(op_node_expire(dw_dbd(w), one, dw_now(w), 0, why,
	    sizeof(why)), 0);
	id = dw_send(k, &m);
	dw_run(w);
	assert_false(dw_reply(k, id)->u.db_node_key_ok.allow);
	dw_key(m.u.db_node_key.key, 'n', 99);
	id = dw_send(k, &m);
	dw_run(w);
	assert_false(dw_reply(k, id)->u.db_node_key_ok.allow);
}

/* A ticket opens a connection once, also after that has ended. */
static void
t_ticket_again(void **state)
{
	const struct msg *m;

	(void)state;
	(void)log_in(k, 1, 10);
	about(k, M_DB_RELAY_CLOSE, 10);
	m = log_in(k, 1, 10);
	assert_int_equal(m->type, M_DB_RELAY_NO);
	assert_int_equal(m->u.db_relay_no.why, 3);
	assert_int_equal(log_in(k, 1, 5000)->type, M_DB_RELAY_OK);
	/* Too old to be remembered: used, then. */
	assert_int_equal(log_in(k, 1, 11)->type, M_DB_RELAY_NO);
	/* Late, but not that late. */
	assert_int_equal(log_in(k, 1, 4999)->type, M_DB_RELAY_OK);
	assert_true(dw_is_up(k));
}

/* Who says that it speaks all the time is not believed all the time. */
static void
t_active_rate(void **state)
{
	unsigned int i, n;

	(void)state;
	(void)log_in(k, 1, 10);
	(void)log_in(k2, 1, 11);
	n = dw_count(k2, M_DB_RELAY_AT);
	for (i = 0; i < 100; i++) {
		about(k, M_DB_RELAY_ACTIVE, 10);
		about(k2, M_DB_RELAY_ACTIVE, 11);
	}
	assert_int_equal(dw_count(k2, M_DB_RELAY_AT), n + 2);
	dw_pass(w, US_PER_S);
	about(k, M_DB_RELAY_ACTIVE, 10);
	assert_int_equal(at(k2, 1), 1);
}

/* Lets its bucket of logins fill. */
static void
slow(struct dbdworker *who, uint64_t serial)
{
	dw_pass(w, US_PER_S);
	assert_int_equal(log_in(who, 1, serial)->type, M_DB_RELAY_OK);
}

/* Of a key there are four on the host; the least recent one makes room. */
static void
t_bounds(void **state)
{
	(void)state;
	slow(k, 11);
	slow(k, 12);
	slow(k2, 13);
	slow(k2, 14);
	assert_int_equal(dw_count(k, M_DB_RELAY_END), 0);
	slow(k2, 15);
	expect_end(k, 11);
	assert_int_equal(dw_count(k2, M_DB_RELAY_END), 0);
	/* An older one that comes late is it itself, when it is live. */
	dw_forget(k);
	slow(k, 1000);
	expect_end(k, 12);
	dw_forget(k);
	slow(k, 100);
	expect_end(k2, 13);
	slow(k, 2);
	assert_int_equal(dw_count(k, M_DB_RELAY_END), 1);
	assert_int_equal(dw_got(k, M_DB_RELAY_END, 0)->u.db_relay_end.serial,
	    2);
	assert_true(dw_place(k, M_DB_RELAY_END, 0) >
	    dw_place(k, M_DB_RELAY_OK, 1));
}

/*
 * All at one worker: it ends one, and says so; until then, which may take a
 * while, it is not its fault that clients log in.
 */
static void
t_bounds_one_worker(void **state)
{
	uint64_t s;

	(void)state;
	for (s = 1; s <= 8; s++)
		slow(k, s);
	assert_int_equal(dw_count(k, M_DB_RELAY_END), 0);
	for (s = 9; s <= 20; s++)
		slow(k, s);
	assert_true(dw_is_up(k));
	assert_int_equal(dw_count(k, M_DB_RELAY_END), 12);
	assert_int_equal(dw_got(k, M_DB_RELAY_END, 11)->u.db_relay_end.serial,
	    12);
	assert_int_equal(at(k2, 1), 1);
	for (s = 13; s <= 20; s++)
		about(k, M_DB_RELAY_CLOSE, s);
	assert_int_equal(at(k2, 1), 0);
}

/* Eight at once, then two a second, whether it stays or not. */
static void
t_login_rate(void **state)
{
	uint64_t s = 1;

	(void)state;
	for (; s <= 8; s++) {
		assert_int_equal(log_in(s % 2 == 0 ? k : k2, 1, s)->type,
		    M_DB_RELAY_OK);
		about(s % 2 == 0 ? k : k2, M_DB_RELAY_CLOSE, s);
	}
	assert_int_equal(log_in(k, 1, s)->type, M_DB_RELAY_NO);
	refused(k2, 1, ++s, 4);
	assert_true(dw_is_up(k));
	/* Others may. */
	assert_int_equal(log_in(k, 2, ++s)->type, M_DB_RELAY_OK);
	dw_pass(w, US_PER_S / 2);
	assert_int_equal(log_in(k, 1, ++s)->type, M_DB_RELAY_OK);
	assert_int_equal(log_in(k, 1, ++s)->type, M_DB_RELAY_NO);
	/* No more than eight come together, however long it waits. */
	dw_pass(w, 60 * US_PER_S);
	for (s = 100; s < 108; s++)
		assert_int_equal(log_in(k, 1, s)->type, M_DB_RELAY_OK);
	assert_int_equal(log_in(k, 1, s)->type, M_DB_RELAY_NO);
}

/* A worker has so many: the next are told to come later, it is no fault. */
static void
t_full(void **state)
{
	(void)state;
	dw_conf(w)->relay_conns = 2;
	dw_reconf(w);
	(void)log_in(k, 1, 1);
	assert_int_equal(log_in(k, 2, 2)->type, M_DB_RELAY_OK);
	refused(k, 2, 3, 4);
	assert_true(dw_is_up(k));
	assert_int_equal(log_in(k2, 2, 4)->type, M_DB_RELAY_OK);
	about(k, M_DB_RELAY_CLOSE, 1);
	assert_int_equal(log_in(k, 2, 5)->type, M_DB_RELAY_OK);
}

/* Refused ones count: what a hello makes us keep is bounded. */
static void
t_holds_bounded(void **state)
{
	unsigned int i;

	(void)state;
	dw_conf(w)->relay_conns = 1000;
	dw_reconf(w);
	dw_restart(w, false);
	dw_reconnect(k);
	for (i = 0; i < 1000; i++)
		hold(k, 99, 10);
	dw_deliver(w);
	assert_true(dw_is_up(k));
	hold(k, 99, 10);
	dw_run(w);
	assert_true(dw_blamed(k, LINK_OVERFLOW));
}

/* A worker that is honest has no more than four of a key. */
static void
t_holds_of_a_key(void **state)
{
	uint64_t s;

	(void)state;
	dw_restart(w, false);
	dw_reconnect(k);
	dw_reconnect(k2);
	for (s = 1; s <= 8; s++)
		hold(k, 1, s);
	dw_hello(k);
	assert_true(dw_is_up(k));
	for (s = 11; s <= 19; s++)
		hold(k2, 1, s);
	dw_run(w);
	assert_true(dw_blamed(k2, LINK_OVERFLOW));
}

/* A guest whose key becomes a node's has to come again, as one of us. */
static void
t_guest_registers(void **state)
{
	struct ask_reg r = { 0 };

	(void)state;
	dw_conf(w)->verify_clients = false;
	dw_reconf(w);
	assert_int_equal(log_in(k, 7, 10)->u.db_relay_ok.node, 0);
	r.machine = 7;
	r.serial = 20;
	r.key = 7;
	r.auth = key;
	assert_int_equal(ask_reg(k, &r)->type, M_DB_REG_OK);
	dw_run(w);
	expect_end(k, 10);
	assert_int_equal(log_in(k, 7, 21)->u.db_relay_ok.tailnet, 1);
}

/* A clock that was ahead and is set right: the key still has its end. */
static void
t_clock_back(void **state)
{
	int64_t now = dw_now(w);
	char why[128];

	(void)state;
	(void)log_in(k, 1, 10);
	assert_int_equal(op_node_expire(dw_dbd(w), one, now + 7200, 0, why,
	    sizeof(why)), 0);
	dw_run(w);
	fakeenv_set_wall(dw_env(w), now + 90000);
	dw_pass(w, 3600 * US_PER_S);
	expect_end(k, 10);
	fakeenv_set_wall(dw_env(w), now + 3600);
	dw_pass(w, 3600 * US_PER_S);
	assert_int_equal(log_in(k, 1, 11)->type, M_DB_RELAY_NO);
	fakeenv_set_wall(dw_env(w), now + 60);
	assert_int_equal(log_in(k, 1, 12)->type, M_DB_RELAY_OK);
	dw_forget(k);
	dw_pass(w, 3600 * US_PER_S);
	assert_int_equal(dw_count(k, M_DB_RELAY_END), 0);
	dw_pass(w, 3600 * US_PER_S);
	expect_end(k, 12);
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, ask_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(t_admission),
		TEST(t_guests),
		TEST(t_newest_has_it),
		TEST(t_worker_dies),
		TEST(t_deleted),
		TEST(t_expired),
		TEST(t_rekeyed),
		TEST(t_rekeyed_gone),
		TEST(t_rekeyed_often),
		TEST(t_dbd_dies),
		TEST(t_new_worker),
		TEST(t_forged),
		TEST(t_machine_ticket),
		TEST(t_ticket_twice),
		TEST(t_verify),
		TEST(t_ticket_again),
		TEST(t_active_rate),
		TEST(t_bounds),
		TEST(t_bounds_one_worker),
		TEST(t_login_rate),
		TEST(t_full),
		TEST(t_holds_bounded),
		TEST(t_holds_of_a_key),
		TEST(t_guest_registers),
		TEST(t_clock_back)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
