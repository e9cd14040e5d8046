/*
 * The DERP map: from URLs and a file in Tailscale's JSON form, and our own
 * region.
 */

#ifndef WORKER_TAILNET_DERPMAP_H
#define WORKER_TAILNET_DERPMAP_H

#include <stddef.h>

#include "common/msg.h"

struct derpmap;

/*
 * Parses and checks it (protocol.md 5.11): regions keyed by their own id,
 * unique nodes, host names.  A region that is null takes away one of the same
 * number.  name is for errors.  NULL with "name:line: ..." in why if it is
 * bad; never a part of it.  Keys that mean nothing are logged in one line;
 * CanPort80 of a node without a literal IPv4 address is left out.
 */
struct derpmap	*derpmap_parse(const void *, size_t, const char *name,
		    char *why, size_t whylen);
/*
 * Likewise one that came from a URL, whose owner is not trusted (derp.md 14,
 * S16): with InsecureForTests, STUNTestIP or CertName it is bad; its
 * HomeParams and omitDefaultRegions are not looked at.
 */
struct derpmap	*derpmap_parse_remote(const void *, size_t, const char *name,
		    char *why, size_t whylen);
/*
 * A new map of n sources (NULL: one that has none) and, if own says that it is
 * in the map, our relay's region, which nothing takes the place of (derp.md
 * 10.5).  Of regions of one number that of the later source is taken, or none
 * if it is null there; one with a node whose name a later source gives to
 * another region's is left out.  Scores are the last ones given.  The regions
 * in avoid (of derp_region) are marked so, but never our own.  NULL if there
 * would be no region at all.
 */
struct derpmap	*derpmap_join(const struct derpmap *const *, size_t n,
		    const struct r_relay *own, const struct msg_list *avoid);
/* All its relays as records derp_node; lives as long as the map. */
struct msg_list	 derpmap_nodes(const struct derpmap *);
/* NULL is fine. */
void		 derpmap_free(struct derpmap *);
/* The canonical JSON: regions by number, nodes in their order. */
struct slice	 derpmap_json(const struct derpmap *);
size_t		 derpmap_regions(const struct derpmap *);

#endif
