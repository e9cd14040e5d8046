#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/compat/compat.h"
#include "common/str.h"
#include "regress/lib/fetchkit.h"

#define STEPS	3000

/* HTTP. */

static void *
start(void *arg, const struct ask *a, ask_done done, void *tag)
{
	struct fk *fk = arg;
	struct fk_ask *q;

	assert_true(fk->nwaiting < FK_ASKS);
	q = xcalloc(1, sizeof(*q));
	q->fk = fk;
	q->done = done;
	q->tag = tag;
	q->method = a->method;
	q->max = a->max;
	q->insecure = a->insecure;
	assert_true(strlcpy(q->url, a->url, sizeof(q->url)) <
	    sizeof(q->url));
	(void)strlcpy(q->accept, a->accept == NULL ? "" : a->accept,
	    sizeof(q->accept));
	(void)strlcpy(q->ip4, a->ip4 == NULL ? "" : a->ip4, sizeof(q->ip4));
	(void)strlcpy(q->ip6, a->ip6 == NULL ? "" : a->ip6, sizeof(q->ip6));
	assert_true(slice_copy(q->body, sizeof(q->body), a->body));
	fk->times[fk->asked % 2048] = env_now(fakeenv_env(fk->fe));
	fk->asked++;
	fk->waiting[fk->nwaiting++] = q;
	return q;
}

static void
take_out(struct fk *fk, const struct fk_ask *q)
{
	size_t i;

	for (i = 0; fk->waiting[i] != q; i++)
		assert_true(i + 1 < fk->nwaiting);
	memmove(fk->waiting + i, fk->waiting + i + 1,
	    (--fk->nwaiting - i) * sizeof(fk->waiting[0]));
}

static void
stop(void *arg, void *job)
{
	struct fk *fk = arg;

	take_out(fk, job);
	fk->stopped++;
	free(job);
}

const struct ask_ops *
fk_ops(void)
{
	static const struct ask_ops ops = { start, stop };

	return &ops;
}

void
fk_answer(struct fk *fk, const struct fk_answer *f)
{
	struct fk_ask *q = fk->waiting[0];
	struct answer a;
	char *copy;

	assert_true(fk->nwaiting > 0);
	take_out(fk, q);
	memset(&a, 0, sizeof(a));
	a.status = f->status;
	a.why = f->why;
	a.type = f->type;
	a.nonce = f->nonce;
	a.location = f->location;
	a.retry_after = f->retry_after;
	a.us = 1234;
	copy = xmalloc(f->n + 1);	/* exact: a read past it shows */
	memcpy(copy, f->body, f->n);
	copy = xrealloc(copy, f->n == 0 ? 1 : f->n, 1);
	if (f->n <= q->max)
		a.body = slice_mem(copy, f->n);
	else {
		a.status = 0;
		a.why = "the answer is longer than it may be";
	}
	q->done(q->tag, &a);
	free(copy);
	free(q);
}

/* The server. */

static void __attribute__((__format__(printf, 2, 3)))
say(struct fk_answer *a, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(a->body + a->n, sizeof(a->body) - a->n, fmt, ap);
	va_end(ap);
	assert_true(n >= 0 && (size_t)n < sizeof(a->body) - a->n);
	a->n += (size_t)n;
}

void
fk_problem(struct fk_answer *a, unsigned int status, const char *type,
    const char *detail)
{
	a->status = status;
	(void)strlcpy(a->type, "application/problem+json", sizeof(a->type));
	a->location[0] = '\0';
	a->n = 0;
	say(a, "{\"type\":\"urn:ietf:params:acme:error:%s\",\"detail\":\"%s\"}",
	    type, detail);
}

static void
say_order(struct fk *fk, struct fk_answer *a)
{
	const char *st = "ready";
	unsigned int i;

	for (i = 0; i < fk->nnames; i++)
		if (!fk->valid[i])
			st = "pending";
	if (fk->finalized && fk->left > 0) {
		fk->left--;
		st = "processing";
	} else if (fk->finalized)
		st = "valid";
	say(a, "{\"status\":\"%s\",\"finalize\":\"https://ca.test/fin\","
	    "\"authorizations\":[", st);
	for (i = 0; i < fk->nnames; i++)
		say(a, "%s\"https://ca.test/authz/%u\"", i == 0 ? "" : ",", i);
	say(a, "]%s}", strcmp(st, "valid") == 0 ?
	    ",\"certificate\":\"https://ca.test/cert\"" : "");
}

