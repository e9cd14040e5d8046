/* Logins to the relay in keyd: derp.md 3.2, 3.5, trust.md 4. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <sodium.h>

#include "common/enc.h"
#include "common/log.h"
#include "common/noise.h"
#include "common/ticket.h"
#include "keyd/derp.h"
#include "regress/lib/keyworld.h"

/* derp.md 3.5 */
#define SERVER_PRIV \
	"202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e7f"
#define SERVER_PUB \
	"358072d6365880d1aeea329adf9121383851ed21a28e3b75e965d0d2cd166254"
#define CLIENT_PRIV \
	"404142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f"
#define CLIENT_PUB \
	"79a631eede1bf9c98f12032cdeadd0e7a079398fc786b88cc846ec89af85a51a"
#define LOGIN_NONCE	"a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7"
#define LOGIN_BOX \
	"0af9ee24f9542aa09f0002e30a48f566141a2eff996e0a32f009a1d8aab24fe1" \
	"7c72ab961bd1f7d4585cdc10bb368bae"
#define LOGIN_TEXT	"{\"version\":2,\"CanAckPings\":true}"
#define BOX_LEN		48
#define MARKS		1000	/* of an age */

struct hello {
	uint8_t		client[DERP_KEY];
	uint8_t		nonce[DERP_NONCE];
	uint8_t		box[BOX_LEN];
};

struct test {
	struct fakeenv	*fake;
	struct derp	*derp;
	struct hello	 hello;
	uint8_t		 info[DERP_INFO_MAX];
	struct derp_answer answer;
};

static void
unhex(uint8_t *to, size_t n, const char *text)
{
	assert_true(hex_dec(to, n, slice_str(text)));
}

static struct secret *
server_key(void)
{
	struct secret *s = secret_new(DERP_KEY);

	unhex(secret_data(s), DERP_KEY, SERVER_PRIV);
	return s;
}

static void
hello_make(struct hello *h)
{
	unhex(h->client, sizeof(h->client), CLIENT_PUB);
	unhex(h->nonce, sizeof(h->nonce), LOGIN_NONCE);
	unhex(h->box, sizeof(h->box), LOGIN_BOX);
}

/* The same text under another nonce. */
static void
hello_renew(struct hello *h, uint32_t n)
{
	uint8_t priv[DERP_KEY], pub[DERP_KEY];

	unhex(priv, sizeof(priv), CLIENT_PRIV);
	unhex(pub, sizeof(pub), SERVER_PUB);
	memcpy(h->nonce, &n, sizeof(n));
	assert_int_equal(crypto_box_easy(h->box,
	    (const unsigned char *)LOGIN_TEXT, strlen(LOGIN_TEXT), h->nonce,
	    pub, priv), 0);
}

static enum derp_refusal
login(struct test *t)
{
	return derp_login(t->derp, t->hello.client, t->hello.nonce,
	    t->hello.box, BOX_LEN, t->info, &t->answer);
}

static int
setup(void **state)
{
	struct test *t = xcalloc(1, sizeof(*t));

	t->fake = fakeenv_new(5);
	t->derp = derp_new(fakeenv_env(t->fake), server_key(), MARKS);
	assert_non_null(t->derp);
	hello_make(&t->hello);
	*state = t;
	return 0;
}

static int
teardown(void **state)
{
	struct test *t = *state;

	derp_free(t->derp);
	fakeenv_free(t->fake);
	free(t);
	return 0;
}

static void
test_vector(void **state)
{
	struct test *t = *state;
	uint8_t want[DERP_KEY];

	unhex(want, sizeof(want), SERVER_PUB);
	assert_memory_equal(derp_public(t->derp), want, DERP_KEY);
	assert_int_equal(login(t), DERP_REFUSED_NOT);
	assert_memory_equal(t->info, LOGIN_TEXT, strlen(LOGIN_TEXT));
}

