/* From octets of a socket to those of HTTP and back: PROXY header, TLS. */

#include <stdlib.h>
#include <string.h>

#include "common/compat/compat.h"
#include "common/log.h"
#include "common/secret.h"
#include "worker/net/layers_int.h"
#include "worker/net/proxyhdr.h"

#define META_US		(14 * 24 * 3600 * US_PER_S)
#define CROWDED		"too many connections from there"
#define HANDSHAKE	0x16	/* a TLS stream's first octet */
#define CLIENT_HELLO	1
#define HELLO_MAX	16384	/* octets of a ClientHello, */
#define HELLO_RECORDS	16	/* in so many records at most */
#define TURN_US		(5 * US_PER_MS)	/* for answers to ClientHellos */

static size_t	missing(const struct conn *);
static void	feed(struct conn *, const uint8_t *, size_t);

/* Whom to believe. */

static bool
is_proxy(const struct net *net, const struct ip *ip)
{
	size_t i;

	for (i = 0; i < net->edge.nproxies; i++)
		if (prefix_has(&net->edge.proxies[i], ip))
			return true;
	return false;
}

void
net_proxies(struct net *net, const struct prefix *p, size_t n)
{
	if (n > EDGE_PROXIES)
		fatalx("too many proxies");
	if (n != 0)
		memcpy(net->edge.proxies, p, n * sizeof(*p));
	net->edge.nproxies = n;
}

void
edge_forwarded(const struct conn *c, const struct req *r,
    struct ipport *peer)
{
	const struct net_edge *e = &c->net->edge;
	struct slice s;
	struct ip ip;

	*peer = c->edge.real;
	/* It spoke for itself: whoever is named then made it up. */
	if (c->edge.unnamed)
		return;
	if (!is_proxy(c->net, &c->edge.real.addr))
		return;
	s = req_header_last(r, "x-forwarded-for");
	if (!forwarded_parse(&ip, s, e->proxies, e->nproxies))
		return;
	peer->addr = ip;
	peer->port = 0;
}

/* From where there are too many. */

void
net_per_source(struct net *net, uint32_t max)
{
	uint8_t key[CROWD_KEY];

	net->edge.per_source = max;
	if (max == 0 || net->edge.sources != NULL)
		return;
	env_random(net->env, key, sizeof(key));
	net->edge.sources = crowds_new(key);
	wipe(key, sizeof(key));
}

bool
net_is_exempt(const struct net *net, const struct ip *ip)
{
	return (ip_is_private(ip) && !ip_is_tailnet(ip)) || is_proxy(net, ip);
}

/* It is known whom it is from; false: there are enough. */
static bool
count_source(struct conn *c)
{
	struct net_edge *e = &c->net->edge;

	if (e->per_source == 0 || net_is_exempt(c->net, &c->edge.real.addr))
		return true;
	c->edge.source = crowd_take(e->sources, &c->edge.real.addr,
	    e->per_source);
	return c->edge.source != NULL;
}

/*
 * ClientHellos are answered for a while a turn and no longer: a signature
 * costs up to milliseconds, and others wait for us, too.  The rest stands in
 * line.
 */

static void
stand(struct conn *c)
{
	struct net_edge *e = &c->net->edge;

	if (c->edge.stands)
		return;
	c->edge.stands = true;
	TAILQ_INSERT_TAIL(&e->line, c, edge.line);
	if (!timer_pending(&e->turn))
		timer_in(&e->turn, 0);
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
	while (e->spent < TURN_US && (c = TAILQ_FIRST(&e->line)) != NULL) {
		stand_no_more(c);
		e->served = c;
		feed(c, (const uint8_t *)"", 0);
		e->served = NULL;
	}
	if (!TAILQ_EMPTY(&e->line))
		timer_in(&e->turn, 0);
	net_settle(net);
}

/* Its ClientHello is there: may it be answered now? */
static bool
may_answer(struct conn *c)
{
	struct net_edge *e = &c->net->edge;

	if (c->edge.hs != NULL && tls_hs_answered(c->edge.hs))
		return true;
	/* wake() will have it stand in line. */
	if (e->hold || (c->edge.hs == NULL && !net_tls_is_ready(c->net)))
		return false;
	if (e->served == c)
		return true;
	if (e->spent < TURN_US && TAILQ_EMPTY(&e->line))
		return true;
	stand(c);
	return false;
}

