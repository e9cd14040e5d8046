/* /machine/map: streams, lite updates, one-shot maps, and a dbd that dies. */

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

#define NODE		5
#define ALICE		1

static int
setup(void **state)
{
	struct ctlworld *w;
	struct fuser u = { ALICE, "alice", 0 };
	struct buf b = { 0 };
	struct fnode f;
	uint64_t id;
	int rc;

	if (noise_init() == -1)
		return -1;
	*state = w = ctlworld_new();
	snap_tailnet(&b, "default", 1);
	snap_user(&b, &u);
	for (id = NODE; id < NODE + 3; id++) {
		fnode_init(&f, id, ALICE);
		snap_node(&b, &f);
	}
	snap_batch(&b, 1);
	rc = tailnets_snapshot(control_tailnets(w->c), FEED_TAILNET, b.p,
	    b.n);
	buf_free(&b);
	return rc;
}

/* A map request's body with more members; in one of four buffers. */
static const char *
body(unsigned int version, const char *more)
{
	static char text[4][2048];
	static unsigned int turn;
	char *dst = text[turn++ % 4];

	snprintf(dst, sizeof(text[0]), "{\"Version\":%u,\"Compress\":\"zstd\","
	    "\"NodeKey\":\"nodekey:5f0e7c6b8a9d1234567890abcdef0011223344556"
	    "6778899aabbccddeeff0011\"%s}", version, more);
	return dst;
}

#define STREAM	",\"Stream\":true"
#define LITE	",\"OmitPeers\":true"

static struct cw_ask *
ask(struct wire *x, const char *more)
{
	return cw_ask(x, "POST", "/machine/map", body(148, more));
}

static void
map_ok(struct ctlworld *w, const struct msg *open, uint64_t node)
{
	const struct m_db_map_open *o = &open->u.db_map_open;
	struct msg m;

	msg_init(&m, M_DB_MAP_OK);
	m.u.db_map_ok.tailnet = FEED_TAILNET;
	m.u.db_map_ok.node = node;
	m.u.db_map_ok.generation = o->once ? 0 : o->stream;
	m.u.db_map_ok.seq = 1;
	cw_say(w, &m, open);
}

static void
lite_ok(struct ctlworld *w, const struct msg *lite)
{
	struct msg m;

	msg_init(&m, M_DB_LITE_OK);
	m.u.db_lite_ok.changed = true;
	cw_say(w, &m, lite);
}

static void
stream_end(struct ctlworld *w, uint64_t node, uint64_t generation, uint8_t why)
{
	struct msg m;

	msg_init(&m, M_DB_STREAM_END);
	m.u.db_stream_end.tailnet = FEED_TAILNET;
	m.u.db_stream_end.node = node;
	m.u.db_stream_end.generation = generation;
	m.u.db_stream_end.why = why;
	cw_say(w, &m, NULL);
}

/* A stream that runs; the request that opened it. */
static struct cw_ask *
open_stream(struct ctlworld *w, struct wire *x, uint64_t node)
{
	size_t n = cw_count(w, M_DB_MAP_OPEN);
	struct cw_ask *a = ask(x, STREAM);

	assert_int_equal(cw_count(w, M_DB_MAP_OPEN), n + 1);
	map_ok(w, cw_got(w, M_DB_MAP_OPEN, n), node);
	assert_int_equal(a->status, 200);
	assert_true(a->body.n > 4);
	assert_false(a->ended);
	return a;
}

