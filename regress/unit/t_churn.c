/*
 * What nodes were and are no more takes no memory: classes, routes, views and
 * what these were told.
 */

#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "regress/lib/rulekit.h"
#include "regress/lib/tnworld.h"
#include "worker/tailnet/tailnets_int.h"

#define NODES	12
#define ROUNDS	6000
#define SLACK	(16UL * 1024)	/* of what varies by itself */

struct world {
	struct tnworld	*w;
	struct rulekit	 kit;
	struct replica	*r;
	struct fnode	 f[NODES];
	struct client	*client[3];
};

/* The most that is in use in the second and the last quarter of a test. */
struct peak {
	size_t		 was;
	size_t		 now;
};

static void
measure(struct peak *p, unsigned int round)
{
	size_t n = mallinfo2().uordblks;

	if (round / (ROUNDS / 4) == 1 && n > p->was)
		p->was = n;
	if (round / (ROUNDS / 4) == 3 && n > p->now)
		p->now = n;
}

static void
put(struct world *t, unsigned int k)
{
	assert_int_equal(feed_node(t->w->tn, &t->f[k]), 0);
	tnw_batch(t->w);
}

static void
settle(struct world *t)
{
	assert_null(tnw_settle(t->w));
	/* Whatever waits for a quiet moment has one. */
	fakeenv_advance(t->w->fake, 2 * US_PER_S);
	assert_null(tnw_settle(t->w));
}

/* Every other node is a router; three have streams. */
static void
start(struct world *t, bool self)
{
	struct fuser u = { 0 };
	struct buf b = { 0 };
	unsigned int i;
	uint32_t all;

	memset(t, 0, sizeof(*t));
	t->w = tnw_new(7);
	pk_init(&t->kit);
	all = pk_src(&t->kit, PK_MEMBER, PK_TAGGED, -1);
	pk_row(&t->kit, all, PK_MEMBER, 0);
	pk_row(&t->kit, all, PK_TAGGED, 0);
	pk_row(&t->kit, pk_src(&t->kit, PK_T0, PK_U1, -1), PK_AROUND, 0);
	if (self)
		pk_row(&t->kit, pk_src(&t->kit, PK_MEMBER, -1), PK_ANY,
		    POL_ROW_SELF);
	snap_tailnet(&b, "default", 2);
	snap_policy(&b, &t->kit.pol, 60000);
	for (i = 1; i <= 4; i++) {
		u.id = i;
		(void)snprintf(u.name, sizeof(u.name), "u%u", i);
		snap_user(&b, &u);
	}
	for (i = 0; i < NODES; i++) {
		fnode_init(&t->f[i], i + 1, 1 + i % 4);
		t->f[i].subnet = i % 2 == 0 ? 0 : 1 + i / 4;
		t->f[i].standby = i % 4 == 1;
		snap_node(&b, &t->f[i]);
	}
	snap_batch(&b, ++t->w->seq);
	assert_int_equal(tailnets_snapshot(t->w->tn, FEED_TAILNET, b.p, b.n),
	    0);
	buf_free(&b);
	t->r = idmap_get(&t->w->tn->by_id, FEED_TAILNET);
	for (i = 0; i < 3; i++)
		assert_non_null(t->client[i] = tnw_open(t->w, i + 1,
		    t->f[i].key, true, false));
	settle(t);
}

static void
stop(struct world *t)
{
	unsigned int i;

	settle(t);
	for (i = 0; i < 3; i++)
		assert_null(tnw_check(t->client[i]));
	pk_free(&t->kit);
	tnw_free(t->w);
	assert_int_equal(frame_bytes(), 0);
}

/* Node 6 is something else each time, of some 800 kinds. */
static void
change(struct world *t, unsigned int i)
{
	static const uint32_t addr[] = { 6, 40, 41, 300, 301 };
	struct fnode *f = &t->f[5];

	f->user = 1 + i % 4;
	f->tags = i / 4 % 4;
	f->tag_from = i / 16 % 3;
	if (f->tags != 0)
		f->user = 0;
	f->advertised = f->approved = i / 48 % 8;
	f->primary = 6;
	f->addr = addr[i / 384 % 5];
	f->subnet = i % 3 == 0 ? 0 : 1 + i % 500;
	put(t, 5);
}

