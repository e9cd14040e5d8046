/* When streams are told what, and that they share what they are told. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <json.h>

#include "common/log.h"
#include "regress/lib/mapview.h"
#include "regress/lib/tnfeed.h"
#include "worker/tailnet/derpmap.h"
#include "worker/tailnet/dns.h"
#include "worker/tailnet/tailnet.h"

/* A world whose clock moves while maps are given out, too. */
#define CLIENTS		40
#define FRAMES		400

struct got {
	struct frame	*frame[FRAMES];	/* of the last message */
	size_t		 n;
	unsigned int	 outs;
	unsigned int	 firsts;
	struct stream	*stream;
	struct mapview	*view;
};

static struct {
	uint64_t	 now;
	uint64_t	 cost;		/* of each out() */
	struct env	*env;
	struct tailnets	*tn;
	struct got	 got[CLIENTS];
	unsigned int	 overs;
	bool		 close_in_out;
	uint64_t	 seq;
	uint32_t	 draw;
} w;

static uint64_t
w_now(void *arg)
{
	(void)arg;
	return w.now;
}

static int64_t
w_wall(void *arg)
{
	(void)arg;
	return (int64_t)(w.now + 1790000000 * US_PER_S);
}

static void
w_random(void *arg, void *p, size_t n)
{
	(void)arg;
	memset(p, 0, n);
	memcpy(p, &w.draw, n < 4 ? n : 4);
	w.draw += 1000003;
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
forget(struct got *g)
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
	struct got *g = stream_tag(s);
	const char *why;
	size_t i;

	(void)arg;
	w.now += w.cost;
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
	if (w.close_in_out) {
		stream_close(s);
		g->stream = NULL;
	}
}

static void
on_over(struct stream *s, void *arg)
{
	struct got *g = stream_tag(s);

	(void)arg;
	w.overs++;
	stream_close(s);
	g->stream = NULL;
}

/* Runs what is due now; then moves the clock and runs what falls due. */
static void
pass(uint64_t us)
{
	uint64_t end = w.now + us;

	env_run(w.env);
	while (env_next(w.env) <= end) {
		if (env_next(w.env) > w.now)
			w.now = env_next(w.env);
		env_run(w.env);
	}
	if (w.now < end)
		w.now = end;
}

static void
configure(const char *search, uint32_t keepalive, bool quiet)
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
	tailnets_conf(w.tn, &c);
	buf_free(&b);
}

/* n nodes of one user, all published and online. */
static int
setup_n(unsigned int n)
{
	struct tn_ops ops = { on_out, on_over, NULL };
	struct fuser u = { 1, "alice@example.com" };
	struct buf b = { 0 };
	struct fnode f;
	unsigned int i;

	memset(&w, 0, sizeof(w));
	w.now = 1000 * US_PER_S;
	w.env = env_new(&w_ops, NULL);
	w.tn = tailnets_new(w.env, &ops);
	configure("corp.example", 50, false);
	snap_tailnet(&b, "default", 1);
	snap_user(&b, &u);
	for (i = 1; i <= n; i++) {
		fnode_init(&f, i, 1);
		f.online = true;
		snap_node(&b, &f);
	}
	snap_batch(&b, ++w.seq);
	assert_int_equal(tailnets_snapshot(w.tn, FEED_TAILNET, b.p, b.n), 0);
	buf_free(&b);
	return 0;
}

static int
setup(void **state)
{
	(void)state;
	return setup_n(30);
}

static int
setup_many(void **state)
{
	(void)state;
	return setup_n(400);
}

static int
teardown(void **state)
{
	unsigned int i;

	(void)state;
	for (i = 0; i < CLIENTS; i++) {
		if (w.got[i].stream != NULL)
			stream_close(w.got[i].stream);
		forget(&w.got[i]);
		mapview_free(w.got[i].view);
	}
	tailnets_free(w.tn);
	assert_int_equal(env_timers(w.env), 0);
	env_free(w.env);
	assert_int_equal(frame_bytes(), 0);
	return 0;
}

