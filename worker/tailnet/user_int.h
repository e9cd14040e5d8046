/* An owner of nodes, as the replica keeps it. */

#ifndef WORKER_TAILNET_USER_INT_H
#define WORKER_TAILNET_USER_INT_H

#include <sys/queue.h>

#include "common/msg.h"

struct node;

TAILQ_HEAD(owned_list, node);

struct user {
	TAILQ_ENTRY(user) link;		/* of its replica, by last change */
	uint64_t	 id;
	uint64_t	 ver;		/* of its profile's last change */
	char		*profile;	/* JSON */
	uint32_t	 profile_n;
	uint32_t	 nodes;		/* that it owns */
	struct owned_list owned;
	uint64_t	 node_ver;	/* of the last change of one */
	uint8_t		 role;		/* enum user_role */
	uint32_t	 gen;		/* of the snapshot that it was in */
};
TAILQ_HEAD(user_list, user);

#endif
