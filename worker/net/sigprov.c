#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/param_build.h>
#include <openssl/provider.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>

#include "common/log.h"
#include "common/str.h"
#include "worker/net/sigprov.h"

#define NAME		"headscaled"
#define PROPERTY	"provider=" NAME
#define P_NUMBER	"headscaled-number"
#define P_SIGNER	"headscaled-signer"
#define PUBLIC_MAX	1100		/* octets: RSA of 4,096 bits, with e */

/* SignatureScheme (RFC 8446 4.2.3). */
#define ECDSA_P256	0x0403
#define ECDSA_P384	0x0503
#define RSA_PSS_256	0x0804
#define ED25519_S	0x0807

struct sigprov {
	OSSL_LIB_CTX	*lib;
	OSSL_PROVIDER	*usual;
	OSSL_PROVIDER	*ours;
};

enum kind { K_RSA, K_EC, K_ED25519 };

/* KEYMGMT's key.  A public one has no signer. */
struct key {
	enum kind		 kind;
	unsigned int		 number;
	const struct tls_signer	*signer;
	unsigned int		 bits;
	char			 group[16];	/* EC */
	uint8_t			 public[PUBLIC_MAX];
	size_t			 n;
};

/* SIGNATURE's context. */
struct sigctx {
	const struct key	*key;
	unsigned int		 scheme;	/* 0: none yet */
	unsigned int		 hash;		/* bits, 0: none */
	bool			 pss;
};

/* Keys. */

static void *
key_new(enum kind kind)
{
	struct key *k;

	k = xcalloc(1, sizeof(*k));
	k->kind = kind;
	return k;
}

static void *
rsa_new(void *prov)
{
	(void)prov;
	return key_new(K_RSA);
}

static void *
ec_new(void *prov)
{
	(void)prov;
	return key_new(K_EC);
}

static void *
ed_new(void *prov)
{
	(void)prov;
	return key_new(K_ED25519);
}

static void
key_free(void *k)
{
	free(k);
}

static int
key_has(const void *key, int selection)
{
	const struct key *k = key;

	if ((selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) != 0)
		return k->signer != NULL;
	return k->n != 0;
}

static int
key_match(const void *a, const void *b, int selection)
{
	const struct key *x = a, *y = b;

	(void)selection;
	return x->kind == y->kind && x->n != 0 && x->n == y->n &&
	    memcmp(x->public, y->public, x->n) == 0 &&
	    strcmp(x->group, y->group) == 0;
}

/* A parameter's octets, or a number's, appended to what identifies the key. */
static bool
take(struct key *k, const OSSL_PARAM *params, const char *name)
{
	const OSSL_PARAM *p = OSSL_PARAM_locate_const(params, name);

	if (p == NULL || p->data == NULL || p->data_size == 0 ||
	    p->data_size > sizeof(k->public) - k->n)
		return false;
	memcpy(k->public + k->n, p->data, p->data_size);
	k->n += p->data_size;
	return true;
}

static unsigned int
rsa_bits(const OSSL_PARAM *params)
{
	const OSSL_PARAM *p;
	BIGNUM *n = NULL;
	int bits = 0;

	p = OSSL_PARAM_locate_const(params, OSSL_PKEY_PARAM_RSA_N);
	if (p != NULL && OSSL_PARAM_get_BN(p, &n) == 1)
		bits = BN_num_bits(n);
	BN_free(n);
	return (unsigned int)bits;
}

static bool
import_public(struct key *k, const OSSL_PARAM *params)
{
	const OSSL_PARAM *p;
	const char *group;

	k->n = 0;
	switch (k->kind) {
	case K_RSA:
		k->bits = rsa_bits(params);
		return take(k, params, OSSL_PKEY_PARAM_RSA_N) &&
		    take(k, params, OSSL_PKEY_PARAM_RSA_E);
	case K_EC:
		p = OSSL_PARAM_locate_const(params, OSSL_PKEY_PARAM_GROUP_NAME);
		if (p == NULL || OSSL_PARAM_get_utf8_string_ptr(p, &group) != 1)
			return false;
		strlcpy(k->group, group, sizeof(k->group));
		k->bits = strcmp(group, "secp384r1") == 0 ? 384 : 256;
		return take(k, params, OSSL_PKEY_PARAM_PUB_KEY);
	case K_ED25519:
		k->bits = 256;
		return take(k, params, OSSL_PKEY_PARAM_PUB_KEY);
	}
	return false;
}

