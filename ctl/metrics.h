/*
 * What the server says of itself as text for Prometheus: its text exposition
 * format, version 0.0.4, with a line "# EOF" after the last one.
 */

#ifndef CTL_METRICS_H
#define CTL_METRICS_H

#include "common/msg.h"
#include "ctl/out.h"

struct metrics;

/* Never NULL. */
struct metrics	*metrics_new(void);
/* NULL is fine. */
void		 metrics_free(struct metrics *);
/* A row of status, derp list or cert list; its slices are not kept. */
void		 metrics_row(struct metrics *, const struct msg *);
/*
 * All rows have come: appends them to o->text, each metric once with all its
 * samples; those without a sample are left out.
 */
void		 metrics_end(const struct metrics *, struct out *);

#endif