/* The client opens what we sealed, with the key that it was told. */
static void
test_answer_opens(void **state)
{
	struct test *t = *state;
	uint8_t priv[DERP_KEY], text[DERP_ANSWER_MAX];

	unhex(priv, sizeof(priv), CLIENT_PRIV);
	assert_int_equal(login(t), DERP_REFUSED_NOT);
	assert_int_equal(crypto_box_open_easy(text, t->answer.box,
	    t->answer.nbox, t->answer.nonce, derp_public(t->derp), priv), 0);
	assert_int_equal(t->answer.nbox, strlen("{\"version\":2}") + DERP_TAG);
	assert_memory_equal(text, "{\"version\":2}", strlen("{\"version\":2}"));
}

static void
test_each_bit_matters(void **state)
{
	struct test *t = *state;
	size_t i;

	for (i = 0; i < BOX_LEN; i++) {
		t->hello.box[i] ^= 1;
		assert_int_equal(login(t), DERP_REFUSED_BOX);
		t->hello.box[i] ^= 1;
	}
	for (i = 0; i < DERP_NONCE; i++) {
		t->hello.nonce[i] ^= 1;
		assert_int_equal(login(t), DERP_REFUSED_BOX);
		t->hello.nonce[i] ^= 1;
	}
	t->hello.client[3] ^= 1;
	assert_int_equal(login(t), DERP_REFUSED_BOX);
	t->hello.client[3] ^= 1;
	/* None of these counted as the login that they were made of. */
	assert_int_equal(login(t), DERP_REFUSED_NOT);
}

static void
test_low_order(void **state)
{
	struct test *t = *state;

	memset(t->hello.client, 0, DERP_KEY);
	assert_int_equal(login(t), DERP_REFUSED_KEY);
	t->hello.client[0] = 1;
	assert_int_equal(login(t), DERP_REFUSED_KEY);
}

static void
test_replay(void **state)
{
	struct test *t = *state;

	assert_int_equal(login(t), DERP_REFUSED_NOT);
	assert_int_equal(login(t), DERP_REFUSED_AGAIN);
	fakeenv_advance(t->fake, 3599 * US_PER_S);
	assert_int_equal(login(t), DERP_REFUSED_AGAIN);
	hello_renew(&t->hello, 1);
	assert_int_equal(login(t), DERP_REFUSED_NOT);
}

/* As many as an age holds, at least, are there; and no more than two. */
static void
test_replay_bounded(void **state)
{
	struct test *t = *state;
	uint32_t i;

	for (i = 0; i < 5 * MARKS / 2; i++) {
		hello_renew(&t->hello, i);
		if (login(t) != DERP_REFUSED_NOT)
			fail_msg("login %u", (unsigned int)i);
	}
	for (i = 3 * MARKS / 2; i < 5 * MARKS / 2; i += 97) {
		hello_renew(&t->hello, i);
		assert_int_equal(login(t), DERP_REFUSED_AGAIN);
	}
	hello_renew(&t->hello, 0);
	assert_int_equal(login(t), DERP_REFUSED_NOT);
}

/* A box opens in both directions: ours must not come back as a login. */
static void
test_our_own_box(void **state)
{
	struct test *t = *state;
	struct derp *again;

	assert_int_equal(login(t), DERP_REFUSED_NOT);
	memcpy(t->hello.nonce, t->answer.nonce, DERP_NONCE);
	assert_int_equal(derp_login(t->derp, t->hello.client, t->hello.nonce,
	    t->answer.box, t->answer.nbox, t->info, &t->answer),
	    DERP_REFUSED_OURS);
	/* Nor at another start of ours. */
	again = derp_new(fakeenv_env(t->fake), server_key(), MARKS);
	assert_int_equal(derp_login(again, t->hello.client, t->hello.nonce,
	    t->answer.box, t->answer.nbox, t->info, &t->answer),
	    DERP_REFUSED_OURS);
	derp_free(again);
}

