#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "dbd/batch_int.h"
#include "dbd/handlers_int.h"
#include "dbd/objects_int.h"
#include "dbd/relay_int.h"
#include "dbd/routes_int.h"
#include "dbd/session_int.h"
#include "dbd/worker_int.h"

#define LAZY_US		(30 * US_PER_S)
#define LOOK_S		3600	/* the wall clock is looked at that often */

static void
stream_end_send(struct session *s, enum end_why why)
{
	struct msg m;

	msg_init(&m, M_DB_STREAM_END);
	m.u.db_stream_end.tailnet = s->node->tn->id;
	m.u.db_stream_end.node = s->node->r.id;
	m.u.db_stream_end.generation = s->generation;
	m.u.db_stream_end.why = (uint8_t)why;
	batch_reply(s->worker->d, s->worker->link, &m);
}

static void
session_free(struct session *s)
{
	struct held *h;

	exposed_end(s->worker, s->node->r.id);
	if ((h = held_find(s->worker, s->node->tn)) != NULL &&
	    --h->sessions == 0)
		h->idle_at = env_now(s->worker->d->env);
	TAILQ_REMOVE(&s->worker->sessions, s, all);
	s->node->session = NULL;
	free(s);
}

struct session *
session_open(struct node *n, struct worker *w, uint64_t generation,
    const struct r_ticket *ticket, uint32_t h2)
{
	struct session *s;
	struct held *h;

	if (n->session != NULL) {
		stream_end_send(n->session, END_NEWER);
		session_free(n->session);
	}
	s = xcalloc(1, sizeof(*s));
	s->node = n;
	s->worker = w;
	s->generation = generation;
	s->ticket = *ticket;
	s->h2 = h2;
	TAILQ_INSERT_TAIL(&w->sessions, s, all);
	n->session = s;
	n->sessions++;
	if ((h = held_find(w, n->tn)) != NULL)
		h->sessions++;
	(void)expose(w, n);
	timer_stop(&n->gone);
	n->clock = CLOCK_NONE;
	n->deferred = n->unknown = 0;
	return s;
}

void
session_close(struct session *s)
{
	struct node *n = s->node;

	session_free(s);
	clock_start(n);
}

void
session_kick(struct node *n, enum end_why why)
{
	if (n->session == NULL)
		return;
	stream_end_send(n->session, why);
	session_close(n->session);
}

void
session_started(struct session *s)
{
	struct node *n = s->node;
	struct dbd *d = n->tn->d;
	struct exposed *e;

	s->started = true;
	window_back(n);
	e = expose(s->worker, n);
	if (!e->stored || !n->mapped ||
	    memcmp(e->row.node_key, n->r.node_key, KEY_LEN) != 0) {
		op_begin(d);
		if (memcmp(e->row.node_key, n->r.node_key, KEY_LEN) != 0)
			e->row.revoked = false;
		memcpy(e->row.node_key, n->r.node_key, KEY_LEN);
		exposed_store(d, e);
		if (!n->mapped) {
			n->mapped = true;
			store_node(n);
		}
		op_end(d);
	}
	if (!n->r.online)
		set_online(n, true, n->r.last_seen);
}

/* Who is online. */

void
lazy_arm(struct dbd *d)
{
	if (!timer_pending(&d->lazy))
		timer_in(&d->lazy, LAZY_US);
}

void
set_online(struct node *n, bool online, int64_t last_seen)
{
	struct dbd *d = n->tn->d;

	if (n->r.online != online) {
		n->r.online = online;
		if (online)
			n->tn->nonline++;
		else
			n->tn->nonline--;
		routes_look(n);
	}
	n->r.last_seen = last_seen;
	if (!n->told) {
		n->told = true;
		TAILQ_INSERT_TAIL(&d->tell, n, tell);
	}
	if (!n->lazy) {
		n->lazy = true;
		TAILQ_INSERT_TAIL(&d->seen, n, seen);
		lazy_arm(d);
	}
}

bool
lazy_write(struct dbd *d, uint32_t max)
{
	struct exposed *e;
	struct node *n;

	for (; max > 0 && (n = TAILQ_FIRST(&d->seen)) != NULL; max--) {
		TAILQ_REMOVE(&d->seen, n, seen);
		n->lazy = false;
		op_check(d, store_put_seen(d->store, n->tn->id, n->r.id,
		    n->r.online, n->r.last_seen));
	}
	for (; max > 0 && (e = TAILQ_FIRST(&d->ends)) != NULL; max--)
		exposed_store(d, e);
	return !TAILQ_EMPTY(&d->seen) || !TAILQ_EMPTY(&d->ends);
}

/* Clocks. */

/* A client that was told to wait is not late before that. */
static uint64_t
not_before(const struct node *n)
{
	uint64_t now = env_now(n->tn->d->env);

	return n->deferred > now ? n->deferred : now;
}

