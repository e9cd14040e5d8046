#include <stdio.h>
#include <string.h>

#include "dbd/alloc_int.h"
#include "dbd/objects_int.h"

#define DRAWS	64	/* at random, before it goes on in sequence */
/*
 * More addresses in a row than are excluded within one of Tailscale's ranges
 * (100.115.92.0/23; the large IPv6 ones are out of a sequence's reach).
 */
#define GAP	1024
/* Besides max_nodes: nobody makes and deletes nodes without an end. */
#define RESTS_MAX	65536U

static size_t
octets(const struct ip *ip)
{
	return ip->family == 4 ? 4 : 16;
}

/* May a node of this prefix have it, whoever else does? */
static bool
usable(const struct prefix *p, uint64_t nth, const struct ip *ip)
{
	uint64_t size = prefix_size(p);

	if (nth == 0 && size > 1)
		return false;		/* the network's own */
	if (ip->family == 4 && size > 2 && nth == size - 1)
		return false;		/* broadcast */
	return ip_node_ok(ip);
}

static bool
taken(const struct pool *pool, const struct ip *ip)
{
	struct ixlink *l;
	const struct node *n;
	const struct rest *r;

	for (l = ix_find(&pool->nodes, ip->b, octets(ip)); l != NULL;
	    l = ix_more(l)) {
		n = l->obj;
		if (ip_eq(&n->r.ip4, ip) || ip_eq(&n->r.ip6, ip))
			return true;
	}
	for (l = ix_find(&pool->rests, ip->b, octets(ip)); l != NULL;
	    l = ix_more(l)) {
		r = l->obj;
		if (ip_eq(&r->row.ip4, ip) || ip_eq(&r->row.ip6, ip))
			return true;
	}
	return false;
}

static bool
try_nth(const struct pool *pool, const struct prefix *p, uint64_t nth,
    struct ip *ip)
{
	return prefix_nth(p, nth, ip) && usable(p, nth, ip) &&
	    !taken(pool, ip);
}

/*
 * Among as many candidates as are taken or excluded, and one more, is a free
 * one, unless there is none at all.
 */
static bool
scan(struct pool *pool, const struct prefix *p, uint64_t from, struct ip *ip)
{
	uint64_t i, nth, most, size = prefix_size(p);

	most = pool->nodes.n + pool->rests.n + GAP;
	if (most > size)
		most = size;
	for (i = 0; i < most; i++) {
		nth = from % size;
		from = nth + 1;
		if (try_nth(pool, p, nth, ip)) {
			pool->next = from;
			return true;
		}
	}
	return false;
}

static bool
pick(struct dbd *d, struct pool *pool, const struct prefix *p, struct ip *ip)
{
	uint64_t v, size = prefix_size(p);
	unsigned int i;

	if (!d->conf.random)
		return scan(pool, p, pool->next, ip);
	for (i = 0; i < DRAWS; i++) {
		env_random(d->env, &v, sizeof(v));
		if (try_nth(pool, p, v % size, ip))
			return true;
	}
	return scan(pool, p, v % size, ip);
}

/* Those whose time is over may be given again. */
static void
rests_end(struct tailnet *tn, uint64_t now)
{
	struct rest *r;

	while ((r = TAILQ_FIRST(&tn->rests)) != NULL && r->until <= now) {
		rest_free(r);
		tn->d->rested = true;
		tn->pool4.full = tn->pool6.full = false;
	}
}

static bool
pool_pick(struct dbd *d, struct pool *pool, const struct prefix *p,
    struct ip *ip, char *why, size_t n)
{
	char text[PREFIX_TEXT];

	memset(ip, 0, sizeof(*ip));
	if (p->addr.family == 0)
		return true;
	if (!pool->full && pick(d, pool, p, ip))
		return true;
	/* Not asked again until one is freed. */
	pool->full = true;
	(void)prefix_print(text, p);
	(void)snprintf(why, n, "no free address is left in %s", text);
	return false;
}

bool
alloc_pick(struct tailnet *tn, struct ip *ip4, struct ip *ip6, char *why,
    size_t n)
{
	struct dbd *d = tn->d;

	rests_end(tn, env_now(d->env));
	if (tn->nrests >= d->conf.max_nodes + RESTS_MAX) {
		(void)snprintf(why, n, "%u nodes were deleted within the hour: "
		    "their addresses rest", tn->nrests);
		return false;
	}
	return pool_pick(d, &tn->pool4, &d->conf.prefix4, ip4, why, n) &&
	    pool_pick(d, &tn->pool6, &d->conf.prefix6, ip6, why, n);
}

void
alloc_rest(struct tailnet *tn, const struct rest_row *row)
{
	(void)rest_add(tn, row);
}

/* How many steps ip is after the prefix's first address, as far as 64 bits. */
static uint64_t
nth_of(const struct prefix *p, const struct ip *ip)
{
	uint64_t a = 0, b = 0;
	size_t i, n = octets(ip);

	for (i = n == 4 ? 0 : 8; i < n; i++) {
		a = a << 8 | p->addr.b[i];
		b = b << 8 | ip->b[i];
	}
	return b - a;
}

static void
pool_follow(struct pool *pool, const struct prefix *p, const struct ip *ip)
{
	uint64_t nth;

	if (ip->family == 0 || !prefix_has(p, ip))
		return;
	nth = nth_of(p, ip);
	if (nth >= pool->next)
		pool->next = nth + 1;
}

void
alloc_start(struct tailnet *tn)
{
	const struct dbd_conf *c = &tn->d->conf;
	const struct node *n;
	const struct rest *r;

	tn->pool4.next = tn->pool6.next = 0;
	tn->pool4.full = tn->pool6.full = false;
	TAILQ_FOREACH(n, &tn->nodes, all) {
		pool_follow(&tn->pool4, &c->prefix4, &n->r.ip4);
		pool_follow(&tn->pool6, &c->prefix6, &n->r.ip6);
	}
	TAILQ_FOREACH(r, &tn->rests, all) {
		pool_follow(&tn->pool4, &c->prefix4, &r->row.ip4);
		pool_follow(&tn->pool6, &c->prefix6, &r->row.ip6);
	}
}

bool
alloc_usable(const struct prefix *p)
{
	uint64_t i, size = prefix_size(p);
	struct ip ip;

	for (i = 0; i < size && i < GAP; i++)
		if (prefix_nth(p, i, &ip) && usable(p, i, &ip))
			return true;
	return false;
}
