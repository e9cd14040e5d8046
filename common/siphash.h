/* A keyed hash for tables whose names strangers choose. */

#ifndef COMMON_SIPHASH_H
#define COMMON_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

#define SIPHASH_KEY	16

/* SipHash-2-4 (Aumasson, Bernstein 2012) of n octets; the key is random. */
uint64_t	siphash(const uint8_t key[SIPHASH_KEY], const void *, size_t n);

#endif
