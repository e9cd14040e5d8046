/*
 * A policy compiler for the tests of its client, with a language of its own
 * and every bad habit.  A text has one word or command a line:
 *
 *	allow, deny			what all nodes may do
 *	own TAG USER			the user of that name may give the tag
 *	approve PREFIX|exit TAG		routes of nodes with the tag
 *	bad LINE COLUMN			refused, "no such thing"
 *	failing				its tests fail
 *	slow				its tests do not end
 *	ask				wants the nodes first
 *	die, hang, garbage, short, flood, greedy
 *					what a broken compiler does
 *
 * why answers "SRC DST PORT", diff "was TEXT now TEXT".
 */

#ifndef REGRESS_LIB_FAKEPOLICYC_H
#define REGRESS_LIB_FAKEPOLICYC_H

#include "common/link.h"

struct fakepolicyc;

/* Never NULL. */
struct fakepolicyc *fakepolicyc_new(void);
void		 fakepolicyc_free(struct fakepolicyc *);
/* A message of its link; false if it dies now. */
bool		 fakepolicyc_msg(struct fakepolicyc *, struct link *,
		    const struct msg *);
/* What it was told so far. */
unsigned int	 fakepolicyc_users(const struct fakepolicyc *);
unsigned int	 fakepolicyc_nodes(const struct fakepolicyc *);
unsigned int	 fakepolicyc_domains(const struct fakepolicyc *);

#endif
