#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/ids.h"
#include "common/log.h"
#include "common/str.h"
#include "master/super.h"
#include "master/super_int.h"
#include "master/util.h"

#define AWAY_US		US_PER_S
#define STOP_KILL_US	(1500 * US_PER_MS)
#define STOP_OVER_US	(500 * US_PER_MS)
/* dbd may have a schema to bring up to date: nobody hurries it. */
#define READY_US	(60 * US_PER_S)
#define ENDING_US	US_PER_S
#define STORM_US	(10 * US_PER_S)
#define STORM_DELAY_US	US_PER_S
/* Deaths before READY that end the first start. */
#define FIRST_FAILS	3

static void	on_timer(void *);
static void	on_away(void *);
static void	on_stop_timer(void *);

static void
seat(struct super *s, enum role role, uint16_t slot, bool check)
{
	struct proc *p = &s->procs[s->n++];

	p->super = s;
	p->role = role;
	p->slot = slot;
	p->check = check;
	if (check && role != ROLE_WORKER)
		(void)snprintf(p->name, sizeof(p->name), "check %s",
		    role_name(role));
	else if (check)
		(void)snprintf(p->name, sizeof(p->name), "check");
	else if (role == ROLE_OUT)
		(void)snprintf(p->name, sizeof(p->name), "fetch %s",
		    role_name(role));
	else if (slot != 0)
		(void)snprintf(p->name, sizeof(p->name), "%s %u",
		    role_name(role), slot);
	else
		(void)snprintf(p->name, sizeof(p->name), "%s",
		    role_name(role));
	timer_init(&p->timer, s->env, on_timer, p);
	timer_init(&p->away_timer, s->env, on_away, p);
	alive_init(p);
}

struct super *
super_new(struct env *env, unsigned int workers, uint32_t pid,
    const struct super_ops *ops)
{
	struct super *s;
	unsigned int i;

	s = xcalloc(1, sizeof(*s));
	s->env = env;
	s->ops = *ops;
	s->pid = pid;
	s->procs = xcalloc(workers + 7, sizeof(*s->procs));
	LIST_INIT(&s->mends);
	seat(s, ROLE_KEYD, 0, false);
	seat(s, ROLE_DBD, 0, false);
	for (i = 1; i <= workers; i++)
		seat(s, ROLE_WORKER, (uint16_t)i, false);
	seat(s, ROLE_STUN, 0, false);
	s->procs[s->n - 1].off = true;
	seat(s, ROLE_OUT, 0, false);
	s->procs[s->n - 1].off = true;
	seat(s, ROLE_KEYD, 0, true);
	seat(s, ROLE_OUT, 0, true);
	seat(s, ROLE_WORKER, 1, true);
	/* A later master begins higher, unless a clock goes backwards. */
	s->generation = (uint64_t)env_wall(env) << 20;
	s->born = env_now(env);
	timer_init(&s->stop_timer, env, on_stop_timer, s);
	compiler_init(s);
	reload_init(s);
	return s;
}

void
super_free(struct super *s)
{
	unsigned int i;

	if (s == NULL)
		return;
	for (i = 0; i < s->n; i++) {
		timer_stop(&s->procs[i].timer);
		timer_stop(&s->procs[i].away_timer);
		alive_stop(&s->procs[i]);
	}
	timer_stop(&s->stop_timer);
	timer_stop(&s->reload_timer);
	timer_stop(&s->policyc.timer);
	links_free(s);
	free(s->procs);
	free(s);
}

bool
super_listens(const struct proc *p)
{
	return p->state == PROC_STARTING || p->state == PROC_READY ||
	    p->state == PROC_RUN;
}

unsigned int
super_wants(struct super *s, uint32_t epoch)
{
	return s->ops.wants == NULL ? 0 : s->ops.wants(epoch, s->ops.arg);
}

static void
send(struct proc *p, struct msg *m)
{
	p->super->ops.send(p, m, p->super->ops.arg);
}

static void
send_plain(struct proc *p, enum msg_type type)
{
	struct msg m;

	msg_init(&m, type);
	send(p, &m);
}

/* Slots that are away. */

static void
tell_slot(struct proc *to, const struct proc *p, bool down)
{
	struct msg m;

	if (to == p || to->role != ROLE_WORKER || to->check ||
	    to->state != PROC_RUN)
		return;
	msg_init(&m, M_CFG_SLOT);
	m.u.cfg_slot.slot = p->slot;
	m.u.cfg_slot.down = down;
	send(to, &m);
}

