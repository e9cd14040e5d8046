#include <stdlib.h>

#include "regress/sim/memory.h"
#include "regress/sim/routes.h"
#include "regress/sim/run_int.h"

#define ROUNDS		8
#define EVENTS		400
#define SPAN		3		/* rounds that are looked at together */
#define GROWTH		(48u * 1024)	/* of two spans, that is none */
#define QUIET_S		60

/* Who is killed now and then while the others must not grow. */
static enum role
victim(struct run *r)
{
	static const enum role who[] = { ROLE_WORKER, ROLE_KEYD, ROLE_DBD,
	    ROLE_MASTER };

	return who[world_rand(r->w, 4)];
}

/* What leaves all as it was, but for its contents. */
static void
happen(struct run *r, unsigned int i, enum role who)
{
	struct sclient *c = r->clients[i % r->n];
	size_t n;

	switch (i / r->n % 6) {
	case 0:
	case 1:
		sclient_change(c);
		break;
	case 2:
		sclient_drop(c);
		break;
	case 3:
		sclient_advertise(c, routes_any(r->w));
		break;
	case 4:
		sclient_restart(c);
		break;
	default:
		admin_policy(r->admin, 1000 + i);
		free(admin_nodes(r->admin, &n));
		break;
	}
	relays_talk(r->relays, i);
	if (i % 40 == 39 && who != ROLE_MASTER)
		host_kill_role(r->h, who, who == ROLE_WORKER ? 1 : 0, 0);
}

static void
range(const size_t *v, size_t *low, size_t *high)
{
	unsigned int k;

	*low = *high = v[0];
	for (k = 1; k < SPAN; k++) {
		*low = v[k] < *low ? v[k] : *low;
		*high = v[k] > *high ? v[k] : *high;
	}
}

/*
 * What is cached comes and goes, so one round says little: it is growth if
 * both the least and the most of three rounds have grown.
 */
static void
judge(struct run *r, const size_t size[ROUNDS])
{
	size_t low[2], high[2];

	range(size + 1, &low[0], &high[0]);
	range(size + ROUNDS - SPAN, &low[1], &high[1]);
	if (low[1] > low[0] + GROWTH && high[1] > high[0] + GROWTH)
		world_fail(r->w, "%u times the same, and the heap grows from "
		    "%zu to %zu octets", (ROUNDS - SPAN - 1) * EVENTS, low[0],
		    low[1]);
}

void
soak(struct run *r)
{
	size_t size[ROUNDS];
	enum role who = victim(r);
	unsigned int k, i;

	relays_weed(r->relays);	/* keyd remembers each of their logins */
	for (k = 0; k < ROUNDS && world_failures(r->w) == 0; k++) {
		for (i = 0; i < EVENTS; i++) {
			happen(r, i, who);
			world_run(r->w, world_now(r->w) + US_PER_S / 4);
		}
		world_run(r->w, world_now(r->w) + QUIET_S * US_PER_S);
		size[k] = memory_heap();
		}
	if (world_failures(r->w) == 0)
		judge(r, size);
	if (world_failures(r->w) == 0)
		questions(r);
}