static int
key_import(void *key, int selection, const OSSL_PARAM params[])
{
	struct key *k = key;
	const OSSL_PARAM *p;

	(void)selection;
	if (!import_public(k, params))
		return 0;
	p = OSSL_PARAM_locate_const(params, P_NUMBER);
	if (p != NULL && OSSL_PARAM_get_uint(p, &k->number) != 1)
		return 0;
	p = OSSL_PARAM_locate_const(params, P_SIGNER);
	if (p != NULL && p->data_size == sizeof(k->signer))
		memcpy(&k->signer, p->data, sizeof(k->signer));
	return 1;
}

static const OSSL_PARAM *
rsa_types(int selection)
{
	static const OSSL_PARAM t[] = {
		OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_N, NULL, 0),
		OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_E, NULL, 0),
		OSSL_PARAM_uint(P_NUMBER, NULL),
		OSSL_PARAM_octet_string(P_SIGNER, NULL, 0),
		OSSL_PARAM_END
	};

	(void)selection;
	return t;
}

static const OSSL_PARAM *
ec_types(int selection)
{
	static const OSSL_PARAM t[] = {
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0),
		OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, NULL, 0),
		OSSL_PARAM_uint(P_NUMBER, NULL),
		OSSL_PARAM_octet_string(P_SIGNER, NULL, 0),
		OSSL_PARAM_END
	};

	(void)selection;
	return t;
}

/* The longest signature. */
static size_t
sig_max(const struct key *k)
{
	switch (k->kind) {
	case K_RSA:
		return (k->bits + 7) / 8;
	case K_EC:
		return k->bits == 384 ? 104 : 72;
	case K_ED25519:
		return 64;
	}
	return 0;
}

static int
security_bits(const struct key *k)
{
	if (k->kind == K_RSA)
		return k->bits >= 3072 ? 128 : 112;
	return k->bits == 384 ? 192 : 128;
}

static int
set_int(OSSL_PARAM *params, const char *name, int v)
{
	OSSL_PARAM *p = OSSL_PARAM_locate(params, name);

	return p == NULL || OSSL_PARAM_set_int(p, v) == 1;
}

static int
set_text(OSSL_PARAM *params, const char *name, const char *v)
{
	OSSL_PARAM *p = OSSL_PARAM_locate(params, name);

	return p == NULL || OSSL_PARAM_set_utf8_string(p, v) == 1;
}

static int
key_get_params(void *key, OSSL_PARAM params[])
{
	const struct key *k = key;

	return set_int(params, OSSL_PKEY_PARAM_BITS, (int)k->bits) &&
	    set_int(params, OSSL_PKEY_PARAM_SECURITY_BITS, security_bits(k)) &&
	    set_int(params, OSSL_PKEY_PARAM_MAX_SIZE, (int)sig_max(k)) &&
	    (k->kind != K_EC || set_text(params, OSSL_PKEY_PARAM_GROUP_NAME,
	    k->group)) &&
	    (k->kind != K_ED25519 || set_text(params,
	    OSSL_PKEY_PARAM_MANDATORY_DIGEST, ""));
}

static const OSSL_PARAM *
key_gettable(void *prov)
{
	static const OSSL_PARAM t[] = {
		OSSL_PARAM_int(OSSL_PKEY_PARAM_BITS, NULL),
		OSSL_PARAM_int(OSSL_PKEY_PARAM_SECURITY_BITS, NULL),
		OSSL_PARAM_int(OSSL_PKEY_PARAM_MAX_SIZE, NULL),
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_MANDATORY_DIGEST, NULL,
		    0),
		OSSL_PARAM_END
	};

	(void)prov;
	return t;
}

