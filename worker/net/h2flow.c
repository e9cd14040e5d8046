/* DATA frames and their windows. */

#include <string.h>

#include "common/compat/compat.h"
#include "worker/net/h2flow.h"
#include "worker/net/layers_int.h"

#define DATA_MAX	16384	/* of one DATA frame, for all clients */
#define DATA_WORTH	1024	/* smaller pieces wait for more room */

#define TYPE_HEADERS	1
#define TYPE_WINDOW	8
#define TYPE_CONTINUE	9
#define END_HEADERS	4
#define WINDOW_INIT	65535

static uint32_t
be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 |
	    (uint32_t)p[2] << 8 | p[3];
}

/* Input. */

void
h2_cut_init(struct h2_cut *c, uint32_t pass)
{
	memset(c, 0, sizeof(*c));
	c->pass = pass;
}

/* p: the head of a frame. */
static bool
is_window(const struct h2_cut *c, const uint8_t *p)
{
	return !c->in_block && (be32(p) >> 8) == 4 && p[3] == TYPE_WINDOW;
}

static void
set_window(struct h2_piece *o, const uint8_t *p)
{
	o->p = p;
	o->n = H2_WINDOW_FRAME;
	o->is_window = true;
	o->stream = be32(p + 5) & H2_WINDOW_MAX;
	o->more = be32(p + H2_FRAME_HEAD) & H2_WINDOW_MAX;
}

/* Its octets go on. */
static void
begin_frame(struct h2_cut *c, const uint8_t *p)
{
	c->pass = H2_FRAME_HEAD + (be32(p) >> 8);
	if (p[3] == TYPE_HEADERS || p[3] == TYPE_CONTINUE)
		c->in_block = (p[4] & END_HEADERS) == 0;
}

/* More of a head that came in pieces. */
static size_t
gather(struct h2_cut *c, const uint8_t *p, size_t n, struct h2_piece *o)
{
	size_t used = 0;

	while (used < n) {
		c->head[c->have++] = p[used++];
		if (c->have < H2_FRAME_HEAD)
			continue;
		if (!is_window(c, c->head)) {
			begin_frame(c, c->head);
			c->pass -= c->have;
			o->p = c->head;
			o->n = c->have;
		} else if (c->have == H2_WINDOW_FRAME)
			set_window(o, c->head);
		else
			continue;
		c->have = 0;
		break;
	}
	return used;
}

size_t
h2_cut_next(struct h2_cut *c, const uint8_t *p, size_t n, struct h2_piece *o)
{
	size_t at = 0;

	memset(o, 0, sizeof(*o));
	if (c->have != 0)
		return gather(c, p, n, o);
	o->p = p;
	while (at < n) {
		if (c->pass == 0) {
			if (n - at < H2_WINDOW_FRAME)
				break;
			if (is_window(c, p + at))
				break;
			begin_frame(c, p + at);
		}
		if (c->pass > n - at) {
			c->pass -= (uint32_t)(n - at);
			at = n;
		} else {
			at += c->pass;
			c->pass = 0;
		}
	}
	o->n = at;
	if (at != 0)
		return at;
	if (n < H2_WINDOW_FRAME)
		return gather(c, p, n, o);
	set_window(o, p);
	return H2_WINDOW_FRAME;
}

/* Output. */

void
h2_flow_init(struct h2_flow *f)
{
	f->window = f->initial = WINDOW_INIT;
	TAILQ_INIT(&f->ready);
}

void
h2_flow_begin(const struct h2_flow *f, struct req *r)
{
	r->window = f->initial;
}

bool
h2_flow_more(struct h2_flow *f, struct req *r, uint32_t more)
{
	int64_t *w = r == NULL ? &f->window : &r->window;

	if (*w + more > H2_WINDOW_MAX)
		return false;
	*w += more;
	if (r != NULL)
		h2_flow_offer(f, r);
	return true;
}

void
h2_flow_initial(struct h2_flow *f, struct req_list *reqs, uint32_t size)
{
	int64_t by = (int64_t)size - f->initial;
	struct req *r;

	if (by == 0)
		return;
	f->initial = size;
	TAILQ_FOREACH(r, reqs, entry) {
		/* It may become less than nothing (RFC 9113 6.9.2). */
		r->window += by;
		if (r->window <= 0)
			h2_flow_drop(f, r);
		else
			h2_flow_offer(f, r);
	}
}

void
h2_flow_offer(struct h2_flow *f, struct req *r)
{
	if (r->ready || !r->headed || r->aborted || r->queue.octets == 0 ||
	    r->window <= 0)
		return;
	r->ready = true;
	TAILQ_INSERT_TAIL(&f->ready, r, turn);
}

void
h2_flow_drop(struct h2_flow *f, struct req *r)
{
	if (!r->ready)
		return;
	r->ready = false;
	TAILQ_REMOVE(&f->ready, r, turn);
}

bool
h2_flow_can_send(const struct h2_flow *f)
{
	return f->window > 0 && !TAILQ_EMPTY(&f->ready);
}

size_t
h2_flow_frame(struct h2_flow *f, uint8_t *dst, size_t max, struct req **of)
{
	struct req *r = TAILQ_FIRST(&f->ready);
	size_t n;

	if (!h2_flow_can_send(f) || max <= H2_FRAME_HEAD)
		return 0;
	max -= H2_FRAME_HEAD;
	n = r->queue.octets;
	if (max < n && max < DATA_WORTH)
		return 0;
	if (n > DATA_MAX)
		n = DATA_MAX;
	if (n > max)
		n = max;
	if (n > (uint64_t)r->window)
		n = (size_t)r->window;
	if (n > (uint64_t)f->window)
		n = (size_t)f->window;
	memset(dst, 0, 5);
	dst[0] = (uint8_t)(n >> 16);
	dst[1] = (uint8_t)(n >> 8);
	dst[2] = (uint8_t)n;
	dst[5] = (uint8_t)(r->stream >> 24);
	dst[6] = (uint8_t)(r->stream >> 16);
	dst[7] = (uint8_t)(r->stream >> 8);
	dst[8] = (uint8_t)r->stream;
	req_take(r, dst + H2_FRAME_HEAD, n);
	r->window -= (int64_t)n;
	f->window -= (int64_t)n;
	h2_flow_drop(f, r);
	h2_flow_offer(f, r);
	*of = r;
	return H2_FRAME_HEAD + n;
}
