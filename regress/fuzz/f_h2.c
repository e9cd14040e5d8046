/*
 * Plaintext of a confirmed session, after the client's preface and SETTINGS; or
 * what a client of TLS says that agreed on h2, from the preface on.  First
 * octet: which of them (32), and what control does; second: size of the
 * pieces.
 */

#include <stdlib.h>
#include <string.h>

#include "regress/lib/networld.h"
#include "worker/net/layers_int.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static uint8_t mood;

static void
on_req(struct req *r, struct networld *w)
{
	struct slice body = req_body(r);

	if ((req_session(r) == NULL) != ((mood & 32) != 0))
		abort();
	switch ((mood ^ body.n) & 7) {
	case 0:
		reply_status(r, 404, "no");
		break;
	case 1:
		begin_stream(r);
		send_octets(r, 20000, 'a');
		w->reqs[w->nreqs++ % NETWORLD_REQS] = r;
		w->nreqs %= NETWORLD_REQS;
		break;
	case 2:
		begin_stream(r);
		send_octets(r, 100, 'b');
		req_end(r);
		break;
	case 3:
		req_abort(r);
		break;
	default:		/* it waits */
		req_forget(r);
		w->reqs[w->nreqs++ % NETWORLD_REQS] = r;
		w->nreqs %= NETWORLD_REQS;
	}
}

static struct conn *
open_session(struct networld *w)
{
	static const uint8_t hello[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
	    "\0\0\0\4\0\0\0\0";
	struct ipport peer = { 0 };
	struct buf first = { 0 };
	struct conn *c;
	uint8_t key[NOISE_KEY] = { 1 };

	c = conn_new(w->net, &peer, CONN_K_PLAIN, false, NULL);
	if ((mood & 32) != 0) {
		conn_speak_h2(c);
		return c;
	}
	http1_free(c);
	c->state = CONN_OPEN;
	c->confirmed = true;
	w->net->nsessions++;
	noise_key_set(&c->tx, key, 0);
	h2_new(c, &first);
	h2_start(c);
	(void)h2_input(c, hello, sizeof(hello));	/* NUL: the id's */
	return c;
}

static void
drain(struct conn *c)
{
	uint8_t out[4096];
	int i;

	for (i = 0; i < 8 && conn_wants_output(c); i++)
		if (conn_output(c, out, sizeof(out)) == 0)
			break;
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct networld *w = networld_fuzz(on_req);
	struct conn *c;
	size_t at, part, piece;

	if (w == NULL || n < 2)
		return 0;
	mood = p[0];
	piece = p[1] == 0 ? n : p[1];
	c = open_session(w);
	for (at = 2; at < n && conn_is_h2(c); at += part) {
		part = n - at < piece ? n - at : piece;
		if (c->state == CONN_H2)
			conn_input(c, p + at, part);
		else if (h2_input(c, p + at, part) == -1)
			conn_fail(c, NULL, "broken");
		net_settle(w->net);
		if ((mood & 64) == 0)
			drain(c);
	}
	if ((mood & 128) != 0)
		fakeenv_advance(w->fake, 61 * US_PER_S);
	drain(c);
	conn_free(c);
	w->nreqs = 0;
	return 0;
}
