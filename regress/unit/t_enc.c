#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/enc.h"

#define nitems(a)	(sizeof(a) / sizeof((a)[0]))

static void
hex(void **state)
{
	uint8_t in[256], out[256];
	char text[2 * 256 + 1];
	unsigned int i;

	(void)state;
	for (i = 0; i < 256; i++)
		in[i] = (uint8_t)i;
	hex_enc(text, in, sizeof(in));
	assert_int_equal(strlen(text), 512);
	assert_memory_equal(text, "000102030405060708090a0b", 24);
	assert_true(hex_dec(out, sizeof(out), slice_str(text)));
	assert_memory_equal(in, out, sizeof(in));
	hex_enc(text, in, 0);
	assert_string_equal(text, "");
	assert_true(hex_dec(out, 2, slice_str("aBCd")));
	assert_memory_equal(out, "\xab\xcd", 2);
	assert_false(hex_dec(out, 2, slice_str("abc")));
	assert_false(hex_dec(out, 2, slice_str("abcde")));
	assert_false(hex_dec(out, 2, slice_str("abcdef")));
	assert_false(hex_dec(out, 2, slice_str("abcg")));
	assert_false(hex_dec(out, 2, slice_str("ab d")));
	assert_true(hex_dec(out, 0, slice_str("")));
}

static void
b64(void **state)
{
	static const char *const v[][2] = {	/* RFC 4648 10 */
		{ "", "" }, { "f", "Zg==" }, { "fo", "Zm8=" },
		{ "foo", "Zm9v" }, { "foob", "Zm9vYg==" },
		{ "fooba", "Zm9vYmE=" }, { "foobar", "Zm9vYmFy" },
		{ "abcdef", "YWJjZGVm" }, { "\xfb\xff\xfe", "+//+" },
	};
	static const char *const bad[] = { "Z", "Zg", "Zg=", "Zg===", "Zh==",
	    "Zm9=", "Zm8=Zm8=", "Z===", "====", "Zm9-", "Zm9_", " m9v",
	    "Zm9v\n", "Zm9v====", "Zg=v" };
	uint8_t out[16], big[200], back[200];
	char text[B64_LEN(200) + 1];
	size_t i, n;

	(void)state;
	for (i = 0; i < nitems(v); i++) {
		n = strlen(v[i][0]);
		b64_enc(text, v[i][0], n);
		assert_string_equal(text, v[i][1]);
		assert_int_equal(b64_dec(out, sizeof(out), slice_str(text)), n);
		assert_memory_equal(out, v[i][0], n);
		if (n > 0)
			assert_int_equal(b64_dec(out, n - 1,
			    slice_str(text)), -1);
		assert_int_equal(b64_dec(out, n, slice_str(text)), n);
	}
	for (i = 0; i < nitems(bad); i++)
		assert_int_equal(b64_dec(out, sizeof(out), slice_str(bad[i])),
		    -1);
	for (n = 0; n < sizeof(big); n++) {
		for (i = 0; i < n; i++)
			big[i] = (uint8_t)(i * 167 + n);
		b64_enc(text, big, n);
		assert_int_equal(strlen(text), B64_LEN(n));
		assert_int_equal(b64_dec(back, n, slice_str(text)), n);
		assert_memory_equal(big, back, n);
	}
}

static void
keys(void **state)
{
	static const char hexkey[] = "50d20b455ecf12bc453f83c2cfdb2a24925d06cf"
	    "2598dcaa54e91af82ce9f765";
	static const struct {
		enum key_kind	 kind;
		const char	*prefix;
	} t[] = {
		{ KEY_NODE, "nodekey:" }, { KEY_MACHINE, "mkey:" },
		{ KEY_DISCO, "discokey:" }, { KEY_CHALLENGE, "chalpub:" },
		{ KEY_NL, "nlpub:" },
	};
	char text[KEY_TEXT], want[KEY_TEXT + 2];
	uint8_t key[KEY_LEN], out[KEY_LEN];
	size_t i, k, n;

	(void)state;
	assert_true(hex_dec(key, KEY_LEN, slice_str(hexkey)));
	for (i = 0; i < nitems(t); i++) {
		n = key_print(text, t[i].kind, key);
		memset(want, 0, sizeof(want));
		memcpy(want, t[i].prefix, strlen(t[i].prefix));
		memcpy(want + strlen(t[i].prefix), hexkey, 64);
		assert_string_equal(text, want);
		assert_int_equal(n, strlen(want));
		for (k = 0; k < nitems(t); k++)
			assert_int_equal(key_parse(out, t[k].kind,
			    slice_str(text)), i == k);
		assert_memory_equal(out, key, KEY_LEN);
		assert_false(key_parse(out, t[i].kind, slice_mem(text, n - 1)));
		want[n] = '0';
		assert_false(key_parse(out, t[i].kind, slice_mem(want, n + 1)));
	}
	assert_true(key_parse(out, KEY_MACHINE, slice_str("mkey:50D20B455ECF12"
	    "BC453F83C2CFDB2A24925D06CF2598DCAA54E91AF82CE9F765")));
	assert_memory_equal(out, key, KEY_LEN);
	assert_false(key_parse(out, KEY_MACHINE, slice_str("")));
	assert_false(key_parse(out, KEY_MACHINE, slice_str("MKEY:50d20b455ecf12"
	    "bc453f83c2cfdb2a24925d06cf2598dcaa54e91af82ce9f765")));
	assert_false(key_is_zero(key));
	memcpy(out, key, KEY_LEN);
	assert_true(key_eq(key, out));
	out[31] ^= 1;
	assert_false(key_eq(key, out));
	memset(out, 0, KEY_LEN);
	assert_true(key_is_zero(out));
	out[31] = 0x80;
	assert_false(key_is_zero(out));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hex),
		cmocka_unit_test(b64),
		cmocka_unit_test(keys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
