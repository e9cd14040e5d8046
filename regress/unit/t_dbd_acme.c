/* The certificate that is had by ACME, with fetch and keyd played by us. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "dbd/acme_int.h"
#include "regress/lib/dbdask.h"
#include "regress/lib/edgekit.h"

#define DIR	"https://ca.example/dir"
#define ACCOUNT	"https://ca.example/acct/1"
#define THUMB	"0123456789012345678901234567890123456789012"
#define DAY	86400
#define LIFE	(90 * DAY)

static struct dbdworld *w;
static struct dbdworker *k, *k2;
static struct edge *e;
static struct buf names;
static int64_t life = LIFE;

static void
conf(const char *a, const char *b, uint8_t challenge)
{
	struct r_acme *c = &dw_conf(w)->acme;
	struct r_text t;

	memset(c, 0, sizeof(*c));
	buf_clear(&names);
	c->directory = slice_str(DIR);
	c->challenge = challenge;
	if (a != NULL) {
		t.v = slice_str(a);
		msg_list_add(&c->names, &names, MR_TEXT, &t);
	}
	if (b != NULL) {
		t.v = slice_str(b);
		msg_list_add(&c->names, &names, MR_TEXT, &t);
	}
	msg_list_close(&c->names, &names);
	dw_reconf(w);
	edge_run(e);
}

static void
keyd_up(void)
{
	struct msg m;

	edge_up(e, EDGE_KEYD);
	msg_init(&m, M_ACME_KEY);
	m.u.acme_key.thumbprint = slice_str(THUMB);
	edge_send(e, EDGE_KEYD, &m);
}

static int
setup(void **state)
{
	const char *key;
	uint64_t alice;

	*state = w = ask_world(&k, &k2, &alice, &key);
	e = edge_new(w);
	edge_up(e, EDGE_OUT);
	keyd_up();
	return 0;
}

static int
teardown(void **state)
{
	edge_free(e);
	buf_free(&names);
	memset(&names, 0, sizeof(names));
	return ask_teardown(state);
}

/* What fetch and keyd are asked, and say. */

static const struct msg *
run_asked(void)
{
	return edge_take(e, EDGE_OUT, M_OUT_ACME_RUN);
}

static uint32_t
run(void)
{
	const struct msg *m = run_asked();

	if (m == NULL)
		fail_msg("no certificate is asked for");
	assert_true(slice_eqs(m->u.out_acme_run.directory, DIR));
	return m->id;
}

static void
run_ok(uint32_t id, const char *chain)
{
	struct msg m;

	msg_init(&m, M_OUT_ACME_OK);
	m.id = id;
	m.u.out_acme_ok.account = slice_str(ACCOUNT);
	m.u.out_acme_ok.chain = slice_str(chain);
	edge_send(e, EDGE_OUT, &m);
}

static void
run_failed(uint32_t id, uint32_t retry_s)
{
	struct msg m;

	msg_init(&m, M_OUT_ACME_FAILED);
	m.id = id;
	m.u.out_acme_failed.account = slice_str(ACCOUNT);
	m.u.out_acme_failed.retry_s = retry_s;
	m.u.out_acme_failed.text = slice_str("the CA says no");
	edge_send(e, EDGE_OUT, &m);
}

static void
keyd_no(uint32_t id)
{
	struct msg m;

	msg_init(&m, M_ACME_NO);
	m.id = id;
	m.u.acme_no.text = slice_str("not our key");
	edge_send(e, EDGE_KEYD, &m);
}

/* keyd is asked of this chain, and says yes: it begins now. */
static void
chain_ok(const char *chain, uint16_t key)
{
	const struct msg *q = edge_take(e, EDGE_KEYD, M_ACME_CHAIN);
	struct msg m;

	if (q == NULL)
		fail_msg("keyd is not asked of the chain");
	assert_true(slice_eqs(q->u.acme_chain.pem, chain));
	msg_init(&m, M_ACME_CHAIN_OK);
	m.id = q->id;
	m.u.acme_chain_ok.key = key;
	m.u.acme_chain_ok.not_before = dw_now(w);
	m.u.acme_chain_ok.not_after = dw_now(w) + life;
	m.u.acme_chain_ok.serial = slice_str("0A");
	m.u.acme_chain_ok.leaf = slice_str("leaf");
	edge_send(e, EDGE_KEYD, &m);
}

