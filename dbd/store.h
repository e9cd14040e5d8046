/*
 * The store: a seam of typed operations, not of SQL (state.md 12).  One
 * implementation now, SQLite; PostgreSQL must fit behind the same functions
 * and pass the same tests.  Rows given are borrowed for the call; rows handed
 * out by the load and find functions live until the callback returns, and a
 * callback calls no function of the store.  Rows that are read are checked
 * like a message: one that is out of bounds ends the load with -1.
 *
 * All writing happens between store_begin() and store_commit().  A function
 * that returns -1 has logged why; what it did goes with store_undo().  Where
 * the disk failed that may have ended the transaction: then undo, every other
 * write and the commit return -1 too.  After a failed begin, undo or commit the
 * caller ends: the store is opened again and read as it is.
 */

#ifndef DBD_STORE_H
#define DBD_STORE_H

#include "dbd/types.h"

struct store;

/* The newest schema version that this program knows. */
#define STORE_VERSION	5
/* Octets of changes that one log row may have. */
#define STORE_LOG_MAX	(64UL * 1024 * 1024)

/*
 * Opens or makes the SQLite database at path, migrates it forward (each step
 * in a transaction of its own, the file copied beside it first), and refuses
 * a newer one.  vfs: NULL, or the name of a registered sqlite3_vfs (the
 * simulator).  boot: results of other boots are forgotten.  NULL with a text
 * for the administrator in why.
 */
struct store	*store_open_sqlite(const char *path, const char *vfs,
		    const uint8_t boot[16], char *why, size_t whylen);
/* True if it has been open in this boot before: dbd alone was started again. */
bool		 store_same_boot(const struct store *);
/* Checkpoints and closes; NULL is fine. */
void		 store_close(struct store *);
/* Closes without checkpoint or commit: as if the process had died. */
void		 store_abandon(struct store *);

/* Calls back once per row; a callback that returns -1 ends it with -1. */
int	store_load_tailnets(struct store *,
	    int (*)(const struct tailnet_row *, void *), void *);
int	store_load_users(struct store *,
	    int (*)(const struct user_row *, void *), void *);
int	store_load_nodes(struct store *,
	    int (*)(const struct node_row *, void *), void *);
int	store_load_authkeys(struct store *,
	    int (*)(const struct authkey_row *, void *), void *);
int	store_load_rests(struct store *,
	    int (*)(const struct rest_row *, void *), void *);
int	store_load_exposures(struct store *,
	    int (*)(const struct exposure_row *, void *), void *);
/* Policy versions of a tailnet, newest first, at most max; without blobs. */
int	store_load_policies(struct store *, uint64_t tailnet, uint32_t max,
	    int (*)(const struct policy_row *, void *), void *);
/* The same without texts, too: what they were, not what they say. */
int	store_list_policies(struct store *, uint64_t tailnet, uint32_t max,
	    int (*)(const struct policy_row *, void *), void *);
/* All of one version, 0: the newest.  1 found, 0 not, -1 error. */
int	store_find_policy(struct store *, uint64_t tailnet, uint32_t version,
	    int (*)(const struct policy_row *, void *), void *);
/* Audit rows of a tailnet, newest first, at most max. */
int	store_load_audit(struct store *, uint64_t tailnet, uint32_t max,
	    int (*)(const struct audit_row *, void *), void *);
/* Log rows of a tailnet with seq > after, oldest first. */
int	store_load_log(struct store *, uint64_t tailnet, uint64_t after,
	    int (*)(const struct log_row *, void *), void *);
/* True if the log holds a row with exactly this seq and batch. */
bool	store_log_has(struct store *, uint64_t tailnet, uint64_t seq,
	    const uint8_t batch[BATCH_LEN]);
/* 1 found, 0 not, -1 error. */
int	store_find_result(struct store *, uint16_t slot, uint64_t generation,
	    uint32_t request, int (*)(const struct result_row *, void *),
	    void *);

/* What was fetched, by URL. */
int	store_load_fetched(struct store *,
	    int (*)(const struct fetched_row *, void *), void *);
