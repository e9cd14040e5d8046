/* Connections from accept to the end, with keyd's real core. */

#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/enc.h"
#include "common/ticket.h"
#include "regress/lib/networld.h"
#include "worker/net/layers_int.h"

/* What the client has to send goes to the server, in one piece. */
static void
hand_over(struct wire *x)
{
	uint8_t b[16384];

	conn_input(x->conn, b, h2_client_output(x->client, b, sizeof(b)));
}

static void
t_handshake(void **state)
{
	struct networld *w = *state;
	struct wire *x = wire_open(w, 3);
	uint8_t machine[NOISE_KEY], secret[32];
	uint32_t sessions, streams, conns;
	const struct session *se;
	struct slice early;

	early = h2_client_early(x->client);
	assert_int_equal(early.n, strlen("{\"nodeKeyChallenge\":\"\"}") + 72);
	assert_true(slice_prefix(early, "{\"nodeKeyChallenge\":\"chalpub:"));
	assert_true(h2_client_request(x->client, "POST", "/machine/map?a=b",
	    NULL, "hello", 5) == 1);
	networld_run(w);
	assert_int_equal(w->nreqs, 1);
	assert_true(slice_eqs(req_path(w->reqs[0]), "/machine/map"));
	assert_true(slice_eqs(req_query(w->reqs[0]), "a=b"));
	assert_true(slice_eqs(req_method(w->reqs[0]), "POST"));
	assert_true(slice_eqs(req_body(w->reqs[0]), "hello"));
	assert_true(slice_eqs(req_header(w->reqs[0], "accept-encoding"),
	    "gzip"));
	assert_int_equal(req_header(w->reqs[0], "nothing").n, 0);
	assert_int_equal(req_stream_id(w->reqs[0]), 1);
	assert_int_equal(req_peer(w->reqs[0])->port, 4711);
	se = req_session(w->reqs[0]);
	assert_non_null(se);
	assert_int_equal(se->capver, 148);
	memset(machine, 3, sizeof(machine));
	noise_clamp(machine);
	noise_public(machine, machine);
	assert_memory_equal(se->ticket.key, machine, NOISE_KEY);
	memset(secret, 7, sizeof(secret));
	assert_true(ticket_check(&se->ticket, secret, TICKET_MACHINE, 1, 100));
	net_count(w->net, &sessions, &streams, &conns);
	assert_int_equal(sessions, 1);
	assert_int_equal(streams, 0);
	assert_int_equal(conns, 1);
	reply_status(w->reqs[0], 200, "world");
	w->nreqs = 0;
	networld_run(w);
	assert_int_equal(x->ends, 1);
	assert_int_equal(x->error, 0);
	assert_int_equal(x->status, 200);
	assert_int_equal(x->data.n, 5);
	assert_memory_equal(x->data.p, "world", 5);
	assert_int_equal(w->gone, 0);
	wire_close(x);
	net_count(w->net, &sessions, &streams, &conns);
	assert_int_equal(sessions, 0);
	assert_int_equal(conns, 0);
}

static void
answer(struct req *r, struct networld *w)
{
	(void)w;
	reply_status(r, 200, "yes");
}

static uint32_t
sessions(const struct networld *w)
{
	uint32_t a, b, c;

	net_count(w->net, &a, &b, &c);
	return a;
}

static struct wire *
websocket(struct networld *w, uint8_t who)
{
	struct h2_client_conf conf = { .websocket = true };

	return wire_client(w, who, &conf);
}

/* Both forms, octet by octet and whole. */
static void
t_pieces(void **state)
{
	static const size_t pieces[] = { 1, 2, 3, 19, 50, 4096, 0 };
	struct networld *w = *state;
	struct wire *x;
	uint8_t *p;
	size_t i, n = 20000;

	w->on_req = answer;
	p = xcalloc(1, n);
	for (i = 0; i < 2 * sizeof(pieces) / sizeof(pieces[0]); i++) {
		x = i % 2 == 0 ? wire_client(w, 1, NULL) : websocket(w, 1);
		x->piece = pieces[i / 2];
		networld_run(w);
		assert_int_equal(h2_client_state(x->client), H2C_OPEN);
		assert_int_equal(h2_client_early(x->client).n, 95);
		assert_int_equal(wire_ask(x, "POST", "/a", p, n), 200);
		assert_int_equal(wire_ask(x, "POST", "/a", p, 0), 200);
		wire_close(x);
	}
	assert_int_equal(net_counters(w->net)->websockets, 7);
	assert_int_equal(net_counters(w->net)->sessions, 14);
	free(p);
}

