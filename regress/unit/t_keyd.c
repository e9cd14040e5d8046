#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/enc.h"
#include "common/log.h"
#include "common/ticket.h"
#include "keyd/cells.h"
#include "regress/lib/keyworld.h"
#include "regress/lib/vectors.h"

static int
setup(void **state)
{
	*state = keyworld_new(fakeenv_new(3));
	return 0;
}

static int
teardown(void **state)
{
	struct keyworld *w = *state;
	struct fakeenv *fake = w->fake;

	assert_true(keyworld_free(w));
	/* The end of the links has taken every timer with it. */
	assert_int_equal(env_timers(fakeenv_env(fake)), 0);
	assert_int_equal(fakeenv_code(fake), -1);
	fakeenv_free(fake);
	return 0;
}

static void
test_server_first(void **state)
{
	struct keyworld *w = *state;
	size_t i;

	for (i = 0; i < KEYWORLD_WORKERS; i++) {
		assert_int_equal(w->side[i].first, M_KEY_CERT);
		assert_int_equal(w->side[i].last.type, M_KEY_SERVER);
		vec_check(w->side[i].last.u.key_server.public, NOISE_KEY,
		    VEC_SERVER_PUB);
	}
	vec_check(keyd_public(w->keyd), NOISE_KEY, VEC_SERVER_PUB);
}

/* protocol.md 9.2, octet for octet. */
static void
test_vectors(void **state)
{
	struct keyworld *w = *state;
	struct keyside *s = &w->side[1];
	uint8_t init[NOISE_INIT], eph[NOISE_KEY], rec[24];
	const struct m_key_noise_ok *ok;
	unsigned int i;

	vec_get(init, sizeof(init), VEC_INIT);
	vec_get(rec, sizeof(rec), VEC_RECORD);
	for (i = 0; i < NOISE_KEY; i++)	/* not clamped: keyd does that */
		eph[i] = (uint8_t)(0xc1 + i);
	fakeenv_feed(w->fake, eph, sizeof(eph));
	keyside_accept(s, 9, init);
	keyworld_settle(w);
	assert_int_equal(fakeenv_drawn(w->fake), NOISE_KEY);
	assert_int_equal(s->last.type, M_KEY_NOISE_READY);
	assert_int_equal(s->last.u.key_noise_ready.conn, 9);
	vec_check(s->last.u.key_noise_ready.response, NOISE_RESP, VEC_RESP);
	vec_check(s->last.u.key_noise_ready.key_s2c, NOISE_KEY, VEC_S2C);
	assert_int_equal(s->ok, 0);

	keyside_confirm(s, 9, rec, sizeof(rec));
	keyworld_settle(w);
	assert_int_equal(s->last.type, M_KEY_NOISE_OK);
	ok = &s->last.u.key_noise_ok;
	assert_int_equal(ok->conn, 9);
	assert_true(slice_eqs(ok->plain, "hello"));
	vec_check(ok->key_c2s, NOISE_KEY, VEC_C2S);
	vec_check(ok->ticket.key, NOISE_KEY, VEC_CLIENT_PUB);
	assert_int_equal(ok->ticket.kind, TICKET_MACHINE);
	assert_int_equal(ok->ticket.capver, 145);
	assert_int_equal(ok->ticket.slot, 2);
	assert_int_equal(ok->ticket.generation, 101);
	assert_int_equal(ok->ticket.serial_gen, KEYWORLD_GEN);
	assert_int_equal(ok->ticket.serial, 1);
	assert_true(ticket_check(&ok->ticket, w->boot, TICKET_MACHINE, 2,
	    101));
	assert_int_equal(w->side[0].ready + w->side[0].ok, 0);
}

