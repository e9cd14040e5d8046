/*
 * Relays of up to three workers with a keyd and a dbd that are stand-ins for
 * the real ones, joined in memory, and clients before them that speak DERP:
 * what tests of worker/relay share.
 */

#ifndef REGRESS_LIB_RELAYKIT_H
#define REGRESS_LIB_RELAYKIT_H

#include "regress/lib/fakeenv.h"
#include "regress/lib/pair.h"
#include "worker/relay/relay.h"

#define RK_WORKERS	3
#define RK_SERIAL_GEN	5
/* derp.md 3.5: the server's private key. */
#define RK_PRIV \
	"202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e7f"
#define RK_INFO		"{\"version\":2,\"CanAckPings\":true}"
#define RK_TAILNET	1	/* of all clients, if nobody says otherwise */
#define RK_REFUSE	UINT64_MAX

struct rk;

struct rkworker {
	struct rk	*rk;
	struct relay	*relay;		/* NULL: dead */
	uint16_t	 slot;
	uint64_t	 generation;
	struct pair	*key;		/* PAIR_A is the worker */
	struct pair	*db;
	struct pair	*mesh[RK_WORKERS];	/* of the lower slot: A */
	unsigned int	 bad;		/* dbd's or keyd's fault */
	unsigned int	 mesh_bad;
};

struct rkclient {
	struct rk	*rk;
	struct rkworker	*worker;
	struct rclient	*c;		/* NULL: closed */
	uint32_t	 who;
	uint8_t		 priv[32], pub[32];
	struct buf	 to;		/* waits to be taken */
	struct buf	 from;		/* came, not looked at yet */
	bool		 stuck;		/* takes no output */
	unsigned int	 kicks;
	struct rkclient	*next;
};

/* A connection that dbd knows. */
struct rkconn {
	uint8_t		 key[32];
	uint64_t	 tailnet;
	uint64_t	 serial;
	uint64_t	 order;		/* the highest has the key */
	struct rkworker	*worker;
};

struct rk {
	struct fakeenv	*fake;
	struct env	*env;
	struct relay_conf conf;
	uint8_t		 priv[32], pub[32];
	struct rkworker	 worker[RK_WORKERS];
	unsigned int	 n;
	struct rkclient	*clients;
	struct rkconn	*conns;
	size_t		 nconns, room;
	uint64_t	 serial, order;
	uint64_t	 (*tailnet)(uint32_t who);	/* NULL: RK_TAILNET */
	bool		 keyd_mute, dbd_mute;		/* they do not answer */
	bool		 dbd_busy;	/* refuses: too many with that key */
	uint8_t		 nonce[24];	/* of the next ServerInfo */
	struct ipport	 from;		/* of the next; family 0: NULL */
	unsigned int	 hellos, opens, holds, closes, actives;
	struct link	*asked;		/* the last question of that kind */
	struct msg	 question;
};

/* n workers; conf NULL: no rate, 2 s, 100 logins.  Never NULL. */
struct rk	*rk_new(unsigned int n, const struct relay_conf *conf);
void		 rk_free(struct rk *);
/* keyd or dbd comes or goes, for all. */
void		 rk_keyd(struct rk *, bool up);
void		 rk_dbd(struct rk *, bool up);
/* This worker dies: its links and clients are gone, and dbd tells the rest. */
void		 rk_kill(struct rkworker *);
/* Moves messages and octets until nothing more happens at this time. */
void		 rk_run(struct rk *);
/* Moves the clock in steps of 50 ms and runs. */
void		 rk_pass(struct rk *, uint64_t us);

/* dbd's words. */
void		 rk_publish(struct rk *, const struct rkconn *);
void		 rk_gone(struct rk *, const uint8_t key[32]);
/* DB_RELAY_END for this client's connection. */
void		 rk_end(struct rkclient *);

/* An upgraded connection; NULL if it is not let in. */
struct rkclient	*rk_connect(struct rkworker *, uint32_t who);
/* Appends this client's ClientInfo with this JSON. */
void		 rk_hello(struct rkclient *, const char *json, struct buf *);
/* Sends the usual ClientInfo and runs. */
void		 rk_greet(struct rkclient *);
/* Logged in; ServerKey and ServerInfo were right and are out of the way. */
struct rkclient	*rk_login(struct rkworker *, uint32_t who);
/* Was connected before; true if the same came of it. */
bool		 rk_admitted(struct rkclient *);
/* It closes; what came is still to be looked at. */
void		 rk_close(struct rkclient *);
bool		 rk_is_done(const struct rkclient *);

/* Octets of the client, which go as far as they are taken. */
void		 rk_octets(struct rkclient *, const void *, size_t);
void		 rk_frame(struct rkclient *, uint8_t type, const void *,
		    size_t);
/* A SendPacket. */
void		 rk_send(struct rkclient *, const uint8_t dst[32],
		    const void *, size_t);
/* Appends what rk_send() sends. */
void		 rk_put_send(struct buf *, const uint8_t dst[32], const void *,
		    size_t);
/* The next frame that came; its octets live until something else is done. */
bool		 rk_next(struct rkclient *, uint8_t *type, struct slice *);
/* It is this, and goes.  src NULL: any. */
bool		 rk_got(struct rkclient *, const struct rkclient *src,
		    const void *, size_t);
bool		 rk_got_gone(struct rkclient *, const struct rkclient *who,
		    uint8_t why);
/* Nothing came. */
bool		 rk_silent(struct rkclient *);
/* Packets that came, whatever they are; all frames go. */
unsigned int	 rk_packets(struct rkclient *);

const struct relay_counters *rk_count(const struct rkworker *);

#endif
