/* What streams are told, and that they share what they are told. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "regress/lib/streamkit.h"
#include "worker/tailnet/chunk_int.h"
#include "worker/tailnet/derpmap.h"
#include "worker/tailnet/dns.h"

static struct sw_world *w;

static int
setup(void **state)
{
	*state = w = sw_new(30);
	return 0;
}

static int
setup_many(void **state)
{
	*state = w = sw_new(400);
	return 0;
}

static void
t_first_map(void **state)
{
	struct sw_got *g = sw_open(w, 1);

	(void)state;
	/* Trap 21: a change before it is in it, and goes not ahead of it. */
	sw_endpoint(w, 2, 500);
	assert_int_equal(g->outs, 0);
	sw_pass(w, 0);
	assert_int_equal(g->outs, 1);
	assert_int_equal(g->firsts, 1);
	assert_int_equal(mapview_peers(g->view), 29);
	assert_non_null(strstr(json_object_to_json_string(
	    mapview_peer(g->view, 2)), "198.51.1.244:41641"));
	stream_drained(g->stream);
	sw_pass(w, 10 * US_PER_S);
	assert_int_equal(g->outs, 1);
}

static void
t_own_change(void **state)
{
	struct sw_got *a = sw_join(w, 1), *b = sw_join(w, 2);
	struct sw_got *c = sw_join(w, 3);
	struct fnode f;

	(void)state;
	/* Its own endpoints are no news to it. */
	sw_endpoint(w, 1, 500);
	sw_pass(w, 1 * US_PER_S);
	assert_int_equal(a->outs, 1);
	assert_int_equal(b->outs, 2);
	stream_drained(b->stream);
	stream_drained(c->stream);
	/* Among others' it is left out; the others share. */
	fnode_init(&f, 1, 1);
	f.online = true;
	f.endpoint = 501;
	sw_put(w, &f);
	fnode_init(&f, 5, 1);
	sw_put(w, &f);
	sw_batch(w);
	sw_pass(w, 1 * US_PER_S);
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
	sw_put(w, &f);
	sw_batch(w);
	sw_pass(w, 1 * US_PER_S);
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
	struct sw_got *a = sw_join(w, 1);
	struct fnode f;

	(void)state;
	assert_int_equal(feed_node_del(w->tn, 7), 0);
	fnode_init(&f, 77, 1);
	f.addr = 7;
	(void)snprintf(f.name, sizeof(f.name), "host-7");
	sw_put(w, &f);
	sw_batch(w);
	sw_pass(w, 0);
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
	struct sw_got *a = sw_join(w, 1);
	struct fnode f;

	(void)state;
	fnode_init(&f, 7, 1);
	f.online = true;
	f.derp = 0;
	f.nendpoints = 0;
	sw_put(w, &f);
	sw_batch(w);
	sw_pass(w, 0);
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
	struct sw_got *a = sw_join(w, 1);
	struct fnode f;

	(void)state;
	fnode_init(&f, 7, 1);
	f.online = true;
	f.nendpoints = 0;
	sw_put(w, &f);
	sw_batch(w);
	sw_pass(w, 0);
	assert_non_null(strstr(mapview_text(a->view),
	    "\"PeersChangedPatch\":[{\"NodeID\":7,\"Endpoints\":[]}]"));
	assert_int_equal(json_object_array_length(json_object_object_get(
	    mapview_peer(a->view, 7), "Endpoints")), 0);
}

/* Trap 28, and presence at all. */
static void
t_presence(void **state)
{
	struct sw_got *a = sw_join(w, 1);
	struct fnode f;

	(void)state;
	assert_int_equal(feed_online(w->tn, 7, false, 1790000500), 0);
	sw_pass(w, 0);
	assert_non_null(strstr(mapview_text(a->view),
	    "{\"NodeID\":7,\"Online\":false,"
	    "\"LastSeen\":\"2026-09-21T14:21:40Z\"}"));
	stream_drained(a->stream);
	sw_pass(w, 1 * US_PER_S);
	assert_int_equal(feed_online(w->tn, 7, true, 0), 0);
	sw_pass(w, 0);
	assert_non_null(strstr(mapview_text(a->view),
	    "{\"NodeID\":7,\"Online\":true}"));
	stream_drained(a->stream);
	sw_pass(w, 1 * US_PER_S);
	/* A new disco key and offline at once: two patches. */
	fnode_init(&f, 7, 1);
	f.disco = 1234;
	f.online = false;
	f.last_seen = 1790000600;
	sw_put(w, &f);
	sw_batch(w);
	sw_pass(w, 0);
	assert_int_equal(mapview_count(a->view)->patched, 4);
	assert_non_null(strstr(mapview_text(a->view),
	    "\"},{\"NodeID\":7,\"Online\":false,"));
}

