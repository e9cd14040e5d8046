/* Relays of one worker, for tests: what these need of relaykit most. */

#ifndef REGRESS_LIB_RELAYONE_H
#define REGRESS_LIB_RELAYONE_H

#include "regress/lib/relaykit.h"

/* Of cmocka: *state is the relay. */
int		 ro_setup(void **state);
int		 ro_teardown(void **state);
/* A client who is logged in there: rk_login(). */
struct rkclient	*ro_in(struct rk *, uint32_t who);
const struct relay_counters *ro_num(const struct rk *);
/* A packet of this one octet. */
void		 ro_byte(struct rkclient *, const struct rkclient *dst,
		    uint8_t what);
/* A disco packet of n octets, at most 200, the last of which is what. */
void		 ro_disco(struct rkclient *, const struct rkclient *dst,
		    size_t n, uint8_t what);
/* The next frame is a packet whose last octet is this; it goes. */
bool		 ro_last(struct rkclient *, uint8_t what);

#endif
