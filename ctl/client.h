/* The control socket: one question at a time, waiting for the answer. */

#ifndef CTL_CLIENT_H
#define CTL_CLIENT_H

#include "common/msg.h"

struct client;

/*
 * Connects and exchanges hellos.  NULL with a text for the administrator in
 * why.
 */
struct client	*client_open(const char *path, char *why, size_t whylen);
/* NULL is fine. */
void		 client_close(struct client *);
/* Sends a notify: it leaves with the next request. */
void		 client_send(struct client *, const struct msg *);
/*
 * Sends a request and calls fn for each row and for the last reply, CTL_NO
 * included.  What they point to lives until fn returns.  0 when the reply has
 * come, -1 with a text in why if it never will, or not in time: 10 s for the
 * state of the server, 120 s for policies and a reload, else 30 s.
 */
int		 client_call(struct client *, const struct msg *,
		    void (*fn)(const struct msg *, void *), void *arg,
		    char *why, size_t whylen);

#endif
