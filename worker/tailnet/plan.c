#include <stdlib.h>
#include <string.h>

#include "worker/tailnet/plan_int.h"
#include "worker/tailnet/tailnets_int.h"

/* A node id as the key of a slot, beside those of owners. */
#define SLOT_NODE	(1ULL << 63)
#define RULE_NEXT	0x9e3779b97f4a7c15ULL	/* odd: every name has one */

/* A rule while rows are merged into it. */
struct draft {
	uint64_t	 name;
	uint32_t	 place;		/* row where it stands in the order */
	struct srctext	*src;		/* borrowed */
	const struct pol_row *row;	/* the first of it */
	struct buf	 dst;
};

struct drafts {
	struct draft	*v;
	uint32_t	 n;
	uint32_t	 cap;
	struct idmap	 name;		/* those that are taken */
	struct idmap	 same;		/* by sources and protocol */
	uint32_t	*silent;	/* rows that do not reach the class */
	uint32_t	 nsilent;
};

struct plan *
plan_ref(struct plan *p)
{
	p->refs++;
	return p;
}

void
plan_unref(struct plan *p)
{
	uint32_t i;

	if (p == NULL || --p->refs != 0)
		return;
	for (i = 0; i < p->nrules; i++)
		srctext_unref(p->rule[i].src);
	for (i = 0; i < p->npieces; i++)
		srctext_unref(p->piece[i].shared);
	free(p->rule);
	free(p->piece);
	buf_free(&p->text);
	free(p);
}

static void
deps_clear(struct slot *s)
{
	uint32_t i;

	for (i = 0; i < s->ndeps; i++)
		srctext_unref(s->dep[i].text);
	s->ndeps = 0;
}

void
slot_clear(struct slot *s)
{
	deps_clear(s);
	free(s->dep);
	plan_unref(s->plan);
	memset(s, 0, sizeof(*s));
}

struct srctext *
maker_text(struct maker *m, struct source *so)
{
	struct srctext *t = filters_text(m->r, so);
	struct slot *s = m->slot;

	if (s->ndeps == s->cap) {
		s->cap = s->cap == 0 ? 4 : 2 * s->cap;
		s->dep = xrealloc(s->dep, s->cap, sizeof(s->dep[0]));
	}
	s->dep[s->ndeps].source = so;
	s->dep[s->ndeps++].text = srctext_ref(t);
	return t;
}

/* Not 0; a row with caps is like no other. */
static uint64_t
merge_key(const struct srctext *t, const struct pol_row *row)
{
	uint64_t k = t->hash.v ^ (row->proto + 1) * RULE_NEXT;

	return k == 0 ? 1 : k;
}

static struct draft *
find_same(const struct drafts *d, const struct srctext *t,
    const struct pol_row *row)
{
	struct draft *f;
	uintptr_t at;

	if (row->flags & POL_ROW_APP)
		return NULL;
	at = (uintptr_t)idmap_get(&d->same, merge_key(t, row));
	if (at == 0)
		return NULL;
	f = &d->v[at - 1];
	return f->row->proto == row->proto && srctext_eq(f->src, t) ? f : NULL;
}

/* Rows may have one name: what is not merged gets the next free one. */
static uint64_t
take_name(struct drafts *d, uint64_t name)
{
	while (name == 0 || idmap_get(&d->name, name) != NULL)
		name = name * RULE_NEXT + 1;
	idmap_put(&d->name, name, d);
	return name;
}

/* The row's sources may be the same as those of the text. */
static bool
may_be(struct maker *m, const struct pol_row *row, const struct srctext *t)
{
	struct source *so = &m->f->ips[row->src];

	return so->text != NULL && !so->stale ? so->text->members ==
	    t->members : src_count(m->r, row->src, t->members);
}

/* The row reaches somebody: else there is no rule at all. */
static bool
has_targets(const struct ruleset *rs, const struct pol_row *row)
{
	const struct class *c;
	uint32_t i, k, sel;

	for (i = 0; i < row->ndst; i++) {
		sel = row->dst[i].sel;
		if (rs->pol->sel[sel].kind == POL_RANGE ||
		    rs->pol->sel[sel].kind == POL_ANY)
			return true;
		for (k = 0; k < rs->nclasses; k++) {
			c = rs->class[k];
			if (c->nmembers != 0 && POL_HIT(c->hits.at, sel))
				return true;
		}
	}
	return false;
}

