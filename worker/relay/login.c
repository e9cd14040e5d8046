/*
 * Logins: a ClientInfo goes to keyd as it came, what keyd found in it is
 * looked at here, and the ticket goes to dbd.  All of it has a deadline, and
 * what is not let in is closed without a word.
 */

#include <stdlib.h>
#include <string.h>

#include "common/compat/compat.h"
#include "common/enc.h"
#include "common/log.h"
#include "common/ticket.h"
#include "worker/relay/calls_int.h"
#include "worker/relay/info.h"

#define INFO_US		(10 * US_PER_S)	/* until it has said who it is */
#define ADMIT_US	(5 * US_PER_S)	/* until it is let in */
#define YIELD_US	(500 * US_PER_MS)	/* see login_room() */

void
login_refuse(struct rclient *c, const char *why)
{
	char from[IPPORT_TEXT] = "local";

	if (c->from.addr.family != 0)
		(void)ipport_print(from, &c->from);
	log_debug("relay login refused from=%s why=\"%s\"", from, why);
	client_end(c, why);
}

static void
on_deadline(void *arg)
{
	struct login *g = arg;

	login_refuse(g->c, "too slow");
}

/*
 * One that is there has sent its ClientInfo after a round trip: the oldest
 * that has not makes room for a new one.
 */
bool
login_room(struct relay *r, const struct ip *from)
{
	struct login *g = TAILQ_FIRST(&r->infos);

	if (!source_may(r, from))
		return false;
	if (r->half_open < r->conf.half_open)
		return true;
	if (g == NULL || env_now(r->env) - g->since < YIELD_US)
		return false;
	login_refuse(g->c, "makes room");
	return true;
}

void
login_new(struct rclient *c)
{
	struct relay *r = c->relay;
	struct login *g;

	g = xcalloc(1, sizeof(*g));
	g->c = c;
	g->number = ++r->number;
	timer_init(&g->timer, r->env, on_deadline, g);
	timer_in(&g->timer, INFO_US);
	g->since = env_now(r->env);
	g->source = source_join(r, c->from.addr.family == 0 ? NULL :
	    &c->from.addr);
	TAILQ_INSERT_TAIL(&r->infos, g, entry);
	r->half_open++;
	c->login = g;
}

void
login_free(struct rclient *c)
{
	struct relay *r = c->relay;
	struct login *g = c->login;
	struct link *l = c->state == RC_KEY ? r->key : r->db;

	if (g->request != 0 && l != NULL)
		link_forget(l, g->request);
	timer_stop(&g->timer);
	if (c->state == RC_INFO)
		TAILQ_REMOVE(&r->infos, g, entry);
	else
		TAILQ_REMOVE(&r->logins, g, entry);
	source_leave(r, g->source);
	r->half_open--;
	buf_wipe(&g->in);
	buf_free(&g->info);
	free(g);
	c->login = NULL;
}

static void
ask_keyd(struct login *g)
{
	struct relay *r = g->c->relay;
	struct msg m;

	if (g->request != 0 || r->key == NULL || link_is_down(r->key))
		return;
	msg_init(&m, M_KEY_DERP_HELLO);
	m.u.key_derp_hello.conn = g->number;
	memcpy(m.u.key_derp_hello.client, g->in.p, DERP_KEY);
	memcpy(m.u.key_derp_hello.nonce, g->in.p + DERP_KEY, DERP_NONCE);
	m.u.key_derp_hello.box = slice_mem(g->in.p + DERP_KEY + DERP_NONCE,
	    g->in.n - DERP_KEY - DERP_NONCE);
	g->request = link_request(r->key, &m, g->c, 0);
}

static void
ask_dbd(struct login *g)
{
	struct relay *r = g->c->relay;
	struct msg m;

	if (g->request != 0 || !db_is_up(r))
		return;
	msg_init(&m, M_DB_RELAY_OPEN);
	client_ticket(g->c, g->key, &m.u.db_relay_open.ticket);
	g->request = link_request(r->db, &m, g->c, 0);
}

void
logins_ask(struct relay *r)
{
	struct login *g;

	TAILQ_FOREACH(g, &r->logins, entry)
		if (g->c->state == RC_KEY)
			ask_keyd(g);
		else if (g->c->state == RC_OPEN)
			ask_dbd(g);
}

