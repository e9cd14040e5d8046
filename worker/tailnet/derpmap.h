/* The DERP map, from a file in Tailscale's JSON form. */

#ifndef WORKER_TAILNET_DERPMAP_H
#define WORKER_TAILNET_DERPMAP_H

#include <stddef.h>

#include "common/buf.h"

struct derpmap;

/*
 * Parses and checks it (protocol.md 5.11): regions keyed by their own id,
 * unique nodes, host names.  name is for errors.  NULL with "name:line: ..."
 * in why if it is bad; never a part of it.
 */
struct derpmap	*derpmap_parse(const void *, size_t, const char *name,
		    char *why, size_t whylen);
void		 derpmap_free(struct derpmap *);
/* The canonical JSON: regions by number, nodes in their order. */
struct slice	 derpmap_json(const struct derpmap *);
size_t		 derpmap_regions(const struct derpmap *);

#endif
