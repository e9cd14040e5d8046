#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/log.h"
#include "regress/lib/quiet.h"
#include "regress/lib/tnworld.h"
#include "worker/tailnet/tailnets_int.h"

static struct replica *
replica(struct tnworld *w)
{
	return idmap_get(&w->tn->by_id, FEED_TAILNET);
}

static struct node *
node(struct tnworld *w, uint64_t id)
{
	return idmap_get(&replica(w)->nodes, id);
}

static struct group *
group(struct tnworld *w)
{
	return replica(w)->rules->group[0];
}

/* The newest change is the last of the list. */
static const struct mark *
last(struct tnworld *w)
{
	return TAILQ_LAST(&replica(w)->changes, mark_list);
}

static void
t_same_is_no_change(void **state)
{
	struct tnworld *w = tnw_published(3);
	struct fnode f;
	uint64_t ver = replica(w)->ver;

	(void)state;
	fnode_init(&f, 2, 1);
	assert_int_equal(feed_node(w->tn, &f), 0);
	tnw_batch(w);
	assert_int_equal(replica(w)->ver, ver);
	assert_int_equal(replica(w)->seq, w->seq);
	/* Nor when the last time seen moves while it is online. */
	f.online = true;
	assert_int_equal(feed_node(w->tn, &f), 0);
	tnw_batch(w);
	assert_int_equal(replica(w)->ver, ver + 1);
	f.last_seen += 60;
	assert_int_equal(feed_node(w->tn, &f), 0);
	tnw_batch(w);
	assert_int_equal(replica(w)->ver, ver + 1);
	tnw_free(w);
}

static void
t_kinds(void **state)
{
	struct tnworld *w = tnw_published(3);
	struct node *n = node(w, 2);
	struct fnode f;
	uint64_t ver;

	(void)state;
	fnode_init(&f, 2, 1);
	f.endpoint = 77;
	assert_int_equal(feed_node(w->tn, &f), 0);
	tnw_batch(w);
	ver = replica(w)->ver;
	assert_int_equal(n->field_ver[NF_ENDPOINTS], ver);
	assert_int_equal(n->field_ver[NF_DISCO], 0);
	assert_int_equal(n->whole_ver, 0);
	assert_ptr_equal(last(w)->node, n);
	/* A new node key is no patch. */
	f.key = 99;
	assert_int_equal(feed_node(w->tn, &f), 0);
	tnw_batch(w);
	assert_int_equal(n->whole_ver, ver + 1);
	assert_int_equal(n->self_ver, ver + 1);
	/* What only the node itself is told. */
	f.advertised = 2;
	assert_int_equal(feed_node(w->tn, &f), 0);
	tnw_batch(w);
	assert_int_equal(n->self_ver, ver + 2);
	assert_int_equal(n->whole_ver, ver + 1);
	assert_int_equal(n->mark.ver, ver + 1);
	/* The home relay gone: neither patch nor whole node says it. */
	f.derp = 0;
	assert_int_equal(feed_node(w->tn, &f), 0);
	tnw_batch(w);
	assert_int_equal(n->reset_ver, ver + 3);
	tnw_free(w);
}

static void
t_batch_is_atomic(void **state)
{
	struct tnworld *w = tnw_published(2);
	struct fnode f;

	(void)state;
	fnode_init(&f, 9, 1);
	assert_int_equal(feed_node(w->tn, &f), 0);
	assert_int_equal(feed_node_del(w->tn, 1), 0);
	/* A session fact within it waits as well. */
	assert_int_equal(feed_online(w->tn, 2, true, 0), 0);
	assert_null(node(w, 9));
	assert_non_null(node(w, 1));
	assert_false(node(w, 2)->online);
	tnw_batch(w);
	assert_non_null(node(w, 9));
	assert_null(node(w, 1));
	assert_true(node(w, 2)->online);
	/* Between batches it counts at once. */
	assert_int_equal(feed_online(w->tn, 2, false, 1790000001), 0);
	assert_false(node(w, 2)->online);
	assert_int_equal(node(w, 2)->last_seen, 1790000001);
	tnw_free(w);
}