static struct got *
open_as(unsigned int slot, uint64_t node, bool compress, bool alone)
{
	struct stream_conf sc = { 0 };
	struct got *g = &w.got[slot];

	sc.tailnet = FEED_TAILNET;
	sc.node = node;
	sc.capver = 148;
	sc.compress = compress;
	sc.omit_peers = alone;
	memset(sc.node_key, (int)node, sizeof(sc.node_key));
	g->view = mapview_new(node, compress);
	g->stream = stream_open(w.tn, &sc, g);
	assert_non_null(g->stream);
	return g;
}

static struct got *
open_node(uint64_t node)
{
	return open_as((unsigned int)node, node, true, false);
}

/* Opens it and takes the first map. */
static struct got *
join(uint64_t node)
{
	struct got *g = open_node(node);

	pass(0);
	assert_int_equal(g->outs, 1);
	stream_drained(g->stream);
	return g;
}

static void
put(struct fnode *f)
{
	assert_int_equal(feed_node(w.tn, f), 0);
}

static void
batch(void)
{
	assert_int_equal(feed_batch(w.tn, ++w.seq), 0);
}

/* A node's endpoints are others. */
static void
endpoint(uint64_t id, uint32_t seed)
{
	struct fnode f;

	fnode_init(&f, id, 1);
	f.online = true;
	f.endpoint = seed;
	put(&f);
	batch();
}

static void
t_first_map(void **state)
{
	struct got *g = open_node(1);

	(void)state;
	/* Trap 21: a change before it is in it, and goes not ahead of it. */
	endpoint(2, 500);
	assert_int_equal(g->outs, 0);
	pass(0);
	assert_int_equal(g->outs, 1);
	assert_int_equal(g->firsts, 1);
	assert_int_equal(mapview_peers(g->view), 29);
	assert_non_null(strstr(json_object_to_json_string(
	    mapview_peer(g->view, 2)), "198.51.1.244:41641"));
	stream_drained(g->stream);
	pass(10 * US_PER_S);
	assert_int_equal(g->outs, 1);
}

static void
t_at_once_when_idle(void **state)
{
	struct got *a = join(1), *b = join(2);

	(void)state;
	pass(10 * US_PER_S);
	endpoint(3, 500);
	assert_int_equal(a->outs, 1);
	pass(0);
	assert_int_equal(a->outs, 2);
	assert_int_equal(b->outs, 2);
	/* One encoding for both. */
	assert_int_equal(a->n, 1);
	assert_ptr_equal(a->frame[0], b->frame[0]);
	stream_drained(a->stream);
	stream_drained(b->stream);
	/* The next waits for the tick: two changes, one message. */
	endpoint(3, 501);
	pass(20 * US_PER_MS);
	endpoint(4, 502);
	pass(29 * US_PER_MS);
	assert_int_equal(a->outs, 2);
	pass(1 * US_PER_MS);
	assert_int_equal(a->outs, 3);
	assert_int_equal(mapview_count(a->view)->patched, 3);
}

static void
t_tick_costs(void **state)
{
	struct got *a = join(1), *b = join(2);

	(void)state;
	pass(10 * US_PER_S);
	w.cost = 10 * US_PER_MS;	/* 20 ms: the tick is 200 ms */
	endpoint(3, 500);
	pass(20 * US_PER_MS);
	assert_int_equal(a->outs + b->outs, 4);
	w.cost = 0;
	stream_drained(a->stream);
	stream_drained(b->stream);
	endpoint(3, 501);
	pass(170 * US_PER_MS);
	assert_int_equal(a->outs, 2);
	pass(10 * US_PER_MS);
	assert_int_equal(a->outs, 3);
	stream_drained(a->stream);
	stream_drained(b->stream);
	/* Never longer than half a second. */
	pass(10 * US_PER_S);
	w.cost = 60 * US_PER_MS;
	endpoint(3, 502);
	pass(120 * US_PER_MS);
	assert_int_equal(a->outs + b->outs, 8);
	w.cost = 0;
	stream_drained(a->stream);
	stream_drained(b->stream);
	endpoint(3, 503);
	pass(370 * US_PER_MS);
	assert_int_equal(a->outs, 4);
	pass(10 * US_PER_MS);
	assert_int_equal(a->outs, 5);
}

