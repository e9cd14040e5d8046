/* Policies: compiled elsewhere, stored, in force, told to workers. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <sqlite3.h>

#include "common/ids.h"
#include "dbd/policy_int.h"
#include "dbd/store_sqlite_int.h"
#include "regress/lib/dbdask.h"
#include "regress/lib/fakepolicyc.h"

#define S(x)	slice_str(x)

static struct dbdworld *w;
static struct dbdworker *k, *k2;
static uint64_t alice, one;
static const char *key;
static char why[256];

/* How the last question ended. */
static struct {
	unsigned int	 n;
	bool		 dropped;
	struct job_result r;
	char		 text[600];
	char		 detail[600];
	char		 out[600];
} got;

static int
setup(void **state)
{
	*state = w = ask_world(&k, &k2, &alice, &key);
	one = ask_join(k, 1, 1, key, "one");
	ask_stream(k, 1, 1, 1, 1, one);
	dw_forget(k);
	memset(&got, 0, sizeof(got));
	return 0;
}

static void
on_done(const struct job_result *r, void *arg)
{
	struct msg_list it;
	struct r_pol_text line;

	(void)arg;
	got.n++;
	got.dropped = r == NULL;
	if (r == NULL)
		return;
	got.r = *r;
	(void)slice_copy(got.text, sizeof(got.text), r->text);
	(void)slice_copy(got.out, sizeof(got.out), r->out);
	got.detail[0] = '\0';
	it = r->detail;
	while (msg_list_next(&it, MR_POL_TEXT, &line))
		(void)slice_copy(got.detail, sizeof(got.detail), line.v);
}

/* Asks for it and lets it be decided; the version, 0 if it was refused. */
static uint32_t
set(const char *text)
{
	unsigned int n = got.n;

	memset(&got.r, 0, sizeof(got.r));
	if (op_policy_set(dw_tailnet(w), S(text), S("a reason"), 1000, on_done,
	    NULL, why, sizeof(why)) == -1)
		return 0;
	dw_run(w);
	assert_int_equal(got.n, n + 1);
	return got.r.ok ? got.r.version : 0;
}

/* What the worker enforces: its octets are those of the text. */
static bool
enforces(struct dbdworker *who, const char *text)
{
	const char *err;
	struct pol *p;
	bool allow;

	if (dw_policy(who).n == 0)
		return strcmp(text, dw_policy_kind(who) == 1 ? "allow" :
		    "deny") == 0;
	p = pol_load(dw_policy(who).p, dw_policy(who).n, &err);
	assert_non_null(p);
	allow = p->nrows != 0;
	pol_free(p);
	return allow == (strncmp(text, "allow", 5) == 0);
}

static void
t_default(void **state)
{
	(void)state;
	assert_int_equal(ask_stored(w, 0).version, 1);
	assert_int_equal(policy_in_force(dw_tailnet(w)), POLICY_ALLOW_ALL);
	assert_int_equal(dw_policy_kind(k), 1);
	assert_int_equal(dw_policycs(w), 0);
}

static void
t_set(void **state)
{
	uint64_t seq = ask_seq(w);
	struct ask_policy_row r;

	(void)state;
	assert_int_equal(set("deny"), 2);
	r = ask_stored(w, 0);
	assert_int_equal(r.version, 2);
	assert_int_equal(r.uid, 1000);
	assert_string_equal(r.text, "deny");
	assert_string_equal(r.reason, "a reason");
	assert_int_equal(r.blob, dw_tailnet(w)->blob.n);
	assert_int_equal(ask_seq(w), seq + 1);
	assert_int_equal(policy_in_force(dw_tailnet(w)), POLICY_COMPILED);
	/* In the order of changes: before the batch is whole. */
	assert_int_equal(dw_count(k, M_DB_POLICY), 1);
	assert_int_equal(dw_place(k, M_DB_POLICY, 0),
	    dw_place(k, M_DB_TAILNET, 0) + 1);
	assert_true(dw_place(k, M_DB_POLICY, 0) < dw_place(k, M_DB_BATCH, 0));
	assert_int_equal(dw_got(k, M_DB_POLICY, 0)->u.db_policy.seq, seq + 1);
	assert_true(enforces(k, "deny"));
	assert_int_equal(dw_policy(k).n, dw_tailnet(w)->blob.n);
	/* It was told of all users, and of no node: nobody asked. */
	assert_int_equal(fakepolicyc_users(dw_policyc(w)), 1);
	assert_int_equal(fakepolicyc_nodes(dw_policyc(w)), 0);
	/* The next one has a compiler of its own, which asks. */
	assert_int_equal(set("allow\nask"), 3);
	assert_int_equal(dw_policycs(w), 2);
	assert_int_equal(fakepolicyc_nodes(dw_policyc(w)), 1);
	assert_true(enforces(k, "allow"));
	assert_null(dw_differs(k));
}

