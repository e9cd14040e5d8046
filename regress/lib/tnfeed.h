/* What dbd would tell of a tailnet, made by tests. */

#ifndef REGRESS_LIB_TNFEED_H
#define REGRESS_LIB_TNFEED_H

#include "worker/tailnet/tailnet.h"

#define FEED_TAILNET	7
#define FEED_LISTS	7

/* A node of the test's own truth. */
struct fnode {
	uint64_t	 id;
	uint64_t	 user;		/* 0: tagged */
	char		 name[64];
	uint32_t	 addr;		/* number of its addresses */
	uint32_t	 key;		/* seed of its node key */
	uint32_t	 disco;		/* seed; 0: none */
	uint16_t	 derp;
	uint16_t	 capver;
	unsigned int	 nendpoints;
	uint32_t	 endpoint;	/* seed */
	unsigned int	 tags;		/* tag:t0, tag:t1 ... */
	unsigned int	 tag_from;	/* number of the first */
	int64_t		 expiry;
	int64_t		 last_seen;
	bool		 online;
	bool		 published;
	unsigned int	 advertised;	/* bits: 1 exit, 2 and 4 subnets, 8
					 * some of the tailnet's own */
	unsigned int	 approved;
	unsigned int	 primary;	/* of 2 and 4 */
	unsigned int	 subnet;	/* number of one of its own:
					 * 10.128.1.0/24 and on; 0: none */
	bool		 standby;	/* it is not elected for that */
	char		 os[16];
	char		 hostname[64];
	uint16_t	 peerapi;	/* port; 0: no services */
};

struct fuser {
	uint64_t	 id;
	char		 name[64];
	uint8_t		 role;		/* enum user_role */
};

/* A plausible published node that is offline. */
void	fnode_init(struct fnode *, uint64_t id, uint64_t user);
/* The same as a record; lists live in b, which the caller frees. */
void	fnode_record(const struct fnode *, struct r_node *,
	    struct buf b[FEED_LISTS]);
void	fnode_record_free(struct buf b[FEED_LISTS]);

struct pol;

/* What it gives out goes nowhere; a stream that is over is closed. */
const struct tn_ops *feed_deaf(void);

/* Each returns what tailnets_apply() or tailnets_snapshot() does. */
int	feed_tailnet(struct tailnets *, const char *name, unsigned int policy);
int	feed_user(struct tailnets *, const struct fuser *);
int	feed_user_del(struct tailnets *, uint64_t id);
int	feed_node(struct tailnets *, const struct fnode *);
int	feed_node_del(struct tailnets *, uint64_t id);
int	feed_online(struct tailnets *, uint64_t id, bool online,
	    int64_t last_seen);
/* Bit k of bits is node base + k. */
int	feed_online_map(struct tailnets *, uint64_t base, const void *bits,
	    size_t n, int64_t last_seen);
/* The compiled policy, in parts of so many octets; 0: in one, as a memory. */
int	feed_policy(struct tailnets *, const struct pol *, size_t part);
int	feed_batch(struct tailnets *, uint64_t seq);
/* Appends messages of a snapshot. */
void	snap_tailnet(struct buf *, const char *name, unsigned int policy);
void	snap_policy(struct buf *, const struct pol *, size_t part);
void	snap_user(struct buf *, const struct fuser *);
void	snap_node(struct buf *, const struct fnode *);
void	snap_batch(struct buf *, uint64_t seq);

#endif
