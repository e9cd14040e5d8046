/*
 * The traps of protocol.md 10, each against a whole server and in real octets
 * as a client sends and takes them: HTTP/1.1, Noise, HTTP/2, JSON, with the
 * real cores of worker, keyd and dbd.  Every message of every map stream in
 * these tests is read by regress/lib/mapview (a client with its weaknesses)
 * and checked against Go's types by regress/lib/gojson.  Those of the
 * transport are here; "map" is t_traps_map.c, "node" t_traps_node.c.
 *
 *  1 record nonce		trap_01; vectors in t_noise
 *  2 name, prologue		trap_02; vectors in t_noise
 *  3 record of 4,077		trap_03; t_records t_largest
 *  4 first 9 octets		trap_04
 *  5 byte orders		trap_05
 *  6 Upgrade header		trap_06
 *  7 proxies			theirs; what they may change: trap_07
 *  8 plain http, public	the operator's; master warns: t_conf
 *				test_warnings
 *  9 port 80 blackholed	the operator's
 * 10 :authority		trap_10
 * 11 server key changes	trap_11; t_keydproc test_not_overwritten
 * 12 /key again and again	trap_12; under load t_control_load t_register
 * 13 legacyPublicKey		trap_13; t_control_plain t_key
 * 14 concurrent streams	trap_14
 * 15 SETTINGS, PUSH_PROMISE	trap_15
 * 16 idle connections		trap_16; t_h2 t_idle
 * 17 always zstd		trap_17
 * 18 keep-alive aliased	trap_18; t_stream_flush t_keepalive
 * 19 empty message		trap_17, trap_19
 * 20 200 and nothing		trap_20; t_control_map t_end_before_map
 * 21 deltas before the map	map trap_21
 * 22 wrong types		map trap_22, and every other test
 * 23 Peers: []			map trap_23; t_stream t_reset
 * 24 Peers and deltas		map trap_24, mapview everywhere
 * 25 removed and changed	map trap_25, mapview everywhere
 * 26 cleared by omission	map trap_26; t_stream t_empty_endpoints
 * 27 Online always		map trap_27; t_stream t_presence
 * 28 disco key offline		map trap_28; t_mapjson t_patch
 * 29 no disco key		map trap_29
 * 30 no DERP map		map trap_30_31; without a file: the log
 * 31 null regions		map trap_30_31
 * 32 regions replaced		map trap_32
 * 33 no filter			map trap_33_34_35
 * 34 unsigned peers		none are made: map trap_33_34_35
 * 35 host bits			map trap_33_34_35; of a policy: t_policy_read
 *				tree; routes: t_parse t_lists
 * 36 streams that clobber	map trap_36; t_dbd_map t_open_fills
 * 37 NetInfo absent		map trap_37
 * 38 late lite update		node trap_38; t_dbd_lite t_lite_late
 * 39 old stream's cleanup	node trap_39; t_dbd_map t_two_streams
 * 40 404 after register	node trap_40
 * 41 logout with Auth		node trap_41; t_dbd_register t_logout
 * 42 OldNodeKey stays		node trap_42; t_dbd_register t_rotation
 * 43 fresh key expired		node trap_43
 * 44 unknown Followup		no interactive login yet: refused in words,
 *				node trap_47
 * 45 same AuthURL		no AuthURL is ever sent yet: node trap_47
 * 46 scheme of AuthURL		the same
 * 47 refusals are 200		node trap_47; t_control_reg t_refused
 * 48 deleted node		node trap_48; t_stream_flush t_farewell
 * 49 profile missing		map trap_49_79, mapview everywhere
 * 50 "=" and root		t_sshplan: "root" stands in each map of users
 * 51 capitals of an inner one	no recorder is ever sent: t_sshplan, exact
 *				texts
 * 52 %24SRC_NODE_ID		t_sshplan t_url, and the exact texts
 * 53 sessionDuration		is never sent; an integer by gojson
 * 54 set-dns			not built: 501, t_control_plain t_machine
 * 55 NotifyURL			not built
 * 56 ping URL			not built: no PingRequest is sent
 * 57 GET with body		t_control_plain t_machine, t_badinput_h2
 *				t_headers
 * 58 to 60 tailnet lock	not built: no TKAInfo is sent
 * 61 ControlTime		map trap_61
 * 62 dot of Name		map trap_62_63
 * 63 dot of Domains		map trap_62_63
 * 64 Debug			map trap_64_66
 * 65 key or address twice	node trap_65; every seed of the simulator
 * 66 service-host		not built: map trap_64_66
 * 67 a route on two peers	t_replica t_routes
 * 68 both default routes	t_replica t_routes, t_dbd_routes t_exit
 * 69 gzip			trap_69
 * 70 buffered until the end	trap_70
 * 71 streams that starve	trap_71; t_h2 t_fair
 * 72 form of Retry-After	node trap_72_to_76; t_control_load
 * 73 503 without it		the same
 * 74 the same for all		the same, t_control_load t_slots
 * 75 answer without end	the same
 * 76 register refused		the same, t_control_load t_register
 * 77 names that crash		map trap_77; t_control_plain t_conf_check
 * 78 freed name or address	map trap_78; t_stream t_removal_first, t_alloc
 *				t_rest, mapview everywhere
 * 79 visible again		map trap_49_79; t_stream t_profile
 * 80 narrower SSH rule		t_sshplan t_stable
 * 81 too large a message	map trap_81; max_nodes: t_conf test_bad
 * 82 DATA of 16,384		trap_82
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/enc.h"
#include "regress/lib/gojson.h"
#include "regress/lib/trapkit.h"

/* A session by hand of a fresh device that is logged in. */
static struct rawc *
raw_of(struct server *s, const struct dev *d)
{
	struct rawc *c = rawc_new(s, d->machine, d->capver);

	assert_true(rawc_open(c));
	return c;
}

