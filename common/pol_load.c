#include <stdlib.h>
#include <string.h>

#include "common/pol_int.h"

/* Memory of a policy: pieces of at least so many octets. */
#define PIECE		16384

struct piece {
	struct piece	*next;
	size_t		 used;
	size_t		 size;
	uint64_t	 at[];
};

struct list {			/* of which many records are pointed at */
	const void	*v;
	uint32_t	 n;
	bool		 taken;
};

struct lists {
	struct list	*v;
	uint32_t	 n;
};

struct loader {
	struct rd	 r;
	struct pol	*p;
	const char	*err;
	struct lists	 users, ports, locals;
	uint64_t	 entries;
	uint64_t	 sources;
};

void *
pol_take(struct pol *p, size_t n, size_t size)
{
	struct piece *c = p->mem;
	size_t want, room;
	void *at;

	/* Callers bound n by POL_MAX; so this cannot wrap. */
	want = (n * size + 7) / 8 * 8;
	if (c == NULL || c->size - c->used < want) {
		room = want > PIECE ? want : PIECE;
		c = xcalloc(1, sizeof(*c) + room);
		c->size = room;
		c->next = p->mem;
		p->mem = c;
	}
	at = (uint8_t *)c->at + c->used;
	c->used += want;
	return at;
}

void
pol_free(struct pol *p)
{
	struct piece *c, *next;

	if (p == NULL)
		return;
	for (c = p->mem; c != NULL; c = next) {
		next = c->next;
		free(c);
	}
	free(p);
}

static void
off(struct loader *l, const char *why)
{
	if (l->err == NULL)
		l->err = why;
	l->r.bad = true;
}

/* How many come, each of at least least octets. */
static uint32_t
count(struct loader *l, uint32_t max, size_t least)
{
	uint32_t n;

	n = rd_u32(&l->r);
	if (n > max || n > rd_left(&l->r) / least) {
		off(l, "a count is too high");
		return 0;
	}
	return n;
}

static uint32_t
below(struct loader *l, uint32_t n, const char *why)
{
	uint32_t v;

	v = rd_u32(&l->r);
	if (v >= n) {
		off(l, why);
		return 0;
	}
	return v;
}

static bool
flag(struct loader *l)
{
	uint8_t v;

	v = rd_u8(&l->r);
	if (v > 1)
		off(l, "a flag is neither yes nor no");
	return v == 1;
}

static struct slice
text(struct loader *l)
{
	uint32_t n;
	const void *p;

	n = rd_u32(&l->r);
	p = rd_take(&l->r, n);
	return slice_mem(p, p == NULL ? 0 : n);
}

static struct slice
tag_text(struct loader *l)
{
	struct slice s;

	s = text(l);
	if (!slice_prefix(s, "tag:") || !utf8_ok(s.p, s.n))
		off(l, "a tag is none");
	return s;
}

static void
ip(struct loader *l, struct ip *ip, uint8_t family)
{
	size_t n = family == 4 ? 4 : 16;
	const uint8_t *b;

	if (family != 4 && family != 6) {
		off(l, "an address has no family");
		return;
	}
	ip->family = family;
	if ((b = rd_take(&l->r, n)) != NULL)
		memcpy(ip->b, b, n);
}

static void
prov(struct loader *l, struct pol_prov *v)
{
	v->section = rd_u8(&l->r);
	v->index = rd_u32(&l->r);
	v->line = rd_u32(&l->r);
	v->column = rd_u32(&l->r);
	if (v->section > POL_DEFAULT)
		off(l, "a section is none");
}

static void
user_list(struct loader *l, struct list *s)
{
	uint64_t *v;
	uint32_t i;

	s->n = count(l, UINT32_MAX, 8);
	v = pol_take(l->p, s->n, sizeof(*v));
	s->v = v;
	for (i = 0; i < s->n; i++) {
		v[i] = rd_u64(&l->r);
		if (v[i] == 0 || (i > 0 && v[i] <= v[i - 1]))
			off(l, "users are not in order");
	}
}

