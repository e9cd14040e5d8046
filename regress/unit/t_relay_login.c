/* Logins to the relay. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "common/enc.h"
#include "regress/lib/relayone.h"

/* derp.md 3.5 */
#define SERVER_KEY \
	"010000002844455250f09f9491" \
	"358072d6365880d1aeea329adf9121383851ed21a28e3b75e965d0d2cd166254"
#define CLIENT_PRIV \
	"404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f"
#define CLIENT_INFO \
	"0200000068" \
	"79a631eede1bf9c98f12032cdeadd0e7a079398fc786b88cc846ec89af85a51a" \
	"a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7" \
	"0af9ee24f9542aa09f0002e30a48f566141a2eff996e0a32f009a1d8aab24fe1" \
	"7c72ab961bd1f7d4585cdc10bb368bae"
#define SERVER_INFO \
	"0300000035c0c1c2c3c4c5c6c7c8c9cacbcccdcecfd0d1d2d3d4d5d6d7" \
	"593b695b480158e0e8a4305e7488b85c40f4d6da0feccdf742a40df3aa"

static void
from_hex(uint8_t *dst, size_t n, const char *text)
{
	assert_true(hex_dec(dst, n, slice_str(text)));
}

/* The client of derp.md 3.5, and its ClientInfo. */
static struct rkclient *
vector(struct rk *rk, uint8_t info[109])
{
	struct rkclient *x = rk_connect(&rk->worker[0], 0);

	from_hex(x->priv, 32, CLIENT_PRIV);
	assert_int_equal(crypto_scalarmult_base(x->pub, x->priv), 0);
	from_hex(info, 109, CLIENT_INFO);
	return x;
}

static void
t_vectors(void **state)
{
	struct rk *rk = *state;
	uint8_t info[109], want[45 + 58];
	struct rkclient *x = vector(rk, info);

	from_hex(want, 45, SERVER_KEY);
	from_hex(want + 45, 58, SERVER_INFO);
	assert_memory_equal(relay_key(rk->worker[0].relay), want + 13, 32);
	/* ServerKey at once: the client may wait for it (1.3). */
	rk_run(rk);
	assert_int_equal(x->from.n, 45);
	rk_octets(x, info, sizeof(info));
	rk_run(rk);
	assert_int_equal(x->from.n, sizeof(want));
	assert_memory_equal(x->from.p, want, sizeof(want));
	assert_int_equal(rk_count(&rk->worker[0])->clients, 1);
	assert_int_equal(rk->hellos, 1);
	assert_int_equal(rk->opens, 1);
}

/* Traps 1 and 2: all of a fast start in one piece, frames behind it. */
static void
t_trap_1_all_at_once(void **state)
{
	struct rk *rk = *state;
	struct rkclient *x = rk_connect(&rk->worker[0], 1);
	struct buf b = { 0 };
	struct slice s;
	uint8_t type;

	rk_hello(x, RK_INFO, &b);
	buf_put(&b, "\x07\0\0\0\x01\x01", 6);
	buf_put(&b, "\x12\0\0\0\x08" "12345678", 13);
	rk_put_send(&b, x->pub, "self", 4);
	rk_octets(x, b.p, b.n);
	rk_run(rk);
	assert_true(rk_admitted(x));
	assert_true(rk_next(x, &type, &s));
	assert_int_equal(type, 0x13);
	assert_memory_equal(s.p, "12345678", 8);
	assert_true(rk_got(x, x, "self", 4));
	assert_int_equal(rk_count(&rk->worker[0])->home, 1);
	buf_free(&b);
}

/* The same, an octet at a time, and taken an octet at a time. */
static void
t_octet_by_octet(void **state)
{
	struct rk *rk = *state;
	struct rkclient *x = rk_connect(&rk->worker[0], 1);
	struct buf b = { 0 };
	uint8_t got;
	size_t i;

	x->stuck = true;
	rk_hello(x, RK_INFO, &b);
	buf_put(&b, "\x12\0\0\0\x0c" "12345678more", 17);
	rk_put_send(&b, x->pub, "self", 4);
	for (i = 0; i < b.n; i++) {
		rk_octets(x, b.p + i, 1);
		while (relay_output(x->c, &got, 1) == 1)
			buf_u8(&x->from, got);
		rk_run(rk);
	}
	while (relay_output(x->c, &got, 1) == 1)
		buf_u8(&x->from, got);
	assert_true(rk_admitted(x));
	buf_drain(&x->from, 13);
	assert_true(rk_got(x, x, "self", 4));
	buf_free(&b);
}