/* Structure first, then every octet of the rest. */
static void
test_bad_init(void **state)
{
	struct keyworld *w = *state;
	struct keyside *s = &w->side[0];
	uint8_t init[NOISE_INIT];
	uint32_t i;

	for (i = 0; i < NOISE_INIT; i++) {
		vec_get(init, sizeof(init), VEC_INIT);
		init[i] ^= 0x01;
		keyside_accept(s, i, init);
		keyworld_settle(w);
		assert_true(keyside_is_no(s, i, i >= 2 && i <= 4 ?
		    REFUSED_MALFORMED : REFUSED_CRYPTO));
	}
	assert_int_equal(s->ready, 0);
	assert_int_equal(s->no, NOISE_INIT);
	assert_int_equal(env_timers(fakeenv_env(w->fake)), 0);
	/* The numbers are free again. */
	vec_get(init, sizeof(init), VEC_INIT);
	keyside_accept(s, 5, init);
	keyworld_settle(w);
	assert_int_equal(s->ready, 1);
}

/*
 * An initiation of one who knows no secret key: the products that need one
 * are taken to be zero, as they are with a point of low order.  eph NULL: an
 * ephemeral key of its own.
 */
static void
claim(struct keyworld *w, const uint8_t *eph, const uint8_t *machine,
    uint8_t init[NOISE_INIT])
{
	uint8_t pub[NOISE_KEY], priv[NOISE_KEY], dh[NOISE_KEY] = { 0 };
	struct noise_sym sym;

	vec_get(pub, sizeof(pub), VEC_SERVER_PUB);
	memset(init, 0, NOISE_INIT);
	init[1] = KEYWORLD_CAPVER;
	init[2] = NOISE_T_INIT;
	init[4] = NOISE_INIT - 5;
	if (eph == NULL) {
		memset(priv, 0x5a, sizeof(priv));
		noise_public(init + 5, priv);
		assert_true(noise_dh(dh, priv, pub));
	} else
		memcpy(init + 5, eph, NOISE_KEY);
	noise_sym_init(&sym, w->noise, KEYWORLD_CAPVER, pub);
	noise_mix_hash(&sym, init + 5, NOISE_KEY);
	noise_mix_key(&sym, dh);
	noise_encrypt_hash(&sym, init + 37, machine, NOISE_KEY);
	memset(dh, 0, sizeof(dh));
	noise_mix_key(&sym, dh);
	noise_encrypt_hash(&sym, init + 85, NULL, 0);
	noise_sym_wipe(&sym);
}

static void
test_low_order(void **state)
{
	struct keyworld *w = *state;
	struct keyside *s = &w->side[0];
	uint8_t init[NOISE_INIT], key[NOISE_KEY];
	uint32_t i;

	for (i = 0; vec_low_order(i) != NULL; i++) {
		vec_get(key, sizeof(key), vec_low_order(i));
		claim(w, NULL, key, init);
		keyside_accept(s, 2 * i, init);
		keyworld_settle(w);
		assert_true(keyside_is_no(s, 2 * i, REFUSED_CRYPTO));
		claim(w, key, key, init);
		keyside_accept(s, 2 * i + 1, init);
		keyworld_settle(w);
		assert_true(keyside_is_no(s, 2 * i + 1, REFUSED_CRYPTO));
	}
	assert_int_equal(s->ready, 0);
}

/* Somebody else's machine key cannot be claimed without its secret. */
static void
test_claimed_key(void **state)
{
	struct keyworld *w = *state;
	uint8_t init[NOISE_INIT], key[NOISE_KEY];

	vec_get(key, sizeof(key), VEC_CLIENT_PUB);
	claim(w, NULL, key, init);
	keyside_accept(&w->side[0], 1, init);
	keyworld_settle(w);
	assert_true(keyside_is_no(&w->side[0], 1, REFUSED_CRYPTO));
}

