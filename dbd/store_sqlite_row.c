#include <string.h>

#include "common/ids.h"
#include "common/log.h"
#include "dbd/store_sqlite_int.h"

#define TAGS_MAX	64
#define TAGS_TEXT	(TAGS_MAX * (3 * 255 + 1))
#define DETAIL_MAX	4096
#define TRIM_MAX	2000

/* A row that we were given is beyond what we would read back. */
static int
refuse(const char *what)
{
	log_warnx("store: %s: out of bounds", what);
	return -1;
}

static int
run_2(struct store *s, enum stmt stmt, const char *what, const char *sql,
    uint64_t a, uint64_t b)
{
	struct query q;

	q_init(&q, s, stmt, what, sql);
	q_u64(&q, a);
	q_u64(&q, b);
	return q_write(&q);
}

/* Tailnets. */

int
store_load_tailnets(struct store *s,
    int (*fn)(const struct tailnet_row *, void *), void *arg)
{
	struct tailnet_row row;
	struct query q;
	int rc;

	q_init(&q, s, ST_TAILNET_LOAD, "load tailnets", "SELECT tailnet_id,"
	    " name, stable_id, seq, batch, created, coalesce((SELECT kind"
	    " FROM policy_versions p WHERE p.tailnet_id = t.tailnet_id"
	    " ORDER BY version DESC LIMIT 1), 0), coalesce((SELECT"
	    " max(version) FROM policy_versions p WHERE p.tailnet_id ="
	    " t.tailnet_id), 0) FROM tailnets t ORDER BY tailnet_id");
	while ((rc = q_row(&q)) == 1) {
		memset(&row, 0, sizeof(row));
		row.id = q_get_id(&q);
		row.name = q_get_text(&q, 1, 63);
		row.stable_id = q_get_text(&q, 1, 32);
		row.seq = q_get_u64(&q);
		q_get_fix(&q, row.batch, BATCH_LEN);
		row.created = q_get_i64(&q);
		row.policy = (enum policy_kind)q_get_max(&q, POLICY_COMPILED);
		row.version = (uint32_t)q_get_max(&q, UINT32_MAX);
		if (q.bad || fn(&row, arg) == -1)
			return q_end(&q, -1);
	}
	return q_end(&q, rc);
}

static int
tailnet_write(struct store *s, enum stmt stmt, const char *sql,
    const struct tailnet_row *row)
{
	struct query q;

	q_init(&q, s, stmt, "put tailnet", sql);
	q_u64(&q, row->id);
	q_text(&q, row->name);
	q_text(&q, row->stable_id);
	q_u64(&q, row->seq);
	q_blob(&q, row->batch, BATCH_LEN);
	q_i64(&q, row->created);
	return q_write(&q);
}

int
store_put_tailnet(struct store *s, const struct tailnet_row *row)
{
	if (row->name.n < 1 || row->name.n > 63 || row->stable_id.n < 1 ||
	    row->stable_id.n > 32)
		return refuse("put tailnet");
	/* Each batch: nothing in an index changes. */
	if (tailnet_write(s, ST_TAILNET_SEQ, "UPDATE tailnets SET seq = ?4,"
	    " batch = ?5, created = ?6 WHERE tailnet_id = ?1 AND name = ?2"
	    " AND stable_id = ?3", row) == -1)
		return -1;
	if (sqlite3_changes(s->db) != 0)
		return 0;
	return tailnet_write(s, ST_TAILNET_PUT, "INSERT INTO tailnets"
	    " (tailnet_id, name, stable_id, seq, batch, created)"
	    " VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (tailnet_id)"
	    " DO UPDATE SET name = ?2, stable_id = ?3, seq = ?4, batch = ?5,"
	    " created = ?6", row);
}

/* Users. */