#define LIMITS	" (it has 30 s and 512 MB: fewer rules or tests need less)"

static void
t_refused(void **state)
{
	static const struct {
		const char	*text;
		const char	*says;
		uint32_t	 line, column;
		bool		 tests;
	} bad[] = {
		{ "bad 3 7", "no such thing", 3, 7, false },
		{ "allow\nfailing", "test(s) failed", 0, 0, true },
		{ "allow\ndie", "the policy compiler died before it answered"
		    LIMITS, 0, 0, false },
		{ "allow\nshort", "the policy compiler broke the rules" LIMITS,
		    0, 0, false },
		{ "allow\ngreedy", "the policy compiler broke the rules"
		    LIMITS, 0, 0, false },
		{ "allow\nflood", "the policy compiler broke the rules" LIMITS,
		    0, 0, false },
	};
	uint64_t seq;
	size_t i;

	(void)state;
	assert_int_equal(set("deny"), 2);
	seq = ask_seq(w);
	dw_forget(k);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(set(bad[i].text), 0);
		assert_memory_equal(got.text, bad[i].says,
		    strlen(bad[i].says));
		assert_int_equal(got.r.line, bad[i].line);
		assert_int_equal(got.r.column, bad[i].column);
		assert_int_equal(got.r.tests_failed, bad[i].tests);
		assert_int_equal(ask_stored(w, 0).version, 2);
		assert_int_equal(ask_seq(w), seq);
	}
	assert_int_equal(set("allow\nfailing"), 0);
	assert_string_equal(got.detail, "a -> b: expected ALLOWED, got DENIED");
	assert_int_equal(set("allow\ngarbage"), 0);
	assert_non_null(strstr(got.text, "made what cannot be used: "));
	assert_int_equal(dw_count(k, M_DB_POLICY), 0);
	assert_true(enforces(k, "deny"));
	assert_int_equal(policy_in_force(dw_tailnet(w)), POLICY_COMPILED);
	/* And the next one is judged for itself. */
	assert_int_equal(set("allow"), 3);
}

static void
t_no_compiler(void **state)
{
	(void)state;
	dw_policyc_allowed(w, false);
	assert_int_equal(set("deny"), 0);
	assert_string_equal(got.text, "the policy compiler cannot be "
	    "started: no such program");
	assert_true(got.r.died);
	dw_policyc_allowed(w, true);
	assert_int_equal(set("deny"), 2);
}

static void
t_hangs(void **state)
{
	(void)state;
	assert_int_equal(op_policy_set(dw_tailnet(w), S("allow\nhang"), S(""),
	    0, on_done, NULL, why, sizeof(why)), 0);
	assert_int_equal(op_policy_set(dw_tailnet(w), S("deny"), S(""), 0,
	    on_done, NULL, why, sizeof(why)), 0);
	dw_pass(w, 34 * US_PER_S);
	assert_int_equal(got.n, 0);
	dw_pass(w, 2 * US_PER_S);
	/* The one behind it was not lost. */
	assert_int_equal(got.n, 2);
	assert_true(got.r.ok);
	assert_int_equal(ask_stored(w, 0).version, 2);
	assert_true(enforces(k, "deny"));
}

static void
t_killed(void **state)
{
	(void)state;
	assert_int_equal(op_policy_set(dw_tailnet(w), S("allow\nhang"), S(""),
	    0, on_done, NULL, why, sizeof(why)), 0);
	dw_run(w);
	dw_policyc_kill(w);
	dw_run(w);
	assert_int_equal(got.n, 1);
	assert_false(got.r.ok);
	assert_string_equal(got.text,
	    "the policy compiler died before it answered" LIMITS);
}

