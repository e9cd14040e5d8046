/* Full maps from shared chunks. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <json.h>

#include "regress/lib/tnworld.h"
#include "worker/tailnet/chunk_int.h"

/* Chunks by themselves: members are numbers. */

struct member {
	unsigned int	 v;
	uint32_t	 slot;
};

static unsigned int rendered;

static void
render(const void *member, struct buf *b, const void *arg)
{
	const struct member *m = member;

	assert_string_equal(arg, "arg");
	rendered++;
	buf_printf(b, "%u", m->v);
}

static void
moved(void *member, uint32_t slot)
{
	struct member *m = member;

	m->slot = slot;
}

static const struct chunk_ops ops = { render, moved };

static void
fill(struct chunkset *cs, struct pack *p, struct member *m, unsigned int n)
{
	unsigned int i;

	chunkset_init(cs, p, &ops, "arg", 10);
	for (i = 0; i < n; i++) {
		m[i].v = i;
		m[i].slot = chunkset_add(cs, &m[i]);
		assert_int_equal(m[i].slot, i);
	}
	rendered = 0;
}

static void
t_text(void **state)
{
	struct pack *p = pack_new();
	struct member m[25];
	struct chunkset cs;
	struct buf b = { 0 };

	(void)state;
	fill(&cs, p, m, 25);
	assert_int_equal(chunkset_chunks(&cs), 3);
	assert_int_equal(chunkset_text(&cs, 2, NULL, false, &b), 5);
	assert_memory_equal(b.p, ",20,21,22,23,24", b.n);
	buf_clear(&b);
	assert_int_equal(chunkset_text(&cs, 2, &m[20], true, &b), 4);
	assert_memory_equal(b.p, "21,22,23,24", b.n);
	buf_clear(&b);
	assert_int_equal(chunkset_text(&cs, 1, &m[19], true, &b), 9);
	assert_memory_equal(b.p, "10,11,12,13,14,15,16,17,18", b.n);
	/* The last fills the gap. */
	buf_clear(&b);
	chunkset_del(&cs, 12);
	assert_int_equal(m[24].slot, 12);
	assert_int_equal(chunkset_text(&cs, 1, NULL, true, &b), 10);
	assert_memory_equal(b.p, "10,11,24,13,14,15,16,17,18,19", b.n);
	while (cs.n > 0)
		chunkset_del(&cs, cs.n / 2);
	assert_int_equal(chunkset_chunks(&cs), 0);
	chunkset_free(&cs);
	buf_free(&b);
	pack_free(p);
	assert_int_equal(frame_bytes(), 0);
}

static void
t_lag(void **state)
{
	struct pack *p = pack_new();
	struct member m[40];
	struct chunkset cs;
	struct frame *f;
	uint64_t ver;

	(void)state;
	fill(&cs, p, m, 40);
	ver = 100;
	f = chunkset_frame(&cs, 1, 5, 0, &ver);
	assert_int_equal(rendered, 10);
	assert_int_equal(ver, 100);
	/* One of ten: it lags, and its version counts. */
	chunkset_lag(&cs, 13, 3);
	chunkset_lag(&cs, 13, 6);	/* the same one again */
	assert_int_equal(cs.lagging, 1);
	assert_ptr_equal(chunkset_frame(&cs, 1, 9, 0, &ver), f);
	assert_int_equal(ver, 5);
	assert_int_equal(rendered, 10);
	ver = 4;
	(void)chunkset_frame(&cs, 1, 9, 0, &ver);
	assert_int_equal(ver, 4);
	/* Two: still; three are more than a quarter. */
	chunkset_lag(&cs, 14, 0);
	assert_int_equal(cs.lagging, 1);
	chunkset_lag(&cs, 15, 0);
	assert_int_equal(cs.lagging, 0);
	ver = 100;
	(void)chunkset_frame(&cs, 1, 9, 0, &ver);
	assert_int_equal(ver, 100);
	assert_int_equal(rendered, 20);
	/* It may not lag behind some version. */
	chunkset_lag(&cs, 13, 0);
	(void)chunkset_frame(&cs, 1, 12, 9, &ver);
	assert_int_equal(ver, 9);
	ver = 100;
	(void)chunkset_frame(&cs, 1, 12, 10, &ver);
	assert_int_equal(ver, 100);
	assert_int_equal(rendered, 30);
	/* What was never made does not lag. */
	chunkset_lag(&cs, 25, 0);
	assert_int_equal(cs.lagging, 0);
	chunkset_free(&cs);
	pack_free(p);
}

