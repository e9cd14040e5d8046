#include <sys/stat.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "dbd/schema.h"
#include "dbd/store_sqlite_int.h"

#define ROW_MAX		(128 * 1024 * 1024)	/* octets of one value */
#define CHECK_MAX	(64LL * 1024 * 1024)	/* file looked through */
#define BUSY_MS		2000

static const char *const counter[STORE_ID_MAX] = {
	[STORE_ID_TAILNET] = "tailnet",
	[STORE_ID_USER] = "user",
	[STORE_ID_NODE] = "node",
	[STORE_ID_AUTHKEY] = "authkey",
};

/* SQLite gives new files the mode of the database: make that 0600. */
static int
make_file(const char *path, char *why, size_t whylen)
{
	int fd;

	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd != -1) {
		(void)close(fd);
		return 0;
	}
	if (errno == EEXIST)
		return 0;
	(void)snprintf(why, whylen, "%s: cannot be made: %s", path,
	    strerror(errno));
	return -1;
}

static int
say(struct store *s, char *why, size_t whylen, const char *what)
{
	(void)snprintf(why, whylen, "%s: %s: %s", s->path, what,
	    sqlite3_errmsg(s->db));
	return -1;
}

static int
exec(struct store *s, const char *sql)
{
	return sqlite3_exec(s->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 :
	    -1;
}

/* True if the pragma answers with this text. */
static bool
pragma_is(struct store *s, const char *sql, const char *want)
{
	sqlite3_stmt *st;
	const unsigned char *got;
	bool is;

	if (sqlite3_prepare_v2(s->db, sql, -1, &st, NULL) != SQLITE_OK)
		return false;
	is = sqlite3_step(st) == SQLITE_ROW &&
	    (got = sqlite3_column_text(st, 0)) != NULL &&
	    strcmp((const char *)got, want) == 0;
	return sqlite3_finalize(st) == SQLITE_OK && is;
}

/* What does not touch the file. */
static void
set_limits(sqlite3 *db)
{
	(void)sqlite3_limit(db, SQLITE_LIMIT_LENGTH, ROW_MAX);
	(void)sqlite3_limit(db, SQLITE_LIMIT_ATTACHED, 0);
	(void)sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	(void)sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	(void)sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_FKEY, 1, NULL);
	(void)sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_VIEW, 0, NULL);
	(void)sqlite3_busy_timeout(db, BUSY_MS);
}

/*
 * On a file system without shared memory a write-ahead log is had only when
 * nobody else looks at the database, and that must be said before all else.
 */
static int
set_locking(struct store *s)
{
	sqlite3_file *file = NULL;

	if (sqlite3_file_control(s->db, "main", SQLITE_FCNTL_FILE_POINTER,
	    &file) == SQLITE_OK && file != NULL && file->pMethods != NULL &&
	    file->pMethods->iVersion >= 2 && file->pMethods->xShmMap != NULL)
		return 0;
	return exec(s, "PRAGMA locking_mode = EXCLUSIVE");
}

static int
set_wal(struct store *s, char *why, size_t whylen)
{
	if (!pragma_is(s, "PRAGMA journal_mode = WAL", "wal"))
		return say(s, why, whylen, "cannot have a write-ahead log");
	if (exec(s, "PRAGMA synchronous = FULL; PRAGMA temp_store = MEMORY;"
	    " PRAGMA cell_size_check = ON;"
	    " PRAGMA journal_size_limit = 67108864") == -1)
		return say(s, why, whylen, "cannot be set up");
	return 0;
}

/* Looks for damage where that takes a moment only. */
static int
check_small(struct store *s, const struct schema_conf *conf)
{
	sqlite3_stmt *st;
	int64_t octets = 0;

	if (sqlite3_prepare_v2(s->db, "SELECT page_count * page_size FROM "
	    "pragma_page_count, pragma_page_size", -1, &st, NULL) !=
	    SQLITE_OK)
		return schema_check(s->db, conf);
	if (sqlite3_step(st) == SQLITE_ROW)
		octets = sqlite3_column_int64(st, 0);
	(void)sqlite3_finalize(st);
	return octets > CHECK_MAX ? 0 : schema_check(s->db, conf);
}

