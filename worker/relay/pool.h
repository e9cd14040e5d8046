/*
 * Memory for packets, by size classes: what was freed is kept for the next,
 * up to a bound, and all of it together has a bound.
 */

#ifndef WORKER_RELAY_POOL_H
#define WORKER_RELAY_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define POOL_CLASSES	6
#define POOL_SMALL	2085	/* a frame of a packet of 2 KB */

/*
 * One frame (SendPacket while it comes in, RecvPacket when it goes out: they
 * have the same size).  It belongs to whoever holds it: a packet has one
 * receiver, so it is handed on and never copied.
 */
struct pkt {
	struct pkt	*next;		/* in a queue or free */
	uint32_t	 n;		/* octets of the frame */
	uint8_t		 class;
	bool		 disco;
	uint8_t		 frame[];
};

/* Zeroed but for max is empty and valid. */
struct pool {
	struct pkt	*free[POOL_CLASSES];
	size_t		 kept;		/* octets that are free */
	size_t		 used;		/* octets in use, charges included */
	size_t		 max;		/* of used */
	uint64_t	 mallocs;	/* so many times malloc was asked */
};

/*
 * Room for a frame of n <= 65,573 octets; NULL: the pool is used up.  The
 * last eighth of it is for frames of at most POOL_SMALL.
 */
struct pkt	*pkt_new(struct pool *, size_t n);
/* The largest frame that it has room for. */
size_t		 pkt_room(const struct pkt *);
/* NULL is fine. */
void		 pkt_free(struct pool *, struct pkt *);
/* Other memory that counts; false if there is none left. */
bool		 pool_charge(struct pool *, size_t);
void		 pool_refund(struct pool *, size_t);
/* Frees what is kept; nothing may be in use. */
void		 pool_end(struct pool *);

#endif
