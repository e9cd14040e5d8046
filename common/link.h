/*
 * One end of a link: the table's permissions, credit, request ids, deadlines
 * and blame.  Pure: octets come in by link_input() and leave through a
 * link_io, which in daemons is imsg over a socket (ev_link) and in the
 * simulator a queue.
 */

#ifndef COMMON_LINK_H
#define COMMON_LINK_H

#include "common/env.h"
#include "common/msg.h"

struct link;

/* Why a link went down, and what CFG_BLAME carries. */
enum link_why {
	LINK_EOF,		/* the peer closed it or died */
	LINK_BAD_TYPE,		/* the table does not permit the message */
	LINK_BAD_BODY,		/* it did not decode */
	LINK_BAD_FD,		/* a descriptor too many or too few */
	LINK_BAD_ID,		/* answer to nothing, or a request id twice */
	LINK_CREDIT,		/* more open requests than its credit */
	LINK_DEADLINE,		/* a request was not answered in time */
	LINK_FORGED,		/* ticket or claim that is not the peer's */
	LINK_OVERFLOW,		/* our queue to it grew beyond its bound */
	LINK_CLOSED		/* by us */
};

struct link_io {
	/*
	 * Queues one framed message.  Takes over fd (-1: none) whatever
	 * happens.  Copies p.
	 */
	void	(*send)(void *, uint32_t type, uint32_t id, const void *p,
		    size_t n, int fd);
	/* Octets queued and not yet taken by the peer's socket. */
	size_t	(*queued)(void *);
	/* Closes the transport; nothing is called after it. */
	void	(*close)(void *);
};

struct link_conf {
	enum msg_link	 kind;
	enum role	 self;
	enum role	 peer;
	uint16_t	 slot;		/* the peer's, from CFG_LINK */
	uint64_t	 generation;
	size_t		 queue_max;	/* octets to a slow peer; 0: 64 MB */
	/*
	 * A checked message.  Its slices live until the handler returns; its
	 * fd (if any) is the handler's.  For a reply or row, tag is what
	 * link_request() was given, else NULL.
	 */
	void		(*on_msg)(struct link *, const struct msg *, void *tag,
			    void *arg);
	/*
	 * The link is down; called once, not from within link_send().  Open
	 * requests of ours are handed out by link_orphans() until then and
	 * within.  The receiver of this call frees the link, now or later.
	 */
	void		(*on_down)(struct link *, enum link_why, void *arg);
	void		*arg;
};

/* A new link in state MSG_SETUP (KEY links: MSG_RUN).  Never NULL. */
struct link	*link_new(struct env *, const struct link_conf *,
		    const struct link_io *, void *io_arg);
/* Closes it without on_down, and frees it.  NULL is fine. */
void		 link_free(struct link *);

/* Sends a notify or a row (m->id names the request) or orders.  m->fd moves. */
void		 link_send(struct link *, const struct msg *m);
/* Sends the last reply to the peer's request m->id. */
void		 link_reply(struct link *, const struct msg *m);
/*
 * Sends a request, or queues it inside while its credit is used up, and
 * returns its id (never 0).  The answers come to on_msg with tag.  after_us:
 * deadline for the answer, 0 for none; when it passes the link goes down with
 * LINK_DEADLINE.
 */
uint32_t	 link_request(struct link *, const struct msg *m, void *tag,
		    uint64_t after_us);
/* Sends a request under an id that an earlier link of the kind gave. */
void		 link_request_again(struct link *, const struct msg *m,
		    uint32_t id, void *tag);
/* The answer of request id is wanted no more; it will be swallowed. */
void		 link_forget(struct link *, uint32_t id);
/* Calls fn for each request of ours that is still open (id, type, tag). */
void		 link_orphans(struct link *, void (*fn)(uint32_t id,
		    enum msg_type, void *tag, void *arg), void *arg);
/* Where the next id starts on a link that follows another. */
void		 link_set_next_id(struct link *, uint32_t);
uint32_t	 link_next_id(const struct link *);

/* Requests of the peer that we have not answered (all types). */
unsigned int	 link_owed(const struct link *);
/* Requests that wait inside for credit. */
unsigned int	 link_waiting(const struct link *);
size_t		 link_queued(struct link *);
/* Octets that the peer's socket has taken so far: it grows or stands. */
uint64_t	 link_taken(struct link *);
void		 link_set_state(struct link *, enum msg_state);
enum msg_state	 link_state(const struct link *);
enum role	 link_peer(const struct link *);
uint16_t	 link_slot(const struct link *);
uint64_t	 link_generation(const struct link *);
bool		 link_is_down(const struct link *);
/* Why it is down; LINK_EOF while it is not. */
enum link_why	 link_down_why(const struct link *);
/* A new bound of the octets to a slow peer (reload); 0: 64 MB. */
void		 link_set_queue_max(struct link *, size_t);

/*
 * The core found the peer out (LINK_FORGED): the link goes down at once and
 * nothing more is read from it.  Whoever gets on_down reports to master; a
 * violation by a superior ends our own process instead (env_end).
 */
void		 link_violation(struct link *, enum link_why);

/* For transports: one framed message came; fd is ours now. */
void		 link_input(struct link *, uint32_t type, uint32_t id,
		    const void *, size_t, int fd);
struct imsg;
/* The same with one of imsg(3), which is freed and with it wiped. */
void		 link_input_imsg(struct link *, struct imsg *);
/* For transports: the peer is gone. */
void		 link_eof(struct link *);

/* "ticket forged", for logs. */
const char	*link_why_text(enum link_why);

#endif
