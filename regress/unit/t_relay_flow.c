/* Packets and all else that a live client of the relay sends and gets. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "regress/lib/relayone.h"

static void
t_packets(void **state)
{
	static uint8_t big[65536];
	struct rk *rk = *state;
	struct rkclient *a = ro_in(rk, 1), *b = ro_in(rk, 2);

	memset(big, 7, sizeof(big));
	rk_send(a, b->pub, "hello", 5);
	rk_send(b, a->pub, "", 0);
	rk_send(a, b->pub, big, sizeof(big));
	rk_send(a, a->pub, "myself", 6);
	rk_run(rk);
	assert_true(rk_got(b, a, "hello", 5));
	assert_true(rk_got(b, a, big, sizeof(big)));
	assert_true(rk_silent(b));
	assert_true(rk_got(a, b, "", 0));
	assert_true(rk_got(a, a, "myself", 6));
	assert_int_equal(ro_num(rk)->packets_in, 4);
	assert_int_equal(ro_num(rk)->packets_out, 4);
	assert_int_equal(ro_num(rk)->bytes_in, 65536 + 11);
	assert_int_equal(ro_num(rk)->bytes_out, 65536 + 11);
}

/* Every length around those at which memory changes its size, in two pieces. */
static void
t_lengths(void **state)
{
	static const size_t len[] = { 0, 1, 61, 62, 218, 219, 220, 602, 603,
	    604, 1280, 1562, 1563, 1564, 4122, 4123, 4124, 16602, 16603,
	    16604, 65535, 65536 };
	static uint8_t p[65536];
	struct rk *rk = *state;
	struct rkclient *a = ro_in(rk, 1), *b = ro_in(rk, 2);
	struct buf f = { 0 };
	size_t i, cut;

	for (i = 0; i < sizeof(p); i++)
		p[i] = (uint8_t)(i * 7 + i / 256);
	for (i = 0; i < sizeof(len) / sizeof(len[0]); i++) {
		buf_clear(&f);
		rk_put_send(&f, b->pub, p, len[i]);
		for (cut = 1; cut < f.n; cut += 1 + f.n / 7) {
			rk_octets(a, f.p, cut);
			rk_run(rk);
			assert_true(rk_silent(b));
			rk_octets(a, f.p + cut, f.n - cut);
			rk_run(rk);
			assert_true(rk_got(b, a, p, len[i]));
		}
	}
	buf_free(&f);
}

/* Cut after each octet of a packet: nothing is delivered, nothing stays. */
static void
t_truncated_packet(void **state)
{
	struct rk *rk = *state;
	struct rkclient *a, *b = ro_in(rk, 2);
	struct buf f = { 0 };
	size_t i;

	rk_put_send(&f, b->pub, "a packet of 21 octets", 21);
	for (i = 0; i < f.n; i++) {
		a = ro_in(rk, 1);
		rk_octets(a, f.p, i);
		rk_run(rk);
		rk_close(a);
		rk_run(rk);
		assert_true(rk_silent(b));
	}
	assert_int_equal(ro_num(rk)->packets_in, 0);
	buf_free(&f);
}

/* Every type with every bound, as the connection sees it. */
static void
t_size_rules(void **state)
{
	static const struct {
		uint8_t type;
		uint32_t n;
		bool bad;
	} f[] = {
		{ 0x04, 31, true }, { 0x04, 32, false }, { 0x04, 65568, false },
		{ 0x04, 65569, true }, { 0x07, 0, true }, { 0x07, 2, true },
		{ 0x12, 7, true }, { 0x12, 8, false }, { 0x12, 1000, false },
		{ 0x12, 1001, true }, { 0x13, 8, false }, { 0x02, 60, false },
		{ 0x2f, 0, false }, { 0x2f, 65568, false },
		{ 0x2f, 65569, true }
	};
	static uint8_t p[65569];
	struct rk *rk = *state;
	struct rkclient *x;
	uint64_t bad;
	size_t i;

	for (i = 0; i < sizeof(f) / sizeof(f[0]); i++) {
		x = ro_in(rk, 1);
		bad = ro_num(rk)->bad_frames;
		rk_frame(x, f[i].type, p, f[i].n);
		assert_int_equal(rk_is_done(x), f[i].bad);
		assert_int_equal(ro_num(rk)->bad_frames - bad, f[i].bad);
		rk_close(x);
		rk_run(rk);
	}
}

