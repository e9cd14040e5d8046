/*
 * Lite updates that dbd has no room for: the worker keeps the newest of each
 * session until there is, in nobody's way (t_lite_many.c is dbd's side).
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/ids.h"
#include "regress/lib/ctlworld.h"
#include "worker/control/control_int.h"

static const char *
body(const char *more)
{
	static char text[2048];

	(void)snprintf(text, sizeof(text), "{\"Version\":148,"
	    "\"Compress\":\"zstd\",\"NodeKey\":\"nodekey:%064d\","
	    "\"DiscoKey\":\"discokey:%064d\"%s}", 7, 8, more);
	return text;
}

/* A lite update with so many endpoints. */
static struct cw_ask *
lite(struct wire *x, unsigned int n)
{
	char more[256] = ",\"OmitPeers\":true,\"Endpoints\":[";
	size_t at = strlen(more);
	unsigned int i;

	for (i = 0; i < n; i++)
		at += (size_t)snprintf(more + at, sizeof(more) - at,
		    "%s\"1.1.1.1:%u\"", i == 0 ? "" : ",", 1 + i);
	(void)snprintf(more + at, sizeof(more) - at, "]");
	return cw_ask(x, "POST", "/machine/map", body(more));
}

static const struct msg *
got(struct ctlworld *w, size_t k)
{
	const struct msg *m = cw_got(w, M_DB_MAP_LITE, k);

	assert_non_null(m);
	return m;
}

/* The k-th that came has so many endpoints. */
static void
is_said(struct ctlworld *w, size_t k, unsigned int n)
{
	assert_int_equal(got(w, k)->u.db_map_lite.endpoints.count, n);
	assert_int_equal(cw_count(w, M_DB_MAP_LITE), k + 1);
}

static void
say_ok(struct ctlworld *w, size_t k)
{
	struct msg m;

	msg_init(&m, M_DB_LITE_OK);
	m.u.db_lite_ok.changed = true;
	cw_say(w, &m, got(w, k));
}

static void
say_later(struct ctlworld *w, size_t k)
{
	struct msg m;

	msg_init(&m, M_DB_LITE_NO);
	m.u.db_lite_no.status = LITE_LATER;
	m.u.db_lite_no.text = slice_str("too many wait");
	cw_say(w, &m, got(w, k));
}

/* It is sent again once another is answered; its session goes on. */
static void
t_kept(void **state)
{
	struct ctlworld *w = *state;
	struct wire *x = cw_client(w, 3, 148), *y = cw_client(w, 4, 148);
	struct cw_ask *a, *b;
	struct msg no;

	a = lite(x, 3);
	b = lite(y, 1);
	say_later(w, 0);
	assert_int_equal(a->status, 0);
	assert_int_equal(cw_count(w, M_DB_MAP_LITE), 2);
	/* As if nothing waited. */
	(void)cw_ask(x, "POST", "/machine/map", body(",\"Stream\":true"));
	assert_int_equal(cw_count(w, M_DB_MAP_OPEN), 1);
	msg_init(&no, M_DB_MAP_NO);
	no.u.db_map_no.status = 403;
	no.u.db_map_no.text = slice_str("no");
	cw_say(w, &no, cw_got(w, M_DB_MAP_OPEN, 0));
	assert_int_equal(cw_count(w, M_DB_MAP_LITE), 2);
	say_ok(w, 1);
	assert_int_equal(b->status, 200);
	is_said(w, 2, 3);
	assert_int_equal(got(w, 2)->u.db_map_lite.h2, a->id);
	assert_false(got(w, 2)->u.db_map_lite.again);
	assert_int_equal(a->status, 0);
	say_ok(w, 2);
	assert_int_equal(a->status, 200);
	assert_true(TAILQ_EMPTY(&w->c->later));
}

