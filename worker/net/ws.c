#include <string.h>

#include <openssl/evp.h>

#include "common/enc.h"
#include "common/log.h"
#include "worker/net/ws.h"

#define FIN		0x80
#define RESERVED	0x70
#define MASKED		0x80

/* How long the header is of which nhead octets are there. */
static size_t
head_len(const struct ws *w)
{
	if (w->nhead < 2)
		return 2;
	switch (w->head[1] & 0x7f) {
	case 126:
		return 8;
	case 127:
		return 14;
	default:
		return 6;
	}
}

static uint64_t
payload_len(const struct ws *w)
{
	struct rd r;
	uint64_t n = w->head[1] & 0x7f;

	rd_init(&r, w->head + 2, w->nhead - 2U);
	if (n == 126)
		return rd_u16(&r);
	if (n == 127)
		return rd_u64(&r);
	return n;
}

static bool
is_control(const struct ws *w)
{
	return (w->head[0] & 0x08) != 0;
}

/* 0, or the code to close with. */
static uint16_t
head_check(struct ws *w)
{
	unsigned int op = w->head[0] & 0x0f;
	bool fin = (w->head[0] & FIN) != 0;
	uint64_t n = payload_len(w);

	if ((w->head[0] & RESERVED) != 0 || (w->head[1] & MASKED) == 0)
		return WS_PROTOCOL;
	if (is_control(w)) {
		if (op > WS_OP_PONG || !fin || n > WS_CONTROL_MAX)
			return WS_PROTOCOL;
		w->ncontrol = 0;
	} else {
		if (op > WS_OP_BINARY || (op == WS_OP_MORE) != w->in_message)
			return WS_PROTOCOL;
		if (op == WS_OP_TEXT)
			return WS_NOT_BINARY;
		if (n > WS_FRAME_MAX)
			return WS_TOO_LARGE;
		w->in_message = !fin;
	}
	w->left = (uint32_t)n;
	w->at = 0;
	w->in_frame = true;
	return 0;
}

static void
unmask(struct ws *w, uint8_t *out, const uint8_t *in, size_t n)
{
	const uint8_t *mask = w->head + w->nhead - 4;
	size_t i;

	for (i = 0; i < n; i++)
		out[i] = in[i] ^ mask[w->at++ & 3];
	w->left -= (uint32_t)n;
}

static void
frame_end(struct ws *w)
{
	w->in_frame = false;
	w->nhead = 0;
}

/* What to answer to a close frame: its own code where that is a legal one. */
static enum ws_event
on_close(struct ws *w, uint16_t *code)
{
	unsigned int c;

	*code = WS_NORMAL;
	if (w->ncontrol == 0)
		return WS_E_CLOSE;
	c = (unsigned int)w->control[0] << 8 | w->control[1];
	if (w->ncontrol == 1 || c < 1000 || c > 4999)
		*code = WS_PROTOCOL;
	else
		*code = (uint16_t)c;
	return WS_E_CLOSE;
}

static enum ws_event
control_end(struct ws *w, uint16_t *code)
{
	unsigned int op = w->head[0] & 0x0f;

	frame_end(w);
	switch (op) {
	case WS_OP_PING:
		return WS_E_PING;
	case WS_OP_CLOSE:
		return on_close(w, code);
	default:		/* a pong that nobody asked for is legal */
		return WS_E_MORE;
	}
}

enum ws_event
ws_read(struct ws *w, const uint8_t *in, size_t n, size_t *used, uint8_t *out,
    size_t *nout, uint16_t *code)
{
	size_t take, max = *nout;
	enum ws_event e;

	*used = *nout = 0;
	for (;;) {
		while (!w->in_frame) {
			if (*used == n)
				return WS_E_MORE;
			w->head[w->nhead++] = in[(*used)++];
			if (w->nhead < head_len(w))
				continue;
			if ((*code = head_check(w)) != 0)
				return WS_E_BAD;
		}
		take = n - *used < w->left ? n - *used : w->left;
		if (is_control(w)) {
			unmask(w, w->control + w->ncontrol, in + *used, take);
			w->ncontrol += (uint8_t)take;
			*used += take;
			if (w->left != 0)
				return WS_E_MORE;
			if ((e = control_end(w, code)) != WS_E_MORE)
				return e;
			continue;
		}
		if (w->left == 0) {	/* an empty or a finished frame */
			frame_end(w);
			continue;
		}
		if (take == 0)
			return WS_E_MORE;
		if (take > max)
			take = max;
		unmask(w, out, in + *used, take);
		*used += take;
		*nout = take;
		return WS_E_DATA;
	}
}

size_t
ws_head(uint8_t dst[WS_HEAD_MAX], enum ws_op op, size_t n)
{
	if (n > UINT16_MAX)
		fatalx("websocket frame too long");
	dst[0] = (uint8_t)(FIN | op);
	if (n < 126) {
		dst[1] = (uint8_t)n;
		return 2;
	}
	dst[1] = 126;
	dst[2] = (uint8_t)(n >> 8);
	dst[3] = (uint8_t)n;
	return 4;
}

void
ws_control(struct buf *b, enum ws_op op, const void *p, size_t n)
{
	uint8_t head[WS_HEAD_MAX];

	if (n > WS_CONTROL_MAX)
		fatalx("websocket control frame too long");
	buf_put(b, head, ws_head(head, op, n));
	buf_put(b, p, n);
}

void
ws_close(struct buf *b, uint16_t code, const char *why)
{
	struct buf body = { 0 };

	buf_u16(&body, code);
	buf_str(&body, why);
	ws_control(b, WS_OP_CLOSE, body.p, body.n);
	buf_free(&body);
}

bool
ws_accept(char dst[WS_ACCEPT], struct slice key)
{
	static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
	uint8_t raw[16], digest[EVP_MAX_MD_SIZE];
	struct buf b = { 0 };
	unsigned int n;

	if (b64_dec(raw, sizeof(raw), key) != (long)sizeof(raw))
		return false;
	buf_slice(&b, key);
	buf_str(&b, guid);
	if (EVP_Digest(b.p, b.n, digest, &n, EVP_sha1(), NULL) != 1)
		fatalx("SHA-1 is missing");
	buf_free(&b);
	b64_enc(dst, digest, n);
	return true;
}
