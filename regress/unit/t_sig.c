/* The client of the SIG link: one question, one answer, in time. */

#include <sys/socket.h>

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/compat/compat.h"
#include "common/msg.h"
#include "worker/sig.h"

struct world {
	struct sig	*s;
	int		 fd;		/* keyd's end */
	struct imsgbuf	 b;
	unsigned int	 downs;
	bool		 bad;
};

static void
on_down(bool bad, void *arg)
{
	struct world *w = arg;

	w->downs++;
	w->bad = bad;
}

static void
join(struct world *w)
{
	int fd[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	if (w->fd != -1) {
		imsgbuf_clear(&w->b);
		close(w->fd);
	}
	w->fd = fd[1];
	assert_int_equal(imsgbuf_init(&w->b, w->fd), 0);
	sig_set_fd(w->s, fd[0]);
	assert_true(sig_is_up(w->s));
}

static int
setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	(void)signal(SIGPIPE, SIG_IGN);	/* as the loop does */
	w->fd = -1;
	w->s = sig_new(on_down, w);
	join(w);
	*state = w;
	return 0;
}

static int
teardown(void **state)
{
	struct world *w = *state;

	sig_free(w->s);
	imsgbuf_clear(&w->b);
	if (w->fd != -1)
		close(w->fd);
	free(w);
	return 0;
}

/* keyd's answer, there before the question. */
static void
say(struct world *w, const struct msg *m, uint32_t id)
{
	struct buf b = { 0 };

	msg_encode(&b, m);
	assert_int_not_equal(imsg_compose(&w->b, m->type, id, 0, -1, b.p,
	    b.n), -1);
	assert_int_equal(imsgbuf_flush(&w->b), 0);
	buf_free(&b);
}

static void
say_ok(struct world *w, uint32_t id, size_t n)
{
	static uint8_t sig[1024];
	struct msg m;

	memset(sig, 7, sizeof(sig));
	msg_init(&m, M_SIG_OK);
	m.u.sig_ok.signature = slice_mem(sig, n);
	say(w, &m, id);
}

static int
ask(struct world *w, size_t max)
{
	uint8_t octets[130] = { 0x20 }, sig[1024] = { 0 };
	int n;

	n = sig_sign(3, 0x0403, octets, sizeof(octets), sig, max, w->s);
	if (n > 0)
		assert_int_equal(sig[n - 1], 7);
	return n;
}

static void
test_ok(void **state)
{
	struct world *w = *state;
	struct imsg imsg;
	struct ibuf body;
	struct msg m;

	say_ok(w, 1, 72);
	assert_int_equal(ask(w, 1024), 72);
	assert_int_equal(imsgbuf_read(&w->b), 1);
	assert_int_equal(imsgbuf_get(&w->b, &imsg), 1);
	assert_int_equal(imsg_get_type(&imsg), M_SIG_SIGN);
	assert_int_equal(imsg_get_id(&imsg), 1);
	assert_int_equal(imsg_get_ibuf(&imsg, &body), 0);
	assert_int_equal(msg_decode(&m, M_SIG_SIGN, ibuf_data(&body),
	    ibuf_size(&body)), 0);
	assert_int_equal(m.u.sig_sign.key, 3);
	assert_int_equal(m.u.sig_sign.scheme, 0x0403);
	assert_int_equal(m.u.sig_sign.octets.n, 130);
	imsg_free(&imsg);
	say_ok(w, 2, 512);
	assert_int_equal(ask(w, 512), 512);
	assert_int_equal(w->downs, 0);
}

/* A refusal is an answer. */
static void
test_no(void **state)
{
	struct world *w = *state;
	struct msg m;

	msg_init(&m, M_SIG_NO);
	m.u.sig_no.why = 2;
	say(w, &m, 1);
	assert_int_equal(ask(w, 1024), -1);
	assert_int_equal(w->downs, 0);
	say_ok(w, 2, 64);
	assert_int_equal(ask(w, 1024), 64);
}

static int64_t
now_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void
test_late(void **state)
{
	struct world *w = *state;
	int64_t from = now_ms(), took;

	assert_int_equal(ask(w, 1024), -1);
	took = now_ms() - from;
	assert_true(took >= 95 && took < 1000);
	assert_int_equal(w->downs, 1);
	assert_false(w->bad);
	assert_false(sig_is_up(w->s));
	/* No second wait, and a new link is a new start. */
	from = now_ms();
	assert_int_equal(ask(w, 1024), -1);
	assert_true(now_ms() - from < 50);
	assert_int_equal(w->downs, 1);
	join(w);
	say_ok(w, 2, 72);
	assert_int_equal(ask(w, 1024), 72);
}

/* Half an answer does not stop the clock. */
static void
test_half(void **state)
{
	struct world *w = *state;
	int64_t from = now_ms();

	assert_int_equal(write(w->fd, "\0\0\0", 3), 3);
	assert_int_equal(ask(w, 1024), -1);
	assert_true(now_ms() - from < 1000);
	assert_int_equal(w->downs, 1);
}

static void
test_gone(void **state)
{
	struct world *w = *state;

	close(w->fd);
	w->fd = -1;
	imsgbuf_clear(&w->b);
	assert_int_equal(ask(w, 1024), -1);
	assert_int_equal(w->downs, 1);
	assert_false(w->bad);
	join(w);
	close(w->fd);
	w->fd = -1;
	sig_check(w->s);
	assert_int_equal(w->downs, 2);
	assert_false(w->bad);
	assert_false(sig_is_up(w->s));
}

/* keyd is more trusted: what makes no sense is said to be bad. */
static void
test_bad(void **state)
{
	struct world *w = *state;
	struct msg m;
	uint8_t junk[64];

	say_ok(w, 9, 72);		/* of no question */
	assert_int_equal(ask(w, 1024), -1);
	assert_true(w->downs == 1 && w->bad);
	join(w);
	say_ok(w, 2, 600);		/* longer than the key's */
	assert_int_equal(ask(w, 512), -1);
	assert_true(w->downs == 2 && w->bad);
	join(w);
	msg_init(&m, M_KEY_SERVER);
	say(w, &m, 3);
	assert_int_equal(ask(w, 1024), -1);
	assert_true(w->downs == 3 && w->bad);
	join(w);
	memset(junk, 0xff, sizeof(junk));
	assert_int_equal(write(w->fd, junk, sizeof(junk)), sizeof(junk));
	assert_int_equal(ask(w, 1024), -1);
	assert_true(w->downs == 4 && w->bad);
	join(w);
	say_ok(w, 5, 72);		/* nobody asked yet */
	sig_check(w->s);
	assert_true(w->downs == 5 && w->bad);
}

#define T(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_ok), T(test_no), T(test_late), T(test_half),
		T(test_gone), T(test_bad)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
