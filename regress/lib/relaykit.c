#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "common/enc.h"
#include "common/log.h"
#include "common/ticket.h"
#include "regress/lib/relaykit.h"

#define SLICE	16384
#define CAPVER	148

/* keyd. */

static bool
keyd_open(struct rk *rk, const struct m_key_derp_hello *h, uint8_t *to)
{
	return crypto_box_open_easy(to, (const uint8_t *)h->box.p, h->box.n,
	    h->nonce, h->client, rk->priv) == 0;
}

static void
mint(struct rkworker *w, const uint8_t key[32], struct r_ticket *t)
{
	t->kind = TICKET_DERP;
	t->slot = w->slot;
	t->generation = w->generation;
	t->serial_gen = RK_SERIAL_GEN;
	t->serial = ++w->rk->serial;
	t->capver = CAPVER;
	memcpy(t->key, key, 32);
	(void)crypto_generichash(t->mac, 32, (const uint8_t *)&t->serial,
	    sizeof(t->serial), key, 32);
}

static void
keyd_gets(struct link *l, const struct msg *m, void *tag, void *arg)
{
	static const char info[] = "{\"version\":2}";
	uint8_t plain[8192], sealed[64];
	const struct m_key_derp_hello *h = &m->u.key_derp_hello;
	struct rkworker *w = arg;
	struct rk *rk = w->rk;
	struct msg r;

	(void)tag;
	rk->hellos++;
	rk->asked = l;
	rk->question = *m;
	if (rk->keyd_mute)
		return;
	if (keyd_open(rk, h, plain)) {
		msg_init(&r, M_KEY_DERP_OK);
		r.u.key_derp_ok.conn = h->conn;
		r.u.key_derp_ok.info = slice_mem(plain,
		    h->box.n - crypto_box_MACBYTES);
		memcpy(r.u.key_derp_ok.nonce, rk->nonce, 24);
		if (crypto_box_easy(sealed, (const uint8_t *)info,
		    sizeof(info) - 1, rk->nonce, h->client, rk->priv) != 0)
			fatalx("relaykit: crypto_box");
		sodium_increment(rk->nonce, sizeof(rk->nonce));
		r.u.key_derp_ok.box = slice_mem(sealed,
		    sizeof(info) - 1 + crypto_box_MACBYTES);
		mint(w, h->client, &r.u.key_derp_ok.ticket);
	} else {
		msg_init(&r, M_KEY_DERP_NO);
		r.u.key_derp_no.conn = h->conn;
		r.u.key_derp_no.why = 2;
	}
	r.id = m->id;
	link_reply(l, &r);
}

/* dbd. */

static struct link *
db_end(struct rkworker *w)
{
	return w->db == NULL ? NULL : pair_link(w->db, PAIR_B);
}

static void
tell_all(struct rk *rk, const struct msg *m)
{
	struct link *l;
	unsigned int i;

	for (i = 0; i < rk->n; i++)
		if ((l = db_end(&rk->worker[i])) != NULL)
			link_send(l, m);
}

void
rk_publish(struct rk *rk, const struct rkconn *c)
{
	struct m_db_relay_at *at;
	struct msg m;

	msg_init(&m, M_DB_RELAY_AT);
	at = &m.u.db_relay_at;
	memcpy(at->key, c->key, 32);
	at->tailnet = c->tailnet;
	at->slot = c->worker->slot;
	at->generation = c->worker->generation;
	at->serial_gen = RK_SERIAL_GEN;
	at->serial = c->serial;
	tell_all(rk, &m);
}

void
rk_gone(struct rk *rk, const uint8_t key[32])
{
	struct msg m;

	msg_init(&m, M_DB_RELAY_GONE);
	memcpy(m.u.db_relay_gone.key, key, 32);
	tell_all(rk, &m);
}

static struct rkconn *
newest(struct rk *rk, const uint8_t key[32])
{
	struct rkconn *best = NULL;
	size_t i;

	for (i = 0; i < rk->nconns; i++)
		if (memcmp(rk->conns[i].key, key, 32) == 0 &&
		    (best == NULL || rk->conns[i].order > best->order))
			best = &rk->conns[i];
	return best;
}