/* 7.1: at its header, before any of it is read; a counter, no effect. */
static void
t_privileged(void **state)
{
	static const uint8_t type[] = { 0x0a, 0x10, 0x11 };
	struct rk *rk = *state;
	struct rkclient *x, *y = ro_in(rk, 2);
	uint8_t head[5] = { 0, 0, 0, 0, 100 };
	size_t i;

	for (i = 0; i < sizeof(type); i++) {
		x = ro_in(rk, 1);
		head[0] = type[i];
		rk_octets(x, head, 5);
		assert_true(rk_is_done(x));
		rk_close(x);
		rk_run(rk);
		assert_true(rk_silent(y));
		assert_false(rk_is_done(y));
	}
	assert_int_equal(ro_num(rk)->bad_frames, 3);
	assert_int_equal(ro_num(rk)->clients, 1);
}

/* Trap 38, and what stands behind an unknown frame is read. */
static void
t_trap_38_unknown(void **state)
{
	static uint8_t p[65568];
	struct rk *rk = *state;
	struct rkclient *a = ro_in(rk, 1), *b = ro_in(rk, 2);

	rk_frame(a, 0x77, p, sizeof(p));
	rk_frame(a, 0x78, p, 0);
	rk_frame(a, 0x13, p, 8);
	rk_send(a, b->pub, "after", 5);
	rk_run(rk);
	assert_true(rk_got(b, a, "after", 5));
	assert_true(rk_silent(a));
	assert_int_equal(ro_num(rk)->unknown_frames, 3);
}

/* Trap 13: 8 to 1,000 octets, 8 come back; one at a time. */
static void
t_trap_13_ping(void **state)
{
	struct rk *rk = *state;
	struct rkclient *x = ro_in(rk, 1);
	uint8_t p[1000] = "first678and more", type;
	struct slice s;

	rk_frame(x, 0x12, p, 1000);
	rk_run(rk);
	assert_true(rk_next(x, &type, &s));
	assert_int_equal(type, 0x13);
	assert_int_equal(s.n, 8);
	assert_memory_equal(s.p, "first678", 8);
	x->stuck = true;
	rk_frame(x, 0x12, "ping___1", 8);
	rk_frame(x, 0x12, "ping___2", 8);
	rk_frame(x, 0x12, "ping___3", 8);
	x->stuck = false;
	rk_run(rk);
	assert_true(rk_next(x, &type, &s));
	assert_memory_equal(s.p, "ping___1", 8);
	assert_true(rk_silent(x));
	rk_frame(x, 0x12, "ping___4", 8);
	rk_run(rk);
	assert_true(rk_next(x, &type, &s));
	assert_memory_equal(s.p, "ping___4", 8);
	assert_int_equal(ro_num(rk)->pings, 5);
	assert_int_equal(ro_num(rk)->pongs, 3);
}

static void
t_preferred(void **state)
{
	struct rk *rk = *state;
	struct rkclient *x = ro_in(rk, 1), *y = ro_in(rk, 2);

	rk_frame(x, 7, "\1", 1);
	rk_frame(x, 7, "\377", 1);
	assert_int_equal(ro_num(rk)->home, 1);
	assert_int_equal(ro_num(rk)->home_in, 0);
	rk_pass(rk, 6 * US_PER_S);
	rk_frame(y, 7, "\1", 1);
	rk_frame(x, 7, "\0", 1);
	assert_int_equal(ro_num(rk)->home, 1);
	assert_int_equal(ro_num(rk)->home_in, 1);
	assert_int_equal(ro_num(rk)->home_out, 1);
	rk_close(y);
	assert_int_equal(ro_num(rk)->home, 0);
}

