#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/ticket.h"
#include "dbd/batch_int.h"
#include "dbd/objects_int.h"
#include "dbd/relay_int.h"

/* Connections of one worker, if no other: limits.connections at its most. */
#define CONNS_MAX	1000000
#define OF_KEY_MAX	4	/* connections of a key, on this host; but */
#define OF_WORKER_MAX	8	/* a worker's own CLOSE may be on its way */
#define ACTIVE_US	(1 * US_PER_S)	/* it may have a key no more often */
#define LOGINS		8	/* of a key at once, then */
#define LOGIN_US	(500 * US_PER_MS)	/* one more each */

enum relay_refusal {
	RELAY_UNKNOWN = 1,	/* the numbers of DB_RELAY_NO */
	RELAY_EXPIRED = 2,
	RELAY_USED = 3,
	RELAY_BUSY = 4
};

struct relay_key;

/* One connection. */
struct relay_conn {
	TAILQ_ENTRY(relay_conn)	 of_worker;
	TAILQ_ENTRY(relay_conn)	 of_key;
	struct worker		*worker;
	struct relay_key	*key;
	struct ixlink		 by_serial;	/* worker */
	uint64_t		 serial_gen;
	uint64_t		 serial;
	uint64_t		 active_at;	/* it spoke; 0: never */
};

/* All connections of a key; the one that has it is the first. */
struct relay_key {
	struct ixlink		 by_key;	/* dbd */
	struct relay_conn_list	 conns;
	unsigned int		 nconns;
	uint64_t		 full_at;	/* its bucket of logins is */
	TAILQ_ENTRY(relay_key)	 spent;		/* without connections */
	uint8_t			 key[KEY_LEN];
	uint64_t		 tailnet;	/* 0: a guest */
	uint64_t		 node;
};

/* The name of a connection among those of its worker. */
struct serial {
	uint64_t		 gen;
	uint64_t		 n;
};

static struct relay_key *
key_find(struct dbd *d, const uint8_t key[KEY_LEN])
{
	struct ixlink *l;
	struct relay_key *k;

	for (l = ix_find(&d->relay_keys, key, KEY_LEN); l != NULL;
	    l = ix_more(l)) {
		k = l->obj;
		if (memcmp(k->key, key, KEY_LEN) == 0)
			return k;
	}
	return NULL;
}

static struct relay_conn *
conn_find(const struct worker *w, uint64_t gen, uint64_t serial)
{
	struct serial s = { gen, serial };
	struct relay_conn *c;
	struct ixlink *l;

	for (l = ix_find(&w->relay_ix, &s, sizeof(s)); l != NULL;
	    l = ix_more(l)) {
		c = l->obj;
		if (c->serial_gen == gen && c->serial == serial)
			return c;
	}
	return NULL;
}

static void
key_free(struct dbd *d, struct relay_key *k)
{
	ix_del(&d->relay_keys, &k->by_key);
	free(k);
}

/* Whose bucket is full again is like one that was never here. */
static void
spent_free(struct dbd *d)
{
	uint64_t now = env_now(d->env);
	struct relay_key *k;

	while ((k = TAILQ_FIRST(&d->relay_spent)) != NULL &&
	    (k->full_at <= now || d->freeing)) {
		TAILQ_REMOVE(&d->relay_spent, k, spent);
		key_free(d, k);
	}
}

/* Its last connection is gone; its bucket has to be kept. */
static void
key_spend(struct dbd *d, struct relay_key *k)
{
	spent_free(d);
	if (d->freeing || k->full_at <= env_now(d->env))
		key_free(d, k);
	else
		TAILQ_INSERT_TAIL(&d->relay_spent, k, spent);
}

static struct relay_key *
key_get(struct dbd *d, const uint8_t key[KEY_LEN])
{
	struct relay_key *k;

	spent_free(d);
	if ((k = key_find(d, key)) != NULL) {
		if (TAILQ_EMPTY(&k->conns))
			TAILQ_REMOVE(&d->relay_spent, k, spent);
		return k;
	}
	k = xcalloc(1, sizeof(*k));
	memcpy(k->key, key, KEY_LEN);
	TAILQ_INIT(&k->conns);
	ix_add(&d->relay_keys, &k->by_key, k->key, KEY_LEN, k);
	return k;
}

/* When the key's bucket would be full without another login. */
static uint64_t
full_at(const struct dbd *d, const struct relay_key *k)
{
	uint64_t now = env_now(d->env);

	return k == NULL || k->full_at < now ? now : k->full_at;
}

