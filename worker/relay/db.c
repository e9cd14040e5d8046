/* What dbd says of who has a key, and what it is told of ours. */

#include "common/compat/compat.h"
#include "worker/relay/calls_int.h"

#define ACTIVE_US	US_PER_S

bool
db_is_up(const struct relay *r)
{
	return r->db != NULL && !link_is_down(r->db) &&
	    link_state(r->db) == MSG_RUN;
}

void
db_close(struct rclient *c)
{
	struct msg m;

	if (!db_is_up(c->relay))
		return;
	msg_init(&m, M_DB_RELAY_CLOSE);
	m.u.db_relay_close.serial_gen = c->serial_gen;
	m.u.db_relay_close.serial = c->serial;
	link_send(c->relay->db, &m);
}

bool
db_active(struct rclient *c)
{
	struct relay *r = c->relay;
	uint64_t now = env_now(r->env);
	struct msg m;

	if (!db_is_up(r) ||
	    (c->active_said != 0 && now - c->active_said < ACTIVE_US))
		return false;
	c->active_said = now;
	c->peer->ours = true;
	msg_init(&m, M_DB_RELAY_ACTIVE);
	m.u.db_relay_active.serial_gen = c->serial_gen;
	m.u.db_relay_active.serial = c->serial;
	link_send(r->db, &m);
	return true;
}

static void
hold(struct relay *r, struct link *l)
{
	struct rclient *c;
	struct msg m;

	TAILQ_FOREACH(c, &r->clients, entry) {
		msg_init(&m, M_DB_RELAY_HOLD);
		client_ticket(c, c->peer->key, &m.u.db_relay_hold.ticket);
		link_send(l, &m);
	}
}

void
relay_db_link(struct relay *r, struct link *l)
{
	struct peer *k, *next;

	r->db = NULL;
	logins_lost(r, RC_OPEN);
	/* What we waited for dbd to say of them won't come. */
	for (k = LIST_FIRST(&r->all); k != NULL; k = next) {
		next = LIST_NEXT(k, all);
		peer_settle(r, k);
	}
	if (l == NULL)
		return;
	r->link_no++;
	if (link_state(l) == MSG_SETUP)
		hold(r, l);
	r->db = l;
	/* When it is in service. */
	timer_in(&r->ask_timer, 0);
}

/* False: it can't be. */
static bool
on_at(struct relay *r, const struct m_db_relay_at *m)
{
	struct peer *k;

	if (m->slot == 0)
		return false;
	k = peer_get(r, m->key);
	if (k->n != 0 && k->published && k->slot == r->slot &&
	    m->slot != r->slot)
		peer_turn(r, k);
	k->published = true;
	k->tailnet = m->tailnet;
	k->slot = m->slot;
	k->generation = m->generation;
	k->link_no = r->link_no;
	k->ours = m->slot == r->slot;
	return true;
}

static void
unpublish(struct relay *r, struct peer *k)
{
	k->published = false;
	k->ours = true;
	peer_settle(r, k);
}

/* All that an earlier link said and this one did not. */
static void
on_told(struct relay *r)
{
	struct peer *k, *next;

	for (k = LIST_FIRST(&r->all); k != NULL; k = next) {
		next = LIST_NEXT(k, all);
		if (k->published && k->link_no != r->link_no)
			unpublish(r, k);
	}
}

static bool
on_answer(const struct msg *m, struct rclient *c)
{
	if (c == NULL || c->state != RC_OPEN || c->login->request == 0)
		return false;
	c->login->request = 0;
	if (m->type == M_DB_RELAY_OK)
		client_live(c, &m->u.db_relay_ok);
	else if (m->u.db_relay_no.why == 4) {
		/* One of ours: its neighbours must not suffer for it. */
		c->relay->count.limited++;
		login_refuse(c, "too many logins with its key");
	} else {
		source_refused(c->relay, c->login->source);
		login_refuse(c, m->u.db_relay_no.why == 2 ?
		    "its key has expired" : "no such node");
	}
	return true;
}

static void
on_end(struct relay *r, const struct m_db_relay_end *m)
{
	struct rclient *c;

	/* It may have ended by itself, and dbd not know it yet. */
	if ((c = client_by_serial(r, m->serial_gen, m->serial)) != NULL)
		client_end(c, "its node may not be here, or not as often");
}

bool
relay_db_msg(struct relay *r, const struct msg *m, void *tag, bool *bad)
{
	struct peer *k;

	*bad = false;
	switch (m->type) {
	case M_DB_RELAY_OK:
	case M_DB_RELAY_NO:
		*bad = !on_answer(m, tag);
		return true;
	case M_DB_RELAY_END:
		on_end(r, &m->u.db_relay_end);
		return true;
	case M_DB_RELAY_AT:
		*bad = !on_at(r, &m->u.db_relay_at);
		return true;
	case M_DB_RELAY_GONE:
		if ((k = peer_find(r, m->u.db_relay_gone.key)) != NULL)
			unpublish(r, k);
		return true;
	case M_DB_RELAY_TOLD:
		on_told(r);
		return true;
	default:
		return false;
	}
}
