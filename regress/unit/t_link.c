#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/link.h"
#include "common/msg_int.h"
#include "common/log.h"
#include "regress/lib/msg_make.h"

#define MAX_SENT	600

/* One end with what it sent, what it got and what became of it. */
struct side {
	struct link	*l;
	struct {
		uint32_t	 type, id;
		size_t		 n;
		int		 fd;
	}		 sent[MAX_SENT];
	unsigned int	 nsent;
	struct buf	 last;		/* body sent last */
	size_t		 queued;
	unsigned int	 closed;
	unsigned int	 got;		/* messages */
	uint32_t	 got_type, got_id;
	void		*got_tag;
	int		 got_fd;
	unsigned int	 down;
	enum link_why	 why;
	unsigned int	 orphans;
	uint32_t	 orphan_id[8];
	void		*orphan_tag[8];
	void		(*handler)(struct side *, const struct msg *);
	bool		 free_on_down;
};

static struct {
	uint64_t	 now;
	unsigned int	 ends;
	char		 log[512];
	unsigned int	 lines;
} w;
static struct env *env;

static uint64_t
w_now(void *arg)
{
	(void)arg;
	return w.now;
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
	(void)arg;
	assert_int_equal(code, 1);
	assert_non_null(why);
	w.ends++;
}

static const struct env_ops ops = { w_now, w_wall, w_random, w_end };

static void
on_log(int level, const char *line, void *arg)
{
	(void)level;
	(void)arg;
	w.lines++;
	(void)strlcpy(w.log, line, sizeof(w.log));
}

static void
io_send(void *arg, uint32_t type, uint32_t id, const void *p, size_t n, int fd)
{
	struct side *s = arg;

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
	struct side *s = arg;

	assert_int_equal(s->closed, 0);
	return s->queued;
}

static void
io_close(void *arg)
{
	((struct side *)arg)->closed++;
}

static const struct link_io io = { io_send, io_queued, io_close };

static void
on_msg(struct link *l, const struct msg *m, void *tag, void *arg)
{
	struct side *s = arg;

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
	struct side *s = arg;

	assert_int_equal(msg_class(type), MSG_REQUEST);
	assert_true(s->orphans < 8);
	s->orphan_id[s->orphans] = id;
	s->orphan_tag[s->orphans++] = tag;
}

static void
on_down(struct link *l, enum link_why why, void *arg)
{
	struct side *s = arg;

	s->down++;
	s->why = why;
	assert_true(link_is_down(l));
	link_orphans(l, on_orphan, s);
	if (s->free_on_down) {
		s->l = NULL;
		link_free(l);
	}
}

static void
side_new(struct side *s, enum msg_link kind, enum role self, enum role peer,
    size_t queue_max)
{
	struct link_conf conf;

	memset(s, 0, sizeof(*s));
	memset(&conf, 0, sizeof(conf));
	conf.kind = kind;
	conf.self = self;
	conf.peer = peer;
	conf.slot = 3;
	conf.generation = 17;
	conf.queue_max = queue_max;
	conf.on_msg = on_msg;
	conf.on_down = on_down;
	conf.arg = s;
	s->got_fd = -1;
	s->l = link_new(env, &conf, &io, s);
	assert_int_equal(link_slot(s->l), 3);
	assert_true(link_generation(s->l) == 17);
	assert_int_equal(link_peer(s->l), peer);
	link_set_state(s->l, MSG_RUN);
}

static void
side_free(struct side *s)
{
	unsigned int before = s->down;

	link_free(s->l);
	s->l = NULL;
	env_run(env);
	assert_int_equal(s->down, before);
	assert_int_equal(s->closed, 1);
	buf_free(&s->last);
}

/* A body for the type, whole; the caller frees. */
static struct buf
body(enum msg_type type)
{
	struct make mk = { .size = MAKE_RANDOM, .seed = 5 };

	make_body(&mk, type);
	return mk.b;
}

static void
input(struct side *s, enum msg_type type, uint32_t id, int fd)
{
	struct buf b = body(type);

	link_input(s->l, type, id, b.p, b.n, fd);
	buf_free(&b);
}

/* The link is down for this, and was before anything else was said. */
static void
assert_went(struct side *s, enum link_why why)
{
	assert_true(link_is_down(s->l));
	assert_int_equal(s->closed, 1);
	assert_int_equal(s->down, 0);
	env_run(env);
	env_run(env);
	assert_int_equal(s->down, 1);
	assert_int_equal(s->why, why);
}

