/* What streams must not miss when the past is forgotten, or is another. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <json.h>

#include "regress/lib/rulekit.h"
#include "regress/lib/tnworld.h"
#include "worker/tailnet/tailnets_int.h"

#define TOMBS	1100		/* more removals than are remembered */
#define MOVES	4500		/* more moves than are remembered */

static struct fnode
tagged(uint64_t id, unsigned int tag)
{
	struct fnode f;

	fnode_init(&f, id, 0);
	f.tags = 1;
	f.tag_from = tag;
	return f;
}

static void
put(struct tnworld *w, struct fnode f)
{
	assert_int_equal(feed_node(w->tn, &f), 0);
	tnw_batch(w);
}

static void
del(struct tnworld *w, uint64_t id)
{
	assert_int_equal(feed_node_del(w->tn, id), 0);
	tnw_batch(w);
}

static struct tnworld *
world(struct rulekit *k, uint8_t policy, unsigned int nodes, bool routers)
{
	struct tnworld *w = tnw_new(1);
	struct fuser u = { 1, "u1", 0 };
	struct buf b = { 0 };
	struct fnode f;
	unsigned int i;

	snap_tailnet(&b, "default", policy);
	if (k != NULL)
		snap_policy(&b, &k->pol, 60000);
	snap_user(&b, &u);
	for (i = 1; i <= nodes; i++) {
		fnode_init(&f, i, 1);
		if (routers && i > 1)
			f.advertised = f.approved = 1;
		snap_node(&b, &f);
	}
	snap_batch(&b, ++w->seq);
	assert_int_equal(tailnets_snapshot(w->tn, FEED_TAILNET, b.p, b.n), 0);
	buf_free(&b);
	return w;
}

/*
 * Its reader is slow.  Node 2 goes out of its sight, so many others move that
 * this is forgotten, and then a removal is forgotten that is older.
 */
static void
t_slow_reader(void **state)
{
	struct rulekit k;
	struct tnworld *w;
	struct client *c;
	unsigned int i;

	(void)state;
	pk_init(&k);
	pk_row(&k, pk_src(&k, PK_U1, -1), PK_T0, 0);
	w = world(&k, 2, 1, false);
	put(w, tagged(2, 0));
	put(w, tagged(3, 2));
	for (i = 0; i < TOMBS; i++) {
		put(w, tagged(100 + i, 3));
		del(w, 100 + i);
	}
	put(w, tagged(5000, 3));
	c = tnw_open(w, 1, 1, true, false);
	assert_null(tnw_settle(w));
	assert_int_equal(mapview_peers(c->view), 1);
	c->slow = true;
	put(w, tagged(4, 0));
	assert_null(tnw_settle(w));
	put(w, tagged(2, 1));
	for (i = 0; i < MOVES; i++)
		put(w, tagged(3, 2 + i % 2));
	del(w, 5000);
	c->slow = false;
	assert_null(tnw_settle(w));
	assert_null(mapview_peer(c->view, 2));
	assert_null(tnw_check(c));
	pk_free(&k);
	tnw_free(w);
}

static void
t_range(void **state)
{
	struct rulekit k;
	struct tnworld *w;
	struct client *c;
	struct msg m;

	(void)state;
	pk_init(&k);
	pk_row(&k, pk_src(&k, PK_TAILNET, -1), PK_ANY, 0);
	w = world(&k, 2, 3, false);
	c = tnw_open(w, 1, 1, true, false);
	assert_null(tnw_settle(w));
	msg_init(&m, M_DB_TAILNET);
	m.u.db_tailnet.tailnet = FEED_TAILNET;
	m.u.db_tailnet.name = slice_str("default");
	m.u.db_tailnet.stable_id = slice_str("T-stable");
	m.u.db_tailnet.policy = 2;
	assert_true(prefix_parse(&m.u.db_tailnet.range4,
	    slice_str("10.77.0.0/16")));
	assert_int_equal(tailnets_apply(w->tn, &m), 0);
	tnw_batch(w);
	assert_null(tnw_settle(w));
	assert_non_null(strstr(json_object_to_json_string_ext(
	    mapview_get(c->view, "PacketFilters"),
	    JSON_C_TO_STRING_NOSLASHESCAPE), "\"10.77.0.0/16\""));
	pk_free(&k);
	tnw_free(w);
}

/* Of so many routers what is said stands in a frame of its own. */
static void
t_domain(void **state)
{
	struct client *c, *d;
	struct tnworld *w;
	const char *name;
	unsigned int i;

	(void)state;
	w = world(NULL, 1, 20, true);
	c = tnw_open(w, 1, 1, true, false);
	assert_null(tnw_settle(w));
	tnw_conf(w, "new.example", "corp.example", true);
	assert_null(tnw_settle(w));
	d = tnw_open(w, 1, 1, true, false);
	assert_null(tnw_settle(w));
	for (i = 2; i <= 20; i++) {
		name = json_object_get_string(json_object_object_get(
		    mapview_peer(d->view, i), "Name"));
		assert_non_null(strstr(name, ".new.example."));
		assert_string_equal(name, json_object_get_string(
		    json_object_object_get(mapview_peer(c->view, i), "Name")));
	}
	tnw_free(w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_slow_reader),
		cmocka_unit_test(t_range),
		cmocka_unit_test(t_domain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
