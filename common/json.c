#include <string.h>

#include "common/json.h"

/* What the octet becomes within a string; 0: itself, 1: see utf8_len(). */
static const char escape[256] = {
	'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', 'b', 't', 'n', 'u', 'f', 'r',
	'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u',
	'u', 'u', 'u', 'u', ['"'] = '"', ['\\'] = '\\', [128 ... 255] = 1
};

void
json_init(struct json *j, struct buf *b)
{
	memset(j, 0, sizeof(*j));
	j->b = b;
}

/* Room for n octets and one more: without a call while there is enough. */
static inline uint8_t *
room(struct buf *b, size_t n)
{
	if (b->cap - b->n > n)
		return b->p + b->n;
	return buf_room(b, n + 1);
}

/* Where to write up to n octets, a comma that was due being there already. */
static inline uint8_t *
value(struct json *j, size_t n)
{
	uint8_t *p;

	p = room(j->b, n);
	if (j->comma)
		*p++ = ',';
	j->comma = true;
	return p;
}

static inline void
done(struct json *j, const uint8_t *end)
{
	j->b->n = (size_t)(end - j->b->p);
}

static void
open_level(struct json *j, char c, bool array)
{
	uint8_t *p;

	p = value(j, 1);
	*p++ = (uint8_t)c;
	done(j, p);
	j->depth++;
	j->arr = j->arr << 1 | array;
	j->comma = false;
}

void
json_obj(struct json *j)
{
	open_level(j, '{', false);
}

void
json_arr(struct json *j)
{
	open_level(j, '[', true);
}

void
json_end(struct json *j)
{
	uint8_t *p;

	p = room(j->b, 1);
	*p++ = (j->arr & 1) != 0 ? ']' : '}';
	done(j, p);
	j->arr >>= 1;
	j->depth--;
	j->comma = true;
}

void
json_key_n(struct json *j, const char *name, size_t n)
{
	uint8_t *p;

	p = value(j, n + 3);
	*p++ = '"';
	memcpy(p, name, n);
	p += n;
	*p++ = '"';
	*p++ = ':';
	done(j, p);
	j->comma = false;
}

void
json_keys(struct json *j, struct slice name)
{
	json_str(j, name);
	buf_u8(j->b, ':');
	j->comma = false;
}

#define ONES	0x0101010101010101ULL

/* False if an octet of the eight may be < 0x20, " or \\, or >= 0x80. */
static inline bool
plain8(uint64_t w)
{
	uint64_t bad;

	bad = (w - ONES * 0x20) | ((w ^ ONES * '"') - ONES) |
	    ((w ^ ONES * '\\') - ONES) | w;
	return (bad & ONES << 7) == 0;
}

/*
 * Copies the octets at the start of s that stand for themselves, and maybe
 * others behind them within n: returns how many were good.
 */
static inline size_t
copy_plain(uint8_t *dst, const char *s, size_t n)
{
	uint64_t w;
	size_t i = 0;

	for (; n - i >= sizeof(w); i += sizeof(w)) {
		memcpy(&w, s + i, sizeof(w));
		if (!plain8(w))
			break;
		memcpy(dst + i, &w, sizeof(w));
	}
	if (i > 0 && n - i < sizeof(w)) {	/* the rest, overlapping */
		memcpy(&w, s + n - sizeof(w), sizeof(w));
		if (plain8(w)) {
			memcpy(dst + n - sizeof(w), &w, sizeof(w));
			return n;
		}
	}
	for (; i < n && escape[(unsigned char)s[i]] == 0; i++)
		dst[i] = (uint8_t)s[i];
	return i;
}

/* The octet or character at s, which is not plain; returns its octets. */
static size_t
special(struct buf *b, const char *s, size_t n)
{
	static const char digit[] = "0123456789abcdef";
	unsigned char c = (unsigned char)*s;
	char e = escape[c];
	size_t len;

	if (e == 1) {
		if ((len = utf8_len(s, n)) == 0) {
			buf_put(b, "\xef\xbf\xbd", 3);	/* U+FFFD */
			return 1;
		}
		buf_put(b, s, len);
		return len;
	}
	buf_u8(b, '\\');
	buf_u8(b, (uint8_t)e);
	if (e == 'u') {
		buf_put(b, "00", 2);
		buf_u8(b, (uint8_t)digit[c >> 4]);
		buf_u8(b, (uint8_t)digit[c & 15]);
	}
	return 1;
}

void
json_str(struct json *j, struct slice s)
{
	struct buf *b = j->b;
	uint8_t *p;
	size_t n;

	p = value(j, s.n + 2);
	*p++ = '"';
	for (;;) {
		n = copy_plain(p, s.p, s.n);
		done(j, p + n);
		if (n == s.n)
			break;
		s.p += n;
		s.n -= n;
		do {
			n = special(b, s.p, s.n);
			s.p += n;
			s.n -= n;
		} while (s.n != 0 && escape[(unsigned char)*s.p] != 0);
		p = buf_room(b, s.n + 1);
	}
	b->p[b->n++] = '"';	/* its room was asked for with the rest */
}

void
json_cstr(struct json *j, const char *s)
{
	json_str(j, slice_str(s));
}

static uint8_t *
digits(uint8_t *p, uint64_t v)
{
	static const char pair[] =
	    "00010203040506070809101112131415161718192021222324"
	    "25262728293031323334353637383940414243444546474849"
	    "50515253545556575859606162636465666768697071727374"
	    "75767778798081828384858687888990919293949596979899";
	uint64_t limit = 10;
	size_t n = 1, at;

	while (n < 20 && v >= limit) {
		limit *= 10;	/* beyond 10^19 it is not looked at */
		n++;
	}
	for (at = n; v >= 100; v /= 100) {
		at -= 2;
		memcpy(p + at, pair + 2 * (v % 100), 2);
	}
	if (at == 2)
		memcpy(p, pair + 2 * v, 2);
	else
		p[0] = (uint8_t)('0' + v);
	return p + n;
}

void
json_u64(struct json *j, uint64_t v)
{
	done(j, digits(value(j, 20), v));
}

void
json_i64(struct json *j, int64_t v)
{
	uint8_t *p;

	p = value(j, 21);
	if (v < 0)
		*p++ = '-';
	done(j, digits(p, v < 0 ? -(uint64_t)v : (uint64_t)v));
}

static void
literal(struct json *j, const char *s, size_t n)
{
	uint8_t *p;

	p = value(j, n);
	memcpy(p, s, n);
	done(j, p + n);
}

void
json_bool(struct json *j, bool v)
{
	if (v)
		literal(j, "true", 4);
	else
		literal(j, "false", 5);
}

void
json_null(struct json *j)
{
	literal(j, "null", 4);
}

void
json_raw(struct json *j, struct slice s)
{
	if (s.n != 0)
		literal(j, s.p, s.n);
}

void
json_comma(struct json *j, bool due)
{
	j->comma = due;
}
