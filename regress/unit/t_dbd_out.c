/* The link to fetch: in flight, gone, late, and who answers nonsense. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "dbd/out_int.h"
#include "regress/lib/dbdask.h"
#include "regress/lib/edgekit.h"

static struct dbdworld *w;
static struct edge *e;
static unsigned int rows, replies, gone;

static int
setup(void **state)
{
	const char *key;
	struct dbdworker *k;
	uint64_t alice;

	*state = w = ask_world(&k, NULL, &alice, &key);
	e = edge_new(w);
	rows = replies = gone = 0;
	return 0;
}

static int
teardown(void **state)
{
	edge_free(e);
	return ask_teardown(state);
}

static void
on_answer(void *arg, const struct msg *m)
{
	assert_ptr_equal(arg, &rows);
	if (m == NULL)
		gone++;
	else if (m->type == M_OUT_BODY)
		rows++;
	else
		replies++;
}

static struct outreq *
ask(uint64_t us)
{
	struct outreq *r;
	struct msg m;

	msg_init(&m, M_OUT_GET);
	m.u.out_get.url = slice_str("https://a.example/");
	m.u.out_get.max = 10;
	r = outlink_ask(dw_dbd(w), &m, us, on_answer, &rows);
	edge_run(e);
	return r;
}

static uint32_t
asked(void)
{
	const struct msg *m = edge_take(e, EDGE_OUT, M_OUT_GET);

	assert_non_null(m);
	return m->id;
}

static void
say(enum msg_type type, uint32_t id)
{
	struct msg m;

	msg_init(&m, type);
	m.id = id;
	edge_send(e, EDGE_OUT, &m);
}

static void
t_absent(void **state)
{
	(void)state;
	assert_false(outlink_is_up(dw_dbd(w)));
	assert_null(ask(US_PER_S));
	edge_up(e, EDGE_OUT);
	assert_true(outlink_is_up(dw_dbd(w)));
	assert_non_null(ask(US_PER_S));
	edge_down(e, EDGE_OUT);
	assert_false(outlink_is_up(dw_dbd(w)));
	assert_int_equal(gone, 1);
}

static void
t_answers(void **state)
{
	struct outreq *forgotten;
	uint32_t id;

	(void)state;
	edge_up(e, EDGE_OUT);
	(void)ask(US_PER_S);
	forgotten = ask(US_PER_S);
	id = asked();
	say(M_OUT_BODY, id);
	say(M_OUT_BODY, id);
	say(M_OUT_GOT, id);
	assert_int_equal(rows, 2);
	assert_int_equal(replies, 1);
	/* What nobody wants any more is swallowed. */
	outlink_forget(forgotten);
	id = asked();
	say(M_OUT_BODY, id);
	say(M_OUT_GOT, id);
	assert_int_equal(rows + replies + gone, 3);
	assert_false(edge_is_cut(e, EDGE_OUT));
	edge_down(e, EDGE_OUT);
	assert_int_equal(gone, 0);
}

static void
t_late(void **state)
{
	(void)state;
	edge_up(e, EDGE_OUT);
	(void)ask(10 * US_PER_S);
	(void)ask(60 * US_PER_S);
	edge_pass(e, 9 * US_PER_S);
	assert_int_equal(gone, 0);
	edge_pass(e, 2 * US_PER_S);
	/* It hangs: all that it was asked has no answer. */
	assert_true(edge_is_cut(e, EDGE_OUT));
	assert_int_equal(gone, 2);
}

/* A second one takes the place of the first, whose answers are nobody's. */
static void
t_replaced(void **state)
{
	(void)state;
	edge_up(e, EDGE_OUT);
	(void)ask(60 * US_PER_S);
	edge_down(e, EDGE_OUT);
	edge_up(e, EDGE_OUT);
	assert_int_equal(gone, 1);
	(void)ask(60 * US_PER_S);
	(void)asked();
	say(M_OUT_GOT, asked());
	assert_int_equal(replies, 1);
	/* dbd ends with a question open. */
	(void)ask(60 * US_PER_S);
	edge_restart(e, false);
	assert_int_equal(gone, 1);
	assert_false(outlink_is_up(dw_dbd(w)));
}

#define T(t)	cmocka_unit_test_setup_teardown(t, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(t_absent), T(t_answers), T(t_late), T(t_replaced)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
