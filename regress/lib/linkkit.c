#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/log.h"
#include "regress/lib/linkkit.h"
#include "regress/lib/msg_make.h"

static uint64_t
w_now(void *arg)
{
	return ((struct lk_world *)arg)->now;
}

static int64_t
w_wall(void *arg)
{
	(void)arg;
	return 0;
}

static void
w_random(void *arg, void *p, size_t n)
{
	(void)arg;
	memset(p, 4, n);
}

static void
w_end(void *arg, int code, const char *why)
{
	assert_int_equal(code, 1);
	assert_non_null(why);
	((struct lk_world *)arg)->ends++;
}

static const struct env_ops ops = { w_now, w_wall, w_random, w_end };

static void
on_log(int level, const char *line, void *arg)
{
	struct lk_world *w = arg;

	(void)level;
	w->lines++;
	(void)strlcpy(w->log, line, sizeof(w->log));
}

static void
io_send(void *arg, uint32_t type, uint32_t id, const void *p, size_t n, int fd)
{
	struct lk_side *s = arg;

	assert_int_equal(s->closed, 0);
	assert_true(s->nsent < MAX_SENT);
	s->sent[s->nsent].type = type;
	s->sent[s->nsent].id = id;
	s->sent[s->nsent].n = n;
	s->sent[s->nsent++].fd = fd;
	s->queued += n;
	buf_clear(&s->last);
	buf_put(&s->last, p, n);
}

static size_t
io_queued(void *arg)
{
	struct lk_side *s = arg;

	assert_int_equal(s->closed, 0);
	return s->queued;
}

static void
io_close(void *arg)
{
	((struct lk_side *)arg)->closed++;
}

static const struct link_io io = { io_send, io_queued, io_close };

static void
on_msg(struct link *l, const struct msg *m, void *tag, void *arg)
{
	struct lk_side *s = arg;

	if (s->l != NULL)
		assert_ptr_equal(s->l, l);
	s->got++;
	s->got_type = m->type;
	s->got_id = m->id;
	s->got_tag = tag;
	s->got_fd = m->fd;
	if (s->handler != NULL)
		s->handler(s, m);
}

static void
on_orphan(uint32_t id, enum msg_type type, void *tag, void *arg)
{
	struct lk_side *s = arg;

	assert_int_equal(msg_class(type), MSG_REQUEST);
	assert_true(s->orphans < 8);
	s->orphan_id[s->orphans] = id;
	s->orphan_tag[s->orphans++] = tag;
}

static void
on_down(struct link *l, enum link_why why, void *arg)
{
	struct lk_side *s = arg;

	s->down++;
	s->why = why;
	assert_true(link_is_down(l));
	link_orphans(l, on_orphan, s);
	if (s->free_on_down) {
		s->l = NULL;
		link_free(l);
	}
}

void
lk_new_conf(struct lk_world *w, struct lk_side *s, struct link_conf *conf)
{
	memset(s, 0, sizeof(*s));
	s->w = w;
	s->got_fd = -1;
	conf->on_msg = on_msg;
	conf->on_down = on_down;
	conf->arg = s;
	s->l = link_new(w->env, conf, &io, s);
}

void
lk_new(struct lk_world *w, struct lk_side *s, enum msg_link kind,
    enum role self, enum role peer, size_t queue_max)
{
	struct link_conf conf;

	memset(&conf, 0, sizeof(conf));
	conf.kind = kind;
	conf.self = self;
	conf.peer = peer;
	conf.slot = 3;
	conf.generation = 17;
	conf.queue_max = queue_max;
	lk_new_conf(w, s, &conf);
	assert_int_equal(link_slot(s->l), 3);
	assert_true(link_generation(s->l) == 17);
	assert_int_equal(link_peer(s->l), peer);
	link_set_state(s->l, MSG_RUN);
}

void
lk_free(struct lk_side *s)
{
	unsigned int before = s->down;

	link_free(s->l);
	s->l = NULL;
	env_run(s->w->env);
	assert_int_equal(s->down, before);
	assert_int_equal(s->closed, 1);
	buf_free(&s->last);
}

struct buf
lk_body(enum msg_type type)
{
	struct make mk = { .size = MAKE_RANDOM, .seed = 5 };

	make_body(&mk, type);
	return mk.b;
}

void
lk_input(struct lk_side *s, enum msg_type type, uint32_t id, int fd)
{
	struct buf b = lk_body(type);

	link_input(s->l, type, id, b.p, b.n, fd);
	buf_free(&b);
}

void
lk_went(struct lk_side *s, enum link_why why)
{
	assert_true(link_is_down(s->l));
	assert_int_equal(s->closed, 1);
	assert_int_equal(s->down, 0);
	env_run(s->w->env);
	env_run(s->w->env);
	assert_int_equal(s->down, 1);
	assert_int_equal(s->why, why);
}

void
lk_ended(struct lk_side *s)
{
	assert_true(link_is_down(s->l));
	assert_int_equal(s->w->ends, 1);
	assert_true(env_ended(s->w->env));
	env_run(s->w->env);
	assert_int_equal(s->down, 0);
}

void
lk_renew(struct lk_world *w)
{
	assert_int_equal(env_timers(w->env), 0);
	env_free(w->env);
	w->env = env_new(&ops, w);
	w->ends = w->lines = 0;
}

struct lk_world *
lk_world_new(void)
{
	struct lk_world *w = xcalloc(1, sizeof(*w));

	w->now = 1000;
	w->env = env_new(&ops, w);
	log_capture(on_log, w);
	return w;
}

int
lk_teardown(void **state)
{
	struct lk_world *w = *state;

	log_capture(NULL, NULL);
	assert_int_equal(env_timers(w->env), 0);
	env_free(w->env);
	free(w);
	return 0;
}