static void
t_drained_first(void **state)
{
	struct got *a = join(1), *b = join(2);

	(void)state;
	pass(10 * US_PER_S);
	endpoint(3, 500);
	pass(1 * US_PER_S);
	stream_drained(b->stream);
	endpoint(4, 501);
	pass(1 * US_PER_S);
	stream_drained(b->stream);
	endpoint(3, 502);
	pass(1 * US_PER_S);
	assert_int_equal(b->outs, 4);
	assert_int_equal(a->outs, 2);
	/* What it has missed is one message. */
	stream_drained(a->stream);
	pass(1 * US_PER_S);
	assert_int_equal(a->outs, 3);
	assert_int_equal(mapview_count(a->view)->patched, 3);
	assert_int_equal(mapview_count(b->view)->patched, 3);
	/* Twice is fine. */
	stream_drained(a->stream);
	stream_drained(a->stream);
}

static void
t_own_change(void **state)
{
	struct got *a = join(1), *b = join(2), *c = join(3);
	struct fnode f;

	(void)state;
	/* Its own endpoints are no news to it. */
	endpoint(1, 500);
	pass(1 * US_PER_S);
	assert_int_equal(a->outs, 1);
	assert_int_equal(b->outs, 2);
	stream_drained(b->stream);
	stream_drained(c->stream);
	/* Among others' it is left out; the others share. */
	fnode_init(&f, 1, 1);
	f.online = true;
	f.endpoint = 501;
	put(&f);
	fnode_init(&f, 5, 1);
	put(&f);
	batch();
	pass(1 * US_PER_S);
	assert_int_equal(a->outs, 2);
	assert_ptr_equal(b->frame[0], c->frame[0]);
	assert_ptr_not_equal(a->frame[0], b->frame[0]);
	assert_int_equal(mapview_count(a->view)->patched, 1);
	assert_int_equal(mapview_count(b->view)->patched, 3);
	/* Its name: its own Node, and the peer for the others. */
	stream_drained(a->stream);
	stream_drained(b->stream);
	stream_drained(c->stream);
	fnode_init(&f, 1, 1);
	f.online = true;
	f.endpoint = 501;
	(void)snprintf(f.name, sizeof(f.name), "other");
	put(&f);
	batch();
	pass(1 * US_PER_S);
	assert_int_equal(a->outs, 3);
	assert_string_equal(json_object_get_string(json_object_object_get(
	    mapview_self(a->view), "Name")), "other.ts.example.");
	assert_int_equal(mapview_count(a->view)->changed, 0);
	assert_int_equal(mapview_count(b->view)->changed, 1);
	assert_int_equal(mapview_count(b->view)->self, 1);
}

/* Trap 78: the removal is a message before the one with who follows. */
static void
t_removal_first(void **state)
{
	struct got *a = join(1);
	struct fnode f;

	(void)state;
	assert_int_equal(feed_node_del(w.tn, 7), 0);
	fnode_init(&f, 77, 1);
	f.addr = 7;
	(void)snprintf(f.name, sizeof(f.name), "host-7");
	put(&f);
	batch();
	pass(0);
	assert_int_equal(a->outs, 3);
	assert_non_null(strstr(mapview_text(a->view), "\"PeersChanged\""));
	assert_null(strstr(mapview_text(a->view), "PeersRemoved"));
	/* Trap 79: with the profile. */
	assert_non_null(strstr(mapview_text(a->view), "\"UserProfiles\""));
	assert_int_equal(mapview_count(a->view)->removed, 1);
	assert_null(mapview_peer(a->view, 7));
	assert_non_null(mapview_peer(a->view, 77));
}

/* Trap 26: what can't be cleared is removed and comes back. */
static void
t_reset(void **state)
{
	struct got *a = join(1);
	struct fnode f;

	(void)state;
	fnode_init(&f, 7, 1);
	f.online = true;
	f.derp = 0;
	f.nendpoints = 0;
	put(&f);
	batch();
	pass(0);
	assert_int_equal(a->outs, 3);
	assert_int_equal(mapview_count(a->view)->removed, 1);
	assert_null(json_object_object_get(mapview_peer(a->view, 7),
	    "HomeDERP"));
	/* Endpoints are cleared by saying so. */
	assert_non_null(strstr(mapview_text(a->view), "\"Endpoints\":[]"));
}

