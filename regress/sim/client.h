/* A scripted Tailscale client in the simulation, octet for octet. */

#ifndef REGRESS_SIM_CLIENT_H
#define REGRESS_SIM_CLIENT_H

#include "regress/sim/host.h"
#include "regress/sim/view.h"
#include "regress/sim/way.h"

struct sclient;

enum sclient_state {
	SC_IDLE,		/* not begun, or logged out */
	SC_REGISTERING,
	SC_IN,			/* registered: keeps a stream */
	SC_REFUSED,		/* the server said no for good */
	SC_GONE			/* switched off */
};

struct sclient_conf {
	const char	*hostname;
	const char	*auth_key;	/* borrowed */
	bool		 ephemeral;
	uint16_t	 capver;
	uint64_t	 net_min_us;	/* delay of its network */
	uint64_t	 net_max_us;
	unsigned int	 routes;	/* that it advertises: regress/sim/
					 * routes.h */
};

struct sclient	*sclient_new(struct world *, struct host *, struct ways *,
		    struct sproc *, const struct sclient_conf *);
void		 sclient_free(struct sclient *);
/* Logs in with its key. */
void		 sclient_start(struct sclient *);
/* What may happen to it. */
void		 sclient_change(struct sclient *);	/* new endpoints */
void		 sclient_advertise(struct sclient *, unsigned int routes);
void		 sclient_restart(struct sclient *);	/* new disco key too */
void		 sclient_drop(struct sclient *);	/* connection breaks */
void		 sclient_logout(struct sclient *);
/* Reads nothing for so long. */
void		 sclient_stall(struct sclient *, uint64_t us);
void		 sclient_off(struct sclient *);		/* for ever */

/* Its private node key, 32 octets: logins at the relay prove that it has it. */
const uint8_t	*sclient_node_key(const struct sclient *);
enum sclient_state sclient_state(const struct sclient *);
const struct view *sclient_view(const struct sclient *);
const char	*sclient_name(const struct sclient *);
/* Node key as text; what it says of itself as the server stored it last. */
const char	*sclient_key(const struct sclient *);
const char	*sclient_disco(const struct sclient *);
const char	*sclient_endpoints(const struct sclient *);
unsigned int	 sclient_routes(const struct sclient *);
/* True once the server has acknowledged the registration. */
bool		 sclient_acked(const struct sclient *);
/* All that it sent has been answered. */
bool		 sclient_quiet(const struct sclient *);
bool		 sclient_is_ephemeral(const struct sclient *);
const char	*sclient_refusal(const struct sclient *);

#endif
