/*
 * The simulator's world: one virtual clock, one seed, processes, wires and
 * the faults that happen to them.  Everything is decided by the seed: a seed
 * replays exactly.
 */

#ifndef REGRESS_SIM_WORLD_H
#define REGRESS_SIM_WORLD_H

#include <stdio.h>

#include "common/env.h"
#include "common/link.h"

struct world;
struct sproc;		/* a process of the simulation */

/* verbose: its trace goes to standard output.  Never NULL. */
struct world	*world_new(uint64_t seed, bool verbose);
/* Where its trace goes, line by line; NULL: nowhere. */
void		 world_trace_to(struct world *, FILE *);
/* All processes must have been freed. */
void		 world_end(struct world *);
uint64_t	 world_now(const struct world *);
/* A uniform number below n (n > 0) from the seed. */
uint64_t	 world_rand(struct world *, uint64_t n);
/* Fills it from the seed. */
void		 world_draw(struct world *, uint8_t *, size_t);
/* True once in n on average; n 0: never. */
bool		 world_chance(struct world *, uint64_t n);
/* Notes a broken promise; the run goes on and fails at the end. */
void		 world_fail(struct world *, const char *, ...)
		    __attribute__((__format__(printf, 2, 3)));
unsigned int	 world_failures(const struct world *);
/* A line of the trace, if there is one. */
void		 world_trace(struct world *, const char *, ...)
		    __attribute__((__format__(printf, 2, 3)));
/* A sum of n octets for lines of the trace; 0 if there is none. */
unsigned long long world_sum(const struct world *, const void *, size_t n);
/* Moves all wall clocks by so many microseconds (a clock jump). */
void		 world_jump(struct world *, int64_t us);
/* They were moved back once. */
bool		 world_went_back(const struct world *);
/* Unix seconds. */
int64_t		 world_wall(const struct world *);

/* Calls fn(arg) at a virtual time; events at one time run in their order. */
void		 world_at(struct world *, uint64_t at_us, void (*fn)(void *),
		    void *arg);
/* Runs events and timers until the virtual time. */
void		 world_run(struct world *, uint64_t until_us);

/* turn is called after anything happened to the process (may be NULL). */
struct sproc	*sproc_new(struct world *, const char *name,
		    void (*turn)(void *), void *arg);
struct env	*sproc_env(struct sproc *);
const char	*sproc_name(const struct sproc *);
/* It is dead: its timers run no more and its wires are cut. */
bool		 sproc_is_dead(const struct sproc *);
/* Called once when the process has called env_end() or sproc_kill() was. */
void		 sproc_on_death(struct sproc *, void (*fn)(struct sproc *,
		    const char *how, void *), void *arg);
/*
 * Kills it at the next boundary: nothing that it says from now on leaves,
 * and when what it is doing has returned, on_death is called.
 */
void		 sproc_kill(struct sproc *, const char *why);
/* Kills it after it has sent so many more messages. */
void		 sproc_kill_after(struct sproc *, unsigned int sends);
/*
 * It hangs for so long: no timer runs, no turn, and what others send waits.
 * It can be killed.
 */
void		 sproc_hang(struct sproc *, uint64_t us);
bool		 sproc_hangs(const struct sproc *);
/* When it goes on, or did; 0: it never hung. */
uint64_t	 sproc_wakes(const struct sproc *);
/* After on_death; the core has been freed.  Complains of timers left over. */
void		 sproc_free(struct sproc *);
/* Something was given to the process: its turn comes. */
void		 sproc_touch(struct sproc *);

/*
 * A wire: two ends that links are put on.  Messages take min to max
 * microseconds, in order.  fd values on it are numbers of ends or of sealed
 * memory, see below.
 */
struct wire;
enum wire_end { WIRE_A, WIRE_B };

struct wire	*wire_new(struct world *, uint64_t min_us, uint64_t max_us);
/* Joins a process's end: makes the link.  The link owns its end. */
struct link	*wire_link(struct wire *, enum wire_end, struct sproc *,
		    const struct link_conf *);
/*
 * A process dies: all ends that it holds close; what it has sent still
 * arrives.  Its links must be freed by their owner.
 */
void		 wires_cut(struct world *, struct sproc *);
/* Largest number of octets that were ever on the way on one wire. */
size_t		 wires_peak(const struct world *);

/* Descriptors of the simulation: memory sealed by one, mapped by another. */
int		 sim_seal(struct world *, const void *, size_t n);
/* How much of it nobody has opened. */
unsigned int	 sim_sealed(const struct world *);
/* Takes it out of the table: the caller frees the octets. */
void		*sim_open(struct world *, int fd, size_t *n);

#endif
