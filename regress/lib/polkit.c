#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "regress/lib/polkit.h"

struct polkit *
polkit_new(void)
{
	struct polkit *k;

	k = xcalloc(1, sizeof(*k));
	k->domain[0] = slice_str("example.com");
	k->info.user = k->user;
	k->info.domain = k->domain;
	k->info.ndomains = 1;
	k->topo.node = k->node;
	(void)prefix_parse(&k->topo.range[0], slice_str("100.64.0.0/10"));
	(void)prefix_parse(&k->topo.range[1], slice_str("fd7a:115c:a1e0::/48"));
	k->err.text = &k->text;
	k->err.detail = &k->detail;
	return k;
}

static void
forget(struct polkit *k)
{
	pol_free(k->pol);
	k->pol = NULL;
	buf_clear(&k->blob);
	buf_clear(&k->text);
	buf_clear(&k->detail);
	buf_clear(&k->out);
	memset(&k->err.pos, 0, sizeof(k->err.pos));
}

void
polkit_free(struct polkit *k)
{
	forget(k);
	buf_free(&k->blob);
	buf_free(&k->text);
	buf_free(&k->detail);
	buf_free(&k->out);
	free(k);
}

uint64_t
polkit_user(struct polkit *k, const char *name, uint8_t role)
{
	struct pol_user *u = &k->user[k->info.nusers++];

	u->id = k->info.nusers;
	u->name = u->email = slice_str(name);
	u->role = role;
	return u->id;
}

/* The next word of s, which moves on; empty at the end. */
static struct slice
word(const char **s)
{
	struct slice w;

	*s += strspn(*s, " ");
	w = slice_mem(*s, strcspn(*s, " "));
	*s += w.n;
	return w;
}

size_t
polkit_node(struct polkit *k, const char *name, uint64_t user,
    const char *tags, const char *routes)
{
	size_t i = k->topo.nnodes++;
	struct test_node *n = &k->node[i];
	struct slice w;
	char ip[64];

	n->id = i + 1;
	n->name = slice_str(name);
	n->facts.user = user;
	(void)snprintf(ip, sizeof(ip), "100.64.0.%zu", i + 1);
	(void)ip_parse(&n->facts.ip4, slice_str(ip));
	(void)snprintf(ip, sizeof(ip), "fd7a:115c:a1e0::%zx", i + 1);
	(void)ip_parse(&n->facts.ip6, slice_str(ip));
	n->facts.tag = k->tag[i];
	while ((w = word(&tags)).n != 0)
		k->tag[i][n->facts.ntags++] = w;
	n->facts.route = k->route[i];
	while ((w = word(&routes)).n != 0)
		(void)prefix_parse(&k->route[i][n->facts.nroutes++], w);
	return i;
}

struct polkit *
polkit_five(const char *routes)
{
	struct polkit *k = polkit_new();

	(void)polkit_user(k, "a@example.com", 0);
	(void)polkit_user(k, "b@example.com", 0);
	(void)polkit_node(k, "a1", 1, "", "");
	(void)polkit_node(k, "a2", 1, "", "");
	(void)polkit_node(k, "b1", 2, "", "");
	(void)polkit_node(k, "srv", 0, "tag:srv", "");
	(void)polkit_node(k, "router", 0, "tag:router", routes);
	return k;
}

int
polkit_compile(struct polkit *k, const char *text, bool tests)
{
	const char *why;
	int rc;

	forget(k);
	rc = policy_compile(slice_str(text), &k->info, tests ? &k->topo : NULL,
	    &k->blob, &k->err, &k->tests_failed);
	if (rc == 0 || k->tests_failed)
		k->pol = pol_load(k->blob.p, k->blob.n, &why);
	return rc;
}

void
polkit_hits(struct polkit *k, size_t node, struct pol_hits *h)
{
	hits_init(h, k->pol);
	hits_of(h, k->pol, &k->node[node].facts, k->topo.range);
}

static const char *
text_of(struct buf *b)
{
	buf_u8(b, '\0');
	b->n--;
	return (const char *)b->p;
}

const char *
polkit_why(struct polkit *k)
{
	return text_of(&k->text);
}

const char *
polkit_detail(struct polkit *k)
{
	return text_of(&k->detail);
}
