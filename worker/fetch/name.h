/*
 * Names to addresses inside a chroot, by c-ares.  Not libcurl's own way: that
 * needs a thread for each name, which neither the filter nor RLIMIT_NPROC
 * allows, and the C library's modules.  c-ares opens no file here: the texts
 * are read by us, at start and at reload.
 */

#ifndef WORKER_FETCH_NAME_H
#define WORKER_FETCH_NAME_H

#include <stddef.h>

#include "common/ev.h"
#include "common/ip.h"
#include "common/str.h"

#define NAME_ADDRS	16	/* of one name, at most */

struct name;

/* why: NULL if n > 0. */
typedef void	(*name_done)(void *tag, const struct ip *, size_t n,
		    const char *why);

/*
 * Draws the key of its query numbers from a file of the system, so: before
 * rights are taken away.  Never NULL.
 */
struct name	*name_new(void);
/* Where its sockets wait; before all else. */
void		 name_open(struct name *, struct ev *);
/*
 * Copies of hosts(5) and resolv.conf(5) that are in force from now on; without
 * a nameserver 127.0.0.1 is asked.
 */
void		 name_load(struct name *, struct slice hosts,
		    struct slice resolv);
/* Calls done(tag, ...) once, later, never from within. */
void		*name_find(struct name *, const char *host, name_done,
		    void *tag);
/* Ends it without done. */
void		 name_stop(struct name *, void *job);

#endif
