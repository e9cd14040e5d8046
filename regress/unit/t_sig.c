/* The client of the SIG link: answers as they come, in time, or none. */

#include <sys/socket.h>
#include <sys/wait.h>

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
#include "worker/sig.h"

#define OCTETS	130
#define ENOUGH	(2 * US_PER_S)

/* In place of a handshake's. */
struct tls_hs {
	unsigned int	 told;
	size_t		 n;
	uint8_t		 last;		/* octet of the signature */
	struct tls_hs	*drops;		/* when it is told */
	const struct tls_signer *signer;
};

struct world {
	struct ev	*ev;
	struct sig	*s;
	struct tls_signer signer;
	int		 fd;		/* keyd's end */
	struct imsgbuf	 b;
	unsigned int	 lates;
	unsigned int	 downs;
	unsigned int	 told;		/* when it went down */
	struct tls_hs	 hs[4];
	struct timer	 due;
	unsigned int	 want;		/* of hs to be told */
	bool		 over;
};

static unsigned int
told(const struct world *w)
{
	return w->hs[0].told + w->hs[1].told + w->hs[2].told + w->hs[3].told;
}

void
tls_hs_signed(struct tls_hs *hs, const void *sig, size_t n)
{
	hs->told++;
	hs->n = n;
	hs->last = n == 0 ? 0 : ((const uint8_t *)sig)[n - 1];
	if (hs->drops != NULL)
		hs->signer->forget(hs->drops, hs->signer->arg);
}

static void
on_change(void *arg)
{
	struct world *w = arg;

	if (sig_is_up(w->s)) {
		w->lates += sig_is_late(w->s);
		return;
	}
	assert_false(sig_is_late(w->s));
	w->downs++;
	w->told = told(w);
}

static void
on_due(void *arg)
{
	((struct world *)arg)->over = true;
}

static void
on_turn(void *arg)
{
	struct world *w = arg;

	if (w->over || (w->want != 0 && told(w) >= w->want))
		ev_stop(w->ev);
}

/* Until so many were told, or for so long. */
static void
turn(struct world *w, unsigned int want, uint64_t us)
{
	w->want = want;
	w->over = false;
	timer_in(&w->due, us);
	ev_run(w->ev, on_turn, w);
	timer_stop(&w->due);
}

static void
join(struct world *w)
{
	struct link_conf conf = { .slot = 1, .generation = 1 };
	int fd[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
	if (w->fd != -1) {
		imsgbuf_clear(&w->b);
		close(w->fd);
	}
	w->fd = fd[1];
	assert_int_equal(imsgbuf_init(&w->b, w->fd), 0);
	sig_set_fd(w->s, &conf, fd[0]);
	assert_true(sig_is_up(w->s));
}

static int
setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	w->fd = -1;
	w->ev = ev_new();
	timer_init(&w->due, ev_env(w->ev), on_due, w);
	w->s = sig_new(w->ev, on_change, w);
	w->signer = sig_signer(w->s);
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
	ev_free(w->ev);
	free(w);
	return 0;
}

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
	uint8_t sig[1024];
	struct msg m;

	memset(sig, (int)id, sizeof(sig));
	msg_init(&m, M_SIG_OK);
	m.u.sig_ok.signature = slice_mem(sig, n);
	say(w, &m, id);
}

static int
ask(struct world *w, size_t i)
{
	static const uint8_t octets[OCTETS] = { 0x20 };
	uint8_t sig[TLS_SIG_MAX];

	return w->signer.sign(&w->hs[i], 3 + (unsigned int)i, 0x0403, octets,
	    sizeof(octets), sig, sizeof(sig), w->signer.arg);
}

/* The next question: its id. */
static uint32_t
heard(struct world *w, unsigned int key)
{
	struct imsg imsg;
	struct ibuf body;
	struct msg m;
	uint32_t id;
	int rc;

	while ((rc = imsgbuf_get(&w->b, &imsg)) == 0)
		assert_int_equal(imsgbuf_read(&w->b), 1);
	assert_int_equal(rc, 1);
	assert_int_equal(imsg_get_type(&imsg), M_SIG_SIGN);
	assert_int_equal(imsg_get_ibuf(&imsg, &body), 0);
	assert_int_equal(msg_decode(&m, M_SIG_SIGN, ibuf_data(&body),
	    ibuf_size(&body)), 0);
	assert_int_equal(m.u.sig_sign.key, key);
	assert_int_equal(m.u.sig_sign.scheme, 0x0403);
	assert_int_equal(m.u.sig_sign.octets.n, OCTETS);
	id = imsg_get_id(&imsg);
	imsg_free(&imsg);
	return id;
}

