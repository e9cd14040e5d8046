/*
 * One server host in the simulation: the real supervision, keyd, dbd and
 * worker cores, joined by wires as master joins them.
 */

#ifndef REGRESS_SIM_HOST_H
#define REGRESS_SIM_HOST_H

#include "common/msg.h"
#include "regress/sim/world.h"
#include "worker/control/control.h"

#define HOST_WORKERS	2

struct host;

struct host_ops {
	/* The worker of this slot has died: its clients' connections too. */
	void	(*worker_gone)(unsigned int slot, void *arg);
	/* A connection has output, or is done. */
	void	(*kick)(struct conn *, void *arg);
	void	*arg;
};

struct host_conf {
	uint32_t	grace_ms;
	uint32_t	ephemeral_s;
	uint32_t	resume_ms;
	uint32_t	presume_s;
	uint32_t	overload_ms;
	uint64_t	link_min_us;	/* delay across links */
	uint64_t	link_max_us;
	uint64_t	no_seal;	/* once in so many; 0: never */
	bool		bounded;	/* complain of roles that hold much */
	bool		relay;		/* is served, without TLS, and */
	bool		guests;		/* to whom is no node, too */
};

struct host	*host_new(struct world *, const struct host_conf *,
		    const struct host_ops *);
/* Starts master and all (again, after host_kill()). */
void		 host_start(struct host *);
/* SIGKILL of master, or the power: everything dies at once. */
void		 host_kill(struct host *, bool power);
/* Ends it in order and frees it. */
void		 host_free(struct host *);
bool		 host_serving(const struct host *);

/* Kills the process of a role (and slot) now; false if there is none. */
bool		 host_kill_role(struct host *, enum role, unsigned int slot,
		    unsigned int after_sends);
/* Takes back all deaths that host_kill_role() has set for later. */
void		 host_no_limits(struct host *);
/*
 * Hangs a worker for so long, at most 100 s; false if there is none that runs,
 * or it hangs already.  Complains if it is not replaced when it should be.
 */
bool		 host_hang(struct host *, unsigned int slot, uint64_t us);
/* When the worker of a slot that hangs goes on; 0 if it does not hang. */
uint64_t	 host_wakes(struct host *, unsigned int slot);
/*
 * The net of the worker that accepts on a listener chosen by n, as by
 * SO_REUSEPORT: of the slot's own, or of a sibling that stands in for it.
 * NULL if nobody does: the connection waits.  slot is set.
 */
struct net	*host_accept(struct host *, uint64_t n, unsigned int *slot);
/* A worker's core, for tests of one; NULL while it is down. */
struct control	*host_control(struct host *, unsigned int slot);
/* A worker's process: its turn comes after it was given something. */
struct sproc	*host_worker(struct host *, unsigned int slot);
uint8_t const	*host_public_key(const struct host *);
/* Live clients of the relays of all workers, as they count them. */
unsigned int	 host_relay_clients(struct host *);
/*
 * A rogue worker: says on its MESH link to the other that one of its clients,
 * src, has sent n octets to dst.  False: it has no such link.
 */
bool		 host_forge(struct host *, unsigned int slot,
		    const uint8_t src[32], const uint8_t dst[32],
		    const void *, size_t n);
/* dbd's core, or NULL while it is down. */
struct dbd	*host_dbd(struct host *);
/* The control connection of a root administrator; NULL while dbd is down. */
struct link	*host_ctl(struct host *, struct sproc *,
		    const struct link_conf *);

#endif
