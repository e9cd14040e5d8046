/* Snapshots that come in parts, where dbd can seal no memory. */

#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "worker/control/control_int.h"

#define SNAPS_OCTETS	(256UL * 1024 * 1024)	/* of all that are coming */

struct snap {
	TAILQ_ENTRY(snap) entry;
	uint64_t	 tailnet;
	uint64_t	 size;
	struct buf	 got;
};

static void
snap_free(struct control *c, struct snap *s)
{
	c->snap_octets -= s->got.n;
	TAILQ_REMOVE(&c->snaps, s, entry);
	buf_free(&s->got);
	free(s);
}

void
snaps_clear(struct control *c)
{
	struct snap *s;

	while ((s = TAILQ_FIRST(&c->snaps)) != NULL)
		snap_free(c, s);
}

static struct snap *
snap_find(struct control *c, uint64_t tailnet)
{
	struct snap *s;

	TAILQ_FOREACH(s, &c->snaps, entry)
		if (s->tailnet == tailnet)
			return s;
	return NULL;
}

static struct snap *
snap_new(struct control *c, const struct m_db_snapshot_part *p)
{
	struct snap *s;

	s = xcalloc(1, sizeof(*s));
	s->tailnet = p->tailnet;
	s->size = p->size;
	TAILQ_INSERT_TAIL(&c->snaps, s, entry);
	return s;
}

/* It is the one that has to come now, and not more than may. */
static bool
follows(const struct control *c, const struct snap *s,
    const struct m_db_snapshot_part *p)
{
	if (p->octets.n == 0 || p->size > SNAPS_OCTETS ||
	    p->octets.n > SNAPS_OCTETS - c->snap_octets)
		return false;
	if (s == NULL)
		return p->at == 0 && p->octets.n <= p->size;
	return p->size == s->size && p->at == s->got.n &&
	    p->octets.n <= s->size - s->got.n;
}

int
snap_part(struct control *c, const struct m_db_snapshot_part *p)
{
	struct snap *s = snap_find(c, p->tailnet);
	int rc;

	if (!follows(c, s, p)) {
		log_warnx("tailnet=%llu: part of a snapshot out of place: "
		    "%zu octets at %llu of %llu",
		    (unsigned long long)p->tailnet, p->octets.n,
		    (unsigned long long)p->at, (unsigned long long)p->size);
		return -1;
	}
	if (s == NULL)
		s = snap_new(c, p);
	buf_slice(&s->got, p->octets);
	c->snap_octets += p->octets.n;
	if (s->got.n < s->size)
		return 0;
	rc = tailnets_snapshot(c->tailnets, s->tailnet, s->got.p, s->got.n);
	snap_free(c, s);
	return rc;
}
