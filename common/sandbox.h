/*
 * Taking rights away: trust.md 7, in its order.  Linux (Landlock, seccomp)
 * and OpenBSD (unveil, pledge) behind one interface.
 */

#ifndef COMMON_SANDBOX_H
#define COMMON_SANDBOX_H

#include <sys/types.h>

#include <stdbool.h>

#include "common/msg.h"

struct sandbox_conf {
	enum role	role;
	bool		drop;		/* started as root */
	uid_t		uid;
	gid_t		gid;
	/* The chroot; with !drop only what Landlock leaves dbd. */
	const char	*dir;
};

/*
 * Descriptors: 0 and 1 on /dev/null, 2 and 3 as they are, all others closed;
 * a session of its own; core dumps off, RLIMIT_NOFILE as high as it goes (one
 * that cannot be raised is logged).  First thing in a child.
 */
void	sandbox_fds(void);
/*
 * All the rest, for good; proves that privileges do not come back.  What the
 * kernel lacks is logged once.  Any failure that would leave a right in place
 * is fatal.
 */
void	sandbox_enter(const struct sandbox_conf *);
/*
 * Takes away what a role needs only to start, for good: so far stun's alone,
 * who from then on has no memory but 1 MiB that is set aside, and of the
 * system only what trust.md 7 says.  Where the system cannot say it, and for
 * the other roles, nothing.  Any failure is fatal.
 */
void	sandbox_started(enum role);

#endif
