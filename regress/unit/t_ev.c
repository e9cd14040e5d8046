#include <sys/types.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>
#include <cmocka.h>

#include "common/compat/compat.h"
#include "common/ev.h"
#include "common/log.h"
#include "regress/lib/quiet.h"

#define NMSG	1000

/* Doubles of the calls that write: how many does a turn take? */
static int watched = -1;
static unsigned int nwrites;

ssize_t	writev(int, const struct iovec *, int);
ssize_t	write(int, const void *, size_t);

ssize_t
writev(int fd, const struct iovec *iov, int n)
{
	if (fd == watched)
		nwrites++;
	return syscall(SYS_writev, fd, iov, n);
}

ssize_t
write(int fd, const void *p, size_t n)
{
	if (fd == watched)
		nwrites++;
	return syscall(SYS_write, fd, p, n);
}

/* One end is a link, the other a bare socket with its imsgbuf. */
struct side {
	struct ev	*ev;
	struct link	*link;
	int		 peer;
	struct imsgbuf	 raw;
	unsigned int	 msgs;
	unsigned int	 downs;
	enum link_why	 why;
	uint64_t	 last;		/* id of the last DB_NODE_DEL */
	bool		 in_order;
	unsigned int	 turn_done;	/* turn of the last message */
	int		 fd;		/* that came with one */
	unsigned int	 stop_after;	/* messages; 0: never */
	bool		 free_in_msg;
};

static unsigned int turns;
static unsigned int nsides;

static void
on_msg(struct link *l, const struct msg *m, void *tag, void *arg)
{
	struct side *s = arg;

	(void)tag;
	s->msgs++;
	s->turn_done = turns;
	if (m->fd != -1)
		s->fd = m->fd;
	if (m->type == M_DB_NODE_DEL) {
		if (m->u.db_node_del.id != s->last + 1)
			s->in_order = false;
		s->last = m->u.db_node_del.id;
	}
	if (s->free_in_msg) {
		link_free(l);
		s->link = NULL;
	}
	if (s->msgs == s->stop_after)
		ev_stop(s->ev);
}

static void
on_down(struct link *l, enum link_why why, void *arg)
{
	struct side *s = arg;

	s->downs++;
	s->why = why;
	link_free(l);
	s->link = NULL;
	ev_stop(s->ev);
}

static void
open_side(struct side *s, struct ev *ev, enum msg_link kind, enum role self,
    enum role peer, size_t queue_max)
{
	struct link_conf conf;
	int sv[2];

	memset(s, 0, sizeof(*s));
	s->ev = ev;
	s->fd = -1;
	s->in_order = true;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	memset(&conf, 0, sizeof(conf));
	conf.kind = kind;
	conf.self = self;
	conf.peer = peer;
	conf.queue_max = queue_max;
	conf.on_msg = on_msg;
	conf.on_down = on_down;
	conf.arg = s;
	s->link = ev_link(ev, &conf, sv[0]);
	link_set_state(s->link, MSG_RUN);
	watched = sv[0];
	nwrites = 0;
	nsides++;
	s->peer = sv[1];
	assert_int_equal(imsgbuf_init(&s->raw, sv[1]), 0);
	assert_int_equal(imsgbuf_set_maxsize(&s->raw, 1 << 20), 0);
	imsgbuf_allow_fdpass(&s->raw);
}

static void
close_peer(struct side *s)
{
	imsgbuf_clear(&s->raw);
	if (s->peer != -1)
		assert_int_equal(close(s->peer), 0);
	s->peer = -1;
}

static void
close_side(struct side *s)
{
	nsides--;
	link_free(s->link);
	close_peer(s);
	if (s->fd != -1)
		assert_int_equal(close(s->fd), 0);
	watched = -1;
}

static void
peer_says(struct side *s, const struct msg *m, int fd)
{
	struct buf b;

	memset(&b, 0, sizeof(b));
	msg_encode(&b, m);
	assert_int_equal(imsg_compose(&s->raw, m->type, m->id, 0, fd, b.p,
	    b.n), 1);
	buf_free(&b);
}

