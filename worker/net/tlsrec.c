#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "common/log.h"
#include "common/secret.h"
#include "worker/net/tlsrec.h"

#define NONCE		12
#define TAG		16
#define KEY_MAX		32
#define SLOTS		512	/* keyed contexts that are kept */
#define IDLE_MAX	32	/* records without data in a row */
#define WORN		(1ULL << 23)	/* below RFC 8446 5.5's 2^24.5 */
#define ANSWERS_MAX	1024	/* octets of KeyUpdates that wait */

#define H_KEY_UPDATE	24
#define H_KEY_UPDATE_LEN 5

/* A context that still has the key of some direction. */
struct slot {
	EVP_CIPHER_CTX	*ctx;
	uint64_t	 owner;		/* struct half's id, 0: nobody's */
};

struct tlsrec_env {
	EVP_CIPHER	*aes128;
	EVP_CIPHER	*aes256;
	EVP_CIPHER	*chacha;
	EVP_MD		*sha256;
	EVP_MD		*sha384;
	uint64_t	 id;		/* last given */
	struct slot	 slots[SLOTS];
	uint8_t		 plain[TLSREC_PLAIN + 256];
};

/* One direction. */
struct half {
	uint64_t	 id;		/* of this key: never used again */
	uint64_t	 seq;
	uint8_t		 key[KEY_MAX];
	uint8_t		 iv[NONCE];
	uint8_t		 secret[48];
};

struct tlsrec {
	uint16_t	 suite;
	uint8_t		 nsecret;
	uint8_t		 alert;
	uint8_t		 hs[H_KEY_UPDATE_LEN];	/* a message in pieces */
	uint8_t		 nhs;
	uint8_t		 idle;		/* records without data in a row */
	bool		 asked;		/* the client is to update its keys */
	uint32_t	 updates;
	struct half	 rx;
	struct half	 tx;
};

struct tlsrec_env *
tlsrec_env_new(void)
{
	struct tlsrec_env *e;

	e = xcalloc(1, sizeof(*e));
	e->aes128 = EVP_CIPHER_fetch(NULL, "AES-128-GCM", NULL);
	e->aes256 = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
	e->chacha = EVP_CIPHER_fetch(NULL, "ChaCha20-Poly1305", NULL);
	e->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	e->sha384 = EVP_MD_fetch(NULL, "SHA384", NULL);
	if (e->aes128 == NULL || e->aes256 == NULL || e->chacha == NULL ||
	    e->sha256 == NULL || e->sha384 == NULL)
		fatalx("the library lacks the ciphers of TLS 1.3");
	return e;
}

void
tlsrec_env_free(struct tlsrec_env *e)
{
	size_t i;

	if (e == NULL)
		return;
	for (i = 0; i < SLOTS; i++)
		EVP_CIPHER_CTX_free(e->slots[i].ctx);
	EVP_CIPHER_free(e->aes128);
	EVP_CIPHER_free(e->aes256);
	EVP_CIPHER_free(e->chacha);
	EVP_MD_free(e->sha256);
	EVP_MD_free(e->sha384);
	wipe(e, sizeof(*e));
	free(e);
}

/* Keys. */

static const EVP_CIPHER *
cipher_of(const struct tlsrec_env *e, const struct tlsrec *t)
{
	switch (t->suite) {
	case 0x1301:
		return e->aes128;
	case 0x1302:
		return e->aes256;
	default:
		return e->chacha;
	}
}

static size_t
key_len(const struct tlsrec *t)
{
	return t->suite == 0x1301 ? 16 : 32;
}

/*
 * HKDF-Expand-Label with no context (RFC 8446 7.1): n is at most one block of
 * the hash.
 */
static void
expand(const struct tlsrec_env *e, const struct tlsrec *t,
    const uint8_t *secret, const char *label, uint8_t *out, size_t n)
{
	const EVP_MD *md = t->nsecret == 48 ? e->sha384 : e->sha256;
	uint8_t block[EVP_MAX_MD_SIZE];
	struct buf info = { 0 };
	unsigned int got = 0;

	buf_u16(&info, (uint16_t)n);
	buf_u8(&info, (uint8_t)(6 + strlen(label)));
	buf_str(&info, "tls13 ");
	buf_str(&info, label);
	buf_u8(&info, 0);
	buf_u8(&info, 1);
	if (HMAC(md, secret, t->nsecret, info.p, info.n, block, &got) == NULL ||
	    got < n)
		fatalx("HKDF failed");
	memcpy(out, block, n);
	wipe(block, sizeof(block));
	buf_free(&info);
}

