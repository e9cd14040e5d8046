#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "dbd/batch_int.h"
#include "dbd/handlers_int.h"
#include "dbd/session_int.h"
#include "dbd/worker_int.h"

#define SWEEP_US	(15 * US_PER_S)
#define IDLE_US		(60 * US_PER_S)	/* a replica without sessions */
#define SLOW_US		(30 * US_PER_S)	/* a queue that stays long */
#define SLOW_OCTETS	(1024 * 1024)
#define EXPOSED_S	(90 * 86400)	/* how long exposures are kept */

struct worker *
worker_find(struct dbd *d, const struct link *l)
{
	struct worker *w;

	TAILQ_FOREACH(w, &d->workers, all)
		if (w->link == l)
			return w;
	return NULL;
}

/* Answers of the slot's former instances are asked for no more. */
static void
forget_results(struct dbd *d, const struct worker *w)
{
	if (w->generation < 2)
		return;
	op_begin(d);
	op_check(d, store_del_results(d->store, w->slot, w->generation - 1));
	op_end(d);
}

struct worker *
worker_add(struct dbd *d, struct link *l)
{
	struct worker *w;

	w = xcalloc(1, sizeof(*w));
	w->d = d;
	w->link = l;
	w->slot = link_slot(l);
	w->generation = link_generation(l);
	TAILQ_INIT(&w->sessions);
	TAILQ_INIT(&w->held);
	TAILQ_INIT(&w->exposed);
	TAILQ_INIT(&w->waits);
	ix_init(&w->exposed_ix, d->env);
	TAILQ_INSERT_TAIL(&d->workers, w, all);
	forget_results(d, w);
	if (!timer_pending(&d->sweep))
		timer_in(&d->sweep, SWEEP_US);
	return w;
}

static void
exposed_free(struct worker *w, struct exposed *e)
{
	struct dbd *d = w->d;

	if (e->lazy && !d->freeing && !env_ended(d->env)) {
		op_begin(d);
		exposed_store(d, e);
		op_end(d);
	} else if (e->lazy)
		TAILQ_REMOVE(&d->ends, e, ends);
	ix_del(&w->exposed_ix, &e->by_node);
	TAILQ_REMOVE(&w->exposed, e, all);
	free(e);
}

void
worker_free(struct worker *w)
{
	struct dbd *d = w->d;
	struct lite_wait *wait;
	struct session *s;
	struct exposed *e;
	struct held *h;

	batch_forget(d, w->link);
	while ((wait = TAILQ_FIRST(&w->waits)) != NULL)
		lite_forget(wait->node, false);
	while ((s = TAILQ_FIRST(&w->sessions)) != NULL)
		session_close(s);
	while ((h = TAILQ_FIRST(&w->held)) != NULL)
		held_drop(h);
	while ((e = TAILQ_FIRST(&w->exposed)) != NULL)
		exposed_free(w, e);
	ix_free(&w->exposed_ix);
	buf_free(&w->have);
	TAILQ_REMOVE(&d->workers, w, all);
	free(w);
}

/* Replicas. */

struct held *
held_find(const struct worker *w, const struct tailnet *tn)
{
	struct held *h;

	/* The shorter of the two lists: a host has a few workers. */
	TAILQ_FOREACH(h, &tn->holders, of_tailnet)
		if (h->worker == w)
			return h;
	return NULL;
}

struct held *
held_get(struct worker *w, struct tailnet *tn)
{
	struct held *h;
	struct session *s;

	if ((h = held_find(w, tn)) != NULL) {
		h->due = h->due || h->left;
		h->left = false;
		return h;
	}
	h = xcalloc(1, sizeof(*h));
	h->tn = tn;
	h->worker = w;
	h->due = true;
	h->idle_at = env_now(w->d->env);
	TAILQ_FOREACH(s, &w->sessions, all)
		if (s->node->tn == tn)
			h->sessions++;
	TAILQ_INSERT_TAIL(&tn->holders, h, of_tailnet);
	TAILQ_INSERT_TAIL(&w->held, h, of_worker);
	return h;
}

void
held_drop(struct held *h)
{
	TAILQ_REMOVE(&h->tn->holders, h, of_tailnet);
	TAILQ_REMOVE(&h->worker->held, h, of_worker);
	free(h);
}

static void
sweep_replicas(struct worker *w, uint64_t now)
{
	struct held *h, *next;

	TAILQ_FOREACH_SAFE(h, &w->held, of_worker, next)
		if (h->sessions == 0 && !h->due && now - h->idle_at >= IDLE_US)
			held_drop(h);
}

/* A worker that does not read is replaced before it costs the others. */
static void
sweep_queue(struct worker *w, uint64_t now)
{
	size_t n = link_queued(w->link);

	if (n < SLOW_OCTETS)
		w->slow_at = 0;
	else if (w->slow_at == 0)
		w->slow_at = now;
	if (n > w->d->conf.queue_max ||
	    (w->slow_at != 0 && now - w->slow_at >= SLOW_US))
		link_violation(w->link, LINK_OVERFLOW);
}

static void
prune(struct dbd *d)
{
	int64_t now = env_wall(d->env);

	if (now - d->pruned < 86400)
		return;
	d->pruned = now;
	op_begin(d);
	op_check(d, store_del_exposures(d->store, now - EXPOSED_S));
	op_end(d);
}

void
workers_sweep(void *arg)
{
	struct dbd *d = arg;
	struct worker *w;
	uint64_t now = env_now(d->env);

	TAILQ_FOREACH(w, &d->workers, all) {
		sweep_replicas(w, now);
		sweep_queue(w, now);
	}
	prune(d);
	if (!TAILQ_EMPTY(&d->workers))
		timer_in(&d->sweep, SWEEP_US);
}
