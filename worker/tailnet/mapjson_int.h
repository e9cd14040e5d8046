/* The JSON of protocol.md 5.7, 5.8, 5.12: nodes, patches, profiles. */

#ifndef WORKER_TAILNET_MAPJSON_INT_H
#define WORKER_TAILNET_MAPJSON_INT_H

#include "common/buf.h"
#include "common/msg.h"
#include "worker/tailnet/node_int.h"

/* What a node's own Node object says besides the node. */
struct self_conf {
	const uint8_t	*key;		/* of the request: 32 octets */
	uint16_t	 capver;
	struct slice	 base;		/* of mapjson_caps(): not {} */
	struct slice	 caps;		/* of its policy: plan_caps() */
	struct slice	 tailnet;	/* StableTailnetID */
};

/* How one viewer sees a peer. */
struct look {
	const uint64_t	*shown;		/* of its routes, as bits; NULL: none */
	bool		 no_ip4;	/* no IPv4 address */
};

/* All append; none writes a comma before or after. */

/* Hostinfo as peers may see it, an object: no NetInfo, no log ids. */
void	mapjson_host(struct buf *, const struct r_hostinfo *);
/* Members that stand in every Node object and change seldom. */
void	mapjson_rest(struct buf *, const struct r_node *);
/* A UserProfile object. */
void	mapjson_profile(struct buf *, uint64_t id, struct slice login,
	    struct slice display, struct slice picture);
/*
 * The Node object that peers are given.  domain: without dots at its ends.
 * look NULL: no routes, all addresses.
 */
void	mapjson_peer(struct buf *, const struct node *, struct slice domain,
	    const struct look *);
/* The Node object that the node itself is given. */
void	mapjson_self(struct buf *, const struct node *, struct slice domain,
	    const struct self_conf *);
/* What is in the CapMap of every node, an object (policy.md 12.3). */
void	mapjson_caps(struct buf *, bool taildrop, bool randomize_port);
/*
 * One or two PeerChange objects, comma separated, for NF_BIT()s: a new disco
 * key never shares one with Online false (protocol.md 5.8).
 */
void	mapjson_patch(struct buf *, const struct node *, unsigned int fields);

#endif
