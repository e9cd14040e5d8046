#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/compat/compat.h"
#include "common/link.h"
#include "common/log.h"
#include "common/secret.h"

#define QUEUE_MAX	(64UL * 1024 * 1024)

/* A request of ours. */
struct req {
	TAILQ_ENTRY(req)	 all;		/* in the order made */
	TAILQ_ENTRY(req)	 wait;		/* while it waits for credit */
	RB_ENTRY(req)		 by_id;
	RB_ENTRY(req)		 by_due;	/* if due != 0 */
	uint32_t		 id;
	enum msg_type		 type;
	uint64_t		 due;
	void			*tag;
	bool			 waiting;
	bool			 forgotten;
	struct buf		 body;		/* while it waits */
	int			 fd;
};
TAILQ_HEAD(req_queue, req);
RB_HEAD(req_ids, req);
RB_HEAD(req_dues, req);

/* A request of the peer's. */
struct owed {
	RB_ENTRY(owed)		 by_id;
	uint32_t		 id;
	enum msg_type		 type;
};
RB_HEAD(owed_ids, owed);

struct link {
	struct env		*env;
	struct link_conf	 conf;
	const struct link_io	*io;
	void			*io_arg;
	enum msg_state		 state;
	uint32_t		 next_id;

	struct req_queue	 reqs;
	struct req_ids		 req_ids;
	struct req_dues		 req_dues;
	struct req_queue	 waits[M_MAX];
	unsigned int		 sent[M_MAX];	/* ours that hold credit */
	unsigned int		 nwaiting;
	size_t			 wait_octets;
	uint64_t		 given;		/* octets, to the transport */

	struct owed_ids		 owed;
	unsigned int		 nowed;
	unsigned int		 owed_type[M_MAX];

	struct buf		 out;		/* scratch for encoding */
	struct timer		 due;
	struct timer		 tell;		/* runs on_down */
	enum link_why		 why;
	unsigned int		 type;		/* being handled, for logs */
	unsigned int		 busy;		/* handlers on the stack */
	bool			 down;
	bool			 closed;	/* the transport */
	bool			 freed;
};

static int
req_id_cmp(struct req *a, struct req *b)
{
	return a->id < b->id ? -1 : a->id > b->id;
}

static int
req_due_cmp(struct req *a, struct req *b)
{
	if (a->due != b->due)
		return a->due < b->due ? -1 : 1;
	return req_id_cmp(a, b);
}

static int
owed_cmp(struct owed *a, struct owed *b)
{
	return a->id < b->id ? -1 : a->id > b->id;
}

RB_GENERATE_STATIC(req_ids, req, by_id, req_id_cmp);
RB_GENERATE_STATIC(req_dues, req, by_due, req_due_cmp);
RB_GENERATE_STATIC(owed_ids, owed, by_id, owed_cmp);

static void
fd_drop(int fd)
{
	if (fd != -1)
		(void)close(fd);
}

static void
close_io(struct link *l)
{
	if (l->closed)
		return;
	l->closed = true;
	l->io->close(l->io_arg);
}

static struct req *
req_find(struct link *l, uint32_t id)
{
	struct req key;

	key.id = id;
	return RB_FIND(req_ids, &l->req_ids, &key);
}

static struct owed *
owed_find(struct link *l, uint32_t id)
{
	struct owed key;

	key.id = id;
	return RB_FIND(owed_ids, &l->owed, &key);
}

/* Takes a request out of the line for credit; what it held is dropped. */
static void
req_unwait(struct link *l, struct req *r)
{
	TAILQ_REMOVE(&l->waits[r->type], r, wait);
	r->waiting = false;
	l->nwaiting--;
	l->wait_octets -= r->body.n;
	if (msg_is_secret(r->type))
		buf_wipe(&r->body);
	else
		buf_free(&r->body);
}

