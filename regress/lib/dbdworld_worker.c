#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "dbd/worker_int.h"
#include "regress/lib/dbdworld_int.h"

/* The workers of a dbdworld: their links, what they send and are sent. */

static void
keep(struct dbdworker *k, const struct msg *m)
{
	struct buf b = { NULL, 0, 0 };
	struct dw_got *g;

	if (k->ngot == k->cap) {
		k->cap = k->cap == 0 ? 64 : k->cap * 2;
		k->got = xrealloc(k->got, k->cap, sizeof(*k->got));
	}
	msg_encode(&b, m);
	g = &k->got[k->ngot++];
	g->p = b.p;
	if (msg_decode(&g->m, m->type, b.p, b.n) == -1)
		dw_die("own encoding");
	g->m.id = m->id;
}

static void
worker_msg(struct link *l, const struct msg *m, void *tag, void *arg)
{
	struct dbdworker *k = arg;
	struct msg bare = *m;

	(void)l;
	(void)tag;
	dw_replica_msg(k, m);
	bare.fd = -1;
	keep(k, &bare);
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
	pair_confs(&a, &b, LINK_DB, ROLE_WORKER, ROLE_DBD, k);
	a.on_msg = worker_msg;
	a.on_down = worker_down;
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

void
dw_cut(struct dbdworker *k)
{
	if (k->theirs != NULL && k->w->d != NULL)
		dbd_db_down(k->w->d, k->theirs);
	pair_free(k->pair);
	k->pair = NULL;
	k->mine = k->theirs = NULL;
}

struct dbdworker *
dw_worker_quiet(struct dbdworld *w, uint16_t slot, uint64_t gen)
{
	struct dbdworker *k;

	k = xcalloc(1, sizeof(*k));
	k->w = w;
	k->slot = slot;
	k->gen = gen;
	k->node = xcalloc(DW_MAX_NODES, sizeof(*k->node));
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
dw_restart_with(struct dbdworker *k, bool full)
{
	dw_restart(k->w, full);
	join(k);
	dw_hello(k);
}

void
dw_kill(struct dbdworker *k)
{
	pair_kill(k->pair, PAIR_A);
	k->mine = NULL;
	dw_replica_clear(k);
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

uint32_t
dw_send(struct dbdworker *k, const struct msg *m)
{
	if (k->mine == NULL)
		dw_die("the worker's link is down");
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
		dw_die("no such request");
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
