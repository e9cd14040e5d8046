/* The outer part over real sockets of this machine. */

#include <sys/types.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>

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
#include "common/log.h"
#include "regress/lib/certkit.h"
#include "regress/lib/sockkit.h"

#define PEERS		200

struct world {
	struct sockkit	 k;
	unsigned int	 asked, gone, drained, pauses, resumes;
	bool		 paused;
	struct req	*req;		/* the last one asked */
	struct ipport	 peer;		/* ... and who asked */
	bool		 stream;	/* keep it instead of answering */
	bool		(*until)(struct world *);
	int		 fd[PEERS];
	size_t		 got;
	bool		 closed;
};

static void
on_req(struct req *r, void *arg)
{
	struct req_head h = { 200, "text/plain", -1, NULL, NULL, NULL, NULL };
	struct world *w = arg;

	w->asked++;
	w->req = r;
	w->peer = *req_peer(r);
	if (!w->stream)
		req_reply(r, &h, "hello", 5);
}

static void
on_gone(struct req *r, void *arg)
{
	struct world *w = arg;

	(void)r;
	w->gone++;
	w->req = NULL;
}

static void
on_drained(struct req *r, void *arg)
{
	struct world *w = arg;

	(void)r;
	w->drained++;
}

static void
on_pause(bool paused, void *arg)
{
	struct world *w = arg;

	w->paused = paused;
	if (paused)
		w->pauses++;
	else
		w->resumes++;
}

static bool
over(void *arg)
{
	struct world *w = arg;

	return w->until(w);
}

static void
run(struct world *w, bool (*until)(struct world *))
{
	w->until = until;
	sockkit_run(&w->k, over);
}

static int
setup(void **state)
{
	static const struct net_conf conf = { 10, 300, 60, 16384, 1 << 20,
	    100 };
	static const struct net_ops ops = { on_req, on_req, on_gone,
	    on_drained, NULL, NULL };
	struct world *w;
	int i;

	w = xcalloc(1, sizeof(*w));
	for (i = 0; i < PEERS; i++)
		w->fd[i] = -1;
	*state = w;
	return sockkit_open(&w->k, &conf, &ops, on_pause) ? 0 : -1;
}

static int
teardown(void **state)
{
	struct world *w = *state;
	int i;

	for (i = 0; i < PEERS; i++)
		if (w->fd[i] != -1)
			close(w->fd[i]);
	sockkit_close(&w->k);
	free(w);
	return 0;
}

/* Reads what is there of fd[0]. */
static void
slurp(struct world *w)
{
	char b[65536];
	ssize_t n;

	while ((n = read(w->fd[0], b, sizeof(b))) > 0)
		w->got += (size_t)n;
	if (n == 0)
		w->closed = true;
}

static bool
closed(struct world *w)
{
	slurp(w);
	return w->closed;
}

static bool
none_left(struct world *w)
{
	return sockkit_conns(&w->k) == 0;
}

static const char ask[] = "GET /a HTTP/1.1\r\nHost: a\r\n";

static void
say(int fd, const char *s)
{
	assert_int_equal(write(fd, s, strlen(s)), strlen(s));
}

static bool
was_asked(struct world *w)
{
	return w->asked != 0;
}

static void
t_request(void **state)
{
	struct world *w = *state;

	w->fd[0] = sockkit_dial(&w->k);
	say(w->fd[0], ask);
	say(w->fd[0], "Connection: close\r\n\r\n");
	run(w, closed);
	assert_int_equal(w->asked, 1);
	assert_true(w->got > 50);
	assert_int_equal(w->peer.addr.family, 4);
	assert_int_equal(w->peer.addr.b[0], 127);
	assert_int_not_equal(w->peer.port, 0);
	run(w, none_left);
}

static bool
stalled(struct world *w)
{
	static size_t last;
	static unsigned int same;

	if (w->req == NULL)
		return true;
	same = req_queued(w->req) == last ? same + 1 : 0;
	last = req_queued(w->req);
	return same > 50;
}

