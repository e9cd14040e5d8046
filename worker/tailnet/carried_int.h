/*
 * Which routers carry a route, so that whoever asks for one of them does not
 * look at all.
 */

#ifndef WORKER_TAILNET_CARRIED_INT_H
#define WORKER_TAILNET_CARRIED_INT_H

#include <sys/queue.h>

#include "common/ip.h"

struct node;
struct replica;

/* A route that some node carries.  Counted. */
struct carried;

/* One of these nodes. */
struct carrier {
	LIST_ENTRY(carrier) of_route;
	struct carried	*route;
	struct node	*node;
	bool		 primary;
};
LIST_HEAD(carriers, carrier);

/*
 * The subnet routes that routers carry, the same object for all that carry the
 * same ones.  Counted; never empty.
 */
struct load;

/*
 * The node's routes, or which of them it is elected for, are others: enters
 * them, and sets its load.  To be called for all nodes that have or had some.
 */
void		 carried_set(struct replica *, struct node *);
/* The node goes. */
void		 carried_clear(struct replica *, struct node *);
/* Nothing may be left in them. */
void		 carried_end(struct replica *);

/* Who carries exactly this route; NULL: nobody.  Borrowed. */
const struct carriers *carried_by(const struct replica *,
		    const struct prefix *);

/* Borrowed. */
const struct prefix *carrier_route(const struct carrier *);
/* The hash of that route, by a secret of the process; not 0. */
uint64_t	 carrier_hash(const struct carrier *);
/*
 * Adds the hash of a route to that of others, which begins with any number.
 * Who does not know the hashes of routes finds no sets with the same.  Not 0.
 */
uint64_t	 route_mix(uint64_t, uint64_t hash);

struct load	*load_ref(struct load *);
void		 load_unref(struct load *);
/* Of both NULL is fine, and nothing. */
bool		 load_has(const struct load *, const struct prefix *);
uint64_t	 load_hash(const struct load *);
/*
 * Who carries the i-th route of a load, and the hash of that; *ver: when one
 * of its primaries came or went.  NULL: there are no more.
 */
const struct carriers *load_at(const struct load *, uint32_t i,
		    uint64_t *hash, uint64_t *ver);

#endif
