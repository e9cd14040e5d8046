#include <stdlib.h>
#include <string.h>

#include "common/msg.h"
#include "regress/sim/world_int.h"

struct wire *
wire_new(struct world *w, uint64_t min_us, uint64_t max_us)
{
	struct wire *x;
	int i;

	x = xcalloc(1, sizeof(*x));
	x->world = w;
	x->min_us = min_us;
	x->max_us = max_us;
	for (i = 0; i < 2; i++) {
		x->end[i].wire = x;
		STAILQ_INIT(&x->end[i].in);
	}
	TAILQ_INSERT_TAIL(&w->wires, x, entry);
	return x;
}

static void
drop_packets(struct wend *e)
{
	struct packet *p;
	size_t n;

	while ((p = STAILQ_FIRST(&e->in)) != NULL) {
		STAILQ_REMOVE_HEAD(&e->in, entry);
		if (p->fd != -1)
			free(sim_open(e->wire->world, p->fd, &n));
		free(p);
	}
	e->octets = 0;
}

void
wire_free(struct wire *x)
{
	drop_packets(&x->end[0]);
	drop_packets(&x->end[1]);
	TAILQ_REMOVE(&x->world->wires, x, entry);
	free(x);
}

/* Both ends closed and no event left: nobody can reach it. */
static void
wire_settle(struct wire *x)
{
	if (x->end[0].closed && x->end[1].closed && x->pending == 0 &&
	    !x->end[0].held && !x->end[1].held)
		wire_free(x);
}

static struct wend *
other(struct wend *e)
{
	return e == &e->wire->end[0] ? &e->wire->end[1] : &e->wire->end[0];
}

static void
arrive(void *arg)
{
	struct wend *e = arg;
	struct wire *x = e->wire;
	struct packet *p;
	size_t n;

	x->pending--;
	p = STAILQ_FIRST(&e->in);
	if (p == NULL || e->closed) {
		wire_settle(x);
		return;
	}
	x->pending++;		/* it must survive what follows */
	if (e->link == NULL) {
		/* this end is still in its box: wait for its owner */
		e->boxed++;
		return;
	}
	if (sproc_hangs(e->proc)) {
		world_at(x->world, sproc_wakes(e->proc), arrive, e);
		return;
	}
	STAILQ_REMOVE_HEAD(&e->in, entry);
	e->octets -= p->n;
	sproc_touch(e->proc);
	if (p->eof)
		link_eof(e->link);
	else {
		world_trace(x->world, "%s <- %s %zu %016llx",
		    sproc_name(e->proc), msg_name(p->type), p->n,
		    world_sum(x->world, p->body, p->n));
		link_input(e->link, p->type, p->id, p->body, p->n, p->fd);
		p->fd = -1;
	}
	if (p->fd != -1)
		free(sim_open(x->world, p->fd, &n));
	free(p);
	x->pending--;
	wire_settle(x);
}

static void
put(struct wend *from, uint32_t type, uint32_t id, const void *body, size_t n,
    int fd, bool eof)
{
	struct wend *to = other(from);
	struct world *w = from->wire->world;
	struct packet *p;

	p = xcalloc(1, sizeof(*p) + n);
	p->type = type;
	p->id = id;
	p->fd = fd;
	p->eof = eof;
	p->n = n;
	if (n != 0)
		memcpy(p->body, body, n);
	p->at = world_now(w) + from->wire->min_us +
	    world_rand(w, from->wire->max_us - from->wire->min_us + 1);
	if (p->at <= to->last_at)
		p->at = to->last_at + 1;
	to->last_at = p->at;
	STAILQ_INSERT_TAIL(&to->in, p, entry);
	to->octets += n;
	if (to->octets > w->peak)
		w->peak = to->octets;
	from->wire->pending++;
	world_at(w, p->at, arrive, to);
}

static void
io_send(void *arg, uint32_t type, uint32_t id, const void *p, size_t n, int fd)
{
	struct wend *e = arg;
	size_t k;

	if (e->closed) {
		if (fd != -1)
			free(sim_open(e->wire->world, fd, &k));
		return;
	}
	if (e->proc->limited && !e->proc->dying) {
		if (e->proc->sends_left == 0)
			sproc_kill(e->proc, "killed between two messages");
		else
			e->proc->sends_left--;
	}
	if (e->proc->dying || other(e)->closed) {
		if (fd != -1)
			free(sim_open(e->wire->world, fd, &k));
		return;
	}
	put(e, type, id, p, n, fd, false);
}

static size_t
io_queued(void *arg)
{
	struct wend *e = arg;

	return other(e)->octets;
}

static void
close_end(struct wend *e)
{
	struct wire *x = e->wire;

	if (e->closed)
		return;
	e->closed = true;
	e->link = NULL;
	drop_packets(e);
	if (!other(e)->closed)
		put(e, 0, 0, NULL, 0, -1, true);
	wire_settle(x);
}

static void
io_close(void *arg)
{
	struct wend *e = arg;

	e->held = false;
	if (e->closed)
		wire_settle(e->wire);
	else
		close_end(e);
}

struct link *
wire_link(struct wire *x, enum wire_end which, struct sproc *p,
    const struct link_conf *conf)
{
	static const struct link_io io = { io_send, io_queued, io_close };
	struct wend *e = &x->end[which];

	e->proc = p;
	e->held = true;
	e->link = link_new(sproc_env(p), conf, &io, e);
	for (; e->boxed != 0; e->boxed--)
		world_at(x->world, world_now(x->world) + 100, arrive, e);
	return e->link;
}

void
wires_cut(struct world *w, struct sproc *p)
{
	struct wire *x, *next;
	int i;

	for (x = TAILQ_FIRST(&w->wires); x != NULL; x = next) {
		next = TAILQ_NEXT(x, entry);
		x->pending++;		/* it must survive the loop */
		for (i = 0; i < 2; i++) {
			if (x->end[i].proc != p || x->end[i].closed)
				continue;
			/* its link is still held: its owner frees it */
			close_end(&x->end[i]);
		}
		x->pending--;
		wire_settle(x);
	}
}

size_t
wires_peak(const struct world *w)
{
	return w->peak;
}
