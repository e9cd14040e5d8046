#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/str.h"
#include "worker/frame.h"

static size_t live;		/* octets in all frames */

struct frame *
frame_new(const void *p, size_t n)
{
	struct frame *f;

	if (n > UINT32_MAX)
		fatalx("frame too large");
	f = xmalloc(sizeof(*f) + n);
	f->refs = 1;
	f->len = (uint32_t)n;
	if (n != 0)
		memcpy(f->data, p, n);
	live += n;
	return f;
}

struct frame *
frame_take(struct buf *b)
{
	struct frame *f;

	f = frame_new(b->p, b->n);
	buf_free(b);
	return f;
}

struct frame *
frame_ref(struct frame *f)
{
	if (f->refs == UINT32_MAX)
		fatalx("frame with too many references");
	f->refs++;
	return f;
}

void
frame_unref(struct frame *f)
{
	if (f == NULL || --f->refs != 0)
		return;
	live -= f->len;
	free(f);
}

size_t
frame_bytes(void)
{
	return live;
}
