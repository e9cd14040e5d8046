/* When streams are told: ticks, keep-alives, turns and ends. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "regress/lib/streamkit.h"

static struct sw_world *w;

static int
setup(void **state)
{
	*state = w = sw_new(30);
	return 0;
}

static void
t_at_once_when_idle(void **state)
{
	struct sw_got *a = sw_join(w, 1), *b = sw_join(w, 2);

	(void)state;
	sw_pass(w, 10 * US_PER_S);
	sw_endpoint(w, 3, 500);
	assert_int_equal(a->outs, 1);
	sw_pass(w, 0);
	assert_int_equal(a->outs, 2);
	assert_int_equal(b->outs, 2);
	/* One encoding for both. */
	assert_int_equal(a->n, 1);
	assert_ptr_equal(a->frame[0], b->frame[0]);
	stream_drained(a->stream);
	stream_drained(b->stream);
	/* The next waits for the tick: two changes, one message. */
	sw_endpoint(w, 3, 501);
	sw_pass(w, 20 * US_PER_MS);
	sw_endpoint(w, 4, 502);
	sw_pass(w, 29 * US_PER_MS);
	assert_int_equal(a->outs, 2);
	sw_pass(w, 1 * US_PER_MS);
	assert_int_equal(a->outs, 3);
	assert_int_equal(mapview_count(a->view)->patched, 3);
}

static void
t_tick_costs(void **state)
{
	struct sw_got *a = sw_join(w, 1), *b = sw_join(w, 2);

	(void)state;
	sw_pass(w, 10 * US_PER_S);
	w->cost = 10 * US_PER_MS;	/* 20 ms: the tick is 200 ms */
	sw_endpoint(w, 3, 500);
	sw_pass(w, 20 * US_PER_MS);
	assert_int_equal(a->outs + b->outs, 4);
	w->cost = 0;
	stream_drained(a->stream);
	stream_drained(b->stream);
	sw_endpoint(w, 3, 501);
	sw_pass(w, 170 * US_PER_MS);
	assert_int_equal(a->outs, 2);
	sw_pass(w, 10 * US_PER_MS);
	assert_int_equal(a->outs, 3);
	stream_drained(a->stream);
	stream_drained(b->stream);
	/* Never longer than half a second. */
	sw_pass(w, 10 * US_PER_S);
	w->cost = 60 * US_PER_MS;
	sw_endpoint(w, 3, 502);
	sw_pass(w, 120 * US_PER_MS);
	assert_int_equal(a->outs + b->outs, 8);
	w->cost = 0;
	stream_drained(a->stream);
	stream_drained(b->stream);
	sw_endpoint(w, 3, 503);
	sw_pass(w, 370 * US_PER_MS);
	assert_int_equal(a->outs, 4);
	sw_pass(w, 10 * US_PER_MS);
	assert_int_equal(a->outs, 5);
}

static void
t_drained_first(void **state)
{
	struct sw_got *a = sw_join(w, 1), *b = sw_join(w, 2);

	(void)state;
	sw_pass(w, 10 * US_PER_S);
	sw_endpoint(w, 3, 500);
	sw_pass(w, 1 * US_PER_S);
	stream_drained(b->stream);
	sw_endpoint(w, 4, 501);
	sw_pass(w, 1 * US_PER_S);
	stream_drained(b->stream);
	sw_endpoint(w, 3, 502);
	sw_pass(w, 1 * US_PER_S);
	assert_int_equal(b->outs, 4);
	assert_int_equal(a->outs, 2);
	/* What it has missed is one message. */
	stream_drained(a->stream);
	sw_pass(w, 1 * US_PER_S);
	assert_int_equal(a->outs, 3);
	assert_int_equal(mapview_count(a->view)->patched, 3);
	assert_int_equal(mapview_count(b->view)->patched, 3);
	/* Twice is fine. */
	stream_drained(a->stream);
	stream_drained(a->stream);
}

