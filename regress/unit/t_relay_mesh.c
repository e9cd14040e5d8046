/* Clients at different workers, and dbd's word on who has whom. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "regress/lib/relaykit.h"

#define CREDIT	(1UL << 20)

static int
setup(void **state)
{
	*state = rk_new(3, NULL);
	return 0;
}

static int
teardown(void **state)
{
	rk_free(*state);
	return 0;
}

static const struct relay_counters *
count(const struct rk *rk, unsigned int i)
{
	return rk_count(&rk->worker[i]);
}

static void
disco(struct rkclient *x, const struct rkclient *dst)
{
	static const uint8_t b[62] = { 0x54, 0x53, 0xf0, 0x9f, 0x92, 0xac };

	rk_send(x, dst->pub, b, sizeof(b));
}

static void
t_across(void **state)
{
	static uint8_t big[65536];
	struct rk *rk = *state;
	struct rkclient *a = rk_login(&rk->worker[0], 1);
	struct rkclient *b = rk_login(&rk->worker[1], 2);

	rk_send(a, b->pub, "to b", 4);
	rk_send(a, b->pub, "", 0);
	rk_send(b, a->pub, big, sizeof(big));
	disco(b, a);
	rk_run(rk);
	assert_true(rk_got(b, a, "to b", 4));
	assert_true(rk_got(b, a, "", 0));
	assert_int_equal(a->from.n, 5 + 32 + 65536 + 5 + 32 + 62);
	assert_int_equal(rk_packets(a), 2);
	assert_int_equal(count(rk, 0)->mesh_out, 2);
	assert_int_equal(count(rk, 1)->mesh_in, 2);
	/* forwarded ones do not count as received */
	assert_int_equal(count(rk, 1)->packets_in, 2);
	assert_int_equal(count(rk, 1)->disco_in, 1);
}

/* In pieces: it is put together here and goes as one. */
static void
t_in_pieces(void **state)
{
	struct rk *rk = *state;
	struct rkclient *a = rk_login(&rk->worker[0], 1);
	struct rkclient *b = rk_login(&rk->worker[2], 2);
	struct buf f = { 0 };
	size_t i;

	rk_put_send(&f, b->pub, "pieces", 6);
	for (i = 0; i < f.n; i++) {
		assert_true(rk_silent(b));
		rk_octets(a, f.p + i, 1);
		rk_run(rk);
	}
	assert_true(rk_got(b, a, "pieces", 6));
	buf_free(&f);
}

static void
t_gone_across(void **state)
{
	struct rk *rk = *state;
	struct rkclient *a = rk_login(&rk->worker[0], 1);
	struct rkclient *b = rk_login(&rk->worker[1], 2);

	rk_send(a, b->pub, "x", 1);
	rk_run(rk);
	assert_int_equal(rk_packets(b), 1);
	rk_close(a);
	rk_run(rk);
	assert_true(rk_got_gone(b, a, 0));
	disco(b, a);
	rk_run(rk);
	assert_true(rk_got_gone(b, a, 1));
}

/* A worker that dies: dbd says that its clients are gone, and others live. */
static void
t_worker_dies(void **state)
{
	struct rk *rk = *state;
	struct rkclient *a = rk_login(&rk->worker[0], 1);
	struct rkclient *b = rk_login(&rk->worker[1], 2);
	struct rkclient *d = rk_login(&rk->worker[2], 3);

	rk_send(a, b->pub, "x", 1);
	rk_send(a, d->pub, "x", 1);
	rk_run(rk);
	(void)rk_packets(b);
	(void)rk_packets(d);
	rk_kill(&rk->worker[0]);
	assert_true(rk_got_gone(b, a, 0));
	assert_true(rk_got_gone(d, a, 0));
	rk_send(b, d->pub, "x", 1);
	rk_run(rk);
	assert_true(rk_got(d, b, "x", 1));
	/* it comes back at another worker */
	a = rk_login(&rk->worker[1], 1);
	rk_send(d, a->pub, "y", 1);
	rk_run(rk);
	assert_true(rk_got(a, d, "y", 1));
}

