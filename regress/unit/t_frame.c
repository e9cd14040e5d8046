#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "worker/frame.h"

static void
t_copy(void **state)
{
	uint8_t from[5] = { 1, 2, 3, 4, 5 };
	struct frame *f;

	(void)state;
	f = frame_new(from, sizeof(from));
	from[0] = 9;
	assert_int_equal(f->len, 5);
	assert_int_equal(f->data[0], 1);
	assert_int_equal(f->refs, 1);
	assert_int_equal(frame_bytes(), 5);
	frame_unref(f);
	assert_int_equal(frame_bytes(), 0);
}

static void
t_take(void **state)
{
	struct buf b = { 0 };
	struct frame *f;

	(void)state;
	buf_str(&b, "hello");
	f = frame_take(&b);
	assert_null(b.p);
	assert_int_equal(b.n, 0);
	assert_int_equal(f->len, 5);
	assert_memory_equal(f->data, "hello", 5);
	frame_unref(f);
	f = frame_take(&b);
	assert_int_equal(f->len, 0);
	frame_unref(f);
}

static void
t_refs(void **state)
{
	struct frame *f, *g;

	(void)state;
	f = frame_new("x", 1);
	g = frame_new("yz", 2);
	assert_ptr_equal(frame_ref(f), f);
	assert_int_equal(frame_bytes(), 3);
	frame_unref(f);
	assert_int_equal(frame_bytes(), 3);
	assert_int_equal(f->data[0], 'x');
	frame_unref(f);
	assert_int_equal(frame_bytes(), 2);
	frame_unref(g);
	frame_unref(NULL);
	assert_int_equal(frame_bytes(), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_copy),
		cmocka_unit_test(t_take),
		cmocka_unit_test(t_refs)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
