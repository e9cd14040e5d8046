/*
 * Chunks of nodes with routes: what is said of them depends on the viewer, so
 * each view keeps its own.
 */

#include <stdlib.h>

#include "worker/tailnet/replica_int.h"
#include "worker/tailnet/tailnets_int.h"

struct vframe {
	struct frame	*frame;
	uint64_t	 ver;		/* of the replica */
	uint32_t	 moves;		/* of the chunk */
};

static uint32_t
last(const struct group *g, uint32_t k)
{
	uint32_t end = (k + 1) * CHUNK_NODES;

	return end < g->nodes.n ? end : g->nodes.n;
}

static bool
is_good(const struct replica *r, const struct vframe *f,
    const struct group *g, uint32_t k)
{
	const struct node *n;
	uint32_t i;

	if (f->frame == NULL || f->ver < r->vary_ver || f->ver < r->all_ver ||
	    f->moves != chunkset_moves(&g->nodes, k))
		return false;
	for (i = k * CHUNK_NODES; i < last(g, k); i++) {
		n = g->nodes.member[i];
		if (n->mark.ver > f->ver || n->vary_ver > f->ver)
			return false;
	}
	return true;
}

static void
make(struct replica *r, struct view *v, struct vframe *f,
    const struct group *g, uint32_t k)
{
	struct buf t = { 0 };
	uint32_t i;

	for (i = k * CHUNK_NODES; i < last(g, k); i++) {
		buf_u8(&t, ',');
		view_put(r, v, g->nodes.member[i], &t);
	}
	frame_unref(f->frame);
	f->frame = pack_frame(r->tn->pack, &t);
	f->ver = r->ver;
	f->moves = chunkset_moves(&g->nodes, k);
	buf_free(&t);
}

struct frame *
varied_frame(struct replica *r, struct view *v, const struct group *g,
    uint32_t k)
{
	uint64_t key = ((uint64_t)g->index << 32 | k) + 1;
	struct vframe *f = idmap_get(&v->varied, key);

	if (f == NULL) {
		f = xcalloc(1, sizeof(*f));
		idmap_put(&v->varied, key, f);
	}
	if (!is_good(r, f, g, k))
		make(r, v, f, g, k);
	return f->frame;
}

void
varied_free(struct view *v)
{
	struct vframe *f;
	size_t i;

	for (i = 0; v->varied.key != NULL && i <= v->varied.mask; i++) {
		if ((f = v->varied.val[i]) == NULL)
			continue;
		frame_unref(f->frame);
		free(f);
	}
	idmap_free(&v->varied);
}
