/* Requests and streams of a confirmed session. */

#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "regress/lib/networld.h"

#define BODY_MAX	(1 << 20)
#define HEADER_MAX	16384

static void
answer(struct req *r, struct networld *w)
{
	(void)w;
	reply_status(r, 200, "yes");
}

static struct req *
take(struct networld *w)
{
	assert_int_equal(w->nreqs, 1);
	w->nreqs = 0;
	return w->reqs[0];
}

static bool
has(const struct buf *b, const char *text)
{
	return b->n != 0 && memmem(b->p, b->n, text, strlen(text)) != NULL;
}

static uint32_t
streams(const struct networld *w)
{
	uint32_t a, b, c;

	net_count(w->net, &a, &b, &c);
	return b;
}

static void
t_replies(void **state)
{
	struct networld *w = *state;
	struct wire *x = wire_open(w, 1);
	struct req_head none = { 204, NULL, -1, NULL, NULL, NULL, NULL };
	struct req_head busy = { 503, "text/plain", 17, "X-Why", "late", NULL,
	    NULL };

	(void)h2_client_request(x->client, "POST", "/a", NULL, "b", 1);
	networld_run(w);
	req_reply(take(w), &none, NULL, 0);
	networld_run(w);
	assert_int_equal(x->ends, 1);
	assert_int_equal(x->status, 204);
	assert_int_equal(x->fields.n, 0);
	assert_int_equal(x->data.n, 0);
	(void)h2_client_request(x->client, "GET", "/a", NULL, NULL, 0);
	networld_run(w);
	req_reply(take(w), &busy, "busy", 4);
	networld_run(w);
	assert_int_equal(x->ends, 2);
	assert_int_equal(x->error, 0);
	assert_int_equal(x->status, 503);
	assert_true(has(&x->fields, "retry-after: 17\n"));
	assert_true(has(&x->fields, "content-type: text/plain\n"));
	assert_true(has(&x->fields, "content-length: 4\n"));
	assert_true(has(&x->fields, "x-why: late\n"));
	assert_memory_equal(x->data.p, "busy", 4);
	/* HEAD: the length, but no octets */
	buf_clear(&x->data);
	(void)h2_client_request(x->client, "HEAD", "/a", NULL, NULL, 0);
	networld_run(w);
	assert_true(slice_eqs(req_method(w->reqs[0]), "HEAD"));
	req_reply(take(w), &busy, "busy", 4);
	networld_run(w);
	assert_int_equal(x->ends, 3);
	assert_int_equal(x->data.n, 0);
	assert_true(has(&x->fields, "content-length: 4\n"));
	assert_int_equal(w->gone, 0);
}

/* Tailnet lock asks by GET with a body; PATCH appears too. */
static void
t_methods(void **state)
{
	struct networld *w = *state;
	struct wire *x = wire_open(w, 1);

	(void)h2_client_request(x->client, "GET", "/machine/tka/sync/offer",
	    NULL, "{}", 2);
	networld_run(w);
	assert_true(slice_eqs(req_method(w->reqs[0]), "GET"));
	assert_true(slice_eqs(req_body(w->reqs[0]), "{}"));
	answer(take(w), w);
	(void)h2_client_request(x->client, "PATCH", "/x?q=1&r", NULL, "z", 1);
	networld_run(w);
	assert_true(slice_eqs(req_method(w->reqs[0]), "PATCH"));
	assert_true(slice_eqs(req_query(w->reqs[0]), "q=1&r"));
	answer(take(w), w);
	networld_run(w);
	assert_int_equal(x->ends, 2);
}

