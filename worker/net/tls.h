/*
 * TLS 1.3 for a server that has certificates but no private key (trust.md 3):
 * the certificates and the handshake.  Records after it are tlsrec.h's.
 */

#ifndef WORKER_NET_TLS_H
#define WORKER_NET_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/buf.h"

#define TLS_SIG_MAX	1024
#define TLS_DERP_KEY	32
#define TLS_HOST	254	/* the longest, with NUL */

struct tls;		/* a set of certificates; counts references */
struct tls_hs;		/* one handshake */

/*
 * Whoever has the keys.  A handshake that waits for its signature stands still
 * where it is, on a stack of its own, and all else goes on.
 */
struct tls_signer {
	/*
	 * Signs octets (130 or 146 of them, RFC 8446 4.4.3: not a digest)
	 * with the key of this number by this SignatureScheme.  Returns the
	 * length of what it wrote to sig, -1, or 0: tls_hs_signed() follows.
	 */
	int	(*sign)(struct tls_hs *, unsigned int key, unsigned int scheme,
		    const uint8_t *octets, size_t n, uint8_t *sig, size_t max,
		    void *arg);
	/*
	 * Where handshakes can't stand still (OpenBSD has no such stacks):
	 * waits until tls_hs_signed() was called, and sees to it that it is.
	 * This one and the next may be NULL if sign never says 0.
	 */
	void	(*wait)(struct tls_hs *, void *arg);
	/* Nobody wants that signature any more. */
	void	(*forget)(struct tls_hs *, void *arg);
	void	*arg;
};

/* No certificates yet; the signer is copied.  Never NULL. */
struct tls	*tls_new(const struct tls_signer *);
/* Lets go of it; NULL is fine. */
void		 tls_free(struct tls *);
/* For the net that it was given to. */
struct tls	*tls_ref(struct tls *);
/*
 * A certificate and its chain, leaf first, in PEM; number is its key's (and
 * takes the place of one of the same number).  0, or -1 and why, which names
 * the file: no certificate, a broken one, a key of a kind that we don't sign
 * with (RSA of 2,048 to 4,096 bits, P-256, P-384 and Ed25519 we do), or more
 * than 32.  The first one is shown to whoever names no host, or none of ours.
 */
int		 tls_add(struct tls *, unsigned int number, const char *pem,
		    size_t n, const char *name, char *why, size_t len);
/* The same of a single one in DER (KEY_CERT). */
int		 tls_add_der(struct tls *, unsigned int number, const void *der,
		    size_t n, char *why, size_t len);
/*
 * What an administrator should know of its dates at a wall time (Unix
 * seconds): that it has expired, does so within 2 days, or is not valid yet.
 * False: nothing, or there is none of this number.
 */
bool		 tls_is_aged(const struct tls *, unsigned int number,
		    int64_t now, char *text, size_t len);
/* Takes the certificate of this number out again; none is fine. */
void		 tls_del(struct tls *, unsigned int number);
/*
 * A challenge's certificate (RFC 8737): shown to who names this host and
 * offers acme-tls/1 alone, and to nobody else; its connection ends with the
 * handshake.  In place of one for the same name; at most 64.  0, or -1 and
 * why.
 */
int		 tls_add_alpn(struct tls *, const char *name,
		    unsigned int number, const void *der, size_t n, char *why,
		    size_t len);
void		 tls_del_alpn(struct tls *, const char *name);
bool		 tls_is_empty(const struct tls *);
/*
 * From now on whoever names this host is shown the relay's meta certificate
 * (derp.md 1.4) at the end of the chain; if host is a literal address, those
 * who name none.  In place of the one before.  seed makes its throw-away key;
 * now is Unix time.  At most TLS_HOST - 1 octets of host are copied.
 */
void		 tls_meta(struct tls *, const uint8_t derp_key[TLS_DERP_KEY],
		    const char *host, const uint8_t seed[32], int64_t now);
/* Nobody is, any more. */
void		 tls_meta_none(struct tls *);

/* What a handshake led to. */
enum tls_event {
	TLS_E_MORE,		/* the client's turn */
	TLS_E_WAIT,		/* the signer's: resume is called */
	TLS_E_DONE,		/* secrets are there */
	TLS_E_FAIL		/* send what is in out (an alert), then close */
};

/* The application traffic secrets (RFC 8446 7.1). */
struct tls_secrets {
	uint16_t	suite;		/* 0x1301, 0x1302 or 0x1303 */
	uint8_t		n;		/* octets of each: 32 or 48 */
	uint8_t		client[48];
	uint8_t		server[48];
};

/*
 * It keeps a reference to the certificates.  NULL: there are none.
 * resume(arg) is called once after each TLS_E_WAIT.
 */
struct tls_hs	*tls_hs_new(struct tls *, void (*resume)(void *), void *arg);
/* Also while it waits: the signer is told to forget it. */
void		 tls_hs_free(struct tls_hs *);
/*
 * One whole record of the client's; what is to be sent is appended to out.
 * TLS_E_DONE fills in secrets, which the caller wipes.  Not after TLS_E_WAIT.
 */
enum tls_event	 tls_hs_record(struct tls_hs *, const uint8_t *, size_t n,
		    struct buf *out, struct tls_secrets *);
/* After TLS_E_WAIT and resume: how it goes on with the same record. */
enum tls_event	 tls_hs_resume(struct tls_hs *, struct buf *out,
		    struct tls_secrets *);
/* For the signer that said 0: the signature, copied; n is 0 if it has none. */
void		 tls_hs_signed(struct tls_hs *, const void *sig, size_t n);
/* The server's whole flight was sent: the client's Finished is due. */
bool		 tls_hs_answered(const struct tls_hs *);
/* HTTP/2 was agreed on (ALPN, RFC 7301): after TLS_E_DONE. */
bool		 tls_hs_is_h2(const struct tls_hs *);
/* Why it failed, for the debug log; static text or the handshake's. */
const char	*tls_hs_why(const struct tls_hs *);

#endif
