/* Links: what the other side may not do, and what it costs whom. */

#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "regress/lib/linkkit.h"

static struct lk_world *w;

static int
setup(void **state)
{
	*state = w = lk_world_new();
	return 0;
}

/* An answer to what has not even been sent is an answer to nothing. */
static void
answer_too_early(void **state)
{
	struct lk_side s;
	struct msg m;
	uint32_t id;

	(void)state;
	lk_new(w, &s, LINK_CFG, ROLE_MASTER, ROLE_WORKER, 0);
	msg_init(&m, M_CFG_STAGE);
	(void)link_request(s.l, &m, NULL, 0);
	id = link_request(s.l, &m, NULL, 0);
	assert_int_equal(link_waiting(s.l), 1);
	lk_input(&s, M_CFG_STAGED, id, -1);
	assert_int_equal(s.got, 0);
	lk_went(&s, LINK_BAD_ID);
	assert_int_equal(s.orphans, 2);
	lk_free(&s);
}

static void
credit_overrun(void **state)
{
	struct lk_side s;
	unsigned int i, credit = msg_credit(M_KEY_NOISE_ACCEPT);

	(void)state;
	lk_new(w, &s, LINK_KEY, ROLE_KEYD, ROLE_WORKER, 0);
	for (i = 1; i <= credit; i++)
		lk_input(&s, M_KEY_NOISE_ACCEPT, i, -1);
	assert_int_equal(s.got, credit);
	assert_int_equal(link_owed(s.l), credit);
	lk_input(&s, M_KEY_NOISE_CONFIRM, 9999, -1);
	assert_int_equal(s.got, credit + 1);
	assert_false(link_is_down(s.l));
	lk_input(&s, M_KEY_NOISE_ACCEPT, 5000, -1);
	assert_int_equal(s.got, credit + 1);
	assert_non_null(strstr(w->log, "peer=worker slot=3 generation=17 "
	    "message=KEY_NOISE_ACCEPT"));
	assert_non_null(strstr(w->log, "credit overrun"));
	assert_int_equal(w->lines, 1);
	lk_went(&s, LINK_CREDIT);
	lk_free(&s);
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
	struct lk_side s;
	unsigned int i;

	(void)state;
	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		lk_new(w, &s, LINK_DB, ROLE_DBD, ROLE_WORKER, 0);
		lk_input(&s, M_DB_MAP_LITE, 7, -1);
		assert_int_equal(s.got, 1);
		lk_input(&s, t[i].type, t[i].id, -1);
		assert_int_equal(s.got, 1);
		lk_went(&s, LINK_BAD_ID);
		lk_free(&s);
	}
	lk_new(w, &s, LINK_CFG, ROLE_MASTER, ROLE_DBD, 0);
	lk_input(&s, M_CFG_STAGED, 1, -1);		/* answers nothing */
	lk_went(&s, LINK_BAD_ID);
	lk_free(&s);
}

