#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/buf.h"

static void
grows(void **state)
{
	struct buf b = { 0 };
	unsigned int i;

	(void)state;
	for (i = 0; i < 100000; i++)
		buf_u32(&b, i);
	assert_int_equal(b.n, 400000);
	assert_true(b.cap >= b.n);
	assert_memory_equal(b.p + 4 * 0x12345, "\x00\x01\x23\x45", 4);
	buf_drain(&b, 4 * 0x12345);
	assert_int_equal(b.n, 400000 - 4 * 0x12345);
	assert_memory_equal(b.p, "\x00\x01\x23\x45", 4);
	buf_drain(&b, b.n);
	assert_int_equal(b.n, 0);
	buf_free(&b);
	assert_null(b.p);
	assert_int_equal(b.cap, 0);
}

static void
puts_all(void **state)
{
	static const uint8_t want[] = "\x01\x02\x03\x04\x05\x06\x07\x08\x09"
	    "\x0a\x0b\x0c\x0d\x0e\x0f" "abc" "de" "n=-5 x";
	struct buf b = { 0 };

	(void)state;
	buf_u8(&b, 1);
	buf_u16(&b, 0x0203);
	buf_u32(&b, 0x04050607);
	buf_u64(&b, 0x08090a0b0c0d0e0fULL);
	buf_str(&b, "abc");
	buf_slice(&b, slice_mem("def", 2));
	buf_slice(&b, slice_mem(NULL, 0));
	buf_put(&b, NULL, 0);
	buf_printf(&b, "n=%d %s", -5, "x");
	assert_int_equal(b.n, sizeof(want) - 1);
	assert_memory_equal(b.p, want, b.n);
	assert_true(slice_eq(buf_slice_of(&b), slice_mem(want, b.n)));
	buf_clear(&b);
	assert_int_equal(b.n, 0);
	assert_non_null(b.p);
	buf_wipe(&b);
	assert_null(b.p);
}

/* Text of each length around the room that there happens to be. */
static void
printf_fits(void **state)
{
	struct buf b = { 0 };
	char want[700];
	int i;

	(void)state;
	memset(want, 'x', sizeof(want));
	for (i = 0; i < (int)sizeof(want); i++) {
		buf_clear(&b);
		buf_str(&b, "head");
		buf_printf(&b, "%.*s", i, want);
		assert_int_equal(b.n, 4 + i);
		assert_memory_equal(b.p, "head", 4);
		assert_memory_equal(b.p + 4, want, i);
		if (i % 50 == 0)
			buf_free(&b);
	}
	buf_free(&b);
}

static void
room(void **state)
{
	struct buf b = { 0 };
	uint8_t *p;

	(void)state;
	p = buf_room(&b, 0);
	assert_non_null(p);
	p = buf_room(&b, 1000);
	assert_ptr_equal(p, b.p);
	memset(p, 7, 1000);
	b.n += 1000;
	p = buf_room(&b, 5000);
	assert_ptr_equal(p, b.p + 1000);
	assert_true(b.cap >= 6000);
	assert_int_equal(b.p[999], 7);
	buf_free(&b);
}

static void
reads(void **state)
{
	static const uint8_t in[] = "\x01\x02\x03\x04\x05\x06\x07\x08\x09"
	    "\x0a\x0b\x0c\x0d\x0e\x0fzz";
	struct rd r;

	(void)state;
	rd_init(&r, in, sizeof(in) - 1);
	assert_int_equal(rd_u8(&r), 1);
	assert_int_equal(rd_u16(&r), 0x0203);
	assert_int_equal(rd_u32(&r), 0x04050607);
	assert_true(rd_u64(&r) == 0x08090a0b0c0d0e0fULL);
	assert_int_equal(rd_left(&r), 2);
	assert_false(rd_done(&r));
	assert_memory_equal(rd_take(&r, 2), "zz", 2);
	assert_true(rd_done(&r));
	assert_non_null(rd_take(&r, 0));
	assert_true(rd_done(&r));
	assert_null(rd_take(&r, 1));
	assert_false(rd_done(&r));
}

/* Once short, always bad, even where enough would be left. */
static void
error_sticks(void **state)
{
	static const uint8_t in[] = "abcdefg";
	struct rd r;

	(void)state;
	rd_init(&r, in, 7);
	assert_true(rd_u64(&r) == 0);
	assert_true(r.bad);
	assert_int_equal(rd_u8(&r), 0);
	assert_int_equal(rd_u16(&r), 0);
	assert_int_equal(rd_u32(&r), 0);
	assert_null(rd_take(&r, 0));
	assert_int_equal(rd_left(&r), 0);
	assert_false(rd_done(&r));
	rd_init(&r, in, 7);
	assert_null(rd_take(&r, SIZE_MAX));
	assert_true(r.bad);
	rd_init(&r, NULL, 0);
	assert_true(rd_done(&r));
	assert_int_equal(rd_u8(&r), 0);
	assert_true(r.bad);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(grows),
		cmocka_unit_test(puts_all),
		cmocka_unit_test(printf_fits),
		cmocka_unit_test(room),
		cmocka_unit_test(reads),
		cmocka_unit_test(error_sticks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