static void
t_bodies(void **state)
{
	static const char *const length[] = { "content-length", "1048577",
	    NULL };
	struct networld *w = *state;
	struct wire *x = wire_open(w, 1);
	uint8_t *p;
	size_t i;

	p = xmalloc(BODY_MAX + 1);
	for (i = 0; i <= BODY_MAX; i++)
		p[i] = (uint8_t)(i % 251);
	(void)h2_client_request(x->client, "POST", "/a", NULL, p, BODY_MAX);
	networld_run(w);
	assert_int_equal(req_body(w->reqs[0]).n, BODY_MAX);
	assert_memory_equal(req_body(w->reqs[0]).p, p, BODY_MAX);
	req_forget(w->reqs[0]);
	assert_int_equal(req_body(w->reqs[0]).n, 0);
	assert_int_equal(req_path(w->reqs[0]).n, 0);
	assert_int_equal(req_header(w->reqs[0], "accept-encoding").n, 0);
	answer(take(w), w);
	networld_run(w);
	assert_int_equal(x->status, 200);
	(void)h2_client_request(x->client, "POST", "/a", NULL, p,
	    BODY_MAX + 1);
	networld_run(w);
	assert_int_equal(x->status, 413);
	assert_int_equal(x->ends, 2);
	assert_int_equal(x->error, 0);
	/* announced: answered before it comes */
	(void)h2_client_request(x->client, "POST", "/a", length, p,
	    BODY_MAX + 1);
	networld_run(w);
	assert_int_equal(x->ends, 3);
	assert_int_equal(x->status, 413);
	assert_int_equal(w->nreqs, 0);
	assert_int_equal(w->gone, 0);
	assert_int_equal(net_counters(w->net)->body_large, 2);
	/* the session goes on */
	w->on_req = answer;
	assert_int_equal(wire_ask(x, "POST", "/a", p, 100000), 200);
	free(p);
}

/* A hundred fields without the pseudo-headers, and no more. */
static void
t_fields(void **state)
{
	const char *fields[2 * 101 + 1];
	struct networld *w = *state;
	struct wire *x = wire_open(w, 1);
	const size_t own = 1;	/* that this client sends by itself */
	size_t i = 0;

	w->on_req = answer;
	for (; i < 202; i++)
		fields[i] = i % 2 == 0 ? "a" : "";
	fields[2 * (100 - own)] = NULL;
	(void)h2_client_request(x->client, "GET", "/a", fields, NULL, 0);
	networld_run(w);
	assert_int_equal(x->status, 200);
	fields[2 * (100 - own)] = "a";
	fields[2 * (101 - own)] = NULL;
	(void)h2_client_request(x->client, "GET", "/a", fields, NULL, 0);
	networld_run(w);
	assert_int_equal(x->status, 431);
	assert_int_equal(net_counters(w->net)->head_large, 1);
	assert_int_equal(w->asked, 1);
	assert_int_equal(wire_ask(x, "GET", "/ok", NULL, 0), 200);
}

static void
t_headers(void **state)
{
	const char *fields[] = { "x-a", NULL, "x-b", NULL, NULL };
	struct networld *w = *state;
	struct wire *x = wire_open(w, 1);
	char *big;

	w->on_req = answer;
	big = xcalloc(1, HEADER_MAX);
	memset(big, 'a', HEADER_MAX / 2 - 300);
	fields[1] = fields[3] = big;
	(void)h2_client_request(x->client, "GET", "/a", fields, NULL, 0);
	networld_run(w);
	assert_int_equal(x->status, 200);
	memset(big, 'a', HEADER_MAX / 2);
	(void)h2_client_request(x->client, "GET", "/a", fields, "body", 4);
	networld_run(w);
	assert_int_equal(x->status, 431);
	assert_int_equal(x->ends, 2);
	assert_int_equal(net_counters(w->net)->head_large, 1);
	assert_int_equal(w->asked, 1);
	assert_int_equal(wire_ask(x, "GET", "nonsense", NULL, 0), 0);
	assert_int_equal(x->error, 1);	/* the library: PROTOCOL_ERROR */
	assert_int_equal(wire_ask(x, "GET", "/a#b", NULL, 0), 400);
	assert_int_equal(wire_ask(x, "GET", "/ok", NULL, 0), 200);
	free(big);
}