static void
port_list(struct loader *l, struct list *s)
{
	struct pol_port *v;
	uint32_t i;

	s->n = count(l, POL_MAX_ENTRIES, 4);
	v = pol_take(l->p, s->n, sizeof(*v));
	s->v = v;
	for (i = 0; i < s->n; i++) {
		v[i].first = rd_u16(&l->r);
		v[i].last = rd_u16(&l->r);
		if (v[i].first > v[i].last)
			off(l, "ports are not in order");
	}
}

static void
local_list(struct loader *l, struct list *s)
{
	struct pol_local *v;
	uint32_t i;

	s->n = count(l, UINT32_MAX, 12);
	v = pol_take(l->p, s->n, sizeof(*v));
	s->v = v;
	for (i = 0; i < s->n && !l->r.bad; i++) {
		v[i].user = rd_u64(&l->r);
		v[i].name = text(l);
		if (v[i].user == 0 || (i > 0 && v[i].user <= v[i - 1].user))
			off(l, "users are not in order");
		if (!pol_json_str(v[i].name))
			off(l, "a local part is no string");
	}
}

static void
lists(struct loader *l, struct lists *s,
    void (*one)(struct loader *, struct list *))
{
	uint32_t i;

	s->n = count(l, UINT32_MAX - 1, 8);
	s->v = xcalloc((size_t)s->n + 1, sizeof(*s->v));
	for (i = 1; i <= s->n && !l->r.bad; i++) {
		one(l, &s->v[i]);
		if (s->v[i].n == 0)
			off(l, "a list is empty");
	}
}

/* The list that a record names; 0 is the empty one. */
static struct list *
list_of(struct loader *l, struct lists *s)
{
	return &s->v[below(l, s->n + 1, "a list is missing")];
}

static uint32_t *
sel_list(struct loader *l, uint32_t *n, bool ascending)
{
	uint32_t *v, i;

	*n = count(l, l->p->nsels, 4);
	v = pol_take(l->p, *n, sizeof(*v));
	for (i = 0; i < *n; i++) {
		v[i] = below(l, l->p->nsels, "a selector is missing");
		if (ascending && i > 0 && v[i] <= v[i - 1])
			off(l, "selectors are not in order");
	}
	return v;
}

static void
load_range(struct loader *l, struct pol_sel *s, uint8_t flags, uint8_t family)
{
	char dst[POL_RANGE_TEXT], *copy;
	bool span = (flags & POL_F_SPAN) != 0;
	size_t n;

	ip(l, &s->lo, family);
	ip(l, &s->hi, family);
	s->inet = (flags & POL_F_INET) != 0;
	if (l->r.bad)
		return;
	if (ip_num_cmp(ip_num(&s->lo), ip_num(&s->hi)) > 0 ||
	    (!span && pol_prefix_bits(&s->lo, &s->hi) == -1)) {
		off(l, "a range is none");
		return;
	}
	n = pol_range_print(dst, &s->lo, &s->hi, span);
	copy = pol_take(l->p, n, 1);
	memcpy(copy, dst, n);
	s->text = slice_mem(copy, n);
}

static void
load_sel(struct loader *l, struct pol_sel *s)
{
	struct list *u;
	uint8_t flags, family;

	s->kind = rd_u8(&l->r);
	flags = rd_u8(&l->r);
	family = rd_u8(&l->r);
	if (s->kind > POL_RANGE || (flags & ~(POL_F_INET | POL_F_SPAN)) != 0 ||
	    (s->kind != POL_RANGE && (flags != 0 || family != 0))) {
		off(l, "a selector is of no kind");
		return;
	}
	switch (s->kind) {
	case POL_USERS:
		u = list_of(l, &l->users);
		if (u->taken)
			off(l, "users are selected twice");
		u->taken = true;
		s->user = u->v;
		s->nusers = u->n;
		break;
	case POL_TAG:
		s->text = tag_text(l);
		break;
	case POL_RANGE:
		load_range(l, s, flags, family);
		break;
	default:
		if (rd_u32(&l->r) != 0)
			off(l, "a selector is of no kind");
	}
}

