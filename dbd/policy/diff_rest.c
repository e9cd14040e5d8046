#include <stdlib.h>
#include <string.h>

#include "dbd/policy/diff_int.h"

/*
 * Items of a section, as a text has them, by what they are compiled to: sums
 * of hashes where the order of records means nothing, which is everywhere but
 * among rules of SSH, of which the first that fits decides.
 */
struct item_said {
	uint64_t	 said;		/* 0: it comes to nothing */
	uint64_t	 text;		/* of one that differs: its text's */
	uint32_t	 index;
	bool		 differs;
};

static uint64_t
text_said(struct slice s, uint64_t seed)
{
	return table_hash(s.p, s.n, seed);
}

static void
apps_said(const struct compiled *c, struct item_said *v)
{
	const struct pol_row *r;
	uint32_t i;

	for (i = 0; i < c->pol->nrows; i++) {
		r = &c->pol->row[i];
		if ((r->flags & POL_ROW_APP) != 0)
			v[r->prov.index].said += text_said(r->caps,
			    diff_row_said(c->pol, r));
	}
}

static uint64_t
one_ssh(const struct pol *p, const struct pol_ssh *s)
{
	const uint64_t v[] = {
		s->check, s->self, s->locals, (uint64_t)s->period,
		diff_src_said(p, s->src)
	};
	uint64_t sum = 0;
	uint32_t i;

	for (i = 0; i < s->ndst; i++)
		sum += 3 * diff_sel_said(&p->sel[s->dst[i]]);
	for (i = 0; i < s->nlocals; i++)
		sum += 5 * text_said(s->local[i].name, s->local[i].user);
	return text_said(s->env, text_said(s->users, table_hash(v, sizeof(v),
	    sum)));
}

static void
ssh_said(const struct compiled *c, struct item_said *v)
{
	uint32_t i;

	for (i = 0; i < c->pol->nsshs; i++)
		v[c->pol->ssh[i].prov.index].said += one_ssh(c->pol,
		    &c->pol->ssh[i]);
}

static void
attrs_said(const struct compiled *c, struct item_said *v)
{
	const struct pol_attr *a;
	uint32_t i;

	for (i = 0; i < c->pol->nattrs; i++) {
		a = &c->pol->attr[i];
		v[a->prov.index].said += text_said(a->keys,
		    diff_src_said(c->pol, a->src));
	}
}

static void
approvers_said(const struct compiled *c, struct item_said *v)
{
	const struct pol_approver *a;
	uint64_t h;
	uint32_t i;

	for (i = 0; i < c->pol->napprovers; i++) {
		a = &c->pol->approver[i];
		h = diff_src_said(c->pol, a->src) + a->exit;
		if (!a->exit)
			h = table_hash(a->route.addr.b, a->route.addr.family ==
			    4 ? 4 : 16, h ^ (uint64_t)a->route.bits << 8);
		v[a->prov.index].said += table_hash(&h, sizeof(h), 0);
	}
}

static int
cmp_tag(const void *key, const void *o)
{
	return slice_cmp(*(const struct slice *)key,
	    ((const struct pol_owner *)o)->tag);
}

static void
owners_said(const struct compiled *c, struct item_said *v)
{
	const struct pol_owner *o;
	size_t i;

	for (i = 0; i < c->policy->nowners; i++) {
		o = bsearch(&c->policy->owner[i].name, c->pol->owner,
		    c->pol->nowners, sizeof(*o), cmp_tag);
		if (o != NULL)
			v[i].said = text_said(o->tag, table_hash(o->user,
			    o->nusers * sizeof(*o->user), o->anyone));
	}
}

#define AT(what)	offsetof(struct policy, what)

/* A section, in the order in which they are written. */
static const struct section {
	const char	*name;
	size_t		 count;		/* of items: where in a policy */
	void		 (*said)(const struct compiled *, struct item_said *);
	void		 (*say)(struct buf *, const struct policy *, uint32_t);
} sections[] = {
	{ "app of grants", AT(ngrants), apps_said, say_app },
	{ "ssh", AT(nsshs), ssh_said, say_ssh },
	{ "nodeAttrs", AT(nattrs), attrs_said, say_attr },
	{ "autoApprovers", AT(napprovers), approvers_said, say_approver },
	{ "tagOwners", AT(nowners), owners_said, say_owner }
};

/* The items of a section on one side. */
struct items_said {
	struct item_said *v;		/* by index */
	struct item_said **sorted;
	size_t		 n;
	uint64_t	 sum;
};

static int
cmp_said(const void *a, const void *b)
{
	const struct item_said *x = *(struct item_said *const *)a;
	const struct item_said *y = *(struct item_said *const *)b;

	if (x->said != y->said)
		return x->said < y->said ? -1 : 1;
	return x->index < y->index ? -1 : x->index > y->index;
}

static int
cmp_text(const void *a, const void *b)
{
	const struct item_said *x = *(struct item_said *const *)a;
	const struct item_said *y = *(struct item_said *const *)b;

	if (x->differs != y->differs)
		return x->differs ? -1 : 1;
	if (x->text != y->text)
		return x->text < y->text ? -1 : 1;
	return x->index < y->index ? -1 : x->index > y->index;
}

