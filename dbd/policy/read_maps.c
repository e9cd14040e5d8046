#include <stdlib.h>
#include <string.h>

#include "dbd/policy/read_int.h"

static int
by_name(const void *x, const void *y)
{
	const struct hj *a = *(const struct hj *const *)x;
	const struct hj *b = *(const struct hj *const *)y;

	return slice_cmp(a->name, b->name);
}

/* An object's members, ascending by name; names are unique. */
static const struct hj **
members_sorted(struct reading *r, const struct hj *o)
{
	const struct hj **v, *m;
	size_t n = 0;

	v = arena_array(r->a, o->count, sizeof(*v));
	for (m = o->first; m != NULL; m = m->next)
		v[n++] = m;
	qsort(v, n, sizeof(*v), by_name);
	return v;
}

static bool
group_member(struct reading *r, const struct hj *group, const struct hj *v)
{
	if (v->kind != HJ_STRING)
		return fault(r, v->pos, "invalid group member type: "
		    "group %s expected string but got %s",
		    quote(r, group->name), hj_kind_name(v->kind));
	if (slice_prefix(v->text, "group:"))
		return fault(r, v->pos, "groups[%s]: %s: group members "
		    "cannot be recursive", quote(r, group->name),
		    quote(r, v->text));
	if (v->text.n == 0 || memchr(v->text.p, '@', v->text.n) == NULL)
		return fault(r, v->pos, "username must contain @, got: %s",
		    quote(r, v->text));
	return true;
}

static void
group_judge(struct reading *r, const struct hj *g)
{
	const struct hj *v;

	if (!slice_prefix(g->name, "group:"))
		(void)fault(r, g->name_pos, "group must start with "
		    "'group:', got: %s", quote(r, g->name));
	if (g->kind == HJ_STRING)
		(void)fault(r, g->pos, "group value must be an array of "
		    "users: group %s got string: %s", quote(r, g->name),
		    quote(r, g->text));
	else if (g->kind != HJ_ARRAY && g->kind != HJ_NULL)
		(void)fault(r, g->pos, "group value must be an array of "
		    "users: group %s got %s", quote(r, g->name),
		    hj_kind_name(g->kind));
	else
		for (v = g->first; v != NULL; v = v->next)
			(void)group_member(r, g, v);
}

void
read_groups(struct reading *r, const struct hj *o)
{
	const struct hj **order, *g, *v;
	struct named *group;
	size_t i;

	/* policy.md 4.3: from the last name to the first. */
	order = members_sorted(r, o);
	for (i = o->count; i-- > 0;)
		group_judge(r, order[i]);
	r->p->group = arena_array(r->a, o->count, sizeof(*group));
	for (g = o->first; g != NULL; g = g->next) {
		group = &r->p->group[r->p->ngroups++];
		group->pos = g->name_pos;
		group->name = g->name;
		group->member.v = arena_array(r->a, g->count,
		    sizeof(*group->member.v));
		for (v = g->first; v != NULL; v = v->next) {
			group->member.v[group->member.n].kind = AL_USER;
			group->member.v[group->member.n].text = v->text;
			group->member.v[group->member.n++].pos = v->pos;
		}
	}
}

void
read_hosts(struct reading *r, const struct hj *o)
{
	const struct hj *m;
	struct host *h;
	bool slash;

	r->p->host = arena_array(r->a, o->count, sizeof(*h));
	for (m = o->first; m != NULL; m = m->next) {
		if (m->name.n == 0 ||
		    memchr(m->name.p, '@', m->name.n) != NULL ||
		    memchr(m->name.p, ':', m->name.n) != NULL)
			(void)fault(r, m->name_pos, "invalid hostname: %s",
			    quote(r, m->name));
		if (!want_kind(r, m, HJ_STRING))
			continue;
		h = &r->p->host[r->p->nhosts++];
		h->name = m->name;
		if (!lex_prefix(m->text, &h->prefix, &slash))
			(void)fault(r, m->pos, "hostname contains invalid IP "
			    "address: hostname %s address %s",
			    quote(r, m->name), quote(r, m->text));
	}
}

