#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/compat/compat.h"
#include "regress/lib/pair.h"

struct frame {
	TAILQ_ENTRY(frame)	 entry;
	uint32_t		 type;
	uint32_t		 id;
	uint8_t			*p;
	size_t			 n;
	int			 fd;
};

struct end {
	struct pair		*pair;
	struct link		*link;
	pair_raw		 raw;		/* in place of a link */
	void			*raw_arg;
	TAILQ_HEAD(, frame)	 in;
	size_t			 octets;
	unsigned int		 frames;
	bool			 closed;
	bool			 eof_seen;
};

struct pair {
	struct end		 end[2];
};

static void
put(struct end *to, uint32_t type, uint32_t id, const void *p, size_t n,
    int fd)
{
	struct frame *f;

	f = xcalloc(1, sizeof(*f));
	f->type = type;
	f->id = id;
	/* Its own size: a sanitizer then sees who reads too far. */
	f->p = xmalloc(n == 0 ? 1 : n);
	if (n != 0)
		memcpy(f->p, p, n);
	f->n = n;
	f->fd = fd;
	TAILQ_INSERT_TAIL(&to->in, f, entry);
	to->octets += n;
	to->frames++;
}

static struct frame *
take(struct end *e)
{
	struct frame *f;

	if ((f = TAILQ_FIRST(&e->in)) == NULL)
		return NULL;
	TAILQ_REMOVE(&e->in, f, entry);
	e->octets -= f->n;
	e->frames--;
	return f;
}

static void
frame_free(struct frame *f)
{
	free(f->p);
	free(f);
}

static struct end *
other(struct end *e)
{
	return &e->pair->end[e == &e->pair->end[0] ? 1 : 0];
}

static void
pair_send(void *arg, uint32_t type, uint32_t id, const void *p, size_t n,
    int fd)
{
	struct end *e = arg;

	if (other(e)->closed) {		/* as a broken pipe */
		if (fd != -1)
			(void)close(fd);
		return;
	}
	put(other(e), type, id, p, n, fd);
}

static size_t
pair_queued(void *arg)
{
	struct end *e = arg;

	return other(e)->octets;
}

static void
drop_all(struct end *e)
{
	struct frame *f;

	while ((f = take(e)) != NULL) {
		if (f->fd != -1)
			(void)close(f->fd);
		frame_free(f);
	}
}

static void
pair_close(void *arg)
{
	struct end *e = arg;

	e->closed = true;
	e->link = NULL;
	drop_all(e);
}

static const struct link_io pair_io = {
	.send = pair_send,
	.queued = pair_queued,
	.close = pair_close
};

static struct pair *
pair_make(void)
{
	struct pair *p;
	int i;

	p = xcalloc(1, sizeof(*p));
	for (i = 0; i < 2; i++) {
		p->end[i].pair = p;
		TAILQ_INIT(&p->end[i].in);
	}
	return p;
}

void
pair_confs(struct link_conf *a, struct link_conf *b, enum msg_link kind,
    enum role a_role, enum role b_role, void *arg)
{
	memset(a, 0, sizeof(*a));
	a->kind = kind;
	a->self = a_role;
	a->peer = b_role;
	a->arg = arg;
	*b = *a;
	b->self = b_role;
	b->peer = a_role;
}

struct pair *
pair_new(struct env *env, const struct link_conf *a,
    const struct link_conf *b)
{
	struct pair *p = pair_make();

	p->end[PAIR_A].link = link_new(env, a, &pair_io, &p->end[PAIR_A]);
	p->end[PAIR_B].link = link_new(env, b, &pair_io, &p->end[PAIR_B]);
	return p;
}

struct pair *
pair_new_raw(struct env *env, const struct link_conf *b, pair_raw fn,
    void *arg)
{
	struct pair *p = pair_make();

	p->end[PAIR_A].raw = fn;
	p->end[PAIR_A].raw_arg = arg;
	p->end[PAIR_B].link = link_new(env, b, &pair_io, &p->end[PAIR_B]);
	return p;
}

void
pair_free(struct pair *p)
{
	int i;

	if (p == NULL)
		return;
	for (i = 0; i < 2; i++)
		link_free(p->end[i].link);
	for (i = 0; i < 2; i++)
		drop_all(&p->end[i]);
	free(p);
}

struct link *
pair_link(struct pair *p, enum pair_end end)
{
	return p->end[end].link;
}

bool
pair_step(struct pair *p, enum pair_end to)
{
	struct end *e = &p->end[to];
	struct frame *f;

	if (e->closed)
		return false;
	if ((f = take(e)) != NULL) {
		if (e->raw != NULL)
			e->raw(f->type, f->id, f->p, f->n, f->fd, e->raw_arg);
		else
			link_input(e->link, f->type, f->id, f->p, f->n,
			    f->fd);
		frame_free(f);
		return true;
	}
	if (!other(e)->closed || e->eof_seen)
		return false;
	e->eof_seen = true;
	if (e->raw == NULL)
		link_eof(e->link);
	return true;
}

unsigned int
pair_run(struct pair *p)
{
	unsigned int n = 0;
	bool any;

	do {
		any = false;
		if (pair_step(p, PAIR_A)) {
			any = true;
			n++;
		}
		if (pair_step(p, PAIR_B)) {
			any = true;
			n++;
		}
	} while (any);
	return n;
}

unsigned int
pair_waiting(const struct pair *p, enum pair_end to)
{
	return p->end[to].frames;
}

void
pair_inject(struct pair *p, enum pair_end to, uint32_t type, uint32_t id,
    const void *octets, size_t n, int fd)
{
	if (p->end[to].closed) {
		if (fd != -1)
			(void)close(fd);
		return;
	}
	put(&p->end[to], type, id, octets, n, fd);
}

void
pair_forge(struct pair *p, enum pair_end to, const struct msg *m)
{
	struct buf b = { 0 };

	msg_encode(&b, m);
	pair_inject(p, to, m->type, m->id, b.p, b.n, m->fd);
	buf_free(&b);
}

void
pair_kill(struct pair *p, enum pair_end end)
{
	if (p->end[end].raw != NULL)
		pair_close(&p->end[end]);
	else
		link_free(p->end[end].link);
}
