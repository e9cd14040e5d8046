/*
 * RFC 8555 from a client's side: every path, and every answer gone wrong in
 * every way.
 */

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/compat/compat.h"
#include "regress/lib/fetchkit.h"

#define DER	slice_str("der")
#define NONE	slice_str(NULL)

static const char *const two[] = { "a.example", "b.example", NULL };
static const char *const one[] = { "a.example", NULL };

static struct fk *
world(void)
{
	return fk_new("http-01", two);
}

/* Runs it and says why it failed, which it must. */
static void
run_fails(struct fk *fk, const char *account, struct slice der,
    const char *why)
{
	fk_begin(fk, account, der);
	fk_run(fk);
	assert_false(fk->ok);
	if (strstr(fk->why, why) == NULL)
		fail_msg("\"%s\" does not have \"%s\"", fk->why, why);
}

static void
run_succeeds(struct fk *fk, const char *account, struct slice der)
{
	fk_begin(fk, account, der);
	fk_run(fk);
	if (!fk->ok)
		fail_msg("%s", fk->why);
	assert_string_equal(fk->account, FK_ACCOUNT);
	assert_string_equal(fk->chain, der.n > 0 ? "" : FK_CHAIN);
}

/* What went well. */

static void
issues(void **state)
{
	struct fk *fk = world();

	(void)state;
	run_succeeds(fk, "", NONE);
	assert_int_equal(fk->ups, 2);
	/* dir, nonce, acct, order, 2 * (authz, chal, poll), order, fin, cert */
	assert_int_equal(fk->asked, 13);
	fk_free(fk);
}

static void
issues_by_alpn(void **state)
{
	struct fk *fk = fk_new("tls-alpn-01", one);

	(void)state;
	run_succeeds(fk, "", NONE);
	assert_string_equal(fk->up_token, "token_0");
	assert_string_equal(fk->up_name, "a.example");
	fk_free(fk);
}

static void
rewrite(struct fk_answer *a, const char *was, const char *is)
{
	char *at = strstr(a->body, was), rest[sizeof(a->body)];

	if (at == NULL)
		return;
	(void)strlcpy(rest, at + strlen(was), sizeof(rest));
	(void)snprintf(at, sizeof(a->body) - (size_t)(at - a->body), "%s%s",
	    is, rest);
	a->n = strlen(a->body);
}

static void
otherwise_written(struct fk *fk, unsigned int k, const struct fk_ask *q,
    struct fk_answer *a)
{
	(void)fk;
	(void)k;
	(void)q;
	rewrite(a, "\"a.example\"", "\"A.Example\"");
	rewrite(a, "\"2001:db8::7\"", "\"2001:DB8:0:0:0:0:0:7\"");
}

/* Addresses, too; dbd is told of a name as dbd has said it. */
static void
issues_for_addresses(void **state)
{
	static const char *const names[] = { "192.0.2.7", "2001:db8::7",
	    "a.example", NULL };
	struct fk *fk = fk_new("http-01", names);

	(void)state;
	fk->spoil = otherwise_written;
	run_succeeds(fk, "", NONE);
	assert_int_equal(fk->ups, 3);
	assert_string_equal(fk->up_name, "a.example");
	fk_free(fk);
	fk = fk_new("tls-alpn-01", names + 1);
	fk->nnames = 1;
	fk->spoil = otherwise_written;
	run_succeeds(fk, "", NONE);
	assert_string_equal(fk->up_name, "2001:db8::7");
	fk_free(fk);
}

static void
slowly(void **state)
{
	struct fk *fk = world();

	(void)state;
	fk->slow = 8;
	run_succeeds(fk, "", NONE);
	assert_true(fk->asked > 13 + 3 * 8 - 2);
	fk_free(fk);
}

static void
with_an_account(void **state)
{
	struct fk *fk = world();

	(void)state;
	run_succeeds(fk, FK_ACCOUNT, NONE);
	assert_int_equal(fk->asked, 12);
	fk_free(fk);
}

static void
what_is_valid_is_left_alone(void **state)
{
	struct fk *fk = world();

	(void)state;
	fk->valid[0] = fk->valid[1] = true;
	run_succeeds(fk, "", NONE);
	assert_int_equal(fk->ups, 0);
	fk_free(fk);
}

