/*
 * TLS handshakes of connections: who is answered when, and who waits for a
 * signature.
 */

#include <string.h>

#include "common/log.h"
#include "common/secret.h"
#include "worker/net/layers_int.h"

#define HANDSHAKE	0x16	/* a TLS stream's first octet */
#define CLIENT_HELLO	1
#define HELLO_MAX	16384	/* octets of a ClientHello, */
#define HELLO_RECORDS	16	/* in so many records at most */
#define TURN_US		(5 * US_PER_MS)	/* for answers to ClientHellos */

static void	on_signed(void *);

/*
 * ClientHellos are answered for a while a turn and no longer, and while few
 * wait for a signature: others wait for us, too.  The rest stands in line.
 */

/* The line moves on, if it may. */
static void
line_on(struct net_edge *e)
{
	if (!TAILQ_EMPTY(&e->line) && e->signing < EDGE_SIGNING &&
	    !timer_pending(&e->turn))
		timer_in(&e->turn, 0);
}

static void
stand(struct conn *c)
{
	struct net_edge *e = &c->net->edge;

	if (c->edge.stands)
		return;
	c->edge.stands = true;
	TAILQ_INSERT_TAIL(&e->line, c, edge.line);
	line_on(e);
}

static void
stand_no_more(struct conn *c)
{
	if (!c->edge.stands)
		return;
	c->edge.stands = false;
	TAILQ_REMOVE(&c->net->edge.line, c, edge.line);
}

static void
spend(struct net *net, uint64_t us)
{
	struct net_edge *e = &net->edge;

	e->spent += us;
	if (e->spent >= TURN_US && !timer_pending(&e->turn))
		timer_in(&e->turn, 0);
}

static void
on_turn(void *arg)
{
	struct net *net = arg;
	struct net_edge *e = &net->edge;
	struct conn *c;

	e->spent = 0;
	while (e->spent < TURN_US && e->signing < EDGE_SIGNING &&
	    (c = TAILQ_FIRST(&e->line)) != NULL) {
		stand_no_more(c);
		e->served = c;
		edge_feed(c, (const uint8_t *)"", 0);
		e->served = NULL;
	}
	line_on(e);
	net_settle(net);
}

/* Its ClientHello is there: may it be answered now? */
static bool
may_answer(struct conn *c)
{
	struct net_edge *e = &c->net->edge;

	if (c->edge.hs != NULL && tls_hs_answered(c->edge.hs))
		return true;
	/* hello_wake() will have it stand in line. */
	if (e->hold || (c->edge.hs == NULL && !net_tls_is_ready(c->net)))
		return false;
	if (e->served == c)
		return true;
	if (e->spent < TURN_US && e->signing < EDGE_SIGNING &&
	    TAILQ_EMPTY(&e->line))
		return true;
	stand(c);
	return false;
}

/* What waited for a signature may go on. */
void
hello_wake(struct net *net)
{
	struct conn *c;

	if (net->edge.hold)
		return;
	TAILQ_FOREACH(c, &net->conns, entry)
		if (c->edge.phase == EDGE_HELLO && c->edge.raw.n != 0 &&
		    c->edge.signing == 0 && c->state != CONN_DONE &&
		    edge_missing(c) == 0)
			stand(c);
}

/* It waits for no signature any more. */
static void
signed_or_not(struct conn *c)
{
	if (c->edge.signing == 0)
		return;
	c->edge.signing = 0;
	c->net->edge.signing--;
	line_on(&c->net->edge);
}

static void
drop(struct conn *c)
{
	if (c->edge.hs == NULL)
		return;
	signed_or_not(c);
	TAILQ_REMOVE(&c->net->edge.half, c, edge.half);
	c->net->edge.nhalf--;
	tls_hs_free(c->edge.hs);
	c->edge.hs = NULL;
}

void
hello_leave(struct conn *c)
{
	stand_no_more(c);
	drop(c);
}

void
hello_init(struct net *net)
{
	TAILQ_INIT(&net->edge.half);
	TAILQ_INIT(&net->edge.line);
	timer_init(&net->edge.turn, net->env, on_turn, net);
}

static void
established(struct conn *c, struct tls_secrets *s)
{
	struct net_edge *e = &c->net->edge;
	bool h2 = tls_hs_is_h2(c->edge.hs);

	e->count.tls_done++;
	c->edge.rec = tlsrec_new(e->records, s);
	wipe(s, sizeof(*s));
	drop(c);
	c->edge.phase = EDGE_TLS;
	if (h2) {
		e->count.tls_h2++;
		conn_speak_h2(c);
	}
}

/*
 * Whom the least was done for: the oldest of those without an answer, but for
 * those few who are about to have one.
 */