static void
t_freshen(void **state)
{
	struct pack *p = pack_new();
	struct member m[40];
	struct chunkset cs;
	uint64_t ver = 100;
	uint32_t k;

	(void)state;
	fill(&cs, p, m, 40);
	assert_false(chunkset_freshen(&cs, 1));
	for (k = 0; k < 4; k++)
		(void)chunkset_frame(&cs, k, 5, 0, &ver);
	rendered = 0;
	chunkset_lag(&cs, 5, 0);
	chunkset_lag(&cs, 25, 0);
	chunkset_lag(&cs, 35, 0);
	/* One at a time. */
	assert_true(chunkset_freshen(&cs, 7));
	assert_int_equal(rendered, 10);
	assert_true(chunkset_freshen(&cs, 7));
	assert_false(chunkset_freshen(&cs, 7));
	assert_false(chunkset_freshen(&cs, 7));
	assert_int_equal(rendered, 30);
	chunkset_spoil(&cs, 5);
	assert_false(chunkset_freshen(&cs, 8));
	chunkset_free(&cs);
	assert_int_equal(frame_bytes(), 0);
	pack_free(p);
}

static void
t_parts(void **state)
{
	struct parts ps = { 0 };
	unsigned int i;
	char c;

	(void)state;
	for (i = 0; i < 40; i++) {
		c = (char)('a' + i % 26);
		parts_add(&ps, frame_new(&c, 1));
	}
	parts_close(&ps);
	assert_int_equal(ps.n, 41);
	assert_int_equal(ps.frame[0]->len, 4);
	assert_memory_equal(ps.frame[0]->data, "\x28\0\0\0", 4);
	assert_int_equal(ps.frame[1]->data[0], 'a');
	parts_limit(&ps, 50);
	assert_int_equal(ps.n, 41);
	parts_limit(&ps, 3);
	assert_int_equal(ps.n, 3);
	assert_int_equal(ps.frame[2]->len, 39);
	assert_memory_equal(ps.frame[2]->data, "bcd", 3);
	parts_limit(&ps, 1);
	assert_int_equal(ps.frame[0]->len, 44);
	parts_free(&ps);
	assert_int_equal(frame_bytes(), 0);
}

/* Maps of a world. */

/* A one-shot map, decoded; its frames in f. */
static struct mapview *
once(struct tnworld *w, uint64_t id, bool compress, struct frame **f, size_t *n)
{
	struct stream_conf sc = { 0 };
	struct mapview *v = mapview_new(id, compress);
	const char *why;
	size_t i;

	sc.tailnet = FEED_TAILNET;
	sc.node = id;
	sc.capver = 148;
	sc.compress = compress;
	*n = map_once(w->tn, &sc, f, 200);
	assert_in_range(*n, 1, 200);
	for (i = 0; i < *n; i++)
		if ((why = mapview_input(v, f[i]->data, f[i]->len)) != NULL)
			fail_msg("%s", why);
	assert_true(mapview_whole(v));
	assert_int_equal(mapview_count(v)->full, 1);
	return v;
}

static void
done(struct mapview *v, struct frame **f, size_t n)
{
	mapview_free(v);
	while (n > 0)
		frame_unref(f[--n]);
}

/* Everyone sees everyone else once at least, at each size. */
static void
t_sizes(void **state)
{
	static const unsigned int size[] = { 1, 2, 3, 15, 16, 17, 49, 50, 51,
	    52, 99, 100, 101, 102, 151 };
	struct frame *f[200];
	struct mapview *v;
	struct tnworld *w;
	unsigned int i, id, peer;
	size_t n;
	bool zip;

	(void)state;
	for (i = 0; i < sizeof(size) / sizeof(size[0]); i++) {
		w = tnw_published(size[i]);
		for (id = 1; id <= size[i]; id++) {
			zip = id % 8 != 3;
			v = once(w, id, zip, f, &n);
			assert_int_equal(mapview_peers(v), size[i] - 1);
			for (peer = 1; peer <= size[i]; peer++)
				if (peer != id)
					assert_non_null(mapview_peer(v, peer));
			done(v, f, n);
		}
		tnw_free(w);
	}
	assert_int_equal(frame_bytes(), 0);
}