static void
revokes(void **state)
{
	struct fk *fk = world();

	(void)state;
	run_succeeds(fk, FK_ACCOUNT, DER);
	assert_int_equal(fk->asked, 3);
	fk_free(fk);
	fk = world();		/* with an account that is found first */
	run_succeeds(fk, "", DER);
	assert_int_equal(fk->asked, 4);
	fk_free(fk);
}

/* Spoilers. */

static void
always_bad_nonce(struct fk *fk, unsigned int k, const struct fk_ask *q,
    struct fk_answer *a)
{
	(void)fk;
	(void)k;
	if (q->method == ASK_POST)
		fk_problem(a, 400, "badNonce", "no");
}

/* Rejects two of three; what was asked for is not done then. */
static void
often_bad_nonce(struct fk *fk, unsigned int k, const struct fk_ask *q,
    struct fk_answer *a)
{
	(void)k;
	if (q->method == ASK_POST && fk->nonces % 3 != 0) {
		fk_problem(a, 400, "badNonce", "no");
		/* a new order has no Location otherwise */
		if (fk->nonces % 2 == 0)
			a->nonce[0] = '\0';
	}
}

static void
nonces(void **state)
{
	struct fk *fk = world();

	(void)state;
	fk->spoil = often_bad_nonce;
	run_succeeds(fk, "", NONE);
	fk_free(fk);
	fk = world();
	fk->spoil = always_bad_nonce;
	run_fails(fk, "", NONE, "account: HTTP 400: badNonce: no");
	assert_int_equal(fk->asked, 2 + 1 + 20);
	fk_free(fk);
}

static void
no_such_account(struct fk *fk, unsigned int k, const struct fk_ask *q,
    struct fk_answer *a)
{
	(void)fk;
	(void)k;
	if (strstr(q->body, "/acct/9") != NULL)
		fk_problem(a, 400, "accountDoesNotExist", "who?");
}

/* Of what has not been asked for yet. */
static void
no_such_thing(struct fk *fk, unsigned int k, const struct fk_ask *q,
    struct fk_answer *a)
{
	(void)fk;
	(void)k;
	if (strstr(q->url, "/dir") != NULL)
		fk_problem(a, 400, "accountDoesNotExist", "who?");
}

static void
accounts(void **state)
{
	struct fk *fk = world();

	(void)state;
	fk->spoil = no_such_account;
	run_succeeds(fk, "https://ca.test/acct/9", NONE);
	fk_free(fk);
	fk = world();
	fk->spoil = no_such_account;
	run_succeeds(fk, "https://ca.test/acct/9", DER);
	fk_free(fk);
	fk = world();
	fk->spoil = no_such_thing;
	run_fails(fk, "https://ca.test/acct/9", DER,
	    "directory: HTTP 400: accountDoesNotExist: who?");
	fk_free(fk);
}

/* Replaces the body of answers to this URL. */
struct other {
	const char	*url;
	unsigned int	 after;		/* so many as they should be */
	unsigned int	 status;	/* 0: as it is */
	const char	*type;		/* NULL: as it is */
	const char	*body;		/* NULL: as it is */
	const char	*location;
	const char	*retry_after;
	unsigned int	 seen;
};

static void
other(struct fk *fk, unsigned int k, const struct fk_ask *q,
    struct fk_answer *a)
{
	struct other *o = fk->spoil_arg;

	(void)k;
	if (strcmp(q->url, o->url) != 0 || o->seen++ < o->after)
		return;
	if (o->status != 0)
		a->status = o->status;
	if (o->type != NULL)
		(void)strlcpy(a->type, o->type, sizeof(a->type));
	if (o->location != NULL)
		(void)strlcpy(a->location, o->location, sizeof(a->location));
	if (o->retry_after != NULL)
		(void)strlcpy(a->retry_after, o->retry_after,
		    sizeof(a->retry_after));
	if (o->body != NULL)
		a->n = strlcpy(a->body, o->body, sizeof(a->body));
}

#define U(path)		"https://ca.test" path
#define AUTHZ(st, name, more) "{\"status\":\"" st "\",\"identifier\":" \
	"{\"type\":\"dns\",\"value\":\"" name "\"}" more "}"
#define CHALLENGE(token) ",\"challenges\":[{\"type\":\"http-01\",\"url\":" \
	"\"https://ca.test/chal/0\",\"status\":\"pending\",\"token\":\"" \
	token "\"}]"
