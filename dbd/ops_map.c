/* Map streams: opened, started, closed, put off (protocol.md 3.5, 5.16). */

#include <string.h>

#include "common/log.h"
#include "common/ticket.h"
#include "dbd/batch_int.h"
#include "dbd/handlers_int.h"
#include "dbd/objects_int.h"
#include "dbd/routes_int.h"
#include "dbd/session_int.h"
#include "dbd/worker_int.h"

#define LEAVE_US	(10 * US_PER_S)	/* it leaves no more often, */
#define LEAVES		3		/* but so many times at once */

bool
ticket_ok(struct worker *w, const struct r_ticket *t)
{
	if (ticket_check(t, secret_data(w->d->secret), TICKET_MACHINE,
	    w->slot, w->generation))
		return true;
	link_violation(w->link, LINK_FORGED);
	return false;
}

struct node *
ticket_node(struct dbd *d, const struct r_ticket *t,
    const uint8_t node_key[KEY_LEN], uint16_t *status)
{
	struct node *n;

	if ((n = node_find_key(d, node_key)) == NULL) {
		*status = 404;
		return NULL;
	}
	if (memcmp(n->r.machine_key, t->key, KEY_LEN) != 0) {
		*status = 403;
		return NULL;
	}
	return n;
}

struct again {
	struct worker	*w;
	uint32_t	 id;
	bool		 done;
};

static int
on_result(const struct result_row *row, void *arg)
{
	struct again *a = arg;
	struct msg m;

	if (row->secret || msg_class(row->type) != MSG_REPLY ||
	    msg_decode(&m, row->type, row->body.p, row->body.n) == -1)
		return 0;
	m.id = a->id;
	batch_reply(a->w->d, a->w->link, &m);
	a->done = true;
	return 0;
}

bool
answered_before(struct worker *w, const struct msg *m)
{
	struct again a = { w, m->id, false };

	if (store_find_result(w->d->store, w->slot, w->generation, m->id,
	    on_result, &a) == -1)
		op_check(w->d, -1);
	return a.done;
}

static void
refuse(struct worker *w, uint32_t id, uint16_t status, const char *text)
{
	struct msg m;

	msg_init(&m, M_DB_MAP_NO);
	m.id = id;
	m.u.db_map_no.status = status;
	m.u.db_map_no.text = slice_str(text);
	batch_reply(w->d, w->link, &m);
}

/*
 * What a stream says counts only where nothing is known: lite updates are
 * authoritative, and this may be older (trap 36).
 */
static void
fill_in(struct node *n, const struct m_db_map_open *o)
{
	struct dbd *d = n->tn->d;
	struct buf approved = { NULL, 0, 0 };
	struct r_node r = n->r;
	const char *left_out;
	bool filled;

	if (key_is_zero(r.disco_key) && !key_is_zero(o->disco_key)) {
		memcpy(r.disco_key, o->disco_key, KEY_LEN);
		r.published = true;
	}
	if (r.endpoints.count == 0)
		r.endpoints = o->endpoints;
	if (o->has_hostinfo && r.hostinfo.os.n == 0 &&
	    r.hostinfo.hostname.n == 0) {
		r.hostinfo = o->hostinfo;
		(void)routes_auto(n->tn, n, &r, &approved);
	}
	if (r.home_derp == 0)
		r.home_derp = o->home_derp;
	left_out = node_fit(d, &r);
	filled = !node_same(n, &r);
	/* What can change back and forth has to be within the budget. */
	if (o->capver != r.capver && (filled || budget_take(n, &n->own)))
		r.capver = o->capver;
	else if (!filled) {
		buf_free(&approved);
		return;
	}
	node_fit_log(&r, left_out);
	op_begin(d);
	node_set(n, &r);
	put_node(n);
	op_end(d);
	buf_free(&approved);
}

static void
open_ok(struct worker *w, uint32_t id, const struct node *n,
    uint64_t generation)
{
	struct msg m;

	msg_init(&m, M_DB_MAP_OK);
	m.id = id;
	m.u.db_map_ok.tailnet = n->tn->id;
	m.u.db_map_ok.node = n->r.id;
	m.u.db_map_ok.generation = generation;
	m.u.db_map_ok.seq = n->tn->seq;
	batch_reply(w->d, w->link, &m);
}

