/*
 * A load generator for DERP relays (derp.md 13): many clients in one thread,
 * over TLS 1.3 or plain, which measure what a relay does with their packets.
 */

#ifndef REGRESS_LIB_DERPLOAD_H
#define REGRESS_LIB_DERPLOAD_H

#include <sys/socket.h>

#include <stdio.h>

#include "common/buf.h"

#define DL_PIDS		8
#define DL_PROCS	32
#define DL_PACKET_MIN	16	/* a sequence number and a time */

struct dl;		/* the generator */
struct dl_conn;		/* one client */

struct dl_conf {
	struct sockaddr_storage	 addr;
	socklen_t		 addr_len;
	char			*sni;		/* and Host */
	bool			 plain;		/* no TLS */
	bool			 fast;		/* derp.md 1.4 */
	unsigned int		 pack;		/* packets in a TLS record */
	unsigned int		 warm_ms;	/* before what is measured */
	int			 pids[DL_PIDS];	/* the relay's */
	unsigned int		 npids;
};

/* What a step hears of its clients. */
struct dl_ops {
	/* Logged in (or, of dl_get(), answered). */
	void	(*up)(struct dl_conn *, void *arg);
	/* A frame of a client that is logged in. */
	void	(*frame)(struct dl_conn *, uint8_t type, const uint8_t *,
		    size_t n, void *arg);
	/* Its connection ended, not by dl_close(); why is static. */
	void	(*gone)(struct dl_conn *, const char *why, void *arg);
	void	*arg;
};

/* Of a client: the steps' own. */
struct dl_of {
	struct dl_conn	*peer;
	uint64_t	 tx, rx;	/* sequence numbers */
	uint64_t	 at;		/* ns: of what came last */
	uint64_t	 widest;	/* ns between two keep-alives */
	unsigned int	 keepalives;
};

/* conf is copied.  Never NULL. */
struct dl	*dl_new(const struct dl_conf *);
void		 dl_free(struct dl *);
const struct dl_conf *dl_conf(const struct dl *);
/* For all clients, from now on; copied. */
void		 dl_set_ops(struct dl *, const struct dl_ops *);
/* Waits up to us microseconds and does what there is to do. */
void		 dl_poll(struct dl *, uint64_t us);
/* Monotonic, ns. */
uint64_t	 dl_now(void);

/* Begins a login with the key of this number, or just a GET of a 204. */
struct dl_conn	*dl_login(struct dl *, unsigned int key);
struct dl_conn	*dl_get(struct dl *);
/* Resets it, without a word; not to be used any more. */
void		 dl_close(struct dl_conn *);
struct dl_of	*dl_of(struct dl_conn *);
/* When it was begun, ns. */
uint64_t	 dl_begun(const struct dl_conn *);
const uint8_t	*dl_pub(const struct dl_conn *);
/* Octets that the socket did not take. */
size_t		 dl_waits(const struct dl_conn *);
/*
 * A packet of n octets with this sequence number and time to dst; it leaves
 * with the end of what dl_poll() calls, or by dl_flush().
 */
void		 dl_send(struct dl_conn *, const uint8_t dst[32], size_t n,
		    uint64_t seq, uint64_t now);
void		 dl_flush(struct dl_conn *);
/* Logins that were fast (derp.md 1.4), of all. */
uint64_t	 dl_fast(const struct dl *);

/* Times in ns, in buckets of 1.6 %. */
#define DL_HIST	4096
struct dl_hist {
	uint64_t	 n, max;
	uint64_t	 of[DL_HIST];
};
void		 dl_hist_add(struct dl_hist *, uint64_t ns);
/* The q-th part (0.99), in microseconds; 0 of nothing. */
double		 dl_hist_us(const struct dl_hist *, double q);

/* What the relay's processes and we have used. */
struct dl_usage {
	uint64_t	 at;		/* ns */
	double		 own;		/* seconds of CPU */
	double		 busy;		/* of the whole machine */
	unsigned int	 n;
	struct {
		int	 pid, parent;
		char	 name[32];
		double	 cpu;
		uint64_t pss_kb;	/* 0 if not asked for */
	} of[DL_PROCS];
};
/* The processes of these ids and all their children. */
void		 dl_usage(const struct dl *, struct dl_usage *, bool pss);
double		 dl_usage_cpu(const struct dl_usage *);
uint64_t	 dl_usage_pss(const struct dl_usage *);
/* Members of a JSON object, each with a comma before: CPU between the two. */
void		 dl_usage_print(const struct dl_usage *a,
		    const struct dl_usage *b, double per_packets);

/* The steps.  Each prints one JSON object; false: it failed (said why). */
struct dl_step {
	const char	*name;
	unsigned int	 clients, in_flight;
	unsigned int	 pairs, size, window;
	double		 rate, seconds;
};
/* Logs in that many, who stay. */
bool		 dl_step_login(struct dl *, const struct dl_step *);
/* Those who stay do nothing; their keep-alives are counted. */
bool		 dl_step_idle(struct dl *, const struct dl_step *);
/* Logs in, or just asks for a 204, and closes, as often as can be. */
bool		 dl_step_storm(struct dl *, const struct dl_step *, bool get);
/* Pairs that bounce a window of packets, or send at a rate. */
bool		 dl_step_pairs(struct dl *, const struct dl_step *);

#endif
