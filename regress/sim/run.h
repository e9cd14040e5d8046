/* One seed: a server, clients, faults, then the questions. */

#ifndef REGRESS_SIM_RUN_H
#define REGRESS_SIM_RUN_H

#include <stdint.h>
#include <stdio.h>

/*
 * How many promises were broken.  trace: where all that happens is written,
 * NULL: nowhere.
 */
unsigned int	sim_run(uint64_t seed, FILE *trace);

#endif
