#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "common/version.h"
#include "dbd/schema.h"
#include "dbd/store.h"

#define PROGRAM		"headscaled-dbd " HEADSCALED_VERSION

/*
 * Text where an administrator would look (names, addresses, tags), octets for
 * keys and hashes.  Each table and index begins with the tailnet, but for
 * what belongs to the server: schema, counters, boot, results (an asker's, not
 * a tailnet's), and node keys, which are unique on the server.
 */
static const char version1[] =
    "CREATE TABLE schema (\n"
    "	version		INTEGER PRIMARY KEY,\n"
    "	at		INTEGER NOT NULL,\n"
    "	program		TEXT NOT NULL\n"
    ") STRICT;\n"
    "CREATE TABLE counters (\n"
    "	name		TEXT PRIMARY KEY,\n"
    "	next		INTEGER NOT NULL CHECK (next > 0)\n"
    ") STRICT, WITHOUT ROWID;\n"
    "INSERT INTO counters VALUES ('tailnet', 1), ('user', 1), ('node', 1),\n"
    "    ('authkey', 1);\n"
    "CREATE TABLE tailnets (\n"
    "	tailnet_id	INTEGER PRIMARY KEY CHECK (tailnet_id > 0),\n"
    "	name		TEXT NOT NULL UNIQUE,\n"
    "	stable_id	TEXT NOT NULL UNIQUE,\n"
    "	seq		INTEGER NOT NULL,\n"
    "	batch		BLOB NOT NULL CHECK (length(batch) = 16),\n"
    "	created		INTEGER NOT NULL\n"
    ") STRICT;\n"
    "CREATE TABLE users (\n"
    "	tailnet_id	INTEGER NOT NULL REFERENCES tailnets,\n"
    "	id		INTEGER NOT NULL CHECK (id > 0),\n"
    "	name		TEXT NOT NULL,\n"
    "	display		TEXT NOT NULL,\n"
    "	picture		TEXT NOT NULL,\n"
    "	created		INTEGER NOT NULL,\n"
    "	PRIMARY KEY (tailnet_id, id),\n"
    "	UNIQUE (tailnet_id, name)\n"
    ") STRICT;\n"
    "CREATE TABLE nodes (\n"
    "	tailnet_id	INTEGER NOT NULL REFERENCES tailnets,\n"
    "	id		INTEGER NOT NULL CHECK (id > 0),\n"
    "	stable_id	TEXT NOT NULL,\n"
    "	user_id		INTEGER,\n"
    "	name		TEXT NOT NULL,\n"
    "	node_key	BLOB NOT NULL CHECK (length(node_key) = 32),\n"
    "	machine_key	BLOB NOT NULL CHECK (length(machine_key) = 32),\n"
    "	disco_key	BLOB NOT NULL CHECK (length(disco_key) = 32),\n"
    "	nl_key		BLOB NOT NULL CHECK (length(nl_key) = 32),\n"
    "	ip4		TEXT,\n"
    "	ip6		TEXT,\n"
    "	created		INTEGER NOT NULL,\n"
    "	expiry		INTEGER NOT NULL,\n"
    "	last_seen	INTEGER NOT NULL,\n"
    "	online		INTEGER NOT NULL,\n"
    "	ephemeral	INTEGER NOT NULL,\n"
    "	published	INTEGER NOT NULL,\n"
    "	mapped		INTEGER NOT NULL,\n"
    "	renamed		INTEGER NOT NULL,\n"
    "	capver		INTEGER NOT NULL,\n"
    "	home_derp	INTEGER NOT NULL,\n"
    "	key_id		INTEGER,\n"
    "	tags		TEXT NOT NULL,\n"
    "	endpoints	TEXT NOT NULL,\n"
    "	hostinfo	BLOB NOT NULL,\n"
    "	PRIMARY KEY (tailnet_id, id),\n"
    "	UNIQUE (tailnet_id, name),\n"
    "	UNIQUE (tailnet_id, ip4),\n"
    "	UNIQUE (tailnet_id, ip6),\n"
    "	FOREIGN KEY (tailnet_id, user_id) REFERENCES users (tailnet_id, id)\n"
    ") STRICT;\n"
    "CREATE INDEX nodes_user ON nodes (tailnet_id, user_id);\n"
    "CREATE UNIQUE INDEX nodes_key ON nodes (node_key)\n"
    "    WHERE node_key <> x'00000000000000000000000000000000"
    "00000000000000000000000000000000';\n"
    "CREATE TABLE routes (\n"
    "	tailnet_id	INTEGER NOT NULL,\n"
    "	node_id		INTEGER NOT NULL,\n"
    "	prefix		TEXT NOT NULL,\n"
    "	advertised	INTEGER NOT NULL,\n"
    "	approved	INTEGER NOT NULL,\n"
    "	PRIMARY KEY (tailnet_id, node_id, prefix),\n"
    "	FOREIGN KEY (tailnet_id, node_id) REFERENCES nodes (tailnet_id, id)\n"
    "	    ON DELETE CASCADE\n"
    ") STRICT, WITHOUT ROWID;\n"
    "CREATE TABLE authkeys (\n"
    "	tailnet_id	INTEGER NOT NULL REFERENCES tailnets,\n"
    "	id		INTEGER NOT NULL CHECK (id > 0),\n"
    "	hash		BLOB NOT NULL UNIQUE CHECK (length(hash) = 32),\n"
    "	prefix		TEXT NOT NULL,\n"
    "	user_id		INTEGER,\n"
    "	reusable	INTEGER NOT NULL,\n"
    "	ephemeral	INTEGER NOT NULL,\n"
    "	revoked		INTEGER NOT NULL,\n"
    "	used		INTEGER NOT NULL,\n"
    "	used_node	INTEGER,\n"
    "	used_machine	BLOB NOT NULL CHECK (length(used_machine) = 32),\n"
    "	created		INTEGER NOT NULL,\n"
    "	expiry		INTEGER NOT NULL,\n"
    "	tags		TEXT NOT NULL,\n"
    "	PRIMARY KEY (tailnet_id, id),\n"
    "	FOREIGN KEY (tailnet_id, user_id) REFERENCES users (tailnet_id, id)\n"
    "	    ON DELETE CASCADE\n"
    ") STRICT;\n"
    "CREATE INDEX authkeys_user ON authkeys (tailnet_id, user_id);\n"
    "CREATE TABLE policy_versions (\n"
    "	tailnet_id	INTEGER NOT NULL REFERENCES tailnets,\n"
    "	version		INTEGER NOT NULL,\n"
    "	kind		INTEGER NOT NULL,\n"
    "	author		INTEGER,\n"
    "	at		INTEGER NOT NULL,\n"
    "	reason		TEXT NOT NULL,\n"
    "	text		TEXT NOT NULL,\n"
    "	PRIMARY KEY (tailnet_id, version)\n"
    ") STRICT;\n"
    "CREATE TABLE rests (\n"
    "	tailnet_id	INTEGER NOT NULL REFERENCES tailnets,\n"
    "	ip4		TEXT,\n"
    "	ip6		TEXT,\n"
    "	until		INTEGER NOT NULL\n"
    ") STRICT;\n"
    "CREATE TABLE exposures (\n"
    "	tailnet_id	INTEGER NOT NULL REFERENCES tailnets,\n"
    "	node_id		INTEGER NOT NULL,\n"
    "	boot		BLOB NOT NULL CHECK (length(boot) = 16),\n"
    "	slot		INTEGER NOT NULL,\n"
    "	generation	INTEGER NOT NULL,\n"
    "	node_key	BLOB NOT NULL CHECK (length(node_key) = 32),\n"
    "	first		INTEGER NOT NULL,\n"
    "	last		INTEGER NOT NULL,\n"
    "	revoked		INTEGER NOT NULL,\n"
    "	PRIMARY KEY (tailnet_id, node_id, boot, slot, generation)\n"
    ") STRICT, WITHOUT ROWID;\n"
    "CREATE TABLE change_log (\n"
    "	tailnet_id	INTEGER NOT NULL REFERENCES tailnets,\n"
    "	seq		INTEGER NOT NULL,\n"
    "	batch		BLOB NOT NULL CHECK (length(batch) = 16),\n"
    "	at		INTEGER NOT NULL,\n"
    "	changes		BLOB NOT NULL,\n"
    "	PRIMARY KEY (tailnet_id, seq)\n"
    ") STRICT;\n"
    "CREATE TABLE results (\n"
    "	boot		BLOB NOT NULL CHECK (length(boot) = 16),\n"
    "	slot		INTEGER NOT NULL,\n"
    "	generation	INTEGER NOT NULL,\n"
    "	request		INTEGER NOT NULL,\n"
    "	type		INTEGER NOT NULL,\n"
    "	secret		INTEGER NOT NULL,\n"
    "	body		BLOB NOT NULL,\n"
    "	PRIMARY KEY (boot, slot, generation, request)\n"
    ") STRICT, WITHOUT ROWID;\n"
    "CREATE TABLE audit (\n"
    "	n		INTEGER PRIMARY KEY,\n"
    "	tailnet_id	INTEGER REFERENCES tailnets,\n"
    "	at		INTEGER NOT NULL,\n"
    "	uid		INTEGER,\n"
    "	what		TEXT NOT NULL,\n"
    "	target		INTEGER NOT NULL,\n"
    "	detail		TEXT NOT NULL\n"
    ") STRICT;\n"
    "CREATE INDEX audit_tailnet ON audit (tailnet_id);\n";

