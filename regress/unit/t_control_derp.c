/* The relay's paths outside of /derp itself: derp.md 1.1, 5, 8. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "regress/lib/ctlworld.h"
#include "worker/tailnet/derpmap.h"

#define KEY	"nodekey:79a631eede1bf9c98f12032cdeadd0e7" \
    "a079398fc786b88cc846ec89af85a51a"

static const char *
ask(struct ctlworld *w, const char *line, const char *fields, const char *body)
{
	return cw_raw(w, "%s HTTP/1.1\r\nHost: h\r\nContent-Length: %zu\r\n"
	    "%s\r\n%s", line, strlen(body), fields, body);
}

static bool
begins(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

/* The relay of record relay, in the configuration of ctlworld. */
static void
enable_from(struct ctlworld *w, bool plain, struct msg_list proxies,
    struct msg_list verify_from)
{
	struct m_cfg_conf_worker c;

	cw_conf_relay(&c);
	c.proxies = proxies;
	c.verify_from = verify_from;
	c.relay.plain = plain;
	control_conf(w->c, &c);
}

static void
enable(struct ctlworld *w, bool plain)
{
	struct msg_list none = { 0 };

	enable_from(w, plain, none, none);
}

static void
t_off(void **state)
{
	struct ctlworld *w = *state;

	assert_true(begins(ask(w, "GET /derp", "", ""), "HTTP/1.1 404 "));
	assert_true(begins(ask(w, "GET /derp/probe", "", ""),
	    "HTTP/1.1 404 "));
	assert_non_null(strstr(ask(w, "GET /bootstrap-dns", "", ""),
	    "\r\n\r\n{}"));
}

static void
t_upgrade(void **state)
{
	struct ctlworld *w = *state;
	const char *a;

	enable(w, false);
	a = ask(w, "GET /derp", "", "");
	assert_true(begins(a, "HTTP/1.1 426 "));
	a = ask(w, "GET /derp", "Upgrade: h2c\r\nConnection: Upgrade\r\n", "");
	assert_true(begins(a, "HTTP/1.1 426 "));
	a = ask(w, "POST /derp", "Upgrade: DERP\r\nConnection: Upgrade\r\n",
	    "");
	assert_true(begins(a, "HTTP/1.1 405 "));
	/* Not without TLS, unless that is configured. */
	a = ask(w, "GET /derp", "Upgrade: DERP\r\nConnection: Upgrade\r\n",
	    "");
	assert_true(begins(a, "HTTP/1.1 403 "));
	enable(w, true);
	a = ask(w, "GET /derp", "Upgrade: DERP\r\nConnection: Upgrade\r\n",
	    "");
	assert_true(begins(a, "HTTP/1.1 503 "));	/* keyd has no key */
}

/* Turned off by a configuration: the relay ends, not only its path. */
static void
t_turned_off(void **state)
{
	struct ctlworld *w = *state;
	struct m_cfg_conf_worker c;
	struct msg m;

	msg_init(&m, M_KEY_SERVER);
	memset(m.u.key_server.derp, 7, sizeof(m.u.key_server.derp));
	control_key_msg(w->c, &m, NULL);
	enable(w, true);
	assert_true(relay_is_ready(control_relay(w->c)));
	enable(w, true);
	assert_true(relay_is_ready(control_relay(w->c)));
	cw_conf_relay(&c);
	c.relay.enabled = false;
	control_conf(w->c, &c);
	assert_false(relay_is_ready(control_relay(w->c)));
	assert_true(begins(ask(w, "GET /derp", "", ""), "HTTP/1.1 404 "));
	enable(w, true);
	assert_true(relay_is_ready(control_relay(w->c)));
}

/* What dbd says before the first configuration is for the relay, too. */
static void
t_made_early(void **state)
{
	struct ctlworld *w = *state;
	struct control_ops ops = { NULL, NULL };
	struct control *c = control_new(w->env, &ops);

	assert_null(control_relay(c));
	control_set_slot(c, 2);
	assert_non_null(control_relay(c));
	control_free(c);
}