/* Each login is told to all workers: one key must not make much of that. */
static bool
key_may(struct dbd *d, const uint8_t key[KEY_LEN])
{
	return full_at(d, key_find(d, key)) + LOGIN_US <=
	    env_now(d->env) + LOGINS * LOGIN_US;
}

/* What workers are told. */

static void
say_at(struct worker *w, const struct relay_key *k)
{
	const struct relay_conn *c = TAILQ_FIRST(&k->conns);
	struct m_db_relay_at *at;
	struct msg m;

	msg_init(&m, M_DB_RELAY_AT);
	at = &m.u.db_relay_at;
	memcpy(at->key, k->key, KEY_LEN);
	at->tailnet = k->tailnet;
	at->slot = c->worker->slot;
	at->generation = c->worker->generation;
	at->serial_gen = c->serial_gen;
	at->serial = c->serial;
	batch_reply(w->d, w->link, &m);
}

static void
publish(struct dbd *d, const struct relay_key *k)
{
	struct worker *w;
	struct msg m;

	msg_init(&m, M_DB_RELAY_GONE);
	memcpy(m.u.db_relay_gone.key, k->key, KEY_LEN);
	m.u.db_relay_gone.tailnet = k->tailnet;
	TAILQ_FOREACH(w, &d->workers, all) {
		if (link_state(w->link) != MSG_RUN)
			continue;	/* relay_hello() says it */
		if (TAILQ_EMPTY(&k->conns))
			batch_reply(d, w->link, &m);
		else
			say_at(w, k);
	}
}

static void
say_end(struct worker *w, uint64_t gen, uint64_t serial)
{
	struct msg m;

	msg_init(&m, M_DB_RELAY_END);
	m.u.db_relay_end.serial_gen = gen;
	m.u.db_relay_end.serial = serial;
	batch_reply(w->d, w->link, &m);
}

static void
say_told(struct worker *w)
{
	struct msg m;

	msg_init(&m, M_DB_RELAY_TOLD);
	batch_reply(w->d, w->link, &m);
}

/* Connections. */

static bool
newer(const struct relay_conn *a, const struct relay_conn *b)
{
	if (a->serial_gen != b->serial_gen)
		return a->serial_gen > b->serial_gen;
	return a->serial > b->serial;
}

/* By age, the newest first; an older one may come late, in a hello. */
static void
conn_place(struct relay_key *k, struct relay_conn *c)
{
	struct relay_conn *at;

	TAILQ_FOREACH(at, &k->conns, of_key)
		if (newer(c, at)) {
			TAILQ_INSERT_BEFORE(at, c, of_key);
			return;
		}
	TAILQ_INSERT_TAIL(&k->conns, c, of_key);
}

static void
conn_del(struct relay_conn *c)
{
	struct relay_key *k = c->key;
	struct worker *w = c->worker;
	bool had = TAILQ_FIRST(&k->conns) == c;

	ix_del(&w->relay_ix, &c->by_serial);
	TAILQ_REMOVE(&w->relay, c, of_worker);
	TAILQ_REMOVE(&k->conns, c, of_key);
	k->nconns--;
	free(c);
	if (had && !w->d->freeing)
		publish(w->d, k);
	if (TAILQ_EMPTY(&k->conns))
		key_spend(w->d, k);
}

static void
conn_end(struct relay_conn *c)
{
	say_end(c->worker, c->serial_gen, c->serial);
	conn_del(c);
}

static struct relay_key *
conn_add(struct worker *w, const struct r_ticket *t, const struct node *n)
{
	struct serial s = { t->serial_gen, t->serial };
	struct dbd *d = w->d;
	struct relay_conn *c, *was;
	struct relay_key *k = key_get(d, t->key);

	k->tailnet = n == NULL ? 0 : n->tn->id;
	k->node = n == NULL ? 0 : n->r.id;
	was = TAILQ_FIRST(&k->conns);
	c = xcalloc(1, sizeof(*c));
	c->worker = w;
	c->key = k;
	c->serial_gen = t->serial_gen;
	c->serial = t->serial;
	ix_add(&w->relay_ix, &c->by_serial, &s, sizeof(s), c);
	TAILQ_INSERT_TAIL(&w->relay, c, of_worker);
	conn_place(k, c);
	k->nconns++;
	if (TAILQ_FIRST(&k->conns) != was)
		publish(d, k);
	return k;
}

/*
 * Whose ticket it is; *why is 0 if it may use the relay, and *np NULL then if
 * it is a guest.
 */
