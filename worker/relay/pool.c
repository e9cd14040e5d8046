#include <stdlib.h>

#include "common/str.h"
#include "worker/relay/frame.h"
#include "worker/relay/pool.h"

#define KEPT_MAX	(4UL * 1024 * 1024)

/*
 * Octets of the frame: disco, small packets, those of the usual MTUs, and up
 * to the largest.
 */
static const size_t class_size[POOL_CLASSES] = { 256, 640, 1600, 4160, 16640,
    DERP_HEAD + DERP_FRAME_MAX };

static size_t
cost(unsigned int class)
{
	return sizeof(struct pkt) + class_size[class];
}

size_t
pkt_room(const struct pkt *p)
{
	return class_size[p->class];
}

struct pkt *
pkt_new(struct pool *pool, size_t n)
{
	size_t spare = n <= POOL_SMALL ? 0 : pool->max / 8;
	unsigned int class = 0;
	struct pkt *p;

	while (class_size[class] < n)
		class++;
	if (pool->used + cost(class) + spare > pool->max)
		return NULL;
	pool->used += cost(class);
	if ((p = pool->free[class]) != NULL) {
		pool->free[class] = p->next;
		pool->kept -= cost(class);
	} else {
		p = xmalloc(cost(class));
		pool->mallocs++;
	}
	p->next = NULL;
	p->n = (uint32_t)n;
	p->class = (uint8_t)class;
	p->disco = false;
	return p;
}

void
pkt_free(struct pool *pool, struct pkt *p)
{
	size_t n;

	if (p == NULL)
		return;
	n = cost(p->class);
	pool_refund(pool, n);
	if (pool->kept + n > KEPT_MAX) {
		free(p);
		return;
	}
	pool->kept += n;
	p->next = pool->free[p->class];
	pool->free[p->class] = p;
}

bool
pool_charge(struct pool *pool, size_t n)
{
	if (pool->used + n > pool->max)
		return false;
	pool->used += n;
	return true;
}

void
pool_refund(struct pool *pool, size_t n)
{
	pool->used -= n;
}

void
pool_end(struct pool *pool)
{
	struct pkt *p;
	unsigned int i;

	for (i = 0; i < POOL_CLASSES; i++)
		while ((p = pool->free[i]) != NULL) {
			pool->free[i] = p->next;
			free(p);
		}
	pool->kept = 0;
}