static void
t_open(void **state)
{
	struct ctlworld *w = *state;
	struct wire *x = cw_client(w, 3, 148);
	const struct m_db_map_open *o;
	uint8_t machine[KEY_LEN], pub[KEY_LEN];
	const struct msg *m;
	struct cw_ask *a;

	a = ask(x, STREAM ",\"DiscoKey\":\"discokey:5f0e7c6b8a9d1234567890abc"
	    "def00112233445566778899aabbccddeeff0011\",\"Endpoints\":["
	    "\"1.2.3.4:5\"],\"Hostinfo\":{\"OS\":\"linux\",\"NetInfo\":{"
	    "\"PreferredDERP\":900}}");
	assert_int_equal(cw_count(w, M_DB_MAP_OPEN), 1);
	assert_int_equal(a->status, 0);		/* dbd has not spoken */
	m = cw_got(w, M_DB_MAP_OPEN, 0);
	o = &m->u.db_map_open;
	memset(machine, 3, sizeof(machine));
	noise_clamp(machine);
	noise_public(pub, machine);
	assert_memory_equal(o->ticket.key, pub, KEY_LEN);
	assert_int_equal(o->ticket.capver, 148);
	assert_false(o->again);
	assert_true(o->stream != 0);
	assert_int_equal(o->h2, a->id);
	assert_int_equal(o->capver, 148);
	assert_int_equal(o->endpoints.count, 1);
	assert_true(o->has_hostinfo);
	assert_true(slice_eqs(o->hostinfo.os, "linux"));
	assert_int_equal(o->home_derp, 900);
	assert_false(o->once);
	assert_false(o->read_only);
	assert_false(key_is_zero(o->disco_key));
	map_ok(w, m, NODE);
	assert_int_equal(a->status, 200);
	assert_true(a->body.n > 4);
	assert_false(a->ended);
	assert_int_equal(control_streams(w->c), 1);
	/* online once the first map is with the transport */
	assert_int_equal(cw_count(w, M_DB_MAP_STARTED), 1);
	m = cw_got(w, M_DB_MAP_STARTED, 0);
	assert_int_equal(m->u.db_map_started.node, NODE);
	assert_int_equal(m->u.db_map_started.generation,
	    cw_got(w, M_DB_MAP_OPEN, 0)->u.db_map_open.stream);
}

/* Not online while the client takes nothing (protocol.md 11.4). */
static void
t_started_late(void **state)
{
	struct ctlworld *w = *state;
	struct wire *x = cw_client(w, 3, 148);

	(void)ask(x, STREAM);
	x->stuck = true;
	map_ok(w, cw_got(w, M_DB_MAP_OPEN, 0), NODE);
	ctlworld_pass(w, US_PER_S);
	assert_int_equal(control_streams(w->c), 1);
	assert_int_equal(cw_count(w, M_DB_MAP_STARTED), 0);
	x->stuck = false;
	ctlworld_run(w);
	assert_int_equal(cw_count(w, M_DB_MAP_STARTED), 1);
}

/* Stream, OmitPeers, ReadOnly: the matrix of protocol.md 3.5. */
static void
t_kinds(void **state)
{
	static const struct {
		const char	*more;
		bool		 lite;
		bool		 once;
		bool		 read_only;
	} v[] = {
		{ STREAM, false, false, false },
		{ STREAM LITE, false, false, false },
		{ LITE, true, false, false },
		{ "", false, true, false },
		{ ",\"ReadOnly\":true", false, true, true },
		{ LITE ",\"ReadOnly\":true", false, true, true },
		/* no stream changes nothing: one map, no session */
		{ STREAM ",\"ReadOnly\":true", false, true, true }
	};
	struct ctlworld *w = *state;
	const struct m_db_map_open *o;
	struct cw_ask *a;
	size_t i, opens, lites;

	for (i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		opens = cw_count(w, M_DB_MAP_OPEN);
		lites = cw_count(w, M_DB_MAP_LITE);
		a = ask(cw_client(w, (uint8_t)(10 + i), 148), v[i].more);
		if (v[i].lite) {
			assert_int_equal(cw_count(w, M_DB_MAP_LITE),
			    lites + 1);
			lite_ok(w, cw_got(w, M_DB_MAP_LITE, lites));
			assert_int_equal(a->status, 200);
			assert_true(a->ended);
			assert_int_equal(a->body.n, 0);
			continue;
		}
		assert_int_equal(cw_count(w, M_DB_MAP_LITE), lites);
		assert_int_equal(cw_count(w, M_DB_MAP_OPEN), opens + 1);
		o = &cw_got(w, M_DB_MAP_OPEN, opens)->u.db_map_open;
		assert_int_equal(o->once, v[i].once);
		assert_int_equal(o->read_only, v[i].read_only);
		map_ok(w, cw_got(w, M_DB_MAP_OPEN, opens), NODE);
		assert_int_equal(a->status, 200);
		assert_true(a->body.n > 4);
		assert_int_equal(a->ended, v[i].once);
	}
	assert_int_equal(cw_count(w, M_DB_MAP_CLOSE), 0);
	assert_int_equal(cw_count(w, M_DB_MAP_STARTED), 2);
	assert_int_equal(control_streams(w->c), 2);
}

