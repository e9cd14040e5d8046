/*
 * Traps of protocol.md 10 in registration, sessions and overload.  The table
 * is in t_traps.c.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/json_read.h"
#include "regress/lib/trapkit.h"

static struct dev *
joined(struct server *s, const char *name)
{
	struct dev *d = dev_new(s, name, server_key(s, true, false));

	assert_true(dev_join(d));
	return d;
}

static bool
told(const struct ask *a, const char *name)
{
	const struct jval *v;
	struct jdoc *doc;
	bool b = false;

	doc = json_read(a->body.p, a->body.n, 1 << 20, NULL, NULL);
	assert_non_null(doc);
	v = jval_get(jdoc_root(doc), name);
	assert_true(jval_bool(v, &b));
	jdoc_free(doc, false);
	return b;
}

static size_t
nodes(struct server *s)
{
	struct truth *t;
	size_t n;

	t = admin_nodes(server_admin(s), &n);
	free(t);
	return n;
}

static bool
online(struct server *s, const struct dev *d)
{
	struct truth t;

	assert_true(server_node(s, d->node_key, &t));
	return t.online;
}

/* A lite update that its client took back is not applied behind others. */
static void
trap_38(void **state)
{
	struct server *s = *state;
	struct dev *d = joined(s, "one");
	struct buf b = { 0 };
	struct ask *a[3];
	struct truth t;
	unsigned int i;
	char port[40];

	/* in one flight: the first goes to dbd, the others wait behind it */
	for (i = 0; i < 3; i++) {
		snprintf(port, sizeof(port), "\"203.0.113.1:%u\"", i + 1);
		d->endpoints = port;
		buf_clear(&b);
		dev_map_body(d, &b, false, true);
		a[i] = ask_send(d->tcp, "POST", "/machine/map", NULL, b.p,
		    b.n);
	}
	h2_client_cancel(d->tcp->client, a[2]->id);
	server_pass(s, 5 * US_PER_S);
	assert_int_equal(a[0]->status, 200);
	assert_int_equal(a[1]->status, 200);
	assert_int_equal(a[2]->status, 0);
	assert_true(server_node(s, d->node_key, &t));
	assert_string_equal(t.endpoints, "203.0.113.1:2");
	d->endpoints = NULL;
	buf_free(&b);
}

/* An old connection that ends late does not take the new one's node off. */
static void
trap_39(void **state)
{
	struct server *s = *state;
	struct dev *a = joined(s, "one"), *d = joined(s, "two");
	struct tcp *old;
	struct ask *stream;
	unsigned int i;
	size_t n;

	for (i = 0; i < 4; i++) {
		server_pass(s, 2 * US_PER_S);
		n = a->stream->nmsg;
		old = d->tcp;
		stream = d->stream;
		old->stuck = i % 2 == 1;	/* the network is gone */
		d->tcp = NULL;
		d->slot = 1 + i % HOST_WORKERS;
		assert_true(dev_stream(d));
		if (i % 2 == 0) {
			server_pass(s, 100 * US_PER_MS);
			assert_true(stream->ended);
		}
		server_pass(s, 5 * US_PER_S);
		tcp_close(old);
		server_pass(s, 30 * US_PER_S);
		assert_true(online(s, d));
		assert_false(d->stream->ended);
		/* and peers have heard of nothing */
		assert_int_equal(ask_count(a->stream, n, "Online\":false"),
		    0);
	}
}

/* The old stream's end crosses the answer to the new one on the links. */
static void
trap_39_crossing(void **state)
{
	struct server_conf conf = { .link_us = 20000 };
	struct buf b = { 0 };
	struct dev *a, *d;
	struct server *s;
	struct ask *old;
	unsigned int i;
	size_t n;

	(void)state;
	s = server_new(&conf);
	a = joined(s, "one");
	d = joined(s, "two");
	server_pass(s, 5 * US_PER_S);
	n = a->stream->nmsg;
	dev_map_body(d, &b, true, false);
	for (i = 0; i < 5; i++) {
		old = d->stream;
		d->stream = ask_send(d->tcp, "POST", "/machine/map", NULL,
		    b.p, b.n);
		ask_map(d->stream, d->id);
		server_pass(s, 10000);
		assert_false(old->ended);
		h2_client_cancel(d->tcp->client, old->id);
		tcp_kick(d->tcp);
		server_pass(s, 15 * US_PER_S);
		assert_int_equal(d->stream->status, 200);
		assert_false(d->stream->ended);
		assert_true(online(s, d));
	}
	assert_int_equal(ask_count(a->stream, n, "Online\":false"), 0);
	buf_free(&b);
	assert_string_equal(server_fault(s), "");
	assert_int_equal(server_free(s), 0);
}

