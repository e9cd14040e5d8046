/* The initiator's side of protocol.md 1.5, for tests and the simulator. */

#ifndef REGRESS_LIB_NOISE_CLIENT_H
#define REGRESS_LIB_NOISE_CLIENT_H

#include "common/noise.h"

struct noise_client {
	struct noise_sym	 sym;
	uint8_t			 priv[NOISE_KEY];	/* machine key */
	uint8_t			 eph[NOISE_KEY];
	uint8_t			 hash[NOISE_KEY];	/* channel binding */
	struct noise_key	 tx;		/* after the response */
	struct noise_key	 rx;
};

/*
 * Writes the initiation of a client with this machine key and ephemeral key
 * (both private; the ephemeral must be fresh).  false if the server's key is
 * of low order.
 */
bool	noise_client_start(struct noise_client *, struct noise *,
	    uint16_t version, const uint8_t server_pub[NOISE_KEY],
	    const uint8_t priv[NOISE_KEY], const uint8_t eph[NOISE_KEY],
	    uint8_t init[NOISE_INIT]);
/* Takes the server's response and makes tx and rx; false if it is forged. */
bool	noise_client_finish(struct noise_client *,
	    const uint8_t resp[NOISE_RESP]);
void	noise_client_wipe(struct noise_client *);

#endif