static void
t_refused(void **state)
{
	struct ctlworld *w = *state;
	struct wire *x = cw_client(w, 3, 148);
	struct cw_ask *a;
	struct msg m;

	a = ask(x, STREAM);
	msg_init(&m, M_DB_MAP_NO);
	m.u.db_map_no.status = 404;
	m.u.db_map_no.text = slice_str("node not found");
	cw_say(w, &m, cw_got(w, M_DB_MAP_OPEN, 0));
	assert_int_equal(a->status, 404);
	assert_true(a->ended);
	assert_true(cw_has(a, "node not found"));
	a = ask(x, LITE);
	msg_init(&m, M_DB_LITE_NO);
	m.u.db_lite_no.status = 403;
	m.u.db_lite_no.text = slice_str("%s%n another's");
	cw_say(w, &m, cw_got(w, M_DB_MAP_LITE, 0));
	assert_int_equal(a->status, 403);
	assert_true(a->ended);
	assert_true(cw_has(a, "%s%n another's"));
	assert_int_equal(control_streams(w->c), 0);
	assert_int_equal(cw_count(w, M_DB_MAP_CLOSE), 0);
	/* allowed, but of a replica or node that is not there */
	a = ask(x, STREAM);
	map_ok(w, cw_got(w, M_DB_MAP_OPEN, 1), 99);
	assert_int_equal(a->status, 404);
	assert_int_equal(cw_count(w, M_DB_MAP_CLOSE), 1);
	a = ask(x, "");
	map_ok(w, cw_got(w, M_DB_MAP_OPEN, 2), 99);
	assert_int_equal(a->status, 404);
	assert_int_equal(cw_count(w, M_DB_MAP_CLOSE), 1);
}

static void
t_bad_requests(void **state)
{
	struct ctlworld *w = *state;
	struct wire *x = cw_client(w, 3, 148);
	struct cw_ask *a;

	a = cw_ask(x, "POST", "/machine/map", "{");
	assert_int_equal(a->status, 400);
	assert_true(a->ended && a->error == 0);
	a = cw_ask(x, "POST", "/machine/map", NULL);
	assert_int_equal(a->status, 400);
	a = ask(x, ",\"Stream\":\"yes\"");
	assert_int_equal(a->status, 400);
	assert_true(cw_has(a, "Stream"));
	a = cw_ask(x, "POST", "/machine/map", body(112, STREAM));
	assert_int_equal(a->status, 400);
	assert_true(cw_has(a, "1.80"));
	assert_true(cw_has(a, "112"));
	assert_int_equal(w->ngot, 1);
	a = cw_ask(x, "POST", "/machine/map", body(113, STREAM));
	assert_int_equal(a->status, 0);
	assert_int_equal(cw_count(w, M_DB_MAP_OPEN), 1);
}

/*
 * A stream that ends before its first map is an error, not a 200 with nothing
 * in it (trap 20).
 */
static void
t_end_before_map(void **state)
{
	static const struct { uint8_t why; unsigned int status; } v[] = {
		{ 1, 409 }, { 2, 404 }, { 3, 404 }
	};
	struct ctlworld *w = *state;
	const struct m_db_map_open *o;
	struct wire *x = cw_client(w, 3, 148);
	struct cw_ask *a;
	struct msg ok, m;
	size_t i;

	for (i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		a = ask(x, STREAM);
		o = &cw_got(w, M_DB_MAP_OPEN, i)->u.db_map_open;
		msg_init(&ok, M_DB_MAP_OK);
		ok.id = cw_got(w, M_DB_MAP_OPEN, i)->id;
		ok.u.db_map_ok.tailnet = FEED_TAILNET;
		ok.u.db_map_ok.node = NODE;
		ok.u.db_map_ok.generation = o->stream;
		pair_forge(w->db, PAIR_B, &ok);
		msg_init(&m, M_DB_STREAM_END);
		m.u.db_stream_end.tailnet = FEED_TAILNET;
		m.u.db_stream_end.node = NODE;
		m.u.db_stream_end.generation = o->stream;
		m.u.db_stream_end.why = v[i].why;
		pair_forge(w->db, PAIR_B, &m);
		pair_run(w->db);
		ctlworld_run(w);
		assert_int_equal(a->status, v[i].status);
		assert_true(a->ended && a->error == 0 && a->body.n != 0);
	}
	/* the node leaves the replica */
	a = ask(x, STREAM);
	o = &cw_got(w, M_DB_MAP_OPEN, i)->u.db_map_open;
	ok.id = cw_got(w, M_DB_MAP_OPEN, i)->id;
	ok.u.db_map_ok.generation = o->stream;
	pair_forge(w->db, PAIR_B, &ok);
	pair_run(w->db);
	assert_int_equal(feed_node_del(control_tailnets(w->c), NODE), 0);
	assert_int_equal(feed_batch(control_tailnets(w->c), 2), 0);
	ctlworld_run(w);
	assert_int_equal(a->status, 404);
	assert_int_equal(cw_count(w, M_DB_MAP_STARTED), 0);
	assert_int_equal(control_streams(w->c), 0);
}

