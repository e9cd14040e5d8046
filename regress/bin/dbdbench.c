/*
 * How fast dbd's core is with the real store on a real file: registrations
 * with one reusable key, map streams and lite updates, 100 in flight, one
 * worker that holds the tailnet.
 *
 *	dbdbench [nodes]
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "regress/lib/dbdask.h"
#include "regress/lib/quiet.h"

#define IN_FLIGHT	100

static double
seconds(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static double
cpu(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void
say(const char *what, uint32_t n, double wall, double used)
{
	printf("%-24s %6u  %9.0f/s  %6.1f us CPU each\n", what, n, n / wall,
	    used / n * 1e6);
}

static void
registrations(struct dbdworker *k, const char *key, uint32_t from, uint32_t n,
    const char *what)
{
	struct ask_reg a = { .auth = key };
	char host[32];
	double t = seconds(), c = cpu();
	uint32_t i;

	a.host = host;
	for (i = 0; i < n; i++) {
		a.machine = a.key = from + i;
		(void)snprintf(host, sizeof(host), "host-%u", from + i);
		(void)ask_reg_send(k, &a);
		if (i % IN_FLIGHT == IN_FLIGHT - 1) {
			dw_run(dw_world(k));
			dw_forget(k);
		}
	}
	dw_run(dw_world(k));
	say(what, n, seconds() - t, cpu() - c);
	dw_forget(k);
}

static void
lites(struct dbdworker *k, uint32_t n)
{
	struct ask_lite q = { .disco = 7, .port = 1000, .h2 = 3, .derp = 1 };
	double t = seconds(), c = cpu();
	uint32_t i;

	for (i = 1; i <= n; i++) {
		q.machine = q.key = q.disco = i;
		(void)ask_lite_send(k, &q);
		if (i % IN_FLIGHT == 0) {
			dw_run(dw_world(k));
			dw_forget(k);
		}
	}
	dw_run(dw_world(k));
	say("lite updates", n, seconds() - t, cpu() - c);
	dw_forget(k);
}

static void
streams(struct dbdworker *k, uint32_t n)
{
	struct msg m;
	double t = seconds(), c = cpu();
	uint32_t i;

	for (i = 1; i <= n; i++) {
		msg_init(&m, M_DB_MAP_OPEN);
		dw_ticket(k, i, 1, &m.u.db_map_open.ticket);
		dw_key(m.u.db_map_open.node_key, 'n', i);
		m.u.db_map_open.stream = i;
		m.u.db_map_open.capver = 131;
		(void)dw_send(k, &m);
		msg_init(&m, M_DB_MAP_STARTED);
		m.u.db_map_started.tailnet = 1;
		m.u.db_map_started.node = i;
		m.u.db_map_started.generation = i;
		(void)dw_send(k, &m);
		if (i % IN_FLIGHT == 0) {
			dw_run(dw_world(k));
			dw_forget(k);
		}
	}
	dw_run(dw_world(k));
	say("streams opened", n, seconds() - t, cpu() - c);
	dw_forget(k);
}

int
main(int argc, char **argv)
{
	struct dbdworld *w;
	struct dbdworker *k;
	const char *key;
	double t;
	uint32_t n = 10000;

	if (argc > 1)
		n = (uint32_t)strtonum(argv[1], 200, 60000, NULL);
	if (n == 0)
		n = 10000;
	quiet_log();
	w = dw_new();
	dw_conf(w)->max_nodes = n * 2;
	dw_reconf(w);
	k = dw_worker(w, 1, 1);
	key = ask_key(w, ask_user(w, "alice"), true, false, 0, NULL);
	registrations(k, key, 1, n / 2, "registrations, none hold");
	(void)ask_open(k, 1, 1, 1, 1);
	registrations(k, key, n / 2 + 1, n / 2, "registrations, one holds");
	streams(k, n);
	lites(k, n);
	t = seconds();
	dw_restart(w, false);
	printf("%-24s %6u  %9.1f ms\n", "load", n, (seconds() - t) * 1e3);
	dw_free(w);
	return 0;
}
