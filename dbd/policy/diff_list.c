#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dbd/policy/diff_int.h"
#include "dbd/policy/lex.h"

#define WORK_MAX	UINT64_C(1000000000)	/* some seconds */
#define MORE		"... and more\n"
#define TIRED		"... and perhaps more: the policies are too far apart\n"

/* What one may do to another: ports of a protocol. */
struct may {
	uint8_t		 part;
	uint8_t		 proto;		/* never 0 */
	int32_t		 first, last;
};

struct mays {
	struct may	*v;
	size_t		 n, cap;
};

static void
may_put(struct mays *m, enum part part, unsigned int proto, int32_t first,
    int32_t last)
{
	struct may *v;

	if (m->n == m->cap) {
		m->cap = m->cap == 0 ? 32 : m->cap * 2;
		m->v = xrealloc(m->v, m->cap, sizeof(*m->v));
	}
	v = &m->v[m->n++];
	v->part = (uint8_t)part;
	v->proto = (uint8_t)proto;
	v->first = first;
	v->last = last;
}

/* A rule without protocol means these four. */
static const uint8_t usual[4] = { 6, 17, 1, 58 };

static void
may_ports(struct mays *m, enum part part, const struct pol_row *r,
    const struct pol_dst *d)
{
	uint32_t i, k;

	for (i = 0; i < d->nports; i++)
		for (k = 0; k < (r->proto == 0 ? 4u : 1u); k++)
			may_put(m, part, r->proto == 0 ? usual[k] : r->proto,
			    d->port[i].first, d->port[i].last);
}

static int
cmp_may(const void *a, const void *b)
{
	const struct may *x = a, *y = b;

	if (x->part != y->part)
		return x->part < y->part ? -1 : 1;
	if (x->proto != y->proto)
		return x->proto < y->proto ? -1 : 1;
	return x->first < y->first ? -1 : x->first > y->first;
}

static bool
may_alike(const struct may *a, const struct may *b)
{
	return a->part == b->part && a->proto == b->proto;
}

/* Sorts, and joins what overlaps or touches. */
static void
may_join(struct mays *m)
{
	struct may *at;
	size_t i, n = 0;

	if (m->n > 1)
		qsort(m->v, m->n, sizeof(*m->v), cmp_may);
	for (i = 0; i < m->n; i++) {
		at = n == 0 ? NULL : &m->v[n - 1];
		if (at != NULL && may_alike(at, &m->v[i]) &&
		    m->v[i].first <= at->last + 1) {
			if (m->v[i].last > at->last)
				at->last = m->v[i].last;
		} else
			m->v[n++] = m->v[i];
	}
	m->n = n;
}

/* What a has and b has not. */
static void
may_less(struct mays *out, const struct mays *a, const struct mays *b)
{
	struct may left;
	size_t i, k = 0, j;

	for (i = 0; i < a->n; i++) {
		left = a->v[i];
		while (k < b->n && (may_alike(&b->v[k], &left) ?
		    b->v[k].last < left.first : cmp_may(&b->v[k], &left) < 0))
			k++;
		for (j = k; j < b->n && may_alike(&b->v[j], &left) &&
		    b->v[j].first <= left.last; j++) {
			if (b->v[j].first > left.first)
				may_put(out, (enum part)left.part, left.proto,
				    left.first, b->v[j].first - 1);
			left.first = b->v[j].last + 1;
		}
		if (left.first <= left.last)
			may_put(out, (enum part)left.part, left.proto,
			    left.first, left.last);
	}
}

/*
 * The destinations of row i that are b, as this part of it.  key: b's hits in
 * this side, at and by, as far as rows name them.
 */
static void
may_row(struct mays *m, const struct side *s, uint32_t i, enum part part,
    const uint64_t *key)
{
	const uint64_t *by = key + POL_WORDS(s->c.pol);
	const struct pol_row *r = &s->c.pol->row[i];
	const struct pol_sel *sel;
	uint32_t k;

	for (k = 0; k < r->ndst; k++) {
		sel = &s->c.pol->sel[r->dst[k].sel];
		if (part == PART_OWN ||
		    (part == PART_AT && POL_HIT(key, r->dst[k].sel)) ||
		    (part == PART_BY && POL_HIT(by, r->dst[k].sel)) ||
		    (part == PART_EXIT && (sel->kind == POL_ANY ||
		    sel->kind == POL_RANGE)))
			may_ports(m, part == PART_OWN ? PART_AT : part, r,
			    &r->dst[k]);
	}
}

