/* What worker instances have held: trust.md 2. */

#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "dbd/batch_int.h"
#include "dbd/objects_int.h"
#include "dbd/session_int.h"
#include "dbd/worker_int.h"

static struct exposed *
find(const struct worker *w, uint64_t node)
{
	struct ixlink *l;
	struct exposed *e;

	for (l = ix_find(&w->exposed_ix, &node, sizeof(node)); l != NULL;
	    l = ix_more(l)) {
		e = l->obj;
		if (e->row.node == node)
			return e;
	}
	return NULL;
}

struct exposed *
expose(struct worker *w, const struct node *n)
{
	struct exposed *e;

	if ((e = find(w, n->r.id)) != NULL)
		return e;
	e = xcalloc(1, sizeof(*e));
	e->row.slot = w->slot;
	e->row.generation = w->generation;
	e->row.tailnet = n->tn->id;
	e->row.node = n->r.id;
	memcpy(e->row.node_key, n->r.node_key, KEY_LEN);
	e->row.first = env_wall(w->d->env);
	e->row.last = e->row.first;
	ix_add(&w->exposed_ix, &e->by_node, &e->row.node, sizeof(e->row.node),
	    e);
	TAILQ_INSERT_TAIL(&w->exposed, e, all);
	return e;
}

bool
exposed_has(const struct worker *w, uint64_t node)
{
	return find(w, node) != NULL;
}

void
exposed_store(struct dbd *d, struct exposed *e)
{
	e->stored = true;
	if (e->lazy)
		TAILQ_REMOVE(&d->ends, e, ends);
	e->lazy = false;
	op_check(d, store_put_exposure(d->store, &e->row));
}

void
exposed_end(struct worker *w, uint64_t node)
{
	struct exposed *e;

	if ((e = find(w, node)) == NULL || !e->stored)
		return;
	e->row.last = env_wall(w->d->env);
	if (e->lazy)
		return;
	e->lazy = true;
	TAILQ_INSERT_TAIL(&w->d->ends, e, ends);
	lazy_arm(w->d);
}

void
exposed_free(struct worker *w, struct exposed *e)
{
	if (e->lazy)
		TAILQ_REMOVE(&w->d->ends, e, ends);
	ix_del(&w->exposed_ix, &e->by_node);
	TAILQ_REMOVE(&w->exposed, e, all);
	free(e);
}

void
exposed_forget(struct dbd *d, uint64_t node)
{
	struct worker *w;
	struct exposed *e;

	TAILQ_FOREACH(w, &d->workers, all) {
		if ((e = find(w, node)) == NULL)
			continue;
		if (e->lazy)
			exposed_store(d, e);
		exposed_free(w, e);
	}
}

/* For administrators. */

struct pass {
	uint16_t	  slot;
	uint64_t	  generation;
	void		(*fn)(const struct exposure_row *, void *);
	void		 *arg;
};

static int
on_row(const struct exposure_row *row, void *arg)
{
	const struct pass *p = arg;

	if ((p->slot == 0 || p->slot == row->slot) &&
	    (p->generation == 0 || p->generation == row->generation))
		p->fn(row, p->arg);
	return 0;
}

int
op_exposure_list(struct dbd *d, uint16_t slot, uint64_t generation,
    void (*fn)(const struct exposure_row *, void *), void *arg)
{
	struct pass p = { slot, generation, fn, arg };
	struct exposed *e;

	if (!TAILQ_EMPTY(&d->ends)) {
		op_begin(d);
		while ((e = TAILQ_FIRST(&d->ends)) != NULL)
			exposed_store(d, e);
		op_end(d);
	}
	return store_load_exposures(d->store, on_row, &p);
}

struct found {
	struct exposure_row	*row;
	size_t			 n;
	size_t			 cap;
};

static void
on_found(const struct exposure_row *row, void *arg)
{
	struct found *f = arg;

	if (row->revoked)
		return;
	if (f->n == f->cap) {
		f->cap = f->cap == 0 ? 64 : f->cap * 2;
		f->row = xrealloc(f->row, f->cap, sizeof(*f->row));
	}
	f->row[f->n++] = *row;
}

/* True if the key that was held was still in use. */
static bool
revoke_row(struct dbd *d, struct exposure_row *row, uint32_t uid)
{
	struct r_node r;
	struct node *n;
	int64_t now = env_wall(d->env);
	bool live;

	n = node_find(d, row->node);
	live = n != NULL && !node_expired(n, now) &&
	    memcmp(n->r.node_key, row->node_key, KEY_LEN) == 0;
	op_begin(d);
	row->revoked = true;
	op_check(d, store_put_exposure(d->store, row));
	if (live) {
		r = n->r;
		r.expiry = now;
		node_set(n, &r);
		put_node(n);
		expiry_arm(n);
		audit(n->tn, uid, "node.revoke", n->r.id,
		    "held by worker slot=%u generation=%llu", row->slot,
		    (unsigned long long)row->generation);
	}
	op_end(d);
	return live;
}

/* So that a later write of a live instance does not take the mark away. */
static void
mark_live(struct dbd *d, const struct exposure_row *row)
{
	struct worker *w;
	struct exposed *e;

	TAILQ_FOREACH(w, &d->workers, all)
		if (w->slot == row->slot && w->generation == row->generation &&
		    (e = find(w, row->node)) != NULL &&
		    memcmp(e->row.node_key, row->node_key, KEY_LEN) == 0)
			e->row.revoked = true;
}

int
op_exposure_revoke(struct dbd *d, uint16_t slot, uint64_t generation,
    uint32_t *count, uint32_t uid, char *why, size_t whylen)
{
	struct found f = { NULL, 0, 0 };
	size_t i;

	*count = 0;
	if (op_exposure_list(d, slot, generation, on_found, &f) == -1) {
		free(f.row);
		(void)strlcpy(why, "the store cannot be read", whylen);
		return -1;
	}
	for (i = 0; i < f.n; i++) {
		if (revoke_row(d, &f.row[i], uid))
			++*count;
		mark_live(d, &f.row[i]);
	}
	free(f.row);
	return 0;
}
