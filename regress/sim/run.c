#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "regress/sim/admin.h"
#include "regress/sim/client.h"
#include "regress/sim/routes.h"
#include "regress/sim/run.h"
#include "regress/sim/vfs.h"

#define CLIENTS_MAX	9
#define SINGLES_MAX	3
#define STORM_S		40	/* of faults */
#define SETTLE_S	100	/* without */
#define HANG_S		90	/* longer than is suffered */
#define LEAVE_S		70	/* any grace, and any ephemeral node's time */
#define WIRE_BOUND	(4u << 20)

struct run {
	struct world	*w;
	struct host	*h;
	struct sproc	*outside;
	struct admin	*admin;
	struct sclient	*clients[CLIENTS_MAX];
	char		 names[CLIENTS_MAX][16];
	char		 keys[CLIENTS_MAX][256];
	bool		 single[CLIENTS_MAX];
	unsigned int	 n;
	uint64_t	 single_ids[SINGLES_MAX];
	unsigned int	 nsingles;
	bool		 storm;
	int		 port;		/* that the policy allows; -1 unknown */
	uint64_t	 alice;
};

static void
worker_gone(unsigned int slot, void *arg)
{
	struct run *r = arg;
	unsigned int i;

	for (i = 0; i < r->n; i++)
		if (r->clients[i] != NULL)
			sclient_worker_gone(r->clients[i], slot);
}

static void
kick(struct conn *c, void *arg)
{
	(void)arg;
	sclient_kick(c);
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
	r->h = host_new(r->w, &conf, &ops);
	host_start(r->h);
	world_run(r->w, world_now(r->w) + 2 * US_PER_S);
	if (!host_serving(r->h))
		world_fail(r->w, "not serving after 2 s");
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
			r->single[i] = true;
		} else if (pick == 1 && i > 0 && r->single[i - 1]) {
			/* two clients race for one single-use key */
			strlcpy(r->keys[i], r->keys[i - 1], 256);
			r->single[i] = true;
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
		r->clients[i] = sclient_new(r->w, r->h, r->outside, &c);
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
		if (!r->single[world_rand(r->w, r->n)])
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
	if (!r->single[i])
		sclient_logout(r->clients[i]);
}

static void
storm(struct run *r)
{
	uint64_t end = world_now(r->w) + STORM_S * US_PER_S;
	unsigned int calm = 3 + (unsigned int)world_rand(r->w, 30);

	while (world_now(r->w) < end && world_failures(r->w) == 0) {
		world_run(r->w, world_now(r->w) + span(r, 1, 800));
		if (world_chance(r->w, calm))
			fault(r);
		else if (world_chance(r->w, 20))
			logout_some(r);
		else
			life(r);
	}
}

/* The questions. */

static const struct truth *
node_of(const struct truth *t, size_t n, const char *key)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (strcmp(t[i].key, key) == 0)
			return &t[i];
	return NULL;
}

static void
check_unique(struct run *r, const struct truth *t, size_t n)
{
	size_t i, k;

	for (i = 0; i < n; i++)
		for (k = i + 1; k < n; k++) {
			if (strcmp(t[i].key, t[k].key) == 0 ||
			    strcmp(t[i].name, t[k].name) == 0 ||
			    strcmp(t[i].addr, t[k].addr) == 0)
				world_fail(r->w, "nodes %llu and %llu share a "
				    "key, name or address (%s, %s)",
				    (unsigned long long)t[i].id,
				    (unsigned long long)t[k].id, t[i].name,
				    t[i].addr);
		}
}

static void
check_singles(struct run *r, const struct truth *t, size_t n)
{
	unsigned int i, used;
	size_t k;

	for (i = 0; i < r->nsingles; i++) {
		used = 0;
		for (k = 0; k < n; k++)
			if (t[k].key_id == r->single_ids[i])
				used++;
		if (used > 1)
			world_fail(r->w, "a single-use key made %u nodes",
			    used);
	}
}

static void
check_view(struct run *r, const struct sclient *c, const struct truth *t,
    size_t n)
{
	const struct view *v = sclient_view(c);
	const struct view_peer *p;
	size_t i, want = 0;

	if (v->fault[0] != '\0')
		world_fail(r->w, "%s was told nonsense: %s", sclient_name(c),
		    v->fault);
	for (i = 0; i < n; i++) {
		if (!t[i].published || strcmp(t[i].key, sclient_key(c)) == 0)
			continue;
		want++;
		p = view_find(v, t[i].id);
		if (p == NULL) {
			world_fail(r->w, "%s does not see %s",
			    sclient_name(c), t[i].name);
			continue;
		}
		if (strcmp(p->key, t[i].key) != 0 ||
		    strcmp(p->endpoints, t[i].endpoints) != 0 ||
		    (p->online == 1) != t[i].online)
			world_fail(r->w, "%s sees %s as %s [%s] %d, it is %s "
			    "[%s] %d", sclient_name(c), t[i].name, p->key,
			    p->endpoints, p->online, t[i].key, t[i].endpoints,
			    t[i].online);
		routes_check_peer(r->w, sclient_name(c), p, &t[i]);
	}
	if (v->n != want)
		world_fail(r->w, "%s sees %zu peers, there are %zu",
		    sclient_name(c), v->n, want);
}