static struct rkconn *
conn_of(struct rk *rk, uint64_t serial)
{
	size_t i;

	for (i = 0; i < rk->nconns; i++)
		if (rk->conns[i].serial == serial)
			return &rk->conns[i];
	return NULL;
}

static struct rkclient *
client_of(struct rk *rk, const uint8_t key[32])
{
	struct rkclient *x;

	for (x = rk->clients; x != NULL; x = x->next)
		if (memcmp(x->pub, key, 32) == 0)
			return x;
	fatalx("relaykit: a key that nobody has");
}

static struct rkconn *
add_conn(struct rkworker *w, const struct r_ticket *t, uint64_t tailnet,
    uint64_t order)
{
	struct rk *rk = w->rk;
	struct rkconn *c;

	if (rk->nconns == rk->room) {
		rk->room = rk->room == 0 ? 64 : 2 * rk->room;
		rk->conns = xrealloc(rk->conns, rk->room, sizeof(*c));
	}
	c = &rk->conns[rk->nconns++];
	memcpy(c->key, t->key, 32);
	c->tailnet = tailnet;
	c->serial = t->serial;
	c->order = order;
	c->worker = w;
	return c;
}

static void
drop_conn(struct rk *rk, struct rkconn *c)
{
	struct rkconn old = *c, *next;
	bool was = newest(rk, c->key) == c;

	*c = rk->conns[--rk->nconns];
	if (!was)
		return;
	if ((next = newest(rk, old.key)) != NULL)
		rk_publish(rk, next);
	else
		rk_gone(rk, old.key);
}

/* As the real one would, but that it has no secret: it knows them all. */
static uint64_t
check(struct rkworker *w, const struct r_ticket *t)
{
	struct rk *rk = w->rk;
	uint8_t mac[32];

	(void)crypto_generichash(mac, 32, (const uint8_t *)&t->serial,
	    sizeof(t->serial), t->key, 32);
	if (memcmp(mac, t->mac, 32) != 0 || t->kind != TICKET_DERP ||
	    t->slot != w->slot || t->generation != w->generation ||
	    t->serial_gen != RK_SERIAL_GEN || t->capver != CAPVER)
		fatalx("relaykit: a forged ticket");
	return rk->tailnet == NULL ? RK_TAILNET :
	    rk->tailnet(client_of(rk, t->key)->who);
}

static void
on_open(struct rkworker *w, struct link *l, const struct msg *m)
{
	const struct r_ticket *t = &m->u.db_relay_open.ticket;
	uint64_t tailnet = check(w, t);
	struct rk *rk = w->rk;
	struct msg r;

	rk->opens++;
	rk->asked = l;
	rk->question = *m;
	if (rk->dbd_mute)
		return;
	if (tailnet == RK_REFUSE || rk->dbd_busy) {
		msg_init(&r, M_DB_RELAY_NO);
		r.u.db_relay_no.why = rk->dbd_busy ? 4 : 1;
	} else {
		rk_publish(rk, add_conn(w, t, tailnet, ++rk->order));
		msg_init(&r, M_DB_RELAY_OK);
		r.u.db_relay_ok.tailnet = tailnet;
		r.u.db_relay_ok.node = tailnet == 0 ? 0 : 7;
	}
	r.id = m->id;
	link_reply(l, &r);
}

static void
dbd_gets(struct link *l, const struct msg *m, void *tag, void *arg)
{
	struct rkworker *w = arg;
	struct rk *rk = w->rk;
	struct rkconn *c;

	(void)tag;
	switch (m->type) {
	case M_DB_RELAY_OPEN:
		on_open(w, l, m);
		break;
	case M_DB_RELAY_HOLD:
		rk->holds++;
		(void)add_conn(w, &m->u.db_relay_hold.ticket,
		    check(w, &m->u.db_relay_hold.ticket),
		    m->u.db_relay_hold.ticket.serial);
		break;
	case M_DB_HELLO_DONE:
		link_set_state(l, MSG_RUN);
		break;
	case M_DB_RELAY_CLOSE:
		rk->closes++;
		if ((c = conn_of(rk, m->u.db_relay_close.serial)) != NULL)
			drop_conn(rk, c);
		break;
	case M_DB_RELAY_ACTIVE:
		rk->actives++;
		c = conn_of(rk, m->u.db_relay_active.serial);
		if (c != NULL) {
			c->order = ++rk->order;
			rk_publish(rk, c);
		}
		break;
	default:
		fatalx("relaykit: dbd gets %s", msg_name(m->type));
	}
}

