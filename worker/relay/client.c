/* A connection's life: from its upgrade to its end, and how fast it is read. */

#include <stdlib.h>
#include <string.h>

#include "common/compat/compat.h"
#include "common/log.h"
#include "common/secret.h"
#include "common/ticket.h"
#include "worker/relay/calls_int.h"

void
client_kick(struct rclient *c)
{
	c->relay->ops.kick(c, c->relay->ops.arg);
}

/* Serials are keyd's: nobody else chooses them. */
static uint64_t
hash_serial(uint64_t gen, uint64_t serial)
{
	uint64_t h = (serial ^ gen << 32) * 0x9e3779b97f4a7c15ULL;

	return h ^ h >> 32;
}

static bool
is_serial(const void *p, const void *key)
{
	const struct rclient *c = p;
	const uint64_t *want = key;

	return c->serial_gen == want[0] && c->serial == want[1];
}

struct rclient *
client_by_serial(struct relay *r, uint64_t gen, uint64_t serial)
{
	const uint64_t key[2] = { gen, serial };

	return ptab_find(&r->serials, hash_serial(gen, serial), is_serial,
	    key);
}

struct rclient *
relay_client_new(struct relay *r, const struct ipport *from, void *tag)
{
	struct rclient *c;

	if (!r->has_key || r->ending ||
	    !login_room(r, from == NULL ? NULL : &from->addr)) {
		r->count.refused++;
		return NULL;
	}
	c = xcalloc(1, sizeof(*c));
	c->relay = r;
	if (from != NULL)
		c->from = *from;
	c->tag = tag;
	c->state = RC_INFO;
	TAILQ_INIT(&c->seen);
	TAILQ_INSERT_TAIL(&r->others, c, entry);
	r->count.accepts++;
	login_new(c);
	out_init(c);
	return c;
}

void *
relay_client_tag(const struct rclient *c)
{
	return c->tag;
}

void
client_ticket(const struct rclient *c, const uint8_t key[DERP_KEY],
    struct r_ticket *t)
{
	memset(t, 0, sizeof(*t));
	t->kind = TICKET_DERP;
	t->slot = c->relay->slot;
	t->generation = c->generation;
	t->serial_gen = c->serial_gen;
	t->serial = c->serial;
	t->capver = c->capver;
	memcpy(t->key, key, sizeof(t->key));
	memcpy(t->mac, c->mac, sizeof(t->mac));
}

void
client_live(struct rclient *c, const struct m_db_relay_ok *m)
{
	struct login *g = c->login;
	struct relay *r = c->relay;

	c->tailnet = m->tailnet;
	c->since = env_now(r->env);
	c->state = RC_LIVE;
	TAILQ_REMOVE(&r->others, c, entry);
	TAILQ_INSERT_TAIL(&r->clients, c, entry);
	ptab_add(&r->serials, hash_serial(c->serial_gen, c->serial), c);
	r->count.clients++;
	r->count.let_in++;
	/* It is first: packets of the others stand behind it. */
	buf_put(&c->ctl, g->info.p, g->info.n);
	out_pending(c);
	peer_join(peer_get(r, g->key), c);
	login_free(c);
	wheel_add(c);
	limit_reset(c);
	log_debug("relay client up key=%s tailnet=%llu node=%llu",
	    log_key(c->peer->key), (unsigned long long)c->tailnet,
	    (unsigned long long)m->node);
	client_kick(c);
}

static void
limit_free(struct rclient *c)
{
	if (c->limit == NULL)
		return;
	timer_stop(&c->limit->timer);
	free(c->limit);
	c->limit = NULL;
}

static void
unlist(struct rclient *c)
{
	struct relay *r = c->relay;

	TAILQ_REMOVE(&r->clients, c, entry);
	TAILQ_INSERT_TAIL(&r->others, c, entry);
	ptab_del(&r->serials, hash_serial(c->serial_gen, c->serial), c);
	r->count.clients--;
	if (c->home)
		r->count.home--;
	wheel_del(c);
	db_close(c);
}

void
client_end(struct rclient *c, const char *why)
{
	struct relay *r = c->relay;
	uint8_t was = c->state;

	if (was == RC_DONE)
		return;
	if (was == RC_LIVE) {
		log_debug("relay client down key=%s why=\"%s\"",
		    log_key(c->peer->key), why);
		unlist(c);
	} else {
		r->count.refused++;
		login_free(c);
		if (was == RC_OPEN)
			db_close(c);
	}
	c->state = RC_DONE;
	limit_free(c);
	out_free(c);
	pkt_free(&r->pool, c->part);
	c->part = NULL;
	seen_forget(c);
	r->epoch++;
	if (was == RC_LIVE)
		peer_leave(c);
	client_kick(c);
}

void
relay_client_gone(struct rclient *c)
{
	client_end(c, "closed");
	TAILQ_REMOVE(&c->relay->others, c, entry);
	wipe(c, sizeof(*c));
	free(c);
}

bool
relay_is_done(const struct rclient *c)
{
	return c->state == RC_DONE;
}

size_t
relay_input(struct rclient *c, const void *p, size_t n)
{
	const uint8_t *in = p;
	size_t at = 0;

	while (at < n && relay_wants_input(c))
		at += c->state == RC_LIVE ? live_input(c, in + at, n - at) :
		    login_input(c, in + at, n - at);
	return c->state == RC_DONE ? n : at;
}

bool
relay_wants_input(const struct rclient *c)
{
	return c->state == RC_INFO || (c->state == RC_LIVE && !c->waits);
}

/* How fast it is read. */

/* What has come in since; parts of an octet are kept as time. */
static void
limit_fill(struct limit *b, const struct relay_conf *conf, uint64_t now)
{
	uint64_t full = (uint64_t)conf->burst * US_PER_S / conf->rate, more;

	if (now - b->at > full)
		more = conf->burst;
	else
		more = (now - b->at) * conf->rate / US_PER_S;
	b->at += more * US_PER_S / conf->rate;
	b->level += more;
	if (b->level >= conf->burst) {
		b->level = conf->burst;
		b->at = now;
	}
}

/* The frame that it waited for is paid for now. */
static void
on_limit(void *arg)
{
	struct rclient *c = arg;
	struct limit *b = c->limit;

	limit_fill(b, &c->relay->conf, env_now(c->relay->env));
	b->level -= b->level < c->skip ? b->level : c->skip;
	c->waits = false;
	client_kick(c);
}

void
limit_reset(struct rclient *c)
{
	struct relay *r = c->relay;
	bool waited = c->waits;

	c->waits = false;
	if (r->conf.rate == 0)
		limit_free(c);
	else {
		if (c->limit == NULL) {
			c->limit = xcalloc(1, sizeof(*c->limit));
			timer_init(&c->limit->timer, r->env, on_limit, c);
		}
		timer_stop(&c->limit->timer);
		c->limit->level = r->conf.burst - (waited ? c->skip : 0);
		c->limit->at = env_now(r->env);
	}
	if (waited)
		client_kick(c);
}

bool
limit_take(struct rclient *c, uint32_t n)
{
	struct relay *r = c->relay;
	struct limit *b = c->limit;
	uint64_t lack;

	if (b == NULL)
		return true;
	limit_fill(b, &r->conf, env_now(r->env));
	if (b->level >= n) {
		b->level -= n;
		return true;
	}
	lack = n - b->level;
	c->waits = true;
	r->count.rate_waits++;
	timer_at(&b->timer, b->at +
	    (lack * US_PER_S + r->conf.rate - 1) / r->conf.rate);
	return false;
}