/* A recorded initiation and record: an answer, but never a ticket. */
static void
test_replay(void **state)
{
	struct keyworld *w = *state;
	struct keyside *s = &w->side[0], *t = &w->side[1];
	uint8_t init[NOISE_INIT], rec[NOISE_RECORD], resp[NOISE_RESP];
	struct noise_client c;
	size_t n;

	keyclient_start(w, &c, 0x11, init);
	keyside_accept(s, 1, init);
	keyworld_settle(w);
	assert_true(keyclient_ready(s, 1, &c));
	memcpy(resp, s->last.u.key_noise_ready.response, sizeof(resp));
	n = noise_seal(w->noise, &c.tx, rec, "first", 5);
	keyside_confirm(s, 1, rec, n);
	keyworld_settle(w);
	assert_true(keyclient_is_ok(s, 1, &c, "first"));

	/* On the same link, and on the other one. */
	keyside_accept(s, 2, init);
	keyside_accept(t, 2, init);
	keyworld_settle(w);
	assert_int_equal(s->ready, 2);
	assert_int_equal(t->ready, 1);
	assert_memory_not_equal(resp, s->last.u.key_noise_ready.response,
	    sizeof(resp));
	keyside_confirm(s, 2, rec, n);
	keyside_confirm(t, 2, rec, n);
	keyworld_settle(w);
	assert_true(keyside_is_no(s, 2, REFUSED_CRYPTO));
	assert_true(keyside_is_no(t, 2, REFUSED_CRYPTO));
	assert_int_equal(s->ok, 1);
	assert_int_equal(t->ok, 0);
	/* Nor is there a second try. */
	keyside_confirm(s, 2, rec, n);
	keyworld_settle(w);
	assert_true(keyside_is_no(s, 2, REFUSED_UNKNOWN));
}

/* What may come as first record, and what not. */
static void
test_records(void **state)
{
	static const size_t whole[] = { 0, 1, NOISE_PLAIN };
	struct keyworld *w = *state;
	struct keyside *s = &w->side[0];
	uint8_t rec[NOISE_RECORD], text[NOISE_PLAIN];
	struct noise_client c;
	uint32_t conn = 0;
	size_t i, n;

	memset(text, 'x', sizeof(text));
	for (i = 0; i < sizeof(whole) / sizeof(whole[0]); i++) {
		keyclient_accept(s, ++conn, &c, 0x21);
		keyworld_settle(w);
		assert_true(keyclient_ready(s, conn, &c));
		n = noise_seal(w->noise, &c.tx, rec, text, whole[i]);
		keyside_confirm(s, conn, rec, n);
		keyworld_settle(w);
		assert_int_equal(s->last.type, M_KEY_NOISE_OK);
		assert_int_equal(s->last.u.key_noise_ok.plain.n, whole[i]);
		assert_memory_equal(s->plain, text, whole[i]);
	}
	/* Header and every bit of the rest; and one octet too few or many. */
	for (i = 0; i < 24 + 2; i++) {
		keyclient_accept(s, ++conn, &c, 0x21);
		keyworld_settle(w);
		assert_true(keyclient_ready(s, conn, &c));
		n = noise_seal(w->noise, &c.tx, rec, text, 5);
		assert_int_equal(n, 24);
		if (i < n)
			rec[i] ^= 0x10;
		else
			n = i == 24 ? 23 : 25;
		keyside_confirm(s, conn, rec, n);
		keyworld_settle(w);
		assert_true(keyside_is_no(s, conn, REFUSED_CRYPTO));
	}
	/* The client's second record is not its first. */
	keyclient_accept(s, ++conn, &c, 0x21);
	keyworld_settle(w);
	assert_true(keyclient_ready(s, conn, &c));
	(void)noise_seal(w->noise, &c.tx, rec, text, 5);
	keyclient_confirm(s, conn, &c, "second");
	keyworld_settle(w);
	assert_true(keyside_is_no(s, conn, REFUSED_CRYPTO));
	assert_int_equal(s->ok, 3);
}