/* 250 at once are served, more wait at the client. */
static void
t_many(void **state)
{
	struct networld *w = *state;
	struct wire *x = wire_open(w, 1);
	int i;

	for (i = 0; i < 300; i++)
		(void)h2_client_request(x->client, "POST", "/a", NULL, "x", 1);
	networld_run(w);
	assert_int_equal(w->nreqs, 250);
	for (i = 0; i < 250; i++)
		reply_status(w->reqs[i], 200, "ok");
	w->nreqs = 0;
	networld_run(w);
	assert_int_equal(w->nreqs, 50);
	for (i = 0; i < 50; i++)
		reply_status(w->reqs[i], 200, "ok");
	w->nreqs = 0;
	networld_run(w);
	assert_int_equal(x->ends, 300);
	assert_int_equal(x->heads, 300);
	assert_int_equal(w->gone, 0);
}

static void
t_stream(void **state)
{
	struct networld *w = *state;
	struct wire *x = wire_open(w, 1);
	struct req *r;
	int i;

	(void)h2_client_request(x->client, "POST", "/machine/map", NULL, "m",
	    1);
	networld_run(w);
	r = take(w);
	begin_stream(r);
	assert_int_equal(streams(w), 1);
	networld_run(w);
	assert_int_equal(x->heads, 1);
	assert_int_equal(w->drained, 0);
	for (i = 1; i <= 20; i++)
		send_octets(r, (size_t)i * 100, (uint8_t)i);
	assert_int_equal(req_queued(r), 21000);
	networld_run(w);
	assert_int_equal(req_queued(r), 0);
	assert_int_equal(w->drained, 1);
	assert_int_equal(x->data.n, 21000);
	assert_int_equal(x->data.p[99], 1);
	assert_int_equal(x->data.p[100], 2);
	assert_int_equal(x->data.p[20999], 20);
	networld_pass(w, 3600 * US_PER_S);	/* lives without traffic */
	assert_int_equal(x->ends, 0);
	send_octets(r, 1, 99);
	networld_run(w);
	assert_int_equal(x->data.p[21000], 99);
	assert_int_equal(w->drained, 2);
	send_octets(r, 5, 98);
	req_end(r);
	assert_int_equal(streams(w), 0);
	networld_run(w);
	assert_int_equal(x->data.n, 21006);
	assert_int_equal(x->ends, 1);
	assert_int_equal(x->error, 0);
	assert_int_equal(w->gone, 0);
	assert_int_equal(w->drained, 2);
}

/* 20 MB through a conn whose socket takes 16 KB at a time. */
static void
t_large(void **state)
{
	struct networld *w = *state;
	struct wire *x = wire_open(w, 1);
	struct frame *f;
	struct req *r;
	uint8_t *p;
	size_t i, n = 1 << 20;

	(void)h2_client_request(x->client, "POST", "/machine/map", NULL, "m",
	    1);
	networld_run(w);
	r = take(w);
	begin_stream(r);
	p = xmalloc(n);
	for (i = 0; i < n; i++)
		p[i] = (uint8_t)(i ^ i >> 8 ^ i >> 16);
	f = frame_new(p, n);
	for (i = 0; i < 20; i++)
		req_send(r, f);
	assert_int_equal(f->refs, 21);
	assert_int_equal(frame_bytes(), n);
	frame_unref(f);
	networld_run(w);
	assert_int_equal(x->data.n, 20 * n);
	for (i = 0; i < 20; i++)
		assert_memory_equal(x->data.p + i * n, p, n);
	assert_int_equal(w->drained, 1);
	assert_int_equal(frame_bytes(), 0);
	free(p);
}

