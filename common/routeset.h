/*
 * The prefixes of a list of routes, to be looked up: a node may have 1,024, of
 * which a list finds each by decoding all before it.
 */

#ifndef COMMON_ROUTESET_H
#define COMMON_ROUTESET_H

#include "common/msg.h"

struct routeset {
	struct prefix	*v;		/* sorted, each once */
	uint32_t	 n;
};
#define ROUTESET_NONE	UINT32_MAX

/* From a list of MR_ROUTE, or n prefixes; routeset_free() ends it. */
void	routeset_of(struct routeset *, const struct msg_list *);
void	routeset_from(struct routeset *, const struct prefix *, uint32_t n);
bool	routeset_has(const struct routeset *, const struct prefix *);
/* Where it is in v, or ROUTESET_NONE. */
uint32_t routeset_find(const struct routeset *, const struct prefix *);
void	routeset_free(struct routeset *);

#endif
