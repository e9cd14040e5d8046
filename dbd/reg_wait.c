/* Registrations over a budget: each waits for its token. */

#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "dbd/batch_int.h"
#include "dbd/handlers_int.h"

/* A client has one open; what it asked before its connection broke is more. */
#define WAITS_MAX	4
/* Fewer than the DB_REG that a link lets be open: the others go on. */
#define WORKER_WAITS	384
#define SAY_US		(60 * US_PER_S)

struct reg_wait {
	TAILQ_ENTRY(reg_wait)	 all;
	struct worker		*worker;
	enum reg_why		 why;
	uint64_t		 number;	/* of the node or the key */
	uint8_t			 machine[KEY_LEN];
	uint32_t		 id;
	struct buf		 body;		/* DB_REG: a secret is in it */
	struct timer		 due;
};

static void
wait_free(struct reg_wait *wait)
{
	wait->worker->d->counts.waiting--;
	wait->worker->nreg_waits--;
	TAILQ_REMOVE(&wait->worker->reg_waits, wait, all);
	timer_stop(&wait->due);
	buf_wipe(&wait->body);
	free(wait);
}

static bool
same(const struct reg_wait *a, const struct reg_wait *b)
{
	if (a->why != b->why)
		return false;
	if (a->why == REG_MACHINE)
		return memcmp(a->machine, b->machine, KEY_LEN) == 0;
	return a->number == b->number;
}

/* The oldest that waits for the same; *n of them in all. */
static struct reg_wait *
oldest(struct dbd *d, const struct reg_wait *mine, uint32_t *n)
{
	struct reg_wait *wait, *first = NULL;
	struct worker *w;

	*n = 0;
	TAILQ_FOREACH(w, &d->workers, all)
		TAILQ_FOREACH(wait, &w->reg_waits, all) {
			if (!same(wait, mine))
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
	m.u.db_reg_no.text = slice_str("a later request took the place of "
	    "this one: try again later");
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

/* A secret is in it: growing would leave a copy behind. */
static void
encode(struct dbd *d, struct buf *b, const struct m_db_reg *q)
{
	struct msg m;

	msg_init(&m, M_DB_REG);
	m.u.db_reg = *q;
	m.u.db_reg.auth_key.n = 0;
	buf_clear(&d->scratch);
	msg_encode(&d->scratch, &m);
	(void)buf_room(b, d->scratch.n + q->auth_key.n);
	m.u.db_reg.auth_key = q->auth_key;
	msg_encode(b, &m);
}

/* Whoever makes and deletes nodes in a loop: worth a line now and then. */
static void
say_waits(struct dbd *d, const struct reg_wait *wait)
{
	static const char *const whose[] = { "node", "machine", "auth key" };
	uint64_t now = env_now(d->env);

	if (d->waits_said_at != 0 && now < d->waits_said_at + SAY_US)
		return;
	d->waits_said_at = now;
	log_info("registration over the budget of its %s waits number=%llu "
	    "machine=%s", whose[wait->why], (unsigned long long)wait->number,
	    log_key(wait->machine));
}

/* How many of the same are before it, once the oldest may have given up. */
static uint32_t
places_ahead(struct worker *w, const struct reg_wait *wait)
{
	struct reg_wait *first;
	uint32_t ahead;

	first = oldest(w->d, wait, &ahead);
	if (wait->why != REG_KEY && ahead >= WAITS_MAX) {
		give_up(first);
		ahead--;
	}
	if (w->nreg_waits >= WORKER_WAITS)
		give_up(TAILQ_FIRST(&w->reg_waits));
	return ahead;
}

void
reg_defer(struct worker *w, uint32_t id, const struct m_db_reg *q,
    enum reg_why why, uint64_t number, const struct budget *b, uint64_t us)
{
	struct dbd *d = w->d;
	struct reg_wait *wait;

	wait = xcalloc(1, sizeof(*wait));
	wait->worker = w;
	wait->why = why;
	wait->number = number;
	memcpy(wait->machine, q->ticket.key, KEY_LEN);
	wait->id = id;
	encode(d, &wait->body, q);
	timer_init(&wait->due, d->env, on_due, wait);
	timer_at(&wait->due, b->refilled + (places_ahead(w, wait) + 1) * us);
	TAILQ_INSERT_TAIL(&w->reg_waits, wait, all);
	w->nreg_waits++;
	d->counts.waiting++;
	d->counts.delayed++;
	say_waits(d, wait);
}

void
reg_waits_free(struct worker *w)
{
	struct reg_wait *wait;

	while ((wait = TAILQ_FIRST(&w->reg_waits)) != NULL)
		wait_free(wait);
}
