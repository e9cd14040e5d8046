/*
 * The PROXY protocol's header, versions 1 and 2, and X-Forwarded-For: for whom
 * a proxy speaks.  Knows nothing of connections.
 */

#ifndef WORKER_NET_PROXYHDR_H
#define WORKER_NET_PROXYHDR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/ip.h"

/* Octets of the longest header that is taken. */
#define PROXYHDR_MAX	536

struct proxyhdr {
	bool		has_peer;	/* false: the proxy for itself */
	struct ipport	peer;
};

/*
 * Addresses of IPv4 in IPv6 (::ffff:0:0/96) come out as IPv4, here and below.
 */

/*
 * Reads the header at the begin of a stream.  How long it is; 0 if it is not
 * whole yet; -1 if it is none or more than PROXYHDR_MAX long.
 */
long		 proxyhdr_parse(struct proxyhdr *, const uint8_t *, size_t n);

/*
 * The client that X-Forwarded-For names: of its addresses the last that is
 * not a proxy of ours (or the first, if all are).  False if there is none, or
 * something else where it would stand.
 */
bool		 forwarded_parse(struct ip *, struct slice value,
		    const struct prefix *proxies, size_t n);

#endif
