/* One seed: a server, clients, faults, then the questions. */

#ifndef REGRESS_SIM_RUN_H
#define REGRESS_SIM_RUN_H

#include <stdbool.h>
#include <stdint.h>

/* How many promises were broken. */
unsigned int	sim_run(uint64_t seed, bool verbose);

#endif
