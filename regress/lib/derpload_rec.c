/*
 * TLS 1.3 records (RFC 8446 5) with AES-128-GCM for the load generator: with
 * an SSL object for each it would be slower than what it measures.
 */

#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "common/enc.h"
#include "common/log.h"
#include "regress/lib/derpload_int.h"

#define HEAD		5
#define TAG		16
#define HANDSHAKE	22
#define DATA		23
#define TICKET		4	/* NewSessionTicket */

struct way {
	EVP_CIPHER_CTX	*ctx;
	uint8_t		 iv[12];
	uint64_t	 seq;
};

struct dl_rec {
	struct way	 rx, tx;
};

/* HKDF-Expand-Label (RFC 8446 7.1) of at most one block. */
static void
expand(const uint8_t secret[32], const char *label, uint8_t *dst, size_t n)
{
	struct buf b = { 0 };
	uint8_t block[32];
	unsigned int len = sizeof(block);

	buf_u16(&b, (uint16_t)n);
	buf_u8(&b, (uint8_t)(6 + strlen(label)));
	buf_str(&b, "tls13 ");
	buf_str(&b, label);
	buf_u8(&b, 0);
	buf_u8(&b, 1);
	if (HMAC(EVP_sha256(), secret, 32, b.p, b.n, block, &len) == NULL)
		fatalx("HMAC");
	memcpy(dst, block, n);
	buf_free(&b);
}

static void
way_init(struct way *w, const uint8_t secret[32], int enc)
{
	uint8_t key[16];

	expand(secret, "key", key, sizeof(key));
	expand(secret, "iv", w->iv, sizeof(w->iv));
	if ((w->ctx = EVP_CIPHER_CTX_new()) == NULL ||
	    EVP_CipherInit_ex(w->ctx, EVP_aes_128_gcm(), NULL, key, NULL,
	    enc) != 1)
		fatalx("AES-128-GCM");
}

struct dl_rec *
dl_rec_new(const uint8_t rx[32], const uint8_t tx[32])
{
	struct dl_rec *r = calloc(1, sizeof(*r));

	if (r == NULL)
		fatal("calloc");
	way_init(&r->rx, rx, 0);
	way_init(&r->tx, tx, 1);
	return r;
}

void
dl_rec_free(struct dl_rec *r)
{
	if (r == NULL)
		return;
	EVP_CIPHER_CTX_free(r->rx.ctx);
	EVP_CIPHER_CTX_free(r->tx.ctx);
	free(r);
}

static bool
next(struct way *w)
{
	uint8_t iv[12];
	unsigned int i;

	memcpy(iv, w->iv, sizeof(iv));
	for (i = 0; i < 8; i++)
		iv[11 - i] ^= (uint8_t)(w->seq >> 8 * i);
	w->seq++;
	return EVP_CipherInit_ex(w->ctx, NULL, NULL, NULL, iv, -1) == 1;
}

void
dl_rec_seal(struct dl_rec *r, const uint8_t *p, size_t n, struct buf *out)
{
	EVP_CIPHER_CTX *ctx = r->tx.ctx;
	uint8_t *b = buf_room(out, HEAD + n + 1 + TAG), *text = b + HEAD;
	size_t len = n + 1 + TAG;
	int got;

	b[0] = DATA;
	b[1] = b[2] = 3;
	b[3] = (uint8_t)(len >> 8);
	b[4] = (uint8_t)len;
	memcpy(text, p, n);
	text[n] = DATA;
	if (!next(&r->tx) || EVP_EncryptUpdate(ctx, NULL, &got, b, HEAD) != 1 ||
	    EVP_EncryptUpdate(ctx, text, &got, text, (int)n + 1) != 1 ||
	    EVP_EncryptFinal_ex(ctx, text + got, &got) != 1 ||
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TAG,
	    text + n + 1) != 1)
		fatalx("sealing");
	out->n += HEAD + len;
}

/* Opens in place the n octets after a head; the length in clear, or -1. */
static int
unseal(struct dl_rec *r, uint8_t *head, size_t n)
{
	EVP_CIPHER_CTX *ctx = r->rx.ctx;
	uint8_t *p = head + HEAD;
	int got, len = (int)n - TAG;

	if (len < 1 || !next(&r->rx) ||
	    EVP_DecryptUpdate(ctx, NULL, &got, head, HEAD) != 1 ||
	    EVP_DecryptUpdate(ctx, p, &got, p, len) != 1 ||
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, TAG, p + len) !=
	    1 || EVP_DecryptFinal_ex(ctx, p + got, &got) != 1)
		return -1;
	while (len > 0 && p[len - 1] == 0)
		len--;
	return len;
}

size_t
dl_rec_open(struct dl_conn *c, uint8_t *p, size_t n)
{
	size_t at = 0, len;
	uint8_t *b;
	int k;

	while (c->state != DL_DEAD && n - at >= HEAD) {
		b = p + at;
		len = (size_t)b[3] << 8 | b[4];
		if (n - at - HEAD < len)
			break;
		at += HEAD + len;
		if (b[0] != DATA || (k = unseal(c->rec, b, len)) <= 0)
			dl_fail(c, "TLS record");
		else if (b[HEAD + k - 1] == DATA)
			dl_clear(c, b + HEAD, (size_t)k - 1);
		else if (b[HEAD + k - 1] != HANDSHAKE || b[HEAD] != TICKET)
			dl_fail(c, "TLS alert or KeyUpdate");
	}
	return at;
}