/* The rest waits as frames, not as octets in the kernel. */
static void
t_slow_reader(void **state)
{
	struct world *w = *state;
	struct frame *f;
	uint8_t *p;
	size_t taken, n = 16 << 20;

	w->stream = true;
	w->fd[0] = sockkit_dial(&w->k);
	say(w->fd[0], ask);
	say(w->fd[0], "\r\n");
	run(w, was_asked);
	p = xcalloc(1, n);
	f = frame_new(p, n);
	free(p);
	req_begin(w->req, &(struct req_head){ 200, NULL, -1, NULL, NULL, NULL,
	    NULL });
	req_send(w->req, f);
	frame_unref(f);
	run(w, stalled);
	taken = n - req_queued(w->req);
	print_message("taken by the kernel: %zu KB\n", taken / 1024);
	assert_true(taken < 8 << 20);
	assert_int_equal(w->drained, 0);
	req_end(w->req);
	run(w, closed);
	assert_true(w->got > n && w->got < n + 300);
	run(w, none_left);
}

static bool
is_paused(struct world *w)
{
	return w->paused;
}

static bool
is_back(struct world *w)
{
	return !w->paused;
}

static bool
all_there(struct world *w)
{
	return sockkit_conns(&w->k) == 100;
}

/* Ten more than there may be. */
static void
crowd(struct world *w)
{
	int i;

	for (i = 0; i < 110; i++)
		w->fd[i] = sockkit_dial(&w->k);
	run(w, is_paused);
	assert_int_equal(sockkit_conns(&w->k), 100);
}

/* At max_conns the backlog waits; one that leaves lets one in. */
static void
t_full(void **state)
{
	struct world *w = *state;
	int i;

	crowd(w);
	assert_int_equal(net_counters(w->k.net)->refused, 0);
	for (i = 0; i < 5; i++) {
		close(w->fd[i]);
		w->fd[i] = -1;
	}
	run(w, is_back);
	run(w, is_paused);
	assert_int_equal(sockkit_conns(&w->k), 100);
	assert_int_equal(net_counters(w->k.net)->conns, 105);
}

