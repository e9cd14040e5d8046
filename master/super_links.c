/*
 * Who is linked to whom.  Most links live as long as the two at their ends;
 * MESH and SIG may go down before, and are made again, ever more slowly.
 */

#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/str.h"
#include "master/super.h"
#include "master/super_int.h"
#include "master/util.h"

/* A link that held for so long is not one that fails again and again. */
#define HELD_US		(60 * US_PER_S)

/* Each link that is made by itself wherever both roles run. */
static const struct {
	enum msg_link	 link;
	enum role	 below;
	enum role	 above;
	unsigned int	 wanted;	/* SUPER_ bit; 0: always */
} matrix[] = {
	{ LINK_KEY, ROLE_WORKER, ROLE_KEYD, 0 },
	{ LINK_DB, ROLE_WORKER, ROLE_DBD, 0 },
	{ LINK_SIG, ROLE_WORKER, ROLE_KEYD, SUPER_SIG },
	{ LINK_OUT, ROLE_OUT, ROLE_DBD, SUPER_OUT },
	{ LINK_ACME, ROLE_KEYD, ROLE_DBD, SUPER_ACME },
	{ LINK_MESH, ROLE_WORKER, ROLE_WORKER, SUPER_MESH }
};

/* A link that went down once. */
struct mend {
	LIST_ENTRY(mend) entry;
	enum msg_link	 link;
	struct proc	*a;
	struct proc	*b;
	uint64_t	 gen_a;		/* who had it */
	uint64_t	 gen_b;
	unsigned int	 tries;
	uint64_t	 made;		/* when it was made again */
	struct timer	 timer;
};

static void
tell(struct proc *to, enum msg_link link, const struct proc *other, int fd)
{
	struct msg m;

	msg_init(&m, M_CFG_LINK);
	m.fd = fd;
	m.u.cfg_link.link = (uint8_t)link;
	m.u.cfg_link.role = (uint8_t)other->role;
	m.u.cfg_link.slot = other->slot;
	m.u.cfg_link.generation = other->generation;
	to->super->ops.send(to, &m, to->super->ops.arg);
}

static bool
make(struct proc *p, struct proc *q, enum msg_link link)
{
	struct super *s = p->super;
	int fd[2];

	if (!s->ops.pair(fd, s->ops.arg))
		return false;
	tell(p, link, q, fd[0]);
	tell(q, link, p, fd[1]);
	return true;
}

/* All links of p and q that are always made, or by one of the bits. */
static bool
join(struct proc *p, struct proc *q, unsigned int bits, bool always)
{
	unsigned int k;

	for (k = 0; k < NITEMS(matrix); k++) {
		if (!(matrix[k].below == p->role &&
		    matrix[k].above == q->role) &&
		    !(matrix[k].below == q->role &&
		    matrix[k].above == p->role))
			continue;
		if (matrix[k].wanted == 0 ? !always :
		    (matrix[k].wanted & bits) == 0)
			continue;
		if (!make(p, q, matrix[k].link))
			return false;
	}
	return true;
}

bool
links_join(struct proc *p)
{
	struct super *s = p->super;
	unsigned int i, wanted = super_wants(s, p->epoch);
	struct proc *q;

	for (i = 0; i < s->n; i++) {
		q = &s->procs[i];
		if (q != p && !q->check && super_listens(q) &&
		    !join(p, q, wanted, true))
			return false;
	}
	return true;
}

void
links_commit(struct super *s)
{
	unsigned int i, k, wanted = super_wants(s, s->epoch);
	unsigned int more = wanted & ~s->wanted;
	struct proc *p, *q;

	s->wanted = wanted;
	for (i = 0; i < s->n && more != 0; i++)
		for (k = i + 1; k < s->n; k++) {
			p = &s->procs[i];
			q = &s->procs[k];
			/* Others are about to be replaced, and joined then. */
			if (p->check || q->check || p->epoch != s->epoch ||
			    q->epoch != s->epoch || p->state != PROC_RUN ||
			    q->state != PROC_RUN)
				continue;
			if (!join(p, q, more, false))
				log_warnx("%s and %s cannot be linked",
				    p->name, q->name);
		}
}

