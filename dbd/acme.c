#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "dbd/acme_int.h"
#include "dbd/batch_int.h"
#include "dbd/control_int.h"
#include "dbd/out_int.h"

#define TICK_US		(60 * US_PER_S)
#define FIRST_S		60		/* after a failure, then doubled, */
#define LAST_S		86400		/* at most */
#define ASKED_MAX_S	(7 * 86400)	/* of what a server asks for */
#define USELESS_S	3600		/* after one that is due already */

static struct msg_list
list_of(const struct buf *b, uint32_t n)
{
	struct msg_list l = { b->p, b->n, n };

	return l;
}

static void
set(struct buf *b, struct slice s)
{
	buf_clear(b);
	buf_slice(b, s);
}

static void
save(struct dbacme *a)
{
	struct cert_row row;

	row.directory = buf_slice_of(&a->directory);
	row.account = buf_slice_of(&a->account);
	row.names = list_of(&a->names, a->nnames);
	row.chain = buf_slice_of(&a->chain);
	row.not_before = a->not_before;
	row.not_after = a->not_after;
	row.failed = a->failed;
	row.retry = a->retry;
	row.why = slice_str(a->why);
	op_begin(a->d);
	op_check(a->d, store_put_cert(a->d->store, &row));
	op_end(a->d);
}

/* Workers. */

static void
say_cert(struct worker *w)
{
	const struct dbacme *a = w->d->acme;
	struct msg m;

	msg_init(&m, M_DB_CERT);
	m.u.db_cert.key = a->key;
	if (w->d->conf.acme.names.count != 0)
		m.u.db_cert.chain = buf_slice_of(&a->chain);
	/* What it is told of is stored before. */
	batch_reply(w->d, w->link, &m);
}

static void
say_all(struct dbacme *a)
{
	struct worker *w;

	TAILQ_FOREACH(w, &a->d->workers, all)
		if (link_state(w->link) == MSG_RUN && !link_is_down(w->link))
			say_cert(w);
}

void
dbacme_hello(struct worker *w)
{
	if (w->d->acme->good || w->d->conf.acme.names.count == 0)
		say_cert(w);
	dbacme_say_challenges(w);
}

/* When. */

/* At two thirds of its life, or up to a thirtieth of it before. */
static void
set_renew(struct dbacme *a)
{
	int64_t life = a->not_after - a->not_before;
	int64_t span = life / 30;

	if (span > UINT32_MAX)
		span = UINT32_MAX;
	a->renew = a->not_before + life / 3 * 2;
	if (span > 0)
		a->renew -= env_uniform(a->d->env, (uint32_t)span);
}

static bool
is_due(const struct dbacme *a)
{
	const struct r_acme *c = &a->d->conf.acme;
	struct msg_list names = list_of(&a->names, a->nnames);

	return a->wanted || !a->good || !msg_list_eq(&names, &c->names) ||
	    !slice_eq(buf_slice_of(&a->directory), c->directory) ||
	    env_wall(a->d->env) >= a->renew;
}

/* A clock that was put back by more does not hold it up. */
static bool
is_waiting(const struct dbacme *a)
{
	int64_t now = env_wall(a->d->env);

	return !a->wanted && a->retry > now &&
	    a->retry - now <= ASKED_MAX_S;
}

/* keyd reads the chain: the new one, else the one that is in force. */
static void
check(struct dbacme *a)
{
	struct msg m;

	if (a->keyd == NULL || a->chain_id != 0 ||
	    (a->fresh.n == 0 && (a->checked || a->chain.n == 0)))
		return;
	msg_init(&m, M_ACME_CHAIN);
	m.u.acme_chain.pem = buf_slice_of(a->fresh.n != 0 ? &a->fresh :
	    &a->chain);
	m.u.acme_chain.fresh = a->fresh.n != 0;
	if (a->fresh.n == 0)
		a->checked = true;
	a->chain_id = link_request(a->keyd, &m, &a->tag[TAG_CHAIN], 0);
}

