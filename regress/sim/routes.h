/*
 * Subnet routes and exit nodes in the simulation: which there are, who gets
 * them approved, and what is to be true of them in the end.
 */

#ifndef REGRESS_SIM_ROUTES_H
#define REGRESS_SIM_ROUTES_H

#include "regress/sim/admin.h"
#include "regress/sim/view.h"

#define ROUTES		6
#define ROUTES_EXIT	0x03u	/* 0.0.0.0/0 and ::/0 */
#define ROUTES_SUBNETS	0x3cu
#define ROUTES_OTHER	0x80000000u	/* that have no number */

/* By number, below ROUTES; masks of routes have bit k for it. */
const char	*route_text(unsigned int k);

/* Every policy's autoApprovers; the last subnet is nobody's. */
#define ROUTES_APPROVERS \
	"\"autoApprovers\": {\"exitNode\": [\"alice@\"], \"routes\": {" \
	"\"10.10.0.0/16\": [\"alice@\"], " \
	"\"10.20.0.0/16\": [\"alice@\", \"bob@\"], " \
	"\"fd00:30::/64\": [\"alice@\", \"bob@\"]}}"

/* Some of them, or none: what a client may advertise. */
unsigned int	routes_any(struct world *);
/*
 * What the policies approve is approved for each node, of users alice and the
 * others; each subnet route of which a router is usable has one primary, which
 * is, too; no route has two, and nobody is one of a route of another
 * (dbd/elect.h).
 */
void		routes_check(struct world *, const struct truth *, size_t n,
		    uint64_t alice);
/* The primary of a subnet route, or NULL. */
const struct truth *routes_primary(const struct truth *, size_t n,
		    unsigned int route);
/*
 * Who is to be elected: the usable router of lowest id but for this one (may
 * be NULL); NULL: none is.
 */
const struct truth *routes_first(struct world *, const struct truth *,
		    size_t n, unsigned int route, const struct truth *but);
/* AllowedIPs and PrimaryRoutes of a peer, as who may use all is told. */
void		routes_check_peer(struct world *, const char *viewer,
		    const struct view_peer *, const struct truth *);
/* The same of the client's own node (policy.md 10.4). */
void		routes_check_self(struct world *, const char *viewer,
		    const struct view *, const struct truth *);

#endif