static void
load_sels(struct loader *l)
{
	struct pol_sel *v;
	uint32_t i, n;

	n = count(l, POL_MAX_COUNT, 7);
	l->p->sel = v = pol_take(l->p, n, sizeof(*v));
	for (i = 0; i < n && !l->r.bad; i++)
		load_sel(l, &v[i]);
	l->p->nsels = n;
}

static void
load_srcs(struct loader *l)
{
	struct pol_src *v;
	uint32_t i, n;

	n = count(l, POL_MAX_COUNT, 4);
	l->p->src = v = pol_take(l->p, n, sizeof(*v));
	for (i = 0; i < n && !l->r.bad; i++)
		v[i].sel = sel_list(l, &v[i].n, true);
	l->p->nsrcs = n;
}

/* Who asks about a node looks at them for each record anew. */
static uint32_t
src_of(struct loader *l)
{
	uint32_t i;

	i = below(l, l->p->nsrcs, "a source is missing");
	if (!l->r.bad)
		l->sources += l->p->src[i].n;
	if (l->sources > POL_MAX_SOURCES)
		off(l, "there are too many sources");
	return i;
}

static void
load_dsts(struct loader *l, struct pol_row *r)
{
	const struct list *ports;
	struct pol_dst *v;
	uint32_t i, at = 0;

	r->ndst = count(l, POL_MAX_ENTRIES, 12);
	r->dst = v = pol_take(l->p, r->ndst, sizeof(*v));
	for (i = 0; i < r->ndst && !l->r.bad; i++) {
		v[i].sel = below(l, l->p->nsels, "a selector is missing");
		ports = list_of(l, &l->ports);
		v[i].port = ports->v;
		v[i].nports = ports->n;
		v[i].alias = rd_u32(&l->r);
		if (v[i].alias != at && (i == 0 || v[i].alias != ++at))
			off(l, "destinations are not in order");
		if ((ports->n == 0) != ((r->flags & POL_ROW_APP) != 0))
			off(l, "a destination has ports and caps or neither");
		l->entries += ports->n == 0 ? 1 : ports->n;
	}
	if (l->entries > POL_MAX_ENTRIES)
		off(l, "there are too many destinations");
}

static void
check_row(struct loader *l, const struct pol_row *r)
{
	uint8_t kind = r->flags & (POL_ROW_SELF | POL_ROW_VIA);
	uint32_t i;

	if ((r->flags & ~(POL_ROW_SELF | POL_ROW_VIA | POL_ROW_INET |
	    POL_ROW_APP)) != 0 || kind == (POL_ROW_SELF | POL_ROW_VIA))
		off(l, "a row is of no kind");
	if (r->ndst == 0)
		off(l, "a row has no destination");
	else if (kind == POL_ROW_SELF && (r->ndst != 1 || r->dst[0].sel != 0))
		off(l, "a row has more than itself");
	if ((kind == POL_ROW_VIA) != (r->nvia != 0))
		off(l, "a row is via nothing");
	for (i = 0; i < r->nvia && !l->r.bad; i++)
		if (l->p->sel[r->via[i]].kind != POL_TAG)
			off(l, "a row is via what is no tag");
	if ((r->flags & POL_ROW_APP) != 0 ? !pol_json_obj(r->caps) :
	    r->caps.n != 0)
		off(l, "caps are no object");
	if (r->prov.section != POL_GRANTS && r->prov.section != POL_ACLS &&
	    r->prov.section != POL_DEFAULT)
		off(l, "a row is of another section");
}

static void
load_row(struct loader *l, struct pol_row *r)
{
	r->name = rd_u64(&l->r);
	r->flags = rd_u8(&l->r);
	r->proto = rd_u8(&l->r);
	r->src = src_of(l);
	load_dsts(l, r);
	r->via = sel_list(l, &r->nvia, true);
	r->caps = text(l);
	prov(l, &r->prov);
	check_row(l, r);
}

static int
cmp_name(const void *a, const void *b)
{
	const struct pol_row *const *x = a, *const *y = b;

	if ((*x)->name != (*y)->name)
		return (*x)->name < (*y)->name ? -1 : 1;
	return *x < *y ? -1 : *x > *y;
}

