#include "regress/lib/stunkit.h"

void
stunkit_seal(uint8_t *p, size_t n)
{
	uint32_t c = 0xffffffffU;
	size_t i;
	int k;

	for (i = 0; i < n - 8; i++) {
		c ^= p[i];
		for (k = 0; k < 8; k++)
			c = c >> 1 ^ (c & 1 ? 0xedb88320U : 0);
	}
	c = ~c ^ 0x5354554eU;
	for (i = 0; i < 4; i++)
		p[n - 4 + i] = (uint8_t)(c >> (24 - 8 * i));
}