/* Certificates. */

static void
meta(struct net *net)
{
	struct net_edge *e = &net->edge;
	uint8_t seed[32];

	timer_stop(&e->meta_timer);
	if (e->tls == NULL)
		return;
	if (!e->has_meta || e->meta_host[0] == '\0') {
		tls_meta_none(e->tls);
		return;
	}
	env_random(net->env, seed, sizeof(seed));
	tls_meta(e->tls, e->meta, e->meta_host, seed, env_wall(net->env));
	wipe(seed, sizeof(seed));
	timer_in(&e->meta_timer, META_US);
}

static void
on_meta(void *arg)
{
	meta(arg);
}

/* What waited for a signature may go on. */
static void
wake(struct net *net)
{
	struct conn *c;

	if (net->edge.hold)
		return;
	TAILQ_FOREACH(c, &net->conns, entry)
		if (c->edge.phase == EDGE_HELLO && c->edge.raw.n != 0 &&
		    c->state != CONN_DONE && missing(c) == 0)
			stand(c);
}

void
net_tls(struct net *net, struct tls *t)
{
	struct tls *old = net->edge.tls;

	net->edge.tls = t == NULL ? NULL : tls_ref(t);
	tls_free(old);
	meta(net);
	wake(net);
}

void
net_tls_hold(struct net *net, bool hold)
{
	net->edge.hold = hold;
	wake(net);
}

bool
net_tls_is_ready(const struct net *net)
{
	return net->edge.tls != NULL && !tls_is_empty(net->edge.tls) &&
	    !net->edge.hold;
}

void
net_tls_meta(struct net *net, const uint8_t key[TLS_DERP_KEY])
{
	net->edge.has_meta = key != NULL;
	if (key != NULL)
		memcpy(net->edge.meta, key, TLS_DERP_KEY);
	meta(net);
}

void
net_tls_meta_host(struct net *net, struct slice host)
{
	if (slice_eqs(host, net->edge.meta_host))
		return;
	if (!slice_copy(net->edge.meta_host, sizeof(net->edge.meta_host),
	    host))
		net->edge.meta_host[0] = '\0';
	meta(net);
}

const struct edge_counters *
net_edge_counters(const struct net *net)
{
	return &net->edge.count;
}

void
edge_init(struct net *net)
{
	TAILQ_INIT(&net->edge.half);
	TAILQ_INIT(&net->edge.line);
	timer_init(&net->edge.meta_timer, net->env, on_meta, net);
	timer_init(&net->edge.turn, net->env, on_turn, net);
	net->edge.records = tlsrec_env_new();
}

void
edge_end(struct net *net)
{
	timer_stop(&net->edge.meta_timer);
	timer_stop(&net->edge.turn);
	crowds_free(net->edge.sources);
	tls_free(net->edge.tls);
	tlsrec_env_free(net->edge.records);
}

/* A connection's begin and end. */

static void
after_proxy(struct conn *c)
{
	switch (c->edge.kind) {
	case CONN_K_PLAIN:
		c->edge.phase = EDGE_PLAIN;
		break;
	case CONN_K_TLS:
		c->edge.phase = EDGE_HELLO;
		break;
	case CONN_K_EITHER:
		c->edge.phase = EDGE_FIRST;
		break;
	}
}

bool
edge_new(struct conn *c, enum conn_kind kind, bool proxy)
{
	c->edge.kind = kind;
	c->edge.real = c->peer;
	if (proxy) {
		if (!is_proxy(c->net, &c->peer.addr)) {
			c->net->edge.count.proxy_bad++;
			conn_log(c, "proxy", "not one of ours");
			return false;
		}
		c->edge.phase = EDGE_PROXY;
		return true;
	}
	if (!count_source(c)) {
		c->net->edge.count.crowded++;
		conn_log(c, "connection", CROWDED);
		return false;
	}
	after_proxy(c);
	return true;
}

static void
drop_handshake(struct conn *c)
{
	if (c->edge.hs == NULL)
		return;
	TAILQ_REMOVE(&c->net->edge.half, c, edge.half);
	c->net->edge.nhalf--;
	tls_hs_free(c->edge.hs);
	c->edge.hs = NULL;
}

void
edge_leave(struct conn *c, bool failed)
{
	stand_no_more(c);
	drop_handshake(c);
	buf_wipe(&c->edge.raw);
	if (failed) {
		buf_free(&c->edge.out);
		c->edge.out_at = 0;
		c->edge.ended = true;
	}
}

