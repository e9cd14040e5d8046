#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "regress/lib/tnworld.h"

static void
wrong(struct tnworld *w, const char *why)
{
	static char t[5000];

	if (w->why != NULL || why == NULL)
		return;
	(void)snprintf(t, sizeof(t), "%s", why);
	w->why = t;
}

static void
on_out(struct stream *s, struct frame *const *f, size_t n, bool first,
    void *arg)
{
	struct client *c = stream_tag(s);
	struct tnworld *w = arg;
	size_t i;

	if (first != (c->outs == 0))
		wrong(w, "first is wrong");
	c->outs++;
	for (i = 0; i < n; i++)
		buf_put(&c->wire, f[i]->data, f[i]->len);
	if (w->sync)
		tnw_take(c);
}

static void
on_over(struct stream *s, void *arg)
{
	struct client *c = stream_tag(s);
	struct tnworld *w = arg;

	w->overs++;
	c->over = true;
	tnw_close(c);
}

void
tnw_conf(struct tnworld *w, const char *base, const char *search,
    bool taildrop)
{
	struct tn_conf c = { 0 };
	struct buf res = { 0 }, names = { 0 };
	struct r_resolver r = { slice_str("192.0.2.53") };
	struct r_text t = { slice_str(search) };

	c.base_domain = slice_str(base);
	c.magic_dns = true;
	c.keepalive_s = 50;
	c.taildrop = taildrop;
	msg_list_add(&c.resolvers, &res, MR_RESOLVER, &r);
	msg_list_close(&c.resolvers, &res);
	msg_list_add(&c.search, &names, MR_TEXT, &t);
	msg_list_close(&c.search, &names);
	tailnets_conf(w->tn, &c);
	buf_free(&res);
	buf_free(&names);
}

struct tnworld *
tnw_new(uint64_t seed)
{
	struct tn_ops ops = { on_out, on_over, NULL };
	struct tnworld *w;

	w = xcalloc(1, sizeof(*w));
	w->fake = fakeenv_new(seed);
	w->env = fakeenv_env(w->fake);
	ops.arg = w;
	w->tn = tailnets_new(w->env, &ops);
	tnw_conf(w, "ts.example", "corp.example", true);
	return w;
}

struct tnworld *
tnw_published(unsigned int n)
{
	struct tnworld *w = tnw_new(1);
	struct fuser u = { 1, "alice@example.com", 0 };
	struct buf b = { 0 };
	struct fnode f;
	unsigned int i;

	snap_tailnet(&b, "default", 1);
	snap_user(&b, &u);
	for (i = 1; i <= n; i++) {
		fnode_init(&f, i, 1);
		snap_node(&b, &f);
	}
	snap_batch(&b, ++w->seq);
	if (tailnets_snapshot(w->tn, FEED_TAILNET, b.p, b.n) == -1)
		fatalx("tnworld: snapshot refused");
	buf_free(&b);
	return w;
}

void
tnw_free(struct tnworld *w)
{
	unsigned int i;

	for (i = 0; i < TNW_STREAMS; i++)
		tnw_close(&w->client[i]);
	tailnets_free(w->tn);
	fakeenv_free(w->fake);
	free(w);
}

struct client *
tnw_open(struct tnworld *w, uint64_t node, uint32_t key, bool compress,
    bool alone)
{
	struct client *c = NULL;
	struct fnode f;
	struct r_node r;
	struct buf b[FEED_LISTS];
	unsigned int i;

	for (i = 0; i < TNW_STREAMS; i++)
		if (w->client[i].stream == NULL)
			c = &w->client[i];
	if (c == NULL)
		return NULL;
	memset(c, 0, sizeof(*c));
	c->world = w;
	c->conf.tailnet = FEED_TAILNET;
	c->conf.node = node;
	fnode_init(&f, node, 1);
	f.key = key;
	fnode_record(&f, &r, b);
	memcpy(c->conf.node_key, r.node_key, sizeof(c->conf.node_key));
	fnode_record_free(b);
	c->conf.capver = 148;
	c->conf.compress = compress;
	c->conf.omit_peers = alone;
	if ((c->stream = stream_open(w->tn, &c->conf, c)) == NULL)
		return NULL;
	c->view = mapview_new(node, compress);
	return c;
}

void
tnw_close(struct client *c)
{
	if (c->stream != NULL)
		stream_close(c->stream);
	c->stream = NULL;
	mapview_free(c->view);
	c->view = NULL;
	buf_free(&c->wire);
}

void
tnw_take(struct client *c)
{
	if (c->stream == NULL || c->wire.n == 0)
		return;
	wrong(c->world, mapview_input(c->view, c->wire.p, c->wire.n));
	if (!mapview_whole(c->view))
		wrong(c->world, "half a message was given out");
	buf_clear(&c->wire);
	stream_drained(c->stream);
}

const char *
tnw_settle(struct tnworld *w)
{
	unsigned int round, i, quiet = 0;
	bool moved;

	/* Twice the longest tick without anything. */
	for (round = 0; round < 1000 && quiet < 4 && w->why == NULL; round++) {
		fakeenv_advance(w->fake, 300 * US_PER_MS);
		moved = false;
		for (i = 0; i < TNW_STREAMS; i++) {
			if (w->client[i].slow || w->client[i].wire.n == 0)
				continue;
			tnw_take(&w->client[i]);
			moved = true;
		}
		quiet = moved ? 0 : quiet + 1;
	}
	if (round == 1000)
		wrong(w, "it never settles");
	return w->why;
}

const char *
tnw_check(struct client *c)
{
	struct frame *f[8];
	struct mapview *t;
	const char *why = NULL;
	size_t i, n;

	n = map_once(c->world->tn, &c->conf, f, 8);
	if (n == 0)
		return "no one-shot map";
	t = mapview_new(c->conf.node, c->conf.compress);
	for (i = 0; i < n; i++) {
		if (why == NULL)
			why = mapview_input(t, f[i]->data, f[i]->len);
		frame_unref(f[i]);
	}
	if (why == NULL)
		why = mapview_differ(c->view, t);
	wrong(c->world, why);
	mapview_free(t);
	return c->world->why;
}

void
tnw_batch(struct tnworld *w)
{
	if (feed_batch(w->tn, ++w->seq) == -1)
		wrong(w, "batch refused");
}