/* A superior did it: we end, and the link's owner is not asked. */
static void
assert_ended(struct side *s)
{
	assert_true(link_is_down(s->l));
	assert_int_equal(w.ends, 1);
	assert_true(env_ended(env));
	env_run(env);
	assert_int_equal(s->down, 0);
}

/* The next process. */
static void
renew(void)
{
	assert_int_equal(env_timers(env), 0);
	env_free(env);
	env = env_new(&ops, NULL);
	w.ends = w.lines = 0;
}

static struct msg
map_open(void)
{
	struct msg m;

	msg_init(&m, M_DB_MAP_OPEN);
	return m;
}

static int
setup(void **state)
{
	(void)state;
	memset(&w, 0, sizeof(w));
	w.now = 1000;
	env = env_new(&ops, NULL);
	log_capture(on_log, NULL);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	log_capture(NULL, NULL);
	assert_int_equal(env_timers(env), 0);
	env_free(env);
	return 0;
}

static void
answers(void **state)
{
	struct side s;
	struct msg m = map_open();
	int tag[2];
	uint32_t a, b;

	(void)state;
	side_new(&s, LINK_DB, ROLE_WORKER, ROLE_DBD, 0);
	link_set_next_id(s.l, UINT32_MAX);
	a = link_request(s.l, &m, &tag[0], 0);
	b = link_request(s.l, &m, &tag[1], 0);
	assert_int_equal(a, UINT32_MAX);
	assert_int_equal(b, 1);			/* 0 is none */
	assert_int_equal(link_next_id(s.l), 2);
	assert_int_equal(s.nsent, 2);
	assert_int_equal(s.sent[1].id, 1);
	assert_int_equal(s.sent[1].type, M_DB_MAP_OPEN);
	input(&s, M_DB_MAP_OK, b, -1);
	assert_int_equal(s.got, 1);
	assert_int_equal(s.got_id, b);
	assert_ptr_equal(s.got_tag, &tag[1]);
	input(&s, M_DB_MAP_NO, a, -1);
	assert_ptr_equal(s.got_tag, &tag[0]);
	input(&s, M_DB_ONLINE, 0, -1);
	assert_null(s.got_tag);
	assert_int_equal(s.got, 3);
	/* An id that is still open is passed over. */
	link_set_next_id(s.l, 5);
	a = link_request(s.l, &m, NULL, 0);
	link_set_next_id(s.l, 5);
	b = link_request(s.l, &m, NULL, 0);
	assert_int_equal(a, 5);
	assert_int_equal(b, 6);
	input(&s, M_DB_MAP_OK, a, -1);
	assert_int_equal(s.got, 4);
	input(&s, M_DB_MAP_OK, a, -1);		/* answered twice */
	assert_int_equal(s.got, 4);
	assert_ended(&s);
	side_free(&s);
}

static void
rows(void **state)
{
	struct side s;
	struct msg m;
	int tag;
	uint32_t id;

	(void)state;
	side_new(&s, LINK_CTL, ROLE_CTL, ROLE_DBD, 0);
	msg_init(&m, M_CTL_USER_LIST);
	id = link_request(s.l, &m, &tag, 0);
	input(&s, M_CTL_USER, id, -1);
	assert_ptr_equal(s.got_tag, &tag);
	input(&s, M_CTL_USER, id, -1);
	input(&s, M_CTL_END, id, -1);
	assert_int_equal(s.got, 3);
	assert_ptr_equal(s.got_tag, &tag);
	side_free(&s);
}

/* The other side of requests: ids, what is owed, rows and the reply. */
static void
serves(void **state)
{
	struct side s;
	struct msg m;

	(void)state;
	side_new(&s, LINK_CTL, ROLE_DBD, ROLE_CTL, 0);
	input(&s, M_CTL_USER_LIST, 9, -1);
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
	input(&s, M_CTL_USER_LIST, 9, -1);
	assert_int_equal(link_owed(s.l), 1);
	assert_false(link_is_down(s.l));
	side_free(&s);
}

