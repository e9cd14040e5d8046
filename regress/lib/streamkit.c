#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "regress/lib/streamkit.h"

static uint64_t
w_now(void *arg)
{
	struct sw_world *w = arg;

	return w->now;
}

static int64_t
w_wall(void *arg)
{
	struct sw_world *w = arg;

	return (int64_t)(w->now + 1790000000 * US_PER_S);
}

static void
w_random(void *arg, void *p, size_t n)
{
	struct sw_world *w = arg;

	memset(p, 0, n);
	memcpy(p, &w->draw, n < 4 ? n : 4);
	w->draw += 1000003;
}

static void
w_end(void *arg, int code, const char *why)
{
	(void)arg;
	(void)code;
	fail_msg("%s", why);
}

static const struct env_ops w_ops = { w_now, w_wall, w_random, w_end };

static void
forget(struct sw_got *g)
{
	size_t i;

	for (i = 0; i < g->n; i++)
		frame_unref(g->frame[i]);
	g->n = 0;
}

static void
on_out(struct stream *s, struct frame *const *f, size_t n, bool first,
    void *arg)
{
	struct sw_world *w = arg;
	struct sw_got *g = stream_tag(s);
	const char *why;
	size_t i;

	w->now += w->cost;
	forget(g);
	assert_in_range(n, 1, FRAMES);
	for (i = 0; i < n; i++) {
		g->frame[i] = frame_ref(f[i]);
		why = mapview_input(g->view, f[i]->data, f[i]->len);
		if (why != NULL)
			fail_msg("%s", why);
	}
	g->n = n;
	assert_true(mapview_whole(g->view));
	assert_int_equal(first, g->outs == 0);
	g->outs++;
	g->firsts += first;
	if (w->close_in_out) {
		stream_close(s);
		g->stream = NULL;
	}
}

static void
on_over(struct stream *s, void *arg)
{
	struct sw_world *w = arg;
	struct sw_got *g = stream_tag(s);

	w->overs++;
	stream_close(s);
	g->stream = NULL;
}

void
sw_pass(struct sw_world *w, uint64_t us)
{
	uint64_t end = w->now + us;

	env_run(w->env);
	while (env_next(w->env) <= end) {
		if (env_next(w->env) > w->now)
			w->now = env_next(w->env);
		env_run(w->env);
	}
	if (w->now < end)
		w->now = end;
}

void
sw_configure(struct sw_world *w, const char *search, uint32_t keepalive,
    bool quiet)
{
	struct tn_conf c = { 0 };
	struct r_text t = { slice_str(search) };
	struct buf b = { 0 };

	c.base_domain = slice_str("ts.example.");
	c.magic_dns = true;
	c.keepalive_s = keepalive;
	c.disable_logtail = quiet;
	msg_list_add(&c.search, &b, MR_TEXT, &t);
	msg_list_close(&c.search, &b);
	tailnets_conf(w->tn, &c);
	buf_free(&b);
}

struct sw_world *
sw_new(unsigned int n)
{
	struct tn_ops ops = { on_out, on_over, NULL };
	struct fuser u = { 1, "alice@example.com", 0 };
	struct sw_world *w = xcalloc(1, sizeof(*w));
	struct buf b = { 0 };
	struct fnode f;
	unsigned int i;

	ops.arg = w;
	w->now = 1000 * US_PER_S;
	w->env = env_new(&w_ops, w);
	w->tn = tailnets_new(w->env, &ops);
	sw_configure(w, "corp.example", 50, false);
	snap_tailnet(&b, "default", 1);
	snap_user(&b, &u);
	for (i = 1; i <= n; i++) {
		fnode_init(&f, i, 1);
		f.online = true;
		snap_node(&b, &f);
	}
	snap_batch(&b, ++w->seq);
	assert_int_equal(tailnets_snapshot(w->tn, FEED_TAILNET, b.p, b.n), 0);
	buf_free(&b);
	return w;
}

int
sw_teardown(void **state)
{
	struct sw_world *w = *state;
	unsigned int i;

	for (i = 0; i < CLIENTS; i++) {
		if (w->got[i].stream != NULL)
			stream_close(w->got[i].stream);
		forget(&w->got[i]);
		mapview_free(w->got[i].view);
	}
	tailnets_free(w->tn);
	assert_int_equal(env_timers(w->env), 0);
	env_free(w->env);
	assert_int_equal(frame_bytes(), 0);
	free(w);
	return 0;
}

struct sw_got *
sw_open_as(struct sw_world *w, unsigned int slot, uint64_t node,
    bool compress, bool alone)
{
	struct stream_conf sc = { 0 };
	struct sw_got *g = &w->got[slot];

	sc.tailnet = FEED_TAILNET;
	sc.node = node;
	sc.capver = 148;
	sc.compress = compress;
	sc.omit_peers = alone;
	memset(sc.node_key, (int)node, sizeof(sc.node_key));
	g->view = mapview_new(node, compress);
	g->stream = stream_open(w->tn, &sc, g);
	assert_non_null(g->stream);
	return g;
}

struct sw_got *
sw_open(struct sw_world *w, uint64_t node)
{
	return sw_open_as(w, (unsigned int)node, node, true, false);
}

struct sw_got *
sw_join(struct sw_world *w, uint64_t node)
{
	struct sw_got *g = sw_open(w, node);

	sw_pass(w, 0);
	assert_int_equal(g->outs, 1);
	stream_drained(g->stream);
	return g;
}

void
sw_put(struct sw_world *w, struct fnode *f)
{
	assert_int_equal(feed_node(w->tn, f), 0);
}

void
sw_batch(struct sw_world *w)
{
	assert_int_equal(feed_batch(w->tn, ++w->seq), 0);
}

void
sw_endpoint(struct sw_world *w, uint64_t id, uint32_t seed)
{
	struct fnode f;

	fnode_init(&f, id, 1);
	f.online = true;
	f.endpoint = seed;
	sw_put(w, &f);
	sw_batch(w);
}
