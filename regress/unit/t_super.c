/* Supervision: every rule of architecture.md 5 that concerns processes. */

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/str.h"
#include "master/super.h"
#include "regress/lib/fakeenv.h"

#define WORKERS		3
#define SENT_MAX	4096
#define MS(n)		((uint64_t)(n) * US_PER_MS)

/* What supervision did to the world, in order. */
struct sent {
	struct proc	*to;
	enum msg_type	 type;
	uint32_t	 id;
	uint32_t	 value;		/* epoch, slot, role: what counts */
	bool		 flag;
	uint64_t	 generation;	/* CFG_LINK's */
	int		 fd;
	struct r_counters counts;
};

struct world {
	struct fakeenv	*fake;
	struct super	*super;
	struct proc	*keyd;
	struct proc	*dbd;
	struct proc	*worker[WORKERS + 1];
	struct proc	*check;
	struct sent	 sent[SENT_MAX];
	unsigned int	 nsent;
	unsigned int	 spawns;
	unsigned int	 kills;
	struct proc	*killed;
	struct proc	*fail;		/* cannot be started */
	uint32_t	 configured;
	unsigned int	 serving;
	unsigned int	 outcomes;
	uint32_t	 outcome_epoch;
	bool		 outcome_ok;
	char		 outcome_why[256];
	unsigned int	 stops;
	int		 stop_code;
	char		 stop_why[256];
	int		 next_fd;
	char		 log[512];
};

static bool
on_spawn(struct proc *p, void *arg)
{
	struct world *w = arg;

	w->spawns++;
	proc_set_tag(p, w, 1000 + w->spawns);
	return p != w->fail;
}

static void
on_kill(struct proc *p, void *arg)
{
	struct world *w = arg;

	w->kills++;
	w->killed = p;
}

static void
on_send(struct proc *p, const struct msg *m, void *arg)
{
	struct world *w = arg;
	struct sent *s = &w->sent[w->nsent++];

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
	case M_CFG_CTL_ROW:
		s->value = m->u.cfg_ctl_row.pid;
		s->flag = m->u.cfg_ctl_row.state == 2;
		s->generation = m->u.cfg_ctl_row.streams;
		s->counts = m->u.cfg_ctl_row.counts;
		break;
	default:
		break;
	}
}

static bool
on_pair(int fd[2], void *arg)
{
	struct world *w = arg;

	fd[0] = w->next_fd++;
	fd[1] = w->next_fd++;
	return true;
}

static void
on_configure(struct proc *p, uint32_t epoch, void *arg)
{
	struct world *w = arg;

	if (proc_is_check(p))
		w->check = p;
	w->configured = epoch;
}

static void
on_serving(void *arg)
{
	((struct world *)arg)->serving++;
}

static void
on_outcome(uint32_t epoch, bool ok, const char *why, void *arg)
{
	struct world *w = arg;

	w->outcomes++;
	w->outcome_epoch = epoch;
	w->outcome_ok = ok;
	strlcpy(w->outcome_why, why, sizeof(w->outcome_why));
}

static void
on_stopped(int code, const char *why, void *arg)
{
	struct world *w = arg;

	w->stops++;
	w->stop_code = code;
	strlcpy(w->stop_why, why, sizeof(w->stop_why));
}

static void
on_seat(struct proc *p, void *arg)
{
	struct world *w = arg;

	if (proc_role(p) == ROLE_KEYD)
		w->keyd = p;
	else if (proc_role(p) == ROLE_DBD)
		w->dbd = p;
	else if (!proc_is_check(p))
		w->worker[proc_slot(p)] = p;
}

static void
on_log(int level, const char *line, void *arg)
{
	(void)level;
	strlcpy(((struct world *)arg)->log, line,
	    sizeof(((struct world *)arg)->log));
}

static void
staged(struct world *w, struct proc *p, uint32_t epoch, const char *why)
{
	struct msg m;

	msg_init(&m, M_CFG_STAGED);
	m.u.cfg_staged.epoch = epoch;
	m.u.cfg_staged.ok = why == NULL;
	if (why != NULL)
		memcpy(m.u.cfg_staged.text, why, strlen(why));
	super_msg(w->super, p, &m);
}

static void
ready(struct world *w, struct proc *p)
{
	struct msg m;

	msg_init(&m, M_CFG_READY);
	super_msg(w->super, p, &m);
}

static void
died(struct world *w, struct proc *p)
{
	super_died(w->super, p, "signal 9");
}

static void
advance(struct world *w, uint64_t ms)
{
	fakeenv_advance(w->fake, MS(ms));
}

/* How many such messages went to p (NULL: anyone) since mark. */
static unsigned int
count(const struct world *w, unsigned int mark, const struct proc *p,
    enum msg_type type)
{
	unsigned int i, n = 0;

	for (i = mark; i < w->nsent; i++)
		if (w->sent[i].type == type &&
		    (p == NULL || w->sent[i].to == p))
			n++;
	return n;
}

