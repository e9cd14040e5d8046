#include <string.h>

#include "dbd/policy/read_int.h"

/* Of a test: its number, and what its lines begin with. */
struct subject {
	size_t		 number;
	const struct test *test;
	const char	*what;		/* "accept" or "deny" */
};

static bool
bad_dst(struct reading *r, const struct subject *s, const struct test_dst *d,
    const char *why, struct slice about)
{
	const char *dst = quote(r, d->text);
	char number[4];

	return fault_test(r, d->alias.pos, "%.*s%s%s%s: error testing %s: "
	    "invalid destination %s: %s%s", SLICE_FMT(s->test->src_text),
	    s->test->proto == 0 ? "" : " (",
	    s->test->proto == 0 ? "" : lex_proto_name(s->test->proto, number),
	    s->test->proto == 0 ? "" : ")", dst, dst, why,
	    about.p == NULL ? "" : quote(r, about));
}

static bool
one_address(const struct prefix *p)
{
	return p->addr.family == 0 ||
	    p->bits == (p->addr.family == 4 ? 32 : 128);
}

static bool
check_test_dst(struct reading *r, const struct subject *s, struct test_dst *d)
{
	const struct slice none = { NULL, 0 };
	struct slice host, port;
	struct ports ports;
	struct pos pos = d->alias.pos;
	const char *why, *text = quote(r, d->text);

	if (!lex_hostport(r->a, d->text, &host, &port, &why) ||
	    !lex_ports(r->a, port, &ports, &why))
		return bad_dst(r, s, d, why, none);
	if (!lex_alias(&d->alias, host))
		return bad_dst(r, s, d, "invalid alias format: ", host);
	d->alias.pos = pos;
	alias_resolve(r, &d->alias);
	if (d->alias.kind == AL_AUTO && d->alias.ag == AG_NONE)
		return bad_dst(r, s, d, "invalid autogroup: got ", host);
	if (d->alias.kind == AL_AUTO && d->alias.ag == AG_INTERNET)
		return fault_test(r, pos, "test %zu, %s %s: "
		    "autogroup:internet not valid as a test destination",
		    s->number, s->what, text);
	if (ports.n != 1 || ports.v[0].first != ports.v[0].last)
		return fault_test(r, pos, "test %zu, %s %s: test destination "
		    "port must be a single port", s->number, s->what, text);
	if (d->alias.kind == AL_STAR ||
	    (d->alias.kind == AL_PREFIX && d->alias.slash) ||
	    (d->alias.kind == AL_HOST && !one_address(&d->alias.prefix)))
		return fault_test(r, pos, "test %zu, %s %s: test destination "
		    "must be a single host, not a CIDR range", s->number,
		    s->what, text);
	d->port = ports.v[0].first;
	return true;
}

static void
check_test_proto(struct reading *r, size_t number, struct test *t,
    struct slice proto)
{
	char name[4];

	if (proto.n == 0)
		return;
	if (lex_proto(proto, true, &t->proto) != PROTO_OK)
		(void)fault_test(r, t->pos, "test %zu: test protocol must be "
		    "tcp, udp, sctp, or empty: %s", number, quote(r, proto));
	else if (t->proto != 6 && t->proto != 17 && t->proto != 132)
		(void)fault_test(r, t->pos, "test %zu: test protocol must be "
		    "tcp, udp, sctp, or empty: \"%s\"", number,
		    lex_proto_name(t->proto, name));
}

static void
check_test(struct reading *r, size_t number, struct test *t)
{
	struct subject s = { number, t, "accept" };
	size_t i;

	alias_resolve(r, &t->src);
	if (t->naccept == 0 && t->ndeny == 0)
		(void)fault_test(r, t->pos, "test %zu: test entry must have "
		    "at least one of \"accept\" or \"deny\"", number);
	check_test_proto(r, number, t, r->test_proto[number]);
	for (i = 0; i < t->naccept; i++)
		(void)check_test_dst(r, &s, &t->accept[i]);
	s.what = "deny";
	for (i = 0; i < t->ndeny; i++)
		(void)check_test_dst(r, &s, &t->deny[i]);
}

void
check_tests(struct reading *r)
{
	size_t i;

	for (i = 0; i < r->p->ntests; i++)
		check_test(r, i, &r->p->test[i]);
}

static bool
disallowed(const struct alias *al)
{
	switch (al->kind) {
	case AL_PREFIX:
	case AL_HOST:
		return !one_address(&al->prefix);
	case AL_AUTO:
		return al->ag == AG_INTERNET;
	default:
		return false;
	}
}

/* What is no alias, or names nothing, is a test that fails. */
static void
check_ssh_test_dst(struct reading *r, size_t number, struct alias *al)
{
	struct alias again = *al;

	alias_resolve(r, al);
	if (!lex_alias(&again, al->text))
		(void)fault_test(r, al->pos, "sshTest %zu: invalid alias "
		    "format: %s", number, quote(r, al->text));
	else if (disallowed(al))
		(void)fault(r, al->pos, "SSH tests dst contains disallowed "
		    "element %s", quote(r, al->text));
	else if (al->kind == AL_TAG &&
	    names_find(&r->owners, al->text) == SIZE_MAX)
		(void)fault(r, al->pos, "SSH tests dst contains unknown "
		    "tag %s", quote(r, al->text));
}

void
check_ssh_tests(struct reading *r)
{
	struct ssh_test *t;
	size_t i, k;

	for (i = 0; i < r->p->nssh_tests; i++) {
		t = &r->p->ssh_test[i];
		alias_resolve(r, &t->src);
		if (t->src_text.n == 0)
			(void)fault_test(r, t->pos, "sshTest %zu: SSH tests "
			    "entry must have a non-empty src", i);
		if (t->dst.n == 0)
			(void)fault_test(r, t->pos, "sshTest %zu: SSH tests "
			    "entry must have at least one dst", i);
		for (k = 0; k < t->dst.n; k++)
			check_ssh_test_dst(r, i, &t->dst.v[k]);
	}
}
