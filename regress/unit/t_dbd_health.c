/* How the relays of the DERP map are, as dbd has them probed. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "dbd/health_int.h"
#include "regress/lib/dbdask.h"
#include "regress/lib/edgekit.h"

static struct dbdworld *w;
static struct dbdworker *k, *k2;
static struct edge *e;

static int
setup(void **state)
{
	const char *key;
	uint64_t alice;

	*state = w = ask_world(&k, &k2, &alice, &key);
	dw_conf(w)->relay_host = slice_str("own.example");
	dw_reconf(w);
	e = edge_new(w);
	edge_up(e, EDGE_OUT);
	return 0;
}

static int
teardown(void **state)
{
	edge_free(e);
	return ask_teardown(state);
}

/* A relay of the worker's list: its name and region from the host's. */
static void
node(struct dbdworker *who, const char *host, uint16_t region, bool stun)
{
	struct r_derp_node *n;
	struct msg m;

	msg_init(&m, M_DB_DERP_NODE);
	n = &m.u.db_derp_node.node;
	n->region = region;
	n->code = slice_str("c");
	n->node = slice_str(host);
	n->host = slice_str(host);
	n->port = 443;
	n->ip4 = n->ip6 = slice_str("");
	n->stun_only = stun;
	(void)dw_send(who, &m);
}

static void
nodes(struct dbdworker *who, uint16_t n)
{
	struct msg m;

	msg_init(&m, M_DB_DERP_NODES);
	m.u.db_derp_nodes.count = n;
	(void)dw_send(who, &m);
	edge_run(e);
}

/* Two relays of region 1, one of 2, one for STUN alone, and our own. */
static void
usual(struct dbdworker *who)
{
	node(who, "a.example", 1, false);
	node(who, "b.example", 1, false);
	node(who, "c.example", 2, false);
	node(who, "s.example", 1, true);
	node(who, "own.example", 999, false);
	nodes(who, 5);
}

/* The same, where what is down for so long is to be avoided. */
static void
usual_avoid(uint32_t after_s)
{
	dw_conf(w)->derp_avoid_s = after_s;
	dw_reconf(w);
	usual(k);
}

/* Relays h000.example, h001.example, ... of a region each. */
static void
many(uint16_t n)
{
	char host[32];
	uint16_t i;

	for (i = 0; i < n; i++) {
		(void)snprintf(host, sizeof(host), "h%03u.example", i);
		node(k, host, (uint16_t)(i + 1), false);
	}
	nodes(k, n);
}

static void
probed_ok(uint32_t id)
{
	struct msg m;

	msg_init(&m, M_OUT_PROBED);
	m.id = id;
	m.u.out_probed.ok = true;
	m.u.out_probed.us = 20000;
	edge_send(e, EDGE_OUT, &m);
}

/* Answers all probes that wait; those of the hosts in down with an error. */
static unsigned int
answer(const char *down, uint32_t us)
{
	const struct msg *q;
	char host[64];
	unsigned int n = 0;
	struct msg m;

	while ((q = edge_take(e, EDGE_OUT, M_OUT_PROBE)) != NULL) {
		assert_true(slice_copy(host, sizeof(host),
		    q->u.out_probe.host));
		msg_init(&m, M_OUT_PROBED);
		m.id = q->id;
		m.u.out_probed.ok = strstr(down, host) == NULL;
		m.u.out_probed.us = us;
		m.u.out_probed.text = slice_str(m.u.out_probed.ok ? "" :
		    "refused");
		edge_send(e, EDGE_OUT, &m);
		n++;
	}
	return n;
}

static unsigned int
seconds(unsigned int n, const char *down, uint32_t us)
{
	unsigned int i, sum = 0;

	for (i = 0; i < n; i++) {
		edge_pass(e, US_PER_S);
		sum += answer(down, us);
	}
	return sum;
}

static unsigned int
minutes(unsigned int n, const char *down, uint32_t us)
{
	return seconds(60 * n, down, us);
}

