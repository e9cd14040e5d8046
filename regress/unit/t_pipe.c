/* Pipes: a request takes its connection over, with and without WebSocket. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "regress/lib/networld.h"

#define HEAD	"HTTP/1.1 101 Switching Protocols\r\nUpgrade: DERP\r\n\r\n"
#define ASK	"GET /derp HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n" \
		"Upgrade: DERP\r\n\r\n"
#define ASK_WS	"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n" \
		"Upgrade: websocket\r\n\r\n"

/* What is behind a pipe. */
struct end {
	struct conn	*conn;
	struct buf	 got;		/* taken */
	struct buf	 out;		/* to be written */
	size_t		 budget;	/* octets that it takes at all */
	size_t		 largest;	/* asked for at once */
	bool		 done;
	bool		 ready;		/* req_pipe() has returned */
	unsigned int	 gone;
};

static struct end	 end;
static bool		 refused;

static size_t
end_input(void *arg, const void *p, size_t n)
{
	struct end *e = arg;
	size_t left = e->budget - e->got.n;

	assert_true(e->ready && e->gone == 0 && n != 0);
	if (n > left)
		n = left;
	buf_put(&e->got, p, n);
	return n;
}

static bool
end_wants_input(const void *arg)
{
	const struct end *e = arg;

	return e->got.n < e->budget;
}

static size_t
end_output(void *arg, uint8_t *dst, size_t max)
{
	struct end *e = arg;
	size_t n = e->out.n < max ? e->out.n : max;

	assert_true(e->ready && e->gone == 0 && max >= 1024);
	if (n > e->largest)
		e->largest = n;
	if (n != 0)
		memcpy(dst, e->out.p, n);
	buf_drain(&e->out, n);
	return n;
}

static bool
end_wants_output(const void *arg)
{
	const struct end *e = arg;

	return e->out.n != 0;
}

static bool
end_is_done(const void *arg)
{
	const struct end *e = arg;

	return e->done;
}

static void
end_gone(void *arg)
{
	struct end *e = arg;

	e->gone++;
	e->conn = NULL;
}

static const struct pipe_ops ops = { end_input, end_wants_input, end_output,
    end_wants_output, end_is_done, end_gone, NULL };

static void
on_req(struct req *r, struct networld *w)
{
	const char *head = HEAD;
	bool ws = slice_eqs(req_path(r), "/ws");

	(void)w;
	if (!slice_eqs(req_path(r), "/derp") && !ws &&
	    !slice_eqs(req_path(r), "/fast")) {
		reply_status(r, 200, "probe");
		return;
	}
	if (slice_eqs(req_path(r), "/fast"))
		head = "";
	if (!req_can_pipe(r)) {
		refused = true;
		assert_null(req_pipe(r, head, strlen(head), ws, &ops, &end));
		reply_status(r, 426, "no");
		return;
	}
	end.conn = req_pipe(r, head, strlen(head), ws, &ops, &end);
	assert_non_null(end.conn);
	end.ready = true;
}

static int
setup(void **state)
{
	struct networld *w;

	if (noise_init() == -1)
		return -1;
	memset(&end, 0, sizeof(end));
	end.budget = SIZE_MAX;
	refused = false;
	w = networld_new(NULL);
	w->on_req = on_req;
	*state = w;
	return 0;
}

static int
teardown(void **state)
{
	networld_free(*state);
	buf_free(&end.got);
	buf_free(&end.out);
	return end.ready && end.gone != 1 ? -1 : 0;
}

static void
kick(struct networld *w)
{
	conn_pipe_kick(end.conn);
	networld_run(w);
}

static void
same(const struct buf *b, const char *text)
{
	assert_int_equal(b->n, strlen(text));
	assert_memory_equal(b->p, text, b->n);
}

static void
test_plain(void **state)
{
	struct networld *w = *state;
	struct wire *x = wire_raw(w);

	wire_send(x, ASK "hello");
	same(&x->from, HEAD);
	same(&end.got, "hello");
	buf_str(&end.out, "answer");
	kick(w);
	same(&x->from, HEAD "answer");
	wire_send(x, ", world");
	same(&end.got, "hello, world");
	assert_int_equal(w->gone, 0);
	assert_int_equal(net_counters(w->net)->pipes, 1);
	wire_close(x);
	assert_int_equal(end.gone, 1);
	assert_true(x->done);
	assert_int_equal(x->from.n, strlen(HEAD "answer"));
}

