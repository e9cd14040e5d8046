/* Which files the store opens, brings forward or refuses; failing disks. */

#include <sys/stat.h>

#include <fcntl.h>
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

#include "common/buf.h"
#include "common/ids.h"
#include "common/log.h"
#include "dbd/schema.h"
#include "dbd/store.h"
#include "regress/lib/faultfs.h"
#include "regress/lib/quiet.h"

#define SCHEMA_SQL	"SELECT group_concat(sql, ';') FROM (SELECT sql FROM" \
	" sqlite_schema WHERE sql IS NOT NULL ORDER BY type, name)"

static const uint8_t boot[16] = { 0xa1 };
static struct faultfs *disk;

struct fix {
	char	dir[64];
	char	path[80];
	char	copy[96];
	char	why[1024];
};

static int
group_setup(void **state)
{
	(void)state;
	disk = faultfs_new();
	return disk == NULL ? -1 : 0;
}

static int
setup(void **state)
{
	struct fix *f;

	f = xcalloc(1, sizeof(*f));
	(void)snprintf(f->dir, sizeof(f->dir), "/tmp/t_schema.XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	(void)snprintf(f->path, sizeof(f->path), "%s/db", f->dir);
	(void)snprintf(f->copy, sizeof(f->copy), "%s.v%d", f->path,
	    STORE_VERSION);
	disk->fail_at = 0;
	disk->readonly = false;
	quiet_log();
	*state = f;
	return 0;
}

static void
clear(struct fix *f)
{
	static const char *const name[] = { "db", "db-wal", "db-shm",
	    "db-journal", "db.v1", "db.v1-wal", "db.v1-shm", "db.v1-journal",
	    "db.v2", "db.v2-wal", "db.v2-shm", "db.v2-journal", "db.v3",
	    "db.v3-wal", "db.v3-shm", "db.v3-journal", "db.v4",
	    "db.v4-wal", "db.v4-shm", "db.v4-journal", "db.v5",
	    "db.v5-wal", "db.v5-shm", "db.v5-journal" };
	char path[96];
	size_t i;

	for (i = 0; i < sizeof(name) / sizeof(name[0]); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", f->dir, name[i]);
		(void)unlink(path);
		(void)rmdir(path);
	}
}

static int
teardown(void **state)
{
	struct fix *f = *state;

	clear(f);
	assert_int_equal(rmdir(f->dir), 0);
	free(f);
	log_capture(NULL, NULL);
	return 0;
}

static struct store *
try(struct fix *f, const char *vfs)
{
	f->why[0] = '\0';
	return store_open_sqlite(f->path, vfs, boot, f->why, sizeof(f->why));
}

static void
make(struct fix *f)
{
	struct store *s;

	if ((s = try(f, NULL)) == NULL)
		fail_msg("%s", f->why);
	store_close(s);
}

static sqlite3 *
raw(const char *path)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	return db;
}

static void
run(const char *path, const char *sql)
{
	sqlite3 *db = raw(path);

	if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK)
		fail_msg("%s", sqlite3_errmsg(db));
	(void)sqlite3_close(db);
}

/* One text, which the caller frees. */
static char *
ask(const char *path, const char *sql)
{
	sqlite3 *db = raw(path);
	sqlite3_stmt *st;
	char *text;

	if (sqlite3_prepare_v2(db, sql, -1, &st, NULL) != SQLITE_OK)
		fail_msg("%s", sqlite3_errmsg(db));
	assert_int_equal(sqlite3_step(st), SQLITE_ROW);
	text = xstrdup((const char *)sqlite3_column_text(st, 0));
	(void)sqlite3_finalize(st);
	(void)sqlite3_close(db);
	return text;
}

static void
answer(const char *path, const char *sql, const char *want)
{
	char *text = ask(path, sql);

	assert_string_equal(text, want);
	free(text);
}

static void
slurp(const char *path, struct buf *b)
{
	FILE *fp;
	size_t n;

	buf_clear(b);
	assert_non_null(fp = fopen(path, "rb"));
	do {
		n = fread(buf_room(b, 65536), 1, 65536, fp);
		b->n += n;
	} while (n > 0);
	(void)fclose(fp);
}

static void
spill(const char *path, const void *p, size_t n)
{
	FILE *fp;

	assert_non_null(fp = fopen(path, "wb"));
	assert_int_equal(fwrite(p, 1, n, fp), n);
	(void)fclose(fp);
}

