/* Control connections: the greeting, limits, silence, what master is asked. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "common/ids.h"
#include "regress/unit/d_ctlsock.h"

static void
test_hello(void **state)
{
	struct cs_fix *f = *state;
	struct cp_peer *p;
	struct msg m;

	p = cp_connect(&f->d, 1000);
	msg_init(&m, M_CTL_HELLO);
	m.u.ctl_hello.table = MSG_TABLE_SUM + 1;
	cp_say(p, &m);
	cs_turn(f);
	assert_non_null(strstr(cp_said(p), "CTL_NO id=1 text=\"the server is "
	    "headscaled"));
	assert_int_equal(link_state(p->link), MSG_SETUP);
	/* And nothing else is heard from it. */
	cp_say_type(p, M_CTL_USER_LIST);
	assert_true(p->closed);
	cp_hang_up(p);
	p = cp_connect(&f->d, 1000);
	cs_hello(f, p);
	assert_int_equal(link_state(p->link), MSG_RUN);
	cp_hang_up(p);
}

static void
test_limits(void **state)
{
	struct cs_fix *f = *state;
	struct cp_peer *p[64];
	struct msg m;
	unsigned int i, n = 0;

	for (i = 0; i < 8; i++)
		cs_hello(f, p[n++] = cp_connect(&f->d, 1000));
	/* The next ones of this uid are told why, */
	for (i = 0; i < 8; i++) {
		p[n] = cp_connect(&f->d, 1000);
		msg_init(&m, M_CTL_HELLO);
		m.u.ctl_hello.table = MSG_TABLE_SUM;
		cp_say(p[n], &m);
		cs_turn(f);
		assert_non_null(strstr(cp_said(p[n++]),
		    "uid 1000 has 8 control connections open"));
	}
	/* then it is shut out, */
	p[n] = cp_connect(&f->d, 1000);
	assert_true(p[n++]->closed);
	assert_non_null(strstr(f->logged, "uid=1000 refused: 16 connections"));
	/* but no other uid, */
	for (i = 0; i < 16; i++)
		cs_hello(f, p[n++] = cp_connect(&f->d, 2000 + i / 8));
	/* until there are 32 in all. */
	p[n] = cp_connect(&f->d, 0);
	assert_true(p[n++]->closed);
	/* Those that were refused go soon, whatever they do. */
	fakeenv_advance(f->fe, 11 * US_PER_S);
	for (i = 0; i < n; i++)
		assert_int_equal(p[i]->closed, (i >= 8 && i < 17) ||
		    i == n - 1);
	cs_hello(f, p[n++] = cp_connect(&f->d, 0));
	cp_hang_up(p[0]);
	p[0] = cp_connect(&f->d, 1000);
	cs_hello(f, p[0]);
	for (i = 0; i < n; i++)
		cp_hang_up(p[i]);
}

static void
test_silence(void **state)
{
	struct cs_fix *f = *state;
	struct cp_peer *p, *q;

	p = cp_connect(&f->d, 0);
	q = cp_connect(&f->d, 0);
	cs_hello(f, q);
	fakeenv_advance(f->fe, 11 * US_PER_S);
	assert_true(p->down);
	assert_false(q->down);
	fakeenv_advance(f->fe, 50 * US_PER_S);
	assert_true(q->down);
	cp_hang_up(p);
	cp_hang_up(q);
}

static void
master_row(struct cs_fix *f)
{
	struct msg m;

	msg_init(&m, M_CFG_CTL_ROW);
	m.u.cfg_ctl_row.role = ROLE_WORKER;
	m.u.cfg_ctl_row.slot = 2;
	m.u.cfg_ctl_row.generation = 3;
	m.u.cfg_ctl_row.pid = 4;
	m.u.cfg_ctl_row.state = HEALTH_READY;
	m.u.cfg_ctl_row.uptime_s = 5;
	m.u.cfg_ctl_row.starts = 6;
	m.u.cfg_ctl_row.streams = 7;
	m.u.cfg_ctl_row.sessions = 8;
	m.u.cfg_ctl_row.counts.handshakes = 9;
	m.u.cfg_ctl_row.counts.behind = 10;
	m.u.cfg_ctl_row.counts.stun_limited = 11;
	m.u.cfg_ctl_row.conns = 12;
	dbd_master_row(&f->d, f->tag, &m);
}

