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
	struct slice	 caps;		/* CapMap, a JSON object */
	struct slice	 tailnet;	/* StableTailnetID */
};

/* All append; none writes a comma before or after. */

/* Hostinfo as peers may see it, an object: no NetInfo, no log ids. */
void	mapjson_host(struct buf *, const struct r_hostinfo *);
/* Members that stand in every Node object and change seldom. */
void	mapjson_rest(struct buf *, const struct r_node *);
/* A UserProfile object. */
void	mapjson_profile(struct buf *, uint64_t id, struct slice login,
	    struct slice display, struct slice picture);
/* The Node object that peers are given.  domain: without dots at its ends. */
void	mapjson_peer(struct buf *, const struct node *, struct slice domain);
/* The Node object that the node itself is given. */
void	mapjson_self(struct buf *, const struct node *, struct slice domain,
	    const struct self_conf *);
/*
 * One or two PeerChange objects, comma separated, for NF_BIT()s: a new disco
 * key never shares one with Online false (protocol.md 5.8).
 */
void	mapjson_patch(struct buf *, const struct node *, unsigned int fields);
/* The CapMap of the node itself, an object (protocol.md 8.5). */
void	mapjson_caps(struct buf *, bool taildrop, bool randomize_port);
/* PacketFilters, an object with the chunk "base" (protocol.md 5.9). */
void	mapjson_filters(struct buf *, bool allow_all);

#endif
