#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "dbd/acme_int.h"
#include "dbd/batch_int.h"
#include "dbd/handlers_int.h"
#include "dbd/health_int.h"
#include "dbd/relay_int.h"
#include "dbd/session_int.h"
#include "dbd/worker_int.h"

#define SWEEP_US	(5 * US_PER_S)
#define IDLE_US		(60 * US_PER_S)	/* a replica without sessions */
#define SLOW_US		(30 * US_PER_S)	/* a queue that stays long */
#define SLOW_OCTETS	(1024 * 1024)
#define STUCK_SWEEPS	6		/* 30 s in which nothing is taken */
#define PRUNE_US	(3600 * US_PER_S)
#define EXPOSED_S	(90 * 86400)	/* how long exposures are kept, */
#define GONE_S		86400		/* those of nodes that are gone, */
#define AUDIT_S		(365 * 86400)	/* and audit rows, but for */
#define AUDIT_LEAST	1000		/* that many, for clocks may be wrong */

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
	TAILQ_INIT(&w->reg_waits);
	TAILQ_INIT(&w->relay);
	ix_init(&w->exposed_ix, d->env);
	ix_init(&w->relay_ix, d->env);
	TAILQ_INSERT_TAIL(&d->workers, w, all);
	forget_results(d, w);
	if (!timer_pending(&d->sweep))
		timer_in(&d->sweep, SWEEP_US);
	return w;
}

/* What it has held is written in one operation, if there is anything. */
static void
exposed_end_all(struct worker *w)
{
	struct dbd *d = w->d;
	struct exposed *e;
	bool open = false;

	TAILQ_FOREACH(e, &w->exposed, all) {
		if (!e->lazy || d->freeing || env_ended(d->env))
			continue;
		if (!open)
			op_begin(d);
		open = true;
		exposed_store(d, e);
	}
	if (open)
		op_end(d);
	while ((e = TAILQ_FIRST(&w->exposed)) != NULL)
		exposed_free(w, e);
}

void
worker_free(struct worker *w)
{
	struct dbd *d = w->d;
	struct lite_wait *wait;
	struct session *s;
	struct held *h;

	relay_worker_gone(w);
	health_worker_gone(w);
	dbacme_worker_gone(w);
	batch_forget(d, w->link);
	while ((wait = TAILQ_FIRST(&w->waits)) != NULL)
		lite_forget(wait->node, false);
	reg_waits_free(w);
	while ((s = TAILQ_FIRST(&w->sessions)) != NULL)
		session_close(s);
	while ((h = TAILQ_FIRST(&w->held)) != NULL)
		held_drop(h);
	exposed_end_all(w);
	ix_free(&w->exposed_ix);
	ix_free(&w->relay_ix);
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

/*
 * A worker that does not read is replaced before it costs the others.  One
 * that reads is let be, unless its queue is long; one that takes nothing at
 * all is not, however little it is.  That is seen by sweeps and not by the
 * clock, for dbd may be held up itself.
 */
static void
sweep_queue(struct worker *w, uint64_t now)
{
	size_t n = link_queued(w->link);
	uint64_t taken = link_taken(w->link);

	/* What it takes between two sweeps is more than what it has left. */
	if (n < SLOW_OCTETS || taken - w->taken >= n)
		w->slow_at = 0;
	else if (w->slow_at == 0)
		w->slow_at = now;
	if (n == 0 || taken != w->taken)
		w->stuck = 0;
	else
		w->stuck++;
	w->taken = taken;
	if (n <= w->d->conf.queue_max && w->stuck <= STUCK_SWEEPS &&
	    (w->slow_at == 0 || now - w->slow_at < SLOW_US))
		return;
	log_warnx("worker %u does not read: %zu octets wait for it", w->slot,
	    n);
	link_violation(w->link, LINK_OVERFLOW);
}

/* What is old and needed no more; by the hour of the clock that stands. */
static void
prune(struct dbd *d)
{
	uint64_t now = env_now(d->env);
	int64_t wall = env_wall(d->env);
	struct tailnet *tn;

	if (now < d->prune_at)
		return;
	d->prune_at = now + PRUNE_US;
	op_begin(d);
	op_check(d, store_del_exposures(d->store, wall - EXPOSED_S,
	    wall - GONE_S));
	TAILQ_FOREACH(tn, &d->tailnets, all) {
		op_check(d, store_trim_audit(d->store, tn->id, AUDIT_KEEP,
		    INT64_MAX));
		op_check(d, store_trim_audit(d->store, tn->id, AUDIT_LEAST,
		    wall - AUDIT_S));
	}
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
	wall_look(d);
	if (!TAILQ_EMPTY(&d->workers))
		timer_in(&d->sweep, SWEEP_US);
}
