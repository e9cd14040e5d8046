#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/x509v3.h>

#include "common/compat/compat.h"
#include "common/enc.h"
#include "common/json.h"
#include "common/log.h"
#include "keyd/acme.h"

#define COORD		32		/* octets of a coordinate, P-256 */
#define B64_MAX(n)	(4 * (((n) + 2) / 3) + 1)
#define DAY_S		86400
#define ALPN_DAYS	7
#define NAME_LEN	254
#define DER_MAX		8192

struct acme {
	EVP_PKEY	*account;
	EVP_PKEY	*cert;
	char		 name[ACME_NAMES_MAX][NAME_LEN];
	size_t		 nnames;
	struct buf	 contacts;	/* a JSON array */
	char		 x[B64_MAX(COORD)];
	char		 y[B64_MAX(COORD)];
	char		 thumbprint[B64_MAX(SHA256_DIGEST_LENGTH)];
};

/* RFC 7515 2: the URL's alphabet, without padding. */
static void
b64url(char *dst, const void *p, size_t n)
{
	char *c;

	b64_enc(dst, p, n);
	for (c = dst; *c != '\0'; c++) {
		if (*c == '+')
			*c = '-';
		else if (*c == '/')
			*c = '_';
		else if (*c == '=') {
			*c = '\0';
			break;
		}
	}
}

static void
put_b64url(struct buf *b, const void *p, size_t n)
{
	char *t;

	t = xmalloc(B64_MAX(n));
	b64url(t, p, n);
	buf_str(b, t);
	free(t);
}

static bool
is_p256(EVP_PKEY *k)
{
	char group[32] = "";

	return k != NULL && EVP_PKEY_get_base_id(k) == EVP_PKEY_EC &&
	    EVP_PKEY_get_group_name(k, group, sizeof(group), NULL) == 1 &&
	    strcmp(group, "prime256v1") == 0;
}

static bool
coordinate(EVP_PKEY *k, const char *which, char text[B64_MAX(COORD)])
{
	uint8_t p[COORD];
	BIGNUM *n = NULL;
	bool ok;

	ok = EVP_PKEY_get_bn_param(k, which, &n) == 1 &&
	    BN_bn2binpad(n, p, sizeof(p)) == COORD;
	BN_free(n);
	if (ok)
		b64url(text, p, sizeof(p));
	return ok;
}

static void
put_jwk(struct buf *b, const struct acme *a)
{
	buf_printf(b, "{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"%s\","
	    "\"y\":\"%s\"}", a->x, a->y);
}

/* Members in the order of RFC 7638 3.2, which put_jwk() keeps. */
static void
make_thumbprint(struct acme *a)
{
	uint8_t hash[SHA256_DIGEST_LENGTH];
	struct buf b = { NULL, 0, 0 };

	put_jwk(&b, a);
	(void)SHA256(b.p, b.n, hash);
	buf_free(&b);
	b64url(a->thumbprint, hash, sizeof(hash));
}

static bool
take_conf(struct acme *a, const struct r_acme *conf)
{
	struct msg_list it = conf->names;
	struct r_text t;
	struct json j;

	while (msg_list_next(&it, MR_TEXT, &t)) {
		if (a->nnames == ACME_NAMES_MAX ||
		    !slice_copy(a->name[a->nnames++], NAME_LEN, t.v))
			return false;
	}
	json_init(&j, &a->contacts);
	json_arr(&j);
	it = conf->contact;
	while (msg_list_next(&it, MR_TEXT, &t))
		json_str(&j, t.v);
	json_end(&j);
	return a->nnames > 0;
}

