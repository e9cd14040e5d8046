/*
 * What a turn writes when many have something to say: more than is gathered
 * at a time, some of it to who does not take it.
 */

#include <sys/types.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>

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
#include "regress/lib/sockkit.h"

#define BIG		20		/* 160 KB each: eight fit a batch */
#define BIG_N		(160 * 1024)
#define SMALL		1100		/* 512 fit a batch */
#define SMALL_N		9
#define TURN_MAX	65536
#define SLICE		(16384 + 22)
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
	struct sockkit	 k;
	struct peer	 peers[SMALL];
	size_t		 n;
	size_t		 asked;
	size_t		 most;		/* taken of one in a turn */
	bool		(*until)(struct world *);
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
on_pause(bool paused, void *arg)
{
	(void)paused;
	(void)arg;
}

static bool
over(void *arg)
{
	struct world *w = arg;
	size_t i;

	for (i = 0; i < w->n; i++)
		if (taken[w->peers[i].server] > w->most)
			w->most = taken[w->peers[i].server];
	new_turn();
	return w->until(w);
}

static void
run(struct world *w, bool (*until)(struct world *))
{
	w->until = until;
	new_turn();
	sockkit_run(&w->k, over);
}

/* Each connection has both its ends here. */
static int
setup(void **state)
{
	static const struct net_conf conf = { 10, 300, 60, 16384, 1 << 20,
	    2000 };
	static const struct net_ops ops = { on_req, on_req, on_gone,
	    on_drained, NULL, NULL };
	struct rlimit rl;
	struct world *w;

	if (getrlimit(RLIMIT_NOFILE, &rl) == -1)
		return -1;
	if (rl.rlim_cur < FILES) {
		rl.rlim_cur = FILES;
		if (setrlimit(RLIMIT_NOFILE, &rl) == -1)
			return -1;
	}
	w = xcalloc(1, sizeof(*w));
	new_turn();
	*state = w;
	return sockkit_open(&w->k, &conf, &ops, on_pause) ? 0 : -1;
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
	sockkit_close(&w->k);
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
		p->fd = sockkit_dial(&w->k);
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
	sock_turn(w->k.set);
	assert_int_equal(sockkit_conns(&w->k), BIG - 1);
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
	assert_int_equal(sockkit_conns(&w->k), 0);
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
	sock_turn(w->k.set);
	for (i = 0; i < SMALL; i++)
		assert_true(taken[w->peers[i].server] > SMALL_N);
	run(w, all_closed);
	for (i = 0; i < SMALL; i++)
		check(w, i, SMALL_N);
	assert_int_equal(sockkit_conns(&w->k), 0);
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
