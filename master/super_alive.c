#include <stdio.h>

#include "common/log.h"
#include "master/super.h"
#include "master/super_int.h"

static void
ask(struct proc *p)
{
	struct super *s = p->super;
	struct msg m;

	if (++s->asks == 0)
		s->asks = 1;
	p->asked = s->asks;
	msg_init(&m, M_CFG_ALIVE_ASK);
	m.u.cfg_alive_ask.number = p->asked;
	s->ops.send(p, &m, s->ops.arg);
}

static void
on_alive(void *arg)
{
	struct proc *p = arg;
	char why[SUPER_WHY];

	if (p->asked != 0 && ++p->silent == SUPER_ASK_MAX) {
		(void)snprintf(why, sizeof(why), "it has not answered for "
		    "%llu s", SUPER_ASK_MAX * SUPER_ASK_US / US_PER_S);
		super_kill(p, false, why);
		return;
	}
	if (p->asked == 0)
		ask(p);
	else
		super_look_away(p);
	timer_in_s(&p->alive_timer, SUPER_ASK_US / US_PER_S);
}

void
alive_init(struct proc *p)
{
	timer_init(&p->alive_timer, p->super->env, on_alive, p);
}

void
alive_start(struct proc *p)
{
	p->asked = p->silent = 0;
	timer_in_s(&p->alive_timer, SUPER_ASK_US / US_PER_S);
}

void
alive_stop(struct proc *p)
{
	p->asked = p->silent = 0;
	timer_stop(&p->alive_timer);
}

void
alive_answer(struct proc *p, uint32_t number)
{
	/* By an answer to another question nobody has shown to be there. */
	if (number == 0 || number != p->asked)
		return;
	if (p->away && p->silent != 0)
		log_info("%s answers again", p->name);
	p->asked = p->silent = 0;
	super_look_away(p);
}
