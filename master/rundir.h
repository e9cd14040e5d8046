/* Folders, the pid file and the control socket. */

#ifndef MASTER_RUNDIR_H
#define MASTER_RUNDIR_H

#include <stdbool.h>
#include <stddef.h>

#include "master/conf.h"
#include "master/users.h"

/*
 * For a check: makes nothing.  Every folder is safe or can be made, and the
 * pid file and the control socket have one.  False with the reason, as all of
 * them.
 */
bool	 dirs_check(const struct conf *, char *why, size_t whylen);
/* A file can be made there: its folder is safe, or one that the start makes. */
bool	 place_check(const struct conf *, const char *path, char *why,
	    size_t whylen);
/*
 * Makes what is missing of the run folder (0750, the group's), and checks it.
 */
bool	 run_dir_make(const struct conf *, const struct users *, char *why,
	    size_t whylen);
/* Likewise the state folder, dbd's folder in it and the chroot. */
bool	 state_dir_make(const struct conf *, const struct users *, char *why,
	    size_t whylen);
/* Makes (0755) or checks an empty folder to be caged in. */
bool	 chroot_make(const char *dir, char *why, size_t whylen);
/*
 * There is a Noise key, so a server was here before, but no database, or one
 * of 0 octets: dbd is going to begin with an empty one.
 */
bool	 state_is_lost(const struct conf *);
/*
 * Locks the state folder: two servers with different pid files must not share
 * it.  The descriptor holds the lock: keep it open.  -1 with the reason.
 */
int	 state_lock(const char *path, char *why, size_t whylen);
/* dbd's folder: "STATE/db"; the caller frees it. */
char	*db_dir(const struct conf *);

/*
 * Locks and writes the pid file: "already running as pid N" if another has
 * it.  The descriptor holds the lock: keep it open.  -1 with the reason.
 */
int	 pid_lock(const char *path, char *why, size_t whylen);
/* Removes it, while the lock is held. */
void	 pid_remove(const char *path);

/*
 * The control socket, listening; an old one is removed, for which the pid
 * lock must be held.  -1 with the reason.
 */
int	 control_listen(const char *path, const struct users *, char *why,
	    size_t whylen);

#endif