static void
say_authz(struct fk *fk, struct fk_answer *a, unsigned int i)
{
	assert_true(i < fk->nnames);
	if (fk->triggered[i] && fk->left > 0)
		fk->left--;
	else if (fk->triggered[i])
		fk->valid[i] = true;
	say(a, "{\"status\":\"%s\",\"identifier\":{\"type\":\"dns\","
	    "\"value\":\"%s\"},\"challenges\":["
	    "{\"type\":\"dns-01\",\"url\":\"https://ca.test/no\","
	    "\"status\":\"pending\",\"token\":\"no\"},"
	    "{\"type\":\"%s\",\"url\":\"https://ca.test/chal/%u\","
	    "\"status\":\"pending\",\"token\":\"token_%u\"}]}",
	    fk->valid[i] ? "valid" : "pending", fk->names[i], fk->kind, i, i);
}

/* RFC 8555 6.4, 6.5: made for this URL, with a nonce that was not used. */
static void
check_signed(struct fk *fk, const struct fk_ask *q)
{
	char url[1100], account[1100];
	unsigned int form, nonce;

	assert_int_equal(sscanf(q->body, "%u %1099s n%u %1099s", &form, url,
	    &nonce, account), 4);
	assert_string_equal(url, q->url);
	assert_true(nonce < fk->nonces && !fk->used[nonce]);
	fk->used[nonce] = true;
	if (form == ACME_NEW_ACCOUNT)
		assert_string_equal(account, "-");
	else
		assert_true(slice_prefix(slice_str(account),
		    "https://ca.test/acct/"));
}

static void
serve_post(struct fk *fk, const struct fk_ask *q, struct fk_answer *a)
{
	const char *path = q->url + strlen("https://ca.test");
	unsigned int i;

	check_signed(fk, q);
	if (strcmp(path, "/acct") == 0) {
		a->status = 201;
		(void)strlcpy(a->location, FK_ACCOUNT, sizeof(a->location));
		say(a, "{\"status\":\"valid\"}");
	} else if (strcmp(path, "/order") == 0) {
		a->status = 201;
		(void)strlcpy(a->location, "https://ca.test/order/1",
		    sizeof(a->location));
		say_order(fk, a);
	} else if (strcmp(path, "/order/1") == 0)
		say_order(fk, a);
	else if (sscanf(path, "/authz/%u", &i) == 1)
		say_authz(fk, a, i);
	else if (sscanf(path, "/chal/%u", &i) == 1) {
		assert_true(i < fk->nnames && fk->ups == fk->downs + 1);
		fk->triggered[i] = true;
		fk->left = fk->slow;
		say(a, "{\"status\":\"processing\"}");
	} else if (strcmp(path, "/fin") == 0) {
		fk->finalized = true;
		fk->left = fk->slow;
		say_order(fk, a);
	} else if (strcmp(path, "/cert") == 0) {
		assert_string_equal(q->accept,
		    "application/pem-certificate-chain");
		(void)strlcpy(a->type, q->accept, sizeof(a->type));
		say(a, "%s", FK_CHAIN);
	} else
		assert_string_equal(path, "/revoke");
}

void
fk_serve(struct fk *fk)
{
	const struct fk_ask *q = fk->waiting[0];
	static struct fk_answer a;

	memset(&a, 0, sizeof(a));
	a.status = 200;
	(void)strlcpy(a.type, "application/json", sizeof(a.type));
	if (q->method == ASK_POST)
		serve_post(fk, q, &a);
	else if (q->method == ASK_HEAD)
		assert_string_equal(q->url, "https://ca.test/nonce");
	else
		say(&a, "{\"newNonce\":\"https://ca.test/nonce\","
		    "\"newAccount\":\"https://ca.test/acct\","
		    "\"newOrder\":\"https://ca.test/order\","
		    "\"revokeCert\":\"https://ca.test/revoke\"}");
	if (q->method != ASK_GET) {
		assert_true(fk->nonces < 4096);
		(void)snprintf(a.nonce, sizeof(a.nonce), "n%u", fk->nonces++);
	}
	if (fk->spoil != NULL)
		fk->spoil(fk, fk->answered, q, &a);
	fk->answered++;
	fk_answer(fk, &a);
}

/* The client's surroundings. */

static void
on_sign(void *arg, enum acme_form form, struct slice url, struct slice nonce,
    struct slice account, struct slice der)
{
	struct fk *fk = arg;

	assert_false(fk->signing || fk->readying || fk->nwaiting > 0);
	assert_true(url.n > 0 && url.n <= 1024 && nonce.n > 0 &&
	    nonce.n <= 255 && account.n <= 1024);
	assert_true((form == ACME_REVOKE) == (der.n > 0));
	assert_true((form == ACME_NEW_ACCOUNT) == (account.n == 0));
	(void)snprintf(fk->body, sizeof(fk->body), "%d %.*s %.*s %.*s",
	    (int)form, SLICE_FMT(url), SLICE_FMT(nonce),
	    SLICE_FMT(account.n == 0 ? slice_str("-") : account));
	fk->signing = true;
}