static void
tell_siblings(const struct proc *p, bool down)
{
	struct super *s = p->super;
	unsigned int i;

	for (i = 0; i < s->n; i++)
		tell_slot(&s->procs[i], p, down);
}

static void
on_away(void *arg)
{
	struct proc *p = arg;

	p->away = true;
	log_info("%s %s: its siblings do it", p->name, p->silent != 0 ?
	    "does not answer, and accepts nothing" : "accepts nothing");
	tell_siblings(p, true);
}

void
super_look_away(struct proc *p)
{
	bool served = p->state == PROC_RUN && !p->paused && p->silent == 0;

	if (p->role != ROLE_WORKER || p->check || !p->super->serving)
		return;
	if (!served) {
		if (!p->away && !timer_pending(&p->away_timer))
			timer_in(&p->away_timer, AWAY_US);
		return;
	}
	timer_stop(&p->away_timer);
	if (!p->away)
		return;
	p->away = false;
	tell_siblings(p, false);
}

/* Starting. */

void
super_stage(struct proc *p, uint32_t epoch)
{
	struct msg m;

	msg_init(&m, M_CFG_STAGE);
	m.u.cfg_stage.epoch = epoch;
	send(p, &m);
}

void
super_spawn(struct proc *p, uint32_t epoch)
{
	struct super *s = p->super;

	if (p->epoch != epoch)
		p->refusals = 0;
	p->generation = ++s->generation;
	p->epoch = epoch;
	p->since = env_now(s->env);
	p->starts++;
	p->was_ready = p->excused = p->staging = p->staged = false;
	p->paused = false;
	p->streams = p->sessions = p->conns = 0;
	memset(&p->counts, 0, sizeof(p->counts));
	p->state = PROC_STARTING;
	if (!s->ops.spawn(p, s->ops.arg)) {
		super_died(s, p, "it cannot be started");
		return;
	}
	s->ops.configure(p, epoch, s->ops.arg);
	if (!p->check && !links_join(p)) {
		super_kill(p, false, "it cannot be linked");
		return;
	}
	super_stage(p, epoch);
	if (p->role != ROLE_DBD)
		timer_in(&p->timer, READY_US);
}

void
super_start(struct super *s, uint32_t epoch)
{
	unsigned int i;

	s->epoch = epoch;
	s->wanted = super_wants(s, epoch);
	for (i = 0; i < s->n; i++)
		if (s->procs[i].role == ROLE_STUN)
			s->procs[i].off = (s->wanted & SUPER_STUN) == 0;
		else if (s->procs[i].role == ROLE_OUT)
			s->procs[i].off = (s->wanted & SUPER_OUT) == 0;
	for (i = 0; i < s->n && !s->stopping; i++)
		if (!s->procs[i].check && !s->procs[i].off)
			super_spawn(&s->procs[i], epoch);
}

/* It has nothing that it would have to bring to an end. */
static void
dismiss(struct proc *p)
{
	p->off = true;
	if (p->state == PROC_KILLED)
		return;
	timer_stop(&p->timer);
	log_info("%s is not wanted any more", p->name);
	if (p->state == PROC_DOWN)
		return;
	p->state = PROC_KILLED;
	p->excused = true;
	p->super->ops.kill(p, p->super->ops.arg);
}

void
super_commit(struct super *s)
{
	bool want = (s->wanted & SUPER_OUT) != 0;
	struct proc *p;
	unsigned int i;

	for (i = 0; i < s->n; i++) {
		p = &s->procs[i];
		if (p->role != ROLE_OUT || p->check || p->off == !want)
			continue;
		if (!want) {
			dismiss(p);
			continue;
		}
		p->off = false;
		p->fails = p->refusals = 0;
		/* The end of an earlier one starts it. */
		if (p->state == PROC_DOWN)
			super_spawn(p, s->epoch);
	}
}

static void
run(struct proc *p)
{
	struct super *s = p->super;
	unsigned int i;

	p->state = PROC_RUN;
	send_plain(p, M_CFG_START);
	if (p->role != ROLE_WORKER)
		return;
	for (i = 0; i < s->n; i++)
		if (s->procs[i].away)
			tell_slot(p, &s->procs[i], true);
	alive_start(p);
}

