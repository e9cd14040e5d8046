/*
 * Replicas of tailnets, their changes, and what each stream is told of them
 * (state.md 3 to 6).  Pure; knows nothing of connections or HTTP: a stream
 * hands out frames and hears when they are gone.
 */

#ifndef WORKER_TAILNET_TAILNET_H
#define WORKER_TAILNET_TAILNET_H

#include "common/env.h"
#include "common/msg.h"
#include "worker/frame.h"

struct tailnets;	/* all replicas of a worker */
struct stream;		/* one map stream */
struct derpmap;		/* worker/tailnet/derpmap.h */
struct records;		/* extra DNS records: worker/tailnet/dns.h */

/* From CFG_CONF_WORKER; strings and lists are copied by tailnets_conf(). */
struct tn_conf {
	struct slice	server_url;	/* in hold URLs of SSH rules */
	struct slice	base_domain;
	bool		magic_dns;
	bool		override_local;
	struct msg_list	resolvers;	/* of r_resolver */
	struct msg_list	search;		/* of r_text */
	struct msg_list	split;		/* of r_split */
	uint32_t	keepalive_s;	/* of silence; up to 9 s are added */
	bool		randomize_port;
	bool		taildrop;
	bool		disable_logtail;
};

struct tn_ops {
	/*
	 * One whole message for the stream: frames in order, the length
	 * prefix included; the callee takes references.  first: it is the
	 * stream's first (complete) map.
	 */
	void	(*out)(struct stream *, struct frame *const *, size_t n,
		    bool first, void *arg);
	/*
	 * The stream can go on no longer: its node left the replica, or what
	 * its client may still know cannot be taken back.  Of its deleted
	 * node the client has been told.  Like out, it comes from timers only
	 * and may close the stream.
	 */
	void	(*over)(struct stream *, void *arg);
	void	*arg;
};

struct tailnets	*tailnets_new(struct env *, const struct tn_ops *);
void		 tailnets_free(struct tailnets *);
/* A new configuration: every stream is told what of it changed. */
void		 tailnets_conf(struct tailnets *, const struct tn_conf *);
/* Takes over a parsed map or record set; NULL: none. */
void		 tailnets_derpmap(struct tailnets *, struct derpmap *);
void		 tailnets_records(struct tailnets *, struct records *);

/*
 * Applies one message of "what replicas are made of" (msg.tbl): DB_TAILNET,
 * DB_POLICY_PART, DB_USER_*, DB_NODE_*, DB_BATCH, DB_ONLINE, DB_ONLINE_MAP.
 * A batch is kept aside until its DB_BATCH: nobody sees half of one, and one
 * that was cut off may come again whole.  What is meant for a replica that is
 * not there comes to nothing.  0, or -1 if it makes no sense (a superior's
 * fault: the caller ends the process).
 */
int		 tailnets_apply(struct tailnets *, const struct msg *);
/* The same of DB_POLICY: the octets of its memory, which are copied. */
int		 tailnets_policy(struct tailnets *, uint64_t tailnet,
		    const void *, size_t);
/*
 * Applies a snapshot (DB_SNAPSHOT's octets) as a difference by content, so
 * that streams are told only what really changed; makes the replica if it is
 * not there.  0 or -1 as above.
 */
int		 tailnets_snapshot(struct tailnets *, uint64_t tailnet,
		    const void *, size_t);
/* For DB_HAVE: calls fn for each replica. */
void		 tailnets_each(struct tailnets *, void (*fn)(uint64_t tailnet,
		    const uint8_t batch[16], uint64_t seq, void *arg),
		    void *arg);
/* Forgets a replica without streams. */
void		 tailnets_drop(struct tailnets *, uint64_t tailnet);
/* Number of streams of a tailnet (0 if there is no such replica). */
uint32_t	 tailnets_streams(const struct tailnets *, uint64_t tailnet);
/*
 * The node with this key, in whichever tailnet, has an approved route that it
 * advertises: a subnet router or an exit node.  Others wait for it.
 */
bool		 tailnets_is_router(const struct tailnets *,
		    const uint8_t node_key[32]);

struct stream_conf {
	uint64_t	 tailnet;
	uint64_t	 node;
	uint8_t		 node_key[32];	/* of the request: echoed in Node.Key */
	uint16_t	 capver;
	bool		 compress;	/* zstd, as all real clients ask */
	bool		 omit_peers;
};

/*
 * Opens a stream: its first map goes out through ops.out soon (paced by the
 * tick's CPU budget), then what changes.  NULL if the replica or the node is
 * not there.
 */
struct stream	*stream_open(struct tailnets *, const struct stream_conf *,
		    void *tag);
void		*stream_tag(const struct stream *);
/* All that it was given has left: it may be given more. */
void		 stream_drained(struct stream *);
/*
 * Its node is deleted, or about to be: calls out() at once to tell the client,
 * if it was not told and has had its first map.  Close it after this.
 */
void		 stream_farewell(struct stream *);
/* No out() after this.  Frees it. */
void		 stream_close(struct stream *);
/*
 * One complete map at once (Stream false), always fresh; frames as in out().
 * Returns their number, at most max, or 0 if the node is not there.  The
 * references are the caller's.
 */
size_t		 map_once(struct tailnets *, const struct stream_conf *,
		    struct frame **frames, size_t max);

/*
 * Estimated time to serve what is pending, in microseconds (overload,
 * state.md 10).
 */
uint64_t	 tailnets_backlog(const struct tailnets *);

#endif
