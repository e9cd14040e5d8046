#include <stdlib.h>
#include <string.h>

#include "worker/tailnet/filter_int.h"
#include "worker/tailnet/fullmap_int.h"
#include "worker/tailnet/tailnets_int.h"

#define TURN_US		(5 * US_PER_MS)	/* of building a turn */
/* Served in a turn: they are still in the cache when the turn writes. */
#define TURN_STREAMS	64
#define TICK_LEAST	(50 * US_PER_MS)
#define TICK_MOST	(500 * US_PER_MS)
#define TICK_SHARE	10		/* times what a flush costs */
#define COLD_US		(500 * US_PER_MS)
#define JITTER_US	(9 * US_PER_S + 1)
#define LONG_AGO	1		/* Unix seconds; 0 is never */

static void
fullmap_of(const struct stream *s, struct fullmap *m)
{
	memset(m, 0, sizeof(*m));
	m->node = s->node;
	m->key = s->key;
	m->view = s->view;
	m->plan = s->plan;
	m->capver = s->capver;
	m->compress = s->compress;
}

/* Not before the time that is set: sets it earlier at most. */
static void
work_at(struct tailnets *tn, uint64_t at)
{
	if (!timer_pending(&tn->work) || tn->work.at > at)
		timer_at(&tn->work, at);
}

static void
work_soon(struct tailnets *tn)
{
	uint64_t now = env_now(tn->env);

	if (!TAILQ_EMPTY(&tn->newcomers) || !TAILQ_EMPTY(&tn->over))
		work_at(tn, now);
	else if (!TAILQ_EMPTY(&tn->behind))
		work_at(tn, tn->flushing || tn->next_flush < now ? now :
		    tn->next_flush);
}

/* Streams stand at the replica's version: see snap(). */
static void
add_point(struct replica *r)
{
	if (r->npoints != 0 &&
	    r->point[(r->npoints - 1) % POINTS] == r->ver)
		return;
	r->point[r->npoints++ % POINTS] = r->ver;
}

/*
 * Where to let a stream begin that has seen all up to ver: at the last place
 * at or below it where others begin too, to share their messages.  It is told
 * some things twice, at most those of a tick.
 */
static uint64_t
snap(const struct replica *r, uint64_t ver)
{
	uint32_t k, least;
	uint64_t p;

	least = r->npoints > POINTS ? r->npoints - POINTS : 0;
	for (k = r->npoints; k > least; k--) {
		p = r->point[(k - 1) % POINTS];
		if (p <= ver)
			return p < r->floor || p < r->all_ver ? ver : p;
	}
	return ver;
}

static void
set_ready(struct stream *s)
{
	struct replica *r = s->replica;

	s->state = ST_READY;
	if (s->cursor == r->ver) {
		TAILQ_INSERT_TAIL(&r->idle, s, link);
		r->nidle++;
		return;
	}
	TAILQ_INSERT_TAIL(&r->tn->behind, s, link);
	r->nbehind++;
	work_soon(r->tn);
}

/* Out of the list that its state says. */
static void
unlist(struct stream *s)
{
	struct replica *r = s->replica;
	struct tailnets *tn = r->tn;

	switch (s->state) {
	case ST_NEW:
		TAILQ_REMOVE(&tn->newcomers, s, link);
		tn->nnewcomers--;
		break;
	case ST_READY:
		if (s->cursor == r->ver) {
			TAILQ_REMOVE(&r->idle, s, link);
			r->nidle--;
		} else {
			TAILQ_REMOVE(&tn->behind, s, link);
			r->nbehind--;
		}
		break;
	case ST_OVER:
		TAILQ_REMOVE(&tn->over, s, link);
		break;
	default:
		break;
	}
}

void
streams_behind(struct replica *r)
{
	/* With nobody in wait the tick is over: others may begin here. */
	if (r->nbehind == 0 && r->nidle == 0)
		add_point(r);
	TAILQ_CONCAT(&r->tn->behind, &r->idle, link);
	r->nbehind += r->nidle;
	r->nidle = 0;
	work_soon(r->tn);
	if (!timer_pending(&r->tn->cold))
		timer_in(&r->tn->cold, COLD_US);
}

