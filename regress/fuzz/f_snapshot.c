/*
 * A snapshot: whatever it holds, it is refused or every node's map is one
 * that a client takes.
 */

#include <stdint.h>
#include <stdlib.h>

#include "regress/lib/fakeenv.h"
#include "regress/lib/mapview.h"
#include "regress/lib/quiet.h"
#include "regress/lib/tnfeed.h"
#include "worker/tailnet/tailnets_int.h"

#define FRAMES	64
#define VIEWERS	4

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
look(struct tailnets *tn, uint64_t id)
{
	struct stream_conf sc = { .tailnet = FEED_TAILNET, .node = id,
	    .capver = 148, .compress = true };
	struct frame *f[FRAMES];
	struct mapview *v = mapview_new(id, true);
	size_t i, n;

	n = map_once(tn, &sc, f, FRAMES);
	if (n == 0)
		abort();
	for (i = 0; i < n; i++) {
		if (mapview_input(v, f[i]->data, f[i]->len) != NULL)
			abort();
		frame_unref(f[i]);
	}
	mapview_free(v);
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct fakeenv *fake = fakeenv_new(1);
	struct tailnets *tn = tailnets_new(fakeenv_env(fake), feed_deaf());
	struct stream_conf sc = { .tailnet = FEED_TAILNET };
	struct replica *r;
	unsigned int i, k, seen = 0;

	quiet_log();
	for (i = 0; i < 2; i++) {
		if (tailnets_snapshot(tn, FEED_TAILNET, p, n) == -1)
			break;
		r = idmap_get(&tn->by_id, FEED_TAILNET);
		for (k = 0; r->nodes.n != 0 && k <= r->nodes.mask &&
		    seen < VIEWERS; k++) {
			if (r->nodes.val[k] == NULL)
				continue;
			look(tn, r->nodes.key[k]);
			sc.node = r->nodes.key[k];
			(void)stream_open(tn, &sc, NULL);
			seen++;
		}
		fakeenv_advance(fake, 1);
	}
	tailnets_free(tn);
	fakeenv_free(fake);
	return 0;
}