static void
t_classes(void **state)
{
	unsigned int i, most = 0, renewed = 0;
	const struct ruleset *rs = NULL;
	struct peak p = { 0, 0 };
	struct world t;

	(void)state;
	start(&t, false);
	for (i = 0; i < ROUNDS; i++) {
		change(&t, i);
		if (t.r->rules->nclasses > most)
			most = t.r->rules->nclasses;
		renewed += t.r->rules != rs;
		rs = t.r->rules;
		if (i % 20 == 0)
			settle(&t);
		measure(&p, i);
	}
	settle(&t);
	assert_true(renewed > 3);
	/* Those that may be dead, and those of the nodes. */
	assert_true(most <= 256 + NODES);
	assert_true(p.now < p.was + SLACK);
	assert_true(t.r->carried.n < 2 * NODES);
	stop(&t);
}

/* That classes are made anew is no news to anybody. */
static void
t_silent(void **state)
{
	const struct mapview_count *n;
	struct mapview_count was[3];
	const struct ruleset *rs;
	unsigned int i, k;
	struct world t;

	(void)state;
	start(&t, true);
	/* Unpublished: nobody is told of it but by filters. */
	t.f[5].published = false;
	for (i = 0;; i++) {
		assert_true(i < ROUNDS);
		rs = t.r->rules;
		settle(&t);
		for (k = 0; k < 3; k++)
			was[k] = *mapview_count(t.client[k]->view);
		change(&t, i);
		if (i != 0 && t.r->rules != rs)
			break;
	}
	assert_true(i > 200);
	settle(&t);
	for (k = 0; k < 3; k++) {
		n = mapview_count(t.client[k]->view);
		assert_int_equal(n->full, was[k].full);
		assert_int_equal(n->changed, was[k].changed);
		assert_int_equal(n->patched, was[k].patched);
		assert_int_equal(n->removed, was[k].removed);
		assert_true(n->messages <= was[k].messages + 1);
	}
	/* And all goes on as before. */
	t.f[5].published = true;
	change(&t, i);
	settle(&t);
	for (k = 0; k < 3; k++)
		assert_int_equal(mapview_count(t.client[k]->view)->changed,
		    was[k].changed + 1);
	stop(&t);
}

/*
 * A stream that takes nothing keeps what it was told by, and no more than
 * that, however long the others go on.
 */
static void
t_slow(void **state)
{
	struct world t;
	unsigned int i;

	(void)state;
	start(&t, false);
	put(&t, 4);
	assert_null(tnw_settle(t.w));
	t.client[2]->slow = true;
	for (i = 0; i < 4 * ROUNDS; i++) {
		change(&t, i);
		if (i % 50 == 0)
			assert_null(tnw_settle(t.w));
		assert_true(t.r->rules->nclasses < 4 * 256 + 64);
	}
	t.client[2]->slow = false;
	stop(&t);
}

/* Routers come and go; so does what was said of them. */
static void
t_routers(void **state)
{
	unsigned int i, k;
	struct world t;
	struct peak p = { 0, 0 };
	struct fnode f;

	(void)state;
	start(&t, false);
	for (i = 0; i < ROUNDS; i++) {
		for (k = 0; k < 3; k++) {
			fnode_init(&f, 100 + 3 * i + k, 1 + i % 4);
			/* Of a subnet that others carry, too. */
			f.subnet = k == 2 ? 1 + i % 3 : 10 + i;
			f.standby = k == 1;
			assert_int_equal(feed_node(t.w->tn, &f), 0);
		}
		tnw_batch(t.w);
		if (i % 7 == 0)
			assert_null(tnw_settle(t.w));
		for (k = 0; k < 3; k++)
			assert_int_equal(feed_node_del(t.w->tn, 100 + 3 * i +
			    k), 0);
		tnw_batch(t.w);
		if (i % 7 == 3)
			assert_null(tnw_settle(t.w));
		measure(&p, i);
	}
	settle(&t);
	assert_int_equal(t.r->nrouters, NODES / 2);
	assert_true(t.r->carried.n <= NODES / 2);
	assert_true(p.now < p.was + SLACK);
	stop(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_classes),
		cmocka_unit_test(t_silent),
		cmocka_unit_test(t_slow),
		cmocka_unit_test(t_routers)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
