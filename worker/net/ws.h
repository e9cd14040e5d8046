/*
 * WebSocket framing (RFC 6455), the server's side, as a stream of octets:
 * message boundaries mean nothing (protocol.md 1.4).  No extensions.
 */

#ifndef WORKER_NET_WS_H
#define WORKER_NET_WS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"

#define WS_FRAME_MAX	65600	/* longest data frame taken (derp.md 1.5) */
#define WS_CONTROL_MAX	125
#define WS_HEAD_MAX	4	/* longest header that we write */
#define WS_ACCEPT	29	/* Sec-WebSocket-Accept with its NUL */

enum ws_op {
	WS_OP_MORE = 0,
	WS_OP_TEXT = 1,
	WS_OP_BINARY = 2,
	WS_OP_CLOSE = 8,
	WS_OP_PING = 9,
	WS_OP_PONG = 10
};

/* Close codes. */
#define WS_NORMAL	1000
#define WS_GOING_AWAY	1001
#define WS_PROTOCOL	1002
#define WS_NOT_BINARY	1003
#define WS_POLICY	1008
#define WS_TOO_LARGE	1009

/* The receiving side.  Zeroed is valid. */
struct ws {
	uint8_t		head[14];	/* of the frame being read */
	uint8_t		nhead;
	uint8_t		at;		/* place in the mask */
	bool		in_frame;	/* head is whole */
	bool		in_message;	/* a data frame without FIN came */
	uint32_t	left;		/* octets of the frame to come */
	uint8_t		control[WS_CONTROL_MAX];
	uint8_t		ncontrol;
};

enum ws_event {
	WS_E_MORE,		/* all of in was taken */
	WS_E_DATA,		/* octets of a data frame are in out */
	WS_E_PING,		/* control[0..ncontrol) is to be sent back */
	WS_E_CLOSE,		/* the client's; *code is what to answer */
	WS_E_BAD		/* close with *code */
};

/*
 * Takes octets until there is something to say; *used says how many.  Data is
 * unmasked to out: *nout octets at most, and how many there are.
 */
enum ws_event	 ws_read(struct ws *, const uint8_t *in, size_t n,
		    size_t *used, uint8_t *out, size_t *nout, uint16_t *code);
/* Writes the header of a frame of n <= 65,535 octets; returns its length. */
size_t		 ws_head(uint8_t dst[WS_HEAD_MAX], enum ws_op, size_t n);
/* Appends a whole control frame, n <= WS_CONTROL_MAX. */
void		 ws_control(struct buf *, enum ws_op, const void *, size_t n);
/* Appends a close frame. */
void		 ws_close(struct buf *, uint16_t code, const char *why);
/*
 * The Sec-WebSocket-Accept for a client's key; false if the key is not 16
 * octets of base64.
 */
bool		 ws_accept(char dst[WS_ACCEPT], struct slice key);

#endif
