/*
 * A token bucket for each source, in a table that never grows: of sources
 * that fall together the one that was silent longest is forgotten.
 */

#ifndef WORKER_STUN_BUCKET_H
#define WORKER_STUN_BUCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/ip.h"

struct buckets;

/* key: 16 octets for the hash, at random.  Never NULL. */
struct buckets	*buckets_new(const uint8_t key[16]);
/* NULL is fine. */
void		 buckets_free(struct buckets *);
/* Tokens a second and at most; rate 0: any number. */
void		 buckets_limit(struct buckets *, uint32_t rate,
		    uint32_t burst);
/* Takes a token of the source's at this time; false if there is none. */
bool		 buckets_take(struct buckets *, uint64_t now_us,
		    const struct ip *source);

#endif
