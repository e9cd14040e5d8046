/*
 * Routes: what is approved, and which node carries a subnet route (policy.md
 * 10.2, 14).
 */

#ifndef DBD_ROUTES_INT_H
#define DBD_ROUTES_INT_H

#include "dbd/dbd_int.h"

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
/* It came online or went. */
void	routes_online(struct node *);
/* The window is over in which routes stayed where they were. */
void	routes_window_over(struct dbd *);

/*
 * At the end of a turn, before the commit: elects for each route that may have
 * to move, and has the nodes that it touches published.  A carrier that is
 * online stays; else it is the one of lowest id that is online; if none is, the
 * one that was, or the lowest.  While a window is open a route stays at a node
 * that may still come back.
 */
void	routes_settle(struct dbd *);

/*
 * Adds to r->approved what r advertises and the policy in force approves for
 * it; b holds the list then.  False if that is nothing.
 */
bool	routes_auto(const struct tailnet *, struct r_node *r, struct buf *b);
/* The same for all nodes of the tailnet, within an operation. */
void	routes_auto_all(struct tailnet *);

/* The node advertises it and it is approved. */
bool	route_effective(const struct r_node *, const struct prefix *);

#endif
