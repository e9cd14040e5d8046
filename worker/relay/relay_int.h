/* Inside worker/relay: clients, whoever has a key, and what waits. */

#ifndef WORKER_RELAY_RELAY_INT_H
#define WORKER_RELAY_RELAY_INT_H

#include <sys/queue.h>

#include "common/buf.h"
#include "worker/relay/frame.h"
#include "worker/relay/pool.h"
#include "worker/relay/ptab.h"
#include "worker/relay/relay.h"

#define DUPS_MAX	4		/* connections of a key */
#define SEEN_MAX	4096		/* sources that a client remembers */
#define SEEN_ALL	(1U << 20)	/* and all clients together */
#define NOTICES_MAX	4096		/* that wait for a client's writer */
#define QUEUE_PKTS	32
#define QUEUE_OCTETS	(256U * 1024)
#define DISCO_RUN	8		/* before one of the others */
#define WHEEL_TICK	(US_PER_S / 4)
#define LATE_US		(US_PER_S / 4)	/* a timer: we stood still */
#define WHEEL_SLOTS	264

enum rc_state {
	RC_INFO,	/* its ClientInfo is not whole yet */
	RC_KEY,		/* keyd has it, or will */
	RC_OPEN,	/* dbd has its ticket, or will */
	RC_LIVE,
	RC_DONE		/* waits to be freed */
};

/* What comes next of a live client's input. */
enum rc_in {
	IN_HEAD,
	IN_BODY,	/* the header is known and paid for */
	IN_SMALL,	/* octets go to head[] */
	IN_PACKET,	/* octets go to part */
	IN_SKIP
};

LIST_HEAD(rclist, rclient);
LIST_HEAD(seen_list, seen);
LIST_HEAD(peers, peer);
TAILQ_HEAD(rclients, rclient);
TAILQ_HEAD(seen_queue, seen);
TAILQ_HEAD(logins, login);
TAILQ_HEAD(sources, source);

/* A key that somebody in the region has: here, at a sibling, or both. */
struct peer {
	uint8_t		 key[DERP_KEY];
	LIST_ENTRY(peer) all;
	struct rclist	 here;		/* the newest first */
	struct rclient	*active;	/* of here; NULL: none has spoken */
	uint8_t		 n;		/* of here */
	bool		 published;	/* dbd says who has it: */
	bool		 ours;		/* what is here takes its packets */
	uint16_t	 slot;
	uint32_t	 link_no;	/* relay->link_no when it was said */
	uint64_t	 generation;
	uint64_t	 tailnet;
	uint8_t		 turns;		/* it went from one to another, */
	uint64_t	 turn_first;	/* so often since then */
	uint64_t	 turn_last;
	struct seen_list seen;
};

/* dst was sent a packet of src's. */
struct seen {
	struct peer	*src;
	struct rclient	*dst;
	LIST_ENTRY(seen) by_src;
	TAILQ_ENTRY(seen) by_dst;
};

struct queue {
	struct pkt	*first;
	struct pkt	**last;		/* where the next is hung in */
	uint32_t	 octets;
	uint32_t	 n;
};

/* A bucket of octets (derp.md 4.8). */
struct limit {
	uint64_t	 level;
	uint64_t	 at;		/* when it was that */
	struct timer	 timer;		/* while the client waits */
};

