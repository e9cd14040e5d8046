/* Between super.c and the other super_*.c. */

#ifndef MASTER_SUPER_INT_H
#define MASTER_SUPER_INT_H

#include "common/compat/compat.h"
#include "master/super.h"

struct mend;

#define SUPER_WHY	300

struct proc {
	struct super	*super;
	enum role	 role;
	uint16_t	 slot;
	bool		 check;
	bool		 off;		/* nobody wants it */
	char		 name[24];
	void		*tag;
	uint32_t	 pid;

	enum proc_state	 state;
	uint64_t	 generation;
	uint32_t	 epoch;		/* of its configuration */
	uint64_t	 since;		/* when this instance was started */
	uint32_t	 starts;
	bool		 was_ready;
	bool		 excused;	/* killed by us, not its fault */
	bool		 staging;	/* has been sent CFG_STAGE ... */
	bool		 staged;	/* ... and has said yes */
	unsigned int	 fails;		/* deaths before READY, in a row */
	unsigned int	 refusals;
	uint64_t	 deaths[2];	/* the last two of READY instances */
	struct timer	 timer;		/* the next start, or READY is due */
	struct r_counters counts;	/* what this instance last said */

	/* Workers only. */
	uint32_t	 streams;
	uint32_t	 sessions;
	uint32_t	 conns;
	bool		 paused;
	bool		 away;		/* siblings were told that it is down */
	struct timer	 away_timer;
	uint32_t	 asked;		/* the open question; 0: none */
	unsigned int	 silent;	/* periods that it has been open */
	struct timer	 alive_timer;	/* while it runs */
};

enum reload {
	RELOAD_NONE,
	RELOAD_WAIT,		/* for the check processes of the last one */
	RELOAD_CHECK,		/* a fresh worker looks at it */
	RELOAD_STAGE		/* all look at it */
};

struct super {
	struct env	*env;
	struct super_ops ops;
	/* keyd, dbd, workers, stun, out, check keyd, check out, check */
	struct proc	*procs;
	unsigned int	 n;
	unsigned int	 wanted;	/* SUPER_ bits of epoch */
	LIST_HEAD(mends, mend) mends;
	uint32_t	 pid;
	uint64_t	 generation;
	uint32_t	 asks;		/* number of the last question */
	uint64_t	 born;
	uint32_t	 epoch;		/* in force */
	bool		 serving;
	bool		 stopping;
	bool		 killing;	/* the end: no grace any more */
	bool		 over;
	int		 code;
	char		 why[SUPER_WHY];
	struct timer	 stop_timer;

	struct proc	 policyc;
	struct proc	*policyc_for;	/* the dbd that waits for it, */
	uint64_t	 policyc_gen;	/* this one, */
	uint32_t	 policyc_id;	/* by this request */

	enum reload	 reload;
	uint32_t	 next_epoch;
	struct timer	 reload_timer;
};

/* Starts p with the configuration of this epoch. */
void	super_spawn(struct proc *, uint32_t epoch);
/* SIGKILL, once; excused: not to be counted as a failure to start. */
void	super_kill(struct proc *, bool excused, const char *why);
/* What the configuration of this epoch wants. */
unsigned int super_wants(struct super *, uint32_t epoch);
/* True from CFG_BOOT to the end: it reads its CFG link. */
bool	super_listens(const struct proc *);

/*
 * The configuration in force wants out, or does not any more: starts or ends
 * it.
 */
void	super_commit(struct super *);

/* Sends CFG_STAGE. */
void	super_stage(struct proc *, uint32_t epoch);

/* The instance, unless it is down; NULL if there is none (any more). */
struct proc *super_find(struct super *, unsigned int role, uint16_t slot,
	    uint64_t generation);

/* Looks whether a worker's slot is served, after anything that may matter. */
void	super_look_away(struct proc *);

/*
 * Links (super_links.c).  Joins a new instance with all that it should talk
 * to; false if it cannot.
 */
bool	links_join(struct proc *);
/* The configuration in force may want more links than the one before. */
void	links_commit(struct super *);
/*
 * True if p's report is of a link that may be made again, between two that
 * are not to blame: it will be, in a while.
 */
bool	links_report(struct proc *, const struct m_cfg_blame *);
/* Its timers; for the end, and for good. */
void	links_stop(struct super *);
void	links_free(struct super *);

/* Whether a worker that runs still does (super_alive.c). */
void	alive_init(struct proc *);
void	alive_start(struct proc *);
void	alive_stop(struct proc *);
void	alive_answer(struct proc *, uint32_t number);

/* The policy compiler (super_policyc.c). */
void	compiler_init(struct super *);
/* CFG_POLICYC_START of dbd. */
void	compiler_request(struct proc *dbd, uint32_t id);
/* why NULL: it is just not wanted any more. */
void	compiler_kill(struct super *, const char *why);
void	compiler_died(struct super *, const char *how);

/* A reload and its events (super_reload.c). */
void	reload_init(struct super *);
void	reload_staged(struct proc *, const struct m_cfg_staged *);
void	reload_died(struct proc *);
void	reload_cancel(struct super *, const char *why);

#endif
