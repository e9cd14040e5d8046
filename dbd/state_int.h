/*
 * The truth in memory: tailnets, users, nodes, auth keys, workers, sessions.
 * Only files of this folder see it.
 */

#ifndef DBD_STATE_INT_H
#define DBD_STATE_INT_H

#include <sys/queue.h>

#include "common/pol_hit.h"
#include "dbd/owner_int.h"

#define UID_NONE	UINT32_MAX	/* in audit rows: the server itself */
#define REST_S		3600		/* an address rests */
#define FIRST_MAP_S	1800		/* for a new ephemeral node */
#define NAME_MAX_LEN	63
#define ROUTES_MAX	1024	/* of a node */

struct node;
struct worker;

/* A confirmed map stream; a node has at most one, the newest. */
struct session {
	TAILQ_ENTRY(session)	 all;		/* of the worker */
	struct node		*node;
	struct worker		*worker;
	uint64_t		 generation;	/* the worker's stream number */
	struct r_ticket		 ticket;
	uint32_t		 h2;
	bool			 started;	/* first map handed over */
};
TAILQ_HEAD(session_list, session);

enum node_clock {
	CLOCK_NONE,
	CLOCK_GRACE,		/* last stream ended, still online */
	CLOCK_REAP		/* ephemeral: deleted at the end */
};

/* A lite update over budget. */
struct lite_wait {
	TAILQ_ENTRY(lite_wait)	 all;		/* of the worker */
	struct node		*node;
	struct worker		*worker;
	uint32_t		 id;
	struct buf		 body;		/* DB_MAP_LITE */
};

/*
 * r's slices point into enc.  r.online and r.last_seen are session facts and
 * zero in enc.
 */
struct node {
	TAILQ_ENTRY(node)	 all;		/* by id */
	struct ixlink		 by_id;		/* dbd */
	struct ixlink		 by_key;	/* dbd, unique */
	struct ixlink		 by_machine;	/* dbd, several */
	struct ixlink		 by_name;	/* tailnet */
	struct ixlink		 by_ip4;	/* tailnet */
	struct ixlink		 by_ip6;	/* tailnet */
	struct tailnet		*tn;
	struct user		*owner;		/* NULL: tagged */
	struct r_node		 r;
	struct buf		 enc;
	uint8_t			 nl_key[KEY_LEN];
	uint64_t		 key_id;
	bool			 mapped;
	bool			 renamed;

	struct session		*session;
	bool			 presumed;	/* till the window ends */
	bool			 told;		/* in dbd's list of */
	TAILQ_ENTRY(node)	 tell;		/* online changes to send */
	bool			 lazy;		/* in dbd's list of facts */
	TAILQ_ENTRY(node)	 seen;		/* to be written lazily */
	enum node_clock		 clock;
	struct timer		 gone;		/* grace, then reaping */
	uint64_t		 sessions;	/* that it has had */
	uint64_t		 gone_gen;	/* when the clock began */
	uint64_t		 deferred;	/* told to wait until then */
	uint64_t		 unknown;	/* may have been, before us */
	struct timer		 expiry;
	bool			 expired_said;	/* to peers and the log */

	TAILQ_HEAD(, carrier)	 carries;	/* routes.c */
	LIST_HEAD(, relay_old)	 relay_olds;	/* relay_old.c: newest first */
	bool			 unsettled;	/* in the tailnet's list of */
	TAILQ_ENTRY(node)	 settle;	/* primaries to look at */
	struct msg_list		 refused;	/* routes.c: taken back */
	struct buf		 refused_enc;	/* of it */

	struct budget		 own;		/* for its own changes */
	struct budget		 regs;		/* for its registrations */
	struct timer		 budget;	/* of own */
	struct lite_wait	*wait;
	uint64_t		 lite_gen;	/* of the newest lite update */
	uint64_t		 lite_serial;
	uint32_t		 lite_h2;
};
TAILQ_HEAD(node_list, node);

