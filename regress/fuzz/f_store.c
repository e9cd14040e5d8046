/*
 * Lists as the store keeps them in text columns: what is taken comes back
 * from its own encoding as the same list.
 */

#include <stdint.h>
#include <stdlib.h>

#include "dbd/store_sqlite_int.h"

#define MAX	64

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
try_list(void (*enc)(struct buf *, const struct msg_list *),
    bool (*dec)(struct msg_list *, struct buf *, struct slice, uint32_t),
    struct slice in)
{
	struct buf first = { NULL, 0, 0 }, second = { NULL, 0, 0 };
	struct buf text = { NULL, 0, 0 };
	struct msg_list a, b;

	if (dec(&a, &first, in, MAX)) {
		if (a.count > MAX)
			abort();
		enc(&text, &a);
		if (!dec(&b, &second, buf_slice_of(&text), MAX) ||
		    !msg_list_eq(&a, &b))
			abort();
	}
	buf_free(&first);
	buf_free(&second);
	buf_free(&text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct slice in = slice_mem(p, n);

	try_list(tags_enc, tags_dec, in);
	try_list(endpoints_enc, endpoints_dec, in);
	return 0;
}