void
rk_end(struct rkclient *x)
{
	struct rkconn *c = newest(x->rk, x->pub);
	struct msg m;

	msg_init(&m, M_DB_RELAY_END);
	m.u.db_relay_end.serial_gen = RK_SERIAL_GEN;
	m.u.db_relay_end.serial = c->serial;
	link_send(db_end(c->worker), &m);
}

/* Links. */

static void
lost(struct link *l, enum link_why why, void *arg)
{
	(void)why;
	(void)arg;
	link_free(l);
}

static void
worker_key_msg(struct link *l, const struct msg *m, void *tag, void *arg)
{
	struct rkworker *w = arg;

	(void)l;
	if (w->relay != NULL)
		relay_key_msg(w->relay, m, tag);
}

static void
worker_db_msg(struct link *l, const struct msg *m, void *tag, void *arg)
{
	struct rkworker *w = arg;
	bool bad;

	(void)l;
	if (w->relay == NULL)
		return;
	if (!relay_db_msg(w->relay, m, tag, &bad))
		fatalx("relaykit: %s is not the relay's", msg_name(m->type));
	w->bad += bad;
}

static void
mesh_msg(struct link *l, const struct msg *m, void *tag, void *arg)
{
	struct rkworker *w = arg;

	(void)tag;
	if (w->relay == NULL ||
	    relay_mesh_msg(w->relay, link_slot(l), m))
		return;
	w->mesh_bad++;
	link_violation(l, LINK_FORGED);
}

static void
mesh_lost(struct link *l, enum link_why why, void *arg)
{
	struct rkworker *w = arg;

	(void)why;
	if (w->relay != NULL)
		relay_mesh_link(w->relay, link_slot(l), NULL);
	link_free(l);
}

static struct pair *
join(struct rkworker *w, enum msg_link kind, enum role peer,
    void (*here)(struct link *, const struct msg *, void *, void *),
    void (*there)(struct link *, const struct msg *, void *, void *))
{
	struct link_conf a, b;

	memset(&a, 0, sizeof(a));
	a.kind = kind;
	a.self = ROLE_WORKER;
	a.peer = peer;
	a.on_msg = here;
	a.on_down = lost;
	a.arg = w;
	b = a;
	b.self = peer;
	b.peer = ROLE_WORKER;
	b.slot = w->slot;
	b.generation = w->generation;
	b.on_msg = there;
	return pair_new(w->rk->env, &a, &b);
}

void
rk_keyd(struct rk *rk, bool up)
{
	struct rkworker *w;
	struct msg m;
	unsigned int i;

	for (i = 0; i < rk->n; i++) {
		w = &rk->worker[i];
		if (w->relay == NULL)
			continue;
		relay_key_link(w->relay, NULL);
		pair_free(w->key);
		w->key = NULL;
		if (!up)
			continue;
		w->key = join(w, LINK_KEY, ROLE_KEYD, worker_key_msg,
		    keyd_gets);
		msg_init(&m, M_KEY_SERVER);
		memcpy(m.u.key_server.derp, rk->pub, 32);
		link_send(pair_link(w->key, PAIR_B), &m);
		relay_key_link(w->relay, pair_link(w->key, PAIR_A));
	}
	rk_run(rk);
}

static void
dbd_up(struct rkworker *w)
{
	struct link *l;
	struct msg m;

	w->db = join(w, LINK_DB, ROLE_DBD, worker_db_msg, dbd_gets);
	l = pair_link(w->db, PAIR_A);
	relay_db_link(w->relay, l);
	msg_init(&m, M_DB_HELLO_DONE);
	link_send(l, &m);
	link_set_state(l, MSG_RUN);
}