static void
may_all(struct diff *d, unsigned int side, const struct class *a,
    const struct class *b, bool own, struct mays *m)
{
	const struct side *s = &d->side[side];
	const uint64_t *from = a->part[side], *to = b->part[side];
	const uint64_t *key = b->key;
	uint64_t bits;
	size_t i;
	unsigned int part, k;
	uint32_t row;

	if (side == 1)
		key += 2 * POL_WORDS(d->side[0].c.pol);
	d->work += PARTS * s->words;
	for (part = PART_OWN; part < PARTS; part++)
		for (i = 0; i < s->words; i++) {
			if (part == PART_OWN)
				bits = own ? from[PART_OWN * s->words + i] : 0;
			else
				bits = from[PART_SRC * s->words + i] &
				    to[part * s->words + i];
			for (k = 0; bits != 0; k++, bits >>= 1) {
				if ((bits & 1) == 0)
					continue;
				row = (uint32_t)(i * 64 + k);
				d->work += s->c.pol->row[row].ndst;
				may_row(m, s, row, (enum part)part, key);
			}
		}
	d->work += 16 * m->n;
	may_join(m);
}

static size_t
run_of(const struct mays *m, size_t i)
{
	size_t k;

	for (k = i; k < m->n && may_alike(&m->v[k], &m->v[i]); k++)
		continue;
	return k - i;
}

/* The usual four have the same ports: how many of m they are, or 0. */
static size_t
all_usual(const struct mays *m, size_t i)
{
	static const uint8_t order[4] = { 1, 6, 17, 58 };
	size_t n = run_of(m, i), at = i, j, k;

	for (k = 0; k < 4; k++, at += n) {
		if (at + n > m->n || run_of(m, at) != n ||
		    m->v[at].part != m->v[i].part ||
		    m->v[at].proto != order[k])
			return 0;
		for (j = 0; j < n; j++)
			if (m->v[at + j].first != m->v[i + j].first ||
			    m->v[at + j].last != m->v[i + j].last)
				return 0;
	}
	return 4 * n;
}

/* Lines without the names: sign, blank, the rest, LF. */
static void
say_mays(struct diff *d, char sign, const struct mays *m)
{
	static const char *const where[PARTS] = {
		"", "", "", " (its routes)", " (the Internet through it)"
	};
	const struct may *v;
	char name[4];
	size_t i, k, n, all;

	for (i = 0; i < m->n; i += all != 0 ? all : n) {
		n = run_of(m, i);
		all = all_usual(m, i);
		buf_u8(&d->lines, (uint8_t)sign);
		buf_printf(&d->lines, " %s:", all != 0 ? "any" :
		    lex_proto_name(m->v[i].proto, name));
		for (k = i; k < i + n; k++) {
			v = &m->v[k];
			if (k > i)
				buf_str(&d->lines, ",");
			if (v->first == 0 && v->last == 65535)
				buf_str(&d->lines, "*");
			else if (v->first == v->last)
				buf_printf(&d->lines, "%d", (int)v->first);
			else
				buf_printf(&d->lines, "%d-%d", (int)v->first,
				    (int)v->last);
		}
		buf_printf(&d->lines, "%s\n", where[m->v[i].part]);
	}
}

/* Fills d->lines; false if nothing differs. */
static bool
compare(struct diff *d, const struct class *a, const struct class *b, bool own)
{
	struct mays m[2], less;
	unsigned int i;

	memset(m, 0, sizeof(m));
	buf_clear(&d->lines);
	for (i = 0; i < 2; i++)
		may_all(d, i, a, b, own, &m[i]);
	for (i = 0; i < 2; i++) {
		memset(&less, 0, sizeof(less));
		may_less(&less, &m[i], &m[1 - i]);
		say_mays(d, i == 0 ? '-' : '+', &less);
		free(less.v);
	}
	free(m[0].v);
	free(m[1].v);
	return d->lines.n != 0;
}

static void
write_pair(struct diff *d, uint32_t x, uint32_t y)
{
	const struct test_node *v = d->topo->node;
	struct slice rest = buf_slice_of(&d->lines);
	size_t n;

	while (rest.n > 0 && !d->full) {
		for (n = 0; rest.p[n] != '\n'; n++)
			continue;
		if (d->n + 1 == d->max || d->out->n + n + v[x].name.n +
		    v[y].name.n + sizeof(" -> " MORE TIRED) + DIFF_REST >
		    POLICY_OUT_MAX) {
			buf_str(d->out, MORE);
			d->full = true;
		} else
			buf_printf(d->out, "%c %.*s -> %.*s%.*s\n", rest.p[0],
			    SLICE_FMT(v[x].name), SLICE_FMT(v[y].name),
			    (int)(n - 1), rest.p + 1);
		d->n++;
		rest = slice_mem(rest.p + n + 1, rest.n - n - 1);
	}
}

static bool
one_owner(const struct diff *d, uint32_t x, uint32_t y)
{
	const struct pol_node *a = &d->topo->node[x].facts;
	const struct pol_node *b = &d->topo->node[y].facts;

	return a->ntags == 0 && b->ntags == 0 && a->user != 0 &&
	    a->user == b->user;
}

