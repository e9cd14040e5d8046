/* Registration: the rows of protocol.md 4.2. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/ids.h"
#include "regress/lib/dbdask.h"

#define NO_LOGIN	"interactive login is not built yet: use an auth key"

static struct dbdworld *w;
static struct dbdworker *k;
static uint64_t alice, bob;

static int
setup(void **state)
{
	ask_log();
	*state = w = dw_new();
	k = dw_worker(w, 1, 1);
	alice = ask_user(w, "alice");
	bob = ask_user(w, "bob");
	return 0;
}

static bool
refused(const struct ask_reg *a, const char *text)
{
	return ask_refused(ask_reg(k, a), text);
}

/* R7: a new node of the key's owner. */
static void
t_new_node(void **state)
{
	const char *key = ask_key(w, alice, true, false, 0, NULL);
	struct ask_reg a = { .machine = 1, .key = 1, .auth = key,
	    .host = "Alice's Box" };
	const struct msg *m;
	struct node *n;
	char ip[IP_TEXT];

	(void)state;
	m = ask_reg(k, &a);
	assert_int_equal(m->type, M_DB_REG_OK);
	assert_true(m->u.db_reg_ok.machine_ok);
	assert_false(m->u.db_reg_ok.key_expired);
	assert_int_equal(m->u.db_reg_ok.user.id, alice);
	assert_true(slice_eqs(m->u.db_reg_ok.user.name, "alice"));
	n = dw_find(w, m->u.db_reg_ok.node);
	assert_non_null(n);
	assert_true(slice_eqs(n->r.name, "alice-s-box"));
	(void)ip_print(ip, &n->r.ip4);
	assert_string_equal(ip, "100.64.0.1");
	(void)ip_print(ip, &n->r.ip6);
	assert_string_equal(ip, "fd7a:115c:a1e0::1");
	assert_int_equal(n->r.user, alice);
	assert_int_equal(n->r.expiry, 0);
	assert_int_equal(n->r.created, dw_now(w));
	assert_false(n->r.published);
	assert_false(n->mapped);
	assert_true(n->r.stable_id.n > 8);
	/* Nobody holds the tailnet: nobody was told. */
	assert_int_equal(dw_count(k, M_DB_NODE_PUT), 0);
	assert_false(dw_holds(k));
}

/* R8: every restart of tailscaled.  R6: with its key, which is not used up. */
static void
t_known(void **state)
{
	const char *key = ask_key(w, alice, false, false, 0, NULL);
	struct ask_reg a = { .machine = 1, .key = 1, .auth = key };
	struct ask_reg again = { .machine = 1, .key = 1 };
	const struct msg *m;
	uint64_t id, seq;

	(void)state;
	id = ask_reg(k, &a)->u.db_reg_ok.node;
	seq = dw_tailnet(w)->seq;
	m = ask_reg(k, &again);
	assert_int_equal(m->type, M_DB_REG_OK);
	assert_int_equal(m->u.db_reg_ok.node, id);
	assert_false(m->u.db_reg_ok.key_expired);
	m = ask_reg(k, &a);
	assert_int_equal(m->type, M_DB_REG_OK);
	assert_int_equal(m->u.db_reg_ok.node, id);
	/* Nor does a month-old OldNodeKey mean anything (trap 42). */
	again.old = 99;
	assert_int_equal(ask_reg(k, &again)->u.db_reg_ok.node, id);
	assert_int_equal(dw_tailnet(w)->seq, seq);
	assert_int_equal(dw_tailnet(w)->nnodes, 1);
}

/* R11 and a follow-up that leads nowhere. */
static void
t_no_login(void **state)
{
	struct ask_reg a = { .machine = 1, .key = 1 };

	(void)state;
	assert_true(refused(&a, NO_LOGIN));
	a.followup = "http://x/register/0";
	assert_true(refused(&a, NO_LOGIN));
	a.key = 0;
	assert_true(refused(&a, "the node key is missing"));
	assert_int_equal(dw_tailnet(w)->nnodes, 0);
}