static void
items_make(struct items_said *s, const struct section *of,
    const struct compiled *c)
{
	size_t i;

	memcpy(&s->n, (const char *)c->policy + of->count, sizeof(s->n));
	s->v = xcalloc(s->n + 1, sizeof(*s->v));
	s->sorted = xcalloc(s->n + 1, sizeof(*s->sorted));
	for (i = 0; i < s->n; i++) {
		s->v[i].index = (uint32_t)i;
		s->sorted[i] = &s->v[i];
	}
	of->said(c, s->v);
	for (i = s->sum = 0; i < s->n; i++)
		s->sum += s->v[i].said;
	if (s->n != 0)
		qsort(s->sorted, s->n, sizeof(*s->sorted), cmp_said);
}

/* Marks what the other side does not have. */
static void
mark_items(struct items_said s[2])
{
	struct item_said **a = s[0].sorted, **b = s[1].sorted, *v;
	size_t i = 0, k = 0;

	while (i < s[0].n || k < s[1].n) {
		if (i < s[0].n && k < s[1].n && a[i]->said == b[k]->said) {
			i++;
			k++;
			continue;
		}
		v = k == s[1].n || (i < s[0].n && a[i]->said < b[k]->said) ?
		    a[i++] : b[k++];
		v->differs = v->said != 0;
	}
}

/* Those that both have stand in another order. */
static bool
is_moved(const struct items_said s[2])
{
	size_t i = 0, k = 0;

	for (;;) {
		while (i < s[0].n && (s[0].v[i].said == 0 ||
		    s[0].v[i].differs))
			i++;
		while (k < s[1].n && (s[1].v[k].said == 0 ||
		    s[1].v[k].differs))
			k++;
		if (i == s[0].n || k == s[1].n)
			return false;
		if (s[0].v[i++].said != s[1].v[k++].said)
			return true;
	}
}

/* False, and nothing is written, if it is too much. */
static bool
write_line(struct diff *d, char sign, struct slice line)
{
	size_t i;

	if (d->full || d->n + 1 >= d->max ||
	    d->out->n + line.n + DIFF_REST > POLICY_OUT_MAX)
		return false;
	buf_printf(d->out, "%c ", sign);
	/* A line is one line whatever names are in it. */
	for (i = 0; i < line.n; i++)
		buf_u8(d->out, (uint8_t)line.p[i] < ' ' ? '?' :
		    (uint8_t)line.p[i]);
	buf_u8(d->out, '\n');
	d->n++;
	return true;
}

static void
say_item(struct diff *d, const struct section *of, unsigned int side,
    uint32_t index)
{
	buf_clear(&d->lines);
	of->say(&d->lines, d->side[side].c.policy, index);
}

/*
 * Those that read alike on both sides: it is not their own words that differ
 * but what these mean.  Finds and unmarks them, and writes each once.
 */
static bool
write_meanings(struct diff *d, const struct section *of, struct items_said s[2])
{
	struct item_said **a = s[0].sorted, **b = s[1].sorted;
	size_t i, k;
	unsigned int side;

	for (side = 0; side < 2; side++) {
		for (i = 0; i < s[side].n; i++) {
			if (!s[side].v[i].differs)
				continue;
			say_item(d, of, side, (uint32_t)i);
			s[side].v[i].text = text_said(buf_slice_of(&d->lines),
			    0);
		}
		if (s[side].n != 0)
			qsort(s[side].sorted, s[side].n,
			    sizeof(*s[side].sorted), cmp_text);
	}
	for (i = k = 0; i < s[0].n && k < s[1].n && a[i]->differs &&
	    b[k]->differs;) {
		if (a[i]->text != b[k]->text) {
			if (a[i]->text < b[k]->text)
				i++;
			else
				k++;
			continue;
		}
		say_item(d, of, 1, b[k]->index);
		buf_str(&d->lines, ": what its names mean differs");
		if (!write_line(d, '*', buf_slice_of(&d->lines)))
			return false;
		/* Still sorted: none of those to come is touched. */
		a[i++]->text = b[k++]->text = 0;
	}
	return true;
}

static bool
write_items(struct diff *d, const struct section *of, struct items_said s[2])
{
	unsigned int side;
	size_t i;

	if (!write_meanings(d, of, s))
		return false;
	for (side = 0; side < 2; side++)
		for (i = 0; i < s[side].n; i++) {
			if (!s[side].v[i].differs || s[side].v[i].text == 0)
				continue;
			say_item(d, of, side, (uint32_t)i);
			if (!write_line(d, side == 0 ? '-' : '+',
			    buf_slice_of(&d->lines)))
				return false;
		}
	return true;
}

static void
diff_section(struct diff *d, const struct section *of)
{
	struct items_said s[2];
	size_t had = d->out->n;
	bool moved;
	unsigned int i;

	for (i = 0; i < 2; i++)
		items_make(&s[i], of, &d->side[i].c);
	/* Two grants may say what one said. */
	if (of->said == ssh_said || s[0].sum != s[1].sum)
		mark_items(s);
	moved = of->said == ssh_said && is_moved(s);
	if (!write_items(d, of, s))
		buf_printf(d->out, "* %s differs%s\n", of->name,
		    d->out->n == had ? "" : " in more");
	else if (moved)
		buf_printf(d->out, "* %s: the order of rules differs\n",
		    of->name);
	for (i = 0; i < 2; i++) {
		free(s[i].v);
		free(s[i].sorted);
	}
}

void
diff_rest(struct diff *d)
{
	size_t i;

	for (i = 0; i < sizeof(sections) / sizeof(sections[0]); i++)
		diff_section(d, &sections[i]);
}
