/*
 * The policy compiler: started for dbd and for one job, never again by
 * itself.
 */

#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "master/super.h"
#include "master/super_int.h"

static void
on_late(void *arg)
{
	struct proc *p = arg;

	if (p->state == PROC_RUN) {
		p->excused = false;
		compiler_kill(p->super, "it takes too long");
	}
}

void
compiler_init(struct super *s)
{
	struct proc *p = &s->policyc;

	p->super = s;
	p->role = ROLE_POLICYC;
	(void)snprintf(p->name, sizeof(p->name), "%s", role_name(p->role));
	timer_init(&p->timer, s->env, on_late, p);
}

/* The dbd that asked, if it still runs. */
static struct proc *
asker(struct super *s)
{
	struct proc *p = s->policyc_for;

	if (p == NULL || p->generation != s->policyc_gen ||
	    p->state != PROC_RUN)
		return NULL;
	return p;
}

static void
answer(struct super *s, const char *why)
{
	struct proc *to = asker(s);
	struct msg m;

	s->policyc_for = NULL;
	if (to == NULL)
		return;
	msg_init(&m, M_CFG_CTL_DONE);
	m.id = s->policyc_id;
	m.u.cfg_ctl_done.ok = why == NULL;
	m.u.cfg_ctl_done.text = slice_str(why);
	s->ops.send(to, &m, s->ops.arg);
}

static void
start(struct super *s)
{
	struct proc *p = &s->policyc;
	struct msg m;
	int fd;

	if (asker(s) == NULL || s->stopping) {
		answer(s, "the server stops");
		return;
	}
	p->generation = ++s->generation;
	p->since = env_now(s->env);
	p->starts++;
	p->excused = false;
	if (s->ops.spawn_policyc == NULL ||
	    !s->ops.spawn_policyc(p, &fd, s->ops.arg)) {
		answer(s, "master cannot start it: see the log");
		return;
	}
	p->state = PROC_RUN;
	timer_in(&p->timer, SUPER_POLICYC_US);
	msg_init(&m, M_CFG_LINK);
	m.fd = fd;
	m.u.cfg_link.link = LINK_POL;
	m.u.cfg_link.role = ROLE_POLICYC;
	m.u.cfg_link.generation = p->generation;
	s->ops.send(s->policyc_for, &m, s->ops.arg);
	answer(s, NULL);
}

void
compiler_request(struct proc *dbd, uint32_t id)
{
	struct super *s = dbd->super;

	s->policyc_for = dbd;
	s->policyc_gen = dbd->generation;
	s->policyc_id = id;
	if (s->policyc.state == PROC_DOWN) {
		start(s);
		return;
	}
	/* Its job is over, or nobody waits for it any more. */
	compiler_kill(s, NULL);
}

void
compiler_kill(struct super *s, const char *why)
{
	struct proc *p = &s->policyc;

	if (p->state != PROC_RUN)
		return;
	if (why != NULL)
		log_warnx("%s is killed pid=%u: %s", p->name, p->pid, why);
	else
		p->excused = true;
	p->state = PROC_KILLED;
	timer_stop(&p->timer);
	s->ops.kill(p, s->ops.arg);
}

void
compiler_died(struct super *s, const char *how)
{
	struct proc *p = &s->policyc;

	if (p->state == PROC_DOWN)
		return;
	if (p->state == PROC_RUN && strcmp(how, "exit 0") != 0)
		log_warnx("%s died pid=%u how=\"%s\"", p->name, p->pid, how);
	else
		log_debug("%s ended pid=%u how=\"%s\"", p->name, p->pid, how);
	p->state = PROC_DOWN;
	timer_stop(&p->timer);
	if (s->policyc_for != NULL)
		start(s);
}
