/*
 * Hash tables from keys that peers choose (SipHash under a random key, so
 * that nobody can aim at one chain) to objects that embed the link.
 */

#ifndef DBD_INDEX_INT_H
#define DBD_INDEX_INT_H

#include <stddef.h>
#include <stdint.h>

#include "common/env.h"

struct ixlink {
	struct ixlink	*next;
	uint64_t	 hash;
	void		*obj;		/* NULL: in no table */
};

struct index {
	struct ixlink	**slot;
	size_t		  mask;
	size_t		  n;
	uint8_t		  key[16];
};

/* An empty table. */
void		 ix_init(struct index *, struct env *);
/* Frees the table, not what is in it. */
void		 ix_free(struct index *);
/* Several objects may have the same key. */
void		 ix_add(struct index *, struct ixlink *, const void *key,
		    size_t, void *obj);
/* Fine if it is in no table. */
void		 ix_del(struct index *, struct ixlink *);
/*
 * The first object under the key, or NULL; link of the same hash: the caller
 * compares the key itself and goes on with ix_more().
 */
struct ixlink	*ix_find(const struct index *, const void *key, size_t);
struct ixlink	*ix_more(const struct ixlink *);

#endif