static struct slot *
slot_of(struct tlsrec_env *e, const struct half *h)
{
	return &e->slots[h->id % SLOTS];
}

/* The key is used no more. */
static void
forget(struct tlsrec_env *e, const struct half *h)
{
	struct slot *s = slot_of(e, h);

	if (s->owner != h->id)
		return;
	EVP_CIPHER_CTX_free(s->ctx);	/* wipes the key's schedule */
	s->ctx = NULL;
	s->owner = 0;
}

/* Key and nonce of the secret; a new start for the sequence numbers. */
static void
derive(struct tlsrec_env *e, const struct tlsrec *t, struct half *h)
{
	expand(e, t, h->secret, "key", h->key, key_len(t));
	expand(e, t, h->secret, "iv", h->iv, NONCE);
	h->seq = 0;
	h->id = ++e->id;
}

/* RFC 8446 7.2. */
static void
next_key(struct tlsrec_env *e, const struct tlsrec *t, struct half *h)
{
	uint8_t next[48];

	expand(e, t, h->secret, "traffic upd", next, t->nsecret);
	memcpy(h->secret, next, t->nsecret);
	wipe(next, sizeof(next));
	forget(e, h);
	derive(e, t, h);
}

struct tlsrec *
tlsrec_new(struct tlsrec_env *e, const struct tls_secrets *s)
{
	struct tlsrec *t;

	t = xcalloc(1, sizeof(*t));
	t->suite = s->suite;
	t->nsecret = s->n;
	memcpy(t->rx.secret, s->client, s->n);
	memcpy(t->tx.secret, s->server, s->n);
	derive(e, t, &t->rx);
	derive(e, t, &t->tx);
	return t;
}

void
tlsrec_free(struct tlsrec_env *e, struct tlsrec *t)
{
	if (t == NULL)
		return;
	forget(e, &t->rx);
	forget(e, &t->tx);
	wipe(t, sizeof(*t));
	free(t);
}

enum tlsrec_alert
tlsrec_why(const struct tlsrec *t)
{
	return (enum tlsrec_alert)t->alert;
}

uint32_t
tlsrec_updates(const struct tlsrec *t)
{
	return t->updates;
}

/*
 * A context with this direction's key, set to its next nonce.  Two directions
 * that share a slot take turns: then the key is set anew.
 */
static EVP_CIPHER_CTX *
ready(struct tlsrec_env *e, const struct tlsrec *t, struct half *h, int enc)
{
	struct slot *s = slot_of(e, h);
	const uint8_t *key = NULL;
	const EVP_CIPHER *cipher = NULL;
	uint8_t nonce[NONCE];
	int i;

	if (s->owner != h->id) {
		if (s->ctx == NULL && (s->ctx = EVP_CIPHER_CTX_new()) == NULL)
			fatalx("out of memory");
		key = h->key;
		cipher = cipher_of(e, t);
		s->owner = h->id;
	}
	memcpy(nonce, h->iv, NONCE);
	for (i = 0; i < 8; i++)
		nonce[NONCE - 1 - i] ^= (uint8_t)(h->seq >> (8 * i));
	if (++h->seq == 0)
		fatalx("sequence numbers ran out");
	if (EVP_CipherInit_ex2(s->ctx, cipher, key, nonce, enc, NULL) != 1)
		fatalx("the cipher can't be set up");
	return s->ctx;
}

/* Sealing. */

