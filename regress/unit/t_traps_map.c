/* Traps of protocol.md 10 in what maps say.  The table is in t_traps.c. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <json.h>

#include "regress/lib/gojson.h"
#include "regress/lib/trapkit.h"

/* Two devices of alice with streams, settled. */
static void
pair(struct server *s, struct dev **a, struct dev **b)
{
	*a = dev_new(s, "one", server_key(s, true, false));
	*b = dev_new(s, "two", (*a)->auth);
	assert_true(dev_join(*a));
	assert_true(dev_join(*b));
	server_pass(s, 2 * US_PER_S);
}

static void
lite(struct dev *d)
{
	struct ask *a = dev_lite(d);

	assert_non_null(a);
	assert_int_equal(a->status, 200);
}

static struct json_object *
member(struct json_object *o, const char *name)
{
	struct json_object *v = NULL;

	(void)json_object_object_get_ex(o, name, &v);
	return v;
}

/* What d knows of the peer. */
static struct json_object *
seen(const struct dev *d, const struct dev *peer)
{
	return mapview_peer(d->stream->view, peer->id);
}

static const char *
text(struct json_object *o, const char *name)
{
	struct json_object *v = member(o, name);

	return v == NULL ? "(none)" : json_object_to_json_string_ext(v,
	    JSON_C_TO_STRING_PLAIN);
}

/* The truth about a peer has arrived: a fresh stream says the same. */
static void
agrees(struct dev *d)
{
	struct mapview *fresh = mapview_new(d->id, true);
	struct buf b = { 0 };
	struct ask *a;
	const char *why;

	dev_map_body(d, &b, false, false);
	a = ask_send(dev_tcp(d), "POST", "/machine/map", NULL, b.p, b.n);
	assert_true(ask_wait(a, 5 * US_PER_S));
	assert_int_equal(a->status, 200);
	why = mapview_input(fresh, a->body.p, a->body.n);
	assert_string_equal(why == NULL ? "" : why, "");
	why = mapview_differ(d->stream->view, fresh);
	assert_string_equal(why == NULL ? "" : why, "");
	mapview_free(fresh);
	buf_free(&b);
}

/* Deltas never overtake the first map. */
static void
trap_21(void **state)
{
	struct server *s = *state;
	struct dev *crowd[20], *d;
	char port[40];
	unsigned int i, k;

	trap_crowd(s, 20, false, crowd);
	d = dev_new(s, "late", crowd[0]->auth);
	assert_true(dev_login(d));
	for (i = 0; i < 15; i++) {
		/* changes on the way while the stream opens */
		for (k = 0; k < 4; k++) {
			snprintf(port, sizeof(port), "\"203.0.113.9:%u\"",
			    1 + i * 4 + k);
			crowd[k]->endpoints = port;
			lite(crowd[k]);
		}
		assert_true(dev_stream(d));
		assert_string_equal(d->stream->fault, "");
		assert_non_null(strstr(d->stream->msg[0], "\"Node\":"));
		assert_non_null(strstr(d->stream->msg[0], "\"Peers\":["));
		server_pass(s, i * 3 * US_PER_MS);
		dev_drop(d);
	}
	for (k = 0; k < 4; k++)
		crowd[k]->endpoints = NULL;
}

/*
 * Types hold whatever a device says of itself: server.c checks every message
 * of every stream against Go's types, teardown sees the faults.
 */
