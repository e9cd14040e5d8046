/* Memory for what is asked: who waits for it, how long, and that it ends. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/log.h"
#include "common/secret.h"
#include "regress/lib/networld.h"
#include "worker/net/layers_int.h"

#define BODY		65536		/* body_max */
#define HEAD		16384
#define OWN		(HEAD + 4 * 1024)
#define MOST		(2 * (BODY + HEAD))
#define ALL		(64 * BODY)

static unsigned int said;
static size_t pretended;

static void
on_log(int level, const char *line, void *arg)
{
	(void)level;
	(void)arg;
	said += strstr(line, "requests wait for room") != NULL;
}

static int
setup(void **state)
{
	static const struct net_conf conf = { 10, 300, 60, HEAD, BODY, 10000 };

	said = 0;
	pretended = 0;
	log_capture(on_log, NULL);
	*state = networld_new(&conf);
	return 0;
}

static int
teardown(void **state)
{
	struct networld *w = *state;
	struct wire *x;

	for (x = w->wires; x != NULL; x = x->next) {
		if (x->conn != NULL)
			conn_free(x->conn);
		x->conn = NULL;
	}
	assert_int_equal(w->net->shared, pretended);
	networld_free(w);
	log_capture(NULL, NULL);
	return 0;
}

static void
ask(struct wire *x, const char *path, size_t n)
{
	uint8_t *p = xcalloc(1, n);

	(void)h2_client_request(x->client, "POST", path, NULL, p, n);
	free(p);
	networld_run(x->world);
}

/* Answers the request with this path; false if control has none. */
static bool
answer(struct networld *w, const char *path)
{
	size_t i;

	for (i = 0; i < w->nreqs; i++) {
		if (!slice_eqs(req_path(w->reqs[i]), path))
			continue;
		reply_status(w->reqs[i], 200, "ok");
		w->reqs[i] = w->reqs[--w->nreqs];
		networld_run(w);
		return true;
	}
	return false;
}

static bool
was_asked(const struct networld *w, const char *path)
{
	size_t i;

	for (i = 0; i < w->nreqs; i++)
		if (slice_eqs(req_path(w->reqs[i]), path))
			return true;
	return false;
}

/* The rest, to the octet: less than what one more session would take. */
static void
pretend(struct networld *w)
{
	assert_in_range(w->net->shared, ALL - 2 * MOST, ALL);
	pretended = ALL - w->net->shared;
	w->net->shared += pretended;
	assert_int_equal(w->net->count.stopped, 0);
}

/* Requests that control has not answered take all that there is. */
static unsigned int
fill(struct networld *w)
{
	struct wire *x;
	unsigned int n;

	for (n = 0; w->net->shared < ALL - MOST; n++) {
		assert_true(n < 100);
		x = wire_open(w, (uint8_t)(n + 1));
		ask(x, "/fill", 60000);
		ask(x, "/fill", 60000);
	}
	pretend(w);
	return n;
}

/* HEADERS and n octets of a body without its end. */
static void
half(struct wire *x, int32_t stream, size_t n)
{
	static const uint8_t fields[] = { 0x20, 0x83, 0x84, 0x87, 0x41, 0x01,
	    'a' };
	uint8_t f[9 + 4000];
	size_t part;

	h2_client_flush(x->client);
	memset(f, 0, sizeof(f));
	f[2] = sizeof(fields);
	f[3] = 1;
	f[4] = 4;
	f[8] = (uint8_t)stream;
	memcpy(f + 9, fields, sizeof(fields));
	h2_client_record(x->client, f, 9 + sizeof(fields));
	for (; n != 0; n -= part) {
		part = n < 4000 ? n : 4000;
		memset(f, 0, sizeof(f));
		f[1] = (uint8_t)(part >> 8);
		f[2] = (uint8_t)part;
		f[8] = (uint8_t)stream;
		h2_client_record(x->client, f, 9 + part);
	}
	networld_run(x->world);
}

/*
 * With all room taken by what control has, large requests come in one after
 * the other, in their order, small ones at once, and nothing is refused.
 */