static const char *
ec_operation(int op)
{
	return op == OSSL_OP_SIGNATURE ? "ECDSA" : NULL;
}

#define FN(f)	((void (*)(void))(f))
#define KEYMGMT(new, types)						\
	{ OSSL_FUNC_KEYMGMT_NEW, FN(new) },				\
	{ OSSL_FUNC_KEYMGMT_FREE, FN(key_free) },			\
	{ OSSL_FUNC_KEYMGMT_HAS, FN(key_has) },				\
	{ OSSL_FUNC_KEYMGMT_MATCH, FN(key_match) },			\
	{ OSSL_FUNC_KEYMGMT_IMPORT, FN(key_import) },			\
	{ OSSL_FUNC_KEYMGMT_IMPORT_TYPES, FN(types) },			\
	{ OSSL_FUNC_KEYMGMT_GET_PARAMS, FN(key_get_params) },		\
	{ OSSL_FUNC_KEYMGMT_GETTABLE_PARAMS, FN(key_gettable) }

static const OSSL_DISPATCH rsa_keys[] = { KEYMGMT(rsa_new, rsa_types),
	{ 0, NULL } };
static const OSSL_DISPATCH ec_keys[] = { KEYMGMT(ec_new, ec_types),
	{ OSSL_FUNC_KEYMGMT_QUERY_OPERATION_NAME, FN(ec_operation) },
	{ 0, NULL } };
static const OSSL_DISPATCH ed_keys[] = { KEYMGMT(ed_new, ec_types),
	{ 0, NULL } };

static const OSSL_ALGORITHM keys[] = {
	{ "RSA:rsaEncryption:1.2.840.113549.1.1.1", PROPERTY, rsa_keys, NULL },
	{ "EC:id-ecPublicKey:1.2.840.10045.2.1", PROPERTY, ec_keys, NULL },
	{ "ED25519:1.3.101.112", PROPERTY, ed_keys, NULL },
	{ NULL, NULL, NULL, NULL }
};

/* Signatures. */

static void *
sig_new(void *prov, const char *propq)
{
	(void)prov;
	(void)propq;
	return xcalloc(1, sizeof(struct sigctx));
}

static void *
sig_dup(void *ctx)
{
	struct sigctx *s = xmalloc(sizeof(*s));

	*s = *(struct sigctx *)ctx;
	return s;
}

static unsigned int
hash_bits(const char *name)
{
	if (name == NULL || name[0] == '\0')
		return 0;
	if (strcasecmp(name, "SHA256") == 0 ||
	    strcasecmp(name, "SHA2-256") == 0)
		return 256;
	if (strcasecmp(name, "SHA384") == 0 ||
	    strcasecmp(name, "SHA2-384") == 0)
		return 384;
	if (strcasecmp(name, "SHA512") == 0 ||
	    strcasecmp(name, "SHA2-512") == 0)
		return 512;
	return 1;		/* another one: fits nothing */
}

/* What the key can sign with this hash, 0: nothing. */
static unsigned int
scheme_of(const struct key *k, unsigned int hash)
{
	switch (k->kind) {
	case K_RSA:
		return hash < 256 ? 0 : RSA_PSS_256 + (hash - 256) / 128;
	case K_EC:
		if (hash != k->bits)
			return 0;
		return hash == 256 ? ECDSA_P256 : ECDSA_P384;
	case K_ED25519:
		return hash == 0 ? ED25519_S : 0;
	}
	return 0;
}