static void
t_empty_endpoints(void **state)
{
	struct got *a = join(1);
	struct fnode f;

	(void)state;
	fnode_init(&f, 7, 1);
	f.online = true;
	f.nendpoints = 0;
	put(&f);
	batch();
	pass(0);
	assert_non_null(strstr(mapview_text(a->view),
	    "\"PeersChangedPatch\":[{\"NodeID\":7,\"Endpoints\":[]}]"));
	assert_int_equal(json_object_array_length(json_object_object_get(
	    mapview_peer(a->view, 7), "Endpoints")), 0);
}

/* Trap 28, and presence at all. */
static void
t_presence(void **state)
{
	struct got *a = join(1);
	struct fnode f;

	(void)state;
	assert_int_equal(feed_online(w.tn, 7, false, 1790000500), 0);
	pass(0);
	assert_non_null(strstr(mapview_text(a->view),
	    "{\"NodeID\":7,\"Online\":false,"
	    "\"LastSeen\":\"2026-09-21T14:21:40Z\"}"));
	stream_drained(a->stream);
	pass(1 * US_PER_S);
	assert_int_equal(feed_online(w.tn, 7, true, 0), 0);
	pass(0);
	assert_non_null(strstr(mapview_text(a->view),
	    "{\"NodeID\":7,\"Online\":true}"));
	stream_drained(a->stream);
	pass(1 * US_PER_S);
	/* A new disco key and offline at once: two patches. */
	fnode_init(&f, 7, 1);
	f.disco = 1234;
	f.online = false;
	f.last_seen = 1790000600;
	put(&f);
	batch();
	pass(0);
	assert_int_equal(mapview_count(a->view)->patched, 4);
	assert_non_null(strstr(mapview_text(a->view),
	    "\"},{\"NodeID\":7,\"Online\":false,"));
}

static void
t_nothing(void **state)
{
	struct got *a = join(1);
	struct fuser u = { 2, "bob" };
	struct fnode f;

	(void)state;
	pass(10 * US_PER_S);
	/* A node that is not published, an owner whom nobody sees. */
	fnode_init(&f, 70, 1);
	f.published = false;
	put(&f);
	assert_int_equal(feed_user(w.tn, &u), 0);
	batch();
	pass(1 * US_PER_S);
	f.endpoint = 700;
	put(&f);
	batch();
	pass(1 * US_PER_S);
	assert_int_equal(a->outs, 1);
	assert_null(mapview_peer(a->view, 70));
	f.published = true;
	put(&f);
	batch();
	pass(1 * US_PER_S);
	assert_int_equal(a->outs, 2);
	assert_non_null(mapview_peer(a->view, 70));
	/* Gone before it was told. */
	stream_drained(a->stream);
	assert_int_equal(feed_node_del(w.tn, 7777), 0);
	batch();
	pass(1 * US_PER_S);
	assert_int_equal(a->outs, 2);
}

static void
t_profile(void **state)
{
	struct got *a = join(1);
	struct fuser u = { 1, "alice@example.org" };

	(void)state;
	assert_int_equal(feed_user(w.tn, &u), 0);
	batch();
	pass(0);
	assert_int_equal(a->outs, 2);
	assert_string_equal(json_object_get_string(json_object_object_get(
	    mapview_profile(a->view, 1), "LoginName")), "alice@example.org");
	assert_null(strstr(mapview_text(a->view), "PeersChanged"));
}

static void
t_keepalive(void **state)
{
	struct got *a = join(1), *b, *c = open_as(3, 3, false, false);
	struct frame *first = NULL;
	uint64_t t0 = w.now, gap;
	unsigned int i, n;

	(void)state;
	pass(0);
	stream_drained(c->stream);
	for (i = 0; i < 30; i++) {
		n = a->outs;
		t0 = w.now;
		while (a->outs == n)
			pass(100 * US_PER_MS);
		gap = w.now - t0;
		assert_in_range(gap, 50 * US_PER_S, 61 * US_PER_S);
		assert_string_equal(mapview_text(a->view),
		    "{\"KeepAlive\": true}");
		/* The same octets each time: clients cache them. */
		if (first == NULL)
			first = frame_ref(a->frame[0]);
		assert_ptr_equal(a->frame[0], first);
		stream_drained(a->stream);
		if (c->outs > 1)
			stream_drained(c->stream);
	}
	assert_int_equal(first->len - 4, first->data[0]);
	frame_unref(first);
	assert_true(mapview_count(c->view)->keepalives > 25);
	assert_int_equal(c->frame[0]->len, 4 + 19);
	/* Something else puts it off; a busy stream gets none. */
	b = join(2);
	for (i = 0; i < 10; i++) {
		pass(40 * US_PER_S);
		endpoint(9, 100 + i);
		pass(0);
		stream_drained(b->stream);
	}
	assert_int_equal(mapview_count(b->view)->keepalives, 0);
	endpoint(9, 200);
	pass(0);
	pass(300 * US_PER_S);
	assert_int_equal(mapview_count(b->view)->keepalives, 0);
	stream_drained(b->stream);
	pass(2 * US_PER_S);
	assert_int_equal(mapview_count(b->view)->keepalives, 1);
}

