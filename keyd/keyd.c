#include <stdlib.h>
#include <string.h>

#include "common/compat/compat.h"
#include "common/log.h"
#include "common/str.h"
#include "common/ticket.h"
#include "keyd/acme.h"
#include "keyd/cells.h"
#include "keyd/keyd_int.h"

/*
 * A handshake of this age makes room for a new one when the bound is reached:
 * a client that is there has sent its first record a round trip later.
 */
#define YIELD_US	(500 * US_PER_MS)

/* Logins to the relay of one worker: a second, and at once. */
#define LOGINS_RATE	200
#define LOGINS_BURST	512
#define SAY_US		(10 * US_PER_S)	/* between two lines about it */

/*
 * WAITS	the initiation stands in line: load, or the bound
 * READY	answered; the client's first record has not come
 * PROVES	the record stands in line
 */
enum hs_state {
	HS_WAITS,
	HS_READY,
	HS_PROVES
};

struct handshake {
	RB_ENTRY(handshake)	 by_conn;
	TAILQ_ENTRY(handshake)	 line;		/* the one of its state */
	struct worker		*worker;
	struct timer		 expiry;	/* in READY */
	uint64_t		 since;		/* in READY */
	enum hs_state		 state;
	uint32_t		 conn;
	uint32_t		 request;	/* that is owed its answer */
	uint16_t		 capver;
	uint8_t			 machine[NOISE_KEY];
	uint8_t			*c2s;		/* a cell, or NULL */
	uint8_t			*octets;	/* initiation or record */
	size_t			 n;
};

/* A login to the relay that stands in line. */
struct login {
	TAILQ_ENTRY(login)	 line;
	uint32_t		 conn;
	uint32_t		 request;
	uint8_t			 client[DERP_KEY];
	uint8_t			 nonce[DERP_NONCE];
	size_t			 n;
	uint8_t			 box[];
};

RB_HEAD(conns, handshake);
TAILQ_HEAD(line, handshake);

struct worker {
	TAILQ_ENTRY(worker)	 turn;
	struct keyd		*keyd;
	struct link		*link;
	struct conns		 conns;
	struct line		 waits;
	struct line		 ready;		/* by age */
	struct line		 proves;
	TAILQ_HEAD(, login)	 logins;
	bool			 login_was_last;	/* now an initiation */
	struct timer		 pace;		/* a login may be had again */
	struct budget		 budget;	/* of its logins */
	uint32_t		 unconfirmed;	/* READY and PROVES */
	struct timer		 room;		/* the oldest may yield */
	uint64_t		 said_at;	/* 0: never */
	uint32_t		 yielded;	/* since it was said */
};

/* What passes through on its way out. */
struct scratch {
	struct msg		 m;
	struct accepted		 accepted;
	uint8_t			 random[NOISE_KEY];
	uint8_t			 plain[NOISE_PLAIN];
	uint8_t			 info[DERP_INFO_MAX];
	struct derp_answer	 answer;
};

static int
conn_cmp(const struct handshake *a, const struct handshake *b)
{
	return a->conn < b->conn ? -1 : a->conn > b->conn;
}

RB_GENERATE_STATIC(conns, handshake, by_conn, conn_cmp)

struct keyd *
keyd_new(struct env *env, const struct keyd_conf *conf, struct secret *key,
    struct secret *boot, uint64_t generation)
{
	struct responder *r;
	struct keyd *k;

	if ((r = responder_new(key)) == NULL) {
		secret_free(boot);
		return NULL;
	}
	k = xcalloc(1, sizeof(*k));
	k->env = env;
	k->conf = *conf;
	k->responder = r;
	k->boot = boot;
	k->signer = signer_new();
	k->scratch = secret_new(sizeof(struct scratch));
	k->cells = cells_new(NOISE_KEY);
	k->generation = generation;
	k->logins.rate = DERP_LOGINS_RATE;
	k->logins.burst = DERP_LOGINS_BURST;
	TAILQ_INIT(&k->workers);
	return k;
}