/* A window of 20,000 octets: the rest waits with us until it is read. */
static void
t_slow_reader(void **state)
{
	struct networld *w = *state;
	struct h2_client_conf conf = { .window = 20000 };
	struct wire *x = wire_client(w, 1, &conf);
	struct req *r;
	int32_t id;

	networld_run(w);
	id = h2_client_request(x->client, "POST", "/machine/map", NULL, "m",
	    1);
	networld_run(w);
	r = take(w);
	begin_stream(r);
	send_octets(r, 50000, 'a');
	networld_run(w);
	assert_int_equal(x->data.n, 20000);
	assert_int_equal(req_queued(r), 30000);
	assert_int_equal(w->drained, 0);
	assert_false(conn_wants_output(x->conn));
	h2_client_read(x->client, id, 20000);
	networld_run(w);
	assert_int_equal(x->data.n, 40000);
	assert_int_equal(w->drained, 0);
	send_octets(r, 1, 'b');
	h2_client_read(x->client, id, 20000);
	networld_run(w);
	assert_int_equal(x->data.n, 50001);
	assert_int_equal(x->data.p[50000], 'b');
	assert_int_equal(w->drained, 1);
	/* progress keeps it alive; none ends it after stall_s */
	send_octets(r, 50000, 'c');
	networld_pass(w, 50 * US_PER_S);
	h2_client_read(x->client, id, 10001);
	networld_pass(w, 50 * US_PER_S);
	assert_int_equal(w->gone, 0);
	networld_pass(w, 11 * US_PER_S);
	assert_int_equal(w->gone, 1);
	assert_int_equal(streams(w), 0);
	assert_int_equal(net_counters(w->net)->stalled, 1);
	assert_int_equal(x->ends, 1);
	assert_int_equal(x->error, 8);		/* CANCEL */
	w->on_req = answer;
	assert_int_equal(wire_ask(x, "GET", "/a", NULL, 0), 200);
}

/* A small message does not wait behind a large one on the same connection. */
static void
t_fair(void **state)
{
	struct networld *w = *state;
	struct wire *x = wire_open(w, 1);
	struct req *big, *small;
	const uint8_t *at;
	int i;

	for (i = 0; i < 2; i++)
		(void)h2_client_request(x->client, "POST", "/m", NULL, "m", 1);
	networld_run(w);
	big = w->reqs[0];
	small = w->reqs[1];
	w->nreqs = 0;
	begin_stream(big);
	begin_stream(small);
	for (i = 0; i < 3; i++)
		send_octets(big, 1000000, 'b');
	send_octets(small, 100, 's');
	networld_run(w);
	assert_int_equal(x->data.n, 3000100);
	at = memchr(x->data.p, 's', x->data.n);
	assert_true(at - x->data.p <= 32768);
	/* and when the large one is under way already */
	buf_clear(&x->data);
	x->stuck = true;
	send_octets(big, 3000000, 'b');
	send_octets(small, 100, 's');
	networld_run(w);
	x->stuck = false;
	networld_run(w);
	at = memchr(x->data.p, 's', x->data.n);
	assert_true(at - x->data.p <= 65536);
	/* two large ones share */
	buf_clear(&x->data);
	send_octets(big, 1000000, 'b');
	send_octets(small, 1000000, 's');
	networld_run(w);
	at = memchr(x->data.p, x->data.p[0] == 's' ? 'b' : 's', x->data.n);
	assert_true(at - x->data.p <= 65536);
	for (i = 0, at = x->data.p; at < x->data.p + 1000000; at++)
		i += *at == 's';
	assert_true(i > 400000 && i < 600000);
}

static void
t_cancel(void **state)
{
	struct networld *w = *state;
	struct wire *x = wire_open(w, 1);
	struct req *r;
	int32_t id;

	/* while control has it */
	id = h2_client_request(x->client, "POST", "/m", NULL, "m", 1);
	networld_run(w);
	assert_int_equal(w->nreqs, 1);
	h2_client_cancel(x->client, id);
	networld_run(w);
	assert_int_equal(w->gone, 1);
	assert_int_equal(w->nreqs, 0);
	/* while it streams, with a full queue */
	id = h2_client_request(x->client, "POST", "/m", NULL, "m", 1);
	networld_run(w);
	begin_stream(w->reqs[0]);
	x->stuck = true;
	send_octets(w->reqs[0], 100000, 'a');
	h2_client_cancel(x->client, id);
	networld_run(w);
	assert_int_equal(w->gone, 2);
	assert_int_equal(streams(w), 0);
	assert_int_equal(frame_bytes(), 0);
	x->stuck = false;
	/* when it was answered, nobody hears of it */
	id = h2_client_request(x->client, "POST", "/m", NULL, "m", 1);
	networld_run(w);
	r = take(w);
	x->stuck = true;
	reply_status(r, 200, "late");
	h2_client_cancel(x->client, id);
	networld_run(w);
	x->stuck = false;
	networld_run(w);
	assert_int_equal(w->gone, 2);
	/* half of a request */
	assert_int_equal(net_counters(w->net)->resets, 3);
	assert_int_equal(w->asked, 3);
}

