/*
 * Bad input to a whole server, inside Noise: HTTP/2, JSON, register and map.
 * Clear errors or a closed connection, nobody else notices, nothing is lost.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "regress/lib/trapkit.h"

static void
unmoved(struct witness *w)
{
	const char *why = witness_check(w);

	assert_string_equal(why == NULL ? "" : why, "");
}

static struct rawc *
session(struct server *s)
{
	struct dev *d = dev_new(s, "bad", NULL);
	struct rawc *c = rawc_new(s, d->machine, 148);

	assert_true(rawc_open(c));
	return c;
}

static bool
came(struct rawc *c, unsigned int type, uint32_t stream)
{
	struct h2_frame f;

	rawc_rewind(c);
	while (rawc_next(c, &f))
		if (f.type == type && f.stream == stream)
			return true;
	return false;
}

/* Frames where they must not be, or broken: a GOAWAY, and the end. */
static void
t_out_of_state(void **state)
{
	static const struct {
		unsigned int	 type, flags;
		uint32_t	 stream;
		const char	*p;
		size_t		 n;
	} v[] = {
		{ H2_DATA, 0, 1, "x", 1 },		/* idle stream */
		{ H2_DATA, 0, 0, "x", 1 },
		{ H2_HEADERS, 5, 0, "\x82", 1 },
		{ H2_HEADERS, 5, 2, "\x82", 1 },	/* ours to open */
		{ H2_HEADERS, 5, 1, "\xff\xff\xff\xff\xff\xff", 6 },
		{ H2_HEADERS, 5, 1, "\x3f\xff\xff\xff\xff", 5 },
		{ 2, 0, 1, "abc", 3 },			/* PRIORITY */
		{ H2_RST_STREAM, 0, 0, "\0\0\0\x8", 4 },
		{ H2_RST_STREAM, 0, 1, "\0\0\0\x8", 4 },
		{ H2_RST_STREAM, 0, 1, "\0", 1 },
		{ H2_SETTINGS, 0, 1, "", 0 },
		{ H2_SETTINGS, 0, 0, "abc", 3 },
		{ H2_SETTINGS, H2_F_ACK, 0, "\0\3\0\0\0\1", 6 },
		{ H2_SETTINGS, 0, 0, "\0\4\xff\xff\xff\xff", 6 },
		{ H2_SETTINGS, 0, 0, "\0\5\0\0\0\1", 6 },
		{ H2_SETTINGS, 0, 0, "\0\2\0\0\0\2", 6 },
		{ H2_PUSH_PROMISE, 4, 1, "\0\0\0\2\x82", 5 },
		{ H2_PING, 0, 1, "12345678", 8 },
		{ H2_PING, 0, 0, "1234567", 7 },
		{ H2_WINDOW, 0, 0, "\0\0\0\0", 4 },
		{ H2_WINDOW, 0, 0, "\x7f\xff\xff\xff", 4 },
		{ H2_WINDOW, 0, 0, "\0\0\1", 3 },
		{ H2_WINDOW, 0, 1, "\0\0\0\1", 4 },
		{ H2_CONTINUATION, 4, 1, "\x82", 1 }
	};
	struct server *s = *state;
	struct witness w;
	struct rawc *c;
	uint8_t junk[3000];
	size_t i;

	witness_new(&w, s);
	for (i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		c = session(s);
		rawc_frame(c, v[i].type, v[i].flags, v[i].stream, v[i].p,
		    v[i].n);
		rawc_run(c, 3 * US_PER_S);
		assert_true(c->tcp->closed);
		assert_true(came(c, H2_GOAWAY, 0));
		assert_string_equal(c->why, "");
		rawc_free(c);
	}
	/* a frame beyond 16,384 octets */
	c = session(s);
	rawc_record(c, "\0\x40\1\0\1\0\0\0\1", 9);
	rawc_run(c, 3 * US_PER_S);
	assert_true(c->tcp->closed);
	rawc_free(c);
	/* HTTP/1 in Noise, noise in Noise */
	for (i = 0; i < 20; i++) {
		struct dev *d = dev_new(s, "bad", NULL);

		c = rawc_new(s, d->machine, 148);
		rawc_hello(c, "");
		rawc_run(c, 50 * US_PER_MS);
		env_random(server_env(s), junk, sizeof(junk));
		if (i == 0)
			rawc_record(c, "GET / HTTP/1.1\r\n\r\n", 18);
		else
			rawc_record(c, junk, sizeof(junk));
		rawc_run(c, 3 * US_PER_S);
		assert_true(c->tcp->closed);
		rawc_free(c);
		/* after the preface */
		c = session(s);
		junk[3] = 99;		/* at first an unknown frame */
		junk[0] = junk[1] = 0;
		rawc_record(c, junk, sizeof(junk));
		rawc_run(c, 3 * US_PER_S);
		rawc_free(c);
	}
	unmoved(&w);
}