static void
handshake_free(struct handshake *h)
{
	struct worker *w = h->worker;

	timer_stop(&h->expiry);
	switch (h->state) {
	case HS_WAITS:
		TAILQ_REMOVE(&w->waits, h, line);
		break;
	case HS_PROVES:
		TAILQ_REMOVE(&w->proves, h, line);
		w->unconfirmed--;
		break;
	case HS_READY:
		TAILQ_REMOVE(&w->ready, h, line);
		w->unconfirmed--;
		break;
	}
	RB_REMOVE(conns, &w->conns, h);
	w->keyd->counts.waiting--;
	cells_put(w->keyd->cells, h->c2s);
	free(h->octets);
	free(h);
}

static void
login_free(struct worker *w, struct login *g)
{
	TAILQ_REMOVE(&w->logins, g, line);
	wipe(g->box, g->n);
	free(g);
}

static void
worker_free(struct worker *w)
{
	struct handshake *h;
	struct login *g;

	while ((h = RB_ROOT(&w->conns)) != NULL)
		handshake_free(h);
	while ((g = TAILQ_FIRST(&w->logins)) != NULL)
		login_free(w, g);
	timer_stop(&w->room);
	timer_stop(&w->pace);
	TAILQ_REMOVE(&w->keyd->workers, w, turn);
	free(w);
}

void
keyd_free(struct keyd *k)
{
	struct worker *w;

	if (k == NULL)
		return;
	while ((w = TAILQ_FIRST(&k->workers)) != NULL)
		worker_free(w);
	cells_free(k->cells);
	secret_free(k->scratch);
	secret_free(k->boot);
	responder_free(k->responder);
	derp_free(k->derp);
	signer_free(k->signer);
	signer_free(k->before);
	acme_free(k->acme);
	buf_free(&k->cert);
	free(k);
}

void
keyd_reconf(struct keyd *k, const struct keyd_conf *conf)
{
	k->conf = *conf;
}

const uint8_t *
keyd_public(const struct keyd *k)
{
	return responder_public(k->responder);
}

const struct r_counters *
keyd_counters(const struct keyd *k)
{
	return &k->counts;
}

static struct worker *
worker_of(struct keyd *k, const struct link *l)
{
	struct worker *w;

	TAILQ_FOREACH(w, &k->workers, turn) {
		if (w->link == l)
			return w;
	}
	return NULL;
}

static void
say_server(struct worker *w)
{
	const struct keyd *k = w->keyd;
	struct msg m;

	msg_init(&m, M_KEY_SERVER);
	memcpy(m.u.key_server.public, keyd_public(k), NOISE_KEY);
	if (k->derp != NULL)
		memcpy(m.u.key_server.derp, derp_public(k->derp), DERP_KEY);
	link_send(w->link, &m);
}

static void
say_cert(struct worker *w)
{
	const struct keyd *k = w->keyd;
	struct msg m;

	msg_init(&m, M_KEY_CERT);
	m.u.key_cert.key = TLSKEY_SELF;
	m.u.key_cert.der = buf_slice_of(&k->cert);
	link_send(w->link, &m);
}

bool
keyd_relay(struct keyd *k, struct secret *key, const char **why)
{
	struct worker *w;
	struct derp *d;

	if ((d = derp_new(k->env, key, DERP_LOGINS_MAX)) == NULL)
		*why = "the key is zero";
	else if (memcmp(derp_public(d), keyd_public(k), DERP_KEY) == 0)
		*why = "the relay must have a key of its own, not the Noise "
		    "key";
	else {
		derp_free(k->derp);
		k->derp = d;
		TAILQ_FOREACH(w, &k->workers, turn)
			say_server(w);
		return true;
	}
	derp_free(d);
	return false;
}

const uint8_t *
keyd_relay_public(const struct keyd *k)
{
	return k->derp == NULL ? NULL : derp_public(k->derp);
}

void
keyd_signer(struct keyd *k, struct signer *s, uint32_t epoch,
    const uint8_t *der, size_t n)
{
	struct worker *w;

	signer_share_acme(k->signer, s);
	signer_free(k->before);
	k->before = k->signer;
	k->before_epoch = k->epoch;
	k->signer = s;
	k->epoch = epoch & TLSKEY_EPOCH_MASK;
	k->next = NULL;
	buf_clear(&k->cert);
	buf_put(&k->cert, der, n);
	TAILQ_FOREACH(w, &k->workers, turn)
		say_cert(w);
}