/* Descriptors run out: a pause of a second, then on. */
static void
t_emfile(void **state)
{
	struct world *w = *state;
	struct rlimit old, few;
	uint64_t at;
	int i, fd;

	for (i = 0; i < 20; i++)
		w->fd[i] = sockkit_dial(&w->k);
	fd = dup(0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	few = old;
	few.rlim_cur = (rlim_t)fd + 6;
	close(fd);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	log_verbose(0);
	run(w, is_paused);
	assert_true(sockkit_conns(&w->k) < 20);
	at = env_now(ev_env(w->k.ev));
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	run(w, is_back);
	assert_true(env_now(ev_env(w->k.ev)) - at > 900 * US_PER_MS);
	w->fd[20] = sockkit_dial(&w->k);
	for (i = 21; i < 100; i++)
		w->fd[i] = sockkit_dial(&w->k);
	run(w, all_there);
	assert_int_equal(w->pauses, 2);
}

static bool
a_while(struct world *w)
{
	return w->k.turns > 20;
}

/* The limit of files is this one for whatever is made in setup(). */
static int
setup_with(void **state, rlim_t files)
{
	struct rlimit old, few;
	int rc;

	if (getrlimit(RLIMIT_NOFILE, &old) == -1)
		return -1;
	few = old;
	few.rlim_cur = files;
	if (setrlimit(RLIMIT_NOFILE, &few) == -1)
		return -1;
	rc = setup(state);
	return setrlimit(RLIMIT_NOFILE, &old) == -1 ? -1 : rc;
}

static int
setup_260(void **state)
{
	return setup_with(state, 260);
}

static int
setup_120(void **state)
{
	return setup_with(state, 120);
}

static bool
paused_soon(struct world *w)
{
	return w->paused || w->k.turns > 2000;
}

/* What the limit of files leaves room for; the backlog waits for the rest. */
static void
reserve(struct world *w, unsigned int room)
{
	unsigned int i;

	for (i = 0; i < room + 9; i++)
		w->fd[i] = sockkit_dial(&w->k);
	run(w, paused_soon);
	assert_true(w->paused);
	assert_int_equal(sockkit_conns(&w->k), room);
	run(w, a_while);
	assert_int_equal(sockkit_conns(&w->k), room);
	assert_int_equal(w->pauses, 1);
	assert_int_equal(w->resumes, 0);
	for (i = 0; i < 5; i++) {
		close(w->fd[i]);
		w->fd[i] = -1;
	}
	run(w, is_back);
	run(w, is_paused);
	assert_int_equal(sockkit_conns(&w->k), room);
	assert_int_equal(net_counters(w->k.net)->conns, room + 5);
	assert_int_equal(net_counters(w->k.net)->refused, 0);
}

static bool
back_soon(struct world *w)
{
	return !w->paused || w->k.turns > 2000;
}

static const struct net_conf plenty = { 10, 300, 60, 16384, 1 << 20, 1000 };

/* Full no more although nobody has left: the bound is another one. */
static void
t_full_no_more(void **state)
{
	struct world *w = *state;

	crowd(w);
	net_reconf(w->k.net, &plenty);
	run(w, back_soon);
	assert_false(w->paused);
	run(w, a_while);
	assert_int_equal(sockkit_conns(&w->k), 110);
}

/* Its descriptor is a connection's again. */
static void
t_reserve_unlisten(void **state)
{
	struct sockaddr_in other;
	struct world *w = *state;
	int i;

	net_reconf(w->k.net, &plenty);
	sock_listen(w->k.set, 2, 3, CONN_K_PLAIN, false,
	    sockkit_listen(&other));
	for (i = 0; i < 140; i++)
		w->fd[i] = sockkit_dial(&w->k);
	run(w, paused_soon);
	assert_int_equal(sockkit_conns(&w->k), 260 - 128 - 2);
	sock_unlisten(w->k.set, 2);
	run(w, back_soon);
	assert_false(w->paused);
	run(w, paused_soon);
	assert_true(w->paused);
	assert_int_equal(sockkit_conns(&w->k), 260 - 128 - 1);
}

static char said[256];
static unsigned int nsaid;

static void
on_line(int level, const char *line, void *arg)
{
	(void)level;
	(void)arg;
	nsaid++;
	(void)strlcpy(said, line, sizeof(said));
}

/* A listener has a descriptor as well; what is wrong is said once. */
static void
t_reserve(void **state)
{
	struct world *w = *state;

	nsaid = 0;
	log_capture(on_line, NULL);
	net_reconf(w->k.net, &plenty);
	reserve(w, 260 - 128 - 1);
	log_capture(NULL, NULL);
	assert_int_equal(nsaid, 1);
	assert_string_equal(said, "no more than 131 connections: the limit of "
	    "open files is 260, too low for 1000; raise it, or lower "
	    "limits.connections");
}

/* Half of few are kept, or there would be none for connections. */
static void
t_reserve_few(void **state)
{
	reserve(*state, 60);
}

/* Enough of both: nothing is said. */
static void
t_reserve_enough(void **state)
{
	static const struct net_conf fewer = { 10, 300, 60, 16384, 1 << 20,
	    131 };
	struct world *w = *state;

	nsaid = 0;
	log_capture(on_line, NULL);
	net_reconf(w->k.net, &fewer);
	reserve(w, 131);
	log_capture(NULL, NULL);
	assert_int_equal(nsaid, 0);
}

static void
t_slots(void **state)
{
	struct world *w = *state;
	struct sockaddr_in other;

	/* a sibling's slot, not ours */
	sock_listen(w->k.set, 1, 4, CONN_K_PLAIN, false,
	    sockkit_listen(&other));
	w->k.addr = other;
	w->fd[0] = sockkit_dial(&w->k);
	say(w->fd[0], ask);
	say(w->fd[0], "\r\n");
	run(w, a_while);
	assert_int_equal(sockkit_conns(&w->k), 0);
	sock_accept(w->k.set, 4, true);	/* it is down */
	run(w, was_asked);
	sock_accept(w->k.set, 4, false);
	w->fd[1] = sockkit_dial(&w->k);
	run(w, a_while);
	/* it lives on, no new ones */
	assert_int_equal(sockkit_conns(&w->k), 1);
	sock_accept(w->k.set, 4, true);
	run(w, a_while);
	assert_int_equal(sockkit_conns(&w->k), 2);
	sock_unlisten(w->k.set, 1);
	w->fd[2] = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(w->fd[2], (struct sockaddr *)&other,
	    sizeof(other)), -1);
	assert_int_equal(sockkit_conns(&w->k), 2);
}

static bool
is_gone(struct world *w)
{
	return w->gone != 0;
}

/* The client vanishes under a request, with RST. */
static void
t_reset(void **state)
{
	struct linger l = { 1, 0 };
	struct world *w = *state;

	w->stream = true;
	w->fd[0] = sockkit_dial(&w->k);
	say(w->fd[0], ask);
	say(w->fd[0], "\r\n");
	run(w, was_asked);
	(void)setsockopt(w->fd[0], SOL_SOCKET, SO_LINGER, &l, sizeof(l));
	close(w->fd[0]);
	w->fd[0] = -1;
	run(w, is_gone);
	run(w, none_left);
}

