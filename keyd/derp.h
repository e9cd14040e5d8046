/*
 * Logins to the relay (derp.md 3, trust.md 4): one operation that opens a
 * client's ClientInfo and seals our ServerInfo.  There is no free seal or
 * open.
 */

#ifndef KEYD_DERP_H
#define KEYD_DERP_H

#include "common/env.h"
#include "common/secret.h"

#define DERP_KEY	32
#define DERP_NONCE	24
#define DERP_TAG	16	/* a box is so much longer than its text */
#define DERP_INFO_MAX	8176	/* octets of a ClientInfo's text */
#define DERP_ANSWER_MAX	64	/* octets of our box */
#define DERP_LOGINS_MAX	(1U << 20)	/* 16 octets each, twice at most */
/*
 * Logins a second, and at once: in an hour fewer than DERP_LOGINS_MAX, so
 * that nobody can push those of the last hour out.
 */
#define DERP_LOGINS_RATE	280
#define DERP_LOGINS_BURST	4096

struct derp;

/* The numbers are those of KEY_DERP_NO. */
enum derp_refusal {
	DERP_REFUSED_NOT = 0,
	DERP_REFUSED_KEY = 1,	/* zero, or of low order */
	DERP_REFUSED_BOX = 2,	/* does not open */
	DERP_REFUSED_AGAIN = 3,	/* this login was made before */
	DERP_REFUSED_OURS = 4,	/* a box that we sealed ourselves */
	DERP_REFUSED_NONE = 5	/* there is no relay key */
};

struct derp_answer {
	uint8_t		 nonce[DERP_NONCE];
	uint8_t		 box[DERP_ANSWER_MAX];
	size_t		 nbox;
};

/*
 * Takes over the relay's private key of DERP_KEY octets; NULL if it is zero.
 * max: logins that an age of the memory for them holds (DERP_LOGINS_MAX).
 * After noise_init().
 */
struct derp	*derp_new(struct env *, struct secret *, size_t max);
/* Wipes.  NULL is fine. */
void		 derp_free(struct derp *);
const uint8_t	*derp_public(const struct derp *);
/*
 * Opens the box of n octets (DERP_TAG to DERP_TAG + DERP_INFO_MAX) of the
 * client with this key into info, n - DERP_TAG octets, and seals the answer.
 * A login that succeeded does not succeed again for an hour, if no more than
 * max succeed in an hour: beyond that the last max of them are remembered.
 * The caller sees to it (DERP_LOGINS_RATE).
 */
enum derp_refusal derp_login(struct derp *, const uint8_t client[DERP_KEY],
		    const uint8_t nonce[DERP_NONCE], const uint8_t *box,
		    size_t n, uint8_t *info, struct derp_answer *);

#endif
