/* The core's own struct, and what its files call of each other. */

#ifndef DBD_DBD_INT_H
#define DBD_DBD_INT_H

#include "common/secret.h"
#include "dbd/ops_int.h"
#include "dbd/state_int.h"

#define BATCH_MAX	256		/* operations */
#define TURN_CHANGES	(4 * 1024 * 1024) /* of changes that end a batch */
#define DEFAULT_NAME	"default"

/* A reply or notify that waits for the end of the turn. */
struct out {
	struct link	*link;		/* NULL: it is gone */
	enum msg_type	 type;
	uint32_t	 id;
	size_t		 at;		/* of its body in outs_body */
	size_t		 n;
	struct buf	 own;		/* its body, if that is secret */
};

/* What a worker instance has held: its exposure row. */
struct exposed {
	struct ixlink	 by_node;	/* worker */
	TAILQ_ENTRY(exposed) all;
	struct exposure_row row;
	bool		 stored;	/* a first map was handed over */
	bool		 lazy;		/* last is newer than the store's */
	TAILQ_ENTRY(exposed) ends;	/* of dbd, if lazy */
};

TAILQ_HEAD(exposed_list, exposed);
TAILQ_HEAD(lite_list, lite_wait);
struct reg_wait;
TAILQ_HEAD(reg_list, reg_wait);
struct relay_conn;
struct relay_key;
struct relay_old;
struct relay_olds;
#define SERIALS		4096
/* Serials of relay tickets that were used: a window below the newest. */
struct serials {
	uint64_t	 gen;
	uint64_t	 newest;
	uint8_t		 bits[SERIALS / 8];
};
TAILQ_HEAD(relay_conn_list, relay_conn);
TAILQ_HEAD(relay_key_list, relay_key);
/* What a worker has said of the DERP map's relays (DB_DERP_NODE). */
struct relays_said {
	struct buf	 coming;	/* records derp_node, */
	uint16_t	 ncoming;	/* so many */
	struct buf	 said;		/* the last whole list */
	uint16_t	 nsaid;
	bool		 whole;		/* there is one */
};
struct maker;
TAILQ_HEAD(maker_list, maker);

/* A worker's replica of a tailnet. */
struct held {
	TAILQ_ENTRY(held)	 of_tailnet;
	TAILQ_ENTRY(held)	 of_worker;
	struct tailnet		*tn;
	struct worker		*worker;
	uint32_t		 sessions;
	uint64_t		 idle_at;	/* since there are none */
	bool			 due;		/* snapshot at the turn's end */
	bool			 asked;		/* DB_HAVE was looked at */
	uint64_t		 relief;	/* batch.c: to be taken first */
	bool			 left;		/* dropped there: not told */
	uint64_t		 leaves;	/* when none of them counts */
};

/* One DB link. */
struct worker {
	TAILQ_ENTRY(worker)	 all;
	struct dbd		*d;
	struct link		*link;
	uint16_t		 slot;
	uint64_t		 generation;
	struct buf		 have;		/* DB_HAVE of the hello */
	struct session_list	 sessions;
	struct held_list	 held;
	struct index		 exposed_ix;
	struct exposed_list	 exposed;
	struct lite_list	 waits;
	struct reg_list		 reg_waits;	/* by age */
	struct relay_conn_list	 relay;		/* relay.c */
	struct index		 relay_ix;	/* by serial */
	struct serials		 relay_used;
	uint32_t		 relay_holds;	/* DB_RELAY_HOLD */
	uint32_t		 nwaits;	/* less than half the credit */
	uint32_t		 nreg_waits;
	uint32_t		 hellos;	/* DB_HAVE and DB_RESUME */
	uint32_t		 results;	/* since they were trimmed */
	uint32_t		 last_id;	/* highest request with one */
	uint64_t		 slow_at;	/* its queue is long since */
	uint64_t		 taken;		/* of its queue, last time */
	unsigned int		 stuck;		/* sweeps that saw the same */
	size_t			 coming;	/* octets of this turn for it */
	uint32_t		 challenge;	/* acme_run.c: it owes this */
	struct relays_said	 relays;	/* health.c */
};
TAILQ_HEAD(worker_list, worker);

struct control;				/* control.c's own state */
struct policyc;				/* policyc.c's */
struct outlink;				/* out.c's */
struct derpmaps;			/* derpmap.c's */
struct health;				/* health.c's */
struct dbacme;				/* acme.c's */

struct dbd {
	struct env		*env;
	struct store		*store;
	struct dbd_conf		 conf;
	char			 base_domain[256];
	struct dbd_ops		 ops;
	struct secret		*secret;	/* the boot secret */

	struct tailnet_list	 tailnets;
	struct index		 nodes_by_id;
	struct index		 nodes_by_key;
	struct index		 nodes_by_machine;
	struct index		 users_by_id;
	struct index		 keys_by_id;
	struct index		 keys_by_hash;
	struct index		 makers_by_machine;
	struct index		 relay_keys;
	struct relay_key_list	 relay_spent;	/* relay.c: of a moment ago */
	struct relay_olds	*relay_olds;	/* relay_old.c's */
	struct maker_list	 makers;	/* budget.c */
	uint32_t		 nmakers;

	struct worker_list	 workers;
	struct control		*control;
	struct policyc		*policyc;
	struct outlink		*out;
	struct derpmaps		*derpmap;
	struct health		*health;
	struct dbacme		*acme;
	struct buf		 derp_urls;	/* of conf, as are */
	struct buf		 acme_conf;
	struct buf		 relay_host;
	struct buf		 domains;	/* of conf */
	struct buf		 policy_text;
	struct buf		 policy_name;
	bool			 file_due;	/* its text is to be tried */
	char			 file_no[2000];	/* why it is not in force */

	bool			 open;		/* store_begin() was called */
	uint32_t		 nops;
	size_t			 octets;	/* of the batch's changes */
	struct tailnet		*numbered;	/* the operation has its seq */
	struct tailnet_list	 changed;	/* by the batch */
	struct tailnet_list	 tellable;	/* by those committed */
	struct authkey_list	 used_keys;
	bool			 rested;	/* some rests have ended */
	struct buf		 scratch;
	struct out		*outs;
	size_t			 nouts;
	size_t			 outs_cap;
	struct buf		 outs_body;
	struct buf		 lines;		/* of batch_log() */

	struct node_list	 tell;		/* online changed */
	struct node_list	 seen;		/* facts to write lazily */
	struct exposed_list	 ends;		/* likewise */
	struct timer		 lazy;
	struct timer		 pieces;	/* work of routes.c goes on */
	struct timer		 window;	/* resume or presume */
	bool			 in_window;
	bool			 full_start;
	bool			 freeing;
	bool			 map_due;	/* DB_ONLINE_MAP to all */
	uint32_t		 npresumed;
	struct timer		 sweep;
	int64_t			 wall_ahead;	/* of env_now(), seconds */
	uint64_t		 prune_at;	/* old exposures and audit */
	uint64_t		 said_at;	/* refusals are logged since, */
	uint32_t		 said;		/* so many of them */
	uint64_t		 waits_said_at;	/* the last line; 0: never */
	struct r_counters	 counts;
};

/*
 * In control.c: answers who asked for a reload and waits for what comes of the
 * policy's file, once that is decided.
 */
void	control_settle(struct dbd *);
/* In control.c: frees d->control, whatever it is; NULL is fine. */
void	ctlsock_free(struct dbd *);

#endif
