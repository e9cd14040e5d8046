/* Budgets: of a node, of a machine that makes nodes, of an auth key. */

#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "dbd/handlers_int.h"

/*
 * Of an auth key: how many nodes that their clients deleted may be made anew
 * at once, and how long until one more may.
 */
#define ANEW_BURST	1000
#define ANEW_US		(100 * US_PER_MS)
/* Machines that are remembered: 800 new ones a second, and their 80 s. */
#define MAKERS_MAX	65536

/* A machine that made a node lately. */
struct maker {
	TAILQ_ENTRY(maker)	 all;		/* by the last one */
	struct ixlink		 by_machine;	/* dbd */
	uint8_t			 machine[KEY_LEN];
	struct budget		 b;
};

static void
refill(struct budget *b, uint64_t now, uint32_t burst, uint64_t us)
{
	uint64_t k = (now - b->refilled) / us;

	if (k >= burst || b->tokens + k >= burst) {
		b->tokens = burst;
		b->refilled = now;
	} else {
		b->tokens += (uint32_t)k;
		b->refilled += k * us;
	}
}

static bool
take(struct dbd *d, struct budget *b, uint32_t burst, uint64_t us)
{
	if (us == 0)
		return true;
	refill(b, env_now(d->env), burst, us);
	if (b->tokens == 0)
		return false;
	b->tokens--;
	return true;
}

uint64_t
budget_us(const struct dbd *d)
{
	return d->conf.budget_refill_ms * US_PER_MS;
}

bool
budget_take(struct node *n, struct budget *b)
{
	struct dbd *d = n->tn->d;

	return take(d, b, d->conf.budget_burst, budget_us(d));
}

/* Machines. */

static struct maker *
maker_find(struct dbd *d, const uint8_t machine[KEY_LEN])
{
	struct ixlink *l;
	struct maker *k;

	for (l = ix_find(&d->makers_by_machine, machine, KEY_LEN); l != NULL;
	    l = ix_more(l)) {
		k = l->obj;
		if (memcmp(k->machine, machine, KEY_LEN) == 0)
			return k;
	}
	return NULL;
}

static void
maker_free(struct dbd *d, struct maker *k)
{
	ix_del(&d->makers_by_machine, &k->by_machine);
	TAILQ_REMOVE(&d->makers, k, all);
	d->nmakers--;
	free(k);
}

/* Whose budget is whole again need not be remembered. */
static void
makers_trim(struct dbd *d)
{
	uint64_t now = env_now(d->env);
	struct maker *k;
	int i;

	for (i = 0; i < 2 && (k = TAILQ_FIRST(&d->makers)) != NULL; i++) {
		refill(&k->b, now, d->conf.budget_burst, budget_us(d));
		if (k->b.tokens < d->conf.budget_burst &&
		    d->nmakers < MAKERS_MAX)
			break;
		maker_free(d, k);
	}
}

const struct budget *
maker_spent(struct dbd *d, const uint8_t machine[KEY_LEN])
{
	struct maker *k;

	if (budget_us(d) == 0 || (k = maker_find(d, machine)) == NULL)
		return NULL;
	refill(&k->b, env_now(d->env), d->conf.budget_burst, budget_us(d));
	return k->b.tokens == 0 ? &k->b : NULL;
}

void
maker_take(struct dbd *d, const uint8_t machine[KEY_LEN])
{
	struct maker *k;

	if (budget_us(d) == 0)
		return;
	if ((k = maker_find(d, machine)) == NULL) {
		makers_trim(d);
		k = xcalloc(1, sizeof(*k));
		memcpy(k->machine, machine, KEY_LEN);
		k->b.tokens = d->conf.budget_burst;
		k->b.refilled = env_now(d->env);
		ix_add(&d->makers_by_machine, &k->by_machine, k->machine,
		    KEY_LEN, k);
		d->nmakers++;
	} else
		TAILQ_REMOVE(&d->makers, k, all);
	TAILQ_INSERT_TAIL(&d->makers, k, all);
	(void)take(d, &k->b, d->conf.budget_burst, budget_us(d));
}

void
makers_init(struct dbd *d)
{
	TAILQ_INIT(&d->makers);
	ix_init(&d->makers_by_machine, d->env);
}

void
makers_free(struct dbd *d)
{
	struct maker *k;

	while ((k = TAILQ_FIRST(&d->makers)) != NULL)
		maker_free(d, k);
	ix_free(&d->makers_by_machine);
}

/* Auth keys. */

void
anew_init(struct authkey *k)
{
	k->anew.tokens = ANEW_BURST;
	k->anew.refilled = env_now(k->tn->d->env);
}

const struct budget *
anew_spent(struct authkey *k, uint64_t *us)
{
	*us = ANEW_US;
	if (k->deleted == 0)
		return NULL;
	refill(&k->anew, env_now(k->tn->d->env), ANEW_BURST, ANEW_US);
	return k->anew.tokens == 0 ? &k->anew : NULL;
}

void
anew_take(struct authkey *k)
{
	if (k->deleted == 0)
		return;
	k->deleted--;
	(void)take(k->tn->d, &k->anew, ANEW_BURST, ANEW_US);
}
