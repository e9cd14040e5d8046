#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "dbd/policy/world_int.h"

#define LOCALPART	"localpart:*@"

/* What lets somebody in. */
#define IN_ACCEPT	0x01
#define IN_CHECK	0x02

/* Sources that are alike for one user name: what policy.md 11.4 looks at. */
struct kind {
	uint32_t	 node;		/* one of them */
	uint32_t	 n;
	bool		 local;		/* the name is its owner's own */
};

struct member {			/* devices of one kind and one owner */
	uint32_t	 kind;
	uint64_t	 user;		/* 0: tagged */
	uint32_t	 n;
	uint32_t	 node;
};

struct sources {
	struct kind	*kind;
	uint32_t	 nkinds;
	struct member	*member;	/* by kind, then user */
	uint32_t	 nmembers;
};

struct ask {
	struct world	*w;
	const struct ssh_test *t;
	struct slice	 user;
	struct buf	 local;		/* the same as JSON */
	uint32_t	*class;		/* of each node */
	uint32_t	*source;	/* nodes that are sources */
	uint32_t	 nsources;
	bool		*is_source;
	bool		 strangers;	/* addresses that no node has */
	struct sources	 s;
};

static bool
common_lets(const struct ssh *s, struct slice user)
{
	bool any = false;
	size_t i;

	for (i = 0; i < s->users.n; i++) {
		if (slice_eqs(s->users.v[i], "autogroup:nonroot"))
			any = true;
		else if (slice_eq(s->users.v[i], user) &&
		    !(slice_prefix(user, LOCALPART) &&
		    user.n > strlen(LOCALPART)))
			return true;
	}
	return any && !slice_eqs(user, "root");
}

/* The second rule of one owner: its local part and nothing else. */
static bool
local_lets(const struct pol_ssh *r, uint64_t owner, const struct buf *local)
{
	const struct pol_local *v = r->local;
	uint32_t lo = 0, hi = r->nlocals, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (v[mid].user < owner)
			lo = mid + 1;
		else
			hi = mid;
	}
	return owner != 0 && lo < r->nlocals && v[lo].user == owner &&
	    slice_eq(v[lo].name, buf_slice_of(local));
}

static bool
is_dst(struct world *w, const struct pol_ssh *r, uint32_t node)
{
	const struct pol_hits *h = world_hits(w, node);
	uint32_t i;

	for (i = 0; i < r->ndst; i++)
		if (POL_HIT(h->at, r->dst[i]))
			return true;
	return false;
}

/* How a source and a destination belong together. */
enum kin {
	KIN_NONE, KIN_OWNER, KIN_SELF	/* one user's; one tagged node */
};

/* Does one rule let m, or another of its kind, into n? */
static bool
rule_lets(struct ask *q, const struct pol_ssh *r, uint32_t m, uint32_t n,
    enum kin kin)
{
	struct world *w = q->w;
	const struct ssh *s = &w->e.p->ssh[r->prov.index];
	const struct pol_node *f = &w->topo->node[m].facts;
	bool in;

	if (!world_is_src(w, r->src, m))
		return false;
	in = r->self && kin == KIN_OWNER;
	if (!in && is_dst(w, r, n))
		in = true;
	/* A rule with local parts lets its sources into themselves. */
	if (!in && r->locals && r->ndst != 0 && world_is_src(w, r->src, n))
		in = kin != KIN_NONE;
	if (!in)
		return false;
	return common_lets(s, q->user) || (f->ntags == 0 &&
	    local_lets(r, f->user, &q->local));
}

static unsigned int
lets(struct ask *q, uint32_t m, uint32_t n, enum kin kin)
{
	const struct pol *p = q->w->pol;
	unsigned int got = 0;
	uint32_t i;

	if (q->user.n == 0)
		return 0;
	for (i = 0; i < p->nsshs; i++)
		if (rule_lets(q, &p->ssh[i], m, n, kin))
			got |= p->ssh[i].check ? IN_CHECK : IN_ACCEPT;
	return got;
}

struct sorter {
	uint32_t	 class;
	uint64_t	 local;		/* owner, if the name is its own */
	uint64_t	 user;
	uint32_t	 node;
};

static int
cmp_sorter(const void *a, const void *b)
{
	const struct sorter *x = a, *y = b;

	if (x->class != y->class)
		return x->class < y->class ? -1 : 1;
	if (x->local != y->local)
		return x->local < y->local ? -1 : 1;
	if (x->user != y->user)
		return x->user < y->user ? -1 : 1;
	return x->node < y->node ? -1 : x->node > y->node;
}

static uint64_t
own_name(struct ask *q, uint64_t user)
{
	const struct pol *p = q->w->pol;
	uint32_t i;

	for (i = 0; i < p->nsshs; i++)
		if (local_lets(&p->ssh[i], user, &q->local))
			return user;
	return 0;
}

