/* Inside worker/net: what a connection has before HTTP. */

#ifndef WORKER_NET_EDGE_INT_H
#define WORKER_NET_EDGE_INT_H

#include <sys/queue.h>

#include "common/env.h"
#include "worker/net/edge.h"
#include "worker/net/crowd.h"
#include "worker/net/tlsrec.h"
#include "worker/net/ws.h"

#define EDGE_HSTS	"max-age=31536000"	/* a year (RFC 6797 6.1) */
/* Room without which plain_output() begins nothing: see pipe.h. */
#define PLAIN_OUTPUT_MIN (1024 + WS_HEAD_MAX)
#define EDGE_HALF_OPEN	1024	/* handshakes that wait for their clients */
#define EDGE_SIGNING	4	/* ... for a signature, at once */

struct conn;
struct req;

enum edge_phase {
	EDGE_PROXY,	/* a PROXY header comes */
	EDGE_FIRST,	/* the first octet tells what it is */
	EDGE_HELLO,	/* a TLS handshake */
	EDGE_TLS,	/* records */
	EDGE_PLAIN
};

/* Of a connection. */
struct edge {
	enum edge_phase	 phase;
	enum conn_kind	 kind;
	bool		 ended;		/* nothing may follow out */
	struct buf	 raw;		/* not dealt with: a part of a record */
	struct buf	 out;		/* goes out as it is, before all else */
	size_t		 out_at;
	struct tls_hs	*hs;		/* EDGE_HELLO, from its first record */
	bool		 fresh;		/* hs: nothing left for the client */
	size_t		 signing;	/* raw's first octets wait for hs */
	struct tlsrec	*rec;		/* EDGE_TLS */
	struct ipport	 real;		/* peer before X-Forwarded-For */
	bool		 unnamed;	/* its PROXY header named nobody */
	bool		 stands;	/* in net->edge.line */
	struct crowd	*source;	/* NULL: not counted */
	TAILQ_ENTRY(conn) line;
	TAILQ_ENTRY(conn) half;		/* net->edge.half, if hs */
};

TAILQ_HEAD(half_list, conn);

/* Of a net. */
struct net_edge {
	struct prefix		 proxies[EDGE_PROXIES];
	size_t			 nproxies;
	struct tls		*tls;
	struct tlsrec_env	*records;
	bool			 hold;
	struct half_list	 half;
	unsigned int		 nhalf;
	unsigned int		 signing;	/* conns that are */
	struct half_list	 line;		/* a ClientHello is there */
	struct conn		*served;	/* of line */
	struct timer		 turn;		/* the next, for line */
	uint64_t		 spent;		/* on answers in this one */
	struct crowds		*sources;
	uint32_t		 per_source;	/* 0: any number */
	bool			 hsts;
	bool			 has_meta;
	uint8_t			 meta[TLS_DERP_KEY];
	char			 meta_host[TLS_HOST];
	struct timer		 meta_timer;
	struct edge_counters	 count;
};

/* edge.c */

void		 edge_init(struct net *);
void		 edge_end(struct net *);
/* A new connection; false if it must not be. */
bool		 edge_new(struct conn *, enum conn_kind, bool proxy);
/* Nothing more is read; failed: nothing more is sent either. */
void		 edge_leave(struct conn *, bool failed);
void		 edge_free(struct conn *);
/* It has not come to HTTP yet. */
bool		 edge_is_early(const struct conn *);
/* A whole request outside Noise: whom it is from. */
void		 edge_forwarded(const struct conn *, const struct req *,
		    struct ipport *);
/* Answers outside Noise are to have Strict-Transport-Security: EDGE_HSTS. */
bool		 edge_hsts(const struct conn *);

/* The rest of edge.c, for hello.c. */

/* Deals with n more octets, first with those that wait in raw. */
void		 edge_feed(struct conn *, const uint8_t *, size_t n);
/*
 * How many octets are missing before it makes sense to look at raw again; 0:
 * none.
 */
size_t		 edge_missing(const struct conn *);
/* An alert is in out: it goes, and nothing else; counted, and logged. */
void		 edge_fail(struct conn *, uint64_t *counter, const char *why);

/* hello.c: EDGE_HELLO */

void		 hello_init(struct net *);
/* What waited for a signature may go on, unless there is a hold. */
void		 hello_wake(struct net *);
/* Input: how many octets it took, 0 if it needs more or has to wait. */
size_t		 hello_eat(struct conn *, const uint8_t *, size_t n);
/*
 * How many octets there must be before something is done with them: those of
 * a record, and at first those of all that the ClientHello fills.  0: they are
 * not such, and alert says why.  What is no ClientHello is left to the library.
 */
size_t		 hello_need(const struct conn *, const uint8_t *, size_t n,
		    enum tlsrec_alert *alert);
/* It is over, or established: its handshake is freed. */
void		 hello_leave(struct conn *);

/* conn.c: the same as conn_input() and so on, without TLS. */

/* clean: the client said so (close_notify). */
void		 plain_eof(struct conn *, bool clean);

void		 plain_input(struct conn *, const void *, size_t);
bool		 plain_wants_input(const struct conn *);
/* max is at least PLAIN_OUTPUT_MIN. */
size_t		 plain_output(struct conn *, uint8_t *dst, size_t max);
bool		 plain_wants_output(const struct conn *);
bool		 plain_is_done(const struct conn *);
/* DONE, and nothing of it is left to be written. */
bool		 plain_is_empty(const struct conn *);

#endif
