/*
 * WebSocket frames.  First octet: size of the pieces, second: room for data.
 * All pieces must yield the same octets and the same end.
 */

#include <stdlib.h>
#include <string.h>

#include "worker/net/ws.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static enum ws_event
run(const uint8_t *p, size_t n, size_t piece, size_t room, struct buf *data)
{
	uint8_t out[256];
	struct ws w = { 0 };
	enum ws_event e = WS_E_MORE;
	size_t at = 0, part, used, got;
	uint16_t code = 0;

	while (at < n && e != WS_E_CLOSE && e != WS_E_BAD) {
		part = n - at < piece ? n - at : piece;
		got = room;
		e = ws_read(&w, p + at, part, &used, out, &got, &code);
		if (used > part || got > room ||
		    w.ncontrol > sizeof(w.control))
			abort();
		at += used;
		if (e == WS_E_DATA)
			buf_put(data, out, got);
		else if (e == WS_E_PING)
			buf_put(data, w.control, w.ncontrol);
		else if (e == WS_E_MORE && used != part)
			abort();
	}
	return e == WS_E_DATA || e == WS_E_PING ? WS_E_MORE : e;
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct buf a = { 0 }, b = { 0 };
	size_t piece, room;

	if (n < 2)
		return 0;
	piece = p[0] == 0 ? 1 : p[0];
	room = p[1] == 0 ? 1 : p[1];
	if (run(p + 2, n - 2, piece, room, &a) != run(p + 2, n - 2, n, 256,
	    &b))
		abort();
	if (!slice_eq(buf_slice_of(&a), buf_slice_of(&b)))
		abort();
	buf_free(&a);
	buf_free(&b);
	return 0;
}