#define BROKEN ",\"challenges\":[{\"type\":\"http-01\",\"url\":" \
	"\"https://ca.test/chal/0\",\"status\":\"invalid\",\"token\":\"t\"," \
	"\"error\":{\"type\":\"urn:ietf:params:acme:error:dns\"," \
	"\"detail\":\"no such name\"}}]"
#define ORDER(st, more) "{\"status\":\"" st "\",\"finalize\":" \
	"\"https://ca.test/fin\",\"authorizations\":" \
	"[\"https://ca.test/authz/0\"]" more "}"
#define LE "urn:ietf:params:acme:error:"

static const struct {
	struct other	 o;
	const char	*why;
	uint32_t	 retry_s;
} ends[] = {
	{ { .url = U("/authz/0"), .after = 1, .body = AUTHZ("invalid",
	    "a.example", BROKEN) },
	    "authorization of a.example: invalid: dns: no such name", 0 },
	{ { .url = U("/authz/0"), .body = AUTHZ("invalid", "a.example",
	    BROKEN) }, "a.example: invalid: dns: no such name", 0 },
	{ { .url = U("/authz/0"), .body = AUTHZ("deactivated", "a.example",
	    CHALLENGE("t")) }, "authorization of a.example: over", 0 },
	{ { .url = U("/authz/0"), .body = AUTHZ("expired", "a.example",
	    CHALLENGE("t")) }, "authorization of a.example: over", 0 },
	{ { .url = U("/authz/0"), .after = 1, .body = AUTHZ("pending",
	    "a.example", CHALLENGE("t")) },
	    "authorization of a.example: still pending after 300 s", 0 },
	{ { .url = U("/authz/0"), .body = AUTHZ("pending", "c.example",
	    CHALLENGE("t")) }, "c.example: nobody asked for it", 0 },
	{ { .url = U("/authz/0"), .body = AUTHZ("pending", "a.example",
	    ",\"wildcard\":true" CHALLENGE("t")) }, "nobody asked", 0 },
	{ { .url = U("/authz/0"), .body = AUTHZ("pending", "a.example",
	    ",\"challenges\":[]") }, "http-01 is not offered", 0 },
	{ { .url = U("/authz/0"), .body = AUTHZ("pending", "a.example",
	    CHALLENGE("t.t")) }, "no good token", 0 },
	{ { .url = U("/authz/0"), .body = AUTHZ("pending", "a.example",
	    CHALLENGE("../x")) }, "no good token", 0 },
	{ { .url = U("/authz/0"), .body = AUTHZ("pending", "a.example",
	    CHALLENGE("")) }, "no good token", 0 },
	{ { .url = U("/authz/0"), .body = AUTHZ("pending", "a b",
	    CHALLENGE("t")) }, "no good identifier", 0 },
	{ { .url = U("/authz/0"), .body = AUTHZ("perhaps", "a.example",
	    CHALLENGE("t")) }, "no good status", 0 },
	{ { .url = U("/order"), .body = ORDER("invalid", ",\"error\":"
	    "{\"detail\":\"no\"}") }, "new order: invalid: no", 0 },
	{ { .url = U("/order"), .body = "{\"status\":\"pending\",\"finalize\""
	    ":\"http://ca.test/fin\",\"authorizations\":[]}" },
	    "new order: no good URL finalize", 0 },
	{ { .url = U("/order"), .body = "{\"status\":\"pending\",\"finalize\""
	    ":\"https://ca.test/fin\",\"authorizations\":[]}" },
	    "no good list of authorizations", 0 },
	{ { .url = U("/order"), .body = "{\"status\":\"pending\",\"finalize\""
	    ":\"https://ca.test/fin\",\"authorizations\":[\"file:///x\"]}" },
	    "no good URL of an authorization", 0 },
	{ { .url = U("/order"), .location = "/order/1" },
	    "new order: no good URL", 0 },
	{ { .url = U("/order/1"), .body = ORDER("invalid", ",\"error\":"
	    "{\"type\":\"" LE "caa\",\"detail\":\"no\"}") },
	    "order: invalid: caa: no", 0 },
	{ { .url = U("/order/1"), .body = ORDER("valid", "") },
	    "order: valid before it was finalized", 0 },
	{ { .url = U("/order/1"), .status = 404,
	    .type = "application/problem+json", .body = "{\"type\":\"" LE
	    "malformed\",\"detail\":\"Order has expired\"}" },
	    "order: HTTP 404: malformed: Order has expired", 0 },
	{ { .url = U("/order/1"), .body = ORDER("pending", "") },
	    "order: not done after 300 s", 0 },
	{ { .url = U("/fin"), .body = ORDER("invalid", "") },
	    "order: invalid", 0 },
	{ { .url = U("/fin"), .status = 403, .type =
	    "application/problem+json", .body = "{\"type\":\"" LE
	    "badCSR\",\"detail\":\"key\\u0007\\u001b[2J\",\"subproblems\":["
	    "{\"identifier\":{\"type\":\"dns\",\"value\":\"a.example\"},"
	    "\"detail\":\"known\"}]}" },
	    "finalize: HTTP 403: badCSR: key  [2J (a.example: known)", 0 },
	{ { .url = U("/acct"), .body = "{\"status\":\"deactivated\"}" },
	    "account: it is not valid any more", 0 },
	{ { .url = U("/acct"), .location = "http://ca.test/acct/1" },
	    "account: no good URL", 0 },
	{ { .url = U("/acct"), .body = "{}" }, "account: no good status", 0 },
	{ { .url = U("/cert"), .body = "" }, "certificate: no certificate",
	    0 },
	{ { .url = U("/cert"), .body = "-----BEGIN CERTIFICATE-----\nAAAA\n" },
	    "cut off", 0 },
	{ { .url = U("/cert"), .body = "-----BEGIN PRIVATE KEY-----\nAAAA\n"
	    "-----END PRIVATE KEY-----\n" }, "something else", 0 },
	{ { .url = U("/cert"), .body = FK_CHAIN "<html>" },
	    "something else", 0 },
	{ { .url = U("/cert"), .type = "text/html" },
	    "the answer is of type \"text/html\", not application/pem", 0 },
	{ { .url = U("/order"), .status = 429, .retry_after = "3600",
	    .type = "application/problem+json", .body = "{\"type\":\"" LE
	    "rateLimited\",\"detail\":\"too many certificates\"}" },
	    "new order: HTTP 429: rateLimited: too many", 3600 },
	{ { .url = U("/order"), .status = 503, .retry_after = "120" },
	    "new order: HTTP 503", 120 },
	{ { .url = U("/acct"), .status = 403, .type =
	    "application/problem+json", .body = "{\"type\":\"" LE
	    "rateLimited\"}", .retry_after = "Mon, 21 Sep 2026 15:00:00 GMT" },
	    "account: HTTP 403: rateLimited", 1 },
	{ { .url = U("/dir"), .body = "{\"newNonce\":"
	    "\"https://ca.test/nonce\",\"newAccount\":\"https://ca.test/acct\","
	    "\"newOrder\":\"https://ca.test/order\",\"meta\":"
	    "{\"externalAccountRequired\":true}}" },
	    "wants an external account", 0 },
	{ { .url = U("/dir"), .body = "{\"newNonce\":"
	    "\"https://ca.test/nonce\",\"newAccount\":\"ftp://ca.test/a\"}" },
	    "no good URL newAccount", 0 }
};

