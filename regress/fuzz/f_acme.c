/*
 * An ACME server's answers to the state machine.  The input is answers, one
 * after the other: an octet of the status (0 to 15, see below), an octet of
 * which header fields are there, an octet of whether we refuse what we are
 * asked, two octets of length, the body.  When there are no more the run goes
 * on without answers until it gives up.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/compat/compat.h"
#include "regress/lib/fakeenv.h"
#include "worker/fetch/acme.h"

#define ANSWERS	200

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

struct fuzz {
	struct fakeenv	*fe;
	struct acme_run	*acme;
	ask_done	 done;
	void		*tag;
	uint32_t	 max;
	bool		 asked, signing, readying, up;
	unsigned int	 ends;
	unsigned int	 nonce;
};

static void
must(bool good)
{
	if (!good)
		abort();
}

static void *
start(void *arg, const struct ask *a, ask_done done, void *tag)
{
	struct fuzz *f = arg;

	must(!f->asked && !f->signing && !f->readying);
	must(strncmp(a->url, "https://", 8) == 0 &&
	    strlen(a->url) <= ASK_URL_MAX);
	f->asked = true;
	f->done = done;
	f->tag = tag;
	f->max = a->max;
	return f;
}

static void
stop(void *arg, void *job)
{
	struct fuzz *f = arg;

	must(job == f && f->asked);
	f->asked = false;
}

/* What would not fit its message would be fatal in the daemon. */
static void
on_sign(void *arg, enum acme_form form, struct slice url, struct slice nonce,
    struct slice account, struct slice der)
{
	struct fuzz *f = arg;
	struct msg m;

	must(!f->asked && !f->signing && !f->readying);
	msg_init(&m, M_OUT_ACME_SIGN);
	m.u.out_acme_sign.form = (uint8_t)form;
	m.u.out_acme_sign.url = url;
	m.u.out_acme_sign.nonce = nonce;
	m.u.out_acme_sign.account = account;
	m.u.out_acme_sign.der = der;
	must(msg_ok(&m));
	f->signing = true;
}

static void
on_challenge(void *arg, bool up, struct slice name, struct slice token)
{
	struct fuzz *f = arg;
	struct msg m;

	msg_init(&m, M_OUT_ACME_CHALLENGE);
	m.u.out_acme_challenge.name = name;
	m.u.out_acme_challenge.token = token;
	must(msg_ok(&m) && f->up != up);
	must(name.n == strlen("a.example"));	/* in any case */
	f->up = up;
	f->readying = up;
}

static void
on_end(void *arg, const struct acme_end *e)
{
	struct fuzz *f = arg;
	struct msg m;

	msg_init(&m, e->why == NULL ? M_OUT_ACME_OK : M_OUT_ACME_FAILED);
	if (e->why == NULL) {
		m.u.out_acme_ok.account = slice_str(e->account);
		m.u.out_acme_ok.chain = e->chain;
	} else {
		m.u.out_acme_failed.account = slice_str(e->account);
		m.u.out_acme_failed.text = slice_str(e->why);
	}
	must(msg_ok(&m) && !f->up && !f->asked);
	f->ends++;
	acme_run_free(f->acme);
	f->acme = NULL;
	must(env_timers(fakeenv_env(f->fe)) == 0);
}

static void
begin(struct fuzz *f, uint8_t how)
{
	static const struct ask_ops ask = { start, stop };
	static const struct acme_ops ops = { on_sign, on_challenge, on_end };
	struct r_text name = { slice_str("a.example") };
	struct m_out_acme_run run;
	struct buf names = { 0 };

	memset(&run, 0, sizeof(run));
	run.directory = slice_str("https://ca.test/dir");
	run.challenge = how & 1 ? 2 : 1;
	if (how & 2)
		run.account = slice_str("https://ca.test/acct/1");
	if (how & 4)
		run.revoke = slice_str("der");
	msg_list_add(&run.names, &names, MR_TEXT, &name);
	msg_list_close(&run.names, &names);
	f->acme = acme_run_new(fakeenv_env(f->fe), &ask, f, &ops, f, &run);
	buf_free(&names);
}

/* Takes the next answer from the input; one of silence at its end. */
static void
answer(struct fuzz *f, struct rd *rd)
{
	static const uint16_t codes[16] = {
		0, 200, 201, 200, 201, 204, 202, 302, 400, 403, 404, 409, 429,
		500, 503, 599
	};
	static const char *const types[4] = {
		"application/json", "application/problem+json",
		"application/pem-certificate-chain", "text/html"
	};
	struct answer a;
	uint8_t status, fields;
	char nonce[32];
	size_t n;

	memset(&a, 0, sizeof(a));
	status = rd_u8(rd);
	fields = rd_u8(rd);
	n = rd_u16(rd);
	if (n > rd_left(rd))
		n = rd_left(rd);
	a.status = codes[status & 15];
	a.why = "silence";
	a.type = types[fields & 3];
	(void)snprintf(nonce, sizeof(nonce), "n%u", f->nonce++);
	a.nonce = fields & 4 ? "" : fields & 8 ? "bad nonce" : nonce;
	a.location = fields & 16 ? "" : fields & 32 ? "/x" :
	    "https://ca.test/acct/2";
	a.retry_after = fields & 64 ? "30" : fields & 128 ?
	    "Mon, 21 Sep 2026 15:00:00 GMT" : "";
	a.body = slice_mem(rd_take(rd, n), n);
	if (n > f->max) {
		a.status = 0;
		a.body.n = 0;
	}
	f->asked = false;
	f->done(f->tag, &a);
}

static void
step(struct fuzz *f, struct rd *rd, uint8_t how)
{
	uint64_t due, now;

	if (f->signing || f->readying) {
		bool refuse = (how & 8) != 0 && f->nonce > 6;
		bool was = f->signing;

		f->signing = f->readying = false;
		if (refuse)
			acme_run_refused(f->acme, slice_str("no"));
		else if (was)
			acme_run_signed(f->acme, slice_str("body"));
		else
			acme_run_ready(f->acme);
	} else if (f->asked)
		answer(f, rd);
	else {
		due = env_next(fakeenv_env(f->fe));
		now = env_now(fakeenv_env(f->fe));
		must(due != ENV_NEVER);
		fakeenv_advance(f->fe, due > now ? due - now : 0);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct fuzz f;
	struct rd rd;
	unsigned int i;
	uint8_t how;

	memset(&f, 0, sizeof(f));
	f.fe = fakeenv_new(1);
	rd_init(&rd, p, n);
	how = rd_u8(&rd);
	begin(&f, how);
	for (i = 0; f.acme != NULL && i < 20 * ANSWERS; i++)
		step(&f, &rd, how);
	must(f.acme == NULL && f.ends == 1);
	fakeenv_free(f.fe);
	return 0;
}
