/* Routes: advertised, approved, and who carries them. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "dbd/policy_int.h"
#include "regress/lib/dbdask.h"

#define S(x)	slice_str(x)

static struct dbdworld *w;
static struct dbdworker *k;
static uint64_t alice;
static const char *key;
static char why[256];
static uint32_t h2;

/* Three nodes with streams; node i is machine i with key i. */
static int
setup(void **state)
{
	uint32_t i;

	*state = w = ask_world(&k, NULL, &alice, &key);
	for (i = 1; i <= 3; i++) {
		assert_int_equal(ask_join(k, i, i, key, "router"), i);
		ask_stream(k, i, 1, i, i, i);
	}
	/* What was presumed of a first start is over. */
	dw_pass(w, 61 * US_PER_S);
	dw_forget(k);
	h2 = 10;
	return 0;
}

static int
change(uint64_t id, const char *prefixes, bool approve)
{
	struct buf b = { NULL, 0, 0 };
	struct msg_list list = ask_prefixes(&b, prefixes);
	int rc;

	rc = op_node_routes(dw_dbd(w), id, &list, approve, 1000, why,
	    sizeof(why));
	buf_free(&b);
	dw_run(w);
	return rc;
}

/* As the worker knows it. */
static const char *
primary(uint64_t id)
{
	return ask_print(dw_node(k, id)->primary);
}

static const char *
approved(uint64_t id)
{
	return ask_print(dw_node(k, id)->approved);
}

/* Its stream ends, and dbd declares it offline. */
static void
offline(uint64_t id)
{
	ask_close(k, id, id);
	dw_pass(w, 10 * US_PER_S + 100 * US_PER_MS);
	assert_false(dw_find(w, id)->r.online);
}

static void
online(uint32_t i)
{
	ask_stream(k, i, h2++, i, i, i);
	assert_true(dw_find(w, i)->r.online);
}

static void
t_approve(void **state)
{
	(void)state;
	ask_advertise(k, 1, h2++, "10.1.0.0/16 10.2.0.0/16");
	assert_string_equal(approved(1), "");
	assert_string_equal(primary(1), "");
	assert_int_equal(change(1, "10.3.0.0/16", true), -1);
	assert_string_equal(why, "10.3.0.0/16: the node does not advertise it");
	assert_int_equal(change(9, "10.3.0.0/16", true), -1);
	assert_string_equal(why, "no such node");
	assert_int_equal(change(1, "10.2.0.0/16", true), 0);
	assert_string_equal(approved(1), "10.2.0.0/16 ");
	/* Approved and carried at once. */
	assert_string_equal(primary(1), "10.2.0.0/16 ");
	assert_int_equal(change(1, "10.1.0.0/16", true), 0);
	assert_string_equal(approved(1), "10.2.0.0/16 10.1.0.0/16 ");
	assert_string_equal(primary(1), "10.2.0.0/16 10.1.0.0/16 ");
	/* Once more changes nothing. */
	dw_forget(k);
	assert_int_equal(change(1, "10.1.0.0/16", true), 0);
	assert_int_equal(dw_count(k, M_DB_BATCH), 0);
	assert_int_equal(change(1, "10.2.0.0/16", false), 0);
	assert_string_equal(approved(1), "10.1.0.0/16 ");
	assert_string_equal(primary(1), "10.1.0.0/16 ");
	assert_int_equal(change(1, "10.2.0.0/16", false), -1);
	assert_string_equal(why, "10.2.0.0/16: it is not approved");
	assert_null(dw_differs(k));
}

/* Both families at a time, and nobody is elected for them. */
static void
t_exit(void **state)
{
	(void)state;
	ask_advertise(k, 1, h2++, "0.0.0.0/0 ::/0 10.1.0.0/16");
	assert_int_equal(change(1, "::/0", true), 0);
	assert_string_equal(approved(1), "0.0.0.0/0 ::/0 ");
	assert_string_equal(primary(1), "");
	assert_int_equal(change(1, "0.0.0.0/0 10.1.0.0/16", true), 0);
	assert_string_equal(approved(1), "0.0.0.0/0 ::/0 10.1.0.0/16 ");
	assert_int_equal(change(1, "0.0.0.0/0", false), 0);
	assert_string_equal(approved(1), "10.1.0.0/16 ");
}

