/* Roles of users; who may put which tag on a node. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/ids.h"
#include "dbd/policy_int.h"
#include "regress/lib/dbdask.h"

#define S(x)	slice_str(x)

static struct dbdworld *w;
static struct dbdworker *k;
static uint64_t alice;
static const char *key;
static char why[256];

static int
setup(void **state)
{
	*state = w = ask_world(&k, NULL, &alice, &key);
	return 0;
}

static uint8_t
role(uint64_t id)
{
	return user_find(dw_dbd(w), id)->r.role;
}

static int
set_role(uint64_t id, uint8_t to)
{
	int rc = op_user_role(dw_dbd(w), id, to, 1000, why, sizeof(why));

	dw_run(w);
	return rc;
}

static void
t_roles(void **state)
{
	uint64_t bob = ask_user(w, "bob"), carol = ask_user(w, "carol");

	(void)state;
	(void)ask_join(k, 1, 1, key, "one");
	ask_stream(k, 1, 1, 1, 1, 1);
	dw_forget(k);
	assert_int_equal(role(alice), USER_MEMBER);
	assert_int_equal(set_role(alice, USER_OWNER), 0);
	assert_int_equal(set_role(bob, USER_ADMIN), 0);
	/* One owner: who was it is an admin from now on, in one change. */
	dw_forget(k);
	assert_int_equal(set_role(carol, USER_OWNER), 0);
	assert_int_equal(role(alice), USER_ADMIN);
	assert_int_equal(role(carol), USER_OWNER);
	assert_int_equal(dw_count(k, M_DB_USER_PUT), 2);
	assert_int_equal(dw_count(k, M_DB_BATCH), 1);
	assert_int_equal(dw_got(k, M_DB_USER_PUT, 1)->u.db_user_put.user.role,
	    USER_OWNER);
	assert_int_equal(set_role(carol, USER_MEMBER), -1);
	assert_string_equal(why, "a tailnet has one owner: make another user "
	    "the owner");
	assert_int_equal(set_role(99, USER_ADMIN), -1);
	assert_string_equal(why, "no such user");
	assert_int_equal(set_role(bob, 3), -1);
	assert_string_equal(why, "no such role");
	dw_forget(k);
	assert_int_equal(set_role(bob, USER_ADMIN), 0);
	assert_int_equal(dw_count(k, M_DB_BATCH), 0);
	/* A name that changes takes no role away; a restart keeps them. */
	assert_int_equal(op_user_rename(dw_dbd(w), bob, S("rob"), 0, why,
	    sizeof(why)), 0);
	dw_run(w);
	dw_restart(w, true);
	assert_int_equal(role(alice), USER_ADMIN);
	assert_int_equal(role(bob), USER_ADMIN);
	assert_int_equal(role(carol), USER_OWNER);
}

/* What a text means depends on roles: it is compiled again. */
static void
t_roles_compile(void **state)
{
	(void)state;
	ask_policy(w, "allow");
	assert_int_equal(dw_policycs(w), 1);
	assert_int_equal(set_role(alice, USER_OWNER), 0);
	dw_pass(w, US_PER_S);
	assert_int_equal(dw_policycs(w), 3);	/* and tested */
}

/* Registers machine and key n with these tags, at most two. */
static const struct msg *
ask_tags(uint32_t n, const char *auth, const char *a, const char *b)
{
	struct ask_reg q = { .machine = n, .key = n, .auth = auth };
	struct buf buf = { NULL, 0, 0 }, tags = { NULL, 0, 0 };
	struct msg_list list;
	struct r_text t;
	struct msg m;
	uint32_t id;

	memset(&list, 0, sizeof(list));
	t.v = S(a);
	msg_list_add(&list, &tags, MR_TEXT, &t);
	t.v = S(b);
	if (b != NULL)
		msg_list_add(&list, &tags, MR_TEXT, &t);
	msg_list_close(&list, &tags);
	ask_reg_msg(k, &q, &m, &buf);
	m.u.db_reg.hostinfo.request_tags = list;
	id = dw_send(k, &m);
	dw_run(w);
	buf_free(&buf);
	buf_free(&tags);
	return dw_reply(k, id);
}

