/* Between the pol_*.c files only. */

#ifndef COMMON_POL_INT_H
#define COMMON_POL_INT_H

#include "common/pol.h"

#define POL_MAGIC	0x4853504cu
#define POL_VERSION	1u
#define POL_NONE	UINT32_MAX
#define POL_MAX_PERIOD	604800		/* seconds: policy.md 11.3 */

/* In the blob: what a POL_RANGE's text looks like. */
#define POL_F_INET	0x01
#define POL_F_SPAN	0x02

#define POL_F_CHECK	0x01
#define POL_F_SELF	0x02
#define POL_F_LOCALS	0x04

/*
 * A POL_RANGE in a search tree of ranges in the order of lo: the middle of an
 * array is its root, and max the highest end below that root.
 */
struct pol_span {
	struct ip_num	 lo, hi;
	struct ip_num	 max;
	uint32_t	 sel;
};

struct pol_owned {
	uint64_t	 user;
	uint32_t	 sel;
};

/* Which selectors a node hits, by what it has. */
struct pol_index {
	uint32_t	 any, tailnet;	/* selector, or POL_NONE */
	uint32_t	 member, tagged;
	uint32_t	*tag;		/* selectors in the order of text */
	uint32_t	 ntags;
	struct pol_owned *user;		/* in the order of user */
	size_t		 nusers;
	struct pol_span	*span[2];	/* IPv4, IPv6 */
	uint32_t	 nspans[2];
	uint64_t	*ident;		/* POL_WORDS(): all but ranges */
};

/* Makes p->index; NULL, or why the selectors cannot be. */
const char	*pol_index_make(struct pol *);
/* Zeroed memory that lives as long as the policy. */
void		*pol_take(struct pol *, size_t n, size_t size);

/* First and last address of a prefix. */
void		 pol_prefix_span(const struct prefix *, struct ip_num *lo,
		    struct ip_num *hi);
/* Its host bits are zero; the length fits the family. */
bool		 pol_prefix_ok(const struct prefix *);
/* lo..hi is exactly a prefix: its length; -1 if it is none. */
int		 pol_prefix_bits(const struct ip *lo, const struct ip *hi);

/* JSON that goes onto the wire as it is. */
bool		 pol_json_obj(struct slice);	/* any object */
bool		 pol_json_str(struct slice);	/* a string */
bool		 pol_json_map(struct slice);	/* object of strings */
bool		 pol_json_list(struct slice);	/* array of strings */
bool		 pol_json_keys(struct slice);	/* "a":null,"b":null */

#endif
