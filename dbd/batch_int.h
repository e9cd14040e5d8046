/*
 * Batches (state.md 2): operations, their changes, results and audit rows,
 * one commit, and what leaves after it.
 */

#ifndef DBD_BATCH_INT_H
#define DBD_BATCH_INT_H

#include "dbd/dbd_int.h"

#define AUDIT_KEEP	100000U		/* newest audit rows of a tailnet */

/*
 * Begins an operation in the current batch, a new one if need be; a batch that
 * is full (BATCH_MAX, TURN_CHANGES) is committed first, and sent at the end of
 * the turn.  No node changes by that.  Ends with op_end() or op_undo().
 */
void	op_begin(struct dbd *);
void	op_end(struct dbd *);
/* What it wrote is undone; memory must be as before. */
void	op_undo(struct dbd *);
/* Ends the process if rc, of a function of the store, is -1. */
void	op_check(struct dbd *, int rc);
/* The next id of a kind; never 0 in a process that lives. */
uint64_t op_id(struct dbd *, enum store_id);

/*
 * Within an operation: writes what memory now holds to the store and tells
 * the tailnet's replicas.
 */
void	put_user(struct user *);
void	put_node(struct node *);
/* The policy in force is another one; the store is the caller's. */
void	put_policy(struct tailnet *);
/* The same, without telling: only dbd's own part changed. */
void	store_node(struct node *);
/*
 * Deletes it from store, replicas and memory; its stream ends, its addresses
 * rest.
 */
void	del_node(struct node *);
void	del_user(struct user *);
/* It made a node: written once at the end of the batch. */
void	use_authkey(struct authkey *);
/* The stored answer to the worker's request, for when it asks again. */
void	put_result(struct worker *, const struct msg *reply);
/* A row for the auditors; detail is printf-like, without secrets. */
void	audit(struct tailnet *, uint32_t uid, const char *what,
	    uint64_t target, const char *detail, ...)
	    __attribute__((__format__(printf, 5, 6)));

/* A line for the log, of what is not true before the commit. */
void	batch_log(struct dbd *, const char *, ...)
	    __attribute__((__format__(printf, 2, 3)));

/*
 * Commits what is open and keeps it for the end of the turn; a failed commit
 * ends the process.
 */
void	batch_commit(struct dbd *);
/* A reply to the worker's request: put_result() if stored, batch_reply(). */
void	answer(struct worker *, struct msg *reply, bool stored);

/* Sends what batch_reply() queued. */
void	outs_send(struct dbd *);
void	outs_free(struct dbd *);

/* Appends u16 type, u32 length, body: the form of snapshots and log rows. */
void	change_add(struct buf *, const struct msg *);
/* Takes the next one from r; false at the end or if it is malformed. */
bool	change_next(struct rd *, struct msg *);

#endif
