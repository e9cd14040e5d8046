#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/enc.h"
#include "regress/lib/vectors.h"

void
vec_get(uint8_t *dst, size_t n, const char *hex)
{
	assert_true(hex_dec(dst, n, slice_str(hex)));
}

void
vec_check(const uint8_t *p, size_t n, const char *hex)
{
	char text[513];

	assert_true(2 * n < sizeof(text));
	hex_enc(text, p, n);
	assert_string_equal(text, hex);
}

const char *
vec_low_order(size_t i)
{
	/* The seven points, and encodings of them beyond p. */
	static const char *const point[] = {
	    "0000000000000000000000000000000000000000000000000000000000000000",
	    "0100000000000000000000000000000000000000000000000000000000000000",
	    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
	    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
	    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	    "0000000000000000000000000000000000000000000000000000000000000080",
	    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
	};

	return i < sizeof(point) / sizeof(point[0]) ? point[i] : NULL;
}
