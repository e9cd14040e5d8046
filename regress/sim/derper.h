/*
 * A client of the relay in the simulation, octet for octet: GET /derp, then
 * frames (derp.md 1 to 3).  It comes again whatever ends its connection.
 */

#ifndef REGRESS_SIM_DERPER_H
#define REGRESS_SIM_DERPER_H

#include "regress/sim/way.h"

struct derper;

struct derper_conf {
	uint8_t		 node_key[32];	/* private */
	struct ip	 from;
	uint64_t	 min_us;	/* delay of its network */
	uint64_t	 max_us;
	/* A packet that came, and whose it is said to be. */
	void		(*packet)(struct derper *, const uint8_t src[32],
			    struct slice, void *arg);
	void		*arg;
};

/* Begins at once; conf is copied. */
struct derper	*derper_new(struct world *, struct ways *,
		    const struct derper_conf *);
/* Its memory goes when no event is left. */
void		 derper_free(struct derper *);
/* Its public key, 32 octets. */
const uint8_t	*derper_key(const struct derper *);
/* The same as the text of a node key. */
const char	*derper_name(const struct derper *);
/* It has been let in. */
bool		 derper_is_live(const struct derper *);
/* The slot of the worker it is at; 0: none. */
unsigned int	 derper_slot(const struct derper *);
/* False if it is not live: nothing is sent. */
bool		 derper_send(struct derper *, const uint8_t dst[32],
		    const void *, size_t);
/* It comes anew, to the listener of this slot from now on; 0: any. */
void		 derper_move(struct derper *, unsigned int slot);
/* Reads nothing for so long. */
void		 derper_stall(struct derper *, uint64_t us);
/* It stays away. */
void		 derper_off(struct derper *);
bool		 derper_is_off(const struct derper *);

#endif
