#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "regress/lib/plankit.h"
#include "worker/tailnet/tailnets_int.h"

static void
batch(struct plankit *k)
{
	if (feed_batch(k->tn, ++k->seq) == -1)
		fatalx("plankit: batch refused");
}

struct plankit *
plk_new(void)
{
	struct tn_conf c = { 0 };
	struct buf snap = { 0 };
	struct plankit *k;
	struct fuser u;

	k = xcalloc(1, sizeof(*k));
	k->fake = fakeenv_new(1);
	k->tn = tailnets_new(fakeenv_env(k->fake), feed_deaf());
	c.server_url = slice_str("https://control.example/");
	c.base_domain = slice_str("ts.example");
	tailnets_conf(k->tn, &c);
	pk_init(&k->pol);
	snap_tailnet(&snap, "default", 2);
	memset(&u, 0, sizeof(u));
	for (u.id = 1; u.id <= 4; u.id++) {
		(void)strlcpy(u.name, "x@example.com", sizeof(u.name));
		u.name[0] = (char)('a' + u.id - 1);
		snap_user(&snap, &u);
	}
	snap_policy(&snap, pk_pol(&k->pol), 1000);
	snap_batch(&snap, ++k->seq);
	if (tailnets_snapshot(k->tn, FEED_TAILNET, snap.p, snap.n) == -1)
		fatalx("plankit: snapshot refused");
	buf_free(&snap);
	pk_free(&k->pol);
	pk_init(&k->pol);
	k->r = idmap_get(&k->tn->by_id, FEED_TAILNET);
	return k;
}

void
plk_free(struct plankit *k)
{
	pk_free(&k->pol);
	tailnets_free(k->tn);
	fakeenv_free(k->fake);
	buf_free(&k->text);
	free(k);
}

void
plk_policy(struct plankit *k)
{
	if (feed_policy(k->tn, pk_pol(&k->pol), 1000) == -1)
		fatalx("plankit: policy refused");
	batch(k);
	pk_free(&k->pol);
	pk_init(&k->pol);
}

void
plk_router(struct plankit *k, uint64_t id, uint64_t user, unsigned int first,
    unsigned int tags, unsigned int routes)
{
	struct fnode f;

	fnode_init(&f, id, user);
	f.tag_from = first;
	f.tags = tags;
	f.advertised = f.approved = routes;
	f.online = true;
	if (feed_node(k->tn, &f) == -1)
		fatalx("plankit: node refused");
	batch(k);
}

void
plk_node(struct plankit *k, uint64_t id, uint64_t user, unsigned int first,
    unsigned int tags)
{
	plk_router(k, id, user, first, tags, 0);
}

void
plk_gone(struct plankit *k, uint64_t id)
{
	if (feed_node_del(k->tn, id) == -1)
		fatalx("plankit: removal refused");
	batch(k);
}

static struct node *
node_of(struct plankit *k, uint64_t id)
{
	struct node *n = idmap_get(&k->r->nodes, id);

	if (n == NULL)
		fatalx("plankit: no node %llu", (unsigned long long)id);
	return n;
}

struct plan *
plk_plan(struct plankit *k, uint64_t id)
{
	return plan_of(k->r, node_of(k, id));
}

/* Without compression all is text. */
static const char *
ask(struct plankit *k, const struct plan *was, uint64_t id, bool ssh)
{
	struct node *n = node_of(k, id);
	struct plan *p = plan_of(k->r, n);
	struct compose c;

	compose_init(&c, k->tn->pack, NULL, false);
	if (ssh)
		plan_put_ssh(k->r, p, n, &c);
	else
		plan_put_filters(k->r, was, p, n, &c);
	plan_unref(p);
	buf_u8(&c.text, 0);
	buf_free(&k->text);
	k->text = c.text;
	return (const char *)k->text.p;
}

const char *
plk_filters(struct plankit *k, const struct plan *was, uint64_t id)
{
	return ask(k, was, id, false);
}

const char *
plk_ssh(struct plankit *k, uint64_t id)
{
	return ask(k, NULL, id, true);
}
