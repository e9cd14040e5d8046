/*
 * Supervision: which processes there are, when each is started again, who is
 * linked to whom, reloads and the end (architecture.md 5, trust.md 1).  Pure:
 * the daemon drives it with libevent and real processes, the simulator with a
 * seed.
 */

#ifndef MASTER_SUPER_H
#define MASTER_SUPER_H

#include "common/env.h"
#include "common/link.h"

/*
 * Each worker that runs is asked this often whether it is there.  One that
 * owes the answer for a whole period counts as away, and its siblings accept
 * for it a second later; one that owes it for so many is killed, after 30 s.
 * Periods are counted and not time, of which a machine may be robbed.  keyd
 * and dbd are not asked: a slow disk may hold them.
 */
#define SUPER_ASK_US	(2 * US_PER_S)
#define SUPER_ASK_MAX	15

/* How long a policy compiler may live. */
#define SUPER_POLICYC_US	(32 * US_PER_S)

struct super;
/*
 * A seat: keyd, dbd, stun, out or one worker slot, and the instance in it, if
 * any.  That of policyc is taken for one job each, those of the three check
 * processes, a worker, a keyd and an out, for a configuration.
 */
struct proc;

enum proc_state {
	PROC_DOWN,		/* no instance; perhaps a timer for the next */
	PROC_STARTING,		/* not yet READY */
	PROC_READY,		/* waits for the others (first start only) */
	PROC_RUN,		/* CFG_START was sent */
	PROC_KILLED		/* or closed its link: its end is awaited */
};

/* What a configuration wants besides workers, keyd and dbd. */
#define SUPER_SIG	1	/* SIG between each worker and keyd */
#define SUPER_MESH	2	/* MESH between each two workers */
#define SUPER_STUN	4	/* the process stun, from start to end */
#define SUPER_KEYS	8	/* keys that a check keyd must look at */
#define SUPER_OUT	16	/* the process that connects out, and OUT */
#define SUPER_ACME	32	/* ACME between keyd and dbd */

struct super_ops {
	/*
	 * Starts an instance of p's role and sends it all that comes before
	 * a configuration: CFG_BOOT, CFG_SECRET, CFG_CTL_LISTEN, key files.
	 * False (logged) if it cannot: it counts as dead before READY.
	 */
	bool	(*spawn)(struct proc *p, void *arg);
	/* SIGKILL; super_died() comes when it is gone. */
	void	(*kill)(struct proc *p, void *arg);
	/*
	 * Sends on p's CFG link: as a request, reply, row or notify by its
	 * class.  CFG_START also moves our end to MSG_RUN.  Takes over m->fd.
	 */
	void	(*send)(struct proc *p, const struct msg *m, void *arg);
	/* Makes the two ends of a new link; false (logged) if it cannot. */
	bool	(*pair)(int fd[2], void *arg);
	/*
	 * Sends p the whole configuration of this epoch, without CFG_STAGE.
	 * p may be a check process (proc_is_check()), which gets no
	 * listeners.
	 */
	void	(*configure)(struct proc *p, uint32_t epoch, void *arg);
	/* All were READY and have been started: once. */
	void	(*serving)(void *arg);
	/*
	 * How super_reload() or super_check() ended; ok: epoch is in force
	 * (after a reload).  why is one line, "" if ok.
	 */
	void	(*outcome)(uint32_t epoch, bool ok, const char *why, void *arg);
	/* Everything is over: code 0 after super_stop(), 1 if it failed. */
	void	(*stopped)(int code, const char *why, void *arg);
	/*
	 * Starts the policy compiler; the other end of its only link, which
	 * will be dbd's, goes to *fd.  False (logged) if it cannot.
	 */
	bool	(*spawn_policyc)(struct proc *p, int *fd, void *arg);
	/* SUPER_ bits of a configuration; NULL: always 0. */
	unsigned int (*wants)(uint32_t epoch, void *arg);
	void	*arg;
};

/* pid: master's own, for status.  Never NULL; ops is copied. */
struct super	*super_new(struct env *, unsigned int workers, uint32_t pid,
		    const struct super_ops *);
/* Forgets all processes; stops its timers. */
void		 super_free(struct super *);

/* Starts everything with the configuration of this epoch (not 0). */
void		 super_start(struct super *, uint32_t epoch);
/*
 * Has a fresh worker, a fresh keyd if there are keys, and a fresh out if it is
 * wanted, look at a configuration, with nothing else running: outcome()
 * follows.  For headscaled -n.
 */
void		 super_check(struct super *, uint32_t epoch);
/*
 * Two phases, all or nothing.  A fresh worker that nobody has talked to, a
 * fresh keyd if there are keys, and a fresh out if it is wanted, look at the
 * new configuration first; if one says no, nobody else is disturbed.  Then all
 * stage, then all commit; a worker, stun or out that now refuses or misses it
 * is replaced.  The commit also starts an out that was not wanted before, or
 * ends it.  False, with the reason, if it cannot begin; else outcome()
 * follows.
 */
bool		 super_reload(struct super *, uint32_t epoch, char *why,
		    size_t whylen);
bool		 super_reloading(const struct super *);
/* CFG_STOP to all, after 1.5 s SIGKILL; stopped() at 2 s at the latest. */
void		 super_stop(struct super *);
bool		 super_is_serving(const struct super *);

/*
 * A message of p's CFG link: READY, STAGED, BLAME, STAT, ALIVE_OK, CTL_STATUS
 * and POLICYC_START; others are ignored, also what a killed process still had
 * to say.
 */
void		 super_msg(struct super *, struct proc *p, const struct msg *);
/*
 * p's CFG link went down: it is killed, or, if it closed the link itself, has
 * a second to end.
 */
void		 super_link_down(struct super *, struct proc *p, enum link_why);
/*
 * p is of no use for a reason that the outer loop found: it is killed, and if
 * this is the first start, that has failed.
 */
void		 super_fail(struct super *, struct proc *p, const char *why);
/* p's process has ended; how is for the log ("exit 1", "signal 9"). */
void		 super_died(struct super *, struct proc *p, const char *how);
/* Sends CFG_VERBOSE to all. */
void		 super_verbose(struct super *, uint8_t verbose);

/* Calls fn for each seat; optional ones only while there is one. */
void		 super_each(struct super *, void (*fn)(struct proc *, void *),
		    void *arg);
enum role	 proc_role(const struct proc *);
/* 1..N of a worker, else 0. */
uint16_t	 proc_slot(const struct proc *);
uint64_t	 proc_generation(const struct proc *);
enum proc_state	 proc_state(const struct proc *);
bool		 proc_is_check(const struct proc *);
/* How often in a row this seat's instances refused the one same epoch. */
unsigned int	 proc_refusals(const struct proc *);
/* "worker 2", "keyd", "fetch out", "check": for logs. */
const char	*proc_name(const struct proc *);
/* What the outer loop keeps with the instance; pid is 0 where unknown. */
void		 proc_set_tag(struct proc *, void *tag, uint32_t pid);
void		*proc_tag(const struct proc *);
uint32_t	 proc_pid(const struct proc *);

#endif
