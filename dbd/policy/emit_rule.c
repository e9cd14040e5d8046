#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "dbd/policy/emit_int.h"

#define CAP_DRIVE	"tailscale.com/cap/drive"
#define CAP_RELAY	"tailscale.com/cap/relay"

/* A destination with all its ports. */
struct dest {
	const struct alias *al;
	struct pol_port	*port;
	uint32_t	 nports;
	uint32_t	 cap;
};

/* What becomes one row, and one more for autogroup:self. */
struct rule {
	const struct dest *dest;
	uint32_t	 n;
	enum emit_as	 as;
	bool		 apart;		/* each destination is one rule */
	struct pol_row	 row;		/* without destinations */
};

static bool
is_self(const struct alias *al)
{
	return al->kind == AL_AUTO && al->ag == AG_SELF;
}

static bool
is_internet(const struct alias *al)
{
	return al->kind == AL_AUTO && al->ag == AG_INTERNET;
}

/* False, and the policy is too big, if they go over the bound. */
static bool
count_entries(struct emit *e, uint64_t n)
{
	e->entries += n;
	if (e->entries > POL_MAX_ENTRIES)
		e->too_big = true;
	return !e->too_big;
}

static void
put_dst(struct emit *e, struct pol_row *r, struct pol_dst *v,
    const struct dest *d, enum emit_as as, uint32_t number)
{
	uint32_t sel[7], i, n = 1;

	if (is_internet(d->al)) {
		emit_internet(e, sel);
		n = 7;
	} else
		sel[0] = emit_sel(e, d->al, as);
	for (i = 0; i < n; i++, r->ndst++) {
		v[r->ndst].sel = sel[i];
		v[r->ndst].port = d->port;
		v[r->ndst].nports = d->nports;
		v[r->ndst].alias = number;
	}
}

/* All destinations together, or one of them apart, cover the Internet. */
static bool
covers(const struct emit *e, const struct pol_row *r, bool apart)
{
	uint32_t i, k;

	if (!apart)
		return emit_covers_internet(e, r->dst, r->ndst);
	for (i = 0; i < r->ndst; i = k) {
		for (k = i + 1; k < r->ndst &&
		    r->dst[k].alias == r->dst[i].alias; k++)
			continue;
		if (emit_covers_internet(e, r->dst + i, k - i))
			return true;
	}
	return false;
}

/* The row of all destinations but self. */
static void
others_row(struct emit *e, const struct rule *u)
{
	struct pol_row r = u->row;
	struct pol_dst *v;
	uint64_t entries = 0;
	uint32_t i, k, room = 0;

	for (i = 0; i < u->n; i++) {
		if (is_self(u->dest[i].al))
			continue;
		k = is_internet(u->dest[i].al) ? 7 : 1;
		room += k;
		entries += (uint64_t)k * (u->dest[i].nports == 0 ? 1 :
		    u->dest[i].nports);
	}
	if (room == 0 || !count_entries(e, entries))
		return;
	r.dst = v = arena_array(e->a, room, sizeof(*v));
	for (i = k = 0; i < u->n; i++)
		if (!is_self(u->dest[i].al))
			put_dst(e, &r, v, &u->dest[i], u->as, k++);
	if (covers(e, &r, u->apart))
		r.flags |= POL_ROW_INET;
	emit_row_add(e, &r);
}

static void
self_row(struct emit *e, const struct rule *u, const struct dest *d)
{
	struct pol_row r = u->row;
	struct pol_dst *v;

	/* On a via node, which is tagged, there is nobody's own device. */
	if ((r.flags & POL_ROW_VIA) != 0 ||
	    !count_entries(e, d->nports == 0 ? 1 : d->nports))
		return;
	r.flags |= POL_ROW_SELF;
	r.dst = v = arena_array(e->a, 1, sizeof(*v));
	r.ndst = 1;
	v->port = d->port;
	v->nports = d->nports;
	emit_row_add(e, &r);
}

/* The row of autogroup:self, if it is among the destinations. */
static void
own_row(struct emit *e, const struct rule *u)
{
	uint32_t i;

	for (i = 0; i < u->n; i++)
		if (is_self(u->dest[i].al)) {
			self_row(e, u, &u->dest[i]);
			return;
		}
}

static void
put_ports(struct emit *e, struct dest *d, const struct ports *p)
{
	size_t i;

	for (i = 0; i < p->n; i++) {
		d->port = emit_room(e, d->port, d->nports, &d->cap,
		    sizeof(*d->port));
		d->port[d->nports].first = p->v[i].first;
		d->port[d->nports++].last = p->v[i].last;
	}
}