/* A question leaves at once, the next one with the answer to it. */
static void
test_ok(void **state)
{
	struct world *w = *state;
	uint32_t a, b;
	char c;

	assert_int_equal(ask(w, 0), 0);
	assert_int_equal(ask(w, 1), 0);
	a = heard(w, 3);
	assert_int_equal(recv(w->fd, &c, 1, MSG_DONTWAIT), -1);
	say_ok(w, a, 512);
	turn(w, 1, ENOUGH);
	assert_int_equal(w->hs[0].n, 512);
	assert_int_equal(w->hs[0].last, (uint8_t)a);
	b = heard(w, 4);
	assert_int_equal(w->hs[1].told, 0);
	say_ok(w, b, 72);
	turn(w, 2, ENOUGH);
	assert_int_equal(w->hs[1].n, 72);
	assert_int_equal(w->hs[1].last, (uint8_t)b);
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
	assert_int_equal(ask(w, 0), 0);
	say(w, &m, heard(w, 3));
	turn(w, 1, ENOUGH);
	assert_int_equal(w->hs[0].told, 1);
	assert_int_equal(w->hs[0].n, 0);
	assert_int_equal(ask(w, 1), 0);
	say_ok(w, heard(w, 4), 64);
	turn(w, 2, ENOUGH);
	assert_int_equal(w->hs[1].n, 64);
	assert_int_equal(w->downs, 0);
}

/*
 * Nobody wants it any more: not a word of it, others are served, and keyd is
 * not late with what it has answered.
 */
static void
test_forget(void **state)
{
	struct world *w = *state;
	char c;

	assert_int_equal(ask(w, 0), 0);
	assert_int_equal(ask(w, 1), 0);
	w->signer.forget(&w->hs[0], w->signer.arg);
	assert_int_equal(ask(w, 2), 0);
	w->signer.forget(&w->hs[2], w->signer.arg);	/* not yet asked */
	say_ok(w, heard(w, 3), 72);
	turn(w, 0, 20 * US_PER_MS);
	say_ok(w, heard(w, 4), 72);
	turn(w, 1, ENOUGH);
	turn(w, 0, 150 * US_PER_MS);
	/* What was not asked yet is not asked any more. */
	assert_int_equal(recv(w->fd, &c, 1, MSG_DONTWAIT), -1);
	assert_int_equal(w->hs[0].told + w->hs[2].told, 0);
	assert_int_equal(w->hs[1].n, 72);
	assert_int_equal(w->lates + w->downs, 0);
}

/* Who learns that there is no signature may end others that wait. */
static void
test_forget_lost(void **state)
{
	struct world *w = *state;
	size_t i;

	w->hs[0].drops = &w->hs[2];
	w->hs[0].signer = &w->signer;
	for (i = 0; i < 3; i++)
		assert_int_equal(ask(w, i), 0);
	join(w);
	assert_int_equal(told(w), 2);
	assert_int_equal(w->hs[2].told, 0);
	for (i = 0; i < 3; i++)
		assert_int_equal(ask(w, i), 0);
	close(w->fd);
	w->fd = -1;
	imsgbuf_clear(&w->b);
	turn(w, 4, ENOUGH);
	turn(w, 0, 20 * US_PER_MS);
	assert_int_equal(told(w), 4);
	assert_int_equal(w->hs[2].told, 0);
	assert_int_equal(w->downs, 1);
}

static int64_t
now_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* It is we who slept: the answer was there in time. */
static void
test_asleep(void **state)
{
	struct world *w = *state;

	assert_int_equal(ask(w, 0), 0);
	say_ok(w, heard(w, 3), 72);
	usleep(150 * 1000);
	turn(w, 1, ENOUGH);
	assert_int_equal(w->hs[0].n, 72);
	assert_int_equal(w->lates + w->downs, 0);
}

