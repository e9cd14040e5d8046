/* A message put together from text of its own and shared frames. */

#ifndef WORKER_TAILNET_COMPOSE_INT_H
#define WORKER_TAILNET_COMPOSE_INT_H

#include "worker/tailnet/pack_int.h"

/* Shorter text is not worth a frame of its own. */
#define COMPOSE_LEAST	512

/* text: written so far and not yet in a frame. */
struct compose {
	struct pack	*pack;
	struct parts	*parts;
	bool		 compress;
	struct buf	 text;
};

void	 compose_init(struct compose *, struct pack *, struct parts *,
	    bool compress);
/*
 * Appends what is shared: frame (compressed, borrowed) if the message is
 * compressed and the text is long enough to be worth a frame, else the text.
 * frame NULL: there is none.
 */
void	 compose_shared(struct compose *, struct frame *, struct slice text);
/* The message is complete: closes the parts and frees the text. */
void	 compose_end(struct compose *);

#endif