/* Cut after each octet: nothing happens, and nothing of it stays. */
static void
t_truncated_login(void **state)
{
	struct rk *rk = *state;
	const struct relay_counters *n = rk_count(&rk->worker[0]);
	struct rkclient *x;
	uint8_t info[109];
	size_t i;

	for (i = 0; i < sizeof(info); i++) {
		x = vector(rk, info);
		rk_octets(x, info, i);
		rk_run(rk);
		assert_false(rk_is_done(x));
		assert_int_equal(n->clients, 0);
		rk_close(x);
	}
	assert_int_equal(rk->hellos, 0);
	assert_int_equal(n->refused, sizeof(info));
	/* and a whole one whose client is gone before keyd answers */
	x = vector(rk, info);
	rk_octets(x, info, i);
	rk_close(x);
	rk_run(rk);
	assert_int_equal(rk->hellos, 1);
	assert_int_equal(rk->opens, 0);
	assert_int_equal(n->clients, 0);
}

/* Each octet changed once: nobody gets in but by the vector itself. */
static void
t_mutated_login(void **state)
{
	struct rk *rk = *state;
	struct rkclient *x;
	uint8_t info[109];
	size_t i;

	for (i = 0; i < sizeof(info); i++) {
		x = vector(rk, info);
		rk_run(rk);
		info[i] ^= 0x20;
		rk_octets(x, info, sizeof(info));
		rk_run(rk);
		rk_pass(rk, 10 * US_PER_S);
		assert_true(rk_is_done(x));
		assert_int_equal(x->from.n, 45);
		rk_close(x);
	}
	assert_int_equal(rk_count(&rk->worker[0])->clients, 0);
}

static void
refused(struct rk *rk, const void *p, size_t n)
{
	struct rkclient *x = rk_connect(&rk->worker[0], 9);

	rk_octets(x, p, n);
	assert_true(rk_is_done(x));
	rk_close(x);
}

static void
t_first_frame(void **state)
{
	struct rk *rk = *state;

	refused(rk, "\x04\0\0\0\x20", 5);
	refused(rk, "\x01\0\0\0\x28", 5);
	refused(rk, "\x12\0\0\0\x08", 5);
	refused(rk, "\x02\0\0\0\x37", 5);
	refused(rk, "\x02\0\0\0\x47", 5);
	refused(rk, "\x02\0\0\x20\x39", 5);
	refused(rk, "\x02\0\x04\0\0", 5);
	refused(rk, "\x02\xff\xff\xff\xff", 5);
	refused(rk, "GET / HTTP/1.1\r\n", 16);
	assert_int_equal(rk->hellos, 0);
	assert_int_equal(rk_count(&rk->worker[0])->bad_frames, 9);
}

/* Trap 40: never to the libraries. */
static void
t_trap_40_zero_key(void **state)
{
	uint8_t b[5 + 32 + 24 + 32] = { 2, 0, 0, 0, 32 + 24 + 32 };

	refused(*state, b, sizeof(b));
	assert_int_equal(((struct rk *)*state)->hellos, 0);
}

static void
t_largest_box(void **state)
{
	struct rk *rk = *state;
	struct rkclient *x = rk_connect(&rk->worker[0], 1);
	struct buf b = { 0 };
	char text[8192 - 16 + 1];

	memset(text, ' ', sizeof(text));
	memcpy(text, "{}", 2);
	text[sizeof(text) - 1] = '\0';
	rk_hello(x, text, &b);
	assert_int_equal(b.n, 5 + 8248);
	rk_octets(x, b.p, b.n);
	rk_run(rk);
	assert_true(rk_admitted(x));
	buf_free(&b);
}

static void
t_bad_info(void **state)
{
	static const char *const text[] = { "", "{", "[]",
	    "{\"AppName\":\"012345678901234567890123456789012\"}",
	    "{\"meshKey\":\"short\"}", "{\"version\":\"two\"}" };
	struct rk *rk = *state;
	struct rkclient *x;
	struct buf b = { 0 };
	size_t i;

	for (i = 0; i < sizeof(text) / sizeof(text[0]); i++) {
		x = rk_connect(&rk->worker[0], 1);
		buf_clear(&b);
		rk_hello(x, text[i], &b);
		rk_octets(x, b.p, b.n);
		rk_run(rk);
		assert_true(rk_is_done(x));
		assert_int_equal(x->from.n, 45);
		rk_close(x);
	}
	/* dbd has not heard of them */
	assert_int_equal(rk->opens, 0);
	assert_int_equal(rk->closes, 0);
	buf_free(&b);
}

