/* Children as processes: where their programs are, fork and exec, the log. */

#ifndef MASTER_SPAWN_H
#define MASTER_SPAWN_H

#include <sys/types.h>

#include <stdbool.h>
#include <stddef.h>

#include "common/msg.h"

/*
 * The folder of the children's programs: the configured one (checked by
 * path.h's rule), or master's own folder, or libexec/headscaled beside it.
 * self: our real path.  The caller frees it.  NULL with the reason.  Programs
 * that not everybody needs are looked for by spawn_has().
 */
char	*spawn_libexec(const char *configured, const char *self, char *why,
	    size_t whylen);
/* True if the folder has the program of this role; false with the reason. */
bool	 spawn_has(const char *dir, enum role, char *why, size_t whylen);
/* Our own real path from argv[0]; the caller frees it.  NULL if unknown. */
char	*spawn_self(const char *argv0);
/*
 * Starts the program of a role with an empty environment: 2 is stderr or a
 * log socket, 3 its end of the CFG link; nothing else is open.  Our end goes to
 * *cfg.  The process id, or -1 (logged).
 */
pid_t	 spawn_child(const char *dir, enum role, bool to_stderr, int *cfg);
/* Who a policy compiler becomes. */
struct spawn_as {
	uid_t		 uid;
	gid_t		 gid;
	const char	*dir;		/* its chroot */
};

/*
 * Starts the policy compiler likewise, but 3 is its end of the POL link, of
 * which the other goes to *fd, and there is nobody who would tell it more:
 * argv[2] is "stderr" or "syslog", where its log goes, and argv[3] to argv[5]
 * are uid, gid and chroot, which are missing if as is NULL (no root).
 */
pid_t	 spawn_policyc(const char *dir, bool to_stderr, const struct spawn_as *,
	    int *fd);
/* Makes a pair of connected stream sockets, close-on-exec; 0 or -1. */
int	 spawn_pair(int fd[2]);
/* "exit 1", "signal 9": in a static buffer. */
const char *spawn_how(int status);

#endif
