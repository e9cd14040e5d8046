/* An owner of nodes, as the replica keeps it. */

#ifndef WORKER_TAILNET_USER_INT_H
#define WORKER_TAILNET_USER_INT_H

#include <sys/queue.h>

#include "common/msg.h"

struct user {
	TAILQ_ENTRY(user) link;		/* of its replica, by last change */
	uint64_t	 id;
	uint64_t	 ver;		/* of its profile's last change */
	char		*profile;	/* JSON */
	uint32_t	 profile_n;
	uint32_t	 nodes;		/* that it owns */
	uint32_t	 gen;		/* of the snapshot that it was in */
};
TAILQ_HEAD(user_list, user);

#endif
