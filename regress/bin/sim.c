/*
 * The simulator: the real cores under one seed, with faults at message
 * boundaries.
 *
 *	sim -n COUNT [-f FIRST]	run so many seeds
 *	sim -r COUNT [-f FIRST]	run each twice and compare the traces
 *	sim -s SEED [-v]	run one, with its trace
 *
 * A line "ok" or "FAIL" a hundred seeds or failing seed.
 */

#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/log.h"
#include "common/noise.h"
#include "common/str.h"
#include "regress/sim/run.h"

static FILE *trace;		/* of the run, or NULL */

static void
swallow(int level, const char *line, void *arg)
{
	(void)level;
	(void)arg;
	if (trace != NULL)
		fprintf(trace, "           log: %s\n", line);
}

static void
usage(void)
{
	fprintf(stderr, "usage: sim -n COUNT [-f FIRST] | "
	    "-r COUNT [-f FIRST] | -s SEED [-v]\n");
	exit(2);
}

/*
 * The seed's trace, which the caller frees.  It comes by way of a file: what
 * a run does to the heap is looked at.
 */
static char *
record(unsigned long long seed, size_t *n, bool *fail)
{
	char *text;
	long end;

	if ((trace = tmpfile()) == NULL)
		err(1, "tmpfile");
	*fail |= sim_run(seed, trace) != 0;
	if (fflush(trace) != 0 || (end = ftell(trace)) == -1)
		err(1, "a trace");
	*n = (size_t)end;
	text = xcalloc(1, *n + 1);
	rewind(trace);
	if (fread(text, 1, *n, trace) != *n)
		err(1, "a trace");
	fclose(trace);
	trace = NULL;
	return text;
}

/* The same, octet for octet, each time. */
static bool
replay(unsigned long long seed)
{
	size_t n[2], at;
	char *text[2];
	bool fail = false;

	text[0] = record(seed, &n[0], &fail);
	text[1] = record(seed, &n[1], &fail);
	if (n[0] != n[1] || memcmp(text[0], text[1], n[0]) != 0) {
		for (at = 0; at < n[0] && text[0][at] == text[1][at]; at++)
			;
		while (at > 0 && text[0][at - 1] != '\n')
			at--;
		printf("      first:  %.*s\n      second: %.*s\n",
		    (int)strcspn(text[0] + at, "\n"), text[0] + at,
		    (int)strcspn(text[1] + at, "\n"), text[1] + at);
		fail = true;
	}
	if (n[0] == 0) {
		printf("      a trace without a line\n");
		fail = true;
	}
	free(text[0]);
	free(text[1]);
	return !fail;
}

static bool
many(unsigned long long first, unsigned long long count, bool twice)
{
	unsigned long long seed;
	unsigned int bad = 0;

	for (seed = first; seed < first + count; seed++) {
		if (twice ? !replay(seed) : sim_run(seed, NULL) != 0) {
			printf(twice ? "FAIL seed %llu (sim -r 1 -f %llu)\n" :
			    "FAIL seed %llu (sim -s %llu -v)\n", seed, seed);
			if (++bad == 10)
				break;
		}
		if ((seed - first + 1) % 100 == 0 || seed + 1 == first + count)
			printf("ok seeds up to %llu%s, %u failed\n", seed,
			    twice ? ", twice" : "", bad);
	}
	return bad == 0;
}

int
main(int argc, char **argv)
{
	unsigned long long first = 1, count = 0, twice = 0, one = 0;
	bool verbose = false, fail;
	int c;

	while ((c = getopt(argc, argv, "n:f:r:s:v")) != -1)
		switch (c) {
		case 'n':
			count = strtoull(optarg, NULL, 10);
			break;
		case 'f':
			first = strtoull(optarg, NULL, 10);
			break;
		case 'r':
			twice = strtoull(optarg, NULL, 10);
			break;
		case 's':
			one = strtoull(optarg, NULL, 10);
			break;
		case 'v':
			verbose = true;
			break;
		default:
			usage();
		}
	if ((count != 0) + (twice != 0) + (one != 0) != 1)
		usage();
	setvbuf(stdout, NULL, _IOLBF, 0);
	log_capture(swallow, NULL);
	if (noise_init() == -1) {
		fprintf(stderr, "sim: no algorithms\n");
		return 1;
	}
	if (one == 0)
		return !many(first, count + twice, twice != 0);
	trace = verbose ? stdout : NULL;
	fail = sim_run(one, trace) != 0;
	printf("%s seed %llu\n", fail ? "FAIL" : "ok", one);
	return fail;
}