/* keyd says no to a fresh one, or to the one in force. */
static void
chain_no(bool fresh)
{
	const struct msg *q = edge_take(e, EDGE_KEYD, M_ACME_CHAIN);

	assert_non_null(q);
	assert_int_equal(q->u.acme_chain.fresh, fresh);
	keyd_no(q->id);
}

/* The whole way to a certificate. */
static void
have(const char *chain)
{
	run_ok(run(), chain);
	chain_ok(chain, 40);
}

/* The last certificate that a worker was told of; "-": nothing yet. */
static const char *
cert(struct dbdworker *who)
{
	static char text[64];
	unsigned int n = dw_count(who, M_DB_CERT);

	if (n == 0 || !slice_copy(text, sizeof(text),
	    dw_got(who, M_DB_CERT, n - 1)->u.db_cert.chain))
		return "-";
	return text;
}

static void
sign(uint8_t form, const char *der)
{
	struct msg m;

	msg_init(&m, M_OUT_ACME_SIGN);
	m.u.out_acme_sign.form = form;
	m.u.out_acme_sign.url = slice_str("https://ca.example/x");
	m.u.out_acme_sign.nonce = slice_str("n0nce");
	m.u.out_acme_sign.account = slice_str("");
	m.u.out_acme_sign.der = slice_str(der);
	edge_send(e, EDGE_OUT, &m);
}

static void
challenge(bool up, const char *name, const char *token)
{
	struct msg m;

	msg_init(&m, M_OUT_ACME_CHALLENGE);
	m.u.out_acme_challenge.up = up;
	m.u.out_acme_challenge.name = slice_str(name);
	m.u.out_acme_challenge.token = slice_str(token);
	edge_send(e, EDGE_OUT, &m);
}

static bool
ready(void)
{
	return edge_take(e, EDGE_OUT, M_OUT_ACME_READY) != NULL;
}

static bool
refused(void)
{
	return edge_take(e, EDGE_OUT, M_OUT_ACME_NO) != NULL;
}

static struct m_ctl_cert
shown(void)
{
	struct m_ctl_cert got = { 0 };
	struct buf b = { NULL, 0, 0 };
	struct msg m;

	dbacme_rows(dw_dbd(w), &b);
	if (b.n != 0) {
		assert_int_equal(msg_decode(&m, M_CTL_CERT, b.p + 4, b.n - 4),
		    0);
		got = m.u.ctl_cert;
		got.text = slice_str(got.text.n == 0 ? "" : "some");
		got.serial = slice_str(slice_eqs(got.serial, "0A") ? "0A" :
		    got.serial.n == 0 ? "" : "another");
	}
	buf_free(&b);
	return got;
}

static void
days(unsigned int n)
{
	/* The clock of the day alone: a minute shows what comes of it. */
	fakeenv_set_wall(dw_env(w), dw_now(w) + (int64_t)n * DAY);
	edge_pass(e, 61 * US_PER_S);
}

static void
t_none(void **state)
{
	(void)state;
	edge_pass(e, 120 * US_PER_S);
	assert_null(run_asked());
	assert_int_equal(shown().names.count, 0);
	assert_string_equal(cert(k), "");
}

/* Asked for at once, looked at by keyd, given to all, kept. */
static void
t_first(void **state)
{
	const struct msg *m;

	(void)state;
	conf("a.example", "b.example", 1);
	m = run_asked();
	assert_non_null(m);
	assert_int_equal(m->u.out_acme_run.names.count, 2);
	assert_int_equal(m->u.out_acme_run.challenge, 1);
	assert_int_equal(m->u.out_acme_run.account.n, 0);
	assert_int_equal(m->u.out_acme_run.revoke.n, 0);
	run_ok(m->id, "chain 1");
	assert_string_equal(cert(k), "");
	chain_ok("chain 1", 40);
	assert_string_equal(cert(k), "chain 1");
	assert_string_equal(cert(k2), "chain 1");
	assert_int_equal(dw_got(k, M_DB_CERT, dw_count(k, M_DB_CERT) -
	    1)->u.db_cert.key, 40);
	assert_int_equal(shown().not_after, dw_now(w) + LIFE);
	assert_true(slice_eqs(shown().serial, "0A"));
	assert_in_range(shown().renew, dw_now(w) + 57 * DAY, dw_now(w) +
	    60 * DAY);
	assert_int_equal(dw_counts(w)->certs, 1);
	/* A worker that comes later has it, too. */
	dw_kill(k2);
	k2 = dw_worker(w, 2, 9);
	assert_string_equal(cert(k2), "chain 1");
	/* In a new life it is looked at again, and nothing is asked for. */
	edge_restart(e, true);
	dw_reconnect(k);
	dw_forget(k);
	dw_hello(k);
	assert_string_equal(cert(k), "-");
	edge_up(e, EDGE_OUT);
	keyd_up();
	chain_ok("chain 1", 41);
	assert_string_equal(cert(k), "chain 1");
	assert_null(run_asked());
}

