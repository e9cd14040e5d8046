/*
 * The responder of Noise_IK_25519_ChaChaPoly_BLAKE2s (protocol.md 1.5), in two
 * steps: accept an initiation, then confirm the client's first record, which
 * alone proves that the holder of the machine key is there now.
 */

#ifndef KEYD_RESPONDER_H
#define KEYD_RESPONDER_H

#include "common/noise.h"
#include "common/secret.h"

struct responder;

/* What an accepted initiation yields; its owner wipes it. */
struct accepted {
	uint16_t	 capver;		/* the client's, not verified */
	uint8_t		 machine[NOISE_KEY];	/* claimed until confirmed */
	uint8_t		 response[NOISE_RESP];
	uint8_t		 c2s[NOISE_KEY];
	uint8_t		 s2c[NOISE_KEY];
};

/* The numbers are those of KEY_NOISE_NO. */
enum refusal {
	REFUSED_NOT = 0,
	REFUSED_MALFORMED = 1,
	REFUSED_CRYPTO = 2,	/* forged, or a zero or low-order key */
	REFUSED_UNKNOWN = 3	/* expired, dropped or never seen */
};

/*
 * Takes over the static private key of NOISE_KEY octets, which is wiped when
 * it is freed.  After noise_init().  NULL if the key is zero or its public key
 * of low order.
 */
struct responder *responder_new(struct secret *);
/* Wipes.  NULL is fine. */
void		 responder_free(struct responder *);
const uint8_t	*responder_public(const struct responder *);
/*
 * random: fresh, for the ephemeral key; it is wiped.  On refusal a holds
 * zeroes.
 */
enum refusal	 responder_accept(struct responder *,
		    const uint8_t init[NOISE_INIT], uint8_t random[NOISE_KEY],
		    struct accepted *a);
/*
 * Opens the client's first record of n octets, header included, into plain.
 * The plaintext's length, or -1 if it is forged or no whole record.
 */
int		 responder_confirm(struct responder *,
		    const uint8_t c2s[NOISE_KEY], const uint8_t *record,
		    size_t n, uint8_t plain[NOISE_PLAIN]);

#endif