size_t
tlsrec_seal(struct tlsrec_env *e, struct tlsrec *t, enum tlsrec_type type,
    uint8_t *dst, size_t n)
{
	EVP_CIPHER_CTX *c = ready(e, t, &t->tx, 1);
	uint8_t *p = dst + TLSREC_HEAD;
	size_t len = n + 1 + TAG;
	int got = 0, last = 0;

	if (n > TLSREC_PLAIN)
		fatalx("TLS record too long");
	dst[0] = TLSREC_DATA;
	dst[1] = dst[2] = 3;
	dst[3] = (uint8_t)(len >> 8);
	dst[4] = (uint8_t)len;
	p[n] = (uint8_t)type;
	if (EVP_EncryptUpdate(c, NULL, &got, dst, TLSREC_HEAD) != 1 ||
	    EVP_EncryptUpdate(c, p, &got, p, (int)n + 1) != 1 ||
	    EVP_EncryptFinal_ex(c, p + got, &last) != 1 ||
	    EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, TAG, p + n + 1) != 1)
		fatalx("a TLS record can't be sealed");
	return TLSREC_HEAD + len;
}

static void
put(struct tlsrec_env *e, struct tlsrec *t, enum tlsrec_type type,
    const void *p, size_t n, struct buf *out)
{
	uint8_t *dst = buf_room(out, n + TLSREC_COST);

	memcpy(dst + TLSREC_HEAD, p, n);
	out->n += tlsrec_seal(e, t, type, dst, n);
}

void
tlsrec_alert(struct tlsrec_env *e, struct tlsrec *t, enum tlsrec_alert a,
    struct buf *out)
{
	uint8_t body[2] = { a == TLSREC_A_CLOSE ? 1 : 2, (uint8_t)a };

	put(e, t, TLSREC_ALERT, body, sizeof(body), out);
}

void
tlsrec_alert_plain(enum tlsrec_alert a, struct buf *out)
{
	const uint8_t rec[] = { TLSREC_ALERT, 3, 3, 0, 2, 2, (uint8_t)a };

	buf_put(out, rec, sizeof(rec));
}

void
tlsrec_update(struct tlsrec_env *e, struct tlsrec *t, bool ask,
    struct buf *out)
{
	const uint8_t m[H_KEY_UPDATE_LEN] = { H_KEY_UPDATE, 0, 0, 1, ask };

	if (ask)
		t->asked = true;
	put(e, t, TLSREC_HANDSHAKE, m, sizeof(m), out);
	next_key(e, t, &t->tx);
}

bool
tlsrec_is_worn(const struct tlsrec *t)
{
	return t->tx.seq >= WORN || (t->rx.seq >= WORN && !t->asked);
}

void
tlsrec_wear(struct tlsrec *t, uint64_t client, uint64_t server)
{
	t->rx.seq = client;
	t->tx.seq = server;
}

/* Opening. */

size_t
tlsrec_len(const uint8_t head[TLSREC_HEAD], enum tlsrec_alert *alert)
{
	size_t n = (size_t)head[3] << 8 | head[4];

	*alert = TLSREC_A_UNEXPECTED;
	if (head[0] < TLSREC_CHANGE || head[0] > TLSREC_DATA || head[1] != 3)
		return 0;
	*alert = TLSREC_A_OVERFLOW;
	if (n > TLSREC_MAX - TLSREC_HEAD)
		return 0;
	return TLSREC_HEAD + n;
}

static enum tlsrec_event
bad(struct tlsrec *t, enum tlsrec_alert a)
{
	t->alert = (uint8_t)a;
	return TLSREC_E_BAD;
}

/* Decrypts n octets with their tag to e->plain; false if it does not verify. */
static bool
decrypt(struct tlsrec_env *e, struct tlsrec *t, const uint8_t *rec, size_t n)
{
	EVP_CIPHER_CTX *c = ready(e, t, &t->rx, 0);
	uint8_t tag[TAG];
	int got = 0, last = 0;

	n -= TAG;
	memcpy(tag, rec + TLSREC_HEAD + n, TAG);
	if (EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, TAG, tag) != 1 ||
	    EVP_DecryptUpdate(c, NULL, &got, rec, TLSREC_HEAD) != 1)
		fatalx("a TLS record can't be opened");
	return EVP_DecryptUpdate(c, e->plain, &got, rec + TLSREC_HEAD,
	    (int)n) == 1 && EVP_DecryptFinal_ex(c, e->plain + got, &last) == 1;
}

static enum tlsrec_event
on_alert(struct tlsrec *t, const uint8_t *p, size_t n)
{
	if (n != 2)
		return bad(t, TLSREC_A_DECODE);
	if (p[1] == TLSREC_A_CLOSE)
		return TLSREC_E_CLOSE;
	return p[1] == TLSREC_A_CANCELED ? TLSREC_E_NOTHING : TLSREC_E_ENDED;
}

