#include <string.h>

#include "common/log.h"
#include "dbd/store_sqlite_int.h"

#define TRIM_MAX	1000

/* The log of batches. */

int
store_load_log(struct store *s, uint64_t tailnet, uint64_t after,
    int (*fn)(const struct log_row *, void *), void *arg)
{
	struct log_row row;
	struct query q;
	int rc;

	q_init(&q, s, ST_LOG_LOAD, "load log", "SELECT seq, batch, at,"
	    " changes FROM change_log WHERE tailnet_id = ? AND seq > ?"
	    " ORDER BY seq");
	q_u64(&q, tailnet);
	q_u64(&q, after);
	while ((rc = q_row(&q)) == 1) {
		memset(&row, 0, sizeof(row));
		row.tailnet = tailnet;
		row.seq = q_get_u64(&q);
		q_get_fix(&q, row.batch, BATCH_LEN);
		row.at = q_get_i64(&q);
		row.changes = q_get_blob(&q, STORE_LOG_MAX);
		if (q.bad || fn(&row, arg) == -1)
			return q_end(&q, -1);
	}
	return q_end(&q, rc);
}

bool
store_log_has(struct store *s, uint64_t tailnet, uint64_t seq,
    const uint8_t batch[BATCH_LEN])
{
	struct query q;

	if (seq > INT64_MAX || tailnet > INT64_MAX)
		return false;	/* as a worker may claim */
	q_init(&q, s, ST_LOG_HAS, "look up batch", "SELECT 1 FROM change_log"
	    " WHERE tailnet_id = ? AND seq = ? AND batch = ?");
	q_u64(&q, tailnet);
	q_u64(&q, seq);
	q_blob(&q, batch, BATCH_LEN);
	return q_end(&q, q_row(&q)) == 1;
}

int
store_add_log(struct store *s, const struct log_row *row)
{
	struct query q;

	if (row->changes.n > STORE_LOG_MAX) {
		log_warnx("store: add log: out of bounds");
		return -1;
	}
	q_init(&q, s, ST_LOG_ADD, "add log", "INSERT INTO change_log"
	    " (tailnet_id, seq, batch, at, changes) VALUES (?, ?, ?, ?, ?)");
	q_u64(&q, row->tailnet);
	q_u64(&q, row->seq);
	q_blob(&q, row->batch, BATCH_LEN);
	q_i64(&q, row->at);
	q_blob(&q, row->changes.p, row->changes.n);
	return q_write(&q);
}

int
store_trim_log(struct store *s, uint64_t tailnet, uint32_t keep,
    uint64_t octets)
{
	struct query q;

	q_init(&q, s, ST_LOG_TRIM, "trim log", "DELETE FROM change_log"
	    " WHERE tailnet_id = ?1 AND seq <= (SELECT max(seq) FROM (SELECT"
	    " seq, row_number() OVER newest AS place, sum(length(changes))"
	    " OVER newest AS octets FROM change_log WHERE tailnet_id = ?1"
	    " WINDOW newest AS (ORDER BY seq DESC))"
	    " WHERE place > ?2 OR octets > ?4)"
	    " AND seq < coalesce((SELECT seq FROM change_log WHERE"
	    " tailnet_id = ?1 ORDER BY seq LIMIT 1 OFFSET ?3),"
	    " 9223372036854775807)");
	q_u64(&q, tailnet);
	q_u64(&q, keep);
	q_u64(&q, TRIM_MAX);
	q_u64(&q, octets);
	return q_write(&q);
}

/* Stored answers. */

int
store_find_result(struct store *s, uint16_t slot, uint64_t generation,
    uint32_t request, int (*fn)(const struct result_row *, void *), void *arg)
{
	struct result_row row;
	struct query q;
	int rc;

	q_init(&q, s, ST_RESULT_FIND, "find result", "SELECT type, secret,"
	    " body FROM results WHERE boot = ? AND slot = ?"
	    " AND generation = ? AND request = ?");
	q_blob(&q, s->boot, sizeof(s->boot));
	q_u64(&q, slot);
	q_u64(&q, generation);
	q_u64(&q, request);
	if ((rc = q_row(&q)) != 1)
		return q_end(&q, rc);
	memset(&row, 0, sizeof(row));
	row.slot = slot;
	row.generation = generation;
	row.request = request;
	row.type = (uint32_t)q_get_max(&q, UINT32_MAX);
	row.secret = q_get_bool(&q);
	row.body = q_get_blob(&q, MSG_MAX);
	if (q.bad || fn(&row, arg) == -1)
		return q_end(&q, -1);
	return q_end(&q, 1);
}

int
store_put_result(struct store *s, const struct result_row *row)
{
	struct query q;

	if (row->body.n > MSG_MAX) {
		log_warnx("store: put result: out of bounds");
		return -1;
	}
	q_init(&q, s, ST_RESULT_PUT, "put result", "INSERT OR REPLACE INTO"
	    " results (boot, slot, generation, request, type, secret, body)"
	    " VALUES (?, ?, ?, ?, ?, ?, ?)");
	q_blob(&q, s->boot, sizeof(s->boot));
	q_u64(&q, row->slot);
	q_u64(&q, row->generation);
	q_u64(&q, row->request);
	q_u64(&q, row->type);
	q_u64(&q, row->secret);
	q_blob(&q, row->body.p, row->body.n);
	return q_write(&q);
}

int
store_del_results(struct store *s, uint16_t slot, uint64_t generation)
{
	struct query q;

	q_init(&q, s, ST_RESULT_DEL, "delete results", "DELETE FROM results"
	    " WHERE boot = ? AND slot = ? AND generation <= ?");
	q_blob(&q, s->boot, sizeof(s->boot));
	q_u64(&q, slot);
	q_u64(&q, generation);
	return q_write(&q);
}

int
store_trim_results(struct store *s, uint16_t slot, uint64_t generation,
    uint32_t below)
{
	struct query q;

	q_init(&q, s, ST_RESULT_TRIM, "trim results", "DELETE FROM results"
	    " WHERE boot = ? AND slot = ? AND generation = ?"
	    " AND request < ?");
	q_blob(&q, s->boot, sizeof(s->boot));
	q_u64(&q, slot);
	q_u64(&q, generation);
	q_u64(&q, below);
	return q_write(&q);
}