static void
one_wrong_answer(void **state)
{
	struct other o;
	struct fk *fk;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		fk = world();
		o = ends[i].o;
		fk->spoil = other;
		fk->spoil_arg = &o;
		run_fails(fk, "", NONE, ends[i].why);
		if (ends[i].retry_s == 1)	/* it was a date */
			assert_true(fk->retry_s > 1);
		else
			assert_int_equal(fk->retry_s, ends[i].retry_s);
		fk_free(fk);
	}
}

/* Any answer at all, in any of these ways. */

enum way {
	GARBAGE, TRUNCATED, EMPTY, ARRAY, DEEP, NUL, LONG, TYPE, REDIRECT,
	CREATED, NO_NONCE, ERROR_500, ERROR_ONCE, SILENT, SILENT_ONCE,
	LIMITED, HTML_404, HUGE_STATUS, WAYS
};

struct fault {
	unsigned int	 at;
	enum way	 way;
	unsigned int	 times;
	char		 url[128];	/* of what was spoiled first */
	enum ask_method	 method;
};

static void
fill(struct fk_answer *a, const char *text)
{
	a->n = strlcpy(a->body, text, sizeof(a->body));
}

static void
spoil_body(struct fk_answer *a, enum way way)
{
	if (way == GARBAGE)
		fill(a, "\x01\xff{{{]");
	else if (way == TRUNCATED)
		a->n = a->n > 0 ? a->n - 2 : 0;
	else if (way == EMPTY)
		a->n = 0;
	else if (way == ARRAY)
		fill(a, "[]");
	else if (way == DEEP) {
		memset(a->body, '[', 4000);
		a->n = 4000;
	} else if (way == NUL)
		fill(a, "{\"status\":\"va\\u0000lid\"}");
}