static void
reap_start(struct node *n)
{
	struct dbd *d = n->tn->d;
	uint64_t from = not_before(n);
	int64_t left, now = env_wall(d->env);

	if (!n->r.ephemeral)
		return;
	left = d->conf.ephemeral_s;
	if (!n->mapped) {
		left = n->r.created + FIRST_MAP_S - now;
		if (left > FIRST_MAP_S)
			left = FIRST_MAP_S;
		/* It may have registered again just now. */
		if (left < d->conf.ephemeral_s)
			left = d->conf.ephemeral_s;
	}
	n->clock = CLOCK_REAP;
	n->gone_gen = n->sessions;
	if (n->unknown > from)
		from = n->unknown;
	timer_at(&n->gone, from + (uint64_t)left * US_PER_S);
}

void
clock_start(struct node *n)
{
	if (n->session != NULL)
		return;
	timer_stop(&n->gone);
	n->clock = CLOCK_NONE;
	if (!n->r.online) {
		reap_start(n);
		return;
	}
	if (n->presumed)	/* the window's end is its clock */
		return;
	n->clock = CLOCK_GRACE;
	timer_at(&n->gone, not_before(n) +
	    n->tn->d->conf.grace_ms * US_PER_MS);
}

void
clock_defer(struct node *n, uint32_t seconds)
{
	const struct dbd_conf *c = &n->tn->d->conf;
	uint64_t at = env_now(n->tn->d->env) + seconds * US_PER_S;

	/* No clock runs while its old stream stands or it is presumed. */
	if (at > n->deferred)
		n->deferred = at;
	if (n->clock == CLOCK_NONE)
		return;
	at += n->clock == CLOCK_GRACE ? c->grace_ms * US_PER_MS :
	    c->ephemeral_s * US_PER_S;
	if (at > n->gone.at)
		timer_at(&n->gone, at);
}

static void
reap(struct node *n)
{
	struct dbd *d = n->tn->d;

	/* Conditional on what was seen when the clock began. */
	if (n->session != NULL || n->gone_gen != n->sessions)
		return;
	batch_log(d, "ephemeral node gone tailnet=%s node=%llu name=%s",
	    n->tn->name, (unsigned long long)n->r.id, log_vis(n->r.name));
	op_begin(d);
	audit(n->tn, UID_NONE, "node.reap", n->r.id, "%s",
	    log_vis(n->r.name));
	del_node(n);
	op_end(d);
}

static void
on_gone(void *arg)
{
	struct node *n = arg;
	struct dbd *d = n->tn->d;

	if (env_ended(d->env) || n->session != NULL)
		return;
	if (n->clock == CLOCK_REAP) {
		reap(n);
		return;
	}
	n->clock = CLOCK_NONE;
	set_online(n, false, env_wall(d->env));
	reap_start(n);
}

/* The end of a node's key: nothing changes but what it means. */
static void
on_expiry(void *arg)
{
	struct node *n = arg;
	struct dbd *d = n->tn->d;
	bool expired;

	if (env_ended(d->env))
		return;
	expired = node_expired(n, env_wall(d->env));
	if (expired == n->expired_said) {
		expiry_arm(n);
		return;
	}
	batch_log(d, "node key %s tailnet=%s node=%llu name=%s",
	    expired ? "expired" : "valid again", n->tn->name,
	    (unsigned long long)n->r.id, log_vis(n->r.name));
	op_begin(d);
	put_node(n);
	op_end(d);
	expiry_arm(n);
}

void
expiry_arm(struct node *n)
{
	int64_t left;

	routes_look(n);
	timer_stop(&n->expiry);
	left = n->r.expiry - env_wall(n->tn->d->env);
	n->expired_said = n->r.expiry != 0 && left <= 0;
	if (n->r.expiry == 0)
		return;
	if (left <= 0) {
		relay_look(n->tn->d, n->r.node_key);
		relay_old_forget(n);
	}
	/* The wall clock may jump, also back: look again from time to time. */
	if (left <= 0 || left > LOOK_S)
		left = LOOK_S;
	timer_in(&n->expiry, (uint64_t)left * US_PER_S);
}

static int64_t
wall_ahead(const struct dbd *d)
{
	return env_wall(d->env) - (int64_t)(env_now(d->env) / US_PER_S);
}

void
wall_note(struct dbd *d)
{
	d->wall_ahead = wall_ahead(d);
}

void
wall_look(struct dbd *d)
{
	int64_t by = wall_ahead(d) - d->wall_ahead;
	struct tailnet *tn;
	struct node *n;

	/* The two clocks do not round at the same time. */
	if (by >= -1 && by <= 1)
		return;
	wall_note(d);
	TAILQ_FOREACH(tn, &d->tailnets, all)
		TAILQ_FOREACH(n, &tn->nodes, all)
			if (n->r.expiry != 0)
				on_expiry(n);
}

void
node_timers_init(struct node *n)
{
	struct env *env = n->tn->d->env;

	timer_init(&n->gone, env, on_gone, n);
	timer_init(&n->expiry, env, on_expiry, n);
	timer_init(&n->budget, env, lite_due, n);
}

void
node_timers_stop(struct node *n)
{
	timer_stop(&n->gone);
	timer_stop(&n->expiry);
	timer_stop(&n->budget);
	n->clock = CLOCK_NONE;
}
