#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "common/ids.h"
#include "dbd/policy/emit_int.h"

uint64_t
table_hash(const void *p, size_t n, uint64_t seed)
{
	const uint8_t *b = p;
	uint64_t h = seed ^ UINT64_C(0xcbf29ce484222325);

	for (; n > 0; n--)
		h = (h ^ *b++) * UINT64_C(0x100000001b3);
	return h ^ h >> 32;
}

void
table_init(struct emit *e, struct table *t, size_t n)
{
	t->n = 0;
	for (t->nslots = 64; t->nslots < 2 * n; t->nslots *= 2)
		continue;
	t->slot = arena_array(e->a, t->nslots, sizeof(*t->slot));
}

uint32_t
table_next(const struct table *t, uint64_t *at)
{
	return t->slot[(*at)++ & (t->nslots - 1)] - 1;
}

static void
table_put(struct table *t, uint64_t h, uint32_t number)
{
	while (t->slot[h & (t->nslots - 1)] != 0)
		h++;
	t->slot[h & (t->nslots - 1)] = number + 1;
	t->n++;
}

void
table_add(struct emit *e, struct table *t, uint64_t h, uint32_t number,
    uint64_t (*hash)(const struct emit *, uint32_t))
{
	struct table old = *t;
	size_t i;

	if ((t->n + 1) * 2 > t->nslots) {
		table_init(e, t, old.nslots);
		for (i = 0; i < old.nslots; i++)
			if (old.slot[i] != 0)
				table_put(t, hash(e, old.slot[i] - 1),
				    old.slot[i] - 1);
	}
	table_put(t, h, number);
}

void
emit_prov(struct pol_prov *v, enum pol_section section, size_t index,
    struct pos pos)
{
	v->section = (uint8_t)section;
	v->index = (uint32_t)index;
	v->line = pos.line;
	v->column = pos.column;
}

void *
emit_room(struct emit *e, void *old, uint32_t n, uint32_t *cap, size_t size)
{
	void *v;

	if (n < *cap)
		return old;
	*cap = *cap == 0 ? 16 : *cap * 2;
	v = arena_array(e->a, *cap, size);
	if (n != 0)
		memcpy(v, old, n * size);
	return v;
}

static uint64_t
hash_of_sel(const struct pol_sel *s)
{
	uint64_t h = s->kind * UINT64_C(0x9e3779b97f4a7c15);

	/* A look at some: groups are many and may be long. */
	if (s->kind == POL_USERS && s->nusers > 64)
		return table_hash(s->user + s->nusers - 64,
		    64 * sizeof(*s->user), h ^ s->nusers);
	if (s->kind == POL_USERS)
		return table_hash(s->user, s->nusers * sizeof(*s->user), h);
	return table_hash(s->text.p, s->text.n, h);
}

static uint64_t
sel_hash(const struct emit *e, uint32_t i)
{
	return hash_of_sel(&e->sel[i]);
}

static bool
sel_same(const struct pol_sel *a, const struct pol_sel *b)
{
	if (a->kind != b->kind || a->inet != b->inet)
		return false;
	if (a->kind == POL_USERS)
		return a->nusers == b->nusers && (a->user == b->user ||
		    a->nusers == 0 || memcmp(a->user, b->user,
		    a->nusers * sizeof(*a->user)) == 0);
	return slice_eq(a->text, b->text);
}

/* Its number; what it points at must live as long as the arena. */
static uint32_t
sel_put(struct emit *e, const struct pol_sel *s)
{
	uint64_t h = hash_of_sel(s), at = h;
	uint32_t i;

	while ((i = table_next(&e->sels, &at)) != UINT32_MAX)
		if (sel_same(&e->sel[i], s))
			return i;
	if (e->nsels == POL_MAX_COUNT) {
		e->too_big = true;
		return 0;
	}
	e->sel = emit_room(e, e->sel, e->nsels, &e->capsels, sizeof(*e->sel));
	e->sel[e->nsels] = *s;
	table_add(e, &e->sels, h, e->nsels, sel_hash);
	return e->nsels++;
}

static uint32_t
sel_kind(struct emit *e, enum pol_sel_kind kind)
{
	struct pol_sel s;

	memset(&s, 0, sizeof(s));
	s.kind = (uint8_t)kind;
	return sel_put(e, &s);
}

static struct slice
range_text(struct emit *e, const struct pol_sel *s, bool span)
{
	char text[POL_RANGE_TEXT];
	size_t n;

	n = pol_range_print(text, &s->lo, &s->hi, span);
	return arena_copy(e->a, slice_mem(text, n));
}