/* A row that only one side has may matter to the pair. */
static bool
touched(struct diff *d, const struct class *a, const struct class *b, bool own)
{
	const struct side *s;
	const uint64_t *from, *to;
	uint64_t bits;
	unsigned int side;
	size_t i;

	for (side = 0; side < 2; side++) {
		s = &d->side[side];
		from = a->part[side];
		to = b->part[side];
		d->work += s->words;
		for (i = 0; i < s->words; i++) {
			bits = from[PART_SRC * s->words + i] &
			    (to[PART_AT * s->words + i] |
			    to[PART_BY * s->words + i] |
			    to[PART_EXIT * s->words + i]);
			if (own)
				bits |= from[PART_OWN * s->words + i];
			if ((bits & s->changed[i]) != 0)
				return true;
		}
	}
	return false;
}

enum memo {
	MEMO_NONE, MEMO_SAME, MEMO_DIFFERS
};

/*
 * Fills d->lines; false if nothing differs, or if it was too much work to go
 * on: then d is full.
 */
static bool
differs(struct diff *d, const struct class *a, const struct class *b, bool own)
{
	uint8_t none = MEMO_NONE, *memo = &none;

	if (++d->work > WORK_MAX) {
		d->full = d->tired = true;
		return false;
	}
	if (d->memo[own] != NULL)
		memo = &d->memo[own][(size_t)a->group[0] * d->ngroups[1] +
		    b->group[1]];
	if (*memo == MEMO_NONE)
		*memo = touched(d, a, b, own) ? MEMO_DIFFERS : MEMO_SAME;
	if (*memo == MEMO_DIFFERS && !compare(d, a, b, own))
		*memo = MEMO_SAME;
	return *memo == MEMO_DIFFERS;
}

static bool
any_self(const struct diff *d)
{
	const struct pol *p;
	unsigned int side;
	uint32_t i;

	for (side = 0; side < 2; side++)
		for (p = d->side[side].c.pol, i = 0; i < p->nrows; i++)
			if ((p->row[i].flags & POL_ROW_SELF) != 0)
				return true;
	return false;
}

static void
list_classes(struct diff *d, const struct class *a, const struct class *b,
    bool self)
{
	uint32_t i, k, x, y;

	if (!differs(d, a, b, false))
		return;
	d->work += (uint64_t)a->n * b->n;
	for (i = 0; i < a->n && !d->full; i++)
		for (k = 0; k < b->n && !d->full; k++) {
			x = d->node[a->first + i].node;
			y = d->node[b->first + k].node;
			if (x != y && !(self && one_owner(d, x, y)))
				write_pair(d, x, y);
		}
}

struct owned {
	uint64_t	 user;
	uint32_t	 class;
	uint32_t	 node;
};

static int
cmp_owned(const void *a, const void *b)
{
	const struct owned *x = a, *y = b;

	if (x->user != y->user)
		return x->user < y->user ? -1 : 1;
	if (x->class != y->class)
		return x->class < y->class ? -1 : 1;
	return x->node < y->node ? -1 : x->node > y->node;
}

/* Devices of one class and owner: v[0..*n). */
static uint32_t
batch(const struct owned *v, uint32_t left)
{
	uint32_t n;

	for (n = 1; n < left && v[n].user == v[0].user &&
	    v[n].class == v[0].class; n++)
		continue;
	return n;
}

/* Pairs of devices of one owner, which the other lists leave out. */
static void
list_owner(struct diff *d, const struct owned *v, uint32_t n)
{
	const struct class *a, *b;
	uint32_t i, k, ni, nk, x, y;

	for (i = 0; i < n && !d->full; i += ni) {
		ni = batch(v + i, n - i);
		for (k = 0; k < n && !d->full; k += nk) {
			nk = batch(v + k, n - k);
			a = &d->class[v[i].class];
			b = &d->class[v[k].class];
			if (!differs(d, a, b, true))
				continue;
			d->work += (uint64_t)ni * nk;
			for (x = i; x < i + ni && !d->full; x++)
				for (y = k; y < k + nk && !d->full; y++)
					if (x != y)
						write_pair(d, v[x].node,
						    v[y].node);
		}
	}
}

static void
list_owners(struct diff *d)
{
	const struct pol_node *f;
	struct owned *v;
	uint32_t i, k, n = 0;

	v = xcalloc(d->topo->nnodes + 1, sizeof(*v));
	for (i = 0; i < d->topo->nnodes; i++) {
		f = &d->topo->node[d->node[i].node].facts;
		if (f->ntags != 0 || f->user == 0)
			continue;
		v[n].user = f->user;
		v[n].class = d->node[i].class;
		v[n++].node = d->node[i].node;
	}
	qsort(v, n, sizeof(*v), cmp_owned);
	for (i = 0; i < n && !d->full; i = k) {
		for (k = i; k < n && v[k].user == v[i].user; k++)
			continue;
		list_owner(d, v + i, k - i);
	}
	free(v);
}

void
diff_list(struct diff *d)
{
	bool self = any_self(d);
	uint32_t i, k;

	for (i = 0; i < d->nclasses && !d->full; i++)
		for (k = 0; k < d->nclasses && !d->full; k++)
			list_classes(d, &d->class[i], &d->class[k], self);
	if (self)
		list_owners(d);
	if (d->tired)
		buf_str(d->out, TIRED);
}