static bool
tagged(uint64_t id, const char *tag)
{
	const struct node *n = dw_find(w, id);
	struct msg_list it = n->r.tags;
	struct r_text t;

	assert_int_equal(n->r.tags.count, 1);
	return n->r.user == 0 && n->r.expiry == 0 &&
	    msg_list_next(&it, MR_TEXT, &t) && slice_eqs(t.v, tag);
}

static void
t_request(void **state)
{
	const char *bobs;
	uint64_t bob;

	(void)state;
	bob = ask_user(w, "bob");
	bobs = ask_key(w, bob, true, false, 0, NULL);
	/* Nobody owns any tag yet. */
	assert_true(ask_refused(ask_tags(1, key, "tag:web", NULL),
	    "requested tags [tag:web] are invalid or not permitted"));
	ask_policy(w, "allow\nown tag:db bob\nown tag:web alice");
	assert_true(ask_refused(ask_tags(1, bobs, "tag:web", "tag:db"),
	    "requested tags [tag:web] are invalid or not permitted"));
	assert_true(ask_refused(ask_tags(1, key, "tag:x", "tag:db"),
	    "requested tags [tag:x tag:db] are invalid or not permitted"));
	assert_int_equal(dw_tailnet(w)->nnodes, 0);
	dw_conf(w)->node_expiry_s = 3600;
	dw_reconf(w);
	/* Its own: the node is the tag's and does not expire. */
	assert_int_equal(ask_tags(1, key, "tag:web", "tag:web")->type,
	    M_DB_REG_OK);
	assert_true(tagged(1, "tag:web"));
	assert_int_equal(dw_find(w, 1)->r.hostinfo.request_tags.count, 0);
	assert_int_equal(user_find(dw_dbd(w), alice)->nodes, 0);
	assert_int_equal(ask_tags(2, bobs, "tag:db", NULL)->type,
	    M_DB_REG_OK);
	assert_true(tagged(2, "tag:db"));
	/* A key with tags gives those and no more. */
	assert_true(ask_refused(ask_tags(3, ask_key(w, 0, true, false, 0,
	    "tag:db"), "tag:web", NULL),
	    "requested tags [tag:web] are invalid or not permitted"));
	assert_int_equal(ask_tags(3, ask_key(w, alice, true, false, 0,
	    "tag:db"), "tag:db", NULL)->type, M_DB_REG_OK);
	assert_true(tagged(3, "tag:db"));
}

/* A lite update asks for tags: that is no login, and changes nothing. */
static void
t_lite(void **state)
{
	struct ask_lite a = { .machine = 1, .key = 1, .disco = 1,
	    .host = "one", .h2 = 3 };
	struct buf b = { NULL, 0, 0 }, tags = { NULL, 0, 0 };
	struct r_text t = { .v = S("tag:web") };
	struct msg_list list;
	struct msg m;

	(void)state;
	ask_policy(w, "allow\nown tag:web alice");
	assert_int_equal(ask_join(k, 1, 1, key, "one"), 1);
	memset(&list, 0, sizeof(list));
	msg_list_add(&list, &tags, MR_TEXT, &t);
	msg_list_close(&list, &tags);
	ask_lite_msg(k, &a, &m, &b);
	m.u.db_map_lite.hostinfo.request_tags = list;
	(void)dw_send(k, &m);
	dw_run(w);
	assert_int_equal(dw_find(w, 1)->r.tags.count, 0);
	assert_int_equal(dw_find(w, 1)->r.user, alice);
	/* Nor is that kept. */
	assert_true(slice_eqs(dw_find(w, 1)->r.hostinfo.hostname, "one"));
	assert_int_equal(dw_find(w, 1)->r.hostinfo.request_tags.count, 0);
	buf_free(&b);
	buf_free(&tags);
}

