/* What is asked outside of Noise, and paths within that need no dbd. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/enc.h"
#include "common/json_read.h"
#include "common/version.h"
#include "regress/lib/ctlworld.h"
#include "regress/lib/tlsh2.h"

#define CLIENT		148

/* One plain request on a connection of its own; the whole answer as text. */
static const char *
plain(struct ctlworld *w, const char *line)
{
	return cw_raw(w, "%s HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n"
	    "Connection: close\r\n\r\n", line);
}

static bool
begins(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

static const char *
body_of(const char *answer)
{
	const char *at = strstr(answer, "\r\n\r\n");

	assert_non_null(at);
	return at + 4;
}

/* protocol.md 1.1; traps 12 and 13. */
static void
t_key(void **state)
{
	static const uint8_t zero[KEY_LEN];
	static const char *const good[] = { "GET /key?v=148", "GET /key?v=39",
	    "GET /key?v=1", "GET /key?v=" };
	struct ctlworld *w = *state;
	char want[300], key[KEY_TEXT], none[KEY_TEXT];
	const char *a;
	size_t i;

	key_print(key, KEY_MACHINE, keyd_public(w->net->keyd));
	key_print(none, KEY_MACHINE, zero);
	snprintf(want, sizeof(want),
	    "{\"legacyPublicKey\":\"%s\",\"publicKey\":\"%s\"}", none, key);
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		a = plain(w, good[i]);
		assert_true(begins(a, "HTTP/1.1 200 "));
		assert_non_null(strcasestr(a,
		    "\r\ncontent-type: application/json\r\n"));
		assert_string_equal(body_of(a), want);
	}
	assert_true(begins(plain(w, "GET /key"), "HTTP/1.1 400 "));
	assert_true(begins(plain(w, "GET /key?x=148"), "HTTP/1.1 400 "));
	a = plain(w, "HEAD /key?v=148");
	assert_true(begins(a, "HTTP/1.1 200 "));
	assert_string_equal(body_of(a), "");
	a = plain(w, "POST /key?v=148");
	assert_true(begins(a, "HTTP/1.1 405 "));
	assert_non_null(strcasestr(a, "\r\nallow: GET, HEAD\r\n"));
}

/* The key is known for as long as the process lives, keyd or not. */
static void
t_key_without_keyd(void **state)
{
	struct ctlworld *w = *state;

	networld_keyd(w->net, false);
	assert_true(begins(plain(w, "GET /key?v=148"), "HTTP/1.1 200 "));
}

static void
t_health(void **state)
{
	struct ctlworld *w = *state;
	const char *a;

	a = plain(w, "GET /health");
	assert_true(begins(a, "HTTP/1.1 200 "));
	assert_non_null(strcasestr(a,
	    "\r\ncontent-type: application/health+json\r\n"));
	assert_string_equal(body_of(a), "{\"status\":\"pass\"}");
	ctlworld_db(w, false);
	a = plain(w, "GET /health");
	assert_true(begins(a, "HTTP/1.1 503 "));
	assert_string_equal(body_of(a), "{\"status\":\"fail\"}");
	ctlworld_db(w, true);
	assert_true(begins(plain(w, "GET /health"), "HTTP/1.1 200 "));
}

static void
t_version(void **state)
{
	struct ctlworld *w = *state;
	struct jdoc *doc;
	struct slice s;
	uint64_t n;
	const char *a, *b;

	a = plain(w, "GET /version");
	assert_true(begins(a, "HTTP/1.1 200 "));
	b = body_of(a);
	doc = json_read(b, strlen(b), 1000, NULL, NULL);
	assert_non_null(doc);
	assert_true(jval_str(jval_get(jdoc_root(doc), "version"), &s));
	assert_true(slice_eqs(s, HEADSCALED_VERSION));
	assert_true(jval_u64(jval_get(jdoc_root(doc), "minimum_capability"),
	    &n));
	assert_int_equal(n, CAPVER_MIN);
	jdoc_free(doc, false);
}

/* What is not there; the Noise paths are not served outside of Noise. */
static void
t_unknown(void **state)
{
	static const char *const none[] = { "GET /", "GET /keys?v=1",
	    "GET /key/?v=1", "GET /machine/map", "POST /machine/map",
	    "POST /machine/register", "GET /api/v1/node", "GET /%6bey?v=1",
	    "GET /../key?v=1" };
	struct ctlworld *w = *state;
	size_t i;

	for (i = 0; i < sizeof(none) / sizeof(none[0]); i++)
		assert_true(begins(plain(w, none[i]), "HTTP/1.1 404 "));
	assert_int_equal(w->ngot, 1);		/* the hello alone */
	assert_int_equal(cw_count(w, M_DB_HELLO_DONE), 1);
}

static void
configure(struct ctlworld *w, bool hsts)
{
	struct m_cfg_conf_worker c;

	cw_conf_relay(&c);
	c.hsts = hsts;
	control_conf(w->c, &c);
}

