/* The DERP map: from a file in Tailscale's JSON form, and our own region. */

#ifndef WORKER_TAILNET_DERPMAP_H
#define WORKER_TAILNET_DERPMAP_H

#include <stddef.h>

#include "common/msg.h"

struct derpmap;

/*
 * Parses and checks it (protocol.md 5.11): regions keyed by their own id,
 * unique nodes, host names.  A region that is null takes away one of the same
 * number.  name is for errors.  NULL with "name:line: ..." in why if it is
 * bad; never a part of it.
 */
struct derpmap	*derpmap_parse(const void *, size_t, const char *name,
		    char *why, size_t whylen);
/*
 * A new map of a file's regions (NULL: none) and, if own says that it is in
 * the map, that of our relay, which nothing takes the place of (derp.md 10.5).
 * NULL if there would be no region at all.
 */
struct derpmap	*derpmap_join(const struct derpmap *file,
		    const struct r_relay *own);
/* NULL is fine. */
void		 derpmap_free(struct derpmap *);
/* The canonical JSON: regions by number, nodes in their order. */
struct slice	 derpmap_json(const struct derpmap *);
size_t		 derpmap_regions(const struct derpmap *);

#endif
