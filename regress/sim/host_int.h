/* Inside regress/sim: host.c and roles.c. */

#ifndef REGRESS_SIM_HOST_INT_H
#define REGRESS_SIM_HOST_INT_H

#include <sys/queue.h>

#include "dbd/core.h"
#include "dbd/policy/serve.h"
#include "keyd/keyd.h"
#include "master/super.h"
#include "regress/sim/host.h"

/* A link that a child holds. */
struct held_link {
	LIST_ENTRY(held_link) entry;
	struct role_proc *owner;
	struct link	*link;
	enum msg_link	 kind;
};

/* A running child: what its main.c would hold. */
struct role_proc {
	LIST_ENTRY(role_proc) entry;
	struct host	*host;
	struct proc	*seat;
	struct sproc	*sp;
	enum role	 role;
	unsigned int	 slot;
	uint64_t	 generation;
	bool		 started;
	struct link	*cfg;		/* our end */
	struct link	*cfg_master;	/* master's end */
	LIST_HEAD(, held_link) links;
	struct buf	 conf;		/* encoded CONF message */
	enum msg_type	 conf_type;
	uint8_t		 secret[32];
	struct keyd	*keyd;
	struct store	*store;
	struct dbd	*dbd;
	struct control	*control;
	struct serve	*policyc;
	struct link	*key;		/* worker's */
	struct link	*db;
	struct link	*mesh[HOST_WORKERS + 1];	/* NULL: none */
	bool		 stands_in[HOST_WORKERS + 1];	/* accepts for it */
	uint64_t	 started_at;
	uint64_t	 hung_at;
};

struct host {
	struct world	*w;
	struct host_conf conf;
	struct host_ops	 ops;
	uint8_t		 static_key[32];
	uint8_t		 public_key[32];
	uint8_t		 relay_key[32];
	uint8_t		 boot[16];
	uint8_t		 boot_secret[32];
	struct sproc	*master;
	struct super	*super;
	bool		 serving;
	bool		 stopping;
	bool		 stopped;
	LIST_HEAD(, role_proc) roles;
	struct { struct wire *w; enum wire_end end; } *ends; /* by fd */
	unsigned int	 nends;
	unsigned int	 vigils;	/* events that point here */
	bool		 freed;
	bool		 rogue;		/* a worker forged packets */
	bool		 calm;		/* policy compilers live */
};

#define END_FD_BASE	2000000

/* The worker has hung for so long that it may be replaced. */
bool	host_hangs_long(struct host *, unsigned int slot);

/* roles.c: the child's side. */
void	policyc_on_msg(struct link *, const struct msg *, void *tag, void *);
void	policyc_on_down(struct link *, enum link_why, void *arg);
void	role_cfg_msg(struct link *, const struct msg *, void *tag, void *arg);
void	role_turn(void *);
/* The process has died: frees its cores and links. */
void	role_free(struct role_proc *);
struct link *role_take_link(struct role_proc *, const struct msg *,
	    struct link_conf *);

#endif