/* A large stream over WebSocket: each record in a frame of its own. */
static void
t_ws_stream(void **state)
{
	struct networld *w = *state;
	struct wire *x = websocket(w, 1);

	networld_run(w);
	(void)h2_client_request(x->client, "POST", "/m", NULL, "m", 1);
	networld_run(w);
	begin_stream(w->reqs[0]);
	send_octets(w->reqs[0], 3000000, 'a');
	req_end(w->reqs[0]);
	networld_run(w);
	assert_int_equal(x->data.n, 3000000);
	assert_int_equal(x->ends, 1);
}

/* keyd away: handshakes wait, sessions live. */
static void
t_keyd_away(void **state)
{
	struct networld *w = *state;
	struct wire *old = wire_open(w, 1), *x, *late;
	struct h2_client_conf conf = { 0 };
	uint8_t key[NOISE_KEY];

	memcpy(key, net_server_key(w->net), sizeof(key));
	x = wire_client(w, 2, &conf);
	late = wire_client(w, 3, &conf);
	late->mute = true;
	networld_keyd(w, false);
	assert_memory_equal(net_server_key(w->net), key, sizeof(key));
	networld_pass(w, 5 * US_PER_S);
	assert_int_equal(h2_client_state(x->client), H2C_HTTP);
	assert_int_equal(h2_client_status(x->client), 0);
	w->on_req = answer;
	assert_int_equal(wire_ask(old, "GET", "/a", NULL, 0), 200);
	networld_keyd(w, true);
	networld_run(w);
	assert_int_equal(h2_client_state(x->client), H2C_OPEN);
	assert_int_equal(sessions(w), 2);
	assert_int_equal(wire_ask(x, "GET", "/a", NULL, 0), 200);
	networld_keyd(w, false);
	late->mute = false;
	networld_pass(w, 6 * US_PER_S);
	assert_true(late->done);
	assert_int_equal(net_counters(w->net)->late, 1);
	assert_int_equal(h2_client_status(late->client), 0);
	networld_keyd(w, true);
	networld_run(w);
}

/* keyd dies when it has answered: that handshake is lost. */
static void
t_keyd_dies(void **state)
{
	struct networld *w = *state;
	struct wire *x = wire_client(w, 1, NULL), *y = wire_client(w, 2, NULL);

	hand_over(x);
	x->mute = true;		/* no first record */
	hand_over(y);
	networld_run(w);
	assert_int_equal(h2_client_state(x->client), H2C_OPEN);
	assert_int_equal(sessions(w), 1);
	(void)h2_client_request(y->client, "GET", "/a", NULL, NULL, 0);
	networld_run(w);
	assert_int_equal(w->nreqs, 1);
	networld_keyd(w, false);
	networld_run(w);
	assert_true(x->done);
	assert_false(y->done);
	assert_int_equal(net_counters(w->net)->key_lost, 1);
}

static void
t_hold(void **state)
{
	struct networld *w = *state;
	struct wire *x;

	net_hold(w->net, true);
	x = wire_client(w, 1, NULL);
	networld_pass(w, 5 * US_PER_S);
	assert_int_equal(h2_client_status(x->client), 0);
	net_hold(w->net, false);
	networld_run(w);
	assert_int_equal(h2_client_state(x->client), H2C_OPEN);
	assert_int_equal(sessions(w), 1);
}

