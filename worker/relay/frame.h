/* DERP frames (derp.md 2): the header, the size rules, what disco is. */

#ifndef WORKER_RELAY_FRAME_H
#define WORKER_RELAY_FRAME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DERP_HEAD	5	/* type, u32 length of what follows */
#define DERP_KEY	32
#define DERP_NONCE	24
#define DERP_MAGIC	"DERP\xf0\x9f\x94\x91"
#define DERP_MAGIC_LEN	8
#define DERP_PACKET_MAX	65536
#define DERP_FRAME_MAX	(DERP_KEY + DERP_PACKET_MAX)	/* without head */
#define DERP_PING	8	/* octets that a pong repeats */
#define DERP_BOX_MAX	8192	/* of a ClientInfo: ours, derp.md 3.2 */

enum derp_type {
	DERP_SERVER_KEY = 0x01,
	DERP_CLIENT_INFO = 0x02,
	DERP_SERVER_INFO = 0x03,
	DERP_SEND = 0x04,
	DERP_RECV = 0x05,
	DERP_KEEPALIVE = 0x06,
	DERP_PREFERRED = 0x07,
	DERP_GONE = 0x08,
	DERP_FORWARD = 0x0a,
	DERP_WATCH = 0x10,
	DERP_CLOSE_PEER = 0x11,
	DERP_PINGS = 0x12,
	DERP_PONG = 0x13,
	DERP_HEALTH = 0x14
};

/* PeerGone's reasons (derp.md 4.5). */
enum derp_gone {
	DERP_DISCONNECTED = 0,
	DERP_NOT_HERE = 1
};

enum derp_rule {
	DERP_TAKE,	/* it means something */
	DERP_SKIP,	/* to be read and forgotten */
	DERP_FATAL	/* the connection is closed, without a word */
};

/* Writes the header of a frame whose payload has n octets. */
void		 derp_head(uint8_t dst[DERP_HEAD], enum derp_type, uint32_t n);
/* The payload's length by a header. */
uint32_t	 derp_len(const uint8_t head[DERP_HEAD]);
/*
 * What to do with a logged-in client's frame, by its header alone: sizes of
 * derp.md 2.2; privileged frames are fatal (7.1: nobody is a mesh peer).
 */
enum derp_rule	 derp_rule(uint8_t type, uint32_t n);
/*
 * May the first frame of a client be this: a ClientInfo whose box has at least
 * its tag and at most 8 KiB, that is 72 to 8,248 octets?
 */
bool		 derp_login_ok(uint8_t type, uint32_t n);
/* A packet looks like disco (derp.md 4.1): magic and at least 62 octets. */
bool		 derp_is_disco(const void *, size_t n);

#endif