static struct dev *
login(struct server *s, const char *name)
{
	struct dev *d = dev_new(s, name, server_key(s, true, false));

	assert_true(dev_login(d));
	return d;
}

/* The map stream of d on a session by hand. */
static void
raw_stream(struct rawc *c, const struct dev *d, uint32_t stream)
{
	struct buf b = { 0 };

	dev_map_body(d, &b, true, false);
	buf_u8(&b, 0);
	rawc_request(c, stream, "POST", "/machine/map", "unused",
	    (const char *)b.p);
	buf_free(&b);
}

static void
window(struct rawc *c, uint32_t stream, uint32_t n)
{
	struct buf b = { 0 };

	buf_u32(&b, n);
	rawc_frame(c, H2_WINDOW, 0, stream, b.p, b.n);
	buf_free(&b);
}

static uint32_t
le32(const uint8_t *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
	    (uint32_t)p[3] << 24;
}

/* Both directions, over many records, with a nonce that we made ourselves. */
static void
trap_01(void **state)
{
	struct server *s = *state;
	struct dev *d = login(s, "one");
	struct rawc *c = raw_of(s, d);
	unsigned int i;

	for (i = 0; i < 40; i++) {
		rawc_request(c, 1 + 2 * i, "GET", "/machine/whoami", "unused",
		    NULL);
		rawc_run(c, 10 * US_PER_MS);
	}
	assert_string_equal(c->why, "");
	assert_false(c->tcp->closed);
	assert_true(c->rx >= 40);
	assert_true(c->tx >= 40);
	rawc_free(c);
}

/* The prologue has the client's version, whatever it is. */
static void
trap_02(void **state)
{
	static const uint16_t version[] = { 113, 142, 148, 1000, 65535, 1 };
	struct server *s = *state;
	struct dev *d = dev_new(s, "one", NULL);
	struct rawc *c;
	size_t i;

	for (i = 0; i < sizeof(version) / sizeof(version[0]); i++) {
		c = rawc_new(s, d->machine, version[i]);
		assert_true(rawc_open(c));
		rawc_free(c);
	}
	/* another one in the header than in the prologue: silent close */
	c = rawc_new(s, d->machine, 148);
	c->init[1] ^= 1;
	rawc_hello(c, "");
	rawc_run(c, US_PER_S);
	assert_false(c->open);
	assert_true(c->tcp->closed);
	assert_int_equal(c->tcp->from.n - c->at, 0);
	rawc_free(c);
}

