/* Inside regress/sim: a run, its questions and what is asked of memory. */

#ifndef REGRESS_SIM_RUN_INT_H
#define REGRESS_SIM_RUN_INT_H

#include "regress/sim/admin.h"
#include "regress/sim/client.h"
#include "regress/sim/relays.h"

#define CLIENTS_MAX	9
#define SINGLES_MAX	3

struct run {
	struct world	*w;
	struct host	*h;
	struct ways	*ways;
	struct sproc	*outside;
	struct admin	*admin;
	struct relays	*relays;
	struct sclient	*clients[CLIENTS_MAX];
	char		 names[CLIENTS_MAX][16];
	char		 keys[CLIENTS_MAX][256];
	uint64_t	 single[CLIENTS_MAX];	/* id of its key, or 0 */
	unsigned int	 n;
	uint64_t	 single_ids[SINGLES_MAX];
	unsigned int	 nsingles;
	int		 port;		/* that the policy allows; -1 unknown */
	uint64_t	 alice;
};

/* check.c: all that must be true in the calm. */
void	questions(struct run *);

/*
 * soak.c: the same things happen again and again, and memory does not grow.
 */
void	soak(struct run *);

#endif
