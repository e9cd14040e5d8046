/* Several connections of one key, at one worker (derp.md 4.6). */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "regress/lib/relayone.h"

static void
spoke(struct rkclient *x)
{
	rk_frame(x, 0x33, "", 0);
}

/* Sends one packet to the key; which of n connections got it, or -1. */
static int
active(struct rkclient *from, struct rkclient **x, int n)
{
	int i, who = -1;

	rk_send(from, x[0]->pub, "?", 1);
	rk_run(from->rk);
	for (i = 0; i < n; i++)
		if (!rk_silent(x[i])) {
			assert_int_equal(who, -1);
			assert_true(rk_got(x[i], from, "?", 1));
			assert_true(rk_silent(x[i]));
			who = i;
		}
	return who;
}

static void
gauges(struct rk *rk, unsigned int keys, unsigned int conns)
{
	assert_int_equal(rk_count(&rk->worker[0])->dup_keys, keys);
	assert_int_equal(rk_count(&rk->worker[0])->dup_conns, conns);
}

/* A client moved to another network: the old connection dies later. */
static void
t_small_overlap(void **state)
{
	struct rk *rk = *state;
	struct rkclient *s = ro_in(rk, 9), *x[2];

	x[0] = ro_in(rk, 1);
	assert_int_equal(active(s, x, 1), 0);
	gauges(rk, 0, 0);
	x[1] = ro_in(rk, 1);
	gauges(rk, 1, 2);
	assert_int_equal(active(s, x, 2), 1);
	rk_close(x[0]);
	gauges(rk, 0, 0);
	assert_int_equal(active(s, x, 2), 1);
	/* trap 14: nobody was told, for the key is still here */
	assert_true(rk_silent(s));
	rk_close(x[1]);
	rk_run(rk);
	assert_int_equal(active(s, x, 2), -1);
}

/* Whoever spoke last is active; frames of any type count. */
static void
t_last_speaker(void **state)
{
	struct rk *rk = *state;
	struct rkclient *s = ro_in(rk, 9), *x[3];

	x[0] = ro_in(rk, 1);
	x[1] = ro_in(rk, 1);
	assert_int_equal(active(s, x, 2), 1);
	spoke(x[0]);
	assert_int_equal(active(s, x, 2), 0);
	rk_frame(x[1], 7, "\1", 1);
	assert_int_equal(active(s, x, 2), 1);
	rk_send(x[0], s->pub, "x", 1);
	rk_run(rk);
	assert_true(rk_got(s, x[0], "x", 1));
	assert_int_equal(active(s, x, 2), 0);
	x[2] = ro_in(rk, 1);
	gauges(rk, 1, 3);
	assert_int_equal(active(s, x, 3), 2);
	/* the active one goes: the most recent other speaker */
	rk_close(x[2]);
	gauges(rk, 1, 2);
	assert_int_equal(active(s, x, 3), 0);
	rk_close(x[0]);
	gauges(rk, 0, 0);
	assert_int_equal(active(s, x, 3), 1);
}

/* One that is not active goes: nothing changes. */
static void
t_other_leaves(void **state)
{
	struct rk *rk = *state;
	struct rkclient *s = ro_in(rk, 9), *x[3];
	int i;

	for (i = 0; i < 3; i++)
		x[i] = ro_in(rk, 1);
	spoke(x[1]);
	rk_close(x[2]);
	assert_int_equal(active(s, x, 3), 1);
	rk_close(x[0]);
	assert_int_equal(active(s, x, 3), 1);
}

/* None of the others has spoken: none takes packets until one does. */
static void
t_none_active(void **state)
{
	struct rk *rk = *state;
	struct rkclient *s = ro_in(rk, 9), *x[3];
	uint8_t disco[62] = { 0x54, 0x53, 0xf0, 0x9f, 0x92, 0xac };
	int i;

	for (i = 0; i < 3; i++)
		x[i] = ro_in(rk, 1);
	rk_close(x[2]);
	assert_int_equal(active(s, x, 3), -1);
	rk_send(s, x[0]->pub, disco, sizeof(disco));
	rk_run(rk);
	assert_true(rk_silent(s));	/* it is here: no PeerGone */
	assert_int_equal(rk_count(&rk->worker[0])->dropped_dup, 2);
	spoke(x[0]);
	assert_int_equal(active(s, x, 3), 0);
}

static uint64_t
by_who(uint32_t who)
{
	return who;
}

/* Nobody learns that another tailnet has a key, however many have it. */
static void
t_none_active_elsewhere(void **state)
{
	struct rk *rk = *state;
	struct rkclient *s, *x[3];
	uint8_t disco[62] = { 0x54, 0x53, 0xf0, 0x9f, 0x92, 0xac };
	int i;

	rk->tailnet = by_who;
	s = ro_in(rk, 9);
	for (i = 0; i < 3; i++)
		x[i] = ro_in(rk, 1);
	rk_close(x[2]);
	rk_send(s, x[0]->pub, disco, sizeof(disco));
	rk_run(rk);
	assert_true(rk_got_gone(s, x[0], 1));
	assert_int_equal(rk_count(&rk->worker[0])->dropped_dup, 0);
	assert_int_equal(rk_count(&rk->worker[0])->dropped_unknown, 1);
}

