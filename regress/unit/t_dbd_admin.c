/* What administrators do, and what is kept of it. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "regress/lib/dbdask.h"

static struct dbdworld *w;
static struct dbdworker *k, *k2;
static uint64_t alice, one;
static const char *key;
static char why[256];

/* A node with a stream on the first worker. */
static int
setup(void **state)
{
	*state = w = ask_world(&k, &k2, &alice, &key);
	one = ask_join(k, 1, 1, key, "one");
	ask_stream(k, 1, 1, 1, 1, one);
	dw_forget(k);
	return 0;
}

static bool
no(int rc, const char *text)
{
	dw_run(w);
	if (rc == -1 && strcmp(why, text) == 0)
		return true;
	fprintf(stderr, "rc=%d why=%s\n", rc, why);
	return false;
}

static bool
yes(int rc)
{
	if (rc == -1)
		fprintf(stderr, "why=%s\n", why);
	dw_run(w);
	return rc == 0 && (!dw_holds(k) || dw_differs(k) == NULL);
}

#define WHY	0, why, sizeof(why)
#define S(x)	slice_str(x)

static void
t_users(void **state)
{
	uint64_t bob, id;

	(void)state;
	bob = ask_user(w, "bob@example.com");
	assert_int_equal(dw_count(k, M_DB_USER_PUT), 1);
	assert_true(no(op_user_add(dw_dbd(w), S("alice"), S(""), &id, WHY),
	    "a user of that name exists"));
	assert_true(no(op_user_add(dw_dbd(w), S("al ice"), S(""), &id, WHY),
	    "a user's name is 1 to 255 octets without blanks"));
	assert_true(no(op_user_add(dw_dbd(w), S(""), S(""), &id, WHY),
	    "a user's name is 1 to 255 octets without blanks"));
	assert_true(no(op_user_add(dw_dbd(w), S("ALice"), S(""), &id, WHY),
	    "a user of that name exists, but for upper and lower case"));
	assert_true(no(op_user_rename(dw_dbd(w), bob, S("id:7"), WHY),
	    "id: and a number is how headscalectl names any user: a name does "
	    "not begin so"));
	assert_true(yes(op_user_rename(dw_dbd(w), bob, S("rob"), WHY)));
	assert_int_equal(dw_count(k, M_DB_USER_PUT), 2);
	assert_null(user_find_name(dw_tailnet(w),
	    S("bob@example.com")));
	assert_int_equal(user_find_name(dw_tailnet(w),
	    S("rob"))->r.id, bob);
	assert_true(yes(op_user_rename(dw_dbd(w), bob, S("rob"), WHY)));
	assert_int_equal(dw_count(k, M_DB_USER_PUT), 2);
	/* one's own name is not another's */
	assert_true(yes(op_user_rename(dw_dbd(w), bob, S("Rob"), WHY)));
	assert_true(no(op_user_rename(dw_dbd(w), bob, S("alice"), WHY),
	    "a user of that name exists"));
	assert_true(no(op_user_rename(dw_dbd(w), 99, S("x"), WHY),
	    "no such user"));
	assert_true(no(op_user_delete(dw_dbd(w), alice, WHY),
	    "the user owns 1 nodes: delete or move them first"));
	assert_true(no(op_user_delete(dw_dbd(w), 99, WHY), "no such user"));
	/* Its keys go with it. */
	(void)ask_key(w, bob, true, false, 0, NULL);
	assert_non_null(authkey_find(dw_dbd(w), 2));
	assert_true(yes(op_user_delete(dw_dbd(w), bob, WHY)));
	assert_null(authkey_find(dw_dbd(w), 2));
	assert_int_equal(dw_count(k, M_DB_USER_DEL), 1);
	dw_restart(w, true);
	assert_null(user_find(dw_dbd(w), bob));
	assert_null(authkey_find(dw_dbd(w), 2));
	assert_int_equal(dw_tailnet(w)->nusers, 1);
}

