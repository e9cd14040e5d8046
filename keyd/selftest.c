#include <string.h>

#include "common/enc.h"
#include "common/str.h"
#include "keyd/keyd.h"
#include "keyd/responder.h"

/* A handshake whose every octet is known: protocol.md 9.2. */
#define STATIC_PRIV \
	"4042434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f60"
#define STATIC_PUB \
	"64b101b1d0be5a8704bd078f9895001fc03e8e9f9522f188dd128d9846d48466"
#define EPHEMERAL \
	"c0c2c3c4c5c6c7c8c9cacbcccdcecfd0d1d2d3d4d5d6d7d8d9dadbdcdddedf60"
#define MACHINE \
	"07a37cbc142093c8b755dc1b10e86cb426374ad16aa853ed0bdfc0b2b86d1c7c"
#define INIT \
	"0091010060883186b800b41d5cf0429695da9b3cc4f328ebcd184a6e482fa578" \
	"c103f06c777e515e2649e7bc3053b2ad63f8f50b185b3f445b2075edc5928e52" \
	"9b876fcf97ae3ee0da3d38e1874801d8463642314cbcbea376c3727e41ddf957" \
	"4936a13fef"
#define RESPONSE \
	"0200303a553d74792d727efa9b9a4cde3da1ad93f1a2d0c09cb639b1a3c0fda1" \
	"4cbe248e45350442687b922fae77679013f6dc"
#define C2S \
	"31f30c46ac033019baafa7863162463ba111d10fa51592725b06f24ac469720e"
#define S2C \
	"2aecc4e7049a761e392ee4ca2efc642d5d3a4ee59bb213c4025cf6c47c9ec02b"
#define HELLO		"040015ba0be5bb6d0fd8d68b533c46e70dac349e0c7dd3e4"
#define WORLD		"0400153de57b005130b4ac94fecc84daf1a19bf5979badad"
#define RECORD_LEN	24

/* RFC 7748 5.2, first vector. */
#define X_SCALAR \
	"a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4"
#define X_POINT \
	"e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c"
#define X_RESULT \
	"c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552"

static void
unhex(uint8_t *to, size_t n, const char *text)
{
	if (!hex_dec(to, n, slice_str(text)))
		memset(to, 0, n);
}

static bool
is(const uint8_t *p, size_t n, const char *text)
{
	uint8_t want[NOISE_INIT];

	unhex(want, n, text);
	return memcmp(p, want, n) == 0;
}

static bool
test_x25519(void)
{
	static const char *const low[] = {
		"00000000000000000000000000000000"
		"00000000000000000000000000000000",
		"01000000000000000000000000000000"
		"00000000000000000000000000000000",
		"e0eb7a7c3b41b8ae1656e3faf19fc46a"
		"da098deb9c32b1fd866205165f49b800"
	};
	uint8_t scalar[NOISE_KEY], point[NOISE_KEY], out[NOISE_KEY];
	size_t i;

	unhex(scalar, sizeof(scalar), X_SCALAR);
	unhex(point, sizeof(point), X_POINT);
	if (!noise_dh(out, scalar, point) || !is(out, sizeof(out), X_RESULT))
		return false;
	for (i = 0; i < sizeof(low) / sizeof(low[0]); i++) {
		unhex(point, sizeof(point), low[i]);
		if (noise_dh(out, scalar, point))
			return false;
	}
	return true;
}

static bool
test_aead(struct noise *noise)
{
	uint8_t key[NOISE_KEY], rec[RECORD_LEN], plain[NOISE_PLAIN];
	struct noise_key k;
	bool ok;

	unhex(key, sizeof(key), C2S);
	noise_key_set(&k, key, 0);
	ok = noise_seal(noise, &k, rec, "hello", 5) == sizeof(rec) &&
	    is(rec, sizeof(rec), HELLO) &&
	    noise_seal(noise, &k, rec, "world", 5) == sizeof(rec) &&
	    is(rec, sizeof(rec), WORLD);
	noise_key_set(&k, key, 1);
	ok = ok && noise_open(noise, &k, plain, rec, sizeof(rec)) == 5 &&
	    memcmp(plain, "world", 5) == 0;
	noise_key_set(&k, key, 1);
	rec[RECORD_LEN - 1] ^= 1;
	ok = ok && noise_open(noise, &k, plain, rec, sizeof(rec)) == -1;
	noise_key_wipe(&k);
	return ok;
}

static bool
test_handshake(struct responder *r)
{
	uint8_t init[NOISE_INIT], eph[NOISE_KEY], rec[RECORD_LEN];
	uint8_t plain[NOISE_PLAIN];
	struct accepted a;
	bool ok;

	unhex(init, sizeof(init), INIT);
	unhex(eph, sizeof(eph), EPHEMERAL);
	unhex(rec, sizeof(rec), HELLO);
	ok = is(responder_public(r), NOISE_KEY, STATIC_PUB) &&
	    responder_accept(r, init, eph, &a) == REFUSED_NOT &&
	    a.capver == 145 && is(a.machine, NOISE_KEY, MACHINE) &&
	    is(a.response, NOISE_RESP, RESPONSE) &&
	    is(a.c2s, NOISE_KEY, C2S) && is(a.s2c, NOISE_KEY, S2C) &&
	    responder_confirm(r, a.c2s, rec, sizeof(rec), plain) == 5 &&
	    memcmp(plain, "hello", 5) == 0;
	/* Forged in its last octet, the tag of the empty payload. */
	init[NOISE_INIT - 1] ^= 1;
	unhex(eph, sizeof(eph), EPHEMERAL);
	ok = ok && responder_accept(r, init, eph, &a) == REFUSED_CRYPTO;
	wipe(&a, sizeof(a));
	return ok;
}

bool
keyd_selftest(void)
{
	struct responder *r;
	struct secret *key;
	struct noise *noise;
	bool ok;

	if (noise_init() == -1 || !test_x25519())
		return false;
	noise = noise_new();
	ok = test_aead(noise);
	noise_free(noise);
	if (!ok)
		return false;
	key = secret_new(NOISE_KEY);
	unhex(secret_data(key), NOISE_KEY, STATIC_PRIV);
	if ((r = responder_new(key)) == NULL)
		return false;
	ok = test_handshake(r);
	responder_free(r);
	return ok;
}