/* The life of master in which it was last open. */
static const char version2[] =
    "CREATE TABLE boot (\n"
    "	one		INTEGER PRIMARY KEY CHECK (one = 1),\n"
    "	boot		BLOB NOT NULL CHECK (length(boot) = 16)\n"
    ") STRICT;\n";

/* Roles of users, who carries a route, and what a policy was compiled to. */
static const char version3[] =
    "ALTER TABLE users ADD COLUMN role INTEGER NOT NULL DEFAULT 0;\n"
    "ALTER TABLE routes ADD COLUMN elected INTEGER NOT NULL DEFAULT 0;\n"
    "ALTER TABLE policy_versions ADD COLUMN blob BLOB;\n";

/*
 * Routes that an administrator took back.  Those of before stand nowhere: what
 * waits for its approval then goes on waiting, as if it were one of them.
 */
static const char version4[] =
    "ALTER TABLE routes ADD COLUMN refused INTEGER NOT NULL DEFAULT 0;\n"
    "UPDATE routes SET refused = 1 WHERE advertised <> 0 AND approved = 0;\n";

/* What was fetched: DERP maps, and the certificate that is had by ACME. */
static const char version5[] =
    "CREATE TABLE fetched (\n"
    "	url		TEXT PRIMARY KEY,\n"
    "	body		BLOB NOT NULL,\n"
    "	at		INTEGER NOT NULL\n"
    ") STRICT;\n"
    "CREATE TABLE cert (\n"
    "	one		INTEGER PRIMARY KEY CHECK (one = 1),\n"
    "	directory	TEXT NOT NULL,\n"
    "	account		TEXT NOT NULL,\n"
    "	names		TEXT NOT NULL,\n"
    "	chain		BLOB NOT NULL,\n"
    "	not_before	INTEGER NOT NULL,\n"
    "	not_after	INTEGER NOT NULL,\n"
    "	failed		INTEGER NOT NULL,\n"
    "	retry		INTEGER NOT NULL,\n"
    "	why		TEXT NOT NULL\n"
    ") STRICT;\n";

