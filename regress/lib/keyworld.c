#include <stdlib.h>
#include <string.h>

#include "common/enc.h"
#include "common/log.h"
#include "common/ticket.h"
#include "regress/lib/keyworld.h"

static void
on_worker_msg(struct link *l, const struct msg *m, void *tag, void *arg)
{
	struct keyside *s = arg;

	(void)l;
	if (s->first == M_NONE)
		s->first = m->type;
	if (msg_class(m->type) == MSG_REPLY && tag != s)
		fatalx("answer with a foreign tag");
	s->last = *m;
	switch (m->type) {
	case M_KEY_NOISE_READY:
		s->ready++;
		break;
	case M_KEY_NOISE_OK:
		s->ok++;
		memcpy(s->plain, m->u.key_noise_ok.plain.p,
		    m->u.key_noise_ok.plain.n);
		s->last.u.key_noise_ok.plain.p = (char *)s->plain;
		break;
	case M_KEY_NOISE_NO:
		s->no++;
		break;
	case M_KEY_NOISE_GONE:
		s->gone++;
		break;
	default:
		break;
	}
	if (s->seen != NULL)
		s->seen(m, s->seen_arg);
}

static void
on_worker_down(struct link *l, enum link_why why, void *arg)
{
	struct keyside *s = arg;

	(void)why;
	s->worker_down = true;
	link_free(l);
}

static void
on_keyd_msg(struct link *l, const struct msg *m, void *tag, void *arg)
{
	struct keyside *s = arg;

	(void)tag;
	if (keyd_msg(s->world->keyd, l, m) == -1)
		link_violation(l, LINK_BAD_ID);
}

static void
on_keyd_down(struct link *l, enum link_why why, void *arg)
{
	struct keyside *s = arg;

	s->keyd_down = true;
	s->why = why;
	keyd_down(s->world->keyd, l);
	link_free(l);
}

/* Empties the side for a new process and says how keyd's end is to be. */
static void
side_clear(struct keyworld *w, unsigned int i, uint64_t generation,
    struct link_conf *conf)
{
	struct keyside *s = &w->side[i];

	if (s->pair != NULL) {
		pair_kill(s->pair, PAIR_A);
		keyworld_deliver(w);
		pair_free(s->pair);
	}
	memset(s, 0, sizeof(*s));
	s->world = w;
	s->slot = (uint16_t)(i + 1);
	s->generation = generation;
	memset(conf, 0, sizeof(*conf));
	conf->kind = LINK_KEY;
	conf->self = ROLE_KEYD;
	conf->peer = ROLE_WORKER;
	conf->slot = s->slot;
	conf->generation = generation;
	conf->on_msg = on_keyd_msg;
	conf->on_down = on_keyd_down;
	conf->arg = s;
}

void
keyside_up(struct keyworld *w, unsigned int i, uint64_t generation)
{
	struct keyside *s = &w->side[i];
	struct link_conf a, b;

	side_clear(w, i, generation, &b);
	memset(&a, 0, sizeof(a));
	a.kind = LINK_KEY;
	a.self = ROLE_WORKER;
	a.peer = ROLE_KEYD;
	a.on_msg = on_worker_msg;
	a.on_down = on_worker_down;
	a.arg = s;
	s->pair = pair_new(fakeenv_env(w->fake), &a, &b);
	keyd_up(w->keyd, pair_link(s->pair, PAIR_B));
}

void
keyside_up_raw(struct keyworld *w, unsigned int i, uint64_t generation,
    pair_raw fn, void *arg)
{
	struct keyside *s = &w->side[i];
	struct link_conf b;

	side_clear(w, i, generation, &b);
	s->pair = pair_new_raw(fakeenv_env(w->fake), &b, fn, arg);
	keyd_up(w->keyd, pair_link(s->pair, PAIR_B));
}

struct keyworld *
keyworld_new(struct fakeenv *fake)
{
	struct keyd_conf conf = { KEYWORLD_MAX, KEYWORLD_MS };
	struct secret *key, *boot;
	struct keyworld *w;
	unsigned int i;

	w = xcalloc(1, sizeof(*w));
	w->fake = fake;
	w->noise = noise_new();
	memcpy(w->boot, KEYWORLD_BOOT, sizeof(w->boot));
	key = secret_new(NOISE_KEY);
	(void)hex_dec(secret_data(key), NOISE_KEY, slice_str(KEYWORLD_PRIV));
	boot = secret_new(sizeof(w->boot));
	memcpy(secret_data(boot), w->boot, sizeof(w->boot));
	w->keyd = keyd_new(fakeenv_env(fake), &conf, key, boot, KEYWORLD_GEN);
	if (w->keyd == NULL)
		fatalx("no keyd");
	for (i = 0; i < KEYWORLD_WORKERS; i++)
		keyside_up(w, i, 100 + i);
	keyworld_settle(w);
	return w;
}

