#include <stdlib.h>
#include <string.h>

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include "common/log.h"
#include "regress/lib/certkit.h"

#define WAITING	16

/* What was asked and has no answer yet. */
struct question {
	struct tls_hs	*hs;
	unsigned int	 number;
	unsigned int	 scheme;
	uint8_t		 octets[256];
	size_t		 n;
};

struct certkit {
	EVP_PKEY	*keys[CK_KINDS];
	unsigned int	 asked;
	bool		 fail;
	bool		 late;
	struct question	 waiting[WAITING];
	size_t		 nwaiting;
	unsigned int	 scheme;
	uint8_t		 octets[256];
	size_t		 n;
};

struct certkit *
certkit_new(void)
{
	return xcalloc(1, sizeof(struct certkit));
}

void
certkit_free(struct certkit *k)
{
	int i;

	for (i = 0; i < CK_KINDS; i++)
		EVP_PKEY_free(k->keys[i]);
	free(k);
}

static EVP_PKEY *
key_of(struct certkit *k, enum ck_kind kind)
{
	EVP_PKEY **key = &k->keys[kind];

	if (*key != NULL)
		return *key;
	switch (kind) {
	case CK_P256:
		*key = EVP_EC_gen("P-256");
		break;
	case CK_P384:
		*key = EVP_EC_gen("P-384");
		break;
	case CK_P521:
		*key = EVP_EC_gen("P-521");
		break;
	case CK_ED25519:
		*key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
		break;
	case CK_RSA1024:
		*key = EVP_RSA_gen(1024);
		break;
	case CK_RSA2048:
		*key = EVP_RSA_gen(2048);
		break;
	default:
		*key = EVP_RSA_gen(4096);
	}
	if (*key == NULL)
		fatalx("no key");
	return *key;
}

static X509 *
cert_of(struct certkit *k, enum ck_kind kind, const char *names)
{
	EVP_PKEY *key = key_of(k, kind);
	X509_EXTENSION *san;
	X509_NAME *name;
	X509 *x = X509_new();

	X509_set_version(x, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
	X509_gmtime_adj(X509_getm_notBefore(x), -3600);
	X509_gmtime_adj(X509_getm_notAfter(x), 30 * 24 * 3600);
	name = X509_get_subject_name(x);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
	    (const unsigned char *)"test", -1, -1, 0);
	X509_set_issuer_name(x, name);
	X509_set_pubkey(x, key);
	san = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, names);
	if (san == NULL || X509_add_ext(x, san, -1) != 1)
		fatalx("bad names");
	X509_EXTENSION_free(san);
	if (X509_sign(x, key, kind == CK_ED25519 ? NULL : EVP_sha256()) == 0)
		fatalx("no certificate");
	return x;
}

/* Frees it. */
static char *
text_of(BIO *b)
{
	char *p, *text;
	long n;

	n = BIO_get_mem_data(b, &p);
	text = xmalloc((size_t)n + 1);
	memcpy(text, p, (size_t)n);
	text[n] = '\0';
	BIO_free(b);
	return text;
}

char *
certkit_pem(struct certkit *k, enum ck_kind kind, const char *names)
{
	X509 *x = cert_of(k, kind, names);
	BIO *b = BIO_new(BIO_s_mem());

	PEM_write_bio_X509(b, x);
	X509_free(x);
	return text_of(b);
}

char *
certkit_key_pem(struct certkit *k, enum ck_kind kind)
{
	BIO *b = BIO_new(BIO_s_mem());

	if (PEM_write_bio_PrivateKey(b, key_of(k, kind), NULL, NULL, 0, NULL,
	    NULL) != 1)
		fatalx("no key in PEM");
	return text_of(b);
}

void
certkit_der(struct certkit *k, enum ck_kind kind, const char *names,
    struct buf *out)
{
	X509 *x = cert_of(k, kind, names);
	unsigned char *p = NULL;
	int n = i2d_X509(x, &p);

	buf_put(out, p, (size_t)n);
	OPENSSL_free(p);
	X509_free(x);
}

/* The scheme's hash and the kinds of key that it is for. */
static const EVP_MD *
hash_of(unsigned int scheme, enum ck_kind kind)
{
	switch (scheme) {
	case 0x0403:
		return kind == CK_P256 ? EVP_sha256() : NULL;
	case 0x0503:
		return kind == CK_P384 ? EVP_sha384() : NULL;
	case 0x0804:
		return kind >= CK_RSA2048 ? EVP_sha256() : NULL;
	case 0x0805:
		return kind >= CK_RSA2048 ? EVP_sha384() : NULL;
	case 0x0806:
		return kind >= CK_RSA2048 ? EVP_sha512() : NULL;
	default:
		return NULL;
	}
}