void
dbacme_look(struct dbd *d)
{
	struct dbacme *a = d->acme;

	if (!a->started || env_ended(d->env) ||
	    d->conf.acme.names.count == 0)
		return;
	check(a);
	if (a->run != RUN_NONE || a->chain_id != 0 || a->fresh.n != 0 ||
	    a->keyd == NULL || a->thumbprint[0] == '\0' || !is_due(a) ||
	    is_waiting(a) || !dbacme_start(a, a->revoke ? RUN_REVOKE :
	    RUN_ORDER))
		return;
	log_info("certificate: %s", a->revoke ? "to be revoked" :
	    "a new one is asked for");
	/* If we die in the middle of it we do not begin anew at once. */
	a->retry = env_wall(d->env) + FIRST_S;
	save(a);
}

/*
 * When there is something to do, but at the latest after a minute: the wall
 * clock may be set meanwhile.
 */
static void
arm(struct dbacme *a)
{
	int64_t left, now = env_wall(a->d->env);
	uint64_t us = TICK_US;

	left = is_waiting(a) ? a->retry - now : a->good ? a->renew - now : 0;
	if (left > 0 && (uint64_t)left < TICK_US / US_PER_S)
		us = (uint64_t)left * US_PER_S;
	timer_in(&a->tick, us);
}

static void
on_tick(void *arg)
{
	struct dbacme *a = arg;

	if (env_ended(a->d->env))
		return;
	dbacme_look(a->d);
	arm(a);
}

/* How a run ended. */

void
dbacme_chain(struct dbacme *a, struct slice account, struct slice chain)
{
	set(&a->run_account, account);
	set(&a->fresh, chain);
	check(a);
}

static void
none(struct dbacme *a)
{
	a->good = false;
	a->not_before = a->not_after = 0;
	a->serial[0] = '\0';
	buf_clear(&a->leaf);
	buf_clear(&a->chain);
	buf_clear(&a->names);
	a->nnames = 0;
}

/* Only now: the directory is that of the chain as well. */
static void
take_account(struct dbacme *a, struct slice account)
{
	set(&a->account, account);
	set(&a->directory, buf_slice_of(&a->run_directory));
}

void
dbacme_revoked(struct dbacme *a, struct slice account)
{
	log_info("certificate: revoked");
	take_account(a, account);
	a->revoke = false;
	a->retry = 0;
	none(a);
	save(a);
	dbacme_look(a->d);
}

static int64_t
backoff(struct dbacme *a)
{
	int64_t s = FIRST_S;
	uint32_t i;

	for (i = 1; i < a->failed && s < LAST_S; i++)
		s *= 2;
	if (s > LAST_S)
		s = LAST_S;
	return s + env_uniform(a->d->env, (uint32_t)s / 4 + 1);
}

void
dbacme_failed(struct dbacme *a, struct slice why, uint32_t retry_s)
{
	int64_t s;

	if (a->failed < UINT32_MAX)
		a->failed++;
	s = backoff(a);
	if (retry_s > ASKED_MAX_S)
		retry_s = ASKED_MAX_S;
	if (s < retry_s)
		s = retry_s;
	a->retry = env_wall(a->d->env) + s;
	a->wanted = a->revoke = false;
	(void)slice_copy(a->why, sizeof(a->why), why);
	a->d->counts.certs_failed++;
	log_warnx("certificate: %s; it is tried again in %lld s",
	    log_vis(why), (long long)s);
	save(a);
	arm(a);
}

/* keyd's verdict. */

