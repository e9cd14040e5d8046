/*
 * All clients of the relay in a run: each node's, those of nodes that were
 * logged out or are gone, and guests; the packets between them, and what must
 * be true of them.
 */

#ifndef REGRESS_SIM_RELAYS_H
#define REGRESS_SIM_RELAYS_H

#include "regress/sim/admin.h"
#include "regress/sim/client.h"

struct relays;
struct run;

/* guests: two, which are nobody's nodes, come too.  Never NULL. */
struct relays	*relays_new(struct run *, bool guests);
/* NULL is fine. */
void		 relays_free(struct relays *);
/* Whoever has registered comes to the relay, and stays when it is gone. */
void		 relays_follow(struct relays *);
/* Something happens to one of them, or a worker forges a packet. */
void		 relays_life(struct relays *);
/* One sends a packet to each other; now and then one comes anew. */
void		 relays_talk(struct relays *, unsigned int turn);
/* They read again, and of those with one key one stays. */
void		 relays_calm(struct relays *);
/* Those of nodes that are no more stay away. */
void		 relays_weed(struct relays *);
/*
 * Who may be there is, and nobody else: by dbd's truth, their own, and what
 * the workers count.
 */
void		 relays_check(struct relays *, const struct truth *, size_t n);
/*
 * One of them goes from worker to worker; each time all send to all, and what
 * is to arrive does, once, and nothing else.
 */
void		 relays_reach(struct relays *);
/* A node is deleted or expires: at once nobody reaches it. */
void		 relays_evict(struct relays *);

#endif