static void
t_stream_end(void **state)
{
	struct ctlworld *w = *state;
	struct wire *x = cw_client(w, 3, 148);
	struct cw_ask *a = open_stream(w, x, NODE), *b;
	uint64_t gen;

	gen = cw_got(w, M_DB_MAP_OPEN, 0)->u.db_map_open.stream;
	stream_end(w, NODE, gen + 1, 1);
	stream_end(w, NODE + 1, gen, 1);
	assert_false(a->ended);
	b = open_stream(w, x, NODE);
	assert_false(a->ended);
	stream_end(w, NODE, gen, 1);
	assert_true(a->ended);
	assert_int_equal(a->error, 0);
	assert_false(b->ended);
	assert_int_equal(control_streams(w->c), 1);
	/* dbd knows: it is not told */
	assert_int_equal(cw_count(w, M_DB_MAP_CLOSE), 0);
}

static void
t_client_leaves(void **state)
{
	struct ctlworld *w = *state;
	struct wire *x = cw_client(w, 3, 148), *y = cw_client(w, 4, 148);
	struct cw_ask *a = open_stream(w, x, NODE);
	const struct msg *m;

	(void)open_stream(w, y, NODE + 1);
	cw_cancel(a);
	assert_int_equal(cw_count(w, M_DB_MAP_CLOSE), 1);
	m = cw_got(w, M_DB_MAP_CLOSE, 0);
	assert_int_equal(m->u.db_map_close.node, NODE);
	assert_int_equal(m->u.db_map_close.generation,
	    cw_got(w, M_DB_MAP_OPEN, 0)->u.db_map_open.stream);
	wire_close(y);
	ctlworld_run(w);
	assert_int_equal(cw_count(w, M_DB_MAP_CLOSE), 2);
	m = cw_got(w, M_DB_MAP_CLOSE, 1);
	assert_int_equal(m->u.db_map_close.node, NODE + 1);
	assert_int_equal(control_streams(w->c), 0);
	/* before dbd has answered */
	a = ask(x, STREAM);
	cw_cancel(a);
	assert_int_equal(cw_count(w, M_DB_MAP_CLOSE), 2);
	map_ok(w, cw_got(w, M_DB_MAP_OPEN, 2), NODE);
	assert_int_equal(cw_count(w, M_DB_MAP_CLOSE), 3);
	assert_int_equal(control_streams(w->c), 0);
	/* one-shot and lite: nothing to close */
	a = ask(x, "");
	cw_cancel(a);
	map_ok(w, cw_got(w, M_DB_MAP_OPEN, 3), NODE);
	a = ask(x, LITE);
	cw_cancel(a);
	lite_ok(w, cw_got(w, M_DB_MAP_LITE, 0));
	assert_int_equal(cw_count(w, M_DB_MAP_CLOSE), 3);
}

static struct cw_ask *
ask_reg(struct wire *x)
{
	return cw_ask(x, "POST", "/machine/register", body(148, ""));
}

static void
reg_no(struct ctlworld *w, const struct msg *reg)
{
	struct msg m;

	msg_init(&m, M_DB_REG_NO);
	m.u.db_reg_no.text = slice_str("no");
	cw_say(w, &m, reg);
}

