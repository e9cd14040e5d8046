/*
 * WINDOW_UPDATE frames in HTTP/2 input, beside a slow and simple cut.  First
 * octet: size of the pieces.
 */

#include <stdlib.h>

#include "regress/lib/h2cut.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	if (n < 2)
		return 0;
	if (!h2cut_same(p + 1, n - 1, p[0] == 0 ? n : p[0]))
		abort();
	return 0;
}
