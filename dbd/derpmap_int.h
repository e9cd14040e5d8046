/*
 * DERP maps from URLs (derp.md 10.5): fetched, kept in the store, given to
 * workers.  dbd does not read them; a worker says whether one is a DERP map,
 * and only such a one takes the place of the last good one.
 */

#ifndef DBD_DERPMAP_INT_H
#define DBD_DERPMAP_INT_H

#include "dbd/dbd_int.h"

/* State in d->derpmap. */
void	derpurl_init(struct dbd *);
void	derpurl_free(struct dbd *);
/* What is stored; -1 if the store failed. */
int	derpurl_load(struct dbd *);
/* Fetching begins, or begins anew with other URLs. */
void	derpurl_conf(struct dbd *);
/* Fetch is there. */
void	derpurl_out_up(struct dbd *);
/* After its hello: all maps for the worker. */
void	derpurl_hello(struct worker *);

void	on_derpmap_said(struct worker *, const struct msg *);

#endif
