/*
 * Bodies of messages written from the table's descriptors, independently of
 * common/msg.c: whole ones to compare with, and broken ones.
 */

#ifndef REGRESS_LIB_MSG_MAKE_H
#define REGRESS_LIB_MSG_MAKE_H

#include "common/msg_int.h"

enum make_size {
	MAKE_MIN,		/* shortest texts, fewest elements */
	MAKE_MAX,		/* longest */
	MAKE_RANDOM
};

/* What is done to the field with the number at. */
enum make_fault {
	MAKE_WHOLE,		/* nothing */
	MAKE_TOO_LONG,		/* bytes, str: max + 1 */
	MAKE_TOO_SHORT,		/* bytes, str: min - 1 */
	MAKE_LENGTH_OVER,	/* bytes, str: says more than is left */
	MAKE_NOT_UTF8,		/* str */
	MAKE_NUL,		/* str */
	MAKE_BOOL,		/* bool: 2 */
	MAKE_FAMILY,		/* ip, prefix, ipport: 5 */
	MAKE_BITS,		/* prefix: one too many */
	MAKE_HOST_BITS,		/* prefix: host bits set */
	MAKE_MANY,		/* list: max + 1 elements */
	MAKE_FEW,		/* list: min - 1 elements */
	MAKE_COUNT_OVER,	/* list: says one element more than it has */
	MAKE_COUNT_UNDER,	/* list: says one less */
	MAKE_OCTETS_OVER,	/* list: says one octet more */
	MAKE_OCTETS_UNDER,	/* list: says one octet less */
	MAKE_FAULTS
};

struct make {
	struct buf	 b;
	enum make_size	 size;
	uint32_t	 seed;
	enum make_fault	 fault;
	unsigned int	 at;		/* field that gets the fault */
	unsigned int	 n;		/* fields met, elements' included */
	bool		 done;		/* the fault fitted the field */
};

/* Writes a body of this type to m->b, from its start; counts in m->n. */
void	make_body(struct make *m, enum msg_type);
uint32_t make_random(struct make *m);

#endif