static struct conn *
least(const struct net_edge *e)
{
	struct conn *c, *first = NULL;

	TAILQ_FOREACH(c, &e->half, edge.half) {
		if (c->edge.signing != 0)
			continue;
		if (!tls_hs_answered(c->edge.hs))
			return c;
		if (first == NULL)
			first = c;
	}
	return first;
}

static void
begin(struct conn *c)
{
	struct net_edge *e = &c->net->edge;

	if (e->nhalf >= EDGE_HALF_OPEN)
		conn_fail(least(e), &e->count.tls_pushed,
		    "too many handshakes");
	e->count.tls++;
	c->edge.hs = tls_hs_new(e->tls, on_signed, c);
	c->edge.fresh = true;
	TAILQ_INSERT_TAIL(&e->half, c, edge.half);
	e->nhalf++;
}

/*
 * A signature was wanted for the client's first record and can't be had:
 * nothing has left yet, so it begins again with that record when it can.
 */
static void
put_off(struct conn *c)
{
	drop(c);
	buf_free(&c->edge.out);
	c->net->edge.count.tls--;
}

/*
 * What a record of n octets led to.  False: it is to stay where it is, until
 * it is signed or, if it can't be, TLS is ready again.
 */
static bool
led_to(struct conn *c, enum tls_event event, size_t n, struct tls_secrets *s)
{
	struct net_edge *e = &c->net->edge;

	switch (event) {
	case TLS_E_WAIT:
		c->edge.signing = n;
		e->signing++;
		return false;
	case TLS_E_MORE:
		c->edge.fresh = false;
		break;
	case TLS_E_DONE:
		established(c, s);
		break;
	case TLS_E_FAIL:
		if (c->edge.fresh && e->hold) {
			put_off(c);
			return false;
		}
		edge_fail(c, &e->count.tls_failed, tls_hs_why(c->edge.hs));
		return true;
	}
	conn_kick(c);
	return true;
}

static bool
handshake(struct conn *c, const uint8_t *p, size_t n)
{
	uint64_t since = env_now(c->net->env);
	enum tls_event event;
	struct tls_secrets s;

	if (c->edge.hs == NULL)
		begin(c);
	event = tls_hs_record(c->edge.hs, p, n, &c->edge.out, &s);
	spend(c->net, env_now(c->net->env) - since);
	return led_to(c, event, n, &s);
}

/* The signer has answered; the record is at the beginning of raw. */
static void
on_signed(void *arg)
{
	struct conn *c = arg;
	struct net *net = c->net;
	uint64_t since = env_now(net->env);
	enum tls_event event;
	struct tls_secrets s;
	size_t n = c->edge.signing;

	signed_or_not(c);
	event = tls_hs_resume(c->edge.hs, &c->edge.out, &s);
	spend(net, env_now(net->env) - since);
	if (led_to(c, event, n, &s) && c->state != CONN_DONE) {
		buf_drain(&c->edge.raw, n);
		edge_feed(c, (const uint8_t *)"", 0);
	}
	net_settle(net);
}

size_t
hello_need(const struct conn *c, const uint8_t *p, size_t n,
    enum tlsrec_alert *alert)
{
	uint8_t head[4] = { CLIENT_HELLO };
	size_t at = 0, len, i, got = 0, all = sizeof(head);
	unsigned int records;

	for (records = 0; records < HELLO_RECORDS; records++) {
		if (n - at < TLSREC_HEAD)
			return at + TLSREC_HEAD;
		if ((len = tlsrec_len(p + at, alert)) == 0)
			return 0;
		at += len;
		if (n < at || c->edge.hs != NULL ||
		    p[at - len] != HANDSHAKE || len == TLSREC_HEAD)
			return at;
		for (i = at - len + TLSREC_HEAD; i < at; i++, got++)
			if (got < sizeof(head))
				head[got] = p[i];
		if (got >= sizeof(head))
			all = sizeof(head) + ((size_t)head[1] << 16 |
			    (size_t)head[2] << 8 | head[3]);
		if (head[0] != CLIENT_HELLO || got >= all)
			return at;
		if (all > HELLO_MAX)
			break;
	}
	*alert = TLSREC_A_ILLEGAL;
	return 0;
}

size_t
hello_eat(struct conn *c, const uint8_t *p, size_t n)
{
	enum tlsrec_alert alert;
	size_t len;

	if (c->edge.signing != 0)
		return 0;
	if ((len = hello_need(c, p, n, &alert)) == 0) {
		/* The library says it, under the key if there is one. */
		if (c->edge.hs != NULL) {
			(void)handshake(c, p, TLSREC_HEAD);
			if (c->state != CONN_DONE)
				conn_fail(c, NULL, "not a TLS record");
			return n;
		}
		tlsrec_alert_plain(alert, &c->edge.out);
		edge_fail(c, &c->net->edge.count.tls_failed, "not TLS");
		return n;
	}
	if (n < len || !may_answer(c))
		return 0;
	return handshake(c, p, len) ? len : 0;
}

