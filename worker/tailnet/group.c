#include <stdlib.h>

#include "worker/tailnet/group_int.h"
#include "worker/tailnet/mapjson_int.h"
#include "worker/tailnet/replica_int.h"
#include "worker/tailnet/tailnets_int.h"
#include "worker/tailnet/user_int.h"

/* An owner's part in a group. */
struct owner {
	const struct user *user;
	uint32_t	 slot;
	uint32_t	 nodes;		/* of the group */
};

static void
render_node(const void *member, struct buf *b, const void *arg)
{
	const struct replica *r = arg;

	mapjson_peer(b, member, buf_slice_of(&r->domain));
}

static void
node_moved(void *member, uint32_t slot)
{
	struct node *n = member;

	n->slot = slot;
}

static void
render_owner(const void *member, struct buf *b, const void *arg)
{
	const struct owner *o = member;

	(void)arg;
	buf_put(b, o->user->profile, o->user->profile_n);
}

static void
owner_moved(void *member, uint32_t slot)
{
	struct owner *o = member;

	o->slot = slot;
}

static const struct chunk_ops node_ops = { render_node, node_moved };
static const struct chunk_ops owner_ops = { render_owner, owner_moved };

/* One class, until policies tell nodes apart. */
static uint32_t
class_of(const struct replica *r, const struct node *n)
{
	(void)r;
	(void)n;
	return 0;
}

struct group *
group_of(struct replica *r, const struct node *n)
{
	uint32_t class = class_of(r, n);
	struct group *g;

	TAILQ_FOREACH(g, &r->groups, link)
		if (g->class == class)
			return g;
	g = xcalloc(1, sizeof(*g));
	g->class = class;
	chunkset_init(&g->nodes, r->tn->pack, &node_ops, r, CHUNK_NODES);
	chunkset_init(&g->users, r->tn->pack, &owner_ops, r, CHUNK_USERS);
	TAILQ_INSERT_TAIL(&r->groups, g, link);
	return g;
}

static void
owner_add(struct group *g, const struct user *u)
{
	struct owner *o;

	if ((o = idmap_get(&g->by_user, u->id)) == NULL) {
		o = xcalloc(1, sizeof(*o));
		o->user = u;
		o->slot = chunkset_add(&g->users, o);
		idmap_put(&g->by_user, u->id, o);
	}
	o->nodes++;
}

static void
owner_drop(struct group *g, const struct user *u)
{
	struct owner *o = idmap_get(&g->by_user, u->id);

	if (--o->nodes != 0)
		return;
	chunkset_del(&g->users, o->slot);
	idmap_del(&g->by_user, u->id);
	free(o);
}

bool
group_has_user(const struct group *g, const struct user *u)
{
	return idmap_get(&g->by_user, u->id) != NULL;
}

void
group_join(struct group *g, struct node *n)
{
	n->group = g;
	n->slot = chunkset_add(&g->nodes, n);
	owner_add(g, n->user);
}

void
group_leave(struct node *n)
{
	chunkset_del(&n->group->nodes, n->slot);
	owner_drop(n->group, n->user);
	n->was = n->group;
	n->group = NULL;
}

void
group_reown(struct node *n, struct user *old)
{
	owner_add(n->group, n->user);
	owner_drop(n->group, old);
}

void
group_changed(struct node *n, bool lazy, uint64_t before)
{
	if (lazy)
		chunkset_lag(&n->group->nodes, n->slot, before);
	else
		chunkset_spoil(&n->group->nodes, n->slot);
}

void
groups_user_changed(struct replica *r, const struct user *u)
{
	struct group *g;
	struct owner *o;

	TAILQ_FOREACH(g, &r->groups, link)
		if ((o = idmap_get(&g->by_user, u->id)) != NULL)
			chunkset_spoil(&g->users, o->slot);
}

void
groups_spoil(struct replica *r)
{
	struct group *g;

	TAILQ_FOREACH(g, &r->groups, link) {
		chunkset_spoil_all(&g->nodes);
		chunkset_spoil_all(&g->users);
	}
}

void
groups_free(struct replica *r)
{
	struct group *g;
	uint32_t i;

	while ((g = TAILQ_FIRST(&r->groups)) != NULL) {
		TAILQ_REMOVE(&r->groups, g, link);
		for (i = 0; i < g->users.n; i++)
			free(g->users.member[i]);
		chunkset_free(&g->nodes);
		chunkset_free(&g->users);
		idmap_free(&g->by_user);
		free(g);
	}
}

bool
groups_freshen(struct replica *r)
{
	struct group *g;

	TAILQ_FOREACH(g, &r->groups, link)
		if (chunkset_freshen(&g->nodes, r->ver))
			return true;
	return false;
}

struct view *
view_of(struct replica *r, const struct node *n, bool alone)
{
	bool allow = r->policy == POLICY_ALLOW_ALL;
	struct view *v;

	(void)n;	/* all nodes are of one class */
	v = &r->views[2 * (allow && !alone) + allow];
	v->sees = allow && !alone;
	v->allow = allow;
	return v;
}

bool
view_sees(const struct view *v, const struct group *g)
{
	return g != NULL && v->sees;
}

bool
view_has_peers(const struct replica *r, const struct view *v,
    const struct node *self)
{
	const struct group *g;

	TAILQ_FOREACH(g, &r->groups, link)
		if (view_sees(v, g) && g->nodes.n > (self->group == g))
			return true;
	return false;
}

void
views_spoil(struct replica *r)
{
	size_t i;

	for (i = 0; i < VIEWS; i++) {
		frame_unref(r->views[i].head);
		r->views[i].head = NULL;
	}
}
