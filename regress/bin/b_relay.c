/*
 * What the relay's core costs by itself: no sockets, no TLS.  Nanoseconds and
 * allocations for a packet that is relayed between pairs of clients, and the
 * memory of clients that are idle.
 *
 *	b_relay [pairs [octets [idle clients]]]
 */

#include <dlfcn.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/log.h"
#include "regress/lib/relaykit.h"

#define BATCH	16		/* packets of a pair before the next's turn */
#define ROUNDS	7
#define SLICE	16384

static unsigned long	allocs;

/* What anybody in this program asks for counts, and is the library's work. */
void *
malloc(size_t n)
{
	static void *(*next)(size_t);

	if (next == NULL)
		next = (void *(*)(size_t))dlsym(RTLD_NEXT, "malloc");
	allocs++;
	return next(n);
}

void *
realloc(void *p, size_t n)
{
	static void *(*next)(void *, size_t);

	if (next == NULL)
		next = (void *(*)(void *, size_t))dlsym(RTLD_NEXT, "realloc");
	allocs++;
	return next(p, n);
}

static double
cpu_ns(void)
{
	struct timespec ts;

	if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts) == -1)
		fatal("clock_gettime");
	return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

/* n packets through all pairs in turn; how many arrived. */
static unsigned long
relay(struct rkclient **x, unsigned int pairs, struct buf *frames,
    unsigned long n)
{
	static uint8_t out[SLICE];
	unsigned long done = 0, octets = 0, each;
	unsigned int i;
	size_t got;

	while (done < n) {
		for (i = 0; i < pairs; i++) {
			if (relay_input(x[2 * i]->c, frames[i].p,
			    frames[i].n) != frames[i].n)
				fatalx("not all was taken");
			while ((got = relay_output(x[2 * i + 1]->c, out,
			    sizeof(out))) != 0)
				octets += got;
			done += BATCH;
		}
	}
	each = frames[0].n / BATCH;
	return octets / each;
}

static void
packets(unsigned int pairs, size_t size)
{
	struct rk *rk = rk_new(1, NULL);
	struct rkclient **x;
	struct buf *frames;
	unsigned long before, n = 1000000, most = 0;
	double at, best = 1e18;
	uint8_t *p;
	unsigned int i, k;

	x = xcalloc(2 * pairs, sizeof(x[0]));
	frames = xcalloc(pairs, sizeof(frames[0]));
	p = xcalloc(1, size);
	for (i = 0; i < 2 * pairs; i++)
		x[i] = rk_login(&rk->worker[0], i);
	for (i = 0; i < pairs; i++)
		for (k = 0; k < BATCH; k++)
			rk_put_send(&frames[i], x[2 * i + 1]->pub, p, size);
	(void)relay(x, pairs, frames, 10 * pairs * BATCH);
	for (i = 0; i < ROUNDS; i++) {
		before = allocs;
		at = cpu_ns();
		if (relay(x, pairs, frames, n) < n)
			fatalx("packets were lost");
		at = (cpu_ns() - at) / (double)n;
		if (at < best)
			best = at;
		if (allocs - before > most)
			most = allocs - before;
	}
	printf("%u pairs, %zu octets: %.0f ns a packet, %.6f allocations\n",
	    pairs, size, best, (double)most / (double)n);
	for (i = 0; i < pairs; i++)
		buf_free(&frames[i]);
	free(frames);
	free(p);
	free(x);
	rk_free(rk);
}

static uint64_t
in_hundreds(uint32_t who)
{
	return 1 + who / 100;
}

/* Nanoseconds of a minute's timers; what they put out is another's work. */
static double
keepalives(struct rk *rk)
{
	double at, sum = 0;
	unsigned int i;

	for (i = 0; i < 4 * 180; i++) {
		at = cpu_ns();
		fakeenv_advance(rk->fake, US_PER_S / 4);
		sum += cpu_ns() - at;
		rk_run(rk);
	}
	return sum / 3;
}

/* Clients of tailnets of a hundred; each has had a packet of four others. */
static void
idle(unsigned int n)
{
	struct rk *rk = rk_new(1, NULL);
	struct mallinfo2 then, now;
	struct rkclient **x;
	unsigned int i, k;
	size_t kit;

	rk->tailnet = in_hundreds;
	x = xcalloc(n, sizeof(x[0]));
	then = mallinfo2();
	for (i = 0; i < n; i++)
		x[i] = rk_login(&rk->worker[0], i);
	for (i = 0; i < n; i++) {
		buf_free(&x[i]->to);
		buf_free(&x[i]->from);
	}
	now = mallinfo2();
	kit = n * (malloc_usable_size(x[0]) + sizeof(size_t)) +
	    rk->room * sizeof(rk->conns[0]);
	printf("%u idle clients: %.0f octets each", n,
	    (double)(now.uordblks + now.hblkhd - then.uordblks - then.hblkhd -
	    kit) / n);
	for (i = 0; i < n; i++)
		for (k = 1; k <= 4; k++)
			rk_send(x[i], x[i / 100 * 100 + (i + k) % 100]->pub,
			    "x", 1);
	rk_run(rk);
	for (i = 0; i < n; i++) {
		buf_free(&x[i]->to);
		buf_free(&x[i]->from);
	}
	now = mallinfo2();
	printf(", %.0f after packets of four others\n",
	    (double)(now.uordblks + now.hblkhd - then.uordblks - then.hblkhd -
	    kit) / n);
	printf("their keep-alives: %.0f ns a minute of each\n",
	    keepalives(rk) / n);
	free(x);
	rk_free(rk);
}

int
main(int argc, char **argv)
{
	unsigned int pairs, n;
	size_t size;

	pairs = argc > 1 ? (unsigned int)strtoul(argv[1], NULL, 10) : 100;
	size = argc > 2 ? (size_t)strtoul(argv[2], NULL, 10) : 1200;
	n = argc > 3 ? (unsigned int)strtoul(argv[3], NULL, 10) : 5000;
	if (pairs < 1 || size > 65536 || n < 100 || n % 100 != 0)
		return 1;
	packets(pairs, size);
	idle(n);
	return 0;
}
