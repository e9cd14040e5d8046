/* STUN requests made by tests. */

#ifndef REGRESS_LIB_STUNKIT_H
#define REGRESS_LIB_STUNKIT_H

#include <stddef.h>
#include <stdint.h>

/*
 * Puts the right checksum (RFC 8489 14.7) into the last attribute of a request
 * of n octets, at least 8.  By bits: not as the server does it.
 */
void	stunkit_seal(uint8_t *, size_t n);

#endif