static void
req_free(struct link *l, struct req *r)
{
	if (r->waiting)
		req_unwait(l, r);
	else
		l->sent[r->type]--;
	fd_drop(r->fd);
	if (r->due != 0)
		RB_REMOVE(req_dues, &l->req_dues, r);
	RB_REMOVE(req_ids, &l->req_ids, r);
	TAILQ_REMOVE(&l->reqs, r, all);
	free(r);
}

static void
owed_free(struct link *l, struct owed *o)
{
	RB_REMOVE(owed_ids, &l->owed, o);
	l->owed_type[o->type]--;
	l->nowed--;
	free(o);
}

static void
set_due(struct link *l)
{
	struct req *first;

	first = RB_MIN(req_dues, &l->req_dues);
	if (first == NULL || l->down)
		timer_stop(&l->due);
	else if (!timer_pending(&l->due) || l->due.at != first->due)
		timer_at(&l->due, first->due);
}

static void
go_down(struct link *l, enum link_why why)
{
	if (l->down)
		return;
	l->down = true;
	l->why = why;
	timer_stop(&l->due);
	close_io(l);
	timer_in(&l->tell, 0);
}

static void
on_tell(void *arg)
{
	struct link *l = arg;

	l->busy++;
	l->conf.on_down(l, l->why, l->conf.arg);
	l->busy--;
	if (l->freed && l->busy == 0)
		free(l);
}

static void
on_due(void *arg)
{
	struct link *l = arg;
	struct req *first;

	first = RB_MIN(req_dues, &l->req_dues);
	if (first == NULL || first->due > env_now(l->env)) {
		set_due(l);
		return;
	}
	log_warnx("link deadline peer=%s slot=%u generation=%llu message=%s "
	    "id=%u", role_name(l->conf.peer), l->conf.slot,
	    (unsigned long long)l->conf.generation, msg_name(first->type),
	    first->id);
	go_down(l, LINK_DEADLINE);
}

struct link *
link_new(struct env *env, const struct link_conf *conf,
    const struct link_io *io, void *io_arg)
{
	struct link *l;
	int i;

	l = xcalloc(1, sizeof(*l));
	l->env = env;
	l->conf = *conf;
	if (l->conf.queue_max == 0)
		l->conf.queue_max = QUEUE_MAX;
	l->io = io;
	l->io_arg = io_arg;
	l->state = conf->kind == LINK_KEY ? MSG_RUN : MSG_SETUP;
	l->next_id = 1;
	TAILQ_INIT(&l->reqs);
	RB_INIT(&l->req_ids);
	RB_INIT(&l->req_dues);
	RB_INIT(&l->owed);
	for (i = 0; i < M_MAX; i++)
		TAILQ_INIT(&l->waits[i]);
	timer_init(&l->due, env, on_due, l);
	timer_init(&l->tell, env, on_tell, l);
	return l;
}

void
link_free(struct link *l)
{
	struct req *r;
	struct owed *o;

	if (l == NULL || l->freed)
		return;
	l->freed = l->down = true;
	timer_stop(&l->due);
	timer_stop(&l->tell);
	close_io(l);
	while ((r = TAILQ_FIRST(&l->reqs)) != NULL)
		req_free(l, r);
	while ((o = RB_MIN(owed_ids, &l->owed)) != NULL)
		owed_free(l, o);
	buf_wipe(&l->out);
	if (l->busy == 0)
		free(l);
}

/* Sending. */

/* Sending what the table forbids is our own bug. */
static void
check_own(const struct link *l, const struct msg *m, bool request)
{
	if (!msg_permitted(m->type, l->conf.self, l->conf.peer, l->conf.kind,
	    l->state))
		fatalx("%s must not be sent to %s on %s in state %d",
		    msg_name(m->type), role_name(l->conf.peer),
		    link_kind_name(l->conf.kind), (int)l->state);
	if ((m->fd != -1) != msg_wants_fd(m->type))
		fatalx("%s: descriptor rule", msg_name(m->type));
	if ((msg_class(m->type) == MSG_REQUEST) != request)
		fatalx("%s: sent as what it is not", msg_name(m->type));
}

