#include <stdlib.h>
#include <string.h>

#include "common/siphash.h"
#include "common/str.h"
#include "worker/stun/bucket.h"

#define SETS		4096	/* a power of two */
#define WAYS		4
#define TOKEN		1000000ULL	/* so that a microsecond counts */
#define LONG_US		1000000000000ULL

struct bucket {
	uint64_t	 tag;		/* hash of the source; 0: empty */
	uint64_t	 last;
	uint64_t	 have;		/* parts of tokens */
};

struct buckets {
	uint8_t		 key[SIPHASH_KEY];
	uint32_t	 rate;
	uint32_t	 burst;
	struct bucket	 set[SETS][WAYS];
};

struct buckets *
buckets_new(const uint8_t key[16])
{
	struct buckets *b;

	b = xcalloc(1, sizeof(*b));
	memcpy(b->key, key, sizeof(b->key));
	return b;
}

void
buckets_free(struct buckets *b)
{
	free(b);
}

void
buckets_limit(struct buckets *b, uint32_t rate, uint32_t burst)
{
	b->rate = rate;
	b->burst = burst;
}

/* The source's own, or one that it takes over, full. */
static struct bucket *
find(struct buckets *b, uint64_t now, const struct ip *source)
{
	struct bucket *set, *oldest;
	uint8_t name[IP_SOURCE];
	uint64_t h;
	unsigned int i;

	ip_source(name, source);
	h = siphash(b->key, name, sizeof(name));
	set = b->set[h & (SETS - 1)];
	h |= SETS;		/* not in use above, and never 0 */
	oldest = &set[0];
	for (i = 0; i < WAYS; i++) {
		if (set[i].tag == h)
			return &set[i];
		if (set[i].tag == 0 || (oldest->tag != 0 &&
		    set[i].last < oldest->last))
			oldest = &set[i];
	}
	oldest->tag = h;
	oldest->last = now;
	oldest->have = b->burst * TOKEN;
	return oldest;
}

bool
buckets_take(struct buckets *b, uint64_t now, const struct ip *source)
{
	struct bucket *e;
	uint64_t past;

	if (b->rate == 0)
		return true;
	e = find(b, now, source);
	past = now > e->last ? now - e->last : 0;
	if (past > LONG_US)
		past = LONG_US;
	e->have += past * b->rate;
	if (e->have > b->burst * TOKEN)
		e->have = b->burst * TOKEN;
	e->last = now;
	if (e->have < TOKEN)
		return false;
	e->have -= TOKEN;
	return true;
}