/* keyd_turn() comes after each timer, and that is all there is to do. */
static void
on_room(void *arg)
{
	(void)arg;
}

void
keyd_up(struct keyd *k, struct link *l)
{
	struct worker *w;

	w = xcalloc(1, sizeof(*w));
	w->keyd = k;
	w->link = l;
	RB_INIT(&w->conns);
	TAILQ_INIT(&w->waits);
	TAILQ_INIT(&w->ready);
	TAILQ_INIT(&w->proves);
	TAILQ_INIT(&w->logins);
	timer_init(&w->room, k->env, on_room, w);
	timer_init(&w->pace, k->env, on_room, w);
	w->budget.rate = LOGINS_RATE;
	w->budget.burst = LOGINS_BURST;
	TAILQ_INSERT_TAIL(&k->workers, w, turn);
	/* A worker that knows our key shows what is of this key. */
	say_cert(w);
	say_server(w);
}

void
keyd_down(struct keyd *k, struct link *l)
{
	struct worker *w;

	if ((w = worker_of(k, l)) != NULL)
		worker_free(w);
}

static struct handshake *
handshake_find(struct worker *w, uint32_t conn)
{
	struct handshake key;

	key.conn = conn;
	return RB_FIND(conns, &w->conns, &key);
}

static void
on_expiry(void *arg)
{
	struct handshake *h = arg;

	log_debug("handshake expired worker=%u conn=%u",
	    (unsigned int)link_slot(h->worker->link), (unsigned int)h->conn);
	h->worker->keyd->counts.expired++;
	handshake_free(h);
}

static void
answer_no(struct worker *w, uint32_t request, uint32_t conn, enum refusal why)
{
	struct msg m;

	log_debug("handshake refused worker=%u conn=%u why=%d",
	    (unsigned int)link_slot(w->link), (unsigned int)conn, (int)why);
	/* One that the worker dropped was not refused by us. */
	if (why != REFUSED_UNKNOWN)
		w->keyd->counts.refused++;
	msg_init(&m, M_KEY_NOISE_NO);
	m.id = request;
	m.u.key_noise_no.conn = conn;
	m.u.key_noise_no.why = (uint8_t)why;
	link_reply(w->link, &m);
}

static void
keep_octets(struct handshake *h, const struct msg *m, const void *p, size_t n)
{
	h->request = m->id;
	h->octets = xmalloc(n);
	memcpy(h->octets, p, n);
	h->n = n;
}

static int
on_accept(struct worker *w, const struct msg *m)
{
	const struct m_key_noise_accept *in = &m->u.key_noise_accept;
	struct handshake *h;

	if (handshake_find(w, in->conn) != NULL)
		return -1;
	h = xcalloc(1, sizeof(*h));
	h->worker = w;
	h->conn = in->conn;
	h->state = HS_WAITS;
	timer_init(&h->expiry, w->keyd->env, on_expiry, h);
	keep_octets(h, m, in->init, sizeof(in->init));
	(void)RB_INSERT(conns, &w->conns, h);
	w->keyd->counts.waiting++;
	TAILQ_INSERT_TAIL(&w->waits, h, line);
	return 0;
}

static int
on_confirm(struct worker *w, const struct msg *m)
{
	const struct m_key_noise_confirm *in = &m->u.key_noise_confirm;
	struct handshake *h;

	/* Expired, most likely: the worker could not know. */
	if ((h = handshake_find(w, in->conn)) == NULL) {
		answer_no(w, m->id, in->conn, REFUSED_UNKNOWN);
		return 0;
	}
	if (h->state != HS_READY)
		return -1;
	/* It came in time: standing in line does not count against it. */
	timer_stop(&h->expiry);
	TAILQ_REMOVE(&w->ready, h, line);
	h->state = HS_PROVES;
	keep_octets(h, m, in->record.p, in->record.n);
	TAILQ_INSERT_TAIL(&w->proves, h, line);
	return 0;
}

