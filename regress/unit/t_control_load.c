/* Overload: refused, held back, delayed, and never more than fits. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/enc.h"
#include "common/log.h"
#include "regress/lib/ctlworld.h"
#include "worker/control/control_int.h"

#define KEY	"5f0e7c6b8a9d1234567890abcdef0011" \
		"2233445566778899aabbccddeeff0011"
#define LITE	",\"OmitPeers\":true"
#define STREAM	",\"Stream\":true"
#define ROUTER	",\"Hostinfo\":{\"RoutableIPs\":[\"10.0.0.0/8\"]}"

static struct cw_ask *
ask_key(struct wire *x, unsigned int version, const char *key,
    const char *more)
{
	char text[1000];

	snprintf(text, sizeof(text), "{\"Version\":%u,\"Compress\":\"zstd\","
	    "\"NodeKey\":\"%s\"%s}", version, key, more);
	return cw_ask(x, "POST", "/machine/map", text);
}

static struct cw_ask *
ask(struct wire *x, unsigned int version, const char *more)
{
	return ask_key(x, version, "nodekey:" KEY, more);
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
	const struct msg *d;
	struct cw_ask *a, *b;

	a = ask(x, 142, STREAM);
	/* while it waits its grace period does not run out */
	assert_int_equal(cw_count(w, M_DB_MAP_DEFER), 1);
	d = cw_got(w, M_DB_MAP_DEFER, 0);
	assert_int_equal(d->u.db_map_defer.seconds, 110);
	assert_int_equal(d->u.db_map_defer.ticket.capver, 142);
	assert_int_equal(d->u.db_map_defer.node_key[0], 0x5f);
	ctlworld_pass(w, 60 * US_PER_S);
	b = ask(y, 146, LITE);
	assert_int_equal(cw_count(w, M_DB_MAP_OPEN), 0);
	ctlworld_pass(w, 51 * US_PER_S);
	/* a has waited for 110 s */
	assert_int_equal(cw_count(w, M_DB_MAP_OPEN), 1);
	assert_int_equal(cw_count(w, M_DB_MAP_LITE), 1);
	assert_int_equal(a->status, 0);
	assert_int_equal(cw_count(w, M_DB_MAP_DEFER), 2);
	assert_int_equal(control_counters(w->c)->held, 2);
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

/* Nodes 1 to n; the first k advertise what was approved, the next two not. */
static void
make_nodes(struct ctlworld *w, unsigned int n, unsigned int k,
    char key[][KEY_TEXT])
{
	struct fuser u = { 1, "alice", 0 };
	struct buf all = { 0 }, b[FEED_LISTS] = { 0 };
	struct fnode f;
	struct r_node r;
	unsigned int i;

	snap_tailnet(&all, "default", 1);
	snap_user(&all, &u);
	for (i = 0; i < n; i++) {
		fnode_init(&f, i + 1, 1);
		f.advertised = i <= k ? 3 : 0;
		f.approved = i < k || i == k + 1 ? 2 : 0;
		snap_node(&all, &f);
		fnode_record(&f, &r, b);
		key_print(key[i], KEY_NODE, r.node_key);
		fnode_record_free(b);
	}
	snap_batch(&all, 1);
	assert_int_equal(tailnets_snapshot(control_tailnets(w->c),
	    FEED_TAILNET, all.p, all.n), 0);
	buf_free(&all);
}

/*
 * Routers and exit nodes come first (state.md 10): those with an approved
 * route, whatever others say of themselves.
 */
static void
t_router(void **state)
{
	struct ctlworld *w = *state;
	char key[4][KEY_TEXT];
	struct wire *x = cw_client(w, 1, 148), *many;
	unsigned int i;

	make_nodes(w, 4, 1, key);
	/* 100 us for each that waits: 11 are beyond the bound, 22 twice */
	for (i = 0; i < 11; i++) {
		many = cw_client(w, (uint8_t)(100 + i), 148);
		(void)ask(many, 148, LITE);
	}
	ctlworld_overload(w, 1);
	assert_int_equal(ask(x, 148, STREAM ROUTER)->status, 503);
	for (i = 1; i < 4; i++)
		assert_int_equal(ask_key(x, 148, key[i], STREAM ROUTER)
		    ->status, 503);
	assert_int_equal(ask_key(x, 148, key[0], STREAM)->status, 0);
	assert_int_equal(cw_count(w, M_DB_MAP_OPEN), 1);
	for (i = 0; i < 11; i++) {
		many = cw_client(w, (uint8_t)(120 + i), 148);
		(void)ask_reg(many);
	}
	assert_int_equal(ask_key(cw_client(w, 8, 148), 148, key[0], STREAM)
	    ->status, 503);
}