/* A batch that was cut off comes again whole. */
static void
t_batch_again(void **state)
{
	struct tnworld *w = tnw_published(3);
	struct fuser bob = { 2, "bob", 0 };
	struct fnode f;
	unsigned int i;

	(void)state;
	for (i = 0; i < 2; i++) {
		fnode_init(&f, 4, 2);
		assert_int_equal(feed_user(w->tn, &bob), 0);
		assert_int_equal(feed_node(w->tn, &f), 0);
		assert_int_equal(feed_node_del(w->tn, 3), 0);
	}
	tnw_batch(w);
	assert_null(w->why);
	assert_non_null(node(w, 4));
	assert_null(node(w, 3));
	tnw_free(w);
}

static void
t_users(void **state)
{
	struct tnworld *w = tnw_published(1);
	struct fuser bob = { 2, "bob", 0 };
	struct fnode f;

	(void)state;
	quiet_log();
	/* The owner may come after its node within a batch. */
	fnode_init(&f, 2, 2);
	assert_int_equal(feed_node(w->tn, &f), 0);
	assert_int_equal(feed_user(w->tn, &bob), 0);
	tnw_batch(w);
	assert_null(w->why);
	assert_int_equal(node(w, 2)->user->id, 2);
	/* And goes after it. */
	assert_int_equal(feed_user_del(w->tn, 2), 0);
	assert_int_equal(feed_node_del(w->tn, 2), 0);
	tnw_batch(w);
	assert_null(w->why);
	assert_null(idmap_get(&replica(w)->users, 2));
	assert_null(idmap_get(&group(w)->by_user, 2));
	/* A node of nobody makes no sense, nor an owner that goes first. */
	assert_int_equal(feed_node(w->tn, &f), 0);
	assert_int_equal(feed_batch(w->tn, ++w->seq), -1);
	assert_int_equal(feed_user_del(w->tn, 1), 0);
	assert_int_equal(feed_batch(w->tn, ++w->seq), -1);
	log_capture(NULL, NULL);
	tnw_free(w);
}

/* An owner counts in a group only while nodes of the group are its. */
static void
t_owners(void **state)
{
	struct tnworld *w = tnw_published(2);
	struct fuser bob = { 2, "bob", 0 };
	struct group *g = group(w);
	struct fnode f;

	(void)state;
	assert_int_equal(g->users.n, 1);
	assert_int_equal(feed_user(w->tn, &bob), 0);
	fnode_init(&f, 1, 2);
	assert_int_equal(feed_node(w->tn, &f), 0);
	tnw_batch(w);
	assert_int_equal(g->users.n, 2);
	fnode_init(&f, 2, 2);
	assert_int_equal(feed_node(w->tn, &f), 0);
	tnw_batch(w);
	assert_int_equal(g->users.n, 1);
	assert_non_null(idmap_get(&g->by_user, 2));
	/* A tagged node's owner is one for all. */
	f.user = 0;
	f.tags = 1;
	assert_int_equal(feed_node(w->tn, &f), 0);
	tnw_batch(w);
	assert_int_equal(node(w, 2)->user->id, USER_TAGGED);
	assert_int_equal(node(w, 1)->user->nodes, 1);
	tnw_free(w);
}

static void
t_nonsense(void **state)
{
	struct tnworld *w = tnw_published(1);
	struct fnode f;
	struct fuser u = { USER_TAGGED, "mallory", 0 };
	struct msg m;

	(void)state;
	quiet_log();
	fnode_init(&f, 2, 1);
	(void)snprintf(f.name, sizeof(f.name), "two.labels");
	assert_int_equal(feed_node(w->tn, &f), 0);
	assert_int_equal(feed_batch(w->tn, ++w->seq), -1);
	fnode_init(&f, ID_MAX + 1, 1);
	assert_int_equal(feed_node(w->tn, &f), 0);
	assert_int_equal(feed_batch(w->tn, ++w->seq), -1);
	assert_int_equal(feed_user(w->tn, &u), 0);
	assert_int_equal(feed_batch(w->tn, ++w->seq), -1);
	assert_int_equal(feed_tailnet(w->tn, "a..b", 1), 0);
	assert_int_equal(feed_batch(w->tn, ++w->seq), -1);
	assert_int_equal(feed_batch(w->tn, 1), -1);	/* back in time */
	msg_init(&m, M_DB_HELLO_DONE);
	assert_int_equal(tailnets_apply(w->tn, &m), -1);
	log_capture(NULL, NULL);
	tnw_free(w);
}

