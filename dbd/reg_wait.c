/* Registrations over their node's budget: each waits for its token. */

#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "dbd/batch_int.h"
#include "dbd/handlers_int.h"

/* A client has one open; what it asked before its connection broke is more. */
#define WAITS_MAX	4

struct reg_wait {
	TAILQ_ENTRY(reg_wait)	 all;
	struct worker		*worker;
	uint64_t		 node;
	uint32_t		 id;
	struct buf		 body;		/* DB_REG: a secret is in it */
	struct timer		 due;
};

static void
wait_free(struct reg_wait *wait)
{
	wait->worker->d->counts.waiting--;
	TAILQ_REMOVE(&wait->worker->reg_waits, wait, all);
	timer_stop(&wait->due);
	buf_wipe(&wait->body);
	free(wait);
}

/* The oldest that waits for the node; *n of them in all. */
static struct reg_wait *
oldest(struct dbd *d, uint64_t node, uint32_t *n)
{
	struct reg_wait *wait, *first = NULL;
	struct worker *w;

	*n = 0;
	TAILQ_FOREACH(w, &d->workers, all)
		TAILQ_FOREACH(wait, &w->reg_waits, all) {
			if (wait->node != node)
				continue;
			++*n;
			if (first == NULL || wait->due.at < first->due.at)
				first = wait;
		}
	return first;
}

static void
give_up(struct reg_wait *wait)
{
	struct dbd *d = wait->worker->d;
	struct msg m;

	msg_init(&m, M_DB_REG_NO);
	m.id = wait->id;
	m.u.db_reg_no.text = slice_str("a later request of this node took "
	    "the place of this one: try again later");
	batch_reply(d, wait->worker->link, &m);
	d->counts.replaced++;
	wait_free(wait);
}

/* All may have changed since: it is looked at as if it came now. */
static void
on_due(void *arg)
{
	struct reg_wait *wait = arg;
	struct worker *w = wait->worker;
	struct buf body = wait->body;
	struct msg m;

	if (env_ended(w->d->env))
		return;
	if (msg_decode(&m, M_DB_REG, body.p, body.n) == -1)
		fatalx("registration: own encoding");
	m.id = wait->id;
	m.u.db_reg.again = false;
	memset(&wait->body, 0, sizeof(wait->body));
	wait_free(wait);
	on_reg(w, &m);
	wipe(&m, sizeof(m));
	buf_wipe(&body);
}

void
reg_defer(struct worker *w, uint32_t id, const struct m_db_reg *q,
    const struct node *n)
{
	struct dbd *d = w->d;
	struct reg_wait *wait, *first;
	struct msg m;
	uint32_t ahead;

	first = oldest(d, n->r.id, &ahead);
	if (ahead >= WAITS_MAX) {
		give_up(first);
		ahead--;
	}
	wait = xcalloc(1, sizeof(*wait));
	wait->worker = w;
	wait->node = n->r.id;
	wait->id = id;
	msg_init(&m, M_DB_REG);
	m.u.db_reg = *q;
	m.u.db_reg.auth_key.n = 0;
	buf_clear(&d->scratch);
	msg_encode(&d->scratch, &m);
	/* Room for all: growing would leave a copy of the secret behind. */
	(void)buf_room(&wait->body, d->scratch.n + q->auth_key.n);
	m.u.db_reg.auth_key = q->auth_key;
	msg_encode(&wait->body, &m);
	timer_init(&wait->due, d->env, on_due, wait);
	timer_at(&wait->due, n->regs.refilled +
	    (ahead + 1) * d->conf.budget_refill_ms * US_PER_MS);
	TAILQ_INSERT_TAIL(&w->reg_waits, wait, all);
	d->counts.waiting++;
	d->counts.delayed++;
}

void
reg_waits_free(struct worker *w)
{
	struct reg_wait *wait;

	while ((wait = TAILQ_FIRST(&w->reg_waits)) != NULL)
		wait_free(wait);
}