void
logins_lost(struct relay *r, enum rc_state state)
{
	struct login *g;

	TAILQ_FOREACH(g, &r->logins, entry)
		if (g->c->state == state)
			g->request = 0;
}

/* All of its ClientInfo is here. */
static void
whole(struct rclient *c)
{
	struct login *g = c->login;

	c->nhead = 0;
	memcpy(g->key, g->in.p, sizeof(g->key));
	if (key_is_zero(g->key)) {
		login_refuse(c, "no key");
		return;
	}
	if (source_is_bad(c->relay, g->source)) {
		login_refuse(c, "too many from there were refused");
		return;
	}
	TAILQ_REMOVE(&c->relay->infos, g, entry);
	TAILQ_INSERT_TAIL(&c->relay->logins, g, entry);
	c->state = RC_KEY;
	timer_in(&g->timer, ADMIT_US);
	ask_keyd(g);
}

size_t
login_input(struct rclient *c, const uint8_t *p, size_t n)
{
	struct login *g = c->login;
	size_t part;

	if (c->nhead < DERP_HEAD) {
		part = (size_t)(DERP_HEAD - c->nhead);
		part = n < part ? n : part;
		memcpy(c->head + c->nhead, p, part);
		c->nhead += (uint8_t)part;
		if (c->nhead == DERP_HEAD &&
		    !derp_login_ok(c->head[0], derp_len(c->head))) {
			c->relay->count.bad_frames++;
			login_refuse(c, "no ClientInfo");
		}
		return part;
	}
	part = derp_len(c->head) - g->in.n;
	part = n < part ? n : part;
	buf_put(&g->in, p, part);
	if (g->in.n == derp_len(c->head))
		whole(c);
	return part;
}

void
login_key_ok(struct rclient *c, const struct m_key_derp_ok *m)
{
	const struct r_ticket *t = &m->ticket;
	struct login *g = c->login;
	const char *why;

	if (!info_ok(m->info.p, m->info.n, &why)) {
		source_refused(c->relay, g->source);
		login_refuse(c, why);
		return;
	}
	buf_wipe(&g->in);
	derp_head(buf_room(&g->info, DERP_HEAD), DERP_SERVER_INFO,
	    (uint32_t)(DERP_NONCE + m->box.n));
	g->info.n += DERP_HEAD;
	buf_put(&g->info, m->nonce, DERP_NONCE);
	buf_slice(&g->info, m->box);
	c->generation = t->generation;
	c->serial_gen = t->serial_gen;
	c->serial = t->serial;
	c->capver = t->capver;
	memcpy(c->mac, t->mac, sizeof(c->mac));
	g->request = 0;
	c->state = RC_OPEN;
	ask_dbd(g);
}

/* keyd is more trusted than we are: what makes no sense ends us. */
static void
nonsense(struct relay *r)
{
	if (r->key != NULL)
		link_violation(r->key, LINK_BAD_BODY);
}

static struct rclient *
asked(void *tag, uint32_t number)
{
	struct rclient *c = tag;

	return c != NULL && c->state == RC_KEY && c->login->request != 0 &&
	    c->login->number == number ? c : NULL;
}

void
relay_key_msg(struct relay *r, const struct msg *m, void *tag)
{
	const struct m_key_derp_ok *ok = &m->u.key_derp_ok;
	struct rclient *c;

	switch (m->type) {
	case M_KEY_SERVER:
		memcpy(r->public, m->u.key_server.derp, DERP_KEY);
		r->has_key = !key_is_zero(r->public);
		break;
	case M_KEY_DERP_OK:
		if ((c = asked(tag, ok->conn)) == NULL ||
		    ok->ticket.kind != TICKET_DERP ||
		    ok->ticket.slot != r->slot ||
		    memcmp(ok->ticket.key, c->login->key, DERP_KEY) != 0)
			nonsense(r);
		else
			login_key_ok(c, ok);
		break;
	case M_KEY_DERP_NO:
		if ((c = asked(tag, m->u.key_derp_no.conn)) == NULL)
			nonsense(r);
		else {
			c->login->request = 0;
			source_refused(r, c->login->source);
			login_refuse(c, "keyd refused it");
		}
		break;
	default:
		break;
	}
}

void
relay_key_link(struct relay *r, struct link *l)
{
	r->key = NULL;
	logins_lost(r, RC_KEY);
	r->key = l;
	logins_ask(r);
}
