/*
 * worker/net with keyd's real core behind it and clients before it, joined in
 * memory: what tests of the transport share.
 */

#ifndef REGRESS_LIB_NETWORLD_H
#define REGRESS_LIB_NETWORLD_H

#include "keyd/keyd.h"
#include "regress/lib/fakeenv.h"
#include "regress/lib/h2_client.h"
#include "regress/lib/pair.h"
#include "worker/net/net.h"

#define NETWORLD_REQS	512

struct networld;

/* What the other end of a connection is. */
struct wire {
	struct networld		*world;
	struct conn		*conn;		/* NULL: closed */
	struct h2_client	*client;	/* NULL: raw octets */
	struct buf		 to;		/* raw: to the server */
	struct buf		 from;		/* raw: from it, all of it */
	size_t			 piece;		/* octets a read; 0: all */
	bool			 stuck;		/* takes no output */
	bool			 mute;		/* sends nothing */
	bool			 done;		/* the server closed it */
	struct wire		*next;
	/* What the client has been answered, all streams together. */
	unsigned int		 heads, ends;
	unsigned int		 status;	/* of the last */
	uint32_t		 error;		/* of the last stream's end */
	int32_t			 last_end;
	struct buf		 data;
	struct buf		 fields;	/* "name: value\n" */
};

typedef void	networld_req(struct req *, struct networld *);

struct networld {
	struct fakeenv		*fake;
	struct env		*env;
	struct net		*net;
	struct keyd		*keyd;		/* NULL: away */
	struct pair		*pair;
	struct wire		*wires;
	uint64_t		 keyd_gen;
	struct req		*reqs[NETWORLD_REQS];	/* unanswered */
	size_t			 nreqs;
	unsigned int		 asked, gone, drained, kicks;
	/* NULL: requests are kept in reqs. */
	networld_req		*on_req;
	bool			 nonsense;	/* the KEY link went down */
	bool			 borrowed;	/* fake and net are another's */
};

/* conf NULL: handshake 10 s, idle 300 s, stall 60 s, 16 KB, 1 MB, 10,000. */
struct networld	*networld_new(const struct net_conf *conf);
/* The same around a net that stays the caller's, and its clock. */
struct networld	*networld_around(struct fakeenv *, struct net *);
void		 networld_free(struct networld *);
/*
 * Of cmocka: *state is networld_new(NULL); at the end no frame may be left.
 */
int		 networld_setup(void **state);
int		 networld_teardown(void **state);
/*
 * Of fuzz targets: made at the first call, with small bounds, and kept; NULL
 * if there is no crypto.
 */
struct networld	*networld_fuzz(networld_req *);
/*
 * Likewise: n octets (n > 0) for a new connection, in pieces as long as the
 * first octet says, 0: in one; that octet itself is not sent.  Then the end.
 */
void		 networld_pieces(struct networld *, enum conn_kind,
		    const uint8_t *, size_t n);
/* keyd comes (again), or goes. */
void		 networld_keyd(struct networld *, bool up);
/* Moves octets and messages until nothing more happens at this time. */
void		 networld_run(struct networld *);
/* Moves the clock in steps of at most a tenth of a second and runs. */
void		 networld_pass(struct networld *, uint64_t us);

/* A connection of raw octets. */
struct wire	*wire_raw(struct networld *);
void		 wire_send(struct wire *, const char *);
/* A client with machine key number who; conf NULL: a stock one. */
struct wire	*wire_client(struct networld *, uint8_t who,
		    const struct h2_client_conf *conf);
/* The same, and its session is confirmed. */
struct wire	*wire_open(struct networld *, uint8_t who);
/* The client closes it. */
void		 wire_close(struct wire *);
/* One request's answer is here: returns its status, fills in w->data. */
unsigned int	 wire_ask(struct wire *, const char *method, const char *path,
		    const void *body, size_t n);

/* Answers or streams as control would. */
void		 reply_status(struct req *, unsigned int status,
		    const char *text);
void		 begin_stream(struct req *);
void		 send_octets(struct req *, size_t n, uint8_t what);

#endif