static struct tlsworld *
tls_new_around(struct ctlworld *w)
{
	struct tlsworld *x = calloc(1, sizeof(*x));
	struct tls_signer s;

	x->w = w->net;
	x->kit = certkit_new();
	s = certkit_signer(x->kit);
	x->tls = tls_new(&s);
	certkit_add(x->kit, x->tls, CK_ED25519, "DNS:hs.example.org");
	net_tls(control_net(w->c), x->tls);
	return x;
}

static void
tls_gone(struct ctlworld *w, struct tlsworld *x, struct tlsh2 *h)
{
	th_free(h);
	net_tls(control_net(w->c), NULL);
	tls_free(x->tls);
	certkit_free(x->kit);
	free(x);
}

/*
 * By HTTP/2 over TLS: the same answers, but for what needs an upgrade; and as
 * little of what is served inside of Noise.
 */
static void
t_h2(void **state)
{
	static const struct {
		const char	*method, *path;
		unsigned int	 status;
		const char	*text;
	} v[] = {
		{ "GET", "/key?v=148", 200, "\"publicKey\":\"mkey:" },
		{ "GET", "/key", 400, "v=" },
		{ "POST", "/key?v=148", 405, "GET, HEAD" },
		{ "GET", "/health", 200, "pass" },
		{ "GET", "/version", 200, HEADSCALED_VERSION },
		{ "GET", "/derp/probe", 200, "" },
		{ "HEAD", "/derp/latency-check", 200, "" },
		{ "GET", "/generate_204", 204, "" },
		{ "GET", "/bootstrap-dns", 200,
		    "{\"hs.example.org\":[\"192.0.2.7\"]}" },
		{ "POST", "/verify", 400, "JSON" },
		{ "GET", "/.well-known/acme-challenge/x", 404, "challenge" },
		{ "GET", "/derp", 426, "HTTP/1.1" },
		{ "POST", "/ts2021", 426, "HTTP/1.1" },
		{ "GET", "/ts2021", 426, "HTTP/1.1" },
		{ "POST", "/machine/register", 404, "no such page" },
		{ "POST", "/machine/map", 404, "no such page" },
		{ "POST", "/machine/update-health", 404, "no such page" },
		{ "GET", "/machine/whoami", 404, "no such page" },
		{ "GET", "/", 404, "no such page" }
	};
	struct ctlworld *w = *state;
	struct tlsworld *x = tls_new_around(w);
	struct th_answer *a;
	struct tlsh2 *h;
	size_t i;

	configure(w, false);
	h = th_dial(x, 0);
	for (i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		a = th_ask(h, v[i].method, v[i].path, NULL, "{}",
		    strcmp(v[i].method, "POST") == 0 ? 1 : 0);
		assert_true(a->ended && a->error == 0);
		assert_int_equal(a->status, v[i].status);
		assert_true(v[i].text[0] == '\0' ? a->body.n == 0 :
		    memmem(a->body.p, a->body.n, v[i].text,
		    strlen(v[i].text)) != NULL);
		assert_false(th_has(a, "strict-transport-security"));
	}
	configure(w, true);
	assert_true(th_has(th_ask(h, "GET", "/health", NULL, NULL, 0),
	    "strict-transport-security: max-age=31536000\n"));
	assert_null(strcasestr(plain(w, "GET /health"),
	    "strict-transport-security"));
	assert_int_equal(w->ngot, 1);		/* the hello alone */
	tls_gone(w, x, h);
}

/* What dbd has to say comes later, and then not to whoever is gone. */
static void
t_h2_verify(void **state)
{
	static const char body[] = "{\"NodePublic\":\"nodekey:79a631eede1bf9c9"
	    "8f12032cdeadd0e7a079398fc786b88cc846ec89af85a51a\"}";
	struct ctlworld *w = *state;
	struct tlsworld *x = tls_new_around(w);
	struct tlsh2 *h = th_dial(x, 0);
	struct th_answer *a[3];
	struct msg m;
	size_t i;

	for (i = 0; i < 3; i++)
		a[i] = th_ask(h, "POST", "/verify", NULL, body,
		    sizeof(body) - 1);
	h2_client_cancel(h->c, 3);
	th_run(h);
	ctlworld_run(w);
	assert_int_equal(cw_count(w, M_DB_NODE_KEY), 3);
	for (i = 0; i < 3; i++) {
		msg_init(&m, M_DB_NODE_KEY_OK);
		m.u.db_node_key_ok.allow = i != 0;
		cw_say(w, &m, cw_got(w, M_DB_NODE_KEY, i));
	}
	ctlworld_run(w);
	th_run(h);
	assert_true(a[0]->ended && a[0]->status == 200);
	assert_true(slice_eqs(buf_slice_of(&a[0]->body),
	    "{\"Allow\":false}"));
	assert_true(a[1]->ended && a[1]->status == 0 && a[1]->error == 8);
	assert_true(slice_eqs(buf_slice_of(&a[2]->body), "{\"Allow\":true}"));
	tls_gone(w, x, h);
}

