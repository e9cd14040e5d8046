/* A worker's part in ACME, and fetched DERP maps: dbd is the test. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "regress/lib/certkit.h"
#include "regress/lib/ctlworld.h"
#include "worker/tailnet/derpmap.h"

#define URL1	"https://a.example/derp.json"
#define URL2	"https://b.example/derp.json"
#define MAP(id, host)	"{\"Regions\":{\"" id "\":{\"RegionID\":" id \
    ",\"Nodes\":[{\"Name\":\"" id "a\",\"RegionID\":" id \
    ",\"HostName\":\"" host "\"}]}}}"

static const char *
get(struct ctlworld *w, const char *path)
{
	return cw_raw(w, "GET %s HTTP/1.1\r\nHost: h\r\nConnection: close\r\n"
	    "\r\n", path);
}

static bool
is(const char *answer, unsigned int status, const char *body)
{
	const char *at = strstr(answer, "\r\n\r\n");
	char line[32];

	snprintf(line, sizeof(line), "HTTP/1.1 %u ", status);
	return at != NULL && strncmp(answer, line, strlen(line)) == 0 &&
	    (body == NULL || strcmp(at + 4, body) == 0);
}

/* dbd asks; how often it has been answered. */
static size_t
challenge(struct ctlworld *w, bool up, uint8_t kind, const char *name,
    const char *token, struct slice der)
{
	static uint32_t id;
	struct msg m;

	msg_init(&m, M_DB_CHALLENGE);
	m.u.db_challenge.up = up;
	m.u.db_challenge.kind = kind;
	m.u.db_challenge.name = slice_str(name);
	m.u.db_challenge.token = slice_str(token);
	m.u.db_challenge.thumbprint = slice_str("thumb");
	m.u.db_challenge.key = 1;
	m.u.db_challenge.der = der;
	m.id = ++id;
	pair_forge(w->db, PAIR_B, &m);
	ctlworld_run(w);
	return cw_count(w, M_DB_CHALLENGE_OK);
}

static const struct slice nothing = { NULL, 0 };

static void
t_http(void **state)
{
	struct ctlworld *w = *state;

	assert_true(is(get(w, "/.well-known/acme-challenge/t0k"), 404, NULL));
	assert_int_equal(challenge(w, true, 1, "a.example", "t0k", nothing),
	    1);
	assert_true(is(get(w, "/.well-known/acme-challenge/t0k"), 200,
	    "t0k.thumb"));
	assert_true(is(get(w, "/.well-known/acme-challenge/t0"), 404, NULL));
	assert_true(is(get(w, "/.well-known/acme-challenge/t0k/"), 404,
	    NULL));
	assert_true(is(get(w, "/.well-known/acme-challenge/"), 404, NULL));
	assert_true(is(get(w, "/.well-known/acme-challenge"), 404, NULL));
	/* Another of the same host; the first goes, the other stays. */
	(void)challenge(w, true, 1, "a.example", "other", nothing);
	assert_int_equal(challenge(w, false, 1, "a.example", "t0k", nothing),
	    3);
	assert_true(is(get(w, "/.well-known/acme-challenge/t0k"), 404, NULL));
	assert_true(is(get(w, "/.well-known/acme-challenge/other"), 200,
	    "other.thumb"));
	/* It is answered while dbd is away; a new dbd begins anew. */
	ctlworld_db(w, false);
	assert_true(is(get(w, "/.well-known/acme-challenge/other"), 200,
	    NULL));
	ctlworld_db(w, true);
	assert_true(is(get(w, "/.well-known/acme-challenge/other"), 404,
	    NULL));
}

static void
t_bounds(void **state)
{
	struct ctlworld *w = *state;
	char token[16];
	struct msg m;
	int i;

	for (i = 0; i < 64; i++) {
		snprintf(token, sizeof(token), "t%d", i);
		(void)challenge(w, true, 1, "a.example", token, nothing);
	}
	assert_int_equal(cw_count(w, M_DB_CHALLENGE_OK), 64);
	assert_true(is(get(w, "/.well-known/acme-challenge/t63"), 200,
	    "t63.thumb"));
	msg_init(&m, M_DB_CHALLENGE);
	m.u.db_challenge.up = true;
	m.u.db_challenge.kind = 1;
	m.u.db_challenge.name = slice_str("a.example");
	m.u.db_challenge.token = slice_str("one too many");
	m.u.db_challenge.thumbprint = slice_str("thumb");
	assert_int_equal(control_db_msg(w->c, &m, NULL), -1);
	(void)challenge(w, false, 1, "a.example", "t0", nothing);
	m.u.db_challenge.kind = 3;
	assert_int_equal(control_db_msg(w->c, &m, NULL), -1);
}

