#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dbd/policy/lex.h"
#include "dbd/policy/world_int.h"

/* A destination of a test, made ready for many sources. */
struct target {
	const struct test_dst *dst;
	const char	*why;		/* it means nothing: the reason */
	bool		 empty;
	uint64_t	*from;		/* selectors whose nodes may come */
	const struct pol_row **own;	/* rows of autogroup:self */
	size_t		 nown;
	struct users	 user;		/* owners of what it names */
	bool		 allowed;
};

static bool
proto_ok(uint8_t row, uint8_t test)
{
	if (row == 0)
		return true;
	if (test != 0)
		return row == test;
	return row == 6 || row == 17 || row == 1 || row == 58;
}

static bool
port_ok(const struct pol_dst *d, uint16_t port)
{
	uint32_t i;

	for (i = 0; i < d->nports; i++)
		if (d->port[i].first <= port && port <= d->port[i].last)
			return true;
	return false;
}

/* Takes note of the rows that lead there. */
static void
target_rows(struct world *w, const uint64_t *sels, uint8_t proto,
    struct target *t)
{
	const struct pol *p = w->pol;
	const struct pol_row *r;
	const struct pol_src *s;
	uint32_t i, k;

	for (i = k = 0; i < p->nrows; i++)
		k += (p->row[i].flags & POL_ROW_SELF) != 0;
	t->own = xcalloc((size_t)k + 1, sizeof(struct pol_row *));
	for (i = 0; i < p->nrows; i++) {
		r = &p->row[i];
		if ((r->flags & (POL_ROW_VIA | POL_ROW_APP)) != 0 ||
		    !proto_ok(r->proto, proto))
			continue;
		if ((r->flags & POL_ROW_SELF) != 0) {
			if (port_ok(r->dst, t->dst->port))
				t->own[t->nown++] = r;
			continue;
		}
		for (k = 0; k < r->ndst; k++)
			if (POL_HIT(sels, r->dst[k].sel) &&
			    port_ok(&r->dst[k], t->dst->port))
				break;
		if (k == r->ndst)
			continue;
		s = &p->src[r->src];
		for (k = 0; k < s->n; k++)
			t->from[s->sel[k] / 64] |=
			    UINT64_C(1) << s->sel[k] % 64;
	}
}

static void
target_make(struct world *w, const struct items *src,
    const struct test_dst *dst, uint8_t proto, struct target *t)
{
	struct items v = { NULL, 0, 0 };
	uint64_t *sels;
	const uint64_t *one;
	size_t words = POL_WORDS(w->pol), k;
	uint32_t i;

	t->dst = dst;
	t->allowed = true;
	t->from = xcalloc(words + 1, sizeof(*t->from));
	if (dst->alias.kind == AL_AUTO && dst->alias.ag == AG_SELF)
		world_own(w, src, &v);
	else if (!world_items(w, &dst->alias, &v, &t->why))
		return;
	t->empty = v.n == 0;
	if (t->empty)
		return;
	sels = xcalloc(words + 1, sizeof(*sels));
	for (i = 0; i < v.n; i++) {
		one = world_sels(w, &v.v[i]);
		for (k = 0; k < words; k++)
			sels[k] |= one[k];
	}
	world_users(w, &v, &t->user);
	target_rows(w, sels, proto, t);
	free(sels);
	items_free(&v);
}

/* A device within the item reaches the target as one of its own user. */
static bool
own_reaches(struct world *w, const struct item *it, const struct target *t)
{
	const struct pol_node *f;
	size_t k, to, i;

	if (t->nown == 0)
		return false;
	world_places(w, it, &k, &to);
	for (; k < to; k++) {
		f = &w->topo->node[w->place[k].node].facts;
		if (f->ntags != 0 || f->user == 0 ||
		    !users_have(&t->user, f->user))
			continue;
		for (i = 0; i < t->nown; i++)
			if (world_is_src(w, t->own[i]->src, w->place[k].node))
				return true;
	}
	return false;
}

static bool
any_common(const uint64_t *a, const uint64_t *b, size_t words)
{
	size_t i;

	for (i = 0; i < words; i++)
		if ((a[i] & b[i]) != 0)
			return true;
	return false;
}

static const char *
proto_text(const struct test *t, char buf[16])
{
	char name[4];

	buf[0] = '\0';
	if (t->proto != 0)
		(void)snprintf(buf, 16, " (%s)", lex_proto_name(t->proto,
		    name));
	return buf;
}