void
rk_dbd(struct rk *rk, bool up)
{
	struct rkworker *w;
	struct msg m;
	unsigned int i;
	size_t k;

	rk->nconns = 0;
	for (i = 0; i < rk->n; i++) {
		w = &rk->worker[i];
		if (w->relay == NULL)
			continue;
		relay_db_link(w->relay, NULL);
		pair_free(w->db);
		w->db = NULL;
		if (up)
			dbd_up(w);
	}
	rk_run(rk);
	if (!up)
		return;
	for (k = 0; k < rk->nconns; k++)
		if (newest(rk, rk->conns[k].key) == &rk->conns[k])
			rk_publish(rk, &rk->conns[k]);
	msg_init(&m, M_DB_RELAY_TOLD);
	tell_all(rk, &m);
	rk_run(rk);
}

static void
mesh_up(struct rkworker *a, struct rkworker *b)
{
	struct link_conf ca, cb;
	struct pair *p;

	memset(&ca, 0, sizeof(ca));
	ca.kind = LINK_MESH;
	ca.self = ca.peer = ROLE_WORKER;
	ca.slot = b->slot;
	ca.generation = b->generation;
	ca.on_msg = mesh_msg;
	ca.on_down = mesh_lost;
	ca.arg = a;
	cb = ca;
	cb.slot = a->slot;
	cb.generation = a->generation;
	cb.arg = b;
	p = pair_new(a->rk->env, &ca, &cb);
	a->mesh[b->slot - 1] = b->mesh[a->slot - 1] = p;
	relay_mesh_link(a->relay, b->slot, pair_link(p, PAIR_A));
	relay_mesh_link(b->relay, a->slot, pair_link(p, PAIR_B));
}

/* Clients. */

static void
on_kick(struct rclient *c, void *arg)
{
	struct rkclient *x = relay_client_tag(c);

	(void)arg;
	x->kicks++;
}

struct rkclient *
rk_connect(struct rkworker *w, uint32_t who)
{
	struct rkclient *x;

	x = xcalloc(1, sizeof(*x));
	x->rk = w->rk;
	x->worker = w;
	x->who = who;
	memset(x->priv, 0x40, sizeof(x->priv));
	memcpy(x->priv + 4, &who, sizeof(who));	/* past what is clamped */
	(void)crypto_scalarmult_base(x->pub, x->priv);
	if ((x->c = relay_client_new(w->relay,
	    w->rk->from.addr.family == 0 ? NULL : &w->rk->from, x)) == NULL) {
		free(x);
		return NULL;
	}
	x->next = w->rk->clients;
	w->rk->clients = x;
	return x;
}

void
rk_hello(struct rkclient *x, const char *json, struct buf *b)
{
	size_t n = strlen(json);
	uint8_t *to, nonce[24];

	memset(nonce, 0x11, sizeof(nonce));
	memcpy(nonce, &x->who, sizeof(x->who));
	buf_u8(b, 2);
	buf_u32(b, (uint32_t)(32 + 24 + n + crypto_box_MACBYTES));
	buf_put(b, x->pub, 32);
	buf_put(b, nonce, 24);
	to = buf_room(b, n + crypto_box_MACBYTES);
	if (crypto_box_easy(to, (const uint8_t *)json, n, nonce, x->rk->pub,
	    x->priv) != 0)
		fatalx("relaykit: crypto_box");
	b->n += n + crypto_box_MACBYTES;
}

/* What the client sent goes in, what is there for it comes out. */
static bool
move(struct rkclient *x)
{
	uint8_t *b;
	size_t n;
	bool any = false;

	if (x->c == NULL || relay_is_done(x->c))
		return false;
	if (x->to.n != 0 && relay_wants_input(x->c)) {
		n = relay_input(x->c, x->to.p, x->to.n);
		buf_drain(&x->to, n);
		any = n != 0;
	}
	while (!x->stuck && relay_wants_output(x->c)) {
		b = buf_room(&x->from, SLICE);
		if ((n = relay_output(x->c, b, SLICE)) == 0)
			fatalx("relaykit: output that is none");
		x->from.n += n;
		any = true;
	}
	return any;
}

void
rk_octets(struct rkclient *x, const void *p, size_t n)
{
	buf_put(&x->to, p, n);
	(void)move(x);
}

void
rk_frame(struct rkclient *x, uint8_t type, const void *p, size_t n)
{
	struct buf b = { 0 };

	buf_u8(&b, type);
	buf_u32(&b, (uint32_t)n);
	buf_put(&b, p, n);
	rk_octets(x, b.p, b.n);
	buf_free(&b);
}

