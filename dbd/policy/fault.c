#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dbd/policy/read_int.h"

#define nitems(x)	(sizeof(x) / sizeof((x)[0]))
#define QUOTE_MAX	400	/* octets of a quoted text in a message */
#define LINE_MAX	2000	/* octets of a message (msg.tbl: pol_text) */
#define DETAILS_MAX	63	/* lines of detail */

/* Characters that Go does not print, besides controls. */
static const struct {
	uint32_t	 first;
	uint32_t	 last;
} unprintable[] = {
	{ 0x80, 0xa0 }, { 0xad, 0xad }, { 0x1680, 0x1680 },
	{ 0x180e, 0x180e }, { 0x2000, 0x200f }, { 0x2028, 0x202f },
	{ 0x205f, 0x206f }, { 0x3000, 0x3000 }, { 0xe000, 0xf8ff },
	{ 0xfeff, 0xfeff }, { 0xfff0, 0xfffb }, { 0xfffe, 0xffff },
	{ 0xe0000, 0x10ffff }
};

static uint32_t
decode(const char *p, size_t n)
{
	const unsigned char *u = (const unsigned char *)p;
	uint32_t c;
	size_t i;

	c = n == 1 ? u[0] : u[0] & (0x7fu >> n);
	for (i = 1; i < n; i++)
		c = c << 6 | (u[i] & 0x3f);
	return c;
}

static bool
printable(uint32_t c)
{
	size_t i;

	for (i = 0; i < nitems(unprintable); i++)
		if (c >= unprintable[i].first && c <= unprintable[i].last)
			return false;
	return true;
}

static void
quote_char(struct buf *b, const char *p, size_t n)
{
	static const char from[] = "\a\b\f\n\r\t\v\"\\", to[] = "abfnrtv\"\\";
	uint32_t c = decode(p, n);
	const char *at;

	if (c != 0 && c < 0x80 && (at = strchr(from, (int)c)) != NULL)
		buf_printf(b, "\\%c", to[at - from]);
	else if (c < 0x20 || c == 0x7f)
		buf_printf(b, "\\x%02x", c);
	else if (printable(c))
		buf_put(b, p, n);
	else
		buf_printf(b, c < 0x10000 ? "\\u%04x" : "\\U%08x", c);
}

const char *
quote(struct reading *r, struct slice s)
{
	struct buf b = { 0 };
	struct slice out;
	size_t i, n;

	if (r->nfaults > DETAILS_MAX)	/* nobody will read it */
		return "\"\"";
	buf_u8(&b, '"');
	for (i = 0; i < s.n && b.n < QUOTE_MAX; i += n) {
		if ((n = utf8_len(s.p + i, s.n - i)) == 0) {
			buf_printf(&b, "\\x%02x", (unsigned char)s.p[i]);
			n = 1;
		} else
			quote_char(&b, s.p + i, n);
	}
	buf_str(&b, i < s.n ? "\"..." : "\"");
	out = arena_copy(r->a, buf_slice_of(&b));
	buf_free(&b);
	return out.p;
}

/* The octets of s that fit into a message, without half a character. */
static struct slice
cut(struct slice s)
{
	if (s.n <= LINE_MAX)
		return s;
	for (s.n = LINE_MAX; s.n > 0; s.n--)
		if (((unsigned char)s.p[s.n] & 0xc0) != 0x80)
			break;
	return s;
}

static void
detail(struct reading *r, struct pos pos, bool place, struct slice line)
{
	if (r->ndetails >= DETAILS_MAX || r->err->detail == NULL)
		return;
	r->ndetails++;
	if (place)
		buf_printf(r->err->detail, "line %u, column %u: ", pos.line,
		    pos.column);
	buf_slice(r->err->detail, line);
	buf_u8(r->err->detail, '\n');
}

static void
note(struct reading *r, struct pos pos, struct slice text)
{
	if (r->nfaults++ > 0)
		return;
	r->err->pos = pos;
	if (r->err->text != NULL)
		buf_slice(r->err->text, text);
}

static struct slice format(struct buf *, const char *, va_list)
    __attribute__((__format__(printf, 2, 0)));

static struct slice
format(struct buf *b, const char *fmt, va_list ap)
{
	char *s;
	int n;

	if ((n = vasprintf(&s, fmt, ap)) != -1) {
		buf_put(b, s, (size_t)n);
		free(s);
	}
	return cut(buf_slice_of(b));
}

bool
fault(struct reading *r, struct pos pos, const char *fmt, ...)
{
	struct buf b = { 0 };
	struct slice line;
	va_list ap;

	va_start(ap, fmt);
	line = format(&b, fmt, ap);
	va_end(ap);
	if (r->nfaults > 0)
		detail(r, pos, true, line);
	note(r, pos, line);
	buf_free(&b);
	return false;
}

bool
fault_test(struct reading *r, struct pos pos, const char *fmt, ...)
{
	struct buf b = { 0 };
	va_list ap;

	note(r, pos, slice_str("test(s) failed"));
	va_start(ap, fmt);
	detail(r, pos, false, format(&b, fmt, ap));
	va_end(ap);
	buf_free(&b);
	return false;
}

bool
want_kind(struct reading *r, const struct hj *v, enum hj_kind kind)
{
	struct buf b = { 0 }, path = { 0 };
	struct slice s;

	if (v->kind == kind)
		return true;
	if (r->nfaults > DETAILS_MAX)
		return false;
	hj_path(&path, v);
	s = buf_slice_of(&path);
	if (s.n > QUOTE_MAX)
		for (s.n = QUOTE_MAX; ((unsigned char)s.p[s.n] & 0xc0) == 0x80;)
			s.n--;
	buf_printf(&b, "line %u, column %u: %.*s must be %s, not %s",
	    v->pos.line, v->pos.column, s.n == 0 ? 10 : (int)s.n,
	    s.n == 0 ? "the policy" : s.p, hj_kind_name(kind),
	    hj_kind_name(v->kind));
	if (r->nfaults > 0)
		detail(r, v->pos, false, buf_slice_of(&b));
	note(r, v->pos, buf_slice_of(&b));
	buf_free(&path);
	buf_free(&b);
	return false;
}
