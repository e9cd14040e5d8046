#include <json.h>
#include <limits.h>
#include <printbuf.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/enc.h"
#include "common/json_read.h"
#include "common/secret.h"

#define DEPTH		64
/* json-c needs about 1 KB for an object and 100 octets for another value. */
#define MAX_GROUPS	4096		/* objects and arrays in a text */
#define MAX_VALUES	65536

struct jdoc {
	struct json_object	*root;		/* NULL stands for null */
};

/*
 * json-c's strict mode lets pass what is no JSON, so the grammar of RFC 8259
 * is checked here first; json-c then only builds the tree.
 */
struct scan {
	const char	*start;
	const char	*p;
	const char	*end;
	const char	*why;		/* NULL while all is well */
	unsigned int	 groups;
	unsigned int	 values;
	size_t		 longest;	/* string */
};

static bool
fail(struct scan *s, const char *why)
{
	if (s->why == NULL)
		s->why = why;
	return false;
}

static void
space(struct scan *s)
{
	while (s->p < s->end && (*s->p == ' ' || *s->p == '\t' ||
	    *s->p == '\n' || *s->p == '\r'))
		s->p++;
}

static bool
next_is(struct scan *s, char c)
{
	if (s->p == s->end || *s->p != c)
		return false;
	s->p++;
	return true;
}

/* What follows a backslash. */
static bool
scan_escape(struct scan *s)
{
	int i, d, v = 0;

	if (s->p == s->end)
		return fail(s, "unfinished string");
	if (*s->p != 'u') {
		if (*s->p == '\0' || strchr("\"\\/bfnrt", *s->p) == NULL)
			return fail(s, "bad escape");
		s->p++;
		return true;
	}
	s->p++;
	for (i = 0; i < 4; i++) {
		if (s->p == s->end || (d = hex_digit(*s->p)) == -1)
			return fail(s, "bad escape");
		v = v << 4 | d;
		s->p++;
	}
	return v != 0 || fail(s, "NUL in a string");
}

static bool
scan_string(struct scan *s)
{
	const char *from;
	size_t n;

	if (!next_is(s, '"'))
		return fail(s, "a string was expected");
	for (from = s->p; s->p < s->end; s->p += n) {
		n = 1;
		if (*s->p == '"') {
			if ((size_t)(s->p - from) > s->longest)
				s->longest = (size_t)(s->p - from);
			s->p++;
			return true;
		}
		if (*s->p == '\\') {
			s->p++;
			if (!scan_escape(s))
				return false;
			n = 0;
		} else if (*s->p >= 0 && *s->p < ' ')
			return fail(s, "control character in a string");
		else if (*s->p < 0 &&
		    (n = utf8_len(s->p, (size_t)(s->end - s->p))) == 0)
			return fail(s, "not UTF-8");
	}
	return fail(s, "unfinished string");
}

static bool
scan_digits(struct scan *s)
{
	const char *from = s->p;

	while (s->p < s->end && *s->p >= '0' && *s->p <= '9')
		s->p++;
	return s->p != from || fail(s, "a digit was expected");
}

static bool
scan_number(struct scan *s)
{
	(void)next_is(s, '-');
	if (!next_is(s, '0') && !scan_digits(s))
		return false;
	if (next_is(s, '.') && !scan_digits(s))
		return false;
	if (next_is(s, 'e') || next_is(s, 'E')) {
		if (!next_is(s, '+'))
			(void)next_is(s, '-');
		return scan_digits(s);
	}
	return true;
}

static bool
scan_word(struct scan *s, const char *word)
{
	size_t n = strlen(word);

	if ((size_t)(s->end - s->p) < n || memcmp(s->p, word, n) != 0)
		return fail(s, "a value was expected");
	s->p += n;
	return true;
}

static bool scan_value(struct scan *, unsigned int);

