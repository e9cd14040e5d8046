#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/compat/compat.h"
#include "common/log.h"
#include "common/str.h"

#define DAY		86400
#define ZERO_TIME	(-62135596800LL)	/* 0001-01-01 */
#define MAX_TIME	253402300799LL		/* 9999-12-31 23:59:59 */

struct slice
slice_str(const char *s)
{
	return slice_mem(s, s == NULL ? 0 : strlen(s));
}

struct slice
slice_mem(const void *p, size_t n)
{
	struct slice s;

	s.p = p;
	s.n = n;
	return s;
}

bool
slice_eq(struct slice a, struct slice b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

bool
slice_eqs(struct slice a, const char *s)
{
	return slice_eq(a, slice_str(s));
}

bool
slice_prefix(struct slice s, const char *prefix)
{
	size_t n = strlen(prefix);

	return s.n >= n && (n == 0 || memcmp(s.p, prefix, n) == 0);
}

int
slice_cmp(struct slice a, struct slice b)
{
	size_t n = a.n < b.n ? a.n : b.n;
	int c;

	if (n != 0 && (c = memcmp(a.p, b.p, n)) != 0)
		return c;
	return a.n < b.n ? -1 : a.n > b.n;
}

char *
slice_dup(struct slice s)
{
	char *d;

	d = xmalloc(s.n + 1);
	if (s.n != 0)
		memcpy(d, s.p, s.n);
	d[s.n] = '\0';
	return d;
}

bool
slice_copy(char *dst, size_t n, struct slice s)
{
	if (n == 0)
		return false;
	dst[0] = '\0';
	if (s.n >= n || (s.n != 0 && memchr(s.p, '\0', s.n) != NULL))
		return false;
	if (s.n != 0)
		memcpy(dst, s.p, s.n);
	dst[s.n] = '\0';
	return true;
}

size_t
utf8_len(const char *s, size_t n)
{
	const unsigned char *p = (const unsigned char *)s;
	size_t i, len;

	if (p[0] >= 0xc2 && p[0] <= 0xdf)
		len = 2;
	else if (p[0] >= 0xe0 && p[0] <= 0xef)
		len = 3;
	else if (p[0] >= 0xf0 && p[0] <= 0xf4)
		len = 4;
	else
		return p[0] != 0 && p[0] < 0x80;
	if (n < len)
		return 0;
	for (i = 1; i < len; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	/* Overlong forms, surrogates, and what is above U+10FFFF. */
	if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
	    (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
		return 0;
	return len;
}

bool
utf8_ok(const char *s, size_t n)
{
	const uint64_t ones = 0x0101010101010101ULL;
	uint64_t w;
	size_t len;

	while (n > 0) {
		if (n >= sizeof(w)) {	/* eight of ASCII without NUL */
			memcpy(&w, s, sizeof(w));
			if (((w | (w - ones)) & ones << 7) == 0) {
				s += sizeof(w);
				n -= sizeof(w);
				continue;
			}
		}
		if (*s > 0)
			len = 1;
		else if ((len = utf8_len(s, n)) == 0)
			return false;
		s += len;
		n -= len;
	}
	return true;
}

static bool
is_alnum(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	    (c >= '0' && c <= '9');
}

bool
dns_name_ok(struct slice s)
{
	size_t i, start = 0;

	if (s.n > 0 && s.p[s.n - 1] == '.')
		s.n--;
	if (s.n == 0 || s.n > 253)
		return false;
	for (i = 0; i <= s.n; i++) {
		if (i < s.n && s.p[i] != '.') {
			if (!is_alnum(s.p[i]) && s.p[i] != '-' &&
			    s.p[i] != '_')
				return false;
			continue;
		}
		if (i == start || i - start > 63)
			return false;
		if (s.p[start] == '-' || s.p[i - 1] == '-')
			return false;
		start = i + 1;
	}
	return true;
}

void
dns_label(char dst[64], struct slice name)
{
	size_t i, n = 0;
	bool gap = false;
	char c;

	for (i = 0; i < name.n; i++) {
		c = name.p[i];
		if (!is_alnum(c)) {
			gap = true;
			continue;
		}
		if (n + (gap && n > 0) >= 63)
			break;
		if (gap && n > 0)
			dst[n++] = '-';
		gap = false;
		dst[n++] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
	}
	dst[n] = '\0';
	if (n == 0)
		(void)strlcpy(dst, "node", 64);
}

int64_t
duration_parse(const char *s)
{
	int64_t n = 0, unit;

	if (*s < '0' || *s > '9')
		return -1;
	for (; *s >= '0' && *s <= '9'; s++) {
		if (n > (INT64_MAX - (*s - '0')) / 10)
			return -1;
		n = n * 10 + (*s - '0');
	}
	switch (*s) {
	case '\0':
	case 's':
		unit = 1;
		break;
	case 'm':
		unit = 60;
		break;
	case 'h':
		unit = 3600;
		break;
	case 'd':
		unit = DAY;
		break;
	case 'w':
		unit = 7 * DAY;
		break;
	case 'y':
		unit = 365 * (int64_t)DAY;
		break;
	default:
		return -1;
	}
	if (*s != '\0' && s[1] != '\0')
		return -1;
	return n > INT64_MAX / unit ? -1 : n * unit;
}

/* Days from 1970-01-01 to a date of the proleptic Gregorian calendar. */
static int64_t
days_of(int64_t y, int64_t m, int64_t d)
{
	int64_t era, yoe, doy;

	if (m <= 2)		/* a year begins in March: leap days end it */
		y--;
	era = (y >= 0 ? y : y - 399) / 400;
	yoe = y - era * 400;
	doy = (153 * (m > 2 ? m - 3 : m + 9) + 2) / 5 + d - 1;
	return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static void
date_of(int64_t days, int64_t *y, int64_t *m, int64_t *d)
{
	int64_t era, doe, yoe, doy, mp;

	days += 719468;
	era = (days >= 0 ? days : days - 146096) / 146097;
	doe = days - era * 146097;
	yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	mp = (5 * doy + 2) / 153;
	*d = doy - (153 * mp + 2) / 5 + 1;
	*m = mp < 10 ? mp + 3 : mp - 9;
	*y = yoe + era * 400 + (*m <= 2);
}

static char *
put_digits(char *p, int64_t v, int n)
{
	int i;

	for (i = n - 1; i >= 0; i--) {
		p[i] = (char)('0' + v % 10);
		v /= 10;
	}
	return p + n;
}

size_t
time_rfc3339(char dst[32], int64_t t)
{
	int64_t days, secs, y, m, d;
	char *p = dst;

	if (t == 0 || t < ZERO_TIME)
		t = ZERO_TIME;
	if (t > MAX_TIME)
		t = MAX_TIME;
	days = t >= 0 ? t / DAY : -((-t + DAY - 1) / DAY);
	secs = t - days * DAY;
	date_of(days, &y, &m, &d);
	p = put_digits(p, y, 4);
	*p++ = '-';
	p = put_digits(p, m, 2);
	*p++ = '-';
	p = put_digits(p, d, 2);
	*p++ = 'T';
	p = put_digits(p, secs / 3600, 2);
	*p++ = ':';
	p = put_digits(p, secs / 60 % 60, 2);
	*p++ = ':';
	p = put_digits(p, secs % 60, 2);
	*p++ = 'Z';
	*p = '\0';
	return (size_t)(p - dst);
}

/* n digits at *s, a number from lo to hi; -1 if not.  Moves *s on. */
static int64_t
digits(struct slice *s, size_t n, int64_t lo, int64_t hi)
{
	int64_t v = 0;
	size_t i;

	if (s->n < n)
		return -1;
	for (i = 0; i < n; i++) {
		if (s->p[i] < '0' || s->p[i] > '9')
			return -1;
		v = v * 10 + (s->p[i] - '0');
	}
	if (v < lo || v > hi)
		return -1;
	s->p += n;
	s->n -= n;
	return v;
}

static bool
skip(struct slice *s, char c)
{
	if (s->n == 0 || *s->p != c)
		return false;
	s->p++;
	s->n--;
	return true;
}

static bool
parse_zone(struct slice *s, int64_t *offset)
{
	int64_t h, m, sign;

	*offset = 0;
	if (skip(s, 'Z'))
		return true;
	if (skip(s, '+'))
		sign = 1;
	else if (skip(s, '-'))
		sign = -1;
	else
		return false;
	if ((h = digits(s, 2, 0, 23)) == -1 || !skip(s, ':') ||
	    (m = digits(s, 2, 0, 59)) == -1)
		return false;
	*offset = sign * (h * 3600 + m * 60);
	return true;
}

bool
time_parse(int64_t *out, struct slice s)
{
	static const int len[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31,
	    30, 31 };
	int64_t y, mo, d, h, mi, sec, off, t;
	bool leap;

	if ((y = digits(&s, 4, 0, 9999)) == -1 || !skip(&s, '-') ||
	    (mo = digits(&s, 2, 1, 12)) == -1 || !skip(&s, '-'))
		return false;
	leap = y % 4 == 0 && (y % 100 != 0 || y % 400 == 0);
	d = digits(&s, 2, 1, len[mo - 1] + (mo == 2 && leap));
	if (d == -1 || !skip(&s, 'T') ||
	    (h = digits(&s, 2, 0, 23)) == -1 || !skip(&s, ':') ||
	    (mi = digits(&s, 2, 0, 59)) == -1 || !skip(&s, ':') ||
	    (sec = digits(&s, 2, 0, 59)) == -1)
		return false;
	if (skip(&s, '.')) {
		if (digits(&s, 1, 0, 9) == -1)
			return false;
		while (digits(&s, 1, 0, 9) != -1)
			continue;
	}
	if (!parse_zone(&s, &off) || s.n != 0)
		return false;
	t = days_of(y, mo, d) * DAY + h * 3600 + mi * 60 + sec - off;
	*out = t == ZERO_TIME ? 0 : t;
	return true;
}

void *
xmalloc(size_t n)
{
	void *p;

	if ((p = malloc(n == 0 ? 1 : n)) == NULL)
		fatalx("out of memory");
	return p;
}

void *
xcalloc(size_t n, size_t size)
{
	void *p;

	if ((p = calloc(n == 0 ? 1 : n, size == 0 ? 1 : size)) == NULL)
		fatalx("out of memory");
	return p;
}

void *
xrealloc(void *old, size_t n, size_t size)
{
	void *p;

	p = reallocarray(old, n == 0 ? 1 : n, size == 0 ? 1 : size);
	if (p == NULL)
		fatalx("out of memory");
	return p;
}

char *
xstrdup(const char *s)
{
	return slice_dup(slice_str(s));
}
