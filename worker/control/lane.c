/* Requests to dbd: in lanes by session, sent again when dbd comes back. */

#include <stdlib.h>

#include "common/log.h"
#include "worker/control/control_int.h"

/* What one request costs dbd, for the estimate of overload. */
#define TASK_US		100
/*
 * All bodies that wait.  Below what a link queues (64 MB), for dbd may come
 * back and be given all at once.
 */
#define TASK_OCTETS	(16UL * 1024 * 1024)

static void	task_send(struct task *, bool);

static struct lane_list *
lane_bucket(struct control *c, const struct r_ticket *t)
{
	return &c->lanes[(t->serial ^ t->serial_gen) % HASH_SIZE];
}

struct lane *
lane_of(struct control *c, const struct req *r)
{
	const struct r_ticket *t = &req_session(r)->ticket;
	struct lane_list *b = lane_bucket(c, t);
	struct lane *l;

	LIST_FOREACH(l, b, hash)
		if (l->serial == t->serial && l->serial_gen == t->serial_gen)
			return l;
	l = xcalloc(1, sizeof(*l));
	l->serial = t->serial;
	l->serial_gen = t->serial_gen;
	TAILQ_INIT(&l->waiting);
	TAILQ_INIT(&l->regs);
	LIST_INSERT_HEAD(b, l, hash);
	return l;
}

void
lane_put(struct lane *l)
{
	if (l->busy != NULL || l->nheld != 0 || l->pinned ||
	    l->later != NULL || !TAILQ_EMPTY(&l->waiting))
		return;
	LIST_REMOVE(l, hash);
	free(l);
}

bool
lane_is_full(const struct lane *l)
{
	return l->nregs >= LANE_REGS || !TAILQ_EMPTY(&l->regs);
}

/* An auth key may be in it: growing would leave a copy behind. */
static void
encode(struct buf *b, const struct msg *m)
{
	struct buf bare = { 0 };
	struct msg copy;

	if (m->type == M_DB_REG) {
		copy = *m;
		copy.u.db_reg.auth_key.n = 0;
		msg_encode(&bare, &copy);
		(void)buf_room(b, bare.n + m->u.db_reg.auth_key.n);
		buf_free(&bare);
	}
	msg_encode(b, m);
}

static unsigned int *
lane_waits(struct task *t)
{
	return t->type == M_DB_REG ? &t->lane->nregs : &t->lane->nmaps;
}

struct task *
task_new(struct control *c, struct req *r, const struct msg *m,
    void (*done)(struct task *, const struct msg *))
{
	struct task *t;
	struct lane *l;

	l = lane_of(c, r);
	if (m->type != M_DB_REG && l->nmaps >= LANE_MAX) {
		reply_text(r, 429, "too many requests of one session");
		c->count.refused++;
		return NULL;
	}
	t = xcalloc(1, sizeof(*t));
	t->control = c;
	t->lane = l;
	t->req = r;
	t->type = m->type;
	t->done = done;
	encode(&t->body, m);
	t->number = ++c->task_number;
	c->ntasks++;
	c->task_octets += t->body.n;
	return t;
}

/* One more may be in flight. */
static bool
lane_is_open(const struct lane *l)
{
	if (l->busy == NULL)
		return true;
	return l->busy->type == M_DB_MAP_LITE && l->extra == NULL;
}

static void
task_free(struct task *t)
{
	t->control->ntasks--;
	t->control->task_octets -= t->body.n;
	free(t->ms);
	buf_wipe(&t->body);
	free(t);
}

static void
unkeep(struct task *t)
{
	TAILQ_REMOVE(&t->control->later, t, entry);
	t->lane->later = NULL;
	t->later = false;
}

/* As dbd says of one that waits when a newer one comes. */
static void
replaced(struct task *t)
{
	struct msg m;

	msg_init(&m, M_DB_LITE_OK);
	m.u.db_lite_ok.replaced = true;
	t->done(t, &m);
	task_free(t);
}

