/* The DERP map's file: what passes is its own canonical form. */

#include <stdint.h>
#include <stdlib.h>

#include "worker/tailnet/derpmap.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct derpmap *d, *again;
	char why[64];

	if ((d = derpmap_parse(p, n, "fuzz", why, sizeof(why))) == NULL)
		return 0;
	if (derpmap_regions(d) == 0) {
		/* Only nulls: it takes away, and is no map by itself. */
		derpmap_free(d);
		return 0;
	}
	again = derpmap_parse(derpmap_json(d).p, derpmap_json(d).n, "again",
	    why, sizeof(why));
	if (again == NULL || derpmap_regions(d) != derpmap_regions(again) ||
	    !slice_eq(derpmap_json(d), derpmap_json(again)))
		abort();
	derpmap_free(d);
	derpmap_free(again);
	return 0;
}