static void
fields(struct buf *b, const char *path)
{
	rawc_field(b, ":method", "POST");
	rawc_field(b, ":scheme", "https");
	rawc_field(b, ":authority", "unused");
	rawc_field(b, ":path", path);
}

/* Too much of what is allowed in itself. */
static void
t_floods(void **state)
{
	struct server *s = *state;
	struct witness w;
	struct buf b = { 0 };
	struct rawc *c;
	unsigned int i, kind;
	size_t before = 0, after;

	witness_new(&w, s);
	fields(&b, "/machine/map");
	for (kind = 0; kind < 6; kind++) {
		c = session(s);
		before = memory_used();
		for (i = 0; i < 20000 && !c->tcp->closed; i++) {
			switch (kind) {
			case 0:			/* rapid reset */
				rawc_frame(c, H2_HEADERS, 4, 1 + 2 * i, b.p,
				    b.n);
				rawc_frame(c, H2_RST_STREAM, 0, 1 + 2 * i,
				    "\0\0\0\x8", 4);
				break;
			case 1:			/* CONTINUATION */
				rawc_frame(c, i == 0 ? H2_HEADERS :
				    H2_CONTINUATION, 0, 1, "\0\1a\1b", 5);
				break;
			case 2:
				rawc_frame(c, H2_PING, 0, 0, "12345678", 8);
				c->tcp->stuck = true;
				break;
			case 3:
				rawc_frame(c, H2_SETTINGS, 0, 0, "", 0);
				c->tcp->stuck = true;
				break;
			case 4:			/* streams that go nowhere */
				rawc_frame(c, H2_HEADERS, 4, 1 + 2 * i, b.p,
				    b.n);
				break;
			default:		/* refused ones */
				rawc_frame(c, H2_HEADERS, 5, 1 + 2 * i,
				    b.p, b.n);
				c->tcp->stuck = true;
				break;
			}
			if (i % 50 == 0)
				server_pass(s, US_PER_MS);
		}
		server_pass(s, 5 * US_PER_S);
		after = memory_used();
		if (before != 0)
			assert_true(after < before + (8u << 20) ||
			    c->tcp->to.n > 1000);
		if (kind < 2)
			assert_true(c->tcp->closed);
		c->tcp->stuck = false;
		unmoved(&w);
		tcp_close(c->tcp);
		rawc_free(c);
	}
	buf_free(&b);
}

/* Headers: too large is 431, and the session goes on. */
static void
t_headers(void **state)
{
	struct server *s = *state;
	struct witness w;
	struct rawc *c;
	struct buf b = { 0 }, got = { 0 };
	char value[4000];
	unsigned int i;

	witness_new(&w, s);
	c = session(s);
	memset(value, 'v', sizeof(value) - 1);
	value[sizeof(value) - 1] = '\0';
	fields(&b, "/machine/map");
	for (i = 0; i < 3; i++)
		rawc_field(&b, "x-large", value);
	rawc_frame(c, H2_HEADERS, 1, 1, b.p, b.n);
	buf_clear(&b);
	for (i = 0; i < 3; i++)
		rawc_field(&b, "x-large", value);
	rawc_frame(c, H2_CONTINUATION, 4, 1, b.p, b.n);
	rawc_run(c, US_PER_S);
	assert_true(rawc_data(c, 1, &got));
	assert_non_null(memmem(got.p, got.n, "too large", 9));
	assert_false(c->tcp->closed);
	/* names that must not be, a path that is none: this stream alone */
	for (i = 0; i < 6; i++) {
		buf_clear(&b);
		rawc_field(&b, ":method", i == 0 ? "P OST" : "POST");
		rawc_field(&b, ":scheme", "https");
		if (i != 1)
			rawc_field(&b, ":authority", "unused");
		rawc_field(&b, ":path", i == 2 ? "" : i == 3 ? "no-slash" :
		    "/machine/map");
		if (i == 4)
			rawc_field(&b, "Upper", "x");
		if (i == 5)
			rawc_field(&b, "connection", "close");
		rawc_frame(c, H2_HEADERS, 5, 3 + 2 * i, b.p, b.n);
		rawc_run(c, US_PER_S);
		assert_true(came(c, H2_RST_STREAM, 3 + 2 * i) ||
		    came(c, H2_HEADERS, 3 + 2 * i));
		assert_false(c->tcp->closed);
	}
	buf_clear(&got);
	rawc_request(c, 99, "GET", "/machine/whoami", "x", "with a body");
	rawc_run(c, US_PER_S);
	assert_true(rawc_data(c, 99, &got));
	assert_string_equal(c->why, "");
	buf_free(&b);
	buf_free(&got);
	rawc_free(c);
	unmoved(&w);
}