/* Octet by octet, after probes on the same connection, and without a 101. */
static void
test_keep_alive_fast(void **state)
{
	struct networld *w = *state;
	struct wire *x = wire_raw(w);
	const char *tail;

	x->piece = 1;
	wire_send(x, "GET /derp/probe HTTP/1.1\r\nHost: a\r\n\r\n"
	    "HEAD /derp/latency-check HTTP/1.1\r\nHost: a\r\n\r\n"
	    "GET /fast HTTP/1.1\r\nHost: a\r\nUpgrade: DERP\r\n"
	    "Derp-Fast-Start: 1\r\n\r\nclientinfo");
	assert_int_equal(w->asked, 3);
	same(&end.got, "clientinfo");
	buf_clear(&x->from);
	buf_str(&end.out, "serverkey");
	kick(w);
	tail = "serverkey";
	same(&x->from, tail);
}

/* Nobody's time runs, and shutting down leaves it to the pipe. */
static void
test_no_timeout(void **state)
{
	struct networld *w = *state;
	struct wire *x = wire_raw(w);

	wire_send(x, ASK);
	networld_pass(w, 3 * 3600 * US_PER_S);
	net_shutdown(w->net);
	networld_pass(w, 3600 * US_PER_S);
	assert_int_equal(end.gone, 0);
	wire_send(x, "late");
	same(&end.got, "late");
	end.done = true;
	buf_str(&end.out, "never sent");
	kick(w);
	assert_true(x->done);
	assert_int_equal(end.gone, 1);
	same(&x->from, HEAD);
}

static void
test_pressure(void **state)
{
	struct networld *w = *state;
	struct wire *x = wire_raw(w);
	uint8_t *big = xmalloc(300000);
	size_t i;

	for (i = 0; i < 300000; i++)
		big[i] = (uint8_t)(i * 7 + i / 251);
	end.budget = 3;
	buf_str(&x->to, ASK);
	buf_put(&x->to, big, 300000);
	networld_run(w);
	assert_int_equal(end.got.n, 3);
	assert_false(conn_wants_input(end.conn));
	assert_true(x->to.n > 200000);		/* not read */
	for (i = 5000; i < 300000; i += 50000) {
		end.budget = i;
		kick(w);
		assert_int_equal(end.got.n, i);
	}
	end.budget = SIZE_MAX;
	kick(w);
	assert_int_equal(end.got.n, 300000);
	assert_memory_equal(end.got.p, big, 300000);
	assert_true(conn_wants_input(end.conn));
	buf_put(&end.out, big, 300000);
	kick(w);
	assert_int_equal(x->from.n, strlen(HEAD) + 300000);
	assert_memory_equal(x->from.p + strlen(HEAD), big, 300000);
	free(big);
}

static void
test_not_for_all(void **state)
{
	struct networld *w = *state;
	struct wire *x = wire_raw(w);

	wire_send(x, "GET /derp HTTP/1.0\r\nHost: a\r\nUpgrade: DERP\r\n\r\n");
	assert_true(refused);
	refused = false;
	x = wire_raw(w);
	wire_send(x, "POST /derp HTTP/1.1\r\nHost: a\r\nUpgrade: DERP\r\n"
	    "Content-Length: 2\r\n\r\nab");
	assert_true(refused);
	refused = false;
	x = wire_open(w, 1);
	assert_int_equal(wire_ask(x, "GET", "/derp", NULL, 0), 426);
	assert_true(refused);
	assert_int_equal(net_counters(w->net)->pipes, 0);
}

/* WebSocket. */

static void
frame(struct buf *b, uint8_t first, const void *p, size_t n)
{
	static const uint8_t mask[4] = { 9, 8, 7, 6 };
	const uint8_t *from = p;
	size_t i;

	buf_u8(b, first);
	if (n < 126)
		buf_u8(b, (uint8_t)(0x80 | n));
	else if (n < 65536) {
		buf_u8(b, 0x80 | 126);
		buf_u16(b, (uint16_t)n);
	} else {
		buf_u8(b, 0x80 | 127);
		buf_u64(b, n);
	}
	buf_put(b, mask, 4);
	for (i = 0; i < n; i++)
		buf_u8(b, from[i] ^ mask[i & 3]);
}

static struct wire *
websocket(struct networld *w)
{
	struct wire *x = wire_raw(w);

	wire_send(x, ASK_WS);
	same(&x->from, HEAD);
	buf_clear(&x->from);
	return x;
}