static void
t_shared(void **state)
{
	struct tnworld *w = tnw_published(300);
	struct frame *f[200], *g[200];
	struct mapview *v, *u;
	size_t n, k, i, same = 0;

	(void)state;
	v = once(w, 10, true, f, &n);
	u = once(w, 20, true, g, &k);
	/* Prefix, head, own part, five chunks, tail; own parts differ. */
	assert_int_equal(n, 9);
	assert_int_equal(k, 9);
	for (i = 0; i < n; i++)
		same += f[i] == g[i];
	assert_int_equal(same, 7);
	assert_int_equal(f[0]->len, 4);
	done(u, g, k);
	/* A viewer of another chunk shares the others. */
	u = once(w, 299, true, g, &k);
	assert_ptr_equal(f[3], g[4]);
	assert_ptr_equal(f[6], g[7]);
	done(u, g, k);
	done(v, f, n);
	tnw_free(w);
}

/* A viewer who is in no group: the first shared peer comes twice. */
static void
t_outsider(void **state)
{
	struct tnworld *w = tnw_published(120);
	struct frame *f[200];
	struct mapview *v;
	struct fnode n;
	size_t k;

	(void)state;
	fnode_init(&n, 500, 0);
	n.tags = 1;
	n.published = false;
	assert_int_equal(feed_node(w->tn, &n), 0);
	tnw_batch(w);
	v = once(w, 500, true, f, &k);
	assert_int_equal(mapview_peers(v), 120);
	/* Its own profile is there though nobody has it among peers. */
	assert_non_null(mapview_profile(v, (1ULL << 53) - 1));
	assert_non_null(mapview_profile(v, 1));
	done(v, f, k);
	v = once(w, 1, true, f, &k);
	assert_int_equal(mapview_peers(v), 119);
	assert_null(mapview_profile(v, (1ULL << 53) - 1));
	done(v, f, k);
	tnw_free(w);
}

/* Many owners: their profiles are shared, too. */
static void
t_profiles(void **state)
{
	struct tnworld *w = tnw_new(1);
	struct frame *f[200], *g[200];
	struct mapview *v, *u;
	struct buf b = { 0 };
	struct fuser user = { 0 };
	struct fnode n;
	unsigned int i;
	size_t k, m;

	(void)state;
	snap_tailnet(&b, "default", 1);
	for (i = 1; i <= 450; i++) {
		user.id = i;
		(void)snprintf(user.name, sizeof(user.name), "u%u", i);
		snap_user(&b, &user);
		fnode_init(&n, i, i);
		snap_node(&b, &n);
	}
	snap_batch(&b, 1);
	assert_int_equal(tailnets_snapshot(w->tn, FEED_TAILNET, b.p, b.n), 0);
	buf_free(&b);
	v = once(w, 1, true, f, &k);
	u = once(w, 2, true, g, &m);
	for (i = 1; i <= 450; i++)
		assert_non_null(mapview_profile(v, i));
	/* prefix, head, own, three of profiles, own peers ... */
	assert_ptr_equal(f[3], g[3]);
	assert_ptr_equal(f[5], g[5]);
	assert_ptr_not_equal(f[6], g[6]);
	done(v, f, k);
	done(u, g, m);
	tnw_free(w);
}

static const char *
text_of(const struct client *c, uint64_t id, const char *member)
{
	return json_object_get_string(json_object_object_get(
	    mapview_peer(c->view, id), member));
}

/*
 * What invalidates at once is in the first map; what does not comes in a
 * patch right after it (state.md 5).
 */
