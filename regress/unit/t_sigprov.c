/* Keys that are numbers: what the provider signs, and what it refuses. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "regress/lib/certkit.h"
#include "worker/net/sigprov.h"

struct world {
	struct certkit	*kit;
	struct tls_signer signer;
	struct sigprov	*sp;
};

static int
setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	w->kit = certkit_new();
	w->signer = certkit_signer(w->kit);
	w->sp = sigprov_new();
	*state = w;
	return 0;
}

static int
teardown(void **state)
{
	struct world *w = *state;

	sigprov_free(w->sp);
	certkit_free(w->kit);
	free(w);
	return 0;
}

/* The public key of a certificate of this kind. */
static EVP_PKEY *
public_of(struct world *w, enum ck_kind kind)
{
	char *pem = certkit_pem(w->kit, kind, "DNS:a.example");
	BIO *b = BIO_new_mem_buf(pem, -1);
	X509 *x = X509_new_ex(sigprov_lib(w->sp), NULL);
	EVP_PKEY *key;

	assert_non_null(PEM_read_bio_X509(b, &x, NULL, NULL));
	key = X509_get_pubkey(x);
	X509_free(x);
	BIO_free(b);
	free(pem);
	return key;
}

/* Signs as TLS does; the length, or 0. */
static size_t
sign(struct world *w, EVP_PKEY *key, const char *md, int padding,
    const uint8_t *octets, size_t n, uint8_t *sig)
{
	EVP_MD_CTX *mc = EVP_MD_CTX_new();
	EVP_PKEY_CTX *pc;
	size_t len = TLS_SIG_MAX;

	if (EVP_DigestSignInit_ex(mc, &pc, md, sigprov_lib(w->sp), NULL, key,
	    NULL) != 1 || (padding != 0 &&
	    (EVP_PKEY_CTX_set_rsa_padding(pc, padding) != 1 ||
	    (padding == RSA_PKCS1_PSS_PADDING &&
	    EVP_PKEY_CTX_set_rsa_pss_saltlen(pc,
	    RSA_PSS_SALTLEN_DIGEST) != 1))) ||
	    EVP_DigestSign(mc, sig, &len, octets, n) != 1)
		len = 0;
	EVP_MD_CTX_free(mc);
	return len;
}

static bool
verify(EVP_PKEY *public, const char *md, int padding, const uint8_t *octets,
    size_t n, const uint8_t *sig, size_t len)
{
	EVP_MD_CTX *mc = EVP_MD_CTX_new();
	EVP_PKEY_CTX *pc;
	bool ok;

	assert_int_equal(EVP_DigestVerifyInit_ex(mc, &pc, md, NULL, NULL,
	    public, NULL), 1);
	if (padding != 0)
		assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(pc, padding), 1);
	ok = EVP_DigestVerify(mc, sig, len, octets, n) == 1;
	EVP_MD_CTX_free(mc);
	return ok;
}

static void
one(struct world *w, enum ck_kind kind, const char *md, int padding,
    unsigned int scheme)
{
	EVP_PKEY *public = public_of(w, kind), *key;
	uint8_t octets[146], sig[TLS_SIG_MAX];
	const uint8_t *seen;
	const char *why = NULL;
	unsigned int before = certkit_asked(w->kit);
	size_t n;

	memset(octets, 0x5a, sizeof(octets));
	key = sigprov_key(w->sp, public, kind + 1, &w->signer, &why);
	assert_non_null(key);
	/* It is the certificate's: OpenSSL asks before it uses it. */
	assert_int_equal(EVP_PKEY_eq(public, key), 1);
	assert_int_equal(EVP_PKEY_get_bits(public), EVP_PKEY_get_bits(key));
	assert_true(EVP_PKEY_get_size(key) >= EVP_PKEY_get_size(public));
	n = sign(w, key, md, padding, octets, sizeof(octets), sig);
	assert_int_not_equal(n, 0);
	assert_true(n <= (size_t)EVP_PKEY_get_size(key));
	assert_int_equal(certkit_scheme(w->kit), scheme);
	/* What is to be signed, not a digest of it. */
	assert_int_equal(certkit_octets(w->kit, &seen), sizeof(octets));
	assert_memory_equal(seen, octets, sizeof(octets));
	assert_true(verify(public, md, padding, octets, sizeof(octets), sig,
	    n));
	octets[0] ^= 1;
	assert_false(verify(public, md, padding, octets, sizeof(octets), sig,
	    n));
	assert_int_equal(certkit_asked(w->kit), before + 1);
	certkit_fail(w->kit, true);
	assert_int_equal(sign(w, key, md, padding, octets, sizeof(octets),
	    sig), 0);
	certkit_fail(w->kit, false);
	EVP_PKEY_free(key);
	EVP_PKEY_free(public);
}

