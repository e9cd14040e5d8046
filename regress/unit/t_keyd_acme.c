/* keyd's part of ACME: RFC 8555 6.2, 7.3 to 7.6, RFC 8737 3, RFC 7638. */

#include <sys/mman.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/x509v3.h>

#include "common/enc.h"
#include "common/json_read.h"
#include "common/log.h"
#include "keyd/acme.h"
#include "keyd/store.h"

#define NOW	1795000000

static EVP_PKEY *account, *cert;
static struct acme *a;
static struct buf names, contacts;

static void
conf_names(struct r_acme *c, const char *const *v, size_t n)
{
	struct r_text t;
	size_t i;

	memset(c, 0, sizeof(*c));
	buf_clear(&names);
	buf_clear(&contacts);
	for (i = 0; i < n; i++) {
		t.v = slice_str(v[i]);
		msg_list_add(&c->names, &names, MR_TEXT, &t);
	}
	msg_list_close(&c->names, &names);
	t.v = slice_str("mailto:\"a\"@example.org");
	msg_list_add(&c->contact, &contacts, MR_TEXT, &t);
	msg_list_close(&c->contact, &contacts);
}

static struct acme *
make(const char *const *v, size_t n, char *why, size_t len)
{
	struct r_acme c;

	conf_names(&c, v, n);
	(void)EVP_PKEY_up_ref(account);
	(void)EVP_PKEY_up_ref(cert);
	return acme_new(account, cert, &c, why, len);
}

static int
setup(void **state)
{
	static const char *const v[] = { "hs.example.org", "192.0.2.7" };
	char why[128] = "";

	(void)state;
	account = acme_key_make();
	cert = acme_key_make();
	a = make(v, 2, why, sizeof(why));
	assert_non_null(a);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	acme_free(a);
	EVP_PKEY_free(account);
	EVP_PKEY_free(cert);
	buf_free(&names);
	buf_free(&contacts);
	return 0;
}

/* base64url without padding; a NUL behind. */
static size_t
unb64(uint8_t *to, size_t max, struct slice s)
{
	char t[8192];
	size_t i;
	long n;

	assert_true(s.n + 4 < sizeof(t));
	for (i = 0; i < s.n; i++) {
		assert_null(memchr("+/=", s.p[i], 3));
		t[i] = s.p[i] == '-' ? '+' : s.p[i] == '_' ? '/' : s.p[i];
	}
	while (i % 4 != 0)
		t[i++] = '=';
	n = b64_dec(to, max - 1, slice_mem(t, i));
	assert_true(n >= 0);
	to[n] = '\0';
	return (size_t)n;
}

struct jws {
	struct buf	 body;
	char		 head[8192];
	char		 payload[8192];
	size_t		 npayload;
};

static bool
verifies(const char *in, size_t n, const uint8_t raw[64])
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	ECDSA_SIG *s = ECDSA_SIG_new();
	uint8_t *der = NULL;
	int nder;
	bool ok;

	assert_int_equal(ECDSA_SIG_set0(s, BN_bin2bn(raw, 32, NULL),
	    BN_bin2bn(raw + 32, 32, NULL)), 1);
	nder = i2d_ECDSA_SIG(s, &der);
	assert_true(nder > 0);
	assert_int_equal(EVP_DigestVerifyInit(md, NULL, EVP_sha256(), NULL,
	    account), 1);
	ok = EVP_DigestVerify(md, der, (size_t)nder, (const uint8_t *)in,
	    n) == 1;
	OPENSSL_free(der);
	ECDSA_SIG_free(s);
	EVP_MD_CTX_free(md);
	return ok;
}