/* /machine/...: built, not yet built, and none. */
static void
t_machine(void **state)
{
	static const struct { const char *method, *path; } later[] = {
		{ "POST", "/machine/set-dns" },
		{ "PATCH", "/machine/set-device-attr" },
		{ "POST", "/machine/audit-log" },
		{ "POST", "/machine/id-token" },
		{ "POST", "/machine/feature/query" },
		{ "POST", "/machine/webclient/init/1/to/2" },
		{ "GET", "/machine/whoami" },
		{ "GET", "/machine/tka/init/begin" },
		{ "GET", "/machine/ssh/action/1/to/2" },
		{ "POST", "/machine/" }
	};
	struct ctlworld *w = *state;
	struct wire *x = cw_client(w, 1, CLIENT);
	struct cw_ask *a;
	struct jdoc *doc;
	struct slice s;
	size_t i;

	for (i = 0; i < sizeof(later) / sizeof(later[0]); i++) {
		/* GET with a body, too (trap 57) */
		a = cw_ask(x, later[i].method, later[i].path, "{\"a\":1}");
		assert_true(a->ended && a->error == 0);
		assert_int_equal(a->status, 501);
		doc = json_read(a->body.p, a->body.n, 1000, NULL, NULL);
		assert_non_null(doc);
		assert_true(jval_str(jval_get(jdoc_root(doc), "error"), &s));
		assert_true(s.n != 0);
		jdoc_free(doc, false);
	}
	a = cw_ask(x, "POST", "/machine/update-health", "{\"Subsys\":\"\"}");
	assert_int_equal(a->status, 204);
	assert_int_equal(a->body.n, 0);
	a = cw_ask(x, "GET", "/machine/map", NULL);
	assert_int_equal(a->status, 405);
	a = cw_ask(x, "PUT", "/machine/register", "{}");
	assert_int_equal(a->status, 405);
	assert_non_null(memmem(a->fields.p, a->fields.n, "allow: POST\n",
	    12));
	a = cw_ask(x, "GET", "/key?v=148", NULL);
	assert_int_equal(a->status, 404);
	a = cw_ask(x, "POST", "/machine", NULL);
	assert_int_equal(a->status, 404);
	assert_int_equal(w->ngot, 1);
}

/* Names that crash clients never get into force (trap 77). */
static void
t_conf_check(void **state)
{
	static const char *const bad[] = { "a..b", "-a.b", "a b", "",
	    "x.\xc3\xa4", "a.b.." };
	struct m_cfg_conf_worker c = { 0 };
	struct r_split sp = { 0 };
	struct r_text t;
	struct buf b = { 0 };
	char why[200];
	size_t i;

	(void)state;
	c.base_domain = slice_str("ts.example");
	c.max_conns = 10;
	c.header_max = 16384;
	c.body_max = 1 << 20;
	assert_int_equal(control_conf_check(&c, why, sizeof(why)), 0);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		c.base_domain = slice_str(bad[i]);
		assert_int_equal(control_conf_check(&c, why, sizeof(why)),
		    -1);
		c.base_domain = slice_str("ts.example");
		buf_clear(&b);
		memset(&c.search, 0, sizeof(c.search));
		t.v = slice_str(bad[i]);
		msg_list_add(&c.search, &b, MR_TEXT, &t);
		msg_list_close(&c.search, &b);
		assert_int_equal(control_conf_check(&c, why, sizeof(why)),
		    -1);
		assert_non_null(strstr(why, "search"));
		memset(&c.search, 0, sizeof(c.search));
		buf_clear(&b);
		memset(&c.split, 0, sizeof(c.split));
		sp.suffix = slice_str(bad[i]);
		if (sp.suffix.n != 0) {
			msg_list_add(&c.split, &b, MR_SPLIT, &sp);
			msg_list_close(&c.split, &b);
			assert_int_equal(control_conf_check(&c, why,
			    sizeof(why)), -1);
			assert_non_null(strstr(why, "split"));
		}
		memset(&c.split, 0, sizeof(c.split));
	}
	buf_free(&b);
	c.max_conns = 0;
	assert_int_equal(control_conf_check(&c, why, sizeof(why)), -1);
	c.max_conns = 10;
	c.header_max = 100;
	assert_int_equal(control_conf_check(&c, why, sizeof(why)), -1);
	c.header_max = 16384;
	c.body_max = 100;
	assert_int_equal(control_conf_check(&c, why, sizeof(why)), -1);
}

int
main(void)
{
#define T(t)	cmocka_unit_test_setup_teardown(t, ctlworld_setup, \
		    ctlworld_teardown)
	const struct CMUnitTest tests[] = {
		T(t_key), T(t_key_without_keyd), T(t_health), T(t_version),
		T(t_unknown), T(t_h2), T(t_h2_verify), T(t_machine),
		cmocka_unit_test(t_conf_check)
	};
#undef T

	return cmocka_run_group_tests(tests, NULL, NULL);
}