/* Trap 10: the oldest go, and there are two queues. */
static void
t_trap_10_head_drop(void **state)
{
	struct rk *rk = *state;
	struct rkclient *a = ro_in(rk, 1), *b = ro_in(rk, 2);
	unsigned int i;

	b->stuck = true;
	for (i = 0; i < 40; i++)
		ro_byte(a, b, (uint8_t)i);
	for (i = 0; i < 35; i++)
		ro_disco(a, b, 62, (uint8_t)(100 + i));
	assert_int_equal(ro_num(rk)->dropped_head, 8 + 3);
	/* it costs its sender nothing */
	rk_send(a, a->pub, "x", 1);
	rk_run(rk);
	assert_true(rk_got(a, a, "x", 1));
	b->stuck = false;
	rk_run(rk);
	for (i = 0; i < 32; i++) {
		if (i % 8 == 0 && i != 0)
			assert_true(ro_last(b, (uint8_t)(8 + i / 8 - 1)));
		assert_true(ro_last(b, (uint8_t)(103 + i)));
	}
	for (i = 8 + 3; i < 40; i++)
		assert_true(ro_last(b, (uint8_t)i));
	assert_true(rk_silent(b));
	assert_int_equal(ro_num(rk)->packets_out, 65);
}

/* 256 KiB each, too; one that is half written is not taken back. */
static void
t_queue_octets(void **state)
{
	static uint8_t big[65536];
	struct rk *rk = *state;
	struct rkclient *a = ro_in(rk, 1), *b = ro_in(rk, 2);
	uint8_t part[100], type;
	struct slice s;
	unsigned int i;

	b->stuck = true;
	big[65535] = 99;
	rk_send(a, b->pub, big, sizeof(big));
	assert_int_equal(relay_output(b->c, part, sizeof(part)), 100);
	for (i = 0; i < 6; i++) {
		big[65535] = (uint8_t)i;
		rk_send(a, b->pub, big, sizeof(big));
	}
	assert_int_equal(ro_num(rk)->dropped_head, 3);
	buf_put(&b->from, part, sizeof(part));
	b->stuck = false;
	rk_run(rk);
	assert_true(ro_last(b, 99));
	for (i = 3; i < 6; i++)
		assert_true(ro_last(b, (uint8_t)i));
	assert_false(rk_next(b, &type, &s));
}

/* Trap 3 and 4: ServerInfo first, though packets came while it waited. */
static void
t_trap_3_server_info_first(void **state)
{
	struct rk *rk = *state;
	struct rkclient *a = ro_in(rk, 1), *b;
	struct buf f = { 0 };

	b = rk_connect(&rk->worker[0], 2);
	b->stuck = true;
	rk_hello(b, RK_INFO, &f);
	rk_octets(b, f.p, f.n);
	rk_run(rk);
	ro_byte(a, b, 1);
	ro_disco(a, b, 62, 2);
	b->stuck = false;
	rk_run(rk);
	assert_true(rk_admitted(b));
	assert_true(ro_last(b, 2));
	assert_true(ro_last(b, 1));
	buf_free(&f);
}

/* Control frames go before packets, but not into the middle of one. */
static void
t_control_first(void **state)
{
	struct rk *rk = *state;
	struct rkclient *a = ro_in(rk, 1), *b = ro_in(rk, 2);
	uint8_t part[40], type;
	struct slice s;

	b->stuck = true;
	rk_send(a, b->pub, "one", 3);
	rk_send(a, b->pub, "two", 3);
	assert_int_equal(relay_output(b->c, part, 7), 7);
	rk_frame(b, 0x12, "12345678", 8);
	buf_put(&b->from, part, 7);
	b->stuck = false;
	rk_run(rk);
	assert_true(rk_got(b, a, "one", 3));
	assert_true(rk_next(b, &type, &s));
	assert_int_equal(type, 0x13);
	assert_true(rk_got(b, a, "two", 3));
}

/* A writer that takes nothing for 2 s; one that takes a little lives. */
static void
t_stall(void **state)
{
	struct rk *rk = *state;
	struct rkclient *a = ro_in(rk, 1), *b = ro_in(rk, 2), *d = ro_in(rk, 3);
	uint8_t one;
	unsigned int i;

	b->stuck = d->stuck = true;
	for (i = 0; i < 30; i++) {
		ro_byte(a, d, 1);
		if (i == 5)	/* half a second after the start */
			ro_byte(a, b, 1);
		assert_int_equal(relay_output(d->c, &one, 1), 1);
		rk_pass(rk, US_PER_S / 10);
		if (i == 23)
			assert_false(rk_is_done(b));
	}
	assert_true(rk_is_done(b));
	assert_false(rk_is_done(d));
	assert_int_equal(ro_num(rk)->stalled, 1);
	/* its queue is gone with it, and so is its key */
	assert_int_equal(ro_num(rk)->dropped_gone, 1);
	ro_disco(a, b, 62, 0);
	assert_true(rk_got_gone(a, b, 1));
}

