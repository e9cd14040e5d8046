/*
 * The relay's clients (trust.md 4): who may use it, and which worker has whom.
 * Session facts: nothing of it is stored, workers say it again after a start.
 */

#ifndef DBD_RELAY_INT_H
#define DBD_RELAY_INT_H

#include "dbd/dbd_int.h"

/* With dbd, before and after all else of it; at the end no workers are left. */
void	relay_init(struct dbd *);
void	relay_end(struct dbd *);

void	on_relay_hold(struct worker *, const struct msg *);
void	on_relay_open(struct worker *, const struct msg *);
void	on_relay_close(struct worker *, const struct msg *);
void	on_relay_active(struct worker *, const struct msg *);
void	on_node_key(struct worker *, const struct msg *);

/* After its hello: tells the worker of all that are there. */
void	relay_hello(struct worker *);
/* The worker is gone, and its clients with it. */
void	relay_worker_gone(struct worker *);
/* All workers had their time to say whom they hold. */
void	relay_window_over(struct dbd *);
/*
 * The node of this key is another, gone, or its key has expired: connections
 * that it may not have any more are closed.
 */
void	relay_look(struct dbd *, const uint8_t key[KEY_LEN]);
/*
 * The node has another key from now on; known was its key, and had expired or
 * not.  If not, it may use the relay with that for RELAY_OLD_US more
 * (derp.md 8): others send to it until they have heard of the new one.
 */
#define RELAY_OLD_US	(300 * US_PER_S)
void	relay_rekeyed(struct node *, const uint8_t known[KEY_LEN],
	    bool expired);
/* Whose key it was, that may still use the relay with it; or NULL. */
struct node *relay_old_node(struct dbd *, const uint8_t key[KEY_LEN]);
/* The node is gone or its key has expired: its old keys are good no more. */
void	relay_old_forget(struct node *);
void	relay_old_init(struct dbd *);
void	relay_old_end(struct dbd *);
/* Clients need not be nodes of ours, or must be from now on (reload). */
void	relay_conf_changed(struct dbd *);

#endif
