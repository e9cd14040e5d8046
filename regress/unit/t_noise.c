#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/enc.h"
#include "common/noise.h"
#include "regress/lib/noise_client.h"
#include "regress/lib/vectors.h"

static struct noise *ns;

static int
setup(void **state)
{
	(void)state;
	if (noise_init() == -1 || noise_init() == -1)
		return -1;
	ns = noise_new();
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	noise_free(ns);
	noise_free(NULL);
	return 0;
}

static void
keys(void **state)
{
	uint8_t priv[32], pub[32];

	(void)state;
	vec_get(priv, 32, VEC_CLIENT_PRIV);
	noise_public(pub, priv);
	vec_check(pub, 32, VEC_CLIENT_PUB);
	vec_get(priv, 32, VEC_SERVER_PRIV);
	noise_public(pub, priv);
	vec_check(pub, 32, VEC_SERVER_PUB);
	vec_get(priv, 32, VEC_CLIENT_EPH);
	noise_clamp(priv);
	vec_check(priv, 32, "8082838485868788898a8b8c8d8e8f90"
	    "9192939495969798999a9b9c9d9e9f60");
	/* 9.1 */
	vec_get(priv, 32, "40ab1b58e9076c7a4d9d07291f5edf9d"
	    "1aa017eb949624ba683317f48a640369");
	noise_public(pub, priv);
	vec_check(pub, 32, "50d20b455ecf12bc453f83c2cfdb2a24"
	    "925d06cf2598dcaa54e91af82ce9f765");
}

/* The responder as the specification has it, written out. */
static void
respond(struct noise_sym *s, const uint8_t init[NOISE_INIT],
    uint8_t resp[NOISE_RESP], uint8_t eph[32], uint8_t client_pub[32],
    const char *const *want)
{
	uint8_t priv[32], pub[32], dh[32], none[1];

	vec_get(priv, 32, VEC_SERVER_PRIV);
	noise_public(pub, priv);
	noise_sym_init(s, ns, (uint16_t)(init[0] << 8 | init[1]), pub);
	vec_check(s->h, 32, want[0]);
	noise_mix_hash(s, init + 5, 32);
	vec_check(s->h, 32, want[1]);
	assert_true(noise_dh(dh, priv, init + 5));
	noise_mix_key(s, dh);
	vec_check(s->ck, 32, want[2]);
	vec_check(s->k, 32, want[3]);
	assert_true(noise_decrypt_hash(s, client_pub, init + 37, 48));
	assert_true(noise_dh(dh, priv, client_pub));
	noise_mix_key(s, dh);
	vec_check(s->ck, 32, want[4]);
	vec_check(s->k, 32, want[5]);
	assert_true(noise_decrypt_hash(s, none, init + 85, 16));
	vec_check(s->h, 32, want[6]);

	resp[0] = NOISE_T_RESP;
	resp[1] = 0;
	resp[2] = 48;
	noise_public(resp + 3, eph);
	noise_mix_hash(s, resp + 3, 32);
	assert_true(noise_dh(dh, eph, init + 5));
	noise_mix_key(s, dh);
	vec_check(s->ck, 32, want[7]);
	assert_true(noise_dh(dh, eph, client_pub));
	noise_mix_key(s, dh);
	vec_check(s->ck, 32, want[8]);
	vec_check(s->k, 32, want[9]);
	noise_encrypt_hash(s, resp + 35, NULL, 0);
	vec_check(s->h, 32, want[10]);
}

static const char *const steps[] = {
	"e83a9f2c5a0bbce612e9af0c578bc975883090953430bc82f10327bbd07feec8",
	"1c7dfcb2658421cb8da24239147d3cd3adba20d19d5cf80c9555985a0d6c2d63",
	"eed7e898134b93640b4dac2a6c8f5970188ed91097df96b2763d6b53bb06c884",
	"57f28929335ecafbaa66c4fb32974647a9d2e526872d563bf3f8e911749ef72b",
	"167e180ae04725892617075c414cd792154cb9d6534923a325b9ab04601edce8",
	"81c680f9e10b83fae2a11075cc4fe864f95ba06a0c7f003b3586ccbc69e84d63",
	"853d79a15d445b947bf1afc1728e0f9512d9f9b81abb058bd9001ae46feb1c8f",
	"50969c7b0a75a783b689cbad662835c54bf8f87f7dfe55046838e264dd7e42b8",
	"22cc4788ecfbbee850f890a5d15ae194bf7b7dd66041609e1b6e747b6010a59b",
	"cf5ab120394938ee1a5885a068e1b7b0a2ea7c8296842e2e1a7ebbc123099b23",
	"e8b683e81df6e7a714f21fe6663133f19f15a1fe8d4410eddbd364beee3ae3a4",
};

