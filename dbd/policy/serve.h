/* policyc's side of the POL link: one question, one answer. */

#ifndef DBD_POLICY_SERVE_H
#define DBD_POLICY_SERVE_H

#include "common/link.h"

struct serve;

struct serve	*serve_new(void);
/* NULL is fine. */
void		 serve_free(struct serve *);
/*
 * Takes a message of dbd; POL_GO is answered before it returns, with all
 * memory of the compile given back.  A second one, or a question out of
 * order, takes the link down.
 */
void		 serve_msg(struct serve *, struct link *, const struct msg *);

#endif
