/* The example of protocol.md 9.2: one handshake, octet by octet, as hex. */

#ifndef REGRESS_LIB_VECTORS_H
#define REGRESS_LIB_VECTORS_H

#include <stddef.h>
#include <stdint.h>

#define VEC_CAPVER	145
#define VEC_CLIENT_PRIV \
	"0002030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f60"
#define VEC_CLIENT_PUB \
	"07a37cbc142093c8b755dc1b10e86cb426374ad16aa853ed0bdfc0b2b86d1c7c"
#define VEC_SERVER_PRIV \
	"4042434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f60"
#define VEC_SERVER_PUB \
	"64b101b1d0be5a8704bd078f9895001fc03e8e9f9522f188dd128d9846d48466"
#define VEC_CLIENT_EPH \
	"8182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9fa0"
#define VEC_SERVER_EPH \
	"c1c2c3c4c5c6c7c8c9cacbcccdcecfd0d1d2d3d4d5d6d7d8d9dadbdcdddedfe0"
#define VEC_INIT \
	"0091010060883186b800b41d5cf0429695da9b3cc4f328ebcd184a6e482fa578" \
	"c103f06c777e515e2649e7bc3053b2ad63f8f50b185b3f445b2075edc5928e52" \
	"9b876fcf97ae3ee0da3d38e1874801d8463642314cbcbea376c3727e41ddf957" \
	"4936a13fef"
#define VEC_RESP \
	"0200303a553d74792d727efa9b9a4cde3da1ad93f1a2d0c09cb639b1a3c0fda1" \
	"4cbe248e45350442687b922fae77679013f6dc"
#define VEC_C2S \
	"31f30c46ac033019baafa7863162463ba111d10fa51592725b06f24ac469720e"
#define VEC_S2C \
	"2aecc4e7049a761e392ee4ca2efc642d5d3a4ee59bb213c4025cf6c47c9ec02b"
/* The client's first record. */
#define VEC_RECORD	"040015ba0be5bb6d0fd8d68b533c46e70dac349e0c7dd3e4"

/* Points of low order and encodings of them beyond p; NULL after the last. */
const char *vec_low_order(size_t i);

/* Of cmocka tests: reads n octets of hex; fails if they are not so many. */
void	vec_get(uint8_t *dst, size_t n, const char *hex);
/* Fails unless the n octets (256 at most) are these. */
void	vec_check(const uint8_t *p, size_t n, const char *hex);

#endif
