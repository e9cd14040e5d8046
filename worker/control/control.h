/*
 * What tailscaled asks: /key, /machine/register, /machine/map and the rest
 * (protocol.md 3 to 5).  Joins worker/net, worker/tailnet and the DB link.
 * Pure: the worker's outer loop (worker/main.c) and the simulator drive it.
 */

#ifndef WORKER_CONTROL_CONTROL_H
#define WORKER_CONTROL_CONTROL_H

#include "common/env.h"
#include "common/link.h"
#include "worker/net/net.h"
#include "worker/relay/relay.h"
#include "worker/tailnet/tailnet.h"

struct control;
struct derpmap;

/* Oldest client that is served: 1.80. */
#define CAPVER_MIN		113
/* From here on 429 and 503 with Retry-After are understood on map requests. */
#define CAPVER_RETRY_AFTER	147

struct control_ops {
	/* As in struct net_ops. */
	void	(*kick)(struct conn *, void *arg);
	void	*arg;
};

/* Never NULL.  Makes its own struct net and struct tailnets. */
struct control	*control_new(struct env *, const struct control_ops *);
void		 control_free(struct control *);
struct net	*control_net(struct control *);
struct tailnets	*control_tailnets(struct control *);

/* A configuration comes into force; everything in it is copied. */
void		 control_conf(struct control *,
		    const struct m_cfg_conf_worker *);
/*
 * Checks what the table's bounds let pass; 0, or -1 with the reason.
 */
int		 control_conf_check(const struct m_cfg_conf_worker *,
		    char *why, size_t whylen);

/* The worker's own slot, before links and configuration; else it is 1. */
void		 control_set_slot(struct control *, uint16_t slot);
/*
 * Who signs for our certificates; before the first of them.  Copied.
 */
void		 control_signer(struct control *, const struct tls_signer *);
/* An empty set of certificates for that signer; the caller's. */
struct tls	*control_tls_new(struct control *);
/*
 * The configuration's certificates (NULL: none), taken over; those that keyd
 * made itself or dbd has sent are added to them.
 */
void		 control_tls(struct control *, struct tls *);
/*
 * The DERP map of the file (NULL: there is none), taken over.  What clients
 * get also has our own relay's region.
 */
void		 control_derpmap(struct control *, struct derpmap *);
/* The relay; NULL before control_set_slot() and the first configuration. */
struct relay	*control_relay(struct control *);
/*
 * The KEY link to keyd, or NULL while keyd is away, and what it says: both for
 * handshakes and for the relay.
 */
void		 control_key_link(struct control *, struct link *);
void		 control_key_msg(struct control *, const struct msg *,
		    void *tag);

/*
 * The DB link to dbd, or NULL while dbd is away (its open requests are kept
 * and sent again on the next).  The caller frees a link after taking it away.
 */
void		 control_db_link(struct control *, struct link *);
/*
 * A message of the DB link.  0, or -1 if dbd broke the rules: it ranks above
 * us, so the caller ends the process.
 */
int		 control_db_msg(struct control *, const struct msg *,
		    void *tag);

/* Map streams that are open (for CFG_STAT and status). */
uint32_t	 control_streams(const struct control *);
/* What happened since control_new(); net_counters() has the rest. */
struct control_counters {
	uint64_t	refused;	/* answered 429 or 503 for load */
	uint64_t	held;		/* had to wait for less load */
	uint64_t	registers;	/* registrations asked for */
	uint64_t	opens;		/* streams and single maps, to dbd */
	uint64_t	lites;		/* lite updates, to dbd */
	uint64_t	overloads;	/* how often overload began */
};
const struct control_counters *control_counters(const struct control *);
/* GOAWAY for all; streams end. */
void		 control_shutdown(struct control *);

#endif
