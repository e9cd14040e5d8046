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
	uint64_t	*dst;		/* those that are destinations */
};

struct class {
	uint64_t	*key;		/* hits in both: at, by, at, by, what */
	uint64_t	*part[2];	/* of each side: PARTS times words */
	uint32_t	 first;		/* in diff.node */
	uint32_t	 n;
	uint32_t	 group[2];	/* of those that are alike as sources
					 * [0], as destinations [1] */
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
	uint32_t	 ngroups[2];
	uint8_t		*memo[2];	/* of each pair of groups: between one
					 * owner's devices [1] or not [0];
					 * NULL: there are too many */
	uint64_t	 work;		/* what comparing has cost */
	struct diff_node *node;		/* by class */
	uint32_t	*slot;		/* hash table of classes */
	size_t		 nslots;
	struct buf	 lines;		/* of the pair in hand */
	struct buf	*out;
	size_t		 max;
	size_t		 n;		/* lines written */
	bool		 full;		/* nothing more is written */
	bool		 tired;		/* since it is too much work */
};

/* What a selector, the sources of a record and a row say, as a hash. */
uint64_t diff_sel_said(const struct pol_sel *);
uint64_t diff_src_said(const struct pol *, uint32_t src);
uint64_t diff_row_said(const struct pol *, const struct pol_row *);
/* Writes what differs, pair of classes by pair of classes. */
void	 diff_list(struct diff *);
/* What differs in sections that are not about access, item by item. */
void	 diff_rest(struct diff *);
/*
 * An item of a section in its own words, appended to b: at most some 1,000
 * octets of UTF-8 (diff_say.c).
 */
void	 say_app(struct buf *b, const struct policy *, uint32_t i);
void	 say_ssh(struct buf *b, const struct policy *, uint32_t i);
void	 say_attr(struct buf *b, const struct policy *, uint32_t i);
void	 say_approver(struct buf *b, const struct policy *, uint32_t i);
void	 say_owner(struct buf *b, const struct policy *, uint32_t i);
/* Octets of out that stay free for what comes after the list. */
#define DIFF_REST	512

#endif
