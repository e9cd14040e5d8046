/* The table of attacks: see rogue.h. */

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "common/str.h"
#include "common/ticket.h"
#include "regress/lib/rogue.h"

#define NEW_STREAM	9999

static bool
fail(struct rogue *r, const char *why)
{
	r->why = why;
	return false;
}

static void
wait(struct rogue *r)
{
	r->ops.wait(r->ops.arg);
}

static int
some_fd(void)
{
	return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* Tickets. */

enum bend {
	BEND_MAC,
	BEND_MAC_END,
	BEND_KEY,		/* the victim's machine key */
	BEND_SERIAL,
	BEND_SERIAL_GEN,
	BEND_CAPVER,
	BEND_KIND,
	BEND_SLOT,		/* the victim's worker */
	BEND_GENERATION,
	BEND_STOLEN,		/* the victim's ticket, as it is */
	BEND_MOVED,		/* the victim's, said to be of this worker */
	BEND_OLD,		/* of this slot's former instance */
	BEND_NOTHING		/* all zero */
};

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
	wait(r);
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
	wait(r);
}

static bool
bent_lite(struct rogue *r, unsigned int how)
{
	struct r_ticket t = bent(r, how);

	lite_with(r, &t, how == BEND_STOLEN || how == BEND_MOVED ||
	    how == BEND_KEY ? r->loot.node_key : r->node_key);
	return true;
}

static bool
stolen_open(struct rogue *r, unsigned int arg)
{
	(void)arg;
	open_with(r, &r->loot.ticket, r->loot.node_key, false);
	return true;
}

static bool
stolen_reg(struct rogue *r, unsigned int arg)
{
	struct msg m;

	(void)arg;
	msg_init(&m, M_DB_REG);
	m.u.db_reg.ticket = r->loot.ticket;
	memcpy(m.u.db_reg.node_key, r->loot.node_key, KEY_LEN);
	m.u.db_reg.has_expiry = true;
	m.u.db_reg.expiry = 123;	/* as a client logs out */
	(void)rogue_send(r, LINK_DB, &m);
	wait(r);
	return true;
}

static bool
stolen_defer(struct rogue *r, unsigned int arg)
{
	struct msg m;

	(void)arg;
	msg_init(&m, M_DB_MAP_DEFER);
	m.u.db_map_defer.ticket = r->loot.ticket;
	memcpy(m.u.db_map_defer.node_key, r->loot.node_key, KEY_LEN);
	m.u.db_map_defer.seconds = 300;
	(void)rogue_send(r, LINK_DB, &m);
	wait(r);
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
	q->ticket = *t;
	(void)rogue_send(r, LINK_DB, &m);
	wait(r);
}

static bool
bent_resume(struct rogue *r, unsigned int how)
{
	struct r_ticket t = bent(r, how);

	resume_with(r, &t, r->loot.node);
	return true;
}

/* Other machines' nodes, with a good ticket of an own live client. */

static bool
foreign_resume(struct rogue *r, unsigned int arg)
{
	struct msg m;

	(void)arg;
	if (!rogue_shake(r))
		return false;
	resume_with(r, &r->ticket, r->loot.node);
	rogue_hello(r);
	if (!rogue_answer(r, LINK_DB, M_DB_STREAM_END, 0, &m))
		return fail(r, "a resume was not ended");
	return true;
}

static bool
foreign_open(struct rogue *r, unsigned int once)
{
	struct msg m;

	open_with(r, &r->ticket, r->loot.node_key, once != 0);
	if (!rogue_answer(r, LINK_DB, M_DB_MAP_NO, r->id, &m) ||
	    m.u.db_map_no.status != 403)
		return fail(r, "no 403 for another machine's node");
	return true;
}

static bool
foreign_lite(struct rogue *r, unsigned int arg)
{
	struct msg m;

	(void)arg;
	lite_with(r, &r->ticket, r->loot.node_key);
	if (!rogue_answer(r, LINK_DB, M_DB_LITE_NO, r->id, &m) ||
	    m.u.db_lite_no.status != 403)
		return fail(r, "no 403 for another machine's node");
	return true;
}

static bool
foreign_defer(struct rogue *r, unsigned int arg)
{
	struct msg m;

	(void)arg;
	msg_init(&m, M_DB_MAP_DEFER);
	m.u.db_map_defer.ticket = r->ticket;
	memcpy(m.u.db_map_defer.node_key, r->loot.node_key, KEY_LEN);
	m.u.db_map_defer.seconds = UINT32_MAX;
	(void)rogue_send(r, LINK_DB, &m);
	wait(r);
	return true;
}