/* An error text reaches the client although more input is on its way. */
static void
t_lingers(void **state)
{
	struct world *w = *state;
	char junk[20000];

	memset(junk, 'a', sizeof(junk));
	w->fd[0] = sockkit_dial(&w->k);
	say(w->fd[0], "GET /");
	assert_int_equal(write(w->fd[0], junk, sizeof(junk)), sizeof(junk));
	run(w, closed);
	assert_true(w->got > 60);
	run(w, none_left);
	assert_int_equal(net_counters(w->k.net)->head_large, 1);
}

/* A listener of TLS accepts while there are certificates and signatures. */
static bool
one_more(struct world *w)
{
	return sockkit_conns(&w->k) == 1;
}

static bool
some_turns(struct world *w)
{
	return w->k.turns > 20;
}

static void
t_tls(void **state)
{
	struct world *w = *state;
	struct certkit *kit = certkit_new();
	struct tls_signer s = certkit_signer(kit);
	struct tls *t = tls_new(&s);
	struct sockaddr_in plain = w->k.addr;

	certkit_add(kit, t, CK_P256, "DNS:a.example");
	sock_listen(w->k.set, 2, 3, CONN_K_TLS, false,
	    sockkit_listen(&w->k.addr));
	w->fd[0] = sockkit_dial(&w->k);
	run(w, some_turns);
	assert_int_equal(sockkit_conns(&w->k), 0);
	net_tls(w->k.net, t);
	run(w, one_more);
	net_tls_hold(w->k.net, true);
	run(w, some_turns);
	w->fd[1] = sockkit_dial(&w->k);
	run(w, some_turns);
	assert_int_equal(sockkit_conns(&w->k), 1);
	close(w->fd[0]);
	w->fd[0] = -1;
	run(w, none_left);
	/* Others are none the wiser. */
	w->k.addr = plain;
	w->fd[0] = sockkit_dial(&w->k);
	say(w->fd[0], ask);
	say(w->fd[0], "\r\n");
	run(w, was_asked);
	assert_int_equal(sockkit_conns(&w->k), 1);
	close(w->fd[0]);
	w->fd[0] = -1;
	run(w, none_left);
	net_tls_hold(w->k.net, false);
	run(w, one_more);
	net_tls(w->k.net, NULL);
	tls_free(t);
	certkit_free(kit);
}

/* A stranger at a listener for proxies does not stop the others. */
static bool
two_more(struct world *w)
{
	return sockkit_conns(&w->k) == 2;
}

static void
t_proxy(void **state)
{
	struct prefix loopback;
	struct world *w = *state;

	sock_listen(w->k.set, 2, 3, CONN_K_PLAIN, true,
	    sockkit_listen(&w->k.addr));
	w->fd[0] = sockkit_dial(&w->k);
	run(w, closed);
	assert_int_equal(net_edge_counters(w->k.net)->proxy_bad, 1);
	assert_true(prefix_parse(&loopback, slice_str("127.0.0.0/8")));
	net_proxies(w->k.net, &loopback, 1);
	w->fd[1] = sockkit_dial(&w->k);
	w->fd[2] = sockkit_dial(&w->k);
	run(w, two_more);
	say(w->fd[1], "PROXY TCP4 192.0.2.9 192.0.2.1 777 80\r\n");
	say(w->fd[1], ask);
	say(w->fd[1], "\r\n");
	run(w, was_asked);
	assert_int_equal(w->peer.port, 777);
}

/* A pipe. */

static bool	pipe_done;

static size_t
pipe_input(void *arg, const void *p, size_t n)
{
	(void)arg;
	(void)p;
	return n;
}

static bool
pipe_yes(const void *arg)
{
	(void)arg;
	return true;
}

static size_t
pipe_output(void *arg, uint8_t *dst, size_t max)
{
	(void)arg;
	memset(dst, 'x', max);
	return max;
}

static bool
pipe_is_done(const void *arg)
{
	(void)arg;
	return pipe_done;
}

static void
pipe_gone(void *arg)
{
	struct world *w = arg;

	w->gone++;
}

