/*
 * dbd's real core over the real store on a temporary file, workers that are
 * no more than a link and a replica, and a clock that stands still.
 */

#ifndef REGRESS_LIB_DBDWORLD_H
#define REGRESS_LIB_DBDWORLD_H

#include "dbd/core.h"
#include "dbd/ops_int.h"
#include "regress/lib/fakeenv.h"

struct dbdworld;
struct dbdworker;
struct fakepolicyc;

/* A first start with an empty store.  Never NULL. */
struct dbdworld	*dw_new(void);
void		 dw_free(struct dbdworld *);
struct dbd	*dw_dbd(struct dbdworld *);
struct fakeenv	*dw_env(struct dbdworld *);
/* The store as it stands. */
struct store	*dw_store(struct dbdworld *);
/* The default tailnet, and a node of any (NULL: none), as dbd holds them. */
struct tailnet	*dw_tailnet(struct dbdworld *);
struct node	*dw_find(struct dbdworld *, uint64_t id);
const struct r_counters *dw_counts(struct dbdworld *);
/* dbd's wall clock, Unix seconds. */
int64_t		 dw_now(struct dbdworld *);
/* To be changed; dw_reconf() brings it into force. */
struct dbd_conf	*dw_conf(struct dbdworld *);
void		 dw_reconf(struct dbdworld *);
/* From now on no descriptor can be sealed. */
void		 dw_no_memfd(struct dbdworld *);
/*
 * dbd dies with what it has not committed and starts again: alone, or (full)
 * in a new life of master.  All workers' links are down then.
 */
void		 dw_restart(struct dbdworld *, bool full);
/* The same, and this worker is back and has said what it holds. */
void		 dw_restart_with(struct dbdworker *, bool full);
/* Delivers all that is on the way, ends dbd's turns, until it is quiet. */
void		 dw_run(struct dbdworld *);
/* Only delivers, to both sides; no turn ends. */
void		 dw_deliver(struct dbdworld *);
/* Time passes, in steps of 100 ms at most; turns end. */
void		 dw_pass(struct dbdworld *, uint64_t us);

/*
 * The policy compiler that dbd asked for: how many there were, the one that
 * lives (NULL: none), and whether master starts any.
 */
unsigned int	 dw_policycs(const struct dbdworld *);
struct fakepolicyc *dw_policyc(struct dbdworld *);
void		 dw_policyc_allowed(struct dbdworld *, bool);
/* Master does not answer until it is no more late. */
void		 dw_policyc_late(struct dbdworld *, bool);
void		 dw_policyc_kill(struct dbdworld *);
/* The octets of the policy that the worker holds; none: as DB_TAILNET says. */
struct slice	 dw_policy(const struct dbdworker *);
/* DB_TAILNET.policy of its last snapshot. */
uint8_t		 dw_policy_kind(const struct dbdworker *);

/* A worker's link comes up; its hello is over unless it is to be said. */
struct dbdworker *dw_worker(struct dbdworld *, uint16_t slot, uint64_t gen);
struct dbdworker *dw_worker_quiet(struct dbdworld *, uint16_t slot,
		    uint64_t gen);
/* Says what it holds and DB_HELLO_DONE; h2 streams are told before. */
void		 dw_hello(struct dbdworker *);
/* Its link is up again after dw_restart(). */
void		 dw_reconnect(struct dbdworker *);
/* The process dies. */
void		 dw_kill(struct dbdworker *);
/* It reads nothing from its link any more, or again. */
void		 dw_deaf(struct dbdworker *, bool);
/* It reads one message, deaf or not; false if there is none. */
bool		 dw_take(struct dbdworker *);
/* True once dbd has taken its link down for this reason. */
bool		 dw_blamed(const struct dbdworker *, enum link_why);
bool		 dw_is_up(const struct dbdworker *);
struct dbdworld	*dw_world(const struct dbdworker *);
/* dbd's end of its link; NULL if that is down. */
struct link	*dw_link(const struct dbdworker *);

/* A good ticket of this machine (a number) for a session of the worker. */
void		 dw_ticket(struct dbdworker *, uint32_t machine,
		    uint64_t serial, struct r_ticket *);
/* Likewise of a client of the relay: the node key of this number. */
void		 dw_relay_ticket(struct dbdworker *, uint32_t key,
		    uint64_t serial, struct r_ticket *);
/* Keys from numbers; none is zero. */
void		 dw_key(uint8_t key[KEY_LEN], char kind, uint32_t n);

/* Sends it; a request's id is returned.  Nothing is delivered yet. */
uint32_t	 dw_send(struct dbdworker *, const struct msg *);
/* Sends a request again, under its id, with its field again set. */
void		 dw_send_again(struct dbdworker *, struct msg *, uint32_t id);
/* Past all checks of our own side. */
void		 dw_forge(struct dbdworker *, const struct msg *);
/*
 * The last reply to the request; NULL while there is none.  It lives until
 * dw_forget().
 */
const struct msg *dw_reply(struct dbdworker *, uint32_t id);
/* The k-th message of the type that came (0 the first), NULL if none. */
const struct msg *dw_got(struct dbdworker *, enum msg_type, unsigned int k);
unsigned int	 dw_count(const struct dbdworker *, enum msg_type);
/* Position of a message among all that came; SIZE_MAX if none. */
size_t		 dw_place(const struct dbdworker *, enum msg_type,
		    unsigned int k);
void		 dw_forget(struct dbdworker *);

/* The worker's replica of the default tailnet. */
bool		 dw_holds(const struct dbdworker *);
const struct r_node *dw_node(struct dbdworker *, uint64_t id);
uint64_t	 dw_seq(const struct dbdworker *);
/* Says where the replica differs from the truth; NULL if it does not. */
const char	*dw_differs(struct dbdworker *);

#endif