static void
t_dropped(void **state)
{
	struct tnworld *w = tnw_published(2);
	struct fnode f;

	(void)state;
	assert_non_null(tnw_open(w, 1, 1, true, false));
	assert_int_equal(tailnets_streams(w->tn, FEED_TAILNET), 1);
	tailnets_drop(w->tn, FEED_TAILNET);	/* not while it has one */
	assert_non_null(replica(w));
	tnw_close(&w->client[TNW_STREAMS - 1]);
	tailnets_drop(w->tn, FEED_TAILNET);
	assert_null(replica(w));
	assert_int_equal(tailnets_streams(w->tn, FEED_TAILNET), 0);
	/* What was on its way comes to nothing. */
	fnode_init(&f, 3, 1);
	assert_int_equal(feed_node(w->tn, &f), 0);
	assert_int_equal(feed_batch(w->tn, 99), 0);
	assert_null(tnw_open(w, 1, 1, true, false));
	tnw_free(w);
}

static void
t_snapshot_differs(void **state)
{
	struct tnworld *w = tnw_published(5);
	struct fuser u = { 1, "alice@example.com", 0 };
	struct buf b = { 0 };
	struct fnode f;
	uint64_t ver = replica(w)->ver;
	unsigned int i;

	(void)state;
	/* 2 is gone, 3 has other endpoints, 6 is new; the rest is as it was. */
	for (i = 1; i <= 6; i++) {
		fnode_init(&f, i, 1);
		if (i == 3)
			f.endpoint = 1000;
		if (i != 2)
			snap_node(&b, &f);
	}
	snap_user(&b, &u);		/* order is free */
	snap_tailnet(&b, "default", 1);
	snap_batch(&b, 77);
	assert_int_equal(tailnets_snapshot(w->tn, FEED_TAILNET, b.p, b.n), 0);
	assert_int_equal(replica(w)->ver, ver + 1);
	assert_int_equal(replica(w)->seq, 77);
	assert_int_equal(replica(w)->batch[3], 77);
	assert_null(node(w, 2));
	assert_int_equal(replica(w)->ntombs, 1);
	assert_int_equal(node(w, 3)->field_ver[NF_ENDPOINTS], ver + 1);
	assert_int_equal(node(w, 6)->shown_ver, ver + 1);
	assert_int_equal(node(w, 1)->mark.ver, ver);
	assert_int_equal(node(w, 5)->mark.ver, ver);
	/* Once more: nothing. */
	assert_int_equal(tailnets_snapshot(w->tn, FEED_TAILNET, b.p, b.n), 0);
	assert_int_equal(replica(w)->ver, ver + 1);
	buf_free(&b);
	tnw_free(w);
}

static void
t_snapshot_bad(void **state)
{
	struct tnworld *w = tnw_new(1);
	struct fuser u = { 1, "alice", 0 };
	struct buf b = { 0 };
	struct fnode f;
	size_t n, whole;

	(void)state;
	quiet_log();
	snap_tailnet(&b, "default", 1);
	snap_user(&b, &u);
	fnode_init(&f, 1, 1);
	snap_node(&b, &f);
	n = b.n;
	snap_batch(&b, 5);
	whole = b.n;
	/* Each cut is noticed, whatever is left. */
	for (n = 0; n < whole; n++)
		assert_int_equal(tailnets_snapshot(w->tn, FEED_TAILNET, b.p,
		    n), -1);
	assert_int_equal(tailnets_snapshot(w->tn, FEED_TAILNET + 1, b.p,
	    whole), -1);
	assert_int_equal(tailnets_snapshot(w->tn, FEED_TAILNET, b.p, whole),
	    0);
	/* Something after the end. */
	buf_u8(&b, 0);
	assert_int_equal(tailnets_snapshot(w->tn, FEED_TAILNET, b.p, b.n), -1);
	log_capture(NULL, NULL);
	buf_free(&b);
	tnw_free(w);
}