/*
 * Rules stand where their first row does, before rows that do not reach the
 * node are left out (policy.md 5.5).
 */
static uint32_t
place_of(struct maker *m, const struct drafts *d, const struct pol_row *row,
    const struct srctext *t)
{
	const struct pol_row *s;
	uint32_t i;

	for (i = 0; i < d->nsilent; i++) {
		s = &m->pol->row[d->silent[i]];
		if (s->proto != row->proto)
			continue;
		if (((s->src == row->src &&
		    (row->flags & POL_ROW_SELF) == 0) ||
		    (may_be(m, s, t) && srctext_eq(filters_text(m->r,
		    &m->f->ips[s->src]), t))) &&
		    has_targets(m->r->rules, s))
			return d->silent[i];
	}
	return (uint32_t)(row - m->pol->row);
}

static struct draft *
add_draft(struct maker *m, struct drafts *d, const struct pol_row *row,
    struct srctext *t)
{
	struct draft *f;

	if (d->n == d->cap) {
		d->cap = d->cap == 0 ? 8 : 2 * d->cap;
		d->v = xrealloc(d->v, d->cap, sizeof(d->v[0]));
	}
	f = &d->v[d->n++];
	memset(f, 0, sizeof(*f));
	f->row = row;
	f->src = t;
	f->name = take_name(d, row->name);
	f->place = (uint32_t)(row - m->pol->row);
	if (row->flags & POL_ROW_APP)
		return f;
	f->place = place_of(m, d, row, t);
	if (idmap_get(&d->same, merge_key(t, row)) == NULL)
		idmap_put(&d->same, merge_key(t, row),
		    (void *)(uintptr_t)d->n);
	return f;
}

bool
row_points_back(const struct pol_row *row)
{
	return slice_eqs(row->caps,
	    "{\"tailscale.com/cap/drive-sharer\":null}") ||
	    slice_eqs(row->caps,
	    "{\"tailscale.com/cap/relay-target\":null}");
}

/* The list of the row's sources; NULL if there is no rule for the class. */
static struct source *
row_source(struct maker *m, const struct pol_row *row)
{
	const struct pol_hits *h = &m->class->hits;

	if (row->flags & POL_ROW_SELF) {
		if (m->owner == 0 || !src_owners(m->pol, row->src, h))
			return NULL;
		return &filters_owner(m->r, m->owner)->ips;
	}
	if ((row->flags & POL_ROW_VIA) != 0 &&
	    ((row->flags & POL_ROW_APP) != 0 || !hits_via(row, h)))
		return NULL;
	return &m->f->ips[row->src];
}

static void
put_row(struct maker *m, struct drafts *d, const struct pol_row *row,
    struct buf *dst)
{
	struct source *so;
	struct srctext *t;
	struct draft *f;

	if ((so = row_source(m, row)) == NULL)
		return;
	buf_clear(dst);
	plan_dst(m, row, dst);
	if (dst->n == 0) {
		if ((row->flags & (POL_ROW_APP | POL_ROW_SELF |
		    POL_ROW_VIA)) == 0)
			d->silent[d->nsilent++] =
			    (uint32_t)(row - m->pol->row);
		return;
	}
	t = maker_text(m, so);
	/* policy.md 5.2: without sources there is no rule, but for caps. */
	if (t->members == 0 && ((row->flags & POL_ROW_APP) == 0 ||
	    row_points_back(row)))
		return;
	if ((f = find_same(d, t, row)) == NULL)
		f = add_draft(m, d, row, t);
	if (f->dst.n != 0)
		buf_u8(&f->dst, ',');
	buf_put(&f->dst, dst->p, dst->n);
}

