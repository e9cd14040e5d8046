/* Machine tickets (trust.md 2): keyd makes them, dbd checks them. */

#ifndef COMMON_TICKET_H
#define COMMON_TICKET_H

#include "common/msg.h"

#define TICKET_MACHINE	1
#define TICKET_DERP	2

/*
 * Fills in t->mac: keyed BLAKE2b-256 under the boot secret over the label
 * "headscaled ticket 1", kind, slot, generation, serial_gen, serial, capver
 * and key.
 */
void	ticket_sign(struct r_ticket *t, const uint8_t secret[32]);
/*
 * True if the mac is right, the kind is as wanted and slot and generation are
 * those of the link that it came on.  Constant time in the mac.
 */
bool	ticket_check(const struct r_ticket *t, const uint8_t secret[32],
	    uint8_t kind, uint16_t slot, uint64_t generation);
/* (serial_gen, serial, h2) of a is higher, that is newer, than of b. */
bool	ticket_newer(const struct r_ticket *a, uint32_t h2a,
	    const struct r_ticket *b, uint32_t h2b);

#endif
