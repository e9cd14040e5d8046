/*
 * Making, changing and removing what state_int.h describes.  Memory and
 * indexes only: the store, changes and timers are the operations' business.
 */

#ifndef DBD_OBJECTS_INT_H
#define DBD_OBJECTS_INT_H

#include "dbd/dbd_int.h"

/* Each takes copies of what the row points to.  Never NULL. */
struct tailnet	*tailnet_add(struct dbd *, const struct tailnet_row *);
struct user	*user_add(struct tailnet *, const struct r_user *);
struct authkey	*authkey_add(struct tailnet *, const struct authkey_row *);
/* Its timers are set up, none is pending. */
struct node	*node_add(struct tailnet *, const struct node_row *);
struct rest	*rest_add(struct tailnet *, const struct rest_row *);

/*
 * Replaces what is known of it; slices of the new one may point into the old
 * one.  Indexes follow.
 */
void		 user_set(struct user *, const struct r_user *);
void		 node_set(struct node *, const struct r_node *);
/* True if node_set() would change nothing. */
bool		 node_same(struct node *, const struct r_node *);

/* Forget and free it.  A node must have no session and no waiting update. */
void		 tailnet_free(struct tailnet *);
void		 user_free(struct user *);
void		 authkey_free(struct authkey *);
void		 node_free(struct node *);
void		 rest_free(struct rest *);

/* The node's row as it goes to the store; points into n. */
void		 node_row(const struct node *, struct node_row *);
/* Nodes of a machine key, one after the other; start with NULL. */
struct node	*node_next_machine(struct dbd *, const uint8_t key[KEY_LEN],
		    struct node *);
/* Its key has expired at this time (Unix seconds). */
bool		 node_expired(const struct node *, int64_t now);

#endif
