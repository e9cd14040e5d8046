/*
 * The input is read as JSON; what is taken is written out again and must be
 * taken again, with as many values.  Then the input is written as a string
 * and must come back.
 */

#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "common/json_read.h"

#define MAX	(256 * 1024)

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
copy(struct json *j, const struct jval *v)
{
	const struct jval *member;
	struct slice s;
	void *it = NULL;
	uint64_t u;
	int64_t i;
	size_t k;
	bool t;

	if (v == NULL)
		json_null(j);
	else if (jval_is_obj(v)) {
		json_obj(j);
		while (jval_each(v, &it, &s, &member)) {
			json_keys(j, s);
			copy(j, member);
		}
		json_end(j);
	} else if (jval_is_arr(v)) {
		json_arr(j);
		for (k = 0; k < jval_count(v); k++)
			copy(j, jval_at(v, k));
		json_end(j);
	} else if (jval_str(v, &s))
		json_str(j, s);
	else if (jval_u64(v, &u))
		json_u64(j, u);
	else if (jval_i64(v, &i))
		json_i64(j, i);
	else if (jval_bool(v, &t))
		json_bool(j, t);
	else
		json_raw(j, slice_str("0.5"));
}

static bool
same(const struct jval *a, const struct jval *b)
{
	struct slice s, t;
	size_t k;

	if (jval_count(a) != jval_count(b) ||
	    jval_is_obj(a) != jval_is_obj(b) ||
	    jval_is_arr(a) != jval_is_arr(b) ||
	    jval_str(a, &s) != jval_str(b, &t))
		return false;
	if (jval_str(a, &s) && !slice_eq(s, t))
		return false;
	for (k = 0; jval_is_arr(a) && k < jval_count(a); k++)
		if (!same(jval_at(a, k), jval_at(b, k)))
			return false;
	return true;
}

static void
read_back(const uint8_t *p, size_t n)
{
	struct buf b = { 0 };
	struct jdoc *d, *e;
	struct json j;
	const char *why = NULL;
	size_t at = 0;

	if ((d = json_read(p, n, MAX, &why, &at)) == NULL) {
		if (why == NULL || at > n)
			abort();
		return;
	}
	json_init(&j, &b);
	copy(&j, jdoc_root(d));
	if ((e = json_read(b.p, b.n, SIZE_MAX, &why, &at)) == NULL ||
	    !same(jdoc_root(d), jdoc_root(e)))
		abort();
	jdoc_free(d, true);
	jdoc_free(e, false);
	buf_free(&b);
}

static void
write_as_string(const uint8_t *p, size_t n)
{
	struct buf b = { 0 };
	struct jdoc *d;
	struct slice s;
	struct json j;

	json_init(&j, &b);
	json_str(&j, slice_mem(p, n));
	d = json_read(b.p, b.n, SIZE_MAX, NULL, NULL);
	if (n != 0 && memchr(p, '\0', n) != NULL) {
		if (d != NULL)
			abort();
	} else {
		if (d == NULL || !jval_str(jdoc_root(d), &s))
			abort();
		if (utf8_ok((const char *)p, n) &&
		    !slice_eq(s, slice_mem(p, n)))
			abort();
	}
	jdoc_free(d, true);
	buf_free(&b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	read_back(p, n);
	write_as_string(p, n);
	return 0;
}
