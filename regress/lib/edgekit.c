#include <stdlib.h>

#include "common/compat/compat.h"
#include "regress/lib/dbdworld_int.h"
#include "regress/lib/edgekit.h"

struct got {
	struct msg	 m;
	struct buf	 b;
	enum edge_end	 end;
	bool		 taken;
};

struct side {
	struct edge	*e;
	enum edge_end	 end;
	struct pair	*pair;
	struct link	*mine;
	bool		 cut;
};

struct edge {
	struct dbdworld	*w;
	struct side	 side[EDGE_ENDS];
	struct got	**got;
	size_t		 n;
};

struct edge *
edge_new(struct dbdworld *w)
{
	struct edge *e;
	int i;

	e = xcalloc(1, sizeof(*e));
	e->w = w;
	for (i = 0; i < EDGE_ENDS; i++) {
		e->side[i].e = e;
		e->side[i].end = (enum edge_end)i;
	}
	return e;
}

static void
my_msg(struct link *l, const struct msg *m, void *tag, void *arg)
{
	struct side *s = arg;
	struct edge *e = s->e;
	struct got *g;

	(void)l;
	(void)tag;
	g = xcalloc(1, sizeof(*g));
	msg_encode(&g->b, m);
	if (msg_decode(&g->m, m->type, g->b.p, g->b.n) == -1)
		dw_die("own encoding");
	g->m.id = m->id;
	g->end = s->end;
	e->got = xrealloc(e->got, e->n + 1, sizeof(*e->got));
	e->got[e->n++] = g;
}

static void
my_down(struct link *l, enum link_why why, void *arg)
{
	struct side *s = arg;

	(void)why;
	s->mine = NULL;
	link_free(l);
}

static void
dbd_msg(struct link *l, const struct msg *m, void *tag, void *arg)
{
	struct side *s = arg;

	if (s->end == EDGE_OUT)
		dbd_out_msg(s->e->w->d, l, m, tag);
	else
		dbd_acme_msg(s->e->w->d, l, m, tag);
}

static void
dbd_down(struct link *l, enum link_why why, void *arg)
{
	struct side *s = arg;

	s->cut = why != LINK_EOF;
	if (s->end == EDGE_OUT)
		dbd_out_down(s->e->w->d, l);
	else
		dbd_acme_down(s->e->w->d, l);
	link_free(l);
}

void
edge_up(struct edge *e, enum edge_end end)
{
	struct side *s = &e->side[end];
	struct link_conf a, b;

	pair_free(s->pair);
	pair_confs(&a, &b, end == EDGE_OUT ? LINK_OUT : LINK_ACME,
	    end == EDGE_OUT ? ROLE_OUT : ROLE_KEYD, ROLE_DBD, s);
	a.on_msg = my_msg;
	a.on_down = my_down;
	b.on_msg = dbd_msg;
	b.on_down = dbd_down;
	s->cut = false;
	s->pair = pair_new(fakeenv_env(e->w->fe), &a, &b);
	s->mine = pair_link(s->pair, PAIR_A);
	link_set_state(s->mine, MSG_RUN);
	if (end == EDGE_OUT)
		dbd_out_up(e->w->d, pair_link(s->pair, PAIR_B));
	else
		dbd_acme_up(e->w->d, pair_link(s->pair, PAIR_B));
	edge_run(e);
}

void
edge_down(struct edge *e, enum edge_end end)
{
	pair_kill(e->side[end].pair, PAIR_A);
	e->side[end].mine = NULL;
	edge_run(e);
}

bool
edge_is_cut(const struct edge *e, enum edge_end end)
{
	return e->side[end].cut;
}

void
edge_restart(struct edge *e, bool full)
{
	int i;

	for (i = 0; i < EDGE_ENDS; i++) {
		pair_free(e->side[i].pair);
		e->side[i].pair = NULL;
		e->side[i].mine = NULL;
	}
	dw_restart(e->w, full);
}

void
edge_run(struct edge *e)
{
	unsigned int steps;
	int i;

	do {
		dw_run(e->w);
		steps = 0;
		for (i = 0; i < EDGE_ENDS; i++) {
			if (e->side[i].pair == NULL)
				continue;
			while (pair_step(e->side[i].pair, PAIR_A))
				steps++;
			while (pair_step(e->side[i].pair, PAIR_B))
				steps++;
		}
	} while (steps != 0);
}

void
edge_pass(struct edge *e, uint64_t us)
{
	uint64_t step;

	for (; us > 0; us -= step) {
		step = us < US_PER_S ? us : US_PER_S;
		fakeenv_advance(e->w->fe, step);
		edge_run(e);
	}
}

const struct msg *
edge_take(struct edge *e, enum edge_end end, enum msg_type type)
{
	size_t i;

	for (i = 0; i < e->n; i++)
		if (!e->got[i]->taken && e->got[i]->end == end &&
		    e->got[i]->m.type == type) {
			e->got[i]->taken = true;
			return &e->got[i]->m;
		}
	return NULL;
}

void
edge_send(struct edge *e, enum edge_end end, const struct msg *m)
{
	struct link *l = e->side[end].mine;

	if (l == NULL)
		dw_die("that process is not there");
	if (msg_class(m->type) == MSG_REQUEST)
		(void)link_request(l, m, NULL, 0);
	else if (msg_class(m->type) == MSG_REPLY)
		link_reply(l, m);
	else
		link_send(l, m);
	edge_run(e);
}

void
edge_worker_ok(struct edge *e, struct dbdworker *k)
{
	const struct msg *q;
	struct msg m;
	unsigned int i;

	for (i = 0; (q = dw_got(k, M_DB_CHALLENGE, i)) != NULL; i++) {
		msg_init(&m, M_DB_CHALLENGE_OK);
		m.id = q->id;
		link_reply(k->mine, &m);
	}
	dw_forget(k);
	edge_run(e);
}

void
edge_free(struct edge *e)
{
	struct got *g;
	int i;

	for (i = 0; i < EDGE_ENDS; i++) {
		if (e->side[i].pair == NULL)
			continue;
		if (pair_link(e->side[i].pair, PAIR_A) != NULL)
			pair_kill(e->side[i].pair, PAIR_A);
		while (pair_step(e->side[i].pair, PAIR_B))
			;
		/* dbd is told by a timer. */
		fakeenv_advance(dw_env(e->w), 0);
		pair_free(e->side[i].pair);
	}
	while (e->n > 0) {
		g = e->got[--e->n];
		buf_free(&g->b);
		free(g);
	}
	free(e->got);
	free(e);
}