static int
make(const struct key_spec *spec, const char *tag, struct key_made *made)
{
	struct key_spec s = *spec;
	struct buf b = { NULL, 0, 0 };
	struct r_text t;
	int rc;

	if (tag != NULL) {
		t.v = S(tag);
		msg_list_add(&s.tags, &b, MR_TEXT, &t);
	}
	msg_list_close(&s.tags, &b);
	rc = op_key_create(dw_dbd(w), &s, made, WHY);
	buf_free(&b);
	dw_run(w);
	return rc;
}

static void
t_keys(void **state)
{
	struct key_spec spec;
	struct key_made a, b;
	struct authkey *k1;

	(void)state;
	memset(&spec, 0, sizeof(spec));
	assert_true(no(make(&spec, NULL, &a), "a key needs a user or tags"));
	spec.user = 99;
	assert_true(no(make(&spec, NULL, &a), "no such user"));
	spec.user = alice;
	assert_true(no(make(&spec, "srv", &a), "srv: a tag is \"tag:\" and "
	    "letters, digits and hyphens, a letter first"));
	assert_true(no(make(&spec, "tag:1a", &a), "tag:1a: a tag is \"tag:\" "
	    "and letters, digits and hyphens, a letter first"));
	spec.expires_s = UINT64_MAX;
	assert_true(no(make(&spec, NULL, &a), "the expiry is too far away"));
	spec.expires_s = 60;
	assert_int_equal(make(&spec, "tag:a-1", &a), 0);
	assert_int_equal(make(&spec, "tag:a-1", &b), 0);
	assert_string_not_equal(a.secret, b.secret);
	assert_int_equal(a.expiry, dw_now(w) + 60);
	assert_int_equal(strlen(a.secret), strlen("hskey-auth-") + 12 + 1 +
	    64);
	k1 = authkey_find(dw_dbd(w), a.id);
	assert_int_equal(k1->row.prefix.n, strlen("hskey-auth-") + 12);
	assert_memory_equal(k1->row.prefix.p, a.secret, k1->row.prefix.n);
	/* What is kept does not tell the secret. */
	assert_null(memmem(&k1->row, sizeof(k1->row), a.secret + 24, 64));

	dw_restart(w, true);
	k1 = authkey_find(dw_dbd(w), a.id);
	assert_int_equal(k1->row.user, alice);
	assert_int_equal(k1->row.tags.count, 1);
	assert_int_equal(k1->row.used, 0);
	assert_true(yes(op_key_expire(dw_dbd(w), a.id, WHY)));
	assert_int_equal(k1->row.expiry, dw_now(w));
	assert_true(yes(op_key_expire(dw_dbd(w), a.id, WHY)));
	assert_true(no(op_key_expire(dw_dbd(w), 99, WHY), "no such auth key"));
	assert_true(no(op_key_delete(dw_dbd(w), 99, WHY), "no such auth key"));
	assert_true(yes(op_key_delete(dw_dbd(w), a.id, WHY)));
	dw_restart(w, true);
	assert_null(authkey_find(dw_dbd(w), a.id));
	assert_non_null(authkey_find(dw_dbd(w), b.id));
}

/* A key that is used and deleted in one batch leaves nothing behind. */
static void
t_key_deleted_in_batch(void **state)
{
	struct ask_reg a = { .machine = 5, .key = 5, .auth = key };
	struct buf b = { NULL, 0, 0 };
	struct msg m;

	(void)state;
	ask_reg_msg(k, &a, &m, &b);
	(void)dw_send(k, &m);
	buf_free(&b);
	dw_deliver(w);
	assert_int_equal(op_key_delete(dw_dbd(w), 1, WHY), 0);
	dw_run(w);
	dw_restart(w, true);
	assert_null(authkey_find(dw_dbd(w), 1));
}

