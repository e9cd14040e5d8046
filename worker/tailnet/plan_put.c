/* Plans as members of a message. */

#include <inttypes.h>
#include <stdlib.h>

#include "worker/tailnet/plan_int.h"
#include "worker/tailnet/tailnets_int.h"

/* Text with the node's own addresses in it. */
static void
put_own(struct buf *b, struct slice t, const struct node *n)
{
	char a[IP_TEXT];
	size_t i, from = 0;

	for (i = 0; i < t.n; i++) {
		if (t.p[i] != PLAN_IP4 && t.p[i] != PLAN_IP6)
			continue;
		buf_put(b, t.p + from, i - from);
		buf_put(b, a, ip_print(a, t.p[i] == PLAN_IP4 ? &n->ip4 :
		    &n->ip6));
		from = i + 1;
	}
	buf_put(b, t.p + from, t.n - from);
}

static void
put_shared(struct compose *c, struct srctext *t)
{
	struct slice text = buf_slice_of(&t->text);
	struct frame *f = NULL;

	if (c->compress && text.n >= COMPOSE_LEAST)
		f = srctext_frame(t, c->pack);
	compose_shared(c, f, text);
}

static void
put_rule(const struct plan *p, const struct rule *r, const struct node *n,
    struct compose *c)
{
	buf_printf(&c->text, "\"%016" PRIx64 "\":[{\"SrcIPs\":", r->name);
	put_shared(c, r->src);
	put_own(&c->text, slice_mem(p->text.p + r->at, r->n), n);
	buf_u8(&c->text, ']');
}

/* What was told, by name; the map's values are rules. */
static void
by_name(const struct plan *p, struct idmap *m)
{
	uint32_t i;

	for (i = 0; p != NULL && i < p->nrules; i++)
		idmap_put(m, p->rule[i].name, &p->rule[i]);
}

void
plan_put_filters(struct replica *r, const struct plan *was,
    const struct plan *now, const struct node *n, struct compose *c)
{
	struct idmap old = { 0 };
	const struct rule *e, *o;
	const char *sep = "";
	uint32_t i;

	(void)r;
	buf_u8(&c->text, '{');
	/* A chunk named base is what is told when there are no rules. */
	if (was == NULL)
		buf_str(&c->text, now->nrules == 0 ?
		    "\"*\":null,\"base\":[]" : "\"*\":null");
	else if (now->nrules == 0 || was->nrules == 0)
		buf_str(&c->text, now->nrules == 0 ? "\"base\":[]" :
		    "\"base\":null");
	if (was == NULL || now->nrules == 0 || was->nrules == 0)
		sep = ",";
	by_name(was, &old);
	for (i = 0; i < now->nrules; i++) {
		e = &now->rule[i];
		o = idmap_get(&old, e->name);
		idmap_del(&old, e->name);
		if (o != NULL && src_hash_eq(o->hash, e->hash))
			continue;
		buf_str(&c->text, sep);
		put_rule(now, e, n, c);
		sep = ",";
	}
	for (i = 0; was != NULL && i < was->nrules; i++) {
		if (idmap_get(&old, was->rule[i].name) == NULL)
			continue;
		buf_printf(&c->text, "%s\"%016" PRIx64 "\":null", sep,
		    was->rule[i].name);
		sep = ",";
	}
	buf_u8(&c->text, '}');
	idmap_free(&old);
}

void
plan_put_ssh(struct replica *r, const struct plan *p, const struct node *n,
    struct compose *c)
{
	const struct piece *e;
	uint32_t i;

	(void)r;
	buf_str(&c->text, "{\"rules\":[");
	for (i = 0; i < p->npieces; i++) {
		if (i != 0)
			buf_u8(&c->text, ',');
		e = &p->piece[i];
		if (e->shared != NULL)
			put_shared(c, e->shared);
		else
			put_own(&c->text, slice_mem(p->text.p + e->at, e->n),
			    n);
	}
	buf_str(&c->text, "]}");
}
