/* Who talks to dbd on its control socket. */

#ifndef REGRESS_LIB_CTLPEER_H
#define REGRESS_LIB_CTLPEER_H

#include "dbd/control_int.h"

struct cp_peer {
	struct link	*link;
	struct dbd	*d;
	struct buf	 said;		/* msg_print of what it was sent */
	size_t		 queued;
	bool		 slow;		/* takes nothing */
	bool		 closed;
	bool		 down;
	unsigned int	 rows;
	uint32_t	 next;
};

/* A connection of this uid.  Never NULL. */
struct cp_peer	*cp_connect(struct dbd *, uint32_t uid);
/* Its end; frees the peer. */
void		 cp_hang_up(struct cp_peer *);
/* Gives a message to the link, and nothing else happens yet. */
void		 cp_say(struct cp_peer *, const struct msg *);
/* The same, of a message with nothing filled in. */
void		 cp_say_type(struct cp_peer *, enum msg_type);
/* What the peer was sent since the last call; in a static buffer. */
const char	*cp_said(struct cp_peer *);

#endif
