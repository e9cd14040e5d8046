/* Memory of one compile: taken piece by piece, freed as a whole. */

#ifndef DBD_POLICY_ARENA_H
#define DBD_POLICY_ARENA_H

#include <stddef.h>

#include "common/str.h"

struct arena;

/*
 * At most max octets in all.  Who reads a text bounds the text; to run over
 * max is a bug and ends the process, as memory running out does.
 */
struct arena	*arena_new(size_t max);
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