/* Padding and salt of RSA: PSS as TLS 1.3 has it, or nothing is signed. */
static int
sig_set_params(void *ctx, const OSSL_PARAM params[])
{
	struct sigctx *s = ctx;
	const OSSL_PARAM *p;
	const char *text;
	int n;

	if (params == NULL)
		return 1;
	p = OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_PAD_MODE);
	if (p != NULL && p->data_type == OSSL_PARAM_INTEGER) {
		if (OSSL_PARAM_get_int(p, &n) != 1)
			return 0;
		s->pss = n == RSA_PKCS1_PSS_PADDING;
	} else if (p != NULL) {
		if (OSSL_PARAM_get_utf8_string_ptr(p, &text) != 1)
			return 0;
		s->pss = strcmp(text, OSSL_PKEY_RSA_PAD_MODE_PSS) == 0;
	}
	p = OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_PSS_SALTLEN);
	if (p == NULL)
		return 1;
	if (p->data_type == OSSL_PARAM_INTEGER)
		return OSSL_PARAM_get_int(p, &n) == 1 &&
		    n == RSA_PSS_SALTLEN_DIGEST;
	return OSSL_PARAM_get_utf8_string_ptr(p, &text) == 1 &&
	    strcmp(text, OSSL_PKEY_RSA_PSS_SALT_LEN_DIGEST) == 0;
}

static int
sig_init(void *ctx, const char *md, void *key, const OSSL_PARAM params[])
{
	struct sigctx *s = ctx;

	if (key != NULL)
		s->key = key;
	if (s->key == NULL || s->key->signer == NULL)
		return 0;
	s->hash = hash_bits(md);
	s->scheme = scheme_of(s->key, s->hash);
	return s->scheme != 0 && sig_set_params(ctx, params);
}

/* TLS asks for nothing but this: all octets at once. */
static int
sig_sign(void *ctx, unsigned char *sig, size_t *len, size_t max,
    const unsigned char *octets, size_t n)
{
	struct sigctx *s = ctx;
	const struct tls_signer *signer = s->key->signer;
	int got;

	if (sig == NULL) {
		*len = sig_max(s->key);
		return 1;
	}
	if (s->key->kind == K_RSA && !s->pss)
		return 0;
	/* The library does not say for which handshake. */
	got = signer->sign(NULL, s->key->number, s->scheme, octets, n, sig,
	    max, signer->arg);
	if (got <= 0 || (size_t)got > max)
		return 0;
	*len = (size_t)got;
	return 1;
}

static const OSSL_PARAM *
sig_settable(void *ctx, void *prov)
{
	static const OSSL_PARAM t[] = {
		OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PAD_MODE, NULL, 0),
		OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PSS_SALTLEN, NULL,
		    0),
		OSSL_PARAM_END
	};

	(void)ctx;
	(void)prov;
	return t;
}

static const OSSL_DISPATCH signatures[] = {
	{ OSSL_FUNC_SIGNATURE_NEWCTX, FN(sig_new) },
	{ OSSL_FUNC_SIGNATURE_FREECTX, FN(key_free) },
	{ OSSL_FUNC_SIGNATURE_DUPCTX, FN(sig_dup) },
	{ OSSL_FUNC_SIGNATURE_DIGEST_SIGN_INIT, FN(sig_init) },
	{ OSSL_FUNC_SIGNATURE_DIGEST_SIGN, FN(sig_sign) },
	{ OSSL_FUNC_SIGNATURE_SET_CTX_PARAMS, FN(sig_set_params) },
	{ OSSL_FUNC_SIGNATURE_SETTABLE_CTX_PARAMS, FN(sig_settable) },
	{ 0, NULL }
};

static const OSSL_ALGORITHM signs[] = {
	{ "RSA:rsaEncryption:1.2.840.113549.1.1.1", PROPERTY, signatures,
	    NULL },
	{ "ECDSA", PROPERTY, signatures, NULL },
	{ "ED25519:1.3.101.112", PROPERTY, signatures, NULL },
	{ NULL, NULL, NULL, NULL }
};

/* The provider. */

static const OSSL_ALGORITHM *
query(void *prov, int op, int *no_cache)
{
	(void)prov;
	*no_cache = 0;
	if (op == OSSL_OP_KEYMGMT)
		return keys;
	return op == OSSL_OP_SIGNATURE ? signs : NULL;
}

static int
init(const OSSL_CORE_HANDLE *core, const OSSL_DISPATCH *in,
    const OSSL_DISPATCH **out, void **ctx)
{
	static const OSSL_DISPATCH table[] = {
		{ OSSL_FUNC_PROVIDER_QUERY_OPERATION, FN(query) },
		{ 0, NULL }
	};

	(void)core;
	(void)in;
	*out = table;
	*ctx = NULL;
	return 1;
}