/* Of those held back routers go first, each kind in the order they came. */
static void
t_router_held(void **state)
{
	struct ctlworld *w = *state;
	static const unsigned int order[] = { 1, 3, 0, 2 };
	char key[4][KEY_TEXT], got[KEY_TEXT], *last;
	unsigned int i;

	make_nodes(w, 4, 4, key);
	(void)overload(w);
	for (i = 0; i < 4; i++) {
		last = &key[i][strlen(key[i]) - 1];
		if (i % 2 == 0)		/* nobody's */
			*last = *last == '0' ? '1' : '0';
		(void)ask_key(cw_client(w, (uint8_t)(i + 1), 142), 142,
		    key[i], STREAM ROUTER);
		ctlworld_pass(w, US_PER_S);
	}
	assert_int_equal(cw_count(w, M_DB_MAP_OPEN), 0);
	ctlworld_overload(w, 5000);
	ctlworld_pass(w, US_PER_S);
	assert_int_equal(cw_count(w, M_DB_MAP_OPEN), 4);
	for (i = 0; i < 4; i++) {
		key_print(got, KEY_NODE, cw_got(w, M_DB_MAP_OPEN, i)
		    ->u.db_map_open.node_key);
		assert_string_equal(got, key[order[i]]);
	}
}

/* Nobody waits longer than its watchdog, whoever else comes meanwhile. */
static void
t_held_in_time(void **state)
{
	struct ctlworld *w = *state;
	char key[3][KEY_TEXT];
	unsigned int i;

	make_nodes(w, 3, 2, key);
	(void)overload(w);
	for (i = 0; i < 2; i++) {
		(void)ask_key(cw_client(w, (uint8_t)(2 * i + 1), 142), 142,
		    key[i], STREAM);
		(void)ask_key(cw_client(w, (uint8_t)(2 * i + 2), 142), 142,
		    key[2], STREAM);
		ctlworld_pass(w, 50 * US_PER_S);
	}
	assert_int_equal(cw_count(w, M_DB_MAP_OPEN), 0);
	ctlworld_pass(w, 11 * US_PER_S);
	assert_int_equal(cw_count(w, M_DB_MAP_OPEN), 2);
	ctlworld_pass(w, 50 * US_PER_S);
	assert_int_equal(cw_count(w, M_DB_MAP_OPEN), 4);
}

/* A map request of n octets. */
static struct cw_ask *
ask_large(struct wire *x, size_t n)
{
	struct cw_ask *a;
	struct buf b = { 0 };

	buf_str(&b, "{\"Version\":142,\"Compress\":\"zstd\",\"NodeKey\":"
	    "\"nodekey:" KEY "\",\"OmitPeers\":true,\"Pad\":\"");
	while (b.n < n - 2)
		buf_u8(&b, 'x');
	buf_str(&b, "\"}");
	buf_u8(&b, 0);
	a = cw_ask(x, "POST", "/machine/map", (char *)b.p);
	buf_free(&b);
	return a;
}

/* What one session has held back is bounded in octets: 2 MB. */
static void
t_held_session(void **state)
{
	struct ctlworld *w = *state;
	struct wire *x = cw_client(w, 1, 142), *y = cw_client(w, 2, 142);
	struct cw_ask *a[3], *b;
	unsigned int i;

	(void)overload(w);
	for (i = 0; i < 3; i++) {
		a[i] = ask_large(x, 600000);
		assert_int_equal(a[i]->status, 0);
	}
	b = ask_large(x, 300000);
	assert_int_equal(b->status, 503);
	assert_in_range(retry_after(b), 1, 300);
	assert_int_equal(cw_got(w, M_DB_MAP_DEFER, 3)->u.db_map_defer.seconds,
	    retry_after(b));
	assert_int_equal(ask_large(y, 300000)->status, 0);
	assert_int_equal(control_counters(w->c)->held, 4);
	assert_int_equal(control_counters(w->c)->refused, 1);
	cw_cancel(a[1]);
	assert_int_equal(ask_large(x, 300000)->status, 0);
	ctlworld_overload(w, 5000);
	ctlworld_pass(w, US_PER_S);
	assert_int_equal(w->c->held_octets, 0);
	assert_int_equal(control_counters(w->c)->lites, 1 + 4);
}

