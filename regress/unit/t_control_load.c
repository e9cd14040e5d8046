/* Overload: refused, held back, delayed, and never more than fits. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/enc.h"
#include "regress/lib/ctlworld.h"
#include "worker/control/control_int.h"

#define KEY	"5f0e7c6b8a9d1234567890abcdef00112233445566778899aabbccddeeff0011"
#define LITE	",\"OmitPeers\":true"
#define STREAM	",\"Stream\":true"
#define ROUTER	",\"Hostinfo\":{\"RoutableIPs\":[\"10.0.0.0/8\"]}"

static int
setup(void **state)
{
	if (noise_init() == -1)
		return -1;
	*state = ctlworld_new();
	return 0;
}

static int
teardown(void **state)
{
	ctlworld_free(*state);
	return frame_bytes() == 0 ? 0 : -1;
}

static struct cw_ask *
ask(struct wire *x, unsigned int version, const char *more)
{
	char text[1000];

	snprintf(text, sizeof(text), "{\"Version\":%u,\"Compress\":\"zstd\","
	    "\"NodeKey\":\"nodekey:" KEY "\"%s}", version, more);
	return cw_ask(x, "POST", "/machine/map", text);
}

static struct cw_ask *
ask_reg(struct wire *x)
{
	return cw_ask(x, "POST", "/machine/register",
	    "{\"Version\":148,\"NodeKey\":\"nodekey:" KEY "\"}");
}

/* One request that dbd does not answer, and a bound of nothing. */
static const struct msg *
overload(struct ctlworld *w)
{
	size_t n = cw_count(w, M_DB_MAP_LITE);

	(void)ask(cw_client(w, 200, 148), 148, LITE);
	ctlworld_overload(w, 0);
	return cw_got(w, M_DB_MAP_LITE, n);
}

static void
relieve(struct ctlworld *w, const struct msg *lite)
{
	struct msg m;

	msg_init(&m, M_DB_LITE_OK);
	cw_say(w, &m, lite);
}

static unsigned int
retry_after(const struct cw_ask *a)
{
	static const char name[] = "retry-after: ";
	const char *at;

	at = memmem(a->fields.p, a->fields.n, name, sizeof(name) - 1);
	assert_non_null(at);
	return (unsigned int)strtoul(at + sizeof(name) - 1, NULL, 10);
}

/* Traps 72 to 75. */
static void
t_refused(void **state)
{
	struct ctlworld *w = *state;
	struct wire *x[40];
	struct cw_ask *a[40];
	const struct msg *lite = overload(w), *d;
	unsigned int i, s, least = 999, most = 0;
	uint8_t key[KEY_LEN], pub[KEY_LEN];

	for (i = 0; i < 40; i++) {
		x[i] = cw_client(w, (uint8_t)i, 148);
		a[i] = ask(x[i], 148, i % 2 ? STREAM : LITE);
		assert_int_equal(a[i]->status, 503);
		assert_true(a[i]->ended && a[i]->error == 0);
		s = retry_after(a[i]);
		assert_in_range(s, 1, 300);
		least = s < least ? s : least;
		most = s > most ? s : most;
		/* dbd puts the node's clocks off by as much */
		d = cw_got(w, M_DB_MAP_DEFER, i);
		assert_int_equal(d->u.db_map_defer.seconds, s);
		memset(key, (int)i, sizeof(key));
		noise_clamp(key);
		noise_public(pub, key);
		assert_memory_equal(d->u.db_map_defer.ticket.key, pub,
		    KEY_LEN);
		assert_false(key_is_zero(d->u.db_map_defer.node_key));
	}
	assert_true(least < most);
	assert_int_equal(cw_count(w, M_DB_MAP_LITE), 1);
	assert_int_equal(cw_count(w, M_DB_MAP_OPEN), 0);
	/* the same connection serves the next try */
	relieve(w, lite);
	ctlworld_overload(w, 5000);
	for (i = 0; i < 40; i++)
		assert_int_equal(ask(x[i], 148, LITE)->status, 0);
	assert_int_equal(cw_count(w, M_DB_MAP_LITE), 41);
}

