/* Signatures come later than they are asked for: handshakes stand still. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "regress/lib/tlsworld.h"

#define AT_ONCE	4		/* questions to the signer */

static int
setup(void **state)
{
	struct tlsworld *x;

	if (tw_setup(state) == -1)
		return -1;
	x = *state;
	certkit_late(x->kit, true);
	return 0;
}

static const struct edge_counters *
counts(const struct tlsworld *x)
{
	return net_edge_counters(x->w->net);
}

/* It stands still: nothing of its flight has left, and nothing is read. */
static void
stands(const struct tlspeer *p)
{
	assert_false(tlsclient_is_ready(p->c));
	assert_int_equal(tlsclient_alert(p->c), -1);
	assert_false(conn_wants_output(p->conn));
	assert_false(conn_wants_input(p->conn));
}

static void
goes_on(struct tlsworld *x, struct tlspeer *p)
{
	tw_move(x, p);
	tw_talk(x, p);
}

/* Others go on meanwhile, and each gets its own. */
static void
test_stand(void **state)
{
	struct tlsworld *x = *state;
	struct tlspeer p, q, plain;

	p = tw_dial(x, NULL);
	q = tw_dial(x, NULL);
	stands(&p);
	stands(&q);
	assert_int_equal(certkit_waiting(x->kit), 2);
	plain = tw_raw(x, CONN_K_PLAIN);
	conn_input(plain.conn, TW_ASK, strlen(TW_ASK));
	assert_true(conn_wants_output(plain.conn));
	conn_free(plain.conn);
	assert_true(certkit_answer(x->kit));
	goes_on(x, &p);
	stands(&q);
	assert_true(certkit_answer(x->kit));
	goes_on(x, &q);
	goes_on(x, &p);
	assert_int_equal(counts(x)->tls, 2);
	assert_int_equal(counts(x)->tls_done, 2);
	tw_end(&q);
	tw_end(&p);
}

/* So many are asked for at a time; the others stand in line, in order. */
static void
test_line(void **state)
{
	struct tlsworld *x = *state;
	struct tlspeer p[3 * AT_ONCE];
	size_t i, n = sizeof(p) / sizeof(p[0]);

	for (i = 0; i < n; i++) {
		p[i] = tw_dial(x, NULL);
		stands(&p[i]);
	}
	for (i = 0; i < n; i++) {
		assert_int_equal(certkit_waiting(x->kit),
		    n - i < AT_ONCE ? n - i : AT_ONCE);
		assert_true(certkit_answer(x->kit));
		assert_true(conn_wants_output(p[i].conn));
		fakeenv_advance(x->w->fake, 0);
	}
	assert_int_equal(counts(x)->tls, n);
	for (i = 0; i < n; i++) {
		goes_on(x, &p[i]);
		tw_end(&p[i]);
	}
}

/* Who leaves while it waits, or is late itself, is forgotten. */
static void
test_leave(void **state)
{
	struct tlsworld *x = *state;
	struct tlspeer p[AT_ONCE + 1];
	size_t i;

	for (i = 0; i <= AT_ONCE; i++)
		p[i] = tw_dial(x, NULL);
	assert_int_equal(certkit_asked(x->kit), AT_ONCE);
	tw_end(&p[1]);
	fakeenv_advance(x->w->fake, 0);
	assert_int_equal(certkit_asked(x->kit), AT_ONCE + 1);
	assert_int_equal(certkit_waiting(x->kit), AT_ONCE);
	conn_eof(p[0].conn);
	assert_int_equal(certkit_waiting(x->kit), AT_ONCE - 1);
	tw_end(&p[0]);
	fakeenv_advance(x->w->fake, 11 * US_PER_S);
	assert_int_equal(certkit_waiting(x->kit), 0);
	for (i = 2; i <= AT_ONCE; i++) {
		tw_move(x, &p[i]);
		assert_null(p[i].conn);
		tw_end(&p[i]);
	}
	/* Their places are free again. */
	for (i = 0; i < AT_ONCE; i++)
		p[i] = tw_dial(x, NULL);
	assert_int_equal(certkit_waiting(x->kit), AT_ONCE);
	for (i = 0; i < AT_ONCE; i++) {
		assert_true(certkit_answer(x->kit));
		goes_on(x, &p[i]);
		tw_end(&p[i]);
	}
}

