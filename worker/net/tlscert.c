/* Certificates: files, names, and the relay's meta certificate. */

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "common/enc.h"
#include "common/ip.h"
#include "common/log.h"
#include "worker/net/tls_int.h"

#define SOON_S		(2 * 24 * 3600)	/* before a certificate ends */
#define CHAIN_MAX	8		/* certificates in a file */
#define DAY		(24 * 3600)
#define META_DAYS	30		/* before and after (derp.md 1.4) */
#define META_SERIAL	2		/* the relay protocol's version */

static void
cert_free(struct cert *c)
{
	SSL_CTX_free(c->ctx);
	X509_free(c->leaf);
	sk_X509_pop_free(c->chain, X509_free);
	memset(c, 0, sizeof(*c));
}

void
tls_certs_free(struct tls *t)
{
	unsigned int i;

	for (i = 0; i < t->ncerts; i++)
		cert_free(&t->certs[i]);
	t->ncerts = 0;
	while (t->nalpns > 0) {
		t->nalpns--;
		cert_free(&t->alpns[t->nalpns].cert);
		free(t->alpns[t->nalpns].name);
	}
	tls_meta_none(t);
}

/* Names. */

static bool
same_name(const char *name, size_t n, struct slice host)
{
	const char *dot;

	if (n == host.n && strncasecmp(name, host.p, n) == 0)
		return true;
	if (n < 3 || name[0] != '*' || name[1] != '.')
		return false;
	/* A star is one whole label. */
	dot = memchr(host.p, '.', host.n);
	return dot != NULL && dot != host.p &&
	    n - 1 == host.n - (size_t)(dot - host.p) &&
	    strncasecmp(name + 1, dot, n - 1) == 0;
}

static bool
is_for(const struct cert *c, struct slice host)
{
	GENERAL_NAMES *names;
	const GENERAL_NAME *name;
	bool found = false;
	int i;

	names = X509_get_ext_d2i(c->leaf, NID_subject_alt_name, NULL, NULL);
	for (i = 0; i < sk_GENERAL_NAME_num(names) && !found; i++) {
		name = sk_GENERAL_NAME_value(names, i);
		if (name->type != GEN_DNS)
			continue;
		found = same_name((const char *)
		    ASN1_STRING_get0_data(name->d.dNSName),
		    (size_t)ASN1_STRING_length(name->d.dNSName), host);
	}
	GENERAL_NAMES_free(names);
	return found;
}

const struct cert *
tls_cert_for(const struct tls *t, struct slice host)
{
	unsigned int i;

	if (host.n != 0 && host.p[host.n - 1] == '.')
		host.n--;
	for (i = 0; i < t->ncerts && host.n != 0; i++)
		if (is_for(&t->certs[i], host))
			return &t->certs[i];
	return t->ncerts == 0 ? NULL : &t->certs[0];
}

/* Putting one in place. */

static bool
set_chain(struct cert *c)
{
	int i;

	for (i = 0; i < sk_X509_num(c->chain); i++)
		if (SSL_CTX_add1_chain_cert(c->ctx,
		    sk_X509_value(c->chain, i)) != 1)
			return false;
	return true;
}

/* c has leaf and chain; NULL, or why it can't be used. */
static const char *
arm(const struct tls *t, struct cert *c, bool acme)
{
	const char *why = "the certificate can't be used";
	EVP_PKEY *public, *key;
	bool ok;

	if ((public = X509_get0_pubkey(c->leaf)) == NULL)
		return "the certificate has no key that we know";
	key = sigprov_key(t->sigprov, public, c->number, &t->asks, &why);
	if (key == NULL)
		return why;
	ok = (c->ctx = tls_ctx_new(t, acme)) != NULL &&
	    SSL_CTX_use_certificate(c->ctx, c->leaf) == 1 &&
	    SSL_CTX_use_PrivateKey(c->ctx, key) == 1 &&
	    (acme || set_chain(c));
	EVP_PKEY_free(key);
	return ok ? NULL : "the certificate can't be used";
}

/* Where the one of this number is; ncerts: nowhere. */
static unsigned int
find(const struct tls *t, unsigned int number)
{
	unsigned int i;

	for (i = 0; i < t->ncerts && t->certs[i].number != number; i++)
		;
	return i;
}

static const char *
place(struct tls *t, struct cert *c)
{
	const char *why;
	unsigned int i;

	i = find(t, c->number);
	if (i == TLS_CERTS)
		why = "too many certificates";
	else if ((why = arm(t, c, false)) == NULL) {
		if (i == t->ncerts)
			t->ncerts++;
		else
			cert_free(&t->certs[i]);
		t->certs[i] = *c;
		return NULL;
	}
	cert_free(c);
	ERR_clear_error();
	return why;
}

