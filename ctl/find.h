/* From what somebody typed to the one user, node or key that is meant. */

#ifndef CTL_FIND_H
#define CTL_FIND_H

#include "common/msg.h"

enum find_kind { FIND_USER, FIND_NODE, FIND_KEY };

struct find;

/*
 * text is an id, "id:" and an id, a name to the octet, or what only one name
 * is but for case, or, if none is, begins with; whole: neither of the latter.
 * A number that is the id of one and the name of another names neither; "id:"
 * and a number is no name.  Never NULL.
 */
struct find	*find_new(enum find_kind, const char *text, bool whole);
void		 find_free(struct find *);
/* One of those that there are; name may be the public part of a key. */
void		 find_row(struct find *, uint64_t id, struct slice name);
/* All have been seen.  0 with *id, or -1 with a text in why. */
int		 find_result(struct find *, uint64_t *id, char *why, size_t);
/* Name of the one that was found, through vis(3). */
const char	*find_name(const struct find *);

#endif
