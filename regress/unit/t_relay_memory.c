/* The relay when memory is short, and writers that stand still or do not. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "regress/lib/relayone.h"

/* All packets together have a bound: who holds the most gives, the oldest. */
static void
t_memory(void **state)
{
	struct relay_conf conf = { 0, 0, 2000, 100, 200000 };
	static uint8_t p[65536];
	struct rk *rk = *state;
	struct rkclient *a = ro_in(rk, 1), *b = ro_in(rk, 2), *d = ro_in(rk, 3);
	struct buf f = { 0 };
	unsigned int i;

	relay_reconf(rk->worker[0].relay, &conf);
	b->stuck = d->stuck = true;
	ro_byte(a, d, 1);
	for (i = 0; i < 5; i++) {
		p[65535] = (uint8_t)i;
		rk_send(a, b->pub, p, sizeof(p));
	}
	assert_int_equal(ro_num(rk)->dropped_memory, 3);
	/* in pieces, too; d has the little that it holds, and gets this */
	rk_put_send(&f, d->pub, p, sizeof(p));
	rk_octets(a, f.p, 1000);
	rk_octets(a, f.p + 1000, f.n - 1000);
	assert_int_equal(ro_num(rk)->dropped_memory, 4);
	d->stuck = false;
	rk_run(rk);
	assert_true(ro_last(d, 1));
	assert_true(rk_got(d, a, p, sizeof(p)));
	b->stuck = false;
	rk_run(rk);
	assert_true(ro_last(b, 4));
	assert_true(rk_silent(b));
	buf_free(&f);
}

/* Whoever announces a large frame and does not send it holds little. */
static void
t_memory_parts(void **state)
{
	struct relay_conf conf = { 0, 0, 2000, 100, 400000 };
	static uint8_t p[65536];
	struct rk *rk = *state;
	struct rkclient *x, *a = ro_in(rk, 1), *b = ro_in(rk, 2);
	struct buf f = { 0 };
	unsigned int i;

	relay_reconf(rk->worker[0].relay, &conf);
	rk_put_send(&f, b->pub, p, sizeof(p));
	for (i = 0; i < 100; i++) {
		x = ro_in(rk, 10 + i);
		rk_octets(x, f.p, 38);
	}
	rk_send(a, b->pub, p, sizeof(p));
	rk_run(rk);
	assert_true(rk_got(b, a, p, sizeof(p)));
	assert_int_equal(ro_num(rk)->dropped_memory, 0);
	/* nor do those that send nearly all of it take what others need */
	for (x = rk->clients; x != a; x = x->next)
		if (x != b)
			rk_octets(x, f.p + 38, f.n - 39);
	assert_true(ro_num(rk)->dropped_memory >= 90);
	rk_send(a, b->pub, p, 1000);
	rk_send(a, b->pub, p, sizeof(p));
	rk_run(rk);
	assert_true(rk_got(b, a, p, 1000));
	assert_true(rk_got(b, a, p, sizeof(p)));
	/* and what they send later is read from its beginning */
	for (x = rk->clients; x != a; x = x->next)
		if (x != b) {
			rk_octets(x, "", 1);
			rk_send(x, a->pub, "x", 1);
			rk_run(rk);
			assert_true(rk_got(a, x, "x", 1));
		}
	buf_free(&f);
}

/* A clock that leapt is no writer's fault: it has all of its time again. */
static void
t_stall_leap(void **state)
{
	struct rk *rk = *state;
	struct rkclient *a = ro_in(rk, 1), *b = ro_in(rk, 2);

	b->stuck = true;
	ro_byte(a, b, 1);
	rk_pass(rk, US_PER_S);
	fakeenv_leap(rk->fake, 20 * US_PER_S);
	fakeenv_advance(rk->fake, 2 * US_PER_S - 1);
	assert_false(rk_is_done(b));
	fakeenv_advance(rk->fake, 1);
	assert_true(rk_is_done(b));
}

/* What the socket takes of a slice is progress, though nobody asks for more. */
static void
t_stall_progress(void **state)
{
	struct rk *rk = *state;
	struct rkclient *a = ro_in(rk, 1), *b = ro_in(rk, 2);
	unsigned int i;

	b->stuck = true;
	ro_byte(a, b, 1);
	for (i = 0; i < 5; i++) {
		rk_pass(rk, 1900 * US_PER_MS);
		assert_false(rk_is_done(b));
		relay_progress(b->c);
	}
	rk_pass(rk, 2000 * US_PER_MS);
	assert_true(rk_is_done(b));
	relay_progress(b->c);
}

#define T(f)	cmocka_unit_test_setup_teardown(f, ro_setup, ro_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(t_memory), T(t_memory_parts), T(t_stall_leap),
		T(t_stall_progress)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
