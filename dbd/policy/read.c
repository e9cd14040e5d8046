#include <stdlib.h>
#include <string.h>

#include "common/pol.h"
#include "dbd/policy/read_int.h"

#define nitems(x)	(sizeof(x) / sizeof((x)[0]))

/* Known, and of no effect here. */
static void
pass_over(struct reading *r, const struct hj *v)
{
	(void)r;
	(void)v;
}

static void
read_random_port(struct reading *r, const struct hj *v)
{
	r->p->random_port = v->truth;
}

/* The sections; disableIPv4 waits for nodeAttrs. */
static const struct field sections[] = {
	{ "groups", HJ_OBJECT }, { "hosts", HJ_OBJECT },
	{ "tagOwners", HJ_OBJECT }, { "acls", HJ_ARRAY },
	{ "grants", HJ_ARRAY }, { "ssh", HJ_ARRAY },
	{ "autoApprovers", HJ_OBJECT }, { "nodeAttrs", HJ_ARRAY },
	{ "tests", HJ_ARRAY }, { "sshTests", HJ_ARRAY },
	{ "randomizeClientPort", HJ_BOOL }, { "OneCGNATRoute", HJ_STRING },
	{ "derpMap", HJ_OBJECT }, { "postures", HJ_OBJECT },
	{ "defaultSrcPosture", HJ_ARRAY }, { "ipsets", HJ_OBJECT },
	{ "disableIPv4", HJ_BOOL }
};

static void	(*const readers[])(struct reading *, const struct hj *) = {
	read_groups, read_hosts, read_owners, read_acls, read_grants,
	read_ssh, read_approvers, read_attrs, read_tests, read_ssh_tests,
	read_random_port, read_one_cgnat, pass_over, read_postures,
	read_default_posture, read_ipsets, pass_over
};

static void
read_sections(struct reading *r, const struct hj *root)
{
	const struct hj *in[nitems(sections)], *m;
	size_t i;

	if (!fields_read(r, root, sections, nitems(sections), in, false) &&
	    root->kind != HJ_OBJECT)
		return;
	/* In the order of the text. */
	for (m = root->first; m != NULL; m = m->next)
		for (i = 0; i < nitems(sections); i++)
			if (in[i] == m)
				readers[i](r, m);
	read_disable_ipv4(r, in[nitems(sections) - 1]);
}

static int
by_name(const void *x, const void *y)
{
	const struct name *a = x, *b = y;

	return slice_cmp(a->name, b->name);
}

void
names_sort(struct names *n)
{
	if (n->n > 1)
		qsort(n->v, n->n, sizeof(*n->v), by_name);
}

size_t
names_find(const struct names *n, struct slice name)
{
	size_t lo = 0, hi = n->n, mid;
	int c;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		if ((c = slice_cmp(n->v[mid].name, name)) == 0)
			return n->v[mid].at;
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return SIZE_MAX;
}

static void
name_add(struct names *n, struct slice name)
{
	n->v[n->n].name = name;
	n->v[n->n].at = n->n;
	n->n++;
}

static void
index_names(struct reading *r)
{
	struct policy *p = r->p;
	size_t i;

	r->groups.v = arena_array(r->a, p->ngroups, sizeof(struct name));
	for (i = 0; i < p->ngroups; i++)
		name_add(&r->groups, p->group[i].name);
	names_sort(&r->groups);
	r->hosts.v = arena_array(r->a, p->nhosts, sizeof(struct name));
	for (i = 0; i < p->nhosts; i++)
		name_add(&r->hosts, p->host[i].name);
	names_sort(&r->hosts);
	r->owners.v = arena_array(r->a, p->nowners, sizeof(struct name));
	for (i = 0; i < p->nowners; i++)
		name_add(&r->owners, p->owner[i].name);
	names_sort(&r->owners);
}

static struct policy *
refused(struct reading *r, struct pos pos, const char *why)
{
	(void)fault(r, pos, "%s", why);
	return NULL;
}

struct policy *
policy_read(struct arena *a, struct slice text,
    const struct tailnet_info *info, struct pol_error *err)
{
	static const struct pos start = { 1, 1 };
	struct buf why = { 0 };
	struct reading r;
	struct hj *root;

	memset(&r, 0, sizeof(r));
	r.a = a;
	r.info = info;
	r.err = err;
	r.p = arena_alloc(a, sizeof(*r.p));
	if (text.n == 0)
		return r.p;
	if (text.n > POLICY_TEXT_MAX)
		return refused(&r, start, "the policy is longer than "
		    "1 MB (1048576 octets)");
	if ((root = hj_read(a, text, &why, &err->pos)) == NULL) {
		buf_u8(&why, '\0');
		(void)refused(&r, err->pos, (const char *)why.p);
		buf_free(&why);
		return NULL;
	}
	read_sections(&r, root);
	if (r.nfaults == 0) {
		index_names(&r);
		r.who = who_new(a, info);
		check_policy(&r);
	}
	return r.nfaults == 0 ? r.p : NULL;
}
