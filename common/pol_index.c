#include <stdlib.h>
#include <string.h>

#include "common/pol_hit.h"
#include "common/pol_int.h"

/* Ones below the first bits of so many. */
static struct ip_num
host_ones(unsigned int bits, unsigned int all)
{
	struct ip_num v = { 0, 0 };
	unsigned int n = all - bits;

	if (n >= 64)
		v.lo = UINT64_MAX;
	else
		v.lo = (UINT64_C(1) << n) - 1;
	if (n >= 128)
		v.hi = UINT64_MAX;
	else if (n > 64)
		v.hi = (UINT64_C(1) << (n - 64)) - 1;
	return v;
}

void
pol_prefix_span(const struct prefix *p, struct ip_num *lo, struct ip_num *hi)
{
	struct ip_num ones;

	ones = host_ones(p->bits, p->addr.family == 4 ? 32 : 128);
	*lo = ip_num(&p->addr);
	hi->hi = lo->hi | ones.hi;
	hi->lo = lo->lo | ones.lo;
}

bool
pol_prefix_ok(const struct prefix *p)
{
	unsigned int all = p->addr.family == 4 ? 32 : 128;
	struct ip_num lo, ones;

	if (p->bits > all)
		return false;
	lo = ip_num(&p->addr);
	ones = host_ones(p->bits, all);
	return (lo.hi & ones.hi) == 0 && (lo.lo & ones.lo) == 0;
}

int
pol_prefix_bits(const struct ip *lo, const struct ip *hi)
{
	unsigned int all = lo->family == 4 ? 32 : 128, bits;
	struct ip_num a = ip_num(lo), b = ip_num(hi), ones;

	for (bits = 0; bits <= all; bits++) {
		ones = host_ones(bits, all);
		if ((a.hi ^ b.hi) == ones.hi && (a.lo ^ b.lo) == ones.lo)
			return (a.hi & ones.hi) == 0 && (a.lo & ones.lo) == 0 ?
			    (int)bits : -1;
	}
	return -1;
}

static size_t
copy_ip(char *dst, const struct ip *ip)
{
	char text[IP_TEXT];
	size_t n;

	n = ip_print(text, ip);
	memcpy(dst, text, n + 1);
	return n;
}

size_t
pol_range_print(char dst[POL_RANGE_TEXT], const struct ip *lo,
    const struct ip *hi, bool span)
{
	struct prefix p;
	char text[PREFIX_TEXT];
	size_t n;
	int bits;

	if (!span && ip_eq(lo, hi))
		return copy_ip(dst, lo);
	if (!span && (bits = pol_prefix_bits(lo, hi)) != -1) {
		p.addr = *lo;
		p.bits = (uint8_t)bits;
		n = prefix_print(text, &p);
		memcpy(dst, text, n + 1);
		return n;
	}
	n = copy_ip(dst, lo);
	dst[n++] = '-';
	return n + copy_ip(dst + n, hi);
}

struct by_text {
	struct slice	 text;
	uint32_t	 sel;
};

static int
cmp_text(const void *a, const void *b)
{
	const struct by_text *x = a, *y = b;

	return slice_cmp(x->text, y->text);
}

static int
cmp_owned(const void *a, const void *b)
{
	const struct pol_owned *x = a, *y = b;

	if (x->user != y->user)
		return x->user < y->user ? -1 : 1;
	return x->sel < y->sel ? -1 : x->sel > y->sel;
}

static int
cmp_span(const void *a, const void *b)
{
	const struct pol_span *x = a, *y = b;
	int c;

	if ((c = ip_num_cmp(x->lo, y->lo)) != 0)
		return c;
	return x->sel < y->sel ? -1 : x->sel > y->sel;
}

/* The highest end in v[0..n), which is set at every root below. */
static struct ip_num
span_tree(struct pol_span *v, uint32_t n)
{
	uint32_t mid = n / 2;
	struct ip_num max, m;

	max = v[mid].hi;
	if (mid > 0 && ip_num_cmp(m = span_tree(v, mid), max) > 0)
		max = m;
	if (mid + 1 < n && ip_num_cmp(m = span_tree(v + mid + 1,
	    n - mid - 1), max) > 0)
		max = m;
	return v[mid].max = max;
}