/* One request in flight a session, in their order (trust.md 6). */
static void
t_lane_order(void **state)
{
	struct ctlworld *w = *state;
	struct wire *x = cw_client(w, 3, 148);
	struct cw_ask *a[5];
	size_t i;

	a[0] = ask(x, STREAM);
	a[1] = ask(x, LITE);
	a[2] = ask_reg(x);
	a[3] = ask(x, LITE);
	a[4] = ask(x, LITE);
	assert_int_equal(cw_count(w, M_DB_MAP_OPEN), 1);
	assert_int_equal(cw_count(w, M_DB_MAP_LITE), 0);
	assert_int_equal(cw_count(w, M_DB_REG), 0);
	map_ok(w, cw_got(w, M_DB_MAP_OPEN, 0), NODE);
	assert_int_equal(cw_count(w, M_DB_MAP_LITE), 1);
	assert_int_equal(cw_count(w, M_DB_REG), 1);
	/* with the lite update gone, nothing passes the registration */
	lite_ok(w, cw_got(w, M_DB_MAP_LITE, 0));
	assert_int_equal(cw_count(w, M_DB_MAP_LITE), 1);
	reg_no(w, cw_got(w, M_DB_REG, 0));
	assert_int_equal(cw_count(w, M_DB_MAP_LITE), 3);
	lite_ok(w, cw_got(w, M_DB_MAP_LITE, 1));
	lite_ok(w, cw_got(w, M_DB_MAP_LITE, 2));
	for (i = 0; i < 5; i++)
		assert_int_equal(a[i]->status, 200);
}

/* A lite update that waits for its budget lets one other go on beside it. */
static void
t_lane(void **state)
{
	struct ctlworld *w = *state;
	struct wire *x = cw_client(w, 3, 148), *y = cw_client(w, 4, 148);
	struct cw_ask *a[4];
	size_t i;

	a[0] = ask(x, LITE ",\"Endpoints\":[\"1.1.1.1:1\"]");
	a[1] = ask(x, STREAM);
	a[2] = ask(x, LITE ",\"Endpoints\":[\"1.1.1.1:1\",\"1.1.1.1:2\"]");
	a[3] = ask(y, LITE);
	assert_int_equal(cw_count(w, M_DB_MAP_LITE), 2);
	assert_int_equal(cw_count(w, M_DB_MAP_OPEN), 1);
	assert_int_equal(cw_got(w, M_DB_MAP_LITE, 0)->u.db_map_lite.h2,
	    a[0]->id);
	assert_memory_not_equal(
	    cw_got(w, M_DB_MAP_LITE, 0)->u.db_map_lite.ticket.key,
	    cw_got(w, M_DB_MAP_LITE, 1)->u.db_map_lite.ticket.key, KEY_LEN);
	map_ok(w, cw_got(w, M_DB_MAP_OPEN, 0), NODE);
	assert_int_equal(a[1]->status, 200);
	/* the newer one is there, for dbd to end the older with */
	assert_int_equal(a[0]->status, 0);
	assert_int_equal(cw_count(w, M_DB_MAP_LITE), 3);
	assert_int_equal(
	    cw_got(w, M_DB_MAP_LITE, 2)->u.db_map_lite.endpoints.count, 2);
	lite_ok(w, cw_got(w, M_DB_MAP_LITE, 0));
	assert_int_equal(a[0]->status, 200);
	(void)ask_reg(x);
	assert_int_equal(cw_count(w, M_DB_REG), 1);
	(void)ask_reg(x);
	assert_int_equal(cw_count(w, M_DB_REG), 1);
	lite_ok(w, cw_got(w, M_DB_MAP_LITE, 2));
	lite_ok(w, cw_got(w, M_DB_MAP_LITE, 1));
	assert_int_equal(cw_count(w, M_DB_REG), 1);
	reg_no(w, cw_got(w, M_DB_REG, 0));
	assert_int_equal(cw_count(w, M_DB_REG), 2);
	reg_no(w, cw_got(w, M_DB_REG, 1));
	for (i = 0; i < 4; i++)
		assert_int_equal(a[i]->status, 200);
}

/* No session makes others wait, nor us remember without bound. */
static void
t_lane_full(void **state)
{
	struct ctlworld *w = *state;
	struct wire *x = cw_client(w, 3, 148);
	struct cw_ask *a[30];
	unsigned int busy = 0, i;

	for (i = 0; i < 30; i++)
		a[i] = ask(x, LITE);
	for (i = 0; i < 30; i++) {
		busy += a[i]->status == 429;
		assert_true(a[i]->status == 0 || a[i]->ended);
	}
	/* two in flight, 16 waiting */
	assert_int_equal(busy, 30 - 18);
	assert_int_equal(control_counters(w->c)->refused, busy);
	assert_int_equal(control_counters(w->c)->lites, 18);
	for (i = 0; i < 18; i++)
		lite_ok(w, cw_got(w, M_DB_MAP_LITE, i));
	for (i = 0; i < 18; i++)
		assert_int_equal(a[i]->status, 200);
}

/*
 * A registration has its turn in a session full of map requests, and in one
 * full of registrations: those beyond 16 wait with their requests.
 */
