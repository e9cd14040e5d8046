#include <err.h>
#include <stdio.h>
#include <string.h>

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/x509v3.h>

#include "common/compat/compat.h"
#include "common/enc.h"
#include "common/json.h"
#include "regress/lib/jwskit.h"

#define COORD		32	/* octets of a P-256 coordinate */

struct jws {
	EVP_PKEY	*account;
	EVP_PKEY	*key;
	uint8_t		 point[1 + 2 * COORD];
};

/* base64url without padding. */
static void
b64url(struct buf *b, const void *p, size_t n)
{
	char *s, *c;

	s = xmalloc(B64_LEN(n) + 1);
	b64_enc(s, p, n);
	for (c = s; *c != '\0'; c++)
		*c = *c == '+' ? '-' : *c == '/' ? '_' : *c;
	s[strcspn(s, "=")] = '\0';
	buf_str(b, s);
	free(s);
}

static EVP_PKEY *
key_of(const char *file)
{
	EVP_PKEY *k = NULL;
	FILE *f;

	if ((f = fopen(file, "r")) != NULL) {
		k = PEM_read_PrivateKey(f, NULL, NULL, NULL);
		(void)fclose(f);
		if (k == NULL)
			errx(1, "%s: no key", file);
		return k;
	}
	if ((k = EVP_EC_gen("P-256")) == NULL ||
	    (f = fopen(file, "w")) == NULL ||
	    PEM_write_PrivateKey(f, k, NULL, NULL, 0, NULL, NULL) != 1 ||
	    fclose(f) != 0)
		err(1, "%s", file);
	return k;
}

struct jws *
jws_new(const char *account_file, const char *key_file)
{
	struct jws *j;
	size_t n = 0;

	j = xcalloc(1, sizeof(*j));
	j->account = key_of(account_file);
	j->key = key_of(key_file);
	if (EVP_PKEY_get_octet_string_param(j->account, OSSL_PKEY_PARAM_PUB_KEY,
	    j->point, sizeof(j->point), &n) != 1 || n != sizeof(j->point))
		errx(1, "the account's key is not of P-256");
	return j;
}

void
jws_free(struct jws *j)
{
	if (j == NULL)
		return;
	EVP_PKEY_free(j->account);
	EVP_PKEY_free(j->key);
	free(j);
}

/* RFC 7638: the members in this order, without spaces. */
static void
jwk(struct jws *j, struct buf *b)
{
	buf_str(b, "{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"");
	b64url(b, j->point + 1, COORD);
	buf_str(b, "\",\"y\":\"");
	b64url(b, j->point + 1 + COORD, COORD);
	buf_str(b, "\"}");
}

void
jws_authorization(struct jws *j, const char *token, char *dst, size_t n)
{
	uint8_t hash[SHA256_DIGEST_LENGTH];
	struct buf b = { 0 };

	jwk(j, &b);
	(void)SHA256(b.p, b.n, hash);
	buf_clear(&b);
	buf_printf(&b, "%s.", token);
	b64url(&b, hash, sizeof(hash));
	if (!slice_copy(dst, n, buf_slice_of(&b)))
		errx(1, "token too long");
	buf_free(&b);
}

/* RFC 7518 3.4: the two numbers, 32 octets each. */
static void
signature(struct jws *j, const struct buf *what, uint8_t out[2 * COORD])
{
	uint8_t der[128];
	const uint8_t *p = der;
	size_t n = sizeof(der);
	EVP_MD_CTX *ctx;
	ECDSA_SIG *sig;

	if ((ctx = EVP_MD_CTX_new()) == NULL ||
	    EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, j->account) != 1 ||
	    EVP_DigestSign(ctx, der, &n, what->p, what->n) != 1 ||
	    (sig = d2i_ECDSA_SIG(NULL, &p, (long)n)) == NULL ||
	    BN_bn2binpad(ECDSA_SIG_get0_r(sig), out, COORD) != COORD ||
	    BN_bn2binpad(ECDSA_SIG_get0_s(sig), out + COORD, COORD) != COORD)
		errx(1, "signature");
	ECDSA_SIG_free(sig);
	EVP_MD_CTX_free(ctx);
}

