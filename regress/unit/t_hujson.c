/* The HuJSON reader: what it takes, what it refuses and where. */

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/json_read.h"
#include "dbd/policy/arena.h"
#include "dbd/policy/hujson.h"

#define nitems(x)	(sizeof(x) / sizeof((x)[0]))
#define ARENA		((size_t)256 * 1024 * 1024)

/* The text as standard JSON. */
static void
takes(struct slice text, const char *json)
{
	struct buf err = { 0 }, out = { 0 };
	struct arena *a = arena_new(ARENA);
	struct pos pos;
	struct hj *v;

	if ((v = hj_read(a, text, &err, &pos)) == NULL)
		fail_msg("%.*s: %.*s", (int)text.n, text.p, (int)err.n,
		    (char *)err.p);
	hj_json(&out, v);
	buf_u8(&out, '\0');
	assert_string_equal(out.p, json);
	buf_free(&out);
	buf_free(&err);
	arena_free(a);
}

static void
refuses(struct slice text, uint32_t line, uint32_t column, const char *why)
{
	struct buf err = { 0 };
	struct arena *a = arena_new(ARENA);
	struct pos pos = { 0, 0 };
	char want[200];

	if (hj_read(a, text, &err, &pos) != NULL)
		fail_msg("%.*s was taken", (int)text.n, text.p);
	(void)snprintf(want, sizeof(want), "hujson: line %u, column %u: %s",
	    line, column, why);
	buf_u8(&err, '\0');
	assert_string_equal(err.p, want);
	assert_int_equal(pos.line, line);
	assert_int_equal(pos.column, column);
	buf_free(&err);
	arena_free(a);
}

static void
accepted(void **state)
{
	static const struct {
		const char *in, *out;
	} t[] = {
		{ "{}", "{}" },
		{ "[]", "[]" },
		{ "null", "null" },
		{ " true\n", "true" },
		{ "[false]", "[false]" },
		{ "[1,]", "[1]" },
		{ "{\"a\":1,}", "{\"a\":1}" },
		{ "{\"a\":1, // x\n}", "{\"a\":1}" },
		{ "[1,/* , */]", "[1]" },
		{ "// first\n/* ** / */[ /**/ 1 /*/*/ , // two\n 2 ] // end\n",
		    "[1,2]" },
		{ "[0,-0,10,1.5,1e9,-2.25E-3,0.0e+1]",
		    "[0,-0,10,1.5,1e9,-2.25E-3,0.0e+1]" },
		{ "{\"b\":{\"z\":[],\"y\":{}},\"a\":[[[]],{}]}",
		    "{\"b\":{\"z\":[],\"y\":{}},\"a\":[[[]],{}]}" },
		{ "{\"a\":[{\"b\":1},{\"b\":2}],\"c\":3}",
		    "{\"a\":[{\"b\":1},{\"b\":2}],\"c\":3}" },
		{ "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\u00e9\\u20ac\"",
		    "\"\\\"\\\\/\\b\\f\\n\\r\\tA\303\251\342\202\254\"" },
		{ "\"\\ud83d\\ude00\"", "\"\360\237\230\200\"" },
		{ "{\"x\\u0041\":\"plain\\ttail\"}",
		    "{\"xA\":\"plain\\ttail\"}" },
		{ "\"// no comment\"", "\"// no comment\"" },
		{ "// caf\303\251 \342\202\254\n1", "1" },
		{ "{\"a\":1,\"A\":2}", "{\"a\":1,\"A\":2}" }
	};
	size_t i;

	(void)state;
	for (i = 0; i < nitems(t); i++)
		takes(slice_str(t[i].in), t[i].out);
}