/* What stands between the brackets, with the closing one. */
static bool
scan_group(struct scan *s, bool object, unsigned int depth)
{
	const char close = object ? '}' : ']';

	if (depth > DEPTH)
		return fail(s, "too deep");
	if (++s->groups > MAX_GROUPS)
		return fail(s, "too many objects");
	space(s);
	if (next_is(s, close))
		return true;
	do {
		space(s);
		if (object) {
			if (!scan_string(s))
				return false;
			space(s);
			if (!next_is(s, ':'))
				return fail(s, "a colon was expected");
		}
		if (!scan_value(s, depth))
			return false;
		space(s);
	} while (next_is(s, ','));
	return next_is(s, close) || fail(s, "a comma or end was expected");
}

static bool
scan_value(struct scan *s, unsigned int depth)
{
	if (++s->values > MAX_VALUES)
		return fail(s, "too many values");
	space(s);
	if (s->p == s->end)
		return fail(s, "unfinished");
	switch (*s->p) {
	case '{':
		s->p++;
		return scan_group(s, true, depth + 1);
	case '[':
		s->p++;
		return scan_group(s, false, depth + 1);
	case '"':
		return scan_string(s);
	case 't':
		return scan_word(s, "true");
	case 'f':
		return scan_word(s, "false");
	case 'n':
		return scan_word(s, "null");
	default:
		if (*s->p != '-' && (*s->p < '0' || *s->p > '9'))
			return fail(s, "a value was expected");
		return scan_number(s);
	}
}

static bool
scan_text(struct scan *s)
{
	if (!scan_value(s, 0))
		return false;
	space(s);
	return s->p == s->end || fail(s, "something follows the value");
}

/* Builds the tree of a checked text; *ok is false if json-c will not. */
static struct json_object *
build(const struct scan *s, bool *ok)
{
	struct json_tokener *tok;
	struct json_object *root;
	enum json_tokener_error err;

	*ok = false;
	if ((tok = json_tokener_new_ex(DEPTH + 2)) == NULL)
		return NULL;
	json_tokener_set_flags(tok, JSON_TOKENER_STRICT |
	    JSON_TOKENER_VALIDATE_UTF8);
	/* So that its scratch never moves, and all of it can be wiped. */
	(void)printbuf_memset(tok->pb, (int)s->longest + 64, 0, 1);
	printbuf_reset(tok->pb);
	root = json_tokener_parse_ex(tok, s->start, (int)(s->end - s->start));
	err = json_tokener_get_error(tok);
	if (err == json_tokener_continue) {	/* a bare number at the end */
		root = json_tokener_parse_ex(tok, " ", 1);
		err = json_tokener_get_error(tok);
	}
	*ok = err == json_tokener_success;
	wipe(tok->pb->buf, (size_t)tok->pb->size);
	json_tokener_free(tok);
	return root;
}

struct jdoc *
json_read(const void *p, size_t n, size_t max, const char **why, size_t *at)
{
	struct json_object *root = NULL;
	struct jdoc *doc;
	struct scan s;
	bool ok = false;

	memset(&s, 0, sizeof(s));
	s.start = s.p = n == 0 ? "" : p;
	s.end = s.start + n;
	if (n > max || n > INT_MAX - 1024)
		(void)fail(&s, "too long");
	else if (scan_text(&s)) {
		root = build(&s, &ok);
		if (!ok)
			(void)fail(&s, "not understood");
	}
	if (why != NULL)
		*why = s.why;
	if (at != NULL)
		*at = (size_t)(s.p - s.start);
	if (s.why != NULL) {
		json_object_put(root);
		return NULL;
	}
	doc = xmalloc(sizeof(*doc));
	doc->root = root;
	return doc;
}

/* json-c hands strings out as const, but they are ours. */
static void
wipe_string(struct json_object *o)
{
	const char *text;
	void *p;

	text = json_object_get_string(o);
	memcpy(&p, &text, sizeof(p));
	wipe(p, (size_t)json_object_get_string_len(o));
}

