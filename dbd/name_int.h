/* Names of nodes: one DNS label each, unique in the tailnet. */

#ifndef DBD_NAME_INT_H
#define DBD_NAME_INT_H

#include "dbd/state_int.h"

#define LABEL_LEN	64	/* with NUL */

/*
 * Makes a name from what the client calls itself; "-1", "-2" ... follow where
 * others have it.  self (may be NULL) keeps a name that it already has.
 */
void	name_make(struct tailnet *, struct slice hostname,
	    const struct node *self, char dst[LABEL_LEN]);
/* True if it can stand as it is: a label in lower case. */
bool	name_ok(struct slice);

#endif