static void
t_rename(void **state)
{
	uint64_t two;

	(void)state;
	two = ask_join(k, 2, 2, key, "two");
	assert_true(yes(op_node_rename(dw_dbd(w), one, S("uno"), WHY)));
	assert_true(slice_eqs(dw_node(k, one)->name, "uno"));
	assert_true(no(op_node_rename(dw_dbd(w), two, S("uno"), WHY),
	    "another node has that name"));
	assert_true(no(op_node_rename(dw_dbd(w), two, S("Uno"), WHY),
	    "a node's name is 1 to 63 lower-case letters, digits and single "
	    "hyphens between them"));
	assert_true(no(op_node_rename(dw_dbd(w), two, S("-x"), WHY),
	    "a node's name is 1 to 63 lower-case letters, digits and single "
	    "hyphens between them"));
	assert_true(no(op_node_rename(dw_dbd(w), 99, S("x"), WHY),
	    "no such node"));
	/* The name that it left is free. */
	assert_true(yes(op_node_rename(dw_dbd(w), two, S("one"), WHY)));
}

static void
t_tag_and_move(void **state)
{
	struct buf b = { NULL, 0, 0 };
	struct msg_list tags, none, twice;
	struct r_text t = { slice_str("tag:srv") };
	uint64_t bob = ask_user(w, "bob"), seq;

	(void)state;
	memset(&tags, 0, sizeof(tags));
	memset(&none, 0, sizeof(none));
	memset(&twice, 0, sizeof(twice));
	msg_list_add(&tags, &b, MR_TEXT, &t);
	msg_list_close(&tags, &b);
	assert_true(no(op_node_tag(dw_dbd(w), one, &none, WHY),
	    "give at least one tag, or move the node to a user"));
	assert_true(yes(op_node_expire(dw_dbd(w), one, dw_now(w) + 100, WHY)));
	assert_true(yes(op_node_tag(dw_dbd(w), one, &tags, WHY)));
	assert_int_equal(dw_node(k, one)->user, 0);
	assert_int_equal(dw_node(k, one)->tags.count, 1);
	assert_int_equal(dw_node(k, one)->expiry, 0);
	assert_int_equal(user_find(dw_dbd(w), alice)->nodes, 0);
	seq = dw_tailnet(w)->seq;
	assert_true(yes(op_node_tag(dw_dbd(w), one, &tags, WHY)));
	assert_int_equal(dw_tailnet(w)->seq, seq);

	assert_true(no(op_node_move(dw_dbd(w), one, 99, WHY), "no such user"));
	assert_true(yes(op_node_move(dw_dbd(w), one, bob, WHY)));
	assert_int_equal(dw_node(k, one)->user, bob);
	assert_int_equal(dw_node(k, one)->tags.count, 0);
	assert_int_equal(user_find(dw_dbd(w), bob)->nodes, 1);
	buf_clear(&b);
	msg_list_add(&twice, &b, MR_TEXT, &t);
	msg_list_add(&twice, &b, MR_TEXT, &t);
	msg_list_close(&twice, &b);
	assert_true(no(op_node_tag(dw_dbd(w), one, &twice, WHY),
	    "tag:srv: given twice"));
	buf_free(&b);
}

static void
t_expire(void **state)
{
	(void)state;
	assert_true(yes(op_node_expire(dw_dbd(w), one, dw_now(w) + 100, WHY)));
	assert_int_equal(dw_node(k, one)->expiry, dw_now(w) + 100);
	dw_forget(k);
	dw_pass(w, 101 * US_PER_S);
	assert_int_equal(dw_count(k, M_DB_NODE_PUT), 1);
	/* Extended: the client goes on without a new login. */
	assert_true(yes(op_node_expire(dw_dbd(w), one, 0, WHY)));
	assert_int_equal(dw_node(k, one)->expiry, 0);
	assert_true(yes(op_node_logout(dw_dbd(w), one, WHY)));
	assert_int_equal(dw_node(k, one)->expiry, dw_now(w));
	/* Its stream goes on: that is how it learns of it. */
	assert_non_null(dw_find(w, one)->session);
	assert_true(no(op_node_expire(dw_dbd(w), one, -5, WHY),
	    "that time is too long ago"));
	/* 9999-12-31: clients would count for ever. */
	assert_true(no(op_node_expire(dw_dbd(w), one, 253402300799, WHY),
	    "that is too far away: clients count no further than 2199 (say "
	    "never)"));
	assert_true(no(op_node_expire(dw_dbd(w), 99, 0, WHY), "no such node"));
	assert_true(no(op_node_logout(dw_dbd(w), 99, WHY), "no such node"));
}

