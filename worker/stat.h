/* What a worker has counted, as status and metrics name it. */

#ifndef WORKER_STAT_H
#define WORKER_STAT_H

#include "common/msg.h"
#include "worker/net/edge.h"
#include "worker/net/net.h"
#include "worker/relay/relay.h"

/* Sets the fields of connections, HTTP and TLS, no others. */
void	stat_edge(const struct net_counters *, const struct edge_counters *,
	    struct r_counters *);
/*
 * Sets the fields of the relay: relay_dropped is the sum of drop_*, each a
 * reason why a packet got to nobody (derp.md 11, and ours).
 */
void	stat_relay(const struct relay_counters *, struct r_counters *);

#endif