static void
t_lane_regs(void **state)
{
	struct ctlworld *w = *state;
	struct wire *x = cw_client(w, 3, 148), *y = cw_client(w, 4, 148);
	struct cw_ask *a[100], *other;
	unsigned int i;

	(void)ask(x, STREAM);
	for (i = 0; i < 16; i++)
		(void)ask(x, LITE);
	assert_int_equal(ask(x, LITE)->status, 429);
	for (i = 0; i < 100; i++)
		a[i] = ask_reg(x);
	assert_int_equal(w->c->ntasks, 1 + 16 + 16);
	other = ask_reg(y);
	assert_int_equal(cw_count(w, M_DB_REG), 1);
	reg_no(w, cw_got(w, M_DB_REG, 0));
	assert_int_equal(other->status, 200);
	/* some are taken back: of those that wait here and there */
	cw_cancel(a[7]);
	cw_cancel(a[60]);
	map_ok(w, cw_got(w, M_DB_MAP_OPEN, 0), NODE);
	for (i = 0; i < 16; i++)
		lite_ok(w, cw_got(w, M_DB_MAP_LITE, i));
	for (i = 0; i < 98; i++) {
		assert_int_equal(cw_count(w, M_DB_REG), 2 + i);
		assert_true(w->c->ntasks <= 1 + 16);
		reg_no(w, cw_got(w, M_DB_REG, 1 + i));
		/* in their order */
		assert_int_equal(a[i + (i >= 7) + (i >= 59)]->status, 200);
	}
	for (i = 0; i < 100; i++)
		assert_int_equal(a[i]->status, i == 7 || i == 60 ? 0 : 200);
	assert_int_equal(control_counters(w->c)->registers, 101);
	/* held and gone with its connection, or with the worker: no trace */
	for (i = 0; i < 40; i++)
		(void)ask_reg(x);
	for (i = 0; i < 40; i++)
		(void)ask_reg(y);
	wire_close(x);
	ctlworld_run(w);
}

/* What was taken back before it was sent has no effect (trap 38). */
static void
t_lane_cancel(void **state)
{
	struct ctlworld *w = *state;
	struct wire *x = cw_client(w, 3, 148);
	struct cw_ask *a[3];

	a[0] = ask_reg(x);
	a[1] = ask(x, LITE ",\"Endpoints\":[\"1.1.1.1:1\"]");
	a[2] = ask(x, STREAM);
	cw_cancel(a[1]);
	reg_no(w, cw_got(w, M_DB_REG, 0));
	assert_int_equal(a[0]->status, 200);
	assert_int_equal(cw_count(w, M_DB_MAP_LITE), 0);
	assert_int_equal(cw_count(w, M_DB_MAP_OPEN), 1);
	cw_cancel(a[2]);
	wire_close(x);
	ctlworld_run(w);
	map_ok(w, cw_got(w, M_DB_MAP_OPEN, 0), NODE);
	assert_int_equal(cw_count(w, M_DB_MAP_CLOSE), 1);
}

static size_t
place(const struct ctlworld *w, unsigned int life, enum msg_type type)
{
	size_t i;

	for (i = 0; i < w->ngot; i++)
		if (w->got[i]->life == life && w->got[i]->m.type == type)
			return i;
	return SIZE_MAX;
}

static size_t
count_in(const struct ctlworld *w, unsigned int life, enum msg_type type)
{
	size_t i, n = 0;

	for (i = 0; i < w->ngot; i++)
		n += w->got[i]->life == life && w->got[i]->m.type == type;
	return n;
}

