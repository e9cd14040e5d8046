/* Inside worker/control. */

#ifndef WORKER_CONTROL_CONTROL_INT_H
#define WORKER_CONTROL_CONTROL_INT_H

#include <sys/queue.h>

#include "worker/control/control.h"
#include "worker/control/lane_int.h"
#include "worker/control/parse.h"

TAILQ_HEAD(snap_list, snap);
LIST_HEAD(mapstream_list, mapstream);

#define HASH_SIZE	1024		/* lanes and streams */

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
	struct held_list *list;		/* in which it is */
	size_t		 octets;	/* of a map request: its cost */
	uint64_t	 since;
};

/* A question of an outside relay that is with dbd (verify.c). */
struct verify {
	enum tag_kind	 tag;		/* TAG_VERIFY */
	TAILQ_ENTRY(verify) entry;
	struct control	*control;
	struct req	*req;		/* NULL: nobody waits any more */
	uint32_t	 id;
};
TAILQ_HEAD(verify_list, verify);
struct askers;

struct control {
	struct env	*env;
	struct control_ops ops;
	struct net	*net;
	struct tailnets	*tailnets;
	struct link	*db;
	struct link	*key;
	struct msg	 key_said;	/* its KEY_SERVER; M_NONE: none yet */
	uint16_t	 slot;
	struct relay	*relay;		/* NULL until control_set_slot() */
	bool		 derp_on;
	bool		 derp_plain;	/* without TLS, too */
	struct buf	 bootstrap;	/* JSON of /bootstrap-dns */
	struct derpsrc	*derpsrc;	/* what the DERP map is made of */
	struct acme	*acme;		/* what dbd has said of ACME */
	struct tls_signer signer;
	struct tls	*tls;		/* NULL: none */
	struct buf	 self_cert;	/* DER, from keyd */
	uint16_t	 self_key;	/* its key's number */
	struct verify_list verifies;
	unsigned int	 nverifies;
	struct askers	*askers;	/* verify.c's; NULL: none yet */
	uint32_t	 next_id;	/* for the next DB link */
	struct task_list open;		/* sent, or waiting for a link */
	struct task_list later;		/* of all lanes, in their order */
	uint64_t	 task_number;	/* the last one's */
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
	size_t		 held_octets;	/* of map requests */
	struct timer	 held_timer;
	uint64_t	 defer_at;	/* when the last one refused comes */
	struct timer	 linger;	/* drops replicas without streams */
	struct snap_list snaps;		/* snapshots that come in parts */
	size_t		 snap_octets;	/* of all of them, so far */
};

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
/* Goes to dbd, or waits for those of its session that did before. */
void		 register_go(struct control *, struct req *);
/* One of the session has been answered: those that waited for it go. */
void		 register_next(struct control *, struct lane *);
void		 map_request(struct control *, struct req *);
/* Past overload control: goes to dbd. */
void		 map_admit(struct control *, struct req *,
		    const struct mapreq *);
/* 503: come again after so many seconds.  Never for a registration. */
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
 * A map request waits until there is less to do, or is refused if there are
 * too many.
 */
void		 overload_hold(struct control *, struct req *,
		    const struct mapreq *);
/*
 * A registration waits until dbd has less to do.  How many do is bounded by
 * the memory that worker/net has for requests.
 */
void		 overload_hold_reg(struct control *, struct req *);
/* Likewise until its session has fewer. */
void		 lane_hold_reg(struct control *, struct lane *, struct req *);
void		 overload_gone(struct control *, struct held *);
/* It waits no more. */
struct req	*overload_release(struct control *, struct held *);
void		 overload_tick(void *);

/* Answers with a short text. */
void		 reply_text(struct req *, unsigned int status, const char *,
		    ...) __attribute__((__format__(printf, 3, 4)));
void		 reply_json(struct req *, unsigned int status, struct buf *);

#endif
