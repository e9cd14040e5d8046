#include <string.h>

#include "regress/lib/h2cut.h"
#include "worker/net/h2flow.h"

/* Where the next WINDOW_UPDATE begins from frame *at on; n: there is none. */
static size_t
next_window(const uint8_t *p, size_t n, size_t *at, bool *in_block)
{
	size_t here, len;

	while (*at < n) {
		here = *at;
		if (n - here < H2_FRAME_HEAD)
			break;
		len = (size_t)p[here] << 16 | (size_t)p[here + 1] << 8 |
		    p[here + 2];
		*at = here + H2_FRAME_HEAD + len;
		if (p[here + 3] == 1 || p[here + 3] == 9)
			*in_block = (p[here + 4] & 4) == 0;
		else if (p[here + 3] == 8 && len == 4 && !*in_block &&
		    *at <= n)
			return here;
	}
	return n;
}

bool
h2cut_same(const uint8_t *p, size_t n, size_t step)
{
	struct h2_piece o;
	struct h2_cut c;
	size_t at = 0, out = 0, frame = 24, due;
	bool in_block = false;

	h2_cut_init(&c, 24);
	due = n < 24 ? n : next_window(p, n, &frame, &in_block);
	while (at < n) {
		at += h2_cut_next(&c, p + at, step < n - at ? step : n - at,
		    &o);
		if (o.is_window != (o.n != 0 && out == due) ||
		    out + o.n > at || (!o.is_window && out + o.n > due) ||
		    memcmp(p + out, o.p == NULL ? p : o.p, o.n) != 0)
			return false;
		if (o.is_window) {
			if (o.n != H2_WINDOW_FRAME)
				return false;
			due = next_window(p, n, &frame, &in_block);
		}
		out += o.n;
	}
	/* At most the begin of one frame is still held. */
	return n - out == c.have && c.have < H2_WINDOW_FRAME;
}