/* Certificates. */

static struct ctlworld *w;
static struct certkit *kit;

#define SELF_KEY	32	/* keyd's number of the self-signed one's */

static int
sign(struct tls_hs *h, unsigned int key, unsigned int scheme,
    const uint8_t *octets, size_t n, uint8_t *sig, size_t max, void *arg)
{
	struct tls_signer s = certkit_signer(kit);

	(void)arg;
	return s.sign(h, key == SELF_KEY ? CK_ED25519 + 1 : key, scheme,
	    octets, n, sig, max, s.arg);
}

static void
signer(void)
{
	struct tls_signer s = { .sign = sign };

	control_signer(w->c, &s);
}

static struct conn *
dial(void)
{
	struct ipport from = { .addr.family = 4, .addr.b = { 192, 0, 2, 7 },
	    .port = 4711 };
	struct conn *conn = conn_new(w->net->net, &from, CONN_K_TLS, false,
	    NULL);

	assert_non_null(conn);
	return conn;
}

/* Moves octets both ways. */
static void
move(struct conn *conn, struct tlsclient *c)
{
	uint8_t b[20000];
	size_t n;
	int i;

	for (i = 0; i < 8; i++) {
		if ((n = tlsclient_output(c, b, sizeof(b))) != 0 &&
		    conn_wants_input(conn))
			conn_input(conn, b, n);
		while (conn_wants_output(conn) &&
		    (n = conn_output(conn, b, sizeof(b))) != 0)
			tlsclient_input(c, b, n);
	}
}

/* True if a TLS client of this host is shown a certificate for name. */
static bool
shows(const char *host, const char *alpn, const char *name)
{
	struct tlsclient_conf conf = { .host = host, .alpn = alpn };
	struct tlsclient *c = tlsclient_new(&conf);
	struct conn *conn = dial();
	bool shown = false;
	X509 *leaf;

	move(conn, c);
	leaf = SSL_get1_peer_certificate(tlsclient_ssl(c));
	if (leaf != NULL)
		shown = X509_check_host(leaf, name, 0, 0, NULL) == 1;
	X509_free(leaf);
	conn_free(conn);
	tlsclient_free(c);
	return shown;
}

static void
say_cert(uint16_t key, const char *pem)
{
	struct msg m;

	msg_init(&m, M_DB_CERT);
	m.u.db_cert.key = key;
	m.u.db_cert.chain = slice_str(pem);
	assert_int_equal(control_db_msg(w->c, &m, NULL), 0);
}

static void
say_self(const char *name)
{
	struct buf der = { NULL, 0, 0 };
	struct msg m;

	certkit_der(kit, CK_ED25519, name, &der);
	msg_init(&m, M_KEY_CERT);
	m.u.key_cert.key = SELF_KEY;
	m.u.key_cert.der = buf_slice_of(&der);
	control_key_msg(w->c, &m, NULL);
	buf_free(&der);
}