/* Exactly: at 2 s, not before. */
static void
t_stall_time(void **state)
{
	struct rk *rk = *state;
	struct rkclient *a = ro_in(rk, 1), *b = ro_in(rk, 2);

	b->stuck = true;
	rk_pass(rk, 5 * US_PER_S);	/* nothing waits: no stall */
	ro_byte(a, b, 1);
	fakeenv_advance(rk->fake, 2 * US_PER_S - 1);
	assert_false(rk_is_done(b));
	fakeenv_advance(rk->fake, 1);
	assert_true(rk_is_done(b));
}

/* Traps 5 and 6: silence is fine; keep-alives come every 60 to 65 s. */
static void
t_trap_5_6_keepalive(void **state)
{
	struct rk *rk = *state;
	struct rkclient *x[8];
	uint64_t last[8], at, least = UINT64_MAX, most = 0, each;
	unsigned int i, n = 0;
	struct slice s;
	uint8_t type;

	for (i = 0; i < 8; i++) {
		rk_pass(rk, 333000);
		x[i] = ro_in(rk, i);
		last[i] = env_now(rk->env);
	}
	while (n < 8 * 40) {
		rk_pass(rk, 50000);
		at = env_now(rk->env);
		for (i = 0; i < 8; i++)
			while (rk_next(x[i], &type, &s)) {
				assert_int_equal(type, 6);
				assert_int_equal(s.n, 0);
				each = at - last[i];
				last[i] = at;
				least = each < least ? each : least;
				most = each > most ? each : most;
				n++;
			}
		for (i = 0; i < 8; i++)
			assert_true(at - last[i] <= 65050000);
	}
	assert_in_range(least, 60 * US_PER_S, 61 * US_PER_S);
	assert_in_range(most, 64 * US_PER_S, 65 * US_PER_S);
}

/* Traffic puts off none, and a clock that leapt costs nobody the connection. */
static void
t_keepalive_leap(void **state)
{
	struct rk *rk = *state;
	struct rkclient *a = ro_in(rk, 1), *b = ro_in(rk, 2);
	unsigned int i, alive = 0;
	struct slice s;
	uint8_t type;

	for (i = 0; i < 66; i++) {
		ro_byte(a, b, 1);
		rk_pass(rk, US_PER_S);
		while (rk_next(b, &type, &s))
			alive += type == 6;
	}
	assert_int_equal(alive, 1);
	fakeenv_leap(rk->fake, 1000 * US_PER_S);
	rk_run(rk);
	assert_true(rk_next(b, &type, &s));
	assert_int_equal(type, 6);
	assert_true(rk_silent(b));
	for (i = 0; i < 59; i++)
		rk_pass(rk, US_PER_S);
	assert_true(rk_silent(b));
	rk_pass(rk, 6 * US_PER_S);
	assert_true(rk_next(b, &type, &s));
	assert_false(rk_is_done(a));
}

