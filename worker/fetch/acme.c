#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/compat/compat.h"
#include "worker/fetch/acme_int.h"
#include "worker/fetch/text.h"

#define REQUEST_MS	60000
#define CHAIN_MAX	60000
#define WAIT_S		300	/* for an authorization, or an order */
#define WHOLE_S		1800
#define BAD_NONCES	20	/* in a row */
#define TRIES		3	/* again, when the server is in trouble */
#define LONGEST_S	60	/* that we wait because a server says so */

enum step {
	S_DIRECTORY,
	S_ACCOUNT,
	S_ORDER,
	S_AUTHZ,
	S_TRIGGER,
	S_POLL_AUTHZ,
	S_POLL_ORDER,
	S_FINALIZE,
	S_CERT,
	S_REVOKE
};

/* What is under way for the step. */
enum phase {
	P_WAIT,			/* the timer */
	P_DIRECTORY,
	P_NONCE,
	P_SIGN,
	P_POST,
	P_UP
};

struct acme_run {
	struct env		*env;
	const struct ask_ops	*ask;
	void			*ask_arg;
	const struct acme_ops	*ops;
	void			*arg;
	/* the order of the day */
	char			 directory[URL];
	char			 account[URL];
	bool			 given;		/* by dbd, not yet proven */
	const char		*kind;
	char			 names[ACME_NAMES][254];
	size_t			 nnames;
	struct buf		 revoke;
	char			 bad[ACME_TEXT];	/* why it cannot be */
	/* where it stands */
	enum step		 step;
	enum phase		 phase;
	enum acme_form		 form;
	char			 url[URL];
	char			 nonce[ASK_FIELD];
	void			*job;
	struct timer		 timer;
	struct timer		 whole;
	uint64_t		 due;		/* of polls */
	unsigned int		 polls;
	unsigned int		 bad_nonces;
	unsigned int		 tries;
	bool			 up;
	bool			 finalized;
	struct directory	 dir;
	char			 order_url[URL];
	struct order		 order;
	size_t			 at;		/* which authorization */
	struct authz		 authz;
};

static void	go(struct acme_run *);
static void	next_authz(struct acme_run *);

/* The end. */

static void
take_down(struct acme_run *a)
{
	if (!a->up)
		return;
	a->up = false;
	a->ops->challenge(a->arg, false, slice_str(a->authz.name),
	    slice_str(a->authz.token));
}

/* Nothing of a may be touched afterwards: its owner frees it in the end. */
static void
finish(struct acme_run *a, const char *why, uint32_t retry_s,
    struct slice chain)
{
	struct acme_end e;

	take_down(a);
	timer_stop(&a->timer);
	timer_stop(&a->whole);
	e.account = a->account;
	e.why = why;
	e.retry_s = retry_s;
	e.chain = chain;
	a->ops->end(a->arg, &e);
}

static void __attribute__((__format__(printf, 3, 4)))
fail(struct acme_run *a, uint32_t retry_s, const char *fmt, ...)
{
	char text[4 * ACME_TEXT], why[ACME_TEXT];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	text_clean(why, sizeof(why), slice_str(text));
	finish(a, why, retry_s, slice_str(NULL));
}

static const char *
step_name(const struct acme_run *a)
{
	switch (a->phase == P_NONCE ? S_DIRECTORY : a->step) {
	case S_DIRECTORY:
		return a->phase == P_NONCE ? "new nonce" : "directory";
	case S_ACCOUNT:
		return "account";
	case S_ORDER:
		return "new order";
	case S_AUTHZ:
	case S_POLL_AUTHZ:
		return "authorization";
	case S_TRIGGER:
		return "challenge";
	case S_POLL_ORDER:
		return "order";
	case S_FINALIZE:
		return "finalize";
	case S_CERT:
		return "certificate";
	case S_REVOKE:
		return "revocation";
	}
	return "?";
}

/* Requests. */

static void	on_answer(void *, const struct answer *);

static void
ask_for(struct acme_run *a, enum phase phase, enum ask_method method,
    const char *url, struct slice body)
{
	struct ask ask;

	memset(&ask, 0, sizeof(ask));
	ask.method = method;
	ask.url = url;
	ask.accept = a->step == S_CERT ? "application/pem-certificate-chain" :
	    "application/json";
	ask.body = body;
	ask.max = a->step == S_CERT ? CHAIN_MAX : OBJ_MAX;
	ask.total_ms = REQUEST_MS;
	a->phase = phase;
	a->job = a->ask->start(a->ask_arg, &ask, on_answer, a);
}