/* Refused, with this in the text, and not one octet of it changed. */
static void
refused(struct fix *f, const char *text)
{
	struct buf before = { 0 }, after = { 0 };

	slurp(f->path, &before);
	assert_null(try(f, NULL));
	if (strstr(f->why, text) == NULL)
		fail_msg("\"%s\" is not in \"%s\"", text, f->why);
	assert_non_null(strstr(f->why, f->path));
	slurp(f->path, &after);
	assert_int_equal(before.n, after.n);
	assert_memory_equal(before.p, after.p, before.n);
	buf_free(&before);
	buf_free(&after);
}

/* Tests. */

static void
test_fresh(void **state)
{
	struct fix *f = *state;
	struct stat st;
	char want[16];

	make(f);
	assert_int_equal(stat(f->path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	(void)snprintf(want, sizeof(want), "%d", STORE_VERSION);
	answer(f->path, "SELECT max(version) FROM schema", want);
	answer(f->path, "SELECT count(*) FROM schema WHERE at > 1700000000"
	    " AND program LIKE 'headscaled-dbd %'", want);
	answer(f->path, "PRAGMA application_id", "1752392802");
	answer(f->path, "PRAGMA journal_mode", "wal");
	/* STRICT, and bound to a tailnet, but for those of the server. */
	answer(f->path, "SELECT group_concat(name) FROM (SELECT name FROM"
	    " pragma_table_list WHERE schema = 'main' AND name NOT LIKE"
	    " 'sqlite%' AND (strict = 0 OR name NOT IN (SELECT m.name FROM"
	    " sqlite_schema m, pragma_table_info(m.name) c WHERE c.name ="
	    " 'tailnet_id')) ORDER BY name)",
	    "boot,cert,counters,fetched,results,schema");
	make(f);		/* and again */
	answer(f->path, "SELECT count(*) FROM schema", want);
	assert_int_equal(access(f->copy, F_OK), -1);
}

/*
 * A dump of each version is kept.  It must open, with its rows, and have the
 * shape that a new file has: a version that was written once never changes.
 */
static void
from_dump(struct fix *f, int version)
{
	struct buf sql = { 0 };
	char name[64], *have, *want;

	clear(f);
	make(f);
	want = ask(f->path, SCHEMA_SQL);
	clear(f);
	(void)snprintf(name, sizeof(name), "regress/schema/v%d.sql", version);
	slurp(name, &sql);
	buf_u8(&sql, 0);
	run(f->path, (const char *)sql.p);
	make(f);
	have = ask(f->path, SCHEMA_SQL);
	assert_string_equal(have, want);
	free(have);
	free(want);
	buf_free(&sql);
}

struct seen {
	int	rows;
	bool	right;
};

static int
dump_tailnet(const struct tailnet_row *r, void *arg)
{
	struct seen *seen = arg;

	seen->rows++;
	seen->right = slice_eqs(r->name, "default") && r->seq == 42 &&
	    r->policy == POLICY_ALLOW_ALL;
	return 0;
}

static int
dump_user(const struct user_row *r, void *arg)
{
	struct seen *seen = arg;

	seen->rows++;
	seen->right = slice_eqs(r->user.name, "alice") && r->tailnet == 1;
	return 0;
}

static int
dump_node(const struct node_row *r, void *arg)
{
	struct seen *seen = arg;
	const struct r_hostinfo *hi = &r->node.hostinfo;
	struct msg_list it = hi->routes;
	struct r_route route;
	struct prefix want;

	seen->rows++;
	assert_true(prefix_parse(&want, slice_str("10.9.0.0/16")));
	seen->right = slice_eqs(r->node.name, "laptop") &&
	    r->node.node_key[0] == 0x11 && r->node.ip4.b[3] == 9 &&
	    r->node.endpoints.count == 2 && r->node.approved.count == 1 &&
	    slice_eqs(hi->os, "linux") && slice_eqs(hi->hostname, "Laptop") &&
	    hi->desktop == 2 && hi->services.count == 1 &&
	    msg_list_next(&it, MR_ROUTE, &route) &&
	    prefix_eq(&route.v, &want) && r->renamed && r->mapped;
	return 0;
}

static int
dump_key(const struct authkey_row *r, void *arg)
{
	struct seen *seen = arg;

	seen->rows++;
	seen->right = r->reusable && r->used == 3 && r->tags.count == 2;
	return 0;
}

static void
test_dump(struct fix *f, int version)
{
	struct seen seen;
	struct store *s;

	from_dump(f, version);
	assert_non_null(s = try(f, NULL));
#define LOADS(what)	memset(&seen, 0, sizeof(seen)); \
	assert_int_equal(store_load_##what##s(s, dump_##what, &seen), 0); \
	assert_int_equal(seen.rows, 1); \
	assert_true(seen.right)
	LOADS(tailnet);
	LOADS(user);
	LOADS(node);
	memset(&seen, 0, sizeof(seen));
	assert_int_equal(store_load_authkeys(s, dump_key, &seen), 0);
	assert_true(seen.rows == 1 && seen.right);
	assert_int_equal(store_begin(s), 0);
	assert_int_equal(store_next_id(s, STORE_ID_NODE), 6);
	assert_int_equal(store_commit(s), 0);
	store_close(s);
}

static void
test_dump_v1(void **state)
{
	struct fix *f = *state;

	test_dump(f, 1);
	/* Brought forward, and the file as it was lies beside it. */
	answer(f->path, "SELECT count(*) FROM boot", "1");
	(void)snprintf(f->copy, sizeof(f->copy), "%s.v1", f->path);
	answer(f->copy, "SELECT max(version) FROM schema", "1");
	answer(f->copy, "SELECT name FROM users", "alice");
}

static void
test_dump_v2(void **state)
{
	struct fix *f = *state;

	test_dump(f, 2);
	answer(f->path, "SELECT count(*) FROM boot", "1");
	assert_int_equal(access(f->copy, F_OK), -1);
}

/* Roles, elections and compiled policies are kept from here on. */
static int
dump_role(const struct user_row *r, void *arg)
{
	*(uint8_t *)arg = r->user.role;
	return 0;
}

static int
dump_primary(const struct node_row *r, void *arg)
{
	*(uint8_t *)arg = (uint8_t)r->node.primary.count;
	return 0;
}

static void
test_dump_v3(void **state)
{
	struct fix *f = *state;
	struct store *s;
	uint8_t n = 0;

	test_dump(f, 3);
	assert_non_null(s = try(f, NULL));
	assert_int_equal(store_load_users(s, dump_role, &n), 0);
	assert_int_equal(n, USER_OWNER);
	assert_int_equal(store_load_nodes(s, dump_primary, &n), 0);
	assert_int_equal(n, 1);
	store_close(s);
	/* Nobody has a role, nothing is elected, in what came before. */
	from_dump(f, 2);
	assert_non_null(s = try(f, NULL));
	assert_int_equal(store_load_users(s, dump_role, &n), 0);
	assert_int_equal(n, USER_MEMBER);
	assert_int_equal(store_load_nodes(s, dump_primary, &n), 0);
	assert_int_equal(n, 0);
	store_close(s);
}

static int
dump_refused(const struct node_row *r, void *arg)
{
	struct msg_list it = r->refused;
	struct r_route route;
	char *text = arg;

	*text = '\0';
	while (msg_list_next(&it, MR_ROUTE, &route)) {
		(void)strlcat(text, *text == '\0' ? "" : " ", 64);
		(void)prefix_print(text + strlen(text), &route.v);
	}
	return 0;
}

/* What an administrator took back is kept from here on. */
static void
test_dump_v4(void **state)
{
	struct fix *f = *state;
	char text[128];
	struct store *s;

	test_dump(f, 4);
	assert_non_null(s = try(f, NULL));
	assert_int_equal(store_load_nodes(s, dump_refused, text), 0);
	assert_string_equal(text, "::/0");
	store_close(s);
	/* What waited in what came before goes on waiting. */
	from_dump(f, 3);
	answer(f->path, "SELECT group_concat(prefix) FROM routes WHERE"
	    " refused = 1", "0.0.0.0/0");
	answer(f->path, "SELECT group_concat(prefix) FROM routes WHERE"
	    " refused = 0", "10.9.0.0/16");
	assert_non_null(s = try(f, NULL));
	assert_int_equal(store_load_nodes(s, dump_refused, text), 0);
	assert_string_equal(text, "0.0.0.0/0");
	store_close(s);
}

static int
dump_fetched(const struct fetched_row *r, void *arg)
{
	(void)snprintf(arg, 128, "%.*s %zu %lld", SLICE_FMT(r->url),
	    r->body.n, (long long)r->at);
	return 0;
}

static int
dump_cert(const struct cert_row *r, void *arg)
{
	struct msg_list it = r->names;
	struct r_text t;
	char *text = arg;

	(void)snprintf(text, 256, "%.*s %.*s %zu %lld %lld %u %lld %.*s",
	    SLICE_FMT(r->directory), SLICE_FMT(r->account), r->chain.n,
	    (long long)r->not_before, (long long)r->not_after, r->failed,
	    (long long)r->retry, SLICE_FMT(r->why));
	while (msg_list_next(&it, MR_TEXT, &t))
		(void)snprintf(text + strlen(text), 256 - strlen(text),
		    " %.*s", SLICE_FMT(t.v));
	return 0;
}

/* What was fetched is kept from here on. */
static void
test_dump_v5(void **state)
{
	struct fix *f = *state;
	char text[256] = "";
	struct store *s;

	test_dump(f, 5);
	assert_non_null(s = try(f, NULL));
	assert_int_equal(store_load_fetched(s, dump_fetched, text), 0);
	assert_string_equal(text, "https://derp.example/map.json 2 "
	    "1790000005");
	assert_int_equal(store_find_cert(s, dump_cert, text), 1);
	assert_string_equal(text, "https://acme.example/dir "
	    "https://acme.example/acct/1 2 1790000000 1797776000 2 1790000600 "
	    "no such name hs.example.org derp.example.org");
	store_close(s);
	/* Nothing was fetched in what came before. */
	from_dump(f, 4);
	assert_non_null(s = try(f, NULL));
	text[0] = '\0';
	assert_int_equal(store_load_fetched(s, dump_fetched, text), 0);
	assert_string_equal(text, "");
	assert_int_equal(store_find_cert(s, dump_cert, text), 0);
	store_close(s);
}

static void
test_newer(void **state)
{
	struct fix *f = *state;
	char text[64];

	make(f);
	(void)snprintf(text, sizeof(text), "INSERT INTO schema VALUES (%d, 0,"
	    " 'headscaled-dbd 9.9')", STORE_VERSION + 1);
	run(f->path, text);
	(void)snprintf(text, sizeof(text), "schema version %d",
	    STORE_VERSION + 1);
	refused(f, text);
	(void)snprintf(text, sizeof(text), "versions up to %d", STORE_VERSION);
	refused(f, text);
	refused(f, "headscaled-dbd 9.9");
	refused(f, "move the file aside and put the copy");
}

static void
test_not_ours(void **state)
{
	struct fix *f = *state;
	struct buf b = { 0 };

	run(f->path, "CREATE TABLE machines (id)");
	refused(f, "not one of headscaled");
	clear(f);
	/* Ours by name, but without its versions. */
	run(f->path, "PRAGMA application_id = 1752392802;"
	    " CREATE TABLE nodes (id)");
	refused(f, "no schema version");
	clear(f);
	spill(f->path, "dear diary, this is no database at all\n", 39);
	refused(f, "not a database");
	buf_room(&b, 8192);
	memset(b.p, 0x5a, 8192);
	spill(f->path, b.p, 8192);
	refused(f, "not a database");
	buf_free(&b);
}

static void
test_damaged(void **state)
{
	struct fix *f = *state;
	struct buf b = { 0 };

	from_dump(f, 1);
	slurp(f->path, &b);
	assert_true(b.n > 20 * 4096);
	memset(b.p + 8 * 4096, 0x77, 2048);
	spill(f->path, b.p, b.n);
	refused(f, "damaged");
	/* Cut short: as after a copy that broke off. */
	from_dump(f, 1);
	slurp(f->path, &b);
	spill(f->path, b.p, b.n / 2);
	assert_null(try(f, NULL));
	if (strstr(f->why, "malformed") == NULL)
		fail_msg("%s", f->why);
	buf_free(&b);
}

static void
test_no_access(void **state)
{
	struct fix *f = *state;
	char path[80];

	(void)strlcpy(path, f->path, sizeof(path));
	(void)snprintf(f->path, sizeof(f->path), "%s/none/db", f->dir);
	assert_null(try(f, NULL));
	assert_non_null(strstr(f->why, "cannot be made: No such file"));
	(void)strlcpy(f->path, path, sizeof(f->path));
	assert_int_equal(mkdir(f->path, 0700), 0);
	assert_null(try(f, NULL));
	assert_non_null(strstr(f->why, "cannot be opened"));
	clear(f);
	make(f);
	disk->readonly = true;
	assert_null(try(f, FAULTFS));
	if (strstr(f->why, "not writable for uid") == NULL)
		fail_msg("%s", f->why);
	assert_null(store_open_sqlite(f->path, "no-such-vfs", boot, f->why,
	    sizeof(f->why)));
	assert_non_null(strstr(f->why, "no-such-vfs"));
}

/* Migrations: to the version after the newest one. */

static const char next_step[] = "ALTER TABLE users ADD COLUMN mail TEXT;"
    "UPDATE users SET mail = name || '@x.invalid';";

static int
migrate(struct fix *f, const char *sql, const char *vfs)
{
	struct schema_step steps[STORE_VERSION + 1];
	struct schema_conf conf;
	unsigned int n;
	sqlite3 *db;
	int rc;

	memcpy(steps, schema_steps(&n), STORE_VERSION * sizeof(steps[0]));
	steps[STORE_VERSION].to = STORE_VERSION + 1;
	steps[STORE_VERSION].sql = sql;
	memset(&conf, 0, sizeof(conf));
	conf.path = f->path;
	conf.vfs = vfs;
	conf.steps = steps;
	conf.nsteps = STORE_VERSION + 1;
	conf.why = f->why;
	conf.whylen = sizeof(f->why);
	assert_int_equal(sqlite3_open_v2(f->path, &db, SQLITE_OPEN_READWRITE,
	    vfs), SQLITE_OK);
	if (vfs != NULL)
		assert_int_equal(sqlite3_exec(db, "PRAGMA locking_mode ="
		    " EXCLUSIVE", NULL, NULL, NULL), SQLITE_OK);
	rc = schema_version(db, &conf);
	if (rc >= 0)
		rc = schema_migrate(db, (uint32_t)rc, &conf);
	(void)sqlite3_close(db);
	return rc;
}

static void
test_migration(void **state)
{
	struct fix *f = *state;

	from_dump(f, STORE_VERSION);
	assert_int_equal(migrate(f, next_step, NULL), 0);
	answer(f->path, "SELECT group_concat(version) FROM schema",
	    "1,2,3,4,5,6");
	answer(f->path, "SELECT mail FROM users", "alice@x.invalid");
	answer(f->copy, "SELECT group_concat(version) FROM schema",
	    "1,2,3,4,5");
	answer(f->copy, "SELECT name FROM users", "alice");
	/* Nothing left to do. */
	assert_int_equal(unlink(f->copy), 0);
	assert_int_equal(migrate(f, next_step, NULL), 0);
	assert_int_equal(access(f->copy, F_OK), -1);
	/* And this program, which does not know it, refuses it. */
	refused(f, "schema version 6");
}

static void
test_migration_fails(void **state)
{
	struct fix *f = *state;

	from_dump(f, STORE_VERSION);
	spill(f->copy, "left from an earlier try", 24);
	assert_int_equal(migrate(f, "UPDATE users SET name = 'x';"
	    "CREATE TABLE extra (id); INSERT INTO nowhere VALUES (1);", NULL),
	    -1);
	assert_non_null(strstr(f->why, "from schema version 5 to 6"));
	assert_non_null(strstr(f->why, "no such table: nowhere"));
	assert_non_null(strstr(f->why, "still has version 5"));
	assert_non_null(strstr(f->why, f->copy));
	answer(f->path, "SELECT max(version) FROM schema", "5");
	answer(f->path, "SELECT name FROM users", "alice");
	answer(f->path, "SELECT count(*) FROM sqlite_schema WHERE name ="
	    " 'extra'", "0");
	answer(f->copy, "SELECT name FROM users", "alice");
	make(f);		/* the old program goes on with it */
	assert_int_equal(migrate(f, next_step, NULL), 0);
	answer(f->path, "SELECT mail FROM users", "alice@x.invalid");
}

static void
test_no_copy_no_migration(void **state)
{
	struct fix *f = *state;

	from_dump(f, STORE_VERSION);
	assert_int_equal(mkdir(f->copy, 0700), 0);
	assert_int_equal(migrate(f, next_step, NULL), -1);
	assert_non_null(strstr(f->why, "cannot copy it to"));
	assert_non_null(strstr(f->why, "as it was"));
	answer(f->path, "SELECT max(version) FROM schema", "5");
}

static void
test_damaged_is_not_migrated(void **state)
{
	struct fix *f = *state;
	struct buf b = { 0 };

	from_dump(f, STORE_VERSION);
	slurp(f->path, &b);
	memset(b.p + 8 * 4096, 0x77, 2048);
	spill(f->path, b.p, b.n);
	assert_int_equal(migrate(f, next_step, NULL), -1);
	assert_non_null(strstr(f->why, "damaged"));
	assert_int_equal(access(f->copy, F_OK), -1);
	buf_free(&b);
}

/* The disk gives up at each place in turn; nothing is ever half done. */
static void
test_migration_on_failing_disk(void **state)
{
	struct fix *f = *state;
	unsigned int k, failed = 0;
	char *version, *mail;
	int rc;

	for (k = 1; ; k++) {
		from_dump(f, STORE_VERSION);
		disk->ops = 0;
		disk->with = k % 2 == 0 ? SQLITE_FULL : SQLITE_IOERR;
		disk->stay = k % 3 == 0;
		disk->fail_at = k;
		rc = migrate(f, next_step, FAULTFS);
		disk->fail_at = 0;
		version = ask(f->path, "SELECT max(version) FROM schema");
		mail = ask(f->path, "SELECT count(*) FROM pragma_table_info("
		    "'users') WHERE name = 'mail'");
		assert_string_equal(mail, strcmp(version, "6") == 0 ? "1" :
		    "0");
		if (rc == 0)
			assert_string_equal(version, "6");
		else
			failed++;
		answer(f->path, "PRAGMA integrity_check", "ok");
		answer(f->path, "SELECT name FROM users", "alice");
		free(version);
		free(mail);
		clear(f);
		if (disk->ops < k)
			break;
	}
	assert_true(failed > 10);
}

/* One batch on the store; true if it was acknowledged. */
static bool
batch(struct store *s, const char *name)
{
	struct user_row u;

	memset(&u, 0, sizeof(u));
	u.tailnet = 1;
	u.user.id = 2;
	u.user.name = slice_str(name);
	if (store_begin(s) == -1)
		return false;
	if (store_savepoint(s) == -1 || store_put_user(s, &u) == -1 ||
	    store_release(s) == -1) {
		(void)store_undo(s);
		/* Its own transaction must not come of it. */
		(void)store_put_user(s, &u);
		assert_int_equal(store_commit(s), -1);
		return false;
	}
	return store_commit(s) == 0;
}

static void
test_commit_on_failing_disk(void **state)
{
	struct fix *f = *state;
	unsigned int k, failed = 0;
	char *name;
	struct store *s;
	bool acked;

	for (k = 1; ; k++) {
		from_dump(f, 1);
		if ((s = try(f, FAULTFS)) == NULL)
			fail_msg("%s", f->why);
		assert_true(batch(s, "before"));
		disk->ops = 0;
		disk->with = k % 2 == 0 ? SQLITE_FULL : SQLITE_IOERR;
		disk->stay = k % 3 != 0;
		disk->fail_at = k;
		acked = batch(s, "after");
		if (!acked) {
			failed++;
			/* Not again: the caller ends now. */
			assert_int_equal(store_begin(s), -1);
		}
		store_abandon(s);
		disk->fail_at = 0;
		assert_non_null(s = try(f, NULL));
		store_close(s);
		name = ask(f->path, "SELECT name FROM users WHERE id = 2");
		if (acked)
			assert_string_equal(name, "after");
		else
			assert_true(strcmp(name, "before") == 0 ||
			    strcmp(name, "after") == 0);
		answer(f->path, "SELECT name FROM users WHERE id = 1",
		    "alice");
		answer(f->path, "PRAGMA integrity_check", "ok");
		free(name);
		clear(f);
		if (disk->ops < k)
			break;
	}
	assert_true(failed > 1);
}

/* Making a new file on a disk that is full: refused, and no half of it. */
static void
test_fresh_on_full_disk(void **state)
{
	struct fix *f = *state;
	struct store *s;
	unsigned int k, failed = 0;

	for (k = 1; k < 200; k++) {
		disk->ops = 0;
		disk->with = SQLITE_FULL;
		disk->stay = true;
		disk->fail_at = k;
		s = try(f, FAULTFS);
		if (s == NULL) {
			failed++;
			assert_true(f->why[0] != '\0');
		}
		disk->fail_at = 0;
		store_abandon(s);
		make(f);
		clear(f);
		if (s != NULL)
			break;
	}
	assert_true(failed > 5 && k < 200);
}

int
main(void)
{
#define T(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_fresh), T(test_dump_v1), T(test_dump_v2),
		T(test_dump_v3), T(test_dump_v4),
		T(test_dump_v5),
		T(test_newer),
		T(test_not_ours), T(test_damaged), T(test_no_access),
		T(test_migration), T(test_migration_fails),
		T(test_no_copy_no_migration), T(test_damaged_is_not_migrated),
		T(test_migration_on_failing_disk),
		T(test_commit_on_failing_disk), T(test_fresh_on_full_disk),
	};

	return cmocka_run_group_tests(tests, group_setup, NULL);
}