void
tls_del(struct tls *t, unsigned int number)
{
	unsigned int i;

	if ((i = find(t, number)) == t->ncerts)
		return;
	cert_free(&t->certs[i]);
	t->ncerts--;
	memmove(&t->certs[i], &t->certs[i + 1],
	    (t->ncerts - i) * sizeof(t->certs[0]));
}

/* Certificates of challenges. */

static unsigned int
alpn_find(const struct tls *t, struct slice host)
{
	unsigned int i;

	for (i = 0; i < t->nalpns; i++)
		if (host.n == strlen(t->alpns[i].name) && strncasecmp(
		    t->alpns[i].name, host.p, host.n) == 0)
			break;
	return i;
}

const struct cert *
tls_alpn_for(const struct tls *t, struct slice host)
{
	unsigned int i = host.n == 0 ? t->nalpns : alpn_find(t, host);

	return i == t->nalpns ? NULL : &t->alpns[i].cert;
}

void
tls_del_alpn(struct tls *t, const char *name)
{
	unsigned int i = alpn_find(t, slice_str(name));

	if (i == t->nalpns)
		return;
	cert_free(&t->alpns[i].cert);
	free(t->alpns[i].name);
	t->alpns[i] = t->alpns[--t->nalpns];
}

int
tls_add_alpn(struct tls *t, const char *name, unsigned int number,
    const void *der, size_t n, char *why, size_t len)
{
	struct cert c = { .number = number };
	const unsigned char *p = der;
	const char *text;

	tls_del_alpn(t, name);
	c.leaf = X509_new_ex(sigprov_lib(t->sigprov), NULL);
	if (t->nalpns == TLS_ALPNS)
		text = "too many challenges";
	else if (n > LONG_MAX || d2i_X509(&c.leaf, &p, (long)n) == NULL ||
	    p != (const unsigned char *)der + n)
		text = "the certificate is broken";
	else
		text = arm(t, &c, true);
	if (text != NULL) {
		cert_free(&c);
		ERR_clear_error();
		(void)strlcpy(why, text, len);
		return -1;
	}
	t->alpns[t->nalpns].name = xstrdup(name);
	t->alpns[t->nalpns++].cert = c;
	return 0;
}

/* The next certificate of a file.  1, 0 no more, -1 broken. */
static int
next_pem(const struct tls *t, BIO *b, X509 **x)
{
	unsigned long e;

	if ((*x = X509_new_ex(sigprov_lib(t->sigprov), NULL)) == NULL)
		fatalx("out of memory");
	if (PEM_read_bio_X509(b, x, NULL, NULL) != NULL)
		return 1;
	X509_free(*x);
	*x = NULL;
	e = ERR_peek_last_error();
	ERR_clear_error();
	return ERR_GET_LIB(e) == ERR_LIB_PEM &&
	    ERR_GET_REASON(e) == PEM_R_NO_START_LINE ? 0 : -1;
}

static const char *
read_chain(const struct tls *t, BIO *b, struct cert *c)
{
	X509 *x;
	int rc;

	if ((c->chain = sk_X509_new_null()) == NULL)
		fatalx("out of memory");
	if ((rc = next_pem(t, b, &c->leaf)) != 1)
		return rc == 0 ? "there is no certificate in it" :
		    "the certificate is broken";
	while ((rc = next_pem(t, b, &x)) == 1) {
		if (sk_X509_push(c->chain, x) == 0)
			fatalx("out of memory");
		if (sk_X509_num(c->chain) == CHAIN_MAX)
			return "too many certificates in it";
	}
	return rc == 0 ? NULL : "a certificate of the chain is broken";
}

int
tls_add(struct tls *t, unsigned int number, const char *pem, size_t n,
    const char *name, char *why, size_t len)
{
	struct cert c = { .number = number };
	const char *text = "the file is too large";
	BIO *b;

	if (n <= INT_MAX && (b = BIO_new_mem_buf(pem, (int)n)) != NULL) {
		if ((text = read_chain(t, b, &c)) == NULL)
			text = place(t, &c);
		else
			cert_free(&c);
		BIO_free(b);
	}
	if (text == NULL)
		return 0;
	snprintf(why, len, "%.150s: %s", name, text);
	return -1;
}

int
tls_add_der(struct tls *t, unsigned int number, const void *der, size_t n,
    char *why, size_t len)
{
	struct cert c = { .number = number };
	const char *text = "the certificate is broken";
	const unsigned char *p = der;

	c.leaf = X509_new_ex(sigprov_lib(t->sigprov), NULL);
	if (c.leaf != NULL && n <= LONG_MAX &&
	    d2i_X509(&c.leaf, &p, (long)n) != NULL &&
	    p == (const unsigned char *)der + n)
		text = place(t, &c);
	else
		cert_free(&c);
	ERR_clear_error();
	if (text == NULL)
		return 0;
	snprintf(why, len, "%s", text);
	return -1;
}

