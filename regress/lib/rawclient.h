/*
 * A client of a test server made by hand: records sealed and opened with
 * libsodium and a nonce of our own making, HTTP/2 frames written octet by
 * octet.  It shares nothing with what the server uses but the handshake,
 * which has vectors (protocol.md 9.2).
 */

#ifndef REGRESS_LIB_RAWCLIENT_H
#define REGRESS_LIB_RAWCLIENT_H

#include "regress/lib/noise_client.h"
#include "regress/lib/server.h"

#define H2_DATA		0
#define H2_HEADERS	1
#define H2_RST_STREAM	3
#define H2_SETTINGS	4
#define H2_PUSH_PROMISE	5
#define H2_PING		6
#define H2_GOAWAY	7
#define H2_WINDOW	8
#define H2_CONTINUATION	9

#define H2_F_END	1	/* END_STREAM, ACK */
#define H2_F_ACK	1
#define H2_F_HEADERS	4	/* END_HEADERS */

struct rawc {
	struct server		*s;
	struct tcp		*tcp;
	struct noise		*noise;
	struct noise_client	 nc;
	uint8_t			 init[NOISE_INIT];
	size_t			 at;		/* of tcp->from, dealt with */
	bool			 upgraded;	/* the 101 has come */
	bool			 open;		/* and the response */
	uint64_t		 tx, rx;	/* record counters */
	unsigned int		 records;
	size_t			 largest;	/* record on the wire */
	struct buf		 plain;		/* all that came, in clear */
	size_t			 frame_at;	/* next frame in it; 0: early */
	char			 why[80];	/* a fault of the server */
};

struct h2_frame {
	unsigned int		 type;
	unsigned int		 flags;
	uint32_t		 stream;
	const uint8_t		*p;
	size_t			 n;
};

/* Connects and makes an initiation, which may be changed.  Never NULL. */
struct rawc	*rawc_new(struct server *, const uint8_t machine[32],
		    uint16_t capver);
void		 rawc_free(struct rawc *);
/* Sends the upgrade; more: further header lines, each with CRLF. */
void		 rawc_hello(struct rawc *, const char *more);
/* Time passes; what came is opened. */
void		 rawc_run(struct rawc *, uint64_t us);
/* All of it: a session with preface and an empty SETTINGS; false if not. */
bool		 rawc_open(struct rawc *);
/* n <= 4077 octets as one record. */
void		 rawc_record(struct rawc *, const void *, size_t);
void		 rawc_preface(struct rawc *);
void		 rawc_frame(struct rawc *, unsigned int type,
		    unsigned int flags, uint32_t stream, const void *, size_t);
/* A field without index and Huffman. */
void		 rawc_field(struct buf *, const char *name, const char *value);
/*
 * HEADERS of a request, and DATA with END_STREAM unless body is NULL (then
 * HEADERS end the stream).
 */
void		 rawc_request(struct rawc *, uint32_t stream,
		    const char *method, const char *path,
		    const char *authority, const char *body);
/* The next frame that came; false if there is none yet. */
bool		 rawc_next(struct rawc *, struct h2_frame *);
/* Begins again with the first frame. */
void		 rawc_rewind(struct rawc *);
/*
 * Appends the DATA of a stream, from the first frame on; true if END_STREAM
 * was there.
 */
bool		 rawc_data(struct rawc *, uint32_t stream, struct buf *);
/* Octets of the early payload with its 9 of head; 0 while it is not there. */
size_t		 rawc_early(const struct rawc *);

#endif