/* A Node object of the stream's own, by itself: no two are alike. */
static struct frame *
self_message(const struct stream *s, const struct node *n)
{
	struct replica *r = s->replica;
	struct buf b = { 0 };
	struct fullmap m;
	struct frame *f;

	fullmap_of(s, &m);
	m.node = n;
	buf_str(&b, "{\"Node\":");
	fullmap_self(r, &m, &b);
	buf_str(&b, ",\"UserProfiles\":[");
	buf_put(&b, n->user->profile, n->user->profile_n);
	buf_str(&b, "]}");
	f = pack_message(r->tn->pack, &b, s->compress);
	buf_free(&b);
	return f;
}

/*
 * What makes a client whose node is deleted ask for a login, instead of
 * coming back for ever (protocol.md 4.8): its key has expired.
 */
static void
set_last(struct stream *s)
{
	struct node n = *s->node;

	n.expiry = LONG_AGO;
	n.expired = true;
	s->last = self_message(s, &n);
}

/* It will be told nothing more. */
static void
forget(struct stream *s)
{
	view_unref(s->view);
	plan_unref(s->plan);
	s->view = NULL;
	s->plan = NULL;
}

static void
end_stream(struct stream *s)
{
	unlist(s);
	LIST_REMOVE(s, own);
	forget(s);
	s->node = NULL;
	s->state = ST_OVER;
	TAILQ_INSERT_TAIL(&s->replica->tn->over, s, link);
	work_soon(s->replica->tn);
}

void
streams_orphan(struct node *n)
{
	struct stream *s;

	while ((s = LIST_FIRST(&n->streams)) != NULL) {
		if (s->state != ST_NEW)
			set_last(s);
		end_stream(s);
	}
}

/*
 * Hands one message out; false if the stream was closed meanwhile.  It is
 * busy from now on.
 */
static bool
give(struct stream *s, struct frame *const *f, size_t n, bool first)
{
	struct tailnets *tn = s->replica->tn;

	s->quiet = env_now(tn->env);
	tn->giving = s;
	tn->ops.out(s, f, n, first, tn->ops.arg);
	if (tn->giving != s)
		return false;
	tn->giving = NULL;
	return true;
}

/* Hands out the message in tn->scratch, if any, and empties it. */
static bool
give_parts(struct stream *s, bool first, bool *gave)
{
	struct parts *ps = &s->replica->tn->scratch;
	size_t i;
	bool alive = true;

	if (ps->n != 0) {
		*gave = true;
		alive = give(s, ps->frame, ps->n, first);
	}
	for (i = 0; i < ps->n; i++)
		frame_unref(ps->frame[i]);
	ps->n = ps->octets = 0;
	return alive;
}

static bool
give_map(struct stream *s, bool first)
{
	struct replica *r = s->replica;
	struct fullmap m;
	uint64_t ver;
	bool gave;

	plan_unref(s->plan);
	s->plan = plan_of(r, s->node);
	fullmap_of(s, &m);
	ver = fullmap_parts(r, &m, &r->tn->scratch);
	s->cursor = snap(r, ver);
	return give_parts(s, first, &gave);
}

static bool
give_self(struct stream *s, bool *gave)
{
	parts_add(&s->replica->tn->scratch, self_message(s, s->node));
	return give_parts(s, false, gave);
}

/* Hands out its last message, if there is one; false as give(). */
static bool
give_last(struct stream *s)
{
	struct frame *f = s->last;
	bool alive;

	if (f == NULL)
		return true;
	s->last = NULL;
	alive = give(s, &f, 1, false);
	frame_unref(f);
	return alive;
}

/* True if the node itself must be told of its own changes. */
static bool
self_changed(const struct stream *s)
{
	const struct replica *r = s->replica;
	const struct node *n = s->node;

	if (n->self_ver > s->cursor || r->self_ver > s->cursor)
		return true;
	/* Its profile reaches it with those of peers only if it is seen. */
	return n->user->ver > s->cursor && !view_has_user(s->view, n->user);
}

/*
 * News that begin with members of the stream's own: what of its filter, SSH
 * policy and attributes is another, so that with the peers of a policy comes
 * all that the policy says (state.md 8).
 */
static void
own_parts(struct stream *s, const struct plan *was, unsigned int diff,
    const struct delta *d, struct note *news, const struct node *self)
{
	struct replica *r = s->replica;
	struct compose c;
	struct fullmap m;
	const char *comma = "{";

	compose_init(&c, r->tn->pack, &r->tn->scratch, s->compress);
	if (diff & PLAN_CAPS) {
		fullmap_of(s, &m);
		buf_str(&c.text, "{\"Node\":");
		fullmap_self(r, &m, &c.text);
		comma = ",";
	}
	if (diff & PLAN_FILTER) {
		buf_str(&c.text, comma);
		buf_str(&c.text, "\"PacketFilters\":");
		plan_put_filters(r, was, s->plan, s->node, &c);
		comma = ",";
	}
	if (diff & PLAN_SSH) {
		buf_str(&c.text, comma);
		buf_str(&c.text, "\"SSHPolicy\":");
		plan_put_ssh(r, s->plan, s->node, &c);
	}
	note_more(r, d, news, self, &c);
	compose_end(&c);
}

