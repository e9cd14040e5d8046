/* Master's copies of hosts(5) and resolv.conf(5), as text. */

#ifndef WORKER_FETCH_HOSTS_H
#define WORKER_FETCH_HOSTS_H

#include <stddef.h>

#include "common/ip.h"
#include "common/str.h"

#define HOSTS_SERVERS	3	/* as many as resolvers ask */

/*
 * The addresses of a name (any case) in hosts(5), in their order, at most max;
 * how many.  Lines that cannot be read are passed over.
 */
size_t	hosts_find(struct slice hosts, const char *name, struct ip *,
	    size_t max);
/*
 * The nameservers of resolv.conf(5); how many.  Passed over: those with a zone
 * (fe80::1%eth0), and what is no nameserver line.
 */
size_t	hosts_servers(struct slice resolv, struct ip dst[HOSTS_SERVERS]);

#endif
