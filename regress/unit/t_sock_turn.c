/*
 * What a turn writes when many have something to say: more than is gathered
 * at a time, some of it to who does not take it.
 */

#include <sys/types.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <arpa/inet.h>
#include <netinet/in.h>

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/compat/compat.h"
#include "common/noise.h"
#include "worker/net/sock.h"

#define BIG		20		/* 160 KB each: eight fit a batch */
#define BIG_N		(160 * 1024)
#define SMALL		1100		/* 512 fit a batch */
#define SMALL_N		9
#define TURN_MAX	65536
#define SLICE		(16384 + 22)
#define TURNS_MAX	100000
#define FILES		2600
#define RESET		3		/* of the big ones: it is gone, */
#define PART		7		/* takes a part of the first slice, */
#define NONE		12		/* and nothing */
#define PART_ROOM	5000

struct peer {
	int		 fd;
	int		 server;	/* its other end */
	struct req	*req;
	struct buf	 got;
	bool		 closed;
};

struct world {
	struct ev	*ev;
	struct net	*net;
	struct sock_set	*set;
	struct sockaddr_in addr;
	struct peer	 peers[SMALL];
	size_t		 n;
	size_t		 asked;
	size_t		 most;		/* taken of one in a turn */
	unsigned int	 turns;
	bool		(*until)(struct world *);
	struct timer	 clock;
};

/* A double of the call: what sockets take in a turn, and what they took. */
static size_t room[FILES], taken[FILES];

ssize_t	write(int, const void *, size_t);

ssize_t
write(int fd, const void *p, size_t n)
{
	ssize_t w;

	if (fd < 0 || fd >= FILES)
		return syscall(SYS_write, fd, p, n);
	if (n != 0 && taken[fd] >= room[fd]) {
		errno = EAGAIN;
		return -1;
	}
	if (n > room[fd] - taken[fd])
		n = room[fd] - taken[fd];
	if ((w = syscall(SYS_write, fd, p, n)) > 0)
		taken[fd] += (size_t)w;
	return w;
}

static void
new_turn(void)
{
	size_t i;

	for (i = 0; i < FILES; i++) {
		room[i] = SIZE_MAX;
		taken[i] = 0;
	}
}

static void
on_req(struct req *r, void *arg)
{
	struct world *w = arg;

	w->peers[w->asked++].req = r;
}

static void
on_gone(struct req *r, void *arg)
{
	struct world *w = arg;
	size_t i;

	for (i = 0; i < w->n; i++)
		if (w->peers[i].req == r)
			w->peers[i].req = NULL;
}

static void
on_drained(struct req *r, void *arg)
{
	(void)r;
	(void)arg;
}

static void
on_kick(struct conn *c, void *arg)
{
	struct world *w = arg;

	sock_kick(w->set, c);
}

static void
on_pause(bool paused, void *arg)
{
	(void)paused;
	(void)arg;
}

static void
on_clock(void *arg)
{
	struct world *w = arg;

	timer_in(&w->clock, 2000);
}

static void
on_turn(void *arg)
{
	struct world *w = arg;
	size_t i;

	new_turn();
	sock_turn(w->set);
	for (i = 0; i < w->n; i++)
		if (taken[w->peers[i].server] > w->most)
			w->most = taken[w->peers[i].server];
	if (w->until(w))
		ev_stop(w->ev);
	else if (++w->turns > TURNS_MAX)
		fail_msg("nothing happens");
}

static void
run(struct world *w, bool (*until)(struct world *))
{
	w->until = until;
	w->turns = 0;
	new_turn();
	ev_run(w->ev, on_turn, w);
	new_turn();
}

static int
listen_any(struct sockaddr_in *sin)
{
	socklen_t len = sizeof(*sin);
	int fd;

	memset(sin, 0, sizeof(*sin));
	sin->sin_family = AF_INET;
	sin->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	assert_int_not_equal(fd, -1);
	assert_int_equal(bind(fd, (struct sockaddr *)sin, len), 0);
	assert_int_equal(listen(fd, 16), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)sin, &len), 0);
	return fd;
}

/* Each connection has both its ends here. */
static int
setup(void **state)
{
	static const struct net_conf conf = { 10, 300, 60, 16384, 1 << 20,
	    2000 };
	struct net_ops ops = { on_req, on_req, on_gone, on_drained, on_kick,
	    NULL };
	struct rlimit rl;
	struct world *w;

	if (noise_init() == -1 || getrlimit(RLIMIT_NOFILE, &rl) == -1)
		return -1;
	if (rl.rlim_cur < FILES) {
		rl.rlim_cur = FILES;
		if (setrlimit(RLIMIT_NOFILE, &rl) == -1)
			return -1;
	}
	w = xcalloc(1, sizeof(*w));
	ops.arg = w;
	w->ev = ev_new();
	w->net = net_new(ev_env(w->ev), &conf, &ops);
	w->set = sock_new(w->ev, w->net, on_pause, w);
	sock_listen(w->set, 1, 1, CONN_K_PLAIN, false, listen_any(&w->addr));
	sock_accept(w->set, 1, true);
	timer_init(&w->clock, ev_env(w->ev), on_clock, w);
	timer_in(&w->clock, 2000);
	new_turn();
	*state = w;
	return 0;
}

