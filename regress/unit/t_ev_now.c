/* Links by hand: written and read without the loop. */

#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>

#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/compat/compat.h"
#include "common/ev.h"
#include "regress/lib/quiet.h"

struct side {
	struct ev	*ev;
	struct link	*link;
	int		 peer;		/* a bare socket */
	unsigned int	 msgs;
	unsigned int	 downs;
	bool		 wait_in_msg;
};

static void
on_msg(struct link *l, const struct msg *m, void *tag, void *arg)
{
	struct side *s = arg;

	(void)tag;
	assert_int_equal(m->type, M_DB_NODE_DEL);
	s->msgs++;
	if (s->wait_in_msg)
		(void)ev_link_now(s->ev, l, 1);
}

static void
on_down(struct link *l, enum link_why why, void *arg)
{
	struct side *s = arg;

	s->downs++;
	assert_int_equal(why, LINK_EOF);
	link_free(l);
	s->link = NULL;
	ev_stop(s->ev);
}

static int
setup(void **state)
{
	static struct side s;
	struct link_conf conf;
	int sv[2];

	quiet_log();
	memset(&s, 0, sizeof(s));
	s.ev = ev_new();
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, sv) == -1)
		return -1;
	memset(&conf, 0, sizeof(conf));
	conf.kind = LINK_DB;
	conf.self = ROLE_WORKER;
	conf.peer = ROLE_DBD;
	conf.on_msg = on_msg;
	conf.on_down = on_down;
	conf.arg = &s;
	s.link = ev_link(s.ev, &conf, sv[0]);
	link_set_state(s.link, MSG_RUN);
	s.peer = sv[1];
	*state = &s;
	return 0;
}

static int
teardown(void **state)
{
	struct side *s = *state;

	link_free(s->link);
	if (s->peer != -1)
		close(s->peer);
	ev_free(s->ev);
	return 0;
}

/* What the peer says, as it is on the socket: its length. */
static size_t
words(uint8_t *to, size_t max)
{
	struct buf b = { NULL, 0, 0 };
	struct imsg_hdr hdr;
	struct msg m;
	size_t n;

	msg_init(&m, M_DB_NODE_DEL);
	m.u.db_node_del.tailnet = 1;
	m.u.db_node_del.id = 1;
	msg_encode(&b, &m);
	n = sizeof(hdr) + b.n;
	assert_true(n <= max);
	memset(&hdr, 0, sizeof(hdr));
	hdr.type = m.type;
	hdr.len = (uint32_t)n;
	memcpy(to, &hdr, sizeof(hdr));
	memcpy(to + sizeof(hdr), b.p, b.n);
	buf_free(&b);
	return n;
}

static void
peer_says(struct side *s)
{
	uint8_t b[256];
	size_t n = words(b, sizeof(b));

	assert_int_equal(write(s->peer, b, n), n);
}

static uint64_t
now(struct side *s)
{
	return env_now(ev_env(s->ev));
}

/* To the peer and back, and its end. */
static void
test_now(void **state)
{
	struct side *s = *state;
	struct pollfd pfd;
	struct msg m;
	uint64_t t;

	pfd.fd = s->peer;
	pfd.events = POLLIN;
	msg_init(&m, M_DB_LEAVE);
	m.u.db_leave.tailnet = 1;
	link_send(s->link, &m);
	assert_int_equal(poll(&pfd, 1, 0), 0);
	assert_true(ev_link_now(s->ev, s->link, 0));
	assert_int_equal(poll(&pfd, 1, 0), 1);
	assert_int_equal(link_queued(s->link), 0);
	t = now(s);
	assert_false(ev_link_now(s->ev, s->link, 20 * US_PER_MS));
	assert_true(now(s) - t >= 20 * US_PER_MS);
	peer_says(s);
	assert_true(ev_link_now(s->ev, s->link, US_PER_S));
	assert_int_equal(s->msgs, 1);
	close(s->peer);
	s->peer = -1;
	assert_true(ev_link_now(s->ev, s->link, US_PER_S));
	assert_true(link_is_down(s->link));
	assert_int_equal(s->downs, 0);	/* the loop says it */
	ev_run(s->ev, NULL, NULL);
	assert_int_equal(s->downs, 1);
}

static volatile sig_atomic_t ticks, tick_to;
static uint8_t tick_says[256];
static size_t ntick_says;

static void
on_tick(int signo)
{
	(void)signo;
	if (++ticks == 5 && tick_to != -1 &&
	    write(tick_to, tick_says, ntick_says) == -1)
		tick_to = -1;
}

/* Signals are not what it waits for. */
static void
test_signals(void **state)
{
	struct itimerval it = { { 0, 2000 }, { 0, 2000 } };
	struct side *s = *state;
	struct sigaction sa, old;
	uint64_t t;

	ntick_says = words(tick_says, sizeof(tick_says));
	memset(&sa, 0, sizeof(sa));
	sa.sa_handler = on_tick;
	assert_int_equal(sigaction(SIGALRM, &sa, &old), 0);
	tick_to = -1;
	ticks = 0;
	t = now(s);
	assert_int_equal(setitimer(ITIMER_REAL, &it, NULL), 0);
	assert_false(ev_link_now(s->ev, s->link, 30 * US_PER_MS));
	assert_true(now(s) - t >= 30 * US_PER_MS);
	assert_true(ticks > 1);
	tick_to = s->peer;
	ticks = 0;
	assert_true(ev_link_now(s->ev, s->link, 5 * US_PER_S));
	memset(&it, 0, sizeof(it));
	assert_int_equal(setitimer(ITIMER_REAL, &it, NULL), 0);
	assert_int_equal(sigaction(SIGALRM, &old, NULL), 0);
	assert_int_equal(s->msgs, 1);
}

/* A link's handler would be called from within itself. */
static void
test_nested(void **state)
{
	struct side *s = *state;
	pid_t pid;
	int status;

	peer_says(s);
	s->wait_in_msg = true;
	if ((pid = fork()) == 0) {
		(void)ev_link_now(s->ev, s->link, US_PER_S);
		_exit(s->msgs == 1 ? 0 : 9);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 1);
}

#define T(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_now), T(test_signals), T(test_nested)
	};

	return cmocka_run_group_tests_name("ev_now", tests, NULL, NULL);
}