void
edge_free(struct conn *c)
{
	edge_leave(c, true);
	crowd_put(c->net->edge.sources, c->edge.source);
	c->edge.source = NULL;
	tlsrec_free(c->net->edge.records, c->edge.rec);
	c->edge.rec = NULL;
}

bool
edge_is_early(const struct conn *c)
{
	return c->edge.phase != EDGE_TLS && c->edge.phase != EDGE_PLAIN;
}

/* Input: each returns how many octets it took, 0 if it needs more. */

static size_t
eat_proxy(struct conn *c, const uint8_t *p, size_t n)
{
	struct net_edge *e = &c->net->edge;
	struct proxyhdr h;
	long used;

	used = proxyhdr_parse(&h, p, n);
	if (used == -1) {
		conn_fail(c, &e->count.proxy_bad, "bad PROXY header");
		return n;
	}
	if (used == 0)
		return 0;
	e->count.proxied++;
	if (h.has_peer)
		c->peer = c->edge.real = h.peer;
	c->edge.unnamed = !h.has_peer;
	if (!count_source(c)) {
		conn_fail(c, &e->count.crowded, CROWDED);
		return n;
	}
	after_proxy(c);
	return (size_t)used;
}

/* The alert is in out: it goes, and nothing else. */
static void
fail(struct conn *c, uint64_t *counter, const char *why)
{
	(*counter)++;
	conn_log(c, "tls", why);
	c->edge.ended = true;
	conn_finish(c, true);
	buf_free(&c->out);	/* it can't go any more */
	c->out_at = 0;
}

static void
established(struct conn *c, struct tls_secrets *s)
{
	struct net_edge *e = &c->net->edge;
	bool h2 = tls_hs_is_h2(c->edge.hs);

	e->count.tls_done++;
	c->edge.rec = tlsrec_new(e->records, s);
	wipe(s, sizeof(*s));
	drop_handshake(c);
	c->edge.phase = EDGE_TLS;
	if (h2) {
		e->count.tls_h2++;
		conn_speak_h2(c);
	}
}

/* Whom the least was done for: the oldest of those without an answer. */
static struct conn *
least(const struct net_edge *e)
{
	struct conn *c;

	TAILQ_FOREACH(c, &e->half, edge.half)
		if (!tls_hs_answered(c->edge.hs))
			return c;
	return TAILQ_FIRST(&e->half);
}

static void
begin(struct conn *c)
{
	struct net_edge *e = &c->net->edge;

	if (e->nhalf >= EDGE_HALF_OPEN)
		conn_fail(least(e), &e->count.tls_pushed,
		    "too many handshakes");
	e->count.tls++;
	c->edge.hs = tls_hs_new(e->tls);
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
	drop_handshake(c);
	buf_free(&c->edge.out);
	c->net->edge.count.tls--;
}

/* False: the record is to be brought again, when TLS is ready. */
static bool
handshake(struct conn *c, const uint8_t *p, size_t n)
{
	uint64_t since = env_now(c->net->env);
	bool first = c->edge.hs == NULL;
	enum tls_event event;
	struct tls_secrets s;

	if (first)
		begin(c);
	event = tls_hs_record(c->edge.hs, p, n, &c->edge.out, &s);
	spend(c->net, env_now(c->net->env) - since);
	switch (event) {
	case TLS_E_MORE:
		break;
	case TLS_E_DONE:
		established(c, &s);
		break;
	case TLS_E_FAIL:
		if (first && c->net->edge.hold) {
			put_off(c);
			return false;
		}
		fail(c, &c->net->edge.count.tls_failed,
		    tls_hs_why(c->edge.hs));
		return true;
	}
	conn_kick(c);
	return true;
}

/*
 * How many octets there must be before something is done with them: those of
 * a record, and at first those of all that the ClientHello fills.  0: they are
 * not such, and alert says why.  What is no ClientHello is left to the library.
 */
static size_t
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