static const struct schema_step all_steps[] = {
	{ 1, version1 },
	{ 2, version2 },
	{ 3, version3 },
	{ 4, version4 },
	{ 5, version5 }
};

_Static_assert(sizeof(all_steps) / sizeof(all_steps[0]) == STORE_VERSION,
    "one step for each version");

const struct schema_step *
schema_steps(unsigned int *n)
{
	*n = sizeof(all_steps) / sizeof(all_steps[0]);
	return all_steps;
}

/* Says what SQLite says. */
static int
fail(sqlite3 *db, const struct schema_conf *conf, const char *what)
{
	(void)snprintf(conf->why, conf->whylen, "%s: %s: %s", conf->path, what,
	    sqlite3_errmsg(db));
	return -1;
}

/* One number; -1 if there is none or the file cannot be read. */
static int64_t
number(sqlite3 *db, const char *sql)
{
	sqlite3_stmt *st;
	int64_t v = -1;

	if (sqlite3_prepare_v2(db, sql, -1, &st, NULL) != SQLITE_OK)
		return -1;
	if (sqlite3_step(st) == SQLITE_ROW)
		v = sqlite3_column_int64(st, 0);
	(void)sqlite3_finalize(st);
	return v;
}

static int
refuse_newer(sqlite3 *db, uint32_t version, const struct schema_conf *conf)
{
	sqlite3_stmt *st = NULL;
	const unsigned char *by = NULL;
	const char *what = "a newer headscaled-dbd";

	if (sqlite3_prepare_v2(db, "SELECT program FROM schema"
	    " WHERE typeof(program) = 'text' AND length(program) < 64"
	    " ORDER BY version DESC LIMIT 1", -1, &st, NULL) == SQLITE_OK &&
	    sqlite3_step(st) == SQLITE_ROW)
		by = sqlite3_column_text(st, 0);
	(void)snprintf(conf->why, conf->whylen, "%s: schema version %u, "
	    "written by %s; this program (" PROGRAM ") knows versions up to "
	    "%u: start the newer program, or move the file aside and put the "
	    "copy %s.v%u, which the migration left, in its place", conf->path,
	    version, by == NULL ? what : log_vis(slice_str((const char *)by)),
	    conf->nsteps, conf->path, conf->nsteps);
	(void)sqlite3_finalize(st);
	return -1;
}