static void
trap_03(void **state)
{
	struct server *s = *state;
	struct dev *crowd[30], *d = login(s, "one");
	struct rawc *c;
	struct buf b = { 0 };

	trap_crowd(s, 30, true, crowd);
	c = raw_of(s, d);
	window(c, 0, 1 << 30);
	raw_stream(c, d, 1);
	window(c, 1, 1 << 30);
	rawc_run(c, 2 * US_PER_S);
	assert_string_equal(c->why, "");
	(void)rawc_data(c, 1, &b);
	assert_true(b.n > 60000);
	/* filled, and never beyond */
	assert_in_range(c->largest, 3900, 4096);
	buf_free(&b);
	rawc_free(c);
}

/* The server speaks first, and says enough for the client to go on. */
static void
trap_04(void **state)
{
	struct server *s = *state;
	struct dev *d = dev_new(s, "one", NULL);
	struct rawc *c = rawc_new(s, d->machine, 148);
	struct h2_frame f;

	rawc_hello(c, "");
	rawc_run(c, US_PER_S);
	assert_true(c->open);
	assert_true(c->plain.n >= 9);
	assert_true(rawc_early(c) != 0);
	assert_true(rawc_next(c, &f));
	assert_int_equal(f.type, H2_SETTINGS);
	assert_int_equal(f.flags, 0);
	rawc_free(c);
}

/* Big-endian before HTTP/2, little-endian before a map message. */
static void
trap_05(void **state)
{
	struct server *s = *state;
	struct dev *d = login(s, "one");
	struct rawc *c = raw_of(s, d);
	struct buf b = { 0 };
	size_t n;

	n = rawc_early(c);
	assert_int_equal(n, 9 + strlen("{\"nodeKeyChallenge\":\"\"}") + 72);
	assert_memory_equal(c->plain.p + 9, "{\"nodeKeyChallenge\":\"chalpub:",
	    29);
	raw_stream(c, d, 1);
	rawc_run(c, US_PER_S);
	assert_false(rawc_data(c, 1, &b));
	assert_true(b.n > 4);
	assert_int_equal(le32(b.p), b.n - 4);
	buf_free(&b);
	rawc_free(c);
}

static void
trap_06(void **state)
{
	struct server *s = *state;
	struct dev *d = dev_new(s, "one", NULL);
	struct rawc *c = rawc_new(s, d->machine, 148);

	rawc_hello(c, "");
	rawc_run(c, US_PER_S);
	assert_true(tcp_has(c->tcp, "HTTP/1.1 101 Switching Protocols\r\n"));
	assert_true(tcp_has(c->tcp,
	    "\r\nUpgrade: tailscale-control-protocol\r\n"));
	assert_true(tcp_has(c->tcp, "\r\nConnection: upgrade\r\n"));
	assert_false(tcp_has(c->tcp, "Content-Length"));
	rawc_free(c);
}

/* What proxies on the way do to a head is taken as it comes. */
static void
trap_07(void **state)
{
	static const char *const heads[] = {
	    "POST /ts2021 HTTP/1.1\r\nhost: h\r\nCONNECTION: keep-alive, "
	    "Upgrade\r\nUPGRADE: Tailscale-Control-Protocol\r\n"
	    "x-tailscale-handshake: %s\r\nX-Forwarded-For: 203.0.113.1\r\n"
	    "Via: 1.1 proxy\r\ncontent-length: 0\r\n\r\n",
	    "POST /ts2021 HTTP/1.1\r\nHost: [::1]:8080\r\nConnection: "
	    "upgrade\r\nX-Tailscale-Handshake:%s\r\n"
	    "Upgrade: tailscale-control-protocol\r\n\r\n" };
	struct server *s = *state;
	struct dev *d = dev_new(s, "one", NULL);
	char text[B64_LEN(NOISE_INIT) + 1], head[1000], *at;
	struct rawc *c;
	size_t i, n;

	for (i = 0; i < 2; i++) {
		c = rawc_new(s, d->machine, 148);
		b64_enc(text, c->init, NOISE_INIT);
		at = strstr(heads[i], "%s");
		n = (size_t)(at - heads[i]);
		snprintf(head, sizeof(head), "%.*s%s%s", (int)n, heads[i],
		    text, at + 2);
		tcp_str(c->tcp, head);
		rawc_run(c, US_PER_S);
		assert_true(c->open);
		rawc_free(c);
	}
}

