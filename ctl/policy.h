/* Policies and routes as they are read and shown. */

#ifndef CTL_POLICY_H
#define CTL_POLICY_H

#include "common/msg.h"
#include "ctl/client.h"
#include "ctl/grammar.h"
#include "ctl/out.h"

/*
 * The whole file, or standard input for "-", of at most 1 MB; -1 with a text
 * in why.
 */
int	policy_file_read(struct buf *, const char *file, char *why,
	    size_t whylen);
/* Sends the text, which the next request is about. */
void	policy_send(struct client *, struct slice text);

/*
 * A text that was refused: "FILE:line:column: text" and a line for each
 * finding to o->err, and with -j an object.
 */
void	show_policy_bad(struct out *, const char *file,
	    const struct m_ctl_policy_bad *);
/* what: "version 7 is in force", for people; version 0: says nothing. */
void	show_policy_ok(struct out *, uint64_t version, const char *what);

struct show_policy;

/* Rows of get, history, why and diff, and of routes list (node 0: all). */
struct show_policy *show_policy_new(enum act, uint64_t node, struct out *);
void	show_policy_free(struct show_policy *);
void	show_policy_row(struct show_policy *, const struct msg *);
void	show_policy_end(struct show_policy *);

#endif
