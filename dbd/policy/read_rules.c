#include <string.h>

#include "dbd/policy/read_int.h"

bool
fault_proto(struct reading *r, struct pos pos, struct slice s,
    enum lex_proto what)
{
	switch (what) {
	case PROTO_STAR:
		return fault(r, pos, "proto name %s not known; use protocol "
		    "number 0-255 or protocol name (icmp, tcp, udp, etc.)",
		    quote(r, s));
	case PROTO_ZERO:
		return fault(r, pos, "leading 0 not permitted in protocol "
		    "number: %s", quote(r, s));
	case PROTO_RANGE:
		return fault(r, pos, "protocol number out of range (0-255): "
		    "%.*s", (int)(s.n > 32 ? 32 : s.n), s.p);
	case PROTO_UNKNOWN:
		return fault(r, pos, "invalid protocol number: %s must be a "
		    "known protocol name or valid protocol number 0-255",
		    quote(r, s));
	case PROTO_OK:
		break;
	}
	return true;
}

bool
refuse(struct reading *r, const struct hj *v, const char *name)
{
	if (v == NULL || v->kind == HJ_NULL ||
	    (v->kind == HJ_BOOL && !v->truth) ||
	    ((v->kind == HJ_ARRAY || v->kind == HJ_OBJECT) && v->count == 0) ||
	    (v->kind == HJ_STRING && v->text.n == 0))
		return true;
	return fault(r, v->pos, "%s is not supported", name);
}

/* Of two names for one thing at most one may stand there. */
static const struct hj *
either(struct reading *r, const struct hj *a, const struct hj *b)
{
	if (a != NULL && b != NULL)
		(void)fault(r, b->name_pos, "duplicate field: %s",
		    quote(r, b->name));
	return a != NULL ? a : b;
}

static bool
acl_dst(struct reading *r, const struct hj *v, struct acl_dst *d)
{
	struct slice host, ports;
	const char *why;

	d->alias.pos = v->pos;
	if (!lex_hostport(r->a, v->text, &host, &ports, &why))
		return fault(r, v->pos, "%s", why);
	if (!lex_ports(r->a, ports, &d->ports, &why))
		return fault(r, v->pos, "dst=%s: port range %s: %s",
		    quote(r, v->text), quote(r, ports), why);
	if (!lex_alias(&d->alias, host))
		return fault(r, v->pos, "invalid alias format: %s",
		    quote(r, host));
	return true;
}

static void
acl_dsts(struct reading *r, const struct hj *list, struct acl *acl)
{
	const struct hj *v;

	if (list == NULL)
		return;
	acl->dst = arena_array(r->a, list->count, sizeof(*acl->dst));
	for (v = list->first; v != NULL; v = v->next)
		if (want_kind(r, v, HJ_STRING))
			(void)acl_dst(r, v, &acl->dst[acl->ndst++]);
}

static void
acl_read(struct reading *r, const struct hj *o, struct acl *acl)
{
	enum { ACTION, PROTO, SRC, DST, USERS, PORTS, POSTURE, N };
	static const struct field f[N] = {
		[ACTION] = { "action", HJ_STRING },
		[PROTO] = { "proto", HJ_STRING },
		[SRC] = { "src", HJ_ARRAY }, [DST] = { "dst", HJ_ARRAY },
		[USERS] = { "users", HJ_ARRAY },
		[PORTS] = { "ports", HJ_ARRAY },
		[POSTURE] = { "srcPosture", HJ_ARRAY }
	};
	const struct hj *in[N];
	struct slice s;

	acl->pos = o->pos;
	if (!fields_read(r, o, f, N, in, true))
		return;
	s = in[ACTION] == NULL ? slice_str("") : in[ACTION]->text;
	if (!slice_eqs(s, "accept"))
		(void)fault(r, in[ACTION] == NULL ? o->pos : in[ACTION]->pos,
		    "action=%s is not supported", quote(r, s));
	(void)aliases_read(r, either(r, in[SRC], in[USERS]), &acl->src, true);
	acl_dsts(r, either(r, in[DST], in[PORTS]), acl);
	if (in[PROTO] != NULL && in[PROTO]->text.n > 0)
		(void)fault_proto(r, in[PROTO]->pos, in[PROTO]->text,
		    lex_proto(in[PROTO]->text, true, &acl->proto));
	(void)refuse(r, in[POSTURE], "srcPosture");
}

void
read_acls(struct reading *r, const struct hj *list)
{
	const struct hj *v;

	r->p->has_acls = true;
	r->p->acl = arena_array(r->a, list->count, sizeof(*r->p->acl));
	for (v = list->first; v != NULL; v = v->next)
		acl_read(r, v, &r->p->acl[r->p->nacls++]);
}

