#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/compat/compat.h"
#include "common/log.h"
#include "common/memfd.h"
#include "common/ticket.h"
#include "dbd/batch_int.h"
#include "dbd/worker_int.h"
#include "regress/lib/dbdworld.h"
#include "regress/lib/fakepolicyc.h"
#include "regress/lib/pair.h"

#define MAX_NODES	70000

struct got {
	struct msg	 m;
	uint8_t		*p;
};

struct dbdworker {
	TAILQ_ENTRY(dbdworker) all;
	struct dbdworld	*w;
	struct pair	*pair;
	struct link	*mine;
	struct link	*theirs;
	uint16_t	 slot;
	uint64_t	 gen;
	uint32_t	 next_id;	/* of requests, over all links */
	bool		 deaf;
	bool		 down;		/* on dbd's side */
	enum link_why	 why;
	struct got	*got;
	size_t		 ngot;
	size_t		 cap;
	bool		 holds;		/* the replica */
	uint8_t		 batch[BATCH_LEN];
	uint64_t	 seq;
	uint64_t	 tailnet;
	struct buf	*node;		/* by id */
	struct buf	 parts;		/* of a snapshot on its way */
	struct buf	 policy;
	uint8_t		 policy_kind;
	struct r_node	 tmp;
};

struct dbdworld {
	struct fakeenv	*fe;
	char		 dir[64];
	char		 path[80];
	struct store	*store;
	struct dbd	*d;
	struct dbd_conf	 conf;
	uint8_t		 boot[16];
	bool		 no_memfd;
	char		 text[256];
	struct pair	*pol;		/* to the policy compiler */
	struct fakepolicyc *policyc;
	unsigned int	 policycs;
	bool		 no_policyc;
	bool		 policyc_waits;
	bool		 wants_policyc;
	TAILQ_HEAD(, dbdworker) workers;
};

static const uint8_t secret[32] = "a boot secret for tests, 32 oct";

static void
die(const char *what)
{
	fprintf(stderr, "dbdworld: %s\n", what);
	abort();
}

/* The world around dbd. */

static int
w_seal(const void *p, size_t n, void *arg)
{
	struct dbdworld *w = arg;

	return w->no_memfd ? -1 : memfd_make("snapshot", p, n);
}

static void
w_blame(const struct link *l, enum link_why why, void *arg)
{
	(void)l;
	(void)why;
	(void)arg;
}

static void
w_ask(const struct msg *m, void *tag, void *arg)
{
	(void)m;
	(void)tag;
	(void)arg;
}

static void
w_policyc(void *arg)
{
	struct dbdworld *w = arg;

	if (w->wants_policyc)
		die("master is asked twice");
	w->wants_policyc = true;	/* master takes its time */
}

static void
start(struct dbdworld *w, bool full)
{
	struct dbd_ops ops = { w_seal, w_blame, w_ask, w_policyc, NULL };
	char why[256];

	ops.arg = w;
	if (full)
		w->boot[0]++;
	w->store = store_open_sqlite(w->path, NULL, w->boot, why, sizeof(why));
	if (w->store == NULL)
		die(why);
	w->d = dbd_new(fakeenv_env(w->fe), w->store, &w->conf, secret, full,
	    &ops);
	if (w->d == NULL)
		die("dbd_new");
	w->wants_policyc = false;
	dbd_start(w->d);
}

static void
conf_default(struct dbd_conf *c)
{
	memset(c, 0, sizeof(*c));
	c->base_domain = slice_str("tailnet.internal");
	if (!prefix_parse(&c->prefix4, slice_str("100.64.0.0/10")) ||
	    !prefix_parse(&c->prefix6, slice_str("fd7a:115c:a1e0::/48")))
		die("prefix");
	c->grace_ms = 10000;
	c->ephemeral_s = 120;
	c->resume_ms = 5000;
	c->presume_s = 60;
	c->max_nodes = 10000;
	c->budget_burst = 8;
	c->budget_refill_ms = 10000;
	c->queue_max = 64 * 1024 * 1024;
	c->log_keep = 1000;
}

struct dbdworld *
dw_new(void)
{
	struct dbdworld *w;

	if (sodium_init() == -1)
		die("sodium");
	w = xcalloc(1, sizeof(*w));
	TAILQ_INIT(&w->workers);
	w->fe = fakeenv_new(7);
	conf_default(&w->conf);
	(void)snprintf(w->dir, sizeof(w->dir), "/tmp/t_dbd.XXXXXX");
	if (mkdtemp(w->dir) == NULL)
		die("mkdtemp");
	(void)snprintf(w->path, sizeof(w->path), "%s/db", w->dir);
	start(w, true);
	return w;
}

