/* Workers: their links, the replicas they hold, what they have held. */

#ifndef DBD_WORKER_INT_H
#define DBD_WORKER_INT_H

#include "dbd/dbd_int.h"

/* NULL if the link is not a worker's that is up. */
struct worker	*worker_find(struct dbd *, const struct link *);
struct worker	*worker_add(struct dbd *, struct link *);
/* All its sessions close; what it has held is written. */
void		 worker_free(struct worker *);

/*
 * The worker's replica of the tailnet.  One that is new is due: the snapshot
 * goes out at the end of the turn.
 */
struct held	*held_get(struct worker *, struct tailnet *);
struct held	*held_find(const struct worker *, const struct tailnet *);
void		 held_drop(struct held *);
/* Drops replicas without sessions, replaces workers that do not read. */
void		 workers_sweep(void *dbd);

/* Notes that the worker holds the node's stream. */
struct exposed	*expose(struct worker *, const struct node *);
/* It has ever held a stream of the node with this id. */
bool		 exposed_has(const struct worker *, uint64_t node);
/* Writes its row into the batch. */
void		 exposed_store(struct dbd *, struct exposed *);
/* Forgets it; what was not written is lost. */
void	 exposed_free(struct worker *, struct exposed *);
/* Within an operation: the node is deleted, nobody holds it any more. */
void	 exposed_forget(struct dbd *, uint64_t node);
/* A stream of it ended: to be written lazily. */
void		 exposed_end(struct worker *, uint64_t node);

/* Handlers of the hello. */
void	on_have(struct worker *, const struct msg *);
void	on_resume(struct worker *, const struct msg *);
void	on_hello_done(struct worker *, const struct msg *);

/* The whole tailnet, in the form of change_add(), DB_BATCH last. */
void	snapshot_make(struct tailnet *, struct buf *);
/* Sends it, sealed or in parts. */
void	snapshot_send(struct dbd *, struct link *, struct tailnet *);
/* Sends it if it can be sealed; else false, and nothing was sent. */
bool	snapshot_sealed(struct dbd *, struct link *, struct tailnet *);
/*
 * Sends what the log has after seq; false if it does not know this place, or
 * has more than half of what may wait for the worker: then nothing was sent.
 */
bool	replay_send(struct dbd *, struct link *, struct tailnet *,
	    uint64_t seq, const uint8_t batch[BATCH_LEN]);

#endif