static void
t_cert(void **state)
{
	char *a, *b;
	struct tls *t;

	w = *state;
	kit = certkit_new();
	signer();
	a = certkit_pem(kit, CK_P256, "DNS:a.example");
	b = certkit_pem(kit, CK_P256, "DNS:b.example,DNS:a.example");
	say_cert(1, "");
	say_cert(CK_P256 + 1, a);
	assert_true(shows("a.example", NULL, "a.example"));
	say_cert(CK_P256 + 1, b);
	assert_true(shows("a.example", NULL, "b.example"));
	/* One that keyd made comes after it, whatever it is for. */
	say_self("DNS:self.example,DNS:a.example");
	assert_true(shows("a.example", NULL, "b.example"));
	assert_true(shows(NULL, NULL, "b.example"));
	assert_true(shows("self.example", NULL, "self.example"));
	/* A bad one changes nothing; none is none. */
	say_cert(CK_P256 + 1, "no PEM");
	assert_true(shows("a.example", NULL, "self.example"));
	say_cert(CK_P256 + 1, a);
	assert_true(shows(NULL, NULL, "a.example"));
	say_cert(CK_P256 + 1, "");
	assert_true(shows("a.example", NULL, "self.example"));
	/* A reload's set gets it, too, and files come first. */
	say_cert(CK_P256 + 1, a);
	t = control_tls_new(w->c);
	certkit_add(kit, t, CK_P384, "DNS:file.example");
	control_tls(w->c, t);
	assert_true(shows(NULL, NULL, "file.example"));
	assert_true(shows("a.example", NULL, "a.example"));
	control_tls(w->c, NULL);
	assert_true(shows(NULL, NULL, "a.example"));
	free(a);
	free(b);
	control_tls(w->c, NULL);
	certkit_free(kit);
}

/* tls-alpn-01 (RFC 8737), without any other certificate and with one. */
static void
t_alpn(void **state)
{
	struct buf der = { NULL, 0, 0 };
	char *a;

	w = *state;
	kit = certkit_new();
	signer();
	certkit_der(kit, CK_P256, "DNS:acme.example", &der);
	assert_int_equal(challenge(w, true, 2, "a.example", "t", nothing), 1);
	assert_false(shows("a.example", "acme-tls/1", "acme.example"));
	assert_int_equal(challenge(w, true, 2, "a.example", "t",
	    buf_slice_of(&der)), 2);
	assert_true(shows("a.example", "acme-tls/1", "acme.example"));
	assert_false(shows("b.example", "acme-tls/1", "acme.example"));
	assert_false(shows("a.example", NULL, "acme.example"));
	a = certkit_pem(kit, CK_P384, "DNS:a.example");
	say_cert(CK_P384 + 1, a);
	assert_true(shows("a.example", "acme-tls/1", "acme.example"));
	assert_true(shows("a.example", NULL, "a.example"));
	/* An address is asked for by its name in the reverse tree. */
	(void)challenge(w, true, 2, "192.0.2.7", "u", buf_slice_of(&der));
	assert_true(shows("7.2.0.192.in-addr.arpa", "acme-tls/1",
	    "acme.example"));
	assert_false(shows("192.0.2.7", "acme-tls/1", "acme.example"));
	(void)challenge(w, true, 2, "2001:db8::a7", "u", buf_slice_of(&der));
	assert_true(shows("7.a.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0."
	    "8.b.d.0.1.0.0.2.ip6.arpa", "acme-tls/1", "acme.example"));
	(void)challenge(w, false, 2, "192.0.2.7", "u", nothing);
	(void)challenge(w, false, 2, "2001:db8::a7", "u", nothing);
	assert_false(shows("7.2.0.192.in-addr.arpa", "acme-tls/1",
	    "acme.example"));
	/* A reload keeps it; it goes when dbd says so. */
	control_tls(w->c, NULL);
	assert_true(shows("a.example", "acme-tls/1", "acme.example"));
	assert_int_equal(challenge(w, false, 2, "a.example", "t", nothing),
	    7);
	assert_false(shows("a.example", "acme-tls/1", "acme.example"));
	assert_true(shows("a.example", NULL, "a.example"));
	free(a);
	buf_free(&der);
	certkit_free(kit);
}