/* What is to be told, once the cursor stands where it will. */
struct telling {
	struct delta	*d;
	const struct plan *was;
	unsigned int	 diff;		/* PLAN_ */
	bool		 own;		/* the node itself */
	const struct node *self;	/* may be among the others; or NULL */
};

static void
tell(struct stream *s, const struct telling *t)
{
	struct replica *r = s->replica;
	struct parts *ps = &r->tn->scratch;
	bool gave = false;

	note_parts(r, t->d, &t->d->gone, t->self, ps);
	if (!give_parts(s, false, &gave))
		return;
	if (t->own && !give_self(s, &gave))
		return;
	if (t->diff != 0)
		own_parts(s, t->was, t->diff, t->d, &t->d->news, t->self);
	else
		note_parts(r, t->d, &t->d->news, t->self, ps);
	if (!give_parts(s, false, &gave))
		return;
	if (!gave)
		set_ready(s);
}

/*
 * What the stream, which had the view was, has not seen: removals of deleted
 * nodes in a message of their own, then its own Node, then all else.  The
 * cursor is at the replica's version before anything goes out, for out() may
 * do what it likes.
 */
static void
give_news(struct stream *s, struct view *was, bool drop)
{
	struct replica *r = s->replica;
	struct node *n = s->node;
	struct telling t = { 0 };
	struct plan *old = s->plan;

	t.d = delta_get(r, was, s->view, s->cursor, s->compress, drop);
	/* Messages are those of views, of which a router is a peer. */
	if (drop || was != s->view || n->mark.ver > s->cursor ||
	    n->nroutes != 0)
		t.self = n;
	t.own = drop || self_changed(s);
	t.was = old;
	s->plan = plan_of(r, n);
	t.diff = plan_diff(old, s->plan);
	if (n->addr_ver > s->cursor) {
		t.was = NULL;
		t.diff |= PLAN_FILTER;
		if (plan_ssh_is_own(s->plan))
			t.diff |= PLAN_SSH;
	}
	if (t.own)
		t.diff &= ~PLAN_CAPS;
	s->cursor = r->ver;
	s->state = ST_BUSY;
	tell(s, &t);
	plan_unref(old);
}

/*
 * Brings one stream that is behind to the replica's version.  A full map
 * whose list of peers is empty says nothing of them to a client: then what it
 * may know is removed one by one, and if that is forgotten the stream ends.
 */
static void
serve(struct stream *s)
{
	struct replica *r = s->replica;
	struct view *was = s->view;
	bool anew;

	unlist(s);
	s->state = ST_BUSY;
	add_point(r);
	s->view = view_is(was, r, s->node, s->alone) ? view_ref(was) :
	    view_of(r, s->node, s->alone);
	anew = s->cursor < r->floor || s->cursor < r->all_ver ||
	    was->no_ip4 != s->view->no_ip4 || delta_is_dear(r, was, s->view);
	if (!anew)
		give_news(s, was, false);
	else if (view_has_peers(r, s->view, s->node))
		(void)give_map(s, false);
	else if (s->cursor >= r->floor)
		give_news(s, was, true);
	else
		end_stream(s);
	view_unref(was);
}

static void
tell_over(struct tailnets *tn)
{
	struct stream *s;

	/* An owner that keeps one is told once. */
	while ((s = TAILQ_FIRST(&tn->over)) != NULL) {
		TAILQ_REMOVE(&tn->over, s, link);
		s->state = ST_BUSY;
		if (give_last(s))
			tn->ops.over(s, tn->ops.arg);
	}
}

/* A running average. */
static void
learn(uint32_t *avg, uint64_t us, uint64_t n)
{
	uint64_t each = us / n;

	if (each > 1000000)
		each = 1000000;
	*avg = (uint32_t)((7 * (uint64_t)*avg + each + 4) / 8);
}