static void
remove_files(struct dbdworld *w)
{
	static const char *const tail[] = { "", "-wal", "-shm", "-journal" };
	char name[128];
	size_t i;

	for (i = 0; i < sizeof(tail) / sizeof(tail[0]); i++) {
		(void)snprintf(name, sizeof(name), "%s%s", w->path, tail[i]);
		(void)unlink(name);
	}
	(void)rmdir(w->dir);
}

static void
replica_clear(struct dbdworker *k)
{
	uint64_t id;

	buf_free(&k->policy);

	for (id = 0; id < MAX_NODES; id++)
		buf_free(&k->node[id]);
	k->holds = false;
	k->seq = 0;
	memset(k->batch, 0, sizeof(k->batch));
}

static void
cut(struct dbdworker *k)
{
	if (k->theirs != NULL && k->w->d != NULL)
		dbd_db_down(k->w->d, k->theirs);
	pair_free(k->pair);
	k->pair = NULL;
	k->mine = k->theirs = NULL;
}

void
dw_free(struct dbdworld *w)
{
	struct dbdworker *k;

	if (w == NULL)
		return;
	while ((k = TAILQ_FIRST(&w->workers)) != NULL) {
		TAILQ_REMOVE(&w->workers, k, all);
		cut(k);
		dw_forget(k);
		replica_clear(k);
		free(k->got);
		buf_free(&k->parts);
		free(k->node);
		free(k);
	}
	dw_policyc_kill(w);
	dbd_free(w->d);
	store_close(w->store);
	remove_files(w);
	fakeenv_free(w->fe);
	free(w);
}

struct dbd *
dw_dbd(struct dbdworld *w)
{
	return w->d;
}

struct fakeenv *
dw_env(struct dbdworld *w)
{
	return w->fe;
}

struct store *
dw_store(struct dbdworld *w)
{
	return w->store;
}

struct dbd_conf *
dw_conf(struct dbdworld *w)
{
	return &w->conf;
}

void
dw_reconf(struct dbdworld *w)
{
	dbd_reconf(w->d, &w->conf);
}

void
dw_no_memfd(struct dbdworld *w)
{
	w->no_memfd = true;
}

void
dw_restart(struct dbdworld *w, bool full)
{
	struct dbdworker *k;

	TAILQ_FOREACH(k, &w->workers, all) {
		if (k->mine != NULL)
			k->next_id = link_next_id(k->mine);
		pair_free(k->pair);	/* no down: dbd is gone */
		k->pair = NULL;
		k->mine = k->theirs = NULL;
	}
	pair_free(w->pol);	/* likewise */
	w->pol = NULL;
	fakepolicyc_free(w->policyc);
	w->policyc = NULL;
	dbd_free(w->d);
	w->d = NULL;
	store_abandon(w->store);
	start(w, full);
}

/* The policy compiler. */

static void
policyc_msg(struct link *l, const struct msg *m, void *tag, void *arg)
{
	struct dbdworld *w = arg;

	(void)tag;
	if (!fakepolicyc_msg(w->policyc, l, m))
		link_eof(l);
}

static void
policyc_down(struct link *l, enum link_why why, void *arg)
{
	(void)why;
	(void)arg;
	link_free(l);
}

static void
pol_msg(struct link *l, const struct msg *m, void *tag, void *arg)
{
	struct dbdworld *w = arg;

	(void)tag;
	dbd_pol_msg(w->d, l, m);
}

static void
pol_down(struct link *l, enum link_why why, void *arg)
{
	struct dbdworld *w = arg;

	(void)why;
	dbd_pol_down(w->d, l);
	link_free(l);
}

static void
policyc_start(struct dbdworld *w)
{
	struct link_conf a, b;

	w->wants_policyc = false;
	if (w->no_policyc) {
		dbd_pol_failed(w->d, slice_str("no such program"));
		return;
	}
	pair_free(w->pol);	/* its job is over */
	fakepolicyc_free(w->policyc);
	w->policyc = fakepolicyc_new();
	w->policycs++;
	memset(&a, 0, sizeof(a));
	a.kind = LINK_POL;
	a.self = ROLE_POLICYC;
	a.peer = ROLE_DBD;
	a.on_msg = policyc_msg;
	a.on_down = policyc_down;
	a.arg = w;
	b = a;
	b.self = ROLE_DBD;
	b.peer = ROLE_POLICYC;
	b.on_msg = pol_msg;
	b.on_down = pol_down;
	w->pol = pair_new(fakeenv_env(w->fe), &a, &b);
	dbd_pol_up(w->d, pair_link(w->pol, PAIR_B));
}

