/* Streams: cursors into a replica's list of changes. */

#ifndef WORKER_TAILNET_STREAM_INT_H
#define WORKER_TAILNET_STREAM_INT_H

#include <sys/queue.h>

#include "worker/tailnet/tailnet.h"

struct node;
struct plan;
struct replica;
struct view;

enum stream_state {
	ST_NEW,			/* waits for its first map */
	ST_BUSY,		/* has not sent all that it was given */
	ST_READY,		/* idle while at the replica's version, else
				 * behind */
	ST_OVER			/* its node is gone; out of all lists but one */
};

struct stream {
	TAILQ_ENTRY(stream) link;	/* by state; none while busy */
	struct replica	*replica;
	struct node	*node;		/* NULL: ST_OVER */
	void		*tag;
	struct view	*view;		/* counted; NULL: ST_NEW, ST_OVER */
	struct plan	*plan;		/* what it was last told; likewise */
	uint64_t	 cursor;	/* has seen all up to this version */
	uint64_t	 quiet;		/* when it was last given something */
	uint32_t	 jitter;	/* of its next keep-alive, us */
	uint16_t	 capver;
	uint8_t		 slot;		/* in the wheel */
	uint8_t		 state;
	bool		 compress;
	bool		 alone;		/* no peers */
	TAILQ_ENTRY(stream) wheel;
	LIST_ENTRY(stream) own;		/* of its node */
	struct frame	*last;		/* ST_OVER: not given yet, or NULL */
	uint8_t		 key[32];
};
TAILQ_HEAD(stream_list, stream);

/* The replica has a new version: its streams are behind. */
void	 streams_behind(struct replica *);
/* The node leaves the replica: its streams end. */
void	 streams_orphan(struct node *);
/* Readies what streams need; the compressor is there. */
void	 streams_init(struct tailnets *);
/* Ends all streams without telling anybody. */
void	 streams_free(struct tailnets *);

#endif
