#include <stdlib.h>
#include <string.h>

#include "worker/tailnet/plan_int.h"
#include "worker/tailnet/tailnets_int.h"

#define SPARE	256	/* owners and nodes kept who are gone, about */
#define KIND(k)	(1U << (k))

/* One of its selectors that is of these kinds hits. */
static bool
src_hits(const struct pol *p, uint32_t src, const struct pol_hits *h,
    unsigned int kinds)
{
	const struct pol_src *s = &p->src[src];
	uint32_t i;

	for (i = 0; i < s->n; i++)
		if ((kinds & KIND(p->sel[s->sel[i]].kind)) != 0 &&
		    POL_HIT(h->at, s->sel[i]))
			return true;
	return false;
}

bool
src_identity(const struct pol *p, uint32_t src, const struct pol_hits *h)
{
	return src_hits(p, src, h, KIND(POL_USERS) | KIND(POL_TAG) |
	    KIND(POL_MEMBER) | KIND(POL_TAGGED));
}

bool
src_owners(const struct pol *p, uint32_t src, const struct pol_hits *h)
{
	return !h->tagged && src_hits(p, src, h, KIND(POL_USERS) |
	    KIND(POL_MEMBER) | KIND(POL_TAILNET));
}

bool
src_has(const struct pol *p, uint32_t src, enum pol_sel_kind kind)
{
	const struct pol_src *s = &p->src[src];
	uint32_t i;

	for (i = 0; i < s->n; i++)
		if (p->sel[s->sel[i]].kind == kind)
			return true;
	return false;
}

bool
src_count(const struct replica *r, uint32_t src, uint32_t n)
{
	const struct ruleset *rs = r->rules;
	const struct class *c;
	uint32_t i, k = 0;

	if (src_has(rs->pol, src, POL_RANGE) ||
	    src_has(rs->pol, src, POL_TAILNET) ||
	    src_has(rs->pol, src, POL_ANY))
		return true;
	for (i = 0; i < rs->nclasses && k <= n; i++) {
		c = rs->class[i];
		if (c->nmembers != 0 && src_identity(rs->pol, src, &c->hits))
			k += c->nmembers * (c->hits.ip4 + c->hits.ip6);
	}
	return k == n;
}

static struct source *
sources_new(uint32_t n, enum source_kind kind)
{
	struct source *s;
	uint32_t i;

	s = xcalloc((size_t)n + 1, sizeof(*s));
	for (i = 0; i < n; i++) {
		s[i].kind = (uint8_t)kind;
		s[i].index = i;
	}
	return s;
}

static void
sources_free(struct source *s, uint32_t n)
{
	uint32_t i;

	for (i = 0; i < n; i++)
		srctext_unref(s[i].text);
	free(s);
}

struct filters *
filters_get(struct replica *r)
{
	const struct pol *p = r->rules->pol;
	struct filters *f;

	if (r->filters != NULL && r->filters->rules == r->rules)
		return r->filters;
	filters_clear(r);
	f = r->filters = xcalloc(1, sizeof(*f));
	f->rules = ruleset_ref(r->rules);
	f->gen = 1;
	f->nsrcs = p->nsrcs;
	f->nsshs = p->nsshs;
	f->ips = sources_new(p->nsrcs, SRC_IPS);
	f->people = sources_new(p->nsrcs, SRC_PEOPLE);
	f->tagged = sources_new(p->nsrcs, SRC_TAGGED_PEOPLE);
	f->ssh = sources_new(p->nsshs, SRC_SSH);
	return f;
}

static void
owner_free(struct owner_sources *o)
{
	if (o == NULL)
		return;
	srctext_unref(o->ips.text);
	srctext_unref(o->people.text);
	free(o);
}

static void
owners_clear(struct filters *f)
{
	struct idmap *m;
	uint32_t i;
	size_t k;

	for (i = 0; i < f->nclasses; i++) {
		m = &f->class[i].some;
		for (k = 0; m->key != NULL && k <= m->mask; k++) {
			if (m->val[k] == NULL)
				continue;
			slot_clear(m->val[k]);
			free(m->val[k]);
		}
		idmap_free(m);
		/* An owner's list may be in the SSH policy of others. */
		slot_clear(&f->class[i].all);
	}
	f->nslots = 0;
	for (k = 0; f->owner.key != NULL && k <= f->owner.mask; k++)
		owner_free(f->owner.val[k]);
	idmap_free(&f->owner);
}