static void
t_nothing(void **state)
{
	struct sw_got *a = sw_join(w, 1);
	struct fuser u = { 2, "bob", 0 };
	struct fnode f;

	(void)state;
	sw_pass(w, 10 * US_PER_S);
	/* A node that is not published, an owner whom nobody sees. */
	fnode_init(&f, 70, 1);
	f.published = false;
	sw_put(w, &f);
	assert_int_equal(feed_user(w->tn, &u), 0);
	sw_batch(w);
	sw_pass(w, 1 * US_PER_S);
	f.endpoint = 700;
	sw_put(w, &f);
	sw_batch(w);
	sw_pass(w, 1 * US_PER_S);
	assert_int_equal(a->outs, 1);
	assert_null(mapview_peer(a->view, 70));
	f.published = true;
	sw_put(w, &f);
	sw_batch(w);
	sw_pass(w, 1 * US_PER_S);
	assert_int_equal(a->outs, 2);
	assert_non_null(mapview_peer(a->view, 70));
	/* Gone before it was told. */
	stream_drained(a->stream);
	assert_int_equal(feed_node_del(w->tn, 7777), 0);
	sw_batch(w);
	sw_pass(w, 1 * US_PER_S);
	assert_int_equal(a->outs, 2);
}

static void
t_profile(void **state)
{
	struct sw_got *a = sw_join(w, 1);
	struct fuser u = { 1, "alice@example.org", 0 };

	(void)state;
	assert_int_equal(feed_user(w->tn, &u), 0);
	sw_batch(w);
	sw_pass(w, 0);
	assert_int_equal(a->outs, 2);
	assert_string_equal(json_object_get_string(json_object_object_get(
	    mapview_profile(a->view, 1), "LoginName")), "alice@example.org");
	assert_null(strstr(mapview_text(a->view), "PeersChanged"));
}

static void
t_policy(void **state)
{
	struct sw_got *a = sw_join(w, 1), *b = sw_join(w, 2);

	(void)state;
	assert_int_equal(feed_tailnet(w->tn, "default", 0), 0);
	assert_int_equal(feed_node_del(w->tn, 8), 0);
	sw_batch(w);
	sw_pass(w, 0);
	/* Trap 23: removed one by one; the filter is in the same message. */
	assert_int_equal(mapview_peers(a->view), 0);
	assert_int_equal(mapview_count(a->view)->removed, 29);
	assert_int_equal(mapview_count(a->view)->full, 1);
	assert_string_equal(json_object_to_json_string_ext(mapview_get(a->view,
	    "PacketFilters"), JSON_C_TO_STRING_PLAIN), "{\"base\":[]}");
	stream_drained(a->stream);
	stream_drained(b->stream);
	/* Nothing of others reaches them now. */
	sw_endpoint(w, 9, 100);
	assert_int_equal(feed_node_del(w->tn, 10), 0);
	sw_batch(w);
	sw_pass(w, 1 * US_PER_S);
	assert_int_equal(mapview_peers(a->view), 0);
	assert_int_equal(mapview_count(a->view)->removed, 29);
	assert_int_equal(feed_tailnet(w->tn, "default", 1), 0);
	sw_batch(w);
	sw_pass(w, 1 * US_PER_S);
	assert_int_equal(mapview_peers(a->view), 27);
	assert_int_equal(mapview_count(a->view)->full, 1);
	assert_int_equal(mapview_count(a->view)->changed, 27);
	/* The first map, a removal, the policy, and the next. */
	assert_int_equal(a->outs, 4);
	assert_null(strstr(json_object_to_json_string_ext(mapview_get(b->view,
	    "PacketFilters"), JSON_C_TO_STRING_PLAIN), "[]}"));
}

static void
t_alone(void **state)
{
	struct sw_got *a = sw_open_as(w, 1, 1, true, true);
	struct fnode f;

	(void)state;
	sw_pass(w, 0);
	assert_int_equal(mapview_peers(a->view), 0);
	assert_non_null(strstr(json_object_to_json_string(mapview_get(a->view,
	    "PacketFilters")), "65535"));
	stream_drained(a->stream);
	sw_endpoint(w, 9, 100);
	sw_pass(w, 1 * US_PER_S);
	assert_int_equal(a->outs, 1);
	sw_configure(w, "other.example", 50, false);
	sw_pass(w, 1 * US_PER_S);
	assert_int_equal(a->outs, 2);
	stream_drained(a->stream);
	fnode_init(&f, 1, 1);
	f.expiry = 1890000000;
	sw_put(w, &f);
	sw_batch(w);
	sw_pass(w, 1 * US_PER_S);
	assert_int_equal(mapview_count(a->view)->self, 2);
	assert_int_equal(mapview_peers(a->view), 0);
}

