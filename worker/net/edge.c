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

void
net_tls(struct net *net, struct tls *t)
{
	struct tls *old = net->edge.tls;

	net->edge.tls = t == NULL ? NULL : tls_ref(t);
	tls_free(old);
	meta(net);
	hello_wake(net);
}

void
net_tls_hold(struct net *net, bool hold)
{
	net->edge.hold = hold;
	hello_wake(net);
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
	hello_init(net);
	timer_init(&net->edge.meta_timer, net->env, on_meta, net);
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

void
edge_leave(struct conn *c, bool failed)
{
	hello_leave(c);
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
void
edge_fail(struct conn *c, uint64_t *counter, const char *why)
{
	(*counter)++;
	conn_log(c, "tls", why);
	c->edge.ended = true;
	conn_finish(c, true);
	buf_free(&c->out);	/* it can't go any more */
	c->out_at = 0;
}

static void
bad_record(struct conn *c, enum tlsrec_alert alert)
{
	struct net_edge *e = &c->net->edge;

	tlsrec_alert(e->records, c->edge.rec, alert, &c->edge.out);
	edge_fail(c, &e->count.tls_record_bad, "bad record");
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
		return hello_eat(c, p, n);
	case EDGE_TLS:
		return eat_record(c, p, n);
	case EDGE_PLAIN:
		plain_input(c, p, n);
		break;
	}
	return n;
}

/* How many octets are missing before it makes sense to look at raw again. */
size_t
edge_missing(const struct conn *c)
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
void
edge_feed(struct conn *c, const uint8_t *p, size_t n)
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
		part = edge_missing(c) < n ? edge_missing(c) : n;
		buf_put(&c->edge.raw, p, part);
		p += part;
		n -= part;
		if (eat_raw(c) == 0 && (n == 0 || edge_missing(c) == 0))
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
		edge_feed(c, p, n);
	/* Whoever asks conn_wants_input() does not come here. */
	if (c->edge.raw.n > IN_MAX)
		conn_fail(c, &c->net->count.flooded, "input beyond all bounds");
	net_settle(c->net);
}

bool
conn_wants_input(const struct conn *c)
{
	if (c->state != CONN_DONE && edge_is_early(c))
		return c->edge.signing == 0 &&
		    (c->edge.raw.n == 0 || edge_missing(c) != 0);
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
