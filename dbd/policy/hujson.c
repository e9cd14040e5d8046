#include <stdlib.h>
#include <string.h>

#include "common/enc.h"
#include "common/json.h"
#include "dbd/policy/arena.h"
#include "dbd/policy/hujson.h"

struct reader {
	struct arena	*a;
	const char	*p;
	const char	*end;
	const char	*line_start;
	uint32_t	 line;
	struct hj	*root;
	struct hj	*open;		/* innermost object or array */
	unsigned int	 depth;
	struct buf	*err;
	struct pos	*err_pos;
};

static struct pos
place(const struct reader *r, const char *p)
{
	struct pos pos;

	pos.line = r->line;
	pos.column = (uint32_t)(p - r->line_start) + 1;
	return pos;
}

/* Always false. */
static bool
bad_at(struct reader *r, struct pos pos, const char *why)
{
	*r->err_pos = pos;
	buf_printf(r->err, "hujson: line %u, column %u: %s", pos.line,
	    pos.column, why);
	return false;
}

static bool
bad(struct reader *r, const char *p, const char *why)
{
	return bad_at(r, place(r, p), why);
}

static bool
bad_end(struct reader *r)
{
	return bad(r, r->end, "the text ends too early");
}

/* Moves over one character of a comment. */
static bool
comment_char(struct reader *r)
{
	size_t n;

	if (*r->p == '\0')
		return bad(r, r->p, "a NUL in a comment");
	if ((n = utf8_len(r->p, (size_t)(r->end - r->p))) == 0)
		return bad(r, r->p, "a comment that is not UTF-8");
	if (*r->p == '\n') {
		r->line++;
		r->line_start = r->p + 1;
	}
	r->p += n;
	return true;
}

static bool
line_comment(struct reader *r)
{
	struct pos start = place(r, r->p);

	while (r->p < r->end && *r->p != '\n')
		if (!comment_char(r))
			return false;
	if (r->p == r->end)
		return bad_at(r, start, "the text ends in a // comment: "
		    "a newline has to follow it");
	return true;
}

static bool
block_comment(struct reader *r)
{
	struct pos start = place(r, r->p);

	r->p += 2;
	while (r->end - r->p >= 2 && (r->p[0] != '*' || r->p[1] != '/'))
		if (!comment_char(r))
			return false;
	if (r->end - r->p < 2)
		return bad_at(r, start, "a /* comment that is not closed");
	r->p += 2;
	return true;
}

/* White space and comments. */
static bool
skip_extra(struct reader *r)
{
	while (r->p < r->end) {
		switch (*r->p) {
		case '\n':
			r->line++;
			r->line_start = r->p + 1;
			/* FALLTHROUGH */
		case ' ':
		case '\t':
		case '\r':
			r->p++;
			break;
		case '/':
			if (r->end - r->p >= 2 && r->p[1] == '/') {
				if (!line_comment(r))
					return false;
			} else if (r->end - r->p >= 2 && r->p[1] == '*') {
				if (!block_comment(r))
					return false;
			} else
				return bad(r, r->p, "a lone slash: "
				    "comments begin with // or /*");
			break;
		default:
			return true;
		}
	}
	return true;
}

static int
hex4(const char *p, const char *end)
{
	int i, d, v = 0;

	if (end - p < 4)
		return -1;
	for (i = 0; i < 4; i++) {
		if ((d = hex_digit(p[i])) == -1)
			return -1;
		v = v << 4 | d;
	}
	return v;
}

static char *
put_utf8(char *d, unsigned int c)
{
	if (c < 0x80)
		*d++ = (char)c;
	else if (c < 0x800) {
		*d++ = (char)(0xc0 | c >> 6);
		*d++ = (char)(0x80 | (c & 63));
	} else if (c < 0x10000) {
		*d++ = (char)(0xe0 | c >> 12);
		*d++ = (char)(0x80 | (c >> 6 & 63));
		*d++ = (char)(0x80 | (c & 63));
	} else {
		*d++ = (char)(0xf0 | c >> 18);
		*d++ = (char)(0x80 | (c >> 12 & 63));
		*d++ = (char)(0x80 | (c >> 6 & 63));
		*d++ = (char)(0x80 | (c & 63));
	}
	return d;
}

