#include <string.h>

#include "common/pol_int.h"

#define DEPTH_MAX	64

struct cur {
	const char	*p;
	const char	*end;
};

static bool
take(struct cur *c, char ch)
{
	if (c->p == c->end || *c->p != ch)
		return false;
	c->p++;
	return true;
}

static void
blanks(struct cur *c)
{
	while (c->p < c->end && (*c->p == ' ' || *c->p == '\t' ||
	    *c->p == '\n' || *c->p == '\r'))
		c->p++;
}

static bool
word(struct cur *c, const char *w)
{
	size_t n = strlen(w);

	if ((size_t)(c->end - c->p) < n || memcmp(c->p, w, n) != 0)
		return false;
	c->p += n;
	return true;
}

static bool
is_hex(char ch)
{
	return (ch >= '0' && ch <= '9') || (ch >= 'a' && ch <= 'f') ||
	    (ch >= 'A' && ch <= 'F');
}

static bool
escape(struct cur *c)
{
	int i;

	if (c->p == c->end)
		return false;
	if (*c->p != 'u')
		return *c->p != '\0' && strchr("\"\\/bfnrt", *c->p++) != NULL;
	c->p++;
	for (i = 0; i < 4; i++)
		if (c->p == c->end || !is_hex(*c->p++))
			return false;
	return true;
}

static bool
string(struct cur *c)
{
	size_t n;

	if (!take(c, '"'))
		return false;
	while (c->p < c->end) {
		if (take(c, '"'))
			return true;
		if (take(c, '\\')) {
			if (!escape(c))
				return false;
			continue;
		}
		if ((unsigned char)*c->p < 0x20)
			return false;
		if ((n = utf8_len(c->p, (size_t)(c->end - c->p))) == 0)
			return false;
		c->p += n;
	}
	return false;
}

static bool
digits(struct cur *c)
{
	const char *from = c->p;

	while (c->p < c->end && *c->p >= '0' && *c->p <= '9')
		c->p++;
	return c->p != from;
}

static bool
number(struct cur *c)
{
	(void)take(c, '-');
	if (!take(c, '0') && !digits(c))
		return false;
	if (take(c, '.') && !digits(c))
		return false;
	if (take(c, 'e') || take(c, 'E')) {
		if (!take(c, '+'))
			(void)take(c, '-');
		return digits(c);
	}
	return true;
}

static bool
scalar(struct cur *c)
{
	if (c->p == c->end)
		return false;
	switch (*c->p) {
	case '"':
		return string(c);
	case 't':
		return word(c, "true");
	case 'f':
		return word(c, "false");
	case 'n':
		return word(c, "null");
	default:
		return number(c);
	}
}

/* A member's name and colon. */
static bool
name(struct cur *c)
{
	blanks(c);
	if (!string(c))
		return false;
	blanks(c);
	if (!take(c, ':'))
		return false;
	blanks(c);
	return true;
}

/* Without recursion: open[] holds what is to be closed, innermost last. */
static bool
value(struct cur *c)
{
	char open[DEPTH_MAX];
	size_t depth = 0;

	for (;;) {
		if (take(c, '{') || take(c, '[')) {
			if (depth == DEPTH_MAX)
				return false;
			open[depth++] = c->p[-1] == '{' ? '}' : ']';
			blanks(c);
			if (c->p == c->end || *c->p != open[depth - 1]) {
				if (open[depth - 1] == '}' && !name(c))
					return false;
				continue;
			}
		} else if (!scalar(c))
			return false;
		for (;; depth--) {
			if (depth == 0)
				return true;
			blanks(c);
			if (!take(c, open[depth - 1]))
				break;
		}
		if (!take(c, ','))
			return false;
		blanks(c);
		if (open[depth - 1] == '}' && !name(c))
			return false;
	}
}

static struct cur
start(struct slice s)
{
	struct cur c;

	c.p = s.n == 0 ? "" : s.p;
	c.end = c.p + s.n;
	return c;
}

bool
pol_json_obj(struct slice s)
{
	struct cur c = start(s);

	return s.n != 0 && *c.p == '{' && value(&c) && c.p == c.end;
}

bool
pol_json_str(struct slice s)
{
	struct cur c = start(s);

	return string(&c) && c.p == c.end;
}

bool
pol_json_map(struct slice s)
{
	struct cur c = start(s);

	if (!take(&c, '{'))
		return false;
	if (!take(&c, '}')) {
		do {
			if (!string(&c) || !take(&c, ':') || !string(&c))
				return false;
		} while (take(&c, ','));
		if (!take(&c, '}'))
			return false;
	}
	return c.p == c.end;
}

bool
pol_json_list(struct slice s)
{
	struct cur c = start(s);

	if (!take(&c, '['))
		return false;
	do {
		if (!string(&c))
			return false;
	} while (take(&c, ','));
	return take(&c, ']') && c.p == c.end;
}

bool
pol_json_keys(struct slice s)
{
	struct cur c = start(s);

	do {
		if (!string(&c) || !word(&c, ":null"))
			return false;
	} while (take(&c, ','));
	return c.p == c.end;
}
