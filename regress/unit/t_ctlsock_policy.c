/* Policies over control connections: texts in parts, jobs, versions. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "regress/unit/d_ctlsock.h"

static void
say_part(struct cp_peer *p, const void *octets, size_t n)
{
	struct msg m;

	msg_init(&m, M_CTL_POLICY_PART);
	m.u.ctl_policy_part.octets = slice_mem(octets, n);
	cp_say(p, &m);
}

static void
say_set(struct cp_peer *p)
{
	struct msg m;

	msg_init(&m, M_CTL_POLICY_SET);
	m.u.ctl_policy_set.reason = slice_str("why");
	cp_say(p, &m);
}

/* A job ends so. */
static void
end(struct cs_fix *f, bool ok, const char *text)
{
	struct job_result r;

	memset(&r, 0, sizeof(r));
	r.ok = ok;
	r.version = ok ? 9 : 0;
	r.line = ok ? 0 : 3;
	r.column = 4;
	r.text = slice_str(text);
	r.out = slice_str("lines");
	f->job.done(&r, f->job.arg);
	cs_turn(f);
}

static void
test_policy(void **state)
{
	struct cs_fix *f = *state;
	struct cp_peer *p;
	struct msg m;

	p = cp_connect(&f->d, 1000);
	cs_hello(f, p);
	say_part(p, "{ /*", 4);
	say_part(p, "*/ }", 4);
	say_set(p);
	assert_string_equal(f->called,
	    "policy_set 1 \"{ /**/ }\" why by 1000");
	cs_turn(f);
	assert_string_equal(cp_said(p), "");
	/* Compiling takes its time: the connection is not idle. */
	fakeenv_advance(f->fe, 119 * US_PER_S);
	assert_false(p->down);
	/* One at a time. */
	msg_init(&m, M_CTL_POLICY_WHY);
	m.u.ctl_policy_why.src = slice_str("a");
	m.u.ctl_policy_why.dst = slice_str("b");
	cp_say(p, &m);
	cs_turn(f);
	assert_string_equal(cp_said(p), "CTL_NO id=3 text=\"another policy of "
	    "this connection is being worked on\"\n");
	end(f, true, "");
	assert_string_equal(cp_said(p), "CTL_OK id=2 id=9 text=\"\"\n");
	/* The text was for that request alone. */
	say_set(p);
	assert_string_equal(f->called, "policy_set 1 \"\" why by 1000");
	end(f, false, "bad\033");
	assert_string_equal(cp_said(p), "CTL_POLICY_BAD id=4 "
	    "tests_failed=false line=3 column=4 text=\"bad\\033\" "
	    "detail=[0]\n");
	cp_say(p, &m);
	assert_string_equal(f->called, "policy_why 1 a b 0 by 1000");
	end(f, true, "");
	assert_non_null(strstr(cp_said(p), "CTL_POLICY_LINE id=5"));
	msg_init(&m, M_CTL_POLICY_CHECK);
	m.u.ctl_policy_check.tests = true;
	say_part(p, "x", 1);
	cp_say(p, &m);
	assert_string_equal(f->called, "policy_try 1 2 \"x\" 0 by 1000");
	end(f, true, "");
	(void)cp_said(p);
	msg_init(&m, M_CTL_POLICY_DIFF);
	m.u.ctl_policy_diff.lines = UINT32_MAX;
	cp_say(p, &m);
	assert_string_equal(f->called, "policy_try 1 4 \"\" 100000 by 1000");
	end(f, true, "");
	(void)cp_said(p);
	msg_init(&m, M_CTL_POLICY_ROLLBACK);
	m.u.ctl_policy_rollback.version = 3;
	f->rc = -1;
	(void)strlcpy(f->why, "no such version", sizeof(f->why));
	cp_say(p, &m);
	cs_turn(f);
	assert_string_equal(cp_said(p), "CTL_NO id=8 text=\"no such version\""
	    "\n");
	/* Who hangs up is not waited for. */
	f->rc = 0;
	cp_say(p, &m);
	cp_hang_up(p);
	assert_null(f->job.done);
}

static void
test_policy_too_long(void **state)
{
	static char part[60000];
	struct cs_fix *f = *state;
	struct cp_peer *p;
	size_t i;

	memset(part, ' ', sizeof(part));
	p = cp_connect(&f->d, 1000);
	cs_hello(f, p);
	for (i = 0; i < 1000; i++)
		say_part(p, part, sizeof(part));
	say_set(p);
	cs_turn(f);
	assert_string_equal(cp_said(p), "CTL_NO id=2 text=\"the policy has "
	    "more than 1048576 octets\"\n");
	for (i = 0; i < 17; i++)
		say_part(p, part, sizeof(part));
	say_part(p, part, 1048576 - 17 * sizeof(part));
	say_set(p);
	assert_int_equal(f->job.octets, 1048576);
	end(f, true, "");
	cp_hang_up(p);
}

static void
test_policy_versions(void **state)
{
	struct cs_fix *f = *state;
	struct cp_peer *p;
	const char *text;
	struct msg m;

	p = cp_connect(&f->d, 1000);
	cs_hello(f, p);
	f->tn[0].version = 7;
	cp_say_type(p, M_CTL_POLICY_HISTORY);
	cs_turn(f);
	text = cp_said(p);
	assert_non_null(strstr(text, "CTL_POLICY_VERSION id=2 version=7 kind=2 "
	    "uid=1000 at=5 reason=\"r\" size=3 in_force=true "
	    "alarm=false\n"));
	assert_non_null(strstr(text, "version=6 "));
	assert_non_null(strstr(text, "in_force=false alarm=false\n"
	    "CTL_END id=2 count=2\n"));
	f->tn[0].alarm = true;
	cp_say_type(p, M_CTL_POLICY_GET);
	cs_turn(f);
	text = cp_said(p);
	assert_non_null(strstr(text, "version=7 "));
	assert_non_null(strstr(text, "in_force=false alarm=true\n"
	    "CTL_POLICY_LINE id=3"));
	msg_init(&m, M_CTL_POLICY_GET);
	m.u.ctl_policy_get.version = 8;
	cp_say(p, &m);
	cs_turn(f);
	assert_string_equal(cp_said(p), "CTL_NO id=4 text=\"no such version\""
	    "\n");
	cp_hang_up(p);
}

int
main(void)
{
#define T(f)	cmocka_unit_test_setup_teardown(f, cs_setup, cs_teardown)
	const struct CMUnitTest tests[] = {
		T(test_policy), T(test_policy_too_long),
		T(test_policy_versions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
