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
	uint8_t			 source[IP_SOURCE];
	uint32_t		 n;
};
LIST_HEAD(crowd_list, crowd);

struct crowds {
	uint8_t			 key[CROWD_KEY];
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

struct crowd *
crowd_take(struct crowds *s, const struct ip *ip, uint32_t max)
{
	uint8_t source[IP_SOURCE];
	struct crowd_list *list;
	struct crowd *src;

	ip_source(source, ip);
	list = &s->bucket[siphash(s->key, source, sizeof(source)) % BUCKETS];
	LIST_FOREACH(src, list, entry)
		if (memcmp(src->source, source, sizeof(source)) == 0)
			break;
	if (src == NULL) {
		if (max == 0)
			return NULL;
		src = xcalloc(1, sizeof(*src));
		memcpy(src->source, source, sizeof(source));
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
