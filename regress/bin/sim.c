/*
 * The simulator: the real cores under one seed, with faults at message
 * boundaries.
 *
 *	sim -n COUNT [-f FIRST]	run so many seeds
 *	sim -s SEED [-v]	run one, with its trace
 *
 * A line "ok" or "FAIL" a hundred seeds or failing seed.
 */

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/log.h"
#include "common/noise.h"
#include "regress/sim/run.h"

static void
swallow(int level, const char *line, void *arg)
{
	(void)level;
	if (*(bool *)arg)
		printf("           log: %s\n", line);
}

static void
usage(void)
{
	fprintf(stderr, "usage: sim -n COUNT [-f FIRST] | -s SEED [-v]\n");
	exit(2);
}

int
main(int argc, char **argv)
{
	unsigned long long seed, first = 1, count = 0, one = 0;
	bool verbose = false, fail = false;
	unsigned int bad = 0;
	int c;

	while ((c = getopt(argc, argv, "n:f:s:v")) != -1)
		switch (c) {
		case 'n':
			count = strtoull(optarg, NULL, 10);
			break;
		case 'f':
			first = strtoull(optarg, NULL, 10);
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
	if ((count == 0) == (one == 0))
		usage();
	setvbuf(stdout, NULL, _IOLBF, 0);
	log_capture(swallow, &verbose);
	if (noise_init() == -1) {
		fprintf(stderr, "sim: no algorithms\n");
		return 1;
	}
	if (one != 0) {
		fail = sim_run(one, verbose) != 0;
		printf("%s seed %llu\n", fail ? "FAIL" : "ok", one);
		return fail;
	}
	for (seed = first; seed < first + count; seed++) {
		if (sim_run(seed, false) != 0) {
			printf("FAIL seed %llu (sim -s %llu -v)\n", seed, seed);
			fail = true;
			if (++bad == 10)
				break;
		}
		if ((seed - first + 1) % 100 == 0 || seed + 1 == first + count)
			printf("ok seeds up to %llu, %u failed\n", seed, bad);
	}
	return fail;
}