/* Over the bound requests wait, and are answered as room comes. */
static void
test_bound(void **state)
{
	struct keyworld *w = *state;
	struct keyside *s = &w->side[0];
	struct noise_client c, other;
	uint32_t i;

	for (i = 1; i <= KEYWORLD_MAX + 4; i++) {
		keyclient_accept(s, i, &c, (uint8_t)i);
		if (i == KEYWORLD_MAX) {
			keyworld_settle(w);
			assert_true(keyclient_ready(s, i, &c));
			keyclient_confirm(s, i, &c, "me");
			other = c;
			keyworld_settle(w);
			assert_true(keyclient_is_ok(s, i, &other, "me"));
		}
	}
	keyworld_settle(w);
	/* One was confirmed, so one more could come in. */
	assert_int_equal(s->ready, KEYWORLD_MAX + 1);
	assert_int_equal(s->no, 0);
	assert_int_equal(link_owed(pair_link(s->pair, PAIR_B)), 3);
	/* The other link has a bound of its own. */
	keyclient_accept(&w->side[1], 1, &c, 0x31);
	keyworld_settle(w);
	assert_int_equal(w->side[1].ready, 1);

	keyside_drop(s, 1);
	keyworld_settle(w);
	assert_int_equal(s->ready, KEYWORLD_MAX + 2);
	/* A failed proof makes room too. */
	keyside_confirm(s, 2, "\4\0\20xxxxxxxxxxxxxxxx", 19);
	keyworld_settle(w);
	assert_int_equal(s->no, 1);
	assert_int_equal(s->ready, KEYWORLD_MAX + 3);
	/* And time does. */
	fakeenv_advance(w->fake, KEYWORLD_MS * US_PER_MS);
	keyworld_settle(w);
	assert_int_equal(s->ready, KEYWORLD_MAX + 4);
	assert_int_equal(link_owed(pair_link(s->pair, PAIR_B)), 0);
}

static void
test_reconf(void **state)
{
	struct keyd_conf conf = { KEYWORLD_MAX + 1, 1000 };
	struct keyworld *w = *state;
	struct keyside *s = &w->side[0];
	struct noise_client c;
	uint32_t i;

	for (i = 1; i <= KEYWORLD_MAX + 2; i++)
		keyclient_accept(s, i, &c, (uint8_t)i);
	keyworld_settle(w);
	assert_int_equal(s->ready, KEYWORLD_MAX);
	keyd_reconf(w->keyd, &conf);
	keyworld_settle(w);
	assert_int_equal(s->ready, KEYWORLD_MAX + 1);
	/* The new time holds for the newest alone. */
	fakeenv_advance(w->fake, 1000 * US_PER_MS);
	assert_int_equal(env_timers(fakeenv_env(w->fake)), KEYWORLD_MAX);
}

static void
test_timeout(void **state)
{
	struct keyworld *w = *state;
	struct keyside *s = &w->side[0];
	struct noise_client a, b, c;

	keyclient_accept(s, 1, &a, 1);
	keyworld_settle(w);
	assert_true(keyclient_ready(s, 1, &a));
	keyclient_accept(s, 2, &b, 2);
	keyworld_settle(w);
	assert_true(keyclient_ready(s, 2, &b));
	keyclient_accept(s, 3, &c, 3);
	keyworld_settle(w);
	assert_true(keyclient_ready(s, 3, &c));

	fakeenv_advance(w->fake, KEYWORLD_MS * US_PER_MS - 1);
	keyclient_confirm(s, 1, &a, "in time");
	keyworld_settle(w);
	assert_true(keyclient_is_ok(s, 1, &a, "in time"));
	/* In time, but keyd gets round to it later. */
	keyclient_confirm(s, 2, &b, "waited");
	(void)pair_run(s->pair);
	fakeenv_advance(w->fake, KEYWORLD_MS * US_PER_MS);
	assert_int_equal(s->ok, 1);
	keyworld_settle(w);
	assert_true(keyclient_is_ok(s, 2, &b, "waited"));
	/* Too late. */
	keyclient_confirm(s, 3, &c, "late");
	keyworld_settle(w);
	assert_true(keyside_is_no(s, 3, REFUSED_UNKNOWN));
	assert_int_equal(s->ok, 2);
	assert_false(s->keyd_down);
	assert_int_equal(env_timers(fakeenv_env(w->fake)), 0);
}

