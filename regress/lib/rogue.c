#include "common/compat/compat.h"
#include "common/str.h"
#include "regress/lib/rogue.h"

#define STREAM		4711
#define IDS		1000000		/* each slot has its own numbers */

void
rogue_init(struct rogue *r, const struct rogue_ops *ops, uint16_t slot,
    uint64_t generation)
{
	memset(r, 0, sizeof(*r));
	r->ops = *ops;
	r->noise = noise_new();
	r->slot = slot;
	r->generation = generation;
	r->id = slot * IDS;
}

void
rogue_free(struct rogue *r)
{
	while (r->ngot > 0)
		free(r->got[--r->ngot].p);
	free(r->got);
	r->got = NULL;
	noise_free(r->noise);
	r->noise = NULL;
}

void
rogue_input(struct rogue *r, enum msg_link link, uint32_t type, uint32_t id,
    const void *p, size_t n, int fd)
{
	struct rogue_got *g;

	if (fd != -1)
		(void)close(fd);
	r->got = xrealloc(r->got, r->ngot + 1, sizeof(*r->got));
	g = &r->got[r->ngot++];
	g->link = link;
	g->type = type;
	g->id = id;
	g->p = xmalloc(n == 0 ? 1 : n);
	if (n != 0)
		memcpy(g->p, p, n);
	g->n = n;
}

uint32_t
rogue_send(struct rogue *r, enum msg_link link, struct msg *m)
{
	struct buf b = { 0 };

	if (m->id == 0 && msg_class(m->type) == MSG_REQUEST)
		m->id = ++r->id;
	msg_encode(&b, m);
	r->ops.send(link, m->type, m->id, b.p, b.n, m->fd, r->ops.arg);
	buf_free(&b);
	return m->id;
}

bool
rogue_answer(const struct rogue *r, enum msg_link link, uint32_t type,
    uint32_t id, struct msg *m)
{
	const struct rogue_got *g;
	size_t i;

	for (i = r->ngot; i > 0; i--) {
		g = &r->got[i - 1];
		if (g->link == link && g->type == type && g->id == id &&
		    msg_decode(m, type, g->p, g->n) == 0)
			return true;
	}
	return false;
}

unsigned int
rogue_count(const struct rogue *r, uint32_t type)
{
	unsigned int n = 0;
	size_t i;

	for (i = 0; i < r->ngot; i++)
		if (r->got[i].type == type)
			n++;
	return n;
}

/* An honest worker's day. */

static bool
fail(struct rogue *r, const char *why)
{
	r->why = why;
	return false;
}

void
rogue_hello(struct rogue *r)
{
	struct msg m;

	msg_init(&m, M_DB_HELLO_DONE);
	(void)rogue_send(r, LINK_DB, &m);
	r->ops.wait(r->ops.arg);
}

static bool
shake_confirm(struct rogue *r, uint32_t conn)
{
	static const char text[] = "PRI * HTTP/2.0";
	struct rogue_loot *l = &r->mine;
	struct msg m;
	uint32_t id;

	l->nrecord = noise_seal(r->noise, &r->client.tx, l->record, text,
	    sizeof(text) - 1);
	msg_init(&m, M_KEY_NOISE_CONFIRM);
	m.u.key_noise_confirm.conn = conn;
	m.u.key_noise_confirm.record = slice_mem(l->record, l->nrecord);
	id = rogue_send(r, LINK_KEY, &m);
	r->ops.wait(r->ops.arg);
	if (!rogue_answer(r, LINK_KEY, M_KEY_NOISE_OK, id, &m))
		return fail(r, "no ticket for a live client");
	r->ticket = m.u.key_noise_ok.ticket;
	return true;
}

