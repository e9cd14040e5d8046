#include <string.h>

#include "dbd/policy/read_int.h"

static bool
self_src_ok(const struct alias *al, bool grant)
{
	switch (al->kind) {
	case AL_USER:
	case AL_GROUP:
		return true;
	case AL_STAR:
		return !grant;
	case AL_AUTO:
		return al->ag == AG_MEMBER;
	default:
		return false;
	}
}

/* policy.md 7: who may stand beside autogroup:self. */
static void
check_self(struct reading *r, const struct aliases *src, bool grant)
{
	size_t i;

	for (i = 0; i < src->n; i++)
		if (!self_src_ok(&src->v[i], grant)) {
			(void)fault(r, src->v[i].pos, "autogroup:self can "
			    "only be used with users, groups, or supported "
			    "autogroups");
			return;
		}
}

static void
check_list(struct reading *r, struct aliases *list, enum place at)
{
	size_t i;

	for (i = 0; i < list->n; i++)
		(void)alias_check(r, &list->v[i], at);
}

static bool
is_auto(const struct alias *al, enum autogroup ag)
{
	return al->kind == AL_AUTO && al->ag == ag;
}

/* policy.md 3.6. */
static void
check_proto_ports(struct reading *r, const struct acl *acl)
{
	const struct ports *p;
	char number[4];
	size_t i, k;

	if (acl->proto == 0 || acl->proto == 6 || acl->proto == 17 ||
	    acl->proto == 132)
		return;
	for (i = 0; i < acl->ndst; i++) {
		p = &acl->dst[i].ports;
		for (k = 0; k < p->n; k++)
			if (p->v[k].first != 0 || p->v[k].last != 65535) {
				(void)fault(r, acl->dst[i].alias.pos,
				    "protocol does not support specific "
				    "ports: \"%s\", only \"*\" is allowed",
				    lex_proto_name(acl->proto, number));
				return;
			}
	}
}

static void
check_acl(struct reading *r, struct acl *acl)
{
	bool self = false;
	size_t i;

	check_list(r, &acl->src, AT_ACL_SRC);
	for (i = 0; i < acl->ndst; i++) {
		(void)alias_check(r, &acl->dst[i].alias, AT_ACL_DST);
		self = self || is_auto(&acl->dst[i].alias, AG_SELF);
	}
	check_proto_ports(r, acl);
	if (self)
		check_self(r, &acl->src, false);
}

void
check_acls(struct reading *r)
{
	size_t i;

	for (i = 0; i < r->p->nacls; i++)
		check_acl(r, &r->p->acl[i]);
}

/* policy.md 9. */
static bool
cap_ours(struct slice name)
{
	static const char *const open[] = {
		"drive", "relay", "webui", "kubernetes", "tsidp", "secrets"
	};
	static const char cap[] = "tailscale.com/cap/";
	struct slice rest;
	size_t i;

	if (!slice_prefix(name, "tailscale.com/"))
		return true;
	if (!slice_prefix(name, cap))
		return false;
	rest = slice_mem(name.p + sizeof(cap) - 1, name.n - sizeof(cap) + 1);
	for (i = 0; i < sizeof(open) / sizeof(open[0]); i++)
		if (slice_eqs(rest, open[i]))
			return true;
	return false;
}

/* "domain/path", without a scheme. */
static bool
cap_form(struct slice s)
{
	const char *slash;

	if (s.n == 0 || (slash = memchr(s.p, '/', s.n)) == NULL)
		return false;
	return slash != s.p && slash + 1 != s.p + s.n &&
	    memmem(s.p, s.n, "://", 3) == NULL;
}

static void
check_apps(struct reading *r, const struct grant *g)
{
	size_t i;

	for (i = 0; i < g->napp; i++) {
		if (!cap_form(g->app[i].name))
			(void)fault(r, g->pos, "capability name must have "
			    "the form {domain}/{path}");
		else if (!cap_ours(g->app[i].name))
			(void)fault(r, g->pos, "capability name must not be "
			    "in the tailscale.com domain");
	}
}

static void
check_grant_dst(struct reading *r, const struct grant *g, struct alias *d)
{
	alias_resolve(r, d);
	if (g->napp > 0 && is_auto(d, AG_INTERNET))
		(void)fault(r, d->pos, "cannot use app grants with "
		    "autogroup:internet");
	if ((d->kind == AL_PREFIX || d->kind == AL_HOST) &&
	    d->prefix.addr.family != 0 && d->prefix.bits == 0)
		(void)fault(r, d->pos, "dst %s: to allow all IP addresses, "
		    "use \"*\" or \"autogroup:internet\"", quote(r, d->text));
}

