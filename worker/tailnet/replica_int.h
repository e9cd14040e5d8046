/* A replica of a tailnet: the truth as far as maps need it (state.md 3). */

#ifndef WORKER_TAILNET_REPLICA_INT_H
#define WORKER_TAILNET_REPLICA_INT_H

#include "common/env.h"
#include "worker/tailnet/carried_int.h"
#include "worker/tailnet/delta_int.h"
#include "worker/tailnet/stream_int.h"
#include "worker/tailnet/trail_int.h"
#include "worker/tailnet/user_int.h"
#include "worker/tailnet/view_int.h"

struct tailnets;

/* DB_TAILNET's policy. */
#define POLICY_DENY_ALL		0
#define POLICY_ALLOW_ALL	1
#define POLICY_COMPILED		2
#define POLICY_NONE		255	/* nothing has been said yet */

/* Tombstones are kept for as many removals as there are nodes, and for: */
#define TOMBS_MIN	1024

/* A removed node, for those who have not heard of it. */
struct tomb {
	struct mark	 mark;		/* node is NULL */
	TAILQ_ENTRY(tomb) link;		/* oldest first */
	uint64_t	 id;
	struct trail	 trail;		/* where it was */
};
TAILQ_HEAD(tomb_list, tomb);

/* A message of a batch that is not complete. */
struct op {
	STAILQ_ENTRY(op) link;
	enum msg_type	 type;
	struct buf	 body;
};
STAILQ_HEAD(op_list, op);

/* Versions at which streams stood when they were last served. */
#define POINTS		32

struct replica {
	TAILQ_ENTRY(replica) link;
	struct tailnets	*tn;
	uint64_t	 id;
	char		*name;
	char		*stable_id;
	uint8_t		 batch[16];
	uint64_t	 seq;
	struct op_list	 ops;

	/* policy.c */
	uint8_t		 policy;	/* as it was said */
	uint8_t		 in_force;
	bool		 ranged;	/* range is another */
	struct prefix	 range[2];
	struct buf	 blob;		/* came with this batch */
	uint64_t	 blob_size;	/* that it will have; 0: none comes */
	uint64_t	 blob_hash;	/* of the one in force */
	struct ruleset	*rules;
	struct filters	*filters;	/* of rules (filter.c); or NULL */
	struct ruleset	*old_rules;	/* before switch_ver; or NULL */
	uint64_t	 switch_ver;
	struct transit	**transit;	/* of that switch */
	uint32_t	 ntransits;
	struct idmap	 by_groups;
	struct move_list moves;
	uint32_t	 nmoves;

	struct idmap	 nodes;
	struct idmap	 users;
	struct user_list by_change;	/* users */
	struct user	*tagged;
	struct mark_list changes;	/* nodes and tombstones */
	struct tomb_list tombs;
	uint32_t	 nnodes;
	uint32_t	 ntombs;
	uint32_t	 gen;		/* of the snapshot that is applied */
	TAILQ_HEAD(router_list, node) routers;	/* by vary_ver */
	uint32_t	 nrouters;
	struct idmap	 carried;	/* carried.c */
	struct idmap	 loads;
	struct timer	 expiry;	/* of the next node key */

	/*
	 * What streams are told is numbered: ver is the newest.  While
	 * something is applied, changes get ver + 1.
	 */
	uint64_t	 ver;
	bool		 changed;	/* ver + 1 has something */
	bool		 widen;		/* class_widen() has work */
	uint64_t	 floor;		/* below it removals are forgotten */
	uint64_t	 all_ver;	/* everything changed */
	uint64_t	 dns_ver;
	uint64_t	 derp_ver;
	uint64_t	 debug_ver;
	uint64_t	 self_ver;	/* every node's own Node object */
	uint64_t	 vary_ver;	/* who is shown which of all routes */
	uint64_t	 route_ver;	/* of some router's routes */
	uint64_t	 prime_ver;	/* some route has another primary */
	uint64_t	 hold_ver;	/* one more when wide routers may
					 * hold others */

	struct buf	 domain;
	struct buf	 dns;		/* DNSConfig */
	struct frame	*head;		/* of full maps; or NULL */

	struct stream_list idle;	/* drained, and at ver */
	uint32_t	 nidle;
	uint32_t	 nbehind;	/* of ours in tn->behind */
	uint32_t	 nstreams;
	uint64_t	 point[POINTS];
	uint32_t	 npoints;	/* ever */
	struct delta_list deltas;	/* to ver */
	uint32_t	 ndeltas;
	size_t		 delta_octets;
};
TAILQ_HEAD(replica_list, replica);

/* Empty, at seq 0. */
struct replica	*replica_new(struct tailnets *, uint64_t id);
/* Streams must be gone. */
void		 replica_free(struct replica *);

/* Around each set of changes that must be seen at once. */
void		 replica_begin(struct replica *);
void		 replica_end(struct replica *);
/* The second, without policy_renew(). */
void		 replica_finish(struct replica *);
/* 0, or -1 with a log line if it makes no sense. */
int		 replica_put_tailnet(struct replica *,
		    const struct m_db_tailnet *);
int		 replica_put_user(struct replica *, const struct r_user *);
int		 replica_del_user(struct replica *, uint64_t id);
int		 replica_put_node(struct replica *, const struct r_node *);
void		 replica_del_node(struct replica *, uint64_t id);
void		 replica_online(struct replica *, uint64_t id, bool online,
		    int64_t last_seen);
void		 replica_online_map(struct replica *,
		    const struct m_db_online_map *);
/* Removes what the snapshot of this gen did not have. */
int		 replica_sweep(struct replica *);
/* The configuration, DNS included, is another: tells what changed of it. */
void		 replica_reconf(struct replica *);
/* Forgets what came of an unfinished batch (apply.c). */
void		 ops_clear(struct replica *);
/* Marks a node's change for those who are told of it: NF_BIT()s, NC_s. */
void		 replica_note(struct replica *, struct node *, unsigned int);
/* What is in front of full maps has changed. */
void		 replica_spoil_head(struct replica *);
/*
 * The compiled policy of this batch, whole or the next part of it (policy.c);
 * 0 or -1 as above.
 */
int		 replica_put_policy(struct replica *, struct slice);
int		 replica_put_part(struct replica *,
		    const struct m_db_policy_part *);
/*
 * Puts into force what was said of the policy, before the batch's nodes.  -1:
 * it cannot be, and nobody sees anybody.
 */
int		 replica_policy(struct replica *);
/*
 * Classes anew, if there are too many without members: nobody is told
 * anything, for the policy is the same.
 */
void		 policy_renew(struct replica *);
/* Forgets what came of a policy that is not whole. */
void		 policy_clear(struct replica *);
/* Frees what policies left. */
void		 policy_free(struct replica *);
/*
 * Puts a node into its class, if that may be another, and the group where it
 * belongs now; old: its owner until now.
 */
void		 replica_place(struct replica *, struct node *,
		    struct user *old, bool reclass);
/*
 * Into and out of the index of routers by node key (router.c): while
 * nroutes != 0, and around each change of the key.
 */
void		 router_add(struct tailnets *, struct node *);
void		 router_del(struct tailnets *, struct node *);

#endif