bool
rogue_shake(struct rogue *r)
{
	uint8_t priv[NOISE_KEY], eph[NOISE_KEY], *init = r->mine.init;
	struct msg m;
	uint32_t id, conn = ++r->conn;

	if (!rogue_answer(r, LINK_KEY, M_KEY_SERVER, 0, &m))
		return fail(r, "no server key");
	memcpy(r->server_pub, m.u.key_server.public, NOISE_KEY);
	r->ops.random(priv, sizeof(priv), r->ops.arg);
	r->ops.random(eph, sizeof(eph), r->ops.arg);
	if (!noise_client_start(&r->client, r->noise, 131, r->server_pub,
	    priv, eph, init))
		return fail(r, "bad server key");
	msg_init(&m, M_KEY_NOISE_ACCEPT);
	m.u.key_noise_accept.conn = conn;
	memcpy(m.u.key_noise_accept.init, init, NOISE_INIT);
	id = rogue_send(r, LINK_KEY, &m);
	r->ops.wait(r->ops.arg);
	if (!rogue_answer(r, LINK_KEY, M_KEY_NOISE_READY, id, &m) ||
	    !noise_client_finish(&r->client, m.u.key_noise_ready.response))
		return fail(r, "no response to a live client");
	return shake_confirm(r, conn);
}

static bool
join_register(struct rogue *r, const char *auth_key)
{
	struct m_db_reg *q;
	struct msg m;
	uint32_t id;

	r->ops.random(r->node_key, sizeof(r->node_key), r->ops.arg);
	msg_init(&m, M_DB_REG);
	q = &m.u.db_reg;
	q->ticket = r->ticket;
	memcpy(q->node_key, r->node_key, KEY_LEN);
	q->has_auth = true;
	q->auth_key = slice_str(auth_key);
	q->hostinfo.hostname = slice_str("rogue");
	q->hostinfo.os = slice_str("linux");
	id = rogue_send(r, LINK_DB, &m);
	r->ops.wait(r->ops.arg);
	if (!rogue_answer(r, LINK_DB, M_DB_REG_OK, id, &m))
		return fail(r, "the own client cannot register");
	r->tailnet = m.u.db_reg_ok.tailnet;
	r->node = m.u.db_reg_ok.node;
	r->mine.request = id;
	(void)strlcpy(r->mine.auth_key, auth_key, sizeof(r->mine.auth_key));
	return true;
}

bool
rogue_join(struct rogue *r, const char *auth_key)
{
	struct m_db_map_open *o;
	struct msg m;
	uint32_t id;

	rogue_hello(r);
	if (!rogue_shake(r) || !join_register(r, auth_key))
		return false;
	r->stream = STREAM;
	msg_init(&m, M_DB_MAP_OPEN);
	o = &m.u.db_map_open;
	o->ticket = r->ticket;
	o->stream = r->stream;
	o->h2 = 3;
	memcpy(o->node_key, r->node_key, KEY_LEN);
	o->capver = 131;
	id = rogue_send(r, LINK_DB, &m);
	r->ops.wait(r->ops.arg);
	if (!rogue_answer(r, LINK_DB, M_DB_MAP_OK, id, &m))
		return fail(r, "the own client gets no map");
	msg_init(&m, M_DB_MAP_STARTED);
	m.u.db_map_started.tailnet = r->tailnet;
	m.u.db_map_started.node = r->node;
	m.u.db_map_started.generation = r->stream;
	(void)rogue_send(r, LINK_DB, &m);
	r->ops.wait(r->ops.arg);
	return rogue_lite(r, 1);
}

bool
rogue_lite(struct rogue *r, uint8_t disco)
{
	struct m_db_map_lite *q;
	struct msg m;
	uint32_t id;

	msg_init(&m, M_DB_MAP_LITE);
	q = &m.u.db_map_lite;
	q->ticket = r->ticket;
	q->h2 = 5;
	memcpy(q->node_key, r->node_key, KEY_LEN);
	q->capver = 131;
	memset(q->disco_key, disco, KEY_LEN);
	id = rogue_send(r, LINK_DB, &m);
	r->ops.wait(r->ops.arg);
	if (!rogue_answer(r, LINK_DB, M_DB_LITE_OK, id, &m) ||
	    !m.u.db_lite_ok.changed)
		return fail(r, "the own client cannot update");
	return true;
}

void
rogue_loot(const struct rogue *r, struct rogue_loot *l)
{
	*l = r->mine;
	l->tailnet = r->tailnet;
	l->node = r->node;
	l->stream = r->stream;
	memcpy(l->node_key, r->node_key, KEY_LEN);
	memcpy(l->machine_key, r->ticket.key, KEY_LEN);
	l->ticket = r->ticket;
}
