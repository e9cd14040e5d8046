/*
 * Records of TLS 1.3 after the handshake (RFC 8446 4.6.3, 5, 6, 7.3), the
 * server's side, without an SSL object: a connection costs some 400 octets.
 * Knows nothing of connections.
 */

#ifndef WORKER_NET_TLSREC_H
#define WORKER_NET_TLSREC_H

#include "worker/net/tls.h"

#define TLSREC_HEAD	5
#define TLSREC_TAIL	17			/* content type and tag */
#define TLSREC_COST	(TLSREC_HEAD + TLSREC_TAIL)
#define TLSREC_PLAIN	16384			/* most in a record */
#define TLSREC_MAX	(TLSREC_HEAD + TLSREC_PLAIN + 256)

enum tlsrec_type {
	TLSREC_CHANGE = 20,
	TLSREC_ALERT = 21,
	TLSREC_HANDSHAKE = 22,
	TLSREC_DATA = 23
};

enum tlsrec_alert {
	TLSREC_A_CLOSE = 0,
	TLSREC_A_UNEXPECTED = 10,
	TLSREC_A_BAD_MAC = 20,
	TLSREC_A_OVERFLOW = 22,
	TLSREC_A_ILLEGAL = 47,
	TLSREC_A_DECODE = 50,
	TLSREC_A_INTERNAL = 80,
	TLSREC_A_CANCELED = 90
};

struct tlsrec_env;	/* ciphers: one for all connections of a worker */
struct tlsrec;		/* the keys of one connection */

/* Ends the process if the library lacks the ciphers. */
struct tlsrec_env *tlsrec_env_new(void);
void		 tlsrec_env_free(struct tlsrec_env *);

/* Both directions at their first record.  Never NULL. */
struct tlsrec	*tlsrec_new(struct tlsrec_env *, const struct tls_secrets *);
/* Wipes the keys, wherever they are. */
void		 tlsrec_free(struct tlsrec_env *, struct tlsrec *);

/*
 * The whole length of the record that begins so, 0 if there is no such record
 * (alert says why).  Any outer type passes.
 */
size_t		 tlsrec_len(const uint8_t head[TLSREC_HEAD],
		    enum tlsrec_alert *);

enum tlsrec_event {
	TLSREC_E_NOTHING,	/* dealt with */
	TLSREC_E_DATA,		/* *plain with *len octets, *len > 0 */
	TLSREC_E_CLOSE,		/* close_notify */
	TLSREC_E_ENDED,		/* a fatal alert of the client's */
	TLSREC_E_BAD		/* to be ended with tlsrec_why()'s alert */
};

/*
 * Opens a whole record of n octets; what is to be sent in return (KeyUpdate)
 * is appended to out.  *plain lies in the env: good until the next call.  More
 * than 32 records in a row without data (empty ones, KeyUpdate, warnings) are
 * BAD.
 */
enum tlsrec_event tlsrec_open(struct tlsrec_env *, struct tlsrec *,
		    const uint8_t *, size_t n, const uint8_t **plain,
		    size_t *len, struct buf *out);
enum tlsrec_alert tlsrec_why(const struct tlsrec *);
/* Wipes n octets of *plain, for what should not stay. */
void		 tlsrec_wipe(struct tlsrec_env *, size_t n);
/* KeyUpdate messages so far. */
uint32_t	 tlsrec_updates(const struct tlsrec *);

/*
 * Makes a record in place: n <= TLSREC_PLAIN octets of data lie at dst +
 * TLSREC_HEAD, and there is room for n + TLSREC_COST at dst.  Returns that
 * length.
 */
size_t		 tlsrec_seal(struct tlsrec_env *, struct tlsrec *,
		    enum tlsrec_type, uint8_t *dst, size_t n);
/* Appends a record with an alert. */
void		 tlsrec_alert(struct tlsrec_env *, struct tlsrec *,
		    enum tlsrec_alert, struct buf *out);
/* The same before there are keys. */
void		 tlsrec_alert_plain(enum tlsrec_alert, struct buf *out);
/*
 * Appends a KeyUpdate and goes on with new keys; ask: the client is to do so,
 * too.
 */
void		 tlsrec_update(struct tlsrec_env *, struct tlsrec *, bool ask,
		    struct buf *out);
/* Enough was sent or received with these keys: time for tlsrec_update(ask). */
bool		 tlsrec_is_worn(const struct tlsrec *);
/* Places the sequence numbers there: for tests. */
void		 tlsrec_wear(struct tlsrec *, uint64_t client, uint64_t server);

#endif
