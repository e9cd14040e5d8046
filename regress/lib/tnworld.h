/*
 * A struct tailnets in a fake world with clients on its streams, and the
 * test's own truth beside it.
 */

#ifndef REGRESS_LIB_TNWORLD_H
#define REGRESS_LIB_TNWORLD_H

#include "regress/lib/fakeenv.h"
#include "regress/lib/mapview.h"
#include "regress/lib/tnfeed.h"

#define WORLD_STREAMS	24

struct client {
	struct world	*world;
	struct stream	*stream;	/* NULL: none */
	struct mapview	*view;
	struct stream_conf conf;
	struct buf	 wire;		/* given out, not yet taken */
	unsigned int	 outs;		/* messages given out */
	bool		 slow;		/* takes only when it is told to */
	bool		 over;		/* its stream was ended */
};

struct world {
	struct fakeenv	*fake;
	struct env	*env;
	struct tailnets	*tn;
	uint64_t	 seq;
	struct client	 client[WORLD_STREAMS];
	unsigned int	 overs;
	bool		 sync;		/* clients take within out() */
	const char	*why;		/* first thing that went wrong */
};

/* Without a replica; base domain "ts.example", MagicDNS on. */
struct world	*world_new(uint64_t seed);
void		 world_free(struct world *);
/* A configuration with other words. */
void		 world_conf(struct world *, const char *base,
		    const char *search, bool taildrop);
/* Opens a stream for a node; NULL if tailnets refuses. */
struct client	*world_open(struct world *, uint64_t node, uint32_t key,
		    bool compress, bool alone);
void		 world_close(struct client *);
/* Takes what was given out; says that it has drained. */
void		 world_take(struct client *);
/*
 * Lets clients take and time pass until nothing happens any more; slow ones
 * take nothing.  NULL, or what went wrong.
 */
const char	*world_settle(struct world *);
/* NULL if a settled client knows what a fresh one-shot map says. */
const char	*world_check(struct client *);
/* Ends the batch. */
void		 world_batch(struct world *);

#endif
