#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "regress/lib/rulekit.h"

static const uint64_t users[] = { 1, 2, 3, 1, 2 };
static const struct pol_port all_ports = { 0, 65535 };

static void
range(struct pol_sel *s, const char *lo, const char *hi, const char *text)
{
	s->kind = POL_RANGE;
	(void)ip_parse(&s->lo, slice_str(lo));
	(void)ip_parse(&s->hi, slice_str(hi));
	s->text = slice_str(text);
}

static void
ranges(struct pol_sel *s)
{
	static const char *const nodes[] = { "100.64.0.1", "100.64.0.2",
	    "100.64.0.3" };
	unsigned int i;

	range(&s[PK_SUBNET], "10.1.0.0", "10.1.255.255", "10.1.0.0/16");
	range(&s[PK_WITHIN], "10.1.2.0", "10.1.2.255", "10.1.2.0/24");
	range(&s[PK_AROUND], "10.0.0.0", "10.255.255.255", "10.0.0.0/8");
	range(&s[PK_ELSEWHERE], "192.0.2.0", "192.0.2.255", "192.0.2.0/24");
	range(&s[PK_SUBNET6], "fd00:1::", "fd00:1::ffff:ffff:ffff:ffff",
	    "fd00:1::/64");
	for (i = 0; i < 3; i++)
		range(&s[PK_NODE1 + i], nodes[i], nodes[i], nodes[i]);
	range(&s[PK_NODES], "100.64.0.0", "100.64.0.31", "100.64.0.0/27");
	range(&s[PK_INET], "11.0.0.0", "100.63.255.255",
	    "11.0.0.0-100.63.255.255");
	s[PK_INET].inet = true;
}

static void
selectors(struct pol_sel *s)
{
	static const char *const tags[] = { "tag:t0", "tag:t1", "tag:t2",
	    "tag:t3", "tag:t4", "tag:t5" };
	unsigned int i;

	s[PK_ANY].kind = POL_ANY;
	s[PK_TAILNET].kind = POL_TAILNET;
	s[PK_MEMBER].kind = POL_MEMBER;
	s[PK_TAGGED].kind = POL_TAGGED;
	for (i = 0; i < 6; i++) {
		s[PK_T0 + i].kind = POL_TAG;
		s[PK_T0 + i].text = slice_str(tags[i]);
	}
	for (i = 0; i < 4; i++) {
		s[PK_U1 + i].kind = POL_USERS;
		s[PK_U1 + i].user = &users[i];
		s[PK_U1 + i].nusers = i == 3 ? 2 : 1;
	}
	ranges(s);
}

void
pk_init(struct rulekit *k)
{
	memset(k, 0, sizeof(*k));
	selectors(k->sel);
	k->pol.sel = k->sel;
	k->pol.nsels = PK_SELS;
	k->pol.src = k->src;
	k->pol.row = k->row;
	k->pol.ssh = k->ssh;
	k->pol.attr = k->attr;
}

void
pk_free(struct rulekit *k)
{
	pol_free(k->loaded);
	k->loaded = NULL;
}

/* An empty list of selectors. */
static uint32_t *
list(struct rulekit *k)
{
	if (k->nlists == PK_LISTS)
		fatalx("rulekit: too many lists");
	return k->num[k->nlists++];
}

static uint32_t
add_src(struct rulekit *k, const uint32_t *sel, uint32_t n)
{
	struct pol_src *s = &k->src[k->pol.nsrcs];
	uint32_t i;

	for (i = 0; i < k->pol.nsrcs; i++)
		if (k->src[i].n == n && memcmp(k->src[i].sel, sel,
		    n * sizeof(*sel)) == 0)
			return i;
	s->sel = sel;
	s->n = n;
	return k->pol.nsrcs++;
}

uint32_t
pk_src(struct rulekit *k, int sel, ...)
{
	uint32_t *v = list(k), n = 0;
	va_list ap;

	va_start(ap, sel);
	for (; sel != -1; sel = va_arg(ap, int))
		v[n++] = (uint32_t)sel;
	va_end(ap);
	return add_src(k, v, n);
}

