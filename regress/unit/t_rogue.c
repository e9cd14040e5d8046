/*
 * The attacks of regress/lib/attacks.c against the real cores of keyd, dbd
 * and master's supervision in one process: each is refused, its author is
 * reported and killed where it broke a rule, nobody else is, and another
 * worker's client is as it was.
 */

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/log.h"
#include "dbd/store_sqlite_int.h"
#include "master/super.h"
#include "regress/lib/dbdworld.h"
#include "regress/lib/keyworld.h"
#include "regress/lib/rogue.h"
#include "regress/lib/superkit.h"

#define HONEST		1	/* slots */
#define ROGUE		2

struct seen {			/* how a link's owner saw it end */
	bool		 down;
	enum link_why	 why;
};

struct world {
	const struct attack *attack;
	struct dbdworld	*dw;
	struct fakeenv	*fake;
	struct keyworld	*kw;
	struct super	*super;
	struct proc	*keyd;
	struct proc	*dbd;
	struct proc	*worker[3];
	uint64_t	 user;

	struct dbdworker *honest;
	struct noise_client victim;
	struct rogue_loot loot;

	struct rogue	 rogue;		/* the living instance */
	bool		 alive;
	struct r_ticket	 old_ticket;
	struct pair	*cfg;
	struct pair	*db;
	uint64_t	 key_due;	/* links that master has given out */
	uint64_t	 db_due;
	struct seen	 seen[LINK_MAX];
	bool		 key_told;

	unsigned int	 kills;
	unsigned int	 kills_else;
	bool		 kill_due;
};

/* What master does. */

static void	rogue_spawn(struct world *);

static bool
on_spawn(struct proc *p, void *arg)
{
	struct world *w = arg;

	if (p == w->worker[ROGUE])
		rogue_spawn(w);
	return true;
}

static void
on_kill(struct proc *p, void *arg)
{
	struct world *w = arg;

	if (p != w->worker[ROGUE]) {
		w->kills_else++;
		return;
	}
	w->kills++;
	w->kill_due = true;
}

static void
on_link(struct world *w, struct proc *to, const struct m_cfg_link *l)
{
	if (l->role != ROLE_WORKER || l->slot != ROGUE)
		return;
	if (to == w->keyd)
		w->key_due = l->generation;
	else if (to == w->dbd)
		w->db_due = l->generation;
}

static void
answer_alive(struct world *w, struct proc *p, uint32_t number)
{
	struct msg m;

	msg_init(&m, M_CFG_ALIVE_OK);
	m.u.cfg_alive_ok.number = number;
	super_msg(w->super, p, &m);
}

static void
on_send(struct proc *p, const struct msg *m, void *arg)
{
	struct world *w = arg;
	struct link *l;

	if (m->type == M_CFG_LINK)
		on_link(w, p, &m->u.cfg_link);
	if (m->type == M_CFG_ALIVE_ASK && p != w->worker[ROGUE])
		answer_alive(w, p, m->u.cfg_alive_ask.number);
	if (p != w->worker[ROGUE] || w->cfg == NULL ||
	    (l = pair_link(w->cfg, PAIR_B)) == NULL) {
		if (m->fd != -1)
			(void)close(m->fd);
		return;
	}
	if (msg_class(m->type) == MSG_REQUEST)
		(void)link_request(l, m, NULL, 0);
	else
		link_send(l, m);
	if (m->type == M_CFG_START)
		link_set_state(l, MSG_RUN);
}