/* Two tokens for one name: the end of one takes nothing from the other. */
static void
t_alpn_two(void **state)
{
	struct buf one = { NULL, 0, 0 }, two = { NULL, 0, 0 };

	w = *state;
	kit = certkit_new();
	signer();
	certkit_der(kit, CK_P256, "DNS:one.example", &one);
	certkit_der(kit, CK_P256, "DNS:two.example", &two);
	(void)challenge(w, true, 2, "a.example", "1", buf_slice_of(&one));
	(void)challenge(w, true, 2, "a.example", "2", buf_slice_of(&two));
	assert_true(shows("a.example", "acme-tls/1", "two.example"));
	(void)challenge(w, false, 2, "a.example", "1", nothing);
	assert_true(shows("a.example", "acme-tls/1", "two.example"));
	(void)challenge(w, true, 2, "a.example", "1", buf_slice_of(&one));
	assert_true(shows("a.example", "acme-tls/1", "one.example"));
	(void)challenge(w, false, 2, "a.example", "1", nothing);
	assert_true(shows("a.example", "acme-tls/1", "two.example"));
	(void)challenge(w, false, 2, "a.example", "2", nothing);
	assert_false(shows("a.example", "acme-tls/1", "two.example"));
	assert_false(shows("a.example", "acme-tls/1", "one.example"));
	buf_free(&one);
	buf_free(&two);
	control_tls(w->c, NULL);
	certkit_free(kit);
}

/* The set of certificates is there but empty: who waits goes on at the next. */
static void
t_waits(void **state)
{
	struct tlsclient_conf conf = { .host = "a.example" };
	struct buf der = { NULL, 0, 0 };
	struct tlsclient *c;
	struct conn *conn;
	char *pem;
	int i;

	w = *state;
	kit = certkit_new();
	signer();
	certkit_der(kit, CK_P256, "DNS:acme.example", &der);
	pem = certkit_pem(kit, CK_P384, "DNS:a.example");
	for (i = 0; i < 2; i++) {
		(void)challenge(w, true, 2, "a.example", "t",
		    buf_slice_of(&der));
		(void)challenge(w, false, 2, "a.example", "t", nothing);
		c = tlsclient_new(&conf);
		conn = dial();
		move(conn, c);
		assert_false(tlsclient_is_ready(c));
		assert_false(conn_is_done(conn));
		if (i == 0)
			say_cert(CK_P384 + 1, pem);
		else
			say_self("DNS:a.example");
		ctlworld_run(w);
		move(conn, c);
		assert_true(tlsclient_is_ready(c));
		conn_free(conn);
		tlsclient_free(c);
		say_cert(CK_P384 + 1, "");
	}
	buf_free(&der);
	free(pem);
	control_tls(w->c, NULL);
	certkit_free(kit);
}

/* DERP maps. */

static int
part(uint32_t round, uint16_t k, uint16_t of, const char *url,
    const char *text, size_t at, size_t n)
{
	struct msg m;
	int rc;

	msg_init(&m, M_DB_DERPMAP_PART);
	m.u.db_derpmap_part.round = round;
	m.u.db_derpmap_part.source = k;
	m.u.db_derpmap_part.sources = of;
	m.u.db_derpmap_part.url = slice_str(url);
	m.u.db_derpmap_part.size = (uint32_t)strlen(text);
	m.u.db_derpmap_part.at = (uint32_t)at;
	m.u.db_derpmap_part.octets = slice_mem(text + at, n);
	rc = control_db_msg(w->c, &m, NULL);
	ctlworld_run(w);
	return rc;
}

/* A part of the first source that says that it has so many octets in all. */
static int
sized(size_t size, const char *text, size_t at, size_t n)
{
	struct msg m;

	msg_init(&m, M_DB_DERPMAP_PART);
	m.u.db_derpmap_part.round = 1;
	m.u.db_derpmap_part.sources = 1;
	m.u.db_derpmap_part.url = slice_str(URL1);
	m.u.db_derpmap_part.size = (uint32_t)size;
	m.u.db_derpmap_part.at = (uint32_t)at;
	m.u.db_derpmap_part.octets = slice_mem(text + at, n);
	return control_db_msg(w->c, &m, NULL);
}

static int
whole(uint32_t round, uint16_t k, uint16_t of, const char *url,
    const char *text)
{
	return part(round, k, of, url, text, 0, strlen(text));
}

/* The last list of relays that dbd was told of: "1 host 2 host ". */
static const char *
relays(void)
{
	static char text[400];
	const struct r_derp_node *n;
	size_t lists = cw_count(w, M_DB_DERP_NODES), all = 0, i, k;

	text[0] = '\0';
	for (i = 0; i < lists; i++) {
		text[0] = '\0';
		k = cw_got(w, M_DB_DERP_NODES, i)->u.db_derp_nodes.count;
		for (; k > 0; k--) {
			n = &cw_got(w, M_DB_DERP_NODE,
			    all++)->u.db_derp_node.node;
			snprintf(text + strlen(text), sizeof(text) -
			    strlen(text), "%u %.*s ", n->region,
			    SLICE_FMT(n->host));
		}
	}
	return text;
}