static void
node_del(struct msg *m, uint64_t id)
{
	msg_init(m, M_DB_NODE_DEL);
	m->u.db_node_del.tailnet = 1;
	m->u.db_node_del.id = id;
}

static void
count_turn(void *arg)
{
	(void)arg;
	turns++;
}

static void
stop(void *arg)
{
	ev_stop(arg);
}

static void
run_for(struct ev *ev, uint64_t us)
{
	struct timer t;

	timer_init(&t, ev_env(ev), stop, ev);
	timer_in(&t, us);
	ev_run(ev, count_turn, NULL);
	timer_stop(&t);
}

static unsigned int
open_fds(void)
{
	unsigned int n = 0;
	int fd;

	for (fd = 0; fd < 256; fd++)
		if (fcntl(fd, F_GETFD) != -1)
			n++;
	return n;
}

static int
setup(void **state)
{
	quiet_log();
	*state = ev_new();
	turns = 0;
	nsides = 0;
	return 0;
}

static int
teardown(void **state)
{
	if (nsides == 0)	/* else the test has failed already */
		ev_free(*state);
	log_capture(NULL, NULL);
	return 0;
}

static void
test_world(void **state)
{
	struct env *env = ev_env(*state);
	uint8_t a[32], b[32];
	uint64_t t;
	int64_t w;

	t = env_now(env);
	assert_true(env_now(env) >= t);
	w = env_wall(env) - (int64_t)time(NULL);
	assert_in_range(w + 2, 0, 4);
	env_random(env, a, sizeof(a));
	env_random(env, b, sizeof(b));
	assert_memory_not_equal(a, b, sizeof(a));
}

static void
test_timer(void **state)
{
	struct ev *ev = *state;
	uint64_t t, took;

	t = env_now(ev_env(ev));
	run_for(ev, 20 * US_PER_MS);
	took = env_now(ev_env(ev)) - t;
	assert_true(took >= 20 * US_PER_MS);
	assert_true(took < 2 * US_PER_S);
	/* It slept: not a turn for each microsecond. */
	assert_true(turns < 50);
}

static void
again(void *arg)
{
	if (++turns < 5)
		ev_again(arg);
	else
		ev_stop(arg);
}

/* No event and no timer, and yet turns. */
static void
test_again(void **state)
{
	ev_again(*state);
	ev_run(*state, again, *state);
	assert_int_equal(turns, 5);
}

static void
got_signal(int signo, void *arg)
{
	assert_int_equal(signo, SIGUSR1);
	ev_stop(arg);
}

static void
test_signal(void **state)
{
	ev_signal(*state, SIGUSR1, got_signal, *state);
	assert_int_equal(raise(SIGUSR1), 0);
	ev_run(*state, NULL, NULL);
}

struct watch {
	struct ev_fd	*f;
	unsigned int	 reads;
	unsigned int	 writes;
	bool		 del;
};

static void
got_fd(int fd, unsigned int got, void *arg)
{
	struct watch *w = arg;

	(void)fd;
	if (got & EV_F_READ)
		w->reads++;
	if (got & EV_F_WRITE)
		w->writes++;
	if (w->del) {
		ev_fd_del(w->f);
		w->f = NULL;
	}
}

static void
test_fd(void **state)
{
	struct ev *ev = *state;
	struct watch w;
	int sv[2];

	memset(&w, 0, sizeof(w));
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	w.f = ev_fd_add(ev, sv[0], EV_F_READ, got_fd, &w);
	run_for(ev, US_PER_MS);
	assert_int_equal(w.reads, 0);
	assert_int_equal(write(sv[1], "x", 1), 1);
	run_for(ev, US_PER_MS);
	assert_true(w.reads > 1);		/* level-triggered */
	assert_int_equal(w.writes, 0);
	ev_fd_want(w.f, 0);
	w.reads = 0;
	run_for(ev, US_PER_MS);
	assert_int_equal(w.reads + w.writes, 0);
	ev_fd_want(w.f, EV_F_WRITE);
	run_for(ev, US_PER_MS);
	assert_int_equal(w.reads, 0);
	assert_true(w.writes > 1);
	ev_fd_want(w.f, EV_F_READ | EV_F_WRITE);
	w.reads = w.writes = 0;
	w.del = true;
	run_for(ev, US_PER_MS);
	assert_int_equal(w.reads, 1);
	assert_int_equal(w.writes, 1);
	assert_null(w.f);
	ev_fd_del(NULL);
	(void)close(sv[0]);
	(void)close(sv[1]);
}

