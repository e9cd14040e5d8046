/* TLS keys in keyd: RFC 8446 4.4.3, trust.md 3. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#include "common/log.h"
#include "keyd/signer.h"

#define CONTEXT		"TLS 1.3, server CertificateVerify"
#define NOW		1795000000	/* some day of 2026 */

struct text {
	char	p[8192];
	size_t	n;
};

static size_t
verify_octets(uint8_t *p, size_t hash)
{
	memset(p, ' ', 64);
	memcpy(p + 64, CONTEXT, sizeof(CONTEXT));
	memset(p + 64 + sizeof(CONTEXT), 0x5a, hash);
	return 64 + sizeof(CONTEXT) + hash;
}

static EVP_PKEY *
make(const char *kind)
{
	EVP_PKEY *k;

	if (strcmp(kind, "Ed25519") == 0)
		k = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
	else if (strncmp(kind, "RSA", 3) == 0)
		k = EVP_RSA_gen((unsigned int)atoi(kind + 3));
	else
		k = EVP_EC_gen(kind);
	assert_non_null(k);
	return k;
}

static void
pem_key(struct text *t, EVP_PKEY *k, const char *phrase)
{
	BIO *b = BIO_new(BIO_s_mem());
	int n;

	assert_int_equal(PEM_write_bio_PrivateKey(b, k, phrase == NULL ? NULL :
	    EVP_aes_128_cbc(), (const unsigned char *)phrase,
	    phrase == NULL ? 0 : (int)strlen(phrase), NULL, NULL), 1);
	n = BIO_read(b, t->p, sizeof(t->p));
	assert_true(n > 0);
	t->n = (size_t)n;
	BIO_free(b);
}

static bool
add(struct signer *s, unsigned int number, EVP_PKEY *k, char why[128])
{
	struct text t;

	pem_key(&t, k, NULL);
	return signer_add(s, number, t.p, t.n, why, 128);
}

static bool
verifies(EVP_PKEY *k, const char *digest, const uint8_t *p, size_t n,
    const uint8_t *sig, size_t nsig)
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	EVP_PKEY_CTX *c;
	bool ok;

	assert_int_equal(EVP_DigestVerifyInit_ex(md, &c, digest, NULL, NULL, k,
	    NULL), 1);
	if (EVP_PKEY_get_base_id(k) == EVP_PKEY_RSA) {
		assert_true(EVP_PKEY_CTX_set_rsa_padding(c,
		    RSA_PKCS1_PSS_PADDING) > 0);
		assert_true(EVP_PKEY_CTX_set_rsa_pss_saltlen(c,
		    RSA_PSS_SALTLEN_DIGEST) > 0);
	}
	ok = EVP_DigestVerify(md, sig, nsig, p, n) == 1;
	EVP_MD_CTX_free(md);
	return ok;
}

static const struct {
	const char	*kind;
	unsigned int	 scheme;
	const char	*digest;
	size_t		 hash;
} kinds[] = {
	{ "P-256", 0x0403, "SHA256", 32 },
	{ "P-384", 0x0503, "SHA384", 48 },
	{ "RSA2048", 0x0804, "SHA256", 32 },
	{ "RSA2048", 0x0805, "SHA384", 48 },
	{ "RSA4096", 0x0806, "SHA512", 32 },
	{ "Ed25519", 0x0807, NULL, 48 }
};
#define NKINDS	(sizeof(kinds) / sizeof(kinds[0]))

static void
test_every_kind_signs(void **state)
{
	uint8_t in[160], sig[SIGNER_SIG_MAX];
	struct signer *s;
	char why[128];
	size_t i, j, n, nsig;
	EVP_PKEY *k;

	(void)state;
	for (i = 0; i < NKINDS; i++) {
		s = signer_new();
		k = make(kinds[i].kind);
		assert_true(add(s, 4, k, why));
		n = verify_octets(in, kinds[i].hash);
		nsig = sizeof(sig);
		assert_int_equal(signer_sign(s, 4, kinds[i].scheme, in, n, sig,
		    &nsig), SIGNER_REFUSED_NOT);
		assert_true(verifies(k, kinds[i].digest, in, n, sig, nsig));
		/* A scheme of another kind of key is not served. */
		for (j = 0; j < NKINDS; j++) {
			nsig = sizeof(sig);
			if (strncmp(kinds[i].kind, kinds[j].kind, 3) != 0 ||
			    (kinds[i].kind[0] == 'P' && i != j))
				assert_int_equal(signer_sign(s, 4,
				    kinds[j].scheme, in, n, sig, &nsig),
				    SIGNER_REFUSED_SCHEME);
		}
		EVP_PKEY_free(k);
		signer_free(s);
	}
}

/* Nothing but the exact form of a server's CertificateVerify. */
static void
test_form(void **state)
{
	uint8_t in[160], sig[SIGNER_SIG_MAX];
	struct signer *s = signer_new();
	size_t i, n, nsig = sizeof(sig);
	EVP_PKEY *k = make("P-256");
	char why[128];

	(void)state;
	assert_true(add(s, 1, k, why));
	n = verify_octets(in, 32);
	assert_int_equal(n, 130);
	for (i = 0; i < n - 32; i++) {
		in[i] ^= 0x20;
		assert_int_equal(signer_sign(s, 1, 0x0403, in, n, sig, &nsig),
		    SIGNER_REFUSED_FORM);
		in[i] ^= 0x20;
	}
	for (i = 0; i < sizeof(in); i++)
		if (i != 130 && i != 146)
			assert_int_equal(signer_sign(s, 1, 0x0403, in, i, sig,
			    &nsig), SIGNER_REFUSED_FORM);
	/* A client's differs in one word. */
	memcpy(in + 64, "TLS 1.3, client CertificateVerify", sizeof(CONTEXT));
	assert_int_equal(signer_sign(s, 1, 0x0403, in, n, sig, &nsig),
	    SIGNER_REFUSED_FORM);
	EVP_PKEY_free(k);
	signer_free(s);
}

