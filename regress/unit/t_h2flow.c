/*
 * DATA frames and windows (RFC 9113 5.2, 6.9): WINDOW_UPDATE in the input, and
 * a client that gives its windows octet by octet, takes them back and goes
 * beyond the bound.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "regress/lib/h2cut.h"
#include "regress/lib/networld.h"
#include "worker/net/h2_int.h"

#define PREFACE		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
#define DATA		0
#define RST_STREAM	3
#define SETTINGS	4
#define GOAWAY		7
#define WINDOW		8
#define FLOW_ERROR	3

/* The cut. */

static void
t_cut(void **state)
{
	uint8_t in[512];
	uint32_t seed = 1;
	unsigned int i;
	size_t n, k;

	(void)state;
	for (i = 0; i < 20000; i++) {
		seed = seed * 1664525 + 1013904223;
		n = 24 + (seed >> 16) % (sizeof(in) - 24);
		for (k = 0; k < n; k++) {
			seed = seed * 1664525 + 1013904223;
			/* mostly frames that mean something */
			in[k] = (uint8_t)((seed >> 8) % 8 == 0 ? seed >> 16 :
			    (seed >> 16) % 3 * 4);
		}
		if (!h2cut_same(in, n, 1 + (seed >> 24) % 40))
			fail_msg("seed %u: another cut", seed);
	}
}

static void
t_cut_window(void **state)
{
	static const uint8_t in[] =
	    "\0\0\0\4\0\0\0\0\0"			/* SETTINGS */
	    "\0\0\4\10\0\0\0\0\3\0\0\1\2"		/* of stream 3 */
	    "\0\0\1\1\0\0\0\0\5\202"			/* HEADERS, not all */
	    "\0\0\4\10\0\0\0\0\5\0\0\0\7"		/* not here */
	    "\0\0\1\11\4\0\0\0\5\204"			/* CONTINUATION */
	    "\0\0\4\10\0\200\0\0\0\200\0\0\11"		/* reserved bits */
	    "\0\0\3\10\0\0\0\0\0\0\0\1";		/* too short */
	struct h2_piece o;
	struct h2_cut c;
	size_t at = 0, step, windows = 0, n = sizeof(in) - 1, octets;

	(void)state;
	for (step = 1; step <= n; step++, at = windows = 0) {
		octets = 0;
		h2_cut_init(&c, 0);
		while (at < n) {
			at += h2_cut_next(&c, in + at, step < n - at ? step :
			    n - at, &o);
			octets += o.n;
			if (!o.is_window)
				continue;
			assert_int_equal(o.stream, windows == 0 ? 3 : 0);
			assert_int_equal(o.more, windows == 0 ? 258 : 9);
			assert_int_equal(o.n, H2_WINDOW_FRAME);
			windows++;
		}
		assert_int_equal(windows, 2);
		assert_int_equal(octets, n);
	}
}

/* A client of nothing but frames. */

struct flowclient {
	struct networld	*w;
	struct wire	*x;
	size_t		 at;		/* of x->from, read so far */
	size_t		 got[8];	/* octets of streams 1, 3, 5 ... */
	uint32_t	 reset[8];	/* their errors; or 0 */
	bool		 end[8];
	uint32_t	 goaway;	/* its error, or 0 */
};

static uint32_t
u32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 |
	    (uint32_t)p[2] << 8 | p[3];
}

static void
send_frame(struct flowclient *f, uint8_t type, uint8_t flags, uint32_t stream,
    const void *p, size_t n)
{
	uint8_t head[9] = { 0, (uint8_t)(n >> 8), (uint8_t)n, type, flags, 0,
	    0, (uint8_t)(stream >> 8), (uint8_t)stream };

	buf_put(&f->x->to, head, sizeof(head));
	buf_put(&f->x->to, p, n);
}