/* A node that is there: it learns of its end and of its return by its map. */
static void
t_expire_live(void **state)
{
	struct ask_reg a = { .machine = 1, .key = 1 };
	struct ask_lite q = { .machine = 1, .key = 1, .disco = 1, .h2 = 9,
	    .port = 7 };
	uint64_t two, seq;

	(void)state;
	two = ask_join(k2, 2, 2, key, "two");
	ask_stream(k2, 2, 1, 2, 1, two);
	dw_forget(k);
	dw_forget(k2);
	seq = dw_tailnet(w)->seq;
	assert_true(yes(op_node_expire(dw_dbd(w), one, 123, WHY)));
	assert_int_equal(dw_count(k, M_DB_NODE_PUT), 1);
	assert_int_equal(dw_count(k2, M_DB_NODE_PUT), 1);
	assert_int_equal(dw_node(k, one)->expiry, dw_now(w));
	assert_int_equal(dw_node(k2, one)->expiry, dw_now(w));
	assert_int_equal(dw_tailnet(w)->seq, seq + 1);
	/* Twice is once, also later and by the other name. */
	dw_pass(w, 30 * US_PER_S);
	assert_true(yes(op_node_expire(dw_dbd(w), one, 124, WHY)));
	assert_true(yes(op_node_logout(dw_dbd(w), one, WHY)));
	assert_int_equal(dw_tailnet(w)->seq, seq + 1);
	assert_int_equal(dw_count(k, M_DB_STREAM_END), 0);
	assert_true(ask_reg(k, &a)->u.db_reg_ok.key_expired);
	assert_true(ask_lite(k, &q)->u.db_lite_ok.changed);
	assert_int_equal(dw_node(k2, one)->expiry, dw_now(w) - 30);
	/* And back: no login, no other key, its session as it was. */
	dw_forget(k2);
	assert_true(yes(op_node_expire(dw_dbd(w), one, 0, WHY)));
	assert_int_equal(dw_count(k2, M_DB_NODE_PUT), 1);
	assert_int_equal(dw_node(k, one)->expiry, 0);
	assert_int_equal(dw_node(k2, one)->expiry, 0);
	assert_int_equal(dw_find(w, one)->session->generation, 1);
	assert_false(ask_reg(k, &a)->u.db_reg_ok.key_expired);
	assert_true(dw_node(k2, one)->online);
	assert_true(yes(op_node_expire(dw_dbd(w), one, 0, WHY)));
	assert_int_equal(dw_count(k2, M_DB_NODE_PUT), 1);
	assert_null(dw_differs(k2));
}

