/* keyd under a flood of handshakes that nobody confirms. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/log.h"
#include "regress/lib/keyworld.h"

#define BOUND		4096		/* as limits.handshakes is */
#define STEP_MS		50		/* also a round trip of the honest */
#define STEPS		50
#define SILENT		60		/* in a step: 1,200 a second */
#define HONEST		40		/* one a step */
#define FIRST		1000000U	/* the number of the first honest one */

struct honest {
	struct noise_client	 c;
	unsigned int		 asked;		/* in which step */
	unsigned int		 answered;
	bool			 ready;
	bool			 ok;
	bool			 lost;
};

struct flood {
	struct keyworld		*w;
	struct keyside		*s;
	uint8_t			 init[NOISE_INIT];
	uint32_t		 next;		/* silent one */
	unsigned int		 step;
	struct honest		 h[HONEST];
};

static unsigned int said;

static void
on_log(int level, const char *line, void *arg)
{
	(void)level;
	(void)arg;
	said += strstr(line, "silent handshakes make room") != NULL;
}

static int
setup(void **state)
{
	*state = keyworld_new(fakeenv_new(5));
	said = 0;
	log_capture(on_log, NULL);
	return 0;
}

static int
teardown(void **state)
{
	struct keyworld *w = *state;
	struct fakeenv *fake = w->fake;

	log_capture(NULL, NULL);
	assert_true(keyworld_free(w));
	assert_int_equal(env_timers(fakeenv_env(fake)), 0);
	fakeenv_free(fake);
	return 0;
}

static struct honest *
honest(struct flood *f, uint32_t conn)
{
	return conn < FIRST ? NULL : &f->h[conn - FIRST];
}

static void
on_seen(const struct msg *m, void *arg)
{
	struct flood *f = arg;
	struct honest *h;

	switch (m->type) {
	case M_KEY_NOISE_READY:
		h = honest(f, m->u.key_noise_ready.conn);
		if (h == NULL)
			break;
		assert_true(noise_client_finish(&h->c,
		    m->u.key_noise_ready.response));
		h->ready = true;
		h->answered = f->step;
		break;
	case M_KEY_NOISE_OK:
		h = honest(f, m->u.key_noise_ok.conn);
		assert_non_null(h);
		h->ok = true;
		break;
	case M_KEY_NOISE_NO:
		assert_null(honest(f, m->u.key_noise_no.conn));
		break;
	case M_KEY_NOISE_GONE:
		h = honest(f, m->u.key_noise_gone.conn);
		if (h != NULL)
			h->lost = true;
		break;
	default:
		break;
	}
}

static void
step(struct flood *f)
{
	struct honest *h;
	unsigned int i;

	fakeenv_advance(f->w->fake, STEP_MS * US_PER_MS);
	f->step++;
	for (i = 0; i < SILENT; i++)
		keyside_accept(f->s, f->next++, f->init);
	if (f->step <= HONEST) {
		h = &f->h[f->step - 1];
		h->asked = f->step;
		keyclient_accept(f->s, FIRST + f->step - 1, &h->c,
		    (uint8_t)f->step);
	}
	for (i = 0; i < HONEST; i++) {
		h = &f->h[i];
		/* Its first record is here a round trip later. */
		if (h->ready && !h->ok && !h->lost && h->answered < f->step) {
			h->ready = false;
			keyclient_confirm(f->s, FIRST + i, &h->c, "here");
		}
	}
	keyworld_settle(f->w);
}

/*
 * The table is full of silent ones and more of them come all the time: who
 * is there gets in, none more than half a second late.
 */