/* What is not advertised any more is not carried, and stays approved. */
static void
t_withdrawn(void **state)
{
	(void)state;
	ask_advertise(k, 1, h2++, "10.1.0.0/16");
	ask_advertise(k, 2, h2++, "10.1.0.0/16");
	assert_int_equal(change(1, "10.1.0.0/16", true), 0);
	assert_int_equal(change(2, "10.1.0.0/16", true), 0);
	assert_string_equal(primary(1), "10.1.0.0/16 ");
	ask_advertise(k, 1, h2++, "");
	assert_string_equal(approved(1), "10.1.0.0/16 ");
	assert_string_equal(primary(1), "");
	assert_string_equal(primary(2), "10.1.0.0/16 ");
	ask_advertise(k, 1, h2++, "10.1.0.0/16");
	assert_string_equal(primary(1), "");
	assert_string_equal(primary(2), "10.1.0.0/16 ");
	assert_int_equal(op_node_delete(dw_dbd(w), 2, 0, why, sizeof(why)), 0);
	dw_run(w);
	assert_string_equal(primary(1), "10.1.0.0/16 ");
	assert_null(dw_differs(k));
}

static void
ha(void)
{
	uint32_t i;

	for (i = 1; i <= 3; i++)
		ask_advertise(k, i, h2++, "10.1.0.0/16");
	/* The last one first: who is there stays. */
	assert_int_equal(change(3, "10.1.0.0/16", true), 0);
	assert_string_equal(primary(3), "10.1.0.0/16 ");
	assert_int_equal(change(1, "10.1.0.0/16", true), 0);
	assert_int_equal(change(2, "10.1.0.0/16", true), 0);
	assert_string_equal(primary(3), "10.1.0.0/16 ");
	assert_string_equal(primary(1), "");
}

/* In the turn in which dbd says that it is offline, and not back again. */
static void
t_failover(void **state)
{
	size_t moved;

	(void)state;
	ha();
	dw_forget(k);
	ask_close(k, 3, 3);
	dw_pass(w, 9 * US_PER_S);
	assert_int_equal(dw_count(k, M_DB_NODE_PUT), 0);
	dw_pass(w, US_PER_S + 100 * US_PER_MS);
	moved = dw_place(k, M_DB_BATCH, 0);
	assert_int_equal(dw_count(k, M_DB_NODE_PUT), 2);
	assert_int_equal(dw_count(k, M_DB_BATCH), 1);
	assert_int_equal(dw_place(k, M_DB_ONLINE, 0), moved + 1);
	assert_string_equal(primary(1), "10.1.0.0/16 ");
	assert_string_equal(primary(3), "");
	online(3);
	assert_string_equal(primary(1), "10.1.0.0/16 ");
	offline(1);
	assert_string_equal(primary(2), "10.1.0.0/16 ");
	online(1);
	assert_string_equal(primary(2), "10.1.0.0/16 ");
	/* Nobody is there: it stays where it was, for nothing is better. */
	offline(1);
	offline(3);
	offline(2);
	assert_string_equal(primary(2), "10.1.0.0/16 ");
	online(3);
	assert_string_equal(primary(3), "10.1.0.0/16 ");
	assert_string_equal(primary(2), "");
	assert_null(dw_differs(k));
}

/* dbd dies and comes back: nothing moves while nodes may still return. */
static void
t_restart(void **state)
{
	(void)state;
	ha();
	offline(1);
	dw_restart(w, false);
	assert_true(dw_find(w, 3)->r.primary.count == 1);
	dw_reconnect(k);
	dw_hello(k);
	/* 2 is back first, and 1, who was offline. */
	ask_stream(k, 2, h2++, 2, 2, 2);
	ask_stream(k, 1, h2++, 1, 1, 1);
	assert_string_equal(primary(3), "10.1.0.0/16 ");
	assert_string_equal(primary(1), "");
	ask_stream(k, 3, h2++, 3, 3, 3);
	dw_pass(w, 6 * US_PER_S);
	assert_string_equal(primary(3), "10.1.0.0/16 ");
	assert_null(dw_differs(k));
	/* This time it does not come back: at the window's end it moves. */
	dw_restart_with(k, false);
	ask_stream(k, 2, h2++, 2, 2, 2);
	dw_pass(w, 4 * US_PER_S);
	assert_string_equal(primary(3), "10.1.0.0/16 ");
	dw_pass(w, 2 * US_PER_S);
	assert_string_equal(primary(2), "10.1.0.0/16 ");
	assert_null(dw_differs(k));
}

