/* Inside worker/net: certificates (tlscert.c) and handshakes (tls.c). */

#ifndef WORKER_NET_TLS_INT_H
#define WORKER_NET_TLS_INT_H

#include <openssl/ssl.h>

#include "worker/net/sigprov.h"

#define TLS_CERTS	32
#define TLS_ALPNS	64

struct cert {
	unsigned int	 number;
	SSL_CTX		*ctx;
	X509		*leaf;
	STACK_OF(X509)	*chain;		/* without leaf and meta certificate */
};

/* Of a challenge. */
struct alpn {
	char		*name;
	struct cert	 cert;
};

struct tls {
	unsigned int	 refs;
	struct tls_signer signer;	/* the caller's */
	/* The provider's, over it: sign and arg alone; hs is NULL: running. */
	struct tls_signer asks;
	struct tls_hs	*running;	/* the library is at work for it */
	struct sigprov	*sigprov;
	struct cert	 certs[TLS_CERTS];
	unsigned int	 ncerts;
	struct alpn	 alpns[TLS_ALPNS];
	unsigned int	 nalpns;
	X509		*meta;		/* NULL: none */
	char		 meta_host[TLS_HOST];
};

/*
 * tls.c: what all contexts share; NULL if the library won't.  acme: that of a
 * challenge.
 */
SSL_CTX		*tls_ctx_new(const struct tls *, bool acme);
/* tlscert.c: the certificate for a host that a client named, or the first. */
const struct cert *tls_cert_for(const struct tls *, struct slice host);
/* The certificate of the challenge for this host; NULL: there is none. */
const struct cert *tls_alpn_for(const struct tls *, struct slice host);
/* The meta certificate if it is for who names this host; NULL. */
X509		*tls_meta_for(const struct tls *, struct slice host);
void		 tls_certs_free(struct tls *);

#endif