static void
test_drop(void **state)
{
	struct keyworld *w = *state;
	struct keyside *s = &w->side[0];
	struct noise_client c, d;

	/* Answered, then forgotten. */
	keyclient_accept(s, 1, &c, 1);
	keyworld_settle(w);
	assert_true(keyclient_ready(s, 1, &c));
	keyside_drop(s, 1);
	keyworld_settle(w);
	assert_int_equal(env_timers(fakeenv_env(w->fake)), 0);
	keyclient_confirm(s, 1, &c, "gone");
	keyworld_settle(w);
	assert_true(keyside_is_no(s, 1, REFUSED_UNKNOWN));

	/* Not answered yet: the request still gets its answer. */
	keyclient_accept(s, 2, &c, 2);
	keyside_drop(s, 2);
	keyworld_deliver(w);
	assert_true(keyside_is_no(s, 2, REFUSED_UNKNOWN));
	/* So does a record in line. */
	keyclient_accept(s, 3, &c, 3);
	keyworld_settle(w);
	assert_true(keyclient_ready(s, 3, &c));
	keyclient_confirm(s, 3, &c, "proof");
	keyside_drop(s, 3);
	keyworld_deliver(w);
	assert_true(keyside_is_no(s, 3, REFUSED_UNKNOWN));
	assert_false(keyd_turn(w->keyd));
	assert_int_equal(s->ok, 0);
	assert_int_equal(link_owed(pair_link(s->pair, PAIR_B)), 0);

	/* The number is free at once; an unknown one is no offence. */
	keyside_drop(s, 99);
	keyclient_accept(s, 4, &c, 4);
	keyside_drop(s, 4);
	keyclient_accept(s, 4, &d, 5);
	keyworld_settle(w);
	assert_true(keyclient_ready(s, 4, &d));
	keyclient_confirm(s, 4, &d, "again");
	keyworld_settle(w);
	assert_true(keyclient_is_ok(s, 4, &d, "again"));
	assert_false(s->keyd_down);
}

static void
assert_counts(const struct keyworld *w, uint64_t handshakes,
    uint64_t confirmed, uint64_t refused, uint64_t expired, uint64_t waiting)
{
	const struct r_counters *c = keyd_counters(w->keyd);

	assert_int_equal(c->handshakes, handshakes);
	assert_int_equal(c->confirmed, confirmed);
	assert_int_equal(c->refused, refused);
	assert_int_equal(c->expired, expired);
	assert_int_equal(c->waiting, waiting);
}

static void
test_counters(void **state)
{
	struct keyworld *w = *state;
	struct keyside *s = &w->side[0];
	uint8_t junk[NOISE_INIT] = { 0 };
	struct noise_client c;
	uint32_t i;

	assert_counts(w, 0, 0, 0, 0, 0);
	for (i = 1; i <= KEYWORLD_MAX + 1; i++) {
		keyclient_accept(s, i, &c, (uint8_t)i);
		if (i > 1)
			continue;
		keyworld_settle(w);
		assert_true(keyclient_ready(s, 1, &c));
	}
	keyworld_settle(w);
	/* The last one stands in line. */
	assert_counts(w, KEYWORLD_MAX, 0, 0, 0, KEYWORLD_MAX + 1);
	keyside_confirm(s, 2, "\4\0\20xxxxxxxxxxxxxxxx", 19);
	keyside_drop(s, 3);
	keyworld_settle(w);
	assert_counts(w, KEYWORLD_MAX + 1, 0, 1, 0, KEYWORLD_MAX - 1);
	keyside_accept(s, 50, junk);
	keyworld_settle(w);
	assert_counts(w, KEYWORLD_MAX + 1, 0, 2, 0, KEYWORLD_MAX - 1);
	fakeenv_advance(w->fake, KEYWORLD_MS * US_PER_MS);
	assert_counts(w, KEYWORLD_MAX + 1, 0, 2, KEYWORLD_MAX - 1, 0);
	/* Too late is not refused for what it says. */
	keyside_confirm(s, 4, "\4\0\20xxxxxxxxxxxxxxxx", 19);
	keyclient_accept(s, 60, &c, 60);
	keyworld_settle(w);
	assert_true(keyclient_ready(s, 60, &c));
	keyclient_confirm(s, 60, &c, "me");
	keyworld_settle(w);
	assert_counts(w, KEYWORLD_MAX + 2, 1, 2, KEYWORLD_MAX - 1, 0);
	/* A worker that dies takes what is open with it. */
	keyclient_accept(s, 61, &c, 61);
	keyworld_settle(w);
	assert_counts(w, KEYWORLD_MAX + 3, 1, 2, KEYWORLD_MAX - 1, 1);
	keyside_up(w, 0, 200);
	keyworld_settle(w);
	assert_counts(w, KEYWORLD_MAX + 3, 1, 2, KEYWORLD_MAX - 1, 0);
}

