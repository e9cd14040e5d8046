/* Who owns nodes, and by which keys they come. */

#ifndef DBD_OWNER_INT_H
#define DBD_OWNER_INT_H

#include <sys/queue.h>

#include "dbd/core.h"
#include "dbd/index_int.h"

struct tailnet;

/* r's slices point into enc, which is one owned encoding (MR_USER). */
struct user {
	TAILQ_ENTRY(user)	 all;		/* by id */
	struct ixlink		 by_id;		/* dbd */
	struct ixlink		 by_name;	/* tailnet */
	struct tailnet		*tn;
	struct r_user		 r;
	struct buf		 enc;
	uint32_t		 nodes;		/* that it owns */
};
TAILQ_HEAD(user_list, user);

/* What is left of a rate: tokens that come back with time. */
struct budget {
	uint32_t		 tokens;
	uint64_t		 refilled;	/* env_now() of the last one */
};

struct authkey {
	TAILQ_ENTRY(authkey)	 all;		/* by id */
	struct ixlink		 by_id;		/* dbd */
	struct ixlink		 by_hash;	/* dbd */
	struct tailnet		*tn;
	struct authkey_row	 row;		/* prefix and tags: in enc */
	struct buf		 enc;
	bool			 dirty;		/* used in this batch */
	TAILQ_ENTRY(authkey)	 used;		/* of the batch */
	struct budget		 anew;		/* of nodes made again */
	uint32_t		 deleted;	/* by clients, not made again */
};
TAILQ_HEAD(authkey_list, authkey);

#endif
