#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "dbd/acme_int.h"
#include "dbd/out_int.h"

#define RUN_US		(2400 * US_PER_S)	/* fetch gives up before */
#define SLOW_US		(20 * US_PER_S)	/* for workers to take a challenge */

/* Answers to fetch. */

static void
say_no(struct dbacme *a, uint32_t *id, const char *why)
{
	struct msg m;

	if (*id == 0)
		return;
	msg_init(&m, M_OUT_ACME_NO);
	m.id = *id;
	m.u.out_acme_no.text = slice_str(why);
	*id = 0;
	outlink_reply(a->d, &m);
}

static void
say_ready(struct dbacme *a, uint32_t *id)
{
	struct msg m;

	if (*id == 0)
		return;
	msg_init(&m, M_OUT_ACME_READY);
	m.id = *id;
	*id = 0;
	outlink_reply(a->d, &m);
}

/* Signatures. */

void
dbacme_on_sign(struct dbd *d, const struct msg *m)
{
	const struct m_out_acme_sign *s = &m->u.out_acme_sign;
	struct dbacme *a = d->acme;
	struct msg q;

	if (a->run == RUN_NONE) {
		outlink_broken(d, LINK_FORGED);
		return;
	}
	a->sign_id = m->id;
	/* Only what an administrator wants is revoked. */
	if (s->form == 6 && (a->run != RUN_REVOKE || !slice_eq(s->der,
	    buf_slice_of(&a->leaf)))) {
		outlink_broken(d, LINK_FORGED);
		return;
	}
	if (a->keyd == NULL) {
		say_no(a, &a->sign_id, "the key process is away");
		return;
	}
	msg_init(&q, M_ACME_SIGN);
	q.u.acme_sign.form = s->form;
	q.u.acme_sign.url = s->url;
	q.u.acme_sign.nonce = s->nonce;
	q.u.acme_sign.account = s->account;
	q.u.acme_sign.der = s->der;
	a->keyd_sign = link_request(a->keyd, &q, &a->tag[TAG_SIGN], 0);
}

void
dbacme_signed(struct dbacme *a, const struct msg *m)
{
	struct msg r;

	a->keyd_sign = 0;
	if (a->sign_id == 0)
		return;
	msg_init(&r, m->type == M_ACME_SIGNED ? M_OUT_ACME_SIGNED :
	    M_OUT_ACME_NO);
	r.id = a->sign_id;
	a->sign_id = 0;
	if (m->type == M_ACME_SIGNED)
		r.u.out_acme_signed.body = m->u.acme_signed.body;
	else
		r.u.out_acme_no.text = m->u.acme_no.text;
	outlink_reply(a->d, &r);
}

/* Challenges. */

static void
challenge_free(struct dbacme *a, struct challenge *c)
{
	struct msg m;

	TAILQ_REMOVE(&a->challenges, c, all);
	if (c->kind == 2 && c->up && a->keyd != NULL) {
		msg_init(&m, M_ACME_ALPN_OVER);
		m.u.acme_alpn_over.key = c->key;
		link_send(a->keyd, &m);
	}
	buf_free(&c->der);
	free(c);
}

/* The worker owes an answer; the last one that it was asked for counts. */
static void
say(struct worker *w, const struct challenge *c, bool up)
{
	struct m_db_challenge *q;
	struct msg m;

	if (link_state(w->link) != MSG_RUN || link_is_down(w->link))
		return;
	msg_init(&m, M_DB_CHALLENGE);
	q = &m.u.db_challenge;
	q->up = up;
	q->kind = c->kind;
	q->name = slice_str(c->name);
	q->token = slice_str(c->token);
	if (c->kind == 1)
		q->thumbprint = slice_str(c->thumbprint);
	q->key = c->key;
	q->der = buf_slice_of(&c->der);
	w->challenge = link_request(w->link, &m, NULL, 0);
}

void
dbacme_say_challenges(struct worker *w)
{
	struct challenge *c;

	TAILQ_FOREACH(c, &w->d->acme->challenges, all)
		if (c->up)
			say(w, c, true);
}

