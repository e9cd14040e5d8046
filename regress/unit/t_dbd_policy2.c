/* Policies that overtake each other, go over limits, or come too late. */

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
static uint64_t alice;
static const char *key;
static char why[256];

/* How the last question ended, and which of those asked for ended in turn. */
static struct {
	unsigned int	 n;
	struct job_result r;
	char		 text[600];
	char		 order[64];
} got;

static int
setup(void **state)
{
	*state = w = ask_world(&k, &k2, &alice, &key);
	ask_stream(k, 1, 1, 1, 1, ask_join(k, 1, 1, key, "one"));
	memset(&got, 0, sizeof(got));
	return 0;
}

/* arg: its letter. */
static void
on_done(const struct job_result *r, void *arg)
{
	got.n++;
	(void)strlcat(got.order, arg, sizeof(got.order));
	if (r == NULL)
		return;
	got.r = *r;
	(void)slice_copy(got.text, sizeof(got.text), r->text);
}

static int
ask_set(const char *text, const char *letter)
{
	return op_policy_set(dw_tailnet(w), S(text), S("a reason"), 1000,
	    on_done, (void *)(uintptr_t)letter, why, sizeof(why));
}

static int
ask_check(const char *text, const char *letter)
{
	return op_policy_try(dw_tailnet(w), JOB_CHECK, S(text), 0, 1000,
	    on_done, (void *)(uintptr_t)letter, why, sizeof(why));
}

/* The version that a text becomes, 0 if it was refused. */
static uint32_t
set(const char *text)
{
	memset(&got, 0, sizeof(got));
	if (ask_set(text, "") == -1)
		return 0;
	dw_run(w);
	assert_int_equal(got.n, 1);
	return got.r.ok ? got.r.version : 0;
}

/* The job that waits is begun, and not done until go_on(). */
static void
begin(void)
{
	dw_policyc_late(w, true);
	dw_run(w);
}

static void
go_on(uint64_t us)
{
	dw_policyc_late(w, false);
	dw_pass(w, us);
}

static void
file(const char *text)
{
	struct dbd_conf *c = dw_conf(w);

	c->policy_file = text != NULL;
	c->policy_name = S("/etc/policy.hujson");
	c->policy_text = S(text == NULL ? "" : text);
	dw_reconf(w);
}

/* What was asked before another version came is not what was meant. */
static void
t_overtaken(void **state)
{
	(void)state;
	assert_int_equal(set("deny"), 2);
	memset(&got, 0, sizeof(got));
	assert_int_equal(ask_set("allow", "a"), 0);
	begin();
	assert_int_equal(op_policy_rollback(dw_tailnet(w), 1, S(""), 7, on_done,
	    (void *)(uintptr_t)"b", why, sizeof(why)), 0);
	go_on(US_PER_S);
	assert_string_equal(got.order, "ba");
	assert_false(got.r.ok);
	assert_string_equal(got.text, "another version came into force "
	    "meanwhile");
	assert_int_equal(ask_stored(w, 0).version, 3);
	assert_int_equal(policy_in_force(dw_tailnet(w)), POLICY_ALLOW_ALL);
	/* Likewise of two that wait. */
	memset(&got, 0, sizeof(got));
	assert_int_equal(ask_set("deny", "a"), 0);
	assert_int_equal(ask_set("allow", "b"), 0);
	dw_run(w);
	assert_string_equal(got.order, "ab");
	assert_false(got.r.ok);
	assert_int_equal(ask_stored(w, 0).version, 4);
	assert_string_equal(ask_stored(w, 0).text, "deny");
	/* One that was refused is in nobody's way. */
	memset(&got, 0, sizeof(got));
	assert_int_equal(ask_set("bad 1 1", "a"), 0);
	assert_int_equal(ask_set("allow", "b"), 0);
	dw_run(w);
	assert_true(got.r.ok);
	assert_int_equal(ask_stored(w, 0).version, 5);
}