static void
t_probe(void **state)
{
	static const char *const path[] = { "GET /derp/probe",
	    "GET /derp/latency-check", "HEAD /derp/probe" };
	struct ctlworld *w = *state;
	const char *a;
	size_t i;

	enable(w, false);
	for (i = 0; i < 3; i++) {
		a = ask(w, path[i], "", "");
		assert_true(begins(a, "HTTP/1.1 200 "));
		assert_non_null(strcasestr(a,
		    "\r\naccess-control-allow-origin: *\r\n"));
		assert_non_null(strcasestr(a, "\r\ncontent-length: 0\r\n"));
	}
	assert_true(begins(ask(w, "POST /derp/probe", "", ""),
	    "HTTP/1.1 405 "));
}

/* S14 of derp.md: pages of others may read the two probes, nothing else. */
static void
t_no_cors(void **state)
{
	static const char *const path[] = { "GET /", "GET /key?v=113",
	    "GET /health", "GET /version", "GET /generate_204",
	    "GET /bootstrap-dns", "GET /derp", "POST /verify",
	    "OPTIONS /verify", "OPTIONS /derp/probe", "POST /machine/map",
	    "GET /none" };
	struct ctlworld *w = *state;
	const char *a;
	size_t i;

	enable(w, false);
	for (i = 0; i < sizeof(path) / sizeof(path[0]); i++) {
		a = ask(w, path[i], "Origin: https://evil.example\r\n", "");
		assert_true(begins(a, "HTTP/1.1 "));
		if (strcasestr(a, "\r\naccess-control-") != NULL)
			fail_msg("%s: %s", path[i], a);
	}
}

/* derp.md 5.2: what comes back is only what can do no harm. */
static void
t_generate_204(void **state)
{
	static const struct {
		const char	*fields;
		const char	*want;		/* NULL: nothing */
	} v[] = {
		{ "", NULL },
		{ "X-Tailscale-Challenge: ts_192.0.2.7\r\n",
		    "\r\nx-tailscale-response: response ts_192.0.2.7\r\n" },
		{ "X-Tailscale-Challenge: a-b_c.d:9\r\n",
		    "\r\nx-tailscale-response: response a-b_c.d:9\r\n" },
		{ "X-Tailscale-Challenge: a b\r\n", NULL },
		{ "X-Tailscale-Challenge: a/b\r\n", NULL },
		{ "X-Tailscale-Challenge: 01234567890123456789012345678901234"
		    "567890123456789012345678901234\r\n", NULL }
	};
	struct ctlworld *w = *state;
	const char *a;
	size_t i;

	for (i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		a = ask(w, "GET /generate_204?t=1", v[i].fields, "");
		assert_true(begins(a, "HTTP/1.1 204 "));
		assert_non_null(strcasestr(a, "\r\ncache-control: no-cache, "
		    "no-store, must-revalidate, no-transform, max-age=0\r\n"));
		if (v[i].want == NULL)
			assert_null(strcasestr(a, "x-tailscale-response"));
		else
			assert_non_null(strcasestr(a, v[i].want));
	}
}

static void
t_bootstrap(void **state)
{
	struct ctlworld *w = *state;
	const char *a;

	enable(w, false);
	a = ask(w, "GET /bootstrap-dns?q=hs.example.org", "", "");
	assert_true(begins(a, "HTTP/1.1 200 "));
	assert_non_null(strstr(a,
	    "\r\n\r\n{\"hs.example.org\":[\"192.0.2.7\"]}"));
}

#define NODE(name, id, host, more)	"{\"Name\":\"" name "\",\"RegionID\":" \
    id ",\"HostName\":\"" host "\"" more "}"