static void
fault(struct fk *fk, unsigned int k, const struct fk_ask *q,
    struct fk_answer *a)
{
	struct fault *f = fk->spoil_arg;

	if (k < f->at || (f->times > 0 && strcmp(q->url, f->url) != 0) ||
	    (f->times > 0 && (f->way == ERROR_ONCE || f->way == SILENT_ONCE)))
		return;
	if (f->times++ == 0) {
		(void)strlcpy(f->url, q->url, sizeof(f->url));
		f->method = q->method;
	}
	spoil_body(a, f->way);
	if (f->way == TYPE)
		(void)strlcpy(a->type, "text/plain", sizeof(a->type));
	else if (f->way == REDIRECT || f->way == CREATED)
		a->status = f->way == REDIRECT ? 302 : 202;
	else if (f->way == NO_NONCE)
		a->nonce[0] = '\0';
	else if (f->way == ERROR_500 || f->way == ERROR_ONCE) {
		a->status = 500;
		a->nonce[0] = '\0';
		fill(a, "<html>");
	} else if (f->way == SILENT || f->way == SILENT_ONCE ||
	    f->way == LONG) {
		a->status = 0;
		a->nonce[0] = '\0';
		(void)strlcpy(a->why, f->way == LONG ? "too long" :
		    "no route", sizeof(a->why));
	} else if (f->way == LIMITED) {
		fk_problem(a, 429, "rateLimited", "later");
		(void)strlcpy(a->retry_after, "77", sizeof(a->retry_after));
	} else if (f->way == HTML_404 || f->way == HUGE_STATUS) {
		a->status = f->way == HTML_404 ? 404 : 599;
		a->nonce[0] = '\0';
		(void)strlcpy(a->type, "text/html", sizeof(a->type));
		fill(a, "<html>\xff</html>");
	}
}

/* True if the answer's body, or its type, says nothing to us. */
static bool
unread(const struct fault *f)
{
	return f->method == ASK_HEAD || strstr(f->url, "/chal/") != NULL ||
	    strstr(f->url, "/revoke") != NULL;
}

static bool
survives(const struct fault *f)
{
	switch (f->way) {
	case ERROR_ONCE:
	case SILENT_ONCE:
		return true;
	case NO_NONCE:
		return f->method != ASK_HEAD;
	case GARBAGE:
	case TRUNCATED:
	case EMPTY:
	case ARRAY:
	case DEEP:
	case NUL:
	case TYPE:
		return unread(f);
	default:
		return false;
	}
}

static void
every_fault_at(unsigned int at, enum way way, struct slice der)
{
	struct fault f = { .at = at, .way = way };
	struct fk *fk = world();

	fk->spoil = fault;
	fk->spoil_arg = &f;
	fk_begin(fk, "", der);
	fk_run(fk);
	assert_true(f.times > 0);
	if (fk->ok != survives(&f))
		fail_msg("answer %u, way %d, %s: %s", at, (int)way, f.url,
		    fk->ok ? "well" : fk->why);
	if (way == LIMITED)
		assert_int_equal(fk->retry_s, 77);
	if (way == REDIRECT)
		assert_non_null(strstr(fk->why, "redirects are not followed"));
	if (way == SILENT || way == ERROR_500)
		assert_true(f.times == 4);
	fk_free(fk);
}

static void
any_answer_any_fault(void **state)
{
	unsigned int at, way;

	(void)state;
	for (way = 0; way < WAYS; way++) {
		for (at = 0; at < 13; at++)
			every_fault_at(at, (enum way)way, NONE);
		for (at = 0; at < 4; at++)
			every_fault_at(at, (enum way)way, DER);
	}
}