/* Any authority means the same server. */
static void
trap_10(void **state)
{
	static const char *const names[] = { "unused", "192.0.2.1:8080",
	    "192.0.2.1", "x", "other.example:1", "[::1]:80" };
	struct server *s = *state;
	struct dev *d = login(s, "one");
	struct rawc *c = raw_of(s, d);
	struct buf b = { 0 }, got = { 0 };
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		buf_clear(&b);
		buf_clear(&got);
		dev_reg_body(d, &b);
		buf_u8(&b, 0);
		rawc_request(c, (uint32_t)(1 + 2 * i), "POST",
		    "/machine/register", names[i], (const char *)b.p);
		rawc_run(c, 100 * US_PER_MS);
		assert_true(rawc_data(c, (uint32_t)(1 + 2 * i), &got));
		assert_non_null(memmem(got.p, got.n,
		    "\"MachineAuthorized\":true", 24));
	}
	assert_string_equal(c->why, "");
	buf_free(&b);
	buf_free(&got);
	rawc_free(c);
}

static void
plain_get(struct server *s, const char *path, struct buf *b)
{
	struct tcp *t = tcp_raw(s, 0);

	assert_non_null(t);
	tcp_str(t, "GET ");
	tcp_str(t, path);
	tcp_str(t, " HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
	server_pass(s, 100 * US_PER_MS);
	buf_clear(b);
	buf_put(b, t->from.p, t->from.n);
	buf_u8(b, 0);
}

/* What stands behind the head. */
static const char *
body_of(const struct buf *b)
{
	const char *at = strstr((const char *)b->p, "\r\n\r\n");

	assert_non_null(at);
	return at + 4;
}

/* The server's key outlives every process; sessions outlive keyd. */
static void
trap_11(void **state)
{
	struct server *s = *state;
	struct dev *d = dev_new(s, "one", server_key(s, true, false));
	struct buf a = { 0 }, b = { 0 };
	struct ask *q;

	assert_true(dev_join(d));
	plain_get(s, "/key?v=148", &a);
	assert_memory_equal(a.p, "HTTP/1.1 200 ", 13);
	server_kill(s, ROLE_KEYD, 0);
	server_pass(s, 2 * US_PER_S);
	q = dev_lite(d);		/* on the old connection */
	assert_int_equal(q->status, 200);
	assert_false(d->stream->ended);
	server_restart(s);
	plain_get(s, "/key?v=148", &b);
	assert_string_equal(body_of(&a), body_of(&b));
	assert_true(dev_stream(d));	/* with the key that it knows */
	buf_free(&a);
	buf_free(&b);
}

/* /key is asked at every login: never refused. */
static void
trap_12(void **state)
{
	struct server *s = *state;
	struct tcp *t = tcp_raw(s, 1);
	const uint8_t *at;
	unsigned int i, n = 0;
	struct buf b = { 0 };

	server_kill(s, ROLE_DBD, 0);
	for (i = 0; i < 500; i++) {
		tcp_str(t, "GET /key?v=148 HTTP/1.1\r\nHost: h\r\n\r\n");
		server_pass(s, US_PER_MS);
	}
	server_pass(s, US_PER_S);
	for (at = t->from.p; (at = memmem(at, t->from.n - (size_t)(at -
	    t->from.p), "HTTP/1.1 200 ", 13)) != NULL; at++)
		n++;
	assert_int_equal(n, 500);
	plain_get(s, "/key?v=39", &b);
	assert_memory_equal(b.p, "HTTP/1.1 200 ", 13);
	buf_free(&b);
}

/* The zero key, not an empty text. */
static void
trap_13(void **state)
{
	struct server *s = *state;
	struct buf b = { 0 };

	plain_get(s, "/key?v=148", &b);
	assert_non_null(strstr((char *)b.p, "{\"legacyPublicKey\":\"mkey:"
	    "00000000000000000000000000000000"
	    "00000000000000000000000000000000\",\"publicKey\":\"mkey:"));
	buf_free(&b);
}

/* At least 100 streams at once, and they are all answered. */
static void
trap_14(void **state)
{
	struct server *s = *state;
	struct dev *d = dev_new(s, "one", NULL);
	struct rawc *c = raw_of(s, d);
	struct buf head = { 0 }, b = { 0 };
	struct h2_frame f;
	uint32_t i, value = 0;
	size_t k;

	assert_true(rawc_next(c, &f));
	assert_int_equal(f.type, H2_SETTINGS);
	for (k = 0; k + 6 <= f.n; k += 6)
		if (f.p[k] == 0 && f.p[k + 1] == 3)
			value = (uint32_t)f.p[k + 4] << 8 | f.p[k + 5];
	assert_in_range(value, 100, 1000);
	rawc_field(&head, ":method", "POST");
	rawc_field(&head, ":scheme", "https");
	rawc_field(&head, ":authority", "unused");
	rawc_field(&head, ":path", "/machine/whoami");
	for (i = 0; i < 120; i++)
		rawc_frame(c, H2_HEADERS, H2_F_HEADERS, 1 + 2 * i, head.p,
		    head.n);
	rawc_run(c, 100 * US_PER_MS);
	for (i = 0; i < 120; i++)
		rawc_frame(c, H2_DATA, H2_F_END, 1 + 2 * i, "x", 1);
	rawc_run(c, 500 * US_PER_MS);
	for (i = 0; i < 120; i++) {
		buf_clear(&b);
		assert_true(rawc_data(c, 1 + 2 * i, &b));
		assert_true(b.n != 0);
	}
	buf_free(&head);
	buf_free(&b);
	rawc_free(c);
}

/* One SETTINGS of ours, one ACK for each of theirs, no PUSH_PROMISE. */
static void
trap_15(void **state)
{
	struct server *s = *state;
	struct dev *d = login(s, "one");
	struct rawc *c = raw_of(s, d);
	unsigned int settings = 0, acks = 0, pushes = 0;
	struct h2_frame f;

	raw_stream(c, d, 1);
	rawc_frame(c, H2_SETTINGS, H2_F_ACK, 0, NULL, 0);
	rawc_frame(c, H2_SETTINGS, 0, 0, NULL, 0);
	rawc_frame(c, H2_SETTINGS, 0, 0, "\0\4\0\4\0\0", 6);
	rawc_run(c, 90 * US_PER_S);
	while (rawc_next(c, &f)) {
		settings += f.type == H2_SETTINGS && f.flags == 0;
		acks += f.type == H2_SETTINGS && f.flags == H2_F_ACK;
		pushes += f.type == H2_PUSH_PROMISE;
	}
	assert_int_equal(settings, 1);
	assert_int_equal(acks, 3);
	assert_int_equal(pushes, 0);
	rawc_free(c);
}

/* A connection without a stream is closed by the server, with a goodbye. */
static void
trap_16(void **state)
{
	struct server *s = *state;
	struct dev *d = login(s, "one"), *e = login(s, "two");
	struct rawc *c = raw_of(s, d);
	struct h2_frame f;
	bool goaway = false;

	assert_true(dev_stream(e));
	rawc_request(c, 1, "GET", "/machine/whoami", "x", NULL);
	rawc_run(c, 290 * US_PER_S);
	assert_false(c->tcp->closed);
	rawc_run(c, 20 * US_PER_S);
	assert_true(c->tcp->closed);
	while (rawc_next(c, &f))
		goaway |= f.type == H2_GOAWAY;
	assert_true(goaway);
	assert_false(e->tcp->closed);
	assert_false(e->stream->ended);
	rawc_free(c);
}

/* Every message is zstd, the smallest too. */
static void
trap_17(void **state)
{
	struct server *s = *state;
	struct dev *d = login(s, "one"), *e = login(s, "two");
	struct rawc *c = raw_of(s, d);
	struct buf b = { 0 };
	unsigned int n = 0;
	size_t at;

	raw_stream(c, d, 1);
	rawc_run(c, US_PER_S);
	(void)dev_lite(e);
	rawc_run(c, 70 * US_PER_S);
	(void)rawc_data(c, 1, &b);
	for (at = 0; at < b.n; at += 4 + le32(b.p + at)) {
		assert_true(b.n - at > 8);
		assert_int_not_equal(le32(b.p + at), 0);	/* trap 19 */
		assert_memory_equal(b.p + at + 4, "\x28\xb5\x2f\xfd", 4);
		n++;
	}
	assert_int_equal(at, b.n);
	assert_true(n >= 3);		/* map, peer, keep-alive */
	buf_free(&b);
	rawc_free(c);
}

/* The keep-alive is not the text that clients alias to others' lengths. */
static void
trap_18(void **state)
{
	struct server *s = *state;
	struct dev *d = dev_new(s, "one", server_key(s, true, false));
	uint64_t wait;
	size_t i;

	assert_true(dev_join(d));
	i = d->stream->nmsg;
	wait = server_now(s);
	assert_non_null(ask_until(d->stream, i, "KeepAlive", 70 * US_PER_S));
	wait = server_now(s) - wait;
	assert_in_range(wait, 45 * US_PER_S, 65 * US_PER_S);
	assert_string_equal(d->stream->msg[d->stream->nmsg - 1],
	    "{\"KeepAlive\": true}");
	/* and they go on coming, below the watchdog's 120 s */
	server_pass(s, 300 * US_PER_S);
	assert_in_range(ask_count(d->stream, i, "KeepAlive"), 5, 8);
	assert_false(d->stream->ended);
}

/* No empty message, whatever happens or does not. */
static void
trap_19(void **state)
{
	struct server *s = *state;
	struct dev *d = dev_new(s, "one", server_key(s, true, false));
	struct dev *e = dev_new(s, "two", d->auth);
	size_t i, n;

	assert_true(dev_join(d));
	assert_true(dev_join(e));
	server_pass(s, US_PER_S);
	n = d->stream->nmsg;
	for (i = 0; i < 5; i++)		/* nothing new: nothing said */
		assert_int_equal(dev_lite(e)->status, 200);
	server_pass(s, US_PER_S);
	assert_int_equal(d->stream->nmsg, n);
	assert_string_equal(d->stream->fault, "");
}

/* An error is an error: no 200 without a map. */
static void
trap_20(void **state)
{
	struct server *s = *state;
	struct dev *d = login(s, "one"), *stranger = dev_new(s, "x", NULL);
	struct dev *thief = dev_new(s, "thief", NULL);
	static const bool kinds[][2] = { { true, false }, { false, true },
	    { false, false } };
	struct buf b = { 0 };
	struct ask *a;
	size_t i;

	memcpy(thief->node_key, d->node_key, sizeof(thief->node_key));
	for (i = 0; i < 3; i++) {
		buf_clear(&b);
		dev_map_body(stranger, &b, kinds[i][0], kinds[i][1]);
		assert_int_equal(ask_status(dev_tcp(stranger), "POST",
		    "/machine/map", b.p, b.n), 404);
		buf_clear(&b);
		dev_map_body(thief, &b, kinds[i][0], kinds[i][1]);
		assert_int_equal(ask_status(dev_tcp(thief), "POST",
		    "/machine/map", b.p, b.n), 403);
	}
	/* the head comes with the first map, not before it */
	buf_clear(&b);
	dev_map_body(d, &b, true, false);
	a = ask_send(dev_tcp(d), "POST", "/machine/map", NULL, b.p, b.n);
	ask_map(a, d->id);
	assert_non_null(ask_until(a, 0, "\"Node\":", US_PER_S));
	assert_int_equal(a->status, 200);
	assert_true(a->msg_at[0] - a->head_at < US_PER_MS);
	buf_free(&b);
}

/* Never gzip, though the client offers it. */
static void
trap_69(void **state)
{
	struct server *s = *state;
	struct dev *d = dev_new(s, "one", server_key(s, true, false));
	struct ask *a;

	assert_true(dev_login(d));
	a = dev_register(d);
	assert_null(memmem(a->fields.p, a->fields.n, "content-encoding", 16));
	assert_true(dev_stream(d));
	assert_null(memmem(d->stream->fields.p, d->stream->fields.n,
	    "content-encoding", 16));
	assert_null(memmem(d->stream->fields.p, d->stream->fields.n,
	    "content-length", 14));
}

/* A message leaves at once, in the middle of an open stream. */
static void
trap_70(void **state)
{
	struct server *s = *state;
	struct dev *d = dev_new(s, "one", server_key(s, true, false));
	struct dev *e = dev_new(s, "two", d->auth);
	uint64_t at;
	size_t n;

	assert_true(dev_join(d));
	assert_true(dev_join(e));
	server_pass(s, 5 * US_PER_S);
	n = d->stream->nmsg;
	e->endpoints = "\"203.0.113.1:1\"";
	at = server_now(s);
	(void)dev_lite(e);
	assert_non_null(ask_until(d->stream, n, "203.0.113.1:1", US_PER_S));
	assert_true(server_now(s) - at < 100 * US_PER_MS);
	assert_false(d->stream->ended);
}

/*
 * A huge map that its reader does not take does not hold up what another
 * stream of the same connection is sent.
 */
static void
trap_71(void **state)
{
	struct server *s = *state;
	struct dev *crowd[30], *d = login(s, "one");
	struct buf b = { 0 };
	struct rawc *c;
	size_t n;

	trap_crowd(s, 30, true, crowd);
	c = raw_of(s, d);
	window(c, 0, 1 << 30);
	dev_map_body(d, &b, false, false);
	buf_u8(&b, 0);
	rawc_request(c, 1, "POST", "/machine/map", "unused",
	    (const char *)b.p);		/* stops after 65,535 octets */
	rawc_run(c, US_PER_S);
	raw_stream(c, d, 3);
	window(c, 3, 1 << 30);
	rawc_run(c, 3 * US_PER_S);
	buf_clear(&b);
	assert_false(rawc_data(c, 3, &b));
	n = b.n;
	assert_true(n > 65535);
	rawc_run(c, 65 * US_PER_S);
	buf_clear(&b);
	assert_false(rawc_data(c, 3, &b));
	assert_true(b.n > n);		/* the keep-alive */
	/* and all the while the other one was in the way */
	buf_clear(&b);
	assert_false(rawc_data(c, 1, &b));
	assert_int_equal(b.n, 65535);
	assert_false(c->tcp->closed);
	buf_free(&b);
	rawc_free(c);
}

/* DATA frames of at most 16,384 octets, whatever the client's SETTINGS. */
static void
trap_82(void **state)
{
	struct server *s = *state;
	struct dev *crowd[30], *d = login(s, "one");
	struct h2_frame f;
	struct rawc *c;
	size_t most = 0, all = 0;

	trap_crowd(s, 30, true, crowd);
	c = raw_of(s, d);
	rawc_frame(c, H2_SETTINGS, 0, 0, "\0\5\0\x10\0\0", 6);	/* 1 MB */
	window(c, 0, 1 << 30);
	raw_stream(c, d, 1);
	window(c, 1, 1 << 30);
	rawc_run(c, 2 * US_PER_S);
	rawc_rewind(c);
	while (rawc_next(c, &f)) {
		if (f.type != H2_DATA)
			continue;
		most = f.n > most ? f.n : most;
		all += f.n;
	}
	assert_true(all > 60000);
	assert_in_range(most, 4000, 16384);
	rawc_free(c);
}

int
main(void)
{
#define T(t)	cmocka_unit_test_setup_teardown(t, trap_setup, trap_teardown)
	const struct CMUnitTest tests[] = {
		T(trap_01), T(trap_02), T(trap_03), T(trap_04), T(trap_05),
		T(trap_06), T(trap_07), T(trap_10), T(trap_11), T(trap_12),
		T(trap_13), T(trap_14), T(trap_15), T(trap_16), T(trap_17),
		T(trap_18), T(trap_19), T(trap_20), T(trap_69), T(trap_70),
		T(trap_71), T(trap_82)
	};
#undef T

	return cmocka_run_group_tests(tests, NULL, NULL);
}