/* Every host of the map whose addresses are in it, ours first; each once. */
static void
t_bootstrap_map(void **state)
{
	static const char map[] = "{\"Regions\":{"
	    "\"2\":{\"RegionID\":2,\"Nodes\":[" NODE("2b", "2", "b.example",
	    ",\"IPv6\":\"2001:db8::2\",\"IPv4\":\"192.0.2.2\"") ","
	    NODE("2n", "2", "dns.example", ",\"IPv6\":\"none\"") ","
	    NODE("2x", "2", "192.0.2.99", ",\"IPv4\":\"192.0.2.99\"") ","
	    NODE("2c", "2", "b.example", ",\"DERPPort\":8443,\"IPv4\":"
	    "\"192.0.2.2\"") "]},\"3\":{\"RegionID\":3,\"Nodes\":["
	    NODE("3a", "3", "a.example", ",\"IPv4\":\"192.0.2.3\",\"STUNOnly\":"
	    "false") "," NODE("3b", "3", "b.example", ",\"IPv4\":"
	    "\"192.0.2.1\"") "]}}}";
	struct ctlworld *w = *state;
	char why[200];
	const char *a;

	enable(w, false);
	control_derpmap(w->c, derpmap_parse(map, strlen(map), "m", why,
	    sizeof(why)));
	a = ask(w, "GET /bootstrap-dns?q=b.example", "", "");
	assert_true(begins(a, "HTTP/1.1 200 "));
	assert_non_null(strstr(a, "\r\n\r\n{\"hs.example.org\":[\"192.0.2.7\"],"
	    "\"a.example\":[\"192.0.2.3\"],\"b.example\":[\"192.0.2.1\","
	    "\"192.0.2.2\",\"2001:db8::2\"]}"));
	control_derpmap(w->c, NULL);
	a = ask(w, "GET /bootstrap-dns?q=b.example", "", "");
	assert_non_null(strstr(a,
	    "\r\n\r\n{\"hs.example.org\":[\"192.0.2.7\"]}"));
}

/* Of a huge map, not all: the answer is for anybody who asks. */
static void
t_bootstrap_bound(void **state)
{
	struct ctlworld *w = *state;
	struct buf b = { NULL, 0, 0 };
	struct derpmap *d;
	char why[200];
	const char *a;
	unsigned int i, k;

	enable(w, false);
	buf_str(&b, "{\"Regions\":{");
	for (i = 1; i <= 80; i++) {
		buf_printf(&b, "%s\"%u\":{\"RegionID\":%u,\"Nodes\":[",
		    i == 1 ? "" : ",", i, i);
		for (k = 0; k < 40; k++)
			buf_printf(&b, "%s{\"Name\":\"%u.%u\",\"RegionID\":%u,"
			    "\"HostName\":\"h%u.r%u.example\",\"IPv4\":"
			    "\"192.0.2.1\"}", k == 0 ? "" : ",", i, k, i, k, i);
		buf_str(&b, "]}");
	}
	buf_str(&b, "}}");
	d = derpmap_parse(b.p, b.n, "m", why, sizeof(why));
	if (d == NULL)
		fail_msg("%s", why);
	control_derpmap(w->c, d);
	a = ask(w, "GET /bootstrap-dns", "", "");
	assert_non_null(strstr(a, "\r\n\r\n{\"hs.example.org\":[\"192.0.2.7\"],"
	    "\"h0.r1.example\":[\"192.0.2.1\"],"));
	i = (unsigned int)strtoul(strcasestr(a, "content-length:") + 15, NULL,
	    10);
	assert_in_range(i, 65000, 66000);
	buf_free(&b);
}

static void
answer(struct ctlworld *w, size_t k, bool allow)
{
	struct msg m;

	msg_init(&m, M_DB_NODE_KEY_OK);
	m.u.db_node_key_ok.allow = allow;
	cw_say(w, &m, cw_got(w, M_DB_NODE_KEY, k));
	ctlworld_run(w);
}

static void
t_verify(void **state)
{
	struct ctlworld *w = *state;
	struct wire *x[2];
	size_t i;

	for (i = 0; i < 2; i++) {
		x[i] = wire_raw(w->net);
		wire_send(x[i], "POST /verify HTTP/1.1\r\nHost: h\r\n"
		    "Content-Length: 96\r\n\r\n{\"NodePublic\":\"" KEY
		    "\",\"S\":\"\"}");
	}
	ctlworld_run(w);
	assert_int_equal(cw_count(w, M_DB_NODE_KEY), 2);
	answer(w, 0, true);
	answer(w, 1, false);
	assert_non_null(memmem(x[0]->from.p, x[0]->from.n,
	    "\r\n\r\n{\"Allow\":true}", 18));
	assert_non_null(memmem(x[1]->from.p, x[1]->from.n,
	    "\r\n\r\n{\"Allow\":false}", 19));
}

