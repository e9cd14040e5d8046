/* Addresses, prefixes and ports, as values. */

#ifndef COMMON_IP_H
#define COMMON_IP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/str.h"

/* family 0: none.  An IPv4 address stands in the first four octets of b. */
struct ip {
	uint8_t		family;		/* 0, 4 or 6 */
	uint8_t		b[16];
};

struct prefix {
	struct ip	addr;		/* host bits are zero */
	uint8_t		bits;
};

struct ipport {
	struct ip	addr;
	uint16_t	port;
};

#define IP_SOURCE	9	/* octets of ip_source() */
#define IP_TEXT		46	/* longest text with NUL */
#define PREFIX_TEXT	50
#define IPPORT_TEXT	54

/* Parse text; false if malformed (a zone is malformed).  Strict like netip. */
bool	ip_parse(struct ip *, struct slice);
/* prefix_parse refuses host bits; prefix_parse_loose clears them. */
bool	prefix_parse(struct prefix *, struct slice);
bool	prefix_parse_loose(struct prefix *, struct slice);
/* "1.2.3.4:5" or "[fe80::1]:5". */
bool	ipport_parse(struct ipport *, struct slice);

struct sockaddr;
/* From the system's form; of any family but these two: none, port 0. */
void	ipport_from(struct ipport *, const struct sockaddr *);

/* Write text (RFC 5952 form) with a NUL; return its length; "" for none. */
size_t	ip_print(char dst[IP_TEXT], const struct ip *);
size_t	prefix_print(char dst[PREFIX_TEXT], const struct prefix *);
size_t	ipport_print(char dst[IPPORT_TEXT], const struct ipport *);

/* An address as a number: IPv4 in the low 32 bits of lo. */
struct ip_num {
	uint64_t	hi;
	uint64_t	lo;
};

struct ip_num ip_num(const struct ip *);
/* <0, 0, >0; both of one family. */
int	ip_num_cmp(struct ip_num, struct ip_num);

/* ::ffff:192.0.2.1 becomes 192.0.2.1; all else stays. */
void	ip_unmap(struct ip *);
/*
 * Whom bounds by source take it for: the family, then an IPv4 address or the
 * first half of one of IPv6, for whoever has one has its whole /64.
 */
void	ip_source(uint8_t source[IP_SOURCE], const struct ip *);

bool	ip_eq(const struct ip *, const struct ip *);
int	ip_cmp(const struct ip *, const struct ip *);
bool	ipport_eq(const struct ipport *, const struct ipport *);
bool	prefix_eq(const struct prefix *, const struct prefix *);
bool	prefix_has(const struct prefix *, const struct ip *);
/* The address n steps after the prefix's first; false if outside of it. */
bool	prefix_nth(const struct prefix *, uint64_t n, struct ip *);
/* How many addresses it has, at most UINT64_MAX. */
uint64_t prefix_size(const struct prefix *);
/* Loopback, private, link-local or unique local. */
bool	ip_is_private(const struct ip *);
bool	ip_is_linklocal(const struct ip *);
/* In the ranges that nodes' own addresses are of: see ip_node_ok(). */
bool	ip_is_tailnet(const struct ip *);
/*
 * True if a node may have it (protocol.md 5.6): in 100.64.0.0/10 or
 * fd7a:115c:a1e0::/48 and in none of the ranges with another meaning; an
 * address outside these two ranges is not judged and passes.
 */
bool	ip_node_ok(const struct ip *);

#endif