static void
t_abort(void **state)
{
	struct networld *w = *state;
	struct wire *x = wire_open(w, 1);
	struct req *r;

	(void)h2_client_request(x->client, "POST", "/m", NULL, "m", 1);
	networld_run(w);
	r = take(w);
	begin_stream(r);
	networld_run(w);
	send_octets(r, 100000, 'a');
	req_abort(r);
	assert_int_equal(streams(w), 0);
	assert_int_equal(frame_bytes(), 0);
	networld_run(w);
	assert_int_equal(x->ends, 1);
	assert_int_equal(x->error, 8);
	assert_int_equal(x->data.n, 0);
	/* before the answer */
	(void)h2_client_request(x->client, "POST", "/m", NULL, "m", 1);
	networld_run(w);
	req_abort(take(w));
	networld_run(w);
	assert_int_equal(x->ends, 2);
	assert_int_equal(x->heads, 1);
	assert_int_equal(w->gone, 0);
}

/* The connection dies under requests in every state. */
static void
t_lost(void **state)
{
	struct networld *w = *state;
	struct wire *x = wire_open(w, 1);
	int i;

	for (i = 0; i < 4; i++)
		(void)h2_client_request(x->client, "POST", "/m", NULL, "m", 1);
	networld_run(w);
	assert_int_equal(w->nreqs, 4);
	x->stuck = true;
	begin_stream(w->reqs[0]);
	send_octets(w->reqs[0], 1000, 'a');
	reply_status(w->reqs[1], 200, "x");
	begin_stream(w->reqs[2]);
	req_end(w->reqs[2]);
	wire_close(x);
	assert_int_equal(w->gone, 2);
	assert_int_equal(streams(w), 0);
	assert_int_equal(frame_bytes(), 0);
	assert_true(conn_is_done(x->conn));
}

/* gone() may touch the others of its connection. */
static void
end_all(struct req *r, struct networld *w)
{
	(void)w;
	begin_stream(r);
	send_octets(r, 10, 'a');
	req_end(r);
}

static void
t_reenter(void **state)
{
	struct networld *w = *state;
	struct wire *x = wire_open(w, 1);

	w->on_req = end_all;
	assert_int_equal(wire_ask(x, "POST", "/m", "m", 1), 200);
	assert_int_equal(x->data.n, 10);
}

/* All that a session's requests hold together is bounded. */
static void
t_hoard(void **state)
{
	struct networld *w = *state;
	struct wire *x = wire_open(w, 1);
	uint8_t *p;
	int i;

	p = xcalloc(1, BODY_MAX);
	for (i = 0; i < 100; i++)
		(void)h2_client_request(x->client, "POST", "/a", NULL, p,
		    BODY_MAX);
	networld_run(w);
	assert_true(w->nreqs <= 2);
	assert_true(x->ends >= 98);
	assert_int_equal(x->status, 413);
	while (w->nreqs != 0)
		answer(w->reqs[--w->nreqs], w);
	networld_run(w);
	assert_int_equal(x->ends, 100);
	w->on_req = answer;		/* and it is given back */
	assert_int_equal(wire_ask(x, "POST", "/a", p, BODY_MAX), 200);
	assert_int_equal(wire_ask(x, "POST", "/a", p, BODY_MAX), 200);
	assert_int_equal(wire_ask(x, "POST", "/a", p, BODY_MAX), 200);
	free(p);
}