/* Trap 16 and S5: a mesh key opens nothing. */
static void
t_trap_16_mesh_key(void **state)
{
	struct rk *rk = *state;
	struct rkclient *x = rk_connect(&rk->worker[0], 1);
	struct buf b = { 0 };

	rk_hello(x, "{\"meshKey\":\"0000000000000000000000000000000000000000"
	    "000000000000000000000000\",\"version\":2}", &b);
	rk_octets(x, b.p, b.n);
	rk_run(rk);
	assert_true(rk_admitted(x));
	rk_frame(x, 0x10, NULL, 0);
	assert_true(rk_is_done(x));
	buf_free(&b);
}

static uint64_t
nobody(uint32_t who)
{
	(void)who;
	return RK_REFUSE;
}

static void
t_not_ours(void **state)
{
	struct rk *rk = *state;
	struct rkclient *x = rk_connect(&rk->worker[0], 1);

	rk->tailnet = nobody;
	rk_greet(x);
	assert_true(rk_is_done(x));
	assert_int_equal(x->from.n, 45);
	assert_int_equal(rk_count(&rk->worker[0])->refused, 1);
}

/* Ten seconds for all of the ClientInfo, however it drips. */
static void
t_slow_info(void **state)
{
	struct rk *rk = *state;
	uint8_t info[109];
	struct rkclient *x = vector(rk, info);
	unsigned int i;

	for (i = 0; i < 99; i++) {
		rk_octets(x, info + i, 1);
		rk_pass(rk, US_PER_S / 10);
		assert_false(rk_is_done(x));
	}
	rk_pass(rk, US_PER_S / 10);
	assert_true(rk_is_done(x));
}

/* Five more to be let in, and no output in between. */
static void
t_slow_admission(void **state)
{
	struct rk *rk = *state;
	struct buf b = { 0 };
	struct rkclient *x, *y;

	rk->keyd_mute = true;
	x = rk_connect(&rk->worker[0], 1);
	rk_pass(rk, 9 * US_PER_S);
	rk_hello(x, RK_INFO, &b);
	rk_octets(x, b.p, b.n);
	rk_pass(rk, 4900000);
	assert_false(rk_is_done(x));
	/* what comes meanwhile stays with the transport */
	assert_false(relay_wants_input(x->c));
	assert_int_equal(relay_input(x->c, "abc", 3), 0);
	rk_pass(rk, 100000);
	assert_true(rk_is_done(x));
	/* the same with dbd */
	rk->keyd_mute = false;
	rk->dbd_mute = true;
	y = rk_connect(&rk->worker[0], 2);
	buf_clear(&b);
	rk_hello(y, RK_INFO, &b);
	rk_octets(y, b.p, b.n);
	rk_pass(rk, 4900000);
	assert_int_equal(rk->opens, 1);
	assert_false(rk_is_done(y));
	rk_pass(rk, 100000);
	assert_true(rk_is_done(y));
	rk_run(rk);
	/* it may have been published: that is taken back */
	assert_int_equal(rk->closes, 1);
	buf_free(&b);
}

/* An answer that comes after all is no harm; one to nothing is dbd's fault. */
static void
t_late_answers(void **state)
{
	struct rk *rk = *state;
	struct rkclient *x = rk_connect(&rk->worker[0], 1);
	struct msg m;
	bool bad;

	rk->dbd_mute = true;
	rk_greet(x);
	rk_close(x);
	msg_init(&m, M_DB_RELAY_OK);
	m.id = rk->question.id;
	m.u.db_relay_ok.tailnet = 1;
	link_reply(rk->asked, &m);
	rk_run(rk);
	assert_int_equal(rk->worker[0].bad, 0);
	assert_int_equal(rk_count(&rk->worker[0])->clients, 0);
	assert_true(relay_db_msg(rk->worker[0].relay, &m, NULL, &bad));
	assert_true(bad);
	msg_init(&m, M_DB_RELAY_AT);	/* slots begin at 1 */
	assert_true(relay_db_msg(rk->worker[0].relay, &m, NULL, &bad));
	assert_true(bad);
	msg_init(&m, M_DB_ONLINE);
	assert_false(relay_db_msg(rk->worker[0].relay, &m, NULL, &bad));
	assert_false(bad);
}

