/* TLS of a connection: handshakes, certificates by name, what is refused. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "common/enc.h"
#include "regress/lib/tlsworld.h"

static void
test_talk(void **state)
{
	struct tlsworld *x = *state;
	static const char *const suites[] = { "TLS_AES_128_GCM_SHA256",
	    "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256" };
	struct tlsclient_conf conf = { 0 };
	const struct edge_counters *n = net_edge_counters(x->w->net);
	struct tlspeer p;
	size_t i, piece;

	for (i = 0; i < 3; i++)
		for (piece = 0; piece < 3; piece++) {
			conf.suite = suites[i];
			conf.alpn = piece == 1 ? "http/1.1" : NULL;
			conf.groups = piece == 2 ? "P-384:X25519" : NULL;
			p = tw_raw(x, CONN_K_TLS);
			p.piece = piece;
			p.c = tlsclient_new(&conf);
			tw_move(x, &p);
			tw_talk(x, &p);
			tw_talk(x, &p);
			/* No ticket came. */
			assert_int_equal(SSL_SESSION_has_ticket(
			    SSL_get_session(tlsclient_ssl(p.c))), 0);
			tlsclient_close(p.c);
			tw_move(x, &p);
			assert_null(p.conn);
			assert_true(tlsclient_is_closed(p.c));
			tw_end(&p);
		}
	assert_int_equal(n->tls, 9);
	assert_int_equal(n->tls_done, 9);
	assert_int_equal(n->tls_failed + n->tls_record_bad, 0);
}

/* The group is not the client's first guess: a second ClientHello. */
static void
test_retry(void **state)
{
	struct tlsworld *x = *state;
	struct tlsclient_conf conf = { .groups = "P-521:P-256" };
	struct tlspeer p = tw_dial(x, &conf);

	tw_talk(x, &p);
	tw_end(&p);
}

static void
test_keys(void **state)
{
	struct tlsworld *x = *state;
	struct tlsclient_conf conf = { .host = "k.example" };
	const uint8_t *octets;
	struct tlspeer p;
	char name[64];
	int kind;

	for (kind = CK_P256; kind <= CK_RSA4096; kind++) {
		(void)snprintf(name, sizeof(name), "DNS:%d.k.example", kind);
		certkit_add(x->kit, x->tls, (enum ck_kind)kind, name);
		conf.host = name + 4;
		p = tw_dial(x, &conf);
		tw_talk(x, &p);
		assert_int_equal(certkit_octets(x->kit, &octets), 64 + 33 + 1 +
		    (SSL_CIPHER_get_protocol_id(SSL_get_current_cipher(
		    tlsclient_ssl(p.c))) == 0x1302 ? 48 : 32));
		tw_end(&p);
	}
	conf.suite = "TLS_AES_256_GCM_SHA384";
	p = tw_dial(x, &conf);
	tw_talk(x, &p);
	assert_int_equal(certkit_octets(x->kit, &octets), 146);
	tw_end(&p);
}

/* The names of the leaf that a client of this host is shown. */
static void
shown(struct tlsworld *x, const char *host, const char *name)
{
	struct tlsclient_conf conf = { .host = host };
	struct tlspeer p = tw_dial(x, &conf);
	X509 *leaf = SSL_get1_peer_certificate(tlsclient_ssl(p.c));

	assert_int_equal(X509_check_host(leaf, name, 0,
	    X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS, NULL), 1);
	X509_free(leaf);
	tw_talk(x, &p);
	tw_end(&p);
}

static void
test_names(void **state)
{
	struct tlsworld *x = *state;

	certkit_add(x->kit, x->tls, CK_P384, "DNS:c.example,DNS:*.c.example");
	shown(x, NULL, "a.example");
	shown(x, "a.example", "a.example");
	shown(x, "A.EXAMPLE", "a.example");
	shown(x, "x.b.example", "a.example");
	shown(x, "c.example", "c.example");
	shown(x, "c.example.", "c.example");
	shown(x, "x.C.example", "c.example");
	shown(x, "y.x.c.example", "a.example");	/* a star is one label */
	shown(x, "xc.example", "a.example");
	shown(x, "nobody.example", "a.example");
	shown(x, "*.c.example", "c.example");
}