static void
t_lagging_map(void **state)
{
	struct tnworld *w = tnw_published(120);
	struct client *a, *b, *c;
	struct fnode f;

	(void)state;
	a = tnw_open(w, 1, 1, true, false);
	assert_null(tnw_settle(w));
	fnode_init(&f, 100, 1);
	f.endpoint = 4321;
	f.derp = 950;
	assert_int_equal(feed_node(w->tn, &f), 0);
	tnw_batch(w);
	b = tnw_open(w, 2, 2, true, false);
	b->slow = true;
	fakeenv_advance(w->fake, 0);
	assert_int_equal(b->outs, 1);
	tnw_take(b);
	assert_string_equal(text_of(b, 100, "HomeDERP"), "900");
	fakeenv_advance(w->fake, 60 * US_PER_MS);
	assert_int_equal(b->outs, 2);
	tnw_take(b);
	assert_string_equal(text_of(b, 100, "HomeDERP"), "950");
	assert_int_equal(mapview_count(b->view)->patched, 1);
	/* In the background it is made afresh. */
	fakeenv_advance(w->fake, 2 * US_PER_S);
	c = tnw_open(w, 3, 3, true, false);
	c->slow = true;
	fakeenv_advance(w->fake, 0);
	tnw_take(c);
	assert_string_equal(text_of(c, 100, "HomeDERP"), "950");
	fakeenv_advance(w->fake, 2 * US_PER_S);
	assert_int_equal(c->outs, 1);
	/* A name is right at once. */
	(void)snprintf(f.name, sizeof(f.name), "renamed");
	assert_int_equal(feed_node(w->tn, &f), 0);
	tnw_batch(w);
	b = tnw_open(w, 4, 4, true, false);
	b->slow = true;
	fakeenv_advance(w->fake, 0);
	tnw_take(b);
	assert_string_equal(text_of(b, 100, "Name"), "renamed.ts.example.");
	/* So is an expiry, which a patch could say. */
	f.expiry = FAKEENV_WALL + 1000;
	assert_int_equal(feed_node(w->tn, &f), 0);
	tnw_batch(w);
	b = tnw_open(w, 5, 5, true, false);
	b->slow = true;
	fakeenv_advance(w->fake, 0);
	tnw_take(b);
	assert_non_null(text_of(b, 100, "KeyExpiry"));
	assert_null(tnw_settle(w));
	assert_null(tnw_check(a));
	tnw_free(w);
}

/* One-shot maps never lag. */
static void
t_once_is_fresh(void **state)
{
	struct tnworld *w = tnw_published(120);
	struct frame *f[200];
	struct mapview *v;
	struct fnode n;
	size_t k;

	(void)state;
	v = once(w, 1, true, f, &k);
	done(v, f, k);
	fnode_init(&n, 100, 1);
	n.derp = 950;
	assert_int_equal(feed_node(w->tn, &n), 0);
	tnw_batch(w);
	v = once(w, 1, true, f, &k);
	assert_int_equal(json_object_get_int(json_object_object_get(
	    mapview_peer(v, 100), "HomeDERP")), 950);
	done(v, f, k);
	tnw_free(w);
}

static void
t_once_limits(void **state)
{
	struct tnworld *w = tnw_published(300);
	struct stream_conf sc = { .tailnet = FEED_TAILNET, .node = 999 };
	struct frame *f[2];
	struct mapview *v;

	(void)state;
	assert_int_equal(map_once(w->tn, &sc, f, 2), 0);
	sc.node = 1;
	sc.compress = true;
	assert_int_equal(map_once(w->tn, &sc, f, 0), 0);
	assert_int_equal(map_once(w->tn, &sc, f, 2), 2);
	v = mapview_new(1, true);
	assert_null(mapview_input(v, f[0]->data, f[0]->len));
	assert_null(mapview_input(v, f[1]->data, f[1]->len));
	assert_int_equal(mapview_peers(v), 299);
	mapview_free(v);
	frame_unref(f[0]);
	frame_unref(f[1]);
	sc.tailnet++;
	assert_int_equal(map_once(w->tn, &sc, f, 2), 0);
	tnw_free(w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_text), cmocka_unit_test(t_lag),
		cmocka_unit_test(t_freshen), cmocka_unit_test(t_parts),
		cmocka_unit_test(t_sizes), cmocka_unit_test(t_shared),
		cmocka_unit_test(t_outsider), cmocka_unit_test(t_profiles),
		cmocka_unit_test(t_lagging_map),
		cmocka_unit_test(t_once_is_fresh),
		cmocka_unit_test(t_once_limits)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
