/* Inside worker/net: connections, requests and the layers between. */

#ifndef WORKER_NET_NET_INT_H
#define WORKER_NET_NET_INT_H

#include <sys/queue.h>

#include "common/noise.h"
#include "worker/net/edge_int.h"
#include "worker/net/net.h"
#include "worker/net/records.h"
#include "worker/net/ws.h"

#define IN_ENOUGH	16384	/* waits: read no further */
#define IN_MAX		131072	/* waits: whoever reads on is cut off */
#define OUT_CONTROL_MAX	8192	/* pongs that wait */
#define STAGE		65536	/* plaintext of one conn_output() */
#define LINGER_US	(1 * US_PER_S)
#define NUMBERED	256	/* lists of handshakes with keyd */

struct h2;		/* h2.c: an HTTP/2 session */
struct h2_env;		/* h2.c: what all sessions of a worker share */
struct http1;		/* http1.c: the parser of one connection */
struct pipe;		/* pipe.c: what took a connection over */

enum conn_state {
	CONN_HTTP,	/* HTTP/1.1 */
	CONN_H2,	/* HTTP/2 outside Noise */
	CONN_WAIT,	/* upgraded; keyd has not been asked */
	CONN_ASKED,	/* KEY_NOISE_ACCEPT is open */
	CONN_READY,	/* waits for the client's first record */
	CONN_CONFIRM,	/* KEY_NOISE_CONFIRM is open */
	CONN_OPEN,	/* a confirmed session */
	CONN_PIPE,	/* req_pipe() */
	CONN_DONE	/* what is in out is sent, then it is closed */
};

/* May it be read from (room.c)? */
enum conn_room {
	ROOM_FREE,
	ROOM_OWN,	/* no: it holds all that one connection may */
	ROOM_DRAIN,	/* no: until what it asked is answered */
	ROOM_LINE,	/* no: it is in net->line */
	ROOM_SOON	/* not yet: it is in net->soon */
};

TAILQ_HEAD(conn_list, conn);
TAILQ_HEAD(req_list, req);

struct net {
	struct env		*env;
	struct net_conf		 conf;
	struct net_ops		 ops;
	struct link		*key;
	uint8_t			 server_key[NOISE_KEY];
	bool			 has_server_key;
	bool			 hold;
	bool			 ending;	/* net_shutdown() */
	bool			 settling;
	uint32_t		 number;	/* last given to a handshake */
	uint32_t		 nconns;
	uint32_t		 nsessions;
	uint32_t		 nstreams;
	struct conn_list	 conns;
	struct conn_list	 waiting;	/* CONN_WAIT */
	struct conn_list	 numbered[NUMBERED];	/* with keyd */
	struct req_list		 events;
	struct timer		 retry;		/* keyd was busy */
	struct noise		*noise;
	struct h2_env		*h2;
	size_t			 shared;	/* octets beyond conns' own */
	struct conn_list	 line;		/* want some of it */
	struct conn_list	 soon;		/* to be read from again */
	struct conn		*first;		/* may take beyond the bound */
	struct timer		 room;		/* line and soon */
	struct timer		 patience;	/* with first */
	uint64_t		 said_at;	/* that there is no room */
	struct net_edge		 edge;
	struct net_counters	 count;
	uint8_t			 plain[NOISE_PLAIN];	/* of one record */
	uint8_t			 stage[STAGE];
};