/* RFC 8737: the challenge's certificate to who asks for it, to nobody else. */
static void
test_acme(void **state)
{
	struct tlsworld *x = *state;
	struct tlsclient_conf conf = { .host = "a.example",
	    .alpn = "acme-tls/1" };
	struct tls_signer s = certkit_signer(x->kit);
	struct buf der = { NULL, 0, 0 };
	char why[128];
	struct tlspeer p;
	X509 *leaf;

	/* Nothing to show: no other certificate instead. */
	p = tw_dial(x, &conf);
	assert_false(tlsclient_is_ready(p.c));
	assert_true(tlsclient_alert(p.c) != -1);
	tw_end(&p);
	certkit_der(x->kit, CK_P384, "DNS:acme.example", &der);
	assert_int_equal(tls_add_alpn(x->tls, "A.example", CK_P384 + 1, "x", 1,
	    why, sizeof(why)), -1);
	assert_int_equal(tls_add_alpn(x->tls, "A.example", CK_P384 + 1, der.p,
	    der.n, why, sizeof(why)), 0);
	p = tw_dial(x, &conf);
	leaf = SSL_get1_peer_certificate(tlsclient_ssl(p.c));
	assert_non_null(leaf);
	assert_int_equal(X509_check_host(leaf, "acme.example", 0, 0, NULL), 1);
	X509_free(leaf);
	/* Nothing is said on it. */
	fakeenv_advance(x->w->fake, 2 * US_PER_S);
	tw_move(x, &p);
	assert_null(p.conn);
	tw_end(&p);
	/* Others see what they always saw. */
	shown(x, "a.example", "a.example");
	conf.host = "acme.example";
	p = tw_dial(x, &conf);
	assert_false(tlsclient_is_ready(p.c));
	tw_end(&p);
	conf.host = NULL;
	p = tw_dial(x, &conf);
	assert_false(tlsclient_is_ready(p.c));
	tw_end(&p);
	tls_del_alpn(x->tls, "nobody.example");
	tls_del_alpn(x->tls, "a.example");
	conf.host = "a.example";
	p = tw_dial(x, &conf);
	assert_false(tlsclient_is_ready(p.c));
	tw_end(&p);
	/* It may be the first one of all. */
	tls_free(x->tls);
	x->tls = tls_new(&s);
	assert_true(tls_is_empty(x->tls));
	assert_int_equal(tls_add_alpn(x->tls, "a.example", CK_P384 + 1, der.p,
	    der.n, why, sizeof(why)), 0);
	net_tls(x->w->net, x->tls);
	p = tw_dial(x, &conf);
	leaf = SSL_get1_peer_certificate(tlsclient_ssl(p.c));
	assert_non_null(leaf);
	X509_free(leaf);
	tw_end(&p);
	conf.alpn = NULL;
	p = tw_dial(x, &conf);
	assert_false(tlsclient_is_ready(p.c));
	tw_end(&p);
	buf_free(&der);
}

/* One that is taken out is shown no more. */
static void
test_del(void **state)
{
	struct tlsworld *x = *state;

	certkit_add(x->kit, x->tls, CK_P384, "DNS:c.example");
	shown(x, "c.example", "c.example");
	tls_del(x->tls, CK_P256 + 1);
	tls_del(x->tls, 99);
	shown(x, "a.example", "c.example");
	tls_del(x->tls, CK_P384 + 1);
	assert_true(tls_is_empty(x->tls));
}

/* What fails, and with which alert. */
static void
alert(struct tlsworld *x, const struct tlsclient_conf *conf, int want)
{
	uint64_t failed = net_edge_counters(x->w->net)->tls_failed;
	struct tlspeer p = tw_dial(x, conf);

	assert_false(tlsclient_is_ready(p.c));
	assert_int_equal(tlsclient_alert(p.c), want);
	assert_int_equal(net_edge_counters(x->w->net)->tls_failed, failed + 1);
	fakeenv_advance(x->w->fake, 2 * US_PER_S);
	tw_move(x, &p);
	assert_null(p.conn);
	tw_end(&p);
}

