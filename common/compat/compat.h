/*
 * What the systems call differently.  On Linux most comes from libbsd's
 * overlay; what it lacks is in this folder.
 */

#ifndef COMMON_COMPAT_COMPAT_H
#define COMMON_COMPAT_COMPAT_H

/* strnvis(3) as OpenBSD has it; libbsd asks for a choice. */
#define LIBBSD_OPENBSD_VIS

#include <sys/types.h>
#include <sys/queue.h>
#include <sys/tree.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <vis.h>

#ifdef __OpenBSD__
#include <sys/uio.h>
#include <stdint.h>
#include <imsg.h>
#else
#include "common/compat/imsg.h"
#endif

/* <sys/tree.h> wants it. */
#ifndef __unused
#define __unused	__attribute__((__unused__))
#endif

/*
 * n octets of fresh pages for secrets: kept out of core dumps and, where the
 * system can, zeroed in a child after fork.  munmap() frees them.  NULL with
 * errno set if there are none.
 */
void	*compat_secret_map(size_t n);

/*
 * Where the allocator can be told: n octets can be allocated from now on
 * without a system call, and what is freed stays with the process.  false: no
 * memory.
 */
bool	 compat_heap_keep(size_t n);

/* Octets that wait in the queue of an imsgbuf; an estimate where libutil. */
size_t	 imsgbuf_queued(struct imsgbuf *);

#endif
