/* The SSH policy of a class's nodes (policy.md 11.4). */

#include <stdlib.h>
#include <string.h>

#include "worker/tailnet/plan_int.h"
#include "worker/tailnet/tailnets_int.h"

static const char accepts[] = "{\"accept\":true,\"allowAgentForwarding\":true,"
    "\"allowLocalPortForwarding\":true,\"allowRemotePortForwarding\":true}";

/* Rules, comma separated. */
struct rules {
	const struct replica *r;
	const struct pol_ssh *ssh;
	struct buf	*b;
	uint32_t	 n;
};

static void
put_action(struct rules *w)
{
	struct slice url = w->r->tn->conf.server_url;

	if (!w->ssh->check) {
		buf_str(w->b, accepts);
		return;
	}
	while (url.n != 0 && url.p[url.n - 1] == '/')
		url.n--;
	buf_str(w->b, "{\"holdAndDelegate\":\"");
	buf_slice(w->b, url);
	buf_str(w->b, "/machine/ssh/action/$SRC_NODE_ID/to/$DST_NODE_ID"
	    "?local_user=$LOCAL_USER\"}");
}

/* name: of localpart:*@domain, as JSON string; empty: the common users. */
static void
put_rule(struct rules *w, struct slice principals, struct slice name)
{
	if (w->n++ != 0)
		buf_u8(w->b, ',');
	buf_str(w->b, "{\"principals\":");
	buf_slice(w->b, principals);
	buf_str(w->b, ",\"sshUsers\":");
	if (name.n == 0)
		buf_slice(w->b, w->ssh->users);
	else {
		buf_u8(w->b, '{');
		buf_slice(w->b, name);
		buf_u8(w->b, ':');
		buf_slice(w->b, name);
		buf_u8(w->b, '}');
	}
	buf_str(w->b, ",\"action\":");
	put_action(w);
	if (w->ssh->env.n != 0) {
		buf_str(w->b, ",\"acceptEnv\":");
		buf_slice(w->b, w->ssh->env);
	}
	buf_u8(w->b, '}');
}

static struct slice
local_name(const struct pol_ssh *ssh, uint64_t user)
{
	uint32_t lo = 0, hi = ssh->nlocals, mid;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if (ssh->local[mid].user == user)
			return ssh->local[mid].name;
		if (ssh->local[mid].user < user)
			lo = mid + 1;
		else
			hi = mid;
	}
	return slice_mem(NULL, 0);
}

/* An owner's rule, and the one of its local part. */
static void
put_owner(struct rules *w, const struct srctext *t, uint64_t user)
{
	struct slice name = local_name(w->ssh, user);

	if (t->members == 0)
		return;
	put_rule(w, buf_slice_of(&t->text), slice_mem(NULL, 0));
	if (name.n != 0)
		put_rule(w, buf_slice_of(&t->text), name);
}

static int
by_number(const void *va, const void *vb)
{
	uint64_t a = *(const uint64_t *)va, b = *(const uint64_t *)vb;

	return a < b ? -1 : a > b;
}

/* Whose untagged nodes are sources, ascending; some more than once. */
static uint64_t *
owners(struct replica *r, const struct pol_ssh *ssh, size_t *count)
{
	const struct ruleset *rs = r->rules;
	const struct class *c;
	const struct node *n;
	uint64_t *v = NULL;
	size_t k = 0;
	uint32_t i;

	for (i = 0; i < rs->nclasses; i++) {
		c = rs->class[i];
		if (c->nmembers == 0 || c->hits.tagged ||
		    !src_identity(rs->pol, ssh->src, &c->hits))
			continue;
		v = xrealloc(v, k + c->nmembers, sizeof(*v));
		TAILQ_FOREACH(n, &c->members, member)
			v[k++] = n->user->id;
	}
	if (k != 0)
		qsort(v, k, sizeof(*v), by_number);
	*count = k;
	return v;
}

uint32_t
ssh_rule_text(struct replica *r, uint32_t index, struct buf *b)
{
	const struct pol_ssh *ssh = &r->rules->pol->ssh[index];
	struct rules w = { r, ssh, b, 0 };
	struct filters *f = filters_get(r);
	const struct srctext *t;
	uint64_t *user;
	size_t i, n;

	if (!ssh->locals) {
		t = filters_text(r, &f->people[ssh->src]);
		if (t->members != 0)
			put_rule(&w, buf_slice_of(&t->text),
			    slice_mem(NULL, 0));
		return w.n;
	}
	user = owners(r, ssh, &n);
	for (i = 0; i < n; i++)
		if (i == 0 || user[i] != user[i - 1])
			put_owner(&w, filters_text(r, &filters_owner(r,
			    user[i])->people), user[i]);
	free(user);
	t = filters_text(r, &f->tagged[ssh->src]);
	if (t->members != 0)
		put_rule(&w, buf_slice_of(&t->text), slice_mem(NULL, 0));
	return w.n;
}

