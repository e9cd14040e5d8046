/*
 * The compiler's client: one job after the other, each in a policyc of its
 * own, which may die at any point.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/routeset.h"
#include "dbd/policy_int.h"
#include "dbd/routes_int.h"

#define PART_OCTETS	60000
#define OUT_MAX		(4u * 1024 * 1024)	/* of why and diff */
#define START_US	(10 * US_PER_S)
/* Compiling may take 30 s, which policyc and master see to themselves. */
#define COMPILE_US	(35 * US_PER_S)
#define AGAIN_US	(100 * US_PER_MS)
#define RETRY_US	(15 * US_PER_S)		/* doubled each time */
#define RETRY_MAX_US	(600 * US_PER_S)

enum policyc_state {
	PC_OFF,			/* before CFG_START */
	PC_IDLE,
	PC_ASKED,		/* master starts one for the first job */
	PC_LATE,		/* it has not, nor has it said so, in time */
	PC_BUSY			/* it works on the first job */
};

TAILQ_HEAD(job_list, job);

struct policyc {
	struct dbd	*d;
	enum policyc_state state;
	struct job_list	 jobs;
	unsigned int	 n;
	struct link	*link;		/* PC_BUSY */
	struct timer	 next;		/* begins a job */
	struct timer	 deadline;
	struct timer	 again;		/* policy_again() */
	uint64_t	 retry_us;	/* after the next death */
	enum job_kind	 last;		/* that ended */
	const struct tailnet *untested;	/* its tests go over the limits, */
	uint32_t	 untested_version;	/* those of this version */
};

/* Jobs. */

struct job *
job_new(struct tailnet *tn, enum job_kind kind, uint32_t uid,
    void (*done)(const struct job_result *, void *), void *arg)
{
	struct job *j;

	j = xcalloc(1, sizeof(*j));
	j->tn = tn;
	j->kind = kind;
	j->uid = uid;
	j->version = tn->version;
	j->done = done;
	j->arg = arg;
	return j;
}

void
job_free(struct job *j)
{
	buf_free(&j->text);
	buf_free(&j->was);
	buf_free(&j->blob);
	buf_free(&j->out);
	free(j);
}

static struct job *
running(const struct policyc *pc)
{
	return pc->state == PC_ASKED || pc->state == PC_BUSY ?
	    TAILQ_FIRST(&pc->jobs) : NULL;
}

/* The same where there is one: policyc was asked. */
static struct job *
asked(const struct policyc *pc)
{
	struct job *j = running(pc);

	if (j == NULL)
		fatalx("no job is with the policy compiler");
	return j;
}

static void
job_remove(struct policyc *pc, struct job *j)
{
	TAILQ_REMOVE(&pc->jobs, j, all);
	pc->n--;
}

/* Rights that are not valid any more go before what may come. */
static void
insert(struct policyc *pc, struct job *j)
{
	struct job *at = running(pc), *next;
	enum job_kind last = at != NULL ? at->kind : pc->last;

	if (j->kind != JOB_AGAIN) {
		TAILQ_INSERT_TAIL(&pc->jobs, j, all);
		return;
	}
	next = at != NULL ? TAILQ_NEXT(at, all) : TAILQ_FIRST(&pc->jobs);
	if (last == JOB_AGAIN && next != NULL && next->uid != UID_NONE)
		at = next;
	if (at != NULL)
		TAILQ_INSERT_AFTER(&pc->jobs, at, j, all);
	else
		TAILQ_INSERT_HEAD(&pc->jobs, j, all);
}

int
job_add(struct job *j, char *why, size_t n)
{
	struct policyc *pc = j->tn->d->policyc;

	/* What the server itself wants is one a tailnet. */
	if (pc->n >= JOBS_MAX && j->uid != UID_NONE) {
		(void)strlcpy(why, "too many policies wait to be compiled: "
		    "try again later", n);
		job_free(j);
		return -1;
	}
	insert(pc, j);
	pc->n++;
	if (pc->state == PC_IDLE)
		timer_in(&pc->next, 0);
	else if (pc->state == PC_LATE && !timer_pending(&pc->deadline))
		timer_in(&pc->deadline, START_US);
	return 0;
}

void
job_forget(struct dbd *d, const void *arg)
{
	struct policyc *pc = d->policyc;
	struct job *j, *next;

	TAILQ_FOREACH_SAFE(j, &pc->jobs, all, next) {
		if (j->arg != arg)
			continue;
		j->done = NULL;
		if (j == running(pc))
			continue;
		job_remove(pc, j);
		job_free(j);
	}
}

