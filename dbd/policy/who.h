/* Which user a name in a policy means (policy.md 4.2). */

#ifndef DBD_POLICY_WHO_H
#define DBD_POLICY_WHO_H

#include "dbd/policy/ast.h"

struct who;

/* Indexes the users; info outlives it, and it lives in the arena. */
struct who	*who_new(struct arena *, const struct tailnet_info *);
/* The domain is one of the tailnet's own; case matters. */
bool		 who_domain(const struct tailnet_info *, struct slice);
/*
 * How many users the token means (0: none) and the first of them.  A
 * provider's identifier wins and is never ambiguous.
 */
size_t		 who_find(const struct who *, struct slice token,
		    const struct pol_user **first);
/*
 * Every source is the user that dst names: by the same words, or by others
 * that mean the same one user (policy.md 11.2).
 */
bool		 who_only(const struct who *, const struct aliases *src,
		    const struct alias *dst);

#endif
