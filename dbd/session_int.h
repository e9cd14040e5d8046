/*
 * Sessions, who is online, and the clocks of nodes (state.md 9).
 */

#ifndef DBD_SESSION_INT_H
#define DBD_SESSION_INT_H

#include "dbd/dbd_int.h"

#define DEFER_MAX	300	/* seconds: no client waits longer */

/* Why a stream ends: DB_STREAM_END. */
enum end_why {
	END_NEWER = 1,
	END_DELETED = 2,
	END_REKEYED = 3
};

void	node_timers_init(struct node *);
void	node_timers_stop(struct node *);
/* Sets the timer for the end of its key; after each change of expiry. */
void	expiry_arm(struct node *);
/*
 * Has the wall clock jumped since it was last noted?  Then the end of every key
 * is looked at anew.  Not within an operation.
 */
void	wall_look(struct dbd *);
/* What wall_look() compares with. */
void	wall_note(struct dbd *);
/*
 * The clock of a node without a session starts: grace while it is online,
 * else, if it is ephemeral, the time until it is deleted.
 */
void	clock_start(struct node *);
/*
 * A map request was refused for so many seconds, at most DEFER_MAX: clocks
 * wait, those too that start before the node is back.
 */
void	clock_defer(struct node *, uint32_t seconds);

/*
 * Makes the worker's stream the node's session: a former one is replaced and
 * its worker told.  The caller has compared the tickets.
 */
struct session *session_open(struct node *, struct worker *, uint64_t
		    generation, const struct r_ticket *, uint32_t h2);
/* Ends it, without telling its worker; the node's clock starts. */
void	session_close(struct session *);
/* Ends the node's session, if it has one, and tells its worker why. */
void	session_kick(struct node *, enum end_why);
/* The first map was handed over, or had been before we died. */
void	session_started(struct session *);

/* A session fact: goes to all holders, and lazily to the store. */
void	set_online(struct node *, bool online, int64_t last_seen);
/* Writes up to max lazily kept facts into the batch; true if some are left. */
bool	lazy_write(struct dbd *, uint32_t max);
/* They will be written within half a minute. */
void	lazy_arm(struct dbd *);

/* After the load: presume online, set clocks, open the window. */
void	window_open(struct dbd *);
/* Its end: those that did not come back are offline. */
void	window_close(struct dbd *);
/* A presumed node came back. */
void	window_back(struct node *);
/* Sends DB_ONLINE_MAP of the tailnet. */
void	online_map_send(struct dbd *, struct link *, struct tailnet *);

#endif