/* First what each packet touches. */
struct rclient {
	struct relay	*relay;
	struct peer	*peer;		/* while live */
	uint8_t		 state;		/* enum rc_state */
	uint8_t		 in;		/* enum rc_in */
	uint8_t		 nhead;		/* octets in head */
	uint8_t		 run;		/* disco frames in a row */
	bool		 waits;		/* for its bucket to fill */
	bool		 pending;	/* in relay->stall */
	bool		 pong_due;
	bool		 keepalive_due;
	bool		 warned;	/* of others with its key (Health) */
	uint8_t		 head[DERP_HEAD + DERP_PING];
	uint8_t		 pong[DERP_PING];
	bool		 home;
	uint32_t	 skip;		/* octets, or yet to come of part */
	uint64_t	 tailnet;
	uint64_t	 spoke;		/* relay->clock; 0: never */
	struct peer	*to;		/* of its last packet, if: */
	struct rclient	*to_dst;	/* who has seen it */
	uint64_t	 to_epoch;	/* is relay->epoch */
	struct pkt	*part;		/* coming in */
	struct pkt	*cur;		/* going out, from cur_at on */
	uint32_t	 cur_at;
	uint32_t	 ctl_at;	/* gone of ctl */
	struct buf	 ctl;		/* whole frames, before all packets */
	struct queue	 disco;
	struct queue	 data;
	uint64_t	 asked;		/* when its output last moved */
	TAILQ_ENTRY(rclient) stall;
	TAILQ_ENTRY(rclient) wheel;	/* while live */
	TAILQ_ENTRY(rclient) entry;
	LIST_ENTRY(rclient) dup;
	struct seen_queue seen;
	uint32_t	 nseen;
	uint32_t	 charged;	/* to the pool, for notices */
	uint64_t	 not_here;	/* bucket of PeerGone(NotHere) */
	uint64_t	 active_said;	/* DB_RELAY_ACTIVE */
	uint64_t	 since;		/* live */
	struct limit	*limit;		/* NULL: no rate */
	struct login	*login;		/* NULL: live or done */
	void		*tag;
	struct ipport	 from;		/* family 0: without bounds */
	uint16_t	 slot;		/* of its wheel */
	uint16_t	 capver;	/* from here on: its ticket */
	uint64_t	 generation;
	uint64_t	 serial_gen;
	uint64_t	 serial;
	uint8_t		 mac[32];
};

/* A sibling's worker. */
struct mesh {
	struct link	*link;		/* NULL: down */
	uint64_t	 sent;		/* octets, as MESH_TAKEN counts them */
	uint64_t	 acked;
	uint64_t	 taken;
	uint64_t	 told;
};

struct relay {
	struct env	*env;
	struct relay_conf conf;
	struct relay_ops ops;
	struct link	*key;
	struct link	*db;
	uint32_t	 link_no;	/* DB links so far */
	uint32_t	 number;	/* last given to a login */
	uint32_t	 half_open;
	uint32_t	 nseen;
	uint16_t	 slot;
	bool		 has_key;
	bool		 ending;
	uint8_t		 public[DERP_KEY];
	uint8_t		 seed[16];	/* of the tables' hashes */
	uint64_t	 epoch;		/* some peer, client or seen is gone */
	uint64_t	 clock;		/* counts frames */
	struct ptab	 peers;
	struct ptab	 serials;
	struct ptab	 seens;
	struct peers	 all;
	struct logins	 infos;		/* in RC_INFO, by age */
	struct logins	 logins;	/* the others under way */
	struct ptab	 sources;
	struct sources	 refusals;	/* sources that have some, by age */
	uint32_t	 nrefusals;
	uint64_t	 sought;	/* the largest holder, the last time */
	struct rclients	 clients;	/* live */
	struct rclients	 others;	/* half open, or done */
	struct pool	 pool;
	struct rclients	 stall;		/* have output, by asked */
	struct timer	 stall_timer;
	uint64_t	 stall_due;	/* its */
	struct rclients	 wheel[WHEEL_SLOTS];
	uint64_t	 tick;		/* of the wheel: what is done */
	struct timer	 wheel_timer;
	struct timer	 ask_timer;	/* dbd, for those that wait */
	struct timer	 end_timer;
	uint64_t	 end_at;
	uint64_t	 end_from;
	uint32_t	 end_n;		/* clients then */
	struct mesh	*mesh;		/* by slot */
	size_t		 nmesh;
	struct relay_counters count;
};

#endif
