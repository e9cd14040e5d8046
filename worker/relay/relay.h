/*
 * The relay (DERP, derp.md): this worker's clients, where everybody else's
 * are, and packets between them.  Pure: octets of a client come in and leave
 * by relay_input() and relay_output(), the rest over links.  It knows nothing
 * of HTTP, TLS and sockets, nor of maps.
 */

#ifndef WORKER_RELAY_RELAY_H
#define WORKER_RELAY_RELAY_H

#include "common/env.h"
#include "common/link.h"

struct relay;		/* all clients of a worker */
struct rclient;		/* one connection of a client */

struct relay_conf {
	uint32_t	rate;		/* octets a second read of one client;
					   0: any number (derp.md 4.8) */
	uint32_t	burst;		/* at least 65,568 */
	uint32_t	stall_ms;	/* a write without progress: 2,000 */
	uint32_t	half_open;	/* logins under way in all: beyond it
					   silent ones of 500 ms end */
	uint64_t	memory;		/* octets of packets that wait, in
					   all; 0: 128 MB */
};

struct relay_ops {
	/*
	 * A client has output, wants input again or is done: the transport
	 * asks it, later.  Comes often; nothing may be called in it.
	 */
	void	(*kick)(struct rclient *, void *arg);
	void	*arg;
};

/* conf and ops are copied.  slot: this worker's.  Never NULL. */
struct relay	*relay_new(struct env *, uint16_t slot,
		    const struct relay_conf *, const struct relay_ops *);
/* Frees all clients without a word to anybody. */
void		 relay_free(struct relay *);
/* Live clients get a full bucket (derp.md 4.8). */
void		 relay_reconf(struct relay *, const struct relay_conf *);

/*
 * The links to keyd and dbd, or NULL while they are away: logins wait (5 s
 * from their ClientInfo on), clients live on.  On a new DB link that is in
 * setup DB_RELAY_HOLD is sent for every live client; before it does anything
 * else the caller says DB_HELLO_DONE and puts the link in service.
 */
void		 relay_key_link(struct relay *, struct link *);
void		 relay_db_link(struct relay *, struct link *);
/*
 * The link to a sibling's worker, NULL when it is down.  The caller frees a
 * link after taking it away; the one that is there already changes nothing.
 * Its queue_max must be well above the credit of 1 MB.
 */
void		 relay_mesh_link(struct relay *, uint16_t slot, struct link *);
/* KEY_SERVER and KEY_DERP_*: others are ignored. */
void		 relay_key_msg(struct relay *, const struct msg *, void *tag);
/*
 * DB_RELAY_*: true if it was one of them.  *bad: dbd broke the rules, and the
 * caller ends the process.
 */
bool		 relay_db_msg(struct relay *, const struct msg *, void *tag,
		    bool *bad);
/*
 * MESH_*.  False: the sibling broke the rules (it acknowledges what it was
 * never sent, or less than before): the caller drops the link.  Packets whose
 * source dbd did not publish there are dropped and counted: dbd's word to us
 * may be on its way.
 */
bool		 relay_mesh_msg(struct relay *, uint16_t slot,
		    const struct msg *);
/* There is a key: clients can be let in. */
bool		 relay_is_ready(const struct relay *);
/* The public key that clients are told; 32 octets. */
const uint8_t	*relay_key(const struct relay *);

/*
 * A connection that has been upgraded: ServerKey is its first output.  from is
 * for logs and bounds by source, NULL for a place without such bounds; tag is
 * the transport's.  Returns NULL if too many logins are under way, 64 of them
 * from there (an IPv4 address or a /64), 16 from there were refused within
 * 30 s, there is no key, or we shut down.
 */
struct rclient	*relay_client_new(struct relay *, const struct ipport *from,
		    void *tag);
void		*relay_client_tag(const struct rclient *);
/*
 * Octets from the client; how many were taken.  Fewer than n: the rest must
 * come again once relay_wants_input() (rate limit, a login under way).
 */
size_t		 relay_input(struct rclient *, const void *, size_t n);
bool		 relay_wants_input(const struct rclient *);
/*
 * Writes up to max octets of output, whole frames or parts of them; 0: there
 * is nothing.  Being asked is progress of the writer (stall_ms).
 */
size_t		 relay_output(struct rclient *, uint8_t *dst, size_t max);
/* The socket took some of what the writer had: progress, too. */
void		 relay_progress(struct rclient *);
bool		 relay_wants_output(const struct rclient *);
/* Close it now, without its output. */
bool		 relay_is_done(const struct rclient *);
/* The connection ended, from either side: frees it. */
void		 relay_client_gone(struct rclient *);
/*
 * Lets nobody in any more and ends logins.  Each client works on and is done
 * within the next spread_ms, at a time of its own (reload of the process).
 */
void		 relay_shutdown(struct relay *, uint32_t spread_ms);
/* Takes it back: it lets clients in, and who is still there stays. */
void		 relay_resume(struct relay *);

/* Names as in derp.md 11; since relay_new(). */
struct relay_counters {
	uint64_t	accepts;	/* upgrades */
	uint64_t	let_in;		/* logins */
	uint64_t	refused;	/* of both, for whatever reason: */
	uint64_t	limited;	/* too many with one key (dbd) */
	uint64_t	evicted;	/* a fifth of its key came */
	uint64_t	warned;		/* told that others have their key */
	uint64_t	packets_in, packets_out;
	uint64_t	bytes_in, bytes_out;
	uint64_t	disco_in;
	uint64_t	mesh_in, mesh_out;
	uint64_t	dropped_unknown;	/* unknown_dest */
	uint64_t	dropped_dup;		/* dup_client */
	uint64_t	dropped_head;		/* queue_head */
	uint64_t	dropped_gone;		/* gone_disconnected */
	uint64_t	dropped_mesh;		/* no credit, or link down */
	uint64_t	dropped_fwd;		/* unknown_dest_on_fwd */
	uint64_t	dropped_memory;		/* relay_conf.memory */
	uint64_t	dropped_notices;	/* PeerGone: too many wait */
	uint64_t	mesh_refused;		/* wrong source or tailnet */
	uint64_t	mesh_bad;		/* links lost for what came */
	uint64_t	gone_disconnected, gone_not_here;
	uint64_t	pings, pongs;
	uint64_t	stalled;		/* write timeouts */
	uint64_t	rate_waits;
	uint64_t	home_in, home_out;
	uint64_t	unknown_frames;
	uint64_t	bad_frames;		/* connections closed for one */
	/* now */
	uint32_t	clients, home, dup_keys, dup_conns;
};
const struct relay_counters *relay_counters(const struct relay *);

#endif
