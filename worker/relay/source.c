/*
 * Logins by where they come from.  One place must not fill all room for
 * logins, and one whose logins are refused again and again must not keep keyd
 * and dbd busy.
 */

#include <stdlib.h>
#include <string.h>

#include "common/compat/compat.h"
#include "common/siphash.h"
#include "worker/relay/calls_int.h"

#define UNDER_WAY	64
#define REFUSED_US	(30 * US_PER_S)
/* Several machines may share an address, and one may have been removed. */
#define REFUSED_MAX	16
#define REMEMBERED	4096		/* sources without a login under way */

static uint64_t
hash(const struct relay *r, const uint8_t key[IP_SOURCE])
{
	return siphash(r->seed, key, IP_SOURCE);
}

static bool
is_source(const void *p, const void *key)
{
	return memcmp(((const struct source *)p)->key, key, IP_SOURCE) == 0;
}

/* Nothing is known of it that matters. */
static void
settle(struct relay *r, struct source *s)
{
	if (s->n != 0 || s->refused != 0)
		return;
	ptab_del(&r->sources, hash(r, s->key), s);
	free(s);
}

static void
forgive(struct relay *r, struct source *s)
{
	TAILQ_REMOVE(&r->refusals, s, entry);
	r->nrefusals--;
	s->refused = 0;
	settle(r, s);
}

static void
forgive_old(struct relay *r)
{
	uint64_t now = env_now(r->env);
	struct source *s;

	while ((s = TAILQ_FIRST(&r->refusals)) != NULL &&
	    now - s->since >= REFUSED_US)
		forgive(r, s);
}

bool
source_is_bad(const struct relay *r, const struct source *s)
{
	return s != NULL && s->refused >= REFUSED_MAX &&
	    env_now(r->env) - s->since < REFUSED_US;
}

static struct source *
find(const struct relay *r, const struct ip *from, uint8_t key[IP_SOURCE])
{
	ip_source(key, from);
	return ptab_find(&r->sources, hash(r, key), is_source, key);
}

bool
source_may(const struct relay *r, const struct ip *from)
{
	const struct source *s;
	uint8_t key[IP_SOURCE];

	if (from == NULL)
		return true;
	s = find(r, from, key);
	return s == NULL || (s->n < UNDER_WAY && !source_is_bad(r, s));
}

struct source *
source_join(struct relay *r, const struct ip *from)
{
	struct source *s;
	uint8_t key[IP_SOURCE];

	forgive_old(r);
	if (from == NULL)
		return NULL;
	if ((s = find(r, from, key)) == NULL) {
		s = xcalloc(1, sizeof(*s));
		memcpy(s->key, key, sizeof(s->key));
		ptab_add(&r->sources, hash(r, key), s);
	}
	s->n++;
	return s;
}

void
source_leave(struct relay *r, struct source *s)
{
	if (s == NULL)
		return;
	s->n--;
	settle(r, s);
}

void
source_refused(struct relay *r, struct source *s)
{
	forgive_old(r);
	if (s == NULL || s->refused++ != 0)
		return;
	s->since = env_now(r->env);
	TAILQ_INSERT_TAIL(&r->refusals, s, entry);
	if (++r->nrefusals > REMEMBERED)
		forgive(r, TAILQ_FIRST(&r->refusals));
}

void
sources_free(struct relay *r)
{
	struct source *s;

	while ((s = TAILQ_FIRST(&r->refusals)) != NULL)
		forgive(r, s);
	ptab_free(&r->sources);
}