/* What is in force is what the file says now, however often it changed. */
static void
t_file_and_back(void **state)
{
	(void)state;
	file("deny");
	dw_run(w);
	assert_int_equal(ask_stored(w, 0).version, 2);
	file("allow");
	begin();
	file("deny");
	go_on(60 * US_PER_S);
	assert_int_equal(ask_stored(w, 0).version, 2);
	assert_string_equal(ask_stored(w, 0).text, "deny");
	assert_int_equal(dw_tailnet(w)->pol->nrows, 0);
	/* There and back and there: once. */
	file("allow");
	begin();
	file("deny");
	file("allow");
	go_on(60 * US_PER_S);
	assert_int_equal(ask_stored(w, 0).version, 3);
	assert_string_equal(ask_stored(w, 0).text, "allow");
	assert_false(dw_dbd(w)->file_due);
	/* No file any more: what it was is not taken either. */
	file("deny");
	begin();
	file(NULL);
	go_on(60 * US_PER_S);
	assert_int_equal(ask_stored(w, 0).version, 3);
}

/* A text that waited when the policy moved into a file. */
static void
t_file_and_set(void **state)
{
	(void)state;
	file(NULL);
	assert_int_equal(set("allow"), 2);
	memset(&got, 0, sizeof(got));
	assert_int_equal(ask_set("deny", "a"), 0);
	begin();
	file("allow");
	go_on(60 * US_PER_S);
	assert_int_equal(got.n, 1);
	assert_false(got.r.ok);
	assert_string_equal(got.text, "the policy is what the file says now");
	assert_int_equal(ask_stored(w, 0).version, 2);
	/* The file's does not lose against one that waited before it. */
	file(NULL);
	memset(&got, 0, sizeof(got));
	assert_int_equal(ask_set("allow\nallow", "a"), 0);
	begin();
	file("deny");
	go_on(60 * US_PER_S);
	assert_false(got.r.ok);
	assert_int_equal(ask_stored(w, 0).version, 3);
	assert_string_equal(ask_stored(w, 0).text, "deny");
}

static void
t_empty(void **state)
{
	(void)state;
	assert_int_equal(set("deny"), 2);
	assert_int_equal(set(""), 0);
	assert_string_equal(why, "the policy is empty: {} is the one that "
	    "allows everything");
	why[0] = '\0';
	assert_int_equal(ask_check("", ""), -1);
	assert_non_null(strstr(why, "the policy is empty"));
	file("");
	dw_pass(w, 60 * US_PER_S);
	assert_non_null(strstr(ask_logged(), "/etc/policy.hujson: the policy "
	    "is empty: {} is the one that allows everything: the policy of "
	    "before stays"));
	assert_int_equal(ask_stored(w, 0).version, 2);
	assert_int_equal(dw_tailnet(w)->pol->nrows, 0);
	assert_int_equal(dw_policycs(w), 1);
}

/* What is wrong with the file can be asked for, as long as it is so. */
static void
t_file_refused(void **state)
{
	(void)state;
	file("deny");
	dw_run(w);
	assert_string_equal(dw_dbd(w)->file_no, "");
	file("bad 4 2");
	dw_run(w);
	assert_string_equal(dw_dbd(w)->file_no,
	    "/etc/policy.hujson:4:2: no such thing");
	file("allow\nfailing");
	dw_run(w);
	assert_string_equal(dw_dbd(w)->file_no,
	    "/etc/policy.hujson: test(s) failed");
	file("");
	assert_non_null(strstr(dw_dbd(w)->file_no, "the policy is empty"));
	file("allow\ndie");
	dw_run(w);
	assert_non_null(strstr(dw_dbd(w)->file_no, "the policy compiler died"));
	assert_true(dw_dbd(w)->file_due);
	file("deny");
	dw_run(w);
	assert_string_equal(dw_dbd(w)->file_no, "");
	assert_int_equal(ask_stored(w, 0).version, 2);
	file("bad 4 2");
	dw_run(w);
	file("allow");
	dw_run(w);
	assert_string_equal(dw_dbd(w)->file_no, "");
	assert_int_equal(ask_stored(w, 0).version, 3);
}

