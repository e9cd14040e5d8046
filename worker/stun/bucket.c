#include <stdlib.h>
#include <string.h>

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
	uint8_t		 key[16];
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

static uint64_t
rotate(uint64_t v, unsigned int n)
{
	return v << n | v >> (64 - n);
}

static void
rounds(uint64_t v[4], unsigned int n)
{
	while (n-- > 0) {
		v[0] += v[1];
		v[2] += v[3];
		v[1] = rotate(v[1], 13) ^ v[0];
		v[3] = rotate(v[3], 16) ^ v[2];
		v[0] = rotate(v[0], 32);
		v[2] += v[1];
		v[0] += v[3];
		v[1] = rotate(v[1], 17) ^ v[2];
		v[3] = rotate(v[3], 21) ^ v[0];
		v[2] = rotate(v[2], 32);
	}
}

/* Up to eight octets, the lowest first. */
static uint64_t
word(const uint8_t *p, size_t n)
{
	uint64_t v = 0;

	while (n-- > 0)
		v = v << 8 | p[n];
	return v;
}

uint64_t
siphash(const uint8_t key[16], const void *data, size_t n)
{
	const uint8_t *p = data;
	uint64_t k0 = word(key, 8), k1 = word(key + 8, 8), m;
	uint64_t v[4] = {
		k0 ^ 0x736f6d6570736575ULL, k1 ^ 0x646f72616e646f6dULL,
		k0 ^ 0x6c7967656e657261ULL, k1 ^ 0x7465646279746573ULL
	};
	size_t left = n;

	for (; left >= 8; left -= 8, p += 8) {
		m = word(p, 8);
		v[3] ^= m;
		rounds(v, 2);
		v[0] ^= m;
	}
	m = word(p, left) | (uint64_t)n << 56;
	v[3] ^= m;
	rounds(v, 2);
	v[0] ^= m;
	v[2] ^= 0xff;
	rounds(v, 4);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* The source's own, or one that it takes over, full. */
static struct bucket *
find(struct buckets *b, uint64_t now, const struct ip *source)
{
	struct bucket *set, *oldest;
	uint8_t name[9] = { 0 };
	uint64_t h;
	unsigned int i;

	/* Whoever has an IPv6 address has a /64 of them. */
	name[0] = source->family;
	memcpy(name + 1, source->b, source->family == 4 ? 4 : 8);
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