static void
test_refused(void **state)
{
	struct tlsworld *x = *state;
	struct tlsclient_conf old = { .max_version = TLS1_2_VERSION };
	struct tlsclient_conf other = { .alpn = "spdy/3" };
	struct tlsclient_conf rsa = { .sigalgs = "RSA-PSS+SHA256" };
	struct tlsclient_conf group = { .groups = "P-521" };

	alert(x, &old, SSL_AD_PROTOCOL_VERSION);
	old.max_version = TLS1_1_VERSION;
	old.sigalgs = "RSA+SHA1";
	alert(x, &old, SSL_AD_PROTOCOL_VERSION);
	alert(x, &other, SSL_AD_NO_APPLICATION_PROTOCOL);
	alert(x, &rsa, SSL_AD_HANDSHAKE_FAILURE);
	alert(x, &group, SSL_AD_HANDSHAKE_FAILURE);
	certkit_fail(x->kit, true);
	alert(x, NULL, SSL_AD_INTERNAL_ERROR);
	certkit_fail(x->kit, false);
	shown(x, NULL, "a.example");
}

static void
test_garbage(void **state)
{
	struct tlsworld *x = *state;

	tw_garbage(x, TW_ASK, strlen(TW_ASK), 10);
	tw_garbage(x, "\x16\x03\x01\xff\xff", 5, 22);
	tw_garbage(x, "\x17\x03\x03\x00\x02hi", 7, 10);
	tw_garbage(x, "\x16\x03\x01\x00\x04\x0b\x00\x00\x00", 9, 10);
	tw_garbage(x, "\x16\x03\x01\x00\x06\x01\x00\x00\x02\x03\x03", 11, 50);
}

/* A session of before, and early data: a whole new handshake. */
static void
test_resume(void **state)
{
	struct tlsworld *x = *state;
	struct tlspeer p = tw_dial(x, NULL), q;
	unsigned char *der = NULL;
	const unsigned char *at;
	SSL_SESSION *s;
	int n;

	tw_talk(x, &p);
	/* A copy of it: the library forgets a chain that is in the first. */
	n = i2d_SSL_SESSION(SSL_get_session(tlsclient_ssl(p.c)), &der);
	at = der;
	assert_non_null(s = d2i_SSL_SESSION(NULL, &at, n));
	OPENSSL_free(der);
	tw_end(&p);
	q = tw_raw(x, CONN_K_TLS);
	q.c = tlsclient_new(NULL);
	(void)SSL_set_session(tlsclient_ssl(q.c), s);
	tw_move(x, &q);
	tw_talk(x, &q);
	assert_int_equal(SSL_session_reused(tlsclient_ssl(q.c)), 0);
	assert_int_equal(certkit_asked(x->kit), 2);
	SSL_SESSION_free(s);
	tw_end(&q);
}

static void
test_either(void **state)
{
	struct tlsworld *x = *state;
	struct tlspeer p = tw_raw(x, CONN_K_EITHER);
	uint8_t b[CONN_OUTPUT_MIN];
	size_t n;

	p.c = tlsclient_new(NULL);
	tw_move(x, &p);
	tw_talk(x, &p);
	tw_end(&p);
	p = tw_raw(x, CONN_K_EITHER);
	conn_input(p.conn, TW_ASK, strlen(TW_ASK));
	n = conn_output(p.conn, b, sizeof(b));
	assert_true(n > 16 && memcmp(b, "HTTP/1.1 200 OK\r\n", 17) == 0);
	conn_free(p.conn);
}