/* After "\u": the character, with a second escape if it needs one; or -1. */
static int
unicode_escape(struct reader *r)
{
	int c, low;

	if ((c = hex4(r->p, r->end)) == -1)
		return -1;
	r->p += 4;
	if (c < 0xd800 || c > 0xdfff)
		return c;
	if (c > 0xdbff || r->end - r->p < 6 || r->p[0] != '\\' ||
	    r->p[1] != 'u' || (low = hex4(r->p + 2, r->end)) < 0xdc00 ||
	    low > 0xdfff)
		return -1;
	r->p += 6;
	return 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
}

/* Four of them, or the first that is none is to blame. */
static bool
hex_ahead(struct reader *r)
{
	const char *p;

	for (p = r->p; p < r->p + 4; p++) {
		if (p == r->end)
			return bad_end(r);
		if ((*p < '0' || *p > '9') && (*p < 'a' || *p > 'f') &&
		    (*p < 'A' || *p > 'F'))
			return bad(r, p, "a \\u escape that is no character");
	}
	return true;
}

/* At a backslash: writes what it stands for. */
static char *
escape(struct reader *r, char *d)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	const char *start = r->p, *at;
	int c;

	if (r->end - r->p < 2) {
		(void)bad_end(r);
		return NULL;
	}
	r->p += 2;
	if (start[1] == 'u') {
		if (!hex_ahead(r))
			return NULL;
		if ((c = unicode_escape(r)) == -1) {
			(void)bad(r, start, "a \\u escape that is no "
			    "character");
			return NULL;
		}
		if (c == 0) {
			(void)bad(r, start, "a string must not contain "
			    "\\u0000");
			return NULL;
		}
		return put_utf8(d, (unsigned int)c);
	}
	if (start[1] == '\0' || (at = strchr(from, start[1])) == NULL) {
		(void)bad(r, start + 1, "an unknown escape in a string");
		return NULL;
	}
	*d++ = to[at - from];
	return d;
}

/* Over a character that stands for itself, n octets of it. */
static bool
plain(struct reader *r, size_t *n)
{
	if ((unsigned char)*r->p < 0x20)
		return bad(r, r->p, *r->p == '\n' || *r->p == '\r' ?
		    "a string that is not closed on its line" :
		    "a control character in a string");
	*n = 1;
	if ((unsigned char)*r->p >= 0x80 &&
	    (*n = utf8_len(r->p, (size_t)(r->end - r->p))) == 0)
		return bad(r, r->p, "a string that is not UTF-8");
	return true;
}

/*
 * A copy of what was read since start, with room for the rest of the string:
 * what an escape stands for is shorter than the escape.
 */
static char *
string_copy(struct reader *r, const char *start)
{
	const char *p;
	char *s;

	for (p = r->p; p < r->end && *p != '"'; p++)
		if (*p == '\\' && p + 1 < r->end)
			p++;
	s = arena_alloc(r->a, (size_t)(p - start) + 1);
	memcpy(s, start, (size_t)(r->p - start));
	return s;
}

/* At a quote.  Only a string with escapes is copied. */
static bool
read_string(struct reader *r, struct slice *out)
{
	const char *start = ++r->p;
	char *copy = NULL, *d = NULL;
	size_t n = 0;

	while (r->p < r->end && *r->p != '"') {
		if (*r->p == '\\') {
			if (copy == NULL) {
				copy = string_copy(r, start);
				d = copy + (r->p - start);
			}
			if ((d = escape(r, d)) == NULL)
				return false;
			continue;
		}
		if (!plain(r, &n))
			return false;
		if (copy != NULL) {
			memcpy(d, r->p, n);
			d += n;
		}
		r->p += n;
	}
	if (r->p == r->end)
		return bad_end(r);
	*out = copy != NULL ? slice_mem(copy, (size_t)(d - copy)) :
	    slice_mem(start, (size_t)(r->p - start));
	r->p++;
	return true;
}

static bool
digits(struct reader *r)
{
	const char *start = r->p;

	while (r->p < r->end && *r->p >= '0' && *r->p <= '9')
		r->p++;
	return r->p != start;
}

static bool
at_char(const struct reader *r, const char *set)
{
	return r->p < r->end && *r->p != '\0' && strchr(set, *r->p) != NULL;
}

static bool
read_number(struct reader *r, struct slice *out)
{
	const char *start = r->p;
	bool ok;

	if (*r->p == '-')
		r->p++;
	if (at_char(r, "0")) {
		r->p++;
		ok = true;
	} else
		ok = digits(r);
	if (ok && at_char(r, ".")) {
		r->p++;
		ok = digits(r);
	}
	if (ok && at_char(r, "eE")) {
		r->p++;
		if (at_char(r, "+-"))
			r->p++;
		ok = digits(r);
	}
	if (!ok || at_char(r, "0123456789.+-eE"))
		return bad(r, r->p, "a number that JSON does not have");
	*out = slice_mem(start, (size_t)(r->p - start));
	return true;
}

