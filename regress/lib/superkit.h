/* Supervision over a clock that stands still, and what it did to the world. */

#ifndef REGRESS_LIB_SUPERKIT_H
#define REGRESS_LIB_SUPERKIT_H

#include "common/ids.h"
#include "master/super.h"
#include "regress/lib/fakeenv.h"

#define WORKERS		3
#define SENT_MAX	4096
#define MS(n)		((uint64_t)(n) * US_PER_MS)

/* What supervision did to the world, in order. */
struct su_sent {
	struct proc	*to;
	enum msg_type	 type;
	uint32_t	 id;
	uint32_t	 value;		/* epoch, slot, role: what counts */
	bool		 flag;
	uint64_t	 generation;	/* CFG_LINK's */
	int		 fd;
	struct r_counters counts;
	uint32_t	 conns;
	enum proc_health health;	/* CFG_CTL_ROW's */
};

struct su_world {
	struct fakeenv	*fake;
	struct super	*super;
	struct proc	*keyd;
	struct proc	*dbd;
	struct proc	*worker[WORKERS + 1];
	struct proc	*check;
	struct proc	*check_keyd;
	struct proc	*check_out;
	struct proc	*stun;		/* once it was started */
	struct proc	*out;		/* likewise */
	struct proc	*policyc;	/* the last one that was started */
	struct su_sent	 sent[SENT_MAX];
	unsigned int	 nsent;
	unsigned int	 spawns;
	unsigned int	 kills;
	struct proc	*killed;
	struct proc	*fail;		/* cannot be started */
	struct proc	*hangs;		/* does not answer CFG_ALIVE_ASK */
	uint32_t	 configured;
	unsigned int	 wants;		/* SUPER_ bits of configurations ... */
	uint32_t	 wants_from;	/* ... from this epoch on; 0: of none */
	unsigned int	 serving;
	unsigned int	 outcomes;
	uint32_t	 outcome_epoch;
	bool		 outcome_ok;
	char		 outcome_why[256];
	unsigned int	 stops;
	int		 stop_code;
	char		 stop_why[256];
	int		 next_fd;
	char		 log[512];
};

/* Puts a process of super_each() where it belongs; a check has no place. */
void		 su_seat(struct proc *p, struct proc **keyd, struct proc **dbd,
		    struct proc **worker);

/* Of cmocka: *state is the world; not started yet. */
int		 su_setup(void **state);
int		 su_teardown(void **state);
/* Starts it: everybody READY and started, epoch 1. */
struct su_world	*su_serving(void **state);

/* p says CFG_STAGED: yes, or no with the reason why. */
void		 su_staged(struct su_world *, struct proc *p, uint32_t epoch,
		    const char *why);
/* p says CFG_ALIVE_OK; at once by itself, unless it hangs. */
void		 su_alive(struct su_world *, struct proc *p, uint32_t number);
/* p says CFG_READY. */
void		 su_ready(struct su_world *, struct proc *p);
/* p was ended by signal 9. */
void		 su_died(struct su_world *, struct proc *p);
/* Moves the clock, in milliseconds, and runs what falls due. */
void		 su_advance(struct su_world *, uint64_t ms);

/* How many such messages went to p (NULL: anyone) since mark. */
unsigned int	 su_count(const struct su_world *, unsigned int mark,
		    const struct proc *p, enum msg_type);
/* The last such message to p; NULL if there was none. */
const struct su_sent *su_last(const struct su_world *, const struct proc *p,
		    enum msg_type);

#endif
