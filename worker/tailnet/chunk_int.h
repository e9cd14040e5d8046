/*
 * A set whose members' JSON is kept compressed in chunks (state.md 5).  The
 * members are dense: the last fills the place of one that leaves, so that all
 * chunks but the last are full.
 */

#ifndef WORKER_TAILNET_CHUNK_INT_H
#define WORKER_TAILNET_CHUNK_INT_H

#include "worker/tailnet/pack_int.h"

#define CHUNK_NODES	50	/* nodes in a chunk */
#define CHUNK_USERS	200	/* profiles in one */
/* Smaller groups are written into the recipient's own part. */
#define CHUNK_LEAST	16

struct chunk;

struct chunk_ops {
	/* Appends a member's JSON, without commas. */
	void	(*render)(const void *member, struct buf *, const void *arg);
	/* The member's slot is now another. */
	void	(*moved)(void *member, uint32_t slot);
};

struct chunkset {
	const struct chunk_ops *ops;
	const void	*arg;
	struct pack	*pack;
	void		**member;
	struct chunk	*chunk;
	uint32_t	 n;
	uint32_t	 per;		/* members a chunk */
	uint32_t	 cap;		/* chunks that there is room for */
	uint32_t	 lagging;	/* chunks that are kept and lag */
	uint32_t	 next;		/* where chunkset_freshen() looks on */
};

void		 chunkset_init(struct chunkset *, struct pack *,
		    const struct chunk_ops *, const void *arg, uint32_t per);
void		 chunkset_free(struct chunkset *);
/* Returns its slot. */
uint32_t	 chunkset_add(struct chunkset *, void *member);
void		 chunkset_del(struct chunkset *, uint32_t slot);
/* What the member's chunk says of it is of no more use. */
void		 chunkset_spoil(struct chunkset *, uint32_t slot);
/* All of it is of no more use. */
void		 chunkset_spoil_all(struct chunkset *);
/*
 * What the chunk says of the member is no longer the latest; before: version
 * of the member's change before this one.
 */
void		 chunkset_lag(struct chunkset *, uint32_t slot,
		    uint64_t before);
uint32_t	 chunkset_chunks(const struct chunkset *);
/* One more whenever another member is in the chunk, or one less. */
uint32_t	 chunkset_moves(const struct chunkset *, uint32_t k);
/*
 * Chunk k as a zstd frame of text that begins with a comma; borrowed.  *ver
 * is lowered to the version that it stands for if that is below it.  now: the
 * version of the members; least: it may not lag behind this one.
 */
struct frame	*chunkset_frame(struct chunkset *, uint32_t k, uint64_t now,
		    uint64_t least, uint64_t *ver);
/*
 * Chunk k as text, each member after a comma; without skip (may be NULL).
 * first: without the first comma.  Returns how many members it wrote.
 */
uint32_t	 chunkset_text(const struct chunkset *, uint32_t k,
		    const void *skip, bool first, struct buf *);
/* Makes one lagging chunk afresh; true if another one lags. */
bool		 chunkset_freshen(struct chunkset *, uint64_t now);

#endif