static void
t_bad_keys(void **state)
{
	const char *good = ask_key(w, alice, true, false, 60, NULL);
	struct ask_reg a = { .machine = 1, .key = 1 };
	struct authkey *key;
	char why[128], wrong[AUTHKEY_TEXT];

	(void)state;
	a.auth = "hskey-auth-000000000000-00";
	assert_true(refused(&a, "invalid auth key"));
	a.auth = "";
	assert_true(refused(&a, "invalid auth key"));
	(void)strlcpy(wrong, good, sizeof(wrong));
	wrong[strlen(wrong) - 1] ^= 1;
	a.auth = wrong;
	assert_true(refused(&a, "invalid auth key"));
	a.auth = good;
	dw_pass(w, 61 * US_PER_S);
	assert_true(refused(&a, "auth key expired"));

	a.auth = ask_key(w, alice, true, false, 0, NULL);
	key = TAILQ_LAST(&dw_tailnet(w)->authkeys, authkey_list);
	key->row.revoked = true;
	assert_true(refused(&a, "auth key revoked"));
	key->row.revoked = false;
	assert_int_equal(op_key_expire(dw_dbd(w), key->row.id, 0, why,
	    sizeof(why)), 0);
	dw_run(w);
	assert_true(refused(&a, "auth key expired"));
	assert_int_equal(op_key_delete(dw_dbd(w), key->row.id, 0, why,
	    sizeof(why)), 0);
	assert_true(refused(&a, "invalid auth key"));
	assert_int_equal(dw_tailnet(w)->nnodes, 0);
}

/* Burned by success alone, and never twice. */
static void
t_single_use(void **state)
{
	const char *key = ask_key(w, alice, false, false, 0, NULL);
	struct ask_reg a = { .machine = 1, .key = 1, .auth = key,
	    .tag = "tag:no" };
	struct ask_reg b = { .machine = 2, .key = 2, .auth = key };
	uint32_t first, second;

	(void)state;
	assert_true(refused(&a, "requested tags [tag:no] are invalid "
	    "or not permitted"));
	a.tag = NULL;
	/* Both in one batch. */
	first = ask_reg_send(k, &a);
	second = ask_reg_send(k, &b);
	dw_run(w);
	assert_int_equal(dw_reply(k, first)->type, M_DB_REG_OK);
	assert_true(ask_refused(dw_reply(k, second), "auth key already used"));
	assert_int_equal(dw_tailnet(w)->nnodes, 1);
	assert_int_equal(TAILQ_FIRST(
	    &dw_tailnet(w)->authkeys)->row.used, 1);
}

/* The reply died with its worker: the same machine may ask once more. */
static void
t_burned_again(void **state)
{
	const char *key = ask_key(w, alice, false, false, 0, NULL);
	struct ask_reg a = { .machine = 1, .key = 1, .auth = key };
	const struct msg *m;
	uint64_t id;

	(void)state;
	id = ask_reg(k, &a)->u.db_reg_ok.node;
	a.key = 2;
	m = ask_reg(k, &a);
	assert_int_equal(m->type, M_DB_REG_OK);
	assert_int_equal(m->u.db_reg_ok.node, id);
	assert_null(node_find_key(dw_dbd(w), (const uint8_t *)"n\0\0\0\1\0\0\0"
	    "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"));
	assert_int_equal(dw_find(w, id)->r.node_key[4], 2);
	assert_int_equal(TAILQ_FIRST(
	    &dw_tailnet(w)->authkeys)->row.used, 1);
	/* Also after a restart of dbd. */
	dw_restart_with(k, false);
	a.key = 3;
	assert_int_equal(ask_reg(k, &a)->u.db_reg_ok.node, id);
	/* Once a map was complete, it is used. */
	ask_stream(k, 1, 1, 3, 1, id);
	a.key = 4;
	assert_true(refused(&a, "auth key already used"));
	assert_int_equal(dw_find(w, id)->r.node_key[4], 3);
}

