#include <string.h>

#include "common/log.h"
#include "dbd/acme_int.h"
#include "dbd/control_int.h"
#include "dbd/health_int.h"

#define QUEUE_MARK	(256 * 1024)	/* octets that wait for the peer */
#define TURN_OCTETS	(64 * 1024)	/* rows of one turn */
#define PUMP_MS		2
#define STALL_S		30

/* Rows. */

static void
row_user(struct conn *c, const struct user *u)
{
	struct msg m;

	msg_init(&m, M_CTL_USER);
	m.id = c->list.id;
	m.u.ctl_user.user = u->r;
	m.u.ctl_user.nodes = u->nodes;
	batch_reply(c->d, c->link, &m);
}

static void
row_key(struct conn *c, const struct authkey *k)
{
	const struct user *u;
	struct msg m;

	msg_init(&m, M_CTL_KEY);
	m.id = c->list.id;
	m.u.ctl_key.id = k->row.id;
	m.u.ctl_key.prefix = k->row.prefix;
	m.u.ctl_key.user = k->row.user;
	if (k->row.user != 0 && (u = user_find(c->d, k->row.user)) != NULL)
		m.u.ctl_key.user_name = u->r.name;
	m.u.ctl_key.reusable = k->row.reusable;
	m.u.ctl_key.ephemeral = k->row.ephemeral;
	m.u.ctl_key.used = k->row.used;
	m.u.ctl_key.created = k->row.created;
	m.u.ctl_key.expiry = k->row.expiry;
	m.u.ctl_key.revoked = k->row.revoked;
	m.u.ctl_key.tags = k->row.tags;
	batch_reply(c->d, c->link, &m);
}

static void
row_node(struct conn *c, const struct node *n)
{
	struct msg m;

	msg_init(&m, M_CTL_NODE);
	m.id = c->list.id;
	m.u.ctl_node.node = n->r;
	m.u.ctl_node.user_name = node_owner_name(n);
	m.u.ctl_node.slot = node_slot(n);
	m.u.ctl_node.key_id = n->key_id;
	batch_reply(c->d, c->link, &m);
}

/* The row after the last one of a tailnet; false if there is none. */

static bool
next_user(struct conn *c, struct tailnet *tn)
{
	struct listing *l = &c->list;
	struct user *u;

	u = l->last == 0 ? NULL : user_find(c->d, l->last);
	if (u != NULL)
		u = TAILQ_NEXT(u, all);
	else	/* the first one, or those after one that is gone */
		TAILQ_FOREACH(u, &tn->users, all)
			if (u->r.id > l->last)
				break;
	if (u == NULL)
		return false;
	l->last = u->r.id;
	row_user(c, u);
	return true;
}

static bool
next_key(struct conn *c, struct tailnet *tn)
{
	struct listing *l = &c->list;
	struct authkey *k;

	k = l->last == 0 ? NULL : authkey_find(c->d, l->last);
	if (k != NULL)
		k = TAILQ_NEXT(k, all);
	else
		TAILQ_FOREACH(k, &tn->authkeys, all)
			if (k->row.id > l->last)
				break;
	if (k == NULL)
		return false;
	l->last = k->row.id;
	row_key(c, k);
	return true;
}

static bool
next_node(struct conn *c, struct tailnet *tn)
{
	struct listing *l = &c->list;
	struct node *n;

	n = l->last == 0 ? NULL : node_find(c->d, l->last);
	if (n != NULL)
		n = TAILQ_NEXT(n, all);
	else
		TAILQ_FOREACH(n, &tn->nodes, all)
			if (n->r.id > l->last)
				break;
	if (n == NULL)
		return false;
	l->last = n->r.id;
	row_node(c, n);
	return true;
}

/* One of those that were collected at once. */
static bool
next_collected(struct conn *c)
{
	static const enum msg_type type[] = {
		[LIST_EXPOSURES] = M_CTL_EXPOSED,
		[LIST_RELAYS] = M_CTL_DERP,
		[LIST_CERTS] = M_CTL_CERT,
	};
	struct listing *l = &c->list;
	struct msg m;
	struct rd r;
	uint32_t n;

	if (l->at == l->rows.n)
		return false;
	rd_init(&r, l->rows.p + l->at, l->rows.n - l->at);
	n = rd_u32(&r);
	if (msg_decode(&m, type[l->kind], r.p, n) == -1)
		fatalx("%s: own encoding", msg_name(type[l->kind]));
	l->at += 4 + (size_t)n;
	m.id = l->id;
	batch_reply(c->d, c->link, &m);
	return true;
}