/* "round/source/ok" of what dbd was told of sources, the last three. */
static const char *
said(void)
{
	static char text[100];
	const struct m_db_derpmap_said *s;
	size_t n = cw_count(w, M_DB_DERPMAP_SAID), i;

	text[0] = '\0';
	for (i = n < 3 ? 0 : n - 3; i < n; i++) {
		s = &cw_got(w, M_DB_DERPMAP_SAID, i)->u.db_derpmap_said;
		snprintf(text + strlen(text), sizeof(text) - strlen(text),
		    "%u/%u/%d ", s->round, s->source, s->ok);
	}
	return text;
}

static void
t_maps(void **state)
{
	const char *a = MAP("1", "a.example");
	size_t lists;

	w = *state;
	/* In force with the last part of the last source. */
	assert_int_equal(part(1, 0, 2, URL1, a, 0, 10), 0);
	assert_int_equal(part(1, 0, 2, URL1, a, 10, strlen(a) - 10), 0);
	assert_string_equal(relays(), "");
	assert_int_equal(whole(1, 1, 2, URL2, MAP("2", "b.example")), 0);
	assert_string_equal(relays(), "1 a.example 2 b.example ");
	assert_string_equal(said(), "1/0/1 1/1/1 ");
	/* A bad one keeps what this URL had, wherever it stands now. */
	assert_int_equal(whole(2, 0, 2, URL2, "{}"), 0);
	assert_int_equal(whole(2, 1, 2, URL1, MAP("3", "c.example")), 0);
	assert_string_equal(relays(), "2 b.example 3 c.example ");
	assert_string_equal(said(), "1/1/1 2/0/0 2/1/1 ");
	/* The same again: dbd need not be told of its relays. */
	lists = cw_count(w, M_DB_DERP_NODES);
	assert_int_equal(whole(3, 0, 2, URL2, MAP("2", "b.example")), 0);
	assert_int_equal(whole(3, 1, 2, URL1, MAP("3", "c.example")), 0);
	assert_int_equal(cw_count(w, M_DB_DERP_NODES), lists);
	/* The file is over them. */
	control_derpmap(w->c, derpmap_parse(MAP("2", "f.example"),
	    strlen(MAP("2", "f.example")), "f", (char[200]){ 0 }, 200));
	ctlworld_run(w);
	assert_string_equal(relays(), "3 c.example 2 f.example ");
	/* A new dbd is told at once; a source without a map, and none. */
	ctlworld_db(w, false);
	ctlworld_db(w, true);
	assert_int_equal(cw_count(w, M_DB_DERP_NODES), lists + 2);
	assert_int_equal(whole(1, 0, 1, URL1, ""), 0);
	assert_string_equal(relays(), "2 f.example ");
	control_derpmap(w->c, NULL);
	assert_int_equal(part(2, 0, 0, "", "", 0, 0), 0);
	assert_string_equal(relays(), "");
}

/*
 * derp.md 14, S16: what a URL says of certificates and tests is not believed,
 * and what it was before stays; what it says of scores has no effect.
 */