static void
check_via(struct reading *r, const struct grant *g)
{
	const struct alias *al;
	size_t i;

	for (i = 0; i < g->via.n; i++) {
		al = &g->via.v[i];
		if (al->kind != AL_TAG)
			(void)fault(r, al->pos, "via can only be a tag");
		else if (names_find(&r->owners, al->text) == SIZE_MAX)
			(void)fault(r, al->pos, "tag %s not found",
			    quote(r, al->text));
	}
}

static void
check_grant(struct reading *r, struct grant *g)
{
	bool self = false;
	size_t i;

	if (g->nip == 0 && g->napp == 0)
		(void)fault(r, g->pos, "ip and app can not both be empty");
	check_apps(r, g);
	for (i = 0; i < g->dst.n; i++) {
		check_grant_dst(r, g, &g->dst.v[i]);
		self = self || is_auto(&g->dst.v[i], AG_SELF);
	}
	check_list(r, &g->src, AT_GRANT_SRC);
	check_list(r, &g->dst, AT_GRANT_DST);
	check_via(r, g);
	if (self)
		check_self(r, &g->src, true);
}

void
check_grants(struct reading *r)
{
	size_t i;

	for (i = 0; i < r->p->ngrants; i++)
		check_grant(r, &r->p->grant[i]);
}

static bool
overlap(const struct prefix *a, const struct prefix *b)
{
	return prefix_has(a, &b->addr) || prefix_has(b, &a->addr);
}

/* policy.md 12.2. */
static bool
check_pool(struct reading *r, const struct hj *v)
{
	static const char *const reserved[] = {
		"100.100.100.0/24", "100.115.92.0/23"
	};
	struct prefix p, cgnat, res;
	size_t i;

	if (!prefix_parse_loose(&p, v->text))
		return fault(r, v->pos, "IPPool(%.*s): invalid prefix",
		    (int)(v->text.n > 64 ? 64 : v->text.n), v->text.p);
	(void)prefix_parse(&cgnat, slice_str("100.64.0.0/10"));
	if (p.bits < cgnat.bits || !prefix_has(&cgnat, &p.addr))
		return fault(r, v->pos, "nodeAttrs ipPool must be within "
		    "100.64.0.0/10: %s", quote(r, v->text));
	for (i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++) {
		(void)prefix_parse(&res, slice_str(reserved[i]));
		if (!overlap(&p, &res))
			continue;
		if (p.bits >= res.bits)
			return fault(r, v->pos, "IPPool(%.*s): network "
			    "within reserved range", SLICE_FMT(v->text));
		return fault(r, v->pos, "nodeAttrs ipPool must not overlap "
		    "reserved Tailscale ranges: %s overlaps \"%s\"",
		    quote(r, v->text), reserved[i]);
	}
	return true;
}

static void
check_attr(struct reading *r, struct node_attr *at, const struct hj *pool)
{
	const struct pol_user *u;
	const struct hj *v;
	struct alias *al;
	const char *name;
	size_t i;

	for (i = 0; i < at->target.n; i++) {
		al = &at->target.v[i];
		if (!alias_check(r, al, AT_TARGET) || al->kind != AL_USER ||
		    r->info->stored || who_find(r->who, al->text, &u) > 0)
			continue;
		name = quote(r, al->text);
		(void)fault(r, al->pos, "nodeAttrs target %s: user not "
		    "found: token %s", name, name);
	}
	for (v = pool == NULL ? NULL : pool->first; v != NULL; v = v->next)
		(void)check_pool(r, v);
}

static void
check_owners(struct reading *r)
{
	struct named *t;
	struct alias *al;
	size_t i, k;

	for (i = 0; i < r->p->nowners; i++)
		check_list(r, &r->p->owner[i].member, AT_OWNER);
	for (i = 0; i < r->p->nowners; i++) {
		t = &r->p->owner[i];
		for (k = 0; k < t->member.n; k++) {
			al = &t->member.v[k];
			if (al->kind == AL_TAG &&
			    names_find(&r->owners, al->text) == SIZE_MAX)
				(void)fault(r, al->pos, "tag %s references "
				    "undefined tag %s", quote(r, t->name),
				    quote(r, al->text));
		}
	}
}

void
check_policy(struct reading *r)
{
	size_t i;

	check_acls(r);
	check_sshs(r);
	check_grants(r);
	for (i = 0; i < r->p->nattrs; i++)
		check_attr(r, &r->p->attr[i], r->pool[i]);
	check_owners(r);
	for (i = 0; i < r->p->napprovers; i++)
		check_list(r, &r->p->approver[i].who, AT_APPROVER);
	check_tests(r);
	check_ssh_tests(r);
	if (!r->info->stored)
		check_users(r);
}