/* The last policy that was acknowledged, or a later one; whole. */
static int
check_policy(struct run *r)
{
	uint32_t acked, newest, got;
	unsigned int want;
	bool in_force;
	int port, old;

	if ((port = admin_port(r->admin, 0, &newest, &in_force)) == -1)
		return -1;
	if (!in_force)
		world_fail(r->w, "policy version %u is not in force", newest);
	if ((acked = admin_acked(r->admin, &want)) == 0)
		return port;
	if (newest < acked)
		world_fail(r->w, "policy version %u was acknowledged, the "
		    "newest is %u", acked, newest);
	else if ((old = admin_port(r->admin, acked, &got, &in_force)) !=
	    (int)want)
		world_fail(r->w, "policy version %u allows %d, it was "
		    "acknowledged with %u", acked, old, want);
	return port;
}

static void
check_filter(struct run *r, const struct sclient *c, int port)
{
	uint64_t has = view_port(sclient_view(c));

	if (port != -1 && has != (uint64_t)port)
		world_fail(r->w, "%s is told to allow port %lld, the policy "
		    "says %d", sclient_name(c), (long long)has, port);
}

static void
check_client(struct run *r, const struct sclient *c, const struct truth *t,
    size_t n)
{
	const struct truth *me = node_of(t, n, sclient_key(c));

	if (sclient_state(c) == SC_REFUSED) {
		if (strcmp(sclient_refusal(c), "auth key already used") != 0)
			world_fail(r->w, "%s was refused: %s",
			    sclient_name(c), sclient_refusal(c));
		return;
	}
	if (sclient_state(c) != SC_IN)
		return;
	if (me == NULL) {
		world_fail(r->w, "%s was acknowledged and is not there",
		    sclient_name(c));
		return;
	}
	if (!sclient_quiet(c)) {
		world_fail(r->w, "%s still waits for an answer",
		    sclient_name(c));
		return;
	}
	if (strcmp(me->endpoints, sclient_endpoints(c)) != 0)
		world_fail(r->w, "%s said [%s], the truth holds [%s]",
		    sclient_name(c), sclient_endpoints(c), me->endpoints);
	if (me->advertised != sclient_routes(c))
		world_fail(r->w, "%s advertises %#x, the truth holds %#x",
		    sclient_name(c), sclient_routes(c), me->advertised);
	routes_check_self(r->w, sclient_name(c), sclient_view(c), me);
	if (!me->online)
		world_fail(r->w, "%s holds a stream and is offline",
		    sclient_name(c));
	check_view(r, c, t, n);
	check_filter(r, c, r->port);
}

static void
questions(struct run *r)
{
	struct truth *t;
	unsigned int i;
	size_t n, k;

	r->port = check_policy(r);

	t = admin_nodes(r->admin, &n);
	if (t == NULL && n == 0) {
		for (i = 0; i < r->n; i++)
			if (sclient_acked(r->clients[i])) {
				world_fail(r->w, "dbd does not tell the truth");
				break;
			}
		return;
	}
	check_unique(r, t, n);
	check_singles(r, t, n);
	routes_check(r->w, t, n, r->alice);
	for (i = 0; i < r->n; i++)
		check_client(r, r->clients[i], t, n);
	for (k = 0; k < n; k++) {
		bool held = false;

		for (i = 0; i < r->n; i++)
			held |= sclient_state(r->clients[i]) == SC_IN &&
			    strcmp(sclient_key(r->clients[i]), t[k].key) == 0;
		if (t[k].online && !held)
			world_fail(r->w, "%s is online, nobody holds it",
			    t[k].name);
		if (t[k].ephemeral && !held)
			world_fail(r->w, "ephemeral %s has not vanished",
			    t[k].name);
	}
	if (wires_peak(r->w) > WIRE_BOUND)
		world_fail(r->w, "%zu octets stood on a link",
		    wires_peak(r->w));
	free(t);
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
	world_run(r->w, world_now(r->w) + SETTLE_S * US_PER_S);
}

unsigned int
sim_run(uint64_t seed, bool verbose)
{
	struct run r = { 0 };
	unsigned int i, failures;

	r.w = world_new(seed, verbose);
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
	for (i = 0; i < r.n; i++)
		sclient_off(r.clients[i]);
	admin_free(r.admin);
	world_run(r.w, world_now(r.w) + US_PER_S);
	host_free(r.h);
	for (i = 0; i < r.n; i++)
		sclient_free(r.clients[i]);
	world_run(r.w, world_now(r.w) + 200 * US_PER_S);
	sproc_free(r.outside);
	failures = world_failures(r.w);
	world_end(r.w);
	vfs_clear();
	return failures;
}