bool
job_waits(struct tailnet *tn, enum job_kind kind, bool with_running)
{
	struct policyc *pc = tn->d->policyc;
	const struct job *j;

	TAILQ_FOREACH(j, &pc->jobs, all)
		if (j->tn == tn && j->kind == kind &&
		    (with_running || j != running(pc)))
			return true;
	return false;
}

void
job_retest(struct tailnet *tn)
{
	struct policyc *pc = tn->d->policyc;
	char why[200];

	if (!job_waits(tn, JOB_RETEST, false) && (pc->untested != tn ||
	    pc->untested_version != tn->version))
		(void)job_add(job_new(tn, JOB_RETEST, UID_NONE, NULL, NULL),
		    why, sizeof(why));
}

/* The end of the job that runs; r NULL: not even an answer. */
static void
job_end(struct policyc *pc, struct job_result *r)
{
	struct job *j = asked(pc);

	timer_stop(&pc->deadline);
	pc->link = NULL;
	pc->state = PC_IDLE;
	pc->last = j->kind;
	job_remove(pc, j);
	policy_done(j, r);
	if (j->done != NULL)
		j->done(r, j->arg);
	job_free(j);
	if (!TAILQ_EMPTY(&pc->jobs))
		timer_in(&pc->next, 0);
}

static void
retry(struct policyc *pc)
{
	if (timer_pending(&pc->again))
		return;
	timer_in(&pc->again, pc->retry_us);
	pc->retry_us = pc->retry_us < RETRY_MAX_US / 2 ? 2 * pc->retry_us :
	    RETRY_MAX_US;
}

static void
job_fail(struct policyc *pc, const char *why)
{
	const struct job *j = asked(pc);
	bool again = j->uid == UID_NONE && j->kind != JOB_RETEST;
	struct job_result r;
	char text[700];

	if (j->kind == JOB_RETEST) {
		pc->untested = j->tn;
		pc->untested_version = j->version;
	}
	/* Once it runs, most likely a limit of master's has ended it. */
	(void)snprintf(text, sizeof(text), "%s%s", why,
	    pc->state == PC_BUSY ? " (it has 30 s and 512 MB: fewer rules "
	    "or tests need less)" : "");
	memset(&r, 0, sizeof(r));
	r.died = true;
	r.text = slice_str(text);
	log_warnx("policy: %s", text);
	job_end(pc, &r);
	/* What the server wants is wanted still. */
	if (again)
		retry(pc);
}

/* What policyc is told. */

static void
send_text(struct link *l, const struct buf *text, bool was)
{
	struct msg m;
	size_t at, n;

	for (at = 0; at < text->n; at += n) {
		n = text->n - at < PART_OCTETS ? text->n - at : PART_OCTETS;
		msg_init(&m, M_POL_TEXT);
		m.u.pol_text.was = was;
		m.u.pol_text.octets = slice_mem(text->p + at, n);
		link_send(l, &m);
	}
}

static void
send_users(struct link *l, const struct tailnet *tn)
{
	const struct user *u;
	struct msg m;

	TAILQ_FOREACH(u, &tn->users, all) {
		msg_init(&m, M_POL_USER);
		m.u.pol_user.id = u->r.id;
		m.u.pol_user.name = u->r.name;
		if (u->r.name.n != 0 &&
		    memchr(u->r.name.p, '@', u->r.name.n) != NULL)
			m.u.pol_user.email = u->r.name;
		m.u.pol_user.role = u->r.role;
		link_send(l, &m);
	}
}

static void
send_nodes(struct link *l, const struct tailnet *tn)
{
	struct buf b = { NULL, 0, 0 };
	struct routeset there;
	const struct node *n;
	struct msg_list it;
	struct r_route r;
	struct msg m;

	TAILQ_FOREACH(n, &tn->nodes, all) {
		msg_init(&m, M_POL_NODE);
		m.u.pol_node.id = n->r.id;
		m.u.pol_node.user = n->r.user;
		m.u.pol_node.name = n->r.name;
		m.u.pol_node.tags = n->r.tags;
		m.u.pol_node.ip4 = n->r.ip4;
		m.u.pol_node.ip6 = n->r.ip6;
		buf_clear(&b);
		it = n->r.approved;
		routeset_of(&there, &n->r.hostinfo.routes);
		while (msg_list_next(&it, MR_ROUTE, &r))
			if (routeset_has(&there, &r.v))
				msg_list_add(&m.u.pol_node.approved, &b,
				    MR_ROUTE, &r);
		routeset_free(&there);
		msg_list_close(&m.u.pol_node.approved, &b);
		link_send(l, &m);
	}
	buf_free(&b);
}

/* Most policies have no tests, and most tailnets more nodes than rules. */
static bool
nodes_later(const struct job *j)
{
	return j->kind == JOB_SET || j->kind == JOB_CHECK;
}