/* Rows that the wire would have as one. */
static bool
row_merges(const struct pol_row *a, const struct pol_row *b)
{
	const uint8_t kind = POL_ROW_SELF | POL_ROW_VIA | POL_ROW_APP;

	return ((a->flags | b->flags) & POL_ROW_APP) == 0 &&
	    (a->flags & kind) == (b->flags & kind) && a->src == b->src &&
	    a->proto == b->proto && a->nvia == b->nvia && (a->nvia == 0 ||
	    memcmp(a->via, b->via, a->nvia * sizeof(*a->via)) == 0);
}

static void
check_names(struct loader *l)
{
	const struct pol_row **v;
	uint32_t i;

	if (l->r.bad || l->p->nrows == 0)
		return;
	v = xcalloc(l->p->nrows, sizeof(*v));
	for (i = 0; i < l->p->nrows; i++)
		v[i] = &l->p->row[i];
	qsort(v, l->p->nrows, sizeof(*v), cmp_name);
	for (i = 1; i < l->p->nrows; i++)
		if (v[i]->name == v[i - 1]->name && !row_merges(v[i - 1], v[i]))
			off(l, "two rows have one name");
	free(v);
}

static void
load_rows(struct loader *l)
{
	struct pol_row *v;
	uint32_t i, n;

	n = count(l, POL_MAX_COUNT, 51);
	l->p->row = v = pol_take(l->p, n, sizeof(*v));
	for (i = 0; i < n && !l->r.bad; i++)
		load_row(l, &v[i]);
	l->p->nrows = n;
	check_names(l);
}

static void
load_ssh(struct loader *l, struct pol_ssh *s)
{
	const struct list *locals;
	uint8_t flags;
	uint64_t period;

	flags = rd_u8(&l->r);
	s->check = (flags & POL_F_CHECK) != 0;
	s->self = (flags & POL_F_SELF) != 0;
	s->locals = (flags & POL_F_LOCALS) != 0;
	period = rd_u64(&l->r);
	s->src = src_of(l);
	s->dst = sel_list(l, &s->ndst, false);
	s->users = text(l);
	locals = list_of(l, &l->locals);
	s->local = locals->v;
	s->nlocals = locals->n;
	s->env = text(l);
	prov(l, &s->prov);
	if (flags > (POL_F_CHECK | POL_F_SELF | POL_F_LOCALS) ||
	    period > POL_MAX_PERIOD || (!s->check && period != 0) ||
	    (!s->locals && s->nlocals != 0) || s->prov.section != POL_SSH)
		off(l, "an SSH rule is of no kind");
	s->period = (int64_t)period;
	if (!pol_json_map(s->users))
		off(l, "SSH users are no map");
	if (s->env.n != 0 && !pol_json_list(s->env))
		off(l, "acceptEnv is no list");
}

static void
load_sshs(struct loader *l)
{
	struct pol_ssh *v;
	uint32_t i, n;

	n = count(l, POL_MAX_COUNT, 42);
	l->p->ssh = v = pol_take(l->p, n, sizeof(*v));
	for (i = 0; i < n && !l->r.bad; i++)
		load_ssh(l, &v[i]);
	l->p->nsshs = n;
}

static void
load_attrs(struct loader *l)
{
	struct pol_attr *v;
	uint32_t i, n;

	n = count(l, POL_MAX_COUNT, 22);
	l->p->attr = v = pol_take(l->p, n, sizeof(*v));
	for (i = 0; i < n && !l->r.bad; i++) {
		v[i].src = src_of(l);
		v[i].keys = text(l);
		v[i].no_ip4 = flag(l);
		prov(l, &v[i].prov);
		if (!pol_json_keys(v[i].keys))
			off(l, "attributes are no members");
		if (v[i].prov.section != POL_ATTRS)
			off(l, "attributes are of another section");
	}
	l->p->nattrs = n;
}

