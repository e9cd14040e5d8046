/*
 * Destinations of a rule as the nodes of a class are told of them: what
 * policy.md 6, 8 and 9 leave of the row.
 */

#include <stdlib.h>
#include <string.h>

#include "worker/tailnet/plan_int.h"

/* Comma separated texts. */
struct list {
	struct buf	*b;
	bool		 comma;
};

static void
put_quoted(struct list *l, const char *t)
{
	if (l->comma)
		buf_u8(l->b, ',');
	buf_u8(l->b, '"');
	buf_str(l->b, t);
	buf_u8(l->b, '"');
	l->comma = true;
}

/* Inside of autogroup:internet (policy.md 4.6), if not part of it. */
static bool
in_internet(const struct pol_sel *s)
{
	static const struct {
		struct ip lo, hi;
	} all[] = {
		{ { 4, { 0 } }, { 4, { 9, 255, 255, 255 } } },
		{ { 4, { 11 } }, { 4, { 100, 63, 255, 255 } } },
		{ { 4, { 100, 128 } }, { 4, { 169, 253, 255, 255 } } },
		{ { 4, { 169, 255 } }, { 4, { 172, 15, 255, 255 } } },
		{ { 4, { 172, 32 } }, { 4, { 192, 167, 255, 255 } } },
		{ { 4, { 192, 169 } }, { 4, { 255, 255, 255, 255 } } },
		{ { 6, { 0x20 } }, { 6, { 0x3f, 255, 255, 255, 255, 255, 255,
		    255, 255, 255, 255, 255, 255, 255, 255, 255 } } },
	};
	size_t i;

	if (s->inet)
		return true;
	for (i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (s->lo.family == all[i].lo.family &&
		    ip_cmp(&s->lo, &all[i].lo) >= 0 &&
		    ip_cmp(&s->hi, &all[i].hi) <= 0)
			return true;
	return false;
}

static bool
overlap(const struct prefix *a, const struct prefix *b)
{
	return a->addr.family == b->addr.family && a->addr.family != 0 &&
	    (a->bits <= b->bits ? prefix_has(a, &b->addr) :
	    prefix_has(b, &a->addr));
}

/* An approved subnet route of the node covers the address. */
static bool
carries(const struct node *n, const struct ip *ip)
{
	unsigned int i;

	for (i = 0; i < n->nroutes; i++)
		if (!n->routes[i].exit && prefix_has(&n->routes[i].p, ip))
			return true;
	return false;
}

/* One address for each of its ports. */
static void
put_ports(struct list *l, struct slice addr, const struct pol_dst *d)
{
	uint32_t i;

	for (i = 0; i < d->nports; i++) {
		if (l->comma)
			buf_u8(l->b, ',');
		buf_str(l->b, "{\"IP\":\"");
		buf_slice(l->b, addr);
		buf_printf(l->b, "\",\"Ports\":{\"First\":%u,\"Last\":%u}}",
		    d->port[i].first, d->port[i].last);
		l->comma = true;
	}
}

/* A destination's address; /32 or /128 as a CapGrant's. */
static void
put_addr(struct list *l, const struct pol_row *row, const struct pol_dst *d,
    struct slice addr, bool six)
{
	if (row->flags & POL_ROW_APP) {
		if (l->comma)
			buf_u8(l->b, ',');
		buf_u8(l->b, '"');
		buf_slice(l->b, addr);
		buf_str(l->b, six ? "/128\"" : "/32\"");
		l->comma = true;
	} else
		put_ports(l, addr, d);
}

static void
put_own4(struct maker *m, struct list *l, const struct pol_row *row,
    const struct pol_dst *d)
{
	static const char own = PLAN_IP4;

	if (m->class->hits.ip4)
		put_addr(l, row, d, slice_mem(&own, 1), false);
}

static void
put_own6(struct maker *m, struct list *l, const struct pol_row *row,
    const struct pol_dst *d)
{
	static const char own = PLAN_IP6;

	if (m->class->hits.ip6)
		put_addr(l, row, d, slice_mem(&own, 1), true);
}

static int
by_id(const void *va, const void *vb)
{
	const struct node *const *a = va, *const *b = vb;

	return (*a)->id < (*b)->id ? -1 : (*a)->id > (*b)->id;
}

/*
 * The nodes that a selector, or NULL: the owner's, stands for; in the order
 * of their ids.  The caller frees the list.
 */
static const struct node **
nodes_of(struct maker *m, const uint32_t *sel, size_t *count)
{
	const struct ruleset *rs = m->r->rules;
	const struct user *u = idmap_get(&m->r->users, m->owner);
	const struct node **v, *n;
	size_t k = 0;
	uint32_t i;

	v = xcalloc((size_t)m->r->nnodes + 1, sizeof(*v));
	if (sel == NULL && u != NULL)
		TAILQ_FOREACH(n, &u->owned, owned)
			v[k++] = n;
	for (i = 0; sel != NULL && i < rs->nclasses; i++)
		if (POL_HIT(rs->class[i]->hits.at, *sel))
			TAILQ_FOREACH(n, &rs->class[i]->members, member)
				v[k++] = n;
	qsort(v, k, sizeof(*v), by_id);
	*count = k;
	return v;
}

/* The node is the wide router, or its routes cover the address. */
static void
put_if_covered(struct maker *m, struct list *l, const struct pol_row *row,
    const struct pol_dst *d, const struct node *n, const struct ip *ip)
{
	char t[IP_TEXT];

	if (ip->family != 0 && (n == m->class->only ||
	    carries(m->class->only, ip)))
		put_addr(l, row, d, slice_mem(t, ip_print(t, ip)),
		    ip->family == 6);
}

/* A wide router is told of other nodes, too: those that its routes cover. */
static void
put_covered(struct maker *m, struct list *l, const struct pol_row *row,
    const struct pol_dst *d, bool six)
{
	const struct node **v;
	const struct ip *ip;
	size_t i, k, n;

	v = nodes_of(m, row->flags & POL_ROW_SELF ? NULL : &d->sel, &n);
	for (i = 0; i < n; i++) {
		for (k = 0; k < 2; k++) {
			ip = k == 0 ? &v[i]->ip4 : &v[i]->ip6;
			/* In a CapGrant IPv4 stands before IPv6. */
			if ((row->flags & POL_ROW_APP) == 0 || (k == 1) == six)
				put_if_covered(m, l, row, d, v[i], ip);
		}
	}
	free(v);
}

static bool
has_nodes(const struct pol_row *row, const struct pol_sel *sel)
{
	return (row->flags & POL_ROW_SELF) != 0 || !sel_is_addr(sel);
}

/* One destination of a rule with ports. */
static void
put_dst(struct maker *m, struct list *l, const struct pol_row *row,
    const struct pol_dst *d)
{
	const struct pol_hits *h = &m->class->hits;
	const struct pol_sel *sel = &m->pol->sel[d->sel];

	if (has_nodes(row, sel)) {
		if (m->class->only != NULL)
			put_covered(m, l, row, d, false);
		else if ((row->flags & POL_ROW_SELF) != 0 ||
		    POL_HIT(h->at, d->sel)) {
			put_own4(m, l, row, d);
			put_own6(m, l, row, d);
		}
	} else if (sel->kind == POL_ANY)
		put_ports(l, slice_str("*"), d);
	else if (sel->kind == POL_RANGE && (POL_HIT(h->at, d->sel) ||
	    POL_HIT(h->by, d->sel) || (h->exit && in_internet(sel))))
		put_ports(l, sel->text, d);
}

/* On a node with one of the row's tags: what it is a router to. */
static void
put_via(struct maker *m, struct list *l, const struct pol_dst *d)
{
	const struct pol_hits *h = &m->class->hits;
	const struct pol_sel *sel = &m->pol->sel[d->sel];

	if (sel->kind == POL_ANY) {
		if (POL_HIT(h->by, d->sel))
			put_ports(l, slice_str("*"), d);
	} else if (sel->kind == POL_RANGE && (sel->inet ? h->exit :
	    POL_HIT(h->by, d->sel)))
		put_ports(l, sel->text, d);
}

/* A range as a prefix, if it is one. */
static void
put_prefix(struct list *l, const struct pol_sel *sel)
{
	bool six = sel->lo.family == 6;

	if (memchr(sel->text.p, '-', sel->text.n) != NULL)
		return;
	if (l->comma)
		buf_u8(l->b, ',');
	buf_u8(l->b, '"');
	buf_slice(l->b, sel->text);
	if (memchr(sel->text.p, '/', sel->text.n) == NULL)
		buf_str(l->b, six ? "/128" : "/32");
	buf_u8(l->b, '"');
	l->comma = true;
}

/* What "*" is in a CapGrant, which takes prefixes only. */
static const char *const tailnet_text[] = {
	"100.64.0.0/11", "100.96.0.0/12", "100.112.0.0/15", "100.114.0.0/16",
	"100.115.0.0/18", "100.115.64.0/20", "100.115.80.0/21",
	"100.115.88.0/22", "100.115.94.0/23", "100.115.96.0/19",
	"100.115.128.0/17", "100.116.0.0/14", "100.120.0.0/13",
	"fd7a:115c:a1e0::/48"
};
static const char *const any_text[] = { "0.0.0.0/0", "::/0" };

/* Those of the prefixes that one of the node's own routes overlaps. */
static void
put_overlaps(struct maker *m, struct list *l, const char *const *text,
    size_t n, bool six)
{
	const struct node *own = m->node;
	struct prefix p;
	unsigned int k;
	size_t i;

	for (i = 0; i < n; i++) {
		if (!prefix_parse(&p, slice_str(text[i])) ||
		    (p.addr.family == 6) != six)
			continue;
		for (k = 0; k < own->nroutes; k++)
			if (!own->routes[k].exit &&
			    overlap(&own->routes[k].p, &p))
				break;
		if (k < own->nroutes)
			put_quoted(l, text[i]);
	}
}

/* One destination's addresses of one family, as prefixes. */
static void
put_caps_family(struct maker *m, struct list *l, const struct pol_row *row,
    const struct pol_dst *d, bool six)
{
	const struct pol_hits *h = &m->class->hits;
	const struct pol_sel *sel = &m->pol->sel[d->sel];
	bool own = (row->flags & POL_ROW_SELF) != 0 || POL_HIT(h->at, d->sel);

	if (has_nodes(row, sel) && m->class->only != NULL) {
		put_covered(m, l, row, d, six);
		return;
	}
	if (!has_nodes(row, sel) && sel->kind == POL_RANGE &&
	    (sel->lo.family == 6) != six)
		return;
	if (own && six)
		put_own6(m, l, row, d);
	else if (own)
		put_own4(m, l, row, d);
	if (has_nodes(row, sel) || !POL_HIT(h->by, d->sel))
		return;
	if (sel->kind == POL_RANGE) {
		/* One address that is its own is there already. */
		if (!own || !ip_eq(&sel->lo, &sel->hi))
			put_prefix(l, sel);
	} else if (sel->kind == POL_TAILNET)
		put_overlaps(m, l, tailnet_text, sizeof(tailnet_text) /
		    sizeof(tailnet_text[0]), six);
	else
		put_overlaps(m, l, any_text, 2, six);
}

/* Empties dsts. */
static void
put_entry(struct list *l, const struct pol_row *row, struct list *dsts)
{
	if (dsts->b->n != 0) {
		if (l->comma)
			buf_u8(l->b, ',');
		buf_str(l->b, "{\"Dsts\":[");
		buf_put(l->b, dsts->b->p, dsts->b->n);
		buf_str(l->b, "],\"CapMap\":");
		buf_slice(l->b, row->caps);
		buf_u8(l->b, '}');
		l->comma = true;
	}
	buf_clear(dsts->b);
	dsts->comma = false;
}

/* Each of an owner's nodes has an entry: on a wide router, several. */
static void
put_self_caps(struct maker *m, struct list *l, struct list *in,
    const struct pol_row *row)
{
	const struct node **v;
	size_t i, n;

	v = nodes_of(m, NULL, &n);
	for (i = 0; i < n; i++) {
		put_if_covered(m, in, row, row->dst, v[i], &v[i]->ip4);
		put_if_covered(m, in, row, row->dst, v[i], &v[i]->ip6);
		put_entry(l, row, in);
	}
	free(v);
}

/* CapGrant entries: one for each alias (policy.md 9). */
static void
put_caps(struct maker *m, struct list *l, const struct pol_row *row)
{
	struct buf text = { 0 };
	struct list in = { &text, false };
	uint32_t i, k, end;
	unsigned int six;

	if ((row->flags & POL_ROW_SELF) != 0 && m->class->only != NULL) {
		put_self_caps(m, l, &in, row);
		buf_free(&text);
		return;
	}
	for (i = 0; i < row->ndst; i = end) {
		for (end = i + 1; end < row->ndst &&
		    row->dst[end].alias == row->dst[i].alias; end++)
			;
		for (six = 0; six < 2; six++)
			for (k = i; k < end; k++)
				put_caps_family(m, &in, row, &row->dst[k],
				    six != 0);
		put_entry(l, row, &in);
	}
	buf_free(&text);
}

void
plan_dst(struct maker *m, const struct pol_row *row, struct buf *b)
{
	struct list l = { b, false };
	uint32_t i;

	if (row->flags & POL_ROW_APP) {
		put_caps(m, &l, row);
		return;
	}
	for (i = 0; i < row->ndst; i++) {
		if (row->flags & POL_ROW_VIA)
			put_via(m, &l, &row->dst[i]);
		else
			put_dst(m, &l, row, &row->dst[i]);
	}
}