struct acme *
acme_new(EVP_PKEY *account, EVP_PKEY *cert, const struct r_acme *conf,
    char *why, size_t whylen)
{
	const char *wrong = NULL;
	struct acme *a;

	a = xcalloc(1, sizeof(*a));
	a->account = account;
	a->cert = cert;
	if (!is_p256(account) || !is_p256(cert))
		wrong = "an ACME key is not of P-256";
	else if (EVP_PKEY_eq(account, cert) == 1)
		wrong = "account and certificate must have keys of their own";
	else if (!coordinate(account, OSSL_PKEY_PARAM_EC_PUB_X, a->x) ||
	    !coordinate(account, OSSL_PKEY_PARAM_EC_PUB_Y, a->y))
		wrong = "the account key is of no use";
	else if (!take_conf(a, conf))
		wrong = "no names, or more than 32 of at most 253 octets";
	ERR_clear_error();
	if (wrong != NULL) {
		(void)snprintf(why, whylen, "%s", wrong);
		acme_free(a);
		return NULL;
	}
	make_thumbprint(a);
	return a;
}

void
acme_free(struct acme *a)
{
	if (a == NULL)
		return;
	EVP_PKEY_free(a->account);
	EVP_PKEY_free(a->cert);
	buf_free(&a->contacts);
	free(a);
}

const char *
acme_thumbprint(const struct acme *a)
{
	return a->thumbprint;
}

EVP_PKEY *
acme_key_make(void)
{
	EVP_PKEY *k;

	if ((k = EVP_EC_gen("P-256")) == NULL)
		fatalx("no P-256 key can be made");
	return k;
}

static bool
is_literal(const char *name)
{
	struct ip ip;

	return ip_parse(&ip, slice_str(name));
}

/* Alternative names of all that is configured, for request and check. */
static GENERAL_NAMES *
alt_names(const struct acme *a)
{
	struct buf b = { NULL, 0, 0 };
	GENERAL_NAMES *g;
	X509_EXTENSION *e;
	size_t i;

	for (i = 0; i < a->nnames; i++)
		buf_printf(&b, "%s%s:%s", i == 0 ? "" : ",",
		    is_literal(a->name[i]) ? "IP" : "DNS", a->name[i]);
	buf_u8(&b, 0);
	e = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name,
	    (const char *)b.p);
	buf_free(&b);
	g = e == NULL ? NULL : X509V3_EXT_d2i(e);
	X509_EXTENSION_free(e);
	return g;
}

/* RFC 8555 7.4: the request says the names of the order, and no more. */
static bool
put_csr(struct buf *b, const struct acme *a)
{
	STACK_OF(X509_EXTENSION) *exts = NULL;
	GENERAL_NAMES *names = alt_names(a);
	X509_REQ *r = X509_REQ_new();
	uint8_t *p = NULL;
	int n = -1;

	if (names != NULL && r != NULL &&
	    X509V3_add1_i2d(&exts, NID_subject_alt_name, names, 0, 0) == 1 &&
	    X509_REQ_set_version(r, X509_REQ_VERSION_1) == 1 &&
	    X509_REQ_add_extensions(r, exts) == 1 &&
	    X509_REQ_set_pubkey(r, a->cert) == 1 &&
	    X509_REQ_sign(r, a->cert, EVP_sha256()) > 0)
		n = i2d_X509_REQ(r, &p);
	if (n > 0)
		put_b64url(b, p, (size_t)n);
	OPENSSL_free(p);
	sk_X509_EXTENSION_pop_free(exts, X509_EXTENSION_free);
	GENERAL_NAMES_free(names);
	X509_REQ_free(r);
	return n > 0;
}

static void
put_identifiers(struct json *j, const struct acme *a)
{
	size_t i;

	json_key(j, "identifiers");
	json_arr(j);
	for (i = 0; i < a->nnames; i++) {
		json_obj(j);
		json_key(j, "type");
		json_cstr(j, is_literal(a->name[i]) ? "ip" : "dns");
		json_key(j, "value");
		json_cstr(j, a->name[i]);
		json_end(j);
	}
	json_end(j);
}