static void
test_kinds(void **state)
{
	struct world *w = *state;

	one(w, CK_P256, "SHA256", 0, 0x0403);
	one(w, CK_P384, "SHA384", 0, 0x0503);
	one(w, CK_ED25519, NULL, 0, 0x0807);
	one(w, CK_RSA2048, "SHA256", RSA_PKCS1_PSS_PADDING, 0x0804);
	one(w, CK_RSA2048, "SHA384", RSA_PKCS1_PSS_PADDING, 0x0805);
	one(w, CK_RSA2048, "SHA512", RSA_PKCS1_PSS_PADDING, 0x0806);
	one(w, CK_RSA4096, "SHA256", RSA_PKCS1_PSS_PADDING, 0x0804);
}

/* What TLS 1.3 does not have with this key: nobody is asked. */
static void
none(struct world *w, enum ck_kind kind, const char *md, int padding)
{
	EVP_PKEY *public = public_of(w, kind), *key;
	uint8_t sig[TLS_SIG_MAX];
	unsigned int before = certkit_asked(w->kit);
	const char *why;

	key = sigprov_key(w->sp, public, kind + 1, &w->signer, &why);
	assert_non_null(key);
	assert_int_equal(sign(w, key, md, padding, sig, 130, sig), 0);
	assert_int_equal(certkit_asked(w->kit), before);
	EVP_PKEY_free(key);
	EVP_PKEY_free(public);
}

static void
test_refused(void **state)
{
	struct world *w = *state;

	none(w, CK_P256, "SHA384", 0);
	none(w, CK_P256, "SHA1", 0);
	none(w, CK_P384, "SHA256", 0);
	none(w, CK_RSA2048, "SHA1", RSA_PKCS1_PSS_PADDING);
	none(w, CK_RSA2048, "SHA256", RSA_PKCS1_PADDING);
	none(w, CK_RSA2048, "SHA256", 0);
	none(w, CK_ED25519, "SHA512", 0);
}

static void
test_kinds_refused(void **state)
{
	struct world *w = *state;
	EVP_PKEY *public;
	const char *why = NULL;

	public = public_of(w, CK_RSA1024);
	assert_null(sigprov_key(w->sp, public, 1, &w->signer, &why));
	assert_string_equal(why, "RSA keys have 2048 to 4096 bits");
	EVP_PKEY_free(public);
	public = public_of(w, CK_P521);
	assert_null(sigprov_key(w->sp, public, 1, &w->signer, &why));
	assert_string_equal(why, "the curve is neither P-256 nor P-384");
	EVP_PKEY_free(public);
	public = EVP_PKEY_Q_keygen(NULL, NULL, "X25519");
	assert_null(sigprov_key(w->sp, public, 1, &w->signer, &why));
	assert_string_equal(why,
	    "the key is neither RSA, ECDSA nor Ed25519");
	EVP_PKEY_free(public);
}

/* Of another certificate: not the same key. */
static void
test_other(void **state)
{
	struct world *w = *state;
	EVP_PKEY *public = public_of(w, CK_P256), *key, *other;
	const char *why;

	key = sigprov_key(w->sp, public, 1, &w->signer, &why);
	other = EVP_EC_gen("P-256");
	assert_int_not_equal(EVP_PKEY_eq(other, key), 1);
	EVP_PKEY_free(other);
	other = EVP_EC_gen("P-384");
	assert_int_not_equal(EVP_PKEY_eq(other, key), 1);
	EVP_PKEY_free(other);
	EVP_PKEY_free(key);
	EVP_PKEY_free(public);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_kinds, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_kinds_refused, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(test_other, setup, teardown)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