static void
bad_bodies(void **state)
{
	struct lk_side s;
	struct buf b;

	(void)state;
	lk_new(w, &s, LINK_DB, ROLE_DBD, ROLE_WORKER, 0);
	b = lk_body(M_DB_LEAVE);
	link_input(s.l, M_DB_LEAVE, 0, b.p, b.n - 1, -1);
	assert_int_equal(s.got, 0);
	lk_went(&s, LINK_BAD_BODY);
	/* Nothing more is read. */
	link_input(s.l, M_DB_LEAVE, 0, b.p, b.n, -1);
	assert_int_equal(s.got, 0);
	buf_free(&b);
	lk_free(&s);
	lk_new(w, &s, LINK_DB, ROLE_DBD, ROLE_WORKER, 0);
	link_input(s.l, UINT32_MAX, 0, "", 0, -1);
	lk_went(&s, LINK_BAD_TYPE);
	lk_free(&s);
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
	struct lk_side s;
	struct msg m;
	int fd;

	(void)state;
	/* Upwards: closed, and the sender is out. */
	lk_new(w, &s, LINK_DB, ROLE_DBD, ROLE_WORKER, 0);
	fd = some_fd();
	lk_input(&s, M_DB_LEAVE, 0, fd);
	assert_int_equal(s.got, 0);
	assert_false(is_open(fd));
	lk_went(&s, LINK_BAD_FD);
	fd = some_fd();
	lk_input(&s, M_DB_LEAVE, 0, fd);	/* also when it is down */
	assert_false(is_open(fd));
	lk_free(&s);

	/* Downwards: the handler's, whom it reaches. */
	lk_new(w, &s, LINK_DB, ROLE_WORKER, ROLE_DBD, 0);
	fd = some_fd();
	lk_input(&s, M_DB_SNAPSHOT, 0, fd);
	assert_int_equal(s.got, 1);
	assert_int_equal(s.got_fd, fd);
	assert_true(is_open(fd));
	(void)close(fd);
	lk_input(&s, M_DB_SNAPSHOT, 0, -1);	/* one too few */
	assert_int_equal(s.got, 1);
	lk_ended(&s);
	lk_free(&s);
	lk_renew(w);

	/* Sent: given to the transport; or closed, if the link is down. */
	lk_new(w, &s, LINK_DB, ROLE_DBD, ROLE_WORKER, 0);
	msg_init(&m, M_DB_SNAPSHOT);
	m.fd = some_fd();
	link_send(s.l, &m);
	assert_int_equal(s.sent[0].fd, m.fd);
	assert_true(is_open(m.fd));
	link_eof(s.l);
	link_send(s.l, &m);
	assert_int_equal(s.nsent, 1);
	assert_false(is_open(m.fd));
	lk_went(&s, LINK_EOF);
	lk_free(&s);
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
	struct lk_side s;
	unsigned int i, k;

	(void)state;
	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++)
		for (k = 0; k < 2; k++) {
			lk_new(w, &s, t[i].kind, t[i].self, t[i].peer, 0);
			if (k == 0)
				link_input(s.l, M_MAX + 1, 0, "", 0, -1);
			else
				link_violation(s.l, LINK_FORGED);
			link_violation(s.l, LINK_FORGED);
			assert_true(link_is_down(s.l));
			assert_int_equal(w->lines, 1);
			assert_int_equal(w->ends, t[i].ends);
			env_run(w->env);
			assert_int_equal(s.down, !t[i].ends);
			if (!t[i].ends)
				assert_int_equal(s.why, k == 0 ?
				    LINK_BAD_TYPE : LINK_FORGED);
			lk_free(&s);
			lk_renew(w);
		}
}

static void
overflow(void **state)
{
	struct lk_side s;
	struct msg m;
	unsigned int i;

	(void)state;
	lk_new(w, &s, LINK_DB, ROLE_DBD, ROLE_WORKER, 1000);
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
	lk_went(&s, LINK_OVERFLOW);
	assert_int_equal(link_down_why(s.l), LINK_OVERFLOW);
	assert_int_equal(w->ends, 0);
	lk_free(&s);

	/* The bound may change while it is up. */
	lk_new(w, &s, LINK_DB, ROLE_DBD, ROLE_WORKER, 16);
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
	lk_went(&s, LINK_OVERFLOW);
	lk_free(&s);

	/* What waits inside for credit counts too. */
	lk_new(w, &s, LINK_CFG, ROLE_MASTER, ROLE_WORKER, 10);
	msg_init(&m, M_CFG_STAGE);		/* 4 octets */
	(void)link_request(s.l, &m, NULL, 0);
	s.queued = 0;
	(void)link_request(s.l, &m, NULL, 0);
	(void)link_request(s.l, &m, NULL, 0);
	assert_false(link_is_down(s.l));
	(void)link_request(s.l, &m, NULL, 0);
	lk_went(&s, LINK_OVERFLOW);
	assert_int_equal(s.orphans, 4);
	lk_free(&s);
}

static void
states(void **state)
{
	struct link_conf conf = { .kind = LINK_DB, .self = ROLE_DBD,
	    .peer = ROLE_WORKER };
	struct lk_side s;

	(void)state;
	lk_new_conf(w, &s, &conf);
	assert_int_equal(link_state(s.l), MSG_SETUP);
	lk_input(&s, M_DB_HAVE, 0, -1);
	assert_int_equal(s.got, 1);
	lk_input(&s, M_DB_LEAVE, 0, -1);	/* not before the hello */
	assert_int_equal(s.got, 1);
	lk_went(&s, LINK_BAD_TYPE);
	lk_free(&s);
	conf.kind = LINK_KEY;
	conf.self = ROLE_KEYD;
	lk_new_conf(w, &s, &conf);
	assert_int_equal(link_state(s.l), MSG_RUN);
	lk_free(&s);
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

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f)	cmocka_unit_test_setup_teardown(f, setup, lk_teardown)
		T(answer_too_early), T(credit_overrun), T(bad_ids),
		T(bad_bodies), T(descriptors), T(blame), T(overflow),
		T(states), T(texts)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
