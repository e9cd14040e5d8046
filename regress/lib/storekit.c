#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include <sqlite3.h>

#include "common/log.h"
#include "regress/lib/storekit.h"

static const uint8_t boots[2][16] = { { 0xa1 }, { 0xb2 } };

static void
on_log(int level, const char *line, void *arg)
{
	(void)level;
	(void)strlcpy(arg, line, sizeof(((struct storekit *)0)->logged));
}

void
sk_open_as(struct storekit *f, unsigned int boot)
{
	char why[512] = "";

	f->s = store_open_sqlite(f->path, NULL, boots[boot], why, sizeof(why));
	if (f->s == NULL)
		fail_msg("%s", why);
}

void
sk_again(struct storekit *f)
{
	store_close(f->s);
	sk_open_as(f, 0);
}

int
sk_setup(void **state)
{
	struct storekit *f;

	f = xcalloc(1, sizeof(*f));
	(void)snprintf(f->dir, sizeof(f->dir), "/tmp/t_store.XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	(void)snprintf(f->path, sizeof(f->path), "%s/db", f->dir);
	log_capture(on_log, f->logged);
	sk_open_as(f, 0);
	*state = f;
	return 0;
}

int
sk_teardown(void **state)
{
	static const char *const name[] = { "db", "db-wal", "db-shm" };
	struct storekit *f = *state;
	char path[96];
	size_t i;

	store_close(f->s);
	for (i = 0; i < sizeof(name) / sizeof(name[0]); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", f->dir, name[i]);
		(void)unlink(path);
	}
	assert_int_equal(rmdir(f->dir), 0);
	buf_free(&f->got);
	free(f);
	log_capture(NULL, NULL);
	return 0;
}

/* Rows to write. */

void
sk_fill(uint8_t *p, size_t n, unsigned int seed)
{
	size_t i;

	for (i = 0; i < n; i++)
		p[i] = (uint8_t)(seed * 31 + i * 7 + 1);
}

struct tailnet_row
sk_tailnet(uint64_t id, const char *name)
{
	struct tailnet_row r;

	memset(&r, 0, sizeof(r));
	r.id = id;
	r.name = slice_str(name);
	r.stable_id = slice_str(name);
	r.seq = 7;
	sk_fill(r.batch, sizeof(r.batch), 3);
	r.created = 1700000000;
	return r;
}

struct user_row
sk_user(uint64_t id, const char *name)
{
	struct user_row r;

	memset(&r, 0, sizeof(r));
	r.tailnet = 1;
	r.user.id = id;
	r.user.name = slice_str(name);
	r.user.display = slice_str("J\xc3\xbcrgen");
	r.user.picture = slice_str("https://x.invalid/p");
	r.user.created = 1700000001;
	return r;
}

void
sk_add_text(struct msg_list *l, struct buf *b, struct slice s)
{
	struct r_text t = { s };

	msg_list_add(l, b, MR_TEXT, &t);
	msg_list_close(l, b);
}

void
sk_add_route(struct msg_list *l, struct buf *b, const char *text)
{
	struct r_route r;

	assert_true(prefix_parse(&r.v, slice_str(text)));
	msg_list_add(l, b, MR_ROUTE, &r);
	msg_list_close(l, b);
}

void
sk_add_endpoint(struct msg_list *l, struct buf *b, const char *text)
{
	struct r_addr a;

	assert_true(ipport_parse(&a.v, slice_str(text)));
	msg_list_add(l, b, MR_ADDR, &a);
	msg_list_close(l, b);
}

/* A node of user 1; lists empty. */
struct node_row
sk_node(uint64_t id, const char *name, const char *ip4)
{
	struct node_row r;

	memset(&r, 0, sizeof(r));
	r.tailnet = 1;
	r.node.id = id;
	r.node.stable_id = slice_str("n123CNTRL");
	r.node.user = 1;
	r.node.name = slice_str(name);
	sk_fill(r.node.node_key, KEY_LEN, (unsigned int)id);
	sk_fill(r.node.machine_key, KEY_LEN, 100);
	sk_fill(r.node.disco_key, KEY_LEN, 101);
	sk_fill(r.nl_key, KEY_LEN, 102);
	if (ip4 != NULL)
		assert_true(ip_parse(&r.node.ip4, slice_str(ip4)));
	r.node.created = 1700000002;
	r.node.expiry = -5;
	r.node.last_seen = 1700000003;
	r.node.capver = 140;
	r.node.home_derp = 901;
	r.key_id = 9;
	return r;
}

struct authkey_row
sk_authkey(uint64_t id, uint64_t owner)
{
	struct authkey_row r;

	memset(&r, 0, sizeof(r));
	r.tailnet = 1;
	r.id = id;
	sk_fill(r.hash, HASH_LEN, (unsigned int)id);
	r.prefix = slice_str("hskey-0a1b2c3d4e5f");
	r.user = owner;
	r.created = 1700000004;
	r.expiry = 1700003604;
	return r;
}

void
sk_base(struct storekit *f)
{
	struct tailnet_row t = sk_tailnet(1, "default");
	struct user_row u = sk_user(1, "alice");

	assert_int_equal(store_begin(f->s), 0);
	assert_int_equal(store_put_tailnet(f->s, &t), 0);
	assert_int_equal(store_put_user(f->s, &u), 0);
	assert_int_equal(store_commit(f->s), 0);
}

/* Rows read back. */

static int
count(struct storekit *f)
{
	return ++f->rows == f->stop_at ? -1 : 0;
}

int
sk_on_tailnet(const struct tailnet_row *r, void *arg)
{
	struct storekit *f = arg;

	buf_printf(&f->got, "%llu %.*s %.*s %llu %02x %d %lld;",
	    (unsigned long long)r->id, SLICE_FMT(r->name),
	    SLICE_FMT(r->stable_id), (unsigned long long)r->seq, r->batch[0],
	    r->policy, (long long)r->created);
	return count(f);
}

int
sk_on_user(const struct user_row *r, void *arg)
{
	struct storekit *f = arg;

	buf_printf(&f->got, "%llu/%llu ", (unsigned long long)r->tailnet,
	    (unsigned long long)r->user.id);
	msg_rec_encode(&f->got, MR_USER, &r->user);
	return count(f);
}

int
sk_on_node(const struct node_row *r, void *arg)
{
	struct storekit *f = arg;

	buf_printf(&f->got, "%llu %llu %d %d ", (unsigned long long)r->tailnet,
	    (unsigned long long)r->key_id, r->mapped, r->renamed);
	buf_put(&f->got, r->nl_key, KEY_LEN);
	msg_rec_encode(&f->got, MR_NODE, &r->node);
	return count(f);
}

int
sk_on_key(const struct authkey_row *r, void *arg)
{
	struct storekit *f = arg;
	struct msg_list it = r->tags;
	struct r_text tag;

	buf_printf(&f->got, "%llu %llu %02x %.*s %llu %d%d%d %u %llu %02x "
	    "%lld %lld", (unsigned long long)r->tailnet,
	    (unsigned long long)r->id, r->hash[31], SLICE_FMT(r->prefix),
	    (unsigned long long)r->user, r->reusable, r->ephemeral, r->revoked,
	    r->used, (unsigned long long)r->used_node, r->used_machine[0],
	    (long long)r->created, (long long)r->expiry);
	while (msg_list_next(&it, MR_TEXT, &tag))
		buf_printf(&f->got, " [%.*s]", SLICE_FMT(tag.v));
	buf_str(&f->got, ";");
	return count(f);
}

int
sk_on_rest(const struct rest_row *r, void *arg)
{
	struct storekit *f = arg;
	char a[IP_TEXT], b[IP_TEXT];

	(void)ip_print(a, &r->ip4);
	(void)ip_print(b, &r->ip6);
	buf_printf(&f->got, "%llu %s %s %lld;", (unsigned long long)r->tailnet,
	    a, b, (long long)r->until);
	return count(f);
}

int
sk_on_exposure(const struct exposure_row *r, void *arg)
{
	struct storekit *f = arg;

	buf_printf(&f->got, "%02x %u %llu %llu %llu %02x %lld %lld %d;",
	    r->boot[0], r->slot, (unsigned long long)r->generation,
	    (unsigned long long)r->tailnet, (unsigned long long)r->node,
	    r->node_key[0], (long long)r->first, (long long)r->last,
	    r->revoked);
	return count(f);
}

int
sk_on_row(const struct log_row *r, void *arg)
{
	struct storekit *f = arg;

	buf_printf(&f->got, "%llu %llu %02x %lld %.*s;",
	    (unsigned long long)r->tailnet, (unsigned long long)r->seq,
	    r->batch[15], (long long)r->at, SLICE_FMT(r->changes));
	return count(f);
}

int
sk_on_result(const struct result_row *r, void *arg)
{
	struct storekit *f = arg;

	buf_printf(&f->got, "%u %llu %u %u %d %.*s;", r->slot,
	    (unsigned long long)r->generation, r->request, r->type, r->secret,
	    SLICE_FMT(r->body));
	return count(f);
}

int
sk_on_policy(const struct policy_row *r, void *arg)
{
	struct storekit *f = arg;

	buf_printf(&f->got, "%llu %u %d %u %lld %.*s %.*s;",
	    (unsigned long long)r->tailnet, r->version, r->kind, r->uid,
	    (long long)r->at, SLICE_FMT(r->reason), SLICE_FMT(r->text));
	return count(f);
}

int
sk_on_audit(const struct audit_row *r, void *arg)
{
	struct storekit *f = arg;

	buf_printf(&f->got, "%llu %lld %u %s %llu %.*s;",
	    (unsigned long long)r->tailnet, (long long)r->at, r->uid, r->what,
	    (unsigned long long)r->target, SLICE_FMT(r->detail));
	return count(f);
}

/* What was read since the last call. */
const char *
sk_got(struct storekit *f)
{
	static char text[4096];

	assert_true(f->got.n < sizeof(text));
	memcpy(text, f->got.p == NULL ? (const uint8_t *)"" : f->got.p,
	    f->got.n);
	text[f->got.n] = '\0';
	buf_clear(&f->got);
	f->rows = 0;
	return text;
}

unsigned int
sk_nodes_left(struct storekit *f)
{
	int n;

	f->rows = 0;
	assert_int_equal(store_load_nodes(f->s, sk_on_node, f), 0);
	n = f->rows;
	(void)sk_got(f);
	return (unsigned int)n;
}

/* True if the one node that is loaded is the same in every field. */
bool
sk_same_node(struct storekit *f, const struct node_row *r)
{
	struct buf want = { 0 };
	bool same;

	buf_clear(&f->got);
	assert_int_equal(sk_on_node(r, f), 0);
	buf_put(&want, f->got.p, f->got.n);
	buf_clear(&f->got);
	assert_int_equal(store_load_nodes(f->s, sk_on_node, f), 0);
	same = want.n == f->got.n && memcmp(want.p, f->got.p, want.n) == 0;
	buf_clear(&f->got);
	buf_free(&want);
	return same;
}

/* Reads one number with a connection of its own. */
long long
sk_ask(struct storekit *f, const char *sql)
{
	sqlite3 *db;
	sqlite3_stmt *st;
	long long n = -1;

	assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &st, NULL),
	    SQLITE_OK);
	if (sqlite3_step(st) == SQLITE_ROW)
		n = sqlite3_column_int64(st, 0);
	(void)sqlite3_finalize(st);
	(void)sqlite3_close(db);
	return n;
}

void
sk_poke(struct storekit *f, const char *sql)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(f->path, &db), SQLITE_OK);
	if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
		fail_msg("%s: %s", sql, sqlite3_errmsg(db));
	(void)sqlite3_close(db);
}