/* Destinations of an ACL that say the same are one, where the first stood. */
static uint32_t
acl_dests(struct emit *e, const struct acl *acl, struct dest *v)
{
	struct table t;
	const struct alias *al;
	uint64_t h, at;
	uint32_t k, n = 0;
	size_t i;

	table_init(e, &t, acl->ndst);
	for (i = 0; i < acl->ndst; i++) {
		al = &acl->dst[i].alias;
		at = h = table_hash(al->text.p, al->text.n, al->kind);
		while ((k = table_next(&t, &at)) != UINT32_MAX)
			if (v[k].al->kind == al->kind &&
			    slice_eq(v[k].al->text, al->text))
				break;
		if (k == UINT32_MAX) {
			table_add(e, &t, h, n, NULL);
			k = n++;
			v[k].al = al;
		}
		put_ports(e, &v[k], &acl->dst[i].ports);
	}
	return n;
}

/* policy.md 5.3: in which order the kinds come. */
static unsigned int
rank(const struct alias *al)
{
	switch (al->kind) {
	case AL_STAR:
		return 0;
	case AL_USER:
	case AL_DOMAIN:
		return 2;
	case AL_GROUP:
		return 3;
	default:
		return 1;
	}
}

static void
acl_rows(struct emit *e, size_t k)
{
	const struct acl *acl = &e->p->acl[k];
	struct dest *all, *sorted;
	struct rule u;
	uint32_t i, n;
	unsigned int want;

	if (acl->src.n == 0 || acl->ndst == 0)
		return;
	all = arena_array(e->a, acl->ndst, sizeof(*all));
	sorted = arena_array(e->a, acl->ndst, sizeof(*sorted));
	memset(&u, 0, sizeof(u));
	n = acl_dests(e, acl, all);
	for (want = 0; want <= 3; want++)
		for (i = 0; i < n; i++)
			if (rank(all[i].al) == want)
				sorted[u.n++] = all[i];
	u.dest = sorted;
	u.as = AS_DST;
	u.apart = true;
	u.row.src = emit_src_of(e, &acl->src);
	u.row.proto = acl->proto;
	emit_prov(&u.row.prov, POL_ACLS, k, acl->pos);
	/* Among autogroups alone self keeps its place, else it is last. */
	for (i = 0; i < n && sorted[i].al->kind == AL_AUTO; i++)
		continue;
	if (i < n)
		i = n;
	else
		for (i = 0; i < n && !is_self(sorted[i].al); i++)
			continue;
	u.n = i;
	others_row(e, &u);
	u.n = n;
	own_row(e, &u);
	u.dest = sorted + i;
	u.n = n - i;
	others_row(e, &u);
}

/* A row for each protocol, with all ports that the grant names with it. */
static void
grant_protos(struct emit *e, const struct grant *g, struct rule *u,
    struct dest *v, void (*emit)(struct emit *, const struct rule *))
{
	bool seen[256] = { false };
	struct dest all;
	size_t i, k;

	u->as = AS_DST;
	for (k = 0; k < g->nip; k++) {
		if (seen[g->ip[k].proto])
			continue;
		seen[g->ip[k].proto] = true;
		memset(&all, 0, sizeof(all));
		for (i = k; i < g->nip; i++)
			if (g->ip[i].proto == g->ip[k].proto)
				put_ports(e, &all, &g->ip[i].ports);
		for (i = 0; i < g->dst.n; i++) {
			v[i].port = all.port;
			v[i].nports = all.nports;
		}
		u->row.proto = g->ip[k].proto;
		emit(e, u);
	}
	u->row.proto = 0;
}

static int
cmp_app(const void *a, const void *b)
{
	const struct grant_app *const *x = a, *const *y = b;

	return slice_cmp((*x)->name, (*y)->name);
}

static struct slice
caps_json(struct emit *e, const struct grant *g)
{
	const struct grant_app **v;
	struct buf b = { 0 };
	struct json j;
	struct slice s;
	size_t i;

	v = arena_array(e->a, g->napp, sizeof(*v));
	for (i = 0; i < g->napp; i++)
		v[i] = &g->app[i];
	qsort(v, g->napp, sizeof(*v), cmp_app);
	json_init(&j, &b);
	json_obj(&j);
	for (i = 0; i < g->napp; i++) {
		json_keys(&j, v[i]->name);
		json_raw(&j, v[i]->json);
	}
	json_end(&j);
	s = arena_copy(e->a, buf_slice_of(&b));
	buf_free(&b);
	return s;
}

static bool
has_app(const struct grant *g, const char *name)
{
	size_t i;

	for (i = 0; i < g->napp; i++)
		if (slice_eqs(g->app[i].name, name))
			return true;
	return false;
}