void
rk_put_send(struct buf *b, const uint8_t dst[32], const void *p, size_t n)
{
	buf_u8(b, 4);
	buf_u32(b, (uint32_t)(32 + n));
	buf_put(b, dst, 32);
	buf_put(b, p, n);
}

void
rk_send(struct rkclient *x, const uint8_t dst[32], const void *p, size_t n)
{
	struct buf b = { 0 };

	rk_put_send(&b, dst, p, n);
	rk_octets(x, b.p, b.n);
	buf_free(&b);
}

static void
next_is_gone(struct rkclient *x, size_t n)
{
	buf_drain(&x->from, n);
}

static bool
peek(struct rkclient *x, uint8_t *type, struct slice *s)
{
	struct rd r;

	rd_init(&r, x->from.p, x->from.n);
	*type = rd_u8(&r);
	s->n = rd_u32(&r);
	s->p = (const char *)rd_take(&r, s->n);
	return !r.bad;
}

bool
rk_next(struct rkclient *x, uint8_t *type, struct slice *s)
{
	static uint8_t copy[70000];

	if (!peek(x, type, s))
		return false;
	if (s->n > sizeof(copy))
		fatalx("relaykit: a frame of %zu octets", s->n);
	if (s->n != 0)
		memcpy(copy, s->p, s->n);
	next_is_gone(x, 5 + s->n);
	s->p = (const char *)copy;
	return true;
}

bool
rk_got(struct rkclient *x, const struct rkclient *src, const void *p, size_t n)
{
	struct slice s;
	uint8_t type;

	return rk_next(x, &type, &s) && type == 5 && s.n == 32 + n &&
	    (src == NULL || memcmp(s.p, src->pub, 32) == 0) &&
	    (n == 0 || memcmp(s.p + 32, p, n) == 0);
}

bool
rk_got_gone(struct rkclient *x, const struct rkclient *who, uint8_t why)
{
	struct slice s;
	uint8_t type;

	return rk_next(x, &type, &s) && type == 8 && s.n == 33 &&
	    memcmp(s.p, who->pub, 32) == 0 && (uint8_t)s.p[32] == why;
}

bool
rk_silent(struct rkclient *x)
{
	return x->from.n == 0;
}

unsigned int
rk_packets(struct rkclient *x)
{
	unsigned int n = 0;
	struct slice s;
	uint8_t type;
	size_t at = 0;

	while (peek(x, &type, &s)) {
		n += type == 5;
		at = 5 + s.n;
		next_is_gone(x, at);
	}
	return n;
}

bool
rk_admitted(struct rkclient *x)
{
	uint8_t type, plain[64];
	struct slice s;

	if (!rk_next(x, &type, &s) || type != 1 || s.n != 40 ||
	    memcmp(s.p + 8, x->rk->pub, 32) != 0)
		return false;
	return rk_next(x, &type, &s) && type == 3 && s.n == 24 + 16 + 13 &&
	    crypto_box_open_easy(plain, (const uint8_t *)s.p + 24, s.n - 24,
	    (const uint8_t *)s.p, x->rk->pub, x->priv) == 0 &&
	    memcmp(plain, "{\"version\":2}", 13) == 0;
}

void
rk_greet(struct rkclient *x)
{
	struct buf b = { 0 };

	rk_hello(x, RK_INFO, &b);
	rk_octets(x, b.p, b.n);
	buf_free(&b);
	rk_run(x->rk);
}

struct rkclient *
rk_login(struct rkworker *w, uint32_t who)
{
	struct rkclient *x;

	if ((x = rk_connect(w, who)) == NULL)
		fatalx("relaykit: no connection");
	rk_greet(x);
	if (!rk_admitted(x))
		fatalx("relaykit: client %u was not admitted", who);
	return x;
}

void
rk_close(struct rkclient *x)
{
	if (x->c != NULL)
		relay_client_gone(x->c);
	x->c = NULL;
}

bool
rk_is_done(const struct rkclient *x)
{
	return x->c == NULL || relay_is_done(x->c);
}

/* The world. */