/* A thousand messages of a turn are a few writes; all arrive, in order. */
static void
test_batch(void **state)
{
	struct side s;
	struct imsg imsg;
	struct msg m;
	uint64_t i, got = 0;
	int rc;

	open_side(&s, *state, LINK_DB, ROLE_DBD, ROLE_WORKER, 0);
	for (i = 1; i <= NMSG; i++) {
		node_del(&m, i);
		link_send(s.link, &m);
	}
	assert_true(link_queued(s.link) >= (size_t)NMSG * 24);
	assert_int_equal(nwrites, 0);
	run_for(*state, US_PER_MS);
	assert_in_range(nwrites, 1, 4);
	assert_int_equal(link_queued(s.link), 0);
	while (got < NMSG && imsgbuf_read(&s.raw) == 1)
		while ((rc = imsgbuf_get(&s.raw, &imsg)) == 1) {
			assert_int_equal(imsg_get_type(&imsg), M_DB_NODE_DEL);
			got++;
			imsg_free(&imsg);
		}
	assert_int_equal(got, NMSG);
	close_side(&s);
}

/* What does not fit waits, and goes when the peer reads. */
static void
test_slow_peer(void **state)
{
	struct side s;
	struct imsg imsg;
	struct msg m;
	uint64_t i, got = 0, n = 20000, taken;
	size_t left;

	open_side(&s, *state, LINK_DB, ROLE_DBD, ROLE_WORKER, 0);
	for (i = 1; i <= n; i++) {
		node_del(&m, i);
		link_send(s.link, &m);
	}
	run_for(*state, US_PER_MS);
	left = link_queued(s.link);
	assert_true(left > 0);
	/* What the socket holds was taken, and no more while nobody reads. */
	taken = link_taken(s.link);
	assert_true(taken > 0);
	run_for(*state, 20 * US_PER_MS);
	assert_true(link_taken(s.link) == taken);
	while (got < n) {
		assert_int_equal(imsgbuf_read(&s.raw), 1);
		while (imsgbuf_get(&s.raw, &imsg) == 1) {
			got++;
			imsg_free(&imsg);
		}
		if (link_queued(s.link) > 0)
			run_for(*state, US_PER_MS);
	}
	assert_int_equal(link_queued(s.link), 0);
	assert_true(link_taken(s.link) == taken + left);
	assert_int_equal(s.downs, 0);
	close_side(&s);
}

static void
test_overflow(void **state)
{
	struct side s;
	struct msg m;
	uint64_t i;

	open_side(&s, *state, LINK_DB, ROLE_DBD, ROLE_WORKER, 100000);
	node_del(&m, 1);
	for (i = 0; i < 5000; i++)
		link_send(s.link, &m);
	ev_run(*state, NULL, NULL);
	assert_int_equal(s.downs, 1);
	assert_int_equal(s.why, LINK_OVERFLOW);
	close_side(&s);
}

/* A worker's side, to which master has sent a pipe's reading end. */
static void
master_hands(struct side *s, struct ev *ev, int p[2])
{
	struct msg m;

	open_side(s, ev, LINK_CFG, ROLE_WORKER, ROLE_MASTER, 0);
	assert_int_equal(pipe(p), 0);
	msg_init(&m, M_CFG_LISTEN);
	m.u.cfg_listen.address = slice_str("[::1]:80");
	peer_says(s, &m, p[0]);
	assert_int_equal(imsgbuf_flush(&s->raw), 0);
	s->stop_after = 1;
}

