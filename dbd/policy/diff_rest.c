#include <string.h>

#include "dbd/policy/diff_int.h"

/*
 * Sums of hashes where the order of records means nothing, which is
 * everywhere but among rules of SSH: the first that fits decides there.
 */

static uint64_t
text_said(struct slice s, uint64_t seed)
{
	return table_hash(s.p, s.n, seed);
}

static uint64_t
apps_said(const struct pol *p)
{
	const struct pol_row *r;
	uint64_t sum = 0;
	uint32_t i;

	for (i = 0; i < p->nrows; i++) {
		r = &p->row[i];
		if ((r->flags & POL_ROW_APP) != 0)
			sum += text_said(r->caps, diff_row_said(p, r));
	}
	return sum;
}

static uint64_t
one_ssh(const struct pol *p, const struct pol_ssh *s, uint64_t h)
{
	const uint64_t v[] = {
		h, s->check, s->self, s->locals, (uint64_t)s->period,
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

static uint64_t
ssh_said(const struct pol *p)
{
	uint64_t h = 0;
	uint32_t i;

	for (i = 0; i < p->nsshs; i++)
		h = one_ssh(p, &p->ssh[i], h);
	return h;
}

static uint64_t
attrs_said(const struct pol *p)
{
	uint64_t sum = 0;
	uint32_t i;

	for (i = 0; i < p->nattrs; i++)
		sum += text_said(p->attr[i].keys,
		    diff_src_said(p, p->attr[i].src));
	return sum;
}

static uint64_t
approvers_said(const struct pol *p)
{
	const struct pol_approver *a;
	uint64_t sum = 0, h;
	uint32_t i;

	for (i = 0; i < p->napprovers; i++) {
		a = &p->approver[i];
		h = diff_src_said(p, a->src) + a->exit;
		if (!a->exit)
			h = table_hash(a->route.addr.b, a->route.addr.family ==
			    4 ? 4 : 16, h ^ (uint64_t)a->route.bits << 8);
		sum += table_hash(&h, sizeof(h), 0);
	}
	return sum;
}

static uint64_t
owners_said(const struct pol *p)
{
	const struct pol_owner *o;
	uint64_t sum = 0;
	uint32_t i;

	for (i = 0; i < p->nowners; i++) {
		o = &p->owner[i];
		sum += text_said(o->tag, table_hash(o->user,
		    o->nusers * sizeof(*o->user), o->anyone));
	}
	return sum;
}

void
diff_rest(struct diff *d)
{
	static const struct {
		const char	*what;
		uint64_t	 (*said)(const struct pol *);
	} part[] = {
		{ "* app of grants differs\n", apps_said },
		{ "* ssh differs\n", ssh_said },
		{ "* nodeAttrs differs\n", attrs_said },
		{ "* autoApprovers differs\n", approvers_said },
		{ "* tagOwners differs\n", owners_said }
	};
	size_t i;

	for (i = 0; i < sizeof(part) / sizeof(part[0]); i++)
		if (part[i].said(d->side[0].c.pol) !=
		    part[i].said(d->side[1].c.pol))
			buf_str(d->out, part[i].what);
}
