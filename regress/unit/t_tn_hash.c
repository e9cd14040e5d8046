/*
 * Clients choose their routes and node keys: whatever they choose, tables of
 * them stay fast, and nothing that a map says depends on how they are hashed.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "regress/lib/tnworld.h"
#include "worker/tailnet/class_int.h"
#include "worker/tailnet/tailnets_int.h"

#define ROUTERS		8
#define ROUTES		1000	/* of each */
#define KEYS		600
#define SLOTS		1024	/* of a table of so many */
#define STEPS		32	/* that a look-up may take, on average */

/* What idmap multiplies by, and a plain hash of its keys may, too. */
#define SPREAD		UINT64_C(0x9e3779b97f4a7c15)

/* The number that takes back a multiplication by another, an odd one. */
static uint64_t
inverse(uint64_t v)
{
	uint64_t x = v;
	unsigned int i;

	for (i = 0; i < 6; i++)
		x *= 2 - v * x;
	return x;
}

static uint64_t
mix(uint64_t h, uint64_t v)
{
	h = (h ^ v) * SPREAD;
	return h ^ h >> 32;
}

/* The k-th /128 of fd00::/64 that mix() brings to one slot of all tables. */
static struct prefix
one_slot(uint32_t k)
{
	struct prefix p = { { 6, { 0xfd } }, 128 };
	uint64_t first, h;

	memcpy(&first, p.addr.b, sizeof(first));
	h = (k | UINT64_C(1) << 53) * inverse(SPREAD);
	h = (h ^ h >> 32) * inverse(SPREAD) ^
	    mix((uint64_t)p.addr.family << 8 | p.bits, first);
	memcpy(p.addr.b + 8, &h, sizeof(h));
	return p;
}

static void
list(struct msg_list *l, struct buf *b, uint32_t from)
{
	struct r_route r;
	uint32_t i;

	buf_clear(b);
	memset(l, 0, sizeof(*l));
	for (i = 0; i < ROUTES; i++) {
		r.v = one_slot(from + i);
		msg_list_add(l, b, MR_ROUTE, &r);
	}
	msg_list_close(l, b);
}

/* A router of the k-th thousand of those routes. */
static void
put_router(struct tnworld *w, uint32_t k)
{
	struct m_db_node_put *put;
	struct buf b[FEED_LISTS];
	struct fnode f;
	struct msg m;

	fnode_init(&f, k + 1, 1);
	msg_init(&m, M_DB_NODE_PUT);
	put = &m.u.db_node_put;
	put->tailnet = FEED_TAILNET;
	fnode_record(&f, &put->node, b);
	list(&put->node.approved, &b[2], k * ROUTES);
	list(&put->node.primary, &b[6], k * ROUTES);
	list(&put->node.hostinfo.routes, &b[4], k * ROUTES);
	assert_int_equal(tailnets_apply(w->tn, &m), 0);
	fnode_record_free(b);
}

static struct replica *
replica(struct tnworld *w)
{
	struct replica *r = idmap_get(&w->tn->by_id, FEED_TAILNET);

	assert_non_null(r);
	return r;
}

static struct tnworld *
routers(uint64_t seed, uint32_t n)
{
	struct fuser u = { 1, "u1", 0 };
	struct tnworld *w = tnw_new(seed);
	struct buf b = { 0 };
	uint32_t k;

	snap_tailnet(&b, "default", 1);
	snap_user(&b, &u);
	snap_batch(&b, ++w->seq);
	assert_int_equal(tailnets_snapshot(w->tn, FEED_TAILNET, b.p, b.n), 0);
	buf_free(&b);
	for (k = 0; k < n; k++)
		put_router(w, k);
	tnw_batch(w);
	return w;
}

/* What looking up each key once costs at most: nobody steps over a gap. */
static uint64_t
steps(const struct idmap *m)
{
	uint64_t sum = 0, run = 0;
	size_t i;

	for (i = 0; i <= m->mask; i++) {
		run = m->key[i] != 0 ? run + 1 : 0;
		/* The one more makes this the square of the whole run. */
		sum += run == 0 ? 0 : 2 * run - 1;
	}
	return sum;
}