static void
t_tombs(void **state)
{
	struct tnworld *w = tnw_published(1);
	struct fnode f;
	unsigned int i;

	(void)state;
	for (i = 2; i < TOMBS_MIN + 20; i++) {
		fnode_init(&f, i, 1);
		assert_int_equal(feed_node(w->tn, &f), 0);
		tnw_batch(w);
		assert_int_equal(feed_node_del(w->tn, i), 0);
		tnw_batch(w);
		assert_true(replica(w)->ntombs <= TOMBS_MIN);
	}
	assert_int_equal(replica(w)->ntombs, TOMBS_MIN);
	/* 18 are forgotten: each took two versions, the removal the second. */
	assert_int_equal(replica(w)->floor, 1 + 1 + 2 * 18);
	/* One that nobody was told of leaves none. */
	fnode_init(&f, 5000, 1);
	f.published = false;
	assert_int_equal(feed_node(w->tn, &f), 0);
	tnw_batch(w);
	i = (unsigned int)replica(w)->floor;
	assert_int_equal(feed_node_del(w->tn, 5000), 0);
	assert_int_equal(feed_node_del(w->tn, 12345), 0);
	tnw_batch(w);
	assert_int_equal(replica(w)->floor, i);
	/* One that was withdrawn before it went does. */
	fnode_init(&f, 6000, 1);
	assert_int_equal(feed_node(w->tn, &f), 0);
	tnw_batch(w);
	f.published = false;
	assert_int_equal(feed_node(w->tn, &f), 0);
	tnw_batch(w);
	assert_int_equal(feed_node_del(w->tn, 6000), 0);
	tnw_batch(w);
	assert_int_equal(TAILQ_LAST(&replica(w)->tombs, tomb_list)->id, 6000);
	assert_non_null(LIST_FIRST(&TAILQ_LAST(&replica(w)->tombs,
	    tomb_list)->trail));
	assert_null(w->why);
	tnw_free(w);
}

/* Trap 67: the record says who carries what; only what is approved counts. */
static void
t_routes(void **state)
{
	struct tnworld *w = tnw_published(1);
	struct fnode f;
	uint64_t ver;

	(void)state;
	fnode_init(&f, 2, 1);
	f.advertised = 3;
	f.approved = 7;
	f.primary = 7;		/* exit routes have none, 4 is not offered */
	assert_int_equal(feed_node(w->tn, &f), 0);
	tnw_batch(w);
	/* 0.0.0.0/0, ::/0 and 10.1.0.0/16. */
	assert_int_equal(node(w, 2)->nroutes, 3);
	assert_true(node(w, 2)->routes[0].exit);
	assert_true(node(w, 2)->routes[1].exit);
	assert_false(node(w, 2)->routes[0].primary);
	assert_false(node(w, 2)->routes[1].primary);
	assert_true(node(w, 2)->routes[2].primary);
	assert_true(node(w, 2)->group->varied);
	/* Another is elected. */
	ver = replica(w)->ver;
	f.primary = 0;
	assert_int_equal(feed_node(w->tn, &f), 0);
	tnw_batch(w);
	assert_false(node(w, 2)->routes[2].primary);
	/* Who is not shown the route is told nothing. */
	assert_true(node(w, 2)->whole_ver <= ver);
	assert_int_equal(node(w, 2)->self_ver, ver + 1);
	assert_int_equal(node(w, 2)->vary_ver, ver + 1);
	assert_int_equal(replica(w)->route_ver, ver + 1);
	assert_true(replica(w)->vary_ver <= ver);
	/* It is no router any more. */
	f.approved = 0;
	assert_int_equal(feed_node(w->tn, &f), 0);
	tnw_batch(w);
	assert_int_equal(node(w, 2)->nroutes, 0);
	assert_false(node(w, 2)->group->varied);
	assert_true(TAILQ_EMPTY(&replica(w)->routers));
	assert_null(w->why);
	tnw_free(w);
}

