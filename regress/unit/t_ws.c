/* WebSocket frames: RFC 6455 from the server's side. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "worker/net/ws.h"

/* Appends a client's frame; len_form 0: the shortest that fits. */
static void
frame(struct buf *b, uint8_t first, const void *p, size_t n, int len_form)
{
	static const uint8_t mask[4] = { 0x12, 0x34, 0x56, 0x78 };
	const uint8_t *from = p;
	size_t i;

	buf_u8(b, first);
	if (len_form == 0)
		len_form = n < 126 ? 7 : n < 65536 ? 16 : 64;
	if (len_form == 7)
		buf_u8(b, (uint8_t)(0x80 | n));
	else if (len_form == 16) {
		buf_u8(b, 0x80 | 126);
		buf_u16(b, (uint16_t)n);
	} else {
		buf_u8(b, 0x80 | 127);
		buf_u64(b, n);
	}
	buf_put(b, mask, 4);
	for (i = 0; i < n; i++)
		buf_u8(b, from[i] ^ mask[i & 3]);
}

/* Reads all of b in pieces; data is gathered until something else happens. */
static enum ws_event
read_all(struct ws *w, struct buf *b, size_t piece, size_t room,
    struct buf *data, uint16_t *code)
{
	uint8_t out[70000];
	size_t at = 0, n, used, got;
	enum ws_event e;

	*code = 0;
	while (at < b->n) {
		n = b->n - at < piece ? b->n - at : piece;
		got = room;
		e = ws_read(w, b->p + at, n, &used, out, &got, code);
		at += used;
		if (e == WS_E_DATA) {
			assert_true(got > 0 && got <= room);
			buf_put(data, out, got);
		} else if (e != WS_E_MORE) {
			buf_drain(b, at);
			return e;
		} else
			assert_int_equal(used, n);
	}
	buf_clear(b);
	return WS_E_MORE;
}

static void
t_stream(void **state)
{
	static const size_t pieces[] = { 1, 2, 3, 5, 6, 7, 13, 1000, 100000 };
	static const size_t rooms[] = { 1, 3, 4096, 70000 };
	uint8_t text[65536];
	struct buf b = { 0 }, data = { 0 };
	struct ws w;
	uint16_t code;
	size_t i, j;

	(void)state;
	for (i = 0; i < sizeof(text); i++)
		text[i] = (uint8_t)(i * 7 + i / 256);
	for (i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++)
		for (j = 0; j < sizeof(rooms) / sizeof(rooms[0]); j++) {
			memset(&w, 0, sizeof(w));
			frame(&b, 0x82, text, 100, 0);
			frame(&b, 0x82, text, 0, 0);
			frame(&b, 0x02, text + 100, 200, 0);
			frame(&b, 0x8a, "pong", 4, 0);	/* in between */
			frame(&b, 0x00, text + 300, 0, 0);
			frame(&b, 0x80, text + 300, 700, 0);
			frame(&b, 0x82, text + 1000, 64536, 0);
			assert_int_equal(read_all(&w, &b, pieces[i], rooms[j],
			    &data, &code), WS_E_MORE);
			assert_int_equal(data.n, 65536);
			assert_memory_equal(data.p, text, 65536);
			buf_clear(&data);
		}
	buf_free(&b);
	buf_free(&data);
}

static void
expect(uint8_t first, size_t n, int len_form, bool masked, enum ws_event e,
    uint16_t want)
{
	uint8_t text[70000] = { 3, 232 };	/* as a close frame: 1000 */
	struct buf b = { 0 }, data = { 0 };
	struct ws w = { 0 };
	uint16_t code;

	frame(&b, first, text, n, len_form);
	if (!masked)
		b.p[1] &= 0x7f;
	assert_int_equal(read_all(&w, &b, 1, 1000, &data, &code), e);
	if (e == WS_E_BAD || e == WS_E_CLOSE)
		assert_int_equal(code, want);
	buf_free(&b);
	buf_free(&data);
}

