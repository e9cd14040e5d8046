/* What administrators change over control connections, and see in lists. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "regress/unit/d_ctlsock.h"

static void
test_changes(void **state)
{
	static const struct {
		enum msg_type	 type;
		const char	*called;
		uint64_t	 id;
	} want[] = {
		{ M_CTL_USER_ADD, "user_add new/N by 1000", 31 },
		{ M_CTL_USER_RENAME, "user_rename 5 new by 1000", 5 },
		{ M_CTL_USER_DELETE, "user_delete 5 by 1000", 5 },
		{ M_CTL_KEY_EXPIRE, "key_expire 5 by 1000", 5 },
		{ M_CTL_KEY_DELETE, "key_delete 5 by 1000", 5 },
		{ M_CTL_NODE_RENAME, "node_rename 5 new by 1000", 5 },
		{ M_CTL_NODE_TAG, "node_tag 5 0 by 1000", 5 },
		{ M_CTL_NODE_MOVE, "node_move 5 6 by 1000", 5 },
		{ M_CTL_NODE_EXPIRE, "node_expire 5 77 by 1000", 5 },
		{ M_CTL_NODE_LOGOUT, "node_logout 5 by 1000", 5 },
		{ M_CTL_NODE_DELETE, "node_delete 5 by 1000", 5 },
		{ M_CTL_USER_ROLE, "user_role 5 1 by 1000", 5 },
		{ M_CTL_NODE_ROUTES, "node_routes 5 1 1 by 1000", 5 },
	};
	struct buf routes = { 0 };
	struct r_route route;
	struct cs_fix *f = *state;
	struct cp_peer *p;
	struct msg m;
	char text[200];
	size_t i;
	int rc;

	p = cp_connect(&f->d, 1000);
	cs_hello(f, p);
	for (i = 0; i < 2 * sizeof(want) / sizeof(want[0]); i++) {
		rc = i % 2 == 0 ? 0 : -1;
		f->rc = rc;
		(void)strlcpy(f->why, rc == 0 ? "" : "no such thing",
		    sizeof(f->why));
		f->called[0] = f->logged[0] = '\0';
		msg_init(&m, want[i / 2].type);
		/* The id is first in all but one of them. */
		m.u.ctl_user_delete.id = 5;
		if (m.type == M_CTL_USER_ADD) {
			m.u.ctl_user_add.name = slice_str("new");
			m.u.ctl_user_add.display = slice_str("N");
		} else if (m.type == M_CTL_USER_RENAME)
			m.u.ctl_user_rename.name = slice_str("new");
		else if (m.type == M_CTL_NODE_RENAME)
			m.u.ctl_node_rename.name = slice_str("new");
		else if (m.type == M_CTL_NODE_MOVE)
			m.u.ctl_node_move.user = 6;
		else if (m.type == M_CTL_NODE_EXPIRE)
			m.u.ctl_node_expire.at = 77;
		else if (m.type == M_CTL_USER_ROLE)
			m.u.ctl_user_role.role = 1;
		else if (m.type == M_CTL_NODE_ROUTES) {
			buf_clear(&routes);
			memset(&route, 0, sizeof(route));
			route.v.addr.family = 6;
			m.u.ctl_node_routes.approve = true;
			msg_list_add(&m.u.ctl_node_routes.routes, &routes,
			    MR_ROUTE, &route);
			msg_list_close(&m.u.ctl_node_routes.routes, &routes);
		}
		cp_say(p, &m);
		assert_string_equal(f->called, want[i / 2].called);
		assert_string_equal(cp_said(p), "");	/* not before */
		cs_turn(f);
		(void)snprintf(text, sizeof(text), rc == 0 ?
		    "CTL_OK id=%u id=%llu text=\"\"\n" :
		    "CTL_NO id=%u text=\"no such thing\"\n", p->next - 1,
		    (unsigned long long)want[i / 2].id);
		assert_string_equal(cp_said(p), text);
		(void)snprintf(text, sizeof(text), "uid=1000 request=%s id=",
		    msg_name(m.type));
		assert_non_null(strstr(f->logged, text));
		assert_int_equal(strstr(f->logged, "no such thing") != NULL,
		    rc == -1);
	}
	buf_free(&routes);
	/* A text that is no UTF-8 must not end dbd. */
	(void)strlcpy(f->why, "bad \xff", sizeof(f->why));
	msg_init(&m, M_CTL_NODE_DELETE);
	cp_say(p, &m);
	cs_turn(f);
	assert_non_null(strstr(cp_said(p), "CTL_NO"));
	cp_hang_up(p);
}

