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

#include "common/link.h"
#include "common/log.h"
#include "common/msg_int.h"
#include "regress/lib/msg_make.h"

#define NO_FD	1000000		/* a descriptor that is not open */

static struct env *env;
static unsigned int got, down, ends, lines;
static enum link_why why;

static uint64_t
w_now(void *arg)
{
	(void)arg;
	return 1;
}

static int64_t
w_wall(void *arg)
{
	(void)arg;
	return 1;
}

static void
w_random(void *arg, void *p, size_t n)
{
	(void)arg;
	memset(p, 4, n);
}

static void
w_end(void *arg, int code, const char *text)
{
	(void)arg;
	(void)text;
	assert_int_equal(code, 1);
	ends++;
}

static const struct env_ops ops = { w_now, w_wall, w_random, w_end };

static void
io_send(void *arg, uint32_t type, uint32_t id, const void *p, size_t n, int fd)
{
	(void)arg;
	(void)type;
	(void)id;
	(void)p;
	(void)n;
	assert_int_equal(fd, -1);
}

static size_t
io_queued(void *arg)
{
	(void)arg;
	return 0;
}

static void
io_close(void *arg)
{
	(void)arg;
}

static const struct link_io io = { io_send, io_queued, io_close };

static void
on_log(int level, const char *line, void *arg)
{
	(void)level;
	(void)arg;
	assert_memory_equal(line, "link violation ", 15);
	lines++;
}

static void
on_msg(struct link *l, const struct msg *m, void *tag, void *arg)
{
	(void)l;
	assert_int_equal(m->type, *(unsigned int *)arg);
	assert_true(tag == NULL || tag == arg);
	got++;
}

static void
on_down(struct link *l, enum link_why w, void *arg)
{
	(void)l;
	(void)arg;
	down++;
	why = w;
}

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
try_cell(struct link_conf *conf, enum msg_state st, unsigned int type,
    const struct buf *b)
{
	const struct msg_row *row = msg_row(type);
	struct make mk = { .size = MAKE_RANDOM, .seed = 3 };
	struct link *l;
	struct msg m;
	uint32_t id = row->class == MSG_REQUEST ? 4 : 0;
	enum msg_state when;
	enum msg_type ask;
	bool cell, answer;

	got = down = ends = lines = 0;
	conf->arg = &type;
	l = link_new(env, conf, &io, NULL);
	link_set_state(l, st);
	cell = row->link == conf->kind &&
	    (row->from & MSG_ROLE(conf->peer)) != 0 &&
	    (row->to & MSG_ROLE(conf->self)) != 0 && (row->state & st) != 0;
	answer = row->class == MSG_REPLY || row->class == MSG_ROW;
	if (cell && answer) {
		ask = some_request(conf->kind, conf->self, conf->peer, &when);
		assert_int_not_equal(ask, M_NONE);
		make_body(&mk, ask);
		assert_int_equal(msg_decode(&m, ask, mk.b.p, mk.b.n), 0);
		link_set_state(l, when);
		id = link_request(l, &m, &type, 0);
		link_set_state(l, st);
		buf_free(&mk.b);
	}
	link_input(l, type, id, b->p, b->n, row->fd ? NO_FD : -1);
	env_run(env);
	if (got != cell || link_is_down(l) == cell || lines == cell ||
	    down + ends == cell || (down != 0 && why != LINK_BAD_TYPE))
		fail_msg("%s %s>%s on %s in %d", row->name,
		    role_name(conf->peer), role_name(conf->self),
		    link_kind_name(conf->kind), (int)st);
	link_free(l);
	if (ends != 0) {
		env_free(env);
		env = env_new(&ops, NULL);
	}
}

static void
walk(void **state)
{
	struct make mk = { .size = MAKE_RANDOM, .seed = 5 };
	struct link_conf conf = { .on_msg = on_msg, .on_down = on_down };
	unsigned int type, from, to, kind, st;

	(void)state;
	for (type = 1; type < M_MAX; type++) {
		make_body(&mk, type);
		for (from = 1; from < ROLE_MAX; from++)
			for (to = 1; to < ROLE_MAX; to++)
				for (kind = 1; kind < LINK_MAX; kind++)
					for (st = 1; st <= 2; st++) {
			conf.kind = kind;
			conf.self = to;
			conf.peer = from;
			try_cell(&conf, st, type, &mk.b);
		}
	}
	buf_free(&mk.b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(walk),
	};
	int rc;

	env = env_new(&ops, NULL);
	log_capture(on_log, NULL);
	rc = cmocka_run_group_tests(tests, NULL, NULL);
	log_capture(NULL, NULL);
	env_free(env);
	return rc;
}
