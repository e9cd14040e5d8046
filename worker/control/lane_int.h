/* Tasks and their way to dbd: one lane a session (lane.c). */

#ifndef WORKER_CONTROL_LANE_INT_H
#define WORKER_CONTROL_LANE_INT_H

#include <sys/queue.h>

#include "common/msg.h"
#include "worker/net/net.h"

struct control;
struct held;
struct lane;
struct mapstream;
struct task;

TAILQ_HEAD(task_list, task);
LIST_HEAD(lane_list, lane);
TAILQ_HEAD(held_list, held);

/* First member of all that req_tag() may point to. */
enum tag_kind { TAG_TASK, TAG_STREAM, TAG_HELD, TAG_VERIFY };

/*
 * A request of a client that dbd must answer.  It lives until dbd has
 * answered, also when the client has gone: a stream that dbd opens must be
 * closed.  With a dbd that dies its effect on sessions is gone, too.
 */
struct task {
	enum tag_kind	 tag;		/* TAG_TASK */
	TAILQ_ENTRY(task) entry;	/* in control.open or .later, or
					 * lane.waiting */
	struct control	*control;
	struct lane	*lane;
	struct req	*req;		/* NULL: the client has gone */
	enum msg_type	 type;
	uint32_t	 id;		/* on the DB link; 0: not sent yet */
	uint64_t	 number;	/* in their order */
	bool		 later;		/* dbd has no room for it now */
	struct buf	 body;		/* encoded, to be sent again */
	struct mapstream *ms;		/* DB_MAP_OPEN: its stream to be */
	void		(*done)(struct task *, const struct msg *);
};

/*
 * One DB request in flight a session (trust.md 6); the others of the same
 * session wait here in their order.  Beside a lite update, which may wait for
 * its node's budget, there may be one more: a newer lite update ends the
 * waiting one, and a stream or a registration does not wait for a budget.
 */
struct lane {
	LIST_ENTRY(lane) hash;
	uint64_t	 serial_gen;
	uint64_t	 serial;
	struct task	*busy;
	struct task	*extra;		/* only while busy is a lite update */
	struct task_list waiting;
	struct task	*later;		/* the newest lite update of those that
					 * dbd had no room for: in nobody's
					 * way */
	unsigned int	 nmaps;		/* waiting map requests */
	unsigned int	 nregs;		/* waiting registrations */
	struct held_list regs;		/* held: LANE_REGS are waiting */
	unsigned int	 nheld;		/* held requests, there or not */
	size_t		 held;		/* octets of held map requests */
	bool		 pinned;	/* it is being worked with */
};

#define LANE_MAX	16		/* waiting map requests of a session */
#define LANE_REGS	16		/* likewise registrations: more wait */

/* The session's lane, made if there is none; lane_put() when it is done. */
struct lane	*lane_of(struct control *, const struct req *);
/* No more registrations now: lane_hold_reg(). */
bool		 lane_is_full(const struct lane *);
/* Frees it if nothing is left in it. */
void		 lane_put(struct lane *);
/*
 * A new task for a Noise request; m is encoded at once.  NULL if the session
 * has too many map requests waiting: this one has been answered.
 */
struct task	*task_new(struct control *, struct req *,
		    const struct msg *m,
		    void (*done)(struct task *, const struct msg *));
/* Lets it go to dbd, now or when its turn comes. */
void		 task_go(struct task *);
/* The answer came; done has been called.  Frees it; the lane goes on. */
void		 task_end(struct task *);
/*
 * To be called in done: dbd lets so many lite updates wait for their budgets
 * that it has no room for this one (LITE_LATER in common/ids.h).  It is sent
 * again when one has been answered, unless its session has a newer one then.
 */
void		 task_later(struct task *);
/* The client has gone. */
void		 task_orphan(struct task *);
/* dbd has died: what no client waits for is forgotten. */
void		 tasks_forget(struct control *);
/* A new link took over: send all open tasks again. */
void		 tasks_resend(struct control *);
/* Estimated time of what waits for dbd, in microseconds. */
uint64_t	 tasks_backlog(const struct control *);
/* No room for more: whatever comes must wait. */
bool		 tasks_full(const struct control *);

#endif