/* All that a client said on one connection, said again on another. */
static void
t_replay(void **state)
{
	struct networld *w = *state;
	struct wire *x = wire_client(w, 1, NULL), *thief = wire_raw(w);
	struct buf said = { 0 };
	uint8_t b[4096];
	size_t n;
	int i;

	w->on_req = answer;
	for (i = 0; i < 10; i++) {
		n = h2_client_output(x->client, b, sizeof(b));
		if (n != 0) {
			buf_put(&said, b, n);
			conn_input(x->conn, b, n);
		}
		networld_run(w);
		if (i == 3)
			(void)h2_client_request(x->client, "POST", "/a", NULL,
			    "a", 1);
	}
	assert_int_equal(sessions(w), 1);
	buf_put(&thief->to, said.p, said.n);
	networld_run(w);
	assert_true(thief->done);
	assert_int_equal(sessions(w), 1);
	assert_int_equal(w->asked, 1);
	assert_int_equal(net_counters(w->net)->noise_no, 1);
	/* it got as far as anybody who saw the initiation */
	assert_memory_equal(thief->from.p, "HTTP/1.1 101 ", 13);
	buf_free(&said);
}

/* What comes before the session is confirmed is kept, up to a bound. */
static void
t_unconfirmed(void **state)
{
	struct networld *w = *state;
	struct wire *x = wire_client(w, 1, NULL);
	uint8_t b[16384];
	size_t total = 0;

	hand_over(x);
	/* it sends on without waiting for the 101 */
	memset(b, 4, sizeof(b));
	while (conn_wants_input(x->conn)) {
		conn_input(x->conn, b, sizeof(b));
		total += sizeof(b);
	}
	assert_int_equal(total, 16384);
	networld_run(w);
	assert_true(x->done);		/* 04 04 04 04 is no first record */
	/* and one that does not ask whether it may */
	x = wire_client(w, 1, NULL);
	hand_over(x);
	memset(b, 4, sizeof(b));
	for (total = 0; total < 1000000 && !conn_is_done(x->conn);
	    total += sizeof(b))
		conn_input(x->conn, b, sizeof(b));
	assert_true(conn_is_done(x->conn));
	assert_true(total <= 150000);
	assert_int_equal(net_counters(w->net)->flooded, 1);
}

/* Requests in the same segment as the first record are not lost. */
static void
t_eager(void **state)
{
	struct networld *w = *state;
	struct wire *x = wire_client(w, 1, NULL);
	uint8_t *big;

	w->on_req = answer;
	hand_over(x);
	x->mute = true;
	networld_run(w);
	assert_int_equal(h2_client_state(x->client), H2C_OPEN);
	big = xcalloc(1, 30000);
	(void)h2_client_request(x->client, "POST", "/a", NULL, big, 30000);
	(void)h2_client_request(x->client, "POST", "/b", NULL, "b", 1);
	x->mute = false;
	networld_run(w);
	assert_int_equal(w->asked, 2);
	assert_int_equal(x->ends, 2);
	free(big);
}

/* Goes from the 101 to the first record with one octet turned. */
static void
t_forged_first(void **state)
{
	struct networld *w = *state;
	struct wire *x = wire_client(w, 1, NULL);
	uint8_t b[4096];
	size_t n;

	hand_over(x);
	x->mute = true;
	networld_run(w);
	n = h2_client_output(x->client, b, sizeof(b));
	b[n - 1] ^= 1;
	conn_input(x->conn, b, n);
	networld_run(w);
	assert_true(x->done);
	assert_int_equal(sessions(w), 0);
	assert_int_equal(net_counters(w->net)->noise_no, 1);
	assert_int_equal(net_counters(w->net)->sessions, 0);
}

enum spoil { FORGED, REPLAYED, TOO_LONG, TOO_SHORT, WRONG_TYPE, NSPOIL };

static void
t_spoiled(void **state)
{
	struct networld *w = *state;
	struct wire *x;
	uint8_t b[8192];
	size_t n;
	int how;

	for (how = 0; how < NSPOIL; how++) {
		x = wire_open(w, 1);
		(void)h2_client_request(x->client, "POST", "/m", NULL, "m", 1);
		networld_run(w);
		(void)h2_client_request(x->client, "POST", "/n", NULL, "m", 1);
		n = h2_client_output(x->client, b, sizeof(b));
		assert_true(n > 30);
		switch ((enum spoil)how) {
		case FORGED:
			b[20] ^= 0x80;
			break;
		case REPLAYED:
			conn_input(x->conn, b, n);
			break;
		case TOO_LONG:
			b[1] = 0x0f;
			b[2] = 0xfe;
			break;
		case TOO_SHORT:
			b[1] = 0;
			b[2] = 15;
			break;
		case WRONG_TYPE:
			b[0] = NOISE_T_INIT;
			break;
		case NSPOIL:
			break;
		}
		w->gone = 0;
		conn_input(x->conn, b, n);
		networld_run(w);
		assert_true(x->done);
		assert_int_equal(w->gone, how == REPLAYED ? 2 : 1);
		assert_int_equal(w->nreqs, 0);
		assert_int_equal(net_counters(w->net)->record_bad, how + 1);
		assert_int_equal(sessions(w), 0);
	}
}