/* True if n more octets may be queued; otherwise the link goes down. */
static bool
room_for(struct link *l, enum msg_type type, size_t n)
{
	if (link_queued(l) + n <= l->conf.queue_max)
		return true;
	log_warnx("link overflow peer=%s slot=%u generation=%llu message=%s "
	    "queued=%zu", role_name(l->conf.peer), l->conf.slot,
	    (unsigned long long)l->conf.generation, msg_name(type),
	    link_queued(l));
	go_down(l, LINK_OVERFLOW);
	return false;
}

/* A transport has headers of its own: what it holds now is what counts. */
static void
give(struct link *l, enum msg_type type, uint32_t id, const struct buf *b,
    int fd)
{
	size_t before = l->io->queued(l->io_arg);

	l->io->send(l->io_arg, type, id, b->p, b->n, fd);
	l->given += l->io->queued(l->io_arg) - before;
}

static void
send_msg(struct link *l, const struct msg *m, uint32_t id)
{
	buf_clear(&l->out);
	msg_encode(&l->out, m);
	if (room_for(l, m->type, l->out.n))
		give(l, m->type, id, &l->out, m->fd);
	else
		fd_drop(m->fd);
	if (msg_is_secret(m->type))
		buf_wipe(&l->out);
}

void
link_send(struct link *l, const struct msg *m)
{
	enum msg_class class = msg_class(m->type);

	if (l->down) {
		fd_drop(m->fd);
		return;
	}
	check_own(l, m, false);
	if (class == MSG_REPLY)
		fatalx("%s: a reply goes by link_reply", msg_name(m->type));
	if (class == MSG_ROW && owed_find(l, m->id) == NULL)
		fatalx("%s: row to no request", msg_name(m->type));
	send_msg(l, m, class == MSG_ROW ? m->id : 0);
}

void
link_reply(struct link *l, const struct msg *m)
{
	struct owed *o;

	if (l->down) {
		fd_drop(m->fd);
		return;
	}
	check_own(l, m, false);
	if (msg_class(m->type) != MSG_REPLY || (o = owed_find(l, m->id)) ==
	    NULL)
		fatalx("%s: reply to no request", msg_name(m->type));
	owed_free(l, o);
	send_msg(l, m, m->id);
}

static void
add_request(struct link *l, const struct msg *m, uint32_t id, void *tag,
    uint64_t due)
{
	struct req *r;

	r = xcalloc(1, sizeof(*r));
	r->id = id;
	r->type = m->type;
	r->tag = tag;
	r->due = due;
	r->fd = -1;
	TAILQ_INSERT_TAIL(&l->reqs, r, all);
	RB_INSERT(req_ids, &l->req_ids, r);
	if (due != 0) {
		RB_INSERT(req_dues, &l->req_dues, r);
		set_due(l);
	}
	if (l->down) {		/* an orphan from the start */
		fd_drop(m->fd);
		l->sent[m->type]++;
	} else if (l->sent[m->type] < msg_credit(m->type)) {
		l->sent[m->type]++;
		send_msg(l, m, id);
	} else {
		msg_encode(&r->body, m);
		r->fd = m->fd;
		r->waiting = true;
		TAILQ_INSERT_TAIL(&l->waits[r->type], r, wait);
		l->nwaiting++;
		l->wait_octets += r->body.n;
		(void)room_for(l, r->type, 0);
	}
}

uint32_t
link_request(struct link *l, const struct msg *m, void *tag, uint64_t after)
{
	uint64_t now, due = 0;
	uint32_t id;

	if (!l->down)
		check_own(l, m, true);
	do {
		id = l->next_id++;
	} while (id == 0 || req_find(l, id) != NULL);
	if (after != 0) {
		now = env_now(l->env);
		due = after > ENV_NEVER - 1 - now ? ENV_NEVER - 1 :
		    now + after;
	}
	add_request(l, m, id, tag, due);
	return id;
}