static void
t_refused(void **state)
{
	(void)state;
	expect(0x82, 5, 0, true, WS_E_MORE, 0);
	expect(0x82, 5, 0, false, WS_E_BAD, WS_PROTOCOL);	/* unmasked */
	expect(0xc2, 5, 0, true, WS_E_BAD, WS_PROTOCOL);	/* compressed */
	expect(0x92, 5, 0, true, WS_E_BAD, WS_PROTOCOL);
	expect(0x81, 5, 0, true, WS_E_BAD, WS_NOT_BINARY);
	expect(0x83, 5, 0, true, WS_E_BAD, WS_PROTOCOL);
	expect(0x8b, 5, 0, true, WS_E_BAD, WS_PROTOCOL);
	expect(0x80, 5, 0, true, WS_E_BAD, WS_PROTOCOL);	/* of nothing */
	expect(0x09, 5, 0, true, WS_E_BAD, WS_PROTOCOL);	/* split ping */
	expect(0x89, 126, 0, true, WS_E_BAD, WS_PROTOCOL);
	expect(0x88, 126, 0, true, WS_E_BAD, WS_PROTOCOL);
	expect(0x82, 65600, 0, true, WS_E_MORE, 0);
	expect(0x82, 65601, 0, true, WS_E_BAD, WS_TOO_LARGE);
	expect(0x82, 5, 16, true, WS_E_MORE, 0);
	expect(0x82, 5, 64, true, WS_E_MORE, 0);
	expect(0x88, 0, 0, true, WS_E_CLOSE, WS_NORMAL);
	expect(0x88, 1, 0, true, WS_E_CLOSE, WS_PROTOCOL);
	expect(0x88, 2, 0, true, WS_E_CLOSE, 1000);
	expect(0x89, 0, 0, true, WS_E_PING, 0);
	expect(0x89, 125, 0, true, WS_E_PING, 0);
}

/* A length of 2^63 must not wrap around. */
static void
t_endless(void **state)
{
	uint8_t head[14] = { 0x82, 0xff, 0x80 };
	uint8_t out[16];
	size_t used, got = sizeof(out);
	struct ws w = { 0 };
	uint16_t code;

	(void)state;
	assert_int_equal(ws_read(&w, head, sizeof(head), &used, out, &got,
	    &code), WS_E_BAD);
	assert_int_equal(code, WS_TOO_LARGE);
}

static void
t_half_message(void **state)
{
	struct buf b = { 0 }, data = { 0 };
	struct ws w = { 0 };
	uint16_t code;

	(void)state;
	frame(&b, 0x02, "one", 3, 0);
	frame(&b, 0x82, "two", 3, 0);	/* before the first is finished */
	assert_int_equal(read_all(&w, &b, 100, 100, &data, &code), WS_E_BAD);
	assert_int_equal(code, WS_PROTOCOL);
	assert_int_equal(data.n, 3);
	buf_free(&b);
	buf_free(&data);
}

static void
t_ping(void **state)
{
	struct buf b = { 0 }, data = { 0 };
	struct ws w = { 0 };
	uint16_t code;

	(void)state;
	frame(&b, 0x82, "abc", 3, 0);
	frame(&b, 0x89, "are you there", 13, 0);
	frame(&b, 0x82, "def", 3, 0);
	assert_int_equal(read_all(&w, &b, 4, 100, &data, &code), WS_E_PING);
	assert_int_equal(w.ncontrol, 13);
	assert_memory_equal(w.control, "are you there", 13);
	assert_int_equal(data.n, 3);
	assert_int_equal(read_all(&w, &b, 4, 100, &data, &code), WS_E_MORE);
	assert_memory_equal(data.p, "abcdef", 6);
	buf_free(&b);
	buf_free(&data);
}

static void
t_write(void **state)
{
	uint8_t head[WS_HEAD_MAX];
	struct buf b = { 0 };

	(void)state;
	assert_int_equal(ws_head(head, WS_OP_BINARY, 125), 2);
	assert_memory_equal(head, "\x82\x7d", 2);
	assert_int_equal(ws_head(head, WS_OP_BINARY, 126), 4);
	assert_memory_equal(head, "\x82\x7e\x00\x7e", 4);
	assert_int_equal(ws_head(head, WS_OP_BINARY, 65535), 4);
	assert_memory_equal(head, "\x82\x7e\xff\xff", 4);
	ws_close(&b, WS_POLICY, "no");
	assert_int_equal(b.n, 6);
	assert_memory_equal(b.p, "\x88\x04\x03\xf0no", 6);
	buf_free(&b);
}

/* RFC 6455 1.3. */
static void
t_accept(void **state)
{
	char text[WS_ACCEPT];

	(void)state;
	assert_true(ws_accept(text, slice_str("dGhlIHNhbXBsZSBub25jZQ==")));
	assert_string_equal(text, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
	assert_false(ws_accept(text, slice_str("dGhlIHNhbXBsZSBub25j")));
	assert_false(ws_accept(text, slice_str("")));
	assert_false(ws_accept(text,
	    slice_str("dGhlIHNhbXBsZSBub25jZSB0b28gbG9uZw==")));
	assert_false(ws_accept(text, slice_str("dGhlIHNhbXBsZSBub25jZQ")));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_stream),
		cmocka_unit_test(t_refused),
		cmocka_unit_test(t_endless),
		cmocka_unit_test(t_half_message),
		cmocka_unit_test(t_ping),
		cmocka_unit_test(t_write),
		cmocka_unit_test(t_accept)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