/* While there are no signatures clients wait; their time runs. */
static void
test_hold(void **state)
{
	struct tlsworld *x = *state;
	struct tlspeer p = tw_dial(x, NULL), q;

	net_tls_hold(x->w->net, true);
	assert_false(net_tls_is_ready(x->w->net));
	tw_talk(x, &p);
	q = tw_dial(x, NULL);
	assert_false(tlsclient_is_ready(q.c));
	assert_false(conn_wants_input(q.conn));
	fakeenv_advance(x->w->fake, 5 * US_PER_S);
	tw_move(x, &q);
	assert_non_null(q.conn);
	net_tls_hold(x->w->net, false);
	tw_move(x, &q);
	tw_talk(x, &q);
	tw_end(&q);
	net_tls_hold(x->w->net, true);
	q = tw_dial(x, NULL);
	fakeenv_advance(x->w->fake, 11 * US_PER_S);
	tw_move(x, &q);
	assert_null(q.conn);
	assert_int_equal(net_counters(x->w->net)->late, 1);
	tw_end(&q);
	tw_end(&p);
}

/* As the worker's when keyd is late: it signs nothing, and holds. */
struct late {
	struct tls_signer real;
	struct net	*net;
	unsigned int	 times;		/* yet to come */
};

static int
late_sign(struct tls_hs *h, unsigned int key, unsigned int scheme,
    const uint8_t *octets, size_t n, uint8_t *sig, size_t max, void *arg)
{
	struct late *l = arg;

	if (l->times == 0)
		return l->real.sign(h, key, scheme, octets, n, sig, max,
		    l->real.arg);
	l->times--;
	net_tls_hold(l->net, true);
	return -1;
}

/* The handshake that met the missing signature waits as well. */
static void
test_late(void **state)
{
	struct tlsworld *x = *state;
	const struct edge_counters *n = net_edge_counters(x->w->net);
	struct late l = { certkit_signer(x->kit), x->w->net, 2 };
	struct tls_signer s = { .sign = late_sign, .arg = &l };
	struct tls *tls = tls_new(&s);
	struct tlspeer p, q;

	certkit_add(x->kit, tls, CK_P256, "DNS:a.example");
	net_tls(x->w->net, tls);
	p = tw_dial(x, NULL);
	q = tw_dial(x, NULL);
	assert_int_equal(l.times, 1);
	assert_false(tlsclient_is_ready(p.c));
	assert_int_equal(tlsclient_alert(p.c), -1);
	assert_int_equal(n->tls_failed + n->tls, 0);
	net_tls_hold(x->w->net, false);
	tw_move(x, &p);
	assert_int_equal(l.times, 0);
	tw_move(x, &q);
	assert_false(tlsclient_is_ready(p.c) || tlsclient_is_ready(q.c));
	net_tls_hold(x->w->net, false);
	tw_move(x, &p);
	tw_talk(x, &p);
	tw_move(x, &q);
	tw_talk(x, &q);
	assert_int_equal(n->tls, 2);
	assert_int_equal(n->tls_done, 2);
	assert_int_equal(n->tls_failed, 0);
	tw_end(&p);
	/* A signer that says no, and is there, is another matter. */
	certkit_fail(x->kit, true);
	p = tw_dial(x, NULL);
	assert_int_not_equal(tlsclient_alert(p.c), -1);
	assert_int_equal(n->tls_failed, 1);
	tw_end(&p);
	tw_end(&q);
	tls_free(tls);
}

static void
test_deadline(void **state)
{
	struct tlsworld *x = *state;
	struct tlspeer p = tw_raw(x, CONN_K_TLS);

	p.c = tlsclient_new(NULL);
	p.mute = true;
	tw_move(x, &p);
	fakeenv_advance(x->w->fake, 11 * US_PER_S);
	tw_move(x, &p);
	assert_null(p.conn);
	assert_int_equal(net_counters(x->w->net)->late, 1);
	tw_end(&p);
}

/* New certificates, or none, in the middle of all. */
static void
test_reload(void **state)
{
	struct tlsworld *x = *state;
	struct tls_signer s = certkit_signer(x->kit);
	struct tlspeer p = tw_dial(x, NULL), half = tw_raw(x, CONN_K_TLS), q;
	struct tls *next = tls_new(&s);
	uint8_t b[20000];
	size_t n;

	half.c = tlsclient_new(NULL);
	n = tlsclient_output(half.c, b, sizeof(b));
	conn_input(half.conn, b, n);
	certkit_add(x->kit, next, CK_ED25519, "DNS:new.example");
	net_tls(x->w->net, next);
	tls_free(next);
	tls_free(x->tls);
	x->tls = NULL;
	tw_talk(x, &p);
	tw_move(x, &half);
	tw_talk(x, &half);
	shown(x, NULL, "new.example");
	net_tls(x->w->net, NULL);
	assert_false(net_tls_is_ready(x->w->net));
	tw_talk(x, &p);
	q = tw_dial(x, NULL);
	assert_false(tlsclient_is_ready(q.c));
	tw_end(&q);
	tw_end(&half);
	tw_end(&p);
}

