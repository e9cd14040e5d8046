#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/compat/compat.h"
#include "common/log.h"
#include "common/msg.h"
#include "worker/sig.h"

struct sig {
	int		 fd;		/* -1: no link */
	struct imsgbuf	 b;
	uint32_t	 id;		/* last given */
	void		(*on_down)(bool, void *);
	void		*arg;
};

struct sig *
sig_new(void (*on_down)(bool, void *), void *arg)
{
	struct sig *s;

	s = xcalloc(1, sizeof(*s));
	s->fd = -1;
	s->on_down = on_down;
	s->arg = arg;
	return s;
}

static void
drop(struct sig *s)
{
	if (s->fd == -1)
		return;
	imsgbuf_clear(&s->b);
	close(s->fd);
	s->fd = -1;
}

void
sig_free(struct sig *s)
{
	if (s == NULL)
		return;
	drop(s);
	free(s);
}

static void
down(struct sig *s, bool bad, const char *why)
{
	log_info("no signatures: %s; TLS handshakes wait", why);
	drop(s);
	s->on_down(bad, s->arg);
}

void
sig_set_fd(struct sig *s, int fd)
{
	drop(s);
	if (fd == -1)
		return;
	if (fcntl(fd, F_SETFL, O_NONBLOCK) == -1 ||
	    imsgbuf_init(&s->b, fd) == -1)
		fatal("the link for signatures");
	s->fd = fd;
}

bool
sig_is_up(const struct sig *s)
{
	return s->fd != -1;
}

static int64_t
now_ms(void)
{
	struct timespec ts;

	if (clock_gettime(CLOCK_MONOTONIC, &ts) == -1)
		fatal("clock_gettime");
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* True if it is readable before then. */
static bool
wait_until(int fd, int64_t then)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	struct timespec ts = { 0 };
	int64_t left;
	int n;

	do {
		left = then - now_ms();
		if (left <= 0)
			return false;
		ts.tv_sec = (time_t)(left / 1000);
		ts.tv_nsec = (long)(left % 1000) * 1000000;
		n = ppoll(&p, 1, &ts, NULL);
	} while (n == -1 && errno == EINTR);
	return n == 1;
}

static bool
ask(struct sig *s, unsigned int key, unsigned int scheme,
    const uint8_t *octets, size_t n)
{
	struct buf b = { 0 };
	struct msg m;
	bool ok;

	msg_init(&m, M_SIG_SIGN);
	m.u.sig_sign.key = (uint16_t)key;
	m.u.sig_sign.scheme = (uint16_t)scheme;
	m.u.sig_sign.octets = slice_mem(octets, n);
	if (!msg_ok(&m))
		return false;
	msg_encode(&b, &m);
	if (++s->id == 0)
		s->id = 1;
	ok = imsg_compose(&s->b, M_SIG_SIGN, s->id, 0, -1, b.p, b.n) != -1;
	buf_free(&b);
	if (ok && imsgbuf_write(&s->b) == 0 && imsgbuf_queuelen(&s->b) == 0)
		return true;
	down(s, false, "keyd does not take the question");
	return false;
}

/* The answer that came: its length, -1 refused, -2 nonsense. */
static int
understand(const struct sig *s, struct imsg *imsg, uint8_t *sig, size_t max)
{
	struct slice is;
	struct ibuf body;
	struct msg m;
	const void *p = NULL;
	size_t n = 0;

	if (imsg_get_ibuf(imsg, &body) == 0) {
		p = ibuf_data(&body);
		n = ibuf_size(&body);
	}
	if (imsg_get_id(imsg) != s->id)
		return -2;
	switch (imsg_get_type(imsg)) {
	case M_SIG_OK:
		if (msg_decode(&m, M_SIG_OK, p, n) == -1)
			return -2;
		is = m.u.sig_ok.signature;
		if (is.n > max)
			return -2;
		memcpy(sig, is.p, is.n);
		return (int)is.n;
	case M_SIG_NO:
		if (msg_decode(&m, M_SIG_NO, p, n) == -1)
			return -2;
		log_warnx("keyd signs nothing why=%u", m.u.sig_no.why);
		return -1;
	default:
		return -2;
	}
}

static int
answer(struct sig *s, uint8_t *sig, size_t max)
{
	int64_t then = now_ms() + SIG_DEADLINE_MS;
	struct imsg imsg;
	int rc;

	while ((rc = imsgbuf_get(&s->b, &imsg)) == 0) {
		if (!wait_until(s->fd, then)) {
			down(s, false, "keyd is late");
			return -1;
		}
		if (imsgbuf_read(&s->b) != 1) {
			down(s, false, "keyd is away");
			return -1;
		}
	}
	if (rc == 1) {
		rc = understand(s, &imsg, sig, max);
		imsg_free(&imsg);
	} else
		rc = -2;
	if (rc != -2)
		return rc;
	down(s, true, "keyd's answer makes no sense");
	return -1;
}

int
sig_sign(unsigned int key, unsigned int scheme, const uint8_t *octets,
    size_t n, uint8_t *sig, size_t max, void *arg)
{
	struct sig *s = arg;

	if (s->fd == -1 || !ask(s, key, scheme, octets, n))
		return -1;
	return answer(s, sig, max);
}

void
sig_check(struct sig *s)
{
	struct imsg imsg;
	int rc;

	if (s->fd == -1)
		return;
	if (imsgbuf_read(&s->b) != 1) {
		down(s, false, "keyd is away");
		return;
	}
	if ((rc = imsgbuf_get(&s->b, &imsg)) == 0)
		return;
	if (rc == 1)
		imsg_free(&imsg);
	down(s, true, "keyd answers what was not asked");
}
