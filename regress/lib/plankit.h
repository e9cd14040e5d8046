/* A replica with a policy piece by piece, and what its nodes' plans say. */

#ifndef REGRESS_LIB_PLANKIT_H
#define REGRESS_LIB_PLANKIT_H

#include "regress/lib/fakeenv.h"
#include "regress/lib/rulekit.h"
#include "worker/tailnet/plan_int.h"

struct plankit {
	struct fakeenv	*fake;
	struct tailnets	*tn;
	struct replica	*r;
	uint64_t	 seq;
	struct rulekit	 pol;		/* to be put in by plk_policy() */
	struct buf	 text;		/* of the last question */
};

/* With users 1 to 4, no nodes and a policy without rows.  Never NULL. */
struct plankit	*plk_new(void);
void		 plk_free(struct plankit *);
/* Puts k->pol into force and readies it for the next one, empty. */
void		 plk_policy(struct plankit *);
/*
 * A node of the user (0: tagged) with so many tags from tag:tFIRST on; or
 * another owner or tags for it.
 */
void		 plk_node(struct plankit *, uint64_t id, uint64_t user,
		    unsigned int first, unsigned int tags);
/* The same with approved routes: bits as in struct fnode. */
void		 plk_router(struct plankit *, uint64_t id, uint64_t user,
		    unsigned int first, unsigned int tags,
		    unsigned int routes);
void		 plk_gone(struct plankit *, uint64_t id);
/* The node's plan; the reference is the caller's. */
struct plan	*plk_plan(struct plankit *, uint64_t id);
/* PacketFilters as JSON; the text lives until the next question. */
const char	*plk_filters(struct plankit *, const struct plan *was,
		    uint64_t id);
/* SSHPolicy likewise. */
const char	*plk_ssh(struct plankit *, uint64_t id);

#endif
