#include <string.h>

#include "common/log.h"
#include "dbd/store_sqlite_int.h"

/* Binding. */

void
q_init(struct query *q, struct store *s, enum stmt stmt, const char *what,
    const char *sql)
{
	memset(q, 0, sizeof(*q));
	q->s = s;
	q->what = what;
	if (s->stmt[stmt] == NULL && sqlite3_prepare_v3(s->db, sql, -1,
	    SQLITE_PREPARE_PERSISTENT, &s->stmt[stmt], NULL) != SQLITE_OK) {
		log_warnx("store: %s: %s", what, sqlite3_errmsg(s->db));
		q->bad = true;
	}
	q->st = s->stmt[stmt];
}

static void
bound(struct query *q, int rc)
{
	if (rc == SQLITE_OK)
		return;
	if (!q->bad)
		log_warnx("store: %s: value %d: %s", q->what, q->i,
		    sqlite3_errstr(rc));
	q->bad = true;
}

void
q_u64(struct query *q, uint64_t v)
{
	q->i++;
	if (q->bad)
		return;
	if (v > INT64_MAX)
		bound(q, SQLITE_RANGE);
	else
		bound(q, sqlite3_bind_int64(q->st, q->i, (int64_t)v));
}

void
q_i64(struct query *q, int64_t v)
{
	q->i++;
	if (!q->bad)
		bound(q, sqlite3_bind_int64(q->st, q->i, v));
}

void
q_uid(struct query *q, uint32_t uid)
{
	if (uid == UINT32_MAX)
		q_null(q);
	else
		q_u64(q, uid);
}

void
q_text(struct query *q, struct slice v)
{
	q->i++;
	if (!q->bad)
		bound(q, sqlite3_bind_text64(q->st, q->i, v.n == 0 ? "" : v.p,
		    v.n, SQLITE_STATIC, SQLITE_UTF8));
}

void
q_blob(struct query *q, const void *p, size_t n)
{
	q->i++;
	if (!q->bad)
		bound(q, sqlite3_bind_blob64(q->st, q->i, n == 0 ? "" : p, n,
		    SQLITE_STATIC));
}

void
q_null(struct query *q)
{
	q->i++;
	if (!q->bad)
		bound(q, sqlite3_bind_null(q->st, q->i));
}

void
q_id(struct query *q, uint64_t id)
{
	if (id == 0)
		q_null(q);
	else
		q_u64(q, id);
}

void
q_ip(struct query *q, const struct ip *ip, char text[IP_TEXT])
{
	struct slice s;

	if (ip->family == 0) {
		q_null(q);
		return;
	}
	s.n = ip_print(text, ip);
	s.p = text;
	q_text(q, s);
}

/* Running. */

int
q_end(struct query *q, int rc)
{
	if (q->st != NULL) {
		(void)sqlite3_reset(q->st);
		(void)sqlite3_clear_bindings(q->st);
	}
	return q->bad ? -1 : rc;
}

int
q_row(struct query *q)
{
	int rc;

	if (q->bad)
		return -1;
	q->i = 0;
	rc = sqlite3_step(q->st);
	if (rc == SQLITE_ROW)
		return 1;
	if (rc == SQLITE_DONE)
		return 0;
	log_warnx("store: %s: %s", q->what, sqlite3_errmsg(q->s->db));
	if ((rc & 0xff) == SQLITE_FULL)
		log_warnx("store: the file system of %s is full: nothing is "
		    "accepted until there is room", q->s->path);
	q->bad = true;
	return -1;
}

int
q_run(struct query *q)
{
	return q_end(q, q_row(q) == 0 ? 0 : -1);
}

int
q_write(struct query *q)
{
	/*
	 * A failing disk ends a transaction by itself.  A write after that
	 * would be one of its own, outside of any batch.
	 */
	if (!q->bad && (q->s->broken ||
	    sqlite3_get_autocommit(q->s->db) != 0)) {
		log_warnx("store: %s: not within a transaction", q->what);
		q->bad = true;
	}
	return q_run(q);
}

/* Reading. */

static void
unsound(struct query *q)
{
	if (!q->bad)
		log_warnx("store: %s: column %d (%s): out of bounds", q->what,
		    q->i, sqlite3_column_name(q->st, q->i - 1));
	q->bad = true;
}

/* Moves to the next column; false if it is not of this type. */
static bool
column(struct query *q, int type)
{
	q->i++;
	if (sqlite3_column_type(q->st, q->i - 1) == type)
		return true;
	unsound(q);
	return false;
}

static bool
is_null(struct query *q)
{
	if (sqlite3_column_type(q->st, q->i) != SQLITE_NULL)
		return false;
	q->i++;
	return true;
}

int64_t
q_get_i64(struct query *q)
{
	return column(q, SQLITE_INTEGER) ? sqlite3_column_int64(q->st,
	    q->i - 1) : 0;
}

uint64_t
q_get_max(struct query *q, uint64_t max)
{
	int64_t v;

	v = q_get_i64(q);
	if (v >= 0 && (uint64_t)v <= max)
		return (uint64_t)v;
	unsound(q);
	return 0;
}

uint64_t
q_get_u64(struct query *q)
{
	return q_get_max(q, INT64_MAX);
}

bool
q_get_bool(struct query *q)
{
	return q_get_max(q, 1) == 1;
}

uint64_t
q_get_id(struct query *q)
{
	uint64_t v;

	if (is_null(q))
		return 0;
	if ((v = q_get_u64(q)) == 0)
		unsound(q);
	return v;
}

