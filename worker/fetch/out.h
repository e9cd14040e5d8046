/*
 * headscaled-fetch as "out": what dbd asks of the outside.  Pure but for the
 * seam to HTTP.  It holds no secret, and nothing that it brings back is an
 * identity.
 */

#ifndef WORKER_FETCH_OUT_H
#define WORKER_FETCH_OUT_H

#include "common/env.h"
#include "common/link.h"
#include "worker/fetch/ask.h"

struct fetch_out;

/* ops and arg must outlive it.  Never NULL. */
struct fetch_out *fetch_out_new(struct env *, const struct ask_ops *,
		    void *arg);
/* Ends all that is under way.  NULL is fine. */
void		 fetch_out_free(struct fetch_out *);
/*
 * The OUT link from now on; NULL: there is none.  What was under way for the
 * one before has nobody to answer and ends.
 */
void		 fetch_out_link(struct fetch_out *, struct link *);
/* A message of that link; tag as on_msg has it. */
void		 fetch_out_msg(struct fetch_out *, const struct msg *,
		    void *tag);
/* How many requests of dbd are under way. */
size_t		 fetch_out_busy(const struct fetch_out *);

#endif