static void
waits_for_credit(void **state)
{
	struct side s;
	struct msg m, lite, note;
	unsigned int i, credit = msg_credit(M_DB_REG);
	uint32_t id[600];

	(void)state;
	side_new(&s, LINK_DB, ROLE_WORKER, ROLE_DBD, 0);
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
	input(&s, M_DB_REG_NO, id[7], -1);
	assert_int_equal(link_waiting(s.l), 1);
	assert_int_equal(s.sent[s.nsent - 1].id, id[credit]);
	input(&s, M_DB_REG_NO, id[0], -1);
	assert_int_equal(link_waiting(s.l), 0);
	assert_int_equal(s.sent[s.nsent - 1].id, id[credit + 2]);
	assert_int_equal(link_queued(s.l), s.queued);
	assert_int_equal(s.nsent, credit + 3);
	side_free(&s);
}

/* An answer to what has not even been sent is an answer to nothing. */
static void
answer_too_early(void **state)
{
	struct side s;
	struct msg m;
	uint32_t id;

	(void)state;
	side_new(&s, LINK_CFG, ROLE_MASTER, ROLE_WORKER, 0);
	msg_init(&m, M_CFG_STAGE);
	(void)link_request(s.l, &m, NULL, 0);
	id = link_request(s.l, &m, NULL, 0);
	assert_int_equal(link_waiting(s.l), 1);
	input(&s, M_CFG_STAGED, id, -1);
	assert_int_equal(s.got, 0);
	assert_went(&s, LINK_BAD_ID);
	assert_int_equal(s.orphans, 2);
	side_free(&s);
}

static void
credit_overrun(void **state)
{
	struct side s;
	unsigned int i, credit = msg_credit(M_KEY_NOISE_ACCEPT);

	(void)state;
	side_new(&s, LINK_KEY, ROLE_KEYD, ROLE_WORKER, 0);
	for (i = 1; i <= credit; i++)
		input(&s, M_KEY_NOISE_ACCEPT, i, -1);
	assert_int_equal(s.got, credit);
	assert_int_equal(link_owed(s.l), credit);
	input(&s, M_KEY_NOISE_CONFIRM, 9999, -1);
	assert_int_equal(s.got, credit + 1);
	assert_false(link_is_down(s.l));
	input(&s, M_KEY_NOISE_ACCEPT, 5000, -1);
	assert_int_equal(s.got, credit + 1);
	assert_non_null(strstr(w.log, "peer=worker slot=3 generation=17 "
	    "message=KEY_NOISE_ACCEPT"));
	assert_non_null(strstr(w.log, "credit overrun"));
	assert_int_equal(w.lines, 1);
	assert_went(&s, LINK_CREDIT);
	side_free(&s);
}

static void
bad_ids(void **state)
{
	static const struct {
		enum msg_type	 type;
		uint32_t	 id;
	} t[] = {
		{ M_DB_REG, 0 },		/* a request needs one */
		{ M_DB_REG, 7 },		/* open already */
		{ M_DB_LEAVE, 1 },		/* a notify has none */
	};
	struct side s;
	unsigned int i;

	(void)state;
	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		side_new(&s, LINK_DB, ROLE_DBD, ROLE_WORKER, 0);
		input(&s, M_DB_MAP_LITE, 7, -1);
		assert_int_equal(s.got, 1);
		input(&s, t[i].type, t[i].id, -1);
		assert_int_equal(s.got, 1);
		assert_went(&s, LINK_BAD_ID);
		side_free(&s);
	}
	side_new(&s, LINK_CFG, ROLE_MASTER, ROLE_DBD, 0);
	input(&s, M_CFG_STAGED, 1, -1);		/* answers nothing */
	assert_went(&s, LINK_BAD_ID);
	side_free(&s);
}

static void
bad_bodies(void **state)
{
	struct side s;
	struct buf b;

	(void)state;
	side_new(&s, LINK_DB, ROLE_DBD, ROLE_WORKER, 0);
	b = body(M_DB_LEAVE);
	link_input(s.l, M_DB_LEAVE, 0, b.p, b.n - 1, -1);
	assert_int_equal(s.got, 0);
	assert_went(&s, LINK_BAD_BODY);
	/* Nothing more is read. */
	link_input(s.l, M_DB_LEAVE, 0, b.p, b.n, -1);
	assert_int_equal(s.got, 0);
	buf_free(&b);
	side_free(&s);
	side_new(&s, LINK_DB, ROLE_DBD, ROLE_WORKER, 0);
	link_input(s.l, UINT32_MAX, 0, "", 0, -1);
	assert_went(&s, LINK_BAD_TYPE);
	side_free(&s);
}

static int
some_fd(void)
{
	int fd;

	fd = open("/dev/null", O_RDONLY);
	assert_true(fd != -1);
	return fd;
}

static bool
is_open(int fd)
{
	return fcntl(fd, F_GETFD) != -1;
}

