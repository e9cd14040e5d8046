/*
 * Of whom a wide router carries nodes.  Rows of autogroup:self, as compiled
 * for an owner's nodes, name these nodes' addresses, so that a route may lie
 * in them (policy.md 10.1).  Their sources name owners, each with all untagged
 * nodes (policy.md 7): so one of them in the route makes the router a peer of
 * all of them.
 */

#ifndef WORKER_TAILNET_HOLDING_INT_H
#define WORKER_TAILNET_HOLDING_INT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct node;
struct replica;

/* Owners that such rows name.  Counted, and never changed. */
struct holding;

/* What the router's subnet routes cover of the nodes that have classes. */
struct holding	*holding_new(const struct replica *, const struct node *);
/* Of all these NULL is fine, and none. */
struct holding	*holding_ref(struct holding *);
void		 holding_unref(struct holding *);
bool		 holding_has(const struct holding *, uint64_t owner);
/* All of them, ascending; borrowed. */
size_t		 holding_owners(const struct holding *, const uint64_t **);
/* NULL is equal to nothing but NULL. */
bool		 holding_eq(const struct holding *, const struct holding *);

#endif