static void
handshake(void **state)
{
	struct noise_client c;
	struct noise_sym s;
	uint8_t priv[32], eph[32], pub[32], server[32], init[NOISE_INIT];
	uint8_t resp[NOISE_RESP], client[32], c2s[32], s2c[32], bad[NOISE_RESP];
	struct noise_client copy;
	unsigned int i;

	(void)state;
	vec_get(server, 32, VEC_SERVER_PUB);
	vec_get(priv, 32, VEC_CLIENT_PRIV);
	vec_get(eph, 32, VEC_CLIENT_EPH);
	noise_clamp(eph);
	assert_true(noise_client_start(&c, ns, VEC_CAPVER, server, priv, eph,
	    init));
	vec_check(init, sizeof(init), VEC_INIT);

	vec_get(eph, 32, VEC_SERVER_EPH);
	noise_clamp(eph);
	respond(&s, init, resp, eph, client, steps);
	vec_check(resp, sizeof(resp), VEC_RESP);
	noise_public(pub, priv);
	assert_memory_equal(client, pub, 32);
	noise_split(&s, c2s, s2c);
	vec_check(c2s, 32, VEC_C2S);
	vec_check(s2c, 32, VEC_S2C);
	noise_sym_wipe(&s);

	for (i = 0; i < NOISE_RESP; i++) {
		memcpy(bad, resp, sizeof(bad));
		bad[i] ^= 0x20;
		copy = c;
		assert_false(noise_client_finish(&copy, bad));
	}
	assert_true(noise_client_finish(&c, resp));
	vec_check(c.hash, 32, steps[10]);
	assert_memory_equal(c.tx.key, c2s, 32);
	assert_memory_equal(c.rx.key, s2c, 32);
	noise_client_wipe(&c);
}

/* A changed bit anywhere in an initiation is found by one of its tags. */
static void
forged_init(void **state)
{
	struct noise_sym s;
	uint8_t init[NOISE_INIT], priv[32], pub[32], dh[32], client[32];
	uint8_t none[1];
	unsigned int i;
	bool ok;

	(void)state;
	vec_get(priv, 32, VEC_SERVER_PRIV);
	vec_get(pub, 32, VEC_SERVER_PUB);
	for (i = 0; i < NOISE_INIT * 8; i++) {
		vec_get(init, sizeof(init), VEC_INIT);
		init[i / 8] ^= (uint8_t)(1 << i % 8);
		if (i / 8 >= 2 && i / 8 < 5)	/* type, length */
			continue;
		noise_sym_init(&s, ns, (uint16_t)(init[0] << 8 | init[1]),
		    pub);
		noise_mix_hash(&s, init + 5, 32);
		ok = noise_dh(dh, priv, init + 5);
		noise_mix_key(&s, dh);
		ok = ok && noise_decrypt_hash(&s, client, init + 37, 48) &&
		    noise_dh(dh, priv, client);
		noise_mix_key(&s, dh);
		ok = ok && noise_decrypt_hash(&s, none, init + 85, 16);
		assert_false(ok);
	}
	noise_sym_init(&s, ns, 1, pub);
	assert_false(noise_decrypt_hash(&s, none, init, 15));
}

static void
low_order(void **state)
{
	struct noise_client c;
	uint8_t priv[32], eph[32], pub[32], out[32], zero[32] = { 0 };
	uint8_t init[NOISE_INIT];
	size_t i;

	(void)state;
	vec_get(priv, 32, VEC_CLIENT_PRIV);
	vec_get(eph, 32, VEC_CLIENT_EPH);
	for (i = 0; vec_low_order(i) != NULL; i++) {
		vec_get(pub, 32, vec_low_order(i));
		memset(out, 1, sizeof(out));
		assert_false(noise_dh(out, priv, pub));
		assert_memory_equal(out, zero, 32);
		assert_false(noise_client_start(&c, ns, 1, pub, priv, eph,
		    init));
	}
	vec_get(pub, 32, VEC_SERVER_PUB);
	assert_true(noise_dh(out, priv, pub));
}

static void
records(void **state)
{
	struct noise_key tx, rx;
	uint8_t key[32], out[NOISE_RECORD], plain[NOISE_PLAIN];

	(void)state;
	vec_get(key, 32, VEC_C2S);
	noise_key_set(&tx, key, 0);
	noise_key_set(&rx, key, 0);
	assert_int_equal(noise_seal(ns, &tx, out, "hello", 5), 24);
	vec_check(out, 24, VEC_RECORD);
	assert_int_equal(noise_open(ns, &rx, plain, out, 24), 5);
	assert_memory_equal(plain, "hello", 5);
	memcpy(out + NOISE_HEAD, "world", 5);		/* in place */
	assert_int_equal(noise_seal(ns, &tx, out, out + NOISE_HEAD, 5), 24);
	vec_check(out, 24, "0400153de57b005130b4ac94fecc84daf1a19bf5979badad");
	assert_int_equal(noise_open(ns, &rx, out + NOISE_HEAD, out, 24), 5);
	assert_memory_equal(out + NOISE_HEAD, "world", 5);

	/* The second record alone, with its nonce: as after CONFIRM. */
	noise_key_set(&tx, key, 1);
	assert_int_equal(noise_seal(ns, &tx, out, "world", 5), 24);
	vec_check(out, 24, "0400153de57b005130b4ac94fecc84daf1a19bf5979badad");

	vec_get(key, 32, VEC_S2C);
	noise_key_set(&tx, key, 0);
	assert_int_equal(noise_seal(ns, &tx, out, "\xff\xff\xff\x54\x53", 5),
	    24);
	vec_check(out, 24, "040015af164ee112ff7810446b92e4d75ff291558c93ea7d");
	noise_key_wipe(&tx);
	assert_true(tx.dead);
	assert_int_equal(noise_seal(ns, &tx, out, "x", 1), 0);
}

