/*
 * keyd's core: operations, not primitives (architecture.md rule 3).  It holds
 * the Noise static key and runs the whole IK responder (protocol.md 1.5), and
 * the relay's key and signer, through which TLS keys sign.
 */

#ifndef KEYD_KEYD_H
#define KEYD_KEYD_H

#include "common/env.h"
#include "common/link.h"
#include "common/secret.h"

#include <openssl/types.h>

struct acme;
struct keyd;
struct signer;

struct keyd_conf {
	/*
	 * Unconfirmed handshakes a link.  When they are there the oldest of
	 * at least 500 ms ends for each new one (KEY_NOISE_GONE); while there
	 * is none that old new ones wait.
	 */
	uint32_t	pending_max;
	uint32_t	pending_ms;	/* how long each may stay so */
};

/*
 * Takes over static_key (32 octets) and boot_secret (32).  generation: this
 * start of keyd, the high half of ticket serials.  NULL if the static key is
 * zero or of low order.
 */
struct keyd	*keyd_new(struct env *, const struct keyd_conf *,
		    struct secret *static_key, struct secret *boot_secret,
		    uint64_t generation);
/* Wipes. */
void		 keyd_free(struct keyd *);
void		 keyd_reconf(struct keyd *, const struct keyd_conf *);
/* The public static key. */
const uint8_t	*keyd_public(const struct keyd *);

/*
 * Takes over the relay's private key (32 octets), once; all workers are told
 * its public one.  False, with the reason, if it is zero or the Noise key.
 */
bool		 keyd_relay(struct keyd *, struct secret *, const char **why);
/* The relay's public key; NULL while there is none. */
const uint8_t	*keyd_relay_public(const struct keyd *);
/*
 * Takes over the keys that sign from now on, which came with this epoch, and
 * copies n octets of the certificate of TLSKEY_SELF, which all workers are
 * told; n 0: there is none.  Those before go on signing for whom names their
 * epoch (SIG_SIGN).
 */
void		 keyd_signer(struct keyd *, struct signer *, uint32_t epoch,
		    const uint8_t *der, size_t n);
/*
 * These are to follow: they sign for whom names their epoch.  Not taken over;
 * NULL: none do any more, before they are freed.
 */
void		 keyd_signer_next(struct keyd *, struct signer *,
		    uint32_t epoch);

/*
 * Takes over ACME's part (keyd/acme.h) and the key of its certificate; NULL:
 * there is none any more.  dbd is told the thumbprint.
 */
void		 keyd_acme(struct keyd *, struct acme *, EVP_PKEY *cert);
/* The ACME link to dbd; NULL: it is down. */
void		 keyd_acme_link(struct keyd *, struct link *);
/* A message of it: 0, or -1 for a violation. */
int		 keyd_acme_msg(struct keyd *, struct link *,
		    const struct msg *);

/* A worker's KEY link: KEY_CERT and KEY_SERVER are sent at once. */
void		 keyd_up(struct keyd *, struct link *);
/*
 * A message of a worker's SIG link, answered at once: 0, or -1 for a
 * violation.
 */
int		 keyd_sig_msg(struct keyd *, struct link *,
		    const struct msg *);
/*
 * Queues the request; keyd_turn() works them off.  0, or -1 for a violation
 * (conn number in use, ...) that the caller turns into link_violation().
 */
int		 keyd_msg(struct keyd *, struct link *, const struct msg *);
void		 keyd_down(struct keyd *, struct link *);
/*
 * Does at most one operation, links in turn; true if more are waiting, so
 * that the outer loop polls (SIG) between two.
 */
bool		 keyd_turn(struct keyd *);

/*
 * What has happened since keyd_new(): handshakes answered, confirmed, refused
 * and expired, and how many are open now; the rest is 0.
 */
const struct r_counters *keyd_counters(const struct keyd *);

/*
 * Known answers of protocol.md 9.2, an X25519 and an AEAD check.  False: do
 * not serve.
 */
bool		 keyd_selftest(void);

#endif