/* Removals beyond what is remembered: the whole map, or the end. */
static void
t_floor(void **state)
{
	struct sw_got *a = sw_join(w, 1), *b = sw_join(w, 2);
	struct fnode f;
	unsigned int i;

	(void)state;
	sw_endpoint(w, 9, 100);
	sw_pass(w, 0);
	stream_drained(b->stream);
	for (i = 0; i < 1200; i++) {
		fnode_init(&f, 1000 + i, 1);
		sw_put(w, &f);
		sw_batch(w);
		assert_int_equal(feed_node_del(w->tn, 1000 + i), 0);
		sw_batch(w);
		if (i % 100 == 0) {
			sw_pass(w, 1 * US_PER_S);
			stream_drained(b->stream);
		}
	}
	sw_pass(w, 1 * US_PER_S);
	assert_int_equal(mapview_count(b->view)->full, 1);
	assert_int_equal(a->outs, 2);
	stream_drained(a->stream);
	sw_pass(w, 1 * US_PER_S);
	assert_int_equal(mapview_count(a->view)->full, 2);
	assert_int_equal(mapview_count(a->view)->removed, 0);
	assert_int_equal(mapview_peers(a->view), 29);
	/* And then it is in step again. */
	stream_drained(a->stream);
	sw_endpoint(w, 9, 101);
	sw_pass(w, 1 * US_PER_S);
	assert_int_equal(mapview_count(a->view)->full, 2);
	/* With nobody left a map could not say so. */
	stream_drained(b->stream);
	for (i = 2; i <= 30; i++)
		assert_int_equal(feed_node_del(w->tn, i), 0);
	sw_batch(w);
	for (i = 0; i < 1200; i++) {
		fnode_init(&f, 3000 + i, 1);
		sw_put(w, &f);
		sw_batch(w);
		assert_int_equal(feed_node_del(w->tn, 3000 + i), 0);
		sw_batch(w);
	}
	w->overs = 0;
	stream_drained(a->stream);
	sw_pass(w, 1 * US_PER_S);
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
	struct sw_got *a = sw_join(w, 1), *b = sw_join(w, 2);
	char why[200];

	(void)state;
	tailnets_derpmap(w->tn, derpmap_parse(map, strlen(map), "m", why,
	    sizeof(why)));
	sw_pass(w, 1 * US_PER_S);
	assert_int_equal(a->outs, 2);
	assert_ptr_equal(a->frame[0], b->frame[0]);
	assert_int_equal(mapview_count(a->view)->derp, 1);
	stream_drained(a->stream);
	stream_drained(b->stream);
	/* The same again is no news, nor is its end. */
	tailnets_derpmap(w->tn, derpmap_parse(map, strlen(map), "m", why,
	    sizeof(why)));
	sw_pass(w, 1 * US_PER_S);
	tailnets_derpmap(w->tn, NULL);
	sw_pass(w, 1 * US_PER_S);
	tailnets_records(w->tn, NULL);
	sw_configure(w, "corp.example", 50, false);
	sw_pass(w, 1 * US_PER_S);
	assert_int_equal(a->outs, 2);
	tailnets_records(w->tn, records_parse(rec, strlen(rec), "r", why,
	    sizeof(why)));
	sw_pass(w, 1 * US_PER_S);
	assert_int_equal(a->outs, 3);
	assert_ptr_equal(a->frame[0], b->frame[0]);
	assert_non_null(strstr(mapview_text(a->view), "192.0.2.1"));
	stream_drained(a->stream);
	stream_drained(b->stream);
	sw_configure(w, "corp.example", 50, true);
	sw_pass(w, 1 * US_PER_S);
	assert_int_equal(a->outs, 4);
	assert_non_null(strstr(mapview_text(a->view),
	    "\"Debug\":{\"DisableLogTail\":true}"));
	/* Another tailnet's domain is below the base domain. */
	stream_drained(a->stream);
	assert_int_equal(feed_tailnet(w->tn, "blue", 1), 0);
	sw_batch(w);
	sw_pass(w, 1 * US_PER_S);
	assert_string_equal(json_object_get_string(mapview_get(a->view,
	    "Domain")), "blue.ts.example");
	assert_int_equal(mapview_count(a->view)->full, 2);
}

/* Many routers, whose frame is kept, have other names. */
static void
t_routers_renamed(void **state)
{
	struct sw_got *a;
	struct fnode f;
	unsigned int i;

	(void)state;
	for (i = 1; i <= CHUNK_LEAST; i++) {
		fnode_init(&f, i, 1);
		f.online = true;
		f.advertised = f.approved = 2;
		sw_put(w, &f);
	}
	sw_batch(w);
	a = sw_join(w, 25);
	stream_drained(a->stream);
	assert_int_equal(feed_tailnet(w->tn, "blue", 1), 0);
	sw_batch(w);
	sw_pass(w, 1 * US_PER_S);
	for (i = 1; i <= CHUNK_LEAST; i++)
		assert_non_null(strstr(json_object_get_string(
		    json_object_object_get(mapview_peer(a->view, i), "Name")),
		    ".blue.ts.example."));
}