static void
send_go(struct link *l)
{
	struct msg m;

	msg_init(&m, M_POL_GO);
	(void)link_request(l, &m, NULL, 0);
}

static void
send_conf(struct link *l, const struct job *j)
{
	static const uint8_t what[] = { [JOB_SET] = 1, [JOB_CHECK] = 1,
	    [JOB_TEST] = 2, [JOB_WHY] = 3, [JOB_DIFF] = 4, [JOB_AGAIN] = 1,
	    [JOB_RETEST] = 2 };
	const struct dbd_conf *c = &j->tn->d->conf;
	struct msg m;

	msg_init(&m, M_POL_CONF);
	m.u.pol_conf.what = what[j->kind];
	m.u.pol_conf.domains = c->domains;
	m.u.pol_conf.range4 = c->prefix4;
	m.u.pol_conf.range6 = c->prefix6;
	m.u.pol_conf.src = slice_str(j->src);
	m.u.pol_conf.dst = slice_str(j->dst);
	m.u.pol_conf.port = j->port;
	m.u.pol_conf.lines = j->lines;
	m.u.pol_conf.stored = j->kind == JOB_AGAIN ||
	    j->kind == JOB_RETEST || j->kind == JOB_WHY;
	m.u.pol_conf.later = nodes_later(j);
	link_send(l, &m);
}

/* Life of a policyc. */

static void
on_next(void *arg)
{
	struct policyc *pc = arg;

	if (env_ended(pc->d->env) || pc->state != PC_IDLE ||
	    TAILQ_EMPTY(&pc->jobs))
		return;
	pc->state = PC_ASKED;
	timer_in(&pc->deadline, START_US);
	pc->d->ops.start_policyc(pc->d->ops.arg);
}

static void
on_deadline(void *arg)
{
	struct policyc *pc = arg;
	struct link *l = pc->link;

	if (env_ended(pc->d->env))
		return;
	if (pc->state == PC_LATE) {
		if (TAILQ_EMPTY(&pc->jobs))
			return;
		pc->state = PC_ASKED;
	}
	job_fail(pc, l == NULL ? "the policy compiler does not start" :
	    "the policy compiler took too long");
	if (l != NULL) {
		link_violation(l, LINK_DEADLINE);
		return;
	}
	/*
	 * Master's answer is still to come: were it asked once more, that
	 * would be taken for the answer to the next job.
	 */
	pc->state = PC_LATE;
	if (!TAILQ_EMPTY(&pc->jobs))
		timer_in(&pc->deadline, START_US);
}

static void
on_again(void *arg)
{
	struct policyc *pc = arg;

	if (!env_ended(pc->d->env))
		policy_again(pc->d);
}

void
policyc_init(struct dbd *d)
{
	struct policyc *pc;

	pc = xcalloc(1, sizeof(*pc));
	pc->d = d;
	pc->retry_us = RETRY_US;
	pc->last = JOB_SET;
	TAILQ_INIT(&pc->jobs);
	timer_init(&pc->next, d->env, on_next, pc);
	timer_init(&pc->deadline, d->env, on_deadline, pc);
	timer_init(&pc->again, d->env, on_again, pc);
	d->policyc = pc;
}

void
policyc_free(struct dbd *d)
{
	struct policyc *pc = d->policyc;
	struct job *j;

	if (pc == NULL)
		return;
	while ((j = TAILQ_FIRST(&pc->jobs)) != NULL) {
		job_remove(pc, j);
		if (j->done != NULL)
			j->done(NULL, j->arg);
		job_free(j);
	}
	timer_stop(&pc->next);
	timer_stop(&pc->deadline);
	timer_stop(&pc->again);
	free(pc);
	d->policyc = NULL;
}

void
policyc_go(struct dbd *d)
{
	struct policyc *pc = d->policyc;

	if (pc->state != PC_OFF)
		return;
	pc->state = PC_IDLE;
	if (!TAILQ_EMPTY(&pc->jobs))
		timer_in(&pc->next, 0);
}

/* Several changes in a row are one; one does not wait for a retry. */
void
policy_users_changed(struct tailnet *tn)
{
	struct policyc *pc = tn->d->policyc;
	uint64_t at = env_now(tn->d->env) + AGAIN_US;

	tn->users_gen++;
	if (tn->policy == POLICY_COMPILED &&
	    (!timer_pending(&pc->again) || pc->again.at > at))
		timer_at(&pc->again, at);
}

/* Master's answer came after all: true if a job is there for it. */
static bool
late_is_wanted(struct policyc *pc)
{
	timer_stop(&pc->deadline);
	pc->state = TAILQ_EMPTY(&pc->jobs) ? PC_IDLE : PC_ASKED;
	return pc->state == PC_ASKED;
}