/* First maps, for at most a turn's time. */
static void
welcome(struct tailnets *tn)
{
	uint64_t start, now, n = 0;
	struct stream *s;

	if (TAILQ_EMPTY(&tn->newcomers))
		return;
	now = start = env_now(tn->env);
	while ((s = TAILQ_FIRST(&tn->newcomers)) != NULL &&
	    now - start < TURN_US) {
		unlist(s);
		s->state = ST_BUSY;
		view_unref(s->view);
		s->view = view_of(s->replica, s->node, s->alone);
		(void)give_map(s, true);
		n++;
		now = env_now(tn->env);
	}
	learn(&tn->map_us, now - start, n);
}

static uint64_t
all_behind(const struct tailnets *tn)
{
	const struct replica *r;
	uint64_t n = 0;

	TAILQ_FOREACH(r, &tn->replicas, link)
		n += r->nbehind;
	return n;
}

/*
 * A flush: all that are behind when it begins are served, in turns; who falls
 * behind meanwhile waits for the next.  That may begin when ten times what
 * this one cost has passed since its beginning.
 */
static void
flush(struct tailnets *tn)
{
	uint64_t start, now, wait, n = 0;

	now = start = env_now(tn->env);
	if (TAILQ_EMPTY(&tn->behind) ||
	    (!tn->flushing && now < tn->next_flush))
		return;
	if (!tn->flushing) {
		tn->flushing = true;
		tn->flush_cpu = 0;
		tn->flush_left = all_behind(tn);
		tn->next_flush = now;
	}
	while (!TAILQ_EMPTY(&tn->behind) && tn->flush_left != 0 &&
	    n < TURN_STREAMS && now - start < TURN_US) {
		serve(TAILQ_FIRST(&tn->behind));
		tn->flush_left--;
		n++;
		now = env_now(tn->env);
	}
	tn->flush_cpu += now - start;
	learn(&tn->news_us, now - start, n);
	if (!TAILQ_EMPTY(&tn->behind) && tn->flush_left != 0)
		return;
	tn->flushing = false;
	wait = TICK_SHARE * tn->flush_cpu;
	if (wait < TICK_LEAST)
		wait = TICK_LEAST;
	if (wait > TICK_MOST)
		wait = TICK_MOST;
	tn->next_flush += wait;
}

static void
on_work(void *arg)
{
	struct tailnets *tn = arg;

	tell_over(tn);
	welcome(tn);
	flush(tn);
	work_soon(tn);
}

/*
 * One lagging chunk of each replica, until none lags.  Messages that all have
 * been given are not kept until the next change.
 */
static void
on_cold(void *arg)
{
	struct tailnets *tn = arg;
	struct replica *r;
	bool more = false;

	TAILQ_FOREACH(r, &tn->replicas, link) {
		more |= groups_freshen(r) || r->nbehind != 0;
		if (r->nbehind == 0)
			deltas_clear(r);
		if (r->nidle == r->nstreams)
			trails_settle(r);
		more |= r->old_rules != NULL;
	}
	if (more)
		timer_in(&tn->cold, COLD_US);
}

static uint64_t
keepalive_at(const struct stream *s)
{
	return s->quiet + s->replica->tn->conf.keepalive_s * US_PER_S +
	    s->jitter;
}

/* The slot where it is looked at again. */
static void
wheel_put(struct stream *s, uint64_t at)
{
	struct tailnets *tn = s->replica->tn;
	uint64_t second = (at + US_PER_S - 1) / US_PER_S;

	if (second <= tn->second)
		second = tn->second + 1;
	if (second > tn->second + WHEEL - 1)
		second = tn->second + WHEEL - 1;
	s->slot = second % WHEEL;
	TAILQ_INSERT_TAIL(&tn->wheel[s->slot], s, wheel);
}

/*
 * Its second has come: a keep-alive if it has been quiet, else later.  One
 * that is busy has something to send.
 */
static void
look_at(struct stream *s, uint64_t now)
{
	struct tailnets *tn = s->replica->tn;
	struct frame *f = tn->keepalive[s->compress];
	uint64_t due = keepalive_at(s);

	TAILQ_REMOVE(&tn->wheel[s->slot], s, wheel);
	if (now < due || s->state != ST_READY) {
		wheel_put(s, now < due ? due : now + US_PER_S);
		return;
	}
	unlist(s);
	s->state = ST_BUSY;
	s->jitter = env_uniform(tn->env, JITTER_US);
	wheel_put(s, now + tn->conf.keepalive_s * US_PER_S);
	(void)give(s, &f, 1, false);
}