static const struct sent *
last(const struct world *w, const struct proc *p, enum msg_type type)
{
	unsigned int i;

	for (i = w->nsent; i > 0; i--)
		if (w->sent[i - 1].type == type && w->sent[i - 1].to == p)
			return &w->sent[i - 1];
	return NULL;
}

/* Started, nobody READY yet. */
static int
setup(void **state)
{
	struct super_ops ops = {
		on_spawn, on_kill, on_send, on_pair, on_configure, on_serving,
		on_outcome, on_stopped, NULL
	};
	struct world *w;

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

static int
teardown(void **state)
{
	struct world *w = *state;

	log_capture(NULL, NULL);
	super_free(w->super);
	assert_int_equal(env_timers(fakeenv_env(w->fake)), 0);
	fakeenv_free(w->fake);
	free(w);
	return 0;
}

/* Everybody READY and started, epoch 1. */
static struct world *
serving(void **state)
{
	struct world *w = *state;
	unsigned int i;

	super_start(w->super, 1);
	ready(w, w->keyd);
	ready(w, w->dbd);
	for (i = 1; i <= WORKERS; i++)
		ready(w, w->worker[i]);
	assert_int_equal(w->serving, 1);
	return w;
}

/* Nobody gets CFG_START before all are READY. */
static void
test_barrier(void **state)
{
	struct world *w = *state;
	unsigned int i;

	super_start(w->super, 1);
	assert_int_equal(w->spawns, WORKERS + 2);
	assert_int_equal(w->configured, 1);
	ready(w, w->worker[2]);
	ready(w, w->keyd);
	ready(w, w->worker[1]);
	ready(w, w->worker[3]);
	assert_int_equal(count(w, 0, NULL, M_CFG_START), 0);
	assert_false(super_is_serving(w->super));
	assert_int_equal(proc_state(w->keyd), PROC_READY);
	ready(w, w->dbd);
	assert_true(super_is_serving(w->super));
	assert_int_equal(w->serving, 1);
	assert_int_equal(count(w, 0, NULL, M_CFG_START), WORKERS + 2);
	for (i = 1; i <= WORKERS; i++)
		assert_int_equal(proc_state(w->worker[i]), PROC_RUN);
	/* Twice is once. */
	ready(w, w->dbd);
	assert_int_equal(count(w, 0, NULL, M_CFG_START), WORKERS + 2);
}

/* One who was READY and dies before the barrier comes back; it still holds. */
static void
test_barrier_death(void **state)
{
	struct world *w = *state;
	unsigned int i;

	super_start(w->super, 1);
	ready(w, w->keyd);
	for (i = 1; i <= WORKERS; i++)
		ready(w, w->worker[i]);
	died(w, w->worker[1]);
	ready(w, w->dbd);
	assert_false(super_is_serving(w->super));
	advance(w, 0);
	assert_int_equal(proc_state(w->worker[1]), PROC_STARTING);
	ready(w, w->worker[1]);
	assert_true(super_is_serving(w->super));
}

/* Each worker has one KEY and one DB link; the ends name each other. */
static void
test_links(void **state)
{
	struct world *w = *state;
	const struct sent *s, *t;
	unsigned int i, k, pairs = 0;

	super_start(w->super, 1);
	assert_int_equal(count(w, 0, w->keyd, M_CFG_LINK), WORKERS);
	assert_int_equal(count(w, 0, w->dbd, M_CFG_LINK), WORKERS);
	for (i = 1; i <= WORKERS; i++)
		assert_int_equal(count(w, 0, w->worker[i], M_CFG_LINK), 2);
	for (i = 0; i < w->nsent; i++) {
		s = &w->sent[i];
		if (s->type != M_CFG_LINK)
			continue;
		for (k = i + 1; k < w->nsent; k++) {
			t = &w->sent[k];
			if (t->type != M_CFG_LINK || t->fd / 2 != s->fd / 2)
				continue;
			pairs++;
			assert_int_equal(s->value >> 16, t->value >> 16);
			assert_int_equal(s->generation,
			    proc_generation(t->to));
			assert_int_equal(t->generation,
			    proc_generation(s->to));
			assert_int_equal((s->value >> 8) & 0xff,
			    proc_role(t->to));
			assert_int_equal(s->value & 0xff, proc_slot(t->to));
			assert_int_equal(s->value >> 16,
			    proc_role(s->to) == ROLE_KEYD ||
			    proc_role(t->to) == ROLE_KEYD ? LINK_KEY :
			    LINK_DB);
		}
	}
	assert_int_equal(pairs, 2 * WORKERS);
}

/* Links come before CFG_STAGE, so that READY means that all is there. */
static void
test_order(void **state)
{
	struct world *w = *state;
	unsigned int i, staged_at = 0;

	super_start(w->super, 1);
	for (i = 0; i < w->nsent; i++)
		if (w->sent[i].to == w->worker[3] &&
		    w->sent[i].type == M_CFG_STAGE) {
			assert_int_equal(w->sent[i].value, 1);
			staged_at = i;
		}
	assert_int_equal(count(w, staged_at, w->worker[3], M_CFG_LINK), 0);
}

static void
test_generations(void **state)
{
	struct world *w = serving(state);
	uint64_t first = (uint64_t)FAKEENV_WALL << 20, g, seen = 0;
	unsigned int i;

	assert_true(proc_generation(w->keyd) > first);
	for (i = 0; i < 50; i++) {
		g = proc_generation(w->worker[1]);
		assert_true(g > seen);
		assert_true(g != proc_generation(w->worker[2]));
		seen = g;
		died(w, w->worker[1]);
		advance(w, 20000);
		ready(w, w->worker[1]);
	}
}

/* READY once: at once, at once, and from the third death in 10 s after 1 s. */
static void
test_restart_ready(void **state)
{
	struct world *w = serving(state);
	unsigned int n = w->spawns, i;

	for (i = 0; i < 2; i++) {
		died(w, w->worker[2]);
		advance(w, 0);
		assert_int_equal(w->spawns, ++n);
		ready(w, w->worker[2]);
		assert_int_equal(proc_state(w->worker[2]), PROC_RUN);
		advance(w, 1000);
	}
	for (i = 0; i < 5; i++) {
		died(w, w->worker[2]);
		advance(w, 999);
		assert_int_equal(w->spawns, n);
		advance(w, 1);
		assert_int_equal(w->spawns, ++n);
		ready(w, w->worker[2]);
	}
	advance(w, 11000);
	died(w, w->worker[2]);
	advance(w, 0);
	assert_int_equal(w->spawns, ++n);
}

/* Only deaths before READY back off, and READY forgives them. */
static void
test_backoff(void **state)
{
	static const unsigned int steps[] = {
		200, 1000, 5000, 30000, 60000, 60000
	};
	struct world *w = serving(state);
	unsigned int n, i, round;

	died(w, w->dbd);
	advance(w, 0);
	n = w->spawns;
	for (round = 0; round < 2; round++) {
		for (i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
			assert_int_equal(proc_state(w->dbd), PROC_STARTING);
			died(w, w->dbd);
			advance(w, steps[i] - 1);
			assert_int_equal(w->spawns, n);
			advance(w, 1);
			assert_int_equal(w->spawns, ++n);
		}
		ready(w, w->dbd);
		died(w, w->dbd);
		advance(w, 0);
		assert_int_equal(w->spawns, ++n);
	}
	assert_int_equal(w->stops, 0);
}

/* At the first start there is nothing to keep up: three failures end it. */
static void
test_first_start_fails(void **state)
{
	struct world *w = *state;
	unsigned int i;

	super_start(w->super, 1);
	died(w, w->keyd);
	advance(w, 200);
	died(w, w->keyd);
	advance(w, 1000);
	assert_int_equal(w->stops, 0);
	super_died(w->super, w->keyd, "exit 1");
	assert_int_equal(count(w, 0, w->worker[1], M_CFG_STOP), 1);
	for (i = 1; i <= WORKERS; i++)
		died(w, w->worker[i]);
	died(w, w->dbd);
	advance(w, 0);
	assert_int_equal(w->stops, 1);
	assert_int_equal(w->stop_code, 1);
	assert_string_equal(w->stop_why, "keyd does not start (exit 1)");
}

static void
test_first_start_refused(void **state)
{
	struct world *w = *state;

	super_start(w->super, 1);
	staged(w, w->worker[2], 1, "map.json:3: no comma");
	advance(w, 1500);
	assert_int_equal(w->kills, WORKERS + 2);
	advance(w, 500);
	assert_int_equal(w->stops, 1);
	assert_int_equal(w->stop_code, 1);
	assert_string_equal(w->stop_why, "map.json:3: no comma");
}

static void
test_spawn_fails(void **state)
{
	struct world *w = serving(state);
	unsigned int n;

	w->fail = w->worker[1];
	died(w, w->worker[1]);
	advance(w, 0);
	n = w->spawns;
	assert_int_equal(proc_state(w->worker[1]), PROC_DOWN);
	advance(w, 200);
	assert_int_equal(w->spawns, n + 1);
	w->fail = NULL;
	advance(w, 1000);
	assert_int_equal(proc_state(w->worker[1]), PROC_STARTING);
}

/* Not READY after 60 s; dbd, which may migrate, is not hurried. */
static void
test_slow_start(void **state)
{
	struct world *w = *state;

	super_start(w->super, 1);
	advance(w, 59000);
	assert_int_equal(w->kills, 0);
	advance(w, 1000);
	assert_int_equal(w->kills, WORKERS + 1);
	assert_int_equal(proc_state(w->dbd), PROC_STARTING);
}

/* Worker restarted: new links at both ends, nobody else is touched. */
static void
test_relink(void **state)
{
	struct world *w = serving(state);
	unsigned int mark = w->nsent;

	died(w, w->worker[2]);
	advance(w, 0);
	assert_int_equal(count(w, mark, w->keyd, M_CFG_LINK), 1);
	assert_int_equal(count(w, mark, w->dbd, M_CFG_LINK), 1);
	assert_int_equal(count(w, mark, w->worker[2], M_CFG_LINK), 2);
	assert_int_equal(count(w, mark, w->worker[1], M_CFG_LINK), 0);
	assert_int_equal(last(w, w->dbd, M_CFG_LINK)->generation,
	    proc_generation(w->worker[2]));
	ready(w, w->worker[2]);
	mark = w->nsent;
	died(w, w->keyd);
	advance(w, 0);
	assert_int_equal(count(w, mark, w->keyd, M_CFG_LINK), WORKERS);
	assert_int_equal(count(w, mark, w->worker[1], M_CFG_LINK), 1);
	assert_int_equal(count(w, mark, w->dbd, M_CFG_LINK), 0);
	mark = w->nsent;
	died(w, w->dbd);
	advance(w, 0);
	assert_int_equal(count(w, mark, w->dbd, M_CFG_LINK), WORKERS);
	/* keyd is not READY again yet, and already linked. */
	assert_int_equal(count(w, mark, w->keyd, M_CFG_LINK), 0);
	/* A worker that waits for its restart is linked when it is there. */
	died(w, w->worker[1]);
	mark = w->nsent;
	advance(w, 0);
	assert_int_equal(count(w, mark, w->worker[1], M_CFG_LINK), 2);
}

static void
blame(struct world *w, struct proc *from, struct proc *bad, uint64_t generation)
{
	struct msg m;

	msg_init(&m, M_CFG_BLAME);
	m.u.cfg_blame.role = (uint8_t)proc_role(bad);
	m.u.cfg_blame.slot = proc_slot(bad);
	m.u.cfg_blame.generation = generation;
	m.u.cfg_blame.why = LINK_FORGED;
	super_msg(w->super, from, &m);
}

static void
test_blame(void **state)
{
	struct world *w = serving(state);
	struct msg m;
	uint64_t old = proc_generation(w->worker[1]);

	blame(w, w->dbd, w->worker[1], old);
	assert_int_equal(w->kills, 1);
	assert_ptr_equal(w->killed, w->worker[1]);
	/* Twice kills once; what it still says counts for nothing. */
	blame(w, w->keyd, w->worker[1], old);
	blame(w, w->worker[1], w->dbd, proc_generation(w->dbd));
	assert_int_equal(w->kills, 1);
	died(w, w->worker[1]);
	advance(w, 0);
	ready(w, w->worker[1]);
	/* The instance is gone: its successor is not to blame. */
	blame(w, w->dbd, w->worker[1], old);
	assert_int_equal(w->kills, 1);
	/* Upwards, sideways: it is the accuser who goes. */
	blame(w, w->worker[2], w->keyd, proc_generation(w->keyd));
	assert_int_equal(w->kills, 2);
	assert_ptr_equal(w->killed, w->worker[2]);
	blame(w, w->worker[3], w->worker[1], proc_generation(w->worker[1]));
	assert_int_equal(w->kills, 3);
	assert_ptr_equal(w->killed, w->worker[3]);
	blame(w, w->keyd, w->dbd, proc_generation(w->dbd));
	assert_int_equal(w->kills, 4);
	assert_ptr_equal(w->killed, w->keyd);
	assert_int_equal(proc_state(w->dbd), PROC_RUN);
	/* Nonsense. */
	msg_init(&m, M_CFG_BLAME);
	m.u.cfg_blame.role = 200;
	super_msg(w->super, w->worker[1], &m);
	assert_ptr_equal(w->killed, w->worker[1]);
	assert_int_equal(proc_state(w->dbd), PROC_RUN);
}

static void
test_link_down(void **state)
{
	struct world *w = serving(state);

	super_link_down(w->super, w->worker[1], LINK_BAD_TYPE);
	assert_int_equal(w->kills, 1);
	assert_ptr_equal(w->killed, w->worker[1]);
	assert_non_null(strstr(w->log, "message not permitted"));
	super_link_down(w->super, w->worker[1], LINK_EOF);
	assert_int_equal(w->kills, 1);
	assert_int_equal(proc_state(w->worker[1]), PROC_KILLED);
	/* Who ends by itself has a second for it, and is asked nothing. */
	super_link_down(w->super, w->worker[2], LINK_EOF);
	advance(w, 999);
	assert_int_equal(w->kills, 1);
	advance(w, 1);
	assert_int_equal(w->kills, 2);
	assert_ptr_equal(w->killed, w->worker[2]);
	died(w, w->worker[2]);
	advance(w, 0);
	assert_int_equal(proc_state(w->worker[2]), PROC_STARTING);
	super_link_down(w->super, w->worker[3], LINK_EOF);
	died(w, w->worker[3]);
	advance(w, 2000);
	assert_int_equal(w->kills, 2);
	assert_int_equal(proc_state(w->worker[3]), PROC_STARTING);
}

static void
pause_slot(struct world *w, unsigned int slot, bool paused)
{
	struct msg m;

	msg_init(&m, M_CFG_STAT);
	m.u.cfg_stat.streams = 5 * slot;
	m.u.cfg_stat.paused = paused;
	super_msg(w->super, w->worker[slot], &m);
}

/* Siblings take over a slot that is down or paused for a second. */
static void
test_slots(void **state)
{
	struct world *w = serving(state);
	const struct sent *s;
	unsigned int mark = w->nsent;

	pause_slot(w, 2, true);
	advance(w, 999);
	assert_int_equal(count(w, mark, NULL, M_CFG_SLOT), 0);
	advance(w, 1);
	assert_int_equal(count(w, mark, NULL, M_CFG_SLOT), 2);
	assert_int_equal(count(w, mark, w->worker[2], M_CFG_SLOT), 0);
	s = last(w, w->worker[3], M_CFG_SLOT);
	assert_int_equal(s->value, 2);
	assert_true(s->flag);
	/* A new instance hears of it too. */
	died(w, w->worker[1]);
	advance(w, 0);
	mark = w->nsent;
	ready(w, w->worker[1]);
	assert_int_equal(count(w, mark, w->worker[1], M_CFG_SLOT), 1);
	assert_true(last(w, w->worker[1], M_CFG_SLOT)->flag);
	pause_slot(w, 2, false);
	assert_int_equal(count(w, mark, w->worker[1], M_CFG_SLOT), 2);
	assert_false(last(w, w->worker[1], M_CFG_SLOT)->flag);
	/* Back within the second: nobody hears of it. */
	mark = w->nsent;
	died(w, w->worker[3]);
	advance(w, 500);
	ready(w, w->worker[3]);
	advance(w, 5000);
	assert_int_equal(count(w, mark, NULL, M_CFG_SLOT), 0);
	/* Down: so is what hangs in its start. */
	died(w, w->worker[3]);
	advance(w, 1000);
	assert_int_equal(count(w, mark, NULL, M_CFG_SLOT), 2);
	ready(w, w->worker[3]);
	assert_int_equal(count(w, mark, NULL, M_CFG_SLOT), 4);
	assert_false(last(w, w->worker[1], M_CFG_SLOT)->flag);
}

/* The answers of a reload so far: the fresh worker and all but one. */
static void
reload_until(struct world *w, uint32_t epoch, const struct proc *but)
{
	char why[256];
	unsigned int i;

	assert_true(super_reload(w->super, epoch, why, sizeof(why)));
	assert_true(super_reloading(w->super));
	assert_non_null(w->check);
	assert_true(proc_is_check(w->check));
	assert_int_equal(count(w, 0, w->check, M_CFG_LINK), 0);
	staged(w, w->check, epoch, NULL);
	died(w, w->check);
	if (but != w->keyd)
		staged(w, w->keyd, epoch, NULL);
	if (but != w->dbd)
		staged(w, w->dbd, epoch, NULL);
	for (i = 1; i <= WORKERS; i++)
		if (but != w->worker[i])
			staged(w, w->worker[i], epoch, NULL);
}

static void
test_reload(void **state)
{
	struct world *w = serving(state);
	unsigned int mark = w->nsent;
	char why[256];

	assert_true(super_reload(w->super, 2, why, sizeof(why)));
	/* The others are asked when the fresh one has said yes. */
	assert_int_equal(count(w, mark, NULL, M_CFG_STAGE), 1);
	assert_false(super_reload(w->super, 3, why, sizeof(why)));
	assert_string_equal(why, "a reload is going on");
	staged(w, w->check, 2, NULL);
	assert_int_equal(w->kills, 1);
	assert_ptr_equal(w->killed, w->check);
	died(w, w->check);
	assert_int_equal(count(w, mark, NULL, M_CFG_STAGE), WORKERS + 3);
	staged(w, w->worker[1], 2, NULL);
	staged(w, w->worker[2], 2, NULL);
	staged(w, w->keyd, 2, NULL);
	staged(w, w->dbd, 2, NULL);
	assert_int_equal(count(w, mark, NULL, M_CFG_COMMIT), 0);
	assert_int_equal(w->outcomes, 0);
	staged(w, w->worker[3], 2, NULL);
	assert_int_equal(count(w, mark, NULL, M_CFG_COMMIT), WORKERS + 2);
	assert_int_equal(w->outcomes, 1);
	assert_true(w->outcome_ok);
	assert_int_equal(w->outcome_epoch, 2);
	assert_false(super_reloading(w->super));
	/* A later instance starts with it. */
	died(w, w->worker[1]);
	advance(w, 0);
	assert_int_equal(last(w, w->worker[1], M_CFG_STAGE)->value, 2);
	assert_int_equal(w->spawns, WORKERS + 4);
}

/* What a fresh worker refuses disturbs nobody. */
static void
test_reload_bad(void **state)
{
	struct world *w = serving(state);
	unsigned int mark = w->nsent;
	char why[256];

	assert_true(super_reload(w->super, 2, why, sizeof(why)));
	staged(w, w->check, 2, "map.json:7: bad");
	assert_int_equal(w->outcomes, 1);
	assert_false(w->outcome_ok);
	assert_string_equal(w->outcome_why, "map.json:7: bad");
	assert_int_equal(count(w, mark, w->dbd, M_CFG_STAGE), 0);
	assert_int_equal(count(w, mark, NULL, M_CFG_DISCARD), 0);
	/* Not before the last check process is gone. */
	assert_false(super_reload(w->super, 3, why, sizeof(why)));
	died(w, w->check);
	assert_true(super_reload(w->super, 3, why, sizeof(why)));
	died(w, w->check);
	assert_int_equal(w->outcomes, 2);
	assert_string_equal(w->outcome_why, "the check process died");
	assert_true(super_reload(w->super, 4, why, sizeof(why)));
	advance(w, 10000);
	assert_int_equal(w->outcomes, 3);
	assert_string_equal(w->outcome_why,
	    "the check process did not answer");
	died(w, w->check);
	/* The configuration in force is still the first. */
	died(w, w->worker[1]);
	advance(w, 0);
	assert_int_equal(last(w, w->worker[1], M_CFG_STAGE)->value, 1);
}

/* dbd says no: all have it discarded. */
static void
test_reload_discard(void **state)
{
	struct world *w = serving(state);
	unsigned int mark = w->nsent;

	reload_until(w, 2, w->dbd);
	staged(w, w->dbd, 2, "prefix in use");
	assert_int_equal(w->outcomes, 1);
	assert_false(w->outcome_ok);
	assert_string_equal(w->outcome_why, "prefix in use");
	assert_int_equal(count(w, mark, NULL, M_CFG_COMMIT), 0);
	assert_int_equal(count(w, mark, NULL, M_CFG_DISCARD), WORKERS + 2);
	assert_int_equal(last(w, w->keyd, M_CFG_DISCARD)->value, 2);
	/* keyd does not answer: 5 s, then likewise; nobody is killed. */
	mark = w->nsent;
	w->kills = 0;
	reload_until(w, 3, w->keyd);
	advance(w, 4999);
	assert_int_equal(w->outcomes, 1);
	advance(w, 1);
	assert_int_equal(w->outcomes, 2);
	assert_false(w->outcome_ok);
	assert_string_equal(w->outcome_why, "keyd did not answer in time");
	assert_int_equal(count(w, mark, NULL, M_CFG_DISCARD), WORKERS + 2);
	assert_int_equal(w->kills, 1);
	assert_ptr_equal(w->killed, w->check);
	/* Its late answer means nothing for the next one. */
	staged(w, w->keyd, 3, NULL);
	mark = w->nsent;
	reload_until(w, 4, w->keyd);
	staged(w, w->keyd, 3, NULL);
	assert_int_equal(count(w, mark, NULL, M_CFG_COMMIT), 0);
	staged(w, w->keyd, 4, NULL);
	assert_int_equal(count(w, mark, NULL, M_CFG_COMMIT), WORKERS + 2);
	/* dbd dies in the middle. */
	mark = w->nsent;
	reload_until(w, 5, w->dbd);
	died(w, w->dbd);
	assert_int_equal(w->outcomes, 4);
	assert_string_equal(w->outcome_why, "dbd died meanwhile");
	assert_int_equal(count(w, mark, NULL, M_CFG_DISCARD), WORKERS + 1);
	assert_int_equal(count(w, mark, NULL, M_CFG_COMMIT), 0);
}

/* A worker that refuses or misses a reload is replaced, not obeyed. */
static void
test_reload_replaces(void **state)
{
	struct world *w = serving(state);
	unsigned int mark = w->nsent;

	reload_until(w, 2, w->worker[2]);
	staged(w, w->worker[2], 2, "no, thanks");
	assert_ptr_equal(w->killed, w->worker[2]);
	assert_int_equal(w->outcomes, 1);
	assert_true(w->outcome_ok);
	assert_int_equal(count(w, mark, NULL, M_CFG_COMMIT), WORKERS + 1);
	assert_int_equal(count(w, mark, w->worker[2], M_CFG_COMMIT), 0);
	died(w, w->worker[2]);
	advance(w, 0);
	assert_int_equal(last(w, w->worker[2], M_CFG_STAGE)->value, 2);
	ready(w, w->worker[2]);
	mark = w->nsent;
	reload_until(w, 3, w->worker[1]);
	assert_int_equal(w->outcomes, 1);
	advance(w, 5000);
	assert_ptr_equal(w->killed, w->worker[1]);
	assert_int_equal(w->outcomes, 2);
	assert_true(w->outcome_ok);
	assert_int_equal(count(w, mark, NULL, M_CFG_COMMIT), WORKERS + 1);
	died(w, w->worker[1]);
	advance(w, 0);
	assert_int_equal(last(w, w->worker[1], M_CFG_STAGE)->value, 3);
}

/* A worker that starts while the others stage gets the new one afterwards. */
static void
test_reload_meanwhile(void **state)
{
	struct world *w = serving(state);
	unsigned int mark;

	reload_until(w, 2, w->dbd);
	died(w, w->worker[1]);
	advance(w, 0);
	assert_int_equal(last(w, w->worker[1], M_CFG_STAGE)->value, 1);
	staged(w, w->worker[1], 1, NULL);	/* of its start, not of 2 */
	mark = w->nsent;
	staged(w, w->dbd, 2, NULL);
	assert_true(w->outcome_ok);
	assert_int_equal(count(w, mark, w->worker[1], M_CFG_COMMIT), 0);
	assert_ptr_equal(w->killed, w->worker[1]);
	died(w, w->worker[1]);
	advance(w, 0);		/* not its fault: no back-off */
	assert_int_equal(proc_state(w->worker[1]), PROC_STARTING);
	assert_int_equal(last(w, w->worker[1], M_CFG_STAGE)->value, 2);
}

/* One that is down, or starts, has no part in it. */
static void
test_reload_without(void **state)
{
	struct world *w = serving(state);
	unsigned int mark;

	died(w, w->worker[1]);
	advance(w, 0);
	died(w, w->worker[1]);		/* before READY: waits 200 ms */
	died(w, w->worker[2]);
	advance(w, 0);
	mark = w->nsent;
	reload_until(w, 2, w->dbd);
	staged(w, w->dbd, 2, NULL);
	assert_int_equal(w->outcomes, 1);
	assert_true(w->outcome_ok);
	assert_int_equal(count(w, mark, w->worker[1], M_CFG_STAGE), 0);
	assert_int_equal(count(w, mark, w->worker[2], M_CFG_STAGE), 0);
	assert_int_equal(count(w, mark, NULL, M_CFG_COMMIT), WORKERS);
	assert_ptr_equal(w->killed, w->worker[2]);
	advance(w, 200);
	assert_int_equal(last(w, w->worker[1], M_CFG_STAGE)->value, 2);
}

static void
test_reload_refused(void **state)
{
	struct world *w = *state;
	char why[256];

	assert_false(super_reload(w->super, 2, why, sizeof(why)));
	assert_string_equal(why, "the server is not ready yet");
	serving(state);
	died(w, w->dbd);
	assert_false(super_reload(w->super, 2, why, sizeof(why)));
	assert_string_equal(why, "dbd is not running, try again");
}

/* A later instance refuses: it is tried again, and says how often. */
static void
test_refusals(void **state)
{
	struct world *w = serving(state);

	died(w, w->worker[1]);
	advance(w, 0);
	assert_int_equal(proc_refusals(w->worker[1]), 0);
	staged(w, w->worker[1], 1, "the file is bad now");
	assert_int_equal(w->stops, 0);
	assert_ptr_equal(w->killed, w->worker[1]);
	died(w, w->worker[1]);
	advance(w, 200);
	assert_int_equal(proc_refusals(w->worker[1]), 1);
	staged(w, w->worker[1], 1, "still");
	died(w, w->worker[1]);
	advance(w, 1000);
	assert_int_equal(proc_refusals(w->worker[1]), 2);
	staged(w, w->worker[1], 1, NULL);
	ready(w, w->worker[1]);
	assert_int_equal(proc_refusals(w->worker[1]), 0);
}

static void
test_check(void **state)
{
	struct world *w = *state;

	super_check(w->super, 1);
	assert_int_equal(w->spawns, 1);
	assert_int_equal(count(w, 0, w->check, M_CFG_STAGE), 1);
	staged(w, w->check, 1, NULL);
	ready(w, w->check);
	assert_int_equal(w->outcomes, 1);
	assert_true(w->outcome_ok);
	assert_int_equal(w->serving, 0);
	assert_int_equal(w->spawns, 1);
	died(w, w->check);
	super_check(w->super, 2);
	staged(w, w->check, 2, "records.json:1: not JSON");
	assert_int_equal(w->outcomes, 2);
	assert_false(w->outcome_ok);
	assert_string_equal(w->outcome_why, "records.json:1: not JSON");
}

static void
test_stop(void **state)
{
	struct world *w = serving(state);
	unsigned int i, mark = w->nsent, n = w->spawns;

	super_stop(w->super);
	super_stop(w->super);
	assert_int_equal(count(w, mark, NULL, M_CFG_STOP), WORKERS + 2);
	for (i = 1; i <= WORKERS; i++)
		died(w, w->worker[i]);
	died(w, w->keyd);
	advance(w, 1000);
	assert_int_equal(w->stops, 0);
	died(w, w->dbd);
	advance(w, 0);
	assert_int_equal(w->stops, 1);
	assert_int_equal(w->stop_code, 0);
	assert_int_equal(w->kills, 0);
	assert_int_equal(w->spawns, n);
}

/* Who does not stop is killed after 1.5 s; 2 s are all that it takes. */
static void
test_stop_slow(void **state)
{
	struct world *w = serving(state);

	super_stop(w->super);
	died(w, w->keyd);
	super_link_down(w->super, w->worker[1], LINK_EOF);
	advance(w, 1499);
	assert_int_equal(w->kills, 0);
	advance(w, 1);
	assert_int_equal(w->kills, WORKERS + 1);
	advance(w, 499);
	assert_int_equal(w->stops, 0);
	advance(w, 1);
	assert_int_equal(w->stops, 1);
	died(w, w->dbd);
	advance(w, 5000);
	assert_int_equal(w->stops, 1);
}

static void
test_stop_in_reload(void **state)
{
	struct world *w = serving(state);

	reload_until(w, 2, w->dbd);
	super_stop(w->super);
	assert_int_equal(w->outcomes, 1);
	assert_false(w->outcome_ok);
	assert_string_equal(w->outcome_why, "the server stops");
}

static void
test_status(void **state)
{
	struct world *w = serving(state);
	struct msg m;
	unsigned int mark = w->nsent;

	pause_slot(w, 2, false);
	died(w, w->worker[3]);
	msg_init(&m, M_CFG_CTL_STATUS);
	m.id = 42;
	super_msg(w->super, w->dbd, &m);
	assert_int_equal(count(w, mark, w->dbd, M_CFG_CTL_ROW), WORKERS + 3);
	assert_int_equal(count(w, mark, w->dbd, M_CFG_CTL_DONE), 1);
	assert_int_equal(w->sent[mark].id, 42);
	assert_int_equal(w->sent[mark].value, 77);
	assert_true(w->sent[mark].flag);
	assert_int_equal(w->sent[mark + 1].value, proc_pid(w->keyd));
	assert_int_equal(w->sent[mark + 4].generation, 10);
	assert_int_equal(w->sent[mark + 5].value, 0);	/* it is down */
	assert_false(w->sent[mark + 5].flag);
	assert_int_equal(w->sent[w->nsent - 1].id, 42);
}

static void
counts(struct world *w, struct proc *p, uint64_t n)
{
	struct msg m;

	msg_init(&m, M_CFG_STAT);
	m.u.cfg_stat.counts.handshakes = n;
	m.u.cfg_stat.counts.behind = n + 1;
	super_msg(w->super, p, &m);
}

/* What each has counted last, of this instance alone. */
static void
test_counters(void **state)
{
	struct world *w = serving(state);
	unsigned int mark = w->nsent, i;
	struct msg m;

	counts(w, w->keyd, 10);
	counts(w, w->dbd, 20);
	counts(w, w->worker[1], 30);
	counts(w, w->worker[1], UINT64_MAX - 1);
	counts(w, w->worker[3], 40);
	died(w, w->worker[3]);
	msg_init(&m, M_CFG_CTL_STATUS);
	super_msg(w->super, w->dbd, &m);
	for (i = 0; i < WORKERS + 3; i++)
		assert_int_equal(w->sent[mark + i].type, M_CFG_CTL_ROW);
	assert_int_equal(w->sent[mark].counts.handshakes, 0);	/* master */
	assert_int_equal(w->sent[mark + 1].counts.handshakes, 10);
	assert_int_equal(w->sent[mark + 1].counts.behind, 11);
	assert_int_equal(w->sent[mark + 2].counts.handshakes, 20);
	assert_true(w->sent[mark + 3].counts.handshakes == UINT64_MAX - 1);
	assert_true(w->sent[mark + 3].counts.behind == UINT64_MAX);
	assert_int_equal(w->sent[mark + 4].counts.handshakes, 0);
	assert_int_equal(w->sent[mark + 5].counts.handshakes, 0);
	assert_int_equal(w->sent[mark + 5].counts.behind, 0);
	/* keyd is not one whose slot others stand in for. */
	msg_init(&m, M_CFG_STAT);
	m.u.cfg_stat.paused = true;
	super_msg(w->super, w->keyd, &m);
	mark = w->nsent;
	advance(w, 2000);
	assert_int_equal(count(w, mark, NULL, M_CFG_SLOT), 2);
	assert_int_equal(last(w, w->worker[1], M_CFG_SLOT)->value, 3);
}

static void
test_verbose(void **state)
{
	struct world *w = serving(state);
	unsigned int mark = w->nsent;

	died(w, w->worker[1]);
	super_verbose(w->super, 1);
	assert_int_equal(count(w, mark, NULL, M_CFG_VERBOSE), WORKERS + 1);
}

#define T(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_barrier), T(test_barrier_death), T(test_links),
		T(test_order), T(test_generations), T(test_restart_ready),
		T(test_backoff), T(test_first_start_fails),
		T(test_first_start_refused), T(test_spawn_fails),
		T(test_slow_start), T(test_relink), T(test_blame),
		T(test_link_down), T(test_slots), T(test_reload),
		T(test_reload_bad), T(test_reload_discard),
		T(test_reload_replaces), T(test_reload_meanwhile),
		T(test_reload_without), T(test_reload_refused),
		T(test_refusals), T(test_check),
		T(test_stop), T(test_stop_slow), T(test_stop_in_reload),
		T(test_status), T(test_counters), T(test_verbose)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