static struct pol_row *
last(struct rulekit *k)
{
	return &k->row[k->pol.nrows - 1];
}

/* Stays while sources, kind and ways do; that of caps is its place's. */
static void
name(struct rulekit *k)
{
	struct pol_row *r = last(k);
	const struct pol_src *s = &k->src[r->src];
	uint64_t h;
	uint32_t i;

	h = UINT64_C(0xcbf29ce484222325) ^
	    (r->flags & ~(unsigned int)POL_ROW_INET);
	if (r->flags & POL_ROW_APP)
		h += 1000 * (uint64_t)k->pol.nrows;
	for (i = 0; i < s->n; i++)
		h = h * UINT64_C(0x100000001b3) + s->sel[i] + 1;
	h = h * 31 + 7;
	for (i = 0; i < r->nvia; i++)
		h = h * UINT64_C(0x100000001b3) + r->via[i] + 1;
	r->name = h;
}

void
pk_row(struct rulekit *k, uint32_t src, enum pk_sel dst, unsigned int flags)
{
	struct pol_row *r;

	if (k->pol.nrows == PK_ROWS)
		fatalx("rulekit: too many rows");
	r = &k->row[k->pol.nrows];
	memset(r, 0, sizeof(*r));
	r->flags = (uint8_t)flags;
	r->src = src;
	r->dst = k->dst[k->pol.nrows++];
	r->prov.section = POL_GRANTS;
	r->prov.line = k->pol.nrows;
	if (flags & POL_ROW_APP)
		r->caps = slice_str("{\"example.com/cap/x\":[{\"a\":1}]}");
	if (flags & POL_ROW_VIA)
		r->via = list(k);
	pk_dst(k, flags & POL_ROW_SELF ? 0 : dst);
	name(k);
}

void
pk_dst(struct rulekit *k, enum pk_sel dst)
{
	struct pol_row *r = last(k);
	struct pol_dst *d = &k->dst[k->pol.nrows - 1][r->ndst];

	d->sel = dst;
	d->alias = r->ndst++;
	if ((r->flags & POL_ROW_APP) == 0) {
		d->port = &all_ports;
		d->nports = 1;
	}
	if ((dst == PK_ANY || dst == PK_INET) &&
	    (r->flags & POL_ROW_SELF) == 0)
		r->flags |= POL_ROW_INET;
}

void
pk_via(struct rulekit *k, enum pk_sel tag)
{
	struct pol_row *r = last(k);
	uint32_t *v = k->num[(r->via - k->num[0]) / 8];

	v[r->nvia++] = tag;
	name(k);
}

void
pk_attr(struct rulekit *k, uint32_t src, bool no_ip4)
{
	struct pol_attr *a = &k->attr[k->pol.nattrs++];

	memset(a, 0, sizeof(*a));
	a->src = src;
	a->no_ip4 = no_ip4;
	a->keys = slice_str(no_ip4 ? "\"disable-ipv4\":null" :
	    "\"funnel\":null,\"https://tailscale.com/cap/is-admin\":null");
	a->prov.section = POL_ATTRS;
}

static uint32_t
any_src(struct rulekit *k, struct env *env, uint32_t first, uint32_t n)
{
	uint32_t *v = list(k), i, some = 0;
	uint32_t chance = 1 + env_uniform(env, 3);

	for (i = first; i < first + n && some < 8; i++)
		if (env_uniform(env, n) < chance)
			v[some++] = i;
	if (some == 0)
		v[some++] = first + env_uniform(env, n);
	return add_src(k, v, some);
}

