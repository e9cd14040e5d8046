#include <sys/queue.h>

#include <stdlib.h>

#include "common/compat/compat.h"
#include "common/log.h"
#include "worker/sig.h"

#define LATE_US		(SIG_LATE_MS * US_PER_MS)
#define LOST_US		(SIG_LOST_MS * US_PER_MS)

/* A question to keyd that has no answer yet. */
struct question {
	TAILQ_ENTRY(question)	 next;
	struct tls_hs		*hs;	/* NULL: nobody wants it any more */
	uint32_t		 id;	/* on the link */
};

struct sig {
	struct ev	*ev;
	struct link	*link;		/* NULL: none */
	TAILQ_HEAD(, question) open;	/* on link, in the order asked */
	struct timer	 due;		/* of the first one's answer */
	bool		 late;
	void		(*on_change)(void *);
	void		*arg;
};

/* All that were asked: there is no answer. */
static void
give_up(struct sig *s)
{
	struct question *q;
	struct tls_hs *hs;

	while ((q = TAILQ_FIRST(&s->open)) != NULL) {
		TAILQ_REMOVE(&s->open, q, next);
		hs = q->hs;
		free(q);
		if (hs != NULL)
			tls_hs_signed(hs, NULL, 0);
	}
}

static void
lose(struct sig *s, const char *why)
{
	struct link *l = s->link;

	log_info("no signatures: %s; TLS handshakes wait", why);
	timer_stop(&s->due);
	s->late = false;
	s->link = NULL;
	s->on_change(s->arg);
	give_up(s);
	link_free(l);
}

/*
 * One question is asked at a time, the next one waits in the link: so keyd's
 * time for one begins with the answer to the one before.
 */
static void
set_due(struct sig *s)
{
	if (TAILQ_EMPTY(&s->open))
		timer_stop(&s->due);
	else
		timer_in(&s->due, LATE_US);
}

/* First nobody is let in any more, then keyd is given up. */
static void
on_due(void *arg)
{
	struct sig *s = arg;

	if (s->late) {
		lose(s, "keyd does not answer");
		return;
	}
	/* It may be we who are late: its answer lies there. */
	ev_link_now(s->ev, s->link, 1);
	if (timer_pending(&s->due) || TAILQ_EMPTY(&s->open))
		return;
	if (link_is_down(s->link)) {
		lose(s, "keyd is away");
		return;
	}
	log_info("keyd is late with a signature; TLS handshakes wait");
	s->late = true;
	timer_in(&s->due, LOST_US - LATE_US);
	s->on_change(s->arg);
}

struct sig *
sig_new(struct ev *ev, void (*on_change)(void *), void *arg)
{
	struct sig *s;

	s = xcalloc(1, sizeof(*s));
	s->ev = ev;
	TAILQ_INIT(&s->open);
	timer_init(&s->due, ev_env(ev), on_due, s);
	s->on_change = on_change;
	s->arg = arg;
	return s;
}

void
sig_free(struct sig *s)
{
	if (s == NULL)
		return;
	timer_stop(&s->due);
	give_up(s);
	link_free(s->link);
	free(s);
}

static void
answered(struct sig *s)
{
	/* The next question, which waited for this answer. */
	ev_link_now(s->ev, s->link, 0);
	set_due(s);
	if (!s->late)
		return;
	s->late = false;
	log_info("keyd signs again");
	s->on_change(s->arg);
}

static void
on_msg(struct link *l, const struct msg *m, void *tag, void *arg)
{
	const struct slice *sig = &m->u.sig_ok.signature;
	struct question *q = tag;
	struct sig *s = arg;
	struct tls_hs *hs = q->hs;

	(void)l;
	TAILQ_REMOVE(&s->open, q, next);
	free(q);
	answered(s);
	if (m->type == M_SIG_NO)
		log_warnx("keyd signs nothing why=%u", m->u.sig_no.why);
	if (hs == NULL)
		return;
	if (m->type == M_SIG_OK)
		tls_hs_signed(hs, sig->p, sig->n);
	else
		tls_hs_signed(hs, NULL, 0);
}

static void
on_link_down(struct link *l, enum link_why why, void *arg)
{
	struct sig *s = arg;

	(void)l;
	(void)why;
	lose(s, "keyd is away");
}

void
sig_set_fd(struct sig *s, const struct link_conf *conf, int fd)
{
	struct link_conf c = *conf;
	struct link *old = s->link;

	c.kind = LINK_SIG;
	c.self = ROLE_WORKER;
	c.peer = ROLE_KEYD;
	c.on_msg = on_msg;
	c.on_down = on_link_down;
	c.arg = s;
	timer_stop(&s->due);
	s->late = false;
	s->link = NULL;
	give_up(s);
	link_free(old);
	s->link = ev_link(s->ev, &c, fd);
	link_set_state(s->link, MSG_RUN);
}

bool
sig_is_up(const struct sig *s)
{
	return s->link != NULL;
}

bool
sig_is_late(const struct sig *s)
{
	return s->late;
}

/* It leaves at once and not at the turn's end: keyd works while we do. */
static int
sign(struct tls_hs *hs, unsigned int key, unsigned int scheme,
    const uint8_t *octets, size_t n, uint8_t *sig, size_t max, void *arg)
{
	struct sig *s = arg;
	struct question *q;
	struct msg m;

	(void)sig;
	(void)max;
	msg_init(&m, M_SIG_SIGN);
	m.u.sig_sign.key = (uint16_t)key;
	m.u.sig_sign.scheme = (uint16_t)scheme;
	m.u.sig_sign.octets = slice_mem(octets, n);
	if (s->link == NULL || !msg_ok(&m))
		return -1;
	q = xcalloc(1, sizeof(*q));
	q->hs = hs;
	TAILQ_INSERT_TAIL(&s->open, q, next);
	if (TAILQ_FIRST(&s->open) == q)
		set_due(s);
	q->id = link_request(s->link, &m, q, 0);
	ev_link_now(s->ev, s->link, 0);
	return 0;
}

static struct question *
question_of(struct sig *s, const struct tls_hs *hs)
{
	struct question *q;

	TAILQ_FOREACH(q, &s->open, next)
		if (q->hs == hs)
			return q;
	return NULL;
}

static void
wait_for(struct tls_hs *hs, void *arg)
{
	struct sig *s = arg;

	if (question_of(s, hs) == NULL)
		tls_hs_signed(hs, NULL, 0);
	else if (!ev_link_now(s->ev, s->link, LATE_US))
		lose(s, "keyd does not answer");
	else if (link_is_down(s->link))
		lose(s, "keyd is away");
}

/* The first one was asked, and is answered all the same. */
static void
forget(struct tls_hs *hs, void *arg)
{
	struct sig *s = arg;
	struct question *q;

	if ((q = question_of(s, hs)) == NULL)
		return;
	q->hs = NULL;
	if (q == TAILQ_FIRST(&s->open))
		return;
	if (s->link != NULL)	/* else it is being given up */
		link_forget(s->link, q->id);
	TAILQ_REMOVE(&s->open, q, next);
	free(q);
}

struct tls_signer
sig_signer(struct sig *s)
{
	const struct tls_signer signer = { sign, wait_for, forget, s };

	return signer;
}