/* Bodies: too large, never finished, by the hundred. */
static void
t_bodies(void **state)
{
	struct server *s = *state;
	struct witness w;
	struct dev *d = dev_new(s, "big", NULL);
	struct tcp *t;
	struct ask *a[200];
	struct buf b = { 0 };
	unsigned int i;
	size_t before;

	witness_new(&w, s);
	t = tcp_open(s, 0, d->machine, 148);
	assert_non_null(t);
	for (i = 0; i < (1 << 20) + 1; i++)
		buf_u8(&b, ' ');
	assert_int_equal(ask_status(t, "POST", "/machine/map", b.p, b.n),
	    413);
	assert_false(t->closed);
	assert_int_equal(ask_status(t, "POST", "/machine/map", b.p, b.n - 1),
	    400);
	before = memory_used();
	for (i = 0; i < 200; i++)
		a[i] = ask_send(t, "POST", "/machine/register", NULL, b.p,
		    b.n - 1);
	server_pass(s, 20 * US_PER_S);
	for (i = 0; i < 200; i++)
		assert_true(a[i]->ended);
	if (before != 0)
		assert_true(memory_used() < before + (16u << 20));
	buf_free(&b);
	unmoved(&w);
}

/* What is no request: 400 with a text, on a session that lives on. */
static void
t_json(void **state)
{
	static const char *const bad[] = { "", "{", "[]", "null", "\"x\"", "7",
	    "{}", "{\"Version\":148}", "{\"Version\":\"148\"}",
	    "{\"Version\":148,\"NodeKey\":7}", "\xff\xfe{}", "{\"a\":\"\xff\"}",
	    "{\"Version\":148,\"NodeKey\":\"nodekey:\"}",
	    "{\"Version\":1e400}", "{\"\\ud800\":1}", "{\"Version\":148}}",
	    "{\"Version\":148,\"NodeKey\":{\"a\":[{}]}}" };
	static const char *const paths[] = { "/machine/map",
	    "/machine/register" };
	struct server *s = *state;
	struct witness w;
	struct dev *d = dev_new(s, "bad", NULL);
	struct buf deep = { 0 };
	struct ask *a;
	struct tcp *t;
	size_t i, k;

	witness_new(&w, s);
	t = tcp_open(s, 0, d->machine, 148);
	for (k = 0; k < 2; k++) {
		for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
			a = ask_send(t, "POST", paths[k], NULL, bad[i],
			    strlen(bad[i]));
			assert_true(ask_wait(a, 5 * US_PER_S));
			assert_int_equal(a->status, 400);
			assert_in_range(a->body.n, 2, 200);
		}
		for (i = 1000; i <= 400000; i *= 20) {
			buf_clear(&deep);
			while (deep.n < i)
				buf_str(&deep, k == 0 ? "[" : "{\"a\":");
			assert_int_equal(ask_status(t, "POST", paths[k],
			    deep.p, deep.n), 400);
		}
	}
	assert_false(t->closed);
	buf_free(&deep);
	unmoved(&w);
}