/* keyd says what it can't: that ends us (architecture.md 2). */
static void
t_keyd_nonsense(void **state)
{
	struct rk *rk = *state;
	struct rkclient *x = rk_connect(&rk->worker[0], 1);
	uint8_t box[32] = { 0 };
	struct msg m;

	rk->keyd_mute = true;
	rk_greet(x);
	msg_init(&m, M_KEY_DERP_OK);
	m.id = rk->question.id;
	m.u.key_derp_ok.conn = rk->question.u.key_derp_hello.conn;
	m.u.key_derp_ok.info = slice_str("{}");
	m.u.key_derp_ok.box = slice_mem(box, sizeof(box));
	m.u.key_derp_ok.ticket.kind = 2;
	m.u.key_derp_ok.ticket.slot = 1;	/* but another's key */
	link_reply(rk->asked, &m);
	(void)pair_run(rk->worker[0].key);
	assert_int_equal(fakeenv_code(rk->fake), 1);
	assert_int_equal(rk->opens, 0);
}

/* keyd dies and comes back within the time: the login is asked again. */
static void
t_keyd_restart(void **state)
{
	struct rk *rk = *state;
	struct rkclient *x = rk_connect(&rk->worker[0], 1), *y;
	struct buf b = { 0 };

	rk->keyd_mute = true;
	rk_greet(x);
	rk_keyd(rk, false);
	rk->keyd_mute = false;
	/* one that comes while it is away */
	y = rk_connect(&rk->worker[0], 2);
	buf_clear(&b);
	rk_hello(y, RK_INFO, &b);
	rk_octets(y, b.p, b.n);
	rk_pass(rk, US_PER_S);
	assert_false(rk_is_done(x));
	rk_keyd(rk, true);
	assert_true(rk_admitted(x));
	assert_true(rk_admitted(y));
	assert_int_equal(rk->hellos, 3);
	buf_free(&b);
}

static void
t_dbd_restart(void **state)
{
	struct rk *rk = *state;
	struct rkclient *x = rk_connect(&rk->worker[0], 1);

	rk->dbd_mute = true;
	rk_greet(x);
	rk_dbd(rk, false);
	rk->dbd_mute = false;
	rk_pass(rk, US_PER_S);
	rk_dbd(rk, true);
	assert_int_equal(rk->opens, 2);
	assert_int_equal(rk->holds, 0);
	assert_true(rk_admitted(x));
}

static void
t_half_open(void **state)
{
	struct relay_conf conf = { 0, 0, 2000, 3, 0 };
	struct rkclient *x[3], *y;
	struct rk *rk = *state;
	int i;

	relay_reconf(rk->worker[0].relay, &conf);
	for (i = 0; i < 3; i++)
		assert_non_null(x[i] = rk_connect(&rk->worker[0], 1));
	assert_null(rk_connect(&rk->worker[0], 2));
	rk_close(x[0]);
	assert_non_null(y = rk_connect(&rk->worker[0], 2));
	assert_null(rk_connect(&rk->worker[0], 3));
	rk_greet(y);
	assert_non_null(rk_connect(&rk->worker[0], 3));
}

/* A full house of silent ones: the oldest goes, if it had its time. */
static void
t_makes_room(void **state)
{
	struct relay_conf conf = { 0, 0, 2000, 3, 0 };
	struct rkclient *x[3], *y;
	struct rk *rk = *state;
	int i;

	relay_reconf(rk->worker[0].relay, &conf);
	for (i = 0; i < 3; i++) {
		assert_non_null(x[i] = rk_connect(&rk->worker[0], 10 + i));
		rk_pass(rk, US_PER_S / 10);
	}
	/* One of them has said who it is, and waits for keyd. */
	rk->keyd_mute = true;
	rk_greet(x[0]);
	rk_pass(rk, US_PER_S / 5);
	assert_null(rk_connect(&rk->worker[0], 20));
	rk_pass(rk, US_PER_S / 10);
	assert_non_null(y = rk_connect(&rk->worker[0], 20));
	assert_false(rk_is_done(x[0]));
	assert_true(rk_is_done(x[1]));
	assert_false(rk_is_done(x[2]));
	rk->keyd_mute = false;
	rk_greet(y);
	assert_true(rk_admitted(y));
}