static int
on_drop(struct worker *w, const struct msg *m)
{
	struct handshake *h;

	if ((h = handshake_find(w, m->u.key_noise_drop.conn)) == NULL)
		return 0;
	if (h->state != HS_READY)
		answer_no(w, h->request, h->conn, REFUSED_UNKNOWN);
	handshake_free(h);
	return 0;
}

/* The bound is the table's credit. */
static int
on_hello(struct worker *w, const struct msg *m)
{
	const struct m_key_derp_hello *in = &m->u.key_derp_hello;
	struct login *g;

	g = xmalloc(sizeof(*g) + in->box.n);
	g->conn = in->conn;
	g->request = m->id;
	memcpy(g->client, in->client, sizeof(g->client));
	memcpy(g->nonce, in->nonce, sizeof(g->nonce));
	g->n = in->box.n;
	memcpy(g->box, in->box.p, g->n);
	TAILQ_INSERT_TAIL(&w->logins, g, line);
	return 0;
}

/*
 * Workers take a configuration into force when they come to it, before us or
 * after: whom a key's number belongs to is said with it.
 */
static struct signer *
signer_for(const struct keyd *k, unsigned int key, unsigned int *number)
{
	unsigned int epoch = TLSKEY_EPOCH(key);

	*number = TLSKEY_NUMBER(key);
	if (*number > TLSKEY_PAIRS)
		return epoch == 0 ? k->signer : NULL;
	if (epoch == k->epoch)
		return k->signer;
	if (k->before != NULL && epoch == k->before_epoch)
		return k->before;
	return k->next != NULL && epoch == k->next_epoch ? k->next : NULL;
}

void
keyd_signer_next(struct keyd *k, struct signer *s, uint32_t epoch)
{
	k->next = s;
	k->next_epoch = epoch & TLSKEY_EPOCH_MASK;
}

int
keyd_sig_msg(struct keyd *k, struct link *l, const struct msg *m)
{
	const struct m_sig_sign *in = &m->u.sig_sign;
	uint8_t sig[SIGNER_SIG_MAX];
	size_t n = sizeof(sig);
	enum signer_refusal why = SIGNER_REFUSED_KEY;
	struct signer *s;
	unsigned int number;
	struct msg r;

	if (m->type != M_SIG_SIGN)
		return -1;
	if ((s = signer_for(k, in->key, &number)) != NULL)
		why = signer_sign(s, number, in->scheme,
		    (const uint8_t *)in->octets.p, in->octets.n, sig, &n);
	if (why == SIGNER_REFUSED_NOT) {
		msg_init(&r, M_SIG_OK);
		r.u.sig_ok.signature = slice_mem(sig, n);
		k->counts.signatures++;
	} else {
		msg_init(&r, M_SIG_NO);
		r.u.sig_no.why = (uint8_t)why;
		log_debug("signature refused worker=%u key=%u scheme=%04x "
		    "why=%d", (unsigned int)link_slot(l),
		    (unsigned int)in->key, (unsigned int)in->scheme, (int)why);
	}
	r.id = m->id;
	link_reply(l, &r);
	return 0;
}

int
keyd_msg(struct keyd *k, struct link *l, const struct msg *m)
{
	struct worker *w;

	if ((w = worker_of(k, l)) == NULL)
		return -1;
	switch (m->type) {
	case M_KEY_NOISE_ACCEPT:
		return on_accept(w, m);
	case M_KEY_NOISE_CONFIRM:
		return on_confirm(w, m);
	case M_KEY_NOISE_DROP:
		return on_drop(w, m);
	case M_KEY_DERP_HELLO:
		return on_hello(w, m);
	default:
		return -1;
	}
}

static bool
is_full(const struct worker *w)
{
	return w->unconfirmed >= w->keyd->conf.pending_max;
}

/* The one that makes room if there is none; NULL: none is old enough. */
static struct handshake *
yields(const struct worker *w)
{
	struct handshake *h = TAILQ_FIRST(&w->ready);

	if (h == NULL || env_now(w->keyd->env) < h->since + YIELD_US)
		return NULL;
	return h;
}