/* Requests of the right form that say too much, or wrong things. */
static void
t_excess(void **state)
{
	struct server *s = *state;
	struct witness w;
	struct dev *d;
	struct buf eps = { 0 }, extra = { 0 }, b = { 0 };
	struct truth t;
	struct ask *a;
	unsigned int i;
	size_t n;
	char *at;

	witness_new(&w, s);
	d = dev_new(s, "much", server_key(s, true, false));
	for (i = 0; i < 10000; i++)
		buf_printf(&eps, "%s\"203.0.113.%u:%u\"", i == 0 ? "" : ",",
		    i % 250, 1 + i);
	buf_u8(&eps, 0);
	buf_str(&extra, "\"OS\":\"");
	for (i = 0; i < 20000; i++)
		buf_str(&extra, "\xc3\xa4");
	buf_str(&extra, "\",\"sshHostKeys\":[");
	for (i = 0; i < 500; i++)
		buf_printf(&extra, "%s\"key %u\"", i == 0 ? "" : ",", i);
	buf_str(&extra, "],\"Services\":[");
	for (i = 0; i < 500; i++)
		buf_printf(&extra, "%s{\"Proto\":\"tcp\",\"Port\":%u}",
		    i == 0 ? "" : ",", i);
	buf_str(&extra, "],\"RoutableIPs\":[");
	for (i = 0; i < 3000; i++)
		buf_printf(&extra, "%s\"10.%u.%u.0/24\"", i == 0 ? "" : ",",
		    i / 256, i % 256);
	buf_str(&extra, "]");
	buf_u8(&extra, 0);
	d->endpoints = (const char *)eps.p;
	d->extra = (const char *)extra.p;
	assert_true(dev_join(d));
	assert_true(server_node(s, d->node_key, &t));
	for (n = 1, at = t.endpoints; *at != '\0'; at++)
		n += *at == ',';
	assert_in_range(n, 20, 32);
	/* 100 tags that its key does not give: refused, in words */
	buf_clear(&extra);
	buf_str(&extra, "\"RequestTags\":[");
	for (i = 0; i < 100; i++)
		buf_printf(&extra, "%s\"tag:t%u\"", i == 0 ? "" : ",", i);
	buf_str(&extra, "]");
	buf_u8(&extra, 0);
	d = dev_new(s, "tags", d->auth);
	d->extra = (const char *)extra.p;
	a = dev_register(d);
	assert_int_equal(a->status, 200);
	assert_non_null(strstr(dev_refusal(a), "tag:t0"));
	d->extra = NULL;
	/* wrong types beside right ones: refused, or taken without them */
	dev_map_body(d, &b, true, false);
	body_change(&b, "\"OS\":\"linux\"", "\"OS\":{\"a\":[]},\"Desktop\":7,"
	    "\"Services\":\"x\",\"RoutableIPs\":{}");
	a = ask_send(dev_tcp(d), "POST", "/machine/map", NULL, b.p, b.n);
	assert_true(ask_wait(a, US_PER_S));
	assert_int_equal(a->status, 404);	/* parsed, and unknown */
	body_change(&b, "\"Stream\":true", "\"Stream\":1");
	assert_int_equal(ask_status(d->tcp, "POST", "/machine/map", b.p, b.n),
	    400);
	buf_free(&eps);
	buf_free(&extra);
	buf_free(&b);
	unmoved(&w);
}

/*
 * A stream that is to change nothing, asked for by a node without one: once
 * the way to have a worker accused of forgery.
 */
static void
t_read_only(void **state)
{
	struct server *s = *state;
	struct witness w;
	struct dev *d;
	struct buf b = { 0 };
	struct ask *a;

	witness_new(&w, s);
	d = dev_new(s, "reader", server_key(s, true, false));
	assert_true(dev_login(d));
	dev_map_body(d, &b, true, false);
	body_change(&b, "\"Stream\":true", "\"Stream\":true,\"ReadOnly\":true");
	a = ask_send(dev_tcp(d), "POST", "/machine/map", NULL, b.p, b.n);
	assert_true(ask_wait(a, 5 * US_PER_S));
	assert_int_equal(a->status, 200);
	assert_true(a->body.n > 4);
	server_pass(s, 70 * US_PER_S);
	buf_free(&b);
	unmoved(&w);
}

/* Streams and updates begun and taken back without pause. */
static void
t_restless(void **state)
{
	struct server *s = *state;
	struct witness w;
	struct dev *d;
	struct buf map = { 0 }, lite = { 0 };
	struct ask *a[3];
	struct truth t;
	unsigned int i, k;

	witness_new(&w, s);
	d = dev_new(s, "restless", server_key(s, true, false));
	assert_true(dev_join(d));
	dev_map_body(d, &map, true, false);
	dev_map_body(d, &lite, false, true);
	for (i = 0; i < 150; i++) {
		if (dev_tcp(d) == NULL)
			break;
		a[0] = ask_send(d->tcp, "POST", "/machine/map", NULL, map.p,
		    map.n);
		a[1] = ask_send(d->tcp, "POST", "/machine/map", NULL, lite.p,
		    lite.n);
		a[2] = ask_send(d->tcp, "POST", "/machine/map", NULL, map.p,
		    map.n);
		server_pass(s, (i % 7) * 40);
		for (k = 0; k < 3; k++)
			h2_client_cancel(d->tcp->client, a[k]->id);
		tcp_kick(d->tcp);
		server_pass(s, (i % 5) * 20);
		if (i % 10 == 9)
			dev_drop(d);
	}
	assert_int_equal(i, 150);
	server_pass(s, US_PER_S);
	assert_true(dev_stream(d));
	server_pass(s, 20 * US_PER_S);
	assert_true(server_node(s, d->node_key, &t));
	assert_true(t.online);
	assert_int_equal(control_streams(server_control(s, 1)) +
	    control_streams(server_control(s, 2)), 3);
	buf_free(&map);
	buf_free(&lite);
	unmoved(&w);
}

int
main(void)
{
#define T(t)	cmocka_unit_test_setup_teardown(t, trap_setup, trap_teardown)
	const struct CMUnitTest tests[] = {
		T(t_out_of_state), T(t_floods), T(t_headers), T(t_bodies),
		T(t_json), T(t_excess), T(t_read_only), T(t_restless)
	};
#undef T

	return cmocka_run_group_tests(tests, NULL, NULL);
}
