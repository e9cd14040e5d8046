/* Memory of one compile: taken piece by piece, freed as a whole. */

#ifndef DBD_POLICY_ARENA_H
#define DBD_POLICY_ARENA_H

#include <stdbool.h>
#include <stddef.h>

#include "common/str.h"

struct arena;

/*
 * At most max octets in all.  To run over max ends the process, as memory
 * running out does, but within arena_run().
 */
struct arena	*arena_new(size_t max);
/*
 * Calls fn(arg).  False if it needed more than max octets: then it was left
 * where it stood, and what it took from elsewhere is lost, which suits a
 * process that answers and ends.
 */
bool		 arena_run(struct arena *, void (*fn)(void *), void *arg);
/* n octets, zeroed and aligned for any type.  Never NULL. */
void		*arena_alloc(struct arena *, size_t n);
/* Room for n members of size octets, zeroed.  Never NULL. */
void		*arena_array(struct arena *, size_t n, size_t size);
/* A copy that lives as long as the arena, with a NUL behind it. */
struct slice	 arena_copy(struct arena *, struct slice);
/* Octets handed out so far, with what rounding cost. */
size_t		 arena_used(const struct arena *);
/* NULL is fine. */
void		 arena_free(struct arena *);

#endif
