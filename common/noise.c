#include <openssl/evp.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/noise.h"
#include "common/secret.h"
#include "common/str.h"

#define NAME		"Noise_IK_25519_ChaChaPoly_BLAKE2s"
#define PROLOGUE	"Tailscale Control Protocol v%u"
#define BLOCK		64	/* of BLAKE2s, for HMAC */
#define NONCE		12

static EVP_MD		*blake2s;
static EVP_CIPHER	*chacha;

struct noise {
	EVP_MD_CTX	*md;
	EVP_CIPHER_CTX	*enc;
	EVP_CIPHER_CTX	*dec;
};

int
noise_init(void)
{
	if (sodium_init() == -1)
		return -1;
	if (blake2s == NULL)
		blake2s = EVP_MD_fetch(NULL, "BLAKE2S-256", NULL);
	if (chacha == NULL)
		chacha = EVP_CIPHER_fetch(NULL, "ChaCha20-Poly1305", NULL);
	if (blake2s == NULL || EVP_MD_get_size(blake2s) != NOISE_KEY ||
	    chacha == NULL || EVP_CIPHER_get_iv_length(chacha) != NONCE ||
	    EVP_CIPHER_get_key_length(chacha) != NOISE_KEY)
		return -1;
	return 0;
}

struct noise *
noise_new(void)
{
	struct noise *ns;

	if (blake2s == NULL || chacha == NULL)
		fatalx("noise_new before noise_init");
	ns = xcalloc(1, sizeof(*ns));
	ns->md = EVP_MD_CTX_new();
	ns->enc = EVP_CIPHER_CTX_new();
	ns->dec = EVP_CIPHER_CTX_new();
	if (ns->md == NULL || ns->enc == NULL || ns->dec == NULL ||
	    EVP_EncryptInit_ex2(ns->enc, chacha, NULL, NULL, NULL) != 1 ||
	    EVP_DecryptInit_ex2(ns->dec, chacha, NULL, NULL, NULL) != 1)
		fatalx("noise: no cipher context");
	return ns;
}

void
noise_free(struct noise *ns)
{
	if (ns == NULL)
		return;
	EVP_MD_CTX_free(ns->md);
	EVP_CIPHER_CTX_free(ns->enc);
	EVP_CIPHER_CTX_free(ns->dec);
	free(ns);
}

void
noise_clamp(uint8_t priv[NOISE_KEY])
{
	priv[0] &= 248;
	priv[31] = (uint8_t)((priv[31] & 127) | 64);
}

void
noise_public(uint8_t pub[NOISE_KEY], const uint8_t priv[NOISE_KEY])
{
	if (crypto_scalarmult_base(pub, priv) != 0)
		fatalx("noise: no public key");
}

bool
noise_dh(uint8_t out[NOISE_KEY], const uint8_t priv[NOISE_KEY],
    const uint8_t pub[NOISE_KEY])
{
	if (crypto_scalarmult(out, priv, pub) == 0 &&
	    !sodium_is_zero(out, NOISE_KEY))
		return true;
	memset(out, 0, NOISE_KEY);
	return false;
}

/* BLAKE2s of a and b, one after the other. */
static void
hash2(struct noise *ns, uint8_t out[NOISE_KEY], const void *a, size_t na,
    const void *b, size_t nb)
{
	if (EVP_DigestInit_ex2(ns->md, blake2s, NULL) != 1 ||
	    EVP_DigestUpdate(ns->md, a, na) != 1 ||
	    (nb != 0 && EVP_DigestUpdate(ns->md, b, nb) != 1) ||
	    EVP_DigestFinal_ex(ns->md, out, NULL) != 1)
		fatalx("noise: hashing failed");
}