static void
add_bad(struct tlsworld *x, const char *pem, const char *want)
{
	char why[200] = "";

	assert_int_equal(tls_add(x->tls, 9, pem, strlen(pem), "/etc/x.pem",
	    why, sizeof(why)), -1);
	assert_non_null(strstr(why, "/etc/x.pem: "));
	assert_non_null(strstr(why, want));
}

/* certkit's are valid from an hour ago for 30 days. */
static void
test_dates(void **state)
{
	struct tlsworld *x = *state;
	int64_t now = (int64_t)time(NULL), day = 24 * 3600;
	char *pem, why[200], text[100] = "";

	pem = certkit_pem(x->kit, CK_P384, "DNS:a");
	assert_int_equal(tls_add(x->tls, 7, pem, strlen(pem), "f", why,
	    sizeof(why)), 0);
	free(pem);
	assert_false(tls_is_aged(x->tls, 7, now, text, sizeof(text)));
	assert_false(tls_is_aged(x->tls, 7, now + 27 * day, text,
	    sizeof(text)));
	assert_string_equal(text, "");
	assert_true(tls_is_aged(x->tls, 7, now - 2 * 3600, text,
	    sizeof(text)));
	assert_ptr_equal(strstr(text, "is not valid before "), text);
	assert_true(tls_is_aged(x->tls, 7, now + 29 * day, text,
	    sizeof(text)));
	assert_ptr_equal(strstr(text, "expires on "), text);
	assert_non_null(strstr(text, " GMT"));
	assert_true(tls_is_aged(x->tls, 7, now + 31 * day, text,
	    sizeof(text)));
	assert_ptr_equal(strstr(text, "has expired on "), text);
	assert_false(tls_is_aged(x->tls, 6, now + 31 * day, text,
	    sizeof(text)));
}

static void
test_files(void **state)
{
	struct tlsworld *x = *state;
	struct buf der = { 0 };
	char *one, *two, both[8192], why[200];
	struct tlspeer p;

	add_bad(x, "", "no certificate");
	add_bad(x, "-----BEGIN PRIVATE KEY-----\nAAAA\n"
	    "-----END PRIVATE KEY-----\n", "no certificate");
	add_bad(x, "-----BEGIN CERTIFICATE-----\nAAAA\n"
	    "-----END CERTIFICATE-----\n", "broken");
	one = certkit_pem(x->kit, CK_RSA1024, "DNS:a");
	add_bad(x, one, "2048");
	free(one);
	one = certkit_pem(x->kit, CK_P521, "DNS:a");
	add_bad(x, one, "curve");
	free(one);
	one = certkit_pem(x->kit, CK_P384, "DNS:chain.example");
	two = certkit_pem(x->kit, CK_P256, "DNS:ca.example");
	(void)snprintf(both, sizeof(both), "%s%.300s", one, two);
	add_bad(x, both, "chain is broken");
	(void)snprintf(both, sizeof(both), "%s%s", one, two);
	assert_int_equal(tls_add(x->tls, CK_P384 + 1, both, strlen(both), "f",
	    why, sizeof(why)), 0);
	p = tw_dial(x, &(struct tlsclient_conf){ .host = "chain.example" });
	assert_int_equal(sk_X509_num(SSL_get_peer_cert_chain(
	    tlsclient_ssl(p.c))), 2);
	tw_end(&p);
	free(one);
	free(two);
	certkit_der(x->kit, CK_RSA2048, "DNS:der.example", &der);
	assert_int_equal(tls_add_der(x->tls, CK_RSA2048 + 1, der.p, der.n, why,
	    sizeof(why)), 0);
	shown(x, "der.example", "der.example");
	assert_int_equal(tls_add_der(x->tls, 8, der.p, der.n - 1, why,
	    sizeof(why)), -1);
	buf_u8(&der, 0);
	assert_int_equal(tls_add_der(x->tls, 8, der.p, der.n, why,
	    sizeof(why)), -1);
	buf_free(&der);
	/* The same number again takes its place. */
	certkit_add(x->kit, x->tls, CK_P256, "DNS:later.example");
	shown(x, NULL, "later.example");
}

