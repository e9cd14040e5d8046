/* Policies from text, for tests: users, nodes, a compile. */

#ifndef REGRESS_LIB_POLKIT_H
#define REGRESS_LIB_POLKIT_H

#include "dbd/policy/policy.h"

struct polkit {
	struct pol_user	 user[32];
	struct test_node node[64];
	struct slice	 tag[64][4];
	struct prefix	 route[64][8];
	struct slice	 domain[4];
	struct tailnet_info info;
	struct topology	 topo;
	struct buf	 blob, text, detail, out;
	struct pol_error err;
	struct pol	*pol;		/* of the last polkit_compile() */
	bool		 tests_failed;
};

/* Empty: the domain example.com, the usual ranges.  Never NULL. */
struct polkit	*polkit_new(void);
void		 polkit_free(struct polkit *);
/* "alice@example.com"; its id, from 1. */
uint64_t	 polkit_user(struct polkit *, const char *name, uint8_t role);
/*
 * The node number n has 100.64.0.n and fd7a:115c:a1e0::n.  tags and routes
 * (approved) are separated by blanks; user 0 with tags.  Its index, from 0.
 */
size_t		 polkit_node(struct polkit *, const char *name, uint64_t user,
		    const char *tags, const char *routes);
/*
 * Users a@example.com with a1 and a2, b@example.com with b1, and the tagged
 * nodes srv (tag:srv) and router (tag:router), whose approved routes are these.
 */
struct polkit	*polkit_five(const char *routes);
/* 0 or -1 as policy_compile(); with the nodes if tests. */
int		 polkit_compile(struct polkit *, const char *text, bool tests);
/* The hits of a node in the last compile; hits_free(). */
void		 polkit_hits(struct polkit *, size_t node, struct pol_hits *);
/* What err and detail say, NUL-terminated. */
const char	*polkit_why(struct polkit *);
const char	*polkit_detail(struct polkit *);

#endif
