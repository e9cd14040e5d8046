/*
 * policyc's core: octets in, octets out.  Nothing here calls a clock, a file
 * or a socket; main.c does.
 */

#ifndef DBD_POLICY_POLICY_H
#define DBD_POLICY_POLICY_H

#include "common/pol_hit.h"
#include "dbd/policy/ast.h"

#define POLICY_OUT_MAX	((size_t)4 * 1024 * 1024)	/* of why and diff */

/* A node as tests and explanations need it; not what rules depend on. */
struct test_node {
	uint64_t	 id;
	struct slice	 name;
	struct pol_node	 facts;
};

struct topology {
	const struct test_node *node;
	size_t		 nnodes;
	struct prefix	 range[2];	/* the tailnet's, v4 and v6 */
	bool		 unknown;	/* nodes are to be had, but not here */
};

/* policy_compile(): it has tests, and the nodes are unknown. */
#define POLICY_WANTS_NODES	1

/*
 * Makes the compiled form of a checked policy; pol_save() writes it.  It lives
 * in the arena.  NULL if it goes over the bounds of pol.h.
 */
struct pol	*policy_emit(struct arena *, const struct policy *,
		    const struct tailnet_info *);

/*
 * Runs tests and sshTests against the nodes as they are.  True if all pass;
 * else the error is "test(s) failed" and detail has a line a finding
 * (policy.md 13.1).
 */
bool		 policy_test(const struct policy *, const struct pol *,
		    const struct tailnet_info *, const struct topology *,
		    struct pol_error *);

/*
 * One compile from text to blob: reads, emits, loads what it made again, runs
 * the tests if there is a topology.  0, or -1 and the error, or
 * POLICY_WANTS_NODES, and nothing was written.  blob may be NULL.
 * A policy whose tests fail is -1 with *tests_failed set and the blob filled:
 * the caller decides what that means.
 */
int		 policy_compile(struct slice text, const struct tailnet_info *,
		    const struct topology *, struct buf *blob,
		    struct pol_error *, bool *tests_failed);

/*
 * Says which rows and lines let src reach dst (an alias, address or node name;
 * port 0: any), or that none does: text for people, a line a finding, of at
 * most POLICY_OUT_MAX octets.
 */
int		 policy_why(struct slice text, const struct tailnet_info *,
		    const struct topology *, struct slice src,
		    struct slice dst, uint16_t port, struct buf *out,
		    struct pol_error *);

/*
 * What the new text would add and remove against the old: lines
 * "+ SRC -> DST proto:ports" and "- ...", of nodes' names.  Pairs of nodes
 * with equal hits are found once, and at most max lines (0: 1000) of at most
 * POLICY_OUT_MAX octets are written.  Items of sections that are not about
 * access follow in their own words, "- ssh ..." and "+ ssh ..."; "* ..." for
 * one that means others under the same words, another order of rules, or what
 * is too much; "no difference" if nothing differs.
 */
int		 policy_diff(struct slice was, struct slice now,
		    const struct tailnet_info *, const struct topology *,
		    size_t max, struct buf *out, struct pol_error *);

#endif