static void
descriptors(void **state)
{
	struct side s;
	struct msg m;
	int fd;

	(void)state;
	/* Upwards: closed, and the sender is out. */
	side_new(&s, LINK_DB, ROLE_DBD, ROLE_WORKER, 0);
	fd = some_fd();
	input(&s, M_DB_LEAVE, 0, fd);
	assert_int_equal(s.got, 0);
	assert_false(is_open(fd));
	assert_went(&s, LINK_BAD_FD);
	fd = some_fd();
	input(&s, M_DB_LEAVE, 0, fd);		/* also when it is down */
	assert_false(is_open(fd));
	side_free(&s);

	/* Downwards: the handler's, whom it reaches. */
	side_new(&s, LINK_DB, ROLE_WORKER, ROLE_DBD, 0);
	fd = some_fd();
	input(&s, M_DB_SNAPSHOT, 0, fd);
	assert_int_equal(s.got, 1);
	assert_int_equal(s.got_fd, fd);
	assert_true(is_open(fd));
	(void)close(fd);
	input(&s, M_DB_SNAPSHOT, 0, -1);	/* one too few */
	assert_int_equal(s.got, 1);
	assert_ended(&s);
	side_free(&s);
	renew();

	/* Sent: given to the transport; or closed, if the link is down. */
	side_new(&s, LINK_DB, ROLE_DBD, ROLE_WORKER, 0);
	msg_init(&m, M_DB_SNAPSHOT);
	m.fd = some_fd();
	link_send(s.l, &m);
	assert_int_equal(s.sent[0].fd, m.fd);
	assert_true(is_open(m.fd));
	link_eof(s.l);
	link_send(s.l, &m);
	assert_int_equal(s.nsent, 1);
	assert_false(is_open(m.fd));
	assert_went(&s, LINK_EOF);
	side_free(&s);
}

/* A superior's mistake ends us; an equal's or inferior's ends the link. */
static void
blame(void **state)
{
	static const struct {
		enum role	 self, peer;
		enum msg_link	 kind;
		bool		 ends;
	} t[] = {
		{ ROLE_WORKER, ROLE_DBD, LINK_DB, true },
		{ ROLE_WORKER, ROLE_KEYD, LINK_KEY, true },
		{ ROLE_DBD, ROLE_MASTER, LINK_CFG, true },
		{ ROLE_DBD, ROLE_WORKER, LINK_DB, false },
		{ ROLE_KEYD, ROLE_WORKER, LINK_KEY, false },
		{ ROLE_MASTER, ROLE_KEYD, LINK_CFG, false },
		{ ROLE_WORKER, ROLE_WORKER, LINK_MESH, false },
		{ ROLE_KEYD, ROLE_DBD, LINK_ACME, false },
		{ ROLE_DBD, ROLE_CTL, LINK_CTL, false },
	};
	struct side s;
	unsigned int i, k;

	(void)state;
	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++)
		for (k = 0; k < 2; k++) {
			side_new(&s, t[i].kind, t[i].self, t[i].peer, 0);
			if (k == 0)
				link_input(s.l, M_MAX + 1, 0, "", 0, -1);
			else
				link_violation(s.l, LINK_FORGED);
			link_violation(s.l, LINK_FORGED);
			assert_true(link_is_down(s.l));
			assert_int_equal(w.lines, 1);
			assert_int_equal(w.ends, t[i].ends);
			env_run(env);
			assert_int_equal(s.down, !t[i].ends);
			if (!t[i].ends)
				assert_int_equal(s.why, k == 0 ?
				    LINK_BAD_TYPE : LINK_FORGED);
			side_free(&s);
			renew();
		}
}

static void
deadlines(void **state)
{
	struct side s;
	struct msg m = map_open();
	uint32_t a, b;

	(void)state;
	side_new(&s, LINK_DB, ROLE_WORKER, ROLE_DBD, 0);
	a = link_request(s.l, &m, NULL, 5000);
	b = link_request(s.l, &m, NULL, 2000);
	(void)link_request(s.l, &m, NULL, 0);
	assert_true(env_next(env) == 3000);
	assert_int_equal(env_timers(env), 1);	/* one for the link */
	w.now = 2999;
	env_run(env);
	input(&s, M_DB_MAP_OK, b, -1);
	assert_true(env_next(env) == 6000);
	link_forget(s.l, a);			/* the answer is still due */
	w.now = 5999;
	env_run(env);
	assert_false(link_is_down(s.l));
	w.now = 6000;
	env_run(env);
	assert_non_null(strstr(w.log, "message=DB_MAP_OPEN"));
	assert_went(&s, LINK_DEADLINE);
	assert_int_equal(w.ends, 0);
	assert_int_equal(s.orphans, 1);
	side_free(&s);
}