/* Somebody keeps places without using them: worth a line, not one each. */
static void
say_yielded(struct worker *w)
{
	uint64_t now = env_now(w->keyd->env);

	w->yielded++;
	if (w->said_at != 0 && now < w->said_at + SAY_US)
		return;
	log_info("silent handshakes make room worker=%u max=%u ended=%u",
	    (unsigned int)link_slot(w->link),
	    (unsigned int)w->keyd->conf.pending_max,
	    (unsigned int)w->yielded);
	w->said_at = now;
	w->yielded = 0;
}

static void
make_room(struct worker *w)
{
	struct handshake *h;
	struct msg m;

	if (!is_full(w) || (h = yields(w)) == NULL)
		return;
	msg_init(&m, M_KEY_NOISE_GONE);
	m.u.key_noise_gone.conn = h->conn;
	handshake_free(h);
	w->keyd->counts.expired++;
	say_yielded(w);
	link_send(w->link, &m);
}

static void
accept_next(struct worker *w, struct scratch *s)
{
	struct handshake *h = TAILQ_FIRST(&w->waits);
	struct keyd *k = w->keyd;
	enum refusal why;

	env_random(k->env, s->random, sizeof(s->random));
	why = responder_accept(k->responder, h->octets, s->random,
	    &s->accepted);
	if (why != REFUSED_NOT) {
		answer_no(w, h->request, h->conn, why);
		handshake_free(h);
		return;
	}
	make_room(w);
	h->capver = s->accepted.capver;
	memcpy(h->machine, s->accepted.machine, NOISE_KEY);
	h->c2s = cells_get(k->cells);
	memcpy(h->c2s, s->accepted.c2s, NOISE_KEY);
	free(h->octets);
	h->octets = NULL;
	TAILQ_REMOVE(&w->waits, h, line);
	TAILQ_INSERT_TAIL(&w->ready, h, line);
	h->state = HS_READY;
	h->since = env_now(k->env);
	w->unconfirmed++;
	k->counts.handshakes++;
	timer_in(&h->expiry, k->conf.pending_ms * US_PER_MS);
	msg_init(&s->m, M_KEY_NOISE_READY);
	s->m.id = h->request;
	s->m.u.key_noise_ready.conn = h->conn;
	memcpy(s->m.u.key_noise_ready.response, s->accepted.response,
	    NOISE_RESP);
	memcpy(s->m.u.key_noise_ready.key_s2c, s->accepted.s2c, NOISE_KEY);
	link_reply(w->link, &s->m);
}

/* What is in the ticket of the peer comes from its link alone. */
static void
mint(struct r_ticket *t, const struct worker *w, uint8_t kind,
    uint16_t capver, const uint8_t key[NOISE_KEY])
{
	struct keyd *k = w->keyd;

	t->kind = kind;
	t->slot = link_slot(w->link);
	t->generation = link_generation(w->link);
	t->serial_gen = k->generation;
	t->serial = ++k->serial;
	t->capver = capver;
	memcpy(t->key, key, NOISE_KEY);
	ticket_sign(t, secret_data(k->boot));
}

static void
confirm_next(struct worker *w, struct scratch *s)
{
	struct handshake *h = TAILQ_FIRST(&w->proves);
	struct m_key_noise_ok *ok;
	int n;

	n = responder_confirm(w->keyd->responder, h->c2s, h->octets, h->n,
	    s->plain);
	if (n == -1) {
		answer_no(w, h->request, h->conn, REFUSED_CRYPTO);
		handshake_free(h);
		return;
	}
	msg_init(&s->m, M_KEY_NOISE_OK);
	s->m.id = h->request;
	ok = &s->m.u.key_noise_ok;
	ok->conn = h->conn;
	ok->plain = slice_mem(s->plain, (size_t)n);
	memcpy(ok->key_c2s, h->c2s, NOISE_KEY);
	mint(&ok->ticket, w, TICKET_MACHINE, h->capver, h->machine);
	w->keyd->counts.confirmed++;
	link_reply(w->link, &s->m);
	handshake_free(h);
}

