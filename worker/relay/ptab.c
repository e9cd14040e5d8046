#include <stdlib.h>
#include <string.h>

#include "common/str.h"
#include "worker/relay/ptab.h"

#define SLOTS_MIN	64

void *
ptab_find(const struct ptab *t, uint64_t hash, ptab_eq eq, const void *key)
{
	const struct ptab_slot *s;
	size_t i;

	if (t->n == 0)
		return NULL;
	for (i = (size_t)hash & t->mask;; i = (i + 1) & t->mask) {
		s = &t->slot[i];
		if (s->p == NULL)
			return NULL;
		if (s->hash == hash && eq(s->p, key))
			return s->p;
	}
}

static void
put(struct ptab *t, uint64_t hash, void *p)
{
	size_t i;

	for (i = (size_t)hash & t->mask; t->slot[i].p != NULL;
	    i = (i + 1) & t->mask)
		continue;
	t->slot[i].p = p;
	t->slot[i].hash = hash;
}

static void
resize(struct ptab *t, size_t slots)
{
	struct ptab old = *t;
	size_t i;

	t->mask = slots - 1;
	t->slot = xcalloc(slots, sizeof(t->slot[0]));
	for (i = 0; old.slot != NULL && i <= old.mask; i++)
		if (old.slot[i].p != NULL)
			put(t, old.slot[i].hash, old.slot[i].p);
	free(old.slot);
}

void
ptab_add(struct ptab *t, uint64_t hash, void *p)
{
	if (t->slot == NULL)
		resize(t, SLOTS_MIN);
	else if (3 * (t->n + 1) > 2 * (t->mask + 1))
		resize(t, 2 * (t->mask + 1));
	put(t, hash, p);
	t->n++;
}

/* Closes the gap: what stands behind it may have probed past it. */
static void
close_gap(struct ptab *t, size_t gap)
{
	size_t i, want;

	for (i = (gap + 1) & t->mask; t->slot[i].p != NULL;
	    i = (i + 1) & t->mask) {
		want = (size_t)t->slot[i].hash & t->mask;
		if (((i - want) & t->mask) < ((i - gap) & t->mask))
			continue;
		t->slot[gap] = t->slot[i];
		gap = i;
	}
	t->slot[gap].p = NULL;
}

void
ptab_del(struct ptab *t, uint64_t hash, const void *p)
{
	size_t i;

	if (t->n == 0)
		return;
	for (i = (size_t)hash & t->mask; t->slot[i].p != p;
	    i = (i + 1) & t->mask)
		if (t->slot[i].p == NULL)
			return;
	close_gap(t, i);
	t->n--;
	/* A storm of clients leaves no large table behind. */
	if (t->mask + 1 > SLOTS_MIN && 8 * t->n < t->mask + 1)
		resize(t, (t->mask + 1) / 2);
}

void
ptab_free(struct ptab *t)
{
	free(t->slot);
	memset(t, 0, sizeof(*t));
}