/* Slots follow one another as fast as we can serve, not all at once. */
static void
t_slots(void **state)
{
	struct ctlworld *w = *state;
	struct wire *x = cw_client(w, 1, 148);
	unsigned int n[301] = { 0 }, i, s, most = 0;

	(void)overload(w);
	for (i = 0; i < 6000; i++) {
		s = retry_after(ask(x, 148, STREAM));
		assert_in_range(s, 1, 300);
		n[s]++;
	}
	for (i = 1; i <= 300; i++)
		most = n[i] > most ? n[i] : most;
	/* 6,000 at 1.5 ms each are nine seconds of work */
	assert_in_range(most, 100, 2000);
	/* a flood of refusals is not passed on to dbd without bound */
	assert_true(cw_count(w, M_DB_MAP_DEFER) <= 6000);
}

/* With all slots of 300 s given away it begins again from the first. */
static void
t_no_slot_left(void **state)
{
	struct ctlworld *w = *state;
	struct mapreq q = { .version = 148 };
	unsigned int i, late = 0;
	int s;

	(void)overload(w);
	for (i = 0; i < 400000; i++) {
		s = overload_verdict(w->c, &q);
		assert_in_range(s, 1, 300);
		/* 1.5 ms each: the first round ends at about 200,000 */
		if (i > 250000)
			late += s > 200;
	}
	assert_in_range(late, 1, 100000);
}

/* Clients before 147 do not understand it: held open, below 120 s. */
static void
t_held(void **state)
{
	struct ctlworld *w = *state;
	struct wire *x = cw_client(w, 1, 142), *y = cw_client(w, 2, 146);
	const struct msg *lite = overload(w);
	struct cw_ask *a, *b;

	a = ask(x, 142, STREAM);
	ctlworld_pass(w, 60 * US_PER_S);
	b = ask(y, 146, LITE);
	assert_int_equal(cw_count(w, M_DB_MAP_OPEN), 0);
	ctlworld_pass(w, 51 * US_PER_S);
	/* a has waited for 110 s */
	assert_int_equal(cw_count(w, M_DB_MAP_OPEN), 1);
	assert_int_equal(cw_count(w, M_DB_MAP_LITE), 1);
	assert_int_equal(a->status, 0);
	assert_int_equal(cw_count(w, M_DB_MAP_DEFER), 0);
	relieve(w, lite);
	/* there is still a's: b waits on, until there is room */
	ctlworld_pass(w, US_PER_S);
	assert_int_equal(cw_count(w, M_DB_MAP_LITE), 1);
	ctlworld_overload(w, 5000);
	ctlworld_pass(w, US_PER_S);
	assert_int_equal(cw_count(w, M_DB_MAP_LITE), 2);
	assert_int_equal(b->status, 0);
	relieve(w, cw_got(w, M_DB_MAP_LITE, 1));
	assert_int_equal(b->status, 200);
}

static void
t_held_gone(void **state)
{
	struct ctlworld *w = *state;
	struct wire *x = cw_client(w, 1, 142), *y = cw_client(w, 2, 142);
	struct cw_ask *a;

	(void)overload(w);
	a = ask(x, 142, STREAM);
	(void)ask(y, 142, LITE);
	cw_cancel(a);
	wire_close(y);
	ctlworld_run(w);
	ctlworld_overload(w, 5000);
	ctlworld_pass(w, 120 * US_PER_S);
	assert_int_equal(cw_count(w, M_DB_MAP_OPEN), 0);
	assert_int_equal(cw_count(w, M_DB_MAP_LITE), 1);
	/* held when the worker ends: teardown frees them */
	ctlworld_overload(w, 0);
	(void)ask(x, 142, STREAM);
}

/* Registers go on whatever the load (trap 76); /key and handshakes too. */
static void
t_register(void **state)
{
	struct ctlworld *w = *state;
	struct wire *x = cw_client(w, 1, 148), *raw;
	struct cw_ask *a;

	(void)overload(w);
	a = ask_reg(x);
	assert_int_equal(cw_count(w, M_DB_REG), 1);
	assert_int_equal(a->status, 0);
	(void)cw_client(w, 2, 142);
	raw = wire_raw(w->net);
	wire_send(raw, "GET /key?v=148 HTTP/1.1\r\nHost: h\r\n\r\n");
	ctlworld_run(w);
	assert_memory_equal(raw->from.p, "HTTP/1.1 200 ", 13);
}

