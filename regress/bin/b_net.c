/*
 * What worker/net costs by itself: no sockets, keyd's real core in the same
 * process, the clients' own work not counted.
 *
 *	b_net [streams [octets of a delta]]
 */

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/log.h"
#include "regress/lib/networld.h"

#define SLICE	16384
#define ROUNDS	20
#define LARGE	(64 << 20)

struct peer {
	struct wire	*wire;
	struct req	*req;
};

enum phase { P_HTTP, P_KEYD, P_SESSION, P_REQUEST, P_CLIENT, NPHASE };

static double	spent[NPHASE];
static double	last;
static struct req *asked;

static double
cpu_us(void)
{
	struct timespec ts;

	if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts) == -1)
		fatal("clock_gettime");
	return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

/* What was done since the last call was this. */
static void
lap(enum phase p)
{
	double now = cpu_us();

	spent[p] += now - last;
	last = now;
}

static void
on_req(struct req *r, struct networld *w)
{
	(void)w;
	asked = r;
}

/* Octets for the client; a socket that takes all. */
static size_t
output(struct wire *x, uint8_t *b)
{
	return conn_wants_output(x->conn) ? conn_output(x->conn, b, SLICE) : 0;
}

static void
keyd(struct networld *w)
{
	(void)pair_step(w->pair, PAIR_B);
	(void)keyd_turn(w->keyd);
	lap(P_KEYD);
	(void)pair_step(w->pair, PAIR_A);
}

/* From accept to an open map stream, step by step. */
static void
join(struct networld *w, struct peer *p, uint8_t who)
{
	struct wire *x;
	uint8_t b[SLICE];
	size_t n;

	x = p->wire = wire_client(w, who, NULL);
	n = h2_client_output(x->client, b, sizeof(b));
	lap(P_CLIENT);
	conn_input(x->conn, b, n);
	lap(P_HTTP);
	keyd(w);
	n = output(x, b);
	lap(P_SESSION);
	h2_client_input(x->client, b, n);
	n = h2_client_output(x->client, b, sizeof(b));
	lap(P_CLIENT);
	conn_input(x->conn, b, n);
	lap(P_SESSION);
	keyd(w);
	n = output(x, b);
	lap(P_SESSION);
	h2_client_input(x->client, b, n);
	(void)h2_client_request(x->client, "POST", "/machine/map", NULL, "{}",
	    2);
	n = h2_client_output(x->client, b, sizeof(b));
	lap(P_CLIENT);
	conn_input(x->conn, b, n);
	p->req = asked;
	req_forget(p->req);
	begin_stream(p->req);
	n = output(x, b);
	lap(P_REQUEST);
	h2_client_input(x->client, b, n);
	lap(P_CLIENT);
}

/* One frame to all: microseconds a stream, the best round. */
static double
deltas(struct peer *p, int n, struct frame *f)
{
	uint8_t b[SLICE];
	double at, best = 1e9;
	int i, round;

	for (round = 0; round < ROUNDS; round++) {
		at = cpu_us();
		for (i = 0; i < n; i++)
			req_send(p[i].req, f);
		for (i = 0; i < n; i++)
			while (output(p[i].wire, b) != 0)
				;
		at = (cpu_us() - at) / n;
		if (at < best)
			best = at;
	}
	return best;
}

int
main(int argc, char **argv)
{
	struct mallinfo2 before, after;
	struct networld *w;
	struct frame *f;
	struct peer *p;
	uint8_t b[SLICE], *octets;
	int i, n = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 1000;
	size_t sum, delta;
	double at;

	delta = argc > 2 ? (size_t)strtoul(argv[2], NULL, 10) : 500;
	if (n < 1 || delta < 1 || delta > LARGE || noise_init() == -1)
		return 1;
	w = networld_new(NULL);
	w->on_req = on_req;
	p = xcalloc((size_t)n, sizeof(*p));
	octets = xcalloc(1, LARGE);
	last = cpu_us();
	for (i = 0; i < n; i++)
		join(w, &p[i], (uint8_t)(i % 250 + 1));
	printf("connection: http %.1f, keyd %.1f, session %.1f, request "
	    "%.1f us; %d clients\n", spent[P_HTTP] / n, spent[P_KEYD] / n,
	    spent[P_SESSION] / n, spent[P_REQUEST] / n, n);
	f = frame_new(octets, delta);
	printf("delta of %zu octets: %.2f us a stream\n", delta,
	    deltas(p, n, f));
	frame_unref(f);
	f = frame_new(octets, LARGE);
	at = cpu_us();
	req_send(p[0].req, f);
	for (sum = 0, i = 1; i != 0; sum += (size_t)i) {
		i = (int)output(p[0].wire, b);
		if (i == 0 || sum > (3 << 20))
			break;	/* its window is 4 MB */
	}
	at = cpu_us() - at;
	printf("large stream: %.0f MB/s\n", (double)sum / at);
	frame_unref(f);
	for (i = 0; i < n; i++) {
		h2_client_free(p[i].wire->client);
		p[i].wire->client = NULL;
	}
	before = mallinfo2();
	for (i = 0; i < n; i++)
		wire_close(p[i].wire);
	after = mallinfo2();
	printf("memory: %zu octets a session with a stream\n",
	    (before.uordblks - after.uordblks) / (size_t)n);
	networld_free(w);
	free(octets);
	free(p);
	return 0;
}
