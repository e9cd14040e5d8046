/*
 * Changes of a log row or snapshot: what is taken encodes to the same octets,
 * and nothing but what dbd may send to a worker is taken.
 */

#include <stdlib.h>
#include <string.h>

#include "dbd/batch_int.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct buf b = { NULL, 0, 0 };
	struct msg m;
	struct rd r;

	rd_init(&r, p, n);
	while (change_next(&r, &m)) {
		if (msg_class(m.type) != MSG_NOTIFY)
			abort();
		change_add(&b, &m);
	}
	if (b.n > n || (b.n != 0 && memcmp(b.p, p, b.n) != 0) ||
	    (rd_done(&r) && b.n != n))
		abort();
	buf_free(&b);
	return 0;
}