/* Half a record, then nothing or the end. */
static void
t_truncated(void **state)
{
	struct networld *w = *state;
	struct wire *x = wire_open(w, 1), *y = wire_open(w, 2);
	uint8_t b[4096];
	size_t n;

	w->on_req = answer;
	(void)h2_client_request(x->client, "POST", "/m", NULL, "m", 1);
	n = h2_client_output(x->client, b, sizeof(b));
	conn_input(x->conn, b, n - 1);
	networld_run(w);
	assert_int_equal(w->asked, 0);
	assert_int_equal(wire_ask(y, "GET", "/a", NULL, 0), 200);
	wire_close(x);
	assert_int_equal(w->asked, 1);
	assert_int_equal(sessions(w), 1);
}

/* Whoever leaves in the middle is forgotten by keyd, too. */
static void
t_leaves(void **state)
{
	struct networld *w = *state;
	struct wire *x = wire_client(w, 1, NULL), *y = wire_client(w, 2, NULL);
	size_t n;

	/* while keyd works on it */
	y->mute = true;
	hand_over(x);
	assert_int_equal(pair_waiting(w->pair, PAIR_B), 1);
	conn_eof(x->conn);
	assert_int_equal(pair_waiting(w->pair, PAIR_B), 2);
	networld_run(w);
	assert_int_equal(link_owed(pair_link(w->pair, PAIR_B)), 0);
	/* after READY */
	hand_over(y);
	networld_run(w);
	conn_eof(y->conn);
	assert_int_equal(pair_waiting(w->pair, PAIR_B), 1);
	networld_run(w);
	assert_false(w->nonsense);
	assert_int_equal(fakeenv_code(w->fake), -1);
	/* the next is not harmed, and no timer is left in keyd */
	n = env_timers(w->env);
	(void)wire_open(w, 3);
	assert_int_equal(env_timers(w->env), n + 1);
}

/* A client that never sends its first record. */
static void
t_silent(void **state)
{
	struct networld *w = *state;
	struct wire *x = wire_client(w, 1, NULL);

	networld_pass(w, 3 * US_PER_S);		/* opened itself */
	wire_close(x);
	x = wire_client(w, 1, NULL);
	hand_over(x);
	x->mute = true;
	networld_pass(w, 9 * US_PER_S);
	assert_false(x->done);
	networld_pass(w, 2 * US_PER_S);
	assert_true(x->done);
	assert_int_equal(net_counters(w->net)->late, 1);
}

/* keyd is above us: nonsense from it ends us, not keyd. */
static void
t_nonsense(void **state)
{
	struct networld *w = *state;
	struct wire *x = wire_client(w, 1, NULL);
	struct msg m;

	hand_over(x);
	/* an OK where only READY makes sense, with the right request id */
	msg_init(&m, M_KEY_NOISE_OK);
	m.id = 1;
	m.u.key_noise_ok.conn = 1;
	m.u.key_noise_ok.ticket.kind = TICKET_MACHINE;
	pair_forge(w->pair, PAIR_A, &m);
	(void)pair_step(w->pair, PAIR_A);
	assert_int_equal(fakeenv_code(w->fake), 1);
}

/* keyd says busy: asked again a little later. */
static void
t_busy(void **state)
{
	struct networld *w = *state;
	struct wire *x = wire_client(w, 1, NULL);
	struct msg m;

	hand_over(x);
	msg_init(&m, M_KEY_NOISE_NO);
	m.u.key_noise_no.conn = 1;
	m.u.key_noise_no.why = 4;
	net_key_msg(w->net, &m, x->conn);
	assert_int_equal(pair_waiting(w->pair, PAIR_B), 1);
	fakeenv_advance(w->fake, 200 * US_PER_MS);
	assert_int_equal(pair_waiting(w->pair, PAIR_B), 2);
}