/* What it was last seen as is written lazily: that is no reason to move. */
static void
t_restart_stale(void **state)
{
	(void)state;
	ha();
	assert_int_equal(store_begin(dw_store(w)), 0);
	assert_int_equal(store_put_seen(dw_store(w), 1, 3, false, 5), 0);
	assert_int_equal(store_commit(dw_store(w)), 0);
	dw_restart_with(k, false);
	assert_false(dw_find(w, 3)->r.online);
	ask_stream(k, 1, h2++, 1, 1, 1);
	dw_pass(w, 3 * US_PER_S);
	assert_string_equal(primary(3), "10.1.0.0/16 ");
	ask_stream(k, 3, h2++, 3, 3, 3);
	dw_pass(w, 3 * US_PER_S);
	assert_string_equal(primary(3), "10.1.0.0/16 ");
	assert_null(dw_differs(k));
}

/* In a window too a route that nobody has is given to whoever is there. */
static void
t_window(void **state)
{
	(void)state;
	dw_restart_with(k, true);
	ask_stream(k, 2, h2++, 2, 2, 2);
	ask_advertise(k, 2, h2++, "10.1.0.0/16");
	assert_int_equal(change(2, "10.1.0.0/16", true), 0);
	assert_string_equal(primary(2), "10.1.0.0/16 ");
}

/* By policy: at its load, when it is advertised, and by a new tag. */
static void
t_auto(void **state)
{
	struct buf b = { NULL, 0, 0 };
	struct msg_list list = ask_tag(&b, "tag:r");

	(void)state;
	ask_advertise(k, 1, h2++, "10.1.0.0/16 192.168.0.0/24 0.0.0.0/0 ::/0");
	ask_advertise(k, 2, h2++, "10.1.0.0/16");
	assert_int_equal(op_node_tag(dw_dbd(w), 1, &list, 0, why, sizeof(why)),
	    0);
	dw_run(w);
	dw_forget(k);
	ask_policy(w, "allow\nown tag:r alice\napprove 10.0.0.0/8 tag:r");
	assert_string_equal(approved(1), "10.1.0.0/16 ");
	assert_string_equal(primary(1), "10.1.0.0/16 ");
	assert_string_equal(approved(2), "");
	/* The policy first, then what it approves. */
	assert_true(dw_place(k, M_DB_POLICY, 0) <
	    dw_place(k, M_DB_NODE_PUT, 0));
	ask_advertise(k, 1, h2++, "10.1.0.0/16 10.2.0.0/16 0.0.0.0/0 ::/0");
	assert_string_equal(approved(1), "10.1.0.0/16 10.2.0.0/16 ");
	assert_int_equal(op_node_tag(dw_dbd(w), 2, &list, 0, why, sizeof(why)),
	    0);
	dw_run(w);
	assert_string_equal(approved(2), "10.1.0.0/16 ");
	/* It only adds. */
	ask_policy(w, "allow\napprove exit tag:r");
	assert_string_equal(approved(1),
	    "10.1.0.0/16 10.2.0.0/16 0.0.0.0/0 ::/0 ");
	assert_string_equal(approved(2), "10.1.0.0/16 ");
	assert_null(dw_differs(k));
	buf_free(&b);
}

/* A lite update that says the same of routes and something else. */
static void
say_more(uint32_t i, const char *host, const char *prefixes)
{
	struct ask_lite a = { .machine = i, .key = i, .disco = i,
	    .host = host, .h2 = h2++ };
	struct buf b = { NULL, 0, 0 }, routes = { NULL, 0, 0 };
	struct msg m;

	ask_lite_msg(k, &a, &m, &b);
	m.u.db_map_lite.hostinfo.routes = ask_prefixes(&routes, prefixes);
	(void)dw_send(k, &m);
	dw_run(w);
	assert_true(slice_eqs(dw_find(w, i)->r.hostinfo.hostname, host));
	buf_free(&b);
	buf_free(&routes);
}

