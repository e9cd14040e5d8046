/*
 * Control connections to dbd with doubles for its core: the operations only
 * note how they were called, and what batch_reply() queues leaves when a test
 * says so.  The doubles go before the archives into every t_ctlsock_*.c.
 */

#ifndef REGRESS_UNIT_D_CTLSOCK_H
#define REGRESS_UNIT_D_CTLSOCK_H

#include "dbd/batch_int.h"
#include "dbd/policy_int.h"
#include "regress/lib/ctlpeer.h"
#include "regress/lib/fakeenv.h"

#define CS_SECRET	"hskey-0123456789ab-5ec2e75ec2e7"

/* What batch_reply() was given and has not sent yet. */
struct cs_sent {
	struct link	*link;
	enum msg_type	 type;
	uint32_t	 id;
	size_t		 at;
	size_t		 n;
};

struct cs_fix {
	struct fakeenv	*fe;
	struct dbd	 d;
	struct tailnet	 tn[2];
	struct user	 user[3];
	struct authkey	 key;
	struct node	 node[200];
	struct cs_sent	 sent[400];
	size_t		 nsent;
	void		*tag;		/* of the last question to master */
	unsigned int	 asked;
	/* The last operation as text, and what the next ones return. */
	char		 called[256];
	int		 rc;
	char		 why[64];
	/* A policy's job is kept, and ends when a test says so. */
	struct {
		void	(*done)(const struct job_result *, void *);
		void	*arg;
		size_t	 octets;
	} job;
	char		 logged[4096];	/* all lines */
};

/* Of cmocka: *state is the fixture, with two tailnets and no connection. */
int	cs_setup(void **state);
int	cs_teardown(void **state);
/* The end of dbd's turn: what was queued leaves. */
void	cs_turn(struct cs_fix *);
/* The peer says CTL_HELLO and is let in. */
void	cs_hello(struct cs_fix *, struct cp_peer *);

#endif