/* Sorts the sources into kinds, for the name that is asked about. */
static void
sources_make(struct ask *q)
{
	struct sources *s = &q->s;
	struct sorter *v;
	struct member *m;
	uint32_t i;

	v = xcalloc((size_t)q->nsources + 1, sizeof(*v));
	for (i = 0; i < q->nsources; i++) {
		v[i].node = q->source[i];
		v[i].class = q->class[v[i].node];
		if (q->w->topo->node[v[i].node].facts.ntags == 0)
			v[i].user = q->w->topo->node[v[i].node].facts.user;
		if (v[i].user != 0)
			v[i].local = own_name(q, v[i].user);
	}
	qsort(v, q->nsources, sizeof(*v), cmp_sorter);
	s->kind = xcalloc((size_t)q->nsources + 1, sizeof(*s->kind));
	s->member = xcalloc((size_t)q->nsources + 1, sizeof(*s->member));
	s->nkinds = s->nmembers = 0;
	for (i = 0; i < q->nsources; i++) {
		if (i == 0 || v[i].class != v[i - 1].class ||
		    v[i].local != v[i - 1].local)
			s->kind[s->nkinds++] = (struct kind){ v[i].node, 0,
			    v[i].local != 0 };
		s->kind[s->nkinds - 1].n++;
		m = s->nmembers == 0 ? NULL : &s->member[s->nmembers - 1];
		if (m == NULL || m->kind != s->nkinds - 1 ||
		    m->user != v[i].user) {
			m = &s->member[s->nmembers++];
			m->kind = s->nkinds - 1;
			m->user = v[i].user;
			m->node = v[i].node;
		}
		m->n++;
	}
	free(v);
}

/* How many sources of a kind have this owner, and one of them. */
static uint32_t
owned(const struct sources *s, uint32_t kind, uint64_t user, uint32_t *node)
{
	uint32_t lo = 0, hi = s->nmembers, mid;
	const struct member *m;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		m = &s->member[mid];
		if (m->kind < kind || (m->kind == kind && m->user < user))
			lo = mid + 1;
		else
			hi = mid;
	}
	m = &s->member[lo];
	if (lo == s->nmembers || m->kind != kind || m->user != user)
		return 0;
	*node = m->node;
	return m->n;
}

/* What all sources may do on n, and what any of them may. */
struct sum {
	unsigned int	 any;
	bool		 all_in;
	bool		 all_check;
};

static void
sum_add(struct sum *s, unsigned int got)
{
	s->any |= got;
	s->all_in = s->all_in && got != 0;
	s->all_check = s->all_check && (got & IN_CHECK) != 0;
}

static struct sum
sum_of(struct ask *q, uint32_t n)
{
	const struct pol_node *f = &q->w->topo->node[n].facts;
	struct sum s = { 0, true, true };
	uint32_t k, node = 0, mine, self;

	if (q->strangers)
		sum_add(&s, 0);
	for (k = 0; k < q->s.nkinds; k++) {
		mine = f->ntags == 0 && f->user != 0 ?
		    owned(&q->s, k, f->user, &node) : 0;
		if (mine != 0)
			sum_add(&s, lets(q, node, n, KIN_OWNER));
		/* A tagged node may be its own source. */
		self = f->ntags != 0 && q->is_source[n] &&
		    !q->s.kind[k].local &&
		    q->class[q->s.kind[k].node] == q->class[n] ? 1 : 0;
		if (self != 0)
			sum_add(&s, lets(q, n, n, KIN_SELF));
		if (q->s.kind[k].n > mine + self)
			sum_add(&s, lets(q, q->s.kind[k].node, n, KIN_NONE));
	}
	return s;
}

static void
say(struct ask *q, uint32_t n, const char *want, const char *got,
    struct findings *f)
{
	struct slice user = q->user.n == 0 ? slice_str("\"\"") : q->user;

	findings_add(f, "%.*s/%.*s -> %.*s: expected %s, got %s",
	    SLICE_FMT(q->t->src_text), SLICE_FMT(user),
	    SLICE_FMT(q->w->topo->node[n].name), want, got);
}

enum wanted {
	WANT_ACCEPT, WANT_DENY, WANT_CHECK
};

static void
judge(struct ask *q, uint32_t n, enum wanted want, struct findings *f)
{
	struct sum s;

	s = sum_of(q, n);
	if (want == WANT_ACCEPT && !s.all_in)
		say(q, n, "ALLOWED", "DENIED", f);
	else if (want == WANT_DENY && s.any != 0)
		say(q, n, "DENIED", "ALLOWED", f);
	else if (want == WANT_CHECK && !s.all_check)
		say(q, n, "ALLOWED via check", s.all_in ? "ALLOWED via accept" :
		    "DENIED", f);
}

static int
cmp_slice(const void *a, const void *b)
{
	const struct slice *x = a, *y = b;

	return slice_cmp(*x, *y);
}

