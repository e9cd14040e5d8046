/*
 * Blobs of compiled policies: whatever loads is within bounds, can be asked
 * about nodes, and is saved as what loads to the same again.
 */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/pol_hit.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
ask(const struct pol *p)
{
	static const struct slice tags[] = { { "tag:t", 5 }, { "tag:u", 5 } };
	struct prefix range[2], route[2];
	struct pol_node n;
	struct pol_hits h;
	uint32_t i;

	(void)prefix_parse(&range[0], slice_str("100.64.0.0/10"));
	(void)prefix_parse(&range[1], slice_str("fd7a:115c:a1e0::/48"));
	(void)prefix_parse(&route[0], slice_str("10.1.0.0/16"));
	(void)prefix_parse(&route[1], slice_str("::/0"));
	memset(&n, 0, sizeof(n));
	(void)ip_parse(&n.ip4, slice_str("100.64.0.2"));
	(void)ip_parse(&n.ip6, slice_str("fd7a:115c:a1e0::2"));
	n.tag = tags;
	n.ntags = 2;
	n.route = route;
	n.nroutes = 2;
	hits_init(&h, p);
	hits_of(&h, p, &n, range);
	hits_widen(&h, p, &n, &n, &h);
	for (i = 0; i < p->nrows; i++) {
		(void)hits_src(p, p->row[i].src, &h);
		(void)hits_dst(&p->row[i], &h);
		(void)hits_via(&p->row[i], &h);
	}
	(void)pol_visible(p, &n, &h, &n, &h);
	(void)pol_approves(p, &h, &route[0]);
	(void)pol_check_period(p, &h, &h, true);
	(void)pol_tag_owner(p, tags[0], 1);
	n.ntags = 0;
	n.user = 1;
	hits_of(&h, p, &n, range);
	hits_free(&h);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct buf once = { NULL, 0, 0 }, twice = once;
	struct pol *p, *again;
	const char *err;

	if ((p = pol_load(data, n, &err)) == NULL) {
		if (err == NULL)
			abort();
		return 0;
	}
	ask(p);
	pol_save(&once, p);
	if ((again = pol_load(once.p, once.n, &err)) == NULL)
		abort();
	pol_save(&twice, again);
	if (once.n != twice.n || memcmp(once.p, twice.p, once.n) != 0)
		abort();
	pol_free(p);
	pol_free(again);
	buf_free(&once);
	buf_free(&twice);
	return 0;
}
