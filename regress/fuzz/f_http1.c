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

	if (w != NULL && n > 0)
		networld_pieces(w, CONN_K_PLAIN, p, n);
	return 0;
}