/* Who asked may have it looked at once all workers answer it. */
static void
settle(struct dbacme *a)
{
	struct worker *w;

	if (a->ready_id == 0 || a->coming != NULL)
		return;
	TAILQ_FOREACH(w, &a->d->workers, all)
		if (w->challenge != 0)
			return;
	timer_stop(&a->slow);
	say_ready(a, &a->ready_id);
}

static void
raise_it(struct dbacme *a, struct challenge *c)
{
	struct worker *w;

	c->up = true;
	TAILQ_FOREACH(w, &a->d->workers, all)
		say(w, c, true);
	timer_in(&a->slow, SLOW_US);
	settle(a);
}

static void
lower(struct dbacme *a, struct challenge *c)
{
	struct worker *w;

	if (c == a->coming)
		a->coming = NULL;
	if (c->up)
		TAILQ_FOREACH(w, &a->d->workers, all)
			say(w, c, false);
	challenge_free(a, c);
}

void
dbacme_clear(struct dbacme *a)
{
	struct challenge *c;

	while ((c = TAILQ_FIRST(&a->challenges)) != NULL)
		lower(a, c);
	if (a->keyd_sign != 0 && a->keyd != NULL)
		link_forget(a->keyd, a->keyd_sign);
	a->keyd_sign = 0;
	/* What is open when fetch gives up is open for the next run, too. */
	say_no(a, &a->sign_id, "the run is over");
	say_no(a, &a->ready_id, "the run is over");
	timer_stop(&a->slow);
}

void
on_challenge_ok(struct worker *w, const struct msg *m)
{
	if (m->id != w->challenge)
		return;
	w->challenge = 0;
	settle(w->d->acme);
}

void
dbacme_worker_gone(struct worker *w)
{
	w->challenge = 0;
	if (!w->d->freeing && !env_ended(w->d->env))
		settle(w->d->acme);
}

void
dbacme_slow(void *arg)
{
	struct dbacme *a = arg;

	if (!env_ended(a->d->env))
		say_no(a, &a->ready_id, "a worker does not answer");
}

/* keyd makes the certificate that is shown for it. */
static void
ask_alpn(struct dbacme *a, struct challenge *c)
{
	struct msg m;

	if (a->keyd == NULL) {
		challenge_free(a, c);
		say_no(a, &a->ready_id, "the key process is away");
		return;
	}
	a->coming = c;
	c->number = ++a->alpn_asked;
	msg_init(&m, M_ACME_ALPN);
	m.u.acme_alpn.name = slice_str(c->name);
	m.u.acme_alpn.token = slice_str(c->token);
	(void)link_request(a->keyd, &m, &a->tag[TAG_ALPN], 0);
}

void
dbacme_alpn(struct dbacme *a, const struct msg *m)
{
	struct challenge *c = a->coming;
	struct msg over;

	a->alpn_seen++;
	if (c == NULL || c->number != a->alpn_seen) {
		/* What it is for was taken down before it was there. */
		if (m->type == M_ACME_ALPN_OK) {
			msg_init(&over, M_ACME_ALPN_OVER);
			over.u.acme_alpn_over.key = m->u.acme_alpn_ok.key;
			link_send(a->keyd, &over);
		}
		return;
	}
	a->coming = NULL;
	if (m->type == M_ACME_ALPN_OK) {
		c->key = m->u.acme_alpn_ok.key;
		buf_slice(&c->der, m->u.acme_alpn_ok.der);
		raise_it(a, c);
		return;
	}
	log_warnx("challenge for %s: %s", c->name,
	    log_vis(m->u.acme_no.text));
	challenge_free(a, c);
	say_no(a, &a->ready_id, "no certificate for the challenge");
}

static bool
is_of_run(const struct dbacme *a, struct slice name)
{
	struct msg_list it = { a->run_names.p, a->run_names.n,
	    a->run_nnames };
	struct r_text t;

	while (msg_list_next(&it, MR_TEXT, &t))
		if (slice_eq(t.v, name))
			return true;
	return false;
}