/* 64 under way from an address or a /64; others are not concerned. */
static void
t_source_bound(void **state)
{
	static const struct ipport from6 = { { 6, { 0x20, 1, 0xd, 0xb8, 0, 0,
	    0, 1, 1, 2, 3, 4, 5, 6, 7, 8 } }, 1 };
	struct relay_conf conf = { 0, 0, 2000, 1000, 0 };
	struct rk *rk = *state;
	struct rkclient *x = NULL;
	unsigned int i;

	relay_reconf(rk->worker[0].relay, &conf);
	for (i = 0; i < 64; i++)
		assert_non_null(x = rk_connect(&rk->worker[0], 1));
	assert_null(rk_connect(&rk->worker[0], 1));
	rk->from.addr.b[3]++;
	(void)rk_login(&rk->worker[0], 2);
	rk->from.addr.b[3]--;
	rk_close(x);
	assert_non_null(rk_connect(&rk->worker[0], 1));
	assert_null(rk_connect(&rk->worker[0], 1));
	rk->from = from6;
	for (i = 0; i < 64; i++) {
		rk->from.addr.b[8 + i % 8]++;
		assert_non_null(rk_connect(&rk->worker[0], 1));
	}
	assert_null(rk_connect(&rk->worker[0], 1));
	rk->from.addr.b[7]++;
	assert_non_null(rk_connect(&rk->worker[0], 1));
}

/* Who is refused again and again is not asked about for the rest of 30 s. */
static void
t_source_refused(void **state)
{
	struct rk *rk = *state;
	struct rkclient *x, *late;
	unsigned int i;

	rk->tailnet = nobody;
	late = rk_connect(&rk->worker[0], 99);
	for (i = 0; i < 16; i++) {
		assert_non_null(x = rk_connect(&rk->worker[0], i));
		rk_greet(x);
		assert_true(rk_is_done(x));
		rk_close(x);
	}
	assert_int_equal(rk->hellos, 16);
	rk->tailnet = NULL;
	assert_null(rk_connect(&rk->worker[0], 50));
	/* nor one that was there before */
	rk_greet(late);
	assert_true(rk_is_done(late));
	assert_int_equal(rk->hellos, 16);
	rk->from.addr.b[0]++;
	(void)rk_login(&rk->worker[0], 51);
	rk->from.addr.b[0]--;
	rk_pass(rk, 29 * US_PER_S);
	assert_null(rk_connect(&rk->worker[0], 50));
	rk_pass(rk, US_PER_S);
	(void)rk_login(&rk->worker[0], 50);
}

static void
forty_refused(struct rk *rk)
{
	struct rkclient *x;
	int i;

	for (i = 0; i < 40; i++) {
		assert_non_null(x = rk_connect(&rk->worker[0], 50));
		rk_greet(x);
		assert_true(rk_is_done(x));
	}
}

/* From a place without bounds: the loopback, a proxy of ours. */
static void
t_source_exempt(void **state)
{
	struct rk *rk = *state;
	unsigned int i;

	memset(&rk->from, 0, sizeof(rk->from));
	rk->tailnet = nobody;
	forty_refused(rk);
	assert_int_equal(rk->opens, 40);
	rk->tailnet = NULL;
	(void)rk_login(&rk->worker[0], 50);
	/* All together they have a bound. */
	for (i = 0; i < 100; i++)
		assert_non_null(rk_connect(&rk->worker[0], 100 + i));
	assert_null(rk_connect(&rk->worker[0], 300));
}

/* A node of ours that comes too often: refused, but not its neighbours. */
static void
t_limited(void **state)
{
	struct rk *rk = *state;

	rk->dbd_busy = true;
	forty_refused(rk);
	rk->dbd_busy = false;
	(void)rk_login(&rk->worker[0], 51);
	assert_int_equal(rk_count(&rk->worker[0])->limited, 40);
	assert_int_equal(rk_count(&rk->worker[0])->refused, 40);
	assert_int_equal(rk_count(&rk->worker[0])->accepts, 41);
	assert_int_equal(rk_count(&rk->worker[0])->let_in, 1);
}

/*
 * Twenty logins of one key while dbd does not answer, and then all the
 * answers: four live, the newest, and dbd hears of the end of each other.
 */