void
filters_clear(struct replica *r)
{
	struct filters *f = r->filters;

	if (f == NULL)
		return;
	r->filters = NULL;
	owners_clear(f);
	free(f->class);
	sources_free(f->ips, f->nsrcs);
	sources_free(f->people, f->nsrcs);
	sources_free(f->tagged, f->nsrcs);
	sources_free(f->ssh, f->nsshs);
	ruleset_unref(f->rules);
	free(f);
}

struct owner_sources *
filters_owner(struct replica *r, uint64_t user)
{
	struct filters *f = filters_get(r);
	struct owner_sources *o;

	if ((o = idmap_get(&f->owner, user)) != NULL)
		return o;
	o = xcalloc(1, sizeof(*o));
	o->ips.kind = SRC_OWNER_IPS;
	o->people.kind = SRC_OWNER_PEOPLE;
	o->ips.user = o->people.user = user;
	idmap_put(&f->owner, user, o);
	return o;
}

void
filters_trim(struct replica *r)
{
	struct filters *f = filters_get(r);

	if (f->owner.n > 2 * r->users.n + SPARE ||
	    f->nslots > 2 * r->nodes.n + SPARE)
		owners_clear(f);
}

static void
stale(struct source *s)
{
	if (s->text != NULL)
		s->stale = true;
}

void
filters_member(struct replica *r, struct class *c, const struct user *u)
{
	struct filters *f = r->filters;
	struct owner_sources *o;
	const struct pol *p;
	uint32_t i;

	if (f == NULL || f->rules != c->rules)
		return;
	f->gen++;
	p = f->rules->pol;
	for (i = 0; i < p->nsrcs; i++) {
		if (f->ips[i].text == NULL && f->people[i].text == NULL &&
		    f->tagged[i].text == NULL)
			continue;
		if (!src_identity(p, i, &c->hits))
			continue;
		stale(&f->ips[i]);
		stale(&f->people[i]);
		if (c->hits.tagged)
			stale(&f->tagged[i]);
	}
	for (i = 0; i < p->nsshs; i++)
		if (f->ssh[i].text != NULL &&
		    src_identity(p, p->ssh[i].src, &c->hits))
			stale(&f->ssh[i]);
	if (u != NULL && (o = idmap_get(&f->owner, u->id)) != NULL) {
		stale(&o->ips);
		stale(&o->people);
	}
}

void
filters_routes(struct replica *r)
{
	struct filters *f = r->filters;
	const struct pol *p;
	uint32_t i;

	if (f == NULL)
		return;
	f->gen++;
	p = f->rules->pol;
	for (i = 0; i < p->nsrcs; i++)
		if (f->ips[i].text != NULL && src_has(p, i, POL_TAILNET))
			stale(&f->ips[i]);
}

static void
add_node(struct srcset *s, const struct node *n)
{
	srcset_ip(s, &n->ip4);
	srcset_ip(s, &n->ip6);
}

/* The tailnet's own range, if what all tailnets have does not cover it. */
static void
add_range(struct srcset *s, const struct prefix *own, const char *all)
{
	char t[PREFIX_TEXT];
	struct prefix p;

	if (own->addr.family == 0 || (prefix_parse(&p, slice_str(all)) &&
	    p.bits <= own->bits && prefix_has(&p, &own->addr)))
		return;
	srcset_text(s, slice_mem(t, prefix_print(t, own)));
}

/* A single address is written without its length. */
static void
add_route(struct srcset *s, const struct prefix *p)
{
	char t[PREFIX_TEXT];

	if (p->bits == (p->addr.family == 4 ? 32 : 128))
		srcset_ip(s, &p->addr);
	else
		srcset_text(s, slice_mem(t, prefix_print(t, p)));
}

/* policy.md 5.2. */
static void
add_tailnet(struct replica *r, struct srcset *s)
{
	const struct node *n;
	unsigned int i;

	srcset_text(s, slice_str("100.64.0.0-100.115.91.255"));
	srcset_text(s, slice_str("100.115.94.0-100.127.255.255"));
	srcset_text(s, slice_str("fd7a:115c:a1e0::/48"));
	add_range(s, &r->range[0], "100.64.0.0/10");
	add_range(s, &r->range[1], "fd7a:115c:a1e0::/48");
	TAILQ_FOREACH(n, &r->routers, router)
		for (i = 0; i < n->nroutes; i++)
			if (!n->routes[i].exit)
				add_route(s, &n->routes[i].p);
}