/* Addresses of a deleted node. */
struct rest {
	TAILQ_ENTRY(rest)	 all;		/* by end */
	struct ixlink		 by_ip4;	/* tailnet */
	struct ixlink		 by_ip6;
	struct tailnet		*tn;
	struct rest_row		 row;
	uint64_t		 until;		/* env_now(): clocks jump */
};
TAILQ_HEAD(rest_list, rest);

TAILQ_HEAD(held_list, held);
struct route;
TAILQ_HEAD(route_list, route);

struct pool {			/* one address family of a tailnet */
	uint64_t		 next;		/* in sequence: to try first */
	bool			 full;		/* until one is freed */
	struct index		 nodes;
	struct index		 rests;
};

struct tailnet {
	TAILQ_ENTRY(tailnet)	 all;
	struct dbd		*d;
	uint64_t		 id;
	char			 name[64];
	char			 stable_id[33];
	uint64_t		 seq;
	uint8_t			 batch[BATCH_LEN];
	enum policy_kind	 policy;	/* as stored */
	uint32_t		 version;	/* of it */
	struct pol		*pol;		/* in force; never NULL */
	struct buf		 blob;		/* of it, if it is compiled */
	bool			 alarm;		/* no valid blob: deny-all */
	uint64_t		 pol_seq;	/* of its last change */
	uint64_t		 users_gen;	/* changes of users, domains */
	uint64_t		 pol_gen;	/* of these, known to pol */
	int64_t			 created;
	struct node_list	 nodes;
	struct user_list	 users;
	struct authkey_list	 authkeys;
	struct rest_list	 rests;
	struct held_list	 holders;
	uint32_t		 nrests;
	uint32_t		 nnodes;
	uint32_t		 nusers;
	uint32_t		 nonline;
	struct index		 node_names;
	struct index		 user_names;
	struct index		 routes;	/* by prefix */
	struct route_list	 routes_due;	/* to elect for */
	struct route_list	 routes_kept;	/* while a window is open */
	struct node_list	 unsettled;
	uint32_t		 auto_version;	/* that it is refused under */
	uint64_t		 auto_next;	/* to approve for; 0 none */
	uint64_t		 auto_wait;	/* no longer than; 0: not yet */
	bool			 auto_said;	/* it was too long */
	struct pool		 pool4;
	struct pool		 pool6;
	TAILQ_ENTRY(tailnet)	 changed;	/* if there are changes */
	struct buf		 changes;	/* of the batch, as logged */
	TAILQ_ENTRY(tailnet)	 tellable;	/* if there is untold */
	struct buf		 untold;	/* of the turn, DB_BATCH last */
	uint32_t		 batches;	/* since the log was trimmed */
	uint64_t		 log_octets;	/* likewise */
	uint32_t		 audits;	/* since they were trimmed */
};
TAILQ_HEAD(tailnet_list, tailnet);

/* Finders; NULL if there is none. */
struct tailnet	*tailnet_find(struct dbd *, uint64_t id);
/* The one of single-tailnet administrators; never NULL. */
struct tailnet	*tailnet_default(struct dbd *);
struct tailnet_list *tailnet_all(struct dbd *);
struct user	*user_find(struct dbd *, uint64_t id);
struct user	*user_find_name(struct tailnet *, struct slice);
struct node	*node_find(struct dbd *, uint64_t id);
struct node	*node_find_name(struct tailnet *, struct slice);
struct node	*node_find_key(struct dbd *, const uint8_t key[KEY_LEN]);
struct authkey	*authkey_find(struct dbd *, uint64_t id);
struct authkey	*authkey_find_hash(struct dbd *, const uint8_t h[HASH_LEN]);
/* Slot of the worker that holds its stream, 0 if none. */
uint16_t	 node_slot(const struct node *);
/* Its login name, "tagged-devices" for a tagged one. */
struct slice	 node_owner_name(const struct node *);

#endif
