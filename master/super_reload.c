#include <stdio.h>
#include <string.h>

#include "common/log.h"
#include "common/str.h"
#include "master/super.h"
#include "master/super_int.h"

#define CHECK_US	(10 * US_PER_S)
#define STAGE_US	(5 * US_PER_S)

static void	on_timer(void *);
static bool	begin(struct super *, uint32_t);

void
reload_init(struct super *s)
{
	timer_init(&s->reload_timer, s->env, on_timer, s);
	s->reload = RELOAD_NONE;
}

static void
tell(struct proc *p, enum msg_type type, uint32_t epoch)
{
	struct msg m;

	msg_init(&m, type);
	if (type == M_CFG_COMMIT)
		m.u.cfg_commit.epoch = epoch;
	else
		m.u.cfg_discard.epoch = epoch;
	p->super->ops.send(p, &m, p->super->ops.arg);
}

static void
kill_checkers(struct super *s)
{
	unsigned int i;

	for (i = 0; i < s->n; i++)
		if (s->procs[i].check)
			super_kill(&s->procs[i], true, "");
}

/* Who may not hold a reload up: it is replaced, not obeyed. */
static bool
is_low(const struct proc *p)
{
	return p->role == ROLE_OUT ||
	    role_rank(p->role) == role_rank(ROLE_WORKER);
}

/* Over, one way or the other; the state is clean before anyone hears of it. */
static void
end(struct super *s, bool ok, const char *why)
{
	uint32_t epoch = s->next_epoch;

	s->reload = RELOAD_NONE;
	s->next_epoch = 0;
	timer_stop(&s->reload_timer);
	kill_checkers(s);
	s->ops.outcome(epoch, ok, why, s->ops.arg);
}

static void
commit(struct super *s)
{
	struct proc *p;
	uint32_t epoch = s->next_epoch;
	unsigned int i;

	s->epoch = epoch;
	for (i = 0; i < s->n; i++) {
		p = &s->procs[i];
		if (p->check || !p->staged)
			continue;
		p->staging = p->staged = false;
		if (p->state != PROC_RUN)
			continue;	/* the next instance has it */
		p->epoch = epoch;
		tell(p, M_CFG_COMMIT, epoch);
	}
	/* Before the addresses that want them. */
	links_commit(s);
	end(s, true, "");
	super_commit(s);
	for (i = 0; i < s->n; i++) {
		p = &s->procs[i];
		if (!p->check && p->epoch != epoch)
			super_kill(p, true, "it missed the reload");
	}
}

static void
discard(struct super *s, const char *why)
{
	struct proc *p;
	unsigned int i;

	for (i = 0; i < s->n; i++) {
		p = &s->procs[i];
		if (p->check || !p->staging)
			continue;
		p->staging = p->staged = false;
		if (p->state == PROC_RUN)
			tell(p, M_CFG_DISCARD, s->next_epoch);
	}
	end(s, false, why);
}

/* Commits when nobody is waited for any more. */
static void
look(struct super *s)
{
	unsigned int i;

	if (s->reload != RELOAD_STAGE)
		return;
	for (i = 0; i < s->n; i++)
		if (s->procs[i].staging && !s->procs[i].staged)
			return;
	commit(s);
}

static void
stage_all(struct super *s)
{
	struct proc *p;
	unsigned int i;

	s->reload = RELOAD_STAGE;
	timer_in(&s->reload_timer, STAGE_US);
	kill_checkers(s);
	for (i = 0; i < s->n; i++) {
		p = &s->procs[i];
		if (p->check || p->state != PROC_RUN)
			continue;
		p->staging = true;
		p->staged = false;
		s->ops.configure(p, s->next_epoch, s->ops.arg);
		super_stage(p, s->next_epoch);
	}
}

static void
replace(struct proc *p, const char *why)
{
	p->staging = p->staged = false;
	super_kill(p, true, why);
}

static void
on_timer(void *arg)
{
	struct super *s = arg;
	struct proc *p;
	char why[SUPER_WHY];
	unsigned int i;

	if (s->reload == RELOAD_WAIT) {
		end(s, false, "the last check process does not end");
		return;
	}
	if (s->reload == RELOAD_CHECK) {
		end(s, false, "the check process did not answer");
		return;
	}
	for (i = 0; i < s->n; i++) {
		p = &s->procs[i];
		if (!p->staging || p->staged)
			continue;
		if (!is_low(p)) {
			(void)snprintf(why, sizeof(why), "%s did not answer "
			    "in time", p->name);
			discard(s, why);
			return;
		}
		replace(p, "it missed a reload");
	}
	look(s);
}

