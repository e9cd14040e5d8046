#include <stdlib.h>

#include "common/log.h"
#include "dbd/acme_int.h"
#include "dbd/derpmap_int.h"
#include "dbd/health_int.h"
#include "dbd/out_int.h"

struct outreq {
	TAILQ_ENTRY(outreq)	 all;
	struct outlink		*out;
	uint32_t		 id;
	out_answer		 fn;
	void			*arg;
};

struct outlink {
	struct dbd		*d;
	struct link		*link;	/* NULL: fetch is away */
	TAILQ_HEAD(, outreq)	 reqs;
};

void
outlink_init(struct dbd *d)
{
	d->out = xcalloc(1, sizeof(*d->out));
	d->out->d = d;
	TAILQ_INIT(&d->out->reqs);
}

static void
req_free(struct outreq *r)
{
	TAILQ_REMOVE(&r->out->reqs, r, all);
	free(r);
}

void
outlink_free(struct dbd *d)
{
	struct outreq *r;

	if (d->out == NULL)
		return;
	while ((r = TAILQ_FIRST(&d->out->reqs)) != NULL)
		req_free(r);
	free(d->out);
	d->out = NULL;
}

bool
outlink_is_up(const struct dbd *d)
{
	return d->out->link != NULL && !link_is_down(d->out->link);
}

struct outreq *
outlink_ask(struct dbd *d, const struct msg *m, uint64_t us, out_answer fn,
    void *arg)
{
	struct outreq *r;

	if (!outlink_is_up(d))
		return NULL;
	r = xcalloc(1, sizeof(*r));
	r->out = d->out;
	r->fn = fn;
	r->arg = arg;
	TAILQ_INSERT_TAIL(&d->out->reqs, r, all);
	r->id = link_request(d->out->link, m, r, us);
	return r;
}

void
outlink_forget(struct outreq *r)
{
	/* A core that ends has no links any more. */
	if (r->out->link != NULL && !r->out->d->freeing)
		link_forget(r->out->link, r->id);
	req_free(r);
}

void
outlink_reply(struct dbd *d, const struct msg *m)
{
	if (outlink_is_up(d))
		link_reply(d->out->link, m);
}

void
outlink_broken(struct dbd *d, enum link_why why)
{
	if (outlink_is_up(d))
		link_violation(d->out->link, why);
}

/* The link. */

void
dbd_out_up(struct dbd *d, struct link *l)
{
	if (env_ended(d->env))
		return;
	if (d->out->link != NULL)
		dbd_out_down(d, d->out->link);
	link_set_state(l, MSG_RUN);
	d->out->link = l;
	derpurl_out_up(d);
	health_out_up(d);
	dbacme_look(d);
}

void
dbd_out_down(struct dbd *d, struct link *l)
{
	struct outreq *r;
	out_answer fn;
	void *arg;

	if (d->out == NULL || d->out->link != l)
		return;
	d->out->link = NULL;
	if (env_ended(d->env))
		return;
	log_info("fetch is away: what it was asked is asked again later");
	while ((r = TAILQ_FIRST(&d->out->reqs)) != NULL) {
		fn = r->fn;
		arg = r->arg;
		req_free(r);
		fn(arg, NULL);
	}
}

/* A reply or a row of a kind that was not asked for is found out by fn. */
static void
take_answer(struct outreq *r, const struct msg *m)
{
	out_answer fn = r->fn;
	void *arg = r->arg;

	if (msg_class(m->type) == MSG_REPLY)
		req_free(r);
	fn(arg, m);
}

void
dbd_out_msg(struct dbd *d, struct link *l, const struct msg *m, void *tag)
{
	if (env_ended(d->env) || d->out->link != l)
		return;
	switch (m->type) {
	case M_OUT_BODY:
	case M_OUT_GOT:
	case M_OUT_FAILED:
	case M_OUT_PROBED:
	case M_OUT_ACME_OK:
	case M_OUT_ACME_FAILED:
		take_answer(tag, m);
		break;
	case M_OUT_ACME_SIGN:
		dbacme_on_sign(d, m);
		break;
	case M_OUT_ACME_CHALLENGE:
		dbacme_on_challenge(d, m);
		break;
	default:
		fatalx("%s: no handler", msg_name(m->type));
	}
}
