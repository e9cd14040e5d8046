#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "regress/lib/rawclient.h"

#define HEAD		3	/* of a record */
#define TAG		16

static void
fault(struct rawc *c, const char *why)
{
	if (c->why[0] == '\0')
		snprintf(c->why, sizeof(c->why), "%s", why);
}

struct rawc *
rawc_new(struct server *s, const uint8_t machine[32], uint16_t capver)
{
	struct rawc *c;
	uint8_t eph[NOISE_KEY];

	c = xcalloc(1, sizeof(*c));
	c->s = s;
	c->tcp = tcp_raw(s, 0);
	c->noise = noise_new();
	env_random(server_env(s), eph, sizeof(eph));
	noise_clamp(eph);
	if (c->tcp == NULL || !noise_client_start(&c->nc, c->noise, capver,
	    host_public_key(server_host(s)), machine, eph, c->init))
		abort();
	return c;
}

void
rawc_free(struct rawc *c)
{
	noise_client_wipe(&c->nc);
	noise_free(c->noise);
	buf_free(&c->plain);
	free(c);
}

void
rawc_hello(struct rawc *c, const char *more)
{
	char text[B64_LEN(NOISE_INIT) + 1];
	struct buf b = { 0 };

	b64_enc(text, c->init, NOISE_INIT);
	buf_printf(&b, "POST /ts2021 HTTP/1.1\r\nHost: h:80\r\n"
	    "Content-Length: 0\r\nConnection: upgrade\r\n"
	    "Upgrade: tailscale-control-protocol\r\n"
	    "X-Tailscale-Handshake: %s\r\n%s\r\n", text, more);
	tcp_send(c->tcp, b.p, b.n);
	buf_free(&b);
}

/* The counter as the last eight octets, most significant first (trap 1). */
static void
nonce_of(uint8_t nonce[12], uint64_t counter)
{
	unsigned int i;

	memset(nonce, 0, 12);
	for (i = 0; i < 8; i++)
		nonce[11 - i] = (uint8_t)(counter >> 8 * i);
}

static void
open_record(struct rawc *c, const uint8_t *p, size_t n)
{
	uint8_t clear[4096], nonce[12];
	unsigned long long len;

	if (n > c->largest)
		c->largest = n;
	c->records++;
	nonce_of(nonce, c->rx++);
	if (n > 4096)
		fault(c, "a record of more than 4,096 octets");
	else if (crypto_aead_chacha20poly1305_ietf_decrypt(clear, &len, NULL,
	    p + HEAD, n - HEAD, NULL, 0, nonce, c->nc.rx.key) != 0)
		fault(c, "a record does not open");
	else
		buf_put(&c->plain, clear, (size_t)len);
}

static void
take(struct rawc *c)
{
	const struct buf *from = &c->tcp->from;
	const uint8_t *p, *end;
	size_t n;

	if (!c->upgraded && from->n != 0 &&
	    (end = memmem(from->p, from->n, "\r\n\r\n", 4)) != NULL) {
		c->at = (size_t)(end - from->p) + 4;
		if (memcmp(from->p, "HTTP/1.1 101 ", 13) == 0)
			c->upgraded = true;
	}
	while (c->upgraded && c->why[0] == '\0' && from->n - c->at >= HEAD) {
		p = from->p + c->at;
		n = HEAD + ((size_t)p[1] << 8 | p[2]);
		if (from->n - c->at < n)
			break;
		c->at += n;
		if (c->open && p[0] == 4)
			open_record(c, p, n);
		else if (c->open || n != NOISE_RESP ||
		    !noise_client_finish(&c->nc, p))
			fault(c, "neither response nor record");
		else
			c->open = true;
	}
}

void
rawc_run(struct rawc *c, uint64_t us)
{
	uint64_t step, end = server_now(c->s) + us;

	do {
		step = end - server_now(c->s);
		if (step > 50 * US_PER_MS)
			step = 50 * US_PER_MS;
		server_pass(c->s, step);
		take(c);
	} while (server_now(c->s) < end);
}

void
rawc_record(struct rawc *c, const void *p, size_t n)
{
	uint8_t rec[4096 + 64], nonce[12];
	unsigned long long len;

	nonce_of(nonce, c->tx++);
	if (n > 4077)
		abort();
	(void)crypto_aead_chacha20poly1305_ietf_encrypt(rec + HEAD, &len, p,
	    n, NULL, 0, NULL, nonce, c->nc.tx.key);
	rec[0] = 4;
	rec[1] = (uint8_t)(len >> 8);
	rec[2] = (uint8_t)len;
	tcp_send(c->tcp, rec, HEAD + (size_t)len);
}