static void
t_line(void **state)
{
	struct networld *w = *state;
	struct wire *y[3], *z, *s;
	struct req *stream;
	unsigned int n, i;
	char path[3] = "/a";
	size_t most;

	s = wire_open(w, 200);
	ask(s, "/stream", 10);
	stream = w->reqs[--w->nreqs];
	begin_stream(stream);
	n = fill(w);
	assert_in_range(n, ALL / MOST, 60);
	for (i = 0; i < 3; i++) {
		y[i] = wire_open(w, (uint8_t)(100 + i));
		path[1] = (char)('a' + i);
		ask(y[i], path, 60000);
	}
	/* The first may go beyond the bound; the others wait. */
	assert_true(was_asked(w, "/a"));
	assert_false(was_asked(w, "/b") || was_asked(w, "/c"));
	assert_false(conn_wants_input(y[1]->conn));
	assert_false(conn_wants_input(y[2]->conn));
	/* The one that has a stream waits, too, and its stream goes on. */
	ask(s, "/s", 60000);
	assert_false(conn_wants_input(s->conn));
	send_octets(stream, 50000, 'x');
	networld_run(w);
	assert_int_equal(s->data.n, 50000);
	/* Small ones, new and old sessions, plain HTTP: at once. */
	z = wire_open(w, 201);
	for (i = 0; i < 5; i++) {
		ask(z, "/small", 2000);
		assert_true(answer(w, "/small"));
	}
	assert_int_equal(z->ends, 5);
	most = w->net->shared;
	/* Nobody is reset for waiting, however long. */
	networld_pass(w, 200 * US_PER_S);
	assert_false(was_asked(w, "/b"));
	assert_int_equal(w->net->shared, most);
	assert_int_equal(w->gone, 0);
	assert_true(answer(w, "/a"));
	assert_true(was_asked(w, "/b"));
	assert_false(was_asked(w, "/c"));
	assert_true(answer(w, "/b"));
	assert_true(was_asked(w, "/c"));
	assert_false(was_asked(w, "/s"));
	/* Room for all: no need to be the first. */
	for (i = 0; i < 2 * n; i++)
		assert_true(answer(w, "/fill"));
	assert_true(was_asked(w, "/s"));
	assert_true(answer(w, "/c"));
	assert_true(answer(w, "/s"));
	for (i = 0; i < 3; i++) {
		assert_int_equal(y[i]->status, 200);
		assert_int_equal(y[i]->error, 0);
		assert_true(conn_wants_input(y[i]->conn));
	}
	assert_in_range(most, ALL, ALL + 2 * MOST);
	assert_in_range(w->net->count.stopped, 4, 8);
	assert_int_equal(said, 2);	/* a minute between two lines */
	req_end(stream);
	networld_run(w);
}

/*
 * All room is taken by bodies that do not come on: whoever waits has 10 s
 * of the place of the first, and the bodies end with their time.
 */
static void
t_dawdlers(void **state)
{
	struct networld *w = *state;
	struct wire *x[80], *y;
	unsigned int n;
	size_t most;

	for (n = 0; w->net->shared < ALL - MOST; n++) {
		assert_true(n < 78);
		x[n] = wire_open(w, (uint8_t)(n + 1));
		half(x[n], 1, 60000);
		half(x[n], 3, 60000);
	}
	pretend(w);
	networld_pass(w, 5 * US_PER_S);
	/* Two more of their kind, then one that means it. */
	x[n] = wire_open(w, 100);
	half(x[n], 1, 60000);
	x[n + 1] = wire_open(w, 101);
	half(x[n + 1], 1, 60000);
	y = wire_open(w, 102);
	ask(y, "/good", 60000);
	assert_false(was_asked(w, "/good"));
	most = w->net->shared;
	networld_pass(w, 11 * US_PER_S);
	assert_int_equal(w->net->count.stalled, 1);	/* it dawdled */
	assert_ptr_equal(w->net->first, x[n + 1]->conn);
	assert_false(was_asked(w, "/good"));
	networld_pass(w, 10 * US_PER_S);
	assert_true(was_asked(w, "/good"));
	assert_true(answer(w, "/good"));
	assert_int_equal(y->status, 200);
	assert_in_range(most, ALL, ALL + 2 * MOST);
	assert_int_equal(w->net->count.stalled, 2);
	networld_pass(w, 40 * US_PER_S);
	assert_int_equal(w->net->count.stalled, 2 + 2 * n);
	assert_int_equal(w->net->shared, pretended);
	assert_int_equal(w->nreqs, 0);
}

/*
 * The first has all that one may have, and is read on when what it dawdled
 * over is given up: its next 10 s end, too.
 */
