/* From an open connection to a client that is logged in (derp.md 1, 3). */

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/x509.h>

#include "common/enc.h"
#include "common/log.h"
#include "regress/lib/derpload_int.h"

#define SERVER_KEY	1
#define CLIENT_INFO	2
#define SERVER_INFO	3
#define HEAD		5
#define INFO		"{\"version\":2,\"CanAckPings\":true}"
#define META		"derpkey"
#define HTTP_MAX	8192

struct dl_key *
dl_key(struct dl *dl, unsigned int i)
{
	struct dl_key *k;
	unsigned int n = dl->nkeys;

	if (i < n)
		return &dl->keys[i];
	while (n <= i)
		n = n == 0 ? 64 : 2 * n;
	if ((k = realloc(dl->keys, n * sizeof(*k))) == NULL)
		fatal("realloc");
	dl->keys = k;
	for (; dl->nkeys < n; dl->nkeys++) {
		k = &dl->keys[dl->nkeys];
		(void)crypto_box_keypair(k->pub, k->priv);
		k->known = false;
	}
	return &dl->keys[i];
}

/* The relay says that this is its key. */
static void
learn(struct dl *dl, const uint8_t key[32])
{
	unsigned int i;

	if (dl->known && memcmp(dl->relay, key, 32) == 0)
		return;
	memcpy(dl->relay, key, 32);
	dl->known = true;
	for (i = 0; i < dl->nkeys; i++)
		dl->keys[i].known = false;
}

static const uint8_t *
shared(struct dl_conn *c)
{
	struct dl_key *k = dl_key(c->dl, c->key);

	if (!k->known && crypto_box_beforenm(k->shared, c->dl->relay,
	    k->priv) != 0)
		fatalx("the relay's key is weak");
	k->known = true;
	return k->shared;
}

static void
put_info(struct dl_conn *c, struct buf *b)
{
	uint8_t nonce[24];
	uint8_t *p;
	size_t n = sizeof(INFO) - 1;

	buf_u8(b, CLIENT_INFO);
	buf_u32(b, (uint32_t)(32 + 24 + 16 + n));
	buf_put(b, dl_key(c->dl, c->key)->pub, 32);
	randombytes_buf(nonce, sizeof(nonce));
	buf_put(b, nonce, sizeof(nonce));
	p = buf_room(b, 16 + n);
	(void)crypto_box_easy_afternm(p, (const uint8_t *)INFO, n, nonce,
	    shared(c));
	b->n += 16 + n;
}

/* The meta certificate of the chain tells the relay's key (derp.md 1.4). */
static bool
has_meta(struct dl_conn *c)
{
	STACK_OF(X509) *chain;
	char cn[128];
	uint8_t key[32];
	int i, n;

	if (c->ssl == NULL)
		return c->dl->known;
	chain = SSL_get_peer_cert_chain(c->ssl);
	n = chain == NULL ? 0 : sk_X509_num(chain);
	for (i = 0; i < n; i++) {
		if (X509_NAME_get_text_by_NID(X509_get_subject_name(
		    sk_X509_value(chain, i)), NID_commonName, cn,
		    sizeof(cn)) != sizeof(META) - 1 + 64 ||
		    strncmp(cn, META, sizeof(META) - 1) != 0 ||
		    !hex_dec(key, 32, slice_str(cn + sizeof(META) - 1)))
			continue;
		learn(c->dl, key);
		return true;
	}
	return false;
}

void
dl_start(struct dl_conn *c)
{
	struct buf b = { 0 };
	const char *host = c->dl->conf.sni == NULL ? "derp" : c->dl->conf.sni;

	c->state = DL_HTTP;
	if (c->get) {
		buf_printf(&b, "GET /generate_204 HTTP/1.1\r\nHost: %s\r\n"
		    "Connection: close\r\n\r\n", host);
	} else {
		c->fast = c->dl->conf.fast && has_meta(c);
		buf_printf(&b, "GET /derp HTTP/1.1\r\nHost: %s\r\n"
		    "Connection: Upgrade\r\nUpgrade: DERP\r\n%s\r\n", host,
		    c->fast ? "Derp-Fast-Start: 1\r\n" : "");
	}
	if (c->fast) {
		put_info(c, &b);
		c->dl->fast++;
		c->state = DL_INFO;
	}
	dl_put(c, b.p, b.n);
	buf_free(&b);
}