/* What our own side refuses. */

static void
refusals(void **state)
{
	struct fk *fk;
	int at;

	(void)state;
	/* 11 signatures and 2 challenges */
	for (at = 0; at < 14; at++) {
		fk = world();
		fk->refuse_at = at;
		fk_begin(fk, "", NONE);
		fk_run(fk);
		assert_true(fk->ok == (at == 13));
		if (!fk->ok)
			assert_non_null(strstr(fk->why, ": not today"));
		if (at > 0)
			assert_string_equal(fk->account, FK_ACCOUNT);
		fk_free(fk);
	}
}

static void
no_signature(void **state)
{
	struct fk *fk = world();

	(void)state;
	fk_begin(fk, "", NONE);
	while (!fk->signing)
		(void)fk_step(fk);
	fakeenv_advance(fk->fe, 1799 * US_PER_S);
	assert_int_equal(fk->ends, 0);
	fakeenv_advance(fk->fe, 2 * US_PER_S);
	assert_int_equal(fk->ends, 1);
	assert_string_equal(fk->why, "not done after 30 minutes");
	fk_free(fk);
}

/* An answer that nobody waits for is nothing. */
static void
out_of_turn(void **state)
{
	struct fk *fk = world();

	(void)state;
	fk_begin(fk, "", NONE);
	do {
		if (!fk->signing && fk->acme != NULL) {
			acme_run_signed(fk->acme, slice_str("x"));
			if (!fk->readying)
				acme_run_ready(fk->acme);
		}
		if (!fk->signing && !fk->readying && fk->acme != NULL)
			acme_run_refused(fk->acme, slice_str("x"));
	} while (fk_step(fk));
	assert_true(fk->ok);
	fk_free(fk);
}

static void
freed_anywhere(void **state)
{
	unsigned int at, i;
	struct fk *fk;
	bool more = true;

	(void)state;
	for (at = 0; more; at++) {
		fk = world();
		fk->slow = 2;
		fk_begin(fk, "", NONE);
		for (i = 0; i < at && more; i++)
			more = fk_step(fk);
		fk->signing = fk->readying = false;
		fk_free(fk);
	}
	assert_true(at > 40);
}

/* Times. */

static void
patient(struct fk *fk, unsigned int k, const struct fk_ask *q,
    struct fk_answer *a)
{
	(void)fk;
	(void)k;
	if (strstr(q->url, "/chal/") != NULL)
		(void)strlcpy(a->retry_after, "42", sizeof(a->retry_after));
}

static void
waits_as_told(void **state)
{
	struct fk *fk = fk_new("http-01", one);
	unsigned int k = 0;

	(void)state;
	fk->spoil = patient;
	fk_begin(fk, FK_ACCOUNT, NONE);
	while (!fk->triggered[0])
		(void)fk_step(fk);
	k = fk->asked - 1;
	fk_run(fk);
	assert_true(fk->ok);
	assert_true(fk->times[k + 1] - fk->times[k] == 42 * US_PER_S);
	fk_free(fk);
}

static void
bad_orders(void **state)
{
	static const char *const bad[] = { "a b", NULL };
	static const char *const star[] = { "*.example", NULL };
	struct fk *fk = fk_new("http-01", bad);

	(void)state;
	run_fails(fk, "", NONE, "one of the names");
	assert_int_equal(fk->asked, 0);
	fk_free(fk);
	fk = fk_new("http-01", star);
	run_fails(fk, "", NONE, "one of the names");
	fk_free(fk);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(issues),
		cmocka_unit_test(issues_for_addresses),
		cmocka_unit_test(issues_by_alpn),
		cmocka_unit_test(slowly),
		cmocka_unit_test(with_an_account),
		cmocka_unit_test(what_is_valid_is_left_alone),
		cmocka_unit_test(revokes),
		cmocka_unit_test(nonces),
		cmocka_unit_test(accounts),
		cmocka_unit_test(one_wrong_answer),
		cmocka_unit_test(any_answer_any_fault),
		cmocka_unit_test(refusals),
		cmocka_unit_test(no_signature),
		cmocka_unit_test(out_of_turn),
		cmocka_unit_test(freed_anywhere),
		cmocka_unit_test(waits_as_told),
		cmocka_unit_test(bad_orders)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