static void
trap_22(void **state)
{
	static const char *const extra[] = {
	    "\"OSVersion\":\"a\\\"b\\\\c\\u0007\\u2028\xc3\xa4\"",
	    "\"DeviceModel\":\"<script>&\\t\\n\"",
	    "\"Distro\":\"\xf0\x9f\x98\x80\xf0\x9f\x98\x80\"",
	    "\"Container\":null,\"Desktop\":true,\"Userspace\":false",
	    "\"RoutableIPs\":[\"10.1.2.3/8\",\"::1/0\"],\"RequestTags\":[]",
	    "\"sshHostKeys\":[\"\",\"\\u007f\",\"\\ud83d\\ude00\"]",
	    "\"GoArch\":\"\\uffff\",\"App\":\"%s%n\"" };
	struct server *s = *state;
	struct dev *a, *b, *d;
	size_t i;

	pair(s, &a, &b);
	for (i = 0; i < sizeof(extra) / sizeof(extra[0]); i++) {
		d = dev_new(s, i % 2 ? "\\u00e4\\\"\\\\ x" : "..--", a->auth);
		d->extra = extra[i];
		d->endpoints = "\"[2001:db8::1]:65535\",\"0.0.0.0:0\","
		    "\"[::ffff:1.2.3.4]:1\"";
		assert_true(dev_join(d));
		assert_non_null(ask_until(a->stream, 0, d->node_key,
		    2 * US_PER_S));
		dev_drop(d);
	}
	server_pass(s, 20 * US_PER_S);
	agrees(a);
	assert_int_equal(mapview_peers(a->stream->view), 1 + i);
	assert_string_equal(server_fault(s), "");
	/* the checker would have seen it */
	assert_non_null(gojson_check("MapResponse",
	    slice_str("{\"Node\":{\"ID\":1.0}}")));
	assert_non_null(gojson_check("MapResponse",
	    slice_str("{\"Node\":{\"Key\":\"\"}}")));
	assert_non_null(gojson_check("MapResponse",
	    slice_str("{\"ControlTime\":\"\"}")));
	assert_non_null(gojson_check("MapResponse",
	    slice_str("{\"Peers\":[null]}")));
}

/* The last peer goes: by PeersRemoved, not by an empty list. */
static void
trap_23(void **state)
{
	struct server *s = *state;
	struct dev *a, *b;
	size_t n;

	pair(s, &a, &b);
	n = a->stream->nmsg;
	assert_true(server_delete(s, b->id));
	server_pass(s, US_PER_S);
	assert_int_equal(mapview_peers(a->stream->view), 0);
	assert_int_equal(ask_count(a->stream, n, "\"PeersRemoved\":["), 1);
	assert_int_equal(ask_count(a->stream, n, "\"Peers\":"), 0);
	agrees(a);
}

/* A stream with a full list in it says nothing else of peers beside it. */
static void
trap_24(void **state)
{
	struct server *s = *state;
	struct dev *a, *b;
	size_t i;

	pair(s, &a, &b);
	lite(b);
	server_restart(s);
	assert_true(dev_stream(a));
	server_pass(s, 30 * US_PER_S);
	for (i = 0; i < a->stream->nmsg; i++)
		if (strstr(a->stream->msg[i], "\"Peers\":[{") != NULL) {
			assert_null(strstr(a->stream->msg[i],
			    "PeersChanged"));
			assert_null(strstr(a->stream->msg[i],
			    "PeersRemoved"));
		}
	assert_int_equal(ask_count(a->stream, 0, "\"Peers\":[{"), 1);
}

/* Deleted and there again at once: never both in one message. */
static void
trap_25(void **state)
{
	struct server *s = *state;
	struct dev *a, *b;
	uint64_t old;
	size_t i, n;

	pair(s, &a, &b);
	for (i = 0; i < 5; i++) {
		n = a->stream->nmsg;
		old = b->id;
		assert_true(server_delete(s, b->id));
		assert_true(dev_join(b));	/* same keys, same name */
		server_pass(s, US_PER_S);
		assert_string_equal(a->stream->fault, "");
		assert_int_not_equal(b->id, old);
		assert_int_equal(ask_count(a->stream, n,
		    "\"PeersRemoved\":["), 1);
		assert_int_equal(mapview_peers(a->stream->view), 1);
		agrees(a);
	}
}