static int
sign(struct certkit *k, unsigned int number, unsigned int scheme,
    const uint8_t *octets, size_t n, uint8_t *sig, size_t max)
{
	enum ck_kind kind = (enum ck_kind)(number - 1);
	const EVP_MD *md = hash_of(scheme, kind);
	EVP_PKEY_CTX *pc;
	EVP_MD_CTX *mc;
	int ok;

	if (k->fail || number == 0 || number > CK_KINDS ||
	    k->keys[kind] == NULL || (md == NULL && (kind != CK_ED25519 ||
	    scheme != 0x0807)))
		return -1;
	mc = EVP_MD_CTX_new();
	ok = EVP_DigestSignInit(mc, &pc, md, NULL, k->keys[kind]) == 1;
	if (ok && kind >= CK_RSA2048)
		ok = EVP_PKEY_CTX_set_rsa_padding(pc,
		    RSA_PKCS1_PSS_PADDING) == 1 &&
		    EVP_PKEY_CTX_set_rsa_pss_saltlen(pc,
		    RSA_PSS_SALTLEN_DIGEST) == 1;
	ok = ok && EVP_DigestSign(mc, sig, &max, octets, n) == 1;
	EVP_MD_CTX_free(mc);
	return ok ? (int)max : -1;
}

static int
on_sign(struct tls_hs *hs, unsigned int number, unsigned int scheme,
    const uint8_t *octets, size_t n, uint8_t *sig, size_t max, void *arg)
{
	struct certkit *k = arg;
	struct question *q;

	k->asked++;
	k->scheme = scheme;
	k->n = n < sizeof(k->octets) ? n : sizeof(k->octets);
	memcpy(k->octets, octets, k->n);
	if (!k->late)
		return sign(k, number, scheme, octets, n, sig, max);
	if (k->nwaiting == WAITING)
		fatalx("too many questions");
	q = &k->waiting[k->nwaiting++];
	q->hs = hs;
	q->number = number;
	q->scheme = scheme;
	q->n = k->n;
	memcpy(q->octets, k->octets, k->n);
	return 0;
}

static void
drop(struct certkit *k, size_t i)
{
	memmove(&k->waiting[i], &k->waiting[i + 1],
	    (--k->nwaiting - i) * sizeof(k->waiting[0]));
}

bool
certkit_answer(struct certkit *k)
{
	uint8_t sig[TLS_SIG_MAX];
	struct question q;
	int n;

	if (k->nwaiting == 0)
		return false;
	q = k->waiting[0];
	drop(k, 0);
	n = sign(k, q.number, q.scheme, q.octets, q.n, sig, sizeof(sig));
	tls_hs_signed(q.hs, sig, n > 0 ? (size_t)n : 0);
	return true;
}

static void
on_wait(struct tls_hs *hs, void *arg)
{
	(void)hs;
	(void)certkit_answer(arg);
}

static void
on_forget(struct tls_hs *hs, void *arg)
{
	struct certkit *k = arg;
	size_t i;

	for (i = 0; i < k->nwaiting; i++)
		if (k->waiting[i].hs == hs) {
			drop(k, i);
			return;
		}
	fatalx("forgets what was not asked");
}

void
certkit_late(struct certkit *k, bool late)
{
	k->late = late;
}

size_t
certkit_waiting(const struct certkit *k)
{
	return k->nwaiting;
}

struct tls_signer
certkit_signer(struct certkit *k)
{
	struct tls_signer s = { on_sign, on_wait, on_forget, k };

	return s;
}

void
certkit_add(struct certkit *k, struct tls *t, enum ck_kind kind,
    const char *names)
{
	char *pem = certkit_pem(k, kind, names), why[200];

	if (tls_add(t, (unsigned int)kind + 1, pem, strlen(pem), "test", why,
	    sizeof(why)) == -1)
		fatalx("%s", why);
	free(pem);
}

unsigned int
certkit_asked(const struct certkit *k)
{
	return k->asked;
}

void
certkit_fail(struct certkit *k, bool fail)
{
	k->fail = fail;
}

unsigned int
certkit_scheme(const struct certkit *k)
{
	return k->scheme;
}

size_t
certkit_octets(const struct certkit *k, const uint8_t **p)
{
	*p = k->octets;
	return k->n;
}