static bool
foreign_started(struct rogue *r, unsigned int arg)
{
	struct msg m;

	(void)arg;
	msg_init(&m, M_DB_MAP_STARTED);
	m.u.db_map_started.tailnet = r->loot.tailnet;
	m.u.db_map_started.node = r->loot.node;
	m.u.db_map_started.generation = r->loot.stream;
	(void)rogue_send(r, LINK_DB, &m);
	wait(r);
	return true;
}

static bool
foreign_close(struct rogue *r, unsigned int arg)
{
	struct msg m;

	(void)arg;
	msg_init(&m, M_DB_MAP_CLOSE);
	m.u.db_map_close.tailnet = r->loot.tailnet;
	m.u.db_map_close.node = r->loot.node;
	m.u.db_map_close.generation = r->loot.stream;
	(void)rogue_send(r, LINK_DB, &m);
	wait(r);
	return true;
}

/* A tailnet none of whose nodes it holds. */
static bool
foreign_replica(struct rogue *r, unsigned int arg)
{
	struct msg m;

	(void)arg;
	msg_init(&m, M_DB_HAVE);
	m.u.db_have.tailnet = r->loot.tailnet;
	(void)rogue_send(r, LINK_DB, &m);
	rogue_hello(r);
	if (rogue_count(r, M_DB_SNAPSHOT) + rogue_count(r, M_DB_TAILNET) +
	    rogue_count(r, M_DB_NODE_PUT) + rogue_count(r, M_DB_BATCH) != 0)
		return fail(r, "it was told of a tailnet without a session");
	return true;
}

/* Takes back what it has; nobody else may lose anything. */
static bool
leave_all(struct rogue *r, unsigned int arg)
{
	struct msg m;
	uint64_t t;

	(void)arg;
	for (t = 0; t < 4; t++) {
		msg_init(&m, M_DB_LEAVE);
		m.u.db_leave.tailnet = t;
		(void)rogue_send(r, LINK_DB, &m);
	}
	wait(r);
	return true;
}

/* Registrations without a right to them. */

enum reg_how {
	REG_BARE,		/* a new node key and nothing else */
	REG_NO_SUCH_KEY,
	REG_USED_KEY,		/* the victim's, burned */
	REG_FOREIGN,		/* the victim's node key */
	REG_FOREIGN_LOGOUT,
	REG_FOREIGN_OLD,	/* as OldNodeKey */
	REG_AGAIN,		/* the victim's stored answer */
	REG_FOLLOWUP
};

static bool
bad_reg(struct rogue *r, unsigned int how)
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
	wait(r);
	if (!rogue_answer(r, LINK_DB, M_DB_REG_NO, m.id, &m))
		return fail(r, "a registration without a right was not "
		    "refused");
	return true;
}

/* Handshakes without a client. */

enum replay_how {
	REPLAY_RECORD,		/* what the client sent then */
	REPLAY_JUNK,
	REPLAY_OWN		/* made with its own client's key */
};

static bool
replay(struct rogue *r, unsigned int how)
{
	uint8_t rec[ROGUE_RECORD];
	uint32_t conn = ++r->conn;
	struct msg m;
	size_t n = 32;

	msg_init(&m, M_KEY_NOISE_ACCEPT);
	m.u.key_noise_accept.conn = conn;
	memcpy(m.u.key_noise_accept.init, r->loot.init, NOISE_INIT);
	(void)rogue_send(r, LINK_KEY, &m);
	wait(r);
	if (!rogue_answer(r, LINK_KEY, M_KEY_NOISE_READY, r->id, &m))
		return fail(r, "nobody can tell a replay from the original");
	r->ops.random(rec, sizeof(rec), r->ops.arg);
	rec[0] = NOISE_T_RECORD;
	rec[1] = 0;
	rec[2] = (uint8_t)(n - NOISE_HEAD);
	if (how == REPLAY_RECORD) {
		n = r->loot.nrecord;
		memcpy(rec, r->loot.record, n);
	} else if (how == REPLAY_OWN)
		n = noise_seal(r->noise, &r->client.tx, rec, "x", 1);
	msg_init(&m, M_KEY_NOISE_CONFIRM);
	m.u.key_noise_confirm.conn = conn;
	m.u.key_noise_confirm.record = slice_mem(rec, n);
	(void)rogue_send(r, LINK_KEY, &m);
	wait(r);
	if (!rogue_answer(r, LINK_KEY, M_KEY_NOISE_NO, r->id, &m) ||
	    m.u.key_noise_no.why != 2)
		return fail(r, "a proof without a client was not refused");
	return true;
}

