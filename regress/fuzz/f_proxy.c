/*
 * PROXY headers and X-Forwarded-For: a header that is whole is the same
 * whatever follows it, and no begin of it is.
 */

#include <stdlib.h>
#include <string.h>

#include "worker/net/proxyhdr.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct prefix proxies[1] = { 0 };
	struct proxyhdr h, other;
	struct ip ip;
	long used, less;
	size_t i;

	proxies[0].addr.family = 4;
	proxies[0].addr.b[0] = 10;
	proxies[0].bits = 8;
	used = proxyhdr_parse(&h, p, n);
	if (used > (long)n || used > PROXYHDR_MAX)
		abort();
	if (n >= PROXYHDR_MAX && used == 0)
		abort();
	for (i = 0; used > 0 && i < (size_t)used; i++)
		if (proxyhdr_parse(&other, p, i) != 0)
			abort();
	/* What was no header does not become one. */
	for (i = 0; i < n && i < PROXYHDR_MAX; i++) {
		less = proxyhdr_parse(&other, p, i);
		if (less == -1 && used != -1)
			abort();
		if (less > 0 && less != used)
			abort();
	}
	if (used > 0 && (proxyhdr_parse(&other, p, (size_t)used) != used ||
	    !ipport_eq(&h.peer, &other.peer) || h.has_peer != other.has_peer))
		abort();
	if (forwarded_parse(&ip, slice_mem(p, n), proxies, 1) &&
	    ip.family != 4 && ip.family != 6)
		abort();
	return 0;
}
