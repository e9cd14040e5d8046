#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "regress/sim/routes.h"
#include "regress/sim/run.h"
#include "regress/sim/run_int.h"
#include "regress/sim/vfs.h"

#define SOAK_EVERY	80	/* seeds */
#define STORM_S		40	/* of faults */
#define SETTLE_S	100	/* without */
#define COME_S		20	/* of it, for the last to come to the relay */
#define HANG_S		90	/* longer than is suffered */
#define LEAVE_S		70	/* any grace, and any ephemeral node's time */


static void
worker_gone(unsigned int slot, void *arg)
{
	struct run *r = arg;

	if (r->ways != NULL)
		ways_worker_gone(r->ways, slot);
}

static void
kick(struct conn *c, void *arg)
{
	(void)arg;
	ways_kick(c);
}

static uint64_t
span(struct run *r, uint64_t from_ms, uint64_t to_ms)
{
	return (from_ms + world_rand(r->w, to_ms - from_ms + 1)) * US_PER_MS;
}

static void
make_host(struct run *r)
{
	struct host_ops ops = { worker_gone, kick, r };
	struct host_conf conf;

	conf.grace_ms = 2000 + (uint32_t)world_rand(r->w, 8000);
	conf.ephemeral_s = 15 + (uint32_t)world_rand(r->w, 30);
	conf.resume_ms = 3000;
	conf.presume_s = 20;
	conf.overload_ms = world_chance(r->w, 6) ? 1 : 5000;
	conf.link_min_us = 5;
	conf.link_max_us = world_chance(r->w, 3) ? 20000 : 200;
	conf.no_seal = world_rand(r->w, 3);	/* never, always, half */
	conf.bounded = conf.relay = true;
	conf.guests = world_chance(r->w, 3);
	r->h = host_new(r->w, &conf, &ops);
	r->ways = ways_new(r->w, r->h);
	host_start(r->h);
	world_run(r->w, world_now(r->w) + 2 * US_PER_S);
	if (!host_serving(r->h))
		world_fail(r->w, "not serving after 2 s");
	r->relays = relays_new(r, conf.guests);
}

static void
make_clients(struct run *r)
{
	uint64_t user, other, id;
	struct sclient_conf c;
	char reusable[256], fleeting[256], second[256];
	unsigned int i, pick;

	user = r->alice = admin_user(r->admin, "alice");
	other = admin_user(r->admin, "bob");
	strlcpy(reusable, admin_key(r->admin, user, true, false, NULL), 256);
	strlcpy(second, admin_key(r->admin, other, true, false, NULL), 256);
	strlcpy(fleeting, admin_key(r->admin, user, true, true, NULL), 256);
	if (reusable[0] == '\0' || second[0] == '\0' || fleeting[0] == '\0')
		world_fail(r->w, "no auth key could be made");
	/* No node is before the first policy, which approves its routes. */
	for (i = 0; i < 100 && admin_acked(r->admin, &pick) == 0; i++) {
		admin_policy(r->admin, 1);	/* policyc may be killed */
		world_run(r->w, world_now(r->w) + US_PER_S / 10);
	}
	if (admin_acked(r->admin, &pick) == 0)
		world_fail(r->w, "no policy could be set");
	r->n = 4 + (unsigned int)world_rand(r->w, CLIENTS_MAX - 3);
	for (i = 0; i < r->n; i++) {
		memset(&c, 0, sizeof(c));
		snprintf(r->names[i], sizeof(r->names[i]),
		    world_chance(r->w, 4) ? "same" : "host%u", i);
		pick = (unsigned int)world_rand(r->w, 5);
		if (pick == 0 && r->nsingles < SINGLES_MAX) {
			strlcpy(r->keys[i], admin_key(r->admin, user, false,
			    false, &id), 256);
			r->single_ids[r->nsingles++] = id;
			r->single[i] = id;
		} else if (pick == 1 && i > 0 && r->single[i - 1] != 0) {
			/* two clients race for one single-use key */
			strlcpy(r->keys[i], r->keys[i - 1], 256);
			r->single[i] = r->single[i - 1];
		} else if (pick == 2) {
			strlcpy(r->keys[i], fleeting, 256);
			c.ephemeral = true;
		} else
			strlcpy(r->keys[i], pick == 3 ? second : reusable,
			    256);
		c.hostname = r->names[i];
		c.auth_key = r->keys[i];
		c.capver = world_chance(r->w, 2) ? 148 : 142;
		c.routes = routes_any(r->w);
		c.net_min_us = 50;
		c.net_max_us = world_chance(r->w, 3) ? 50000 : 500;
		r->clients[i] = sclient_new(r->w, r->h, r->ways,
		    r->outside, &c);
	}
}

