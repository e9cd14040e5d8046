#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/log.h"
#include "common/secret.h"

#define BUF_MIN	256

/* The fast path, for the small pieces below. */
static inline uint8_t *
room(struct buf *b, size_t n)
{
	if (b->cap - b->n >= n && b->p != NULL)
		return b->p + b->n;
	return buf_room(b, n);
}

uint8_t *
buf_room(struct buf *b, size_t n)
{
	size_t cap;

	if (b->cap - b->n >= n && b->p != NULL)
		return b->p + b->n;
	if (n > SIZE_MAX / 4 - b->n)
		fatalx("buffer too large");
	cap = b->cap < BUF_MIN ? BUF_MIN : b->cap;
	while (cap < b->n + n)
		cap *= 2;
	b->p = xrealloc(b->p, cap, 1);
	b->cap = cap;
	return b->p + b->n;
}

void
buf_put(struct buf *b, const void *p, size_t n)
{
	if (n == 0)
		return;
	memcpy(room(b, n), p, n);
	b->n += n;
}

void
buf_u8(struct buf *b, uint8_t v)
{
	*room(b, 1) = v;
	b->n++;
}

void
buf_u16(struct buf *b, uint16_t v)
{
	uint8_t *p = room(b, 2);

	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
	b->n += 2;
}

void
buf_u32(struct buf *b, uint32_t v)
{
	uint8_t *p = room(b, 4);

	p[0] = (uint8_t)(v >> 24);
	p[1] = (uint8_t)(v >> 16);
	p[2] = (uint8_t)(v >> 8);
	p[3] = (uint8_t)v;
	b->n += 4;
}

void
buf_u64(struct buf *b, uint64_t v)
{
	uint8_t *p = room(b, 8);
	int i;

	for (i = 0; i < 8; i++)
		p[i] = (uint8_t)(v >> (56 - 8 * i));
	b->n += 8;
}

void
buf_str(struct buf *b, const char *s)
{
	buf_put(b, s, strlen(s));
}

void
buf_slice(struct buf *b, struct slice s)
{
	buf_put(b, s.p, s.n);
}

void
buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	size_t room;
	int n;

	(void)buf_room(b, 64);
	room = b->cap - b->n;
	va_start(ap, fmt);
	n = vsnprintf((char *)b->p + b->n, room, fmt, ap);
	va_end(ap);
	if (n < 0)
		fatal("vsnprintf");
	if ((size_t)n >= room) {
		room = (size_t)n + 1;
		(void)buf_room(b, room);
		va_start(ap, fmt);
		(void)vsnprintf((char *)b->p + b->n, room, fmt, ap);
		va_end(ap);
	}
	b->n += (size_t)n;
}

void
buf_drain(struct buf *b, size_t n)
{
	if (n > b->n)
		fatalx("buffer drained beyond its end");
	b->n -= n;
	if (b->n != 0 && n != 0)
		memmove(b->p, b->p + n, b->n);
}

void
buf_clear(struct buf *b)
{
	b->n = 0;
}

void
buf_free(struct buf *b)
{
	free(b->p);
	memset(b, 0, sizeof(*b));
}

void
buf_wipe(struct buf *b)
{
	if (b->p != NULL)
		wipe(b->p, b->cap);
	buf_free(b);
}

struct slice
buf_slice_of(const struct buf *b)
{
	return slice_mem(b->p, b->n);
}

void
rd_init(struct rd *r, const void *p, size_t n)
{
	static const uint8_t none[1];

	r->p = n == 0 ? none : p;
	r->end = r->p + n;
	r->bad = false;
}

const uint8_t *
rd_take(struct rd *r, size_t n)
{
	const uint8_t *at = r->p;

	if (r->bad || rd_left(r) < n) {
		r->bad = true;
		return NULL;
	}
	r->p += n;
	return at;
}

uint8_t
rd_u8(struct rd *r)
{
	const uint8_t *p;

	if ((p = rd_take(r, 1)) == NULL)
		return 0;
	return p[0];
}

uint16_t
rd_u16(struct rd *r)
{
	const uint8_t *p;

	if ((p = rd_take(r, 2)) == NULL)
		return 0;
	return (uint16_t)(p[0] << 8 | p[1]);
}

uint32_t
rd_u32(struct rd *r)
{
	const uint8_t *p;

	if ((p = rd_take(r, 4)) == NULL)
		return 0;
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 |
	    (uint32_t)p[2] << 8 | p[3];
}

uint64_t
rd_u64(struct rd *r)
{
	const uint8_t *p;
	uint64_t v = 0;
	int i;

	if ((p = rd_take(r, 8)) == NULL)
		return 0;
	for (i = 0; i < 8; i++)
		v = v << 8 | p[i];
	return v;
}

size_t
rd_left(const struct rd *r)
{
	return r->bad ? 0 : (size_t)(r->end - r->p);
}

bool
rd_done(const struct rd *r)
{
	return !r->bad && r->p == r->end;
}