/* An owner of a tag, or who approves: also autogroups of nodes or users. */
static bool
owner_like(const struct alias *al)
{
	switch (al->kind) {
	case AL_USER:
	case AL_GROUP:
	case AL_TAG:
		return true;
	case AL_AUTO:
		return al->ag == AG_TAGGED || alias_people(al);
	default:
		return false;
	}
}

static void
owners_list(struct reading *r, const struct hj *list, struct aliases *out,
    const char *what)
{
	const struct hj *v;
	struct alias *al;

	if (list->kind == HJ_NULL || !want_kind(r, list, HJ_ARRAY))
		return;
	out->v = arena_array(r->a, list->count, sizeof(*out->v));
	for (v = list->first; v != NULL; v = v->next) {
		if (!want_kind(r, v, HJ_STRING))
			continue;
		al = &out->v[out->n++];
		al->pos = v->pos;
		if (!lex_alias(al, v->text) || !owner_like(al))
			(void)fault(r, v->pos, "invalid %s format: %s", what,
			    quote(r, v->text));
	}
}

void
read_owners(struct reading *r, const struct hj *o)
{
	const struct hj *m;
	struct named *t;
	char c;

	r->p->owner = arena_array(r->a, o->count, sizeof(*t));
	for (m = o->first; m != NULL; m = m->next) {
		t = &r->p->owner[r->p->nowners++];
		t->pos = m->name_pos;
		t->name = m->name;
		c = m->name.n > 4 ? m->name.p[4] : '\0';
		if (!slice_prefix(m->name, "tag:"))
			(void)fault(r, m->name_pos, "tag must start with "
			    "'tag:', got: %s", quote(r, m->name));
		else if ((c < 'a' || c > 'z') && (c < 'A' || c > 'Z'))
			(void)fault(r, m->name_pos, "tagOwners[%s]: tag "
			    "names must start with a letter, after 'tag:'",
			    quote(r, m->name));
		owners_list(r, m, &t->member, "owner");
	}
}

static void
route_approver(struct reading *r, const struct hj *m)
{
	struct approver *ap = &r->p->approver[r->p->napprovers++];

	ap->pos = m->name_pos;
	if (!prefix_parse_loose(&ap->route, m->name))
		(void)fault(r, m->name_pos, "autoApprovers.routes: "
		    "invalid prefix %s", quote(r, m->name));
	owners_list(r, m, &ap->who, "auto approver");
}

/* Names of services or connectors and who advertises them: no effect. */
static void
other_approvers(struct reading *r, const struct hj *o)
{
	struct aliases who = { 0 };
	const struct hj *m;

	for (m = o == NULL ? NULL : o->first; m != NULL; m = m->next)
		owners_list(r, m, &who, "auto approver");
}

void
read_approvers(struct reading *r, const struct hj *o)
{
	enum { ROUTES, EXIT, SERVICES, CONNECTORS, N };
	static const struct field f[N] = {
		[ROUTES] = { "routes", HJ_OBJECT },
		[EXIT] = { "exitNode", HJ_ARRAY },
		[SERVICES] = { "services", HJ_OBJECT },
		[CONNECTORS] = { "appConnectors", HJ_OBJECT }
	};
	const struct hj *in[N], *m;
	struct approver *ap;
	size_t n;

	(void)fields_read(r, o, f, N, in, false);
	n = in[ROUTES] == NULL ? 0 : in[ROUTES]->count;
	r->p->approver = arena_array(r->a, n + 1, sizeof(*ap));
	for (m = n == 0 ? NULL : in[ROUTES]->first; m != NULL; m = m->next)
		route_approver(r, m);
	if (in[EXIT] != NULL) {
		ap = &r->p->approver[r->p->napprovers++];
		ap->pos = in[EXIT]->name_pos;
		ap->exit = true;
		owners_list(r, in[EXIT], &ap->who, "auto approver");
	}
	other_approvers(r, in[SERVICES]);
	other_approvers(r, in[CONNECTORS]);
}