static void
admit(struct dbd *d, const uint8_t key[KEY_LEN], struct node **np,
    enum relay_refusal *why)
{
	struct node *n = node_find_key(d, key);

	if (n == NULL)
		n = relay_old_node(d, key);
	*why = 0;
	if (n == NULL) {
		if (d->conf.verify_clients)
			*why = RELAY_UNKNOWN;
	} else if (node_expired(n, env_wall(d->env)))
		*why = RELAY_EXPIRED;
	*np = n;
}

/* How many connections of the key this worker says to have. */
static unsigned int
held_here(const struct worker *w, const struct relay_key *k)
{
	const struct relay_conn *c;
	unsigned int n = 0;

	if (k != NULL)
		TAILQ_FOREACH(c, &k->conns, of_key)
			n += c->worker == w;
	return n;
}

static void
end_oldest(const struct worker *w, struct relay_key *k)
{
	struct relay_conn *c;

	TAILQ_FOREACH_REVERSE(c, &k->conns, relay_conn_list, of_key)
		if (c->worker == w)
			break;
	if (c != NULL)
		conn_end(c);
}

/*
 * The worker has one more of the key, and was told so before: an END for what
 * is not live there yet would be in vain.  While all are its own it is left to
 * it which goes, for it knows who was silent for how long.  But a client can
 * log in faster than it learns that, and that is not the worker's fault.
 */
static void
trim(const struct worker *w, struct relay_key *k)
{
	while (k->nconns > OF_KEY_MAX && held_here(w, k) <= OF_KEY_MAX)
		conn_end(TAILQ_LAST(&k->conns, relay_conn_list));
	while (held_here(w, k) > OF_WORKER_MAX)
		end_oldest(w, k);
}

/* The ticket is a relay client's and this worker's, and is not in use. */
static bool
claim_ok(struct worker *w, const struct r_ticket *t)
{
	if (ticket_check(t, secret_data(w->d->secret), TICKET_DERP, w->slot,
	    w->generation) && conn_find(w, t->serial_gen, t->serial) == NULL)
		return true;
	link_violation(w->link, LINK_FORGED);
	return false;
}

static uint32_t
conns_max(const struct worker *w)
{
	uint32_t max = w->d->conf.relay_conns;

	return max == 0 ? CONNS_MAX : max;
}

/*
 * A ticket opens a connection once: keyd counts serials up, and a worker asks
 * as soon as it has one.  So what is far below the newest is old, and of the
 * others it is remembered.
 */
static bool
serial_used(struct worker *w, const struct r_ticket *t)
{
	struct serials *u = &w->relay_used;
	uint64_t i;
	uint8_t *octet, bit;

	if (t->serial_gen > u->gen) {
		memset(u, 0, sizeof(*u));
		u->gen = t->serial_gen;
	}
	if (t->serial_gen < u->gen || (u->newest >= SERIALS &&
	    t->serial <= u->newest - SERIALS))
		return true;
	for (i = u->newest + 1; i <= t->serial &&
	    i <= u->newest + SERIALS; i++)
		u->bits[i % SERIALS / 8] &= (uint8_t)~(1U << i % 8);
	if (t->serial > u->newest)
		u->newest = t->serial;
	octet = &u->bits[t->serial % SERIALS / 8];
	bit = (uint8_t)(1U << t->serial % 8);
	if ((*octet & bit) != 0)
		return true;
	*octet |= bit;
	return false;
}

void
on_relay_hold(struct worker *w, const struct msg *m)
{
	const struct r_ticket *t = &m->u.db_relay_hold.ticket;
	enum relay_refusal why;
	struct node *n;

	/* Here it has all of them, four of a key at most. */
	if (++w->relay_holds > conns_max(w) ||
	    held_here(w, key_find(w->d, t->key)) >= OF_WORKER_MAX) {
		link_violation(w->link, LINK_OVERFLOW);
		return;
	}
	if (!claim_ok(w, t))
		return;
	admit(w->d, t->key, &n, &why);
	if (why != 0)
		say_end(w, t->serial_gen, t->serial);
	else
		trim(w, conn_add(w, t, n));
}