static void
on_ready(struct proc *p)
{
	struct super *s = p->super;
	unsigned int i;

	if (p->state != PROC_STARTING || p->check)
		return;
	timer_stop(&p->timer);
	p->was_ready = true;
	p->fails = p->refusals = 0;
	p->state = PROC_READY;
	log_debug("%s ready pid=%u generation=%llu", p->name, p->pid,
	    (unsigned long long)p->generation);
	if (s->serving) {
		run(p);
		super_look_away(p);
		return;
	}
	for (i = 0; i < s->n; i++)
		if (!s->procs[i].check && !s->procs[i].off &&
		    s->procs[i].state != PROC_READY)
			return;
	s->serving = true;
	for (i = 0; i < s->n; i++)
		if (!s->procs[i].check && !s->procs[i].off)
			run(&s->procs[i]);
	s->ops.serving(s->ops.arg);
}

/* The end. */

static void
finish(struct super *s)
{
	unsigned int i;

	if (s->over)
		return;
	s->over = true;
	timer_stop(&s->stop_timer);
	timer_stop(&s->policyc.timer);
	links_stop(s);
	for (i = 0; i < s->n; i++) {
		timer_stop(&s->procs[i].timer);
		timer_stop(&s->procs[i].away_timer);
		alive_stop(&s->procs[i]);
	}
	s->ops.stopped(s->code, s->why, s->ops.arg);
}

static bool
all_down(const struct super *s)
{
	unsigned int i;

	for (i = 0; i < s->n; i++)
		if (s->procs[i].state != PROC_DOWN)
			return false;
	return true;
}

/* Not from here: whoever called has still to unwind. */
static void
finish_soon(struct super *s)
{
	s->killing = true;
	timer_in(&s->stop_timer, 0);
}

static void
on_stop_timer(void *arg)
{
	struct super *s = arg;
	unsigned int i;

	if (s->killing) {
		finish(s);
		return;
	}
	s->killing = true;
	timer_in(&s->stop_timer, STOP_OVER_US);
	for (i = 0; i < s->n; i++)
		if (super_listens(&s->procs[i]))
			super_kill(&s->procs[i], true, "it does not stop");
		else if (s->procs[i].state == PROC_KILLED)
			s->ops.kill(&s->procs[i], s->ops.arg);
}

void
super_stop(struct super *s)
{
	unsigned int i;

	if (s->stopping)
		return;
	s->stopping = true;
	reload_cancel(s, "the server stops");
	compiler_kill(s, NULL);
	for (i = 0; i < s->n; i++) {
		timer_stop(&s->procs[i].timer);
		timer_stop(&s->procs[i].away_timer);
		alive_stop(&s->procs[i]);
		if (super_listens(&s->procs[i]))
			send_plain(&s->procs[i], M_CFG_STOP);
	}
	if (all_down(s))
		finish_soon(s);
	else
		timer_in(&s->stop_timer, STOP_KILL_US);
}

/* The first start failed: there is nothing to keep up. */
static void
give_up(struct super *s, const char *why)
{
	if (s->stopping)
		return;
	s->code = 1;
	(void)strlcpy(s->why, why, sizeof(s->why));
	super_stop(s);
}

/* Dying. */

void
super_kill(struct proc *p, bool excused, const char *why)
{
	struct super *s = p->super;

	if (!super_listens(p))
		return;
	if (!p->check)
		log_warnx("%s is killed pid=%u: %s", p->name, p->pid, why);
	p->state = PROC_KILLED;
	p->excused = excused;
	timer_stop(&p->timer);
	alive_stop(p);
	s->ops.kill(p, s->ops.arg);
	super_look_away(p);
}

/* When to start it again, in microseconds (architecture.md 5). */
static uint64_t
delay(struct proc *p)
{
	static const unsigned int steps[] = { 200, 1000, 5000, 30000, 60000 };
	uint64_t now = env_now(p->super->env), third;
	unsigned int k;

	if (p->was_ready) {
		third = p->deaths[0];
		p->deaths[0] = p->deaths[1];
		p->deaths[1] = now;
		return third != 0 && now - third <= STORM_US ?
		    STORM_DELAY_US : 0;
	}
	if (p->excused)
		return 0;
	k = p->fails < NITEMS(steps) ? p->fails : NITEMS(steps) - 1;
	p->fails++;
	return steps[k] * US_PER_MS;
}