/* Late: that is said, and all wait; it may still come. */
static void
test_late(void **state)
{
	struct world *w = *state;
	int64_t from = now_ms();

	assert_int_equal(ask(w, 0), 0);
	assert_int_equal(ask(w, 1), 0);
	turn(w, 0, 150 * US_PER_MS);
	assert_true(sig_is_late(w->s) && sig_is_up(w->s));
	assert_int_equal(w->lates, 1);
	assert_int_equal(told(w), 0);
	say_ok(w, heard(w, 3), 72);
	turn(w, 1, ENOUGH);
	assert_false(sig_is_late(w->s));
	assert_int_equal(w->hs[0].n, 72);
	/* Half an answer is none. */
	assert_int_equal(write(w->fd, "\0\0\0", 3), 3);
	from = now_ms();
	turn(w, 2, SIG_LOST_MS * US_PER_MS + ENOUGH);
	assert_true(now_ms() - from >= SIG_LOST_MS - 200);
	assert_int_equal(w->lates, 2);
	assert_int_equal(w->downs, 1);
	assert_int_equal(w->told, 1);	/* who waits learns it after */
	assert_true(w->hs[1].told == 1 && w->hs[1].n == 0);
	/* No second wait, and a new link is a new start. */
	assert_int_equal(ask(w, 2), -1);
	join(w);
	assert_int_equal(ask(w, 2), 0);
	say_ok(w, heard(w, 5), 72);
	turn(w, 3, ENOUGH);
	assert_int_equal(w->hs[2].n, 72);
	assert_int_equal(w->downs, 1);
}

static void
test_gone(void **state)
{
	struct world *w = *state;

	assert_int_equal(ask(w, 0), 0);
	close(w->fd);
	w->fd = -1;
	imsgbuf_clear(&w->b);
	turn(w, 1, ENOUGH);
	assert_int_equal(w->downs, 1);
	assert_int_equal(w->hs[0].n, 0);
	/* Also while nobody waits. */
	join(w);
	close(w->fd);
	w->fd = -1;
	imsgbuf_clear(&w->b);
	turn(w, 0, 50 * US_PER_MS);
	assert_int_equal(w->downs, 2);
	assert_false(sig_is_up(w->s));
}

/* A new keyd: who waited for the one before is told, and no more said. */
static void
test_replaced(void **state)
{
	struct world *w = *state;

	assert_int_equal(ask(w, 0), 0);
	join(w);
	assert_int_equal(w->hs[0].told, 1);
	assert_int_equal(w->hs[0].n, 0);
	assert_int_equal(ask(w, 1), 0);
	say_ok(w, heard(w, 4), 72);
	turn(w, 2, ENOUGH);
	assert_int_equal(w->hs[1].n, 72);
	assert_int_equal(w->downs, 0);
}

/* Where handshakes can't stand still. */
static void
test_wait(void **state)
{
	struct world *w = *state;

	assert_int_equal(ask(w, 0), 0);
	say_ok(w, heard(w, 3), 72);
	w->signer.wait(&w->hs[0], w->signer.arg);
	assert_int_equal(w->hs[0].n, 72);
	assert_int_equal(ask(w, 1), 0);
	w->signer.wait(&w->hs[1], w->signer.arg);
	assert_true(w->hs[1].told == 1 && w->hs[1].n == 0);
	assert_int_equal(w->downs, 1);
	join(w);
	assert_int_equal(ask(w, 2), 0);
	close(w->fd);
	w->fd = -1;
	imsgbuf_clear(&w->b);
	w->signer.wait(&w->hs[2], w->signer.arg);
	assert_true(w->hs[2].told == 1 && w->hs[2].n == 0);
	assert_int_equal(w->downs, 2);
	w->signer.wait(&w->hs[3], w->signer.arg);
	assert_true(w->hs[3].told == 1 && w->hs[3].n == 0);
	turn(w, 0, US_PER_MS);
	assert_int_equal(w->downs, 2);
}

/* keyd is more trusted: what makes no sense ends us. */
static void
ends(struct world *w, void (*fn)(struct world *))
{
	int status;
	pid_t pid;

	assert_int_not_equal(pid = fork(), -1);
	if (pid == 0) {
		fn(w);
		turn(w, 0, ENOUGH);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
}

static void
say_unasked(struct world *w)
{
	say_ok(w, 9, 72);
}

static void
say_other(struct world *w)
{
	struct msg m;

	assert_int_equal(ask(w, 0), 0);
	msg_init(&m, M_KEY_SERVER);
	say(w, &m, heard(w, 3));
}

static void
say_junk(struct world *w)
{
	uint8_t junk[64];

	memset(junk, 0xff, sizeof(junk));
	assert_int_equal(write(w->fd, junk, sizeof(junk)), sizeof(junk));
}

static void
test_bad(void **state)
{
	struct world *w = *state;

	ends(w, say_unasked);
	join(w);
	ends(w, say_other);
	join(w);
	ends(w, say_junk);
}

#define T(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_ok), T(test_no), T(test_forget), T(test_forget_lost),
		T(test_asleep), T(test_late),
		T(test_gone), T(test_replaced), T(test_wait), T(test_bad)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
