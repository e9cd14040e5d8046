#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "dbd/batch_int.h"
#include "dbd/control_int.h"
#include "dbd/health_int.h"
#include "dbd/out_int.h"

#define EVERY_US	(60 * US_PER_S)	/* each relay is probed */
#define FRESH_US	US_PER_S	/* at most, until all are known */
#define PROBE_US	(90 * US_PER_S)	/* fetch gives up before */
#define FLIGHT_MAX	48		/* under way: fewer than the credit */

/* A relay; what was learnt of it is kept while it stays what it is. */
struct peer {
	struct health	*health;
	struct buf	 rec;		/* encoded record derp_node */
	struct r_derp_node r;		/* points into rec */
	struct outreq	*req;
	bool		 asked;		/* once, with or without an answer */
	int64_t		 probed;	/* 0: not yet */
	bool		 ok;
	uint32_t	 us;		/* mean over some probes */
	int64_t		 down_since;	/* for people; 0: it is up */
	bool		 counts;	/* it was seen by us, not cut off: */
	uint64_t	 down_at;	/* by env_now() */
	char		 text[256];
};

struct health {
	struct dbd	*d;
	struct peer	**peer;
	size_t		 n;
	size_t		 next;		/* to be probed */
	unsigned int	 flying;
	struct timer	 timer;
	uint64_t	 others_at;	/* the last that was up, not our own */
	struct buf	 avoid;		/* uint16_t, in order */
};

/* Regions that are down. */

static bool
is_own(const struct health *h, const struct peer *p)
{
	return h->d->conf.relay_host.n != 0 &&
	    slice_eq(h->d->conf.relay_host, p->r.host);
}

static bool
is_down(const struct peer *p)
{
	return p->probed != 0 && !p->ok;
}

/* If nobody else answers either, it is we who are cut off. */
static bool
cut_off(const struct health *h)
{
	size_t i;

	for (i = 0; i < h->n; i++)
		if (h->peer[i]->probed != 0 && h->peer[i]->ok &&
		    !is_own(h, h->peer[i]))
			return false;
	return true;
}

static bool
has(const struct buf *b, uint16_t region)
{
	uint16_t v;
	size_t at;

	for (at = 0; at < b->n; at += sizeof(v)) {
		memcpy(&v, b->p + at, sizeof(v));
		if (v == region)
			return true;
	}
	return false;
}

/*
 * All of its relays have been down for so long; and another has answered after
 * the last of them did not, so that it was not our end.  One to avoid already
 * stays so while they are down.
 */
static bool
to_avoid(const struct health *h, uint16_t region)
{
	uint64_t us = h->d->conf.derp_avoid_s * US_PER_S;
	bool stays = has(&h->avoid, region);
	const struct peer *p;
	size_t i;

	for (i = 0; i < h->n; i++) {
		p = h->peer[i];
		if (p->r.region != region || p->r.stun_only)
			continue;
		if (is_own(h, p) || !is_down(p))
			return false;
		if (!stays && (!p->counts || p->down_at > h->others_at ||
		    env_now(h->d->env) - p->down_at < us))
			return false;
	}
	return true;
}

static void
say_avoid(struct worker *w)
{
	const struct buf *avoid = &w->d->health->avoid;
	struct buf b = { NULL, 0, 0 };
	struct r_derp_region r;
	struct msg m;
	size_t at;

	msg_init(&m, M_DB_DERP_AVOID);
	for (at = 0; at < avoid->n; at += sizeof(r.id)) {
		memcpy(&r.id, avoid->p + at, sizeof(r.id));
		msg_list_add(&m.u.db_derp_avoid.regions, &b, MR_DERP_REGION,
		    &r);
	}
	msg_list_close(&m.u.db_derp_avoid.regions, &b);
	link_send(w->link, &m);
	buf_free(&b);
}

static void
say_all(struct health *h)
{
	struct worker *w;

	TAILQ_FOREACH(w, &h->d->workers, all)
		if (link_state(w->link) == MSG_RUN && !link_is_down(w->link))
			say_avoid(w);
}

static void
log_avoid(const struct health *h)
{
	char text[256] = " none";
	uint16_t region;
	size_t at, n = 0;

	for (at = 0; at < h->avoid.n && n < sizeof(text) - 8;
	    at += sizeof(region)) {
		memcpy(&region, h->avoid.p + at, sizeof(region));
		n += (size_t)snprintf(text + n, sizeof(text) - n, " %u",
		    region);
	}
	log_info("DERP regions to avoid:%s%s", text,
	    at < h->avoid.n ? " ..." : "");
}