/* A newer one of the session takes its place, and is not sent for that. */
static void
t_newest(void **state)
{
	struct ctlworld *w = *state;
	struct wire *x = cw_client(w, 3, 148), *y = cw_client(w, 4, 148);
	struct wire *z = cw_client(w, 5, 148);
	struct cw_ask *a[3], *b;

	a[0] = lite(x, 3);
	b = lite(y, 5);
	(void)lite(z, 1);
	say_later(w, 0);
	say_later(w, 1);
	a[1] = lite(x, 4);
	assert_int_equal(a[0]->status, 200);
	a[2] = lite(x, 2);
	assert_int_equal(a[1]->status, 200);
	assert_int_equal(a[2]->status, 0);
	assert_int_equal(cw_count(w, M_DB_MAP_LITE), 3);
	assert_int_equal(w->c->ntasks, 3);
	/* One for each answer, in their order: x has waited longest. */
	say_ok(w, 2);
	is_said(w, 3, 2);
	say_later(w, 3);
	assert_int_equal(cw_count(w, M_DB_MAP_LITE), 4);
	(void)lite(z, 1);
	say_ok(w, 4);
	is_said(w, 5, 5);
	say_ok(w, 5);
	assert_int_equal(b->status, 200);
	is_said(w, 6, 2);
	say_ok(w, 6);
	assert_int_equal(a[2]->status, 200);
	assert_int_equal(w->c->ntasks, 0);
}

/* Whatever order the refusals come in, the newer stays. */
static void
t_order(void **state)
{
	struct ctlworld *w = *state;
	struct wire *x = cw_client(w, 3, 148), *y = cw_client(w, 4, 148);
	struct cw_ask *a[2];

	a[0] = lite(x, 3);
	a[1] = lite(x, 2);
	(void)lite(y, 1);
	assert_int_equal(cw_count(w, M_DB_MAP_LITE), 3);
	say_later(w, 1);
	assert_int_equal(a[0]->status, 0);
	say_later(w, 0);
	assert_int_equal(a[0]->status, 200);
	assert_int_equal(a[1]->status, 0);
	say_ok(w, 2);
	is_said(w, 3, 2);
	say_ok(w, 3);
	assert_int_equal(a[1]->status, 200);
}

/* Who takes it back has said nothing. */
static void
t_gone(void **state)
{
	struct ctlworld *w = *state;
	struct wire *x = cw_client(w, 3, 148), *y = cw_client(w, 4, 148);
	struct cw_ask *a;

	a = lite(x, 3);
	(void)lite(y, 1);
	say_later(w, 0);
	cw_cancel(a);
	assert_int_equal(w->c->ntasks, 1);
	say_ok(w, 1);
	assert_int_equal(cw_count(w, M_DB_MAP_LITE), 2);
	assert_int_equal(w->c->ntasks, 0);
	/* The same while it is with dbd. */
	a = lite(x, 3);
	cw_cancel(a);
	say_later(w, 2);
	assert_int_equal(w->c->ntasks, 0);
	assert_true(TAILQ_EMPTY(&w->c->later));
}

/* A new dbd has room, as far as one knows. */
static void
t_new_dbd(void **state)
{
	struct ctlworld *w = *state;
	struct wire *x = cw_client(w, 3, 148), *y = cw_client(w, 4, 148);
	struct cw_ask *a, *b;

	a = lite(x, 3);
	b = lite(y, 2);
	say_later(w, 0);
	say_later(w, 1);
	ctlworld_db(w, false);
	ctlworld_db(w, true);
	ctlworld_run(w);
	assert_int_equal(cw_count(w, M_DB_MAP_LITE), 4);
	say_ok(w, 2);
	say_ok(w, 3);
	assert_int_equal(a->status, 200);
	assert_int_equal(b->status, 200);
}

int
main(void)
{
#define T(f)	cmocka_unit_test_setup_teardown(f, ctlworld_setup, \
		    ctlworld_teardown)
	const struct CMUnitTest tests[] = {
		T(t_kept), T(t_newest), T(t_order), T(t_gone), T(t_new_dbd)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
