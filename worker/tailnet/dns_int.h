/* DNSConfig, inside the folder. */

#ifndef WORKER_TAILNET_DNS_INT_H
#define WORKER_TAILNET_DNS_INT_H

#include "worker/tailnet/dns.h"
#include "worker/tailnet/tailnet.h"

/*
 * Appends the DNSConfig object of a tailnet with this domain (no dots at its
 * ends; may be empty); records may be NULL.  Names and resolvers that clients
 * could stumble over are left out (dns_check() tells of them).
 */
void	dns_json(struct buf *, const struct tn_conf *, struct slice domain,
	    const struct records *);
/* Logs each name and resolver that dns_json() leaves out. */
void	dns_check(const struct tn_conf *);

#endif