static void
look(struct health *h)
{
	struct buf now = { NULL, 0, 0 };
	bool held = cut_off(h);
	uint16_t region;
	size_t i;

	/* How long it was down meanwhile nobody knows: from the next probe. */
	for (i = 0; held && i < h->n; i++)
		h->peer[i]->counts = false;
	for (i = 0; h->d->conf.derp_avoid_s != 0 && i < h->n; i++) {
		region = h->peer[i]->r.region;
		if (h->peer[i]->r.stun_only || has(&now, region))
			continue;
		/* Cut off, we learn nothing: what is, stays. */
		if (held ? has(&h->avoid, region) : to_avoid(h, region))
			buf_put(&now, &region, sizeof(region));
	}
	if (now.n == h->avoid.n && (now.n == 0 ||
	    memcmp(now.p, h->avoid.p, now.n) == 0)) {
		buf_free(&now);
		return;
	}
	buf_free(&h->avoid);
	h->avoid = now;
	log_avoid(h);
	say_all(h);
}

/* Probes. */

/* Never asked yet: once is enough, for fetch may have died of it. */
static struct peer *
fresh(const struct health *h)
{
	size_t i;

	for (i = 0; i < h->n; i++)
		if (!h->peer[i]->asked && !h->peer[i]->r.stun_only)
			return h->peer[i];
	return NULL;
}

/* Another list may have it be sooner, never later. */
static void
arm(struct health *h)
{
	uint64_t us;

	if (h->n == 0 || !outlink_is_up(h->d)) {
		timer_stop(&h->timer);
		return;
	}
	us = EVERY_US / h->n;
	if (fresh(h) != NULL && us > FRESH_US)
		us = FRESH_US;
	if (!timer_pending(&h->timer) ||
	    h->timer.at > env_now(h->d->env) + us)
		timer_in(&h->timer, us);
}

static void
mark_up(struct peer *p, uint32_t us)
{
	if (p->down_since != 0)
		log_info("DERP relay %s of region %u is up again",
		    log_vis(p->r.node), p->r.region);
	p->us = p->probed == 0 || p->us == 0 ? us :
	    (uint32_t)((3 * (uint64_t)p->us + us) / 4);
	p->ok = true;
	if (!is_own(p->health, p))
		p->health->others_at = env_now(p->health->d->env);
	p->down_since = 0;
	p->counts = false;
	p->text[0] = '\0';
}

static void
mark_down(struct peer *p, struct slice why)
{
	struct dbd *d = p->health->d;

	d->counts.probes_failed++;
	p->ok = false;
	if (!slice_copy(p->text, sizeof(p->text), why))
		p->text[0] = '\0';
	if (!p->counts)
		p->down_at = env_now(d->env);
	p->counts = true;
	if (p->down_since != 0)
		return;
	p->down_since = env_wall(d->env);
	log_info("DERP relay %s of region %u is down: %s", log_vis(p->r.node),
	    p->r.region, log_vis(why));
}

static void
on_probed(void *arg, const struct msg *m)
{
	struct peer *p = arg;
	struct health *h = p->health;

	p->req = NULL;
	h->flying--;
	if (m == NULL)
		return;		/* nothing is known, nothing has changed */
	if (m->type != M_OUT_PROBED) {
		outlink_broken(h->d, LINK_BAD_ID);
		return;
	}
	if (m->u.out_probed.ok)
		mark_up(p, m->u.out_probed.us);
	else
		mark_down(p, m->u.out_probed.text);
	p->probed = env_wall(h->d->env);
	look(h);
}

/* False: it is its turn as soon as one can be asked. */
static bool
probe(struct health *h, struct peer *p)
{
	struct msg m;

	if (p->req != NULL || p->r.stun_only)
		return true;
	if (h->flying >= FLIGHT_MAX)
		return false;
	msg_init(&m, M_OUT_PROBE);
	m.u.out_probe.host = p->r.host;
	m.u.out_probe.port = p->r.port;
	m.u.out_probe.ip4 = p->r.ip4;
	m.u.out_probe.ip6 = p->r.ip6;
	m.u.out_probe.insecure = p->r.insecure;
	p->req = outlink_ask(h->d, &m, PROBE_US, on_probed, p);
	if (p->req == NULL)
		return false;
	p->asked = true;
	h->flying++;
	h->d->counts.probes++;
	return true;
}

static void
on_timer(void *arg)
{
	struct health *h = arg;
	struct peer *p;

	if (env_ended(h->d->env) || h->n == 0)
		return;
	h->next %= h->n;
	if ((p = fresh(h)) != NULL)
		(void)probe(h, p);
	else if (probe(h, h->peer[h->next]))
		h->next++;
	arm(h);
}

void
health_out_up(struct dbd *d)
{
	arm(d->health);
}

/* The list. */

static void
peer_free(struct peer *p)
{
	if (p->req != NULL) {
		outlink_forget(p->req);
		p->health->flying--;
	}
	buf_free(&p->rec);
	free(p);
}

