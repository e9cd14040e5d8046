/* Inside worker/control. */

#ifndef WORKER_CONTROL_CONTROL_INT_H
#define WORKER_CONTROL_CONTROL_INT_H

#include <sys/queue.h>

#include "worker/control/control.h"
#include "worker/control/parse.h"

struct task;
struct lane;

TAILQ_HEAD(task_list, task);
TAILQ_HEAD(snap_list, snap);
LIST_HEAD(lane_list, lane);
LIST_HEAD(mapstream_list, mapstream);

/* First member of all that req_tag() may point to. */
enum tag_kind { TAG_TASK, TAG_STREAM, TAG_HELD };

#define HASH_SIZE	1024		/* lanes and streams */

/*
 * A request of a client that dbd must answer.  It lives until dbd has
 * answered, also when the client has gone: a stream that dbd opens must be
 * closed.  With a dbd that dies its effect on sessions is gone, too.
 */
struct task {
	enum tag_kind	 tag;		/* TAG_TASK */
	TAILQ_ENTRY(task) entry;	/* in control.open or lane.waiting */
	struct control	*control;
	struct lane	*lane;
	struct req	*req;		/* NULL: the client has gone */
	enum msg_type	 type;
	uint32_t	 id;		/* on the DB link; 0: not sent yet */
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
	unsigned int	 nmaps;		/* waiting map requests */
	unsigned int	 nregs;		/* waiting registrations */
	size_t		 held;		/* octets of its held requests */
};

#define LANE_MAX	16		/* waiting map requests of a session */
#define LANE_REGS	16		/* waiting registrations of a session */

/* A map stream of a client, from DB_MAP_OPEN to its end. */
struct mapstream {
	enum tag_kind	 tag;		/* TAG_STREAM */
	bool		 listed;	/* in the hash: dbd has answered */
	LIST_ENTRY(mapstream) hash;
	struct control	*control;
	struct req	*req;
	struct stream	*stream;	/* NULL until dbd has answered */
	struct r_ticket	 ticket;
	uint64_t	 number;
	uint32_t	 h2;
	uint64_t	 tailnet;
	uint64_t	 node;
	uint64_t	 generation;
	struct stream_conf sc;
	bool		 once;
	bool		 first_out;	/* head and first map queued */
	bool		 mapped;	/* ... and handed to the transport */
};

/* Requests that wait for better times (state.md 10), in their order. */
enum held_kind { HELD_REG, HELD_ROUTER, HELD_MAP, HELD_KINDS };

struct held {
	enum tag_kind	 tag;		/* TAG_HELD */
	TAILQ_ENTRY(held) entry;
	struct control	*control;
	struct req	*req;
	struct lane	*lane;
	size_t		 octets;	/* what it costs us to keep it */
	uint64_t	 since;
	enum held_kind	 kind;
};
TAILQ_HEAD(held_list, held);

struct control {
	struct env	*env;
	struct control_ops ops;
	struct net	*net;
	struct tailnets	*tailnets;
	struct link	*db;
	uint32_t	 next_id;	/* for the next DB link */
	struct task_list open;		/* sent, or waiting for a link */
	struct lane_list lanes[HASH_SIZE];
	struct mapstream_list streams[HASH_SIZE];
	uint32_t	 nstreams;
	uint64_t	 stream_number;
	unsigned int	 ntasks;
	size_t		 task_octets;	/* of all bodies */
	struct control_counters count;
	uint32_t	 overload_ms;
	bool		 overload;	/* said in the log */
	struct control_counters before;	/* count when it began */
	struct held_list held[HELD_KINDS];
	size_t		 held_octets;
	struct timer	 held_timer;
	uint64_t	 defer_at;	/* when the last one refused comes */
	struct timer	 linger;	/* drops replicas without streams */
	struct snap_list snaps;		/* snapshots that come in parts */
	size_t		 snap_octets;	/* of all of them, so far */
};

/* lane.c: tasks and their way to dbd. */

/* The session's lane, made if there is none; lane_put() when it is done. */
struct lane	*lane_of(struct control *, const struct req *);
/* Frees it if nothing is left in it. */
void		 lane_put(struct lane *);
/*
 * A new task for a Noise request; m is encoded at once.  NULL if the session
 * has too many waiting: the request has been answered or reset.
 */
struct task	*task_new(struct control *, struct req *,
		    const struct msg *m,
		    void (*done)(struct task *, const struct msg *));
/* Lets it go to dbd, now or when its turn comes. */
void		 task_go(struct task *);
/* The answer came; done has been called.  Frees it; the lane goes on. */
void		 task_end(struct task *);
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

/* parts.c */

/*
 * A part of a snapshot; the last one applies it.  0, or -1 if it does not
 * follow the one before or makes no sense (a superior's fault).
 */
int		 snap_part(struct control *, const struct m_db_snapshot_part *);
/* Forgets what is not complete: the link is gone. */
void		 snaps_clear(struct control *);

/* plain.c, register.c, map.c: requests. */
void		 on_plain(struct req *, void *);
void		 on_noise(struct req *, void *);
void		 register_request(struct control *, struct req *);
/* Past tasks_full(): goes to dbd. */
void		 register_admit(struct control *, struct req *);
void		 map_request(struct control *, struct req *);
/* Past overload control: goes to dbd. */
void		 map_admit(struct control *, struct req *,
		    const struct mapreq *);
/* 503: come again after so many seconds.  q NULL: a registration. */
void		 refuse_busy(struct control *, struct req *,
		    const struct mapreq *, int seconds);
/* dbd puts the clocks of the node off by so many seconds. */
void		 map_defer(struct control *, const struct req *,
		    const struct mapreq *, int seconds);
void		 map_gone(struct mapstream *);
void		 map_drained(struct mapstream *);
void		 map_out(struct stream *, struct frame *const *, size_t, bool,
		    void *);
void		 map_over(struct stream *, void *);
void		 map_stream_end(struct control *,
		    const struct m_db_stream_end *);
/* DB_RESUME of every live stream. */
void		 map_resume(struct control *);
void		 map_shutdown(struct control *);

/* overload.c */

/*
 * What to do with a map request now: 0 go on, > 0 refuse with this
 * Retry-After in seconds, < 0 hold it back.
 */
int		 overload_verdict(struct control *, const struct mapreq *);
/*
 * Until there is less to do; a registration (NULL) until there is room.  What
 * is more than may be held is refused.
 */
void		 overload_hold(struct control *, struct req *,
		    const struct mapreq *);
void		 overload_gone(struct control *, struct held *);
void		 overload_tick(void *);

/* Answers with a short text. */
void		 reply_text(struct req *, unsigned int status, const char *,
		    ...) __attribute__((__format__(printf, 3, 4)));
void		 reply_json(struct req *, unsigned int status, struct buf *);

#endif
