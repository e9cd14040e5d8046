#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/str.h"
#include "regress/lib/superkit.h"

static bool
on_spawn(struct proc *p, void *arg)
{
	struct su_world *w = arg;

	w->spawns++;
	proc_set_tag(p, w, 1000 + w->spawns);
	return p != w->fail;
}

static void
on_kill(struct proc *p, void *arg)
{
	struct su_world *w = arg;

	w->kills++;
	w->killed = p;
}

static void
on_send(struct proc *p, const struct msg *m, void *arg)
{
	struct su_world *w = arg;
	struct su_sent *s = &w->sent[w->nsent++];

	assert_true(w->nsent < SENT_MAX);
	memset(s, 0, sizeof(*s));
	s->to = p;
	s->type = m->type;
	s->id = m->id;
	s->fd = m->fd;
	switch (m->type) {
	case M_CFG_STAGE:
		s->value = m->u.cfg_stage.epoch;
		break;
	case M_CFG_COMMIT:
		s->value = m->u.cfg_commit.epoch;
		break;
	case M_CFG_DISCARD:
		s->value = m->u.cfg_discard.epoch;
		break;
	case M_CFG_SLOT:
		s->value = m->u.cfg_slot.slot;
		s->flag = m->u.cfg_slot.down;
		break;
	case M_CFG_LINK:
		s->value = (uint32_t)(m->u.cfg_link.link << 16 |
		    m->u.cfg_link.role << 8 | m->u.cfg_link.slot);
		s->generation = m->u.cfg_link.generation;
		break;
	case M_CFG_ALIVE_ASK:
		s->value = m->u.cfg_alive_ask.number;
		if (p != w->hangs)
			su_alive(w, p, s->value);
		break;
	case M_CFG_CTL_DONE:
		s->flag = m->u.cfg_ctl_done.ok;
		break;
	case M_CFG_CTL_ROW:
		s->value = m->u.cfg_ctl_row.pid;
		s->health = (enum proc_health)m->u.cfg_ctl_row.state;
		s->generation = m->u.cfg_ctl_row.streams;
		s->conns = m->u.cfg_ctl_row.conns;
		s->counts = m->u.cfg_ctl_row.counts;
		break;
	default:
		break;
	}
}

static bool
on_pair(int fd[2], void *arg)
{
	struct su_world *w = arg;

	fd[0] = w->next_fd++;
	fd[1] = w->next_fd++;
	return true;
}

static void
on_configure(struct proc *p, uint32_t epoch, void *arg)
{
	struct su_world *w = arg;

	if (proc_is_check(p) && proc_role(p) == ROLE_KEYD)
		w->check_keyd = p;
	else if (proc_is_check(p) && proc_role(p) == ROLE_OUT)
		w->check_out = p;
	else if (proc_is_check(p))
		w->check = p;
	else if (proc_role(p) == ROLE_STUN)
		w->stun = p;
	else if (proc_role(p) == ROLE_OUT)
		w->out = p;
	w->configured = epoch;
}

static void
on_serving(void *arg)
{
	((struct su_world *)arg)->serving++;
}

static void
on_outcome(uint32_t epoch, bool ok, const char *why, void *arg)
{
	struct su_world *w = arg;

	w->outcomes++;
	w->outcome_epoch = epoch;
	w->outcome_ok = ok;
	strlcpy(w->outcome_why, why, sizeof(w->outcome_why));
}

static void
on_stopped(int code, const char *why, void *arg)
{
	struct su_world *w = arg;

	w->stops++;
	w->stop_code = code;
	strlcpy(w->stop_why, why, sizeof(w->stop_why));
}

void
su_seat(struct proc *p, struct proc **keyd, struct proc **dbd,
    struct proc **worker)
{
	if (proc_is_check(p))
		return;
	if (proc_role(p) == ROLE_KEYD)
		*keyd = p;
	else if (proc_role(p) == ROLE_DBD)
		*dbd = p;
	else if (proc_role(p) == ROLE_WORKER)
		worker[proc_slot(p)] = p;
}

