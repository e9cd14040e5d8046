#include <stdlib.h>

#include "common/json.h"
#include "worker/tailnet/derpmap.h"
#include "worker/tailnet/filter_int.h"
#include "worker/tailnet/fullmap_int.h"
#include "worker/tailnet/mapjson_int.h"
#include "worker/tailnet/tailnets_int.h"

/* A map while it is put together. */
struct builder {
	struct replica	*r;
	const struct fullmap *m;
	struct compose	 c;
	uint64_t	 least;		/* chunks may not lag behind it */
	uint64_t	 ver;
};

/* Takes over the reference. */
static void
put_frame(struct builder *b, struct frame *f)
{
	if (b->c.text.n != 0) {
		parts_add(b->c.parts, pack_own(b->c.pack, &b->c.text));
		buf_clear(&b->c.text);
	}
	parts_add(b->c.parts, f);
}

/* What all are told alike; the object stays open. */
static void
head_text(const struct replica *r, struct buf *b)
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
	if (r->tn->conf.disable_logtail) {
		json_key(&j, "Debug");
		json_raw(&j, slice_str("{\"DisableLogTail\":true}"));
	}
}

static void
put_head(struct builder *b)
{
	struct replica *r = b->r;
	struct buf t = { 0 };

	if (!b->m->compress) {
		head_text(r, &b->c.text);
		return;
	}
	if (r->head == NULL) {
		head_text(r, &t);
		r->head = pack_frame(r->tn->pack, &t);
		buf_free(&t);
	}
	put_frame(b, frame_ref(r->head));
}

void
fullmap_self(const struct replica *r, const struct fullmap *m, struct buf *b)
{
	struct self_conf sc;

	sc.key = m->key;
	sc.capver = m->capver;
	sc.base = buf_slice_of(&r->tn->caps);
	sc.caps = plan_caps(m->plan);
	sc.tailnet = slice_str(r->stable_id);
	mapjson_self(b, m->node, buf_slice_of(&r->domain), &sc);
}

static void
put_self(struct builder *b)
{
	const struct fullmap *m = b->m;
	struct buf *t = &b->c.text;
	char now[32];

	buf_str(t, ",\"Node\":");
	fullmap_self(b->r, m, t);
	(void)time_rfc3339(now, env_wall(b->r->tn->env));
	buf_printf(t, ",\"ControlTime\":\"%s\",\"PacketFilters\":", now);
	plan_put_filters(b->r, NULL, m->plan, m->node, &b->c);
	buf_str(t, ",\"SSHPolicy\":");
	plan_put_ssh(b->r, m->plan, m->node, &b->c);
}

/* Chunk k of a set: shared, or as text. */
static void
put_chunk(struct builder *b, struct chunkset *cs, uint32_t k)
{
	if (b->m->compress)
		put_frame(b, frame_ref(chunkset_frame(cs, k, b->r->ver,
		    b->least, &b->ver)));
	else
		(void)chunkset_text(cs, k, NULL, false, &b->c.text);
}

/* Of others, some of whose nodes it sees. */
static void
put_some_users(struct builder *b)
{
	struct view *v = b->m->view;
	const struct user *u;
	uint64_t *id;
	size_t i, n;

	if (v->holding == NULL)
		return;
	id = view_owners(v, &n);
	for (i = 0; i < n; i++) {
		u = idmap_get(&b->r->users, id[i]);
		if (u == NULL || u == b->m->node->user || !view_has_user(v, u))
			continue;
		buf_u8(&b->c.text, ',');
		buf_put(&b->c.text, u->profile, u->profile_n);
	}
	free(id);
}

/* The viewer's own profile, then those of the owners of all it sees. */
static void
put_users(struct builder *b)
{
	const struct user *own = b->m->node->user;
	struct group *g;
	uint32_t i, k;

	buf_str(&b->c.text, ",\"UserProfiles\":[");
	buf_put(&b->c.text, own->profile, own->profile_n);
	put_some_users(b);
	for (i = 0; i < b->r->rules->ngroups; i++) {
		g = b->r->rules->group[i];
		if (g->users.n == 0 || !view_all(b->m->view, g))
			continue;
		if (g->users.n < CHUNK_LEAST) {
			(void)chunkset_text(&g->users, 0, NULL, false,
			    &b->c.text);
			continue;
		}
		for (k = 0; k < chunkset_chunks(&g->users); k++)
			put_chunk(b, &g->users, k);
	}
	buf_str(&b->c.text, "]");
}

/* Its members are in shared chunks. */
static bool
is_shared(const struct builder *b, const struct group *g)
{
	return !g->varied && !b->m->view->no_ip4 &&
	    g->nodes.n >= CHUNK_LEAST && view_all(b->m->view, g);
}

/* Nodes of the group that are written as this viewer sees them. */
static void
put_apart(struct builder *b, const struct group *g, bool *first)
{
	struct view *v = b->m->view;
	const struct node *n;
	bool all = view_all(v, g);
	uint32_t i;

	for (i = 0; i < g->nodes.n; i++) {
		n = g->nodes.member[i];
		if (n == b->m->node || (!all && n->user->id != v->owner))
			continue;
		if (!*first)
			buf_u8(&b->c.text, ',');
		view_put(b->r, v, n, &b->c.text);
		*first = false;
	}
}

