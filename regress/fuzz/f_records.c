/* The file of extra records: what passes is JSON, and passes again. */

#include <stdint.h>
#include <stdlib.h>

#include "worker/tailnet/dns.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct records *r, *again;
	struct buf b = { 0 };
	char why[64];

	if ((r = records_parse(p, n, "fuzz", why, sizeof(why))) == NULL)
		return 0;
	buf_u8(&b, '[');
	buf_slice(&b, records_json(r));
	buf_u8(&b, ']');
	again = records_parse(b.p, b.n, "again", why, sizeof(why));
	if (again == NULL || records_count(r) != records_count(again) ||
	    !slice_eq(records_json(r), records_json(again)))
		abort();
	records_free(r);
	records_free(again);
	buf_free(&b);
	return 0;
}