static void
t_over(void **state)
{
	struct got *a = join(1), *b = open_node(2);

	(void)state;
	assert_int_equal(feed_node_del(w.tn, 1), 0);
	assert_int_equal(feed_node_del(w.tn, 2), 0);
	batch();
	assert_int_equal(w.overs, 0);	/* never from within */
	pass(0);
	assert_int_equal(w.overs, 2);
	assert_null(a->stream);
	assert_null(b->stream);
	/* Who had a map is told to log in again; who had none is not. */
	assert_int_equal(b->outs, 0);
	assert_int_equal(a->outs, 2);
	assert_string_equal(json_object_get_string(json_object_object_get(
	    mapview_self(a->view), "KeyExpiry")), "1970-01-01T00:00:01Z");
	assert_int_equal(tailnets_streams(w.tn, FEED_TAILNET), 0);
}

/* The same when dbd's word comes another way: once, and before the close. */
static void
t_farewell(void **state)
{
	struct got *a = join(1), *b = join(2), *c = open_node(3);

	(void)state;
	stream_farewell(a->stream);
	assert_int_equal(a->outs, 2);
	assert_string_equal(json_object_get_string(json_object_object_get(
	    mapview_self(a->view), "KeyExpiry")), "1970-01-01T00:00:01Z");
	stream_close(a->stream);
	a->stream = NULL;
	/* Its removal was first. */
	assert_int_equal(feed_node_del(w.tn, 2), 0);
	batch();
	stream_farewell(b->stream);
	assert_int_equal(b->outs, 2);
	stream_farewell(b->stream);
	assert_int_equal(b->outs, 2);
	stream_farewell(c->stream);
	assert_int_equal(c->outs, 0);
	pass(0);
	assert_int_equal(w.overs, 1);
	assert_int_equal(b->outs, 2);
}

/* Who falls behind during a flush waits for the next one. */
static void
t_flush_ends(void **state)
{
	struct got *a = join(1), *b = join(2), *c = join(3);

	(void)state;
	pass(10 * US_PER_S);
	w.cost = 4 * US_PER_MS;
	endpoint(9, 100);
	env_run(w.env);			/* two are served */
	assert_int_equal(a->outs + b->outs + c->outs, 5);
	w.cost = 0;
	stream_drained(a->stream);
	stream_drained(b->stream);
	endpoint(9, 101);
	pass(0);
	assert_int_equal(a->outs + b->outs + c->outs, 6);
	pass(1 * US_PER_S);
	assert_int_equal(a->outs + b->outs + c->outs, 8);
}

static void
t_over_closed_before(void **state)
{
	struct got *a = join(1);

	(void)state;
	assert_int_equal(feed_node_del(w.tn, 1), 0);
	batch();
	stream_drained(a->stream);
	stream_close(a->stream);
	a->stream = NULL;
	pass(1 * US_PER_S);
	assert_int_equal(w.overs, 0);
}

static void
t_close_within_out(void **state)
{
	struct got *a = join(1), *b = join(2), *c;

	(void)state;
	pass(1 * US_PER_S);
	w.close_in_out = true;
	/* Two messages were due. */
	assert_int_equal(feed_node_del(w.tn, 8), 0);
	endpoint(9, 100);
	c = open_node(3);
	pass(0);
	assert_int_equal(a->outs, 2);
	assert_int_equal(b->outs, 2);
	assert_int_equal(c->outs, 1);
	assert_null(c->stream);
	c = open_node(4);
	w.close_in_out = false;
	pass(0);
	stream_drained(c->stream);
	w.close_in_out = true;
	pass(70 * US_PER_S);	/* a keep-alive */
	assert_null(c->stream);
}