static bool
read_word(struct reader *r, struct hj *v)
{
	static const struct {
		const char	*word;
		enum hj_kind	 kind;
		bool		 truth;
	} words[] = {
		{ "null", HJ_NULL, false },
		{ "true", HJ_BOOL, true },
		{ "false", HJ_BOOL, false }
	};
	const char *start = r->p;
	size_t i, n, most = 0;
	struct slice s;

	while (r->p < r->end && ((*r->p >= 'a' && *r->p <= 'z') ||
	    (*r->p >= 'A' && *r->p <= 'Z')))
		r->p++;
	s = slice_mem(start, (size_t)(r->p - start));
	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (slice_eqs(s, words[i].word)) {
			v->kind = words[i].kind;
			v->truth = words[i].truth;
			return true;
		}
	/* The first octet is to blame that none of the words has there. */
	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		for (n = 0; n < s.n && s.p[n] == words[i].word[n]; n++)
			most = n + 1 > most ? n + 1 : most;
	r->p = start;
	return bad(r, start + most, "a value is missing: a string in double "
	    "quotes, a number, true, false, null, { or [");
}

static struct hj *
add(struct reader *r, struct hj *v)
{
	struct hj *o = r->open;

	v->parent = o;
	if (o == NULL) {
		r->root = v;
		return v;
	}
	v->index = o->count++;
	if (o->last == NULL)
		o->first = v;
	else
		o->last->next = v;
	o->last = v;
	return v;
}

/* A value into v; an object or array is opened only. */
static bool
read_value(struct reader *r, struct hj *v)
{
	v->pos = place(r, r->p);
	(void)add(r, v);
	switch (*r->p) {
	case '{':
	case '[':
		if (r->depth == HJ_DEPTH_MAX)
			return bad(r, r->p, "nested too deeply");
		v->kind = *r->p == '{' ? HJ_OBJECT : HJ_ARRAY;
		r->p++;
		r->depth++;
		r->open = v;
		return true;
	case '"':
		v->kind = HJ_STRING;
		return read_string(r, &v->text);
	case '-':
	case '0': case '1': case '2': case '3': case '4':
	case '5': case '6': case '7': case '8': case '9':
		v->kind = HJ_NUMBER;
		return read_number(r, &v->text);
	default:
		return read_word(r, v);
	}
}

static int
by_name(const void *x, const void *y)
{
	const struct hj *a = *(const struct hj *const *)x;
	const struct hj *b = *(const struct hj *const *)y;
	int c;

	c = slice_cmp(a->name, b->name);
	if (c != 0)
		return c;
	return a->index < b->index ? -1 : a->index > b->index;
}

/* The first member whose name stood there before, or NULL. */
static const struct hj *
duplicate(const struct hj *o)
{
	const struct hj **v, *m, *first = NULL;
	size_t i, n = 0;

	if (o->kind != HJ_OBJECT || o->count < 2)
		return NULL;
	v = xcalloc(o->count, sizeof(*v));
	for (m = o->first; m != NULL; m = m->next)
		v[n++] = m;
	qsort(v, n, sizeof(*v), by_name);
	for (i = 1; i < n; i++)
		if (slice_eq(v[i]->name, v[i - 1]->name) &&
		    (first == NULL || v[i]->index < first->index))
			first = v[i];
	free(v);
	return first;
}

static bool
close_level(struct reader *r)
{
	const struct hj *m;

	if ((m = duplicate(r->open)) != NULL)
		return bad_at(r, m->name_pos,
		    "a member of this name stands in the object already");
	r->p++;
	r->depth--;
	r->open = r->open->parent;
	return true;
}

static bool
read_name(struct reader *r, struct hj *v)
{
	v->name_pos = place(r, r->p);
	if (*r->p != '"')
		return bad(r, r->p, "a member's name in double quotes, "
		    "or } is missing");
	if (!read_string(r, &v->name) || !skip_extra(r))
		return false;
	if (r->p == r->end)
		return bad_end(r);
	if (*r->p != ':')
		return bad(r, r->p, "a colon is missing");
	r->p++;
	if (!skip_extra(r))
		return false;
	return r->p < r->end || bad_end(r);
}

