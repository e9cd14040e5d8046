/*
 * Routers of one subnet know of each other's what the policy hides from all
 * (policy.md 10.3, step 5), though their views share what is the same.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <json.h>

#include "regress/lib/rulekit.h"
#include "regress/lib/tnworld.h"
#include "worker/tailnet/tailnets_int.h"

#define NODES	130
#define SUBNET	"10.128.1.0/24"

struct world {
	struct tnworld	*w;
	struct rulekit	 kit;
	struct replica	*r;
	struct fnode	 f[NODES + 1];	/* by id */
	unsigned int	 n;
};

static void
put(struct world *t, unsigned int id)
{
	assert_int_equal(feed_node(t->w->tn, &t->f[id]), 0);
}

static void
settle(struct world *t)
{
	tnw_batch(t->w);
	assert_null(tnw_settle(t->w));
}

/*
 * Members who see each other and no routes.  Node 1 is elected for SUBNET,
 * which node 2 carries, too; all but node 3 are routers of something.
 */
static void
load(struct world *t, unsigned int n)
{
	struct fuser u = { 1, "u1", 0 };
	struct buf b = { 0 };
	unsigned int i;

	t->n = n;
	snap_tailnet(&b, "default", 2);
	snap_policy(&b, &t->kit.pol, 60000);
	snap_user(&b, &u);
	for (i = 1; i <= n; i++) {
		fnode_init(&t->f[i], i, 1);
		t->f[i].online = true;
		t->f[i].subnet = i == 3 ? 0 : i <= 2 ? 1 : i;
		t->f[i].standby = i == 2;
		snap_node(&b, &t->f[i]);
	}
	snap_batch(&b, ++t->w->seq);
	assert_int_equal(tailnets_snapshot(t->w->tn, FEED_TAILNET, b.p, b.n),
	    0);
	buf_free(&b);
	t->r = idmap_get(&t->w->tn->by_id, FEED_TAILNET);
}

static uint32_t
begin(struct world *t)
{
	uint32_t all;

	memset(t, 0, sizeof(*t));
	t->w = tnw_new(1);
	pk_init(&t->kit);
	all = pk_src(&t->kit, PK_MEMBER, PK_TAGGED, -1);
	pk_row(&t->kit, all, PK_MEMBER, 0);
	return all;
}

/* All that only see each other. */
static void
start(struct world *t, unsigned int n)
{
	(void)begin(t);
	load(t, n);
}

static struct client *
join(struct world *t, unsigned int id)
{
	struct client *c;

	c = tnw_open(t->w, id, t->f[id].key, true, false);
	assert_non_null(c);
	assert_null(tnw_settle(t->w));
	return c;
}

static void
stop(struct world *t)
{
	unsigned int i;

	assert_null(tnw_settle(t->w));
	for (i = 0; i < TNW_STREAMS; i++)
		if (t->w->client[i].stream != NULL)
			assert_null(tnw_check(&t->w->client[i]));
	pk_free(&t->kit);
	tnw_free(t->w);
	assert_int_equal(frame_bytes(), 0);
}

/* How many peers are in a map that no messages follow. */
static size_t
once(struct world *t, unsigned int id)
{
	struct stream_conf sc = { .tailnet = FEED_TAILNET, .node = id,
	    .capver = 148, .compress = true };
	struct mapview *v = mapview_new(id, true);
	struct frame *f[32];
	size_t i, n;

	n = map_once(t->w->tn, &sc, f, 32);
	assert_int_not_equal(n, 0);
	for (i = 0; i < n; i++) {
		assert_null(mapview_input(v, f[i]->data, f[i]->len));
		frame_unref(f[i]);
	}
	n = mapview_peers(v);
	mapview_free(v);
	return n;
}

/* The client is told that the peer carries SUBNET. */
static bool
shows(struct client *c, uint64_t peer)
{
	struct json_object *p = mapview_peer(c->view, peer), *l;
	size_t i;

	assert_non_null(p);
	l = json_object_object_get(p, "AllowedIPs");
	for (i = 0; i < json_object_array_length(l); i++)
		if (strcmp(json_object_get_string(json_object_array_get_idx(
		    l, i)), SUBNET) == 0)
			return true;
	return false;
}

static void
t_twins(void **state)
{
	struct client *one, *two, *three, *four;
	unsigned int outs;
	struct world t;

	(void)state;
	start(&t, 6);
	one = join(&t, 1);
	two = join(&t, 2);
	three = join(&t, 3);
	four = join(&t, 4);
	assert_true(shows(two, 1));
	assert_false(shows(three, 1));
	assert_false(shows(four, 1));
	/* What else is new of it hides nothing. */
	(void)snprintf(t.f[1].os, sizeof(t.f[1].os), "plan9");
	put(&t, 1);
	settle(&t);
	assert_true(shows(two, 1));
	assert_false(shows(four, 1));
	/* It goes over: news for the two, and for nobody else. */
	outs = three->outs + four->outs;
	t.f[1].standby = true;
	t.f[2].standby = false;
	put(&t, 1);
	put(&t, 2);
	settle(&t);
	assert_false(shows(two, 1));
	assert_true(shows(one, 2));
	assert_int_equal(three->outs + four->outs, outs);
	/* Another carries it as well, and no more. */
	t.f[4].subnet = 1;
	t.f[4].standby = true;
	put(&t, 4);
	settle(&t);
	assert_true(shows(four, 2));
	assert_false(shows(four, 1));
	assert_false(shows(three, 2));
	t.f[4].subnet = 0;
	put(&t, 4);
	settle(&t);
	assert_false(shows(four, 2));
	/* The one that is elected goes, and comes back as a standby. */
	assert_int_equal(feed_node_del(t.w->tn, 2), 0);
	t.f[1].standby = false;
	put(&t, 1);
	settle(&t);
	t.f[2].standby = true;
	put(&t, 2);
	settle(&t);
	two = join(&t, 2);
	assert_true(shows(two, 1));
	stop(&t);
}

