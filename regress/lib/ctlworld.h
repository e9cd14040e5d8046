/*
 * worker/control with real connections before it (networld) and a dbd behind
 * it that is the test itself: it sees every message and says what it likes.
 */

#ifndef REGRESS_LIB_CTLWORLD_H
#define REGRESS_LIB_CTLWORLD_H

#include "regress/lib/networld.h"
#include "regress/lib/tnfeed.h"
#include "worker/control/control.h"

/* A message that came to dbd. */
struct cw_msg {
	struct msg	 m;		/* its slices point into body */
	struct buf	 body;
	unsigned int	 life;		/* of dbd: counts its links */
};

/* A request of a client and its answer. */
struct cw_ask {
	struct cw_ask	*next;
	struct wire	*wire;
	int32_t		 id;
	unsigned int	 status;
	struct buf	 fields;	/* "name: value\n" */
	struct buf	 body;
	bool		 ended;
	uint32_t	 error;
};

struct ctlworld {
	struct fakeenv	*fake;
	struct env	*env;
	struct control	*c;
	struct networld	*net;
	struct pair	*db;		/* NULL: dbd is away */
	unsigned int	 life;
	struct cw_msg	**got;
	size_t		 ngot;
	struct cw_ask	*asks;
};

/* Configured, keyd and dbd are there.  One at a time.  Never NULL. */
struct ctlworld	*ctlworld_new(void);
void		 ctlworld_free(struct ctlworld *);
/* Of cmocka: *state is the world; at the end no frame may be left. */
int		 ctlworld_setup(void **state);
int		 ctlworld_teardown(void **state);
/* dbd comes, with a new link, or dies. */
void		 ctlworld_db(struct ctlworld *, bool up);
/* Moves all that can be moved at this time. */
void		 ctlworld_run(struct ctlworld *);
void		 ctlworld_pass(struct ctlworld *, uint64_t us);
/* What ctlworld_new() configures: to be changed, for control_conf(). */
void		 cw_conf(struct m_cfg_conf_worker *);
/* The same with TLS and a relay in front, hs.example.org. */
void		 cw_conf_relay(struct m_cfg_conf_worker *);
/* Takes the configuration of ctlworld_new() with this bound. */
void		 ctlworld_overload(struct ctlworld *, uint32_t ms);

/* How many messages of the type came to dbd so far. */
size_t		 cw_count(const struct ctlworld *, enum msg_type);
/* The k-th of them (0 the first), NULL if there is none.  It stays. */
const struct msg *cw_got(const struct ctlworld *, enum msg_type, size_t k);
/* Sends a message of dbd, a reply under the id of a request. */
void		 cw_say(struct ctlworld *, struct msg *, const struct msg *to);

/* A client with machine key number who whose session is open. */
struct wire	*cw_client(struct ctlworld *, uint8_t who, uint16_t capver);
/* Sends a request and runs; the answer may have come or not. */
struct cw_ask	*cw_ask(struct wire *, const char *method, const char *path,
		    const char *body);
/* The same without running. */
struct cw_ask	*cw_send(struct wire *, const char *method, const char *path,
		    const char *body);
/*
 * Sends what is to be said outside of Noise, at most 8191 octets, on a
 * connection of its own and runs.  What came, as text: until it is called
 * again.
 */
const char	*cw_raw(struct ctlworld *, const char *, ...)
		    __attribute__((__format__(printf, 2, 3)));
bool		 cw_has(const struct cw_ask *, const char *text);
/* The client takes it back. */
void		 cw_cancel(struct cw_ask *);

#endif