/* Much news: frames of parts are shared, but the one with the own node. */
static void
t_long(void **state)
{
	struct sw_got *a = sw_join(w, 1), *b = sw_join(w, 2);
	struct sw_got *c = sw_join(w, 3);
	struct sw_got *d, *e;
	struct fnode f;
	unsigned int i, same = 0;

	(void)state;
	d = sw_open_as(w, 4, 4, false, false);
	sw_pass(w, 0);
	stream_drained(d->stream);
	for (i = 2; i <= 400; i++) {
		fnode_init(&f, i, 1);
		f.online = true;
		f.endpoint = 1000 + i;
		(void)snprintf(f.os, sizeof(f.os), "other");
		if (i != 3)
			sw_put(w, &f);
	}
	sw_batch(w);
	sw_pass(w, 1 * US_PER_S);
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
		stream_drained(w->got[i].stream);
	/* Own alone in one list, and many in the other. */
	e = sw_join(w, 5);
	for (i = 6; i <= 300; i++) {
		fnode_init(&f, i, 1);
		f.online = true;
		f.endpoint = 2000 + i;
		(void)snprintf(f.os, sizeof(f.os), "other");
		sw_put(w, &f);
	}
	fnode_init(&f, 5, 1);
	f.online = true;
	f.endpoint = 1005;
	(void)snprintf(f.os, sizeof(f.os), "third");
	sw_put(w, &f);
	sw_batch(w);
	sw_pass(w, 1 * US_PER_S);
	assert_int_equal(mapview_count(e->view)->patched, 295);
	assert_int_equal(mapview_count(e->view)->changed, 0);
	assert_int_equal(mapview_count(a->view)->changed, 399);
	for (i = 1; i <= 5; i++)
		stream_drained(w->got[i].stream);
	/* Many removals. */
	for (i = 6; i <= 400; i++)
		assert_int_equal(feed_node_del(w->tn, i), 0);
	sw_batch(w);
	sw_pass(w, 1 * US_PER_S);
	assert_int_equal(mapview_peers(a->view), 4);
	assert_int_equal(mapview_peers(d->view), 4);
}

/* Over a thousand removals are a message of several frames, too. */
static void
t_long_removal(void **state)
{
	struct fnode f;
	struct sw_got *a, *b;
	unsigned int i;

	(void)state;
	for (i = 401; i <= 2500; i++) {
		fnode_init(&f, i, 1);
		sw_put(w, &f);
	}
	sw_batch(w);
	a = sw_join(w, 1);
	b = sw_join(w, 39);
	assert_int_equal(mapview_peers(a->view), 2499);
	assert_int_equal(feed_tailnet(w->tn, "default", 0), 0);
	sw_batch(w);
	sw_pass(w, 1 * US_PER_S);
	assert_int_equal(mapview_peers(a->view), 0);
	assert_int_equal(mapview_peers(b->view), 0);
	assert_int_equal(mapview_count(a->view)->removed, 2499);
	assert_int_equal(mapview_count(b->view)->removed, 2499);
}

/* Those who join during a tick share what they are told at its end. */
static void
t_joiners_share(void **state)
{
	struct sw_got *a = sw_join(w, 1), *g[4];
	unsigned int i;

	(void)state;
	sw_pass(w, 1 * US_PER_S);
	sw_endpoint(w, 20, 100);		/* begins a tick */
	sw_pass(w, 0);
	stream_drained(a->stream);
	for (i = 0; i < 4; i++) {
		sw_endpoint(w, 21 + i, 100);
		g[i] = sw_open(w, 2 + i);
		sw_pass(w, 1 * US_PER_MS);
		stream_drained(g[i]->stream);
	}
	sw_pass(w, 1 * US_PER_S);
	for (i = 0; i < 4; i++) {
		assert_int_equal(g[i]->outs, 2);
		assert_ptr_equal(g[i]->frame[0], a->frame[0]);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(t)	cmocka_unit_test_setup_teardown(t, setup, sw_teardown)
#define M(t)	cmocka_unit_test_setup_teardown(t, setup_many, sw_teardown)
		T(t_first_map), T(t_own_change), T(t_removal_first),
		T(t_reset), T(t_empty_endpoints), T(t_presence), T(t_nothing),
		T(t_profile), T(t_policy), T(t_alone), T(t_floor),
		T(t_told_of_conf), T(t_routers_renamed), M(t_long),
		M(t_long_removal), M(t_joiners_share)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