static void
t_queue(void **state)
{
	unsigned int i;

	(void)state;
	for (i = 0; i < JOBS_MAX; i++)
		assert_int_equal(op_policy_try(dw_tailnet(w), JOB_CHECK,
		    S("allow"), 0, 0, on_done, &got, why, sizeof(why)), 0);
	assert_int_equal(op_policy_try(dw_tailnet(w), JOB_CHECK, S("allow"), 0,
	    0, on_done, NULL, why, sizeof(why)), -1);
	assert_string_equal(why, "too many policies wait to be compiled: try "
	    "again later");
	/* Nobody is there any more for whom they were. */
	job_forget(dw_dbd(w), &got);
	dw_run(w);
	assert_int_equal(got.n, 0);
	assert_int_equal(set("deny"), 2);
	assert_true(dw_policycs(w) <= 2);
}

static void
t_limits(void **state)
{
	char *big = xmalloc(POLICY_TEXT_MAX + 1);

	(void)state;
	memset(big, ' ', POLICY_TEXT_MAX + 1);
	memcpy(big, "deny\n", 5);
	assert_int_equal(op_policy_set(dw_tailnet(w), slice_mem(big,
	    POLICY_TEXT_MAX + 1), S(""), 0, on_done, NULL, why, sizeof(why)),
	    -1);
	assert_string_equal(why, "the policy has more than 1048576 octets");
	assert_int_equal(op_policy_set(dw_tailnet(w), slice_mem(big,
	    POLICY_TEXT_MAX), S(""), 0, on_done, NULL, why, sizeof(why)), 0);
	dw_run(w);
	assert_int_equal(got.r.version, 2);
	/* What is no text is not kept, whoever compiles it. */
	memcpy(big, "deny\n\xff", 6);
	assert_int_equal(op_policy_set(dw_tailnet(w), slice_mem(big, 20), S(""),
	    0, on_done, NULL, why, sizeof(why)), 0);
	dw_run(w);
	assert_false(got.r.ok);
	assert_string_equal(got.text, "the text is not UTF-8");
	free(big);
}

static void
t_try(void **state)
{
	(void)state;
	assert_int_equal(set("deny"), 2);
	assert_int_equal(op_policy_try(dw_tailnet(w), JOB_CHECK, S("allow"), 0,
	    0, on_done, NULL, why, sizeof(why)), 0);
	dw_run(w);
	assert_true(got.r.ok);
	assert_int_equal(op_policy_try(dw_tailnet(w), JOB_TEST,
	    S("allow\nfailing"), 0, 0, on_done, NULL, why, sizeof(why)), 0);
	dw_run(w);
	assert_true(got.r.tests_failed);
	assert_int_equal(op_policy_try(dw_tailnet(w), JOB_DIFF, S("allow"), 9,
	    0, on_done, NULL, why, sizeof(why)), 0);
	dw_run(w);
	assert_string_equal(got.out, "was deny now allow");
	assert_int_equal(op_policy_why(dw_tailnet(w), S("a"), S("b"), 22, 0,
	    on_done, NULL, why, sizeof(why)), 0);
	dw_run(w);
	assert_string_equal(got.out, "a b 22");
	assert_int_equal(ask_stored(w, 0).version, 2);
}

static void
t_rollback(void **state)
{
	(void)state;
	assert_int_equal(set("deny"), 2);
	assert_int_equal(set("allow"), 3);
	assert_int_equal(op_policy_rollback(dw_tailnet(w), 2, S(""), 7, on_done,
	    NULL, why, sizeof(why)), 0);
	dw_run(w);
	assert_int_equal(got.r.version, 4);
	assert_string_equal(ask_stored(w, 0).text, "deny");
	assert_string_equal(ask_stored(w, 0).reason, "rollback to 2");
	assert_int_equal(ask_stored(w, 0).uid, 7);
	assert_true(enforces(k, "deny"));
	/* The first one had no text; nobody has to compile it. */
	assert_int_equal(op_policy_rollback(dw_tailnet(w), 1, S("as at first"),
	    7, on_done, NULL, why, sizeof(why)), 0);
	assert_int_equal(got.r.version, 5);
	dw_run(w);
	assert_string_equal(ask_stored(w, 0).reason, "as at first");
	assert_true(enforces(k, "allow"));
	assert_int_equal(policy_in_force(dw_tailnet(w)), POLICY_ALLOW_ALL);
	assert_int_equal(op_policy_rollback(dw_tailnet(w), 99, S(""), 7,
	    on_done, NULL, why, sizeof(why)), -1);
	assert_string_equal(why, "no such version");
	assert_int_equal(op_policy_rollback(dw_tailnet(w), 0, S(""), 7, on_done,
	    NULL, why, sizeof(why)), -1);
	dw_restart(w, true);
	assert_int_equal(policy_in_force(dw_tailnet(w)), POLICY_ALLOW_ALL);
	assert_int_equal(dw_tailnet(w)->version, 5);
}

