/*
 * The keys and signatures of an ACME account (RFC 8555 6.2), by another hand
 * than keyd's: what t_fetch and fetchdrive answer OUT_ACME_SIGN with.
 */

#ifndef REGRESS_LIB_JWSKIT_H
#define REGRESS_LIB_JWSKIT_H

#include "common/buf.h"
#include "common/str.h"

struct jws;

/* The account's key and the certificate's, from these files or new in them. */
struct jws	*jws_new(const char *account_file, const char *key_file);
void		 jws_free(struct jws *);
/*
 * Appends the body of a request of this form (OUT_ACME_SIGN) to b; names for
 * forms 2 and 5, der for 6.
 */
void		 jws_body(struct jws *, struct buf *b, unsigned int form,
		    struct slice url, struct slice nonce, struct slice account,
		    struct slice der, const char *const *names, size_t n);
/* token.thumbprint (8.1). */
void		 jws_authorization(struct jws *, const char *token, char *dst,
		    size_t n);
/* Appends the DER of the first certificate of a PEM text. */
void		 jws_leaf(const char *pem, struct buf *der);

#endif
