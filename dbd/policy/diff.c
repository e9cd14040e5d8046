#include <stdlib.h>
#include <string.h>

#include "dbd/policy/diff_int.h"

#define MEMO_MAX	((size_t)32 * 1024 * 1024)

/* A row or class by what it says or is, whatever its number. */
struct hashed {
	uint64_t	 hash;
	uint32_t	 number;
};

static int
cmp_hashed(const void *a, const void *b)
{
	const struct hashed *x = a, *y = b;

	if (x->hash != y->hash)
		return x->hash < y->hash ? -1 : 1;
	return x->number < y->number ? -1 : x->number > y->number;
}

uint64_t
diff_sel_said(const struct pol_sel *s)
{
	uint64_t h = s->kind * UINT64_C(0x9e3779b97f4a7c15);

	h = table_hash(s->text.p, s->text.n, h);
	return table_hash(s->user, s->nusers * sizeof(*s->user), h);
}

uint64_t
diff_src_said(const struct pol *p, uint32_t src)
{
	const struct pol_src *s = &p->src[src];
	uint64_t sum = 0;
	uint32_t i;

	for (i = 0; i < s->n; i++)
		sum += diff_sel_said(&p->sel[s->sel[i]]);
	return sum;
}

uint64_t
diff_row_said(const struct pol *p, const struct pol_row *r)
{
	uint64_t sum, h;
	uint32_t i;

	sum = diff_src_said(p, r->src);
	for (i = 0; i < r->nvia; i++)
		sum += 3 * diff_sel_said(&p->sel[r->via[i]]);
	for (i = 0; i < r->ndst; i++) {
		h = (r->flags & POL_ROW_SELF) != 0 ? 0 :
		    diff_sel_said(&p->sel[r->dst[i].sel]);
		sum += 5 * table_hash(r->dst[i].port,
		    r->dst[i].nports * sizeof(*r->dst[i].port), h);
	}
	return table_hash(&r->proto, 1, sum ^ r->flags);
}

static struct hashed *
said_make(const struct pol *p)
{
	struct hashed *v;
	uint32_t i;

	v = xcalloc((size_t)p->nrows + 1, sizeof(*v));
	for (i = 0; i < p->nrows; i++) {
		v[i].hash = diff_row_said(p, &p->row[i]);
		v[i].number = i;
	}
	qsort(v, p->nrows, sizeof(*v), cmp_hashed);
	return v;
}

/* Marks the rows that the other side does not have. */
static void
mark_changed(struct side *was, struct side *now)
{
	struct hashed *a = said_make(was->c.pol), *b = said_make(now->c.pol);
	uint32_t i = 0, k = 0, n = was->c.pol->nrows, m = now->c.pol->nrows;

	while (i < n || k < m) {
		if (i < n && k < m && a[i].hash == b[k].hash) {
			i++;
			k++;
		} else if (k == m || (i < n && a[i].hash < b[k].hash)) {
			was->changed[a[i].number / 64] |=
			    UINT64_C(1) << a[i].number % 64;
			i++;
		} else {
			now->changed[b[k].number / 64] |=
			    UINT64_C(1) << b[k].number % 64;
			k++;
		}
	}
	free(a);
	free(b);
}

static void
set(uint64_t *v, uint32_t i)
{
	v[i / 64] |= UINT64_C(1) << i % 64;
}

/* A node's part in one row. */
static void
play(const struct side *s, uint32_t i, const struct pol_hits *h, uint64_t *v)
{
	const struct pol_row *r = &s->c.pol->row[i];
	bool via = (r->flags & POL_ROW_VIA) != 0, in;
	uint32_t k;

	if ((r->flags & POL_ROW_APP) != 0)
		return;
	in = hits_src_at(s->c.pol, r->src, h);
	if ((r->flags & POL_ROW_SELF) != 0) {
		if (in && !h->tagged)
			set(v + PART_OWN * s->words, i);
		return;
	}
	if (in)
		set(v + PART_SRC * s->words, i);
	if (via && !hits_via(r, h))
		return;
	for (k = 0; k < r->ndst; k++) {
		if (!via && POL_HIT(h->at, r->dst[k].sel))
			set(v + PART_AT * s->words, i);
		if (POL_HIT(h->by, r->dst[k].sel))
			set(v + PART_BY * s->words, i);
	}
	if (h->exit && (r->flags & POL_ROW_INET) != 0)
		set(v + PART_EXIT * s->words, i);
}