static void
test_ws(void **state)
{
	struct networld *w = *state;
	struct wire *x = websocket(w);
	static const uint8_t pong[] = { 0x8a, 2, 'h', 'i' };
	static const uint8_t over[] = { 0x88, 2, 1000 >> 8, 1000 & 255 };
	uint8_t big[40000];
	size_t at, n;

	frame(&x->to, 0x02, "ab", 2);
	frame(&x->to, 0x89, "hi", 2);
	frame(&x->to, 0x00, "", 0);
	frame(&x->to, 0x80, "cd", 2);
	x->piece = 1;
	networld_run(w);
	x->piece = 0;
	same(&end.got, "abcd");
	assert_int_equal(x->from.n, sizeof(pong));
	assert_memory_equal(x->from.p, pong, sizeof(pong));
	buf_clear(&x->from);
	memset(big, 'z', sizeof(big));
	buf_put(&end.out, big, 5);
	kick(w);
	assert_int_equal(x->from.n, 7);
	assert_memory_equal(x->from.p, "\x82\x05zzzzz", 7);
	buf_clear(&x->from);
	buf_put(&end.out, big, sizeof(big));
	kick(w);
	for (at = 0; at < x->from.n; at += 4 + n) {
		assert_int_equal(x->from.p[at], 0x82);
		assert_int_equal(x->from.p[at + 1], 126);
		n = (size_t)x->from.p[at + 2] << 8 | x->from.p[at + 3];
		assert_true(n <= 16384);
		assert_memory_equal(x->from.p + at + 4, big, n);
	}
	assert_int_equal(at, x->from.n);
	buf_clear(&x->from);
	end.done = true;
	buf_put(&end.out, big, 100);
	kick(w);
	assert_int_equal(x->from.n, sizeof(over));
	assert_memory_equal(x->from.p, over, sizeof(over));
	assert_true(x->done);
}

static void
test_ws_pressure(void **state)
{
	struct networld *w = *state;
	struct wire *x = websocket(w);
	uint8_t big[65600];
	size_t i;

	for (i = 0; i < sizeof(big); i++)
		big[i] = (uint8_t)(i * 13 + i / 255);
	end.budget = 100;
	frame(&x->to, 0x82, big, sizeof(big));
	networld_run(w);
	assert_int_equal(end.got.n, 100);
	assert_false(conn_wants_input(end.conn));
	for (i = 101; i < sizeof(big); i += 3333) {
		end.budget = i;
		kick(w);
		assert_int_equal(end.got.n, i);
	}
	end.budget = SIZE_MAX;
	kick(w);
	assert_int_equal(end.got.n, sizeof(big));
	assert_memory_equal(end.got.p, big, sizeof(big));
}

/* One bad or last frame: the code of the close frame that answers. */
static void
ws_ends(struct networld *w, const void *p, size_t n, unsigned int code)
{
	struct wire *x;

	memset(&end, 0, sizeof(end));
	end.budget = SIZE_MAX;
	x = websocket(w);
	buf_put(&x->to, p, n);
	networld_run(w);
	assert_int_equal(end.gone, 1);
	assert_int_equal(x->from.n, 4);
	assert_int_equal(x->from.p[0], 0x88);
	assert_int_equal(x->from.p[2] << 8 | x->from.p[3], code);
	networld_pass(w, 2 * US_PER_S);
	assert_true(x->done);
}

static void
test_ws_ends(void **state)
{
	static const uint8_t going[2] = { 1001 >> 8, 1001 & 255 };
	struct networld *w = *state;
	struct buf b = { 0 };

	frame(&b, 0x81, "text", 4);
	ws_ends(w, b.p, b.n, 1003);
	buf_clear(&b);
	frame(&b, 0x88, going, 2);
	ws_ends(w, b.p, b.n, 1001);
	buf_clear(&b);
	frame(&b, 0x88, "", 0);
	ws_ends(w, b.p, b.n, 1000);
	buf_clear(&b);
	frame(&b, 0xc2, "x", 1);
	ws_ends(w, b.p, b.n, 1002);
	ws_ends(w, "\x82\x01xxxxx", 7, 1002);
	buf_free(&b);
	memset(&end, 0, sizeof(end));
}

/* A connection that is freed under its pipe. */
static void
test_freed(void **state)
{
	struct networld *w = *state;
	struct wire *x = wire_raw(w);

	wire_send(x, ASK);
	conn_free(x->conn);
	x->conn = NULL;
	assert_int_equal(end.gone, 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_plain, setup, teardown),
		cmocka_unit_test_setup_teardown(test_keep_alive_fast, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(test_no_timeout, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(test_pressure, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(test_not_for_all, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(test_ws, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ws_pressure, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(test_ws_ends, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(test_freed, setup, teardown)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