/* What headscalectl would show of a host. */
static struct m_ctl_derp
shown(const char *host)
{
	struct m_ctl_derp got = { 0 };
	struct buf b = { NULL, 0, 0 };
	struct msg m;
	struct rd r;
	uint32_t n;

	health_rows(dw_dbd(w), &b);
	rd_init(&r, b.p, b.n);
	while (rd_left(&r) != 0) {
		n = rd_u32(&r);
		assert_int_equal(msg_decode(&m, M_CTL_DERP, rd_take(&r, n),
		    n), 0);
		if (slice_eqs(m.u.ctl_derp.host, host)) {
			got = m.u.ctl_derp;
			got.host = slice_str(host);
			got.text = slice_str(got.text.n == 0 ? "" : "some");
		}
	}
	buf_free(&b);
	return got;
}

/* The regions that a worker was told last to avoid; "-": nothing yet. */
static const char *
avoided(struct dbdworker *who)
{
	static char text[64];
	struct msg_list it;
	struct r_derp_region r;
	unsigned int n = dw_count(who, M_DB_DERP_AVOID);

	if (n == 0)
		return "-";
	it = dw_got(who, M_DB_DERP_AVOID, n - 1)->u.db_derp_avoid.regions;
	text[0] = '\0';
	while (msg_list_next(&it, MR_DERP_REGION, &r))
		(void)snprintf(text + strlen(text), sizeof(text) -
		    strlen(text), "%u ", r.id);
	return text;
}

static void
t_probes(void **state)
{
	struct m_ctl_derp d;
	unsigned int n;

	(void)state;
	usual(k);
	assert_int_equal(shown("a.example").probed, 0);
	/* Nobody waits a minute for the first word on a relay. */
	assert_int_equal(seconds(4, "", 20000), 4);
	assert_true(shown("a.example").probed != 0);
	assert_true(shown("own.example").probed != 0);
	n = minutes(3, "", 20000);
	/* Each once a minute, but that for STUN alone; spread. */
	assert_in_range(n, 11, 12);
	d = shown("a.example");
	assert_true(d.ok);
	assert_int_equal(d.us, 20000);
	assert_int_equal(d.down_since, 0);
	assert_false(d.own);
	assert_true(shown("own.example").own);
	assert_int_equal(shown("s.example").probed, 0);
	assert_true(shown("s.example").stun_only);
	/* A mean, not the last. */
	(void)minutes(1, "", 40000);
	assert_int_equal(shown("a.example").us, 25000);
	assert_int_equal(dw_counts(w)->probes_failed, 0);
	assert_true(dw_counts(w)->probes >= 15);
}

static void
t_down(void **state)
{
	struct m_ctl_derp d;
	int64_t at;

	(void)state;
	usual(k);
	(void)minutes(1, "", 20000);
	at = dw_now(w);
	(void)minutes(2, "a.example", 20000);
	d = shown("a.example");
	assert_false(d.ok);
	assert_in_range(d.down_since, at, at + 61);
	assert_int_equal(d.text.n, 4);
	assert_true(d.probed > d.down_since);
	assert_false(d.avoid);
	assert_true(dw_counts(w)->probes_failed >= 2);
	(void)minutes(1, "", 20000);
	assert_int_equal(shown("a.example").down_since, 0);
	assert_int_equal(shown("a.example").text.n, 0);
}

/* The clock of the wall may jump: what counts is how long it was. */
static void
t_avoid(void **state)
{
	(void)state;
	usual_avoid(300);
	(void)minutes(2, "a.example", 20000);
	dw_forget(k);
	dw_forget(k2);
	(void)minutes(8, "a.example", 20000);
	assert_string_equal(avoided(k), "-");	/* b still answers */
	(void)minutes(4, "a.example b.example", 20000);
	fakeenv_set_wall(dw_env(w), dw_now(w) + 1000000);
	(void)minutes(1, "a.example b.example", 20000);
	assert_string_equal(avoided(k), "-");
	(void)minutes(3, "a.example b.example", 20000);
	assert_string_equal(avoided(k), "1 ");
	assert_string_equal(avoided(k2), "1 ");
	assert_true(shown("a.example").avoid);
	/* Who comes later hears of it. */
	dw_kill(k2);
	k2 = dw_worker(w, 2, 9);
	assert_string_equal(avoided(k2), "1 ");
	/* Once, and until one answers. */
	assert_int_equal(dw_count(k, M_DB_DERP_AVOID), 1);
	(void)minutes(1, "a.example", 20000);
	assert_string_equal(avoided(k), "");
	/* Our own never; and if nobody answers, it is us. */
	(void)minutes(20, "own.example", 20000);
	assert_string_equal(avoided(k), "");
	(void)minutes(20, "a.example b.example c.example", 20000);
	assert_string_equal(avoided(k), "");
}