/* What is cleared is said to be empty. */
static void
trap_26(void **state)
{
	struct server *s = *state;
	struct dev *a, *b;

	pair(s, &a, &b);
	assert_string_equal(text(seen(a, b), "HomeDERP"), "900");
	b->endpoints = "";
	lite(b);
	server_pass(s, US_PER_S);
	assert_string_equal(text(seen(a, b), "Endpoints"), "[]");
	/* together with a change that no patch can say */
	b->endpoints = "\"203.0.113.5:5\"";
	strlcpy(b->host, "renamed", sizeof(b->host));
	lite(b);
	server_pass(s, US_PER_S);
	assert_string_equal(text(seen(a, b), "Endpoints"),
	    "[\"203.0.113.5:5\"]");
	assert_string_equal(text(seen(a, b), "Name"),
	    "\"renamed.tailnet.internal.\"");
	b->endpoints = "";
	strlcpy(b->host, "again", sizeof(b->host));
	lite(b);
	server_pass(s, US_PER_S);
	assert_string_equal(text(seen(a, b), "Endpoints"), "[]");
	/* a client without NetInfo keeps the home that it had (trap 37) */
	b->derp = 0;
	lite(b);
	server_pass(s, US_PER_S);
	assert_string_equal(text(seen(a, b), "HomeDERP"), "900");
	agrees(a);
}

/* Online is said from the first on, and shows every change. */
static void
trap_27(void **state)
{
	struct server *s = *state;
	struct dev *a, *b;
	size_t n;

	a = dev_new(s, "one", server_key(s, true, false));
	b = dev_new(s, "two", a->auth);
	assert_true(dev_join(a));
	assert_true(dev_login(b));
	lite(b);
	server_pass(s, US_PER_S);
	assert_string_equal(text(seen(a, b), "Online"), "false");
	assert_true(dev_stream(b));
	server_pass(s, US_PER_S);
	assert_string_equal(text(seen(a, b), "Online"), "true");
	n = a->stream->nmsg;
	dev_drop(b);
	server_pass(s, 9 * US_PER_S);		/* the grace of 10 s */
	assert_string_equal(text(seen(a, b), "Online"), "true");
	server_pass(s, 2 * US_PER_S);
	assert_string_equal(text(seen(a, b), "Online"), "false");
	assert_string_not_equal(text(seen(a, b), "LastSeen"), "(none)");
	assert_int_equal(ask_count(a->stream, n, "PeersChangedPatch"), 1);
	assert_true(dev_stream(b));
	server_pass(s, US_PER_S);
	assert_string_equal(text(seen(a, b), "Online"), "true");
	agrees(a);
}

/*
 * A node that starts anew has a new disco key, said before its stream is
 * there: never in one patch with being offline.
 */
static void
trap_28(void **state)
{
	struct server *s = *state;
	struct dev *a, *b;
	size_t n;

	pair(s, &a, &b);
	dev_drop(b);
	server_pass(s, 20 * US_PER_S);
	assert_string_equal(text(seen(a, b), "Online"), "false");
	n = a->stream->nmsg;
	dev_new_disco(b);
	lite(b);
	server_pass(s, US_PER_S);
	assert_int_equal(ask_count(a->stream, n, b->disco), 1);
	assert_int_equal(ask_count(a->stream, n, "\"Online\":false"), 0);
	assert_string_equal(a->stream->fault, "");
	assert_true(dev_stream(b));
	server_pass(s, US_PER_S);
	assert_string_equal(text(seen(a, b), "Online"), "true");
	agrees(a);
}

/* A node is told of once it has a disco key, not before. */
static void
trap_29(void **state)
{
	struct server *s = *state;
	struct dev *a, *b;
	struct truth t;
	struct ask *q;
	struct buf body = { 0 };

	a = dev_new(s, "one", server_key(s, true, false));
	b = dev_new(s, "two", a->auth);
	assert_true(dev_join(a));
	assert_true(dev_login(b));
	server_pass(s, US_PER_S);
	assert_int_equal(mapview_peers(a->stream->view), 0);
	/* a lite update without one */
	dev_map_body(b, &body, false, true);
	body_change(&body, b->disco, "discokey:00000000000000000000000000"
	    "00000000000000000000000000000000000000");
	q = ask_send(dev_tcp(b), "POST", "/machine/map", NULL, body.p,
	    body.n);
	assert_true(ask_wait(q, US_PER_S));
	assert_int_equal(q->status, 200);
	server_pass(s, US_PER_S);
	assert_int_equal(mapview_peers(a->stream->view), 0);
	assert_true(server_node(s, b->node_key, &t));
	assert_false(t.published);
	lite(b);
	assert_non_null(ask_until(a->stream, 0, b->disco, US_PER_S));
	assert_int_equal(mapview_peers(a->stream->view), 1);
	buf_free(&body);
}

