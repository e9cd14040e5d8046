#include <sys/mman.h>
#include <limits.h>

#include "common/compat/compat.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif

#ifndef MAP_CONCEAL
#define MAP_CONCEAL	0
#endif

void *
compat_secret_map(size_t n)
{
	void *p;

	p = mmap(NULL, n, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANON | MAP_CONCEAL, -1, 0);
	if (p == MAP_FAILED)
		return NULL;
	/* Advice only: a secret on a system without it is still a secret. */
#ifdef MADV_DONTDUMP
	(void)madvise(p, n, MADV_DONTDUMP);
#endif
#ifdef MADV_WIPEONFORK
	(void)madvise(p, n, MADV_WIPEONFORK);
#endif
	return p;
}

bool
compat_heap_keep(size_t n)
{
#ifdef __GLIBC__
	void *p;

	/* No block of its own for a large piece; nothing goes back. */
	if (mallopt(M_MMAP_MAX, 0) != 1 ||
	    mallopt(M_TRIM_THRESHOLD, INT_MAX) != 1 ||
	    (p = malloc(n)) == NULL)
		return false;
	free(p);
#else
	(void)n;
#endif
	return true;
}
