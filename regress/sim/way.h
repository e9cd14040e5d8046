/*
 * A client's connection to a worker, over a network that delays octets: what
 * sockets and the Internet are in the simulation.
 */

#ifndef REGRESS_SIM_WAY_H
#define REGRESS_SIM_WAY_H

#include "regress/sim/host.h"

struct ways;		/* all connections to a host */
struct way;		/* one */

struct way_conf {
	uint64_t	 min_us;	/* delay of the client's network */
	uint64_t	 max_us;
	struct ipport	 from;
	/* Octets of the server's. */
	void		(*octets)(void *arg, const uint8_t *, size_t);
	/* The server closed it, or died: way_close() is all that is left. */
	void		(*ended)(void *arg);
	void		*arg;
};

/* Never NULL. */
struct ways	*ways_new(struct world *, struct host *);
/* When the host is gone and the world has run until no event is left. */
void		 ways_free(struct ways *);
/* The worker of this slot has died, and the connections that it held. */
void		 ways_worker_gone(struct ways *, unsigned int slot);
/* control_ops.kick of all workers: this connection has something to say. */
void		 ways_kick(struct conn *);

/*
 * Connects to a listener chosen by n (host_accept()); NULL: nobody accepts.
 * conf is copied.  The caller calls way_close() in the end.
 */
struct way	*way_open(struct ways *, uint64_t n, const struct way_conf *);
/* n octets for the server, n > 0. */
void		 way_put(struct way *, const void *, size_t n);
/* Reads nothing until then. */
void		 way_stall(struct way *, uint64_t until);
/* The slot of the worker at the other end. */
unsigned int	 way_slot(const struct way *);
/*
 * The client gives it up: no callback from now on.  A worker that hangs hears
 * of it when it goes on.  NULL is fine.
 */
void		 way_close(struct way *);

#endif
