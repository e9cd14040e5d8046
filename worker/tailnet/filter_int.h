/*
 * What a node is told of the policy besides its peers: packet filter, SSH
 * policy, attributes (policy.md 5 to 9, 11, 12; state.md 7).
 */

#ifndef WORKER_TAILNET_FILTER_INT_H
#define WORKER_TAILNET_FILTER_INT_H

#include "worker/tailnet/class_int.h"
#include "worker/tailnet/compose_int.h"

/*
 * A filter as it is at one time, for all nodes of a class (and owner, where
 * self rules apply).  Immutable and counted: a stream keeps the one that it
 * was last told, and the difference to the next is found chunk by chunk.
 */
struct plan;

/* The node's plan now.  The reference is the caller's. */
struct plan	*plan_of(struct replica *, const struct node *);
struct plan	*plan_ref(struct plan *);
void		 plan_unref(struct plan *);	/* NULL is fine */

#define PLAN_FILTER	1u		/* what differs between two plans */
#define PLAN_SSH	2u
#define PLAN_CAPS	4u		/* the node's own CapMap */

/*
 * Which parts a node that was told was must be told anew; was NULL: all.  Of
 * plans that are equal in content nothing differs.
 */
unsigned int	 plan_diff(const struct plan *was, const struct plan *now);
/*
 * Appends the value of PacketFilters: an object of named chunks.  was NULL:
 * all of them in compiled order, with "*":null in front so that nothing older
 * stays (protocol.md 5.5: it clears all chunks, "base":null only one); else
 * those that are different, and null for those that are gone.  "base":[] says
 * that there are no rules at all.  Own addresses are the node's.
 */
void		 plan_put_filters(struct replica *, const struct plan *was,
		    const struct plan *now, const struct node *,
		    struct compose *);
/* The SSH policy has the node's own addresses (policy.md 11.4.5). */
bool		 plan_ssh_is_own(const struct plan *);
/* Appends the value of SSHPolicy, an object. */
void		 plan_put_ssh(struct replica *, const struct plan *,
		    const struct node *, struct compose *);
/*
 * Members of the node's CapMap that the policy gives it, each after a comma.
 */
struct slice	 plan_caps(const struct plan *);
/*
 * It is a companion, which points back (policy.md 9): no policy may name
 * these capabilities itself.
 */
bool		 row_points_back(const struct pol_row *);
/* disable-ipv4 (policy.md 12.5). */
bool		 class_no_ip4(const struct class *);

/*
 * What class.c tells: the class has one node more or less, or an address of a
 * member is another; user: its owner, NULL for tagged ones.
 */
void		 filters_member(struct replica *, struct class *,
		    const struct user *);
/* The approved routes of some node are others ("*" as a source). */
void		 filters_routes(struct replica *);
/* Another policy, or the end: all that is kept for plans goes. */
void		 filters_clear(struct replica *);

#endif