static void
on_mend(void *arg)
{
	struct mend *d = arg;
	struct super *s = d->a->super;

	/* One of them has ended: the next was joined when it was started. */
	if (d->a->generation != d->gen_a || d->b->generation != d->gen_b ||
	    !super_listens(d->a) || !super_listens(d->b) || s->stopping)
		return;
	d->made = env_now(s->env);
	log_info("%s of %s and %s is made again", link_kind_name(d->link),
	    d->a->name, d->b->name);
	if (!make(d->a, d->b, d->link))
		timer_in(&d->timer, HELD_US);
}

static struct mend *
mend_of(struct super *s, enum msg_link link, struct proc *a, struct proc *b)
{
	struct mend *d;

	LIST_FOREACH(d, &s->mends, entry)
		if (d->link == link && d->a == a && d->b == b)
			return d;
	d = xcalloc(1, sizeof(*d));
	d->link = link;
	d->a = a;
	d->b = b;
	timer_init(&d->timer, s->env, on_mend, d);
	LIST_INSERT_HEAD(&s->mends, d, entry);
	return d;
}

/* False if that is on its way already. */
static bool
mend(struct super *s, enum msg_link link, struct proc *p, struct proc *q)
{
	static const unsigned int steps[] = { 1, 2, 5, 30 };
	struct mend *d;

	d = p < q ? mend_of(s, link, p, q) : mend_of(s, link, q, p);
	/* Both ends tell. */
	if (timer_pending(&d->timer) && d->gen_a == d->a->generation &&
	    d->gen_b == d->b->generation)
		return false;
	if (d->gen_a != d->a->generation || d->gen_b != d->b->generation ||
	    env_now(s->env) - d->made >= HELD_US)
		d->tries = 0;
	d->gen_a = d->a->generation;
	d->gen_b = d->b->generation;
	timer_in(&d->timer, steps[d->tries] * US_PER_S);
	if (d->tries + 1 < NITEMS(steps))
		d->tries++;
	return true;
}

bool
links_report(struct proc *p, const struct m_cfg_blame *b)
{
	struct super *s = p->super;
	enum msg_link link = LINK_NONE;
	struct proc *q;

	if (p->role != ROLE_WORKER)
		return false;
	if (b->role == ROLE_WORKER && (s->wanted & SUPER_MESH) != 0)
		link = LINK_MESH;
	/* Only that it is gone, or too slow: keyd is not accused. */
	else if (b->role == ROLE_KEYD && (b->why == LINK_EOF ||
	    b->why == LINK_CLOSED || b->why == LINK_DEADLINE))
		link = LINK_SIG;
	if (link == LINK_NONE)
		return false;
	/* One that a reload made needless may still have been there. */
	if (link == LINK_SIG && (s->wanted & SUPER_SIG) == 0)
		return true;
	q = super_find(s, b->role, b->slot, b->generation);
	if (q == p)
		return false;
	/* Else it has just ended, and p heard of it before us. */
	if (q != NULL && super_listens(q) && !s->stopping &&
	    mend(s, link, p, q))
		log_info("%s says of %s with %s: %s", p->name,
		    link_kind_name(link), q->name,
		    link_why_text((enum link_why)b->why));
	return true;
}

void
links_stop(struct super *s)
{
	struct mend *d;

	LIST_FOREACH(d, &s->mends, entry)
		timer_stop(&d->timer);
}

void
links_free(struct super *s)
{
	struct mend *d;

	links_stop(s);
	while ((d = LIST_FIRST(&s->mends)) != NULL) {
		LIST_REMOVE(d, entry);
		free(d);
	}
}