static void
t_keepalive(void **state)
{
	struct sw_got *a = sw_join(w, 1), *b;
	struct sw_got *c = sw_open_as(w, 3, 3, false, false);
	struct frame *first = NULL;
	uint64_t t0 = w->now, gap;
	unsigned int i, n;

	(void)state;
	sw_pass(w, 0);
	stream_drained(c->stream);
	for (i = 0; i < 30; i++) {
		n = a->outs;
		t0 = w->now;
		while (a->outs == n)
			sw_pass(w, 100 * US_PER_MS);
		gap = w->now - t0;
		assert_in_range(gap, 50 * US_PER_S, 61 * US_PER_S);
		assert_string_equal(mapview_text(a->view),
		    "{\"KeepAlive\": true}");
		/* The same octets each time: clients cache them. */
		if (first == NULL)
			first = frame_ref(a->frame[0]);
		assert_ptr_equal(a->frame[0], first);
		stream_drained(a->stream);
		if (c->outs > 1)
			stream_drained(c->stream);
	}
	assert_int_equal(first->len - 4, first->data[0]);
	frame_unref(first);
	assert_true(mapview_count(c->view)->keepalives > 25);
	assert_int_equal(c->frame[0]->len, 4 + 19);
	/* Something else puts it off; a busy stream gets none. */
	b = sw_join(w, 2);
	for (i = 0; i < 10; i++) {
		sw_pass(w, 40 * US_PER_S);
		sw_endpoint(w, 9, 100 + i);
		sw_pass(w, 0);
		stream_drained(b->stream);
	}
	assert_int_equal(mapview_count(b->view)->keepalives, 0);
	sw_endpoint(w, 9, 200);
	sw_pass(w, 0);
	sw_pass(w, 300 * US_PER_S);
	assert_int_equal(mapview_count(b->view)->keepalives, 0);
	stream_drained(b->stream);
	sw_pass(w, 2 * US_PER_S);
	assert_int_equal(mapview_count(b->view)->keepalives, 1);
}

static void
t_over(void **state)
{
	struct sw_got *a = sw_join(w, 1), *b = sw_open(w, 2);

	(void)state;
	assert_int_equal(feed_node_del(w->tn, 1), 0);
	assert_int_equal(feed_node_del(w->tn, 2), 0);
	sw_batch(w);
	assert_int_equal(w->overs, 0);	/* never from within */
	sw_pass(w, 0);
	assert_int_equal(w->overs, 2);
	assert_null(a->stream);
	assert_null(b->stream);
	/* Who had a map is told to log in again; who had none is not. */
	assert_int_equal(b->outs, 0);
	assert_int_equal(a->outs, 2);
	assert_string_equal(json_object_get_string(json_object_object_get(
	    mapview_self(a->view), "KeyExpiry")), "1970-01-01T00:00:01Z");
	assert_int_equal(tailnets_streams(w->tn, FEED_TAILNET), 0);
}

/* The same when dbd's word comes another way: once, and before the close. */
static void
t_farewell(void **state)
{
	struct sw_got *a = sw_join(w, 1), *b = sw_join(w, 2);
	struct sw_got *c = sw_open(w, 3);

	(void)state;
	stream_farewell(a->stream);
	assert_int_equal(a->outs, 2);
	assert_string_equal(json_object_get_string(json_object_object_get(
	    mapview_self(a->view), "KeyExpiry")), "1970-01-01T00:00:01Z");
	stream_close(a->stream);
	a->stream = NULL;
	/* Its removal was first. */
	assert_int_equal(feed_node_del(w->tn, 2), 0);
	sw_batch(w);
	stream_farewell(b->stream);
	assert_int_equal(b->outs, 2);
	stream_farewell(b->stream);
	assert_int_equal(b->outs, 2);
	stream_farewell(c->stream);
	assert_int_equal(c->outs, 0);
	sw_pass(w, 0);
	assert_int_equal(w->overs, 1);
	assert_int_equal(b->outs, 2);
}