/* Sends one row; false at the end of the list. */
static bool
next_row(struct conn *c)
{
	struct listing *l = &c->list;
	struct tailnet *tn;
	bool sent;

	if (l->kind >= LIST_EXPOSURES)
		return next_collected(c);
	TAILQ_FOREACH(tn, &c->d->tailnets, all) {
		if (tn->id < l->tailnet)
			continue;
		if (tn->id > l->tailnet) {
			l->tailnet = tn->id;
			l->last = 0;
		}
		sent = l->kind == LIST_USERS ? next_user(c, tn) :
		    l->kind == LIST_KEYS ? next_key(c, tn) :
		    next_node(c, tn);
		if (sent)
			return true;
	}
	return false;
}

/* Exposures are collected at once: the store hands them out in one go. */

void
rows_add(struct buf *rows, const struct msg *m)
{
	size_t at = rows->n, len;

	buf_u32(rows, 0);
	msg_encode(rows, m);
	len = rows->n - at - 4;
	rows->p[at] = (uint8_t)(len >> 24);
	rows->p[at + 1] = (uint8_t)(len >> 16);
	rows->p[at + 2] = (uint8_t)(len >> 8);
	rows->p[at + 3] = (uint8_t)len;
}

struct gather {
	struct conn	*c;
	struct buf	*rows;
};

static void
gather(const struct exposure_row *row, void *arg)
{
	struct gather *g = arg;
	const struct node *n;
	struct msg m;

	msg_init(&m, M_CTL_EXPOSED);
	m.u.ctl_exposed.slot = row->slot;
	m.u.ctl_exposed.generation = row->generation;
	m.u.ctl_exposed.node = row->node;
	if ((n = node_find(g->c->d, row->node)) != NULL)
		m.u.ctl_exposed.name = n->r.name;
	m.u.ctl_exposed.first = row->first;
	m.u.ctl_exposed.last = row->last;
	m.u.ctl_exposed.revoked = row->revoked;
	rows_add(g->rows, &m);
}

void
list_stop(struct conn *c)
{
	timer_stop(&c->pump);
	buf_free(&c->list.rows);
	memset(&c->list, 0, sizeof(c->list));
}

static void
list_end(struct conn *c)
{
	struct msg m;

	msg_init(&m, M_CTL_END);
	m.id = c->list.id;
	m.u.ctl_end.count = c->list.count;
	list_stop(c);
	batch_reply(c->d, c->link, &m);
}

void
list_pump(void *arg)
{
	struct conn *c = arg;
	size_t start = c->d->outs_body.n;

	if (link_is_down(c->link))
		return;
	if (link_queued(c->link) < QUEUE_MARK) {
		timer_in(&c->deadline, STALL_S * US_PER_S);
		while (c->d->outs_body.n - start < TURN_OCTETS) {
			if (!next_row(c)) {
				list_end(c);
				return;
			}
			c->list.count++;
		}
	}
	timer_in(&c->pump, PUMP_MS * US_PER_MS);
}

void
list_start(struct conn *c, enum list_kind kind, const struct msg *m)
{
	struct gather g;

	if (c->list.kind != LIST_NONE) {
		ctl_no(c, m, "another list is on its way on this connection");
		return;
	}
	c->list.kind = kind;
	c->list.id = m->id;
	g.c = c;
	g.rows = &c->list.rows;
	if (kind == LIST_EXPOSURES && op_exposure_list(c->d,
	    m->u.ctl_exposure.slot, m->u.ctl_exposure.generation, gather,
	    &g) == -1) {
		list_stop(c);
		ctl_no(c, m, "the store cannot be read: see the log");
		return;
	}
	if (kind == LIST_RELAYS)
		health_rows(c->d, g.rows);
	else if (kind == LIST_CERTS)
		dbacme_rows(c->d, g.rows);
	list_pump(c);
}