/* "a:b:c" as Go prints the list of its parts. */
static bool
too_many_colons(struct reading *r, const struct hj *v)
{
	char text[200];
	size_t i, n = 1, len = 0;

	for (i = 0; i < v->text.n; i++) {
		n += v->text.p[i] == ':';
		if (len < sizeof(text))
			text[len++] = v->text.p[i] == ':' ? ' ' :
			    v->text.p[i];
	}
	while (len > 0 && len < v->text.n && (text[len - 1] & 0xc0) == 0x80)
		len--;			/* not half a character */
	return fault(r, v->pos, "expected only one colon in Internet "
	    "protocol and port type, got: [%.*s](%zu)", (int)len, text, n);
}

static bool
grant_ip(struct reading *r, const struct hj *v, struct grant_ip *ip)
{
	struct slice s = v->text, proto;
	enum lex_proto what;
	const char *colon, *why;

	colon = s.n == 0 ? NULL : memchr(s.p, ':', s.n);
	if (colon != NULL) {
		proto = slice_mem(s.p, (size_t)(colon - s.p));
		s = slice_mem(colon + 1, s.n - proto.n - 1);
		if (s.n != 0 && memchr(s.p, ':', s.n) != NULL)
			return too_many_colons(r, v);
		what = lex_proto(proto, false, &ip->proto);
		if (!fault_proto(r, v->pos, proto, what))
			return false;
	}
	if (!lex_ports(r->a, s, &ip->ports, &why))
		return fault(r, v->pos, "port range %s: %s", quote(r, s),
		    why);
	return true;
}

static void
grant_ips(struct reading *r, const struct hj *list, struct grant *g)
{
	const struct hj *v;

	if (list == NULL)
		return;
	g->ip = arena_array(r->a, list->count, sizeof(*g->ip));
	for (v = list->first; v != NULL; v = v->next)
		if (want_kind(r, v, HJ_STRING))
			(void)grant_ip(r, v, &g->ip[g->nip++]);
}

static void
grant_apps(struct reading *r, const struct hj *o, struct grant *g)
{
	struct buf b = { 0 };
	const struct hj *m;

	if (o == NULL)
		return;
	g->app = arena_array(r->a, o->count, sizeof(*g->app));
	for (m = o->first; m != NULL; m = m->next) {
		if (m->kind != HJ_NULL && !want_kind(r, m, HJ_ARRAY))
			continue;
		buf_clear(&b);
		hj_json(&b, m);
		g->app[g->napp].name = m->name;
		g->app[g->napp++].json = arena_copy(r->a, buf_slice_of(&b));
	}
	buf_free(&b);
}

/* What is no tag, whatever it is, is judged later. */
static void
grant_via(struct reading *r, const struct hj *list, struct grant *g)
{
	const struct hj *v;
	struct alias *al;

	if (list == NULL)
		return;
	g->via.v = arena_array(r->a, list->count, sizeof(*g->via.v));
	for (v = list->first; v != NULL; v = v->next) {
		if (!want_kind(r, v, HJ_STRING))
			continue;
		al = &g->via.v[g->via.n++];
		al->pos = v->pos;
		if (!lex_alias(al, v->text))
			al->kind = AL_HOST;
	}
}

static void
grant_read(struct reading *r, const struct hj *o, struct grant *g)
{
	enum { SRC, DST, IP, APP, VIA, POSTURE, N };
	static const struct field f[N] = {
		[SRC] = { "src", HJ_ARRAY }, [DST] = { "dst", HJ_ARRAY },
		[IP] = { "ip", HJ_ARRAY }, [APP] = { "app", HJ_OBJECT },
		[VIA] = { "via", HJ_ARRAY },
		[POSTURE] = { "srcPosture", HJ_ARRAY }
	};
	const struct hj *in[N];

	g->pos = o->pos;
	if (!fields_read(r, o, f, N, in, false))
		return;
	(void)aliases_read(r, in[SRC], &g->src, true);
	(void)aliases_read(r, in[DST], &g->dst, true);
	grant_ips(r, in[IP], g);
	grant_apps(r, in[APP], g);
	grant_via(r, in[VIA], g);
	(void)refuse(r, in[POSTURE], "srcPosture");
}

void
read_grants(struct reading *r, const struct hj *list)
{
	const struct hj *v;

	r->p->has_grants = true;
	r->p->grant = arena_array(r->a, list->count, sizeof(*r->p->grant));
	for (v = list->first; v != NULL; v = v->next)
		grant_read(r, v, &r->p->grant[r->p->ngrants++]);
}