/* The step's request, whatever it still needs. */
static void
go(struct acme_run *a)
{
	char nonce[ASK_FIELD];

	if (a->step == S_DIRECTORY) {
		ask_for(a, P_DIRECTORY, ASK_GET, a->directory,
		    slice_str(NULL));
		return;
	}
	if (a->nonce[0] == '\0') {
		ask_for(a, P_NONCE, ASK_HEAD, a->dir.new_nonce,
		    slice_str(NULL));
		return;
	}
	(void)strlcpy(nonce, a->nonce, sizeof(nonce));
	a->nonce[0] = '\0';	/* good once */
	a->phase = P_SIGN;
	a->ops->sign(a->arg, a->form, slice_str(a->url), slice_str(nonce),
	    slice_str(a->form == ACME_NEW_ACCOUNT ? NULL : a->account),
	    a->form == ACME_REVOKE ? buf_slice_of(&a->revoke) :
	    slice_str(NULL));
}

static void
begin(struct acme_run *a, enum step step, enum acme_form form, const char *url)
{
	a->step = step;
	a->form = form;
	(void)strlcpy(a->url, url, sizeof(a->url));
	a->bad_nonces = 0;
	a->tries = 0;
	go(a);
}

/* With an account: what we came for. */
static void
begin_work(struct acme_run *a)
{
	if (a->account[0] == '\0')
		begin(a, S_ACCOUNT, ACME_NEW_ACCOUNT, a->dir.new_account);
	else if (a->revoke.n == 0)
		begin(a, S_ORDER, ACME_NEW_ORDER, a->dir.new_order);
	else if (a->dir.revoke[0] != '\0')
		begin(a, S_REVOKE, ACME_REVOKE, a->dir.revoke);
	else
		fail(a, 0, "directory: no URL revokeCert");
}

static void
wait_s(struct acme_run *a, uint32_t s)
{
	a->phase = P_WAIT;
	timer_in(&a->timer, s * US_PER_S);
}

/* Asks for an object again, when the server says or after a while. */
static void
poll_later(struct acme_run *a, const struct answer *ans)
{
	static const uint8_t pause[] = { 1, 1, 2, 3, 5, 8, 10 };
	uint32_t said, s;

	said = text_retry_after(ans->retry_after, env_wall(a->env));
	s = said;
	if (s == 0)
		s = pause[a->polls < sizeof(pause) ? a->polls :
		    sizeof(pause) - 1];
	if (s > LONGEST_S)
		s = LONGEST_S;
	if (env_now(a->env) + s * US_PER_S > a->due) {
		if (a->step == S_POLL_AUTHZ)
			fail(a, said, "authorization of %s: still pending "
			    "after %d s", a->authz.name, WAIT_S);
		else
			fail(a, said, "order: not done after %d s", WAIT_S);
		return;
	}
	a->polls++;
	wait_s(a, s);
}

static void
begin_polls(struct acme_run *a, enum step step, const char *url,
    const struct answer *ans)
{
	a->step = step;
	a->form = ACME_AS_GET;
	(void)strlcpy(a->url, url, sizeof(a->url));
	a->bad_nonces = 0;
	a->tries = 0;
	a->polls = 0;
	a->due = env_now(a->env) + WAIT_S * US_PER_S;
	if (ans != NULL)
		poll_later(a, ans);
	else
		go(a);
}

/* What did not go well. */

/* The server, or the way to it, is in trouble: true if we try again. */
static bool
try_again(struct acme_run *a, const struct answer *ans)
{
	uint32_t s = text_retry_after(ans->retry_after, env_wall(a->env));

	if (ans->status != 0 && ans->status < 500)
		return false;
	if (a->tries == TRIES || s > LONGEST_S)
		return false;
	a->tries++;
	wait_s(a, s > 0 ? s : 1U << a->tries);
	return true;
}

static bool
is_problem(const struct answer *ans)
{
	return strcmp(ans->type, "application/problem+json") == 0 ||
	    strcmp(ans->type, "application/json") == 0;
}

