/*
 * Octets in, requests out: HTTP/1.1, ts2021, Noise records, HTTP/2 and
 * WebSocket.  Pure: sockets are worker/net/sock.h's business.  It knows
 * nothing of what a request means.
 */

#ifndef WORKER_NET_NET_H
#define WORKER_NET_NET_H

#include "common/env.h"
#include "common/link.h"
#include "worker/frame.h"
#include "worker/net/edge.h"
#include "worker/net/pipe.h"

struct net;		/* all connections of a worker */
struct conn;		/* one TCP connection */
struct req;		/* one HTTP/1.1 request or one HTTP/2 stream */

struct net_conf {
	uint32_t	handshake_s;	/* accept to confirmed session */
	uint32_t	idle_s;		/* a session without a stream */
	uint32_t	stall_s;	/* a stream without progress */
	uint32_t	header_max;	/* octets of an HTTP/1.1 head */
	uint32_t	body_max;	/* octets of a request body */
	uint32_t	max_conns;
};

/* A confirmed Noise session: who is at the other end. */
struct session {
	struct r_ticket	ticket;		/* ticket.key is the machine key */
	uint16_t	capver;		/* of the initiation */
};

struct net_ops {
	/*
	 * A complete request outside Noise, by HTTP/1.1 or over TLS by HTTP/2;
	 * answer now or later.
	 */
	void	(*plain)(struct req *, void *arg);
	/* A complete request over Noise; req_session() is not NULL. */
	void	(*noise)(struct req *, void *arg);
	/*
	 * The client took the request back, or its connection ended.  The
	 * request is freed after the call; not called once it has ended.
	 */
	void	(*gone)(struct req *, void *arg);
	/*
	 * All that was queued on an open stream has been handed to the
	 * transport: time for what came meanwhile.
	 */
	void	(*drained)(struct req *, void *arg);
	/*
	 * A conn has output, wants input again or must be closed: the socket
	 * layer asks it, later.  Comes often; nothing may be called in it.
	 */
	void	(*kick)(struct conn *, void *arg);
	void	*arg;
};

/* conf and ops are copied.  Never NULL. */
struct net	*net_new(struct env *, const struct net_conf *,
		    const struct net_ops *);
/* Ends all connections. */
void		 net_free(struct net *);
/* New limits for what comes from now on (reload). */
void		 net_reconf(struct net *, const struct net_conf *);
/*
 * The KEY link to keyd, or NULL while keyd is away: handshakes wait for the
 * next (up to handshake_s), sessions live on.
 */
void		 net_key_link(struct net *, struct link *);
/* Hands a message of the KEY link over. */
void		 net_key_msg(struct net *, const struct msg *, void *tag);
/* The server's public Noise key, NULL until keyd has said it. */
const uint8_t	*net_server_key(const struct net *);
/* Confirmed sessions, open map streams (req_begin without end), connections. */
void		 net_count(const struct net *, uint32_t *sessions,
		    uint32_t *streams, uint32_t *conns);
/* GOAWAY on all sessions; no new connections are expected. */
void		 net_shutdown(struct net *);
/* While true no new handshake is begun: connections wait (overload). */
void		 net_hold(struct net *, bool);
uint32_t	 net_max_conns(const struct net *);
/* max_conns are there: do not accept. */
bool		 net_is_full(const struct net *);