static void
accept_conn(struct rogue *r, uint32_t conn, uint32_t id)
{
	struct msg m;

	msg_init(&m, M_KEY_NOISE_ACCEPT);
	m.id = id;
	m.u.key_noise_accept.conn = conn;
	memcpy(m.u.key_noise_accept.init, r->loot.init, NOISE_INIT);
	(void)rogue_send(r, LINK_KEY, &m);
}

static void
confirm_conn(struct rogue *r, uint32_t conn)
{
	struct msg m;

	msg_init(&m, M_KEY_NOISE_CONFIRM);
	m.u.key_noise_confirm.conn = conn;
	m.u.key_noise_confirm.record = slice_mem(r->loot.record,
	    r->loot.nrecord);
	(void)rogue_send(r, LINK_KEY, &m);
}

static bool
conn_twice(struct rogue *r, unsigned int arg)
{
	(void)arg;
	accept_conn(r, 77, 0);
	wait(r);
	accept_conn(r, 77, 0);
	wait(r);
	return true;
}

static bool
confirm_twice(struct rogue *r, unsigned int arg)
{
	uint32_t i;

	(void)arg;
	/* Enough to still stand in line when the next one comes. */
	for (i = 0; i < 100; i++)
		accept_conn(r, 200 + i, 0);
	confirm_conn(r, 299);
	confirm_conn(r, 299);
	wait(r);
	return true;
}

/* Ids and credit. */

static bool
id_zero(struct rogue *r, unsigned int link)
{
	struct buf b = { 0 };
	struct msg m;

	if (link == LINK_KEY)
		msg_init(&m, M_KEY_NOISE_ACCEPT);
	else
		msg_init(&m, M_DB_REG);
	msg_encode(&b, &m);
	r->ops.send(link, m.type, 0, b.p, b.n, -1, r->ops.arg);
	buf_free(&b);
	wait(r);
	return true;
}

static bool
id_twice(struct rogue *r, unsigned int link)
{
	struct msg m;
	int i;

	for (i = 0; i < 2; i++) {
		if (link == LINK_KEY) {
			accept_conn(r, 500 + (uint32_t)i, 123456);
			continue;
		}
		msg_init(&m, M_DB_REG);
		m.id = 123456;
		m.u.db_reg.ticket = r->ticket;
		memset(m.u.db_reg.node_key, 9, KEY_LEN);
		(void)rogue_send(r, LINK_DB, &m);
	}
	wait(r);
	return true;
}

static bool
id_of_notify(struct rogue *r, unsigned int link)
{
	struct msg m;

	msg_init(&m, link == LINK_KEY ? M_KEY_NOISE_DROP : link == LINK_DB ?
	    M_DB_LEAVE : M_CFG_STAT);
	m.id = 5;
	(void)rogue_send(r, link, &m);
	wait(r);
	return true;
}

/* One request more than its credit, without reading an answer. */
static bool
overrun(struct rogue *r, unsigned int type)
{
	unsigned int i;
	struct msg m;

	for (i = 0; i <= msg_credit(type); i++) {
		if (type == M_KEY_NOISE_ACCEPT) {
			accept_conn(r, 1000 + i, 0);
			continue;
		}
		msg_init(&m, type);
		if (type == M_DB_REG) {
			m.u.db_reg.ticket = r->ticket;
			memset(m.u.db_reg.node_key, 9, KEY_LEN);
		} else if (type == M_DB_MAP_OPEN)
			m.u.db_map_open.ticket = r->ticket;
		else
			m.u.db_map_lite.ticket = r->ticket;
		(void)rogue_send(r, LINK_DB, &m);
	}
	wait(r);
	return true;
}

/* Floods within its credit: it waits, and nobody else does. */
static bool
flood(struct rogue *r, unsigned int arg)
{
	unsigned int i, before = rogue_count(r, M_KEY_NOISE_NO);

	(void)arg;
	for (i = 0; i < msg_credit(M_KEY_NOISE_ACCEPT); i++)
		accept_conn(r, 1000 + i, 0);
	wait(r);
	if (rogue_count(r, M_KEY_NOISE_NO) != before)
		return fail(r, "a handshake was refused by load");
	return true;
}