static void
t_renewal(void **state)
{
	const struct msg *m;

	(void)state;
	conf("a.example", NULL, 1);
	have("chain 1");
	days(56);
	assert_null(run_asked());
	days(5);
	m = run_asked();
	assert_non_null(m);
	assert_true(slice_eqs(m->u.out_acme_run.account, ACCOUNT));
	run_ok(m->id, "chain 2");
	chain_ok("chain 2", 40);
	assert_string_equal(cert(k), "chain 2");
	/* A clock that is put back is no reason to ask; nor one put right. */
	fakeenv_set_wall(dw_env(w), dw_now(w) - 1000 * DAY);
	edge_pass(e, 61 * US_PER_S);
	assert_null(run_asked());
	fakeenv_set_wall(dw_env(w), dw_now(w) + 1000 * DAY);
	edge_pass(e, 61 * US_PER_S);
	assert_null(run_asked());
}

/* One that lives for minutes is renewed when it is due, not a minute later. */
static void
t_short_life(void **state)
{
	unsigned int i;

	(void)state;
	life = 45;
	conf("a.example", NULL, 1);
	have("chain 1");
	for (i = 0; i < 5; i++) {
		edge_pass(e, 28 * US_PER_S);
		assert_null(run_asked());
		edge_pass(e, 3 * US_PER_S);
		have("chain 1");
	}
	life = LIFE;
	/* So is what has failed tried again: the wait is 60 to 76 s. */
	conf("b.example", NULL, 1);
	run_failed(run(), 0);
	edge_pass(e, 59 * US_PER_S);
	assert_null(run_asked());
	edge_pass(e, 17 * US_PER_S);
	have("chain 2");
}

/* A minute, two, ... a day; what the CA says counts if it is longer. */
static void
t_backoff(void **state)
{
	int64_t wait = 60, at, next;
	int i;

	(void)state;
	conf("a.example", NULL, 1);
	for (i = 0; i < 13; i++) {
		at = dw_now(w);
		run_failed(run(), 0);
		next = shown().renew - at;
		assert_in_range(next, wait, wait * 5 / 4 + 1);
		assert_int_equal(shown().failed, i + 1);
		assert_int_equal(shown().text.n, 4);
		fakeenv_set_wall(dw_env(w), at + next - 62);
		edge_pass(e, 60 * US_PER_S);
		assert_null(run_asked());
		edge_pass(e, 63 * US_PER_S);
		wait = 2 * wait < DAY ? 2 * wait : DAY;
	}
	at = dw_now(w);
	run_failed(run(), 3 * DAY);
	assert_int_equal(shown().renew, at + 3 * DAY);
	/* It is not forgotten in a new life. */
	edge_restart(e, true);
	edge_up(e, EDGE_OUT);
	keyd_up();
	edge_pass(e, 120 * US_PER_S);
	assert_null(run_asked());
	days(4);
	run_failed(run(), 400 * DAY);
	assert_in_range(shown().renew - dw_now(w), 6 * DAY, 7 * DAY);
	/* A clock put back by a year does not mean to wait a year. */
	fakeenv_set_wall(dw_env(w), dw_now(w) - 365 * DAY);
	edge_pass(e, 61 * US_PER_S);
	have("chain 1");
	assert_int_equal(shown().failed, 0);
	assert_int_equal(shown().text.n, 0);
	/* Since the restart. */
	assert_int_equal(dw_counts(w)->certs_failed, 1);
}

/* After a failure the account is looked for by its key. */
static void
t_account_gone(void **state)
{
	const struct msg *m;

	(void)state;
	conf("a.example", NULL, 1);
	have("chain 1");
	days(61);
	run_failed(run(), 0);
	edge_pass(e, 140 * US_PER_S);
	m = run_asked();
	assert_non_null(m);
	assert_int_equal(m->u.out_acme_run.account.n, 0);
	run_ok(m->id, "chain 2");
	chain_ok("chain 2", 40);
	assert_string_equal(cert(k), "chain 2");
}