/* The link is down while dbd still says that it is there: dropped. */
static void
t_link_down(void **state)
{
	struct rk *rk = *state;
	struct rkclient *a = rk_login(&rk->worker[0], 1);
	struct rkclient *b = rk_login(&rk->worker[1], 2);

	relay_mesh_link(rk->worker[0].relay, 2, NULL);
	disco(a, b);
	rk_run(rk);
	assert_true(rk_silent(b));
	assert_true(rk_silent(a));	/* no PeerGone: it is there */
	assert_int_equal(count(rk, 0)->dropped_mesh, 1);
	assert_int_equal(count(rk, 0)->mesh_out, 0);
}

/* 1 MB on its way, not an octet more; what was taken may be sent again. */
static void
t_credit(void **state)
{
	static uint8_t p[1000];
	struct rk *rk = *state;
	struct rkclient *a = rk_login(&rk->worker[0], 1);
	struct rkclient *b = rk_login(&rk->worker[1], 2);
	unsigned int i, fit = (CREDIT - 65536) / (64 + sizeof(p)), n = 0;

	b->stuck = false;
	for (i = 0; i < fit + 100; i++)
		rk_send(a, b->pub, p, sizeof(p));
	assert_int_equal(count(rk, 0)->mesh_out, fit);
	assert_int_equal(count(rk, 0)->dropped_mesh, 100);
	/* an empty one costs something, too */
	for (i = 0; i < 100; i++)
		rk_send(a, b->pub, NULL, 0);
	fit += (CREDIT - 65536 - fit * (64 + sizeof(p))) / 64;
	assert_int_equal(count(rk, 0)->mesh_out, fit);
	/* the last 64 KB are disco's */
	for (i = 0; i < 1000; i++)
		disco(a, b);
	assert_in_range(count(rk, 0)->mesh_out - fit, 65536 / (64 + 62),
	    65536 / (64 + 62) + 1);
	rk_run(rk);
	fit = CREDIT / (64 + sizeof(p));
	(void)rk_packets(b);
	for (i = 0; i < 20 * fit; i++) {
		rk_send(a, b->pub, p, sizeof(p));
		if (i % 16 == 0)
			rk_run(rk);
		n += rk_packets(b);
	}
	rk_run(rk);
	n += rk_packets(b);
	assert_int_equal(n, 20 * fit);
	assert_int_equal(rk->worker[0].mesh_bad, 0);
	assert_int_equal(rk->worker[1].mesh_bad, 0);
}

/* A reload says again which link there is: what is on its way still counts. */
static void
t_same_link(void **state)
{
	static uint8_t p[1000];
	struct rk *rk = *state;
	struct rkclient *a = rk_login(&rk->worker[0], 1);
	struct rkclient *b = rk_login(&rk->worker[1], 2);
	unsigned int i, k, n = 0;

	for (k = 0; k < 3; k++) {
		for (i = 0; i < 400; i++) {
			rk_send(a, b->pub, p, sizeof(p));
			if (i == 200)
				relay_mesh_link(rk->worker[0].relay, 2,
				    pair_link(rk->worker[0].mesh[1], PAIR_A));
			if (i == 300)
				relay_mesh_link(rk->worker[1].relay, 1,
				    pair_link(rk->worker[1].mesh[0], PAIR_B));
			if (i % 16 == 0)
				rk_run(rk);
			n += rk_packets(b);
		}
		rk_run(rk);
		n += rk_packets(b);
	}
	assert_int_equal(rk->worker[0].mesh_bad, 0);
	assert_int_equal(n, 1200);
}

/* Two ends of a link of which one is a rogue: words as from slot 2. */
static bool
as_sibling(struct rk *rk, const struct msg *m)
{
	return relay_mesh_msg(rk->worker[0].relay, 2, m);
}

static void
t_bad_credit(void **state)
{
	struct rk *rk = *state;
	struct rkclient *a = rk_login(&rk->worker[0], 1);
	struct rkclient *b = rk_login(&rk->worker[1], 2);
	struct msg m;

	msg_init(&m, M_MESH_TAKEN);
	m.u.mesh_taken.octets = 1;
	assert_false(as_sibling(rk, &m));	/* nothing was sent */
	rk_send(a, b->pub, "1234", 4);
	m.u.mesh_taken.octets = 69;
	assert_false(as_sibling(rk, &m));
	m.u.mesh_taken.octets = 68;
	assert_true(as_sibling(rk, &m));
	assert_false(as_sibling(rk, &m));	/* not again */
	rk_send(a, b->pub, "1234", 4);
	m.u.mesh_taken.octets = 67;
	assert_false(as_sibling(rk, &m));	/* nor less */
	m.u.mesh_taken.octets = UINT64_MAX;
	assert_false(as_sibling(rk, &m));
	msg_init(&m, M_DB_RELAY_TOLD);
	assert_false(as_sibling(rk, &m));	/* no word of a sibling's */
}