/* The offences, each on a link of its own; the other link goes on. */
static void
offend(struct keyworld *w, void (*how)(struct keyside *, struct noise_client *))
{
	struct keyside *s = &w->side[0], *other = &w->side[1];
	struct noise_client c, mine;

	keyclient_accept(other, 1, &c, 7);
	keyworld_settle(w);
	assert_true(keyclient_ready(other, 1, &c));
	how(s, &mine);
	keyworld_settle(w);
	assert_true(s->keyd_down);
	assert_int_equal(s->why, LINK_BAD_ID);
	assert_int_equal(s->ok, 0);
	assert_false(other->keyd_down);
	keyclient_confirm(other, 1, &c, "unharmed");
	keyworld_settle(w);
	assert_true(keyclient_is_ok(other, 1, &c, "unharmed"));
	assert_int_equal(env_timers(fakeenv_env(w->fake)), 0);
	/* The next one in its slot begins afresh. */
	keyside_up(w, 0, 200);
	keyclient_accept(s, 1, &mine, 8);
	keyworld_settle(w);
	assert_true(keyclient_ready(s, 1, &mine));
	keyclient_confirm(s, 1, &mine, "new");
	keyworld_settle(w);
	assert_true(keyclient_is_ok(s, 1, &mine, "new"));
}

static void
twice_waiting(struct keyside *s, struct noise_client *c)
{
	keyclient_accept(s, 1, c, 1);
	keyclient_accept(s, 1, c, 2);
}

static void
twice_ready(struct keyside *s, struct noise_client *c)
{
	keyclient_accept(s, 1, c, 1);
	keyworld_settle(s->world);
	assert_int_equal(s->ready, 1);
	keyclient_accept(s, 1, c, 2);
}

static void
twice_proving(struct keyside *s, struct noise_client *c)
{
	keyclient_accept(s, 1, c, 1);
	keyworld_settle(s->world);
	assert_true(keyclient_ready(s, 1, c));
	keyclient_confirm(s, 1, c, "x");
	keyclient_accept(s, 1, c, 2);
}

static void
confirm_unready(struct keyside *s, struct noise_client *c)
{
	keyclient_accept(s, 1, c, 1);
	keyside_confirm(s, 1, "\4\0\20xxxxxxxxxxxxxxxx", 19);
}

static void
confirm_twice(struct keyside *s, struct noise_client *c)
{
	keyclient_accept(s, 1, c, 1);
	keyworld_settle(s->world);
	assert_true(keyclient_ready(s, 1, c));
	keyclient_confirm(s, 1, c, "x");
	keyclient_confirm(s, 1, c, "y");
}

static void
test_twice_waiting(void **state)
{
	offend(*state, twice_waiting);
}

static void
test_twice_ready(void **state)
{
	offend(*state, twice_ready);
}

static void
test_twice_proving(void **state)
{
	offend(*state, twice_proving);
}

static void
test_confirm_unready(void **state)
{
	offend(*state, confirm_unready);
}

static void
test_confirm_twice(void **state)
{
	offend(*state, confirm_twice);
}

