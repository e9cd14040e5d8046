/*
 * Who has a key, here and at siblings; which of a key's connections takes its
 * packets (derp.md 4.6); and who is told when it is gone (4.5).
 */

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "common/compat/compat.h"
#include "worker/relay/calls_int.h"

/* A client that changes its network is heard on the old way once more. */
#define TURNS		4
#define TURNS_US	(10 * US_PER_S)
#define CALM_US		(60 * US_PER_S)
#define HEALTH		"this machine's node key is in use on another " \
			    "connection as well: is one a copy of the other?"

/* With its places in the table and what malloc() adds. */
#define SEEN_COST	(sizeof(struct seen) + 3 * sizeof(struct ptab_slot) + \
			    16)

static uint64_t
hash_key(const struct relay *r, const uint8_t key[DERP_KEY])
{
	uint8_t out[crypto_shorthash_BYTES];
	uint64_t h;

	(void)crypto_shorthash(out, key, DERP_KEY, r->seed);
	memcpy(&h, out, sizeof(h));
	return h;
}

static bool
is_peer(const void *p, const void *key)
{
	return memcmp(((const struct peer *)p)->key, key, DERP_KEY) == 0;
}

struct peer *
peer_find(const struct relay *r, const uint8_t key[DERP_KEY])
{
	return ptab_find(&r->peers, hash_key(r, key), is_peer, key);
}

struct peer *
peer_get(struct relay *r, const uint8_t key[DERP_KEY])
{
	struct peer *k;

	if ((k = peer_find(r, key)) != NULL)
		return k;
	k = xcalloc(1, sizeof(*k));
	memcpy(k->key, key, DERP_KEY);
	LIST_INIT(&k->here);
	LIST_INIT(&k->seen);
	LIST_INSERT_HEAD(&r->all, k, all);
	ptab_add(&r->peers, hash_key(r, key), k);
	return k;
}

/* The connections of a key that has several. */
static void
count_dups(struct relay *r, unsigned int before, unsigned int now)
{
	if (before > 1) {
		r->count.dup_conns -= before;
		r->count.dup_keys--;
	}
	if (now > 1) {
		r->count.dup_conns += now;
		r->count.dup_keys++;
	}
}

/* Of those that never spoke, the one that came first. */
static struct rclient *
least_active(struct peer *k)
{
	struct rclient *c, *least = NULL;

	LIST_FOREACH(c, &k->here, dup)
		if (least == NULL || c->spoke <= least->spoke)
			least = c;
	return least;
}

static struct rclient *
last_speaker(struct peer *k)
{
	struct rclient *c, *last = NULL;

	LIST_FOREACH(c, &k->here, dup)
		if (c->spoke != 0 && (last == NULL || c->spoke > last->spoke))
			last = c;
	return last;
}

void
peer_join(struct peer *k, struct rclient *c)
{
	struct relay *r = c->relay;

	c->peer = k;		/* so that it outlives who makes room */
	LIST_INSERT_HEAD(&k->here, c, dup);
	count_dups(r, k->n, k->n + 1U);
	k->n++;
	if (k->n > DUPS_MAX) {
		LIST_REMOVE(c, dup);
		r->count.evicted++;
		client_end(least_active(k), "one too many for its key");
		LIST_INSERT_HEAD(&k->here, c, dup);
	}
	k->active = c;
	if (!k->published || k->slot == r->slot)
		k->ours = true;
}

static void
calm(struct rclient *c)
{
	c->peer->turns = 0;
	if (!c->warned)
		return;
	c->warned = false;
	out_frame(c, DERP_HEALTH, NULL, 0);
}

void
peer_calm(struct rclient *c)
{
	if (env_now(c->relay->env) - c->peer->turn_last >= CALM_US)
		calm(c);
}

void
peer_turn(struct relay *r, struct peer *k)
{
	uint64_t now = env_now(r->env);
	struct rclient *c;

	if (k->turns == 0 || now - k->turn_first > TURNS_US) {
		k->turns = 0;
		k->turn_first = now;
	}
	k->turn_last = now;
	if (k->turns < TURNS)
		k->turns++;
	if (k->turns < TURNS)
		return;
	LIST_FOREACH(c, &k->here, dup)
		if (!c->warned) {
			c->warned = true;
			r->count.warned++;
			out_frame(c, DERP_HEALTH, HEALTH, sizeof(HEALTH) - 1);
		}
}

