/*
 * The folder that the process which connects out is caged in: copies of
 * resolv.conf(5), hosts(5) and the bundle of CA certificates, as they were at
 * the start or at the last reload.  What is in them master does not look at.
 *
 *	DIR/etc/resolv.conf, DIR/etc/hosts, DIR/etc/ssl/cert.pem
 */

#ifndef MASTER_FETCHDIR_H
#define MASTER_FETCHDIR_H

#include <stdbool.h>
#include <stddef.h>

#include "master/conf.h"

struct fetchdir;

/* Files of the system, and where there may be a bundle; it ends with NULL. */
struct fetchdir_from {
	const char	*resolv;
	const char	*hosts;
	const char	*const *bundles;
};

/*
 * Of the folder dir, which is copied; its files are read from where they
 * always are if from is NULL.  Nothing is made yet.  Never NULL.
 */
struct fetchdir	*fetchdir_new(const char *dir, const struct fetchdir_from *);
/* NULL is fine; the folder stays. */
void		 fetchdir_free(struct fetchdir *);
/* Its name. */
const char	*fetchdir_path(const struct fetchdir *);
/*
 * Reads what a configuration wants, if that is anything, and writes it to the
 * folder, of which missing parts are made, not those above it.  A process that
 * starts before commit or discard has the new files.  False with "file:line:
 * reason" or "path: reason"; then fetchdir_discard() was called.
 */
bool		 fetchdir_stage(struct fetchdir *, const struct conf *,
		    char *why, size_t whylen);
void		 fetchdir_commit(struct fetchdir *);
/* Writes what was committed last again, if there is such. */
void		 fetchdir_discard(struct fetchdir *);
/*
 * True if there is something for a process in it, by what is staged or in
 * force: without certificates there is not.
 */
bool		 fetchdir_ready(const struct fetchdir *, bool staged);
/* Removes the folder and all that we made in it. */
void		 fetchdir_remove(const struct fetchdir *);

#endif
