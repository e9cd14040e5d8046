/*
 * Fetch and keyd as dbd sees them: two links to a dbdworld, on which a test
 * says what comes back.
 */

#ifndef REGRESS_LIB_EDGEKIT_H
#define REGRESS_LIB_EDGEKIT_H

#include "regress/lib/dbdworld.h"

struct edge;

enum edge_end { EDGE_OUT, EDGE_KEYD, EDGE_ENDS };

/* Neither is there yet.  Never NULL. */
struct edge	*edge_new(struct dbdworld *);
/* Before its world. */
void		 edge_free(struct edge *);
/* The process comes up, or dies. */
void		 edge_up(struct edge *, enum edge_end);
void		 edge_down(struct edge *, enum edge_end);
/* dbd has taken the link down. */
bool		 edge_is_cut(const struct edge *, enum edge_end);
/* dbd dies and starts again; both links are gone. */
void		 edge_restart(struct edge *, bool full);

/* Delivers all; lets time pass, in steps of a second at most. */
void		 edge_run(struct edge *);
void		 edge_pass(struct edge *, uint64_t us);
/*
 * The oldest message of the type that dbd has sent and edge_take() has not
 * given out before; NULL if there is none.  It lives until the next
 * edge_free().
 */
const struct msg *edge_take(struct edge *, enum edge_end, enum msg_type);
/* Sends a request, a row, a reply (m->id) or a notify, and runs. */
void		 edge_send(struct edge *, enum edge_end, const struct msg *);
/* The worker takes the challenges that it was told of, and all runs. */
void		 edge_worker_ok(struct edge *, struct dbdworker *);

#endif
