/* Complete maps: concatenations of shared frames (state.md 5). */

#ifndef WORKER_TAILNET_FULLMAP_INT_H
#define WORKER_TAILNET_FULLMAP_INT_H

#include "worker/tailnet/pack_int.h"

struct node;
struct plan;
struct replica;
struct view;

struct fullmap {
	const struct node *node;
	const uint8_t	*key;		/* of the request */
	struct view	*view;
	struct plan	*plan;
	uint16_t	 capver;
	bool		 compress;
	bool		 fresh;		/* no lagging chunks */
};

/*
 * Adds the frames of a complete map to parts, which is empty.  Returns the
 * version that it stands for: what changed after it must follow.
 */
uint64_t	 fullmap_parts(struct replica *, const struct fullmap *,
		    struct parts *);
/* Appends the node's own Node object (for deltas). */
void		 fullmap_self(const struct replica *, const struct fullmap *,
		    struct buf *);

#endif
