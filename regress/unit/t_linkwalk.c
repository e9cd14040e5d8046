/*
 * The message table by what a link does: of all that can be sent to it only
 * the table's cells reach the handler, and all else is the sender's end.
 */

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "regress/lib/linkkit.h"
#include "regress/lib/msg_make.h"

#define NO_FD	1000000		/* a descriptor that is not open */

/*
 * What a process of this role may ask the other, so that it can answer, and
 * in which state.
 */
static enum msg_type
some_request(enum msg_link kind, enum role self, enum role peer,
    enum msg_state *state)
{
	unsigned int type;

	for (type = 1; type < M_MAX; type++) {
		if (msg_class(type) != MSG_REQUEST)
			continue;
		*state = MSG_RUN;
		if (msg_permitted(type, self, peer, kind, MSG_RUN))
			return type;
		*state = MSG_SETUP;
		if (msg_permitted(type, self, peer, kind, MSG_SETUP))
			return type;
	}
	return M_NONE;
}

static void
try_cell(struct lk_world *w, struct link_conf *conf, enum msg_state st,
    unsigned int type, const struct buf *b)
{
	static struct lk_side s;
	const struct msg_row *row = msg_row(type);
	struct buf question;
	struct msg m;
	uint32_t id = row->class == MSG_REQUEST ? 4 : 0;
	enum msg_state when;
	enum msg_type ask;
	unsigned int i;
	bool cell, answer;

	w->lines = 0;
	lk_new_conf(w, &s, conf);
	link_set_state(s.l, st);
	cell = row->link == conf->kind &&
	    (row->from & MSG_ROLE(conf->peer)) != 0 &&
	    (row->to & MSG_ROLE(conf->self)) != 0 && (row->state & st) != 0;
	answer = row->class == MSG_REPLY || row->class == MSG_ROW;
	if (cell && answer) {
		ask = some_request(conf->kind, conf->self, conf->peer, &when);
		assert_int_not_equal(ask, M_NONE);
		question = lk_body(ask);
		assert_int_equal(msg_decode(&m, ask, question.p, question.n),
		    0);
		link_set_state(s.l, when);
		id = link_request(s.l, &m, &type, 0);
		link_set_state(s.l, st);
		buf_free(&question);
	}
	link_input(s.l, type, id, b->p, b->n, row->fd ? NO_FD : -1);
	env_run(w->env);
	if (s.got != cell || link_is_down(s.l) == cell || w->lines == cell ||
	    s.down + w->ends == cell || (s.down != 0 && s.why !=
	    LINK_BAD_TYPE))
		fail_msg("%s %s>%s on %s in %d", row->name,
		    role_name(conf->peer), role_name(conf->self),
		    link_kind_name(conf->kind), (int)st);
	if (s.got != 0) {
		assert_int_equal(s.got_type, type);
		assert_true(s.got_tag == NULL || s.got_tag == &type);
	}
	if (w->lines != 0)
		assert_memory_equal(w->log, "link violation ", 15);
	for (i = 0; i < s.nsent; i++)
		assert_int_equal(s.sent[i].fd, -1);
	lk_free(&s);
	if (w->ends != 0)
		lk_renew(w);
}

static void
walk(void **state)
{
	struct make mk = { .size = MAKE_RANDOM, .seed = 5 };
	struct link_conf conf = { .kind = LINK_DB };
	unsigned int type, from, to, kind, st;

	for (type = 1; type < M_MAX; type++) {
		make_body(&mk, type);
		for (from = 1; from < ROLE_MAX; from++)
			for (to = 1; to < ROLE_MAX; to++)
				for (kind = 1; kind < LINK_MAX; kind++)
					for (st = 1; st <= 2; st++) {
			conf.kind = kind;
			conf.self = to;
			conf.peer = from;
			try_cell(*state, &conf, st, type, &mk.b);
		}
	}
	buf_free(&mk.b);
}

static int
setup(void **state)
{
	*state = lk_world_new();
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(walk, setup, lk_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
