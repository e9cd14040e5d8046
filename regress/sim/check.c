#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "regress/sim/routes.h"
#include "regress/sim/run_int.h"

#define WIRE_BOUND	(4u << 20)
#define DOMAIN		".tailnet.internal."
#define USED		"auth key already used"

static const struct truth *
node_of(const struct truth *t, size_t n, const char *key)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (strcmp(t[i].key, key) == 0)
			return &t[i];
	return NULL;
}

/* They have one of their addresses in common. */
static bool
share(const struct truth *a, const struct truth *b)
{
	size_t n = strcspn(a->addr, ","), k = strcspn(b->addr, ",");

	return (n == k && memcmp(a->addr, b->addr, n) == 0) ||
	    strcmp(a->addr + n, b->addr + k) == 0;
}

static void
check_unique(struct run *r, const struct truth *t, size_t n)
{
	size_t i, k;

	for (i = 0; i < n; i++)
		for (k = i + 1; k < n; k++) {
			if (strcmp(t[i].key, t[k].key) == 0 ||
			    strcmp(t[i].name, t[k].name) == 0 ||
			    share(&t[i], &t[k]))
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

/* As clients are told: both addresses with all their bits. */
static void
addresses(char *dst, size_t n, const struct truth *t)
{
	size_t k = strcspn(t->addr, ",");

	(void)snprintf(dst, n, "%.*s/32,%s/128", (int)k, t->addr,
	    t->addr + k + 1);
}

static bool
is_name(const char *said, const struct truth *t)
{
	size_t n = strlen(t->name);

	return strncmp(said, t->name, n) == 0 &&
	    strcmp(said + n, DOMAIN) == 0;
}

static void
check_peer(struct run *r, const struct sclient *c, const struct view_peer *p,
    const struct truth *t)
{
	char addr[80];

	if (strcmp(p->key, t->key) != 0 ||
	    strcmp(p->endpoints, t->endpoints) != 0 ||
	    (p->online == 1) != t->online)
		world_fail(r->w, "%s sees %s as %s [%s] %d, it is %s "
		    "[%s] %d", sclient_name(c), t->name, p->key,
		    p->endpoints, p->online, t->key, t->endpoints,
		    t->online);
	addresses(addr, sizeof(addr), t);
	if (!is_name(p->name, t) || strcmp(p->addr, addr) != 0 ||
	    strcmp(p->disco, t->disco) != 0)
		world_fail(r->w, "%s sees %s with name %s, [%s] and %s, it "
		    "has [%s] and %s", sclient_name(c), t->name, p->name,
		    p->addr, p->disco, addr, t->disco);
	routes_check_peer(r->w, sclient_name(c), p, t);
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
		if ((p = view_find(v, t[i].id)) == NULL)
			world_fail(r->w, "%s does not see %s",
			    sclient_name(c), t[i].name);
		else
			check_peer(r, c, p, &t[i]);
	}
	if (v->n != want)
		world_fail(r->w, "%s sees %zu peers, there are %zu",
		    sclient_name(c), v->n, want);
}

static void
check_self(struct run *r, const struct sclient *c, const struct truth *me)
{
	const struct view *v = sclient_view(c);
	const char *name = sclient_name(c);
	char addr[80];

	addresses(addr, sizeof(addr), me);
	if (v->self != me->id || !is_name(v->self_name, me) ||
	    strcmp(v->self_key, me->key) != 0 ||
	    strcmp(v->self_addr, addr) != 0)
		world_fail(r->w, "%s is told to be %llu, %s, %s, [%s], it is "
		    "%llu, %s, %s, [%s]", name, (unsigned long long)v->self,
		    v->self_name, v->self_key, v->self_addr,
		    (unsigned long long)me->id, me->name, me->key, addr);
	if (strncmp(me->name, name, strlen(name)) != 0)
		world_fail(r->w, "%s was given the name %s", name, me->name);
	routes_check_self(r->w, name, v, me);
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

/* Only who came second with a single-use key may be told so, for good. */
static void
check_refused(struct run *r, unsigned int i, const struct truth *t, size_t n)
{
	const struct sclient *c = r->clients[i];
	size_t k;

	if (strcmp(sclient_refusal(c), USED) != 0 || r->single[i] == 0 ||
	    sclient_acked(c)) {
		world_fail(r->w, "%s was refused: %s", sclient_name(c),
		    sclient_refusal(c));
		return;
	}
	for (k = 0; k < n; k++)
		if (t[k].key_id == r->single[i])
			return;
	world_fail(r->w, "%s was refused, and nobody has used its key",
	    sclient_name(c));
}

/* What it has said last is the truth. */
static void
check_said(struct run *r, const struct sclient *c, const struct truth *me)
{
	if (strcmp(me->endpoints, sclient_endpoints(c)) != 0 ||
	    strcmp(me->disco, sclient_disco(c)) != 0)
		world_fail(r->w, "%s said [%s] and %s, the truth holds [%s] "
		    "and %s", sclient_name(c), sclient_endpoints(c),
		    sclient_disco(c), me->endpoints, me->disco);
	if (me->advertised != sclient_routes(c))
		world_fail(r->w, "%s advertises %#x, the truth holds %#x",
		    sclient_name(c), sclient_routes(c), me->advertised);
	if (!me->online || !me->published)
		world_fail(r->w, "%s holds a stream and is offline or unseen",
		    sclient_name(c));
}

static void
check_client(struct run *r, unsigned int i, const struct truth *t, size_t n)
{
	const struct sclient *c = r->clients[i];
	const struct truth *me = node_of(t, n, sclient_key(c));

	switch (sclient_state(c)) {
	case SC_IDLE:
	case SC_GONE:
		return;
	case SC_REFUSED:
		check_refused(r, i, t, n);
		return;
	case SC_REGISTERING:
		world_fail(r->w, "%s could not register", sclient_name(c));
		return;
	case SC_IN:
		break;
	}
	if (me == NULL)
		world_fail(r->w, "%s was acknowledged and is not there",
		    sclient_name(c));
	else if (!sclient_quiet(c))
		world_fail(r->w, "%s still waits for an answer",
		    sclient_name(c));
	else {
		check_said(r, c, me);
		check_self(r, c, me);
		check_view(r, c, t, n);
		check_filter(r, c, r->port);
	}
}

static bool
is_held(const struct run *r, const struct truth *t)
{
	unsigned int i;

	for (i = 0; i < r->n; i++)
		if (sclient_state(r->clients[i]) == SC_IN &&
		    strcmp(sclient_key(r->clients[i]), t->key) == 0)
			return true;
	return false;
}

static void
check_held(struct run *r, const struct truth *t, size_t n)
{
	size_t k;

	for (k = 0; k < n; k++) {
		if (is_held(r, &t[k]))
			continue;
		if (t[k].online)
			world_fail(r->w, "%s is online, nobody holds it",
			    t[k].name);
		if (t[k].ephemeral)
			world_fail(r->w, "ephemeral %s has not vanished",
			    t[k].name);
	}
}

void
questions(struct run *r)
{
	struct truth *t;
	unsigned int i;
	size_t n;

	r->port = check_policy(r);
	if ((t = admin_nodes(r->admin, &n)) == NULL) {
		world_fail(r->w, "dbd does not tell the truth");
		return;
	}
	check_unique(r, t, n);
	check_singles(r, t, n);
	routes_check(r->w, t, n, r->alice);
	for (i = 0; i < r->n; i++)
		check_client(r, i, t, n);
	check_held(r, t, n);
	relays_check(r->relays, t, n);
	if (wires_peak(r->w) > WIRE_BOUND)
		world_fail(r->w, "%zu octets stood on a link",
		    wires_peak(r->w));
	if (sim_sealed(r->w) != 0)
		world_fail(r->w, "%u descriptors are open that nobody has",
		    sim_sealed(r->w));
	free(t);
}