/* Each check process that was started has said yes. */
static bool
all_checked(const struct super *s)
{
	unsigned int i;

	for (i = 0; i < s->n; i++)
		if (s->procs[i].check && s->procs[i].state != PROC_DOWN &&
		    !s->procs[i].staged)
			return false;
	return true;
}

void
reload_staged(struct proc *p, const struct m_cfg_staged *m)
{
	struct super *s = p->super;
	char why[SUPER_WHY], text[sizeof(m->text) + 1];

	/* An answer to an earlier question says nothing about this one. */
	if (s->reload == RELOAD_NONE || m->epoch != s->next_epoch)
		return;
	memcpy(text, m->text, sizeof(m->text));
	text[sizeof(m->text)] = '\0';
	(void)snprintf(why, sizeof(why), "%s",
	    text[0] == '\0' ? "refused" : log_vis(slice_str(text)));
	if (p->check) {
		if (s->reload != RELOAD_CHECK)
			return;
		p->staged = m->ok;
		if (!m->ok)
			end(s, false, why);
		else if (!all_checked(s))
			return;
		else if (s->serving)
			stage_all(s);
		else
			end(s, true, "");
	} else if (m->ok) {
		p->staged = true;
		look(s);
	} else if (is_low(p)) {
		log_warnx("%s refuses a reload that a fresh process took: %s",
		    p->name, why);
		replace(p, "it refuses a reload");
		look(s);
	} else
		discard(s, why);
}

void
reload_died(struct proc *p)
{
	struct super *s = p->super;
	char why[SUPER_WHY];

	if (p->check && s->reload == RELOAD_WAIT) {
		(void)begin(s, s->next_epoch);
		return;
	}
	if (p->check && s->reload == RELOAD_CHECK) {
		end(s, false, "the check process died");
		return;
	}
	if (s->reload == RELOAD_NONE || is_low(p) || p->check) {
		p->staging = p->staged = false;
		look(s);
		return;
	}
	p->staging = p->staged = false;
	(void)snprintf(why, sizeof(why), "%s died meanwhile", p->name);
	if (s->reload == RELOAD_CHECK)
		end(s, false, why);
	else
		discard(s, why);
}

void
reload_cancel(struct super *s, const char *why)
{
	if (s->reload == RELOAD_WAIT || s->reload == RELOAD_CHECK)
		end(s, false, why);
	else if (s->reload == RELOAD_STAGE)
		discard(s, why);
}

/* True if there is something for this check process. */
static bool
looks(const struct proc *p, unsigned int wants)
{
	if (p->role == ROLE_KEYD)
		return (wants & SUPER_KEYS) != 0;
	if (p->role == ROLE_OUT)
		return (wants & SUPER_OUT) != 0;
	return true;
}

/* False: check processes are still there. */
static bool
begin(struct super *s, uint32_t epoch)
{
	unsigned int wants = super_wants(s, epoch), i;

	for (i = 0; i < s->n; i++)
		if (s->procs[i].check && s->procs[i].state != PROC_DOWN)
			return false;
	s->reload = RELOAD_CHECK;
	s->next_epoch = epoch;
	timer_in(&s->reload_timer, CHECK_US);
	/* One that cannot be started has ended the check already. */
	for (i = 0; i < s->n && s->reload == RELOAD_CHECK; i++)
		if (s->procs[i].check && looks(&s->procs[i], wants))
			super_spawn(&s->procs[i], epoch);
	return true;
}

void
super_check(struct super *s, uint32_t epoch)
{
	(void)begin(s, epoch);
}

bool
super_reload(struct super *s, uint32_t epoch, char *why, size_t whylen)
{
	struct proc *p;
	unsigned int i;

	if (s->stopping || !s->serving) {
		(void)snprintf(why, whylen, "the server %s", s->stopping ?
		    "stops" : "is not ready yet");
		return false;
	}
	if (s->reload != RELOAD_NONE) {
		(void)snprintf(why, whylen, "a reload is going on");
		return false;
	}
	for (i = 0; i < s->n; i++) {
		p = &s->procs[i];
		if (!p->check && !is_low(p) && p->state != PROC_RUN) {
			(void)snprintf(why, whylen, "%s is not running, try "
			    "again", p->name);
			return false;
		}
	}
	if (!begin(s, epoch)) {
		/* They are killed, and gone in a moment. */
		s->reload = RELOAD_WAIT;
		s->next_epoch = epoch;
		timer_in(&s->reload_timer, CHECK_US);
	}
	return true;
}

bool
super_reloading(const struct super *s)
{
	return s->reload != RELOAD_NONE;
}
