#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "regress/lib/tlsworld.h"

static void
on_req(struct req *r, struct networld *w)
{
	char text[IP_TEXT];

	(void)w;
	ip_print(text, &req_peer(r)->addr);
	reply_status(r, 200, text);
}

int
tw_setup(void **state)
{
	struct tlsworld *x = calloc(1, sizeof(*x));
	struct tls_signer s;

	if (noise_init() == -1)
		return -1;
	x->w = networld_new(NULL);
	x->w->on_req = on_req;
	x->kit = certkit_new();
	s = certkit_signer(x->kit);
	x->tls = tls_new(&s);
	certkit_add(x->kit, x->tls, CK_P256, "DNS:a.example,DNS:*.b.example");
	net_tls(x->w->net, x->tls);
	*state = x;
	return 0;
}

int
tw_teardown(void **state)
{
	struct tlsworld *x = *state;

	networld_free(x->w);
	tls_free(x->tls);
	certkit_free(x->kit);
	free(x);
	return 0;
}

struct tlspeer
tw_raw(struct tlsworld *x, enum conn_kind kind)
{
	struct ipport from = { .addr.family = 4, .addr.b = { 192, 0, 2, 7 },
	    .port = 4711 };
	struct tlspeer p = { 0 };

	p.conn = conn_new(x->w->net, &from, kind, false, NULL);
	assert_non_null(p.conn);
	return p;
}

void
tw_move(struct tlsworld *x, struct tlspeer *p)
{
	uint8_t b[20000];
	size_t n, at, part;
	bool any;

	do {
		any = false;
		fakeenv_advance(x->w->fake, 0);
		if (p->conn == NULL)
			return;
		n = p->mute || !conn_wants_input(p->conn) ? 0 :
		    tlsclient_output(p->c, b, sizeof(b));
		for (at = 0; at < n; at += part) {
			part = p->piece != 0 && p->piece < n - at ? p->piece :
			    n - at;
			conn_input(p->conn, b + at, part);
			any = true;
		}
		while (conn_wants_output(p->conn) &&
		    (n = conn_output(p->conn, b, sizeof(b))) != 0) {
			tlsclient_input(p->c, b, n);
			any = true;
		}
		if (conn_is_done(p->conn)) {
			conn_free(p->conn);
			p->conn = NULL;
		}
	} while (any);
}

struct tlspeer
tw_dial(struct tlsworld *x, const struct tlsclient_conf *conf)
{
	struct tlspeer p = tw_raw(x, CONN_K_TLS);

	p.c = tlsclient_new(conf);
	tw_move(x, &p);
	return p;
}

void
tw_end(struct tlspeer *p)
{
	if (p->conn != NULL)
		conn_free(p->conn);
	tlsclient_free(p->c);
	memset(p, 0, sizeof(*p));
}

bool
tw_has(const struct buf *b, const char *text)
{
	return memmem(b->p, b->n, text, strlen(text)) != NULL;
}

void
tw_talk(struct tlsworld *x, struct tlspeer *p)
{
	assert_true(tlsclient_is_ready(p->c));
	buf_clear(tlsclient_got(p->c));
	tlsclient_write(p->c, TW_ASK, strlen(TW_ASK));
	tw_move(x, p);
	assert_true(tw_has(tlsclient_got(p->c), "HTTP/1.1 200 OK\r\n"));
	assert_true(tw_has(tlsclient_got(p->c), "192.0.2.7"));
}

void
tw_garbage(struct tlsworld *x, const char *p, size_t n, int want)
{
	struct tlspeer a = tw_raw(x, CONN_K_TLS);
	uint8_t b[1000];
	size_t got;

	conn_input(a.conn, p, n);
	got = conn_output(a.conn, b, sizeof(b));
	assert_int_equal(got, 7);
	assert_int_equal(b[0], 21);
	assert_int_equal(b[6], want);
	fakeenv_advance(x->w->fake, 2 * US_PER_S);
	assert_true(conn_is_done(a.conn));
	conn_free(a.conn);
}