static int
bring_forward(struct store *s, const char *vfs, char *why, size_t whylen)
{
	struct schema_conf conf;
	int version;

	memset(&conf, 0, sizeof(conf));
	conf.path = s->path;
	conf.vfs = vfs;
	conf.steps = schema_steps(&conf.nsteps);
	conf.why = why;
	conf.whylen = whylen;
	if ((version = schema_version(s->db, &conf)) == -1)
		return -1;
	/* Only now: a file that is not ours must stay as it is. */
	if (set_wal(s, why, whylen) == -1 ||
	    (version > 0 && check_small(s, &conf) == -1))
		return -1;
	return schema_migrate(s->db, (uint32_t)version, &conf);
}

/* Counters are kept in memory: what was undone is not given again. */
static int
load_counters(struct store *s)
{
	struct query q;
	int i, rc;

	for (i = 0; i < STORE_ID_MAX; i++) {
		q_init(&q, s, ST_COUNTER_GET, "load counters",
		    "SELECT next FROM counters WHERE name = ?");
		q_text(&q, slice_str(counter[i]));
		if ((rc = q_row(&q)) == 1)
			s->next[i] = q_get_id(&q);
		if (q_end(&q, rc == 1 ? 0 : -1) == -1 || s->next[i] == 0)
			return -1;
	}
	return 0;
}

static int
look_up_boot(struct store *s)
{
	struct query q;
	int rc;

	q_init(&q, s, ST_BOOT_GET, "look up boot",
	    "SELECT 1 FROM boot WHERE boot = ?");
	q_blob(&q, s->boot, sizeof(s->boot));
	if ((rc = q_end(&q, q_row(&q))) == -1)
		return -1;
	s->same_boot = rc == 1;
	return 0;
}

static int
keep_boot(struct store *s)
{
	struct query q;

	q_init(&q, s, ST_BOOT_SET, "keep boot",
	    "INSERT OR REPLACE INTO boot (one, boot) VALUES (1, ?)");
	q_blob(&q, s->boot, sizeof(s->boot));
	return q_write(&q);
}

static int
forget_results(struct store *s)
{
	struct query q;

	q_init(&q, s, ST_FORGET_BOOTS, "forget results",
	    "DELETE FROM results WHERE boot <> ?");
	q_blob(&q, s->boot, sizeof(s->boot));
	return q_write(&q);
}

static int
begin_boot(struct store *s)
{
	if (store_begin(s) == -1)
		return -1;
	if (look_up_boot(s) == -1 ||
	    (!s->same_boot && keep_boot(s) == -1) ||
	    forget_results(s) == -1) {
		(void)store_rollback(s);
		return -1;
	}
	return store_commit(s);
}

bool
store_same_boot(const struct store *s)
{
	return s->same_boot;
}

static int
open_db(struct store *s, const char *vfs, char *why, size_t whylen)
{
	int rc;

	if (vfs == NULL && make_file(s->path, why, whylen) == -1)
		return -1;
	rc = sqlite3_open_v2(s->path, &s->db, SQLITE_OPEN_READWRITE |
	    SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
	    vfs);
	if (rc != SQLITE_OK) {
		(void)snprintf(why, whylen, "%s: cannot be opened: %s",
		    s->path, s->db == NULL ? sqlite3_errstr(rc) :
		    sqlite3_errmsg(s->db));
		return -1;
	}
	if (sqlite3_db_readonly(s->db, "main") == 1) {
		(void)snprintf(why, whylen, "%s: not writable for uid %u",
		    s->path, (unsigned int)geteuid());
		return -1;
	}
	set_limits(s->db);
	if (set_locking(s) == -1)
		return say(s, why, whylen, "cannot be locked");
	return bring_forward(s, vfs, why, whylen);
}

struct store *
store_open_sqlite(const char *path, const char *vfs, const uint8_t boot[16],
    char *why, size_t whylen)
{
	struct store *s;

	s = xcalloc(1, sizeof(*s));
	s->path = xstrdup(path);
	s->data_version = -1;
	memcpy(s->boot, boot, sizeof(s->boot));
	if (open_db(s, vfs, why, whylen) == -1) {
		store_abandon(s);
		return NULL;
	}
	if (load_counters(s) == -1 || begin_boot(s) == -1) {
		(void)say(s, why, whylen, "cannot be used");
		store_abandon(s);
		return NULL;
	}
	return s;
}