unsigned int
dw_policycs(const struct dbdworld *w)
{
	return w->policycs;
}

struct fakepolicyc *
dw_policyc(struct dbdworld *w)
{
	return w->policyc;
}

void
dw_policyc_allowed(struct dbdworld *w, bool allowed)
{
	w->no_policyc = !allowed;
}

void
dw_policyc_late(struct dbdworld *w, bool late)
{
	w->policyc_waits = late;
}

void
dw_policyc_kill(struct dbdworld *w)
{
	if (w->pol == NULL)
		return;
	if (pair_link(w->pol, PAIR_A) != NULL)
		pair_kill(w->pol, PAIR_A);
	while (pair_step(w->pol, PAIR_B))
		;
	pair_free(w->pol);
	w->pol = NULL;
	fakepolicyc_free(w->policyc);
	w->policyc = NULL;
}

/* Links. */

static void
keep(struct dbdworker *k, const struct msg *m)
{
	struct buf b = { NULL, 0, 0 };
	struct got *g;

	if (k->ngot == k->cap) {
		k->cap = k->cap == 0 ? 64 : k->cap * 2;
		k->got = xrealloc(k->got, k->cap, sizeof(*k->got));
	}
	msg_encode(&b, m);
	g = &k->got[k->ngot++];
	g->p = b.p;
	if (msg_decode(&g->m, m->type, b.p, b.n) == -1)
		die("own encoding");
	g->m.id = m->id;
}

/* When it was seen last says nothing while it is online. */
static void
node_encode(struct buf *b, const struct r_node *r)
{
	struct r_node n = *r;

	if (n.online)
		n.last_seen = 0;
	buf_clear(b);
	msg_rec_encode(b, MR_NODE, &n);
}

static void
node_keep(struct dbdworker *k, const struct r_node *r)
{
	if (r->id >= MAX_NODES)
		die("node id out of the test's range");
	node_encode(&k->node[r->id], r);
}

static void
online_keep(struct dbdworker *k, uint64_t id, bool online, int64_t seen)
{
	struct buf was = k->node[id];
	struct r_node r;

	if (msg_rec_decode(&r, MR_NODE, was.p, was.n) == -1)
		die("replica");
	if (r.online == online && online)
		return;
	r.online = online;
	r.last_seen = seen;
	memset(&k->node[id], 0, sizeof(k->node[id]));
	node_keep(k, &r);
	buf_free(&was);
}

static void
map_keep(struct dbdworker *k, const struct m_db_online_map *om)
{
	struct r_node r;
	uint64_t id;
	size_t i;
	bool on;

	for (i = 0; i < om->bits.n * 8; i++) {
		id = om->base + i;
		if (id >= MAX_NODES || k->node[id].n == 0)
			continue;
		on = ((uint8_t)om->bits.p[i / 8] >> i % 8 & 1) != 0;
		if (msg_rec_decode(&r, MR_NODE, k->node[id].p,
		    k->node[id].n) == -1)
			die("replica");
		if (r.online != on)
			online_keep(k, id, on, on ? r.last_seen :
			    om->last_seen);
	}
}

static void
policy_part(struct dbdworker *k, const struct m_db_policy_part *p)
{
	if (p->at == 0)
		buf_clear(&k->policy);
	if (p->at != k->policy.n || p->octets.n > p->size - p->at)
		die("a part of a policy is out of place");
	buf_slice(&k->policy, p->octets);
}

static void
policy_file(struct dbdworker *k, const struct msg *m)
{
	size_t n = (size_t)m->u.db_policy.size;
	const void *p;

	if ((p = memfd_map(m->fd, n)) == NULL)
		die("the policy is not sealed");
	buf_clear(&k->policy);
	buf_put(&k->policy, p, n);
	memfd_unmap(p, n);
	(void)close(m->fd);
}

