/* All replicas of a worker and what they share. */

#ifndef WORKER_TAILNET_TAILNETS_INT_H
#define WORKER_TAILNET_TAILNETS_INT_H

#include "common/env.h"
#include "common/siphash.h"
#include "worker/tailnet/pack_int.h"
#include "worker/tailnet/replica_int.h"
#include "worker/tailnet/tailnet.h"

#define WHEEL		64		/* seconds */

struct tailnets {
	struct env	*env;
	struct tn_ops	 ops;
	struct pack	*pack;
	/* A secret: of hashes of what clients choose, and of texts with it. */
	uint8_t		 seed[SIPHASH_KEY];
	struct replica_list replicas;
	struct idmap	 by_id;
	struct idmap	 routers;	/* by hash of the node key */

	struct tn_conf	 conf;		/* points into conf_text */
	struct buf	 conf_text[5];
	struct buf	 caps;		/* CapMap of every node */
	struct derpmap	*derpmap;
	struct records	*records;

	/* stream.c */
	struct stream_list newcomers;	/* wait for their first map */
	struct stream_list behind;	/* drained, with news */
	struct stream_list over;	/* the owner must be told */
	uint32_t	 nnewcomers;
	struct timer	 work;
	struct timer	 cold;		/* makes lagging chunks afresh */
	struct timer	 tick;		/* of the wheel */
	/* All streams, by the second of their next keep-alive. */
	struct stream_list wheel[WHEEL];
	uint32_t	 nstreams;
	uint64_t	 second;	/* up to which the wheel has turned */
	uint64_t	 next_flush;	/* not before this */
	uint64_t	 flush_cpu;	/* of this flush or the last */
	uint64_t	 flush_left;	/* streams that it still serves */
	bool		 flushing;
	uint32_t	 map_us;	/* what first maps cost, on average */
	uint32_t	 news_us;	/* and serving one that is behind */
	struct stream	*giving;	/* NULL when it was closed meanwhile */
	struct parts	 scratch;
	struct frame	*keepalive[2];	/* as it is, compressed */
	struct frame	*tail;		/* the end of a full map */
};

#endif