static void
forgets(void **state)
{
	struct side s;
	struct msg m = map_open();
	uint32_t a;

	(void)state;
	side_new(&s, LINK_DB, ROLE_WORKER, ROLE_DBD, 0);
	a = link_request(s.l, &m, &m, 0);
	link_forget(s.l, a);
	link_forget(s.l, 12345);
	input(&s, M_DB_MAP_OK, a, -1);
	assert_int_equal(s.got, 0);
	assert_false(link_is_down(s.l));
	input(&s, M_DB_MAP_OK, a, -1);
	assert_ended(&s);
	side_free(&s);
}

static void
overflow(void **state)
{
	struct side s;
	struct msg m;
	unsigned int i;

	(void)state;
	side_new(&s, LINK_DB, ROLE_DBD, ROLE_WORKER, 1000);
	msg_init(&m, M_DB_USER_DEL);		/* 16 octets */
	for (i = 0; i < 62; i++)
		link_send(s.l, &m);
	assert_false(link_is_down(s.l));
	assert_int_equal(link_queued(s.l), 992);
	s.queued = 500;				/* the peer took some */
	link_send(s.l, &m);
	assert_false(link_is_down(s.l));
	s.queued = 990;
	link_send(s.l, &m);
	assert_int_equal(s.nsent, 63);
	link_send(s.l, &m);
	assert_int_equal(s.nsent, 63);
	assert_went(&s, LINK_OVERFLOW);
	assert_int_equal(link_down_why(s.l), LINK_OVERFLOW);
	assert_int_equal(w.ends, 0);
	side_free(&s);

	/* The bound may change while it is up. */
	side_new(&s, LINK_DB, ROLE_DBD, ROLE_WORKER, 16);
	msg_init(&m, M_DB_USER_DEL);
	link_set_queue_max(s.l, 32);
	link_send(s.l, &m);
	link_send(s.l, &m);
	assert_false(link_is_down(s.l));
	link_set_queue_max(s.l, 0);
	link_send(s.l, &m);
	assert_false(link_is_down(s.l));
	link_set_queue_max(s.l, 63);
	link_send(s.l, &m);
	assert_went(&s, LINK_OVERFLOW);
	side_free(&s);

	/* What waits inside for credit counts too. */
	side_new(&s, LINK_CFG, ROLE_MASTER, ROLE_WORKER, 10);
	msg_init(&m, M_CFG_STAGE);		/* 4 octets */
	(void)link_request(s.l, &m, NULL, 0);
	s.queued = 0;
	(void)link_request(s.l, &m, NULL, 0);
	(void)link_request(s.l, &m, NULL, 0);
	assert_false(link_is_down(s.l));
	(void)link_request(s.l, &m, NULL, 0);
	assert_went(&s, LINK_OVERFLOW);
	assert_int_equal(s.orphans, 4);
	side_free(&s);
}

static void
orphans(void **state)
{
	struct side s, t;
	struct msg m = map_open();
	int tag[3];
	uint32_t id[3], next;
	unsigned int i;

	(void)state;
	side_new(&s, LINK_DB, ROLE_WORKER, ROLE_DBD, 0);
	link_set_next_id(s.l, 100);
	for (i = 0; i < 3; i++)
		id[i] = link_request(s.l, &m, &tag[i], 0);
	link_forget(s.l, id[1]);
	link_eof(s.l);
	link_eof(s.l);
	assert_went(&s, LINK_EOF);
	assert_int_equal(w.lines, 0);
	assert_int_equal(s.orphans, 2);
	assert_int_equal(s.orphan_id[0], 100);
	assert_ptr_equal(s.orphan_tag[0], &tag[0]);
	assert_int_equal(s.orphan_id[1], 102);
	assert_ptr_equal(s.orphan_tag[1], &tag[2]);
	next = link_next_id(s.l);

	/* On the link that follows they go out under their old ids. */
	side_new(&t, LINK_DB, ROLE_WORKER, ROLE_DBD, 0);
	link_set_next_id(t.l, next);
	link_request_again(t.l, &m, s.orphan_id[0], s.orphan_tag[0]);
	link_request_again(t.l, &m, s.orphan_id[1], s.orphan_tag[1]);
	assert_int_equal(t.sent[0].id, 100);
	assert_int_equal(t.sent[1].id, 102);
	assert_int_equal(link_request(t.l, &m, NULL, 0), 103);
	input(&t, M_DB_MAP_OK, 102, -1);
	assert_ptr_equal(t.got_tag, &tag[2]);
	side_free(&s);
	side_free(&t);
}