/* The peer of this record among those of before, taken out; or a new one. */
static struct peer *
peer_for(struct health *h, size_t hint, const struct buf *rec)
{
	struct peer *p;
	size_t i, k;

	for (i = 0; i < h->n; i++) {
		k = (hint + i) % h->n;
		if ((p = h->peer[k]) != NULL && p->rec.n == rec->n &&
		    memcmp(p->rec.p, rec->p, rec->n) == 0) {
			h->peer[k] = NULL;
			return p;
		}
	}
	p = xcalloc(1, sizeof(*p));
	p->health = h;
	buf_put(&p->rec, rec->p, rec->n);
	if (msg_rec_decode(&p->r, MR_DERP_NODE, p->rec.p, p->rec.n) == -1)
		fatalx("own copy does not decode");
	return p;
}

static void
set_list(struct health *h, struct msg_list it)
{
	struct buf rec = { NULL, 0, 0 };
	struct peer **list;
	struct r_derp_node r;
	size_t i, n = 0;

	list = xcalloc(it.count + 1, sizeof(list[0]));
	while (msg_list_next(&it, MR_DERP_NODE, &r)) {
		buf_clear(&rec);
		msg_rec_encode(&rec, MR_DERP_NODE, &r);
		list[n] = peer_for(h, n, &rec);
		n++;
	}
	buf_free(&rec);
	for (i = 0; i < h->n; i++)
		if (h->peer[i] != NULL)
			peer_free(h->peer[i]);
	free(h->peer);
	h->peer = list;
	h->n = n;
	look(h);
	arm(h);
}

/* The list of the worker in the lowest slot is the one that counts. */
static void
choose(struct dbd *d)
{
	struct msg_list it = { NULL, 0, 0 };
	struct worker *w, *best = NULL;

	TAILQ_FOREACH(w, &d->workers, all)
		if (w->relays.whole && (best == NULL || w->slot < best->slot))
			best = w;
	if (best == NULL)
		return;		/* until one says another */
	it.count = best->relays.nsaid;
	msg_list_close(&it, &best->relays.said);
	set_list(d->health, it);
}

void
on_derp_node(struct worker *w, const struct msg *m)
{
	struct relays_said *s = &w->relays;

	if (s->ncoming >= RELAYS_MAX) {
		link_violation(w->link, LINK_OVERFLOW);
		return;
	}
	s->ncoming++;
	msg_rec_encode(&s->coming, MR_DERP_NODE, &m->u.db_derp_node.node);
}

void
on_derp_nodes(struct worker *w, const struct msg *m)
{
	struct relays_said *s = &w->relays;

	if (m->u.db_derp_nodes.count != s->ncoming) {
		link_violation(w->link, LINK_BAD_BODY);
		return;
	}
	buf_free(&s->said);
	s->said = s->coming;
	s->nsaid = s->ncoming;
	s->whole = true;
	memset(&s->coming, 0, sizeof(s->coming));
	s->ncoming = 0;
	choose(w->d);
}

/* It is still among the workers; none is left: the last list stays. */
void
health_worker_gone(struct worker *w)
{
	bool whole = w->relays.whole;

	buf_free(&w->relays.coming);
	buf_free(&w->relays.said);
	memset(&w->relays, 0, sizeof(w->relays));
	if (whole && !w->d->freeing && !env_ended(w->d->env))
		choose(w->d);
}

void
health_hello(struct worker *w)
{
	say_avoid(w);
}

void
health_conf(struct dbd *d)
{
	look(d->health);
}

void
health_rows(struct dbd *d, struct buf *rows)
{
	const struct health *h = d->health;
	const struct peer *p;
	struct m_ctl_derp *r;
	struct msg m;
	size_t i;

	for (i = 0; i < h->n; i++) {
		p = h->peer[i];
		msg_init(&m, M_CTL_DERP);
		r = &m.u.ctl_derp;
		r->region = p->r.region;
		r->code = p->r.code;
		r->node = p->r.node;
		r->host = p->r.host;
		r->own = is_own(h, p);
		r->stun_only = p->r.stun_only;
		r->probed = p->probed;
		r->ok = p->ok;
		r->us = p->us;
		r->down_since = p->down_since;
		r->avoid = has(&h->avoid, p->r.region);
		r->text = slice_str(p->text);
		rows_add(rows, &m);
	}
}

/* Life. */

void
health_init(struct dbd *d)
{
	d->health = xcalloc(1, sizeof(*d->health));
	d->health->d = d;
	timer_init(&d->health->timer, d->env, on_timer, d->health);
}

void
health_free(struct dbd *d)
{
	struct health *h = d->health;
	size_t i;

	if (h == NULL)
		return;
	timer_stop(&h->timer);
	for (i = 0; i < h->n; i++)
		peer_free(h->peer[i]);
	free(h->peer);
	buf_free(&h->avoid);
	free(h);
	d->health = NULL;
}