/* HMAC (RFC 2104) of at most 33 octets under a key of 32. */
static void
hmac(struct noise *ns, uint8_t out[NOISE_KEY], const uint8_t key[NOISE_KEY],
    const void *p, size_t n)
{
	uint8_t pad[BLOCK], inner[NOISE_KEY];
	size_t i;

	memset(pad, 0x36, sizeof(pad));
	for (i = 0; i < NOISE_KEY; i++)
		pad[i] ^= key[i];
	hash2(ns, inner, pad, sizeof(pad), p, n);
	for (i = 0; i < sizeof(pad); i++)
		pad[i] ^= 0x36 ^ 0x5c;
	hash2(ns, out, pad, sizeof(pad), inner, sizeof(inner));
	wipe(pad, sizeof(pad));
	wipe(inner, sizeof(inner));
}

/* HKDF (RFC 5869) with two outputs and no info. */
static void
hkdf(struct noise *ns, const uint8_t salt[NOISE_KEY], const uint8_t *ikm,
    size_t n, uint8_t one[NOISE_KEY], uint8_t two[NOISE_KEY])
{
	uint8_t prk[NOISE_KEY], t[NOISE_KEY + 1];

	hmac(ns, prk, salt, ikm, n);
	t[0] = 1;
	hmac(ns, one, prk, t, 1);
	memcpy(t, one, NOISE_KEY);
	t[NOISE_KEY] = 2;
	hmac(ns, two, prk, t, sizeof(t));
	wipe(prk, sizeof(prk));
	wipe(t, sizeof(t));
}

/* n octets and a tag at out. */
static void
seal(struct noise *ns, const uint8_t key[NOISE_KEY],
    const uint8_t nonce[NONCE], const void *ad, size_t nad, uint8_t *out,
    const void *p, size_t n)
{
	EVP_CIPHER_CTX *c = ns->enc;
	int len;

	if (EVP_EncryptInit_ex2(c, NULL, key, nonce, NULL) != 1 ||
	    (nad != 0 &&
	    EVP_EncryptUpdate(c, NULL, &len, ad, (int)nad) != 1) ||
	    (n != 0 && EVP_EncryptUpdate(c, out, &len, p, (int)n) != 1) ||
	    EVP_EncryptFinal_ex(c, out + n, &len) != 1 ||
	    EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, NOISE_TAG,
	    out + n) != 1)
		fatalx("noise: encryption failed");
}

/* n octets and their tag at p. */
static bool
unseal(struct noise *ns, const uint8_t key[NOISE_KEY],
    const uint8_t nonce[NONCE], const void *ad, size_t nad, uint8_t *out,
    const uint8_t *p, size_t n)
{
	EVP_CIPHER_CTX *c = ns->dec;
	uint8_t tag[NOISE_TAG], none[1];
	int len;

	memcpy(tag, p + n, sizeof(tag));
	if (EVP_DecryptInit_ex2(c, NULL, key, nonce, NULL) != 1 ||
	    EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, NOISE_TAG,
	    tag) != 1 ||
	    (nad != 0 && EVP_DecryptUpdate(c, NULL, &len, ad, (int)nad) != 1))
		fatalx("noise: decryption failed");
	if (n != 0 && EVP_DecryptUpdate(c, out, &len, p, (int)n) != 1)
		return false;
	return EVP_DecryptFinal_ex(c, none, &len) == 1;
}

void
noise_sym_init(struct noise_sym *s, struct noise *ns, uint16_t version,
    const uint8_t server_pub[NOISE_KEY])
{
	char prologue[sizeof(PROLOGUE) + 5];
	int n;

	s->noise = ns;
	hash2(ns, s->h, NAME, sizeof(NAME) - 1, NULL, 0);
	memcpy(s->ck, s->h, sizeof(s->ck));
	memset(s->k, 0, sizeof(s->k));
	n = snprintf(prologue, sizeof(prologue), PROLOGUE, version);
	noise_mix_hash(s, prologue, (size_t)n);
	noise_mix_hash(s, server_pub, NOISE_KEY);
}

