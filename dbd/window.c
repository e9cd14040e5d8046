/*
 * The time after a start in which nodes that were online are taken to be so
 * still: the resume window after dbd's own death, the presumption after a
 * full start (state.md 9).
 */

#include <string.h>

#include "dbd/batch_int.h"
#include "dbd/relay_int.h"
#include "dbd/routes_int.h"
#include "dbd/session_int.h"

#define SPAN	65536ULL	/* ids that one DB_ONLINE_MAP can cover */

void
window_open(struct dbd *d)
{
	struct tailnet *tn;
	struct node *n;
	uint64_t now = env_now(d->env);

	wall_note(d);
	TAILQ_FOREACH(tn, &d->tailnets, all)
		TAILQ_FOREACH(n, &tn->nodes, all) {
			/* Whom we told to wait is forgotten. */
			n->unknown = now + DEFER_MAX * US_PER_S;
			expiry_arm(n);
			if (n->r.online) {
				n->presumed = true;
				d->npresumed++;
			} else
				clock_start(n);
		}
	d->in_window = true;
	timer_in(&d->window, d->full_start ? d->conf.presume_s * US_PER_S :
	    d->conf.resume_ms * US_PER_MS);
}

void
window_back(struct node *n)
{
	struct dbd *d = n->tn->d;

	if (!n->presumed)
		return;
	n->presumed = false;
	d->npresumed--;
	/* All came back: the storm is over. */
	if (d->npresumed == 0 && d->full_start && d->in_window)
		window_close(d);
}

static void
not_back(struct node *n, int64_t now)
{
	n->presumed = false;
	n->tn->d->npresumed--;
	if (n->session != NULL)	/* its first map is on the way */
		return;
	if (n->deferred <= env_now(n->tn->d->env))
		set_online(n, false, now);
	clock_start(n);
}

void
window_close(struct dbd *d)
{
	struct tailnet *tn;
	struct node *n;
	int64_t now = env_wall(d->env);

	timer_stop(&d->window);
	d->in_window = false;
	TAILQ_FOREACH(tn, &d->tailnets, all)
		TAILQ_FOREACH(n, &tn->nodes, all)
			if (n->presumed)
				not_back(n, now);
	routes_window_over(d);
	relay_window_over(d);
	d->map_due = true;
}

static void
map_part_send(struct link *l, const struct tailnet *tn, uint64_t base,
    const uint8_t *bits, size_t n, int64_t now)
{
	struct msg m;

	msg_init(&m, M_DB_ONLINE_MAP);
	m.u.db_online_map.tailnet = tn->id;
	m.u.db_online_map.base = base;
	m.u.db_online_map.bits = slice_mem(bits, n);
	m.u.db_online_map.last_seen = now;
	link_send(l, &m);
}

void
online_map_send(struct dbd *d, struct link *l, struct tailnet *tn)
{
	uint8_t bits[SPAN / 8];
	uint64_t base = 0, k;
	int64_t now = env_wall(d->env);
	size_t used = 0;
	const struct node *n;

	TAILQ_FOREACH(n, &tn->nodes, all) {
		if (used != 0 && n->r.id - base >= SPAN) {
			map_part_send(l, tn, base, bits, used, now);
			used = 0;
		}
		if (used == 0) {
			base = n->r.id;
			memset(bits, 0, sizeof(bits));
		}
		k = n->r.id - base;
		used = k / 8 + 1;
		if (n->r.online)
			bits[k / 8] |= (uint8_t)(1U << k % 8);
	}
	if (used != 0)
		map_part_send(l, tn, base, bits, used, now);
}