/* R9: the node stays, its key changes; the old stream ends. */
static void
t_rotation(void **state)
{
	const char *key = ask_key(w, alice, true, false, 0, NULL);
	struct ask_reg a = { .machine = 1, .key = 1, .auth = key };
	const struct msg *m;
	struct r_node was;
	uint64_t id;

	(void)state;
	id = ask_reg(k, &a)->u.db_reg_ok.node;
	ask_stream(k, 1, 1, 1, 7, id);
	was = dw_find(w, id)->r;
	/* Without a credential the ticket introduces no key. */
	a.old = 1;
	a.key = 2;
	a.auth = NULL;
	assert_true(refused(&a, NO_LOGIN));
	assert_int_equal(dw_find(w, id)->r.node_key[4], 1);

	a.auth = key;
	m = ask_reg(k, &a);
	assert_int_equal(m->u.db_reg_ok.node, id);
	assert_int_equal(dw_find(w, id)->r.node_key[4], 2);
	assert_true(ip_eq(&dw_find(w, id)->r.ip4, &was.ip4));
	assert_null(dw_find(w, id)->session);
	m = dw_got(k, M_DB_STREAM_END, 0);
	assert_non_null(m);
	assert_int_equal(m->u.db_stream_end.generation, 7);
	assert_int_equal(m->u.db_stream_end.why, 3);
	/* The change came before the answer. */
	assert_null(dw_differs(k));
	/* The old key is nobody's. */
	m = ask_open(k, 1, 1, 1, 8);
	assert_int_equal(m->type, M_DB_MAP_NO);
	assert_int_equal(m->u.db_map_no.status, 404);
}

/* An OldNodeKey of another machine is no reason for anything. */
static void
t_rotation_foreign(void **state)
{
	const char *key = ask_key(w, alice, true, false, 0, NULL);
	struct ask_reg a = { .machine = 2, .key = 2, .old = 1, .auth = key };
	uint64_t id;

	(void)state;
	id = ask_join(k, 1, 1, key, "one");
	assert_true(ask_reg(k, &a)->u.db_reg_ok.node != id);
	assert_int_equal(dw_find(w, id)->r.node_key[4], 1);
	assert_int_equal(dw_find(w, id)->r.expiry, 0);
}

/* R12. */
static void
t_foreign_key(void **state)
{
	const char *key = ask_key(w, alice, true, false, 0, NULL);
	struct ask_reg a = { .machine = 2, .key = 1, .auth = key };
	uint64_t id;

	(void)state;
	id = ask_join(k, 1, 1, key, "one");
	assert_true(refused(&a,
	    "node key is already in use by another machine"));
	a.auth = NULL;
	assert_true(refused(&a,
	    "node key is already in use by another machine"));
	a.expiry = ASK_PAST;
	assert_true(refused(&a,
	    "node key is already in use by another machine"));
	assert_int_equal(dw_find(w, id)->r.expiry, 0);
}

/* R1 before auth, then R10, and the way back of 4.7. */
static void
t_logout(void **state)
{
	const char *key = ask_key(w, alice, true, false, 0, NULL);
	struct ask_reg a = { .machine = 1, .key = 1, .auth = key,
	    .expiry = ASK_PAST };
	const struct msg *m;
	uint64_t id, seq;

	(void)state;
	id = ask_join(k, 1, 1, key, "one");
	m = ask_reg(k, &a);
	assert_int_equal(m->type, M_DB_REG_OK);
	assert_true(m->u.db_reg_ok.key_expired);
	assert_false(m->u.db_reg_ok.machine_ok);
	assert_int_equal(dw_find(w, id)->r.expiry, dw_now(w));
	/* A second time changes nothing; unknown nodes have no quarrel. */
	seq = dw_tailnet(w)->seq;
	assert_int_equal(ask_reg(k, &a)->type, M_DB_REG_OK);
	a.key = 77;
	assert_int_equal(ask_reg(k, &a)->type, M_DB_REG_OK);
	assert_int_equal(dw_tailnet(w)->seq, seq);
	/* R10: the known expired key. */
	a.key = 1;
	a.expiry = 0;
	a.auth = NULL;
	m = ask_reg(k, &a);
	assert_true(m->u.db_reg_ok.key_expired);
	/* The next login has a fresh key and no old one. */
	a.key = 2;
	a.auth = key;
	m = ask_reg(k, &a);
	assert_int_equal(m->u.db_reg_ok.node, id);
	assert_false(m->u.db_reg_ok.key_expired);
	assert_int_equal(dw_find(w, id)->r.expiry, 0);
	assert_int_equal(dw_find(w, id)->r.node_key[4], 2);
}

