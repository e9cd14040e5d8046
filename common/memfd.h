/*
 * Octets that are passed as a descriptor: a file in memory, written once,
 * sealed and only then sent, so that its receiver can map it and trust its
 * length and contents to stay.
 */

#ifndef COMMON_MEMFD_H
#define COMMON_MEMFD_H

#include <stdbool.h>
#include <stddef.h>

/*
 * A sealed descriptor of n octets; the caller closes it.  -1 with errno set,
 * ENOSYS where the system has no such files: the caller sends chunks there.
 */
int		 memfd_make(const char *name, const void *, size_t n);
/*
 * The same of the first n octets of a file, or all of it if it has fewer; they
 * do not pass through our memory, as keys must not.
 */
int		 memfd_copy(const char *name, int from, size_t n);
/*
 * True if nobody can change it any more and it has exactly n octets.  A
 * receiver asks before it maps.
 */
bool		 memfd_check(int fd, size_t n);
/*
 * Checks it and maps its n octets, n > 0, for reading; NULL with errno set.
 * The descriptor stays the caller's and may be closed at once.
 */
const void	*memfd_map(int fd, size_t n);
/* Undoes memfd_map(); NULL is fine. */
void		 memfd_unmap(const void *, size_t n);

#endif
