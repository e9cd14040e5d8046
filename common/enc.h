/* Hex, base64 and keys as text. */

#ifndef COMMON_ENC_H
#define COMMON_ENC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/str.h"

/* The value of a digit of either case; -1: it is none. */
int	hex_digit(char);
/* 2n lower-case digits and a NUL. */
void	hex_enc(char *dst, const void *, size_t n);
/* Exactly n octets from 2n digits of either case; false if not. */
bool	hex_dec(uint8_t *dst, size_t n, struct slice);

#define B64_LEN(n)	(((n) + 2) / 3 * 4)

/* Standard alphabet with padding (RFC 4648 4); B64_LEN(n) and a NUL. */
void	b64_enc(char *dst, const void *, size_t n);
/*
 * At most max octets; the count, or -1 (bad digit, bad padding, too long).
 */
long	b64_dec(uint8_t *dst, size_t max, struct slice);

#define KEY_LEN		32
#define KEY_TEXT	80	/* "challenge prefix:" + 64 digits + NUL */

enum key_kind {
	KEY_NODE,		/* nodekey: */
	KEY_MACHINE,		/* mkey: */
	KEY_DISCO,		/* discokey: */
	KEY_CHALLENGE,		/* chalpub: */
	KEY_NL			/* nlpub: */
};

/* protocol.md 2.1: prefix and 64 lower-case digits with NUL; its length. */
size_t	key_print(char dst[KEY_TEXT], enum key_kind,
	    const uint8_t key[KEY_LEN]);
/* The prefix must be exact; false if malformed. */
bool	key_parse(uint8_t key[KEY_LEN], enum key_kind, struct slice);
bool	key_is_zero(const uint8_t key[KEY_LEN]);
/* Equal in constant time. */
bool	key_eq(const uint8_t a[KEY_LEN], const uint8_t b[KEY_LEN]);

#endif
