#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include "common/compat/compat.h"
#include "common/ip.h"
#include "common/log.h"
#include "common/str.h"
#include "keyd/signer.h"

#define RSA_BITS_MIN	2048
#define RSA_BITS_MAX	4096
#define BLANKS		64
#define CONTEXT		"TLS 1.3, server CertificateVerify"
#define DAY_S		86400
#define VALID_DAYS	3650	/* longer than any keyd lives */

struct signer {
	EVP_PKEY	*key[TLSKEY_MAX + 1];	/* by number */
};

/* A SignatureScheme (RFC 8446 4.2.3) and the keys that it is for. */
static const struct scheme {
	unsigned int	 number;
	int		 type;		/* EVP_PKEY_base_id() */
	int		 bits;		/* of the curve; 0: any */
	const char	*digest;	/* NULL: the scheme has its own */
} schemes[] = {
	{ 0x0403, EVP_PKEY_EC, 256, "SHA256" },
	{ 0x0503, EVP_PKEY_EC, 384, "SHA384" },
	{ 0x0804, EVP_PKEY_RSA, 0, "SHA256" },
	{ 0x0805, EVP_PKEY_RSA, 0, "SHA384" },
	{ 0x0806, EVP_PKEY_RSA, 0, "SHA512" },
	{ 0x0807, EVP_PKEY_ED25519, 0, NULL }
};

struct signer *
signer_new(void)
{
	return xcalloc(1, sizeof(struct signer));
}

void
signer_free(struct signer *s)
{
	size_t i;

	if (s == NULL)
		return;
	for (i = 0; i <= TLSKEY_MAX; i++)
		EVP_PKEY_free(s->key[i]);
	free(s);
}

static EVP_PKEY *
key_of(const struct signer *s, unsigned int number)
{
	return number <= TLSKEY_MAX ? s->key[number] : NULL;
}

/* Nobody is there who could be asked. */
static int
no_phrase(char *buf, int size, int writing, void *arg)
{
	(void)buf;
	(void)size;
	(void)writing;
	*(bool *)arg = true;
	return -1;
}

bool
signer_has(const struct signer *s, unsigned int number)
{
	return key_of(s, number) != NULL;
}

static const char *
unfit(EVP_PKEY *key)
{
	char group[32] = "";

	switch (EVP_PKEY_get_base_id(key)) {
	case EVP_PKEY_RSA:
		if (EVP_PKEY_get_bits(key) < RSA_BITS_MIN)
			return "an RSA key of less than 2048 bits";
		if (EVP_PKEY_get_bits(key) > RSA_BITS_MAX)
			return "an RSA key of more than 4096 bits";
		return NULL;
	case EVP_PKEY_EC:
		(void)EVP_PKEY_get_group_name(key, group, sizeof(group), NULL);
		if (strcmp(group, "prime256v1") == 0 ||
		    strcmp(group, "secp384r1") == 0)
			return NULL;
		return "an ECDSA key, but not of P-256 or P-384";
	case EVP_PKEY_ED25519:
		return NULL;
	default:
		return "neither an RSA nor an ECDSA nor an Ed25519 key";
	}
}

bool
signer_add(struct signer *s, unsigned int number, const char *pem, size_t n,
    char *why, size_t whylen)
{
	bool asked = false;
	const char *wrong;
	EVP_PKEY *key;
	BIO *b;

	if (number == 0 || number > TLSKEY_PAIRS || s->key[number] != NULL) {
		(void)snprintf(why, whylen, "one key too many");
		return false;
	}
	if ((b = BIO_new_mem_buf(pem, (int)n)) == NULL)
		fatalx("out of memory");
	key = PEM_read_bio_PrivateKey(b, NULL, no_phrase, &asked);
	BIO_free(b);
	ERR_clear_error();
	if (key == NULL)
		wrong = asked ? "the key is under a pass phrase; it must be "
		    "stored without one" : "no private key in PEM form";
	else
		wrong = unfit(key);
	if (wrong == NULL) {
		s->key[number] = key;
		return true;
	}
	EVP_PKEY_free(key);
	(void)snprintf(why, whylen, "%s", wrong);
	return false;
}

bool
signer_fits(const struct signer *s, unsigned int number, const char *pem,
    size_t n, char *why, size_t whylen)
{
	EVP_PKEY *key = key_of(s, number);
	const char *wrong = NULL;
	X509 *cert;
	BIO *b;

	if ((b = BIO_new_mem_buf(pem, (int)n)) == NULL)
		fatalx("out of memory");
	cert = PEM_read_bio_X509(b, NULL, NULL, NULL);
	BIO_free(b);
	if (cert == NULL)
		wrong = "no certificate in PEM form";
	else if (key == NULL || EVP_PKEY_eq(X509_get0_pubkey(cert), key) != 1)
		wrong = "the certificate is of another key";
	X509_free(cert);
	ERR_clear_error();
	if (wrong != NULL)
		(void)snprintf(why, whylen, "%s", wrong);
	return wrong == NULL;
}

/* Subject and, what clients go by, the alternative name. */
static int
put_names(X509 *x, const char *host)
{
	X509_NAME *name = X509_get_subject_name(x);
	X509_EXTENSION *e;
	char text[300];
	struct ip ip;
	int rc = -1;

	(void)snprintf(text, sizeof(text), "%s:%s",
	    ip_parse(&ip, slice_str(host)) ? "IP" : "DNS", host);
	/* RFC 5280: a common name has at most 64 characters. */
	if (X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
	    (const unsigned char *)(strlen(host) <= 64 ? host : "headscaled"),
	    -1, -1, 0) != 1 || X509_set_issuer_name(x, name) != 1)
		return -1;
	e = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, text);
	if (e != NULL && X509_add_ext(x, e, -1) == 1)
		rc = 0;
	X509_EXTENSION_free(e);
	return rc;
}