static void
test_descriptor(void **state)
{
	struct side s;
	char octet;
	int p[2];

	master_hands(&s, *state, p);
	ev_run(*state, NULL, NULL);
	assert_int_equal(s.msgs, 1);
	assert_int_not_equal(s.fd, -1);
	assert_int_equal(write(p[1], "x", 1), 1);
	assert_int_equal(read(s.fd, &octet, 1), 1);
	assert_int_equal(octet, 'x');
	(void)close(p[1]);
	close_side(&s);
}

/* The same downwards: the sender has no row to receive any. */
static void
test_send_descriptor(void **state)
{
	struct side s;
	struct imsg imsg;
	struct msg m;
	unsigned int before;
	int fd, p[2];

	open_side(&s, *state, LINK_CFG, ROLE_MASTER, ROLE_KEYD, 0);
	assert_int_equal(pipe(p), 0);
	before = open_fds();
	msg_init(&m, M_CFG_FILE);
	m.u.cfg_file.name = slice_str("key");
	m.fd = p[0];
	link_send(s.link, &m);
	run_for(*state, US_PER_MS);
	assert_int_equal(imsgbuf_read(&s.raw), 1);
	assert_int_equal(imsgbuf_get(&s.raw, &imsg), 1);
	fd = imsg_get_fd(&imsg);
	assert_int_not_equal(fd, -1);
	imsg_free(&imsg);
	assert_int_equal(open_fds(), before);	/* ours was closed */
	(void)close(fd);
	(void)close(p[1]);
	close_side(&s);
}

/* Upwards there are no descriptors: the sender loses its life for one. */
static void
test_descriptor_up(void **state)
{
	struct side s;
	struct msg m;
	unsigned int before;
	int p[2];

	assert_int_equal(pipe(p), 0);
	open_side(&s, *state, LINK_CFG, ROLE_MASTER, ROLE_WORKER, 0);
	before = open_fds();
	msg_init(&m, M_CFG_BLAME);
	peer_says(&s, &m, p[0]);		/* closes it when written */
	assert_int_equal(imsgbuf_flush(&s.raw), 0);
	ev_run(*state, NULL, NULL);
	assert_int_equal(s.downs, 1);
	assert_int_equal(s.why, LINK_BAD_FD);
	assert_int_equal(s.msgs, 0);
	assert_int_equal(open_fds(), before - 2);	/* p[0], the link */
	(void)close(p[1]);
	close_side(&s);
}

/* One that no message speaks of is dropped by read(2), unseen. */
static void
test_descriptor_unmarked(void **state)
{
	union {
		struct cmsghdr	 hdr;
		char		 room[CMSG_SPACE(sizeof(int))];
	} control;
	struct msghdr mh;
	struct iovec iov;
	struct imsg_hdr hdr;
	struct side s;
	unsigned int before;
	int fd = STDERR_FILENO;

	open_side(&s, *state, LINK_CFG, ROLE_MASTER, ROLE_WORKER, 0);
	memset(&hdr, 0, sizeof(hdr));
	hdr.type = M_CFG_READY;
	hdr.len = sizeof(hdr);
	iov.iov_base = &hdr;
	iov.iov_len = sizeof(hdr);
	memset(&mh, 0, sizeof(mh));
	memset(&control, 0, sizeof(control));
	mh.msg_iov = &iov;
	mh.msg_iovlen = 1;
	mh.msg_control = &control;
	mh.msg_controllen = CMSG_LEN(sizeof(int));
	control.hdr.cmsg_len = CMSG_LEN(sizeof(int));
	control.hdr.cmsg_level = SOL_SOCKET;
	control.hdr.cmsg_type = SCM_RIGHTS;
	memcpy(CMSG_DATA(&control.hdr), &fd, sizeof(fd));
	link_set_state(s.link, MSG_SETUP);
	before = open_fds();
	assert_int_equal(sendmsg(s.peer, &mh, 0), sizeof(hdr));
	s.stop_after = 1;
	ev_run(*state, NULL, NULL);
	assert_int_equal(s.msgs, 1);
	assert_int_equal(s.downs, 0);
	assert_int_equal(open_fds(), before);
	close_side(&s);
}