int
schema_version(sqlite3 *db, const struct schema_conf *conf)
{
	int64_t app, version;

	if ((app = number(db, "PRAGMA application_id")) == -1)
		return fail(db, conf, "cannot be read");
	if (app == 0 && number(db, "SELECT count(*) FROM sqlite_schema") == 0)
		return 0;
	if (app != SCHEMA_APPLICATION) {
		(void)snprintf(conf->why, conf->whylen, "%s: an SQLite "
		    "database, but not one of headscaled: name another file",
		    conf->path);
		return -1;
	}
	version = number(db, "SELECT max(version) FROM schema");
	if (version < 1 || version > INT32_MAX)
		return fail(db, conf, "has no schema version");
	if (version > conf->nsteps)
		return refuse_newer(db, (uint32_t)version, conf);
	return (int)version;
}

int
schema_check(sqlite3 *db, const struct schema_conf *conf)
{
	sqlite3_stmt *st;
	const unsigned char *text;
	int rc = -1;

	if (sqlite3_prepare_v2(db, "PRAGMA quick_check(1)", -1, &st, NULL) !=
	    SQLITE_OK)
		return fail(db, conf, "cannot be checked");
	if (sqlite3_step(st) != SQLITE_ROW)
		(void)fail(db, conf, "cannot be checked");
	else if ((text = sqlite3_column_text(st, 0)) != NULL &&
	    strcmp((const char *)text, "ok") == 0)
		rc = 0;
	else
		(void)snprintf(conf->why, conf->whylen, "%s: damaged: %s",
		    conf->path, text == NULL ? "?" :
		    log_vis(slice_str((const char *)text)));
	(void)sqlite3_finalize(st);
	return rc;
}