/* Inside of the innermost level, where a value or its end may stand. */
static bool
read_element(struct reader *r)
{
	struct hj *v, *o = r->open;

	if (*r->p == (o->kind == HJ_OBJECT ? '}' : ']'))
		return close_level(r);
	v = arena_alloc(r->a, sizeof(*v));
	if (o->kind == HJ_OBJECT && !read_name(r, v))
		return false;
	return read_value(r, v);
}

/* After a value: closes levels until something else may come. */
static bool
after_value(struct reader *r)
{
	const struct hj *o;

	while ((o = r->open) != NULL) {
		if (!skip_extra(r))
			return false;
		if (r->p == r->end)
			return bad_end(r);
		if (*r->p == ',') {
			r->p++;
			return true;
		}
		if (*r->p != (o->kind == HJ_OBJECT ? '}' : ']'))
			return bad(r, r->p, o->kind == HJ_OBJECT ?
			    "a comma or } is missing" :
			    "a comma or ] is missing");
		if (!close_level(r))
			return false;
	}
	return true;
}

static bool
read_all(struct reader *r)
{
	const struct hj *was;
	uint32_t n;

	if (!skip_extra(r))
		return false;
	if (r->p == r->end)
		return bad(r, r->p, "there is nothing but white space");
	if (!read_value(r, arena_alloc(r->a, sizeof(struct hj))))
		return false;
	while (r->open != NULL) {
		if (!skip_extra(r))
			return false;
		if (r->p == r->end)
			return bad_end(r);
		was = r->open;
		n = was->count;
		if (!read_element(r))
			return false;
		/* Nothing was opened: a value or an end was read. */
		if (r->open == NULL || r->open == was || was->count == n)
			if (!after_value(r))
				return false;
	}
	if (!skip_extra(r))
		return false;
	return r->p == r->end || bad(r, r->p, "something follows the value");
}

struct hj *
hj_read(struct arena *a, struct slice text, struct buf *err, struct pos *pos)
{
	struct reader r;

	memset(&r, 0, sizeof(r));
	r.a = a;
	r.p = text.n == 0 ? "" : text.p;
	r.end = r.p + text.n;
	r.line_start = r.p;
	r.line = 1;
	r.err = err;
	r.err_pos = pos;
	return read_all(&r) ? r.root : NULL;
}

static void
json_scalar(struct json *j, const struct hj *v)
{
	switch (v->kind) {
	case HJ_BOOL:
		json_bool(j, v->truth);
		break;
	case HJ_NUMBER:
		json_raw(j, v->text);
		break;
	case HJ_STRING:
		json_str(j, v->text);
		break;
	case HJ_OBJECT:
		json_obj(j);
		break;
	case HJ_ARRAY:
		json_arr(j);
		break;
	case HJ_NULL:
		json_null(j);
		break;
	}
}

void
hj_json(struct buf *b, const struct hj *root)
{
	const struct hj *v = root;
	struct json j;

	json_init(&j, b);
	for (;;) {
		if (v != root && v->parent->kind == HJ_OBJECT)
			json_keys(&j, v->name);
		json_scalar(&j, v);
		if (v->first != NULL) {
			v = v->first;
			continue;
		}
		if (v->kind == HJ_OBJECT || v->kind == HJ_ARRAY)
			json_end(&j);
		while (v != root && v->next == NULL) {
			v = v->parent;
			json_end(&j);
		}
		if (v == root)
			return;
		v = v->next;
	}
}

const char *
hj_kind_name(enum hj_kind kind)
{
	switch (kind) {
	case HJ_BOOL:
		return "true or false";
	case HJ_NUMBER:
		return "a number";
	case HJ_STRING:
		return "a string";
	case HJ_ARRAY:
		return "a list";
	case HJ_OBJECT:
		return "an object";
	case HJ_NULL:
		break;
	}
	return "null";
}

void
hj_path(struct buf *b, const struct hj *v)
{
	const struct hj *at[HJ_DEPTH_MAX + 1];
	size_t n = 0;

	for (; v->parent != NULL && n < HJ_DEPTH_MAX + 1; v = v->parent)
		at[n++] = v;
	while (n-- > 0) {
		buf_u8(b, '/');
		if (at[n]->parent->kind == HJ_OBJECT)
			buf_slice(b, at[n]->name);
		else
			buf_printf(b, "%u", at[n]->index);
	}
}