/* dbd dies with a request: the next one gets it again, under its id. */
static void
t_again(void **state)
{
	struct ctlworld *w = *state;
	struct wire *x = cw_client(w, 3, 148), *y = cw_client(w, 4, 148);
	struct cw_ask *a, *b, *c;
	const struct msg *m;
	uint32_t id, open;
	size_t k;

	a = ask(x, LITE);
	b = ask(x, STREAM);
	id = cw_got(w, M_DB_MAP_LITE, 0)->id;
	open = cw_got(w, M_DB_MAP_OPEN, 0)->id;
	ctlworld_db(w, false);
	c = ask(y, STREAM);			/* while it is away */
	ctlworld_pass(w, 5 * US_PER_S);
	assert_int_equal(a->status, 0);
	assert_int_equal(c->status, 0);
	ctlworld_db(w, true);
	assert_int_equal(count_in(w, 2, M_DB_MAP_LITE), 1);
	assert_int_equal(count_in(w, 2, M_DB_MAP_OPEN), 2);
	k = place(w, 2, M_DB_MAP_LITE);
	assert_true(place(w, 2, M_DB_HELLO_DONE) < k);
	assert_true(k < place(w, 2, M_DB_MAP_OPEN));
	m = &w->got[k]->m;
	assert_true(m->u.db_map_lite.again);
	assert_int_equal(m->id, id);
	m = cw_got(w, M_DB_MAP_OPEN, 1);
	assert_true(m->u.db_map_open.again);
	assert_int_equal(m->id, open);
	m = cw_got(w, M_DB_MAP_OPEN, 2);
	assert_false(m->u.db_map_open.again);	/* y's: never sent before */
	assert_true(m->id != id && m->id != open);
	map_ok(w, m, NODE + 1);
	assert_int_equal(c->status, 200);
	map_ok(w, cw_got(w, M_DB_MAP_OPEN, 1), NODE);
	assert_int_equal(b->status, 200);
	lite_ok(w, &w->got[k]->m);
	assert_int_equal(a->status, 200);
	/* sent, and not again after that */
	ctlworld_db(w, false);
	ctlworld_db(w, true);
	assert_int_equal(count_in(w, 3, M_DB_MAP_LITE), 0);
	assert_int_equal(count_in(w, 3, M_DB_MAP_OPEN), 0);
	assert_int_equal(count_in(w, 3, M_DB_RESUME), 2);
}

/* Nobody waits for the answer any more: dbd's successor is not asked. */
static void
t_again_gone(void **state)
{
	struct ctlworld *w = *state;
	struct wire *x = cw_client(w, 3, 148), *y = cw_client(w, 4, 148);
	struct cw_ask *a, *b;

	a = ask(x, STREAM);
	b = ask(x, LITE);
	cw_cancel(a);				/* before it dies */
	(void)ask(y, STREAM);
	ctlworld_db(w, false);
	wire_close(y);				/* after */
	ctlworld_run(w);
	ctlworld_db(w, true);
	assert_int_equal(count_in(w, 2, M_DB_MAP_OPEN), 0);
	/* the lane goes on with what is left */
	assert_int_equal(count_in(w, 2, M_DB_MAP_LITE), 1);
	assert_false(cw_got(w, M_DB_MAP_LITE, 0)->u.db_map_lite.again);
	lite_ok(w, cw_got(w, M_DB_MAP_LITE, 0));
	assert_int_equal(b->status, 200);
	assert_int_equal(cw_count(w, M_DB_MAP_CLOSE), 0);
}

/* Clients that come and go while dbd is away leave nothing behind. */
static void
t_away_bounded(void **state)
{
	struct ctlworld *w = *state;
	struct wire *x;
	unsigned int i;

	ctlworld_db(w, false);
	for (i = 0; i < 300; i++) {
		x = cw_client(w, (uint8_t)i, 148);
		(void)ask(x, STREAM);
		(void)ask(x, LITE);
		wire_close(x);
	}
	ctlworld_db(w, true);
	assert_int_equal(count_in(w, 2, M_DB_MAP_OPEN), 0);
	assert_int_equal(count_in(w, 2, M_DB_MAP_LITE), 0);
}

static void
t_resume(void **state)
{
	struct ctlworld *w = *state;
	struct wire *x = cw_client(w, 3, 148), *y = cw_client(w, 4, 148),
	    *z = cw_client(w, 5, 148);
	struct cw_ask *a = open_stream(w, x, NODE), *b;
	const struct m_db_resume *r;
	size_t k;

	b = open_stream(w, y, NODE + 1);
	(void)ask(z, STREAM);
	z->stuck = true;
	map_ok(w, cw_got(w, M_DB_MAP_OPEN, 2), NODE + 2);
	ctlworld_db(w, false);
	cw_cancel(b);			/* nobody is told, nobody forgets */
	ctlworld_db(w, true);
	assert_int_equal(cw_count(w, M_DB_MAP_CLOSE), 0);
	assert_int_equal(count_in(w, 2, M_DB_HAVE), 1);
	assert_int_equal(cw_got(w, M_DB_HAVE, 0)->u.db_have.seq, 1);
	assert_int_equal(count_in(w, 2, M_DB_RESUME), 2);
	assert_true(place(w, 2, M_DB_HAVE) < place(w, 2, M_DB_RESUME));
	assert_true(place(w, 2, M_DB_RESUME) <
	    place(w, 2, M_DB_HELLO_DONE));
	for (k = 0; k < 2; k++) {
		r = &cw_got(w, M_DB_RESUME, k)->u.db_resume;
		assert_int_equal(r->tailnet, FEED_TAILNET);
		assert_true(r->node == NODE || r->node == NODE + 2);
		assert_int_equal(r->mapped, r->node == NODE);
		assert_int_equal(r->generation, r->stream);
	}
	assert_false(a->ended);
	/* the stream is usable: dbd may end it */
	stream_end(w, NODE, cw_got(w, M_DB_MAP_OPEN, 0)->u.db_map_open.stream,
	    2);
	assert_true(a->ended);
	assert_int_equal(a->error, 0);
}

