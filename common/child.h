/*
 * What every child of master does alike: fd 3 and nothing else, CFG_BOOT,
 * rights taken away, the CFG link, staging, start and stop.
 */

#ifndef COMMON_CHILD_H
#define COMMON_CHILD_H

#include "common/ev.h"

struct child;

struct child_ops {
	enum role	role;
	const char	*name;		/* "headscaled-worker" */
	/*
	 * Rights are gone (trust.md 7); make the core.  ev and boot live on
	 * (boot's slices are copies).  The boot secret, where the role gets
	 * one, comes later as CFG_SECRET through on_cfg.
	 */
	void		(*on_boot)(struct child *, const struct m_cfg_boot *,
			    void *arg);
	/*
	 * A CFG message that child does not handle itself: CONF, LISTEN,
	 * LINK, FILE, SECRET, CTL_ROW ...  Its fd is the handler's.
	 */
	void		(*on_cfg)(struct child *, const struct msg *, void *tag,
			    void *arg);
	/*
	 * The configuration of this epoch is complete.  Check it and keep it
	 * aside; false with a text of at most 199 octets if it is bad.  At
	 * start it is in force when on_start is called.
	 */
	bool		(*on_stage)(struct child *, uint32_t epoch, char *why,
			    size_t whylen, void *arg);
	void		(*on_commit)(struct child *, uint32_t epoch,
			    void *arg);
	/* NULL: what is kept aside may lie until the next one comes. */
	void		(*on_discard)(struct child *, uint32_t epoch,
			    void *arg);
	void		(*on_start)(struct child *, void *arg);
	/*
	 * Finish, then call child_exit(); after 1.5 s master kills.  NULL:
	 * there is nothing to finish.
	 */
	void		(*on_stop)(struct child *, void *arg);
	/* End of a turn (ev_run). */
	void		(*on_turn)(void *arg);
	/*
	 * What is counted, for master: fills in what was zeroed.  Asked once
	 * within a second of each turn since on_start, at a whole one for all
	 * processes alike; one to which nothing happens is not woken for it.
	 * What master knows is not said again.  NULL: nothing is counted.
	 */
	void		(*on_stat)(struct m_cfg_stat *, void *arg);
};

/*
 * The whole life of a child: never returns.  argv[1] is room for the title.
 * Started by hand (fd 3 is no socket) it says so and exits with 2.
 */
void		 child_main(const struct child_ops *, int argc, char **argv,
		    void *arg) __attribute__((__noreturn__));
struct ev	*child_ev(struct child *);
struct link	*child_cfg(struct child *);
/*
 * Tells master that a peer broke the rules; from on_down of a link.  Of an
 * equal (MESH) any end of the link is told: it is made again in a while.
 */
void		 child_blame(struct child *, const struct link *,
		    enum link_why);
/*
 * Takes the descriptor of a CFG_LINK message and opens the link; conf's kind,
 * self, peer, slot and generation are filled in from it.
 */
struct link	*child_link(struct child *, const struct msg *,
		    struct link_conf *conf);
/*
 * For on_stage: whether the configuration that came last, that of epoch came,
 * is the one that is staged; false with a text in why.
 */
bool		 child_conf_came(uint32_t came, uint32_t epoch, char *why,
		    size_t whylen);
/* For on_cfg: a message that the role has no use for; closes its fd. */
void		 child_drop(const struct msg *);
/* setproctitle(3) with the role's name in front. */
void		 child_title(struct child *, const char *, ...)
		    __attribute__((__format__(printf, 2, 3)));
/* Ends the process in order with status 0. */
void		 child_exit(struct child *) __attribute__((__noreturn__));

#endif
