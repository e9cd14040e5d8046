#include <stdio.h>

#include "dbd/policy/lex.h"

#define nitems(x)	(sizeof(x) / sizeof((x)[0]))
#define US		1000ULL
#define MS		(1000 * US)
#define SECOND		(1000 * MS)
#define MINUTE		(60 * SECOND)
#define HOUR		(60 * MINUTE)
#define MAX		((uint64_t)INT64_MAX + 1)	/* if it is negative */

static const struct {
	const char	*name;
	uint64_t	 ns;
} units[] = {
	{ "ns", 1 }, { "us", US }, { "\302\265s", US }, { "\316\274s", US },
	{ "ms", MS }, { "s", SECOND }, { "m", MINUTE }, { "h", HOUR }
};

static bool
is_digit(struct slice s)
{
	return s.n > 0 && *s.p >= '0' && *s.p <= '9';
}

static void
step(struct slice *s, size_t n)
{
	s->p += n;
	s->n -= n;
}

/* What stands before the next number is a unit, known or not. */
static struct slice
unit(struct slice *s)
{
	struct slice u = *s;

	while (s->n > 0 && *s->p != '.' && !is_digit(*s))
		step(s, 1);
	u.n -= s->n;
	return u;
}

/* Its nanoseconds; 0: there is no such unit. */
static uint64_t
unit_ns(struct slice u)
{
	size_t i;

	for (i = 0; i < nitems(units); i++)
		if (slice_eqs(u, units[i].name))
			return units[i].ns;
	return 0;
}

/* Digits after the point: their value is v / scale; some more do not count. */
static bool
fraction(struct slice *s, uint64_t *v, uint64_t *scale)
{
	bool any = false;

	*v = 0;
	*scale = 1;
	for (; is_digit(*s); step(s, 1)) {
		any = true;
		if (*scale >= 10000000000000000ULL)
			continue;
		*v = *v * 10 + (uint64_t)(*s->p - '0');
		*scale *= 10;
	}
	return any;
}

/* One number with its unit. */
static enum lex_duration
part(struct slice *s, uint64_t *out, struct slice *name)
{
	uint64_t v = 0, f = 0, scale = 1, ns;
	bool any;

	any = is_digit(*s);
	for (; is_digit(*s); step(s, 1)) {
		if (v > MAX / 10)
			return DURATION_BAD;
		v = v * 10 + (uint64_t)(*s->p - '0');
		if (v > MAX)
			return DURATION_BAD;
	}
	if (s->n > 0 && *s->p == '.') {
		step(s, 1);
		any = fraction(s, &f, &scale) || any;
	}
	if (!any)
		return DURATION_BAD;
	if ((*name = unit(s)).n == 0)
		return DURATION_BARE;
	if ((ns = unit_ns(*name)) == 0)
		return DURATION_UNIT;
	if (v > MAX / ns)
		return DURATION_BAD;
	v = v * ns + (uint64_t)((double)f * ((double)ns / (double)scale));
	if (v > MAX)
		return DURATION_BAD;
	*out = v;
	return DURATION_OK;
}

enum lex_duration
lex_duration(struct slice s, int64_t *out, struct slice *name)
{
	enum lex_duration what;
	uint64_t sum = 0, v;
	bool minus = false;

	if (s.n > 0 && (*s.p == '-' || *s.p == '+')) {
		minus = *s.p == '-';
		step(&s, 1);
	}
	*out = 0;
	if (slice_eqs(s, "0"))
		return DURATION_OK;
	if (s.n == 0)
		return DURATION_BAD;
	while (s.n > 0) {
		if ((what = part(&s, &v, name)) != DURATION_OK)
			return what;
		if (v > MAX - sum)
			return DURATION_BAD;
		sum += v;
	}
	if (!minus && sum == MAX)
		return DURATION_BAD;
	*out = minus && sum != 0 ? -(int64_t)(sum - 1) - 1 : (int64_t)sum;
	return DURATION_OK;
}

/* v / one with the fraction that it needs, and the unit. */
static void
print_small(char buf[40], const char *sign, uint64_t v, uint64_t one,
    const char *name)
{
	char digits[16];
	uint64_t rest = v % one;
	int n = 0;

	if (rest == 0) {
		(void)snprintf(buf, 40, "%s%llu%s", sign,
		    (unsigned long long)(v / one), name);
		return;
	}
	for (; rest != 0; rest %= one) {
		rest *= 10;
		digits[n++] = (char)('0' + rest / one);
	}
	(void)snprintf(buf, 40, "%s%llu.%.*s%s", sign,
	    (unsigned long long)(v / one), n, digits, name);
}

void
lex_duration_print(char buf[40], int64_t ns)
{
	const char *sign = ns < 0 ? "-" : "";
	uint64_t v = ns < 0 ? -(uint64_t)ns : (uint64_t)ns;
	char sec[40];

	if (v == 0)
		(void)snprintf(buf, 40, "0s");
	else if (v < US)
		print_small(buf, sign, v, 1, "ns");
	else if (v < MS)
		print_small(buf, sign, v, US, "\302\265s");
	else if (v < SECOND)
		print_small(buf, sign, v, MS, "ms");
	else if (v < MINUTE)
		print_small(buf, sign, v, SECOND, "s");
	else {
		print_small(sec, "", v % MINUTE, SECOND, "s");
		if (v < HOUR)
			(void)snprintf(buf, 40, "%s%llum%.20s", sign,
			    (unsigned long long)(v / MINUTE), sec);
		else
			(void)snprintf(buf, 40, "%s%lluh%llum%.20s", sign,
			    (unsigned long long)(v / HOUR),
			    (unsigned long long)(v / MINUTE % 60), sec);
	}
}
