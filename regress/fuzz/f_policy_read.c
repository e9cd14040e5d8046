/*
 * The input is a policy: it is taken, or refused with one message of bounded
 * length and a place.  Written as plain JSON it gets the same answer, but for
 * places.
 */

#include <stdlib.h>
#include <string.h>

#include "dbd/policy/arena.h"
#include "dbd/policy/hujson.h"

#define ARENA	((size_t)512 * 1024 * 1024)
#define S(s)	{ s, sizeof(s) - 1 }

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static const struct pol_user users[] = {
	{ 1, S("ann"), S("ann@corp.example"), S(""), 2 },
	{ 2, S("ben"), S("ben@corp.example"), S(""), 0 },
	{ 3, S("ben"), S(""), S("x"), 0 }
};
static const struct slice domains[] = { S("corp.example") };
static const struct tailnet_info info = { users, 3, domains, 1, false };

/* The answer's text into text, empty if it was taken. */
static void
answer(struct slice policy, struct buf *text)
{
	struct buf detail = { 0 };
	struct arena *a = arena_new(ARENA);
	struct pol_error err;
	bool taken;

	memset(&err, 0, sizeof(err));
	err.text = text;
	err.detail = &detail;
	taken = policy_read(a, policy, &info, &err) != NULL;
	if (taken != (text->n == 0) || (taken && detail.n != 0))
		abort();
	if (!taken && (err.pos.line == 0 || err.pos.column == 0 ||
	    text->n > 2048 || !utf8_ok((char *)text->p, text->n)))
		abort();
	if (detail.n > 64 * 2100 || !utf8_ok((char *)detail.p, detail.n))
		abort();
	buf_free(&detail);
	arena_free(a);
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct buf text = { 0 }, plain = { 0 }, json = { 0 }, err = { 0 };
	struct arena *a = arena_new(ARENA);
	struct pos pos;
	struct hj *v;

	answer(slice_mem(p, n), &text);
	if (n > 0 && n < 65536 &&
	    (v = hj_read(a, slice_mem(p, n), &err, &pos)) != NULL) {
		hj_json(&json, v);
		answer(buf_slice_of(&json), &plain);
		if (!slice_prefix(buf_slice_of(&text), "line ") &&
		    !slice_eq(buf_slice_of(&text), buf_slice_of(&plain)))
			abort();
	}
	buf_free(&text);
	buf_free(&plain);
	buf_free(&json);
	buf_free(&err);
	arena_free(a);
	return 0;
}
