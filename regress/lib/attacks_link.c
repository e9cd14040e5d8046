/* Attacks on handshakes, links and supervision. */

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "common/str.h"
#include "regress/lib/attacks_int.h"

static int
some_fd(void)
{
	return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* Handshakes without a client. */

bool
act_replay(struct rogue *r, unsigned int how)
{
	uint8_t rec[ROGUE_RECORD];
	uint32_t conn = ++r->conn;
	struct msg m;
	size_t n = 32;

	msg_init(&m, M_KEY_NOISE_ACCEPT);
	m.u.key_noise_accept.conn = conn;
	memcpy(m.u.key_noise_accept.init, r->loot.init, NOISE_INIT);
	(void)rogue_send(r, LINK_KEY, &m);
	act_wait(r);
	if (!rogue_answer(r, LINK_KEY, M_KEY_NOISE_READY, r->id, &m))
		return act_fail(r, "a replay looks like any initiation");
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
	act_wait(r);
	if (!rogue_answer(r, LINK_KEY, M_KEY_NOISE_NO, r->id, &m) ||
	    m.u.key_noise_no.why != 2)
		return act_fail(r, "a proof without a client was not refused");
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

bool
act_conn_twice(struct rogue *r, unsigned int arg)
{
	(void)arg;
	accept_conn(r, 77, 0);
	act_wait(r);
	accept_conn(r, 77, 0);
	act_wait(r);
	return true;
}

bool
act_confirm_twice(struct rogue *r, unsigned int arg)
{
	uint32_t i;

	(void)arg;
	/* Enough to still stand in line when the next one comes. */
	for (i = 0; i < 100; i++)
		accept_conn(r, 200 + i, 0);
	confirm_conn(r, 299);
	confirm_conn(r, 299);
	act_wait(r);
	return true;
}

/* Ids and credit. */

bool
act_id_zero(struct rogue *r, unsigned int link)
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
	act_wait(r);
	return true;
}

bool
act_id_twice(struct rogue *r, unsigned int link)
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
	act_wait(r);
	return true;
}

bool
act_id_of_notify(struct rogue *r, unsigned int link)
{
	struct msg m;

	msg_init(&m, link == LINK_KEY ? M_KEY_NOISE_DROP : link == LINK_DB ?
	    M_DB_LEAVE : M_CFG_STAT);
	m.id = 5;
	(void)rogue_send(r, link, &m);
	act_wait(r);
	return true;
}

/* One request more than its credit, without reading an answer. */
bool
act_overrun(struct rogue *r, unsigned int type)
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
	act_wait(r);
	return true;
}

/* Floods within its credit: it waits, and nobody else does. */
bool
act_flood(struct rogue *r, unsigned int arg)
{
	unsigned int i, before = rogue_count(r, M_KEY_NOISE_NO);

	(void)arg;
	for (i = 0; i < msg_credit(M_KEY_NOISE_ACCEPT); i++)
		accept_conn(r, 1000 + i, 0);
	act_wait(r);
	if (rogue_count(r, M_KEY_NOISE_NO) != before)
		return act_fail(r, "a handshake was refused by load");
	return true;
}

/* More DB_HAVE than there can be tailnets. */
bool
act_have_flood(struct rogue *r, unsigned int arg)
{
	struct msg m;
	int i;

	(void)arg;
	for (i = 0; i < 40000; i++) {
		msg_init(&m, M_DB_HAVE);
		m.u.db_have.tailnet = r->loot.tailnet;
		(void)rogue_send(r, LINK_DB, &m);
	}
	act_wait(r);
	return true;
}

/* Octets that are no message. */

bool
act_mangled(struct rogue *r, unsigned int arg)
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
	act_wait(r);
	return true;
}

/* A record of a length that the table forbids, rightly framed. */
bool
act_record_of(struct rogue *r, unsigned int n)
{
	static const uint8_t zero[8192];
	struct buf b = { 0 };

	buf_u32(&b, 1);
	buf_u32(&b, n);
	buf_put(&b, zero, n);
	r->ops.send(LINK_KEY, M_KEY_NOISE_CONFIRM, ++r->id, b.p, b.n, -1,
	    r->ops.arg);
	buf_free(&b);
	act_wait(r);
	return true;
}

/* A list that says it has more than there is. */
bool
act_long_list(struct rogue *r, unsigned int arg)
{
	struct buf b = { 0 };
	struct msg m;

	(void)arg;
	msg_init(&m, M_DB_MAP_OPEN);
	msg_encode(&b, &m);
	memset(b.p + b.n / 2, 0xff, b.n / 2);
	r->ops.send(LINK_DB, m.type, ++r->id, b.p, b.n, -1, r->ops.arg);
	buf_free(&b);
	act_wait(r);
	return true;
}

/* A type that is not its to send, whatever the body. */
bool
act_type_of(struct rogue *r, unsigned int arg)
{
	enum msg_link link = arg >> 28;
	uint32_t type = arg & 0x0fffffff;
	static const uint8_t zero[8];

	r->ops.send(link, type, ++r->id, zero, sizeof(zero), -1, r->ops.arg);
	act_wait(r);
	return true;
}

/* Descriptors upwards. */
bool
act_with_fd(struct rogue *r, unsigned int link)
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
	act_wait(r);
	return true;
}

/* Accusations. */
bool
act_blame(struct rogue *r, unsigned int role)
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
	act_wait(r);
	return true;
}

/* Every generation that keyd or dbd may have. */
bool
act_blame_all(struct rogue *r, unsigned int role)
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
	act_wait(r);
	return true;
}

/* An answer to a question that nobody asked. */
bool
act_stray_staged(struct rogue *r, unsigned int id)
{
	struct msg m;

	msg_init(&m, M_CFG_STAGED);
	m.id = id;
	m.u.cfg_staged.ok = true;
	(void)rogue_send(r, LINK_CFG, &m);
	act_wait(r);
	return true;
}
