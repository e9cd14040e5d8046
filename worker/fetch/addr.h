/* Which addresses may be asked at all (trust.md 5). */

#ifndef WORKER_FETCH_ADDR_H
#define WORKER_FETCH_ADDR_H

#include <stdbool.h>
#include <stddef.h>

#include "common/ip.h"

/*
 * True for an address of the public Internet.  False for private, loopback,
 * link-local, multicast, documentation and other special ranges, and for IPv6
 * addresses that stand for IPv4 ones (mapped, NAT64, 6to4, Teredo), by the
 * registries of RFC 6890.
 */
bool	addr_public(const struct ip *);
/* The same, or in one of n prefixes that the administrator allows. */
bool	addr_ok(const struct ip *, const struct prefix *allow, size_t n);

#endif