static void
up(struct dbacme *a, const struct m_out_acme_challenge *q, size_t n)
{
	struct challenge *c;

	if (!is_of_run(a, q->name)) {
		outlink_broken(a->d, LINK_FORGED);
		return;
	}
	if (n >= CHALLENGES_MAX || a->thumbprint[0] == '\0') {
		say_no(a, &a->ready_id, n >= CHALLENGES_MAX ?
		    "too many challenges" : "there is no account key");
		return;
	}
	c = xcalloc(1, sizeof(*c));
	c->kind = a->run_challenge;
	/* keyd may be away when a worker comes that has to know it. */
	memcpy(c->thumbprint, a->thumbprint, sizeof(c->thumbprint));
	if (!slice_copy(c->name, sizeof(c->name), q->name) ||
	    !slice_copy(c->token, sizeof(c->token), q->token))
		fatalx("a challenge is longer than its message");
	TAILQ_INSERT_TAIL(&a->challenges, c, all);
	if (c->kind == 2)
		ask_alpn(a, c);
	else
		raise_it(a, c);
}

void
dbacme_on_challenge(struct dbd *d, const struct msg *m)
{
	const struct m_out_acme_challenge *q = &m->u.out_acme_challenge;
	struct dbacme *a = d->acme;
	struct challenge *c, *next;
	size_t n = 0;

	if (a->run != RUN_ORDER) {
		outlink_broken(d, LINK_FORGED);
		return;
	}
	a->ready_id = m->id;
	TAILQ_FOREACH_SAFE(c, &a->challenges, all, next) {
		if (slice_eqs(q->token, c->token) &&
		    slice_eqs(q->name, c->name))
			lower(a, c);
		else
			n++;
	}
	if (q->up)
		up(a, q, n);
	else
		say_ready(a, &a->ready_id);
}

void
dbacme_keyd_gone(struct dbacme *a)
{
	struct challenge *c = a->coming;

	say_no(a, &a->sign_id, "the key process is away");
	a->keyd_sign = a->alpn_asked = a->alpn_seen = 0;
	a->coming = NULL;
	if (c == NULL)
		return;
	challenge_free(a, c);
	say_no(a, &a->ready_id, "the key process is away");
}

/* The run. */

static void
on_end(void *arg, const struct msg *m)
{
	struct dbacme *a = arg;
	enum run_kind run = a->run;

	a->req = NULL;
	a->run = RUN_NONE;
	dbacme_clear(a);
	if (m == NULL)
		dbacme_failed(a, slice_str("fetch died in the middle of it"),
		    0);
	else if (m->type == M_OUT_ACME_FAILED)
		dbacme_failed(a, m->u.out_acme_failed.text,
		    m->u.out_acme_failed.retry_s);
	else if (m->type == M_OUT_ACME_OK &&
	    (m->u.out_acme_ok.chain.n != 0) == (run == RUN_ORDER)) {
		if (run == RUN_ORDER)
			dbacme_chain(a, m->u.out_acme_ok.account,
			    m->u.out_acme_ok.chain);
		else
			dbacme_revoked(a, m->u.out_acme_ok.account);
	} else {
		dbacme_failed(a, slice_str("fetch answers nonsense"), 0);
		outlink_broken(a->d, LINK_BAD_BODY);
	}
}

bool
dbacme_start(struct dbacme *a, enum run_kind kind)
{
	const struct r_acme *c = &a->d->conf.acme;
	struct m_out_acme_run *r;
	struct msg m;

	msg_init(&m, M_OUT_ACME_RUN);
	r = &m.u.out_acme_run;
	r->directory = c->directory;
	/*
	 * After a failure the account is asked for by its key, as if it were
	 * a new one: it may be gone, and is found again if it is not.
	 */
	if (a->failed == 0 && slice_eq(c->directory,
	    buf_slice_of(&a->directory)))
		r->account = buf_slice_of(&a->account);
	r->challenge = c->challenge;
	r->names = c->names;
	if (kind == RUN_REVOKE)
		r->revoke = buf_slice_of(&a->leaf);
	buf_clear(&a->run_names);
	buf_put(&a->run_names, c->names.p, c->names.n);
	a->run_nnames = c->names.count;
	buf_clear(&a->run_directory);
	buf_slice(&a->run_directory, c->directory);
	a->run_challenge = c->challenge;
	a->req = outlink_ask(a->d, &m, RUN_US, on_end, a);
	if (a->req == NULL)
		return false;
	a->run = kind;
	return true;
}