/* keyd finds the new one bad: the old one stays. */
static void
t_bad_chain(void **state)
{
	(void)state;
	conf("a.example", NULL, 1);
	have("chain 1");
	days(61);
	run_ok(run(), "chain 2");
	chain_no(true);
	assert_string_equal(cert(k), "chain 1");
	assert_int_equal(shown().failed, 1);
	edge_pass(e, 140 * US_PER_S);
	have("chain 3");
	assert_string_equal(cert(k), "chain 3");
	/* Another keyd with another key: nobody can use it any more. */
	edge_down(e, EDGE_KEYD);
	edge_pass(e, 61 * US_PER_S);
	keyd_up();
	chain_no(false);
	assert_string_equal(cert(k), "");
	have("chain 4");
	assert_string_equal(cert(k2), "chain 4");
}

static void
t_sign(void **state)
{
	const struct msg *q;
	struct msg m;
	uint32_t id;

	(void)state;
	conf("a.example", NULL, 1);
	id = run();
	sign(1, "");
	q = edge_take(e, EDGE_KEYD, M_ACME_SIGN);
	assert_non_null(q);
	assert_int_equal(q->u.acme_sign.form, 1);
	assert_true(slice_eqs(q->u.acme_sign.nonce, "n0nce"));
	msg_init(&m, M_ACME_SIGNED);
	m.id = q->id;
	m.u.acme_signed.body = slice_str("{jws}");
	edge_send(e, EDGE_KEYD, &m);
	q = edge_take(e, EDGE_OUT, M_OUT_ACME_SIGNED);
	assert_non_null(q);
	assert_true(slice_eqs(q->u.out_acme_signed.body, "{jws}"));
	sign(2, "");
	q = edge_take(e, EDGE_KEYD, M_ACME_SIGN);
	keyd_no(q->id);
	assert_true(refused());
	/* keyd dies while it works, and while it is away. */
	sign(3, "");
	assert_false(refused());
	edge_down(e, EDGE_KEYD);
	assert_true(refused());
	sign(3, "");
	assert_true(refused());
	keyd_up();
	run_failed(id, 0);
	assert_false(edge_is_cut(e, EDGE_OUT));
	/* Nothing is signed that is of no run. */
	sign(1, "");
	assert_true(edge_is_cut(e, EDGE_OUT));
}

/* Whoever gives up has an answer all the same: it may ask again. */
static void
t_left_open(void **state)
{
	uint32_t id;

	(void)state;
	conf("a.example", NULL, 1);
	id = run();
	sign(1, "");
	challenge(true, "a.example", "t0ken");
	assert_false(refused());
	run_failed(id, 0);
	assert_true(refused() && refused());
}

/* Nobody can have a certificate revoked but an administrator. */
static void
t_sign_revoke(void **state)
{
	(void)state;
	conf("a.example", NULL, 1);
	have("chain 1");
	days(61);
	(void)run();
	sign(6, "leaf");
	assert_true(edge_is_cut(e, EDGE_OUT));
	assert_null(edge_take(e, EDGE_KEYD, M_ACME_SIGN));
}

/* Ready once every worker answers it. */
static void
t_challenge(void **state)
{
	const struct m_db_challenge *c;
	struct dbdworker *k3;
	uint32_t id;

	(void)state;
	conf("a.example", "b.example", 1);
	id = run();
	dw_forget(k);
	dw_forget(k2);
	challenge(true, "a.example", "t0ken");
	c = &dw_got(k, M_DB_CHALLENGE, 0)->u.db_challenge;
	assert_true(c->up);
	assert_int_equal(c->kind, 1);
	assert_true(slice_eqs(c->token, "t0ken"));
	assert_true(slice_eqs(c->thumbprint, THUMB));
	edge_worker_ok(e, k);
	assert_false(ready());
	/* One that comes now has to know it as well. */
	k3 = dw_worker(w, 3, 5);
	assert_int_equal(dw_count(k3, M_DB_CHALLENGE), 1);
	edge_worker_ok(e, k2);
	assert_false(ready());
	edge_worker_ok(e, k3);
	assert_true(ready());
	challenge(false, "a.example", "t0ken");
	assert_true(ready());
	assert_false(dw_got(k, M_DB_CHALLENGE, 0)->u.db_challenge.up);
	/* Whoever dies is not waited for. */
	challenge(true, "b.example", "other");
	edge_worker_ok(e, k);
	edge_worker_ok(e, k3);
	assert_false(ready());
	dw_kill(k2);
	edge_run(e);
	assert_true(ready());
	/* What is up when the run ends comes down. */
	run_failed(id, 0);
	assert_int_equal(dw_count(k, M_DB_CHALLENGE), 1);
	assert_false(dw_got(k, M_DB_CHALLENGE, 0)->u.db_challenge.up);
}