/* Node 1 is tag:r's and advertises; its first route is taken back. */
static void
taken_back(struct buf *b)
{
	struct msg_list list = ask_tag(b, "tag:r");

	assert_int_equal(op_node_tag(dw_dbd(w), 1, &list, 0, why, sizeof(why)),
	    0);
	ask_policy(w, "allow\nown tag:r alice\napprove 10.0.0.0/8 tag:r");
	ask_advertise(k, 1, h2++, "10.1.0.0/16 10.2.0.0/16 0.0.0.0/0 ::/0");
	assert_string_equal(approved(1), "10.1.0.0/16 10.2.0.0/16 ");
	assert_int_equal(change(1, "10.1.0.0/16", false), 0);
	assert_string_equal(approved(1), "10.2.0.0/16 ");
}

#define ALL	"10.1.0.0/16 10.2.0.0/16 0.0.0.0/0 ::/0"

/* Both exit routes are taken back, whichever is named. */
static void
t_refused_exit(void **state)
{
	struct buf b = { NULL, 0, 0 };
	struct msg_list list = ask_tag(&b, "tag:r");

	(void)state;
	assert_int_equal(op_node_tag(dw_dbd(w), 1, &list, 0, why, sizeof(why)),
	    0);
	ask_policy(w, "allow\nown tag:r alice\napprove exit tag:r");
	ask_advertise(k, 1, h2++, ALL);
	assert_string_equal(approved(1), "0.0.0.0/0 ::/0 ");
	assert_int_equal(change(1, "::/0", false), 0);
	say_more(1, "other", ALL);
	assert_string_equal(approved(1), "");
	buf_free(&b);
}

/* What an administrator takes back stays so whatever the node says. */
static void
t_refused(void **state)
{
	struct buf b = { NULL, 0, 0 };
	struct ask_reg a = { .machine = 1, .key = 9, .old = 1,
	    .host = "third" };
	struct buf mb = { NULL, 0, 0 }, routes = { NULL, 0, 0 };
	struct msg m;

	(void)state;
	taken_back(&b);
	say_more(1, "other", ALL);
	assert_string_equal(approved(1), "10.2.0.0/16 ");
	/* One more route, and that alone. */
	say_more(1, "other", ALL " 10.3.0.0/16");
	assert_string_equal(approved(1), "10.2.0.0/16 10.3.0.0/16 ");
	/* It registers again with a new key. */
	a.auth = ask_key(w, 0, true, false, 0, "tag:r");
	ask_reg_msg(k, &a, &m, &mb);
	m.u.db_reg.hostinfo.routes = ask_prefixes(&routes, ALL " 10.3.0.0/16");
	(void)dw_send(k, &m);
	dw_run(w);
	assert_int_equal(dw_find(w, 1)->r.node_key[4], 9);
	assert_string_equal(approved(1), "10.2.0.0/16 10.3.0.0/16 ");
	/* An administrator changes his mind, and again. */
	assert_int_equal(change(1, "10.1.0.0/16", true), 0);
	assert_string_equal(approved(1),
	    "10.2.0.0/16 10.3.0.0/16 10.1.0.0/16 ");
	assert_int_equal(change(1, "10.1.0.0/16", false), 0);
	assert_string_equal(approved(1), "10.2.0.0/16 10.3.0.0/16 ");
	buf_free(&mb);
	buf_free(&routes);
	buf_free(&b);
}

/* Until it is advertised anew, or another policy is set. */
static void
t_refused_no_more(void **state)
{
	struct buf b = { NULL, 0, 0 };

	(void)state;
	taken_back(&b);
	ask_advertise(k, 1, h2++, "10.2.0.0/16 ::/0 0.0.0.0/0");
	assert_string_equal(approved(1), "10.2.0.0/16 ");
	ask_advertise(k, 1, h2++, ALL);
	assert_string_equal(approved(1), "10.2.0.0/16 10.1.0.0/16 ");
	ask_policy(w, "allow\nown tag:r alice\napprove exit tag:r");
	assert_string_equal(approved(1),
	    "10.2.0.0/16 10.1.0.0/16 0.0.0.0/0 ::/0 ");
	/* Not advertised when it is taken back: that is anew, too. */
	ask_advertise(k, 1, h2++, "");
	ask_policy(w, "allow\nown tag:r alice\napprove 10.0.0.0/8 tag:r");
	assert_int_equal(change(1, "10.1.0.0/16", false), 0);
	ask_advertise(k, 1, h2++, "10.1.0.0/16");
	assert_string_equal(approved(1),
	    "10.2.0.0/16 0.0.0.0/0 ::/0 10.1.0.0/16 ");
	assert_null(dw_differs(k));
	buf_free(&b);
}