/* More DB_HAVE than there can be tailnets. */
static bool
have_flood(struct rogue *r, unsigned int arg)
{
	struct msg m;
	int i;

	(void)arg;
	for (i = 0; i < 40000; i++) {
		msg_init(&m, M_DB_HAVE);
		m.u.db_have.tailnet = r->loot.tailnet;
		(void)rogue_send(r, LINK_DB, &m);
	}
	wait(r);
	return true;
}

/* Octets that are no message. */

enum mangle {
	MANGLE_SHORT,
	MANGLE_LONG,
	MANGLE_EMPTY,
	MANGLE_HUGE
};

#define MANGLED(type, how)	((type) << 2 | (how))

static bool
mangled(struct rogue *r, unsigned int arg)
{
	static uint8_t zero[64 * 1024];
	enum msg_type type = arg >> 2;
	enum msg_link link;
	struct buf b = { 0 };
	struct msg m;
	size_t n;

	link = msg_name(type)[0] == 'K' ? LINK_KEY : msg_name(type)[0] == 'D' ?
	    LINK_DB : LINK_CFG;
	msg_init(&m, type);
	if (type == M_KEY_NOISE_CONFIRM)
		m.u.key_noise_confirm.record = slice_mem(zero, 19);
	msg_encode(&b, &m);
	n = b.n;
	buf_put(&b, zero, sizeof(zero));
	switch (arg & 3) {
	case MANGLE_SHORT:
		n--;
		break;
	case MANGLE_LONG:
		n++;
		break;
	case MANGLE_EMPTY:
		n = 0;
		break;
	case MANGLE_HUGE:
		n = sizeof(zero);
		break;
	}
	r->ops.send(link, type, msg_class(type) == MSG_NOTIFY ? 0 : ++r->id,
	    b.p, n, -1, r->ops.arg);
	buf_free(&b);
	wait(r);
	return true;
}

/* A record of a length that the table forbids, rightly framed. */
static bool
record_of(struct rogue *r, unsigned int n)
{
	static const uint8_t zero[8192];
	struct buf b = { 0 };

	buf_u32(&b, 1);
	buf_u32(&b, n);
	buf_put(&b, zero, n);
	r->ops.send(LINK_KEY, M_KEY_NOISE_CONFIRM, ++r->id, b.p, b.n, -1,
	    r->ops.arg);
	buf_free(&b);
	wait(r);
	return true;
}

/* A list that says it has more than there is. */
static bool
long_list(struct rogue *r, unsigned int arg)
{
	struct buf b = { 0 };
	struct msg m;

	(void)arg;
	msg_init(&m, M_DB_MAP_OPEN);
	msg_encode(&b, &m);
	memset(b.p + b.n / 2, 0xff, b.n / 2);
	r->ops.send(LINK_DB, m.type, ++r->id, b.p, b.n, -1, r->ops.arg);
	buf_free(&b);
	wait(r);
	return true;
}

/* A type that is not its to send, whatever the body. */
static bool
type_of(struct rogue *r, unsigned int arg)
{
	enum msg_link link = arg >> 28;
	uint32_t type = arg & 0x0fffffff;
	static const uint8_t zero[8];

	r->ops.send(link, type, ++r->id, zero, sizeof(zero), -1, r->ops.arg);
	wait(r);
	return true;
}

#define TYPE(link, type)	((unsigned int)(link) << 28 | (type))

/* Descriptors upwards. */
static bool
with_fd(struct rogue *r, unsigned int link)
{
	struct msg m;

	if (link == LINK_KEY) {
		msg_init(&m, M_KEY_NOISE_DROP);
		m.u.key_noise_drop.conn = 4242;
	} else if (link == LINK_DB)
		msg_init(&m, M_DB_LEAVE);
	else
		msg_init(&m, M_CFG_STAT);
	m.fd = some_fd();
	(void)rogue_send(r, link, &m);
	wait(r);
	return true;
}

/* Accusations. */
static bool
blame(struct rogue *r, unsigned int role)
{
	struct msg m;

	msg_init(&m, M_CFG_BLAME);
	m.u.cfg_blame.role = (uint8_t)role;
	m.u.cfg_blame.generation = r->generation;
	m.u.cfg_blame.why = LINK_FORGED;
	if (role == ROLE_WORKER) {
		m.u.cfg_blame.slot = r->loot.ticket.slot;
		m.u.cfg_blame.generation = r->loot.ticket.generation;
	}
	(void)rogue_send(r, LINK_CFG, &m);
	wait(r);
	return true;
}