/* What a rogue sibling may not do, each counted and without effect. */
static void
t_forged_source(void **state)
{
	struct rk *rk = *state;
	struct rkclient *a = rk_login(&rk->worker[0], 1);
	struct rkclient *b = rk_login(&rk->worker[1], 2);
	struct rkclient *d = rk_login(&rk->worker[2], 3);
	uint8_t nobody[32] = { 1, 2, 3 };
	struct msg m;

	msg_init(&m, M_MESH_PACKET);
	memcpy(m.u.mesh_packet.dst, a->pub, 32);
	m.u.mesh_packet.packet = slice_str("forged");
	/* another sibling's client, one of ours, one that nobody has */
	memcpy(m.u.mesh_packet.src, d->pub, 32);
	assert_true(as_sibling(rk, &m));
	memcpy(m.u.mesh_packet.src, a->pub, 32);
	assert_true(as_sibling(rk, &m));
	memcpy(m.u.mesh_packet.src, nobody, 32);
	assert_true(as_sibling(rk, &m));
	rk_run(rk);
	assert_true(rk_silent(a));
	assert_int_equal(count(rk, 0)->mesh_refused, 3);
	/* one of another generation of that slot */
	rk->worker[1].generation++;
	memcpy(m.u.mesh_packet.src, b->pub, 32);
	rk->conns[1].worker = &rk->worker[1];
	rk_publish(rk, &rk->conns[1]);
	rk_run(rk);
	assert_true(as_sibling(rk, &m));
	rk_run(rk);
	assert_true(rk_silent(a));
	assert_int_equal(count(rk, 0)->mesh_refused, 4);
	rk->worker[1].generation--;
	rk_publish(rk, &rk->conns[1]);
	rk_run(rk);
	assert_true(as_sibling(rk, &m));
	rk_run(rk);
	assert_true(rk_got(a, b, "forged", 6));
	/* and never on to a third worker */
	memcpy(m.u.mesh_packet.dst, d->pub, 32);
	assert_true(as_sibling(rk, &m));
	rk_run(rk);
	assert_true(rk_silent(d));
	assert_int_equal(count(rk, 0)->dropped_fwd, 1);
	assert_int_equal(count(rk, 0)->mesh_out, 0);
}

static uint64_t
by_parity(uint32_t who)
{
	return 1 + who % 2;
}

static void
t_tailnets(void **state)
{
	struct rk *rk = *state;
	struct rkclient *a, *b, *d;
	struct msg m;

	rk->tailnet = by_parity;
	a = rk_login(&rk->worker[0], 1);
	b = rk_login(&rk->worker[1], 2);
	d = rk_login(&rk->worker[1], 3);
	disco(a, b);
	rk_run(rk);
	assert_true(rk_got_gone(a, b, 1));
	assert_true(rk_silent(b));
	assert_int_equal(count(rk, 0)->mesh_out, 0);
	/* a sibling that does not keep to it */
	msg_init(&m, M_MESH_PACKET);
	memcpy(m.u.mesh_packet.src, b->pub, 32);
	memcpy(m.u.mesh_packet.dst, a->pub, 32);
	assert_true(as_sibling(rk, &m));
	rk_run(rk);
	assert_true(rk_silent(a));
	assert_int_equal(count(rk, 0)->mesh_refused, 1);
	rk_send(d, a->pub, "x", 1);
	rk_run(rk);
	assert_true(rk_got(a, d, "x", 1));
}

