#include <stdlib.h>

#include "common/json.h"
#include "worker/tailnet/derpmap.h"
#include "worker/tailnet/fullmap_int.h"
#include "worker/tailnet/mapjson_int.h"
#include "worker/tailnet/tailnets_int.h"

/* A map while it is put together. */
struct builder {
	struct replica	*r;
	const struct fullmap *m;
	struct parts	*parts;
	struct buf	 text;		/* not yet in a frame */
	uint64_t	 least;		/* chunks may not lag behind it */
	uint64_t	 ver;
};

/* What is written so far becomes a frame. */
static void
flush(struct builder *b)
{
	if (b->text.n == 0)
		return;
	parts_add(b->parts, pack_frame(b->r->tn->pack, &b->text));
	buf_clear(&b->text);
}

/* What all with one view are told alike; the object stays open. */
static void
head_text(const struct replica *r, const struct view *v, struct buf *b)
{
	struct json j;

	json_init(&j, b);
	json_obj(&j);
	if (r->tn->derpmap != NULL) {
		json_key(&j, "DERPMap");
		json_raw(&j, derpmap_json(r->tn->derpmap));
	}
	json_key(&j, "DNSConfig");
	json_raw(&j, buf_slice_of(&r->dns));
	json_key(&j, "Domain");
	json_str(&j, buf_slice_of(&r->domain));
	json_key(&j, "CollectServices");
	json_bool(&j, false);
	buf_str(b, ",\"PacketFilters\":");
	mapjson_filters(b, v->allow);
	if (r->tn->conf.disable_logtail) {
		json_key(&j, "Debug");
		json_raw(&j, slice_str("{\"DisableLogTail\":true}"));
	}
}

static void
put_head(struct builder *b)
{
	struct view *v = b->m->view;
	struct buf t = { 0 };

	if (!b->m->compress) {
		head_text(b->r, v, &b->text);
		return;
	}
	if (v->head == NULL) {
		head_text(b->r, v, &t);
		v->head = pack_frame(b->r->tn->pack, &t);
		buf_free(&t);
	}
	parts_add(b->parts, frame_ref(v->head));
}

void
fullmap_self(const struct replica *r, const struct fullmap *m, struct buf *b)
{
	struct self_conf sc;

	sc.key = m->key;
	sc.capver = m->capver;
	sc.caps = buf_slice_of(&r->tn->caps);
	sc.tailnet = slice_str(r->stable_id);
	mapjson_self(b, m->node, buf_slice_of(&r->domain), &sc);
}

static void
put_self(struct builder *b)
{
	char t[32];

	buf_str(&b->text, ",\"Node\":");
	fullmap_self(b->r, b->m, &b->text);
	(void)time_rfc3339(t, env_wall(b->r->tn->env));
	buf_printf(&b->text, ",\"ControlTime\":\"%s\"", t);
}

/* Chunk k of a set: shared, or as text. */
static void
put_chunk(struct builder *b, struct chunkset *cs, uint32_t k)
{
	struct frame *f;

	if (!b->m->compress) {
		(void)chunkset_text(cs, k, NULL, false, &b->text);
		return;
	}
	flush(b);
	f = chunkset_frame(cs, k, b->r->ver, b->least, &b->ver);
	parts_add(b->parts, frame_ref(f));
}

/* The viewer's own profile, then those of the owners of all it sees. */
static void
put_users(struct builder *b)
{
	const struct user *own = b->m->node->user;
	struct group *g;
	uint32_t k;

	buf_str(&b->text, ",\"UserProfiles\":[");
	buf_put(&b->text, own->profile, own->profile_n);
	TAILQ_FOREACH(g, &b->r->groups, link) {
		if (!view_sees(b->m->view, g))
			continue;
		if (g->users.n < CHUNK_LEAST) {
			if (g->users.n != 0)
				(void)chunkset_text(&g->users, 0, NULL, false,
				    &b->text);
			continue;
		}
		for (k = 0; k < chunkset_chunks(&g->users); k++)
			put_chunk(b, &g->users, k);
	}
	buf_str(&b->text, "]");
}

/*
 * What is the viewer's own of the list of peers, without a comma in front:
 * small groups, and its own chunk without it.  If that is nothing, the first
 * of the shared chunks is repeated: clients key by id.
 */
static void
put_own_peers(struct builder *b)
{
	const struct node *self = b->m->node;
	struct group *g, *big = NULL;
	bool first = true;

	TAILQ_FOREACH(g, &b->r->groups, link) {
		if (!view_sees(b->m->view, g) || g->nodes.n == 0)
			continue;
		if (g->nodes.n < CHUNK_LEAST)
			first = chunkset_text(&g->nodes, 0, self, first,
			    &b->text) == 0 && first;
		else if (big == NULL)
			big = g;
	}
	g = self->group;
	if (view_sees(b->m->view, g) && g->nodes.n >= CHUNK_LEAST)
		first = chunkset_text(&g->nodes, self->slot / CHUNK_NODES,
		    self, first, &b->text) == 0 && first;
	if (first && big != NULL) {
		g = big;
		mapjson_peer(&b->text, g->nodes.member[g == self->group &&
		    self->slot == 0], buf_slice_of(&b->r->domain));
	}
}

/* All chunks but the viewer's own. */
static void
put_shared_peers(struct builder *b)
{
	const struct node *self = b->m->node;
	struct group *g;
	uint32_t k, own;

	TAILQ_FOREACH(g, &b->r->groups, link) {
		if (!view_sees(b->m->view, g) || g->nodes.n < CHUNK_LEAST)
			continue;
		own = g == self->group ? self->slot / CHUNK_NODES : UINT32_MAX;
		for (k = 0; k < chunkset_chunks(&g->nodes); k++)
			if (k != own)
				put_chunk(b, &g->nodes, k);
	}
}

uint64_t
fullmap_parts(struct replica *r, const struct fullmap *m, struct parts *parts)
{
	struct builder b = { .r = r, .m = m, .parts = parts, .ver = r->ver };

	/* Below the floor nothing could follow. */
	b.least = m->fresh ? r->ver : r->floor;
	put_head(&b);
	put_self(&b);
	put_users(&b);
	buf_str(&b.text, ",\"Peers\":[");
	put_own_peers(&b);
	put_shared_peers(&b);
	if (m->compress && b.text.n == 0)
		parts_add(parts, frame_ref(r->tn->tail));
	else
		buf_str(&b.text, "]}");
	if (m->compress) {
		flush(&b);
		parts_close(parts);
	} else
		parts_add(parts, pack_message(r->tn->pack, &b.text, false));
	buf_free(&b.text);
	return b.ver;
}