/* Signs, checks the signature, and takes it apart. */
static void
sign(struct jws *w, enum acme_form form, const char *kid, const char *der)
{
	struct m_acme_sign m = { 0 };
	struct slice head, payload, sig;
	char why[128] = "", in[16384];
	uint8_t raw[128];
	struct jdoc *doc;

	m.form = (uint8_t)form;
	m.url = slice_str("https://ca.example/acme/x");
	m.nonce = slice_str("no\"nce");
	m.account = slice_str(kid);
	m.der = slice_str(der);
	memset(w, 0, sizeof(*w));
	if (acme_sign(a, &m, &w->body, why, sizeof(why)) == -1)
		fail_msg("%s", why);
	doc = json_read(w->body.p, w->body.n, ACME_BODY_MAX, NULL, NULL);
	assert_non_null(doc);
	assert_int_equal(jval_count(jdoc_root(doc)), 3);
	assert_true(jval_str(jval_get(jdoc_root(doc), "protected"), &head));
	assert_true(jval_str(jval_get(jdoc_root(doc), "payload"), &payload));
	assert_true(jval_str(jval_get(jdoc_root(doc), "signature"), &sig));
	(void)snprintf(in, sizeof(in), "%.*s.%.*s", (int)head.n, head.p,
	    (int)payload.n, payload.p);
	assert_int_equal(unb64(raw, sizeof(raw), sig), 64);
	assert_true(verifies(in, strlen(in), raw));
	raw[5] ^= 1;
	assert_false(verifies(in, strlen(in), raw));
	(void)unb64((uint8_t *)w->head, sizeof(w->head), head);
	w->npayload = unb64((uint8_t *)w->payload, sizeof(w->payload),
	    payload);
	jdoc_free(doc, false);
	buf_free(&w->body);
}

#define KID	"https://ca.example/acct/1"
#define HEAD	"{\"alg\":\"ES256\""
#define TAIL	"\"nonce\":\"no\\\"nce\",\"url\":\"https://ca.example/acme/x\"}"

static void
test_account(void **state)
{
	struct jws w;

	(void)state;
	sign(&w, ACME_ACCOUNT, "", "");
	assert_true(strncmp(w.head, HEAD ",\"jwk\":{\"crv\":\"P-256\","
	    "\"kty\":\"EC\",\"x\":\"", 51) == 0);
	assert_non_null(strstr(w.head, "}," TAIL));
	assert_string_equal(w.payload, "{\"termsOfServiceAgreed\":true,"
	    "\"contact\":[\"mailto:\\\"a\\\"@example.org\"]}");
}

static void
test_forms(void **state)
{
	struct jws w;

	(void)state;
	sign(&w, ACME_ORDER, KID, "");
	assert_string_equal(w.head, HEAD ",\"kid\":\"" KID "\"," TAIL);
	assert_string_equal(w.payload, "{\"identifiers\":[{\"type\":\"dns\","
	    "\"value\":\"hs.example.org\"},{\"type\":\"ip\",\"value\":"
	    "\"192.0.2.7\"}]}");
	sign(&w, ACME_GET, KID, "");
	assert_int_equal(w.npayload, 0);
	sign(&w, ACME_TRY, KID, "");
	assert_string_equal(w.payload, "{}");
	sign(&w, ACME_REVOKE, KID, "DER");
	assert_string_equal(w.payload, "{\"certificate\":\"REVS\"}");
}

static void
test_csr(void **state)
{
	STACK_OF(X509_EXTENSION) *exts;
	GENERAL_NAMES *g;
	const unsigned char *p;
	uint8_t der[4096];
	struct slice csr;
	struct jdoc *doc;
	struct jws w;
	X509_REQ *r;
	size_t n;

	(void)state;
	sign(&w, ACME_FINALIZE, KID, "");
	doc = json_read(w.payload, w.npayload, 8192, NULL, NULL);
	assert_true(jval_str(jval_get(jdoc_root(doc), "csr"), &csr));
	n = unb64(der, sizeof(der), csr);
	jdoc_free(doc, false);
	p = der;
	r = d2i_X509_REQ(NULL, &p, (long)n);
	assert_non_null(r);
	assert_int_equal(X509_REQ_verify(r, cert), 1);
	exts = X509_REQ_get_extensions(r);
	g = X509V3_get_d2i(exts, NID_subject_alt_name, NULL, NULL);
	assert_int_equal(sk_GENERAL_NAME_num(g), 2);
	assert_int_equal(sk_GENERAL_NAME_value(g, 0)->type, GEN_DNS);
	assert_int_equal(sk_GENERAL_NAME_value(g, 1)->type, GEN_IPADD);
	GENERAL_NAMES_free(g);
	sk_X509_EXTENSION_pop_free(exts, X509_EXTENSION_free);
	X509_REQ_free(r);
}