static void
ws_frame(struct buf *b, uint8_t first, bool masked, const char *text)
{
	size_t i, n = strlen(text);

	buf_u8(b, first);
	buf_u8(b, (uint8_t)((masked ? 0x80 : 0) | n));
	if (masked)
		buf_u32(b, 0x01020304);
	for (i = 0; i < n; i++)
		buf_u8(b, (uint8_t)(text[i] ^ (masked ? (int)(i & 3) + 1 :
		    0)));
}

static void
ws_case(struct networld *w, uint8_t first, bool masked, const char *text,
    bool closed, uint64_t bad)
{
	struct wire *x = websocket(w, 1);
	struct buf b = { 0 };
	uint64_t before = net_counters(w->net)->ws_bad;

	networld_run(w);
	ws_frame(&b, first, masked, text);
	conn_input(x->conn, b.p, b.n);
	networld_pass(w, 2 * US_PER_S);
	assert_int_equal(x->done, closed);
	assert_int_equal(net_counters(w->net)->ws_bad, before + bad);
	if (closed)
		assert_string_equal(h2_client_why(x->client),
		    "websocket closed");
	else {
		assert_int_equal(h2_client_state(x->client), H2C_OPEN);
		assert_int_equal(wire_ask(x, "GET", "/a", NULL, 0), 200);
	}
	wire_close(x);
	buf_free(&b);
}

static void
t_ws_frames(void **state)
{
	struct networld *w = *state;

	w->on_req = answer;
	ws_case(w, 0x89, true, "ping", false, 0);
	ws_case(w, 0x8a, true, "pong", false, 0);
	ws_case(w, 0x82, true, "", false, 0);
	ws_case(w, 0x88, true, "\x03\xe8", true, 0);
	ws_case(w, 0x88, true, "", true, 0);
	ws_case(w, 0x81, true, "text", true, 1);
	ws_case(w, 0x82, false, "bare", true, 1);
	ws_case(w, 0xc2, true, "deflated", true, 1);
}

/* Pings without reading the pongs. */
static void
t_ws_pings(void **state)
{
	struct networld *w = *state;
	struct wire *x = websocket(w, 1);
	struct buf b = { 0 };
	int i;

	networld_run(w);
	x->stuck = true;
	ws_frame(&b, 0x89, true, "0123456789012345678901234567890123456789");
	for (i = 0; i < 1000 && !conn_is_done(x->conn); i++)
		conn_input(x->conn, b.p, b.n);
	assert_true(i > 100 && i < 300);
	assert_int_equal(net_counters(w->net)->flooded, 1);
	buf_free(&b);
}

/* A record that fails inside a WebSocket frame. */
static void
t_ws_spoiled(void **state)
{
	struct networld *w = *state;
	struct wire *x = websocket(w, 1);
	struct buf b = { 0 };

	networld_run(w);
	ws_frame(&b, 0x82, true, "\x04\x01\x01nonsense");
	conn_input(x->conn, b.p, b.n);
	networld_run(w);
	assert_false(x->done);		/* 257 octets were promised */
	ws_frame(&b, 0x82, true, "\x05");
	wire_close(x);
	x = websocket(w, 1);
	networld_run(w);
	conn_input(x->conn, "\x82\x83\0\0\0\0\x05\x01\x01", 9);
	networld_run(w);
	assert_true(x->done);
	assert_int_equal(net_counters(w->net)->record_bad, 1);
	buf_free(&b);
}