/* Removes an older copy of the name, if there is one. */
static void
remove_copy(const char *path, const char *vfs)
{
	sqlite3_vfs *v;

	if ((v = sqlite3_vfs_find(vfs)) != NULL)
		(void)v->xDelete(v, path, 0);
}

/* Writes PATH.vN, which is whole and synced when this returns 0. */
static int
copy_aside(sqlite3 *db, const char *to, const struct schema_conf *conf)
{
	sqlite3 *copy = NULL;
	sqlite3_backup *b;
	int rc;

	remove_copy(to, conf->vfs);
	rc = sqlite3_open_v2(to, &copy, SQLITE_OPEN_READWRITE |
	    SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, conf->vfs);
	if (rc == SQLITE_OK && (b = sqlite3_backup_init(copy, "main", db,
	    "main")) != NULL) {
		(void)sqlite3_backup_step(b, -1);
		rc = sqlite3_backup_finish(b);
	} else if (rc == SQLITE_OK)
		rc = sqlite3_errcode(copy);
	if (rc != SQLITE_OK)
		(void)snprintf(conf->why, conf->whylen, "%s: cannot copy it to "
		    "%s before the migration: %s; it is as it was", conf->path,
		    to, copy == NULL ? sqlite3_errstr(rc) :
		    sqlite3_errmsg(copy));
	(void)sqlite3_close(copy);
	if (rc == SQLITE_OK)
		return 0;
	remove_copy(to, conf->vfs);
	return -1;
}

static int
take_step(sqlite3 *db, const struct schema_step *step)
{
	char row[160];

	(void)snprintf(row, sizeof(row), "INSERT INTO schema VALUES (%u, "
	    "unixepoch(), '" PROGRAM "')", step->to);
	if (sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL) !=
	    SQLITE_OK)
		return -1;
	if (sqlite3_exec(db, step->sql, NULL, NULL, NULL) != SQLITE_OK ||
	    sqlite3_exec(db, row, NULL, NULL, NULL) != SQLITE_OK ||
	    (step->to == 1 && sqlite3_exec(db, "PRAGMA application_id = "
	    "0x68736462", NULL, NULL, NULL) != SQLITE_OK) ||
	    sqlite3_exec(db, "COMMIT", NULL, NULL, NULL) != SQLITE_OK)
		return -1;
	return 0;
}

int
schema_migrate(sqlite3 *db, uint32_t version, const struct schema_conf *conf)
{
	char copy[1024], text[200];
	uint32_t at;

	if (version >= conf->nsteps)
		return 0;
	if ((size_t)snprintf(copy, sizeof(copy), "%s.v%u", conf->path,
	    version) >= sizeof(copy)) {
		(void)snprintf(conf->why, conf->whylen, "path too long");
		return -1;
	}
	if (version > 0 && (schema_check(db, conf) == -1 ||
	    copy_aside(db, copy, conf) == -1))
		return -1;
	for (at = version; at < conf->nsteps; at++) {
		if (take_step(db, &conf->steps[at]) == 0)
			continue;
		(void)strlcpy(text, sqlite3_errmsg(db), sizeof(text));
		if (sqlite3_get_autocommit(db) == 0)
			(void)sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
		if (version == 0)
			(void)snprintf(conf->why, conf->whylen, "%s: cannot "
			    "make the tables: %s", conf->path, text);
		else
			(void)snprintf(conf->why, conf->whylen, "%s: cannot "
			    "migrate from schema version %u to %u: %s; the "
			    "file still has version %u, a copy from before "
			    "is %s", conf->path, at, at + 1, text, at, copy);
		return -1;
	}
	if (version > 0)
		log_info("store migrated path=%s from=%u to=%u copy=%s",
		    conf->path, version, conf->nsteps, copy);
	return 0;
}