/* True if the answer's head is there and good; it is taken out of part. */
static bool
http(struct dl_conn *c)
{
	const char *want = c->get ? "HTTP/1.1 204" : "HTTP/1.1 101";
	uint8_t *end = NULL;

	if (c->part.n >= 4)
		end = memmem(c->part.p, c->part.n, "\r\n\r\n", 4);
	if (end == NULL) {
		if (c->part.n > HTTP_MAX)
			dl_fail(c, "HTTP");
		return false;
	}
	if (memcmp(c->part.p, want, strlen(want)) != 0) {
		dl_fail(c, c->get ? "no 204" : "no 101");
		return false;
	}
	buf_drain(&c->part, (size_t)(end + 4 - c->part.p));
	return true;
}

static void
is_up(struct dl_conn *c)
{
	c->state = DL_UP;
	c->dl->ops.up(c, c->dl->ops.arg);
}

static void
server_info(struct dl_conn *c, const uint8_t *p, size_t n)
{
	uint8_t text[256];

	if (n < 24 + 16 || n - 24 - 16 >= sizeof(text) ||
	    crypto_box_open_easy_afternm(text, p + 24, n - 24, p,
	    shared(c)) != 0) {
		dl_fail(c, "ServerInfo");
		return;
	}
	is_up(c);
}

static void
frame(struct dl_conn *c, uint8_t type, const uint8_t *p, size_t n)
{
	struct buf b = { 0 };

	switch (c->state) {
	case DL_UP:
		c->dl->ops.frame(c, type, p, n, c->dl->ops.arg);
		break;
	case DL_KEY:
		if (type != SERVER_KEY || n < 40) {
			dl_fail(c, "ServerKey");
			break;
		}
		learn(c->dl, p + 8);
		put_info(c, &b);
		dl_put(c, b.p, b.n);
		buf_free(&b);
		c->state = DL_INFO;
		break;
	case DL_INFO:
		if (type == SERVER_KEY && c->fast)
			break;
		if (type != SERVER_INFO)
			dl_fail(c, "not ServerInfo");
		else
			server_info(c, p, n);
		break;
	default:
		break;
	}
}

/* Whole frames; returns the octets that they take. */
static size_t
frames(struct dl_conn *c, const uint8_t *p, size_t n)
{
	size_t at = 0, len;

	while (n - at >= HEAD && c->state != DL_DEAD) {
		len = (size_t)p[at + 1] << 24 | (size_t)p[at + 2] << 16 |
		    (size_t)p[at + 3] << 8 | p[at + 4];
		if (len > 1 << 20) {
			dl_fail(c, "frame beyond 1 MB");
			break;
		}
		if (n - at - HEAD < len)
			break;
		frame(c, p[at], p + at + HEAD, len);
		at += HEAD + len;
	}
	return at;
}

void
dl_clear(struct dl_conn *c, const uint8_t *p, size_t n)
{
	size_t used;

	if (c->part.n == 0 && c->state != DL_HTTP) {
		used = frames(c, p, n);
		if (c->state != DL_DEAD)
			buf_put(&c->part, p + used, n - used);
		return;
	}
	buf_put(&c->part, p, n);
	if (c->state == DL_HTTP) {
		if (!http(c))
			return;
		if (c->get) {
			is_up(c);
			return;
		}
		c->state = DL_KEY;
	}
	used = frames(c, c->part.p, c->part.n);
	if (c->state != DL_DEAD)
		buf_drain(&c->part, used);
}