static void
t_challenge_refused(void **state)
{
	uint32_t id;

	(void)state;
	conf("a.example", NULL, 1);
	id = run();
	/* A worker that does not take it. */
	challenge(true, "a.example", "t0ken");
	edge_worker_ok(e, k);
	edge_pass(e, 19 * US_PER_S);
	assert_false(refused());
	edge_pass(e, 2 * US_PER_S);
	assert_true(refused());
	assert_false(ready());
	run_failed(id, 0);
	edge_pass(e, 140 * US_PER_S);
	(void)run();
	/* Not a name of ours. */
	challenge(true, "evil.example", "t0ken");
	assert_true(edge_is_cut(e, EDGE_OUT));
	edge_up(e, EDGE_OUT);
	challenge(true, "a.example", "t0ken");	/* and no run */
	assert_true(edge_is_cut(e, EDGE_OUT));
}

/* tls-alpn-01: keyd makes a certificate, and forgets its key after it. */
static void
t_alpn(void **state)
{
	const struct msg *q;
	struct msg m;

	(void)state;
	conf("a.example", NULL, 2);
	(void)run();
	dw_forget(k);
	challenge(true, "a.example", "t0ken");
	assert_int_equal(dw_count(k, M_DB_CHALLENGE), 0);
	q = edge_take(e, EDGE_KEYD, M_ACME_ALPN);
	assert_true(slice_eqs(q->u.acme_alpn.token, "t0ken"));
	msg_init(&m, M_ACME_ALPN_OK);
	m.id = q->id;
	m.u.acme_alpn_ok.key = 77;
	m.u.acme_alpn_ok.der = slice_str("der");
	edge_send(e, EDGE_KEYD, &m);
	q = dw_got(k, M_DB_CHALLENGE, 0);
	assert_int_equal(q->u.db_challenge.kind, 2);
	assert_int_equal(q->u.db_challenge.key, 77);
	assert_true(slice_eqs(q->u.db_challenge.der, "der"));
	assert_int_equal(q->u.db_challenge.thumbprint.n, 0);
	edge_worker_ok(e, k);
	edge_worker_ok(e, k2);
	assert_true(ready());
	assert_null(edge_take(e, EDGE_KEYD, M_ACME_ALPN_OVER));
	challenge(false, "a.example", "t0ken");
	q = edge_take(e, EDGE_KEYD, M_ACME_ALPN_OVER);
	assert_int_equal(q->u.acme_alpn_over.key, 77);
	assert_true(ready());
	/* keyd refuses; then it dies before it answers. */
	challenge(true, "a.example", "two");
	keyd_no(edge_take(e, EDGE_KEYD, M_ACME_ALPN)->id);
	assert_true(refused());
	challenge(true, "a.example", "three");
	(void)edge_take(e, EDGE_KEYD, M_ACME_ALPN);
	edge_down(e, EDGE_KEYD);
	assert_true(refused());
	challenge(true, "a.example", "four");
	assert_true(refused());
	/* The run ends before keyd answers: the key is given back. */
	keyd_up();
	challenge(true, "a.example", "five");
	m.id = edge_take(e, EDGE_KEYD, M_ACME_ALPN)->id;
	edge_down(e, EDGE_OUT);
	edge_send(e, EDGE_KEYD, &m);
	assert_non_null(edge_take(e, EDGE_KEYD, M_ACME_ALPN_OVER));
}

