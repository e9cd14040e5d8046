/* A node of a replica: what maps are made of, and what changed of it when. */

#ifndef WORKER_TAILNET_NODE_INT_H
#define WORKER_TAILNET_NODE_INT_H

#include <sys/queue.h>

#include "common/ids.h"
#include "common/msg.h"

struct carrier;
struct class;
struct group;
struct holding;
struct load;
struct stream;
struct transit;
struct user;
struct route_rows;

/* A place in the list of a replica's nodes, ordered by last change. */
struct mark {
	TAILQ_ENTRY(mark) link;
	uint64_t	 ver;		/* of the last change; 0: unlisted */
	struct node	*node;		/* NULL: a tombstone */
};
TAILQ_HEAD(mark_list, mark);

/* What a patch can say (protocol.md 5.8); each has a version of its own. */
enum node_field {
	NF_ENDPOINTS,
	NF_DERP,
	NF_DISCO,
	NF_EXPIRY,
	NF_ONLINE,
	NF_SEEN,
	NF_CAP,
	NF_MAX
};

#define NF_BIT(f)	(1u << (f))
#define NF_ALL		(NF_BIT(NF_MAX) - 1)
/* Changes that leave a chunk good enough for a while (state.md 5). */
#define NF_LAZY		(NF_BIT(NF_ENDPOINTS) | NF_BIT(NF_DERP) | \
			    NF_BIT(NF_DISCO) | NF_BIT(NF_ONLINE) | \
			    NF_BIT(NF_SEEN) | NF_BIT(NF_CAP))
/* What node_update() reports besides the bits of fields. */
#define NC_WHOLE	0x0100u		/* peers need the whole node */
#define NC_SELF		0x0200u		/* the node itself is told */
#define NC_RESET	0x0400u		/* only removal and return can say it */
#define NC_SHOWN	0x0800u		/* peers are told of it, or no longer */
#define NC_ROUTES	0x1000u		/* its approved routes */
#define NC_PRIMARY	0x8000u		/* which of them it carries */
#define NC_FACTS	0x2000u		/* what policies look at */
#define NC_ADDR		0x4000u		/* its addresses */

/* A route that is approved and advertised. */
struct node_route {
	struct prefix	 p;
	bool		 exit;		/* 0.0.0.0/0 or ::/0 */
	bool		 primary;	/* this node carries it */
};

/* A group that a node was in, as its owner's. */
struct spot {
	struct group	*group;		/* NULL: peers were not told of it */
	uint64_t	 user;
};

/* A node left a spot for another. */
struct move {
	TAILQ_ENTRY(move) link;		/* of all, oldest first */
	LIST_ENTRY(move) older;		/* of the node */
	uint64_t	 ver;
	struct spot	 from;
};
TAILQ_HEAD(move_list, move);
LIST_HEAD(trail, move);			/* newest first */

struct node {
	struct mark	 mark;
	uint64_t	 id;
	struct user	*user;		/* never NULL */
	uint8_t		 key[32];
	uint8_t		 machine[32];
	uint8_t		 disco[32];
	struct ip	 ip4;
	struct ip	 ip6;
	int64_t		 created;
	int64_t		 expiry;
	int64_t		 last_seen;	/* as peers see it: 0 while online */
	uint16_t	 capver;
	uint16_t	 derp;
	bool		 online;
	bool		 published;
	bool		 expired;
	/* One allocation: stable id, name, Hostinfo, other JSON members. */
	char		*text;
	uint16_t	 stable_n;
	uint16_t	 name_n;
	uint32_t	 host_n;
	uint32_t	 rest_n;
	struct ipport	*endpoints;
	struct node_route *routes;
	struct prefix	*advertised;
	struct slice	*tags;		/* and their text, one allocation */
	uint16_t	 nendpoints;
	uint16_t	 nroutes;
	uint16_t	 nadvertised;
	uint16_t	 ntags;
	bool		 no_ip4;	/* disable-ipv4 (policy.md 12.5) */
	uint32_t	 gen;		/* of the snapshot that it was in */
	/* Versions of the last change of each kind; 0: never. */
	uint64_t	 field_ver[NF_MAX];
	uint64_t	 whole_ver;
	uint64_t	 self_ver;
	uint64_t	 reset_ver;
	uint64_t	 shown_ver;	/* its last move but by a policy */
	uint64_t	 addr_ver;	/* its addresses */
	struct group	*group;		/* NULL: peers are not told of it */
	struct trail	 trail;		/* how it came there */
	uint64_t	 born;		/* since when it is in any, 0: never */
	uint32_t	 slot;		/* its place there */
	struct transit	*transit;	/* that it made by the last policy */
	TAILQ_ENTRY(node) travel;	/* with it */
	struct class	*class;
	struct user	*placed;	/* the owner that the class knows */
	TAILQ_ENTRY(node) member;	/* of the class */
	TAILQ_ENTRY(node) owned;	/* of its user */
	struct route_rows *rows;	/* of its routes (viewroute.c) */
	uint64_t	 rows_ver;	/* for which rows are right */
	uint64_t	 vary_ver;	/* who is shown which of its routes */
	struct carrier	*carrier;	/* of these; both by carried.c */
	struct load	*load;		/* or NULL */
	uint16_t	 ncarriers;
	struct holding	*holding;	/* class_holding(); or NULL */
	TAILQ_ENTRY(node) router;	/* while nroutes != 0 */
	struct node	*same_key;	/* next router of a hash (router.c) */
	LIST_HEAD(, stream) streams;	/* its own */
};

/* Why the record cannot be a node's, or NULL. */
const char	*node_bad(const struct r_node *);
/* Without content: node_update() gives it. */
struct node	*node_new(uint64_t id);
/* It must be in no list. */
void		 replica_node_free(struct node *);
/*
 * Takes over the record's content and says what is different for those who
 * are told of it: NF_BIT()s and NC_s.  now: Unix seconds.
 */
unsigned int	 node_update(struct node *, const struct r_node *,
		    struct user *, int64_t now);
/* Sets the session's facts alone; likewise. */
unsigned int	 node_seen(struct node *, bool online, int64_t last_seen);
/* Its key has expired meanwhile: NC_ bits, or 0. */
unsigned int	 node_expire(struct node *, int64_t now);

struct slice	 node_stable_id(const struct node *);
struct slice	 node_name(const struct node *);
/* Hostinfo as peers see it: a JSON object. */
struct slice	 node_host(const struct node *);
/* Other members of the Node object, comma separated. */
struct slice	 node_rest(const struct node *);

#endif