static void
say_when(const char *what, const ASN1_TIME *at, char *text, size_t len)
{
	char date[64] = "an unknown date";
	BIO *b = BIO_new(BIO_s_mem());
	int n;

	if (b == NULL)
		fatalx("out of memory");
	if (ASN1_TIME_print(b, at) == 1 &&
	    (n = BIO_read(b, date, sizeof(date) - 1)) > 0)
		date[n] = '\0';
	BIO_free(b);
	(void)snprintf(text, len, "%s %s", what, date);
}

bool
tls_is_aged(const struct tls *t, unsigned int number, int64_t now, char *text,
    size_t len)
{
	time_t today = (time_t)now, soon = today + SOON_S;
	const ASN1_TIME *from, *until;
	unsigned int i;

	if ((i = find(t, number)) == t->ncerts)
		return false;
	from = X509_get0_notBefore(t->certs[i].leaf);
	until = X509_get0_notAfter(t->certs[i].leaf);
	if (X509_cmp_time(until, &today) < 0)
		say_when("has expired on", until, text, len);
	else if (X509_cmp_time(from, &today) > 0)
		say_when("is not valid before", from, text, len);
	else if (X509_cmp_time(until, &soon) < 0)
		say_when("expires on", until, text, len);
	else
		return false;
	return true;
}

/* The meta certificate. */

static bool
set_name(X509 *x, const uint8_t derp_key[TLS_DERP_KEY])
{
	char text[7 + 2 * TLS_DERP_KEY + 1] = "derpkey";
	X509_NAME *name = X509_NAME_new();
	bool ok;

	hex_enc(text + 7, derp_key, TLS_DERP_KEY);
	/* Longer than X.520 has it: not to be checked. */
	ok = name != NULL && X509_NAME_add_entry_by_NID(name, NID_commonName,
	    V_ASN1_PRINTABLESTRING, (const unsigned char *)text,
	    (int)strlen(text), -1, 0) == 1 &&
	    X509_set_subject_name(x, name) == 1 &&
	    X509_set_issuer_name(x, name) == 1;
	X509_NAME_free(name);
	return ok;
}

static bool
set_basic(X509 *x)
{
	BASIC_CONSTRAINTS *bc = BASIC_CONSTRAINTS_new();
	bool ok;

	ok = bc != NULL && X509_add1_ext_i2d(x, NID_basic_constraints, bc, 1,
	    X509V3_ADD_DEFAULT) == 1;
	BASIC_CONSTRAINTS_free(bc);
	return ok;
}

static X509 *
meta_new(const struct tls *t, const uint8_t derp_key[TLS_DERP_KEY],
    const uint8_t seed[32], int64_t now)
{
	X509 *x = X509_new_ex(sigprov_lib(t->sigprov), NULL);
	EVP_PKEY *key;

	key = EVP_PKEY_new_raw_private_key_ex(sigprov_lib(t->sigprov),
	    "ED25519", NULL, seed, 32);
	if (x == NULL || key == NULL || X509_set_version(x, 2) != 1 ||
	    ASN1_INTEGER_set(X509_get_serialNumber(x), META_SERIAL) != 1 ||
	    ASN1_TIME_set(X509_getm_notBefore(x),
	    (time_t)now - META_DAYS * DAY) == NULL ||
	    ASN1_TIME_set(X509_getm_notAfter(x),
	    (time_t)now + META_DAYS * DAY) == NULL ||
	    !set_name(x, derp_key) || !set_basic(x) ||
	    X509_set_pubkey(x, key) != 1 || X509_sign(x, key, NULL) == 0)
		fatalx("no meta certificate can be made");
	EVP_PKEY_free(key);
	return x;
}

void
tls_meta(struct tls *t, const uint8_t derp_key[TLS_DERP_KEY],
    const char *host, const uint8_t seed[32], int64_t now)
{
	tls_meta_none(t);
	t->meta = meta_new(t, derp_key, seed, now);
	(void)strlcpy(t->meta_host, host, sizeof(t->meta_host));
}

void
tls_meta_none(struct tls *t)
{
	X509_free(t->meta);
	t->meta = NULL;
}

X509 *
tls_meta_for(const struct tls *t, struct slice host)
{
	struct ip ip;

	if (t->meta == NULL)
		return NULL;
	/* Who asks for an address names nothing (RFC 6066 3). */
	if (host.n == 0)
		return ip_parse(&ip, slice_str(t->meta_host)) ? t->meta : NULL;
	if (host.p[host.n - 1] == '.')
		host.n--;
	return host.n == strlen(t->meta_host) && strncasecmp(host.p,
	    t->meta_host, host.n) == 0 ? t->meta : NULL;
}