static void
apply(struct dbdworker *k, const struct msg *m)
{
	switch (m->type) {
	case M_DB_TAILNET:
		k->tailnet = m->u.db_tailnet.tailnet;
		k->policy_kind = m->u.db_tailnet.policy;
		buf_clear(&k->policy);
		break;
	case M_DB_POLICY_PART:
		policy_part(k, &m->u.db_policy_part);
		break;
	case M_DB_NODE_PUT:
		node_keep(k, &m->u.db_node_put.node);
		break;
	case M_DB_NODE_DEL:
		if (k->node[m->u.db_node_del.id].n == 0)
			die("a node was deleted that was not there");
		buf_clear(&k->node[m->u.db_node_del.id]);
		break;
	case M_DB_ONLINE:
		if (k->node[m->u.db_online.node].n != 0)
			online_keep(k, m->u.db_online.node,
			    m->u.db_online.online, m->u.db_online.last_seen);
		break;
	case M_DB_ONLINE_MAP:
		map_keep(k, &m->u.db_online_map);
		break;
	case M_DB_BATCH:
		memcpy(k->batch, m->u.db_batch.batch, BATCH_LEN);
		k->seq = m->u.db_batch.seq;
		break;
	default:
		break;
	}
}

static void
whole(struct dbdworker *k, const void *p, size_t n)
{
	struct msg x;
	struct rd r;

	x.type = M_NONE;
	replica_clear(k);
	k->holds = true;
	rd_init(&r, p, n);
	while (change_next(&r, &x))
		apply(k, &x);
	if (!rd_done(&r) || x.type != M_DB_BATCH)
		die("the snapshot does not end with DB_BATCH");
}

static void
snapshot(struct dbdworker *k, const struct msg *m)
{
	size_t n = (size_t)m->u.db_snapshot.size;
	const void *p;

	if ((p = memfd_map(m->fd, n)) == NULL)
		die("the snapshot is not sealed");
	whole(k, p, n);
	memfd_unmap(p, n);
	(void)close(m->fd);
}

static void
part(struct dbdworker *k, const struct m_db_snapshot_part *p)
{
	if (p->at != k->parts.n)
		die("a part of a snapshot is out of place");
	buf_slice(&k->parts, p->octets);
	if (k->parts.n < p->size)
		return;
	whole(k, k->parts.p, k->parts.n);
	buf_free(&k->parts);
}

static void
worker_msg(struct link *l, const struct msg *m, void *tag, void *arg)
{
	struct dbdworker *k = arg;
	struct msg bare;

	(void)l;
	(void)tag;
	if (m->type == M_DB_SNAPSHOT || m->type == M_DB_POLICY) {
		if (m->type == M_DB_SNAPSHOT)
			snapshot(k, m);
		else
			policy_file(k, m);
		bare = *m;
		bare.fd = -1;
		keep(k, &bare);
		return;
	}
	if (m->type == M_DB_SNAPSHOT_PART)
		part(k, &m->u.db_snapshot_part);
	else
		apply(k, m);
	keep(k, m);
}

static void
worker_down(struct link *l, enum link_why why, void *arg)
{
	struct dbdworker *k = arg;

	(void)why;
	k->mine = NULL;
	link_free(l);
}

static void
dbd_msg(struct link *l, const struct msg *m, void *tag, void *arg)
{
	struct dbdworker *k = arg;

	(void)tag;
	dbd_db_msg(k->w->d, l, m);
}

static void
dbd_down(struct link *l, enum link_why why, void *arg)
{
	struct dbdworker *k = arg;

	k->down = true;
	k->why = why;
	k->theirs = NULL;
	dbd_db_down(k->w->d, l);
	link_free(l);
}

static void
join(struct dbdworker *k)
{
	struct link_conf a, b;

	buf_free(&k->parts);
	memset(&a, 0, sizeof(a));
	a.kind = LINK_DB;
	a.self = ROLE_WORKER;
	a.peer = ROLE_DBD;
	a.on_msg = worker_msg;
	a.on_down = worker_down;
	a.arg = k;
	b = a;
	b.self = ROLE_DBD;
	b.peer = ROLE_WORKER;
	b.slot = k->slot;
	b.generation = k->gen;
	b.queue_max = k->w->conf.queue_max;
	b.on_msg = dbd_msg;
	b.on_down = dbd_down;
	k->pair = pair_new(fakeenv_env(k->w->fe), &a, &b);
	k->mine = pair_link(k->pair, PAIR_A);
	k->theirs = pair_link(k->pair, PAIR_B);
	k->down = false;
	if (k->next_id != 0)
		link_set_next_id(k->mine, k->next_id);
	dbd_db_up(k->w->d, k->theirs);
}