static void
t_policy(void **state)
{
	struct got *a = join(1), *b = join(2);

	(void)state;
	assert_int_equal(feed_tailnet(w.tn, "default", 0), 0);
	assert_int_equal(feed_node_del(w.tn, 8), 0);
	batch();
	pass(0);
	/* Trap 23: removed one by one; the filter is in the same message. */
	assert_int_equal(mapview_peers(a->view), 0);
	assert_int_equal(mapview_count(a->view)->removed, 29);
	assert_int_equal(mapview_count(a->view)->full, 1);
	assert_string_equal(json_object_to_json_string_ext(mapview_get(a->view,
	    "PacketFilters"), JSON_C_TO_STRING_PLAIN), "{\"base\":[]}");
	stream_drained(a->stream);
	stream_drained(b->stream);
	/* Nothing of others reaches them now. */
	endpoint(9, 100);
	assert_int_equal(feed_node_del(w.tn, 10), 0);
	batch();
	pass(1 * US_PER_S);
	assert_int_equal(mapview_peers(a->view), 0);
	assert_int_equal(mapview_count(a->view)->removed, 29);
	assert_int_equal(feed_tailnet(w.tn, "default", 1), 0);
	batch();
	pass(1 * US_PER_S);
	assert_int_equal(mapview_peers(a->view), 27);
	assert_int_equal(mapview_count(a->view)->full, 2);
	assert_null(strstr(json_object_to_json_string_ext(mapview_get(b->view,
	    "PacketFilters"), JSON_C_TO_STRING_PLAIN), "[]}"));
}

static void
t_alone(void **state)
{
	struct got *a = open_as(1, 1, true, true);
	struct fnode f;

	(void)state;
	pass(0);
	assert_int_equal(mapview_peers(a->view), 0);
	assert_non_null(strstr(json_object_to_json_string(mapview_get(a->view,
	    "PacketFilters")), "65535"));
	stream_drained(a->stream);
	endpoint(9, 100);
	pass(1 * US_PER_S);
	assert_int_equal(a->outs, 1);
	configure("other.example", 50, false);
	pass(1 * US_PER_S);
	assert_int_equal(a->outs, 2);
	stream_drained(a->stream);
	fnode_init(&f, 1, 1);
	f.expiry = 1890000000;
	put(&f);
	batch();
	pass(1 * US_PER_S);
	assert_int_equal(mapview_count(a->view)->self, 2);
	assert_int_equal(mapview_peers(a->view), 0);
}

/* Removals beyond what is remembered: the whole map, or the end. */
static void
t_floor(void **state)
{
	struct got *a = join(1), *b = join(2);
	struct fnode f;
	unsigned int i;

	(void)state;
	endpoint(9, 100);
	pass(0);
	stream_drained(b->stream);
	for (i = 0; i < 1200; i++) {
		fnode_init(&f, 1000 + i, 1);
		put(&f);
		batch();
		assert_int_equal(feed_node_del(w.tn, 1000 + i), 0);
		batch();
		if (i % 100 == 0) {
			pass(1 * US_PER_S);
			stream_drained(b->stream);
		}
	}
	pass(1 * US_PER_S);
	assert_int_equal(mapview_count(b->view)->full, 1);
	assert_int_equal(a->outs, 2);
	stream_drained(a->stream);
	pass(1 * US_PER_S);
	assert_int_equal(mapview_count(a->view)->full, 2);
	assert_int_equal(mapview_count(a->view)->removed, 0);
	assert_int_equal(mapview_peers(a->view), 29);
	/* And then it is in step again. */
	stream_drained(a->stream);
	endpoint(9, 101);
	pass(1 * US_PER_S);
	assert_int_equal(mapview_count(a->view)->full, 2);
	/* With nobody left a map could not say so. */
	stream_drained(b->stream);
	for (i = 2; i <= 30; i++)
		assert_int_equal(feed_node_del(w.tn, i), 0);
	batch();
	for (i = 0; i < 1200; i++) {
		fnode_init(&f, 3000 + i, 1);
		put(&f);
		batch();
		assert_int_equal(feed_node_del(w.tn, 3000 + i), 0);
		batch();
	}
	w.overs = 0;
	stream_drained(a->stream);
	pass(1 * US_PER_S);
	assert_null(a->stream);
}