/* All users of one assertion, sorted, on all nodes of a destination. */
static void
judge_users(struct ask *q, const struct strs *users, enum wanted want,
    const uint32_t *node, uint32_t n, struct findings *f)
{
	struct slice *v;
	struct json j;
	uint32_t k;
	size_t i;

	v = xcalloc(users->n + 1, sizeof(*v));
	if (users->n != 0)
		memcpy(v, users->v, users->n * sizeof(*v));
	if (users->n > 1)
		qsort(v, users->n, sizeof(*v), cmp_slice);
	for (i = 0; i < users->n; i++) {
		q->user = v[i];
		buf_clear(&q->local);
		json_init(&j, &q->local);
		json_str(&j, v[i]);
		sources_make(q);
		for (k = 0; k < n; k++)
			judge(q, node[k], want, f);
		free(q->s.kind);
		free(q->s.member);
	}
	free(v);
}

/* Each node of the items once; others counts addresses of no node. */
static uint32_t
nodes_of(struct world *w, const struct items *v, uint32_t *node, bool *seen,
    bool *strangers)
{
	size_t from, to, k;
	uint32_t i, n = 0, at;

	for (i = 0; i < v->n; i++) {
		world_places(w, &v->v[i], &from, &to);
		if (strangers != NULL && (from == to ||
		    !ip_eq(&v->v[i].lo, &v->v[i].hi)))
			*strangers = true;
		for (k = from; k < to; k++) {
			at = w->place[k].node;
			if (!seen[at])
				node[n++] = at;
			seen[at] = true;
		}
	}
	return n;
}

static void
run_dst(struct ask *q, const struct items *src, const struct alias *dst,
    struct findings *f)
{
	struct world *w = q->w;
	struct items v = { NULL, 0, 0 };
	uint32_t *node, n = 0;
	bool *seen;
	const char *why;

	if (dst->kind == AL_AUTO && dst->ag == AG_SELF)
		world_own(w, src, &v);
	else
		(void)world_items(w, dst, &v, &why);
	node = xcalloc(w->topo->nnodes + 1, sizeof(*node));
	seen = xcalloc(w->topo->nnodes + 1, sizeof(*seen));
	n = nodes_of(w, &v, node, seen, NULL);
	items_free(&v);
	if (n == 0)
		findings_add(f, "%.*s: dst alias %s resolved to no nodes",
		    SLICE_FMT(q->t->src_text), world_quote(w, dst->text));
	judge_users(q, &q->t->accept, WANT_ACCEPT, node, n, f);
	judge_users(q, &q->t->deny, WANT_DENY, node, n, f);
	judge_users(q, &q->t->check, WANT_CHECK, node, n, f);
	free(node);
	free(seen);
}

static void
run_dsts(struct ask *q, const struct items *src, struct findings *f)
{
	size_t i;

	q->source = xcalloc(q->w->topo->nnodes + 1, sizeof(*q->source));
	q->is_source = xcalloc(q->w->topo->nnodes + 1, sizeof(*q->is_source));
	q->strangers = false;
	q->nsources = nodes_of(q->w, src, q->source, q->is_source,
	    &q->strangers);
	for (i = 0; i < q->t->dst.n; i++)
		run_dst(q, src, &q->t->dst.v[i], f);
	free(q->source);
	free(q->is_source);
}

static void
run_ssh_test(struct ask *q, struct findings *f)
{
	const struct ssh_test *t = q->t;
	struct world *w = q->w;
	struct items src = { NULL, 0, 0 };
	const char *text = world_quote(w, t->src_text), *why;

	if (t->src_bad)
		findings_add(f, "%.*s: failed to resolve source %s: invalid "
		    "alias: invalid alias format: %s", SLICE_FMT(t->src_text),
		    text, text);
	else if (!world_items(w, &t->src, &src, &why))
		findings_add(f, "%.*s: failed to resolve source %s: "
		    "resolving: %s %s", SLICE_FMT(t->src_text), text, why,
		    world_quote(w, t->src.text));
	else if (src.n == 0)
		findings_add(f, "%.*s: source %s resolved to no IP addresses",
		    SLICE_FMT(t->src_text), text);
	else if (t->accept.n == 0 && t->deny.n == 0 && t->check.n == 0)
		findings_add(f, "%.*s: no accept, deny, or check assertions "
		    "specified", SLICE_FMT(t->src_text));
	else
		run_dsts(q, &src, f);
	items_free(&src);
}

void
ssh_tests_run(struct world *w, struct findings *f)
{
	struct ask q;
	size_t i;

	if (w->e.p->nssh_tests == 0)
		return;
	memset(&q, 0, sizeof(q));
	q.w = w;
	q.class = world_classes(w);
	for (i = 0; i < w->e.p->nssh_tests; i++) {
		q.t = &w->e.p->ssh_test[i];
		run_ssh_test(&q, f);
	}
	buf_free(&q.local);
}
