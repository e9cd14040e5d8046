/*
 * What lies between a TCP connection and HTTP: who is before us (PROXY header,
 * X-Forwarded-For), and TLS.
 */

#ifndef WORKER_NET_EDGE_H
#define WORKER_NET_EDGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/ip.h"
#include "worker/net/tls.h"

struct net;

/* What a listener's connections speak: CFG_LISTEN's numbers. */
enum conn_kind {
	CONN_K_PLAIN,
	CONN_K_TLS,
	CONN_K_EITHER		/* the first octet tells */
};

#define EDGE_PROXIES	16	/* prefixes, at most */

/*
 * From these addresses a PROXY header and X-Forwarded-For are believed, from
 * no others.  Copied; more than EDGE_PROXIES are fatal.
 */
void		 net_proxies(struct net *, const struct prefix *, size_t n);

/*
 * The certificates for handshakes from now on; those before (NULL: none) are
 * let go of.  net keeps a reference of its own.  The caller may go on adding
 * to them.
 */
void		 net_tls(struct net *, struct tls *);
/*
 * While true, signatures can't be had: no handshake goes on to where one is
 * needed (clients wait, up to handshake_s), and nothing is accepted on
 * listeners of CONN_K_TLS.  All else goes on.
 */
void		 net_tls_hold(struct net *, bool);
/* There is a certificate, and no hold. */
bool		 net_tls_is_ready(const struct net *);
/*
 * The relay's public key is this (NULL: there is none): TLS clients that ask
 * for the relay's host are told (derp.md 1.4) by a certificate that is made
 * anew every 14 days.  Copied.
 */
void		 net_tls_meta(struct net *, const uint8_t key[TLS_DERP_KEY]);
/*
 * The relay's host is this, a name or a literal address, at most 253 octets;
 * "", as at first: nobody asks for it.  Copied.
 */
void		 net_tls_meta_host(struct net *, struct slice host);

/*
 * At most so many connections of one source (an IPv4 address, a /64 of IPv6)
 * from now on, as a PROXY header says it; 0, as at first: any number.  Who is
 * exempt by net_is_exempt() is not counted.
 */
void		 net_per_source(struct net *, uint32_t max);
/*
 * There are no bounds by source for this one: the loopback, our proxies, and
 * private and link-local ranges, where one address may be a whole site.  Those
 * of 100.64.0.0/10 and of fd7a:115c:a1e0::/48 are bounded: that is where nodes
 * have theirs, and providers their customers.
 */
bool		 net_is_exempt(const struct net *, const struct ip *);

/*
 * While true, answers over TLS that ends here say that it is to be used always
 * (RFC 6797); at first they don't.
 */
void		 net_hsts(struct net *, bool);

struct req;
/* The request came over TLS that ends here. */
bool		 req_is_tls(const struct req *);

/* Since net_new(). */
struct edge_counters {
	uint64_t	proxied;	/* PROXY headers believed */
	uint64_t	proxy_bad;	/* malformed, or from a stranger */
	uint64_t	crowded;	/* beyond net_per_source() */
	uint64_t	tls;		/* handshakes begun */
	uint64_t	tls_done;
	uint64_t	tls_failed;	/* with an alert, from either side */
	uint64_t	tls_pushed;	/* the oldest, by too many half-open */
	uint64_t	tls_record_bad;	/* after the handshake */
	uint64_t	tls_updates;	/* KeyUpdate received */
	uint64_t	tls_h2;		/* of tls_done: HTTP/2 by ALPN */
};
const struct edge_counters *net_edge_counters(const struct net *);

#endif
