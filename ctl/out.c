#include <string.h>

#include "common/compat/compat.h"
#include "ctl/out.h"

#define VIS_CHUNK	256

void
out_vis(struct buf *b, struct slice s)
{
	size_t n;

	while (s.n > 0) {
		n = s.n < VIS_CHUNK ? s.n : VIS_CHUNK;
		b->n += (size_t)strvisx((char *)buf_room(b, 4 * n + 1), s.p, n,
		    VIS_OCTAL | VIS_CSTYLE | VIS_TAB | VIS_NL);
		s.p += n;
		s.n -= n;
	}
}

void
out_span(struct buf *b, uint64_t s)
{
	static const struct {
		uint64_t	 from;
		uint64_t	 unit;
		char		 name;
	} step[] = {
		{ 2 * 365 * 86400, 365 * 86400, 'y' },
		{ 2 * 86400, 86400, 'd' },
		{ 2 * 3600, 3600, 'h' },
		{ 2 * 60, 60, 'm' },
		{ 0, 1, 's' },
	};
	size_t i = 0;

	while (s < step[i].from)
		i++;
	buf_printf(b, "%llu%c", (unsigned long long)(s / step[i].unit),
	    step[i].name);
}

void
out_when(struct buf *b, int64_t at, int64_t now)
{
	if (at == 0) {
		buf_str(b, "never");
	} else if (at > now) {
		buf_str(b, "in ");
		out_span(b, (uint64_t)at - (uint64_t)now);
	} else {
		out_span(b, (uint64_t)now - (uint64_t)at);
		buf_str(b, " ago");
	}
}

void
out_date(struct buf *b, int64_t at)
{
	char text[32];

	if (at == 0) {
		buf_str(b, "-");
		return;
	}
	(void)time_rfc3339(text, at);
	buf_put(b, text, 10);
}

void
out_json_time(struct json *j, const char *key, int64_t at)
{
	char text[32];

	json_key(j, key);
	if (at == 0) {
		json_null(j);
		return;
	}
	(void)time_rfc3339(text, at);
	json_cstr(j, text);
}

void
out_json_u64(struct json *j, const char *key, uint64_t n)
{
	json_key(j, key);
	json_u64(j, n);
}

void
out_json_bool(struct json *j, const char *key, bool v)
{
	json_key(j, key);
	json_bool(j, v);
}

void
out_json_str(struct json *j, const char *key, struct slice s)
{
	json_key(j, key);
	json_str(j, s);
}

static void
newline(struct buf *b, unsigned int depth)
{
	buf_u8(b, '\n');
	while (depth-- > 0)
		buf_str(b, "  ");
}

/* Within a string: DEL, and C1 controls, which are two octets of UTF-8. */
static size_t
string_octet(struct buf *b, const char *s, size_t n)
{
	unsigned char c = (unsigned char)s[0];

	if (c == 0x7f || (c == 0xc2 && n > 1 &&
	    (unsigned char)s[1] < 0xa0)) {
		buf_printf(b, "\\u%04x", c == 0x7f ? c : (unsigned char)s[1]);
		return c == 0x7f ? 1 : 2;
	}
	buf_u8(b, c);
	if (c != '\\' || n < 2)
		return 1;
	buf_u8(b, (uint8_t)s[1]);
	return 2;
}

void
out_pretty(struct buf *b, struct slice in)
{
	unsigned int depth = 0;
	bool string = false;
	size_t i = 0, step;
	char c;

	while (i < in.n) {
		c = in.p[i];
		step = 1;
		if (string) {
			step = string_octet(b, in.p + i, in.n - i);
			string = c != '"';
		} else if ((c == '{' || c == '[') && i + 1 < in.n &&
		    (in.p[i + 1] == '}' || in.p[i + 1] == ']')) {
			buf_put(b, in.p + i, 2);
			step = 2;
		} else if (c == '{' || c == '[') {
			buf_u8(b, (uint8_t)c);
			newline(b, ++depth);
		} else if (c == '}' || c == ']') {
			newline(b, --depth);
			buf_u8(b, (uint8_t)c);
		} else {
			buf_u8(b, (uint8_t)c);
			if (c == ',')
				newline(b, depth);
			else if (c == ':')
				buf_u8(b, ' ');
			string = c == '"';
		}
		i += step;
	}
	buf_u8(b, '\n');
}