static int
tag_node(uint64_t id, const char *tag)
{
	struct buf b = { NULL, 0, 0 };
	struct r_text t = { .v = S(tag) };
	struct msg_list list;
	int rc;

	memset(&list, 0, sizeof(list));
	msg_list_add(&list, &b, MR_TEXT, &t);
	msg_list_close(&list, &b);
	rc = op_node_tag(dw_dbd(w), id, &list, 0, why, sizeof(why));
	buf_free(&b);
	dw_run(w);
	return rc;
}

static int
tag_key(const char *tag)
{
	struct key_spec spec;
	struct key_made made;
	struct buf b = { NULL, 0, 0 };
	struct r_text t = { .v = S(tag) };
	int rc;

	memset(&spec, 0, sizeof(spec));
	msg_list_add(&spec.tags, &b, MR_TEXT, &t);
	msg_list_close(&spec.tags, &b);
	rc = op_key_create(dw_dbd(w), &spec, &made, 0, why, sizeof(why));
	buf_free(&b);
	dw_run(w);
	return rc;
}

/* Administrators: any tag under a built-in policy, else a defined one. */
static void
t_admin(void **state)
{
	(void)state;
	assert_int_equal(ask_join(k, 1, 1, key, "one"), 1);
	assert_int_equal(tag_node(1, "tag:any"), 0);
	assert_int_equal(tag_key("tag:any"), 0);
	/* One that defines none is no exception. */
	ask_policy(w, "allow");
	assert_int_equal(tag_node(1, "tag:thing"), -1);
	assert_string_equal(why, "tag:thing: not defined in the policy's "
	    "tagOwners");
	assert_int_equal(tag_key("tag:thing"), -1);
	assert_string_equal(why, "tag:thing: not defined in the policy's "
	    "tagOwners");
	ask_policy(w, "allow\nown tag:web nobody");
	assert_int_equal(tag_node(1, "tag:other"), -1);
	assert_string_equal(why, "tag:other: not defined in the policy's "
	    "tagOwners");
	assert_true(tagged(1, "tag:any"));
	assert_int_equal(tag_node(1, "tag:web"), 0);
	assert_true(tagged(1, "tag:web"));
	assert_int_equal(tag_key("tag:web"), 0);
	assert_int_equal(tag_key("tag:nowhere"), -1);
	assert_string_equal(why, "tag:nowhere: not defined in the policy's "
	    "tagOwners");
}

/* Nothing valid is in force: nobody knows which tags there are. */
static void
t_admin_alarm(void **state)
{
	struct tailnet *tn;

	(void)state;
	assert_int_equal(ask_join(k, 1, 1, key, "one"), 1);
	ask_policy(w, "allow\nown tag:web alice");
	assert_int_equal(store_begin(dw_store(w)), 0);
	assert_int_equal(store_put_policy_blob(dw_store(w), 1,
	    dw_tailnet(w)->version, slice_str("nonsense")), 0);
	assert_int_equal(store_commit(dw_store(w)), 0);
	dw_policyc_allowed(w, false);
	dw_restart(w, true);
	tn = dw_tailnet(w);
	assert_true(tn->alarm);
	assert_int_equal(tag_node(1, "tag:web"), -1);
	assert_string_equal(why, "no valid policy is in force: no tag can be "
	    "given");
	assert_int_equal(tag_key("tag:web"), -1);
	assert_string_equal(why, "no valid policy is in force: no tag can be "
	    "given");
	/* A key without tags can be made. */
	(void)ask_key(w, alice, true, false, 0, NULL);
	dw_policyc_allowed(w, true);
	dw_pass(w, 60 * US_PER_S);
	assert_false(dw_tailnet(w)->alarm);
	assert_int_equal(tag_node(1, "tag:web"), 0);
}

int
main(void)
{
#define T(f)	cmocka_unit_test_setup_teardown(f, setup, ask_teardown)
	const struct CMUnitTest tests[] = {
		T(t_roles), T(t_roles_compile), T(t_request), T(t_lite),
		T(t_admin), T(t_admin_alarm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