/* Of conn and req, first what each message to a stream needs, close by. */
struct conn {
	struct net		*net;
	void			*tag;
	enum conn_state		 state;
	bool			 lingers;	/* DONE: it may read on */
	bool			 eof;		/* the client sends no more */
	bool			 forgotten;	/* by keyd, of itself */
	bool			 confirmed;	/* session says who it is */
	struct h2		*h2;		/* CONN_H2, CONN_READY on */
	struct ws		*ws;		/* NULL: no WebSocket */
	struct pipe		*pipe;		/* CONN_PIPE */
	struct noise_key	 tx;
	struct buf		 out;		/* goes out before all else */
	size_t			 out_at;
	struct buf		 in;		/* waits to be dealt with */
	struct timer		 timer;
	TAILQ_ENTRY(conn)	 entry;
	TAILQ_ENTRY(conn)	 wait;		/* the list of its state */
	size_t			 held;		/* by its requests */
	size_t			 whole;		/* by those that are complete */
	size_t			 shared;	/* of net->shared */
	uint64_t		 stopped;	/* when room became not FREE */
	enum conn_room		 room;
	struct ipport		 peer;
	uint32_t		 number;	/* on the KEY link */
	uint32_t		 key_request;	/* open there; 0: none */
	struct edge		 edge;
	struct http1		*http;		/* CONN_HTTP */
	uint8_t			*init;		/* CONN_WAIT, CONN_ASKED */
	char			*ws_head;	/* its 101, until keyd agrees */
	struct record_in	 rx;
	struct session		 session;
	struct req_list		 reqs;
};

/* Frames to be sent: a ring of references. */
struct fqueue {
	struct frame		**v;
	uint32_t		 first;
	uint32_t		 n;
	uint32_t		 cap;		/* a power of two, or 0 */
	uint32_t		 at;		/* gone of the first */
	size_t			 octets;
};

#define REQ_E_ASK	1	/* complete: hand it over */
#define REQ_E_DRAINED	2
#define REQ_E_GONE	4

struct req {
	struct conn		*conn;
	void			*tag;
	TAILQ_ENTRY(req)	 event;		/* net->events */
	struct fqueue		 queue;
	uint64_t		 progress;	/* when it last moved */
	int32_t			 stream;	/* HTTP/2 id, or 0 */
	uint8_t			 events;	/* REQ_E_ bits */
	bool			 attached;	/* the transport points to it */
	bool			 given;		/* control has it */
	bool			 complete;	/* all of it came */
	bool			 is_head;	/* HEAD */
	bool			 begun;		/* the head is on its way */
	bool			 streaming;	/* counted in net->nstreams */
	bool			 ended;		/* no more will be queued */
	bool			 aborted;
	bool			 headed;	/* h2: the head was sent */
	bool			 ready;		/* h2: in flow.ready */
	bool			 waits_end;	/* h2: the library does */
	int64_t			 window;	/* h2: octets it takes */
	TAILQ_ENTRY(req)	 turn;		/* h2: flow.ready */
	TAILQ_ENTRY(req)	 entry;		/* conn->reqs */
	unsigned int		 nfields;	/* without pseudo-headers */
	size_t			 held;		/* octets that it costs */
	struct buf		 fields;
	struct buf		 body;		/* a secret may be in it */
	struct slice		 method;
	struct slice		 path;
	struct slice		 query;
	struct ipport		 peer;
};

/* conn.c */

void		 conn_kick(struct conn *);
/* A line for the debug log: layer, peer and what happened. */
void		 conn_log(const struct conn *, const char *layer,
		    const char *what);
/* Sets the timer, unless it is to run earlier anyway. */
void		 conn_due(struct conn *, uint64_t at_us);
/*
 * Ends it at once, for a peer's fault or a time that ran out: nothing more is
 * sent, requests are gone.  counter: one of net->count, or NULL.  Not from
 * within a callback of the HTTP/2 library.
 */
void		 conn_fail(struct conn *, uint64_t *counter, const char *why);
/*
 * Ends it when out has left.  linger: give the client a second to read it
 * before the socket is closed on what it still sends.
 */
void		 conn_finish(struct conn *, bool linger);
/* An event of c->ws other than data and more; it may end the connection. */
void		 conn_ws_event(struct conn *, enum ws_event, uint16_t code);
/* HTTP/2 is what it speaks from now on, from the client's preface on. */
void		 conn_speak_h2(struct conn *);
/* Requests come by HTTP/2 now, in Noise or outside. */
bool		 conn_is_h2(const struct conn *);
/* Deals with input that waited; then the caller settles. */
void		 conn_process(struct conn *);

#endif