static void
t_avoid_off(void **state)
{
	(void)state;
	usual_avoid(120);
	(void)minutes(5, "c.example", 20000);
	assert_string_equal(avoided(k), "2 ");
	/* What is avoided stays so while we are cut off. */
	(void)minutes(5, "a.example b.example c.example", 20000);
	assert_string_equal(avoided(k), "2 ");
	dw_conf(w)->derp_avoid_s = 0;
	dw_reconf(w);
	edge_run(e);
	assert_string_equal(avoided(k), "");
}

/* We were cut off for long: how long the others were down nobody knows. */
static void
t_uplink(void **state)
{
	(void)state;
	usual_avoid(300);
	(void)minutes(2, "", 20000);
	(void)minutes(20, "a.example b.example c.example", 20000);
	dw_forget(k);
	(void)minutes(2, "", 20000);
	assert_string_equal(avoided(k), "-");
	/* What was to avoid before stays so until it is up. */
	(void)minutes(8, "c.example", 20000);
	assert_string_equal(avoided(k), "2 ");
	(void)minutes(20, "a.example b.example c.example", 20000);
	dw_forget(k);
	(void)minutes(2, "c.example", 20000);
	assert_string_equal(avoided(k), "-");
	assert_true(shown("c.example").avoid);
	(void)minutes(1, "", 20000);
	assert_string_equal(avoided(k), "");
}

/* Less than a round: what has failed first is not taken for down alone. */
static void
t_uplink_short(void **state)
{
	unsigned int i;

	(void)state;
	usual_avoid(2);
	(void)minutes(2, "", 20000);
	dw_forget(k);
	for (i = 0; i < 5; i++) {
		(void)minutes(5, "a.example b.example c.example", 20000);
		(void)seconds(60 + 7 * i, "", 20000);
	}
	assert_string_equal(avoided(k), "-");
	(void)minutes(3, "c.example", 20000);
	assert_string_equal(avoided(k), "2 ");
}

/* A map that changes all the time: what is in it is asked all the same. */
static void
t_changing(void **state)
{
	unsigned int i, n = 0;
	char host[32];

	(void)state;
	usual(k);
	(void)seconds(10, "", 20000);
	for (i = 0; i < 36; i++) {
		node(k, "a.example", 1, false);
		node(k, "c.example", 2, false);
		(void)snprintf(host, sizeof(host), "s%u.example", i);
		node(k, host, 3, true);
		nodes(k, 3);
		n += seconds(5, "", 20000);
	}
	assert_in_range(n, 5, 7);
}

/* The lowest slot's list counts; another takes over when it dies. */
static void
t_lists(void **state)
{
	(void)state;
	node(k2, "x.example", 7, false);
	nodes(k2, 1);
	assert_int_equal(shown("x.example").region, 7);
	usual(k);
	assert_int_equal(shown("x.example").region, 0);
	(void)minutes(1, "", 20000);
	/* A list that is not whole changes nothing. */
	node(k, "y.example", 8, false);
	edge_run(e);
	assert_int_equal(shown("y.example").region, 0);
	/* What stays in it is not asked anew. */
	node(k, "c.example", 2, false);
	nodes(k, 2);
	assert_int_equal(shown("y.example").region, 8);
	assert_true(shown("c.example").ok);
	assert_int_equal(shown("a.example").region, 0);
	dw_kill(k);
	edge_run(e);
	assert_int_equal(shown("x.example").region, 7);
	assert_int_equal(shown("y.example").region, 0);
	dw_kill(k2);
	edge_run(e);
	assert_int_equal(shown("x.example").region, 7);
	nodes(k2 = dw_worker(w, 2, 9), 0);
	assert_int_equal(shown("x.example").region, 0);
}

