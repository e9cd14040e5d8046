/* Links: requests, answers, rows, credit, and what becomes of them. */

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "regress/lib/linkkit.h"

static struct lk_world *w;

static int
setup(void **state)
{
	*state = w = lk_world_new();
	return 0;
}

static struct msg
map_open(void)
{
	struct msg m;

	msg_init(&m, M_DB_MAP_OPEN);
	return m;
}

static void
answers(void **state)
{
	struct lk_side s;
	struct msg m = map_open();
	int tag[2];
	uint32_t a, b;

	(void)state;
	lk_new(w, &s, LINK_DB, ROLE_WORKER, ROLE_DBD, 0);
	link_set_next_id(s.l, UINT32_MAX);
	a = link_request(s.l, &m, &tag[0], 0);
	b = link_request(s.l, &m, &tag[1], 0);
	assert_int_equal(a, UINT32_MAX);
	assert_int_equal(b, 1);			/* 0 is none */
	assert_int_equal(link_next_id(s.l), 2);
	assert_int_equal(s.nsent, 2);
	assert_int_equal(s.sent[1].id, 1);
	assert_int_equal(s.sent[1].type, M_DB_MAP_OPEN);
	lk_input(&s, M_DB_MAP_OK, b, -1);
	assert_int_equal(s.got, 1);
	assert_int_equal(s.got_id, b);
	assert_ptr_equal(s.got_tag, &tag[1]);
	lk_input(&s, M_DB_MAP_NO, a, -1);
	assert_ptr_equal(s.got_tag, &tag[0]);
	lk_input(&s, M_DB_ONLINE, 0, -1);
	assert_null(s.got_tag);
	assert_int_equal(s.got, 3);
	/* An id that is still open is passed over. */
	link_set_next_id(s.l, 5);
	a = link_request(s.l, &m, NULL, 0);
	link_set_next_id(s.l, 5);
	b = link_request(s.l, &m, NULL, 0);
	assert_int_equal(a, 5);
	assert_int_equal(b, 6);
	lk_input(&s, M_DB_MAP_OK, a, -1);
	assert_int_equal(s.got, 4);
	lk_input(&s, M_DB_MAP_OK, a, -1);		/* answered twice */
	assert_int_equal(s.got, 4);
	lk_ended(&s);
	lk_free(&s);
}

static void
rows(void **state)
{
	struct lk_side s;
	struct msg m;
	int tag;
	uint32_t id;

	(void)state;
	lk_new(w, &s, LINK_CTL, ROLE_CTL, ROLE_DBD, 0);
	msg_init(&m, M_CTL_USER_LIST);
	id = link_request(s.l, &m, &tag, 0);
	lk_input(&s, M_CTL_USER, id, -1);
	assert_ptr_equal(s.got_tag, &tag);
	lk_input(&s, M_CTL_USER, id, -1);
	lk_input(&s, M_CTL_END, id, -1);
	assert_int_equal(s.got, 3);
	assert_ptr_equal(s.got_tag, &tag);
	lk_free(&s);
}

/* The other side of requests: ids, what is owed, rows and the reply. */
static void
serves(void **state)
{
	struct lk_side s;
	struct msg m;

	(void)state;
	lk_new(w, &s, LINK_CTL, ROLE_DBD, ROLE_CTL, 0);
	lk_input(&s, M_CTL_USER_LIST, 9, -1);
	assert_int_equal(s.got_id, 9);
	assert_int_equal(link_owed(s.l), 1);
	msg_init(&m, M_CTL_USER);
	m.id = 9;
	m.u.ctl_user.user.name = slice_str("anna");
	link_send(s.l, &m);
	assert_int_equal(link_owed(s.l), 1);
	msg_init(&m, M_CTL_END);
	m.id = 9;
	link_reply(s.l, &m);
	assert_int_equal(link_owed(s.l), 0);
	assert_int_equal(s.nsent, 2);
	assert_int_equal(s.sent[0].type, M_CTL_USER);
	assert_int_equal(s.sent[0].id, 9);
	assert_int_equal(s.sent[1].type, M_CTL_END);
	assert_int_equal(s.sent[1].id, 9);
	/* Credit came back with the reply, and the id may be used again. */
	lk_input(&s, M_CTL_USER_LIST, 9, -1);
	assert_int_equal(link_owed(s.l), 1);
	assert_false(link_is_down(s.l));
	lk_free(&s);
}