/* What is told of each operation, and of those that concern nobody. */
static void
t_published(void **state)
{
	struct key_spec spec = { .user = alice, .reusable = true };
	struct r_text t = { slice_str("tag:srv") };
	struct buf b = { NULL, 0, 0 };
	struct key_made made;
	uint64_t bob = ask_user(w, "bob"), seq;
	struct msg_list tags;

	(void)state;
	assert_int_equal(dw_count(k, M_DB_USER_PUT), 1);
	assert_true(slice_eqs(dw_got(k, M_DB_USER_PUT,
	    0)->u.db_user_put.user.name, "bob"));
	dw_forget(k);
	seq = dw_tailnet(w)->seq;
	assert_true(yes(op_key_create(dw_dbd(w), &spec, &made, WHY)));
	assert_true(yes(op_key_expire(dw_dbd(w), made.id, WHY)));
	assert_true(yes(op_key_delete(dw_dbd(w), made.id, WHY)));
	assert_int_equal(dw_tailnet(w)->seq, seq);
	assert_int_equal(dw_count(k, M_DB_BATCH), 0);

	assert_true(yes(op_node_rename(dw_dbd(w), one, S("uno"), WHY)));
	assert_true(slice_eqs(dw_got(k, M_DB_NODE_PUT,
	    0)->u.db_node_put.node.name, "uno"));
	memset(&tags, 0, sizeof(tags));
	msg_list_add(&tags, &b, MR_TEXT, &t);
	msg_list_close(&tags, &b);
	assert_true(yes(op_node_tag(dw_dbd(w), one, &tags, WHY)));
	assert_int_equal(dw_got(k, M_DB_NODE_PUT,
	    1)->u.db_node_put.node.tags.count, 1);
	assert_int_equal(dw_got(k, M_DB_NODE_PUT,
	    1)->u.db_node_put.node.user, 0);
	assert_true(yes(op_node_move(dw_dbd(w), one, bob, WHY)));
	assert_int_equal(dw_got(k, M_DB_NODE_PUT,
	    2)->u.db_node_put.node.user, bob);
	assert_true(yes(op_user_rename(dw_dbd(w), bob, S("rob"), WHY)));
	assert_true(slice_eqs(dw_got(k, M_DB_USER_PUT,
	    0)->u.db_user_put.user.name, "rob"));
	assert_true(yes(op_node_logout(dw_dbd(w), one, WHY)));
	assert_int_equal(dw_got(k, M_DB_NODE_PUT,
	    3)->u.db_node_put.node.expiry, dw_now(w));
	assert_int_equal(dw_count(k, M_DB_BATCH), 5);
	assert_true(yes(op_node_delete(dw_dbd(w), one, WHY)));
	assert_int_equal(dw_got(k, M_DB_NODE_DEL, 0)->u.db_node_del.id, one);
	assert_true(yes(op_user_delete(dw_dbd(w), bob, WHY)));
	assert_int_equal(dw_got(k, M_DB_USER_DEL, 0)->u.db_user_del.id, bob);
	assert_int_equal(dw_count(k, M_DB_NODE_PUT), 4);
	assert_int_equal(dw_seq(k), seq + 7);
	buf_free(&b);
}

static void
t_delete(void **state)
{
	struct ask_lite q = { .machine = 1, .key = 1, .disco = 1 };
	const struct msg *m;
	uint64_t two;

	(void)state;
	assert_true(yes(op_node_delete(dw_dbd(w), one, WHY)));
	assert_null(dw_node(k, one));
	assert_true(no(op_node_delete(dw_dbd(w), one, WHY), "no such node"));
	m = ask_open(k, 1, 1, 1, 9);
	assert_int_equal(m->u.db_map_no.status, 404);
	assert_int_equal(ask_lite(k, &q)->u.db_lite_no.status, 404);
	/* Ids are never given twice, addresses not within the hour. */
	two = ask_join(k, 1, 1, key, "one");
	assert_true(two > one);
	assert_int_equal(dw_find(w, two)->r.ip4.b[3], 2);
	dw_restart(w, true);
	assert_null(dw_find(w, one));
	k = dw_worker(w, 1, 3);
	assert_int_equal(dw_find(w, ask_join(k, 3, 3, key,
	    "three"))->r.ip4.b[3], 3);
}

/* Exposure. */

struct list {
	unsigned int		n;
	struct exposure_row	row[8];
};

static void
on_row(const struct exposure_row *row, void *arg)
{
	struct list *l = arg;

	if (l->n < 8)
		l->row[l->n] = *row;
	l->n++;
}