static size_t
eat_hello(struct conn *c, const uint8_t *p, size_t n)
{
	enum tlsrec_alert alert;
	size_t len;

	if ((len = hello_need(c, p, n, &alert)) == 0) {
		/* The library says it, under the key if there is one. */
		if (c->edge.hs != NULL) {
			(void)handshake(c, p, TLSREC_HEAD);
			if (c->state != CONN_DONE)
				conn_fail(c, NULL, "not a TLS record");
			return n;
		}
		tlsrec_alert_plain(alert, &c->edge.out);
		fail(c, &c->net->edge.count.tls_failed, "not TLS");
		return n;
	}
	if (n < len || !may_answer(c))
		return 0;
	return handshake(c, p, len) ? len : 0;
}

static void
bad_record(struct conn *c, enum tlsrec_alert alert)
{
	struct net_edge *e = &c->net->edge;

	tlsrec_alert(e->records, c->edge.rec, alert, &c->edge.out);
	fail(c, &e->count.tls_record_bad, "bad record");
}

/* Keys that were used enough are changed. */
static void
care(struct conn *c)
{
	if (!tlsrec_is_worn(c->edge.rec))
		return;
	tlsrec_update(c->net->edge.records, c->edge.rec, true, &c->edge.out);
	conn_kick(c);
}

static size_t
eat_record(struct conn *c, const uint8_t *p, size_t n)
{
	struct net_edge *e = &c->net->edge;
	enum tlsrec_alert alert;
	const uint8_t *plain;
	size_t len, nplain, had = c->edge.out.n;
	uint32_t updates = tlsrec_updates(c->edge.rec);
	bool clear;

	if (c->eof)
		return n;
	if (n < TLSREC_HEAD)
		return 0;
	if ((len = tlsrec_len(p, &alert)) == 0) {
		bad_record(c, alert);
		return n;
	}
	if (n < len)
		return 0;
	switch (tlsrec_open(e->records, c->edge.rec, p, len, &plain, &nplain,
	    &c->edge.out)) {
	case TLSREC_E_NOTHING:
		break;
	case TLSREC_E_DATA:
		clear = c->state == CONN_HTTP || c->state == CONN_H2;
		plain_input(c, plain, nplain);
		if (clear)	/* a secret may be in it */
			tlsrec_wipe(e->records, nplain);
		break;
	case TLSREC_E_CLOSE:
		plain_eof(c, true);
		break;
	case TLSREC_E_ENDED:
		conn_fail(c, NULL, "the client's alert");
		break;
	case TLSREC_E_BAD:
		bad_record(c, tlsrec_why(c->edge.rec));
		break;
	}
	if (c->state == CONN_DONE)
		return len;
	e->count.tls_updates += tlsrec_updates(c->edge.rec) - updates;
	care(c);
	if (c->edge.out.n != had)
		conn_kick(c);
	return len;
}

static size_t
eat(struct conn *c, const uint8_t *p, size_t n)
{
	switch (c->edge.phase) {
	case EDGE_PROXY:
		return eat_proxy(c, p, n);
	case EDGE_FIRST:
		c->edge.phase = p[0] == HANDSHAKE ? EDGE_HELLO : EDGE_PLAIN;
		return eat(c, p, n);
	case EDGE_HELLO:
		return eat_hello(c, p, n);
	case EDGE_TLS:
		return eat_record(c, p, n);
	case EDGE_PLAIN:
		plain_input(c, p, n);
		break;
	}
	return n;
}

/* How many octets are missing before it makes sense to look at raw again. */
static size_t
missing(const struct conn *c)
{
	const struct buf *raw = &c->edge.raw;
	enum tlsrec_alert alert;
	size_t len;

	switch (c->edge.phase) {
	case EDGE_PROXY:
		return raw->n < PROXYHDR_MAX ? PROXYHDR_MAX - raw->n : 0;
	case EDGE_HELLO:
		len = hello_need(c, raw->p, raw->n, &alert);
		return raw->n < len ? len - raw->n : 0;
	case EDGE_TLS:
		if (raw->n < TLSREC_HEAD)
			return TLSREC_HEAD - raw->n;
		len = tlsrec_len(raw->p, &alert);
		return raw->n < len ? len - raw->n : 0;
	default:
		return 0;
	}
}

/* Looks at raw; how many octets of it were dealt with. */
static size_t
eat_raw(struct conn *c)
{
	struct buf b = c->edge.raw;
	size_t used;

	memset(&c->edge.raw, 0, sizeof(c->edge.raw));	/* a failure frees it */
	used = eat(c, b.p, b.n);
	if (used >= b.n || c->state == CONN_DONE)
		buf_wipe(&b);
	else {
		buf_drain(&b, used);
		c->edge.raw = b;
	}
	return used;
}