void
peer_leave(struct rclient *c)
{
	struct relay *r = c->relay;
	struct peer *k = c->peer;

	LIST_REMOVE(c, dup);
	c->peer = NULL;
	count_dups(r, k->n, k->n - 1U);
	k->n--;
	if (k->n == 1) {
		k->active = LIST_FIRST(&k->here);
		/* Unless a sibling's client has it now. */
		if (!k->published || k->slot == r->slot)
			calm(k->active);
	} else if (k->active == c)
		k->active = last_speaker(k);
	peer_settle(r, k);
}

void
peer_spoke(struct rclient *c)
{
	struct relay *r = c->relay;
	struct peer *k = c->peer;

	c->spoke = ++r->clock;
	if (k->active != c && k->active != NULL)
		peer_turn(r, k);
	k->active = c;
	if (k->published && k->slot != r->slot && db_active(c))
		peer_turn(r, k);
}

/* Those who were sent packets of a key's. */

/* The addresses of two live structs: nobody chooses them. */
static uint64_t
hash_seen(const struct relay *r, const struct peer *src,
    const struct rclient *dst)
{
	uint64_t h, seed;

	memcpy(&seed, r->seed, sizeof(seed));
	h = (uint64_t)(uintptr_t)src * 0x9e3779b97f4a7c15ULL;
	h ^= h >> 32;
	h = (h + (uint64_t)(uintptr_t)dst + seed) * 0xd6e8feb86659fd93ULL;
	return h ^ h >> 32;
}

static bool
is_seen(const void *p, const void *key)
{
	const struct seen *s = p, *want = key;

	return s->src == want->src && s->dst == want->dst;
}

static void
seen_free(struct relay *r, struct seen *s)
{
	ptab_del(&r->seens, hash_seen(r, s->src, s->dst), s);
	LIST_REMOVE(s, by_src);
	TAILQ_REMOVE(&s->dst->seen, s, by_dst);
	s->dst->nseen--;
	r->nseen--;
	pool_refund(&r->pool, SEEN_COST);
	r->epoch++;
	free(s);
}

/* They may have a quarter of the memory for packets. */
static bool
seen_is_full(const struct relay *r)
{
	return r->nseen >= SEEN_ALL ||
	    (r->nseen + 1) * SEEN_COST > r->pool.max / 4;
}

void
seen_note(struct relay *r, struct peer *src, struct rclient *dst)
{
	struct seen key, *s;
	uint64_t h;

	if (src == dst->peer)
		return;
	h = hash_seen(r, src, dst);
	key.src = src;
	key.dst = dst;
	if (ptab_find(&r->seens, h, is_seen, &key) != NULL)
		return;
	/* The oldest makes room: it may not be told, which costs little. */
	if (dst->nseen == SEEN_MAX || (seen_is_full(r) && dst->nseen != 0))
		seen_free(r, TAILQ_FIRST(&dst->seen));
	if (seen_is_full(r) || !pool_charge(&r->pool, SEEN_COST))
		return;
	s = xcalloc(1, sizeof(*s));
	s->src = src;
	s->dst = dst;
	LIST_INSERT_HEAD(&src->seen, s, by_src);
	TAILQ_INSERT_TAIL(&dst->seen, s, by_dst);
	dst->nseen++;
	r->nseen++;
	ptab_add(&r->seens, h, s);
}

void
seen_forget(struct rclient *c)
{
	struct seen *s;

	while ((s = TAILQ_FIRST(&c->seen)) != NULL)
		seen_free(c->relay, s);
}

void
peer_free(struct relay *r, struct peer *k)
{
	struct seen *s;

	while ((s = LIST_FIRST(&k->seen)) != NULL)
		seen_free(r, s);
	ptab_del(&r->peers, hash_key(r, k->key), k);
	LIST_REMOVE(k, all);
	r->epoch++;
	free(k);
}

void
peer_settle(struct relay *r, struct peer *k)
{
	struct seen *s;

	if (k->n != 0)
		return;
	/* It was ours: dbd will say who has it now, if it is there. */
	if (k->published && (k->slot != r->slot || db_is_up(r)))
		return;
	LIST_FOREACH(s, &k->seen, by_src)
		out_gone(s->dst, k->key, DERP_DISCONNECTED);
	peer_free(r, k);
}
