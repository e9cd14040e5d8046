#include <malloc.h>
#include <sqlite3.h>

#include "regress/sim/memory.h"
#include "regress/sim/vfs.h"

size_t
memory_sqlite(void)
{
	return (size_t)sqlite3_memory_used();
}

size_t
memory_heap(void)
{
	struct mallinfo2 m = mallinfo2();
	size_t disk = vfs_octets() + memory_sqlite();

	if (m.uordblks == 0)
		return 0;
	return m.uordblks + m.hblkhd - disk;
}
