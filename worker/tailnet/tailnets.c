#include <stdlib.h>
#include <string.h>

#include "worker/tailnet/derpmap.h"
#include "worker/tailnet/dns_int.h"
#include "worker/tailnet/filter_int.h"
#include "worker/tailnet/fullmap_int.h"
#include "worker/tailnet/mapjson_int.h"
#include "worker/tailnet/tailnets_int.h"

#define KEEPALIVE_S	50	/* until there is a configuration */

struct tailnets *
tailnets_new(struct env *env, const struct tn_ops *ops)
{
	struct tailnets *tn;

	tn = xcalloc(1, sizeof(*tn));
	tn->env = env;
	tn->ops = *ops;
	tn->pack = pack_new();
	env_random(env, tn->seed, sizeof(tn->seed));
	tn->conf.keepalive_s = KEEPALIVE_S;
	TAILQ_INIT(&tn->replicas);
	mapjson_caps(&tn->caps, false, false);
	streams_init(tn);
	return tn;
}

static void
drop(struct tailnets *tn, struct replica *r)
{
	TAILQ_REMOVE(&tn->replicas, r, link);
	idmap_del(&tn->by_id, r->id);
	replica_free(r);
}

void
tailnets_free(struct tailnets *tn)
{
	struct replica *r;
	size_t i;

	if (tn == NULL)
		return;
	streams_free(tn);
	while ((r = TAILQ_FIRST(&tn->replicas)) != NULL)
		drop(tn, r);
	idmap_free(&tn->by_id);
	idmap_free(&tn->routers);
	derpmap_free(tn->derpmap);
	records_free(tn->records);
	for (i = 0; i < sizeof(tn->conf_text) / sizeof(tn->conf_text[0]); i++)
		buf_free(&tn->conf_text[i]);
	buf_free(&tn->caps);
	pack_free(tn->pack);
	free(tn);
}

/* The list's octets, kept in b. */
static void
keep_list(struct buf *b, struct msg_list *to, const struct msg_list *from)
{
	buf_clear(b);
	buf_put(b, from->p, from->n);
	to->p = b->p;
	to->n = b->n;
	to->count = from->count;
}

static void
keep_conf(struct tailnets *tn, const struct tn_conf *c)
{
	struct slice base = c->base_domain;

	if (base.n != 0 && base.p[base.n - 1] == '.')
		base.n--;
	tn->conf = *c;
	buf_clear(&tn->conf_text[0]);
	buf_slice(&tn->conf_text[0], base);
	tn->conf.base_domain = buf_slice_of(&tn->conf_text[0]);
	buf_clear(&tn->conf_text[4]);
	buf_slice(&tn->conf_text[4], c->server_url);
	tn->conf.server_url = buf_slice_of(&tn->conf_text[4]);
	keep_list(&tn->conf_text[1], &tn->conf.resolvers, &c->resolvers);
	keep_list(&tn->conf_text[2], &tn->conf.search, &c->search);
	keep_list(&tn->conf_text[3], &tn->conf.split, &c->split);
	if (tn->conf.keepalive_s == 0)
		tn->conf.keepalive_s = KEEPALIVE_S;
	dns_check(&tn->conf);
}

void
tailnets_conf(struct tailnets *tn, const struct tn_conf *c)
{
	struct replica *r;
	bool self, quiet, url;

	quiet = c->disable_logtail && !tn->conf.disable_logtail;
	url = !slice_eq(c->server_url, tn->conf.server_url);
	self = c->taildrop != tn->conf.taildrop ||
	    c->randomize_port != tn->conf.randomize_port;
	keep_conf(tn, c);
	buf_clear(&tn->caps);
	mapjson_caps(&tn->caps, c->taildrop, c->randomize_port);
	TAILQ_FOREACH(r, &tn->replicas, link) {
		replica_begin(r);
		replica_reconf(r);
		if (self)
			r->self_ver = r->ver + 1;
		/* It cannot be taken back: clients keep it for life. */
		if (quiet)
			r->debug_ver = r->ver + 1;
		/* Plans have it in them. */
		if (url)
			filters_clear(r);
		r->changed |= self || quiet || url;
		replica_end(r);
	}
}

void
tailnets_derpmap(struct tailnets *tn, struct derpmap *d)
{
	struct derpmap *old = tn->derpmap;
	struct replica *r;
	bool same;

	same = d == NULL ? old == NULL : old != NULL &&
	    slice_eq(derpmap_json(d), derpmap_json(old));
	tn->derpmap = d;
	TAILQ_FOREACH(r, &tn->replicas, link) {
		if (same)
			break;
		replica_begin(r);
		replica_spoil_head(r);
		r->derp_ver = r->ver + 1;
		/* Of none a client can't be told: it keeps what it has. */
		r->changed = d != NULL;
		replica_end(r);
	}
	derpmap_free(old);
}

void
tailnets_records(struct tailnets *tn, struct records *records)
{
	struct replica *r;

	records_free(tn->records);
	tn->records = records;
	TAILQ_FOREACH(r, &tn->replicas, link) {
		replica_begin(r);
		replica_reconf(r);
		replica_end(r);
	}
}

void
tailnets_each(struct tailnets *tn, void (*fn)(uint64_t, const uint8_t[16],
    uint64_t, void *), void *arg)
{
	struct replica *r;

	TAILQ_FOREACH(r, &tn->replicas, link)
		fn(r->id, r->batch, r->seq, arg);
}

void
tailnets_drop(struct tailnets *tn, uint64_t id)
{
	struct replica *r;

	if ((r = idmap_get(&tn->by_id, id)) != NULL && r->nstreams == 0)
		drop(tn, r);
}

uint32_t
tailnets_streams(const struct tailnets *tn, uint64_t id)
{
	const struct replica *r = idmap_get(&tn->by_id, id);

	return r == NULL ? 0 : r->nstreams;
}

size_t
map_once(struct tailnets *tn, const struct stream_conf *sc,
    struct frame **frames, size_t max)
{
	struct parts ps = { 0 };
	struct fullmap m = { 0 };
	struct replica *r;
	struct node *n;
	size_t k;

	if (max == 0 || (r = idmap_get(&tn->by_id, sc->tailnet)) == NULL ||
	    (n = idmap_get(&r->nodes, sc->node)) == NULL)
		return 0;
	m.node = n;
	m.key = sc->node_key;
	m.view = view_of(r, n, sc->omit_peers);
	m.plan = plan_of(r, n);
	m.capver = sc->capver;
	m.compress = sc->compress;
	m.fresh = true;
	(void)fullmap_parts(r, &m, &ps);
	parts_limit(&ps, max);
	view_unref(m.view);
	plan_unref(m.plan);
	k = ps.n;
	memcpy(frames, ps.frame, k * sizeof(frames[0]));
	ps.n = 0;		/* the references are the caller's */
	parts_free(&ps);
	return k;
}

uint64_t
tailnets_backlog(const struct tailnets *tn)
{
	const struct replica *r;
	uint64_t behind = 0;

	TAILQ_FOREACH(r, &tn->replicas, link)
		behind += r->nbehind;
	return (uint64_t)tn->nnewcomers * tn->map_us + behind * tn->news_us;
}