static void
parts_of(const struct side *s, const struct pol_hits *h, uint64_t *v)
{
	uint32_t i;

	for (i = 0; i < s->c.pol->nrows; i++)
		play(s, i, h, v);
}

/* What the rows of both policies can see of a node. */
static void
key_of(const struct diff *d, const struct pol_hits h[2], uint64_t *v)
{
	const struct side *s;
	size_t i, n, words;

	for (i = 0; i < 2; i++) {
		s = &d->side[i];
		words = POL_WORDS(s->c.pol);
		for (n = 0; n < words; n++) {
			v[n] = h[i].at[n] & s->used[n];
			v[words + n] = h[i].by[n] & s->used[n];
		}
		v += 2 * words;
	}
	*v = (h[0].exit ? 1 : 0) | (h[0].tagged ? 2 : 0);
}

static void
add_class(struct diff *d, const struct pol_hits h[2], const uint64_t *key)
{
	struct class *c = &d->class[d->nclasses++];
	uint32_t s;

	c->key = xcalloc(d->keylen, sizeof(*c->key));
	memcpy(c->key, key, d->keylen * sizeof(*c->key));
	for (s = 0; s < 2; s++) {
		c->part[s] = xcalloc(PARTS * d->side[s].words + 1,
		    sizeof(*c->part[s]));
		parts_of(&d->side[s], &h[s], c->part[s]);
	}
}

static uint32_t
class_of(struct diff *d, const struct pol_hits h[2], const uint64_t *key)
{
	size_t octets = d->keylen * sizeof(*key), i;
	uint32_t k;

	for (i = table_hash(key, octets, 0) & (d->nslots - 1);
	    (k = d->slot[i]) != 0; i = (i + 1) & (d->nslots - 1))
		if (memcmp(d->class[k - 1].key, key, octets) == 0)
			return k - 1;
	add_class(d, h, key);
	d->slot[i] = d->nclasses;
	return d->nclasses - 1;
}

static void
use(uint64_t *used, const uint32_t *sel, uint32_t n)
{
	uint32_t i;

	for (i = 0; i < n; i++)
		set(used, sel[i]);
}

static void
mark_used(struct side *s)
{
	const struct pol *p = s->c.pol;
	const struct pol_row *r;
	uint32_t i, k;

	s->used = xcalloc(POL_WORDS(p) + 1, sizeof(*s->used));
	s->dst = xcalloc(POL_WORDS(p) + 1, sizeof(*s->dst));
	for (i = 0; i < p->nrows; i++) {
		r = &p->row[i];
		if ((r->flags & POL_ROW_APP) != 0)
			continue;
		use(s->used, p->src[r->src].sel, p->src[r->src].n);
		use(s->used, r->via, r->nvia);
		for (k = 0; k < r->ndst; k++) {
			set(s->used, r->dst[k].sel);
			set(s->dst, r->dst[k].sel);
		}
	}
}

static int
cmp_member(const void *a, const void *b)
{
	const struct diff_node *x = a, *y = b;

	if (x->class != y->class)
		return x->class < y->class ? -1 : 1;
	return x->node < y->node ? -1 : x->node > y->node;
}

/* Sorts the nodes into classes: alike in all rows of both policies. */
static void
classify(struct diff *d)
{
	struct pol_hits h[2];
	uint64_t *key;
	uint32_t i, k, s;

	d->keylen = 1;
	for (s = 0; s < 2; s++) {
		hits_init(&h[s], d->side[s].c.pol);
		mark_used(&d->side[s]);
		d->keylen += 2 * POL_WORDS(d->side[s].c.pol);
	}
	for (d->nslots = 64; d->nslots < 2 * d->topo->nnodes;)
		d->nslots *= 2;
	d->slot = xcalloc(d->nslots, sizeof(*d->slot));
	d->class = xcalloc(d->topo->nnodes + 1, sizeof(*d->class));
	d->node = xcalloc(d->topo->nnodes + 1, sizeof(*d->node));
	key = xcalloc(d->keylen, sizeof(*key));
	for (i = 0; i < d->topo->nnodes; i++) {
		for (s = 0; s < 2; s++)
			hits_of(&h[s], d->side[s].c.pol,
			    &d->topo->node[i].facts, d->topo->range);
		key_of(d, h, key);
		d->node[i].node = i;
		d->node[i].class = class_of(d, h, key);
	}
	free(key);
	qsort(d->node, d->topo->nnodes, sizeof(*d->node), cmp_member);
	for (i = 0; i < d->topo->nnodes; i++) {
		k = d->node[i].class;
		if (d->class[k].n++ == 0)
			d->class[k].first = i;
	}
	for (s = 0; s < 2; s++)
		hits_free(&h[s]);
}

