/* DERP maps from URLs, as dbd fetches, keeps and hands them out. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "regress/lib/dbdask.h"
#include "regress/lib/edgekit.h"

#define URL1	"https://a.example/derp.json"
#define URL2	"https://b.example/derp.json"
#define HOUR	3600

static struct dbdworld *w;
static struct dbdworker *k, *k2;
static struct edge *e;
static struct buf urls;

static void
set_urls(const char *a, const char *b)
{
	struct msg_list *l = &dw_conf(w)->derp_urls;
	struct r_text t;

	memset(l, 0, sizeof(*l));
	buf_clear(&urls);
	if (a != NULL) {
		t.v = slice_str(a);
		msg_list_add(l, &urls, MR_TEXT, &t);
	}
	if (b != NULL) {
		t.v = slice_str(b);
		msg_list_add(l, &urls, MR_TEXT, &t);
	}
	msg_list_close(l, &urls);
	dw_conf(w)->derp_update_s = 3 * HOUR;
	dw_reconf(w);
	edge_run(e);
}

static int
setup(void **state)
{
	const char *key;
	uint64_t alice;

	*state = w = ask_world(&k, &k2, &alice, &key);
	e = edge_new(w);
	return 0;
}

static int
teardown(void **state)
{
	edge_free(e);
	buf_free(&urls);
	memset(&urls, 0, sizeof(urls));
	return ask_teardown(state);
}

/* The next request, which is for this URL. */
static uint32_t
asked(const char *url)
{
	const struct msg *m = edge_take(e, EDGE_OUT, M_OUT_GET);

	if (m == NULL)
		fail_msg("%s is not asked for", url);
	assert_true(slice_eqs(m->u.out_get.url, url));
	assert_int_equal(m->u.out_get.max, FETCHED_MAX);
	return m->id;
}

/* The same, within so many seconds: it is answered before it is late. */
static uint32_t
asked_within(const char *url, unsigned int s)
{
	const struct msg *m;

	while ((m = edge_take(e, EDGE_OUT, M_OUT_GET)) == NULL && s-- > 0)
		edge_pass(e, US_PER_S);
	if (m == NULL)
		fail_msg("%s is not asked for", url);
	assert_true(slice_eqs(m->u.out_get.url, url));
	return m->id;
}

static void
expect_calm(void)
{
	assert_null(edge_take(e, EDGE_OUT, M_OUT_GET));
}

static void
row(uint32_t id, const void *p, size_t n)
{
	struct msg m;

	msg_init(&m, M_OUT_BODY);
	m.id = id;
	m.u.out_body.octets = slice_mem(p, n);
	edge_send(e, EDGE_OUT, &m);
}

static void
got(uint32_t id, size_t n)
{
	struct msg m;

	msg_init(&m, M_OUT_GOT);
	m.id = id;
	m.u.out_got.size = (uint32_t)n;
	edge_send(e, EDGE_OUT, &m);
}

static void
give(uint32_t id, const char *body)
{
	row(id, body, strlen(body));
	got(id, strlen(body));
}

static void
fails(uint32_t id)
{
	struct msg m;

	msg_init(&m, M_OUT_FAILED);
	m.id = id;
	m.u.out_failed.status = 500;
	m.u.out_failed.text = slice_str("HTTP 500");
	edge_send(e, EDGE_OUT, &m);
}

static void
say(struct dbdworker *who, uint32_t round, uint16_t source, bool ok)
{
	struct msg m;

	msg_init(&m, M_DB_DERPMAP_SAID);
	m.u.db_derpmap_said.round = round;
	m.u.db_derpmap_said.source = source;
	m.u.db_derpmap_said.ok = ok;
	(void)dw_send(who, &m);
	edge_run(e);
}

/* The last maps that it was told of, as text; and their round. */
static const char *
told(struct dbdworker *who, uint32_t *round)
{
	static char text[4096];
	const struct m_db_derpmap_part *p;
	const struct msg *m;
	unsigned int i;
	size_t n = 0;

	text[0] = '\0';
	for (i = 0; (m = dw_got(who, M_DB_DERPMAP_PART, i)) != NULL; i++) {
		p = &m->u.db_derpmap_part;
		if (round != NULL)
			*round = p->round;
		if (p->source == 0 && p->at == 0)
			n = 0;
		n += (size_t)snprintf(text + n, sizeof(text) - n,
		    "%u/%u %.*s %u:%.*s;", p->source, p->sources,
		    SLICE_FMT(p->url), p->size, (int)(p->octets.n < 40 ?
		    p->octets.n : 40), p->octets.p);
	}
	return text;
}

static int
count(const struct fetched_row *r, void *arg)
{
	(void)snprintf(arg, 200, "%.*s=%.*s", SLICE_FMT(r->url),
	    SLICE_FMT(r->body));
	return 0;
}