static const char *
index_tags(struct pol *p, uint32_t n)
{
	struct pol_index *x = p->index;
	struct by_text *v;
	uint32_t i, k;
	const char *err = NULL;

	if (n == 0)
		return NULL;
	v = xcalloc(n, sizeof(*v));
	for (i = k = 0; i < p->nsels; i++)
		if (p->sel[i].kind == POL_TAG) {
			v[k].text = p->sel[i].text;
			v[k++].sel = i;
		}
	qsort(v, n, sizeof(*v), cmp_text);
	x->tag = pol_take(p, n, sizeof(*x->tag));
	x->ntags = n;
	for (i = 0; i < n; i++) {
		x->tag[i] = v[i].sel;
		if (i > 0 && slice_eq(v[i - 1].text, v[i].text))
			err = "a tag is selected twice";
	}
	free(v);
	return err;
}

static void
index_users(struct pol *p, size_t n)
{
	struct pol_index *x = p->index;
	uint32_t i, k;

	x->user = pol_take(p, n, sizeof(*x->user));
	for (i = 0; i < p->nsels; i++) {
		if (p->sel[i].kind != POL_USERS)
			continue;
		for (k = 0; k < p->sel[i].nusers; k++) {
			x->user[x->nusers].user = p->sel[i].user[k];
			x->user[x->nusers++].sel = i;
		}
	}
	if (n != 0)
		qsort(x->user, n, sizeof(*x->user), cmp_owned);
}

static void
index_ranges(struct pol *p, const uint32_t n[2])
{
	struct pol_index *x = p->index;
	const struct pol_sel *s;
	struct pol_span *v;
	uint32_t i;
	size_t f;

	for (f = 0; f < 2; f++)
		x->span[f] = pol_take(p, n[f], sizeof(*x->span[f]));
	for (i = 0; i < p->nsels; i++) {
		s = &p->sel[i];
		if (s->kind != POL_RANGE)
			continue;
		f = s->lo.family == 6;
		v = &x->span[f][x->nspans[f]++];
		v->lo = ip_num(&s->lo);
		v->hi = ip_num(&s->hi);
		v->sel = i;
	}
	for (f = 0; f < 2; f++) {
		if (n[f] == 0)
			continue;
		qsort(x->span[f], n[f], sizeof(*x->span[f]), cmp_span);
		(void)span_tree(x->span[f], n[f]);
	}
}

/* The one selector of a kind that cannot differ. */
static const char *
only(uint32_t *at, uint32_t i)
{
	if (*at != POL_NONE)
		return "a selector is there twice";
	*at = i;
	return NULL;
}

const char *
pol_index_make(struct pol *p)
{
	struct pol_index *x;
	uint32_t i, tags = 0, ranges[2] = { 0, 0 };
	size_t users = 0;
	const char *err = NULL;

	x = p->index = pol_take(p, 1, sizeof(*x));
	x->any = x->tailnet = x->member = x->tagged = POL_NONE;
	x->ident = pol_take(p, POL_WORDS(p), sizeof(*x->ident));
	for (i = 0; i < p->nsels && err == NULL; i++) {
		if (p->sel[i].kind != POL_RANGE)
			x->ident[i / 64] |= UINT64_C(1) << i % 64;
		switch (p->sel[i].kind) {
		case POL_ANY:
			err = only(&x->any, i);
			break;
		case POL_TAILNET:
			err = only(&x->tailnet, i);
			break;
		case POL_MEMBER:
			err = only(&x->member, i);
			break;
		case POL_TAGGED:
			err = only(&x->tagged, i);
			break;
		case POL_USERS:
			users += p->sel[i].nusers;
			break;
		case POL_TAG:
			tags++;
			break;
		default:
			ranges[p->sel[i].lo.family == 6]++;
		}
	}
	if (err == NULL)
		err = index_tags(p, tags);
	if (err != NULL)
		return err;
	index_users(p, users);
	index_ranges(p, ranges);
	return NULL;
}
