/*
 * Noise records (protocol.md 1.5) as a stream of octets in both directions.
 * Knows nothing of connections.
 */

#ifndef WORKER_NET_RECORDS_H
#define WORKER_NET_RECORDS_H

#include "common/noise.h"

/*
 * Plaintext of a record in the middle of a burst: whole ChaCha20 blocks seal
 * faster than the 4,077 octets that would fit.
 */
#define RECORD_BURST	3968

/* The receiving side.  Zeroed is valid; key is set when it is known. */
struct record_in {
	struct noise_key	 key;
	uint8_t			*part;	/* begun record, or NULL */
	size_t			 have;
};

/*
 * How many octets are missing: to the header or, once it is there, to the
 * whole record.
 */
size_t		 record_need(const struct record_in *);
/*
 * Takes octets until a record is whole.  Returns 1 and *rec with *len octets
 * (in p or inside; good until record_next()), 0 if more are needed, -1 if it
 * is no record or its length is out of bounds.  *used: octets taken.
 */
int		 record_put(struct record_in *, const uint8_t *p, size_t n,
		    size_t *used, const uint8_t **rec, size_t *len);
/* The whole record has been dealt with. */
void		 record_next(struct record_in *);
/* Wipes and frees what is inside. */
void		 record_in_clear(struct record_in *);

/*
 * How much plaintext max octets of output can carry, if extra octets go
 * before each record.
 */
size_t		 record_room(size_t max, size_t extra);
/*
 * Plaintext of the next record when n octets are to be sealed: all that fit
 * into one, else RECORD_BURST.
 */
size_t		 record_cut(size_t n);

#endif