/* An expired key with a credential is good again. */
static void
t_renew_same_key(void **state)
{
	const char *key = ask_key(w, alice, true, false, 0, NULL);
	struct ask_reg a = { .machine = 1, .key = 1, .auth = key };
	char why[128];
	uint64_t id;

	(void)state;
	id = ask_join(k, 1, 1, key, "one");
	assert_int_equal(op_node_logout(dw_dbd(w), id, 0, why, sizeof(why)),
	    0);
	dw_run(w);
	assert_int_equal(dw_find(w, id)->r.expiry, dw_now(w));
	a.auth = NULL;
	assert_true(ask_reg(k, &a)->u.db_reg_ok.key_expired);
	a.auth = key;
	assert_false(ask_reg(k, &a)->u.db_reg_ok.key_expired);
	assert_int_equal(dw_find(w, id)->r.expiry, 0);
	/* A key of somebody else needs a fresh node key. */
	assert_int_equal(op_node_logout(dw_dbd(w), id, 0, why, sizeof(why)),
	    0);
	a.auth = ask_key(w, bob, true, false, 0, NULL);
	assert_true(ask_reg(k, &a)->u.db_reg_ok.key_expired);
	assert_int_equal(dw_tailnet(w)->nnodes, 1);
}

/* R2 and R3. */
static void
t_expiry_by_client(void **state)
{
	const char *key = ask_key(w, alice, true, false, 0, NULL);
	struct ask_reg a = { .machine = 1, .key = 1, .auth = key };
	uint64_t id;

	(void)state;
	id = ask_join(k, 1, 1, key, "one");
	a.expiry = dw_now(w) + 1000;
	assert_int_equal(ask_reg(k, &a)->type, M_DB_REG_OK);
	assert_int_equal(dw_find(w, id)->r.expiry, dw_now(w) + 1000);
	a.expiry = dw_now(w) + 500;
	assert_int_equal(ask_reg(k, &a)->type, M_DB_REG_OK);
	assert_int_equal(dw_find(w, id)->r.expiry, dw_now(w) + 500);
	a.expiry = dw_now(w) + 501;
	assert_true(refused(&a,
	    "a key's expiry cannot be extended by its node"));
	assert_int_equal(dw_find(w, id)->r.expiry, dw_now(w) + 500);
}

/* Later than clients can count is never, and that is what lists say. */
static void
t_expiry_far(void **state)
{
	const char *key = ask_key(w, alice, true, false, 0, NULL);
	struct ask_reg a = { .machine = 1, .key = 1, .auth = key };
	uint64_t id, seq;

	(void)state;
	a.expiry = EXPIRY_END;
	id = ask_reg(k, &a)->u.db_reg_ok.node;
	assert_int_equal(dw_find(w, id)->r.expiry, 0);
	/* Known, it says so once more. */
	seq = ask_seq(w);
	assert_int_equal(ask_reg(k, &a)->type, M_DB_REG_OK);
	assert_int_equal(dw_find(w, id)->r.expiry, 0);
	assert_int_equal(ask_seq(w), seq);
	a.expiry = EXPIRY_END - 1;
	assert_int_equal(ask_reg(k, &a)->type, M_DB_REG_OK);
	assert_int_equal(dw_find(w, id)->r.expiry, EXPIRY_END - 1);
	/* Never is no less than that. */
	a.expiry = EXPIRY_END;
	assert_true(refused(&a,
	    "a key's expiry cannot be extended by its node"));
	/* What is configured holds all the same. */
	dw_conf(w)->node_expiry_s = 3600;
	dw_reconf(w);
	a.machine = a.key = 2;
	id = ask_reg(k, &a)->u.db_reg_ok.node;
	assert_int_equal(dw_find(w, id)->r.expiry, dw_now(w) + 3600);
}

static void
t_configured_expiry(void **state)
{
	struct ask_reg a = { .machine = 3, .key = 3 };
	struct node *n;

	(void)state;
	dw_conf(w)->node_expiry_s = 3600;
	dw_reconf(w);
	n = dw_find(w, ask_join(k, 1, 1, ask_key(w, alice, true, false, 0,
	    NULL), "one"));
	assert_int_equal(n->r.expiry, dw_now(w) + 3600);
	/* Tagged nodes do not expire. */
	n = dw_find(w, ask_join(k, 2, 2, ask_key(w, 0, true, false, 0,
	    "tag:srv"), "two"));
	assert_int_equal(n->r.expiry, 0);
	/* A client may ask for less. */
	a.auth = ask_key(w, alice, true, false, 0, NULL);
	a.expiry = dw_now(w) + 60;
	n = dw_find(w, ask_reg(k, &a)->u.db_reg_ok.node);
	assert_int_equal(n->r.expiry, dw_now(w) + 60);
}