/* A new worker has it from its snapshot, before any node. */
static void
t_snapshot(void **state)
{
	(void)state;
	assert_int_equal(set("deny"), 2);
	ask_join(k2, 2, 2, key, "two");
	ask_stream(k2, 2, 1, 2, 1, 2);
	assert_int_equal(dw_policy_kind(k2), 2);
	assert_int_equal(dw_policy(k2).n, dw_tailnet(w)->blob.n);
	assert_memory_equal(dw_policy(k2).p, dw_tailnet(w)->blob.p,
	    dw_tailnet(w)->blob.n);
	assert_int_equal(dw_count(k2, M_DB_POLICY), 0);
	assert_null(ask_differs(k, k2));
}

static void
t_parts(void **state)
{
	(void)state;
	dw_no_memfd(w);
	assert_int_equal(set("deny"), 2);
	assert_int_equal(dw_count(k, M_DB_POLICY), 0);
	assert_true(dw_count(k, M_DB_POLICY_PART) >= 1);
	assert_int_equal(dw_policy(k).n, dw_tailnet(w)->blob.n);
	assert_true(enforces(k, "deny"));
}

/* Two in one batch: the last one is told, once. */
static void
t_one_batch(void **state)
{
	(void)state;
	assert_int_equal(set("deny"), 2);
	dw_forget(k);
	assert_int_equal(op_policy_rollback(dw_tailnet(w), 1, S(""), 7, on_done,
	    NULL, why, sizeof(why)), 0);
	assert_int_equal(op_policy_rollback(dw_tailnet(w), 1, S(""), 7, on_done,
	    NULL, why, sizeof(why)), 0);
	dw_run(w);
	assert_int_equal(dw_count(k, M_DB_TAILNET), 1);
	assert_int_equal(dw_count(k, M_DB_POLICY), 0);
	assert_int_equal(dw_count(k, M_DB_BATCH), 1);
	assert_true(enforces(k, "allow"));
	assert_int_equal(dw_tailnet(w)->version, 4);
}

/* Who was away while it changed gets a snapshot. */
static void
t_resume(void **state)
{
	(void)state;
	assert_int_equal(set("deny"), 2);
	dw_kill(k2);
	dw_restart(w, false);
	dw_reconnect(k);
	/* It holds nothing newer than what was: replayed or whole. */
	assert_int_equal(set("allow"), 3);
	dw_hello(k);
	ask_stream(k, 1, 2, 1, 2, one);
	dw_run(w);
	assert_true(dw_count(k, M_DB_SNAPSHOT) + dw_count(k,
	    M_DB_SNAPSHOT_PART) >= 1);
	assert_true(enforces(k, "allow"));
	assert_null(dw_differs(k));
}

/* A start reads what was compiled, and compiles it once more to be sure. */
static void
t_start(void **state)
{
	(void)state;
	assert_int_equal(set("deny"), 2);
	dw_restart(w, true);
	assert_int_equal(policy_in_force(dw_tailnet(w)), POLICY_COMPILED);
	assert_false(dw_tailnet(w)->alarm);
	dw_run(w);
	dw_pass(w, US_PER_S);
	assert_int_equal(dw_policycs(w), 3);	/* and tested */
	assert_int_equal(dw_tailnet(w)->version, 2);
	/* Nothing is new: nobody is told. */
	assert_int_equal(dw_tailnet(w)->pol_gen, dw_tailnet(w)->users_gen);
}

static void
poke(const char *sql)
{
	struct sqlite3 *db = dw_store(w)->db;

	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
}

/* No valid form: all is denied, said aloud, until there is one. */
static void
t_alarm(void **state)
{
	static const char *const sql[] = {
		"UPDATE policy_versions SET blob = NULL WHERE version = 2",
		"UPDATE policy_versions SET blob = x'00112233' WHERE "
		    "version = 2",
	};
	size_t i;

	(void)state;
	assert_int_equal(set("allow"), 2);
	for (i = 0; i < 2; i++) {
		poke(sql[i]);
		dw_policyc_allowed(w, false);
		dw_restart(w, true);
		assert_non_null(strstr(ask_logged(), "ALARM: policy"));
		assert_true(dw_tailnet(w)->alarm);
		assert_int_equal(policy_in_force(dw_tailnet(w)),
		    POLICY_DENY_ALL);
		assert_int_equal(dw_tailnet(w)->pol->nrows, 0);
		dw_reconnect(k);
		dw_hello(k);
		ask_stream(k, 1, 3 + i, 1, 3 + i, one);
		assert_true(enforces(k, "deny"));
		assert_int_equal(op_policy_why(dw_tailnet(w), S("a"), S("b"), 0,
		    0, on_done, NULL, why, sizeof(why)), -1);
		/* It is tried again by itself. */
		dw_policyc_allowed(w, true);
		dw_pass(w, 20 * US_PER_S);
		assert_false(dw_tailnet(w)->alarm);
		assert_true(enforces(k, "allow"));
		assert_true(ask_stored(w, 0).blob > 100);
		assert_int_equal(ask_stored(w, 0).version, 2);
	}
}

