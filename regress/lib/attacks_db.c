/* Attacks on dbd: tickets, other machines' nodes, registrations. */

#include <string.h>

#include "common/str.h"
#include "common/ticket.h"
#include "regress/lib/attacks_int.h"

#define NEW_STREAM	9999

static struct r_ticket
bent(const struct rogue *r, enum bend how)
{
	struct r_ticket t = r->ticket;

	switch (how) {
	case BEND_MAC:
		t.mac[0] ^= 1;
		break;
	case BEND_MAC_END:
		t.mac[31] ^= 0x80;
		break;
	case BEND_KEY:
		memcpy(t.key, r->loot.machine_key, KEY_LEN);
		break;
	case BEND_SERIAL:
		t.serial += 1000;
		break;
	case BEND_SERIAL_GEN:
		t.serial_gen++;
		break;
	case BEND_CAPVER:
		t.capver++;
		break;
	case BEND_KIND:
		t.kind = TICKET_DERP;
		break;
	case BEND_SLOT:
		t.slot = r->loot.ticket.slot;
		break;
	case BEND_GENERATION:
		t.generation++;
		break;
	case BEND_STOLEN:
		t = r->loot.ticket;
		break;
	case BEND_MOVED:
		t = r->loot.ticket;
		t.slot = r->slot;
		t.generation = r->generation;
		break;
	case BEND_OLD:
		t = r->old_ticket;
		break;
	case BEND_NOTHING:
		memset(&t, 0, sizeof(t));
		break;
	}
	return t;
}

static void
lite_with(struct rogue *r, const struct r_ticket *t, const uint8_t *node_key)
{
	struct m_db_map_lite *q;
	struct msg m;

	msg_init(&m, M_DB_MAP_LITE);
	q = &m.u.db_map_lite;
	q->ticket = *t;
	q->h2 = 1001;
	memcpy(q->node_key, node_key, KEY_LEN);
	q->capver = 131;
	memset(q->disco_key, 0xee, KEY_LEN);
	(void)rogue_send(r, LINK_DB, &m);
	act_wait(r);
}

static void
open_with(struct rogue *r, const struct r_ticket *t, const uint8_t *node_key,
    bool once)
{
	struct m_db_map_open *o;
	struct msg m;

	msg_init(&m, M_DB_MAP_OPEN);
	o = &m.u.db_map_open;
	o->ticket = *t;
	o->stream = NEW_STREAM;
	o->h2 = 1003;
	memcpy(o->node_key, node_key, KEY_LEN);
	o->capver = 131;
	o->once = once;
	(void)rogue_send(r, LINK_DB, &m);
	act_wait(r);
}

bool
act_bent_lite(struct rogue *r, unsigned int how)
{
	struct r_ticket t = bent(r, how);

	lite_with(r, &t, how == BEND_STOLEN || how == BEND_MOVED ||
	    how == BEND_KEY ? r->loot.node_key : r->node_key);
	return true;
}

bool
act_stolen_open(struct rogue *r, unsigned int arg)
{
	(void)arg;
	open_with(r, &r->loot.ticket, r->loot.node_key, false);
	return true;
}

bool
act_stolen_reg(struct rogue *r, unsigned int arg)
{
	struct msg m;

	(void)arg;
	msg_init(&m, M_DB_REG);
	m.u.db_reg.ticket = r->loot.ticket;
	memcpy(m.u.db_reg.node_key, r->loot.node_key, KEY_LEN);
	m.u.db_reg.has_expiry = true;
	m.u.db_reg.expiry = 123;	/* as a client logs out */
	(void)rogue_send(r, LINK_DB, &m);
	act_wait(r);
	return true;
}

bool
act_stolen_defer(struct rogue *r, unsigned int arg)
{
	struct msg m;

	(void)arg;
	msg_init(&m, M_DB_MAP_DEFER);
	m.u.db_map_defer.ticket = r->loot.ticket;
	memcpy(m.u.db_map_defer.node_key, r->loot.node_key, KEY_LEN);
	m.u.db_map_defer.seconds = 300;
	(void)rogue_send(r, LINK_DB, &m);
	act_wait(r);
	return true;
}

static void
resume_with(struct rogue *r, const struct r_ticket *t, uint64_t node)
{
	struct m_db_resume *q;
	struct msg m;

	msg_init(&m, M_DB_RESUME);
	q = &m.u.db_resume;
	q->tailnet = r->loot.tailnet;
	q->node = node;
	q->stream = NEW_STREAM;
	q->h2 = 1005;
	q->mapped = true;
	memcpy(q->node_key, r->loot.node_key, KEY_LEN);
	q->ticket = *t;
	(void)rogue_send(r, LINK_DB, &m);
	act_wait(r);
}

bool
act_bent_resume(struct rogue *r, unsigned int how)
{
	struct r_ticket t = bent(r, how);

	resume_with(r, &t, r->loot.node);
	return true;
}

/* Other machines' nodes, with a good ticket of an own live client. */

bool
act_foreign_resume(struct rogue *r, unsigned int arg)
{
	struct msg m;

	(void)arg;
	if (!rogue_shake(r))
		return false;
	resume_with(r, &r->ticket, r->loot.node);
	rogue_hello(r);
	if (!rogue_answer(r, LINK_DB, M_DB_STREAM_END, 0, &m))
		return act_fail(r, "a resume was not ended");
	return true;
}

bool
act_foreign_open(struct rogue *r, unsigned int once)
{
	struct msg m;

	open_with(r, &r->ticket, r->loot.node_key, once != 0);
	if (!rogue_answer(r, LINK_DB, M_DB_MAP_NO, r->id, &m) ||
	    m.u.db_map_no.status != 403)
		return act_fail(r, "no 403 for another machine's node");
	return true;
}