/* A tagged node does not expire, whatever its client asks for. */
static void
t_tagged_expiry(void **state)
{
	const char *key = ask_key(w, 0, true, false, 0, "tag:srv");
	struct ask_reg a = { .machine = 1, .key = 1, .auth = key };
	const struct msg *m;
	uint64_t id, seq;

	(void)state;
	a.expiry = dw_now(w) + 3600;
	m = ask_reg(k, &a);
	assert_int_equal(m->type, M_DB_REG_OK);
	id = m->u.db_reg_ok.node;
	assert_int_equal(dw_find(w, id)->r.user, 0);
	assert_int_equal(dw_find(w, id)->r.expiry, 0);
	/* Known, it asks once more; that changes nothing. */
	a.auth = NULL;
	a.expiry = dw_now(w) + 60;
	seq = ask_seq(w);
	m = ask_reg(k, &a);
	assert_int_equal(m->type, M_DB_REG_OK);
	assert_true(m->u.db_reg_ok.machine_ok);
	assert_false(m->u.db_reg_ok.key_expired);
	assert_int_equal(dw_find(w, id)->r.expiry, 0);
	assert_int_equal(ask_seq(w), seq);
	/* Renewed with another key of its own. */
	a.auth = key;
	a.old = 1;
	a.key = 2;
	m = ask_reg(k, &a);
	assert_int_equal(m->u.db_reg_ok.node, id);
	assert_int_equal(dw_find(w, id)->r.node_key[4], 2);
	assert_int_equal(dw_find(w, id)->r.expiry, 0);
	/* It may log out all the same. */
	a.expiry = ASK_PAST;
	assert_true(ask_reg(k, &a)->u.db_reg_ok.key_expired);
	assert_int_equal(dw_find(w, id)->r.expiry, dw_now(w));
}

/* Same machine: same owner, same node; another owner, another node. */
static void
t_same_machine(void **state)
{
	const char *ka = ask_key(w, alice, true, false, 0, NULL);
	const char *kb = ask_key(w, bob, true, false, 0, NULL);
	struct ask_reg a = { .machine = 1, .key = 2, .auth = ka,
	    .host = "one" };
	uint64_t first, second;

	(void)state;
	first = ask_join(k, 1, 1, ka, "one");
	assert_int_equal(ask_reg(k, &a)->u.db_reg_ok.node, first);
	/* Another profile of the machine: the first one stays as it is. */
	a.key = 3;
	a.auth = kb;
	second = ask_reg(k, &a)->u.db_reg_ok.node;
	assert_true(second != first);
	assert_int_equal(dw_find(w, second)->r.user, bob);
	assert_true(slice_eqs(dw_find(w, second)->r.name, "one-1"));
	assert_int_equal(dw_find(w, first)->r.expiry, 0);
	assert_false(ip_eq(&dw_find(w, first)->r.ip4, &dw_find(w,
	    second)->r.ip4));
	/* And back again. */
	a.key = 4;
	a.auth = ka;
	assert_int_equal(ask_reg(k, &a)->u.db_reg_ok.node, first);
	/* Re-authenticated as bob: alice's key has left the client. */
	a.old = 4;
	a.key = 5;
	a.auth = kb;
	assert_int_equal(ask_reg(k, &a)->u.db_reg_ok.node, second);
	assert_int_equal(dw_find(w, first)->r.expiry, dw_now(w));
	assert_int_equal(dw_find(w, second)->r.expiry, 0);
}