static struct list
exposures(uint16_t slot, uint64_t generation)
{
	struct list l;

	memset(&l, 0, sizeof(l));
	assert_int_equal(op_exposure_list(dw_dbd(w), slot, generation, on_row,
	    &l), 0);
	dw_run(w);
	return l;
}

static void
t_exposure(void **state)
{
	struct list l;
	uint64_t two;
	int64_t first = dw_now(w);

	(void)state;
	two = ask_join(k, 2, 2, key, "two");
	ask_stream(k2, 2, 1, 2, 1, two);
	/* Opened only: nothing was handed over. */
	(void)ask_join(k, 3, 3, key, "three");
	(void)ask_open(k, 3, 1, 3, 3);
	l = exposures(0, 0);
	assert_int_equal(l.n, 2);
	l = exposures(1, 0);
	assert_int_equal(l.n, 1);
	assert_int_equal(l.row[0].node, one);
	assert_int_equal(l.row[0].first, first);
	assert_int_equal(l.row[0].generation, 1);
	assert_int_equal(exposures(1, 2).n, 0);
	dw_pass(w, 20 * US_PER_S);
	ask_close(k, one, 1);
	l = exposures(1, 1);
	assert_int_equal(l.row[0].last, first + 20);
	/* Also when dbd died in between. */
	dw_restart(w, false);
	l = exposures(1, 1);
	assert_int_equal(l.n, 1);
	assert_int_equal(l.row[0].first, first);
	assert_int_equal(l.row[0].last, first + 20);
}

static void
t_revoke(void **state)
{
	struct list l;
	uint64_t two;
	uint32_t n;

	(void)state;
	two = ask_join(k, 2, 2, key, "two");
	ask_stream(k2, 2, 1, 2, 1, two);
	assert_int_equal(op_exposure_revoke(dw_dbd(w), 1, 1, &n, WHY), 0);
	dw_run(w);
	assert_int_equal(n, 1);
	assert_int_equal(dw_node(k, one)->expiry, dw_now(w));
	assert_int_equal(dw_find(w, two)->r.expiry, 0);
	l = exposures(1, 0);
	assert_true(l.row[0].revoked);
	assert_false(exposures(2, 0).row[0].revoked);
	/* The mark stays when the stream ends. */
	ask_close(k, one, 1);
	assert_true(exposures(1, 0).row[0].revoked);
	assert_int_equal(op_exposure_revoke(dw_dbd(w), 1, 1, &n, WHY), 0);
	assert_int_equal(n, 0);
	/* A key that has changed since is not revoked. */
	assert_int_equal(ask_join(k, 2, 22, key, "two"), two);
	assert_int_equal(op_exposure_revoke(dw_dbd(w), 2, 0, &n, WHY), 0);
	assert_int_equal(n, 0);
	assert_int_equal(dw_find(w, two)->r.expiry, 0);
}

/* Audit rows: who did what, and no secrets. */

static int
on_audit(const struct audit_row *row, void *arg)
{
	char *text = arg;
	char line[400];

	(void)snprintf(line, sizeof(line), "%s %llu %u;", row->what,
	    (unsigned long long)row->target, row->uid);
	(void)strlcat(text, line, 2000);
	assert_null(memmem(row->detail.p, row->detail.n, key + 24, 20));
	return 0;
}

static void
t_audit(void **state)
{
	char text[2000] = "";

	(void)state;
	assert_int_equal(op_node_rename(dw_dbd(w), one, S("uno"), 1000, why,
	    sizeof(why)), 0);
	assert_int_equal(op_node_delete(dw_dbd(w), one, 1000, why, sizeof(why)),
	    0);
	dw_run(w);
	assert_int_equal(store_load_audit(dw_store(w), 1, 100, on_audit,
	    text), 0);
	assert_string_equal(text, "node.delete 1 1000;node.rename 1 1000;"
	    "node.register 1 4294967295;key.create 1 0;user.add 1 0;");
}