static void
test_lengths(void **state)
{
	struct test *t = *state;
	uint8_t box[DERP_TAG + DERP_INFO_MAX + 1] = { 0 };

	assert_int_equal(derp_login(t->derp, t->hello.client, t->hello.nonce,
	    box, DERP_TAG - 1, t->info, &t->answer), DERP_REFUSED_BOX);
	assert_int_equal(derp_login(t->derp, t->hello.client, t->hello.nonce,
	    box, sizeof(box), t->info, &t->answer), DERP_REFUSED_BOX);
}

static void
test_zero_key(void **state)
{
	struct test *t = *state;

	assert_null(derp_new(fakeenv_env(t->fake), secret_new(DERP_KEY),
	    MARKS));
}

/* Through keyd's core. */

static struct msg answer;
static uint8_t answer_info[DERP_INFO_MAX];

static void
keep(const struct msg *m, void *arg)
{
	(void)arg;
	answer = *m;
	if (m->type == M_KEY_DERP_OK) {
		memcpy(answer_info, m->u.key_derp_ok.info.p,
		    m->u.key_derp_ok.info.n);
		answer.u.key_derp_ok.info.p = (char *)answer_info;
	}
}

static void
ask(struct keyworld *w, unsigned int i, const struct hello *h)
{
	struct keyside *s = &w->side[i];
	struct msg m;

	msg_init(&m, M_KEY_DERP_HELLO);
	m.u.key_derp_hello.conn = 7;
	memcpy(m.u.key_derp_hello.client, h->client, DERP_KEY);
	memcpy(m.u.key_derp_hello.nonce, h->nonce, DERP_NONCE);
	m.u.key_derp_hello.box = slice_mem(h->box, BOX_LEN);
	s->seen = keep;
	(void)link_request(pair_link(s->pair, PAIR_A), &m, s, 0);
	keyworld_settle(w);
}

static int
world_setup(void **state)
{
	*state = keyworld_new(fakeenv_new(3));
	return 0;
}

static int
world_teardown(void **state)
{
	struct keyworld *w = *state;
	struct fakeenv *fake = w->fake;

	assert_true(keyworld_free(w));
	assert_int_equal(env_timers(fakeenv_env(fake)), 0);
	fakeenv_free(fake);
	return 0;
}

static void
test_ticket(void **state)
{
	struct keyworld *w = *state;
	const struct m_key_derp_ok *ok = &answer.u.key_derp_ok;
	struct hello h;
	const char *why;

	hello_make(&h);
	ask(w, 0, &h);
	assert_int_equal(answer.type, M_KEY_DERP_NO);
	assert_int_equal(answer.u.key_derp_no.why, DERP_REFUSED_NONE);
	assert_true(keyd_relay(w->keyd, server_key(), &why));
	ask(w, 1, &h);
	assert_int_equal(answer.type, M_KEY_DERP_OK);
	assert_int_equal(ok->conn, 7);
	assert_true(slice_eqs(ok->info, LOGIN_TEXT));
	assert_memory_equal(ok->ticket.key, h.client, DERP_KEY);
	assert_true(ticket_check(&ok->ticket, w->boot, TICKET_DERP,
	    w->side[1].slot, w->side[1].generation));
	/* It is no machine's, and nobody else's. */
	assert_false(ticket_check(&ok->ticket, w->boot, TICKET_MACHINE,
	    w->side[1].slot, w->side[1].generation));
	assert_false(ticket_check(&ok->ticket, w->boot, TICKET_DERP,
	    w->side[0].slot, w->side[0].generation));
	/* A login that one worker has seen is of no use to another. */
	ask(w, 0, &h);
	assert_int_equal(answer.type, M_KEY_DERP_NO);
	assert_int_equal(answer.u.key_derp_no.why, DERP_REFUSED_AGAIN);
}

