/* A hash table from ids to pointers. */

#ifndef WORKER_TAILNET_IDMAP_H
#define WORKER_TAILNET_IDMAP_H

#include <stddef.h>
#include <stdint.h>

/* Zeroed is empty and valid. */
struct idmap {
	uint64_t	*key;		/* 0: free */
	void		**val;
	size_t		 mask;		/* slots - 1 */
	size_t		 n;
};

/* The value of an id, or NULL. */
void	*idmap_get(const struct idmap *, uint64_t id);
/* Sets the value of an id, which is not 0; the value is not NULL. */
void	 idmap_put(struct idmap *, uint64_t id, void *);
/* Forgets an id; fine if it is not there. */
void	 idmap_del(struct idmap *, uint64_t id);
/* Frees the table, not the values. */
void	 idmap_free(struct idmap *);

#endif