static void
test_flood(void **state)
{
	struct keyd_conf conf = { BOUND, KEYWORLD_MS };
	struct keyworld *w = *state;
	struct noise_client silent;
	struct flood *f;
	uint32_t i;

	f = calloc(1, sizeof(*f));
	assert_non_null(f);
	f->w = w;
	f->s = &w->side[0];
	f->s->seen = on_seen;
	f->s->seen_arg = f;
	keyd_reconf(w->keyd, &conf);
	keyclient_start(w, &silent, 0xee, f->init);
	for (f->next = 1; f->next <= BOUND; f->next++)
		keyside_accept(f->s, f->next, f->init);
	keyworld_settle(w);
	assert_int_equal(f->s->ready, BOUND);
	assert_int_equal(f->s->gone, 0);
	for (i = 0; i < STEPS; i++)
		step(f);
	for (i = 0; i < HONEST; i++) {
		assert_true(f->h[i].ok);
		assert_false(f->h[i].lost);
		/* 500 ms until the first silent one is old enough */
		assert_in_range(f->h[i].answered - f->h[i].asked, 0,
		    500 / STEP_MS);
		if (f->h[i].asked >= 500 / STEP_MS)
			assert_int_equal(f->h[i].answered, f->h[i].asked);
	}
	assert_int_equal(f->s->no, 0);
	/* Each that came in beyond the bound is one that was ended. */
	assert_int_equal(f->s->gone, STEPS * SILENT);
	assert_int_equal(keyd_counters(w->keyd)->expired, STEPS * SILENT);
	assert_int_equal(keyd_counters(w->keyd)->waiting, BOUND);
	assert_int_equal(keyd_counters(w->keyd)->confirmed, HONEST);
	assert_int_equal(said, 1);
	assert_false(f->s->keyd_down);
	assert_false(f->s->worker_down);
	free(f);
}

/* Not before it is 500 ms old, the oldest first, and who proves stays. */
static void
test_yields(void **state)
{
	struct keyworld *w = *state;
	struct keyside *s = &w->side[0];
	struct noise_client c[KEYWORLD_MAX + 3];
	uint8_t junk[NOISE_INIT] = { 0 };
	uint32_t i;

	for (i = 1; i <= KEYWORLD_MAX; i++) {
		keyclient_accept(s, i, &c[i], (uint8_t)i);
		keyworld_settle(w);
		assert_true(keyclient_ready(s, i, &c[i]));
		fakeenv_advance(w->fake, 10 * US_PER_MS);
	}
	/* 1 proves itself: its record has only to be looked at. */
	keyclient_confirm(s, 1, &c[1], "first");
	(void)pair_run(s->pair);
	fakeenv_advance(w->fake, 500 * US_PER_MS - KEYWORLD_MAX * 10 *
	    US_PER_MS + 10 * US_PER_MS - 1);
	keyworld_settle(w);
	assert_true(keyclient_is_ok(s, 1, &c[1], "first"));
	keyclient_accept(s, 10, &c[0], 10);
	keyclient_accept(s, 11, &c[KEYWORLD_MAX + 1], 11);
	keyworld_settle(w);
	assert_true(keyclient_ready(s, 10, &c[0]));
	assert_int_equal(s->gone, 0);		/* 2 is 1 us too young */
	assert_false(keyd_turn(w->keyd));
	/* The core asks to be woken when 2 is old enough. */
	assert_int_equal(env_next(fakeenv_env(w->fake)) -
	    env_now(fakeenv_env(w->fake)), 1);
	fakeenv_advance(w->fake, 1);
	keyworld_settle(w);
	assert_int_equal(s->gone, 1);
	assert_int_equal(s->ready, KEYWORLD_MAX + 2);
	/* What is forged ends nobody: 3 is old enough now. */
	keyside_accept(s, 12, junk);
	fakeenv_advance(w->fake, 10 * US_PER_MS);
	keyworld_settle(w);
	assert_int_equal(s->gone, 1);
	assert_true(keyside_is_no(s, 12, REFUSED_MALFORMED));
	/* It was 2, and what it says now comes too late. */
	keyclient_confirm(s, 2, &c[2], "late");
	keyworld_settle(w);
	assert_true(keyside_is_no(s, 2, REFUSED_UNKNOWN));
	keyclient_confirm(s, 3, &c[3], "third");
	keyworld_settle(w);
	assert_true(keyclient_is_ok(s, 3, &c[3], "third"));
	/* A worker that dies takes the timer of its line with it. */
	for (i = 20; i < 20 + KEYWORLD_MAX; i++)
		keyclient_accept(s, i, &c[0], (uint8_t)i);
	keyworld_settle(w);
	keyside_up(w, 0, 200);
	assert_int_equal(env_timers(fakeenv_env(w->fake)), 0);
}

int
main(void)
{
#define T(t)	cmocka_unit_test_setup_teardown(t, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_flood), T(test_yields)
	};
#undef T

	if (noise_init() == -1)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
