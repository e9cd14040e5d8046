#include <stdlib.h>
#include <string.h>

#include "common/pol_hit.h"
#include "common/pol_int.h"

static void
set(uint64_t *words, uint32_t sel)
{
	if (sel != POL_NONE)
		words[sel / 64] |= UINT64_C(1) << sel % 64;
}

void
hits_init(struct pol_hits *h, const struct pol *p)
{
	size_t n = POL_WORDS(p);

	memset(h, 0, sizeof(*h));
	h->nsels = p->nsels;
	h->at = xcalloc(n == 0 ? 1 : 2 * n, sizeof(*h->at));
	h->by = h->at + n;
}

void
hits_free(struct pol_hits *h)
{
	free(h->at);
	memset(h, 0, sizeof(*h));
}

static void
hit_tag(uint64_t *at, const struct pol *p, struct slice tag)
{
	const struct pol_index *x = p->index;
	uint32_t lo = 0, hi = x->ntags, mid;
	int c;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		c = slice_cmp(tag, p->sel[x->tag[mid]].text);
		if (c == 0) {
			set(at, x->tag[mid]);
			return;
		}
		if (c < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
}

static void
hit_user(uint64_t *at, const struct pol_index *x, uint64_t user)
{
	size_t lo = 0, hi = x->nusers, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (x->user[mid].user < user)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (; lo < x->nusers && x->user[lo].user == user; lo++)
		set(at, x->user[lo].sel);
}

/* All ranges that overlap lo..hi. */
static void
hit_spans(uint64_t *words, const struct pol_span *v, uint32_t n,
    struct ip_num lo, struct ip_num hi)
{
	uint32_t mid;

	while (n > 0) {
		mid = n / 2;
		if (ip_num_cmp(v[mid].max, lo) < 0)
			return;
		hit_spans(words, v, mid, lo, hi);
		if (ip_num_cmp(v[mid].lo, hi) > 0)
			return;
		if (ip_num_cmp(v[mid].hi, lo) >= 0)
			set(words, v[mid].sel);
		v += mid + 1;
		n -= mid + 1;
	}
}

static void
hit_addr(uint64_t *at, const struct pol_index *x, const struct ip *ip)
{
	struct ip_num v;
	size_t f = ip->family == 6;

	if (ip->family == 0)
		return;
	v = ip_num(ip);
	hit_spans(at, x->span[f], x->nspans[f], v, v);
}

static bool
overlap(const struct prefix *a, const struct prefix *b)
{
	return a->addr.family == b->addr.family && a->addr.family != 0 &&
	    (a->bits <= b->bits ? prefix_has(a, &b->addr) :
	    prefix_has(b, &a->addr));
}

static void
hit_route(struct pol_hits *h, const struct pol *p, const struct prefix *r,
    const struct prefix range[2])
{
	const struct pol_index *x = p->index;
	struct ip_num lo, hi;
	size_t f = r->addr.family == 6;

	if (r->addr.family == 0)
		return;
	if (r->bits == 0) {
		h->exit = true;
		return;
	}
	set(h->by, x->any);
	set(h->by, x->tailnet);
	if (overlap(r, &range[0]) || overlap(r, &range[1]))
		h->wide = true;
	pol_prefix_span(r, &lo, &hi);
	hit_spans(h->by, x->span[f], x->nspans[f], lo, hi);
}

void
hits_of(struct pol_hits *h, const struct pol *p, const struct pol_node *node,
    const struct prefix range[2])
{
	const struct pol_index *x = p->index;
	size_t i, n = POL_WORDS(p);

	h->nsels = p->nsels;
	h->ip4 = node->ip4.family != 0;
	h->ip6 = node->ip6.family != 0;
	h->exit = h->wide = false;
	h->tagged = node->ntags != 0;
	memset(h->at, 0, n * sizeof(*h->at));
	memset(h->by, 0, n * sizeof(*h->by));
	set(h->at, x->any);
	set(h->at, x->tailnet);
	if (h->tagged) {
		set(h->at, x->tagged);
		for (i = 0; i < node->ntags; i++)
			hit_tag(h->at, p, node->tag[i]);
	} else {
		set(h->at, x->member);
		hit_user(h->at, x, node->user);
	}
	hit_addr(h->at, x, &node->ip4);
	hit_addr(h->at, x, &node->ip6);
	for (i = 0; i < node->nroutes; i++)
		hit_route(h, p, &node->route[i], range);
}

void
hits_widen(struct pol_hits *router, const struct pol *p,
    const struct pol_node *rn, const struct pol_node *m,
    const struct pol_hits *mh)
{
	const struct prefix *r;
	size_t i, n;

	for (i = 0; i < rn->nroutes; i++) {
		r = &rn->route[i];
		if (r->bits == 0)
			continue;
		if (prefix_has(r, &m->ip4) || prefix_has(r, &m->ip6))
			break;
	}
	if (i == rn->nroutes)
		return;
	/* Ranges are there already: the route itself was compared. */
	for (i = 0, n = POL_WORDS(p); i < n; i++)
		router->by[i] |= mh->at[i] & p->index->ident[i];
}

bool
hits_src(const struct pol *p, uint32_t src, const struct pol_hits *h)
{
	const struct pol_src *s = &p->src[src];
	uint32_t i;

	for (i = 0; i < s->n; i++)
		if (POL_HIT(h->at, s->sel[i]) || POL_HIT(h->by, s->sel[i]))
			return true;
	return false;
}

bool
hits_src_at(const struct pol *p, uint32_t src, const struct pol_hits *h)
{
	const struct pol_src *s = &p->src[src];
	uint32_t i;

	for (i = 0; i < s->n; i++)
		if (POL_HIT(h->at, s->sel[i]))
			return true;
	return false;
}

bool
hits_dst(const struct pol_row *r, const struct pol_hits *h)
{
	uint32_t i;

	if ((r->flags & POL_ROW_SELF) != 0)
		return false;
	if (h->exit && (r->flags & POL_ROW_INET) != 0)
		return true;
	for (i = 0; i < r->ndst; i++)
		if (POL_HIT(h->at, r->dst[i].sel) ||
		    POL_HIT(h->by, r->dst[i].sel))
			return true;
	return false;
}

bool
hits_via(const struct pol_row *r, const struct pol_hits *h)
{
	uint32_t i;

	for (i = 0; i < r->nvia; i++)
		if (POL_HIT(h->at, r->via[i]))
			return true;
	return false;
}

bool
sel_is_addr(const struct pol_sel *s)
{
	return s->kind == POL_ANY || s->kind == POL_TAILNET ||
	    s->kind == POL_RANGE;
}

bool
hits_way(const struct pol *p, const struct pol_row *r, const struct pol_hits *v,
    const struct pol_hits *b)
{
	const struct pol_sel *s;
	uint32_t i, sel;
	bool all = true;

	for (i = 0; i < r->ndst; i++) {
		sel = r->dst[i].sel;
		s = &p->sel[sel];
		if (!sel_is_addr(s) ||
		    !(s->inet ? v->exit : POL_HIT(v->by, sel)) ||
		    (s->kind == POL_TAILNET && v != b)) {
			all = false;
			continue;
		}
		if (POL_HIT(b->at, sel) || POL_HIT(b->by, sel))
			return true;
		if (b->exit && (s->kind == POL_ANY || (v->exit && s->inet)))
			return true;
	}
	return all && b->exit && (r->flags & POL_ROW_INET) != 0;
}

/*
 * The addresses of a's owner's untagged nodes have something of a and of b:
 * then a self row that names this owner sends from one to the other.
 */
static bool
shares(const struct pol_node *a, const struct pol_node *b)
{
	size_t i;

	if (a->ntags != 0 || a->user == 0)
		return false;
	for (i = 0; i < b->nheld; i++)
		if (b->held[i] == a->user)
			return true;
	return b->ntags == 0 && b->user == a->user;
}

static bool
reaches(const struct pol *p, const struct pol_row *r,
    const struct pol_hits *a, const struct pol_hits *b, bool shared)
{
	/* Its sources name owners, each with all of the nodes. */
	if ((r->flags & POL_ROW_SELF) != 0)
		return shared && hits_src_at(p, r->src, a);
	if (!hits_src(p, r->src, a))
		return false;
	if ((r->flags & POL_ROW_VIA) != 0)
		return (hits_via(r, b) && hits_way(p, r, b, b)) ||
		    (hits_via(r, a) && hits_way(p, r, a, b));
	return hits_dst(r, b);
}

bool
pol_visible(const struct pol *p, const struct pol_node *an,
    const struct pol_hits *a, const struct pol_node *bn,
    const struct pol_hits *b)
{
	bool ab = shares(an, bn), ba = shares(bn, an);
	uint32_t i;

	for (i = 0; i < p->nrows; i++)
		if (reaches(p, &p->row[i], a, b, ab) ||
		    reaches(p, &p->row[i], b, a, ba))
			return true;
	return false;
}

bool
pol_approves(const struct pol *p, const struct pol_hits *h,
    const struct prefix *route)
{
	const struct pol_approver *a;
	uint32_t i;

	for (i = 0; i < p->napprovers; i++) {
		a = &p->approver[i];
		if (a->exit != (route->bits == 0))
			continue;
		if (!a->exit && (a->route.bits > route->bits ||
		    !prefix_has(&a->route, &route->addr)))
			continue;
		if (hits_src_at(p, a->src, h))
			return true;
	}
	return false;
}

static const struct pol_owner *
owner_find(const struct pol *p, struct slice tag)
{
	uint32_t lo = 0, hi = p->nowners, mid;
	int c;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if ((c = slice_cmp(tag, p->owner[mid].tag)) == 0)
			return &p->owner[mid];
		if (c < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return NULL;
}

bool
pol_tag_defined(const struct pol *p, struct slice tag)
{
	return owner_find(p, tag) != NULL;
}

bool
pol_tag_owner(const struct pol *p, struct slice tag, uint64_t user)
{
	const struct pol_owner *o;
	uint32_t lo = 0, hi, mid;

	if (user == 0 || (o = owner_find(p, tag)) == NULL)
		return false;
	if (o->anyone)
		return true;
	for (hi = o->nusers; lo < hi;) {
		mid = lo + (hi - lo) / 2;
		if (o->user[mid] == user)
			return true;
		if (o->user[mid] < user)
			lo = mid + 1;
		else
			hi = mid;
	}
	return false;
}

static bool
ssh_dst(const struct pol_ssh *s, const struct pol_hits *dst, bool same)
{
	uint32_t i;

	if (s->self && same)
		return true;
	for (i = 0; i < s->ndst; i++)
		if (POL_HIT(dst->at, s->dst[i]))
			return true;
	return false;
}

int64_t
pol_check_period(const struct pol *p, const struct pol_hits *src,
    const struct pol_hits *dst, bool same)
{
	const struct pol_ssh *s;
	uint32_t i;

	for (i = 0; i < p->nsshs; i++) {
		s = &p->ssh[i];
		if (s->check && hits_src_at(p, s->src, src) &&
		    ssh_dst(s, dst, same))
			return s->period;
	}
	return -1;
}
