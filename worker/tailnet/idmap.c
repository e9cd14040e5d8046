#include <stdlib.h>
#include <string.h>

#include "common/str.h"
#include "worker/tailnet/idmap.h"

#define SLOTS_MIN	16

/* Ids are mostly consecutive: spread them over the upper bits too. */
static size_t
home(const struct idmap *m, uint64_t id)
{
	id *= 0x9e3779b97f4a7c15ULL;
	return (size_t)(id >> 32) & m->mask;
}

/* The slot of an id, or the free one where it would go. */
static size_t
find(const struct idmap *m, uint64_t id)
{
	size_t i;

	for (i = home(m, id); m->key[i] != 0 && m->key[i] != id;
	    i = (i + 1) & m->mask)
		continue;
	return i;
}

void *
idmap_get(const struct idmap *m, uint64_t id)
{
	size_t i;

	if (m->n == 0 || id == 0)
		return NULL;
	i = find(m, id);
	return m->key[i] == id ? m->val[i] : NULL;
}

static void
grow(struct idmap *m)
{
	struct idmap old = *m;
	size_t i, j, slots;

	slots = old.key == NULL ? SLOTS_MIN : 2 * (old.mask + 1);
	m->mask = slots - 1;
	m->key = xcalloc(slots, sizeof(m->key[0]));
	m->val = xcalloc(slots, sizeof(m->val[0]));
	for (i = 0; old.key != NULL && i <= old.mask; i++) {
		if (old.key[i] == 0)
			continue;
		j = find(m, old.key[i]);
		m->key[j] = old.key[i];
		m->val[j] = old.val[i];
	}
	free(old.key);
	free(old.val);
}

void
idmap_put(struct idmap *m, uint64_t id, void *val)
{
	size_t i;

	if (m->key == NULL || 4 * (m->n + 1) > 3 * (m->mask + 1))
		grow(m);
	i = find(m, id);
	if (m->key[i] == 0)
		m->n++;
	m->key[i] = id;
	m->val[i] = val;
}

void
idmap_del(struct idmap *m, uint64_t id)
{
	size_t i, j, want;

	if (m->n == 0)
		return;
	i = find(m, id);
	if (m->key[i] != id)
		return;
	m->n--;
	/* Close the gap: what stands behind it may have probed past it. */
	for (j = (i + 1) & m->mask; m->key[j] != 0; j = (j + 1) & m->mask) {
		want = home(m, m->key[j]);
		if (((j - want) & m->mask) < ((j - i) & m->mask))
			continue;
		m->key[i] = m->key[j];
		m->val[i] = m->val[j];
		i = j;
	}
	m->key[i] = 0;
	m->val[i] = NULL;
}

void
idmap_free(struct idmap *m)
{
	free(m->key);
	free(m->val);
	memset(m, 0, sizeof(*m));
}
