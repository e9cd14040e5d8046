/*
 * STUN.  First octet: bits of the source and whether the checksum is made to
 * fit; second: which bit is changed afterwards.  An answer is small, and what
 * was answered is not with one bit changed.
 */

#include <stdlib.h>
#include <string.h>

#include "regress/lib/stunkit.h"
#include "worker/stun/stun.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
source(struct ipport *at, uint8_t how)
{
	memset(at, 0, sizeof(*at));
	at->addr.family = how & 1 ? 6 : 4;
	at->addr.b[0] = how & 2 ? 0x20 : 0xff;
	at->addr.b[15] = how & 1;
	at->port = how & 4 ? 3478 : 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static const uint8_t key[STUN_KEY];
	uint8_t reply[STUN_REPLY_MAX + 8], *copy;
	struct ipport from;
	static struct stun *s;	/* without a rate it learns nothing */
	uint8_t how, bit;
	uint64_t before;
	size_t len;

	if (n < 2)
		return 0;
	how = p[0];
	bit = p[1];
	p += 2;
	n -= 2;
	copy = malloc(n + 1);
	if (copy == NULL)
		return 0;
	memcpy(copy, p, n);
	if ((how & 8) != 0 && n >= 8)
		stunkit_seal(copy, n);
	if (s == NULL)
		s = stun_new(key);
	before = stun_counts(s)->answered;
	source(&from, how);
	memset(reply, 0xaa, sizeof(reply));
	len = stun_answer(s, 1, &from, copy, n, reply);
	if (len != 0 && len != (how & 1 ? 44 : 32))
		abort();
	if (len != 0 && (n < 40 || n > STUN_REQUEST_MAX || from.port == 0 ||
	    memcmp(reply + 4, copy + 4, 16) != 0 || len > n + 4))
		abort();
	for (; len < sizeof(reply); len++)
		if (reply[len] != 0xaa)
			abort();
	if (stun_counts(s)->answered != before) {
		copy[bit % n] ^= (uint8_t)(1 << (how >> 5));
		if (stun_answer(s, 2, &from, copy, n, reply) != 0)
			abort();
	}
	free(copy);
	return 0;
}