static void
on_seat(struct proc *p, void *arg)
{
	struct su_world *w = arg;

	su_seat(p, &w->keyd, &w->dbd, w->worker);
}

static void
on_log(int level, const char *line, void *arg)
{
	(void)level;
	strlcpy(((struct su_world *)arg)->log, line,
	    sizeof(((struct su_world *)arg)->log));
}

void
su_staged(struct su_world *w, struct proc *p, uint32_t epoch, const char *why)
{
	struct msg m;

	msg_init(&m, M_CFG_STAGED);
	m.u.cfg_staged.epoch = epoch;
	m.u.cfg_staged.ok = why == NULL;
	if (why != NULL)
		memcpy(m.u.cfg_staged.text, why, strlen(why));
	super_msg(w->super, p, &m);
}

void
su_alive(struct su_world *w, struct proc *p, uint32_t number)
{
	struct msg m;

	msg_init(&m, M_CFG_ALIVE_OK);
	m.u.cfg_alive_ok.number = number;
	super_msg(w->super, p, &m);
}

void
su_ready(struct su_world *w, struct proc *p)
{
	struct msg m;

	msg_init(&m, M_CFG_READY);
	super_msg(w->super, p, &m);
}

void
su_died(struct su_world *w, struct proc *p)
{
	super_died(w->super, p, "signal 9");
}

void
su_advance(struct su_world *w, uint64_t ms)
{
	fakeenv_advance(w->fake, MS(ms));
}

unsigned int
su_count(const struct su_world *w, unsigned int mark, const struct proc *p,
    enum msg_type type)
{
	unsigned int i, n = 0;

	for (i = mark; i < w->nsent; i++)
		if (w->sent[i].type == type &&
		    (p == NULL || w->sent[i].to == p))
			n++;
	return n;
}

const struct su_sent *
su_last(const struct su_world *w, const struct proc *p, enum msg_type type)
{
	unsigned int i;

	for (i = w->nsent; i > 0; i--)
		if (w->sent[i - 1].type == type && w->sent[i - 1].to == p)
			return &w->sent[i - 1];
	return NULL;
}

static bool
on_spawn_policyc(struct proc *p, int *fd, void *arg)
{
	struct su_world *w = arg;

	if (w->fail == p)
		return false;
	w->policyc = p;
	w->spawns++;
	*fd = w->next_fd++;
	return true;
}

static unsigned int
on_wants(uint32_t epoch, void *arg)
{
	struct su_world *w = arg;

	return w->wants_from != 0 && epoch >= w->wants_from ? w->wants : 0;
}

int
su_setup(void **state)
{
	struct super_ops ops = {
		on_spawn, on_kill, on_send, on_pair, on_configure, on_serving,
		on_outcome, on_stopped, on_spawn_policyc, on_wants, NULL
	};
	struct su_world *w;

	w = calloc(1, sizeof(*w));
	if (w == NULL)
		return -1;
	ops.arg = w;
	w->fake = fakeenv_new(1);
	w->super = super_new(fakeenv_env(w->fake), WORKERS, 77, &ops);
	super_each(w->super, on_seat, w);
	log_capture(on_log, w);
	*state = w;
	return 0;
}

int
su_teardown(void **state)
{
	struct su_world *w = *state;

	log_capture(NULL, NULL);
	super_free(w->super);
	assert_int_equal(env_timers(fakeenv_env(w->fake)), 0);
	fakeenv_free(w->fake);
	free(w);
	return 0;
}

struct su_world *
su_serving(void **state)
{
	struct su_world *w = *state;
	unsigned int i;

	super_start(w->super, 1);
	su_ready(w, w->keyd);
	su_ready(w, w->dbd);
	for (i = 1; i <= WORKERS; i++)
		su_ready(w, w->worker[i]);
	assert_int_equal(w->serving, 1);
	return w;
}

