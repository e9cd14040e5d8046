#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "dbd/index_int.h"
#include "common/str.h"

#define FIRST_SLOTS	16

static uint64_t
hash_of(const struct index *ix, const void *key, size_t n)
{
	uint64_t h;

	(void)crypto_shorthash((unsigned char *)&h, key, n, ix->key);
	return h;
}

void
ix_init(struct index *ix, struct env *env)
{
	memset(ix, 0, sizeof(*ix));
	env_random(env, ix->key, sizeof(ix->key));
}

void
ix_free(struct index *ix)
{
	free(ix->slot);
	ix->slot = NULL;
	ix->mask = ix->n = 0;
}

static void
grow(struct index *ix)
{
	struct ixlink **slot, *l, *next;
	size_t i, size, old;

	old = ix->slot == NULL ? 0 : ix->mask + 1;
	size = old == 0 ? FIRST_SLOTS : old * 2;
	slot = xcalloc(size, sizeof(*slot));
	for (i = 0; i < old; i++)
		for (l = ix->slot[i]; l != NULL; l = next) {
			next = l->next;
			l->next = slot[l->hash & (size - 1)];
			slot[l->hash & (size - 1)] = l;
		}
	free(ix->slot);
	ix->slot = slot;
	ix->mask = size - 1;
}

void
ix_add(struct index *ix, struct ixlink *l, const void *key, size_t n,
    void *obj)
{
	struct ixlink **at;

	if (ix->slot == NULL || ix->n > ix->mask)
		grow(ix);
	l->hash = hash_of(ix, key, n);
	l->obj = obj;
	/* At the end of the chain: equal keys stay in the order added. */
	for (at = &ix->slot[l->hash & ix->mask]; *at != NULL;
	    at = &(*at)->next)
		;
	l->next = NULL;
	*at = l;
	ix->n++;
}

void
ix_del(struct index *ix, struct ixlink *l)
{
	struct ixlink **at;

	if (l->obj == NULL)
		return;
	for (at = &ix->slot[l->hash & ix->mask]; *at != l; at = &(*at)->next)
		;
	*at = l->next;
	l->next = NULL;
	l->obj = NULL;
	ix->n--;
}

struct ixlink *
ix_find(const struct index *ix, const void *key, size_t n)
{
	struct ixlink *l;
	uint64_t h;

	if (ix->n == 0)
		return NULL;
	h = hash_of(ix, key, n);
	for (l = ix->slot[h & ix->mask]; l != NULL; l = l->next)
		if (l->hash == h)
			return l;
	return NULL;
}

struct ixlink *
ix_more(const struct ixlink *l)
{
	struct ixlink *x;

	for (x = l->next; x != NULL; x = x->next)
		if (x->hash == l->hash)
			return x;
	return NULL;
}