/* Fetch dies, dbd dies: begun anew, but not at once. */
static void
t_deaths(void **state)
{
	(void)state;
	conf("a.example", NULL, 1);
	(void)run();
	challenge(true, "a.example", "t0ken");
	edge_worker_ok(e, k);
	edge_down(e, EDGE_OUT);
	assert_false(dw_got(k, M_DB_CHALLENGE, 0)->u.db_challenge.up);
	assert_int_equal(shown().failed, 1);
	edge_up(e, EDGE_OUT);
	assert_null(run_asked());
	edge_pass(e, 80 * US_PER_S);
	(void)run();
	challenge(true, "a.example", "t0ken");
	edge_restart(e, false);
	edge_up(e, EDGE_OUT);
	keyd_up();
	assert_null(run_asked());
	edge_pass(e, 130 * US_PER_S);
	have("chain 1");
	assert_string_equal(cert(k), "-");	/* its link is gone */
	/* keyd dies between the chain and its word on it. */
	days(61);
	run_ok(run(), "chain 2");
	edge_down(e, EDGE_KEYD);
	edge_pass(e, 120 * US_PER_S);
	assert_null(run_asked());
	while (edge_take(e, EDGE_KEYD, M_ACME_CHAIN) != NULL)
		;
	keyd_up();
	chain_ok("chain 2", 40);
	assert_int_equal(dw_counts(w)->certs, 2);
	/* Without keyd nothing is begun. */
	edge_down(e, EDGE_KEYD);
	days(61);
	assert_null(run_asked());
	keyd_up();
	assert_null(run_asked());	/* the old one is looked at first */
	chain_no(false);
	(void)run();
}

/* Told of once it is stored; it is due, but no other is asked for at once. */
static void
t_due_at_once(void **state)
{
	struct dbd *d = dw_dbd(w);
	struct msg m;

	(void)state;
	conf("a.example", NULL, 1);
	run_ok(run(), "chain 1");
	msg_init(&m, M_ACME_CHAIN_OK);
	m.u.acme_chain_ok.not_before = dw_now(w) - 70 * DAY;
	m.u.acme_chain_ok.not_after = dw_now(w) + 20 * DAY;
	m.u.acme_chain_ok.leaf = slice_str("leaf");
	dbd_acme_msg(d, d->acme->keyd, &m, &d->acme->tag[TAG_CHAIN]);
	dw_deliver(w);
	assert_string_equal(cert(k), "");
	edge_run(e);
	assert_string_equal(cert(k), "chain 1");
	assert_null(run_asked());
	edge_pass(e, 3500 * US_PER_S);
	assert_null(run_asked());
	edge_pass(e, 200 * US_PER_S);
	(void)run();
}

static uint32_t
run_at(const char *directory)
{
	const struct msg *m = run_asked();

	assert_non_null(m);
	assert_true(slice_eqs(m->u.out_acme_run.directory, directory));
	assert_int_equal(m->u.out_acme_run.account.n, 0);
	return m->id;
}

static void
set_directory(const char *directory)
{
	dw_conf(w)->acme.directory = slice_str(directory);
	dw_reconf(w);
	edge_run(e);
}

/* Another CA: asked until there is one of it, whatever comes between. */
static void
t_directory(void **state)
{
	uint32_t id;

	(void)state;
	conf("a.example", NULL, 1);
	have("chain 1");
	set_directory("https://other.example/dir");
	run_failed(run_at("https://other.example/dir"), 0);
	edge_pass(e, 140 * US_PER_S);
	run_ok(run_at("https://other.example/dir"), "chain 2");
	chain_no(true);
	edge_pass(e, 240 * US_PER_S);
	id = run_at("https://other.example/dir");
	/* Changed again meanwhile: what comes is of the one before. */
	set_directory("https://third.example/dir");
	run_ok(id, "chain 3");
	chain_ok("chain 3", 40);
	run_ok(run_at("https://third.example/dir"), "chain 4");
	chain_ok("chain 4", 40);
	days(2);
	assert_null(run_asked());
}

/* A worker that comes while keyd is away answers the CA as all do. */
static void
t_thumbprint(void **state)
{
	struct dbdworker *k3;

	(void)state;
	conf("a.example", NULL, 1);
	(void)run();
	challenge(true, "a.example", "t0ken");
	edge_down(e, EDGE_KEYD);
	k3 = dw_worker(w, 3, 5);
	assert_int_equal(dw_count(k3, M_DB_CHALLENGE), 1);
	assert_true(slice_eqs(dw_got(k3, M_DB_CHALLENGE,
	    0)->u.db_challenge.thumbprint, THUMB));
}

