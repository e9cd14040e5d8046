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

	mapjson_peer(b, member, buf_slice_of(&r->domain), NULL);
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

static struct group *
group_new(struct replica *r, struct class *c, bool varied)
{
	struct ruleset *rs = c->rules;
	struct group *g;

	g = xcalloc(1, sizeof(*g));
	g->class = c;
	g->varied = varied;
	chunkset_init(&g->nodes, r->tn->pack, &node_ops, r, CHUNK_NODES);
	chunkset_init(&g->users, r->tn->pack, &owner_ops, r, CHUNK_USERS);
	if (rs->ngroups == rs->group_cap) {
		rs->group_cap = rs->group_cap == 0 ? 16 : 2 * rs->group_cap;
		rs->group = xrealloc(rs->group, rs->group_cap,
		    sizeof(rs->group[0]));
	}
	g->index = rs->ngroups;
	rs->group[rs->ngroups++] = g;
	c->group[varied] = g;
	return g;
}

struct group *
group_of(struct replica *r, const struct node *n)
{
	bool varied = n->nroutes != 0;
	struct group *g = n->class->group[varied];

	return g != NULL ? g : group_new(r, n->class, varied);
}

void
group_free(struct group *g)
{
	uint32_t i;

	for (i = 0; i < g->users.n; i++)
		free(g->users.member[i]);
	chunkset_free(&g->nodes);
	chunkset_free(&g->users);
	idmap_free(&g->by_user);
	free(g);
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
	uint32_t i;

	for (i = 0; i < r->rules->ngroups; i++) {
		g = r->rules->group[i];
		if ((o = idmap_get(&g->by_user, u->id)) != NULL)
			chunkset_spoil(&g->users, o->slot);
	}
}

void
groups_spoil(struct replica *r)
{
	struct group *g;
	uint32_t i;

	for (i = 0; i < r->rules->ngroups; i++) {
		g = r->rules->group[i];
		chunkset_spoil_all(&g->nodes);
		chunkset_spoil_all(&g->users);
	}
}

bool
groups_freshen(struct replica *r)
{
	uint32_t i;

	for (i = 0; i < r->rules->ngroups; i++)
		if (chunkset_freshen(&r->rules->group[i]->nodes, r->ver))
			return true;
	return false;
}
