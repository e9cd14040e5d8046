/* Inside regress/lib: server.c and server_dev.c. */

#ifndef REGRESS_LIB_SERVER_INT_H
#define REGRESS_LIB_SERVER_INT_H

#include "regress/lib/server.h"

struct server {
	struct world	*w;
	struct host	*host;
	struct sproc	*outside;
	struct admin	*admin;
	uint64_t	 user;
	const char	*derpmap;
	uint64_t	 link_us;
	struct tcp	*tcps;
	struct dev	*devs;
	unsigned int	 turn;		/* the next connection's worker */
};

/* Closes it; it goes when no event points to it any more. */
void		 tcp_free(struct tcp *);
void		 ask_free(struct ask *);
/* Octets of a map stream's body. */
void		 ask_map_input(struct ask *, const void *, size_t);

#endif