static void
records(struct rawc *c, const struct buf *b)
{
	size_t at, n;

	for (at = 0; at < b->n; at += n) {
		n = b->n - at < 4077 ? b->n - at : 4077;
		rawc_record(c, b->p + at, n);
	}
}

void
rawc_preface(struct rawc *c)
{
	static const char text[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

	rawc_record(c, text, sizeof(text) - 1);
}

void
rawc_frame(struct rawc *c, unsigned int type, unsigned int flags,
    uint32_t stream, const void *p, size_t n)
{
	struct buf b = { 0 };

	buf_u8(&b, (uint8_t)(n >> 16));
	buf_u16(&b, (uint16_t)n);
	buf_u8(&b, (uint8_t)type);
	buf_u8(&b, (uint8_t)flags);
	buf_u32(&b, stream);
	buf_put(&b, p, n);
	records(c, &b);
	buf_free(&b);
}

bool
rawc_open(struct rawc *c)
{
	rawc_hello(c, "");
	rawc_run(c, 50 * US_PER_MS);
	if (!c->open)
		return false;
	rawc_preface(c);
	rawc_frame(c, H2_SETTINGS, 0, 0, NULL, 0);
	rawc_run(c, 50 * US_PER_MS);
	return c->why[0] == '\0' && !c->tcp->closed;
}

/* An integer of HPACK with a prefix of seven bits, below 16,384 + 127. */
static void
length(struct buf *b, size_t n)
{
	if (n < 127) {
		buf_u8(b, (uint8_t)n);
		return;
	}
	buf_u8(b, 127);
	for (n -= 127; n >= 128; n >>= 7)
		buf_u8(b, (uint8_t)(n | 128));
	buf_u8(b, (uint8_t)n);
}

void
rawc_field(struct buf *b, const char *name, const char *value)
{
	buf_u8(b, 0x10);		/* literal, never indexed, new name */
	length(b, strlen(name));
	buf_str(b, name);
	length(b, strlen(value));
	buf_str(b, value);
}

void
rawc_request(struct rawc *c, uint32_t stream, const char *method,
    const char *path, const char *authority, const char *body)
{
	struct buf b = { 0 };
	size_t at, n, len = body == NULL ? 0 : strlen(body);

	rawc_field(&b, ":method", method);
	rawc_field(&b, ":scheme", "https");
	if (authority != NULL)
		rawc_field(&b, ":authority", authority);
	rawc_field(&b, ":path", path);
	rawc_field(&b, "accept-encoding", "gzip");
	rawc_frame(c, H2_HEADERS, H2_F_HEADERS | (body == NULL ? H2_F_END : 0),
	    stream, b.p, b.n);
	buf_free(&b);
	for (at = 0; at < len; at += n) {
		n = len - at < 16384 ? len - at : 16384;
		rawc_frame(c, H2_DATA, at + n == len ? H2_F_END : 0, stream,
		    body + at, n);
	}
}

size_t
rawc_early(const struct rawc *c)
{
	static const uint8_t magic[] = { 0xff, 0xff, 0xff, 'T', 'S' };
	const uint8_t *p = c->plain.p;
	size_t n;

	if (c->plain.n < 9)
		return 0;
	if (memcmp(p, magic, sizeof(magic)) != 0)
		return 0;
	n = (size_t)p[5] << 24 | (size_t)p[6] << 16 | (size_t)p[7] << 8 | p[8];
	return c->plain.n < 9 + n ? 0 : 9 + n;
}

bool
rawc_next(struct rawc *c, struct h2_frame *f)
{
	const uint8_t *p;

	if (c->frame_at == 0 && (c->frame_at = rawc_early(c)) == 0)
		return false;
	p = c->plain.p + c->frame_at;
	if (c->plain.n - c->frame_at < 9)
		return false;
	f->n = (size_t)p[0] << 16 | (size_t)p[1] << 8 | p[2];
	if (c->plain.n - c->frame_at < 9 + f->n)
		return false;
	f->type = p[3];
	f->flags = p[4];
	f->stream = (uint32_t)p[5] << 24 | (uint32_t)p[6] << 16 |
	    (uint32_t)p[7] << 8 | p[8];
	f->p = p + 9;
	c->frame_at += 9 + f->n;
	return true;
}

void
rawc_rewind(struct rawc *c)
{
	c->frame_at = 0;
}

bool
rawc_data(struct rawc *c, uint32_t stream, struct buf *b)
{
	struct h2_frame f;
	bool end = false;

	rawc_rewind(c);
	while (rawc_next(c, &f)) {
		if (f.stream != stream)
			continue;
		if (f.type == H2_DATA)
			buf_put(b, f.p, f.n);
		if (f.type == H2_DATA || f.type == H2_HEADERS)
			end |= (f.flags & H2_F_END) != 0;
	}
	return end;
}