void
on_map_open(struct worker *w, const struct msg *m)
{
	const struct m_db_map_open *o = &m->u.db_map_open;
	struct session *s;
	struct node *n;
	uint16_t status;

	if (!ticket_ok(w, &o->ticket))
		return;
	w->d->counts.opens++;
	if ((n = ticket_node(w->d, &o->ticket, o->node_key, &status)) == NULL) {
		refuse(w, m->id, status, "node not found");
		return;
	}
	s = n->session;
	if (!o->once && !o->read_only && s != NULL &&
	    ticket_newer(&s->ticket, s->h2, &o->ticket, o->h2)) {
		refuse(w, m->id, 409, "a newer stream exists");
		return;
	}
	if (!o->read_only)
		fill_in(n, o);
	(void)held_get(w, n->tn);
	if (o->once || o->read_only) {
		open_ok(w, m->id, n, 0);
		return;
	}
	/* Asked again: it is this one already. */
	if (s == NULL || s->worker != w || s->generation != o->stream)
		(void)session_open(n, w, o->stream, &o->ticket, o->h2);
	open_ok(w, m->id, n, o->stream);
}

/*
 * The worker's session of that name.  NULL: it has ended, which the worker
 * could not know; or it was never its own, and the link is down.
 */
static struct session *
own_session(struct worker *w, uint64_t tailnet, uint64_t node,
    uint64_t generation)
{
	struct node *n;

	/* Deleted, perhaps before this life of ours: nothing to act on. */
	if ((n = node_find(w->d, node)) == NULL)
		return NULL;
	if (!exposed_has(w, node) || n->tn->id != tailnet) {
		link_violation(w->link, LINK_FORGED);
		return NULL;
	}
	if (n->session == NULL || n->session->worker != w ||
	    n->session->generation != generation)
		return NULL;
	return n->session;
}

void
on_map_started(struct worker *w, const struct msg *m)
{
	const struct m_db_map_started *r = &m->u.db_map_started;
	struct session *s;

	s = own_session(w, r->tailnet, r->node, r->generation);
	if (s != NULL)
		session_started(s);
}

void
on_map_close(struct worker *w, const struct msg *m)
{
	const struct m_db_map_close *r = &m->u.db_map_close;
	struct session *s;

	s = own_session(w, r->tailnet, r->node, r->generation);
	if (s != NULL)
		session_close(s);
}

void
on_map_defer(struct worker *w, const struct msg *m)
{
	const struct m_db_map_defer *r = &m->u.db_map_defer;
	struct node *n;
	uint16_t status;

	if (!ticket_ok(w, &r->ticket))
		return;
	n = ticket_node(w->d, &r->ticket, r->node_key, &status);
	if (n != NULL)
		clock_defer(n, r->seconds < DEFER_MAX ? r->seconds :
		    DEFER_MAX);
}

/*
 * An honest worker leaves when it has no stream and no open request, and looks
 * once a minute.  One that could leave and come back at will would have a
 * snapshot made each time.  Two that it sent a minute apart may come together,
 * if we were held up.
 */
void
on_leave(struct worker *w, const struct msg *m)
{
	struct tailnet *tn;
	struct held *h;
	uint64_t now = env_now(w->d->env);

	if ((tn = tailnet_find(w->d, m->u.db_leave.tailnet)) == NULL ||
	    (h = held_find(w, tn)) == NULL || h->left)
		return;
	if (h->sessions != 0) {
		link_violation(w->link, LINK_FORGED);
		return;
	}
	/* A reload may have made it due; it leaves what it gets a minute on. */
	if (h->due)
		return;
	if (h->leaves < now)
		h->leaves = now;
	if (h->leaves - now > (LEAVES - 1) * LEAVE_US) {
		link_violation(w->link, LINK_OVERFLOW);
		return;
	}
	h->leaves += LEAVE_US;
	h->left = true;
	h->idle_at = now;
}