/* Registered is registered: no 404 on any connection, any worker. */
static void
trap_40(void **state)
{
	struct server *s = *state;
	struct buf reg = { 0 }, map = { 0 };
	struct dev *d;
	struct ask *a, *b, *c;
	struct tcp *other;
	unsigned int i;
	char name[20];

	for (i = 0; i < 6; i++) {
		snprintf(name, sizeof(name), "n%u", i);
		d = dev_new(s, name, server_key(s, true, false));
		d->slot = 1;
		other = tcp_open(s, 2, d->machine, d->capver);
		assert_non_null(other);
		buf_clear(&reg);
		buf_clear(&map);
		dev_reg_body(d, &reg);
		dev_map_body(d, &map, true, false);
		/* the same connection: in one flight */
		a = ask_send(dev_tcp(d), "POST", "/machine/register", NULL,
		    reg.p, reg.n);
		b = ask_send(d->tcp, "POST", "/machine/map", NULL, map.p,
		    map.n);
		while (!a->ended)
			server_pass(s, 10);
		assert_int_equal(a->status, 200);
		/* another one at the other worker, once it was told */
		buf_clear(&map);
		dev_map_body(d, &map, false, true);
		c = ask_send(other, "POST", "/machine/map", NULL, map.p,
		    map.n);
		server_pass(s, 2 * US_PER_S);
		assert_int_equal(b->status, 200);
		assert_int_equal(c->status, 200);
	}
	buf_free(&reg);
	buf_free(&map);
}

/* A logout carries the auth key, too: it is a logout. */
static void
trap_41(void **state)
{
	struct server *s = *state;
	struct dev *a = joined(s, "one"), *d = joined(s, "two");
	struct truth t;
	struct ask *q;

	d->expiry = "1970-01-01T00:02:03Z";
	q = dev_register(d);
	assert_int_equal(q->status, 200);
	assert_string_equal(dev_refusal(q), "");
	assert_false(told(q, "MachineAuthorized"));
	assert_true(server_node(s, d->node_key, &t));
	assert_true(t.expiry != 0 && t.expiry <= server_wall(s));
	assert_non_null(ask_until(a->stream, 0, "KeyExpiry", US_PER_S));
	/* an ephemeral node goes at once */
	d = dev_new(s, "three", server_key(s, true, true));
	assert_true(dev_join(d));
	d->expiry = "1970-01-01T00:02:03Z";
	q = dev_register(d);
	assert_int_equal(q->status, 200);
	assert_false(server_node(s, d->node_key, &t));
}

/* OldNodeKey stays for ever after a rotation and means nothing then. */
static void
trap_42(void **state)
{
	struct server *s = *state;
	struct dev *a = joined(s, "one"), *d = joined(s, "two");
	uint64_t id = d->id;
	unsigned int i;
	size_t n;

	dev_rotate(d);
	assert_true(dev_login(d));
	assert_int_equal(d->id, id);
	assert_true(dev_join(d));
	assert_int_equal(nodes(s), 2);
	server_pass(s, 12 * US_PER_S);
	n = a->stream->nmsg;
	for (i = 0; i < 5; i++) {
		dev_drop(d);
		assert_true(dev_join(d));	/* K2, and K1 as the old */
		assert_int_equal(d->id, id);
	}
	server_pass(s, 12 * US_PER_S);
	assert_int_equal(nodes(s), 2);
	assert_int_equal(ask_count(a->stream, n, "PeersRemoved"), 0);
	assert_int_equal(ask_count(a->stream, n, "\"PeersChanged\""), 0);
	assert_true(online(s, d));
}

/* NodeKeyExpired is never the answer to a fresh key. */
static void
trap_43(void **state)
{
	struct server *s = *state;
	struct dev *d = joined(s, "one");
	struct ask *q;
	char auth[256];

	strlcpy(auth, d->auth, sizeof(auth));
	d->expiry = "1970-01-01T00:02:03Z";
	(void)dev_register(d);
	d->expiry = "0001-01-01T00:00:00Z";
	d->auth[0] = '\0';
	/* known and expired, no key: make a new one */
	q = dev_register(d);
	assert_true(told(q, "NodeKeyExpired"));
	/* which is refused in words, not told to be expired again */
	dev_rotate(d);
	q = dev_register(d);
	assert_int_equal(q->status, 200);
	assert_string_not_equal(dev_refusal(q), "");
	/* a fresh key and an auth key: in */
	strlcpy(d->auth, auth, sizeof(d->auth));
	q = dev_register(d);
	assert_string_equal(dev_refusal(q), "");
	assert_false(told(q, "NodeKeyExpired"));
	assert_true(told(q, "MachineAuthorized"));
	assert_int_equal(nodes(s), 1);
	/* a stranger */
	d = dev_new(s, "two", NULL);
	q = dev_register(d);
	assert_int_equal(q->status, 200);
	assert_string_not_equal(dev_refusal(q), "");
}