/* HEADERS of a request whose body never comes. */
static void
t_half_request(void **state)
{
	/* table size 0; POST / with :scheme, :authority; END_HEADERS only */
	static const uint8_t headers[] = { 0, 0, 7, 1, 4, 0, 0, 0, 1, 0x20,
	    0x83, 0x84, 0x87, 0x41, 0x01, 'a' };
	struct networld *w = *state;
	struct wire *x = wire_open(w, 1);

	h2_client_flush(x->client);
	h2_client_record(x->client, headers, sizeof(headers));
	networld_pass(w, 59 * US_PER_S);
	assert_int_equal(net_counters(w->net)->stalled, 0);
	networld_pass(w, 2 * US_PER_S);
	assert_int_equal(net_counters(w->net)->stalled, 1);
	assert_int_equal(w->asked, 0);
	assert_int_equal(w->gone, 0);
}

static void
t_idle(void **state)
{
	struct networld *w = *state;
	struct wire *x = wire_open(w, 1), *y = wire_open(w, 2);

	w->on_req = answer;
	networld_pass(w, 200 * US_PER_S);
	assert_int_equal(wire_ask(y, "GET", "/a", NULL, 0), 200);
	networld_pass(w, 99 * US_PER_S);
	assert_int_equal(h2_client_goaways(x->client), 0);
	networld_pass(w, US_PER_S);
	assert_int_equal(h2_client_goaways(x->client), 1);
	assert_int_equal(h2_client_last_stream(x->client), 0x7fffffff);
	assert_false(x->done);
	networld_pass(w, US_PER_S);
	assert_true(x->done);
	assert_int_equal(net_counters(w->net)->idle, 1);
	assert_false(y->done);
	networld_pass(w, 200 * US_PER_S);
	assert_true(y->done);
	assert_int_equal(net_counters(w->net)->idle, 2);
}

/* A request that crosses the first GOAWAY is served. */
static void
t_idle_race(void **state)
{
	struct networld *w = *state;
	struct wire *x = wire_open(w, 1);

	w->on_req = answer;
	(void)h2_client_request(x->client, "POST", "/a", NULL, "x", 1);
	h2_client_flush(x->client);
	x->mute = true;
	networld_pass(w, 300 * US_PER_S + 100000);
	assert_int_equal(h2_client_goaways(x->client), 1);
	x->mute = false;
	networld_run(w);
	assert_int_equal(x->status, 200);
	assert_int_equal(x->ends, 1);
	networld_pass(w, US_PER_S);
	assert_true(x->done);
}

static void
t_shutdown(void **state)
{
	struct networld *w = *state;
	struct wire *x = wire_open(w, 1), *y = wire_open(w, 2);
	struct wire *plain = wire_raw(w), *half = wire_client(w, 3, NULL);
	struct req *r;

	half->mute = true;
	(void)h2_client_request(x->client, "POST", "/m", NULL, "m", 1);
	networld_run(w);
	r = take(w);
	begin_stream(r);
	send_octets(r, 10, 'a');
	networld_run(w);
	net_shutdown(w->net);
	networld_pass(w, US_PER_S);
	assert_true(plain->done);
	assert_true(half->done);
	assert_true(y->done);
	assert_false(x->done);
	assert_int_equal(h2_client_goaways(x->client), 2);
	assert_int_equal(h2_client_last_stream(x->client), 1);
	send_octets(r, 10, 'b');
	req_end(r);
	networld_run(w);
	assert_int_equal(x->ends, 1);
	assert_int_equal(x->data.n, 20);
	assert_true(x->done);
}

/* The goodbye of a client that takes nothing is not waited for. */
static void
t_deaf(void **state)
{
	struct networld *w = *state;
	struct wire *x = wire_open(w, 1);

	x->stuck = true;
	networld_pass(w, 302 * US_PER_S);
	assert_int_equal(net_counters(w->net)->idle, 1);
	assert_false(conn_is_done(x->conn));
	networld_pass(w, 60 * US_PER_S);
	assert_true(conn_is_done(x->conn));
	assert_int_equal(net_counters(w->net)->stalled, 1);
}