/* Deals with n more octets, first with those that wait. */
static void
feed(struct conn *c, const uint8_t *p, size_t n)
{
	size_t used, part;

	while (c->state != CONN_DONE) {
		if (c->edge.raw.n == 0) {
			if (n == 0)
				return;
			if ((used = eat(c, p, n)) == 0)
				break;
			p += used;
			n -= used;
			continue;
		}
		part = missing(c) < n ? missing(c) : n;
		buf_put(&c->edge.raw, p, part);
		p += part;
		n -= part;
		if (eat_raw(c) == 0 && (n == 0 || missing(c) == 0))
			break;
	}
	if (c->state != CONN_DONE)
		buf_put(&c->edge.raw, p, n);
}

void
conn_input(struct conn *c, const void *p, size_t n)
{
	if (c->state == CONN_DONE || n == 0)
		return;
	if (c->edge.phase == EDGE_PLAIN)
		plain_input(c, p, n);
	else
		feed(c, p, n);
	/* Whoever asks conn_wants_input() does not come here. */
	if (c->edge.raw.n > IN_MAX)
		conn_fail(c, &c->net->count.flooded, "input beyond all bounds");
	net_settle(c->net);
}

bool
conn_wants_input(const struct conn *c)
{
	if (c->state != CONN_DONE && edge_is_early(c))
		return c->edge.raw.n == 0 || missing(c) != 0;
	return plain_wants_input(c);
}

/* Output. */

/* Octets that are ready to go; how many. */
static size_t
put_out(struct conn *c, uint8_t *dst, size_t max)
{
	struct edge *e = &c->edge;
	size_t n = e->out.n - e->out_at;

	if (n > max)
		n = max;
	if (n != 0)
		memcpy(dst, e->out.p + e->out_at, n);
	e->out_at += n;
	if (e->out_at == e->out.n) {
		buf_free(&e->out);
		e->out_at = 0;
	}
	return n;
}

/* One record of what there is, and close_notify behind the last. */
static size_t
seal(struct conn *c, uint8_t *dst, size_t max)
{
	struct tlsrec_env *records = c->net->edge.records;
	size_t n, room = max - TLSREC_COST;

	if (room > TLSREC_PLAIN)
		room = TLSREC_PLAIN;
	n = plain_output(c, dst + TLSREC_HEAD, room);
	if (n != 0) {
		n = tlsrec_seal(records, c->edge.rec, TLSREC_DATA, dst, n);
		care(c);
	}
	if (c->state == CONN_DONE && plain_is_empty(c) && !c->edge.ended) {
		c->edge.ended = true;
		tlsrec_alert(records, c->edge.rec, TLSREC_A_CLOSE,
		    &c->edge.out);
	}
	return n;
}

size_t
conn_output(struct conn *c, uint8_t *dst, size_t max)
{
	size_t n;

	n = put_out(c, dst, max);
	if (c->edge.out.n == 0 && !c->edge.ended &&
	    max - n >= PLAIN_OUTPUT_MIN + TLSREC_COST) {
		if (c->edge.phase == EDGE_TLS) {
			n += seal(c, dst + n, max - n);
			n += put_out(c, dst + n, max - n);
		} else if (c->edge.phase == EDGE_PLAIN)
			n += plain_output(c, dst + n, max - n);
	}
	c->net->count.octets_out += n;
	return n;
}

/* close_notify is due. */
static bool
owes_close(const struct conn *c)
{
	return c->edge.phase == EDGE_TLS && c->state == CONN_DONE &&
	    !c->edge.ended && plain_is_empty(c);
}

bool
conn_wants_output(const struct conn *c)
{
	if (c->edge.out.n != 0 || owes_close(c))
		return true;
	return !c->edge.ended && !edge_is_early(c) && plain_wants_output(c);
}

bool
conn_is_done(const struct conn *c)
{
	return plain_is_done(c) && c->edge.out.n == 0 && !owes_close(c);
}

void
net_hsts(struct net *net, bool on)
{
	net->edge.hsts = on;
}

bool
edge_hsts(const struct conn *c)
{
	return c->net->edge.hsts && c->edge.phase == EDGE_TLS;
}

bool
req_is_tls(const struct req *r)
{
	return r->conn->edge.phase == EDGE_TLS;
}