static struct piece *
add_piece(struct plan *p)
{
	struct piece *e;

	p->piece = xrealloc(p->piece, (size_t)p->npieces + 1,
	    sizeof(p->piece[0]));
	e = &p->piece[p->npieces++];
	memset(e, 0, sizeof(*e));
	return e;
}

/* What was written to the plan's own text since at. */
static void
add_own(struct plan *p, size_t at)
{
	struct piece *e;

	if (p->text.n == at)
		return;
	e = add_piece(p);
	e->at = (uint32_t)at;
	e->n = (uint32_t)(p->text.n - at);
}

/* The rules of the class's owner, whose nodes are all sources. */
static void
owner_piece(struct maker *m, const struct pol_ssh *ssh)
{
	struct rules w = { m->r, ssh, &m->plan->text, 0 };
	size_t at = m->plan->text.n;

	put_owner(&w, maker_text(m, &filters_owner(m->r, m->owner)->people),
	    m->owner);
	add_own(m->plan, at);
}

/*
 * A tagged source may enter itself.  By autogroup:tagged it is there once for
 * each of its tags: see ssh_by_node().
 */
static void
tagged_piece(struct maker *m, const struct pol_ssh *ssh)
{
	struct rules w = { m->r, ssh, &m->plan->text, 0 };
	const struct pol_hits *h = &m->class->hits;
	size_t at = m->plan->text.n;
	struct buf b = { 0 };
	unsigned int k, times = 1;

	if (src_has(m->pol, ssh->src, POL_TAGGED))
		times = m->node->ntags;
	buf_u8(&b, '[');
	for (k = 0; h->ip4 && k < times; k++)
		buf_printf(&b, "{\"nodeIP\":\"%c\"},", PLAN_IP4);
	for (k = 0; h->ip6 && k < times; k++)
		buf_printf(&b, "{\"nodeIP\":\"%c\"},", PLAN_IP6);
	if (b.n > 1) {
		b.p[b.n - 1] = ']';
		put_rule(&w, buf_slice_of(&b), slice_mem(NULL, 0));
	}
	buf_free(&b);
	add_own(m->plan, at);
}

static bool
is_dst(const struct pol_ssh *ssh, const struct pol_hits *h)
{
	uint32_t i;

	for (i = 0; i < ssh->ndst; i++)
		if (POL_HIT(h->at, ssh->dst[i]))
			return true;
	return false;
}

/* What lets a source enter itself: see put_ssh(). */
static bool
is_self_access(const struct pol *p, const struct pol_ssh *ssh,
    const struct pol_hits *h)
{
	return ssh->locals && ssh->ndst != 0 && !is_dst(ssh, h) &&
	    src_identity(p, ssh->src, h);
}

static void
put_ssh(struct maker *m, uint32_t index)
{
	const struct pol_ssh *ssh = &m->pol->ssh[index];
	const struct pol_hits *h = &m->class->hits;
	struct srctext *t;

	if (ssh->self && m->owner != 0 && src_owners(m->pol, ssh->src, h))
		owner_piece(m, ssh);
	if (ssh->ndst == 0)
		return;
	if (is_dst(ssh, h)) {
		t = maker_text(m, &m->f->ssh[index]);
		if (t->members != 0)
			add_piece(m->plan)->shared = srctext_ref(t);
	} else if (is_self_access(m->pol, ssh, h)) {
		if (h->tagged)
			tagged_piece(m, ssh);
		else if (m->owner != 0)
			owner_piece(m, ssh);
	}
}

void
plan_ssh(struct maker *m)
{
	uint32_t i;

	for (i = 0; i < m->pol->nsshs; i++)
		if (m->pol->ssh[i].check)
			put_ssh(m, i);
	for (i = 0; i < m->pol->nsshs; i++)
		if (!m->pol->ssh[i].check)
			put_ssh(m, i);
}

bool
ssh_by_node(const struct pol *p, const struct pol_hits *h)
{
	uint32_t i;

	for (i = 0; h->tagged && i < p->nsshs; i++)
		if (src_has(p, p->ssh[i].src, POL_TAGGED) &&
		    is_self_access(p, &p->ssh[i], h))
			return true;
	return false;
}

bool
plan_by_owner(const struct pol *p, const struct class *c)
{
	uint32_t i;

	if (c->hits.tagged)
		return false;
	if (c->self)
		return true;
	/* A rule with local parts is each owner's own (policy.md 11.4). */
	for (i = 0; i < p->nsshs; i++)
		if (is_self_access(p, &p->ssh[i], &c->hits))
			return true;
	return false;
}