int
store_load_users(struct store *s, int (*fn)(const struct user_row *, void *),
    void *arg)
{
	struct user_row row;
	struct query q;
	int rc;

	q_init(&q, s, ST_USER_LOAD, "load users", "SELECT tailnet_id, id,"
	    " name, display, picture, created, role FROM users"
	    " ORDER BY tailnet_id, id");
	while ((rc = q_row(&q)) == 1) {
		memset(&row, 0, sizeof(row));
		row.tailnet = q_get_id(&q);
		row.user.id = q_get_id(&q);
		row.user.name = q_get_text(&q, 1, 255);
		row.user.display = q_get_text(&q, 0, 255);
		row.user.picture = q_get_text(&q, 0, 1024);
		row.user.created = q_get_i64(&q);
		row.user.role = (uint8_t)q_get_max(&q, USER_OWNER);
		if (q.bad || fn(&row, arg) == -1)
			return q_end(&q, -1);
	}
	return q_end(&q, rc);
}

int
store_put_user(struct store *s, const struct user_row *row)
{
	struct query q;

	if (!msg_rec_ok(MR_USER, &row->user) || row->user.role > USER_OWNER)
		return refuse("put user");
	q_init(&q, s, ST_USER_PUT, "put user", "INSERT INTO users (tailnet_id,"
	    " id, name, display, picture, created, role) VALUES (?1, ?2, ?3,"
	    " ?4, ?5, ?6, ?7) ON CONFLICT (tailnet_id, id) DO UPDATE SET"
	    " name = ?3, display = ?4, picture = ?5, created = ?6, role = ?7");
	q_u64(&q, row->tailnet);
	q_u64(&q, row->user.id);
	q_text(&q, row->user.name);
	q_text(&q, row->user.display);
	q_text(&q, row->user.picture);
	q_i64(&q, row->user.created);
	q_u64(&q, row->user.role);
	return q_write(&q);
}

int
store_del_user(struct store *s, uint64_t tailnet, uint64_t id)
{
	return run_2(s, ST_USER_DEL, "delete user",
	    "DELETE FROM users WHERE tailnet_id = ? AND id = ?", tailnet, id);
}

/* Auth keys. */

static int
authkey_read(struct store *s, struct query *q, struct authkey_row *row)
{
	struct slice tags;

	memset(row, 0, sizeof(*row));
	row->tailnet = q_get_id(q);
	row->id = q_get_id(q);
	q_get_fix(q, row->hash, HASH_LEN);
	row->prefix = q_get_text(q, 0, 32);
	row->user = q_get_id(q);
	row->reusable = q_get_bool(q);
	row->ephemeral = q_get_bool(q);
	row->revoked = q_get_bool(q);
	row->used = (uint32_t)q_get_max(q, UINT32_MAX);
	row->used_node = q_get_id(q);
	q_get_fix(q, row->used_machine, KEY_LEN);
	row->created = q_get_i64(q);
	row->expiry = q_get_i64(q);
	tags = q_get_text(q, 0, TAGS_TEXT);
	if (!q->bad && tags_dec(&row->tags, &s->tags, tags, TAGS_MAX))
		return 0;
	log_warnx("store: auth key %llu cannot be read",
	    (unsigned long long)row->id);
	return -1;
}

int
store_load_authkeys(struct store *s,
    int (*fn)(const struct authkey_row *, void *), void *arg)
{
	struct authkey_row row;
	struct query q;
	int rc;

	q_init(&q, s, ST_KEY_LOAD, "load auth keys", "SELECT tailnet_id, id,"
	    " hash, prefix, user_id, reusable, ephemeral, revoked, used,"
	    " used_node, used_machine, created, expiry, tags FROM authkeys"
	    " ORDER BY tailnet_id, id");
	while ((rc = q_row(&q)) == 1)
		if (authkey_read(s, &q, &row) == -1 || fn(&row, arg) == -1)
			return q_end(&q, -1);
	return q_end(&q, rc);
}

