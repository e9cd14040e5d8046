/*
 * The transport of a stock client for tests and the simulator: POST /ts2021
 * or its WebSocket form, Noise, HTTP/2; or the latter alone.  Octets in and
 * out, no sockets.
 */

#ifndef REGRESS_LIB_H2_CLIENT_H
#define REGRESS_LIB_H2_CLIENT_H

#include "common/buf.h"
#include "common/env.h"
#include "common/noise.h"

struct h2_client;

enum h2_client_state {
	H2C_HTTP,		/* waits for the 101 */
	H2C_RESPONSE,		/* waits for the Noise response */
	H2C_OPEN,		/* requests may be sent from here on */
	H2C_DEAD		/* see h2_client_why() */
};

struct h2_client_conf {
	uint8_t		 server[NOISE_KEY];	/* public key */
	uint8_t		 machine[NOISE_KEY];	/* private key */
	uint16_t	 capver;
	bool		 websocket;
	bool		 bare;			/* HTTP/2 and nothing before */
	/*
	 * 0: what a Go client has, 4 MB a stream and 2^30, refunded at once.
	 * Else the window of each stream, given back by h2_client_read() only.
	 */
	uint32_t	 window;
	/* All may be NULL. */
	void		(*on_head)(struct h2_client *, int32_t stream,
			    unsigned int status, void *arg);
	void		(*on_header)(struct h2_client *, int32_t stream,
			    struct slice name, struct slice value, void *arg);
	void		(*on_data)(struct h2_client *, int32_t stream,
			    const void *, size_t, void *arg);
	/* The stream is over; error 0: by END_STREAM. */
	void		(*on_end)(struct h2_client *, int32_t stream,
			    uint32_t error, void *arg);
	void		*arg;
};

/* noise_init() comes first.  env: for random keys.  conf is copied. */
struct h2_client *h2_client_new(struct env *, const struct h2_client_conf *);
void		 h2_client_free(struct h2_client *);
/* Octets from the server. */
void		 h2_client_input(struct h2_client *, const void *, size_t);
/* Writes up to max octets for the server; 0: nothing to say. */
size_t		 h2_client_output(struct h2_client *, uint8_t *dst, size_t max);

enum h2_client_state h2_client_state(const struct h2_client *);
/* Why it is dead: our own word, the server's error text or HTTP body. */
const char	*h2_client_why(const struct h2_client *);
/* Status of the answer to the upgrade; 0: none yet. */
unsigned int	 h2_client_status(const struct h2_client *);
/* The early payload's JSON; empty until it has come. */
struct slice	 h2_client_early(const struct h2_client *);
/* The server said GOAWAY: how often, and the last stream it will serve. */
unsigned int	 h2_client_goaways(const struct h2_client *);
int32_t		 h2_client_last_stream(const struct h2_client *);

/*
 * Sends a request and returns its stream.  fields: names and values in turn,
 * then NULL; may be NULL.  The body is copied.
 */
int32_t		 h2_client_request(struct h2_client *, const char *method,
		    const char *path, const char *const *fields,
		    const void *body, size_t n);
/* RST_STREAM CANCEL, as Go sends it. */
void		 h2_client_cancel(struct h2_client *, int32_t stream);
/* Gives back n octets of window. */
void		 h2_client_read(struct h2_client *, int32_t stream, size_t n);

/*
 * For bad clients: n octets of plaintext as one record (bare: as they are), or
 * raw octets.
 */
void		 h2_client_record(struct h2_client *, const void *, size_t);
void		 h2_client_raw(struct h2_client *, const void *, size_t);
/* Writes what HTTP/2 has to say into records now (before the two above). */
void		 h2_client_flush(struct h2_client *);

#endif