static void
waits_for_credit(void **state)
{
	struct lk_side s;
	struct msg m, lite, note;
	unsigned int i, credit = msg_credit(M_DB_REG);
	uint32_t id[600];

	(void)state;
	lk_new(w, &s, LINK_DB, ROLE_WORKER, ROLE_DBD, 0);
	msg_init(&m, M_DB_REG);
	msg_init(&lite, M_DB_MAP_LITE);
	msg_init(&note, M_DB_LEAVE);
	for (i = 0; i < credit + 3; i++)
		id[i] = link_request(s.l, &m, NULL, 0);
	assert_int_equal(s.nsent, credit);
	assert_int_equal(link_waiting(s.l), 3);
	assert_true(link_queued(s.l) > s.queued);
	(void)link_request(s.l, &lite, NULL, 0);	/* its own credit */
	assert_int_equal(s.nsent, credit + 1);
	link_forget(s.l, id[credit + 1]);	/* never sent */
	assert_int_equal(link_waiting(s.l), 2);
	lk_input(&s, M_DB_REG_NO, id[7], -1);
	assert_int_equal(link_waiting(s.l), 1);
	assert_int_equal(s.sent[s.nsent - 1].id, id[credit]);
	lk_input(&s, M_DB_REG_NO, id[0], -1);
	assert_int_equal(link_waiting(s.l), 0);
	assert_int_equal(s.sent[s.nsent - 1].id, id[credit + 2]);
	assert_int_equal(link_queued(s.l), s.queued);
	assert_int_equal(s.nsent, credit + 3);
	lk_free(&s);
}

/* What the socket took, whatever was queued meanwhile. */
static void
taken(void **state)
{
	struct lk_side s;
	struct msg note;
	size_t one, i;

	(void)state;
	lk_new(w, &s, LINK_DB, ROLE_WORKER, ROLE_DBD, 0);
	msg_init(&note, M_DB_LEAVE);
	assert_int_equal(link_taken(s.l), 0);
	link_send(s.l, &note);
	one = s.queued;
	assert_true(one > 3);
	link_send(s.l, &note);
	assert_int_equal(s.queued, 2 * one);
	assert_int_equal(link_taken(s.l), 0);
	s.queued -= 3;
	assert_int_equal(link_taken(s.l), 3);
	for (i = 0; i < 10; i++)
		link_send(s.l, &note);
	assert_int_equal(link_taken(s.l), 3);
	s.queued = 0;
	assert_int_equal(link_taken(s.l), 12 * one);
	link_send(s.l, &note);
	assert_int_equal(link_taken(s.l), 12 * one);
	lk_free(&s);
}

static void
deadlines(void **state)
{
	struct lk_side s;
	struct msg m = map_open();
	uint32_t a, b;

	(void)state;
	lk_new(w, &s, LINK_DB, ROLE_WORKER, ROLE_DBD, 0);
	a = link_request(s.l, &m, NULL, 5000);
	b = link_request(s.l, &m, NULL, 2000);
	(void)link_request(s.l, &m, NULL, 0);
	assert_true(env_next(w->env) == 3000);
	assert_int_equal(env_timers(w->env), 1);	/* one for the link */
	w->now = 2999;
	env_run(w->env);
	lk_input(&s, M_DB_MAP_OK, b, -1);
	assert_true(env_next(w->env) == 6000);
	link_forget(s.l, a);			/* the answer is still due */
	w->now = 5999;
	env_run(w->env);
	assert_false(link_is_down(s.l));
	w->now = 6000;
	env_run(w->env);
	assert_non_null(strstr(w->log, "message=DB_MAP_OPEN"));
	lk_went(&s, LINK_DEADLINE);
	assert_int_equal(w->ends, 0);
	assert_int_equal(s.orphans, 1);
	lk_free(&s);
}

static void
forgets(void **state)
{
	struct lk_side s;
	struct msg m = map_open();
	uint32_t a;

	(void)state;
	lk_new(w, &s, LINK_DB, ROLE_WORKER, ROLE_DBD, 0);
	a = link_request(s.l, &m, &m, 0);
	link_forget(s.l, a);
	link_forget(s.l, 12345);
	lk_input(&s, M_DB_MAP_OK, a, -1);
	assert_int_equal(s.got, 0);
	assert_false(link_is_down(s.l));
	lk_input(&s, M_DB_MAP_OK, a, -1);
	lk_ended(&s);
	lk_free(&s);
}