static void
t_verify_bad(void **state)
{
	struct ctlworld *w = *state;
	char large[5000];

	assert_true(begins(ask(w, "GET /verify", "", ""), "HTTP/1.1 405 "));
	assert_true(begins(ask(w, "POST /verify", "", "{"), "HTTP/1.1 400 "));
	assert_true(begins(ask(w, "POST /verify", "", "{\"NodePublic\":1}"),
	    "HTTP/1.1 400 "));
	assert_true(begins(ask(w, "POST /verify", "",
	    "{\"NodePublic\":\"mkey:00\"}"), "HTTP/1.1 400 "));
	memset(large, ' ', sizeof(large));
	large[sizeof(large) - 1] = '\0';
	assert_true(begins(ask(w, "POST /verify", "", large),
	    "HTTP/1.1 413 "));
	assert_int_equal(cw_count(w, M_DB_NODE_KEY), 0);
}

/*
 * One more question on a connection that lives on, and dbd's answer if it was
 * asked.  Returns the status.
 */
static unsigned int
verify_again(struct ctlworld *w, struct wire *x)
{
	size_t asked = cw_count(w, M_DB_NODE_KEY);
	char text[4] = "";

	buf_clear(&x->from);
	wire_send(x, "POST /verify HTTP/1.1\r\nHost: h\r\n"
	    "Content-Length: 90\r\n\r\n{\"NodePublic\":\"" KEY "\"} ");
	ctlworld_run(w);
	if (cw_count(w, M_DB_NODE_KEY) != asked)
		answer(w, asked, true);
	assert_true(x->from.n > 12);
	assert_memory_equal(x->from.p, "HTTP/1.1 ", 9);
	memcpy(text, x->from.p + 9, 3);
	return (unsigned int)strtoul(text, NULL, 10);
}

/* dbd dies while it is asked; and no more is asked than it can bear. */
static void
t_verify_lost(void **state)
{
	struct ctlworld *w = *state;
	struct wire *x = wire_raw(w->net);
	unsigned int i, status, refused = 0;

	wire_send(x, "POST /verify HTTP/1.1\r\nHost: h\r\n"
	    "Content-Length: 90\r\n\r\n{\"NodePublic\":\"" KEY "\"} ");
	ctlworld_run(w);
	assert_int_equal(cw_count(w, M_DB_NODE_KEY), 1);
	ctlworld_db(w, false);
	ctlworld_run(w);
	assert_int_equal(memcmp(x->from.p, "HTTP/1.1 503 ", 13), 0);
	ctlworld_db(w, true);
	/* All on one connection: a client may have only so many. */
	x = wire_raw(w->net);
	for (i = 0; i < 300; i++) {
		status = verify_again(w, x);
		assert_true(status == 200 || status == 429);
		refused += status == 429;
	}
	assert_true(refused >= 40 && refused < 300);
	assert_int_equal(cw_count(w, M_DB_NODE_KEY), 1 + 300 - refused);
	ctlworld_pass(w, US_PER_S);
	assert_int_equal(verify_again(w, x), 200);
}

static void
add_prefix(struct msg_list *list, struct buf *b, const char *text)
{
	struct r_route r;

	assert_true(prefix_parse(&r.v, slice_str(text)));
	msg_list_add(list, b, MR_ROUTE, &r);
	msg_list_close(list, b);
}

