/*
 * From a command to the message that does it: values are checked, names have
 * been looked up.
 */

#ifndef CTL_ASK_H
#define CTL_ASK_H

#include "common/msg.h"
#include "ctl/grammar.h"

/* What the names in a command mean; 0: not named. */
struct target {
	uint64_t	 user;
	uint64_t	 node;
	uint64_t	 key;
};

/*
 * Fills in m, whose list (if any) is kept in list.  0, or -1 with a text in
 * why.  Only for commands that need the server.
 */
int	ask_build(struct msg *m, struct buf *list, const struct command *,
	    const struct target *, int64_t now, char *why, size_t whylen);
/* The same checks of values, before anything is looked up. */
int	ask_check(const struct command *, int64_t now, char *why,
	    size_t whylen);
/* True if it cannot be taken back: ask first. */
bool	ask_destroys(const struct command *, int64_t now);
/* Of these, true if something is gone for good: not done unasked. */
bool	ask_deletes(const struct command *);

#endif
