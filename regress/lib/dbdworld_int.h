/* Inside regress/lib: what dbdworld.c is made of. */

#ifndef REGRESS_LIB_DBDWORLD_INT_H
#define REGRESS_LIB_DBDWORLD_INT_H

#include <sys/queue.h>

#include "regress/lib/dbdworld.h"
#include "regress/lib/fakepolicyc.h"
#include "regress/lib/pair.h"

#define DW_MAX_NODES	70000

/* A message that came to a worker. */
struct dw_got {
	struct msg	 m;
	uint8_t		*p;		/* its octets */
};

struct dbdworker {
	TAILQ_ENTRY(dbdworker) all;
	struct dbdworld	*w;
	struct pair	*pair;
	struct link	*mine;
	struct link	*theirs;
	uint16_t	 slot;
	uint64_t	 gen;
	uint32_t	 next_id;	/* of requests, over all links */
	bool		 deaf;
	bool		 down;		/* on dbd's side */
	enum link_why	 why;
	struct dw_got	*got;
	size_t		 ngot;
	size_t		 cap;
	bool		 holds;		/* the replica */
	uint8_t		 batch[BATCH_LEN];
	uint64_t	 seq;
	uint64_t	 tailnet;
	struct buf	*node;		/* by id */
	struct buf	 parts;		/* of a snapshot on its way */
	struct buf	 policy;
	uint8_t		 policy_kind;
	struct r_node	 tmp;
};

struct dbdworld {
	struct fakeenv	*fe;
	char		 dir[64];
	char		 path[80];
	struct store	*store;
	struct dbd	*d;
	struct dbd_conf	 conf;
	uint8_t		 boot[16];
	bool		 no_memfd;
	char		 text[256];
	struct pair	*pol;		/* to the policy compiler */
	struct fakepolicyc *policyc;
	unsigned int	 policycs;
	bool		 no_policyc;
	bool		 policyc_waits;
	bool		 wants_policyc;
	TAILQ_HEAD(, dbdworker) workers;
};

/* Says what is wrong with the test's world and aborts. */
void	dw_die(const char *what) __attribute__((__noreturn__));

/* Master starts the policy compiler that dbd asked for, or says it cannot. */
void	dw_policyc_start(struct dbdworld *);
/* Frees both ends of its link and it; dbd is not told. */
void	dw_policyc_drop(struct dbdworld *);

/* The worker's link is down on both sides, if it was up; dbd is told. */
void	dw_cut(struct dbdworker *);

/* The replica: empty, and what messages of dbd do to it. */
void	dw_replica_clear(struct dbdworker *);
void	dw_replica_msg(struct dbdworker *, const struct msg *);

#endif