static void
take_fresh(struct dbacme *a)
{
	struct buf was = a->chain;

	a->chain = a->fresh;
	a->fresh = was;
	buf_free(&a->fresh);
	buf_clear(&a->names);
	buf_put(&a->names, a->run_names.p, a->run_names.n);
	a->nnames = a->run_nnames;
	take_account(a, buf_slice_of(&a->run_account));
	a->failed = 0;
	a->retry = 0;
	a->why[0] = '\0';
	a->wanted = false;
	a->checked = true;
	a->d->counts.certs++;
	log_info("certificate: a new one is in force");
}

static void
chain_ok(struct dbacme *a, const struct m_acme_chain_ok *m)
{
	bool is_new = a->fresh.n != 0;
	bool changed = is_new || !a->good || a->key != m->key;
	int64_t now = env_wall(a->d->env);

	if (is_new)
		take_fresh(a);
	a->good = true;
	a->key = m->key;
	a->not_before = m->not_before;
	a->not_after = m->not_after;
	set(&a->leaf, m->leaf);
	(void)slice_copy(a->serial, sizeof(a->serial), m->serial);
	set_renew(a);
	/* Our clock or the CA's is wrong: another would be no better. */
	if (is_new && a->renew - now < (a->not_after - a->not_before) / 30)
		a->retry = now + USELESS_S;
	save(a);
	arm(a);
	if (changed)
		say_all(a);
}

static void
chain_no(struct dbacme *a, struct slice why)
{
	char text[256];

	if (a->fresh.n != 0) {
		buf_free(&a->fresh);
		(void)snprintf(text, sizeof(text), "the new one is no good: "
		    "%.200s", log_vis(why));
		dbacme_failed(a, slice_str(text), 0);
		return;
	}
	log_warnx("certificate: the one we have is no good any more: %s",
	    log_vis(why));
	none(a);
	save(a);
	say_all(a);
}

/* The link to keyd. */

void
dbd_acme_up(struct dbd *d, struct link *l)
{
	struct dbacme *a = d->acme;

	if (env_ended(d->env))
		return;
	if (a->keyd != NULL)
		dbd_acme_down(d, a->keyd);
	link_set_state(l, MSG_RUN);
	a->keyd = l;
	a->checked = false;
	dbacme_look(d);
}

void
dbd_acme_down(struct dbd *d, struct link *l)
{
	struct dbacme *a = d->acme;

	if (a == NULL || a->keyd != l)
		return;
	a->keyd = NULL;
	a->thumbprint[0] = '\0';
	a->chain_id = 0;
	if (!env_ended(d->env))
		dbacme_keyd_gone(a);
}

static void
on_thumbprint(struct dbacme *a, const struct m_acme_key *m)
{
	(void)slice_copy(a->thumbprint, sizeof(a->thumbprint), m->thumbprint);
	dbacme_look(a->d);
}

static void
on_chain(struct dbacme *a, const struct msg *m)
{
	a->chain_id = 0;
	if (m->type == M_ACME_CHAIN_OK)
		chain_ok(a, &m->u.acme_chain_ok);
	else
		chain_no(a, m->u.acme_no.text);
	dbacme_look(a->d);
}

void
dbd_acme_msg(struct dbd *d, struct link *l, const struct msg *m, void *tag)
{
	struct dbacme *a = d->acme;

	if (env_ended(d->env) || a->keyd != l)
		return;
	if (m->type == M_ACME_KEY)
		on_thumbprint(a, &m->u.acme_key);
	else if (tag == &a->tag[TAG_SIGN])
		dbacme_signed(a, m);
	else if (tag == &a->tag[TAG_ALPN])
		dbacme_alpn(a, m);
	else
		on_chain(a, m);
}

/* Administrators. */

