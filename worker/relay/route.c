/*
 * Packets to where they belong: within a tailnet only, and what belongs to
 * another counts as unknown.
 */

#include <string.h>

#include "common/compat/compat.h"
#include "worker/relay/calls_int.h"

/* PeerGone(NotHere): one a second, at most three at once (derp.md 4.5). */
#define NOT_HERE_US	US_PER_S
#define NOT_HERE_BURST	3

enum where {
	W_UNKNOWN,
	W_DUP,		/* several have the key, and none has spoken */
	W_HERE,
	W_SIBLING
};

/* One of its connections here is of this tailnet. */
static bool
is_here(const struct peer *k, uint64_t tailnet)
{
	const struct rclient *c;

	LIST_FOREACH(c, &k->here, dup)
		if (c->tailnet == tailnet)
			return true;
	return false;
}

static enum where
find(struct relay *r, const struct peer *k, uint64_t tailnet)
{
	bool sibling;

	if (k == NULL)
		return W_UNKNOWN;
	sibling = k->published && k->slot != r->slot && k->tailnet == tailnet;
	if (k->n != 0 && (k->ours || !sibling ||
	    !mesh_is_up(r, k->slot))) {
		if (k->active == NULL)
			return is_here(k, tailnet) ? W_DUP : W_UNKNOWN;
		return k->active->tailnet == tailnet ? W_HERE : W_UNKNOWN;
	}
	return sibling ? W_SIBLING : W_UNKNOWN;
}

/* The way to a key, which is most often that of the packet before. */
static struct peer *
find_peer(struct rclient *c, const uint8_t key[DERP_KEY])
{
	struct relay *r = c->relay;

	if (c->to != NULL && c->to_epoch == r->epoch &&
	    memcmp(c->to->key, key, DERP_KEY) == 0)
		return c->to;
	c->to = peer_find(r, key);
	c->to_dst = NULL;
	c->to_epoch = r->epoch;
	return c->to;
}

static void
unknown(struct rclient *c, const uint8_t key[DERP_KEY], bool disco)
{
	struct relay *r = c->relay;
	uint64_t now;

	r->count.dropped_unknown++;
	if (!disco)
		return;
	now = env_now(r->env);
	if (c->not_here < now)
		c->not_here = now;
	if (c->not_here - now > (NOT_HERE_BURST - 1) * NOT_HERE_US)
		return;
	c->not_here += NOT_HERE_US;
	out_gone(c, key, DERP_NOT_HERE);
}

/* body and p as route() has them: to a client of ours. */
static void
deliver(struct relay *r, struct peer *src, struct rclient *dst,
    const uint8_t *packet, size_t n, struct pkt *p)
{
	if (p == NULL) {
		p = mem_pkt(r, DERP_HEAD + DERP_KEY + n);
		if (p == NULL) {
			r->count.dropped_memory++;
			return;
		}
		if (n != 0)
			memcpy(p->frame + DERP_HEAD + DERP_KEY, packet, n);
	}
	derp_head(p->frame, DERP_RECV, (uint32_t)(DERP_KEY + n));
	memcpy(p->frame + DERP_HEAD, src->key, DERP_KEY);
	p->disco = derp_is_disco(p->frame + DERP_HEAD + DERP_KEY, n);
	out_packet(dst, p);
}

void
route(struct rclient *c, const uint8_t *body, size_t len, struct pkt *p)
{
	const uint8_t *packet = body + DERP_KEY;
	struct relay *r = c->relay;
	size_t n = len - DERP_KEY;
	struct rclient *dst;
	struct peer *k;
	bool disco;

	r->count.packets_in++;
	r->count.bytes_in += n;
	if ((disco = derp_is_disco(packet, n)))
		r->count.disco_in++;
	k = find_peer(c, body);
	switch (find(r, k, c->tailnet)) {
	case W_HERE:
		dst = k->active;
		if (c->to_dst != dst) {
			seen_note(r, c->peer, dst);
			c->to_dst = dst;
			/* Room may have been made for it; k is still k. */
			c->to_epoch = r->epoch;
		}
		deliver(r, c->peer, dst, packet, n, p);
		return;
	case W_SIBLING:
		if (mesh_send(r, k->slot, c->peer->key, k->key, packet, n,
		    disco))
			r->count.mesh_out++;
		else
			r->count.dropped_mesh++;
		break;
	case W_DUP:
		r->count.dropped_dup++;
		break;
	case W_UNKNOWN:
		unknown(c, body, disco);
		break;
	}
	pkt_free(&r->pool, p);
}

/* Never to another sibling: one hop only (derp.md 7.3). */
void
route_mesh(struct relay *r, struct peer *src, const struct m_mesh_packet *m)
{
	struct peer *k = peer_find(r, m->dst);

	if (k == NULL || k->n == 0)
		r->count.dropped_fwd++;
	else if (k->active == NULL ? !is_here(k, src->tailnet) :
	    k->active->tailnet != src->tailnet)
		r->count.mesh_refused++;
	else if (k->active == NULL)
		r->count.dropped_dup++;
	else {
		r->count.mesh_in++;
		seen_note(r, src, k->active);
		deliver(r, src, k->active, (const uint8_t *)m->packet.p,
		    m->packet.n, NULL);
	}
}