int
store_put_authkey(struct store *s, const struct authkey_row *row)
{
	struct query q;

	if (row->prefix.n > 32 || row->tags.count > TAGS_MAX)
		return refuse("put auth key");
	tags_enc(&s->tags, &row->tags);
	q_init(&q, s, ST_KEY_PUT, "put auth key", "INSERT INTO authkeys"
	    " (tailnet_id, id, hash, prefix, user_id, reusable, ephemeral,"
	    " revoked, used, used_node, used_machine, created, expiry, tags)"
	    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13,"
	    " ?14) ON CONFLICT (tailnet_id, id) DO UPDATE SET hash = ?3,"
	    " prefix = ?4, user_id = ?5, reusable = ?6, ephemeral = ?7,"
	    " revoked = ?8, used = ?9, used_node = ?10, used_machine = ?11,"
	    " created = ?12, expiry = ?13, tags = ?14");
	q_u64(&q, row->tailnet);
	q_u64(&q, row->id);
	q_blob(&q, row->hash, HASH_LEN);
	q_text(&q, row->prefix);
	q_id(&q, row->user);
	q_u64(&q, row->reusable);
	q_u64(&q, row->ephemeral);
	q_u64(&q, row->revoked);
	q_u64(&q, row->used);
	q_id(&q, row->used_node);
	q_blob(&q, row->used_machine, KEY_LEN);
	q_i64(&q, row->created);
	q_i64(&q, row->expiry);
	q_text(&q, buf_slice_of(&s->tags));
	return q_write(&q);
}

int
store_del_authkey(struct store *s, uint64_t tailnet, uint64_t id)
{
	return run_2(s, ST_KEY_DEL, "delete auth key",
	    "DELETE FROM authkeys WHERE tailnet_id = ? AND id = ?", tailnet,
	    id);
}

/* Addresses that rest. */

int
store_load_rests(struct store *s, int (*fn)(const struct rest_row *, void *),
    void *arg)
{
	struct rest_row row;
	struct query q;
	int rc;

	q_init(&q, s, ST_REST_LOAD, "load rests", "SELECT tailnet_id, ip4,"
	    " ip6, until FROM rests ORDER BY until");
	while ((rc = q_row(&q)) == 1) {
		memset(&row, 0, sizeof(row));
		row.tailnet = q_get_id(&q);
		q_get_ip(&q, &row.ip4, 4);
		q_get_ip(&q, &row.ip6, 6);
		row.until = q_get_i64(&q);
		if (q.bad || fn(&row, arg) == -1)
			return q_end(&q, -1);
	}
	return q_end(&q, rc);
}

int
store_put_rest(struct store *s, const struct rest_row *row)
{
	char ip4[IP_TEXT], ip6[IP_TEXT];
	struct query q;

	q_init(&q, s, ST_REST_PUT, "put rest", "INSERT INTO rests (tailnet_id,"
	    " ip4, ip6, until) VALUES (?, ?, ?, ?)");
	q_u64(&q, row->tailnet);
	q_ip(&q, &row->ip4, ip4);
	q_ip(&q, &row->ip6, ip6);
	q_i64(&q, row->until);
	return q_write(&q);
}

int
store_del_rests(struct store *s, int64_t now)
{
	struct query q;

	q_init(&q, s, ST_REST_DEL, "delete rests",
	    "DELETE FROM rests WHERE until <= ?");
	q_i64(&q, now);
	return q_write(&q);
}

/* What workers have held. */

int
store_load_exposures(struct store *s,
    int (*fn)(const struct exposure_row *, void *), void *arg)
{
	struct exposure_row row;
	struct query q;
	int rc;

	q_init(&q, s, ST_EXPOSURE_LOAD, "load exposures", "SELECT tailnet_id,"
	    " node_id, boot, slot, generation, node_key, first, last, revoked"
	    " FROM exposures ORDER BY tailnet_id, node_id, first");
	while ((rc = q_row(&q)) == 1) {
		memset(&row, 0, sizeof(row));
		row.tailnet = q_get_id(&q);
		row.node = q_get_id(&q);
		q_get_fix(&q, row.boot, sizeof(row.boot));
		row.slot = (uint16_t)q_get_max(&q, UINT16_MAX);
		row.generation = q_get_u64(&q);
		q_get_fix(&q, row.node_key, KEY_LEN);
		row.first = q_get_i64(&q);
		row.last = q_get_i64(&q);
		row.revoked = q_get_bool(&q);
		if (q.bad || fn(&row, arg) == -1)
			return q_end(&q, -1);
	}
	return q_end(&q, rc);
}

