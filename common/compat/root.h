/* What master, and nobody else, needs of a system. */

#ifndef COMMON_COMPAT_ROOT_H
#define COMMON_COMPAT_ROOT_H

#include <stdbool.h>

/*
 * True where the kernel spreads connections over sockets that share an
 * address with SO_REUSEPORT; elsewhere all slots share one socket.
 */
bool	compat_reuseport_spreads(void);
/*
 * Nobody who gets the socket may attach a filter to it, which on Linux could
 * steer the connections of its siblings (SO_LOCK_FILTER).  0 or -1.
 */
int	compat_lock_filter(int fd);
/*
 * Gives up for good what master never uses: programs that gain rights by
 * exec, and, started as root on Linux, all capabilities but those named in
 * root.c.  Core dumps off.  Failures are logged by the caller: returns what
 * could not be done, or NULL.
 */
const char *compat_master_rights(void);

#endif