void
link_request_again(struct link *l, const struct msg *m, uint32_t id, void *tag)
{
	if (!l->down)
		check_own(l, m, true);
	if (id == 0 || req_find(l, id) != NULL)
		fatalx("%s: request id in use", msg_name(m->type));
	add_request(l, m, id, tag, 0);
}

/* Credit of a type came back: sends the first request that waits for it. */
static void
send_waiting(struct link *l, enum msg_type type)
{
	struct req *r;
	int fd;

	while (!l->down && l->sent[type] < msg_credit(type) &&
	    (r = TAILQ_FIRST(&l->waits[type])) != NULL) {
		l->sent[type]++;
		fd = r->fd;
		r->fd = -1;
		give(l, type, r->id, &r->body, fd);
		req_unwait(l, r);
	}
}

void
link_forget(struct link *l, uint32_t id)
{
	struct req *r;

	if ((r = req_find(l, id)) == NULL)
		return;
	r->forgotten = true;
	r->tag = NULL;
	if (r->waiting) {
		req_free(l, r);
		set_due(l);
	}
}

void
link_orphans(struct link *l, void (*fn)(uint32_t, enum msg_type, void *,
    void *), void *arg)
{
	struct req *r, *next;

	TAILQ_FOREACH_SAFE(r, &l->reqs, all, next)	/* fn may forget it */
		if (!r->forgotten)
			fn(r->id, r->type, r->tag, arg);
}

void
link_set_next_id(struct link *l, uint32_t id)
{
	l->next_id = id;
}

uint32_t
link_next_id(const struct link *l)
{
	return l->next_id;
}

/* Receiving. */

static void
violation(struct link *l, enum link_why why, unsigned int type)
{
	if (l->down)
		return;
	log_warnx("link violation peer=%s slot=%u generation=%llu message=%s "
	    "type=%u why=\"%s\"", role_name(l->conf.peer), l->conf.slot,
	    (unsigned long long)l->conf.generation, msg_name(type), type,
	    link_why_text(why));
	if (role_rank(l->conf.peer) >= role_rank(l->conf.self)) {
		go_down(l, why);
		return;
	}
	/* We do not outlive a superior's mistake; the simulator returns. */
	l->down = true;
	l->why = why;
	timer_stop(&l->due);
	env_end(l->env, 1, "a more trusted process broke the rules");
}

void
link_violation(struct link *l, enum link_why why)
{
	violation(l, why, l->type);
}

/* Notes the peer's request; false if it must not be. */
static bool
take_request(struct link *l, const struct msg *m)
{
	struct owed *o;

	if (m->id == 0 || owed_find(l, m->id) != NULL) {
		violation(l, LINK_BAD_ID, m->type);
		return false;
	}
	if (l->owed_type[m->type] >= msg_credit(m->type)) {
		violation(l, LINK_CREDIT, m->type);
		return false;
	}
	o = xcalloc(1, sizeof(*o));
	o->id = m->id;
	o->type = m->type;
	RB_INSERT(owed_ids, &l->owed, o);
	l->owed_type[m->type]++;
	l->nowed++;
	return true;
}

/*
 * Finds the request of ours that a reply or row answers and its tag; false if
 * there is none, or nobody wants it.
 */
static bool
take_answer(struct link *l, const struct msg *m, void **tag)
{
	struct req *r;
	enum msg_type type;
	bool wanted;

	if ((r = req_find(l, m->id)) == NULL || r->waiting) {
		violation(l, LINK_BAD_ID, m->type);
		return false;
	}
	*tag = r->tag;
	wanted = !r->forgotten;
	if (msg_class(m->type) == MSG_REPLY) {
		type = r->type;
		req_free(l, r);
		set_due(l);
		send_waiting(l, type);
	}
	return wanted;
}

static bool
take(struct link *l, const struct msg *m, void **tag)
{
	switch (msg_class(m->type)) {
	case MSG_REQUEST:
		return take_request(l, m);
	case MSG_REPLY:
	case MSG_ROW:
		return take_answer(l, m, tag);
	case MSG_NOTIFY:
		break;
	}
	if (m->id != 0)
		violation(l, LINK_BAD_ID, m->type);
	return m->id == 0;
}

