/* A world for tests: a clock that stands until it is moved, and a seed. */

#ifndef REGRESS_LIB_FAKEENV_H
#define REGRESS_LIB_FAKEENV_H

#include "common/env.h"

/* What a new one shows. */
#define FAKEENV_NOW	(1000 * US_PER_S)
#define FAKEENV_WALL	1790000000LL	/* Unix seconds */

struct fakeenv;

/* Equal seeds draw equal octets.  Never NULL. */
struct fakeenv	*fakeenv_new(uint64_t seed);
/* All timers must have been stopped.  NULL is fine. */
void		 fakeenv_free(struct fakeenv *);
/* Lives as long as the fakeenv; what a core is given. */
struct env	*fakeenv_env(struct fakeenv *);
/*
 * Moves both clocks and runs the timers that fall due on the way, in order,
 * each at its own time.  0 runs what is due now.
 */
void		 fakeenv_advance(struct fakeenv *, uint64_t us);
/* Moves both clocks at once: timers that were due on the way run late, once. */
void		 fakeenv_leap(struct fakeenv *, uint64_t us);
/* The same without timers: for what takes its time within one. */
void		 fakeenv_drift(struct fakeenv *, uint64_t us);
/* Sets the wall clock alone, as an administrator may. */
void		 fakeenv_set_wall(struct fakeenv *, int64_t unix_s);
/* The next n octets that are drawn; after them the seed goes on. */
void		 fakeenv_feed(struct fakeenv *, const void *, size_t n);
/* Octets drawn so far, fed ones included. */
uint64_t	 fakeenv_drawn(const struct fakeenv *);
/* The code given to env_end(), or -1 while it goes on; the text, or "". */
int		 fakeenv_code(const struct fakeenv *);
const char	*fakeenv_why(const struct fakeenv *);

#endif
