#include "common/log.h"
#include "dbd/store_sqlite_int.h"

#define URL_MAX		255
#define ACME_URL_MAX	1024
#define WHY_MAX		255
#define NAMES_MAX	16384		/* octets of all names */

int
store_load_fetched(struct store *s,
    int (*fn)(const struct fetched_row *, void *), void *arg)
{
	struct fetched_row row;
	struct query q;
	int rc;

	q_init(&q, s, ST_FETCHED_LOAD, "load fetched",
	    "SELECT url, body, at FROM fetched ORDER BY url");
	while ((rc = q_row(&q)) == 1) {
		row.url = q_get_text(&q, 1, URL_MAX);
		row.body = q_get_blob(&q, FETCHED_MAX);
		row.at = q_get_i64(&q);
		if (q.bad || fn(&row, arg) == -1)
			return q_end(&q, -1);
	}
	return q_end(&q, rc);
}

int
store_put_fetched(struct store *s, const struct fetched_row *row)
{
	struct query q;

	if (row->url.n == 0 || row->url.n > URL_MAX ||
	    row->body.n > FETCHED_MAX ||
	    !utf8_ok(row->url.p, row->url.n)) {
		log_warnx("store: put fetched: out of bounds");
		return -1;
	}
	q_init(&q, s, ST_FETCHED_PUT, "put fetched",
	    "INSERT OR REPLACE INTO fetched (url, body, at)"
	    " VALUES (?, ?, ?)");
	q_text(&q, row->url);
	q_blob(&q, row->body.p, row->body.n);
	q_i64(&q, row->at);
	return q_write(&q);
}

int
store_del_fetched(struct store *s, struct slice url)
{
	struct query q;

	q_init(&q, s, ST_FETCHED_DEL, "forget fetched",
	    "DELETE FROM fetched WHERE url = ?");
	q_text(&q, url);
	return q_write(&q);
}

int
store_find_cert(struct store *s, int (*fn)(const struct cert_row *, void *),
    void *arg)
{
	struct cert_row row;
	struct query q;
	int rc;

	q_init(&q, s, ST_CERT_FIND, "find certificate", "SELECT directory,"
	    " account, names, chain, not_before, not_after, failed, retry,"
	    " why FROM cert");
	if ((rc = q_row(&q)) != 1)
		return q_end(&q, rc);
	row.directory = q_get_text(&q, 0, ACME_URL_MAX);
	row.account = q_get_text(&q, 0, ACME_URL_MAX);
	if (!tags_dec(&row.names, &s->tags, q_get_text(&q, 0, NAMES_MAX),
	    CERT_NAMES))
		q.bad = true;
	row.chain = q_get_blob(&q, CERT_CHAIN_MAX);
	row.not_before = q_get_i64(&q);
	row.not_after = q_get_i64(&q);
	row.failed = (uint32_t)q_get_max(&q, UINT32_MAX);
	row.retry = q_get_i64(&q);
	row.why = q_get_text(&q, 0, WHY_MAX);
	if (q.bad || fn(&row, arg) == -1)
		return q_end(&q, -1);
	return q_end(&q, 1);
}

int
store_put_cert(struct store *s, const struct cert_row *row)
{
	struct query q;

	if (row->directory.n > ACME_URL_MAX || row->account.n > ACME_URL_MAX ||
	    row->names.count > CERT_NAMES || row->chain.n > CERT_CHAIN_MAX ||
	    row->why.n > WHY_MAX || !utf8_ok(row->why.p, row->why.n) ||
	    !utf8_ok(row->account.p, row->account.n) ||
	    !utf8_ok(row->directory.p, row->directory.n)) {
		log_warnx("store: put certificate: out of bounds");
		return -1;
	}
	buf_clear(&s->tags);
	tags_enc(&s->tags, &row->names);
	q_init(&q, s, ST_CERT_PUT, "put certificate",
	    "INSERT OR REPLACE INTO cert (one, directory, account, names,"
	    " chain, not_before, not_after, failed, retry, why)"
	    " VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
	q_text(&q, row->directory);
	q_text(&q, row->account);
	q_text(&q, buf_slice_of(&s->tags));
	q_blob(&q, row->chain.p, row->chain.n);
	q_i64(&q, row->not_before);
	q_i64(&q, row->not_after);
	q_u64(&q, row->failed);
	q_i64(&q, row->retry);
	q_text(&q, row->why);
	return q_write(&q);
}
