/* Noise records as a stream, whatever the pieces. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "common/buf.h"
#include "worker/net/records.h"

static struct noise *ns;

static int
setup(void **state)
{
	(void)state;
	if (noise_init() == -1)
		return -1;
	ns = noise_new();
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	noise_free(ns);
	return 0;
}

static void
keys(struct noise_key *tx, struct record_in *in)
{
	uint8_t key[NOISE_KEY];

	memset(key, 0x5a, sizeof(key));
	memset(in, 0, sizeof(*in));
	noise_key_set(tx, key, 0);
	noise_key_set(&in->key, key, 0);
}

/* Lengths that matter, sealed one after the other. */
static const size_t lengths[] = { 0, 1, 500, RECORD_BURST, NOISE_PLAIN, 3 };
#define NLENGTHS (sizeof(lengths) / sizeof(lengths[0]))

static void
make(struct buf *b, struct noise_key *tx)
{
	uint8_t plain[NOISE_PLAIN], rec[NOISE_RECORD];
	size_t i;

	for (i = 0; i < NLENGTHS; i++) {
		memset(plain, (int)i + 1, sizeof(plain));
		buf_put(b, rec, noise_seal(ns, tx, rec, plain, lengths[i]));
	}
}

static void
feed(size_t piece)
{
	uint8_t plain[NOISE_PLAIN];
	struct noise_key tx;
	struct record_in in;
	struct buf b = { 0 };
	const uint8_t *rec;
	size_t at = 0, end, used, len, seen = 0;
	int rc;

	keys(&tx, &in);
	make(&b, &tx);
	while (at < b.n) {
		end = b.n - at < piece ? b.n : at + piece;
		while (at < end) {
			assert_true(record_need(&in) > 0);
			rc = record_put(&in, b.p + at, end - at, &used, &rec,
			    &len);
			at += used;
			assert_int_not_equal(rc, -1);
			if (rc == 0) {
				assert_int_equal(at, end);
				break;
			}
			assert_int_equal(noise_open(ns, &in.key, plain, rec,
			    len), lengths[seen]);
			if (lengths[seen] != 0)
				assert_int_equal(plain[lengths[seen] - 1],
				    seen + 1);
			seen++;
			record_next(&in);
		}
	}
	assert_int_equal(seen, NLENGTHS);
	assert_null(in.part);
	record_in_clear(&in);
	buf_free(&b);
}

static void
t_pieces(void **state)
{
	static const size_t pieces[] = { 1, 2, 3, 4, 18, 19, 20, 100, 4095,
	    4096, 4097, 100000 };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++)
		feed(pieces[i]);
}

static void
bad(const uint8_t head[NOISE_HEAD])
{
	uint8_t rec[NOISE_RECORD + 16] = { 0 };
	struct record_in in = { 0 };
	const uint8_t *at;
	size_t used, len;

	memcpy(rec, head, NOISE_HEAD);
	assert_int_equal(record_put(&in, rec, sizeof(rec), &used, &at, &len),
	    -1);
	record_in_clear(&in);
	/* the same octet by octet: seen as soon as the header is whole */
	memset(&in, 0, sizeof(in));
	assert_int_equal(record_put(&in, rec, 1, &used, &at, &len), 0);
	assert_int_equal(record_put(&in, rec + 1, 1, &used, &at, &len), 0);
	assert_int_equal(record_put(&in, rec + 2, 1, &used, &at, &len), -1);
	record_in_clear(&in);
}

static void
t_bad(void **state)
{
	static const uint8_t type[] = { 3, 0, 20 }, large[] = { 4, 0x0f, 0xfe },
	    small[] = { 4, 0, 15 }, huge[] = { 4, 0xff, 0xff },
	    http[] = { 'G', 'E', 'T' };

	(void)state;
	bad(type);
	bad(large);
	bad(small);
	bad(huge);
	bad(http);
}

static void
t_largest(void **state)
{
	uint8_t rec[NOISE_RECORD] = { 4, 0x0f, 0xfd };
	struct record_in in = { 0 };
	const uint8_t *at;
	size_t used, len;

	(void)state;
	assert_int_equal(record_put(&in, rec, sizeof(rec), &used, &at, &len),
	    1);
	assert_int_equal(len, NOISE_RECORD);
	assert_ptr_equal(at, rec);
	record_in_clear(&in);
}

/* What record_room() promises fits, and not much is wasted. */
static void
t_room(void **state)
{
	size_t max, room, n, out, extra;

	(void)state;
	for (extra = 0; extra <= 4; extra += 4)
		for (max = 0; max < 70000; max += 7) {
			room = record_room(max, extra);
			out = 0;
			for (n = room; n != 0; n -= record_cut(n)) {
				assert_true(record_cut(n) <= NOISE_PLAIN);
				out += record_cut(n) + NOISE_HEAD + NOISE_TAG +
				    extra;
			}
			assert_true(out <= max);
			assert_true(max < 100 || max - out < 50);
		}
	assert_int_equal(record_cut(NOISE_PLAIN), NOISE_PLAIN);
	assert_int_equal(record_cut(NOISE_PLAIN + 1), RECORD_BURST);
	assert_int_equal(record_cut(1), 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_pieces),
		cmocka_unit_test(t_bad),
		cmocka_unit_test(t_largest),
		cmocka_unit_test(t_room)
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