/* Trap 11: reading waits, nothing is dropped; frames of any type count. */
static void
t_trap_11_rate(void **state)
{
	struct relay_conf conf = { 10000, 65568, 2000, 100, 0 };
	static uint8_t p[65536];
	struct rk *rk = *state;
	struct rkclient *a, *b, *d;
	unsigned int i;

	relay_reconf(rk->worker[0].relay, &conf);
	a = ro_in(rk, 1);
	b = ro_in(rk, 2);
	d = ro_in(rk, 3);
	rk_send(a, b->pub, p, 65536);	/* all that is in the bucket */
	assert_int_equal(ro_num(rk)->rate_waits, 0);
	rk_send(a, b->pub, p, 968);	/* a tenth of a second */
	assert_false(relay_wants_input(a->c));
	assert_int_equal(ro_num(rk)->rate_waits, 1);
	rk_frame(a, 0x55, p, 2000);	/* two tenths */
	rk_send(a, b->pub, "x", 1);	/* 3.3 ms */
	rk_run(rk);
	assert_true(rk_got(b, a, p, 65536));
	assert_true(rk_silent(b));
	/* others are not concerned */
	rk_send(d, b->pub, "d", 1);
	rk_run(rk);
	assert_true(rk_got(b, d, "d", 1));
	i = a->kicks;
	fakeenv_advance(rk->fake, 99999);
	rk_run(rk);
	assert_true(rk_silent(b));
	fakeenv_advance(rk->fake, 1);
	assert_int_equal(a->kicks, i + 1);
	rk_run(rk);
	assert_true(rk_got(b, a, p, 968));
	fakeenv_advance(rk->fake, 203299);
	rk_run(rk);
	assert_true(rk_silent(b));
	fakeenv_advance(rk->fake, 2);
	rk_run(rk);
	assert_true(rk_got(b, a, "x", 1));
	assert_int_equal(ro_num(rk)->rate_waits, 3);
}

/* A burst that is too small would be for ever; the largest frame gets by. */
static void
t_rate_burst(void **state)
{
	struct relay_conf conf = { 65568, 10, 2000, 100, 0 };
	static uint8_t p[65536];
	struct rk *rk = *state;
	struct rkclient *a, *b;
	unsigned int i;

	relay_reconf(rk->worker[0].relay, &conf);
	a = ro_in(rk, 1);
	b = ro_in(rk, 2);
	for (i = 0; i < 4; i++)
		rk_send(a, b->pub, p, 65536);
	rk_run(rk);
	assert_true(rk_got(b, a, p, 65536));
	for (i = 0; i < 3; i++) {
		assert_true(rk_silent(b));
		fakeenv_advance(rk->fake, US_PER_S);
		rk_run(rk);
		assert_true(rk_got(b, a, p, 65536));
	}
	assert_true(rk_silent(b));
	/* nor is more saved up than that */
	rk_pass(rk, 10 * US_PER_S);
	rk_send(a, b->pub, p, 65536);
	rk_send(a, b->pub, p, 65536);
	rk_run(rk);
	assert_true(rk_got(b, a, p, 65536));
	assert_true(rk_silent(b));
}

/* In the long run a second's octets go in a second. */
static void
t_rate_long(void **state)
{
	struct relay_conf conf = { 33333, 65568, 2000, 100, 0 };
	static uint8_t p[968];
	struct rk *rk = *state;
	struct rkclient *a, *b;
	unsigned int i, n = 0;

	relay_reconf(rk->worker[0].relay, &conf);
	a = ro_in(rk, 1);
	b = ro_in(rk, 2);
	for (i = 0; i < 600; i++)
		rk_send(a, b->pub, p, sizeof(p));
	for (i = 0; i < 1000; i++) {
		fakeenv_advance(rk->fake, 10007);
		rk_run(rk);
		n += rk_packets(b);
	}
	/* 65,568 + 10.007 * 33,333 octets */
	assert_int_equal(n + ro_num(rk)->dropped_head, (65568 + 333563) / 1000);
}

/* A reload: a full bucket for all, or none at all any more. */
static void
t_rate_reload(void **state)
{
	struct relay_conf conf = { 1000, 65568, 2000, 100, 0 };
	static uint8_t p[65536];
	struct rk *rk = *state;
	struct rkclient *a, *b;

	a = ro_in(rk, 1);
	b = ro_in(rk, 2);
	rk_send(a, b->pub, p, 65536);
	relay_reconf(rk->worker[0].relay, &conf);
	rk_send(a, b->pub, p, 65536);
	rk_send(a, b->pub, p, 65536);
	rk_run(rk);
	assert_int_equal(rk_packets(b), 2);
	relay_reconf(rk->worker[0].relay, &conf);
	rk_run(rk);
	assert_int_equal(rk_packets(b), 1);
	rk_send(a, b->pub, p, 65536);
	rk_run(rk);
	assert_int_equal(rk_packets(b), 0);
	conf.rate = 0;
	relay_reconf(rk->worker[0].relay, &conf);
	rk_send(a, b->pub, p, 65536);
	rk_run(rk);
	assert_int_equal(rk_packets(b), 2);
}