static uint64_t
owner(void)
{
	assert_int_equal(dw_tailnet(w)->pol->nowners, 1);
	return dw_tailnet(w)->pol->owner[0].nusers == 0 ? 0 :
	    dw_tailnet(w)->pol->owner[0].user[0];
}

/* Tests that do not end any more: rights follow users all the same. */
static void
t_slow_tests(void **state)
{
	unsigned int before;
	uint64_t bob;

	(void)state;
	assert_int_equal(set("allow\nown tag:x bob"), 2);
	assert_int_equal(sqlite3_exec(dw_store(w)->db, "UPDATE "
	    "policy_versions SET text = text || char(10) || 'slow' WHERE "
	    "version = 2", NULL, NULL, NULL), SQLITE_OK);
	before = dw_policycs(w);
	bob = ask_user(w, "bob");
	dw_pass(w, US_PER_S);
	assert_int_equal(owner(), bob);
	assert_int_equal(dw_policycs(w), before + 2);	/* tests run */
	dw_pass(w, 3600 * US_PER_S);
	assert_int_equal(dw_policycs(w), before + 2);	/* not again */
	assert_int_equal(op_user_rename(dw_dbd(w), bob, S("rob"), 0, why,
	    sizeof(why)), 0);
	dw_pass(w, 3600 * US_PER_S);
	assert_int_equal(owner(), 0);
	assert_int_equal(dw_policycs(w), before + 3);
	assert_int_equal(ask_stored(w, 0).version, 2);
}

/* A compiler that dies each time is not started all the time. */
static void
t_back_off(void **state)
{
	unsigned int before, n;

	(void)state;
	assert_int_equal(set("allow\nown tag:x bob"), 2);
	assert_int_equal(sqlite3_exec(dw_store(w)->db, "UPDATE "
	    "policy_versions SET text = text || char(10) || 'die' WHERE "
	    "version = 2", NULL, NULL, NULL), SQLITE_OK);
	before = dw_policycs(w);
	(void)ask_user(w, "bob");
	dw_pass(w, 20 * US_PER_S);
	assert_int_equal(dw_policycs(w), before + 2);
	/* 15 + 30 + 60 + 120 + 240 + 480 + 600 ... */
	dw_pass(w, 3600 * US_PER_S);
	n = dw_policycs(w) - before;
	assert_in_range(n, 10, 13);
	/* A change is not kept waiting for that. */
	(void)ask_user(w, "carol");
	dw_pass(w, US_PER_S);
	assert_int_equal(dw_policycs(w), before + n + 1);
	/* Nor is it for ever. */
	assert_int_equal(sqlite3_exec(dw_store(w)->db, "UPDATE "
	    "policy_versions SET text = 'own tag:x bob' WHERE version = 2",
	    NULL, NULL, NULL), SQLITE_OK);
	dw_pass(w, 601 * US_PER_S);
	assert_true(owner() != 0);
}

/* Rights that are gone go before what may come, but not for ever. */
static void
t_again_first(void **state)
{
	uint64_t bob;

	(void)state;
	assert_int_equal(set("allow\nown tag:x bob"), 2);
	memset(&got, 0, sizeof(got));
	assert_int_equal(ask_check("allow\nhang", "a"), 0);
	dw_run(w);
	assert_int_equal(ask_check("allow\nhang", "b"), 0);
	assert_int_equal(ask_check("allow", "c"), 0);
	bob = ask_user(w, "bob");
	dw_pass(w, 20 * US_PER_S);
	assert_int_equal(owner(), 0);
	dw_pass(w, 16 * US_PER_S);
	assert_string_equal(got.order, "a");
	assert_int_equal(owner(), bob);
	/* b has begun; the next one comes between the two. */
	assert_int_equal(op_user_rename(dw_dbd(w), bob, S("rob"), 0, why,
	    sizeof(why)), 0);
	dw_pass(w, US_PER_S);
	assert_true(job_waits(dw_tailnet(w), JOB_AGAIN, false));
	assert_string_equal(got.order, "a");
	dw_pass(w, 36 * US_PER_S);
	assert_string_equal(got.order, "abc");
	assert_int_equal(owner(), 0);
}