static const char *
stored(void)
{
	static char text[200];

	text[0] = '\0';
	assert_int_equal(store_load_fetched(dw_store(w), count, text), 0);
	return text;
}

/* Fetch is there, and it is time to ask for URL1. */
static void
begin(void)
{
	edge_up(e, EDGE_OUT);
	set_urls(URL1, NULL);
	edge_pass(e, US_PER_S);
}

/* The same, and its map {1} is one that a worker can read. */
static void
kept(void)
{
	uint32_t round;

	begin();
	give(asked(URL1), "{1}");
	(void)told(k, &round);
	say(k, round, 0, true);
}

/* Asked, given to both, stored once one of them has read it. */
static void
t_way(void **state)
{
	uint32_t round;

	(void)state;
	set_urls(URL1, NULL);
	expect_calm();		/* nobody to ask */
	assert_string_equal(told(k, NULL), "0/1 " URL1 " 0:;");
	edge_up(e, EDGE_OUT);
	edge_pass(e, US_PER_S);
	dw_forget(k);
	dw_forget(k2);
	give(asked(URL1), "{1}");
	assert_string_equal(told(k, &round), "0/1 " URL1 " 3:{1};");
	assert_string_equal(told(k2, NULL), "0/1 " URL1 " 3:{1};");
	assert_string_equal(stored(), "");
	say(k2, round, 0, true);
	assert_string_equal(stored(), URL1 "={1}");
	/* The other's word changes nothing any more. */
	say(k, round, 0, false);
	assert_string_equal(stored(), URL1 "={1}");
	assert_int_equal(dw_counts(w)->fetches, 1);
	assert_int_equal(dw_counts(w)->fetches_failed, 0);
}

/* Every three hours, give or take a tenth; the same is not sent again. */
static void
t_again(void **state)
{
	(void)state;
	kept();
	dw_forget(k);
	edge_pass(e, (uint64_t)(2.69 * HOUR) * US_PER_S);
	expect_calm();
	give(asked_within(URL1, (unsigned int)(0.62 * HOUR)), "{1}");
	expect_calm();
	assert_int_equal(dw_count(k, M_DB_DERPMAP_PART), 0);
	give(asked_within(URL1, (unsigned int)(3.31 * HOUR)), "{2}");
	assert_string_equal(told(k, NULL), "0/1 " URL1 " 3:{2};");
}

/* 30 s, a minute, ..., an hour; then well again. */
static void
t_backoff(void **state)
{
	uint64_t wait = 30;
	uint32_t id;
	int i;

	(void)state;
	begin();
	id = asked(URL1);
	for (i = 0; i < 9; i++) {
		fails(id);
		edge_pass(e, (wait * 89 / 100 - 1) * US_PER_S);
		expect_calm();
		id = asked_within(URL1, (unsigned int)(wait * 22 / 100 + 3));
		wait = 2 * wait < HOUR ? 2 * wait : HOUR;
	}
	assert_int_equal(dw_counts(w)->fetches_failed, 9);
	give(id, "{1}");
	edge_pass(e, 2 * HOUR * US_PER_S);
	expect_calm();
}

/* What no worker can read is not kept, and asked for again soon. */
static void
t_bad_map(void **state)
{
	uint32_t round;

	(void)state;
	kept();
	give(asked_within(URL1, (unsigned int)(3.31 * HOUR)), "[]");
	assert_string_equal(told(k, &round), "0/1 " URL1 " 2:[];");
	/* Words about what was before, and about no source at all. */
	say(k, round - 1, 0, true);
	say(k, round, 7, true);
	assert_string_equal(stored(), URL1 "={1}");
	say(k, round, 0, false);
	assert_string_equal(stored(), URL1 "={1}");
	edge_pass(e, 40 * US_PER_S);
	give(asked(URL1), "[]");
	(void)told(k, &round);
	say(k, round, 0, false);
	edge_pass(e, 40 * US_PER_S);
	expect_calm();		/* a minute, this time */
	edge_pass(e, 30 * US_PER_S);
	give(asked(URL1), "{1}");
	dw_forget(k);
	/* Whoever comes now gets the good one. */
	dw_kill(k2);
	k2 = dw_worker(w, 2, 9);
	assert_string_equal(told(k2, NULL), "0/1 " URL1 " 3:{1};");
	say(k, UINT32_MAX, 0, true);
	assert_true(dw_blamed(k, LINK_FORGED));
}

