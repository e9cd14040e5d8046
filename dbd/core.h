/*
 * dbd's core: the truth and its operations, sessions and timers, batches
 * (state.md 1, 2, 9; trust.md 2, 5, 6).  Pure but for the store.
 */

#ifndef DBD_CORE_H
#define DBD_CORE_H

#include "common/env.h"
#include "common/link.h"
#include "dbd/store.h"

struct dbd;

/* From CFG_CONF_DBD; what it points to is copied. */
struct dbd_conf {
	struct slice	 base_domain;
	struct prefix	 prefix4;
	struct prefix	 prefix6;
	bool		 random;
	uint32_t	 grace_ms;
	uint32_t	 ephemeral_s;
	uint32_t	 resume_ms;
	uint32_t	 presume_s;
	uint64_t	 node_expiry_s;
	uint32_t	 max_nodes;
	uint32_t	 budget_burst;
	uint32_t	 budget_refill_ms;
	uint32_t	 queue_max;
	uint32_t	 log_keep;
	struct msg_list	 domains;	/* of r_text; copied */
	bool		 verify_clients;	/* of the relay */
	uint32_t	 relay_conns;	/* of a worker at most; 0: 1,000,000 */
	bool		 policy_file;	/* the policy is in a file: */
	struct slice	 policy_name;	/* its name; copied, as is */
	struct slice	 policy_text;	/* what it says */
	struct msg_list	 derp_urls;	/* of r_text; copied, as are */
	uint32_t	 derp_update_s;
	uint32_t	 derp_avoid_s;	/* 0: never */
	struct slice	 relay_host;
	struct r_acme	 acme;
};

struct dbd_ops {
	/*
	 * Makes a sealed descriptor of n octets (memfd on Linux), or -1.
	 * The core sends it; the outer loop makes it.
	 */
	int	(*seal)(const void *, size_t n, void *arg);
	/* A worker broke the rules: report to master. */
	void	(*blame)(const struct link *, enum link_why, void *arg);
	/*
	 * For CTL_RELOAD, CTL_VERBOSE and CTL_STATUS: ask master.  The answers
	 * come back by dbd_master_row() and dbd_master_done() with tag.
	 */
	void	(*ask_master)(const struct msg *, void *tag, void *arg);
	/*
	 * A policy compiler is wanted: dbd_pol_up() or dbd_pol_failed()
	 * follows.
	 */
	void	(*start_policyc)(void *arg);
	void	*arg;
};

/*
 * Loads everything from the store, which stays the caller's.  full_start:
 * master has just started (presume online for presume_s), not dbd alone
 * (resume window).  NULL, with the reason logged, if the store is unreadable.
 */
struct dbd	*dbd_new(struct env *, struct store *, const struct dbd_conf *,
		    const uint8_t boot_secret[32], bool full_start,
		    const struct dbd_ops *);
/*
 * All run: policies are compiled from now on, and what a policy in force has
 * yet to approve is approved.  After CFG_START, once.
 */
void		 dbd_start(struct dbd *);
/* Frees memory; commits nothing. */
void		 dbd_free(struct dbd *);
/* A staged configuration comes into force (reload). */
void		 dbd_reconf(struct dbd *, const struct dbd_conf *);
/* True if the configuration can be used with what is stored; else why. */
bool		 dbd_conf_ok(const struct dbd_conf *, char *why, size_t);

/*
 * A worker's DB link came up; it speaks first (DB_HAVE ...).  The core sets
 * no callbacks: the outer loop gives what arrives to dbd_db_msg() and the end
 * to dbd_db_down(), then frees the link.
 */
void		 dbd_db_up(struct dbd *, struct link *);
void		 dbd_db_msg(struct dbd *, struct link *, const struct msg *);
void		 dbd_db_down(struct dbd *, struct link *);

/* A control connection of a peer uid; likewise. */
void		 dbd_ctl_up(struct dbd *, struct link *, uint32_t uid);
void		 dbd_ctl_msg(struct dbd *, struct link *, const struct msg *);
void		 dbd_ctl_down(struct dbd *, struct link *);
void		 dbd_master_row(struct dbd *, void *tag, const struct msg *);
void		 dbd_master_done(struct dbd *, void *tag, const struct msg *);

/* The link to the policy compiler that was asked for; likewise. */
void		 dbd_pol_up(struct dbd *, struct link *);
void		 dbd_pol_msg(struct dbd *, struct link *, const struct msg *);
void		 dbd_pol_down(struct dbd *, struct link *);
/* Master could not start one. */
void		 dbd_pol_failed(struct dbd *, struct slice why);

/*
 * The link to fetch, and the one to keyd about certificates; likewise, and tag
 * is what on_msg was given.  A newer one takes the place of the one before.
 */
void		 dbd_out_up(struct dbd *, struct link *);
void		 dbd_out_msg(struct dbd *, struct link *, const struct msg *,
		    void *tag);
void		 dbd_out_down(struct dbd *, struct link *);
void		 dbd_acme_up(struct dbd *, struct link *);
void		 dbd_acme_msg(struct dbd *, struct link *, const struct msg *,
		    void *tag);
void		 dbd_acme_down(struct dbd *, struct link *);

/* What has happened since dbd_new(); what dbd does not count is 0. */
const struct r_counters *dbd_counters(const struct dbd *);

/*
 * End of a turn: commit what the batch holds, then send snapshots, changes
 * and replies.  A failed commit ends the process (env_end).
 */
void		 dbd_turn(struct dbd *);
/* True if a batch is open: the simulator may cut the power now. */
bool		 dbd_dirty(const struct dbd *);
/* Writes lazily kept facts (last_seen, was online) for a clean end. */
void		 dbd_finish(struct dbd *);

#endif
