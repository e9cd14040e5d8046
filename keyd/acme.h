/*
 * keyd's part of ACME (RFC 8555, trust.md 3): request bodies signed with the
 * account key, certificate requests and the certificates of tls-alpn-01.  What
 * they say is made here from the configuration: whoever asks chooses the form,
 * the URL and the nonce, not the names.
 */

#ifndef KEYD_ACME_H
#define KEYD_ACME_H

#include <openssl/types.h>

#include "common/msg.h"

#define ACME_THUMBPRINT	43	/* octets of the account key's */
#define ACME_BODY_MAX	60000
#define ACME_NAMES_MAX	32
#define ACME_SERIAL	65	/* octets of a number's text and a NUL */
#define ACME_CONTACTS_MAX 8

struct acme;

/* The numbers are those of OUT_ACME_SIGN. */
enum acme_form {
	ACME_ACCOUNT = 1,
	ACME_ORDER = 2,
	ACME_GET = 3,		/* POST-as-GET */
	ACME_TRY = 4,		/* of a challenge */
	ACME_FINALIZE = 5,
	ACME_REVOKE = 6
};

/*
 * For these names and contacts, which are copied; takes over references to
 * the keys: the account's and the certificate's, both P-256 and not the same.
 * NULL with the reason if they are not.
 */
struct acme	*acme_new(EVP_PKEY *account, EVP_PKEY *cert,
		    const struct r_acme *, char *why, size_t whylen);
/* NULL is fine. */
void		 acme_free(struct acme *);
/* Of the account's public key (RFC 7638), with a NUL. */
const char	*acme_thumbprint(const struct acme *);
/*
 * Appends the JWS (RFC 8555 6.2) that is asked for to body: 0, or -1 with the
 * reason.  The octets of der are what form ACME_REVOKE is about.
 */
int		 acme_sign(const struct acme *, const struct m_acme_sign *,
		    struct buf *body, char *why, size_t whylen);
/*
 * A key that is drawn now, the caller's, and the DER of its certificate for a
 * tls-alpn-01 challenge of this name (RFC 8737 3).  NULL with the reason if
 * the name is none of the configuration's.
 */
EVP_PKEY	*acme_alpn(const struct acme *, struct slice name,
		    struct slice token, int64_t now, struct buf *der,
		    char *why, size_t whylen);
/*
 * The first certificate of a PEM chain is of our key and, with all_names, for
 * all of our names (one that is in force stays so without it): then from when
 * and until when it is valid (Unix seconds), and its DER appended to leaf;
 * else false and why.
 */
bool		 acme_chain(const struct acme *, struct slice pem,
		    bool all_names, int64_t *from, int64_t *until,
		    struct buf *leaf, char *why, size_t whylen);
/* The number of a certificate in DER, in hexadecimal; "" if it is too long. */
void		 acme_serial(struct slice der, char dst[ACME_SERIAL]);
/* Makes a P-256 key; never NULL. */
EVP_PKEY	*acme_key_make(void);

#endif
