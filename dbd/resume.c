/* The hello of a worker: what it holds, and on whose behalf. */

#include <string.h>

#include "common/log.h"
#include "common/ticket.h"
#include "dbd/acme_int.h"
#include "dbd/batch_int.h"
#include "dbd/derpmap_int.h"
#include "dbd/handlers_int.h"
#include "dbd/health_int.h"
#include "dbd/relay_int.h"
#include "dbd/session_int.h"
#include "dbd/worker_int.h"

#define HELLO_MAX	4096		/* messages, and two for each node */

/* Nobody holds more than there is: what a hello makes us keep is bounded. */
static bool
too_long(struct worker *w)
{
	if (w->hellos++ < HELLO_MAX + 2 * w->d->nodes_by_id.n)
		return false;
	link_violation(w->link, LINK_OVERFLOW);
	return true;
}

void
on_have(struct worker *w, const struct msg *m)
{
	if (too_long(w))
		return;
	buf_put(&w->have, &m->u.db_have, sizeof(m->u.db_have));
}

static void
end_send(struct worker *w, const struct m_db_resume *r, enum end_why why)
{
	struct msg m;

	msg_init(&m, M_DB_STREAM_END);
	m.u.db_stream_end.tailnet = r->tailnet;
	m.u.db_stream_end.node = r->node;
	m.u.db_stream_end.generation = r->generation;
	m.u.db_stream_end.why = (uint8_t)why;
	batch_reply(w->d, w->link, &m);
}

void
on_resume(struct worker *w, const struct msg *m)
{
	const struct m_db_resume *r = &m->u.db_resume;
	struct session *s;
	struct node *n;

	if (too_long(w) || !ticket_ok(w, &r->ticket))
		return;
	n = node_find(w->d, r->node);
	if (n == NULL || n->tn->id != r->tailnet ||
	    memcmp(n->r.machine_key, r->ticket.key, KEY_LEN) != 0) {
		end_send(w, r, END_DELETED);
		return;
	}
	if (memcmp(n->r.node_key, r->node_key, KEY_LEN) != 0) {
		/* it did hold one, and may say so once more */
		(void)expose(w, n);
		end_send(w, r, END_REKEYED);
		return;
	}
	if ((s = n->session) != NULL && (s->worker != w ||
	    s->generation != r->generation) &&
	    ticket_newer(&s->ticket, s->h2, &r->ticket, r->h2)) {
		(void)expose(w, n);	/* likewise */
		end_send(w, r, END_NEWER);
		return;
	}
	if (s == NULL || s->worker != w || s->generation != r->generation)
		s = session_open(n, w, r->generation, &r->ticket, r->h2);
	if (r->mapped)
		session_started(s);
}

static void
take_replica(struct worker *w, const struct m_db_have *have)
{
	struct dbd *d = w->d;
	struct tailnet *tn;
	struct held *h;

	/* Only who holds a node of it may hear of it; and once. */
	if ((tn = tailnet_find(d, have->tailnet)) == NULL ||
	    (h = held_find(w, tn)) == NULL || h->asked)
		return;
	h->asked = true;
	if (!replay_send(d, w->link, tn, have->seq, have->batch))
		return;		/* the snapshot stays due */
	h->due = false;
	if (!d->in_window)
		online_map_send(d, w->link, tn);
}

void
on_hello_done(struct worker *w, const struct msg *m)
{
	struct m_db_have have;
	struct session *s;
	size_t at;

	(void)m;
	/* Log and memory are at one place then. */
	dbd_turn(w->d);
	link_set_state(w->link, MSG_RUN);
	TAILQ_FOREACH(s, &w->sessions, all)
		(void)held_get(w, s->node->tn);
	for (at = 0; at < w->have.n; at += sizeof(have)) {
		memcpy(&have, w->have.p + at, sizeof(have));
		take_replica(w, &have);
	}
	buf_free(&w->have);
	relay_hello(w);
	derpurl_hello(w);
	health_hello(w);
	dbacme_hello(w);
}
