/*
 * A pipe behind a WebSocket.  First octet: size of the pieces; second: how
 * many octets the pipe takes before it must be kicked again.
 */

#include <stdlib.h>
#include <string.h>

#include "regress/lib/networld.h"

int	LLVMFuzzerTestOneInput(const uint8_t *, size_t);

struct end {
	struct conn	*conn;
	size_t		 budget;
	size_t		 echo;		/* octets to be written */
};

static struct end end;

static size_t
end_input(void *arg, const void *p, size_t n)
{
	struct end *e = arg;

	(void)p;
	if (n == 0 || e->budget == 0)
		abort();
	if (n > e->budget)
		n = e->budget;
	e->budget -= n;
	e->echo += n;
	return n;
}

static bool
end_wants_input(const void *arg)
{
	const struct end *e = arg;

	return e->budget != 0;
}

static size_t
end_output(void *arg, uint8_t *dst, size_t max)
{
	struct end *e = arg;
	size_t n = e->echo < max ? e->echo : max;

	memset(dst, 'e', n);
	e->echo -= n;
	return n;
}

static bool
end_wants_output(const void *arg)
{
	const struct end *e = arg;

	return e->echo != 0;
}

static bool
end_is_done(const void *arg)
{
	(void)arg;
	return false;
}

static void
end_gone(void *arg)
{
	struct end *e = arg;

	if (e->conn == NULL)
		abort();
	e->conn = NULL;
}

static void
on_req(struct req *r, struct networld *w)
{
	static const struct pipe_ops ops = { end_input, end_wants_input,
	    end_output, end_wants_output, end_is_done, end_gone,
	    NULL };

	(void)w;
	end.conn = req_pipe(r, "101", 3, true, &ops, &end);
	if (end.conn == NULL)
		abort();
}

static void
drain(struct conn *c)
{
	uint8_t out[20000];

	while (conn_wants_output(c) && conn_output(c, out, sizeof(out)) != 0)
		;
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	static const char ask[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
	static const struct ipport peer;
	static struct networld *w;
	struct conn *c;
	size_t at, part, piece;

	if (n < 2)
		return 0;
	if (w == NULL) {
		if (noise_init() == -1)
			abort();
		w = networld_new(NULL);
		w->on_req = on_req;
	}
	memset(&end, 0, sizeof(end));
	end.budget = p[1];
	piece = p[0] == 0 ? n : p[0];
	c = conn_new(w->net, &peer, CONN_K_PLAIN, false, NULL);
	conn_input(c, ask, strlen(ask));
	for (at = 2; at < n; at += part) {
		part = n - at < piece ? n - at : piece;
		if (conn_wants_input(c))
			conn_input(c, p + at, part);
		else if (end.conn != NULL) {
			end.budget += p[1] + 1U;
			conn_pipe_kick(end.conn);
		}
		drain(c);
	}
	conn_free(c);
	if (end.conn != NULL)
		abort();
	return 0;
}