static void
master_done(struct cs_fix *f, bool ok, const char *text)
{
	struct msg m;

	msg_init(&m, M_CFG_CTL_DONE);
	m.u.cfg_ctl_done.ok = ok;
	m.u.cfg_ctl_done.text = slice_str(text);
	dbd_master_done(&f->d, f->tag, &m);
}

static void
test_status(void **state)
{
	struct cs_fix *f = *state;
	struct cp_peer *p;
	const char *said;

	p = cp_connect(&f->d, 0);
	cs_hello(f, p);
	(void)strlcpy(f->d.file_no, "p:1:2: no", sizeof(f->d.file_no));
	cp_say_type(p, M_CTL_STATUS);
	assert_int_equal(f->asked, 1);
	master_row(f);
	master_done(f, true, "");
	cs_turn(f);
	said = cp_said(p);
	assert_ptr_equal(strstr(said, "CTL_PROC id=2 role=6 slot=2 "
	    "generation=3 pid=4 state=2 uptime_s=5 starts=6 streams=7 "
	    "sessions=8 conns=12 counts={ handshakes=9 confirmed=0 "), said);
	assert_non_null(strstr(said, " operations=0 behind=10 signatures=0 "));
	assert_non_null(said = strstr(said, " stun_sources=0 "));
	assert_string_equal(said, " stun_sources=0 stun_limited=11 }\n"
	    "CTL_SUMMARY id=2 tailnet=1 name=\"net0\" nodes=4 online=2 "
	    "users=1 seq=50 policy=\"allow-all\" refused=\"p:1:2: no\"\n"
	    "CTL_SUMMARY id=2 tailnet=2 name=\"net1\" nodes=4 online=2 "
	    "users=1 seq=51 policy=\"deny-all\" refused=\"\"\n"
	    "CTL_END id=2 count=3\n");
	/* The tag is worth nothing any more, nor is an invented one. */
	master_row(f);
	master_done(f, true, "");
	cs_turn(f);
	assert_string_equal(cp_said(p), "");
	cp_say_type(p, M_CTL_STATUS);
	master_done(f, false, "busy");
	cs_turn(f);
	assert_string_equal(cp_said(p), "CTL_NO id=3 text=\"busy\"\n");
	/* Who asked hangs up; master answers all the same. */
	cp_say_type(p, M_CTL_STATUS);
	cp_hang_up(p);
	master_row(f);
	master_done(f, true, "");
	assert_int_equal(f->nsent, 0);
	/* A question that is open when dbd ends. */
	p = cp_connect(&f->d, 0);
	cs_hello(f, p);
	cp_say_type(p, M_CTL_STATUS);
	cp_hang_up(p);
}

static void
test_reload_and_verbose(void **state)
{
	struct cs_fix *f = *state;
	struct cp_peer *p;
	struct msg m;

	p = cp_connect(&f->d, 12);
	cs_hello(f, p);
	cp_say_type(p, M_CTL_RELOAD);
	assert_string_equal(f->called, "CFG_CTL_RELOAD id=0 uid=12");
	assert_non_null(strstr(f->logged, "uid=12 request=CTL_RELOAD"));
	master_row(f);		/* not asked for */
	/* Slow as master may be, the connection waits. */
	fakeenv_advance(f->fe, 100 * US_PER_S);
	assert_false(p->closed);
	master_done(f, false, "");
	cs_turn(f);
	assert_string_equal(cp_said(p), "CTL_NO id=2 text=\"refused by "
	    "master\"\n");
	cp_say_type(p, M_CTL_RELOAD);
	master_done(f, true, "2 warnings");
	cs_turn(f);
	assert_string_equal(cp_said(p),
	    "CTL_OK id=3 id=0 text=\"2 warnings\"\n");
	msg_init(&m, M_CTL_VERBOSE);
	m.u.ctl_verbose.verbose = 1;
	cp_say(p, &m);
	assert_string_equal(f->called, "CFG_CTL_VERBOSE id=0 verbose=1");
	master_done(f, true, "");
	cs_turn(f);
	assert_string_equal(cp_said(p), "CTL_OK id=4 id=0 text=\"\"\n");
	cp_hang_up(p);
}

int
main(void)
{
#define T(f)	cmocka_unit_test_setup_teardown(f, cs_setup, cs_teardown)
	const struct CMUnitTest tests[] = {
		T(test_hello), T(test_limits), T(test_silence), T(test_status),
		T(test_reload_and_verbose),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