static void
t_routes(void **state)
{
	struct tnworld *w = routers(1, ROUTERS);
	const struct idmap *m = &replica(w)->carried;

	(void)state;
	/* Each under a hash of its own, and near where that leads. */
	assert_int_equal(m->n, ROUTERS * ROUTES);
	assert_true(steps(m) <= (uint64_t)STEPS * m->n);
	tnw_free(w);
}

/* The next key that FNV-1a and idmap bring to one slot. */
static void
next_key(uint8_t key[32], uint32_t *last)
{
	uint64_t h;
	unsigned int i;

	memset(key, 0, 32);
	do {
		++*last;
		memcpy(key + 28, last, sizeof(*last));
		h = UINT64_C(0xcbf29ce484222325);
		for (i = 0; i < 32; i++)
			h = (h ^ key[i]) * UINT64_C(0x100000001b3);
	} while ((h * SPREAD >> 32) % SLOTS != 7);
}

static void
t_keys(void **state)
{
	struct tnworld *w = routers(1, 0);
	uint8_t key[KEYS + 1][32];
	struct buf b[FEED_LISTS];
	uint32_t i, last = 0;
	struct fnode f;
	struct msg m;

	(void)state;
	for (i = 1; i <= KEYS; i++) {
		fnode_init(&f, i, 1);
		f.subnet = i;
		msg_init(&m, M_DB_NODE_PUT);
		m.u.db_node_put.tailnet = FEED_TAILNET;
		fnode_record(&f, &m.u.db_node_put.node, b);
		next_key(key[i], &last);
		memcpy(m.u.db_node_put.node.node_key, key[i], 32);
		assert_int_equal(tailnets_apply(w->tn, &m), 0);
		fnode_record_free(b);
	}
	tnw_batch(w);
	assert_int_equal(w->tn->routers.n, KEYS);
	assert_true(steps(&w->tn->routers) <= (uint64_t)STEPS * KEYS);
	for (i = 1; i <= KEYS; i++) {
		assert_true(tailnets_is_router(w->tn, key[i]));
		if (i % 2 == 0)
			assert_int_equal(feed_node_del(w->tn, i), 0);
	}
	tnw_batch(w);
	for (i = 1; i <= KEYS; i++)
		assert_int_equal(tailnets_is_router(w->tn, key[i]), i % 2);
	tnw_free(w);
}

/* The whole map of the second router. */
static void
map_of(struct tnworld *w, struct buf *b)
{
	struct stream_conf sc = { .tailnet = FEED_TAILNET, .node = 2,
	    .capver = 148 };
	struct frame *f[32];
	size_t i, n;

	n = map_once(w->tn, &sc, f, 32);
	assert_int_not_equal(n, 0);
	for (i = 0; i < n; i++) {
		buf_put(b, f[i]->data, f[i]->len);
		frame_unref(f[i]);
	}
}

/* Another process has another secret: other hashes, and the same maps. */
static void
t_secret(void **state)
{
	struct tnworld *w[2] = { routers(1, 3), routers(2, 3) };
	struct tnworld *again = routers(1, 3);
	struct buf b[2] = { { 0 }, { 0 } };
	const struct node *n[2];
	unsigned int i;

	(void)state;
	for (i = 0; i < 2; i++) {
		n[i] = idmap_get(&replica(w[i])->nodes, 2);
		assert_non_null(n[i]->load);
		map_of(w[i], &b[i]);
	}
	assert_int_not_equal(load_hash(n[0]->load), load_hash(n[1]->load));
	assert_int_not_equal(carrier_hash(&n[0]->carrier[0]),
	    carrier_hash(&n[1]->carrier[0]));
	assert_int_not_equal(n[0]->class->hash, n[1]->class->hash);
	assert_int_equal(b[0].n, b[1].n);
	assert_true(b[0].n > ROUTES);
	assert_memory_equal(b[0].p, b[1].p, b[0].n);
	/* One of the same seed is the same: what was simulated is replayed. */
	n[1] = idmap_get(&replica(again)->nodes, 2);
	assert_int_equal(load_hash(n[0]->load), load_hash(n[1]->load));
	for (i = 0; i < 2; i++) {
		tnw_free(w[i]);
		buf_free(&b[i]);
	}
	tnw_free(again);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_routes),
		cmocka_unit_test(t_keys),
		cmocka_unit_test(t_secret),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