void
super_died(struct super *s, struct proc *p, const char *how)
{
	char why[SUPER_WHY];
	uint64_t after;

	if (p == &s->policyc) {
		compiler_died(s, how);
		return;
	}
	if (p->state == PROC_DOWN)
		return;
	if (p->role == ROLE_DBD)
		compiler_kill(s, NULL);
	p->state = PROC_DOWN;
	timer_stop(&p->timer);
	alive_stop(p);
	p->streams = p->sessions = p->conns = 0;
	memset(&p->counts, 0, sizeof(p->counts));
	if (s->stopping) {
		if (all_down(s))
			finish_soon(s);
		return;
	}
	if (p->check) {
		reload_died(p);
		return;
	}
	if (p->off)
		return;
	after = delay(p);
	log_warnx("%s died pid=%u how=\"%s\" ready=%s: starts again in %llu "
	    "ms", p->name, p->pid, how, p->was_ready ? "yes" : "no",
	    (unsigned long long)(after / US_PER_MS));
	if (!s->serving && p->fails >= FIRST_FAILS) {
		(void)snprintf(why, sizeof(why), "%s does not start (%s)",
		    p->name, how);
		give_up(s, why);
		return;
	}
	super_look_away(p);
	reload_died(p);
	if (p->state == PROC_DOWN && !timer_pending(&p->timer))
		timer_in(&p->timer, after);
}

static void
on_timer(void *arg)
{
	struct proc *p = arg;

	if (p->state == PROC_DOWN)
		super_spawn(p, p->super->epoch);
	else if (p->state == PROC_KILLED) {
		log_warnx("%s closed its link and lives on pid=%u", p->name,
		    p->pid);
		p->super->ops.kill(p, p->super->ops.arg);
	} else
		super_kill(p, false, "it is not ready after 60 s");
}

void
super_link_down(struct super *s, struct proc *p, enum link_why why)
{
	if (why != LINK_EOF) {
		super_kill(p, false, link_why_text(why));
		return;
	}
	/* It is ending; who only says so has a second. */
	if (!super_listens(p))
		return;
	p->state = PROC_KILLED;
	alive_stop(p);
	if (!s->stopping)
		timer_in(&p->timer, ENDING_US);
	super_look_away(p);
}

void
super_fail(struct super *s, struct proc *p, const char *why)
{
	super_kill(p, false, why);
	if (!s->serving)
		give_up(s, why);
}

/* Messages. */

struct proc *
super_find(struct super *s, unsigned int role, uint16_t slot,
    uint64_t generation)
{
	struct proc *p;
	unsigned int i;

	for (i = 0; i < s->n; i++) {
		p = &s->procs[i];
		if (!p->check && p->role == role && p->slot == slot &&
		    p->generation == generation && p->state != PROC_DOWN)
			return p;
	}
	p = &s->policyc;
	return role == p->role && generation == p->generation &&
	    p->state == PROC_RUN ? p : NULL;
}

/* trust.md 1: a report counts only against a strictly lower rank. */
static void
on_blame(struct proc *p, const struct m_cfg_blame *b)
{
	struct proc *bad;
	char why[96];

	if (links_report(p, b))
		return;
	if (b->role == ROLE_NONE || b->role >= ROLE_MAX ||
	    role_rank((enum role)b->role) <= role_rank(p->role)) {
		/* An honest one ends itself, or drops an equal's link. */
		super_kill(p, false, "it accuses one who is not below it");
		return;
	}
	bad = super_find(p->super, b->role, b->slot, b->generation);
	if (bad == NULL) {
		log_info("%s accuses %s slot=%u generation=%llu, which is gone",
		    p->name, role_name(b->role), b->slot,
		    (unsigned long long)b->generation);
		return;
	}
	(void)snprintf(why, sizeof(why), "%s says: %s", p->name,
	    link_why_text((enum link_why)b->why));
	if (bad == &p->super->policyc)
		compiler_kill(p->super, why);
	else
		super_kill(bad, false, why);
}

static void
on_staged(struct proc *p, const struct m_cfg_staged *m)
{
	struct super *s = p->super;
	char why[SUPER_WHY], text[sizeof(m->text) + 1];

	if (p->check || (p->state == PROC_RUN && p->staging)) {
		reload_staged(p, m);
		return;
	}
	if (m->ok || p->state != PROC_STARTING || m->epoch != p->epoch)
		return;
	memcpy(text, m->text, sizeof(m->text));
	text[sizeof(m->text)] = '\0';
	(void)snprintf(why, sizeof(why), "%s", log_vis(slice_str(text)));
	if (!s->serving) {
		give_up(s, why);
		return;
	}
	p->refusals++;
	log_warnx("%s refuses its configuration: %s", p->name, why);
	super_kill(p, false, "it refuses its configuration");
}

static enum proc_health
health(const struct proc *p)
{
	if (p->state == PROC_DOWN)
		return HEALTH_DOWN;
	if (p->state != PROC_RUN)
		return HEALTH_STARTING;
	if (p->silent != 0)
		return HEALTH_SILENT;
	return p->paused ? HEALTH_FULL : HEALTH_READY;
}

