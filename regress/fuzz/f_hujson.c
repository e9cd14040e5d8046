/*
 * The input is read as HuJSON; what is taken is written as JSON and must be
 * taken again with the same result, and by the other JSON reader where that
 * one's bounds allow it.  What is not taken has a place in the text.
 */

#include <stdlib.h>
#include <string.h>

#include "common/json_read.h"
#include "dbd/policy/arena.h"
#include "dbd/policy/hujson.h"

#define ARENA	((size_t)512 * 1024 * 1024)

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
again(const struct buf *json)
{
	struct buf err = { 0 }, out = { 0 };
	struct arena *a = arena_new(ARENA);
	struct jdoc *d;
	const char *why;
	struct pos pos;
	struct hj *v;
	size_t at;

	if ((v = hj_read(a, buf_slice_of(json), &err, &pos)) == NULL)
		abort();
	hj_json(&out, v);
	if (!slice_eq(buf_slice_of(&out), buf_slice_of(json)))
		abort();
	d = json_read(json->p, json->n, json->n, &why, &at);
	if (d != NULL && v->kind == HJ_ARRAY &&
	    jval_count(jdoc_root(d)) != v->count)
		abort();
	jdoc_free(d, false);
	buf_free(&err);
	buf_free(&out);
	arena_free(a);
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct buf err = { 0 }, json = { 0 };
	struct arena *a = arena_new(ARENA);
	struct pos pos = { 0, 0 };
	struct hj *v;

	if (n > 1024 * 1024)
		n = 1024 * 1024;
	if ((v = hj_read(a, slice_mem(p, n), &err, &pos)) == NULL) {
		if (err.n == 0 || !utf8_ok((char *)err.p, err.n) ||
		    pos.line == 0 || pos.column == 0 ||
		    pos.line > n + 1 || pos.column > n + 1)
			abort();
	} else {
		if (err.n != 0)
			abort();
		hj_json(&json, v);
		again(&json);
	}
	buf_free(&err);
	buf_free(&json);
	arena_free(a);
	return 0;
}