static void
t_first_again(void **state)
{
	struct networld *w = *state;
	struct h2_client *client;
	struct wire *a, *b;

	(void)fill(w);
	a = wire_open(w, 100);
	ask(a, "/a", 60000);
	assert_ptr_equal(w->net->first, a->conn);
	ask(a, "/a", 60000);
	half(a, 5, 60000);
	assert_true(a->conn->held > MOST);
	assert_false(conn_wants_input(a->conn));
	b = wire_open(w, 101);
	ask(b, "/b", 60000);
	assert_false(conn_wants_input(b->conn));
	/* It must not hear of streams that it knows nothing of. */
	client = a->client;
	a->client = NULL;
	networld_pass(w, 11 * US_PER_S);
	assert_int_equal(w->net->count.stalled, 1);
	assert_true(conn_wants_input(a->conn));
	assert_ptr_equal(w->net->first, a->conn);
	a->client = client;
	half(a, 7, 30000);
	a->client = NULL;
	assert_true(conn_wants_input(a->conn));
	networld_pass(w, 10 * US_PER_S);
	assert_int_equal(w->net->count.stalled, 2);
	assert_false(conn_wants_input(a->conn));
	assert_false(was_asked(w, "/b"));
	assert_true(answer(w, "/a"));
	assert_true(answer(w, "/a"));
	assert_true(was_asked(w, "/b"));
	assert_ptr_equal(w->net->first, b->conn);
	assert_true(answer(w, "/b"));
	assert_null(w->net->first);
	a->client = client;
}

/* A body that comes octet by octet has as long as one that does not come. */
static void
t_trickle(void **state)
{
	struct networld *w = *state;
	struct wire *x = wire_open(w, 1);
	uint8_t f[10] = { 0, 0, 1, 0, 0, 0, 0, 0, 1, 'x' };
	unsigned int i;

	half(x, 1, 10);
	for (i = 0; i < 11; i++) {
		networld_pass(w, 5 * US_PER_S);
		h2_client_record(x->client, f, sizeof(f));
		networld_run(w);
		assert_int_equal(w->net->count.stalled, 0);
	}
	networld_pass(w, 6 * US_PER_S);
	assert_int_equal(w->net->count.stalled, 1);
}

/* A session that has all that one may have waits for itself alone. */
static void
t_own(void **state)
{
	struct networld *w = *state;
	struct wire *x = wire_open(w, 1), *y = wire_open(w, 2);
	char path[] = "/a";
	unsigned int i;

	for (i = 0; i < 8; i++) {
		path[1] = (char)('a' + i);
		ask(x, path, i < 2 ? 60000 : 15000);
	}
	assert_in_range(w->nreqs, 4, 5);
	assert_in_range(w->net->shared, 100000, MOST + 5000);
	assert_false(conn_wants_input(x->conn));
	ask(y, "/y", 60000);
	assert_true(was_asked(w, "/y"));
	networld_pass(w, 200 * US_PER_S);
	for (i = 0; i < 8; i++) {
		path[1] = (char)('a' + i);
		assert_true(answer(w, path));
	}
	assert_int_equal(x->ends, 8);
	assert_int_equal(x->status, 200);
	assert_int_equal(x->error, 0);
	assert_true(answer(w, "/y"));
	assert_int_equal(w->net->shared, 0);
	assert_true(w->net->count.stopped >= 1);
	assert_int_equal(said, 0);
}

/* Whoever goes away while he waits, or is the first, is in nobody's way. */
static void
t_gone(void **state)
{
	struct networld *w = *state;
	struct wire *a, *b, *c;

	(void)fill(w);
	a = wire_open(w, 100);
	ask(a, "/a", 60000);
	b = wire_open(w, 101);
	ask(b, "/b", 60000);
	c = wire_open(w, 102);
	ask(c, "/c", 60000);
	assert_true(was_asked(w, "/a"));
	wire_close(b);
	networld_run(w);
	assert_false(was_asked(w, "/c"));
	assert_ptr_equal(w->net->first, a->conn);
	wire_close(a);
	networld_run(w);
	assert_true(was_asked(w, "/c"));
	assert_ptr_equal(w->net->first, c->conn);
	assert_true(answer(w, "/c"));
	assert_null(w->net->first);
}