/* Its client takes nothing: when the pipe is done that is not waited for. */
static void
t_cut(void **state)
{
	static const struct pipe_ops ops = { pipe_input, pipe_yes,
	    pipe_output, pipe_yes, pipe_is_done, pipe_gone, NULL };
	struct world *w = *state;
	struct conn *c;

	pipe_done = false;
	w->stream = true;
	w->fd[0] = sockkit_dial(&w->k);
	say(w->fd[0], ask);
	say(w->fd[0], "\r\n");
	run(w, was_asked);
	assert_non_null(c = req_pipe(w->req, "", 0, false, &ops, w));
	w->asked = 0;
	/* Until the socket is full. */
	run(w, some_turns);
	run(w, some_turns);
	assert_int_equal(sockkit_conns(&w->k), 1);
	pipe_done = true;
	conn_pipe_kick(c);
	run(w, none_left);
	assert_true(w->k.turns <= 3);
	assert_int_equal(w->gone, 1);
}

static unsigned int progressed;

static void
pipe_progress(void *arg)
{
	(void)arg;
	progressed++;
}

static bool
has_progressed(struct world *w)
{
	return progressed != 0 || w->k.turns > 2000;
}

/* Octets that the socket takes of a slice are told, and only those. */
static void
t_progress(void **state)
{
	static const struct pipe_ops ops = { pipe_input, pipe_yes,
	    pipe_output, pipe_yes, pipe_is_done, pipe_gone, pipe_progress };
	static char in[60000];
	struct world *w = *state;

	pipe_done = false;
	w->stream = true;
	w->fd[0] = sockkit_dial(&w->k);
	say(w->fd[0], ask);
	say(w->fd[0], "\r\n");
	run(w, was_asked);
	assert_non_null(req_pipe(w->req, "", 0, false, &ops, w));
	w->asked = 0;
	run(w, some_turns);
	run(w, some_turns);
	/* The socket is full, and nobody reads. */
	progressed = 0;
	run(w, some_turns);
	assert_int_equal(progressed, 0);
	while (read(w->fd[0], in, sizeof(in)) > 0)
		continue;
	run(w, has_progressed);
	assert_int_not_equal(progressed, 0);
}

/* The server's end of a connection, which is of this process. */
static int
other_end(int fd)
{
	struct sockaddr_in ours, sin;
	socklen_t len = sizeof(ours);
	int i;

	assert_int_equal(getsockname(fd, (struct sockaddr *)&ours, &len), 0);
	for (i = 3; i < 1024; i++) {
		len = sizeof(sin);
		if (getpeername(i, (struct sockaddr *)&sin, &len) == 0 &&
		    len == sizeof(sin) && sin.sin_port == ours.sin_port)
			return i;
	}
	return -1;
}

static int
user_ms(int fd)
{
	socklen_t len = sizeof(int);
	int ms = -1;

	assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms,
	    &len), 0);
	return ms;
}

/* Who takes nothing is gone sooner where others wait for it. */
static void
t_user_timeout(void **state)
{
	static const struct pipe_ops ops = { pipe_input, pipe_yes,
	    pipe_output, pipe_yes, pipe_is_done, pipe_gone, NULL };
	struct world *w = *state;
	int fd;

	pipe_done = false;
	w->stream = true;
	w->fd[0] = sockkit_dial(&w->k);
	say(w->fd[0], ask);
	say(w->fd[0], "\r\n");
	run(w, was_asked);
	fd = other_end(w->fd[0]);
	assert_int_equal(user_ms(fd), 30000);
	assert_non_null(req_pipe(w->req, "", 0, false, &ops, w));
	w->asked = 0;
	run(w, some_turns);
	assert_int_equal(user_ms(fd), 15000);
	pipe_done = true;
}

#define T(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(t_request), T(t_slow_reader), T(t_full), T(t_full_no_more),
		T(t_emfile),
		T(t_slots), T(t_reset), T(t_lingers), T(t_tls), T(t_proxy),
		T(t_cut), T(t_progress), T(t_user_timeout),
		cmocka_unit_test_setup_teardown(t_reserve, setup_260,
		    teardown),
		cmocka_unit_test_setup_teardown(t_reserve_few, setup_120,
		    teardown),
		cmocka_unit_test_setup_teardown(t_reserve_enough, setup_260,
		    teardown),
		cmocka_unit_test_setup_teardown(t_reserve_unlisten, setup_260,
		    teardown)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