/* A DERP map in the first message; null regions nowhere. */
static void
trap_30_31(void **state)
{
	struct server *s = *state;
	struct dev *a, *b;
	const char *said;

	pair(s, &a, &b);
	assert_non_null(strstr(a->stream->msg[0], "\"DERPMap\":{"));
	assert_non_null(strstr(a->stream->msg[0],
	    "\"Regions\":{\"900\":{\"RegionID\":900,"));
	assert_null(strstr(a->stream->msg[0], "\"901\":null"));
	/* what a file takes away is not there, and not said to be null */
	assert_true(server_derpmap(s, "{\"Regions\":{\"901\":null,\"902\":"
	    "{\"RegionID\":902,\"Nodes\":[{\"Name\":\"x\",\"RegionID\":902,"
	    "\"HostName\":\"x.example\"}]}}}"));
	said = ask_until(a->stream, 0, "\"902\"", US_PER_S);
	assert_non_null(said);
	assert_null(strstr(said, "901"));
	assert_false(server_derpmap(s, "{\"Regions\":{}}"));
}

/* A change of the DERP map says all of it. */
static void
trap_32(void **state)
{
	struct server *s = *state;
	struct dev *a, *b;
	const char *msg;

	pair(s, &a, &b);
	assert_true(server_derpmap(s, "{\"Regions\":{"
	    "\"900\":{\"RegionID\":900,\"RegionCode\":\"me\",\"RegionName\":"
	    "\"Mine\",\"Nodes\":[{\"Name\":\"900a\",\"RegionID\":900,"
	    "\"HostName\":\"derp.example\"}]},"
	    "\"901\":{\"RegionID\":901,\"RegionCode\":\"you\",\"RegionName\":"
	    "\"Yours\",\"Nodes\":[{\"Name\":\"901a\",\"RegionID\":901,"
	    "\"HostName\":\"derp2.example\"}]}}}"));
	msg = ask_until(a->stream, 1, "DERPMap", 2 * US_PER_S);
	assert_non_null(msg);
	assert_non_null(strstr(msg, "\"900\":{"));
	assert_non_null(strstr(msg, "\"901\":{"));
}

/* A filter at once, of the form that clients do not throw away. */
static void
trap_33_34_35(void **state)
{
	struct server *s = *state;
	struct dev *a, *b;
	size_t i;

	pair(s, &a, &b);
	assert_non_null(strstr(a->stream->msg[0], "\"PacketFilters\":{\"*\":"
	    "null,\""));
	assert_non_null(strstr(a->stream->msg[0], "\":[{\"SrcIPs\":["
	    "\"100.115.94.0-100.127.255.255\",\"100.64.0.0-100.115.91.255\","
	    "\"fd7a:115c:a1e0::/48\"],\"DstPorts\":[{\"IP\":\"*\",\"Ports\":{"
	    "\"First\":0,\"Last\":65535}}]}]}"));
	for (i = 0; i < a->stream->nmsg; i++) {
		assert_null(strstr(a->stream->msg[i], "SrcBits"));
		assert_null(strstr(a->stream->msg[i], "\"Bits\""));
		assert_null(strstr(a->stream->msg[i], "UnsignedPeerAPIOnly"));
	}
}