static void
send_u32(struct flowclient *f, uint8_t type, uint32_t stream, uint16_t id,
    uint32_t v)
{
	uint8_t b[6] = { (uint8_t)(id >> 8), (uint8_t)id, (uint8_t)(v >> 24),
	    (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v };

	if (type == SETTINGS)
		send_frame(f, type, 0, stream, b, 6);
	else
		send_frame(f, type, 0, stream, b + 2, 4);
}

static void
more(struct flowclient *f, uint32_t stream, uint32_t by)
{
	send_u32(f, WINDOW, stream, 0, by);
}

static void
initial(struct flowclient *f, uint32_t size)
{
	send_u32(f, SETTINGS, 0, 4, size);
}

static void
get(struct flowclient *f, uint32_t stream)
{
	send_frame(f, 1, 5, stream, "\x82\x84\x86\1\1a", 6);
}

static void
take_frame(struct flowclient *f, const uint8_t *p, size_t n)
{
	uint32_t id = u32(p + 5);

	if (p[3] == GOAWAY && u32(p + 13) != 0)
		f->goaway = u32(p + 13);
	if (id == 0 || id / 2 >= 8)
		return;
	if (p[3] == DATA)
		f->got[id / 2] += n;
	if (p[3] == RST_STREAM)
		f->reset[id / 2] = u32(p + 9);
	if (p[3] <= 1 && (p[4] & 1) != 0)
		f->end[id / 2] = true;
}

static void
run(struct flowclient *f)
{
	const uint8_t *p;
	size_t n;

	networld_run(f->w);
	while (f->x->from.n - f->at >= 9) {
		p = f->x->from.p + f->at;
		n = u32(p) >> 8;
		if (f->x->from.n - f->at < 9 + n)
			break;
		take_frame(f, p, n);
		f->at += 9 + n;
	}
}

static void
begin(struct flowclient *f, void **state)
{
	memset(f, 0, sizeof(*f));
	f->w = *state;
	f->x = wire_raw(f->w);
	conn_speak_h2(f->x->conn);
	buf_str(&f->x->to, PREFACE);
	send_frame(f, SETTINGS, 0, 0, NULL, 0);
	run(f);
}

/* The request of a stream, to be answered with n octets. */
static struct req *
answer(struct flowclient *f, uint32_t stream, size_t n)
{
	struct req *r;

	get(f, stream);
	run(f);
	assert_int_equal(f->w->nreqs, 1);
	f->w->nreqs = 0;
	r = f->w->reqs[0];
	begin_stream(r);
	send_octets(r, n, 'x');
	run(f);
	return r;
}

static void
t_octet_by_octet(void **state)
{
	struct flowclient f;
	unsigned int i;

	begin(&f, state);
	initial(&f, 0);
	req_end(answer(&f, 1, 300));
	assert_int_equal(f.got[0], 0);
	for (i = 1; i <= 300; i++) {
		assert_false(f.end[0]);
		more(&f, 1, 1);
		run(&f);
		assert_int_equal(f.got[0], i);
	}
	assert_true(f.end[0]);
	/* the next one starts at 0, too, and may be given up */
	(void)answer(&f, 3, 10);
	more(&f, 3, 4);
	run(&f);
	assert_int_equal(f.got[1], 4);
	send_u32(&f, RST_STREAM, 3, 0, 8);
	more(&f, 3, 4);
	run(&f);
	assert_int_equal(f.got[1], 4);
	assert_int_equal(f.goaway, 0);
}

/* RFC 9113 6.9.2: a window can be made less than nothing. */
static void
t_taken_back(void **state)
{
	struct flowclient f;
	struct req *r;

	begin(&f, state);
	initial(&f, 100);
	r = answer(&f, 1, 1000);
	assert_int_equal(f.got[0], 100);
	initial(&f, 50);
	more(&f, 1, 50);
	run(&f);
	assert_int_equal(f.got[0], 100);
	more(&f, 1, 7);
	run(&f);
	assert_int_equal(f.got[0], 107);
	initial(&f, 943);
	run(&f);
	assert_int_equal(f.got[0], 1000);
	assert_false(f.end[0]);
	/* nothing is left in the window: the end needs none */
	req_end(r);
	run(&f);
	assert_true(f.end[0]);
}

static void
t_of_the_connection(void **state)
{
	struct flowclient f;

	begin(&f, state);
	initial(&f, 100000);
	req_end(answer(&f, 1, 60000));
	req_end(answer(&f, 3, 60000));
	assert_int_equal(f.got[0], 60000);
	assert_int_equal(f.got[0] + f.got[1], 65535);
	more(&f, 0, 10);
	run(&f);
	assert_int_equal(f.got[0] + f.got[1], 65545);
	assert_false(f.end[1]);
	more(&f, 0, 60000);
	run(&f);
	assert_int_equal(f.got[1], 60000);
	assert_true(f.end[1]);
}

/*
 * As much as there may be, and again what was taken: the library, which does
 * not see what goes out, would count beyond the bound.
 */
static void
t_at_the_bound(void **state)
{
	struct flowclient f;
	unsigned int i;

	begin(&f, state);
	more(&f, 0, H2_WINDOW_MAX - 65535);
	initial(&f, H2_WINDOW_MAX);
	req_end(answer(&f, 1, 50000));
	for (i = 1; i < 8; i++) {
		more(&f, 0, 50000);
		req_end(answer(&f, 2 * i + 1, 50000));
		run(&f);
		assert_int_equal(f.got[i], 50000);
		assert_true(f.end[i]);
	}
	assert_int_equal(f.goaway, 0);
	more(&f, 0, 50001);
	run(&f);
	assert_int_equal(f.goaway, FLOW_ERROR);
}

static void
t_beyond(void **state)
{
	struct flowclient f;

	begin(&f, state);
	(void)answer(&f, 1, 70000);
	assert_int_equal(f.got[0], 65535);
	more(&f, 1, H2_WINDOW_MAX);
	run(&f);
	assert_int_equal(f.reset[0], 0);
	more(&f, 1, 1);
	run(&f);
	assert_int_equal(f.reset[0], FLOW_ERROR);
	assert_int_equal(f.goaway, 0);
	assert_int_equal(f.w->gone, 1);
}

/* The client's GOAWAY: it is over with the last answer, and at once if none. */
static void
t_goaway(void **state)
{
	static const uint8_t words[8];
	struct flowclient f;
	struct req *r;

	begin(&f, state);
	send_frame(&f, GOAWAY, 0, 0, words, sizeof(words));
	assert_false(conn_wants_output(f.x->conn));
	conn_input(f.x->conn, f.x->to.p, f.x->to.n);
	buf_clear(&f.x->to);
	assert_true(conn_wants_output(f.x->conn));
	run(&f);
	assert_true(f.x->done);
	begin(&f, state);
	r = answer(&f, 1, 10);
	send_frame(&f, GOAWAY, 0, 0, words, sizeof(words));
	run(&f);
	assert_false(f.x->done);
	req_end(r);
	run(&f);
	assert_int_equal(f.got[0], 10);
	assert_true(f.end[0]);
	assert_true(f.x->done);
	begin(&f, state);
	(void)answer(&f, 1, 10);
	send_frame(&f, GOAWAY, 0, 0, words, sizeof(words));
	send_u32(&f, RST_STREAM, 1, 0, 8);
	run(&f);
	assert_true(f.x->done);
}

#define T(f)	cmocka_unit_test_setup_teardown(f, networld_setup, \
		    networld_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t_cut), cmocka_unit_test(t_cut_window),
		T(t_octet_by_octet), T(t_taken_back), T(t_of_the_connection),
		T(t_at_the_bound), T(t_beyond), T(t_goaway)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
