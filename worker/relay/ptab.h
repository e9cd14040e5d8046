/* Pointers by a hash: open addressing, for tables of clients' own choice. */

#ifndef WORKER_RELAY_PTAB_H
#define WORKER_RELAY_PTAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ptab_slot {
	void		*p;		/* NULL: free */
	uint64_t	 hash;
};

/* Zeroed is empty and valid. */
struct ptab {
	struct ptab_slot *slot;
	size_t		 mask;
	size_t		 n;
};

typedef bool	(*ptab_eq)(const void *p, const void *key);

/* The one with this hash for which eq(p, key) holds, or NULL. */
void		*ptab_find(const struct ptab *, uint64_t hash, ptab_eq,
		    const void *key);
/* Adds one that is not there. */
void		 ptab_add(struct ptab *, uint64_t hash, void *p);
/* Takes it out; its hash is that with which it was added. */
void		 ptab_del(struct ptab *, uint64_t hash, const void *p);
/* Frees the table, not what it points to. */
void		 ptab_free(struct ptab *);

#endif