static void
load_approver(struct loader *l, struct pol_approver *a)
{
	uint8_t family;

	a->exit = flag(l);
	family = rd_u8(&l->r);
	if (!a->exit)
		ip(l, &a->route.addr, family);
	else if (family != 0)
		off(l, "a route is none");
	a->route.bits = rd_u8(&l->r);
	a->src = src_of(l);
	prov(l, &a->prov);
	if (a->prov.section != POL_APPROVERS)
		off(l, "an approver is of another section");
	if (l->r.bad)
		return;
	if (a->exit ? a->route.bits != 0 :
	    a->route.bits > (family == 4 ? 32 : 128)) {
		off(l, "a route is none");
		return;
	}
	if (!a->exit && !pol_prefix_ok(&a->route))
		off(l, "a route is none");
}

static void
load_approvers(struct loader *l)
{
	struct pol_approver *v;
	uint32_t i, n;

	n = count(l, POL_MAX_COUNT, 20);
	l->p->approver = v = pol_take(l->p, n, sizeof(*v));
	for (i = 0; i < n && !l->r.bad; i++)
		load_approver(l, &v[i]);
	l->p->napprovers = n;
}

static void
load_owners(struct loader *l)
{
	const struct list *u;
	struct pol_owner *v;
	uint32_t i, n;

	n = count(l, POL_MAX_COUNT, 13);
	l->p->owner = v = pol_take(l->p, n, sizeof(*v));
	for (i = 0; i < n && !l->r.bad; i++) {
		v[i].tag = tag_text(l);
		v[i].anyone = flag(l);
		u = list_of(l, &l->users);
		v[i].user = u->v;
		v[i].nusers = u->n;
		if (i > 0 && slice_cmp(v[i - 1].tag, v[i].tag) >= 0)
			off(l, "tags are not in order");
	}
	l->p->nowners = n;
}

static void
load_all(struct loader *l)
{
	if (rd_u32(&l->r) != POL_MAGIC || rd_u32(&l->r) != POL_VERSION) {
		off(l, "it is no compiled policy of this version");
		return;
	}
	lists(l, &l->users, user_list);
	lists(l, &l->ports, port_list);
	lists(l, &l->locals, local_list);
	if (l->r.bad) {
		off(l, "it is too short");
		return;
	}
	load_sels(l);
	load_srcs(l);
	load_rows(l);
	load_sshs(l);
	load_attrs(l);
	load_approvers(l);
	load_owners(l);
	if (!rd_done(&l->r))
		off(l, l->r.bad ? "it is too short" : "it is too long");
	if (l->err == NULL)
		l->err = pol_index_make(l->p);
}

struct pol *
pol_load(const void *p, size_t n, const char **err)
{
	struct loader l;
	void *copy;

	memset(&l, 0, sizeof(l));
	*err = NULL;
	if (n > POL_MAX) {
		*err = "it is too long";
		return NULL;
	}
	l.p = xcalloc(1, sizeof(*l.p));
	copy = pol_take(l.p, n, 1);
	if (n != 0)
		memcpy(copy, p, n);
	rd_init(&l.r, copy, n);
	load_all(&l);
	free(l.users.v);
	free(l.ports.v);
	free(l.locals.v);
	if (l.err == NULL)
		return l.p;
	*err = l.err;
	pol_free(l.p);
	return NULL;
}

struct pol *
pol_builtin(bool allow)
{
	static const struct pol_sel sel[] = {
		{ .kind = POL_TAILNET }, { .kind = POL_ANY }
	};
	static const uint32_t all = 0;
	static const struct pol_src src = { &all, 1 };
	static const struct pol_port port = { 0, 65535 };
	static const struct pol_dst dst = { 1, &port, 1, 0 };
	struct pol_row row;
	struct pol p, *made;
	struct buf b = { 0 };
	const char *err;

	memset(&p, 0, sizeof(p));
	memset(&row, 0, sizeof(row));
	if (allow) {
		p.sel = sel;
		p.nsels = 2;
		p.src = &src;
		p.nsrcs = 1;
		row.flags = POL_ROW_INET;
		row.dst = &dst;
		row.ndst = 1;
		row.prov.section = POL_DEFAULT;
		row.name = pol_row_name(&p, &row, pol_src_hash(&p, 0), 0);
		p.row = &row;
		p.nrows = 1;
	}
	pol_save(&b, &p);
	made = pol_load(b.p, b.n, &err);
	buf_free(&b);
	return made;
}