/* A stalled stream on a stuck socket: gone at once, the rest after it. */
static void
t_stuck(void **state)
{
	struct networld *w = *state;
	struct wire *x = wire_open(w, 1);

	(void)h2_client_request(x->client, "POST", "/m", NULL, "m", 1);
	networld_run(w);
	begin_stream(w->reqs[0]);
	networld_run(w);
	x->stuck = true;
	send_octets(w->reqs[0], 10, 'a');
	networld_pass(w, 61 * US_PER_S);
	assert_int_equal(w->gone, 1);
	assert_false(conn_is_done(x->conn));
	networld_pass(w, 60 * US_PER_S);
	assert_true(conn_is_done(x->conn));
	assert_int_equal(w->gone, 1);
}

/* Plaintext that is not HTTP/2. */
static void
t_garbage(void **state)
{
	static const uint8_t data0[] = { 0, 0, 1, 0, 0, 0, 0, 0, 0, 'x' };
	static const uint8_t huge[] = { 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1 };
	static const uint8_t push[] = { 0, 0, 4, 5, 4, 0, 0, 0, 2, 0, 0, 0, 2 };
	static const uint8_t hpack[] = { 0, 0, 2, 1, 5, 0, 0, 0, 1, 0xff,
	    0xff };
	static const struct {
		const uint8_t	*p;
		size_t		 n;
	} bad[] = {
		{ data0, sizeof(data0) }, { huge, sizeof(huge) },
		{ push, sizeof(push) }, { hpack, sizeof(hpack) }
	};
	struct networld *w = *state;
	struct wire *x;
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		x = wire_open(w, 1);
		(void)h2_client_request(x->client, "POST", "/m", NULL, "m", 1);
		networld_run(w);
		assert_int_equal(w->nreqs, 1);
		h2_client_flush(x->client);
		h2_client_record(x->client, bad[i].p, bad[i].n);
		networld_run(w);
		assert_true(h2_client_goaways(x->client) == 1);
		assert_true(x->done);
		assert_int_equal(w->gone, i + 1);
		assert_int_equal(net_counters(w->net)->h2_bad, i + 1);
	}
}

/* Rapid reset: the limit ends the session, not the worker's memory. */
static void
t_rapid_reset(void **state)
{
	struct networld *w = *state;
	struct wire *x = wire_open(w, 1);
	int i;

	for (i = 0; i < 400 && !x->done; i++) {
		h2_client_cancel(x->client, h2_client_request(x->client,
		    "POST", "/m", NULL, "m", 1));
		h2_client_flush(x->client);
		(void)h2_client_request(x->client, "POST", "/m", NULL, "m", 1);
		h2_client_flush(x->client);
		h2_client_cancel(x->client, i * 4 + 3);
		networld_run(w);
	}
	assert_true(x->done);
	assert_true(i < 300);
	assert_int_equal(w->nreqs, 0);
}

static void
frame_head(uint8_t head[9], size_t n, uint8_t type, uint8_t flags, uint8_t id)
{
	memset(head, 0, 9);
	head[1] = (uint8_t)(n >> 8);
	head[2] = (uint8_t)n;
	head[3] = type;
	head[4] = flags;
	head[8] = id;
}

/* HEADERS without END_HEADERS, then CONTINUATION without end. */
static void
t_continuations(void **state)
{
	struct networld *w = *state;
	struct wire *x = wire_open(w, 1);
	uint8_t f[9 + 100];
	int i;

	h2_client_flush(x->client);
	frame_head(f, 7, 1, 0, 1);
	memcpy(f + 9, "\x20\x83\x84\x87\x41\x01" "a", 7);
	h2_client_record(x->client, f, 16);
	for (i = 0; i < 100 && !x->done; i++) {
		frame_head(f, 4, 9, 0, 1);
		memcpy(f + 9, "\x00\x01" "a\x00", 4);
		h2_client_record(x->client, f, 13);
		networld_run(w);
	}
	assert_true(x->done);
	assert_true(i < 20);
}