/* Every generation that keyd or dbd may have. */
static bool
blame_all(struct rogue *r, unsigned int role)
{
	struct msg m;
	uint64_t g;

	for (g = r->generation - 8; g < r->generation + 8; g++) {
		msg_init(&m, M_CFG_BLAME);
		m.u.cfg_blame.role = (uint8_t)role;
		m.u.cfg_blame.generation = g;
		m.u.cfg_blame.why = LINK_BAD_BODY;
		(void)rogue_send(r, LINK_CFG, &m);
	}
	wait(r);
	return true;
}

/* An answer to a question that nobody asked. */
static bool
stray_staged(struct rogue *r, unsigned int id)
{
	struct msg m;

	msg_init(&m, M_CFG_STAGED);
	m.id = id;
	m.u.cfg_staged.ok = true;
	(void)rogue_send(r, LINK_CFG, &m);
	wait(r);
	return true;
}

#define FORGED		LINK_DB, LINK_FORGED
#define NONE		LINK_NONE, LINK_EOF
#define BAD(l, w)	LINK_ ## l, LINK_BAD_ ## w

static const struct attack attacks[] = {
	{ "ticket: mac", bent_lite, BEND_MAC, FORGED, false, false },
	{ "ticket: mac's end", bent_lite, BEND_MAC_END, FORGED, false, false },
	{ "ticket: machine key", bent_lite, BEND_KEY, FORGED, false, false },
	{ "ticket: serial", bent_lite, BEND_SERIAL, FORGED, false, false },
	{ "ticket: keyd's generation", bent_lite, BEND_SERIAL_GEN, FORGED,
	    false, false },
	{ "ticket: capver", bent_lite, BEND_CAPVER, FORGED, false, false },
	{ "ticket: kind", bent_lite, BEND_KIND, FORGED, false, false },
	{ "ticket: slot", bent_lite, BEND_SLOT, FORGED, false, false },
	{ "ticket: generation", bent_lite, BEND_GENERATION, FORGED, false,
	    false },
	{ "ticket: zero", bent_lite, BEND_NOTHING, FORGED, false, false },
	{ "ticket: old generation", bent_lite, BEND_OLD, FORGED, false,
	    false },
	{ "stolen ticket: lite", bent_lite, BEND_STOLEN, FORGED, false,
	    false },
	{ "stolen ticket: rewritten", bent_lite, BEND_MOVED, FORGED, false,
	    false },
	{ "stolen ticket: map", stolen_open, 0, FORGED, false, false },
	{ "stolen ticket: logout", stolen_reg, 0, FORGED, false, false },
	{ "stolen ticket: defer", stolen_defer, 0, FORGED, false, false },
	{ "stolen ticket: resume", bent_resume, BEND_STOLEN, FORGED, true,
	    false },
	{ "old ticket: resume", bent_resume, BEND_OLD, FORGED, true, false },
	{ "rewritten ticket: resume", bent_resume, BEND_MOVED, FORGED, true,
	    false },

	{ "other's node: resume", foreign_resume, 0, NONE, true, false },
	{ "other's node: map", foreign_open, false, NONE, false, false },
	{ "other's node: one map", foreign_open, true, NONE, false, false },
	{ "other's node: lite", foreign_lite, 0, NONE, false, false },
	{ "other's node: defer", foreign_defer, 0, NONE, false, false },
	{ "other's node: started", foreign_started, 0, FORGED, false, false },
	{ "other's node: close", foreign_close, 0, FORGED, false, false },
	{ "other's tailnet", foreign_replica, 0, NONE, true, false },
	{ "leaves", leave_all, 0, NONE, false, false },

	{ "register: no credential", bad_reg, REG_BARE, NONE, false, false },
	{ "register: no such key", bad_reg, REG_NO_SUCH_KEY, NONE, false,
	    false },
	{ "register: used key", bad_reg, REG_USED_KEY, NONE, false, false },
	{ "register: other's node key", bad_reg, REG_FOREIGN, NONE, false,
	    false },
	{ "register: log other out", bad_reg, REG_FOREIGN_LOGOUT, NONE, false,
	    false },
	{ "register: other's old key", bad_reg, REG_FOREIGN_OLD, NONE, false,
	    false },
	{ "register: other's answer", bad_reg, REG_AGAIN, NONE, false, false },
	{ "register: follow-up", bad_reg, REG_FOLLOWUP, NONE, false, false },

	{ "replay: recorded", replay, REPLAY_RECORD, NONE, false, false },
	{ "replay: junk", replay, REPLAY_JUNK, NONE, false, false },
	{ "replay: own key", replay, REPLAY_OWN, NONE, false, false },
	{ "handshake: number twice", conn_twice, 0, BAD(KEY, ID), false,
	    false },
	{ "handshake: not ready", confirm_twice, 0, BAD(KEY, ID), false,
	    false },
	{ "handshake: flood", flood, 0, NONE, false, false },

	{ "id 0: KEY", id_zero, LINK_KEY, BAD(KEY, ID), false, false },
	{ "id 0: DB", id_zero, LINK_DB, BAD(DB, ID), false, false },
	{ "id twice: KEY", id_twice, LINK_KEY, BAD(KEY, ID), false, false },
	{ "id twice: DB", id_twice, LINK_DB, BAD(DB, ID), false, false },
	{ "id of a notify: KEY", id_of_notify, LINK_KEY, BAD(KEY, ID), false,
	    false },
	{ "id of a notify: DB", id_of_notify, LINK_DB, BAD(DB, ID), false,
	    false },
	{ "id of a notify: CFG", id_of_notify, LINK_CFG, BAD(CFG, ID), false,
	    false },
	{ "credit: accept", overrun, M_KEY_NOISE_ACCEPT, LINK_KEY, LINK_CREDIT,
	    false, false },
	{ "credit: register", overrun, M_DB_REG, LINK_DB, LINK_CREDIT, false,
	    true },
	{ "credit: map", overrun, M_DB_MAP_OPEN, LINK_DB, LINK_CREDIT, false,
	    true },
	{ "credit: lite", overrun, M_DB_MAP_LITE, LINK_DB, LINK_CREDIT, false,
	    true },
	{ "flood: have", have_flood, 0, LINK_DB, LINK_OVERFLOW, true, false },

#define LENGTHS(t, l, e)						\
	{ "length: short " #t, mangled, MANGLED(M_ ## t, MANGLE_SHORT),	\
	    BAD(l, BODY), e, false },					\
	{ "length: long " #t, mangled, MANGLED(M_ ## t, MANGLE_LONG),		\
	    BAD(l, BODY), e, false },					\
	{ "length: none " #t, mangled, MANGLED(M_ ## t, MANGLE_EMPTY),	\
	    BAD(l, BODY), e, false },					\
	{ "length: huge " #t, mangled, MANGLED(M_ ## t, MANGLE_HUGE),		\
	    BAD(l, BODY), e, false }
	LENGTHS(KEY_NOISE_ACCEPT, KEY, false),
	LENGTHS(KEY_NOISE_CONFIRM, KEY, false),
	LENGTHS(KEY_NOISE_DROP, KEY, false),
	LENGTHS(DB_HAVE, DB, true),
	LENGTHS(DB_RESUME, DB, true),
	LENGTHS(DB_REG, DB, false),
	LENGTHS(DB_MAP_OPEN, DB, false),
	LENGTHS(DB_MAP_LITE, DB, false),
	LENGTHS(DB_MAP_STARTED, DB, false),
	LENGTHS(DB_MAP_CLOSE, DB, false),
	LENGTHS(DB_MAP_DEFER, DB, false),
	LENGTHS(DB_LEAVE, DB, false),
	LENGTHS(CFG_BLAME, CFG, false),
	LENGTHS(CFG_STAT, CFG, false),
	{ "length: record of 18", record_of, 18, BAD(KEY, BODY), false, false },
	{ "length: record of 4097", record_of, 4097, BAD(KEY, BODY), false, false },
	{ "length: list", long_list, 0, BAD(DB, BODY), false, false },

#define TYPES(l, t)							\
	{ "type: " #l " " #t, type_of, TYPE(LINK_ ## l, t),		\
	    BAD(l, TYPE), false, false }
	TYPES(KEY, M_NONE),
	TYPES(KEY, M_MAX),
	TYPES(KEY, 0xfffffff),
	TYPES(KEY, M_KEY_SERVER),
	TYPES(KEY, M_KEY_NOISE_READY),
	TYPES(KEY, M_KEY_NOISE_NO),
	TYPES(KEY, M_KEY_NOISE_OK),
	TYPES(KEY, M_DB_REG),
	TYPES(KEY, M_CFG_SECRET),
	TYPES(KEY, M_CFG_FILE),
	TYPES(DB, M_NONE),
	TYPES(DB, M_MAX),
	TYPES(DB, 0xfffffff),
	TYPES(DB, M_DB_HAVE),
	TYPES(DB, M_DB_RESUME),
	TYPES(DB, M_DB_HELLO_DONE),
	TYPES(DB, M_DB_REG_OK),
	TYPES(DB, M_DB_MAP_OK),
	TYPES(DB, M_DB_LITE_NO),
	TYPES(DB, M_DB_SNAPSHOT),
	TYPES(DB, M_DB_NODE_PUT),
	TYPES(DB, M_DB_BATCH),
	TYPES(DB, M_CTL_HELLO),
	TYPES(DB, M_CTL_KEY_CREATE),
	TYPES(DB, M_CTL_NODE_DELETE),
	TYPES(DB, M_CTL_OK),
	TYPES(DB, M_CFG_CONF_DBD),
	TYPES(DB, M_CFG_CTL_LISTEN),
	TYPES(CFG, M_NONE),
	TYPES(CFG, M_MAX),
	TYPES(CFG, 0xfffffff),
	TYPES(CFG, M_CFG_READY),
	TYPES(CFG, M_CFG_STOP),
	TYPES(CFG, M_CFG_BOOT),
	TYPES(CFG, M_CFG_KEY_MADE),
	TYPES(CFG, M_CFG_CTL_RELOAD),
	TYPES(CFG, M_CFG_CTL_VERBOSE),
	TYPES(CFG, M_CFG_CTL_STATUS),
	TYPES(CFG, M_CFG_CTL_DONE),

	{ "descriptor: KEY", with_fd, LINK_KEY, BAD(KEY, FD), false, true },
	{ "descriptor: DB", with_fd, LINK_DB, BAD(DB, FD), false, true },
	{ "descriptor: CFG", with_fd, LINK_CFG, BAD(CFG, FD), false, true },

	/* master itself kills who accuses one that is not below it. */
	{ "blames: dbd", blame, ROLE_DBD, LINK_CFG, LINK_CLOSED, false, false },
	{ "blames: keyd", blame, ROLE_KEYD, LINK_CFG, LINK_CLOSED, false,
	    false },
	{ "blames: every dbd", blame_all, ROLE_DBD, LINK_CFG, LINK_CLOSED,
	    false, false },
	{ "blames: every keyd", blame_all, ROLE_KEYD, LINK_CFG, LINK_CLOSED,
	    false, false },
	{ "blames: its sibling", blame, ROLE_WORKER, LINK_CFG, LINK_CLOSED,
	    false, false },
	{ "blames: master", blame, ROLE_MASTER, LINK_CFG, LINK_CLOSED, false,
	    false },
	{ "blames: nobody", blame, ROLE_NONE, LINK_CFG, LINK_CLOSED, false,
	    false },
	{ "blames: no role", blame, 200, LINK_CFG, LINK_CLOSED, false, false },
	{ "stray answer: 1", stray_staged, 1, BAD(CFG, ID), false, false },
	{ "stray answer: 7", stray_staged, 7, BAD(CFG, ID), false, false },
	{ "stray answer: 0", stray_staged, 0, BAD(CFG, ID), false, false }
};

const struct attack *
attack_get(size_t k)
{
	return k < sizeof(attacks) / sizeof(attacks[0]) ? &attacks[k] : NULL;
}

/* What only an allowed act is answered with. */
static unsigned int
rewards(const struct rogue *r)
{
	static const enum msg_type good[] = {
		M_KEY_NOISE_OK, M_DB_REG_OK, M_DB_MAP_OK, M_DB_LITE_OK
	};
	unsigned int n = 0;
	size_t i;

	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		n += rogue_count(r, good[i]);
	return n;
}

bool
attack_run(struct rogue *r, const struct attack *a)
{
	unsigned int before = rewards(r);

	r->why = NULL;
	if (!a->run(r, a->arg))
		return false;
	/* A live client of its own is what it may have. */
	if (a->run == foreign_resume)
		before++;
	if (rewards(r) != before)
		return fail(r, "it was rewarded");
	return true;
}
