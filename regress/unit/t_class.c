/* Classes: what a policy tells nodes apart by, and who sees whom. */

#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/log.h"
#include "regress/lib/rulekit.h"
#include "regress/lib/tnworld.h"
#include "worker/tailnet/tailnets_int.h"

#define MANY	24
#define SEEDS	300

struct world {
	struct tnworld	*w;
	struct rulekit	 kit;
	struct replica	*r;
	struct fnode	 f[MANY];
};

static void
start(struct world *t, uint64_t seed)
{
	struct fuser u = { 0 };
	struct buf b = { 0 };
	unsigned int i;

	memset(t, 0, sizeof(*t));
	t->w = tnw_new(seed);
	pk_init(&t->kit);
	snap_tailnet(&b, "default", 2);
	snap_policy(&b, &t->kit.pol, 60000);
	for (i = 1; i <= 4; i++) {
		u.id = i;
		(void)snprintf(u.name, sizeof(u.name), "u%u", i);
		snap_user(&b, &u);
	}
	snap_batch(&b, ++t->w->seq);
	assert_int_equal(tailnets_snapshot(t->w->tn, FEED_TAILNET, b.p, b.n),
	    0);
	buf_free(&b);
	t->r = idmap_get(&t->w->tn->by_id, FEED_TAILNET);
}

static void
stop(struct world *t)
{
	pk_free(&t->kit);
	tnw_free(t->w);
}

static void
use_policy(struct world *t)
{
	assert_int_equal(feed_policy(t->w->tn, &t->kit.pol, 0), 0);
	tnw_batch(t->w);
	assert_null(t->w->why);
}

/* Node k + 1, sent as it is now. */
static void
put(struct world *t, unsigned int k)
{
	assert_int_equal(feed_node(t->w->tn, &t->f[k]), 0);
}

static struct node *
node(struct world *t, unsigned int k)
{
	return idmap_get(&t->r->nodes, k + 1);
}

static struct class *
class(struct world *t, unsigned int k)
{
	return node(t, k)->class;
}

/* Members of all classes are the nodes, each once. */
static void
check_lists(struct world *t)
{
	const struct node *n;
	struct class *c;
	uint32_t i, all = 0, k;

	for (i = 0; i < t->r->rules->nclasses; i++) {
		c = t->r->rules->class[i];
		assert_int_equal(c->index, i);
		k = 0;
		TAILQ_FOREACH(n, &c->members, member) {
			assert_ptr_equal(n->class, c);
			k++;
		}
		assert_int_equal(k, c->nmembers);
		all += k;
	}
	assert_int_equal(all, t->r->nnodes);
}

static void
t_share(void **state)
{
	struct world t;
	unsigned int i;

	(void)state;
	start(&t, 1);
	pk_row(&t.kit, pk_src(&t.kit, PK_T1, PK_U1, -1), PK_NODE3, 0);
	use_policy(&t);
	for (i = 0; i < 8; i++) {
		fnode_init(&t.f[i], i + 1, 1 + i % 4);
		t.f[i].addr = i == 2 ? 3 : i + 11;
		if (i >= 6) {
			t.f[i].user = 0;
			t.f[i].tags = 1;
			t.f[i].tag_from = i == 6 ? 1 : 5;
		}
		t.f[i].published = i != 4;
		put(&t, i);
	}
	tnw_batch(t.w);
	check_lists(&t);
	/* Users 1 to 4, 3's with the address; tags t1 and t5. */
	assert_int_equal(t.r->rules->nclasses, 6);
	assert_ptr_equal(class(&t, 0), class(&t, 4));
	assert_ptr_equal(class(&t, 1), class(&t, 5));
	assert_ptr_not_equal(class(&t, 1), class(&t, 2));
	assert_false(class(&t, 0)->self);
	assert_true(class_sees(class(&t, 0), class(&t, 2), false));
	assert_true(class_sees(class(&t, 2), class(&t, 6), false));
	assert_false(class_sees(class(&t, 2), class(&t, 1), false));
	/* Another owner. */
	t.f[1].user = 4;
	put(&t, 1);
	tnw_batch(t.w);
	assert_ptr_equal(class(&t, 1), class(&t, 3));
	assert_int_equal(node(&t, 1)->placed->id, 4);
	check_lists(&t);
	assert_int_equal(feed_node_del(t.w->tn, 3), 0);
	tnw_batch(t.w);
	check_lists(&t);
	stop(&t);
}