static void
send_row(struct proc *to, uint32_t id, const struct proc *p)
{
	struct super *s = to->super;
	struct msg m;

	msg_init(&m, M_CFG_CTL_ROW);
	m.id = id;
	m.u.cfg_ctl_row.role = (uint8_t)p->role;
	m.u.cfg_ctl_row.slot = p->slot;
	m.u.cfg_ctl_row.generation = p->generation;
	m.u.cfg_ctl_row.pid = p->pid;
	m.u.cfg_ctl_row.starts = p->starts;
	m.u.cfg_ctl_row.streams = p->streams;
	m.u.cfg_ctl_row.sessions = p->sessions;
	m.u.cfg_ctl_row.conns = p->conns;
	m.u.cfg_ctl_row.counts = p->counts;
	m.u.cfg_ctl_row.state = health(p);
	if (p->state != PROC_DOWN)
		m.u.cfg_ctl_row.uptime_s = (uint32_t)((env_now(s->env) -
		    p->since) / US_PER_S);
	else
		m.u.cfg_ctl_row.pid = 0;
	send(to, &m);
}

static void
on_status(struct proc *to, uint32_t id)
{
	struct super *s = to->super;
	struct proc self;
	struct msg m;
	unsigned int i;

	memset(&self, 0, sizeof(self));
	self.role = ROLE_MASTER;
	self.state = PROC_RUN;
	self.since = s->born;
	self.starts = 1;
	self.pid = s->pid;
	send_row(to, id, &self);
	for (i = 0; i < s->n; i++)
		if (!s->procs[i].check && !s->procs[i].off)
			send_row(to, id, &s->procs[i]);
	msg_init(&m, M_CFG_CTL_DONE);
	m.id = id;
	m.u.cfg_ctl_done.ok = true;
	send(to, &m);
}

void
super_msg(struct super *s, struct proc *p, const struct msg *m)
{
	(void)s;
	if (!super_listens(p))
		return;
	switch (m->type) {
	case M_CFG_READY:
		on_ready(p);
		break;
	case M_CFG_STAGED:
		on_staged(p, &m->u.cfg_staged);
		break;
	case M_CFG_BLAME:
		on_blame(p, &m->u.cfg_blame);
		break;
	case M_CFG_STAT:
		p->streams = m->u.cfg_stat.streams;
		p->sessions = m->u.cfg_stat.sessions;
		p->conns = m->u.cfg_stat.conns;
		p->paused = m->u.cfg_stat.paused;
		p->counts = m->u.cfg_stat.counts;
		super_look_away(p);
		break;
	case M_CFG_ALIVE_OK:
		alive_answer(p, m->u.cfg_alive_ok.number);
		break;
	case M_CFG_CTL_STATUS:
		on_status(p, m->id);
		break;
	case M_CFG_POLICYC_START:
		compiler_request(p, m->id);
		break;
	default:
		break;
	}
}

void
super_verbose(struct super *s, uint8_t verbose)
{
	struct msg m;
	unsigned int i;

	msg_init(&m, M_CFG_VERBOSE);
	m.u.cfg_verbose.verbose = verbose;
	for (i = 0; i < s->n; i++)
		if (super_listens(&s->procs[i]))
			send(&s->procs[i], &m);
}

/* What it is. */

bool
super_is_serving(const struct super *s)
{
	return s->serving;
}

void
super_each(struct super *s, void (*fn)(struct proc *, void *), void *arg)
{
	unsigned int i;

	for (i = 0; i < s->n; i++)
		if (!(s->procs[i].check || s->procs[i].off) ||
		    s->procs[i].state != PROC_DOWN)
			fn(&s->procs[i], arg);
	if (s->policyc.state != PROC_DOWN)
		fn(&s->policyc, arg);
}

enum role
proc_role(const struct proc *p)
{
	return p->role;
}

uint16_t
proc_slot(const struct proc *p)
{
	return p->slot;
}

uint64_t
proc_generation(const struct proc *p)
{
	return p->generation;
}

enum proc_state
proc_state(const struct proc *p)
{
	return p->state;
}

bool
proc_is_check(const struct proc *p)
{
	return p->check;
}

unsigned int
proc_refusals(const struct proc *p)
{
	return p->refusals;
}

const char *
proc_name(const struct proc *p)
{
	return p->name;
}

void
proc_set_tag(struct proc *p, void *tag, uint32_t pid)
{
	p->tag = tag;
	p->pid = pid;
}

void *
proc_tag(const struct proc *p)
{
	return p->tag;
}

uint32_t
proc_pid(const struct proc *p)
{
	return p->pid;
}
