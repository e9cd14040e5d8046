/*
 * A struct tailnets in a fake world with clients on its streams, and the
 * test's own truth beside it.
 */

#ifndef REGRESS_LIB_TNWORLD_H
#define REGRESS_LIB_TNWORLD_H

#include "regress/lib/fakeenv.h"
#include "regress/lib/mapview.h"
#include "regress/lib/tnfeed.h"

#define TNW_STREAMS	24

struct client {
	struct tnworld	*world;
	struct stream	*stream;	/* NULL: none */
	struct mapview	*view;
	struct stream_conf conf;
	struct buf	 wire;		/* given out, not yet taken */
	unsigned int	 outs;		/* messages given out */
	bool		 slow;		/* takes only when it is told to */
	bool		 over;		/* its stream was ended */
};

struct tnworld {
	struct fakeenv	*fake;
	struct env	*env;
	struct tailnets	*tn;
	uint64_t	 seq;
	struct client	 client[TNW_STREAMS];
	unsigned int	 overs;
	bool		 sync;		/* clients take within out() */
	const char	*why;		/* first thing that went wrong */
};

/* Without a replica; base domain "ts.example", MagicDNS on. */
struct tnworld	*tnw_new(uint64_t seed);
void		 tnw_free(struct tnworld *);
/* The same with a replica: one user, 1, who owns the nodes 1 to n. */
struct tnworld	*tnw_published(unsigned int n);
/* A configuration with other words. */
void		 tnw_conf(struct tnworld *, const char *base,
		    const char *search, bool taildrop);
/* Opens a stream for a node; NULL if tailnets refuses. */
struct client	*tnw_open(struct tnworld *, uint64_t node, uint32_t key,
		    bool compress, bool alone);
void		 tnw_close(struct client *);
/* Takes what was given out; says that it has drained. */
void		 tnw_take(struct client *);
/*
 * Lets clients take and time pass until nothing happens any more; slow ones
 * take nothing.  NULL, or what went wrong.
 */
const char	*tnw_settle(struct tnworld *);
/* NULL if a settled client knows what a fresh one-shot map says. */
const char	*tnw_check(struct client *);
/* Ends the batch. */
void		 tnw_batch(struct tnworld *);

#endif