static void
test_key_create(void **state)
{
	struct cs_fix *f = *state;
	struct buf tags = { 0 };
	struct r_text tag;
	struct cp_peer *p;
	struct msg m;

	p = cp_connect(&f->d, 0);
	cs_hello(f, p);
	msg_init(&m, M_CTL_KEY_CREATE);
	m.u.ctl_key_create.user = 4;
	m.u.ctl_key_create.reusable = true;
	m.u.ctl_key_create.expires_s = 60;
	tag.v = slice_str("tag:a");
	msg_list_add(&m.u.ctl_key_create.tags, &tags, MR_TEXT, &tag);
	msg_list_close(&m.u.ctl_key_create.tags, &tags);
	cp_say(p, &m);
	assert_string_equal(f->called, "key_create user=4 10 60 tags=1 by 0");
	cs_turn(f);
	assert_string_equal(cp_said(p), CS_SECRET
	    "CTL_KEY_MADE id=2 id=41 secret=... expiry=99\n");
	assert_non_null(strstr(f->logged, "request=CTL_KEY_CREATE id=41"));
	assert_null(strstr(f->logged, CS_SECRET));
	f->rc = -1;
	(void)strlcpy(f->why, "no such user", sizeof(f->why));
	cp_say(p, &m);
	cs_turn(f);
	assert_string_equal(cp_said(p), "CTL_NO id=3 text=\"no such user\"\n");
	buf_free(&tags);
	cp_hang_up(p);
}

static void
test_short_lists(void **state)
{
	struct cs_fix *f = *state;
	struct cp_peer *p;
	const char *text;

	p = cp_connect(&f->d, 0);
	cs_hello(f, p);
	f->user[0].nodes = 12;
	cp_say_type(p, M_CTL_USER_LIST);
	cs_turn(f);
	text = cp_said(p);
	assert_non_null(strstr(text, "CTL_USER id=2 user={ id=1 "
	    "name=\"alice\" display=\"\" picture=\"\" created=0 role=0 } "
	    "nodes=12\n"
	    "CTL_USER id=2 user={ id=2"));
	assert_non_null(strstr(text, "\nCTL_USER id=2 user={ id=3"));
	assert_non_null(strstr(text, "\nCTL_END id=2 count=3\n"));
	cp_say_type(p, M_CTL_KEY_LIST);
	cs_turn(f);
	assert_string_equal(cp_said(p), "CTL_KEY id=3 id=8 prefix=\"hskey-8\" "
	    "user=1 user_name=\"alice\" reusable=false ephemeral=false "
	    "used=0 created=0 expiry=0 revoked=false tags=[0]\n"
	    "CTL_END id=3 count=1\n");
	cp_hang_up(p);
}