/* Users change and it is compiled again; we die and come back. */
static void
t_refused_stays(void **state)
{
	struct buf b = { NULL, 0, 0 };
	uint64_t seq;

	(void)state;
	taken_back(&b);
	seq = dw_tailnet(w)->pol_seq;
	assert_int_equal(op_user_rename(dw_dbd(w), alice, S("eve"), 0, why,
	    sizeof(why)), 0);
	dw_pass(w, 20 * US_PER_S);
	assert_true(dw_tailnet(w)->pol_seq != seq);
	assert_string_equal(approved(1), "10.2.0.0/16 ");
	dw_restart_with(k, true);
	ask_stream(k, 1, h2++, 1, 1, 1);
	say_more(1, "other", ALL);
	assert_string_equal(approved(1), "10.2.0.0/16 ");
	seq = dw_tailnet(w)->pol_seq;
	assert_int_equal(op_user_rename(dw_dbd(w), alice, S("alice"), 0, why,
	    sizeof(why)), 0);
	dw_pass(w, 20 * US_PER_S);
	assert_true(dw_tailnet(w)->pol_seq != seq);
	assert_string_equal(approved(1), "10.2.0.0/16 ");
	ask_policy(w, "allow\nown tag:r alice\napprove 10.0.0.0/8 tag:r");
	assert_string_equal(approved(1), "10.2.0.0/16 10.1.0.0/16 ");
	assert_null(dw_differs(k));
	buf_free(&b);
}

/* A full start: who was offline before is not waited for. */
static void
t_window_full(void **state)
{
	(void)state;
	ha();
	offline(1);
	offline(2);
	offline(3);
	assert_string_equal(primary(3), "10.1.0.0/16 ");
	/* What was last seen is written by then. */
	dw_pass(w, 3600 * US_PER_S);
	dw_restart_with(k, true);
	assert_true(dw_find(w, 3)->r.primary.count == 1);
	ask_stream(k, 2, h2++, 2, 2, 2);
	assert_string_equal(primary(2), "10.1.0.0/16 ");
	assert_string_equal(primary(3), "");
	/* One that was online is. */
	dw_pass(w, 120 * US_PER_S);
	dw_restart_with(k, true);
	ask_stream(k, 1, h2++, 1, 1, 1);
	dw_pass(w, 50 * US_PER_S);
	assert_string_equal(primary(2), "10.1.0.0/16 ");
	dw_pass(w, 70 * US_PER_S);
	assert_string_equal(primary(1), "10.1.0.0/16 ");
	assert_null(dw_differs(k));
}

static void
expire(uint64_t id, int64_t at)
{
	assert_int_equal(op_node_expire(dw_dbd(w), id, at, 0, why, sizeof(why)),
	    0);
	dw_run(w);
}

/* Online, and nobody speaks to it: the route goes to one that serves. */
static void
t_expired(void **state)
{
	int64_t now;

	(void)state;
	ha();
	now = env_wall(dw_dbd(w)->env);
	/* At once, if an administrator says so. */
	expire(3, 1);
	assert_true(dw_find(w, 3)->r.online);
	assert_string_equal(primary(3), "");
	assert_string_equal(primary(1), "10.1.0.0/16 ");
	/* When the time has come. */
	expire(1, now + 100);
	dw_pass(w, 99 * US_PER_S);
	assert_string_equal(primary(1), "10.1.0.0/16 ");
	dw_pass(w, 2 * US_PER_S);
	assert_true(dw_find(w, 1)->r.online);
	assert_string_equal(primary(1), "");
	assert_string_equal(primary(2), "10.1.0.0/16 ");
	/* Nobody is better: it stays, until one is good again. */
	expire(2, 1);
	assert_string_equal(primary(2), "10.1.0.0/16 ");
	expire(3, 0);
	assert_string_equal(primary(2), "");
	assert_string_equal(primary(3), "10.1.0.0/16 ");
	expire(1, 0);
	assert_string_equal(primary(3), "10.1.0.0/16 ");
	assert_null(dw_differs(k));
}