/* What a stream says does not undo what a lite update has said. */
static void
trap_36(void **state)
{
	struct server *s = *state;
	struct dev *a, *b;
	char disco[KEY_TEXT];

	pair(s, &a, &b);
	b->endpoints = "\"203.0.113.2:2\"";
	memcpy(disco, b->disco, sizeof(disco));
	strlcpy(b->host, "new", sizeof(b->host));
	lite(b);
	server_pass(s, US_PER_S);
	b->endpoints = "\"203.0.113.1:1\"";
	dev_new_disco(b);
	strlcpy(b->host, "old", sizeof(b->host));
	b->derp = 7;
	assert_true(dev_stream(b));
	server_pass(s, US_PER_S);
	assert_string_equal(text(seen(a, b), "Endpoints"),
	    "[\"203.0.113.2:2\"]");
	assert_string_equal(text(seen(a, b), "HomeDERP"), "900");
	assert_string_equal(text(seen(a, b), "Name"),
	    "\"new.tailnet.internal.\"");
	assert_non_null(strstr(text(seen(a, b), "DiscoKey"), disco));
	/* nor do the two forms of nothing */
	b->endpoints = NULL;
	assert_true(dev_stream(b));
	server_pass(s, US_PER_S);
	assert_string_equal(text(seen(a, b), "Endpoints"),
	    "[\"203.0.113.2:2\"]");
	agrees(a);
}

/* The first Hostinfo has no NetInfo: the home that is known stays. */
static void
trap_37(void **state)
{
	struct server *s = *state;
	struct dev *a, *b;
	struct ask *q;

	pair(s, &a, &b);
	b->derp = 0;
	dev_drop(b);
	q = dev_register(b);
	assert_int_equal(q->status, 200);
	assert_true(dev_stream(b));
	lite(b);
	server_pass(s, US_PER_S);
	assert_string_equal(text(seen(a, b), "HomeDERP"), "900");
	b->derp = 5;
	lite(b);
	server_pass(s, US_PER_S);
	assert_string_equal(text(seen(a, b), "HomeDERP"), "5");
}

/* A profile for every owner, with the first peer that needs it. */
static void
trap_49_79(void **state)
{
	struct server *s = *state;
	struct dev *a, *b, *c;
	struct admin *adm = server_admin(s);
	uint64_t bob = admin_user(adm, "bob");
	const char *msg;
	size_t n;

	pair(s, &a, &b);
	assert_non_null(strstr(a->stream->msg[0],
	    "\"UserProfiles\":[{\"ID\":1,\"LoginName\":\"alice\""));
	c = dev_new(s, "three", admin_key(adm, bob, true, false, NULL));
	n = a->stream->nmsg;
	assert_true(dev_join(c));
	msg = ask_until(a->stream, n, c->node_key, US_PER_S);
	assert_non_null(strstr(msg, "\"LoginName\":\"bob\""));
	/* bob has no peer for a while; the profile comes again with one */
	assert_true(server_delete(s, c->id));
	server_pass(s, US_PER_S);
	n = a->stream->nmsg;
	assert_true(dev_join(c));
	msg = ask_until(a->stream, n, c->node_key, US_PER_S);
	assert_non_null(strstr(msg, "PeersChanged"));
	assert_non_null(strstr(msg, "\"LoginName\":\"bob\""));
}

static void
trap_61(void **state)
{
	struct server *s = *state;
	struct dev *a, *b;
	const char *t;
	int64_t at;

	pair(s, &a, &b);
	t = trap_member(a->stream->msg[0], "ControlTime");
	assert_true(time_parse(&at, slice_mem(t + 1, strlen(t) - 2)));
	assert_in_range(at, server_wall(s) - 30, server_wall(s));
	assert_true(at > 1673373066);
}

/* Names with a dot at the end, domains without. */
static void
trap_62_63(void **state)
{
	struct server *s = *state;
	struct dev *a, *b;

	pair(s, &a, &b);
	assert_string_equal(text(mapview_self(a->stream->view), "Name"),
	    "\"one.tailnet.internal.\"");
	assert_string_equal(text(seen(a, b), "Name"),
	    "\"two.tailnet.internal.\"");
	assert_string_equal(text(mapview_get(a->stream->view, "DNSConfig"),
	    "Domains"), "[\"tailnet.internal\"]");
	assert_string_equal(json_object_get_string(mapview_get(
	    a->stream->view, "Domain")), "tailnet.internal");
}

