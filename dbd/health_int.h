/*
 * How the relays of the DERP map in force are: a worker says which there are,
 * fetch asks them.  What workers say is text to be shown and hosts to be
 * probed, no more.
 */

#ifndef DBD_HEALTH_INT_H
#define DBD_HEALTH_INT_H

#include "dbd/dbd_int.h"

#define RELAYS_MAX	1000		/* of a map; the rest is not probed */

/* State in d->health. */
void	health_init(struct dbd *);
void	health_free(struct dbd *);
/* Fetch is there: probing begins or goes on. */
void	health_out_up(struct dbd *);
/* When a region is to be avoided may have changed, or which relay is ours. */
void	health_conf(struct dbd *);
/* After its hello: the worker is told what is to be avoided. */
void	health_hello(struct worker *);
/* Its list counts no more. */
void	health_worker_gone(struct worker *);
/* Appends a CTL_DERP for each relay, as rows_add() does. */
void	health_rows(struct dbd *, struct buf *);

void	on_derp_node(struct worker *, const struct msg *);
void	on_derp_nodes(struct worker *, const struct msg *);

#endif