static void
orphans(void **state)
{
	struct lk_side s, t;
	struct msg m = map_open();
	int tag[3];
	uint32_t id[3], next;
	unsigned int i;

	(void)state;
	lk_new(w, &s, LINK_DB, ROLE_WORKER, ROLE_DBD, 0);
	link_set_next_id(s.l, 100);
	for (i = 0; i < 3; i++)
		id[i] = link_request(s.l, &m, &tag[i], 0);
	link_forget(s.l, id[1]);
	link_eof(s.l);
	link_eof(s.l);
	lk_went(&s, LINK_EOF);
	assert_int_equal(w->lines, 0);
	assert_int_equal(s.orphans, 2);
	assert_int_equal(s.orphan_id[0], 100);
	assert_ptr_equal(s.orphan_tag[0], &tag[0]);
	assert_int_equal(s.orphan_id[1], 102);
	assert_ptr_equal(s.orphan_tag[1], &tag[2]);
	next = link_next_id(s.l);

	/* On the link that follows they go out under their old ids. */
	lk_new(w, &t, LINK_DB, ROLE_WORKER, ROLE_DBD, 0);
	link_set_next_id(t.l, next);
	link_request_again(t.l, &m, s.orphan_id[0], s.orphan_tag[0]);
	link_request_again(t.l, &m, s.orphan_id[1], s.orphan_tag[1]);
	assert_int_equal(t.sent[0].id, 100);
	assert_int_equal(t.sent[1].id, 102);
	assert_int_equal(link_request(t.l, &m, NULL, 0), 103);
	lk_input(&t, M_DB_MAP_OK, 102, -1);
	assert_ptr_equal(t.got_tag, &tag[2]);
	lk_free(&s);
	lk_free(&t);
}

/* A request made after the end is an orphan at once. */
static void
request_when_down(void **state)
{
	struct lk_side s;
	struct msg m = map_open();

	(void)state;
	lk_new(w, &s, LINK_DB, ROLE_WORKER, ROLE_DBD, 0);
	link_eof(s.l);
	assert_int_not_equal(link_request(s.l, &m, &m, 1000), 0);
	assert_int_equal(s.nsent, 0);
	lk_went(&s, LINK_EOF);
	assert_int_equal(s.orphans, 1);
	assert_int_equal(env_timers(w->env), 0);
	lk_free(&s);
}

static void
free_it(struct lk_side *s, const struct msg *m)
{
	struct link *l = s->l;

	s->l = NULL;
	link_free(l);
	link_free(l);		/* still there until the handler is back */
	assert_true(link_is_down(l));
	/* The message outlives its link until the handler returns. */
	assert_int_equal(m->type, M_DB_MAP_OK);
}

static void
break_it(struct lk_side *s, const struct msg *m)
{
	(void)m;
	link_violation(s->l, LINK_FORGED);
	assert_int_equal(s->down, 0);
}

static void
freed_by_handlers(void **state)
{
	struct lk_side s;
	struct msg m = map_open();
	uint32_t id;

	(void)state;
	lk_new(w, &s, LINK_DB, ROLE_WORKER, ROLE_DBD, 0);
	id = link_request(s.l, &m, NULL, 1000);
	(void)link_request(s.l, &m, NULL, 1000);
	s.handler = free_it;
	lk_input(&s, M_DB_MAP_OK, id, -1);
	assert_null(s.l);
	assert_int_equal(s.closed, 1);
	env_run(w->env);
	assert_int_equal(s.down, 0);
	buf_free(&s.last);

	lk_new(w, &s, LINK_DB, ROLE_DBD, ROLE_WORKER, 0);
	s.handler = break_it;
	s.free_on_down = true;
	lk_input(&s, M_DB_MAP_CLOSE, 0, -1);
	assert_non_null(strstr(w->log, "message=DB_MAP_CLOSE"));
	assert_non_null(strstr(w->log, "ticket forged"));
	env_run(w->env);
	assert_int_equal(s.down, 1);
	assert_null(s.l);
	assert_int_equal(s.closed, 1);
	buf_free(&s.last);

	/* Freed between going down and being told: never told. */
	lk_new(w, &s, LINK_DB, ROLE_DBD, ROLE_WORKER, 0);
	link_eof(s.l);
	assert_int_equal(env_timers(w->env), 1);
	lk_free(&s);
	assert_int_equal(s.down, 0);
	link_free(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f)	cmocka_unit_test_setup_teardown(f, setup, lk_teardown)
		T(answers), T(rows), T(serves), T(waits_for_credit), T(taken),
		T(deadlines), T(forgets), T(orphans), T(request_when_down),
		T(freed_by_handlers)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
