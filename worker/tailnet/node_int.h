/* A node of a replica: what maps are made of, and what changed of it when. */

#ifndef WORKER_TAILNET_NODE_INT_H
#define WORKER_TAILNET_NODE_INT_H

#include <sys/queue.h>

#include "common/ids.h"
#include "common/msg.h"

struct group;
struct stream;
struct user;

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
#define NC_ROUTES	0x1000u		/* who carries which route may change */

/* A route that is approved and advertised. */
struct node_route {
	struct prefix	 p;
	bool		 exit;		/* 0.0.0.0/0 or ::/0 */
	bool		 primary;	/* this node carries it */
};

struct node {
	struct mark	 mark;
	uint64_t	 id;
	struct user	*user;		/* never NULL */
	uint8_t		 key[32];
	uint8_t		 machine[32];
	uint8_t		 disco[32];
	struct ip	 ip4;
	struct ip	 ip6;
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
	uint16_t	 nendpoints;
	uint16_t	 nroutes;
	uint16_t	 nadvertised;
	uint32_t	 gen;		/* of the snapshot that it was in */
	/* Versions of the last change of each kind; 0: never. */
	uint64_t	 field_ver[NF_MAX];
	uint64_t	 whole_ver;
	uint64_t	 self_ver;
	uint64_t	 reset_ver;
	uint64_t	 shown_ver;	/* who sees it */
	struct group	*group;		/* NULL: peers are not told of it */
	struct group	*was;		/* the last that it left */
	uint32_t	 slot;		/* its place there */
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