/* The certificate's state.  1 found, 0 not, -1 error. */
int	store_find_cert(struct store *,
	    int (*)(const struct cert_row *, void *), void *);

/* The next id of a kind, never given twice, even after deletion. */
enum store_id {
	STORE_ID_TAILNET,
	STORE_ID_USER,
	STORE_ID_NODE,
	STORE_ID_AUTHKEY,
	STORE_ID_MAX
};
/*
 * Within a transaction.  0 on error.  An id of an operation that was undone is
 * lost, or given again after a restart: nobody was told of it.
 */
uint64_t store_next_id(struct store *, enum store_id);

int	store_begin(struct store *);
/* Durable when it returns 0. */
int	store_commit(struct store *);
int	store_rollback(struct store *);
/* One operation of a batch: undo it alone. */
int	store_savepoint(struct store *);
int	store_release(struct store *);
int	store_undo(struct store *);

/*
 * Insert or replace by id.  Refused (-1) where it would break a rule of the
 * schema: names of a tailnet's users and nodes, its addresses, node keys and
 * hashes of auth keys are unique, owners are of the same tailnet.
 */
/* policy and version are not written: store_add_policy() does. */
int	store_put_tailnet(struct store *, const struct tailnet_row *);
int	store_put_user(struct store *, const struct user_row *);
/* Its auth keys go with it; refused while it owns nodes. */
int	store_del_user(struct store *, uint64_t tailnet, uint64_t id);
/* Its routes of all lists go to their own table with it. */
int	store_put_node(struct store *, const struct node_row *);
int	store_del_node(struct store *, uint64_t tailnet, uint64_t id);
/* Lazily written session facts; no log row, no seq. */
int	store_put_seen(struct store *, uint64_t tailnet, uint64_t node,
	    bool online, int64_t last_seen);
int	store_put_authkey(struct store *, const struct authkey_row *);
int	store_del_authkey(struct store *, uint64_t tailnet, uint64_t id);
/*
 * A new version of the tailnet's policy; version is given by the store.  Those
 * before it lose their compiled form.
 */
int	store_add_policy(struct store *, const struct policy_row *);
/* What a version is compiled to now. */
int	store_put_policy_blob(struct store *, uint64_t tailnet,
	    uint32_t version, struct slice blob);
int	store_put_rest(struct store *, const struct rest_row *);
/* Forgets addresses that have rested until now. */
int	store_del_rests(struct store *, int64_t now);
/*
 * Of a row that is there first stays the smaller, and revoked while the key
 * is the same: after its own restart dbd knows neither.
 */
int	store_put_exposure(struct store *, const struct exposure_row *);
/*
 * Forgets exposures that ended before a time, or, of nodes that are no more,
 * before another (gone).
 */
int	store_del_exposures(struct store *, int64_t before, int64_t gone);
int	store_put_result(struct store *, const struct result_row *);
/*
 * Results of an instance that is gone and will not ask again, and of the
 * slot's earlier ones.
 */
int	store_del_results(struct store *, uint16_t slot, uint64_t generation);
/* Its results whose request is smaller: answered, and not asked again. */
int	store_trim_results(struct store *, uint16_t slot, uint64_t generation,
	    uint32_t below);
/* Refused if its changes are more than STORE_LOG_MAX. */
int	store_add_log(struct store *, const struct log_row *);
/*
 * Keeps the newest `keep` log rows of the tailnet, and of them those whose
 * changes come to at most so many octets; forgets at most 1,000 a call.  It
 * walks what is kept: not for each batch.
 */
int	store_trim_log(struct store *, uint64_t tailnet, uint32_t keep,
	    uint64_t octets);
int	store_put_fetched(struct store *, const struct fetched_row *);
int	store_del_fetched(struct store *, struct slice url);
/* There is one. */
int	store_put_cert(struct store *, const struct cert_row *);
int	store_add_audit(struct store *, const struct audit_row *);
/*
 * Keeps the newest `keep` audit rows of the tailnet; of older ones it forgets
 * those from before a time (INT64_MAX: all), at most 2,000 a call.
 */
int	store_trim_audit(struct store *, uint64_t tailnet, uint32_t keep,
	    int64_t before);

#endif