/* KeyUpdate is the only message that a client may send now. */
static enum tlsrec_event
on_handshake(struct tlsrec_env *e, struct tlsrec *t, const uint8_t *p,
    size_t n, struct buf *out)
{
	static const uint8_t head[] = { H_KEY_UPDATE, 0, 0, 1 };
	size_t i;

	if (n == 0 || (t->nhs == 0 && p[0] != H_KEY_UPDATE))
		return bad(t, TLSREC_A_UNEXPECTED);
	for (i = 0; i < n && t->nhs < H_KEY_UPDATE_LEN; i++) {
		if (t->nhs < sizeof(head) && p[i] != head[t->nhs])
			return bad(t, TLSREC_A_DECODE);
		t->hs[t->nhs++] = p[i];
	}
	if (i < n)		/* keys change in the middle of a record */
		return bad(t, TLSREC_A_UNEXPECTED);
	if (t->nhs < H_KEY_UPDATE_LEN)
		return TLSREC_E_NOTHING;
	t->nhs = 0;
	if (t->hs[4] > 1)
		return bad(t, TLSREC_A_ILLEGAL);
	t->updates++;
	t->asked = false;
	next_key(e, t, &t->rx);
	if (t->hs[4] == 0)
		return TLSREC_E_NOTHING;
	if (out->n > ANSWERS_MAX)	/* it asks and reads nothing */
		return bad(t, TLSREC_A_UNEXPECTED);
	tlsrec_update(e, t, false, out);
	return TLSREC_E_NOTHING;
}

static enum tlsrec_event
on_data(struct tlsrec *t, size_t n)
{
	if (n == 0)
		return TLSREC_E_NOTHING;
	t->idle = 0;
	return TLSREC_E_DATA;
}

void
tlsrec_wipe(struct tlsrec_env *e, size_t n)
{
	wipe(e->plain, n < sizeof(e->plain) ? n : sizeof(e->plain));
}

static enum tlsrec_event
open_one(struct tlsrec_env *e, struct tlsrec *t, const uint8_t *rec,
    size_t n, const uint8_t **plain, size_t *len, struct buf *out)
{
	uint8_t type;

	if (rec[0] != TLSREC_DATA)
		return bad(t, TLSREC_A_UNEXPECTED);
	if (n < TLSREC_HEAD + TAG + 1)
		return bad(t, TLSREC_A_BAD_MAC);
	if (n > TLSREC_MAX)
		return bad(t, TLSREC_A_OVERFLOW);
	n -= TLSREC_HEAD;
	if (!decrypt(e, t, rec, n))
		return bad(t, TLSREC_A_BAD_MAC);
	n -= TAG;
	if (n > TLSREC_PLAIN + 1)
		return bad(t, TLSREC_A_OVERFLOW);
	while (n != 0 && e->plain[n - 1] == 0)
		n--;
	if (n == 0)
		return bad(t, TLSREC_A_UNEXPECTED);
	type = e->plain[--n];
	if (t->nhs != 0 && type != TLSREC_HANDSHAKE)
		return bad(t, TLSREC_A_UNEXPECTED);
	*plain = e->plain;
	*len = n;
	switch (type) {
	case TLSREC_DATA:
		return on_data(t, n);
	case TLSREC_ALERT:
		return on_alert(t, e->plain, n);
	case TLSREC_HANDSHAKE:
		return on_handshake(e, t, e->plain, n, out);
	default:
		return bad(t, TLSREC_A_UNEXPECTED);
	}
}

enum tlsrec_event
tlsrec_open(struct tlsrec_env *e, struct tlsrec *t, const uint8_t *rec,
    size_t n, const uint8_t **plain, size_t *len, struct buf *out)
{
	enum tlsrec_event event = open_one(e, t, rec, n, plain, len, out);

	/* Each costs us a decryption or new keys, and says nothing. */
	if (event == TLSREC_E_NOTHING && ++t->idle > IDLE_MAX)
		return bad(t, TLSREC_A_UNEXPECTED);
	return event;
}