/*
 * Every refusal is HTTP 200 with a text, and with no AuthURL: not even if the
 * client comes with the Followup of another server (traps 44 to 46).
 */
static void
trap_47(void **state)
{
	struct server *s = *state;
	struct dev *owner = joined(s, "one"), *d;
	const char *single;
	struct buf b = { 0 };
	struct ask *q;
	unsigned int i;

	single = server_key(s, false, false);
	d = dev_new(s, "first", single);
	assert_true(dev_login(d));
	for (i = 0; i < 8; i++) {
		d = dev_new(s, "other", NULL);
		buf_clear(&b);
		switch (i) {
		case 0:			/* used up */
			strlcpy(d->auth, single, sizeof(d->auth));
			break;
		case 1:
			strlcpy(d->auth, "nonsense", sizeof(d->auth));
			break;
		case 2:			/* another machine's node key */
			memcpy(d->node_key, owner->node_key,
			    sizeof(d->node_key));
			break;
		case 3:			/* tags that the key does not give */
			strlcpy(d->auth, owner->auth, sizeof(d->auth));
			d->extra = "\"RequestTags\":[\"tag:prod\"]";
			break;
		case 4:
			d->capver = 112;
			break;
		case 5:			/* no key, no login */
			break;
		case 6:			/* longer than any key */
			memset(d->auth, 'k', sizeof(d->auth) - 1);
			break;
		default:
			break;
		}
		dev_reg_body(d, &b);
		if (i == 6)
			body_change(&b, "\"AuthKey\":\"", "\"AuthKey\":\"kkkk"
			    "kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk");
		if (i == 7)
			body_change(&b, "\"Followup\":\"\"",
			    "\"Followup\":\"https://dead.example/a/1\"");
		q = ask_send(dev_tcp(d), "POST", "/machine/register", NULL,
		    b.p, b.n);
		assert_true(ask_wait(q, 5 * US_PER_S));
		assert_int_equal(q->status, 200);
		assert_string_not_equal(dev_refusal(q), "");
		assert_null(strstr(dev_refusal(q), "nonsense:"));
		assert_null(strstr(ask_text(q), "\"AuthURL\":\"h"));
		assert_null(strstr(ask_text(q), "dead.example"));
		assert_false(told(q, "MachineAuthorized"));
	}
	assert_int_equal(nodes(s), 2);
	buf_free(&b);
}

/*
 * No status makes a client log in again, an expired key does: a node that is
 * logged out or deleted is told so on its stream, before that ends.
 */
static void
trap_48(void **state)
{
	struct server *s = *state;
	struct dev *a = joined(s, "one"), *d = joined(s, "two"), *e;
	const struct msg *r;
	struct buf b = { 0 };
	const char *msg;
	struct msg m;
	size_t n;

	e = dev_new(s, "three", d->auth);
	assert_true(dev_join(e));
	n = e->stream->nmsg;
	assert_true(server_delete(s, e->id));
	server_pass(s, US_PER_S);
	assert_true(e->stream->ended);
	assert_int_equal(e->stream->error, 0);
	msg = e->stream->msg[e->stream->nmsg - 1];
	assert_true(e->stream->nmsg > n);
	assert_non_null(strstr(msg, "{\"Node\":{"));
	assert_non_null(strstr(msg, "\"KeyExpiry\":\"1970"));
	n = d->stream->nmsg;
	msg_init(&m, M_CTL_NODE_LOGOUT);
	m.u.ctl_node_logout.id = d->id;
	r = admin_ask(server_admin(s), &m);
	assert_true(r != NULL && r->type == M_CTL_OK);
	msg = ask_until(d->stream, n, "\"Node\":", US_PER_S);
	assert_non_null(msg);
	assert_non_null(strstr(msg, "\"KeyExpiry\":\"20"));
	assert_false(d->stream->ended);		/* it polls on (4.6) */
	assert_true(server_delete(s, d->id));
	server_pass(s, US_PER_S);
	assert_true(d->stream->ended);
	assert_int_equal(d->stream->error, 0);
	dev_map_body(d, &b, true, false);
	assert_int_equal(ask_status(dev_tcp(d), "POST", "/machine/map", b.p,
	    b.n), 404);
	assert_false(a->stream->ended);
	buf_free(&b);
}