/* What was said before the end is heard, even while we fail to write. */
static void
test_end(void **state)
{
	struct side s;
	struct msg m;
	uint64_t i;

	open_side(&s, *state, LINK_DB, ROLE_WORKER, ROLE_DBD, 0);
	for (i = 1; i <= 3000; i++) {
		node_del(&m, i);
		peer_says(&s, &m, -1);
	}
	assert_int_equal(imsgbuf_flush(&s.raw), 0);
	close_peer(&s);
	msg_init(&m, M_DB_LEAVE);
	m.u.db_leave.tailnet = 1;
	link_send(s.link, &m);
	ev_run(*state, NULL, NULL);
	assert_int_equal(s.msgs, 3000);
	assert_true(s.in_order);
	assert_int_equal(s.downs, 1);
	assert_int_equal(s.why, LINK_EOF);
	close_side(&s);
}

/* A peer that only stops listening is as good as gone. */
static void
test_deaf_peer(void **state)
{
	struct side s;
	struct msg m;

	open_side(&s, *state, LINK_DB, ROLE_DBD, ROLE_WORKER, 0);
	assert_int_equal(shutdown(s.peer, SHUT_RD), 0);
	node_del(&m, 1);
	link_send(s.link, &m);
	ev_run(*state, NULL, NULL);
	assert_int_equal(s.downs, 1);
	assert_int_equal(s.why, LINK_EOF);
	close_side(&s);
}

static void
bad_length(struct ev *ev, uint32_t len)
{
	struct imsg_hdr hdr;
	struct side s;

	open_side(&s, ev, LINK_DB, ROLE_DBD, ROLE_WORKER, 0);
	memset(&hdr, 0, sizeof(hdr));
	hdr.type = M_DB_LEAVE;
	hdr.len = len;
	assert_int_equal(write(s.peer, &hdr, sizeof(hdr)), sizeof(hdr));
	ev_run(ev, NULL, NULL);
	assert_int_equal(s.downs, 1);
	assert_int_equal(s.why, LINK_BAD_BODY);
	assert_int_equal(s.msgs, 0);
	close_side(&s);
}

static void
test_bad_length(void **state)
{
	bad_length(*state, 0);
	bad_length(*state, IMSG_HEADER_SIZE - 1);
	bad_length(*state, MSG_MAX + 2 * IMSG_HEADER_SIZE + 1);
	bad_length(*state, 0x7fffffff);
}

/* A loud peer has one read a round; a quiet one waits for one at most. */
static void
test_fair(void **state)
{
	struct side loud, calm;
	struct msg m;
	uint64_t i, n;
	int big = 1 << 20;

	open_side(&loud, *state, LINK_DB, ROLE_WORKER, ROLE_DBD, 0);
	open_side(&calm, *state, LINK_DB, ROLE_WORKER, ROLE_DBD, 0);
	(void)setsockopt(loud.peer, SOL_SOCKET, SO_SNDBUF, &big, sizeof(big));
	for (n = 0; n < 4000; n++) {
		node_del(&m, n + 1);
		peer_says(&loud, &m, -1);
	}
	assert_int_equal(fcntl(loud.peer, F_SETFL, O_NONBLOCK), 0);
	assert_int_equal(imsgbuf_write(&loud.raw), 0);
	assert_int_equal(imsgbuf_queuelen(&loud.raw), 0);
	for (i = 0; i < 3; i++) {
		node_del(&m, i + 1);
		peer_says(&calm, &m, -1);
	}
	assert_int_equal(imsgbuf_flush(&calm.raw), 0);
	run_for(*state, 50 * US_PER_MS);
	assert_int_equal(loud.msgs, n);
	assert_int_equal(calm.msgs, 3);
	assert_int_equal(calm.turn_done, 0);
	/* 40 octets each, 64 KB a round */
	assert_true(loud.turn_done >= n * 40 / 65536);
	assert_true(loud.in_order);
	close_side(&loud);
	close_side(&calm);
}

