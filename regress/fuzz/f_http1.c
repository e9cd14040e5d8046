/*
 * HTTP/1.1 of a connection.  First octet: size of the pieces and what control
 * does with requests.
 */

#include "regress/lib/networld.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static void
on_req(struct req *r, struct networld *w)
{
	struct slice s = req_header(r, "host");

	(void)w;
	if (s.n % 3 == 0)
		reply_status(r, 200, "text");
	else if (s.n % 3 == 1) {
		begin_stream(r);
		send_octets(r, 100, 'a');
		req_end(r);
	} else
		req_abort(r);
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct networld *w = networld_fuzz(on_req);
	struct ipport peer = { 0 };
	struct conn *c;
	uint8_t out[4096];
	size_t piece, part, at;

	if (w == NULL || n < 1)
		return 0;
	piece = p[0] == 0 ? n : p[0];
	c = conn_new(w->net, &peer, CONN_K_PLAIN, false, NULL);
	for (at = 1; at < n; at += part) {
		part = n - at < piece ? n - at : piece;
		if (conn_wants_input(c))
			conn_input(c, p + at, part);
		while (conn_wants_output(c) &&
		    conn_output(c, out, sizeof(out)) != 0)
			;
	}
	conn_eof(c);
	conn_free(c);
	return 0;
}
