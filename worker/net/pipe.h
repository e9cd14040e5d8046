/*
 * Pipes: a plain HTTP/1.1 request takes its connection over, and what is
 * behind it reads and writes octets from then on (derp.md 1.2 to 1.6).
 */

#ifndef WORKER_NET_PIPE_H
#define WORKER_NET_PIPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct conn;
struct req;

/* What is behind it.  Called from conn_input(), conn_output() and the like. */
struct pipe_ops {
	/*
	 * Octets from the client; how many were taken.  Fewer than n: the
	 * rest is kept and comes again after conn_pipe_kick().
	 */
	size_t	(*input)(void *pipe, const void *, size_t n);
	bool	(*wants_input)(const void *pipe);
	/* Writes up to max octets to dst, max >= 1,024; 0: there is nothing. */
	size_t	(*output)(void *pipe, uint8_t *dst, size_t max);
	bool	(*wants_output)(const void *pipe);
	/* Close the connection now, whatever has not gone out. */
	bool	(*is_done)(const void *pipe);
	/* The connection ended, from either side: the last call. */
	void	(*gone)(void *pipe);
	/* NULL, or: the socket took some of the output, but not all yet. */
	void	(*progress)(void *pipe);
};

/*
 * The request can take its connection over: it is HTTP/1.1 without a body,
 * the connection lives, and the worker is not shutting down.
 */
bool		 req_can_pipe(const struct req *);
/*
 * Takes it over.  The request is freed; net_ops.gone() is not called for it.
 * head goes out first, as it is: the 101, or nothing.  What the client sent
 * behind its request is input, but none of ops is called before this has
 * returned.  There is no idle time and no write timeout from now on: both are
 * the pipe's.  websocket: framing of RFC 6455, binary messages of at most
 * 16 KiB, pings answered; the pipe sees a plain stream, and a close frame
 * (1000) goes out at its end.  ops is copied.  NULL if req_can_pipe() is
 * false: the request is as before, and gone() of ops is not called.
 */
struct conn	*req_pipe(struct req *, const void *head, size_t n,
		    bool websocket, const struct pipe_ops *, void *pipe);
/*
 * wants_input, wants_output or is_done of the pipe may have changed: it is
 * asked later.  May be called from everywhere, until gone() has returned.
 */
void		 conn_pipe_kick(struct conn *);
/* It was taken over: for the socket layer, which then reads more at once. */
bool		 conn_is_pipe(const struct conn *);
/* The socket took some of what conn_output() gave, but not all of it. */
void		 conn_pipe_progress(struct conn *);
/*
 * The pipe said that it is done: not even what the socket has not taken yet
 * is waited for.  For the socket layer.
 */
bool		 conn_is_cut(const struct conn *);

#endif
