#include <stdlib.h>
#include <string.h>

#include <zstd.h>

#include "common/log.h"
#include "worker/tailnet/pack_int.h"

#define LEVEL	1	/* smaller and faster than 3 on this data */
/* What is one recipient's own is compressed above it; the window is 1 KB. */
#define RAW_MAX	1000
#define RAW_HEAD	9
#define KEEP	(1024 * 1024)	/* octets of a buffer */

struct pack {
	ZSTD_CCtx	*z;
	struct buf	 out;
};

struct pack *
pack_new(void)
{
	struct pack *p;

	p = xcalloc(1, sizeof(*p));
	if ((p->z = ZSTD_createCCtx()) == NULL)
		fatalx("zstd: out of memory");
	/* With a content size a client's decoder copies O(n^2). */
	if (ZSTD_isError(ZSTD_CCtx_setParameter(p->z, ZSTD_c_compressionLevel,
	    LEVEL)) || ZSTD_isError(ZSTD_CCtx_setParameter(p->z,
	    ZSTD_c_contentSizeFlag, 0)) || ZSTD_isError(ZSTD_CCtx_setParameter(
	    p->z, ZSTD_c_checksumFlag, 0)))
		fatalx("zstd: parameters refused");
	return p;
}

void
pack_free(struct pack *p)
{
	if (p == NULL)
		return;
	ZSTD_freeCCtx(p->z);
	buf_free(&p->out);
	free(p);
}

/*
 * Appends a frame with one raw block (RFC 8878 3.1.1): no content size, no
 * checksum, a window of 1 KB.
 */
static void
put_raw(struct buf *out, const struct buf *text)
{
	uint32_t block = 1 | (uint32_t)text->n << 3;
	const uint8_t head[RAW_HEAD] = { 0x28, 0xb5, 0x2f, 0xfd, 0, 0,
	    (uint8_t)block, (uint8_t)(block >> 8), (uint8_t)(block >> 16) };

	buf_put(out, head, sizeof(head));
	buf_put(out, text->p, text->n);
}

/* Appends the text as one zstd frame. */
static void
compress(struct pack *p, const struct buf *text)
{
	size_t bound, n;

	bound = ZSTD_compressBound(text->n);
	n = ZSTD_compress2(p->z, buf_room(&p->out, bound), bound, text->p,
	    text->n);
	if (ZSTD_isError(n))
		fatalx("zstd: %s", ZSTD_getErrorName(n));
	p->out.n += n;
}

/* The frame of what is in p->out, which does not stay large. */
static struct frame *
take(struct pack *p)
{
	struct frame *f = frame_new(p->out.p, p->out.n);

	if (p->out.cap > KEEP)
		buf_free(&p->out);
	return f;
}

struct frame *
pack_frame(struct pack *p, const struct buf *text)
{
	buf_clear(&p->out);
	compress(p, text);
	return take(p);
}

struct frame *
pack_own(struct pack *p, const struct buf *text)
{
	if (text->n > RAW_MAX)
		return pack_frame(p, text);
	buf_clear(&p->out);
	put_raw(&p->out, text);
	return take(p);
}

static void
put_prefix(uint8_t *p, size_t n)
{
	unsigned int i;

	if (n > UINT32_MAX)
		fatalx("map message of %zu octets", n);
	for (i = 0; i < PACK_PREFIX; i++, n >>= 8)
		p[i] = (uint8_t)n;
}

struct frame *
pack_message(struct pack *p, const struct buf *text, bool z)
{
	buf_clear(&p->out);
	(void)buf_room(&p->out, PACK_PREFIX);
	p->out.n = PACK_PREFIX;
	if (z)
		compress(p, text);
	else
		buf_put(&p->out, text->p, text->n);
	put_prefix(p->out.p, p->out.n - PACK_PREFIX);
	return take(p);
}

void
parts_add(struct parts *ps, struct frame *f)
{
	if (ps->n == ps->cap) {
		ps->cap = ps->cap == 0 ? 16 : 2 * ps->cap;
		ps->frame = xrealloc(ps->frame, ps->cap,
		    sizeof(ps->frame[0]));
	}
	ps->frame[ps->n++] = f;
	ps->octets += f->len;
}

void
parts_close(struct parts *ps)
{
	uint8_t prefix[PACK_PREFIX];
	struct frame *f;

	put_prefix(prefix, ps->octets);
	f = frame_new(prefix, sizeof(prefix));
	parts_add(ps, f);
	memmove(ps->frame + 1, ps->frame, (ps->n - 1) * sizeof(ps->frame[0]));
	ps->frame[0] = f;
}

void
parts_limit(struct parts *ps, size_t max)
{
	struct buf b = { 0 };
	size_t i;

	if (ps->n <= max)
		return;
	for (i = max - 1; i < ps->n; i++) {
		buf_put(&b, ps->frame[i]->data, ps->frame[i]->len);
		frame_unref(ps->frame[i]);
	}
	ps->frame[max - 1] = frame_take(&b);
	ps->n = max;
}

void
parts_free(struct parts *ps)
{
	size_t i;

	for (i = 0; i < ps->n; i++)
		frame_unref(ps->frame[i]);
	free(ps->frame);
	memset(ps, 0, sizeof(*ps));
}