static bool
routes_for(struct tnworld *w, const struct fnode *f)
{
	struct r_node r;
	struct buf b[FEED_LISTS];
	bool yes;

	fnode_record(f, &r, b);
	yes = tailnets_is_router(w->tn, r.node_key);
	fnode_record_free(b);
	return yes;
}

/* Routers by node key, through all that may befall them. */
static void
t_is_router(void **state)
{
	struct tnworld *w = tnw_published(3);
	struct fnode f[8], old;
	unsigned int i;

	(void)state;
	for (i = 1; i < 8; i++) {
		fnode_init(&f[i], i, 1);
		assert_false(routes_for(w, &f[i]));
		f[i].advertised = 3;
		f[i].approved = i % 2 == 0 ? 0 : 2;
		assert_int_equal(feed_node(w->tn, &f[i]), 0);
	}
	tnw_batch(w);
	for (i = 1; i < 8; i++)
		assert_int_equal(routes_for(w, &f[i]), i % 2);
	/* A new key, a route taken back, a removal. */
	old = f[1];
	f[1].key = 99;
	assert_int_equal(feed_node(w->tn, &f[1]), 0);
	f[3].advertised = 1;
	assert_int_equal(feed_node(w->tn, &f[3]), 0);
	assert_int_equal(feed_node_del(w->tn, 5), 0);
	/* Two with one key, as never should be, do not confuse it. */
	f[7].key = 99;
	assert_int_equal(feed_node(w->tn, &f[7]), 0);
	tnw_batch(w);
	assert_true(routes_for(w, &f[1]));
	assert_false(routes_for(w, &old));
	assert_false(routes_for(w, &f[3]));
	assert_false(routes_for(w, &f[5]));
	assert_int_equal(feed_node_del(w->tn, 1), 0);
	tnw_batch(w);
	assert_true(routes_for(w, &f[7]));
	assert_int_equal(feed_node_del(w->tn, 7), 0);
	tnw_batch(w);
	assert_false(routes_for(w, &f[7]));
	assert_int_equal(w->tn->routers.n, 0);
	assert_null(w->why);
	tnw_free(w);
}

static void
t_expiry(void **state)
{
	struct tnworld *w = tnw_published(2);
	struct fnode f;
	uint64_t ver;

	(void)state;
	fnode_init(&f, 2, 1);
	f.expiry = FAKEENV_WALL + 7200;
	assert_int_equal(feed_node(w->tn, &f), 0);
	tnw_batch(w);
	ver = replica(w)->ver;
	assert_false(node(w, 2)->expired);
	fakeenv_advance(w->fake, 7199 * US_PER_S);
	assert_false(node(w, 2)->expired);
	assert_int_equal(replica(w)->ver, ver);
	fakeenv_advance(w->fake, 2 * US_PER_S);
	assert_true(node(w, 2)->expired);
	assert_int_equal(node(w, 2)->whole_ver, ver + 1);
	assert_int_equal(node(w, 2)->self_ver, ver + 1);
	assert_false(timer_pending(&replica(w)->expiry));
	/* A later one takes it back. */
	f.expiry = 0;
	assert_int_equal(feed_node(w->tn, &f), 0);
	tnw_batch(w);
	assert_false(node(w, 2)->expired);
	/* One that clients could not bear, 9999-12-31, is none. */
	f.expiry = 253402300799;
	assert_int_equal(feed_node(w->tn, &f), 0);
	tnw_batch(w);
	assert_int_equal(node(w, 2)->expiry, 0);
	tnw_free(w);
}

/* The wall clock is set forward: it is noticed within the hour. */
static void
t_expiry_clock(void **state)
{
	struct tnworld *w = tnw_published(1);
	struct fnode f;

	(void)state;
	fnode_init(&f, 1, 1);
	f.expiry = FAKEENV_WALL + 86400 * 30;
	assert_int_equal(feed_node(w->tn, &f), 0);
	tnw_batch(w);
	fakeenv_set_wall(w->fake, FAKEENV_WALL + 86400 * 31);
	fakeenv_advance(w->fake, 3601 * US_PER_S);
	assert_true(node(w, 1)->expired);
	tnw_free(w);
}

