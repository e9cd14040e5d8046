/*
 * All that a role's core may ask of the world: time, randomness, timers and
 * its own end.  The daemons give it libevent and the kernel (common/ev), the
 * simulator a seed (regress/sim).  Links reach a core as struct link, disk
 * as dbd's struct store.  A core calls no clock, no entropy, no socket and no
 * file by itself.
 */

#ifndef COMMON_ENV_H
#define COMMON_ENV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define US_PER_MS	1000ULL
#define US_PER_S	1000000ULL
#define ENV_NEVER	UINT64_MAX

struct env;

struct env_ops {
	uint64_t	(*now)(void *);		/* monotonic, microseconds */
	int64_t		(*wall)(void *);	/* Unix time, microseconds */
	void		(*random)(void *, void *, size_t);
	/*
	 * The process ends with this exit code.  Does not return in a
	 * daemon; returns in the simulator, and the core must unwind.
	 */
	void		(*end)(void *, int code, const char *why);
};

/*
 * For outer loops alone: now and wall of the kernel's clocks.  The argument
 * means nothing.  Without a clock they end the process.
 */
uint64_t	 env_real_now(void *);
int64_t		 env_real_wall(void *);

/* ops and arg must outlive it.  Never NULL. */
struct env	*env_new(const struct env_ops *, void *arg);
/* Timers must have been stopped. */
void		 env_free(struct env *);

uint64_t	 env_now(struct env *);
/* Unix seconds. */
int64_t		 env_wall(struct env *);
void		 env_random(struct env *, void *, size_t);
/* A uniform number below n; n > 0. */
uint32_t	 env_uniform(struct env *, uint32_t n);
void		 env_end(struct env *, int code, const char *why);
bool		 env_ended(const struct env *);

/* A one-shot timer, embedded in what it belongs to. */
struct timer {
	struct env	*env;
	void		(*fn)(void *);
	void		*arg;
	uint64_t	 at;		/* microseconds; while pending */
	uint64_t	 seq;		/* equal times run in the order set */
	size_t		 slot;		/* place in the heap, 0: not pending */
};

/* Must be called once before all else; fn runs from env_run(). */
void		 timer_init(struct timer *, struct env *, void (*fn)(void *),
		    void *arg);
/* Sets or moves it: to run at, or after, a monotonic time. */
void		 timer_at(struct timer *, uint64_t at_us);
void		 timer_in(struct timer *, uint64_t after_us);
/*
 * At a whole second of the monotonic clock, s (at least 1) seconds from now or
 * less than one before that: what can wait so long wakes a process, and its
 * neighbours, once for all of it.
 */
void		 timer_in_s(struct timer *, unsigned int s);
/* Not pending afterwards; fine if it was not. */
void		 timer_stop(struct timer *);
bool		 timer_pending(const struct timer *);

/* For the outer loop: when the next timer is due (ENV_NEVER: none). */
uint64_t	 env_next(const struct env *);
/* Runs every timer that is due at now; what they set for now runs next time. */
void		 env_run(struct env *);
/* How many timers are pending (the simulator checks owners). */
size_t		 env_timers(const struct env *);

#endif