static void
t_told_of_conf(void **state)
{
	static const char map[] = "{\"Regions\":{\"900\":{\"RegionID\":900,"
	    "\"Nodes\":[{\"Name\":\"a\",\"RegionID\":900,\"HostName\":"
	    "\"derp.example\"}]}}}";
	static const char rec[] = "[{\"name\":\"x.example\",\"type\":\"A\","
	    "\"value\":\"192.0.2.1\"}]";
	struct got *a = join(1), *b = join(2);
	char why[200];

	(void)state;
	tailnets_derpmap(w.tn, derpmap_parse(map, strlen(map), "m", why,
	    sizeof(why)));
	pass(1 * US_PER_S);
	assert_int_equal(a->outs, 2);
	assert_ptr_equal(a->frame[0], b->frame[0]);
	assert_int_equal(mapview_count(a->view)->derp, 1);
	stream_drained(a->stream);
	stream_drained(b->stream);
	/* The same again is no news, nor is its end. */
	tailnets_derpmap(w.tn, derpmap_parse(map, strlen(map), "m", why,
	    sizeof(why)));
	pass(1 * US_PER_S);
	tailnets_derpmap(w.tn, NULL);
	pass(1 * US_PER_S);
	tailnets_records(w.tn, NULL);
	configure("corp.example", 50, false);
	pass(1 * US_PER_S);
	assert_int_equal(a->outs, 2);
	tailnets_records(w.tn, records_parse(rec, strlen(rec), "r", why,
	    sizeof(why)));
	pass(1 * US_PER_S);
	assert_int_equal(a->outs, 3);
	assert_ptr_equal(a->frame[0], b->frame[0]);
	assert_non_null(strstr(mapview_text(a->view), "192.0.2.1"));
	stream_drained(a->stream);
	stream_drained(b->stream);
	configure("corp.example", 50, true);
	pass(1 * US_PER_S);
	assert_int_equal(a->outs, 4);
	assert_non_null(strstr(mapview_text(a->view),
	    "\"Debug\":{\"DisableLogTail\":true}"));
	/* Another tailnet's domain is below the base domain. */
	stream_drained(a->stream);
	assert_int_equal(feed_tailnet(w.tn, "blue", 1), 0);
	batch();
	pass(1 * US_PER_S);
	assert_string_equal(json_object_get_string(mapview_get(a->view,
	    "Domain")), "blue.ts.example");
	assert_int_equal(mapview_count(a->view)->full, 2);
}

/* A clean shutdown of a long wait: work is cut into turns. */
static void
t_turns(void **state)
{
	unsigned int i, n = 0;

	(void)state;
	for (i = 1; i <= 20; i++)
		(void)open_node(i);
	assert_true(tailnets_backlog(w.tn) >= 20 * 100);
	w.cost = 2 * US_PER_MS;
	env_run(w.env);
	for (i = 1; i <= 20; i++)
		n += w.got[i].outs;
	assert_int_equal(n, 3);		/* 5 ms are over */
	for (i = 0; i < 10; i++)
		env_run(w.env);
	for (i = 1, n = 0; i <= 20; i++) {
		n += w.got[i].outs;
		stream_drained(w.got[i].stream);
	}
	assert_int_equal(n, 20);
	assert_int_equal(tailnets_backlog(w.tn), 0);
	endpoint(25, 100);
	assert_true(tailnets_backlog(w.tn) > 0);
	env_run(w.env);
	for (i = 1, n = 0; i <= 20; i++)
		n += w.got[i].outs;
	assert_int_equal(n, 23);
	pass(0);
	for (i = 1, n = 0; i <= 20; i++)
		n += w.got[i].outs;
	w.cost = 0;
	pass(1 * US_PER_S);
	for (i = 1, n = 0; i <= 20; i++)
		n += w.got[i].outs;
	assert_int_equal(n, 40);
}

