/*
 * STUN as Tailscale's clients use it (derp.md 6, RFC 8489): octets of a
 * datagram in, those of the answer out, or nothing.  Pure: no clock, no
 * socket.
 */

#ifndef WORKER_STUN_STUN_H
#define WORKER_STUN_STUN_H

#include <stddef.h>
#include <stdint.h>

#include "common/ip.h"

#define STUN_REQUEST_MAX	576	/* octets of one that is looked at */
#define STUN_REPLY_MAX		44
#define STUN_KEY		16

/* What became of the datagrams so far. */
struct stun_counts {
	uint64_t	answered;
	uint64_t	malformed;	/* no request of Tailscale's */
	uint64_t	sources;	/* from where nobody can ask */
	uint64_t	limited;	/* over their source's rate */
};

struct stun;

/* key: of the hash of sources, at random.  Never NULL. */
struct stun	*stun_new(const uint8_t key[STUN_KEY]);
/* NULL is fine. */
void		 stun_free(struct stun *);
/*
 * How many answers a second a source may have (an IPv4 address, an IPv6 /64),
 * and how many at once; rate 0: any number.
 */
void		 stun_limit(struct stun *, uint32_t rate, uint32_t burst);
/*
 * A datagram of n octets came from there at this time (microseconds, never
 * going back).  Returns the length of the answer, 0: none is sent, ever.
 */
size_t		 stun_answer(struct stun *, uint64_t now_us,
		    const struct ipport *from, const void *p, size_t n,
		    uint8_t reply[STUN_REPLY_MAX]);
/* A datagram that was not even given to stun_answer(): malformed. */
void		 stun_drop(struct stun *);
const struct stun_counts *stun_counts(const struct stun *);

#endif