/* Of map requests a worker holds 48 MB; registrations find room after that. */
static void
t_held_all(void **state)
{
	struct ctlworld *w = *state;
	struct cw_ask *a, *reg[400];
	struct wire *x;
	unsigned int i, k, n = 0;

	(void)overload(w);
	for (i = 0, a = NULL; a == NULL || a->status == 0; i++) {
		assert_true(i < 40);
		x = cw_client(w, (uint8_t)i, 142);
		for (k = 0; k < 3 && (a == NULL || a->status == 0); k++)
			a = ask_large(x, 600000);
	}
	assert_int_equal(a->status, 503);
	assert_int_equal(control_counters(w->c)->held, 83);	/* 48 MB */
	assert_in_range(w->c->held_octets, 83 * 600000, 48 << 20);
	/* as if dbd had as much as it may have to do */
	w->c->task_octets += 16 << 20;
	for (i = 0; i < 4; i++) {
		x = cw_client(w, (uint8_t)(201 + i), 148);
		for (k = 0; k < 100; k++)
			reg[n++] = ask_reg(x);
	}
	ctlworld_pass(w, 100 * US_PER_S);
	assert_int_equal(cw_count(w, M_DB_REG), 0);
	for (i = 0; i < n; i++)
		assert_true(reg[i]->status == 0 && !reg[i]->ended);
	cw_cancel(reg[5]);
	w->c->task_octets -= 16 << 20;
	ctlworld_pass(w, US_PER_S);
	/* one of each session is with dbd, and 16 wait for it */
	assert_int_equal(cw_count(w, M_DB_REG), 4);
	assert_int_equal(w->c->ntasks, 1 + 4 * 17);
	for (i = 0; i < n - 1; i++) {
		struct msg m;

		msg_init(&m, M_DB_REG_NO);
		m.u.db_reg_no.text = slice_str("no");
		cw_say(w, &m, cw_got(w, M_DB_REG, i));
	}
	for (i = 0; i < n; i++)
		assert_int_equal(reg[i]->status, i == 5 ? 0 : 200);
}

/* One that comes while others wait goes behind them. */
static void
t_held_order(void **state)
{
	struct ctlworld *w = *state;
	struct wire *x = cw_client(w, 1, 148), *y = cw_client(w, 2, 148);
	uint8_t pub[KEY_LEN], priv[KEY_LEN];

	w->c->task_octets += 16 << 20;
	(void)ask_reg(x);
	w->c->task_octets -= 16 << 20;
	(void)ask_reg(y);
	assert_int_equal(cw_count(w, M_DB_REG), 0);
	ctlworld_pass(w, US_PER_S);
	assert_int_equal(cw_count(w, M_DB_REG), 2);
	memset(priv, 1, sizeof(priv));
	noise_clamp(priv);
	noise_public(pub, priv);
	assert_memory_equal(cw_got(w, M_DB_REG, 0)->u.db_reg.ticket.key, pub,
	    KEY_LEN);
}

struct said {
	unsigned int	begins;
	unsigned int	ends;
	char		last[200];
};

static void
on_log(int level, const char *line, void *arg)
{
	struct said *s = arg;

	(void)level;
	s->begins += strstr(line, "overload begins backlog_ms=") != NULL;
	s->ends += strstr(line, "overload ends ") != NULL;
	strlcpy(s->last, line, sizeof(s->last));
}

/* One line when it begins, one when it ends, and what it was. */
static void
t_said(void **state)
{
	struct ctlworld *w = *state;
	struct wire *x = cw_client(w, 1, 148), *y = cw_client(w, 2, 142);
	struct said s = { 0 };
	const struct msg *lite;
	unsigned int i;

	log_capture(on_log, &s);
	lite = overload(w);
	assert_int_equal(s.begins, 0);
	for (i = 0; i < 5; i++)
		(void)ask(x, 148, STREAM);
	(void)ask(y, 142, LITE);
	ctlworld_pass(w, 10 * US_PER_S);
	assert_int_equal(s.begins, 1);
	assert_int_equal(s.ends, 0);
	relieve(w, lite);
	ctlworld_pass(w, US_PER_S);
	/* the one that was held has its answer still to come */
	assert_int_equal(s.ends, 0);
	relieve(w, cw_got(w, M_DB_MAP_LITE, 1));
	ctlworld_pass(w, US_PER_S);
	assert_int_equal(s.begins, 1);
	assert_int_equal(s.ends, 1);
	assert_non_null(strstr(s.last, "refused=5 held=1"));
	/* a second one is told, too, and counts from its own beginning */
	lite = overload(w);
	(void)ask(x, 148, STREAM);
	relieve(w, lite);
	ctlworld_pass(w, 60 * US_PER_S);
	assert_int_equal(s.begins, 2);
	assert_int_equal(s.ends, 2);
	assert_non_null(strstr(s.last, "refused=1 held=0"));
	assert_int_equal(control_counters(w->c)->overloads, 2);
	assert_int_equal(control_counters(w->c)->refused, 6);
	log_capture(NULL, NULL);
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
	    KEY "\",\"Compress\":\"zstd\",\"OmitPeers\":true";
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
#define T(t)	cmocka_unit_test_setup_teardown(t, ctlworld_setup, \
		    ctlworld_teardown)
	const struct CMUnitTest tests[] = {
		T(t_refused), T(t_slots), T(t_no_slot_left), T(t_held),
		T(t_held_gone), T(t_register), T(t_router), T(t_router_held),
		T(t_held_in_time), T(t_held_session), T(t_held_all),
		T(t_held_order), T(t_said), T(t_full)
	};
#undef T

	return cmocka_run_group_tests(tests, NULL, NULL);
}