void
on_relay_open(struct worker *w, const struct msg *m)
{
	const struct r_ticket *t = &m->u.db_relay_open.ticket;
	struct relay_key *k = NULL;
	enum relay_refusal why;
	struct node *n = NULL;
	struct msg r;

	if (!claim_ok(w, t))
		return;
	if (serial_used(w, t))
		why = RELAY_USED;
	else
		admit(w->d, t->key, &n, &why);
	if (why == 0 && (w->relay_ix.n >= conns_max(w) ||
	    !key_may(w->d, t->key)))
		why = RELAY_BUSY;
	if (why != 0) {
		w->d->counts.relay_refused++;
		msg_init(&r, M_DB_RELAY_NO);
		r.u.db_relay_no.why = (uint8_t)why;
	} else {
		k = conn_add(w, t, n);
		k->full_at = full_at(w->d, k) + LOGIN_US;
		w->d->counts.relay_logins++;
		msg_init(&r, M_DB_RELAY_OK);
		if (n != NULL) {
			r.u.db_relay_ok.tailnet = n->tn->id;
			r.u.db_relay_ok.node = n->r.id;
		}
	}
	r.id = m->id;
	batch_reply(w->d, w->link, &r);
	if (k != NULL)
		trim(w, k);
}

/* One that we ended meanwhile is no fault. */
void
on_relay_close(struct worker *w, const struct msg *m)
{
	struct relay_conn *c;

	c = conn_find(w, m->u.db_relay_close.serial_gen,
	    m->u.db_relay_close.serial);
	if (c != NULL)
		conn_del(c);
}

void
on_relay_active(struct worker *w, const struct msg *m)
{
	uint64_t now = env_now(w->d->env);
	struct relay_conn *c;
	struct relay_key *k;

	c = conn_find(w, m->u.db_relay_active.serial_gen,
	    m->u.db_relay_active.serial);
	if (c == NULL || TAILQ_FIRST(&c->key->conns) == c ||
	    (c->active_at != 0 && now < c->active_at + ACTIVE_US))
		return;
	c->active_at = now;
	k = c->key;
	TAILQ_REMOVE(&k->conns, c, of_key);
	TAILQ_INSERT_HEAD(&k->conns, c, of_key);
	publish(w->d, k);
}

void
on_node_key(struct worker *w, const struct msg *m)
{
	const struct node *n = node_find_key(w->d, m->u.db_node_key.key);
	struct msg r;

	if (n == NULL)
		n = relay_old_node(w->d, m->u.db_node_key.key);
	msg_init(&r, M_DB_NODE_KEY_OK);
	r.id = m->id;
	r.u.db_node_key_ok.allow = n != NULL &&
	    !node_expired(n, env_wall(w->d->env));
	batch_reply(w->d, w->link, &r);
}

/* Who comes and goes. */

void
relay_hello(struct worker *w)
{
	struct relay_conn *c;
	struct worker *o;

	TAILQ_FOREACH(o, &w->d->workers, all)
		TAILQ_FOREACH(c, &o->relay, of_worker)
			if (TAILQ_FIRST(&c->key->conns) == c)
				say_at(w, c->key);
	if (!w->d->in_window)
		say_told(w);
}

void
relay_window_over(struct dbd *d)
{
	struct worker *w;

	TAILQ_FOREACH(w, &d->workers, all)
		if (link_state(w->link) == MSG_RUN)
			say_told(w);
}

void
relay_worker_gone(struct worker *w)
{
	struct relay_conn *c;

	while ((c = TAILQ_FIRST(&w->relay)) != NULL)
		conn_del(c);
}

static void
key_end(struct relay_key *k)
{
	struct relay_conn *c, *next;

	/* With the last one the key itself may go. */
	for (c = TAILQ_FIRST(&k->conns); c != NULL; c = next) {
		next = TAILQ_NEXT(c, of_key);
		conn_end(c);
	}
}

void
relay_look(struct dbd *d, const uint8_t key[KEY_LEN])
{
	struct relay_key *k;
	enum relay_refusal why;
	struct node *n;

	if (d->freeing || (k = key_find(d, key)) == NULL)
		return;
	admit(d, key, &n, &why);
	/* Another node than it was let in for has to log in again, too. */
	if (why != 0 || (n == NULL ? k->node != 0 : k->node != n->r.id))
		key_end(k);
}

void
relay_init(struct dbd *d)
{
	ix_init(&d->relay_keys, d->env);
	TAILQ_INIT(&d->relay_spent);
	relay_old_init(d);
}

void
relay_end(struct dbd *d)
{
	spent_free(d);
	relay_old_end(d);
	ix_free(&d->relay_keys);
}

void
relay_conf_changed(struct dbd *d)
{
	struct relay_conn *c, *next;
	struct worker *w;

	if (!d->conf.verify_clients)
		return;
	TAILQ_FOREACH(w, &d->workers, all)
		TAILQ_FOREACH_SAFE(c, &w->relay, of_worker, next)
			if (c->key->node == 0)
				conn_end(c);
}