/* Other names: asked for at once; those of a run under way after it. */
static void
t_reload(void **state)
{
	uint32_t id;

	(void)state;
	conf("a.example", NULL, 1);
	have("chain 1");
	conf("a.example", "b.example", 1);
	assert_string_equal(cert(k), "chain 1");
	id = run();
	conf("c.example", NULL, 1);
	assert_null(run_asked());
	run_ok(id, "chain 2");
	chain_ok("chain 2", 40);
	have("chain 3");
	assert_string_equal(cert(k), "chain 3");
	/* What an administrator has put right is tried at once. */
	conf("bad.example", NULL, 1);
	run_failed(run(), 3600);
	conf("bad.example", NULL, 1);
	assert_null(run_asked());
	conf("d.example", NULL, 1);
	have("chain 4");
	/* One more name cannot be had: what is in force stays. */
	conf("d.example", "e.example", 1);
	run_failed(run(), 0);
	edge_down(e, EDGE_KEYD);
	keyd_up();
	chain_ok("chain 4", 40);
	assert_string_equal(cert(k), "chain 4");
	/* None wanted any more. */
	conf(NULL, NULL, 1);
	assert_string_equal(cert(k), "");
	assert_int_equal(shown().names.count, 0);
	days(100);
	assert_null(run_asked());
}

static void
t_admin(void **state)
{
	char why[200];
	const struct msg *m;

	(void)state;
	assert_int_equal(op_cert_renew(dw_dbd(w), false, why, sizeof(why)),
	    -1);
	conf("a.example", NULL, 1);
	assert_int_equal(op_cert_renew(dw_dbd(w), false, why, sizeof(why)),
	    -1);
	assert_string_equal(why, "one is being asked for already");
	run_failed(run(), 0);
	assert_int_equal(op_cert_renew(dw_dbd(w), true, why, sizeof(why)), -1);
	assert_string_equal(why, "there is none in use that could be revoked");
	/* Not held up by what failed before. */
	assert_int_equal(op_cert_renew(dw_dbd(w), false, why, sizeof(why)), 0);
	edge_run(e);
	have("chain 1");
	assert_int_equal(op_cert_renew(dw_dbd(w), true, why, sizeof(why)), 0);
	edge_run(e);
	m = run_asked();
	assert_true(slice_eqs(m->u.out_acme_run.revoke, "leaf"));
	sign(6, "leaf");
	assert_non_null(edge_take(e, EDGE_KEYD, M_ACME_SIGN));
	run_ok(m->id, "");
	assert_string_equal(cert(k), "chain 1");
	m = run_asked();
	assert_int_equal(m->u.out_acme_run.revoke.n, 0);
	run_ok(m->id, "chain 2");
	chain_ok("chain 2", 40);
	assert_string_equal(cert(k), "chain 2");
	/* It cannot be revoked: it stays, and nothing is asked for. */
	assert_int_equal(op_cert_renew(dw_dbd(w), true, why, sizeof(why)), 0);
	edge_run(e);
	run_failed(run(), 0);
	edge_pass(e, 200 * US_PER_S);
	assert_null(run_asked());
	assert_string_equal(cert(k), "chain 2");
	edge_down(e, EDGE_OUT);
	assert_int_equal(op_cert_renew(dw_dbd(w), false, why, sizeof(why)),
	    -1);
	assert_string_equal(why, "headscaled-fetch is away");
}

/* A chain where none was asked for, and none where one was. */
static void
t_nonsense(void **state)
{
	(void)state;
	conf("a.example", NULL, 1);
	run_ok(run(), "");
	assert_true(edge_is_cut(e, EDGE_OUT));
	assert_int_equal(shown().failed, 1);
	edge_up(e, EDGE_OUT);
	edge_pass(e, 140 * US_PER_S);
	(void)run();
	/* It hangs: half an hour and more is enough. */
	edge_pass(e, 2500 * US_PER_S);
	assert_true(edge_is_cut(e, EDGE_OUT));
	assert_int_equal(shown().failed, 2);
}

#define T(t)	cmocka_unit_test_setup_teardown(t, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(t_none), T(t_first), T(t_renewal), T(t_short_life),
		T(t_backoff), T(t_account_gone), T(t_bad_chain), T(t_sign),
		T(t_sign_revoke), T(t_challenge), T(t_challenge_refused),
		T(t_due_at_once), T(t_directory), T(t_thumbprint), T(t_alpn),
		T(t_deaths), T(t_reload), T(t_admin), T(t_nonsense),
		T(t_left_open)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