/* Trap 15 and 4.5: to those who had packets of it, and once. */
static void
t_trap_15_disconnected(void **state)
{
	struct rk *rk = *state;
	struct rkclient *a = ro_in(rk, 1), *b = ro_in(rk, 2), *d = ro_in(rk, 3);

	rk_send(a, b->pub, "x", 1);
	rk_send(a, b->pub, "x", 1);
	rk_send(d, a->pub, "x", 1);	/* a had d's, not d a's */
	rk_run(rk);
	(void)rk_packets(b);
	(void)rk_packets(a);
	rk_close(a);
	rk_run(rk);
	assert_true(rk_got_gone(b, a, 0));
	assert_true(rk_silent(b));
	assert_true(rk_silent(d));
	/* told means forgotten: the next time it is said again */
	a = ro_in(rk, 1);
	rk_close(a);
	rk_run(rk);
	assert_true(rk_silent(b));
	a = ro_in(rk, 1);
	rk_send(a, b->pub, "x", 1);
	rk_run(rk);
	(void)rk_packets(b);
	rk_close(a);
	rk_run(rk);
	assert_true(rk_got_gone(b, a, 0));
	assert_int_equal(ro_num(rk)->gone_disconnected, 2);
}

/* NotHere only for disco, one a second, three at once. */
static void
t_not_here(void **state)
{
	struct rk *rk = *state;
	struct rkclient *a = ro_in(rk, 1), *b = ro_in(rk, 2);
	unsigned int i;

	rk_close(b);
	rk_run(rk);
	rk_send(a, b->pub, "no disco", 8);
	ro_disco(a, b, 61, 0);
	assert_true(rk_silent(a));
	for (i = 0; i < 6; i++)
		ro_disco(a, b, 62, 0);
	rk_run(rk);
	for (i = 0; i < 3; i++)
		assert_true(rk_got_gone(a, b, 1));
	assert_true(rk_silent(a));
	rk_pass(rk, US_PER_S);
	ro_disco(a, b, 62, 0);
	ro_disco(a, b, 62, 0);
	rk_run(rk);
	assert_true(rk_got_gone(a, b, 1));
	assert_true(rk_silent(a));
	assert_int_equal(ro_num(rk)->gone_not_here, 4);
	assert_int_equal(ro_num(rk)->dropped_unknown, 10);
}

static uint64_t
two_tailnets(uint32_t who)
{
	return who >= 20 ? 0 : who >= 10 ? 2 : 1;
}

/* Another tailnet's key is as one that nobody has; guests are one tailnet. */
static void
t_tailnets(void **state)
{
	struct rk *rk = *state;
	struct rkclient *a, *b, *x, *g, *h;

	rk->tailnet = two_tailnets;
	a = ro_in(rk, 1);
	b = ro_in(rk, 2);
	x = ro_in(rk, 10);
	g = ro_in(rk, 20);
	h = ro_in(rk, 21);
	ro_disco(a, x, 62, 0);
	assert_true(rk_got_gone(a, x, 1));
	ro_disco(g, a, 62, 0);
	assert_true(rk_got_gone(g, a, 1));
	ro_disco(a, h, 62, 0);
	assert_true(rk_got_gone(a, h, 1));
	rk_send(a, x->pub, "x", 1);
	rk_send(x, a->pub, "x", 1);
	rk_send(a, b->pub, "x", 1);
	rk_send(g, h->pub, "x", 1);
	rk_run(rk);
	assert_true(rk_silent(x));
	assert_true(rk_silent(a));
	assert_int_equal(rk_packets(b), 1);
	assert_int_equal(rk_packets(h), 1);
	assert_int_equal(ro_num(rk)->dropped_unknown, 5);
	/* nor does it leave a trace there */
	rk_close(a);
	rk_run(rk);
	assert_true(rk_silent(x));
	assert_true(rk_got_gone(b, a, 0));
}