static void
count_ok(const struct msg *m, void *arg)
{
	unsigned int *n = arg;

	*n += m->type == M_KEY_DERP_OK;
}

/* n logins of their own, as fast as they may be asked. */
static void
ask_many(struct keyworld *w, unsigned int i, uint32_t from, unsigned int n,
    unsigned int *ok)
{
	struct keyside *s = &w->side[i];
	struct hello h;
	struct msg m;
	uint32_t k;

	hello_make(&h);
	s->seen = count_ok;
	s->seen_arg = ok;
	for (k = from; k < from + n; k++) {
		hello_renew(&h, k);
		msg_init(&m, M_KEY_DERP_HELLO);
		m.u.key_derp_hello.conn = k;
		memcpy(m.u.key_derp_hello.client, h.client, DERP_KEY);
		memcpy(m.u.key_derp_hello.nonce, h.nonce, DERP_NONCE);
		m.u.key_derp_hello.box = slice_mem(h.box, BOX_LEN);
		(void)link_request(pair_link(s->pair, PAIR_A), &m, s, 0);
		if (k % 100 == 99)
			keyworld_settle(w);
	}
	keyworld_settle(w);
}

/* What is more waits in line, is had in its time, and stops nobody else. */
static void
test_budget(void **state)
{
	struct keyworld *w = *state;
	unsigned int mine = 0, theirs = 0;
	const char *why;

	assert_true(keyd_relay(w->keyd, server_key(), &why));
	keyworld_settle(w);
	ask_many(w, 0, 0, 700, &mine);
	assert_int_equal(mine, 512);
	ask_many(w, 1, 1000, 100, &theirs);
	assert_int_equal(theirs, 100);
	fakeenv_advance(w->fake, US_PER_S / 2);
	keyworld_settle(w);
	assert_int_equal(mine, 612);
	fakeenv_advance(w->fake, US_PER_S / 2);
	keyworld_settle(w);
	assert_int_equal(mine, 700);
	/* What all of them may do in an hour, the memory holds. */
	assert_true(3600UL * DERP_LOGINS_RATE + DERP_LOGINS_BURST <
	    DERP_LOGINS_MAX);
}

static void
test_server_is_told(void **state)
{
	struct keyworld *w = *state;
	uint8_t want[DERP_KEY];
	const char *why;
	size_t i;

	unhex(want, sizeof(want), SERVER_PUB);
	assert_null(keyd_relay_public(w->keyd));
	assert_true(keyd_relay(w->keyd, server_key(), &why));
	keyworld_settle(w);
	for (i = 0; i < KEYWORLD_WORKERS; i++) {
		assert_int_equal(w->side[i].last.type, M_KEY_SERVER);
		assert_memory_equal(w->side[i].last.u.key_server.derp, want,
		    DERP_KEY);
	}
}

static void
test_noise_key_is_refused(void **state)
{
	struct keyworld *w = *state;
	struct secret *s = secret_new(DERP_KEY);
	const char *why = NULL;

	unhex(secret_data(s), DERP_KEY, KEYWORLD_PRIV);
	assert_false(keyd_relay(w->keyd, s, &why));
	assert_non_null(strstr(why, "not the Noise key"));
	assert_null(keyd_relay_public(w->keyd));
}

#define TEST(f)		cmocka_unit_test_setup_teardown(f, setup, teardown)
#define WORLD_TEST(f) \
	cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_vector),
		TEST(test_answer_opens),
		TEST(test_each_bit_matters),
		TEST(test_low_order),
		TEST(test_replay),
		TEST(test_replay_bounded),
		TEST(test_our_own_box),
		TEST(test_lengths),
		TEST(test_zero_key),
		WORLD_TEST(test_ticket),
		WORLD_TEST(test_budget),
		WORLD_TEST(test_server_is_told),
		WORLD_TEST(test_noise_key_is_refused)
	};

	if (noise_init() == -1)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
