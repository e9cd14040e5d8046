#include <sys/queue.h>

#include <stdlib.h>
#include <string.h>

#include "common/compat/compat.h"
#include "common/log.h"
#include "common/secret.h"
#include "worker/net/crowd.h"

#define BUCKETS		4096

struct crowd {
	LIST_ENTRY(crowd)	 entry;
	uint64_t		 name;		/* address, or half of it */
	uint8_t			 family;
	uint32_t		 n;
};
LIST_HEAD(crowd_list, crowd);

struct crowds {
	uint64_t		 key[2];
	struct crowd_list	 bucket[BUCKETS];
};

struct crowds *
crowds_new(const uint8_t key[CROWD_KEY])
{
	struct crowds *s;

	s = xcalloc(1, sizeof(*s));
	memcpy(s->key, key, sizeof(s->key));
	return s;
}

void
crowds_free(struct crowds *s)
{
	if (s == NULL)
		return;
	wipe(s, sizeof(*s));
	free(s);
}

static uint64_t
mix(uint64_t v)
{
	v ^= v >> 30;
	v *= 0xbf58476d1ce4e5b9ULL;
	v ^= v >> 27;
	v *= 0x94d049bb133111ebULL;
	return v ^ v >> 31;
}

static struct crowd_list *
bucket(struct crowds *s, uint64_t name)
{
	return &s->bucket[mix(mix(name ^ s->key[0]) + s->key[1]) % BUCKETS];
}

struct crowd *
crowd_take(struct crowds *s, const struct ip *ip, uint32_t max)
{
	struct crowd_list *list;
	struct crowd *src;
	uint64_t name = 0;

	memcpy(&name, ip->b, ip->family == 4 ? 4 : sizeof(name));
	list = bucket(s, name);
	LIST_FOREACH(src, list, entry)
		if (src->name == name && src->family == ip->family)
			break;
	if (src == NULL) {
		if (max == 0)
			return NULL;
		src = xcalloc(1, sizeof(*src));
		src->name = name;
		src->family = ip->family;
		LIST_INSERT_HEAD(list, src, entry);
	}
	if (src->n >= max)
		return NULL;
	src->n++;
	return src;
}

void
crowd_put(struct crowds *s, struct crowd *src)
{
	(void)s;
	if (src == NULL || --src->n != 0)
		return;
	LIST_REMOVE(src, entry);
	free(src);
}