/* PINGs of a client that reads nothing. */
static void
t_ping_flood(void **state)
{
	struct networld *w = *state;
	struct wire *x = wire_open(w, 1);
	uint8_t f[17] = { 0 };
	int i;

	h2_client_flush(x->client);
	networld_run(w);
	x->stuck = true;
	frame_head(f, 8, 6, 0, 0);
	for (i = 0; i < 1000; i++)
		h2_client_record(x->client, f, sizeof(f));
	networld_run(w);
	assert_true(conn_is_done(x->conn));
	assert_int_equal(net_counters(w->net)->h2_bad, 1);
}

/* What a client that never reads can make us keep. */
static void
flood(struct wire *x, const uint8_t *f, size_t n, bool new_streams)
{
	struct networld *w = x->world;
	struct mallinfo2 before, after;
	uint8_t b[256];
	uint32_t id;
	int i;

	x->stuck = true;
	memcpy(b, f, n);
	before = mallinfo2();
	for (i = 0; i < 20000 && x->conn != NULL && !conn_is_done(x->conn) &&
	    conn_wants_input(x->conn); i++) {
		if (new_streams) {
			id = (uint32_t)i * 2 + 3;
			b[6] = (uint8_t)(id >> 16);
			b[7] = (uint8_t)(id >> 8);
			b[8] = (uint8_t)id;
		}
		h2_client_record(x->client, b, n);
		networld_run(w);
	}
	after = mallinfo2();
	assert_true(after.uordblks < before.uordblks + 512 * 1024);
}

static void
t_floods(void **state)
{
	struct networld *w = *state;
	/* a bad header name, octets for a stream that is over, windows */
	static const uint8_t bad[] = { 0, 0, 10, 1, 5, 0, 0, 0, 0, 0x83, 0x84,
	    0x87, 0x41, 0x01, 'a', 0x00, 0x01, 'A', 0x00 };
	static const uint8_t good[] = { 0, 0, 6, 1, 5, 0, 0, 0, 0, 0x83, 0x84,
	    0x87, 0x41, 0x01, 'a' };
	static const uint8_t data[9 + 100] = { 0, 0, 100, 0, 0, 0, 0, 0, 1 };
	static const uint8_t window[] = { 0, 0, 4, 8, 0, 0, 0, 0, 1, 0, 0, 0,
	    1 };
	static const uint8_t settings[] = { 0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 4,
	    0, 0, 0xff, 0xff };
	static const uint8_t priority[] = { 0, 0, 5, 2, 0, 0, 0, 0, 0, 0, 0,
	    0, 1, 1 };
	static const struct {
		const uint8_t	*p;
		size_t		 n;
		bool		 new_streams;
	} all[] = {
		{ bad, sizeof(bad), true }, { good, sizeof(good), true },
		{ data, sizeof(data), false },
		{ window, sizeof(window), false },
		{ settings, sizeof(settings), false },
		{ priority, sizeof(priority), true }
	};
	struct wire *x;
	size_t i;

	w->on_req = answer;
	for (i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		x = wire_open(w, (uint8_t)(i + 1));
		assert_int_equal(wire_ask(x, "GET", "/a", NULL, 0), 200);
		flood(x, all[i].p, all[i].n, all[i].new_streams);
	}
}

static void
t_zero_record(void **state)
{
	struct networld *w = *state;
	struct wire *x = wire_open(w, 1);

	h2_client_record(x->client, "", 0);
	networld_run(w);
	w->on_req = answer;
	assert_int_equal(wire_ask(x, "GET", "/a", NULL, 0), 200);
}

#define T(f)	cmocka_unit_test_setup_teardown(f, networld_setup, \
		    networld_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(t_replies), T(t_methods), T(t_bodies), T(t_headers),
		T(t_fields), T(t_many), T(t_stream), T(t_large),
		T(t_slow_reader),
		T(t_fair), T(t_cancel), T(t_abort), T(t_lost), T(t_reenter),
		T(t_hoard), T(t_half_request), T(t_idle), T(t_idle_race),
		T(t_shutdown), T(t_deaf), T(t_stuck), T(t_garbage),
		T(t_rapid_reset), T(t_continuations), T(t_ping_flood),
		T(t_floods), T(t_zero_record)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