struct sigprov *
sigprov_new(void)
{
	struct sigprov *sp;

	sp = xcalloc(1, sizeof(*sp));
	/* No configuration file: there is none where a worker lives. */
	if (OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, NULL) != 1 ||
	    (sp->lib = OSSL_LIB_CTX_new()) == NULL ||
	    OSSL_PROVIDER_add_builtin(sp->lib, NAME, init) != 1 ||
	    (sp->usual = OSSL_PROVIDER_load(sp->lib, "default")) == NULL ||
	    (sp->ours = OSSL_PROVIDER_load(sp->lib, NAME)) == NULL ||
	    EVP_set_default_properties(sp->lib, "?provider=default") != 1)
		fatalx("the TLS library can't be set up");
	return sp;
}

void
sigprov_free(struct sigprov *sp)
{
	if (sp == NULL)
		return;
	(void)OSSL_PROVIDER_unload(sp->ours);
	(void)OSSL_PROVIDER_unload(sp->usual);
	OSSL_LIB_CTX_free(sp->lib);
	free(sp);
}

OSSL_LIB_CTX *
sigprov_lib(const struct sigprov *sp)
{
	return sp->lib;
}

static const char *
name_of(EVP_PKEY *public, const char **why)
{
	char group[32];

	if (EVP_PKEY_is_a(public, "RSA")) {
		*why = "RSA keys have 2048 to 4096 bits";
		return EVP_PKEY_get_bits(public) < 2048 ||
		    EVP_PKEY_get_bits(public) > 4096 ? NULL : "RSA";
	}
	if (EVP_PKEY_is_a(public, "EC")) {
		*why = "the curve is neither P-256 nor P-384";
		if (EVP_PKEY_get_group_name(public, group, sizeof(group),
		    NULL) != 1)
			return NULL;
		return strcmp(group, "prime256v1") == 0 ||
		    strcmp(group, "secp384r1") == 0 ? "EC" : NULL;
	}
	*why = "the key is neither RSA, ECDSA nor Ed25519";
	return EVP_PKEY_is_a(public, "ED25519") ? "ED25519" : NULL;
}

/* The public key's parameters and ours. */
static OSSL_PARAM *
with_ours(EVP_PKEY *public, unsigned int number,
    const struct tls_signer *signer)
{
	OSSL_PARAM *theirs = NULL, *all = NULL;
	OSSL_PARAM ours[3];

	ours[0] = OSSL_PARAM_construct_uint(P_NUMBER, &number);
	ours[1] = OSSL_PARAM_construct_octet_string(P_SIGNER, &signer,
	    sizeof(signer));
	ours[2] = OSSL_PARAM_construct_end();
	if (EVP_PKEY_todata(public, EVP_PKEY_PUBLIC_KEY, &theirs) == 1)
		all = OSSL_PARAM_merge(theirs, ours);
	/* Ours are on the stack: copied before they go. */
	if (all != NULL) {
		OSSL_PARAM *copy = OSSL_PARAM_dup(all);

		OSSL_PARAM_free(all);
		all = copy;
	}
	OSSL_PARAM_free(theirs);
	return all;
}

EVP_PKEY *
sigprov_key(const struct sigprov *sp, EVP_PKEY *public, unsigned int number,
    const struct tls_signer *signer, const char **why)
{
	EVP_PKEY_CTX *ctx;
	EVP_PKEY *key = NULL;
	OSSL_PARAM *params;
	const char *name;

	if ((name = name_of(public, why)) == NULL)
		return NULL;
	*why = "the public key can't be used";
	params = with_ours(public, number, signer);
	ctx = EVP_PKEY_CTX_new_from_name(sp->lib, name, PROPERTY);
	if (params != NULL && ctx != NULL &&
	    EVP_PKEY_fromdata_init(ctx) == 1)
		(void)EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_KEYPAIR, params);
	EVP_PKEY_CTX_free(ctx);
	OSSL_PARAM_free(params);
	return key;
}
