/*
 * The client's side of RFC 8555: from a directory's URL to a certificate, or
 * a revocation.  Pure: HTTP is the seam (ask.h), signatures and challenges
 * are asked for and answered by the caller.  It holds no key.
 */

#ifndef WORKER_FETCH_ACME_H
#define WORKER_FETCH_ACME_H

#include "common/env.h"
#include "common/msg.h"
#include "worker/fetch/ask.h"

struct acme_run;

#define ACME_NAMES	32
#define ACME_TEXT	256	/* octets of a reason and a NUL */

/* What a body is to be made for; the numbers are those of OUT_ACME_SIGN. */
enum acme_form {
	ACME_NEW_ACCOUNT = 1,
	ACME_NEW_ORDER = 2,
	ACME_AS_GET = 3,
	ACME_CHALLENGE = 4,
	ACME_FINALIZE = 5,
	ACME_REVOKE = 6
};

/* How it ended. */
struct acme_end {
	const char	*account;	/* "" if none is known yet */
	const char	*why;		/* NULL: well */
	uint32_t	 retry_s;	/* what the server said; 0: nothing */
	struct slice	 chain;		/* PEM; empty: revoked */
};

struct acme_ops {
	/*
	 * Wants a signed body; acme_run_signed() or acme_run_refused(), not
	 * from within.  Slices live until it returns.
	 */
	void	(*sign)(void *, enum acme_form, struct slice url,
		    struct slice nonce, struct slice account,
		    struct slice der);
	/* Up: acme_run_ready() when it can be asked for.  Down: no answer. */
	void	(*challenge)(void *, bool up, struct slice name,
		    struct slice token);
	/* The last call; the caller frees, now or later. */
	void	(*end)(void *, const struct acme_end *);
};

/*
 * Begins the run; what run points to need not outlive this call.  Ends by
 * itself, at the latest after half an hour.  Never NULL.
 */
struct acme_run	*acme_run_new(struct env *, const struct ask_ops *,
		    void *ask_arg, const struct acme_ops *, void *arg,
		    const struct m_out_acme_run *run);
/* Stops it without a word; a challenge that is up is taken down. */
void		 acme_run_free(struct acme_run *);
/* What was asked for; ignored when nothing was. */
void		 acme_run_signed(struct acme_run *, struct slice body);
void		 acme_run_refused(struct acme_run *, struct slice why);
void		 acme_run_ready(struct acme_run *);

#endif
