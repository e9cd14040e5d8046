/*
 * The relay's clients (trust.md 4): who may use it, and which worker has whom.
 * Session facts: nothing of it is stored, workers say it again after a start.
 */

#ifndef DBD_RELAY_INT_H
#define DBD_RELAY_INT_H

#include "dbd/dbd_int.h"

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
/* Clients need not be nodes of ours, or must be from now on (reload). */
void	relay_conf_changed(struct dbd *);

#endif