/* How many certificates who asks for this host is shown. */
static int
chain_length(struct tlsworld *x, const char *host)
{
	struct tlspeer p = tw_dial(x, &(struct tlsclient_conf){ .host =
	    host });
	int n;

	assert_true(tlsclient_is_ready(p.c));
	n = sk_X509_num(SSL_get_peer_cert_chain(tlsclient_ssl(p.c)));
	tw_end(&p);
	return n;
}

static void
test_meta(void **state)
{
	struct tlsworld *x = *state;
	uint8_t key[32];
	char text[72] = "derpkey", name[200];
	STACK_OF(X509) *chain;
	struct tlspeer p;
	X509 *m, *first;
	int i;

	memset(key, 0xa5, sizeof(key));
	hex_enc(text + 7, key, sizeof(key));
	net_tls_meta(x->w->net, key);
	assert_int_equal(chain_length(x, "a.example"), 1);
	net_tls_meta_host(x->w->net, slice_str("A.example"));
	p = tw_dial(x, &(struct tlsclient_conf){ .host = "a.example" });
	chain = SSL_get_peer_cert_chain(tlsclient_ssl(p.c));
	assert_int_equal(sk_X509_num(chain), 2);
	m = sk_X509_value(chain, 1);
	assert_int_equal(X509_NAME_get_text_by_NID(X509_get_subject_name(m),
	    NID_commonName, name, sizeof(name)), 71);
	assert_string_equal(name, text);
	assert_int_equal(ASN1_INTEGER_get(X509_get0_serialNumber(m)), 2);
	assert_int_equal(X509_get_ext_count(m), 1);
	assert_int_equal(X509_get_ext_by_NID(m, NID_basic_constraints, -1), 0);
	assert_int_equal(X509_verify(m, X509_get0_pubkey(m)), 1);
	assert_true(EVP_PKEY_is_a(X509_get0_pubkey(m), "ED25519"));
	X509_up_ref(m);
	first = m;
	tw_talk(x, &p);
	tw_end(&p);
	for (i = 0; i < 15; i++)
		networld_pass(x->w, 24 * 3600 * US_PER_S);
	certkit_add(x->kit, x->tls, CK_ED25519, "DNS:ed.example");
	assert_int_equal(chain_length(x, "ed.example"), 1);
	net_tls_meta_host(x->w->net, slice_str("ed.example"));
	assert_int_equal(chain_length(x, "a.example"), 1);
	p = tw_dial(x, &(struct tlsclient_conf){ .host = "ed.example" });
	chain = SSL_get_peer_cert_chain(tlsclient_ssl(p.c));
	assert_int_equal(sk_X509_num(chain), 2);
	assert_int_not_equal(X509_cmp(first, sk_X509_value(chain, 1)), 0);
	assert_int_equal(ASN1_TIME_compare(X509_get0_notAfter(first),
	    X509_get0_notAfter(sk_X509_value(chain, 1))), -1);
	X509_free(first);
	tw_end(&p);
}