static void
t_many_of_a_key(void **state)
{
	struct rk *rk = *state;
	struct rkclient *x[20], *y = rk_login(&rk->worker[0], 9);
	struct buf b = { 0 };
	unsigned int i;

	rk->dbd_mute = true;
	rk_hello(y, RK_INFO, &b);
	for (i = 0; i < 20; i++) {
		buf_clear(&b);
		assert_non_null(x[i] = rk_connect(&rk->worker[0], 1));
		rk_hello(x[i], RK_INFO, &b);
		rk_octets(x[i], b.p, b.n);
	}
	rk_run(rk);
	assert_int_equal(rk->opens, 21);
	assert_int_equal(rk_count(&rk->worker[0])->clients, 1);
	/* They are asked again, as dbd does after its restart. */
	rk_dbd(rk, false);
	rk->dbd_mute = false;
	rk_dbd(rk, true);
	rk_run(rk);
	assert_int_equal(rk_count(&rk->worker[0])->clients, 5);
	assert_int_equal(rk_count(&rk->worker[0])->evicted, 16);
	assert_int_equal(rk->closes, 16);
	for (i = 0; i < 20; i++)
		assert_int_equal(rk_is_done(x[i]), i < 16);
	assert_false(rk_is_done(y));
	assert_int_equal(rk->worker[0].bad, 0);
	buf_free(&b);
}

/* No key, no clients. */
static void
t_no_key(void **state)
{
	struct rk *rk = *state;
	struct relay *r = rk->worker[0].relay;
	struct msg m;

	assert_true(relay_is_ready(r));
	msg_init(&m, M_KEY_SERVER);
	relay_key_msg(r, &m, NULL);
	assert_false(relay_is_ready(r));
	assert_null(rk_connect(&rk->worker[0], 1));
}

static void
t_shutdown(void **state)
{
	struct rk *rk = *state;
	struct rkclient *x[20], *y;
	unsigned int i, left;

	for (i = 0; i < 20; i++)
		x[i] = rk_login(&rk->worker[0], i);
	y = rk_connect(&rk->worker[0], 30);
	relay_shutdown(rk->worker[0].relay, 10000);
	assert_true(rk_is_done(y));
	assert_null(rk_connect(&rk->worker[0], 31));
	assert_int_equal(rk_count(&rk->worker[0])->clients, 20);
	rk_pass(rk, 5 * US_PER_S);
	left = rk_count(&rk->worker[0])->clients;
	assert_in_range(left, 9, 11);
	/* those that are left still talk to each other */
	rk_send(x[19], x[18]->pub, "hi", 2);
	rk_run(rk);
	assert_int_equal(rk_packets(x[18]), 1);
	rk_pass(rk, 5 * US_PER_S);
	for (i = 0; i < 20; i++)
		assert_true(rk_is_done(x[i]));
	assert_int_equal(rk->closes, 20);
}

/* Turned off and on again: who has not gone yet stays, and others come. */
static void
t_resume(void **state)
{
	struct rk *rk = *state;
	struct rkclient *x[20], *y;
	unsigned int i, left;

	for (i = 0; i < 20; i++)
		x[i] = rk_login(&rk->worker[0], i);
	relay_shutdown(rk->worker[0].relay, 10000);
	rk_pass(rk, 5 * US_PER_S);
	left = rk_count(&rk->worker[0])->clients;
	assert_in_range(left, 9, 11);
	assert_false(relay_is_ready(rk->worker[0].relay));
	relay_resume(rk->worker[0].relay);
	assert_true(relay_is_ready(rk->worker[0].relay));
	rk_pass(rk, 10 * US_PER_S);
	assert_int_equal(rk_count(&rk->worker[0])->clients, left);
	y = rk_login(&rk->worker[0], 30);
	rk_send(x[19], y->pub, "hi", 2);
	rk_run(rk);
	assert_int_equal(rk_packets(y), 1);
	relay_shutdown(rk->worker[0].relay, 1000);
	rk_pass(rk, US_PER_S + 50 * US_PER_MS);
	assert_int_equal(rk_count(&rk->worker[0])->clients, 0);
}

#define T(f)	cmocka_unit_test_setup_teardown(f, ro_setup, ro_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(t_vectors), T(t_trap_1_all_at_once), T(t_octet_by_octet),
		T(t_truncated_login), T(t_mutated_login), T(t_first_frame),
		T(t_trap_40_zero_key), T(t_largest_box), T(t_bad_info),
		T(t_trap_16_mesh_key), T(t_not_ours), T(t_slow_info),
		T(t_slow_admission), T(t_late_answers), T(t_keyd_nonsense),
		T(t_keyd_restart), T(t_dbd_restart), T(t_half_open),
		T(t_makes_room), T(t_source_bound), T(t_source_refused),
		T(t_source_exempt), T(t_limited), T(t_many_of_a_key),
		T(t_no_key), T(t_shutdown), T(t_resume)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
