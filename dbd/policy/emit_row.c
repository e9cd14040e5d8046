#include <stdlib.h>
#include <string.h>

#include "dbd/policy/emit_int.h"

/* An address of either family in the order of both. */
struct span {
	struct ip_num	 lo, hi;
};

static int
span_cmp(const void *a, const void *b)
{
	const struct span *x = a, *y = b;

	return ip_num_cmp(x->lo, y->lo);
}

/* v, in order, leaves no hole in lo..hi. */
static bool
covers(const struct span *v, size_t n, const char *lo_text,
    const char *hi_text)
{
	struct ip ip;
	struct ip_num at, hi;
	size_t i;

	(void)ip_parse(&ip, slice_str(lo_text));
	at = ip_num(&ip);
	(void)ip_parse(&ip, slice_str(hi_text));
	hi = ip_num(&ip);
	for (i = 0; i < n && ip_num_cmp(v[i].lo, at) <= 0; i++) {
		if (ip_num_cmp(v[i].hi, at) < 0)
			continue;
		if (ip_num_cmp(v[i].hi, hi) >= 0)
			return true;
		at = v[i].hi;
		if (++at.lo == 0)
			at.hi++;
	}
	return false;
}

/* All of IPv4, all of IPv6, or all of autogroup:internet. */
static bool
spans_cover(struct span *v4, size_t n4, struct span *v6, size_t n6)
{
	const char *all6 = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff";

	if (n4 != 0)
		qsort(v4, n4, sizeof(*v4), span_cmp);
	if (n6 != 0)
		qsort(v6, n6, sizeof(*v6), span_cmp);
	if (covers(v4, n4, "0.0.0.0", "255.255.255.255") ||
	    covers(v6, n6, "::", all6))
		return true;
	return covers(v6, n6, "2000::",
	    "3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff") &&
	    covers(v4, n4, "0.0.0.0", "9.255.255.255") &&
	    covers(v4, n4, "11.0.0.0", "100.63.255.255") &&
	    covers(v4, n4, "100.128.0.0", "169.253.255.255") &&
	    covers(v4, n4, "169.255.0.0", "172.15.255.255") &&
	    covers(v4, n4, "172.32.0.0", "192.167.255.255") &&
	    covers(v4, n4, "192.169.0.0", "255.255.255.255");
}

bool
emit_covers_internet(const struct emit *e, const struct pol_dst *dst,
    uint32_t n)
{
	const struct pol_sel *s;
	struct span *v[2];
	size_t count[2] = { 0, 0 };
	uint32_t i, f;
	bool all = false;

	v[0] = xcalloc((size_t)n + 1, sizeof(*v[0]));
	v[1] = xcalloc((size_t)n + 1, sizeof(*v[1]));
	for (i = 0; i < n && !all; i++) {
		s = &e->sel[dst[i].sel];
		if (s->kind == POL_ANY)
			all = true;
		if (s->kind != POL_RANGE)
			continue;
		f = s->lo.family == 6;
		v[f][count[f]].lo = ip_num(&s->lo);
		v[f][count[f]++].hi = ip_num(&s->hi);
	}
	all = all || spans_cover(v[0], count[0], v[1], count[1]);
	free(v[0]);
	free(v[1]);
	return all;
}

void
emit_row_add(struct emit *e, const struct pol_row *r)
{
	if (e->nrows == POL_MAX_COUNT)
		e->too_big = true;
	if (e->too_big)
		return;
	e->row = emit_room(e, e->row, e->nrows, &e->caprows, sizeof(*e->row));
	e->row[e->nrows++] = *r;
}

/* Names so far, each with the row that bears it. */
struct named_row {
	uint64_t	 name;
	const struct pol_row *row;
	uint32_t	 next;		/* number of its next double */
};

struct names {
	struct named_row *v;
	size_t		 mask;
};

static struct named_row *
name_find(const struct names *t, uint64_t name)
{
	size_t i = name & t->mask;

	while (t->v[i].row != NULL && t->v[i].name != name)
		i = (i + 1) & t->mask;
	return &t->v[i];
}

/* The wire has both as one. */
static bool
merges(const struct pol_row *a, const struct pol_row *b)
{
	return ((a->flags | b->flags) & POL_ROW_APP) == 0 &&
	    ((a->flags ^ b->flags) & (POL_ROW_SELF | POL_ROW_VIA)) == 0 &&
	    a->src == b->src && a->proto == b->proto && a->nvia == b->nvia &&
	    (a->nvia == 0 || memcmp(a->via, b->via,
	    a->nvia * sizeof(*a->via)) == 0);
}

static void
name_row(const struct pol *p, struct names *t, struct pol_row *r, uint64_t src)
{
	struct named_row *first, *own;

	r->name = pol_row_name(p, r, src, 0);
	own = first = name_find(t, r->name);
	while (own->row != NULL && !merges(own->row, r)) {
		r->name = pol_row_name(p, r, src, ++first->next);
		own = name_find(t, r->name);
	}
	own->name = r->name;
	own->row = r;
}

void
emit_row_names(struct emit *e)
{
	struct names t;
	struct pol p;
	uint64_t *src;
	uint32_t i;

	memset(&p, 0, sizeof(p));
	p.sel = e->sel;
	p.nsels = e->nsels;
	p.src = e->src;
	p.nsrcs = e->nsrcs;
	src = xcalloc((size_t)e->nsrcs + 1, sizeof(*src));
	for (i = 0; i < e->nsrcs; i++)
		src[i] = pol_src_hash(&p, i);
	for (t.mask = 63; t.mask < 2 * (size_t)e->nrows;)
		t.mask = t.mask * 2 + 1;
	t.v = xcalloc(t.mask + 1, sizeof(*t.v));
	for (i = 0; i < e->nrows; i++)
		name_row(&p, &t, &e->row[i], src[e->row[i].src]);
	free(t.v);
	free(src);
}
