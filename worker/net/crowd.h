/*
 * How many connections there are from where: a count for each IPv4 address
 * and each /64 of IPv6 that has any.  Knows nothing of connections.
 */

#ifndef WORKER_NET_CROWD_H
#define WORKER_NET_CROWD_H

#include <stdint.h>

#include "common/ip.h"
#include "common/siphash.h"

#define CROWD_KEY	SIPHASH_KEY

struct crowds;
struct crowd;		/* one of them; lives while it is counted */

/* The key, random, decides what lies where: nobody can aim.  Never NULL. */
struct crowds	*crowds_new(const uint8_t key[CROWD_KEY]);
/* All must have been given back.  NULL is fine. */
void		 crowds_free(struct crowds *);
/* One more from there, or NULL if there are max already. */
struct crowd	*crowd_take(struct crowds *, const struct ip *,
		    uint32_t max);
/* One less.  NULL is fine. */
void		 crowd_put(struct crowds *, struct crowd *);

#endif