/* Appends the payload of a form; NULL, or what is wrong. */
static const char *
put_payload(struct buf *b, const struct acme *a, const struct m_acme_sign *m)
{
	struct buf text = { NULL, 0, 0 };
	const char *wrong = NULL;
	struct json j;

	if (m->form == ACME_GET)
		return NULL;
	json_init(&j, b);
	json_obj(&j);
	switch (m->form) {
	case ACME_ACCOUNT:
		json_key(&j, "termsOfServiceAgreed");
		json_bool(&j, true);
		json_key(&j, "contact");
		json_raw(&j, buf_slice_of(&a->contacts));
		break;
	case ACME_ORDER:
		put_identifiers(&j, a);
		break;
	case ACME_TRY:
		break;
	case ACME_FINALIZE:
		json_key(&j, "csr");
		if (!put_csr(&text, a))
			wrong = "the certificate request cannot be made";
		json_str(&j, buf_slice_of(&text));
		break;
	case ACME_REVOKE:
		json_key(&j, "certificate");
		put_b64url(&text, m->der.p, m->der.n);
		json_str(&j, buf_slice_of(&text));
		break;
	default:
		wrong = "there is no such form";
	}
	json_end(&j);
	buf_free(&text);
	return wrong;
}

/* RFC 8555 6.2: jwk for a new account, kid for all else. */
static void
put_header(struct buf *b, const struct acme *a, const struct m_acme_sign *m)
{
	struct buf jwk = { NULL, 0, 0 };
	struct json j;

	json_init(&j, b);
	json_obj(&j);
	json_key(&j, "alg");
	json_cstr(&j, "ES256");
	if (m->form == ACME_ACCOUNT) {
		put_jwk(&jwk, a);
		json_key(&j, "jwk");
		json_raw(&j, buf_slice_of(&jwk));
		buf_free(&jwk);
	} else {
		json_key(&j, "kid");
		json_str(&j, m->account);
	}
	json_key(&j, "nonce");
	json_str(&j, m->nonce);
	json_key(&j, "url");
	json_str(&j, m->url);
	json_end(&j);
}

/* ES256: r and s, each of 32 octets (RFC 7518 3.4). */
static bool
put_signature(struct buf *b, EVP_PKEY *key, const struct buf *in)
{
	uint8_t der[160], raw[2 * COORD];
	const uint8_t *p = der;
	size_t n = sizeof(der);
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	ECDSA_SIG *s = NULL;
	bool ok;

	ok = md != NULL && EVP_DigestSignInit_ex(md, NULL, "SHA256", NULL,
	    NULL, key, NULL) == 1 &&
	    EVP_DigestSign(md, der, &n, in->p, in->n) == 1 &&
	    (s = d2i_ECDSA_SIG(NULL, &p, (long)n)) != NULL &&
	    BN_bn2binpad(ECDSA_SIG_get0_r(s), raw, COORD) == COORD &&
	    BN_bn2binpad(ECDSA_SIG_get0_s(s), raw + COORD, COORD) == COORD;
	ECDSA_SIG_free(s);
	EVP_MD_CTX_free(md);
	if (ok)
		put_b64url(b, raw, sizeof(raw));
	return ok;
}

/* Only what may stand in a header of a request to a public server. */
static const char *
unfit(const struct m_acme_sign *m)
{
	if (!slice_prefix(m->url, "https://"))
		return "the URL is not https";
	if (m->form == ACME_ACCOUNT ? m->account.n != 0 :
	    !slice_prefix(m->account, "https://"))
		return "the account's URL is missing, or is not due";
	if ((m->form == ACME_REVOKE) != (m->der.n != 0))
		return "a certificate belongs to a revocation alone";
	return NULL;
}

static void
put_jws(struct buf *body, const struct buf *in, const struct buf *sig)
{
	const uint8_t *dot = memchr(in->p, '.', in->n);
	size_t head = (size_t)(dot - in->p);

	buf_str(body, "{\"protected\":\"");
	buf_put(body, in->p, head);
	buf_str(body, "\",\"payload\":\"");
	buf_put(body, dot + 1, in->n - head - 1);
	buf_str(body, "\",\"signature\":\"");
	buf_put(body, sig->p, sig->n);
	buf_str(body, "\"}");
}