static void
put_tail(struct buf *b, const struct draft *f)
{
	bool app = (f->row->flags & POL_ROW_APP) != 0;

	buf_str(b, app ? ",\"CapGrant\":[" : ",\"DstPorts\":[");
	buf_put(b, f->dst.p, f->dst.n);
	buf_u8(b, ']');
	if (f->row->proto != 0)
		buf_printf(b, ",\"IPProto\":[%u]", f->row->proto);
	buf_u8(b, '}');
}

static struct src_hash
hash(const struct maker *m, const void *p, size_t n)
{
	return src_hash(m->r->tn->seed, p, n);
}

/* Of two hashes, as of octets. */
static struct src_hash
join(const struct maker *m, struct src_hash a, struct src_hash b,
    uint64_t name)
{
	uint64_t v[3] = { a.v, b.v, name };

	return hash(m, v, sizeof(v));
}

static int
by_place(const void *va, const void *vb)
{
	const struct draft *a = va, *b = vb;

	return a->place < b->place ? -1 : a->place > b->place;
}

/* What drafts say, for good. */
static void
finish(struct maker *m, struct drafts *d)
{
	struct plan *p = m->plan;
	struct rule *r;
	struct draft *f;
	uint32_t i;

	if (d->n != 0)
		qsort(d->v, d->n, sizeof(d->v[0]), by_place);
	p->nrules = d->n;
	p->rule = xcalloc((size_t)d->n + 1, sizeof(p->rule[0]));
	for (i = 0; i < d->n; i++) {
		f = &d->v[i];
		r = &p->rule[i];
		r->name = f->name;
		r->src = srctext_ref(f->src);
		r->at = (uint32_t)p->text.n;
		put_tail(&p->text, f);
		r->n = (uint32_t)p->text.n - r->at;
		r->hash = join(m, f->src->hash, hash(m, p->text.p + r->at,
		    r->n), f->name);
		p->filter.v += r->hash.v;
		buf_free(&f->dst);
	}
	free(d->v);
	free(d->silent);
	idmap_free(&d->name);
	idmap_free(&d->same);
}

static void
hash_pieces(struct maker *m)
{
	struct plan *p = m->plan;
	const struct piece *e;
	uint32_t i;

	for (i = 0; i < p->npieces; i++) {
		e = &p->piece[i];
		p->ssh = join(m, p->ssh, e->shared != NULL ?
		    e->shared->hash : hash(m, p->text.p + e->at, e->n), i);
	}
}

/* Memory for what it says, and no more. */
static void
shrink(struct buf *b)
{
	if (b->n == 0 || b->cap - b->n < 64)
		return;
	b->p = xrealloc(b->p, b->n, 1);
	b->cap = b->n;
}

static struct plan *
make(struct maker *m)
{
	struct drafts d = { 0 };
	struct buf dst = { 0 };
	struct plan *p;
	uint32_t i;

	p = m->plan = xcalloc(1, sizeof(*p));
	p->refs = 1;
	deps_clear(m->slot);
	d.silent = xcalloc((size_t)m->pol->nrows + 1, sizeof(d.silent[0]));
	for (i = 0; i < m->pol->nrows; i++)
		put_row(m, &d, &m->pol->row[i], &dst);
	buf_free(&dst);
	finish(m, &d);
	plan_ssh(m);
	hash_pieces(m);
	plan_attrs(m);
	p->caps = hash(m, p->text.n == 0 ? NULL : p->text.p + p->caps_at,
	    p->caps_n);
	shrink(&p->text);
	m->f->planned++;
	return p;
}

unsigned int
plan_diff(const struct plan *was, const struct plan *now)
{
	unsigned int d = 0;

	if (was == now)
		return 0;
	if (was == NULL)
		return PLAN_FILTER | PLAN_SSH | PLAN_CAPS;
	if (!src_hash_eq(was->filter, now->filter))
		d |= PLAN_FILTER;
	if (!src_hash_eq(was->ssh, now->ssh))
		d |= PLAN_SSH;
	if (!src_hash_eq(was->caps, now->caps))
		d |= PLAN_CAPS;
	return d;
}

