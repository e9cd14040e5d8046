#include <stdlib.h>
#include <string.h>

#include "dbd/policy/emit_int.h"

/*
 * Who may use a tag is who owns it or any tag that it is owned by, and so on.
 * Tags that own each other have the same owners: they are found as strongly
 * connected components (Tarjan), each after all those that it leads to.
 */
struct owned {
	uint32_t	 order;		/* when found, from 1; 0: not yet */
	uint32_t	 low;		/* the earliest that it leads back to */
	bool		 open;		/* on the stack of unfinished ones */
	size_t		 next;		/* owner to look at next */
	uint32_t	 up;		/* whose owner it is; UINT32_MAX */
	bool		 anyone;
	const uint64_t	*user;		/* once finished */
	uint32_t	 n;
};

struct owners {
	struct emit	*e;
	struct owned	*v;
	struct table	 names;
	uint32_t	*stack;
	uint32_t	 nstack;
	uint32_t	 found;
	uint64_t	 total;
};

static uint32_t
owner_find(const struct owners *o, struct slice tag)
{
	const struct named *t = o->e->p->owner;
	uint64_t at = table_hash(tag.p, tag.n, 0);
	uint32_t i;

	while ((i = table_next(&o->names, &at)) != UINT32_MAX)
		if (slice_eq(t[i].name, tag))
			return i;
	return UINT32_MAX;
}

static bool
is_anyone(const struct aliases *as)
{
	size_t i;

	for (i = 0; i < as->n; i++)
		if (as->v[i].kind == AL_AUTO && as->v[i].ag == AG_MEMBER)
			return true;
	return false;
}

/* The union of v[0..n) and w, or one of both if it has the other. */
static void
unite(struct owners *o, const uint64_t **v, uint32_t *n, const uint64_t *w,
    uint32_t m)
{
	uint64_t *sum;
	uint32_t i = 0, k = 0, at = 0;

	if (m == 0 || w == *v)
		return;
	if (*n == 0) {
		*v = w;
		*n = m;
		return;
	}
	o->total += (uint64_t)*n + m;
	if (o->total > 4 * (uint64_t)POL_MAX_ENTRIES)
		o->e->too_big = true;
	if (o->e->too_big)
		return;
	sum = arena_array(o->e->a, (size_t)*n + m, sizeof(*sum));
	while (i < *n || k < m) {
		if (k == m || (i < *n && (*v)[i] < w[k]))
			sum[at++] = (*v)[i++];
		else {
			if (i < *n && (*v)[i] == w[k])
				i++;
			sum[at++] = w[k++];
		}
	}
	*v = sum;
	*n = at;
}

/* A tag without owners belongs to the administrators. */
static struct users
admins(struct emit *e)
{
	struct alias al;

	memset(&al, 0, sizeof(al));
	al.kind = AL_AUTO;
	al.ag = AG_ADMIN;
	return emit_users(e, &al);
}

/* Adds what one owner of a tag brings; tags that are open bring nothing. */
static void
add_owner(struct owners *o, struct owned *sum, const struct alias *al)
{
	struct users u;
	uint32_t k;

	if (al->kind != AL_TAG) {
		u = emit_users(o->e, al);
		unite(o, &sum->user, &sum->n, u.v, u.n);
		return;
	}
	k = owner_find(o, al->text);
	if (k == UINT32_MAX || o->v[k].open)
		return;
	sum->anyone = sum->anyone || o->v[k].anyone;
	unite(o, &sum->user, &sum->n, o->v[k].user, o->v[k].n);
}

/* All of stack[from..] are one component: their owners are known now. */
static void
finish(struct owners *o, uint32_t from)
{
	const struct aliases *as;
	struct owned sum;
	struct users u;
	uint32_t i, t;
	size_t j;

	memset(&sum, 0, sizeof(sum));
	for (i = from; i < o->nstack; i++) {
		as = &o->e->p->owner[o->stack[i]].member;
		sum.anyone = sum.anyone || is_anyone(as);
		if (as->n == 0) {
			u = admins(o->e);
			unite(o, &sum.user, &sum.n, u.v, u.n);
		}
		for (j = 0; j < as->n; j++)
			add_owner(o, &sum, &as->v[j]);
	}
	for (i = from; i < o->nstack; i++) {
		t = o->stack[i];
		o->v[t].open = false;
		o->v[t].anyone = sum.anyone;
		o->v[t].user = sum.user;
		o->v[t].n = sum.n;
	}
	o->nstack = from;
}

static void
open_tag(struct owners *o, uint32_t t, uint32_t up)
{
	o->v[t].order = o->v[t].low = ++o->found;
	o->v[t].open = true;
	o->v[t].up = up;
	o->stack[o->nstack++] = t;
}

/* The next owner of t that is a tag not seen before, or UINT32_MAX. */
static uint32_t
step(struct owners *o, uint32_t t)
{
	const struct aliases *as = &o->e->p->owner[t].member;
	struct owned *v = &o->v[t];
	uint32_t k;

	while (v->next < as->n) {
		if (as->v[v->next++].kind != AL_TAG)
			continue;
		k = owner_find(o, as->v[v->next - 1].text);
		if (k == UINT32_MAX)
			continue;
		if (o->v[k].order == 0)
			return k;
		if (o->v[k].open && o->v[k].order < v->low)
			v->low = o->v[k].order;
	}
	return UINT32_MAX;
}

/* Depth first, without recursion: a chain may be long. */
static void
walk(struct owners *o, uint32_t root)
{
	struct owned *v;
	uint32_t t = root, k;

	open_tag(o, root, UINT32_MAX);
	while (t != UINT32_MAX) {
		v = &o->v[t];
		if ((k = step(o, t)) != UINT32_MAX) {
			open_tag(o, k, t);
			t = k;
			continue;
		}
		if (v->low == v->order) {
			for (k = o->nstack; o->stack[k - 1] != t; k--)
				continue;
			finish(o, k - 1);
		}
		if (v->up != UINT32_MAX && v->low < o->v[v->up].low)
			o->v[v->up].low = v->low;
		t = v->up;
	}
}

static uint64_t
name_hash(const struct emit *e, uint32_t i)
{
	return table_hash(e->p->owner[i].name.p, e->p->owner[i].name.n, 0);
}

static int
cmp_owner(const void *a, const void *b)
{
	const struct pol_owner *x = a, *y = b;

	return slice_cmp(x->tag, y->tag);
}

void
emit_owners(struct emit *e, struct pol *p)
{
	struct pol_owner *v;
	struct owners o;
	uint32_t i, n = (uint32_t)e->p->nowners;

	memset(&o, 0, sizeof(o));
	o.e = e;
	o.v = arena_array(e->a, n, sizeof(*o.v));
	o.stack = arena_array(e->a, n, sizeof(*o.stack));
	table_init(e, &o.names, n);
	for (i = 0; i < n; i++)
		table_add(e, &o.names, name_hash(e, i), i, name_hash);
	for (i = 0; i < n && !e->too_big; i++)
		if (o.v[i].order == 0)
			walk(&o, i);
	p->owner = v = arena_array(e->a, n, sizeof(*v));
	for (i = 0; i < n; i++) {
		v[i].tag = e->p->owner[i].name;
		v[i].anyone = o.v[i].anyone;
		v[i].user = o.v[i].user;
		v[i].nusers = o.v[i].n;
	}
	if (n != 0)
		qsort(v, n, sizeof(*v), cmp_owner);
	p->nowners = n;
}