static bool
on_pair(int fd[2], void *arg)
{
	(void)arg;
	fd[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	fd[1] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	return fd[0] != -1 && fd[1] != -1;
}

static void
on_configure(struct proc *p, uint32_t epoch, void *arg)
{
	(void)p;
	(void)epoch;
	(void)arg;
}

static void
on_serving(void *arg)
{
	(void)arg;
}

static void
on_outcome(uint32_t epoch, bool ok, const char *why, void *arg)
{
	(void)epoch;
	(void)ok;
	(void)why;
	(void)arg;
}

static void
on_stopped(int code, const char *why, void *arg)
{
	(void)why;
	(void)arg;
	fail_msg("the server stopped with %d", code);
}

static void
on_cfg_msg(struct link *l, const struct msg *m, void *tag, void *arg)
{
	struct world *w = arg;

	(void)l;
	(void)tag;
	super_msg(w->super, w->worker[ROGUE], m);
}

static void
on_cfg_down(struct link *l, enum link_why why, void *arg)
{
	struct world *w = arg;

	w->seen[LINK_CFG].down = true;
	w->seen[LINK_CFG].why = why;
	super_link_down(w->super, w->worker[ROGUE], why);
	link_free(l);
}

/* What keyd and dbd do when a worker's link goes down. */
static void
blame(struct world *w, struct proc *by, uint64_t generation,
    enum link_why why)
{
	struct msg m;

	if (why == LINK_EOF || why == LINK_CLOSED)
		return;
	msg_init(&m, M_CFG_BLAME);
	m.u.cfg_blame.role = ROLE_WORKER;
	m.u.cfg_blame.slot = ROGUE;
	m.u.cfg_blame.generation = generation;
	m.u.cfg_blame.why = (uint16_t)why;
	super_msg(w->super, by, &m);
}

static void
on_db_msg(struct link *l, const struct msg *m, void *tag, void *arg)
{
	struct world *w = arg;

	(void)tag;
	dbd_db_msg(dw_dbd(w->dw), l, m);
}

static void
on_db_down(struct link *l, enum link_why why, void *arg)
{
	struct world *w = arg;

	w->seen[LINK_DB].down = true;
	w->seen[LINK_DB].why = why;
	blame(w, w->dbd, link_generation(l), why);
	dbd_db_down(dw_dbd(w->dw), l);
	link_free(l);
}

static void
look_at_key(struct world *w)
{
	struct keyside *s = &w->kw->side[ROGUE - 1];

	if (!s->keyd_down || w->key_told)
		return;
	w->key_told = true;
	w->seen[LINK_KEY].down = true;
	w->seen[LINK_KEY].why = s->why;
	blame(w, w->keyd, s->generation, s->why);
}

/* The double's process. */

static void
on_raw_key(uint32_t type, uint32_t id, const void *p, size_t n, int fd,
    void *arg)
{
	rogue_input(&((struct world *)arg)->rogue, LINK_KEY, type, id, p, n,
	    fd);
}

static void
on_raw_db(uint32_t type, uint32_t id, const void *p, size_t n, int fd,
    void *arg)
{
	rogue_input(&((struct world *)arg)->rogue, LINK_DB, type, id, p, n,
	    fd);
}

/* It starts as an honest one would. */
static void
on_raw_cfg(uint32_t type, uint32_t id, const void *p, size_t n, int fd,
    void *arg)
{
	struct world *w = arg;
	struct msg m, ask;

	rogue_input(&w->rogue, LINK_CFG, type, id, p, n, fd);
	if (type == M_CFG_ALIVE_ASK) {
		assert_int_equal(msg_decode(&ask, type, p, n), 0);
		msg_init(&m, M_CFG_ALIVE_OK);
		m.id = id;
		m.u.cfg_alive_ok.number = ask.u.cfg_alive_ask.number;
		(void)rogue_send(&w->rogue, LINK_CFG, &m);
	}
	if (type != M_CFG_STAGE)
		return;
	msg_init(&m, M_CFG_STAGED);
	m.id = id;
	m.u.cfg_staged.epoch = 1;
	m.u.cfg_staged.ok = true;
	(void)rogue_send(&w->rogue, LINK_CFG, &m);
	msg_init(&m, M_CFG_READY);
	(void)rogue_send(&w->rogue, LINK_CFG, &m);
}

static void
rogue_out(enum msg_link link, uint32_t type, uint32_t id, const void *p,
    size_t n, int fd, void *arg)
{
	struct world *w = arg;
	struct pair *pair;

	pair = link == LINK_KEY ? w->kw->side[ROGUE - 1].pair :
	    link == LINK_DB ? w->db : w->cfg;
	pair_inject(pair, PAIR_B, type, id, p, n, fd);
}

static void
rogue_random(void *p, size_t n, void *arg)
{
	env_random(fakeenv_env(((struct world *)arg)->fake), p, n);
}

static void	settle(struct world *);

static void
rogue_wait(void *arg)
{
	settle(arg);
}

/* Its links come up: the process has begun. */
static void
rogue_begin(struct world *w)
{
	struct link_conf b;

	keyside_up_raw(w->kw, ROGUE - 1, w->key_due, on_raw_key, w);
	memset(&b, 0, sizeof(b));
	b.kind = LINK_DB;
	b.self = ROLE_DBD;
	b.peer = ROLE_WORKER;
	b.slot = ROGUE;
	b.generation = w->db_due;
	b.on_msg = on_db_msg;
	b.on_down = on_db_down;
	b.arg = w;
	w->db = pair_new_raw(fakeenv_env(w->fake), &b, on_raw_db, w);
	dbd_db_up(dw_dbd(w->dw), pair_link(w->db, PAIR_B));
	w->key_due = w->db_due = 0;
	w->key_told = false;
}

static void
rogue_spawn(struct world *w)
{
	struct rogue_ops ops = { rogue_out, rogue_wait, rogue_random, NULL };
	struct link_conf b;

	ops.arg = w;
	rogue_init(&w->rogue, &ops, ROGUE,
	    proc_generation(w->worker[ROGUE]));
	w->rogue.loot = w->loot;
	w->rogue.old_ticket = w->old_ticket;
	w->alive = true;
	memset(w->seen, 0, sizeof(w->seen));
	memset(&b, 0, sizeof(b));
	b.kind = LINK_CFG;
	b.self = ROLE_MASTER;
	b.peer = ROLE_WORKER;
	b.slot = ROGUE;
	b.generation = w->rogue.generation;
	b.on_msg = on_cfg_msg;
	b.on_down = on_cfg_down;
	b.arg = w;
	w->cfg = pair_new_raw(fakeenv_env(w->fake), &b, on_raw_cfg, w);
}

static void
rogue_die(struct world *w)
{
	struct seen seen[LINK_MAX];

	w->kill_due = false;
	memcpy(seen, w->seen, sizeof(seen));
	pair_kill(w->cfg, PAIR_A);
	pair_kill(w->db, PAIR_A);
	pair_kill(w->kw->side[ROGUE - 1].pair, PAIR_A);
	keyworld_deliver(w->kw);
	(void)pair_run(w->cfg);
	(void)pair_run(w->db);
	fakeenv_advance(w->fake, 0);
	/* What was before its death counts, not the ends that followed. */
	memcpy(w->seen, seen, sizeof(seen));
	pair_free(w->cfg);
	pair_free(w->db);
	w->cfg = w->db = NULL;
	w->old_ticket = w->rogue.ticket;
	rogue_free(&w->rogue);
	w->alive = false;
	w->key_told = true;
	super_died(w->super, w->worker[ROGUE], "signal 9");
}

/* Everything that can happen without the clock. */
static void
settle(struct world *w)
{
	unsigned int calm = 0, n;

	while (calm < 2) {
		n = 0;
		if (w->alive && w->key_due != 0 && w->db_due != 0)
			rogue_begin(w);
		if (w->cfg != NULL)
			n += pair_run(w->cfg);
		if (w->db != NULL)
			n += pair_run(w->db);
		keyworld_settle(w->kw);
		look_at_key(w);
		dw_run(w->dw);
		calm = n == 0 ? calm + 1 : 0;
	}
}

/* A killed one is gone, and after a second at most the next is there. */
static void
bury(struct world *w)
{
	unsigned int i;

	settle(w);
	if (!w->kill_due)
		return;
	rogue_die(w);
	settle(w);
	for (i = 0; i < 20 && !w->alive; i++) {
		fakeenv_advance(w->fake, 100 * US_PER_MS);
		settle(w);
	}
	assert_true(w->alive);
	assert_int_equal(proc_state(w->worker[ROGUE]), PROC_RUN);
}

/* The world. */

static void
on_seat(struct proc *p, void *arg)
{
	struct world *w = arg;

	su_seat(p, &w->keyd, &w->dbd, w->worker);
}

static void
be_ready(struct world *w, struct proc *p)
{
	struct msg m;

	msg_init(&m, M_CFG_READY);
	super_msg(w->super, p, &m);
}

static void
auth_key(struct world *w, char text[AUTHKEY_TEXT])
{
	struct key_spec spec;
	struct key_made made;
	char why[256];

	memset(&spec, 0, sizeof(spec));
	spec.user = w->user;
	spec.expires_s = 3600;
	assert_int_equal(op_key_create(dw_dbd(w->dw), &spec, &made, 0, why,
	    sizeof(why)), 0);
	(void)strlcpy(text, made.secret, AUTHKEY_TEXT);
	dw_run(w->dw);
}

static void
victim_shake(struct world *w)
{
	struct keyside *s = &w->kw->side[HONEST - 1];
	struct rogue_loot *l = &w->loot;

	keyclient_start(w->kw, &w->victim, 0x21, l->init);
	keyside_accept(s, 1, l->init);
	keyworld_settle(w->kw);
	assert_true(keyclient_ready(s, 1, &w->victim));
	l->nrecord = noise_seal(w->kw->noise, &w->victim.tx, l->record,
	    "PRI", 3);
	keyside_confirm(s, 1, l->record, l->nrecord);
	keyworld_settle(w->kw);
	assert_true(keyclient_is_ok(s, 1, &w->victim, "PRI"));
	l->ticket = s->last.u.key_noise_ok.ticket;
	memcpy(l->machine_key, l->ticket.key, KEY_LEN);
}

static void
victim_register(struct world *w)
{
	struct rogue_loot *l = &w->loot;
	const struct msg *got;
	struct msg m;

	auth_key(w, l->auth_key);
	memset(l->node_key, 0x4e, KEY_LEN);
	msg_init(&m, M_DB_REG);
	m.u.db_reg.ticket = l->ticket;
	memcpy(m.u.db_reg.node_key, l->node_key, KEY_LEN);
	m.u.db_reg.has_auth = true;
	m.u.db_reg.auth_key = slice_str(l->auth_key);
	m.u.db_reg.hostinfo.hostname = slice_str("victim");
	l->request = dw_send(w->honest, &m);
	dw_run(w->dw);
	got = dw_reply(w->honest, l->request);
	assert_non_null(got);
	assert_int_equal(got->type, M_DB_REG_OK);
	l->tailnet = got->u.db_reg_ok.tailnet;
	l->node = got->u.db_reg_ok.node;
}

static void
victim_map(struct world *w)
{
	struct rogue_loot *l = &w->loot;
	const struct msg *got;
	struct msg m;
	uint32_t id;

	l->stream = 11;
	msg_init(&m, M_DB_MAP_OPEN);
	m.u.db_map_open.ticket = l->ticket;
	m.u.db_map_open.stream = l->stream;
	m.u.db_map_open.h2 = 1;
	memcpy(m.u.db_map_open.node_key, l->node_key, KEY_LEN);
	m.u.db_map_open.capver = KEYWORLD_CAPVER;
	id = dw_send(w->honest, &m);
	dw_run(w->dw);
	got = dw_reply(w->honest, id);
	assert_non_null(got);
	assert_int_equal(got->type, M_DB_MAP_OK);
	msg_init(&m, M_DB_MAP_STARTED);
	m.u.db_map_started.tailnet = l->tailnet;
	m.u.db_map_started.node = l->node;
	m.u.db_map_started.generation = l->stream;
	(void)dw_send(w->honest, &m);
	dw_run(w->dw);
}

/* The victim's worker still gets everything done. */
static void
victim_lives(struct world *w, uint8_t disco)
{
	struct keyside *s = &w->kw->side[HONEST - 1];
	struct noise_client c;
	const struct msg *got;
	struct msg m;
	uint32_t id;

	assert_true(dw_is_up(w->honest));
	assert_false(s->keyd_down);
	msg_init(&m, M_DB_MAP_LITE);
	m.u.db_map_lite.ticket = w->loot.ticket;
	m.u.db_map_lite.h2 = 3;
	memcpy(m.u.db_map_lite.node_key, w->loot.node_key, KEY_LEN);
	m.u.db_map_lite.capver = KEYWORLD_CAPVER;
	memset(m.u.db_map_lite.disco_key, disco, KEY_LEN);
	id = dw_send(w->honest, &m);
	settle(w);
	got = dw_reply(w->honest, id);
	assert_non_null(got);
	assert_int_equal(got->type, M_DB_LITE_OK);
	assert_true(got->u.db_lite_ok.changed);
	assert_null(dw_differs(w->honest));
	assert_int_equal(dw_node(w->honest, w->loot.node)->disco_key[0],
	    disco);

	keyclient_accept(s, disco, &c, disco);
	settle(w);
	assert_true(keyclient_ready(s, disco, &c));
	keyclient_confirm(s, disco, &c, "new");
	settle(w);
	assert_true(keyclient_is_ok(s, disco, &c, "new"));
}

static void
rogue_joins(struct world *w)
{
	char text[AUTHKEY_TEXT];

	auth_key(w, text);
	if (!rogue_join(&w->rogue, text))
		fail_msg("the double cannot join: %s", w->rogue.why);
}

static void
no_log(int level, const char *line, void *arg)
{
	(void)level;
	(void)line;
	(void)arg;
}

static int
setup(void **state)
{
	struct super_ops ops = {
		on_spawn, on_kill, on_send, on_pair, on_configure, on_serving,
		on_outcome, on_stopped, NULL, NULL, NULL
	};
	struct world *w;
	char why[256];

	log_capture(no_log, NULL);
	w = calloc(1, sizeof(*w));
	assert_non_null(w);
	w->attack = *state;
	ops.arg = w;
	w->dw = dw_new();
	/* Nothing dies with the power here, and syncing takes its time. */
	(void)sqlite3_exec(dw_store(w->dw)->db, "PRAGMA synchronous=OFF",
	    NULL, NULL, NULL);
	w->fake = dw_env(w->dw);
	w->kw = keyworld_new(w->fake);
	w->super = super_new(fakeenv_env(w->fake), 2, 1, &ops);
	super_each(w->super, on_seat, w);
	assert_int_equal(op_user_add(dw_dbd(w->dw), slice_str("ann"),
	    slice_str(""), &w->user, 0, why, sizeof(why)), 0);
	super_start(w->super, 1);
	be_ready(w, w->keyd);
	be_ready(w, w->dbd);
	be_ready(w, w->worker[HONEST]);
	keyside_up(w->kw, HONEST - 1, proc_generation(w->worker[HONEST]));
	w->honest = dw_worker(w->dw, HONEST,
	    proc_generation(w->worker[HONEST]));
	settle(w);
	assert_true(super_is_serving(w->super));
	victim_shake(w);
	victim_register(w);
	victim_map(w);
	victim_lives(w, 1);

	/* The double's first life, which leaves a ticket. */
	w->rogue.loot = w->loot;
	rogue_joins(w);
	rogue_die(w);
	w->kill_due = false;
	*state = w;
	return 0;
}

static int
teardown(void **state)
{
	struct world *w = *state;

	if (w->alive)
		rogue_free(&w->rogue);
	pair_free(w->cfg);
	if (w->db != NULL && pair_link(w->db, PAIR_B) != NULL)
		dbd_db_down(dw_dbd(w->dw), pair_link(w->db, PAIR_B));
	pair_free(w->db);
	super_free(w->super);
	assert_true(keyworld_free(w->kw));
	assert_int_equal(fakeenv_code(w->fake), -1);
	dw_free(w->dw);
	free(w);
	log_capture(NULL, NULL);
	return 0;
}

/* What others see of the tailnet, online included. */
static void
picture(struct world *w, struct buf *b)
{
	buf_clear(b);
	assert_null(dw_differs(w->honest));
	msg_rec_encode(b, MR_NODE, dw_node(w->honest, w->loot.node));
	buf_u64(b, dw_seq(w->honest));
	buf_u32(b, tailnet_find(dw_dbd(w->dw), w->loot.tailnet)->nnodes);
}

static void
check_blame(struct world *w)
{
	const struct attack *a = w->attack;
	enum msg_link l;

	for (l = LINK_NONE + 1; l < LINK_MAX; l++) {
		if (l == a->link && a->because != LINK_CLOSED) {
			assert_true(w->seen[l].down);
			assert_int_equal(w->seen[l].why, a->because);
		} else
			assert_false(w->seen[l].down);
	}
	assert_int_equal(w->kills, a->link == LINK_NONE ? 0 : 1);
	assert_int_equal(w->kills_else, 0);
	assert_int_equal(proc_state(w->keyd), PROC_RUN);
	assert_int_equal(proc_state(w->dbd), PROC_RUN);
	assert_int_equal(proc_state(w->worker[HONEST]), PROC_RUN);
}

static void
test_attack(void **state)
{
	struct world *w = *state;
	const struct attack *a = w->attack;
	struct buf before = { 0 }, after = { 0 };
	unsigned int i;

	settle(w);
	for (i = 0; i < 20 && !w->alive; i++) {
		fakeenv_advance(w->fake, 100 * US_PER_MS);
		settle(w);
	}
	assert_true(w->alive);
	if (!a->early)
		rogue_joins(w);
	picture(w, &before);
	if (!attack_run(&w->rogue, a))
		fail_msg("%s: %s", a->name, w->rogue.why);
	settle(w);
	check_blame(w);
	picture(w, &after);
	assert_int_equal(before.n, after.n);
	assert_memory_equal(before.p, after.p, after.n);
	bury(w);
	assert_int_equal(w->kills_else, 0);
	victim_lives(w, 2);
	/* The next one in its slot serves as if nothing had been. */
	if (a->link != LINK_NONE)
		rogue_joins(w);
	assert_int_equal(w->kills, a->link == LINK_NONE ? 0 : 1);
	victim_lives(w, 3);
	buf_free(&before);
	buf_free(&after);
}

int
main(void)
{
	static struct CMUnitTest tests[512];
	const struct attack *a;
	size_t n;

	if (noise_init() == -1)
		return 1;
	for (n = 0; (a = attack_get(n)) != NULL; n++) {
		tests[n].name = a->name;
		tests[n].test_func = test_attack;
		tests[n].setup_func = setup;
		tests[n].teardown_func = teardown;
		tests[n].initial_state = (void *)(uintptr_t)a;
	}
	return _cmocka_run_group_tests("rogue", tests, n, NULL, NULL);
}