/* What whoever asks may not choose. */
static void
test_refused(void **state)
{
	struct m_acme_sign m = { 0 };
	struct buf b = { NULL, 0, 0 };
	char why[128];

	(void)state;
	m.form = ACME_GET;
	m.nonce = slice_str("n");
	m.url = slice_str("http://ca.example/");
	m.account = slice_str(KID);
	assert_int_equal(acme_sign(a, &m, &b, why, sizeof(why)), -1);
	assert_string_equal(why, "the URL is not https");
	m.url = slice_str("https://ca.example/");
	m.account = slice_str("");
	assert_int_equal(acme_sign(a, &m, &b, why, sizeof(why)), -1);
	m.form = ACME_ACCOUNT;
	m.account = slice_str(KID);
	assert_int_equal(acme_sign(a, &m, &b, why, sizeof(why)), -1);
	m.form = ACME_TRY;
	m.der = slice_str("x");
	assert_int_equal(acme_sign(a, &m, &b, why, sizeof(why)), -1);
	m.der = slice_str("");
	m.form = 7;
	assert_int_equal(acme_sign(a, &m, &b, why, sizeof(why)), -1);
	assert_string_equal(why, "there is no such form");
	assert_int_equal(b.n, 0);
	buf_free(&b);
}

static void
test_keys(void **state)
{
	static const char *const v[] = { "x.example" };
	struct r_acme c;
	char why[128];
	EVP_PKEY *rsa = EVP_RSA_gen(2048);

	(void)state;
	conf_names(&c, v, 1);
	(void)EVP_PKEY_up_ref(account);
	(void)EVP_PKEY_up_ref(account);
	assert_null(acme_new(account, account, &c, why, sizeof(why)));
	assert_string_equal(why, "account and certificate must have keys of "
	    "their own");
	(void)EVP_PKEY_up_ref(account);
	assert_null(acme_new(account, rsa, &c, why, sizeof(why)));
	assert_string_equal(why, "an ACME key is not of P-256");
	assert_null(make(NULL, 0, why, sizeof(why)));
}

/* The thumbprint is that of the key in the header. */
static void
test_thumbprint(void **state)
{
	uint8_t hash[SHA256_DIGEST_LENGTH], got[64];
	const char *jwk, *end;
	struct jws w;

	(void)state;
	sign(&w, ACME_ACCOUNT, "", "");
	jwk = strstr(w.head, "{\"crv\"");
	end = strchr(jwk, '}') + 1;
	(void)SHA256((const uint8_t *)jwk, (size_t)(end - jwk), hash);
	assert_int_equal(strlen(acme_thumbprint(a)), ACME_THUMBPRINT);
	assert_int_equal(unb64(got, sizeof(got),
	    slice_str(acme_thumbprint(a))), 32);
	assert_memory_equal(got, hash, 32);
}

static void
test_alpn(void **state)
{
	uint8_t hash[SHA256_DIGEST_LENGTH];
	struct buf der = { NULL, 0, 0 };
	const ASN1_OCTET_STRING *s;
	const unsigned char *p;
	X509_EXTENSION *e;
	ASN1_OBJECT *id;
	char why[128], text[128];
	EVP_PKEY *k;
	X509 *x;
	int at;

	(void)state;
	assert_null(acme_alpn(a, slice_str("evil.example"), slice_str("t"),
	    NOW, &der, why, sizeof(why)));
	assert_string_equal(why, "the name is not configured");
	k = acme_alpn(a, slice_str("hs.example.org"), slice_str("tok-en"),
	    NOW, &der, why, sizeof(why));
	assert_non_null(k);
	p = der.p;
	x = d2i_X509(NULL, &p, (long)der.n);
	assert_int_equal(X509_verify(x, k), 1);
	assert_int_equal(X509_check_host(x, "hs.example.org", 0, 0, NULL), 1);
	assert_int_equal(EVP_PKEY_eq(k, cert), 0);
	id = OBJ_txt2obj("1.3.6.1.5.5.7.1.31", 1);
	at = X509_get_ext_by_OBJ(x, id, -1);
	ASN1_OBJECT_free(id);
	assert_true(at >= 0);
	e = X509_get_ext(x, at);
	assert_int_equal(X509_EXTENSION_get_critical(e), 1);
	s = X509_EXTENSION_get_data(e);
	(void)snprintf(text, sizeof(text), "tok-en.%s", acme_thumbprint(a));
	(void)SHA256((const uint8_t *)text, strlen(text), hash);
	assert_int_equal(ASN1_STRING_length(s), 34);
	assert_memory_equal(ASN1_STRING_get0_data(s), "\x04\x20", 2);
	assert_memory_equal(ASN1_STRING_get0_data(s) + 2, hash, 32);
	X509_free(x);
	EVP_PKEY_free(k);
	buf_free(&der);
}