bool
keyworld_free(struct keyworld *w)
{
	bool ok = true;
	unsigned int i;

	for (i = 0; i < KEYWORLD_WORKERS; i++)
		pair_kill(w->side[i].pair, PAIR_A);
	keyworld_deliver(w);
	for (i = 0; i < KEYWORLD_WORKERS; i++) {
		ok = ok && w->side[i].keyd_down;
		pair_free(w->side[i].pair);
	}
	keyd_free(w->keyd);
	noise_free(w->noise);
	free(w);
	return ok;
}

void
keyworld_deliver(struct keyworld *w)
{
	unsigned int i;

	for (i = 0; i < KEYWORLD_WORKERS; i++)
		if (w->side[i].pair != NULL)
			(void)pair_run(w->side[i].pair);
	fakeenv_advance(w->fake, 0);
}

void
keyworld_settle(struct keyworld *w)
{
	keyworld_deliver(w);
	while (keyd_turn(w->keyd))
		keyworld_deliver(w);
	keyworld_deliver(w);
}

void
keyside_accept(struct keyside *s, uint32_t conn,
    const uint8_t init[NOISE_INIT])
{
	struct msg m;

	msg_init(&m, M_KEY_NOISE_ACCEPT);
	m.u.key_noise_accept.conn = conn;
	memcpy(m.u.key_noise_accept.init, init, NOISE_INIT);
	(void)link_request(pair_link(s->pair, PAIR_A), &m, s, 0);
}

void
keyside_confirm(struct keyside *s, uint32_t conn, const void *record,
    size_t n)
{
	struct msg m;

	msg_init(&m, M_KEY_NOISE_CONFIRM);
	m.u.key_noise_confirm.conn = conn;
	m.u.key_noise_confirm.record = slice_mem(record, n);
	(void)link_request(pair_link(s->pair, PAIR_A), &m, s, 0);
}

void
keyside_drop(struct keyside *s, uint32_t conn)
{
	struct msg m;

	msg_init(&m, M_KEY_NOISE_DROP);
	m.u.key_noise_drop.conn = conn;
	link_send(pair_link(s->pair, PAIR_A), &m);
}

bool
keyside_is_no(const struct keyside *s, uint32_t conn, enum refusal why)
{
	return s->last.type == M_KEY_NOISE_NO &&
	    s->last.u.key_noise_no.conn == conn &&
	    s->last.u.key_noise_no.why == why;
}

void
keyclient_start(struct keyworld *w, struct noise_client *c, uint8_t who,
    uint8_t init[NOISE_INIT])
{
	uint8_t pub[NOISE_KEY], priv[NOISE_KEY], eph[NOISE_KEY];

	(void)hex_dec(pub, sizeof(pub), slice_str(KEYWORLD_PUB));
	memset(priv, who, sizeof(priv));
	noise_clamp(priv);
	memset(eph, ~who, sizeof(eph));
	noise_clamp(eph);
	if (!noise_client_start(c, w->noise, KEYWORLD_CAPVER, pub, priv, eph,
	    init))
		fatalx("client cannot start");
}

void
keyclient_accept(struct keyside *s, uint32_t conn, struct noise_client *c,
    uint8_t who)
{
	uint8_t init[NOISE_INIT];

	keyclient_start(s->world, c, who, init);
	keyside_accept(s, conn, init);
}

bool
keyclient_ready(struct keyside *s, uint32_t conn, struct noise_client *c)
{
	const struct m_key_noise_ready *r = &s->last.u.key_noise_ready;

	return s->last.type == M_KEY_NOISE_READY && r->conn == conn &&
	    noise_client_finish(c, r->response) &&
	    memcmp(r->key_s2c, c->rx.key, NOISE_KEY) == 0;
}

void
keyclient_confirm(struct keyside *s, uint32_t conn, struct noise_client *c,
    const char *text)
{
	uint8_t rec[NOISE_RECORD];
	size_t n;

	n = noise_seal(s->world->noise, &c->tx, rec, text, strlen(text));
	keyside_confirm(s, conn, rec, n);
}

bool
keyclient_is_ok(struct keyside *s, uint32_t conn, struct noise_client *c,
    const char *text)
{
	const struct m_key_noise_ok *ok = &s->last.u.key_noise_ok;
	uint8_t pub[NOISE_KEY];

	noise_public(pub, c->priv);
	return s->last.type == M_KEY_NOISE_OK && ok->conn == conn &&
	    slice_eqs(ok->plain, text) &&
	    memcmp(ok->key_c2s, c->tx.key, NOISE_KEY) == 0 &&
	    memcmp(ok->ticket.key, pub, NOISE_KEY) == 0 &&
	    ok->ticket.capver == KEYWORLD_CAPVER &&
	    ok->ticket.serial_gen == KEYWORLD_GEN &&
	    ticket_check(&ok->ticket, s->world->boot, TICKET_MACHINE, s->slot,
	    s->generation);
}