/* An answer of 400 and more. */
static void
refused(struct acme_run *a, const struct answer *ans)
{
	struct problem p;
	uint32_t retry_s;

	memset(&p, 0, sizeof(p));
	if (is_problem(ans))
		obj_problem(&p, ans->body);
	retry_s = text_retry_after(ans->retry_after, env_wall(a->env));
	if (strcmp(p.type, "badNonce") == 0 && a->phase == P_POST &&
	    a->bad_nonces < BAD_NONCES) {
		a->bad_nonces++;
		go(a);
	} else if (strcmp(p.type, "accountDoesNotExist") == 0 &&
	    a->phase == P_POST && a->given) {
		a->given = false;
		a->account[0] = '\0';
		begin_work(a);
	} else if (a->step == S_REVOKE &&
	    strcmp(p.type, "alreadyRevoked") == 0)
		finish(a, NULL, 0, slice_str(NULL));
	else if (a->step == S_FINALIZE &&
	    strcmp(p.type, "orderNotReady") == 0 && a->tries < TRIES) {
		a->tries++;
		a->step = S_POLL_ORDER;
		a->form = ACME_AS_GET;
		(void)strlcpy(a->url, a->order_url, sizeof(a->url));
		poll_later(a, ans);
	} else if (strcmp(p.type, "rateLimited") == 0 || !try_again(a, ans))
		fail(a, retry_s, "%s: HTTP %u%s%s", step_name(a), ans->status,
		    p.text[0] != '\0' ? ": " : "", p.text);
}

/* True if the status is one of a good answer; else all is said. */
static bool
good_status(struct acme_run *a, const struct answer *ans)
{
	unsigned int want = a->step == S_ORDER && a->phase == P_POST ? 201 :
	    200;

	if (ans->status == 0) {
		if (!try_again(a, ans))
			fail(a, 0, "%s: %s", step_name(a), ans->why);
	} else if (ans->status >= 400)
		refused(a, ans);
	else if (ans->status >= 300)
		fail(a, 0, "%s: HTTP %u: redirects are not followed",
		    step_name(a), ans->status);
	else if (ans->status == want || (a->phase == P_NONCE &&
	    ans->status == 204) || (a->step == S_ACCOUNT &&
	    ans->status == 201))
		return true;
	else
		fail(a, 0, "%s: HTTP %u was not expected", step_name(a),
		    ans->status);
	return false;
}

/* True if the answer is of this media type; else all is said. */
static bool
good_type(struct acme_run *a, const struct answer *ans, const char *want)
{
	char type[ASK_FIELD];

	if (strcmp(ans->type, want) == 0)
		return true;
	text_clean(type, sizeof(type), slice_str(ans->type));
	fail(a, 0, "%s: the answer is of type \"%s\", not %s", step_name(a),
	    type, want);
	return false;
}

/* True if what obj_*() said was nothing; else all is said. */
static bool
good_object(struct acme_run *a, const char *why)
{
	if (why == NULL)
		return true;
	fail(a, 0, "%s: %s", step_name(a), why);
	return false;
}

/* Answers, step by step. */

static void
took_directory(struct acme_run *a, const struct answer *ans)
{
	if (!good_type(a, ans, "application/json") ||
	    !good_object(a, obj_directory(&a->dir, ans->body)))
		return;
	if (a->dir.external && a->account[0] == '\0')
		fail(a, 0, "directory: the server wants an external account, "
		    "which cannot be made here");
	else
		begin_work(a);
}

static void
took_account(struct acme_run *a, const struct answer *ans)
{
	enum obj_status st;

	if (!good_type(a, ans, "application/json") ||
	    !good_object(a, obj_account(&st, ans->body)))
		return;
	if (st != OBJ_VALID)
		fail(a, 0, "account: it is not valid any more");
	else if (!text_url_ok(slice_str(ans->location)))
		fail(a, 0, "account: no good URL");
	else {
		(void)strlcpy(a->account, ans->location, sizeof(a->account));
		begin_work(a);
	}
}

static void
took_new_order(struct acme_run *a, const struct answer *ans)
{
	if (!good_type(a, ans, "application/json") ||
	    !good_object(a, obj_order(&a->order, ans->body)))
		return;
	if (!text_url_ok(slice_str(ans->location))) {
		fail(a, 0, "new order: no good URL");
		return;
	}
	(void)strlcpy(a->order_url, ans->location, sizeof(a->order_url));
	a->at = 0;
	next_authz(a);
}

