/* The cut of HTTP/2 input beside a slow and simple one. */

#ifndef REGRESS_LIB_H2CUT_H
#define REGRESS_LIB_H2CUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Cuts n octets (a client's preface of 24 first), given in pieces of step
 * octets: true if all of them come out in their order, and as WINDOW_UPDATE
 * just those frames that are whole and stand outside of header blocks.
 */
bool	 h2cut_same(const uint8_t *p, size_t n, size_t step);

#endif