static void
add_members(const struct ruleset *rs, uint32_t src, struct srcset *s)
{
	const struct class *c;
	const struct node *n;
	uint32_t i;

	for (i = 0; i < rs->nclasses; i++) {
		c = rs->class[i];
		if (c->nmembers == 0 || !src_identity(rs->pol, src, &c->hits))
			continue;
		TAILQ_FOREACH(n, &c->members, member)
			add_node(s, n);
	}
}

/* Returns how many they are. */
static uint32_t
put_ips(struct replica *r, uint32_t src, struct buf *b)
{
	const struct pol *p = r->rules->pol;
	const struct pol_src *ps = &p->src[src];
	const struct pol_sel *sel;
	struct srcset s = { 0 };
	uint32_t i, n;

	if (src_has(p, src, POL_ANY)) {
		buf_str(b, "[\"*\"]");
		return 1;
	}
	for (i = 0; i < ps->n; i++) {
		sel = &p->sel[ps->sel[i]];
		if (sel->kind == POL_RANGE)
			srcset_text(&s, sel->text);
		else if (sel->kind == POL_TAILNET)
			add_tailnet(r, &s);
	}
	add_members(r->rules, src, &s);
	buf_u8(b, '[');
	n = srcset_put(&s, true, slice_str("\""), slice_str("\""), b);
	buf_u8(b, ']');
	srcset_free(&s);
	return n;
}

static void
add_owned(struct replica *r, uint64_t user, struct srcset *s)
{
	const struct user *u = idmap_get(&r->users, user);
	const struct node *n;

	if (u == NULL)
		return;
	TAILQ_FOREACH(n, &u->owned, owned)
		add_node(s, n);
}

static uint32_t
put_people(struct srcset *s, struct buf *b)
{
	uint32_t n;

	buf_u8(b, '[');
	n = srcset_put(s, false, slice_str("{\"nodeIP\":\""),
	    slice_str("\"}"), b);
	buf_u8(b, ']');
	return n;
}

/*
 * policy.md 11.4: by autogroup:tagged a node is there once for each of its
 * tags.
 */
static uint32_t
put_principals(struct replica *r, uint32_t src, bool tagged, struct buf *b)
{
	const struct ruleset *rs = r->rules;
	struct srcset s = { 0 };
	const struct class *c;
	const struct node *n;
	uint32_t i, k, times, put;
	bool each = src_has(rs->pol, src, POL_TAGGED);

	for (i = 0; i < rs->nclasses; i++) {
		c = rs->class[i];
		if (c->nmembers == 0 || (tagged && !c->hits.tagged) ||
		    !src_identity(rs->pol, src, &c->hits))
			continue;
		TAILQ_FOREACH(n, &c->members, member) {
			times = each && c->hits.tagged ? n->ntags : 1;
			for (k = 0; k < times; k++)
				add_node(&s, n);
		}
	}
	put = put_people(&s, b);
	srcset_free(&s);
	return put;
}

static uint32_t
put_owner(struct replica *r, const struct source *so, struct buf *b)
{
	struct srcset s = { 0 };
	uint32_t n;

	add_owned(r, so->user, &s);
	if (so->kind == SRC_OWNER_PEOPLE)
		n = put_people(&s, b);
	else {
		buf_u8(b, '[');
		n = srcset_put(&s, true, slice_str("\""), slice_str("\""), b);
		buf_u8(b, ']');
	}
	srcset_free(&s);
	return n;
}

static uint32_t
put_source(struct replica *r, const struct source *s, struct buf *b)
{
	switch (s->kind) {
	case SRC_IPS:
		return put_ips(r, s->index, b);
	case SRC_PEOPLE:
	case SRC_TAGGED_PEOPLE:
		return put_principals(r, s->index,
		    s->kind == SRC_TAGGED_PEOPLE, b);
	case SRC_SSH:
		return ssh_rule_text(r, s->index, b);
	default:
		return put_owner(r, s, b);
	}
}

struct srctext *
filters_text(struct replica *r, struct source *s)
{
	struct srctext *t;
	struct buf b = { 0 };
	uint32_t n;

	if (s->text != NULL && !s->stale)
		return s->text;
	n = put_source(r, s, &b);
	t = srctext_new(r->tn->seed, &b, n);
	buf_free(&b);
	r->filters->made++;
	s->stale = false;
	if (s->text != NULL && srctext_eq(s->text, t)) {
		srctext_unref(t);
		return s->text;
	}
	srctext_unref(s->text);
	s->text = t;
	return t;
}