/* S2: dbd's word closes a live connection at once. */
static void
t_revoked(void **state)
{
	struct rk *rk = *state;
	struct rkclient *a = ro_in(rk, 1), *b = ro_in(rk, 2);
	unsigned int kicks = a->kicks;

	rk_send(a, b->pub, "x", 1);
	rk_run(rk);
	(void)rk_packets(b);
	rk_end(a);
	rk_run(rk);
	assert_true(rk_is_done(a));
	assert_true(a->kicks > kicks);
	assert_true(rk_got_gone(b, a, 0));
	ro_disco(b, a, 62, 0);
	assert_true(rk_got_gone(b, a, 1));
	/* its transport's last words are swallowed */
	assert_int_equal(relay_input(a->c, "abc", 3), 3);
	assert_false(relay_wants_input(a->c));
	assert_false(relay_wants_output(a->c));
}

/* Trap 39: 4,096 sources are remembered, the newest. */
static void
t_trap_39_seen(void **state)
{
	struct rk *rk = *state;
	struct rkclient *b = ro_in(rk, 0), *x[4100];
	unsigned int i;

	for (i = 0; i < 4100; i++) {
		x[i] = ro_in(rk, i + 1);
		rk_send(x[i], b->pub, "x", 1);
	}
	rk_run(rk);
	assert_int_equal(rk_packets(b), 4100);
	for (i = 0; i < 4100; i++)
		rk_close(x[i]);
	rk_run(rk);
	assert_int_equal(ro_num(rk)->gone_disconnected, 4096);
	for (i = 4; i < 4100; i++)
		assert_true(rk_got_gone(b, x[i], 0));
	assert_true(rk_silent(b));
}

/* Notices that wait have a bound, too. */
static void
t_notices(void **state)
{
	struct relay_conf conf = { 0, 0, 600000, 100, 0 };
	struct rk *rk = *state;
	struct rkclient *b, *x, *y;
	unsigned int i;

	relay_reconf(rk->worker[0].relay, &conf);
	b = ro_in(rk, 0);
	y = ro_in(rk, 1);
	rk_close(y);
	rk_run(rk);
	b->stuck = true;
	for (i = 0; i < 4090; i++) {
		x = ro_in(rk, 2 + i);
		rk_send(x, b->pub, "x", 1);
		rk_close(x);
		rk_run(rk);
		/* for the next a short list is searched */
		rk->clients = x->next;
		buf_free(&x->to);
		buf_free(&x->from);
		free(x);
	}
	for (i = 0; i < 9; i++) {
		ro_disco(b, y, 62, 0);
		rk_pass(rk, US_PER_S);
	}
	assert_int_equal(ro_num(rk)->gone_disconnected, 4090);
	assert_int_equal(ro_num(rk)->gone_not_here, 6);
	assert_int_equal(ro_num(rk)->dropped_notices, 3);
	b->stuck = false;
	rk_run(rk);
	b->stuck = true;
	ro_disco(b, y, 62, 0);
	assert_int_equal(ro_num(rk)->dropped_notices, 3);
}

/* The transport is told when there is something, and once. */
static void
t_kicks(void **state)
{
	struct rk *rk = *state;
	struct rkclient *a = ro_in(rk, 1), *b = ro_in(rk, 2);
	unsigned int kicks;

	b->stuck = true;
	kicks = b->kicks;
	rk_send(a, b->pub, "x", 1);
	assert_int_equal(b->kicks, kicks + 1);
	rk_send(a, b->pub, "x", 1);
	assert_int_equal(b->kicks, kicks + 1);
	b->stuck = false;
	rk_run(rk);
	rk_send(a, b->pub, "x", 1);
	assert_int_equal(b->kicks, kicks + 2);
	assert_int_equal(rk_packets(b), 2);
}

#define T(f)	cmocka_unit_test_setup_teardown(f, ro_setup, ro_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(t_packets), T(t_lengths), T(t_truncated_packet),
		T(t_size_rules), T(t_privileged), T(t_trap_38_unknown),
		T(t_trap_13_ping), T(t_preferred), T(t_trap_10_head_drop),
		T(t_queue_octets), T(t_trap_3_server_info_first),
		T(t_control_first), T(t_stall), T(t_stall_time),
		T(t_trap_5_6_keepalive), T(t_keepalive_leap),
		T(t_trap_11_rate), T(t_rate_burst), T(t_rate_long),
		T(t_rate_reload), T(t_trap_15_disconnected), T(t_not_here),
		T(t_tailnets), T(t_revoked), T(t_trap_39_seen), T(t_notices),
		T(t_kicks)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
