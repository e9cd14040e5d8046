/* How much memory the cores hold. */

#ifndef REGRESS_SIM_MEMORY_H
#define REGRESS_SIM_MEMORY_H

#include <stddef.h>

/*
 * Octets of the heap in use, without the disk (vfs.h) and SQLite's cache of
 * it.  0 where the allocator does not say (sanitizers).
 */
size_t	memory_heap(void);
/* What SQLite has of it, for all that is open. */
size_t	memory_sqlite(void);

#endif