/* Faults and life, at random times. */

/* Briefly, for longer than is good, or for good. */
static void
hang(struct run *r)
{
	unsigned int slot = 1 + (unsigned int)world_rand(r->w, HOST_WORKERS);

	switch (world_rand(r->w, 3)) {
	case 0:
		(void)host_hang(r->h, slot, span(r, 1, 5000));
		break;
	case 1:
		(void)host_hang(r->h, slot, span(r, 5000, 30500));
		break;
	default:
		(void)host_hang(r->h, slot, HANG_S * US_PER_S);
		break;
	}
}

static void
fault(struct run *r)
{
	static const enum role roles[] = { ROLE_WORKER, ROLE_WORKER,
	    ROLE_KEYD, ROLE_DBD, ROLE_DBD };
	enum role role = roles[world_rand(r->w, 5)];
	unsigned int slot, after;

	switch (world_rand(r->w, 14)) {
	case 0:
		host_kill(r->h, world_chance(r->w, 2));
		world_run(r->w, world_now(r->w) + span(r, 0, 3000));
		host_start(r->h);
		break;
	case 1:
		vfs_faults(20 + world_rand(r->w, 200));
		world_run(r->w, world_now(r->w) + span(r, 100, 1500));
		vfs_faults(0);
		break;
	case 2:
		world_jump(r->w, ((int64_t)world_rand(r->w, 7200) - 3600) *
		    (int64_t)US_PER_S);
		break;
	case 3:
	case 4:
		hang(r);
		break;
	default:
		slot = role == ROLE_WORKER ?
		    1 + (unsigned int)world_rand(r->w, HOST_WORKERS) : 0;
		after = world_chance(r->w, 2) ? 0 :
		    1 + (unsigned int)world_rand(r->w, 12);
		host_kill_role(r->h, role, slot, after);
		break;
	}
}

static void
life(struct run *r)
{
	struct sclient *c = r->clients[world_rand(r->w, r->n)];

	switch (world_rand(r->w, 12)) {
	case 11:
		sclient_advertise(c, routes_any(r->w));
		break;
	case 10:
		admin_policy(r->admin, world_chance(r->w, 6) ? 0 : 1 +
		    (unsigned int)world_rand(r->w, 60000));
		break;
	case 0:
	case 1:
	case 2:
		sclient_change(c);
		break;
	case 3:
		sclient_drop(c);
		break;
	case 4:
		sclient_restart(c);
		break;
	case 5:
		sclient_stall(c, span(r, 100, 70000));
		break;
	case 6:
		if (r->single[world_rand(r->w, r->n)] == 0)
			sclient_start(c);
		break;
	default:
		sclient_start(c);
		break;
	}
}

static void
logout_some(struct run *r)
{
	unsigned int i = (unsigned int)world_rand(r->w, r->n);

	/* a single-use key does not log in again after a logout */
	if (r->single[i] == 0)
		sclient_logout(r->clients[i]);
}

static void
storm(struct run *r)
{
	uint64_t end = world_now(r->w) + STORM_S * US_PER_S;
	unsigned int calm = 3 + (unsigned int)world_rand(r->w, 30);

	while (world_now(r->w) < end && world_failures(r->w) == 0) {
		world_run(r->w, world_now(r->w) + span(r, 1, 800));
		relays_follow(r->relays);
		relays_life(r->relays);
		if (world_chance(r->w, calm))
			fault(r);
		else if (world_chance(r->w, 20))
			logout_some(r);
		else
			life(r);
	}
}