/* The handler may free the link under the transport's feet. */
static void
test_free_in_handler(void **state)
{
	struct side s;
	struct msg m;
	uint64_t i;

	open_side(&s, *state, LINK_DB, ROLE_WORKER, ROLE_DBD, 0);
	for (i = 1; i <= 10; i++) {
		node_del(&m, i);
		peer_says(&s, &m, -1);
	}
	assert_int_equal(imsgbuf_flush(&s.raw), 0);
	s.free_in_msg = true;
	s.stop_after = 1;
	ev_run(*state, NULL, NULL);
	assert_int_equal(s.msgs, 1);
	assert_null(s.link);
	close_side(&s);
}

/* A refusal that is sent right before the link is freed still arrives. */
static void
test_last_words(void **state)
{
	struct side s;
	struct imsg imsg;
	struct msg m;

	open_side(&s, *state, LINK_DB, ROLE_DBD, ROLE_WORKER, 0);
	node_del(&m, 1);
	link_send(s.link, &m);
	link_free(s.link);
	s.link = NULL;
	assert_int_equal(imsgbuf_read(&s.raw), 1);
	assert_int_equal(imsgbuf_get(&s.raw, &imsg), 1);
	imsg_free(&imsg);
	assert_int_equal(imsgbuf_read(&s.raw), 0);
	close_side(&s);
}

/* The end of a process: its code, and what it had queued goes out. */
static void
test_process_end(void **state)
{
	struct side s;
	struct imsg imsg;
	struct msg m;
	pid_t pid;
	int status;

	open_side(&s, *state, LINK_DB, ROLE_DBD, ROLE_WORKER, 0);
	node_del(&m, 7);
	link_send(s.link, &m);
	if ((pid = fork()) == 0) {
		(void)close(s.peer);
		env_end(ev_env(*state), 3, "as it is told");
		_exit(9);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 3);
	assert_int_equal(imsgbuf_read(&s.raw), 1);
	assert_int_equal(imsgbuf_get(&s.raw, &imsg), 1);
	assert_int_equal(imsg_get_type(&imsg), M_DB_NODE_DEL);
	imsg_free(&imsg);
	close_side(&s);
}

static void
no_blame(int level, const char *line, void *arg)
{
	(void)level;
	/* What looks for leaks at the exit needs descriptors. */
	if (setrlimit(RLIMIT_NOFILE, arg) == -1)
		_exit(5);
	if (strstr(line, "rule") != NULL || strstr(line, "trusted") != NULL)
		_exit(8);
	if (strstr(line, "out of file descriptors") == NULL)
		_exit(7);
}

/* Without room for what master hands down it ends, and says why. */
static void
test_no_room(void **state)
{
	struct rlimit old, none;
	struct side s;
	pid_t pid;
	int p[2], status;

	master_hands(&s, *state, p);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	none = old;
	none.rlim_cur = 0;
	if ((pid = fork()) == 0) {
		if (setrlimit(RLIMIT_NOFILE, &none) == -1)
			_exit(9);
		log_capture(no_blame, &old);
		ev_run(*state, NULL, NULL);
		_exit(6);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 1);
	(void)close(p[1]);
	close_side(&s);
}

#define T(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_world), T(test_timer), T(test_again), T(test_signal),
		T(test_fd), T(test_batch), T(test_slow_peer),
		T(test_overflow), T(test_descriptor), T(test_send_descriptor),
		T(test_descriptor_up), T(test_descriptor_unmarked),
		T(test_end), T(test_deaf_peer), T(test_bad_length),
		T(test_fair), T(test_free_in_handler), T(test_last_words),
		T(test_process_end), T(test_no_room)
	};

	return cmocka_run_group_tests_name("ev", tests, NULL, NULL);
}