static void
next_authz(struct acme_run *a)
{
	if (a->order.status == OBJ_INVALID)
		fail(a, 0, "new order: invalid%s%s",
		    a->order.why[0] != '\0' ? ": " : "", a->order.why);
	else if (a->at < a->order.nauth)
		begin(a, S_AUTHZ, ACME_AS_GET, a->order.auth[a->at]);
	else
		begin_polls(a, S_POLL_ORDER, a->order_url, NULL);
}

/* The name as we were given it, which is how dbd knows it; NULL: not ours. */
static const char *
ours(const struct acme_run *a, const char *name)
{
	size_t i;

	for (i = 0; i < a->nnames; i++)
		if (text_name_eq(slice_str(a->names[i]), slice_str(name)))
			return a->names[i];
	return NULL;
}

static void
authz_failed(struct acme_run *a, const struct authz *z)
{
	fail(a, 0, "authorization of %s: %s%s%s", z->name,
	    z->status == OBJ_INVALID ? "invalid" : "over",
	    z->why[0] != '\0' ? ": " : "", z->why);
}

static void
took_authz(struct acme_run *a, const struct answer *ans)
{
	const char *name;
	struct authz z;

	if (!good_type(a, ans, "application/json") ||
	    !good_object(a, obj_authz(&z, ans->body, a->kind)))
		return;
	if ((name = ours(a, z.name)) == NULL || z.wildcard)
		fail(a, 0, "authorization of %s: nobody asked for it",
		    z.name);
	else if (z.status == OBJ_VALID) {
		a->at++;
		next_authz(a);
	} else if (z.status != OBJ_PENDING)
		authz_failed(a, &z);
	else if (!z.found)
		fail(a, 0, "authorization of %s: %s is not offered", z.name,
		    a->kind);
	else {
		a->authz = z;
		(void)strlcpy(a->authz.name, name, sizeof(a->authz.name));
		a->up = true;
		a->step = S_TRIGGER;
		a->phase = P_UP;
		a->ops->challenge(a->arg, true, slice_str(a->authz.name),
		    slice_str(a->authz.token));
	}
}

static void
took_authz_poll(struct acme_run *a, const struct answer *ans)
{
	struct authz z;

	if (!good_type(a, ans, "application/json") ||
	    !good_object(a, obj_authz(&z, ans->body, a->kind)))
		return;
	if (z.status == OBJ_PENDING)
		poll_later(a, ans);
	else if (z.status != OBJ_VALID)
		authz_failed(a, &z);
	else {
		take_down(a);
		a->at++;
		next_authz(a);
	}
}

static void
took_order(struct acme_run *a, const struct answer *ans)
{
	const struct order *o = &a->order;

	if (!good_type(a, ans, "application/json") ||
	    !good_object(a, obj_order(&a->order, ans->body)))
		return;
	if (a->step == S_FINALIZE) {
		a->finalized = true;
		a->step = S_POLL_ORDER;
		a->form = ACME_AS_GET;
		a->polls = 0;
		a->due = env_now(a->env) + WAIT_S * US_PER_S;
		(void)strlcpy(a->url, a->order_url, sizeof(a->url));
	}
	if (o->status == OBJ_READY && !a->finalized)
		begin(a, S_FINALIZE, ACME_FINALIZE, o->finalize);
	else if (o->status == OBJ_VALID && a->finalized &&
	    o->certificate[0] != '\0')
		begin(a, S_CERT, ACME_AS_GET, o->certificate);
	else if (o->status == OBJ_INVALID || o->status == OBJ_OVER)
		fail(a, 0, "order: invalid%s%s",
		    o->why[0] != '\0' ? ": " : "", o->why);
	else if (o->status == OBJ_VALID && !a->finalized)
		fail(a, 0, "order: valid before it was finalized");
	else
		poll_later(a, ans);
}

static void
took_chain(struct acme_run *a, const struct answer *ans)
{
	if (good_type(a, ans, "application/pem-certificate-chain") &&
	    good_object(a, obj_chain(ans->body)))
		finish(a, NULL, 0, ans->body);
}