static uint32_t
sel_prefix(struct emit *e, const struct prefix *p)
{
	struct pol_sel s;
	unsigned int bit, all = p->addr.family == 4 ? 32 : 128;

	memset(&s, 0, sizeof(s));
	s.kind = POL_RANGE;
	s.lo = s.hi = p->addr;
	for (bit = p->bits; bit < all; bit++)
		s.hi.b[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
	s.text = range_text(e, &s, false);
	return sel_put(e, &s);
}

void
emit_internet(struct emit *e, uint32_t v[7])
{
	static const char *const edge[7][2] = {
		{ "0.0.0.0", "9.255.255.255" },
		{ "11.0.0.0", "100.63.255.255" },
		{ "100.128.0.0", "169.253.255.255" },
		{ "169.255.0.0", "172.15.255.255" },
		{ "172.32.0.0", "192.167.255.255" },
		{ "192.169.0.0", "255.255.255.255" },
		{ "2000::", "3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff" }
	};
	struct pol_sel s;
	size_t i;

	for (i = 0; i < 7; i++) {
		memset(&s, 0, sizeof(s));
		s.kind = POL_RANGE;
		s.inet = true;
		(void)ip_parse(&s.lo, slice_str(edge[i][0]));
		(void)ip_parse(&s.hi, slice_str(edge[i][1]));
		s.text = range_text(e, &s, true);
		v[i] = sel_put(e, &s);
	}
}

static int
cmp_u64(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static int
cmp_u32(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

uint32_t
emit_uniq(uint64_t *v, uint32_t n)
{
	uint32_t i, k;

	if (n == 0)
		return 0;
	qsort(v, n, sizeof(*v), cmp_u64);
	for (i = k = 1; i < n; i++)
		if (v[i] != v[k - 1])
			v[k++] = v[i];
	return k;
}

struct slice
emit_login(const struct pol_user *u)
{
	return u->email.n != 0 ? u->email : u->name;
}

bool
emit_in_domain(const struct emit *e, const struct pol_user *u,
    struct slice domain)
{
	struct slice s = emit_login(u);
	size_t i, at;

	if (!who_domain(e->info, domain))
		return false;

	for (at = s.n; at > 0 && s.p[at - 1] != '@'; at--)
		continue;
	if (at == 0 || s.n - at != domain.n)
		return false;
	for (i = 0; i < domain.n; i++)
		if (tolower((unsigned char)s.p[at + i]) !=
		    tolower((unsigned char)domain.p[i]))
			return false;
	return true;
}

bool
emit_has_role(const struct pol_user *u, enum autogroup ag)
{
	return u->role == USER_OWNER ||
	    (ag == AG_ADMIN && u->role == USER_ADMIN);
}

/* Ids in the making. */
struct ids {
	uint64_t	*v;
	uint32_t	 n, cap;
};

static void
ids_put(struct emit *e, struct ids *w, uint64_t id)
{
	w->v = emit_room(e, w->v, w->n, &w->cap, sizeof(*w->v));
	w->v[w->n++] = id;
}

static struct users
ids_done(struct ids *w)
{
	struct users u;

	u.n = emit_uniq(w->v, w->n);
	u.v = w->v;
	u.known = true;
	return u;
}

static uint64_t
group_hash(const struct emit *e, uint32_t i)
{
	return table_hash(e->p->group[i].name.p, e->p->group[i].name.n, 0);
}

/* Its number, or UINT32_MAX. */
static uint32_t
group_find(const struct emit *e, struct slice name)
{
	uint64_t at = table_hash(name.p, name.n, 0);
	uint32_t i;

	while ((i = table_next(&e->groups, &at)) != UINT32_MAX)
		if (slice_eq(e->p->group[i].name, name))
			return i;
	return UINT32_MAX;
}

static void
ids_user(struct emit *e, struct ids *w, struct slice name)
{
	const struct pol_user *u;

	/* An ambiguous name means nobody. */
	if (who_find(e->who, name, &u) == 1)
		ids_put(e, w, u->id);
}

static struct users
group_users(struct emit *e, struct slice name)
{
	const struct aliases *m;
	struct ids w = { NULL, 0, 0 };
	uint32_t g;
	size_t i;

	if ((g = group_find(e, name)) == UINT32_MAX)
		return ids_done(&w);
	if (!e->group[g].known) {
		m = &e->p->group[g].member;
		for (i = 0; i < m->n; i++)
			ids_user(e, &w, m->v[i].text);
		e->group[g] = ids_done(&w);
	}
	return e->group[g];
}

static struct users
role_users(struct emit *e, enum autogroup ag)
{
	struct users *known = &e->role[ag == AG_ADMIN];
	struct ids w = { NULL, 0, 0 };
	size_t i;

	if (!known->known) {
		for (i = 0; i < e->info->nusers; i++)
			if (emit_has_role(&e->info->user[i], ag))
				ids_put(e, &w, e->info->user[i].id);
		*known = ids_done(&w);
	}
	return *known;
}

/* user:*@DOMAIN: what follows the "@". */
static struct slice
domain_of(struct slice text)
{
	size_t i;

	for (i = 0; i < text.n && text.p[i] != '@'; i++)
		continue;
	if (i == text.n)
		return slice_mem(text.p, 0);
	return slice_mem(text.p + i + 1, text.n - i - 1);
}

static struct users
domain_users(struct emit *e, struct slice domain)
{
	struct domain_users *d;
	struct ids w = { NULL, 0, 0 };
	size_t i;

	for (d = e->domains; d != NULL; d = d->next)
		if (slice_eq(d->domain, domain))
			return d->users;
	for (i = 0; i < e->info->nusers; i++)
		if (emit_in_domain(e, &e->info->user[i], domain))
			ids_put(e, &w, e->info->user[i].id);
	d = arena_alloc(e->a, sizeof(*d));
	d->domain = domain;
	d->users = ids_done(&w);
	d->next = e->domains;
	e->domains = d;
	return d->users;
}

struct users
emit_users(struct emit *e, const struct alias *al)
{
	struct ids w = { NULL, 0, 0 };

	if (al->kind == AL_GROUP)
		return group_users(e, al->text);
	if (al->kind == AL_DOMAIN)
		return domain_users(e, domain_of(al->text));
	if (al->kind == AL_AUTO && (al->ag == AG_OWNER || al->ag == AG_ADMIN))
		return role_users(e, al->ag);
	if (al->kind == AL_USER)
		ids_user(e, &w, al->text);
	return ids_done(&w);
}

static uint32_t
sel_users(struct emit *e, const struct alias *al)
{
	struct pol_sel s;
	struct users u;

	u = emit_users(e, al);
	memset(&s, 0, sizeof(s));
	s.kind = POL_USERS;
	s.user = u.v;
	s.nusers = u.n;
	return sel_put(e, &s);
}

uint32_t
emit_sel(struct emit *e, const struct alias *al, enum emit_as as)
{
	struct pol_sel s;

	switch (al->kind) {
	case AL_PREFIX:
	case AL_HOST:
		return sel_prefix(e, &al->prefix);
	case AL_STAR:
		return sel_kind(e, as == AS_DST ? POL_ANY : POL_TAILNET);
	case AL_TAG:
		memset(&s, 0, sizeof(s));
		s.kind = POL_TAG;
		s.text = al->text;
		return sel_put(e, &s);
	case AL_AUTO:
		if (al->ag == AG_MEMBER)
			return sel_kind(e, POL_MEMBER);
		if (al->ag == AG_TAGGED)
			return sel_kind(e, POL_TAGGED);
		if (al->ag == AG_DANGER_ALL)
			return sel_kind(e, POL_ANY);
		break;
	default:
		break;
	}
	return sel_users(e, al);
}

static uint64_t
hash_of_src(const struct pol_src *s)
{
	return table_hash(s->sel, s->n * sizeof(*s->sel), s->n);
}

static uint64_t
src_hash(const struct emit *e, uint32_t i)
{
	return hash_of_src(&e->src[i]);
}

uint32_t
emit_src(struct emit *e, const uint32_t *sel, uint32_t n)
{
	struct pol_src s;
	uint32_t *v, i;
	uint64_t h, at;

	v = arena_array(e->a, n, sizeof(*v));
	if (n != 0) {
		memcpy(v, sel, n * sizeof(*v));
		qsort(v, n, sizeof(*v), cmp_u32);
	}
	s.sel = v;
	s.n = 0;
	for (i = 0; i < n; i++)
		if (i == 0 || v[i] != v[s.n - 1])
			v[s.n++] = v[i];
	at = h = hash_of_src(&s);
	while ((i = table_next(&e->srcs, &at)) != UINT32_MAX)
		if (e->src[i].n == s.n && (s.n == 0 || memcmp(e->src[i].sel,
		    s.sel, s.n * sizeof(*s.sel)) == 0))
			return i;
	if (e->nsrcs == POL_MAX_COUNT) {
		e->too_big = true;
		return 0;
	}
	e->src = emit_room(e, e->src, e->nsrcs, &e->capsrcs, sizeof(*e->src));
	e->src[e->nsrcs] = s;
	table_add(e, &e->srcs, h, e->nsrcs, src_hash);
	return e->nsrcs++;
}

uint32_t
emit_src_of(struct emit *e, const struct aliases *as)
{
	uint32_t *v;
	size_t i;

	v = arena_array(e->a, as->n, sizeof(*v));
	for (i = 0; i < as->n; i++)
		v[i] = emit_sel(e, &as->v[i], AS_SOURCE);
	return emit_src(e, v, (uint32_t)as->n);
}

void
emit_sels_init(struct emit *e)
{
	uint32_t i;

	table_init(e, &e->sels, 64);
	table_init(e, &e->srcs, 64);
	table_init(e, &e->groups, e->p->ngroups);
	e->group = arena_array(e->a, e->p->ngroups, sizeof(*e->group));
	for (i = 0; i < e->p->ngroups; i++)
		table_add(e, &e->groups, group_hash(e, i), i, group_hash);
	e->who = who_new(e->a, e->info);
}
