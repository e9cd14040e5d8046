/* Tailnets with streams; the clock moves while maps are given out, too. */

#ifndef REGRESS_LIB_STREAMKIT_H
#define REGRESS_LIB_STREAMKIT_H

#include <json.h>

#include "common/log.h"
#include "regress/lib/mapview.h"
#include "regress/lib/tnfeed.h"
#include "worker/tailnet/tailnet.h"

#define CLIENTS		40
#define FRAMES		400

struct sw_got {
	struct frame	*frame[FRAMES];	/* of the last message */
	size_t		 n;
	unsigned int	 outs;
	unsigned int	 firsts;
	struct stream	*stream;
	struct mapview	*view;
};

struct sw_world {
	uint64_t	 now;
	uint64_t	 cost;		/* of each out() */
	struct env	*env;
	struct tailnets	*tn;
	struct sw_got	 got[CLIENTS];
	unsigned int	 overs;
	bool		 close_in_out;
	uint64_t	 seq;
	uint32_t	 draw;
};

/* n nodes of one user, all published and online.  Never NULL. */
struct sw_world	*sw_new(unsigned int n);
/* Of cmocka: *state is the world, which is freed; nothing may be left. */
int		 sw_teardown(void **state);
/* Puts a configuration with this search domain into force. */
void		 sw_configure(struct sw_world *, const char *search,
		    uint32_t keepalive, bool quiet);
/*
 * Runs what is due now; then moves the clock, in microseconds, and runs what
 * falls due.
 */
void		 sw_pass(struct sw_world *, uint64_t us);

/* A stream of the node, in this slot of got[]; no map yet. */
struct sw_got	*sw_open_as(struct sw_world *, unsigned int slot,
		    uint64_t node, bool compress, bool alone);
/* The same, compressed, with peers, and the slot of its number. */
struct sw_got	*sw_open(struct sw_world *, uint64_t node);
/* The same, and takes the first map. */
struct sw_got	*sw_join(struct sw_world *, uint64_t node);

/* The node is news, of the batch that sw_batch() ends. */
void		 sw_put(struct sw_world *, struct fnode *);
void		 sw_batch(struct sw_world *);
/* A batch: the node's endpoints are others. */
void		 sw_endpoint(struct sw_world *, uint64_t id, uint32_t seed);

#endif