/* Who falls behind during a flush waits for the next one. */
static void
t_flush_ends(void **state)
{
	struct sw_got *a = sw_join(w, 1), *b = sw_join(w, 2);
	struct sw_got *c = sw_join(w, 3);

	(void)state;
	sw_pass(w, 10 * US_PER_S);
	w->cost = 4 * US_PER_MS;
	sw_endpoint(w, 9, 100);
	env_run(w->env);			/* two are served */
	assert_int_equal(a->outs + b->outs + c->outs, 5);
	w->cost = 0;
	stream_drained(a->stream);
	stream_drained(b->stream);
	sw_endpoint(w, 9, 101);
	sw_pass(w, 0);
	assert_int_equal(a->outs + b->outs + c->outs, 6);
	sw_pass(w, 1 * US_PER_S);
	assert_int_equal(a->outs + b->outs + c->outs, 8);
}

static void
t_over_closed_before(void **state)
{
	struct sw_got *a = sw_join(w, 1);

	(void)state;
	assert_int_equal(feed_node_del(w->tn, 1), 0);
	sw_batch(w);
	stream_drained(a->stream);
	stream_close(a->stream);
	a->stream = NULL;
	sw_pass(w, 1 * US_PER_S);
	assert_int_equal(w->overs, 0);
}

static void
t_close_within_out(void **state)
{
	struct sw_got *a = sw_join(w, 1), *b = sw_join(w, 2), *c;

	(void)state;
	sw_pass(w, 1 * US_PER_S);
	w->close_in_out = true;
	/* Two messages were due. */
	assert_int_equal(feed_node_del(w->tn, 8), 0);
	sw_endpoint(w, 9, 100);
	c = sw_open(w, 3);
	sw_pass(w, 0);
	assert_int_equal(a->outs, 2);
	assert_int_equal(b->outs, 2);
	assert_int_equal(c->outs, 1);
	assert_null(c->stream);
	c = sw_open(w, 4);
	w->close_in_out = false;
	sw_pass(w, 0);
	stream_drained(c->stream);
	w->close_in_out = true;
	sw_pass(w, 70 * US_PER_S);	/* a keep-alive */
	assert_null(c->stream);
}

/* A clean shutdown of a long wait: work is cut into turns. */
static void
t_turns(void **state)
{
	unsigned int i, n = 0;

	(void)state;
	for (i = 1; i <= 20; i++)
		(void)sw_open(w, i);
	assert_true(tailnets_backlog(w->tn) >= 20 * 100);
	w->cost = 2 * US_PER_MS;
	env_run(w->env);
	for (i = 1; i <= 20; i++)
		n += w->got[i].outs;
	assert_int_equal(n, 3);		/* 5 ms are over */
	for (i = 0; i < 10; i++)
		env_run(w->env);
	for (i = 1, n = 0; i <= 20; i++) {
		n += w->got[i].outs;
		stream_drained(w->got[i].stream);
	}
	assert_int_equal(n, 20);
	assert_int_equal(tailnets_backlog(w->tn), 0);
	sw_endpoint(w, 25, 100);
	assert_true(tailnets_backlog(w->tn) > 0);
	env_run(w->env);
	for (i = 1, n = 0; i <= 20; i++)
		n += w->got[i].outs;
	assert_int_equal(n, 23);
	sw_pass(w, 0);
	for (i = 1, n = 0; i <= 20; i++)
		n += w->got[i].outs;
	w->cost = 0;
	sw_pass(w, 1 * US_PER_S);
	for (i = 1, n = 0; i <= 20; i++)
		n += w->got[i].outs;
	assert_int_equal(n, 40);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(t)	cmocka_unit_test_setup_teardown(t, setup, sw_teardown)
		T(t_at_once_when_idle), T(t_tick_costs), T(t_drained_first),
		T(t_keepalive), T(t_over), T(t_farewell), T(t_flush_ends),
		T(t_over_closed_before), T(t_close_within_out), T(t_turns)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