/* What happened since net_new(), for status, tests and the simulator. */
struct net_counters {
	uint64_t	conns;		/* connections */
	uint64_t	refused;	/* beyond max_conns */
	uint64_t	plain;		/* requests handed over */
	uint64_t	noise;
	uint64_t	http_bad;	/* answered 400 or 501 */
	uint64_t	head_large;	/* 431, HTTP/1.1 and HTTP/2 */
	uint64_t	body_large;	/* 413, HTTP/1.1 and HTTP/2 */
	uint64_t	upgrades;
	uint64_t	upgrade_bad;	/* POST or GET /ts2021 refused */
	uint64_t	websockets;
	uint64_t	ws_bad;
	uint64_t	sessions;	/* confirmed */
	uint64_t	noise_no;	/* keyd refused, or bad initiation */
	uint64_t	key_lost;	/* keyd died in the handshake */
	uint64_t	late;		/* handshake_s passed */
	uint64_t	record_bad;
	uint64_t	h2_bad;		/* sessions that broke the protocol */
	uint64_t	resets;		/* streams that the client took back */
	uint64_t	stalled;	/* streams and connections: stall_s */
	uint64_t	idle;		/* sessions closed after idle_s */
	uint64_t	flooded;	/* input beyond what may wait */
	uint64_t	stopped;	/* not read from for want of room */
	uint64_t	pipes;		/* requests that became one */
	uint64_t	octets_out;	/* given to the socket layer */
};
const struct net_counters *net_counters(const struct net *);

/*
 * A new TCP connection of a listener of this kind; proxy: it begins with a
 * PROXY header.  tag: the socket layer's.  NULL if max_conns are there, or if
 * the peer is none of the proxies.
 */
struct conn	*conn_new(struct net *, const struct ipport *peer,
		    enum conn_kind, bool proxy, void *tag);
void		*conn_tag(const struct conn *);
/* Octets from the client.  May end requests; never frees the conn. */
void		 conn_input(struct conn *, const void *, size_t);
/* The client closed its side, or the socket failed. */
void		 conn_eof(struct conn *);
/*
 * False: what came is not dealt with yet, do not read on (back-pressure).
 * Asked after conn_input(), conn_output() and kick().
 */
bool		 conn_wants_input(const struct conn *);
/*
 * Writes up to max octets of output to dst and returns how many: records are
 * sealed here, as the socket takes them.  0: nothing to send now.  max is at
 * least CONN_OUTPUT_MIN.  It may hand over a pipelined request and calls
 * drained().
 */
#define CONN_OUTPUT_MIN	2048
size_t		 conn_output(struct conn *, uint8_t *dst, size_t max);
bool		 conn_wants_output(const struct conn *);
/* To be closed when all output is written. */
bool		 conn_is_done(const struct conn *);
/* Ends it: gone() for its requests.  The socket layer closes the socket. */
void		 conn_free(struct conn *);

/* What was asked.  Slices live as long as the request, or req_forget(). */
struct slice	 req_method(const struct req *);
struct slice	 req_path(const struct req *);		/* without query */
struct slice	 req_query(const struct req *);
struct slice	 req_body(const struct req *);
/* A header by lower-case name, the first; n 0 if absent. */
struct slice	 req_header(const struct req *, const char *name);
/*
 * Frees what was asked: its slices and headers are empty from now on.  For
 * streams that live long, once the question has been read.
 */
void		 req_forget(struct req *);
/* NULL outside Noise. */
const struct session *req_session(const struct req *);
/* HTTP/2 stream id; 0 for HTTP/1.1. */
uint32_t	 req_stream_id(const struct req *);
/* As proxies of ours say it, if any (edge.h). */
const struct ipport *req_peer(const struct req *);
/* Room for what control keeps with a request. */
void		 req_set_tag(struct req *, void *);
void		*req_tag(const struct req *);

struct req_head {
	unsigned int	status;
	const char	*type;		/* content type; NULL: none */
	int		retry_after;	/* seconds; < 0: none */
	const char	*extra_name;	/* one more header, or NULL */
	const char	*extra_value;
	const char	*other_name;	/* and another */
	const char	*other_value;
};

/* The whole answer: the request is freed when it is sent; do not touch it. */
void		 req_reply(struct req *, const struct req_head *, const void *,
		    size_t);
/* The head of a streamed answer. */
void		 req_begin(struct req *, const struct req_head *);
/* Queues a frame (a new reference is taken). */
void		 req_send(struct req *, struct frame *);
/* Octets queued and not yet handed to the transport. */
size_t		 req_queued(const struct req *);
/* No more: END_STREAM after the queue; do not touch it again. */
void		 req_end(struct req *);
/* Stops it at once (RST_STREAM CANCEL); do not touch it again. */
void		 req_abort(struct req *);

#endif