void
rk_run(struct rk *rk)
{
	struct rkclient *x;
	struct rkworker *w;
	unsigned int i, k;
	bool any;

	do {
		any = false;
		fakeenv_advance(rk->fake, 0);
		for (i = 0; i < rk->n; i++) {
			w = &rk->worker[i];
			if (w->key != NULL && pair_run(w->key) != 0)
				any = true;
			if (w->db != NULL && pair_run(w->db) != 0)
				any = true;
			for (k = i + 1; k < rk->n; k++)
				if (w->mesh[k] != NULL &&
				    pair_run(w->mesh[k]) != 0)
					any = true;
		}
		for (x = rk->clients; x != NULL; x = x->next)
			if (move(x))
				any = true;
	} while (any);
}

void
rk_pass(struct rk *rk, uint64_t us)
{
	uint64_t end = env_now(rk->env) + us, step;

	while (env_now(rk->env) < end) {
		step = end - env_now(rk->env);
		fakeenv_advance(rk->fake, step < 50000 ? step : 50000);
		rk_run(rk);
	}
}

static void
worker_end(struct rkworker *w)
{
	struct rkclient *x;
	unsigned int i;

	for (x = w->rk->clients; x != NULL; x = x->next)
		if (x->worker == w)
			x->c = NULL;
	relay_free(w->relay);
	w->relay = NULL;
	pair_free(w->key);
	pair_free(w->db);
	w->key = w->db = NULL;
	for (i = 0; i < RK_WORKERS; i++)
		if (w->mesh[i] != NULL) {
			pair_kill(w->mesh[i], i + 1 < w->slot ? PAIR_B :
			    PAIR_A);
			rk_run(w->rk);
			pair_free(w->mesh[i]);
			w->mesh[i] = NULL;
			w->rk->worker[i].mesh[w->slot - 1] = NULL;
		}
}

void
rk_kill(struct rkworker *w)
{
	struct rk *rk = w->rk;
	size_t i = 0;

	worker_end(w);
	while (i < rk->nconns)
		if (rk->conns[i].worker == w)
			drop_conn(rk, &rk->conns[i]);
		else
			i++;
	rk_run(rk);
}

struct rk *
rk_new(unsigned int n, const struct relay_conf *conf)
{
	static const struct relay_conf usual = { 0, 0, 2000, 100, 0 };
	static const struct ipport from = { { 4, { 192, 0, 2, 1 } }, 4242 };
	struct relay_ops ops = { on_kick, NULL };
	struct rk *rk;
	unsigned int i, k;

	rk = xcalloc(1, sizeof(*rk));
	rk->fake = fakeenv_new(3);
	rk->env = fakeenv_env(rk->fake);
	rk->conf = conf != NULL ? *conf : usual;
	rk->from = from;
	rk->n = n;
	for (i = 0; i < sizeof(rk->nonce); i++)
		rk->nonce[i] = (uint8_t)(0xc0 + i);
	if (!hex_dec(rk->priv, 32, slice_str(RK_PRIV)))
		fatalx("relaykit: key");
	(void)crypto_scalarmult_base(rk->pub, rk->priv);
	for (i = 0; i < n; i++) {
		rk->worker[i].rk = rk;
		rk->worker[i].slot = (uint16_t)(i + 1);
		rk->worker[i].generation = 100;
		rk->worker[i].relay = relay_new(rk->env, (uint16_t)(i + 1),
		    &rk->conf, &ops);
	}
	for (i = 0; i < n; i++)
		for (k = i + 1; k < n; k++)
			mesh_up(&rk->worker[i], &rk->worker[k]);
	rk_keyd(rk, true);
	rk_dbd(rk, true);
	return rk;
}

void
rk_free(struct rk *rk)
{
	struct rkclient *x;
	unsigned int i;

	for (i = 0; i < rk->n; i++)
		if (rk->worker[i].relay != NULL)
			worker_end(&rk->worker[i]);
	while ((x = rk->clients) != NULL) {
		rk->clients = x->next;
		buf_free(&x->to);
		buf_free(&x->from);
		free(x);
	}
	free(rk->conns);
	fakeenv_free(rk->fake);
	free(rk);
}

const struct relay_counters *
rk_count(const struct rkworker *w)
{
	return relay_counters(w->relay);
}
