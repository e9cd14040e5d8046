/* Keys that nodes had until a short while ago (derp.md 8). */

#include <stdlib.h>
#include <string.h>

#include "common/compat/compat.h"
#include "common/log.h"
#include "dbd/objects_int.h"
#include "dbd/relay_int.h"

#define OF_NODE_MAX	2	/* the older ones are good for nothing */

struct relay_old {
	TAILQ_ENTRY(relay_old)	 entry;
	LIST_ENTRY(relay_old)	 of_node;
	struct ixlink		 by_key;
	struct node		*node;
	uint64_t		 until;
	uint8_t			 key[KEY_LEN];
};
TAILQ_HEAD(relay_old_queue, relay_old);

struct relay_olds {
	struct dbd		*d;
	struct index		 by_key;
	struct relay_old_queue	 all;		/* by age: the oldest first */
	struct timer		 timer;
};

static struct relay_old *
find(const struct relay_olds *s, const uint8_t key[KEY_LEN])
{
	struct relay_old *o;
	struct ixlink *l;

	for (l = ix_find(&s->by_key, key, KEY_LEN); l != NULL;
	    l = ix_more(l)) {
		o = l->obj;
		if (memcmp(o->key, key, KEY_LEN) == 0)
			return o;
	}
	return NULL;
}

struct node *
relay_old_node(struct dbd *d, const uint8_t key[KEY_LEN])
{
	const struct relay_old *o = find(d->relay_olds, key);

	return o == NULL ? NULL : o->node;
}

static void
drop(struct relay_olds *s, struct relay_old *o)
{
	uint8_t key[KEY_LEN];

	memcpy(key, o->key, KEY_LEN);
	ix_del(&s->by_key, &o->by_key);
	TAILQ_REMOVE(&s->all, o, entry);
	LIST_REMOVE(o, of_node);
	free(o);
	relay_look(s->d, key);
}

static void
on_time(void *arg)
{
	struct relay_olds *s = arg;
	uint64_t now = env_now(s->d->env);
	struct relay_old *o;

	while ((o = TAILQ_FIRST(&s->all)) != NULL && o->until <= now)
		drop(s, o);
	if (o != NULL)
		timer_at(&s->timer, o->until);
}

void
relay_rekeyed(struct node *n, const uint8_t known[KEY_LEN], bool expired)
{
	struct relay_olds *s = n->tn->d->relay_olds;
	struct relay_old *o, *last = NULL;
	unsigned int left = 0;

	/* It may be one that the node had before, or another one has left. */
	if ((o = find(s, known)) != NULL)
		drop(s, o);
	if (expired || key_is_zero(known))
		return;
	LIST_FOREACH(o, &n->relay_olds, of_node) {
		last = o;
		left++;
	}
	if (left >= OF_NODE_MAX)
		drop(s, last);
	o = xcalloc(1, sizeof(*o));
	memcpy(o->key, known, KEY_LEN);
	o->node = n;
	o->until = env_now(s->d->env) + RELAY_OLD_US;
	ix_add(&s->by_key, &o->by_key, o->key, KEY_LEN, o);
	TAILQ_INSERT_TAIL(&s->all, o, entry);
	LIST_INSERT_HEAD(&n->relay_olds, o, of_node);
	if (!timer_pending(&s->timer))
		timer_at(&s->timer, o->until);
}

void
relay_old_forget(struct node *n)
{
	struct relay_old *o;

	while ((o = LIST_FIRST(&n->relay_olds)) != NULL)
		drop(n->tn->d->relay_olds, o);
}

void
relay_old_init(struct dbd *d)
{
	struct relay_olds *s;

	s = xcalloc(1, sizeof(*s));
	s->d = d;
	ix_init(&s->by_key, d->env);
	TAILQ_INIT(&s->all);
	timer_init(&s->timer, d->env, on_time, s);
	d->relay_olds = s;
}

void
relay_old_end(struct dbd *d)
{
	timer_stop(&d->relay_olds->timer);
	ix_free(&d->relay_olds->by_key);
	free(d->relay_olds);
	d->relay_olds = NULL;
}