static void
wipe_strings(struct json_object *o)
{
	size_t i;

	switch (json_object_get_type(o)) {
	case json_type_string:
		wipe_string(o);
		break;
	case json_type_array:
		for (i = 0; i < json_object_array_length(o); i++)
			wipe_strings(json_object_array_get_idx(o, i));
		break;
	case json_type_object: {
		json_object_object_foreach(o, name, v) {
			(void)name;
			wipe_strings(v);
		}
		break;
	}
	default:
		break;
	}
}

void
jdoc_free(struct jdoc *doc, bool secret)
{
	if (doc == NULL)
		return;
	if (secret)
		wipe_strings(doc->root);
	json_object_put(doc->root);
	free(doc);
}

/* A jval is json-c's object, seen as const; json-c wants it without. */
static struct json_object *
object(const struct jval *v)
{
	struct json_object *o;

	memcpy(&o, &v, sizeof(o));
	return o;
}

static const struct jval *
val(struct json_object *o)
{
	return (const struct jval *)(const void *)o;
}

const struct jval *
jdoc_root(const struct jdoc *doc)
{
	return val(doc->root);
}

bool
jval_is_obj(const struct jval *v)
{
	return json_object_is_type(object(v), json_type_object) != 0;
}

bool
jval_is_arr(const struct jval *v)
{
	return json_object_is_type(object(v), json_type_array) != 0;
}

const struct jval *
jval_get(const struct jval *v, const char *name)
{
	struct json_object *found = NULL;

	if (!jval_is_obj(v))
		return NULL;
	/* Of names that differ in case only, the last counts, as in Go. */
	json_object_object_foreach(object(v), key, member)
		if (strcasecmp(key, name) == 0)
			found = member;
	return val(found);
}

size_t
jval_count(const struct jval *v)
{
	if (jval_is_arr(v))
		return json_object_array_length(object(v));
	if (jval_is_obj(v))
		return (size_t)json_object_object_length(object(v));
	return 0;
}

const struct jval *
jval_at(const struct jval *v, size_t k)
{
	if (!jval_is_arr(v))
		return NULL;
	return val(json_object_array_get_idx(object(v), k));
}

bool
jval_each(const struct jval *v, void **it, struct slice *name,
    const struct jval **value)
{
	struct lh_entry *e = *it;

	if (!jval_is_obj(v))
		return false;
	e = e == NULL ? lh_table_head(json_object_get_object(object(v))) :
	    e->next;
	if (e == NULL)
		return false;
	*it = e;
	*name = slice_str(lh_entry_k(e));
	*value = val(lh_entry_v(e));
	return true;
}

bool
jval_str(const struct jval *v, struct slice *out)
{
	struct json_object *o = object(v);

	if (!json_object_is_type(o, json_type_string))
		return false;
	*out = slice_mem(json_object_get_string(o),
	    (size_t)json_object_get_string_len(o));
	return true;
}

/*
 * json-c caps what is out of range, so the two ends of the range pass for
 * out of range as well.
 */
bool
jval_u64(const struct jval *v, uint64_t *out)
{
	struct json_object *o = object(v);
	uint64_t u;

	if (!json_object_is_type(o, json_type_int) ||
	    json_object_get_int64(o) < 0)
		return false;
	u = json_object_get_uint64(o);
	if (u == UINT64_MAX)
		return false;
	*out = u;
	return true;
}

bool
jval_i64(const struct jval *v, int64_t *out)
{
	struct json_object *o = object(v);
	int64_t i;

	if (!json_object_is_type(o, json_type_int))
		return false;
	i = json_object_get_int64(o);
	if (i == INT64_MAX || i == INT64_MIN)
		return false;
	*out = i;
	return true;
}

bool
jval_bool(const struct jval *v, bool *out)
{
	struct json_object *o = object(v);

	if (!json_object_is_type(o, json_type_boolean))
		return false;
	*out = json_object_get_boolean(o) != 0;
	return true;
}

bool
jval_double(const struct jval *v, double *out)
{
	struct json_object *o = object(v);

	if (!json_object_is_type(o, json_type_double) &&
	    !json_object_is_type(o, json_type_int))
		return false;
	*out = json_object_get_double(o);
	return true;
}