static void
on_tick(void *arg)
{
	struct tailnets *tn = arg;
	struct stream_list *slot;
	uint64_t now = env_now(tn->env);

	while (tn->second < now / US_PER_S) {
		tn->second++;
		slot = &tn->wheel[tn->second % WHEEL];
		/* None is put back into the same slot. */
		while (!TAILQ_EMPTY(slot))
			look_at(TAILQ_FIRST(slot), now);
	}
	if (tn->nstreams != 0)
		timer_at(&tn->tick, (tn->second + 1) * US_PER_S);
}

static void
wheel_start(struct tailnets *tn)
{
	if (timer_pending(&tn->tick))
		return;
	tn->second = env_now(tn->env) / US_PER_S;
	timer_at(&tn->tick, (tn->second + 1) * US_PER_S);
}

void
streams_init(struct tailnets *tn)
{
	struct buf b = { 0 };
	unsigned int i;

	TAILQ_INIT(&tn->newcomers);
	TAILQ_INIT(&tn->behind);
	TAILQ_INIT(&tn->over);
	for (i = 0; i < WHEEL; i++)
		TAILQ_INIT(&tn->wheel[i]);
	timer_init(&tn->work, tn->env, on_work, tn);
	timer_init(&tn->cold, tn->env, on_cold, tn);
	timer_init(&tn->tick, tn->env, on_tick, tn);
	tn->map_us = 300;
	tn->news_us = 10;
	/* The space: see protocol.md 5.3 for what clients do without it. */
	buf_str(&b, "{\"KeepAlive\": true}");
	tn->keepalive[0] = pack_message(tn->pack, &b, false);
	tn->keepalive[1] = pack_message(tn->pack, &b, true);
	buf_clear(&b);
	buf_str(&b, "]}");
	tn->tail = pack_frame(tn->pack, &b);
	buf_free(&b);
}

void
streams_free(struct tailnets *tn)
{
	struct stream *s;
	unsigned int i;

	for (i = 0; i < WHEEL; i++)
		while ((s = TAILQ_FIRST(&tn->wheel[i])) != NULL)
			stream_close(s);
	timer_stop(&tn->work);
	timer_stop(&tn->cold);
	timer_stop(&tn->tick);
	frame_unref(tn->keepalive[0]);
	frame_unref(tn->keepalive[1]);
	frame_unref(tn->tail);
	parts_free(&tn->scratch);
}

struct stream *
stream_open(struct tailnets *tn, const struct stream_conf *sc, void *tag)
{
	struct replica *r;
	struct node *n;
	struct stream *s;

	if ((r = idmap_get(&tn->by_id, sc->tailnet)) == NULL ||
	    (n = idmap_get(&r->nodes, sc->node)) == NULL)
		return NULL;
	s = xcalloc(1, sizeof(*s));
	s->replica = r;
	s->node = n;
	s->tag = tag;
	s->capver = sc->capver;
	s->compress = sc->compress;
	s->alone = sc->omit_peers;
	memcpy(s->key, sc->node_key, sizeof(s->key));
	s->quiet = env_now(tn->env);
	s->jitter = env_uniform(tn->env, JITTER_US);
	s->state = ST_NEW;
	LIST_INSERT_HEAD(&n->streams, s, own);
	TAILQ_INSERT_TAIL(&tn->newcomers, s, link);
	tn->nnewcomers++;
	r->nstreams++;
	tn->nstreams++;
	wheel_start(tn);
	wheel_put(s, keepalive_at(s));
	work_soon(tn);
	return s;
}

void *
stream_tag(const struct stream *s)
{
	return s->tag;
}

void
stream_drained(struct stream *s)
{
	if (s->state == ST_BUSY && s->node != NULL)
		set_ready(s);
}

void
stream_farewell(struct stream *s)
{
	/* Its removal may be on its way to us, or seen to already. */
	if (s->node != NULL && s->state != ST_NEW)
		set_last(s);
	(void)give_last(s);
}

void
stream_close(struct stream *s)
{
	struct tailnets *tn = s->replica->tn;

	unlist(s);
	if (s->node != NULL)
		LIST_REMOVE(s, own);
	forget(s);
	TAILQ_REMOVE(&tn->wheel[s->slot], s, wheel);
	if (tn->giving == s)
		tn->giving = NULL;
	frame_unref(s->last);
	s->replica->nstreams--;
	if (--tn->nstreams == 0)
		timer_stop(&tn->tick);
	free(s);
}
