/*
 * The certificate that is had by ACME (RFC 8555): when one is wanted, what
 * fetch asks for meanwhile, and who is told.  keyd makes every signature and
 * reads every certificate; dbd only keeps the chain.
 */

#ifndef DBD_ACME_INT_H
#define DBD_ACME_INT_H

#include "dbd/dbd_int.h"

/* State in d->acme. */
void	dbacme_init(struct dbd *);
void	dbacme_free(struct dbd *);
/* What is stored; -1 if the store failed. */
int	dbacme_load(struct dbd *);
/* Start, and other names, directory or challenge (reload). */
void	dbacme_conf(struct dbd *);
/* Something that it may have waited for is there. */
void	dbacme_look(struct dbd *);
/* After its hello: the certificate, and challenges that are up. */
void	dbacme_hello(struct worker *);
/* It need not be waited for any more; it is still among the workers. */
void	dbacme_worker_gone(struct worker *);
/* DB_CHALLENGE_OK. */
void	on_challenge_ok(struct worker *, const struct msg *);

/* Requests of fetch's. */
void	dbacme_on_sign(struct dbd *, const struct msg *);
void	dbacme_on_challenge(struct dbd *, const struct msg *);

/*
 * An administrator wants a new one now.  revoke: the one in use is revoked
 * first.  0, or -1 and why.
 */
int	op_cert_renew(struct dbd *, bool revoke, char *why, size_t);
/* Appends a CTL_CERT if there is any to tell of, as rows_add() does. */
void	dbacme_rows(struct dbd *, struct buf *);

/* Between acme.c and acme_run.c only. */

#define CHALLENGES_MAX	64		/* up at a time */

enum run_kind { RUN_NONE, RUN_ORDER, RUN_REVOKE };
enum keyd_tag { TAG_SIGN, TAG_ALPN, TAG_CHAIN };

/* A challenge that workers answer. */
struct challenge {
	TAILQ_ENTRY(challenge)	 all;
	char			 name[254];
	char			 token[256];
	char			 thumbprint[44];
	uint8_t			 kind;
	uint16_t		 key;	/* tls-alpn-01 */
	uint32_t		 number;	/* of the question to keyd */
	struct buf		 der;
	bool			 up;	/* workers were told */
};

struct dbacme {
	struct dbd		*d;
	struct link		*keyd;	/* NULL: it is away */
	char			 thumbprint[44]; /* empty: not said yet */

	/* The certificate; what is stored of it. */
	struct buf		 directory;	/* of chain and account */
	struct buf		 account;
	struct buf		 names;	/* list of r_text: */
	uint32_t		 nnames;
	struct buf		 chain;
	int64_t			 not_before;
	int64_t			 not_after;
	uint32_t		 failed;
	int64_t			 retry;	/* by the wall clock */
	char			 why[256];

	/* What keyd has said of the chain. */
	bool			 good;	/* it is in force */
	uint16_t		 key;
	struct buf		 leaf;
	char			 serial[65];
	int64_t			 renew;
	bool			 checked; /* by this keyd */
	uint32_t		 chain_id; /* keyd is asked; 0: it is not */
	struct buf		 fresh;	/* one that came, not yet looked at */
	bool			 wanted; /* by an administrator, */
	bool			 revoke; /* and the old one revoked first */
	bool			 started;
	bool			 configured;
	struct buf		 conf;	/* in force, as it was looked at */

	/* The run. */
	enum run_kind		 run;
	struct outreq		*req;
	struct buf		 run_names;	/* as names */
	uint32_t		 run_nnames;
	struct buf		 run_directory;
	struct buf		 run_account;	/* of fresh */
	uint8_t			 run_challenge;	/* which kind */
	uint32_t		 sign_id;	/* of fetch's; 0: none open */
	uint32_t		 ready_id;	/* likewise */
	uint32_t		 keyd_sign;	/* our question to keyd */
	uint32_t		 alpn_asked;	/* questions to this keyd */
	uint32_t		 alpn_seen;	/* and answers */
	char			 tag[3];	/* of questions: */
	struct challenge	*coming;	/* keyd makes its certificate */
	TAILQ_HEAD(, challenge)	 challenges;
	struct timer		 slow;		/* of workers */
	struct timer		 tick;
};

/* acme_run.c: begins it if fetch is there. */
bool	dbacme_start(struct dbacme *, enum run_kind);
/* The timer's: workers take too long. */
void	dbacme_slow(void *);
/* keyd's answer to a form or a challenge certificate. */
void	dbacme_signed(struct dbacme *, const struct msg *);
void	dbacme_alpn(struct dbacme *, const struct msg *);
/* keyd has gone: what it was asked for the run has no answer. */
void	dbacme_keyd_gone(struct dbacme *);
/* No challenge is up any more; what fetch still waits for is refused. */
void	dbacme_clear(struct dbacme *);
/* Tells the worker of those that are up. */
void	dbacme_say_challenges(struct worker *);

/* acme.c: how the run ended. */
void	dbacme_chain(struct dbacme *, struct slice account,
	    struct slice chain);
void	dbacme_revoked(struct dbacme *, struct slice account);
void	dbacme_failed(struct dbacme *, struct slice why, uint32_t retry_s);

#endif