static void
t_linger(void **state)
{
	struct ctlworld *w = *state;
	struct wire *x = cw_client(w, 3, 148);
	struct cw_ask *a = open_stream(w, x, NODE);

	ctlworld_pass(w, 130 * US_PER_S);
	assert_int_equal(cw_count(w, M_DB_LEAVE), 0);
	cw_cancel(a);
	ctlworld_pass(w, 61 * US_PER_S);
	assert_int_equal(cw_count(w, M_DB_LEAVE), 1);
	assert_int_equal(cw_got(w, M_DB_LEAVE, 0)->u.db_leave.tailnet,
	    FEED_TAILNET);
	a = ask(x, STREAM);
	map_ok(w, cw_got(w, M_DB_MAP_OPEN, 1), NODE);
	assert_int_equal(a->status, 404);
}

static void
t_shutdown(void **state)
{
	struct ctlworld *w = *state;
	struct wire *x = cw_client(w, 3, 148), *y = cw_client(w, 4, 148);
	struct cw_ask *a = open_stream(w, x, NODE), *b;

	b = ask(y, STREAM);
	y->stuck = true;
	map_ok(w, cw_got(w, M_DB_MAP_OPEN, 1), NODE + 1);
	control_shutdown(w->c);
	y->stuck = false;
	ctlworld_pass(w, 2 * US_PER_S);
	assert_true(a->ended);
	assert_int_equal(a->error, 0);
	assert_true(b->ended);
	assert_true(h2_client_goaways(x->client) != 0);
	assert_int_equal(control_streams(w->c), 0);
	assert_true(x->done);
}

static void
on_log(int level, const char *line, void *arg)
{
	(void)level;
	*(unsigned int *)arg +=
	    strstr(line, "too many endpoints key=[") != NULL;
}

/* More than 32 endpoints are cut, and the debug log tells whose. */
static void
t_endpoints(void **state)
{
	struct ctlworld *w = *state;
	struct wire *x = cw_client(w, 3, 148);
	unsigned int said = 0, i, n;
	struct buf b = { 0 };

	log_verbose(1);
	log_capture(on_log, &said);
	for (n = 32; n <= 33; n++) {
		buf_clear(&b);
		buf_str(&b, LITE ",\"Endpoints\":[");
		for (i = 0; i < n; i++)
			buf_printf(&b, "%s\"10.0.0.1:%u\"",
			    i == 0 ? "" : ",", 1000 + i);
		buf_str(&b, "]");
		buf_u8(&b, 0);
		(void)ask(x, (char *)b.p);
		assert_int_equal(cw_got(w, M_DB_MAP_LITE, n - 32)
		    ->u.db_map_lite.endpoints.count, 32);
		assert_int_equal(said, n - 32);
	}
	log_capture(NULL, NULL);
	log_verbose(0);
	buf_free(&b);
}

int
main(void)
{
#define T(t)	cmocka_unit_test_setup_teardown(t, setup, ctlworld_teardown)
	const struct CMUnitTest tests[] = {
		T(t_open), T(t_started_late), T(t_kinds), T(t_refused),
		T(t_bad_requests), T(t_end_before_map), T(t_stream_end),
		T(t_client_leaves), T(t_lane_order), T(t_lane),
		T(t_lane_full), T(t_lane_regs), T(t_lane_cancel),
		T(t_endpoints), T(t_again), T(t_again_gone),
		T(t_away_bounded), T(t_resume), T(t_linger), T(t_shutdown)
	};
#undef T

	return cmocka_run_group_tests(tests, NULL, NULL);
}
