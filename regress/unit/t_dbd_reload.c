/* A reload is answered once it is known what became of the policy's file. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "dbd/policy_int.h"
#include "regress/lib/ctlpeer.h"
#include "regress/lib/dbdask.h"
#include "regress/lib/fakepolicyc.h"

#define S(x)	slice_str(x)

static struct dbdworld *w;
static struct dbdworker *k;
static struct cp_peer *p;
static uint64_t alice;
static const char *key;

static void
hello(struct cp_peer *who, uint64_t table)
{
	struct msg m;

	msg_init(&m, M_CTL_HELLO);
	m.u.ctl_hello.table = table;
	cp_say(who, &m);
}

static int
setup(void **state)
{
	struct dbd_conf *c;

	*state = w = ask_world(&k, NULL, &alice, &key);
	c = dw_conf(w);
	c->policy_file = true;
	c->policy_name = S("/etc/p");
	c->policy_text = S("deny");
	dw_reconf(w);
	dw_run(w);
	p = cp_connect(dw_dbd(w), 12);
	hello(p, MSG_TABLE_SUM);
	dw_run(w);
	(void)cp_said(p);
	return 0;
}

static int
teardown(void **state)
{
	if (p != NULL)
		cp_hang_up(p);
	p = NULL;
	return ask_teardown(state);
}

/* The administrator asks; master reads the file and says so, or refuses. */
static void
reload(const char *text, bool ok)
{
	struct ask *a;
	struct msg m;

	cp_say_type(p, M_CTL_RELOAD);
	a = TAILQ_LAST(&dw_dbd(w)->control->asks, ask_list);
	assert_non_null(a);
	if (ok) {
		dw_conf(w)->policy_text = S(text);
		dw_reconf(w);
	}
	msg_init(&m, M_CFG_CTL_DONE);
	m.u.cfg_ctl_done.ok = ok;
	m.u.cfg_ctl_done.text = S(ok ? "in force" : "no such file");
	dbd_master_done(dw_dbd(w), a, &m);
}

static void
said(const char *want)
{
	const char *got;

	dw_run(w);
	got = cp_said(p);
	if (strstr(got, want) == NULL)
		fail_msg("\"%s\" is not in \"%s\"", want, got);
}

static void
t_refused(void **state)
{
	(void)state;
	reload("bad 4 2", true);
	assert_string_equal(cp_said(p), "");	/* it is not known yet */
	said("CTL_POLICY_BAD id=2 tests_failed=false line=0 column=0 "
	    "text=\"/etc/p:4:2: no such thing\"");
	/* The same file is as bad as it was. */
	reload("bad 4 2", true);
	said("/etc/p:4:2: no such thing");
	/* A reload that master refuses is not about the policy. */
	reload("", false);
	said("CTL_NO id=4 text=\"no such file\"");
	assert_int_equal(dw_dbd(w)->control->nasks, 0);
	reload("allow", true);
	assert_string_equal(cp_said(p), "");
	said("CTL_OK id=5 id=0 text=\"in force\"");
	assert_int_equal(tailnet_default(dw_dbd(w))->version, 3);
}

/* Nothing to wait for: what is in force already, or no file at all. */
static void
t_at_once(void **state)
{
	(void)state;
	reload("deny", true);
	said("CTL_OK id=2");
	reload("bad 1 1", true);
	said("CTL_POLICY_BAD id=3");
	dw_conf(w)->policy_file = false;
	reload("bad 1 1", true);
	assert_int_equal(dw_policycs(w), 2);
	said("CTL_OK id=4");
}

static void
on_check(const struct job_result *r, void *arg)
{
	(void)r;
	(void)arg;
}

/* A compiler that does not come is told of; it is tried again. */
static void
t_no_compiler(void **state)
{
	(void)state;
	dw_policyc_late(w, true);
	reload("allow", true);
	dw_pass(w, 9 * US_PER_S);
	assert_string_equal(cp_said(p), "");
	dw_pass(w, 2 * US_PER_S);
	said("CTL_POLICY_BAD id=2 tests_failed=false line=0 column=0 "
	    "text=\"/etc/p: the policy compiler does not start\"");
	dw_policyc_late(w, false);
	dw_pass(w, 1200 * US_PER_S);
	assert_int_equal(tailnet_default(dw_dbd(w))->version, 3);
}

/* Others are before it and take their time: it is done all the same, later. */
static void
t_bound(void **state)
{
	char why[200];

	(void)state;
	assert_int_equal(op_policy_try(tailnet_default(dw_dbd(w)), JOB_CHECK,
	    S("hang"), 0, 7, on_check, NULL, why, sizeof(why)), 0);
	assert_int_equal(op_policy_try(tailnet_default(dw_dbd(w)), JOB_CHECK,
	    S("hang"), 0, 8, on_check, NULL, why, sizeof(why)), 0);
	reload("allow", true);
	dw_pass(w, 44 * US_PER_S);
	assert_string_equal(cp_said(p), "");
	dw_pass(w, 2 * US_PER_S);
	said("CTL_POLICY_BAD id=2 tests_failed=false line=0 column=0 "
	    "text=\"/etc/p: it is still being worked on: the status tells "
	    "what comes of it\"");
	assert_int_equal(dw_dbd(w)->control->nasks, 0);
	dw_pass(w, 60 * US_PER_S);
	assert_int_equal(tailnet_default(dw_dbd(w))->version, 3);
	assert_string_equal(cp_said(p), "");
}

/* Two wait, and the file changes under the first; one hangs up. */
static void
t_two(void **state)
{
	struct cp_peer *gone;

	(void)state;
	reload("bad 1 1", true);
	gone = p;
	p = cp_connect(dw_dbd(w), 13);
	hello(p, MSG_TABLE_SUM);
	reload("bad 2 2", true);
	assert_int_equal(dw_dbd(w)->control->nasks, 2);
	cp_hang_up(gone);
	said("CTL_POLICY_BAD id=2 tests_failed=false line=0 column=0 "
	    "text=\"/etc/p:2:2: no such thing\"");
	assert_int_equal(dw_dbd(w)->control->nasks, 0);
	/* dbd ends while one waits. */
	reload("bad 3 3", true);
	assert_int_equal(dw_dbd(w)->control->nasks, 1);
}

/* Who is refused at the door hears why, not silence. */
static void
t_door(void **state)
{
	struct cp_peer *more[9];
	size_t i;

	(void)state;
	cp_hang_up(p);
	p = cp_connect(dw_dbd(w), 12);
	hello(p, MSG_TABLE_SUM + 1);
	said("CTL_NO id=1 text=\"the server is headscaled ");
	for (i = 0; i < 9; i++)
		more[i] = cp_connect(dw_dbd(w), 14);
	hello(more[8], MSG_TABLE_SUM);
	dw_run(w);
	assert_non_null(strstr(cp_said(more[8]), "CTL_NO id=1 text=\"uid 14 "
	    "has 8 control connections open"));
	for (i = 0; i < 9; i++)
		cp_hang_up(more[i]);
}

int
main(void)
{
#define T(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(t_refused), T(t_at_once), T(t_no_compiler), T(t_bound),
		T(t_two), T(t_door),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