static void
took_post(struct acme_run *a, const struct answer *ans)
{
	switch (a->step) {
	case S_ACCOUNT:
		took_account(a, ans);
		break;
	case S_ORDER:
		took_new_order(a, ans);
		break;
	case S_AUTHZ:
		took_authz(a, ans);
		break;
	case S_TRIGGER:
		/* The authorization says what becomes of it. */
		begin_polls(a, S_POLL_AUTHZ, a->order.auth[a->at], ans);
		break;
	case S_POLL_AUTHZ:
		took_authz_poll(a, ans);
		break;
	case S_POLL_ORDER:
	case S_FINALIZE:
		took_order(a, ans);
		break;
	case S_CERT:
		took_chain(a, ans);
		break;
	case S_REVOKE:
		finish(a, NULL, 0, slice_str(NULL));
		break;
	case S_DIRECTORY:
		break;
	}
}

static void
on_answer(void *tag, const struct answer *ans)
{
	struct acme_run *a = tag;

	a->job = NULL;
	if (text_b64url_ok(slice_str(ans->nonce)))
		(void)strlcpy(a->nonce, ans->nonce, sizeof(a->nonce));
	if (!good_status(a, ans))
		return;
	if (a->phase == P_DIRECTORY)
		took_directory(a, ans);
	else if (a->phase == P_POST)
		took_post(a, ans);
	else if (a->nonce[0] != '\0')
		go(a);
	else
		fail(a, 0, "new nonce: the answer has none");
}

/* What comes from the caller. */

void
acme_run_signed(struct acme_run *a, struct slice body)
{
	if (a->phase == P_SIGN)
		ask_for(a, P_POST, ASK_POST, a->url, body);
}

void
acme_run_refused(struct acme_run *a, struct slice why)
{
	char text[ACME_TEXT];

	if (a->phase != P_SIGN && a->phase != P_UP)
		return;
	text_clean(text, sizeof(text), why);
	fail(a, 0, "%s: %s", step_name(a), text);
}

void
acme_run_ready(struct acme_run *a)
{
	if (a->phase == P_UP)
		begin(a, S_TRIGGER, ACME_CHALLENGE, a->authz.url);
}

static void
on_timer(void *arg)
{
	struct acme_run *a = arg;

	if (a->bad[0] != '\0')
		fail(a, 0, "%s", a->bad);
	else
		go(a);
}

static void
on_whole(void *arg)
{
	fail(arg, 0, "not done after %d minutes", WHOLE_S / 60);
}

static void
take_names(struct acme_run *a, struct msg_list names)
{
	struct r_text name;
	char *dst;

	while (msg_list_next(&names, MR_TEXT, &name)) {
		if (a->nnames == ACME_NAMES)
			return;
		dst = a->names[a->nnames++];
		if (!slice_copy(dst, sizeof(a->names[0]), name.v) ||
		    !text_name_ok(name.v))
			(void)strlcpy(a->bad, "one of the names is not one "
			    "for a certificate", sizeof(a->bad));
	}
}

struct acme_run *
acme_run_new(struct env *env, const struct ask_ops *ask, void *ask_arg,
    const struct acme_ops *ops, void *arg, const struct m_out_acme_run *run)
{
	struct acme_run *a;

	a = xcalloc(1, sizeof(*a));
	a->env = env;
	a->ask = ask;
	a->ask_arg = ask_arg;
	a->ops = ops;
	a->arg = arg;
	timer_init(&a->timer, env, on_timer, a);
	timer_init(&a->whole, env, on_whole, a);
	timer_in(&a->timer, 0);
	timer_in(&a->whole, WHOLE_S * US_PER_S);
	a->kind = run->challenge == 1 ? "http-01" : "tls-alpn-01";
	take_names(a, run->names);
	if (run->challenge != 1 && run->challenge != 2)
		(void)strlcpy(a->bad, "no such kind of challenge",
		    sizeof(a->bad));
	if (!text_url_ok(run->directory) || !slice_copy(a->directory,
	    sizeof(a->directory), run->directory))
		(void)strlcpy(a->bad, "directory: not an https URL",
		    sizeof(a->bad));
	if (text_url_ok(run->account))
		a->given = slice_copy(a->account, sizeof(a->account),
		    run->account);
	buf_slice(&a->revoke, run->revoke);
	return a;
}

void
acme_run_free(struct acme_run *a)
{
	if (a == NULL)
		return;
	take_down(a);
	if (a->job != NULL)
		a->ask->stop(a->ask_arg, a->job);
	timer_stop(&a->timer);
	timer_stop(&a->whole);
	buf_free(&a->revoke);
	free(a);
}