int
store_put_exposure(struct store *s, const struct exposure_row *row)
{
	static const uint8_t this_boot[16];
	struct query q;

	q_init(&q, s, ST_EXPOSURE_PUT, "put exposure", "INSERT INTO exposures"
	    " (tailnet_id, node_id, boot, slot, generation, node_key, first,"
	    " last, revoked) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)"
	    " ON CONFLICT (tailnet_id, node_id, boot, slot, generation)"
	    " DO UPDATE SET node_key = ?6, first = min(first, ?7),"
	    " last = ?8, revoked = CASE WHEN node_key = ?6"
	    " THEN max(revoked, ?9) ELSE ?9 END");
	q_u64(&q, row->tailnet);
	q_u64(&q, row->node);
	q_blob(&q, memcmp(row->boot, this_boot, sizeof(this_boot)) == 0 ?
	    s->boot : row->boot, sizeof(row->boot));
	q_u64(&q, row->slot);
	q_u64(&q, row->generation);
	q_blob(&q, row->node_key, KEY_LEN);
	q_i64(&q, row->first);
	q_i64(&q, row->last);
	q_u64(&q, row->revoked);
	return q_write(&q);
}

int
store_del_exposures(struct store *s, int64_t before, int64_t gone)
{
	struct query q;

	q_init(&q, s, ST_EXPOSURE_DEL, "delete exposures",
	    "DELETE FROM exposures WHERE last < ?1 OR (last < ?2 AND NOT"
	    " EXISTS (SELECT 1 FROM nodes WHERE nodes.tailnet_id ="
	    " exposures.tailnet_id AND nodes.id = exposures.node_id))");
	q_i64(&q, before);
	q_i64(&q, gone);
	return q_write(&q);
}

/* Audit. */

int
store_load_audit(struct store *s, uint64_t tailnet, uint32_t max,
    int (*fn)(const struct audit_row *, void *), void *arg)
{
	struct audit_row row;
	struct query q;
	int rc;

	q_init(&q, s, ST_AUDIT_LOAD, "load audit", "SELECT at, uid, what,"
	    " target, detail FROM audit WHERE tailnet_id IS ?"
	    " ORDER BY n DESC LIMIT ?");
	q_id(&q, tailnet);
	q_u64(&q, max);
	while ((rc = q_row(&q)) == 1) {
		memset(&row, 0, sizeof(row));
		row.tailnet = tailnet;
		row.at = q_get_i64(&q);
		row.uid = q_get_uid(&q);
		row.what = q_get_text(&q, 1, 63).p;
		row.target = q_get_u64(&q);
		row.detail = q_get_text(&q, 0, DETAIL_MAX);
		if (q.bad || fn(&row, arg) == -1)
			return q_end(&q, -1);
	}
	return q_end(&q, rc);
}

int
store_add_audit(struct store *s, const struct audit_row *row)
{
	struct slice what = slice_str(row->what);
	struct query q;

	if (what.n < 1 || what.n > 63 || row->detail.n > DETAIL_MAX)
		return refuse("add audit");
	q_init(&q, s, ST_AUDIT_ADD, "add audit", "INSERT INTO audit"
	    " (tailnet_id, at, uid, what, target, detail)"
	    " VALUES (?, ?, ?, ?, ?, ?)");
	q_id(&q, row->tailnet);
	q_i64(&q, row->at);
	q_uid(&q, row->uid);
	q_text(&q, what);
	q_u64(&q, row->target);
	q_text(&q, row->detail);
	return q_write(&q);
}

int
store_trim_audit(struct store *s, uint64_t tailnet, uint32_t keep,
    int64_t before)
{
	struct query q;

	q_init(&q, s, ST_AUDIT_TRIM, "trim audit", "DELETE FROM audit WHERE n"
	    " IN (SELECT n FROM audit WHERE tailnet_id IS ?1 AND n <= (SELECT"
	    " n FROM audit WHERE tailnet_id IS ?1 ORDER BY n DESC LIMIT 1"
	    " OFFSET ?2) AND at < ?3 ORDER BY n LIMIT ?4)");
	q_id(&q, tailnet);
	q_u64(&q, keep);
	q_i64(&q, before);
	q_u64(&q, TRIM_MAX);
	return q_write(&q);
}
