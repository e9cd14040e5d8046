/*
 * An OpenSSL provider whose private keys are numbers: signatures come from a
 * callback (trust.md 3).  RSA (PSS alone), ECDSA on P-256 and P-384, Ed25519.
 */

#ifndef WORKER_NET_SIGPROV_H
#define WORKER_NET_SIGPROV_H

#include <openssl/evp.h>

#include "worker/net/tls.h"

struct sigprov;

/*
 * A library context of its own with the default provider and ours, which is
 * used for nothing but such keys.  Ends the process if there is none.
 */
struct sigprov	*sigprov_new(void);
/* When everything made with it is gone. */
void		 sigprov_free(struct sigprov *);
/* Good as long as it. */
OSSL_LIB_CTX	*sigprov_lib(const struct sigprov *);
/*
 * The private half of a certificate's public key; number goes to the signer,
 * which must outlive it.  NULL if it is of no kind that we sign with: *why is
 * then static text.
 */
EVP_PKEY	*sigprov_key(const struct sigprov *, EVP_PKEY *public,
		    unsigned int number, const struct tls_signer *,
		    const char **why);

#endif
