/* Between the sandbox_*.c files only. */

#ifndef COMMON_SANDBOX_INT_H
#define COMMON_SANDBOX_INT_H

#include "common/sandbox.h"

/*
 * AddressSanitizer opens /proc, walks the stack through pipes and more.  Such
 * a build never leaves the developer's machine, and says so when it starts.
 */
#ifndef SANDBOX_TEST_BUILD
#ifdef __SANITIZE_ADDRESS__
#define SANDBOX_TEST_BUILD
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANDBOX_TEST_BUILD
#endif
#endif
#endif

/* Master's process id, as it was in sandbox_fds(). */
pid_t	sandbox_parent(void);
/* What every system has: limits, chroot, groups, ids.  Failure is fatal. */
void	sandbox_drop(const struct sandbox_conf *);
/* Tries to get them back; fatal if any of it works. */
void	sandbox_prove(const struct sandbox_conf *);
/*
 * Linux: the seccomp filter of a role, for good.  The last step, since it
 * also refuses the calls of the others.
 */
void	sandbox_filter(enum role);

/* The filters that together say what a role may do. */
enum sandbox_part {
	PART_ROLE,	/* what it may do */
	PART_OUTER,	/* what anybody has an opinion on; not each its own */
	PART_STARTED,	/* what it may still do once it has started */
	PART_MAX
};
/* Stands for our process id in a program until it is loaded; never one. */
#define SANDBOX_PID	0x50494421U
/*
 * Linux, while we are built: writes the program of a role's filter to fd;
 * nothing if it has none of this part.  The outer one of ROLE_NONE is that of
 * all roles without one.  0, or -1 and the call whose rule is at fault, or
 * NULL.
 */
int	sandbox_export(enum sandbox_part, enum role, int fd,
	    const char **why);
/* The folder that the role may use, as it is named after sandbox_drop(). */
const char *sandbox_folder(const struct sandbox_conf *);

#endif