/* Routers and exit nodes come first (state.md 10). */
static void
t_router(void **state)
{
	struct ctlworld *w = *state;
	struct wire *x = cw_client(w, 1, 148), *y = cw_client(w, 2, 142),
	    *z = cw_client(w, 3, 142);
	struct wire *many;
	unsigned int i;

	/* 100 us for each that waits: 11 are beyond the bound, 22 twice */
	for (i = 0; i < 11; i++) {
		many = cw_client(w, (uint8_t)(100 + i), 148);
		(void)ask(many, 148, LITE);
	}
	ctlworld_overload(w, 1);
	assert_int_equal(ask(cw_client(w, 9, 148), 148, STREAM)->status, 503);
	assert_int_equal(ask(x, 148, STREAM ROUTER)->status, 0);
	assert_int_equal(cw_count(w, M_DB_MAP_OPEN), 1);
	for (i = 0; i < 11; i++) {
		many = cw_client(w, (uint8_t)(120 + i), 148);
		(void)ask_reg(many);
	}
	assert_int_equal(ask(cw_client(w, 8, 148), 148, STREAM ROUTER)
	    ->status, 503);
	/* older clients: a router passes those that were there before */
	(void)ask(y, 142, STREAM);
	(void)ask(z, 142, STREAM ROUTER);
	ctlworld_overload(w, 5000);
	ctlworld_pass(w, US_PER_S);
	assert_int_equal(cw_count(w, M_DB_MAP_OPEN), 3);
	assert_int_equal(
	    cw_got(w, M_DB_MAP_OPEN, 1)->u.db_map_open.hostinfo.routes.count,
	    1);
	assert_int_equal(
	    cw_got(w, M_DB_MAP_OPEN, 2)->u.db_map_open.hostinfo.routes.count,
	    0);
}

/* A body as large as dbd is ever told. */
static const char *
large(const char *head)
{
	static struct buf b;
	unsigned int i;

	buf_clear(&b);
	buf_str(&b, head);
	buf_str(&b, ",\"Hostinfo\":{\"RoutableIPs\":[");
	for (i = 0; i < 1024; i++)
		buf_printf(&b, "%s\"10.%u.%u.0/24\"", i == 0 ? "" : ",",
		    i / 256, i % 256);
	buf_str(&b, "],\"RequestTags\":[");
	for (i = 0; i < 64; i++)
		buf_printf(&b, "%s\"tag:%0200u\"", i == 0 ? "" : ",", i);
	buf_str(&b, "]}}");
	buf_u8(&b, 0);
	return (char *)b.p;
}

/*
 * While dbd is away what waits for it is bounded: then registrations wait with
 * their connections, and map requests are refused.
 */
static void
t_full(void **state)
{
	struct ctlworld *w = *state;
	static const char lite[] = "{\"Version\":148,\"NodeKey\":\"nodekey:"
	    KEY "\",\"OmitPeers\":true";
	struct wire *x;
	struct cw_ask *a, *reg, *old;
	unsigned int i, k, status = 0;
	struct msg m;

	ctlworld_db(w, false);
	for (i = 0; i < 200 && status != 503; i++) {
		x = cw_client(w, (uint8_t)i, 148);
		for (k = 0; k < 17 && status != 503; k++) {
			a = cw_ask(x, "POST", "/machine/map", large(lite));
			status = a->status;
			assert_true(status == 0 || status == 503);
		}
	}
	assert_int_equal(status, 503);		/* 16 MB are there */
	assert_in_range(i * 17 + k, 16 * 17, 200 * 17);
	reg = ask_reg(cw_client(w, 201, 148));
	old = ask(cw_client(w, 202, 142), 142, LITE);
	ctlworld_pass(w, 60 * US_PER_S);
	assert_int_equal(reg->status, 0);
	assert_int_equal(old->status, 0);
	ctlworld_db(w, true);
	assert_int_equal(cw_count(w, M_DB_REG), 0);
	/* as dbd works through it, the registration has its turn */
	for (k = 0; k < 40; k++) {
		msg_init(&m, M_DB_LITE_OK);
		cw_say(w, &m, cw_got(w, M_DB_MAP_LITE, k));
	}
	ctlworld_pass(w, US_PER_S);
	assert_int_equal(cw_count(w, M_DB_REG), 1);
	msg_init(&m, M_DB_REG_NO);
	m.u.db_reg_no.text = slice_str("no");
	cw_say(w, &m, cw_got(w, M_DB_REG, 0));
	assert_int_equal(reg->status, 200);
}

int
main(void)
{
#define T(t)	cmocka_unit_test_setup_teardown(t, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(t_refused), T(t_slots), T(t_no_slot_left), T(t_held),
		T(t_held_gone), T(t_register), T(t_router), T(t_full)
	};
#undef T

	return cmocka_run_group_tests(tests, NULL, NULL);
}
