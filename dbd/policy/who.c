#include <stdlib.h>

#include "dbd/policy/arena.h"
#include "dbd/policy/who.h"

struct key {
	struct slice	 text;
	const struct pol_user *user;
	size_t		 at;
};

struct keys {
	struct key	*v;
	size_t		 n;
};

struct who {
	struct keys	 provider;
	struct keys	 name;		/* or e-mail */
};

static int
by_text(const void *x, const void *y)
{
	const struct key *a = x, *b = y;
	int c;

	c = slice_cmp(a->text, b->text);
	if (c != 0)
		return c;
	return a->at < b->at ? -1 : a->at > b->at;
}

static void
add(struct keys *k, struct slice text, const struct pol_user *u, size_t at)
{
	if (text.n == 0)
		return;
	k->v[k->n].text = text;
	k->v[k->n].user = u;
	k->v[k->n++].at = at;
}

struct who *
who_new(struct arena *a, const struct tailnet_info *info)
{
	const struct pol_user *u;
	struct who *w;
	size_t i;

	w = arena_alloc(a, sizeof(*w));
	w->provider.v = arena_array(a, info->nusers, sizeof(struct key));
	w->name.v = arena_array(a, info->nusers, 2 * sizeof(struct key));
	for (i = 0; i < info->nusers; i++) {
		u = &info->user[i];
		add(&w->provider, u->provider_id, u, i);
		add(&w->name, u->name, u, i);
		if (!slice_eq(u->name, u->email))
			add(&w->name, u->email, u, i);
	}
	qsort(w->provider.v, w->provider.n, sizeof(struct key), by_text);
	qsort(w->name.v, w->name.n, sizeof(struct key), by_text);
	return w;
}

/* How many have the text, and the first of them. */
static size_t
find(const struct keys *k, struct slice text, const struct pol_user **first)
{
	size_t lo = 0, hi = k->n, mid, n;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (slice_cmp(k->v[mid].text, text) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (n = 0; lo + n < k->n && slice_eq(k->v[lo + n].text, text); n++)
		continue;
	if (n > 0)
		*first = k->v[lo].user;
	return n;
}

size_t
who_find(const struct who *w, struct slice token,
    const struct pol_user **first)
{
	*first = NULL;
	if (token.n > 0 && token.p[token.n - 1] == '@')
		token.n--;
	if (find(&w->provider, token, first) > 0)
		return 1;
	return find(&w->name, token, first);
}

bool
who_only(const struct who *w, const struct aliases *src,
    const struct alias *dst)
{
	const struct pol_user *a, *b;
	size_t i;

	for (i = 0; i < src->n; i++) {
		if (src->v[i].kind != AL_USER)
			return false;
		if (slice_eq(src->v[i].text, dst->text))
			continue;
		if (who_find(w, src->v[i].text, &a) != 1 ||
		    who_find(w, dst->text, &b) != 1 || a != b)
			return false;
	}
	return true;
}

bool
who_domain(const struct tailnet_info *info, struct slice domain)
{
	size_t i;

	for (i = 0; i < info->ndomains; i++)
		if (slice_eq(info->domain[i], domain))
			return true;
	return false;
}