/* It waits here; of two of a session the newer, in the place of the older. */
static void
keep(struct task *t)
{
	struct control *c = t->control;
	struct lane *l = t->lane;
	struct task *old = l->later;

	t->id = 0;
	t->later = true;
	if (old == NULL) {
		TAILQ_INSERT_TAIL(&c->later, t, entry);
		l->later = t;
		return;
	}
	if (old->number > t->number) {
		replaced(t);
		return;
	}
	TAILQ_INSERT_BEFORE(old, t, entry);
	unkeep(old);
	l->later = t;
	replaced(old);
}

/* Room for one of those kept. */
static void
keep_less(struct control *c)
{
	struct task *t;

	if ((t = TAILQ_FIRST(&c->later)) == NULL)
		return;
	unkeep(t);
	task_go(t);
}

void
task_later(struct task *t)
{
	t->later = true;
}

void
task_go(struct task *t)
{
	struct lane *l = t->lane;

	if (t->type == M_DB_MAP_LITE && l->later != NULL) {
		keep(t);
		return;
	}
	if (!lane_is_open(l)) {
		TAILQ_INSERT_TAIL(&l->waiting, t, entry);
		++*lane_waits(t);
		return;
	}
	if (l->busy == NULL)
		l->busy = t;
	else
		l->extra = t;
	TAILQ_INSERT_TAIL(&t->control->open, t, entry);
	if (t->control->db != NULL)
		task_send(t, false);
}

static void
unwait(struct task *t)
{
	TAILQ_REMOVE(&t->lane->waiting, t, entry);
	--*lane_waits(t);
}

static void
task_set_again(struct msg *m)
{
	switch (m->type) {
	case M_DB_REG:
		m->u.db_reg.again = true;
		break;
	case M_DB_MAP_OPEN:
		m->u.db_map_open.again = true;
		break;
	case M_DB_MAP_LITE:
		m->u.db_map_lite.again = true;
		break;
	default:
		fatalx("%s is not sent twice", msg_name(m->type));
	}
}

static void
task_send(struct task *t, bool again)
{
	struct msg m;

	if (msg_decode(&m, t->type, t->body.p, t->body.n) == -1)
		fatalx("own %s does not decode", msg_name(t->type));
	if (!again) {
		t->id = link_request(t->control->db, &m, t, 0);
		return;
	}
	task_set_again(&m);
	link_request_again(t->control->db, &m, t->id, t);
}

void
tasks_resend(struct control *c)
{
	struct task *t;

	TAILQ_FOREACH(t, &c->open, entry)
		task_send(t, t->id != 0);
	/* What made it full may have gone with the old dbd. */
	while (!TAILQ_EMPTY(&c->later))
		keep_less(c);
}

void
task_end(struct task *t)
{
	struct control *c = t->control;
	struct lane *l = t->lane;
	struct task *next;
	bool room = t->type == M_DB_MAP_LITE && !t->later;

	TAILQ_REMOVE(&c->open, t, entry);
	if (l->busy == t)
		l->busy = l->extra;
	l->extra = NULL;
	if (t->later && t->req != NULL)
		keep(t);
	else
		task_free(t);
	while ((next = TAILQ_FIRST(&l->waiting)) != NULL && lane_is_open(l)) {
		unwait(next);
		task_go(next);
	}
	l->pinned = true;
	register_next(c, l);
	l->pinned = false;
	lane_put(l);
	if (room)
		keep_less(c);
}

void
task_orphan(struct task *t)
{
	struct lane *l = t->lane;

	t->req = NULL;
	if (l->busy == t || l->extra == t) {
		if (t->control->db == NULL)
			task_end(t);
		return;
	}
	/* never sent: nobody will miss it (protocol.md trap 38) */
	if (l->later == t)
		unkeep(t);
	else
		unwait(t);
	task_free(t);
	lane_put(l);
}

void
tasks_forget(struct control *c)
{
	struct task *t, *next;

	for (t = TAILQ_FIRST(&c->open); t != NULL; t = next) {
		next = TAILQ_NEXT(t, entry);
		if (t->req == NULL)
			task_end(t);
	}
}

uint64_t
tasks_backlog(const struct control *c)
{
	return (uint64_t)c->ntasks * TASK_US;
}

bool
tasks_full(const struct control *c)
{
	return c->task_octets >= TASK_OCTETS;
}