static void
t_tags(void **state)
{
	const char *key = ask_key(w, alice, true, false, 0, "tag:srv");
	struct ask_reg a = { .machine = 1, .key = 1, .auth = key,
	    .tag = "tag:srv" };
	const struct msg *m;
	struct msg_list tags;
	struct r_text t;
	struct node *n;

	(void)state;
	m = ask_reg(k, &a);
	assert_int_equal(m->type, M_DB_REG_OK);
	/* As maps say it. */
	assert_int_equal(m->u.db_reg_ok.user.id, (1ULL << 53) - 1);
	assert_true(slice_eqs(m->u.db_reg_ok.user.name, "tagged-devices"));
	assert_true(slice_eqs(m->u.db_reg_ok.user.display, "Tagged Devices"));
	n = dw_find(w, m->u.db_reg_ok.node);
	assert_int_equal(n->r.user, 0);
	assert_null(n->owner);
	tags = n->r.tags;
	assert_true(msg_list_next(&tags, MR_TEXT, &t));
	assert_true(slice_eqs(t.v, "tag:srv"));
	a.machine = a.key = 2;
	a.tag = "tag:db";
	assert_true(refused(&a, "requested tags [tag:db] are invalid "
	    "or not permitted"));
	a.auth = ask_key(w, alice, true, false, 0, NULL);
	assert_true(refused(&a, "requested tags [tag:db] are invalid "
	    "or not permitted"));
}

static void
t_ephemeral(void **state)
{
	const char *key = ask_key(w, alice, true, true, 0, NULL);
	struct ask_reg a = { .machine = 1, .key = 1, .auth = key,
	    .host = "eph" };
	struct r_node was;
	uint64_t id, next;

	(void)state;
	id = ask_reg(k, &a)->u.db_reg_ok.node;
	assert_true(dw_find(w, id)->r.ephemeral);
	was = dw_find(w, id)->r;
	/* Logged out it is gone, and its address rests for an hour. */
	a.expiry = ASK_PAST;
	assert_true(ask_reg(k, &a)->u.db_reg_ok.key_expired);
	assert_null(dw_find(w, id));
	a.expiry = 0;
	a.key = 2;
	next = ask_reg(k, &a)->u.db_reg_ok.node;
	assert_true(next != id);
	assert_false(ip_eq(&dw_find(w, next)->r.ip4, &was.ip4));
	/* The request's own wish. */
	a.machine = a.key = 3;
	a.auth = ask_key(w, alice, true, false, 0, NULL);
	a.ephemeral = true;
	assert_true(dw_find(w, ask_reg(k, &a)->u.db_reg_ok.node)->r.ephemeral);
}

static void
t_full(void **state)
{
	const char *key = ask_key(w, alice, true, false, 0, NULL);
	struct ask_reg a = { .machine = 3, .key = 3, .auth = key };
	char why[128];
	uint64_t id;

	(void)state;
	dw_conf(w)->max_nodes = 2;
	dw_reconf(w);
	id = ask_join(k, 1, 1, key, "one");
	(void)ask_join(k, 2, 2, key, "two");
	assert_int_equal(dw_counts(w)->registers, 2);
	assert_true(refused(&a, "the tailnet is full: it has 2 nodes"));
	assert_int_equal(dw_counts(w)->no_room, 1);
	assert_int_equal(dw_counts(w)->refused, 1);
	assert_int_equal(dw_counts(w)->registers, 2);
	assert_int_equal(op_node_delete(dw_dbd(w), id, 0, why, sizeof(why)),
	    0);
	assert_int_equal(ask_reg(k, &a)->type, M_DB_REG_OK);
}

static void
t_no_address(void **state)
{
	const char *key = ask_key(w, alice, false, false, 0, NULL);
	struct ask_reg a = { .machine = 2, .key = 2, .auth = key };

	(void)state;
	assert_true(prefix_parse(&dw_conf(w)->prefix4,
	    slice_str("100.64.0.0/31")));
	dw_reconf(w);
	(void)ask_join(k, 1, 1, ask_key(w, alice, true, false, 0, NULL),
	    "one");
	assert_true(refused(&a, "no free address is left in 100.64.0.0/31"));
	/* The refused one has burned nothing. */
	assert_true(prefix_parse(&dw_conf(w)->prefix4,
	    slice_str("100.64.0.0/24")));
	dw_reconf(w);
	assert_int_equal(ask_reg(k, &a)->type, M_DB_REG_OK);
}