static void
t_online_map(void **state)
{
	struct tnworld *w = tnw_published(20);
	uint8_t bits[2] = { 0x05, 0x01 };	/* 3, 5, 11 of 3..18 */
	uint64_t ver;

	(void)state;
	assert_int_equal(feed_online(w->tn, 1, true, 0), 0);
	assert_int_equal(feed_online(w->tn, 4, true, 0), 0);
	assert_int_equal(feed_online(w->tn, 5, true, 0), 0);
	ver = replica(w)->ver;
	assert_int_equal(feed_online_map(w->tn, 3, bits, 2, 1790001234), 0);
	assert_int_equal(replica(w)->ver, ver + 1);
	assert_true(node(w, 1)->online);	/* not covered */
	assert_true(node(w, 3)->online);
	assert_false(node(w, 4)->online);
	assert_int_equal(node(w, 4)->last_seen, 1790001234);
	assert_true(node(w, 5)->online);
	assert_true(node(w, 11)->online);
	assert_false(node(w, 12)->online);
	/* Who was away before keeps the time. */
	assert_int_equal(node(w, 12)->last_seen, 1780000000);
	assert_int_equal(node(w, 5)->mark.ver, ver);
	assert_int_equal(feed_online_map(w->tn, 3, bits, 2, 1790001299), 0);
	assert_int_equal(replica(w)->ver, ver + 1);
	tnw_free(w);
}

static void
note_have(uint64_t tailnet, const uint8_t batch[16], uint64_t seq, void *arg)
{
	uint64_t *got = arg;

	got[0] = tailnet;
	got[1] = seq;
	got[2] = batch[0];
}

static void
t_each(void **state)
{
	struct tnworld *w = tnw_published(1);
	uint64_t got[3] = { 0 };

	(void)state;
	w->seq = 4;
	tnw_batch(w);
	tailnets_each(w->tn, note_have, got);
	assert_int_equal(got[0], FEED_TAILNET);
	assert_int_equal(got[1], 5);
	assert_int_equal(got[2], 5);
	tnw_free(w);
}

static void
t_idmap(void **state)
{
	struct idmap m = { 0 };
	bool there[512] = { false };
	uint64_t r = 1;
	unsigned int i, id;
	int val[512];

	(void)state;
	assert_null(idmap_get(&m, 5));
	idmap_del(&m, 5);
	for (i = 0; i < 20000; i++) {
		r = r * 6364136223846793005ULL + 1;
		id = 1 + (unsigned int)(r >> 40) % 511;
		if ((r >> 33 & 3) != 0 && (i < 10000 || (r >> 35 & 3) == 0)) {
			idmap_put(&m, id, &val[id]);
			there[id] = true;
		} else {
			idmap_del(&m, id);
			there[id] = false;
		}
		if (i % 500 != 0)
			continue;
		for (id = 1; id < 512; id++)
			assert_ptr_equal(idmap_get(&m, id),
			    there[id] ? &val[id] : NULL);
	}
	idmap_free(&m);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_same_is_no_change),
		cmocka_unit_test(t_kinds),
		cmocka_unit_test(t_batch_is_atomic),
		cmocka_unit_test(t_batch_again),
		cmocka_unit_test(t_users),
		cmocka_unit_test(t_owners),
		cmocka_unit_test(t_nonsense),
		cmocka_unit_test(t_dropped),
		cmocka_unit_test(t_snapshot_differs),
		cmocka_unit_test(t_snapshot_bad),
		cmocka_unit_test(t_tombs),
		cmocka_unit_test(t_routes),
		cmocka_unit_test(t_is_router),
		cmocka_unit_test(t_expiry),
		cmocka_unit_test(t_expiry_clock),
		cmocka_unit_test(t_online_map),
		cmocka_unit_test(t_each),
		cmocka_unit_test(t_idmap)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
