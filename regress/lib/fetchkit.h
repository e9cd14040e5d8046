/*
 * A world for worker/fetch: HTTP answered by the test, or by a made-up ACME
 * server that can be told to go wrong at any answer; keyd and dbd, too.
 */

#ifndef REGRESS_LIB_FETCHKIT_H
#define REGRESS_LIB_FETCHKIT_H

#include "common/buf.h"
#include "regress/lib/fakeenv.h"
#include "worker/fetch/acme.h"
#include "worker/fetch/ask.h"

#define FK_DIRECTORY	"https://ca.test/dir"
#define FK_ACCOUNT	"https://ca.test/acct/1"
#define FK_CHAIN	"-----BEGIN CERTIFICATE-----\nAAAA\n" \
	"-----END CERTIFICATE-----\n-----BEGIN CERTIFICATE-----\nBBBB\n" \
	"-----END CERTIFICATE-----\n"

/* An answer, in memory of its own. */
struct fk_answer {
	unsigned int	 status;
	char		 why[128];
	char		 type[64];
	char		 nonce[64];
	char		 location[128];
	char		 retry_after[64];
	char		 body[8192];
	size_t		 n;
};

struct fk_ask {
	struct fk	*fk;
	ask_done	 done;
	void		*tag;
	enum ask_method	 method;
	char		 url[ASK_URL_MAX + 1];
	char		 accept[64];
	char		 body[4096];
	char		 ip4[64], ip6[64];
	uint32_t	 max;
	bool		 insecure;
};

#define FK_ASKS		128

struct fk {
	struct fakeenv	*fe;
	/* HTTP */
	struct fk_ask	*waiting[FK_ASKS];	/* the oldest first */
	size_t		 nwaiting;
	unsigned int	 asked;		/* in all */
	unsigned int	 stopped;
	uint64_t	 times[2048];	/* when each was asked */
	/*
	 * Changes the server's k-th answer (from 0) before it is given; the
	 * request is still there.  NULL: none.
	 */
	void		(*spoil)(struct fk *, unsigned int k,
			    const struct fk_ask *, struct fk_answer *);
	void		*spoil_arg;
	unsigned int	 answered;
	/* the server */
	unsigned int	 nnames;
	const char	*names[32];
	const char	*kind;
	unsigned int	 slow;		/* polls until it is done */
	unsigned int	 left;
	bool		 triggered[32];
	bool		 valid[32];
	bool		 finalized;
	unsigned int	 nonces;	/* given out */
	bool		 used[4096];
	/* the client */
	struct acme_run	*acme;
	bool		 signing;
	bool		 readying;
	char		 body[4096];	/* what is being signed */
	int		 refuse_at;	/* this signature or challenge; -1 */
	unsigned int	 signs;
	unsigned int	 ups, downs;
	char		 up_name[256], up_token[256];
	unsigned int	 ends;
	bool		 ok;
	char		 account[1100];
	char		 why[512];
	uint32_t	 retry_s;
	char		 chain[4096];
};

/* Never NULL; names NULL-terminated, of challenges of the kind. */
struct fk	*fk_new(const char *kind, const char *const *names);
void		 fk_free(struct fk *);
const struct ask_ops *fk_ops(void);
/* Answers the oldest request with this. */
void		 fk_answer(struct fk *, const struct fk_answer *);
/* What the server says to the oldest request, spoiled or not. */
void		 fk_serve(struct fk *);
/* Begins a run; der: to be revoked, empty for a certificate. */
void		 fk_begin(struct fk *, const char *account, struct slice der);
/* One thing happens; false if nothing can any more. */
bool		 fk_step(struct fk *);
/* Steps until the end; fails the test if there is none. */
void		 fk_run(struct fk *);
/* A problem document of this type (without the urn), in place of a. */
void		 fk_problem(struct fk_answer *a, unsigned int status,
		    const char *type, const char *detail);

#endif
