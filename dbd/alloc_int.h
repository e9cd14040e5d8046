/* Addresses of nodes: unique in the tailnet, at rest for an hour once freed. */

#ifndef DBD_ALLOC_INT_H
#define DBD_ALLOC_INT_H

#include "dbd/dbd_int.h"

/*
 * Picks free addresses from the configured prefixes, in sequence or at
 * random; family 0 where there is no prefix.  False, with a text, if a prefix
 * has none left.  They are taken once a node has them.
 */
bool	alloc_pick(struct tailnet *, struct ip *ip4, struct ip *ip6,
	    char *why, size_t);
/* Addresses of a deleted node begin their rest (memory only). */
void	alloc_rest(struct tailnet *, const struct rest_row *);
/* After the load, or a change of prefixes: where the sequence goes on. */
void	alloc_start(struct tailnet *);
/* True if the prefix has an address that a node may have. */
bool	alloc_usable(const struct prefix *);

#endif