struct dbdworker *
dw_worker_quiet(struct dbdworld *w, uint16_t slot, uint64_t gen)
{
	struct dbdworker *k;

	k = xcalloc(1, sizeof(*k));
	k->w = w;
	k->slot = slot;
	k->gen = gen;
	k->node = xcalloc(MAX_NODES, sizeof(*k->node));
	TAILQ_INSERT_TAIL(&w->workers, k, all);
	join(k);
	return k;
}

void
dw_hello(struct dbdworker *k)
{
	struct msg m;

	if (k->holds) {
		msg_init(&m, M_DB_HAVE);
		m.u.db_have.tailnet = k->tailnet;
		memcpy(m.u.db_have.batch, k->batch, BATCH_LEN);
		m.u.db_have.seq = k->seq;
		link_send(k->mine, &m);
	}
	msg_init(&m, M_DB_HELLO_DONE);
	link_send(k->mine, &m);
	link_set_state(k->mine, MSG_RUN);
	dw_run(k->w);
}

struct dbdworker *
dw_worker(struct dbdworld *w, uint16_t slot, uint64_t gen)
{
	struct dbdworker *k;

	k = dw_worker_quiet(w, slot, gen);
	dw_hello(k);
	return k;
}

void
dw_reconnect(struct dbdworker *k)
{
	join(k);
}

void
dw_kill(struct dbdworker *k)
{
	pair_kill(k->pair, PAIR_A);
	k->mine = NULL;
	replica_clear(k);
	dw_run(k->w);
}

void
dw_deaf(struct dbdworker *k, bool deaf)
{
	k->deaf = deaf;
}

bool
dw_take(struct dbdworker *k)
{
	return k->pair != NULL && pair_step(k->pair, PAIR_A);
}

bool
dw_blamed(const struct dbdworker *k, enum link_why why)
{
	return k->down && k->why == why;
}

bool
dw_is_up(const struct dbdworker *k)
{
	return !k->down && k->theirs != NULL;
}

struct dbdworld *
dw_world(const struct dbdworker *k)
{
	return k->w;
}

struct link *
dw_link(const struct dbdworker *k)
{
	return k->theirs;
}

static unsigned int
deliver(struct dbdworld *w, enum pair_end to)
{
	struct dbdworker *k;
	unsigned int steps = 0;

	if (w->wants_policyc && !w->policyc_waits && to == PAIR_A) {
		policyc_start(w);
		steps++;
	}
	while (w->pol != NULL && pair_step(w->pol, to))
		steps++;
	TAILQ_FOREACH(k, &w->workers, all)
		if (k->pair != NULL && (to == PAIR_B || !k->deaf))
			while (pair_step(k->pair, to))
				steps++;
	return steps;
}

void
dw_deliver(struct dbdworld *w)
{
	while (deliver(w, PAIR_A) + deliver(w, PAIR_B) != 0)
		;
}

void
dw_run(struct dbdworld *w)
{
	unsigned int steps, calm = 0;

	/* Once more after it is quiet: what a turn sent may be answered. */
	while (calm < 2) {
		steps = deliver(w, PAIR_B);
		fakeenv_advance(w->fe, 0);
		dbd_turn(w->d);
		steps += deliver(w, PAIR_A);
		calm = steps == 0 ? calm + 1 : 0;
	}
}

void
dw_pass(struct dbdworld *w, uint64_t us)
{
	uint64_t step;

	while (us > 0) {
		step = us < 100 * US_PER_MS ? us : 100 * US_PER_MS;
		fakeenv_advance(w->fe, step);
		dw_run(w);
		us -= step;
	}
}

/* What workers send. */

void
dw_key(uint8_t key[KEY_LEN], char kind, uint32_t n)
{
	memset(key, 0, KEY_LEN);
	key[0] = (uint8_t)kind;
	key[1] = (uint8_t)(n >> 24);
	key[2] = (uint8_t)(n >> 16);
	key[3] = (uint8_t)(n >> 8);
	key[4] = (uint8_t)n;
}

void
dw_ticket(struct dbdworker *k, uint32_t machine, uint64_t serial,
    struct r_ticket *t)
{
	memset(t, 0, sizeof(*t));
	t->kind = TICKET_MACHINE;
	t->slot = k->slot;
	t->generation = k->gen;
	t->serial_gen = 1;
	t->serial = serial;
	t->capver = 131;
	dw_key(t->key, 'm', machine);
	ticket_sign(t, secret);
}