static int
put_times(X509 *x, int64_t now)
{
	if (ASN1_TIME_set(X509_getm_notBefore(x),
	    (time_t)(now - DAY_S)) == NULL ||
	    ASN1_TIME_set(X509_getm_notAfter(x),
	    (time_t)(now + (int64_t)VALID_DAYS * DAY_S)) == NULL)
		return -1;
	return 0;
}

static X509 *
self_cert(EVP_PKEY *key, const char *host, int64_t now)
{
	uint64_t serial = (uint64_t)now & INT64_MAX;
	X509 *x;

	if ((x = X509_new()) == NULL)
		fatalx("out of memory");
	if (X509_set_version(x, X509_VERSION_3) == 1 &&
	    ASN1_INTEGER_set_uint64(X509_get_serialNumber(x), serial) == 1 &&
	    put_times(x, now) == 0 && put_names(x, host) == 0 &&
	    X509_set_pubkey(x, key) == 1 && X509_sign(x, key, EVP_sha256()) > 0)
		return x;
	X509_free(x);
	return NULL;
}

size_t
signer_self(struct signer *s, const char *host, int64_t now, uint8_t *der,
    size_t max)
{
	EVP_PKEY *key;
	X509 *x = NULL;
	int n = 0;

	if ((key = EVP_EC_gen("P-256")) != NULL)
		x = self_cert(key, host, now);
	if (x != NULL && (n = i2d_X509(x, NULL)) > 0 && (size_t)n <= max)
		(void)i2d_X509(x, &der);
	else
		n = 0;
	X509_free(x);
	ERR_clear_error();
	if (n == 0) {
		EVP_PKEY_free(key);
		return 0;
	}
	EVP_PKEY_free(s->key[TLSKEY_SELF]);
	s->key[TLSKEY_SELF] = key;
	return (size_t)n;
}

static void
share(const struct signer *from, struct signer *to, unsigned int number)
{
	EVP_PKEY *key = from->key[number];

	if (key != NULL)
		(void)EVP_PKEY_up_ref(key);
	EVP_PKEY_free(to->key[number]);
	to->key[number] = key;
}

void
signer_share_self(const struct signer *from, struct signer *to)
{
	share(from, to, TLSKEY_SELF);
}

void
signer_share_acme(const struct signer *from, struct signer *to)
{
	unsigned int i;

	for (i = TLSKEY_ALPN; i <= TLSKEY_ACME; i++)
		share(from, to, i);
}

void
signer_set(struct signer *s, unsigned int number, EVP_PKEY *key)
{
	EVP_PKEY_free(s->key[number]);
	s->key[number] = key;
}

/* 64 blanks, the context, a zero, and a transcript hash. */
static bool
is_verify(const uint8_t *p, size_t n)
{
	size_t i, head = BLANKS + sizeof(CONTEXT);

	if (n != head + 32 && n != head + 48)
		return false;
	for (i = 0; i < BLANKS; i++)
		if (p[i] != ' ')
			return false;
	return memcmp(p + BLANKS, CONTEXT, sizeof(CONTEXT)) == 0;
}

static const struct scheme *
scheme_for(EVP_PKEY *key, unsigned int number)
{
	const struct scheme *c;
	size_t i;

	for (i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
		c = &schemes[i];
		if (c->number == number &&
		    c->type == EVP_PKEY_get_base_id(key) &&
		    (c->bits == 0 || c->bits == EVP_PKEY_get_bits(key)))
			return c;
	}
	return NULL;
}

static bool
sign(EVP_PKEY *key, const struct scheme *c, const uint8_t *p, size_t n,
    uint8_t *sig, size_t *nsig)
{
	EVP_PKEY_CTX *pctx;
	EVP_MD_CTX *md;
	bool ok;

	if ((md = EVP_MD_CTX_new()) == NULL)
		fatalx("out of memory");
	ok = EVP_DigestSignInit_ex(md, &pctx, c->digest, NULL, NULL, key,
	    NULL) == 1;
	if (ok && c->type == EVP_PKEY_RSA)
		ok = EVP_PKEY_CTX_set_rsa_padding(pctx,
		    RSA_PKCS1_PSS_PADDING) > 0 &&
		    EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx,
		    RSA_PSS_SALTLEN_DIGEST) > 0;
	ok = ok && EVP_DigestSign(md, sig, nsig, p, n) == 1;
	EVP_MD_CTX_free(md);
	ERR_clear_error();
	return ok;
}

enum signer_refusal
signer_sign(struct signer *s, unsigned int number, unsigned int scheme,
    const uint8_t *octets, size_t n, uint8_t *sig, size_t *nsig)
{
	EVP_PKEY *key = key_of(s, number);
	const struct scheme *c;

	if (key == NULL)
		return SIGNER_REFUSED_KEY;
	if (!is_verify(octets, n))
		return SIGNER_REFUSED_FORM;
	if ((c = scheme_for(key, scheme)) == NULL ||
	    !sign(key, c, octets, n, sig, nsig))
		return SIGNER_REFUSED_SCHEME;
	return SIGNER_REFUSED_NOT;
}
