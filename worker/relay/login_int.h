/* Inside worker/relay: logins under way, and where they come from. */

#ifndef WORKER_RELAY_LOGIN_INT_H
#define WORKER_RELAY_LOGIN_INT_H

#include "worker/relay/relay_int.h"

/* Of a login under way. */
struct login {
	TAILQ_ENTRY(login) entry;
	struct rclient	*c;
	struct timer	 timer;
	struct buf	 in;		/* ClientInfo's payload */
	struct buf	 info;		/* the ServerInfo frame, from keyd */
	uint32_t	 number;	/* on the KEY link */
	uint32_t	 request;	/* open on KEY or DB; 0: none */
	uint64_t	 since;
	struct source	*source;	/* NULL: without bounds */
	uint8_t		 key[DERP_KEY];
};

/* Where logins come from: an IPv4 address or a /64. */
struct source {
	uint8_t		 key[IP_SOURCE];
	TAILQ_ENTRY(source) entry;	/* of refusals, if: */
	uint32_t	 refused;	/* since: */
	uint64_t	 since;
	uint32_t	 n;		/* under way */
};

#endif