static void
csr(struct jws *j, struct buf *b, const char *const *names, size_t n)
{
	STACK_OF(X509_EXTENSION) *all = sk_X509_EXTENSION_new_null();
	X509_REQ *req = X509_REQ_new();
	struct buf san = { 0 };
	X509_EXTENSION *e;
	uint8_t *der = NULL;
	size_t i;
	int len;

	for (i = 0; i < n; i++)
		buf_printf(&san, "%sDNS:%s", i == 0 ? "" : ",", names[i]);
	buf_u8(&san, 0);
	e = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name,
	    (const char *)san.p);
	if (all == NULL || req == NULL || e == NULL ||
	    sk_X509_EXTENSION_push(all, e) == 0 ||
	    X509_REQ_add_extensions(req, all) != 1 ||
	    X509_REQ_set_pubkey(req, j->key) != 1 ||
	    X509_REQ_sign(req, j->key, EVP_sha256()) <= 0 ||
	    (len = i2d_X509_REQ(req, &der)) <= 0)
		errx(1, "certificate request");
	b64url(b, der, (size_t)len);
	OPENSSL_free(der);
	sk_X509_EXTENSION_pop_free(all, X509_EXTENSION_free);
	X509_REQ_free(req);
	buf_free(&san);
}

static void
payload(struct jws *j, struct buf *b, unsigned int form, struct slice der,
    const char *const *names, size_t n)
{
	size_t i;

	switch (form) {
	case 1:
		buf_str(b, "{\"termsOfServiceAgreed\":true}");
		break;
	case 2:
		buf_str(b, "{\"identifiers\":[");
		for (i = 0; i < n; i++)
			buf_printf(b, "%s{\"type\":\"dns\",\"value\":\"%s\"}",
			    i == 0 ? "" : ",", names[i]);
		buf_str(b, "]}");
		break;
	case 3:
		break;
	case 4:
		buf_str(b, "{}");
		break;
	case 5:
		buf_str(b, "{\"csr\":\"");
		csr(j, b, names, n);
		buf_str(b, "\"}");
		break;
	case 6:
		buf_str(b, "{\"certificate\":\"");
		b64url(b, der.p, der.n);
		buf_str(b, "\"}");
		break;
	default:
		errx(1, "form %u", form);
	}
}

void
jws_body(struct jws *j, struct buf *b, unsigned int form, struct slice url,
    struct slice nonce, struct slice account, struct slice der,
    const char *const *names, size_t n)
{
	struct buf head = { 0 }, load = { 0 }, what = { 0 };
	uint8_t sig[2 * COORD];

	buf_str(&head, "{\"alg\":\"ES256\",");
	if (form == 1) {
		buf_str(&head, "\"jwk\":");
		jwk(j, &head);
	} else
		buf_printf(&head, "\"kid\":\"%.*s\"", SLICE_FMT(account));
	buf_printf(&head, ",\"nonce\":\"%.*s\",\"url\":\"%.*s\"}",
	    SLICE_FMT(nonce), SLICE_FMT(url));
	payload(j, &load, form, der, names, n);
	b64url(&what, head.p, head.n);
	buf_str(&what, ".");
	if (load.n > 0)
		b64url(&what, load.p, load.n);
	signature(j, &what, sig);
	buf_str(b, "{\"protected\":\"");
	b64url(b, head.p, head.n);
	buf_str(b, "\",\"payload\":\"");
	if (load.n > 0)
		b64url(b, load.p, load.n);
	buf_str(b, "\",\"signature\":\"");
	b64url(b, sig, sizeof(sig));
	buf_str(b, "\"}");
	buf_free(&head);
	buf_free(&load);
	buf_free(&what);
}

void
jws_leaf(const char *pem, struct buf *der)
{
	uint8_t *p = NULL;
	X509 *cert;
	BIO *bio;
	int n;

	if ((bio = BIO_new_mem_buf(pem, -1)) == NULL ||
	    (cert = PEM_read_bio_X509(bio, NULL, NULL, NULL)) == NULL ||
	    (n = i2d_X509(cert, &p)) <= 0)
		errx(1, "no certificate");
	buf_put(der, p, (size_t)n);
	OPENSSL_free(p);
	X509_free(cert);
	BIO_free(bio);
}