static void
any_row(struct rulekit *k, struct env *env)
{
	unsigned int kind = env_uniform(env, 10), flags = 0, i;
	uint32_t src;

	if (env_uniform(env, 6) == 0)
		flags |= POL_ROW_APP;
	if (kind < 2)
		flags |= POL_ROW_SELF;
	else if (kind < 4)
		flags |= POL_ROW_VIA;
	if ((flags & POL_ROW_SELF) == 0)
		src = any_src(k, env, 0, PK_INET);
	else if (env_uniform(env, 2) == 0)
		src = any_src(k, env, PK_TAILNET, 2);
	else
		src = any_src(k, env, PK_U1, 4);
	pk_row(k, src, env_uniform(env, PK_SELS), flags);
	for (i = env_uniform(env, 3); i > 0 && !(flags & POL_ROW_SELF); i--)
		pk_dst(k, env_uniform(env, PK_SELS));
	if (flags & POL_ROW_VIA) {
		i = env_uniform(env, 5);
		pk_via(k, PK_T0 + i);
		if (env_uniform(env, 2) == 0)
			pk_via(k, PK_T0 + i + 1);
	}
	name(k);
}

static void
any_ssh(struct rulekit *k, struct env *env)
{
	struct pol_ssh *s = &k->ssh[k->pol.nsshs++];
	uint32_t *dst = list(k);

	dst[0] = PK_MEMBER + env_uniform(env, 8);
	memset(s, 0, sizeof(*s));
	s->check = env_uniform(env, 2) == 0;
	s->period = s->check ? 3600 : 0;
	s->self = env_uniform(env, 3) == 0;
	s->src = any_src(k, env, PK_MEMBER, 8);
	s->dst = dst;
	s->ndst = 1;
	s->users = slice_str("{\"root\":\"root\"}");
	s->prov.section = POL_SSH;
}

void
pk_random(struct rulekit *k, struct env *env)
{
	unsigned int i;

	pk_init(k);
	for (i = env_uniform(env, 10); i > 0; i--)
		any_row(k, env);
	for (i = env_uniform(env, 3); i > 0; i--)
		any_ssh(k, env);
	if (env_uniform(env, 3) == 0)
		pk_attr(k, any_src(k, env, PK_TAILNET, PK_SUBNET - 1), false);
	if (env_uniform(env, 5) == 0)
		pk_attr(k, any_src(k, env, PK_TAGGED, 8), true);
}

const struct pol *
pk_pol(struct rulekit *k)
{
	struct buf b = { 0 };
	const char *err;

	if (k->loaded == NULL) {
		pol_save(&b, &k->pol);
		if ((k->loaded = pol_load(b.p, b.n, &err)) == NULL)
			fatalx("rulekit: %s", err);
		buf_free(&b);
	}
	return k->loaded;
}

/* The routes of both lists. */
static void
add_routes(struct pk_node *n, const struct r_node *r)
{
	struct msg_list list = r->approved, offered;
	struct r_route a, o;

	while (msg_list_next(&list, MR_ROUTE, &a)) {
		offered = r->hostinfo.routes;
		while (msg_list_next(&offered, MR_ROUTE, &o))
			if (prefix_eq(&a.v, &o.v))
				n->route[n->node.nroutes++] = a.v;
	}
}

void
pk_node(struct pk_node *n, struct rulekit *k, const struct fnode *f)
{
	struct buf b[FEED_LISTS];
	struct prefix home[2];
	struct r_node r;
	unsigned int i;

	memset(n, 0, sizeof(*n));
	fnode_record(f, &r, b);
	for (i = 0; i < f->tags; i++) {
		(void)snprintf(n->text[i], sizeof(n->text[i]), "tag:t%u",
		    f->tag_from + i);
		n->tag[i] = slice_str(n->text[i]);
	}
	n->node.user = f->tags != 0 ? 0 : f->user;
	n->node.tag = n->tag;
	n->node.ntags = f->tags;
	n->node.ip4 = r.ip4;
	n->node.ip6 = r.ip6;
	n->node.route = n->route;
	add_routes(n, &r);
	fnode_record_free(b);
	(void)prefix_parse(&home[0], slice_str("100.64.0.0/10"));
	(void)prefix_parse(&home[1], slice_str("fd7a:115c:a1e0::/48"));
	hits_init(&n->hits, pk_pol(k));
	hits_of(&n->hits, pk_pol(k), &n->node, home);
}

void
pk_node_free(struct pk_node *n)
{
	hits_free(&n->hits);
}