static int
teardown(void **state)
{
	struct world *w = *state;
	size_t i;

	for (i = 0; i < w->n; i++) {
		if (w->peers[i].fd != -1)
			close(w->peers[i].fd);
		buf_free(&w->peers[i].got);
	}
	timer_stop(&w->clock);
	sock_free(w->set);
	net_free(w->net);
	ev_free(w->ev);
	free(w);
	return 0;
}

static bool
all_asked(struct world *w)
{
	return w->asked == w->n;
}

/* The number that accept(2) will return. */
static int
next_fd(void)
{
	int fd = dup(STDERR_FILENO);

	assert_int_not_equal(fd, -1);
	close(fd);
	return fd;
}

/* One after the other, so that it is known whose request is whose. */
static void
dial(struct world *w, size_t n)
{
	static const char ask[] = "GET /a HTTP/1.1\r\nHost: a\r\n"
	    "Connection: close\r\n\r\n";
	struct peer *p;

	while (w->n < n) {
		p = &w->peers[w->n++];
		p->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		assert_int_not_equal(p->fd, -1);
		assert_int_equal(connect(p->fd, (struct sockaddr *)&w->addr,
		    sizeof(w->addr)), 0);
		assert_int_equal(fcntl(p->fd, F_SETFL, O_NONBLOCK), 0);
		p->server = next_fd();
		assert_int_equal(write(p->fd, ask, sizeof(ask) - 1),
		    sizeof(ask) - 1);
		run(w, all_asked);
	}
}

static uint8_t
octet(size_t i, size_t at)
{
	return (uint8_t)(i * 31 + at * 7 + (at >> 8));
}

static void
answer(struct world *w, size_t i, size_t n)
{
	struct req_head h = { 200, "text/plain", (int64_t)n, NULL, NULL, NULL,
	    NULL };
	struct frame *f;
	uint8_t *p = xmalloc(n);
	size_t at;

	for (at = 0; at < n; at++)
		p[at] = octet(i, at);
	f = frame_new(p, n);
	free(p);
	req_begin(w->peers[i].req, &h);
	req_send(w->peers[i].req, f);
	frame_unref(f);
	req_end(w->peers[i].req);
}

static void
slurp(struct peer *p)
{
	char b[65536];
	ssize_t n;

	while ((n = read(p->fd, b, sizeof(b))) > 0)
		buf_put(&p->got, b, (size_t)n);
	p->closed = n == 0;
}

static bool
all_closed(struct world *w)
{
	size_t i, n = 0;

	for (i = 0; i < w->n; i++) {
		if (w->peers[i].fd != -1 && !w->peers[i].closed)
			slurp(&w->peers[i]);
		n += w->peers[i].fd == -1 || w->peers[i].closed;
	}
	return n == w->n;
}

/* Not an octet too many, too few or in another's place. */
static void
check(struct world *w, size_t i, size_t n)
{
	const struct buf *b = &w->peers[i].got;
	const uint8_t *body;
	size_t at;

	assert_true(b->n > n);
	body = b->p + (b->n - n);
	assert_memory_equal(b->p, "HTTP/1.1 200", 12);
	assert_memory_equal(body - 4, "\r\n\r\n", 4);
	assert_null(memmem(b->p, (size_t)(body - 4 - b->p), "\r\n\r\n", 4));
	for (at = 0; at < n; at++)
		if (body[at] != octet(i, at))
			fail_msg("octet %zu of peer %zu", at, i);
}

static uint32_t
conns(const struct world *w)
{
	uint32_t a, b, c;

	net_count(w->net, &a, &b, &c);
	return c;
}

/* A few slices fill what is gathered at a time; three are in the way. */
static void
t_big(void **state)
{
	struct linger l = { 1, 0 };
	struct world *w = *state;
	size_t i, n;

	dial(w, BIG);
	(void)setsockopt(w->peers[RESET].fd, SOL_SOCKET, SO_LINGER, &l,
	    sizeof(l));
	close(w->peers[RESET].fd);
	w->peers[RESET].fd = -1;
	new_turn();
	room[w->peers[PART].server] = PART_ROOM;
	room[w->peers[NONE].server] = 0;
	for (i = 0; i < BIG; i++)
		answer(w, i, BIG_N);
	sock_turn(w->set);
	assert_int_equal(conns(w), BIG - 1);
	for (i = 0; i < BIG; i++) {
		n = taken[w->peers[i].server];
		if (i == RESET || i == NONE)
			assert_int_equal(n, 0);
		else if (i == PART)
			assert_int_equal(n, PART_ROOM);
		else if (n < TURN_MAX || n > TURN_MAX + 1024)
			fail_msg("%zu octets to peer %zu in a turn", n, i);
	}
	run(w, all_closed);
	/* What was left over counts, too. */
	assert_in_range(w->most, TURN_MAX, TURN_MAX + SLICE - 1);
	for (i = 0; i < BIG; i++)
		if (i != RESET)
			check(w, i, BIG_N);
	assert_int_equal(conns(w), 0);
}

/* So do many connections. */
static void
t_small(void **state)
{
	struct world *w = *state;
	size_t i;

	dial(w, SMALL);
	new_turn();
	for (i = 0; i < SMALL; i++)
		answer(w, i, SMALL_N);
	sock_turn(w->set);
	for (i = 0; i < SMALL; i++)
		assert_true(taken[w->peers[i].server] > SMALL_N);
	run(w, all_closed);
	for (i = 0; i < SMALL; i++)
		check(w, i, SMALL_N);
	assert_int_equal(conns(w), 0);
}

#define T(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(t_big), T(t_small)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