uint32_t
q_get_uid(struct query *q)
{
	if (sqlite3_column_type(q->st, q->i) != SQLITE_NULL)
		return (uint32_t)q_get_max(q, UINT32_MAX - 1);
	q->i++;
	return UINT32_MAX;
}

struct slice
q_get_text(struct query *q, size_t min, size_t max)
{
	struct slice s = { NULL, 0 };

	if (!column(q, SQLITE_TEXT))
		return s;
	s.p = (const char *)sqlite3_column_text(q->st, q->i - 1);
	s.n = (size_t)sqlite3_column_bytes(q->st, q->i - 1);
	if (s.p == NULL || s.n < min || s.n > max || !utf8_ok(s.p, s.n)) {
		unsound(q);
		s = slice_mem(NULL, 0);
	}
	return s;
}

struct slice
q_get_blob(struct query *q, size_t max)
{
	struct slice s = { NULL, 0 };

	if (!column(q, SQLITE_BLOB))
		return s;
	s.p = sqlite3_column_blob(q->st, q->i - 1);
	s.n = (size_t)sqlite3_column_bytes(q->st, q->i - 1);
	if (s.n > max || (s.p == NULL && s.n > 0)) {
		unsound(q);
		s = slice_mem(NULL, 0);
	}
	return s;
}

void
q_get_fix(struct query *q, void *out, size_t n)
{
	struct slice s;

	s = q_get_blob(q, n);
	if (s.n == n && s.p != NULL)
		memcpy(out, s.p, n);
	else
		unsound(q);
}

void
q_get_ip(struct query *q, struct ip *ip, uint8_t family)
{
	memset(ip, 0, sizeof(*ip));
	if (is_null(q))
		return;
	if (!ip_parse(ip, q_get_text(q, 1, IP_TEXT)) || ip->family != family)
		unsound(q);
}

/* Lists as text. */

static bool
plain(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	    (c >= '0' && c <= '9') || c == ':' || c == '_' || c == '.' ||
	    c == '-';
}

void
tags_enc(struct buf *b, const struct msg_list *tags)
{
	struct msg_list it = *tags;
	struct r_text tag;
	size_t i;

	buf_clear(b);
	while (msg_list_next(&it, MR_TEXT, &tag)) {
		if (b->n > 0)
			buf_u8(b, ',');
		if (tag.v.n == 0)	/* "" alone would be no tag at all */
			buf_u8(b, '%');
		for (i = 0; i < tag.v.n; i++)
			if (plain(tag.v.p[i]))
				buf_u8(b, (uint8_t)tag.v.p[i]);
			else
				buf_printf(b, "%%%02x",
				    (unsigned char)tag.v.p[i]);
	}
}

/* Cuts what comes before the separator off s; false at its end. */
static bool
next_word(struct slice *s, char sep, struct slice *word)
{
	const char *end;

	if (s->n == 0)
		return false;
	word->p = s->p;
	end = memchr(s->p, sep, s->n);
	word->n = end == NULL ? s->n : (size_t)(end - s->p);
	s->p += word->n;
	s->n -= word->n;
	if (end == NULL)
		return true;
	s->p++;
	s->n--;
	return true;
}

/* A separator at the end would hide an empty word. */
static bool
ends_with(struct slice s, char sep)
{
	return s.n > 0 && s.p[s.n - 1] == sep;
}

static bool
tag_dec(char dst[256], size_t *n, struct slice word)
{
	uint8_t c;

	*n = 0;
	if (slice_eqs(word, "%"))
		return true;
	for (; word.n > 0 && *n < 255; word.p++, word.n--) {
		if (*word.p != '%') {
			dst[(*n)++] = *word.p;
			continue;
		}
		if (word.n < 3 || !hex_dec(&c, 1, slice_mem(word.p + 1, 2)))
			return false;
		dst[(*n)++] = (char)c;
		word.p += 2;
		word.n -= 2;
	}
	return word.n == 0 && *n > 0 && utf8_ok(dst, *n);
}

bool
tags_dec(struct msg_list *list, struct buf *b, struct slice s, uint32_t max)
{
	struct slice word;
	struct r_text tag;
	char text[256];

	memset(list, 0, sizeof(*list));
	buf_clear(b);
	if (ends_with(s, ','))
		return false;
	while (next_word(&s, ',', &word)) {
		if (list->count == max || !tag_dec(text, &tag.v.n, word))
			return false;
		tag.v.p = text;
		msg_list_add(list, b, MR_TEXT, &tag);
	}
	msg_list_close(list, b);
	return true;
}

void
endpoints_enc(struct buf *b, const struct msg_list *endpoints)
{
	struct msg_list it = *endpoints;
	struct r_addr addr;
	char text[IPPORT_TEXT];

	buf_clear(b);
	while (msg_list_next(&it, MR_ADDR, &addr)) {
		if (b->n > 0)
			buf_u8(b, ' ');
		if (addr.v.addr.family == 0)
			(void)strlcpy(text, "-", sizeof(text));
		else
			(void)ipport_print(text, &addr.v);
		buf_str(b, text);
	}
}

bool
endpoints_dec(struct msg_list *list, struct buf *b, struct slice s,
    uint32_t max)
{
	struct slice word;
	struct r_addr addr;

	memset(list, 0, sizeof(*list));
	buf_clear(b);
	if (ends_with(s, ' '))
		return false;
	while (next_word(&s, ' ', &word)) {
		memset(&addr, 0, sizeof(addr));
		if (list->count == max ||
		    (!slice_eqs(word, "-") && !ipport_parse(&addr.v, word)))
			return false;
		msg_list_add(list, b, MR_ADDR, &addr);
	}
	msg_list_close(list, b);
	return true;
}