/* Asked again after dbd died: the stored answer, no second node. */
static void
t_again(void **state)
{
	const char *key = ask_key(w, alice, false, false, 0, NULL);
	struct ask_reg a = { .machine = 1, .key = 1, .auth = key };
	struct buf b = { NULL, 0, 0 };
	struct msg m;
	uint32_t id;
	uint64_t node_id;

	(void)state;
	id = ask_reg_send(k, &a);
	dw_run(w);
	node_id = dw_reply(k, id)->u.db_reg_ok.node;
	dw_restart(w, false);
	dw_forget(k);
	dw_reconnect(k);
	dw_hello(k);
	ask_reg_msg(k, &a, &m, &b);
	dw_send_again(k, &m, id);
	dw_run(w);
	assert_int_equal(dw_reply(k, id)->type, M_DB_REG_OK);
	assert_int_equal(dw_reply(k, id)->u.db_reg_ok.node, node_id);
	assert_int_equal(dw_tailnet(w)->nnodes, 1);
	/* What was never done is done now. */
	a.machine = a.key = 2;
	a.auth = ask_key(w, alice, false, false, 0, NULL);
	buf_clear(&b);
	ask_reg_msg(k, &a, &m, &b);
	dw_send_again(k, &m, id + 100);
	dw_run(w);
	assert_int_equal(dw_reply(k, id + 100)->type, M_DB_REG_OK);
	assert_int_equal(dw_tailnet(w)->nnodes, 2);
	buf_free(&b);
}

/* Nothing is acknowledged that a crash can lose, nor half done. */
static void
t_crash(void **state)
{
	const char *key = ask_key(w, alice, true, false, 0, NULL);
	struct ask_reg a = { .machine = 1, .key = 1, .auth = key };
	struct buf b = { NULL, 0, 0 };
	struct msg m;
	uint64_t id;

	(void)state;
	id = ask_join(k, 9, 9, key, "nine");
	/* Handled, but the turn does not end. */
	ask_reg_msg(k, &a, &m, &b);
	m.id = 4000;
	dbd_db_msg(dw_dbd(w), dw_link(k), &m);
	assert_true(dbd_dirty(dw_dbd(w)));
	assert_int_equal(dw_tailnet(w)->nnodes, 2);
	dw_restart(w, false);
	assert_int_equal(dw_tailnet(w)->nnodes, 1);
	assert_non_null(dw_find(w, id));
	assert_false(dbd_dirty(dw_dbd(w)));
	buf_free(&b);
}

/* All that a registration left is there after a full restart. */
static void
t_restart(void **state)
{
	const char *key = ask_key(w, alice, true, false, 0, "tag:a");
	struct buf before = { NULL, 0, 0 }, after = { NULL, 0, 0 };
	struct ask_reg a = { .machine = 1, .key = 1, .auth = key };
	uint64_t id;

	(void)state;
	id = ask_reg(k, &a)->u.db_reg_ok.node;
	msg_rec_encode(&before, MR_NODE, &dw_find(w, id)->r);
	dw_restart(w, true);
	assert_non_null(dw_find(w, id));
	msg_rec_encode(&after, MR_NODE, &dw_find(w, id)->r);
	assert_int_equal(before.n, after.n);
	assert_memory_equal(before.p, after.p, after.n);
	assert_int_equal(dw_find(w, id)->nl_key[0], 'l');
	assert_int_equal(dw_find(w, id)->key_id, 1);
	assert_true(slice_eqs(user_find(dw_dbd(w), alice)->r.name, "alice"));
	buf_free(&before);
	buf_free(&after);
}

int
main(void)
{
#define T(f)	cmocka_unit_test_setup_teardown(f, setup, ask_teardown)
	const struct CMUnitTest tests[] = {
		T(t_new_node),
		T(t_known),
		T(t_no_login),
		T(t_bad_keys),
		T(t_single_use),
		T(t_burned_again),
		T(t_rotation),
		T(t_rotation_foreign),
		T(t_foreign_key),
		T(t_logout),
		T(t_renew_same_key),
		T(t_expiry_by_client),
		T(t_expiry_far),
		T(t_configured_expiry),
		T(t_tagged_expiry),
		T(t_same_machine),
		T(t_tags),
		T(t_ephemeral),
		T(t_full),
		T(t_no_address),
		T(t_again),
		T(t_crash),
		T(t_restart)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