static void
refused(void **state)
{
	static const char *const value = "a value is missing: a string in "
	    "double quotes, a number, true, false, null, { or [";
	static const char *const name = "a member's name in double quotes, "
	    "or } is missing";
	static const char *const early = "the text ends too early";
	static const char *const number = "a number that JSON does not have";
	static const char *const slash = "a lone slash: comments begin with "
	    "// or /*";
	const struct {
		const char *in;
		uint32_t line, column;
		const char *why;
	} t[] = {
		{ "", 1, 1, "there is nothing but white space" },
		{ " \n // x\n", 3, 1, "there is nothing but white space" },
		{ "[,]", 1, 2, value },
		{ "{,}", 1, 2, name },
		{ "[1,,]", 1, 4, value },
		{ "{\"a\":1,,}", 1, 8, name },
		{ "[1 2]", 1, 4, "a comma or ] is missing" },
		{ "{\"a\":1 \"b\":2}", 1, 8, "a comma or } is missing" },
		{ "[1}", 1, 3, "a comma or ] is missing" },
		{ "{\"a\" 1}", 1, 6, "a colon is missing" },
		{ "{a:1}", 1, 2, name },
		{ "{'a':1}", 1, 2, name },
		{ "['a']", 1, 2, value },
		{ "{\"a\":}", 1, 6, value },
		{ "{\"a\":1,\n \"b\":2,\n\"a\":3}", 3, 1,
		    "a member of this name stands in the object already" },
		{ "{\"\\u0061\":1,\"a\":3}", 1, 13,
		    "a member of this name stands in the object already" },
		{ "[", 1, 2, early },
		{ "[1,", 1, 4, early },
		{ "{\"a\"", 1, 5, early },
		{ "{\"a\":", 1, 6, early },
		{ "\"abc", 1, 5, early },
		{ "\"abc\\", 1, 6, early },
		{ "\"a\\n", 1, 5, early },
		{ "\"a\nb\"", 1, 3,
		    "a string that is not closed on its line" },
		{ "\"a\tb\"", 1, 3, "a control character in a string" },
		{ "\"a\\nb\tc\"", 1, 6, "a control character in a string" },
		{ "\"\\x41\"", 1, 3, "an unknown escape in a string" },
		{ "\"\\u12g4\"", 1, 6, "a \\u escape that is no character" },
		{ "\"\\ud800\"", 1, 2, "a \\u escape that is no character" },
		{ "\"\\udc00\"", 1, 2, "a \\u escape that is no character" },
		{ "\"\\ud800\\u0041\"", 1, 2,
		    "a \\u escape that is no character" },
		{ "\"\\u0000\"", 1, 2, "a string must not contain \\u0000" },
		{ "\"\377\"", 1, 2, "a string that is not UTF-8" },
		{ "\"\\n\300\200\"", 1, 4, "a string that is not UTF-8" },
		{ "/*\n\377*/1", 2, 1, "a comment that is not UTF-8" },
		{ "// \355\240\200\n1", 1, 4, "a comment that is not UTF-8" },
		{ "1 // no end", 1, 3, "the text ends in a // comment: "
		    "a newline has to follow it" },
		{ "\n /* no end", 2, 2, "a /* comment that is not closed" },
		{ "/*/", 1, 1, "a /* comment that is not closed" },
		{ "/ 1", 1, 1, slash }, { "/", 1, 1, slash },
		{ "1 # x\n", 1, 3, "something follows the value" },
		{ "{}{}", 1, 3, "something follows the value" },
		{ "[]]", 1, 3, "something follows the value" },
		{ "01", 1, 2, number }, { "+1", 1, 1, value },
		{ "-", 1, 2, number }, { "1.", 1, 3, number },
		{ ".5", 1, 1, value }, { "1e", 1, 3, number },
		{ "0x10", 1, 2, "something follows the value" },
		{ "[1.2.3]", 1, 5, number }, { "NaN", 1, 1, value },
		{ "True", 1, 1, value }, { "nul", 1, 4, value },
		{ "\357\273\277{}", 1, 1, value }
	};
	size_t i;

	(void)state;
	for (i = 0; i < nitems(t); i++)
		refuses(slice_str(t[i].in), t[i].line, t[i].column, t[i].why);
	refuses(slice_mem("\0", 1), 1, 1, value);
	refuses(slice_mem("1\n// a\0\n", 8), 2, 5, "a NUL in a comment");
	refuses(slice_mem("/*\0*/1", 6), 1, 3, "a NUL in a comment");
	refuses(slice_mem("\"\0\"", 3), 1, 2,
	    "a control character in a string");
}

static void
deep(void **state)
{
	char text[2 * HJ_DEPTH_MAX + 3], *p = text;
	size_t i;

	(void)state;
	for (i = 0; i < HJ_DEPTH_MAX; i++)
		*p++ = '[';
	for (i = 0; i < HJ_DEPTH_MAX; i++)
		*p++ = ']';
	*p = '\0';
	takes(slice_str(text), text);
	memset(text, '[', HJ_DEPTH_MAX + 1);
	text[HJ_DEPTH_MAX + 1] = '\0';
	refuses(slice_str(text), 1, HJ_DEPTH_MAX + 1, "nested too deeply");
}