int
acme_sign(const struct acme *a, const struct m_acme_sign *m, struct buf *body,
    char *why, size_t whylen)
{
	struct buf text = { NULL, 0, 0 }, in = { NULL, 0, 0 };
	struct buf sig = { NULL, 0, 0 };
	const char *wrong;

	if ((wrong = unfit(m)) == NULL) {
		put_header(&text, a, m);
		put_b64url(&in, text.p, text.n);
		buf_str(&in, ".");
		buf_clear(&text);
		wrong = put_payload(&text, a, m);
		put_b64url(&in, text.p, text.n);
	}
	if (wrong == NULL && !put_signature(&sig, a->account, &in))
		wrong = "the signature cannot be made";
	if (wrong == NULL)
		put_jws(body, &in, &sig);
	else
		(void)snprintf(why, whylen, "%s", wrong);
	ERR_clear_error();
	buf_free(&text);
	buf_free(&in);
	buf_free(&sig);
	return wrong == NULL ? 0 : -1;
}

static bool
has_name(const struct acme *a, struct slice name)
{
	size_t i;

	for (i = 0; i < a->nnames; i++)
		if (slice_eqs(name, a->name[i]))
			return true;
	return false;
}

/* RFC 8737 3: the digest of the key authorization, in a critical extension. */
static bool
put_acme_id(X509 *x, const struct acme *a, struct slice token)
{
	uint8_t hash[2 + SHA256_DIGEST_LENGTH];
	struct buf b = { NULL, 0, 0 };
	ASN1_OCTET_STRING *s = ASN1_OCTET_STRING_new();
	ASN1_OBJECT *id = OBJ_txt2obj("1.3.6.1.5.5.7.1.31", 1);
	X509_EXTENSION *e = NULL;
	bool ok;

	buf_slice(&b, token);
	buf_printf(&b, ".%s", a->thumbprint);
	hash[0] = V_ASN1_OCTET_STRING;
	hash[1] = SHA256_DIGEST_LENGTH;
	(void)SHA256(b.p, b.n, hash + 2);
	buf_free(&b);
	ok = s != NULL && id != NULL &&
	    ASN1_OCTET_STRING_set(s, hash, sizeof(hash)) == 1 &&
	    (e = X509_EXTENSION_create_by_OBJ(NULL, id, 1, s)) != NULL &&
	    X509_add_ext(x, e, -1) == 1;
	X509_EXTENSION_free(e);
	ASN1_OBJECT_free(id);
	ASN1_OCTET_STRING_free(s);
	return ok;
}

static bool
put_alt(X509 *x, const char *name)
{
	char text[NAME_LEN + 4];
	X509_EXTENSION *e;
	bool ok;

	(void)snprintf(text, sizeof(text), "%s:%s",
	    is_literal(name) ? "IP" : "DNS", name);
	e = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, text);
	ok = e != NULL && X509_add_ext(x, e, -1) == 1;
	X509_EXTENSION_free(e);
	return ok;
}

static bool
alpn_cert(X509 *x, const struct acme *a, EVP_PKEY *key, const char *name,
    struct slice token, int64_t now)
{
	X509_NAME *n = X509_get_subject_name(x);

	return X509_set_version(x, X509_VERSION_3) == 1 &&
	    ASN1_INTEGER_set_uint64(X509_get_serialNumber(x),
	    (uint64_t)now & INT64_MAX) == 1 &&
	    ASN1_TIME_set(X509_getm_notBefore(x),
	    (time_t)(now - DAY_S)) != NULL &&
	    ASN1_TIME_set(X509_getm_notAfter(x),
	    (time_t)(now + (int64_t)ALPN_DAYS * DAY_S)) != NULL &&
	    X509_NAME_add_entry_by_txt(n, "CN", MBSTRING_ASC,
	    (const unsigned char *)"acme challenge", -1, -1, 0) == 1 &&
	    X509_set_issuer_name(x, n) == 1 && put_alt(x, name) &&
	    put_acme_id(x, a, token) && X509_set_pubkey(x, key) == 1 &&
	    X509_sign(x, key, EVP_sha256()) > 0;
}