bool
plan_ssh_is_own(const struct plan *p)
{
	const struct piece *e;
	uint32_t i;

	for (i = 0; i < p->npieces; i++) {
		e = &p->piece[i];
		if (e->shared == NULL &&
		    (memchr(p->text.p + e->at, PLAN_IP4, e->n) != NULL ||
		    memchr(p->text.p + e->at, PLAN_IP6, e->n) != NULL))
			return true;
	}
	return false;
}

/* Nothing that it was made of is another now. */
static bool
is_good(struct replica *r, const struct filters *f, bool anew, struct slot *s)
{
	uint32_t i;

	if (s->plan == NULL)
		return false;
	if (s->gen == f->gen)
		return true;
	if (anew)
		return false;
	for (i = 0; i < s->ndeps; i++)
		if (filters_text(r, s->dep[i].source) != s->dep[i].text)
			return false;
	s->gen = f->gen;
	return true;
}

/*
 * Nodes of the class may differ in what it does not know: the routes that
 * they carry are in a CapGrant to "*", the number of tags in SSH rules.
 */
static bool
by_node(const struct pol *p, const struct class *c)
{
	const struct pol_row *row;
	uint32_t i, k, sel;

	if (c->only != NULL)
		return false;
	for (i = 0; i < p->nrows; i++) {
		row = &p->row[i];
		if ((row->flags & POL_ROW_APP) == 0 ||
		    (row->flags & (POL_ROW_VIA | POL_ROW_SELF)) != 0)
			continue;
		for (k = 0; k < row->ndst; k++) {
			sel = row->dst[k].sel;
			if ((p->sel[sel].kind == POL_ANY ||
			    p->sel[sel].kind == POL_TAILNET) &&
			    POL_HIT(c->hits.by, sel))
				return true;
		}
	}
	return ssh_by_node(p, &c->hits);
}

static struct class_slot *
class_slot(struct filters *f, const struct pol *p, const struct class *c)
{
	struct class_slot *cs;
	uint32_t n;

	if (c->index >= f->nclasses) {
		n = c->index + c->index / 2 + 8;
		f->class = xrealloc(f->class, n, sizeof(f->class[0]));
		memset(f->class + f->nclasses, 0,
		    (n - f->nclasses) * sizeof(f->class[0]));
		f->nclasses = n;
	}
	cs = &f->class[c->index];
	if (!cs->known) {
		cs->known = true;
		cs->by_owner = plan_by_owner(p, c);
		cs->by_node = by_node(p, c);
	}
	return cs;
}

static struct slot *
slot_of(struct filters *f, struct class_slot *cs, uint64_t key)
{
	struct slot *s;

	if ((s = idmap_get(&cs->some, key)) == NULL) {
		s = xcalloc(1, sizeof(*s));
		idmap_put(&cs->some, key, s);
		f->nslots++;
	}
	return s;
}

struct plan *
plan_of(struct replica *r, const struct node *n)
{
	struct maker m = { .r = r, .class = n->class, .node = n };
	struct class_slot *cs;
	struct plan *p;
	uint64_t key = 0;

	m.f = filters_get(r);
	m.pol = r->rules->pol;
	filters_trim(r);
	cs = class_slot(m.f, m.pol, n->class);
	if (cs->by_owner)
		key = m.owner = n->user->id;
	if (cs->by_node)
		key = SLOT_NODE | n->id;
	m.slot = key == 0 ? &cs->all : slot_of(m.f, cs, key);
	/* What is in it besides lists nobody tells of. */
	if (is_good(r, m.f, n->class->only != NULL || cs->by_node, m.slot))
		return plan_ref(m.slot->plan);
	p = make(&m);
	/* The old one is known to streams: it stays if it says the same. */
	if (m.slot->plan != NULL && plan_diff(m.slot->plan, p) == 0)
		plan_unref(p);
	else {
		plan_unref(m.slot->plan);
		m.slot->plan = p;
	}
	m.slot->gen = m.f->gen;
	return plan_ref(m.slot->plan);
}

struct slice
plan_caps(const struct plan *p)
{
	if (p->caps_n == 0)
		return slice_mem(NULL, 0);
	return slice_mem(p->text.p + p->caps_at, p->caps_n);
}