/* 200 nodes of 1 KB each: rows come as the peer takes them. */
static void
test_paced_list(void **state)
{
	static char os[128];
	struct cs_fix *f = *state;
	struct cp_peer *p;
	unsigned int rows, i;
	bool ended = false;

	memset(os, 'x', sizeof(os));
	for (i = 0; i < 200; i++) {
		f->node[i].r.hostinfo.os_version = slice_mem(os, 128);
		f->node[i].r.hostinfo.device_model = slice_mem(os, 128);
		f->node[i].r.hostinfo.services_hash = slice_mem(os, 128);
		f->node[i].r.hostinfo.hostname = slice_mem(os, 128);
	}
	p = cp_connect(&f->d, 0);
	cs_hello(f, p);
	cp_say_type(p, M_CTL_NODE_LIST);
	cs_turn(f);
	rows = p->rows;
	assert_true(rows > 50 && rows < 150);	/* about 64 KB */
	assert_non_null(strstr(cp_said(p), "user_name=\"alice\" slot=3"));
	/* Another list must wait for its end. */
	cp_say_type(p, M_CTL_USER_LIST);
	cs_turn(f);
	assert_non_null(strstr(cp_said(p), "CTL_NO id=3 text=\"another list"));
	/* A stalled peer gets nothing, */
	p->queued = 1024 * 1024;
	fakeenv_advance(f->fe, 10 * US_PER_S);
	cs_turn(f);
	assert_int_equal(p->rows, rows);
	/* nodes come and go meanwhile, the last one that was sent too, */
	TAILQ_REMOVE(&f->tn[0].nodes, &f->node[rows - 1], all);
	TAILQ_REMOVE(&f->tn[0].nodes, &f->node[rows], all);
	/* and it goes on where it stood. */
	p->queued = 0;
	for (i = 0; i < 20; i++) {
		fakeenv_advance(f->fe, 10 * US_PER_MS);
		cs_turn(f);
		ended |= strstr(cp_said(p), "\nCTL_END id=2 count=199\n") !=
		    NULL;
	}
	assert_int_equal(p->rows, 199);
	assert_true(ended);
	cp_hang_up(p);
}

static void
test_stalled_list(void **state)
{
	struct cs_fix *f = *state;
	struct cp_peer *p;

	p = cp_connect(&f->d, 0);
	cs_hello(f, p);
	p->slow = true;
	p->queued = 300 * 1024;
	cp_say_type(p, M_CTL_NODE_LIST);
	fakeenv_advance(f->fe, 59 * US_PER_S);
	assert_false(p->closed);
	fakeenv_advance(f->fe, 2 * US_PER_S);
	assert_true(p->closed && p->down);
	cp_hang_up(p);
	/* Gone in the middle: nothing is left behind. */
	p = cp_connect(&f->d, 0);
	cs_hello(f, p);
	cp_say_type(p, M_CTL_EXPOSURE);
	cp_say_type(p, M_CTL_NODE_LIST);
	cp_hang_up(p);
	cs_turn(f);
}

static void
test_exposure(void **state)
{
	struct cs_fix *f = *state;
	struct cp_peer *p;
	struct msg m;

	p = cp_connect(&f->d, 5);
	cs_hello(f, p);
	msg_init(&m, M_CTL_EXPOSURE);
	m.u.ctl_exposure.slot = 2;
	m.u.ctl_exposure.generation = 3;
	cp_say(p, &m);
	cs_turn(f);
	assert_string_equal(f->called, "");
	assert_string_equal(cp_said(p), "CTL_EXPOSED id=2 slot=2 generation=3 "
	    "node=1 name=\"laptop\" first=5 last=6 revoked=true\n"
	    "CTL_EXPOSED id=2 slot=2 generation=3 "
	    "node=2 name=\"laptop\" first=5 last=6 revoked=false\n"
	    "CTL_END id=2 count=2\n");
	m.u.ctl_exposure.revoke = true;
	cp_say(p, &m);
	cs_turn(f);
	assert_string_equal(f->called, "revoke 2 3 by 5");
	assert_non_null(strstr(f->logged, "uid=5 request=CTL_EXPOSURE slot=2 "
	    "generation=3 revoked=7"));
	assert_non_null(strstr(cp_said(p), "CTL_END id=3 count=2"));
	f->rc = -1;
	(void)strlcpy(f->why, "not now", sizeof(f->why));
	cp_say(p, &m);
	cs_turn(f);
	assert_string_equal(cp_said(p), "CTL_NO id=4 text=\"not now\"\n");
	m.u.ctl_exposure.revoke = false;
	m.u.ctl_exposure.slot = 9;
	cp_say(p, &m);
	cs_turn(f);
	assert_non_null(strstr(cp_said(p), "CTL_NO id=5 text=\"the store"));
	cp_hang_up(p);
}

int
main(void)
{
#define T(f)	cmocka_unit_test_setup_teardown(f, cs_setup, cs_teardown)
	const struct CMUnitTest tests[] = {
		T(test_changes), T(test_key_create), T(test_short_lists),
		T(test_paced_list), T(test_stalled_list), T(test_exposure),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