static void
store_free(struct store *s)
{
	buf_free(&s->tags);
	buf_free(&s->endpoints);
	buf_free(&s->hostinfo);
	buf_free(&s->approved);
	buf_free(&s->primary);
	buf_free(&s->refused);
	free(s->path);
	free(s);
}

static void
close_db(struct store *s)
{
	int i;

	for (i = 0; i < ST_MAX; i++)
		(void)sqlite3_finalize(s->stmt[i]);
	if (sqlite3_close(s->db) != SQLITE_OK)
		fatalx("store: statements are open");
}

void
store_close(struct store *s)
{
	if (s == NULL)
		return;
	if (sqlite3_get_autocommit(s->db) == 0)
		(void)store_rollback(s);
	close_db(s);
	store_free(s);
}

void
store_abandon(struct store *s)
{
	if (s == NULL)
		return;
	if (s->db != NULL)
		(void)sqlite3_db_config(s->db,
		    SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	close_db(s);
	store_free(s);
}

static int
simple(struct store *s, enum stmt stmt, const char *what, const char *sql)
{
	struct query q;

	q_init(&q, s, stmt, what, sql);
	return q_run(&q);
}

/*
 * dbd's memory is what the store says only as long as nobody else writes: an
 * administrator may look with sqlite3(1), but when he changes something we
 * must start again from the file.
 */
static int
check_alone(struct store *s)
{
	struct query q;
	int64_t version = -1;
	int rc;

	q_init(&q, s, ST_DATA_VERSION, "begin", "PRAGMA data_version");
	if ((rc = q_row(&q)) == 1)
		version = q_get_i64(&q);
	if (q_end(&q, rc == 1 ? 0 : -1) == -1)
		return -1;
	if (s->data_version != -1 && version != s->data_version) {
		log_warnx("store: %s was changed by another program", s->path);
		s->broken = true;
		return -1;
	}
	s->data_version = version;
	return 0;
}

int
store_begin(struct store *s)
{
	if (s->broken)
		return -1;
	if (simple(s, ST_BEGIN, "begin", "BEGIN IMMEDIATE") == -1)
		return -1;
	if (check_alone(s) == 0)
		return 0;
	(void)store_rollback(s);
	return -1;
}

int
store_commit(struct store *s)
{
	if (!s->broken && sqlite3_get_autocommit(s->db) != 0) {
		log_warnx("store: commit: the transaction has ended");
		s->broken = true;
	}
	if (s->broken)
		return -1;
	if (simple(s, ST_COMMIT, "commit", "COMMIT") == 0)
		return 0;
	s->broken = true;
	if (sqlite3_get_autocommit(s->db) == 0)
		(void)store_rollback(s);
	return -1;
}

int
store_rollback(struct store *s)
{
	if (sqlite3_get_autocommit(s->db) != 0)
		return 0;
	return simple(s, ST_ROLLBACK, "rollback", "ROLLBACK");
}

static int
within(struct store *s, enum stmt stmt, const char *what, const char *sql)
{
	struct query q;

	q_init(&q, s, stmt, what, sql);
	return q_write(&q);
}

int
store_savepoint(struct store *s)
{
	return within(s, ST_SAVEPOINT, "savepoint", "SAVEPOINT operation");
}

int
store_release(struct store *s)
{
	return within(s, ST_RELEASE, "release", "RELEASE operation");
}

int
store_undo(struct store *s)
{
	if (within(s, ST_UNDO, "undo", "ROLLBACK TO operation") == -1)
		return -1;
	return store_release(s);
}

uint64_t
store_next_id(struct store *s, enum store_id kind)
{
	struct query q;

	q_init(&q, s, ST_COUNTER_SET, "next id",
	    "UPDATE counters SET next = ?1 WHERE name = ?2");
	q_u64(&q, s->next[kind] + 1);
	q_text(&q, slice_str(counter[kind]));
	if (q_write(&q) == -1)
		return 0;
	return s->next[kind]++;
}
