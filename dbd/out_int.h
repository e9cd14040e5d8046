/*
 * The OUT link to headscaled-fetch: what dbd asks of the outside (trust.md 5).
 * It may be away at any time; what it was asked then has no answer, and who
 * asked comes again later.
 */

#ifndef DBD_OUT_INT_H
#define DBD_OUT_INT_H

#include "dbd/dbd_int.h"

struct outreq;

/*
 * Rows and the last reply to a request; NULL instead of that reply: there will
 * be none.  After the reply or NULL the request is gone.
 */
typedef void	(*out_answer)(void *arg, const struct msg *);

/* State in d->out; outlink_free() drops requests without a word. */
void	outlink_init(struct dbd *);
void	outlink_free(struct dbd *);
/* There is a fetch. */
bool	outlink_is_up(const struct dbd *);
/*
 * Asks it; NULL, and nothing else happens, if there is none.  One that does
 * not answer within us loses its link and is started anew.
 */
struct outreq *outlink_ask(struct dbd *, const struct msg *, uint64_t us,
	    out_answer, void *arg);
/* Nobody wants the answer any more. */
void	outlink_forget(struct outreq *);
/* Answers a request of fetch's. */
void	outlink_reply(struct dbd *, const struct msg *);
/* It broke the rules: its link goes down. */
void	outlink_broken(struct dbd *, enum link_why);

#endif