/* policy.md 9: the other way round. */
static void
companion(struct emit *e, const struct grant *g, const struct rule *u,
    const char *caps)
{
	struct rule back = *u;
	struct dest *v;
	uint32_t *sel, i, n = 0;

	sel = arena_array(e->a, u->n, sizeof(*sel));
	for (i = 0; i < u->n; i++)
		if (!is_self(u->dest[i].al))
			sel[n++] = emit_sel(e, u->dest[i].al, AS_SOURCE);
	if (n == 0)
		return;
	back.row.caps = slice_str(caps);
	v = arena_array(e->a, g->src.n, sizeof(*v));
	for (i = 0; i < g->src.n; i++)
		v[i].al = &g->src.v[i];
	back.dest = v;
	back.n = (uint32_t)g->src.n;
	back.row.src = emit_src(e, sel, n);
	others_row(e, &back);
}

/*
 * An owner's devices are all among the sources or none is, so that self is
 * its own reverse.
 */
static void
own_companion(struct emit *e, const struct grant *g, const struct rule *u,
    const char *caps)
{
	struct rule back = *u;

	(void)g;
	back.row.caps = slice_str(caps);
	own_row(e, &back);
}

static void
grant_apps(struct emit *e, const struct grant *g, struct rule *u,
    struct dest *v, void (*emit)(struct emit *, const struct rule *),
    void (*back)(struct emit *, const struct grant *, const struct rule *,
    const char *))
{
	size_t i;

	/* Under via caps only steer, which ports do as well. */
	if (g->napp == 0 || (g->via.n != 0 && g->nip != 0))
		return;
	for (i = 0; i < g->dst.n; i++) {
		v[i].port = NULL;
		v[i].nports = 0;
	}
	u->as = AS_SOURCE;
	u->row.flags |= POL_ROW_APP;
	u->row.caps = caps_json(e, g);
	emit(e, u);
	if (g->via.n == 0 && has_app(g, CAP_DRIVE))
		back(e, g, u, "{\"" CAP_DRIVE "-sharer\":null}");
	if (g->via.n == 0 && has_app(g, CAP_RELAY))
		back(e, g, u, "{\"" CAP_RELAY "-target\":null}");
	u->row.flags &= (uint8_t)~POL_ROW_APP;
	u->row.caps = slice_mem(NULL, 0);
}

static void
via_tags(struct emit *e, const struct grant *g, struct pol_row *r)
{
	const struct pol_src *s;
	uint32_t *v;
	size_t i;

	if (g->via.n == 0)
		return;
	v = arena_array(e->a, g->via.n, sizeof(*v));
	for (i = 0; i < g->via.n; i++)
		v[i] = emit_sel(e, &g->via.v[i], AS_SOURCE);
	s = &e->src[emit_src(e, v, (uint32_t)g->via.n)];
	r->flags |= POL_ROW_VIA;
	r->via = s->sel;
	r->nvia = s->n;
}

static void
grant_rows(struct emit *e, size_t k)
{
	const struct grant *g = &e->p->grant[k];
	struct dest *v;
	struct rule u;
	size_t i;

	if (g->src.n == 0 || g->dst.n == 0)
		return;
	memset(&u, 0, sizeof(u));
	v = arena_array(e->a, g->dst.n, sizeof(*v));
	for (i = 0; i < g->dst.n; i++)
		v[i].al = &g->dst.v[i];
	u.dest = v;
	u.n = (uint32_t)g->dst.n;
	u.row.src = emit_src_of(e, &g->src);
	emit_prov(&u.row.prov, POL_GRANTS, k, g->pos);
	via_tags(e, g, &u.row);
	grant_protos(e, g, &u, v, others_row);
	grant_apps(e, g, &u, v, others_row, companion);
	grant_protos(e, g, &u, v, own_row);
	grant_apps(e, g, &u, v, own_row, own_companion);
}

/* policy.md 5.6 */
static void
default_row(struct emit *e)
{
	struct alias star;
	struct pol_port *all;
	struct dest d;
	struct rule u;

	memset(&star, 0, sizeof(star));
	star.kind = AL_STAR;
	memset(&d, 0, sizeof(d));
	d.al = &star;
	d.port = all = arena_alloc(e->a, sizeof(*all));
	all->last = 65535;
	d.nports = 1;
	memset(&u, 0, sizeof(u));
	u.dest = &d;
	u.n = 1;
	u.as = AS_DST;
	u.row.src = emit_src_of(e, &(struct aliases){ &star, 1 });
	u.row.prov.section = POL_DEFAULT;
	others_row(e, &u);
}

void
emit_rows(struct emit *e)
{
	size_t i;

	for (i = 0; i < e->p->ngrants && !e->too_big; i++)
		grant_rows(e, i);
	for (i = 0; i < e->p->nacls && !e->too_big; i++)
		acl_rows(e, i);
	if (!e->p->has_acls && !e->p->has_grants)
		default_row(e);
	if (!e->too_big)
		emit_row_names(e);
}
