/* Between diff*.c only. */

#ifndef DBD_POLICY_DIFF_INT_H
#define DBD_POLICY_DIFF_INT_H

#include "dbd/policy/world_int.h"

/* What a node can be in a row: a bit for each row. */
enum part {
	PART_SRC,	/* its own address is a source */
	PART_OWN,	/* so in a row of autogroup:self */
	PART_AT,	/* its own address is a destination */
	PART_BY,	/* a route that it carries is */
	PART_EXIT,	/* the Internet is, and it is an exit node */
	PARTS
};

struct side {			/* one of the two policies */
	struct compiled	 c;
	size_t		 words;		/* of a bit for each row */
	uint64_t	*changed;	/* rows that the other does not have */
	uint64_t	*used;		/* selectors that its rows name */
};

struct class {
	uint64_t	*key;		/* hits in both: at, by, at, by, what */
	uint64_t	*part[2];	/* of each side: PARTS times words */
	uint32_t	 first;		/* in diff.node */
	uint32_t	 n;
};

struct diff_node {
	uint32_t	 node;
	uint32_t	 class;
};

struct diff {
	struct side	 side[2];	/* was, now */
	const struct topology *topo;
	size_t		 keylen;	/* words */
	struct class	*class;
	uint32_t	 nclasses;
	struct diff_node *node;		/* by class */
	uint32_t	*slot;		/* hash table of classes */
	size_t		 nslots;
	struct buf	 lines;		/* of the pair in hand */
	struct buf	*out;
	size_t		 max;
	size_t		 n;		/* lines written */
	bool		 full;
};

/* Writes what differs, pair of classes by pair of classes. */
void	 diff_list(struct diff *);

#endif