static void
on_challenge(void *arg, bool up, struct slice name, struct slice token)
{
	struct fk *fk = arg;

	assert_true(name.n > 0 && name.n <= 253 && token.n > 0 &&
	    token.n <= 255);
	if (up) {
		assert_int_equal(fk->ups, fk->downs);
		fk->ups++;
		fk->readying = true;
		assert_true(slice_copy(fk->up_name, sizeof(fk->up_name),
		    name) && slice_copy(fk->up_token, sizeof(fk->up_token),
		    token));
		return;
	}
	fk->downs++;
	assert_int_equal(fk->ups, fk->downs);
	assert_true(slice_eqs(name, fk->up_name) &&
	    slice_eqs(token, fk->up_token));
}

static void
on_end(void *arg, const struct acme_end *e)
{
	struct fk *fk = arg;

	fk->ends++;
	fk->ok = e->why == NULL;
	(void)strlcpy(fk->why, fk->ok ? "" : e->why, sizeof(fk->why));
	(void)strlcpy(fk->account, e->account, sizeof(fk->account));
	fk->retry_s = e->retry_s;
	if (!fk->ok)
		assert_true(fk->why[0] != '\0' && strlen(fk->why) < 256 &&
		    utf8_ok(fk->why, strlen(fk->why)));
	else
		assert_true(slice_copy(fk->chain, sizeof(fk->chain),
		    e->chain));
	acme_run_free(fk->acme);
	fk->acme = NULL;
	assert_int_equal(fk->ups, fk->downs);
	assert_int_equal(env_timers(fakeenv_env(fk->fe)), 0);
	assert_int_equal(fk->nwaiting, 0);
}

void
fk_begin(struct fk *fk, const char *account, struct slice der)
{
	static const struct acme_ops ops = { on_sign, on_challenge, on_end };
	struct m_out_acme_run run;
	struct buf names = { 0 };
	struct r_text name;
	unsigned int i;

	memset(&run, 0, sizeof(run));
	run.directory = slice_str(FK_DIRECTORY);
	run.account = slice_str(account);
	run.challenge = strcmp(fk->kind, "http-01") == 0 ? 1 : 2;
	run.revoke = der;
	for (i = 0; i < fk->nnames; i++) {
		name.v = slice_str(fk->names[i]);
		msg_list_add(&run.names, &names, MR_TEXT, &name);
	}
	msg_list_close(&run.names, &names);
	fk->acme = acme_run_new(fakeenv_env(fk->fe), fk_ops(), fk, &ops, fk,
	    &run);
	buf_free(&names);
}

static bool
refuse(struct fk *fk)
{
	if (fk->refuse_at != (int)(fk->signs++))
		return false;
	acme_run_refused(fk->acme, slice_str("not today"));
	return true;
}

bool
fk_step(struct fk *fk)
{
	uint64_t due, now;

	if (fk->acme == NULL)
		return false;
	if (fk->signing) {
		fk->signing = false;
		if (!refuse(fk))
			acme_run_signed(fk->acme, slice_str(fk->body));
	} else if (fk->readying) {
		fk->readying = false;
		if (!refuse(fk))
			acme_run_ready(fk->acme);
	} else if (fk->nwaiting > 0)
		fk_serve(fk);
	else {
		due = env_next(fakeenv_env(fk->fe));
		now = env_now(fakeenv_env(fk->fe));
		assert_true(due != ENV_NEVER);
		fakeenv_advance(fk->fe, due > now ? due - now : 0);
	}
	return true;
}

void
fk_run(struct fk *fk)
{
	unsigned int i;

	for (i = 0; i < STEPS && fk_step(fk); i++)
		;
	assert_int_equal(fk->ends, 1);
}

struct fk *
fk_new(const char *kind, const char *const *names)
{
	struct fk *fk;

	fk = xcalloc(1, sizeof(*fk));
	fk->fe = fakeenv_new(1);
	fk->kind = kind;
	fk->refuse_at = -1;
	for (; *names != NULL; names++)
		fk->names[fk->nnames++] = *names;
	return fk;
}

void
fk_free(struct fk *fk)
{
	acme_run_free(fk->acme);
	assert_int_equal(fk->nwaiting, 0);
	assert_int_equal(fk->ups, fk->downs);
	fakeenv_free(fk->fe);
	free(fk);
}