/* keyd is lost meanwhile: whoever has seen nothing of us begins again. */
static void
test_lost(void **state)
{
	struct tlsworld *x = *state;
	struct tlsclient_conf conf = { .groups = "P-521:P-256" };
	struct tlspeer p = tw_dial(x, NULL), q = tw_dial(x, &conf);

	assert_int_equal(certkit_waiting(x->kit), 2);
	net_tls_hold(x->w->net, true);
	certkit_fail(x->kit, true);
	assert_true(certkit_answer(x->kit));
	assert_true(certkit_answer(x->kit));
	certkit_fail(x->kit, false);
	tw_move(x, &p);
	stands(&p);
	/* It was told to try again: there is no way back. */
	tw_move(x, &q);
	assert_int_not_equal(tlsclient_alert(q.c), -1);
	assert_int_equal(counts(x)->tls, 1);
	assert_int_equal(counts(x)->tls_failed, 1);
	net_tls_hold(x->w->net, false);
	tw_move(x, &p);
	assert_int_equal(certkit_waiting(x->kit), 1);
	assert_true(certkit_answer(x->kit));
	goes_on(x, &p);
	tw_end(&p);
	tw_end(&q);
}

/* A signer that is there and says no. */
static void
test_refused(void **state)
{
	struct tlsworld *x = *state;
	struct tlspeer p = tw_dial(x, NULL);

	certkit_fail(x->kit, true);
	assert_true(certkit_answer(x->kit));
	tw_move(x, &p);
	assert_int_not_equal(tlsclient_alert(p.c), -1);
	assert_int_equal(counts(x)->tls_failed, 1);
	tw_end(&p);
}

/* A second ClientHello is what waits, and more came behind it. */
static void
test_behind(void **state)
{
	static const char junk[] = "\x14\x03\x03\x00\x01\x01";
	struct tlsworld *x = *state;
	struct tlsclient_conf conf = { .groups = "P-521:P-256" };
	struct tlspeer p = tw_dial(x, &conf);

	stands(&p);
	/* A change_cipher_spec, which TLS 1.3 ignores (RFC 8446 5). */
	conn_input(p.conn, junk, sizeof(junk) - 1);
	assert_true(certkit_answer(x->kit));
	goes_on(x, &p);
	tw_end(&p);
}

/* New certificates, and none, while some wait for the old one's. */
static void
test_reload(void **state)
{
	struct tlsworld *x = *state;
	struct tls_signer s = certkit_signer(x->kit);
	struct tls *next = tls_new(&s);
	struct tlspeer p = tw_dial(x, NULL), q = tw_dial(x, NULL);

	certkit_add(x->kit, next, CK_ED25519, "DNS:new.example");
	net_tls(x->w->net, next);
	tls_free(next);
	tls_free(x->tls);
	x->tls = NULL;
	fakeenv_advance(x->w->fake, 0);
	assert_int_equal(certkit_waiting(x->kit), 2);
	assert_true(certkit_answer(x->kit));
	goes_on(x, &p);
	net_tls(x->w->net, NULL);
	assert_true(certkit_answer(x->kit));
	goes_on(x, &q);
	tw_end(&p);
	tw_end(&q);
}

/* Who is being signed is not the one who makes room for others. */
static void
test_push(void **state)
{
	struct tlsworld *x = *state;
	const size_t n = 1024;
	struct tlspeer *p = calloc(n, sizeof(*p)), q[AT_ONCE];
	uint8_t b[4096];
	size_t i, len;

	certkit_late(x->kit, false);
	for (i = 0; i < n; i++) {
		p[i] = tw_raw(x, CONN_K_TLS);
		p[i].c = tlsclient_new(NULL);
		len = tlsclient_output(p[i].c, b, sizeof(b));
		conn_input(p[i].conn, b, len);
		assert_true(conn_wants_output(p[i].conn));
	}
	certkit_late(x->kit, true);
	for (i = 0; i < AT_ONCE; i++)
		q[i] = tw_dial(x, NULL);
	assert_int_equal(counts(x)->tls_pushed, AT_ONCE);
	for (i = 0; i < AT_ONCE; i++) {
		assert_true(conn_is_done(p[i].conn));
		assert_true(certkit_answer(x->kit));
		goes_on(x, &q[i]);
		tw_end(&q[i]);
	}
	for (i = 0; i < n; i++)
		tw_end(&p[i]);
	free(p);
}

/* Each kind of key, on a stack that is small. */
static void
test_kinds(void **state)
{
	struct tlsworld *x = *state;
	struct tlsclient_conf conf = { 0 };
	struct tlspeer p;
	char name[64];
	int kind;

	for (kind = CK_P256; kind <= CK_RSA4096; kind++) {
		(void)snprintf(name, sizeof(name), "DNS:%d.k.example", kind);
		certkit_add(x->kit, x->tls, (enum ck_kind)kind, name);
		conf.host = name + 4;
		conf.groups = kind == CK_P384 ? "P-384" : NULL;
		p = tw_dial(x, &conf);
		stands(&p);
		assert_true(certkit_answer(x->kit));
		goes_on(x, &p);
		tw_end(&p);
	}
}

#define T(f)	cmocka_unit_test_setup_teardown(f, setup, tw_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_stand), T(test_line), T(test_leave), T(test_lost),
		T(test_refused), T(test_behind), T(test_reload), T(test_push),
		T(test_kinds)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