/* Much news: frames of parts are shared, but the one with the own node. */
static void
t_long(void **state)
{
	struct got *a = join(1), *b = join(2), *c = join(3), *d, *e;
	struct fnode f;
	unsigned int i, same = 0;

	(void)state;
	d = open_as(4, 4, false, false);
	pass(0);
	stream_drained(d->stream);
	for (i = 2; i <= 400; i++) {
		fnode_init(&f, i, 1);
		f.online = true;
		f.endpoint = 1000 + i;
		(void)snprintf(f.os, sizeof(f.os), "other");
		if (i != 3)
			put(&f);
	}
	batch();
	pass(1 * US_PER_S);
	assert_int_equal(mapview_count(a->view)->changed, 398);
	assert_int_equal(mapview_count(b->view)->changed, 397);
	assert_int_equal(mapview_count(d->view)->changed, 397);
	assert_true(a->n > 4);
	assert_int_equal(a->n, b->n);
	assert_int_equal(a->n, c->n);
	for (i = 1; i < a->n; i++) {
		assert_ptr_equal(a->frame[i], c->frame[i]);
		same += a->frame[i] == b->frame[i];
	}
	assert_int_equal(same, a->n - 2);
	for (i = 1; i <= 4; i++)
		stream_drained(w.got[i].stream);
	/* Own alone in one list, and many in the other. */
	e = join(5);
	for (i = 6; i <= 300; i++) {
		fnode_init(&f, i, 1);
		f.online = true;
		f.endpoint = 2000 + i;
		(void)snprintf(f.os, sizeof(f.os), "other");
		put(&f);
	}
	fnode_init(&f, 5, 1);
	f.online = true;
	f.endpoint = 1005;
	(void)snprintf(f.os, sizeof(f.os), "third");
	put(&f);
	batch();
	pass(1 * US_PER_S);
	assert_int_equal(mapview_count(e->view)->patched, 295);
	assert_int_equal(mapview_count(e->view)->changed, 0);
	assert_int_equal(mapview_count(a->view)->changed, 399);
	for (i = 1; i <= 5; i++)
		stream_drained(w.got[i].stream);
	/* Many removals. */
	for (i = 6; i <= 400; i++)
		assert_int_equal(feed_node_del(w.tn, i), 0);
	batch();
	pass(1 * US_PER_S);
	assert_int_equal(mapview_peers(a->view), 4);
	assert_int_equal(mapview_peers(d->view), 4);
}

/* Over a thousand removals are a message of several frames, too. */
static void
t_long_removal(void **state)
{
	struct fnode f;
	struct got *a, *b;
	unsigned int i;

	(void)state;
	for (i = 401; i <= 2500; i++) {
		fnode_init(&f, i, 1);
		put(&f);
	}
	batch();
	a = join(1);
	b = join(39);
	assert_int_equal(mapview_peers(a->view), 2499);
	assert_int_equal(feed_tailnet(w.tn, "default", 0), 0);
	batch();
	pass(1 * US_PER_S);
	assert_int_equal(mapview_peers(a->view), 0);
	assert_int_equal(mapview_peers(b->view), 0);
	assert_int_equal(mapview_count(a->view)->removed, 2499);
	assert_int_equal(mapview_count(b->view)->removed, 2499);
}

/* Those who join during a tick share what they are told at its end. */
static void
t_joiners_share(void **state)
{
	struct got *a = join(1), *g[4];
	unsigned int i;

	(void)state;
	pass(1 * US_PER_S);
	endpoint(20, 100);		/* begins a tick */
	pass(0);
	stream_drained(a->stream);
	for (i = 0; i < 4; i++) {
		endpoint(21 + i, 100);
		g[i] = open_node(2 + i);
		pass(1 * US_PER_MS);
		stream_drained(g[i]->stream);
	}
	pass(1 * US_PER_S);
	for (i = 0; i < 4; i++) {
		assert_int_equal(g[i]->outs, 2);
		assert_ptr_equal(g[i]->frame[0], a->frame[0]);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(t)	cmocka_unit_test_setup_teardown(t, setup, teardown)
#define M(t)	cmocka_unit_test_setup_teardown(t, setup_many, teardown)
		T(t_first_map), T(t_at_once_when_idle), T(t_tick_costs),
		T(t_drained_first), T(t_own_change), T(t_removal_first),
		T(t_reset), T(t_empty_endpoints), T(t_presence), T(t_nothing),
		T(t_profile), T(t_keepalive), T(t_over),
		T(t_farewell), T(t_flush_ends), T(t_over_closed_before),
		T(t_close_within_out), T(t_policy),
		T(t_alone), T(t_floor), T(t_told_of_conf), T(t_turns),
		M(t_long), M(t_long_removal), M(t_joiners_share)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