/* Likewise of maps that are put together from what others are sent, too. */
static void
t_maps(void **state)
{
	struct client *one, *two, *far;
	struct world t;
	unsigned int i;

	(void)state;
	start(&t, NODES);
	far = join(&t, NODES);
	two = join(&t, 2);
	one = join(&t, 1);
	assert_true(shows(two, 1));
	assert_false(shows(one, 2));
	assert_false(shows(far, 1));
	/* The last one is elected: another part of the map. */
	t.f[1].standby = true;
	t.f[NODES].subnet = 1;
	put(&t, 1);
	put(&t, NODES);
	settle(&t);
	tnw_close(two);
	two = join(&t, 2);
	assert_true(shows(two, NODES));
	assert_false(shows(two, 1));
	/*
	 * Others come and go, and each is where it was thought to be: while
	 * somebody has the view it keeps what was made for it.
	 */
	(void)join(&t, 2);
	for (i = 4; i < NODES; i += 3) {
		assert_int_equal(feed_node_del(t.w->tn, i), 0);
		if (i % 4 == 0)
			t.f[i - 1].nendpoints = 1 + i % 2;
		put(&t, i - 1);
		settle(&t);
		tnw_close(two);
		two = join(&t, 2);
		assert_true(shows(two, NODES));
		assert_null(tnw_check(two));
		/* Of those who went nothing is left. */
		assert_int_equal(once(&t, 2), t.r->nnodes - 1);
	}
	stop(&t);
}

/* Of the class of nodes 4 to 18, which no address makes another. */
static unsigned int
views(const struct world *t)
{
	const struct node *n = idmap_get(&t->r->nodes, 10);

	assert_non_null(n);
	return (unsigned int)n->class->views[1].n;
}

/* Routers of the same subnets have one view. */
static void
t_shared(void **state)
{
	struct world t;
	unsigned int i;

	(void)state;
	start(&t, 20);
	for (i = 1; i <= 18; i++) {
		t.f[i].subnet = 1 + i % 2;
		t.f[i].standby = i > 2;
		put(&t, i);
	}
	settle(&t);
	for (i = 1; i <= 18; i++)
		(void)join(&t, i);
	assert_int_equal(views(&t), 2);
	assert_int_equal(t.r->loads.n, 4);
	/* Whoever carries another has another. */
	t.f[18].subnet = 9;
	put(&t, 18);
	settle(&t);
	assert_int_equal(views(&t), 3);
	t.f[18].subnet = 0;
	put(&t, 18);
	settle(&t);
	assert_int_equal(views(&t), 2);
	stop(&t);
}

/* Of routes that all are shown, maps that are put together know the latest. */
static void
t_latest(void **state)
{
	struct client *c;
	struct world t;
	unsigned int i;
	uint32_t all;

	(void)state;
	all = begin(&t);
	pk_row(&t.kit, all, PK_AROUND, 0);
	load(&t, NODES);
	c = join(&t, 3);
	assert_true(shows(c, 1));
	assert_false(shows(c, 2));
	for (i = 0; i < 4; i++) {
		/* Back and forth, then to somebody far from both. */
		t.f[1].standby = i != 1;
		t.f[2].standby = i != 0 && i != 2;
		t.f[100].subnet = i == 3 ? 1 : 100;
		put(&t, 1);
		put(&t, 2);
		put(&t, 100);
		settle(&t);
		assert_int_equal(shows(c, 1), i == 1);
		assert_int_equal(shows(c, 2), i == 0 || i == 2);
		assert_int_equal(shows(c, 100), i == 3);
		/* Of another, of the same class: no address is selected. */
		assert_null(tnw_check(join(&t, 50 + i)));
		assert_null(tnw_check(c));
	}
	stop(&t);
}

/*
 * Of two on a row's way the one that registered first has the route; when it
 * gives it up the other has, of which nothing has changed.
 */
static void
t_rivals(void **state)
{
	struct client *c;
	struct world t;
	unsigned int i;
	uint32_t all;

	(void)state;
	all = begin(&t);
	pk_row(&t.kit, all, PK_AROUND, POL_ROW_VIA);
	pk_via(&t.kit, PK_T0);
	load(&t, 6);
	c = join(&t, 3);
	for (i = 1; i <= 2; i++) {
		t.f[i].user = 0;
		t.f[i].tags = 1;
		put(&t, i);
	}
	settle(&t);
	assert_true(shows(c, 1));
	assert_false(shows(c, 2));
	/* To another subnet, to another tag, and for good. */
	t.f[1].subnet = 77;
	put(&t, 1);
	settle(&t);
	assert_true(shows(c, 2));
	t.f[1].subnet = 1;
	put(&t, 1);
	settle(&t);
	assert_true(shows(c, 1));
	assert_false(shows(c, 2));
	t.f[1].tag_from = 1;
	put(&t, 1);
	settle(&t);
	assert_true(shows(c, 2));
	t.f[1].tag_from = 0;
	put(&t, 1);
	settle(&t);
	assert_false(shows(c, 2));
	assert_int_equal(feed_node_del(t.w->tn, 1), 0);
	settle(&t);
	assert_true(shows(c, 2));
	stop(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_twins),
		cmocka_unit_test(t_maps),
		cmocka_unit_test(t_latest),
		cmocka_unit_test(t_rivals),
		cmocka_unit_test(t_shared)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
