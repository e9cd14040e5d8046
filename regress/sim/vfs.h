/*
 * Disk for the simulator: a sqlite3_vfs over memory that forgets, when the
 * power goes, what was not synced - any part of it, sector by sector.
 */

#ifndef REGRESS_SIM_VFS_H
#define REGRESS_SIM_VFS_H

#include "regress/sim/world.h"

/* Registers the vfs "sim" once; its files belong to the world given last. */
void	vfs_use(struct world *);
/* Forgets all files. */
void	vfs_clear(void);
/* Memory that the files take. */
size_t	vfs_octets(void);
/* The power goes: a random part of what was not synced is lost. */
void	vfs_power_cut(void);
/* Every n-th write or sync on average fails; 0: none. */
void	vfs_faults(uint64_t n);

#endif