void
noise_mix_hash(struct noise_sym *s, const void *p, size_t n)
{
	hash2(s->noise, s->h, s->h, sizeof(s->h), p, n);
}

void
noise_mix_key(struct noise_sym *s, const uint8_t dh[NOISE_KEY])
{
	hkdf(s->noise, s->ck, dh, NOISE_KEY, s->ck, s->k);
}

void
noise_encrypt_hash(struct noise_sym *s, uint8_t *out, const void *p, size_t n)
{
	static const uint8_t nonce[NONCE];

	seal(s->noise, s->k, nonce, s->h, sizeof(s->h), out, p, n);
	noise_mix_hash(s, out, n + NOISE_TAG);
	wipe(s->k, sizeof(s->k));	/* each once only */
}

bool
noise_decrypt_hash(struct noise_sym *s, uint8_t *out, const void *p, size_t n)
{
	static const uint8_t nonce[NONCE];
	bool ok;

	if (n < NOISE_TAG)
		return false;
	ok = unseal(s->noise, s->k, nonce, s->h, sizeof(s->h), out, p,
	    n - NOISE_TAG);
	noise_mix_hash(s, p, n);
	wipe(s->k, sizeof(s->k));
	return ok;
}

void
noise_split(struct noise_sym *s, uint8_t c2s[NOISE_KEY],
    uint8_t s2c[NOISE_KEY])
{
	hkdf(s->noise, s->ck, NULL, 0, c2s, s2c);
}

void
noise_sym_wipe(struct noise_sym *s)
{
	wipe(s, sizeof(*s));
}

void
noise_key_set(struct noise_key *k, const uint8_t key[NOISE_KEY], uint64_t next)
{
	memcpy(k->key, key, NOISE_KEY);
	k->next = next;
	k->dead = false;
}

void
noise_key_wipe(struct noise_key *k)
{
	wipe(k, sizeof(*k));
	k->dead = true;
}

/* The nonce of the next record; false, and dead, if there is none left. */
static bool
next_nonce(struct noise_key *k, uint8_t nonce[NONCE])
{
	int i;

	if (k->dead || k->next == UINT64_MAX) {
		k->dead = true;
		return false;
	}
	memset(nonce, 0, 4);
	for (i = 0; i < 8; i++)
		nonce[4 + i] = (uint8_t)(k->next >> (56 - 8 * i));
	k->next++;
	return true;
}

size_t
noise_seal(struct noise *ns, struct noise_key *k, uint8_t *out, const void *p,
    size_t n)
{
	uint8_t nonce[NONCE];

	if (n > NOISE_PLAIN)
		fatalx("noise: record too long");
	if (!next_nonce(k, nonce))
		return 0;
	seal(ns, k->key, nonce, NULL, 0, out + NOISE_HEAD, p, n);
	out[0] = NOISE_T_RECORD;
	out[1] = (uint8_t)((n + NOISE_TAG) >> 8);
	out[2] = (uint8_t)(n + NOISE_TAG);
	return NOISE_HEAD + n + NOISE_TAG;
}

size_t
noise_record_len(const uint8_t head[NOISE_HEAD])
{
	size_t n = (size_t)head[1] << 8 | head[2];

	if (head[0] != NOISE_T_RECORD || n < NOISE_TAG ||
	    n > NOISE_RECORD - NOISE_HEAD)
		return 0;
	return NOISE_HEAD + n;
}

int
noise_open(struct noise *ns, struct noise_key *k, uint8_t *plain,
    const uint8_t *record, size_t n)
{
	uint8_t nonce[NONCE];

	if (n < NOISE_HEAD || noise_record_len(record) != n ||
	    !next_nonce(k, nonce) || !unseal(ns, k->key, nonce, NULL, 0,
	    plain, record + NOISE_HEAD, n - NOISE_HEAD - NOISE_TAG)) {
		k->dead = true;
		return -1;
	}
	return (int)(n - NOISE_HEAD - NOISE_TAG);
}
