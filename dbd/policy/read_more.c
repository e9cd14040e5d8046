#include <string.h>

#include "dbd/policy/read_int.h"

static void
ssh_read(struct reading *r, const struct hj *o, struct ssh *s,
    struct ssh_raw *raw)
{
	enum { ACTION, SRC, DST, USERS, PERIOD, ENV, POSTURE, RECORDER,
	    ENFORCE, N };
	static const struct field f[N] = {
		[ACTION] = { "action", HJ_STRING },
		[SRC] = { "src", HJ_ARRAY }, [DST] = { "dst", HJ_ARRAY },
		[USERS] = { "users", HJ_ARRAY },
		[PERIOD] = { "checkPeriod", HJ_STRING },
		[ENV] = { "acceptEnv", HJ_ARRAY },
		[POSTURE] = { "srcPosture", HJ_ARRAY },
		[RECORDER] = { "recorder", HJ_ARRAY },
		[ENFORCE] = { "enforceRecorder", HJ_BOOL }
	};
	const struct hj *in[N];

	s->pos = o->pos;
	if (!fields_read(r, o, f, N, in, false))
		return;
	if (in[ACTION] != NULL)
		raw->action = lex_trim(in[ACTION]->text);
	if (in[PERIOD] != NULL) {
		raw->has_period = true;
		raw->period = in[PERIOD]->text;
	}
	(void)strs_read(r, in[USERS], &s->users, true);
	(void)strs_read(r, in[ENV], &s->env, false);
	(void)aliases_read(r, in[SRC], &s->src, true);
	(void)aliases_read(r, in[DST], &s->dst, true);
	(void)refuse(r, in[POSTURE], "srcPosture");
	(void)refuse(r, in[RECORDER], "recorder");
	(void)refuse(r, in[ENFORCE], "enforceRecorder");
}

void
read_ssh(struct reading *r, const struct hj *list)
{
	const struct hj *v;
	size_t i = 0;

	r->p->ssh = arena_array(r->a, list->count, sizeof(*r->p->ssh));
	r->ssh = arena_array(r->a, list->count, sizeof(*r->ssh));
	for (v = list->first; v != NULL; v = v->next, i++)
		ssh_read(r, v, &r->p->ssh[i], &r->ssh[i]);
	r->p->nsshs = i;
}

static void
attr_read(struct reading *r, const struct hj *o, struct node_attr *at,
    const struct hj **pool)
{
	enum { TARGET, ATTR, APP, POOL, N };
	static const struct field f[N] = {
		[TARGET] = { "target", HJ_ARRAY },
		[ATTR] = { "attr", HJ_ARRAY },
		[APP] = { "app", HJ_OBJECT },
		[POOL] = { "ipPool", HJ_ARRAY }
	};
	const struct hj *in[N], *m;
	struct strs pools;

	at->pos = o->pos;
	if (!fields_read(r, o, f, N, in, false))
		return;
	(void)aliases_read(r, in[TARGET], &at->target, true);
	(void)strs_read(r, in[ATTR], &at->attr, false);
	(void)strs_read(r, in[POOL], &pools, false);
	*pool = in[POOL];
	for (m = in[APP] == NULL ? NULL : in[APP]->first; m != NULL;
	    m = m->next)
		if (m->kind != HJ_NULL)
			(void)want_kind(r, m, HJ_ARRAY);
}

/* The list may grow by one for disableIPv4. */
static void
attrs_room(struct reading *r, size_t n)
{
	struct node_attr *was = r->p->attr;

	r->p->attr = arena_array(r->a, n + 1, sizeof(*was));
	if (r->p->nattrs > 0)
		memcpy(r->p->attr, was, r->p->nattrs * sizeof(*was));
}

void
read_attrs(struct reading *r, const struct hj *list)
{
	const struct hj *v;

	attrs_room(r, list->count);
	r->pool = arena_array(r->a, list->count + 1, sizeof(*r->pool));
	for (v = list->first; v != NULL; v = v->next) {
		attr_read(r, v, &r->p->attr[r->p->nattrs],
		    &r->pool[r->p->nattrs]);
		r->p->nattrs++;
	}
}

void
read_disable_ipv4(struct reading *r, const struct hj *v)
{
	struct node_attr *at;

	if (v == NULL || !v->truth)
		return;
	attrs_room(r, r->p->nattrs);
	if (r->pool == NULL)
		r->pool = arena_array(r->a, 1, sizeof(*r->pool));
	at = &r->p->attr[r->p->nattrs++];
	at->pos = v->pos;
	at->target.v = arena_array(r->a, 1, sizeof(*at->target.v));
	at->target.n = 1;
	at->target.v[0].kind = AL_STAR;
	at->target.v[0].text = slice_str("*");
	at->target.v[0].pos = v->pos;
	at->attr.v = arena_array(r->a, 1, sizeof(*at->attr.v));
	at->attr.n = 1;
	at->attr.v[0] = slice_str("disable-ipv4");
}

static size_t
test_dsts(struct reading *r, const struct hj *list, struct test_dst **out)
{
	const struct hj *v;
	size_t n = 0;

	if (list == NULL)
		return 0;
	*out = arena_array(r->a, list->count, sizeof(**out));
	for (v = list->first; v != NULL; v = v->next) {
		if (!want_kind(r, v, HJ_STRING))
			continue;
		(*out)[n].alias.pos = v->pos;
		(*out)[n++].text = v->text;
	}
	return n;
}

