/*
 * When memory for packets is short, it is had from the client that holds the
 * most of it, so that one that takes nothing costs the others nothing.
 */

#include <string.h>

#include "common/compat/compat.h"
#include "worker/relay/calls_int.h"

#define ENOUGH		65536		/* octets that a search is worth */
#define SEEK_US		(10 * US_PER_MS)	/* else between two */

static size_t
held(const struct rclient *c)
{
	return (size_t)c->disco.octets + c->data.octets +
	    (c->part == NULL ? 0 : pkt_room(c->part));
}

/* What it holds of a frame that has not come; not while it is read. */
static void
drop_part(struct relay *r, struct rclient *c)
{
	pkt_free(&r->pool, c->part);
	c->part = NULL;
	c->in = IN_SKIP;
	r->count.dropped_memory++;
}

/* False: that would help nobody. */
static bool
make_room(struct relay *r, const struct pkt *not)
{
	uint64_t now = env_now(r->env);
	struct rclient *c, *most = NULL;
	size_t n = 0, was = r->pool.used;

	if (now < r->sought)
		return false;
	TAILQ_FOREACH(c, &r->clients, entry)
		if (held(c) > n && (not == NULL || c->part != not)) {
			most = c;
			n = held(c);
		}
	if (most != NULL && most->part != NULL && n - pkt_room(most->part) <
	    pkt_room(most->part))
		drop_part(r, most);
	else if (most != NULL)
		r->count.dropped_memory += out_drop(most, ENOUGH);
	n = was - r->pool.used;
	r->sought = n >= ENOUGH ? now : now + SEEK_US;
	return n != 0;
}

static struct pkt *
get(struct relay *r, size_t n, const struct pkt *not)
{
	struct pkt *p;

	while ((p = pkt_new(&r->pool, n)) == NULL)
		if (!make_room(r, not))
			return NULL;
	return p;
}

struct pkt *
mem_pkt(struct relay *r, size_t n)
{
	return get(r, n, NULL);
}

struct pkt *
mem_grow(struct relay *r, struct pkt *p, size_t used, size_t n)
{
	size_t most = p->n, want = used + n;
	struct pkt *more;

	/* At least twice as much: what is there is not copied for ever. */
	if (want < 2 * pkt_room(p))
		want = 2 * pkt_room(p);
	if (want > most)
		want = most;
	if ((more = get(r, want, p)) == NULL)
		return NULL;
	memcpy(more->frame, p->frame, used);
	more->n = p->n;
	pkt_free(&r->pool, p);
	return more;
}