static void
jump(int64_t seconds)
{
	fakeenv_set_wall(dw_env(w), dw_now(w) + seconds);
	dw_pass(w, 6 * US_PER_S);
}

/* A key's end is a time of day, and the day may be set back, or forwards. */
static void
t_expired_clock(void **state)
{
	int64_t now;

	(void)state;
	ha();
	now = dw_now(w);
	expire(3, now);
	expire(1, now + 7200);
	assert_string_equal(primary(1), "10.1.0.0/16 ");
	expire(2, now);
	/* Withdrawn by the last one that is usable: nobody has it. */
	ask_advertise(k, 1, h2++, "");
	assert_string_equal(primary(1), "");
	assert_string_equal(primary(2), "");
	assert_string_equal(primary(3), "");
	/* It is earlier: their keys are good again, and all are told. */
	dw_forget(k);
	jump(-3600);
	assert_string_equal(primary(2), "10.1.0.0/16 ");
	assert_int_equal(dw_count(k, M_DB_NODE_PUT), 3);
	ask_advertise(k, 1, h2++, "10.1.0.0/16");
	assert_string_equal(primary(1), "");
	/* And it is later. */
	dw_forget(k);
	jump(3600);
	assert_string_equal(primary(1), "10.1.0.0/16 ");
	/* Each that expired, and both whose routes changed. */
	assert_int_equal(dw_count(k, M_DB_NODE_PUT), 4);
	/* What is no jump is no reason to say anything. */
	dw_forget(k);
	jump(1);
	jump(-1);
	assert_int_equal(dw_count(k, M_DB_NODE_PUT), 0);
	assert_null(dw_differs(k));
}

static void
t_auto_at_registration(void **state)
{
	const char *tagged = ask_key(w, 0, true, false, 0, "tag:r");
	struct ask_reg a = { .machine = 7, .key = 7, .auth = tagged };
	struct buf b = { NULL, 0, 0 }, routes = { NULL, 0, 0 };
	struct msg m;

	(void)state;
	ask_policy(w, "allow\napprove 10.0.0.0/8 tag:r");
	ask_reg_msg(k, &a, &m, &b);
	m.u.db_reg.hostinfo.routes = ask_prefixes(&routes, "10.7.0.0/16");
	(void)dw_send(k, &m);
	dw_run(w);
	assert_string_equal(approved(4), "10.7.0.0/16 ");
	/* Peers are not told of it yet: it carries nothing. */
	assert_string_equal(primary(4), "");
	ask_advertise(k, 7, h2++, "10.7.0.0/16");
	/* Now they are, but it is offline. */
	assert_string_equal(primary(4), "");
	ask_stream(k, 7, 1, 7, 7, 4);
	assert_string_equal(primary(4), "10.7.0.0/16 ");
	buf_free(&b);
	buf_free(&routes);
}

/* A thousand routes of a hundred nodes: all move in one turn. */
static void
t_many(void **state)
{
	struct buf b = { NULL, 0, 0 };
	uint32_t i;

	(void)state;
	for (i = 0; i < 250; i++)
		buf_printf(&b, "10.%u.0.0/16 ", i);
	buf_u8(&b, 0);
	for (i = 1; i <= 3; i++) {
		ask_advertise(k, i, h2++, (const char *)b.p);
		assert_int_equal(change(i, (const char *)b.p, true), 0);
	}
	assert_int_equal(dw_node(k, 1)->primary.count, 250);
	offline(1);
	assert_int_equal(dw_node(k, 1)->primary.count, 0);
	assert_int_equal(dw_node(k, 2)->primary.count, 250);
	assert_null(dw_differs(k));
	buf_free(&b);
}

int
main(void)
{
#define T(f)	cmocka_unit_test_setup_teardown(f, setup, ask_teardown)
	const struct CMUnitTest tests[] = {
		T(t_approve), T(t_exit), T(t_withdrawn), T(t_failover),
		T(t_restart), T(t_restart_stale), T(t_window), T(t_auto),
		T(t_auto_at_registration), T(t_refused), T(t_refused_exit),
		T(t_refused_no_more), T(t_refused_stays), T(t_window_full),
		T(t_expired), T(t_expired_clock), T(t_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