/* The answer to the question of a client that a proxy speaks for. */
static unsigned int
verify_for(struct ctlworld *w, struct wire *x, const char *who)
{
	size_t asked = cw_count(w, M_DB_NODE_KEY);
	struct buf b = { 0 };
	char text[4] = "";

	buf_clear(&x->from);
	buf_printf(&b, "POST /verify HTTP/1.1\r\nHost: h\r\n"
	    "X-Forwarded-For: %s\r\nContent-Length: 90\r\n\r\n"
	    "{\"NodePublic\":\"" KEY "\"} ", who);
	buf_u8(&b, 0);
	wire_send(x, (const char *)b.p);
	buf_free(&b);
	ctlworld_run(w);
	if (cw_count(w, M_DB_NODE_KEY) != asked)
		answer(w, asked, true);
	assert_true(x->from.n > 12);
	memcpy(text, x->from.p + 9, 3);
	return (unsigned int)strtoul(text, NULL, 10);
}

/* Who asks too much is refused, and nobody else is. */
static void
t_verify_sources(void **state)
{
	struct ctlworld *w = *state;
	struct msg_list proxies = { 0 }, none = { 0 };
	struct buf b = { 0 };
	struct wire *x = wire_raw(w->net);
	unsigned int i, refused = 0;
	char who[32];

	add_prefix(&proxies, &b, "192.0.2.1/32");
	enable_from(w, false, proxies, none);
	for (i = 0; i < 300; i++)
		refused += verify_for(w, x, "198.51.100.1") == 429;
	assert_true(refused >= 40);
	assert_int_equal(verify_for(w, x, "198.51.100.1"), 429);
	assert_int_equal(verify_for(w, x, "198.51.100.2"), 200);
	/* A /64 is one. */
	for (i = 0; i < 300; i++) {
		(void)snprintf(who, sizeof(who), "2001:db8::%x", i + 1);
		(void)verify_for(w, x, who);
	}
	assert_int_equal(verify_for(w, x, "2001:db8::1"), 429);
	assert_int_equal(verify_for(w, x, "2001:db8:0:1::1"), 200);
	/* This host's own relays have no bound. */
	for (i = 0; i < 600; i++)
		assert_int_equal(verify_for(w, x, "127.0.0.1"), 200);
	/* Many at once, each of whom has asked but once. */
	for (i = 0; i < 2000; i++) {
		(void)snprintf(who, sizeof(who), "10.7.%u.%u", i / 256,
		    i % 256);
		assert_int_equal(verify_for(w, x, who), 200);
	}
	ctlworld_pass(w, US_PER_S);
	assert_int_equal(verify_for(w, x, "198.51.100.1"), 200);
	buf_free(&b);
}

/* If some are named nobody else may ask, and they as much as they like. */
static void
t_verify_from(void **state)
{
	struct ctlworld *w = *state;
	struct msg_list proxies = { 0 }, from = { 0 }, none = { 0 };
	struct buf b = { 0 }, b2 = { 0 };
	struct wire *x = wire_raw(w->net);
	unsigned int i;

	add_prefix(&proxies, &b, "192.0.2.1/32");
	add_prefix(&from, &b2, "198.51.100.0/24");
	enable_from(w, false, proxies, from);
	for (i = 0; i < 600; i++)
		assert_int_equal(verify_for(w, x, "198.51.100.9"), 200);
	assert_int_equal(verify_for(w, x, "198.51.101.9"), 403);
	assert_int_equal(verify_for(w, x, "127.0.0.1"), 403);
	assert_int_equal(cw_count(w, M_DB_NODE_KEY), 600);
	/* A reload takes it back. */
	enable_from(w, false, proxies, none);
	assert_int_equal(verify_for(w, x, "198.51.101.9"), 200);
	buf_free(&b);
	buf_free(&b2);
}

#define TEST(f) \
	cmocka_unit_test_setup_teardown(f, ctlworld_setup, ctlworld_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(t_off),
		TEST(t_upgrade), TEST(t_turned_off),
		TEST(t_made_early),
		TEST(t_probe), TEST(t_no_cors),
		TEST(t_generate_204),
		TEST(t_bootstrap), TEST(t_bootstrap_map),
		TEST(t_bootstrap_bound),
		TEST(t_verify),
		TEST(t_verify_bad),
		TEST(t_verify_lost),
		TEST(t_verify_sources),
		TEST(t_verify_from)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
