/*
 * Input: u16 type, body.  What decodes must be encoded to the same octets
 * again, must walk, and must print on one line.
 */

#include <stdlib.h>
#include <string.h>

#include "common/msg.h"
#include "common/msg_int.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static struct buf b;
	struct msg m;
	unsigned int type;

	if (n < 2)
		return 0;
	type = ((unsigned int)p[0] << 8 | p[1]) % (M_MAX + 2);
	if (msg_decode(&m, type, p + 2, n - 2) == -1)
		return 0;
	buf_clear(&b);
	msg_encode(&b, &m);
	if (b.n != n - 2 || (b.n != 0 && memcmp(b.p, p + 2, b.n) != 0))
		abort();
	buf_clear(&b);
	msg_print(&b, &m);
	if (b.n == 0 || memchr(b.p, '\n', b.n) != NULL)
		abort();
	return 0;
}