/* Tests that fail now do not take a stored policy away. */
static void
t_tests_fail_later(void **state)
{
	(void)state;
	assert_int_equal(set("allow"), 2);
	poke("UPDATE policy_versions SET text = 'allow' || char(10) || "
	    "'failing', blob = NULL WHERE version = 2");
	dw_restart(w, true);
	assert_true(dw_tailnet(w)->alarm);
	dw_pass(w, US_PER_S);
	assert_false(dw_tailnet(w)->alarm);
	assert_int_equal(policy_in_force(dw_tailnet(w)), POLICY_COMPILED);
	assert_int_equal(dw_tailnet(w)->pol->nrows, 1);
	assert_non_null(strstr(ask_logged(),
	    "test(s) failed: it stays in force"));
	/* And at each start from then on, though nothing has to be compiled. */
	ask_log();
	dw_restart(w, true);
	assert_false(dw_tailnet(w)->alarm);
	dw_pass(w, US_PER_S);
	assert_non_null(strstr(ask_logged(),
	    "test(s) failed: it stays in force"));
}

static uint64_t
owner_of(const char *tag)
{
	uint32_t i;

	for (i = 0; i < dw_tailnet(w)->pol->nowners; i++)
		if (slice_eqs(dw_tailnet(w)->pol->owner[i].tag, tag))
			return dw_tailnet(w)->pol->owner[i].nusers == 0 ? 0 :
			    dw_tailnet(w)->pol->owner[i].user[0];
	return UINT64_MAX;
}

/* Users that come, go or are renamed mean another thing in the same text. */
static void
t_users(void **state)
{
	unsigned int compiled;
	uint64_t bob;

	(void)state;
	assert_int_equal(set("allow\nown tag:x bob"), 2);
	assert_int_equal(owner_of("tag:x"), 0);
	dw_forget(k);
	compiled = dw_policycs(w);
	bob = ask_user(w, "bob");
	(void)ask_user(w, "carol");
	(void)ask_user(w, "dave");
	dw_pass(w, US_PER_S);
	/* Many in a row are compiled once. */
	assert_int_equal(dw_policycs(w), compiled + 2);	/* and tested */
	assert_int_equal(owner_of("tag:x"), bob);
	assert_int_equal(dw_count(k, M_DB_POLICY), 1);
	assert_int_equal(dw_tailnet(w)->version, 2);
	assert_int_equal(ask_stored(w, 0).blob, dw_tailnet(w)->blob.n);
	assert_int_equal(op_user_rename(dw_dbd(w), bob, S("rob"), 0, why,
	    sizeof(why)), 0);
	dw_pass(w, US_PER_S);
	assert_int_equal(owner_of("tag:x"), 0);
	/* What changes nothing is not told. */
	dw_forget(k);
	assert_int_equal(op_user_delete(dw_dbd(w), bob, 0, why, sizeof(why)),
	    0);
	dw_pass(w, US_PER_S);
	assert_int_equal(dw_policycs(w), compiled + 6);
	assert_int_equal(dw_count(k, M_DB_POLICY), 0);
	assert_null(dw_differs(k));
}

/* A user who comes while it is compiled is not forgotten. */
static void
t_users_meanwhile(void **state)
{
	uint64_t bob;

	(void)state;
	assert_int_equal(op_policy_set(dw_tailnet(w), S("own tag:x bob"), S(""),
	    0, on_done, NULL, why, sizeof(why)), 0);
	fakeenv_advance(dw_env(w), 0);
	dw_deliver(w);
	bob = ask_user(w, "bob");
	dw_pass(w, US_PER_S);
	assert_int_equal(got.n, 1);
	assert_int_equal(owner_of("tag:x"), bob);
}