/* A request made after the end is an orphan at once. */
static void
request_when_down(void **state)
{
	struct side s;
	struct msg m = map_open();

	(void)state;
	side_new(&s, LINK_DB, ROLE_WORKER, ROLE_DBD, 0);
	link_eof(s.l);
	assert_int_not_equal(link_request(s.l, &m, &m, 1000), 0);
	assert_int_equal(s.nsent, 0);
	assert_went(&s, LINK_EOF);
	assert_int_equal(s.orphans, 1);
	assert_int_equal(env_timers(env), 0);
	side_free(&s);
}

static void
free_it(struct side *s, const struct msg *m)
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
break_it(struct side *s, const struct msg *m)
{
	(void)m;
	link_violation(s->l, LINK_FORGED);
	assert_int_equal(s->down, 0);
}

static void
freed_by_handlers(void **state)
{
	struct side s;
	struct msg m = map_open();
	uint32_t id;

	(void)state;
	side_new(&s, LINK_DB, ROLE_WORKER, ROLE_DBD, 0);
	id = link_request(s.l, &m, NULL, 1000);
	(void)link_request(s.l, &m, NULL, 1000);
	s.handler = free_it;
	input(&s, M_DB_MAP_OK, id, -1);
	assert_null(s.l);
	assert_int_equal(s.closed, 1);
	env_run(env);
	assert_int_equal(s.down, 0);
	buf_free(&s.last);

	side_new(&s, LINK_DB, ROLE_DBD, ROLE_WORKER, 0);
	s.handler = break_it;
	s.free_on_down = true;
	input(&s, M_DB_MAP_CLOSE, 0, -1);
	assert_non_null(strstr(w.log, "message=DB_MAP_CLOSE"));
	assert_non_null(strstr(w.log, "ticket forged"));
	env_run(env);
	assert_int_equal(s.down, 1);
	assert_null(s.l);
	assert_int_equal(s.closed, 1);
	buf_free(&s.last);

	/* Freed between going down and being told: never told. */
	side_new(&s, LINK_DB, ROLE_DBD, ROLE_WORKER, 0);
	link_eof(s.l);
	assert_int_equal(env_timers(env), 1);
	side_free(&s);
	assert_int_equal(s.down, 0);
	link_free(NULL);
}

static void
states(void **state)
{
	struct link_conf conf = { .kind = LINK_DB, .self = ROLE_DBD,
	    .peer = ROLE_WORKER, .on_msg = on_msg, .on_down = on_down };
	struct side s;

	(void)state;
	memset(&s, 0, sizeof(s));
	conf.arg = &s;
	s.l = link_new(env, &conf, &io, &s);
	assert_int_equal(link_state(s.l), MSG_SETUP);
	input(&s, M_DB_HAVE, 0, -1);
	assert_int_equal(s.got, 1);
	input(&s, M_DB_LEAVE, 0, -1);		/* not before the hello */
	assert_int_equal(s.got, 1);
	assert_went(&s, LINK_BAD_TYPE);
	side_free(&s);
	conf.kind = LINK_KEY;
	conf.self = ROLE_KEYD;
	memset(&s, 0, sizeof(s));
	s.l = link_new(env, &conf, &io, &s);
	assert_int_equal(link_state(s.l), MSG_RUN);
	side_free(&s);
}

static void
texts(void **state)
{
	unsigned int i;

	(void)state;
	for (i = LINK_EOF; i <= LINK_CLOSED; i++)
		assert_string_not_equal(link_why_text(i), "unknown");
	assert_string_equal(link_why_text(LINK_FORGED), "ticket forged");
	assert_string_equal(link_why_text(99), "unknown");
}

#define T(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(answers), T(rows), T(serves), T(waits_for_credit),
		T(answer_too_early), T(credit_overrun), T(bad_ids),
		T(bad_bodies), T(descriptors), T(blame), T(deadlines),
		T(forgets), T(overflow), T(orphans), T(request_when_down),
		T(freed_by_handlers), T(states), T(texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
