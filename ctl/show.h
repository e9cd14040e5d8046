/* Rows of the server as tables or JSON. */

#ifndef CTL_SHOW_H
#define CTL_SHOW_H

#include "common/msg.h"
#include "ctl/grammar.h"
#include "ctl/out.h"

struct show;

/*
 * For the rows that answer this command (a list, status, exposure); shown by
 * show_end().  o must outlive it.  Never NULL.
 */
struct show	*show_new(enum act, struct out *o);
void		 show_free(struct show *);
/* A row of the answer; its slices are not kept. */
void		 show_row(struct show *, const struct msg *);
/* All rows have come: appends them to o->text. */
void		 show_end(struct show *);

/* All of one node (a CTL_NODE row). */
void		 show_node(struct out *, const struct m_ctl_node *);
/* A new key: the secret alone on a line, or JSON. */
void		 show_key(struct out *, const struct m_ctl_key_made *);
/*
 * A change was made to the thing with this id (0: says nothing).  what: "user
 * alice added", for people; text: what the server says to it, may be empty.
 */
void		 show_done(struct out *, uint64_t id, const char *what,
		    struct slice text);

#endif
