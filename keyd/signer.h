/*
 * The private keys of TLS certificates.  They sign the CertificateVerify of a
 * TLS 1.3 server and nothing else (trust.md 3).
 */

#ifndef KEYD_SIGNER_H
#define KEYD_SIGNER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/types.h>

#include "common/ids.h"

#define SIGNER_PEM_MAX	65536		/* octets of a file */
#define SIGNER_SIG_MAX	1024

struct signer;

/* The numbers are those of SIG_NO. */
enum signer_refusal {
	SIGNER_REFUSED_NOT = 0,
	SIGNER_REFUSED_KEY = 1,		/* no such key */
	SIGNER_REFUSED_SCHEME = 2,	/* not one of this key */
	SIGNER_REFUSED_FORM = 3		/* not what a server signs */
};

/* Without keys.  Never NULL. */
struct signer	*signer_new(void);
/* Wipes.  NULL is fine. */
void		 signer_free(struct signer *);
/*
 * Adds a key from n octets of PEM (RSA of 2,048 to 4,096 bits, ECDSA P-256 or
 * P-384, Ed25519; without a pass phrase) under a number that is not taken; the
 * caller wipes the text.  False with the reason in why.
 */
bool		 signer_add(struct signer *, unsigned int number,
		    const char *pem, size_t n, char *why, size_t whylen);
/*
 * Makes key TLSKEY_SELF, P-256, and a certificate of it that it signed itself:
 * for a host name or a literal address, from a day before now (Unix seconds)
 * on for a year.  Its DER goes to der, at most max octets; the length, or 0.
 */
size_t		 signer_self(struct signer *, const char *host, int64_t now,
		    uint8_t *der, size_t max);
/* Gives key TLSKEY_SELF of one to another as well. */
void		 signer_share_self(const struct signer *from,
		    struct signer *to);
/*
 * Puts a key in the place of what has this number from TLSKEY_ALPN to
 * TLSKEY_ACME, and takes over its reference; NULL takes it away.
 */
void		 signer_set(struct signer *, unsigned int number, EVP_PKEY *);
bool		 signer_has(const struct signer *, unsigned int number);
/* Gives what another has from TLSKEY_ALPN to TLSKEY_ACME. */
void		 signer_share_acme(const struct signer *from,
		    struct signer *to);
/* The first certificate of a PEM text is this key's: false with the reason. */
bool		 signer_fits(const struct signer *, unsigned int number,
		    const char *pem, size_t n, char *why, size_t whylen);
/*
 * Signs n octets of the exact form of RFC 8446 4.4.3 with the key of this
 * number; *nsig: room, then the length.
 */
enum signer_refusal signer_sign(struct signer *, unsigned int number,
		    unsigned int scheme, const uint8_t *octets, size_t n,
		    uint8_t *sig, size_t *nsig);

#endif