/* Master is slow: its answer is not taken for that to the next question. */
static void
t_late_no(void **state)
{
	(void)state;
	dw_policyc_late(w, true);
	dw_policyc_allowed(w, false);
	assert_int_equal(ask_set("deny", "a"), 0);
	dw_pass(w, 11 * US_PER_S);
	assert_string_equal(got.order, "a");
	assert_string_equal(got.text, "the policy compiler does not start");
	assert_int_equal(ask_set("deny", "b"), 0);
	dw_run(w);
	assert_string_equal(got.order, "a");
	/* It says no to the first one. */
	dw_policyc_late(w, false);
	dw_deliver(w);
	assert_string_equal(got.order, "a");
	dw_policyc_allowed(w, true);
	dw_run(w);
	assert_string_equal(got.order, "ab");
	assert_true(got.r.ok);
	assert_int_equal(ask_stored(w, 0).version, 2);
}

static void
t_late_yes(void **state)
{
	(void)state;
	dw_policyc_late(w, true);
	assert_int_equal(ask_set("deny", "a"), 0);
	dw_pass(w, 11 * US_PER_S);
	assert_string_equal(got.order, "a");
	/* Each question ends, whether master answers or not. */
	assert_int_equal(ask_set("deny", "b"), 0);
	assert_int_equal(ask_set("deny", "c"), 0);
	dw_pass(w, 11 * US_PER_S);
	assert_string_equal(got.order, "ab");
	assert_string_equal(got.text, "the policy compiler does not start");
	/* The compiler that comes works for who waits then: one start. */
	dw_policyc_late(w, false);
	dw_run(w);
	assert_string_equal(got.order, "abc");
	assert_true(got.r.ok);
	assert_int_equal(dw_policycs(w), 1);
	assert_int_equal(ask_stored(w, 0).version, 2);
	/* And one that nobody wants any more harms nobody. */
	dw_policyc_late(w, true);
	assert_int_equal(ask_set("allow", "d"), 0);
	dw_pass(w, 30 * US_PER_S);
	dw_policyc_late(w, false);
	dw_run(w);
	assert_string_equal(got.order, "abcd");
	assert_int_equal(ask_stored(w, 0).version, 2);
	assert_int_equal(set("allow"), 3);
	assert_int_equal(dw_policycs(w), 3);
}

/* Only what is in force is kept in its compiled form. */
static void
t_blobs(void **state)
{
	(void)state;
	assert_int_equal(set("deny"), 2);
	assert_true(ask_stored(w, 2).blob != 0);
	assert_int_equal(set("allow"), 3);
	assert_int_equal(ask_stored(w, 2).blob, 0);
	assert_true(ask_stored(w, 3).blob != 0);
	assert_string_equal(ask_stored(w, 2).text, "deny");
	assert_int_equal(op_policy_rollback(dw_tailnet(w), 1, S(""), 7, on_done,
	    (void *)(uintptr_t)"", why, sizeof(why)), 0);
	dw_run(w);
	assert_int_equal(ask_stored(w, 3).blob, 0);
	assert_int_equal(op_policy_rollback(dw_tailnet(w), 2, S(""), 7, on_done,
	    (void *)(uintptr_t)"", why, sizeof(why)), 0);
	dw_run(w);
	assert_int_equal(ask_stored(w, 0).version, 5);
	assert_true(ask_stored(w, 0).blob != 0);
	dw_restart(w, true);
	assert_false(dw_tailnet(w)->alarm);
	assert_int_equal(policy_in_force(dw_tailnet(w)), POLICY_COMPILED);
}

int
main(void)
{
#define T(f)	cmocka_unit_test_setup_teardown(f, setup, ask_teardown)
	const struct CMUnitTest tests[] = {
		T(t_overtaken), T(t_file_and_back), T(t_file_and_set),
		T(t_empty), T(t_file_refused), T(t_slow_tests), T(t_back_off),
		T(t_again_first),
		T(t_late_no), T(t_late_yes), T(t_blobs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
