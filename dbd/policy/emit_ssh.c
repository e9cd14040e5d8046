#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "dbd/policy/emit_int.h"

#define LOCALPART	"localpart:*@"

static int
cmp_slice(const void *a, const void *b)
{
	const struct slice *x = a, *y = b;

	return slice_cmp(*x, *y);
}

/* localpart:*@DOMAIN: the domain; empty if it is a user's name. */
static struct slice
local_domain(struct slice user)
{
	if (!slice_prefix(user, LOCALPART))
		return slice_mem(NULL, 0);
	return slice_mem(user.p + strlen(LOCALPART),
	    user.n - strlen(LOCALPART));
}

/* What a name of the common map stands for. */
static const char *
common_value(struct slice name, bool root)
{
	if (slice_eqs(name, "*"))
		return "=";
	if (slice_eqs(name, "root"))
		return root ? "root" : "";
	return NULL;
}

/* policy.md 11.4: the map that is the same for all principals. */
static struct slice
users_json(struct emit *e, const struct ssh *s)
{
	struct buf b = { 0 };
	struct json j;
	struct slice *v, made;
	size_t i, n = 0;
	bool root = false;

	v = arena_array(e->a, s->users.n + 1, sizeof(*v));
	v[n++] = slice_str("root");
	for (i = 0; i < s->users.n; i++) {
		if (slice_eqs(s->users.v[i], "root"))
			root = true;
		else if (slice_eqs(s->users.v[i], "autogroup:nonroot"))
			v[n++] = slice_str("*");
		else if (local_domain(s->users.v[i]).n == 0)
			v[n++] = s->users.v[i];
	}
	qsort(v, n, sizeof(*v), cmp_slice);
	json_init(&j, &b);
	json_obj(&j);
	for (i = 0; i < n; i++) {
		if (i > 0 && slice_eq(v[i], v[i - 1]))
			continue;
		json_keys(&j, v[i]);
		if (common_value(v[i], root) != NULL)
			json_cstr(&j, common_value(v[i], root));
		else
			json_str(&j, v[i]);
	}
	json_end(&j);
	made = arena_copy(e->a, buf_slice_of(&b));
	buf_free(&b);
	return made;
}

static struct slice
list_json(struct emit *e, const struct strs *s)
{
	struct buf b = { 0 };
	struct json j;
	struct slice made;
	size_t i;

	if (s->n == 0)
		return slice_mem(NULL, 0);
	json_init(&j, &b);
	json_arr(&j);
	for (i = 0; i < s->n; i++)
		json_str(&j, s->v[i]);
	json_end(&j);
	made = arena_copy(e->a, buf_slice_of(&b));
	buf_free(&b);
	return made;
}

static int
cmp_local(const void *a, const void *b)
{
	const struct pol_local *x = a, *y = b;

	return x->user < y->user ? -1 : x->user > y->user;
}

/* The part of a login before its last "@", as a JSON string. */
static struct slice
local_json(struct emit *e, const struct pol_user *u)
{
	struct buf b = { 0 };
	struct json j;
	struct slice s = emit_login(u), made;

	while (s.n > 0 && s.p[s.n - 1] != '@')
		s.n--;
	if (s.n > 0)
		s.n--;
	json_init(&j, &b);
	json_str(&j, s);
	made = arena_copy(e->a, buf_slice_of(&b));
	buf_free(&b);
	return made;
}

/* The users of one set of domains, made once for all rules that name it. */
struct locals {
	struct locals	*next;
	const struct slice *domain;	/* ascending */
	size_t		 ndomains;
	struct pol_local *v;
	uint32_t	 n;
};

static void
locals_fill(struct emit *e, struct locals *l)
{
	const struct pol_user *u;
	size_t i, k;

	l->v = arena_array(e->a, e->info->nusers, sizeof(*l->v));
	for (i = 0; i < e->info->nusers; i++) {
		u = &e->info->user[i];
		for (k = 0; k < l->ndomains; k++)
			if (emit_in_domain(e, u, l->domain[k]))
				break;
		if (k == l->ndomains)
			continue;
		l->v[l->n].user = u->id;
		l->v[l->n++].name = local_json(e, u);
	}
	e->locals += l->n;
	if (e->locals > POL_MAX_ENTRIES)
		e->too_big = true;
	if (l->n != 0)
		qsort(l->v, l->n, sizeof(*l->v), cmp_local);
}

static struct locals *
locals_of(struct emit *e, struct locals **known, const struct ssh *s)
{
	struct locals *l;
	struct slice *v, d;
	size_t i, n = 0;

	v = arena_array(e->a, s->users.n, sizeof(*v));
	for (i = 0; i < s->users.n; i++)
		if ((d = local_domain(s->users.v[i])).n != 0)
			v[n++] = d;
	if (n == 0)
		return NULL;
	qsort(v, n, sizeof(*v), cmp_slice);
	for (l = *known; l != NULL; l = l->next) {
		for (i = 0; i < n && i < l->ndomains; i++)
			if (!slice_eq(v[i], l->domain[i]))
				break;
		if (i == n && n == l->ndomains)
			return l;
	}
	l = arena_alloc(e->a, sizeof(*l));
	l->domain = v;
	l->ndomains = n;
	locals_fill(e, l);
	l->next = *known;
	*known = l;
	return l;
}

