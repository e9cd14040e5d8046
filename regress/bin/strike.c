/*
 * Kills processes at the next write to a file: at dbd's write-ahead log that
 * is within a commit, or between it and the reply.
 *
 *	strike FILE MS US PID ...
 *
 * Not later than MS after the start (0: at once), and US after the write.
 * Prints "write" or "late" and the time of the kill, seconds since 1970.
 */

#include <sys/inotify.h>

#include <err.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <time.h>

#include "common/compat/compat.h"

#define NS_PER_US	1000
#define NS_PER_S	1000000000LL

static long long
now_ns(clockid_t clock)
{
	struct timespec t;

	(void)clock_gettime(clock, &t);
	return t.tv_sec * NS_PER_S + t.tv_nsec;
}

static long long
number(const char *s, const char *what, long long min, long long max)
{
	const char *why;
	long long v;

	v = strtonum(s, min, max, &why);
	if (why != NULL)
		errx(2, "%s is %s: %s", what, why, s);
	return v;
}

/* True if somebody wrote in time. */
static bool
wait_write(const char *file, int ms)
{
	struct pollfd p;

	p.events = POLLIN;
	if ((p.fd = inotify_init1(0)) == -1 ||
	    inotify_add_watch(p.fd, file, IN_MODIFY) == -1)
		err(1, "%s", file);
	switch (poll(&p, 1, ms)) {
	case -1:
		err(1, "poll");
	case 0:
		return false;
	default:
		return true;
	}
}

int
main(int argc, char **argv)
{
	const char *said = "late";
	long long end, ms, us;
	int i, rc = 0;

	if (argc < 5) {
		(void)fprintf(stderr, "usage: strike file ms us pid ...\n");
		return 2;
	}
	ms = number(argv[2], "ms", 0, 60000);
	us = number(argv[3], "us", 0, 1000000);
	for (i = 4; i < argc; i++)
		(void)number(argv[i], "pid", 2, INT32_MAX);
	if (ms > 0 && wait_write(argv[1], (int)ms)) {
		said = "write";
		end = now_ns(CLOCK_MONOTONIC) + us * NS_PER_US;
		while (now_ns(CLOCK_MONOTONIC) < end)
			;
	}
	for (i = 4; i < argc; i++)
		if (kill((pid_t)number(argv[i], "pid", 2, INT32_MAX),
		    SIGKILL) == -1) {
			warn("kill %s", argv[i]);
			rc = 1;
		}
	end = now_ns(CLOCK_REALTIME);
	(void)printf("%s %lld.%06lld\n", said, end / NS_PER_S,
	    end % NS_PER_S / NS_PER_US);
	return rc;
}
