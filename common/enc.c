#include <endian.h>
#include <stdio.h>
#include <string.h>

#include "common/enc.h"

static const char *const key_prefix[] = {
	[KEY_NODE] = "nodekey:",
	[KEY_MACHINE] = "mkey:",
	[KEY_DISCO] = "discokey:",
	[KEY_CHALLENGE] = "chalpub:",
	[KEY_NL] = "nlpub:",
};

/* The digits of four octets, worked out side by side in one word. */
static inline void
hex_enc4(char *dst, const uint8_t *src)
{
	uint32_t x;
	uint64_t v, letter;

	memcpy(&x, src, sizeof(x));
	v = le32toh(x);
	v = (v | v << 16) & 0x0000ffff0000ffffULL;
	v = (v | v << 8) & 0x00ff00ff00ff00ffULL;
	v = (v >> 4 & 0x000f000f000f000fULL) |
	    (v & 0x000f000f000f000fULL) << 8;
	letter = (v + 0x0606060606060606ULL) >> 4 & 0x0101010101010101ULL;
	v += 0x3030303030303030ULL + letter * ('a' - '0' - 10);
	v = htole64(v);
	memcpy(dst, &v, sizeof(v));
}

void
hex_enc(char *dst, const void *src, size_t n)
{
	static const char digit[] = "0123456789abcdef";
	const uint8_t *p = src;

	for (; n >= 4; n -= 4, p += 4, dst += 8)
		hex_enc4(dst, p);
	for (; n > 0; n--, p++) {
		*dst++ = digit[*p >> 4];
		*dst++ = digit[*p & 15];
	}
	*dst = '\0';
}

int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

bool
hex_dec(uint8_t *dst, size_t n, struct slice s)
{
	size_t i;
	int hi, lo;

	if (s.n / 2 != n || s.n % 2 != 0)
		return false;
	for (i = 0; i < n; i++) {
		hi = hex_digit(s.p[2 * i]);
		lo = hex_digit(s.p[2 * i + 1]);
		if (hi == -1 || lo == -1)
			return false;
		dst[i] = (uint8_t)(hi << 4 | lo);
	}
	return true;
}

void
b64_enc(char *dst, const void *src, size_t n)
{
	static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	    "abcdefghijklmnopqrstuvwxyz0123456789+/";
	const uint8_t *p = src;
	uint32_t v;

	for (; n >= 3; n -= 3, p += 3) {
		v = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
		*dst++ = digit[v >> 18];
		*dst++ = digit[v >> 12 & 63];
		*dst++ = digit[v >> 6 & 63];
		*dst++ = digit[v & 63];
	}
	if (n > 0) {
		v = (uint32_t)p[0] << 16 | (n > 1 ? (uint32_t)p[1] << 8 : 0);
		*dst++ = digit[v >> 18];
		*dst++ = digit[v >> 12 & 63];
		*dst++ = n > 1 ? digit[v >> 6 & 63] : '=';
		*dst++ = '=';
	}
	*dst = '\0';
}

static int
b64_digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+')
		return 62;
	if (c == '/')
		return 63;
	return -1;
}

long
b64_dec(uint8_t *dst, size_t max, struct slice s)
{
	size_t i, n, pad = 0;
	uint32_t v = 0;
	int d;

	if (s.n % 4 != 0)
		return -1;
	while (pad < 2 && pad < s.n && s.p[s.n - 1 - pad] == '=')
		pad++;
	n = s.n / 4 * 3 - pad;
	if (n > max)
		return -1;
	for (i = 0; i < s.n - pad; i++) {
		if ((d = b64_digit(s.p[i])) == -1)
			return -1;
		v = v << 6 | (uint32_t)d;
		if (i % 4 == 3) {
			*dst++ = (uint8_t)(v >> 16);
			*dst++ = (uint8_t)(v >> 8);
			*dst++ = (uint8_t)v;
			v = 0;
		}
	}
	/* Bits that the padding leaves over must be zero: one encoding. */
	if (pad == 1) {
		if ((v & 3) != 0)
			return -1;
		*dst++ = (uint8_t)(v >> 10);
		*dst++ = (uint8_t)(v >> 2);
	} else if (pad == 2) {
		if ((v & 15) != 0)
			return -1;
		*dst++ = (uint8_t)(v >> 4);
	}
	return (long)n;
}

size_t
key_print(char dst[KEY_TEXT], enum key_kind kind, const uint8_t key[KEY_LEN])
{
	size_t n;

	n = strlen(key_prefix[kind]);
	memcpy(dst, key_prefix[kind], n);
	hex_enc(dst + n, key, KEY_LEN);
	return n + 2 * KEY_LEN;
}

bool
key_parse(uint8_t key[KEY_LEN], enum key_kind kind, struct slice s)
{
	size_t n;

	if (!slice_prefix(s, key_prefix[kind]))
		return false;
	n = strlen(key_prefix[kind]);
	return hex_dec(key, KEY_LEN, slice_mem(s.p + n, s.n - n));
}

bool
key_is_zero(const uint8_t key[KEY_LEN])
{
	static const uint8_t zero[KEY_LEN];

	return key_eq(key, zero);
}

bool
key_eq(const uint8_t a[KEY_LEN], const uint8_t b[KEY_LEN])
{
	volatile uint8_t diff = 0;
	size_t i;

	for (i = 0; i < KEY_LEN; i++)
		diff |= (uint8_t)(a[i] ^ b[i]);
	return diff == 0;
}