static void
t_bad_lists(void **state)
{
	int i;

	(void)state;
	many(1000);
	assert_true(dw_is_up(k));
	for (i = 0; i < 1001; i++)
		node(k, "a.example", 1, false);
	edge_run(e);
	assert_true(dw_blamed(k, LINK_OVERFLOW));
	node(k2, "a.example", 1, false);
	nodes(k2, 2);
	assert_true(dw_blamed(k2, LINK_BAD_BODY));
}

/* A thousand of which none answers: never more than the credit. */
static void
t_many(void **state)
{
	unsigned int n = 0;

	(void)state;
	many(1000);
	edge_pass(e, 30 * US_PER_S);
	while (edge_take(e, EDGE_OUT, M_OUT_PROBE) != NULL)
		n++;
	assert_in_range(n, 20, 64);
	assert_false(edge_is_cut(e, EDGE_OUT));
}

/* Of many that hang each has its turn. */
static void
t_turns(void **state)
{
	const struct msg *q;
	unsigned int i, last = 0;
	uint32_t id[48];
	char host[32];
	struct msg m;

	(void)state;
	many(100);
	assert_in_range(seconds(70, "", 20000), 100, 120);
	edge_pass(e, 40 * US_PER_S);
	for (i = 0; i < 48; i++) {
		q = edge_take(e, EDGE_OUT, M_OUT_PROBE);
		assert_non_null(q);
		id[i] = q->id;
		last = (unsigned int)(q->u.out_probe.host.p[1] - '0') * 100 +
		    (unsigned int)(q->u.out_probe.host.p[2] - '0') * 10 +
		    (unsigned int)(q->u.out_probe.host.p[3] - '0');
	}
	assert_null(edge_take(e, EDGE_OUT, M_OUT_PROBE));
	msg_init(&m, M_OUT_PROBED);
	m.u.out_probed.text = slice_str("timed out");
	for (i = 0; i < 48; i++) {
		m.id = id[i];
		edge_send(e, EDGE_OUT, &m);
	}
	edge_pass(e, US_PER_S);
	q = edge_take(e, EDGE_OUT, M_OUT_PROBE);
	assert_non_null(q);
	(void)snprintf(host, sizeof(host), "h%03u.example", (last + 1) % 100);
	assert_true(slice_eqs(q->u.out_probe.host, host));
}

/* One that fetch dies of: the others are asked all the same. */
static void
t_killer(void **state)
{
	const struct msg *q;
	unsigned int i, deaths = 0;

	(void)state;
	usual(k);
	for (i = 0; i < 240; i++) {
		edge_pass(e, US_PER_S);
		while ((q = edge_take(e, EDGE_OUT, M_OUT_PROBE)) != NULL) {
			if (slice_eqs(q->u.out_probe.host, "a.example")) {
				edge_down(e, EDGE_OUT);
				edge_up(e, EDGE_OUT);
				deaths++;
			} else
				probed_ok(q->id);
		}
	}
	assert_in_range(deaths, 3, 5);
	assert_true(shown("c.example").probed > dw_now(w) - 70);
}

/* Fetch dies with questions open: that says nothing of the relays. */
static void
t_fetch_dies(void **state)
{
	(void)state;
	usual(k);
	(void)minutes(1, "", 20000);
	edge_pass(e, 20 * US_PER_S);
	edge_down(e, EDGE_OUT);
	assert_true(shown("a.example").ok);
	edge_pass(e, 300 * US_PER_S);
	assert_true(shown("a.example").ok);
	while (edge_take(e, EDGE_OUT, M_OUT_PROBE) != NULL)
		;
	edge_up(e, EDGE_OUT);
	assert_in_range(minutes(1, "", 20000), 3, 5);
}

#define T(t)	cmocka_unit_test_setup_teardown(t, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(t_probes), T(t_down), T(t_avoid), T(t_avoid_off),
		T(t_uplink), T(t_uplink_short), T(t_turns), T(t_killer),
		T(t_changing), T(t_lists), T(t_bad_lists), T(t_many),
		T(t_fetch_dies)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
