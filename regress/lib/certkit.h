/* Real keys and certificates, and a signer that has them: for tests of TLS. */

#ifndef REGRESS_LIB_CERTKIT_H
#define REGRESS_LIB_CERTKIT_H

#include "worker/net/tls.h"

enum ck_kind {
	CK_P256,
	CK_P384,
	CK_ED25519,
	CK_RSA2048,
	CK_RSA4096,
	CK_RSA1024,		/* refused: too short */
	CK_P521,		/* refused */
	CK_KINDS
};

struct certkit;

struct certkit	*certkit_new(void);
void		 certkit_free(struct certkit *);
/*
 * A self-signed certificate with a key of this kind (one a kind), for these
 * names ("DNS:a.example,IP:1.2.3.4").  Freed by the caller.
 */
char		*certkit_pem(struct certkit *, enum ck_kind, const char *names);
/* The kind's private key in PEM; freed by the caller. */
char		*certkit_key_pem(struct certkit *, enum ck_kind);
/* A certificate in DER, appended. */
void		 certkit_der(struct certkit *, enum ck_kind, const char *names,
		    struct buf *);
/* Signs with the key of kind number - 1 (tls_add()'s number). */
struct tls_signer certkit_signer(struct certkit *);
/* Adds the kind's certificate as number kind + 1, or fails the test. */
void		 certkit_add(struct certkit *, struct tls *, enum ck_kind,
		    const char *names);
/* How often the signer was asked, and what it is to say from now on. */
unsigned int	 certkit_asked(const struct certkit *);
void		 certkit_fail(struct certkit *, bool);
/*
 * From now on each answer waits for certkit_answer(), which gives the oldest
 * one that is due; false: none is.
 */
void		 certkit_late(struct certkit *, bool);
bool		 certkit_answer(struct certkit *);
size_t		 certkit_waiting(const struct certkit *);
/* What it was asked last. */
unsigned int	 certkit_scheme(const struct certkit *);
size_t		 certkit_octets(const struct certkit *, const uint8_t **);

/* A TLS client of the library's, in memory. */
struct tlsclient;

struct tlsclient_conf {
	const char	*host;		/* SNI, or NULL */
	const char	*alpn;		/* protocols, with commas; or NULL */
	const char	*suite;		/* one TLS 1.3 suite, or NULL */
	const char	*sigalgs;	/* or NULL */
	const char	*groups;	/* or NULL */
	int		 max_version;	/* 0: the newest */
};

/* conf NULL: nothing special. */
struct tlsclient *tlsclient_new(const struct tlsclient_conf *);
void		 tlsclient_free(struct tlsclient *);
/* Octets from the server, and to it. */
void		 tlsclient_input(struct tlsclient *, const void *, size_t);
size_t		 tlsclient_output(struct tlsclient *, void *, size_t max);
bool		 tlsclient_is_ready(const struct tlsclient *);
/* close_notify came. */
bool		 tlsclient_is_closed(const struct tlsclient *);
/* The alert that the server sent, -1: none. */
int		 tlsclient_alert(const struct tlsclient *);
/* One record of data; what came is in *got. */
void		 tlsclient_write(struct tlsclient *, const void *, size_t);
struct buf	*tlsclient_got(struct tlsclient *);
/* KeyUpdate; ask: update_requested. */
void		 tlsclient_update(struct tlsclient *, bool ask);
void		 tlsclient_close(struct tlsclient *);
/* SSL *, for what is not here. */
void		*tlsclient_ssl(struct tlsclient *);

#endif