/* Two hundred in one's line cost the other one turn at most. */
static void
test_fair(void **state)
{
	struct keyd_conf conf = { 1000, KEYWORLD_MS };
	struct keyworld *w = *state;
	struct keyside *greedy = &w->side[0], *other = &w->side[1];
	struct noise_client c;
	uint8_t init[NOISE_INIT];
	uint32_t i;

	keyd_reconf(w->keyd, &conf);
	keyclient_start(w, &c, 1, init);
	for (i = 0; i < 200; i++)
		keyside_accept(greedy, i, init);
	keyworld_deliver(w);
	assert_true(keyd_turn(w->keyd));
	for (i = 1; i <= 20; i++) {
		keyclient_accept(other, i, &c, (uint8_t)i);
		keyworld_deliver(w);
		assert_true(keyd_turn(w->keyd));
		assert_true(keyd_turn(w->keyd));
		keyworld_deliver(w);
		assert_int_equal(other->ready, i);
		assert_int_equal(greedy->ready, i + 1);
	}
	/* Records come before initiations, so what was begun is ended. */
	assert_true(keyclient_ready(other, 20, &c));
	for (i = 100; i < 103; i++)
		keyside_accept(other, i, init);
	keyclient_confirm(other, 20, &c, "first");
	keyworld_deliver(w);
	(void)keyd_turn(w->keyd);
	(void)keyd_turn(w->keyd);
	keyworld_deliver(w);
	assert_true(keyclient_is_ok(other, 20, &c, "first"));
	/* One operation a turn, to the last. */
	i = greedy->ready + other->ready;
	while (keyd_turn(w->keyd)) {
		keyworld_deliver(w);
		assert_int_equal(greedy->ready + other->ready, ++i);
	}
	keyworld_deliver(w);
	assert_int_equal(greedy->ready, 200);
	assert_int_equal(other->ready, 23);
	assert_false(keyd_turn(w->keyd));
}

/* Serials count confirmations over all links, whenever they were begun. */
static void
test_serials(void **state)
{
	struct keyworld *w = *state;
	struct keyside *s = &w->side[0], *t = &w->side[1];
	struct noise_client a, b, c;
	struct r_ticket first, second, third;

	keyclient_accept(s, 1, &a, 1);
	keyworld_settle(w);
	assert_true(keyclient_ready(s, 1, &a));
	keyclient_accept(t, 1, &b, 2);
	keyworld_settle(w);
	assert_true(keyclient_ready(t, 1, &b));
	keyclient_accept(s, 2, &c, 3);
	keyworld_settle(w);
	assert_true(keyclient_ready(s, 2, &c));

	keyclient_confirm(s, 2, &c, "c");
	keyworld_settle(w);
	assert_true(keyclient_is_ok(s, 2, &c, "c"));
	first = s->last.u.key_noise_ok.ticket;
	keyclient_confirm(t, 1, &b, "b");
	keyworld_settle(w);
	assert_true(keyclient_is_ok(t, 1, &b, "b"));
	second = t->last.u.key_noise_ok.ticket;
	keyclient_confirm(s, 1, &a, "a");
	keyworld_settle(w);
	assert_true(keyclient_is_ok(s, 1, &a, "a"));
	third = s->last.u.key_noise_ok.ticket;
	assert_int_equal(first.serial, 1);
	assert_int_equal(second.serial, 2);
	assert_int_equal(third.serial, 3);
	assert_true(ticket_newer(&third, 0, &second, 0));
	/* A ticket is worth nothing on the other worker's link. */
	assert_false(ticket_check(&second, w->boot, TICKET_MACHINE, s->slot,
	    s->generation));
}

/* A worker that dies takes its handshakes with it, and only these. */
static void
test_death(void **state)
{
	struct keyworld *w = *state;
	struct keyside *s = &w->side[0], *t = &w->side[1];
	struct noise_client c, d, waits;
	uint32_t i;

	keyclient_accept(s, 1, &c, 1);
	keyworld_settle(w);
	assert_true(keyclient_ready(s, 1, &c));
	for (i = 2; i <= 2 * KEYWORLD_MAX; i++)
		keyclient_accept(s, i, &waits, (uint8_t)i);
	keyworld_settle(w);
	keyclient_accept(t, 1, &d, 0x41);
	keyworld_settle(w);
	assert_true(keyclient_ready(t, 1, &d));
	pair_kill(s->pair, PAIR_A);
	keyworld_deliver(w);
	assert_true(s->keyd_down);
	assert_int_equal(s->why, LINK_EOF);
	assert_int_equal(env_timers(fakeenv_env(w->fake)), 1);
	assert_false(keyd_turn(w->keyd));
	/* Its numbers are not the next one's. */
	keyside_up(w, 0, 300);
	keyclient_confirm(s, 1, &c, "stale");
	keyworld_settle(w);
	assert_true(keyside_is_no(s, 1, REFUSED_UNKNOWN));
	keyclient_confirm(t, 1, &d, "alive");
	keyworld_settle(w);
	assert_true(keyclient_is_ok(t, 1, &d, "alive"));
}

