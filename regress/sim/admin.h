/* An administrator at the control socket, and the truth as dbd tells it. */

#ifndef REGRESS_SIM_ADMIN_H
#define REGRESS_SIM_ADMIN_H

#include "regress/sim/host.h"

struct admin;

struct truth {
	uint64_t	 id;
	char		 name[64];
	char		 key[80];
	char		 disco[80];
	char		 endpoints[512];
	char		 addr[64];		/* both, comma separated */
	bool		 online;
	bool		 published;
	bool		 ephemeral;
	int64_t		 expiry;
	uint64_t	 key_id;
	uint64_t	 user;
	unsigned int	 advertised;		/* routes.h */
	unsigned int	 approved;
	unsigned int	 primary;
};

struct admin	*admin_new(struct world *, struct host *, struct sproc *);
void		 admin_free(struct admin *);
/*
 * Sends one request and runs the world until its last reply, at most 20 s;
 * the reply stays valid until the next call, NULL if there was none.
 */
const struct msg *admin_ask(struct admin *, const struct msg *);
/*
 * Sends a policy that allows this port and approves routes (routes.h), and
 * goes on; 0: one that is wrong.
 * Nothing while the last one is not answered.
 */
void		 admin_policy(struct admin *, unsigned int port);
/* The version and port of the last policy that was said to be in force. */
uint32_t	 admin_acked(const struct admin *, unsigned int *port);
/*
 * The port of a version (0: the newest, whose number goes to *got), 0 for
 * allow-all; -1 if there is no answer.
 */
int		 admin_port(struct admin *, uint32_t version, uint32_t *got,
		    bool *in_force);
/* A new auth key; "" if it failed.  id may be NULL. */
const char	*admin_key(struct admin *, uint64_t user, bool reusable,
		    bool ephemeral, uint64_t *id);
uint64_t	 admin_user(struct admin *, const char *name);
/* All nodes, which the caller frees; NULL: there is no answer. */
struct truth	*admin_nodes(struct admin *, size_t *n);

#endif