static void
record_sizes(void **state)
{
	static uint8_t big[5000];
	struct noise_key tx, rx;
	uint8_t key[32] = { 9 }, out[NOISE_RECORD], plain[NOISE_PLAIN];
	size_t n, len;

	(void)state;
	memset(big, 'b', sizeof(big));
	noise_key_set(&tx, key, 0);
	noise_key_set(&rx, key, 0);
	assert_int_equal(noise_seal(ns, &tx, out, big, NOISE_PLAIN),
	    NOISE_RECORD);
	vec_check(out, 3, "040ffd");
	assert_int_equal(noise_open(ns, &rx, plain, out, NOISE_RECORD),
	    NOISE_PLAIN);
	assert_int_equal(noise_seal(ns, &tx, out, big, 5000 - NOISE_PLAIN),
	    5038 - NOISE_RECORD);
	vec_check(out, 3, "0403ab");
	assert_int_equal(noise_open(ns, &rx, plain, out,
	    5038 - NOISE_RECORD), 5000 - NOISE_PLAIN);
	for (n = 0; n < 300; n++) {
		len = noise_seal(ns, &tx, out, n == 0 ? NULL : big, n);
		assert_int_equal(len, n + 19);
		assert_int_equal(noise_record_len(out), len);
		assert_int_equal(noise_open(ns, &rx, plain, out, len), n);
		assert_memory_equal(plain, big, n);
	}
}

static void
bad_records(void **state)
{
	static const struct {
		uint8_t	 head[3];
		size_t	 len;
	} t[] = {
		{ { 4, 0, 16 }, 19 }, { { 4, 0, 15 }, 0 }, { { 4, 0, 0 }, 0 },
		{ { 4, 0x0f, 0xfd }, 4096 }, { { 4, 0x0f, 0xfe }, 0 },
		{ { 4, 0xff, 0xff }, 0 }, { { 3, 0, 16 }, 0 },
		{ { 2, 0, 48 }, 0 }, { { 0, 0, 16 }, 0 },
	};
	struct noise_key tx, rx;
	uint8_t key[32] = { 9 }, out[64], plain[NOISE_PLAIN];
	size_t i, len;

	(void)state;
	for (i = 0; i < sizeof(t) / sizeof(t[0]); i++)
		assert_int_equal(noise_record_len(t[i].head), t[i].len);
	noise_key_set(&tx, key, 0);
	len = noise_seal(ns, &tx, out, "attack", 6);
	for (i = 0; i < len * 8; i++) {
		noise_key_set(&rx, key, 0);
		out[i / 8] ^= (uint8_t)(1 << i % 8);
		assert_int_equal(noise_open(ns, &rx, plain, out, len), -1);
		out[i / 8] ^= (uint8_t)(1 << i % 8);
		/* Dead for good. */
		assert_int_equal(noise_open(ns, &rx, plain, out, len), -1);
	}
	for (i = 0; i < len; i++) {
		noise_key_set(&rx, key, 0);
		assert_int_equal(noise_open(ns, &rx, plain, out, i), -1);
	}
	noise_key_set(&rx, key, 0);
	assert_int_equal(noise_open(ns, &rx, plain, out, len), 6);
	assert_int_equal(noise_open(ns, &rx, plain, out, len), -1); /* replay */
}

static void
nonces_run_out(void **state)
{
	struct noise_key tx, rx;
	uint8_t key[32] = { 9 }, out[64], plain[NOISE_PLAIN];

	(void)state;
	noise_key_set(&tx, key, UINT64_MAX - 1);
	noise_key_set(&rx, key, UINT64_MAX - 1);
	assert_int_equal(noise_seal(ns, &tx, out, "x", 1), 20);
	assert_int_equal(noise_open(ns, &rx, plain, out, 20), 1);
	assert_int_equal(noise_seal(ns, &tx, out, "x", 1), 0);
	assert_true(tx.dead);
	assert_int_equal(noise_open(ns, &rx, plain, out, 20), -1);
	assert_true(rx.dead);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys),
		cmocka_unit_test(handshake),
		cmocka_unit_test(forged_init),
		cmocka_unit_test(low_order),
		cmocka_unit_test(records),
		cmocka_unit_test(record_sizes),
		cmocka_unit_test(bad_records),
		cmocka_unit_test(nonces_run_out),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
