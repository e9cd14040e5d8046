/*
 * What follows an upgrade, with keyd's real core behind it.  First octet:
 * POST or WebSocket, before or after the session is confirmed, pieces.
 */

#include "regress/lib/networld.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
on_req(struct req *r, struct networld *w)
{
	(void)w;
	reply_status(r, 200, "text");
}

static void
put(struct wire *x, const uint8_t *p, size_t n, size_t piece)
{
	size_t at, part;

	for (at = 0; at < n && !x->done; at += part) {
		part = n - at < piece ? n - at : piece;
		if (conn_wants_input(x->conn))
			conn_input(x->conn, p + at, part);
		networld_run(x->world);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct h2_client_conf conf = { 0 };
	struct networld *w;
	struct wire *x;
	uint8_t b[2048];
	size_t len, piece;

	if (n < 1 || noise_init() == -1)
		return 0;
	w = networld_new(NULL);
	w->on_req = on_req;
	conf.websocket = (p[0] & 1) != 0;
	piece = (p[0] & 2) != 0 ? 1 : (p[0] & 4) != 0 ? 50 : n;
	x = wire_client(w, 1, &conf);
	if ((p[0] & 8) != 0)
		networld_run(w);	/* confirmed */
	else {
		len = h2_client_output(x->client, b, sizeof(b));
		conn_input(x->conn, b, len);
		if ((p[0] & 16) != 0)
			networld_run(w);	/* READY at least */
	}
	x->mute = true;
	if (x->conn != NULL)
		put(x, p + 1, n - 1, piece);
	networld_pass(w, 11 * US_PER_S);
	networld_free(w);
	return 0;
}