EVP_PKEY *
acme_alpn(const struct acme *a, struct slice name, struct slice token,
    int64_t now, struct buf *der, char *why, size_t whylen)
{
	char text[NAME_LEN];
	uint8_t *p = NULL;
	EVP_PKEY *key;
	X509 *x;
	int n = -1;

	if (!has_name(a, name) || !slice_copy(text, sizeof(text), name)) {
		(void)snprintf(why, whylen, "the name is not configured");
		return NULL;
	}
	key = acme_key_make();
	if ((x = X509_new()) != NULL && alpn_cert(x, a, key, text, token, now))
		n = i2d_X509(x, &p);
	X509_free(x);
	ERR_clear_error();
	if (n > 0)
		buf_put(der, p, (size_t)n);
	OPENSSL_free(p);
	if (n > 0)
		return key;
	EVP_PKEY_free(key);
	(void)snprintf(why, whylen, "the certificate cannot be made");
	return NULL;
}

static bool
unix_time(const ASN1_TIME *t, int64_t *at)
{
	ASN1_TIME *epoch = ASN1_TIME_set(NULL, 0);
	int days, s;
	bool ok;

	ok = epoch != NULL && ASN1_TIME_diff(&days, &s, epoch, t) == 1;
	ASN1_TIME_free(epoch);
	if (ok)
		*at = (int64_t)days * DAY_S + s;
	return ok;
}

static bool
covers(X509 *x, const struct acme *a)
{
	size_t i;

	for (i = 0; i < a->nnames; i++)
		if ((is_literal(a->name[i]) ?
		    X509_check_ip_asc(x, a->name[i], 0) :
		    X509_check_host(x, a->name[i], 0, 0, NULL)) != 1)
			return false;
	return true;
}

void
acme_serial(struct slice der, char dst[ACME_SERIAL])
{
	const unsigned char *p = (const unsigned char *)der.p;
	BIGNUM *n = NULL;
	char *text = NULL;
	X509 *x;

	dst[0] = '\0';
	if ((x = d2i_X509(NULL, &p, (long)der.n)) != NULL &&
	    (n = ASN1_INTEGER_to_BN(X509_get0_serialNumber(x), NULL)) !=
	    NULL && (text = BN_bn2hex(n)) != NULL &&
	    strlcpy(dst, text, ACME_SERIAL) >= ACME_SERIAL)
		dst[0] = '\0';
	OPENSSL_free(text);
	BN_free(n);
	X509_free(x);
	ERR_clear_error();
}

static bool
put_der(struct buf *to, X509 *x)
{
	uint8_t *p = NULL;
	int n;

	if ((n = i2d_X509(x, &p)) > 0)
		buf_put(to, p, (size_t)n);
	OPENSSL_free(p);
	return n > 0 && n <= DER_MAX;
}

bool
acme_chain(const struct acme *a, struct slice pem, bool all_names,
    int64_t *from, int64_t *until, struct buf *leaf, char *why, size_t whylen)
{
	const char *wrong = NULL;
	X509 *x = NULL;
	BIO *b;

	if ((b = BIO_new_mem_buf(pem.p, (int)pem.n)) != NULL)
		x = PEM_read_bio_X509(b, NULL, NULL, NULL);
	BIO_free(b);
	if (x == NULL)
		wrong = "no certificate in PEM form";
	else if (EVP_PKEY_eq(X509_get0_pubkey(x), a->cert) != 1)
		wrong = "the certificate is of another key";
	else if (all_names && !covers(x, a))
		wrong = "the certificate is not for all names";
	else if (!unix_time(X509_get0_notBefore(x), from) ||
	    !unix_time(X509_get0_notAfter(x), until))
		wrong = "the certificate has no valid time";
	else if (!put_der(leaf, x))
		wrong = "the certificate is too large";
	X509_free(x);
	ERR_clear_error();
	if (wrong != NULL)
		(void)snprintf(why, whylen, "%s", wrong);
	return wrong == NULL;
}