/* A message that came for a link that the core never had. */
static void
test_unknown_link(void **state)
{
	struct keyworld *w = *state;
	struct msg m;

	msg_init(&m, M_KEY_NOISE_DROP);
	assert_int_equal(keyd_msg(w->keyd, NULL, &m), -1);
	keyd_down(w->keyd, NULL);
	msg_init(&m, M_KEY_NOISE_NO);
	assert_int_equal(keyd_msg(w->keyd, pair_link(w->side[0].pair, PAIR_B),
	    &m), -1);
}

static void
test_static_key(void **state)
{
	struct keyd_conf conf = { 1, 1 };
	struct keyworld *w = *state;

	assert_null(keyd_new(fakeenv_env(w->fake), &conf,
	    secret_new(NOISE_KEY), secret_new(32), 1));
	/* One of another length is none. */
	assert_null(keyd_new(fakeenv_env(w->fake), &conf, secret_new(31),
	    secret_new(32), 1));
}

static void
test_selftest(void **state)
{
	(void)state;
	assert_true(keyd_selftest());
}

static void
test_cells(void **state)
{
	uint8_t *p[300], zero[48] = { 0 };
	struct cells *c;
	size_t i, k;

	(void)state;
	c = cells_new(sizeof(zero));
	for (k = 0; k < 3; k++) {
		for (i = 0; i < 300; i++) {
			p[i] = cells_get(c);
			/* Each is its own and holds nothing of another. */
			assert_memory_equal(p[i], zero, sizeof(zero));
			memset(p[i], (int)(i + 1), sizeof(zero));
		}
		assert_int_equal(cells_used(c), 300);
		for (i = 0; i < 300; i++)
			assert_int_equal(p[i][47], (uint8_t)(i + 1));
		for (i = 0; i < 300; i++) {
			cells_put(c, p[i]);
			assert_memory_equal(p[i], zero, sizeof(zero));
		}
		cells_put(c, NULL);
		assert_int_equal(cells_used(c), 0);
	}
	cells_free(c);
	cells_free(NULL);
}

static void
no_log(int level, const char *line, void *arg)
{
	(void)level;
	(void)line;
	(void)arg;
}

#define WORLD_TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		WORLD_TEST(test_server_first),
		WORLD_TEST(test_vectors),
		WORLD_TEST(test_bad_init),
		WORLD_TEST(test_low_order),
		WORLD_TEST(test_claimed_key),
		WORLD_TEST(test_replay),
		WORLD_TEST(test_records),
		WORLD_TEST(test_bound),
		WORLD_TEST(test_reconf),
		WORLD_TEST(test_timeout),
		WORLD_TEST(test_drop),
		WORLD_TEST(test_counters),
		WORLD_TEST(test_twice_waiting),
		WORLD_TEST(test_twice_ready),
		WORLD_TEST(test_twice_proving),
		WORLD_TEST(test_confirm_unready),
		WORLD_TEST(test_confirm_twice),
		WORLD_TEST(test_fair),
		WORLD_TEST(test_serials),
		WORLD_TEST(test_death),
		WORLD_TEST(test_unknown_link),
		WORLD_TEST(test_static_key),
		cmocka_unit_test(test_selftest),
		cmocka_unit_test(test_cells)
	};

	if (noise_init() == -1)
		return 1;
	log_capture(no_log, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