static size_t
issue(char pem[8192], EVP_PKEY *key, const char *alt)
{
	X509 *x = X509_new();
	X509_EXTENSION *e;
	BIO *b = BIO_new(BIO_s_mem());
	int n;

	assert_non_null(ASN1_TIME_set(X509_getm_notBefore(x), NOW));
	assert_non_null(ASN1_TIME_set(X509_getm_notAfter(x), NOW + 7776000));
	e = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, alt);
	assert_int_equal(X509_add_ext(x, e, -1), 1);
	X509_EXTENSION_free(e);
	assert_int_equal(X509_set_pubkey(x, key), 1);
	assert_int_equal(ASN1_INTEGER_set_uint64(X509_get_serialNumber(x),
	    0x123456789abcdef), 1);
	assert_true(X509_sign(x, account, EVP_sha256()) > 0);
	assert_int_equal(PEM_write_bio_X509(b, x), 1);
	n = BIO_read(b, pem, 8192);
	X509_free(x);
	BIO_free(b);
	return (size_t)n;
}

static void
test_chain(void **state)
{
	struct buf leaf = { NULL, 0, 0 };
	int64_t from, until;
	char pem[8192], why[128], serial[ACME_SERIAL];
	size_t n;

	(void)state;
	n = issue(pem, cert, "DNS:hs.example.org,IP:192.0.2.7");
	assert_true(acme_chain(a, slice_mem(pem, n), true, &from, &until,
	    &leaf, why, sizeof(why)));
	assert_int_equal(from, NOW);
	assert_int_equal(until, NOW + 7776000);
	assert_true(leaf.n > 100);
	acme_serial(buf_slice_of(&leaf), serial);
	assert_string_equal(serial, "0123456789ABCDEF");
	acme_serial(slice_mem(leaf.p, leaf.n - 1), serial);
	assert_string_equal(serial, "");
	n = issue(pem, cert, "DNS:hs.example.org");
	assert_false(acme_chain(a, slice_mem(pem, n), true, &from, &until,
	    &leaf, why, sizeof(why)));
	assert_string_equal(why, "the certificate is not for all names");
	/* Names were added since it was had: it is as good as before. */
	assert_true(acme_chain(a, slice_mem(pem, n), false, &from, &until,
	    &leaf, why, sizeof(why)));
	n = issue(pem, account, "DNS:hs.example.org,IP:192.0.2.7");
	assert_false(acme_chain(a, slice_mem(pem, n), false, &from, &until,
	    &leaf, why, sizeof(why)));
	assert_string_equal(why, "the certificate is of another key");
	assert_false(acme_chain(a, slice_str("junk"), true, &from, &until,
	    &leaf, why, sizeof(why)));
	buf_free(&leaf);
}

static void
test_files(void **state)
{
	int fd = memfd_create("key", 0);
	EVP_PKEY *k, *again;
	char why[128];

	(void)state;
	assert_null(pemfile_read(fd, why, sizeof(why)));
	assert_string_equal(why, "no private key in PEM form");
	k = pemfile_make(fd, why, sizeof(why));
	assert_non_null(k);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	again = pemfile_read(fd, why, sizeof(why));
	assert_int_equal(EVP_PKEY_eq(k, again), 1);
	/* What is there is never overwritten. */
	assert_null(pemfile_make(fd, why, sizeof(why)));
	assert_string_equal(why, "the file is not empty");
	EVP_PKEY_free(k);
	EVP_PKEY_free(again);
	close(fd);
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_account),
		TEST(test_forms),
		TEST(test_csr),
		TEST(test_refused),
		TEST(test_keys),
		TEST(test_thumbprint),
		TEST(test_alpn),
		TEST(test_chain),
		TEST(test_files)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
