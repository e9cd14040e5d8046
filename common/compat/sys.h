/* What one system has and another lacks, behind one name each. */

#ifndef COMMON_COMPAT_SYS_H
#define COMMON_COMPAT_SYS_H

#include <sys/types.h>

#include <stdbool.h>

/*
 * A nameless file in memory that can be sealed; name is for /proc.  -1 with
 * errno set; ENOSYS where the system has none.
 */
int	compat_memfd(const char *name);
/* Seals it against writing, growing, shrinking and more seals.  0 or -1. */
int	compat_memfd_seal(int fd);
/*
 * At most n octets from *at of one file to the end of such a one, by the kernel
 * alone: the process has none of them in its memory.  How many, and *at has
 * moved; -1 with errno.
 */
ssize_t	compat_copy(int to, int from, off_t *at, size_t n);
/* True if it is sealed so, and therefore made by compat_memfd(). */
bool	compat_memfd_sealed(int fd);
/* Once, first in main(): room for setproctitle(3) where it needs some. */
void	compat_title_init(int argc, char **argv);

#endif