uint32_t
dw_send(struct dbdworker *k, const struct msg *m)
{
	if (k->mine == NULL)
		die("the worker's link is down");
	if (msg_class(m->type) == MSG_REQUEST)
		return link_request(k->mine, m, NULL, 0);
	link_send(k->mine, m);
	return 0;
}

void
dw_send_again(struct dbdworker *k, struct msg *m, uint32_t id)
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
		die("no such request");
	}
	link_request_again(k->mine, m, id, NULL);
}

void
dw_forge(struct dbdworker *k, const struct msg *m)
{
	pair_forge(k->pair, PAIR_B, m);
}

const struct msg *
dw_reply(struct dbdworker *k, uint32_t id)
{
	size_t i;

	for (i = 0; i < k->ngot; i++)
		if (k->got[i].m.id == id &&
		    msg_class(k->got[i].m.type) == MSG_REPLY)
			return &k->got[i].m;
	return NULL;
}

size_t
dw_place(const struct dbdworker *k, enum msg_type type, unsigned int nth)
{
	size_t i;

	for (i = 0; i < k->ngot; i++)
		if (k->got[i].m.type == type && nth-- == 0)
			return i;
	return SIZE_MAX;
}

const struct msg *
dw_got(struct dbdworker *k, enum msg_type type, unsigned int nth)
{
	size_t i;

	i = dw_place(k, type, nth);
	return i == SIZE_MAX ? NULL : &k->got[i].m;
}

unsigned int
dw_count(const struct dbdworker *k, enum msg_type type)
{
	unsigned int n = 0;
	size_t i;

	for (i = 0; i < k->ngot; i++)
		if (k->got[i].m.type == type)
			n++;
	return n;
}

void
dw_forget(struct dbdworker *k)
{
	while (k->ngot > 0)
		free(k->got[--k->ngot].p);
}

/* Replicas. */

bool
dw_holds(const struct dbdworker *k)
{
	return k->holds;
}

uint64_t
dw_seq(const struct dbdworker *k)
{
	return k->seq;
}

struct slice
dw_policy(const struct dbdworker *k)
{
	return buf_slice_of(&k->policy);
}

uint8_t
dw_policy_kind(const struct dbdworker *k)
{
	return k->policy_kind;
}

const struct r_node *
dw_node(struct dbdworker *k, uint64_t id)
{
	if (id >= MAX_NODES || k->node[id].n == 0 ||
	    msg_rec_decode(&k->tmp, MR_NODE, k->node[id].p,
	    k->node[id].n) == -1)
		return NULL;
	return &k->tmp;
}

static const char *
difference(struct dbdworker *k, const struct msg *m, bool *seen)
{
	const struct r_node *want = &m->u.db_node_put.node;
	struct dbdworld *w = k->w;
	struct buf b = { NULL, 0, 0 };
	bool same;

	seen[want->id] = true;
	node_encode(&b, want);
	same = b.n == k->node[want->id].n &&
	    memcmp(b.p, k->node[want->id].p, b.n) == 0;
	buf_free(&b);
	if (same)
		return NULL;
	(void)snprintf(w->text, sizeof(w->text), "node %llu (%.*s) %s",
	    (unsigned long long)want->id, SLICE_FMT(want->name),
	    k->node[want->id].n == 0 ? "is missing" : "differs");
	return w->text;
}

const char *
dw_differs(struct dbdworker *k)
{
	struct dbdworld *w = k->w;
	struct buf truth = { NULL, 0, 0 };
	const char *what = NULL;
	struct msg m;
	struct rd r;
	bool *seen;
	uint64_t id;

	if (!k->holds)
		return "there is no replica";
	seen = xcalloc(MAX_NODES, sizeof(*seen));
	snapshot_make(tailnet_find(w->d, k->tailnet), &truth);
	rd_init(&r, truth.p, truth.n);
	while (what == NULL && change_next(&r, &m)) {
		if (m.type == M_DB_NODE_PUT)
			what = difference(k, &m, seen);
		if (m.type == M_DB_BATCH && (m.u.db_batch.seq != k->seq ||
		    memcmp(m.u.db_batch.batch, k->batch, BATCH_LEN) != 0))
			what = "it stands at another batch";
	}
	for (id = 0; what == NULL && id < MAX_NODES; id++)
		if (k->node[id].n != 0 && !seen[id])
			what = "it holds a node that is gone";
	free(seen);
	buf_free(&truth);
	return what;
}