/* After a restart the stored ones are there at once. */
static void
t_restart(void **state)
{
	uint32_t round;

	(void)state;
	edge_up(e, EDGE_OUT);
	set_urls(URL1, URL2);
	edge_pass(e, 2 * US_PER_S);
	give(asked(URL1), "{1}");
	(void)told(k, &round);
	say(k, round, 0, true);
	give(asked(URL2), "{2}");
	(void)told(k, &round);
	/* This one nobody has judged. */
	edge_restart(e, false);
	dw_reconnect(k);
	dw_forget(k);
	dw_hello(k);
	assert_string_equal(told(k, NULL), "0/2 " URL1 " 3:{1};1/2 " URL2
	    " 0:;");
	edge_up(e, EDGE_OUT);
	edge_pass(e, 2 * US_PER_S);
	give(asked(URL1), "{1}");
	give(asked(URL2), "{2}");
	assert_string_equal(told(k, NULL), "0/2 " URL1 " 3:{1};1/2 " URL2
	    " 3:{2};");
}

/* A URL that was taken out while we were down: its map is not kept. */
static void
t_taken_out(void **state)
{
	(void)state;
	kept();
	assert_string_equal(stored(), URL1 "={1}");
	memset(&dw_conf(w)->derp_urls, 0, sizeof(dw_conf(w)->derp_urls));
	edge_restart(e, true);
	edge_pass(e, 2 * US_PER_S);
	assert_string_equal(stored(), "");
}

/* Fetch dies: asked again, nothing is lost; one that hangs is cut. */
static void
t_fetch_dies(void **state)
{
	uint32_t id;

	(void)state;
	begin();
	id = asked(URL1);
	row(id, "{", 1);
	edge_down(e, EDGE_OUT);
	edge_pass(e, 60 * US_PER_S);
	edge_up(e, EDGE_OUT);
	edge_pass(e, US_PER_S);
	give(asked(URL1), "{1}");
	assert_string_equal(told(k, NULL), "0/1 " URL1 " 3:{1};");
	edge_pass(e, (uint64_t)(3.31 * HOUR) * US_PER_S);
	/* It was asked, and did not answer. */
	assert_true(edge_is_cut(e, EDGE_OUT));
	edge_up(e, EDGE_OUT);
	edge_pass(e, 70 * US_PER_S);
	(void)asked(URL1);
}

/* More than was asked for, another size, an answer to nothing. */
static void
t_lies(void **state)
{
	static char large[60000];
	uint32_t id;
	int i;

	(void)state;
	memset(large, ' ', sizeof(large));
	begin();
	id = asked(URL1);
	for (i = 0; i < 17; i++)
		row(id, large, sizeof(large));
	assert_false(edge_is_cut(e, EDGE_OUT));
	row(id, large, sizeof(large));
	assert_true(edge_is_cut(e, EDGE_OUT));
	edge_up(e, EDGE_OUT);
	edge_pass(e, 40 * US_PER_S);
	id = asked(URL1);
	row(id, "{}", 2);
	got(id, 3);
	assert_true(edge_is_cut(e, EDGE_OUT));
	edge_up(e, EDGE_OUT);
	edge_pass(e, 80 * US_PER_S);
	id = asked(URL1);
	got(id, 0);
	assert_true(edge_is_cut(e, EDGE_OUT));
}

/* Other URLs: what stays keeps its map, what goes is forgotten. */
static void
t_reload(void **state)
{
	(void)state;
	kept();
	set_urls(URL2, URL1);
	assert_string_equal(told(k, NULL), "0/2 " URL2 " 0:;1/2 " URL1
	    " 3:{1};");
	/* fetch may hear of the reload after dbd. */
	assert_null(edge_take(e, EDGE_OUT, M_OUT_GET));
	edge_pass(e, US_PER_S + US_PER_S / 2);
	(void)asked(URL2);
	expect_calm();
	/* In the middle of a question. */
	set_urls(NULL, NULL);
	assert_string_equal(told(k, NULL), "0/0  0:;");
	assert_string_equal(stored(), "");
	set_urls(URL1, URL1);
	assert_string_equal(told(k, NULL), "0/1 " URL1 " 0:;");
}

/* In parts, in order. */
static void
t_parts(void **state)
{
	static char large[60000];
	const struct m_db_derpmap_part *p;
	uint32_t id;
	unsigned int i;

	(void)state;
	memset(large, 'x', sizeof(large));
	begin();
	dw_forget(k);
	id = asked(URL1);
	row(id, large, sizeof(large));
	row(id, large, 1000);
	row(id, large, sizeof(large));
	got(id, 121000);
	assert_int_equal(dw_count(k, M_DB_DERPMAP_PART), 3);
	for (i = 0; i < 3; i++) {
		p = &dw_got(k, M_DB_DERPMAP_PART, i)->u.db_derpmap_part;
		assert_int_equal(p->at, i * 60000);
		assert_int_equal(p->size, 121000);
		assert_int_equal(p->octets.n, i < 2 ? 60000 : 1000);
	}
}

#define T(t)	cmocka_unit_test_setup_teardown(t, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(t_way), T(t_again), T(t_backoff), T(t_bad_map),
		T(t_restart), T(t_taken_out), T(t_fetch_dies), T(t_lies),
		T(t_reload), T(t_parts)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