/* No two nodes share a key or an address. */
static void
trap_65(void **state)
{
	struct server *s = *state;
	struct dev *crowd[60], *thief;
	struct truth *t;
	struct ask *q;
	size_t i, k, n;

	trap_crowd(s, 60, false, crowd);
	thief = dev_new(s, "thief", crowd[3]->auth);
	memcpy(thief->node_key, crowd[3]->node_key, sizeof(thief->node_key));
	q = dev_register(thief);
	assert_non_null(strstr(dev_refusal(q), "in use"));
	/* rotation to a key that another machine has */
	memcpy(thief->old_key, crowd[4]->node_key, sizeof(thief->old_key));
	q = dev_register(thief);
	assert_non_null(strstr(dev_refusal(q), "in use"));
	t = admin_nodes(server_admin(s), &n);
	assert_int_equal(n, 60);
	for (i = 0; i < n; i++)
		for (k = i + 1; k < n; k++) {
			assert_string_not_equal(t[i].key, t[k].key);
			assert_string_not_equal(t[i].addr, t[k].addr);
			assert_string_not_equal(t[i].name, t[k].name);
		}
	free(t);
}

/* Seconds of Retry-After, checked for its form. */
static unsigned int
seconds(const struct ask *a)
{
	const char *p = a->retry_after;
	unsigned int n = 0;

	assert_true(*p >= '1' && *p <= '9');
	for (; *p != '\0'; p++) {
		assert_true(*p >= '0' && *p <= '9');
		n = n * 10 + (unsigned int)(*p - '0');
	}
	return n;
}

/*
 * A storm against a server that takes nothing on: streams and lite updates of
 * clients that understand it are sent away, each for a time of its own, with
 * an end to the answer; registrations go on.  Then all come in on the same
 * connections, and are online.
 */
static void
trap_72_to_76(void **state)
{
	struct server_conf conf = { .overload_ms = 1, .link_us = 200000 };
	struct dev *crowd[40];
	struct server *s;
	struct buf b = { 0 };
	struct ask *a[40], *reg;
	unsigned int i, sec, away = 0, least = 999, most = 0;
	uint64_t due[40];
	const char *key;

	(void)state;
	s = server_new(&conf);
	key = server_key(s, true, false);
	for (i = 0; i < 40; i++) {
		crowd[i] = dev_new(s, "n", key);
		crowd[i]->slot = 1;
		assert_true(dev_login(crowd[i]));
	}
	for (i = 0; i < 40; i++) {
		buf_clear(&b);
		dev_map_body(crowd[i], &b, true, false);
		a[i] = ask_send(crowd[i]->tcp, "POST", "/machine/map", NULL,
		    b.p, b.n);
	}
	buf_clear(&b);
	dev_reg_body(crowd[0], &b);
	reg = ask_send(crowd[39]->tcp, "POST", "/machine/register", NULL, b.p,
	    b.n);
	server_pass(s, 3 * US_PER_S);
	assert_int_equal(reg->status, 200);
	for (i = 0; i < 40; i++) {
		due[i] = server_now(s);
		if (a[i]->status == 200)
			continue;
		away++;
		assert_int_equal(a[i]->status, 503);
		assert_true(a[i]->ended && a[i]->error == 0);
		sec = seconds(a[i]);
		assert_in_range(sec, 1, 300);
		least = sec < least ? sec : least;
		most = sec > most ? sec : most;
		due[i] = a[i]->end_at + sec * US_PER_S;
	}
	assert_in_range(away, 10, 39);
	assert_true(least < most);
	for (i = 0; i < 40; i++) {
		if (a[i]->status == 200)
			continue;
		if (server_now(s) < due[i])
			server_pass(s, due[i] - server_now(s));
		buf_clear(&b);
		dev_map_body(crowd[i], &b, true, false);
		assert_false(crowd[i]->tcp->closed);
		a[i] = ask_send(crowd[i]->tcp, "POST", "/machine/map", NULL,
		    b.p, b.n);
		server_pass(s, 2 * US_PER_S);
		assert_int_equal(a[i]->status, 200);
	}
	server_pass(s, 5 * US_PER_S);
	for (i = 0; i < 40; i++)
		assert_true(online(s, crowd[i]));
	buf_free(&b);
	assert_int_equal(server_free(s), 0);
}

int
main(void)
{
#define T(t)	cmocka_unit_test_setup_teardown(t, trap_setup, trap_teardown)
	const struct CMUnitTest tests[] = {
		T(trap_38), T(trap_39), T(trap_40), T(trap_41), T(trap_42),
		T(trap_43), T(trap_47), T(trap_48), T(trap_65),
		cmocka_unit_test(trap_39_crossing),
		cmocka_unit_test(trap_72_to_76)
	};
#undef T

	return cmocka_run_group_tests(tests, NULL, NULL);
}
