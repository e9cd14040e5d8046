/* Fetching ahead, for loops over far more than the processor's caches hold. */

#ifndef COMMON_AHEAD_H
#define COMMON_AHEAD_H

#include <stddef.h>

/*
 * The first n octets at p (NULL: none) will be wanted soon: the processor may
 * begin to fetch them.  Nothing but time depends on it.
 */
static inline void
ahead(const void *p, size_t n)
{
	const char *at = p;
	size_t i;

	if (at == NULL)
		return;
	for (i = 0; i < n; i += 64)
		__builtin_prefetch(at + i);
}

#endif