/* At most four: the one that has been silent for the longest goes. */
static void
t_at_most_four(void **state)
{
	struct rk *rk = *state;
	struct rkclient *s = ro_in(rk, 9), *x[7];
	int i;

	for (i = 0; i < 4; i++)
		x[i] = ro_in(rk, 1);
	gauges(rk, 1, 4);
	spoke(x[0]);
	spoke(x[2]);
	x[4] = ro_in(rk, 1);	/* 1 and 3 never spoke, and 1 came first */
	rk_run(rk);
	assert_true(rk_is_done(x[1]));
	assert_int_equal(active(s, x, 5), 4);
	gauges(rk, 1, 4);
	assert_int_equal(rk->closes, 1);
	rk_pass(rk, 11 * US_PER_S);	/* or it were a fight */
	spoke(x[3]);
	spoke(x[4]);
	x[5] = ro_in(rk, 1);
	assert_true(rk_is_done(x[0]));
	x[6] = ro_in(rk, 1);	/* the new one had not spoken */
	assert_true(rk_is_done(x[5]));
	assert_int_equal(active(s, x, 7), 6);
	gauges(rk, 1, 4);
	assert_int_equal(rk_count(&rk->worker[0])->clients, 5);
}

/* PeerGone only with the last of them, and to each who had packets. */
static void
t_gone_with_the_last(void **state)
{
	struct rk *rk = *state;
	struct rkclient *s = ro_in(rk, 9), *t = ro_in(rk, 10), *x, *y;

	x = ro_in(rk, 1);
	y = ro_in(rk, 1);
	rk_send(x, s->pub, "x", 1);
	rk_send(y, t->pub, "x", 1);
	rk_run(rk);
	assert_int_equal(rk_packets(s), 1);
	assert_int_equal(rk_packets(t), 1);
	rk_close(x);
	rk_run(rk);
	assert_true(rk_silent(s));
	rk_close(y);
	rk_run(rk);
	assert_true(rk_got_gone(s, x, 0));
	assert_true(rk_got_gone(t, x, 0));
}

/* How many Health frames came, and whether the last of them had a text. */
static unsigned int
health(struct rkclient *x, bool *text)
{
	unsigned int n = 0;
	struct slice s;
	uint8_t type;

	rk_run(x->rk);
	while (rk_next(x, &type, &s)) {
		if (type == 6)
			continue;	/* KeepAlive */
		assert_int_equal(type, 0x14);
		*text = s.n != 0;
		n++;
	}
	return n;
}

/* Two that fight for a key, for long: memory stays as it is. */
static void
t_fight(void **state)
{
	struct rk *rk = *state;
	struct rkclient *s = ro_in(rk, 9), *x[2];
	unsigned int i;
	bool text;

	x[0] = ro_in(rk, 1);
	x[1] = ro_in(rk, 1);
	for (i = 0; i < 5000; i++) {
		spoke(x[i & 1]);
		/* The fourth time each of them is told, once. */
		if (i == 3) {
			assert_int_equal(health(x[0], &text), 1);
			assert_true(text);
			assert_int_equal(health(x[1], &text), 1);
			assert_true(text);
		}
		assert_int_equal(active(s, x, 2), i & 1);
	}
	assert_int_equal(rk->actives, 0);
	assert_int_equal(rk_count(&rk->worker[0])->warned, 2);
	/* One is left: all is well again. */
	rk_close(x[0]);
	assert_int_equal(health(x[1], &text), 1);
	assert_false(text);
	spoke(x[1]);
	assert_true(rk_silent(x[1]));
	assert_true(rk_silent(s));
}

/* A client that moves, and is heard on its old way once more: no fight. */
static void
t_move(void **state)
{
	struct rk *rk = *state;
	struct rkclient *x[2];
	unsigned int i;

	for (i = 0; i < 10; i++) {
		x[0] = ro_in(rk, 1);
		spoke(x[0]);
		x[1] = ro_in(rk, 1);
		spoke(x[0]);
		spoke(x[1]);
		spoke(x[1]);
		rk_close(x[0]);
		spoke(x[1]);
		assert_true(rk_silent(x[1]));
		rk_close(x[1]);
	}
	/* Nor are two that take turns seldom. */
	x[0] = ro_in(rk, 1);
	x[1] = ro_in(rk, 1);
	for (i = 0; i < 8; i++) {
		spoke(x[i & 1]);
		rk_pass(rk, 4 * US_PER_S);
		assert_true(rk_silent(x[0]));
		assert_true(rk_silent(x[1]));
	}
	assert_int_equal(rk_count(&rk->worker[0])->warned, 0);
}

/* They are both still there, but one keeps silent: cleared, too. */
static void
t_calm(void **state)
{
	struct rk *rk = *state;
	struct rkclient *x[3];
	unsigned int i;
	bool text;

	for (i = 0; i < 2; i++)
		x[i] = ro_in(rk, 1);
	for (i = 0; i < 4; i++)
		spoke(x[i & 1]);
	assert_int_equal(health(x[0], &text), 1);
	assert_int_equal(health(x[1], &text), 1);
	/* One that comes later is told when it goes on. */
	x[2] = ro_in(rk, 1);
	assert_true(rk_silent(x[2]));
	spoke(x[0]);
	assert_int_equal(health(x[2], &text), 1);
	assert_true(text);
	for (i = 0; i < 26; i++) {
		rk_pass(rk, 5 * US_PER_S);
		spoke(x[0]);
	}
	for (i = 0; i < 3; i++) {
		assert_int_equal(health(x[i], &text), 1);
		assert_false(text);
	}
}

#define T(f)	cmocka_unit_test_setup_teardown(f, ro_setup, ro_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(t_small_overlap), T(t_last_speaker), T(t_other_leaves),
		T(t_none_active), T(t_none_active_elsewhere),
		T(t_at_most_four), T(t_gone_with_the_last), T(t_fight),
		T(t_move), T(t_calm)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