static void
hello_no(struct worker *w, const struct login *g, enum derp_refusal why)
{
	struct msg m;

	log_debug("relay login refused worker=%u conn=%u why=%d",
	    (unsigned int)link_slot(w->link), (unsigned int)g->conn, (int)why);
	w->keyd->counts.refused++;
	msg_init(&m, M_KEY_DERP_NO);
	m.id = g->request;
	m.u.key_derp_no.conn = g->conn;
	m.u.key_derp_no.why = (uint8_t)why;
	link_reply(w->link, &m);
}

/* When one more may be had. */
static uint64_t
budget_at(const struct budget *b)
{
	uint64_t whole = (b->burst - 1) * US_PER_S / b->rate;

	return b->next > whole ? b->next - whole : 0;
}

static void
budget_take(struct budget *b, uint64_t now)
{
	if (b->next < now)
		b->next = now;
	b->next += US_PER_S / b->rate;
}

static void
login_next(struct worker *w, struct scratch *s)
{
	struct login *g = TAILQ_FIRST(&w->logins);
	struct keyd *k = w->keyd;
	enum derp_refusal why = DERP_REFUSED_NONE;
	struct m_key_derp_ok *ok;

	budget_take(&w->budget, env_now(k->env));
	budget_take(&k->logins, env_now(k->env));
	if (k->derp != NULL)
		why = derp_login(k->derp, g->client, g->nonce, g->box, g->n,
		    s->info, &s->answer);
	if (why != DERP_REFUSED_NOT) {
		hello_no(w, g, why);
		login_free(w, g);
		return;
	}
	msg_init(&s->m, M_KEY_DERP_OK);
	s->m.id = g->request;
	ok = &s->m.u.key_derp_ok;
	ok->conn = g->conn;
	ok->info = slice_mem(s->info, g->n - DERP_TAG);
	memcpy(ok->nonce, s->answer.nonce, DERP_NONCE);
	ok->box = slice_mem(s->answer.box, s->answer.nbox);
	mint(&ok->ticket, w, TICKET_DERP, 0, g->client);
	k->counts.relay_logins++;
	link_reply(w->link, &s->m);
	login_free(w, g);
}

/* Else it waits in line, and pace comes when it may. */
static bool
can_login(struct worker *w)
{
	struct keyd *k = w->keyd;
	uint64_t at = budget_at(&w->budget);

	if (TAILQ_EMPTY(&w->logins))
		return false;
	if (at < budget_at(&k->logins))
		at = budget_at(&k->logins);
	if (at <= env_now(k->env))
		return true;
	if (!timer_pending(&w->pace))
		timer_at(&w->pace, at);
	return false;
}

static bool
can_accept(struct worker *w)
{
	return !TAILQ_EMPTY(&w->waits) && (!is_full(w) || yields(w) != NULL);
}

static bool
worker_has_work(struct worker *w)
{
	const struct handshake *h;

	if (!TAILQ_EMPTY(&w->proves) || can_login(w))
		return true;
	if (TAILQ_EMPTY(&w->waits))
		return false;
	if (can_accept(w))
		return true;
	if ((h = TAILQ_FIRST(&w->ready)) != NULL && !timer_pending(&w->room))
		timer_at(&w->room, h->since + YIELD_US);
	return false;
}

static struct worker *
next_worker(struct keyd *k)
{
	struct worker *w;

	TAILQ_FOREACH(w, &k->workers, turn) {
		if (worker_has_work(w))
			return w;
	}
	return NULL;
}

bool
keyd_turn(struct keyd *k)
{
	struct scratch *s = (struct scratch *)(void *)secret_data(k->scratch);
	struct worker *w;

	if ((w = next_worker(k)) == NULL)
		return false;
	TAILQ_REMOVE(&k->workers, w, turn);
	TAILQ_INSERT_TAIL(&k->workers, w, turn);
	/* Records first: they end what stands against the bound. */
	if (!TAILQ_EMPTY(&w->proves))
		confirm_next(w, s);
	else if (can_login(w) &&
	    (!w->login_was_last || !can_accept(w))) {
		w->login_was_last = true;
		login_next(w, s);
	} else {
		w->login_was_last = false;
		accept_next(w, s);
	}
	wipe(s, sizeof(*s));
	return next_worker(k) != NULL;
}