static void
t_untrusted_maps(void **state)
{
#define WITH(host, field)	"{\"Regions\":{\"1\":{\"RegionID\":1," \
    "\"Nodes\":[{\"Name\":\"1a\",\"RegionID\":1,\"HostName\":\"" host \
    "\"," field "}]}}}"
	static const char *const bad[] = {
	    WITH("evil.example", "\"InsecureForTests\":true"),
	    WITH("evil.example", "\"STUNTestIP\":\"203.0.113.1\""),
	    WITH("evil.example", "\"CertName\":\"c.example\"") };
	static const char score[] = "{\"HomeParams\":{\"RegionScore\":{\"1\":"
	    "0.01}},\"omitDefaultRegions\":true,\"Regions\":{\"1\":{"
	    "\"RegionID\":1,\"Nodes\":[{\"Name\":\"1a\",\"RegionID\":1,"
	    "\"HostName\":\"b.example\"}]}}}";
	char why[200];
	uint32_t i;

	w = *state;
	assert_int_equal(whole(1, 0, 1, URL1, MAP("1", "a.example")), 0);
	assert_string_equal(said(), "1/0/1 ");
	for (i = 0; i < 3; i++) {
		assert_int_equal(whole(2, 0, 1, URL1, bad[i]), 0);
		assert_string_equal(relays(), "1 a.example ");
		assert_non_null(strstr(said(), "2/0/0 "));
		assert_int_equal(cw_count(w, M_DB_DERPMAP_SAID), i + 2);
	}
	assert_int_equal(whole(3, 0, 1, URL1, score), 0);
	assert_string_equal(relays(), "1 b.example ");
	/* Of the file all is believed. */
	control_derpmap(w->c, derpmap_parse(bad[0], strlen(bad[0]), "f", why,
	    sizeof(why)));
	ctlworld_run(w);
	assert_string_equal(relays(), "1 evil.example ");
}

/* What dbd may not say; in between, what was is in force. */
static void
t_bad_parts(void **state)
{
	const char *a = MAP("1", "a.example");

	w = *state;
	assert_int_equal(whole(1, 0, 9, URL1, a), -1);
	assert_int_equal(whole(1, 1, 2, URL1, a), -1);
	assert_int_equal(part(1, 0, 1, URL1, a, 5, 5), -1);
	assert_int_equal(part(1, 0, 1, URL1, a, 0, 0), -1);
	assert_int_equal(part(1, 0, 1, URL1, a, 0, 5), 0);
	assert_int_equal(part(1, 0, 1, URL1, a, 6, 5), -1);
	assert_int_equal(part(1, 0, 1, URL1, a, 5, strlen(a)), -1);
	assert_int_equal(part(1, 0, 2, URL1, a, 5, 5), -1);
	assert_int_equal(whole(1, 0, 0, URL1, a), -1);
	/* Another size than its first part's, smaller than what is there. */
	assert_int_equal(part(1, 0, 1, URL1, a, 0, 20), 0);
	assert_int_equal(part(1, 0, 1, URL1, "0123456789", 20, 0), -1);
	assert_int_equal(part(1, 0, 1, URL1, a, 0, 5), 0);
	assert_int_equal(sized(5, a, 5, 20), -1);
	assert_int_equal(sized(2, a, 5, 20), -1);
	assert_int_equal(sized(strlen(a) + 1, a, 5, 20), -1);
	assert_string_equal(relays(), "");
	/* Begun anew. */
	assert_int_equal(part(1, 0, 1, URL1, a, 0, 5), 0);
	assert_int_equal(whole(1, 0, 1, URL1, a), 0);
	assert_string_equal(relays(), "1 a.example ");
}

static void
t_avoid(void **state)
{
	struct buf b = { NULL, 0, 0 };
	struct r_derp_region r = { 1 };
	struct msg m;

	w = *state;
	assert_int_equal(whole(1, 0, 1, URL1, MAP("1", "a.example")), 0);
	assert_int_equal(cw_count(w, M_DB_DERP_NODES), 1);
	msg_init(&m, M_DB_DERP_AVOID);
	msg_list_add(&m.u.db_derp_avoid.regions, &b, MR_DERP_REGION, &r);
	msg_list_close(&m.u.db_derp_avoid.regions, &b);
	assert_int_equal(control_db_msg(w->c, &m, NULL), 0);
	assert_int_equal(control_db_msg(w->c, &m, NULL), 0);
	ctlworld_run(w);
	/* Its relays are the same: no news for dbd. */
	assert_int_equal(cw_count(w, M_DB_DERP_NODES), 1);
	buf_free(&b);
}

#define T(t)	cmocka_unit_test_setup_teardown(t, ctlworld_setup, \
		    ctlworld_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(t_http), T(t_bounds), T(t_cert), T(t_alpn),
		T(t_alpn_two), T(t_waits), T(t_maps),
		T(t_bad_parts), T(t_avoid), T(t_untrusted_maps)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