/* Sources: the first two parts; destinations: the others. */
static const uint64_t *
parts_as(const struct diff *d, const struct class *c, unsigned int side,
    bool dst, size_t *octets)
{
	size_t words = d->side[side].words;

	*octets = (dst ? PARTS - PART_AT : PART_AT) * words * sizeof(uint64_t);
	return c->part[side] + (dst ? PART_AT * words : 0);
}

/* Which destinations of a row they are, as well. */
static bool
alike(const struct diff *d, const struct class *a, const struct class *b,
    bool dst)
{
	const uint64_t *x, *y, *kx = a->key, *ky = b->key;
	unsigned int side;
	size_t i, n, octets;

	for (side = 0; side < 2; side++) {
		x = parts_as(d, a, side, dst, &octets);
		y = parts_as(d, b, side, dst, &octets);
		if (memcmp(x, y, octets) != 0)
			return false;
		n = POL_WORDS(d->side[side].c.pol);
		for (i = 0; dst && i < 2 * n; i++)
			if (((kx[i] ^ ky[i]) & d->side[side].dst[i % n]) != 0)
				return false;
		kx += 2 * n;
		ky += 2 * n;
	}
	return true;
}

static void
group_as(struct diff *d, struct hashed *v, bool dst)
{
	const struct class *c;
	uint32_t i, n = 0;
	const uint64_t *p;
	unsigned int side;
	size_t octets;

	for (i = 0; i < d->nclasses; i++) {
		v[i].number = i;
		v[i].hash = 0;
		for (side = 0; side < 2; side++) {
			p = parts_as(d, &d->class[i], side, dst, &octets);
			v[i].hash = table_hash(p, octets, v[i].hash);
		}
	}
	if (d->nclasses != 0)
		qsort(v, d->nclasses, sizeof(*v), cmp_hashed);
	for (i = 0; i < d->nclasses; i++) {
		c = &d->class[v[i].number];
		if (i > 0 && !alike(d, c, &d->class[v[i - 1].number], dst))
			n++;
		d->class[v[i].number].group[dst] = n;
	}
	d->ngroups[dst] = n + 1;
}

/* Groups may be more than need be, which costs time only. */
static void
group_classes(struct diff *d)
{
	struct hashed *v;
	size_t n;
	unsigned int i;

	v = xcalloc((size_t)d->nclasses + 1, sizeof(*v));
	group_as(d, v, false);
	group_as(d, v, true);
	free(v);
	n = (size_t)d->ngroups[0] * d->ngroups[1];
	for (i = 0; n <= MEMO_MAX && i < 2; i++)
		d->memo[i] = xcalloc(n, 1);
}

static void
class_end(struct class *c)
{
	free(c->key);
	free(c->part[0]);
	free(c->part[1]);
}

static void
diff_end(struct diff *d)
{
	uint32_t i;

	for (i = 0; i < d->nclasses; i++)
		class_end(&d->class[i]);
	free(d->class);
	free(d->node);
	free(d->slot);
	for (i = 0; i < 2; i++) {
		free(d->memo[i]);
		free(d->side[i].changed);
		free(d->side[i].used);
		free(d->side[i].dst);
		compiled_free(&d->side[i].c);
	}
	buf_free(&d->lines);
}

int
policy_diff(struct slice was, struct slice now,
    const struct tailnet_info *info, const struct topology *topo, size_t max,
    struct buf *out, struct pol_error *err)
{
	const struct slice text[2] = { was, now };
	struct tailnet_info then = *info;
	struct buf blob = { NULL, 0, 0 };
	struct diff d;
	struct side *s;
	uint32_t i;
	int rc = -1;

	memset(&d, 0, sizeof(d));
	d.topo = topo;
	d.out = out;
	d.max = max == 0 ? 1000 : max;
	then.stored = true;
	for (i = 0; i < 2; i++) {
		s = &d.side[i];
		if (!compiled_make(&s->c, text[i], i == 0 ? &then : info,
		    &blob, err))
			goto out;
		s->words = ((size_t)s->c.pol->nrows + 63) / 64;
		s->changed = xcalloc(s->words + 1, sizeof(*s->changed));
	}
	mark_changed(&d.side[0], &d.side[1]);
	classify(&d);
	group_classes(&d);
	diff_list(&d);
	diff_rest(&d);
	if (out->n == 0)
		buf_str(out, "no difference\n");
	rc = 0;
 out:
	diff_end(&d);
	buf_free(&blob);
	return rc;
}