/* White space around it is removed in sshTests alone (policy.md 3.1). */
static bool
source(const struct hj *v, bool trim, struct slice *text, struct alias *al)
{
	*text = v == NULL ? slice_str("") : v->text;
	if (trim)
		*text = lex_trim(*text);
	if (v == NULL || !lex_alias(al, *text) || (al->kind == AL_AUTO &&
	    al->ag == AG_NONE))
		return false;
	al->pos = v->pos;
	return true;
}

static void
test_read(struct reading *r, const struct hj *o, struct test *t,
    struct slice *proto)
{
	enum { SRC, PROTO, ACCEPT, ALLOW, DENY, ATTRS, N };
	static const struct field f[N] = {
		[SRC] = { "src", HJ_STRING }, [PROTO] = { "proto", HJ_STRING },
		[ACCEPT] = { "accept", HJ_ARRAY },
		[ALLOW] = { "allow", HJ_ARRAY }, [DENY] = { "deny", HJ_ARRAY },
		[ATTRS] = { "srcPostureAttrs", HJ_OBJECT }
	};
	const struct hj *in[N];

	t->pos = o->pos;
	if (!fields_read(r, o, f, N, in, false))
		return;
	if (in[ACCEPT] != NULL && in[ALLOW] != NULL)
		(void)fault(r, in[ALLOW]->name_pos, "duplicate field: %s",
		    quote(r, in[ALLOW]->name));
	if (in[PROTO] != NULL)
		*proto = in[PROTO]->text;
	t->src_bad = !source(in[SRC], false, &t->src_text, &t->src);
	t->naccept = test_dsts(r, in[ACCEPT] != NULL ? in[ACCEPT] : in[ALLOW],
	    &t->accept);
	t->ndeny = test_dsts(r, in[DENY], &t->deny);
}

void
read_tests(struct reading *r, const struct hj *list)
{
	const struct hj *v;
	size_t i = 0;

	r->p->test = arena_array(r->a, list->count, sizeof(*r->p->test));
	r->test_proto = arena_array(r->a, list->count,
	    sizeof(*r->test_proto));
	for (v = list->first; v != NULL; v = v->next, i++)
		test_read(r, v, &r->p->test[i], &r->test_proto[i]);
	r->p->ntests = i;
}

/* Whether they are aliases is judged later. */
static void
ssh_test_dsts(struct reading *r, const struct hj *list, struct aliases *out)
{
	const struct hj *v;
	struct alias *al;

	if (list == NULL)
		return;
	out->v = arena_array(r->a, list->count, sizeof(*out->v));
	for (v = list->first; v != NULL; v = v->next) {
		if (!want_kind(r, v, HJ_STRING))
			continue;
		al = &out->v[out->n++];
		al->pos = v->pos;
		if (!lex_alias(al, lex_trim(v->text)))
			al->kind = AL_HOST;
	}
}

static void
ssh_test_read(struct reading *r, const struct hj *o, struct ssh_test *t)
{
	enum { SRC, DST, ACCEPT, DENY, CHECK, ATTRS, N };
	static const struct field f[N] = {
		[SRC] = { "src", HJ_STRING }, [DST] = { "dst", HJ_ARRAY },
		[ACCEPT] = { "accept", HJ_ARRAY },
		[DENY] = { "deny", HJ_ARRAY }, [CHECK] = { "check", HJ_ARRAY },
		[ATTRS] = { "srcPostureAttrs", HJ_OBJECT }
	};
	const struct hj *in[N];

	t->pos = o->pos;
	if (!fields_read(r, o, f, N, in, false))
		return;
	t->src_bad = !source(in[SRC], true, &t->src_text, &t->src);
	ssh_test_dsts(r, in[DST], &t->dst);
	(void)strs_read(r, in[ACCEPT], &t->accept, false);
	(void)strs_read(r, in[DENY], &t->deny, false);
	(void)strs_read(r, in[CHECK], &t->check, false);
}

void
read_ssh_tests(struct reading *r, const struct hj *list)
{
	const struct hj *v;
	size_t i = 0;

	r->p->ssh_test = arena_array(r->a, list->count,
	    sizeof(*r->p->ssh_test));
	for (v = list->first; v != NULL; v = v->next)
		ssh_test_read(r, v, &r->p->ssh_test[i++]);
	r->p->nssh_tests = i;
}

/* Names with a prefix, and lists of strings: known, but of no effect. */
static void
named_lists(struct reading *r, const struct hj *o, const char *prefix)
{
	const struct hj *m;
	struct strs list;

	for (m = o->first; m != NULL; m = m->next) {
		if (!slice_prefix(m->name, prefix))
			(void)fault(r, m->name_pos, "a name must start with "
			    "'%s', got: %s", prefix, quote(r, m->name));
		if (m->kind != HJ_NULL && want_kind(r, m, HJ_ARRAY))
			(void)strs_read(r, m, &list, false);
	}
}

void
read_postures(struct reading *r, const struct hj *o)
{
	named_lists(r, o, "posture:");
}

void
read_ipsets(struct reading *r, const struct hj *o)
{
	named_lists(r, o, "ipset:");
}

void
read_default_posture(struct reading *r, const struct hj *v)
{
	(void)refuse(r, v, "defaultSrcPosture");
}

void
read_one_cgnat(struct reading *r, const struct hj *v)
{
	if (v->text.n != 0 && !slice_eqs(v->text, "mac-always") &&
	    !slice_eqs(v->text, "mac-never"))
		(void)fault(r, v->pos, "OneCGNATRoute must be \"\", "
		    "\"mac-always\" or \"mac-never\", got: %s",
		    quote(r, v->text));
}
