/* What the trap tests share: a server for each test, and crowds of devices. */

#ifndef REGRESS_LIB_TRAPKIT_H
#define REGRESS_LIB_TRAPKIT_H

#include "regress/lib/rawclient.h"
#include "regress/lib/server.h"

/* For cmocka: *state is a struct server. */
int	trap_setup(void **state);
/* Fails if a client was told nonsense, or the simulator complains. */
int	trap_teardown(void **state);
/*
 * n published devices of alice that hold no connection, in devs.  fat: each
 * says 3 KB of itself that do not compress.  Aborts if one is refused.
 */
void	trap_crowd(struct server *s, unsigned int n, bool fat,
	    struct dev **devs);
/* The value of "name" in a JSON text, up to its end, in a static buffer. */
const char *trap_member(const char *json, const char *name);

/*
 * Someone who must not notice what others do: two devices with streams, and
 * the processes that serve them.
 */
struct witness {
	struct server	*s;
	struct dev	*a;
	struct dev	*b;
	struct sproc	*worker[HOST_WORKERS + 1];
	struct dbd	*dbd;
	unsigned int	 round;
};

void	witness_new(struct witness *, struct server *);
/*
 * NULL if all is as it was: streams and connections live, no process has
 * died, a change of one reaches the other within a second.  Else what is not.
 */
const char *witness_check(struct witness *);
/* Octets that malloc has given out (0 where it does not tell). */
size_t	memory_used(void);

#endif
