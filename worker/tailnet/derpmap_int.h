/* Inside worker/tailnet: a DERP map that was read, and how maps are joined. */

#ifndef WORKER_TAILNET_DERPMAP_INT_H
#define WORKER_TAILNET_DERPMAP_INT_H

#include "common/buf.h"
#include "worker/tailnet/derpmap.h"

#define HTTPS_PORT	443	/* what a client takes where none is said */
#define STUN_PORT	3478

/* A region's JSON, among the pieces of its map. */
struct piece {
	uint64_t	 id;
	size_t		 at;
	size_t		 n;		/* 0: null */
	size_t		 avoid_at;	/* in it: where Avoid stands, */
	bool		 avoid;		/* or would */
};

struct derpmap {
	struct buf	 json;		/* the whole */
	struct buf	 head;		/* what comes before the regions */
	bool		 scores;	/* there are some in it */
	bool		 omits;		/* omitDefaultRegions */
	struct buf	 pieces;
	struct piece	*piece;		/* by number */
	size_t		 npieces;
	size_t		 nregions;	/* that are not null */
	struct buf	 nodes;		/* records derp_node */
	uint32_t	 nnodes;
};

/*
 * Writes the whole JSON: head, the pieces in the order of their numbers, own
 * in place of that of its number (region n 0: there is none), end.  avoid may
 * be NULL.
 */
void	derpmap_finish(struct derpmap *, uint64_t own, struct slice region,
	    const struct msg_list *avoid);

#endif