static void
test_no_such_key(void **state)
{
	uint8_t in[160], sig[SIGNER_SIG_MAX];
	struct signer *s = signer_new();
	size_t n = verify_octets(in, 32), nsig = sizeof(sig);

	(void)state;
	assert_int_equal(signer_sign(s, 1, 0x0403, in, n, sig, &nsig),
	    SIGNER_REFUSED_KEY);
	assert_int_equal(signer_sign(s, 65535, 0x0403, in, n, sig, &nsig),
	    SIGNER_REFUSED_KEY);
	signer_free(s);
}

static void
test_bad_files(void **state)
{
	struct signer *s = signer_new();
	EVP_PKEY *small = make("RSA1024"), *other = make("P-521");
	EVP_PKEY *k = make("P-256");
	struct text t;
	char why[128];

	(void)state;
	assert_false(signer_add(s, 1, "", 0, why, sizeof(why)));
	assert_string_equal(why, "no private key in PEM form");
	assert_false(add(s, 1, small, why));
	assert_string_equal(why, "an RSA key of less than 2048 bits");
	assert_false(add(s, 1, other, why));
	assert_string_equal(why, "an ECDSA key, but not of P-256 or P-384");
	pem_key(&t, k, "secret");
	assert_false(signer_add(s, 1, t.p, t.n, why, sizeof(why)));
	assert_non_null(strstr(why, "under a pass phrase"));
	assert_true(add(s, 1, k, why));
	assert_false(add(s, 1, k, why));
	assert_false(add(s, TLSKEY_SELF, k, why));
	EVP_PKEY_free(small);
	EVP_PKEY_free(other);
	EVP_PKEY_free(k);
	signer_free(s);
}

static X509 *
self(struct signer *s, const char *host)
{
	uint8_t der[8192];
	const unsigned char *p = der;
	size_t n;
	X509 *x;

	n = signer_self(s, host, NOW, der, sizeof(der));
	assert_true(n > 0);
	x = d2i_X509(NULL, &p, (long)n);
	assert_non_null(x);
	assert_int_equal(p - der, n);
	return x;
}

static void
test_self_signed(void **state)
{
	uint8_t in[160], sig[SIGNER_SIG_MAX], der[16];
	struct signer *s = signer_new();
	size_t n = verify_octets(in, 48), nsig = sizeof(sig);
	time_t at = NOW;
	X509 *x;

	(void)state;
	x = self(s, "hs.example.org");
	assert_int_equal(X509_verify(x, X509_get0_pubkey(x)), 1);
	assert_int_equal(X509_check_host(x, "hs.example.org", 0, 0, NULL), 1);
	assert_int_equal(X509_check_host(x, "other.org", 0, 0, NULL), 0);
	assert_true(X509_cmp_time(X509_get0_notBefore(x), &at) < 0);
	assert_true(X509_cmp_time(X509_get0_notAfter(x), &at) > 0);
	assert_int_equal(signer_sign(s, TLSKEY_SELF, 0x0403, in, n, sig,
	    &nsig), SIGNER_REFUSED_NOT);
	assert_true(verifies(X509_get0_pubkey(x), "SHA256", in, n, sig, nsig));
	X509_free(x);
	x = self(s, "2001:db8::1");
	assert_int_equal(X509_check_ip_asc(x, "2001:db8::1", 0), 1);
	X509_free(x);
	x = self(s, "10.1.2.3");
	assert_int_equal(X509_check_ip_asc(x, "10.1.2.3", 0), 1);
	X509_free(x);
	assert_int_equal(signer_self(s, "a.b", NOW, der, sizeof(der)), 0);
	signer_free(s);
}

static void
test_fits(void **state)
{
	struct signer *s = signer_new(), *t = signer_new();
	uint8_t in[160], sig[SIGNER_SIG_MAX];
	size_t n = verify_octets(in, 32), nsig = sizeof(sig);
	BIO *b = BIO_new(BIO_s_mem());
	EVP_PKEY *k = make("P-256");
	char pem[4096], why[128];
	X509 *x;
	int got;

	(void)state;
	x = self(s, "hs.example.org");
	assert_int_equal(PEM_write_bio_X509(b, x), 1);
	got = BIO_read(b, pem, sizeof(pem));
	assert_true(got > 0);
	assert_true(signer_fits(s, TLSKEY_SELF, pem, (size_t)got, why,
	    sizeof(why)));
	assert_true(add(s, 1, k, why));
	assert_false(signer_fits(s, 1, pem, (size_t)got, why, sizeof(why)));
	assert_string_equal(why, "the certificate is of another key");
	assert_false(signer_fits(s, 1, "x", 1, why, sizeof(why)));
	assert_string_equal(why, "no certificate in PEM form");
	/* Shared, it outlives the one that made it. */
	signer_share_self(s, t);
	signer_free(s);
	assert_int_equal(signer_sign(t, TLSKEY_SELF, 0x0403, in, n, sig,
	    &nsig), SIGNER_REFUSED_NOT);
	signer_free(t);
	X509_free(x);
	EVP_PKEY_free(k);
	BIO_free(b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_kind_signs),
		cmocka_unit_test(test_form),
		cmocka_unit_test(test_no_such_key),
		cmocka_unit_test(test_bad_files),
		cmocka_unit_test(test_self_signed),
		cmocka_unit_test(test_fits)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