/* One batch: many operations, one place, one commit. */
static void
t_batch(void **state)
{
	uint64_t seq = dw_tailnet(w)->seq;
	char name[32];
	unsigned int i;

	(void)state;
	for (i = 0; i < 10; i++) {
		(void)snprintf(name, sizeof(name), "n%u", i);
		assert_int_equal(op_node_rename(dw_dbd(w), one, S(name), WHY),
		    0);
	}
	assert_true(dbd_dirty(dw_dbd(w)));
	assert_int_equal(dw_count(k, M_DB_BATCH), 0);
	dw_run(w);
	assert_false(dbd_dirty(dw_dbd(w)));
	assert_int_equal(dw_count(k, M_DB_NODE_PUT), 10);
	assert_int_equal(dw_count(k, M_DB_BATCH), 1);
	assert_int_equal(dw_seq(k), seq + 10);
	assert_null(dw_differs(k));
	/* More than a batch holds: parts are committed on the way. */
	dw_forget(k);
	for (i = 0; i < 600; i++) {
		(void)snprintf(name, sizeof(name), "m%u", i);
		assert_int_equal(op_node_rename(dw_dbd(w), one, S(name), WHY),
		    0);
	}
	dw_run(w);
	assert_int_equal(dw_count(k, M_DB_BATCH), 3);
	assert_null(dw_differs(k));
}

/* A store that fails ends the process before anybody was told. */
static void
t_commit_fails(void **state)
{
	struct ask_reg a = { .machine = 5, .key = 5, .auth = key };
	uint32_t id;

	(void)state;
	/* Somebody else ended our transaction: the commit cannot succeed. */
	id = ask_reg_send(k, &a);
	dw_deliver(w);
	assert_true(dbd_dirty(dw_dbd(w)));
	assert_int_equal(store_rollback(dw_store(w)), 0);
	dbd_turn(dw_dbd(w));
	assert_int_equal(fakeenv_code(dw_env(w)), 1);
	dw_deliver(w);
	assert_null(dw_reply(k, id));
	assert_int_equal(dw_count(k, M_DB_NODE_PUT), 0);
	/* Nor does it do anything any more. */
	dbd_turn(dw_dbd(w));
	dbd_finish(dw_dbd(w));
	assert_int_equal(dw_count(k, M_DB_NODE_PUT), 0);
}

static void
t_conf(void **state)
{
	struct dbd_conf c = *dw_conf(w);

	(void)state;
	assert_true(dbd_conf_ok(&c, why, sizeof(why)));
	memset(&c.prefix6, 0, sizeof(c.prefix6));
	assert_true(dbd_conf_ok(&c, why, sizeof(why)));
	c.prefix6 = c.prefix4;
	assert_false(dbd_conf_ok(&c, why, sizeof(why)));
	assert_string_equal(why, "a prefix is of the wrong family");
	memset(&c.prefix4, 0, sizeof(c.prefix4));
	memset(&c.prefix6, 0, sizeof(c.prefix6));
	assert_false(dbd_conf_ok(&c, why, sizeof(why)));
	assert_string_equal(why, "no prefix for node addresses");
	assert_true(prefix_parse(&c.prefix4, S("100.115.92.0/24")));
	assert_false(dbd_conf_ok(&c, why, sizeof(why)));
	assert_string_equal(why,
	    "a prefix has no address that a node may have");
}

int
main(void)
{
#define T(f)	cmocka_unit_test_setup_teardown(f, setup, ask_teardown)
	const struct CMUnitTest tests[] = {
		T(t_users),
		T(t_keys),
		T(t_key_deleted_in_batch),
		T(t_rename),
		T(t_tag_and_move),
		T(t_expire),
		T(t_expire_live),
		T(t_published),
		T(t_delete),
		T(t_exposure),
		T(t_revoke),
		T(t_audit),
		T(t_batch),
		T(t_commit_fails),
		T(t_conf)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