/* Nothing that sends a client to sleep or away; no service-host. */
static void
trap_64_66(void **state)
{
	struct server *s = *state;
	struct dev *a, *b;
	size_t i;

	pair(s, &a, &b);
	server_pass(s, 120 * US_PER_S);
	for (i = 0; i < a->stream->nmsg; i++) {
		assert_null(strstr(a->stream->msg[i], "SleepSeconds"));
		assert_null(strstr(a->stream->msg[i], "\"Exit\""));
		assert_null(strstr(a->stream->msg[i], "service-host"));
	}
}

/*
 * A search domain or route that crashes clients does not come out, even if
 * master should let it in; nor does a name that a device gave itself.
 */
static void
trap_77(void **state)
{
	static const char *const names[] = { "a..b", "-", "\xc3\xa4",
	    "x y", ".", "a_b-", "a..........................................."
	};
	struct server *s = *state;
	struct m_cfg_conf_worker c = { 0 };
	struct r_split sp = { 0 };
	struct buf search = { 0 }, split = { 0 };
	struct dev *a, *b, *d;
	struct slice name;
	struct r_text t;
	const char *n;
	size_t i;

	pair(s, &a, &b);
	c.base_domain = slice_str("tailnet.internal");
	c.magic_dns = true;
	c.max_conns = 1000;
	c.handshake_s = 10;
	c.idle_s = c.header_max = c.body_max = 1 << 20;
	c.keepalive_s = 50;
	c.stall_s = 60;
	c.overload_ms = 5000;
	for (i = 0; i < 4; i++) {
		t.v = slice_str(names[i]);
		msg_list_add(&c.search, &search, MR_TEXT, &t);
		sp.suffix = t.v;
		msg_list_add(&c.split, &split, MR_SPLIT, &sp);
	}
	t.v = slice_str("good.example");
	msg_list_add(&c.search, &search, MR_TEXT, &t);
	msg_list_close(&c.search, &search);
	msg_list_close(&c.split, &split);
	control_conf(server_control(s, a->tcp->slot), &c);
	server_pass(s, US_PER_S);
	n = json_object_to_json_string(mapview_get(a->stream->view,
	    "DNSConfig"));
	assert_non_null(strstr(n, "good.example"));
	for (i = 0; i < 4; i++)
		assert_null(strstr(n, names[i]));
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		d = dev_new(s, names[i], a->auth);
		assert_true(dev_login(d));
		lite(d);
		server_pass(s, US_PER_S);
		name = slice_str(json_object_get_string(member(seen(a, d),
		    "Name")));
		assert_true(dns_name_ok(name));
	}
	buf_free(&search);
	buf_free(&split);
}

/* A name that was freed reaches no client before the removal has. */
static void
trap_78(void **state)
{
	struct server *s = *state;
	struct dev *a, *b, *c;
	char freed[200];
	size_t i, k, n;

	pair(s, &a, &b);
	strlcpy(freed, text(seen(a, b), "Addresses"), sizeof(freed));
	c = dev_new(s, "two", a->auth);
	n = a->stream->nmsg;
	assert_true(server_delete(s, b->id));
	assert_true(dev_join(c));
	server_pass(s, US_PER_S);
	/* it got the name that was free again */
	assert_string_equal(text(seen(a, c), "Name"),
	    "\"two.tailnet.internal.\"");
	for (i = n; i < a->stream->nmsg &&
	    strstr(a->stream->msg[i], "PeersRemoved") == NULL; i++)
		;
	for (k = n; k < a->stream->nmsg &&
	    strstr(a->stream->msg[k], c->node_key) == NULL; k++)
		;
	assert_true(i < k && k < a->stream->nmsg);
	/* an address is not given out again for an hour */
	assert_string_not_equal(text(seen(a, c), "Addresses"), freed);
	agrees(a);
}

#define ROUTE_LIMIT	1024
#define NODE_LIMIT	100000	/* limits.max_nodes at most */
#define DECODED_LIMIT	(1u << 30)

