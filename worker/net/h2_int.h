/* Inside the HTTP/2 layer: a session, its words (h2.c), its time (h2time.c). */

#ifndef WORKER_NET_H2_INT_H
#define WORKER_NET_H2_INT_H

#include "worker/net/h2flow.h"
#include "worker/net/layers_int.h"

#define H2_GOODBYE_US	(300 * US_PER_MS)	/* between the two GOAWAYs */

enum h2_goodbye { H2_STAYS, H2_SAID, H2_FINAL };

struct nghttp2_session;

/* First what each message to a stream needs, close by. */
struct h2 {
	struct conn	*conn;
	struct h2_flow	 flow;
	struct buf	 spill;		/* frames that did not fit */
	uint8_t		*dst;		/* of the output under way */
	size_t		 n;
	size_t		 max;
	uint64_t	 now;
	enum h2_goodbye	 goodbye;
	/* The library has nothing to write, and what it said of its end. */
	bool		 lib_still;
	bool		 lib_ends;
	/* Nothing to write and not over, when it was last looked at. */
	bool		 still;
	bool		 making;
	bool		 has_libbuf;
	struct nghttp2_session *ng;
	struct h2_cut	 cut;
	uint64_t	 idle_since;
	uint64_t	 goodbye_at;	/* when its last step was made */
	struct buf	 rest;		/* input, while there is no room */
};

/* Says which is the last request that is answered: the second GOAWAY. */
void		 h2_say_final(struct conn *);
/* For all of a request, from its first octet to its last. */
uint64_t	 h2_ask_us(const struct conn *);

#endif
