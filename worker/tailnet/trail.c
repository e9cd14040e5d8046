#include <stdlib.h>

#include "worker/tailnet/replica_int.h"

static void
move_free(struct replica *r, struct move *m)
{
	TAILQ_REMOVE(&r->moves, m, link);
	LIST_REMOVE(m, older);
	r->nmoves--;
	ruleset_unref(m->from.group->class->rules);
	free(m);
}

static void
trim(struct replica *r)
{
	struct move *m;
	uint32_t max = MOVES_MIN + MOVES_NODE * r->nnodes;

	while (r->nmoves > max) {
		m = TAILQ_FIRST(&r->moves);
		if (r->floor < m->ver)
			r->floor = m->ver;
		move_free(r, m);
	}
}

/* Nobody is ever told of a spot where a node was within a batch only. */
static void
add(struct replica *r, struct node *n, struct group *g, uint64_t user)
{
	uint64_t next = r->ver + 1;
	struct move *m = LIST_FIRST(&n->trail);

	if (n->born == next || (m != NULL && m->ver == next))
		return;
	m = xcalloc(1, sizeof(*m));
	m->ver = next;
	m->from.group = g;
	m->from.user = user;
	(void)ruleset_ref(g->class->rules);
	TAILQ_INSERT_TAIL(&r->moves, m, link);
	LIST_INSERT_HEAD(&n->trail, m, older);
	r->nmoves++;
	trim(r);
}

void
trail_leave(struct replica *r, struct node *n, uint64_t user)
{
	add(r, n, n->group, user);
	transit_leave(n);
}

static struct transit *
transit_of(struct replica *r, struct group *from, struct group *to)
{
	uint64_t key = (uint64_t)from->index << 32 | (to->index + 1);
	struct transit *t;

	if ((t = idmap_get(&r->by_groups, key)) != NULL)
		return t;
	t = xcalloc(1, sizeof(*t));
	t->from = from;
	t->to = to;
	TAILQ_INIT(&t->nodes);
	idmap_put(&r->by_groups, key, t);
	/* Room for as many as there is a power of two. */
	if ((r->ntransits & (r->ntransits - 1)) == 0)
		r->transit = xrealloc(r->transit, r->ntransits == 0 ? 1 :
		    2 * (size_t)r->ntransits, sizeof(r->transit[0]));
	r->transit[r->ntransits++] = t;
	return t;
}

void
trail_switch(struct replica *r, struct node *n, struct group *from)
{
	add(r, n, from, n->user->id);
	n->transit = transit_of(r, from, n->group);
	TAILQ_INSERT_TAIL(&n->transit->nodes, n, travel);
	n->transit->n++;
}

void
transit_leave(struct node *n)
{
	if (n->transit == NULL)
		return;
	TAILQ_REMOVE(&n->transit->nodes, n, travel);
	n->transit->n--;
	n->transit = NULL;
}

void
transits_clear(struct replica *r)
{
	struct node *n;
	uint32_t i;

	for (i = 0; i < r->ntransits; i++) {
		while ((n = TAILQ_FIRST(&r->transit[i]->nodes)) != NULL)
			transit_leave(n);
		free(r->transit[i]);
	}
	free(r->transit);
	r->transit = NULL;
	r->ntransits = 0;
	idmap_free(&r->by_groups);
}

void
trails_settle(struct replica *r)
{
	struct move *m;

	if (r->old_rules == NULL)
		return;
	while ((m = TAILQ_FIRST(&r->moves)) != NULL &&
	    m->ver <= r->switch_ver)
		move_free(r, m);
	if (r->floor < r->switch_ver)
		r->floor = r->switch_ver;
	transits_clear(r);
	ruleset_unref(r->old_rules);
	r->old_rules = NULL;
}

void
trail_free(struct replica *r, struct trail *t)
{
	struct move *m;

	while ((m = LIST_FIRST(t)) != NULL)
		move_free(r, m);
}