/* A client moves to another worker; the old connection still lingers. */
static void
t_roaming(void **state)
{
	struct rk *rk = *state;
	struct rkclient *s = rk_login(&rk->worker[0], 9);
	struct rkclient *old = rk_login(&rk->worker[1], 1), *new;

	rk_frame(old, 7, "\1", 1);
	rk_send(s, old->pub, "1", 1);
	rk_run(rk);
	assert_true(rk_got(old, s, "1", 1));
	new = rk_login(&rk->worker[2], 1);
	rk_send(s, old->pub, "2", 1);
	rk_run(rk);
	assert_true(rk_got(new, s, "2", 1));
	assert_true(rk_silent(old));
	/* the old one speaks: dbd is told, and once a second at most */
	rk_frame(old, 7, "\1", 1);
	rk_frame(old, 7, "\1", 1);
	rk_run(rk);
	assert_int_equal(rk->actives, 1);
	rk_send(s, old->pub, "3", 1);
	rk_run(rk);
	assert_true(rk_got(old, s, "3", 1));
	rk_frame(new, 7, "\1", 1);
	rk_run(rk);
	assert_int_equal(rk->actives, 2);
	rk_frame(old, 7, "\1", 1);
	rk_run(rk);
	assert_int_equal(rk->actives, 2);
	rk_pass(rk, US_PER_S);
	rk_frame(old, 7, "\1", 1);
	rk_run(rk);
	assert_int_equal(rk->actives, 3);
	/* one of them goes: no PeerGone, and the other has it */
	rk_send(old, s->pub, "x", 1);
	rk_run(rk);
	assert_int_equal(rk_packets(s), 1);
	rk_close(old);
	rk_run(rk);
	assert_true(rk_silent(s));
	rk_send(s, old->pub, "4", 1);
	rk_run(rk);
	assert_true(rk_got(new, s, "4", 1));
	rk_close(new);
	rk_run(rk);
	assert_true(rk_got_gone(s, old, 0));
}

/* Both at hand: the one that dbd says, and ours if it can't be reached. */
static void
t_here_and_there(void **state)
{
	struct rk *rk = *state;
	struct rkclient *s = rk_login(&rk->worker[0], 9);
	struct rkclient *here = rk_login(&rk->worker[0], 1);
	struct rkclient *there = rk_login(&rk->worker[1], 1);

	rk_send(s, here->pub, "1", 1);
	rk_run(rk);
	assert_true(rk_got(there, s, "1", 1));
	/* what was said to dbd holds here at once */
	rk_frame(here, 7, "\1", 1);
	rk_send(s, here->pub, "2", 1);
	assert_true(relay_wants_output(here->c));
	rk_run(rk);
	assert_true(rk_got(here, s, "2", 1));
	rk_frame(there, 7, "\1", 1);
	rk_run(rk);
	rk_send(s, here->pub, "3", 1);
	rk_run(rk);
	assert_true(rk_got(there, s, "3", 1));
	relay_mesh_link(rk->worker[0].relay, 2, NULL);
	rk_send(s, here->pub, "4", 1);
	rk_run(rk);
	assert_true(rk_got(here, s, "4", 1));
	assert_true(rk_silent(there));
}

/* dbd dies: all that is live stays so, and it is told of them again. */
static void
t_dbd_restart(void **state)
{
	struct rk *rk = *state;
	struct rkclient *a = rk_login(&rk->worker[0], 1);
	struct rkclient *b = rk_login(&rk->worker[1], 2);
	struct rkclient *d = rk_login(&rk->worker[0], 3);
	struct rkclient *e = rk_login(&rk->worker[0], 4), *f;
	struct rkclient *g = rk_login(&rk->worker[0], 6);
	struct buf hello = { 0 };

	rk_send(d, b->pub, "x", 1);
	rk_send(e, a->pub, "x", 1);
	rk_run(rk);
	assert_int_equal(rk_packets(b), 1);
	assert_int_equal(rk_packets(a), 1);
	/* one goes, and dbd dies before it can say that nobody has it */
	rk_send(g, a->pub, "x", 1);
	rk_run(rk);
	assert_int_equal(rk_packets(a), 1);
	rk_close(g);
	assert_true(rk_silent(a));
	rk_dbd(rk, false);
	assert_true(rk_got_gone(a, g, 0));
	rk_send(a, b->pub, "still", 5);
	rk_send(b, a->pub, "here", 4);
	rk_run(rk);
	assert_true(rk_got(b, a, "still", 5));
	assert_true(rk_got(a, b, "here", 4));
	/* one goes while nobody can say so; at its own worker it is seen */
	rk_close(d);
	rk_close(e);
	rk_run(rk);
	assert_true(rk_got_gone(a, e, 0));
	assert_true(rk_silent(b));
	/* nobody new meanwhile: fail closed */
	f = rk_connect(&rk->worker[0], 5);
	rk_hello(f, RK_INFO, &hello);
	rk_octets(f, hello.p, hello.n);
	rk_pass(rk, 6 * US_PER_S);
	assert_true(rk_is_done(f));
	assert_int_equal(rk->opens, 5);
	rk_dbd(rk, true);
	assert_int_equal(rk->holds, 2);
	assert_true(rk_got_gone(b, d, 0));
	assert_true(rk_silent(a));
	rk_send(a, b->pub, "again", 5);
	rk_run(rk);
	assert_true(rk_got(b, a, "again", 5));
	/* and its word counts as before */
	rk_end(a);
	rk_run(rk);
	assert_true(rk_is_done(a));
	assert_true(rk_got_gone(b, a, 0));
	assert_int_equal(rk->worker[0].bad + rk->worker[1].bad, 0);
	buf_free(&hello);
}