/* Plain HTTP is bounded by the same. */
static void
t_plain(void **state)
{
	struct networld *w = *state;
	struct wire *x, *y;
	struct buf b = { 0 };

	(void)fill(w);
	x = wire_open(w, 100);
	ask(x, "/first", 60000);
	assert_ptr_equal(w->net->first, x->conn);
	y = wire_raw(w);
	buf_str(&b, "POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 60000"
	    "\r\n\r\n");
	while (b.n < 60000)
		buf_u8(&b, 'x');
	buf_u8(&b, 0);
	wire_send(y, (const char *)b.p);
	networld_run(w);
	buf_free(&b);
	assert_false(conn_wants_input(y->conn));
	assert_in_range(y->conn->held, OWN, OWN + 20000);
	y = wire_raw(w);
	wire_send(y, "GET /small HTTP/1.1\r\nHost: h\r\n\r\n");
	networld_run(w);
	assert_true(was_asked(w, "/small"));
	assert_true(answer(w, "/small"));
	/* Its time to ask is that of each plain request. */
	networld_pass(w, 11 * US_PER_S);
	assert_int_equal(w->net->count.late, 1);
}

/* How often n octets are in this process, but for those at p. */
static unsigned int
seen(const uint8_t *p, size_t n)
{
	static uint8_t part[1 << 20];
	char line[512];
	unsigned long from, to, at;
	unsigned int found = 0;
	uint8_t *hit;
	ssize_t got;
	FILE *maps;
	int fd;

	maps = fopen("/proc/self/maps", "r");
	fd = open("/proc/self/mem", O_RDONLY);
	assert_true(maps != NULL && fd != -1);
	while (fgets(line, sizeof(line), maps) != NULL) {
		if (strstr(line, " rw-p ") == NULL ||
		    strstr(line, "[stack]") != NULL)
			continue;
		from = strtoul(line, NULL, 16);
		to = strtoul(strchr(line, '-') + 1, NULL, 16);
		if (to - from > 256UL << 20)
			continue;
		/* Overlapping: none is missed at a border. */
		for (at = from; at < to; at += sizeof(part) - 64) {
			got = pread(fd, part, to - at < sizeof(part) ?
			    to - at : sizeof(part), (off_t)at);
			if (at <= (unsigned long)part &&
			    (unsigned long)part < to)
				continue;	/* our own copy */
			if (got <= 0)
				break;
			for (hit = part; (hit = memmem(hit, (size_t)
			    (part + got - hit), p, n)) != NULL; hit++)
				found++;
		}
	}
	fclose(maps);
	close(fd);
	return found;
}

/* Nothing of a body is left: not of a whole one, not of what it grew from. */
static void
t_wiped(void **state)
{
	struct networld *w = *state;
	struct wire *x = wire_open(w, 1);
	uint8_t secret[40], rest[700];
	struct req *r;
	size_t i;

	for (i = 0; i < sizeof(secret); i++)
		secret[i] = (uint8_t)(7 * i + 1);
	memset(rest, 'x', sizeof(rest));
	ask(x, "/a", 10);
	r = w->reqs[0];
	assert_int_equal(seen(secret, sizeof(secret)), 0);
	req_body_put(r, secret, sizeof(secret));
	assert_true(seen(secret, sizeof(secret)) >= 1);
	for (i = 0; i < 60; i++)
		req_body_put(r, rest, sizeof(rest));
	assert_int_equal(seen(secret, sizeof(secret)), 1);
	assert_int_equal(r->body.n, 10 + 40 + 60 * 700);
	assert_memory_equal(r->body.p + 10, secret, sizeof(secret));
	assert_int_equal(r->body.p[50 + 60 * 700 - 1], 'x');
	/* Answered is wiped, before the client takes the answer. */
	reply_status(r, 200, "ok");
	assert_int_equal(seen(secret, sizeof(secret)), 0);
	w->nreqs = 0;
	networld_run(w);
	assert_int_equal(x->status, 200);
	/* So is a part of one when its connection ends. */
	half(x, 5, 100);
	r = TAILQ_FIRST(&x->conn->reqs);
	req_body_put(r, secret, sizeof(secret));
	assert_true(seen(secret, sizeof(secret)) >= 1);
	wire_close(x);
	networld_run(w);
	assert_int_equal(seen(secret, sizeof(secret)), 0);
}

int
main(void)
{
#define T(t)	cmocka_unit_test_setup_teardown(t, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(t_line), T(t_dawdlers), T(t_first_again), T(t_trickle),
		T(t_own), T(t_gone), T(t_plain), T(t_wiped)
	};
#undef T

	if (noise_init() == -1)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
