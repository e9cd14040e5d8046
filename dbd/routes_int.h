/*
 * Routes: what is approved, and which node carries a subnet route (policy.md
 * 10.2, 14).
 */

#ifndef DBD_ROUTES_INT_H
#define DBD_ROUTES_INT_H

#include "dbd/dbd_int.h"
#include "dbd/elect.h"

/* A tailnet's table of routes and what is due in it. */
void	routes_init(struct tailnet *);
/* Its nodes are gone. */
void	routes_free(struct tailnet *);

/* What decides which routes a node carries is the same in both. */
bool	routes_same(const struct r_node *, const struct r_node *);
/* The node is new, or carries other routes than it did. */
void	routes_update(struct node *);
/* The node goes. */
void	routes_drop(struct node *);
/* It came online or went, or its key expired or is good again. */
void	routes_look(struct node *);
/* The window is over in which routes stayed where they were. */
void	routes_window_over(struct dbd *);

/*
 * At the end of a turn, before the commit: elects for each route that may have
 * to move, and has the nodes that it touches published, as many as go into the
 * turn and the others in those that follow.  A carrier that is
 * online and whose key has not expired stays; else it is the one of lowest id
 * of which that is true; if there is none, the one that was, if one was.
 * While the window after dbd's own death is open a route stays at a node that
 * may still come back.
 */
void	routes_settle(struct dbd *);

/*
 * Adds to r->approved what r advertises and the policy in force approves for
 * it; b holds the list then.  False if that is nothing.  What was refused for
 * the node that r is to be (NULL: a new one) stays so.
 */
bool	routes_auto(struct tailnet *, const struct node *, struct r_node *r,
	    struct buf *b);
/*
 * The same for all nodes of the tailnet, in pieces: within the operation that
 * puts a policy in force this notes that they are to be looked at.  If the
 * version is another than before, nothing is refused any more.
 */
void	routes_auto_all(struct tailnet *);
/*
 * Outside of an operation, and for the timer of what goes on: looks at the next
 * nodes that are to be looked at, an operation each.  It waits for workers that
 * are behind, half a minute of a pass, then a second for each piece.  After a
 * start all are: a pass that death has cut short is so made whole.
 */
void	routes_pieces(void *dbd);
/*
 * An administrator takes these back: those that the node advertises are not
 * approved by the policy until it advertises them anew or another version is
 * in force.  The caller stores it with the node, which loses them from what is
 * approved by the same operation.
 */
void	routes_refuse(struct node *, const struct msg_list *routes);
/* What was refused for the node before our start, as it is stored. */
void	routes_recall(struct node *, const struct msg_list *refused);

#endif
