/*
 * Packets for clients of sibling workers.  A sibling is no more trusted than
 * a client: what it may say follows from what dbd published.
 */

#include <stdlib.h>
#include <string.h>

#include "common/compat/compat.h"
#include "worker/relay/calls_int.h"

#define CREDIT		(1UL << 20)	/* octets on their way */
#define FOR_DISCO	(64UL * 1024)	/* of it */
#define TELL		(CREDIT / 16)	/* so many are acknowledged at once */
/* A packet counts with its two keys: empty ones are not free. */
#define COST(n)		(2 * DERP_KEY + (n))

static struct mesh *
mesh_at(const struct relay *r, uint16_t slot)
{
	struct mesh *s;

	if (slot >= r->nmesh)
		return NULL;
	s = &r->mesh[slot];
	return s->link == NULL || link_is_down(s->link) ? NULL : s;
}

bool
mesh_is_up(const struct relay *r, uint16_t slot)
{
	return mesh_at(r, slot) != NULL;
}

void
relay_mesh_link(struct relay *r, uint16_t slot, struct link *l)
{
	size_t n = (size_t)slot + 1;

	if (n > r->nmesh) {
		if (l == NULL)
			return;
		r->mesh = xrealloc(r->mesh, n, sizeof(r->mesh[0]));
		memset(r->mesh + r->nmesh, 0,
		    (n - r->nmesh) * sizeof(r->mesh[0]));
		r->nmesh = n;
	}
	/* What is on its way there is still counted. */
	if (l != NULL && r->mesh[slot].link == l)
		return;
	memset(&r->mesh[slot], 0, sizeof(r->mesh[slot]));
	r->mesh[slot].link = l;
}

bool
mesh_send(struct relay *r, uint16_t slot, const uint8_t *src,
    const uint8_t *dst, const void *p, size_t n, bool disco)
{
	uint64_t most = disco ? CREDIT : CREDIT - FOR_DISCO;
	struct mesh *s;
	struct msg m;

	if ((s = mesh_at(r, slot)) == NULL ||
	    s->sent + COST(n) - s->acked > most)
		return false;
	s->sent += COST(n);
	msg_init(&m, M_MESH_PACKET);
	memcpy(m.u.mesh_packet.src, src, DERP_KEY);
	memcpy(m.u.mesh_packet.dst, dst, DERP_KEY);
	m.u.mesh_packet.packet = slice_mem(p, n);
	link_send(s->link, &m);
	return true;
}

static void
take(struct mesh *s, size_t n)
{
	struct msg m;

	s->taken += COST(n);
	if (s->taken - s->told < TELL)
		return;
	s->told = s->taken;
	msg_init(&m, M_MESH_TAKEN);
	m.u.mesh_taken.octets = s->taken;
	link_send(s->link, &m);
}

static void
on_packet(struct relay *r, struct mesh *s, uint16_t slot,
    const struct m_mesh_packet *m)
{
	struct peer *src = peer_find(r, m->src);

	/* It may be that dbd's word has not reached us yet, or has changed. */
	if (src == NULL || !src->published || src->slot != slot ||
	    src->generation != link_generation(s->link))
		r->count.mesh_refused++;
	else
		route_mesh(r, src, m);
	take(s, m->packet.n);
}

bool
relay_mesh_msg(struct relay *r, uint16_t slot, const struct msg *m)
{
	struct mesh *s;

	if ((s = mesh_at(r, slot)) == NULL)
		return true;
	switch (m->type) {
	case M_MESH_PACKET:
		on_packet(r, s, slot, &m->u.mesh_packet);
		return true;
	case M_MESH_TAKEN:
		/* Never back, and never what was not sent. */
		if (m->u.mesh_taken.octets <= s->acked ||
		    m->u.mesh_taken.octets > s->sent) {
			r->count.mesh_bad++;
			return false;
		}
		s->acked = m->u.mesh_taken.octets;
		return true;
	default:
		r->count.mesh_bad++;
		return false;
	}
}
