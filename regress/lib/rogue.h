/*
 * A taken-over worker (issue: rogue worker; trust.md): it has one live client
 * of its own, as such a worker would, knows much about another worker's
 * client, and breaks the rules in every way we know.  The same attacks run
 * against the cores in one process (t_rogue) and against the real daemons
 * (regress/bin/rogue).
 */

#ifndef REGRESS_LIB_ROGUE_H
#define REGRESS_LIB_ROGUE_H

#include "common/enc.h"
#include "common/link.h"
#include "regress/lib/noise_client.h"

#define ROGUE_RECORD	64	/* longest recorded first record */

struct rogue_ops {
	/*
	 * Puts octets on one of its links as they are, to be on their way at
	 * the next wait(); takes over fd.
	 */
	void	(*send)(enum msg_link, uint32_t type, uint32_t id,
		    const void *, size_t, int fd, void *arg);
	/* Lets all others work until nothing more comes back. */
	void	(*wait)(void *arg);
	void	(*random)(void *, size_t, void *arg);
	void	*arg;
};

/* What it knows of a client that is another worker's. */
struct rogue_loot {
	uint64_t	 tailnet;
	uint64_t	 node;
	uint64_t	 stream;	/* DB_MAP_OPEN's */
	uint32_t	 request;	/* DB_REG's */
	uint8_t		 node_key[KEY_LEN];
	uint8_t		 machine_key[KEY_LEN];
	struct r_ticket	 ticket;
	uint8_t		 init[NOISE_INIT];	/* as it went over the wire */
	uint8_t		 record[ROGUE_RECORD];
	size_t		 nrecord;
	char		 auth_key[128];		/* single-use, and used */
};

struct rogue_got {
	enum msg_link	 link;
	uint32_t	 type;
	uint32_t	 id;
	uint8_t		*p;
	size_t		 n;
};

struct rogue {
	struct rogue_ops ops;
	struct noise	*noise;
	uint16_t	 slot;
	uint64_t	 generation;
	uint32_t	 id;		/* last request id */
	uint32_t	 conn;
	uint8_t		 server_pub[NOISE_KEY];
	/* Its own client. */
	struct noise_client client;
	struct r_ticket	 ticket;
	uint8_t		 node_key[KEY_LEN];
	uint64_t	 tailnet;
	uint64_t	 node;
	uint64_t	 stream;
	struct rogue_loot mine;		/* what others could learn of it */
	/* Of others, and of its former life. */
	struct rogue_loot loot;
	struct r_ticket	 old_ticket;
	/* What it got, oldest first. */
	struct rogue_got *got;
	size_t		 ngot;
	const char	*why;		/* what was not as it should be */
};

void	rogue_init(struct rogue *, const struct rogue_ops *, uint16_t slot,
	    uint64_t generation);
void	rogue_free(struct rogue *);
/* A message came over one of its links; fd is closed. */
void	rogue_input(struct rogue *, enum msg_link, uint32_t type, uint32_t id,
	    const void *, size_t, int fd);

/* Sends a message with any id; a request gets the next one with id 0. */
uint32_t rogue_send(struct rogue *, enum msg_link, struct msg *);
/* The answer to a request, or the newest message of a type (id 0). */
bool	rogue_answer(const struct rogue *, enum msg_link, uint32_t type,
	    uint32_t id, struct msg *);
unsigned int rogue_count(const struct rogue *, uint32_t type);

/*
 * What an honest worker does: the hello, a client's whole handshake (machine
 * and ephemeral key random), a registration with this auth key, an open map
 * stream.  False and why if any was refused.  join calls the others.
 */
void	rogue_hello(struct rogue *);
bool	rogue_shake(struct rogue *);
bool	rogue_join(struct rogue *, const char *auth_key);
/* A lite update of its own node with this disco key. */
bool	rogue_lite(struct rogue *, uint8_t disco);
/* What somebody would need to attack its client; after rogue_join(). */
void	rogue_loot(const struct rogue *, struct rogue_loot *);

struct attack {
	const char	*name;
	/*
	 * False and r->why if something came back that should not have.
	 * arg is the row's.
	 */
	bool		(*run)(struct rogue *r, unsigned int arg);
	unsigned int	 arg;
	/* The link that goes down for it, and why; LINK_NONE: none does. */
	enum msg_link	 link;
	enum link_why	 because;
	/* Before DB_HELLO_DONE, without a client of its own. */
	bool		 early;
	/*
	 * Between processes it may cost nothing: the system drops a
	 * descriptor that is not taken, and credit comes back while the rest
	 * is still on its way.
	 */
	bool		 maybe;
};

/* The k-th, or NULL when there are no more. */
const struct attack *attack_get(size_t k);
/*
 * Runs it: false, with r->why, if it was answered as if it were right.  The
 * caller sees to what became of the links and of others.
 */
bool	attack_run(struct rogue *, const struct attack *);

#endif
