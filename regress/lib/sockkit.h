/* The socket layer of a worker on a real loop, with a listener on loopback. */

#ifndef REGRESS_LIB_SOCKKIT_H
#define REGRESS_LIB_SOCKKIT_H

#include <netinet/in.h>

#include "worker/net/sock.h"

/* The first member of what a test has: all callbacks get it. */
struct sockkit {
	struct ev	*ev;
	struct net	*net;
	struct sock_set	*set;
	struct sockaddr_in addr;	/* where slot 3 listens and accepts */
	unsigned int	 turns;		/* of this sockkit_run() */
	bool		(*over)(void *);
	struct timer	 clock;		/* so that turns come */
};

/* ops: kick and arg are filled in.  False if there is no crypto. */
bool		 sockkit_open(struct sockkit *, const struct net_conf *,
		    const struct net_ops *, void (*on_pause)(bool, void *));
void		 sockkit_close(struct sockkit *);
/* Turns until over(), asked after each of them, says so; not for ever. */
void		 sockkit_run(struct sockkit *, bool (*over)(void *));
/* A socket that listens, on a port of the kernel's choice. */
int		 sockkit_listen(struct sockaddr_in *);
/* A client, connected; it does not block. */
int		 sockkit_dial(const struct sockkit *);
/* Connections that are there. */
uint32_t	 sockkit_conns(const struct sockkit *);

#endif