static void
ssh_row(struct emit *e, const struct ssh *s, size_t k, struct locals **known,
    struct pol_ssh *r)
{
	const struct locals *l;
	const struct alias *al;
	uint32_t *v;
	size_t i;

	r->check = s->check;
	r->period = s->check ? s->period : 0;
	r->src = emit_src_of(e, &s->src);
	r->dst = v = arena_array(e->a, s->dst.n, sizeof(*v));
	for (i = 0; i < s->dst.n; i++) {
		al = &s->dst.v[i];
		if (al->kind == AL_AUTO && al->ag == AG_SELF)
			r->self = true;
		/* Words of a stored text may have come to mean two users. */
		else if (al->kind != AL_USER || who_only(e->who, &s->src, al))
			v[r->ndst++] = emit_sel(e, al, AS_SOURCE);
	}
	r->users = users_json(e, s);
	r->env = list_json(e, &s->env);
	if ((l = locals_of(e, known, s)) != NULL) {
		r->locals = true;
		r->local = l->v;
		r->nlocals = l->n;
	}
	emit_prov(&r->prov, POL_SSH, k, s->pos);
}

void
emit_sshs(struct emit *e, struct pol *p)
{
	struct locals *known = NULL;
	const struct ssh *s;
	struct pol_ssh *v;
	size_t i;

	p->ssh = v = arena_array(e->a, e->p->nsshs, sizeof(*v));
	for (i = 0; i < e->p->nsshs && !e->too_big; i++) {
		s = &e->p->ssh[i];
		if (s->src.n != 0 && s->dst.n != 0)
			ssh_row(e, s, i, &known, &v[p->nsshs++]);
	}
}

/* policy.md 12.2: what one attribute stands for, appended. */
static void
attr_keys(struct emit *e, struct pol_attr *r, const struct strs *attr)
{
	static const char *const funnel[] = {
		"https://tailscale.com/cap/funnel-ports?ports=443,8443,10000",
		"https://tailscale.com/cap/warn-funnel-no-https"
	};
	struct buf b = { 0 };
	struct json j;
	struct slice *v;
	size_t i, k, n = 0;

	v = arena_array(e->a, 3 * attr->n, sizeof(*v));
	for (i = 0; i < attr->n; i++) {
		v[n++] = attr->v[i];
		for (k = 0; slice_eqs(attr->v[i], "funnel") && k < 2; k++)
			v[n++] = slice_str(funnel[k]);
		if (slice_eqs(attr->v[i], "disable-ipv4"))
			r->no_ip4 = true;
	}
	qsort(v, n, sizeof(*v), cmp_slice);
	json_init(&j, &b);
	for (i = 0; i < n; i++) {
		if (i > 0 && slice_eq(v[i], v[i - 1]))
			continue;
		json_keys(&j, v[i]);
		json_null(&j);
	}
	r->keys = arena_copy(e->a, buf_slice_of(&b));
	buf_free(&b);
}

void
emit_attrs(struct emit *e, struct pol *p)
{
	struct slice random_port = slice_str("randomize-client-port");
	const struct node_attr *a;
	struct strs one = { &random_port, 1 };
	struct pol_attr *v;
	struct alias star;
	size_t i;

	p->attr = v = arena_array(e->a, e->p->nattrs + 1, sizeof(*v));
	for (i = 0; i < e->p->nattrs; i++) {
		a = &e->p->attr[i];
		if (a->target.n == 0 || a->attr.n == 0)
			continue;
		v[p->nattrs].src = emit_src_of(e, &a->target);
		emit_prov(&v[p->nattrs].prov, POL_ATTRS, i, a->pos);
		attr_keys(e, &v[p->nattrs++], &a->attr);
	}
	if (!e->p->random_port)
		return;
	memset(&star, 0, sizeof(star));
	star.kind = AL_STAR;
	v[p->nattrs].src = emit_src_of(e, &(struct aliases){ &star, 1 });
	v[p->nattrs].prov.section = POL_ATTRS;
	v[p->nattrs].prov.index = (uint32_t)i;
	attr_keys(e, &v[p->nattrs++], &one);
}

void
emit_approvers(struct emit *e, struct pol *p)
{
	const struct approver *a;
	struct pol_approver *v, *r;
	size_t i;

	p->approver = v = arena_array(e->a, e->p->napprovers, sizeof(*v));
	for (i = 0; i < e->p->napprovers; i++) {
		a = &e->p->approver[i];
		if (a->who.n == 0)
			continue;
		r = &v[p->napprovers++];
		r->exit = a->exit;
		if (!a->exit)
			r->route = a->route;
		r->src = emit_src_of(e, &a->who);
		emit_prov(&r->prov, POL_APPROVERS, i, a->pos);
	}
}