/* A router of the tailnet's own addresses hits what these do. */
static void
t_wide(void **state)
{
	struct world t;
	struct class *c;
	unsigned int i;

	(void)state;
	start(&t, 1);
	pk_row(&t.kit, pk_src(&t.kit, PK_U1, -1), PK_T1, 0);
	use_policy(&t);
	for (i = 0; i < 3; i++) {
		fnode_init(&t.f[i], i + 1, i == 2 ? 0 : 1 + i);
		t.f[i].tags = i == 2;
		t.f[i].tag_from = 3;
	}
	t.f[1].advertised = t.f[1].approved = 8;	/* 100.64.0.0/24 */
	for (i = 0; i < 3; i++)
		put(&t, i);
	tnw_batch(t.w);
	check_lists(&t);
	c = class(&t, 1);
	assert_ptr_equal(c->only, node(&t, 1));
	/* It carries user 1's node: a source.  Nobody has t1 yet. */
	assert_true(ROW_HAS(c->src, 0));
	assert_false(ROW_HAS(c->dst, 0));
	t.f[2].tag_from = 1;
	put(&t, 2);
	tnw_batch(t.w);
	check_lists(&t);
	assert_ptr_not_equal(class(&t, 1), c);
	assert_true(ROW_HAS(class(&t, 1)->dst, 0));
	assert_true(class_sees(class(&t, 1), class(&t, 0), false));
	/* And no longer. */
	assert_int_equal(feed_node_del(t.w->tn, 3), 0);
	tnw_batch(t.w);
	assert_false(ROW_HAS(class(&t, 1)->dst, 0));
	assert_ptr_not_equal(class(&t, 1), c);
	check_lists(&t);
	stop(&t);
}

static void
draw(struct world *t, unsigned int k)
{
	struct fnode *f = &t->f[k];
	struct env *env = t->w->env;

	fnode_init(f, k + 1, env_uniform(env, 4));
	if (f->user == 0)
		f->tags = 1 + env_uniform(env, 3);
	f->tag_from = env_uniform(env, 4);
	if (env_uniform(env, 3) == 0)
		f->advertised = f->approved = env_uniform(env, 8);
}

/* The same answers as one row after the other, for all pairs. */
static void
t_random(void **state)
{
	struct pk_node n[MANY];
	struct world t;
	unsigned int a, b, seen = 0;
	uint64_t seed;
	bool same, want;

	(void)state;
	for (seed = 1; seed <= SEEDS; seed++) {
		start(&t, seed);
		pk_free(&t.kit);
		pk_random(&t.kit, t.w->env);
		use_policy(&t);
		for (a = 0; a < MANY; a++) {
			draw(&t, a);
			put(&t, a);
			pk_node(&n[a], &t.kit, &t.f[a]);
		}
		tnw_batch(t.w);
		check_lists(&t);
		for (a = 0; a < MANY; a++) {
			for (b = 0; b < MANY; b++) {
				same = t.f[a].user == t.f[b].user &&
				    t.f[a].user != 0;
				want = pol_visible(pk_pol(&t.kit), &n[a].node,
				    &n[a].hits, &n[b].node, &n[b].hits);
				assert_int_equal(class_sees(class(&t, a),
				    class(&t, b), same), want);
				seen += want;
			}
		}
		for (a = 0; a < MANY; a++)
			pk_node_free(&n[a]);
		stop(&t);
	}
	assert_true(seen > 100 * SEEDS);
}

static void
many(struct world *t)
{
	struct fnode f;
	unsigned int i;

	for (i = 1; i <= 10000; i++) {
		fnode_init(&f, i, i % 4);
		if (f.user == 0) {
			f.tags = 1 + i / 4 % 3;
			f.tag_from = i % 4;
		}
		if (i % 500 == 0)
			f.advertised = f.approved = f.primary = 7;
		assert_int_equal(feed_node(t->w->tn, &f), 0);
	}
	tnw_batch(t->w);
}

/* Makes a map, and all that is kept for it. */
static void
look(struct world *t, uint64_t id)
{
	struct stream_conf sc = { 0 };
	struct frame *f[8];
	size_t i, n;

	sc.tailnet = FEED_TAILNET;
	sc.node = id;
	sc.capver = 148;
	sc.compress = true;
	n = map_once(t->w->tn, &sc, f, 8);
	assert_int_not_equal(n, 0);
	for (i = 0; i < n; i++)
		frame_unref(f[i]);
}

/* Octets in use, for all that the policy needs of 10,000 nodes. */
static void
t_memory(void **state)
{
	const size_t most = 16 * 1024 * 1024;
	struct world t;
	unsigned int i, k;
	size_t before, after;

	(void)state;
	start(&t, 1);
	many(&t);
	assert_int_equal(feed_tailnet(t.w->tn, "default", 1), 0);
	tnw_batch(t.w);
	for (k = 1; k <= 10000; k += 97)
		look(&t, k);
	fakeenv_advance(t.w->fake, 2 * US_PER_S);
	before = mallinfo2().uordblks + mallinfo2().hblkhd;
	/* Twenty-four rows of all kinds; old policies are let go. */
	for (i = 0; i < 5; i++) {
		do {
			pk_free(&t.kit);
			pk_random(&t.kit, t.w->env);
		} while (t.kit.pol.nrows < 8);
		assert_int_equal(feed_tailnet(t.w->tn, "default", 2), 0);
		use_policy(&t);
		for (k = 1; k <= 10000; k += 97)
			look(&t, k);
		fakeenv_advance(t.w->fake, 2 * US_PER_S);
	}
	assert_null(t.r->old_rules);
	assert_int_equal(t.r->nmoves, 0);
	after = mallinfo2().uordblks + mallinfo2().hblkhd;
	if (after > before + most)
		fail_msg("%zu octets", after - before);
	assert_null(t.w->why);
	stop(&t);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_share),
		cmocka_unit_test(t_wide),
		cmocka_unit_test(t_random),
		cmocka_unit_test(t_memory)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