/* It is for who asks for the relay, and goes when that has no key any more. */
static void
test_meta_whose(void **state)
{
	struct tlsworld *x = *state;
	const uint8_t key[32] = { 1 };

	net_tls_meta(x->w->net, key);
	net_tls_meta_host(x->w->net, slice_str("c.b.example"));
	assert_int_equal(chain_length(x, "c.b.example"), 2);
	assert_int_equal(chain_length(x, "C.B.EXAMPLE"), 2);
	assert_int_equal(chain_length(x, "c.b.example"), 2);
	assert_int_equal(chain_length(x, "d.b.example"), 1);
	assert_int_equal(chain_length(x, "c.b.exampl"), 1);
	assert_int_equal(chain_length(x, NULL), 1);
	/* One that is an address is asked for without a name. */
	net_tls_meta_host(x->w->net, slice_str("192.0.2.1"));
	assert_int_equal(chain_length(x, NULL), 2);
	assert_int_equal(chain_length(x, "c.b.example"), 1);
	/* No key any more, and one again; no host any more. */
	net_tls_meta(x->w->net, NULL);
	assert_int_equal(chain_length(x, NULL), 1);
	networld_pass(x->w, 15 * 24 * 3600 * US_PER_S);
	assert_int_equal(chain_length(x, NULL), 1);
	net_tls_meta(x->w->net, key);
	assert_int_equal(chain_length(x, NULL), 2);
	net_tls_meta_host(x->w->net, slice_str(""));
	assert_int_equal(chain_length(x, NULL), 1);
}

/* All of a ts2021 session's octets over TLS. */
static void
test_big(void **state)
{
	struct tlsworld *x = *state;
	struct tlspeer p = tw_dial(x, NULL);
	struct buf *got = tlsclient_got(p.c);
	char head[100];
	uint8_t *body = calloc(1, 500000);
	int n;

	n = snprintf(head, sizeof(head), "POST /a HTTP/1.1\r\nHost: a\r\n"
	    "Content-Length: 500000\r\n\r\n");
	tlsclient_write(p.c, head, (size_t)n);
	tlsclient_write(p.c, body, 500000);
	p.piece = 7777;
	tw_move(x, &p);
	assert_true(tw_has(got, "HTTP/1.1 200 OK\r\n"));
	free(body);
	tw_end(&p);
}

/* New keys in the middle of a connection, asked for or not. */
static void
test_update(void **state)
{
	struct tlsworld *x = *state;
	struct tlspeer p = tw_dial(x, NULL);
	int i;

	for (i = 0; i < 6; i++) {
		tlsclient_update(p.c, i % 2 == 0);
		tw_talk(x, &p);
		tw_talk(x, &p);
	}
	assert_int_equal(net_edge_counters(x->w->net)->tls_updates, 6);
	tw_end(&p);
}

/* A changed record ends the connection, with the alert for it. */
static void
test_tamper(void **state)
{
	struct tlsworld *x = *state;
	struct tlspeer p = tw_dial(x, NULL);
	uint8_t b[1000];
	size_t n;

	tlsclient_write(p.c, TW_ASK, strlen(TW_ASK));
	n = tlsclient_output(p.c, b, sizeof(b));
	b[n - 1] ^= 1;
	conn_input(p.conn, b, n);
	tw_move(x, &p);
	assert_int_equal(tlsclient_alert(p.c), SSL_AD_BAD_RECORD_MAC);
	assert_int_equal(net_edge_counters(x->w->net)->tls_record_bad, 1);
	assert_int_equal(x->w->asked, 0);
	fakeenv_advance(x->w->fake, 2 * US_PER_S);
	tw_move(x, &p);
	assert_null(p.conn);
	tw_end(&p);
	/* An end without close_notify: nothing of what was cut is believed. */
	p = tw_dial(x, NULL);
	tlsclient_write(p.c, TW_ASK, strlen(TW_ASK));
	n = tlsclient_output(p.c, b, sizeof(b));
	conn_input(p.conn, b, n - 1);
	conn_eof(p.conn);
	assert_true(conn_is_done(p.conn));
	assert_int_equal(x->w->asked, 0);
	tw_end(&p);
}

#define T(f)	cmocka_unit_test_setup_teardown(f, tw_setup, tw_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_talk), T(test_retry), T(test_keys), T(test_names),
		T(test_acme), T(test_del),
		T(test_refused), T(test_garbage), T(test_resume),
		T(test_either), T(test_hold), T(test_late),
		T(test_deadline), T(test_reload), T(test_files), T(test_dates),
		T(test_meta),
		T(test_meta_whose),
		T(test_big), T(test_update), T(test_tamper)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
