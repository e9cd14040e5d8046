#include <string.h>

#include "common/log.h"
#include "common/pol.h"
#include "dbd/store_sqlite_int.h"

#define REASON_MAX	255
#define TEXT_MAX	(16 * 1024 * 1024)

/* What every list of versions begins with; then comes the text or not. */
#define COLUMNS		"version, kind, author, at, reason, length(CAST(text" \
	" AS BLOB))"

static void
read_head(struct query *q, struct policy_row *row, uint64_t tailnet)
{
	memset(row, 0, sizeof(*row));
	row->tailnet = tailnet;
	row->version = (uint32_t)q_get_max(q, UINT32_MAX);
	row->kind = (enum policy_kind)q_get_max(q, POLICY_COMPILED);
	row->uid = q_get_uid(q);
	row->at = q_get_i64(q);
	row->reason = q_get_text(q, 0, REASON_MAX);
	row->size = q_get_max(q, TEXT_MAX);
}

int
store_load_policies(struct store *s, uint64_t tailnet, uint32_t max,
    int (*fn)(const struct policy_row *, void *), void *arg)
{
	struct policy_row row;
	struct query q;
	int rc;

	q_init(&q, s, ST_POLICY_LOAD, "load policies", "SELECT " COLUMNS
	    ", text FROM policy_versions WHERE tailnet_id = ?"
	    " ORDER BY version DESC LIMIT ?");
	q_u64(&q, tailnet);
	q_u64(&q, max);
	while ((rc = q_row(&q)) == 1) {
		read_head(&q, &row, tailnet);
		row.text = q_get_text(&q, 0, TEXT_MAX);
		if (q.bad || fn(&row, arg) == -1)
			return q_end(&q, -1);
	}
	return q_end(&q, rc);
}

int
store_list_policies(struct store *s, uint64_t tailnet, uint32_t max,
    int (*fn)(const struct policy_row *, void *), void *arg)
{
	struct policy_row row;
	struct query q;
	int rc;

	q_init(&q, s, ST_POLICY_LIST, "list policies", "SELECT " COLUMNS
	    " FROM policy_versions WHERE tailnet_id = ?"
	    " ORDER BY version DESC LIMIT ?");
	q_u64(&q, tailnet);
	q_u64(&q, max);
	while ((rc = q_row(&q)) == 1) {
		read_head(&q, &row, tailnet);
		if (q.bad || fn(&row, arg) == -1)
			return q_end(&q, -1);
	}
	return q_end(&q, rc);
}

int
store_find_policy(struct store *s, uint64_t tailnet, uint32_t version,
    int (*fn)(const struct policy_row *, void *), void *arg)
{
	struct policy_row row;
	struct query q;
	int rc;

	q_init(&q, s, ST_POLICY_FIND, "find policy", "SELECT " COLUMNS
	    ", text, coalesce(blob, x'') FROM policy_versions"
	    " WHERE tailnet_id = ?1 AND (?2 = 0 OR version = ?2)"
	    " ORDER BY version DESC LIMIT 1");
	q_u64(&q, tailnet);
	q_u64(&q, version);
	if ((rc = q_row(&q)) != 1)
		return q_end(&q, rc);
	read_head(&q, &row, tailnet);
	row.text = q_get_text(&q, 0, TEXT_MAX);
	row.blob = q_get_blob(&q, POL_MAX);
	if (q.bad || fn(&row, arg) == -1)
		return q_end(&q, -1);
	return q_end(&q, 1);
}

/* An old version is compiled anew if it is wanted again. */
static int
drop_blobs(struct store *s, uint64_t tailnet)
{
	struct query q;

	q_init(&q, s, ST_POLICY_BARE, "drop policies", "UPDATE"
	    " policy_versions SET blob = NULL WHERE tailnet_id = ?1"
	    " AND blob IS NOT NULL AND version < (SELECT max(version)"
	    " FROM policy_versions WHERE tailnet_id = ?1)");
	q_u64(&q, tailnet);
	return q_write(&q);
}

int
store_add_policy(struct store *s, const struct policy_row *row)
{
	struct query q;

	if (row->reason.n > REASON_MAX || row->text.n > TEXT_MAX ||
	    row->blob.n > POL_MAX || row->kind > POLICY_COMPILED ||
	    !utf8_ok(row->text.p, row->text.n) ||
	    !utf8_ok(row->reason.p, row->reason.n)) {
		log_warnx("store: add policy: out of bounds");
		return -1;
	}
	q_init(&q, s, ST_POLICY_ADD, "add policy", "INSERT INTO"
	    " policy_versions (tailnet_id, version, kind, author, at, reason,"
	    " text, blob) VALUES (?1, (SELECT coalesce(max(version), 0) + 1"
	    " FROM policy_versions WHERE tailnet_id = ?1), ?2, ?3, ?4, ?5, ?6,"
	    " ?7)");
	q_u64(&q, row->tailnet);
	q_u64(&q, row->kind);
	q_uid(&q, row->uid);
	q_i64(&q, row->at);
	q_text(&q, row->reason);
	q_text(&q, row->text);
	if (row->blob.n == 0)
		q_null(&q);
	else
		q_blob(&q, row->blob.p, row->blob.n);
	if (q_write(&q) == -1)
		return -1;
	return drop_blobs(s, row->tailnet);
}

int
store_put_policy_blob(struct store *s, uint64_t tailnet, uint32_t version,
    struct slice blob)
{
	struct query q;

	if (blob.n > POL_MAX) {
		log_warnx("store: put policy: out of bounds");
		return -1;
	}
	q_init(&q, s, ST_POLICY_BLOB, "put policy", "UPDATE policy_versions"
	    " SET blob = ?3 WHERE tailnet_id = ?1 AND version = ?2");
	q_u64(&q, tailnet);
	q_u64(&q, version);
	q_blob(&q, blob.p, blob.n);
	return q_write(&q);
}