/* What a session costs when nothing happens. */
static void
t_memory(void **state)
{
	struct networld *w = *state;
	struct mallinfo2 before, after;
	struct h2_client *client[200];
	struct wire *x[200];
	size_t each;
	int i;

	w->on_req = answer;
	for (i = 0; i < 200; i++) {
		x[i] = wire_open(w, (uint8_t)(i + 1));
		assert_int_equal(wire_ask(x[i], "POST", "/a", "b", 1), 200);
		client[i] = x[i]->client;
		x[i]->client = NULL;
		buf_free(&x[i]->data);
		buf_free(&x[i]->fields);
	}
	before = mallinfo2();
	for (i = 0; i < 200; i++)
		wire_close(x[i]);
	after = mallinfo2();
	each = (before.uordblks - after.uordblks) / 200;
	if (before.uordblks != 0) {	/* a sanitizer counts nothing */
		print_message("an idle session: %zu octets\n", each);
		assert_true(each < 16384);
		assert_true(each > 1000);
	}
	for (i = 0; i < 200; i++)
		h2_client_free(client[i]);
}

/* Everything ends with the net, whatever it is at. */
static void
t_free(void **state)
{
	struct networld *w = *state;
	struct wire *x = wire_open(w, 1);
	int i;

	for (i = 0; i < 3; i++)
		(void)h2_client_request(x->client, "POST", "/m", NULL, "m", 1);
	networld_run(w);
	begin_stream(w->reqs[0]);
	send_octets(w->reqs[0], 100, 'a');
	(void)wire_raw(w);
	networld_keyd(w, false);
	x = wire_raw(w);
	wire_send(x, "GET /a HTTP/1.1\r\nHost: a\r\n\r\n");
	assert_int_equal(w->nreqs, 4);
	for (x = w->wires; x != NULL; x = x->next)
		x->conn = NULL;
	net_free(w->net);
	w->net = NULL;
	assert_int_equal(w->gone, 4);
	assert_int_equal(env_timers(w->env), 0);
}

#define T(f)	cmocka_unit_test_setup_teardown(f, networld_setup, \
		    networld_teardown)

/* A client whose handshake is answered and that says nothing then. */
static struct wire *
silent(struct networld *w, uint8_t who)
{
	struct wire *x = wire_client(w, who, NULL);

	hand_over(x);
	x->mute = true;
	networld_run(w);
	assert_int_equal(x->conn->state, CONN_READY);
	return x;
}

static void
say_gone(struct networld *w, uint32_t number)
{
	struct msg m;

	msg_init(&m, M_KEY_NOISE_GONE);
	m.u.key_noise_gone.conn = number;
	net_key_msg(w->net, &m, NULL);
}

/* keyd is full of handshakes: a silent one ends for each new one. */
static void
t_yields(void **state)
{
	struct keyd_conf conf = { 2, 10000 };
	struct networld *w = *state;
	struct wire *x, *y, *z;

	keyd_reconf(w->keyd, &conf);
	x = silent(w, 1);
	y = silent(w, 2);
	z = wire_client(w, 3, NULL);
	networld_pass(w, 400 * US_PER_MS);
	assert_int_equal(h2_client_state(z->client), H2C_RESPONSE - 1);
	networld_pass(w, 200 * US_PER_MS);
	assert_int_equal(h2_client_state(z->client), H2C_OPEN);
	assert_true(x->done);
	assert_false(y->done);
	assert_int_equal(net_counters(w->net)->late, 1);
	assert_int_equal(net_counters(w->net)->noise_no, 0);
	assert_int_equal(wire_ask(z, "POST", "/a", "a", 1), 0);
	/* Unknown, or its record is on the way: keyd's answer decides. */
	say_gone(w, y->conn->number + 256);
	say_gone(w, z->conn->number);
	hand_over(y);
	assert_int_equal(y->conn->state, CONN_CONFIRM);
	say_gone(w, y->conn->number);
	assert_int_equal(y->conn->state, CONN_CONFIRM);
	y->mute = false;
	networld_run(w);
	assert_int_equal(y->conn->state, CONN_OPEN);
	assert_int_equal(z->conn->state, CONN_OPEN);
	assert_false(w->nonsense);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(t_handshake), T(t_pieces), T(t_ws_stream), T(t_keyd_away),
		T(t_keyd_dies), T(t_hold), T(t_replay), T(t_unconfirmed),
		T(t_eager), T(t_forged_first), T(t_spoiled), T(t_truncated),
		T(t_leaves), T(t_silent), T(t_nonsense), T(t_busy),
		T(t_yields), T(t_ws_frames), T(t_ws_pings), T(t_ws_spoiled),
		    T(t_memory), T(t_free)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