int
op_cert_renew(struct dbd *d, bool revoke, char *why, size_t n)
{
	struct dbacme *a = d->acme;
	const char *no = NULL;

	if (d->conf.acme.names.count == 0)
		no = "no certificate is configured to be had by ACME";
	else if (a->run != RUN_NONE || a->fresh.n != 0)
		no = "one is being asked for already";
	else if (revoke && a->leaf.n == 0)
		no = "there is none in use that could be revoked";
	else if (!outlink_is_up(d))
		no = "headscaled-fetch is away";
	else if (a->keyd == NULL || a->thumbprint[0] == '\0')
		no = "the key process is away, or has no account key";
	if (no != NULL) {
		(void)strlcpy(why, no, n);
		return -1;
	}
	a->wanted = true;
	a->revoke = revoke;
	dbacme_look(d);
	return 0;
}

void
dbacme_rows(struct dbd *d, struct buf *rows)
{
	const struct dbacme *a = d->acme;
	struct m_ctl_cert *r;
	struct msg m;

	if (d->conf.acme.names.count == 0)
		return;
	msg_init(&m, M_CTL_CERT);
	r = &m.u.ctl_cert;
	r->names = d->conf.acme.names;
	r->serial = slice_str(a->chain.n == 0 ? "" : a->serial);
	r->not_after = a->chain.n == 0 ? 0 : a->not_after;
	r->renew = !is_due(a) ? a->renew : a->run == RUN_NONE &&
	    is_waiting(a) ? a->retry : env_wall(d->env);
	r->failed = a->failed;
	r->text = slice_str(a->why);
	rows_add(rows, &m);
}

/* Life. */

void
dbacme_init(struct dbd *d)
{
	struct dbacme *a;

	a = xcalloc(1, sizeof(*a));
	a->d = d;
	TAILQ_INIT(&a->challenges);
	timer_init(&a->tick, d->env, on_tick, a);
	timer_init(&a->slow, d->env, dbacme_slow, a);
	d->acme = a;
}

void
dbacme_free(struct dbd *d)
{
	struct dbacme *a = d->acme;
	struct challenge *c;

	if (a == NULL)
		return;
	timer_stop(&a->tick);
	timer_stop(&a->slow);
	if (a->req != NULL)
		outlink_forget(a->req);
	while ((c = TAILQ_FIRST(&a->challenges)) != NULL) {
		TAILQ_REMOVE(&a->challenges, c, all);
		buf_free(&c->der);
		free(c);
	}
	buf_free(&a->directory);
	buf_free(&a->account);
	buf_free(&a->names);
	buf_free(&a->chain);
	buf_free(&a->leaf);
	buf_free(&a->fresh);
	buf_free(&a->run_names);
	buf_free(&a->run_directory);
	buf_free(&a->run_account);
	buf_free(&a->conf);
	free(a);
	d->acme = NULL;
}

static int
on_stored(const struct cert_row *row, void *arg)
{
	struct dbacme *a = arg;

	set(&a->directory, row->directory);
	set(&a->account, row->account);
	buf_put(&a->names, row->names.p, row->names.n);
	a->nnames = row->names.count;
	set(&a->chain, row->chain);
	a->not_before = row->not_before;
	a->not_after = row->not_after;
	a->failed = row->failed;
	a->retry = row->retry;
	(void)slice_copy(a->why, sizeof(a->why), row->why);
	return 0;
}

int
dbacme_load(struct dbd *d)
{
	return store_find_cert(d->store, on_stored, d->acme) == -1 ? -1 : 0;
}

void
dbacme_conf(struct dbd *d)
{
	struct dbacme *a = d->acme;
	bool had = a->started && a->configured;

	/* What was wrong may be right now; at the start that is not known. */
	if (a->started && (a->failed != 0 || a->retry != 0) &&
	    !slice_eq(buf_slice_of(&a->conf), buf_slice_of(&d->acme_conf))) {
		a->failed = 0;
		a->retry = 0;
		a->why[0] = '\0';
		save(a);
	}
	set(&a->conf, buf_slice_of(&d->acme_conf));
	a->configured = d->conf.acme.names.count != 0;
	if (!a->started)
		arm(a);
	a->started = true;
	if (had != a->configured && a->good)
		say_all(a);
	dbacme_look(d);
}