/* Where values and members stand, and their paths. */
static void
places(void **state)
{
	static const char text[] = "{\n  \"acls\": [ {\n\t\"dst\": [\"a\", "
	    "/* x\n */ \"b\"] } ] }";
	struct buf err = { 0 }, path = { 0 };
	struct arena *a = arena_new(ARENA);
	const struct hj *v;
	struct pos pos;

	(void)state;
	v = hj_read(a, slice_str(text), &err, &pos);
	assert_non_null(v);
	assert_int_equal(v->pos.line, 1);
	v = v->first;
	assert_int_equal(v->name_pos.line, 2);
	assert_int_equal(v->name_pos.column, 3);
	assert_int_equal(v->pos.column, 11);
	v = v->first->first->last;
	assert_true(slice_eqs(v->text, "b"));
	assert_int_equal(v->pos.line, 4);
	assert_int_equal(v->pos.column, 5);
	hj_path(&path, v);
	assert_true(slice_eqs(buf_slice_of(&path), "/acls/0/dst/1"));
	buf_free(&path);
	buf_free(&err);
	arena_free(a);
}

/* What it writes is JSON to another reader, with as many values. */
static void
another_reader(void **state)
{
	static const char text[] = "{/**/\"a\":[1,2,{\"b\":\"\\u2028\\/\"},],"
	    "\"c\":null,\"d\":[[],{},\"\\u0001\"],}";
	struct buf err = { 0 }, out = { 0 };
	struct arena *a = arena_new(ARENA);
	const struct jval *v;
	struct jdoc *d;
	struct slice s;
	struct pos pos;

	(void)state;
	hj_json(&out, hj_read(a, slice_str(text), &err, &pos));
	d = json_read(out.p, out.n, out.n, NULL, NULL);
	assert_non_null(d);
	v = jval_get(jdoc_root(d), "a");
	assert_int_equal(jval_count(v), 3);
	assert_true(jval_str(jval_get(jval_at(v, 2), "b"), &s));
	assert_true(slice_eqs(s, "\342\200\250/"));
	v = jval_get(jdoc_root(d), "d");
	assert_int_equal(jval_count(v), 3);
	assert_true(jval_str(jval_at(v, 2), &s));
	assert_true(slice_eqs(s, "\001"));
	jdoc_free(d, false);
	buf_free(&out);
	buf_free(&err);
	arena_free(a);
}

/* Memory stays in proportion to the text, whatever stands in it. */
static void
in_proportion(void **state)
{
	static const char *const unit[] = { "0,", "[],", "\"\\n\",", "{}," };
	struct buf text = { 0 }, err = { 0 };
	struct arena *a;
	struct pos pos;
	size_t i;

	(void)state;
	for (i = 0; i < nitems(unit); i++) {
		buf_clear(&text);
		buf_str(&text, "[");
		while (text.n < 512 * 1024)
			buf_str(&text, unit[i]);
		buf_str(&text, "]");
		a = arena_new(ARENA);
		assert_non_null(hj_read(a, buf_slice_of(&text), &err, &pos));
		assert_true(arena_used(a) < 128 * text.n);
		arena_free(a);
	}
	buf_free(&text);
	buf_free(&err);
}

static void
arena(void **state)
{
	struct arena *a = arena_new(1024 * 1024);
	struct slice s;
	char *p, *q;
	size_t i, k;

	(void)state;
	for (i = 1; i < 100000; i *= 3) {
		p = arena_alloc(a, i);
		assert_int_equal((uintptr_t)p % _Alignof(max_align_t), 0);
		for (k = 0; k < i; k++)
			assert_int_equal(p[k], 0);
		memset(p, 0xff, i);
	}
	p = arena_array(a, 0, 8);
	q = arena_alloc(a, 8);
	assert_non_null(p);
	assert_non_null(q);
	s = arena_copy(a, slice_str("abc"));
	assert_string_equal(s.p, "abc");
	assert_true(arena_used(a) >= 80000 && arena_used(a) < 200000);
	arena_free(a);
	arena_free(NULL);
}

struct eater {
	struct arena	*a;
	size_t		 got;
};

static void
eat(void *arg)
{
	struct eater *e = arg;

	for (;;) {
		(void)arena_array(e->a, 1000, 1);
		e->got++;
	}
}

static void
nibble(void *arg)
{
	struct eater *e = arg;

	(void)arena_alloc(e->a, 8);
	e->got = 1;
}

/* What needs too much is left, and the arena can be freed or go on. */
static void
arena_full(void **state)
{
	struct eater e = { arena_new(100000), 0 };

	(void)state;
	assert_true(arena_run(e.a, nibble, &e));
	assert_int_equal(e.got, 1);
	e.got = 0;
	assert_false(arena_run(e.a, eat, &e));
	assert_in_range(e.got, 90, 100);
	assert_true(arena_used(e.a) <= 100000);
	assert_true(arena_run(e.a, nibble, &e));
	arena_free(e.a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(accepted),
		cmocka_unit_test(refused),
		cmocka_unit_test(deep),
		cmocka_unit_test(places),
		cmocka_unit_test(another_reader),
		cmocka_unit_test(in_proportion),
		cmocka_unit_test(arena),
		cmocka_unit_test(arena_full)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