static void
hand_over(struct link *l, const struct msg *m, void *tag)
{
	unsigned int before = l->type;

	l->type = m->type;
	l->busy++;
	l->conf.on_msg(l, m, tag, l->conf.arg);
	l->busy--;
	l->type = before;
	if (l->freed && l->busy == 0)
		free(l);
}

void
link_input(struct link *l, uint32_t type, uint32_t id, const void *p, size_t n,
    int fd)
{
	struct msg m;
	void *tag = NULL;

	if (l->down) {
		fd_drop(fd);
		return;
	}
	if (!msg_permitted(type, l->conf.peer, l->conf.self, l->conf.kind,
	    l->state)) {
		fd_drop(fd);
		violation(l, LINK_BAD_TYPE, type);
		return;
	}
	if ((fd != -1) != msg_wants_fd(type)) {
		fd_drop(fd);
		violation(l, LINK_BAD_FD, type);
		return;
	}
	if (msg_decode(&m, type, p, n) == -1) {
		fd_drop(fd);
		violation(l, LINK_BAD_BODY, type);
	} else {
		m.id = id;
		m.fd = fd;
		if (take(l, &m, &tag))
			hand_over(l, &m, tag);
		else
			fd_drop(fd);
	}
	if (msg_is_secret(type))
		wipe(&m, sizeof(m));
}

void
link_input_imsg(struct link *l, struct imsg *imsg)
{
	struct ibuf body;
	const void *p = NULL;
	size_t n = 0;

	if (imsg_get_ibuf(imsg, &body) == 0) {
		p = ibuf_data(&body);
		n = ibuf_size(&body);
	}
	link_input(l, imsg_get_type(imsg), imsg_get_id(imsg), p, n,
	    imsg_get_fd(imsg));
	imsg_free(imsg);
}

void
link_eof(struct link *l)
{
	go_down(l, LINK_EOF);
}

/* What it is. */

unsigned int
link_owed(const struct link *l)
{
	return l->nowed;
}

unsigned int
link_waiting(const struct link *l)
{
	return l->nwaiting;
}

size_t
link_queued(struct link *l)
{
	return l->wait_octets + (l->closed ? 0 : l->io->queued(l->io_arg));
}

uint64_t
link_taken(struct link *l)
{
	return l->given - (l->closed ? 0 : l->io->queued(l->io_arg));
}

void
link_set_state(struct link *l, enum msg_state state)
{
	l->state = state;
}

enum msg_state
link_state(const struct link *l)
{
	return l->state;
}

enum role
link_peer(const struct link *l)
{
	return l->conf.peer;
}

uint16_t
link_slot(const struct link *l)
{
	return l->conf.slot;
}

uint64_t
link_generation(const struct link *l)
{
	return l->conf.generation;
}

bool
link_is_down(const struct link *l)
{
	return l->down;
}

enum link_why
link_down_why(const struct link *l)
{
	return l->why;
}

void
link_set_queue_max(struct link *l, size_t max)
{
	l->conf.queue_max = max == 0 ? QUEUE_MAX : max;
}

const char *
link_why_text(enum link_why why)
{
	switch (why) {
	case LINK_EOF:
		return "peer closed";
	case LINK_BAD_TYPE:
		return "message not permitted";
	case LINK_BAD_BODY:
		return "malformed body";
	case LINK_BAD_FD:
		return "descriptor rule broken";
	case LINK_BAD_ID:
		return "bad request id";
	case LINK_CREDIT:
		return "credit overrun";
	case LINK_DEADLINE:
		return "deadline missed";
	case LINK_FORGED:
		return "ticket forged";
	case LINK_OVERFLOW:
		return "queue overflow";
	case LINK_CLOSED:
		return "closed";
	}
	return "unknown";
}
