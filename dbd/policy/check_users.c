#include "dbd/policy/read_int.h"

/* Who has the name: "7 alice, 9 bob". */
static void
candidates(struct reading *r, struct slice token, struct buf *b)
{
	const struct pol_user *u;
	size_t i, n = 0;

	if (token.n > 0 && token.p[token.n - 1] == '@')
		token.n--;
	for (i = 0; i < r->info->nusers && n < 8; i++) {
		u = &r->info->user[i];
		if (!slice_eq(u->name, token) && !slice_eq(u->email, token))
			continue;
		buf_printf(b, "%s%llu %.*s", n++ == 0 ? "" : ", ",
		    (unsigned long long)u->id, SLICE_FMT(u->name));
	}
}

static void
ambiguous(struct reading *r, const struct alias *al)
{
	const struct pol_user *u;
	struct buf b = { 0 };

	if (r->nfaults > 100 || al->kind != AL_USER ||
	    who_find(r->who, al->text, &u) < 2)
		return;
	candidates(r, al->text, &b);
	(void)fault(r, al->pos, "multiple users found: token %s found: %.*s",
	    quote(r, al->text), (int)b.n, (const char *)b.p);
	buf_free(&b);
}

static void
ambiguous_list(struct reading *r, const struct aliases *list)
{
	size_t i;

	for (i = 0; i < list->n; i++)
		ambiguous(r, &list->v[i]);
}

void
check_users(struct reading *r)
{
	const struct policy *p = r->p;
	size_t i, k;

	for (i = 0; i < p->ngroups; i++)
		ambiguous_list(r, &p->group[i].member);
	for (i = 0; i < p->nowners; i++)
		ambiguous_list(r, &p->owner[i].member);
	for (i = 0; i < p->napprovers; i++)
		ambiguous_list(r, &p->approver[i].who);
	for (i = 0; i < p->nacls; i++) {
		ambiguous_list(r, &p->acl[i].src);
		for (k = 0; k < p->acl[i].ndst; k++)
			ambiguous(r, &p->acl[i].dst[k].alias);
	}
	for (i = 0; i < p->nsshs; i++) {
		ambiguous_list(r, &p->ssh[i].src);
		ambiguous_list(r, &p->ssh[i].dst);
	}
}