static void
t_domains(void **state)
{
	struct buf b = { NULL, 0, 0 };
	struct r_text t = { .v = S("example.com") };

	(void)state;
	assert_int_equal(set("allow"), 2);
	assert_int_equal(fakepolicyc_domains(dw_policyc(w)), 0);
	msg_list_add(&dw_conf(w)->domains, &b, MR_TEXT, &t);
	msg_list_close(&dw_conf(w)->domains, &b);
	dw_reconf(w);
	dw_pass(w, US_PER_S);
	assert_int_equal(fakepolicyc_domains(dw_policyc(w)), 1);
	/* The same again is nothing. */
	dw_reconf(w);
	dw_pass(w, US_PER_S);
	assert_int_equal(dw_policycs(w), 3);	/* and tested */
	memset(&dw_conf(w)->domains, 0, sizeof(struct msg_list));
	buf_free(&b);
}

/* The policy is in a file: what stands there is in force, or what was. */
static void
t_file(void **state)
{
	struct dbd_conf *c = dw_conf(w);

	(void)state;
	c->policy_file = true;
	c->policy_name = S("/etc/policy.hujson");
	c->policy_text = S("deny");
	dw_reconf(w);
	dw_run(w);
	assert_int_equal(ask_stored(w, 0).version, 2);
	assert_string_equal(ask_stored(w, 0).reason, "from the file");
	assert_int_equal(ask_stored(w, 0).uid, UID_NONE);
	assert_true(enforces(k, "deny"));
	assert_int_equal(set("allow"), 0);
	assert_string_equal(why, "the policy is in the file "
	    "/etc/policy.hujson: change that and reload");
	assert_int_equal(op_policy_rollback(dw_tailnet(w), 1, S(""), 7, on_done,
	    NULL, why, sizeof(why)), -1);
	/* Read again, it is the same: no new version. */
	dw_reconf(w);
	dw_run(w);
	assert_int_equal(ask_stored(w, 0).version, 2);
	c->policy_text = S("bad 4 2");
	dw_reconf(w);
	dw_run(w);
	assert_int_equal(ask_stored(w, 0).version, 2);
	assert_non_null(strstr(ask_logged(), "/etc/policy.hujson:4:2: no such "
	    "thing: the policy of before stays"));
	/* The compiler's death is no verdict. */
	c->policy_text = S("allow");
	dw_policyc_allowed(w, false);
	dw_reconf(w);
	dw_run(w);
	assert_int_equal(ask_stored(w, 0).version, 2);
	dw_policyc_allowed(w, true);
	dw_pass(w, 20 * US_PER_S);
	assert_int_equal(ask_stored(w, 0).version, 3);
	assert_true(enforces(k, "allow"));
	/* Also at a start. */
	c->policy_text = S("deny");
	dw_restart(w, true);
	dw_pass(w, US_PER_S);
	assert_int_equal(ask_stored(w, 0).version, 4);
	assert_string_equal(ask_stored(w, 0).text, "deny");
}

/* Queued behind one that hangs: dbd goes, and nothing is done half. */
static void
t_restart_meanwhile(void **state)
{
	(void)state;
	assert_int_equal(set("deny"), 2);
	assert_int_equal(op_policy_set(dw_tailnet(w), S("allow\nhang"), S(""),
	    0, on_done, NULL, why, sizeof(why)), 0);
	assert_int_equal(op_policy_set(dw_tailnet(w), S("allow"), S(""), 0,
	    on_done, NULL, why, sizeof(why)), 0);
	dw_run(w);
	dw_restart(w, false);
	assert_int_equal(got.n, 3);
	assert_true(got.dropped);
	dw_pass(w, US_PER_S);
	assert_int_equal(ask_stored(w, 0).version, 2);
	assert_int_equal(policy_in_force(dw_tailnet(w)), POLICY_COMPILED);
}

int
main(void)
{
#define T(f)	cmocka_unit_test_setup_teardown(f, setup, ask_teardown)
	const struct CMUnitTest tests[] = {
		T(t_default), T(t_set), T(t_refused), T(t_no_compiler),
		T(t_hangs), T(t_killed), T(t_queue), T(t_limits), T(t_try),
		T(t_rollback), T(t_snapshot), T(t_parts), T(t_one_batch),
		T(t_resume), T(t_start), T(t_alarm), T(t_tests_fail_later),
		T(t_users), T(t_users_meanwhile), T(t_domains), T(t_file),
		T(t_restart_meanwhile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