static void
put_owned(struct builder *b, const struct user *u, bool *first)
{
	struct view *v = b->m->view;
	const struct node *n;

	TAILQ_FOREACH(n, &u->owned, owned) {
		if (n == b->m->node || view_all(v, n->group) ||
		    !view_some(v, n->group, u->id))
			continue;
		if (!*first)
			buf_u8(&b->c.text, ',');
		view_put(b->r, v, n, &b->c.text);
		*first = false;
	}
}

/* Nodes of its owner, if that is all that it sees of their groups. */
static void
put_some(struct builder *b, bool *first)
{
	const struct user *u;
	uint64_t *id;
	size_t i, n;

	id = view_owners(b->m->view, &n);
	for (i = 0; i < n; i++)
		if ((u = idmap_get(&b->r->users, id[i])) != NULL)
			put_owned(b, u, first);
	free(id);
}

/* The view's nodes with routes, which all who have it see alike. */
static bool
is_many(const struct replica *r, struct view *v)
{
	uint32_t i, n = 0;

	for (i = 0; i < r->rules->ngroups; i++)
		if (r->rules->group[i]->varied &&
		    view_all(v, r->rules->group[i]))
			n += r->rules->group[i]->nodes.n;
	return n >= CHUNK_LEAST;
}

/* All of the chunk's nodes but the viewer itself, as it sees them. */
static void
put_chunk_apart(struct builder *b, const struct group *g, uint32_t k)
{
	const struct node *n;
	uint32_t i;

	for (i = k * CHUNK_NODES; i < g->nodes.n &&
	    i < (k + 1) * CHUNK_NODES; i++) {
		n = g->nodes.member[i];
		if (n == b->m->node)
			continue;
		buf_u8(&b->c.text, ',');
		view_put(b->r, b->m->view, n, &b->c.text);
	}
}

/* Somebody in the chunk is other to the viewer than to its view's base. */
static bool
is_apart(const struct builder *b, const struct group *g, uint32_t k)
{
	const struct node *n = b->m->node;
	const struct view *v = b->m->view;
	uint32_t i;

	if (n->group == g && n->slot / CHUNK_NODES == k)
		return true;
	for (i = 0; i < view_nadded(v); i++) {
		n = idmap_get(&b->r->nodes, view_added(v, i));
		if (n != NULL && n->group == g &&
		    n->slot / CHUNK_NODES == k && view_adds(v, n))
			return true;
	}
	return false;
}

/* Each after a comma. */
static void
put_varied(struct builder *b)
{
	struct view *v = view_base(b->m->view);
	const struct group *g;
	uint32_t i, k;

	for (i = 0; i < b->r->rules->ngroups; i++) {
		g = b->r->rules->group[i];
		if (!g->varied || !view_all(v, g))
			continue;
		for (k = 0; k < chunkset_chunks(&g->nodes); k++)
			if (is_apart(b, g, k))
				put_chunk_apart(b, g, k);
			else
				put_frame(b, frame_ref(varied_frame(b->r, v,
				    g, k)));
	}
	/* It is of no use to anybody else, and there may be many. */
	if (v->holding != NULL)
		varied_free(v);
}

/* Some peer of those that are shared, which come after it. */
static void
repeat_one(struct builder *b)
{
	const struct node *self = b->m->node, *n;
	const struct group *g;
	uint32_t i;

	for (i = 0; i < b->r->rules->ngroups; i++) {
		g = b->r->rules->group[i];
		if (g->nodes.n == 0 || !view_all(b->m->view, g))
			continue;
		n = g->nodes.member[0];
		if (n == self && g->nodes.n > 1)
			n = g->nodes.member[1];
		if (n == self)
			continue;
		view_put(b->r, b->m->view, n, &b->c.text);
		return;
	}
}

/*
 * The list of peers.  What is the viewer's own of it, first and without a
 * comma in front: groups that are not shared, and its own chunk without it.
 * If that is nothing, a shared one is repeated: clients key by id.
 */
static void
put_peers(struct builder *b)
{
	const struct node *self = b->m->node;
	struct view *v = b->m->view;
	struct group *g;
	uint32_t i, k, own;
	bool first = true, many;

	many = b->m->compress && is_many(b->r, view_base(v));
	for (i = 0; i < b->r->rules->ngroups; i++) {
		g = b->r->rules->group[i];
		if (view_all(v, g) && !is_shared(b, g) &&
		    !(many && g->varied))
			put_apart(b, g, &first);
	}
	put_some(b, &first);
	if (self->group != NULL && is_shared(b, self->group))
		first = chunkset_text(&self->group->nodes, self->slot /
		    CHUNK_NODES, self, first, &b->c.text) == 0 && first;
	if (first)
		repeat_one(b);
	if (many)
		put_varied(b);
	for (i = 0; i < b->r->rules->ngroups; i++) {
		g = b->r->rules->group[i];
		if (!is_shared(b, g))
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
	struct builder b = { .r = r, .m = m, .ver = r->ver };

	compose_init(&b.c, r->tn->pack, parts, m->compress);
	/* Below the floor nothing could follow. */
	b.least = m->fresh ? r->ver : r->floor;
	view_look(r, m->view);
	put_head(&b);
	put_self(&b);
	put_users(&b);
	buf_str(&b.c.text, ",\"Peers\":[");
	put_peers(&b);
	if (m->compress && b.c.text.n == 0)
		parts_add(parts, frame_ref(r->tn->tail));
	else
		buf_str(&b.c.text, "]}");
	compose_end(&b.c);
	return b.ver;
}
