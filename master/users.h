/* Who the processes are. */

#ifndef MASTER_USERS_H
#define MASTER_USERS_H

#include <sys/types.h>

#include <stdbool.h>
#include <stddef.h>

#include "common/msg.h"
#include "master/conf.h"

struct user {
	uid_t	uid;
	gid_t	gid;		/* its own group */
};

struct users {
	bool		drop;	/* started as root: each role has its own */
	struct user	worker;
	struct user	keyd;
	struct user	dbd;
	struct user	policyc;
	struct user	stun;	/* only if it is needed, */
	struct user	out;	/* and so is this */
	gid_t		group;	/* of the control socket */
};

/*
 * Looks everybody up, or, without root, is everybody itself.  False with the
 * reason, which for a missing user names the command that makes it.
 */
bool	users_find(struct users *, const struct conf *, char *why,
	    size_t whylen);
/*
 * The same for who connects out, if a reload wants it and it is not known
 * yet.
 */
bool	users_find_out(struct users *, const struct conf *, char *why,
	    size_t whylen);
const struct user *users_of(const struct users *, enum role);

#endif