bool
act_foreign_lite(struct rogue *r, unsigned int arg)
{
	struct msg m;

	(void)arg;
	lite_with(r, &r->ticket, r->loot.node_key);
	if (!rogue_answer(r, LINK_DB, M_DB_LITE_NO, r->id, &m) ||
	    m.u.db_lite_no.status != 403)
		return act_fail(r, "no 403 for another machine's node");
	return true;
}

bool
act_foreign_defer(struct rogue *r, unsigned int arg)
{
	struct msg m;

	(void)arg;
	msg_init(&m, M_DB_MAP_DEFER);
	m.u.db_map_defer.ticket = r->ticket;
	memcpy(m.u.db_map_defer.node_key, r->loot.node_key, KEY_LEN);
	m.u.db_map_defer.seconds = UINT32_MAX;
	(void)rogue_send(r, LINK_DB, &m);
	act_wait(r);
	return true;
}

bool
act_foreign_started(struct rogue *r, unsigned int arg)
{
	struct msg m;

	(void)arg;
	msg_init(&m, M_DB_MAP_STARTED);
	m.u.db_map_started.tailnet = r->loot.tailnet;
	m.u.db_map_started.node = r->loot.node;
	m.u.db_map_started.generation = r->loot.stream;
	(void)rogue_send(r, LINK_DB, &m);
	act_wait(r);
	return true;
}

bool
act_foreign_close(struct rogue *r, unsigned int arg)
{
	struct msg m;

	(void)arg;
	msg_init(&m, M_DB_MAP_CLOSE);
	m.u.db_map_close.tailnet = r->loot.tailnet;
	m.u.db_map_close.node = r->loot.node;
	m.u.db_map_close.generation = r->loot.stream;
	(void)rogue_send(r, LINK_DB, &m);
	act_wait(r);
	return true;
}

/* A tailnet none of whose nodes it holds. */
bool
act_foreign_replica(struct rogue *r, unsigned int arg)
{
	struct msg m;

	(void)arg;
	msg_init(&m, M_DB_HAVE);
	m.u.db_have.tailnet = r->loot.tailnet;
	(void)rogue_send(r, LINK_DB, &m);
	rogue_hello(r);
	if (rogue_count(r, M_DB_SNAPSHOT) +
	    rogue_count(r, M_DB_SNAPSHOT_PART) +
	    rogue_count(r, M_DB_TAILNET) +
	    rogue_count(r, M_DB_NODE_PUT) + rogue_count(r, M_DB_BATCH) != 0)
		return act_fail(r, "it hears of a tailnet without a session");
	return true;
}

static void
leave(struct rogue *r, uint64_t tailnet)
{
	struct msg m;

	msg_init(&m, M_DB_LEAVE);
	m.u.db_leave.tailnet = tailnet;
	(void)rogue_send(r, LINK_DB, &m);
}

/* Takes back what it has, and what it has not: a snapshot a message. */
bool
act_leave_all(struct rogue *r, unsigned int arg)
{
	uint64_t t;

	(void)arg;
	for (t = 0; t < 4; t++)
		leave(r, t);
	act_wait(r);
	return true;
}

/* The same in earnest: without a stream, and with maps in between. */
bool
act_leave_loop(struct rogue *r, unsigned int arg)
{
	struct msg m;
	int i;

	(void)arg;
	msg_init(&m, M_DB_MAP_CLOSE);
	m.u.db_map_close.tailnet = r->tailnet;
	m.u.db_map_close.node = r->node;
	m.u.db_map_close.generation = r->stream;
	(void)rogue_send(r, LINK_DB, &m);
	leave(r, r->tailnet);
	for (i = 0; i < 3; i++) {
		open_with(r, &r->ticket, r->node_key, true);
		leave(r, r->tailnet);
	}
	act_wait(r);
	return true;
}

/* Registrations without a right to them. */

bool
act_bad_reg(struct rogue *r, unsigned int how)
{
	struct m_db_reg *q;
	struct msg m;

	msg_init(&m, M_DB_REG);
	q = &m.u.db_reg;
	q->ticket = r->ticket;
	r->ops.random(q->node_key, sizeof(q->node_key), r->ops.arg);
	q->hostinfo.hostname = slice_str("intruder");
	switch ((enum reg_how)how) {
	case REG_BARE:
		break;
	case REG_NO_SUCH_KEY:
		q->has_auth = true;
		q->auth_key = slice_str("hskey-auth-0123456789abcdef");
		break;
	case REG_USED_KEY:
		q->has_auth = true;
		q->auth_key = slice_str(r->loot.auth_key);
		break;
	case REG_FOREIGN_LOGOUT:
		q->has_expiry = true;
		q->expiry = 123;
		/* FALLTHROUGH */
	case REG_FOREIGN:
		memcpy(q->node_key, r->loot.node_key, KEY_LEN);
		break;
	case REG_FOREIGN_OLD:
		memcpy(q->old_node_key, r->loot.node_key, KEY_LEN);
		break;
	case REG_AGAIN:
		q->again = true;
		m.id = r->loot.request;
		break;
	case REG_FOLLOWUP:
		q->followup = slice_str("https://127.0.0.1/register/x");
		break;
	}
	m.id = rogue_send(r, LINK_DB, &m);
	act_wait(r);
	if (!rogue_answer(r, LINK_DB, M_DB_REG_NO, m.id, &m))
		return act_fail(r, "a registration without a right was not "
		    "refused");
	return true;
}