/* The next frame but for KeepAlive is Health; whether it has a text. */
static bool
health(struct rkclient *x, bool *text)
{
	struct slice s;
	uint8_t type;

	do {
		if (!rk_next(x, &type, &s))
			return false;
	} while (type == 6);
	assert_int_equal(type, 0x14);
	*text = s.n != 0;
	return true;
}

/* Two with one key at two workers: both are told once, and that it is over. */
static void
t_fight(void **state)
{
	struct rk *rk = *state;
	struct rkclient *a = rk_login(&rk->worker[0], 1);
	struct rkclient *b = rk_login(&rk->worker[1], 1);
	unsigned int i;
	bool text;

	/* The one that moved is heard once more, no more than that. */
	rk_frame(a, 0x33, "", 0);
	rk_run(rk);
	rk_frame(b, 0x33, "", 0);
	rk_run(rk);
	assert_true(rk_silent(a));
	assert_true(rk_silent(b));
	for (i = 0; i < 8; i++) {
		rk_pass(rk, US_PER_S);
		rk_frame(i % 2 == 0 ? a : b, 0x33, "", 0);
		rk_run(rk);
		if (i == 1)	/* once more for each */
			assert_int_equal(count(rk, 0)->warned +
			    count(rk, 1)->warned, 2);
	}
	assert_true(health(a, &text) && text);
	assert_true(health(b, &text) && text);
	assert_true(rk_silent(a));
	assert_true(rk_silent(b));
	rk_close(a);
	rk_pass(rk, 130 * US_PER_S);
	assert_true(health(b, &text) && !text);
	assert_false(health(b, &text));
}

/* keyd dies: nobody who is live notices. */
static void
t_keyd_dies(void **state)
{
	struct rk *rk = *state;
	struct rkclient *a = rk_login(&rk->worker[0], 1);
	struct rkclient *b = rk_login(&rk->worker[1], 2);

	rk_keyd(rk, false);
	rk_send(a, b->pub, "x", 1);
	rk_pass(rk, 20 * US_PER_S);
	assert_true(rk_got(b, a, "x", 1));
	assert_true(relay_is_ready(rk->worker[0].relay));
}

/* A stuck sibling costs its credit and nothing else. */
static void
t_stuck_sibling(void **state)
{
	static uint8_t p[60000];
	struct rk *rk = *state;
	struct rkclient *a = rk_login(&rk->worker[0], 1);
	struct rkclient *b = rk_login(&rk->worker[1], 2);
	struct rkclient *d = rk_login(&rk->worker[0], 3);
	unsigned int i;

	for (i = 0; i < 100; i++)
		rk_send(a, b->pub, p, sizeof(p));
	assert_int_equal(count(rk, 0)->mesh_out, 16);
	assert_in_range(pair_waiting(rk->worker[0].mesh[1], PAIR_B), 16, 16);
	rk_send(a, d->pub, "x", 1);
	assert_int_equal(relay_wants_output(d->c), 1);
	rk_run(rk);
	assert_true(rk_got(d, a, "x", 1));
	assert_int_equal(rk_packets(b), 4);	/* 256 KiB of queue */
}

#define T(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(t_across), T(t_in_pieces), T(t_gone_across),
		T(t_worker_dies), T(t_link_down), T(t_credit), T(t_same_link),
		T(t_bad_credit), T(t_forged_source), T(t_tailnets),
		T(t_roaming), T(t_here_and_there), T(t_dbd_restart),
		T(t_fight), T(t_keyd_dies), T(t_stuck_sibling)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