/* Approves all that the node asks for, as trap_81() makes it ask. */
static void
approve_all(struct server *s, uint64_t node)
{
	struct buf list = { 0 };
	struct msg_list routes = { NULL, 0, 0 };
	struct r_route r;
	char text[64];
	unsigned int i;

	for (i = 0; i < ROUTE_LIMIT; i++) {
		memset(&r, 0, sizeof(r));
		snprintf(text, sizeof(text), "2001:db8:%x:1234:5678::/80", i);
		assert_true(prefix_parse(&r.v, slice_str(text)));
		msg_list_add(&routes, &list, MR_ROUTE, &r);
	}
	msg_list_close(&routes, &list);
	assert_true(server_approve(s, node, &routes));
	buf_free(&list);
	server_pass(s, US_PER_S);
}

static size_t
length_of(struct dev *a, struct dev *b)
{
	return strlen(json_object_to_json_string_ext(seen(a, b),
	    JSON_C_TO_STRING_PLAIN));
}

/*
 * The largest that a node can make of itself, times the nodes that a tailnet
 * can have, is less than 1 GiB decoded; and of what an administrator lets it
 * make of itself, as a router, far more fit than there are in any tailnet.
 */
static void
trap_81(void **state)
{
	struct server *s = *state;
	struct dev *a, *b;
	struct buf extra = { 0 }, eps = { 0 };
	unsigned int i;
	size_t n, router;

	pair(s, &a, &b);
	buf_str(&extra, "\"OSVersion\":\"");
	for (i = 0; i < 2000; i++)
		buf_str(&extra, "\\u0001");
	buf_str(&extra, "\",\"RoutableIPs\":[");
	for (i = 0; i < ROUTE_LIMIT; i++)
		buf_printf(&extra, "%s\"2001:db8:%x:1234:5678::/80\"",
		    i == 0 ? "" : ",", i);
	buf_str(&extra, "],\"sshHostKeys\":[");
	for (i = 0; i < 16; i++)
		buf_printf(&extra, "%s\"%0250u\"", i == 0 ? "" : ",", i);
	buf_str(&extra, "],\"Services\":[");
	for (i = 0; i < 64; i++)
		buf_printf(&extra, "%s{\"Proto\":\"%032u\",\"Port\":65535}",
		    i == 0 ? "" : ",", i);
	buf_str(&extra, "]");
	buf_u8(&extra, 0);
	for (i = 0; i < 40; i++)
		buf_printf(&eps, "%s\"[2001:db8:1111:2222:3333:4444:5555:%x]:"
		    "65535\"", i == 0 ? "" : ",", 0x1000 + i);
	buf_u8(&eps, 0);
	b->extra = (const char *)extra.p;
	b->endpoints = (const char *)eps.p;
	lite(b);
	server_pass(s, US_PER_S);
	n = length_of(a, b);
	assert_in_range(n, 2000, 10000);
	assert_true(n * NODE_LIMIT < DECODED_LIMIT);
	/* Its routes stand in it twice, once they are approved. */
	approve_all(s, b->id);
	router = length_of(a, b);
	assert_in_range(router, n + 2 * ROUTE_LIMIT * 28, 80000);
	assert_true(router * 10000 < DECODED_LIMIT);
	b->extra = NULL;
	b->endpoints = NULL;
	buf_free(&extra);
	buf_free(&eps);
}

int
main(void)
{
#define T(t)	cmocka_unit_test_setup_teardown(t, trap_setup, trap_teardown)
	const struct CMUnitTest tests[] = {
		T(trap_21), T(trap_22), T(trap_23), T(trap_24), T(trap_25),
		T(trap_26), T(trap_27), T(trap_28), T(trap_29),
		T(trap_30_31), T(trap_32), T(trap_33_34_35), T(trap_36),
		T(trap_37), T(trap_49_79), T(trap_61), T(trap_62_63),
		T(trap_64_66), T(trap_77), T(trap_78), T(trap_81)
	};
#undef T

	return cmocka_run_group_tests(tests, NULL, NULL);
}