static void
say_broken(struct world *w, const struct test *t, const struct target *g,
    struct findings *f)
{
	char proto[16];
	const char *dst = world_quote(w, g->dst->text);

	(void)proto_text(t, proto);
	if (g->why != NULL)
		findings_add(f, "%.*s%s: error testing %s: resolving "
		    "destination: %s %s", SLICE_FMT(t->src_text), proto, dst,
		    g->why, world_quote(w, g->dst->alias.text));
	else if (g->empty)
		findings_add(f, "%.*s%s: error testing %s: destination "
		    "resolved to no IP addresses: %s",
		    SLICE_FMT(t->src_text), proto, dst,
		    world_quote(w, g->dst->alias.text));
}

static void
say_wrong(const struct test *t, const struct target *g, bool want,
    struct findings *f)
{
	char proto[16];

	if (g->why != NULL || g->empty || g->allowed == want)
		return;
	findings_add(f, "%.*s -> %.*s%s: expected %s, got %s",
	    SLICE_FMT(t->src_text), SLICE_FMT(g->dst->text),
	    proto_text(t, proto), want ? "ALLOWED" : "DENIED",
	    want ? "DENIED" : "ALLOWED");
}

static void
run_targets(struct world *w, const struct items *src, const struct test *t,
    struct findings *f)
{
	size_t n = t->naccept + t->ndeny, i, words = POL_WORDS(w->pol);
	const uint64_t *sels;
	struct target *v;
	uint32_t k;

	v = xcalloc(n + 1, sizeof(*v));
	for (i = 0; i < n; i++)
		target_make(w, src, i < t->naccept ? &t->accept[i] :
		    &t->deny[i - t->naccept], t->proto, &v[i]);
	for (k = 0; k < src->n; k++) {
		sels = world_sels(w, &src->v[k]);
		for (i = 0; i < n; i++)
			if (v[i].allowed && !any_common(sels, v[i].from,
			    words) && !own_reaches(w, &src->v[k], &v[i]))
				v[i].allowed = false;
	}
	for (i = 0; i < n; i++)
		say_broken(w, t, &v[i], f);
	for (i = 0; i < n; i++)
		say_wrong(t, &v[i], i < t->naccept, f);
	for (i = 0; i < n; i++) {
		free(v[i].from);
		free(v[i].own);
		users_free(&v[i].user);
	}
	free(v);
}

static void
run_test(struct world *w, const struct test *t, struct findings *f)
{
	struct items src = { NULL, 0, 0 };
	char proto[16];
	const char *why;

	(void)proto_text(t, proto);
	if (t->src_bad)
		findings_add(f, "%.*s%s: failed to resolve source %s: invalid "
		    "alias: invalid alias format: %s", SLICE_FMT(t->src_text),
		    proto, world_quote(w, t->src_text),
		    world_quote(w, t->src_text));
	else if (!world_items(w, &t->src, &src, &why))
		findings_add(f, "%.*s%s: failed to resolve source %s: "
		    "resolving: %s %s", SLICE_FMT(t->src_text), proto,
		    world_quote(w, t->src_text), why,
		    world_quote(w, t->src.text));
	else if (src.n == 0)
		findings_add(f, "%.*s%s: source %s resolved to no IP "
		    "addresses", SLICE_FMT(t->src_text), proto,
		    world_quote(w, t->src_text));
	else
		run_targets(w, &src, t, f);
	items_free(&src);
}

bool
policy_test(const struct policy *p, const struct pol *pol,
    const struct tailnet_info *info, const struct topology *topo,
    struct pol_error *err)
{
	struct findings f;
	struct arena *a;
	struct world w;
	size_t i;

	if (p->ntests == 0 && p->nssh_tests == 0)
		return true;
	memset(&f, 0, sizeof(f));
	f.detail = err->detail;
	a = arena_new(POLICY_ARENA);
	world_init(&w, a, p, pol, info, topo);
	for (i = 0; i < p->ntests; i++)
		run_test(&w, &p->test[i], &f);
	ssh_tests_run(&w, &f);
	world_free(&w);
	arena_free(a);
	if (f.n == 0)
		return true;
	buf_str(err->text, "test(s) failed");
	findings_end(&f);
	return false;
}