void
dbd_pol_up(struct dbd *d, struct link *l)
{
	struct policyc *pc = d->policyc;
	struct job *j;

	/* Too late: nobody waits for it. */
	if (env_ended(d->env) || (pc->state != PC_ASKED &&
	    (pc->state != PC_LATE || !late_is_wanted(pc)))) {
		link_eof(l);
		return;
	}
	j = asked(pc);
	pc->state = PC_BUSY;
	pc->link = l;
	timer_in(&pc->deadline, COMPILE_US);
	j->gen = j->tn->users_gen;
	policy_prepare(j);
	send_conf(l, j);
	send_text(l, &j->text, false);
	send_text(l, &j->was, true);
	send_users(l, j->tn);
	j->nodes = !nodes_later(j);
	if (j->nodes && j->kind != JOB_AGAIN)	/* they are for tests */
		send_nodes(l, j->tn);
	send_go(l);
}

void
dbd_pol_failed(struct dbd *d, struct slice why)
{
	struct policyc *pc = d->policyc;
	char text[600];

	if (env_ended(d->env))
		return;
	if (pc->state == PC_LATE && late_is_wanted(pc)) {
		pc->state = PC_IDLE;
		timer_in(&pc->next, 0);
	}
	if (pc->state != PC_ASKED)
		return;
	(void)snprintf(text, sizeof(text), "the policy compiler cannot be "
	    "started: %.500s", log_vis(why));
	job_fail(pc, text);
}

void
dbd_pol_down(struct dbd *d, struct link *l)
{
	struct policyc *pc = d->policyc;

	if (pc == NULL || pc->link != l || env_ended(d->env))
		return;
	job_fail(pc, "the policy compiler died before it answered");
}

/* More than it was asked for, or not what it says: it is not ours any more. */
static void
broken(struct policyc *pc, enum link_why why)
{
	struct link *l = pc->link;

	job_fail(pc, "the policy compiler broke the rules");
	link_violation(l, why);
}

static void
on_part(struct policyc *pc, struct buf *b, struct slice part, size_t max)
{
	if (part.n > max - b->n) {
		broken(pc, LINK_OVERFLOW);
		return;
	}
	buf_slice(b, part);
}

static bool
wants_blob(const struct job *j)
{
	return j->kind == JOB_SET || j->kind == JOB_CHECK ||
	    j->kind == JOB_AGAIN;
}

static void
on_answer(struct policyc *pc, const struct msg *m)
{
	const struct m_pol_no *no = &m->u.pol_no;
	struct job *j = asked(pc);
	struct link *l = pc->link;
	struct job_result r;
	uint64_t size;

	memset(&r, 0, sizeof(r));
	size = m->type == M_POL_OK ? m->u.pol_ok.size : no->size;
	if (size != j->blob.n || (m->type == M_POL_OK && size == 0 &&
	    wants_blob(j))) {
		broken(pc, LINK_BAD_BODY);
		return;
	}
	if (m->type == M_POL_OK) {
		r.ok = true;
		r.out = buf_slice_of(&j->out);
	} else {
		r.tests_failed = no->tests_failed;
		r.line = no->line;
		r.column = no->column;
		r.text = no->text;
		r.detail = no->detail;
	}
	if (j->kind == JOB_AGAIN || (j->kind == JOB_SET &&
	    (r.ok || j->uid == UID_NONE)))
		pc->retry_us = RETRY_US;
	job_end(pc, &r);
	link_eof(l);		/* it has nothing more to do */
}

static void
on_nodes(struct policyc *pc)
{
	struct job *j = asked(pc);

	if (j->nodes || j->blob.n != 0) {
		broken(pc, LINK_BAD_BODY);
		return;
	}
	j->nodes = true;
	send_nodes(pc->link, j->tn);
	send_go(pc->link);
}

void
dbd_pol_msg(struct dbd *d, struct link *l, const struct msg *m)
{
	struct policyc *pc = d->policyc;
	struct job *j;

	if (env_ended(d->env) || pc->link != l)
		return;
	j = asked(pc);
	switch (m->type) {
	case M_POL_BLOB:
		on_part(pc, &j->blob, m->u.pol_blob.octets,
		    wants_blob(j) ? POL_MAX : 0);
		break;
	case M_POL_LINE:
		on_part(pc, &j->out, m->u.pol_line.octets, OUT_MAX);
		break;
	case M_POL_NODES:
		on_nodes(pc);
		break;
	case M_POL_OK:
	case M_POL_NO:
		on_answer(pc, m);
		break;
	default:
		fatalx("%s: no handler", msg_name(m->type));
	}
}