/* The client that holds the node, or NULL. */
static struct sclient *
holder(struct run *r, const struct truth *t)
{
	unsigned int i;

	for (i = 0; i < r->n; i++)
		if (sclient_state(r->clients[i]) == SC_IN &&
		    strcmp(sclient_key(r->clients[i]), t->key) == 0)
			return r->clients[i];
	return NULL;
}

/* A route whose primary can be replaced, and by whom; false: there is none. */
static bool
heir(struct run *r, const struct truth *t, size_t n, unsigned int *route,
    struct sclient **primary, uint64_t *id)
{
	const struct truth *p, *next;
	unsigned int i, k = (unsigned int)world_rand(r->w, ROUTES);

	for (i = 0; i < ROUTES; i++, k = (k + 1) % ROUTES) {
		if ((p = routes_primary(t, n, k)) == NULL || (next =
		    routes_first(r->w, t, n, k, p)) == NULL ||
		    (*primary = holder(r, p)) == NULL)
			continue;
		*route = k;
		*id = next->id;
		return true;
	}
	return false;
}

/* A primary goes for good: the next is elected, and all are told. */
static void
take_over(struct run *r)
{
	const struct truth *p;
	struct sclient *c;
	struct truth *t;
	unsigned int route;
	uint64_t id;
	size_t n;
	bool found;

	t = admin_nodes(r->admin, &n);
	found = t != NULL && heir(r, t, n, &route, &c, &id);
	free(t);
	if (!found)
		return;
	sclient_off(c);
	world_run(r->w, world_now(r->w) + LEAVE_S * US_PER_S);
	t = admin_nodes(r->admin, &n);
	if ((p = routes_primary(t, n, route)) == NULL || p->id != id)
		world_fail(r->w, "%s has primary %llu after an election that "
		    "is %llu's", route_text(route), p == NULL ? 0ULL :
		    (unsigned long long)p->id, (unsigned long long)id);
	free(t);
	questions(r);
}

static void
finish(struct run *r)
{
	unsigned int i;

	host_no_limits(r->h);
	for (i = 0; i < r->n; i++)
		if (sclient_state(r->clients[i]) == SC_REGISTERING ||
		    sclient_state(r->clients[i]) == SC_IN)
			sclient_stall(r->clients[i], 0);
	world_run(r->w, world_now(r->w) + (SETTLE_S - COME_S) * US_PER_S);
	relays_calm(r->relays);
	world_run(r->w, world_now(r->w) + COME_S * US_PER_S);
}

unsigned int
sim_run(uint64_t seed, FILE *trace)
{
	struct run r = { 0 };
	unsigned int i, failures;

	r.w = world_new(seed, false);
	world_trace_to(r.w, trace);
	vfs_use(r.w);
	vfs_clear();
	r.outside = sproc_new(r.w, "outside", NULL, NULL);
	make_host(&r);
	r.admin = admin_new(r.w, r.h, r.outside);
	make_clients(&r);
	storm(&r);
	finish(&r);
	if (world_failures(r.w) == 0)
		questions(&r);
	if (world_failures(r.w) == 0)
		take_over(&r);
	if (world_failures(r.w) == 0 && seed % SOAK_EVERY == 0)
		soak(&r);
	if (world_failures(r.w) == 0)
		relays_reach(r.relays);
	if (world_failures(r.w) == 0)
		relays_evict(r.relays);
	relays_free(r.relays);
	for (i = 0; i < r.n; i++)
		sclient_off(r.clients[i]);
	admin_free(r.admin);
	world_run(r.w, world_now(r.w) + US_PER_S);
	host_free(r.h);
	for (i = 0; i < r.n; i++)
		sclient_free(r.clients[i]);
	world_run(r.w, world_now(r.w) + 200 * US_PER_S);
	ways_free(r.ways);
	sproc_free(r.outside);
	failures = world_failures(r.w);
	world_end(r.w);
	vfs_clear();
	return failures;
}
