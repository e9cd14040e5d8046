/*
 * JSON of clients into typed messages (protocol.md 3.3, 3.5, 5.14).  Every
 * loop is bounded; what a client says too much of is cut to the table's
 * bounds, what is malformed is refused.
 */

#ifndef WORKER_CONTROL_PARSE_H
#define WORKER_CONTROL_PARSE_H

#include "common/buf.h"
#include "common/msg.h"

struct jdoc;

/* Owns what the parsed structs point to. */
struct parsed {
	struct jdoc	*doc;
	struct buf	 lists[8];
	unsigned int	 nlists;
};

struct regreq {
	struct parsed	 own;
	struct m_db_reg	 reg;		/* without ticket */
	uint16_t	 version;
};

struct mapreq {
	struct parsed	 own;
	uint16_t	 version;
	bool		 stream;
	bool		 omit_peers;
	bool		 read_only;
	uint8_t		 node_key[32];
	uint8_t		 disco_key[32];
	struct msg_list	 endpoints;	/* of r_addr */
	bool		 endpoints_cut;	/* it said more than are taken */
	bool		 has_hostinfo;
	struct r_hostinfo hostinfo;
	uint16_t	 home_derp;
};

/*
 * 0, or -1 with a text for the client in why.  Free with regreq_free() in
 * both cases; it wipes what held the auth key.
 */
int	regreq_parse(struct regreq *, struct slice body, const char **why);
void	regreq_free(struct regreq *);
int	mapreq_parse(struct mapreq *, struct slice body, const char **why);
void	mapreq_free(struct mapreq *);

#endif
