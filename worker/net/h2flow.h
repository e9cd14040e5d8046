/*
 * DATA frames and their windows (RFC 9113 5.2, 6.1, 6.9), without nghttp2.
 *
 * One update has a few hundred octets for each of thousands of sessions: the
 * library's way of a DATA frame costs more there than all else outside the
 * kernel.  So h2.c lets the library send everything but octets of bodies, and
 * these go out here.  The library's own idea of what the client takes then
 * never shrinks, so most WINDOW_UPDATE frames are taken out of the input
 * before it sees them: it would count beyond the limit.
 */

#ifndef WORKER_NET_H2FLOW_H
#define WORKER_NET_H2FLOW_H

#include "worker/net/net_int.h"

#define H2_FRAME_HEAD	9
#define H2_WINDOW_FRAME	13		/* a WINDOW_UPDATE */
#define H2_WINDOW_MAX	0x7fffffff

/* Input is cut into what goes on unread, and WINDOW_UPDATE frames. */

struct h2_cut {
	uint8_t		 head[H2_WINDOW_FRAME];	/* begun, not told apart yet */
	uint32_t	 have;
	uint32_t	 pass;		/* octets that go on unread */
	bool		 in_block;	/* CONTINUATION is due */
};

struct h2_piece {
	const uint8_t	*p;		/* in the input or in the h2_cut */
	size_t		 n;		/* 0: nothing yet */
	bool		 is_window;	/* a whole WINDOW_UPDATE */
	uint32_t	 stream;	/* of that; 0: of the connection */
	uint32_t	 more;		/* 0 is an error of the client's */
};

/* pass: the octets before the first frame (the client's preface). */
void		 h2_cut_init(struct h2_cut *, uint32_t pass);
/*
 * The next piece of n > 0 octets of input, how many of them were used, at
 * least one.  A piece is good until the next call.
 */
size_t		 h2_cut_next(struct h2_cut *, const uint8_t *, size_t n,
		    struct h2_piece *);

/* What may be sent. */

struct h2_flow {
	int64_t		 window;	/* octets, of the connection */
	int64_t		 initial;	/* of a new stream */
	struct req_list	 ready;		/* have octets and a window, in turn */
};

void		 h2_flow_init(struct h2_flow *);
/* A new request. */
void		 h2_flow_begin(const struct h2_flow *, struct req *);
/*
 * The client takes more octets, of one request or (NULL) of all.  False:
 * beyond H2_WINDOW_MAX, which is its error; nothing was changed.
 */
bool		 h2_flow_more(struct h2_flow *, struct req *, uint32_t more);
/* SETTINGS_INITIAL_WINDOW_SIZE, for the requests of a connection, too. */
void		 h2_flow_initial(struct h2_flow *, struct req_list *,
		    uint32_t size);
/* It has octets, or its head was sent: it takes its turn if it can. */
void		 h2_flow_offer(struct h2_flow *, struct req *);
/* Nothing more of it is to be sent. */
void		 h2_flow_drop(struct h2_flow *, struct req *);
bool		 h2_flow_can_send(const struct h2_flow *);
/*
 * Writes one DATA frame without END_STREAM, of the request whose turn it is,
 * into at most max octets; how long it is, *of: whose.  0: nothing can be
 * sent, or nothing that is worth so little room.
 */
size_t		 h2_flow_frame(struct h2_flow *, uint8_t *dst, size_t max,
		    struct req **of);

#endif
