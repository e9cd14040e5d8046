/* Lite updates: authoritative, within a budget (protocol.md 5.15). */

#include <stdlib.h>
#include <string.h>

#include "common/ids.h"
#include "common/log.h"
#include "common/ticket.h"
#include "dbd/batch_int.h"
#include "dbd/handlers_int.h"
#include "dbd/name_int.h"
#include "dbd/objects_int.h"
#include "dbd/routes_int.h"

static void
lite_ok(struct worker *w, uint32_t id, bool changed, bool replaced)
{
	struct msg m;

	msg_init(&m, M_DB_LITE_OK);
	m.id = id;
	m.u.db_lite_ok.changed = changed;
	m.u.db_lite_ok.replaced = replaced;
	answer(w, &m, changed);
}

static void
lite_no(struct worker *w, uint32_t id, uint16_t status, const char *text)
{
	struct msg m;

	msg_init(&m, M_DB_LITE_NO);
	m.id = id;
	m.u.db_lite_no.status = status;
	m.u.db_lite_no.text = slice_str(text);
	batch_reply(w->d, w->link, &m);
}

/* Link-local IPv6 endpoints mean nothing to peers; b holds the others. */
static void
endpoints_keep(struct msg_list *list, struct buf *b)
{
	struct msg_list it = *list, kept;
	struct r_addr a;

	memset(&kept, 0, sizeof(kept));
	while (msg_list_next(&it, MR_ADDR, &a))
		if (a.v.addr.family != 6 || !ip_is_linklocal(&a.v.addr))
			msg_list_add(&kept, b, MR_ADDR, &a);
	msg_list_close(&kept, b);
	*list = kept;
}

/* What is made for the node that it would be. */
struct made {
	struct buf	 endpoints;
	struct buf	 approved;
	char		 name[LABEL_LEN];
};

static void
made_free(struct made *m)
{
	buf_free(&m->endpoints);
	buf_free(&m->approved);
}

/* What the node would be; points into made.  Returns what was left out. */
static const char *
lite_merge(struct node *n, const struct m_db_map_lite *q, struct r_node *r,
    struct made *made)
{
	char was[LABEL_LEN], now[LABEL_LEN];

	*r = n->r;
	r->capver = q->capver;
	if (!key_is_zero(q->disco_key)) {
		memcpy(r->disco_key, q->disco_key, KEY_LEN);
		r->published = true;
	}
	r->endpoints = q->endpoints;
	endpoints_keep(&r->endpoints, &made->endpoints);
	if (q->home_derp != 0)
		r->home_derp = q->home_derp;
	if (q->has_hostinfo) {
		r->hostinfo = q->hostinfo;
		dns_label(was, n->r.hostinfo.hostname);
		dns_label(now, q->hostinfo.hostname);
		if (!n->renamed && strcmp(was, now) != 0) {
			name_make(n->tn, q->hostinfo.hostname, n, made->name);
			r->name = slice_str(made->name);
		}
		(void)routes_auto(n->tn, n, r, &made->approved);
	}
	return node_fit(n->tn->d, r);
}

static void
lite_apply(struct node *n, struct worker *w, uint32_t id,
    const struct r_node *r, const char *left_out)
{
	struct dbd *d = n->tn->d;

	node_fit_log(r, left_out);
	op_begin(d);
	node_set(n, r);
	put_node(n);
	lite_ok(w, id, true, false);
	op_end(d);
}

void
lite_forget(struct node *n, bool reply)
{
	struct lite_wait *wait;

	if ((wait = n->wait) == NULL)
		return;
	n->wait = NULL;
	timer_stop(&n->budget);
	n->tn->d->counts.waiting--;
	n->tn->d->counts.replaced += reply;
	if (reply)
		lite_ok(wait->worker, wait->id, false, true);
	TAILQ_REMOVE(&wait->worker->waits, wait, all);
	wait->worker->nwaits--;
	buf_free(&wait->body);
	free(wait);
}

static void
lite_defer(struct node *n, struct worker *w, const struct msg *m)
{
	struct lite_wait *wait;
	uint64_t refill = n->tn->d->conf.budget_refill_ms * US_PER_MS;

	wait = xcalloc(1, sizeof(*wait));
	wait->node = n;
	wait->worker = w;
	wait->id = m->id;
	msg_encode(&wait->body, m);
	TAILQ_INSERT_TAIL(&w->waits, wait, all);
	w->nwaits++;
	n->wait = wait;
	n->tn->d->counts.waiting++;
	n->tn->d->counts.delayed++;
	timer_at(&n->budget, n->own.refilled + refill);
}

void
lite_due(void *arg)
{
	struct node *n = arg;
	struct dbd *d = n->tn->d;
	struct lite_wait *wait = n->wait;
	struct made made;
	const char *left_out;
	struct r_node r;
	struct msg m;

	if (env_ended(d->env) || wait == NULL)
		return;
	if (!budget_take(n, &n->own)) {	/* the budget has changed since */
		timer_at(&n->budget, n->own.refilled +
		    d->conf.budget_refill_ms * US_PER_MS);
		return;
	}
	if (msg_decode(&m, M_DB_MAP_LITE, wait->body.p, wait->body.n) == -1)
		fatalx("lite update: own encoding");
	memset(&made, 0, sizeof(made));
	left_out = lite_merge(n, &m.u.db_map_lite, &r, &made);
	if (node_same(n, &r))
		lite_ok(wait->worker, wait->id, false, false);
	else
		lite_apply(n, wait->worker, wait->id, &r, left_out);
	made_free(&made);
	lite_forget(n, false);
}

/* Older than what this node has said since (trap 38)? */
static bool
is_late(const struct node *n, const struct m_db_map_lite *q)
{
	struct r_ticket last;

	memset(&last, 0, sizeof(last));
	last.serial_gen = n->lite_gen;
	last.serial = n->lite_serial;
	return ticket_newer(&last, n->lite_h2, &q->ticket, q->h2);
}

void
on_map_lite(struct worker *w, const struct msg *m)
{
	const struct m_db_map_lite *q = &m->u.db_map_lite;
	struct made made;
	const char *left_out;
	struct r_node r;
	struct node *n;
	uint16_t status;

	if (!ticket_ok(w, &q->ticket))
		return;
	if (q->again && answered_before(w, m))
		return;
	w->d->counts.lites++;
	if ((n = ticket_node(w->d, &q->ticket, q->node_key, &status)) == NULL) {
		lite_no(w, m->id, status, "node not found");
		return;
	}
	if (is_late(n, q)) {
		lite_ok(w, m->id, false, true);
		return;
	}
	n->lite_gen = q->ticket.serial_gen;
	n->lite_serial = q->ticket.serial;
	n->lite_h2 = q->h2;
	lite_forget(n, true);
	memset(&made, 0, sizeof(made));
	left_out = lite_merge(n, q, &r, &made);
	if (node_same(n, &r))
		lite_ok(w, m->id, false, false);
	else if (budget_take(n, &n->own))
		lite_apply(n, w, m->id, &r, left_out);
	else if (w->nwaits < msg_credit(M_DB_MAP_LITE) / 2)
		lite_defer(n, w, m);
	else
		lite_no(w, m->id, LITE_LATER, "too many wait");
	made_free(&made);
}
