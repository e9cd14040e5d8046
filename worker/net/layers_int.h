/* Inside worker/net: the protocols that a connection speaks in turn. */

#ifndef WORKER_NET_LAYERS_INT_H
#define WORKER_NET_LAYERS_INT_H

#include "worker/net/net_int.h"

/* req.c */

struct req	*req_new(struct conn *, int32_t stream);
void		 req_free(struct req *);
void		 req_event(struct req *, uint8_t event);
/* Keeps a header; the name in lower case.  Pseudo-headers come so, too. */
void		 req_field(struct req *, const void *name, size_t nname,
		    const void *value, size_t nvalue);
/* Keeps a piece of the body. */
void		 req_body_put(struct req *, const void *, size_t);
/* Finds method, path and query.  False if there is no usable path. */
bool		 req_understand(struct req *);
/* As req_header(), but the last one of this name. */
struct slice	 req_header_last(const struct req *, const char *name);
/* Copies n <= queue.octets to dst and lets go of the frames. */
void		 req_take(struct req *, uint8_t *dst, size_t n);
void		 req_drop_queue(struct req *);
/* The transport has let go of it; gone() is called if it is due. */
void		 req_detach(struct req *);
/* A short text as the whole answer, for requests that control won't see. */
void		 req_refuse(struct req *, unsigned int status,
		    const char *text);
/* Header fields of a request, at most: more are answered 431. */
#define REQ_FIELDS_MAX	100
/* The Date of an answer (RFC 9110 6.6.1); false: the clock has none. */
#define REQ_DATE	64
bool		 req_date(const struct req *, char text[REQ_DATE]);
/* Calls what is due: ask, gone, drained.  Not from within such a call. */
void		 net_settle(struct net *);

/* http1.c */

void		 http1_new(struct conn *);
void		 http1_free(struct conn *);
/* Takes octets up to the end of a request; how many. */
size_t		 http1_input(struct conn *, const uint8_t *, size_t);
/* Writes what the request being answered has queued. */
size_t		 http1_output(struct conn *, uint8_t *dst, size_t max);
/* A request is being answered or is with control. */
bool		 http1_is_busy(const struct conn *);
bool		 http1_wants_output(const struct conn *);
/*
 * To be closed after the answer that is under way; false if there is none.
 */
bool		 http1_close(struct conn *);
void		 http1_tick(struct conn *);
/* The head of an answer; whole: its length is that of the queue. */
void		 http1_respond(struct req *, const struct req_head *,
		    bool whole, size_t length);
/* Minor version of the request being read. */
unsigned int	 http1_minor(const struct conn *);

/* pipe.c */

/* Ends it: gone() is called. */
void		 pipe_free(struct conn *);
/* Octets from the client; how many were taken. */
size_t		 pipe_input(struct conn *, const uint8_t *, size_t);
bool		 pipe_wants_input(const struct conn *);
/* Deals with what waited; finishes the connection if the pipe is done. */
void		 pipe_go_on(struct conn *);
size_t		 pipe_output(struct conn *, uint8_t *dst, size_t max);
bool		 pipe_wants_output(const struct conn *);

/* ts2021.c */

/* A request for /ts2021: answers it, or conn leaves CONN_HTTP. */
void		 ts2021_upgrade(struct conn *, struct req *, bool may_upgrade);
/* Asks keyd for all that wait. */
void		 ts2021_ask(struct net *);
void		 ts2021_record(struct conn *, const uint8_t *, size_t);
void		 ts2021_ready(struct conn *, const struct m_key_noise_ready *);
void		 ts2021_ok(struct conn *, const struct m_key_noise_ok *);
void		 ts2021_no(struct conn *, uint8_t why);
/* keyd has forgotten this handshake: its client said nothing. */
void		 ts2021_gone(struct net *, uint32_t number);
/* The connection ends before it was confirmed: keyd may forget it. */
void		 ts2021_drop(struct conn *);
/* keyd is away. */
void		 ts2021_key_lost(struct conn *);

/* room.c: memory for what is asked */

void		 room_init(struct net *);
void		 room_end(struct net *);
/* A new request, and n more octets of one. */
void		 room_begin(struct req *);
void		 room_take(struct req *, size_t n);
/* It is complete: it will be answered, and needs nothing more for that. */
void		 room_whole(struct req *);
/* What it asked is kept no more. */
void		 room_give(struct req *);
/*
 * After room_take(): false if nothing more is to be read from the connection;
 * it goes on by itself when there is room.
 */
bool		 room_check(struct conn *);
/*
 * n more octets are more than one connection may have in requests of which
 * none is complete, so that waiting would not help.
 */
bool		 room_is_spent(const struct conn *, size_t n);
/* The connection ends. */
void		 room_leave(struct conn *);

/* h2.c */

struct h2_env	*h2_env_new(void);
void		 h2_env_free(struct h2_env *);
/* Begins with the octets of first (which it empties), then SETTINGS. */
void		 h2_new(struct conn *, struct buf *first);
void		 h2_free(struct conn *);
/* 0, or -1: the session is beyond help. */
int		 h2_input(struct conn *, const uint8_t *, size_t);
/* Writes at most max octets of plaintext; how many, or -1 as above. */
long		 h2_output(struct conn *, uint8_t *dst, size_t max);
bool		 h2_wants_output(const struct conn *);
bool		 h2_wants_input(const struct conn *);
/* It said goodbye and nothing is left to do. */
bool		 h2_is_over(const struct conn *);
/* The session may be used: its idle time begins. */
void		 h2_start(struct conn *);
void		 h2_shutdown(struct conn *);
void		 h2_tick(struct conn *);
void		 h2_respond(struct req *, const struct req_head *, bool whole,
		    size_t length);
/* There is something new in the queue, or its end. */
void		 h2_resume(struct req *);
void		 h2_abort(struct req *);
/* Takes what was left over when room_check() stopped it; 0 or -1 as above. */
int		 h2_go_on(struct conn *);
/* Resets the streams whose requests are not complete. */
void		 h2_give_up(struct conn *);
/* The last request was freed: the idle time begins. */
void		 h2_last_req(struct conn *);

#endif
